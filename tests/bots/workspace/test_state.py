"""The state by value: look-ups, lifetimes, names given to blocks, and the signal of a change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bots.workspace import Workspace
from bots.workspace.state import KEPT_SECONDS, State
from tests.fakes.clock import Clock


@pytest.fixture
async def state(clock: Clock) -> State:
    workspace = Workspace(clock=clock)
    workspace.add_person("Bob", "bob@example.com", groups=["dba", "oncall"])
    workspace.add_channel("db", ["Bob"], channel_id="C0123456789")
    return workspace.state


async def test_people_and_channels_are_found_by_id_name_or_themselves(state: State) -> None:
    bob, db = state.person("Bob"), state.channel("#db")
    assert state.person(bob.id) is state.person(bob) is bob
    assert state.channel("C0123456789") is state.channel("db") is state.channel(db) is db
    with pytest.raises(LookupError, match="no person 'Zed'; known: hoop, Bob"):
        state.person("Zed")
    with pytest.raises(LookupError, match="no channel 'x'; known: db"):
        state.channel("x")


async def test_a_person_has_one_direct_message_with_the_app(state: State) -> None:
    bob = state.person("Bob")
    assert state.direct(bob) is state.direct(bob)
    with pytest.raises(LookupError):
        state.channel("")  # a direct message has no name to be found by


async def test_an_ephemeral_is_found_only_for_its_reader(state: State) -> None:
    bob = state.person("Bob").id
    message = state.add_message("C0123456789", text="x", visible_to=bob)
    assert state.message("C0123456789", message.ts) is None
    assert state.message("C0123456789", message.ts, "U1") is None
    assert state.message("C0123456789", message.ts, bob) is message


async def test_blocks_and_elements_get_the_ids_that_are_missing(state: State) -> None:
    button: dict[str, Any] = {"type": "button", "text": {"type": "plain_text", "text": "x"}}
    given: list[dict[str, Any]] = [
        {"type": "actions", "elements": [button, {**button, "action_id": "mine"}]},
        {"type": "divider", "block_id": "d"},
    ]
    actions, divider = state.named(given)
    ids = [element["action_id"] for element in actions["elements"]]
    assert ids[0]
    assert ids[1] == "mine"
    assert actions["block_id"]
    assert divider["block_id"] == "d"
    assert "block_id" not in given[0]  # the app's own blocks are left alone


async def test_expired_keys_are_forgotten_after_an_hour(state: State, clock: Clock) -> None:
    old = state.new_trigger("U1")
    url = state.new_response_url("actions", "C1", "U1")
    clock.now += 60
    state.new_trigger("U1")
    assert old in state.triggers
    clock.now += KEPT_SECONDS + 30 * 60
    state.new_trigger("U1")
    assert old not in state.triggers
    assert url.rpartition("/")[2] not in state.response_urls


async def test_everybody_who_waits_hears_of_a_change(state: State) -> None:
    waiting = [asyncio.create_task(state.next_change()) for _ in range(3)]
    before = state.version
    asyncio.get_running_loop().call_soon(
        state.changed
    )  # after the waiting tasks have started: the loop is first in, first out
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    assert state.version == before + 1
