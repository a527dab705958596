"""Answers through a response_url, by value; acks of modals are in test_acts.py."""

from __future__ import annotations

from typing import Any

import pytest

from bots.workspace import Workspace
from bots.workspace.answers import post_answer, spend_response_url
from bots.workspace.state import ResponseUrl, State

LONG: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}] * 5


@pytest.fixture
async def state() -> State:
    workspace = Workspace()
    workspace.add_person("Bob", "bob@example.com")
    workspace.add_channel("db", ["Bob"])
    return workspace.state


def grant(state: State, message_ts: str = "") -> ResponseUrl:
    url = state.new_response_url("actions", state.channel("db").id, state.person("Bob").id, message_ts)
    found = spend_response_url(state, url.rpartition("/")[2])
    assert isinstance(found, ResponseUrl)
    return found


async def test_an_answer_may_be_longer_than_a_posted_message(state: State) -> None:
    assert post_answer(state, grant(state), {"blocks": LONG}) == ""
    assert post_answer(state, grant(state), {"blocks": LONG * 11}) == "invalid_blocks"
    assert len(state.ephemerals) == 1


async def test_an_answer_about_a_reply_stays_in_its_thread_for_its_reader(state: State) -> None:
    parent = state.add_message(state.channel("db").id, text="card")
    reply = state.add_message(state.channel("db").id, text="reply", thread_ts=parent.ts)
    assert post_answer(state, grant(state, reply.ts), {"text": "noted"}) == ""
    assert [(m.thread_ts, m.visible_to) for m in state.ephemerals] == [(parent.ts, state.person("Bob").id)]


async def test_there_must_be_an_original_to_replace_or_delete(state: State) -> None:
    assert post_answer(state, grant(state), {"text": "x", "replace_original": True}) == "message_not_found"
    assert post_answer(state, grant(state, "1.2"), {"delete_original": True}) == "message_not_found"


async def test_an_unknown_url_is_invalid(state: State) -> None:
    assert spend_response_url(state, "nothing") == "invalid_url"
