"""Who waits for a request hears of each change of it, on whichever replica that was made.

What lives here: the ears, a wake-up (NOTIFY), and the look at all watched rows that stands behind it. Nobody believes a
wake-up before the row was read; what this process moved itself is told as it was stored, without a read.
What must not: changing a request (moves.py), when the look is taken (upkeep.py).
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.approvals.request import ApprovalRequest
from gateway.approvals.tasks import Tasks
from gateway.errors import StoreUnavailable
from gateway.store.port import Store

Heard = Callable[[ApprovalRequest], None]


@dataclass(slots=True)
class _Watch:
    """Who waits for one request, and the newest rev that they were told. A request is opened at rev 1."""

    told: int = 1
    ears: list[Heard] = field(default_factory=list)


class Watches:
    """By request id. `tasks` takes the reads that a wake-up leads to."""

    def __init__(self, store: Store, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks
        self._watches: dict[str, _Watch] = {}
        self._moving: Counter[str] = Counter()

    def watch(self, request_id: str, heard: Heard) -> Callable[[], None]:
        """Call `heard` with the newest stored request after each change, in order; changes close together may be told as
        one. Returns the function that ends it. `heard` must not raise and runs on the loop, never inside a call here."""
        watch = self._watches.setdefault(request_id, _Watch())
        watch.ears.append(heard)
        self._tasks.spawn(self._confirm(request_id))

        def unwatch() -> None:
            if heard in watch.ears:
                watch.ears.remove(heard)
            if not watch.ears and self._watches.get(request_id) is watch:
                del self._watches[request_id]

        return unwatch

    def tell(self, request: ApprovalRequest) -> None:
        """This is stored now; who knows it already is not told again."""
        watch = self._watches.get(request.id)
        if watch is None or request.rev <= watch.told:
            return
        watch.told = request.rev
        loop = asyncio.get_running_loop()
        for heard in tuple(watch.ears):
            loop.call_soon(self._say, watch, heard, request)

    @staticmethod
    def _say(watch: _Watch, heard: Heard, request: ApprovalRequest) -> None:
        if heard in watch.ears:  # not if it was unsubscribed meanwhile
            heard(request)

    @contextlib.contextmanager
    def moving(self, request_id: str) -> Iterator[None]:
        """While this process moves it, a wake-up leads to no read: who moves it tells what came of it, or calls
        `doubt`."""
        self._moving[request_id] += 1
        try:
            yield
        finally:
            self._moving[request_id] -= 1
            self._moving += Counter()  # drops what is at zero

    def doubt(self, request_id: str) -> None:
        """Whether it has changed is not known: read it, if anybody waits for it."""
        if request_id in self._watches:
            self._tasks.spawn(self._confirm(request_id))

    def on_notify(self, channel: str, payload: str) -> None:
        """The store's ear. An empty payload: some may have been missed."""
        if channel != "approval":
            return
        if not payload:
            self._tasks.spawn(self.look())
            return
        request_id, _, rev = payload.partition(" ")
        watch = self._watches.get(request_id)
        if watch is not None and not self._moving[request_id] and rev != str(watch.told):
            self._tasks.spawn(self._confirm(request_id))

    async def look(self) -> None:
        """One look at all watched rows; read those that have changed. Raises StoreUnavailable."""
        watched = list(self._watches)
        if not watched:
            return
        for request_id, rev in (await self._store.revisions(watched)).items():
            watch = self._watches.get(request_id)
            if watch is not None and rev > watch.told:
                await self._confirm(request_id)

    async def _confirm(self, request_id: str) -> None:
        """Read the row before anybody believes a wake-up. The store being away is the poll's business."""
        with contextlib.suppress(StoreUnavailable):
            request = await self._store.get(request_id)
            if request is not None:
                self.tell(request)
