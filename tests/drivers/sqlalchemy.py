"""SQLAlchemy 2: `python -m tests.drivers.sqlalchemy psycopg` or `asyncpg`; one pooled connection, given back after each step.

What the pool does by itself (ROLLBACK, savepoints, its first questions) must reach no reviewer.
"""

import ssl
import sys
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tests.drivers.asyncpg import Waiting
from tests.drivers.playing import Driver, Place, Rows, play


def url(place: Place, driver: str) -> sa.URL:
    return sa.URL.create(
        f"postgresql+{driver}", place.user, place.token, host=place.host, port=place.port, database=place.database
    )


def explain(error: BaseException) -> tuple[str, str]:
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return getattr(origin, "sqlstate", None) or type(origin).__name__, str(error)


def bound(sql: str) -> sa.TextClause:
    return sa.text(sql.replace("{}", ":v"))


class OverPsycopg:
    """The blocking engine over psycopg 3."""

    def __init__(self, place: Place) -> None:
        tls = {"sslmode": "verify-full", "sslrootcert": place.ca} if place.ca else {"sslmode": "disable"}
        self.engine = sa.create_engine(url(place, "psycopg"), connect_args=tls, pool_size=1, max_overflow=0)
        self.open: sa.Connection | None = None
        self.raw: Any = None
        with self.engine.connect() as connection:
            self.raw = connection.connection.driver_connection

    def hello(self) -> dict[str, object]:
        return {"driver": f"SQLAlchemy {sa.__version__} over psycopg", "tls": self.raw.pgconn.ssl_in_use}

    def read(self, sql: str) -> Rows:
        with self.engine.connect() as connection:
            return [tuple(each) for each in connection.execute(sa.text(sql))]

    def prepared(self, sql: str, value: int) -> Rows:
        with self.engine.connect() as connection:
            return [tuple(each) for each in connection.execute(bound(sql), {"v": value})]

    def change(self, sql: str, value: int) -> int:
        if self.open is not None:
            return self.open.execute(bound(sql), {"v": value}).rowcount
        with self.engine.begin() as connection:
            return connection.execute(bound(sql), {"v": value}).rowcount

    def begin(self) -> None:
        self.open = self.engine.connect()

    def commit(self) -> None:
        assert self.open is not None
        self.open.commit()
        self._give_back()

    def rollback(self) -> None:
        assert self.open is not None
        self.open.rollback()
        self._give_back()

    def _give_back(self) -> None:
        assert self.open is not None
        self.open.close()
        self.open = None

    def cancel(self) -> None:
        self.raw.cancel_safe(timeout=5)

    def explain(self, error: BaseException) -> tuple[str, str]:
        return explain(error)


class OverAsyncpg:
    """The asyncio engine over asyncpg."""

    def __init__(self, place: Place) -> None:
        self.waiting = Waiting()
        tls = ssl.create_default_context(cafile=place.ca) if place.ca else False
        self.engine = create_async_engine(url(place, "asyncpg"), connect_args={"ssl": tls}, pool_size=1, max_overflow=0)
        self.open: AsyncConnection | None = None
        self.tls = self.waiting.run(self._tls())

    async def _tls(self) -> bool:
        async with self.engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            return raw._transport.get_extra_info("ssl_object") is not None

    def hello(self) -> dict[str, object]:
        return {"driver": f"SQLAlchemy {sa.__version__} over asyncpg", "tls": self.tls}

    def read(self, sql: str) -> Rows:
        return self.waiting.run(self._read(sa.text(sql), {}))

    def prepared(self, sql: str, value: int) -> Rows:
        return self.waiting.run(self._read(bound(sql), {"v": value}))

    async def _read(self, statement: sa.TextClause, values: dict[str, int]) -> Rows:
        async with self.engine.connect() as connection:
            return [tuple(each) for each in await connection.execute(statement, values)]

    def change(self, sql: str, value: int) -> int:
        return self.waiting.run(self._change(bound(sql), {"v": value}))

    async def _change(self, statement: sa.TextClause, values: dict[str, int]) -> int:
        if self.open is not None:
            return (await self.open.execute(statement, values)).rowcount
        async with self.engine.begin() as connection:
            return (await connection.execute(statement, values)).rowcount

    def begin(self) -> None:
        async def begun() -> AsyncConnection:
            return await self.engine.connect()

        self.open = self.waiting.run(begun())

    def commit(self) -> None:
        assert self.open is not None
        self.waiting.run(self.open.commit())
        self._give_back()

    def rollback(self) -> None:
        assert self.open is not None
        self.waiting.run(self.open.rollback())
        self._give_back()

    def _give_back(self) -> None:
        assert self.open is not None
        self.waiting.run(self.open.close())
        self.open = None

    def cancel(self) -> None:
        self.waiting.cancel()

    def explain(self, error: BaseException) -> tuple[str, str]:
        return explain(error)


ENGINES: dict[str, Callable[[Place], Driver]] = {"psycopg": OverPsycopg, "asyncpg": OverAsyncpg}

if __name__ == "__main__":
    play(ENGINES[sys.argv[1]](Place.given()))
