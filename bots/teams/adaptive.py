"""From a neutral card or answer to an Adaptive Card, within what Teams takes. Pure.

What lives here: layout, the ladder of smaller and smaller cards, the views that one person gets after a click. What does
not: words (bots.cards, bots.commands), cutting (bots.fitting), the seal (bots.seals), sending (bots.teams.sender).

How to think about it: text of people goes only into CodeBlock and into TextRun, which know no markdown, no link and no
mention (Adaptive Cards, Text features). One thing a renderer does rewrite in a TextRun, {{DATE(...)}} and {{TIME(...)}}: in
people's texts it is taken apart into two runs, for our own moments it is used. TextBlock holds our own words only.
A channel's message is one base card for all with one button, Review. Its answer is the view of who clicked; a view is drawn
anew at each click, and what it shows grants nothing.

Sizes: Teams takes 100 KB of UTF-16 a message and was seen to refuse 70 KB; webhooks end at 28 KB (chat.md, 2.1). Ours stay
below that, counted in the ASCII with escapes that goes over the wire, two bytes a character.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from bots.cards import ALONE, WHY_ALONE, Action, Card, Fact, SqlText
from bots.commands import Answer, Page
from bots.fitting import cost, excerpt, fit, prefix
from bots.outcomes import Tone
from bots.previews import Cell, Table
from bots.texts import MOMENT, count, in_utc, moment, sentences

Json = dict[str, Any]

#: JSON characters of one card; with the activity round it, half of 28 KiB.
BUDGET = 13_000
#: The newest version that bots' cards may have in Teams.
VERSION = "1.5"
#: JSON characters of a text in the full view; it is there twice (CodeBlock and what stands in for it).
FULL_TEXT = 5_000
_SUMMARY = 400
_SHOWN_STATEMENTS = 5
_ANSWER_TEXT, _ANSWER_CODE = 2_000, 1_600
REASON_MIN, REASON_MAX = 3, 1000


class Verb(Enum):
    """What a button asks for, in Action.Execute's `verb` and in its data."""

    REVIEW = "hoop_review"
    CONFIRM = "hoop_confirm"
    APPROVE = Action.APPROVE.value
    DENY = Action.DENY.value
    ASK = Action.ASK.value
    CHANGES = Action.CHANGES.value
    WITHDRAW = Action.WITHDRAW.value
    FULL_SQL = Action.FULL_SQL.value
    GRANT = Action.GRANT.value
    GLASS = Action.GLASS.value
    BREAK = "hoop_break"
    PAGE = "hoop_page"


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of the ladder: JSON characters for all SQL, for all values, for each other text; whether rows are shown."""

    sql: int
    values: int
    prose: int
    preview: bool


#: From a full card to one that always fits: SQL is there twice, and a text of {{DATE(...)}} grows threefold.
LADDER = (
    Step(2_000, 600, 1_000, preview=True),
    Step(2_000, 600, 500, preview=False),
    Step(1_000, 200, 250, preview=False),
    Step(400, 0, 120, preview=False),
    Step(300, 0, 70, preview=False),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A card to send. `summary` is for notifications; `step` is the rung of LADDER; `hidden`: part of the SQL is left out."""

    content: Json
    summary: str
    step: int
    hidden: bool


# --- text --------------------------------------------------------------------------------------------------------------

#: Between the braces of what a renderer would take for a date of ours.
_WOULD_BE_A_DATE = re.compile(r"(?<=\{)(?=\{(?:DATE|TIME)\(\d{4}-\d\d-\d\dT)")


def _moment(found: re.Match[str]) -> str:
    """A moment in the reader's own zone (Adaptive Cards, Text features, Date/Time)."""
    at = datetime.fromtimestamp(int(found[2]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{{{{DATE({at}, SHORT)}}}} {{{{TIME({at})}}}}" if found[1] else f"{{{{TIME({at})}}}}"


def _runs(text: str, **style: Any) -> list[Json]:
    """`text` as TextRuns that show it as it is, its moments in the reader's zone."""
    parts, at = [], 0
    for each in MOMENT.finditer(text):
        parts += [*_WOULD_BE_A_DATE.split(text[at : each.start()]), _moment(each)]
        at = each.end()
    parts += _WOULD_BE_A_DATE.split(text[at:])
    return [{"type": "TextRun", "text": part, **style} for part in parts if part]


def _bold(text: str) -> list[Json]:
    return _runs(text, weight="Bolder")


def _line(*runs: list[Json], **more: Any) -> Json:
    inlines = [each for part in runs for each in part] or [{"type": "TextRun", "text": "-"}]
    return {"type": "RichTextBlock", "inlines": inlines, "spacing": "Small", **more}


def _labelled(label: str, text: str) -> Json:
    return _line(_bold(f"{label}  "), _runs(text or "-"))


def _ours(text: str, **more: Any) -> Json:
    """A TextBlock: markdown, so never a text of anybody else's."""
    return {"type": "TextBlock", "text": MOMENT.sub(_moment, text), "wrap": True, "spacing": "Small", **more}


def _code(text: str, language: str = "Sql") -> Json:
    """Literal text. CodeBlock is Teams's own and not on its phones; what stands in for it is as literal."""
    shown = in_utc(text) or " "
    plain = _line(_runs(shown, fontType="Monospace"))
    return {"type": "CodeBlock", "codeSnippet": shown, "language": language, "fallback": plain}


def _table(table: Table) -> Json:
    head = [_cell(Cell(each or " ", changed=True)) for each in table.columns]
    rows = [head, *([_cell(each) for each in row] for row in table.rows)]
    return {
        "type": "Table",
        "firstRowAsHeader": True,
        "columns": [{"width": 1}] * len(table.columns),
        "rows": [{"type": "TableRow", "cells": cells} for cells in rows],
    }


def _cell(cell: Cell) -> Json:
    runs = _runs(cell.text or " ", **({"weight": "Bolder"} if cell.changed else {}))
    return {"type": "TableCell", "items": [{"type": "RichTextBlock", "inlines": runs}]}


# --- buttons -----------------------------------------------------------------------------------------------------------


def _button(title: str, verb: Verb, data: Json, *, inputs: str = "none", tooltip: str = "", **more: Any) -> Json:
    """Action.Execute, and Action.Submit with the same data for clients that know no Execute (before 1.4)."""
    shared = {
        "title": title,
        "data": {"hoop": verb.value, **data},
        "associatedInputs": inputs,
        **({"tooltip": fit(tooltip, 120)} if tooltip else {}),
        **more,
    }
    return {"type": "Action.Execute", "verb": verb.value, **shared, "fallback": {"type": "Action.Submit", **shared}}


def _review(card: Card, value: str) -> Json:
    return _button("Review", Verb.REVIEW, {"seal": value}, tooltip=f"Review: {card.title}")


def _full_sql(card: Card, value: str) -> Json:
    return _button("Full SQL", Verb.FULL_SQL, {"seal": value}, tooltip=f"Full SQL: {card.title}")


def _page(page: Page) -> Json:
    """Without an Action.Submit: its cursor is up to 1,900 characters long, and a page is a convenience."""
    data = {"hoop": Verb.PAGE.value, "cursor": page.cursor}
    return {
        "type": "Action.Execute",
        "title": page.label,
        "verb": Verb.PAGE.value,
        "data": data,
        "associatedInputs": "none",
    }


# --- the card ----------------------------------------------------------------------------------------------------------


def base_card(card: Card, value: str, *, note: str = "", start: int = 0) -> Drawn:
    """The card that everybody sees; `value` is the seal of its buttons, `note` one more line for who clicked."""

    def buttons(hidden: bool) -> list[Json]:
        if Action.WITHDRAW in card.actions:
            return [_review(card, value)]
        if note and card.tone is Tone.UNDERWAY:  # a view that crossed with the update for everybody
            return [_button("Refresh", Verb.REVIEW, {"seal": value})]
        return [_full_sql(card, value)] if hidden else []

    return _fitted(card, lambda step: _body(card, step, note, _HIDDEN_FROM_ALL), buttons, start)


def review_card(card: Card, value: str, *, note: str = "", typed: str = "") -> Drawn:
    """The view of a reviewer: Approve, and what takes a text. Without live buttons (it is over) the base card.

    `typed` is a text that was too short or too long, so that nobody writes it twice.
    """
    if Action.APPROVE not in card.actions:
        return base_card(card, value, note=note)
    data = {"seal": value}
    verb = Verb.CONFIRM if card.confirm else Verb.APPROVE
    reason = {
        "type": "Input.Text",
        "id": "reason",
        "label": "Why you deny it, what should be changed, or what you ask (the requester sees it)",
        "isMultiline": True,
        "maxLength": REASON_MAX,
        **({"value": fit(in_utc(typed), REASON_MAX)} if typed else {}),
    }
    approve = _button(card.approve, verb, data, style="positive", tooltip=f"Approve: {card.title}")
    approve = _way("Approve...", card.page, f"Approve, on the gateway's page: {card.title}") if card.page else approve
    others = [
        _button("Deny", Verb.DENY, data, inputs="auto", tooltip=f"Deny, with a reason: {card.title}"),
        _full_sql(card, value),
        _button("Ask a question", Verb.ASK, data, inputs="auto", mode="secondary"),
        _button("Request changes", Verb.CHANGES, data, inputs="auto", mode="secondary"),
        *([] if card.full_view else _grant_button(card, data)),
    ]
    # a set of its own: hosts take so many actions a set, and the five above are those of every request
    glass = [{"type": "ActionSet", "actions": [_glass(card, data)]}] if card.glass and not card.full_view else []
    note = note or (READ_FIRST if card.full_view else "")
    hint = _HIDDEN_OF_A_BATCH if card.is_batch else _HIDDEN_FROM_A_REVIEWER
    return _fitted(
        card,
        lambda step: _body(card, step, note, hint),
        lambda hidden: others if card.full_view or (hidden and card.is_batch and not card.page) else [approve, *others],
        foot=[reason, *glass],
    )


def own_card(card: Card, value: str) -> Drawn:
    """The view of who asked: Withdraw, while there is something to withdraw."""
    if Action.WITHDRAW not in card.actions:
        return base_card(card, value)
    withdraw = _button("Withdraw", Verb.WITHDRAW, {"seal": value}, tooltip=f"Withdraw: {card.title}")
    buttons = [withdraw, _full_sql(card, value)]
    return _fitted(card, lambda step: _body(card, step, OWN, ""), lambda _hidden: buttons)


def confirm_card(card: Card, value: str, *, read: str = "", note: str = "") -> Drawn:
    """Asks once more before an approval of high risk, and for the name where one must be typed.

    `read` is the seal for who has read the full text, `note` one more line.
    """
    body = [
        *([_line(_bold(note))] if note else []),
        _ours("**High risk: approve it?**", size="Large"),
        _line(_runs(fit(card.confirm, 2_000))),
        _line(_runs(fit(card.footer, 300)), separator=True),
        *(_typed_input(card.to_type) if card.to_type else []),
    ]
    inputs, tooltip = "auto" if card.to_type else "none", f"Approve: {card.title}"
    buttons = [
        _button("Yes, approve", Verb.APPROVE, _with(value, read), inputs=inputs, style="destructive", tooltip=tooltip),
        _button("Back", Verb.REVIEW, {"seal": value}),
    ]
    return Drawn(_card(body, buttons, card.notice), _summary(card.notice), 0, hidden=False)


def _grant_button(card: Card, data: Json) -> list[Json]:
    return [_button("Approve this shape", Verb.GRANT, data, mode="secondary")] if card.offers else []


def grant_card(card: Card, value: str, *, read: str = "", note: str = "") -> Drawn:
    """Asks for how long or how often the shape may run again; its button approves the request as well.

    `read` is the seal for who has read the full text, `note` one more line.
    """
    body = [
        *([_line(_bold(note))] if note else []),
        _ours("**Approve it, and its shape?**", size="Large"),
        _line(_runs(fit(card.confirm or f"{card.title}. {card.consequence}", 1_500))),
        _line(_runs(fit(card.granting, 1_000))),
        _line(_runs(fit(card.footer, 300)), separator=True),
        *(_typed_input(card.to_type) if card.to_type else []),
        {
            "type": "Input.ChoiceSet",
            "id": "scope",
            "label": "How long, or how often",
            "choices": [{"title": each.label, "value": each.value} for each in card.offers],
            "isRequired": True,
            "errorMessage": "Choose one.",
        },
    ]
    data = {**_with(value, read), "shape": True}
    buttons = [
        _button("Yes, approve the shape", Verb.APPROVE, data, inputs="auto", style="destructive"),
        _button("Back", Verb.REVIEW, {"seal": value}),
    ]
    return Drawn(_card(body, buttons, card.notice), _summary(card.notice), 0, hidden=False)


def glass_card(card: Card, value: str, *, read: str = "", note: str = "", reason: str = "") -> Drawn:
    """Asks who may break the glass for a reason and the words; `read` and `note` as in confirm_card, `reason` what was written."""
    note = note or (READ_FIRST_TO_BREAK if card.full_view and not read else "")
    body = [
        *([_line(_bold(note))] if note else []),
        _ours("**Break the glass?**", size="Large"),
        _line(_runs(fit(f"{card.title}. {ALONE}", 2_000))),
        *([_line(_runs(fit(card.consequence, 1_000)))] if card.consequence else []),
        *_rows(card, LADDER[0]),
        _line(_runs(fit(card.footer, 300)), separator=True),
        {
            "type": "Input.Text",
            "id": "reason",
            "label": f"{WHY_ALONE} (everybody sees it, and it stays in the audit log)",
            "isMultiline": True,
            "maxLength": REASON_MAX,
            **({"value": fit(in_utc(reason), REASON_MAX)} if reason else {}),
        },
        *_typed_input(card.glass),
    ]
    data, tooltip = _with(value, read), f"Break the glass: {card.title}"
    buttons = [
        _button("Break the glass", Verb.BREAK, data, inputs="auto", style="destructive", tooltip=tooltip),
        _full_sql(card, value),
        _button("Back", Verb.REVIEW, {"seal": value}),
    ]
    return Drawn(_card(body, buttons, card.notice), _summary(card.notice), 0, hidden=False)


def _glass(card: Card, data: Json) -> Json:
    return _button("Break glass", Verb.GLASS, data, tooltip=f"Break the glass: {card.title}")


def _way(title: str, url: str, tooltip: str = "") -> Json:
    """Action.OpenUrl: a page of ours, in a browser."""
    return {"type": "Action.OpenUrl", "title": title, "url": url, **({"tooltip": fit(tooltip, 120)} if tooltip else {})}


READ_FIRST_TO_BREAK = "Its rule wants the full text read: open Full SQL, Break glass is at its end."


def _typed_input(name: str) -> list[Json]:
    """The name stands in a line of its own: a label may be read as markdown."""
    return [
        _labelled("To approve it, type", fit(name, 300)),
        {"type": "Input.Text", "id": "typed", "label": "The name, exactly as above", "maxLength": 200},
    ]


def _with(value: str, read: str) -> Json:
    """A button's data; with `read` the gateway knows that the full text was above it."""
    return {"seal": value, **({"read": read} if read else {})}


OWN = "This is your own request: you can withdraw it. Others decide it."
READ_FIRST = "It has to be read in full: open Full SQL, Approve is at its end."
_HIDDEN_FROM_ALL = "Part of it is not shown here: Review, then Full SQL."
_HIDDEN_FROM_A_REVIEWER = "Part of it is not shown here: open Full SQL before you decide."
_HIDDEN_OF_A_BATCH = "Part of it is not shown here: open Full SQL, the button that approves all is at its end."


def _fitted(
    card: Card,
    body: Callable[[Step], tuple[list[Json], bool]],
    buttons: Callable[[bool], list[Json]],
    start: int = 0,
    foot: list[Json] | None = None,
) -> Drawn:
    """Draw at the first rung of LADDER from `start` on that fits; the last always does, and stands for any beyond it."""
    last = len(LADDER) - 1
    for number in range(min(start, last), len(LADDER)):
        parts, hidden = body(LADDER[number])
        content = _card([*parts, *(foot or [])], buttons(hidden), card.notice)
        if cost(content) <= BUDGET or number == last:
            break
    return Drawn(content, _summary(card.notice), number, hidden)


def _card(body: list[Json], actions: list[Json], notice: str) -> Json:
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": VERSION,
        "msteams": {"width": "Full"},
        "fallbackText": _summary(notice),
        "speak": _summary(notice),
        "body": body,
        **({"actions": actions} if actions else {}),
    }


def _summary(notice: str) -> str:
    return fit(in_utc(notice), _SUMMARY)


#: Plain symbols: they are in every font, and read the same in a notification.
_MARKS = {
    Tone.ASKING: "●",
    Tone.WARNING: "⚠",
    Tone.UNDERWAY: "▸",
    Tone.GOOD: "✓",
    Tone.BAD: "✗",
    Tone.OVER: "○",
}


def _body(card: Card, step: Step, note: str, hint: str) -> tuple[list[Json], bool]:
    statements, hidden = _statements(card, step)
    mark = f"{_MARKS[card.tone]} {card.headline}"
    body = [
        *([_line(_bold(fit(note, step.prose)), separator=True)] if note else []),
        _line(_runs(fit(mark, min(step.prose, 300)), weight="Bolder", size="Large")),
        *_opening(card, step),
        *statements,
        *_rows(card, step),
        _labelled("Why held", fit(card.why, step.prose)),
        *([_labelled("Locks", fit(card.where_held, step.prose))] if card.where_held else []),
        *([_ours(f"**{hint}**")] if hint and hidden and Action.APPROVE in card.actions else []),
        *_ending(card, step),
    ]
    return body, hidden


def _opening(card: Card, step: Step) -> list[Json]:
    """What happened or would happen, and who asks."""
    lines = [_line(_bold(fit(card.outcome, step.prose)))] if card.outcome else []
    lines += [_labelled("Risk", fit(card.risk, step.prose))] if card.risk else []
    if card.consequence:
        text = fit(card.consequence, step.prose)
        lines.append(_line(_runs(text) if card.outcome else _bold(text)))
    return [*lines, *(_fact(each, step) for each in card.who)]


def _fact(fact: Fact, step: Step) -> Json:
    return _labelled(f"{fact.label}{' (claimed)' if fact.claimed else ''}", fit(fact.value, step.prose))


def _statements(card: Card, step: Step) -> tuple[list[Json], bool]:
    shown = card.statements[:_SHOWN_STATEMENTS]
    parts: list[Json] = []
    hidden = len(card.statements) > len(shown)
    for each in shown:
        text, was_cut = excerpt(each, step.sql // len(shown))
        values = fit("\n".join(each.values), step.values // len(shown))
        titled = len(card.statements) > 1 or ", run " in each.title
        parts += [_line(_bold(fit(each.title, step.prose)))] if titled else []
        parts += [_code(text), *([_labelled("Values", values)] if values else [])]
        hidden = hidden or was_cut or values != "\n".join(each.values)
    if more := len(card.statements) - len(shown):
        parts.append(_line(_bold(f"... {count(more, 'more statement')} not shown here.")))
    return parts, hidden


def _rows(card: Card, step: Step) -> list[Json]:
    notes = [part for part in (card.preview_note, card.preview.note if card.preview else "") if part]
    if not step.preview and card.preview is not None:
        notes = [*notes, "The rows did not fit here"]
    note = [_labelled("Rows", fit("; ".join(notes), step.prose))] if notes else []
    return [*([_table(card.preview)] if card.preview is not None and step.preview else []), *note]


def _ending(card: Card, step: Step) -> list[Json]:
    footer = _line(_runs(fit(card.footer, step.prose), size="Small", isSubtle=True))
    if card.expires_at is None:
        return [{**footer, "separator": True}]
    return [
        _ours(f"**Expires {moment(card.expires_at)}**, then nothing runs.", separator=True),
        _line(_runs(fit(card.quorum, step.prose))),
        footer,
    ]


# --- the full text -----------------------------------------------------------------------------------------------------


def full_card(card: Card, value: str, statement: int = 0, at: int = 0, read: str = "") -> Drawn:
    """A part of the full text: of this statement (from 0) from this character on, with buttons to the next and back.

    A place that is not there means the beginning. `read` is the seal for an Approve behind the last part, "" for none.
    """
    place = (statement, at) if 0 <= statement < len(card.statements) else (0, 0)
    if not card.statements:
        return notice_card("It has no text.")
    sql = card.statements[place[0]]
    begin = place[1] if 0 <= place[1] < len(sql.text) else 0
    for most in (FULL_TEXT, FULL_TEXT // 4):  # a text full of {{DATE(...)}} grows as runs
        content = _part(card, value, place[0], begin, most, read)
        if cost(content) <= BUDGET:
            break
    return Drawn(content, _summary(card.notice), 0, hidden=False)


def _part(card: Card, value: str, statement: int, begin: int, most: int, read: str) -> Json:
    sql = card.statements[statement]
    piece = prefix(sql.text[begin:], most) or " "
    end = begin + len(piece)
    body = [
        _line(_runs(fit(card.title, 300), weight="Bolder", size="Large")),
        _line(_bold(fit(sql.title, 200))),
        _line(_runs(f"{_extent(sql, begin, end)}, sha256 {sql.sha256}", size="Small", isSubtle=True)),
        _code(piece),
        *([_labelled("Values", fit("\n".join(sql.values), 700))] if sql.values and end >= len(sql.text) else []),
    ]
    after = _after(card, statement, end)
    verb = Verb.CONFIRM if card.confirm else Verb.APPROVE
    buttons = [
        *([_button(card.approve, verb, _with(value, read), style="positive")] if read and not after else []),
        *(_grant_button(card, _with(value, read)) if read and not after else []),
        *([_glass(card, _with(value, read))] if read and not after and card.glass else []),
        *([_button("Next part", Verb.FULL_SQL, {"seal": value, "k": after[0], "at": after[1]})] if after else []),
        *([_button("From the beginning", Verb.FULL_SQL, {"seal": value})] if (statement, begin) != (0, 0) else []),
        _button("Back", Verb.REVIEW, {"seal": value}),
    ]
    return _card(body, buttons, card.notice)


def _extent(sql: SqlText, begin: int, end: int) -> str:
    if begin == 0 and end >= len(sql.text):
        return count(len(sql.text), "character")
    return f"characters {begin + 1:,} to {end:,} of {len(sql.text):,}"


def _after(card: Card, statement: int, end: int) -> tuple[int, int] | None:
    if end < len(card.statements[statement].text):
        return statement, end
    return (statement + 1, 0) if statement + 1 < len(card.statements) else None


# --- what is no request ------------------------------------------------------------------------------------------------


def notice_card(text: str) -> Drawn:
    """A card that says one thing."""
    return Drawn(_card([_line(_runs(fit(text, 2_000)))], [], text), _summary(text), 0, hidden=False)


def alarm_card(text: str) -> Drawn:
    """A message of its own, as loud as a card's headline; what people wrote stays literal."""
    body = [
        _ours(f"**{_MARKS[Tone.WARNING]} The glass was broken**", size="Large", color="Attention"),
        _line(_bold(fit(text, 2_000))),
    ]
    return Drawn(_card(body, [], text), _summary(text), 0, hidden=False)


def answer_card(answer: Answer) -> Drawn:
    """Draw an answer: title, lines, card (its buttons left out), table, literal text, footer, pages; within the budget.

    Rows that do not fit are counted; the ladder takes a card down before anything else is cut.
    """
    notice = sentences((answer.title, *answer.lines))
    for step in LADDER:
        body, hidden = _answered(answer, step)
        content = _with_rows(body, answer, notice)
        if cost(content) <= BUDGET:
            break
    return Drawn(content, _summary(notice), 0, hidden)


def _answered(answer: Answer, step: Step) -> tuple[list[Json], bool]:
    text = fit("\n".join(answer.lines), _ANSWER_TEXT)
    inner, hidden = _body(answer.card, step, "", "") if answer.card is not None else ([], False)
    return [
        _line(_runs(fit(answer.title, 300), weight="Bolder", size="Medium")),
        *([_line(_runs(text))] if text else []),
        *([_code(fit(answer.code, _ANSWER_CODE), "PlainText")] if answer.code else []),
        *inner,
    ], hidden


def _with_rows(body: list[Json], answer: Answer, notice: str) -> Json:
    """As many of the table's rows as fit; the rest is counted below them."""
    foot = [_line(_runs(fit(answer.footer, 600), size="Small", isSubtle=True), separator=True)] if answer.footer else []
    pages = [*([_way(answer.way.label, answer.way.url)] if answer.way else []), *(_page(each) for each in answer.pages)]
    rows = answer.table.rows if answer.table is not None else ()
    for shown in range(len(rows), -1, -1):
        table = [_table(Table(answer.table.columns, rows[:shown]))] if answer.table is not None and shown else []
        missing = [_line(_runs(f"{count(len(rows) - shown, 'row')} did not fit here"))] if shown < len(rows) else []
        content = _card([*body, *table, *missing, *foot], pages, notice)
        if cost(content) <= BUDGET:
            break
    return content
