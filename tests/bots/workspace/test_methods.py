"""Each method's own rules, by value: what it refuses, in Slack's codes, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bots.workspace import Workspace
from bots.workspace.methods import METHODS, ApiError
from bots.workspace.state import State
from tests.fakes.clock import Clock

SECTION: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": "a"}}
CODE: dict[str, Any] = {
    "type": "rich_text",
    "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a"}]}],
}
MODAL: dict[str, Any] = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": [SECTION]}


@pytest.fixture
async def workspace(clock: Clock) -> Workspace:
    workspace = Workspace(clock=clock)
    workspace.add_person("Bob", "bob@example.com", "DBA", ["dba"])
    workspace.add_person("Eve", "eve@example.com")
    workspace.add_person("Gone", "gone@example.com", groups=["dba"], deleted=True)
    workspace.add_channel("db", ["Bob"])
    workspace.add_channel("open", ["Bob"], with_app=False)
    workspace.add_channel("secret", ["Bob"], with_app=False, is_private=True)
    workspace.add_channel("old", ["Bob"]).is_archived = True
    return workspace


@pytest.fixture
def state(workspace: Workspace) -> State:
    return workspace.state


def call(state: State, method: str, **args: Any) -> Mapping[str, Any]:
    return METHODS[method].call(state, args)


def refusal(state: State, method: str, **args: Any) -> str:
    with pytest.raises(ApiError) as refused:
        call(state, method, **args)
    return refused.value.error


def channel_id(state: State, name: str) -> str:
    return state.channel(name).id


POSTS: list[tuple[dict[str, Any], str]] = [
    ({"channel": "#nowhere", "text": "x"}, "channel_not_found"),
    ({"text": "x"}, "channel_not_found"),
    ({"channel": "#open", "text": "x"}, "not_in_channel"),
    ({"channel": "#secret", "text": "x"}, "channel_not_found"),
    ({"channel": "#old", "text": "x"}, "is_archived"),
    ({"channel": "#db"}, "no_text"),
    ({"channel": "#db", "text": "x" * 40_001}, "msg_too_long"),
    ({"channel": "#db", "text": "x", "blocks": {"type": "section"}}, "invalid_blocks_format"),
    ({"channel": "#db", "text": "x", "blocks": [{"type": "section"}]}, "invalid_blocks"),
    ({"channel": "#db", "text": "x", "blocks": [SECTION | {"block_id": "a"}] * 2}, "invalid_blocks"),
    (
        {"channel": "#db", "text": "x", "blocks": [{**SECTION, "text": {"type": "mrkdwn", "text": "x" * 3000}}] * 5},
        "msg_blocks_too_long",
    ),
    ({"channel": "#db", "text": "x", "thread_ts": "1.2"}, "thread_not_found"),
    ({"channel": "#db", "text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_schema"),
    ({"channel": "#db", "text": "x", "metadata": "{"}, "invalid_metadata_format"),
]


@pytest.mark.parametrize(("args", "error"), POSTS, ids=[f"{row[1]}-{i}" for i, row in enumerate(POSTS)])
async def test_what_post_message_refuses(state: State, args: dict[str, Any], error: str) -> None:
    assert refusal(state, "chat.postMessage", **args) == error
    assert state.channel("db").messages == []


async def test_an_invalid_block_is_named_as_slack_names_it(state: State) -> None:
    with pytest.raises(ApiError) as refused:
        call(state, "chat.postMessage", channel="#db", text="x", blocks=[{"type": "header", "text": {}}])
    assert refused.value.more["errors"] == ["missing required field: type [json-pointer:/blocks/0/text]"]
    (line,) = refused.value.more["response_metadata"]["messages"]
    assert line.startswith("[ERROR] ")


async def test_chat_write_public_reaches_open_channels(state: State) -> None:
    state.scopes.add("chat:write.public")
    assert call(state, "chat.postMessage", channel="#open", text="x")["ts"]


async def test_a_message_to_a_person_is_a_direct_message(state: State) -> None:
    bob = state.person("Bob")
    answer = call(state, "chat.postMessage", channel=bob.id, text="x")
    assert answer["channel"].startswith("D")
    assert call(state, "conversations.open", users=bob.id)["channel"]["id"] == answer["channel"]
    assert [m.text for m in state.direct(bob).messages] == ["x"]


async def test_timestamps_never_repeat_although_the_clock_stands_still(state: State) -> None:
    stamps = [call(state, "chat.postMessage", channel="#db", text="x")["ts"] for _ in range(3)]
    assert stamps == sorted(set(stamps))


async def test_an_update_with_blocks_keeps_no_edited_mark_and_text_alone_drops_the_blocks(state: State) -> None:
    posted = call(state, "chat.postMessage", channel="#db", text="x", blocks=[SECTION])
    place = {"channel": posted["channel"], "ts": posted["ts"]}
    assert "edited" not in call(state, "chat.update", **place, text="y", blocks=[SECTION, SECTION])["message"]
    after = call(state, "chat.update", **place, text="z")["message"]
    assert "edited" in after
    assert "blocks" not in after
    assert [m.text for m in state.channel("db").messages] == ["z"]


async def test_what_update_refuses(state: State) -> None:
    posted = call(state, "chat.postMessage", channel="#db", text="x", blocks=[CODE])
    place = {"channel": posted["channel"], "ts": posted["ts"]}
    assert refusal(state, "chat.update", channel="#db", ts=posted["ts"], text="y") == "channel_not_found"  # ids only
    assert refusal(state, "chat.update", channel=posted["channel"], ts="1.2", text="y") == "message_not_found"
    assert refusal(state, "chat.update", **place) == "no_text"
    assert refusal(state, "chat.update", **place, text="x" * 4001) == "msg_too_long"
    assert refusal(state, "chat.update", **place, text="y", blocks=[SECTION]) == "block_mismatch"
    said = state.add_message(posted["channel"], user=state.person("Bob").id, text="mine")
    assert refusal(state, "chat.update", channel=posted["channel"], ts=said.ts, text="y") == "cant_update_message"
    assert refusal(state, "chat.delete", channel=posted["channel"], ts=said.ts) == "cant_delete_message"
    call(state, "chat.delete", **place)
    assert refusal(state, "chat.update", **place, text="y") == "message_not_found"


async def test_an_ephemeral_is_for_a_member_and_cannot_be_updated(state: State) -> None:
    bob, eve = state.person("Bob"), state.person("Eve")
    assert refusal(state, "chat.postEphemeral", channel="#db", user=eve.id, text="x") == "user_not_in_channel"
    assert refusal(state, "chat.postEphemeral", channel="#db", user=bob.id) == "no_text"
    ts = call(state, "chat.postEphemeral", channel="#db", user=bob.id, text="x")["message_ts"]
    assert refusal(state, "chat.update", channel=channel_id(state, "db"), ts=ts, text="y") == "message_not_found"


async def test_a_trigger_is_good_once_and_for_three_seconds(state: State, clock: Clock) -> None:
    bob = state.person("Bob")
    assert refusal(state, "views.open", view=MODAL) == "invalid_arguments"
    assert refusal(state, "views.open", trigger_id="1.2.3", view=MODAL) == "invalid_trigger_id"
    first, late = state.new_trigger(bob.id), state.new_trigger(bob.id)
    clock.now += 3
    assert call(state, "views.open", trigger_id=first, view=MODAL)["view"]["id"]
    assert refusal(state, "views.open", trigger_id=first, view=MODAL) == "exchanged_trigger_id"
    clock.now += 0.1
    assert refusal(state, "views.open", trigger_id=late, view=MODAL) == "expired_trigger_id"
    assert len(state.open_views(bob.id)) == 1


async def test_a_bad_view_does_not_spend_the_trigger(state: State) -> None:
    trigger = state.new_trigger(state.person("Bob").id)
    assert refusal(state, "views.open", trigger_id=trigger, view={**MODAL, "type": "home"}) == "invalid_arguments"
    long = {**MODAL, "title": {"type": "plain_text", "text": "x" * 25}}
    assert refusal(state, "views.open", trigger_id=trigger, view=long) == "invalid_arguments"
    assert call(state, "views.open", trigger_id=trigger, view=MODAL)


async def test_views_stack_three_deep(state: State) -> None:
    bob = state.person("Bob").id
    top = call(state, "views.open", trigger_id=state.new_trigger(bob), view=MODAL)["view"]
    assert refusal(state, "views.push", trigger_id=state.new_trigger(bob), view=MODAL) == "not_found"
    for _ in range(2):
        trigger = state.new_trigger(bob, top["id"])
        top = call(state, "views.push", trigger_id=trigger, view=MODAL)["view"]
    assert top["previous_view_id"] != top["root_view_id"]
    trigger = state.new_trigger(bob, top["id"])
    assert refusal(state, "views.push", trigger_id=trigger, view=MODAL) == "push_limit_reached"


async def test_an_update_of_a_view_minds_its_hash(state: State) -> None:
    trigger = state.new_trigger(state.person("Bob").id)
    view = call(state, "views.open", trigger_id=trigger, view={**MODAL, "external_id": "mine"})["view"]
    assert call(state, "views.update", external_id="mine", hash=view["hash"], view=MODAL)
    assert refusal(state, "views.update", view_id=view["id"], hash=view["hash"], view=MODAL) == "hash_conflict"
    assert refusal(state, "views.update", view_id="V1", view=MODAL) == "not_found"


async def test_a_home_tab_is_published_for_a_person_who_exists(state: State) -> None:
    home = {"type": "home", "blocks": [SECTION]}
    bob = state.person("Bob").id
    first = call(state, "views.publish", user_id=bob, view=home)["view"]
    assert call(state, "views.publish", user_id=bob, view=home, hash=first["hash"])["view"]["id"] == first["id"]
    assert refusal(state, "views.publish", user_id=bob, view=home, hash=first["hash"]) == "hash_conflict"
    assert refusal(state, "views.publish", user_id="U1", view=home) == "invalid_arguments"


async def test_people_are_described_with_their_flags(state: State) -> None:
    bob = state.person("Bob")
    found = call(state, "users.info", user=bob.id)["user"]
    assert (found["profile"]["email"], found["is_email_confirmed"], found["is_restricted"]) == (
        "bob@example.com",
        True,
        False,
    )
    assert "is_stranger" not in found
    bob.is_stranger, bob.is_restricted, bob.is_email_confirmed = True, True, False
    found = call(state, "users.info", user=bob.id)["user"]
    assert (found["is_stranger"], found["is_restricted"], found["is_email_confirmed"]) == (True, True, False)
    state.scopes.discard("users:read.email")
    assert "email" not in call(state, "users.info", user=bob.id)["user"]["profile"]
    assert call(state, "users.info", user=state.person("Gone").id)["user"]["deleted"] is True
    assert refusal(state, "users.info", user="U1") == "user_not_found"


async def test_only_active_people_are_found_by_email(state: State) -> None:
    assert call(state, "users.lookupByEmail", email="Bob@Example.com")["user"]["id"] == state.person("Bob").id
    assert refusal(state, "users.lookupByEmail", email="gone@example.com") == "users_not_found"
    assert refusal(state, "users.lookupByEmail", email="") == "users_not_found"


async def test_user_groups(state: State) -> None:
    (group,) = call(state, "usergroups.list", include_users="true")["usergroups"]
    bob, gone = state.person("Bob").id, state.person("Gone").id
    assert (group["handle"], group["users"]) == ("dba", [bob, gone])
    assert call(state, "usergroups.users.list", usergroup=group["id"])["users"] == [bob]
    assert refusal(state, "usergroups.users.list", usergroup="S1") == "no_such_subteam"


async def test_conversations(state: State) -> None:
    info = call(state, "conversations.info", channel=channel_id(state, "open"))["channel"]
    assert (info["name"], info["is_member"], info["is_archived"]) == ("open", False, False)
    assert refusal(state, "conversations.info", channel=channel_id(state, "secret")) == "channel_not_found"
    assert refusal(state, "conversations.open", users="") == "users_list_not_supplied"
    assert refusal(state, "conversations.open", users="U1") == "user_not_found"
    assert refusal(state, "conversations.open", users=state.person("Gone").id) == "user_disabled"
    db = channel_id(state, "db")
    page = call(state, "conversations.members", channel=db, limit=1)
    rest = call(state, "conversations.members", channel=db, cursor=page["response_metadata"]["next_cursor"])
    assert page["members"] + rest["members"] == state.channel("db").members
    assert refusal(state, "conversations.members", channel=db, cursor="x") == "invalid_cursor"
