"""A search_path that may have changed is never taken for the old one (enforcement.md 4.2, 34)."""

from gateway.wire.frontend import FLUSH, bind, execute, parse, query
from tests.playbook import Playbook, complete, error, ready, row


def _runs(name: str, sql: str) -> bytes:
    return parse(name, sql) + bind(name, name) + execute(name)


def test_what_follows_a_held_flush_in_the_same_batch_is_judged_by_the_path_set_in_it() -> None:
    play = Playbook()
    play.client(_runs("a", "DELETE FROM customers WHERE id = 1"), _runs("b", "SET search_path = other"), FLUSH)
    assert play.session.draft.batch.repaths


def test_a_question_for_the_path_that_failed_is_asked_again() -> None:
    play = Playbook()
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready())
    assert play.to_target() == query("SHOW search_path")
    play.target(error("57014"), ready())
    assert play.to_target() == query("SHOW search_path")
    play.client(query("SELECT * FROM orders"))
    assert play.to_target() == b""
    play.target(row(b"other"), complete("SHOW"), ready())
    assert play.to_target() == query("SELECT * FROM orders")
    assert play.recorded("statement")[0]["tables"] == ["other.orders"]
