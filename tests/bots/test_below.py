"""What is said below a card: whole sentences, literal texts."""

from dataclasses import replace

from bots.below import below
from bots.texts import in_utc
from gateway.approvals.outbox import Below
from gateway.approvals.request import Approval
from tests.bots.samples import BOB, NOW, PLAIN

TITLE = "DELETE on public.customers in production (shop)"


def test_each_thing_has_its_sentence() -> None:
    request = replace(
        PLAIN,
        approvals=(Approval(replace(BOB, user="bob\u202e"), "slack", NOW + 60),),
        approvals_needed=2,
        escalate_to=("slack:C2",),
        escalated_at=NOW + 400,
    )
    waiting = in_utc(below(request, Below.WAITING))
    assert waiting == (
        f"Still waiting for dba: {TITLE}, asked by ann@example.com. 1 of 2 approvals are given. "
        "After 10:30:00 UTC nothing runs."
    )
    assert in_utc(below(request, Below.ESCALATED)) == (
        f"Escalated: nobody has decided yet. It is now asked in 1 further channel as well. {waiting}"
    )
    assert below(request, Below.FLOODED) == (
        "ann@example.com asks for more than may wait at once, so further statements are refused until some of these are decided. "
        "None of those ran or will be asked about: /hoop audit user:ann@example.com decision:blocked last:1h"
    )
    assert in_utc(below(request, Below.COUNTED)) == (
        f"1 of 2 approved by bob, needs one more: {TITLE}. After 10:30:00 UTC nothing runs."
    )
