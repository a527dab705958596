"""Verdicts of one session, and which statements run code or write."""

from dataclasses import replace

import pytest

from gateway.policy.decide import Answer
from gateway.session.judging import WRITERS, Judge
from tests.judged import masking_judge, statement
from tests.playbook import NOW, catalog


@pytest.fixture
def judge() -> Judge:
    return masking_judge()


def test_the_strictest_of_several_statements_counts_and_names_its_rule(judge: Judge) -> None:
    texts = ("SELECT 1", "DELETE FROM customers", "DROP TABLE customers")
    read = [statement(judge, sql) for sql in texts]
    found = [judge.verdict(read[:count], NOW) for count in (0, 1, 2, 3)]
    assert [each.answer for each in found] == [Answer.ALLOW, Answer.ALLOW, Answer.HOLD, Answer.DENY]
    assert [each.rule for each in found[1:]] == ["reads", "writes wait", "no drop"]


def test_what_has_met_25006_is_known_as_a_write_and_the_oldest_is_forgotten(judge: Judge) -> None:
    first = statement(judge, "SELECT evil(0)")
    assert not judge.has_written(first)
    epoch = judge.grounds.epoch
    judge.writes(first)
    assert judge.has_written(first)
    assert judge.has_written(statement(judge, "SELECT evil(0)"))
    assert judge.grounds.epoch > epoch
    for at in range(1, WRITERS + 1):
        judge.writes(statement(judge, f"SELECT evil({at})"))
    assert not judge.has_written(first)


def test_a_session_is_like_others_until_it_has_done_something_of_its_own(judge: Judge) -> None:
    assert judge.like_others
    judge.writes(statement(judge, "SELECT evil(0)"))
    assert not judge.like_others
    twin = judge.twin()
    assert twin.like_others
    assert (twin.grounds.login.session, twin.grounds.policy) == ("", judge.grounds.policy)


def test_code_that_is_tried_as_a_read_wants_to_write_where_it_holds_a_write(judge: Judge) -> None:
    judge.grounds.refresh(replace(catalog(), writing_functions=frozenset({"writer"})))
    told = {
        sql: judge.wants_to_write(statement(judge, sql)) for sql in ("SELECT writer()", "SELECT reader()", "SELECT 1")
    }
    assert told == {"SELECT writer()": True, "SELECT reader()": False, "SELECT 1": False}


def test_bind_runs_code_of_what_is_opaque_and_parse_casts_to_types_of_the_users(judge: Judge) -> None:
    judge.grounds.refresh(replace(catalog(), user_types=frozenset({"checked"})))
    read = judge.reader.read
    plain, opaque, cast = read("SELECT 1"), read("SELECT evil(1)"), read("SELECT '{1}'::checked[]")
    assert plain is not None
    assert opaque is not None
    assert cast is not None
    assert [judge.runs_at_bind(each) for each in (plain, opaque)] == [False, True]
    assert [judge.runs_at_parse(each) for each in (plain, cast)] == [False, True]


def test_bind_is_asked_anew_where_a_column_has_another_type_by_now(judge: Judge) -> None:
    script = judge.reader.read("UPDATE customers SET name = $1")
    assert script is not None
    known = catalog()
    checked = replace(known.relations["public", "customers"], types={"name": "public.checked"})
    changed = replace(
        known,
        user_types=frozenset({"checked"}),
        relations={**known.relations, ("public", "customers"): checked},
    )
    for facts, runs in ((known, False), (changed, True), (known, False)):
        judge.grounds.refresh(facts)
        assert [judge.runs_at_bind(script) for _ in range(2)] == [runs, runs]
