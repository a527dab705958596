"""Frontend messages: read from a client, written to a target. Manual: 55.7 Message Formats.

Readers raise ProtocolViolation on anything malformed (missing terminators, trailing bytes, bad UTF-8, NUL): the texts
that are judged and the bytes that are forwarded must be the same thing (enforcement.md 2, last paragraph).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import NotUtf8, ProtocolViolation

SYNC = b"S\0\0\0\x04"
FLUSH = b"H\0\0\0\x04"
TERMINATE = b"X\0\0\0\x04"


@dataclass(frozen=True, slots=True)
class Parse:
    name: str
    sql: str
    parameter_types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    portal: str
    statement: str
    parameter_formats: tuple[int, ...]
    parameters: tuple[bytes | None, ...]
    result_formats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Execute:
    portal: str
    max_rows: int


@dataclass(frozen=True, slots=True)
class Named:
    """Describe or Close: `kind` is "S" (statement) or "P" (portal)."""

    kind: str
    name: str


class _Reader:
    """A cursor over one message body. Every step checks that it stays inside."""

    __slots__ = ("at", "data", "what")

    def __init__(self, raw: bytes, what: str) -> None:
        self.data, self.at, self.what = raw, 5, what

    def fail(self, why: str) -> ProtocolViolation:
        return ProtocolViolation(f"invalid {self.what} message: {why}")

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise self.fail("a string has no terminator")
        raw, self.at = self.data[self.at : end], end + 1
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotUtf8(raw[error.start : error.start + 4]) from None

    def number(self, size: int) -> int:
        end = self.at + size
        if end > len(self.data):
            raise self.fail("it ends too early")
        value = int.from_bytes(self.data[self.at : end], "big", signed=True)
        self.at = end
        return value

    def count(self) -> int:
        """Read an Int16 count; libpq and PostgreSQL take it as unsigned (65,535 parameters)."""
        return self.number(2) & 0xFFFF

    def numbers(self, size: int) -> tuple[int, ...]:
        return tuple(self.number(size) for _ in range(self.count()))

    def value(self) -> bytes | None:
        length = self.number(4)
        if length == -1:
            return None
        if length < 0 or self.at + length > len(self.data):
            raise self.fail("a value is longer than the message")
        raw = self.data[self.at : self.at + length]
        self.at += length
        return raw

    def end(self) -> None:
        if self.at != len(self.data):
            raise self.fail("bytes are left over")


def read_query(raw: bytes) -> str:
    """The text of a Query message."""
    reader = _Reader(raw, "Query")
    sql = reader.text()
    reader.end()
    return sql


def read_parse(raw: bytes) -> Parse:
    reader = _Reader(raw, "Parse")
    name, sql = reader.text(), reader.text()
    types = tuple(each & 0xFFFFFFFF for each in reader.numbers(4))
    reader.end()
    return Parse(name, sql, types)


def formats_read(raw: bytes) -> tuple[int, ...]:
    """Format codes as they stand in a Bind, behind their count."""
    return tuple(int.from_bytes(raw[at : at + 2], "big", signed=True) for at in range(0, len(raw), 2))


def formats_written(codes: Sequence[int]) -> bytes:
    """The reverse."""
    return b"".join(code.to_bytes(2, "big", signed=True) for code in codes)


def read_bind(raw: bytes) -> Bind:
    reader = _Reader(raw, "Bind")
    portal, statement = reader.text(), reader.text()
    formats = reader.numbers(2)
    parameters = tuple(reader.value() for _ in range(reader.count()))
    results = reader.numbers(2)
    reader.end()
    return Bind(portal, statement, formats, parameters, results)


def read_execute(raw: bytes) -> Execute:
    reader = _Reader(raw, "Execute")
    portal, rows = reader.text(), reader.number(4)
    reader.end()
    return Execute(portal, rows)


def read_named(raw: bytes) -> Named:
    """Read a Describe or Close message."""
    reader = _Reader(raw, "Describe or Close")
    kind = chr(reader.number(1) & 0xFF)
    if kind not in "SP":
        raise reader.fail(f"unknown kind {kind!r}")
    name = reader.text()
    reader.end()
    return Named(kind, name)


def read_password(raw: bytes) -> str:
    """The text of a PasswordMessage. The caller must never log it."""
    reader = _Reader(raw, "Password")
    text = reader.text()
    reader.end()
    return text


def message(kind: bytes, body: bytes) -> bytes:
    """Frame a body: type byte, length, body."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def _string(text: str) -> bytes:
    return text.encode() + b"\0"


def _int16s(values: Sequence[int]) -> bytes:
    return len(values).to_bytes(2, "big") + b"".join(each.to_bytes(2, "big") for each in values)


def query(sql: str) -> bytes:
    return message(b"Q", _string(sql))


def parse(name: str, sql: str, types: Sequence[int] = ()) -> bytes:
    oids = len(types).to_bytes(2, "big") + b"".join(each.to_bytes(4, "big") for each in types)
    return message(b"P", _string(name) + _string(sql) + oids)


def bind(
    portal: str,
    statement: str,
    parameters: Sequence[bytes | None] = (),
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    values = b"".join(
        b"\xff\xff\xff\xff" if each is None else len(each).to_bytes(4, "big") + each for each in parameters
    )
    count = len(parameters).to_bytes(2, "big")
    return message(b"B", _string(portal) + _string(statement) + _int16s(formats) + count + values + _int16s(results))


def describe(kind: str, name: str) -> bytes:
    return message(b"D", kind.encode() + _string(name))


def copy_fail(reason: str) -> bytes:
    return message(b"f", _string(reason))


def close(kind: str, name: str) -> bytes:
    return message(b"C", kind.encode() + _string(name))


def execute(portal: str, max_rows: int = 0) -> bytes:
    return message(b"E", _string(portal) + max_rows.to_bytes(4, "big"))


def password(text: str) -> bytes:
    return message(b"p", _string(text))


def sasl_initial_response(mechanism: str, data: bytes) -> bytes:
    return message(b"p", _string(mechanism) + len(data).to_bytes(4, "big") + data)


def sasl_response(data: bytes) -> bytes:
    return message(b"p", data)
