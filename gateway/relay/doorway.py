"""A transport's first protocol: it buffers, so that startup can be read top-down as a coroutine.

When startup is over `hand_over` installs the relay's protocol. Swapping `data_received` on an instance would be ignored by
uvloop (performance.md 10), so the protocol itself is exchanged.
"""

import asyncio
from collections.abc import Callable
from typing import cast


def _nothing() -> None:
    """Nobody listens."""


_GONE = "the peer closed the connection during startup"


class Doorway(asyncio.Protocol):
    """Bytes that have arrived and nobody has asked for yet: reading stops over `limit`, but not while somebody waits for more."""

    def __init__(self, limit: int = 1 << 17) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._gone = False
        self._limit = limit
        self._awaited = self._paused = False
        self._heard: Callable[[], None] = _nothing  # somebody else than who waits for `_arrived`

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are not registered as such

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()
        self._heard()
        if len(self._buffer) > self._limit and not self._awaited and self.transport:
            self.transport.pause_reading()
            self._paused = True

    def eof_received(self) -> bool:
        self._is_gone()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        self._is_gone()

    def _is_gone(self) -> None:
        self._gone = True
        self._arrived.set()
        self._heard()

    async def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ConnectionError when the peer goes away before."""
        while len(self._buffer) < count:
            if self._gone:
                raise ConnectionError(_GONE)
            self._arrived.clear()
            self._read_on()
            await self._arrived.wait()
        self._awaited = False
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

    async def converse(self, cap: int, answer: Callable[[int, bytes], bytes | None]) -> None:
        """Give each message (its type, the whole of it) to `answer` and write what that returns, until it returns None.

        It is called where the bytes arrive, so nobody is woken for each turn of a login. Raises as `message`, and what `answer`
        raises.
        """
        over = asyncio.get_running_loop().create_future()

        def heard() -> None:
            if not over.done():
                try:
                    if self._answered(cap, answer):
                        over.set_result(None)
                    elif self._gone:
                        over.set_exception(ConnectionError(_GONE))
                except Exception as error:  # whoever waits gets it
                    over.set_exception(error)

        self._heard = heard
        heard()
        self._read_on()
        try:
            await over
        finally:
            self._heard = _nothing
            self._awaited = False

    def _answered(self, cap: int, answer: Callable[[int, bytes], bytes | None]) -> bool:
        data, at, said = bytes(self._buffer), 0, b""
        more: bytes | None = b""
        while at + 5 <= len(data):
            length = int.from_bytes(data[at + 1 : at + 5], "big")
            if not 4 <= length <= cap:
                raise ValueError(f"impossible message length {length}")
            end = at + 1 + length
            if end > len(data):
                break
            more = answer(data[at], data[at:end])
            at = end
            if more is None:
                break
            said += more
        del self._buffer[:at]
        if said:
            self.write(said)
        return more is None

    def _read_on(self) -> None:
        """Somebody waits for more."""
        self._awaited = True
        self._resume()

    def _resume(self) -> None:
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

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
        self._resume()
        rest, self._buffer = bytes(self._buffer), bytearray()
        if self._gone:
            asyncio.get_running_loop().call_soon(protocol.connection_lost, None)
        return rest
