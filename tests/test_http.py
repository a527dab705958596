"""Health, readiness and metrics over real HTTP."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest

from gateway.http import make
from gateway.metrics import Metrics

Client = TestClient[web.Request, web.Application]


async def connect(ready: Callable[[], Awaitable[dict[str, str]]], *routes: web.RouteDef) -> Client:
    metrics = Metrics()
    metrics.statements.labels("shop", "hold").inc()

    async def scrape() -> bytes:
        return generate_latest(metrics.registry)

    client: Client = TestClient(TestServer(make(ready, scrape, routes)))
    await client.start_server()
    return client


async def fine() -> dict[str, str]:
    return {"store": "ok", "target shop": "ok"}


async def test_health_asks_nobody() -> None:
    async def broken() -> dict[str, str]:
        raise AssertionError

    client = await connect(broken)
    assert (await client.get("/healthz")).status == 200
    await client.close()


async def test_ready_lists_each_dependency() -> None:
    client = await connect(fine)
    answer = await client.get("/readyz")
    assert answer.status == 200
    assert await answer.json() == {"store": "ok", "target shop": "ok"}
    await client.close()


async def test_one_bad_dependency_is_503() -> None:
    async def ready() -> dict[str, str]:
        return {"store": "ok", "target shop": "connection refused"}

    client = await connect(ready)
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert (await answer.json())["target shop"] == "connection refused"
    await client.close()


async def test_what_is_worth_knowing_of_a_part_that_works_sends_nobody_away() -> None:
    async def ready() -> dict[str, str]:
        return {"store": "ok", "workers": "ok; no answer from 2"}

    client = await connect(ready)
    answer = await client.get("/readyz")
    assert answer.status == 200
    assert (await answer.json())["workers"] == "ok; no answer from 2"
    await client.close()


async def test_a_part_without_which_clients_are_served_sends_nobody_away() -> None:
    async def ready() -> dict[str, str]:
        return {"store": "degraded; it does not answer: reads go on", "spool": "ok"}

    client = await connect(ready)
    answer = await client.get("/readyz")
    assert answer.status == 200
    assert (await answer.json())["store"] == "degraded; it does not answer: reads go on"
    await client.close()


async def test_a_check_that_breaks_is_not_ready_and_tells_nothing() -> None:
    async def ready() -> dict[str, str]:
        raise RuntimeError("postgresql://hoop:canary@db/hoop")

    client = await connect(ready)
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert "canary" not in await answer.text()
    await client.close()


async def test_a_check_that_hangs_is_not_ready() -> None:
    async def ready() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    client = await connect(ready)
    async with asyncio.timeout(20):
        answer = await client.get("/readyz")
    assert answer.status == 503
    assert "no answer" in await answer.text()
    await client.close()


async def test_metrics_are_in_the_format_of_prometheus() -> None:
    client = await connect(fine)
    answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert 'hoop_statements_total{target="shop",verdict="hold"} 1.0' in await answer.text()
    await client.close()


async def test_routes_of_others_are_mounted() -> None:
    async def events(_request: web.Request) -> web.Response:
        return web.Response(text="slack")

    client = await connect(fine, web.post("/slack/events", events))
    assert await (await client.post("/slack/events")).text() == "slack"
    assert (await client.get("/slack/events")).status == 405
    await client.close()
