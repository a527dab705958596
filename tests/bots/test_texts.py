"""Texts: what hides is made visible, SQL is laid out, moments are for each reader's zone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.texts import MOMENT, in_utc, line, literal, moment, sentences, span, uncurled, visible
from tests.bots.samples import NOW


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u202eb", "a[U+202E]b"),
        ("a\u200bb", "a[U+200B]b"),
        ("a\x00b\x1b", "a[U+0000]b[U+001B]"),
        ("a\u00a0b", "a[U+00A0]b"),
        ("a\u3164b\ufe0f", "a[U+3164]b[U+FE0F]"),
        ("Zoë Ünal 日本", "Zoë Ünal 日本"),
        ("a b", "a b"),
    ],
)
def test_what_hides_is_made_visible(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_sql_is_laid_out_without_touching_its_strings() -> None:
    sql = "UPDATE customers SET note = 'moved FROM x WHERE y' WHERE id = 1 AND plan = 'free' RETURNING id"
    assert literal(sql) == (
        "UPDATE customers\nSET note = 'moved FROM x WHERE y'\nWHERE id = 1 AND plan = 'free'\nRETURNING id"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 -- FROM here on, a comment WHERE nothing is what it seems to be at all",
        "DO $x$ BEGIN DELETE FROM customers WHERE id = 1; DELETE FROM orders WHERE id = 1; END $x$",
        "SELECT E'it\\'s FROM' FROM customers WHERE name = 'a very long name indeed, over sixty'",
    ],
)
def test_sql_that_is_not_understood_stays_as_it_is(sql: str) -> None:
    assert literal(sql) == sql


def test_a_tail_can_not_be_pushed_out_of_sight() -> None:
    assert literal("SELECT 1" + "\n" * 50 + "; DROP TABLE t") == "SELECT 1\n[49 empty lines]\n; DROP TABLE t"
    assert literal("SELECT 1" + " " * 500 + "; DROP TABLE t") == "SELECT 1 [500 blanks] ; DROP TABLE t"


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12 ms"), (45, "45 s"), (204, "3 m 24 s"), (7500, "2 h 5 m")])
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_moment_is_utc_for_those_whose_zone_is_not_known() -> None:
    assert in_utc(f"at {moment(NOW)}, of {moment(NOW, day=True)}") == "at 10:20:00 UTC, of 25 Nov 10:20 UTC"


@given(st.text())
def test_no_text_of_a_client_makes_a_moment(text: str) -> None:
    assert MOMENT.search(line(f"{text}\ue0001764066000\ue001{text}", 1000)) is None


def test_quotes_that_a_keyboard_curled_are_straight_again() -> None:
    assert uncurled("who ran \u201cUPDATE\u201d \u2018x\u2019 \u00abb\u00bb") == 'who ran "UPDATE" \'x\' "b"'


def test_lines_as_one_text_have_one_mark_each() -> None:
    assert sentences(["Unknown", "Did you mean x?", "Said.", "a: 1"]) == "Unknown. Did you mean x? Said. a: 1"
