"""String constants in a text, and the readable form of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sql.literals import formatted, spans, withheld
from gateway.sql.parse import read, tree
from gateway.sql.tree import constants


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT 1", []),
        ("SELECT 'é', \"q\", 'b''c' -- 'no'", ["'é'", "'b''c'"]),
        ("SELECT E'x\\'y', $$a$$, $t$ $$ $t$", ["E'x\\'y'", "$$a$$", "$t$ $$ $t$"]),
        ("SELECT U&'x', B'1', X'1F'", ["U&'x'", "B'1'", "X'1F'"]),
        ("SELECT '😀' || 'ß' /* 'c' */", ["'😀'", "'ß'"]),
        ("SELECT 'open", ["SELECT 'open"]),
    ],
)
def test_spans(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in spans(text)] == found


def test_formatted() -> None:
    better = formatted("/* why */ update t set a='x',b=$1 where id in (select 1 from y)")
    assert better.startswith("/* why */")
    assert better.count("\n") >= 2
    assert "'x'" in better


@pytest.mark.parametrize("text", ["SELEC", "", "SELECT 1" + "+1" * 3000, "/*" * 200, "SELECT '\0'", "SELECT '\ud800'"])
def test_what_cannot_be_formatted_stays(text: str) -> None:
    assert formatted(text) == text


@given(
    st.sampled_from(["SELECT {} FROM t", "DELETE FROM t WHERE a = {}", "INSERT INTO t VALUES ({})"]),
    st.text(max_size=20),
)
def test_formatting_keeps_the_constant(form: str, value: str) -> None:
    constant = "'" + value.replace("'", "''") + "'"
    text = form.format(constant)
    better = formatted(text)
    if better != text:
        assert [each.tag for each in read(better).statements] == [each.tag for each in read(text).statements]
        assert [better[a:b] for a, b in spans(better)] == [constant] or "E'" in better


def test_constants_are_taken_out_by_their_offsets() -> None:
    text = "SELECT 'é', 12, E'x\\'y', 1.5 -- 'é'"
    assert withheld(text, (), "?") == text
    assert withheld(text, (7, 13), "?") == "SELECT ?, ?, E'x\\'y', 1.5 -- 'é'"
    assert withheld("SELECT 'open", (7,), "?") == "?"


def test_negative_numbers_are_taken_out_too() -> None:
    """The parser gives the place of the sign."""
    text = "UPDATE t SET a = -5, b = - /* so */ 77 WHERE c = -4.5 AND d = 5"
    found = tree(text)
    assert found is not None
    assert withheld(text, constants(found[1])[0], "?") == "UPDATE t SET a = -?, b = - /* so */ ? WHERE c = -? AND d = ?"
    assert (
        withheld(text, constants(found[1]["whereClause"])[0], "?")
        == f"{text.partition(' WHERE')[0]} WHERE c = -? AND d = ?"
    )
