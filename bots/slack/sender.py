"""Posts and updates cards in Slack for the outbox (it implements gateway.approvals.outbox.Front).

What lives here: which of Slack's errors mean what. What does not: when to try again (the outbox), what a card looks like
(blocks). A card is always drawn from the stored request, never from the blocks that Slack echoes: those come back
escaped, grow, and are refused as invalid_blocks.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bots.below import below
from bots.cards import alarm, card
from bots.seals import seal
from bots.slack.blocks import LADDER, Message, alarm_message, in_mrkdwn, message, user_groups
from gateway.approvals.outbox import Below, PermanentFailure, RetryLater, Unreached
from gateway.approvals.request import ApprovalRequest

#: Seconds for one call; slack_sdk's 30 s would outlast many holds.
TIMEOUT = 5.0

_INVITE = "invite the app to the channel: /invite @hoop"
_TOKEN = "check SLACK_BOT_TOKEN, or install the app again"  # noqa: S105 - a hint, not a secret
_CHANNEL = "name another channel under reviewers in policies.yaml"

#: Slack's error -> what a person has to do. None of them goes away by trying again.
HINTS = {
    "not_in_channel": _INVITE,
    "channel_not_found": f"check the channel id in policies.yaml; if it is private, {_INVITE}",
    "is_archived": f"the channel is archived: {_CHANNEL}",
    "restricted_action": f"a workspace preference forbids posting there: {_CHANNEL}",
    "restricted_action_read_only_channel": f"the channel is read-only: {_CHANNEL}",
    "restricted_action_thread_only_channel": f"the channel takes threads only: {_CHANNEL}",
    "restricted_action_non_threadable_channel": f"the channel takes no such messages: {_CHANNEL}",
    "not_authed": _TOKEN,
    "invalid_auth": _TOKEN,
    "account_inactive": _TOKEN,
    "token_revoked": _TOKEN,
    "token_expired": _TOKEN,
    "no_permission": _TOKEN,
    "team_access_not_granted": _TOKEN,
    "ekm_access_denied": "an administrator has suspended posting there",
    "missing_scope": "the app lacks a scope: upload the output of hoop manifest slack and install it again",
    "not_allowed_token_type": _TOKEN,
    "org_login_required": "the workspace is being migrated: try again when it is back",
    "message_limit_exceeded": "the workspace is over its message limit",
}

#: The message is too big or not to Slack's taste: draw a smaller one.
_TOO_BIG = frozenset({"msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "msg_too_long"})
#: The posted message is out of reach: post a new one.
_GONE = frozenset({"message_not_found", "edit_window_closed", "cant_update_message", "is_inactive", "block_mismatch"})


def open_client(token: str, api_url: str = AsyncWebClient.BASE_URL) -> AsyncWebClient:
    """A Web API client with one session of its own and a time limit (the SDK ignores its own `timeout` on a shared one).

    To be called in a running loop; close with `await client.session.close()`.
    """
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
    return AsyncWebClient(token=token, base_url=api_url, session=session)


def error_of(error: SlackApiError) -> str:
    """Slack's error code, or "http 502" where the answer was no JSON."""
    data = getattr(error.response, "data", error.response)
    code = data.get("error") if isinstance(data, dict) else None
    return str(code) if code else f"http {getattr(error.response, 'status_code', '?')}"


class SlackSender:
    """A Front of the outbox; `clock` gives Unix seconds. `ref` is JSON: {"channel": "C1", "ts": "1.2"}.

    All methods raise RetryLater (429), PermanentFailure (with a hint for operators), Unreached, and SlackUnwellError, an aiohttp
    ClientError or TimeoutError for what the outbox tries again at its own pace.
    """

    def __init__(self, client: AsyncWebClient, button_key: bytes, clock: Callable[[], float]) -> None:
        self._client = client
        self._key = button_key
        self._clock = clock

    async def post(self, channel: str, request: ApprovalRequest) -> str:
        """Post the card."""
        place = channel.removeprefix("slack:")
        return await self._down_the_ladder(
            request, lambda drawn: self._client.chat_postMessage(channel=place, **_arguments(drawn, request))
        )

    async def update(self, channel: str, ref: str, request: ApprovalRequest) -> str:
        """Redraw the card; posts a new one if the old is gone."""
        known: dict[str, str] = json.loads(ref)
        try:
            return await self._down_the_ladder(
                request,
                lambda drawn: self._client.chat_update(
                    channel=known["channel"], ts=known["ts"], **_arguments(drawn, request)
                ),
            )
        except _GoneError:
            return await self.post(channel, request)

    async def remind(self, ref: str, request: ApprovalRequest, about: Below = Below.WAITING) -> None:
        """Say in the card's thread that it still waits, or what `about` is; an escalation and a flood are shown to the whole channel."""
        known: dict[str, str] = json.loads(ref)
        text = in_mrkdwn(below(request, about))
        if about not in (Below.COUNTED, Below.FLOODED):
            text = " ".join((*(f"<!subteam^{each}>" for each in user_groups(request.mentions)), text))
        broadcast = about in (Below.ESCALATED, Below.FLOODED)
        await self._say(channel=known["channel"], thread_ts=known["ts"], text=text, reply_broadcast=broadcast)

    async def say(self, channel: str, text: str) -> None:
        """A message of its own in a channel."""
        await self._say(channel=channel, text=in_mrkdwn(text))

    async def alarm(self, channel: str, request: ApprovalRequest) -> str:
        """Say in the channel that the glass is broken: a message of its own, which a thread would hide."""
        drawn = alarm_message(alarm(request))
        return await self._say(channel=channel, text=drawn.text, blocks=drawn.blocks)

    async def _say(self, **said: Any) -> str:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._client.chat_postMessage(**said, unfurl_links=False, unfurl_media=False)
            return json.dumps({"channel": answer["channel"], "ts": answer["ts"]})
        except aiohttp.ClientConnectorError as error:
            raise Unreached(f"Slack can't be reached: {type(error).__name__}") from error
        except SlackApiError as error:
            raise _meaning(error) from error

    async def _down_the_ladder(self, request: ApprovalRequest, send: Callable[[Message], Awaitable[Any]]) -> str:
        """Send the biggest card that fits; on Slack's own "too long", the next smaller one."""
        step = 0
        while True:
            drawn = message(card(request, self._clock()), seal(self._key, request), step)
            try:
                async with asyncio.timeout(TIMEOUT):
                    answer = await send(drawn)
            except aiohttp.ClientConnectorError as error:
                raise Unreached(f"Slack can't be reached: {type(error).__name__}") from error
            except SlackApiError as error:
                if error_of(error) not in _TOO_BIG and _status(error) != 413:
                    raise _meaning(error) from error
                step = drawn.step + 1
                if step == len(LADDER):
                    raise PermanentFailure(f"Slack refuses even the smallest card: {error_of(error)}") from error
            else:
                return json.dumps({"channel": answer["channel"], "ts": answer["ts"]})


class SlackUnwellError(Exception):
    """Slack answered with an error of its own that goes away by itself; the text is its code."""


class _GoneError(Exception):
    """The posted message can't be updated any more."""


def _meaning(error: SlackApiError) -> Exception:
    code = error_of(error)
    if _status(error) == 429 or code in {"ratelimited", "rate_limited"}:
        return RetryLater(_retry_after(error))
    if code in _GONE:
        return _GoneError(code)
    if code in HINTS:
        return PermanentFailure(f"{code}: {HINTS[code]}")
    return SlackUnwellError(code)


def _status(error: SlackApiError) -> int:
    return int(getattr(error.response, "status_code", 200))


def _retry_after(error: SlackApiError) -> float:
    """Slack's Retry-After in seconds, 1 to 30: a hold would not outlast more."""
    headers = getattr(error.response, "headers", {})
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(30.0, max(1.0, float(text))) if text.isdigit() else 1.0


def _arguments(drawn: Message, request: ApprovalRequest) -> dict[str, Any]:
    """`metadata` lets a card whose answer was lost be told from another's: at worst there are two, of one request."""
    return {
        "text": drawn.text,
        "blocks": drawn.blocks,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": "hoop_request", "event_payload": {"id": request.id, "rev": request.rev}},
    }
