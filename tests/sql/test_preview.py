"""Previews against PostgreSQL itself: the count is what the statement then touches, the sample is of those rows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.sql.preview import PreviewPlan, preview

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
CREATE TABLE u (id int, t_id int, a int);
CREATE SCHEMA s;
CREATE TABLE s."Odd ""name" ("X" int, y text);
CREATE TABLE y (id int);
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
CREATE TABLE parent (id int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO t SELECT n, n % 3, 'row ' || n FROM generate_series(1, 12) n;
INSERT INTO u SELECT n, n % 5 + 1, n FROM generate_series(1, 20) n;
INSERT INTO s."Odd ""name" VALUES (1, 'a'), (2, 'b');
INSERT INTO y VALUES (1), (2);
INSERT INTO parted SELECT n, 'v' FROM generate_series(5, 14) n;
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2), (3);
"""

# Statements whose count is exactly the number in their command tag.
EXACT = [
    "DELETE FROM t WHERE id > 5",
    "DELETE FROM t",
    "DELETE FROM public.t AS x WHERE x.a = 1 AND NOT (x.b LIKE '%2' OR x.b IS NULL)",
    "DELETE FROM t USING u WHERE u.t_id = t.id",
    "DELETE FROM t AS x USING u, y WHERE u.t_id = x.id AND y.id = x.a",
    "DELETE FROM t WHERE id IN (SELECT t_id FROM u WHERE a > 3) RETURNING id",
    "DELETE FROM t WHERE EXISTS (SELECT FROM u WHERE u.t_id = t.id AND u.a BETWEEN 2 AND 4)",
    "WITH g AS (SELECT t_id FROM u) DELETE FROM t WHERE id IN (SELECT t_id FROM g)",
    "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 4) DELETE FROM t USING g WHERE g.n = t.id",
    'DELETE FROM s."Odd ""name" WHERE "X" = 1',
    "DELETE FROM parted WHERE id >= 8",
    "WITH t AS (SELECT 99 AS id) DELETE FROM public.t WHERE id < 3",
    "DELETE FROM parted USING u WHERE u.id = parted.id",
    "DELETE FROM parent",
    "DELETE FROM ONLY parent",
    "UPDATE t SET a = a + 1 WHERE id % 2 = 0",
    "UPDATE t SET b = 'x', a = DEFAULT WHERE id <> ALL (ARRAY[1, 2])",
    "UPDATE t AS x SET a = u.a FROM u WHERE u.t_id = x.id",
    "UPDATE t SET (a, b) = (SELECT 1, 'x') WHERE id::text ~ '^1'",
    "UPDATE t SET a = CASE WHEN id = 1 THEN 2 ELSE 3 END FROM (VALUES (1), (2)) v (n) WHERE v.n = t.a",
    "INSERT INTO t VALUES (100, 1, 'a'), (101, 2, 'b')",
    "INSERT INTO u DEFAULT VALUES",
    "INSERT INTO u (id, a) SELECT id, a FROM t WHERE a = 2",
    "INSERT INTO y SELECT id FROM u ORDER BY id LIMIT 3",
    "WITH q AS (SELECT id FROM t) INSERT INTO y SELECT * FROM q",
    "MERGE INTO t USING u ON u.t_id = t.id AND u.id <= 5 WHEN MATCHED THEN UPDATE SET a = u.a",
    "MERGE INTO t AS x USING (SELECT id FROM y) q ON q.id = x.id WHEN MATCHED THEN DELETE",
]


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> str:
    asyncio.run(postgres.psql("CREATE DATABASE previews;"))
    asyncio.run(postgres.psql(TABLES, "previews"))
    return postgres.dsn("previews")


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Any]:
    """Everything is rolled back."""
    connection = await asyncpg.connect(database)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def _counted(connection: Any, plan: PreviewPlan) -> Any:
    return plan.rows if plan.count_sql is None else await connection.fetchval(plan.count_sql)


@pytest.mark.parametrize("sql", EXACT)
async def test_the_count_is_what_the_statement_touches(connection: Any, sql: str) -> None:
    plan = preview(sql)
    counted = await _counted(connection, plan)
    sample = await connection.fetch(plan.sample_sql) if plan.sample_sql else []
    assert len(sample) <= 5
    tag = await connection.execute(sql)
    assert counted == int(tag.split()[-1])
    assert counted > 0, "a case that touches nothing shows nothing"


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("TRUNCATE t", 12),
        ("TRUNCATE t, u", 32),
        ("TRUNCATE parent", 3),
        ('DROP TABLE s."Odd ""name"', 2),
        ("DROP TABLE IF EXISTS t, public.u CASCADE", 32),
    ],
)
async def test_emptied_tables(connection: Any, sql: str, rows: int) -> None:
    plan = preview(sql)
    assert await _counted(connection, plan) == rows
    assert plan.sample_sql is not None
    assert len(await connection.fetch(plan.sample_sql)) <= 5


async def test_an_update_shows_the_row_and_its_new_values(connection: Any) -> None:
    plan = preview("UPDATE t SET b = upper(b), a = a * 10 WHERE id = 4")
    assert plan.changes == ("b", "a")
    assert plan.sample_sql is not None
    (row,) = await connection.fetch(plan.sample_sql)
    assert tuple(row) == (4, 1, "row 4", "ROW 4", 10)


async def test_parameters_keep_their_numbers(connection: Any) -> None:
    plan = preview("UPDATE t SET a = $2 WHERE id > $1")
    assert plan.count_sql is not None
    assert await connection.fetchval(plan.count_sql, 10) == 2
    assert "$2" in (plan.sample_sql or "")


def test_an_insert_says_what_its_columns_become() -> None:
    assert preview("INSERT INTO t (b, id) SELECT 'x', 1").stands_for == ("b", "id")
    assert preview("INSERT INTO t VALUES (1, 2, 'x')").stands_for == ("*",)


def test_a_changing_part_of_with_sees_only_what_stands_before_it() -> None:
    plan = preview("WITH d AS (DELETE FROM t WHERE id IN (SELECT id FROM y)), y AS (SELECT 9 AS id) SELECT * FROM d")
    assert plan.count_sql == "SELECT pg_catalog.count(*) FROM t WHERE id IN (SELECT id FROM y)"
    plan = preview("WITH y AS (SELECT 9 AS id), d AS (DELETE FROM t WHERE id IN (SELECT id FROM y)) SELECT * FROM d")
    assert "WITH y AS (SELECT 9 AS id)" in (plan.count_sql or "")
    assert plan.note


def test_its_own_with_stays() -> None:
    sql = "WITH a AS (SELECT 1 AS n), d AS (WITH b AS (SELECT 2 AS n) DELETE FROM t USING a, b WHERE id = b.n) SELECT 1"
    assert (preview(sql).count_sql or "").startswith("WITH a AS (SELECT 1 AS n), b AS (SELECT 2 AS n)")


@pytest.mark.parametrize("sql", ["SELECT 1", "COPY t TO STDOUT"])
def test_reads_have_none_and_need_no_note(sql: str) -> None:
    assert preview(sql) == PreviewPlan()


@pytest.mark.parametrize(
    ("sql", "note"),
    [
        ("UPDATE t SET a = DEFAULT, b = 'x'", "1 of the new values"),
        ("UPDATE t SET (a, b) = (SELECT 1, 'x')", "2 of the new values"),
        ("DELETE FROM t WHERE CURRENT OF c", "WHERE CURRENT OF"),
        ("INSERT INTO t VALUES (1, DEFAULT, 'x')", "DEFAULT"),
        ("MERGE INTO t USING u ON u.t_id = t.id WHEN NOT MATCHED THEN DO NOTHING", "not counted"),
        ("WITH t AS (SELECT 1 AS id) DELETE FROM t WHERE id = 1", "a part of WITH has the table's name"),
        ("WITH t AS (SELECT 1 AS id) UPDATE t SET a = 1", "a part of WITH has the table's name"),
        ("WITH t AS (SELECT 1 AS id) MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", "has the table's name"),
        ("WITH t AS (SELECT 1 AS id), d AS (DELETE FROM t RETURNING 1) SELECT FROM d", "has the table's name"),
        (
            "WITH x AS (SELECT 1), z AS (TABLE x), d AS (WITH x AS (SELECT 2) DELETE FROM t USING x, z) SELECT",
            "can't be taken apart",
        ),
        (
            "WITH x AS (TABLE y), d AS (WITH RECURSIVE y AS (SELECT 2) DELETE FROM t USING x, y) SELECT",
            "can't be taken apart",
        ),
        ("COPY t (a, b) FROM STDIN", "columns: a, b"),
        ("DROP VIEW v", "it drops no table"),
        ("ALTER TABLE t ADD c int", "no preview for this kind"),
        ("nonsense", "can't be read"),
        ("", "can't be read"),
        ("SELECT 1; DELETE FROM t", "can't be read"),
        ("DELETE FROM t WHERE id IN (" + "1, " * 5000 + "1)", "too long"),
        ("DELETE FROM t WHERE id = " + "1 + " * 2000 + "1", "nested too deep"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_can_not_be_shown_is_said(sql: str, note: str) -> None:
    assert note in preview(sql).note
