"""The glance never misses what the rules find in a value, whatever stands around, and stops at little else."""

import hashlib
import re
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.masking import cards, glance
from gateway.masking.detectors import Detectors, compile_pattern
from gateway.masking.rows import MaskPlan, RowMasker
from gateway.masking.rules import OWN_TEXTS, RULES, Rule
from tests.masking.test_rows import card, message, scans

NAMES = ("card", "api_key", "jwt", "private_key")
KEY = b"k" * 32
WITH, WITHOUT = (Detectors(NAMES, (), glances=each) for each in (True, False))
KNOWN = [rule for rule in RULES if rule.name in (*NAMES, "password")]
BY_RULE = pytest.mark.parametrize("rule", KNOWN, ids=lambda rule: rule.what)
#: What stands around a value, and the wire's own bytes, some of which look like letters, digits and blanks.
AROUND = st.one_of(st.binary(max_size=20), st.text("0aA9 -_.=:\\%n\u200b", max_size=20).map(str.encode))


def seen(before: bytes, value: bytes, behind: bytes) -> bool:
    """Does the look at all of it stop in the message of the value, or before it?"""
    found = glance.suspect(before + value + behind, 0, len(before + value + behind))
    return 0 <= found < len(before + value)


def test_all_that_a_policy_detects_by_default_is_known() -> None:
    assert glance.covers(rule.what for rule in KNOWN)
    assert glance.SIGNS.keys() == {rule.what for rule in KNOWN}
    assert not glance.covers(rule.what for rule in RULES)


@pytest.mark.parametrize(("names", "patterns"), [((*NAMES, "email"), {}), (NAMES, {"own": "x+"}), (["phone"], {})])
def test_what_it_does_not_know_is_for_re2_alone(names: list[str], patterns: dict[str, str]) -> None:
    assert not Detectors.build(names, patterns).glances


def test_it_is_used_where_it_is_compiled() -> None:
    assert Detectors.build(NAMES, {}).glances is not hasattr(glance.suspect, "__code__")


@BY_RULE
@settings(deadline=None)
@given(st.data(), AROUND, AROUND)
def test_it_stops_at_whatever_a_rule_finds(rule: Rule, data: st.DataObject, before: bytes, behind: bytes) -> None:
    value = data.draw(st.from_regex(re.compile(rule.pattern), fullmatch=True)).encode()
    if b"\0" in value or compile_pattern(rule.what, rule.pattern).search(value) is None:
        return  # no text holds a NUL; Python takes more for a blank
    if rule.name == "card" and not WITHOUT.hits(value):
        return  # digits that no issuer would number a card with
    assert seen(before, value, behind) or not WITHOUT.hits(before + value + behind)
    assert seen(b"\0\0\0\x40", value, b"\0\0\0\x01")


OWN = Detectors.build((*NAMES, *OWN_TEXTS), {})
UNQUOTED, QUOTED = (Detectors((*NAMES, *OWN_TEXTS), (), glances=each) for each in (True, False))
QUOTED_RULES = [rule for rule in RULES if rule.what in glance.QUOTED]


def test_all_that_our_own_texts_are_looked_through_for_is_known_where_nothing_is_quoted() -> None:
    assert QUOTED_RULES
    assert glance.covers_unquoted(rule.what for rule in (*KNOWN, *QUOTED_RULES))
    assert not glance.covers_unquoted(rule.what for rule in RULES)
    assert OWN.glances_unquoted is not hasattr(glance.suspect, "__code__")
    assert not OWN.glances


@pytest.mark.parametrize("rule", QUOTED_RULES, ids=lambda rule: rule.what)
@settings(deadline=None)
@given(st.data())
def test_what_is_said_to_be_quoted_is(rule: Rule, data: st.DataObject) -> None:
    pattern = rule.pattern.replace(r"\x{80}-\x{10FFFF}", "\x80-\U0010ffff")  # as Python writes it
    value = data.draw(st.from_regex(re.compile(pattern), fullmatch=True)).encode("utf-8", "replace")
    if compile_pattern(rule.what, rule.pattern).search(value) is not None:
        assert b"'" in value or b"$" in value
        assert UNQUOTED.suspicious(value) == QUOTED.suspicious(value)


@settings(deadline=None)
@given(AROUND, st.sampled_from([*KNOWN, *QUOTED_RULES]).map(lambda rule: rule.example().encode()), AROUND)
def test_what_is_no_reason_to_look_holds_nothing(before: bytes, value: bytes, behind: bytes) -> None:
    text = before + value + behind
    assert UNQUOTED.suspicious(text) or not QUOTED.hits(text)


@BY_RULE
def test_no_place_hides_an_example(rule: Rule) -> None:
    text = b"paid on time and left the house, all is well\0" * 500
    for at in (
        0,
        7,
        *range(glance._WINDOW - 60, glance._WINDOW + 10, 5),
    ):  # 5 and the 12 bytes of a step: every place in one
        assert seen(text[:at] + b"\0", rule.example().encode(), b"\0")


SEPARATORS = [*" \t._-", *glance._SEPARATORS]


@settings(deadline=None)
@given(
    st.integers(0, 10**12),
    st.sampled_from([low for low, *_ in cards.ISSUERS]),
    st.lists(st.tuples(st.integers(1, 15), st.lists(st.sampled_from(SEPARATORS), min_size=1, max_size=3)), max_size=5),
    st.booleans(),
    AROUND,
    AROUND,
)
def test_no_way_of_writing_a_card_hides_it(
    seed: int, prefix: str, breaks: list[tuple[int, list[str]]], wide: bool, before: bytes, behind: bytes
) -> None:
    digits = [chr(ord(each) + 0xFEE0) if wide else each for each in card(seed, prefix)]
    for at, between in breaks:
        digits[at] = "".join(between) + digits[at]
    value = before + "".join(digits).encode() + behind
    if WITHOUT.hits(value):
        assert seen(b"\0\0\0\x30", value, b"\0\0\0\x39")
        assert seen(b"xD\0\0\0\x61\0\1\0\0\0\x61", value, b"D\0\0\0\x61")


@settings(deadline=None)
@given(
    st.text("0123456789abcdefDnx% \\-", max_size=20),
    st.integers(0, 999),
    st.text("0123456789abcdefDgx% -", max_size=20),
)
def test_a_card_beside_hex_is_seen_where_it_is_one(before: str, seed: int, behind: str) -> None:
    value = f"{before}{card(seed)}{behind}".encode()
    if WITHOUT.hits(value):
        for length in b"\x20\x30\x61\x41\x00":
            assert seen(bytes((0, 0, 0, length)), value, b"D\0\0\0\x61\0\1\0\0\0\x61")
            assert seen(bytes((0, 0, 0, length)), value, b"\0\0\0\x61a")


@pytest.mark.parametrize("text", ["pa\u017fsword=hunter22", "to\u212aen: aB3dE5fG7hJ9kLmN2pQr", "\u017fecret = aB3dE5fG7hJ9kLmN2pQr",
                                  "--pa\u017f\u017fword aB3dE5fG7hJ9kLmN2pQr", "credential\u017f=aB3dE5fG7hJ9kLmN2pQr", "passphra\u017fe='hunter22'"])  # fmt: skip
def test_letters_that_fold_to_others_hide_no_name(text: str) -> None:
    assert WITHOUT.hits(text.encode())
    assert seen(b"\0", text.encode(), b"\0")


WORDS = st.text("abcdef ghi-xyz.,:=é\n", max_size=70)
SECRET = st.one_of(st.sampled_from(KNOWN).map(lambda rule: rule.example()), st.integers(0, 10**9).map(card))
VALUES = st.one_of(
    st.none(), WORDS.map(str.encode), st.tuples(WORDS, SECRET, WORDS).map(lambda each: "".join(each).encode())
)


@settings(deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12))
def test_rows_are_masked_as_without_it(rows: list[tuple[bytes | None, bytes | None]]) -> None:
    run = b"".join(map(message, rows))
    plan: MaskPlan = scans(25, 25)
    with_it, without = RowMasker(plan, WITH, KEY), RowMasker(plan, WITHOUT, KEY)
    assert with_it.rows(run) == without.rows(run)
    assert with_it.counts == without.counts


def test_it_does_not_stop_at_hashes_uuids_and_prose() -> None:
    values = [
        each.encode()
        for n in range(2000)
        for each in (
            hashlib.md5(str(n).encode()).hexdigest(),
            str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))),
            f"paid on time {n}, from https://example.com/orders/{n}?page=2 at 2026-11-26 16:24:{n % 60:02}",
            f'{{"id": {n}, "value": "x", "key_figure": 3, "name": "Ann of {n}"}}',
            f"ann{n}@example.com, internationalization",
        )
    ]
    run = message(values[:1]) + b"".join(message([each]) for each in values)
    at = stops = 0
    while (at := glance.suspect(run, at, len(run))) >= 0:
        at, stops = at + 200, stops + 1
    assert stops < len(values) / 100


PIECES = st.one_of(
    st.text("0123456789", min_size=1, max_size=20),
    st.integers(0, 10**9).map(card),
    st.integers(0, 10**9).map(lambda seed: " ".join(card(seed)[at : at + 4] for at in range(0, 16, 4))),
    st.sampled_from([*SEPARATORS, "%20", "%", "+", ",", ":", '"', "\\n", "a", "D", "x", "DE", "４", "4111-1111-"]),
    st.text("0123456789abcdef-", max_size=40),
)
#: Sizes of values whose length ends in bytes that look like digits, separators and what stands before a number.
SIZES = st.sampled_from((None, *range(0x20, 0x3A), 0x5F, 0x61, 0x3030, 0x3139, 0x2D30, 0x312D, 0x0D35, 0x2231, 0x2535))


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(PIECES, max_size=6).map("".join), SIZES), min_size=1, max_size=6))
def test_numbers_are_masked_as_without_it_whatever_their_lengths_look_like(
    values: list[tuple[str, int | None]],
) -> None:
    padded = [value.encode().ljust(size, b"x") if size else value.encode() for value, size in values]
    run = b"".join(message([each, b"7"]) for each in padded)
    with_it, without = RowMasker(scans(25, 25), WITH, KEY), RowMasker(scans(25, 25), WITHOUT, KEY)
    assert with_it.rows(run) == without.rows(run)


@pytest.mark.parametrize("length", [0x3030, 0x3139, 0x313233, 0x2D3130, 0x0D3130, 0x302D30])
def test_a_length_that_looks_like_digits_hides_no_card_behind_it(length: int) -> None:
    value = card().encode() + b" is the number"
    assert seen(length.to_bytes(4), value, b"x" * 100)
    assert seen(b"\0\1" + length.to_bytes(4), value, b"x" * 100)


def test_a_blank_of_a_url_is_no_part_of_the_number_behind_it() -> None:
    value = f"?pay=%20{card()}".encode()
    assert WITHOUT.hits(value)
    assert seen(b"\0\0\0\x1a", value, b"\0")


def test_a_length_of_four_digits_hides_no_card_either() -> None:
    value = card().encode() + b" is the number" + b"\0" * (1 << 24)
    assert seen(b"x" + b"\x01012", value, b"")


@pytest.mark.parametrize("times", [1, 40, 400, 4000])
def test_it_goes_through_a_word_of_any_length_once(times: int) -> None:
    """Base64 without a sign is none that it stops at; with one in it, wherever it is, it stops."""
    word = (b"QUJD" * 5 + b"/+") * times
    assert glance.suspect(word, 0, len(word)) < 0
    for sign in (b"AKIA", b"ghp_", b"eyJ", b"SK0a"):
        for at in {0, 1, 11, len(word) // 2, max(0, len(word) - 2400), len(word) - 1, len(word)}:
            assert seen(b"", word[:at] + sign + b"A2BC3DE4FG5HJ6KL" + word[at:], b"")
    assert seen(b"--password ", word + b"0", b"")


@pytest.mark.parametrize("between", ["x", " x ", "     ", ":", "\n"])
def test_numbers_without_a_card_hide_none_behind_them(between: str) -> None:
    """They are asked once, up to their end."""
    for count in range(5, 45):
        value = f"{'40 ' * count}40{between}{card()}".encode()
        assert WITHOUT.hits(value)
        assert seen(b"\0\0\0\x20", value, b"")


@pytest.mark.parametrize(("digits", "stops"), [(60, False), (128, False), (130, True), (4000, True)])
def test_it_goes_through_the_digits_of_a_hash_once(digits: int, *, stops: bool) -> None:
    """Digits that are more than any hash has are not asked at each twelfth of them whether they are a part of one."""
    for value in (b"1" * digits + b"a", b"abcd" + b"1" * digits):
        assert not WITHOUT.hits(value)
        assert (glance.suspect(value, 0, len(value)) >= 0) is stops


@pytest.mark.parametrize(
    "text",
    [
        "1764246600000", "9007199254740993", '{"id": 1234567890123456789, "at": 1764246600000}', "+49 30 1234567 8901",
        "2026-11-27 12:31:11.123456", "4254-403520967bee", "8561-6622857405cc", "0000 0000 0000 0000", "1 20 300 4000 50000 600000",
        "class=\"a\" data-id=\"1234567890123\"", "took=12ms customer=1234 order=77 user=12345678 auth=ok", "ranger: 1 border: 2",
    ],
)  # fmt: skip
def test_it_does_not_stop_at_numbers_and_names_that_are_none(text: str) -> None:
    assert not WITHOUT.hits(text.encode())
    for run in (message([text.encode()]) * 2, message([text.encode(), b"1", None, b"x"]) * 2):
        assert glance.suspect(run, 0, len(run)) < 0


@pytest.mark.parametrize("behind", [": ", ">", '" value="', " value=", "\"'   => '", ":="])
def test_it_stops_at_basic_authorization_however_it_is_assigned(behind: str) -> None:
    """Short enough to be no word that it would look at by itself."""
    value = f"<x Authorization{behind}Basic dXNlcjpw".encode()
    assert WITHOUT.hits(value)
    assert seen(b"\0\0\0\x20", value, b"\0\0\0\x01")
