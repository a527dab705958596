"""What goes on at the desk while nobody asks anything of it, on every replica.

What lives here: this replica's sign of life; the poll behind NOTIFY and behind the timers; the burial of what dead
replicas held, and their log put right. Any replica may do it: the row's lock picks one.
What must not: what people and sessions ask (desk.py), what a dead one's log says (aftermath.py).
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Protocol

from gateway.approvals import request as rules
from gateway.approvals.aftermath import UNSEEN, end_told, took_effect, voids
from gateway.approvals.decisions import Answer
from gateway.approvals.moves import Moves, Spool
from gateway.approvals.request import GATEWAY_GONE, OPEN_STATES, ApprovalRequest, State
from gateway.approvals.tasks import Tasks
from gateway.approvals.watches import Watches
from gateway.errors import StoreUnavailable
from gateway.store.port import Store

#: Seconds: the poll behind NOTIFY; a replica's sign of life; how long without one until others take it for dead.
POLL_EVERY = 1.0
BEAT_EVERY = 5.0
LAPSE = 15.0
#: Of a dead replica's steps so many are held against the store: what was under way when it died is among the last ones, ten
#: transactions at most.
LAST_STEPS = 300


class Ends(Protocol):
    """How a request ends: Desk."""

    async def withdraw(self, request_id: str, why: str) -> Answer: ...

    async def expire(self, request_id: str) -> Answer: ...

    async def finish(
        self, request_id: str, rows: int | None, sqlstate: str, duration_ms: float | None, transaction: str
    ) -> Answer: ...

    async def settle(self, request_id: str, transaction: str) -> Answer: ...


class Upkeep:
    """`ends` is the desk; `moves` stores what only a burial may say; `tasks` runs the rounds until it is closed."""

    def __init__(self, store: Store, spool: Spool, ends: Ends, moves: Moves, watches: Watches, tasks: Tasks) -> None:
        self._store = store
        self._spool = spool
        self._ends = ends
        self._moves = moves
        self._watches = watches
        self._tasks = tasks

    async def start(self, replica: str, gone: Iterable[str]) -> None:
        """As Desk.start says. The dead are buried before this returns, the rounds begin behind it."""
        await self._store.heartbeat(replica)
        await self._store.listen(self._watches.on_notify)
        for former in await self._store.unburied([each for each in gone if each != replica]):
            await self._void_steps(former)
            await self._bury(former)
            await self._store.buried(former)
        self._tasks.spawn(self._poll())
        self._tasks.spawn(self._beat(replica))

    async def _poll(self) -> None:
        """Each second: what NOTIFY lost, and what nobody's timer ended. Any replica may; the row lock picks one."""
        while True:
            await asyncio.sleep(POLL_EVERY)
            with contextlib.suppress(StoreUnavailable):
                await self._watches.look()
                for request_id in await self._store.overdue():
                    await self._ends.expire(request_id)

    async def _beat(self, replica: str) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY)
            with contextlib.suppress(StoreUnavailable):
                await self._store.heartbeat(replica)
                for dead in await self._store.abandoned(LAPSE):
                    if dead != replica:
                        await self._bury(dead)

    async def _bury(self, replica: str) -> None:
        """End what a dead replica held: nothing of it can run any more, except what already runs (then: unknown).

        What outlives its client outlives its gateway, too.
        """
        why = f"{GATEWAY_GONE} (its process ended)"
        await self._store.unclaim(replica)
        for request in await self._store.find(states=OPEN_STATES, replica=replica, limit=1000):
            if not request.kept:
                await self._ends.withdraw(request.id, why)
        for request in await self._store.find(states=frozenset({State.RELEASED}), replica=replica, limit=1000):
            await self._end_as_told(request, why)
        for request in await self._store.unsettled(replica):
            await self._ends.settle(request.id, UNSEEN)

    async def _end_as_told(self, request: ApprovalRequest, why: str) -> None:
        """What it let run ended as its log says. Where that says nothing the end is unknown, and the log says so now."""
        end = end_told(request, await self._store.story(request.id))
        if end is not None:
            await self._ends.finish(request.id, end.rows, end.sqlstate, end.duration_ms, end.transaction)
            return
        await self._moves.move(request.id, lambda stored, now: rules.unknown(stored, why, now), "finished")

    async def _void_steps(self, replica: str) -> None:
        """Say of the last steps in a dead replica's log which ones were never stored: it died before it could."""
        for entry in await self._store.steps(replica, LAST_STEPS):
            if took_effect(entry, await self._store.get(str(entry["request"]))):
                continue
            number = f"{replica} #{entry['seq']}"
            told = [each for each in await self._store.story(str(entry["request"])) if each["kind"] == "voided"]
            if not any(voids(each, entry) for each in told):
                reason = f"{number}: its process ended before the store confirmed it; what the store holds counts"
                self._spool.record("voided", request=str(entry["request"]), reason=reason)
                self._spool.flush()
