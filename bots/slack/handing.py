"""Hands a file over to one person in Slack: in the app's own chat with them, where nobody else reads along.

What lives here: the calls, and what is said where it can't be done. The scope files:write is optional: without it nothing else fails.
"""

import asyncio
import io

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bots.answers import Answer, File
from bots.slack.blocks import in_mrkdwn
from bots.slack.sender import error_of

log = structlog.get_logger()

#: Seconds for all of it: three calls and the upload.
WITHIN = 30.0
SENT = "The file is in our direct messages."
NO_SCOPE = (
    "This app may not send files. Add the scope files:write (hoop manifest slack has it) and install the app again; "
    "until then format:csv shows a page at a time, and hoop audit export writes all of it."
)
FAILED = "Slack did not take the file: please try again, or use hoop audit export."


async def hand_over(client: AsyncWebClient, user: str, answer: Answer, file: File) -> str:
    """Send it; returns what to tell them where they asked."""
    said = in_mrkdwn(" ".join((f"{answer.title}:", *answer.lines, answer.footer)))
    try:
        async with asyncio.timeout(WITHIN):
            posted = await client.chat_postMessage(channel=user, text=said, unfurl_links=False)
            file_id = await upload(client, file)
            await client.files_completeUploadExternal(
                files=[{"id": file_id, "title": file.name}],
                channel_id=str(posted["channel"]),
                thread_ts=str(posted["ts"]),
            )
    except SlackApiError as error:
        log.warning("slack.file_not_sent", error=error_of(error))
        return NO_SCOPE if error_of(error) == "missing_scope" else FAILED
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("slack.file_not_sent", error=type(error).__name__)
        return FAILED
    return SENT


async def upload(client: AsyncWebClient, file: File) -> str:
    """Announce a file and send its bytes; returns its id. Not by the SDK's own upload: that sends them in one piece on the loop.

    Raises SlackApiError, aiohttp.ClientError, TimeoutError.
    """
    content = file.content.encode("utf-8", "replace")
    place = await client.files_getUploadURLExternal(filename=file.name, length=len(content))
    assert client.session is not None  # noqa: S101 - open_client makes it
    async with client.session.post(str(place["upload_url"]), data=io.BytesIO(content)) as answer:
        answer.raise_for_status()
    return str(place["file_id"])
