"""When repeated denials end in a cool-down, whom it holds up, and who may lift it."""

from dataclasses import replace

import pytest

from gateway.approvals.cooldown import CoolDown, cooling, denied_again, lift
from gateway.approvals.request import ApprovalRequest, Refusal, State
from tests.bots.samples import ANN, BOB, CAROL, EVE, NOW, PLAIN

TERMS = CoolDown(after=2, within=1800, lasts=900)


def denied(at: float, name: str = "01J9Z", **changes: object) -> ApprovalRequest:
    base = replace(PLAIN, id=name, state=State.DENIED, decided_by=BOB, decided_at=NOW + at, reason="Use the job.")
    return replace(base, **changes)  # type: ignore[arg-type]  # the caller's test names fields of ApprovalRequest


def test_the_second_denial_begins_it_and_it_ends_by_itself() -> None:
    twice = [denied(0, "one"), denied(600, "two")]
    assert cooling(twice[:1], TERMS, NOW + 1) is None
    on = cooling(twice, TERMS, NOW + 601)
    assert on is not None
    assert ([each.id for each in on.denied], on.until) == (["two", "one"], NOW + 600 + 900)
    assert cooling(twice, TERMS, NOW + 1499) is not None
    assert cooling(twice, TERMS, NOW + 1500) is None


@pytest.mark.parametrize(
    "others",
    [
        [denied(0), denied(1801)],
        [denied(0), denied(1700, changes="Only rows of 2019.", reason="")],
        [denied(0), denied(1700, lifted_by=BOB)],
        [denied(0, lifted_by=BOB), denied(1700)],
        [denied(0), denied(1700, state=State.EXPIRED)],
    ],
    ids=["too far apart", "changes requested", "lifted", "lifted before", "expired"],
)
def test_what_does_not_count(others: list[ApprovalRequest]) -> None:
    assert cooling(others, TERMS, NOW + 1802) is None


def test_it_can_be_switched_off() -> None:
    assert cooling([denied(0), denied(1)], replace(TERMS, after=0), NOW + 2) is None


def test_the_refusal_says_who_until_when_and_how_to_go_on() -> None:
    on = cooling([denied(0, "one", decided_by=CAROL), denied(600, "two")], TERMS, NOW + 601)
    assert on is not None
    error = denied_again(on)
    assert error.sqlstate == "42501"
    assert error.message == (
        "denied by the gateway until 10:45:00 UTC: bob@example.com, carol@example.com denied this 2 times lately"
    )
    assert error.hint == (
        "Do as the reviewer says: Use the job. Asking for the same with other constants is no help. "
        "A reviewer can lift this in chat: /hoop lift two."
    )


def test_reviewers_lift_it_once() -> None:
    lifted = lift(denied(0), CAROL, "slack", NOW + 5)
    assert isinstance(lifted, ApprovalRequest)
    assert (lifted.lifted_by, lifted.lifted_via, lifted.lifted_at) == (CAROL, "slack", NOW + 5)
    assert lift(lifted, BOB, "slack", NOW + 6) is Refusal.NOT_DENIED


def test_nobody_else_does() -> None:
    assert lift(denied(0), ANN, "slack", NOW + 5) is Refusal.OWN_REQUEST
    assert lift(denied(0, reviewer_groups=frozenset({"engineering"})), ANN, "slack", NOW + 5) is Refusal.OWN_REQUEST
    assert lift(denied(0), EVE, "slack", NOW + 5) is Refusal.NOT_A_REVIEWER
    assert lift(PLAIN, BOB, "slack", NOW + 5) is Refusal.NOT_DENIED
