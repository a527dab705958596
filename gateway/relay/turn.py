"""The end of a loop turn: one write of the spool, and behind it what the turn's statements and answers send.

Sessions whose sockets are read in one turn of the event loop share that write: at eight clients it is one for several
statements. Nothing overtakes: whoever sends in another way ends the turn first (relay.py), and a session's bytes go in the order
in which they came. If the spool can't be written, nothing of the turn goes, and each session that waits is ended.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from gateway.audit.entry import Entry, Value
from gateway.audit.pattern import Pattern
from gateway.errors import GatewayError

log = structlog.get_logger()

Send = Callable[[bytes], None]
Fail = Callable[[GatewayError], None]


class Record(Protocol):
    """The part of the spool that sessions need."""

    def record(self, kind: str, **fields: Value) -> Entry: ...
    def record_alike(self, pattern: Pattern, values: Sequence[bytes]) -> None: ...
    def flush(self) -> None: ...


class Turn:
    """Of one process. `soon` runs a callable at the end of the turn, as call_soon does."""

    def __init__(self, spool: Record, soon: Callable[[Callable[[], None]], object]) -> None:
        self._spool = spool
        self._soon = soon
        self._waiting: list[tuple[Send, Fail, bytes]] = []

    @property
    def waits(self) -> bool:
        """Is there something that was not sent yet?"""
        return bool(self._waiting)

    def add(self, send: Send, fail: Fail, data: bytes) -> None:
        """Send this behind what was recorded so far. `fail` is told instead if that can't be written."""
        if not self._waiting:
            self._soon(self._over)
        self._waiting.append((send, fail, data))

    def end(self) -> None:
        """Write what was recorded and send what waits for it. Raises GatewayError; whoever waited has been told then."""
        waiting, self._waiting = self._waiting, []
        try:
            self._spool.flush()
        except GatewayError as error:
            for _, fail, _ in waiting:
                fail(error)
            raise
        for send, fail, data in waiting:
            try:
                send(data)
            except Exception:  # one session's socket is no reason for the others to wait
                log.exception("turn.not_sent")
                fail(GatewayError("internal error while sending"))

    def _over(self) -> None:
        try:
            self.end()
        except GatewayError as error:
            log.error("turn.not_recorded", error=error.message)
