"""What was seen of locks in a request: a look again changes nothing that anybody decides about."""

from dataclasses import replace

from gateway.approvals import request as rules
from gateway.approvals.request import ApprovalRequest, Refusal, State
from gateway.approvals.seen import Seen
from tests.bots.samples import BOB, NOW, PLAIN, STATES

SEEN = Seen(NOW + 200, in_transaction=True, held=(("public.orders", "SHARE"),), open_for=230.0, blocked=2)


def test_a_look_again_makes_no_card_stale() -> None:
    looked = rules.look_again(PLAIN, SEEN)
    assert isinstance(looked, ApprovalRequest)
    stored = replace(looked, rev=2)  # as the store counts
    assert (stored.seen, stored.looks) == (SEEN, 1)
    approved = rules.approve(stored, BOB, "slack", NOW + 201, rev=1)
    assert isinstance(approved, ApprovalRequest)
    assert approved.state is State.APPROVED
    assert rules.approve(replace(stored, rev=3), BOB, "slack", NOW + 201, rev=1) is Refusal.STALE


def test_what_is_decided_is_not_looked_at_any_more() -> None:
    for state, request in STATES.items():
        looked = rules.look_again(request, SEEN)
        assert (looked is Refusal.ALREADY_DECIDED) is (state is not State.PENDING)
