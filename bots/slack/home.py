"""Slack's home tab, and the dialog in which one of its requests is looked at and decided. Pure: layout only.

What lives here: Block Kit for surfaces that are no message. They take no tables, so rows stand as literal text. What does not: what
is shown to whom (bots.home), clicks (bots.slack.tab).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from bots.cards import Card
from bots.fitting import fit
from bots.home import Item, Part
from bots.previews import as_text
from bots.slack.blocks import LADDER, Json, block_of, button, code, draw, plain, run
from bots.texts import in_utc
from gateway.approvals.request import ApprovalRequest

#: The button that opens the dialog; its value is the request's seal.
REVIEW_ACTION = "hoop_review"
#: The button that ends a grant; its value is the request's id.
REVOKE_ACTION = "hoop_revoke_grant"
_TITLE, _TEXT, _ROWS = 300, 600, 1_500


def home_view(parts: Sequence[Part], seal: Callable[[ApprovalRequest], str]) -> Json:
    """The home tab: under 100 blocks for up to 12 parts of 8 items, and well under 250 kB."""
    blocks = [block for part in parts for block in _drawn(part, seal)]
    note = "This tab is as it was when you opened it: open it again to see what is new. Commands work in any channel: try /hoop help"
    return {
        "type": "home",
        "blocks": [*blocks[:98], {"type": "divider"}, {"type": "context", "elements": [plain(note)]}],
    }


def notice_home(text: str) -> Json:
    """A home tab that says why it shows nothing; what it showed before is gone."""
    return {"type": "home", "blocks": [{"type": "section", "text": plain(in_utc(fit(text, _TEXT)))}]}


def _drawn(part: Part, seal: Callable[[ApprovalRequest], str]) -> list[Json]:
    heading: list[Json] = [{"type": "header", "text": plain(part.title)}]
    items = [block for item in part.items for block in _item(item, seal)]
    return [*heading, *items, *([block_of([run(part.note)])] if part.note else [])]


def _item(item: Item, seal: Callable[[ApprovalRequest], str]) -> list[Json]:
    said = block_of([run(fit(item.title, _TITLE), bold=True)], [run(fit(item.text, _TEXT))])
    if item.request is None:
        return [said]
    label = f"Look at it: {item.title}"[:75]
    look = button("Look at it", REVIEW_ACTION, seal(item.request), accessibility_label=label)
    end = (
        [button("Revoke", REVOKE_ACTION, item.request.id, accessibility_label=f"Revoke: {item.title}"[:75])]
        if item.grant
        else []
    )
    return [said, {"type": "actions", "elements": [look, *end]}]


def review_view(card: Card, value: str) -> Json:
    """The card in a dialog, with the buttons that it has in a channel; nobody is called from here."""
    table = card.preview
    blocks = draw(replace(card, preview=None, mentions=()), value, LADDER[0])
    rows = [code(fit(as_text(table), _ROWS))] if table is not None else []
    return {
        "type": "modal",
        "title": plain("Request"),
        "close": plain("Close"),
        "blocks": [*blocks[:-3], *rows, *blocks[-3:]],
    }
