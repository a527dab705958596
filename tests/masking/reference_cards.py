"""Cards as first written, to be read: strings and objects where gateway/masking/cards.py has numbers. test_cards.py compares them.

What must not live here: anything of cards.py but its tables of issuers and groupings, and of what stands between digits.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from gateway.masking import ibans
from gateway.masking.cards import _ALNUM, _GROUPINGS, _HEX, _ZERO_WIDTH, ISSUERS, RUN, Span, glued_left, mask

_RUN = re.compile(RUN)


class _Group(NamedTuple):
    """Digits without a visible separator between them: as ASCII, byte offsets, and the separator before them."""

    digits: str
    start: int
    end: int
    before: str


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, Annex B."""
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits))]
    return sum(each // 10 + each % 10 for each in doubled) % 10 == 0


def issued(digits: str) -> bool:
    """Whether an issuer has numbers that begin so and are so long."""
    return any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in ISSUERS)


def spans(data: bytes) -> Iterator[Span]:
    """The cards in a value that is UTF-8."""
    text = data.decode()
    for run in _RUN.finditer(text):
        start, end = (len(text[:at].encode()) for at in run.span())
        yield from _find(data, start, end)


def _find(data: bytes, start: int, end: int) -> list[Span]:
    groups = _groups(data[start:end], start)
    if data[start - 1 : start] == b"%":
        groups = _behind_percent(groups)
    return _cards(data, start, _unglued(data, start, end, groups) if groups else [])


def _cards(data: bytes, start: int, groups: list[_Group]) -> list[Span]:
    plus = start > 0 and data[start - 1] == 0x2B
    found, at = [], 0
    while at < len(groups):
        shortest = 16 if plus and groups[at].start == start else 13
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
    while at > max(0, start - 64) and data[at - 1] in _ALNUM:
        at -= 1
    return data[at:start]


def _word_behind(data: bytes, end: int) -> bytes:
    at = end
    while at < min(len(data), end + 64) and data[at] in _ALNUM:
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


def _card_at(groups: list[_Group], at: int, shortest: int) -> tuple[int, str]:
    """The longest card that begins with groups[at]: how many groups, and its digits; (0, "") when there is none."""
    if groups[at].before == ".":
        return 0, ""  # the fraction of a decimal number
    digits, best = "", (0, "")
    for count, group in enumerate(groups[at : at + 19], 1):
        digits += group.digits
        if len(digits) > 19 or (count > 2 and group.before != groups[at + 1].before):
            break
        if len(digits) < shortest or not issued(digits):
            continue
        if _written_so([len(g.digits) for g in groups[at : at + count]]) and luhn(digits):
            best = (count, digits)
    return best


def _written_so(sizes: list[int]) -> bool:
    """Whether a card is written in groups of these sizes. Dates, phone numbers and UUIDs are not."""
    if len(sizes) == 1 or tuple(sizes) in _GROUPINGS:
        return True
    return sizes[0] in (1, 4, 8) and all(s == sizes[0] for s in sizes[:-1]) and sizes[-1] <= sizes[0]
