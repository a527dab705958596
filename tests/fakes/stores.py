"""Stores for tests: an empty PostgresStore, and requests that a store and a desk of today can work with."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from gateway.approvals.request import ApprovalRequest
from gateway.audit.chain import genesis, seal
from gateway.audit.entry import Entry, Value
from gateway.audit.pattern import Pattern
from gateway.audit.spool import Spool
from gateway.errors import GatewayError
from gateway.store.postgres import PostgresStore
from tests.bots.samples import PLAIN

KEY = b"a key for tests"
_numbers = itertools.count(1)


def fresh(**changes: object) -> ApprovalRequest:
    """A pending request with an id of its own that was opened now and waits for ten minutes."""
    now = time.time()
    plain = replace(PLAIN, id=f"req-{next(_numbers)}", opened_at=now, expires_at=now + 600)
    return replace(plain, **changes)  # type: ignore[arg-type]  # the caller's test names fields of ApprovalRequest


async def until(holds: Callable[[], Awaitable[bool]], deadline: float = 15.0) -> None:
    """Wait until it holds; after `deadline` seconds the test fails with TimeoutError."""
    async with asyncio.timeout(deadline):
        while not await holds():  # noqa: ASYNC110  # what is waited for happens in another process, which sets no Event
            await asyncio.sleep(0)


@asynccontextmanager
async def postgres_store(dsn: str, *, timeout: float = 5.0) -> AsyncIterator[PostgresStore]:  # noqa: ASYNC109  # its calls'
    """A PostgresStore with every table empty."""
    store = await PostgresStore.connect(dsn, timeout=timeout)
    async with store._connection() as connection:
        await connection.execute(
            "TRUNCATE hoop.approval, hoop.outbox, hoop.audit, hoop.checkpoint, hoop.person, hoop.replica, hoop.conversation, "
            "hoop.chore, hoop.granted, hoop.ending, hoop.ticket, hoop.link"
        )
    try:
        yield store
    finally:
        await store.close()


def unshipped(spool: Spool) -> bytes:
    """What a shipper would take now."""
    taken = spool.take()
    assert taken is not None, "more than memory bears"
    return taken.lines


class ListSpool:
    """A spool in a list: `written` holds what was flushed. `full = True` makes flush fail, as a full disk does."""

    def __init__(self, replica: str = "gate-1") -> None:
        self.replica = replica
        self.queued: list[Entry] = []
        self.written: list[Entry] = []
        self.full = False

    def record(self, kind: str, **fields: Value) -> Entry:
        known = [*self.written, *self.queued]
        body: dict[str, Value] = {
            "seq": len(known) + 1,
            "replica": self.replica,
            "at": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()),
            "kind": kind,
        }
        body |= {name: value for name, value in fields.items() if value is not None}
        entry = seal(KEY, known[-1].hash if known else genesis(KEY, self.replica), body)
        self.queued.append(entry)
        return entry

    def record_alike(self, pattern: Pattern, values: Sequence[bytes]) -> None:
        said = json.loads(b'{"kind":' + pattern.text(values) + b"}")
        self.record(said.pop("kind"), **said)

    def flush(self) -> None:
        if self.full:
            raise GatewayError("the audit spool is full", sqlstate="53100")
        self.written += self.queued
        self.queued = []

    def kinds(self) -> list[tuple[str, Value]]:
        """(kind, outcome) of what was written."""
        return [(entry.kind, entry.body.get("outcome")) for entry in self.written]
