"""Patterns give the very text that `canonical` gives, whatever the values are."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import FIELDS, Value, canonical
from gateway.audit.pattern import (
    OF_SPOOL,
    Pattern,
    list_value,
    milliseconds,
    milliseconds_value,
    number_value,
    text_value,
)

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
LISTS = st.lists(st.one_of(st.none(), TEXTS))
OBJECTS = st.dictionaries(TEXTS, st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, LISTS))
FRACTIONS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.one_of(TEXTS, st.integers(), FRACTIONS, LISTS, OBJECTS, st.lists(OBJECTS))
HOLES: list[tuple[st.SearchStrategy[Any], Callable[..., bytes]]] = [
    (TEXTS, text_value),
    (st.integers(), number_value),
    (LISTS, list_value),
]
NAMES = [name for name in FIELDS if name not in OF_SPOOL]


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, dict[str, Value], dict[str, tuple[Value, bytes]]]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    cut = draw(st.integers(0, len(names)))
    holes = {}
    for name in names[cut:]:
        values, as_json = draw(st.sampled_from(HOLES))
        value = draw(values)
        holes[name] = value, as_json(value)
    return draw(TEXTS), {name: draw(VALUES) for name in names[:cut]}, holes


@given(entries())
def test_text_is_the_canonical_one(entry: tuple[str, dict[str, Value], dict[str, tuple[Value, bytes]]]) -> None:
    kind, fields, holes = entry
    pattern = Pattern(kind, fields, list(holes))
    values = [holes[name][1] for name in pattern.holes]
    whole = {**fields, **{name: value for name, (value, _) in holes.items()}}
    assert b'{"kind":' + pattern.text(values) + b"}" == canonical({"kind": kind, **whole}).encode()
    assert pattern.fits(kind, whole, values)
    assert not pattern.fits(kind + "x", whole, values)


@given(st.floats(0, 1e7))
def test_a_duration_is_told_to_the_microsecond(seconds: float) -> None:
    told = milliseconds(seconds)
    assert milliseconds_value(seconds) == canonical({"duration_ms": told})[len('{"duration_ms":') : -1].encode()
    assert told == pytest.approx(seconds * 1000, abs=0.0011)
    assert len(repr(told).partition(".")[2]) <= 3


def test_another_value_does_not_fit() -> None:
    pattern = Pattern("statement", {"session": "s"}, ["statement", "sql"])
    values = [number_value(5), text_value("SELECT 1")]
    assert pattern.fits("statement", {"session": "s", "statement": 5, "sql": "SELECT 1"}, values)
    assert not pattern.fits("statement", {"session": "s", "statement": 6, "sql": "SELECT 1"}, values)
    assert not pattern.fits("statement", {"session": "s", "statement": 5, "sql": "SELECT 1", "rule": "r"}, values)


def test_holes_stand_in_the_order_of_fields() -> None:
    assert Pattern("finished", {}, ["duration_ms", "rows", "statement"]).holes == ("statement", "rows", "duration_ms")


@pytest.mark.parametrize("name", OF_SPOOL)
def test_what_the_spool_fills_in_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the spool itself fills in"):
        Pattern("x", {name: 1}, [])
    with pytest.raises(ValueError, match="the spool itself fills in"):
        Pattern("x", {}, [name])


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="not a field"):
        Pattern("x", {"colour": "red"}, [])
