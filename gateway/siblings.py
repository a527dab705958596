"""One worker of several asks the others: what they count, and whether they answer at all.

Each worker answers on a Unix socket in a folder that the supervisor made for them (mode 0700), so that whichever of them the
kernel gives a scrape to tells of all. What lives here: that socket and the asking. What must not: what is counted, and what the
counts of several are as one (metrics.py).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

#: Seconds: a sibling that takes longer counts as one that does not answer. A scrape can wait (Prometheus does so for 10 s), a probe
#: can't (http.READY_WITHIN).
SCRAPE_WITHIN: Final = 2.0
PROBE_WITHIN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Worker:
    """Which one this process is, from 1 to `count`, and where the sockets of all are."""

    number: int
    count: int
    folder: Path

    def socket_of(self, number: int) -> Path:
        """Where that one answers."""
        return self.folder / str(number)


class Siblings:
    """`counts` gives this worker's own, in Prometheus' text format. `start`, then ask; `close` in the end."""

    def __init__(self, worker: Worker, counts: Callable[[], bytes]) -> None:
        self._worker = worker
        self._counts = counts
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Answer the others. A former worker of this number has left its socket. Raises OSError."""
        app = web.Application()
        app.add_routes([web.get("/", self._answer)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        path = self._worker.socket_of(self._worker.number)
        path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, path).start()

    async def close(self) -> None:
        """Answer no more."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._worker.socket_of(self._worker.number).unlink(missing_ok=True)

    async def counted(self, within: float = SCRAPE_WITHIN) -> dict[int, str]:
        """Worker -> its counts in text, our own among them; who does not answer within so many seconds is missing."""
        others = [each for each in range(1, self._worker.count + 1) if each != self._worker.number]
        answers = await asyncio.gather(*(self._ask(each, within) for each in others))
        found = {each: answer for each, answer in zip(others, answers, strict=True) if answer is not None}
        return {self._worker.number: self._counts().decode()} | found

    async def silent(self) -> list[int]:
        """Who does not answer now."""
        return sorted({*range(1, self._worker.count + 1)} - (await self.counted(PROBE_WITHIN)).keys())

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._counts())

    async def _ask(self, number: int, within: float) -> str | None:
        connector = aiohttp.UnixConnector(str(self._worker.socket_of(number)))
        try:
            async with (
                asyncio.timeout(within),
                aiohttp.ClientSession(connector=connector) as http,
                http.get("http://sibling/") as answer,
            ):
                return await answer.text()
        except (aiohttp.ClientError, OSError):  # TimeoutError is one
            return None
