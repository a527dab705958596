"""Slack's home tab: shown when somebody opens it, and what its buttons do.

What must not live here: what is shown to whom (bots.home), layout (home), deciding (clicks: the dialog has the card's
buttons).
"""

from collections.abc import Callable
from functools import partial

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.cards import card
from bots.commands import Commands, Viewer
from bots.home import Home
from bots.seals import seal, unsealed
from bots.slack import blocks
from bots.slack.blocks import Json
from bots.slack.bodies import Body, value_of
from bots.slack.clicks import Act
from bots.slack.home import REVIEW_ACTION, REVOKE_ACTION, home_view, notice_home, review_view
from bots.slack.members import Members, Unproven
from bots.slack.replies import Replies
from gateway.approvals import glass
from gateway.approvals.desk import Desk
from gateway.approvals.request import same_person
from gateway.errors import GatewayError


class Tab:
    """`home` is None where there is no tab; `button_key` and `clock` as Clicks has them."""

    def __init__(
        self,
        home: Home | None,
        desk: Desk,
        commands: Commands,
        members: Members,
        replies: Replies,
        *,
        button_key: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._home = home
        self._desk = desk
        self._commands = commands
        self._members = members
        self._replies = replies
        self._key = button_key
        self._clock = clock

    def actions(self) -> dict[str, Act]:
        """What acts on which button of the tab."""
        return {REVIEW_ACTION: self._review, REVOKE_ACTION: self._revoke_grant}

    async def opened(self, ack: AsyncAck, body: Body) -> None:
        """The event of a tab that somebody opened: it is drawn then."""
        await ack()
        if self._home is not None and body["event"].get("tab") == "home":
            self._replies.later(self._publish(self._home, str(body["event"]["user"])))

    async def _publish(self, home: Home, user: str) -> None:
        try:
            person = await self._members.person(user)
            view = home_view(await home.look(Viewer(person, "slack")), partial(seal, self._key))
        except Unproven as error:
            view = notice_home(str(error))
        except GatewayError as error:
            view = notice_home(f"{error.message}. Open this tab again in a while.")
        await self._replies.publish(user, view)

    async def _review(self, ack: AsyncAck, body: Body) -> None:
        view = await self._replies.open(body, blocks.notice_view("Looking it up...", "Request"))
        await ack()
        if view is None:
            self._replies.later(self._replies.say(body, "Slack did not open the dialog in time: please click again."))
            return
        self._replies.later(self._replies.fill(body, str(view["id"]), self._review_view))

    async def _review_view(self, body: Body) -> Json:
        person = await self._members.person(body["user"]["id"])
        opened = unsealed(value_of(body))
        request = await self._desk.show(opened[0]) if opened is not None else None
        if request is None or not (glass.may_look(request, person) or same_person(request.requester, person)):
            return blocks.notice_view("There is no such request that you may see.", "Request")
        return review_view(card(glass.as_seen_by(request, person), self._clock()), seal(self._key, request))

    async def _revoke_grant(self, ack: AsyncAck, body: Body) -> None:
        """As the command does; the tab then shows what is left."""
        viewer = Viewer(await self._members.person(body["user"]["id"]), "slack")
        answer = await self._commands.answer(f"revoke grant {value_of(body)}", viewer)
        await ack()
        self._replies.later(self._replies.say(body, " ".join((f"{answer.title}:", *answer.lines))))
        if self._home is not None:
            self._replies.later(self._publish(self._home, str(body["user"]["id"])))
