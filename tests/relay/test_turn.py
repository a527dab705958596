"""One write a turn, before anything that waits for it; what goes in which order, and what happens where nothing can be written."""

from collections.abc import Callable

import pytest

from gateway.errors import GatewayError
from gateway.relay.turn import Turn
from tests.fakes.stores import ListSpool


class Ended:
    """A loop whose turn ends when the test says so, two sessions, and all that happened in order."""

    def __init__(self) -> None:
        self.spool = ListSpool()
        self.later: list[Callable[[], None]] = []
        self.turn = Turn(self.spool, self.later.append)
        self.went: list[tuple[str, object, int]] = []  # who, what, and how much was written by then

    def say(self, who: str, what: bytes) -> None:
        self.spool.record("statement", session=who)
        self.turn.add(lambda data: self._note(who, data), lambda error: self._note(who, error.sqlstate), what)

    def _note(self, who: str, what: object) -> None:
        self.went.append((who, what, len(self.spool.written)))


def test_all_of_a_turn_goes_behind_one_write_and_in_order() -> None:
    loop = Ended()
    for who, what in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        loop.say(who, what)
    assert (loop.went, len(loop.later), loop.turn.waits) == ([], 1, True)
    loop.later.pop()()
    assert loop.went == [("a", b"1", 3), ("b", b"2", 3), ("a", b"3", 3)]
    assert not loop.turn.waits


def test_a_turn_that_was_ended_before_leaves_nothing_to_its_end() -> None:
    loop = Ended()
    loop.say("a", b"1")
    loop.turn.end()
    assert loop.went == [("a", b"1", 1)]
    loop.say("a", b"2")
    for each in loop.later:
        each()
    assert loop.went == [("a", b"1", 1), ("a", b"2", 2)]


def test_nothing_goes_where_nothing_can_be_written() -> None:
    loop = Ended()
    loop.spool.full = True
    loop.say("a", b"1")
    loop.say("b", b"2")
    loop.later.pop()()
    assert loop.went == [("a", "53100", 0), ("b", "53100", 0)]
    with pytest.raises(GatewayError, match="full"):
        loop.turn.end()
    assert len(loop.went) == 2


def test_a_socket_that_fails_keeps_nobody_else_waiting() -> None:
    loop = Ended()

    def fails(_: bytes) -> None:
        raise RuntimeError("gone")

    loop.turn.add(fails, lambda error: loop._note("a", error.sqlstate), b"1")
    loop.say("b", b"2")
    loop.turn.end()
    assert loop.went == [("a", "XX000", 1), ("b", b"2", 1)]
