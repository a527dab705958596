"""A search_path that may have changed is never taken for the old one (enforcement.md 4.2, 34)."""

import pytest

from gateway.wire.frontend import FLUSH, bind, execute, message, parse, query
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


@pytest.mark.parametrize("back", ["RESET ALL", "DISCARD ALL"])
def test_everything_is_taken_back_without_a_question_where_nothing_has_changed_the_path(back: str) -> None:
    """As pools do each time a connection comes back to them."""
    play = Playbook()
    for text in (back, "SET work_mem = '1MB'", back):
        play.client(query(text))
        assert play.to_target() == query(text)
        play.target(complete(text.split(maxsplit=1)[0]), ready())
        assert play.to_target() == b""


@pytest.mark.parametrize("moves", ["SET search_path = other", "BEGIN; SET LOCAL search_path = other; ROLLBACK"])
@pytest.mark.parametrize("back", ["RESET ALL", "DISCARD ALL"])
def test_it_is_asked_for_where_the_path_was_changed_before(moves: str, back: str) -> None:
    play = Playbook()
    play.client(query(moves))
    play.target(*(complete(each.split(maxsplit=1)[0]) for each in moves.split("; ")), ready())
    play.target(row(b"other"), complete("SHOW"), ready())
    play.to_target()
    play.client(query(back))
    assert play.to_target() == query(back)
    play.target(complete(back.removesuffix(" ALL")), ready())
    assert play.to_target() == query("SHOW search_path")


def test_it_is_asked_for_where_the_target_has_told_of_another() -> None:
    play = Playbook()
    play.target(message(b"S", b"search_path\0other\0"))
    play.target(row(b"other"), complete("SHOW"), ready())
    play.to_target()
    play.client(query("RESET ALL"))
    play.target(complete("RESET"), ready())
    assert play.to_target().endswith(query("SHOW search_path"))
