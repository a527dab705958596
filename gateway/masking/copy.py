"""COPY ... TO STDOUT: the bodies of CopyData messages, masked by the same plan as rows.

What lives here: the text, csv and binary formats of COPY (manual, COPY, File Formats). What must not: CopyData framing,
lineage, what a secret is.

PostgreSQL sends one row a CopyData message, but nothing here relies on it: what doesn't end with a whole row waits for the
next body. A body without candidates passes as the very same object, unless the options could hide a secret from a look at
raw bytes (a digit as quote, a hyphen as delimiter): then every row is read. Where escapes or quotes hide one the look is at the
body without them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Literal, Protocol

from gateway.errors import ProtocolViolation
from gateway.masking.columns import ColumnPlan
from gateway.masking.detectors import Detectors
from gateway.masking.fields import Change, Counts, FieldMasker, Replace, replace_fields
from gateway.wire import walk
from gateway.wire.frontend import message

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_INT32 = Struct("!i")
_INT16 = Struct("!h")
_COPY_DATA, _NEWLINE = ord("d"), ord("\n")
#: Separators and quotes that never stand inside a secret, so that raw bytes show what the values are.
_PLAIN_DELIMITERS = frozenset({b"\t", b",", b";", b"|"})


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """The options of a COPY TO that shape its bytes. None = the format's default."""

    format: Literal["text", "csv", "binary"] = "text"
    delimiter: bytes | None = None
    quote: bytes = b'"'
    escape: bytes | None = None  # csv: the quote
    null: bytes | None = None
    header: bool = False


class _Rows(Protocol):
    """One of the three formats. `shows_all`: raw bytes show every value as it is."""

    shows_all: bool

    def odd(self, data: bytes, at: int, end: int, /) -> int:
        """Offset of the first byte of data[at:end] that is not of a value as it is, nor between two; -1 for none."""

    def shown(self, body: bytes, /) -> bytes | None:
        """Whole rows with each value as it is, for a look; None where `body` doesn't end with a whole row, or has to be read."""

    def split(self, data: bytes, /, *, last: bool) -> Iterator[tuple[int, int]]:
        """The whole rows in `data` as offsets; with `last` the rest is one too."""

    def masked(self, row: bytes, width: int, replace: dict[int, Replace], /) -> bytes:
        """The row with its planned fields replaced."""


class CopyMasker:
    """Mask one COPY TO STDOUT. `columns`: a plan a column, with format 1 for binary and 0 otherwise.

    `counts`: (column name, source or detector) -> values masked so far.
    """

    def __init__(
        self, columns: Sequence[ColumnPlan], options: CopyOptions, detectors: Detectors | None, key: bytes
    ) -> None:
        self._fields = FieldMasker(columns, detectors, key)
        self._replace: dict[int, Replace] = self._fields.scanned | self._fields.masked
        self._width = len(columns)
        self._rows: _Rows = _FORMATS[options.format](options)
        self._pending = b""
        self._header = options.header and options.format != "binary"
        self._names: dict[int, Replace] = {}
        if self._header and detectors is not None:  # code may have made a column's name of a value
            self._names = dict.fromkeys(range(len(columns)), lambda name: detectors.clean(name)[0])

    @property
    def counts(self) -> Counts:
        return self._fields.counts

    def data(self, body: bytes) -> bytes:
        """Mask what has come; b"" while a row is incomplete. Raises ProtocolViolation for what isn't such a COPY."""
        if not (self._replace or self._header or self._pending) or self._passes(body):
            return body
        return self._taken(self._pending + body, last=False)

    @property
    def skims(self) -> bool:
        """Are most rows none of its business? Not where a column is masked in each, or raw bytes hide what values are."""
        return not (self._pending or self._header or self._fields.masked) and self._rows.shows_all

    def changes(self, data: bytes, at: int, end: int) -> tuple[list[Change], int]:
        """Where it `skims`: what changes in the CopyData messages data[at:end], and how far it got: to one that ends inside a row.

        The bytes before a message's body are no more in the way of a look at raw bytes than a DataRow's are (rows.py).
        """
        found: list[Change] = []
        end = walk.run(data, at, end, _COPY_DATA, _NEWLINE)
        odd = self._rows.odd(data, at, end)
        while self._replace:
            suspect = self._fields.suspect(data, at, end if odd < 0 else odd)
            if suspect < 0 and odd < 0:
                break
            row = walk.holding(data, at, odd if suspect < 0 else suspect)
            at = walk.end_of(data, row)
            body = data[row + 5 : at]
            new = self.data(body)
            if new is not body and new != body:
                found.append((row, at, message(b"d", new) if new else b""))
            if not self.skims:
                return found, at
            if 0 <= odd < at:
                odd = self._rows.odd(data, at, end)
        return found, end

    def end(self) -> bytes:
        """What is left when CopyDone comes: a last row without its line end. Raises ProtocolViolation when it is cut."""
        return self._taken(self._pending, last=True) if self._pending else b""

    def _passes(self, body: bytes) -> bool:
        """Whether a body can go on unread: whole rows, nothing masked, nothing hidden, no candidate."""
        return self.skims and body.endswith(b"\n") and self._clean(body)

    def _clean(self, body: bytes) -> bool:
        shown = self._rows.shown(body)
        return shown is not None and self._fields.first(shown, 0, len(shown)) < 0

    def _taken(self, data: bytes, *, last: bool) -> bytes:
        out, at = [], 0
        for start, end in self._rows.split(data, last=last):
            row = data[start:end]
            out.append(self._rows.masked(row, self._width, self._names if self._header else self._replace))
            self._header = False
            at = end
        self._pending = b"" if last else data[at:]
        return b"".join(out)


class _Text:
    """Rows end with a newline, fields are split by the delimiter, backslash escapes."""

    def __init__(self, options: CopyOptions) -> None:
        self._delimiter = options.delimiter or b"\t"
        self._null = b"\\N" if options.null is None else options.null
        # A client's own NULL string may be a value's too, which COPY then writes as it is: all of them are masked.
        self._absent = self._null if options.null is None else None
        self.shows_all = self._delimiter in _PLAIN_DELIMITERS
        special = {ord("\\"): b"\\\\", 8: b"\\b", 12: b"\\f", 10: b"\\n", 13: b"\\r", 9: b"\\t", 11: b"\\v"}
        self._escaped = (
            special | {ord(self._delimiter): b"\\" + self._delimiter} if self._delimiter != b"\t" else special
        )

    def odd(self, data: bytes, at: int, end: int) -> int:
        """Backslashes, but for those of NULL, of which there may be many."""
        while (at := data.find(b"\\", at, end)) >= 0 and data[at + 1 : at + 2] == b"N":
            at += 2
        return at

    def shown(self, body: bytes) -> bytes:
        if b"\\" not in body:
            return body
        parts = body.split(b"\\\\")
        for char, escape in self._escaped.items():
            parts = [part.replace(escape, bytes((char,))) for part in parts]
        return b"\\".join(parts)

    def split(self, data: bytes, *, last: bool) -> Iterator[tuple[int, int]]:
        at = 0
        while (end := data.find(b"\n", at) + 1) > 0:
            yield at, end
            at = end
        if last and at < len(data):
            yield at, len(data)

    def masked(self, row: bytes, width: int, replace: dict[int, Replace]) -> bytes:
        line = row.removesuffix(b"\n")
        fields = _split_escaped(line, self._delimiter)
        _check(len(fields), width, row)
        for i, replacer in replace.items():
            if fields[i] != self._absent:
                value = _unescaped(fields[i])
                new = replacer(value)
                if new is not value:
                    fields[i] = self._null if new is None else b"".join(self._escaped.get(c, bytes((c,))) for c in new)
        return self._delimiter.join(fields) + row[len(line) :]


def _split_escaped(line: bytes, delimiter: bytes) -> list[bytes]:
    """Split at delimiters that no backslash stands before."""
    if b"\\" not in line:
        return line.split(delimiter)
    fields, at, start = [], 0, 0
    while at < len(line):
        if line[at] == 0x5C:
            at += 2
        elif line[at] == delimiter[0]:
            fields.append(line[start:at])
            at += 1
            start = at
        else:
            at += 1
    return [*fields, line[start:]]


_ESCAPES = {ord("b"): 8, ord("f"): 12, ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("v"): 11}


def _unescaped(field: bytes) -> bytes:
    """The value of a text field. COPY TO writes only one-letter escapes, so octal and hex ones don't come."""
    if b"\\" not in field:
        return field
    out, at = bytearray(), 0
    while at < len(field):
        if field[at] == 0x5C and at + 1 < len(field):
            at += 1
            out.append(_ESCAPES.get(field[at], field[at]))
        else:
            out.append(field[at])
        at += 1
    return bytes(out)


class _Csv:
    """Rows end with a newline outside quotes; quote and escape may be any one byte, even a digit."""

    def __init__(self, options: CopyOptions) -> None:
        self._delimiter, self._quote = options.delimiter or b",", options.quote
        self._escape = options.escape or self._quote
        self._null = options.null or b""
        self.shows_all = self._delimiter in _PLAIN_DELIMITERS and self._quote == b'"' and self._escape in (b'"', b"\\")
        self._escaped = {ord(c): self._escape + c for c in (self._quote, self._escape)}

    def odd(self, data: bytes, at: int, end: int) -> int:
        return data.find(self._quote, at, end)

    def shown(self, body: bytes) -> bytes | None:
        """A quote in a value is two. With those about the field there is at most one too many, beside what stands in the value."""
        quotes = body.count(self._quote)
        if quotes and (self._escape != self._quote or quotes % 2):
            return None
        return body.replace(self._quote * 2, self._quote) if quotes else body

    def split(self, data: bytes, *, last: bool) -> Iterator[tuple[int, int]]:
        start = at = 0
        while at < len(data):
            at, closed = self._field_end(data, at)
            if at < len(data) and data[at] == 0x0A:
                yield start, at + 1
                start = at + 1
            elif at >= len(data) and (not closed or not last):
                break
            at += 1
        if last and start < len(data):
            yield start, len(data)

    def _field_end(self, data: bytes, at: int) -> tuple[int, bool]:
        """Offset of the delimiter or newline behind the field at `at` (or of the end), and whether its quotes are closed."""
        quote, escape, delimiter, quoted = self._quote[0], self._escape[0], self._delimiter[0], False
        while at < len(data):
            char = data[at]
            if quoted and char == escape and at + 1 < len(data) and data[at + 1] in (quote, escape):
                at += 1
            elif char == quote:
                quoted = not quoted
            elif not quoted and char in (delimiter, 0x0A):
                break
            at += 1
        return at, not quoted

    def masked(self, row: bytes, width: int, replace: dict[int, Replace]) -> bytes:
        line = row.removesuffix(b"\n")
        fields = self._split_fields(line)
        _check(len(fields), width, row)
        for i, replacer in replace.items():
            if fields[i] != self._null:
                value = self._value(fields[i])
                new = replacer(value)
                if new is not value:
                    fields[i] = self._null if new is None else self._quoted(new)
        return self._delimiter.join(fields) + row[len(line) :]

    def _split_fields(self, line: bytes) -> list[bytes]:
        fields, at = [], 0
        while True:
            end, _ = self._field_end(line, at)
            fields.append(line[at:end])
            if end >= len(line):
                return fields
            at = end + 1

    def _value(self, field: bytes) -> bytes:
        if field[:1] != self._quote:
            return field
        out, at, inner = bytearray(), 0, field[1:-1]
        while at < len(inner):
            if inner[at] == self._escape[0] and at + 1 < len(inner) and inner[at + 1] in self._escaped:
                at += 1
            out.append(inner[at])
            at += 1
        return bytes(out)

    def _quoted(self, value: bytes) -> bytes:
        return self._quote + b"".join(self._escaped.get(c, bytes((c,))) for c in value) + self._quote


class _Binary:
    """A signature, flags and an extension once; then tuples like DataRow's; int16 -1 at the end."""

    shows_all = False  # where a tuple ends is only known by reading it

    def __init__(self, _options: CopyOptions) -> None:
        self._started = False

    def odd(self, _data: bytes, at: int, _end: int) -> int:
        return at

    def shown(self, _body: bytes) -> None:
        return None

    def split(self, data: bytes, *, last: bool) -> Iterator[tuple[int, int]]:
        at = 0
        while (end := self._end(data, at)) is not None:
            self._started = True
            yield at, end
            at = end
        if last and at < len(data):
            raise ProtocolViolation("the target ended a COPY inside a tuple")

    def _end(self, data: bytes, at: int) -> int | None:
        """Offset behind the header or tuple at `at`; None while it is incomplete."""
        if not self._started:
            return self._header_end(data)
        if len(data) - at < 2:
            return None
        (count,) = _INT16.unpack_from(data, at)
        at += 2
        for _ in range(count):
            if len(data) - at < 4:
                return None
            at += 4 + max(_INT32.unpack_from(data, at)[0], 0)
        return at if at <= len(data) else None

    @staticmethod
    def _header_end(data: bytes) -> int | None:
        if not data.startswith(_SIGNATURE[: len(data)]):
            raise ProtocolViolation("the target sent a binary COPY without its signature")
        if len(data) < 19:
            return None
        end: int = 19 + _INT32.unpack_from(data, 15)[0]
        return end if end <= len(data) else None

    def masked(self, row: bytes, width: int, replace: dict[int, Replace]) -> bytes:
        if row.startswith(_SIGNATURE) or row == b"\xff\xff":
            return row
        (count,) = _INT16.unpack_from(row)
        _check(count, width, row)
        fields, _ = replace_fields(row, 2, len(row), count, replace)
        return row if fields is None else row[:2] + fields


def _check(count: int, width: int, row: bytes) -> None:
    if count != width and not (width == 0 and row in (b"\n", b"")):
        raise ProtocolViolation(f"the target sent a COPY row of {count} columns where {width} were planned")


_FORMATS: dict[str, Callable[[CopyOptions], _Rows]] = {"text": _Text, "csv": _Csv, "binary": _Binary}
