"""What a click on a card, or a form that comes back, decides in Slack.

What lives here: the order of things. A click is decided first (one compare-and-set in the store), acknowledged second;
everything else happens after it (replies). Whatever needs words, a look or a name opens its modal first, for the
trigger lives 3 s. What must not: who clicked (members), what they may do (the desk), texts (bots.commands.told), layout
(blocks).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.cards import Action, Card, card, title
from bots.commands import REFUSALS, told
from bots.granting import scope_of
from bots.seals import genuine, seal, unsealed
from bots.slack import blocks
from bots.slack.blocks import Form, Json
from bots.slack.bodies import Body, channel_of, in_place, shown_in, value_of, written_in
from bots.slack.members import Members
from bots.slack.replies import Replies
from bots.texts import in_utc
from gateway.approvals import glass
from gateway.approvals.decisions import Approve, Ask, BreakGlass, Decided, Decision, Deny, RequestChanges, Withdraw
from gateway.approvals.decisions import Refused as DeskRefused
from gateway.approvals.desk import Desk
from gateway.approvals.grants import Scope
from gateway.approvals.request import ApprovalRequest, Person, Refusal, refusal_of, said, same_person
from gateway.errors import GatewayError

#: Seconds for the title of a modal: what is left of the trigger's 3 s is for opening it.
LOOK_UP_TITLE = 0.5
#: Seconds until the one who approved is told so: the statement that they let go has the loop to itself until then.
_WIRE_FIRST = 0.03

Act = Callable[[AsyncAck, Body], Awaitable[None]]

NOT_VALID = (
    "This card is no longer valid: the gateway does not know its button. Nothing was decided. Try /hoop pending."
)
CLICK_AGAIN = "Slack did not open the dialog in time. The request still waits: please click {} again."

#: Refusals that a card with live buttons should not have led to.
_CARD_IS_OLD = frozenset({Refusal.ALREADY_DECIDED, Refusal.EXPIRED, Refusal.STALE})


@dataclass(frozen=True, slots=True)
class _Said:
    """What a click came to: the text for the person, the id of a request whose clicked card is out of date, and the input that
    the text stands beside, in a modal that has it."""

    text: str
    decided: bool = False
    redraw: str = ""
    beside: str = ""


async def ignore(ack: AsyncAck, body: Body) -> None:  # noqa: ARG001 - bolt gives both
    """There is nothing to do but to say that it arrived."""
    await ack()


class Clicks:
    """`button_key` seals buttons (the same as the SlackSender's), `clock` gives Unix seconds."""

    def __init__(
        self, desk: Desk, members: Members, replies: Replies, *, button_key: bytes, clock: Callable[[], float]
    ) -> None:
        self._desk = desk
        self._members = members
        self._replies = replies
        self._key = button_key
        self._clock = clock

    def actions(self) -> dict[str, Act]:
        """What acts on which button or menu of a card."""
        return {
            Action.APPROVE.value: partial(self._click, Approve()),
            Action.WITHDRAW.value: partial(self._click, Withdraw()),
            blocks.APPROVE_ACTION: partial(self._ask_approval, self._approval_view, "Approve"),
            Action.DENY.value: partial(self._ask_text, blocks.DENY_FORM),
            blocks.MORE_ACTION: self._more,
            Action.FULL_SQL.value: self._full_sql,
            blocks.PAGE_LINK: ignore,  # the browser opened the page; a click alone decides nothing
        }

    def views(self) -> dict[str, Act]:
        """What acts on which modal that comes back."""
        return {
            blocks.DENY_FORM.view: partial(self._written, blocks.DENY_FORM, Deny),
            blocks.CHANGES_FORM.view: partial(self._written, blocks.CHANGES_FORM, RequestChanges),
            blocks.ASK_FORM.view: partial(self._written, blocks.ASK_FORM, Ask),
            blocks.APPROVE_VIEW: partial(self._approve_in_view, _approval),
            blocks.GLASS_VIEW: partial(self._approve_in_view, _broken_glass),
        }

    async def no_such_button(self, ack: AsyncAck, body: Body) -> None:
        """A button that nothing acts on, of an older app most likely."""
        await ack()
        if body["actions"][0].get("type") == "button" and not body["actions"][0].get("url"):
            self._replies.later(self._replies.say(body, NOT_VALID))

    async def _click(self, decision: Decision, ack: AsyncAck, body: Body) -> None:
        came_to = await self._decide(value_of(body), body["user"]["id"], decision)
        await ack()
        self._replies.later(self._replies.say(body, came_to.text), after=_WIRE_FIRST)
        if came_to.redraw:
            self._replies.later(self._repair(body, came_to.redraw))

    async def _decide(self, value: str, user_id: str, decision: Decision, *, personal: bool = False) -> _Said:
        """Decide by a sealed button. Nothing is decided unless the seal fits what the request holds now, and, if it is
        `personal`, who clicks.

        Raises Unproven.
        """
        opened = unsealed(value)
        if opened is None:
            return _Said(NOT_VALID)
        request_id, rev, mac = opened
        person = await self._members.person(user_id)
        sealed = partial(genuine, self._key, rev=rev, mac=mac, reader=person if personal else None)
        answer = await self._desk.decide(request_id, rev, person, decision, "slack", genuine=sealed)
        text = told(answer, person, self._clock(), decision)
        if isinstance(answer, Decided):
            return _Said(text, decided=True)
        beside = blocks.TYPED_BLOCK if answer.refusal is Refusal.NOT_TYPED else ""
        return _Said(text, redraw=request_id if answer.refusal in _CARD_IS_OLD else "", beside=beside)

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
        await self._replies.draw(channel_of(body), ts, drawn)

    async def _ask_approval(
        self, content: Callable[[Body], Awaitable[Json]], title: str, ack: AsyncAck, body: Body
    ) -> None:
        """Approve, where the full text has to be read or something typed: the modal first, its trigger lives 3 s."""
        view = await self._replies.open(body, blocks.notice_view("Looking it up...", title))
        await ack()
        if view is None:
            self._replies.later(self._replies.say(body, CLICK_AGAIN.format(title)))
            return
        self._replies.later(self._replies.fill(body, str(view["id"]), content))

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
        person = await self._members.person(body["user"]["id"])
        request = await self._sealed(value_of(body))
        if request is None:
            return blocks.notice_view(NOT_VALID, title)
        refusal = refused(request, person, self._clock())
        if refusal is not None:
            return blocks.notice_view(in_utc(told(DeskRefused(refusal, request), person, self._clock())), title)
        return view(card(request, self._clock()), seal(self._key, request, person), channel_of(body))

    async def _approve_in_view(self, decided: Callable[[Body, bool], Decision], ack: AsyncAck, body: Body) -> None:
        """That modal comes back, with what was typed; it was sealed for the one who opened it."""
        about = json.loads(body["view"]["private_metadata"])
        decision = decided(body["view"], about["whole"] is True)
        came_to = await self._decide(about["value"], body["user"]["id"], decision, personal=True)
        if not came_to.decided:
            await ack(**shown_in(body, came_to.text, came_to.beside))
            return
        await ack()
        shown = {"channel": about["channel"], "user": body["user"]["id"], "text": blocks.in_mrkdwn(came_to.text)}
        self._replies.later(self._replies.whisper(shown), after=_WIRE_FIRST)  # a modal brings no response_url

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
        act = chosen.get(name, self.no_such_button)
        await act(ack, {**body, "actions": [{"type": "button", "value": value}]})

    async def _ask_text(self, form: Form, ack: AsyncAck, body: Body) -> None:
        """The modal first, its trigger lives 3 s. Whoever may not do it is told when they submit it."""
        value = value_of(body)
        if unsealed(value) is None:
            await ack()
            self._replies.later(self._replies.say(body, NOT_VALID))
            return
        opened = await self._replies.open(
            body, blocks.text_view(form, value, channel_of(body), await self._title(value))
        )
        await ack()
        if opened is None:
            self._replies.later(self._replies.say(body, CLICK_AGAIN.format(form.submit)))

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
        text = said(written_in(view, blocks.REASON_BLOCK))
        if not blocks.REASON_MIN <= len(text) <= form.most:
            await ack(**in_place(f"Write {blocks.REASON_MIN} to {form.most:,} characters."))
            return
        value = json.loads(view["private_metadata"])["value"]
        came_to = await self._decide(value, body["user"]["id"], decision(text))
        if came_to.decided:
            await ack()
        else:
            await ack(**in_place(came_to.text))

    async def _full_sql(self, ack: AsyncAck, body: Body) -> None:
        view = await self._replies.open(body, blocks.notice_view("Looking it up..."))
        await ack()
        if view is None:
            self._replies.later(
                self._replies.say(body, "Slack did not open the dialog in time: please click Full SQL again.")
            )
            return
        self._replies.later(self._replies.fill(body, str(view["id"]), self._full_view))

    async def _full_view(self, body: Body) -> Json:
        person = await self._members.person(body["user"]["id"])
        opened = unsealed(value_of(body))
        request = await self._desk.show(opened[0]) if opened is not None else None
        if request is None:
            return blocks.notice_view(REFUSALS[Refusal.UNKNOWN_REQUEST])
        if not (glass.may_look(request, person) or same_person(request.requester, person)):
            return blocks.notice_view("Only its reviewers and its requester may see it in full.")
        return blocks.full_view(card(glass.as_seen_by(request, person), self._clock()))


def _with_offers(shown: Card, value: str, channel: str) -> Json:
    return blocks.approve_view(shown, value, channel, shown.offers)


def _approval(view: Body, read: bool) -> Decision:
    chosen = view["state"]["values"].get(blocks.GRANT_BLOCK, {}).get(blocks.GRANT_BLOCK, {}).get("selected_option")
    scope = None if chosen is None else scope_of(str(chosen.get("value"))) or Scope()
    return Approve(written_in(view, blocks.TYPED_BLOCK), read=read, scope=scope)


def _broken_glass(view: Body, read: bool) -> Decision:
    return BreakGlass(written_in(view, blocks.REASON_BLOCK), written_in(view, blocks.TYPED_BLOCK), read=read)
