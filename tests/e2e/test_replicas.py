"""Two gateways as processes of their own, on one store and one target, with one workspace before them.

The wire is always on the first, clicks land on the second (or, through a balancer, on both in turn). Each row is changed by
`amount + 1`, so its value says how often the statement ran.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psycopg
import pytest
from aiohttp import web

from gateway.wire.frontend import query
from gateway.wire.startup import PROTOCOL_3_0, cancel_request
from tests.e2e.site import CHANNEL, HOST, START, Served, Site, run
from tests.e2e.stack import STEP
from tests.e2e.wire import Wire

UPDATE = "UPDATE ledger SET amount = amount + 1 WHERE id = {}"
#: Without the look at all watched rows each second only NOTIFY can wake a wire.
NO_POLL = "import gateway.approvals.upkeep as upkeep; upkeep.POLL_EVERY = 3600.0"


@asynccontextmanager
async def replicas(site: Site, code: str = "") -> AsyncIterator[tuple[Served, Served]]:
    """Both started, Bob known to the store; the workspace delivers to the second."""
    async with site.serving(code) as one, site.serving(code) as two:
        await (await site.connect(two, "bob")).execute("SELECT 1")
        yield one, two


@asynccontextmanager
async def balanced(site: Site, *served: Served) -> AsyncIterator[None]:
    """What stands before replicas in earnest: each request of Slack's goes to the next of them."""
    ports = itertools.cycle([(await each.logged("gateway.started"))["http"] for each in served])
    async with aiohttp.ClientSession() as http:

        async def forward(request: web.Request) -> web.Response:
            url = f"http://{HOST}:{next(ports)}{request.path}"
            async with http.post(url, data=await request.read(), headers=request.headers) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

        app = web.Application()
        app.router.add_post("/slack/events", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        site.workspace.events_url = f"http://{HOST}:{runner.addresses[0][1]}/slack/events"
        yield
        await runner.cleanup()


async def amount(site: Site, row: int) -> int:
    return int(await site.postgres.psql(f"SELECT amount FROM ledger WHERE id = {row}", "served"))


async def stored(site: Site, sql: str) -> str:
    return await site.postgres.psql(sql, site.store_name)


async def verified(site: Site) -> None:
    done = await asyncio.to_thread(run, site.environment, "audit", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


async def ended(*served: Served) -> None:
    for each in served:
        each.process.terminate()
    for each in served:
        assert await each.ended() == 0


async def test_a_click_on_another_replica_wakes_the_wire_without_any_poll(site: Site) -> None:
    async with replicas(site, NO_POLL) as (one, two):
        ann = await site.connect(one, "ann")
        waiting = asyncio.create_task(ann.execute(UPDATE.format(11)))
        card = await site.card()
        await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
        async with asyncio.timeout(STEP):
            assert (await waiting).rowcount == 1
        await site.card_says("Executed")
        await ended(one, two)
    assert await amount(site, 11) == 101
    chains = await stored(site, "SELECT count(DISTINCT replica) FROM hoop.audit WHERE request IS NOT NULL")
    assert chains == "2", "it was decided on one and released on the other"
    await verified(site)


async def test_twenty_clicks_over_both_replicas_make_one_decision(site: Site) -> None:
    async with replicas(site) as (one, two), balanced(site, one, two):
        ann = await site.connect(one, "ann")
        waiting = asyncio.create_task(ann.execute(UPDATE.format(12)))
        card = await site.card()
        clicks = [site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve") for _ in range(20)]
        assert await asyncio.gather(*clicks) == [200] * 20
        async with asyncio.timeout(STEP):
            assert (await waiting).rowcount == 1

        def told() -> list[str]:
            return [each.text for each in site.workspace.ephemerals("Bob")]

        await site.workspace.wait_for(lambda: len(told()) >= 20, START)
        losers = [each for each in told() if "already" in each]
        assert len(losers) == 19, told()
        assert all("bob@example.com" in each for each in losers), set(losers)
        await site.card_says("Executed")
        await ended(one, two)
    assert await amount(site, 12) == 101
    kinds = await stored(
        site,
        "SELECT string_agg(kind || ' ' || n, ', ' ORDER BY kind) FROM (SELECT kind, count(*) AS n FROM hoop.audit"
        " WHERE kind IN ('decided', 'released', 'finished') AND request IS NOT NULL GROUP BY kind) AS counted",
    )
    assert kinds == "decided 1, finished 1, released 1"
    await verified(site)


@pytest.mark.parametrize("version", [PROTOCOL_3_0, PROTOCOL_3_0 | 2], ids=["3.0", "3.2"])
async def test_a_cancel_request_on_another_replica_finds_its_session(site: Site, version: int) -> None:
    """Whatever a load balancer does with the second connection; a key with one wrong bit finds nothing."""
    async with replicas(site) as (one, two):
        ports = [(await each.logged("gateway.started"))["wire"] for each in (one, two)]
        wire = await Wire.open(ports[0])
        await wire.log_in(site.issuer.mint("ann"), {"user": "hoop", "database": "shop"}, version)
        wire.send(query(UPDATE.format(13)))
        await site.card()
        pid, secret = wire.key
        for key in (secret[:-1] + bytes((secret[-1] ^ 1,)), secret):
            other = await Wire.open(ports[1])
            other.send(cancel_request(pid, key))
            assert await other.rest() == b""
            await other.close()
        assert await wire.lines() == ["E57014", "ZI"]
        assert "Cancelled by the client" in await site.card_says("Withdrawn")
        assert await wire.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]
        await ended(one, two)
    assert await amount(site, 13) == 100
    cancels = await stored(site, "SELECT count(*) FROM hoop.audit WHERE kind = 'cancelled'")
    assert cancels == "1"
    await verified(site)


@pytest.mark.parametrize("approved", [False, True], ids=["pending", "approved meanwhile"])
async def test_what_a_killed_replica_held_is_withdrawn_by_the_other(site: Site, approved: bool) -> None:
    """Nobody can know that it is dead before its heartbeat lapses: an approval until then comes to nothing, and says so."""
    async with replicas(site) as (one, two):
        ann = await site.connect(one, "ann")
        waiting = asyncio.create_task(ann.execute(UPDATE.format(14)))
        card = await site.card()
        await site.stored_card()
        dead = await stored(site, "SELECT replica FROM hoop.approval")
        one.process.kill()
        with pytest.raises(psycopg.OperationalError):
            await waiting
        if approved:
            await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
            assert "has not run yet" in await site.card_says("Approved")
        await stored(site, f"UPDATE hoop.replica SET beat_at = beat_at - interval '1 min' WHERE name = '{dead}'")
        text = await site.card_says("Withdrawn")
        assert "Gateway gone" in text
        assert text.endswith("Nothing ran.")
        request = await stored(site, "SELECT id FROM hoop.approval")
        await site.workspace.command("Bob", CHANNEL, f"/hoop approve {request}")
        told = site.workspace.ephemerals("Bob")[-1]
        assert "gateway gone" in json.dumps([told.text, told.blocks]).lower()
        await one.ended()
        async with site.serving() as again:
            await again.logged("audit.picked_up")
            await ended(again, two)
    assert await amount(site, 14) == 100
    ends = await stored(site, "SELECT string_agg(outcome, ', ' ORDER BY at) FROM hoop.audit WHERE kind = 'decided'")
    assert ends == ("approved, withdrawn" if approved else "withdrawn")
    await verified(site)


async def test_what_a_killed_replica_had_let_run_is_unknown(site: Site) -> None:
    """It was sent, its answer never came: whoever looks at the card is told to look at the target."""
    async with replicas(site) as (one, _):
        ann = await site.connect(one, "ann")
        direct = await psycopg.AsyncConnection.connect(site.postgres.dsn("served"))
        async with direct:
            await direct.execute("SELECT FROM ledger WHERE id = 15 FOR UPDATE")
            waiting = asyncio.create_task(ann.execute(UPDATE.format(15)))
            card = await site.card()
            await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
            async with asyncio.timeout(STEP):
                while await stored(site, "SELECT state FROM hoop.approval") != "released":
                    pass  # each question is a process of its own
            dead = await stored(site, "SELECT replica FROM hoop.approval")
            one.process.kill()
            with pytest.raises(psycopg.OperationalError):
                await waiting
            await stored(site, f"UPDATE hoop.replica SET beat_at = beat_at - interval '1 min' WHERE name = '{dead}'")
            assert "gateway gone" in (await site.card_says("Outcome unknown")).lower()
        assert await stored(site, "SELECT state FROM hoop.approval") == "unknown"
