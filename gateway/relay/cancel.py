"""Cancel keys of our own: the client never learns the target's secret. Manual 55.2.8.

The pid of a key is the one of the target's process, which any client may ask for: drivers compare it with
pg_backend_pid() and with a notification's, and give it to pg_terminate_backend().

A key names a session of one replica. One that is not ours may be another's, so all replicas are told its digest: nothing
but the session itself is known to the store, and whoever listens there can cancel nothing. Wrong keys are ignored in
silence. Anybody may send any number of them without a login, so few wait at a time and the rest is dropped.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence

import structlog

from gateway.audit.chain import keyed
from gateway.errors import StoreUnavailable

#: Keys that wait to be told to the other replicas, and that go in one question to the store.
MOST_WAITING = 64

log = structlog.get_logger()


class CancelKeys:
    """Keys given out, and what to call when one comes back. `key` is the same in all replicas."""

    def __init__(self, key: bytes) -> None:
        self._digest = keyed(key)
        self._known: dict[str, Callable[[], None]] = {}

    def give(self, cancel: Callable[[], None], pid: int, length: int) -> bytes:
        """The secret of a new key for `pid`, which need not be unique: 4 bytes in protocol 3.0, up to 256 in 3.2."""
        while True:
            secret = secrets.token_bytes(length)
            digest = self.digest(pid, secret)
            if digest not in self._known:
                self._known[digest] = cancel
                return secret

    def forget(self, pid: int, secret: bytes) -> None:
        self._known.pop(self.digest(pid, secret), None)

    def digest(self, pid: int, secret: bytes) -> str:
        """How replicas speak of a key (hex). Comparing digests needs no constant time: nobody can choose them."""
        return self._digest(b"%d:%b" % (pid, secret))

    def use(self, digest: str) -> bool:
        """Cancel the session of this key; False where it isn't one of ours."""
        cancel = self._known.get(digest)
        if cancel is None:
            return False
        cancel()
        return True


class Forwarding:
    """Tells other replicas of keys that are not ours, one question to the store at a time."""

    def __init__(self, tell: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._tell = tell
        self._waiting: list[str] = []
        self._work: asyncio.Task[None] | None = None

    def forward(self, digest: str) -> None:
        if len(self._waiting) >= MOST_WAITING:
            log.warning("cancel.dropped", waiting=len(self._waiting))
            return
        self._waiting.append(digest)
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            going, self._waiting = self._waiting, []
            try:
                await self._tell(going)
            except StoreUnavailable:
                log.warning("cancel.not_forwarded", keys=len(going))

    async def close(self) -> None:
        """Tell what waits."""
        if self._work is not None:
            await self._work
