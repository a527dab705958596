"""What is read off a dead replica's entries: which steps were never taken, and how what ran has ended."""

from dataclasses import replace

import pytest

from gateway.approvals.aftermath import UNSEEN, End, end_told, took_effect, voids
from gateway.approvals.request import Approval, ApprovalRequest, State
from gateway.audit.entry import Value
from tests.bots.samples import BOB, DELETE, NOW, PLAIN, UPDATE

APPROVED = replace(PLAIN, state=State.APPROVED, approvals=(Approval(BOB, "slack", NOW),), decided_by=BOB)
RELEASED = replace(APPROVED, state=State.RELEASED, released_at=NOW)
DENIED = replace(PLAIN, state=State.DENIED, decided_by=BOB)

HELD: dict[str, Value] = {"kind": "held"}
BY_BOB: dict[str, Value] = {"kind": "decided", "outcome": "approved", "decided_by": "bob@example.com"}
BY_CAROL: dict[str, Value] = {**BY_BOB, "decided_by": "carol@example.com"}
DENIAL: dict[str, Value] = {"kind": "decided", "outcome": "denied", "decided_by": "bob@example.com"}
RELEASE: dict[str, Value] = {"kind": "released"}


@pytest.mark.parametrize(
    ("step", "request_", "took"),
    [
        (HELD, None, False),
        (HELD, PLAIN, True),
        (BY_BOB, None, False),
        (BY_BOB, PLAIN, False),
        (BY_BOB, APPROVED, True),
        (BY_BOB, RELEASED, True),
        (BY_CAROL, APPROVED, False),
        (DENIAL, PLAIN, False),
        (DENIAL, DENIED, True),
        (DENIAL, APPROVED, False),
        (RELEASE, APPROVED, False),
        (RELEASE, RELEASED, True),
    ],
)
def test_a_step_took_effect_if_the_request_shows_it(
    step: dict[str, Value], request_: ApprovalRequest | None, took: bool
) -> None:
    assert took_effect(step, request_) is took


def finished(outcome: str, **more: Value) -> dict[str, Value]:
    return {"kind": "finished", "outcome": outcome, **more}


TWO = replace(RELEASED, statements=(DELETE, UPDATE))


@pytest.mark.parametrize(
    ("request_", "story", "end"),
    [
        (RELEASED, [BY_BOB, RELEASE], None),
        (RELEASED, [finished("executed", rows=42, duration_ms=3.5)], End(42, "", 3.5, UNSEEN)),
        (RELEASED, [finished("unknown")], None),
        (RELEASED, [finished("failed", sqlstate="23505", duration_ms=2)], End(None, "23505", 2, "rolled back")),
        (TWO, [finished("executed", rows=1)], None),
        (TWO, [finished("executed", rows=1), finished("executed", rows=2)], End(3, "", None, UNSEEN)),
        (TWO, [finished("executed", rows=1), finished("failed", sqlstate="23505")], None),
        (TWO, [finished("failed", reason="skipped"), finished("failed")], End(None, "25P02", None, "rolled back")),
    ],
)
def test_the_end_is_told_only_where_each_execution_has_one(
    request_: ApprovalRequest, story: list[dict[str, Value]], end: End | None
) -> None:
    assert end_told(request_, story) == end


@pytest.mark.parametrize(
    ("replica", "reason", "named"),
    [
        ("gate:1:0", "#3, #4: not confirmed by the store (TimeoutError); what the store holds counts", True),
        ("gate:1:0", "#30: not confirmed by the store (TimeoutError); what the store holds counts", False),
        ("gate:1:0", "gate:0:0 #3: its process ended before the store confirmed it", False),
        ("gate:2:0", "gate:1:0 #3: its process ended before the store confirmed it", True),
        ("gate:2:0", "gate:1:1 #3: its process ended before the store confirmed it", False),
        ("gate:2:0", "#3: not confirmed by the store (TimeoutError); what the store holds counts", False),
    ],
)
def test_a_step_is_voided_by_its_number(replica: str, reason: str, named: bool) -> None:
    step: dict[str, Value] = {**HELD, "replica": "gate:1:0", "seq": 3}
    assert voids({"kind": "voided", "replica": replica, "reason": reason}, step) is named
