"""What a judge makes of a result: lineage, the origin that the target itself names, and what stands behind a name."""

from dataclasses import replace

import pytest

from gateway.policy.model import load
from gateway.session import events as ev
from gateway.session.judging import Judge, Login, moves_path
from gateway.sql.catalog import Relation
from gateway.sql.parse import read
from gateway.sql.statement import Statement
from gateway.wire.backend import Column
from gateway.wire.frontend import query
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
