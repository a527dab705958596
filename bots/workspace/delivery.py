"""How an interaction, a command or an event reaches the app: a signed request to its URL, or an envelope on a socket.

Here live the signature (v0 HMAC over the raw body), the 3 s in which the app has to answer, and Socket Mode. What the
payloads say is payloads.py's business, what the answers do is answers.py's.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from bots.workspace.payloads import Json
from bots.workspace.state import State

ANSWER_SECONDS = 3.0
KEPT_REQUESTS = 200
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the HTTP status (200 for a socket's ack, 0 when nothing came), the JSON body, and Slack's error.

    `error` is "" when the app answered 200 in time, else `dispatch_failed` or `operation_timeout`. A text body is
    `{"text": ...}`. `errors` are what a modal shows beside its inputs (block_id -> text).
    """

    status: int
    body: Json = field(default_factory=dict)
    error: str = ""
    errors: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """A signed request as it went out; tests send it again. `at`: when, in seconds of time.monotonic()."""

    body: bytes
    headers: Mapping[str, str]
    at: float = 0.0


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the X-Slack-Signature of a raw body (Slack, "Verifying requests")."""
    return "v0=" + hmac.new(secret.encode(), b"v0:%d:%b" % (timestamp, body), hashlib.sha256).hexdigest()


class Delivery:
    """The way to one app. Sockets, when there are any, go before `events_url`, in turn."""

    def __init__(self, state: State, signing_secret: str, answer_seconds: float) -> None:
        self.events_url = ""
        self.sent: deque[Sent] = deque(maxlen=KEPT_REQUESTS)
        self._state = state
        self._secret = signing_secret
        self._seconds = answer_seconds
        self._http: aiohttp.ClientSession | None = None
        self._sockets: list[web.WebSocketResponse] = []
        self._acks: dict[str, asyncio.Future[Json]] = {}

    def start(self) -> None:
        """Open the HTTP client; call it inside the loop."""
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def stop(self) -> None:
        """Close the sockets and the client."""
        for socket in list(self._sockets):
            await socket.close()
        if self._http:
            await self._http.close()

    @property
    def sockets(self) -> int:
        """Count the connected sockets."""
        return len(self._sockets)

    async def interaction(self, payload: Json) -> Answer:
        """Deliver block_actions, view_submission or view_closed."""
        if self._sockets:
            return await self._envelope("interactive", payload, accepts_response=True)
        return await self._post(urlencode({"payload": json.dumps(payload)}).encode(), _FORM, {})

    async def command(self, form: Mapping[str, str]) -> Answer:
        """Deliver a slash command."""
        if self._sockets:
            return await self._envelope("slash_commands", dict(form), accepts_response=True)
        return await self._post(urlencode(form).encode(), _FORM, {})

    async def event(self, payload: Json) -> Answer:
        """Deliver an event; once more at once if that fails (Slack then waits a minute, and five: not done here)."""
        if self._sockets:
            return await self._envelope("events_api", payload, accepts_response=False)
        body = json.dumps(payload).encode()
        answer = await self._post(body, _JSON, {})
        if answer.error:
            reason = "http_timeout" if answer.error == "operation_timeout" else "http_error"
            return await self._post(body, _JSON, {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": reason})
        return answer

    async def replay(self, sent: Sent) -> Answer:
        """Send a signed request again, byte for byte."""
        return await self._send(sent)

    async def _post(self, body: bytes, content_type: str, more: Mapping[str, str]) -> Answer:
        timestamp = int(self._state.clock())
        headers = {
            "Content-Type": content_type,
            "Accept": "application/json,*/*",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": sign(self._secret, timestamp, body),
            **more,
        }
        sent = Sent(body, headers, time.monotonic())
        self.sent.append(sent)
        return await self._send(sent)

    async def _send(self, sent: Sent) -> Answer:
        if not self.events_url or self._http is None:
            return Answer(0, error="dispatch_failed")
        limit = aiohttp.ClientTimeout(total=self._seconds)
        try:
            async with self._http.post(
                self.events_url, data=sent.body, headers=sent.headers, timeout=limit, allow_redirects=False
            ) as response:
                text = await response.text()
                if response.status != 200:
                    return Answer(response.status, error="dispatch_failed")
                return Answer(200, _parse(text, response.content_type))
        except TimeoutError:
            return Answer(0, error="operation_timeout")
        except aiohttp.ClientError:
            return Answer(0, error="dispatch_failed")

    async def _envelope(self, kind: str, payload: Json, *, accepts_response: bool) -> Answer:
        envelope = {
            "envelope_id": str(uuid.uuid4()),
            "type": kind,
            "payload": payload,
            "accepts_response_payload": accepts_response,
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": 0, "retry_reason": ""}
        ack: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._acks[str(envelope["envelope_id"])] = ack
        socket = self._sockets.pop(0)
        self._sockets.append(socket)
        try:
            await socket.send_json(envelope)
            async with asyncio.timeout(self._seconds):
                return Answer(200, await ack)
        except TimeoutError:
            return Answer(0, error="operation_timeout")
        except ConnectionError:
            return Answer(0, error="dispatch_failed")
        finally:
            del self._acks[str(envelope["envelope_id"])]

    async def serve_socket(self, request: web.Request) -> web.StreamResponse:
        """Serve one Socket Mode connection until it ends; a ticket that is unknown or used gets 403."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._state.tickets:
            return web.Response(status=403, text="invalid ticket")
        self._state.tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        try:
            await socket.send_json(
                {
                    "type": "hello",
                    "num_connections": len(self._sockets),
                    "connection_info": {"app_id": self._state.team.app_id},
                    "debug_info": {"host": "workspace", "approximate_connection_time": 18_060, "build_number": 1},
                }
            )
            self._state.changed()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._acknowledge(message.data)
        finally:
            self._sockets.remove(socket)
            self._state.changed()
        return socket

    def _acknowledge(self, text: str) -> None:
        try:
            body = json.loads(text)
        except ValueError:
            return
        ack = self._acks.get(body.get("envelope_id", "")) if isinstance(body, dict) else None
        if ack and not ack.done():
            ack.set_result(body.get("payload") or {})

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell the sockets to reconnect (reason `warning`, `refresh_requested` or `link_disabled`), and close them."""
        for socket in list(self._sockets):
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "workspace"}})
            await socket.close()


def _parse(text: str, content_type: str) -> Json:
    if content_type == _JSON and text:
        try:
            found: Any = json.loads(text)
        except ValueError:
            return {"text": text}
        return found if isinstance(found, dict) else {"text": text}
    return {"text": text} if text else {}
