"""The HTTP face that apps see: POST or GET /api/METHOD, response URLs, and the Socket Mode address.

In order for each call: faults, token, method, scopes, rate limit, the method itself. Answers are 200 with `ok`, as
Slack's are, except for 429 and for switched-on faults.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bots.workspace.answers import post_answer, spend_response_url
from bots.workspace.delivery import Delivery
from bots.workspace.faults import Fault, Faults
from bots.workspace.files import FILE_METHODS
from bots.workspace.methods import METHODS, ApiError, Method
from bots.workspace.payloads import Json
from bots.workspace.rates import Rates
from bots.workspace.state import State

_BROKEN = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The two tokens of the app."""

    bot: str
    app: str


class Api:
    """Routes of one workspace. `rates=None` switches rate limits off."""

    def __init__(self, state: State, delivery: Delivery, tokens: Tokens, faults: Faults, rates: Rates | None) -> None:
        self._state = state
        self._delivery = delivery
        self._tokens = tokens
        self._faults = faults
        self._rates = rates
        self._stopping = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        return [
            web.route("*", "/api/{method}", self.call),
            web.post("/{kind:actions|commands}/{team}/{key}", self.response_url),
            web.get("/link/", self._delivery.serve_socket),
            web.post("/upload/{id}", self.upload),
        ]

    def stop(self) -> None:
        """Let go of the calls that a fault left hanging."""
        self._stopping.set()

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Answer one Web API call."""
        name = request.match_info["method"]
        fault = self._faults.take(name)
        if fault and not fault.late:
            return await self._fail(fault)
        try:
            args = await _arguments(request)
            answer = self._run(name, args, _token(request, args))
        except ApiError as refusal:
            answer = {"ok": False, "error": refusal.error, **refusal.more}
        if fault:
            return await self._fail(fault)
        headers = {"x-oauth-scopes": ",".join(sorted(self._state.scopes)), "x-slack-req-id": self._state.new_id("R")}
        if answer.get("error") == "ratelimited":
            headers["Retry-After"] = str(answer.pop("retry_after"))
            return web.json_response(answer, status=429, headers=headers)
        return web.json_response(answer, headers=headers)

    def _run(self, name: str, args: Json, token: str) -> Json:
        method = METHODS.get(name) or FILE_METHODS.get(name)
        if method is None:
            raise ApiError("unknown_method", req_method=name)
        self._authorize(method, token)
        if self._rates:
            seconds = self._rates.retry_after(name, self._place(args), self._state.clock())
            if seconds:
                raise ApiError("ratelimited", retry_after=seconds)
        return {"ok": True, **method.call(self._state, args)}

    def _place(self, args: Json) -> str:
        """Return the id of the channel meant, so that a channel has one bucket whatever it is called by."""
        ref = str(args.get("channel") or "")
        try:
            return self._state.channel(ref).id
        except LookupError:
            return ref

    def _authorize(self, method: Method, token: str) -> None:
        if not token:
            raise ApiError("not_authed")
        if token not in {self._tokens.bot, self._tokens.app}:
            raise ApiError("invalid_auth")
        if (token == self._tokens.app) != method.app_token:
            raise ApiError("not_allowed_token_type")
        if missing := [scope for scope in method.scopes if scope not in self._state.scopes]:
            raise ApiError("missing_scope", needed=",".join(missing), provided=",".join(sorted(self._state.scopes)))

    async def _fail(self, fault: Fault) -> web.StreamResponse:
        if fault.hang:
            await self._stopping.wait()
        if fault.status == 429:
            body = {"ok": False, "error": "ratelimited"}
            return web.json_response(body, status=429, headers={"Retry-After": str(fault.retry_after)})
        if fault.status != 200:
            return web.Response(status=fault.status, text=_BROKEN, content_type="text/html")
        return web.json_response({"ok": False, "error": fault.error or "internal_error"})

    async def upload(self, request: web.Request) -> web.Response:
        """Take the bytes of a file that was announced, once."""
        file = self._state.files.get(request.match_info["id"])
        content = await request.read()
        if file is None or file.content is not None or len(content) != file.length:
            return web.Response(status=404, text="no such upload")
        file.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def response_url(self, request: web.Request) -> web.Response:
        """Take an answer to an interaction: `ok`, or 404 when the URL is spent, or 400 with the error."""
        grant = spend_response_url(self._state, request.match_info["key"])
        if isinstance(grant, str):
            return web.json_response({"ok": False, "error": grant}, status=404)
        try:
            body = await request.json()
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        if not isinstance(body, dict):
            return web.Response(status=400, text="invalid_payload")
        error = post_answer(self._state, grant, body)
        return web.Response(status=400, text=error) if error else web.Response(text="ok")


def _token(request: web.Request, args: Json) -> str:
    header = request.headers.get("Authorization", "")
    if header.lower().startswith("bearer "):
        return header[7:].strip()
    return str(args.get("token") or "")


async def _arguments(request: web.Request) -> Json:
    """Return the arguments from the query, a form or a JSON body (in that order, later ones win)."""
    found: Json = dict(request.query)
    if request.method == "GET":
        return found
    if request.content_type == "application/json":
        body = _json(await request.read())
        return found | body
    return found | {key: value for key, value in (await request.post()).items() if isinstance(value, str)}


def _json(raw: bytes) -> Json:
    if not raw:
        return {}
    try:
        body: Any = json.loads(raw)
    except ValueError:
        raise ApiError("invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError("json_not_object")
    return body
