"""What a secret looks like in bytes: every form that can be turned back into it and that lineage is to cover.

What lives here: making the forms and searching for them. What must not: sockets, what an attempt is.
"""

import base64
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import re2

#: Shorter pieces are in innocent bytes too: OIDs, lengths, counts.
_PIECE = 7
_OTHERS = bytes(each for each in range(256) if not (48 <= each <= 57 or 97 <= each <= 122))
_ALPHABET = bytes(range(97, 123))
_LETTERS = str.maketrans("0123456789", "abcdefghij")
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


def forms(secret: str) -> frozenset[bytes]:
    """Each form of the secret, in lower case."""
    found = set[bytes]()
    for text in {secret, secret[::-1], secret.translate(_LETTERS), secret.translate(_WIDE), _plain(secret)}:
        found |= set(_of_text(text))
    if secret.isdigit():
        found |= set(_of_number(int(secret)))
    return frozenset(each for each in found if len(each) >= _PIECE)


def found_in(raw: bytes, wanted: frozenset[bytes]) -> list[bytes]:
    """The forms that are in the bytes: as they are, without what is no letter or digit, or scattered over rows digit by digit."""
    lower = raw.lower()
    packed = lower.translate(None, _OTHERS)
    digits = packed.translate(None, _ALPHABET)
    anything, numbers = _patterns(wanted)
    if not (anything.search(lower) or anything.search(packed) or numbers.search(digits)):
        return []
    return sorted(each for each in wanted if each in lower or each in packed or (each.isdigit() and each in digits))


@cache
def _patterns(wanted: frozenset[bytes]) -> tuple[Any, Any]:
    """Any of the forms, and any that is digits alone: most bytes hold none, and a pattern says so a hundred times as fast."""
    return _any_of(wanted), _any_of(each for each in wanted if each.isdigit())


def _any_of(wanted: Iterable[bytes]) -> Any:
    options = re2.Options()
    options.encoding, options.max_mem = (
        re2.Options.Encoding.LATIN1,
        1 << 28,
    )  # less, and it goes on without its automaton
    escaped = "|".join(re2.escape(each.decode("latin-1")) for each in wanted)
    return re2.compile(escaped.encode("latin-1") or rb"[^\x00-\xff]", options)  # nothing to find: what no byte is


def _plain(secret: str) -> str:
    return "".join(filter(str.isalnum, secret))


def _of_text(text: str) -> Iterator[bytes]:
    data = text.encode()
    yield data.lower()
    yield data.hex().encode()
    half = len(data) // 2
    yield from (data[:half].lower(), data[half:].lower())
    for shift in range(3):  # base64 of it wherever it stands in a longer text
        coded = base64.b64encode(b"\0" * shift + data)
        yield coded[4 if shift else 0 : -4].lower()


def _of_number(number: int) -> Iterator[bytes]:
    if number < 1 << 63:
        yield number.to_bytes(8, "big").lower()
        yield number.to_bytes(8, "big").hex().encode()
    digits = str(number)
    digits = digits.zfill(-(-len(digits) // 4) * 4)
    yield b"".join(int(digits[at : at + 4]).to_bytes(2, "big") for at in range(0, len(digits), 4)).lower()
