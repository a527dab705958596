"""The batch that is being read: its own names count at once, and nobody else's before they are known."""

import pytest

from gateway.session.draft import RESERVED, Draft
from gateway.session.names import Change, Portal, Prepared, Space
from gateway.session.session import Session
from gateway.session.stream import Stream
from gateway.sql.parse import read
from gateway.sql.statement import StatementClass
from gateway.wire.frontend import SYNC, bind, execute, message, parse, query
from tests.playbook import PARSED, POLICY, Playbook, ready

READ = "SELECT id FROM orders"


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
