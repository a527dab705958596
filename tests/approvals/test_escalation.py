"""When a request is asked further, and what that changes: who reads along, never who decides."""

from dataclasses import replace

import pytest

from gateway.approvals.escalation import Escalation, escalate
from gateway.approvals.request import ApprovalRequest, Refusal, State, approve, may_review
from tests.bots.samples import BOB, EVE, NOW, PLAIN, STATES

FURTHER = replace(PLAIN, escalate_to=("slack:C2",), escalate_at=NOW + 400)


@pytest.mark.parametrize(
    ("terms", "whole", "delay"),
    [
        (Escalation(("slack:C2",)), 600, 400),
        (Escalation(("slack:C2",), 0.5), 600, 300),
        (Escalation(("slack:C2",), 0, 60), 600, 60),
        (Escalation(("slack:C2",), 0, 600), 600, None),
        (Escalation(("slack:C2",), 0, 900), 120, None),
    ],
)
def test_after_a_part_of_the_time_or_so_many_seconds(terms: Escalation, whole: float, delay: float | None) -> None:
    assert terms.delay(whole) == delay


def test_it_is_noted_once_while_it_waits() -> None:
    escalated = escalate(FURTHER, NOW + 400)
    assert isinstance(escalated, ApprovalRequest)
    assert escalated == replace(FURTHER, escalated_at=NOW + 400)
    assert escalate(escalated, NOW + 401) is Refusal.ALREADY_DECIDED
    assert escalate(FURTHER, NOW + 600) is Refusal.EXPIRED
    for state in set(State) - {State.PENDING}:
        assert escalate(STATES[state], NOW + 400) is Refusal.ALREADY_DECIDED


def test_it_gives_nobody_a_right() -> None:
    escalated = escalate(FURTHER, NOW + 400)
    assert isinstance(escalated, ApprovalRequest)
    assert (may_review(escalated, EVE), may_review(escalated, BOB)) == (False, True)
    assert approve(escalated, EVE, "slack", NOW + 401) is Refusal.NOT_A_REVIEWER
    assert isinstance(approve(replace(escalated, rev=2), BOB, "slack", NOW + 401, rev=1), ApprovalRequest)
