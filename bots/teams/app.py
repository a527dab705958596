"""Teams's side of the desk: clicks and commands over our own HTTP edge.

    Teams --POST /api/messages--> Edge (token, then body) --> here --> member look-up --> Desk.decide
                                                               |--> the clicker's own view, in the same answer

What lives here: the order of things. Everything that is shown after a click is drawn anew from the store; a view that one
person gets grants nothing, and the seal in each button binds the click to what was shown. Every click gets an answer with
the truth, as a card of its clicker's; the card that everybody sees is redrawn by the outbox. What does not live here: texts
(bots.commands.told), layout (adaptive), who somebody is (people), sending cards (sender, driven by the outbox).

A message is answered after it was acknowledged, in a task that is kept: the Bot Connector sends it again when we take long.
A command that was asked for in a channel is answered in the personal chat of who asked: there nobody else reads along.
"""

import asyncio
import html
import json
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import structlog
from aiohttp import web

from bots.cards import Card, card
from bots.commands import Answer, Commands, told
from bots.granting import scope_of
from bots.seals import genuine, seal, unsealed
from bots.teams.adaptive import (
    REASON_MAX,
    REASON_MIN,
    Drawn,
    Verb,
    answer_card,
    base_card,
    confirm_card,
    full_card,
    glass_card,
    grant_card,
    notice_card,
    own_card,
    review_card,
)
from bots.teams.edge import MAX_BODY, Edge, Json, Rejected, at
from bots.teams.people import People, Unproven
from bots.teams.sender import TeamsSender
from bots.teams.tokens import LoginAway, LoginRefused, Tokens
from bots.teams.transport import ConnectorError, Sent, Transport
from bots.texts import uncurled
from gateway.approvals import glass
from gateway.approvals.decisions import (
    Approve,
    Ask,
    BreakGlass,
    Decided,
    Decision,
    Deny,
    Refused,
    RequestChanges,
    Withdraw,
)
from gateway.approvals.desk import Desk
from gateway.approvals.grants import Scope
from gateway.approvals.request import (
    LONGEST_QUESTION,
    ApprovalRequest,
    Refusal,
    State,
    may_review,
    said,
    same_person,
)
from gateway.errors import ChatRefused, GatewayError, StoreUnavailable
from gateway.identity.documents import Documents, IssuerError
from gateway.settings import Teams
from gateway.store.port import Store

PATH = "/api/messages"
_INVOKE = "adaptiveCard/action"
_CARD = "application/vnd.microsoft.card.adaptive"
#: Ids of messages that were taken already: the connector sends one again when the answer was lost.
_REMEMBERED = 2_000

log = structlog.get_logger()

#: In the conversation id of a thread, so of a card in a channel.
_THREAD = ";messageid="
NOT_VALID = "This card is no longer valid: the gateway does not know its button. Nothing was decided. Try: pending"
_CARD_COUNTS = "What the card shows counts: look at it, then try again if it is still open."
FAILED = f"Something went wrong on our side. {_CARD_COUNTS}"
NO_TEXT = "Nothing was decided. Write {least} to {most:,} characters below, then choose again."
NOT_IN_FULL = "Only its reviewers and its requester may see it in full."
IN_OUR_CHAT = "I have answered in our own chat: here everybody reads along. Add share to an audit query to answer here."
NO_CHAT = "I can't write to you in private. Open a chat with me (search for the app in Teams), then ask there."

#: Refusals that a card with live buttons should not have led to.
_CARD_IS_OLD = frozenset({Refusal.ALREADY_DECIDED, Refusal.EXPIRED, Refusal.STALE})
#: Refusals of breaking the glass that its form can mend.
_AGAIN = frozenset({Refusal.NOT_TYPED, Refusal.NO_REASON, Refusal.NOT_READ})
#: Refusals that tell nothing of the request: the button was not ours.
_NOT_OURS = frozenset({Refusal.FORGED, Refusal.UNKNOWN_REQUEST})


class TeamsRefused(ChatRefused):
    """Microsoft refuses our credentials at start; the text says what to do."""


class References(Protocol):
    """Where the store keeps how conversations are reached."""

    async def met(self, conversation: str, team: str, service_url: str, at: float) -> None: ...

    async def parted(self, conversation: str) -> None: ...


class TeamsFront:
    """Mount `routes()`, then `start()`; `stop()` ends it.

    `button_key` seals buttons (the same as the TeamsSender's), `clock` gives Unix seconds.
    """

    def __init__(
        self,
        edge: Edge,
        tokens: Tokens,
        transport: Transport,
        people: People,
        desk: Desk,
        commands: Commands,
        references: References,
        *,
        button_key: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._edge = edge
        self._tokens = tokens
        self._transport = transport
        self._people = people
        self._desk = desk
        self._commands = commands
        self._references = references
        self._key = button_key
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._met: dict[str, str] = {}
        self._taken: dict[str, None] = {}
        self._verbs: dict[Verb, Callable[[Json, Json], Awaitable[Drawn]]] = {
            Verb.REVIEW: self._review,
            Verb.CONFIRM: self._confirm,
            Verb.APPROVE: self._approve,
            Verb.GRANT: self._grant,
            Verb.DENY: partial(self._written, Deny),
            Verb.CHANGES: partial(self._written, RequestChanges),
            Verb.ASK: partial(self._written, Ask, most=LONGEST_QUESTION),
            Verb.WITHDRAW: self._withdraw,
            Verb.GLASS: self._glass,
            Verb.BREAK: self._break,
            Verb.FULL_SQL: self._full_sql,
            Verb.PAGE: self._page,
        }

    # Life ----------------------------------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """The one route for everything that Teams sends."""
        return [web.post(PATH, self._receive)]

    async def start(self) -> None:
        """Ask for a token, so that the first card need not wait for it.

        Raises TeamsRefused for credentials that are refused. Microsoft being away is no reason not to start.
        """
        try:
            await self._tokens.token()
        except LoginRefused as error:
            raise TeamsRefused(f"Microsoft refuses the Teams settings: {error}") from error
        except (LoginAway, IssuerError) as error:
            log.warning("teams.unreachable", error=str(error))

    async def stop(self) -> None:
        """Finish the answers under way, then let go of the connections."""
        await self.settle()
        await self._transport.close()
        await self._tokens.close()
        await self._edge.close()

    async def settle(self) -> None:
        """Wait for answers that are under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    # The way in ----------------------------------------------------------------------------------------------------

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            caller = await self._edge.authenticate(request.headers.get("Authorization", ""))
            activity = self._edge.accept(caller, await _body(request))
        except Rejected as refusal:
            log.info("teams.rejected", status=refusal.status, why=refusal.why)
            return web.Response(status=refusal.status, text=refusal.why)
        return await self._take(activity)

    async def _take(self, activity: Json) -> web.Response:
        await self._remember(activity)
        match activity.get("type"):
            case "invoke":
                return await self._invoked(activity)
            case "message" if self._is_new(activity):
                self._later(self._answer(activity))
        return web.Response()

    async def _invoked(self, activity: Json) -> web.Response:
        if activity.get("name") != _INVOKE:
            return web.Response(status=501)
        drawn = await self._act(activity, at(activity, "value", "action", "data"))
        return web.json_response({"statusCode": 200, "type": _CARD, "value": drawn.content})

    def _is_new(self, activity: Json) -> bool:
        key = f"{at(activity, 'conversation', 'id')} {activity.get('id')}"
        if key in self._taken:
            return False
        self._taken[key] = None
        if len(self._taken) > _REMEMBERED:
            del self._taken[next(iter(self._taken))]
        return True

    async def _remember(self, activity: Json) -> None:
        """Keep how the conversation is reached, or forget it when the app was taken out."""
        conversation, team = at(activity, "conversation", "id"), at(activity, "channelData", "team", "id") or ""
        if not isinstance(conversation, str) or not isinstance(team, str):
            return
        place, service_url = conversation.partition(";")[0], activity["serviceUrl"]
        try:
            if _was_removed(activity):
                self._met.clear()
                await self._references.parted(place)
            elif self._met.get(place) != service_url:
                await self._references.met(place, team, service_url, self._clock())
                self._met[place] = service_url
        except StoreUnavailable:
            log.warning("teams.conversation_not_stored")

    # Clicks --------------------------------------------------------------------------------------------------------

    async def _act(self, activity: Json, data: object) -> Drawn:
        """What a click came to, as a card for who clicked; never raises."""
        data = data if isinstance(data, dict) else {}
        try:
            verb = Verb(data.get("hoop"))
        except ValueError:
            return notice_card(NOT_VALID)
        try:
            return await self._verbs[verb](activity, data)
        except Unproven as error:
            return await self._noted(data, str(error))
        except GatewayError as error:
            return notice_card(f"{error.message}. {_CARD_COUNTS}")
        except Exception:
            log.exception("teams.click_failed")
            return notice_card(FAILED)

    async def _review(self, activity: Json, data: Json) -> Drawn:
        return await self._for_a_reviewer(activity, data, review_card)

    async def _confirm(self, activity: Json, data: Json, note: str = "") -> Drawn:
        """The last question; `read` goes on to its button as it came, and is proven there."""
        read = data.get("read")

        def draw(shown: Card, value: str) -> Drawn:
            if not shown.confirm:
                return review_card(shown, value, note=note)
            return confirm_card(shown, value, read=read if isinstance(read, str) else "", note=note)

        return await self._for_a_reviewer(activity, data, draw)

    async def _grant(self, activity: Json, data: Json, note: str = "") -> Drawn:
        """For how long; `read` goes on to the button as it came, and is proven there."""
        read = data.get("read")

        def draw(shown: Card, value: str) -> Drawn:
            if not shown.offers:
                return review_card(shown, value, note=note)
            return grant_card(shown, value, read=read if isinstance(read, str) else "", note=note)

        return await self._for_a_reviewer(activity, data, draw)

    async def _for_a_reviewer(self, activity: Json, data: Json, draw: Callable[[Card, str], Drawn]) -> Drawn:
        """A view with buttons for who may decide, and for who asked; what everybody sees, and why, for anybody else. The
        desk has the last word when they click."""
        person = await self._people.person(activity)
        request = await self._clicked(data)
        if request is None:
            return notice_card(NOT_VALID)
        if request.state is not State.PENDING:
            await self._repair(activity, request)
        if same_person(request.requester, person):
            return own_card(card(request, self._clock()), seal(self._key, request))
        if not may_review(request, person) and glass.refusal_of(request, person, self._clock()) is None:
            draw = _only_glass(draw)
        refusal = None if glass.may_look(request, person) else Refusal.NOT_A_REVIEWER
        if refusal is not None:
            return self._base(request, told(Refused(refusal, request), person, self._clock()))
        return draw(card(request, self._clock()), seal(self._key, request))

    async def _approve(self, activity: Json, data: Json) -> Drawn:
        typed = data.get("typed")
        has_read = await self._has_read(activity, data)
        scope = (scope_of(str(data.get("scope"))) or Scope()) if data.get("shape") else None
        decision = Approve(typed if isinstance(typed, str) else "", read=has_read, scope=scope)
        return await self._decide(activity, data, decision)

    async def _glass(self, activity: Json, data: Json, note: str = "") -> Drawn:
        """What breaking the glass takes; `read` goes on to its button as it came, and is proven there."""
        read, text = data.get("read"), data.get("reason")

        def draw(shown: Card, value: str) -> Drawn:
            if not shown.glass:
                return review_card(shown, value, note=note)
            read_by = read if isinstance(read, str) else ""
            return glass_card(shown, value, read=read_by, note=note, reason=text if isinstance(text, str) else "")

        return await self._for_a_reviewer(activity, data, draw)

    async def _break(self, activity: Json, data: Json) -> Drawn:
        typed = data.get("typed")
        has_read = await self._has_read(activity, data)
        return await self._decide(
            activity, data, BreakGlass(_reason(data), typed if isinstance(typed, str) else "", read=has_read)
        )

    async def _has_read(self, activity: Json, data: Json) -> bool:
        """Whether the button stood below the full text that this person had open, of what the request holds now."""
        read, request = data.get("read"), await self._clicked(data)
        opened = unsealed(read) if isinstance(read, str) else None
        if opened is None or request is None or opened[0] != request.id:
            return False
        return genuine(self._key, request, opened[1], opened[2], await self._people.person(activity))

    async def _written(
        self, decision: Callable[[str], Decision], activity: Json, data: Json, most: int = REASON_MAX
    ) -> Drawn:
        text = _reason(data)
        if not REASON_MIN <= len(text) <= most:
            note = NO_TEXT.format(least=REASON_MIN, most=most)
            return await self._for_a_reviewer(activity, data, partial(review_card, note=note, typed=text))
        return await self._decide(activity, data, decision(text))

    async def _withdraw(self, activity: Json, data: Json) -> Drawn:
        return await self._decide(activity, data, Withdraw())

    async def _decide(self, activity: Json, data: Json, decision: Decision) -> Drawn:
        """Decide by a sealed button. Nothing is decided unless the seal fits what the request holds now."""
        opened = _opened(data)
        if opened is None:
            return notice_card(NOT_VALID)
        request_id, rev, mac = opened
        person = await self._people.person(activity)
        sealed = partial(genuine, self._key, rev=rev, mac=mac)
        answer = await self._desk.decide(request_id, rev, person, decision, "teams", genuine=sealed)
        text = told(answer, person, self._clock(), decision)
        if isinstance(answer, Decided):
            return self._base(answer.request, text)
        if answer.refusal in _CARD_IS_OLD and answer.request is not None:
            await self._repair(activity, answer.request)
        if answer.request is None or answer.refusal in _NOT_OURS:
            return notice_card(text)
        if isinstance(decision, BreakGlass) and answer.refusal in _AGAIN:
            return await self._glass(activity, data, text)
        if answer.refusal is Refusal.NOT_TYPED:
            return await (self._grant if data.get("shape") else self._confirm)(activity, data, text)
        if answer.refusal is Refusal.NO_GRANT:
            return await self._grant(activity, data, text)
        if answer.refusal is Refusal.NOT_READ:
            return await self._for_a_reviewer(activity, data, partial(review_card, note=text))
        return self._base(answer.request, text)

    async def _repair(self, activity: Json, request: ApprovalRequest) -> None:
        """The card that was clicked is out of date for everybody. The outbox draws it anew, unless it does not know that
        message: one that was posted twice."""
        known = {json.loads(ref).get("activity") for ref in await self._desk.redraw(request.id)}
        clicked, conversation = activity.get("replyToId"), str(at(activity, "conversation", "id"))
        if isinstance(clicked, str) and clicked not in known and _THREAD in conversation:
            lost = Sent(activity["serviceUrl"], conversation, clicked)
            drawn = base_card(card(request, self._clock()), seal(self._key, request))
            self._later(self._transport.update(lost, drawn))

    async def _full_sql(self, activity: Json, data: Json) -> Drawn:
        person = await self._people.person(activity)
        request = await self._clicked(data)
        if request is None:
            return notice_card(NOT_VALID)
        if not (glass.may_look(request, person) or same_person(request.requester, person)):
            return self._base(request, NOT_IN_FULL)
        place = (data.get("k", 0), data.get("at", 0))
        k, begin = place if all(type(each) is int for each in place) else (0, 0)
        shown = card(glass.as_seen_by(request, person), self._clock())
        asked = (shown.full_view or shown.is_batch) and not same_person(request.requester, person)
        read = seal(self._key, request, person) if asked else ""
        return full_card(shown, seal(self._key, request), k, begin, read)

    async def _page(self, activity: Json, data: Json) -> Drawn:
        viewer = await self._people.viewer(activity)
        return answer_card(await self._commands.page(str(data.get("cursor") or ""), viewer))

    async def _clicked(self, data: Json) -> ApprovalRequest | None:
        """The request of a button, if the button is ours and belongs to what it holds now."""
        opened = _opened(data)
        request = await self._desk.show(opened[0]) if opened is not None else None
        if opened is None or request is None or not genuine(self._key, request, opened[1], opened[2]):
            return None
        return request

    async def _noted(self, data: Json, note: str) -> Drawn:
        """The card as everybody sees it, with a line for who clicked."""
        try:
            request = await self._clicked(data)
        except GatewayError:
            request = None
        return notice_card(note) if request is None else self._base(request, note)

    def _base(self, request: ApprovalRequest, note: str) -> Drawn:
        return base_card(card(request, self._clock()), seal(self._key, request), note=note)

    # Messages ------------------------------------------------------------------------------------------------------

    async def _answer(self, activity: Json) -> None:
        """A button of a client without Action.Execute, or a command."""
        data = activity.get("value")
        if isinstance(data, dict) and "hoop" in data:
            await self._deliver(activity, await self._act(activity, data), share=False)
            return
        answer = await self._commanded(activity)
        await self._deliver(activity, answer_card(answer), share=answer.share)

    async def _commanded(self, activity: Json) -> Answer:
        try:
            viewer = await self._people.viewer(activity)
            return await self._commands.answer(as_typed(activity), viewer)
        except Unproven as error:
            return Answer("Not answered", (str(error),))
        except GatewayError as error:
            return Answer("Not answered", (f"{error.message}.",))

    async def _deliver(self, activity: Json, drawn: Drawn, *, share: bool) -> None:
        """Where nobody else reads along, unless it is to be shared."""
        service_url, conversation = activity["serviceUrl"], str(at(activity, "conversation", "id"))
        if share or at(activity, "conversation", "conversationType") == "personal":
            await self._transport.say(service_url, conversation, drawn)
            return
        try:
            await self._transport.whisper(service_url, str(at(activity, "from", "id")), drawn)
        except ConnectorError as error:
            log.warning("teams.no_personal_chat", error=str(error))
            await self._transport.say(service_url, conversation, NO_CHAT)
        else:
            await self._transport.say(service_url, conversation, IN_OUR_CHAT)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it after the message was acknowledged, in a task that is kept."""
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _quietly(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (ConnectorError, LoginAway, LoginRefused, IssuerError) as error:
            log.warning("teams.answer_failed", error=str(error))
        except Exception:  # an answer that fails must not take others along
            log.exception("teams.answer_failed")


def open_teams(
    settings: Teams,
    store: Store,
    desk: Desk,
    commands: Commands,
    *,
    button_key: bytes,
    insecure_loopback: bool,
    clock: Callable[[], float],
) -> tuple[TeamsFront, TeamsSender]:
    """The front and the outbox's sender of one bot, sharing a way out. To be called in a running loop."""
    documents = Documents(insecure_loopback=insecure_loopback)
    edge = Edge(settings.app_id, settings.tenant_id, documents, clock, settings.openid_metadata_url or "")
    login_url = settings.login_url or ""

    async def scope() -> str:
        return f"{await edge.issuer()}/.default"

    tokens = Tokens(settings.app_id, settings.app_password, settings.tenant_id, scope, clock, login_url)
    transport = Transport(settings.app_id, settings.tenant_id, tokens)
    people = People(transport, desk, settings.tenant_id, login_url)
    front = TeamsFront(edge, tokens, transport, people, desk, commands, store, button_key=button_key, clock=clock)
    return front, TeamsSender(transport, store, button_key, clock)


def _only_glass(draw: Callable[[Card, str], Drawn]) -> Callable[[Card, str], Drawn]:
    """For who may break the glass and nothing else: there is no other button for them; where the page approves, it is there."""
    return lambda shown, value: glass_card(shown, value) if draw is review_card and shown.glass else draw(shown, value)


def as_typed(activity: Json) -> str:
    """A command as the person typed it: without the mention of us, without "/hoop", quotes straight."""
    text = str(activity.get("text") or "")
    us, entities = at(activity, "recipient", "id"), activity.get("entities")
    for each in entities if isinstance(entities, list) else []:
        if at(each, "type") == "mention" and at(each, "mentioned", "id") == us:
            text = text.replace(str(at(each, "text") or "\0"), " ")
    words = uncurled(html.unescape(text).replace("\xa0", " ")).strip()
    first, _, rest = words.partition(" ")
    return rest.strip() if first.lower() in {"/hoop", "hoop"} else words


async def _body(request: web.Request) -> bytes:
    """The body, bounded. Raises Rejected (413)."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_BODY:
            raise Rejected(413, "the body is too large")
    return bytes(body)


def _was_removed(activity: Json) -> bool:
    """Whether we were taken out of a team or a chat."""
    us, gone = at(activity, "recipient", "id"), activity.get("membersRemoved")
    if activity.get("type") == "installationUpdate":
        return str(activity.get("action")).startswith("remove")
    left = [at(each, "id") for each in gone] if isinstance(gone, list) else []
    return activity.get("type") == "conversationUpdate" and us is not None and us in left


def _opened(data: Json) -> tuple[str, int, str] | None:
    value = data.get("seal")
    return unsealed(value) if isinstance(value, str) else None


def _reason(data: Json) -> str:
    typed = data.get("reason")
    return said(typed, REASON_MAX + 1) if isinstance(typed, str) else ""
