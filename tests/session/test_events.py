"""Events and effects are values; each event can come at any moment, and each effect has somebody who performs it."""

import ast
import inspect
from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from gateway.relay import relay
from gateway.session import events as ev
from gateway.wire.frontend import query
from tests.bots.samples import PLAIN
from tests.playbook import NOW, Playbook, catalog
from tests.session.test_session import DELETE, held

EVENTS: tuple[ev.Event, ...] = (
    ev.FromClient(b""),
    ev.FromTarget(b""),
    ev.Answered("SELECT 1", Playbook().session.talk.reader.read("SELECT 1")),  # type: ignore[arg-type] # it is small
    ev.SideAnswered(None, "away"),
    ev.Opened("other"),
    ev.Joined("other", PLAIN),
    ev.Granted(PLAIN),
    ev.NotOpened("other", "57P03", "the store is away"),
    ev.Released("other"),
    ev.NotReleased("other", None, "the store is away"),
    ev.Tick(),
    ev.PolicyChanged(Playbook().policy),
    ev.CatalogChanged(catalog()),
    ev.CatalogReloaded(catalog()),
    ev.GoOn(),
    ev.Ended(ev.Why.REVOKED),
    ev.Ended(ev.Why.DRAINING),
    ev.Ended(ev.Why.OVERDUE),
    ev.Ended(ev.Why.STOPPED),
    ev.ClientGone(),
    ev.TargetGone(),
    ev.CancelRequested(),
)


def states() -> list[Playbook]:
    """A session at rest, one with a statement on its way, one that is held, one that is closed."""
    running, holding, closed = Playbook(), Playbook(), Playbook()
    running.client(query("SELECT 1"))
    held(holding, query(DELETE))
    closed.send(ev.ClientGone())
    return [Playbook(), running, holding, closed]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_any_event_may_come_at_any_moment(event: ev.Event) -> None:
    """A late answer, a second end: nothing of the statement runs by it."""
    for play in states():
        lines = play.send(event)
        assert not [line for line in lines if DELETE in line]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_nothing_comes_out_of_a_closed_session_for_the_wire(event: ev.Event) -> None:
    play = states()[3]
    play.send(event)
    told = ev.ToClient | ev.ToTarget | ev.Hold | ev.Release | ev.Close
    assert not [each for each in play.effects if isinstance(each, told)]


def test_the_list_above_is_whole() -> None:
    assert {type(each) for each in EVENTS} | {ev.Ruled} == set(get_args(ev.Event))


def test_the_relay_performs_every_effect() -> None:
    """Its two tables have no default case that would tell."""
    tree = ast.parse(inspect.getsource(relay))
    cases = {ast.unparse(each.cls) for each in ast.walk(tree) if isinstance(each, ast.MatchClass)}
    assert {f"ev.{each.__name__}" for each in get_args(ev.Effect)} <= cases


@pytest.mark.parametrize(
    "kind", dict.fromkeys((*get_args(ev.Event), *get_args(ev.Effect))), ids=lambda kind: kind.__name__
)
def test_they_are_values(kind: type) -> None:
    assert "__slots__" in vars(kind)
    arguments = {each.name: NOW for each in fields(kind)}
    assert kind(**arguments) == kind(**arguments)
    with pytest.raises((FrozenInstanceError, TypeError)):
        kind(**arguments).data = b"other"
