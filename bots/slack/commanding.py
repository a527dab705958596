"""`/hoop ...` in Slack, and the pages of an answer.

What lives here: acknowledging in time, reading what was typed. What must not: what is answered (bots.commands), layout
(blocks).
"""

import asyncio
import re
from collections.abc import Awaitable

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bots.commands import Answer, Commands, Viewer
from bots.slack import blocks
from bots.slack.blocks import Json
from bots.slack.bodies import Body, value_of
from bots.slack.clicks import Act
from bots.slack.handing import hand_over
from bots.slack.members import Members, Unproven
from bots.slack.replies import Replies, explained
from bots.texts import uncurled
from gateway.errors import GatewayError

#: Seconds until a command is acknowledged empty-handed; its answer then comes through the response_url.
COMMAND = 2.4


class Commanding:
    """`client` hands files over."""

    def __init__(self, client: AsyncWebClient, commands: Commands, members: Members, replies: Replies) -> None:
        self._client = client
        self._commands = commands
        self._members = members
        self._replies = replies

    def actions(self) -> dict[re.Pattern[str], Act]:
        """What acts on the buttons that turn an answer's pages."""
        return {re.compile(f"^{blocks.PAGE_ACTION}_"): self._page}

    async def command(self, ack: AsyncAck, body: Body) -> None:
        """The command itself: answered in the ack, or behind it where that takes too long."""
        answering = asyncio.ensure_future(self._answer(body))
        done, _ = await asyncio.wait({answering}, timeout=COMMAND)
        if done:
            await ack(**answering.result())
            return
        await ack()
        self._replies.later(self._answer_late(body, answering))

    async def _answer(self, body: Body) -> Json:
        try:
            viewer = await self._members.viewer(body["user_id"])
            return _payload(await self._commands.answer(as_typed(body.get("text") or ""), viewer))
        except Unproven as error:
            return _payload(Answer("Not answered", (str(error),)))
        except GatewayError as error:
            return _payload(Answer("Not answered", (explained(error),)))

    async def _answer_late(self, body: Body, answering: Awaitable[Json]) -> None:
        await self._replies.respond(body, await answering)

    async def _page(self, ack: AsyncAck, body: Body) -> None:
        """Reading a whole answer for a file may take longer than Slack waits for an ack."""
        await ack()
        self._replies.later(self._turn_page(body))

    async def _turn_page(self, body: Body) -> None:
        try:
            viewer = Viewer(await self._members.person(body["user"]["id"]), "slack")
            answer = await self._commands.page(value_of(body), viewer)
        except Unproven as error:
            await self._replies.say(body, str(error))
        except Exception as error:  # whatever it is, the person gets an answer
            await self._replies.say(body, explained(error))
        else:
            if answer.file is not None:
                await self._replies.say(body, await hand_over(self._client, body["user"]["id"], answer, answer.file))
            else:
                await self._replies.respond(body, {**_payload(answer), "replace_original": True})


_LINK = re.compile(r"<(?:mailto:|https?://)[^|>]*\|([^>]*)>")


def as_typed(text: str) -> str:
    """A command's text as the person typed it: Slack links addresses and escapes & < >, keyboards curl quotes."""
    plain = uncurled(_LINK.sub(r"\1", text))
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _payload(answer: Answer) -> Json:
    drawn = blocks.answer_message(answer)
    kind = "in_channel" if answer.share else "ephemeral"
    return {"response_type": kind, "text": drawn.text, "blocks": drawn.blocks}
