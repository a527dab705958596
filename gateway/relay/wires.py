"""The two sockets of one session: what takes the short way between them, and what is sent in order. It decides nothing.

    client socket -> ClientSide -> Wires.from_client -> short way: recorded, sent at the end of the loop's turn (turn.py)
                                                     -> anything else: Relay, by way of an event and its effects
    target socket -> TargetSide -> Wires.from_target, likewise

Each statement passes here, so this is compiled (gateway/compiled.py), and the classes have no base: what has one in Python can't
be. What must not live here: effects, timers, approvals (relay.py).
"""

import asyncio
import time
from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.metrics import Tally
from gateway.relay.turn import Record, Turn
from gateway.session.shortway import ShortWay

#: Take a chunk that doesn't go the short way; when it came, in Unix seconds.
AtLength = Callable[[bytes, float], None]


class Wires:
    """`client` and `target` are connected. `passed` counts statements; `failed` is told what went wrong, whatever it is, and `broken`
    that the spool can't be written.

    `closed`: nothing is taken any more. `keeps_back`: what is for the target waits in `kept_back`.
    """

    def __init__(
        self,
        client: asyncio.Transport,
        target: asyncio.Transport,
        short: ShortWay,
        spool: Record,
        turn: Turn,
        passed: Tally,
        from_client: AtLength,
        from_target: AtLength,
        failed: Callable[[Exception], None],
        broken: Callable[[GatewayError], None],
    ) -> None:
        self.client = client
        self.target = target
        self.closed = False
        self.keeps_back = False
        self.kept_back: list[bytes] = []
        self._short = short
        self._record = spool.record_alike
        self._turn = turn
        self._passed = passed
        self._client_at_length = from_client
        self._target_at_length = from_target
        self._failed = failed
        self._broken = broken
        self._to_target = self.send  # made once: two are needed a statement
        self._to_client = self.say

    def from_client(self, data: bytes) -> None:
        """Take a chunk of the client's."""
        if self.closed:
            return
        try:
            now, short = time.time(), self._short
            if short.flight is not None:
                self._client_at_length(data, now)
                return
            alike = short.send(data, now)
            if alike is None:
                if not short.took:
                    self._client_at_length(data, now)
                return
            for pattern, values in alike:
                self._record(pattern, values)
            self._passed.count += len(alike)
            self._turn.add(self._to_target, self._broken, short.last.sent)
        except Exception as error:
            self._failed(error)

    def from_target(self, data: bytes) -> None:
        """Take a chunk of the target's."""
        if self.closed:
            return
        try:
            now, short = time.time(), self._short
            if not short.waits:
                self._target_at_length(data, now)
                return
            alike = short.answered(data, now)
            if alike is None:
                if not short.took:
                    self._target_at_length(data, now)
                return
            for pattern, values in alike:
                self._record(pattern, values)
            self._turn.add(self._to_client, self._broken, short.take_answer())
        except Exception as error:
            self._failed(error)

    def say(self, data: bytes) -> None:
        """To the client, unless it is gone."""
        if not self.client.is_closing():
            self.client.write(data)

    def send(self, data: bytes) -> None:
        """To the target, or behind what is kept back."""
        if self.keeps_back:
            self.kept_back.append(data)
        elif not self.target.is_closing():
            self.target.write(data)

    def let_go(self) -> None:
        """Send what was kept back."""
        self.keeps_back = False
        kept, self.kept_back = self.kept_back, []
        for data in kept:
            self.send(data)

    def close(self, *, goodbye: bool = False, target: bool = True) -> None:
        """Take nothing any more, and close both behind what was sent, or the client's side alone. `goodbye`: the client waits for nothing,
        TLS's end neither."""
        self.closed = True
        if goodbye and not self.client.get_write_buffer_size():
            self.client.abort()
        else:
            self.client.close()
        if target:
            self.target.close()


class Side:
    """One socket's callbacks, an asyncio.Protocol. `gone`: the connection is lost. `full`: its write buffer is, or no longer."""

    def __init__(self, wires: Wires, gone: Callable[[], None], full: Callable[[bool], None]) -> None:
        self._wires = wires
        self._gone = gone
        self._full = full

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        """Never called: it takes over a connection that is there."""

    def eof_received(self) -> None:
        """The loop closes the connection then."""

    def connection_lost(self, _exc: Exception | None) -> None:
        self._gone()

    def pause_writing(self) -> None:
        self._full(True)

    def resume_writing(self) -> None:
        self._full(False)


class ClientSide(Side):
    """The client's."""

    def data_received(self, data: bytes) -> None:
        self._wires.from_client(data)


class TargetSide(Side):
    """The target's."""

    def data_received(self, data: bytes) -> None:
        self._wires.from_target(data)
