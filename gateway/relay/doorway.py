"""A transport's first protocol: it buffers, so that startup can be read top-down as a coroutine.

When startup is over `hand_over` installs the relay's protocol. Swapping `data_received` on an instance would be ignored by
uvloop (performance.md 10), so the protocol itself is exchanged.

Each login passes here twice, so this is compiled (gateway/compiled.py), and the class has no base, as those of wires.py.
"""

import asyncio
from collections.abc import Callable
from typing import cast

#: What is said to a message (its type, the whole of it); None ends the conversation.
Answer = Callable[[int, bytes], bytes | None]

_GONE = "the peer closed the connection during startup"


class Doorway:
    """An asyncio.Protocol. Bytes that have arrived and nobody has asked for yet: reading stops over `limit`, but not while somebody
    waits for more. One at a time takes or converses."""

    def __init__(self, limit: int = 1 << 17) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[None] | None = None  # who takes, or converses
        self._answer: Answer | None = None
        self._cap = 0  # of a message in a conversation
        self._gone = False
        self._limit = limit
        self._paused = False

    def protocol(self) -> asyncio.Protocol:
        """Itself, for a loop that wants a protocol made."""
        return cast(asyncio.Protocol, self)

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are not registered as such

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._heard()
        if len(self._buffer) > self._limit and self._waiting is None and self.transport is not None:
            self.transport.pause_reading()
            self._paused = True

    def eof_received(self) -> bool:
        self._is_gone()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        self._is_gone()

    def pause_writing(self) -> None:
        """What is said here is short."""

    def resume_writing(self) -> None:
        """Likewise."""

    # --- taking -------------------------------------------------------------------------------------------------------

    async def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ConnectionError when the peer goes away before."""
        while len(self._buffer) < count:
            if self._gone:
                raise ConnectionError(_GONE)
            await self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def message(self, cap: int) -> tuple[int, bytes]:
        """The next message with a type byte: (type, the whole message). Raises ConnectionError, ValueError over `cap`."""
        head = await self.take(5)
        return head[0], head + await self.take(_length(head, 0, cap) - 4)

    async def converse(self, cap: int, answer: Answer) -> None:
        """Give each message (its type, the whole of it) to `answer` and write what that returns, until it returns None.

        It is called where the bytes arrive, so nobody is woken for each turn of a login. Raises as `message`, and what `answer`
        raises.
        """
        self._cap, self._answer = cap, answer
        try:
            await self._more()
        finally:
            self._answer = None

    async def _more(self) -> None:
        """Wait until something arrives, or until the conversation is over."""
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        if self._answer is not None:
            self._heard()
        self._resume()
        try:
            await waiting
        finally:
            self._waiting = None

    def _heard(self) -> None:
        """Bytes have arrived, or none will any more."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._answer is None:
            waiting.set_result(None)
            return
        try:
            if self._answered(self._answer):
                waiting.set_result(None)
            elif self._gone:
                waiting.set_exception(ConnectionError(_GONE))
        except Exception as error:  # whoever waits gets it
            waiting.set_exception(error)

    def _answered(self, answer: Answer) -> bool:
        """Answer the whole messages that are here; True where that ends the conversation."""
        data, at, said = bytes(self._buffer), 0, b""
        more: bytes | None = b""
        while at + 5 <= len(data):
            end = at + 1 + _length(data, at, self._cap)
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

    def _is_gone(self) -> None:
        self._gone = True
        self._heard()

    def _resume(self) -> None:
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    # --- saying -------------------------------------------------------------------------------------------------------

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


def _length(data: bytes, at: int, cap: int) -> int:
    """Of the message at `at`, without its type byte. Raises ValueError over `cap`."""
    length = int.from_bytes(data[at + 1 : at + 5], "big")
    if not 4 <= length <= cap:
        raise ValueError(f"impossible message length {length}")
    return length
