"""Cards: every brand by its own prefix and length; what only looks like one is left alone. Numbers are built here."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.masking import cards
from gateway.masking.cards import issued, luhn, mask
from gateway.masking.detectors import Detectors, compile_pattern
from tests.masking import reference_cards

CARDS = Detectors.build(["card"], {})


def card(prefix: str, length: int) -> str:
    body = prefix + "1357924680246813579"[: length - len(prefix) - 1]
    return next(body + str(d) for d in range(10) if luhn(body + str(d)))


def grouped(digits: str, sizes: tuple[int, ...], separator: str) -> str:
    out, at = [], 0
    for size in sizes:
        out.append(digits[at : at + size])
        at += size
    return separator.join(out)


BRANDS = [
    ("4", 16), ("4", 13), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("36", 14),
    ("300", 14), ("38", 14), ("3528", 16), ("3589", 16), ("6011", 16), ("644", 16), ("65", 16), ("62", 16), ("62", 19),
    ("5018", 16), ("6759", 16), ("6763", 18), ("2200", 16), ("508", 16), ("9792", 16), ("81", 16),
]  # fmt: skip


@pytest.mark.parametrize(("prefix", "length"), BRANDS)
def test_each_brand_is_found_in_a_sentence_and_keeps_its_last_four_digits(prefix: str, length: int) -> None:
    number = card(prefix, length)
    assert CARDS.scrub(f"paid with {number}.") == (f"paid with **** **** **** {number[-4:]}.", {"card": 1})


@pytest.mark.parametrize("separator", [" ", "-", ".", "_", "\u00a0", "\u2011", "\u200b", " - ", "\u2007"])
@pytest.mark.parametrize("sizes", [(4, 4, 4, 4), (8, 8), (1,) * 16])
def test_separators(separator: str, sizes: tuple[int, ...]) -> None:
    number = card("4", 16)
    assert CARDS.scrub(grouped(number, sizes, separator)) == (mask(number), {"card": 1})


def test_american_express_groups() -> None:
    number = card("37", 15)
    assert CARDS.scrub(grouped(number, (4, 6, 5), "-")) == (mask(number), {"card": 1})


def test_full_width_digits() -> None:
    number = card("4", 16)
    assert CARDS.scrub("".join(chr(0xFF10 + int(d)) for d in number)) == (mask(number), {"card": 1})


def test_two_cards_one_space_apart() -> None:
    one, two = card("4", 16), card("51", 16)
    text, counts = CARDS.scrub(f"{grouped(one, (4, 4, 4, 4), ' ')} {grouped(two, (4, 4, 4, 4), ' ')}")
    assert (text, counts) == (f"{mask(one)} {mask(two)}", {"card": 2})


@pytest.mark.parametrize("around", ["0{}", "{}0", "a{}f", "{}e", "c0ffee{}", "0x{}0", "AT15{}"])
def test_a_part_of_a_longer_number_or_of_a_hash_is_no_card(around: str) -> None:
    text = around.format(card("4", 16))
    assert CARDS.scrub(text) == (text, {})


@pytest.mark.parametrize(
    "around", ["x{}", "{}x", "card{}", "no{}exp", "Karte{}ä", "%B{}^DOE/ANN", "q=%20{}", "q%3D{}%26", "\\n{}"]
)
@pytest.mark.parametrize("separator", ["", " "])
def test_a_word_glued_to_a_card_does_not_hide_it(around: str, separator: str) -> None:
    number = card("4", 16)
    text = around.format(grouped(number, (4, 4, 4, 4), separator))
    assert CARDS.scrub(text) == (around.format(mask(number)), {"card": 1})


def test_letters_that_are_no_hex_digits_at_either_end_do() -> None:
    number = grouped(card("4", 16), (4, 4, 4, 4), " ")
    assert CARDS.scrub(f"a{number}") == (f"a{number}", {})
    assert CARDS.scrub(f"a{number}x") == (f"a{number}x", {}), "the first group is of another word than the last"


@pytest.mark.parametrize("sizes", [(4, 4, 4, 5), (4, 4, 4, 6), (6, 13)])
def test_unionpay_groups(sizes: tuple[int, ...]) -> None:
    number = card("62", sum(sizes))
    assert CARDS.scrub(grouped(number, sizes, " ")) == (mask(number), {"card": 1})


def test_the_shape_of_an_iban_is_no_card() -> None:
    """Countries whose IBAN is digits: a part of one passes for a card in one of forty."""
    number = card("4", 16)
    for text in (
        f"DK{number}",
        f"FI{grouped(number, (2, 4, 4, 4, 2), ' ')}",
        f"IL89 {grouped(number, (4, 4, 4, 4), ' ')} 973",
        f"BR86 {grouped(number, (4, 4, 4, 4), ' ')} 818C P",
    ):
        assert CARDS.scrub(text) == (text, {}), text
    assert CARDS.scrub(f"ZZ{number}") == (f"ZZ{mask(number)}", {"card": 1})


def test_a_card_that_begins_within_what_looks_like_a_uuid_is_one() -> None:
    """The first three parts are a number that some issuer could have given, too."""
    assert luhn("4000000441111111")
    assert CARDS.scrub("40000004-4111-1111-1111-1111") == ("40000004-**** **** **** 1111", {"card": 1})


def test_a_part_of_a_uuid_is_no_card() -> None:
    first, last = grouped(card("4", 16), (8, 4, 4), "-"), grouped(card("81", 16), (4, 12), "-")
    for text in (f"{first}-8703-870652777679", f"{first}-a703-870652777679", f"11111111-1111-4111-{last}"):
        assert CARDS.scrub(text) == (text, {}), text


@pytest.mark.parametrize(
    "text",
    [
        "1764079091000", "1764079091123456", "20261125135811", "2026-11-25 13:58:11.123456+00", "+4915123456789",
        "550e8400-e29b-41d4-a716-446655440000", "192.168.100.200 10.0.0.1", "978-3-16-148410-0", "0.4111111111111111", "v0.4111111111111111",
        "[1.4111, 2.5222, 3.6333, 4.7444]", "2026-01-02 2026-01-03 2026-01-04", "555-0142 212-555-0142",
    ],
)  # fmt: skip
def test_hard_negatives(text: str) -> None:
    assert CARDS.scrub(text) == (text, {})


def test_a_wrong_check_digit_is_no_card() -> None:
    number = card("4", 16)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert CARDS.scrub(wrong) == (wrong, {})


def test_a_number_that_no_issuer_has_is_no_card() -> None:
    assert not issued(card("1", 16))
    assert not issued(card("34", 16))
    assert issued(card("34", 15))


@pytest.mark.parametrize(
    "digits", ["7992739" + "8713", "4" + "1" * 15, "510" * 5 + "0", "3782822" + "46310005", "30569309" + "025904"]
)
def test_luhn_on_published_numbers(digits: str) -> None:
    """The textbook's example and the test numbers that card schemes publish: our own arithmetic has no say here."""
    assert luhn(digits)
    assert not luhn(digits[:-1] + str((int(digits[-1]) + 1) % 10))


RUNS = compile_pattern("run", cards.RUN)
PREFIXES = [prefix for low, high, _ in cards.ISSUERS for prefix in {low, high}]
GROUPINGS = sorted({(16,), (4, 4, 4, 4), (4, 4, 4, 1), (8, 8), (1,) * 16, (3, 4, 4, 5), *cards._GROUPINGS})
SEPARATORS = st.sampled_from(
    [" ", "-", ".", "_", "\t", " - ", "\u00a0", "\u00ad", "\u2011", "\u200b", "\u3000", " \u200b", "\u2016", "    "]
)
BESIDE = st.sampled_from(
    [
        "",
        " ",
        "a",
        "f",
        "x",
        "DE",
        "FI",
        "IL89 ",
        "%",
        "%20",
        "%B",
        "%3D",
        "\\n",
        "+",
        ".",
        "-",
        "-a703",
        " 973",
        "ä",
        "12",
        "c0ffee",
        "11111111-1111-4111-",
    ]
)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A number of a card, or almost, in groups, or almost; here and there full-width, with what nobody sees between."""
    number = card(draw(st.sampled_from(PREFIXES)), draw(st.integers(12, 20)))
    text = grouped(number, (*draw(st.sampled_from(GROUPINGS)), 1, 1), draw(SEPARATORS)).rstrip(" -._\t")
    changed = draw(st.integers(0, 9))
    at = draw(st.integers(0, len(text) - 1))
    if changed == 0 and text[at].isdigit():
        return text[:at] + chr(0xFF10 + int(text[at])) + text[at + 1 :]
    if changed == 1:
        return text[:at] + draw(SEPARATORS) + text[at:]
    return text[:at] + draw(st.sampled_from("0123456789")) + text[at + 1 :] if changed == 2 else text


TEXTS = st.lists(st.tuples(BESIDE, numbers(), BESIDE), min_size=1, max_size=3).map(
    lambda parts: "".join("".join(each) for each in parts)
)


FOURS = grouped(card("4", 16), (4, 4, 4, 4), " ")


@settings(deadline=None, max_examples=500)
@given(TEXTS)
@example(FOURS[:9] + "-" + FOURS[10:])
@example(FOURS[:4] + "-" + FOURS[5:])
@example(f"DE0000 0000 0000 0000 0000 {FOURS}")
@example(f"BR86 {FOURS}")
@example(f"BR86 {FOURS}x")
def test_cards_are_where_the_reference_finds_them(text: str) -> None:
    value = text.encode()
    expected = list(reference_cards.spans(value))
    assert cards.spans(value) == expected
    assert [(hit.start, hit.end, hit.mask) for hit in CARDS.hits(value)] == expected


@given(st.sampled_from(PREFIXES), st.integers(6, 20), st.text("0123456789", min_size=20, max_size=20))
def test_sums_and_issuers_are_as_in_the_reference(prefix: str, length: int, more: str) -> None:
    digits = (prefix + more)[:length]
    assert luhn(digits) == reference_cards.luhn(digits)
    assert issued(digits) == reference_cards.issued(digits)


@given(st.binary(max_size=3), TEXTS, st.integers(0, 60), st.binary(max_size=3))
def test_bytes_that_are_no_text_hide_no_card_from_either_look(before: bytes, text: str, at: int, within: bytes) -> None:
    value = before + text.encode()
    value = value[:at] + within + value[at:]
    assert cards.spans(value) == [span for run in RUNS.finditer(value) for span in cards.find(value, run)]


GROUPS = st.lists(st.text("0123456789", min_size=1, max_size=20), min_size=1, max_size=6)


@given(GROUPS, st.lists(st.text(" \t._-", min_size=1, max_size=3), min_size=5, max_size=5), st.integers(0, 5))
@example(["1764246600000"], [" "] * 5, 5)
@example(["0", "4111111111111111"], ["."] * 5, 5)
@example(["4111111111111111", "5"], ["."] * 5, 5)
@example(["56", "4182", "0000", "0000", "03"], [" "] * 5, 5)
def test_a_run_is_said_to_hold_a_card_where_one_is_found(groups: list[str], between: list[str], place: int) -> None:
    groups.insert(min(place, len(groups)), card("4", 16))
    for some in (groups, [each for each in groups if not issued(each)]):
        run = "".join(a + b for a, b in zip(some, [*between, *between], strict=False)).strip(" \t._-").encode()
        assert cards.holds(b"4" + run + b"4", 1, 1 + len(run)) == bool(cards.spans(run))
