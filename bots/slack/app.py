"""Slack's side of the desk: clicks, modals and commands, over HTTP or Socket Mode, with the same listeners.

    Slack --POST /slack/events--> Edge (raw bytes) --> slack_bolt --> a listener of clicks, tab --> members --> Desk.decide
                                                                      or commanding |--> ack within 3 s, then replies

What lives here: the way in, and that every listener gives an answer with the truth, whatever happens in it. bolt takes
an ack back when its listener fails after it. What must not live here: what a listener does (clicks, tab, commanding),
who clicks (members), the way out (replies), sending cards (sender, driven by the outbox).
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bots.commands import Commands
from bots.home import Home
from bots.slack.bodies import Body, shown_in
from bots.slack.checks import ahead, skew_text
from bots.slack.clicks import Act, Clicks, ignore
from bots.slack.commanding import Commanding
from bots.slack.edge import Edge, Refused
from bots.slack.members import LOOK_UP, Members, Unproven
from bots.slack.replies import Replies, explained
from bots.slack.sender import error_of
from bots.slack.tab import Tab
from gateway.approvals.desk import Desk
from gateway.errors import ChatRefused

PATH = "/slack/events"
#: Seconds after which Slack shows an error of its own, whatever comes of the click.
ACK = 3.0

log = structlog.get_logger()


class SlackRefused(ChatRefused):
    """Slack refuses our token at start; the text says what to do."""


class SlackFront:
    """Mount `routes()`, then `start()`; `stop()` ends it. `client` has a session of its own (sender.open_client).

    `button_key` seals buttons (the same as the SlackSender's), `clock` gives Unix seconds, `app_token` switches Socket
    Mode on.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        signing_secret: str,
        desk: Desk,
        commands: Commands,
        *,
        button_key: bytes,
        clock: Callable[[], float],
        app_token: str | None = None,
        home: Home | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._edge = Edge(signing_secret, clock)
        self._members = Members(client, desk, clock)
        self._replies = Replies(client)
        self._clicks = Clicks(desk, self._members, self._replies, button_key=button_key, clock=clock)
        self._tab = Tab(home, desk, commands, self._members, self._replies, button_key=button_key, clock=clock)
        self._commanding = Commanding(client, commands, self._members, self._replies)
        self._bolt = self._listeners(signing_secret)
        self._app_token = app_token
        self._socket: AsyncSocketModeHandler | None = None

    # Life ----------------------------------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """The one route for events, interactivity and commands."""
        return [web.post(PATH, self._receive)]

    async def start(self) -> None:
        """Ask Slack who we are (bolt would do it inside the first click), and connect when in Socket Mode.

        Raises SlackRefused for a token that Slack refuses. Slack being away is no reason not to start.
        """
        try:
            await self._members.ourselves()
        except SlackApiError as error:
            raise SlackRefused(f"Slack refuses SLACK_BOT_TOKEN: {error_of(error)}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("slack.unreachable", error=type(error).__name__)
        if self._app_token:
            await self._connect(self._app_token)

    async def clock(self) -> str | None:
        """How far our clock is off, by Slack's, asked now; "" for not too far, None where Slack does not tell."""
        try:
            async with asyncio.timeout(LOOK_UP):
                said = await self._client.auth_test()
        except (SlackApiError, aiohttp.ClientError, TimeoutError):
            return None
        return skew_text(ahead(said.headers, self._clock()))

    async def _connect(self, app_token: str) -> None:
        client = AsyncWebClient(token=app_token, base_url=self._client.base_url, session=self._client.session)
        self._socket = AsyncSocketModeHandler(self._bolt, app_token, web_client=client)
        try:
            await self._socket.connect_async()  # type: ignore[no-untyped-call] # bolt leaves it unannotated
        except SlackApiError as error:
            raise SlackRefused(f"Slack refuses SLACK_APP_TOKEN: {error_of(error)}") from error

    async def stop(self) -> None:
        """Take nothing more, finish the answers under way."""
        if self._socket is not None:
            await self._socket.close_async()  # type: ignore[no-untyped-call] # bolt leaves it unannotated
        await self.settle()

    async def settle(self) -> None:
        """Wait for answers that are under way."""
        await self._replies.settle()

    # The way in ----------------------------------------------------------------------------------------------------

    async def _receive(self, request: web.Request) -> web.Response:
        checked = self._edge.check(request.headers, await request.read())
        if isinstance(checked, Refused):
            return web.Response(status=checked.status, text=checked.why)
        headers: dict[str, Any] = dict(request.headers)
        bolt_request = AsyncBoltRequest(body=checked, query=request.query_string, headers=headers)
        answer = await self._bolt.async_dispatch(bolt_request)
        if answer.status >= 500:  # no listener of ours raises: bolt itself stumbled over a payload of an odd shape
            return web.Response(status=400, text="the payload can't be read")
        return await to_aiohttp_response(answer)

    def _listeners(self, signing_secret: str) -> AsyncApp:
        """bolt with our listeners. Edge has verified the signature already, by our clock and on raw bytes."""

        async def authorize() -> AuthorizeResult:  # a plain function: bolt passes arguments by their names
            return await self._members.ourselves()

        bolt_log = logging.getLogger("slack_bolt.hoop")
        bolt_log.setLevel(logging.ERROR)  # it warns that the client's token is ignored, which is meant
        app = AsyncApp(
            client=self._client,
            signing_secret=signing_secret,
            authorize=authorize,
            request_verification_enabled=False,
            logger=bolt_log,
        )
        bolt_log.setLevel(logging.WARNING)  # at INFO it logs whole bodies of refused requests
        clicks: dict[Any, Act] = {**self._clicks.actions(), **self._tab.actions(), **self._commanding.actions()}
        for name, act in clicks.items():
            app.action(name)(self._guarded(act))
        # Not ".*": behind a listener that takes longer than 3 s bolt tries the next that fits.
        known = "|".join(each.pattern if isinstance(each, re.Pattern) else f"^{re.escape(each)}$" for each in clicks)
        app.action(re.compile(f"^(?!{known})"))(self._guarded(self._clicks.no_such_button))
        for name, act in self._clicks.views().items():
            app.view(name)(self._guarded(act))
        app.command("/hoop")(self._guarded(self._commanding.command))
        app.event("app_home_opened")(self._guarded(self._tab.opened))
        app.event(re.compile(".*"))(self._guarded(ignore))
        return app

    def _guarded(self, act: Act) -> Callable[..., Awaitable[None]]:
        """A listener that never raises: bolt would answer 500, or take an ack back that was given."""

        async def listener(ack: AsyncAck, body: Body) -> None:
            began = self._clock()
            try:
                await act(ack, body)
            except Exception as error:  # whatever it is, the person gets an answer
                text = str(error) if isinstance(error, Unproven) else explained(error)
                if ack.response is None:
                    await ack(**shown_in(body, text))
                if body.get("type") == "block_actions":
                    self._replies.later(self._replies.say(body, text))
            finally:
                if (took := self._clock() - began) > ACK:
                    log.warning("slack.answered_late", seconds=round(took, 1), kind=body.get("type", "command"))

        return listener
