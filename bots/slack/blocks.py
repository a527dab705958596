"""From a neutral card or answer to Block Kit, within every limit Slack is known to have. Pure.

What lives here: layout, the ladder of smaller and smaller cards. What does not: cutting (bots.fitting),
words (bots.cards, bots.commands), the seal on a button (bots.seals) and sending (bots.slack.sender).

How to think about it: text of people goes only into rich_text and plain_text, which Slack shows as it is: no mention,
no link, no formatting, no broken fence can come out of it. mrkdwn is for our own words and dates, and is escaped all
the same. Sizes are counted as JSON characters as the SDK sends them (ASCII with escapes), because the limit on a whole
message is undocumented: posts failed from about 11,300 characters on (slackapi/bolt-js 2509, 2867).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bots.cards import ALONE, WHY_ALONE, Action, Card, Fact, SqlText
from bots.commands import Answer, Page
from bots.fitting import cost, excerpt, fit, prefix
from bots.granting import Offer
from bots.outcomes import Tone
from bots.previews import Cell, Table, as_text
from bots.texts import MOMENT, count, in_utc, moment, sentences, utc
from gateway.approvals.request import LONGEST_QUESTION

Json = dict[str, Any]

#: All blocks of one message, as JSON characters.
MESSAGE_BUDGET = 9_000
#: chat.update takes no more `text` than this.
TEXT_LIMIT = 4_000
#: A modal holds 250 kB; ours stays well below it and under 100 blocks.
VIEW_BUDGET = 150_000
_CHUNK = 2_900
_HEADER = 150
_CONFIRM = 300
_SHOWN_STATEMENTS = 5
_STATEMENTS_IN_FULL = 20


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of the ladder: JSON characters for all SQL, for all values, for each other text; whether rows are shown."""

    sql: int
    values: int
    prose: int
    preview: bool


#: From a full card to one that always fits (13 prose texts, a few hundred characters of SQL, the frame).
LADDER = (
    Step(2_500, 600, 1_200, preview=True),
    Step(2_500, 600, 700, preview=False),
    Step(1_200, 200, 400, preview=False),
    Step(400, 0, 160, preview=False),
    Step(300, 0, 100, preview=False),  # nine texts of emoji, each 12 characters as JSON, were 38 too many above
)


@dataclass(frozen=True, slots=True)
class Message:
    """What chat.postMessage and chat.update take. `step` is the rung of LADDER; `hidden`: part of the SQL is left out."""

    text: str
    blocks: list[Json]
    step: int
    hidden: bool


# --- text ------------------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Escape the three characters that mrkdwn and `text` give a meaning to (Slack: Formatting text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_FORMATS = {"": "{time_secs}", "d": "{date_short_pretty} {time}"}


def in_mrkdwn(text: str) -> str:
    """`text` escaped, its moments in the reader's own zone (Slack: Formatting text, Date formatting)."""
    return MOMENT.sub(lambda each: f"<!date^{each[2]}^{_FORMATS[each[1]]}|{utc(each)}>", escape(text))


def size(blocks: list[Json]) -> int:
    """JSON characters of all `blocks`."""
    return cost(blocks)


# --- block kit, the few shapes we use --------------------------------------------------------------------------------


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": in_utc(text) or "-", "emoji": False}


def _run(text: str, *, bold: bool = False) -> Json:
    return {"type": "text", "text": text or " ", **({"style": {"bold": True}} if bold else {})}


def _lines(*lines: list[Json]) -> Json:
    """A rich_text block of one section; each line is a list of runs."""
    runs: list[Json] = []
    for number, each in enumerate(line for line in lines if line):
        runs += [_run("\n"), *each] if number else each
    runs = [part for run in runs for part in _parts(run)]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": runs}]}


def _parts(run: Json) -> list[Json]:
    """A run of text, taken apart where a moment stands in it: Slack says that in the reader's own zone."""
    if run["type"] != "text":
        return [run]
    parts, at, text = [], 0, run["text"]
    for each in MOMENT.finditer(text):
        said = {"type": "date", "timestamp": int(each[2]), "format": _FORMATS[each[1]], "fallback": utc(each)}
        parts += [{**run, "text": text[at : each.start()]}] if each.start() > at else []
        parts.append({**{key: value for key, value in run.items() if key == "style"}, **said})
        at = each.end()
    return [*parts, {**run, "text": text[at:]}] if at < len(text) else parts


def _code(text: str) -> Json:
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [_run(in_utc(text))]}]}


def _context(*elements: Json) -> Json:
    return {"type": "context", "elements": list(elements)}


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _button(text: str, action: str, value: str, **more: Any) -> Json:
    return {"type": "button", "text": _plain(text), "action_id": action, "value": value, **more}


# --- the card --------------------------------------------------------------------------------------------------------


def message(card: Card, value: str, start: int = 0) -> Message:
    """Draw `card` at the first rung of LADDER from `start` on that fits MESSAGE_BUDGET; `value` goes into its buttons.

    The last rung always fits; a `start` beyond it means the last.
    """
    last = len(LADDER) - 1
    for number in range(min(start, last), last):
        blocks, hidden = _draw(card, value, LADDER[number])
        if size(blocks) <= MESSAGE_BUDGET:
            return Message(_text(card), blocks, number, hidden)
    blocks, hidden = _draw(card, value, LADDER[last])
    return Message(_text(card), blocks, last, hidden)


def _text(card: Card) -> str:
    return in_mrkdwn(fit(card.notice, TEXT_LIMIT // 5))


def _draw(card: Card, value: str, step: Step) -> tuple[list[Json], bool]:
    statements, hidden = _statements(card, step)
    blocks = [
        {"type": "header", "text": _plain(_mark(card, step))},
        _lines(*_opening(card, step)),
        *statements,
        *_rows(card, step),
        _lines([_run("Why held  ", bold=True), _run(fit(card.why, step.prose))], *_standing(card, hidden, step)),
        _context(*_ending(card, step)),
        *_buttons(card, value, hidden),
    ]
    return blocks, hidden


#: Plain symbols: they are in every font, and read the same in a notification.
_MARKS = {
    Tone.ASKING: "●",
    Tone.WARNING: "⚠",
    Tone.UNDERWAY: "▸",
    Tone.GOOD: "✓",
    Tone.BAD: "✗",
    Tone.OVER: "○",
}


def _mark(card: Card, step: Step) -> str:
    text = f"{_MARKS[card.tone]} {card.headline}"
    return text if len(text) <= _HEADER and cost(text) <= step.prose else fit(text, min(_HEADER - 30, step.prose))


def _opening(card: Card, step: Step) -> list[list[Json]]:
    """What happened or would happen, and who asks."""
    outcome = [_run(fit(card.outcome, step.prose), bold=True)] if card.outcome else []
    consequence = [_run(fit(card.consequence, step.prose), bold=not card.outcome)] if card.consequence else []
    risk = [_run("Risk  ", bold=True), _run(fit(card.risk, step.prose))] if card.risk else []
    return [_called(card), outcome, risk, consequence, *(_fact(each, step) for each in card.who)]


#: So many user groups a card calls: one is the rule.
_CALLED = 3
_USER_GROUP = re.compile(r"slack:(S[A-Z0-9]{2,20})")


def user_groups(mentions: Iterable[str]) -> list[str]:
    """The ids of the Slack user groups among `mentions`; nothing else is ever called."""
    return [found[1] for each in mentions if (found := _USER_GROUP.fullmatch(each))][:_CALLED]


def _called(card: Card) -> list[Json]:
    """Whom a card calls while it can be decided: an answer to a command, and one that has ended, call nobody."""
    groups = user_groups(card.mentions) if Action.APPROVE in card.actions else []
    return (
        [_run("For  ", bold=True), *({"type": "usergroup", "usergroup_id": each} for each in groups)] if groups else []
    )


def _fact(fact: Fact, step: Step) -> list[Json]:
    claimed = " (claimed)" if fact.claimed else ""
    return [_run(f"{fact.label}{claimed}  ", bold=True), _run(fit(fact.value, step.prose) or "-")]


def _statements(card: Card, step: Step) -> tuple[list[Json], bool]:
    shown = card.statements[:_SHOWN_STATEMENTS]
    blocks, hidden = [], False
    for each in shown:
        text, was_cut = excerpt(each, step.sql // len(shown))
        values, values_cut = _values(each, step.values // len(shown))
        title = [[_run(each.title, bold=True)]] if len(card.statements) > 1 or ", run " in each.title else []
        blocks += [*([_lines(*title)] if title else []), _code(text), *([_lines(*values)] if values else [])]
        hidden = hidden or was_cut or values_cut
    if more := len(card.statements) - len(shown):
        blocks.append(_lines([_run(f"... {count(more, 'more statement')} not shown here.", bold=True)]))
    return blocks, hidden or bool(more)


def _values(sql: SqlText, budget: int) -> tuple[list[list[Json]], bool]:
    if not sql.values:
        return [], False
    text = "\n".join(sql.values)
    shown = fit(text, budget)
    return [[_run("Values  ", bold=True), _run(shown)]], shown != text


def _rows(card: Card, step: Step) -> list[Json]:
    notes = [part for part in (card.preview_note, card.preview.note if card.preview else "") if part]
    if not step.preview and card.preview is not None:
        notes = [*notes, "The rows did not fit here"]
    note = [_lines([_run("Rows  ", bold=True), _run(fit("; ".join(notes), step.prose))])] if notes else []
    return [*([_table(card.preview)] if card.preview is not None and step.preview else []), *note]


def _table(table: Table) -> Json:
    head = [_rich_cell(each or " ") for each in table.columns]
    body = [[_cell(each) for each in row] for row in table.rows]
    return {
        "type": "table",
        "rows": [head, *body],
        "column_settings": [{"is_wrapped": True}] * len(table.columns),
    }


def _cell(cell: Cell) -> Json:
    if cell.changed:
        return _rich_cell(cell.text)
    return _lines([_run(cell.text)]) if MOMENT.search(cell.text) else {"type": "raw_text", "text": cell.text}


def _rich_cell(text: str) -> Json:
    return _lines([_run(text, bold=True)])


def _standing(card: Card, hidden: bool, step: Step) -> list[list[Json]]:
    lines = [[_run("Locks  ", bold=True), _run(fit(card.where_held, step.prose))]] if card.where_held else []
    if hidden and Action.APPROVE in card.actions:
        lines.append([_run("Part of it is not shown here: open Full SQL before you decide.", bold=True)])
    return lines


def _ending(card: Card, step: Step) -> list[Json]:
    footer = _plain(fit(card.footer, step.prose))
    if card.expires_at is None:
        return [footer]
    quorum = _plain(fit(card.quorum, step.prose))
    return [_mrkdwn(in_mrkdwn(f"*Expires {moment(card.expires_at)}*, then nothing runs")), quorum, footer]


def _buttons(card: Card, value: str, hidden: bool) -> list[Json]:
    asking = Action.APPROVE in card.actions
    shown = [each for each in card.actions if each not in MENU]
    rarer = [each for each in card.actions if each in MENU]
    elements = [_drawn(each, card, value, hidden) for each in shown if asking or hidden]
    elements += [_menu(rarer, value)] if rarer and asking else [_drawn(each, card, value, hidden) for each in rarer]
    return [{"type": "actions", "elements": elements}] if elements else []


#: The button that leads to the page on which a request is approved; Slack tells of the click, which says nothing.
PAGE_LINK = "hoop_link_page"
#: The button whose menu has the rarer actions, and what they are called there. An option's value says which, then the seal.
MORE_ACTION = "hoop_more"
MENU = {
    Action.ASK: "Ask a question...",
    Action.CHANGES: "Request changes...",
    Action.GLASS: "Break glass...",
    Action.WITHDRAW: "Withdraw (who asked)",
    Action.GRANT: "Approve this shape...",
}


def _menu(actions: list[Action], value: str) -> Json:
    options = [{"text": _plain(MENU[each]), "value": f"{each.value} {value}"} for each in actions]
    return {"type": "overflow", "action_id": MORE_ACTION, "options": options}


def _drawn(action: Action, card: Card, value: str, hidden: bool) -> Json:
    match action:
        case Action.APPROVE:
            label = f"Approve: {card.title}"[:75]
            if card.page:
                return _button(
                    "Approve...", PAGE_LINK, value, style="primary", accessibility_label=label, url=card.page
                )
            if (
                card.to_type or card.full_view or (hidden and card.is_batch)
            ):  # in a modal, which is the last question as well
                return _button(f"{card.approve}...", APPROVE_ACTION, value, style="primary", accessibility_label=label)
            confirm = {"confirm": _confirm(card)} if card.confirm else {}
            return _button(card.approve, action.value, value, style="primary", accessibility_label=label, **confirm)
        case Action.DENY:
            label = f"Deny, with a reason: {card.title}"[:75]
            return _button("Deny...", action.value, value, style="danger", accessibility_label=label)
        case Action.FULL_SQL:
            return _button("Full SQL", action.value, value, accessibility_label=f"Full SQL: {card.title}"[:75])
        case _:
            return _button(MENU[action], action.value, value)


def _confirm(card: Card) -> Json:
    return {
        "title": _plain("High risk: approve it?"),
        "text": _plain(fit(card.confirm, _CONFIRM - 40)),
        "confirm": _plain("Approve"),
        "deny": _plain("Back"),
        "style": "danger",
    }


def alarm_message(text: str) -> Message:
    """A message of its own, as loud as a card's headline; what people wrote stays literal."""
    shown = fit(text, _ANSWER_TEXT)
    blocks = [
        {"type": "header", "text": _plain(f"{_MARKS[Tone.WARNING]} The glass was broken")},
        _lines([_run(shown, bold=True)]),
    ]
    return Message(in_mrkdwn(fit(text, TEXT_LIMIT // 5)), blocks, 0, hidden=False)


# --- answers to commands ---------------------------------------------------------------------------------------------

PAGE_ACTION = "hoop_page"
_ANSWER_TEXT = 2_500


def answer_message(answer: Answer) -> Message:
    """Draw an answer: title, lines, card (its buttons left out), table, literal text, footer, pages; within the budget.

    Rows that do not fit are counted; the ladder takes a card down before anything else is cut.
    """
    for step in range(len(LADDER)):
        blocks, hidden = _answered(answer, LADDER[step])
        if size(blocks) <= MESSAGE_BUDGET:
            break
    return Message(in_mrkdwn(fit(sentences((answer.title, *answer.lines)), TEXT_LIMIT // 5)), blocks, step, hidden)


def _answered(answer: Answer, step: Step) -> tuple[list[Json], bool]:
    inner, hidden = _draw(answer.card, "", step) if answer.card is not None else ([], False)
    head = [*_answer_head(answer), *_answer_code(answer)]
    return _with_rows(head, answer.table, [*inner, *_answer_foot(answer)]), hidden


def _answer_head(answer: Answer) -> list[Json]:
    text = fit("\n".join(answer.lines), _ANSWER_TEXT)
    return [_lines([_run(fit(answer.title, 300), bold=True)], [_run(text)] if text else [])]


def _answer_code(answer: Answer) -> list[Json]:
    return [_code(fit(answer.code, _ANSWER_TEXT))] if answer.code else []


def _answer_foot(answer: Answer) -> list[Json]:
    footer = [_context(_plain(fit(answer.footer, 600)))] if answer.footer else []
    ways = [_button(answer.way.label, PAGE_LINK, "way", url=answer.way.url, style="primary")] if answer.way else []
    buttons = [*ways, *_page_buttons(answer.pages)]
    return [*footer, *([{"type": "actions", "elements": buttons}] if buttons else [])]


def _page_buttons(pages: tuple[Page, ...]) -> list[Json]:
    return [_button(page.label, f"{PAGE_ACTION}_{page.label.lower().replace(' ', '_')}", page.cursor) for page in pages]


def _with_rows(head: list[Json], table: Table | None, foot: list[Json]) -> list[Json]:
    """As many of the table's rows between head and foot as fit; the rest is counted below them."""
    if table is None:
        return [*head, *foot]
    for shown in range(len(table.rows), 0, -1):
        blocks = [*head, _table(Table(table.columns, table.rows[:shown])), *_missing(len(table.rows) - shown), *foot]
        if size(blocks) <= MESSAGE_BUDGET:
            return blocks
    return [*head, *_missing(len(table.rows)), *foot]


def _missing(rows: int) -> list[Json]:
    return [_context(_plain(f"{count(rows, 'row')} did not fit here"))] if rows else []


# --- modals ----------------------------------------------------------------------------------------------------------

REASON_BLOCK = "reason"
REASON_MIN, REASON_MAX = 3, 1000


@dataclass(frozen=True, slots=True)
class Form:
    """A modal in which one text of REASON_MIN to `most` characters is written; `view` is its callback id."""

    view: str
    title: str
    submit: str
    label: str
    hint: str
    most: int = REASON_MAX


DENY_FORM = Form(
    "hoop_deny_view",
    "Deny this statement",
    "Deny",
    "Reason",
    "The requester gets it as the error's text: say what would pass.",
)
CHANGES_FORM = Form(
    "hoop_changes_view",
    "Request changes",
    "Request changes",
    "What should be changed",
    "This ends the request. The client gets it with the error, so that it can send a better statement.",
)


ASK_FORM = Form(
    "hoop_ask_view",
    "Ask a question",
    "Ask",
    "Question",
    "The client that waits gets it as a notice, and the card shows it. The request still waits.",
    LONGEST_QUESTION,
)


def text_view(form: Form, value: str, channel: str, about: str = "") -> Json:
    """The modal of a form. What it is about stays sealed in `value`; who decides is read at submit.

    `about` is the card's title, for a modal covers the card; "" where it could not be looked up in time.
    """
    return {
        "type": "modal",
        "callback_id": form.view,
        "private_metadata": json.dumps({"value": value, "channel": channel}),
        "title": _plain(form.title),
        "submit": _plain(form.submit),
        "close": _plain("Back"),
        "blocks": [
            *([{"type": "section", "text": _plain(fit(about, _HEADER))}] if about else []),
            _text_input(form.label, form.hint, form.most),
        ],
    }


def _text_input(label: str, hint: str, most: int = REASON_MAX) -> Json:
    return {
        "type": "input",
        "block_id": REASON_BLOCK,
        "label": _plain(label),
        "hint": _plain(hint),
        "element": {
            "type": "plain_text_input",
            "action_id": REASON_BLOCK,
            "multiline": True,
            "min_length": REASON_MIN,
            "max_length": most,
        },
    }


#: The button that opens the modal in which some requests are approved, that modal, and the one for breaking the glass.
APPROVE_ACTION, APPROVE_VIEW, GLASS_VIEW = "hoop_approve_view", "hoop_approve_view", "hoop_glass_view"
TYPED_BLOCK, GRANT_BLOCK = "typed", "grant"
_ROWS_AS_TEXT = 1_500
_TOO_LONG = "It is longer than Slack can show here, and it has to be read in full: it can't be approved in Slack."


def approve_view(card: Card, value: str, channel: str, offers: tuple[Offer, ...] = ()) -> Json:
    """The modal of a request that is approved below its full text, or by typing a name; `value` is sealed for its reader.

    With `offers` it approves the shape as well: one of them must be chosen. Without Approve where the text must be read in full and does not fit.
    """
    asked = (card.confirm or f"{card.title}. {card.consequence}", card.granting if offers else "")
    inputs = [*([_typed_input(card.to_type)] if card.to_type else []), *([_grant_input(offers)] if offers else [])]
    title = "Approve this shape" if offers else "Approve"
    about = {"value": value, "channel": channel}
    return _careful_view(card, APPROVE_VIEW, (title, card.approve), asked, inputs, about)


def glass_view(card: Card, value: str, channel: str) -> Json:
    """The modal in which the glass is broken, as that of an approval: below the full text, with a reason and typed words."""
    asked = (
        f"{card.title}. {ALONE}",
        card.consequence,
    )
    inputs = _rows_as_text(card)
    inputs += [_text_input(WHY_ALONE, "Everybody sees it, and it stays in the audit log.")]
    inputs += [_typed_input(card.glass)]
    about = {"value": value, "channel": channel}
    return _careful_view(card, GLASS_VIEW, ("Break glass", "Break glass"), asked, inputs, about)


def _rows_as_text(card: Card) -> list[Json]:
    """The masked rows of the card, or why there are none: a modal takes no tables."""
    rows = [_code(fit(as_text(card.preview), _ROWS_AS_TEXT))] if card.preview is not None else []
    return [*rows, *([_lines([_run(fit(card.preview_note, 600))])] if card.preview_note else [])]


def _careful_view(
    card: Card, view: str, called: tuple[str, str], asked: tuple[str, ...], inputs: list[Json], about: Json
) -> Json:
    """`called`: the modal's title and its button."""
    title, submit = called
    text, whole = _in_full(card)
    blocks = [_lines(*([_run(fit(part, 1_000), bold=True)] for part in asked if part)), *text]
    shared = {"type": "modal", "title": _plain(title), "close": _plain("Back")}
    if (card.full_view or card.is_batch) and not whole:
        return {**shared, "blocks": [*blocks, _lines([_run(_TOO_LONG, bold=True)])]}
    return {
        **shared,
        "callback_id": view,
        "private_metadata": json.dumps({**about, "whole": whole}),
        "submit": _plain(submit),
        "blocks": [*blocks, *inputs],
    }


def _typed_input(name: str) -> Json:
    return {
        "type": "input",
        "block_id": TYPED_BLOCK,
        "label": _plain(fit(f"To approve it, type: {name}", 500)),
        "element": {"type": "plain_text_input", "action_id": TYPED_BLOCK, "max_length": 200},
    }


def _grant_input(offers: tuple[Offer, ...]) -> Json:
    options = [{"text": _plain(each.label), "value": each.value} for each in offers]
    return {
        "type": "input",
        "block_id": GRANT_BLOCK,
        "label": _plain("Approve it, and its shape"),
        "element": {"type": "static_select", "action_id": GRANT_BLOCK, "options": options},
    }


def notice_view(text: str, title: str = "Full SQL") -> Json:
    """A modal that says one thing: "Checking...", or why there is nothing to see."""
    return {
        "type": "modal",
        "title": _plain(title),
        "close": _plain("Close"),
        "blocks": [{"type": "section", "text": _plain(text)}],
    }


def full_view(card: Card) -> Json:
    """Every statement in full, as far as a modal can hold it; what it can't is counted, with the digest."""
    blocks = [{"type": "section", "text": _plain(fit(card.headline, 1_000))}, *_in_full(card)[0]]
    return {"type": "modal", "title": _plain("Full SQL"), "close": _plain("Close"), "blocks": blocks}


def _in_full(card: Card) -> tuple[list[Json], bool]:
    """The text and values of every statement; and whether that is all of them."""
    if len(card.statements) > _STATEMENTS_IN_FULL:
        return _together(card.statements)
    share = VIEW_BUDGET // max(len(card.statements), 1)
    blocks: list[Json] = []
    whole = True
    for each in card.statements:
        facts = f"{count(len(each.text), 'character')}, sha256 {each.sha256}"
        pieces, all_of_it = _chunks(each, share)
        values = fit("\n".join(each.values), _CHUNK)
        blocks.append(_lines([_run(each.title, bold=True)], [_run(facts)]))
        blocks += [_code(part) for part in pieces]
        if each.values:
            blocks.append(_lines([_run("Values", bold=True)], [_run(values)]))
        whole = whole and all_of_it and values == "\n".join(each.values)
    return blocks, whole


def _together(statements: tuple[SqlText, ...]) -> tuple[list[Json], bool]:
    """More statements than have room for blocks of their own: one text, with a line of comment above each."""
    texts = (
        "\n".join((f"-- {each.title}", each.text, *(f"-- {values}" for values in each.values))) for each in statements
    )
    text = "\n\n".join(texts)
    pieces, whole = _chunks(SqlText("", text, ""), VIEW_BUDGET)
    return [_lines([_run(count(len(statements), "statement"), bold=True)]), *(_code(part) for part in pieces)], whole


def _chunks(sql: SqlText, budget: int) -> tuple[list[str], bool]:
    """The text in pieces for preformatted blocks: at most 40 of one statement, fewer when there are many statements; and
    whether that is all of it."""
    most = max(1, min(40, budget // _CHUNK))
    pieces: list[str] = []
    rest = sql.text
    while rest and len(pieces) < most:
        piece = prefix(rest, _CHUNK)
        pieces.append(piece)
        rest = rest[len(piece) :]
    if rest:
        pieces[-1] += f"\n... {len(rest):,} of {len(sql.text):,} characters do not fit in here ..."
    return pieces or [" "], not rest


# --- for other surfaces (home.py) --------------------------------------------------------------------------------------

plain, run, block_of, code, button = _plain, _run, _lines, _code, _button


def draw(card: Card, value: str, step: Step) -> list[Json]:
    """The blocks of a card at one rung of the ladder; the last one has its buttons, where it has any."""
    return _draw(card, value, step)[0]
