"""One connection that listens for NOTIFY, renewed whenever it is lost. What is lost meanwhile is told as "look at all".

Nothing depends on a wake-up: it only makes the wait short. Whoever hears one reads the row before believing it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import structlog

#: NOTIFY channels are database-wide names; what the port calls them.
CHANNELS: Mapping[str, str] = {
    "hoop_approval": "approval",
    "hoop_outbox": "outbox",
    "hoop_cancel": "cancel",
    "hoop_session": "session",
    "hoop_catalog": "catalog",
}
#: Seconds: a half-open connection (a firewall forgot it) is found by a question now and then.
PING_EVERY = 15.0
RETRY_FIRST, RETRY_MOST = 0.1, 5.0

#: What asyncpg raises when the server or the network is in trouble.
TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)

Heard = Callable[[str, str], None]
log = structlog.get_logger()


class Listener:
    """`add` ears; `close` in the end."""

    def __init__(self, connect: Callable[[], Any], timeout: float) -> None:
        self._connect = connect
        self._timeout = timeout
        self._ears: list[Heard] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, heard: Heard) -> None:
        """Returns once it listens. Raises one of TROUBLE when the first connection can't be made."""
        if self._task is None:
            connection, lost = await self._listening()
            self._task = asyncio.get_running_loop().create_task(self._keep(connection, lost))
        self._ears.append(heard)

    async def close(self) -> None:
        """Stop listening."""
        self._ears.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _listening(self) -> tuple[Any, asyncio.Event]:
        lost = asyncio.Event()
        async with asyncio.timeout(self._timeout):
            connection = await self._connect()
            connection.add_termination_listener(lambda _connection: lost.set())
            for channel in CHANNELS:
                await connection.add_listener(channel, self._on_notify)
        return connection, lost

    def _on_notify(self, _connection: object, _pid: int, channel: str, payload: str) -> None:
        self._tell(CHANNELS[channel], payload)

    def _tell(self, channel: str, payload: str) -> None:
        for heard in tuple(self._ears):
            heard(channel, payload)

    async def _keep(self, connection: Any, lost: asyncio.Event) -> None:
        try:
            while True:
                await self._until_lost(connection, lost)
                connection.terminate()
                log.warning("store.listener_lost")
                connection, lost = await self._renewed()
                for channel in CHANNELS.values():
                    self._tell(channel, "")
        finally:
            connection.terminate()

    async def _until_lost(self, connection: Any, lost: asyncio.Event) -> None:
        while not lost.is_set():
            try:
                async with asyncio.timeout(PING_EVERY):
                    await lost.wait()
            except TimeoutError:
                try:
                    await connection.fetchval("SELECT 1", timeout=self._timeout)
                except TROUBLE:
                    return

    async def _renewed(self) -> tuple[Any, asyncio.Event]:
        wait = RETRY_FIRST
        while True:
            with contextlib.suppress(*TROUBLE):
                return await self._listening()
            await asyncio.sleep(wait)
            wait = min(RETRY_MOST, wait * 2)
