"""Upkeep: what nobody asked for: the poll, signs of life, and what dead replicas left behind."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.approvals.decisions import Approve
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Refusal, State
from gateway.audit.entry import together
from gateway.store.memory import MemoryStore
from tests.approvals.desks import DEADLINE, DIGEST, refused
from tests.bots.samples import BOB
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool, fresh


async def test_the_poll_finds_what_no_wake_up_told(store: MemoryStore, clock: Clock) -> None:
    class Deaf(MemoryStore):
        async def listen(self, heard: Callable[[str, str], None]) -> None:
            """A store whose notifications are all lost."""

    deaf = Deaf(clock)
    desk, other = (Desk(deaf, ListSpool(name), clock=clock, link_max_age=1.0) for name in ("gate-1", "gate-2"))
    await desk.start("gate-1")
    request, heard = fresh(), asyncio.Queue[ApprovalRequest]()
    desk.watch(request.id, heard.put_nowait)
    await desk.open(request)
    for _ in range(5):
        await asyncio.sleep(0)  # the look that a new watch takes is over
    await other.decide(request.id, 1, BOB, Approve(), "slack")
    async with asyncio.timeout(DEADLINE):
        assert (await heard.get()).state is State.APPROVED
    await desk.close()


async def test_any_replica_ends_what_no_timer_did(desk: Desk, store: MemoryStore, clock: Clock) -> None:
    request = fresh(expires_at=clock.now - 1)
    heard = asyncio.Queue[ApprovalRequest]()
    desk.watch(request.id, heard.put_nowait)
    await store.open(request, lambda _: [])
    async with asyncio.timeout(DEADLINE):
        assert (await heard.get()).state is State.EXPIRED


class TestDeadReplicas:
    async def test_a_former_runs_requests_end_before_we_start(self, store: MemoryStore, clock: Clock) -> None:
        pending, approved, running, ours = (fresh(replica=name) for name in ("old", "old", "old", "new"))
        before = Desk(store, ListSpool("old"), clock=clock, link_max_age=1.0)
        for each in (pending, approved, running, ours):
            await before.open(each)
        for each in (approved, running):
            await before.decide(each.id, 1, BOB, Approve(), "slack")
        await before.release(running.id, DIGEST)
        desk = Desk(store, ListSpool("new"), clock=clock, link_max_age=1.0)
        await desk.start("new", gone=["old", "new"])
        states = {each.id: each for each in await desk.find()}
        assert states[pending.id].state is states[approved.id].state is State.WITHDRAWN
        assert states[pending.id].reason.startswith("gateway gone")
        assert states[running.id].state is State.UNKNOWN
        assert states[ours.id].state is State.PENDING
        assert refused(await desk.decide(pending.id, 1, BOB, Approve(), "slack")) is Refusal.ALREADY_DECIDED
        await desk.close()
        await before.close()

    async def test_steps_that_were_recorded_and_never_stored_are_voided_once(
        self, store: MemoryStore, clock: Clock
    ) -> None:
        """A process that is killed inside a transaction has told of what then never was."""
        request, never = fresh(replica="old"), fresh(replica="old")
        spool = ListSpool("old")
        before = Desk(store, spool, clock=clock, link_max_age=1.0)
        await before.open(request)
        spool.record("held", request=never.id)
        spool.record("decided", request=request.id, outcome="approved", decided_by="bob@example.com")
        spool.record("released", request=request.id)
        spool.flush()
        await store.append(together(spool.written))
        for name in ("new", "newer"):
            store._buried.clear()  # as if the first of them had been killed before it was through
            after = ListSpool(name)
            desk = Desk(store, after, clock=clock, link_max_age=1.0)
            await desk.start(name, gone=["old"])
            await store.append(together(after.written))
            await desk.close()
        voided = [each for each in await store.story(request.id) if each["kind"] == "voided"]
        assert [str(each["reason"]).partition(":")[0] for each in voided] == ["old #3", "old #4"]
        [held] = [each for each in await store.story(never.id) if each["kind"] == "voided"]
        assert held["reason"] == "old #2: its process ended before the store confirmed it; what the store holds counts"
        assert (held["replica"], held["request"]) == ("new", never.id)
        await before.close()

    async def test_what_ran_ends_as_the_dead_ones_log_tells(self, store: MemoryStore, clock: Clock) -> None:
        told, silent, open_ = (fresh(replica="old") for _ in range(3))
        spool = ListSpool("old")
        before = Desk(store, spool, clock=clock, link_max_age=1.0)
        for each in (told, silent, open_):
            await before.open(each)
            await before.decide(each.id, 1, BOB, Approve(), "slack")
            await before.release(each.id, DIGEST)
        await before.finish(open_.id, 2, "", 1.0, "open")
        spool.record("finished", request=told.id, outcome="executed", rows=42, duration_ms=3.5)
        spool.flush()
        await store.append(together(spool.written))
        after = ListSpool("new")
        desk = Desk(store, after, clock=clock, link_max_age=1.0)
        await desk.start("new", gone=["old"])
        ends = {each.id: (each.state, each.rows, each.transaction) for each in await desk.find()}
        assert ends == {
            told.id: (State.EXECUTED, 42, "its end was not seen"),
            silent.id: (State.UNKNOWN, None, ""),
            open_.id: (State.EXECUTED, 2, "its end was not seen"),
        }
        [entry] = after.written
        assert (entry.kind, entry.body["request"], entry.body["outcome"]) == ("finished", silent.id, "unknown")
        await desk.close()
        await before.close()

    async def test_a_replica_without_a_sign_of_life_is_buried(
        self, desk: Desk, store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.approvals.upkeep.BEAT_EVERY", 0.01)
        living = Desk(store, ListSpool("gate-2"), clock=clock, link_max_age=1.0)
        await store.heartbeat("dead")
        mine, lost = fresh(replica="gate-2"), fresh(replica="dead")
        heard = asyncio.Queue[ApprovalRequest]()
        for each in (mine, lost):
            living.watch(each.id, heard.put_nowait)
            await store.open(each, lambda _: [])
        clock.now += 16.0
        await living.start("gate-2")
        async with asyncio.timeout(DEADLINE):
            told = await heard.get()
        assert (told.id, told.state) == (lost.id, State.WITHDRAWN)
        stored = await store.get(mine.id)
        assert stored is not None
        assert stored.state is State.PENDING
        await living.close()
