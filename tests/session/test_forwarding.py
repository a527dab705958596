"""What goes to the target, in which order it is recorded, and what stands in the place of what is refused."""

import pytest

from gateway.session import events as ev
from gateway.session.guard import sure_fail
from gateway.wire.frontend import SYNC, bind, execute, parse, query
from tests.playbook import POLICY, Playbook, complete, ready
from tests.session.test_bypasses import FOREIGN

READ, DROP = "SELECT id FROM orders", "DROP TABLE orders"


def test_each_statement_is_recorded_before_the_bytes_it_is_in() -> None:
    play = Playbook()
    play.client(parse("", READ), bind("", ""), execute(""), parse("", READ), bind("", ""), execute(""), SYNC)
    kinds = [type(each).__name__ for each in play.effects if isinstance(each, ev.Record | ev.ToTarget)]
    assert kinds == ["Record", "Record", "ToTarget"]


def test_what_is_refused_is_replaced_alone_and_recorded() -> None:
    play = Playbook()
    before, behind = parse("", READ) + bind("", "") + execute(""), parse("", READ) + bind("", "") + execute("")
    refused = parse("", DROP) + bind("", "")
    play.client(before, refused, execute(""), behind, SYNC)
    assert play.to_target() == before + refused + sure_fail(ord("E")) + behind + SYNC
    assert [entry["sql"] for entry in play.recorded("refused")] == [DROP]


def test_after_an_error_only_the_sync_goes() -> None:
    """The target skips all up to it; what stands before it would be answered by nobody."""
    play = Playbook()
    play.session.talk.lost = play.session.talk.open_batch = True
    play.client(parse("", READ), bind("", ""), execute(""), SYNC)
    assert play.to_target() == SYNC
    assert not play.recorded("statement")
    assert play.target(ready()) == ["client ZI"]
    play.client(query(READ))
    assert play.to_target() == query(READ)
    play.target(complete("SELECT 0"), ready())


@pytest.mark.parametrize(
    "before", [parse("", "INSERT INTO orders VALUES (1)"), parse("", "BEGIN")], ids=["behind a write", "in a block"]
)
def test_a_text_that_can_not_be_read_is_not_prepared_where_the_batch_may_write(before: bytes) -> None:
    """Its Parse alone goes only where the target keeps it to reading: the gate is open for the whole batch."""
    play = Playbook(POLICY.replace("statements: [write, ddl,", "statements: [ddl,"))
    play.session.talk.accepted = FOREIGN
    play.client(before, bind("", ""), execute(""), parse("f", FOREIGN), SYNC)
    assert parse("f", FOREIGN) not in play.to_target()


def test_a_parse_that_is_refused_for_what_it_may_run_is_recorded() -> None:
    play = Playbook(status="T")
    play.session.talk.accepted = FOREIGN
    play.client(parse("", FOREIGN), SYNC)
    [entry] = play.recorded("refused")
    assert (entry["sql"], entry["sqlstate"], entry["verdict"]) == (FOREIGN, "42501", "deny")
