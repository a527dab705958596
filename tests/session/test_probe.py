"""The preview's questions, one at a time, and what is made of the answers; the oid question also against PostgreSQL."""

from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

import pytest

from gateway.approvals.request import Preview
from gateway.policy.decide import Answer, Verdict
from gateway.policy.model import load
from gateway.session.errands import Messages
from gateway.session.grounds import Grounds, Login
from gateway.session.judging import Judge
from gateway.session.meaning import names_of
from gateway.session.names import Prepared
from gateway.session.probe import Findings, Refusal, Subject, probe
from gateway.session.replies import Execution
from gateway.wire import frontend
from gateway.wire.frontend import SYNC, Bind, describe, message, parse
from tests.playbook import ANN, NO_DATA, PARSED, POLICY, catalog, columns, complete, error, ready, row, split

T = TypeVar("T")
MASKED = POLICY + "masking: {columns: [{column: shop.public.customers.card_number, mask: last4}], detect: [api_key]}\n"
CUSTOMERS = row(b"public.customers", b"16400")
KEY = b"sk_live_" + b"abcdefghijkl"


@pytest.fixture
def judge() -> Judge:
    policy = load(MASKED)
    login = Login("s", "r", ANN, policy.targets["shop"], "psql", "127.0.0.1", b"m" * 32, b"d" * 32)
    return Judge(Grounds(login, policy, catalog()))


def subject(judge: Judge, sql: str, *values: bytes) -> Subject:
    script = judge.reader.read(sql)
    assert script is not None
    execution = Execution(1, script.statements[0], Verdict(Answer.HOLD, "r", ""), sql, None)
    names = tuple(names_of([execution]))
    if not values:
        return Subject(execution, names=names)
    return Subject(execution, Prepared(sql, script, (23,)), Bind("", "", (), values, ()), names)


def played(questions: Generator[bytes, Messages, T], *answers: bytes) -> tuple[list[bytes], T]:
    """Answer each question with the next of the answers; returns the questions and the value."""
    asked = [next(questions)]
    for given in answers:
        try:
            asked.append(questions.send([(ord(kind), body) for kind, body in split(given)]))
        except StopIteration as stop:
            return asked, stop.value
    raise AssertionError(f"one more question: {asked[-1]!r}")


def text(question: bytes) -> str:
    return frontend.read_query(question)


def found(judge: Judge, sql: str, *answers: bytes) -> Findings:
    """The findings for a statement outside a transaction: count and sample answered, the rest as PostgreSQL would."""
    before = complete("BEGIN") + complete("SET") * 2 + ready("T")
    _, findings = played(probe(subject(judge, sql), judge, "I"), before, CUSTOMERS, *answers, complete("ROLLBACK"))
    return findings


# --- where it runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "side", "first", "last"),
    [
        ("I", "", "BEGIN READ ONLY;", "ROLLBACK"),
        ("T", "", "SAVEPOINT hoop_probe; SET TRANSACTION READ ONLY;", "ROLLBACK TO SAVEPOINT hoop_probe; RELEASE"),
        ("T", "the batch is half forwarded", "BEGIN READ ONLY;", "ROLLBACK"),
    ],
)
def test_questions_are_read_only_short_and_leave_nothing(
    status: str, side: str, first: str, last: str, judge: Judge
) -> None:
    asking = probe(subject(judge, "DELETE FROM customers"), judge, status, side)
    asked, findings = played(asking, ready(), CUSTOMERS, row(b"2"), complete("SELECT 0"), ready())
    assert text(asked[0]).startswith(first)
    assert "statement_timeout = '2s'" in text(asked[0])
    assert "lock_timeout = '500ms'" in text(asked[0])
    assert text(asked[-1]).startswith(last)
    assert len(asked) == 5
    assert findings.meaning is not None
    assert (findings.meaning.oids, findings.preview.rows) == (("public.customers=16400",), 2)
    assert (b"SHOW DateStyle" in asked[1]) is not bool(side), "the settings of a side connection are its own"
    assert ("second connection" in findings.preview.note) == bool(side)


def test_a_target_that_will_not_begin_is_left_as_it_was(judge: Judge) -> None:
    asked, findings = played(
        probe(subject(judge, "DELETE FROM customers"), judge, "I"), error("57P03", "starting up"), ready()
    )
    assert [text(each) for each in asked][1:] == ["ROLLBACK"]
    assert findings.preview.note == "no preview: starting up"
    assert findings.meaning is None


# --- what is not asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", ["DELETE FROM customers WHERE evil(id)", "DO $$ BEGIN END $$", "LOCK customers"])
def test_a_statement_that_may_run_code_is_not_even_counted(sql: str, judge: Judge) -> None:
    asking = probe(subject(judge, sql), judge, "I")
    asked = [next(asking)]
    try:
        while True:
            asked.append(asking.send([]))
    except StopIteration as stop:
        shown = stop.value.preview
    assert not [each for each in asked if "customers WHERE" in text(each) or "LOCK" in text(each)]
    assert shown.note.startswith("no preview: ")
    assert shown.rows is None


# --- what the target would refuse ----------------------------------------------------------------------------------------


MISSPELT = "DELETE FROM customers WHERE ide = 7"
ABSENT = error("42703", f"no column {KEY.decode()}")


def unread(judge: Judge, sql: str, *values: bytes) -> Subject:
    return replace(subject(judge, sql, *values), unread=True)


def test_the_statement_itself_is_prepared_and_what_it_lacks_is_the_answer(judge: Judge) -> None:
    asked, findings = played(
        probe(unread(judge, MISSPELT), judge, "I"), ready("T"), CUSTOMERS, ABSENT + ready("E"), ready()
    )
    assert asked[2] == parse("", MISSPELT) + describe("S", "") + SYNC
    assert text(asked[3]) == "ROLLBACK"
    assert findings.refusal == Refusal("42703", "no column [api_key]", "")
    assert findings.preview == Preview()


@pytest.mark.parametrize(
    ("status", "again"),
    [
        ("I", "ROLLBACK; BEGIN READ ONLY; SET LOCAL statement_timeout"),
        ("T", "ROLLBACK TO SAVEPOINT hoop_probe; SET TRANSACTION READ ONLY; SET LOCAL statement_timeout"),
    ],
)
@pytest.mark.parametrize("sqlstate", ["55P03", "57014", "42804", "42501"])
def test_of_any_other_error_it_is_not_sure_and_counts_all_the_same(
    sqlstate: str, status: str, again: str, judge: Judge
) -> None:
    asking = probe(unread(judge, "DELETE FROM customers"), judge, status)
    answers = (error(sqlstate) + ready("E"), ready("T"), row(b"3"), complete("SELECT 0"), ready(status))
    asked, findings = played(asking, ready("T"), CUSTOMERS, *answers)
    assert text(asked[3]).startswith(again)
    assert (findings.refusal, findings.preview.rows) == (None, 3)


def test_an_error_of_a_question_is_not_the_statements_own(judge: Judge) -> None:
    """It may quote a value of a masked column: nobody's but the reviewers', and masked."""
    answers = (PARSED, error("42P01", 'relation "secret" does not exist'), ready())
    asking = probe(unread(judge, "DELETE FROM customers WHERE name::regclass = 0"), judge, "I")
    assert played(asking, ready("T"), CUSTOMERS, *answers)[1].refusal is None


def test_what_the_target_has_read_is_prepared_for_its_types_alone(judge: Judge) -> None:
    asking = probe(subject(judge, "DELETE FROM customers WHERE id = $1", b"1"), judge, "I")
    answers = (ABSENT + ready("E"), ready("T"), row(b"1"), complete("SELECT 0"), ready())
    assert played(asking, ready("T"), CUSTOMERS, *answers)[1].refusal is None


# --- count and sample ------------------------------------------------------------------------------------------------------


def test_a_count_that_takes_too_long_says_so_and_the_sample_is_left_out(judge: Judge) -> None:
    shown = found(judge, "DELETE FROM customers", error("57014", "canceling statement")).preview
    assert (shown.rows, shown.before, shown.note) == (None, (), "no preview: it took longer than 2 s")


JOINED = "DELETE FROM seen USING orders WHERE orders.customer = seen.id"


@pytest.mark.parametrize(
    ("triggers", "below", "counted"),
    [((), (), True), (("instead",), (), False), ((), ("instead",), False)],
    ids=["writes through", "a trigger", "a trigger of a view below"],
)
def test_a_joined_write_of_a_view_is_counted_where_no_trigger_decides(
    triggers: tuple[str, ...], below: tuple[str, ...], counted: bool, judge: Judge
) -> None:
    known = catalog()
    customers = known.relations["public", "customers"]
    lower = replace(
        customers, oid=2, name="lower", kind="v", triggers=below, shows=((("public", "customers"), ("id",)),)
    )
    seen = replace(customers, oid=1, name="seen", kind="v", triggers=triggers, shows=((("public", "lower"), ("id",)),))
    relations = {**known.relations, ("public", "lower"): lower, ("public", "seen"): seen}
    judge.grounds.refresh(replace(known, version=2, relations=relations))
    asks = [row(b"2") + complete("SELECT 1") + ready("T")] if counted else []
    shown = found(judge, JOINED, *asks, columns("id") + complete("SELECT 0") + ready("T")).preview
    assert shown.rows == (2 if counted else None)
    assert shown.note.startswith("no count: triggers") is not counted


def test_a_joined_write_of_a_view_is_counted_without_its_ctid(judge: Judge) -> None:
    known = catalog()
    seen = replace(known.relations["public", "customers"], oid=1, name="seen", kind="v")
    judge.grounds.refresh(replace(known, version=2, relations={**known.relations, ("public", "seen"): seen}))
    begun = complete("BEGIN") + complete("SET") * 2 + ready("T")
    counts = row(b"2") + complete("SELECT 1") + ready("T")
    sample = columns("id") + complete("SELECT 0") + ready("T")
    asked, _ = played(probe(subject(judge, JOINED), judge, "I"), begun, CUSTOMERS, counts, sample, complete("ROLLBACK"))
    assert "EXISTS (SELECT 1 FROM orders" in text(asked[2])
    assert "ctid" not in text(asked[2])


def test_an_error_of_the_sample_keeps_the_count_and_hides_what_it_quotes(judge: Judge) -> None:
    wrong = error("22P02", f"bad: {KEY.decode()} of Ann")
    shown = found(judge, "DELETE FROM customers", row(b"3"), wrong).preview
    assert (shown.rows, shown.note) == (3, "no preview: bad: [api_key] of Ann")


def test_an_error_that_may_quote_a_masked_column_is_withheld(judge: Judge) -> None:
    asking = subject(judge, "DELETE FROM customers")
    asking.execution.protected = True
    for answers in ((error("22P02", "bad: Ann"), ready()), (row(b"3"), error("22P02", "bad: Ann"), ready())):
        _, findings = played(probe(asking, judge, "I"), ready("T"), CUSTOMERS, *answers)
        assert findings.preview.note.startswith("no preview: the message is withheld")


def test_the_sample_is_masked_like_any_result(judge: Judge) -> None:
    answer = columns("id", "name", "card_number") + row(b"1", KEY, b"4000123412341234") + row(b"2", None, None)
    shown = found(judge, "DELETE FROM customers", row(b"2"), answer).preview
    assert shown.columns == ("id", "name", "card_number")
    assert shown.before == (("1", "[api_key]", "**** **** **** 1234"), ("2", None, None))
    assert shown.after == ()


def test_an_update_shows_before_and_after_with_the_mask_of_the_column_it_goes_into(judge: Judge) -> None:
    described = columns("id", "name", "card_number", "card_number")
    answer = described + row(b"1", b"Ann", b"4000123412341234", b"4000567856785678")
    shown = found(judge, "UPDATE customers SET card_number = '4000567856785678'", row(b"1"), answer).preview
    assert shown.columns == ("id", "name", "card_number")
    assert shown.before == (("1", "Ann", "**** **** **** 1234"),)
    assert shown.after == (("1", "Ann", "**** **** **** 5678"),)


def test_an_insert_needs_no_count_and_is_shown_under_the_columns_it_fills(judge: Judge) -> None:
    answer = columns("column1", "column2", table=0, first=0) + row(b"7", b"4000123412341234")
    shown = found(judge, "INSERT INTO customers (id, card_number) VALUES (7, '4000123412341234')", answer).preview
    assert (shown.rows, shown.columns) == (1, ("id", "card_number"))
    assert shown.before[0][0] == "7"
    assert "40001234" not in str(shown)


def test_an_insert_without_columns_fills_them_in_order(judge: Judge) -> None:
    answer = columns("column1", "column2", table=0, first=0) + row(b"7", b"Ann")
    assert found(judge, "INSERT INTO customers VALUES (7, 'Ann')", answer).preview.columns == ("id", "name")


def test_at_most_five_rows_and_no_endless_cell(judge: Judge) -> None:
    answer = columns("id", "name", "card_number") + row(b"1", b"x" * 201, None) * 7
    shown = found(judge, "DELETE FROM customers", row(b"7"), answer).preview
    assert len(shown.before) == 5
    assert shown.before[0][1] == "x" * 200 + "... (201 characters)"


def test_bound_values_are_the_clients_own_with_the_types_that_the_target_gives_them(judge: Judge) -> None:
    asking = probe(subject(judge, "DELETE FROM customers WHERE id = $1", b"1"), judge, "I")
    typed = PARSED + message(b"t", b"\0\1\0\0\0\x14") + NO_DATA + ready("T")
    asked, findings = played(asking, ready("T"), CUSTOMERS, typed, row(b"1"), complete("SELECT 0"), ready())
    assert asked[2] == parse("", "DELETE FROM customers WHERE id = $1", (23,)) + describe("S", "") + SYNC
    counting = split(asked[3])
    assert [kind for kind, _ in counting] == ["P", "B", "D", "E", "S"]
    given = frontend.read_parse(message(b"P", counting[0][1]))
    assert given.parameter_types == (20,), "int8 is what the target made of it"
    bound = frontend.read_bind(message(b"B", counting[1][1]))
    assert (bound.parameters, bound.result_formats) == ((b"1",), (0,))
    assert findings.preview.rows == 1
