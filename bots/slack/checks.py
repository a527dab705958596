"""What Slack tells of itself before anything is sent: whose clock is off, which channels others read along in.

What lives here: reading Slack's answers. What does not: what follows from them (bots.slack.members, gateway.running,
gateway.cli.surroundings).
"""

import asyncio
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.sender import error_of

#: Seconds that Slack's clock and ours may differ by: a click is refused when it is 300 s old.
SKEW = 60.0
SHARED = "it is shared with another organisation, who would read the SQL"
_SCOPES = (
    "the app may have channels:read (groups:read for private channels): upload hoop manifest slack and install it again"
)

log = structlog.get_logger()


def header(headers: Mapping[str, object], name: str) -> str:
    """One of an answer's headers, whatever the case of its name; slack_sdk gives its values as a list or as a text."""
    value = next((value for key, value in headers.items() if key.lower() == name), "")
    return str(value[0]) if isinstance(value, list) and value else str(value)


def ahead(headers: Mapping[str, object], now: float) -> float | None:
    """Seconds that our clock (`now`, Unix seconds) is ahead of Slack's; None where the answer does not tell."""
    try:
        return now - parsedate_to_datetime(header(headers, "date")).timestamp()
    except ValueError:
        return None


def skew_text(seconds: float | None) -> str:
    """A sentence's end for a clock that is too far off, else ""."""
    if seconds is None or abs(seconds) <= SKEW:
        return ""
    return f"{abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} Slack's"


def is_shared(channel: Mapping[str, Any]) -> bool:
    """True for a channel (conversations.info) that members of another organisation read, or are invited to."""
    return bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"))


async def shared_channels(client: AsyncWebClient, channels: Iterable[str]) -> list[str]:
    """Those of `channels` (ids) that are shared. What Slack does not tell is logged, and not among them."""
    asked = list(channels)
    shared = await asyncio.gather(*(_looked_at(client, each) for each in asked))
    return [channel for channel, is_so in zip(asked, shared, strict=True) if is_so]


async def _looked_at(client: AsyncWebClient, channel: str) -> bool:
    try:
        return is_shared((await client.conversations_info(channel=channel))["channel"])
    except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
        why = error_of(error) if isinstance(error, SlackApiError) else type(error).__name__
        hint = _SCOPES if why == "missing_scope" else ""
        log.warning("slack.channel_not_looked_at", channel=channel, error=why, hint=hint)
        return False
