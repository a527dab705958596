"""What a COPY TO STDOUT sends: its options and its columns, from the statement and CopyOutResponse. Pure.

What lives here: the vocabulary of COPY on its way to gateway.masking.copy. Which columns are masked is hiding.py's part.

CopyOutResponse (manual, 54.7) says how many columns there are and their formats, never their types. In the text formats a
value shows what it is; in binary only a table's own columns have a known type, others are masked as unknown.
"""

from collections.abc import Mapping
from typing import Literal

from gateway.errors import TargetUnavailable
from gateway.masking.copy import CopyOptions
from gateway.sql.catalog import Relation
from gateway.sql.statement import Statement
from gateway.wire.backend import Column

_TEXT, _UNKNOWN = 25, 0
_FORMATS: Mapping[str, Literal["text", "csv", "binary"]] = {"text": "text", "csv": "csv", "binary": "binary"}
_OFF = frozenset({"false", "off", "0"})
# format_type() without its modifier -> pg_type.oid, for the types that a secret can be in (masks.py).
_TYPES = {
    "bigint": 20,
    "bytea": 17,
    "character": 1042,
    "character varying": 1043,
    "date": 1082,
    "integer": 23,
    "json": 114,
    "jsonb": 3802,
    "name": 19,
    "numeric": 1700,
    "smallint": 21,
    "text": 25,
    "text[]": 1009,
    "character varying[]": 1015,
    "timestamp with time zone": 1184,
    "timestamp without time zone": 1114,
    "uuid": 2950,
    "xml": 142,
}


def options_of(statement: Statement) -> CopyOptions:
    """The options of a COPY as the masker wants them. A format that isn't known can't come: PostgreSQL refuses it."""
    written = dict(statement.copy_options)
    wanted = {
        name: written[name].encode() if name in written else None for name in ("delimiter", "quote", "escape", "null")
    }
    return CopyOptions(
        format=_FORMATS.get(written.get("format", "text"), "text"),
        delimiter=wanted["delimiter"],
        quote=wanted["quote"] or b'"',
        escape=wanted["escape"],
        null=wanted["null"],
        header=written.get("header", "off").lower() not in _OFF,
    )


def formats_of(body: bytes) -> tuple[int, ...]:
    """The format code of each column of a CopyOutResponse. Raises TargetUnavailable when it isn't one."""
    count = int.from_bytes(body[1:3], "big")
    if len(body) != 3 + 2 * count:
        raise TargetUnavailable("the target broke the protocol: CopyOutResponse")
    return tuple(int.from_bytes(body[at : at + 2], "big") for at in range(3, len(body), 2))


def columns_of(statement: Statement | None, formats: tuple[int, ...], relation: Relation | None) -> tuple[Column, ...]:
    """The columns as a RowDescription would have named them, as far as the statement and the `relation` tell."""
    types = relation.types if relation else {}
    names = list(statement.copy_columns) if statement else []
    if relation is not None and names == ["*"]:
        names = [each for each in types if each not in relation.generated]  # COPY leaves them out
    if len(names) != len(formats):
        names = [f"column {at}" for at in range(1, len(formats) + 1)]
    oid, numbers = (relation.oid, relation.columns) if relation else (0, {})
    return tuple(
        Column(name, oid if name in numbers else 0, numbers.get(name, 0), _type(types.get(name), code), -1, -1, code)
        for name, code in zip(names, formats, strict=True)
    )


def _type(written: str | None, code: int) -> int:
    """The type's OID; in text every other type is read as text."""
    base, _, rest = (written or "").partition("(")
    known = _TYPES.get(base.rstrip() + rest.partition(")")[2])
    return known if known is not None else _UNKNOWN if code else _TEXT
