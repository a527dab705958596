"""A target older than our grammar: what PostgreSQL 15 takes and we can't read must wait for people (enforcement.md 4.1, 14)."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import psycopg
import pytest

from gateway.demo.postgres import find_binaries
from gateway.demo.run import CHANNEL, HOST, Demo, Ports

DEBIAN = find_binaries("debian")
pytestmark = [
    pytest.mark.pg15,
    pytest.mark.skipif(DEBIAN is None, reason="no PostgreSQL 15 (Debian's package postgresql-15)"),
]
#: `system_user` is a keyword of PostgreSQL 16 and later; before, it may be anybody's function.
SETUP = """
CREATE TABLE victim (id int);
INSERT INTO victim SELECT generate_series(1, 5);
GRANT ALL ON victim TO hoop;
CREATE FUNCTION public.system_user() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM victim; RETURN 1; END';
"""


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    found = Demo(Ports(0, 0), answer_seconds=60, binaries=DEBIAN)
    await found.start()
    yield found
    await found.stop()


def _cards(demo: Demo, count: int) -> bool:
    return len(demo.workspace.messages(CHANNEL)) >= count


async def test_a_text_that_only_the_target_can_read_runs_only_when_it_is_approved(demo: Demo) -> None:
    assert demo.postgres is not None
    await demo.postgres.psql(SETUP, "shop")
    place = f"host={HOST} port={demo.gateway.ports.wire} dbname=shop user=hoop sslmode=disable"
    async with (
        asyncio.timeout(60),
        await psycopg.AsyncConnection.connect(place, password=demo.token("cursor"), autocommit=True) as client,
    ):
        for count, prepare in enumerate((False, True), 1):
            asked = asyncio.create_task(client.execute("SELECT system_user()", prepare=prepare))
            await demo.workspace.wait_for(partial(_cards, demo, count), 30)
            assert await demo.postgres.psql("SELECT count(*) FROM victim", "shop") == "5"
            card = demo.workspace.messages(CHANNEL)[-1]
            await demo.workspace.click("Bob", CHANNEL, card.ts, "hoop_deny")
            views = await demo.workspace.wait_for(lambda: demo.workspace.open_views("Bob"), 30)
            await demo.workspace.submit(views[0].id, "Bob", {"reason": "it deletes"})
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="it deletes"):
                await asked
        assert await demo.postgres.psql("SELECT count(*) FROM victim", "shop") == "5"
