"""Decisions: what a click of each kind makes of a request, through the desk that stores it."""

from collections.abc import Callable

import pytest

from gateway.approvals.decisions import Approve, Ask, Decision, Deny, Refused, RequestChanges, Withdraw
from gateway.approvals.desk import Desk
from gateway.approvals.request import Refusal, State
from gateway.store.memory import MemoryStore
from tests.approvals.desks import decided
from tests.bots.samples import ANN, BOB, CAROL, EVE
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool, fresh


async def test_the_requester_withdraws_and_nobody_else(desk: Desk, spool: ListSpool) -> None:
    request = fresh()
    await desk.open(request)
    answer = await desk.decide(request.id, 1, BOB, Withdraw(), "slack")
    assert isinstance(answer, Refused)
    assert answer.refusal is Refusal.NOT_YOURS
    assert decided(await desk.decide(request.id, 1, ANN, Withdraw(), "slack")).state is State.WITHDRAWN
    refused, ended = (entry.body for entry in spool.written[1:])
    assert (refused["kind"], refused["reason"]) == ("refused", "not the requester")
    said = {name: ended[name] for name in ("kind", "outcome", "decided_by", "via", "reason", "sqlstate")}
    assert said == {
        "kind": "decided", "outcome": "withdrawn", "decided_by": "ann@example.com", "via": "slack",
        "reason": "by its requester", "sqlstate": "57014",
    }  # fmt: skip


async def test_a_question_is_recorded_and_decides_nothing(desk: Desk, spool: ListSpool) -> None:
    request = fresh()
    await desk.open(request)
    asked = decided(await desk.decide(request.id, 1, BOB, Ask("why all?"), "teams"))
    assert (asked.state, [each.text for each in asked.questions]) == (State.PENDING, ["why all?"])
    entry = spool.written[-1].body
    assert [entry[name] for name in ("kind", "decided_by", "via", "reason")] == ["asked", BOB.user, "teams", "why all?"]
    assert "outcome" not in entry
    answer = await desk.decide(request.id, 1, EVE, Ask("may I?"), "slack")
    assert isinstance(answer, Refused)
    assert spool.kinds()[-1] == ("refused", None)
    assert decided(await desk.decide(request.id, 1, CAROL, Approve(), "slack")).state is State.APPROVED


@pytest.mark.parametrize("decision", [Deny, RequestChanges, Ask])
async def test_what_reviewers_type_is_masked(
    store: MemoryStore, spool: ListSpool, clock: Clock, decision: Callable[[str], Decision]
) -> None:
    desk = Desk(store, spool, clock=clock, link_max_age=60.0, scrub=lambda text: text.replace("4711", "[pin]"))
    request = fresh()
    await desk.open(request)
    stored = decided(await desk.decide(request.id, 1, BOB, decision("not\n4711"), "slack"))
    assert [stored.reason, stored.changes, *(each.text for each in stored.questions)].count("not [pin]") == 1
    assert str(spool.written[-1].body["reason"]).endswith("not [pin]")
