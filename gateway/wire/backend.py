"""Backend messages: read from a target, written to a client. Manual: 55.7 Message Formats, 55.8 Error and Notice Fields."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError, ProtocolViolation
from gateway.wire.frontend import message

_COLUMN = struct.Struct("!IhIhih")

PARSE_COMPLETE = b"1\0\0\0\x04"
BIND_COMPLETE = b"2\0\0\0\x04"
CLOSE_COMPLETE = b"3\0\0\0\x04"
NO_DATA = b"n\0\0\0\x04"
AUTHENTICATION_OK = b"R\0\0\0\x08\0\0\0\0"
AUTHENTICATION_CLEARTEXT_PASSWORD = b"R\0\0\0\x08\0\0\0\x03"


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


def end_of(data: bytes, at: int) -> int:
    """Where the message at `at` ends; beyond the data where it says an impossible length."""
    length = int.from_bytes(data[at + 1 : at + 5], "big")
    return at + 1 + length if length >= 4 else len(data) + 1


def cut(data: bytes) -> list[bytes]:
    """Whole messages that stand back to back, one by one."""
    at, found = 0, list[bytes]()
    while at < len(data):
        end = end_of(data, at)
        found.append(data[at:end])
        at = end
    return found


def row_description(body: bytes) -> tuple[Column, ...]:
    """Read the body of a RowDescription (behind type byte and length). Raises ProtocolViolation on a malformed one."""
    try:
        at, columns = 2, []
        for _ in range(int.from_bytes(body[:2], "big")):
            end = body.index(b"\0", at)
            name = body[at:end].decode("utf-8", "replace")
            columns.append(Column(name, *_COLUMN.unpack_from(body, end + 1)))
            at = end + 1 + _COLUMN.size
    except (ValueError, struct.error):
        raise ProtocolViolation("the target sent a malformed RowDescription") from None
    return tuple(columns)


def format_of(formats: Sequence[int], at: int, column: Column) -> int:
    """The format in which column `at` comes, by the result formats of a Bind (none: as the column itself says)."""
    if not formats:
        return column.format
    return formats[0] if len(formats) == 1 else formats[at] if at < len(formats) else 0


def parameter_description(body: bytes) -> tuple[int, ...]:
    """Read the type OIDs of a ParameterDescription body."""
    return tuple(int.from_bytes(body[at : at + 4], "big") for at in range(2, len(body), 4))


def data_row(body: bytes) -> tuple[bytes | None, ...]:
    """Read the values of a DataRow body."""
    at = 2
    values: list[bytes | None] = []
    for _ in range(int.from_bytes(body[:2], "big")):
        length = int.from_bytes(body[at : at + 4], "big", signed=True)
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at : at + length])
            at += length
    return tuple(values)


def command_tag(body: bytes) -> str:
    """The tag of a CommandComplete body."""
    return body.rstrip(b"\0").decode("utf-8", "replace")


def tag_rows(tag: str) -> int | None:
    """The row count in a command tag ("DELETE 42", "INSERT 0 1", "SELECT 5"), or None where it has none."""
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdigit() else None


def fields(body: bytes) -> dict[str, str]:
    """Read an ErrorResponse or NoticeResponse body: field code -> text."""
    found: dict[str, str] = {}
    for part in body.split(b"\0"):
        if part:
            found[chr(part[0])] = part[1:].decode("utf-8", "replace")
    return found


def _fields(values: Mapping[str, str]) -> bytes:
    return (
        b"".join(code.encode() + text.replace("\0", "").encode() + b"\0" for code, text in values.items() if text)
        + b"\0"
    )


def error_response(sqlstate: str, text: str, *, detail: str = "", hint: str = "", severity: str = "ERROR") -> bytes:
    """An ErrorResponse with the fields S V C M D H; P F L R are never ours to send."""
    return message(b"E", _fields({"S": severity, "V": severity, "C": sqlstate, "M": text, "D": detail, "H": hint}))


def fatal(error: GatewayError) -> bytes:
    """A FATAL ErrorResponse: the connection ends behind it."""
    return error_response(error.sqlstate, error.message, hint=error.hint, severity="FATAL")


def notice_response(text: str, *, detail: str = "", hint: str = "") -> bytes:
    """A NoticeResponse, SQLSTATE 00000 (successful completion), severity NOTICE."""
    return message(b"N", _fields({"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": text, "D": detail, "H": hint}))


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


def read_parameter_status(body: bytes) -> tuple[str, str]:
    """Read a ParameterStatus body: (name, value)."""
    name, _, rest = body.partition(b"\0")
    return name.decode("utf-8", "replace"), rest.rstrip(b"\0").decode("utf-8", "replace")


def backend_key_data(pid: int, secret: bytes) -> bytes:
    """BackendKeyData; `secret` is 4 bytes in protocol 3.0 and up to 256 in 3.2."""
    return message(b"K", pid.to_bytes(4, "big") + secret)


def ready_for_query(status: str) -> bytes:
    """ReadyForQuery. Only for the end of startup: everywhere else the target's own is passed on (architecture.md)."""
    return message(b"Z", status.encode())


def negotiate_protocol_version(version: int, unknown: Iterable[str]) -> bytes:
    """NegotiateProtocolVersion: the version to go on with (3 << 16 | minor, as PostgreSQL 18 sends it), and the `_pq_.`
    options we don't know."""
    names = [each.encode() + b"\0" for each in unknown]
    return message(b"v", version.to_bytes(4, "big") + len(names).to_bytes(4, "big") + b"".join(names))
