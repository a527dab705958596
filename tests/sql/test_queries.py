"""Columns, predicates and functions of a query, without a catalog: over-reported, never lost."""

import pytest

from gateway.sql.parse import read
from gateway.sql.queries import NODES
from gateway.sql.statement import Statement, StatementClass


def one(sql: str) -> Statement:
    (statement,) = read(sql).statements
    return statement


@pytest.mark.parametrize(
    ("columns", "sql"),
    [
        ("customers.name", "SELECT name FROM customers"),
        ("customers.name customers.id", "SELECT c.name FROM customers c WHERE c.id = 1"),
        ("customers.*", "SELECT * FROM customers"),
        ("customers.*", "SELECT c.* FROM customers c"),
        ("customers.* customers.c", "SELECT c FROM customers c"),
        ("customers.* customers.c", "SELECT row_to_json(c) FROM customers c"),
        ("a.x b.x", "SELECT x FROM a, b"),
        ("a.x b.id a.id", "SELECT a.x FROM a JOIN b USING (id)"),
        ("a.* b.*", "SELECT 1 FROM a NATURAL JOIN b"),
        ("customers.card", "SELECT s.n FROM (SELECT card AS n, id AS i FROM customers) s"),
        ("customers.*", "SELECT s.card FROM (SELECT * FROM customers) s"),
        ("customers.card", "WITH w AS (SELECT card FROM customers) SELECT card FROM w"),
        ("customers.card", "WITH w (n) AS (SELECT card FROM customers) SELECT n FROM w"),
        ("customers.card x.a", "SELECT a FROM x UNION SELECT card FROM customers"),
        ("t.a t.b", "UPDATE t SET a = 1 WHERE b = 2"),
        ("t.a t.*", "INSERT INTO t (a) VALUES (1) RETURNING *"),
        ("t.a", "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a"),
        ("t.a", "COPY t (a) TO STDOUT"),
        ("t.*", "COPY t TO STDOUT"),
        ("t.x", "SELECT g FROM t, LATERAL unnest(t.x) AS g"),
        ("t.card", "SELECT old.card FROM t"),
        ("t.a t.card", "UPDATE t SET a = 1 RETURNING old.card"),
        ("t.a t.card", "UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.card"),
    ],
)
def test_columns(columns: str, sql: str) -> None:
    found = set(one(sql).columns)
    expected = {f"public.{each}" for each in columns.split()}
    if "old.card FROM" in sql:
        expected = {"public.old.card"}  # a relation of that name, for all we know
    assert expected <= found
    assert all(each.split(".")[1] in sql for each in found)


@pytest.mark.parametrize(
    ("predicates", "sql"),
    [
        ("t.card", "SELECT id FROM t WHERE card = '4'"),
        ("t.card", "SELECT id FROM t ORDER BY card"),
        ("t.card", "SELECT card AS x FROM t ORDER BY x"),
        ("t.card", "SELECT id, card FROM t ORDER BY 2"),
        ("t.*", "SELECT * FROM t ORDER BY 2"),
        ("t.card", "SELECT count(*) FROM t GROUP BY card"),
        ("t.card", "SELECT count(*) FROM t GROUP BY id HAVING max(card) > '4'"),
        ("t.card u.card", "SELECT 1 FROM t JOIN u ON t.card = u.card"),
        ("t.card u.card", "SELECT 1 FROM t JOIN u USING (card)"),
        ("t.card", "SELECT 1 FROM (SELECT card AS c FROM t) s WHERE s.c = '4'"),
        ("t.card", "WITH w AS (SELECT card FROM t) SELECT 1 FROM w WHERE card > '4'"),
        ("t.card", "SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM t WHERE card LIKE '4%')"),
        ("t.card", "SELECT DISTINCT ON (card) id FROM t"),
        ("t.card", "DELETE FROM t WHERE card = '4'"),
        ("t.card", "MERGE INTO t USING u ON t.card = u.id WHEN MATCHED THEN DELETE"),
        ("t.card", "SELECT (SELECT card) FROM t ORDER BY (SELECT card)"),
        ("t.card", "SELECT x FROM (SELECT card FROM t UNION SELECT 'a') AS s (x) WHERE x > '4'"),
    ],
)
def test_predicates(predicates: str, sql: str) -> None:
    assert {f"public.{each}" for each in predicates.split()} <= set(one(sql).protected_predicates)


def test_what_is_only_shown_is_no_predicate() -> None:
    assert one("SELECT card FROM t WHERE id = 1").protected_predicates == ("public.t.id",)


@pytest.mark.parametrize(
    ("functions", "sql"),
    [
        ("lower app.f", "SELECT lower(a), app.f(b) FROM t"),
        ("F", 'SELECT "F"()'),
        ('"a.b"', 'SELECT "a.b"()'),
        ("pg_catalog.extract pg_catalog.timezone", "SELECT EXTRACT(year FROM d AT TIME ZONE 'UTC') FROM t"),
        ("json_query json_array merge_action", "SELECT JSON_QUERY(a, '$'), JSON_ARRAY(1), merge_action() FROM t"),
        (
            "json_exists json_value json_scalar json_serialize json",
            "SELECT JSON_EXISTS(a, '$'), JSON_VALUE(a, '$'), JSON_SCALAR(1), JSON_SERIALIZE(a), JSON(a)",
        ),
        ("json_table", "SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (a int))"),
        ("json_object", "SELECT JSON_OBJECT(1)"),  # PostgreSQL 15 looks it up by search_path
        ("system", "SELECT * FROM t TABLESAMPLE system (1)"),
        ("f", "INSERT INTO t VALUES (f())"),
        ("f", "EXECUTE p(f())"),
    ],
)
def test_functions(functions: str, sql: str) -> None:
    assert set(one(sql).functions) == set(functions.split())


def test_operators_and_types_are_kept_for_resolve() -> None:
    written = one(
        "SELECT a OPERATOR(app.+) 1, b::app.d, CASE c WHEN 1 THEN 2 END, (v).evil FROM v ORDER BY d USING <<"
    ).written
    assert set(written.operators) == {"app.+", "=", "<<"}
    assert written.types == ("app.d",)
    assert written.attributes == ("evil",)


def test_a_node_that_is_not_listed_makes_the_statement_opaque(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sql.queries.NODES", NODES - {"NullTest"})
    found = one("SELECT a IS NULL FROM t")
    assert StatementClass.OPAQUE in found.classes
    assert "NullTest" in found.reason


def test_a_chain_of_ctes_stays_cheap() -> None:
    """Each names the last one twice: without memory of what is known this is 2**200 steps."""
    chain = "".join(f", a{n} AS (SELECT * FROM a{n - 1} x, a{n - 1} y)" for n in range(1, 100))
    found = one(f"WITH a0 AS (SELECT * FROM t){chain} SELECT card FROM a99 ORDER BY card")
    assert found.reads == ("public.t",)
    assert "public.t.card" in found.protected_predicates


def test_more_columns_than_postgresql_takes_are_not_followed() -> None:
    assert StatementClass.READ in one(f"SELECT {', '.join(['*'] * 1664)} FROM t").classes
    assert one(f"SELECT {', '.join(['*'] * 1665)} FROM t").classes == {StatementClass.OPAQUE}


def test_too_many_names_are_not_followed() -> None:
    columns, tables = (",".join(f"{letter}{n}" for n in range(700)) for letter in "ct")
    found = one(f"SELECT {columns} FROM {tables}")
    assert found.classes == {StatementClass.OPAQUE}


EVERYWHERE = [
    "SELECT * FROM v ORDER BY evil(1)",
    "SELECT 1 WHERE (SELECT evil()) IS NULL",
    "SELECT count(*) FILTER (WHERE evil()) FROM t",
    "SELECT sum(x) OVER (ORDER BY evil()) FROM t",
    "SELECT a FROM t WINDOW w AS (ORDER BY evil())",
    "SELECT 1 LIMIT evil()",
    "SELECT 1 OFFSET evil()",
    "SELECT 1 FROM t TABLESAMPLE system (evil())",
    "SELECT 1 FROM a JOIN b ON evil()",
    "SELECT 1 FROM ROWS FROM (evil()) AS x",
    "VALUES (evil())",
    "SELECT * FROM (VALUES (evil())) AS x",
    "SELECT ARRAY[evil()], a[evil2()] FROM t",
    "SELECT CASE WHEN evil() THEN evil2() ELSE evil3() END",
    "SELECT XMLELEMENT(NAME a, evil()), COALESCE(evil2(), 1), GREATEST(evil3())",
    "SELECT JSON_VALUE('{}', '$' PASSING evil() AS x DEFAULT evil2() ON EMPTY)",
    "SELECT JSON_OBJECT(evil(): evil2()), JSON_ARRAYAGG(evil3() ORDER BY evil4())",
    "SELECT * FROM XMLTABLE('/' PASSING evil() COLUMNS x int DEFAULT evil2())",
    "SELECT * FROM JSON_TABLE(evil(), '$' COLUMNS (a int PATH '$' DEFAULT evil2() ON ERROR))",
    "SELECT a FROM t GROUP BY ROLLUP (evil()) HAVING evil2()",
    "SELECT DISTINCT ON (evil()) 1",
    "WITH a AS MATERIALIZED (SELECT evil()) SELECT 1",
    "SELECT ROW(evil()) = ROW(1), NOT evil2(), -evil3(), evil4() IS TRUE, (evil5()).*",
    "SELECT 1 UNION SELECT evil()",
    "DELETE FROM t USING evil() WHERE a = evil2() RETURNING evil3()",
    "UPDATE t SET a[evil()] = evil2() FROM evil3() WHERE evil4()",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE evil() DO UPDATE SET a = evil2() WHERE evil3()",
    "MERGE INTO t USING s ON evil() WHEN MATCHED AND evil2() THEN UPDATE SET a = evil3() WHEN NOT MATCHED THEN INSERT VALUES (evil4())",
    "COPY t FROM STDIN WHERE evil()",
    "EXPLAIN ANALYZE EXECUTE p(evil())",
    'SELECT U&"\\0065vil"()',
    "SELECT evil /* */ ()",
]


@pytest.mark.parametrize("sql", EVERYWHERE)
def test_a_call_is_found_wherever_an_expression_can_stand(sql: str) -> None:
    names = {"evil"} | {f"evil{n}" for n in range(2, 6) if f"evil{n}" in sql}
    assert names <= set(one(sql).functions)
