"""Names by a target's catalog: what isn't provably harmless is opaque, and relations are what the search_path says."""

from dataclasses import replace

import pytest

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.parse import read
from gateway.sql.resolve import resolve
from gateway.sql.statement import Statement, StatementClass


def relation(name: str, *columns: str, schema: str = "public", kind: str = "r", **more: object) -> Relation:
    numbered = {column: number for number, column in enumerate(columns, 1)}
    return Relation(oid=1, schema=schema, name=name, kind=kind, columns=numbered, **more)  # type: ignore[arg-type]  # fields by name


RELATIONS = [
    relation("customers", "id", "name", "card"),
    relation("orders", "id", "customer_id", "total"),
    relation("customers", "id", "note", schema="app"),
    relation("v", "id", "masked", kind="v", shows=((("public", "customers"), ("card",)),)),
    relation("v_evil", "id", kind="v", calls_user_code=True),
    relation("remote", "id", kind="f"),
]
CATALOG = Catalog(
    version=1,
    server_version_num=180000,
    relations={(each.schema, each.name): each for each in RELATIONS},
    safe_functions=frozenset({"upper", "count", "now", "random", "max", "row_to_json", "_pg_expandarray"}),
    user_functions=frozenset({"evil", "reader", "evil_row", "lower", "json_query", "crosstab"}),
    contained_functions=frozenset({"reader"}),
    user_operators=frozenset({"<=>"}),
    user_types=frozenset({"dom"}),
    builtin_functions=frozenset({"upper", "lower", "count", "now", "random", "max", "row_to_json", "pg_sneaky"}),
)


def one(sql: str, *path: str, catalog: Catalog | None = CATALOG) -> Statement:
    (statement,) = resolve(read(sql), catalog, path or ("public",)).statements
    return statement


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT upper(name), count(*) FROM customers WHERE id = 1 GROUP BY name",
        "SELECT pg_catalog.lower(name) FROM customers",
        "SELECT c.name FROM customers c",
        "SELECT s.name FROM (SELECT name FROM customers) s",
        "SELECT s.evil FROM (SELECT name AS evil FROM customers) s",
        "SELECT c.row_to_json FROM customers c",
        "SELECT * FROM v",
        "SELECT name::text, '1'::int, id::numeric(10, 2) FROM customers",
        "SELECT EXTRACT(year FROM now()), JSON_VALUE('{}', '$.a')",
        "SELECT information_schema._pg_expandarray(ARRAY[1])",
        "EXPLAIN SELECT upper(name) FROM customers",
        "PREPARE p AS SELECT evil()",
        "COPY customers TO STDOUT",
    ],
)
def test_reads(sql: str) -> None:
    found = one(sql)
    assert found.classes == {StatementClass.READ}, found.reason


@pytest.mark.parametrize(
    ("reason", "sql"),
    [
        ("evil() is user code", "SELECT evil()"),
        ("lower() is user code", "SELECT lower(name) FROM customers"),  # an overload may match better than pg_catalog's
        ("app.upper()", "SELECT app.upper(name) FROM customers"),
        ('"pg_catalog.upper"()', 'SELECT "pg_catalog.upper"(name) FROM customers'),
        ("json_query() is user code", "SELECT JSON_QUERY('{}', '$')"),
        ("pg_sneaky()", "SELECT pg_sneaky()"),
        ("pg_catalog.pg_sneaky()", "SELECT pg_catalog.pg_sneaky()"),
        ("evil() is user code", "SELECT 1 FROM customers WHERE name = evil()"),
        ("evil() is user code", "SELECT * FROM evil() AS e"),
        ("evil() is user code", "INSERT INTO customers VALUES (evil())"),
        ("evil() is user code", "EXPLAIN SELECT evil()"),
        ("evil() is user code", "EXPLAIN ANALYZE SELECT evil()"),
        ("evil() is user code", "CREATE TABLE x AS SELECT evil()"),
        ("evil() is user code", "COPY (SELECT evil()) TO STDOUT"),
        ("evil() is user code", "DECLARE c CURSOR FOR SELECT evil()"),
        ("evil() is user code", "EXECUTE p(evil())"),
        ("the operator <=>", "SELECT 1 <=> 2"),
        ("the operator app.+", "SELECT 1 OPERATOR(app.+) 2"),
        ("the operator <=>", "SELECT 1 FROM customers ORDER BY id USING <=>"),
        ("cast to dom", "SELECT 1::dom"),
        ("cast to dom", "SELECT dom(1)"),
        ("cast to app.dom", "SELECT CAST(1 AS app.dom[])"),
        ("evil_row", "SELECT c.evil_row FROM customers c"),
        ("evil_row", "SELECT (c).evil_row FROM customers c"),
        ("evil_row", "SELECT s.evil_row FROM (SELECT id FROM customers) s"),
        ("evil_row", "SELECT nowhere.evil_row FROM nowhere"),
        ("public.v_evil runs user code", "SELECT * FROM v_evil"),
        ("public.remote is a foreign table", "SELECT * FROM remote"),
        ("public.remote is a foreign table", "DELETE FROM remote"),
        ("crosstab", "SELECT * FROM crosstab('x') AS c(a int)"),
    ],
)
def test_opaque(reason: str, sql: str) -> None:
    found = one(sql)
    assert StatementClass.OPAQUE in found.classes
    assert reason in found.reason


def test_the_body_behind_a_name_is_resolved_too() -> None:
    names = one("PREPARE p AS SELECT evil()").names
    assert names is not None
    assert names.body is not None
    assert StatementClass.OPAQUE in names.body.classes


def test_opaque_keeps_the_other_classes() -> None:
    assert one("DELETE FROM customers WHERE evil()").classes == {StatementClass.WRITE, StatementClass.OPAQUE}
    assert one("SELECT evil() FROM customers").classes == {StatementClass.READ, StatementClass.OPAQUE}


def test_ddl_that_only_names_functions_stays_ddl() -> None:
    assert one("CREATE VIEW w AS SELECT evil()").classes == {StatementClass.DDL}


@pytest.mark.parametrize(
    ("path", "reads", "writes", "sql"),
    [
        ("public", "public.customers", "public.customers", "DELETE FROM customers"),
        ("app public", "app.customers", "app.customers", "DELETE FROM customers"),
        ("app public", "public.customers", "public.customers", "DELETE FROM public.customers"),
        ("app public", "app.customers public.customers", "", "SELECT 1 FROM customers, public.customers p"),
        ("app public", "public.orders", "", "SELECT 1 FROM orders"),
        ("app public", "", "app.customers public.orders", "TRUNCATE customers, orders"),
        ("app public", "app.customers", "app.copy", "CREATE TABLE copy AS SELECT * FROM customers"),
        ("app public", "", "app.fresh", "CREATE TABLE fresh (a int)"),
        ("app public", "", "app.*", "DROP SCHEMA app"),
        ("app", "public.nowhere", "", "SELECT 1 FROM nowhere"),
    ],
)
def test_relations_are_what_the_path_says(path: str, reads: str, writes: str, sql: str) -> None:
    found = one(sql, *path.split())
    assert (set(found.reads), set(found.writes)) == (set(reads.split()), set(writes.split()))


@pytest.mark.parametrize(
    ("columns", "sql"),
    [
        ("public.customers.name", "SELECT name FROM customers, orders"),
        ("public.customers.id public.orders.id", "SELECT id FROM customers, orders"),
        ("public.customers.id public.customers.name public.customers.card", "SELECT * FROM customers"),
        ("public.customers.card", "SELECT (SELECT card FROM orders LIMIT 1) FROM customers"),
        ("public.orders.total", "SELECT (SELECT total FROM orders LIMIT 1) FROM customers"),
        ("public.v.masked", "SELECT masked FROM v"),
        ("public.customers.id public.customers.name public.customers.card", "SELECT c.row_to_json FROM customers c"),
    ],
)
def test_columns_are_narrowed_down(columns: str, sql: str) -> None:
    assert set(one(sql).columns) == set(columns.split())


def test_predicates_follow_the_catalog() -> None:
    assert one("SELECT 1 FROM customers, orders WHERE card = '4'").protected_predicates == ("public.customers.card",)
    found = one("SELECT 1 FROM customers NATURAL JOIN orders").protected_predicates
    assert "public.customers.id" in found


def test_names_found_nowhere_are_said() -> None:
    found = one("SELECT 1 FROM nowhere")
    assert found.classes == {StatementClass.READ}
    assert found.unresolved == ("public.nowhere",)
    found = one("SELECT uper(name) FROM customers")
    assert StatementClass.OPAQUE in found.classes
    assert found.unresolved == ("uper",)
    assert "isn't in the target's catalog" in found.reason
    assert one("CREATE TABLE fresh (a int)").unresolved == ()


@pytest.mark.parametrize(
    ("opaque", "sql"),
    [
        (False, "SELECT lower(name), count(*) FROM t WHERE a::text = 'x' AND b > 1"),
        (False, "SELECT EXTRACT(year FROM d), JSON_QUERY(j, '$') FROM t"),
        (False, "SELECT nextval('s')"),
        (False, "SELECT '1'::int, x::numeric(10, 2), y::timestamptz FROM t"),
        (True, "SELECT myfunc()"),
        (True, "SELECT app.lower(name) FROM t"),
        (True, "SELECT a::mood FROM t"),
        (True, "SELECT 1 OPERATOR(app.+) 2"),
        (True, "INSERT INTO t VALUES (myfunc())"),
    ],
)
def test_offline_only_our_own_lists_count(opaque: bool, sql: str) -> None:
    found = one(sql, catalog=None)
    assert (StatementClass.OPAQUE in found.classes) == opaque, found.reason
    assert bool(found.reason) == opaque


@pytest.mark.parametrize(
    "sql", [f"SELECT id {word} 1 AND 2 FROM orders" for word in ("BETWEEN", "NOT BETWEEN SYMMETRIC")]
)
def test_between_is_the_comparisons_that_the_grammar_makes_of_it(sql: str) -> None:
    one_user_operator = replace(CATALOG, user_operators=frozenset({"<" if "NOT" in sql else ">="}))
    assert StatementClass.OPAQUE not in one(sql).classes
    assert StatementClass.OPAQUE in one(sql, catalog=one_user_operator).classes


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_advisory_unlock(1 <=> 2)",
        "SELECT pg_advisory_unlock('1'::dom)",
        "SELECT set_config('jit', 'on'::dom, false)",
        "SELECT pg_advisory_unlock(1), g.evil FROM (VALUES (1)) g(x)",
        "SELECT pg_notify('a', 'b'::dom)",
    ],
)
def test_a_special_call_hides_no_user_code(sql: str) -> None:
    """What it calls may be housekeeping, which needs no rule: what stands beside it may be anything."""
    assert StatementClass.OPAQUE in one(sql).classes


@pytest.mark.parametrize("call", ["pg_input_is_valid('1', 'dom')", "array_in('{1}', 'dom'::regtype, -1)"])
def test_reading_a_text_as_a_type_that_is_named_in_a_text_is_opaque(call: str) -> None:
    assert StatementClass.OPAQUE in one(f"SELECT {call}").classes


def test_a_row_made_from_json_may_run_the_code_of_its_types() -> None:
    sql = "SELECT json_populate_record(o, '{}') FROM orders o"
    known = replace(CATALOG, safe_functions=CATALOG.safe_functions | {"json_populate_record"})
    assert StatementClass.OPAQUE not in one(sql, catalog=known).classes
    assert StatementClass.OPAQUE in one(sql, catalog=replace(known, user_types=frozenset({"orders"}))).classes


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT reader(id) FROM customers",
        "SELECT * FROM public.reader()",
        "EXPLAIN ANALYZE SELECT reader(1)",
        "COPY (SELECT reader(1)) TO STDOUT",
        "DECLARE c CURSOR FOR SELECT reader(1)",
    ],
)
def test_user_code_that_only_reads_is_a_guarded_read(sql: str) -> None:
    found = one(sql)
    assert (found.classes, found.guarded) == (frozenset({StatementClass.READ}), True), found.reason


def test_a_type_of_the_same_name_may_be_what_is_called() -> None:
    both = replace(CATALOG, user_types=frozenset({"reader"}))
    assert StatementClass.OPAQUE in one("SELECT reader('1')", catalog=both).classes


def test_what_calls_nothing_of_the_users_needs_no_guard() -> None:
    assert not one("SELECT upper(name) FROM customers").guarded
    assert StatementClass.OPAQUE in one("SELECT reader(1), evil()").classes
