"""Backend messages (from the target): the few that are read or written. PostgreSQL manual, 55.7 Message Formats."""

from dataclasses import dataclass
from struct import Struct

_COLUMN = Struct("!IhIhih")


@dataclass(frozen=True, slots=True)
class Column:
    """A field of RowDescription. `format` is 0 text, 1 binary (0 where it isn't known yet, as after Describe of a statement)."""

    name: str
    table_oid: int
    attnum: int
    type_oid: int
    type_size: int
    type_modifier: int
    format: int


def row_description(body: bytes) -> tuple[Column, ...]:
    """Read the body of a RowDescription (behind type byte and length). Raises ValueError on a malformed one."""
    count = int.from_bytes(body[:2], "big")
    at, columns = 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        name = body[at:end].decode("utf-8", "replace")
        columns.append(Column(name, *_COLUMN.unpack_from(body, end + 1)))
        at = end + 1 + _COLUMN.size
    return tuple(columns)
