"""The listening connection: renewed when it dies, and whoever listens is told to look at everything."""

import asyncio

import asyncpg
import pytest

from gateway.errors import StoreUnavailable
from gateway.store.listener import CHANNELS
from gateway.store.postgres import PostgresStore
from tests.fakes.stores import fresh, postgres_store

DEADLINE = 15.0


async def test_a_dead_listener_is_renewed_and_says_that_something_may_be_lost(store_dsn: str) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    admin = await asyncpg.connect(store_dsn)
    async with postgres_store(store_dsn) as store:
        await store.listen(lambda channel, payload: heard.put_nowait((channel, payload)))
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
            " AND application_name = 'hoop store'"
        )
        async with asyncio.timeout(DEADLINE):
            assert {await heard.get() for _ in range(len(CHANNELS))} == {(name, "") for name in CHANNELS.values()}
        request = fresh()
        await store.open(request, lambda _: [])
        async with asyncio.timeout(DEADLINE):
            assert {await heard.get(), await heard.get()} == {("approval", f"{request.id} 1"), ("outbox", "")}
    await admin.close()


async def test_a_silent_connection_is_asked_whether_it_lives(store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's end is gone without a word; only the question finds out."""
    monkeypatch.setattr("gateway.store.listener.PING_EVERY", 0.05)
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async with postgres_store(store_dsn, timeout=5) as store:
        await store.listen(lambda channel, payload: heard.put_nowait((channel, payload)))
        first = asyncio.Event()
        real = asyncpg.Connection.fetchval

        async def silent(self: object, query: str, *arguments: object, **options: object) -> object:
            if query == "SELECT 1" and not first.is_set():
                first.set()
                raise TimeoutError
            return await real(self, query, *arguments, **options)  # type: ignore[arg-type]  # the same call, passed on

        monkeypatch.setattr(asyncpg.Connection, "fetchval", silent)
        async with asyncio.timeout(DEADLINE):
            assert await heard.get() == ("approval", "")


async def test_a_store_that_is_closed_can_not_be_listened_to(store_dsn: str) -> None:
    with pytest.raises(StoreUnavailable):
        await PostgresStore.connect(store_dsn.replace("/store", "/no_such_database"))
