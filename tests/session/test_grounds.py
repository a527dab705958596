"""What is protected by the catalog, the path and the policy of now, and what may quote it."""

from dataclasses import replace

import pytest

from gateway.session import events as ev
from gateway.session.grounds import MAX_COPIED
from gateway.session.judging import Judge
from gateway.sql.catalog import Relation
from gateway.wire.frontend import query
from tests.judged import (
    CLEAR,
    CUSTOMERS,
    CUSTOMERS_CARD,
    MASKED,
    NAME,
    REDACTED,
    column,
    masking_judge,
    shown,
    statement,
)
from tests.playbook import Playbook, catalog, complete, error, ready


@pytest.fixture
def judge() -> Judge:
    return masking_judge()


def test_the_catalog_and_the_path_of_now_count(judge: Judge) -> None:
    sql, described = "SELECT lower(name) FROM customers", column("lower")
    assert shown(judge, sql, described) == CLEAR
    judge.grounds.moved(("other", "public"))
    assert shown(judge, sql, described) == CLEAR
    facts = catalog()
    other = Relation(7, "other", "customers", "v", {"name": 1}, definition="SELECT card_number FROM public.customers")
    judge.grounds.refresh(replace(facts, version=2, relations={**facts.relations, ("other", "customers"): other}))
    assert shown(judge, sql, described) == REDACTED


def test_what_a_trigger_has_made_stays_masked_when_the_trigger_is_gone(judge: Judge) -> None:
    read = "SELECT customer FROM orders", column("customer", 16500, 2)
    fed = replace(catalog().relations["public", "orders"], fed={"customer": frozenset({CUSTOMERS_CARD})})
    judge.grounds.refresh(replace(catalog(), relations={**catalog().relations, ("public", "orders"): fed}))
    assert shown(judge, *read) == REDACTED
    judge.grounds.refresh(catalog())
    assert shown(judge, *read) == REDACTED


def test_a_session_that_copies_to_too_many_places_is_shown_nothing(judge: Judge) -> None:
    for at in range(MAX_COPIED + 1):
        judge.spreading.runs(statement(judge, f"CREATE TABLE t{at} AS SELECT card_number FROM customers"))
    assert shown(judge, "SELECT name FROM customers", column("name", CUSTOMERS, NAME)) == REDACTED


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
    judge.grounds.refresh(replace(catalog(), relations={**catalog().relations, **more}))
    assert judge.grounds.touches_protected(statement(judge, sql)) is protected


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


def test_an_error_may_quote_what_triggers_made_of_a_protected_column_or_read(judge: Judge) -> None:
    write, read = (statement(judge, sql) for sql in ("INSERT INTO orders DEFAULT VALUES", "SELECT id FROM orders"))
    assert not judge.grounds.touches_protected(write)
    orders = judge.grounds.catalog.relations["public", "orders"] if judge.grounds.catalog else None
    assert orders is not None
    for facts, told in (
        ({"code_reads": frozenset({("public", "customers")})}, (True, False)),
        ({"fed": {"customer": frozenset({CUSTOMERS_CARD})}}, (True, True)),
    ):
        relations = {**catalog().relations, ("public", "orders"): replace(orders, **facts)}
        judge.grounds.refresh(replace(catalog(), relations=relations))
        assert (judge.grounds.touches_protected(write), judge.grounds.touches_protected(read)) == told
