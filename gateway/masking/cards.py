"""Payment card numbers: issuer ranges, lengths, groups, Luhn. Used by detectors.py only.

A candidate is a maximal run of digits with separators. Inside it a card may begin and end where a group of digits does.
A word may be glued to the run's ends, but not one of hex digits only: that is a hash (9 of 150,000 md5 tokens hold a
Luhn-valid run of 16 digits). What has the shape of an IBAN or a UUID is none. Full-width digits and zero-width characters count as what they look like.

It is looked for in whatever holds digits, so this is compiled (gateway/compiled.py): with integers of the machine, and offsets instead of
objects. `spans` is for then alone; the interpreter leaves the runs to RE2.

Left out: UATP (prefix 1: it is what timestamps and order numbers begin with) and lengths under 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from gateway.masking import ibans

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64


class Match(Protocol):
    """The part of re2's match object that is used: byte offsets of a group."""

    def start(self, group: int = 0, /) -> int: ...
    def end(self, group: int = 0, /) -> int: ...


Span = tuple[int, int, str]  # start, end (bytes), what is put there

#: First digits (from, to) -> lengths that are issued. Wider ranges may hold narrower ones: any row that fits will do.
ISSUERS: Final[tuple[tuple[str, str, frozenset[int]], ...]] = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa (13 is no longer issued but still stored)
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),  # Mastercard, 2-series
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("36", "36", frozenset({14, 16, 19})),  # Diners Club
    ("38", "39", frozenset({14, 16, 19})),
    ("300", "305", frozenset({14, 16, 19})),
    ("3095", "3095", frozenset({14, 16, 19})),
    ("3528", "3589", frozenset({16, 17, 18, 19})),  # JCB
    ("6011", "6011", frozenset({16, 17, 18, 19})),  # Discover
    ("644", "659", frozenset({16, 17, 18, 19})),  # Discover; 65 also RuPay, Elo, Verve, Troy
    ("62", "62", frozenset({16, 17, 18, 19})),  # UnionPay
    ("81", "81", frozenset({16, 17, 18, 19})),
    ("60", "60", frozenset({16})),  # RuPay, Hipercard
    ("82", "82", frozenset({16})),  # RuPay
    ("508", "508", frozenset({16})),
    ("5018", "5020", frozenset({13, 14, 15, 16, 17, 18, 19})),  # Maestro
    ("5038", "5038", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("5893", "5893", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("6304", "6304", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("6759", "6759", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("6761", "6763", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("6390", "6390", frozenset({16, 18, 19})),
    ("6334", "6334", frozenset({16, 18, 19})),  # Solo
    ("6767", "6767", frozenset({16, 18, 19})),
    ("4903", "4936", frozenset({16, 18, 19})),  # Switch
    ("564182", "564182", frozenset({16, 18, 19})),
    ("633110", "633110", frozenset({16, 18, 19})),
    ("2200", "2205", frozenset({16, 17, 18, 19})),  # Mir, Borica
    ("506099", "506198", frozenset({16, 18, 19})),  # Verve
    ("5067", "5067", frozenset({16})),  # Elo
    ("5090", "5099", frozenset({16})),
    ("6362", "6363", frozenset({16})),
    ("637", "639", frozenset({16})),  # InstaPayment
    ("9792", "9792", frozenset({16})),  # Troy
    ("9860", "9860", frozenset({16})),  # Humo
    ("8600", "8600", frozenset({16})),  # Uzcard
)
_FIRST: Final = "[2-689２-６８９]"
_DIGIT: Final = "[0-9０-９]"
#: Characters that no one sees: soft hyphen, zero-width space and joiners, word joiner, byte order mark.
_ZERO_WIDTH: Final = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_SEPARATOR: Final = "[ \t._\\-\u00a0\u2007\u2009\u202f\u3000\u2010-\u2015" + _ZERO_WIDTH + "]"

_WIDE_SEPARATORS: Final = frozenset(
    char.encode()
    for char in ("\u00a0", "\u2007", "\u2009", "\u202f", "\u3000", *map(chr, range(0x2010, 0x2016)), *_ZERO_WIDTH)
)

#: On raw bytes: a first digit of an issuer and 12 more digits, whatever stands before and behind.
NEAR: Final = f"{_FIRST}(?:{_SEPARATOR}{{0,3}}{_DIGIT}){{12}}"
#: On a value: the whole run.
RUN: Final = f"{_DIGIT}(?:{_SEPARATOR}{{0,3}}{_DIGIT}){{12,}}"

_SHORTEST: Final = 13
_LONGEST: Final = 19
_E164_LONGEST: Final = 15  # digits of a phone number: behind a "+" these are no cards
_HEX: Final = frozenset(b"0123456789ABCDEFabcdef")
_ALNUM: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
LONGEST_WORD: Final = 64  # bytes looked at beside a run: a sha256 in hex
_DOUBLED: Final = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9))  # the digit sum of twice the digit
_ASCII_SEPARATORS: Final = b" \t._-"
GAP: Final = 3  # separators between two digits of a run

#: How people group card numbers, beside equal groups with a shorter last one.
_GROUPINGS: Final = frozenset(
    {
        (4, 6, 5),
        (4, 6, 4),
        (6, 13),
        (6, 10),
        (4, 4, 4, 5),
        (4, 4, 4, 6),
        (4, 4, 5),
        (4, 3, 3, 3),
        (4, 4, 4, 7),
        (6, 4, 5),
        (4, 12),
        (8, 4, 4),
        (4, 8, 4),
        (4, 4, 8),
    }
)


def _lengths() -> tuple[bytes, dict[int, int]]:
    """ISSUERS by the first four digits, and by the first six where a row tells as many: a bit for each length."""
    by_four, by_six = bytearray(10_000), dict[int, int]()
    for low, high, lengths in ISSUERS:
        bits = sum(1 << length - _SHORTEST for length in lengths)
        wide = 10 ** max(0, 4 - len(low))
        for prefix in range(int(low) * wide, (int(high) + 1) * wide):
            if len(low) > 4:
                by_six[prefix] = by_six.get(prefix, 0) | bits
            else:
                by_four[prefix] |= bits
    return bytes(by_four), by_six


_BY_FOUR: Final = _lengths()[0]
_BY_SIX: Final = _lengths()[1]
_LONGER: Final = {prefix // 100 for prefix in _BY_SIX}
#: By the first four digits: 1 where six of them say more.
_ASKS_SIX: Final = bytes(four in _LONGER for four in range(10_000))


def luhn(digits: str) -> bool:
    """Check the last digit (ISO/IEC 7812-1, Annex B)."""
    return _luhn(digits.encode(), 0, len(digits))


def _luhn(digits: bytes, first: i64, end: i64) -> bool:
    doubled = _DOUBLED
    total: i64 = 0
    at: i64 = end - 1
    while at > first:
        one: i64 = digits[at]
        two: i64 = digits[at - 1]
        twice: i64 = doubled[two - 0x30]
        total += one - 0x30 + twice
        at -= 2
    if at == first:
        one = digits[at]
        total += one - 0x30
    return total % 10 == 0


def issued(digits: str) -> bool:
    """Whether an issuer has numbers that begin so and are so long."""
    shown, size = digits.encode(), len(digits)
    return _SHORTEST <= size <= _LONGEST and bool(_issued(shown, 0) >> size - _SHORTEST & 1)


def _issued(digits: bytes, first: i64) -> i64:
    """How long the numbers are that some issuer begins with these digits, six at least: bit 0 is _SHORTEST."""
    a: i64 = digits[first]
    b: i64 = digits[first + 1]
    c: i64 = digits[first + 2]
    d: i64 = digits[first + 3]
    four: i64 = 1000 * a + 100 * b + 10 * c + d - 1111 * 0x30
    lengths: i64 = _BY_FOUR[four]
    if _ASKS_SIX[four]:
        by_six: i64 = _BY_SIX.get(int(digits[first : first + 6]), 0)
        lengths |= by_six
    return lengths


def mask(digits: str) -> str:
    """What people see of a card: the last four digits."""
    return f"**** **** **** {digits[-4:]}"


def glued_left(data: bytes, start: int, chars: frozenset[int] = _ALNUM) -> bool:
    """Whether one of `chars` stands before `start`. The end of an escape is none of them: \\n in JSON and arrays, %3D in URLs."""
    if not start or data[start - 1] not in chars:
        return False
    if start > 1 and data[start - 1] in b"nrtbfv" and data[start - 2] == 0x5C:
        return False
    return not (start > 2 and data[start - 3] == 0x25 and _HEX.issuperset(data[start - 2 : start]))


def find(data: bytes, m: Match) -> list[Span]:
    """The cards in a run of digits, with what replaces each."""
    return _within(data, m.start(), m.end())


def holds(data: bytes, first: i64, end: i64) -> bool:
    """Whether there is a card in the run data[first:end], whatever stands beside it: ASCII digits and separators, digits at its ends."""
    at: i64 = first
    while at < end and 0x30 <= data[at] <= 0x39:
        at += 1
    if at == end:  # most are ids and times: nothing has to be taken apart
        size: i64 = end - first
        if size < _SHORTEST or size > _LONGEST:
            return False
        return (_issued(data, first) >> (size - _SHORTEST)) & 1 == 1 and _luhn(data, first, end)
    if not _begins_as_one(data, first, end):
        return False
    run = data[first:end]
    groups = _ascii_groups(run, 0)
    return bool(_cards(run, 0, groups, 0, len(groups.starts)))


def _begins_as_one(data: bytes, first: i64, end: i64) -> bool:
    """Does a group of the run begin as an issuer's numbers do? As _card_at has it, the fraction of a decimal number doesn't."""
    inside = False
    at: i64 = first
    while at < end:
        if not 0x30 <= data[at] <= 0x39:
            inside = False
        elif not inside:
            inside = True
            fraction = at - 1 > first and data[at - 1] == 0x2E and 0x30 <= data[at - 2] <= 0x39
            four = _first_four(data, at, end)
            if not fraction and (_BY_FOUR[four] or _ASKS_SIX[four]):
                return True
        at += 1
    return False


def _first_four(data: bytes, at: i64, end: i64) -> i64:
    """The first four digits of data[at:end] as a number, whatever is between them; 0 where there are fewer."""
    four: i64 = 0
    digits: i64 = 0
    while at < end:
        char: i64 = data[at]
        if 0x30 <= char <= 0x39:
            four = 10 * four + char - 0x30
            digits += 1
            if digits == 4:
                return four
        at += 1
    return 0


def spans(data: bytes) -> list[Span]:
    """The cards in all runs of a value: what `find` says of each match of RUN."""
    found: list[Span] = []
    size: i64 = len(data)
    at: i64 = 0
    while at < size:
        width = _digit(data, at, size)
        if width == 0:
            at += 1
            continue
        end, count = _run(data, at, size)
        if count >= _SHORTEST:
            found += _within(data, at, end)
        at = end
    return found


def _run(data: bytes, at: i64, size: i64) -> tuple[i64, i64]:
    """The end of the run that begins with the digit at `at`, and how many digits it has."""
    count: i64 = 0
    gap: i64 = 0
    end: i64 = at
    while at < size:
        width: i64 = _digit(data, at, size)
        if width:
            count += 1
            gap = 0
            end = at + width
        else:
            width = _separator(data, at, size)
            gap += 1
            if width == 0 or gap > GAP:
                break
        at += width
    return end, count


def _digit(data: bytes, at: i64, size: i64) -> i64:
    """How many bytes the digit at `at` takes; 0 where none is."""
    char: i64 = data[at]
    if 0x30 <= char <= 0x39:
        return 1
    if char != 0xEF or at + 2 >= size or data[at + 1] != 0xBC:
        return 0
    char = data[at + 2]
    return 3 if 0x90 <= char <= 0x99 else 0


def _separator(data: bytes, at: i64, size: i64) -> i64:
    """The same of a separator."""
    char: i64 = data[at]
    if char < 0x80:
        return 1 if char in (0x20, 0x2D, 0x2E, 0x5F, 0x09) else 0
    for width in (2, 3):
        if at + width <= size and data[at : at + width] in _WIDE_SEPARATORS:
            return width
    return 0


class _Groups:
    """The groups of a run, digits without a visible separator between them. Offsets of bytes in the value.

    `digits`: of all groups as ASCII. By group: `first` digit of it (and one more number, behind the last), `starts`, `ends`, and the
    separators `before` it as one number.
    """

    def __init__(self, digits: bytes) -> None:
        self.digits = digits
        self.first: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.before: list[int] = []

    def begin(self, first: int, start: int, before: int) -> None:
        """A group begins; the one before it has ended."""
        self.first.append(first)
        self.starts.append(start)
        self.before.append(before)


def _within(data: bytes, start: i64, end: i64) -> list[Span]:
    """The cards in the run data[start:end]."""
    run = data[start:end]
    groups = _ascii_groups(run, start) if run.isascii() else _groups(run, start)
    low: i64 = _behind_percent(groups) if start > 0 and data[start - 1] == 0x25 else 0
    high: i64 = len(groups.starts)
    found = _cards(data, start, groups, low, high)
    if not found:  # looking at what is glued to a run costs more, and most runs hold no card
        return found
    before, behind = _word_before(data, start), _word_behind(data, end)
    if not before and not behind:
        return found
    first, last = _unglued(start, groups, low, high, before, behind)
    return found if first == low and last == high else _cards(data, start, groups, first, last)


def _cards(data: bytes, start: i64, groups: _Groups, at: i64, high: i64) -> list[Span]:
    """The cards of the groups from `at` to `high`."""
    plus = start > 0 and data[start - 1] == 0x2B
    found: list[Span] = []
    while at < high:
        shortest: i64 = _E164_LONGEST + 1 if plus and groups.starts[at] == start else _SHORTEST
        count: i64 = _card_at(groups, at, high, shortest)
        if count == 0 or _of_uuid(data, groups, at, count):  # a card may begin within a UUID
            at += 1
            continue
        end: i64 = groups.first[at + count]
        shown = groups.digits[end - 4 : end].decode()
        found.append((groups.starts[at], groups.ends[at + count - 1], mask(shown)))
        at += count
    return found


def _behind_percent(groups: _Groups) -> i64:
    """Leave out the %20 of a URL before a number; answers the first group that is left."""
    if groups.first[1] <= 2:
        return 1
    groups.first[0] = 2
    groups.starts[0] += 2
    return 0


def _unglued(start: i64, groups: _Groups, low: i64, high: i64, before: bytes, behind: bytes) -> tuple[i64, i64]:
    """Leave out the groups at the ends of a run that belong to the word glued to it: an IBAN, a hash."""
    low += _of_iban(before, groups, low, high, behind)
    begins = low < high and groups.starts[low] == start
    if begins and high - low == 1:
        return (low, low) if _of_hash(before + behind) else (low, high)
    if begins and _of_hash(before):
        low += 1
    if low < high and _of_hash(behind):
        high -= 1
    return low, high


def _word_before(data: bytes, start: i64) -> bytes:
    """The letters and digits that end at `start`; none behind an escape or the %B that opens track 1 of a card's stripe."""
    if not glued_left(data, start) or (start >= 2 and data[start - 2] == 0x25 and data[start - 1] == 0x42):
        return b""
    at: i64 = start
    stop: i64 = max(0, start - LONGEST_WORD)
    while at > stop and data[at - 1] in _ALNUM:
        at -= 1
    return data[at:start]


def _word_behind(data: bytes, end: i64) -> bytes:
    at: i64 = end
    stop: i64 = min(len(data), end + LONGEST_WORD)
    while at < stop and data[at] in _ALNUM:
        at += 1
    return data[end:at]


def _of_hash(word: bytes) -> bool:
    return bool(word) and _HEX.issuperset(word)


def _of_iban(before: bytes, groups: _Groups, low: i64, high: i64, behind: bytes) -> i64:
    """How many groups at the beginning of a run are, with a country's letters before them, its IBAN or its digits so far."""
    missing: i64 = ibans.LENGTHS.get(before.decode(), 0) - len(before)
    first = groups.first
    at: i64 = low
    while at < high:
        missing -= first[at + 1] - first[at]
        at += 1
        if missing == 0:
            return at - low
    return high - low if missing > 0 and behind and first[low + 1] - first[low] == 2 else 0


def _of_uuid(data: bytes, groups: _Groups, at: i64, count: i64) -> bool:
    """The first three parts of a UUID or the last two: what is beside them may hold letters."""
    first = groups.first
    size: i64 = first[at + 1] - first[at]
    if count == 3 and size == 8:
        last: i64 = groups.ends[at + 2]
        return (
            first[at + 2] - first[at + 1] == 4
            and first[at + 3] - first[at + 2] == 4
            and last < len(data)
            and data[last] == 0x2D
        )
    start: i64 = groups.starts[at]
    return count == 2 and size == 4 and first[at + 2] - first[at + 1] == 12 and start > 0 and data[start - 1] == 0x2D


def _ascii_groups(run: bytes, offset: i64) -> _Groups:
    """Split a run at its separators, where all of it is ASCII, as of most."""
    if run.isdigit():
        groups = _Groups(run)
        groups.begin(0, offset, 0)
        groups.ends.append(offset + len(run))
        groups.first.append(len(run))
        return groups
    groups = _Groups(run.translate(None, _ASCII_SEPARATORS))
    before: i64 = 0
    digits: i64 = 0
    inside = False
    at: i64 = 0
    size: i64 = len(run)
    while at < size:
        char: i64 = run[at]
        if 0x30 <= char <= 0x39:
            if not inside:
                groups.begin(digits, offset + at, before)
                inside = True
            digits += 1
        elif inside:
            groups.ends.append(offset + at)
            inside = False
            before = char
        else:
            before = before << 16 | char
        at += 1
    groups.ends.append(offset + size)
    groups.first.append(digits)
    return groups


def _groups(run: bytes, offset: i64) -> _Groups:
    """Split a run at its visible separators."""
    text = run.decode()
    groups = _Groups("".join([str(int(char)) for char in text if char.isdecimal()]).encode())
    before, digits, at, last = 0, 0, int(offset), int(offset)
    inside = False
    for char in text:
        width = 1 if char < "\x80" else len(char.encode())
        if char.isdecimal():
            if not inside:
                groups.begin(digits, at, before)
                inside = True
            digits += 1
            last = at + width
        elif char not in _ZERO_WIDTH:
            if inside:
                groups.ends.append(last)
                before, inside = 0, False
            before = before << 16 | ord(char)
        at += width
    groups.ends.append(last)
    groups.first.append(digits)
    return groups


def _card_at(groups: _Groups, at: i64, high: i64, shortest: i64) -> i64:
    """The longest card that begins with the group at `at`: how many groups it takes, 0 where there is none."""
    digits, first, before = groups.digits, groups.first, groups.before
    begin: i64 = first[at]
    if len(digits) - begin < shortest or before[at] == 0x2E:  # the fraction of a decimal number
        return 0
    lengths: i64 = _issued(digits, begin)
    best: i64 = 0
    last: i64 = at
    while last < high and lengths:
        size: i64 = first[last + 1] - begin
        if size > _LONGEST or (last - at >= 2 and before[last] != before[at + 1]):
            break
        if (
            size >= shortest
            and (lengths >> (size - _SHORTEST)) & 1
            and _written_so(first, at, last)
            and _luhn(digits, begin, begin + size)
        ):
            best = last - at + 1
        last += 1
    return best


def _written_so(first: list[int], at: i64, last: i64) -> bool:
    """Whether a card is written in groups of these sizes. Dates, phone numbers and UUIDs are not."""
    if at == last:
        return True
    whole: i64 = first[at + 1] - first[at]
    if whole in (1, 4, 8):
        i: i64 = at + 1
        while i < last and first[i + 1] - first[i] == whole:
            i += 1
        if i == last and first[last + 1] - first[last] <= whole:
            return True
    return last - at < 4 and tuple([first[i + 1] - first[i] for i in range(at, last + 1)]) in _GROUPINGS


def example() -> str:
    """A Visa test number in groups, built here."""
    body = "4" + "1" * 14
    full = next(body + str(d) for d in range(10) if luhn(body + str(d)))
    return " ".join(full[i : i + 4] for i in range(0, 16, 4))
