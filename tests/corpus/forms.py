"""What a secret looks like in bytes: every form that can be turned back into it and that lineage is to cover.

What lives here: making the forms and searching for them. What must not: sockets, what an attempt is.
"""

import base64
from collections.abc import Iterable, Iterator

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


def found_in(raw: bytes, wanted: Iterable[bytes]) -> list[bytes]:
    """The forms that are in the bytes: as they are, without what is no letter or digit, or scattered over rows digit by digit."""
    lower = raw.lower()
    packed = lower.translate(None, _OTHERS)
    digits = packed.translate(None, _ALPHABET)
    return sorted(each for each in wanted if each in lower or each in packed or (each.isdigit() and each in digits))


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
