"""The page's server side: static files, a snapshot of what one person sees, a feed of changes, and the person's acts.

The page is for loopback and has no login: whoever opens it may be anybody. Two guards keep other web pages of the same
browser from clicking Approve: the Host must be the one we serve on (no DNS rebinding), and acts need a header of our own,
which another origin cannot send without a preflight that we do not answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from aiohttp import web

from bots.workspace.acts import Acts
from bots.workspace.delivery import Answer
from bots.workspace.payloads import Json
from bots.workspace.state import Channel, Message, Person, State, View

ACT_HEADER = "X-Workspace"
SHOWN_MESSAGES = 200  # of each channel, the newest
_FILES = {"workspace.css": "text/css", "workspace.js": "text/javascript", "mrkdwn.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]", "::1"}


class Page:
    """Routes under /workspace. `suggestions` are commands offered above the composer."""

    def __init__(self, state: State, acts: Acts, suggestions: tuple[str, ...]) -> None:
        self._state = state
        self._acts = acts
        self._suggestions = suggestions
        self._stopped = False
        self._act: dict[str, Callable[[Person, Json], Awaitable[Answer]]] = {
            "click": self._click,
            "submit": self._submit,
            "close": self._close,
            "say": self._say,
            "home": self._home,
            "dismiss": self._dismiss,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        return [
            web.get("/workspace", self.index),
            web.get("/workspace/static/{name}", self.static),
            web.get("/workspace/state", self.snapshot),
            web.get("/workspace/feed", self.feed),
            web.post("/workspace/act/{act}", self.act),
        ]

    def stop(self) -> None:
        """End the feeds."""
        self._stopped = True
        self._state.changed()

    async def index(self, request: web.Request) -> web.Response:
        """Serve the page."""
        self._guard(request)
        return web.Response(text=_static("index.html"), content_type="text/html", headers=_HEADERS)

    async def static(self, request: web.Request) -> web.Response:
        """Serve a script or the style sheet."""
        self._guard(request)
        name = request.match_info["name"]
        if name not in _FILES:
            raise web.HTTPNotFound
        return web.Response(text=_static(name), content_type=_FILES[name], headers=_HEADERS)

    async def snapshot(self, request: web.Request) -> web.Response:
        """Serve what one person sees, as JSON."""
        self._guard(request)
        return web.json_response(self._seen_by(self._viewer(request.query.get("user", ""))), headers=_HEADERS)

    async def feed(self, request: web.Request) -> web.StreamResponse:
        """Send the state's version as a server-sent event, now and after every change."""
        self._guard(request)
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        told = -1
        while not self._stopped:
            if self._state.version == told:
                await self._state.next_change()
                continue
            told = self._state.version
            try:
                await response.write(b"data: %d\n\n" % told)
            except ConnectionError:
                break
        return response

    async def act(self, request: web.Request) -> web.Response:
        """Do one act of a person; 409 with a sentence when it is not possible (any more)."""
        self._guard(request)
        if request.headers.get(ACT_HEADER) != "1":
            raise web.HTTPForbidden(text=f"missing header {ACT_HEADER}")
        act = self._act.get(request.match_info["act"])
        if act is None:
            raise web.HTTPNotFound
        try:
            body = await request.json()
            answer = await act(self._state.person(str(body["user"])), body)
        except (ValueError, KeyError, TypeError):
            raise web.HTTPBadRequest(text="the act's fields are missing or of the wrong kind") from None
        except LookupError as gone:
            return web.json_response({"problem": str(gone)}, status=409)
        return web.json_response({"status": answer.status, "error": answer.error, "errors": answer.errors})

    def _guard(self, request: web.Request) -> None:
        host = (request.headers.get("Host") or "").rpartition(":")[0] or request.host
        served = self._state.base_url.partition("//")[2].rpartition(":")[0]
        if host not in {*_LOCAL_NAMES, served}:
            raise web.HTTPForbidden(text="this page is for the machine it runs on")

    def _viewer(self, who: str) -> Person:
        """Return whom the page shows: the person asked for, else the first."""
        people = self._people()
        found = next((p for p in people if who.lower() in {p.id.lower(), p.name.lower()}), None)
        return found or people[0]

    def _people(self) -> list[Person]:
        found = [p for p in self._state.people.values() if not p.is_bot and not p.deleted]
        if not found:
            raise web.HTTPServiceUnavailable(text="the workspace has no people yet")
        return found

    # --- acts ---

    async def _click(self, person: Person, body: Json) -> Answer:
        value = body.get("value")
        if body.get("view"):
            return await self._acts.click_in_view(person, body["view"], body["action_id"], value)
        channel = self._state.channel(body["channel"])
        return await self._acts.click(person, channel, body["ts"], body["action_id"], value)

    async def _submit(self, person: Person, body: Json) -> Answer:
        values = {str(key): str(text) for key, text in body["values"].items()}
        return await self._acts.submit(person, body["view"], values)

    async def _close(self, person: Person, body: Json) -> Answer:
        await self._acts.close(person, body["view"])
        return Answer(200)

    async def _say(self, person: Person, body: Json) -> Answer:
        channel, text = self._state.channel(body["channel"]), str(body["text"]).strip()
        if text.startswith("/"):
            return await self._acts.command(person, channel, text)
        if text:
            self._acts.say(person, channel, text)
        return Answer(200)

    async def _home(self, person: Person, _body: Json) -> Answer:
        return await self._acts.open_home(person)

    async def _dismiss(self, person: Person, body: Json) -> Answer:
        self._acts.dismiss(person, str(body["ts"]))
        return Answer(200)

    # --- what a person sees ---

    def _seen_by(self, person: Person) -> Json:
        state = self._state
        state.direct(person)
        channels = [c for c in state.channels.values() if person.id in c.members]
        views = state.open_views(person.id)
        home = state.homes.get(person.id)
        return {
            "team": state.team.name,
            "app": state.team.app_name,
            "me": person.id,
            "people": [{"id": p.id, "name": p.name, "title": p.title} for p in self._people()],
            "names": {
                **{p.id: p.name for p in state.people.values()},
                **{g.id: g.handle for g in state.groups.values()},
                **{c.id: c.name for c in channels if c.name},
            },
            "channels": [_channel(c) for c in channels],
            "messages": {c.id: self._messages(c, person) for c in channels},
            "view": _view(views[-1]) if views else None,
            "home": _view(home) if home else None,
            "suggestions": self._suggestions,
        }

    def _messages(self, channel: Channel, person: Person) -> list[Json]:
        mine = [m for m in self._state.ephemerals if m.visible_to == person.id and m.channel == channel.id]
        both = sorted([*channel.messages, *mine], key=lambda m: float(m.ts))
        return [_message(m, person.id) for m in both[-SHOWN_MESSAGES:]]


def _channel(channel: Channel) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "topic": channel.topic,
        "members": len(channel.members),
        "direct": bool(channel.direct_with),
        "private": channel.is_private,
    }


def _message(message: Message, viewer: str) -> Json:
    return {
        "ts": message.ts,
        "user": message.user,
        "app": message.by_app,
        "text": message.text,
        "blocks": message.blocks,
        "thread_ts": message.thread_ts,
        "broadcast": message.broadcast,
        "files": [f"{each.name} ({each.length:,} bytes)" for each in message.files],
        "ephemeral": bool(message.visible_to),
        "edited": bool(message.edited_ts),
        "warnings": {action: text for (person, action), text in message.warnings.items() if person == viewer},
    }


def _view(view: View) -> Json:
    shown: dict[str, Any] = {key: view.body.get(key) for key in ("title", "submit", "close")}
    return {"id": view.id, "hash": view.hash, "blocks": view.blocks, "errors": view.errors, **shown}


def _static(name: str) -> str:
    return (resources.files(__package__) / "static" / name).read_text("utf-8")
