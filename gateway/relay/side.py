"""Side connections to a target by asyncpg: reading its catalog, and the doctor's look. Never the client's statements.

The query is catalog_sql.py's, what is made of its answer catalog_rows.py's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from gateway.errors import TargetUnavailable
from gateway.failures import in_words
from gateway.policy.model import Target
from gateway.relay.catalog_rows import decoded
from gateway.relay.catalog_sql import EVERYTHING
from gateway.relay.target import tls_context
from gateway.sql.catalog import Catalog

DEADLINE = 20.0
#: How long a lock is waited for. Reading the definition of a view locks what it reads (ACCESS SHARE), and so do the bodies of functions,
#: policies and rules: that waits behind DDL which itself waits for somebody's open block, and logins wait with it.
LOCKED_FOR = 2.0
#: A quiet target is left alone. DROP DATABASE waits 5 s for others to leave (CountOtherDBBackends).
KEPT = 2.0
_NAME = "hoop catalog"
#: What a side connection may fail with.
FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class CatalogLocked(TargetUnavailable):
    """Somebody's DDL holds, or waits for, a lock that reading the catalog needs. Nothing is wrong with the target."""


async def load_catalog(target: Target, password: str) -> Catalog:
    """Read what names mean on this target, once. Raises TargetUnavailable, of which CatalogLocked is one."""
    reader = CatalogReader()
    try:
        return await reader.load(target, password)
    finally:
        await reader.close()


class CatalogReader:
    """Reads catalogs again and again. A connection is kept for `KEPT` seconds: DDL seldom comes alone, and a new backend takes
    three times as long to read a catalog as one that has read it before (measured). One load of a target at a time
    (catalogs.py sees to it)."""

    def __init__(self) -> None:
        self._kept: dict[Target, tuple[Any, str, asyncio.TimerHandle]] = {}

    async def load(self, target: Target, password: str) -> Catalog:
        """Read what names mean on this target. Raises TargetUnavailable, of which CatalogLocked is one."""
        async with _told(target):
            return await self._load(target, password)

    async def close(self) -> None:
        """End the kept connections."""
        for connection, _, timer in self._kept.values():
            timer.cancel()
            connection.terminate()
        self._kept.clear()

    async def _load(self, target: Target, password: str) -> Catalog:
        connection = self._taken(target, password)
        if connection is not None:
            try:
                return await self._read(connection, target, password)
            except asyncpg.LockNotAvailableError:
                raise  # a new one would wait as long again
            except FAILURES:
                pass  # it may have been ended while it was kept: a new one says what is wrong
        return await self._read(await connect_aside(target, password, _NAME), target, password)

    def _taken(self, target: Target, password: str) -> Any:
        connection, known, timer = self._kept.pop(target, (None, "", None))
        if timer is not None:
            timer.cancel()
        if connection is not None and known != password:
            connection.terminate()
            return None
        return connection

    async def _read(self, connection: Any, target: Target, password: str) -> Catalog:
        """Read, and keep the connection; one that failed or was given up on is not kept."""
        try:
            row = await connection.fetchrow(EVERYTHING)
        except BaseException:
            connection.terminate()
            raise
        timer = asyncio.get_running_loop().call_later(KEPT, self._drop, target)
        self._kept[target] = (connection, password, timer)
        # In a thread: it takes 0.1 s for 1,000 tables of 50 columns, and the loop has all the other sessions.
        return await asyncio.to_thread(decoded, row)

    def _drop(self, target: Target) -> None:
        self._kept.pop(target)[0].terminate()


@asynccontextmanager
async def _told(target: Target) -> AsyncIterator[None]:
    """What fails inside as TargetUnavailable, and what takes too long."""
    try:
        async with asyncio.timeout(DEADLINE):
            yield
    except TimeoutError:
        text = f"the catalog of target {target.name} could not be read in {DEADLINE:.0f} s"
        raise TargetUnavailable(text) from None
    except asyncpg.LockNotAvailableError as error:
        text = f"the catalog of target {target.name} is locked: DDL there holds a lock, or waits for one"
        raise CatalogLocked(text, hint="try again when it is over") from error
    except FAILURES as error:
        text = f"the catalog of target {target.name} can't be read ({in_words(error)})"
        raise TargetUnavailable(text) from error


async def connect_aside(target: Target, password: str, name: str) -> Any:
    """A read-only connection that `name`s itself, and in which no name of the target's stands before the catalog's own. Raises
    FAILURES."""
    return await asyncpg.connect(
        host=target.host,
        port=target.port,
        user=target.user,
        password=password,
        database=target.database,
        ssl=False if target.sslmode == "disable" else tls_context(target),
        server_settings={
            "application_name": name,
            "search_path": "pg_catalog",
            "default_transaction_read_only": "on",
            "lock_timeout": f"{LOCKED_FOR * 1000:.0f}ms",
            "jit": "off",  # compiling the one big query took 9 s, running it 0.2 s (measured on 15)
        },
    )


# What a login may do that no statement of it shall, whatever the policy: enforcement.md 5, L3. A superuser has every role.
_RIGHTS = """
SELECT r.rolsuper AS superuser, r.rolreplication AS replication, NOT r.rolsuper AND (
           SELECT pg_catalog.bool_or(pg_catalog.pg_has_role(m.oid, 'MEMBER')) FROM pg_catalog.pg_roles m
            WHERE m.rolname = 'pg_write_server_files') AS writes_files, NOT r.rolsuper AND (
           SELECT pg_catalog.bool_or(pg_catalog.pg_has_role(m.oid, 'MEMBER')) FROM pg_catalog.pg_roles m
            WHERE m.rolname = 'pg_execute_server_program') AS runs_programs,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version
  FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""
_RISKS = {
    "superuser": "is a superuser: nothing but the gateway stands between a statement and the server",
    "replication": "has REPLICATION: it could read everything as a stream of changes",
    "writes_files": "is in pg_write_server_files: it could write the server's files",
    "runs_programs": "is in pg_execute_server_program: it could run programs on the server",
}
#: From 16 on a read-only transaction can't be reset to read-write from inside (GUC_NO_RESET).
_KEEPS_TO_READING = 160000
#: The one risk that lies in no right of the login.
NO_READER = "the server is older than 16, where code can leave a read-only transaction, and the target has no `reader`"


async def risks(target: Target, password: str) -> list[str]:
    """What is wrong with this login, a sentence each; and of an older server without a reader. Raises TargetUnavailable."""
    async with _told(target):
        connection = await connect_aside(target, password, _NAME)
        try:
            rights = await connection.fetchrow(_RIGHTS)
        finally:
            connection.terminate()
    found = [f'login "{target.user}" {text}' for name, text in _RISKS.items() if rights[name]]
    if rights["version"] < _KEEPS_TO_READING and target.reader_user is None:
        found.append(NO_READER)
    return found
