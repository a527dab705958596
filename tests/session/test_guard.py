"""Sure-fails, the texts put in their place, and the digest."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.request import State
from gateway.policy.decide import Answer, Verdict
from gateway.session.guard import NO_PORTAL, digest, refused_by_outcome, refused_by_policy, sure_fail
from gateway.wire import frontend
from gateway.wire.backend import fields
from tests.bots.samples import BOB, PLAIN


def test_each_sure_fail_is_a_message_of_the_kind_it_replaces() -> None:
    assert frontend.read_query(sure_fail(ord("Q"))) == "\x01"
    assert frontend.read_execute(sure_fail(ord("E"))).portal == NO_PORTAL
    assert sure_fail(ord("F"))[:1] == b"F"


def test_a_policy_refusal_says_what_would_pass() -> None:
    found = fields(refused_by_policy(Verdict(Answer.DENY, "r", "why", message="add a WHERE clause"))[5:])
    assert found["C"] == "42501"
    assert found["M"] == "refused by policy: add a WHERE clause"
    assert found["D"] == "why; nothing ran"
    assert found["H"] == "Do as the message says, then send it again."


@pytest.mark.parametrize("text", ["add a WHERE clause", ""])
def test_a_policy_refusal_says_each_thing_once(text: str) -> None:
    verdict = Verdict(Answer.DENY, None, "no rule allows bob on shop what this does: write", message=text)
    said = " ".join(value for name, value in fields(refused_by_policy(verdict)[5:]).items() if name in "MDH")
    for part in filter(None, (verdict.reason, text)):
        assert said.count(part) == 1


@pytest.mark.parametrize(
    ("state", "sqlstate"),
    [
        (State.DENIED, "42501"),
        (State.EXPIRED, "57014"),
        (State.WITHDRAWN, "57014"),
        (State.SUPERSEDED, "42501"),
        (State.UNDELIVERABLE, "42501"),
    ],
)
def test_every_end_names_the_request_and_says_that_nothing_ran(state: State, sqlstate: str) -> None:
    request = replace(PLAIN, state=state, reason="because")
    found = fields(refused_by_outcome(request)[5:])
    assert found["C"] == sqlstate
    assert request.id in found["M"] + found["D"]
    assert "nothing ran" in found["D"]


def test_changes_that_are_requested_are_in_detail_and_hint() -> None:
    request = replace(PLAIN, state=State.DENIED, decided_by=BOB, changes="Only rows of 2019, please.")
    found = fields(refused_by_outcome(request)[5:])
    assert (found["C"], found["M"]) == ("42501", "denied by bob@example.com, who requests changes")
    assert found["D"].startswith("bob@example.com asks: Only rows of 2019, please. (request 01J9Z3K7Q8, rule: ")
    assert found["D"].endswith("; nothing ran)")
    assert found["H"] == "Change the statement as asked, then send it again: Only rows of 2019, please."


PART = st.none() | st.binary(max_size=10) | st.text(max_size=10)


@given(st.lists(PART, max_size=6), st.lists(PART, max_size=6))
def test_no_two_sequences_have_one_digest(left: list[bytes | str | None], right: list[bytes | str | None]) -> None:
    def canonical(parts: list[bytes | str | None]) -> list[bytes | None]:
        return [each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each for each in parts]

    same = canonical(left) == canonical(right)
    assert (digest(b"k", left) == digest(b"k", right)) is same


def test_the_digest_is_keyed() -> None:
    assert digest(b"a", ["x"]) != digest(b"b", ["x"])
