"""The aiohttp app: health, readiness, metrics, and whatever routes it is handed. No chat, no store, no wire here.

`/healthz` says that the process answers and asks nobody; `/readyz` asks each dependency, so that a load balancer sends
clients elsewhere while one is away, and an operator sees which. What leaves clients served is told and is no reason to send them
elsewhere: one worker of several that is down ("ok; ...": the others take them, and it is started again), or a store that is away
("degraded; ...": it is so for all replicas, and reads go on).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

#: What `ready` says of a dependency that works, with what is worth knowing behind `; `; any other text is what is wrong with it.
OK: Final = "ok"
#: The same of one that is away and leaves clients served: what is not, behind `; `.
DEGRADED: Final = "degraded"
#: A probe of Kubernetes gives up after 1 s by default; an answer that comes later tells nobody.
READY_WITHIN: Final = 0.9

Ready = Callable[[], Awaitable[dict[str, str]]]
Scrape = Callable[[], Awaitable[bytes]]


def make(ready: Ready, scrape: Scrape, routes: Iterable[web.AbstractRouteDef]) -> web.Application:
    """Make the app. `ready` returns dependency -> OK, DEGRADED or what is wrong; its texts are public, so no secrets in them. `scrape`
    gives what is counted, in Prometheus' text format."""

    async def readyz(_request: web.Request) -> web.Response:
        found = await _ask(ready)
        bad = any(state.partition("; ")[0] not in _SERVED for state in found.values())
        return web.json_response(found, status=503 if bad else 200, headers=_NEVER_CACHED)

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=await scrape(), headers={"Content-Type": CONTENT_TYPE_LATEST, **_NEVER_CACHED})

    app = web.Application()
    app.add_routes([web.get("/healthz", _healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)])
    app.add_routes(routes)
    return app


_SERVED: Final = frozenset({OK, DEGRADED})
_NEVER_CACHED: Final = {"Cache-Control": "no-store"}


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n", headers=_NEVER_CACHED)


async def _ask(ready: Ready) -> dict[str, str]:
    """Ask with a deadline; a check that breaks or hangs is a dependency that isn't ready."""
    try:
        async with asyncio.timeout(READY_WITHIN):
            return await ready()
    except TimeoutError:
        return {"readiness": f"no answer within {READY_WITHIN} s"}
    except Exception:
        # the exception's text may hold a DSN; the check itself logs what it knows
        return {"readiness": "the check failed"}
