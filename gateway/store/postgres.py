"""The store in PostgreSQL: each method one short transaction or one statement of queries.sql.

What lives here: rows to values and back, time limits, and the one place where asyncpg's errors become StoreUnavailable.
What must not: decisions (they arrive as `change`), SQL text (queries.sql, audit_sql.py).
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Self

import asyncpg

from gateway.approvals.request import ApprovalRequest, Person, Refusal, State, is_unsettled
from gateway.approvals.stored import from_json, to_json
from gateway.audit.entry import NO_JSON, Entry, Value, read, readable, unreadable
from gateway.audit.query import Query
from gateway.errors import StoreUnavailable
from gateway.failures import in_words
from gateway.store.audit_sql import select
from gateway.store.dsn import COMPLETE, unusable
from gateway.store.listener import TROUBLE, Listener
from gateway.store.outage import Outage, hush
from gateway.store.port import (
    CLAIM_SECONDS,
    REMINDED_FROM,
    SOON,
    Backlog,
    Change,
    Cover,
    Ending,
    Post,
    Record,
    Standing,
    alarms_of,
    cards_of,
)
from gateway.store.queries import load_migrations, load_queries
from gateway.store.signins import PostgresSignIns

if TYPE_CHECKING:  # asyncpg's classes are generic in its stubs only
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

#: Seconds a call may take; a click that takes longer has failed for the one who clicked.
TIMEOUT = 5.0
#: How many times that a new hold may take: it waits for people anyway, and many come at once.
HOLD_PATIENCE = 6
MAX_CONNECTIONS = 10
#: With the one that listens: what one process may have at the same time.
CONNECTIONS = MAX_CONNECTIONS + 1

Q = load_queries()


class PostgresStore(PostgresSignIns):
    """A store.port.Store. `connect` makes one; the DSN's login needs what schema.sql says."""

    def __init__(self, pool: "Pool", listener: Listener, timeout: float) -> None:
        self._pool = pool
        self._listener = listener
        self._timeout = timeout
        self._outage = Outage()
        #: First come, first served. The pool alone lets a call that comes in between overtake those that wait (asyncio.Queue
        #: sends a woken waiter to the end): under load one of them waited until its time limit was over.
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)

    @classmethod
    async def connect(cls, dsn: str, *, timeout: float = TIMEOUT) -> Self:  # noqa: ASYNC109  # of each later call
        """Connect and bring the schema up to date. Raises StoreUnavailable; its text never holds the DSN."""
        hush()
        settings = {"application_name": "hoop store", "statement_timeout": str(int(timeout * 1000)), "timezone": "UTC"}

        async def connection() -> object:
            return await asyncpg.connect(dsn, timeout=timeout, server_settings=settings)

        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=MAX_CONNECTIONS,
                timeout=timeout,
                server_settings=settings,
                reset=_nothing_to_reset,
            )
        except (*TROUBLE, ValueError) as error:  # ValueError: a DSN that is none
            raise _unreached(dsn, error) from error
        try:
            async with pool.acquire() as first:
                await migrate(first)
        except StoreUnavailable:
            await pool.close()
            raise
        except TROUBLE as error:
            await pool.close()
            hint = _OWNER if isinstance(error, asyncpg.InsufficientPrivilegeError) else ""
            raise StoreUnavailable(f"the store's schema can't be brought up to date: {error}", hint=hint) from error
        return cls(pool, Listener(connection, timeout), timeout)

    async def open(self, request: ApprovalRequest, record: Record) -> None:
        async with self._connection(self._timeout * HOLD_PATIENCE) as connection:
            await _open(connection, request, record(request))

    async def get(self, request_id: str) -> ApprovalRequest | None:
        async with self._connection() as connection:
            body = await connection.fetchval(Q["request_get"], request_id)
        return None if body is None else from_json(body)

    async def move(self, request_id: str, change: Change, record: Record) -> ApprovalRequest | Refusal:
        async with self._transaction() as connection:
            row = await connection.fetchrow(Q["request_lock"], request_id)
            if row is None:
                return Refusal.UNKNOWN_REQUEST
            old = from_json(row["body"])
            changed = change(old, row["now"])
            if isinstance(changed, Refusal):
                return changed
            new = replace(changed, rev=old.rev + 1)
            entries = record(new)
            lines = [entry.text for entry in entries]
            values = (
                *(new.state.value, to_json(new), lines, new.replica, new.session, is_unsettled(new)),
                alarms_of(old, new),
            )
            moved = await connection.fetch(Q["request_move"], request_id, old.rev, *values)
            if not moved:
                raise StoreUnavailable("the gateway's store holds a request in two revisions")
            if new.grant is not None and new.grant != old.grant:
                grant = new.grant
                given = (new.id, grant.shape, grant.until, grant.uses, grant.revoked_at is not None)
                await connection.execute(Q["grant_put"], *given)
        return new

    async def use_grant(self, request: ApprovalRequest, cover: Cover, record: Record) -> ApprovalRequest | None:
        shape = request.grantable.shape if request.grantable else ""
        async with self._transaction() as connection:
            row = await connection.fetchrow(Q["grant_lock"], shape)
            covered = None if row is None else cover(from_json(row["body"]), request, row["now"])
            if row is not None and covered is not None:
                await connection.execute(Q["grant_used"], row["id"])
                await _open(connection, covered, record(covered))
        return covered

    async def grants(self, limit: int = 100) -> list[Standing]:
        return [Standing(from_json(row["body"]), row["used"]) for row in await self._fetch("grant_find", limit)]

    async def approved(self, shape: str) -> int:
        [row] = await self._fetch("request_approved", shape)
        return int(row["count"])

    async def find(
        self, *, states: frozenset[State] | None = None, replica: str | None = None, limit: int = 100
    ) -> list[ApprovalRequest]:
        wanted = None if states is None else [state.value for state in states]
        rows = await self._fetch("request_find", wanted, replica, limit)
        return [from_json(row["body"]) for row in rows]

    async def pending_of(self, issuer: str, subject: str, session: str) -> tuple[int, int]:
        [row] = await self._fetch("request_pending_of", issuer, subject, session)
        return int(row["theirs"]), int(row["here"])

    async def denied(self, issuer: str, subject: str, since: float, limit: int = 100) -> list[ApprovalRequest]:
        rows = await self._fetch("request_denied", issuer, subject, since, limit)
        return [from_json(row["body"]) for row in rows]

    async def requests_of(self, issuer: str, subject: str, limit: int = 10) -> list[ApprovalRequest]:
        return [from_json(row["body"]) for row in await self._fetch("request_of", issuer, subject, limit)]

    async def asked(self, since: float, before: tuple[float, str] | None, limit: int) -> list[ApprovalRequest]:
        at, request_id = before or (None, None)
        return [from_json(row["body"]) for row in await self._fetch("request_asked", since, at, request_id, limit)]

    async def claim(self, chore: str, seconds: float) -> bool:
        return bool(await self._fetch("chore_claim", chore, seconds))

    async def done(self, chore: str) -> None:
        await self._fetch("chore_done", chore)

    async def kept(self, content_digest: str) -> list[str]:
        return [row["id"] for row in await self._fetch("request_kept", content_digest)]

    async def revisions(self, request_ids: Sequence[str]) -> Mapping[str, int]:
        rows = await self._fetch("request_revisions", list(request_ids))
        return {row["id"]: row["rev"] for row in rows}

    async def overdue(self, limit: int = 100) -> list[str]:
        return [row["id"] for row in await self._fetch("request_overdue", limit)]

    async def unreachable(self, after: float) -> list[str]:
        return [row["id"] for row in await self._fetch("request_unreachable", after)]

    async def unsettled(self, replica: str) -> list[ApprovalRequest]:
        return [from_json(row["body"]) for row in await self._fetch("request_unsettled", replica)]

    async def due(self, limit: int = 20, claimer: str = "") -> list[Post]:
        return [Post(**row) for row in await self._fetch("outbox_due", limit, CLAIM_SECONDS, claimer)]

    async def unclaim(self, claimer: str) -> None:
        await self._fetch("outbox_unclaim", claimer)

    async def sent(self, post_id: int, rev: int, ref: str) -> None:
        await self._fetch("outbox_sent", post_id, rev, ref)

    async def failed(self, post_id: int, error: str, retry_in: float | None, *, unposted: bool = False) -> None:
        await self._fetch("outbox_failed", post_id, error, retry_in, unposted)

    async def postponed(self, post_id: int, seconds: float, *, maybe_posted: bool) -> None:
        await self._fetch("outbox_postponed", post_id, seconds, maybe_posted)

    async def remind(self, limit: int = 20) -> list[Post]:
        return [Post(**row) for row in await self._fetch("outbox_remind", limit, REMINDED_FROM)]

    async def unremind(self, post_id: int) -> None:
        await self._fetch("outbox_unremind", post_id)

    async def hurry(self, request_id: str) -> None:
        await self._fetch("outbox_hurry", request_id)

    async def backlog(self) -> Backlog:
        [row] = await self._fetch("outbox_backlog", SOON)
        return Backlog(row["waiting"], row["parked"])

    async def parked(self, limit: int = 20) -> list[Post]:
        return [Post(**row) for row in await self._fetch("outbox_parked", limit)]

    async def revive(self, within: float) -> int:
        [row] = await self._fetch("outbox_revive", within)
        return int(row["revived"])

    async def redraw(self, request_id: str) -> None:
        await self._fetch("outbox_redraw", request_id)

    async def posts(self, request_id: str) -> list[Post]:
        return [Post(**row) for row in await self._fetch("outbox_of_request", request_id)]

    async def append(self, lines: bytes) -> None:
        await self._fetch("audit_insert", lines.decode())

    async def checkpoint(self, replica: str, seq: int, head: str, signature: str) -> None:
        await self._fetch("checkpoint_insert", replica, seq, head, signature)

    async def audit(self, query: Query, offset: int = 0) -> tuple[list[Mapping[str, Value]], int]:
        page, count, parameters = select(query, offset)
        async with self._connection() as connection:
            rows = await connection.fetch(page, *parameters)
            total = await connection.fetchval(count, *parameters)
        return [_shown(row) for row in rows], total

    async def chain(self, replica: str, after: int, limit: int) -> list[Mapping[str, Value]]:
        return [read(row["text"]) for row in await self._fetch("audit_chain", replica, after, limit)]

    async def steps(self, replica: str, limit: int) -> list[Mapping[str, Value]]:
        return readable(row["text"] for row in await self._fetch("audit_steps", replica, limit))

    async def story(self, request_id: str) -> list[Mapping[str, Value]]:
        return readable(row["text"] for row in await self._fetch("audit_story", request_id))

    async def altered(self, replica: str, after: int, limit: int) -> list[int]:
        rows = await self._fetch("audit_columns", replica, after, limit)
        return [row["seq"] for row in rows if not (row["agree"] and _same(row["text"], row["body"]))]

    async def heads(self) -> list[tuple[str, int, str]]:
        rows = await self._fetch("chain_heads")
        return [(row["replica"], row["seq"], row["hash"]) for row in rows]

    async def checkpoints(self) -> list[tuple[str, int, str, str]]:
        rows = await self._fetch("checkpoint_all")
        return [(row["replica"], row["seq"], row["head"], row["signature"]) for row in rows]

    async def saw(self, person: Person, at: float) -> None:
        groups = sorted(person.groups)
        await self._fetch("person_seen", person.issuer, person.subject, person.user, person.email, groups, at)

    async def person_by_email(self, email: str, not_before: float) -> Person | None:
        rows = await self._fetch("person_by_email", email, not_before)
        return _person(rows[0]) if rows else None

    async def person_by_subject(self, issuer: str, subject: str, not_before: float) -> Person | None:
        rows = await self._fetch("person_by_subject", issuer, subject, not_before)
        return _person(rows[0]) if rows else None

    async def met(self, conversation: str, team: str, service_url: str, at: float) -> None:
        await self._fetch("conversation_met", conversation, team, service_url, at)

    async def service_url(self, conversation: str) -> str | None:
        rows = await self._fetch("conversation_service_url", conversation)
        return rows[0]["service_url"] if rows else None

    async def parted(self, conversation: str) -> None:
        await self._fetch("conversation_parted", conversation)

    async def heartbeat(self, replica: str) -> None:
        await self._fetch("replica_beat", replica)

    async def stopped(self, replica: str) -> None:
        await self._fetch("replica_stopped", replica)

    async def lapsed(self, after: float) -> list[str]:
        return [row["name"] for row in await self._fetch("replica_lapsed", after)]

    async def alive(self, within: float) -> list[str]:
        return [row["name"] for row in await self._fetch("replica_alive", within)]

    async def sessions(self, within: float, limit: int = 1000) -> list[Mapping[str, Value]]:
        rows = await self._fetch("audit_sessions", within, limit)
        return [{**_shown(row), "session": row["session"]} for row in rows]

    async def abandoned(self, after: float) -> list[str]:
        return [row["name"] for row in await self._fetch("replica_abandoned", after)]

    async def unburied(self, replicas: Sequence[str]) -> list[str]:
        return [row["asked"] for row in await self._fetch("replica_unburied", list(replicas))]

    async def buried(self, replica: str) -> None:
        await self._fetch("replica_buried", replica)

    async def cancel(self, digests: Sequence[str]) -> None:
        await self._fetch("cancel_notify", list(digests))

    async def outdated(self, replica: str, target: str) -> None:
        await self._fetch("catalog_notify", replica, target)

    async def end_session(self, session: str, ending: Ending) -> None:
        await self._fetch("session_end", session, ending.by, ending.why)

    async def endings(self, sessions: Sequence[str]) -> Mapping[str, Ending]:
        rows = await self._fetch("session_endings", list(sessions))
        return {row["session"]: Ending(row["ended_by"], row["why"]) for row in rows}

    async def listen(self, heard: Callable[[str, str], None]) -> None:
        try:
            await self._listener.add(heard)
        except TROUBLE as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        await self._listener.close()
        try:
            async with asyncio.timeout(self._timeout):
                await self._pool.close()
        except TROUBLE:
            self._pool.terminate()

    async def _fetch(self, query: str, *parameters: object) -> "list[asyncpg.Record]":
        async with self._connection() as connection:
            return await connection.fetch(Q[query], *parameters)

    @asynccontextmanager
    async def _connection(self, within: float | None = None) -> "AsyncIterator[Connection]":
        """A connection for one call, within the time limit. A GatewayError of the block's own passes as it is."""
        try:
            async with (
                asyncio.timeout(within or self._timeout),
                self._turns,
                self._pool.acquire(timeout=self._timeout) as connection,
            ):
                yield connection
        except TROUBLE as error:
            self._outage.met(error)
            raise _unavailable(error) from error
        self._outage.over()

    @asynccontextmanager
    async def _transaction(self) -> "AsyncIterator[Connection]":
        async with self._connection() as connection, connection.transaction():
            yield connection


async def _nothing_to_reset(_connection: object) -> None:
    """No call here leaves session state behind, and asyncpg's own reset is a round trip a call: a click makes several.

    An open transaction is rolled back by asyncpg all the same.
    """


async def migrate(connection: "Connection") -> None:
    """Run the migrations that are missing; two replicas at once are fine. Raises what asyncpg raises."""
    migrations = load_migrations()
    if await _missing_from(connection, len(migrations)) == 0:
        return
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute(Q["migration_lock"])
        await connection.execute(Q["migration_begin"])
        await connection.execute(Q["migration_table"])
        missing = await _missing(connection, len(migrations))
        for each in migrations[len(migrations) - missing :]:
            await connection.execute(each.script)
            await connection.execute(Q["migration_done"], each.number, each.title)


async def missing_migrations(dsn: str, *, timeout: float = TIMEOUT) -> tuple[int, bool]:  # noqa: ASYNC109 - of each call
    """How many migrations the schema lacks, and whether this login may run them. Changes nothing. Raises StoreUnavailable."""
    known = len(load_migrations())
    try:
        connection = await asyncpg.connect(dsn, timeout=timeout, command_timeout=timeout)
        try:
            return await _missing_from(connection, known), bool(await connection.fetchval(Q["migration_may"]))
        finally:
            connection.terminate()
    except (*TROUBLE, ValueError) as error:
        raise _unreached(dsn, error) from error


async def _missing_from(connection: "Connection", known: int) -> int:
    """As _missing, of a database that may be new. Raises StoreUnavailable where the login may not even look."""
    try:
        return await _missing(connection, known)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return known
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreUnavailable("the login of HOOP_STORE has no rights on the store's tables", hint=GRANTS) from error


#: What to do about a login that may not do what the gateway has to.
GRANTS = "as the tables' owner give it the grants of docs/deploy.md, The store"
_OWNER = "start once, or run hoop audit, with a HOOP_STORE login that owns the tables: docs/deploy.md, The store"


def _unreached(dsn: str, error: Exception) -> StoreUnavailable:
    if wrong := unusable(dsn, error):
        return StoreUnavailable(f"HOOP_STORE can't be used: {wrong}", hint=COMPLETE)
    why = f"the gateway's store can't be reached ({in_words(error)})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreUnavailable(
            why, hint="sslrootcert in HOOP_STORE names the CA's file; the host is as the certificate has it"
        )
    return StoreUnavailable(why, hint="check HOOP_STORE, and that its server runs and takes this login")


async def _missing(connection: "Connection", known: int) -> int:
    """How many of the known migrations have not been run; they run in order, so these are the last ones."""
    done = {row["number"] for row in await connection.fetch(Q["migrated"])}
    return len(set(range(1, known + 1)) - done)


async def _open(connection: "Connection", request: ApprovalRequest, entries: Sequence[Entry]) -> None:
    cards = cards_of(request)
    await connection.fetch(
        Q["request_insert"],
        request.id,
        request.state.value,
        request.rev,
        request.replica,
        request.session,
        request.requester.issuer,
        request.requester.subject,
        request.opened_at,
        request.expires_at,
        to_json(request),
        list(cards),
        [entry.text for entry in entries],
        request.content_digest if request.kept else None,
        list(cards.values()),
        request.grantable.shape if request.grantable else None,
    )


def _shown(row: "asyncpg.Record") -> Mapping[str, Value]:
    """The entry of a row; where its text is none, or another's than the row is said to be, an entry that says so."""
    try:
        said = read(row["text"])
        at = datetime.fromisoformat(str(said["at"]))
        if at == row["at"] and all(said[name] == row[name] for name in ("replica", "seq", "kind")):
            return said
    except (*NO_JSON, KeyError):
        pass
    return unreadable(row["replica"], row["seq"], f"{row['at']:%Y-%m-%dT%H:%M:%S.%fZ}", row["kind"])


def _same(text: str, body: str) -> bool:
    """Do both say the same? An unreadable text is found where its chain is read."""
    try:
        said = json.loads(text)
    except NO_JSON:
        return True
    try:
        return bool(said == json.loads(body))
    except RecursionError:
        return False


def _person(row: "asyncpg.Record") -> Person:
    return Person(row["issuer"], row["subject"], row["user"], row["email"], frozenset(row["groups"]))


def _unavailable(error: Exception) -> StoreUnavailable:
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return StoreUnavailable(
            "the gateway's login lacks rights on a table of its store", hint=f"nothing was released; {GRANTS}"
        )
    return StoreUnavailable("the gateway's store does not answer", hint="try again; nothing was released")
