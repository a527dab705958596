"""What is under way: whether it is what the ordinary way would have recorded and sent, and how a pipeline is counted."""

from dataclasses import replace

import pytest

from gateway.session import events as ev
from gateway.session.flight import Flight, Gathered
from gateway.session.replies import OPEN_AT, PER_TURN
from gateway.wire.frontend import SYNC, bind, execute, parse
from tests.playbook import BOUND, PARSED, complete, ready, whole
from tests.session.test_shortway import Twins
from tests.session.test_shortway_writes import CLOSED, OPENED, with_update

STEP = (b"", bind("", "s", [b"1"]), execute(""))


def flown() -> tuple[Twins, Flight]:
    """A pipeline under way, and what the session that never takes the short way made of the same."""
    twins = with_update()
    twins.two.session.talk.story.forgets = False
    data = b"".join(STEP) * 2 + SYNC
    for _ in range(2):
        twins.client(data)
        for chunk in (OPENED, (BOUND + complete("UPDATE 1")) * 2 + ready(), CLOSED):
            twins.target(chunk)
    twins.one.session.handle(ev.FromClient(data), twins.one.now)
    found = twins.one.session.short.flight
    assert found is not None
    return twins, found


def test_it_is_what_was_recorded_and_sent_and_nothing_else() -> None:
    twins, flight = flown()
    data = b"".join(STEP) * 2 + SYNC
    effects = twins.two.session.handle(ev.FromClient(data), twins.two.now)
    assert flight.is_what(effects)
    alike, second, sent = effects
    assert isinstance(alike, ev.RecordAlike)
    first = whole(alike)
    assert isinstance(first, ev.Record)
    assert isinstance(sent, ev.ToTarget)
    assert flight.is_what([first, second, sent]), "it may be a whole entry as well"
    wrong: list[list[ev.Effect]] = [
        [first, sent],
        [first, second],
        [second, first, sent],
        [first, second, second, sent],
        [first, second, sent, sent],
        [first, second, ev.ToTarget(sent.data + SYNC)],
        [replace(first, kind="finished"), second, sent],
        [replace(alike, values=second.values), second, sent] if isinstance(second, ev.RecordAlike) else [],
        [replace(first, fields={**first.fields, "sql": "SELECT 1"}), second, sent],
        [],
    ]
    assert not any(map(flight.is_what, wrong))


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("parsed", [False, True])
def test_a_pipeline_fills_a_turn_by_messages_or_by_bytes(*, parsed: bool, asked: bool) -> None:
    _, flight = flown()
    step = flight.steps[0]
    step.parsed, step.asked = parsed, asked
    said = (parse("", "SELECT 1") if parsed else b"", *STEP[1:])
    gathered = Gathered("I", 7)
    messages, size = 1, len(SYNC)
    while messages < PER_TURN and size < OPEN_AT:
        assert not gathered.fills_a_turn
        gathered.add(step, said)
        messages, size = messages + 2 + parsed + asked, size + sum(map(len, said))
    assert gathered.fills_a_turn
    assert gathered.number == 7 + len(gathered.steps)
    assert gathered.parsed is parsed
    huge = Gathered("I", 0)
    huge.add(step, (PARSED, b"x" * (OPEN_AT - len(SYNC) - len(PARSED) - 1), b""))
    assert not huge.fills_a_turn
    huge.add(step, (b"", b"x", b""))
    assert huge.fills_a_turn
