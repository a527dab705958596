"""How late the event loop is while Microsoft hangs for 3 s: once for a click's key fetch, once for our own token. Goal: p99 < 20 ms.

The loop of the gateway's Teams parts (edge, tokens with msal) runs a ticker that wants to wake each millisecond; how much later
it wakes is the lag. Issuer and login server (TLS) are in a thread with a loop of their own. A row without any Teams before it
says what the machine itself does.
"""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from bench.result import Result, spread
from bots.teams.edge import Edge
from bots.teams.tokens import Tokens
from gateway.identity.documents import Documents
from tests.fakes.teams import APP_ID, PASSWORD, TENANT, Teams

TICK = 0.001
HANG = 3.0


async def measure() -> Result:
    """Three rows: nothing, a key fetch that hangs, a token fetch that hangs."""
    elsewhere = asyncio.new_event_loop()
    threading.Thread(target=elsewhere.run_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        teams = await _on(elsewhere, Teams.open(Path(folder)))
        os.environ["REQUESTS_CA_BUNDLE"] = str(teams.certificate)
        rows = [spread("nothing of Teams", await _lags(asyncio.sleep(HANG)))]
        edge = Edge(APP_ID, TENANT, Documents(insecure_loopback=True), time.time, teams.microsoft.metadata_url)

        async def scope() -> str:
            return f"{await edge.issuer()}/.default"

        tokens = Tokens(APP_ID, PASSWORD, TENANT, scope, time.time, teams.microsoft.login_url)
        token = f"Bearer {teams.microsoft.sign(teams.service_url)}"
        elsewhere.call_soon_threadsafe(teams.microsoft.keys.hang)
        elsewhere.call_soon_threadsafe(elsewhere.call_later, HANG, teams.microsoft.keys.go)
        rows.append(spread("20 clicks wait for a key fetch", await _lags(_many(edge.authenticate, token))))
        elsewhere.call_soon_threadsafe(teams.microsoft.login.hang)
        elsewhere.call_soon_threadsafe(elsewhere.call_later, HANG, teams.microsoft.login.go)
        rows.append(spread("20 cards wait for our token", await _lags(_many(tokens.token))))
        await tokens.close()
        await edge.close()
        await _on(elsewhere, teams.close())
    return Result("teams_lag", rows, ["the lag of a ticker of 1 ms; each wait is 3 s long"])


async def _many(call: Any, *arguments: str) -> None:
    await asyncio.gather(*(call(*arguments) for _ in range(20)))


async def _lags(work: Coroutine[Any, Any, Any]) -> list[float]:
    """How much later than wanted each tick came, while `work` went on."""
    lags: list[float] = []
    task = asyncio.ensure_future(work)
    while not task.done():
        before = time.perf_counter()
        await asyncio.sleep(TICK)
        lags.append(time.perf_counter() - before - TICK)
    await task
    return lags


async def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
