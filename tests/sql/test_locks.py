"""Which locks a statement takes: each line is asked of a real server, in a transaction that is rolled back."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.sql.locks import ACCESS_EXCLUSIVE, EXCLUSIVE, MODES, SHARE, SHARE_ROW_EXCLUSIVE, STOPS, taken
from gateway.sql.parse import read

GROUND = """
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, customer int, note text, CONSTRAINT short CHECK (length(note) < 9) NOT VALID);
CREATE TABLE parts (id int) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part2 (id int);
CREATE INDEX by_customer ON orders (customer);
CREATE VIEW seen AS SELECT id FROM orders;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM orders;
CREATE UNIQUE INDEX ON kept (id);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER old BEFORE INSERT ON orders EXECUTE FUNCTION f();
CREATE POLICY mine ON orders;
"""
ORDERS = {"orders": ACCESS_EXCLUSIVE}

#: Statement -> what it locks so that others can't write or read; each runs in a transaction.
CASES: dict[str, dict[str, str]] = {
    "TRUNCATE orders, customers": {**ORDERS, "customers": ACCESS_EXCLUSIVE},
    "DROP TABLE orders CASCADE": ORDERS,
    "DROP TRIGGER old ON orders": ORDERS,
    "DROP POLICY mine ON orders": ORDERS,
    "DROP INDEX by_customer": {"by_customer": ACCESS_EXCLUSIVE},
    "DROP VIEW seen": {"seen": ACCESS_EXCLUSIVE},
    "ALTER TABLE orders ADD more text": ORDERS,
    "ALTER TABLE orders ALTER note TYPE varchar": ORDERS,
    "ALTER TABLE orders ADD UNIQUE (customer)": ORDERS,
    "ALTER TABLE orders RENAME note TO noted": ORDERS,
    "ALTER TABLE orders RENAME TO ordered": ORDERS,
    "ALTER TABLE orders SET SCHEMA other": ORDERS,
    "ALTER TABLE orders DISABLE TRIGGER old": {"orders": SHARE_ROW_EXCLUSIVE},
    "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers": {
        "orders": SHARE_ROW_EXCLUSIVE,
        "customers": SHARE_ROW_EXCLUSIVE,
    },
    "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers, ADD more text": {
        **ORDERS,
        "customers": SHARE_ROW_EXCLUSIVE,
    },
    "ALTER TABLE orders VALIDATE CONSTRAINT short": {},
    "ALTER TABLE orders ALTER note SET STATISTICS 10": {},
    "ALTER TABLE orders SET (fillfactor = 70)": {},
    "ALTER TABLE parts ATTACH PARTITION part2 DEFAULT": {"part2": ACCESS_EXCLUSIVE},
    "ALTER TABLE parts DETACH PARTITION part1": {"parts": ACCESS_EXCLUSIVE, "part1": ACCESS_EXCLUSIVE},
    "CREATE TABLE part3 PARTITION OF parts FOR VALUES IN (3)": {"parts": ACCESS_EXCLUSIVE},
    "CREATE TABLE lines (LIKE orders, c int REFERENCES customers)": {"customers": SHARE_ROW_EXCLUSIVE},
    "CREATE INDEX ON orders (note)": {"orders": SHARE},
    "CREATE TRIGGER new BEFORE INSERT ON orders EXECUTE FUNCTION f()": {"orders": SHARE_ROW_EXCLUSIVE},
    "CREATE RULE r AS ON INSERT TO customers DO NOTHING": {"customers": ACCESS_EXCLUSIVE},
    "CREATE POLICY p ON orders": ORDERS,
    "ALTER POLICY mine ON orders USING (true)": ORDERS,
    "CLUSTER orders USING by_customer": ORDERS,
    "REINDEX INDEX by_customer": {"by_customer": ACCESS_EXCLUSIVE},
    "REFRESH MATERIALIZED VIEW kept": {"kept": ACCESS_EXCLUSIVE},
    "REFRESH MATERIALIZED VIEW CONCURRENTLY kept": {"kept": EXCLUSIVE},
    "LOCK TABLE orders IN SHARE MODE": {"orders": SHARE},
    "LOCK orders": ORDERS,
    "LOCK orders IN ROW EXCLUSIVE MODE": {},
    "COMMENT ON TABLE orders IS 'all of them'": {},
    "CREATE TABLE alone (id int)": {},
    "DELETE FROM orders": {},
    "CREATE STATISTICS ON id, customer FROM orders": {},
}


@pytest.fixture
async def target(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    await postgres.psql("CREATE DATABASE locking")
    connection = await asyncpg.connect(postgres.dsn("locking"))
    try:
        await connection.execute(GROUND + "CREATE SCHEMA other")
        yield connection
    finally:
        await connection.close()
        await postgres.psql("DROP DATABASE locking")


async def test_a_server_takes_the_locks_that_are_told(target: asyncpg.Connection) -> None:
    known = {row[0]: row[1] for row in await target.fetch("SELECT oid, relname FROM pg_class WHERE oid >= 16384")}
    for sql, expected in CASES.items():
        transaction = target.transaction()
        await transaction.start()
        await target.execute(sql)
        held = await target.fetch(
            "SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        )
        await transaction.rollback()
        found = {name: mode for name, mode in told(sql).items() if name in known.values()}
        assert found == expected, sql
        asked = expected.keys() | {"orders", "customers", "parts"}
        seen = {name: strongest([mode for oid, mode in held if known.get(oid) == name]) for name in asked}
        if not sql.startswith(("DROP TABLE", "DROP INDEX", "REINDEX")):  # it says less of what stands behind those
            assert {name: mode for name, mode in seen.items() if mode} == expected, sql
        else:
            assert expected.items() <= seen.items(), sql


def told(sql: str) -> dict[str, str]:
    (statement,) = read(sql).statements
    return {relation.removeprefix("public."): mode for relation, mode in taken(statement)}


def strongest(modes: list[str]) -> str:
    """As pg_locks spells them: AccessExclusiveLock."""
    named = {f"{mode.title().replace(' ', '')}Lock": mode for mode in STOPS}
    return min((named[each] for each in modes if each in named), key=MODES.index, default="")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE INDEX CONCURRENTLY ON orders (note)", {}),
        ("DROP INDEX CONCURRENTLY by_customer", {}),
        ("REINDEX TABLE CONCURRENTLY orders", {}),
        ("REINDEX (VERBOSE) TABLE orders", ORDERS),
        ("VACUUM FULL orders", ORDERS),
        ("VACUUM (FULL off) orders", {}),
        ("VACUUM orders", {}),
        ("ANALYZE orders", {}),
        ("ALTER TABLE parts DETACH PARTITION part1 CONCURRENTLY", {}),
        ("DROP FUNCTION f", {}),
    ],
)
def test_what_runs_in_no_transaction_is_told_as_the_manual_says(sql: str, expected: dict[str, str]) -> None:
    assert told(sql) == expected
