"""Slack's JSON, written from the state: objects of Web API answers, interaction payloads, commands and events.

Pure functions of values: no state is changed and nothing is sent. Shapes follow Slack's reference and the payloads in
the test data of slack_bolt and slack_sdk. `echo` is the one trap worth knowing: what Slack hands back is not what the
app sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bots.workspace.state import Channel, Group, Message, Person, Team, View

Json = dict[str, Any]

_BARE_AMPERSAND = re.compile(r"&(?!amp;|lt;|gt;)")


def escape(text: str) -> str:
    """Escape the three characters that mean something in Slack text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def echo(blocks: Sequence[Json]) -> list[Any]:
    """Return blocks as Slack echoes them: flags added, `& < >` of literal text escaped.

    The escaping makes texts longer, so echoed blocks may break limits that the original kept: an app that rebuilds its
    card from them fails with invalid_blocks.
    """
    return [_echo_value(block) for block in blocks]


def _echo_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_echo_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _echo_value(item) for key, item in value.items()}
    match value.get("type"):
        case "plain_text":
            return {**inner, "text": escape(value["text"]), "emoji": value.get("emoji", True)}
        case "mrkdwn":
            return {
                **inner,
                "text": _BARE_AMPERSAND.sub("&amp;", value["text"]),
                "verbatim": value.get("verbatim", False),
            }
        case "text" | "raw_text":
            return {**inner, "text": escape(value["text"])}
        case _:
            return inner


def person_object(person: Person, *, with_email: bool) -> Json:
    """Return the `user` of users.info; the e-mail only with the scope users:read.email."""
    handle = person.name.lower().replace(" ", ".")
    profile = {
        "title": person.title,
        "real_name": person.name,
        "real_name_normalized": person.name,
        "display_name": handle,
        "display_name_normalized": handle,
        "team": person.team_id,
    }
    if with_email and person.email:
        profile["email"] = person.email
    found = {
        "id": person.id,
        "team_id": person.team_id,
        "name": handle,
        "deleted": person.deleted,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 1_700_000_000,
        "profile": profile,
    }
    if person.is_stranger:
        found["is_stranger"] = True
    if person.deleted:
        return found
    return {
        **found,
        "real_name": person.name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": person.is_restricted,
        "is_ultra_restricted": person.is_ultra_restricted,
        "is_email_confirmed": person.is_email_confirmed,
    }


def channel_object(channel: Channel, bot: str) -> Json:
    """Return the `channel` of conversations.info."""
    found: Json = {
        "id": channel.id,
        "created": 1_700_000_000,
        "is_archived": channel.is_archived,
        "is_im": bool(channel.direct_with),
        "is_org_shared": False,
    }
    if channel.direct_with:
        return {**found, "user": channel.direct_with, "is_open": True}
    return {
        **found,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_mpim": False,
        "is_private": channel.is_private,
        "is_general": False,
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_member": bot in channel.members,
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(channel.members),
    }


def group_object(group: Group, team: Team, *, with_users: bool) -> Json:
    """Return one `usergroup` of usergroups.list."""
    found: Json = {
        "id": group.id,
        "team_id": team.id,
        "is_usergroup": True,
        "name": group.handle,
        "handle": group.handle,
        "description": "",
        "is_external": False,
        "date_create": 1_700_000_000,
        "date_update": 1_700_000_000,
        "date_delete": 0,
        "auto_type": None,
        "user_count": len(group.members),
    }
    return {**found, "users": list(group.members)} if with_users else found


def message_object(message: Message, team: Team) -> Json:
    """Return a message as Slack hands it back (answers of chat.*, `message` of an interaction)."""
    found: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text, "team": team.id}
    if message.by_app:
        found |= {"bot_id": team.bot_id, "app_id": team.app_id}
    if message.blocks:
        found["blocks"] = echo(message.blocks)
    if message.thread_ts:
        found["thread_ts"] = message.thread_ts
    if message.edited_ts:
        found["edited"] = {"user": message.user, "ts": message.edited_ts}
    if message.metadata:
        found["metadata"] = message.metadata
    return found


def view_object(view: View, team: Team, values: Mapping[str, Any] | None = None) -> Json:
    """Return a view as Slack hands it back; `values` is what the person typed."""
    body = view.body
    return {
        "id": view.id,
        "team_id": team.id,
        "type": body["type"],
        "blocks": echo(view.blocks),
        "private_metadata": body.get("private_metadata", ""),
        "callback_id": body.get("callback_id", ""),
        "external_id": body.get("external_id", ""),
        "state": {"values": dict(values or {})},
        "hash": view.hash,
        "title": body.get("title", {"type": "plain_text", "text": "Home", "emoji": True}),
        "clear_on_close": body.get("clear_on_close", False),
        "notify_on_close": body.get("notify_on_close", False),
        "close": body.get("close"),
        "submit": body.get("submit"),
        "previous_view_id": view.previous or None,
        "root_view_id": view.root,
        "app_id": team.app_id,
        "app_installed_team_id": team.id,
        "bot_id": team.bot_id,
        "bot_user_id": team.bot_user,
    }


def _interaction(kind: str, person: Person, team: Team) -> Json:
    handle = person.name.lower().replace(" ", ".")
    return {
        "type": kind,
        "user": {"id": person.id, "username": handle, "name": handle, "team_id": person.team_id},
        "api_app_id": team.app_id,
        "token": team.verification_token,
        "team": {"id": team.id, "domain": team.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_click(
    message: Message, channel: Channel, person: Person, team: Team, *, action: Json, trigger: str, response_url: str
) -> Json:
    """Return the block_actions payload of a click on a message; an ephemeral one carries no `message`."""
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(message.visible_to),
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    found = {
        **_interaction("block_actions", person, team),
        "container": container,
        "trigger_id": trigger,
        "channel": {"id": channel.id, "name": "directmessage" if channel.direct_with else channel.name},
        "state": {"values": {}},
        "response_url": response_url,
        "actions": [action],
    }
    return found if message.visible_to else {**found, "message": message_object(message, team)}


def view_click(view: View, person: Person, team: Team, *, action: Json, trigger: str) -> Json:
    """Return the block_actions payload of a click inside a modal or on the home tab."""
    return {
        **_interaction("block_actions", person, team),
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": trigger,
        "view": view_object(view, team),
        "actions": [action],
    }


def view_submission(view: View, person: Person, team: Team, *, values: Json, trigger: str) -> Json:
    """Return the payload of a submitted modal."""
    return {
        **_interaction("view_submission", person, team),
        "trigger_id": trigger,
        "view": view_object(view, team, values),
        "response_urls": [],
    }


def view_closed(view: View, person: Person, team: Team, *, cleared: bool) -> Json:
    """Return the payload of a modal that was closed (sent only when it asked with notify_on_close)."""
    return {
        **_interaction("view_closed", person, team),
        "view": view_object(view, team),
        "is_cleared": cleared,
    }


def action(element: Mapping[str, Any], block_id: str, *, chosen: Mapping[str, Any] | None, value: str, ts: str) -> Json:
    """Return one entry of `actions`; `chosen` is the option of a menu, `value` that of a button or a text box."""
    found: Json = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block_id,
        "action_ts": ts,
    }
    for key in ("text", "style", "confirm", "placeholder"):
        if key in element:
            found[key] = _echo_value(element[key])
    if chosen is not None:
        found["selected_option"] = _echo_value(chosen)
    elif value:
        found["value"] = value
    return found


def command_form(
    channel: Channel, person: Person, team: Team, *, command: str, text: str, trigger: str, response_url: str
) -> dict[str, str]:
    """Return the form of a slash command."""
    return {
        "token": team.verification_token,
        "team_id": team.id,
        "team_domain": team.domain,
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.direct_with else channel.name,
        "user_id": person.id,
        "user_name": person.name.lower().replace(" ", "."),
        "command": command,
        "text": text,
        "api_app_id": team.app_id,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger,
    }


def event_callback(event: Mapping[str, Any], event_id: str, team: Team, now: float) -> Json:
    """Return the Events API wrapper of one event."""
    return {
        "token": team.verification_token,
        "team_id": team.id,
        "api_app_id": team.app_id,
        "event": dict(event),
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(now),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": team.id,
                "user_id": team.bot_user,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }


def home_opened(person: Person, channel: Channel, view: Json | None, ts: str) -> Json:
    """Return the app_home_opened event."""
    found: Json = {
        "type": "app_home_opened",
        "user": person.id,
        "channel": channel.id,
        "tab": "home",
        "event_ts": ts,
    }
    return {**found, "view": view} if view else found
