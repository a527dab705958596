"""Where statements take protected columns to, and what a session is shown of what it has copied."""

from dataclasses import replace

import pytest

from gateway.policy.model import load
from gateway.session.judging import Judge
from gateway.sql.catalog import Spread
from gateway.wire.frontend import message, query
from tests.judged import (
    CLEAR,
    CUSTOMERS_CARD,
    LOOSE,
    MASKED,
    REDACTED,
    column,
    masking_judge,
    shown,
    statement,
)
from tests.playbook import Playbook, catalog, columns, complete, ready


@pytest.fixture
def judge() -> Judge:
    return masking_judge()


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
        ("SELECT shop.pg_catalog.setseed(card_number::float8) FROM customers", ("pg_catalog.random.value",)),
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
    judge.grounds.refresh(replace(catalog(), safe_functions=frozenset({"setval", "setseed", "lower"})))
    assert judge.spreading.copies(statement(judge, sql)) == tuple((CUSTOMERS_CARD, each) for each in copies)


def test_of_a_text_that_is_too_long_to_follow_every_column_that_it_writes_counts(judge: Judge) -> None:
    short = "INSERT INTO orders SELECT id, card_number FROM customers"
    long = replace(statement(judge, short), sql=f"{short} /*{'x' * 9000}*/")
    assert judge.spreading.copies(long) == ((CUSTOMERS_CARD, "public.orders.*"),)


def test_what_code_copies_is_told_by_its_words(judge: Judge) -> None:
    orders, card = ("public", "orders"), {CUSTOMERS_CARD: "text"}
    writes = {
        "evil": Spread(frozenset({orders}), card, frozenset()),
        "keep": Spread(frozenset({orders}), {}, frozenset()),
    }
    typed = replace(catalog().relations[orders], types={"id": "bigint", "customer": "text"})
    judge.grounds.refresh(
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
        assert {*copied} <= {*judge.spreading.copies(statement(judge, sql))}, sql
    for sql in ("SELECT keep(1)", "SELECT keep(name), card_number FROM customers",
                "DO 'BEGIN UPDATE orders SET customer = 1; END'"):  # fmt: skip
        assert judge.spreading.copies(statement(judge, sql)) == (), sql


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
    found = {place for _, place in judge.spreading.copies(statement(judge, sql))}
    assert to in found if to else not found


def test_rows_of_a_child_that_a_session_makes_show_in_the_parent(judge: Judge) -> None:
    read = "SELECT customer FROM orders", column("customer", 16500, 2)
    judge.spreading.runs(statement(judge, "CREATE TABLE child () INHERITS (orders)"))
    judge.spreading.runs(statement(judge, "CREATE TABLE grandchild () INHERITS (child)"))
    assert shown(judge, *read) == CLEAR
    judge.spreading.runs(statement(judge, "INSERT INTO grandchild (customer) SELECT card_number FROM customers"))
    assert shown(judge, *read) == REDACTED


def test_what_a_session_has_copied_is_masked_in_it(judge: Judge) -> None:
    read = "SELECT customer FROM orders", column("customer", 16500, 2)
    assert shown(judge, *read) == CLEAR
    judge.spreading.runs(statement(judge, "INSERT INTO orders SELECT id, card_number FROM customers"))
    assert shown(judge, *read) == REDACTED
    judge.grounds.refresh(catalog())
    assert shown(judge, *read) == REDACTED


def test_a_copy_is_in_the_audit() -> None:
    play = Playbook(MASKED.replace("[write, ddl,", "[ddl,"))
    play.client(query("INSERT INTO orders SELECT id, card_number FROM customers"))
    (entry,) = play.recorded("statement")
    assert entry["copies"] == [{"from": CUSTOMERS_CARD, "to": "public.orders.customer"}]


def test_where_settings_are_doubted_the_clients_own_are_reported_and_others_are_not() -> None:
    play = Playbook(LOOSE)
    play.session.talk.grounds.doubts_settings = True
    play.client(query("SET application_name = 'Mine'"))
    play.target(complete("SET"), message(b"S", b"application_name\0Mine\0"), ready("I"))
    assert b"Mine" in play.to_client()
    play.client(query("SELECT 1"))
    play.target(columns("x"), complete("SELECT 0"), message(b"S", b"application_name\0secret\0"), ready("I"))
    assert b"secret" not in play.to_client()


def test_the_same_statement_is_looked_at_anew_under_another_policy() -> None:
    judge = masking_judge()
    judge.grounds.adopt(load(MASKED.replace("customers.card_number", "customers.name")))
    copies = statement(judge, "INSERT INTO orders (customer) SELECT card_number FROM customers")
    for _ in range(2):
        judge.spreading.runs(copies)
    assert not judge.grounds.copied
    judge.grounds.adopt(load(MASKED))
    judge.spreading.runs(copies)
    assert any("orders" in each for each, _ in judge.grounds.copied)
