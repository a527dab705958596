"""The way out: what a person is told, and where, after their click or command was acknowledged.

What lives here: tasks that are kept, the response_url and what stands in for it, modals, and what is said of a failure.
What must not: what is said otherwise (clicks, tab, commanding), posting and updating cards (sender, driven by the
outbox).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bots.slack import blocks
from bots.slack.blocks import Json, Message
from bots.slack.bodies import Body, channel_of
from bots.slack.members import Unproven
from bots.slack.sender import error_of
from bots.texts import in_utc
from gateway.errors import GatewayError

#: Seconds for opening a modal (its trigger lives 3 s).
OPEN_VIEW = 2.0

log = structlog.get_logger()

#: Whether a click counted is not known where only the store's answer was lost: never say that nothing was decided.
CARD_COUNTS = "What the card shows counts: look at it, then try again if it is still open."
FAILED = f"Something went wrong on our side. {CARD_COUNTS}"


def explained(error: Exception) -> str:
    """What a person is told of a failure of ours."""
    if isinstance(error, GatewayError):
        return f"{error.message}. {CARD_COUNTS}"
    log.error("slack.listener_failed", exc_info=error)
    return FAILED


class Replies:
    """`client` has a session of its own (sender.open_client)."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    async def settle(self) -> None:
        """Wait for answers that are under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def later(self, work: Coroutine[Any, Any, None], after: float = 0.0) -> None:
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

    async def say(self, body: Body, text: str) -> None:
        """Tell the person alone; in the place of the dialog, where they have clicked in one."""
        if body.get("view", {}).get("type") == "modal":
            await self._client.views_update(
                view_id=body["view"]["id"], view=blocks.notice_view(in_utc(text), "Request")
            )
            return
        await self.respond(
            body, {"text": blocks.in_mrkdwn(text), "response_type": "ephemeral", "replace_original": False}
        )

    async def whisper(self, shown: Json) -> None:
        """In the channel; what began on the home tab has none, so there it is a direct message."""
        if shown["channel"]:
            await self._client.chat_postEphemeral(**shown)
        else:
            await self._client.chat_postMessage(**{**shown, "channel": shown["user"], "user": None})

    async def respond(self, body: Body, payload: Json) -> None:
        """By the response_url (works where the app is no member), else by an ephemeral message."""
        url = body.get("response_url")
        if url:
            webhook = AsyncWebhookClient(url, timeout=5, session=self._client.session)
            if (await webhook.send_dict(payload)).status_code == 200:
                return
        user = body["user"]["id"] if "user" in body else body["user_id"]
        shown: Json = {key: payload[key] for key in ("text", "blocks") if key in payload}
        await self.whisper({"channel": channel_of(body), "user": user, **shown})

    async def open(self, body: Body, view: Json) -> Json | None:
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

    async def fill(self, body: Body, view_id: str, content: Callable[[Body], Awaitable[Json]]) -> None:
        """Show the content in a modal that was opened without it, or why there is none."""
        try:
            view = await content(body)
        except Unproven as error:
            view = blocks.notice_view(str(error))
        except GatewayError as error:
            view = blocks.notice_view(explained(error))
        await self._client.views_update(view_id=view_id, view=view)

    async def draw(self, channel: str, ts: str, drawn: Message) -> None:
        """Show a message anew."""
        await self._client.chat_update(channel=channel, ts=ts, text=drawn.text, blocks=drawn.blocks)

    async def publish(self, user: str, view: Json) -> None:
        """Show a person's home tab anew."""
        await self._client.views_publish(user_id=user, view=view)
