"""Payloads by value: the escaping of echoed blocks, and that the real slack_bolt and slack_sdk read ours."""

from __future__ import annotations

from typing import Any

import pytest
from slack_bolt.request.internals import extract_channel_id, extract_team_id, extract_user_id
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View as SdkView
from slack_sdk.models.views import ViewState

from bots.workspace import Workspace, check, payloads
from bots.workspace.methods import add_view
from bots.workspace.state import Message, Person, State

SQL = "a < 1 & b > 2"
BLOCKS: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "x & y &amp; <@U1>"}},
    {"type": "header", "text": {"type": "plain_text", "text": SQL}},
    {
        "type": "rich_text",
        "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": SQL}]}],
    },
    {"type": "table", "rows": [[{"type": "raw_text", "text": SQL}]]},
    {
        "type": "actions",
        "elements": [{"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": SQL}],
    },
]
ESCAPED = "a &lt; 1 &amp; b &gt; 2"


@pytest.fixture
async def state() -> State:
    workspace = Workspace()
    workspace.add_person("Bob Smith", "bob@example.com", "DBA")
    workspace.add_channel("db", ["Bob Smith"])
    return workspace.state


def test_echoed_text_is_escaped_and_values_are_not() -> None:
    section, header, code, table, actions = payloads.echo(BLOCKS)
    assert section["text"] == {"type": "mrkdwn", "text": "x &amp; y &amp; <@U1>", "verbatim": False}
    assert header["text"] == {"type": "plain_text", "text": ESCAPED, "emoji": True}
    assert code["elements"][0]["elements"][0]["text"] == ESCAPED
    assert table["rows"][0][0]["text"] == ESCAPED
    assert actions["elements"][0]["value"] == SQL
    assert BLOCKS[1]["text"]["text"] == SQL


def test_an_echoed_card_can_break_the_limits_that_the_original_kept() -> None:
    sent = [{"type": "header", "text": {"type": "plain_text", "text": "&" * 150}}]
    assert check(sent) is None
    assert "must be less than 151" in (check(payloads.echo(sent)) or "taken")


def message_of(state: State, **more: Any) -> Message:
    return state.add_message(state.channel("db").id, text="card", blocks=BLOCKS, **more)


def click_of(state: State, message: Message, person: Person) -> dict[str, Any]:
    button = message.blocks[4]["elements"][0]
    act = payloads.action(button, "b", chosen=None, value=button["value"], ts="1.2")
    channel = state.channel("db")
    return payloads.message_click(message, channel, person, state.team, action=act, trigger="t", response_url="u")


async def test_bolt_finds_who_and_where_in_a_click(state: State) -> None:
    bob = state.person("Bob Smith")
    payload = click_of(state, message_of(state), bob)
    found = (extract_team_id(payload), extract_user_id(payload), extract_channel_id(payload))
    assert found == (state.team.id, bob.id, state.channel("db").id)
    assert payload["user"]["username"] == "bob.smith"
    assert Block.parse_all(payload["message"]["blocks"])


async def test_a_click_in_a_thread_names_the_thread(state: State) -> None:
    message = message_of(state, thread_ts="1.1")
    payload = click_of(state, message, state.person("Bob Smith"))
    assert (payload["container"]["thread_ts"], payload["message"]["thread_ts"]) == ("1.1", "1.1")


async def test_the_sdk_reads_our_views(state: State) -> None:
    body = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": BLOCKS[:1]}
    view = add_view(state, state.person("Bob Smith").id, body, None)
    found = SdkView(**payloads.view_object(view, state.team, {"b": {"a": {"type": "plain_text_input", "value": "x"}}}))
    assert found.id == view.id
    assert isinstance(found.state, ViewState)
    assert found.state.to_dict()["values"]["b"]["a"]["value"] == "x"


async def test_a_command_form_has_the_documented_fields(state: State) -> None:
    form = payloads.command_form(
        state.channel("db"),
        state.person("Bob Smith"),
        state.team,
        command="/hoop",
        text="help",
        trigger="t",
        response_url="u",
    )
    assert form.keys() >= {
        "token", "team_id", "team_domain", "channel_id", "channel_name", "user_id", "user_name", "command", "text",
        "api_app_id", "response_url", "trigger_id",
    }  # fmt: skip
    assert all(isinstance(value, str) for value in form.values())
