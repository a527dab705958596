"""Orders to end a session reach the one that is meant, also those that were given while nobody listened."""

import asyncio
import time
from collections.abc import Coroutine

from gateway.relay.endings import Endings
from gateway.store.memory import MemoryStore
from gateway.store.port import Ending


class Replica:
    """A replica with these sessions; `ended` are those that it was told to end."""

    def __init__(self, store: MemoryStore, *sessions: str) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.ended: list[tuple[str, str]] = []
        self.endings = Endings(lambda: sessions, store.endings, lambda *order: self.ended.append(order), self._keep)

    def _keep(self, work: Coroutine[object, object, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def settle(self) -> None:
        await asyncio.sleep(0)
        await asyncio.gather(*self.tasks)


async def test_only_the_replica_that_has_it_ends_it() -> None:
    store = MemoryStore(time.time)
    one, other = Replica(store, "a-1", "a-2"), Replica(store, "b-1")
    for each in (one, other):
        await store.listen(each.endings.heard)
    await store.end_session("a-2", Ending("bob", "a runaway agent"))
    await store.end_session("b-1", Ending("bob", ""))
    for each in (one, other):
        await each.settle()
    assert one.ended == [("a-2", "bob: a runaway agent")]
    assert other.ended == [("b-1", "bob")]


async def test_what_was_missed_is_found_when_the_listener_is_back() -> None:
    store = MemoryStore(time.time)
    await store.end_session("a-2", Ending("bob", ""))
    replica = Replica(store, "a-1", "a-2")
    replica.endings.heard("approval", "")
    await replica.settle()
    assert replica.ended == []
    replica.endings.heard("session", "")
    await replica.settle()
    assert replica.ended == [("a-2", "bob")]


async def test_a_store_that_is_away_ends_nothing() -> None:
    store = MemoryStore(time.time, away=True)
    replica = Replica(store, "a-1")
    replica.endings.heard("session", "a-1")
    await replica.settle()
    assert replica.ended == []
