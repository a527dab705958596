"""A Teams of the tests: the Bot Connector's REST interface with its real limits, and people who click and write.

    teams = await Teams.open(folder)             # its Microsoft gives out keys and tokens
    teams.bot_url = ".../api/messages"
    await teams.install(channel)
    card = await teams.click(bob, message, "Review")
    await teams.click(bob, message, "Deny", reason="...")

A person sees their own view of a message until the bot updates it for everybody. A button that is not on what they see
can't be clicked. Each activity is signed, as the connector does it. Figures and errors: chat.md, 2.1.
"""

import asyncio
import itertools
import json
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from tests.e2e.certificates import self_signed
from tests.fakes.microsoft import HOST, Microsoft

Json = dict[str, Any]
T = TypeVar("T")
APP_ID = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-8888-4777-8666-555555555555"
PASSWORD = "the bot's own secret"
#: Bytes of an activity as UTF-16.
MOST_BYTES = 100 * 1024
#: Messages a conversation takes in so many seconds.
RATES = ((7, 1.0), (8, 2.0), (60, 30.0), (1800, 3600.0))
CARD = "application/vnd.microsoft.card.adaptive"


@dataclass(slots=True)
class User:
    id: str
    name: str
    email: str
    aad: str
    upn: str
    role: str = "user"
    tenant: str = TENANT

    def member(self) -> Json:
        return {
            "id": self.id, "name": self.name, "aadObjectId": self.aad, "email": self.email,
            "userPrincipalName": self.upn, "tenantId": self.tenant, "userRole": self.role,
        }  # fmt: skip


@dataclass(slots=True)
class Channel:
    """A channel of a team, or (`team` empty) a chat."""

    id: str
    team: str
    members: list[User]
    installed: bool = False
    kind: str = "channel"


@dataclass(slots=True)
class Message:
    """A message of the bot's. `views` are what single people see instead, until the next update."""

    id: str
    channel: Channel
    conversation: str
    activity: Json
    updates: int = 0
    views: dict[str, Json] = field(default_factory=dict)

    @property
    def card(self) -> Json:
        """What everybody sees."""
        content: Json = self.activity["attachments"][0]["content"]
        return content

    def seen_by(self, user: User) -> Json:
        return self.views.get(user.id, self.card)

    @property
    def text(self) -> str:
        return text_of(self.card) if self.activity.get("attachments") else str(self.activity.get("text"))


@dataclass(slots=True)
class Failure:
    status: int
    code: str
    retry_after: int | None
    times: int
    body: str | None


class Refusal(Exception):
    def __init__(self, status: int, code: str, retry_after: int | None = None, body: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.body = body


class Teams:
    """See the module's docstring. `relaxed`: no rate limits. `clock` gives seconds for them."""

    def __init__(self, *, relaxed: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.microsoft = Microsoft(APP_ID, PASSWORD, TENANT)
        self.bot_url = ""
        self.channels: dict[str, Channel] = {}
        self.messages: list[Message] = []
        self.calls: list[str] = []
        self._relaxed = relaxed
        self._clock = clock
        self._failures: defaultdict[str, list[Failure]] = defaultdict(list)
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._numbers = itertools.count(1_764_066_000_000)
        self._news = asyncio.Condition()

    # Life ----------------------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, folder: Path, **how: Any) -> Self:
        made = cls(**how)
        made.certificate, key = self_signed(folder)
        await made.microsoft.start(made.certificate, key)
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.add_routes(
            [
                web.post("/emea/v3/conversations", made._guarded("create", made._create)),
                web.post("/emea/v3/conversations/{id}/activities", made._guarded("send", made._send)),
                web.post("/emea/v3/conversations/{id}/activities/{activity}", made._guarded("send", made._send)),
                web.put("/emea/v3/conversations/{id}/activities/{activity}", made._guarded("update", made._update)),
                web.get("/emea/v3/conversations/{id}/members/{user}", made._guarded("member", made._member)),
            ]
        )
        made._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await made._runner.setup()
        await web.TCPSite(made._runner, HOST, 0).start()
        made.service_url = f"http://{HOST}:{made._runner.addresses[0][1]}/emea/"
        made._http = aiohttp.ClientSession()
        return made

    async def close(self) -> None:
        await self._http.close()
        await self._runner.cleanup()
        await self.microsoft.stop()

    certificate: Path
    service_url: str
    _runner: web.AppRunner
    _http: aiohttp.ClientSession

    # Who and where -------------------------------------------------------------------------------------------------

    def person(self, name: str, email: str = "", **more: Any) -> User:
        address = email or f"{name.lower()}@example.com"
        named = uuid.uuid5(uuid.NAMESPACE_DNS, address)
        return User(f"29:{named.hex}", name, address, str(named), more.pop("upn", address), **more)

    def channel(self, members: list[User], name: str = "approvals", team: str = "19:team@thread.tacv2") -> Channel:
        made = Channel(f"19:{name}@thread.tacv2", team, members)
        self.channels[made.id] = made
        return made

    def chat(self, user: User) -> Channel:
        """The personal chat of a user with the bot; it exists once one of both has opened it."""
        made = Channel(f"a:{user.id[3:]}", "", [user], installed=True, kind="personal")
        return self.channels.setdefault(made.id, made)

    def fail(
        self,
        call: str,
        status: int,
        code: str = "",
        *,
        retry_after: int | None = None,
        times: int = 1,
        body: str | None = None,
    ) -> None:
        """Make the next calls (create, send, update, member) fail; `body` is sent instead of the JSON error."""
        self._failures[call].append(Failure(status, code, retry_after, times, body))

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 30.0) -> T:  # noqa: ASYNC109 - wait_for's word
        """The first true value of `predicate`, asked after every call of the bot's."""
        async with asyncio.timeout(timeout), self._news:
            return await self._news.wait_for(predicate)

    def in_channel(self, channel: Channel) -> list[Message]:
        return [each for each in self.messages if each.channel is channel]

    # What people do ------------------------------------------------------------------------------------------------

    async def install(self, channel: Channel, action: str = "add") -> int:
        """Add the app to a channel's team (or remove it): both activities that Teams sends."""
        channel.installed = action == "add"
        change = "membersAdded" if action == "add" else "membersRemoved"
        bot = {"id": f"28:{APP_ID}"}
        await self.deliver(self._activity("conversationUpdate", channel, channel.members[0], **{change: [bot]}))
        status, _ = await self.deliver(self._activity("installationUpdate", channel, channel.members[0], action=action))
        return status

    async def click(self, user: User, message: Message, title: str, **inputs: str) -> Json:
        """Press a button as a client with Action.Execute; returns the card that the user sees from now on."""
        status, answer = await self.invoke(user, message, title, **inputs)
        assert status == 200, (status, answer)
        assert answer["statusCode"] == 200
        assert answer["type"] == CARD
        message.views[user.id] = answer["value"]
        return message.views[user.id]

    async def invoke(self, user: User, message: Message, title: str, **inputs: str) -> tuple[int, Json]:
        """As `click`; what the bot answered, and nothing is redrawn."""
        button = self.button(user, message, title)
        data = {**button["data"], **(inputs if button["associatedInputs"] == "auto" else {})}
        action = {"type": button["type"], "title": title, "verb": button["verb"], "data": data}
        return await self.execute(user, message, action)

    async def execute(self, user: User, message: Message, action: Json) -> tuple[int, Json]:
        """An Action.Execute of any content."""
        activity = self._activity(
            "invoke", message.channel, user, name="adaptiveCard/action", replyToId=message.id,
            value={"action": action, "trigger": "manual"},
        )  # fmt: skip
        activity["conversation"]["id"] = message.conversation
        return await self.deliver(activity)

    async def submit(self, user: User, message: Message, title: str, **inputs: str) -> int:
        """Press a button as a client that knows only its Action.Submit."""
        button = self.button(user, message, title)["fallback"]
        assert button["type"] == "Action.Submit"
        data = {**button["data"], **(inputs if button["associatedInputs"] == "auto" else {})}
        activity = self._activity("message", message.channel, user, value=data, replyToId=message.id)
        activity["conversation"]["id"] = message.conversation
        status, _ = await self.deliver(activity)
        return status

    @staticmethod
    def button(user: User, message: Message, title: str) -> Json:
        card = message.seen_by(user)
        sets = [each["actions"] for each in card.get("body", []) if each["type"] == "ActionSet"]
        on_it = {each["title"]: each for actions in (*sets, card.get("actions", [])) for each in actions}
        assert title in on_it, f"{user.name} sees {list(on_it)}"
        found: Json = on_it[title]
        return found

    async def say(self, user: User, text: str, channel: Channel | None = None, **more: Any) -> int:
        """Write to the bot: in its personal chat, or in a channel, by mention and in a thread."""
        where = channel or self.chat(user)
        if channel is not None:
            mention = {"type": "mention", "mentioned": {"id": f"28:{APP_ID}", "name": "hoop"}, "text": "<at>hoop</at>"}
            more = {"entities": [mention], **more}
            text = f"<at>hoop</at> {text}"
        activity = self._activity("message", where, user, text=text, textFormat="plain", **more)
        if channel is not None:
            activity["conversation"]["id"] += f";messageid={next(self._numbers)}"
        status, _ = await self.deliver(activity)
        return status

    def _activity(self, kind: str, channel: Channel, user: User, **more: Any) -> Json:
        team = {"team": {"id": channel.team}, "channel": {"id": channel.id}} if channel.team else {}
        return {
            "type": kind,
            "id": f"f:{next(self._numbers)}",
            "channelId": "msteams",
            "serviceUrl": self.service_url,
            "from": {"id": user.id, "name": user.name, "aadObjectId": user.aad},
            "recipient": {"id": f"28:{APP_ID}", "name": "hoop"},
            "conversation": {"id": channel.id, "conversationType": channel.kind, "tenantId": TENANT},
            "channelData": {"tenant": {"id": TENANT}, **team},
            **more,
        }

    async def deliver(self, activity: Json, token: str | None = None) -> tuple[int, Json]:
        """Send an activity to the bot, signed as the connector signs it unless a token is given."""
        signed = self.microsoft.sign(self.service_url) if token is None else token
        return await self.post(json.dumps(activity).encode(), {"Authorization": f"Bearer {signed}"})

    async def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        """Raw bytes to the bot."""
        kind = {"Content-Type": "application/json; charset=utf-8"}
        async with self._http.post(self.bot_url, data=body, headers={**kind, **headers}) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else {"text": text}

    # The connector -------------------------------------------------------------------------------------------------

    def _guarded(self, call: str, act: Callable[[web.Request, Json], Json]) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            self.calls.append(call)
            try:
                self._admit(request, call)
                raw = await request.read()
                if len(raw.decode().encode("utf-16-le")) > MOST_BYTES:
                    raise Refusal(413, "MessageSizeTooBig")
                found = act(request, json.loads(raw) if raw else {})
            except Refusal as refusal:
                return _refused(refusal)
            async with self._news:
                self._news.notify_all()
            return web.json_response(found, status=201 if request.method == "POST" else 200)

        return answer

    def _admit(self, request: web.Request, call: str) -> None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.microsoft.issued:
            raise Refusal(401, "Unauthorized")
        planned = self._failures[call]
        if planned:
            planned[0].times -= 1
            failure = planned[0] if planned[0].times else planned.pop(0)
            raise Refusal(failure.status, failure.code, failure.retry_after, failure.body)

    def _count(self, conversation: str) -> None:
        """Throttle, as each conversation does."""
        if self._relaxed:
            return
        now, sent = self._clock(), self._sent[conversation]
        for most, seconds in RATES:
            if sum(at > now - seconds for at in sent) >= most:
                raise Refusal(429, "TooManyRequests", int(seconds))
        sent.append(now)

    def _create(self, _request: web.Request, body: Json) -> Json:
        if body["bot"]["id"] != f"28:{APP_ID}":
            raise Refusal(400, "BadArgument")
        if not body.get("isGroup"):
            (wanted,) = body["members"]
            known = next(
                (u for c in self.channels.values() if c.installed for u in c.members if u.id == wanted["id"]), None
            )
            if known is None:
                raise Refusal(403, "BotNotInConversationRoster")
            return {"id": self.chat(known).id}
        channel = self._place(body["channelData"]["channel"]["id"])
        message = self._keep(channel, body["activity"], "")
        return {"id": message.conversation, "activityId": message.id}

    def _send(self, request: web.Request, body: Json) -> Json:
        conversation = request.match_info["id"]
        return {"id": self._keep(self._place(conversation), body, conversation).id}

    def _update(self, request: web.Request, body: Json) -> Json:
        channel = self._place(request.match_info["id"])
        message = next((each for each in self.messages if each.id == request.match_info["activity"]), None)
        if message is None:
            raise Refusal(404, "ActivityNotFoundInConversation")
        _check(body)
        self._count(channel.id)
        message.activity, message.views = body, {}
        message.updates += 1
        return {"id": message.id}

    def _member(self, request: web.Request, _body: Json) -> Json:
        roster, user = request.match_info["id"], request.match_info["user"]
        places = [each for each in self.channels.values() if roster in (each.id, each.team)]
        found = next((each for place in places for each in place.members if each.id == user), None)
        if found is None:
            raise Refusal(404, "MemberNotFoundInConversation")
        return found.member()

    def _place(self, conversation: str) -> Channel:
        channel = self.channels.get(conversation.partition(";")[0])
        if channel is None:
            raise Refusal(404, "ConversationNotFound")
        if not channel.installed:
            raise Refusal(403, "BotNotInConversationRoster")
        return channel

    def _keep(self, channel: Channel, activity: Json, conversation: str) -> Message:
        _check(activity)
        self._count(channel.id)
        number = str(next(self._numbers))
        message = Message(number, channel, conversation or f"{channel.id};messageid={number}", activity)
        self.messages.append(message)
        return message


def _refused(refusal: Refusal) -> web.Response:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if refusal.body is not None:
        return web.Response(status=refusal.status, text=refusal.body, content_type="text/html", headers=headers)
    error = {"error": {"code": refusal.code, "message": refusal.code}}
    return web.json_response(error, status=refusal.status, headers=headers)


def _check(activity: Json) -> None:
    """What the connector and the clients take: a text, or one Adaptive Card of at most 1.5."""
    attachments = activity.get("attachments") or []
    if activity.get("type") != "message" or (not attachments and not activity.get("text")):
        raise Refusal(400, "BadSyntax")
    for each in attachments:
        content = each.get("content", {})
        version = str(content.get("version", "9")).split(".")
        if each.get("contentType") != CARD or content.get("type") != "AdaptiveCard" or version > ["1", "5"]:
            raise Refusal(400, "BadSyntax")


def text_of(value: Any) -> str:
    """Everything that a card shows, a line a text; what stands in for a CodeBlock is left out."""
    if isinstance(value, list):
        return "\n".join(filter(None, map(text_of, value)))
    if not isinstance(value, dict):
        return ""
    if value.get("type") == "RichTextBlock":
        return "".join(run["text"] for run in value["inlines"])
    own = [str(value[name]) for name in ("text", "codeSnippet") if name in value]
    return "\n".join(own + [t for name in ("body", "rows", "cells", "items") if (t := text_of(value.get(name)))])
