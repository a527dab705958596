"""Field values: scanning one by its type, and replacing fields in the tuple layout that DataRow and binary COPY share.

What lives here: how a value of each type is read for secrets and written back valid. What must not: messages and COPY
framing (rows.py, copy.py).

A value whose type can't hold a placeholder (a card in int8 or numeric, an unknown binary type) becomes NULL. An array or
record in binary format is taken apart; a JSON value stays valid JSON.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from struct import Struct, error
from typing import TYPE_CHECKING, Any, Final

import re2

from gateway.errors import ProtocolViolation
from gateway.masking.columns import ColumnPlan
from gateway.masking.detectors import Detectors, Hit
from gateway.masking.masks import BINARY_FORMAT, REDACTED, TEXT_FORMAT, Kind, is_fixed, kind_of, replacer
from gateway.wire import walk

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64

Replace = Callable[[bytes], bytes | None]  # the very same object back = unchanged; None = NULL
Counts = dict[tuple[str, str], int]  # (column name, source or detector) -> values masked
Change = tuple[int, int, bytes]  # offsets of a message's beginning and end, and what goes in its place

_INT32 = Struct("!i")
_INT16 = Struct("!h")
_NULL = _INT32.pack(-1)
_CUT = "the target sent a row that ends inside a field"
_MISFIT = "the target sent a row whose field lengths do not fit"
#: Shifts are machine arithmetic where this is compiled (compiled.py), and dear to the interpreter (wire/walk.py).
_COMPILED: Final = not hasattr(walk.by_shifts, "__code__")
_INT8: Final = 8  # bytes of a binary int8
_NESTING = 32  # arrays of records of arrays; deeper is redacted


class FieldMasker:
    """The column plans of one result as functions of values: `masked` and `scanned` by column index; `counts` grows."""

    def __init__(self, columns: Sequence[ColumnPlan], detectors: Detectors | None, key: bytes) -> None:
        self.counts: Counts = {}
        self.columns = tuple(columns)
        self.detectors = detectors
        #: What each value of a masked column becomes, uncounted; and where it is the same for all, that as a field.
        self.replacers = [replacer(c.mask, c.type_oid, c.format, key) if c.action == "mask" else None for c in columns]
        self.fixed = [
            packed(replace(b"")) if replace and is_fixed(c.mask, c.type_oid, c.format) else b""
            for c, replace in zip(columns, self.replacers, strict=True)
        ]
        self.masked = {i: self._counted(i, replace) for i, replace in enumerate(self.replacers) if replace}
        scanned = [(i, c) for i, c in enumerate(columns) if c.action == "scan"] if detectors else []
        self.scanned = {i: self._scan(c, detectors) for i, c in scanned if detectors}
        kinds = {(kind_of(c.type_oid, c.format), c.format) for _, c in scanned}
        #: Binary numbers may be candidates: where they are ids, most are.
        self.numbers = any(code == BINARY_FORMAT and kind in _HOLDS_NUMBERS for kind, code in kinds)
        #: Hex hides a secret from every look at raw bytes, and so does a record, where the type id of the next field stands right
        #: behind a value and may look like a part of it: such columns are read value by value.
        self.hidden = bool(kinds & {(Kind.BYTEA, TEXT_FORMAT), (Kind.RECORD, BINARY_FORMAT)})

    def first(self, data: bytes, start: int, end: int) -> int:
        """Offset of the first candidate of the scanned columns in the raw bytes data[start:end], -1 for none."""
        return self._earliest(data, start, end, loose=False)

    def suspect(self, data: bytes, start: int, end: int) -> int:
        """The same, looser: what it finds may turn out to be no candidate."""
        return self._earliest(data, start, end, loose=True)

    def _earliest(self, data: bytes, start: int, end: int, *, loose: bool) -> int:
        detectors = self.detectors
        if detectors is None or not self.scanned:
            return -1
        if self.hidden:
            return start if start < end else -1
        at = detectors.suspect(data, start, end) if loose else detectors.first(data, start, end)
        if self.numbers and (number := _BINARY_NUMBERS.search(data, start, end if at < 0 else at)) is not None:
            return int(number.start())
        return at

    def _counted(self, at: int, replace: Replace) -> Replace:
        def counted(value: bytes) -> bytes | None:
            self.count_masked(at, 1)
            return replace(value)

        return counted

    def count_masked(self, at: int, times: int) -> None:
        """So many values of this masked column were replaced."""
        column = self.columns[at]
        self._count(column.name, column.source, times)

    def _scan(self, column: ColumnPlan, detectors: Detectors) -> Replace:
        scanner = _SCANNERS[kind_of(column.type_oid, column.format)]

        def replace(value: bytes) -> bytes | None:
            cleaned, names = scanner(value, column.type_oid, column.format, detectors, 0)
            for name in names:
                self._count(column.name, name)
            return cleaned

        return replace

    def _count(self, name: str, why: str, times: int = 1) -> None:
        key = (name, why)
        self.counts[key] = self.counts.get(key, 0) + times


def replace_fields(
    data: bytes, at: int, end: int, count: int, replacers: Mapping[int, Replace]
) -> tuple[bytes | None, int]:
    """Replace fields of a tuple: `count` times int32 length (-1 = NULL) and value, from `at`.

    Answers (the new fields, or None when nothing changed, and the offset behind the last field). Raises
    ProtocolViolation when a length runs over `end`.
    """
    out: list[bytes] = []
    copied, unpack, replacer = at, _INT32.unpack_from, replacers.get
    for i in range(count):
        if at + 4 > end:
            raise ProtocolViolation(_CUT)
        (length,) = unpack(data, at)
        start = at + 4
        if length < 0:
            if length < -1:
                raise ProtocolViolation(_MISFIT)
            at = start
            continue
        at = start + length
        if at > end:
            raise ProtocolViolation(_MISFIT)
        replace = replacer(i)
        if replace is None:
            continue
        value = data[start:at]
        new = replace(value)
        if new is not value:
            out += [data[copied : start - 4], packed(new)]
            copied = at
    return (b"".join((*out, data[copied:at])) if out else None), at


def replace_candidates(data: bytes, at: int, end: int, masker: FieldMasker, candidate: int) -> bytes | None:
    """Replace the scanned fields of the tuple data[at:end] that hold a candidate; `candidate` is the first suspect.

    No field before the one that it is in holds any. None when nothing changed. Raises ProtocolViolation.
    """
    out: list[bytes] = []
    copied, scanned = at, masker.scanned
    for i in range(len(masker.columns)):
        if candidate < 0:
            break
        start = at + 4
        at = max(start + length_at(data, at, end), start)  # NULL has none
        if at <= candidate:
            continue
        if i in scanned and at > start:
            value = data[start:at]
            new = scanned[i](value)
            if new is not value:
                out += [data[copied : start - 4], packed(new)]
                copied = at
        candidate = masker.suspect(data, at, end)
    return b"".join((*out, data[copied:end])) if out else None


def length_at(data: bytes, at: i64, end: i64) -> i64:
    """The length word at `at`, -1 for NULL, of a value in data[:end]. Raises ProtocolViolation."""
    if at + 4 > end:
        raise ProtocolViolation(_CUT)
    if _COMPILED:
        first: i64 = data[at]
        second: i64 = data[at + 1]
        third: i64 = data[at + 2]
        fourth: i64 = data[at + 3]
        length: i64 = first << 24 | second << 16 | third << 8 | fourth
        length = length if length < 1 << 31 else length - (1 << 32)
    else:
        length = _INT32.unpack_from(data, at)[0]
    if length < -1 or at + 4 + length > end:
        raise ProtocolViolation(_MISFIT)
    return length


def packed(value: bytes | None) -> bytes:
    return _NULL if value is None else _INT32.pack(len(value)) + value


# --- scanning one value -----------------------------------------------------------------------------------------------

Found = tuple[bytes | None, frozenset[str]]
_CLEAN: frozenset[str] = frozenset()


def scan(value: bytes, type_oid: int, format_code: int, detectors: Detectors, depth: int = 0) -> Found:
    """Look for secrets in one field value; answers the new value (the very same object when clean) and the detectors."""
    if depth > _NESTING:
        return None, frozenset({"nesting"})
    return _SCANNERS[kind_of(type_oid, format_code)](value, type_oid, format_code, detectors, depth)


def _scan_text(value: bytes, _oid: int, _format: int, detectors: Detectors, _depth: int) -> Found:
    cleaned, counts = detectors.clean(value)
    return cleaned, frozenset(counts)


def _scan_whole(value: bytes, _oid: int, _format: int, detectors: Detectors, _depth: int) -> Found:
    """No placeholder fits: NULL."""
    names = frozenset(hit.name for hit in detectors.hits(value))
    return (None if names else value), names


def _scan_json(value: bytes, _oid: int, _format: int, detectors: Detectors, _depth: int) -> Found:
    hits = detectors.hits(value)
    return (replace_in_json(value, hits), frozenset(h.name for h in hits)) if hits else (value, _CLEAN)


def _scan_jsonb(value: bytes, oid: int, format_code: int, detectors: Detectors, depth: int) -> Found:
    if format_code == TEXT_FORMAT:
        return _scan_json(value, oid, format_code, detectors, depth)
    cleaned, names = _scan_json(value[1:], oid, format_code, detectors, depth)
    return (value[:1] + (cleaned or b"null"), names) if names else (value, _CLEAN)


def _scan_bytea(value: bytes, oid: int, format_code: int, detectors: Detectors, depth: int) -> Found:
    """In text format: hex is decoded; bytea_output = escape is text as it stands."""
    if format_code == BINARY_FORMAT or not value.startswith(b"\\x"):
        return _scan_text(value, oid, format_code, detectors, depth)
    try:
        cleaned, counts = detectors.clean(binascii.unhexlify(value[2:]))
    except binascii.Error:
        return None, frozenset({"malformed"})
    return (b"\\x" + binascii.hexlify(cleaned), frozenset(counts)) if counts else (value, _CLEAN)


def _scan_int8(value: bytes, oid: int, format_code: int, detectors: Detectors, depth: int) -> Found:
    if format_code == BINARY_FORMAT and len(value) > _INT8:
        return None, frozenset({"malformed"})
    shown = str(int.from_bytes(value, "big", signed=True)).encode() if format_code == BINARY_FORMAT else value
    names = _scan_whole(shown, oid, format_code, detectors, depth)[1]
    return (None if names else value), names


def _scan_numeric(value: bytes, oid: int, format_code: int, detectors: Detectors, depth: int) -> Found:
    shown = _numeric_text(value) if format_code == BINARY_FORMAT else value
    names = _scan_whole(shown, oid, format_code, detectors, depth)[1]
    return (None if names else value), names


def _numeric_text(value: bytes) -> bytes:
    """The digits of a binary numeric (numeric_send: count, weight, sign, scale, then digits to the base 10000)."""
    words = [int.from_bytes(value[i : i + 2], "big") for i in range(0, len(value) - 1, 2)]
    count, weight, sign = (*words, 0, 0, 0)[:3]
    if sign not in (0, 0x4000) or weight > 0x7FFF or weight > 8:  # NaN, infinity, below 1, or far longer than a card
        return b""
    digits = words[4 : 4 + count] + [0] * (weight + 1 - count)
    shown = "".join(f"{d:04d}" for d in digits)
    whole, fraction = shown[: 4 * (weight + 1)].lstrip("0"), shown[4 * (weight + 1) :].rstrip("0")
    return f"{whole}.{fraction}".rstrip(".").encode()


_TEXT_ELEMENTS = frozenset({1009, 1015, 1014, 1003, 1002, 143, 1263})


def _scan_array(value: bytes, oid: int, format_code: int, detectors: Detectors, depth: int) -> Found:
    """Text format: placeholders fit into elements of text; of other types the whole array becomes NULL."""
    if format_code == TEXT_FORMAT:
        return (_scan_text if oid in _TEXT_ELEMENTS else _scan_whole)(value, oid, format_code, detectors, depth)
    try:
        dimensions, _, element = _ARRAY_HEAD.unpack_from(value)
        at = 12 + 8 * dimensions
        return _scan_elements(value, at, lambda _i: (element, 4), detectors, depth)
    except (error, ProtocolViolation, ValueError):
        return None, frozenset({"malformed"})


def _scan_record(value: bytes, oid: int, format_code: int, detectors: Detectors, depth: int) -> Found:
    """Binary: int32 count, then type id, length and value of each field (record_send)."""
    if format_code == TEXT_FORMAT:
        return _scan_text(value, oid, format_code, detectors, depth)
    try:
        return _scan_elements(value, 4, lambda at: (_INT32.unpack_from(value, at)[0], 8), detectors, depth)
    except (error, ProtocolViolation, ValueError):
        return None, frozenset({"malformed"})


def _scan_elements(
    value: bytes, at: int, head: Callable[[int], tuple[int, int]], detectors: Detectors, depth: int
) -> Found:
    """Scan elements to the end of `value`. `head(at)` tells an element's type and the bytes up to its value (length last)."""
    out, copied, names = [], at, _CLEAN
    first = at
    while at < len(value):
        oid, width = head(at)
        length = _INT32.unpack_from(value, at + width - 4)[0]
        start, at = at + width, at + width + max(length, 0)
        if at > len(value):
            raise ValueError("an element runs over the end of its array or record")
        if length < 0:
            continue
        old = value[start:at]
        new, found = scan(old, oid, BINARY_FORMAT, detectors, depth + 1)
        if new is not old:
            out += [value[copied : start - 4], packed(new)]
            copied, names = at, names | found
    if not names:
        return value, _CLEAN
    return value[:first] + b"".join((*out, value[copied:])), names


def _scan_nothing(value: bytes, _oid: int, _format: int, _detectors: Detectors, _depth: int) -> Found:
    return value, _CLEAN


_SCANNERS: dict[Kind, Callable[[bytes, int, int, Detectors, int], Found]] = {
    Kind.TEXT: _scan_text,
    Kind.CHAR: _scan_nothing,
    Kind.JSON: _scan_json,
    Kind.JSONB: _scan_jsonb,
    Kind.BYTEA: _scan_bytea,
    Kind.INT8: _scan_int8,
    Kind.NUMERIC: _scan_numeric,
    Kind.ARRAY: _scan_array,
    Kind.RECORD: _scan_record,
    Kind.HARMLESS: _scan_nothing,
    Kind.UNKNOWN: _scan_whole,
}
_HOLDS_NUMBERS = frozenset({Kind.INT8, Kind.NUMERIC, Kind.ARRAY, Kind.RECORD})
_ARRAY_HEAD = Struct("!iii")  # dimensions, has nulls, element type (array_send); 8 bytes a dimension follow


def _binary_numbers() -> Any:
    """Lengths and leading bytes of the int8 and numeric values that have a card's number of digits.

    int8: 13 digits from 4..., 14 from 3..., 15 from 34... to 69..., 16 to 19 digits from 2...; microseconds since 2000
    (a binary timestamp of our days is 0x0002...) fall between. numeric: weight 3 or 4 is 13 to 20 digits.
    """
    options = re2.Options()
    options.encoding, options.never_capture, options.dot_nl = re2.Options.Encoding.LATIN1, True, True
    int8 = rb"\x00\x00\x00\x08(?:[\x01-\x7f]|\x00[\x07-\xff]|\x00\x01[\x34-\x5b\xc6-\xff]|\x00\x02[\x00-\x80]|\x00\x00[\x1b-\x24\x2d-\x40]|\x00\x00\x03[\xa3-\xff]|\x00\x00[\x04-\x06])"
    numeric = rb"\x00[\x01-\x0c]\x00[\x03\x04][\x00\x40]\x00\x00"
    return re2.compile(int8 + b"|" + numeric, options)


_BINARY_NUMBERS = _binary_numbers()

# --- JSON -------------------------------------------------------------------------------------------------------------

_JSON_TOKEN = re2.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')


def replace_in_json(value: bytes, hits: Sequence[Hit]) -> bytes:
    """Put the placeholders in so that the result is JSON: inside a string as it is, in the place of a number as a string.

    A hit over several tokens (or a result that is no JSON after all) costs the whole value: "[redacted]".
    """
    out, at, pending = [], 0, list(hits)
    for token in _JSON_TOKEN.finditer(value):
        start, end = token.start(), token.end()
        inside = [hit for hit in pending if start <= hit.start and hit.end <= end]
        if not inside:
            continue
        pending = [hit for hit in pending if hit not in inside]
        if value[start] != 0x22:
            out += [value[at:start], json.dumps(inside[0].mask).encode()]
            at = end
            continue
        for hit in inside:
            first, last = max(hit.start, start + 1), min(hit.end, end - 1)
            out += [value[at:first], hit.mask.encode()]
            at = last
    result = b"".join((*out, value[at:]))
    return result if not pending and _is_json(result) else json.dumps(REDACTED).encode()


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return False
    return True
