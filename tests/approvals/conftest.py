"""What the tests of desk, its parts and outbox share: a store in memory, by a clock that stands still, and desks over it."""

import time
from collections.abc import AsyncIterator

import pytest

from gateway.approvals.desk import Desk
from gateway.store.memory import MemoryStore
from tests.approvals.desks import Replica
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool, postgres_store


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def spool() -> ListSpool:
    return ListSpool()


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard is then not the poll's merit."""
    monkeypatch.setattr("gateway.approvals.upkeep.POLL_EVERY", 3600.0)


@pytest.fixture
async def desk(store: MemoryStore, spool: ListSpool, clock: Clock) -> AsyncIterator[Desk]:
    desk = Desk(store, spool, clock=clock, link_max_age=3600.0)
    await desk.start("gate-1")
    yield desk
    await desk.close()


@pytest.fixture
async def replicas(store_dsn: str) -> AsyncIterator[tuple[Replica, Replica]]:
    async with postgres_store(store_dsn) as one, postgres_store(store_dsn) as two:
        both = Replica(one, "gate-1"), Replica(two, "gate-2")
        yield both
        for each in both:
            await each.desk.close()
