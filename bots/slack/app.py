"""Slack's side of the desk: clicks, modals and commands, over HTTP or Socket Mode, with the same listeners.

    Slack --POST /slack/events--> Edge (raw bytes) --> slack_bolt --> a listener here --> users.info --> Desk.decide
                                                                          |--> ack within 3 s, then the answer

What lives here: the order of things. A click is decided first (one compare-and-set in the store), acknowledged second;
everything else happens in tasks of our own, because bolt takes an ack back when its listener fails after it. Every click
gets an answer with the truth. Who clicks is asked of Slack at each click, never taken from a cache or from metadata; what
they may do is the desk's to say. What does not live here: texts (bots.commands.told), layout (blocks), sending cards
(sender, driven by the outbox).
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
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
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bots.cards import Action, Card, card, title
from bots.commands import REFUSALS, Answer, Commands, Viewer, told
from bots.granting import scope_of
from bots.home import Home
from bots.seals import genuine, seal, unsealed
from bots.slack import blocks
from bots.slack.blocks import Form, Json
from bots.slack.checks import ahead, skew_text
from bots.slack.edge import Edge, Refused
from bots.slack.handing import hand_over
from bots.slack.home import REVIEW_ACTION, REVOKE_ACTION, home_view, notice_home, review_view
from bots.slack.sender import error_of
from bots.texts import in_utc, uncurled
from gateway.approvals import glass
from gateway.approvals.decisions import Approve, Ask, BreakGlass, Decided, Decision, Deny, RequestChanges, Withdraw
from gateway.approvals.decisions import Refused as DeskRefused
from gateway.approvals.desk import Desk
from gateway.approvals.grants import Scope
from gateway.approvals.request import ApprovalRequest, Person, Refusal, refusal_of, said, same_person
from gateway.errors import ChatRefused, GatewayError
from gateway.identity.accounts import Account

PATH = "/slack/events"
#: Seconds for the one call that says who clicked, and for opening a modal (its trigger lives 3 s).
LOOK_UP, OPEN_VIEW = 2.0, 2.0
#: Seconds for the title of a modal: what is left of the trigger's 3 s is for opening it.
LOOK_UP_TITLE = 0.5
#: Seconds after which Slack shows an error of its own, whatever comes of the click.
ACK = 3.0
#: Seconds until a command is acknowledged empty-handed; its answer then comes through the response_url.
COMMAND = 2.4
#: Seconds until the one who approved is told so: the statement that they let go has the loop to itself until then.
_WIRE_FIRST = 0.03

Body = dict[str, Any]
Act = Callable[[AsyncAck, Body], Awaitable[None]]

log = structlog.get_logger()

NOT_VALID = (
    "This card is no longer valid: the gateway does not know its button. Nothing was decided. Try /hoop pending."
)
NO_LOOK_UP = "Slack could not say who you are just now. Nothing was decided: please try again."
#: Whether a click counted is not known where only the store's answer was lost: never say that nothing was decided.
_CARD_COUNTS = "What the card shows counts: look at it, then try again if it is still open."
FAILED = f"Something went wrong on our side. {_CARD_COUNTS}"
CLICK_AGAIN = "Slack did not open the dialog in time. The request still waits: please click {} again."


class SlackRefused(ChatRefused):
    """Slack refuses our token at start; the text says what to do."""


class Unproven(Exception):
    """Who clicked can't be said, or is nobody who could review; the text is for them."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What a click came to: the text for the person, the id of a request whose clicked card is out of date, and the input that
    the text stands beside, in a modal that has it."""

    text: str
    decided: bool = False
    redraw: str = ""
    beside: str = ""


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
        self._desk = desk
        self._commands = commands
        self._key = button_key
        self._clock = clock
        self._home = home
        self._edge = Edge(signing_secret, clock)
        self._known: AuthorizeResult | None = None
        self._tasks: set[asyncio.Task[None]] = set()
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
            await self._ourselves()
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
        while self._tasks:
            await asyncio.gather(*self._tasks)

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
            return await self._ourselves()

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
        clicks: dict[Any, Act] = {
            Action.APPROVE.value: partial(self._click, Approve()),
            Action.WITHDRAW.value: partial(self._click, Withdraw()),
            blocks.APPROVE_ACTION: partial(self._ask_approval, self._approval_view, "Approve"),
            Action.DENY.value: partial(self._ask_text, blocks.DENY_FORM),
            blocks.MORE_ACTION: self._more,
            Action.FULL_SQL.value: self._full_sql,
            REVIEW_ACTION: self._review,
            REVOKE_ACTION: self._revoke_grant,
            re.compile(f"^{blocks.PAGE_ACTION}_"): self._page,
            blocks.PAGE_LINK: self._ignore,  # the browser opened the page; a click alone decides nothing
        }
        for name, act in clicks.items():
            app.action(name)(self._guarded(act))
        # Not ".*": behind a listener that takes longer than 3 s bolt tries the next that fits.
        known = "|".join(each.pattern if isinstance(each, re.Pattern) else f"^{re.escape(each)}$" for each in clicks)
        app.action(re.compile(f"^(?!{known})"))(self._guarded(self._no_such_button))
        app.view(blocks.DENY_FORM.view)(self._guarded(partial(self._written, blocks.DENY_FORM, Deny)))
        app.view(blocks.CHANGES_FORM.view)(self._guarded(partial(self._written, blocks.CHANGES_FORM, RequestChanges)))
        app.view(blocks.ASK_FORM.view)(self._guarded(partial(self._written, blocks.ASK_FORM, Ask)))
        app.view(blocks.APPROVE_VIEW)(self._guarded(partial(self._approve_in_view, _approval)))
        app.view(blocks.GLASS_VIEW)(self._guarded(partial(self._approve_in_view, _broken_glass)))
        app.command("/hoop")(self._guarded(self._command))
        app.event("app_home_opened")(self._guarded(self._home_opened))
        app.event(re.compile(".*"))(self._guarded(self._ignore))
        return app

    async def _ourselves(self) -> AuthorizeResult:
        if self._known is None:
            async with asyncio.timeout(LOOK_UP):
                said = await self._client.auth_test()
            if off := skew_text(ahead(said.headers, self._clock())):
                log.warning("slack.clock_skew", clock=off, hint="set this machine's clock: Slack's clicks are refused")
            self._known = AuthorizeResult.from_auth_test_response(bot_token=self._client.token, auth_test_response=said)
        return self._known

    def _guarded(self, act: Act) -> Callable[..., Awaitable[None]]:
        """A listener that never raises: bolt would answer 500, or take an ack back that was given."""

        async def listener(ack: AsyncAck, body: Body) -> None:
            began = self._clock()
            try:
                await act(ack, body)
            except Exception as error:  # whatever it is, the person gets an answer
                text = str(error) if isinstance(error, Unproven) else self._explain(error)
                if ack.response is None:
                    await ack(**_shown_in(body, text))
                if body.get("type") == "block_actions":
                    self._later(self._say(body, text))
            finally:
                if (took := self._clock() - began) > ACK:
                    log.warning("slack.answered_late", seconds=round(took, 1), kind=body.get("type", "command"))

        return listener

    @staticmethod
    def _explain(error: Exception) -> str:
        if isinstance(error, GatewayError):
            return f"{error.message}. {_CARD_COUNTS}"
        log.error("slack.listener_failed", exc_info=error)
        return FAILED

    # Who -----------------------------------------------------------------------------------------------------------

    async def _person(self, user_id: str) -> Person:
        """The person behind a Slack user, asked afresh. Raises Unproven with a text for them."""
        return (await self._viewer(user_id)).person

    async def _viewer(self, user_id: str) -> Viewer:
        try:
            async with asyncio.timeout(LOOK_UP):
                user: Json = (await self._client.users_info(user=user_id))["user"]
                us = await self._ourselves()
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("slack.users_info_failed", error=type(error).__name__)
            raise Unproven(NO_LOOK_UP) from error
        problem = next((text for test, text in _DISQUALIFIED if test(user, us.team_id)), None)
        if problem is not None:
            raise Unproven(f"{problem} Nothing was decided.")
        email = str(user.get("profile", {}).get("email") or "")
        account = _account(us, user_id, user, email)
        known = await self._desk.reviewer(email, chat=account)
        if known is None:
            raise Unproven(
                "Slack gives no e-mail address for you, so the gateway can't tell who you are. Nothing was decided. "
                "The app needs the scope users:read.email, your profile an address."
            )
        return Viewer(known, "slack", account)

    # Decisions -----------------------------------------------------------------------------------------------------

    async def _click(self, decision: Decision, ack: AsyncAck, body: Body) -> None:
        came_to = await self._decide(_value(body), body["user"]["id"], decision)
        await ack()
        self._later(self._say(body, came_to.text), after=_WIRE_FIRST)
        if came_to.redraw:
            self._later(self._repair(body, came_to.redraw))

    async def _ask_approval(
        self, content: Callable[[Body], Awaitable[Json]], title: str, ack: AsyncAck, body: Body
    ) -> None:
        """Approve, where the full text has to be read or something typed: the modal first, its trigger lives 3 s."""
        view = await self._open(body, blocks.notice_view("Looking it up...", title))
        await ack()
        if view is None:
            self._later(self._say(body, CLICK_AGAIN.format(title)))
            return
        self._later(self._fill(body, str(view["id"]), content))

    async def _approval_view(self, body: Body) -> Json:
        return await self._careful_view(body, "Approve", refusal_of, blocks.approve_view)

    async def _shape_view(self, body: Body) -> Json:
        return await self._careful_view(body, "Approve this shape", refusal_of, _with_offers)

    async def _glass_view(self, body: Body) -> Json:
        return await self._careful_view(body, "Break glass", glass.refusal_of, blocks.glass_view)

    async def _careful_view(
        self,
        body: Body,
        title: str,
        refused: Callable[[ApprovalRequest, Person, float], Refusal | None],
        view: Callable[[Card, str, str], Json],
    ) -> Json:
        person = await self._person(body["user"]["id"])
        request = await self._sealed(_value(body))
        if request is None:
            return blocks.notice_view(NOT_VALID, title)
        refusal = refused(request, person, self._clock())
        if refusal is not None:
            return blocks.notice_view(in_utc(told(DeskRefused(refusal, request), person, self._clock())), title)
        return view(card(request, self._clock()), seal(self._key, request, person), _channel(body))

    async def _approve_in_view(self, decided: Callable[[Body, bool], Decision], ack: AsyncAck, body: Body) -> None:
        """That modal comes back, with what was typed; it was sealed for the one who opened it."""
        about = json.loads(body["view"]["private_metadata"])
        decision = decided(body["view"], about["whole"] is True)
        came_to = await self._decide(about["value"], body["user"]["id"], decision, personal=True)
        if not came_to.decided:
            await ack(**_shown_in(body, came_to.text, came_to.beside))
            return
        await ack()
        shown = {"channel": about["channel"], "user": body["user"]["id"], "text": blocks.in_mrkdwn(came_to.text)}
        self._later(self._whisper(shown), after=_WIRE_FIRST)  # a modal brings no response_url

    async def _decide(self, value: str, user_id: str, decision: Decision, *, personal: bool = False) -> _Said:
        """Decide by a sealed button. Nothing is decided unless the seal fits what the request holds now, and, if it is
        `personal`, who clicks.

        Raises Unproven.
        """
        opened = unsealed(value)
        if opened is None:
            return _Said(NOT_VALID)
        request_id, rev, mac = opened
        person = await self._person(user_id)
        sealed = partial(genuine, self._key, rev=rev, mac=mac, reader=person if personal else None)
        answer = await self._desk.decide(request_id, rev, person, decision, "slack", genuine=sealed)
        text = told(answer, person, self._clock(), decision)
        if isinstance(answer, Decided):
            return _Said(text, decided=True)
        beside = blocks.TYPED_BLOCK if answer.refusal is Refusal.NOT_TYPED else ""
        return _Said(text, redraw=request_id if answer.refusal in _CARD_IS_OLD else "", beside=beside)

    async def _more(self, ack: AsyncAck, body: Body) -> None:
        """What was chosen from a card's menu: as a click on a button of its own, whose value is behind its name."""
        name, _, value = str(body["actions"][0].get("selected_option", {}).get("value")).partition(" ")
        chosen: dict[str, Act] = {
            Action.ASK.value: partial(self._ask_text, blocks.ASK_FORM),
            Action.CHANGES.value: partial(self._ask_text, blocks.CHANGES_FORM),
            Action.GLASS.value: partial(self._ask_approval, self._glass_view, "Break glass"),
            Action.WITHDRAW.value: partial(self._click, Withdraw()),
            Action.GRANT.value: partial(self._ask_approval, self._shape_view, "Approve this shape"),
        }
        act = chosen.get(name, self._no_such_button)
        await act(ack, {**body, "actions": [{"type": "button", "value": value}]})

    async def _ask_text(self, form: Form, ack: AsyncAck, body: Body) -> None:
        """The modal first, its trigger lives 3 s. Whoever may not do it is told when they submit it."""
        value = _value(body)
        if unsealed(value) is None:
            await ack()
            self._later(self._say(body, NOT_VALID))
            return
        opened = await self._open(body, blocks.text_view(form, value, _channel(body), await self._title(value)))
        await ack()
        if opened is None:
            self._later(self._say(body, CLICK_AGAIN.format(form.submit)))

    async def _title(self, value: str) -> str:
        """What a button is about, "" where the store does not say so in time: the modal must open all the same."""
        try:
            async with asyncio.timeout(LOOK_UP_TITLE):
                request = await self._sealed(value)
        except (GatewayError, TimeoutError):
            return ""
        return "" if request is None else title(request)

    async def _sealed(self, value: str) -> ApprovalRequest | None:
        """The request of a button, if the button is ours and belongs to what it holds now."""
        opened = unsealed(value)
        request = await self._desk.show(opened[0]) if opened is not None else None
        if opened is None or request is None or not genuine(self._key, request, opened[1], opened[2]):
            return None
        return request

    async def _written(self, form: Form, decision: Callable[[str], Decision], ack: AsyncAck, body: Body) -> None:
        """The modal of a form comes back. Who decides is who submits it, whatever its metadata says."""
        view = body["view"]
        text = said(_written_in(view, blocks.REASON_BLOCK))
        if not blocks.REASON_MIN <= len(text) <= form.most:
            await ack(**_in_place(f"Write {blocks.REASON_MIN} to {form.most:,} characters."))
            return
        value = json.loads(view["private_metadata"])["value"]
        came_to = await self._decide(value, body["user"]["id"], decision(text))
        if came_to.decided:
            await ack()
        else:
            await ack(**_in_place(came_to.text))

    async def _full_sql(self, ack: AsyncAck, body: Body) -> None:
        view = await self._open(body, blocks.notice_view("Looking it up..."))
        await ack()
        if view is None:
            self._later(self._say(body, "Slack did not open the dialog in time: please click Full SQL again."))
            return
        self._later(self._fill(body, str(view["id"]), self._full_view))

    async def _fill(self, body: Body, view_id: str, content: Callable[[Body], Awaitable[Json]]) -> None:
        try:
            view = await content(body)
        except Unproven as error:
            view = blocks.notice_view(str(error))
        except GatewayError as error:
            view = blocks.notice_view(self._explain(error))
        await self._client.views_update(view_id=view_id, view=view)

    async def _full_view(self, body: Body) -> Json:
        person = await self._person(body["user"]["id"])
        opened = unsealed(_value(body))
        request = await self._desk.show(opened[0]) if opened is not None else None
        if request is None:
            return blocks.notice_view(REFUSALS[Refusal.UNKNOWN_REQUEST])
        if not (glass.may_look(request, person) or same_person(request.requester, person)):
            return blocks.notice_view("Only its reviewers and its requester may see it in full.")
        return blocks.full_view(card(glass.as_seen_by(request, person), self._clock()))

    async def _review(self, ack: AsyncAck, body: Body) -> None:
        view = await self._open(body, blocks.notice_view("Looking it up...", "Request"))
        await ack()
        if view is None:
            self._later(self._say(body, "Slack did not open the dialog in time: please click again."))
            return
        self._later(self._fill(body, str(view["id"]), self._review_view))

    async def _review_view(self, body: Body) -> Json:
        person = await self._person(body["user"]["id"])
        opened = unsealed(_value(body))
        request = await self._desk.show(opened[0]) if opened is not None else None
        if request is None or not (glass.may_look(request, person) or same_person(request.requester, person)):
            return blocks.notice_view("There is no such request that you may see.", "Request")
        return review_view(card(glass.as_seen_by(request, person), self._clock()), seal(self._key, request))

    async def _revoke_grant(self, ack: AsyncAck, body: Body) -> None:
        """As the command does; the tab then shows what is left."""
        viewer = Viewer(await self._person(body["user"]["id"]), "slack")
        answer = await self._commands.answer(f"revoke grant {_value(body)}", viewer)
        await ack()
        self._later(self._say(body, " ".join((f"{answer.title}:", *answer.lines))))
        if self._home is not None:
            self._later(self._publish_home(self._home, str(body["user"]["id"])))

    async def _home_opened(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        if self._home is not None and body["event"].get("tab") == "home":
            self._later(self._publish_home(self._home, str(body["event"]["user"])))

    async def _publish_home(self, home: Home, user: str) -> None:
        try:
            person = await self._person(user)
            view = home_view(await home.look(Viewer(person, "slack")), partial(seal, self._key))
        except Unproven as error:
            view = notice_home(str(error))
        except GatewayError as error:
            view = notice_home(f"{error.message}. Open this tab again in a while.")
        await self._client.views_publish(user_id=user, view=view)

    async def _no_such_button(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        if body["actions"][0].get("type") == "button" and not body["actions"][0].get("url"):
            self._later(self._say(body, NOT_VALID))

    async def _ignore(self, ack: AsyncAck, body: Body) -> None:  # noqa: ARG002 - bolt gives both
        await ack()

    # Commands ------------------------------------------------------------------------------------------------------

    async def _command(self, ack: AsyncAck, body: Body) -> None:
        answering = asyncio.ensure_future(self._answer(body))
        done, _ = await asyncio.wait({answering}, timeout=COMMAND)
        if done:
            await ack(**answering.result())
            return
        await ack()
        self._later(self._answer_late(body, answering))

    async def _answer(self, body: Body) -> Json:
        try:
            viewer = await self._viewer(body["user_id"])
            return _payload(await self._commands.answer(as_typed(body.get("text") or ""), viewer))
        except Unproven as error:
            return _payload(Answer("Not answered", (str(error),)))
        except GatewayError as error:
            return _payload(Answer("Not answered", (self._explain(error),)))

    async def _answer_late(self, body: Body, answering: Awaitable[Json]) -> None:
        await self._respond(body, await answering)

    async def _page(self, ack: AsyncAck, body: Body) -> None:
        """Reading a whole answer for a file may take longer than Slack waits for an ack."""
        await ack()
        self._later(self._turn_page(body))

    async def _turn_page(self, body: Body) -> None:
        try:
            viewer = Viewer(await self._person(body["user"]["id"]), "slack")
            answer = await self._commands.page(_value(body), viewer)
        except Unproven as error:
            await self._say(body, str(error))
        except Exception as error:  # whatever it is, the person gets an answer
            await self._say(body, self._explain(error))
        else:
            if answer.file is not None:
                await self._say(body, await hand_over(self._client, body["user"]["id"], answer, answer.file))
            else:
                await self._respond(body, {**_payload(answer), "replace_original": True})

    # The way out ---------------------------------------------------------------------------------------------------

    def _later(self, work: Coroutine[Any, Any, None], after: float = 0.0) -> None:
        """Do it after the ack, in a task that is kept (bolt's lazy listeners are neither kept nor awaited)."""
        task = asyncio.create_task(self._quietly(work, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None], after: float) -> None:
        try:
            await asyncio.sleep(after)
            await work
        except SlackApiError as error:
            log.warning("slack.answer_failed", error=error_of(error))
        except Exception as error:  # an answer that fails must not take others along
            log.warning("slack.answer_failed", error=type(error).__name__)

    async def _say(self, body: Body, text: str) -> None:
        """Tell the person alone; in the place of the dialog, where they have clicked in one."""
        if body.get("view", {}).get("type") == "modal":
            await self._client.views_update(
                view_id=body["view"]["id"], view=blocks.notice_view(in_utc(text), "Request")
            )
            return
        await self._respond(
            body, {"text": blocks.in_mrkdwn(text), "response_type": "ephemeral", "replace_original": False}
        )

    async def _whisper(self, shown: Json) -> None:
        """In the channel; what began on the home tab has none, so there it is a direct message."""
        if shown["channel"]:
            await self._client.chat_postEphemeral(**shown)
        else:
            await self._client.chat_postMessage(**{**shown, "channel": shown["user"], "user": None})

    async def _respond(self, body: Body, payload: Json) -> None:
        """By the response_url (works where the app is no member), else by an ephemeral message."""
        url = body.get("response_url")
        if url:
            webhook = AsyncWebhookClient(url, timeout=5, session=self._client.session)
            if (await webhook.send_dict(payload)).status_code == 200:
                return
        user = body["user"]["id"] if "user" in body else body["user_id"]
        shown: Json = {key: payload[key] for key in ("text", "blocks") if key in payload}
        await self._whisper({"channel": _channel(body), "user": user, **shown})

    async def _open(self, body: Body, view: Json) -> Json | None:
        """Open a modal; None if Slack would not (an expired trigger most often)."""
        try:
            async with asyncio.timeout(OPEN_VIEW):
                opened: Json = (await self._client.views_open(trigger_id=body["trigger_id"], view=view))["view"]
        except SlackApiError as error:
            log.warning("slack.view_not_opened", error=error_of(error))
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("slack.view_not_opened", error=type(error).__name__)
            return None
        return opened

    async def _repair(self, body: Body, request_id: str) -> None:
        """The card that was clicked shows buttons that are over. The outbox draws it anew, unless it does not know that
        message: one that was posted twice."""
        ts = body.get("container", {}).get("message_ts")
        if not ts or any(json.loads(ref).get("ts") == ts for ref in await self._desk.redraw(request_id)):
            return
        request = await self._desk.show(request_id)
        if request is None:
            return
        drawn = blocks.message(card(request, self._clock()), seal(self._key, request))
        await self._client.chat_update(channel=_channel(body), ts=ts, text=drawn.text, blocks=drawn.blocks)


#: Refusals that a card with live buttons should not have led to.
_CARD_IS_OLD = frozenset({Refusal.ALREADY_DECIDED, Refusal.EXPIRED, Refusal.STALE})

#: Who can't be relied on to be a member of this workspace with a proven e-mail address; the first match is told.
_DISQUALIFIED: tuple[tuple[Callable[[Json, str | None], bool], str], ...] = (
    (lambda user, _: bool(user.get("deleted")), "This account is deactivated."),
    (lambda user, _: bool(user.get("is_bot")), "Bots decide nothing here."),
    (lambda user, _: bool(user.get("is_stranger")), "People of other workspaces decide nothing here."),
    (lambda user, team: user.get("team_id") != team, "People of other workspaces decide nothing here."),
    (lambda user, _: bool(user.get("is_restricted")), "Guests decide nothing here."),
    (lambda user, _: bool(user.get("is_ultra_restricted")), "Guests decide nothing here."),
    (
        lambda user, _: user.get("is_email_confirmed") is not True,
        "Your e-mail address is not confirmed in Slack: confirm it, then try again.",
    ),
)


_LINK = re.compile(r"<(?:mailto:|https?://)[^|>]*\|([^>]*)>")


def as_typed(text: str) -> str:
    """A command's text as the person typed it: Slack links addresses and escapes & < >, keyboards curl quotes."""
    plain = uncurled(_LINK.sub(r"\1", text))
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _account(us: AuthorizeResult, user_id: str, user: Json, email: str) -> Account:
    """The ids are Slack's own; one of Enterprise Grid is unique within its enterprise."""
    name = " ".join(filter(None, (str(user.get("real_name") or user.get("name") or ""), f"({email})" if email else "")))
    place = f"{us.enterprise_id or ''}/{us.team_id or ''}"
    return Account("slack", place, user_id, f"{name} in Slack ({us.team or us.team_id})")


def _with_offers(shown: Card, value: str, channel: str) -> Json:
    return blocks.approve_view(shown, value, channel, shown.offers)


def _written_in(view: Body, block: str) -> str:
    return view["state"]["values"].get(block, {}).get(block, {}).get("value") or ""


def _approval(view: Body, read: bool) -> Decision:
    chosen = view["state"]["values"].get(blocks.GRANT_BLOCK, {}).get(blocks.GRANT_BLOCK, {}).get("selected_option")
    scope = None if chosen is None else scope_of(str(chosen.get("value"))) or Scope()
    return Approve(_written_in(view, blocks.TYPED_BLOCK), read=read, scope=scope)


def _broken_glass(view: Body, read: bool) -> Decision:
    return BreakGlass(_written_in(view, blocks.REASON_BLOCK), _written_in(view, blocks.TYPED_BLOCK), read=read)


def _value(body: Body) -> str:
    return str(body["actions"][0].get("value") or "")


def _channel(body: Body) -> str:
    if "channel" in body:
        return str(body["channel"]["id"])
    return str(body.get("channel_id") or body.get("container", {}).get("channel_id") or "")


def _in_place(text: str, block: str = blocks.REASON_BLOCK) -> Json:
    return {"response_action": "errors", "errors": {block: in_utc(text)}}


def _in_its_place(text: str) -> Json:
    """For a modal without an input: an error needs one to stand beside."""
    return {"response_action": "update", "view": blocks.notice_view(in_utc(text), "Approve")}


def _shown_in(body: Body, text: str, beside: str = "") -> Json:
    """What an ack carries when the answer is a text: an error in the modal, or the command's answer."""
    if body.get("type") == "view_submission":
        inputs = [each["block_id"] for each in body["view"]["blocks"] if each["type"] == "input"]
        block = beside if beside in inputs else next(iter(inputs), "")
        return _in_place(text, block) if block else _in_its_place(text)
    return {"text": blocks.in_mrkdwn(text)} if "command" in body else {}


def _payload(answer: Answer) -> Json:
    drawn = blocks.answer_message(answer)
    kind = "in_channel" if answer.share else "ephemeral"
    return {"response_type": kind, "text": drawn.text, "blocks": drawn.blocks}
