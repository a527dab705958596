"""What the log hears of a store that is away: a line, at most one a second, and never the insides of asyncpg.

The calls say it themselves (`Outage`). asyncpg's pool, and asyncio for what the pool began and nobody waits for any more, would say it
once more with a traceback: `hush` makes such a line of it. What must not live here: what is done about it.
"""

import logging
import time
from collections.abc import Callable

import asyncpg
import structlog

from gateway.store.listener import TROUBLE

#: Seconds from one line of the log about a store that is away to the next: every session and chore meets it.
TOLD_EVERY = 1.0
_POOL = "PoolConnectionHolder"

log = structlog.get_logger()


class Outage:
    """What the log hears of calls that failed: one line each TOLD_EVERY, and one when the store answers again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_at = float("-inf")
        self._away = False
        self._left_out = 0

    def met(self, error: BaseException) -> None:
        """A call failed."""
        now = self._clock()
        if now - self._told_at < TOLD_EVERY:
            self._left_out += 1
            return
        log.warning("store.unavailable", problem=in_a_line(error), left_out=self._left_out)
        self._told_at, self._away, self._left_out = now, True, 0

    def over(self) -> None:
        """A call was answered."""
        if self._away:
            log.info("store.back", left_out=self._left_out)
            self._away, self._left_out = False, 0


def in_a_line(error: BaseException) -> str:
    """PostgreSQL's DETAIL stays out: it quotes rows."""
    text = error.args[0] if isinstance(error, asyncpg.PostgresError) and error.args else error
    return f"{type(error).__name__}: {' '.join(str(text).split())}".removesuffix(": ")


class _Hush(logging.Filter):
    """Of the loggers of asyncpg's pool and of asyncio: what is about the pool, and trouble with the server, is met as any other."""

    def __init__(self) -> None:
        super().__init__()
        self._outage = Outage()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        ours = record.name == "asyncpg.pool" or _POOL in record.getMessage()
        if not ours or not isinstance(error, TROUBLE):
            return True
        self._outage.met(error)
        return False


_HUSH = _Hush()


def hush() -> None:
    """Have it done in this process, from now on."""
    for name in ("asyncpg.pool", "asyncio"):
        logging.getLogger(name).addFilter(_HUSH)
