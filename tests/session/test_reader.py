"""What stands behind a name, and which protected columns a text's conditions read."""

from dataclasses import replace

import pytest

from gateway.session.judging import Judge
from gateway.sql.catalog import Relation
from gateway.wire.frontend import query
from tests.judged import (
    CLEAR,
    MASKED,
    REDACTED,
    masking_judge,
    statement,
)
from tests.playbook import Playbook, catalog, columns, complete, ready, row


@pytest.fixture
def judge() -> Judge:
    return masking_judge()


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
    judge.grounds.moved(("public", "other"))
    assert CLEAR in answered(play, "FETCH 1 FROM n"), "the path moved, the name means the same"
    facts = catalog()
    shadow = Relation(7, "other", "customers", "r", {"name": 1})
    judge.grounds.refresh(replace(facts, version=2, relations={**facts.relations, ("other", "customers"): shadow}))
    judge.grounds.moved(("other", "public"))
    assert REDACTED in answered(play, "FETCH 1 FROM n")


def test_conditions_on_protected_columns_are_counted_behind_views_too(judge: Judge) -> None:
    assert judge.grounds.tested(statement(judge, "SELECT id FROM customers WHERE card_number > '4'")) == ("public.customers.card_number",)  # fmt: skip
    assert judge.grounds.tested(
        statement(judge, "SELECT 1 FROM (SELECT lower(card_number) AS x FROM customers) s ORDER BY x")
    )
    assert judge.grounds.tested(statement(judge, "SELECT card_number FROM customers WHERE id = 1")) == ()


@pytest.mark.parametrize(("table", "tested"), [("customers", ("public.customers.card_number",)), ("orders", ())])
def test_of_what_is_too_wide_to_follow_every_protected_column_counts(
    judge: Judge, table: str, tested: tuple[str, ...]
) -> None:
    """Else a condition that only the walk through columns finds could be hidden beside sixty stars of sixty stars."""
    inner = table
    for _ in range(3):
        inner = f"(SELECT {', '.join(['s.*'] * 60)} FROM {inner} s)"
    found = judge.grounds.tested(statement(judge, f"SELECT count(*) FROM {inner} s"))
    assert found == tested


def test_predicates_stand_in_the_audit() -> None:
    play = Playbook(MASKED)
    play.client(query("SELECT id FROM customers WHERE card_number > '4'"))
    (entry,) = play.recorded("statement")
    assert entry["predicates"] == ["public.customers.card_number"]
    assert "'4'" not in str(entry["sql"])
