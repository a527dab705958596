"""A timer for each request that this process opened: its time is over on time, not when a poll comes round.

What must not live here: whether it has expired (request.py, by the store's clock), what happens then (desk.py).
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from gateway.approvals.tasks import Tasks
from gateway.errors import StoreUnavailable


class Timers:
    """`clock` gives Unix seconds; `over` is called with the id of a request whose time is over by it."""

    def __init__(
        self, clock: Callable[[], float], tasks: Tasks, over: Callable[[str], Coroutine[object, object, object]]
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._over = over
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def arm(self, request_id: str, expires_at: float) -> None:
        """From now on; one whose time has passed goes off at once."""
        delay = max(0.0, expires_at - self._clock())
        loop = asyncio.get_running_loop()
        self._timers[request_id] = loop.call_later(delay, self._on_timer, request_id)

    def disarm(self, request_id: str) -> None:
        """It has ended otherwise."""
        timer = self._timers.pop(request_id, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """None goes off any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _on_timer(self, request_id: str) -> None:
        self._timers.pop(request_id, None)
        self._tasks.spawn(self._expire_due(request_id))

    async def _expire_due(self, request_id: str) -> None:
        """The store's clock decides; where it is behind ours, or away, the poll's `overdue` ends the request."""
        with contextlib.suppress(StoreUnavailable):
            await self._over(request_id)
