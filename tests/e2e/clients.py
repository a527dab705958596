"""A client process of the end-to-end tests: plays steps with one driver, one JSON line a step on standard output.

    python -m tests.e2e.clients psycopg-pipeline '[["begin"], ["change", "DELETE FROM t WHERE id = {}", [7]]]'

A process of its own, because a client is also killed, and interrupted, while it waits. What is said of a step: its rows,
`count` (rows changed, where the driver tells), `error` (SQLSTATE, or the exception's name). SIGINT cancels in each driver's
own way. `read` is a query; `change` is done in the way that the driver's row of the table stands for.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import asyncpg
import psycopg

Step = list[Any]
Said = dict[str, Any]


def literal(sql: str, values: Sequence[Any] = ()) -> str:
    """The statement with its values written into it."""
    return sql.format(*(f"'{each}'" if isinstance(each, str) else each for each in values))


def _counted(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> int | None:
    return cursor.rowcount if cursor.rowcount >= 0 else None


def _percent(sql: str) -> bytes:
    return sql.replace("{}", "%s").encode()


def _dollar(sql: str) -> str:
    parts = sql.split("{}")
    return "".join(f"{part}${at}" if at < len(parts) else part for at, part in enumerate(parts, 1))


def _dsn() -> str:
    return (
        f"host=127.0.0.1 port={os.environ['WIRE_PORT']} dbname=shop user=hoop sslmode=disable application_name=driver"
    )


class PsycopgSync:
    """psycopg 3, blocking; SIGINT is waited for in a thread, which calls `cancel_safe`."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.connection = psycopg.connect(_dsn(), autocommit=True)
        threading.Thread(target=self._cancel_on_signal, daemon=True).start()

    def _cancel_on_signal(self) -> None:
        signal.sigwait({signal.SIGINT})
        self.connection.cancel_safe(timeout=5)

    async def read(self, sql: str, values: list[Any]) -> Said:
        return {"rows": self.connection.execute(_percent(sql), values).fetchall()}

    async def change(self, sql: str, values: list[Any]) -> Said:
        return {"count": _counted(self.connection.execute(_percent(sql), values))}

    async def begin(self) -> Said:
        self.connection.execute("BEGIN")
        return {}

    async def rollback(self) -> Said:
        self.connection.execute("ROLLBACK")
        return {}


class PsycopgPipeline(PsycopgSync):
    """psycopg 3 in pipeline mode: every step is a pipeline of its own."""

    async def read(self, sql: str, values: list[Any]) -> Said:
        with self.connection.pipeline(), self.connection.cursor() as cursor:
            cursor.execute(_percent(sql), values)
            return {"rows": cursor.fetchall()}

    async def change(self, sql: str, values: list[Any]) -> Said:
        cursor = self.connection.cursor()
        with self.connection.pipeline():
            cursor.execute(_percent(sql), values)
        return {"count": _counted(cursor)}


class PsycopgAsync:
    """psycopg 3, asyncio."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self._cancels: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._cancel)

    def _cancel(self) -> None:
        self._cancels.add(asyncio.ensure_future(self.connection.cancel_safe(timeout=5)))

    async def read(self, sql: str, values: list[Any]) -> Said:
        cursor = await self.connection.execute(_percent(sql), values)
        return {"rows": await cursor.fetchall()}

    async def change(self, sql: str, values: list[Any]) -> Said:
        return {"count": _counted(await self.connection.execute(_percent(sql), values))}

    async def begin(self) -> Said:
        await self.connection.execute("BEGIN")
        return {}

    async def rollback(self) -> Said:
        await self.connection.execute("ROLLBACK")
        return {}


class AsyncpgPrepared:
    """asyncpg with parameters: named prepared statements, binary values. SIGINT cancels the waiting call's task."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.connection = connection
        self.waiting: asyncio.Task[Said] | None = None
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._cancel)

    def _cancel(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()

    async def _cancellable(self, work: Awaitable[Said]) -> Said:
        self.waiting = asyncio.ensure_future(work)
        return await self.waiting

    async def read(self, sql: str, values: list[Any]) -> Said:
        return {"rows": [list(each) for each in await self.connection.fetch(_dollar(sql), *values)]}

    async def change(self, sql: str, values: list[Any]) -> Said:
        return await self._cancellable(self._change(sql, values))

    async def _change(self, sql: str, values: list[Any]) -> Said:
        return {"count": _of_tag(await self.connection.execute(_dollar(sql), *values))}

    async def begin(self) -> Said:
        await self.connection.execute("BEGIN")
        return {}

    async def rollback(self) -> Said:
        await self.connection.execute("ROLLBACK")
        return {}


class AsyncpgSimple(AsyncpgPrepared):
    """asyncpg without parameters: the simple query protocol."""

    async def _change(self, sql: str, values: list[Any]) -> Said:
        return {"count": _of_tag(await self.connection.execute(literal(sql, values)))}


class AsyncpgTransaction(AsyncpgPrepared):
    """asyncpg inside `connection.transaction()`."""

    outer: "asyncpg.transaction.Transaction | None" = None

    async def _change(self, sql: str, values: list[Any]) -> Said:
        if self.outer is not None:
            return await super()._change(sql, values)
        async with self.connection.transaction():
            return await super()._change(sql, values)

    async def begin(self) -> Said:
        self.outer = self.connection.transaction()
        await self.outer.start()
        return {}

    async def rollback(self) -> Said:
        assert self.outer is not None
        await self.outer.rollback()
        self.outer = None
        return {}


class AsyncpgMany(AsyncpgPrepared):
    """asyncpg's executemany with two value sets: the step's, and the next id."""

    async def _change(self, sql: str, values: list[Any]) -> Said:
        await self.connection.executemany(_dollar(sql), [tuple(values), tuple(each + 1 for each in values)])
        return {"count": None}


class AsyncpgTimeout(AsyncpgPrepared):
    """asyncpg with a time limit of its own, which is shorter than anybody's decision."""

    async def _change(self, sql: str, values: list[Any]) -> Said:
        return {"count": _of_tag(await self.connection.execute(_dollar(sql), *values, timeout=0.5))}


def _of_tag(tag: str) -> int | None:
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdigit() else None


async def _psycopg_async() -> PsycopgAsync:
    return PsycopgAsync(await psycopg.AsyncConnection.connect(_dsn(), autocommit=True))


async def _asyncpg() -> "asyncpg.Connection[Any]":
    port = int(os.environ["WIRE_PORT"])
    password = os.environ["PGPASSWORD"]
    return await asyncpg.connect(
        host="127.0.0.1", port=port, user="hoop", database="shop", password=password, ssl=False
    )


class Drivers:
    """Name -> how to open one."""

    sync: ClassVar[dict[str, Callable[[], Any]]] = {"psycopg-sync": PsycopgSync, "psycopg-pipeline": PsycopgPipeline}
    over_asyncpg: ClassVar[dict[str, type[AsyncpgPrepared]]] = {
        "asyncpg-prepared": AsyncpgPrepared,
        "asyncpg-simple": AsyncpgSimple,
        "asyncpg-transaction": AsyncpgTransaction,
        "asyncpg-executemany": AsyncpgMany,
        "asyncpg-timeout": AsyncpgTimeout,
    }

    @classmethod
    async def open(cls, name: str) -> Any:
        if name in cls.sync:
            return cls.sync[name]()
        if name == "psycopg-async":
            return await _psycopg_async()
        return cls.over_asyncpg[name](await _asyncpg())


async def _play(driver: Any, step: Step) -> Said:
    what, *arguments = step
    try:
        said: Said = await getattr(driver, what)(*arguments)
    except (psycopg.Error, asyncpg.PostgresError) as error:
        return {"error": error.sqlstate, "message": str(error)}
    except (TimeoutError, asyncio.CancelledError) as error:
        return {"error": type(error).__name__}
    return said


async def main(name: str, steps: list[Step]) -> None:
    driver = await Drivers.open(name)
    for step in steps:
        print(json.dumps(await _play(driver, step)), flush=True)
    closing = driver.connection.close()
    if closing is not None:
        await closing


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
