"""What the workspace holds in memory: people, channels, messages, views, and the short-lived keys Slack hands out.

Only data and the rules of its lifetime live here (a trigger id is good for 3 s and once, a response_url for 30 min and
5 uses), with the clock they are counted by and the signal that something changed. No HTTP and no Slack JSON:
payloads.py writes that; methods.py, answers.py and people.py change what is here and then call `changed`.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5
KEPT_SECONDS = 3600.0
SCOPES = (
    "commands",
    "chat:write",
    "im:write",
    "files:write",
    "users:read",
    "users:read.email",
    "usergroups:read",
    "channels:read",
    "groups:read",
)


@dataclass(frozen=True, slots=True)
class Team:
    """Names and ids that stand in most payloads."""

    id: str
    domain: str
    name: str
    app_id: str
    app_name: str
    bot_id: str
    bot_user: str
    verification_token: str


@dataclass(slots=True, eq=False)
class Person:
    """A member; the flags are Slack's own and may be changed at any time (a test makes somebody a guest)."""

    id: str
    name: str
    email: str
    title: str = ""
    team_id: str = ""
    is_bot: bool = False
    deleted: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_email_confirmed: bool = True


@dataclass(slots=True, eq=False)
class Group:
    """A user group (mention list); it grants nothing."""

    id: str
    handle: str
    members: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Channel:
    """A channel, or a direct message with the app when `direct_with` names the other person."""

    id: str
    name: str
    members: list[str]
    topic: str = ""
    is_private: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False  # Slack Connect: members of another organisation read along
    direct_with: str = ""
    messages: list[Message] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Message:
    """A message as it stands now; `visible_to` is set for an ephemeral one."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    thread_ts: str = ""
    visible_to: str = ""
    by_app: bool = True
    edited_ts: str = ""
    broadcast: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    warnings: dict[tuple[str, str], str] = field(default_factory=dict)  # (person, action_id) -> shown beside it


@dataclass(slots=True, eq=False)
class File:
    """A file that the app uploads: announced, then filled, then shared in a message."""

    id: str
    name: str
    length: int
    content: bytes | None = None


@dataclass(slots=True, eq=False)
class View:
    """An open modal or a published home tab of one person."""

    id: str
    user: str
    body: dict[str, Any]
    hash: str
    root: str
    previous: str = ""
    errors: dict[str, str] = field(default_factory=dict)  # block_id -> text; "" is the whole modal

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The view's blocks as the app sent them."""
        found: list[dict[str, Any]] = self.body["blocks"]
        return found


@dataclass(slots=True)
class Trigger:
    """Permission to open one modal for `user` until `expires`."""

    user: str
    expires: float
    view: str = ""
    used: bool = False


@dataclass(slots=True)
class ResponseUrl:
    """Permission to answer one interaction: where, to whom, about which message, how often and until when."""

    channel: str
    user: str
    message_ts: str
    expires: float
    uses_left: int = RESPONSE_URL_USES


class State:
    """Everything of one workspace; looked up by id, or by name where a person or a test asks."""

    def __init__(self, team: Team, bot: Person, clock: Callable[[], float]) -> None:
        self.team = team
        self.clock = clock
        self.base_url = ""
        self.people: dict[str, Person] = {bot.id: bot}
        self.groups: dict[str, Group] = {}
        self.channels: dict[str, Channel] = {}
        self.ephemerals: list[Message] = []
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.tickets: set[str] = set()
        self.files: dict[str, File] = {}
        self.scopes: set[str] = set(SCOPES)
        self.version = 0
        self._change = asyncio.Event()
        self._numbers = itertools.count(1)
        self._last_micros = 0

    def changed(self) -> None:
        """Wake everybody who waits for a change."""
        self.version += 1
        waiting, self._change = self._change, asyncio.Event()
        waiting.set()

    async def next_change(self) -> None:
        """Wait until `changed` is called."""
        await self._change.wait()

    def new_id(self, prefix: str) -> str:
        """Return a fresh id in Slack's manner: a letter for the kind, then capitals and digits."""
        return f"{prefix}0WS{next(self._numbers):06d}"

    def new_ts(self) -> str:
        """Return a message timestamp `seconds.micros`; always later than the one before."""
        self._last_micros = max(int(self.clock() * 1_000_000), self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def new_trigger(self, user: str, view: str = "") -> str:
        """Return a trigger id for one modal of `user`, good for 3 s."""
        self._forget_expired()
        key = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[key] = Trigger(user, self.clock() + TRIGGER_SECONDS, view)
        return key

    def new_response_url(self, kind: str, channel: str, user: str, message_ts: str = "") -> str:
        """Return a URL to answer one interaction; `kind` is actions or commands, as in Slack's own URLs."""
        key = secrets.token_urlsafe(24)
        self.response_urls[key] = ResponseUrl(channel, user, message_ts, self.clock() + RESPONSE_URL_SECONDS)
        return f"{self.base_url}/{kind}/{self.team.id}/{key}"

    def _forget_expired(self) -> None:
        """Drop keys an hour after they expired: until then a late use gets the right error."""
        keep = self.clock() - KEPT_SECONDS
        self.triggers = {key: t for key, t in self.triggers.items() if t.expires > keep}
        self.response_urls = {key: u for key, u in self.response_urls.items() if u.expires > keep}

    def person(self, who: str | Person) -> Person:
        """Return a person by id, name or the object itself; raises LookupError."""
        if isinstance(who, Person):
            return who
        for person in self.people.values():
            if who in {person.id, person.name}:
                return person
        raise LookupError(f"no person {who!r}; known: {', '.join(p.name for p in self.people.values())}")

    def channel(self, where: str | Channel) -> Channel:
        """Return a channel by id, name or #name, or the object itself; raises LookupError."""
        if isinstance(where, Channel):
            return where
        for channel in self.channels.values():
            if where.removeprefix("#") in {channel.id, channel.name or channel.id}:
                return channel
        raise LookupError(f"no channel {where!r}; known: {', '.join(c.name for c in self.channels.values())}")

    def direct(self, person: Person) -> Channel:
        """Return the direct message of the app with a person, opened if need be."""
        for channel in self.channels.values():
            if channel.direct_with == person.id:
                return channel
        channel = Channel(self.new_id("D"), "", [person.id, self.team.bot_user], direct_with=person.id)
        self.channels[channel.id] = channel
        return channel

    def join_groups(self, person: Person, handles: Iterable[str]) -> None:
        """Put a person into user groups, made as needed."""
        for handle in handles:
            group = next((g for g in self.groups.values() if g.handle == handle), None)
            if group is None:
                group = Group(self.new_id("S"), handle)
                self.groups[group.id] = group
            group.members.append(person.id)

    def message(self, channel: str, ts: str, viewer: str = "") -> Message | None:
        """Return a message of a channel by its ts; with `viewer` also one that only they can see."""
        known = self.channels.get(channel)
        ordinary = known.messages if known else []
        mine = [m for m in self.ephemerals if viewer and m.visible_to == viewer and m.channel == channel]
        return next((m for m in itertools.chain(ordinary, mine) if m.ts == ts), None)

    def open_views(self, user: str) -> list[View]:
        """Return a person's stack of modals, the visible one last."""
        return [view for view in self.views.values() if view.user == user]

    def drop_view(self, view: View) -> None:
        """Close one modal."""
        self.views.pop(view.id, None)

    def add_message(
        self,
        channel: str,
        *,
        user: str = "",
        text: str = "",
        blocks: Iterable[Mapping[str, Any]] = (),
        thread_ts: str = "",
        visible_to: str = "",
    ) -> Message:
        """Append a message of the app, or of `user`; `visible_to` makes it ephemeral."""
        message = Message(
            ts=self.new_ts(),
            channel=channel,
            user=user or self.team.bot_user,
            text=text,
            blocks=self.named(blocks),
            thread_ts=thread_ts,
            visible_to=visible_to,
            by_app=not user,
        )
        (self.ephemerals if visible_to else self.channels[channel].messages).append(message)
        return message

    def drop_message(self, message: Message) -> None:
        """Delete a message, ordinary or ephemeral."""
        holder = self.ephemerals if message.visible_to else self.channels[message.channel].messages
        holder.remove(message)

    def named(self, blocks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return blocks as they are stored: with the block_ids and action_ids that the app left out."""
        found = []
        for block in blocks:
            new_id = secrets.token_urlsafe(4)
            named: dict[str, Any] = {"block_id": new_id, **block}
            if named["type"] == "actions":
                named["elements"] = [{"action_id": f"{new_id}{i}", **e} for i, e in enumerate(named["elements"])]
            for key in {"accessory", "element"} & named.keys():
                named[key] = {"action_id": new_id, **named[key]}
            found.append(named)
        return found
