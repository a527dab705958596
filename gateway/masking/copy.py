"""COPY ... TO STDOUT: the bodies of CopyData messages, masked by the same plan as rows.

What lives here: the text, csv and binary formats of COPY (manual, COPY, File Formats). What must not: CopyData framing,
lineage, what a secret is.

PostgreSQL sends one row a CopyData message, but nothing here relies on it: what doesn't end with a whole row waits for the
next body. A body without candidates passes as the very same object, unless the options could hide a secret from a look at
raw bytes (a digit as quote, a hyphen as delimiter): then every row is read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Literal, Protocol

from gateway.errors import ProtocolViolation
from gateway.masking.columns import ColumnPlan
from gateway.masking.detectors import Detectors
from gateway.masking.fields import Counts, FieldMasker, Replace, replace_fields

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_INT32 = Struct("!i")
_INT16 = Struct("!h")
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

    def closed(self, body: bytes, /) -> bool:
        """Whether `body` ends with a whole row."""

    def in_lines(self, run: bytes, /) -> bool:
        """Whether each line in there is a row, whatever stands between them."""

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

    def unread(self, run: bytes) -> int:
        """How far a run of whole CopyData messages may go on unread, as an offset; 0 where each has to be read.

        The bytes before a message's body are no more in the way of a look at raw bytes than a DataRow's are (rows.py).
        """
        if not (self._replace or self._header or self._pending):
            return len(run)
        if (
            self._pending
            or self._header
            or self._fields.masked
            or not self._rows.shows_all
            or not self._rows.in_lines(run)
        ):
            return 0
        candidate = self._fields.first(run, 0)
        return len(run) if candidate < 0 else candidate

    def end(self) -> bytes:
        """What is left when CopyDone comes: a last row without its line end. Raises ProtocolViolation when it is cut."""
        return self._taken(self._pending, last=True) if self._pending else b""

    def _passes(self, body: bytes) -> bool:
        """Whether a body can go on unread: whole rows, nothing masked, nothing hidden, no candidate."""
        if self._pending or self._header or self._fields.masked or not self._rows.shows_all or not body.endswith(b"\n"):
            return False
        return self._fields.first(body, 0) < 0 and self._rows.closed(body)

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

    def closed(self, _body: bytes) -> bool:
        return True

    def in_lines(self, _run: bytes) -> bool:
        return True

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

    def closed(self, body: bytes) -> bool:
        """Whether no quoted field is open at the end of the body."""
        if self._quote not in body:
            return True
        ends = [end for _, end in self.split(body, last=False)]
        return bool(ends) and ends[-1] == len(body)

    def in_lines(self, run: bytes) -> bool:
        return self._quote not in run

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

    def closed(self, _body: bytes) -> bool:
        return False

    def in_lines(self, _run: bytes) -> bool:
        return False

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
