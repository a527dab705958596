"""Every change of a request in the store: compare-and-set, audit entries and wake-up in one transaction, or nothing.

What lives here: the record that goes with a change, and what is said of it afterwards: to who waits, to its timer, to
who counts. When a transaction fails after its entries were written to the spool, the next entry voids them, so that the
log is true. What must not: what a change may be (request.py), who asks for it (desk.py, upkeep.py).
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

from gateway.approvals import granting
from gateway.approvals.decisions import Answer, Decided, Refused
from gateway.approvals.entries import entry_fields
from gateway.approvals.request import OPEN_STATES, ApprovalRequest, Refusal, State
from gateway.approvals.timers import Timers
from gateway.approvals.watches import Watches
from gateway.audit.entry import Entry, Value
from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.port import Change, Store


class Spool(Protocol):
    """What approvals need of gateway.audit.spool."""

    def record(self, kind: str, **fields: Value) -> Entry: ...

    def flush(self) -> None: ...


class Moves:
    """Every method may raise StoreUnavailable, and what the spool raises: then nothing has changed, or nobody knows.

    `ended` hears of each request that was decided or ended here.
    """

    def __init__(
        self, store: Store, spool: Spool, watches: Watches, timers: Timers, ended: Callable[[State], object]
    ) -> None:
        self._store = store
        self._spool = spool
        self._watches = watches
        self._timers = timers
        self._ended = ended

    async def open(self, request: ApprovalRequest) -> None:
        """Store a pending request and its cards to send; its time runs."""
        spooled: list[Entry] = []
        try:
            await self._store.open(request, partial(self._record, spooled, "held"))
        except BaseException as error:
            self._void(request.id, spooled, error)
            raise
        self._timers.arm(request.id, request.expires_at)

    async def use_grant(self, request: ApprovalRequest) -> ApprovalRequest | None:
        """Store it as approved by a grant, and its time runs; None where no grant covers it.

        Two entries tell of it: what was held, and by whose grant it may run.
        """
        spooled: list[Entry] = []

        def record(covered: ApprovalRequest) -> list[Entry]:
            self._record(spooled, "held", covered)
            return self._record(spooled, "decided", covered)

        try:
            covered = await self._store.use_grant(request, granting.cover, record)
        except BaseException as error:
            self._void(request.id, spooled, error)
            raise
        if covered is not None:
            self._timers.arm(covered.id, covered.expires_at)
        return covered

    async def move(self, request_id: str, change: Change, kind: str | None) -> Answer:
        """`kind` is what its entry is called; None: it has none, or somebody else writes it."""
        spooled: list[Entry] = []
        with self._watches.moving(request_id):
            try:
                moved = await self._store.move(request_id, change, partial(self._record, spooled, kind))
            except BaseException as error:
                self._void(request_id, spooled, error)
                if isinstance(error, StoreUnavailable):
                    self._watches.doubt(request_id)
                raise
        if isinstance(moved, Refusal):
            stored = await self._store.get(request_id)
            if stored is not None:
                self._watches.tell(stored)
            return Refused(moved, stored)
        if moved.state not in OPEN_STATES:
            self._timers.disarm(request_id)
        if kind == "decided" and moved.state is not State.PENDING:
            self._ended(moved.state)
        self._watches.tell(moved)
        return Decided(moved)

    def _record(self, spooled: list[Entry], kind: str | None, request: ApprovalRequest) -> list[Entry]:
        """Runs inside the store's transaction once the change has won."""
        if kind is not None:
            spooled.append(self._spool.record(kind, **entry_fields(request, kind)))
            self._spool.flush()
        return spooled

    def _void(self, request_id: str, spooled: list[Entry], error: BaseException) -> None:
        """Say in the log that the entries just written never took effect. A broken spool says so to everybody itself."""
        if not spooled:
            return
        numbers = ", ".join(f"#{entry.seq}" for entry in spooled)
        reason = f"{numbers}: not confirmed by the store ({type(error).__name__}); what the store holds counts"
        with contextlib.suppress(GatewayError):
            self._spool.record("voided", request=request_id, reason=reason)
            self._spool.flush()
