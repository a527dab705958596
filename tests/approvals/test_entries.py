"""What a request's entries say: who asked, what was decided by whom, and nothing that is not so yet."""

from dataclasses import replace

import pytest

from gateway.approvals.entries import entry_fields, name_of
from gateway.approvals.request import Approval, Person, State
from tests.bots.samples import BOB, CAROL, NOW, PLAIN, STATES


def test_a_held_entry_has_no_decision() -> None:
    fields = entry_fields(PLAIN, "held")
    assert (fields["verdict"], fields["user"], fields["request"]) == ("hold", PLAIN.requester.user, PLAIN.id)
    assert fields["rows"] == PLAIN.preview.rows
    assert not {"outcome", "decided_by", "via", "sqlstate"} & fields.keys()


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
def test_an_end_says_what_it_was_and_what_the_client_was_told(state: State, sqlstate: str) -> None:
    fields = entry_fields(STATES[state], "decided")
    assert (fields["outcome"], fields["sqlstate"]) == (state.value, sqlstate)
    assert ("decided_by" in fields) is (state is State.DENIED)


def test_each_approval_of_a_quorum_is_in_the_name_of_who_gave_it() -> None:
    first = replace(PLAIN, approvals_needed=2, approvals=(Approval(BOB, "slack", NOW),))
    fields = entry_fields(first, "decided")
    assert (fields["outcome"], fields["decided_by"], fields["via"]) == ("approved", BOB.user, "slack")
    assert fields["reason"] == "1 of 2 approvals"
    both = replace(first, state=State.APPROVED, approvals=(*first.approvals, Approval(CAROL, "web", NOW)))
    assert entry_fields(both, "decided")["decided_by"] == CAROL.user


def test_a_release_is_no_outcome() -> None:
    assert "outcome" not in entry_fields(STATES[State.RELEASED], "released")


@pytest.mark.parametrize(
    ("person", "name"),
    [
        (Person("i", "s", "bob", "bob@example.com", frozenset()), "bob"),
        (Person("i", "s", "", "bob@example.com", frozenset()), "bob@example.com"),
        (Person("i", "s", "", "", frozenset()), "s"),
    ],
)
def test_a_person_is_called_by_what_is_known(person: Person, name: str) -> None:
    assert name_of(person) == name
