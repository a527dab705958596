"""Lineage against PostgreSQL itself: the number and order of outputs, and which of them change when one column changes.

Each query runs twice, with two values in customers.card. An output that differs must name that column (or be unknown):
that is non-interference, and finds what is reported too little. What is reported is written down beside each query, so
that too much is seen as well.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import psycopg
import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.policy.model import Secret, Target
from gateway.relay.side import load_catalog
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.frames import UNKNOWN
from gateway.sql.lineage import Lineages, Lines, lineage

CARD = "public.customers.card"
VALUES = ("4111000011112222", "5222999933334444")
TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, name text, card text, info jsonb, tags text[]);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, note text, total numeric);
CREATE TABLE notes (id int, name text, body text);
CREATE SCHEMA other;
CREATE TABLE other.customers (id int, city text);
CREATE TYPE pair AS (a text, b text);
CREATE TABLE wide (id int, both_of pair);
INSERT INTO customers VALUES (1, 'Ann', '-', '{"a": 1}', '{x,y}'), (2, 'Ben', 'same', '{"b": [2]}', '{z}');
INSERT INTO orders VALUES (10, 1, 'first', 5.5), (11, 2, 'second', 7), (12, 1, 'third', 9);
INSERT INTO notes VALUES (1, 'n', 'b');
INSERT INTO other.customers VALUES (1, 'Oslo');
INSERT INTO wide VALUES (1, ROW('p', 'q'));
CREATE TABLE parts (id int, secret text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE parts_1_1 PARTITION OF parts_1 FOR VALUES FROM (0) TO (10);
CREATE VIEW plain AS SELECT id, card AS hidden, name FROM customers;
CREATE VIEW nested (n, x, y) AS SELECT p.name, left(p.hidden, 4), count(*) OVER () FROM plain p;
CREATE VIEW joined AS SELECT * FROM customers NATURAL JOIN (SELECT customer_id AS id, note FROM orders) o;
CREATE VIEW grouped AS WITH c AS (SELECT name, max(card) AS m FROM customers GROUP BY name) SELECT * FROM c;
CREATE MATERIALIZED VIEW kept AS SELECT id, reverse(card) AS drac FROM customers;
CREATE FUNCTION mine(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION peek() RETURNS text LANGUAGE sql AS 'SELECT max(card) FROM customers';
CREATE FUNCTION joined_up(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $2';
CREATE OPERATOR ### (LEFTARG = text, RIGHTARG = text, FUNCTION = joined_up);
CREATE VIEW peeking AS SELECT id, peek() AS p FROM orders;
"""

# Query, then the outputs that carry customers.card by position ("1 3"), "?" in front of those that can't be known.
QUERIES = [
    # what chooses rows tells of itself by them
    ("SELECT g FROM generate_series(0, 9) g LIMIT 1 OFFSET (SELECT left(card, 1)::int FROM customers WHERE id = 1)", "1"),
    ("SELECT id FROM orders UNION SELECT id FROM notes LIMIT (SELECT left(card, 1)::int FROM customers WHERE id = 1)", "1"),
    ("SELECT g FROM generate_series(0, 9) g ORDER BY (SELECT left(card, 1) FROM customers WHERE id = 1) = g::text DESC LIMIT 1", "1"),
    ("SELECT id, name FROM customers ORDER BY card, 1 LIMIT 2", ""),
    # plain columns, stars, whole rows
    ("SELECT * FROM customers", "3"),
    ("SELECT c.*, c.id FROM customers c", "3"),
    ("SELECT id, card, name FROM customers", "2"),
    ("SELECT public.customers.card, customers.name FROM public.customers", "1"),
    ("TABLE customers", "3"),
    ("SELECT c FROM customers c", "1"),
    ("SELECT row_to_json(c), c.id FROM customers c", "1"),
    ("SELECT to_jsonb(c.*) FROM customers c", "1"),
    ("SELECT to_jsonb(c) ->> 'card', (to_jsonb(c) - 'card')::text FROM customers c", "1 2"),
    ("SELECT (c).card, (c).name, (c).* FROM customers c", "1 5"),
    ("SELECT ROW(c.*), ROW(c.id, c.name) FROM customers c", "1"),
    ("SELECT c.row_to_json FROM customers c", "1"),
    ("SELECT customers FROM customers", "1"),
    ("SELECT * FROM customers AS c (a, b, d)", "3"),
    ("SELECT d, b FROM customers AS c (a, b, d)", "1"),
    ("SELECT a, x.* FROM (SELECT card, id FROM customers) AS x (a)", "1 2"),
    ("SELECT ctid IS NULL, tableoid::regclass, card FROM customers", "3"),
    ("SELECT o.*, c.* FROM other.customers o, public.customers c", "5"),
    ("SELECT (both_of).a, (w.both_of).* FROM wide w", ""),
    # what reveals nothing
    ("SELECT count(*), count(card), count(DISTINCT card), card IS NULL FROM customers GROUP BY card IS NULL", ""),
    ("SELECT EXISTS (SELECT card FROM customers), 1, 'x', now() IS NULL", ""),
    ("SELECT count(*) FILTER (WHERE card LIKE '4%') FROM customers", "1"),
    ("SELECT GROUPING(card), count(*) FROM customers GROUP BY ROLLUP (card)", ""),
    # expressions
    ("SELECT upper(card), name || card, card::bytea, length(name) FROM customers", "1 2 3"),
    ("SELECT reverse(card), md5(card), encode(card::bytea, 'hex'), substr(card, 1, 4) FROM customers", "1 2 3 4"),
    ("SELECT translate(card, '0123456789', 'abcdefghij'), ascii(card), card = 'x' FROM customers", "1 2 3"),
    ("SELECT CASE WHEN card LIKE '4%' THEN 'four' ELSE name END, CASE id WHEN 1 THEN name END FROM customers", "1"),
    ("SELECT CASE left(card, 1) WHEN '4' THEN 4 WHEN '5' THEN 5 END FROM customers", "1"),
    ("SELECT coalesce(card, name), nullif(card, 'x'), greatest(name, card), least(id, 3) FROM customers", "1 2 3"),
    ("SELECT ARRAY[name, card], (ARRAY[card])[1], ARRAY[[name]], tags[1] FROM customers", "1 2"),
    ("SELECT ROW(card, 1), jsonb_build_object('k', card), json_build_array(id) FROM customers", "1 2"),
    ("SELECT card COLLATE \"C\", CAST(card AS varchar(4)), card::json IS NULL FROM customers WHERE false", "1 2 3"),
    ("SELECT card BETWEEN '0' AND '45', card IN ('x'), name LIKE card, name SIMILAR TO 'A%' FROM customers", "1 2 3"),
    ("SELECT json_object('a': card), json_array(id, card), json_value('{}', '$.a') FROM customers", "1 2"),
    ("SELECT id + length(card), -id, (card IS NOT NULL) AND name = 'Ann' FROM customers", "1"),
    # subqueries
    ("SELECT (SELECT max(card) FROM customers), id FROM orders", "1"),
    ("SELECT ARRAY(SELECT card FROM customers ORDER BY id), id FROM orders", "1"),
    ("SELECT name IN (SELECT card FROM customers), name = ANY (SELECT name FROM customers) FROM customers", "1"),
    ("SELECT s.* FROM (SELECT name, card FROM customers) s", "2"),
    ("SELECT x FROM (SELECT card AS y, name AS x FROM customers) s", ""),
    ("SELECT s FROM (SELECT id, card FROM customers) s", "1"),
    ("SELECT coalesce FROM (SELECT coalesce(card, 'x') FROM customers) t", "1"),
    ("SELECT o.id, (SELECT c.card FROM customers c WHERE c.id = o.customer_id) FROM orders o", "2"),
    ("SELECT o.id, l.* FROM orders o, LATERAL (SELECT c.card, o.note FROM customers c WHERE c.id = o.customer_id) l", "2"),
    ("SELECT o.id, l.x FROM orders o CROSS JOIN LATERAL (SELECT o.note AS x) l", ""),
    ("SELECT id, (SELECT \"case\" FROM (SELECT CASE WHEN true THEN card END FROM customers LIMIT 1) q) FROM orders", "2"),
    ("SELECT (SELECT o.note FROM (SELECT card FROM customers) c LIMIT 1) FROM orders o", ""),
    ("SELECT (SELECT note FROM (SELECT card || 'x' FROM customers) c LIMIT 1) FROM orders o", "1"),
    # joins
    ("SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id", "7"),
    ("SELECT * FROM customers JOIN notes USING (id, name)", "3"),
    ("SELECT * FROM notes JOIN customers USING (name)", "5"),
    ("SELECT * FROM customers NATURAL JOIN notes", "3"),
    ("SELECT * FROM customers c LEFT JOIN other.customers o USING (id)", "3"),
    ("SELECT j.*, o.note FROM (customers c JOIN other.customers x USING (id)) AS j JOIN orders o ON true", "3"),
    ("SELECT j.hidden FROM (customers c CROSS JOIN other.customers x) AS j (i, n, hidden)", "1"),
    ("SELECT j.id, c.card FROM customers c JOIN notes n USING (id) AS j", "2"),
    ("SELECT a.*, b.id FROM customers a FULL JOIN customers b USING (card)", "3"),
    ("SELECT * FROM (customers a JOIN orders b ON a.id = b.customer_id) JOIN notes n ON n.id = a.id", "3"),
    ("SELECT c.name FROM customers c, orders o WHERE o.customer_id = c.id AND o.total > 1", ""),
    # values that a join would translate
    ("SELECT v.d FROM customers c JOIN (VALUES ('4'), ('5'), ('s')) v (d) ON v.d = left(c.card, 1)", "1"),
    ("SELECT v.word FROM customers c, (VALUES ('4', 'four'), ('5', 'five')) v (d, word) WHERE starts_with(c.card, d)", "1"),
    ("SELECT d FROM customers c, generate_series(0, 9) d WHERE d::text = substr(c.card, 1, 1)", "1"),
    ("SELECT d FROM generate_series(0, 9) d WHERE d::text IN (SELECT left(card, 1) FROM customers)", "1"),
    ("SELECT d FROM generate_series(0, 9) d WHERE EXISTS (SELECT 1 FROM customers c WHERE c.card LIKE d || '%')", "1"),
    ("SELECT (SELECT d FROM generate_series(0, 9) d WHERE d::text = left(c.card, 1)), c.id FROM customers c", "1"),
    ("SELECT * FROM (VALUES ('4', 1), ('5', 2)) v (card, n) JOIN (SELECT left(card, 1) AS card FROM customers) c USING (card)", "1 2"),
    # common table expressions, set operations
    ("WITH c AS (SELECT card AS x, name FROM customers) SELECT name, x FROM c", "2"),
    ("WITH c (a, b) AS (SELECT id, card FROM customers), d AS (SELECT * FROM c) SELECT d.*, c.a FROM c, d", "2"),
    ("WITH customers AS (SELECT id, card AS name FROM customers) SELECT * FROM customers", "2"),
    ("WITH RECURSIVE t (i, x) AS (SELECT 1, name FROM customers UNION ALL SELECT i + 1, (SELECT max(card) FROM customers) FROM t WHERE i < 2) SELECT * FROM t", "2"),
    ("WITH RECURSIVE t (i, x, y) AS (SELECT 1, name, card FROM customers UNION ALL SELECT i + 1, y, x FROM t WHERE i < 3) SELECT x, i FROM t", "1"),
    ("WITH RECURSIVE b AS (SELECT * FROM a), a AS (SELECT card FROM customers) SELECT * FROM b", "1"),
    ("WITH RECURSIVE t (i, x) AS (SELECT 1, card FROM customers UNION ALL SELECT i + 1, x FROM t WHERE i < 2) SEARCH DEPTH FIRST BY x SET s CYCLE i SET m USING p SELECT i, x, s FROM t", "2 3"),
    ("WITH RECURSIVE t (i, x) AS (SELECT 1, card FROM customers UNION ALL SELECT i + 1, x FROM t WHERE i < 2) SEARCH BREADTH FIRST BY x SET s SELECT * FROM t", "2 3"),
    ("SELECT name FROM customers UNION ALL SELECT card FROM customers", "1"),
    ("SELECT id, name FROM customers UNION SELECT 1, 'x' EXCEPT SELECT id, card FROM customers", "1 2"),
    ("SELECT * FROM notes UNION ALL SELECT id, card, name FROM customers", "2"),
    ("VALUES (1, 'a'), (2, (SELECT max(card) FROM customers))", "2"),
    ("SELECT * FROM (VALUES (1, 'x')) AS v", ""),
    ("(SELECT card FROM customers ORDER BY id LIMIT 1) UNION ALL SELECT 'x'", "1"),
    # aggregates, windows
    ("SELECT max(card), string_agg(card, ''), array_agg(name ORDER BY id), sum(id) FROM customers", "1 2"),
    ("SELECT json_agg(c), jsonb_object_agg(name, card), json_agg(c.id) FROM customers c", "1 2"),
    ("SELECT lag(card) OVER (ORDER BY id), first_value(name) OVER w, rank() OVER (ORDER BY card) FROM customers WINDOW w AS (ORDER BY id)", "1 3"),
    ("SELECT count(*) OVER w, sum(id) OVER (v ORDER BY id), row_number() OVER (v) FROM customers WINDOW v AS (PARTITION BY name), w AS (PARTITION BY card)", "1"),
    ("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY card), mode() WITHIN GROUP (ORDER BY id) FROM customers", "1"),
    ("SELECT name, max(id) FROM customers GROUP BY name, card HAVING max(card) > '' ORDER BY 1", ""),
    ("SELECT DISTINCT ON (name) name, card FROM customers", "2"),
    # functions in FROM
    ("SELECT d.* FROM customers c, regexp_split_to_table(c.card, '') WITH ORDINALITY AS d (digit, place)", "1"),
    ("SELECT u.x, c.id FROM customers c, unnest(ARRAY[c.card, c.name]) AS u (x)", "1"),
    ("SELECT u, c.id FROM customers c, unnest(c.tags) AS u", ""),
    ("SELECT * FROM customers c, jsonb_each_text(to_jsonb(c)) AS e", "3 6 7"),
    ("SELECT e.value, e.key FROM customers c CROSS JOIN LATERAL jsonb_each_text(to_jsonb(c)) e WHERE e.key = 'card'", "1 2"),
    ("SELECT * FROM generate_series(1, 3) AS g", ""),
    ("SELECT r.* FROM customers c, json_to_record(row_to_json(c)) AS r (id int, card text)", "1 2"),
    ("SELECT r.* FROM customers c, jsonb_populate_record(NULL::customers, to_jsonb(c)) AS r", "1 2 3 4 5"),
    ("SELECT (jsonb_populate_record(NULL::customers, to_jsonb(c))).* FROM customers c", "1 2 3 4 5"),
    ("SELECT * FROM ROWS FROM (generate_series(1, 2), jsonb_array_elements('[1]')) AS r (a, b)", ""),
    ("SELECT j.* FROM customers c, JSON_TABLE(to_jsonb(c), '$' COLUMNS (n FOR ORDINALITY, card text PATH '$.card', NESTED PATH '$.tags[*]' COLUMNS (t text PATH '$'))) j", "1 2 3"),
    ("SELECT * FROM customers TABLESAMPLE SYSTEM (100)", "3"),
    # views
    ("SELECT * FROM plain", "2"),
    ("SELECT * FROM nested", "2"),
    ("SELECT * FROM joined", "3"),
    ("SELECT * FROM grouped", "2"),
    ("SELECT * FROM kept", "2"),
    ("SELECT p FROM plain p", "1"),
    ("SELECT * FROM peeking", "?2"),
    # changes with RETURNING
    ("INSERT INTO notes (id, body) SELECT id, card FROM customers RETURNING *", "3"),
    ("INSERT INTO notes SELECT * FROM (SELECT id, card, name FROM customers) s RETURNING name, body", "1"),
    ("INSERT INTO customers VALUES (3, 'Cleo', 'x') RETURNING id, card", "2"),
    ("INSERT INTO customers AS c (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = c.card RETURNING name, id", "1"),
    ("UPDATE customers SET name = card RETURNING name, id, *", "1 4 5"),
    ("UPDATE notes n SET body = c.card FROM customers c WHERE c.id = n.id RETURNING n.body, c.name, *", "1 5 8"),
    ("UPDATE notes SET (name, body) = (SELECT name, card FROM customers WHERE id = 1) RETURNING *", "2 3"),
    ("UPDATE customers SET card = 'x' RETURNING old.card, new.name, old.*", "1 5"),
    ("UPDATE customers SET name = 'x' RETURNING WITH (OLD AS o, NEW AS n) o.card, n.name", "1"),
    ("DELETE FROM customers RETURNING *", "3"),
    ("DELETE FROM notes n USING customers c WHERE c.id = n.id RETURNING *", "6"),
    ("WITH gone AS (DELETE FROM customers RETURNING card, id) SELECT id, card FROM gone", "2"),
    ("MERGE INTO notes n USING customers c ON n.id = c.id WHEN MATCHED THEN UPDATE SET body = c.card WHEN NOT MATCHED THEN INSERT (id, name) VALUES (c.id, c.name) RETURNING merge_action(), n.*, c.id", "4"),
    ("MERGE INTO notes n USING customers c ON n.id = c.id WHEN MATCHED THEN UPDATE SET body = c.card WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.card) RETURNING *", "3 7 8"),
    # what can't be known, and what other statements show
    ("SELECT mine(card), name FROM customers", "?1"),
    ("SELECT peek(), id FROM orders", "?1"),
    ("SELECT name ### card, name || card FROM customers", "?1 2"),
    ("SELECT * FROM mine('x') AS m", "?1"),
    ("SELECT (name).mine FROM customers", "?1"),
    ("SELECT most_common_vals::text, tablename FROM pg_stats", "?1"),
    ("SELECT query, pid FROM pg_stat_activity", "?1"),
    ("SELECT relname, relkind FROM pg_class WHERE relname = 'customers'", ""),
    ("SELECT table_name FROM information_schema.tables", ""),
    ("SELECT current_setting('work_mem'), current_setting('my.own', true)", "?2"),
    ("EXPLAIN SELECT * FROM customers", ""),
    ("EXPLAIN SELECT mine(name) FROM customers", "?1"),
    ("SHOW work_mem", ""),
    ("SHOW ALL", "?2"),
    ("SHOW application_name", "?1"),
]  # fmt: skip


# The server that the tests come with has no XML.
XML = [
    ("SELECT xmlforest(card AS c), xmlelement(name e, name), xmlserialize(CONTENT xmlelement(name x, card) AS text) FROM customers", 3, "1 3"),
    ("SELECT x.* FROM customers c, XMLTABLE('/r' PASSING xmlelement(name r, c.card) COLUMNS v text PATH '.') x", 1, "1"),
    ("SELECT query_to_xml('SELECT card FROM customers', true, true, ''), 1", 2, "?1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def catalog(postgres: EmbeddedPostgres) -> Catalog:
    asyncio.run(postgres.psql("CREATE DATABASE lineage;"))
    asyncio.run(postgres.psql(TABLES, "lineage"))
    where = (postgres.host, postgres.port, "lineage", postgres.superuser)
    return asyncio.run(load_catalog(Target("t", "test", *where, Secret(env="X"), sslmode="disable"), postgres.password))


@pytest.fixture
async def connection(postgres: EmbeddedPostgres, catalog: Catalog) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.dsn("lineage"))
    yield connection
    await connection.close()


def test_a_partition_shows_what_its_parents_hold(catalog: Catalog) -> None:
    of = [frozenset({f"public.{table}.secret" for table in ("parts", "parts_1", "parts_1_1")})]
    assert lineage("SELECT secret FROM parts_1_1", catalog, ("public",), 1) == of
    assert lineage("SELECT secret FROM parts", catalog, ("public",), 1) == [frozenset({"public.parts.secret"})]


async def _seen(connection: Any, sql: str, card: str) -> tuple[int, list[list[str]]]:
    """The number of outputs, and the values of each, in no order."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("UPDATE customers SET card = $1 WHERE id = 1", card)
        await connection.execute("REFRESH MATERIALIZED VIEW kept")
        statement = await connection.prepare(sql)
        rows = await statement.fetch()
        width = len(statement.get_attributes())
        return width, [sorted(repr(row[at]) for row in rows) for at in range(width)]
    finally:
        await transaction.rollback()


@pytest.mark.parametrize(("sql", "expected"), QUERIES)
async def test_outputs_that_depend_on_a_column_name_it(
    connection: Any, catalog: Catalog, sql: str, expected: str
) -> None:
    width, first = await _seen(connection, sql, VALUES[0])
    _, second = await _seen(connection, sql, VALUES[1])
    answer = lineage(sql, catalog, ("public",), width)
    assert answer is not None
    assert len(answer) == width
    told = _told(answer)
    unrelated = "pg_stat_activity" in sql  # it shows our own connection at work
    assert unrelated or {at for at in range(1, width + 1) if first[at - 1] != second[at - 1]} <= told
    assert _marks(answer) == expected


@pytest.fixture
def described(postgres: EmbeddedPostgres, catalog: Catalog) -> Iterator[Callable[[str], list[tuple[str, int, int]]]]:
    """Name, table OID and attnum of each output, as PostgreSQL's RowDescription has them; nothing is executed."""
    with psycopg.Connection.connect(postgres.dsn("lineage")) as connection:
        assert catalog

        def ask(sql: str) -> list[tuple[str, int, int]]:
            connection.pgconn.prepare(b"o", sql.encode())
            result = connection.pgconn.describe_prepared(b"o")
            connection.pgconn.exec_(b"DEALLOCATE o")
            return [
                ((result.fname(k) or b"").decode(), result.ftable(k), result.ftablecol(k))
                for k in range(result.nfields)
            ]

        yield ask


_OF_ROWS = [sql for sql, _ in QUERIES if sql.startswith(("SELECT", "TABLE", "WITH", "INSERT", "UPDATE", "DELETE"))]


@pytest.mark.parametrize("sql", _OF_ROWS)
def test_origins_are_those_of_rowdescription(
    described: Callable[[str], list[tuple[str, int, int]]], catalog: Catalog, sql: str
) -> None:
    """No origin is made up: one that is named is PostgreSQL's. Some that it names are not known here."""
    outputs = Lineages(catalog, ("public",)).outputs(sql)
    theirs = described(sql)
    if outputs is None or any(each.name is None for each in outputs):
        return  # how many there are is not known either
    assert len(outputs) == len(theirs)
    for ours, (_, oid, attnum) in zip(outputs, theirs, strict=True):
        assert ours.origin in ((0, 0), (oid, attnum))


def test_origins_are_found_through_aliases_subqueries_and_ctes(
    described: Callable[[str], list[tuple[str, int, int]]], catalog: Catalog
) -> None:
    sql = """WITH w AS (SELECT card, name FROM customers) SELECT w.card AS a, s.n, lower(w.name), c.id
             FROM w, (SELECT name AS n FROM customers) s, customers c"""
    outputs = Lineages(catalog, ("public",)).outputs(sql)
    assert outputs is not None
    assert [(each.name, *each.origin) for each in outputs] == described(sql)


def _told(answer: Lines) -> set[int]:
    return {at for at, carried in enumerate(answer, 1) if _is_unknown(carried) or CARD in (carried or ())}


def _is_unknown(carried: frozenset[str] | None) -> bool:
    return carried is None or UNKNOWN in carried


def _marks(answer: Lines) -> str:
    return " ".join("?" * _is_unknown(answer[at - 1]) + str(at) for at in sorted(_told(answer)))


@pytest.mark.parametrize(("sql", "width", "expected"), XML)
def test_xml(catalog: Catalog, sql: str, width: int, expected: str) -> None:
    answer = lineage(sql, catalog, ("public",), width)
    assert answer is not None
    assert _marks(answer) == expected


# --- what the server isn't needed for --------------------------------------------------------------------------------------

COLUMNS = {"id": 1, "name": 2, "card": 3}


def facts(*views: tuple[str, str]) -> Catalog:
    """A target with customers(id, name, card), orders(id, note), and views of one column."""
    relations = [
        Relation(1, "public", "customers", "r", COLUMNS),
        Relation(2, "public", "orders", "r", {"id": 1, "note": 2}),
        *(Relation(10 + at, "public", name, "v", {"x": 1}, definition=sql) for at, (name, sql) in enumerate(views)),
    ]
    return Catalog(1, 180000, {(each.schema, each.name): each for each in relations}, frozenset(), frozenset({"evil"}))


def found(
    sql: str, width: int = 1, path: tuple[str, ...] = ("public",), catalog: Catalog | None = None
) -> Lines | None:
    return lineage(sql, catalog or facts(), path, width)


ID, NAME, BARE_CARD = (frozenset({f"public.customers.{name}"}) for name in COLUMNS)


@pytest.mark.parametrize(
    ("sql", "width"),
    [
        ("SELECT id FROM customers", 2),
        ("SELECT * FROM customers", 2),
        ("SELECT a.*, b.* FROM unknown_a a, unknown_b b", 4),
        ("SELECT 1; SELECT 2", 1),
        ("SELECT '" + "x" * 9000 + "'", 1),
        ("SELECT FROM WHERE", 1),
        ("EXECUTE p(1)", 1),
        ("FETCH 1 FROM c", 1),
        ("CALL p(1)", 1),
        ("SELECT " + ", ".join(["customers"] * 700) + " FROM " + ", ".join(f"customers c{n}" for n in range(300)), 700),
        ("SELECT " + "lower(" * 1000 + "'x'" + ")" * 1000, 1),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_result_that_is_not_known(sql: str, width: int) -> None:
    assert found(sql, width) is None


def test_chains_that_double_end_in_time() -> None:
    chain = ", ".join(f"c{n} AS (SELECT a.x FROM c{n - 1} a, c{n - 1} b)" for n in range(1, 60))
    assert found(f"WITH c0 AS (SELECT card AS x FROM customers), {chain} SELECT x FROM c59") == [BARE_CARD]
    nested = "SELECT 1 AS x"
    for n in range(40):
        nested = f"WITH RECURSIVE t{n} AS (SELECT 1 AS x UNION ALL ({nested})) SELECT x FROM t{n}"
    assert found(nested) in (None, [frozenset()])


def test_a_relation_that_is_not_in_the_catalog() -> None:
    assert found("SELECT id, t.*, 1 FROM made_just_now t", 4) == [None, None, None, frozenset()]
    assert found("SELECT * FROM pg_temp.customers", 2) == [None, None]


def test_without_a_catalog_nothing_of_a_table_is_known() -> None:
    assert lineage("SELECT id, 1, now() FROM customers", None, ("public",), 3) == [None, frozenset(), frozenset()]


def test_the_search_path_says_which_table_is_meant() -> None:
    catalog = facts()
    other = Relation(5, "other", "customers", "r", {"city": 1})
    catalog = replace(catalog, relations={**catalog.relations, ("other", "customers"): other})
    assert found("SELECT * FROM customers", 1, ("other", "public"), catalog) == [frozenset({"other.customers.city"})]
    assert found("SELECT * FROM customers", 3, ("public", "other"), catalog) == [ID, NAME, BARE_CARD]


def test_views_are_read_with_a_path_of_their_own() -> None:
    catalog = facts(("v", " SELECT customers.card FROM customers;"), ("w", " SELECT c.card FROM public.customers c;"))
    assert found("SELECT * FROM v", catalog=catalog) == [
        frozenset({"public.v.x", UNKNOWN})
    ]  # pg_get_viewdef would have named the schema
    assert found("SELECT x FROM w", catalog=catalog) == [BARE_CARD | {"public.w.x"}]


def test_a_circle_of_views_and_a_view_without_a_query() -> None:
    catalog = facts(("a", "SELECT x FROM public.b"), ("b", "SELECT x FROM public.a"), ("c", ""))
    assert found("SELECT x FROM a", catalog=catalog) == [frozenset({"public.a.x", "public.b.x", UNKNOWN})]
    assert found("SELECT x FROM c", catalog=catalog) == [frozenset({"public.c.x", UNKNOWN})]


def test_views_deeper_than_we_follow() -> None:
    views = [(f"v{n}", f"SELECT x FROM public.v{n + 1}") for n in range(30)]
    catalog = facts(*views, ("v30", "SELECT card FROM public.customers"))
    assert all(map(_is_unknown, found("SELECT x FROM v0", catalog=catalog) or ()))
    assert not any(map(_is_unknown, found("SELECT x FROM v20", catalog=catalog) or ()))


def test_what_could_not_be_followed_leaves_nothing_behind() -> None:
    """Sessions share what was found: a text that is too wide, or views that are too deep, make nobody else's columns unknown."""
    names = [f"c{number}" for number in range(1600)]
    columns = {name: number for number, name in enumerate(names, 1)}
    wide = Relation(90, "public", "broad", "r", columns)
    of_it = f"SELECT {', '.join(f'broad.{name}' for name in names)} FROM public.broad"
    view = Relation(91, "public", "v", "v", columns, definition=of_it)
    deep = facts(
        *((f"v{n}", f"SELECT x FROM public.v{n + 1}") for n in range(30)), ("v30", "SELECT card FROM public.customers")
    )
    catalog = replace(deep, relations={**deep.relations, ("public", "broad"): wide, ("public", "v"): view})
    too_wide = [  # among these it is the view's own columns that are too much
        f"SELECT {', '.join(['b.*'] * stars)}, (SELECT v.c1 FROM v) FROM broad AS b" for stars in range(26, 32)
    ]
    for text in (*too_wide, "SELECT x FROM v0"):
        met = Lineages(catalog, ("public",))
        met.outputs(text)
        for sql in ("SELECT c1 FROM v", "SELECT x FROM v16"):
            assert met.outputs(sql) == Lineages(catalog, ("public",)).outputs(sql)


def test_what_is_known_beside_what_is_not_is_kept() -> None:
    assert found("SELECT length(name) + evil(card) FROM customers") == [NAME | BARE_CARD | {UNKNOWN}]
    assert found("SELECT evil(1)") == [None]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("COPY customers TO STDOUT", [ID, NAME, BARE_CARD]),
        ("COPY customers (card, id) TO STDOUT (FORMAT csv)", [BARE_CARD, ID]),
        ("COPY (SELECT lower(card), 1 FROM customers) TO STDOUT", [BARE_CARD, frozenset()]),
        ("COPY (DELETE FROM customers RETURNING card) TO STDOUT", [BARE_CARD]),
        ("COPY nowhere TO STDOUT", [None, None]),
        ("PREPARE p AS SELECT card FROM customers", [BARE_CARD]),
        ("DECLARE c CURSOR FOR SELECT name FROM customers", [NAME]),
    ],
)
def test_statements_around_a_query(sql: str, expected: Lines) -> None:
    assert found(sql, len(expected)) == expected


def test_copy_leaves_out_columns_that_we_do_not_know_to_be_generated() -> None:
    assert found("COPY customers TO STDOUT", 2) == [ID | NAME | BARE_CARD] * 2


def test_a_text_is_read_once() -> None:
    lineages = Lineages(facts(), ("public",))
    first = lineages.of("SELECT card, id FROM customers", 2)
    assert lineages.of("SELECT card, id FROM customers", 2) == first == [BARE_CARD, ID]
    for n in range(600):
        lineages.of(f"SELECT {n}", 1)
    assert lineages.of("SELECT card, id FROM customers", 2) == first
    assert lineages.of("SELECT card, id FROM customers", 1) is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT g, abs(g - (SELECT length(card) FROM customers)) AS d FROM generate_series(1, 9) g ORDER BY d LIMIT 1",
        "SELECT g FROM generate_series(1, 9) g, LATERAL (SELECT length(card) = g AS eq FROM customers) s WHERE eq",
        "SELECT g FROM generate_series(1, 9) g, LATERAL (SELECT 1 LIMIT (SELECT length(card) FROM customers) - g) s",
        "SELECT g FROM generate_series(1, 9) g WHERE (SELECT length(card) = g FROM customers)",
        "SELECT g FROM customers, generate_series(1, 9) g, generate_series(1, (length(card) = g)::int) s",
        "SELECT g, generate_series(1, (length(card) = g)::int) FROM customers, generate_series(1, 9) g",
        "SELECT o.id FROM customers o WHERE o.id = (SELECT length(card) FROM customers)",
        "SELECT c FROM (VALUES (1, (SELECT card = '1' FROM customers)), (2, true) ORDER BY 2 LIMIT 1) s (c, d)",
        "SELECT 1, card = '1' AS d FROM customers UNION ALL SELECT 2, true ORDER BY d LIMIT 1",
        "SELECT max(g) FROM customers, generate_series(1, 9) g GROUP BY length(card) = g",
        "SELECT max(g) FROM customers, generate_series(1, 9) g GROUP BY GROUPING SETS ((length(card) = g), ())",
        "SELECT DISTINCT ON (length(card) = g) g FROM customers, generate_series(1, 9) g",
        "SELECT g, count(*) OVER (ORDER BY length(card) = g) FROM customers, generate_series(1, 9) g",
        "SELECT g, count(*) OVER w FROM customers, generate_series(1, 9) g WINDOW w AS (PARTITION BY length(card) = g)",
        "SELECT x FROM (SELECT g, g AS x FROM generate_series(1, 9) g INTERSECT SELECT length(card), g FROM customers, generate_series(1, 9) g) s",
        "SELECT x FROM (SELECT g, g AS x FROM generate_series(1, 9) g EXCEPT SELECT length(card), g FROM customers, generate_series(1, 9) g) s",
        "SELECT id FROM customers TABLESAMPLE bernoulli (50) REPEATABLE ((SELECT length(card) FROM customers))",
    ],
)
def test_a_guess_that_is_chosen_by_a_column_carries_it(sql: str) -> None:
    answer = lineage(sql, facts(), ("public",), 1 + sql.startswith(("SELECT g, ", "SELECT 1, ")))
    assert answer is not None
    assert all("public.customers.card" in (each or ()) for each in answer), answer


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT c.id, e.key FROM customers c, jsonb_each(to_jsonb(c)) e WHERE e.key = 'name'",
        "SELECT id, card FROM customers UNION ALL SELECT id, card FROM customers ORDER BY card LIMIT 2",
        "SELECT id, card FROM customers ORDER BY card LIMIT 2",
        "SELECT id, count(*) FROM (SELECT id, card FROM customers) s GROUP BY id, card",
        "SELECT id, row_number() OVER (PARTITION BY name ORDER BY card) FROM customers",
        "SELECT id, card FROM customers INTERSECT SELECT id, card FROM customers",
        "SELECT DISTINCT ON (card) id, card FROM customers",
    ],
)
def test_columns_beside_one_that_chooses_rows_stay(sql: str) -> None:
    answer = lineage(sql, facts(), ("public",), 2)
    assert answer is not None
    assert "public.customers.card" not in (answer[0] or ())
