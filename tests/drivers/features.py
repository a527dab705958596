"""What drivers do beyond the conversation: each feature once, its result as one JSON line (value, or the error).

    python -m tests.drivers.features PORT      with the password in DRIVER_TOKEN, in plain text on 127.0.0.1

Run directly and through the gateway it must print the same. Every feature takes away the rows of `loaded` that it puts there.
"""

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg2.extras
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

PORT = int(sys.argv[1])
PASSWORD = os.environ["DRIVER_TOKEN"]
DSN = f"host=127.0.0.1 port={PORT} dbname=shop user=hoop sslmode=disable"
SOME = "SELECT id, owner FROM ledger WHERE id BETWEEN 1990 AND 1993 ORDER BY id"
MANY = "SELECT id FROM ledger WHERE id > 1900 ORDER BY id"

FEATURES: list[Callable[[], Any]] = []


def feature(does: Callable[[], Any]) -> Callable[[], Any]:
    FEATURES.append(does)
    return does


def psycopg3() -> psycopg.Connection[Any]:
    return psycopg.connect(DSN, password=PASSWORD)


def old_psycopg() -> Any:
    return psycopg2.connect(DSN, password=PASSWORD)


def engine(driver: str) -> sa.Engine:
    return sa.create_engine(sa.URL.create(f"postgresql+{driver}", "hoop", PASSWORD, "127.0.0.1", PORT, "shop"))


# --- psycopg 3 --------------------------------------------------------------------------------------------------------


@feature
def psycopg3_server_cursors() -> Any:
    with psycopg3() as connection:
        with connection.cursor(name="some") as cursor:
            cursor.itersize = 7
            cursor.execute(MANY.encode())
            read = list(cursor)
        with connection.cursor(name="back", scrollable=True) as cursor:
            cursor.execute(MANY.encode())
            cursor.scroll(10)
            cursor.scroll(-5)
            back = cursor.fetchone()
        held = connection.cursor(name="held", withhold=True)
        held.execute(MANY.encode())
        connection.commit()
        some = held.fetchmany(3)
        held.close()
        return len(read), back, some


@feature
def psycopg3_copy() -> Any:
    with psycopg3() as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY ({SOME}) TO STDOUT".encode()) as copy:
            out = list(copy.rows())
        with cursor.copy(f"COPY ({SOME}) TO STDOUT (FORMAT binary)".encode()) as copy:
            copy.set_types(["int4", "text"])
            binary = list(copy.rows())
        with cursor.copy(b"COPY loaded FROM STDIN") as copy:
            copy.write_row((980001, "x"))
            copy.write_row((980002, None))
        cursor.execute(b"DELETE FROM loaded WHERE id > 980000 RETURNING id")
        return out, binary, sorted(cursor.fetchall())


@feature
def psycopg3_copy_of_bad_data() -> Any:
    with psycopg3() as connection, connection.cursor().copy(b"COPY loaded FROM STDIN") as copy:
        copy.write_row(("no number", "x"))


@feature
def psycopg3_pipeline_with_an_error() -> Any:
    with psycopg3() as connection:
        connection.autocommit = True
        try:
            with connection.pipeline() as pipeline:
                connection.execute(b"SELECT 1")
                connection.execute(b"SELECT 1 / %s", [0])
                connection.execute(b"SELECT 3")
                pipeline.sync()
        except psycopg.Error as error:
            return str(error), connection.execute(b"SELECT 4").fetchone()


@feature
def psycopg3_nested_transactions() -> Any:
    with psycopg3() as connection, connection.transaction():
        try:
            with connection.transaction():
                connection.execute(b"SELECT * FROM nowhere WHERE id = %s", [1])
        except psycopg.Error as error:
            failed = str(error)
        return failed, connection.execute(b"SELECT 2").fetchone()


@feature
def psycopg3_aborted_transaction() -> Any:
    said = []
    with psycopg3() as connection:
        for values in ([0], [1]):
            try:
                connection.execute(b"SELECT 1 / %s::int", values)
            except psycopg.Error as error:
                said.append(str(error))
    return said


@feature
def psycopg3_read_only() -> Any:
    with psycopg3() as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        mode = connection.execute(b"SHOW transaction_isolation").fetchone()
        try:
            connection.execute(b"DELETE FROM loaded WHERE id = -1")
        except psycopg.Error as error:
            return mode, str(error)


@feature
def psycopg3_session() -> Any:
    with psycopg3() as connection:
        info = connection.info
        return info.dbname, info.user, info.encoding, info.server_version, info.parameter_status("is_superuser")


# --- psycopg2, pg8000 -------------------------------------------------------------------------------------------------


@feature
def psycopg2_many_rows() -> Any:
    connection = old_psycopg()
    cursor = connection.cursor()
    rows = [(990000 + each, "v") for each in range(5)]
    psycopg2.extras.execute_values(cursor, "INSERT INTO loaded VALUES %s", rows)
    psycopg2.extras.execute_batch(cursor, "DELETE FROM loaded WHERE id = %s", [(each,) for each, _ in rows])
    named = connection.cursor("some")
    named.itersize = 5
    named.execute(MANY)
    return len(list(named)), connection.commit()


@feature
def psycopg2_session_and_types() -> Any:
    connection = old_psycopg()
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    columns = psycopg2.extras.register_composite("loaded", connection).attnames
    cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
    cursor.execute("""SELECT '{"a": [1]}'::jsonb AS j, ARRAY[1, 2] AS a, NULL AS n""")
    return columns, dict(cursor.fetchone()), connection.reset()


@feature
def pg8000_dbapi() -> Any:
    connection = pg8000.dbapi.connect("hoop", host="127.0.0.1", port=PORT, database="shop", password=PASSWORD)
    cursor = connection.cursor()
    cursor.execute("SELECT id FROM ledger WHERE id IN (%s, %s) ORDER BY id", (1990, 1991))
    found = cursor.fetchall()
    cursor.executemany("SELECT %s", [(1,), (2,)])
    connection.rollback()
    return found


# --- SQLAlchemy -------------------------------------------------------------------------------------------------------


class Base(DeclarativeBase):
    """The tables of the mapped classes."""


class Loaded(Base):
    """A row of `loaded`."""

    __tablename__ = "loaded"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str | None]


def _inspected(driver: str) -> Any:
    found = sa.inspect(engine(driver))
    tables = {
        name: [
            [(each["name"], each["type"], each["nullable"], each["default"]) for each in found.get_columns(name)],
            *(found.get_pk_constraint(name), found.get_foreign_keys(name), found.get_indexes(name)),
            *(found.get_unique_constraints(name), found.get_check_constraints(name)),
        ]
        for name in found.get_table_names()
    }
    return tables, found.get_schema_names(), found.get_view_names(), found.get_sequence_names()


@feature
def sqlalchemy_inspector_over_psycopg() -> Any:
    return _inspected("psycopg")


@feature
def sqlalchemy_inspector_over_psycopg2() -> Any:
    return _inspected("psycopg2")


@feature
def sqlalchemy_inspector_over_pg8000() -> Any:
    return _inspected("pg8000")


@feature
def sqlalchemy_unit_of_work() -> Any:
    mine = Loaded.id.between(970000, 979999)
    with Session(engine("psycopg")) as session:
        session.add_all([Loaded(id=970000 + each, note="n") for each in range(3)])
        session.commit()
        changed = session.get_one(Loaded, 970001)
        changed.note = "z"
        session.flush()
        count = session.query(Loaded).where(mine).count()
        session.query(Loaded).where(mine).delete()
        session.commit()
        return count


@feature
def sqlalchemy_options() -> Any:
    with (
        engine("psycopg")
        .connect()
        .execution_options(
            isolation_level="SERIALIZABLE", postgresql_readonly=True, stream_results=True, max_row_buffer=10
        ) as connection
    ):
        return connection.get_isolation_level(), len(connection.execute(sa.text(MANY)).all())


# --- asyncpg ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def opened() -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=PORT, user="hoop", database="shop", password=PASSWORD, ssl=False
    )
    yield connection
    await connection.close()


@feature
async def asyncpg_prepared_statement() -> Any:
    async with opened() as connection:
        statement = await connection.prepare("SELECT id, owner FROM ledger WHERE id = $1")
        shown = statement.get_attributes(), statement.get_parameters(), await statement.explain(1990)
        return list(await statement.fetch(1990)), *shown


@feature
async def asyncpg_cursors() -> Any:
    async with opened() as connection, connection.transaction(readonly=True, isolation="serializable", deferrable=True):
        read = [row[0] async for row in connection.cursor(MANY, prefetch=3)]
        cursor = await connection.cursor(MANY)
        await cursor.forward(10)
        return read, await cursor.fetch(2)


@feature
async def asyncpg_copy() -> Any:
    async with opened() as connection:
        out = io.BytesIO()
        await connection.copy_from_query(SOME, output=out)
        rows = [(991000 + each, "c") for each in range(3)]
        put = await connection.copy_records_to_table("loaded", records=rows)
        return out.getvalue(), put, await connection.execute("DELETE FROM loaded WHERE id >= 991000")


@feature
async def asyncpg_types() -> Any:
    async with opened() as connection:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=str)
        composite = await connection.fetchval("SELECT ARRAY[(1, 'a')::loaded, NULL]::loaded[]")
        await connection.reset()
        return composite, await connection.fetchval("""SELECT '{"a": 1}'::jsonb""")


@feature
async def asyncpg_pool() -> Any:
    place: dict[str, Any] = {"host": "127.0.0.1", "port": PORT, "user": "hoop", "database": "shop", "ssl": False}
    async with asyncpg.create_pool(**place, password=PASSWORD, min_size=1, max_size=2) as pool:
        return [await pool.fetchval("SELECT $1::int", each) for each in range(3)]


def main() -> None:
    for each in FEATURES:
        try:
            found = each()
            shown = repr(asyncio.run(found) if asyncio.iscoroutine(found) else found)
        except Exception as error:  # whatever it is, it must be the same on both ways
            shown = f"{type(error).__name__}: {error}"
        print(json.dumps([each.__name__, shown]), flush=True)


if __name__ == "__main__":
    main()
