"""Previews against PostgreSQL itself: the count is what the statement then touches, the sample is of those rows."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.demo.postgres import EmbeddedPostgres, find_binaries
from gateway.sql.preview import PreviewPlan, preview

DEBIAN = find_binaries("debian")

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


# --- joined writes of views: no ctid --------------------------------------------------------------------------------------

VIEWS = """
ALTER TABLE t DROP CONSTRAINT t_pkey;
ALTER TABLE t ALTER id DROP NOT NULL;
CREATE TABLE other (id int, t_id int, a int, word text);
INSERT INTO other SELECT n, nullif(n % 7, 0), n % 3, 'w' || n % 4 FROM generate_series(1, 40) n;
INSERT INTO other VALUES (99, 3, NULL, NULL), (99, 3, NULL, NULL);
CREATE VIEW several AS SELECT id, a AS kind, b FROM t WHERE id < 10;
CREATE VIEW fewer AS SELECT * FROM several WHERE kind IS DISTINCT FROM 0;
CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM t WHERE a > 0;
CREATE VIEW checked AS SELECT * FROM t WHERE id < 8 WITH CHECK OPTION;
CREATE VIEW parts AS SELECT * FROM parted;
CREATE VIEW family AS SELECT * FROM parent;
INSERT INTO t SELECT 3, a, b FROM t WHERE id IN (3, 4);
INSERT INTO t VALUES (NULL, NULL, NULL);
"""
JOINED = [
    "UPDATE several SET b = 'x' FROM other WHERE other.t_id = several.id",
    "UPDATE several AS s SET kind = other.a FROM other WHERE t_id = s.id AND word <> 'w1'",
    "UPDATE several SET b = other.word FROM other JOIN y USING (id) WHERE t_id >= several.id",
    "UPDATE several SET b = 'x' FROM y",
    "UPDATE several SET b = 'x' FROM other LEFT JOIN y ON y.id = other.id WHERE t_id = several.id AND y.id IS NULL",
    "UPDATE fewer SET b = 'x' FROM other WHERE other.t_id = fewer.id OR kind = other.a",
    "UPDATE fewer SET b = 'x' FROM t WHERE t.id = fewer.id + 1",
    "UPDATE public.guarded SET b = 'x' FROM other WHERE t_id = guarded.id AND (guarded).a = 1",
    "UPDATE checked SET b = 'x' FROM (SELECT DISTINCT t_id FROM other) o WHERE o.t_id = checked.id",
    "UPDATE several SET b = 'x' FROM generate_series(1, 4) AS n WHERE n <= id",
    "UPDATE several SET b = 'x' FROM other WHERE t_id = several.id AND EXISTS (SELECT FROM y WHERE y.id = other.a AND kind > 0)",
    "DELETE FROM several USING other WHERE other.t_id = several.id",
    "DELETE FROM several USING other, y WHERE t_id = several.id AND y.id = kind",
    "DELETE FROM parts USING other WHERE other.id = parts.id",
    "DELETE FROM family USING other WHERE other.id >= family.id",
    "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 4) DELETE FROM several USING g WHERE g.n = id",
    "WITH g AS (SELECT t_id FROM other) UPDATE several SET kind = 7 FROM g WHERE g.t_id = several.id",
    "DELETE FROM t USING other WHERE other.t_id = t.id",
    "DELETE FROM parted USING other WHERE other.id = parted.id",
    "DELETE FROM parent USING other WHERE other.id >= parent.id",
]


@pytest.fixture(
    scope="module",
    params=[
        "18",
        pytest.param(
            "15",
            marks=[
                pytest.mark.pg15,
                pytest.mark.skipif(DEBIAN is None, reason="no PostgreSQL 15 (Debian's package postgresql-15)"),
            ],
        ),
    ],
)
def with_views(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of each version."""

    async def made(server: EmbeddedPostgres) -> str:
        await server.psql("CREATE DATABASE views;")
        await server.psql(TABLES + VIEWS, "views")
        return server.dsn("views")

    if request.param == "18":
        yield asyncio.run(made(postgres))
        return
    with tempfile.TemporaryDirectory(prefix="hoop-tests-") as base:
        Path(base).chmod(0o711)  # as in tests/conftest.py
        older = asyncio.run(EmbeddedPostgres.start(Path(base), binaries=DEBIAN))
        try:
            yield asyncio.run(made(older))
        finally:
            asyncio.run(older.stop())


@pytest.mark.parametrize("sql", JOINED)
async def test_a_joined_write_of_a_view_counts_each_of_its_rows_once(with_views: str, sql: str) -> None:
    plan = preview(sql)
    assert plan.view_count_sql is not None
    connection = await asyncpg.connect(with_views)
    transaction = connection.transaction()
    await transaction.start()
    counted = await connection.fetchval(plan.view_count_sql)
    tag = await connection.execute(sql)
    await transaction.rollback()
    await connection.close()
    assert counted == int(tag.split()[-1])
    assert counted > 0, "a case that touches nothing shows nothing"


async def test_a_trigger_of_a_view_runs_as_often_as_the_join_meets_a_row(connection: Any) -> None:
    """So this count is none for it (probe.py)."""
    await connection.execute("""
        CREATE VIEW seen AS SELECT * FROM t;
        CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER instead INSTEAD OF UPDATE ON seen FOR EACH ROW EXECUTE FUNCTION instead();
    """)
    sql = "UPDATE seen SET b = 'x' FROM u WHERE u.t_id = seen.id"
    counted = await connection.fetchval(preview(sql).view_count_sql)
    assert int((await connection.execute(sql)).split()[-1]) > counted


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
