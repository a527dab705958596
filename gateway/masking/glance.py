"""A glance over raw bytes: where a card or a key may stand. Pure, and compiled where there is a compiler (compiled.py).

What RE2 finds with all patterns at once at 3 ns a byte this rules out at a fifth of it, because it need not look at each byte:
every card has 13 bytes of digits and separators, every key a word of twelve or more, so that one byte in twelve tells whether there
can be one; a password stands behind a name and one of : = >, and the C library finds those. It never misses what the rules'
patterns find in a value, whatever bytes stand around (the tests compare them, rule by rule); what it stops at is for RE2 to
judge, row by row. Numbers that are no card for sure (cards.holds) it passes, for most rows hold ids and times. To the interpreter it
is slower than RE2, so it is used compiled only.

What must not live here: what a secret is (rules.py). A rule that is not in SIGNS is none that this knows of, and then RE2 looks.
"""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase, digits
from typing import TYPE_CHECKING, Final

from gateway.masking import cards as numbers

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from collections.abc import Iterable

    from mypy_extensions import i64

_LOWER_HEX: Final = "0123456789abcdef"
#: Rule.what -> what each of its matches holds, in a word of _WORD bytes or more; three bytes at least. None: see the functions.
SIGNS: Final[dict[str, tuple[str, ...] | None]] = {
    "payment card, all brands": None,
    "AWS key id and secret side by side": ("AKIA", "ASIA"),
    "AWS key id": ("AKIA", "ASIA", "ABIA", "ACCA"),
    "GitHub token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitHub fine-grained token": ("github_pat_",),
    "GitLab token": tuple(
        f"gl{each}-" for each in ("pat", "dt", "rt", "rtr", "ptt", "cbt", "oas", "soat", "ft", "imt", "agent", "ffct")
    ),
    "Slack token": ("xox",),
    "Slack app token": ("xapp-",),
    "Slack webhook": ("hooks.slack.com/",),
    "Stripe key": tuple(f"{kind}_{mode}_" for kind in ("sk", "rk") for mode in ("live", "test", "prod")),
    "Stripe webhook secret": ("whsec_",),
    "Google API key": ("AIza",),
    "Google OAuth secret": ("GOCSPX-",),
    "Google access token": ("ya29.",),
    "Anthropic key": ("sk-",),
    "OpenAI project key": ("sk-",),
    "OpenAI key with its mark": ("sk-",),
    "OpenAI key, old": ("sk-",),
    "OpenAI key": ("sk-",),
    "sk- key in hex": ("sk-",),
    "Azure client secret": tuple(f"{each}Q~" for each in digits),
    "Azure storage or bus key": tuple(f"{each}==" for each in ascii_letters + digits + "+/"),
    "Azure service key": ("JQQJ99",),
    "Azure shared access signature": None,
    "Azure shared access key": None,
    "npm token": ("npm_",),
    "PyPI token": ("pypi-",),
    "SendGrid key": ("SG.",),
    "Twilio key": tuple(f"SK{each}{one}" for each in _LOWER_HEX for one in _LOWER_HEX),
    "Mailgun key": ("key-",),
    "prefixed token of another vendor": (
        *("dop_v1_", "hf_", "glsa_", "dapi", "hvs.", "lin_api_", "sq0csp-", "rubygems_", "pul-", "dckr_pat_", "PMAK-"),
        *(f"shp{each}" for each in ascii_lowercase),
    ),
    "bearer token": None,
    "basic authorization": None,
    "assignment of something random": None,
    "option of a command": None,
    "JSON Web Token": ("eyJ", "eyA", "ewo"),
    "PEM private key": None,
    "PuTTY private key": ("PuTTY-User-Key-File-",),
    "age secret key": ("AGE-SECRET-KEY-1",),
    "password in a URL": None,
    "password=value": None,
    'password = \'value\' or "password": "value"': None,
    "password: value": None,
}
#: Rules each match of which holds an apostrophe or a dollar; nothing else of them is looked for, so only texts are worth it.
QUOTED: Final[frozenset[str]] = frozenset({"string constant behind PASSWORD or IDENTIFIED BY"})
#: What a value stands behind: with : = or > between, or (a word, with or without a quote) with blanks.
NAMES: Final[tuple[bytes, ...]] = (
    *(b"key", b"token", b"secret", b"credential", b"credentials", b"password", b"passwd", b"pwd", b"passphrase"),
    *(b"sig", b"authorization", b"bearer"),
)
_LONGEST_NAME: Final = 3 * max(map(len, NAMES))  # (?i) takes a Kelvin sign for a k: 3 bytes

_WORD: Final = 12  # the value of an option; a card has 13 bytes, and is looked for at the same places
_SMALL: Final = 1 << 24  # bytes: in there the first of a length's four is 0
_DIGITS: Final = 13
#: Bytes between two digits of a card: three separators, and what a full-width digit has beside its second byte.
_GAP: Final = 11
#: Bytes that one kind of look goes through before the next kind, so that nothing is looked at twice.
_WINDOW: Final = 200 * _WORD
#: Bytes behind an operator that are looked through here for the next one, before the C library is asked.
_NEAR: Final = 256
_LONGEST_RUN: Final = 128  # bytes of digits and separators; what is in a longer one is not asked here

_OPERATORS: Final[tuple[i64, ...]] = tuple(b":=>V")
_ALNUM: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FOLDED: Final = "\u017f\u212a".encode()  # the long s and the Kelvin sign, which (?i) takes for s and k
_SEPARATORS: Final = " \t._-\u00a0\u00ad\u2007\u2009\u200b\u200c\u200d\u202f\u2060\u3000\ufeff" + "".join(
    map(chr, range(0x2010, 0x2016))
)


def _set(chars: bytes) -> bytes:
    """1 for each of these bytes, as a table. One a question: mypyc makes a test for truth cheap, and one for a bit dear."""
    return bytes(char in chars for char in range(256))


def _threes(known: dict[bytes, int]) -> tuple[bytes, bytes]:
    """Two tables for three bytes: by first << 8 | second a number, and by that << 8 | third what is known of them; 0 for none."""
    pairs = {pair: n for n, pair in enumerate(dict.fromkeys(each[:2] for each in known), 1)}
    by_two, by_three = bytearray(1 << 16), bytearray(1 << 16)
    for (first, second), n in pairs.items():
        by_two[first << 8 | second] = n
    for each, what in known.items():
        by_three[pairs[each[:2]] << 8 | each[2]] = what
    return bytes(by_two), bytes(by_three)


def _ends() -> Iterable[bytes]:
    """The last two bytes of NAMES in any case, the last letter folded too, each with what may stand before them."""
    for name in NAMES:
        before, one, two = map(chr, name[-3:])
        ends = {(a + b).encode() for a in (one, one.upper()) for b in (two, two.upper())}
        folded = {bytes((0xC5, 0xBF))} if two == "s" else set[bytes]()
        if one in "sk":
            folded |= {bytes((0xBF if one == "s" else 0xAA, ord(b))) for b in (two, two.upper())}
        yield from (
            end + bytes((char,)) for end in ends for char in (ord(before), ord(before.upper()), *range(0x80, 0x100))
        )
        yield from (end + bytes((char,)) for end in folded for char in range(0x100))


_LITERALS: Final = sorted({each.encode() for signs in SIGNS.values() for each in signs or ()})
_BEGINNINGS: Final = sorted({each[:3] for each in _LITERALS})
_OF_SIGNS: Final = _threes({each: n for n, each in enumerate(_BEGINNINGS, 1)})
_HEAD: Final = _OF_SIGNS[0]
_BEGINNING: Final = _OF_SIGNS[1]
#: Of each of _BEGINNINGS, from 1 on, the signs; none where it is one itself.
_BEGUN: Final = tuple(
    () if each in _LITERALS else tuple(sign for sign in _LITERALS if sign.startswith(each))
    for each in (b"", *_BEGINNINGS)
)
_OF_NAMES: Final = _threes(dict.fromkeys(_ends(), 1))
_NAME_END: Final = _OF_NAMES[0]
_NAME_BEFORE: Final = _OF_NAMES[1]
#: A full-width digit is EF BC 90 to 99: its second byte counts as the digit.
_IS_DIGIT: Final = _set(b"0123456789\xbc")
_IS_SEPARATOR: Final = _set(bytes({*_SEPARATORS.encode(), *"０１２３４５６７８９".encode()} - {0xBC}))
_IS_HEX: Final = _set(b"0123456789abcdefABCDEF")
_IS_ALNUM: Final = _set(_ALNUM)
_IS_OF_WORD: Final = _set(_ALNUM + b"_.-/+=~%" + _FOLDED)
_IS_OF_NUMBER: Final = bytes(map(max, _IS_DIGIT, _IS_SEPARATOR))
#: 1 of a number, 2 of a word, 3 of both.
_KINDS: Final = bytes(_IS_OF_NUMBER[char] + 2 * _IS_OF_WORD[char] for char in range(256))
_OF_SIGN: Final = {pair for each in _BEGINNINGS for pair in (each[:2], each[1:])}
#: Of two bytes: 0 one is of no word, 1 both are, 2 they are two of a sign's first three.
_IN_WORD: Final = bytes(
    (_IS_OF_WORD[first] & _IS_OF_WORD[second]) * (2 if bytes((first, second)) in _OF_SIGN else 1)
    for first in range(256)
    for second in range(256)
)
_BETWEEN: Final = _set(b" \t\n\r\x0b\x0c\"'\\")  # a name and its : or =
_NO_HOST: Final = _set(b" \t\n\r\x0c:/'\"\0")
_NO_PASSWORD: Final = _set(b" \t\n\r\x0c'\"/?#")


def covers(rules: Iterable[str]) -> bool:
    """Does it know all of these rules, by what they say that they are?"""
    return all(each in SIGNS for each in rules)


def covers_unquoted(rules: Iterable[str]) -> bool:
    """Does it know them all where there is neither an apostrophe nor a dollar?"""
    return all(each in SIGNS or each in QUOTED for each in rules)


def suspect(data: bytes, at: i64, end: i64, cards: bool = True) -> i64:
    """Offset of a byte of the first place in data[at:end] where a secret may be; -1 where there is none for sure.

    The whole of a secret has to be in there. What is before the value that holds the offset, or that is next behind it, is clean.
    Not `cards`: where one of another rule may be.
    """
    begin = at
    looked: i64 = at
    while at < end:
        stop: i64 = at + _WINDOW if at + _WINDOW < end else end
        named: i64 = _operators(data, at, stop, begin, end)  # first, as it is the cheaper one to do again from a hit on
        found: i64 = _words(data, at, stop if named < 0 else named, begin, end, looked, cards)
        looked = -1 - found  # where nothing is
        if found >= 0 or named >= 0:
            return found if found >= 0 else named
        at = stop
    return -1


def _words(data: bytes, at: i64, stop: i64, begin: i64, end: i64, looked: i64, cards: bool) -> i64:
    """Look at one byte in _WORD for what is part of a number or a word. Windows are multiples of it, so none falls between.

    Answers the offset of what may be a secret; else -1 - `looked` for the next window: words up to there were looked at.
    Of the eleven bytes around it that are of the same word six are on one side. They are asked all at once: what a branch each
    costs where it is guessed wrong is more.
    """
    kinds = _KINDS
    asked: i64 = at  # numbers up to there hold no card
    at += _WORD - 1
    while at < stop:
        kind: i64 = kinds[data[at]]
        if kind != 0:
            if at - begin >= 6 and end - at > 6:
                a: i64 = kinds[data[at - 1]]
                b: i64 = kinds[data[at - 2]]
                c: i64 = kinds[data[at - 3]]
                d: i64 = kinds[data[at - 4]]
                e: i64 = kinds[data[at - 5]]
                f: i64 = kinds[data[at - 6]]
                u: i64 = kinds[data[at + 1]]
                v: i64 = kinds[data[at + 2]]
                w: i64 = kinds[data[at + 3]]
                x: i64 = kinds[data[at + 4]]
                y: i64 = kinds[data[at + 5]]
                z: i64 = kinds[data[at + 6]]
                kind &= (a & b & c & d & e & f) | (u & v & w & x & y & z)
            if kind != 0:
                if kind != 2 and cards and at >= asked:
                    asked = _digits(data, at, begin, end)
                    if asked < 0:
                        return at
                if kind > 1 and at >= looked:
                    looked = _key(data, at, begin, end)
                    if looked < 0:
                        return at
        at += _WORD
    return -1 - looked


def _digits(data: bytes, at: i64, begin: i64, end: i64) -> i64:
    """-1 where the byte at `at` is among 13 digits with no more than separators between them that may be a card's. Else an offset
    up to which there is none: beyond `at` where that was dear to say."""
    digit, separator = _IS_DIGIT, _IS_SEPARATOR
    count: i64 = 0
    gap: i64 = 0
    i: i64 = at
    while i < end and count < _DIGITS and gap <= _GAP:
        if digit[data[i]]:
            count += 1
            gap = 0
        elif separator[data[i]]:
            gap += 1
        else:
            break
        i += 1
    gap = 0
    i = at - 1
    while i >= begin and count < _DIGITS and gap <= _GAP:
        if digit[data[i]]:
            count += 1
            gap = 0
        elif separator[data[i]]:
            gap += 1
        else:
            break
        i -= 1
    return at if count < _DIGITS or _of_hash(data, at, begin, end) else _no_card(data, at, begin, end)


def _no_card(data: bytes, at: i64, begin: i64, end: i64) -> i64:
    """The end of the run that `at` is in, where it holds no card, whatever stands beside it; else -1. Most are ids, times and parts of
    UUIDs.

    What a run is glued to only rules out more. Its first bytes may be a length's last ones: there is a NUL shortly before
    then, as in no text, and the run is asked without them as well.
    """
    if end - begin > _SMALL:
        return -1
    first: i64 = _reach(data, at, begin - 1, -1)
    last: i64 = _reach(data, at, end, 1)
    if first < 0 or last < 0 or last - first > _LONGEST_RUN or (first > begin and data[first - 1] == 0x25):
        return -1  # there is more than digits and ASCII; or a %20 of a URL, which the number stands behind
    starts: i64 = 1
    i: i64 = first - 1
    while i >= begin and i >= first - 3:
        if data[i] == 0:
            starts = 4
        i -= 1
    while starts > 0 and last - first >= _DIGITS - 1:
        if 0x30 <= data[first] <= 0x39:
            if numbers.holds(data, first, last + 1):
                return -1
            starts -= 1
        elif starts > 1:
            starts -= 1
        first += 1
    return last + 1


def _reach(data: bytes, at: i64, stop: i64, step: i64) -> i64:
    """The last digit of the run around `at` in this direction, `at` itself where there is none; -1 where not all of it is ASCII."""
    found: i64 = at
    gap: i64 = 0
    while at != stop:
        char: i64 = data[at]
        if 0x30 <= char <= 0x39:
            found = at
            gap = 0
        elif not _IS_SEPARATOR[char]:
            return -1 if _IS_DIGIT[char] else found
        elif char >= 0x80:
            return -1
        else:
            gap += 1
            if gap > numbers.GAP:
                break
        at += step
    return found


def _of_hash(data: bytes, at: i64, begin: i64, end: i64) -> bool:
    """Are the digits around `at` one part of a word in hex? Then cards.py leaves them out: 4 % of all md5 hold 13 in a row.

    A hex letter of the same value has to stand right beside them: behind them a lower-case one, as no message and no length begins
    with one; or before them, where a length has at most three bytes that look like letters, at least four. And what else is
    glued to them has to be hex.
    """
    alnum, is_hex = _IS_ALNUM, _IS_HEX
    left: i64 = at
    while left >= begin and at - left <= _LONGEST_RUN and 0x30 <= data[left] <= 0x39:
        left -= 1
    right: i64 = at
    while right < end and right - at <= _LONGEST_RUN and 0x30 <= data[right] <= 0x39:
        right += 1
    if right - left > _LONGEST_RUN:
        return False  # else each of its bytes would be looked at from each step on
    if right == at or end - begin > _SMALL or _goes_on(data, left, begin, -1) or _goes_on(data, right, end, 1):
        return False
    i: i64 = left
    while i >= begin and alnum[data[i]] and left - i < numbers.LONGEST_WORD:
        if not is_hex[data[i]]:
            return False
        i -= 1
    beside = left - i >= 4 or (right < end and 0x61 <= data[right] <= 0x66)
    i = right
    while i < end and alnum[data[i]] and i - right < numbers.LONGEST_WORD:
        if not is_hex[data[i]]:
            return False
        i += 1
    return beside


def _goes_on(data: bytes, at: i64, stop: i64, step: i64) -> bool:
    """Are there more digits beyond separators from `at` on, in this direction?"""
    first: i64 = at
    while at != stop - (1 if step < 0 else 0) and _IS_OF_NUMBER[data[at]]:
        if _IS_DIGIT[data[at]] or (at - first) * step > _GAP:
            return True
        at += step
    return False


def _key(data: bytes, at: i64, begin: i64, end: i64) -> i64:
    """The end of the word around `at`; -1 where it may be a key: with a sign in it, or behind a name.

    Two bytes at a time: of three that are a sign there are two among them.
    """
    in_word, of_word = _IN_WORD, _IS_OF_WORD
    last: i64 = at
    while last + 1 < end:
        one: i64 = data[last]
        two: i64 = data[last + 1]
        pair: i64 = in_word[one << 8 | two]
        if pair != 1:
            if pair == 0:
                break
            if _sign(data, last, begin, end):
                return -1
        last += 2
    if last < end and of_word[data[last]]:
        last += 1
    first: i64 = at
    while first - 1 > begin:
        one = data[first - 2]
        two = data[first - 1]
        pair = in_word[one << 8 | two]
        if pair != 1:
            if pair == 0:
                break
            if _sign(data, first - 2, begin, end):
                return -1
        first -= 2
    if first > begin and of_word[data[first - 1]]:
        first -= 1
    if last - first >= _WORD and _named(data, first, begin):
        return -1
    return last


def _sign(data: bytes, at: i64, begin: i64, end: i64) -> bool:
    """Does one of SIGNS stand here, or one byte before?"""
    if at > begin and at + 1 < end and _begins(data, at - 1):
        return True
    return at + 2 < end and _begins(data, at)


def _begins(data: bytes, at: i64) -> bool:
    one: i64 = data[at]
    two: i64 = data[at + 1]
    three: i64 = data[at + 2]
    head: i64 = _HEAD[one << 8 | two]
    if head == 0:
        return False
    begun: i64 = _BEGINNING[head << 8 | three]
    if begun == 0:
        return False
    signs = _BEGUN[begun]
    return not signs or data.startswith(signs, at)


def _operators(data: bytes, at: i64, stop: i64, begin: i64, end: i64) -> i64:
    """Offset of the first : = or > in data[at:stop] behind a name, or in a URL with a password, or of a private key's V."""
    found: i64 = -1
    for operator in _OPERATORS:
        i: i64 = data.find(operator, at, stop)
        while i >= 0:
            if operator == 0x56:
                here = i - 3 >= begin and data[i - 1] == 0x49 and data.startswith(b"PRIVATE KEY", i - 3)
            else:
                here = _named(data, i, begin)
                if operator == 0x3A:
                    here = here or (i + 1 < end and data[i + 1] == 0x2F and _login(data, i + 1, end))
                elif operator == 0x3D:  # token value="..."
                    here = here or (
                        i - 5 >= begin and data[i - 1] | 0x20 == 0x65 and data[i - 5 : i].lower() == b"value"
                    )
            if here:
                found = stop = i
                break
            i = _next(data, operator, i + 1, stop)
    return found


def _next(data: bytes, char: i64, at: i64, end: i64) -> i64:
    """Offset of the next such byte in data[at:end], -1 for none. Where one was there is soon another, found without a call."""
    close: i64 = at + _NEAR if at + _NEAR < end else end
    while at < close:
        if data[at] == char:
            return at
        at += 1
    if at < end:
        return data.find(char, at, end)
    return -1


def _named(data: bytes, at: i64, begin: i64) -> bool:
    """Does one of NAMES end before `at`, with quotes and blanks between?"""
    i: i64 = at - 1
    while i > begin and _BETWEEN[data[i]] and at - i < _WORD:
        i -= 1
    if i <= begin + 1:
        return False
    one: i64 = data[i - 1]
    two: i64 = data[i]
    name_end: i64 = _NAME_END[one << 8 | two]
    if name_end == 0:
        return False
    third: i64 = data[i - 2]
    if not _NAME_BEFORE[name_end << 8 | third]:
        return False
    word = data[max(begin, i + 1 - _LONGEST_NAME) : i + 1].lower()
    return word.replace(b"\xc5\xbf", b"s").replace(b"\xe2\x84\xaa", b"k").endswith(NAMES)


def _login(data: bytes, at: i64, end: i64) -> bool:
    """Does //user:password come at `at`, or what could be that?"""
    if at + 1 >= end or data[at] != 0x2F or data[at + 1] != 0x2F:
        return False
    at += 2
    while at < end and not _NO_HOST[data[at]]:
        at += 1
    return at + 1 < end and data[at] == 0x3A and not _NO_PASSWORD[data[at + 1]]
