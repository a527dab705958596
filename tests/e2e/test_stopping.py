"""How `hoop serve` ends: its last line, what a store that hangs makes of it, and what others are told at once."""

import asyncio
import json
import signal
from typing import Any

import psycopg
import pytest

from gateway.store.postgres import PostgresStore
from tests.e2e.between import Between, Stop
from tests.e2e.site import START, Served, Site

#: More than it waits: for a statement, for the target's answer to a cancel, for a store that hangs.
WHILE = 60.0


def last(served: Served) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(served.lines[-1])
    return {name: value for name, value in told.items() if name not in ("level", "timestamp")}


async def test_its_last_line_says_what_became_of_the_sessions(site: Site) -> None:
    async with site.serving() as served:
        idle = await site.connect(served, "bob")
        ann = await site.connect(served, "ann")
        asleep = asyncio.create_task(ann.execute("SELECT pg_sleep(600)"))
        async with asyncio.timeout(START):
            while await _asleep(site) != "1":
                pass  # each question is a process of its own; nobody is notified of this
        served.process.send_signal(signal.SIGTERM)
        with pytest.raises(psycopg.errors.QueryCanceled):
            await asleep
        assert await _asleep(site) == "0", "the target was asked to stop it"
        await served.logged("gateway.stopped")
        assert await served.ended() == 0
        stopped = {"event": "gateway.stopped", "ended": 1, "drained": 0, "cancelled": 1, "unknown": 0}
        assert last(served) == stopped
        with pytest.raises(psycopg.OperationalError):
            await idle.execute("SELECT 1")
    found = await site.postgres.psql(
        "SELECT outcome, sqlstate FROM hoop.audit WHERE kind = 'finished' AND tag = 'SELECT'", site.store_name
    )
    assert found == "failed|57014"


async def _asleep(site: Site) -> str:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    return await site.postgres.psql(asked, "served")


async def test_others_know_at_once_that_it_has_stopped(site: Site) -> None:
    store = await PostgresStore.connect(site.environment["HOOP_STORE"])
    async with site.serving() as served:
        started = await served.logged("gateway.started")
        assert await store.alive(600.0) == [started["replica"]]
        served.process.send_signal(signal.SIGTERM)
        assert await served.ended() == 0
    assert await store.alive(600.0) == []
    await store.close()


async def test_a_store_that_hangs_is_told_in_lines_and_no_traceback(site: Site) -> None:
    store = await Between.before(site.postgres.port)
    site.environment["HOOP_STORE"] = site.environment["HOOP_STORE"].replace(str(site.postgres.port), str(store.port))
    async with site.serving() as served:
        store.stop(Stop(()))
        served.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WHILE):
            await served.logged("gateway.stopped")
            assert await served.process.wait() == 0
        told = [json.loads(line) for line in served.lines]
    assert not [each for each in told if "exception" in each or "Traceback" in str(each)]
    assert "audit.not_shipped" in [each["event"] for each in told if each["level"] == "warning"]
    await store.close()
