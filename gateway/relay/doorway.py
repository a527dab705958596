"""A transport's first protocol: it buffers, so that startup can be read top-down as a coroutine.

When startup is over `hand_over` installs the relay's protocol. Swapping `data_received` on an instance would be ignored by
uvloop (performance.md 10), so the protocol itself is exchanged.
"""

import asyncio
from typing import cast


_GONE = "the peer closed the connection during startup"


class Doorway(asyncio.Protocol):
    """Bytes that have arrived and nobody has asked for yet. At most `limit` are kept."""

    def __init__(self, limit: int = 1 << 17) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._gone = False
        self._limit = limit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are not registered as such

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self._limit and self.transport:
            self.transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> bool:
        self._gone = True
        self._arrived.set()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        self._gone = True
        self._arrived.set()

    async def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ConnectionError when the peer goes away before."""
        while len(self._buffer) < count:
            if self._gone:
                raise ConnectionError(_GONE)
            self._arrived.clear()
            await self._arrived.wait()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def message(self, cap: int) -> tuple[int, bytes]:
        """The next message with a type byte: (type, the whole message). Raises ConnectionError, ValueError over `cap`."""
        head = await self.take(5)
        length = int.from_bytes(head[1:], "big")
        if not 4 <= length <= cap:
            raise ValueError(f"impossible message length {length}")
        return head[0], head + await self.take(length - 4)

    async def messages(self, cap: int) -> list[tuple[int, bytes]]:
        """All messages that have come whole, at least one; else as `message`, which is awaited for each."""
        while not (found := self._whole(cap)):
            if self._gone:
                raise ConnectionError(_GONE)
            self._arrived.clear()
            await self._arrived.wait()
        return found

    def _whole(self, cap: int) -> list[tuple[int, bytes]]:
        found = []
        data = bytes(self._buffer)
        at, last = 0, len(data) - 5
        while at <= last:
            length = int.from_bytes(data[at + 1 : at + 5], "big")
            if not 4 <= length <= cap:
                raise ValueError(f"impossible message length {length}")
            end = at + 1 + length
            if end > len(data):
                break
            found.append((data[at], data[at:end]))
            at = end
        del self._buffer[:at]
        return found

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def hand_over(self, protocol: asyncio.Protocol) -> bytes:
        """Install the next protocol; returns what has arrived already and was not taken."""
        assert self.transport is not None  # noqa: S101 - connection_made came first
        self.transport.set_protocol(protocol)
        if len(self._buffer) > self._limit:
            self.transport.resume_reading()
        rest, self._buffer = bytes(self._buffer), bytearray()
        if self._gone:
            asyncio.get_running_loop().call_soon(protocol.connection_lost, None)
        return rest
