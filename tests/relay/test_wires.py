"""What goes between two sockets: in order, behind its record, and not behind an end."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.metrics import Tally
from gateway.relay.turn import Turn
from gateway.relay.wires import ClientSide, TargetSide, Wires
from gateway.session import events as ev
from gateway.session.gate import CLOSE, OPEN
from tests.fakes.stores import ListSpool
from tests.playbook import NOW, Playbook
from tests.session.test_shortway import ANSWER, READ
from tests.session.test_shortway_writes import CLOSED, DONE, OPENED, UPDATE, WRITES


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's token is good then."""
    monkeypatch.setattr(time, "time", lambda: NOW)


class Socket:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closing = self.aborted = False
        self.unsent = 0

    def write(self, data: bytes) -> None:
        self.got.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Pair:
    """Wires of a session that knows one read and one write, and everything that they told."""

    def __init__(self) -> None:
        book = Playbook(WRITES)
        self.session = book.session
        book.send(ev.Tick())
        for text, answers in ((READ, (ANSWER,)), (UPDATE, (OPENED, DONE, CLOSED))):
            for _ in range(2):
                self.session.handle(ev.FromClient(text), book.now)
                for answer in answers:
                    self.session.handle(ev.FromTarget(answer), book.now)
        self.spool = ListSpool()
        self.later: list[Callable[[], None]] = []
        self.client, self.target = Socket(), Socket()
        self.told: list[Any] = []
        self.passed = Tally()
        client: Any = self.client
        target: Any = self.target
        self.wires = Wires(
            client,
            target,
            self.session.short,
            self.spool,
            Turn(self.spool, self.later.append),
            self.passed,
            lambda data, _: self.told.append(("client", data)),
            lambda data, _: self.told.append(("target", data)),
            self.told.append,
            lambda error: self.told.append(error.sqlstate),
        )

    def over(self) -> None:
        while self.later:
            self.later.pop()()


def test_what_takes_the_short_way_is_sent_behind_its_record() -> None:
    pair = Pair()
    pair.wires.from_client(READ)
    assert (pair.target.got, [kind for kind, _ in pair.spool.kinds()]) == ([], [])
    pair.over()
    assert (pair.target.got, [kind for kind, _ in pair.spool.kinds()]) == ([READ], ["statement"])
    pair.wires.from_target(ANSWER)
    pair.over()
    assert (pair.client.got, [kind for kind, _ in pair.spool.kinds()]) == ([ANSWER], ["statement", "finished"])
    assert (pair.passed.count, pair.told) == (1, [])


@pytest.mark.parametrize("chunks", [(OPENED[:9], OPENED[9:], DONE, CLOSED), (OPENED + DONE + CLOSED,)])
def test_a_write_goes_through_the_gate_behind_its_record_and_nobody_sees_the_gate(chunks: tuple[bytes, ...]) -> None:
    pair = Pair()
    pair.wires.from_client(UPDATE)
    assert (pair.target.got, [kind for kind, _ in pair.spool.kinds()]) == ([], [])
    pair.over()
    assert (pair.target.got, [kind for kind, _ in pair.spool.kinds()]) == ([OPEN + UPDATE + CLOSE], ["statement"])
    for answer in chunks:
        pair.wires.from_target(answer)
        pair.over()
    assert (pair.client.got, [kind for kind, _ in pair.spool.kinds()]) == ([DONE], ["statement", "finished"])
    assert (pair.passed.count, pair.told, pair.session.short.waits) == (1, [], False)


def test_what_the_gate_does_not_say_is_the_relays() -> None:
    """Whatever came of its answer before: the session has that."""
    pair = Pair()
    pair.wires.from_client(UPDATE)
    pair.wires.from_target(OPENED)
    pair.wires.from_target(DONE)
    pair.wires.from_target(CLOSED[:-1] + b"T")
    assert pair.told == [("target", CLOSED[:-1] + b"T")]


def test_a_write_whose_record_can_not_be_written_is_not_sent() -> None:
    pair = Pair()
    pair.wires.from_client(UPDATE)
    pair.spool.full = True
    pair.over()
    assert (pair.target.got, pair.told) == ([], ["53100"])


def test_anything_else_is_the_relays() -> None:
    pair = Pair()
    pair.wires.from_client(b"x")
    pair.wires.from_target(b"y")
    assert pair.told == [("client", b"x"), ("target", b"y")]
    assert not pair.spool.queued


def test_what_can_not_be_written_is_not_sent() -> None:
    pair = Pair()
    pair.wires.from_client(READ)
    pair.spool.full = True
    pair.over()
    assert (pair.target.got, pair.told) == ([], ["53100"])


def test_whatever_goes_wrong_is_told() -> None:
    pair = Pair()
    pair.spool.record = _fails  # type: ignore[method-assign] # the sealing of an entry
    pair.wires.from_client(READ)
    assert [str(each) for each in pair.told] == ["no entry"]


def _fails(*_: object, **__: object) -> Any:
    raise GatewayError("no entry")


def test_what_is_kept_back_goes_in_order() -> None:
    pair = Pair()
    pair.wires.keeps_back = True
    pair.wires.send(b"1")
    pair.wires.send(b"2")
    assert pair.target.got == []
    pair.wires.let_go()
    pair.wires.send(b"3")
    assert pair.target.got == [b"1", b"2", b"3"]


def test_nothing_is_written_to_who_is_gone() -> None:
    pair = Pair()
    pair.client.closing = pair.target.closing = True
    pair.wires.say(b"1")
    pair.wires.send(b"2")
    assert (pair.client.got, pair.target.got) == ([], [])


@pytest.mark.parametrize("kind", [ClientSide, TargetSide])
def test_behind_the_end_nothing_is_taken(kind: type[ClientSide | TargetSide]) -> None:
    pair = Pair()
    side = kind(pair.wires, lambda: pair.told.append("gone"), pair.told.append)
    side.data_received(b"x")
    side.pause_writing()
    side.resume_writing()
    side.connection_lost(None)
    assert [each if isinstance(each, str | bool) else each[1] for each in pair.told] == [b"x", True, False, "gone"]
    pair.wires.close()
    side.data_received(b"y")
    assert len(pair.told) == 4
    assert pair.client.closing
    assert pair.target.closing


@pytest.mark.parametrize(("goodbye", "unsent", "aborted"), [(True, 0, True), (True, 7, False), (False, 0, False)])
def test_only_who_said_goodbye_and_has_everything_is_dropped(goodbye: bool, unsent: int, aborted: bool) -> None:
    """Others are to read why it ends: what is dropped may be lost on its way."""
    pair = Pair()
    pair.client.unsent = unsent
    pair.wires.close(goodbye=goodbye)
    assert pair.client.closing
    assert pair.client.aborted is aborted
    assert not pair.target.aborted
