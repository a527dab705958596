"""A relay between the gateway and one of its servers (store, target, chat) that stops the conversation at a chosen point.

    between = await Between.before(port)             give the gateway `between.port` instead
    between.stop(Stop((b'"state":"approved"',)))     what holds this text goes no further, nor what comes behind it
    await between.stopped()                          until something has been stopped
    between.go_on()                                  for connections that begin now; what was stopped stays lost

So a process can be killed between two of its steps without a hook in its code. Plain text only.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
#: A text may lie across two reads: so much of the one before is looked at again.
_OVERLAP = 64


@dataclass(frozen=True, slots=True)
class Stop:
    """Where to stop: at the last of `texts`, which one connection sends in this order.

    `answer`: let it pass, and withhold what the server answers: it has done its part, and the gateway can't know.
    """

    texts: tuple[bytes, ...]
    answer: bool = False


class _Way:
    """How far one connection is on its way to the stop."""

    def __init__(self, stop: Stop) -> None:
        self._answer = stop.answer
        self._left = list(stop.texts)
        self._tail = b""

    def goes(self, data: bytes) -> None:
        """The client sends this."""
        seen = self._tail + data
        while self._left and (at := seen.find(self._left[0])) >= 0:
            seen = seen[at + len(self._left.pop(0)) :]
        self._tail = seen[-_OVERLAP:]

    def withholds(self, *, answer: bool) -> bool:
        """Whether the stop is reached, and keeps back what goes this way."""
        return not self._left and answer == self._answer


class Between:
    """Listens on `port`. `stop` holds for connections that are open and for new ones, until `go_on`."""

    port: int

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._serving: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def before(cls, server_port: int) -> Self:
        made = cls(server_port)
        made._serving = await asyncio.start_server(made._accept, HOST, 0)
        made.port = made._serving.sockets[0].getsockname()[1]
        return made

    def stop(self, stop: Stop) -> None:
        self._stop = stop

    def go_on(self) -> None:
        self._stop = None
        self._stopped.clear()

    async def stopped(self) -> None:
        await self._stopped.wait()

    async def close(self) -> None:
        self._serving.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection(HOST, self._server_port)
            way: list[_Way] = []  # one once there is a stop
            up = asyncio.ensure_future(self._pump(reader, back, way, answer=False))
            down = asyncio.ensure_future(self._pump(there, writer, way, answer=True))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                back.close()
                writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: list[_Way], *, answer: bool
    ) -> None:
        """One direction, until its end."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._stop is not None and not way:
                    way.append(_Way(self._stop))
                if way and not answer:
                    way[0].goes(data)
                if way and way[0].withholds(answer=answer):
                    self._stopped.set()
                    continue
                writer.write(data)
                await writer.drain()
