"""Moves: what is recorded of a change, and what of one that the store or the spool did not take."""

import time
from pathlib import Path

import pytest

from gateway.approvals.decisions import Approve
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Refusal
from gateway.audit.chain import verify_chain
from gateway.audit.spool import Spool
from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.memory import MemoryStore
from gateway.store.port import Change, Record
from tests.approvals.desks import DIGEST
from tests.bots.samples import BOB
from tests.fakes.clock import Clock
from tests.fakes.stores import KEY, ListSpool, fresh, postgres_store


class TestFailure:
    async def test_a_full_spool_decides_nothing(self, desk: Desk, spool: ListSpool) -> None:
        request = fresh()
        await desk.open(request)
        spool.full = True
        with pytest.raises(GatewayError) as caught:
            await desk.decide(request.id, 1, BOB, Approve(), "slack")
        assert caught.value.sqlstate == "53100"
        stored = await desk.show(request.id)
        assert stored == request

    async def test_entries_whose_transaction_failed_are_voided(self, spool: ListSpool, clock: Clock) -> None:
        class Breaking(MemoryStore):
            async def move(self, request_id: str, change: Change, record: Record) -> ApprovalRequest | Refusal:
                """The connection is lost after the entries were written and before the commit."""
                request = await self.get(request_id)
                assert request is not None
                moved = change(request, self.clock())
                assert isinstance(moved, ApprovalRequest)
                record(moved)
                raise StoreUnavailable("gone")

        desk = Desk(Breaking(clock), spool, clock=clock, link_max_age=1.0)
        request = fresh()
        await desk.open(request)
        with pytest.raises(StoreUnavailable):
            await desk.decide(request.id, 1, BOB, Approve(), "slack")
        assert [entry.kind for entry in spool.written] == ["held", "decided", "voided"]
        void = spool.written[-1].body
        assert void["request"] == request.id
        assert str(void["reason"]).startswith("#2: not confirmed by the store")
        await desk.close()

    async def test_a_store_that_is_away_refuses_all_and_leaves_no_entry(
        self, desk: Desk, store: MemoryStore, spool: ListSpool
    ) -> None:
        request = fresh()
        await desk.open(request)
        store.away = True
        for call in (
            desk.open(fresh()),
            desk.decide(request.id, 1, BOB, Approve(), "slack"),
            desk.release(request.id, DIGEST),
            desk.withdraw(request.id, "cancelled"),
            desk.show(request.id),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        assert spool.kinds() == [("held", None)]


async def test_the_real_spool_and_the_store_hold_one_good_chain(store_dsn: str, tmp_path: Path) -> None:
    async with postgres_store(store_dsn) as store:
        spool = Spool.open(tmp_path, "gate-1", KEY, time.time)
        desk = Desk(store, spool, clock=time.time, link_max_age=3600.0)
        one, two = fresh(agent="nul \0 in it"), fresh()
        for request in (one, two):
            await desk.open(request)
            await desk.decide(request.id, 1, BOB, Approve(), "slack")
        await desk.release(one.id, DIGEST)
        await desk.withdraw(two.id, "client gone")
        chain = await store.chain("gate-1", 0, 100)
        assert verify_chain(KEY, "gate-1", chain) == []
        assert [entry["kind"] for entry in chain] == ["held", "decided", "held", "decided", "released", "decided"]
        await desk.close()
        spool.close()
