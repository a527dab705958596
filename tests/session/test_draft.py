"""The batch that is being read: its own names count at once, and nobody else's before they are known."""

import pytest

from gateway.policy.model import load
from gateway.session import events as ev
from gateway.session.draft import RESERVED, Draft
from gateway.session.names import Change, Portal, Prepared, Space
from gateway.session.session import Session
from gateway.session.stream import Stream
from gateway.sql.parse import read
from gateway.sql.statement import StatementClass
from gateway.wire.frontend import FLUSH, SYNC, bind, execute, message, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, complete, error, ready
from tests.session.test_shortway import Twins
from tests.session.test_shortway_writes import CLOSED, MASKED, OPENED

READ = "SELECT id FROM orders"
READ_BY_NAME = "SELECT id FROM customers WHERE name = $1"


def prepared(sql: str) -> Prepared:
    return Prepared(sql, read(sql), shown=sql)


def draft() -> Draft:
    return Playbook().session.draft


def test_a_name_of_the_batch_stands_before_the_confirmed_one() -> None:
    made = draft()
    old, new = prepared("SELECT 1"), prepared("SELECT 2")
    made._talk.names.statements["s"] = old
    assert made.statement("s") is old
    made.note(Change(Space.STATEMENT, "s", new))
    assert made.statement("s") is new
    made.note(Change(Space.STATEMENT, "s"))
    assert made.statement("s") is None, "closed in this batch"
    assert made._talk.names.statements["s"] is old, "the target has confirmed nothing"


def test_forgetting_all_forgets_confirmed_and_own() -> None:
    made = draft()
    made._talk.names.portals["a"] = Portal(prepared(READ), read(READ))
    made.note(Change(Space.PORTAL, "b", Portal(prepared(READ), read(READ))))
    made.note(Change(Space.PORTAL, None))
    assert (made.portal("a"), made.portal("b")) == (None, None)


def test_a_name_on_its_way_is_waited_for_unless_the_batch_gives_it_itself() -> None:
    made = draft()
    made._talk.names.sent(Change(Space.STATEMENT, "s", prepared(READ)))
    assert made.uncertain(Space.STATEMENT, "s")
    assert not made.names_known(read("EXECUTE s"))
    made.note(Change(Space.STATEMENT, "s", prepared(READ)))
    assert not made.uncertain(Space.STATEMENT, "s")
    assert made.names_known(read("EXECUTE s"))


def test_a_portal_closed_in_its_batch_is_not_executed() -> None:
    play = Playbook()
    play.client(parse("", READ), bind("p", ""), message(b"C", b"Pp\0"), execute("p"), SYNC)
    assert execute("p") not in play.to_target()
    assert not play.recorded("statement")


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_of_the_gateways_own_end_the_session(name: str) -> None:
    play = Playbook()
    assert play.client(parse("", READ), bind(name, ""), SYNC)[-1] == "close"


def test_a_batch_that_changes_the_path_is_not_judged_by_the_old_one() -> None:
    play = Playbook()
    play.client(query(f"SET search_path = other; {READ}"))
    held = play.session.holding._held
    assert held is not None
    assert [StatementClass.OPAQUE in each.statement.classes for each in held.executions] == [False, True]


def test_the_session_reads_into_the_draft_and_leaves_none_behind() -> None:
    play = Playbook()
    assert isinstance(play.session, Session)
    assert isinstance(play.session.stream, Stream)
    play.client(parse("s", READ))
    assert [part.raw for part in play.session.draft.batch.parts] == [parse("s", READ)]
    play.client(SYNC)
    assert play.session.draft.batch.parts == []
    play.target(PARSED, ready())


def test_user_code_beside_a_write_is_judged_anew_as_what_it_may_do() -> None:
    play = Playbook(POLICY.replace("statements: [write, ddl,", "statements: [ddl,"))
    play.client(query("SELECT reader(1); INSERT INTO orders VALUES (1)"))
    held = play.session.holding._held
    assert held is not None
    assert held.executions[0].statement.guarded is False
    assert StatementClass.OPAQUE in held.executions[0].statement.classes


# --- rows of an executemany: the judgement of the first holds for the next, as long as nothing else happens ---------------

ROW = bind("", "s", [b"7"]) + execute("")
UPDATE = "UPDATE customers SET name = $1 WHERE id = 1"


def rows(policy: str = MASKED, text: str = UPDATE) -> Twins:
    """A prepared statement, executed once: twice as many rows as go the short way in one turn follow."""
    twins = Twins(policy)
    twins.one.session.short.shut = True
    twins.give(ev.Tick())
    twins.client(parse("s", text) + SYNC)
    twins.target(PARSED + ready())
    return twins


def once(text: str) -> bytes:
    return parse("", text) + bind("", "") + execute("")


def test_it_is_judged_once() -> None:
    twins = rows()
    twins.client(ROW * 5 + SYNC)
    verdicts = [
        [each.verdict for reply in side.session.talk.replies for each in reply.executions]
        for side in (twins.one, twins.two)
    ]
    assert [len(each) for each in verdicts] == [5, 5]
    assert [len(set(map(id, each))) for each in verdicts] == [1, 5]


@pytest.mark.parametrize(
    "between",
    [
        once("SET search_path = other"),
        once("SET DateStyle = 'German'"),
        once("SET application_name = 'x'"),
        once("SET default_transaction_read_only = on"),
        once("SET hoop.reason = 'because'"),
        once("BEGIN"),
        once("COMMIT"),
        once("ROLLBACK"),
        once("CREATE TEMP TABLE customers (id int)"),
        once("CREATE TABLE fresh AS SELECT card_number AS name FROM customers"),
        once("DO 'BEGIN END'"),
        once("SELECT reader(1)"),
        once("SELECT evil(1)"),
        once("DELETE FROM orders"),
        once(""),
        query("SELECT 1"),
        parse("s2", UPDATE) + bind("", "s2", [b"7"]) + execute(""),
        bind("", "s", [b"[redacted]"]) + execute(""),
        bind("", "s", [b"4111111111111111"]) + execute(""),
        bind("p", "s", [b"7"]) + execute("p", 1) + execute("p"),
        message(b"C", b"Ss\0"),
        FLUSH,
        SYNC,
    ],
    ids=lambda data: data[6:50].decode("ascii", "replace").replace("\0", " "),
)
@pytest.mark.parametrize("policy", ["allowed", "held"])
def test_what_comes_between_two_rows_counts_for_the_second(between: bytes, policy: str) -> None:
    twins = rows(MASKED if policy == "allowed" else POLICY, UPDATE if policy == "allowed" else READ_BY_NAME)
    twins.client(ROW * 2 + between + ROW * 2 + SYNC)


@pytest.mark.parametrize("event", [ev.PolicyChanged(load(POLICY)), ev.CatalogChanged(None), ev.Tick()])
def test_what_happens_between_two_rows_counts_for_the_second(event: ev.Event) -> None:
    twins = rows()
    twins.client(ROW * 2)
    twins.give(event)
    twins.client(ROW * 2 + SYNC)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("SET DateStyle = 'German'", "SET"),
        ("SET application_name = 'psql'", "SET"),
        ("SET search_path = other", "SET"),
        ("BEGIN", "BEGIN"),
        ("CREATE TEMP TABLE customers (id int)", "CREATE TABLE"),
    ],
)
def test_what_comes_between_two_batches_counts_for_the_second(text: str, tag: str) -> None:
    """However fast: by the clock nothing has passed."""
    twins = rows(MASKED, "UPDATE customers SET name = 'x' WHERE id = $1")
    data, answer = ROW * 2 + SYNC, (BOUND + complete("UPDATE 1")) * 2 + ready()
    twins.client(data)
    for chunk in (OPENED, answer, CLOSED):
        twins.target(chunk)
    twins.client(query(text))
    twins.target(complete(tag) + ready("T" if text == "BEGIN" else "I"))
    twins.client(data)


@pytest.mark.parametrize("event", [ev.PolicyChanged(load(POLICY)), ev.CatalogChanged(None)])
def test_what_happens_between_two_batches_counts_for_the_second(event: ev.Event) -> None:
    twins = rows()
    twins.client(ROW * 2 + SYNC)
    for chunk in (OPENED, (BOUND + complete("UPDATE 1")) * 2 + ready(), CLOSED):
        twins.target(chunk)
    twins.give(event)
    twins.client(ROW * 2 + SYNC)


def test_what_an_aborted_transaction_lets_go_is_judged_anew_behind_its_end() -> None:
    """There the target refuses it itself; behind a ROLLBACK that was not answered yet people are asked."""
    twins = rows(POLICY)
    for text, answer in (
        ("BEGIN", complete("BEGIN") + ready("T")),
        ("SELECT 1/0", error("22012") + ready("E")),
    ):
        twins.client(query(text))
        twins.target(answer)
    twins.client(ROW + ROW + SYNC)
    twins.target(error("25P02") + ready("E"))
    twins.client(query("ROLLBACK") + ROW + SYNC)
    twins.target(complete("ROLLBACK") + ready())
    assert twins.one.session.holding.active


def test_a_portal_that_goes_on_behind_another_path_is_judged_anew() -> None:
    twins = rows(text=READ_BY_NAME)
    goes_on = bind("p", "s", [b"7"]) + execute("p", 1) + execute("p", 1)
    twins.client(goes_on + once("SET search_path = other") + execute("p") + SYNC)
