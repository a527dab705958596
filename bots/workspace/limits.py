"""Slack's limits on what an app may send, as one table and one pure walk over it.

Here live the figures of Block Kit, of views and of message text, and `check`, which names the first one that is
broken. No state, no HTTP, no clock: rate limits and trigger lifetimes are in rates.py and state.py.

Think of it as a grammar: `BLOCKS`, `ELEMENTS` and `RICH` map a type to its fields, a field to a rule (`Text`, `Line`,
`Items`, ...). A type or a field that is not in the table is refused, as Slack refuses it. Only the blocks that a
gateway card can use are listed.

Sources: Slack's Block Kit reference; the validators of slack_sdk 3.47 (a test compares the two); the whole-message
limit is undocumented and was reported in slackapi/bolt-js issues 2509 and 2867.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
POST_TEXT = 40_000
UPDATE_TEXT = 4_000
MESSAGE_CONTENT = 13_200  # characters of text in all blocks of one message (bolt-js 2509)
MESSAGE_RICH_TEXT = 11_300  # of which in rich_text: 11,341 were refused (bolt-js 2867)
MARKDOWN_CONTENT = 12_000  # in all markdown blocks of one message
VIEW_BYTES = 250_000
VIEW_DEPTH = 3
METADATA_EVENT_TYPE = 255
#: Blocks that only messages take (Slack, "Table block" and "Markdown block": available in surfaces).
IN_MESSAGES_ONLY = frozenset({"table", "markdown"})
TABLE_ROWS = 100
TABLE_COLUMNS = 20

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule: Slack's error code, its sentence, and the JSON pointer to the place."""

    error: str
    message: str
    pointer: str

    def __str__(self) -> str:
        return f"{self.error}: {self.message} [json-pointer:{self.pointer}]"


class Rule(Protocol):
    """What one JSON value has to be; yields the problems found at `at` (a JSON pointer)."""

    def problems(self, value: Any, at: str) -> Iterator[Problem]: ...


def _bad(message: str, at: str) -> Problem:
    return Problem("invalid_blocks", message, at)


@dataclass(frozen=True, slots=True)
class Line:
    """A string of `least` to `most` characters."""

    most: int
    least: int = 1

    def problems(self, value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield _bad("should be a string", at)
        elif len(value) > self.most:
            yield _bad(f"must be less than {self.most + 1} characters", at)
        elif len(value) < self.least:
            yield _bad(f"must be more than {self.least - 1} characters", at)


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def problems(self, value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, bool):
            yield _bad("should be a boolean", at)


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def problems(self, value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, int) or isinstance(value, bool) or not self.least <= value <= self.most:
            yield _bad(f"must be a whole number from {self.least} to {self.most}", at)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    words: frozenset[str]

    def problems(self, value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, str) or value not in self.words:
            yield _bad(f"must be one of: {', '.join(sorted(self.words))}", at)


@dataclass(frozen=True, slots=True)
class Items:
    """A list of `least` to `most` things that each follow one rule."""

    of: Rule
    most: int
    least: int = 1

    def problems(self, value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield _bad("should be an array", at)
            return
        if len(value) > self.most:
            yield _bad(f"no more than {self.most} items allowed", at)
        if len(value) < self.least:
            yield _bad(f"no fewer than {self.least} items allowed", at)
        for index, item in enumerate(value):
            yield from self.of.problems(item, f"{at}/{index}")


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: its fields, which of them must be there, and of which at least one must be."""

    fields: Mapping[str, Rule]
    needs: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()

    def problems(self, value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield _bad("should be an object", at)
            return
        for name in value.keys() - self.fields.keys() - {"type"}:
            yield _bad(f"additional property: {name}", at)
        for name in self.needs:
            if name not in value:
                yield _bad(f"missing required field: {name}", at)
        if self.any_of and not any(name in value for name in self.any_of):
            yield _bad(f"missing required field: {' or '.join(self.any_of)}", at)
        for name, rule in self.fields.items():
            if (inner := value.get(name, _MISSING)) is not _MISSING:
                yield from rule.problems(inner, f"{at}/{name}")


@dataclass(frozen=True, slots=True)
class Typed:
    """An object whose `type` picks the shape out of a table; `only` narrows the types that fit here."""

    table: Mapping[str, Shape]
    only: frozenset[str] = frozenset()

    def problems(self, value: Any, at: str) -> Iterator[Problem]:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            yield _bad("missing required field: type", at)
        elif kind not in self.table or (self.only and kind not in self.only):
            yield _bad(f"unsupported type: {kind}", f"{at}/type")
        else:
            yield from self.table[kind].problems(value, at)


_FIGURELESS = Line(10_000, 0)


def _text(most: int, *kinds: str) -> Typed:
    """Return the rule of a text object of at most `most` characters."""
    plain = Shape({"text": Line(most), "emoji": Flag()}, needs=("text",))
    mrkdwn = Shape({"text": Line(most), "verbatim": Flag()}, needs=("text",))
    return Typed({"plain_text": plain, "mrkdwn": mrkdwn}, frozenset(kinds or ("plain_text", "mrkdwn")))


def _plain(most: int) -> Typed:
    return _text(most, "plain_text")


ACTION_ID = Line(255)
BLOCK_ID = Line(255)
STYLE = OneOf(frozenset({"primary", "danger"}))
CONFIRM = Shape(
    {"title": _plain(100), "text": _text(300), "confirm": _plain(30), "deny": _plain(30), "style": STYLE},
    needs=("title", "text"),
)
OPTION = Shape(
    {"text": _text(75), "value": Line(150), "description": _text(75), "url": Line(3_000)}, needs=("text", "value")
)

ELEMENTS: Mapping[str, Shape] = {
    "button": Shape(
        {
            "text": _plain(75),
            "action_id": ACTION_ID,
            "url": Line(3_000),
            "value": Line(2_000, 0),
            "style": STYLE,
            "confirm": CONFIRM,
            "accessibility_label": Line(75),
        },
        needs=("text",),
    ),
    "overflow": Shape({"action_id": ACTION_ID, "options": Items(OPTION, 5), "confirm": CONFIRM}, needs=("options",)),
    "static_select": Shape(
        {
            "action_id": ACTION_ID,
            "placeholder": _plain(150),
            "options": Items(OPTION, 100),
            "initial_option": OPTION,
            "confirm": CONFIRM,
            "focus_on_load": Flag(),
        },
        needs=("options",),
    ),
    "plain_text_input": Shape(
        {
            "action_id": ACTION_ID,
            "initial_value": Line(3_000, 0),
            "placeholder": _plain(150),
            "multiline": Flag(),
            "min_length": Count(0, 3_000),
            "max_length": Count(1, 3_000),
            "focus_on_load": Flag(),
            "dispatch_action_config": Shape({"trigger_actions_on": Items(_FIGURELESS, 2)}),
        }
    ),
    "image": Shape({"image_url": Line(3_000), "alt_text": Line(2_000)}, needs=("image_url", "alt_text")),
}

RICH_STYLE = Shape({name: Flag() for name in ("bold", "italic", "strike", "code", "underline", "highlight", "unlink")})
RICH_PARTS: Mapping[str, Shape] = {
    "text": Shape({"text": Line(MESSAGE_CONTENT), "style": RICH_STYLE}, needs=("text",)),
    "link": Shape({"url": Line(3_000), "text": Line(3_000), "style": RICH_STYLE, "unsafe": Flag()}, needs=("url",)),
    "user": Shape({"user_id": _FIGURELESS, "style": RICH_STYLE}, needs=("user_id",)),
    "usergroup": Shape({"usergroup_id": _FIGURELESS, "style": RICH_STYLE}, needs=("usergroup_id",)),
    "channel": Shape({"channel_id": _FIGURELESS, "style": RICH_STYLE}, needs=("channel_id",)),
    "emoji": Shape({"name": _FIGURELESS, "unicode": _FIGURELESS, "style": RICH_STYLE}, needs=("name",)),
    "broadcast": Shape({"range": OneOf(frozenset({"here", "channel", "everyone"}))}, needs=("range",)),
    "date": Shape(
        {
            "timestamp": Count(0, 99_999_999_999),
            "format": Line(255),
            "url": Line(3_000),
            "fallback": _FIGURELESS,
            "style": RICH_STYLE,
        },
        needs=("timestamp", "format"),
    ),
}
_INLINE = Items(Typed(RICH_PARTS), 1_000, 0)
_SECTION = Shape({"elements": _INLINE}, needs=("elements",))
RICH: Mapping[str, Shape] = {
    "rich_text_section": _SECTION,
    "rich_text_preformatted": Shape(
        {
            "elements": Items(Typed(RICH_PARTS, frozenset({"text", "link"})), 1_000, 0),
            "border": Count(0, 1),
            "language": Line(50),
        },
        needs=("elements",),
    ),
    "rich_text_quote": Shape({"elements": _INLINE, "border": Count(0, 1)}, needs=("elements",)),
    "rich_text_list": Shape(
        {
            "elements": Items(Typed({"rich_text_section": _SECTION}), 1_000),
            "style": OneOf(frozenset({"bullet", "ordered"})),
            "indent": Count(0, 8),
            "offset": Count(0, 100_000),
            "border": Count(0, 1),
        },
        needs=("elements", "style"),
    ),
}
_RICH_TEXT = Shape({"block_id": BLOCK_ID, "elements": Items(Typed(RICH), 1_000)}, needs=("elements",))

CELLS: Mapping[str, Shape] = {
    "raw_text": Shape({"text": Line(MESSAGE_CONTENT)}, needs=("text",)),
    "raw_number": Shape({"value": Count(-(2**53), 2**53), "text": _FIGURELESS}),
    "rich_text": _RICH_TEXT,
}

BLOCKS: Mapping[str, Shape] = {
    "section": Shape(
        {
            "block_id": BLOCK_ID,
            "text": _text(3_000),
            "fields": Items(_text(2_000), 10),
            "accessory": Typed(ELEMENTS, frozenset({"button", "overflow", "static_select", "image"})),
            "expand": Flag(),
        },
        any_of=("text", "fields"),
    ),
    "header": Shape({"block_id": BLOCK_ID, "text": _plain(150), "level": Count(1, 4)}, needs=("text",)),
    "divider": Shape({"block_id": BLOCK_ID}),
    "context": Shape(
        {
            "block_id": BLOCK_ID,
            "elements": Items(
                Typed({**_text(3_000).table, "image": ELEMENTS["image"]}, frozenset({"plain_text", "mrkdwn", "image"})),
                10,
            ),
        },
        needs=("elements",),
    ),
    "actions": Shape(
        {
            "block_id": BLOCK_ID,
            "elements": Items(Typed(ELEMENTS, frozenset({"button", "overflow", "static_select"})), 25),
        },
        needs=("elements",),
    ),
    "image": Shape(
        {"block_id": BLOCK_ID, "image_url": Line(3_000), "alt_text": Line(2_000), "title": _plain(2_000)},
        needs=("image_url", "alt_text"),
    ),
    "input": Shape(
        {
            "block_id": BLOCK_ID,
            "label": _plain(2_000),
            "hint": _plain(2_000),
            "element": Typed(ELEMENTS, frozenset({"plain_text_input", "static_select"})),
            "optional": Flag(),
            "dispatch_action": Flag(),
        },
        needs=("label", "element"),
    ),
    "rich_text": _RICH_TEXT,
    "markdown": Shape({"block_id": BLOCK_ID, "text": Line(MARKDOWN_CONTENT)}, needs=("text",)),
    "alert": Shape(
        {
            "block_id": BLOCK_ID,
            "text": _text(200),
            "level": OneOf(frozenset({"default", "info", "warning", "error", "success"})),
        },
        needs=("text",),
    ),
    "table": Shape(
        {
            "block_id": BLOCK_ID,
            "rows": Items(Items(Typed(CELLS), TABLE_COLUMNS), TABLE_ROWS),
            "column_settings": Items(
                Shape({"is_wrapped": Flag(), "align": OneOf(frozenset({"left", "center", "right"}))}), TABLE_COLUMNS, 0
            ),
        },
        needs=("rows",),
    ),
}

MODAL = Shape(
    {
        "title": _plain(24),
        "submit": _plain(24),
        "close": _plain(24),
        "blocks": Items(Typed(BLOCKS), VIEW_BLOCKS),
        "private_metadata": Line(3_000, 0),
        "callback_id": Line(255, 0),
        "external_id": Line(255, 0),
        "clear_on_close": Flag(),
        "notify_on_close": Flag(),
        "submit_disabled": Flag(),
    },
    needs=("title", "blocks"),
)
HOME = Shape({name: MODAL.fields[name] for name in ("blocks", "private_metadata", "callback_id", "external_id")})
VIEWS: Mapping[str, Shape] = {"modal": MODAL, "home": Shape(HOME.fields, needs=("blocks",))}


def check(blocks: Any) -> str | None:
    """Return the first problem of a message's blocks as `error: sentence [json-pointer:...]`, or None if Slack takes them."""
    return str(found) if (found := find_problem(blocks)) else None


def find_problem(blocks: Any, *, whole_message: bool = True) -> Problem | None:
    """Return the first problem of a message's blocks.

    `whole_message=False` leaves out the limit on all text together: answers through a response_url are not held to it.
    """
    return next(_message_problems(blocks, whole_message=whole_message), None)


def _message_problems(blocks: Any, *, whole_message: bool) -> Iterator[Problem]:
    yield from Items(Typed(BLOCKS), MESSAGE_BLOCKS, 0).problems(blocks, "/blocks")
    if not isinstance(blocks, list):
        return
    yield from _twins(blocks, "/blocks")
    if sum(block["type"] == "table" for block in blocks) > 1:
        yield Problem("only_one_table_allowed", "a message can hold one table", "/blocks")
    if whole_message:
        yield from _too_long(blocks)


def _too_long(blocks: Sequence[Any]) -> Iterator[Problem]:
    rich = sum(characters(block) for block in blocks if block["type"] == "rich_text")
    markdown = sum(characters(block) for block in blocks if block["type"] == "markdown")
    for count, most, what in (
        (rich, MESSAGE_RICH_TEXT, "rich_text"),
        (markdown, MARKDOWN_CONTENT, "markdown"),
        (characters(blocks), MESSAGE_CONTENT, "all blocks"),
    ):
        if count > most:
            yield Problem("msg_blocks_too_long", f"{count} characters in {what}, {most} at most", "/blocks")


def characters(value: Any) -> int:
    """Count the characters of text that a reader would see in some blocks (every `text` string, at any depth)."""
    if isinstance(value, list):
        return sum(map(characters, value))
    if isinstance(value, dict):
        return sum(len(v) if k == "text" and isinstance(v, str) else characters(v) for k, v in value.items())
    return 0


def _twins(blocks: Sequence[Any], at: str) -> Iterator[Problem]:
    """Yield repeated block_ids of a message or view, and repeated action_ids inside one block."""
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        name = block.get("block_id")
        if name is not None and name in seen:
            yield _bad(f"block_id already exists: {name}", f"{at}/{index}/block_id")
        seen.add(name)
        ids = [e.get("action_id") for e in elements_of(block) if e.get("action_id")]
        if len(ids) != len(set(ids)):
            yield _bad("action_id already exists in this block", f"{at}/{index}/elements")


def elements_of(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the interactive elements of one block, in reading order."""
    match block.get("type"):
        case "actions":
            return list(block["elements"])
        case "section" if "accessory" in block:
            return [block["accessory"]]
        case "input":
            return [block["element"]]
        case _:
            return []


def find_view_problem(view: Any) -> Problem | None:
    """Return the first problem of a modal or home view; views answer `invalid_arguments` or `view_too_large`."""
    if len(json.dumps(view, ensure_ascii=False).encode()) > VIEW_BYTES:
        return Problem("view_too_large", f"a view can hold {VIEW_BYTES} bytes", "/view")
    found = next(_view_problems(view), None)
    return Problem("invalid_arguments", found.message, found.pointer) if found else None


def _view_problems(view: Any) -> Iterator[Problem]:
    yield from Typed(VIEWS).problems(view, "/view")
    yield from _twins(view["blocks"], "/view/blocks")
    for index, block in enumerate(view["blocks"]):
        if block["type"] in IN_MESSAGES_ONLY:
            yield _bad(f"unsupported type: {block['type']} in a {view['type']} view", f"/view/blocks/{index}/type")
    if view["type"] == "modal" and "submit" not in view and any(b["type"] == "input" for b in view["blocks"]):
        yield _bad("missing required field: submit", "/view")


def find_text_problem(text: str, most: int) -> Problem | None:
    """Return `msg_too_long` for message text of more than `most` characters (POST_TEXT or UPDATE_TEXT)."""
    if len(text) > most:
        return Problem("msg_too_long", f"{len(text)} characters of text, {most} at most", "/text")
    return None
