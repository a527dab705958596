"""What a judge makes of a result: lineage, the origin that the target itself names, and what stands behind a name."""

from dataclasses import replace

import pytest

from gateway.policy.model import load
from gateway.session import events as ev
from gateway.session.judging import MAX_COPIED, Judge, Login, moves_path, shown_writes
from gateway.sql.catalog import Relation, Spread
from gateway.sql.parse import read
from gateway.sql.statement import Statement
from gateway.wire.backend import Column
from gateway.wire.frontend import message, query
from tests.playbook import ANN, POLICY, Playbook, catalog, columns, complete, error, ready, row

MASKED = (
    POLICY
    + """
masking:
  columns:
    - {column: "shop.public.customers.card_number", mask: redact}
"""
)
CUSTOMERS, ELSEWHERE = 16400, 99999
NAME, CARD = 2, 3


@pytest.fixture
def judge() -> Judge:
    policy = load(MASKED)
    login = Login("s", "r", ANN, policy.targets["shop"], "psql", "127.0.0.1", b"m" * 32, b"d" * 32)
    return Judge(login, policy, catalog())


def statement(judge: Judge, sql: str) -> Statement:
    script = judge.read(sql)
    assert script is not None
    return script.statements[0]


def column(name: str, table: int = 0, attnum: int = 0) -> Column:
    return Column(name, table, attnum, 25, -1, -1, 0)


def shown(judge: Judge, sql: str, *described: Column) -> bytes:
    """A row of x for each column, as the client sees it."""
    masker = judge.masker(statement(judge, sql), described, ())
    raw = row(*(b"x" for _ in described))
    return masker.rows(raw) if masker else raw


CLEAR, REDACTED = row(b"x"), row(b"[redacted]")


@pytest.mark.parametrize(
    ("sql", "described", "expected"),
    [
        ("SELECT name FROM customers", column("name", CUSTOMERS, NAME), CLEAR),
        ("SELECT card_number FROM customers", column("card_number", CUSTOMERS, CARD), REDACTED),
        ("SELECT lower(card_number) FROM customers", column("lower"), REDACTED),
        ("SELECT lower(name) FROM customers", column("lower"), CLEAR),
        ("SELECT 'still connected'", column("?column?"), CLEAR),
        ("SELECT evil(name) FROM customers", column("evil"), REDACTED),
        ("SELECT name FROM customers", column("name", ELSEWHERE, 1), REDACTED),
        ("SELECT customer FROM orders", column("customer", CUSTOMERS, CARD), REDACTED),
        ("SELECT customer FROM orders", column("customer", CUSTOMERS, NAME), REDACTED),
        ("SELECT ctid FROM customers", column("ctid", CUSTOMERS, -1), CLEAR),
        ("SELECT name FROM nowhere", column("name"), REDACTED),
    ],
)
def test_one_column(judge: Judge, sql: str, described: Column, expected: bytes) -> None:
    assert shown(judge, sql, described) == expected


def test_a_preview_may_say_where_a_value_will_be(judge: Judge) -> None:
    described, stored = column("a"), column("a", CUSTOMERS, NAME)
    said = statement(judge, "SELECT 'new' AS a")
    assert judge.masker(said, [stored], (), [described]) is None
    secret = judge.masker(said, [column("a", CUSTOMERS, CARD)], (), [described])
    assert secret is not None
    assert secret.rows(CLEAR) == REDACTED


def test_the_catalog_and_the_path_of_now_count(judge: Judge) -> None:
    sql, described = "SELECT lower(name) FROM customers", column("lower")
    assert shown(judge, sql, described) == CLEAR
    judge.moved(("other", "public"))
    assert shown(judge, sql, described) == CLEAR
    facts = catalog()
    other = Relation(7, "other", "customers", "v", {"name": 1}, definition="SELECT card_number FROM public.customers")
    judge.refresh(replace(facts, version=2, relations={**facts.relations, ("other", "customers"): other}))
    assert shown(judge, sql, described) == REDACTED


# --- names -----------------------------------------------------------------------------------------------------------------


def asked(play: Playbook, sql: str, tag: str) -> None:
    play.client(query(sql))
    play.target(complete(tag), ready("T"))


def answered(play: Playbook, sql: str) -> bytes:
    """The row that the client sees of an answer with one column of no origin."""
    play.client(query(sql))
    play.target(columns("x", table=0, first=0), row(b"x"), complete("SELECT 1"), ready("T"))
    return play.to_client()


@pytest.mark.parametrize("verb", ["EXECUTE n", "FETCH 1 FROM n"])
def test_what_a_name_stands_for_is_what_is_masked(verb: str) -> None:
    play = Playbook(MASKED, status="T")
    kind = "PREPARE n AS" if verb.startswith("EXECUTE") else "DECLARE n CURSOR FOR"
    asked(play, f"{kind} SELECT lower(card_number) FROM customers", kind.split(maxsplit=1)[0])
    assert REDACTED in answered(play, verb)
    play = Playbook(MASKED, status="T")
    asked(play, f"{kind} SELECT lower(name) FROM customers", kind.split(maxsplit=1)[0])
    for _ in range(3):
        assert CLEAR in answered(play, verb)


def test_a_cursor_keeps_the_path_of_its_declaration() -> None:
    play = Playbook(MASKED, status="T")
    asked(play, "DECLARE n CURSOR FOR SELECT lower(name) FROM customers", "DECLARE CURSOR")
    judge = play.session.talk.judge
    judge.moved(("public", "other"))
    assert CLEAR in answered(play, "FETCH 1 FROM n"), "the path moved, the name means the same"
    facts = catalog()
    shadow = Relation(7, "other", "customers", "r", {"name": 1})
    judge.refresh(replace(facts, version=2, relations={**facts.relations, ("other", "customers"): shadow}))
    judge.moved(("other", "public"))
    assert REDACTED in answered(play, "FETCH 1 FROM n")


@pytest.mark.parametrize(
    ("sql", "protected"),
    [
        ("SELECT card_number::int FROM customers", True),
        ("SELECT id::int FROM other.orders", False),
        ("SELECT id::int FROM other.seen", True),
        ("SELECT id::int FROM other.part", True),
        ("SELECT id::int FROM nosuch", False),
    ],
)
def test_an_error_text_may_quote_what_a_view_or_a_partition_shows(sql: str, protected: bool, judge: Judge) -> None:
    """Wherever these are: the mask's own name says nothing of them."""
    columns = {"id": 1, "card_number": 2}
    more = {
        ("other", "seen"): Relation(16700, "other", "seen", "v", columns),
        ("other", "part"): Relation(16701, "other", "part", "r", columns, parents=(("public", "customers"),)),
    }
    judge.refresh(replace(catalog(), relations={**catalog().relations, **more}))
    assert judge.touches_protected(statement(judge, sql)) is protected


def test_an_error_text_may_quote_a_copy_in_a_temporary_table() -> None:
    play = Playbook(
        MASKED.replace("[write, ddl, session, opaque]", "[write, session, opaque]").replace(
            "  - {name: no drop", "  - {name: make, effect: allow, statements: [ddl]}\n  - {name: no drop"
        )
    )
    play.client(query("CREATE TEMP TABLE copy AS SELECT card_number AS c FROM customers"))
    play.target(complete("SELECT 1"), ready())
    play.send(ev.CatalogReloaded(catalog()))
    play.client(query("SELECT ('x' || c)::int FROM copy"))
    play.target(error("22P02", "invalid input syntax: x1114"), ready())
    assert b"1114" not in play.to_client()


@pytest.mark.parametrize("sql", ["RESET ALL", "RESET search_path", "DISCARD ALL", "SET search_path = a", "DO ''"])
def test_what_may_change_the_search_path(sql: str) -> None:
    """Servers before 18 don't report it: it must be asked for again."""
    assert moves_path(read(sql).statements[0])


def test_another_reset_does_not() -> None:
    assert not moves_path(read("RESET work_mem").statements[0])


# --- what cards and the audit are told, and what is refused for what it holds -----------------------------------------------


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT id FROM customers WHERE card_number = 'abc'", "SELECT id FROM customers WHERE card_number = '[redacted]'"),
        ("SELECT id FROM customers WHERE id = 4 AND lower(card_number) LIKE 'ab%' AND name = 'x'",
         "SELECT id FROM customers WHERE id = 4 AND lower(card_number) LIKE '[redacted]' AND name = 'x'"),
        ("DELETE FROM customers WHERE card_number IN ('é', E'b', $$c$$, 5)",
         "DELETE FROM customers WHERE card_number IN ('[redacted]', '[redacted]', '[redacted]', '[redacted]')"),
        ("UPDATE customers SET card_number = 'abc', name = 'n' WHERE id = 1",
         "UPDATE customers SET card_number = '[redacted]', name = 'n' WHERE id = 1"),
        ("INSERT INTO customers VALUES (1, 'n', 'abc'), (2, 'm', 'def')",
         "INSERT INTO customers VALUES (1, 'n', '[redacted]'), (2, 'm', '[redacted]')"),
        ("INSERT INTO customers (card_number, id) VALUES ('abc', 1)", "INSERT INTO customers (card_number, id) VALUES ('[redacted]', 1)"),
        ("SELECT CASE WHEN card_number > '45' THEN 1 END FROM customers", "SELECT CASE WHEN card_number > '[redacted]' THEN 1 END FROM customers"),
        ("SELECT name FROM customers WHERE name = 'abc'", "SELECT name FROM customers WHERE name = 'abc'"),
    ],
)  # fmt: skip
def test_constants_beside_a_protected_column_are_not_told(judge: Judge, sql: str, told: str) -> None:
    assert judge.told(statement(judge, sql), None) == (told, None)


def test_values_beside_a_protected_column_are_not_told(judge: Judge) -> None:
    sql = "UPDATE customers SET card_number = $2, name = $1 WHERE id = $3"
    assert judge.told(statement(judge, sql), ("n", "abc", None)) == (sql, ("n", "[redacted]", None))


@pytest.mark.parametrize("sql", ["UPDATE customers SET card_number = '[redacted]' WHERE id = 1", "INSERT INTO orders VALUES (1, '**** **** **** 4295')"])  # fmt: skip
def test_a_write_that_holds_a_placeholder_is_refused_with_a_hint(judge: Judge, sql: str) -> None:
    refusal = judge.masked_write([statement(judge, sql)], None)
    assert refusal is not None
    assert "stands for a value that was masked" in refusal.message


def test_values_are_looked_at_too_and_reads_are_not(judge: Judge) -> None:
    update = statement(judge, "UPDATE customers SET card_number = $1 WHERE id = 1")
    assert judge.masked_write([update], ("hash:0123456789abcdef",)) is not None
    assert judge.masked_write([update], ("real",)) is None
    assert judge.masked_write([statement(judge, "SELECT '[redacted]' FROM customers")], ("[redacted]",)) is None


def test_the_client_is_told_what_was_wrong_with_its_placeholder() -> None:
    play = Playbook(MASKED)
    lines = play.client(query("UPDATE customers SET card_number = '****1234' WHERE id = 1"))
    assert lines[0] == "record refused"
    play.target(error("42601", 'syntax error at or near "\x01"'), ready("I"))
    assert b"****1234, which stands for a value that was masked" in play.to_client()


def test_conditions_on_protected_columns_are_counted_behind_views_too(judge: Judge) -> None:
    assert judge.tested(statement(judge, "SELECT id FROM customers WHERE card_number > '4'")) == ("public.customers.card_number",)  # fmt: skip
    assert judge.tested(statement(judge, "SELECT 1 FROM (SELECT lower(card_number) AS x FROM customers) s ORDER BY x"))
    assert judge.tested(statement(judge, "SELECT card_number FROM customers WHERE id = 1")) == ()


@pytest.mark.parametrize(("table", "tested"), [("customers", ("public.customers.card_number",)), ("orders", ())])
def test_of_what_is_too_wide_to_follow_every_protected_column_counts(
    judge: Judge, table: str, tested: tuple[str, ...]
) -> None:
    """Else a condition that only the walk through columns finds could be hidden beside sixty stars of sixty stars."""
    inner = table
    for _ in range(3):
        inner = f"(SELECT {', '.join(['s.*'] * 60)} FROM {inner} s)"
    found = judge.tested(statement(judge, f"SELECT count(*) FROM {inner} s"))
    assert found == tested


def test_predicates_stand_in_the_audit() -> None:
    play = Playbook(MASKED)
    play.client(query("SELECT id FROM customers WHERE card_number > '4'"))
    (entry,) = play.recorded("statement")
    assert entry["predicates"] == ["public.customers.card_number"]
    assert "'4'" not in str(entry["sql"])


@pytest.mark.parametrize("name", ["application_name", "search_path", "TimeZone"])
def test_a_setting_that_may_hold_a_protected_value_is_not_reported(name: str) -> None:
    play = Playbook(MASKED)
    said = message(b"S", name.encode() + b"\0secret\0")
    play.client(query("SELECT card_number FROM customers"))
    play.target(columns("card_number"), complete("SELECT 0"), said, ready("I"))
    assert b"secret" not in play.to_client()
    play.client(query("SELECT 1"))
    play.target(columns("x"), complete("SELECT 0"), said, ready("I"))
    assert b"secret" in play.to_client()


LOOSE = MASKED.replace("statements: [read]", "statements: [read, opaque]").replace(
    "ddl, session, opaque", "ddl, session"
)


def test_an_error_may_quote_what_triggers_made_of_a_protected_column_or_read(judge: Judge) -> None:
    write, read = (statement(judge, sql) for sql in ("INSERT INTO orders DEFAULT VALUES", "SELECT id FROM orders"))
    assert not judge.touches_protected(write)
    orders = judge.catalog.relations["public", "orders"] if judge.catalog else None
    assert orders is not None
    for facts, told in (
        ({"code_reads": frozenset({("public", "customers")})}, (True, False)),
        ({"fed": {"customer": frozenset({CUSTOMERS_CARD})}}, (True, True)),
    ):
        relations = {**catalog().relations, ("public", "orders"): replace(orders, **facts)}
        judge.refresh(replace(catalog(), relations=relations))
        assert (judge.touches_protected(write), judge.touches_protected(read)) == told


CUSTOMERS_CARD = "public.customers.card_number"


@pytest.mark.parametrize(
    ("sql", "copies"),
    [
        ("INSERT INTO orders (customer) SELECT card_number FROM customers", ("public.orders.customer",)),
        ("UPDATE orders SET customer = lower(c.card_number) FROM customers c", ("public.orders.customer",)),
        ("WITH i AS (INSERT INTO orders SELECT id, card_number FROM customers) SELECT 1", ("public.orders.customer",)),
        ("CREATE TABLE fresh AS SELECT id, card_number AS x FROM customers", ("*.fresh.x",)),
        ("CREATE TABLE fresh (y) AS SELECT card_number AS x FROM customers", ("*.fresh.y",)),
        ("SELECT card_number INTO TEMP fresh FROM customers", ("*.fresh.card_number",)),
        ("SELECT setval('counter', card_number::int8) FROM customers", ("*.*.*",)),
        ("ALTER TABLE customers RENAME card_number TO harmless", ("public.customers.harmless",)),
        ("ALTER TABLE customers RENAME TO people", ("public.people.card_number",)),
        ("ALTER TABLE customers SET SCHEMA cellar", ("cellar.customers.card_number",)),
        ("ALTER INDEX customers RENAME TO people", ("public.people.card_number",)),
        ("ALTER SCHEMA public RENAME TO cellar", ("cellar.customers.card_number",)),
        ("ALTER TABLE customers ALTER name TYPE text USING card_number", ("public.customers.name",)),
        ("ALTER TABLE customers ADD x text GENERATED ALWAYS AS (lower(card_number)) STORED", ("public.customers.x",)),
        ("ALTER TABLE customers ADD x text DEFAULT lower('x')", ()),
        ("COPY customers TO '/x'", ("*.*.*",)),
        ("COPY (SELECT card_number FROM customers) TO PROGRAM 'cat'", ("*.*.*",)),
        ("EXPLAIN ANALYZE CREATE TABLE fresh AS SELECT card_number AS x FROM customers", ("*.fresh.x",)),
        ("INSERT INTO scratch (a, b) SELECT id, card_number FROM customers", ("*.scratch.b",)),
        ("UPDATE scratch SET b = card_number FROM customers", ("*.scratch.b",)),
        ("SELECT setseed(card_number::float8) FROM customers", ("pg_catalog.random.value",)),
        ("SELECT pg_create_physical_replication_slot(card_number) FROM customers", ("*.*.*",)),
        ("ALTER TYPE t RENAME ATTRIBUTE card_number TO harmless", ("*.*.harmless",)),
        ("COPY orders TO '/x'", ()),
        ("INSERT INTO orders (id) SELECT evil(id) FROM orders", ("public.orders.id",)),  # nobody can read it
        ("ALTER TABLE customers RENAME name TO title", ()),
        ("ALTER VIEW customers RENAME TO people", ()),
        ("UPDATE customers SET card_number = card_number", ()),
        ("INSERT INTO orders (id) SELECT id FROM customers WHERE card_number > '4'", ()),
        ("EXPLAIN INSERT INTO orders SELECT id, card_number FROM customers", ()),
        ("SELECT card_number FROM customers", ()),
    ],
)
def test_where_a_statement_copies_a_protected_column_to(judge: Judge, sql: str, copies: tuple[str, ...]) -> None:
    judge.refresh(replace(catalog(), safe_functions=frozenset({"setval", "setseed", "lower"})))
    assert judge.copies(statement(judge, sql)) == tuple((CUSTOMERS_CARD, each) for each in copies)


def test_of_a_text_that_is_too_long_to_follow_every_column_that_it_writes_counts(judge: Judge) -> None:
    short = "INSERT INTO orders SELECT id, card_number FROM customers"
    long = replace(statement(judge, short), sql=f"{short} /*{'x' * 9000}*/")
    assert judge.copies(long) == ((CUSTOMERS_CARD, "public.orders.*"),)


def test_what_code_copies_is_told_by_its_words(judge: Judge) -> None:
    orders, card = ("public", "orders"), {CUSTOMERS_CARD: "text"}
    writes = {
        "evil": Spread(frozenset({orders}), card, frozenset()),
        "keep": Spread(frozenset({orders}), {}, frozenset()),
    }
    typed = replace(catalog().relations[orders], types={"id": "bigint", "customer": "text"})
    judge.refresh(
        replace(
            catalog(),
            relations={**catalog().relations, orders: typed},
            function_writes=writes,
            user_functions=frozenset({"evil", "keep"}),
        )
    )
    copied = ((CUSTOMERS_CARD, "public.orders.customer"),)
    for sql in ("SELECT evil(1)", "CALL evil()", "SELECT keep(card_number) FROM customers",
                "DO 'BEGIN INSERT INTO orders SELECT 1, card_number FROM customers; END'"):  # fmt: skip
        assert {*copied} <= {*judge.copies(statement(judge, sql))}, sql
    for sql in ("SELECT keep(1)", "SELECT keep(name), card_number FROM customers",
                "DO 'BEGIN UPDATE orders SET customer = 1; END'"):  # fmt: skip
        assert judge.copies(statement(judge, sql)) == (), sql


@pytest.mark.parametrize(
    ("sql", "to"),
    [
        ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN SELECT card_number INTO NEW.note FROM customers; RETURN NEW; END'", "*.*.note"),
        ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN SELECT card_number INTO NEW FROM customers; RETURN NEW; END'", "*.*.*"),
        ("CREATE PROCEDURE f() LANGUAGE sql AS 'INSERT INTO orders (customer) SELECT card_number FROM customers'", "public.orders.customer"),
        ("CREATE RULE r AS ON INSERT TO x DO ALSO INSERT INTO orders (customer) SELECT card_number FROM customers", "public.orders.customer"),
        ("CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT card_number FROM customers); END'", ""),
    ],
)  # fmt: skip
def test_what_a_definition_is_going_to_copy(judge: Judge, sql: str, to: str) -> None:
    found = {place for _, place in judge.copies(statement(judge, sql))}
    assert to in found if to else not found


def test_what_a_trigger_has_made_stays_masked_when_the_trigger_is_gone(judge: Judge) -> None:
    read = "SELECT customer FROM orders", column("customer", 16500, 2)
    fed = replace(catalog().relations["public", "orders"], fed={"customer": frozenset({CUSTOMERS_CARD})})
    judge.refresh(replace(catalog(), relations={**catalog().relations, ("public", "orders"): fed}))
    assert shown(judge, *read) == REDACTED
    judge.refresh(catalog())
    assert shown(judge, *read) == REDACTED


def test_rows_of_a_child_that_a_session_makes_show_in_the_parent(judge: Judge) -> None:
    read = "SELECT customer FROM orders", column("customer", 16500, 2)
    judge.runs(statement(judge, "CREATE TABLE child () INHERITS (orders)"))
    judge.runs(statement(judge, "CREATE TABLE grandchild () INHERITS (child)"))
    assert shown(judge, *read) == CLEAR
    judge.runs(statement(judge, "INSERT INTO grandchild (customer) SELECT card_number FROM customers"))
    assert shown(judge, *read) == REDACTED


def test_what_a_session_has_copied_is_masked_in_it(judge: Judge) -> None:
    read = "SELECT customer FROM orders", column("customer", 16500, 2)
    assert shown(judge, *read) == CLEAR
    judge.runs(statement(judge, "INSERT INTO orders SELECT id, card_number FROM customers"))
    assert shown(judge, *read) == REDACTED
    judge.refresh(catalog())
    assert shown(judge, *read) == REDACTED


def test_a_session_that_copies_to_too_many_places_is_shown_nothing(judge: Judge) -> None:
    for at in range(MAX_COPIED + 1):
        judge.runs(statement(judge, f"CREATE TABLE t{at} AS SELECT card_number FROM customers"))
    assert shown(judge, "SELECT name FROM customers", column("name", CUSTOMERS, NAME)) == REDACTED


def test_a_copy_is_in_the_audit() -> None:
    play = Playbook(MASKED.replace("[write, ddl,", "[ddl,"))
    play.client(query("INSERT INTO orders SELECT id, card_number FROM customers"))
    (entry,) = play.recorded("statement")
    assert entry["copies"] == [{"from": CUSTOMERS_CARD, "to": "public.orders.customer"}]


def test_where_settings_are_doubted_the_clients_own_are_reported_and_others_are_not() -> None:
    play = Playbook(LOOSE)
    play.session.talk.judge.doubts_settings = True
    play.client(query("SET application_name = 'Mine'"))
    play.target(complete("SET"), message(b"S", b"application_name\0Mine\0"), ready("I"))
    assert b"Mine" in play.to_client()
    play.client(query("SELECT 1"))
    play.target(columns("x"), complete("SELECT 0"), message(b"S", b"application_name\0secret\0"), ready("I"))
    assert b"secret" not in play.to_client()


def test_an_error_of_opaque_code_is_withheld_and_a_syntax_error_is_not() -> None:
    play = Playbook(LOOSE)
    play.client(query("DO 'x'"))
    play.target(error("22P02", "invalid input: secret"), ready("I"))
    assert b"secret" not in play.to_client()
    assert b"withheld" in play.to_client()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TEMP TABLE t (id int)", ("pg_temp.t",)),
        ("CREATE TEMP TABLE customers AS SELECT * FROM orders", ("pg_temp.customers",)),
        ("SELECT * INTO TEMP customers FROM orders", ("pg_temp.customers",)),
        ('CREATE TEMP VIEW "a.b" AS SELECT 1', ('pg_temp."a.b"',)),
        ("CREATE TABLE pg_temp.t (id int)", ("pg_temp.t",)),
        ("CREATE TABLE t (id int)", ("public.t",)),
        ("DELETE FROM customers", ("public.customers",)),
        # nothing that is written beside it is taken for temporary
        (
            "WITH x AS (DELETE FROM customers RETURNING *) SELECT * INTO TEMP t FROM x",
            ("public.customers", "public.t"),
        ),
    ],
)
def test_what_a_statement_makes_for_its_session_alone_is_shown_as_such(
    judge: Judge, sql: str, expected: tuple[str, ...]
) -> None:
    assert shown_writes(statement(judge, sql)) == expected
