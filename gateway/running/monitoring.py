"""What monitoring asks of a running gateway: is it ready, and what has it counted?

What lives here: what `/readyz` and `/metrics` answer, of all workers, and how chats and cards are counted. What must
not: the routes (gateway.http), how workers ask each other (gateway.siblings), what is counted (gateway.metrics).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import generate_latest

from gateway import http
from gateway.approvals.health import ChatHealth
from gateway.approvals.upkeep import LAPSE
from gateway.audit.spool import Spool
from gateway.errors import StoreUnavailable
from gateway.identity.issuers import Issuers
from gateway.metrics import Metrics, merged
from gateway.siblings import Siblings, Worker
from gateway.store.port import Backlog, Store

#: Seconds that a probe (http.READY_WITHIN) waits for a store that hangs.
ANSWERS_WITHIN = 0.5
_STORELESS = "reads and logins go on, nothing is held or released"


class Monitoring:
    """`background` keeps a task until the gateway stops; `worker` and `siblings` are None where there is one
    process."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        issuers: Issuers,
        metrics: Metrics,
        *,
        worker: Worker | None,
        siblings: Siblings | None,
        background: Callable[[Coroutine[Any, Any, str]], asyncio.Task[str]],
    ) -> None:
        self._store = store
        self._spool = spool
        self._issuers = issuers
        self._metrics = metrics
        self._worker = worker
        self._siblings = siblings
        self._background = background
        self._asking: asyncio.Task[str] | None = None  # whether the store answers

    async def ready(self) -> dict[str, str]:
        """Dependency -> http.OK, http.DEGRADED or what is wrong with it."""
        store = await self._store_answers()
        spool = "unwritable" if self._spool.broken else http.OK
        parts = {"store": store, "spool": spool, "issuers": await self._issuers.ready() or http.OK}
        return parts if self._siblings is None else parts | {"workers": _answering(await self._siblings.silent())}

    async def scrape(self) -> bytes:
        """What all workers have counted, in Prometheus' text format."""
        if self._worker is None or self._siblings is None:
            return counted(self._metrics)
        return merged(await self._siblings.counted(), self._worker.count)

    def note_chat(self, chat: str, health: ChatHealth) -> None:
        """A call of a chat has ended."""
        self._metrics.chat_calls.labels(chat, "failed" if health.failures else "shown").inc()
        if health.last_ok is not None:
            self._metrics.chat_last_ok.labels(chat).set(health.last_ok)

    def count_cards(self, backlog: Backlog) -> None:
        """How many cards wait just now."""
        self._metrics.cards_waiting.set(backlog.waiting)
        self._metrics.cards_parked.set(backlog.parked)

    async def _store_answers(self) -> str:
        """Without it clients are served, and so they are by no other replica better. A store that hangs is asked one question at a
        time: probes give up early, and asyncpg takes its own time to be cancelled."""
        if self._asking is None or self._asking.done():
            self._asking = self._background(self._ask_store())
        done, _ = await asyncio.wait({self._asking}, timeout=ANSWERS_WITHIN)
        problem = self._asking.result() if done else f"the gateway's store does not answer within {ANSWERS_WITHIN} s"
        return f"{http.DEGRADED}; {problem}: {_STORELESS}" if problem else http.OK

    async def _ask_store(self) -> str:
        """What is wrong with it, or nothing."""
        try:
            await self._store.alive(LAPSE)
        except StoreUnavailable as error:
            return error.message
        return ""


def counted(metrics: Metrics) -> bytes:
    """What this process has counted, in Prometheus' text format."""
    return generate_latest(metrics.registry)


def _answering(silent: list[int]) -> str:
    """The workers that do not answer have no part in what this one can do."""
    return f"{http.OK}; no answer from {', '.join(map(str, silent))}" if silent else http.OK
