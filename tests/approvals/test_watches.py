"""Watches: who waits hears of each change, whoever made it."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from gateway.approvals import request as rules
from gateway.approvals.decisions import Approve
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Refusal, State
from gateway.errors import StoreUnavailable
from gateway.store.memory import MemoryStore
from gateway.store.port import Change, Record
from tests.approvals.desks import DEADLINE, DIGEST, Replica, decided, refused
from tests.bots.samples import BOB
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool, fresh


class TestWatch:
    async def test_each_change_is_heard_once_in_order(self, no_poll: None, desk: Desk) -> None:
        request, heard = fresh(), asyncio.Queue[ApprovalRequest]()
        desk.watch(request.id, heard.put_nowait)
        await desk.open(request)
        await desk.decide(request.id, 1, BOB, Approve(), "slack")
        await desk.release(request.id, DIGEST)
        async with asyncio.timeout(DEADLINE):
            assert [(await heard.get()).rev for _ in range(2)] == [2, 3]
        await desk.finish(request.id, 1, "", 1.0, "committed")
        async with asyncio.timeout(DEADLINE):
            assert (await heard.get()).state is State.EXECUTED
        assert heard.empty()

    async def test_what_happened_before_is_heard_at_once(self, no_poll: None, desk: Desk) -> None:
        request, heard = fresh(), asyncio.Queue[ApprovalRequest]()
        await desk.open(request)
        await desk.withdraw(request.id, "cancelled")
        for _ in range(5):
            await asyncio.sleep(0)  # its wake-up has come and gone
        desk.watch(request.id, heard.put_nowait)
        async with asyncio.timeout(DEADLINE):
            assert (await heard.get()).state is State.WITHDRAWN

    async def test_nothing_is_heard_after_the_end_of_the_watch(self, desk: Desk) -> None:
        request = fresh()
        first, second = asyncio.Queue[ApprovalRequest](), asyncio.Queue[ApprovalRequest]()
        unwatch = desk.watch(request.id, first.put_nowait)
        desk.watch(request.id, second.put_nowait)
        await desk.open(request)
        await desk.decide(request.id, 1, BOB, Approve(), "slack")
        unwatch()
        unwatch()
        async with asyncio.timeout(DEADLINE):
            await second.get()
        assert first.empty()

    async def test_another_replica_wakes_us(self, no_poll: None, desk: Desk, store: MemoryStore, clock: Clock) -> None:
        other = Desk(store, ListSpool("gate-2"), clock=clock, link_max_age=3600.0)
        request, heard = fresh(), asyncio.Queue[ApprovalRequest]()
        desk.watch(request.id, heard.put_nowait)
        await desk.open(request)
        for _ in range(5):
            await asyncio.sleep(0)  # the look that a new watch takes is over
        await other.decide(request.id, 1, BOB, Approve(), "slack")
        async with asyncio.timeout(DEADLINE):
            assert (await heard.get()).state is State.APPROVED

    async def test_a_change_of_our_own_is_told_without_a_read(self, clock: Clock) -> None:
        class Counting(MemoryStore):
            reads = 0

            async def get(self, request_id: str) -> ApprovalRequest | None:
                self.reads += 1
                return await super().get(request_id)

        store = Counting(clock)
        desk = Desk(store, ListSpool(), clock=clock, link_max_age=3600.0)
        await desk.start("gate-1")
        request = fresh()
        await desk.open(request)
        heard: asyncio.Queue[ApprovalRequest] = asyncio.Queue()
        desk.watch(request.id, heard.put_nowait)
        for _ in range(5):
            await asyncio.sleep(0)  # the looks that opening and watching lead to are over
        before = store.reads
        await desk.decide(request.id, 1, BOB, Approve(), "slack")
        async with asyncio.timeout(DEADLINE):
            assert (await heard.get()).state is State.APPROVED
        for _ in range(5):
            await asyncio.sleep(0)  # the wake-up of our own change has arrived
        assert store.reads == before
        await desk.close()

    @pytest.mark.parametrize("fails", [False, True], ids=["our move is refused", "our move fails"])
    async def test_what_another_replica_did_during_our_own_move_is_heard(self, fails: bool, clock: Clock) -> None:
        class Overtaken(MemoryStore):
            """A denial from elsewhere is stored, and told, while a move of ours is under way; the poll sees nothing."""

            async def move(self, request_id: str, change: Change, record: Record) -> ApprovalRequest | Refusal:
                await super().move(
                    request_id, lambda stored, now: rules.deny(stored, BOB, "slack", "no", now), lambda _: []
                )
                await asyncio.sleep(0)  # the wake-up arrives
                if fails:
                    raise StoreUnavailable("away")
                return await super().move(request_id, change, record)

            async def revisions(self, request_ids: Sequence[str]) -> Mapping[str, int]:
                return {}

        desk = Desk(Overtaken(clock), ListSpool(), clock=clock, link_max_age=3600.0)
        await desk.start("gate-1")
        request = fresh()
        await desk.open(request)
        heard: asyncio.Queue[ApprovalRequest] = asyncio.Queue()
        desk.watch(request.id, heard.put_nowait)
        for _ in range(5):
            await asyncio.sleep(0)  # the looks that opening and watching lead to are over
        if fails:
            with pytest.raises(StoreUnavailable):
                await desk.withdraw(request.id, "gone")
        else:
            assert refused(await desk.withdraw(request.id, "gone")) is Refusal.ALREADY_DECIDED
        async with asyncio.timeout(DEADLINE):
            assert (await heard.get()).state is State.DENIED
        await desk.close()


async def test_a_click_on_one_replica_wakes_the_wire_on_the_other(
    no_poll: None, replicas: tuple[Replica, Replica]
) -> None:
    one, two = replicas
    await one.desk.start("gate-1")
    request, heard = fresh(), asyncio.Queue[ApprovalRequest]()
    one.desk.watch(request.id, heard.put_nowait)
    await one.desk.open(request)
    clicked = decided(await two.desk.decide(request.id, 1, BOB, Approve(), "slack"))
    async with asyncio.timeout(DEADLINE):
        assert await heard.get() == clicked
