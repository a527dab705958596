"""Each of Slack's limits, at its edge and one over; the figures compared with slack_sdk's own validators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import (
    ActionsBlock,
    AlertBlock,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    ImageBlock,
    InputBlock,
    MarkdownBlock,
    MarkdownTextObject,
    Option,
    OverflowMenuElement,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.views import View

from bots.workspace import limits
from bots.workspace.limits import check, find_text_problem, find_view_problem

Json = dict[str, Any]


def plain(size: int) -> Json:
    return {"type": "plain_text", "text": "x" * size}


def mrkdwn(size: int) -> Json:
    return {"type": "mrkdwn", "text": "x" * size}


def section(size: int, **more: Any) -> Json:
    return {"type": "section", "text": mrkdwn(size), **more}


def button(size: int = 1, **more: Any) -> Json:
    return {"type": "button", "text": plain(size), **more}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def rich(size: int) -> Json:
    text = {"type": "text", "text": "x" * size}
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [text]}]}


def confirm(title: int = 1, text: int = 1, yes: int = 1, no: int = 1) -> Json:
    return {"title": plain(title), "text": mrkdwn(text), "confirm": plain(yes), "deny": plain(no)}


def option(text: int = 1, value: int = 1) -> Json:
    return {"text": plain(text), "value": "v" * value}


def table(rows: int, columns: int) -> Json:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * columns] * rows}


# what, the limit, blocks of that size, what one over is refused with
EDGES: list[tuple[str, int, Callable[[int], list[Json]], str]] = [
    ("blocks", 50, lambda n: [{"type": "divider"}] * n, "invalid_blocks: no more than 50 items"),
    ("section text", 3000, lambda n: [section(n)], "invalid_blocks: must be less than 3001 characters"),
    ("fields", 10, lambda n: [{"type": "section", "fields": [mrkdwn(1)] * n}], "no more than 10 items"),
    ("field text", 2000, lambda n: [{"type": "section", "fields": [mrkdwn(n)]}], "must be less than 2001"),
    ("header", 150, lambda n: [{"type": "header", "text": plain(n)}], "must be less than 151"),
    ("context", 10, lambda n: [{"type": "context", "elements": [mrkdwn(1)] * n}], "no more than 10 items"),
    ("actions", 25, lambda n: [actions(*[button()] * n)], "no more than 25 items"),
    ("button text", 75, lambda n: [actions(button(n))], "must be less than 76"),
    ("button value", 2000, lambda n: [actions(button(value="v" * n))], "must be less than 2001"),
    ("action_id", 255, lambda n: [actions(button(action_id="a" * n))], "must be less than 256"),
    ("block_id", 255, lambda n: [section(1, block_id="b" * n)], "must be less than 256"),
    ("accessibility_label", 75, lambda n: [actions(button(accessibility_label="l" * n))], "must be less than 76"),
    ("confirm title", 100, lambda n: [actions(button(confirm=confirm(title=n)))], "must be less than 101"),
    ("confirm text", 300, lambda n: [actions(button(confirm=confirm(text=n)))], "must be less than 301"),
    ("confirm yes", 30, lambda n: [actions(button(confirm=confirm(yes=n)))], "must be less than 31"),
    ("confirm no", 30, lambda n: [actions(button(confirm=confirm(no=n)))], "must be less than 31"),
    ("overflow", 5, lambda n: [actions({"type": "overflow", "options": [option()] * n})], "no more than 5 items"),
    ("option text", 75, lambda n: [actions({"type": "overflow", "options": [option(n)]})], "must be less than 76"),
    ("option value", 150, lambda n: [actions({"type": "overflow", "options": [option(1, n)]})], "less than 151"),
    ("alert", 200, lambda n: [{"type": "alert", "text": mrkdwn(n)}], "must be less than 201"),
    ("table rows", 100, lambda n: [table(n, 1)], "no more than 100 items"),
    ("table columns", 20, lambda n: [table(1, n)], "no more than 20 items"),
    ("tables", 1, lambda n: [table(1, 1)] * n, "only_one_table_allowed"),
    ("whole message", 13_200, lambda n: [*[section(3000)] * 4, section(n - 12_000)], "msg_blocks_too_long"),
    ("rich text", 11_300, lambda n: [rich(n)], "msg_blocks_too_long"),
    ("markdown", 12_000, lambda n: [{"type": "markdown", "text": "x" * n}], "must be less than 12001"),
    (
        "all markdown",
        12_000,
        lambda n: [{"type": "markdown", "text": "x" * (n - 6000)}, {"type": "markdown", "text": "x" * 6000}],
        "msg_blocks_too_long",
    ),
]


@pytest.mark.parametrize(("limit", "build", "refusal"), [edge[1:] for edge in EDGES], ids=[edge[0] for edge in EDGES])
def test_a_limit_is_kept_at_its_edge_and_broken_one_over(
    limit: int, build: Callable[[int], list[Json]], refusal: str
) -> None:
    assert check(build(limit)) is None
    assert refusal in (check(build(limit + 1)) or "taken")


WRONG: list[tuple[str, Any, str]] = [
    ("not a list", {"type": "section"}, "should be an array [json-pointer:/blocks]"),
    ("not an object", ["section"], "missing required field: type [json-pointer:/blocks/0]"),
    ("no type", [{"text": mrkdwn(1)}], "missing required field: type"),
    ("unknown type", [{"type": "marquee"}], "unsupported type: marquee [json-pointer:/blocks/0/type]"),
    ("a type that is a list", [{"type": []}], "missing required field: type"),
    ("unknown field", [section(1, colour="red")], "additional property: colour"),
    ("empty text", [section(0)], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    ("text that is no string", [{"type": "section", "text": {"type": "mrkdwn", "text": 7}}], "should be a string"),
    ("empty section", [{"type": "section"}], "missing required field: text or fields"),
    ("mrkdwn header", [{"type": "header", "text": mrkdwn(1)}], "unsupported type: mrkdwn"),
    ("mrkdwn button", [actions({"type": "button", "text": mrkdwn(1)})], "unsupported type: mrkdwn"),
    ("bad style", [actions(button(style="green"))], "must be one of: danger, primary"),
    ("bad level", [{"type": "alert", "text": mrkdwn(1), "level": "loud"}], "must be one of"),
    ("input in actions", [actions({"type": "plain_text_input"})], "unsupported type: plain_text_input"),
    ("no actions", [actions()], "no fewer than 1 items"),
    ("twin block_id", [section(1, block_id="a"), section(1, block_id="a")], "block_id already exists: a"),
    ("twin action_id", [actions(button(action_id="a"), button(action_id="a"))], "action_id already exists"),
    ("empty code", [rich(0)], "must be more than 0 characters"),
    ("empty cell", [{"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}], "must be more than 0"),
    (
        "mention in code",
        [
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "user", "user_id": "U1"}]}],
            }
        ],
        "unsupported type: user",
    ),
]


@pytest.mark.parametrize(("blocks", "refusal"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_blocks_are_refused_with_the_place(blocks: Any, refusal: str) -> None:
    assert refusal in (check(blocks) or "taken")


def test_action_ids_may_repeat_in_other_blocks() -> None:
    assert check([actions(button(action_id="a")), actions(button(action_id="a"))]) is None


def modal(**more: Any) -> Json:
    return {"type": "modal", "title": plain(5), "blocks": [section(5)], **more}


VIEW_EDGES: list[tuple[str, int, Callable[[int], Json], str]] = [
    ("title", 24, lambda n: modal(title=plain(n)), "must be less than 25"),
    ("submit", 24, lambda n: modal(submit=plain(n)), "must be less than 25"),
    ("close", 24, lambda n: modal(close=plain(n)), "must be less than 25"),
    ("private_metadata", 3000, lambda n: modal(private_metadata="x" * n), "must be less than 3001"),
    ("callback_id", 255, lambda n: modal(callback_id="x" * n), "must be less than 256"),
    ("blocks", 100, lambda n: modal(blocks=[{"type": "divider"}] * n), "no more than 100 items"),
]


@pytest.mark.parametrize(("limit", "build", "refusal"), [e[1:] for e in VIEW_EDGES], ids=[e[0] for e in VIEW_EDGES])
def test_view_limits(limit: int, build: Callable[[int], Json], refusal: str) -> None:
    assert find_view_problem(build(limit)) is None
    assert refusal in str(find_view_problem(build(limit + 1)))
    assert str(find_view_problem(build(limit + 1))).startswith("invalid_arguments")


def test_a_modal_with_an_input_needs_a_submit_button() -> None:
    reason = {"type": "input", "label": plain(1), "element": {"type": "plain_text_input"}}
    assert "missing required field: submit" in str(find_view_problem(modal(blocks=[reason])))
    assert find_view_problem(modal(blocks=[reason], submit=plain(1))) is None


def test_a_view_can_be_too_large() -> None:
    big = modal(blocks=[section(3000) for _ in range(90)])
    assert str(find_view_problem(big)).startswith("view_too_large")


def test_a_home_tab_has_no_title() -> None:
    assert find_view_problem({"type": "home", "blocks": [section(1)]}) is None
    assert "additional property: title" in str(find_view_problem({"type": "home", "blocks": [], "title": plain(1)}))


def test_text_limits() -> None:
    assert find_text_problem("x" * 4000, limits.UPDATE_TEXT) is None
    assert str(find_text_problem("x" * 4001, limits.UPDATE_TEXT)).startswith("msg_too_long")


def test_answers_through_a_response_url_are_not_held_to_the_whole_message_limit() -> None:
    long = [section(3000) for _ in range(5)]
    assert limits.find_problem(long) is not None
    assert limits.find_problem(long, whole_message=False) is None


SDK: list[tuple[str, int, Callable[[int], Any]]] = [
    ("section text", 3000, lambda n: SectionBlock(text="x" * n)),
    ("section fields", 10, lambda n: SectionBlock(fields=["x"] * n)),
    ("header", 150, lambda n: HeaderBlock(text="x" * n)),
    ("context", 10, lambda n: ContextBlock(elements=[MarkdownTextObject(text="x")] * n)),
    ("actions", 25, lambda n: ActionsBlock(elements=[ButtonElement(text="x", action_id=f"a{i}") for i in range(n)])),
    ("button text", 75, lambda n: ActionsBlock(elements=[ButtonElement(text="x" * n)])),
    ("button value", 2000, lambda n: ActionsBlock(elements=[ButtonElement(text="x", value="v" * n)])),
    ("action_id", 255, lambda n: ActionsBlock(elements=[ButtonElement(text="x", action_id="a" * n)])),
    ("label", 75, lambda n: ActionsBlock(elements=[ButtonElement(text="x", accessibility_label="a" * n)])),
    ("block_id", 255, lambda n: SectionBlock(text="x", block_id="b" * n)),
    ("markdown", 12_000, lambda n: MarkdownBlock(text="x" * n)),
    ("image alt", 2000, lambda n: ImageBlock(image_url="u", alt_text="a" * n)),
    ("image url", 3000, lambda n: ImageBlock(image_url="u" * n, alt_text="a")),
    (
        "confirm title",
        100,
        lambda n: ActionsBlock(
            elements=[ButtonElement(text="x", confirm=ConfirmObject(title="x" * n, text="x", confirm="y", deny="n"))]
        ),
    ),
    (
        "confirm text",
        300,
        lambda n: ActionsBlock(
            elements=[ButtonElement(text="x", confirm=ConfirmObject(title="x", text="x" * n, confirm="y", deny="n"))]
        ),
    ),
    (
        "confirm button",
        30,
        lambda n: ActionsBlock(
            elements=[ButtonElement(text="x", confirm=ConfirmObject(title="x", text="x", confirm="y" * n, deny="n"))]
        ),
    ),
    (
        "overflow",
        5,
        lambda n: ActionsBlock(elements=[OverflowMenuElement(options=[Option(value="v", text="t")] * n)]),
    ),
    (
        "select",
        100,
        lambda n: ActionsBlock(elements=[StaticSelectElement(options=[Option(value="v", text="t")] * n)]),
    ),
    (
        "option text",
        75,
        lambda n: ActionsBlock(elements=[OverflowMenuElement(options=[Option(value="v", text="t" * n)] * 2)]),
    ),
    (
        "option value",
        150,
        lambda n: ActionsBlock(elements=[OverflowMenuElement(options=[Option(value="v" * n, text="t")] * 2)]),
    ),
    (
        "input label",
        2000,
        lambda n: InputBlock(label="x" * n, element=StaticSelectElement(options=[Option(value="v", text="t")])),
    ),
]


def refused_by_sdk(thing: Any) -> bool:
    try:
        thing.to_dict()
    except SlackObjectFormationError:
        return True
    return False


@pytest.mark.parametrize(("limit", "build"), [row[1:] for row in SDK], ids=[row[0] for row in SDK])
def test_the_table_agrees_with_slack_sdk(limit: int, build: Callable[[int], Any]) -> None:
    fits = build(limit)
    assert not refused_by_sdk(fits)
    assert check([fits.to_dict()]) is None
    assert refused_by_sdk(build(limit + 1))


def test_the_view_table_agrees_with_slack_sdk() -> None:
    assert View.title_max_length == limits.MODAL.fields["title"].table["plain_text"].fields["text"].most  # type: ignore[attr-defined]  # rules are a protocol
    assert View.private_metadata_max_length == limits.MODAL.fields["private_metadata"].most  # type: ignore[attr-defined]  # likewise
    assert View.blocks_max_length == limits.VIEW_BLOCKS
    levels = limits.BLOCKS["alert"].fields["level"].words  # type: ignore[attr-defined]  # likewise
    assert AlertBlock.valid_levels == set(levels)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "elements", "rows"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.lists(
        JSONISH
        | st.fixed_dictionaries({"type": st.sampled_from(sorted(limits.BLOCKS)), "text": JSONISH, "elements": JSONISH})
    )
)
def test_no_json_makes_the_check_fall_over(blocks: list[Any]) -> None:
    assert check(blocks) is None or isinstance(check(blocks), str)
