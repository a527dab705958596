"""The canonical text: one order, one spelling, nothing that jsonb would lose."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import FIELDS, Value, canonical, clean, readable

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def test_known_text() -> None:
    body: dict[str, Value] = {
        "kind": "masked",
        "seq": 3,
        "duration_ms": 1.5,
        "groups": ["dba", 'a"b'],
        "masked": [{"detector": "card", "count": 2}],
        "sql": "SELECT 'Zoë\n'",
    }
    assert canonical(body) == (
        '{"seq":3,"kind":"masked","groups":["dba","a\\"b"],"sql":"SELECT \'Zoë\\n\'","duration_ms":1.5,'
        '"masked":[{"count":2,"detector":"card"}]}'
    )


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_same_text_after_a_round_trip_that_forgets_the_order(body: dict[str, Value]) -> None:
    text = canonical(body)
    assert json.loads(text) == body
    assert canonical(json.loads(json.dumps(body, sort_keys=True))) == text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"seq": 1, "colour": "red"}, "colour"),
        ({"duration_ms": math.nan}, "not JSON compliant"),
        ({"duration_ms": math.inf}, "not JSON compliant"),
        ({"sql": "a\0b"}, r"U\+0000"),
        ({"masked": [{"column": "a\0"}]}, r"U\+0000"),
    ],
)
def test_refuses(body: dict[str, Value], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        canonical(body)


def test_the_escape_of_nul_as_a_text_is_no_nul() -> None:
    assert json.loads(canonical({"sql": r"SELECT E'\u0000'"})) == {"sql": r"SELECT E'\u0000'"}


def test_clean_shows_what_cannot_be_stored() -> None:
    dirty: Value = {"a": ["x\0y", "\ud800", 1, None], "b": "pile of 😀"}
    assert clean(dirty) == {"a": ["x\ufffdy", "\ufffd", 1, None], "b": "pile of 😀"}


def test_what_can_not_be_read_is_left_out() -> None:
    deep = "[" * 100_000
    assert readable(['{"seq":1}', "", "garbage", deep, f'{{"a":{deep}', "[]", "7", '{"seq":2}']) == [
        {"seq": 1},
        {"seq": 2},
    ]
