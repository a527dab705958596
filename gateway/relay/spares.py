"""Connections to targets that a session has left as new, kept for a moment for the next session of the same person.

Who connects for each statement, as many agents and scripts do, then waits for no new backend and no login, which are most of what
connecting costs. Whether a connection may be kept is the session's to say (gateway/session/spare.py). Here it is reset, waits, and is
given on or ended:

    keep -> DISCARD ALL -> its answer, byte for byte -> take: to who is the same in all of `Terms`
                        -> anything else, the target's end, or `seconds` later: ended

What must not live here: logging in (target.py).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from gateway.policy.model import Target
from gateway.relay.doorway import Doorway
from gateway.relay.target import TargetLink
from gateway.wire.frontend import TERMINATE, message, query

#: One that logged in longer ago is given on no more: a setting of the login's, a right or a password may have been changed since.
OLDEST: Final = 30.0
#: So many at once in this process: each is a connection of the target's `max_connections`.
MOST: Final = 16
#: Those that make room are cut off if the target has not let them go so much later.
_LEAVING: Final = 1.0

_RESET: Final = query("DISCARD ALL")
_DONE: Final = message(b"C", b"DISCARD ALL\0") + message(b"Z", b"I")


@dataclass(frozen=True, slots=True)
class Terms:
    """What must be the same for a connection to be given on: who it is for, and all that it was logged in by."""

    issuer: str
    subject: str
    target: Target
    password: str = field(repr=False)
    parameters: tuple[tuple[str, str], ...]


class Spares:
    """Of one process. `seconds`: how long one is kept; 0 keeps none."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[Terms, list[_Spare]] = {}
        self._count = 0
        self._leaving: dict[asyncio.Future[None], tuple[str, int]] = {}  # what makes room, and on which server

    def keep(self, terms: Terms, link: TargetLink) -> None:
        """Take a connection over that nobody owns any more and to which nothing is owed: keep it, or end it."""
        now, transport = asyncio.get_running_loop().time(), link.door.transport
        assert transport is not None  # noqa: S101 - it is connected
        if not self._seconds or self._count >= MOST or now - link.since > OLDEST or not _is_quiet(transport):
            link.leave()
            return
        spare = _Spare(link, transport, lambda: self._gone(terms, spare))
        self._kept.setdefault(terms, []).append(spare)
        self._count += 1
        spare.begin(min(self._seconds, link.since + OLDEST - now))

    def take(self, terms: Terms) -> TargetLink | None:
        """A connection on these terms that is as new, if one is kept; the last that came."""
        for spare in reversed(self._kept.get(terms, ())):
            if spare.ready and not spare.transport.is_closing():
                self._gone(terms, spare)
                return spare.give()
        return None

    async def make_room(self, target: Target) -> bool:
        """End those on this target's server, and wait until it has let them go, and those that others have ended there. False: there were
        none."""
        place = target.host, target.port
        leaving = [
            each
            for terms, kept in self._kept.items()
            if (terms.target.host, terms.target.port) == place
            for each in kept
        ]
        for each in leaving:
            lost = each.leave()
            self._leaving[lost] = place
            lost.add_done_callback(self._leaving.pop)
        ends = [lost for lost, where in self._leaving.items() if where == place]
        if ends:
            await asyncio.wait(ends)  # each ends within _LEAVING
        return bool(ends)

    def close(self) -> None:
        """End all, and keep none from now on."""
        self._seconds = 0.0
        for spare in [each for kept in self._kept.values() for each in kept]:
            spare.end()

    def _gone(self, terms: Terms, spare: "_Spare") -> None:
        kept = self._kept.get(terms, [])
        if spare in kept:
            kept.remove(spare)
            self._count -= 1
        if not kept:
            self._kept.pop(terms, None)


class _Spare:
    """One that is kept, an asyncio.Protocol meanwhile. `ready`: it is as new. `gone`: it is kept no more."""

    def __init__(self, link: TargetLink, transport: asyncio.Transport, gone: Callable[[], None]) -> None:
        self.ready = False
        self._link = link
        self.transport = transport
        self._gone = gone
        self._said = b""
        self._timer: asyncio.TimerHandle | None = None
        self._lost: asyncio.Future[None] | None = None

    def begin(self, seconds: float) -> None:
        """Reset it, and end it after so many seconds."""
        self.transport.set_protocol(cast(asyncio.Protocol, self))
        self.transport.write(_RESET)
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end)

    def give(self) -> TargetLink:
        """The connection, as if its login had just been answered."""
        self._stop()
        door = Doorway()
        door.connection_made(self.transport)
        self.transport.set_protocol(door.protocol())
        self._link.door = door
        return self._link

    def end(self) -> None:
        """Say goodbye to the target."""
        self._stop()
        self._link.leave()
        self._gone()

    def leave(self) -> "asyncio.Future[None]":
        """As `end`, and done once the target has closed it, or has not within _LEAVING."""
        self._stop()
        loop = asyncio.get_running_loop()
        self._lost = loop.create_future()
        self._timer = loop.call_later(_LEAVING, self.transport.abort)
        self.transport.write(TERMINATE)
        self._gone()
        return self._lost

    def _stop(self) -> None:
        self.ready = False
        if self._timer is not None:
            self._timer.cancel()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        """Never called: it takes over a connection that is there."""

    def data_received(self, data: bytes) -> None:
        if self._lost is not None:
            return  # whatever it says: it leaves
        self._said += data
        self.ready = self._said == _DONE
        if not _DONE.startswith(self._said):  # a new setting, a notice, an error, the target's last word: not as new
            self.end()

    def eof_received(self) -> None:
        """The loop closes the connection then; until it says so nobody may get it."""
        self.ready = False

    def connection_lost(self, _exc: Exception | None) -> None:
        self._stop()
        self._gone()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        """What is said here is short."""

    def resume_writing(self) -> None:
        """Likewise."""


def _is_quiet(transport: asyncio.Transport) -> bool:
    return not transport.is_closing() and transport.is_reading() and not transport.get_write_buffer_size()
