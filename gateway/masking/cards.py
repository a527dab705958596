"""Payment card numbers: issuer ranges, lengths, groups, Luhn. Used by detectors.py only.

A candidate is a maximal run of digits with separators. Inside it a card may begin and end where a group of digits does.
A word may be glued to the run's ends, but not one of hex digits only: that is a hash (9 of 150,000 md5 tokens hold a
Luhn-valid run of 16 digits). What has the shape of an IBAN or a UUID is none. Full-width digits and zero-width characters count as what they look like.

Left out: UATP (prefix 1: it is what timestamps and order numbers begin with) and lengths under 13.
"""

import re
from typing import NamedTuple, Protocol

from gateway.masking import ibans


class Match(Protocol):
    """The part of re2's match object that is used: byte offsets of a group."""

    def start(self, group: int = 0, /) -> int: ...
    def end(self, group: int = 0, /) -> int: ...


#: First digits (from, to) -> lengths that are issued. Wider ranges may hold narrower ones: any row that fits will do.
ISSUERS: tuple[tuple[str, str, frozenset[int]], ...] = (
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
_FIRST = "[2-689２-６８９]"
_DIGIT = "[0-9０-９]"
#: Characters that no one sees: soft hyphen, zero-width space and joiners, word joiner, byte order mark.
_ZERO_WIDTH = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_SEPARATOR = "[ \t._\\-\u00a0\u2007\u2009\u202f\u3000\u2010-\u2015" + _ZERO_WIDTH + "]"

#: On raw bytes: a first digit of an issuer and 12 more digits, whatever stands before and behind.
NEAR = f"{_FIRST}(?:{_SEPARATOR}{{0,3}}{_DIGIT}){{12}}"
#: On a value: the whole run.
RUN = f"{_DIGIT}(?:{_SEPARATOR}{{0,3}}{_DIGIT}){{12,}}"

_ASCII_DIGITS = re.compile("[0-9]+")
_LONGEST = 19
_ONCE = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))  # the digit sum of twice the digit
_E164_LONGEST = 15  # digits of a phone number: behind a "+" these are no cards
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_ALNUM = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_LONGEST_WORD = 64  # bytes looked at beside a run: a sha256 in hex


class _Group(NamedTuple):
    """Digits without a visible separator between them: as ASCII, byte offsets, and the separator before them."""

    digits: str
    start: int
    end: int
    before: str


def luhn(digits: str) -> bool:
    """Check the last digit (ISO/IEC 7812-1, Annex B)."""
    shown = digits.encode()
    return (sum(shown[-1::-2].translate(_ONCE)) + sum(shown[-2::-2].translate(_DOUBLED))) % 10 == 0


_BY_FIRST = {first: [row for row in ISSUERS if row[0][0] <= first <= row[1][0]] for first in "0123456789"}


def issued(digits: str) -> bool:
    """Whether an issuer has numbers that begin so and are so long."""
    for low, high, lengths in _BY_FIRST[digits[0]]:
        if low <= digits[: len(low)] <= high and len(digits) in lengths:
            return True
    return False


def mask(digits: str) -> str:
    """What people see of a card: the last four digits."""
    return f"**** **** **** {digits[-4:]}"


def glued_left(data: bytes, start: int, chars: frozenset[int] = _ALNUM) -> bool:
    """Whether one of `chars` stands before `start`. The end of an escape is none of them: \\n in JSON and arrays, %3D in URLs."""
    if not start or data[start - 1] not in chars:
        return False
    if data[start - 1] in b"nrtbfv" and data[start - 2 : start - 1] == b"\\":
        return False
    return not (start > 2 and data[start - 3] == 0x25 and _HEX.issuperset(data[start - 2 : start]))


def find(data: bytes, m: Match) -> list[tuple[int, int, str]]:
    """The cards in a run of digits, with what replaces each."""
    start, end = m.start(), m.end()
    groups = _groups(data[start:end], start)
    if data[start - 1 : start] == b"%":
        groups = _behind_percent(groups)
    found = _cards(data, start, groups)
    if not found:  # looking at what is glued to a run costs more, and most runs hold no card
        return []
    alone = _unglued(data, start, end, groups)
    return found if len(alone) == len(groups) else _cards(data, start, alone)


def _cards(data: bytes, start: int, groups: list[_Group]) -> list[tuple[int, int, str]]:
    plus = start > 0 and data[start - 1] == 0x2B
    found, at = [], 0
    while at < len(groups):
        shortest = _E164_LONGEST + 1 if plus and groups[at].start == start else 13
        count, digits = _card_at(groups, at, shortest)
        if count and _of_uuid(data, groups[at : at + count]):
            count = 0  # a card may begin within it
        if count:
            found.append((groups[at].start, groups[at + count - 1].end, mask(digits)))
        at += count or 1
    return found


def _behind_percent(groups: list[_Group]) -> list[_Group]:
    """Leave out the %20 of a URL before a number."""
    first = groups[0]
    rest = first.digits[2:]
    return [_Group(rest, first.start + 2, first.end, ""), *groups[1:]] if rest else groups[1:]


def _unglued(data: bytes, start: int, end: int, groups: list[_Group]) -> list[_Group]:
    """Leave out the groups at the ends of a run that belong to the word glued to it: an IBAN, a hash."""
    before, behind = _word_before(data, start), _word_behind(data, end)
    if not (before or behind):
        return groups
    groups = groups[_of_iban(before, groups, behind) :]
    if len(groups) == 1 and groups[0].start == start:
        return [] if _of_hash(before + behind) else groups
    first = 1 if groups and groups[0].start == start and _of_hash(before) else 0
    return groups[first:-1] if _of_hash(behind) else groups[first:]


def _word_before(data: bytes, start: int) -> bytes:
    """The letters and digits that end at `start`; none behind an escape or the %B that opens track 1 of a card's stripe."""
    if not glued_left(data, start) or data[start - 2 : start] == b"%B":
        return b""
    at = start
    while at > max(0, start - _LONGEST_WORD) and data[at - 1] in _ALNUM:
        at -= 1
    return data[at:start]


def _word_behind(data: bytes, end: int) -> bytes:
    at = end
    while at < min(len(data), end + _LONGEST_WORD) and data[at] in _ALNUM:
        at += 1
    return data[end:at]


def _of_hash(word: bytes) -> bool:
    return bool(word) and _HEX.issuperset(word)


def _of_iban(before: bytes, groups: list[_Group], behind: bytes) -> int:
    """How many groups at the beginning of a run are, with a country's letters before them, its IBAN or its digits so far."""
    missing = ibans.LENGTHS.get(before.decode(), 0) - len(before)
    for count, group in enumerate(groups, 1):
        missing -= len(group.digits)
        if missing == 0:
            return count
    return len(groups) if missing > 0 and behind and len(groups[0].digits) == 2 else 0


def _of_uuid(data: bytes, groups: list[_Group]) -> bool:
    """The first three parts of a UUID or the last two: what is beside them may hold letters."""
    sizes, first, last = [len(g.digits) for g in groups], groups[0].start, groups[-1].end
    return (sizes == [8, 4, 4] and data[last : last + 1] == b"-") or (
        sizes == [4, 12] and data[first - 1 : first] == b"-"
    )


def _groups(run: bytes, offset: int) -> list[_Group]:
    """Split a run at its visible separators."""
    if run.isascii():
        return _ascii_groups(run.decode("ascii"), offset)
    groups: list[_Group] = []
    digits, before, first, at = "", "", offset, offset
    for char in run.decode("utf-8"):
        width = 1 if char < "\x80" else len(char.encode())
        if char.isdecimal():
            if not digits:
                first = at
            digits, last = digits + (char if width == 1 else str(int(char))), at + width
        elif char not in _ZERO_WIDTH:
            if digits:
                groups.append(_Group(digits, first, last, before))
                digits, before = "", ""
            before += char
        at += width
    return [*groups, _Group(digits, first, last, before)] if digits else groups


def _ascii_groups(run: str, offset: int) -> list[_Group]:
    """The same of what most runs are."""
    groups: list[_Group] = []
    behind = 0
    for found in _ASCII_DIGITS.finditer(run):
        start, end = found.span()
        groups.append(_Group(found[0], offset + start, offset + end, run[behind:start] if groups else ""))
        behind = end
    return groups


def _card_at(groups: list[_Group], at: int, shortest: int) -> tuple[int, str]:
    """The longest card that begins with groups[at]: how many groups, and its digits; (0, "") when there is none."""
    if groups[at].before == ".":
        return 0, ""  # the fraction of a decimal number
    digits, best = "", (0, "")
    for count, group in enumerate(groups[at : at + _LONGEST], 1):
        digits += group.digits
        if len(digits) > _LONGEST or (count > 2 and group.before != groups[at + 1].before):
            break
        if len(digits) < shortest or not issued(digits):
            continue
        if _written_so([len(g.digits) for g in groups[at : at + count]]) and luhn(digits):
            best = (count, digits)
    return best


#: How people group card numbers, beside equal groups with a shorter last one.
_GROUPINGS = (
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
)


def _written_so(sizes: list[int]) -> bool:
    """Whether a card is written in groups of these sizes. Dates, phone numbers and UUIDs are not."""
    if len(sizes) == 1 or tuple(sizes) in _GROUPINGS:
        return True
    return sizes[0] in (1, 4, 8) and all(s == sizes[0] for s in sizes[:-1]) and sizes[-1] <= sizes[0]


def example() -> str:
    """A Visa test number in groups, built here."""
    body = "4" + "1" * 14
    full = next(body + str(d) for d in range(10) if luhn(body + str(d)))
    return " ".join(full[i : i + 4] for i in range(0, 16, 4))
