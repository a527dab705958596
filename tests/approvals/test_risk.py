"""High risk is what a card gives a reason for, and nothing else."""

from dataclasses import replace

from hypothesis import given, settings

from bots.cards import card
from gateway.approvals.request import ApprovalRequest, State
from gateway.approvals.risk import is_high
from tests.bots.samples import DELETE, NOW, PLAIN, WILD


@settings(max_examples=100, deadline=None)
@given(WILD)
def test_cards_say_why_of_just_these(request: ApprovalRequest) -> None:
    pending = replace(request, state=State.PENDING, expires_at=NOW + 60)
    assert is_high(pending) is bool(card(pending, NOW).risk)


def test_a_write_without_where_is() -> None:
    assert not is_high(PLAIN)
    assert is_high(replace(PLAIN, statements=(replace(DELETE, where=False),)))
    assert is_high(replace(PLAIN, preview=replace(PLAIN.preview, rows=1001)))
    assert is_high(replace(PLAIN, statements=(replace(DELETE, tag="DROP TABLE"),)))
