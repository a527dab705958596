"""Looks at what a waiting session does to others on its target: its locks, who waits for them, and how big a table is.

Over the gateway's own connection, never the session's; what one can't be told is not known, and nobody waits for it long.
Needs nothing but what every login may read (pg_locks, pg_class, pg_blocking_pids); where that was taken away, or a row of
pg_stat_activity is somebody else's, the answer is "not known". The session's process id is the one of BackendKeyData, so
behind a pooler it would be another's: a target is a PostgreSQL.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog

from gateway.approvals.request import ApprovalRequest
from gateway.approvals.seen import MOST_LOCKS, Seen
from gateway.errors import GatewayError
from gateway.failures import in_words
from gateway.policy.model import Target
from gateway.relay.side import FAILURES, KEPT, connect_aside
from gateway.sql.locks import MODES
from gateway.sql.tree import dotted, parts

log = structlog.get_logger()

#: Seconds for one look, connecting and waiting for one's turn included. A hold is not stored before.
WITHIN = 1.0
#: Commands whose rows are counted and whose table has others, too.
_PARTS_OF_TABLES = frozenset({"DELETE", "UPDATE"})

#: Tables, views and sequences that others know. What is temporary, or was made by this transaction, blocks nobody.
_HELD = """
SELECT n.nspname, c.relname, l.mode
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE l.pid = $1 AND l.locktype = 'relation' AND l.granted
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND c.relkind = ANY ('{r,p,m,v,S,f}') AND c.relpersistence <> 't'
   AND n.nspname <> ALL ('{pg_catalog,information_schema,pg_toast}')
"""
_OPEN_FOR = "SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8 FROM pg_stat_activity WHERE pid = $1"
#: pg_blocking_pids stops the lock manager for a moment: it is asked for those that wait alone, once each.
_BLOCKED = """
WITH RECURSIVE waiting AS (
    SELECT pid, pg_blocking_pids(pid) AS by FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) w
), behind AS (
    SELECT pid FROM waiting WHERE $1 = ANY (by)
     UNION SELECT waiting.pid FROM waiting JOIN behind ON behind.pid = ANY (by)
)
SELECT count(*) FROM behind WHERE pid <> $1
"""
#: As ANALYZE or VACUUM left it: -1 (before 14: 0) is never. A partitioned table's is the sum of its leaves'; of one with children nothing
#: is told, because ONLY may leave them out.
_TABLE_ROWS = """
WITH leaves AS (
    SELECT CASE WHEN t.relkind = 'r' AND NOT t.relhassubclass THEN t.oid END AS oid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE n.nspname = $1 AND t.relname = $2 AND t.relkind = 'r'
     UNION ALL
    SELECT p.relid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace, pg_partition_tree(t.oid) p
     WHERE n.nspname = $1 AND t.relname = $2 AND t.relkind = 'p' AND p.isleaf
)
SELECT CASE WHEN bool_and(c.reltuples >= 0) THEN sum(c.reltuples)::float8 END
  FROM leaves LEFT JOIN pg_class c ON c.oid = leaves.oid
"""


class Looks:
    """One connection a target, kept for `KEPT` seconds: a burst of holds has one look behind the other over it, and who has no
    turn in time goes without."""

    def __init__(
        self,
        password: Callable[[Target], Awaitable[str]],
        clock: Callable[[], float],
        within: float = WITHIN,
    ) -> None:
        self._password = password
        self._clock = clock
        self._within = within
        self._turns: dict[Target, asyncio.Lock] = {}
        self._kept: dict[Target, tuple[Any, asyncio.TimerHandle]] = {}

    async def close(self) -> None:
        """End the kept connections."""
        for connection, timer in self._kept.values():
            timer.cancel()
            connection.terminate()
        self._kept.clear()

    async def look(self, request: ApprovalRequest, target: Target, pid: int) -> Seen | None:
        """What is seen now; None where there is nothing to ask. Never raises, and never takes longer than `within`."""
        inside, table = request.where_held != "idle", _table(request)
        if not inside and not table:
            return None
        seen = Seen(self._clock(), inside)
        found: list[Seen] = [seen]
        try:
            async with asyncio.timeout(self._within), self._turns.setdefault(target, asyncio.Lock()):
                await self._ask(target, found, pid if inside else None, table)
        except TimeoutError:
            return replace(found[-1], problem=f"the target did not say within {self._within:g} s")
        except (GatewayError, *FAILURES) as error:
            return replace(found[-1], problem=f"the target could not be asked ({in_words(error)})")
        except Exception:  # nobody's statement fails of what is only told beside it
            log.exception("locks.not_seen", target=target.name)
            return replace(found[-1], problem="the look failed")
        return found[-1]

    async def _ask(self, target: Target, found: list[Seen], pid: int | None, table: str) -> None:
        """Each answer is added to `found` as it comes, so that the later ones may be missing."""
        connection = await self._connected(target)
        try:
            if pid is not None:
                for sql, told in ((_HELD, _held), (_OPEN_FOR, _open_for), (_BLOCKED, _blocked)):
                    await self._one(connection, found, told, sql, pid)
            if table:
                await self._one(connection, found, _table_rows, _TABLE_ROWS, *_schema_and_name(table))
        except BaseException:
            connection.terminate()
            raise
        self._keep(target, connection)

    async def _one(
        self, connection: Any, found: list[Seen], told: Callable[[Seen, list[Any]], Seen], sql: str, *values: object
    ) -> None:
        try:
            rows = await connection.fetch(sql, *values)
        except FAILURES as error:
            if connection.is_closed():
                raise
            problem = (
                "the gateway's login may not look" if _is_refused(error) else f"the look failed ({in_words(error)})"
            )
            found.append(replace(found[-1], problem=problem))
        else:
            found.append(told(found[-1], rows))

    async def _connected(self, target: Target) -> Any:
        kept = self._kept.pop(target, None)
        if kept is not None:
            kept[1].cancel()
            if not kept[0].is_closed():
                return kept[0]
        return await connect_aside(target, await self._password(target), "hoop locks")

    def _keep(self, target: Target, connection: Any) -> None:
        timer = asyncio.get_running_loop().call_later(KEPT, self._drop, target)
        self._kept[target] = (connection, timer)

    def _drop(self, target: Target) -> None:
        self._kept.pop(target)[0].terminate()


def _is_refused(error: BaseException) -> bool:
    return getattr(error, "sqlstate", "") == "42501"


def _held(seen: Seen, rows: list[Any]) -> Seen:
    strongest: dict[str, int] = {}
    for schema, name, mode in rows:
        rank, relation = _RANKS.get(mode, len(MODES)), dotted([schema, name])
        strongest[relation] = min(strongest.get(relation, rank), rank)
    named = sorted(((rank, relation) for relation, rank in strongest.items() if rank < len(MODES)))
    shown = tuple((relation, MODES[rank]) for rank, relation in named[:MOST_LOCKS])
    return replace(seen, held=shown, more=len(named) - len(shown))


#: As pg_locks spells them (storage/lmgr/lmgr.c): AccessExclusiveLock.
_RANKS = {f"{mode.title().replace(' ', '')}Lock": rank for rank, mode in enumerate(MODES)}


def _open_for(seen: Seen, rows: list[Any]) -> Seen:
    if not rows or rows[0][0] is None:  # somebody else's row shows nothing
        return replace(seen, problem=seen.problem or "the target does not show when the transaction began")
    return replace(seen, open_for=rows[0][0])


def _blocked(seen: Seen, rows: list[Any]) -> Seen:
    return replace(seen, blocked=rows[0][0])


def _table_rows(seen: Seen, rows: list[Any]) -> Seen:
    return replace(seen, table_rows=rows[0][0] or None)


def _table(request: ApprovalRequest) -> str:
    """The table of which the counted rows are a part, if there is one."""
    if len(request.statements) != 1 or not request.preview.rows:
        return ""
    (held,) = request.statements
    return held.changes if held.tag in _PARTS_OF_TABLES and not held.opaque else ""


def _schema_and_name(relation: str) -> tuple[str, str]:
    schema, name = parts(relation)
    return schema, name
