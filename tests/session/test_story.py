"""What the record says: an entry that is made by a pattern says what one that is put together would."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.policy.decide import Answer, Verdict
from gateway.session import events as ev
from gateway.session.common import LONGEST
from gateway.session.replies import Execution
from gateway.session.story import _KEPT, Story
from gateway.sql.statement import Statement
from tests.playbook import POLICY, Playbook, whole

MASKED = POLICY + "masking: {columns: [{column: '*.public.customers.card_number', mask: redact}], detect: [card]}\n"


def told(play: Playbook, statement: Statement, number: int, *values: str | None) -> Execution:
    """The same, executed once more."""
    facts = play.session.talk.story.facts(statement)
    verdict = Verdict(Answer.ALLOW, "reads", "")
    more = {"tested": facts.tested, "copies": facts.copies, "passed_on": facts.passed_on}
    return Execution(number, statement, verdict, facts.sql, values or None, **more)  # type: ignore[arg-type] # as they are


def read(play: Playbook, sql: str = "SELECT name FROM customers WHERE card_number = $1") -> Statement:
    script = play.session.talk.reader.read(sql)
    assert script is not None
    return script.statements[0]


def entries(story: Story, execution: Execution, reason: str = "", sqlstate: str = "") -> list[ev.Effect]:
    why = "skipped" if sqlstate else ""
    return [story.begun(execution, reason), story.over(execution, 3, 0.25, sqlstate, why)]


@pytest.mark.parametrize("values", [(), ("7",), (None, "x", 'a "b"\\ é')])
@pytest.mark.parametrize(("clear", "unscanned"), [((), ""), (("public.customers.name",), "COPY in binary")])
def test_the_second_is_made_by_a_pattern_and_says_the_same(
    values: tuple[str | None, ...], clear: tuple[str, ...], unscanned: str
) -> None:
    play = Playbook(MASKED)
    story, statement = play.session.talk.story, read(play)
    first, second = (told(play, statement, number, *values) for number in (1, 2))
    assert all(
        isinstance(each, ev.Record) for each in entries(Story(play.session.talk.login, play.session.talk.judge), first)
    )
    for execution in (second, told(play, statement, 3, *values)):
        execution.clear, execution.unscanned = clear, unscanned
        found = entries(story, execution)
        assert [type(each) for each in found] == [ev.RecordAlike, ev.RecordAlike]
        said = story.of(execution)
        assert whole(found[0]) == ev.Record("statement", story.told({**said, "clear": [], "unscanned": ""}))
        over = {**said, "rows": 3, "outcome": "executed", "duration_ms": 0.25}
        assert whole(found[1]) == ev.Record("finished", story.told(over))


def held(each: Execution) -> None:
    each.request = "R1"


def masked(each: Execution) -> None:
    each.masked = [{"detector": "card", "count": 1}]


def denied(each: Execution) -> None:
    each.verdict = Verdict(Answer.DENY, "no", "")


def with_nul(each: Execution) -> None:
    each.parameters = ("a\0b",)


def with_surrogate(each: Execution) -> None:
    each.parameters = ("\udc80",)


def told_otherwise(each: Execution) -> None:
    each.sql = f"{each.sql} "


def under_another_policy(each: Execution) -> None:
    each.tested = ()


def copied(each: Execution) -> None:
    each.copies = (("public.customers.card_number", "public.orders.note"),)


def passed_on(each: Execution) -> None:
    each.passed_on = ("public.orders",)


_OTHERWISE = [held, masked, denied, with_nul, with_surrogate, told_otherwise, under_another_policy, copied, passed_on]


@pytest.mark.parametrize("change", _OTHERWISE)
def test_what_differs_by_more_is_put_together(change: Callable[[Execution], None]) -> None:
    play = Playbook(MASKED)
    statement = read(play)
    for number in (1, 2):
        execution = told(play, statement, number, "7")
    change(execution)
    found = entries(play.session.talk.story, execution)
    assert [type(each) for each in found] == [ev.Record, ev.Record]
    assert found[0] == ev.Record("statement", play.session.talk.story.told(play.session.talk.story.of(execution)))


def test_what_a_client_says_and_what_failed_is_put_together() -> None:
    play = Playbook(MASKED)
    statement = read(play)
    for number in (1, 2):
        execution = told(play, statement, number, "7")
    begun, over = entries(play.session.talk.story, execution, reason="because", sqlstate="22012")
    assert isinstance(begun, ev.Record)
    assert begun.fields["reason"] == "because"
    assert isinstance(over, ev.Record)
    assert (over.fields["outcome"], over.fields["sqlstate"], over.fields["reason"]) == ("failed", "22012", "skipped")


def test_another_statement_another_policy_and_another_name_begin_anew() -> None:
    play = Playbook(MASKED)
    statement, story = read(play), play.session.talk.story
    for number in (1, 2):
        execution = told(play, statement, number, "7")
    story.renamed("another")
    assert isinstance(story.begun(execution, ""), ev.Record)
    for number in (1, 2):
        execution = told(play, statement, number, "7")
    alike = story.begun(execution, "")
    assert isinstance(alike, ev.RecordAlike)
    entry = whole(alike)
    assert isinstance(entry, ev.Record)
    assert entry.fields["agent"] == "another"
    other = told(play, replace(statement), 3, "7")
    assert isinstance(story.begun(other, ""), ev.Record), "what is known is of another statement"
    assert isinstance(story.begun(execution, ""), ev.RecordAlike), "both are known"
    play.session.talk.judge.grounds.epoch += 1
    assert isinstance(story.begun(execution, ""), ev.Record), "it may be told otherwise"


def test_statements_in_turn_are_told_alike_and_as_many_others_push_them_out() -> None:
    play = Playbook(MASKED)
    story = play.session.talk.story
    statements = [replace(read(play)) for _ in range(_KEPT)]
    for _ in range(2):
        executions = [told(play, each, number, str(number)) for number, each in enumerate(statements)]
    assert {type(story.begun(each, "")) for each in executions} == {ev.RecordAlike}
    more = told(play, replace(read(play)), 99, "7")
    assert {type(story.begun(each, "")) for each in (more, *executions)} == {ev.Record}


def test_of_long_statements_the_last_is_kept() -> None:
    """A session may be idle for hours behind an import."""
    play = Playbook(MASKED)
    story = play.session.talk.story
    long = [replace(read(play), sql=f"SELECT {number} --" + "x" * LONGEST) for number in range(3)]
    for each in (*long, read(play)):
        story.facts(each)
    assert [each.statement in long for each in story._facts.values()] == [True, False]


@pytest.mark.parametrize("name", ["cursor", "cursor\0"])
def test_a_goodbye_is_an_entry_whatever_the_client_calls_itself(name: str) -> None:
    play = Playbook()
    story = play.session.talk.story
    story.renamed(name)
    found = whole(story.goodbye())
    assert isinstance(found, ev.Record)
    assert found.kind == "session_ended"
    assert found.fields["agent"] == name
