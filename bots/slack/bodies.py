"""What a payload of Slack's says, and what the ack of one says back. Pure.

What must not live here: layout (blocks), what follows from a click (clicks, tab, commanding).
"""

from typing import Any

from bots.slack import blocks
from bots.slack.blocks import Json
from bots.texts import in_utc

Body = dict[str, Any]


def value_of(body: Body) -> str:
    """What the button that was clicked carries."""
    return str(body["actions"][0].get("value") or "")


def channel_of(body: Body) -> str:
    """Where it was clicked; "" on the home tab, which is in no channel."""
    if "channel" in body:
        return str(body["channel"]["id"])
    return str(body.get("channel_id") or body.get("container", {}).get("channel_id") or "")


def written_in(view: Body, block: str) -> str:
    """What was typed in an input of a modal that comes back."""
    return view["state"]["values"].get(block, {}).get(block, {}).get("value") or ""


def in_place(text: str, block: str = blocks.REASON_BLOCK) -> Json:
    """A text beside the input of a modal."""
    return {"response_action": "errors", "errors": {block: in_utc(text)}}


def _in_its_place(text: str) -> Json:
    """For a modal without an input: an error needs one to stand beside."""
    return {"response_action": "update", "view": blocks.notice_view(in_utc(text), "Approve")}


def shown_in(body: Body, text: str, beside: str = "") -> Json:
    """What an ack carries when the answer is a text: an error in the modal, or the command's answer."""
    if body.get("type") == "view_submission":
        inputs = [each["block_id"] for each in body["view"]["blocks"] if each["type"] == "input"]
        block = beside if beside in inputs else next(iter(inputs), "")
        return in_place(text, block) if block else _in_its_place(text)
    return {"text": blocks.in_mrkdwn(text)} if "command" in body else {}
