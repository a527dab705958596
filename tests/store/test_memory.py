"""What only the memory store has: a switch that takes it away. The rest is in test_contract.py."""

import asyncio
import inspect
import time

import pytest

from gateway.approvals.request import Refusal
from gateway.audit.query import Query
from gateway.errors import StoreUnavailable
from gateway.identity.accounts import Account
from gateway.store.memory import MemoryStore
from gateway.store.port import Ending
from tests.bots.samples import BOB
from tests.fakes.stores import fresh


async def test_when_it_is_away_nothing_answers() -> None:
    store = MemoryStore(time.time, away=True)
    calls = [
        store.open(fresh(), lambda _: []),
        store.get("x"),
        store.move("x", lambda _request, _now: Refusal.STALE, lambda _: []),
        store.find(),
        store.revisions([]),
        store.overdue(),
        store.unreachable(0.0),
        store.due(),
        store.sent(1, 1, ""),
        store.failed(1, "", None),
        store.posts("x"),
        store.append(b""),
        store.checkpoint("a", 1, "", ""),
        store.audit(Query((), 0.0, 1.0)),
        store.chain("a", 0, 1),
        store.heads(),
        store.checkpoints(),
        store.saw(BOB, 0.0),
        store.person_by_email("x", 0.0),
        store.person_by_subject("issuer", "subject", 0.0),
        store.met("19:x", "", "https://one.example/", 0.0),
        store.service_url("19:x"),
        store.parted("19:x"),
        store.heartbeat("a"),
        store.stopped("a"),
        store.lapsed(0.0),
        store.abandoned(0.0),
        store.altered("a", 0, 1),
        store.pending_of("issuer", "subject", "session"),
        store.cancel(["digest"]),
        store.outdated("host:1:0", "shop"),
        store.redraw("x"),
        store.unsettled("a"),
        store.unclaim("a"),
        store.postponed(1, 1.0, maybe_posted=False),
        store.backlog(),
        store.parked(),
        store.revive(1.0),
        store.remind(),
        store.unremind(1),
        store.alive(1.0),
        store.sessions(1.0),
        store.steps("a", 1),
        store.story("x"),
        store.unburied(["a"]),
        store.buried("a"),
        store.kept("x"),
        store.denied("issuer", "subject", 0.0),
        store.requests_of("issuer", "subject"),
        store.asked(0.0, None, 1),
        store.claim("x", 1.0),
        store.done("x"),
        store.hurry("x"),
        store.use_grant(fresh(), lambda _giver, _request, _now: None, lambda _: []),
        store.grants(),
        store.approved("x"),
        store.end_session("s", Ending("bob", "")),
        store.endings(["s"]),
        store.put_ticket("x", "{}", 1.0),
        store.ticket("x"),
        store.take_ticket("x"),
        store.link(Account("slack", "/T1", "U1", ""), BOB, 0.0),
        store.linked(Account("slack", "/T1", "U1", "")),
        store.unlink(Account("slack", "/T1", "U1", "")),
        store.accounts_of("issuer", "subject"),
        store.listen(lambda _channel, _payload: None),
    ]
    public = [name for name, _ in inspect.getmembers(MemoryStore, inspect.iscoroutinefunction) if name[0] != "_"]
    assert len(calls) == len(public) - 1, "all but close"
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call


async def test_closing_it_forgets_who_listened() -> None:
    store = MemoryStore(time.time)
    heard: list[str] = []
    await store.listen(lambda channel, _payload: heard.append(channel))
    await store.open(fresh(), lambda _: [])
    await asyncio.sleep(0)  # they are told in the next turn
    assert heard == ["approval", "outbox"]
    await store.close()
    await store.open(fresh(), lambda _: [])
    await asyncio.sleep(0)
    assert heard == ["approval", "outbox"]
