"""The Web API methods, each a function `(state, args) -> answer`; `METHODS` says which token and scopes a method needs.

Arguments are checked here and refused with Slack's own error codes (`ApiError`). HTTP, tokens, rate limits and faults are
api.py's business. What is not in `METHODS` is `unknown_method`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bots.workspace import limits, payloads
from bots.workspace.payloads import Json
from bots.workspace.state import Channel, Message, Person, State, Trigger, View

Args = Mapping[str, Any]


class ApiError(Exception):
    """A Web API error: Slack's code, and what else stands in the answer."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more

    @classmethod
    def because(cls, problem: limits.Problem) -> ApiError:
        """Build the answer that Slack gives to content that breaks a limit."""
        line = f"{problem.message} [json-pointer:{problem.pointer}]"
        return cls(problem.error, errors=[line], response_metadata={"messages": [f"[ERROR] {line}"]})


def _structure(args: Args, name: str, error: str) -> Any:
    """Return an argument that is JSON: as it stands in a JSON body, as a string in a form."""
    value = args.get(name)
    if isinstance(value, str) and value:
        try:
            return json.loads(value)
        except ValueError:
            raise ApiError(error) from None
    return value


def _blocks(args: Args) -> list[Json] | None:
    blocks = _structure(args, "blocks", "invalid_blocks_format")
    if not blocks:
        return [] if isinstance(blocks, list) else None
    if not isinstance(blocks, list):
        raise ApiError("invalid_blocks_format")
    if problem := limits.find_problem(blocks):
        raise ApiError.because(problem)
    return blocks


def _text(args: Args, most: int) -> str:
    text = args.get("text") or ""
    if not isinstance(text, str):
        raise ApiError("invalid_arguments")
    if problem := limits.find_text_problem(text, most):
        raise ApiError.because(problem)
    return text


def _metadata(args: Args) -> Json:
    found = _structure(args, "metadata", "invalid_metadata_format")
    if not found:
        return {}
    kind = found.get("event_type") if isinstance(found, dict) else None
    if not isinstance(kind, str) or not isinstance(found.get("event_payload"), dict):
        raise ApiError("invalid_metadata_schema")
    if not 0 < len(kind) <= limits.METADATA_EVENT_TYPE:
        raise ApiError("invalid_metadata_schema")
    return dict(found)


def _flag(args: Args, name: str) -> bool:
    return args.get(name) in {True, "true", "True", "1"}


def _channel(state: State, args: Args) -> Channel:
    """Return the channel of an argument: by id or #name, or the direct message with a person given by id."""
    ref = str(args.get("channel") or "")
    person = state.people.get(ref)
    if person and person.id != state.team.bot_user:
        return state.direct(person)
    try:
        return state.channel(ref)
    except LookupError:
        raise ApiError("channel_not_found") from None


def _writable(state: State, args: Args) -> Channel:
    channel = _channel(state, args)
    if channel.is_archived:
        raise ApiError("is_archived")
    if state.team.bot_user not in channel.members:
        if channel.is_private:
            raise ApiError("channel_not_found")
        if "chat:write.public" not in state.scopes:
            raise ApiError("not_in_channel")
    return channel


def _own_message(state: State, args: Args, refusal: str) -> Message:
    """Return a message of the app in a channel given by id; `refusal` is for the messages of others."""
    channel = state.channels.get(str(args.get("channel") or ""))
    if channel is None:
        raise ApiError("channel_not_found")
    if channel.is_archived:
        raise ApiError("is_archived")
    message = state.message(channel.id, str(args.get("ts") or ""))
    if message is None:
        raise ApiError("message_not_found")
    if not message.by_app:
        raise ApiError(refusal)
    return message


def _person(state: State, user: object) -> Person:
    found = state.people.get(str(user or ""))
    if found is None:
        raise ApiError("user_not_found")
    return found


def auth_test(state: State, _args: Args) -> Json:
    """Say who the token belongs to."""
    team = state.team
    return {
        "url": f"{state.base_url}/",
        "team": team.name,
        "user": state.people[team.bot_user].name,
        "team_id": team.id,
        "user_id": team.bot_user,
        "bot_id": team.bot_id,
        "is_enterprise_install": False,
    }


def post_message(state: State, args: Args) -> Json:
    """Post to a channel, a thread or a person."""
    channel = _writable(state, args)
    text, blocks, metadata = _text(args, limits.POST_TEXT), _blocks(args), _metadata(args)
    if not text and not blocks:
        raise ApiError("no_text")
    thread_ts = str(args.get("thread_ts") or "")
    if thread_ts and state.message(channel.id, thread_ts) is None:
        raise ApiError("thread_not_found")
    message = state.add_message(channel.id, text=text, blocks=blocks or (), thread_ts=thread_ts)
    message.metadata = metadata
    message.broadcast = _flag(args, "reply_broadcast")
    state.changed()
    return {"channel": channel.id, "ts": message.ts, "message": payloads.message_object(message, state.team)}


def update_message(state: State, args: Args) -> Json:
    """Change a message of the app. Text without blocks removes the blocks; only then is it marked as edited."""
    message = _own_message(state, args, "cant_update_message")
    text, blocks = _text(args, limits.UPDATE_TEXT), _blocks(args)
    if not text and blocks is None:
        raise ApiError("no_text")
    new_blocks = blocks or []
    if _only_rich_text(message.blocks) and new_blocks and not _only_rich_text(new_blocks):
        raise ApiError("block_mismatch")
    message.text = text or message.text
    message.blocks = state.named(new_blocks)
    message.metadata = _metadata(args) or message.metadata
    message.warnings.clear()
    if not new_blocks:
        message.edited_ts = state.new_ts()
    state.changed()
    return {
        "channel": message.channel,
        "ts": message.ts,
        "text": message.text,
        "message": payloads.message_object(message, state.team),
    }


def _only_rich_text(blocks: list[Json]) -> bool:
    return bool(blocks) and all(block["type"] == "rich_text" for block in blocks)


def post_ephemeral(state: State, args: Args) -> Json:
    """Show a message to one person of a channel, who has it until the page is reloaded in Slack, here until dismissed."""
    channel = _writable(state, args)
    text, blocks = _text(args, limits.POST_TEXT), _blocks(args)
    if not text and not blocks:
        raise ApiError("no_text")
    user = str(args.get("user") or "")
    if user not in channel.members:
        raise ApiError("user_not_in_channel")
    thread_ts = str(args.get("thread_ts") or "")
    message = state.add_message(channel.id, text=text, blocks=blocks or (), thread_ts=thread_ts, visible_to=user)
    state.changed()
    return {"message_ts": message.ts}


def delete_message(state: State, args: Args) -> Json:
    """Delete a message of the app."""
    message = _own_message(state, args, "cant_delete_message")
    state.drop_message(message)
    state.changed()
    return {"channel": message.channel, "ts": message.ts}


def _view_body(args: Args, kind: str) -> Json:
    body = _structure(args, "view", "invalid_arguments")
    if not isinstance(body, dict) or body.get("type") != kind:
        raise ApiError.because(limits.Problem("invalid_arguments", f"view.type should be {kind}", "/view/type"))
    if problem := limits.find_view_problem(body):
        raise ApiError.because(problem)
    return body


def _spend_trigger(state: State, args: Args) -> Trigger:
    key = args.get("trigger_id")
    if not key:
        raise ApiError("invalid_arguments")
    trigger = state.triggers.get(str(key))
    if trigger is None:
        raise ApiError("invalid_trigger_id")
    if state.clock() > trigger.expires:
        raise ApiError("expired_trigger_id")
    if trigger.used:
        raise ApiError("exchanged_trigger_id")
    trigger.used = True
    return trigger


def add_view(state: State, user: str, body: Json, previous: View | None) -> View:
    """Put a modal on a person's screen, on top of `previous` or on its own."""
    view_id = state.new_id("V")
    body = {**body, "blocks": state.named(body["blocks"])}
    root, below = (previous.root, previous.id) if previous else (view_id, "")
    view = View(view_id, user, body, _new_hash(state), root, below)
    state.views[view_id] = view
    return view


def replace_view(state: State, view: View, body: Json) -> None:
    """Change what an open modal shows."""
    view.body = {**body, "blocks": state.named(body["blocks"])}
    view.hash = _new_hash(state)
    view.errors = {}


def _new_hash(state: State) -> str:
    return f"{int(state.clock())}.{secrets.token_hex(4)}"


def _view_answer(state: State, view: View) -> Json:
    return {"view": payloads.view_object(view, state.team)}


def open_view(state: State, args: Args) -> Json:
    """Open a modal for the person whose interaction gave the trigger id; it replaces what they had open."""
    body = _view_body(args, "modal")
    trigger = _spend_trigger(state, args)
    for view in state.open_views(trigger.user):
        state.drop_view(view)
    view = add_view(state, trigger.user, body, None)
    state.changed()
    return _view_answer(state, view)


def push_view(state: State, args: Args) -> Json:
    """Open a modal on top of the one whose interaction gave the trigger id."""
    body = _view_body(args, "modal")
    trigger = _spend_trigger(state, args)
    stack = state.open_views(trigger.user)
    if not stack or trigger.view not in state.views:
        raise ApiError("not_found")
    if len(stack) >= limits.VIEW_DEPTH:
        raise ApiError("push_limit_reached")
    view = add_view(state, trigger.user, body, stack[-1])
    state.changed()
    return _view_answer(state, view)


def update_view(state: State, args: Args) -> Json:
    """Change an open modal, found by view_id or external_id; a stale `hash` is refused."""
    body = _view_body(args, "modal")
    wanted, external = str(args.get("view_id") or ""), str(args.get("external_id") or "")
    found = [v for v in state.views.values() if v.id == wanted or (external and v.body.get("external_id") == external)]
    if not found:
        raise ApiError("not_found")
    if args.get("hash") and args["hash"] != found[0].hash:
        raise ApiError("hash_conflict")
    replace_view(state, found[0], body)
    state.changed()
    return _view_answer(state, found[0])


def publish_view(state: State, args: Args) -> Json:
    """Set a person's home tab."""
    body = _view_body(args, "home")
    if (user := str(args.get("user_id") or "")) not in state.people:
        raise ApiError("invalid_arguments")
    old = state.homes.get(user)
    if old and args.get("hash") and args["hash"] != old.hash:
        raise ApiError("hash_conflict")
    view_id = old.id if old else state.new_id("V")
    named = {**body, "blocks": state.named(body["blocks"])}
    state.homes[user] = View(view_id, user, named, _new_hash(state), view_id)
    state.changed()
    return _view_answer(state, state.homes[user])


def user_info(state: State, args: Args) -> Json:
    """Describe one person."""
    person = _person(state, args.get("user"))
    return {"user": payloads.person_object(person, with_email="users:read.email" in state.scopes)}


def lookup_by_email(state: State, args: Args) -> Json:
    """Find one active person by e-mail, in any case of letters."""
    email = str(args.get("email") or "").lower()
    for person in state.people.values():
        if email and person.email.lower() == email and not person.deleted:
            return {"user": payloads.person_object(person, with_email=True)}
    raise ApiError("users_not_found")


def list_groups(state: State, args: Args) -> Json:
    """List the user groups."""
    with_users = _flag(args, "include_users")
    return {"usergroups": [payloads.group_object(g, state.team, with_users=with_users) for g in state.groups.values()]}


def list_group_users(state: State, args: Args) -> Json:
    """List the members of one user group."""
    group = state.groups.get(str(args.get("usergroup") or ""))
    if group is None:
        raise ApiError("no_such_subteam")
    return {"users": [u for u in group.members if not state.people[u].deleted or _flag(args, "include_disabled")]}


def open_conversation(state: State, args: Args) -> Json:
    """Open the direct message of the app with one person."""
    users = args.get("users") or ""
    names = users if isinstance(users, list) else [u for u in str(users).split(",") if u]
    if not names:
        raise ApiError("users_list_not_supplied")
    if len(names) > 1:
        raise ApiError("method_not_supported_for_channel_type")
    person = _person(state, names[0])
    if person.deleted or person.is_bot:
        raise ApiError("user_disabled" if person.deleted else "cannot_dm_bot")
    channel = state.direct(person)
    state.changed()
    found = payloads.channel_object(channel, state.team.bot_user) if _flag(args, "return_im") else {"id": channel.id}
    return {"channel": found}


def conversation_info(state: State, args: Args) -> Json:
    """Describe one channel."""
    channel = state.channels.get(str(args.get("channel") or ""))
    if channel is None or (channel.is_private and state.team.bot_user not in channel.members):
        raise ApiError("channel_not_found")
    return {"channel": payloads.channel_object(channel, state.team.bot_user)}


def conversation_members(state: State, args: Args) -> Json:
    """List the members of one channel, `limit` (100) a page; the cursor is the place to go on from."""
    channel = state.channels.get(str(args.get("channel") or ""))
    if channel is None or (channel.is_private and state.team.bot_user not in channel.members):
        raise ApiError("channel_not_found")
    start, size = str(args.get("cursor") or "0"), str(args.get("limit") or "100")
    if not (start.isdecimal() and size.isdecimal()):
        raise ApiError("invalid_cursor")
    end = int(start) + int(size)
    following = str(end) if end < len(channel.members) else ""
    return {"members": channel.members[int(start) : end], "response_metadata": {"next_cursor": following}}


def open_connection(state: State, _args: Args) -> Json:
    """Hand out the address of a Socket Mode websocket; its ticket is good for one connection."""
    ticket = secrets.token_hex(16)
    state.tickets.add(ticket)
    base = state.base_url.replace("http", "ws", 1)
    return {"url": f"{base}/link/?ticket={ticket}&app_id={state.team.app_id}"}


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it does, the scopes it needs (all of them), and which kind of token."""

    call: Callable[[State, Args], Json]
    scopes: tuple[str, ...] = ()
    app_token: bool = False


METHODS: Mapping[str, Method] = {
    "auth.test": Method(auth_test),
    "chat.postMessage": Method(post_message, ("chat:write",)),
    "chat.update": Method(update_message, ("chat:write",)),
    "chat.postEphemeral": Method(post_ephemeral, ("chat:write",)),
    "chat.delete": Method(delete_message, ("chat:write",)),
    "views.open": Method(open_view),
    "views.push": Method(push_view),
    "views.update": Method(update_view),
    "views.publish": Method(publish_view),
    "users.info": Method(user_info, ("users:read",)),
    "users.lookupByEmail": Method(lookup_by_email, ("users:read.email",)),
    "usergroups.list": Method(list_groups, ("usergroups:read",)),
    "usergroups.users.list": Method(list_group_users, ("usergroups:read",)),
    "conversations.open": Method(open_conversation, ("im:write",)),
    "conversations.info": Method(conversation_info, ("channels:read",)),
    "conversations.members": Method(conversation_members, ("channels:read",)),
    "apps.connections.open": Method(open_connection, app_token=True),
}
