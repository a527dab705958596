"""What a card says of grants, and the choices that go round through a chat."""

from dataclasses import replace

import pytest

from bots.granting import Offer, choices, given, scope_of, sentence, told
from bots.texts import in_utc
from gateway.approvals.grants import Scope
from gateway.approvals.request import State
from tests.bots.samples import DELETE, GRANT, GRANTABLE, NOW, PLAIN, STATES, TERMS


def test_the_choices_say_both_limits() -> None:
    assert choices(GRANTABLE) == (
        Offer("15m", "15 minutes, at most 20 uses"),
        Offer("5x", "5 uses, within 60 minutes"),
        Offer("20x", "20 uses, within 60 minutes"),  # 60 minutes, at most 20 uses, would be the same
    )
    only_minutes = replace(GRANTABLE, grantable=replace(TERMS, max_minutes=60, max_uses=None))
    assert choices(only_minutes) == (Offer("15m", "15 minutes"), Offer("60m", "60 minutes"))
    only_uses = replace(GRANTABLE, grantable=replace(TERMS, max_minutes=None, max_uses=1))
    assert choices(only_uses) == (Offer("1x", "1 use"),)
    assert choices(PLAIN) == ()


def test_each_choice_comes_back_as_what_was_meant() -> None:
    assert [scope_of(each.value) for each in choices(GRANTABLE)] == [
        Scope(minutes=15),
        Scope(uses=5),
        Scope(uses=20),
    ]


@pytest.mark.parametrize("value", ["", "15", "m", "0m", "-5x", "15h", "15m ", "1e9m", "9999999m", "\u0661m"])
def test_anything_else_is_no_choice(value: str) -> None:
    assert scope_of(value) is None


def test_the_sentence_says_what_it_lets_through() -> None:
    text = sentence(GRANTABLE)
    assert "ann@example.com may then run it on shop again without asking: the same text with any bound values" in text
    assert "up to 100 rows each time" in text
    assert "the same values" in sentence(replace(GRANTABLE, grantable=replace(TERMS, vary=False)))
    assert sentence(PLAIN) == ""
    literal = replace(GRANTABLE, statements=(replace(DELETE, parameters=()),))
    assert "the same text, up to 100 rows each time" in sentence(literal)


def test_a_card_tells_of_the_grant_that_it_gave_used_or_could_give() -> None:
    assert told(GRANTABLE) == ""
    assert told(replace(GRANTABLE, approved_before=2)) == ""
    assert told(replace(GRANTABLE, approved_before=3)).startswith("people have approved its like 3 times")
    assert told(replace(PLAIN, approved_before=3)) == ""
    assert told(replace(PLAIN, under="G1")) == "it was approved by grant G1: nobody was asked"
    approved = replace(STATES[State.APPROVED], grantable=TERMS, approved_before=3)
    assert told(approved) == ""
    assert "at most 20 uses, up to 100 rows each" in told(replace(approved, grant=GRANT))


def test_a_revoked_one_says_by_whom_and_why() -> None:
    ended = replace(GRANT, revoked_at=NOW + 60, revoked_by="bob", why="no more")
    assert in_utc(given(ended, "R1")) == "this shape was granted; bob revoked that at 10:21:00 UTC: no more"
    assert in_utc(given(replace(ended, why=""), "R1")).endswith("10:21:00 UTC")
