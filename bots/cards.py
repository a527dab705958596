"""From an approval request to a neutral card: what a reviewer reads, in the order in which it is read. Pure.

What lives here: words, order, risk, what changed, which buttons a state has. What does not: any chat's own format
(bots.slack.blocks, bots.teams.adaptive), escaping for a format, limits of a platform. Every text in a Card is literal
and already safe to look at: control, bidi and invisible characters are spelled out. A card is a projection of the
stored request and is made anew each time; nothing is ever read back from a chat message.

The first two lines (headline, notice) must be enough on a lock screen. Nothing is dropped silently: what does not fit
is counted, and the digest says of what.
"""

import hashlib
import re
import textwrap
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from gateway.approvals.request import OPEN_STATES, ApprovalRequest, HeldStatement, Preview, State


class Action(Enum):
    """What a button does; the value is its action id in every chat."""

    APPROVE = "hoop_approve"
    DENY = "hoop_deny"
    FULL_SQL = "hoop_full_sql"


class Tone(Enum):
    """How a card feels: chats give it a mark of their own. Words always say the same."""

    ASKING = "asking"
    WARNING = "warning"
    GOOD = "good"
    BAD = "bad"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled line. `claimed`: the client said so, nobody verified it."""

    label: str
    value: str
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class SqlText:
    """One held statement as literal text. `values` are lines such as "$1 = 42"; `sha256` is of `text`, in full."""

    title: str
    text: str
    sha256: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell; `changed` ones read "old -> new"."""

    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of the same width. `note` says what is left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """Everything a front needs to draw a request; see the module's docstring.

    `title` is what and where, `headline` puts the state or the risk before it.
    `notice` is a whole sentence for notifications and screen readers. `risk` is why it is high, "" if it is not.
    `outcome` is the line that says how it stands or ended ("" while nobody has done anything). `expires_at` is None
    once it no longer matters; so are `preview`, `where_held` and `quorum` empty: an ended card is short. `confirm` is the question asked before an approval of high risk.
    """

    request_id: str
    rev: int
    state: State
    tone: Tone
    title: str
    headline: str
    notice: str
    risk: str
    outcome: str
    who: tuple[Fact, ...]
    statements: tuple[SqlText, ...]
    consequence: str
    preview: Table | None
    preview_note: str
    where_held: str
    why: str
    quorum: str
    expires_at: float | None
    footer: str
    actions: tuple[Action, ...]
    confirm: str


#: Tags whose effect is bounded by their rows; every other tag (DDL, roles, DO, CALL, what we can't read) is high risk.
_ROW_TAGS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "TABLE", "VALUES", "EXPLAIN"})
#: Tags that touch neither schema nor rows.
_SESSION_TAGS = frozenset({"LISTEN", "NOTIFY", "LOCK", "LOCK TABLE", "SET", "RESET"})
_MANY_ROWS = 1000
_PAST = {"DELETE": "deleted", "UPDATE": "changed", "INSERT": "inserted", "TRUNCATE": "deleted", "SELECT": "returned"}
_MAX_COLUMNS = 5
_MAX_ROWS = 5
_CELL = 48
_NAME = 160
_SENTENCE = 400
_MAX_GROUPS = 4


# --- text that is safe to look at -----------------------------------------------------------------------------------

#: Letters and marks that draw nothing, though Unicode does not call them format characters.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def visible(text: str, *, keep: str = "") -> str:
    """Spell out what the eye can't see or is misled by: control, bidi, zero-width, odd spaces, variation selectors.

    `keep` are characters to leave alone beside the plain space ("\\n\\t" for SQL). U+202E becomes "[U+202E]".
    """
    if text.isascii() and text.isprintable():
        return text
    hidden = [each for each in set(text) if each != " " and each not in keep and _hides(each)]
    return text.translate({ord(each): f"[U+{ord(each):04X}]" for each in hidden}) if hidden else text


def _hides(char: str) -> bool:
    selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return selector or char in _BLANKS or unicodedata.category(char) in _INVISIBLE_CATEGORIES


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of one line; what is left out is counted."""
    if len(text) <= limit:
        return text
    tail = f"... (+{len(text) - limit} characters)"
    return text[:limit].rstrip() + tail


def line(text: str, limit: int = _NAME) -> str:
    """One visible line of at most about `limit` characters."""
    return cut(visible(" ".join(text.split("\n"))), limit)


def literal(sql: str) -> str:
    """SQL as people may read it: the same text, laid out, invisible characters and long runs of blanks spelled out."""
    text = visible(_laid_out(sql.replace("\r\n", "\n")), keep="\n\t")
    text = re.sub(r"[ \t]{41,}", lambda run: f" [{len(run.group())} blanks] ", text)
    return re.sub(r"\n{4,}", lambda run: f"\n[{len(run.group()) - 1} empty lines]\n", text)


_CLAUSES = re.compile(
    r" +(?=(?:FROM|WHERE|SET|VALUES|RETURNING|USING|GROUP BY|ORDER BY|HAVING|LIMIT|ON CONFLICT|"
    r"(?:LEFT |RIGHT |FULL |INNER |CROSS )?JOIN)\b)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")")
_DOLLAR_QUOTE = re.compile(r"\$\w*\$")


def _laid_out(sql: str) -> str:
    """Break a long one-line statement before its clauses: only blanks outside quotes change.

    Comments, backslash escapes and dollar quotes are not read here, so a text with any of them stays as it is.
    """
    text = textwrap.dedent(sql).strip("\n ")
    if "\n" in text or not 60 <= len(text) <= 2000 or any(odd in text for odd in ("\\", "--", "/*")):
        return text
    if _DOLLAR_QUOTE.search(text):
        return text
    parts = _QUOTED.split(text)
    parts[::2] = [_CLAUSES.sub("\n", part) for part in parts[::2]]
    return "".join(parts)


def at(when: float) -> str:
    """A time for people: "10:31 UTC"."""
    return datetime.fromtimestamp(when, UTC).strftime("%H:%M UTC")


def span(seconds: float) -> str:
    """A duration for people: "12 ms", "45 s", "3 m 24 s", "2 h 5 m"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def count(number: int, noun: str) -> str:
    """ "1 row", "18,240 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# --- the card --------------------------------------------------------------------------------------------------------


def card(request: ApprovalRequest, now: float) -> Card:
    """Draw `request` as it stands at `now` (Unix seconds). Total: every state and any text gives a card."""
    open_for_clicks = request.state is State.PENDING and now < request.expires_at
    risk = "; ".join(_risks(request))
    preview, preview_note = _preview(request.preview) if request.state is State.PENDING else (None, "")
    return Card(
        request_id=request.id,
        rev=request.rev,
        state=request.state,
        tone=_tone(request, risk),
        title=title(request),
        headline=_headline(request, risk),
        notice=_notice(request),
        risk=risk,
        outcome=_outcome(request, now),
        who=_who(request),
        statements=tuple(_sql(each, k, len(request.statements)) for k, each in enumerate(request.statements, 1)),
        consequence=_consequence(request),
        preview=preview,
        preview_note=preview_note,
        where_held=_WHERE_HELD.get(request.where_held, line(request.where_held)) if open_for_clicks else "",
        why=_why(request),
        quorum=_quorum(request) if open_for_clicks else "",
        expires_at=request.expires_at if open_for_clicks else None,
        footer=_footer(request),
        actions=(Action.APPROVE, Action.DENY, Action.FULL_SQL) if open_for_clicks else (Action.FULL_SQL,),
        confirm=_confirm(request, risk) if open_for_clicks and risk else "",
    )


_WHERE_HELD = {
    "idle": "Outside a transaction: no locks are held while you decide.",
    "in transaction": "In a transaction: its locks are held while you decide.",
}

#: State -> the words that the headline starts with; pending ones start with the risk.
_STATE_WORDS = {
    State.PENDING: "",
    State.APPROVED: "Approved",
    State.RELEASED: "Running",
    State.EXECUTED: "Executed",
    State.FAILED: "Failed",
    State.UNKNOWN: "Outcome unknown",
    State.DENIED: "Denied",
    State.EXPIRED: "Expired",
    State.WITHDRAWN: "Withdrawn",
    State.SUPERSEDED: "Superseded",
    State.UNDELIVERABLE: "Not delivered",
}

_TONES = {
    State.PENDING: Tone.ASKING,
    State.APPROVED: Tone.GOOD,
    State.RELEASED: Tone.GOOD,
    State.EXECUTED: Tone.GOOD,
    State.FAILED: Tone.BAD,
    State.UNKNOWN: Tone.BAD,
    State.DENIED: Tone.BAD,
    State.EXPIRED: Tone.OVER,
    State.WITHDRAWN: Tone.OVER,
    State.SUPERSEDED: Tone.OVER,
    State.UNDELIVERABLE: Tone.BAD,
}


def _tone(request: ApprovalRequest, risk: str) -> Tone:
    return Tone.WARNING if request.state is State.PENDING and risk else _TONES[request.state]


def _headline(request: ApprovalRequest, risk: str) -> str:
    first = _STATE_WORDS[request.state] or ("HIGH RISK" if risk else "")
    return (f"{first}: " if first else "") + title(request)


def title(request: ApprovalRequest) -> str:
    """What and where in a line: "DELETE on public.customers in production (shop)"."""
    where = line(request.target, 60)
    if request.environment:
        where = f"{line(request.environment, 40)} ({where})"
    on = _relations(request.statements)
    return f"{_verb(request.statements)}{f' on {on}' if on else ''} in {where}"


def _verb(statements: tuple[HeldStatement, ...]) -> str:
    tags = list(dict.fromkeys(_tag(each) for each in statements))
    if len(statements) <= 1:
        return tags[0] if tags else "statement"
    return f"{len(statements)} statements ({', '.join(tags[:3])}{', ...' if len(tags) > 3 else ''})"


def _tag(statement: HeldStatement) -> str:
    return line(statement.tag, 40) or "statement"


def _relations(statements: tuple[HeldStatement, ...]) -> str:
    names = list(dict.fromkeys(line(name, 63) for each in statements for name in each.relations))
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _notice(request: ApprovalRequest) -> str:
    who = line(request.requester.user, 80)
    if request.state is not State.PENDING:
        return f"{_STATE_WORDS[request.state]}: {title(request)}, asked by {who}."
    agent = f" ({line(request.agent, 40)})" if request.agent else ""
    rows = f" {_rows(request.preview)}" if request.preview.rows is not None else ""
    on = _relations(request.statements)
    of = f" {'of' if rows else 'on'} {on}" if on else ""
    where = f"{line(request.environment, 40)}/" if request.environment else ""
    verb = _verb(request.statements)
    return f"{who}{agent} wants to {verb}{rows}{of} in {where}{line(request.target, 60)}. Expires {at(request.expires_at)}."


def _risks(request: ApprovalRequest) -> list[str]:
    found = [reason for each in request.statements for reason in _risk_of(each)]
    rows = request.preview.rows
    if rows is not None and rows > _MANY_ROWS:
        found.append(_rows(request.preview))
    return list(dict.fromkeys(found))


def _risk_of(statement: HeldStatement) -> list[str]:
    tag = statement.tag.upper()
    found = [f"its text does not tell what it does: {line(statement.opaque)}"] if statement.opaque else []
    if tag in _ROW_TAGS:
        return [f"{tag} without WHERE", *found] if statement.where is False else found
    return found if tag in _SESSION_TAGS else [_tag(statement), *found]


def _who(request: ApprovalRequest) -> tuple[Fact, ...]:
    who = request.requester
    groups = sorted(who.groups)
    shown = ", ".join(line(each, 40) for each in groups[:_MAX_GROUPS])
    more = f" and {len(groups) - _MAX_GROUPS} more" if len(groups) > _MAX_GROUPS else ""
    name = line(who.user) + (f" ({shown}{more})" if groups else "")
    facts = [Fact("Who", name)]
    if request.agent:
        facts.append(Fact("Agent", line(request.agent), claimed=True))
    if request.claimed_reason:
        facts.append(Fact("Reason", line(request.claimed_reason, _SENTENCE), claimed=True))
    return tuple(facts)


def _sql(statement: HeldStatement, k: int, n: int) -> SqlText:
    text = literal(statement.sql)
    times = f", run {statement.executions:,} times" if statement.executions > 1 else ""
    tag = _tag(statement)
    head = f"{tag} ({k} of {n})" if n > 1 else tag
    return SqlText(head + times, text, hashlib.sha256(text.encode()).hexdigest(), _values(statement))


def _values(statement: HeldStatement) -> tuple[str, ...]:
    lines = [
        ", ".join(f"${k} = {'NULL' if value is None else line(value, 80)}" for k, value in enumerate(values, 1))
        for values in statement.parameters
        if values
    ]
    hidden = statement.executions - len(statement.parameters)
    if lines and hidden > 0:
        lines.append(f"... {count(hidden, 'more value set')}, not shown here")
    return tuple(lines)


_KINDS = {"exact": "", "estimate": "about "}


def _rows(preview: Preview) -> str:
    return f"{_KINDS.get(preview.kind, '')}{count(preview.rows or 0, 'row')}"


def _consequence(request: ApprovalRequest) -> str:
    """What it would do; nothing once it has run, for then the outcome says what it did."""
    preview = request.preview
    if request.state in _HAS_RUN:
        return ""
    if preview.rows is None:
        return "How many rows it touches is not known."
    how = "the planner's estimate" if preview.kind == "estimate" else "exact count"
    would = "would be" if request.state in OPEN_STATES else "would have been"
    word = _PAST.get(request.statements[0].tag.upper(), "touched") if len(request.statements) == 1 else "touched"
    rows = _rows(preview)
    return f"{rows[0].upper()}{rows[1:]} {would} {word} ({how})."


_HAS_RUN = frozenset({State.EXECUTED, State.FAILED, State.UNKNOWN})


def _preview(preview: Preview) -> tuple[Table | None, str]:
    note = line(preview.note, _SENTENCE)
    if not preview.columns or not preview.before:
        return None, note
    rows = [_pairs(preview, k) for k in range(min(len(preview.before), _MAX_ROWS))]
    chosen = _columns(rows, len(preview.columns))
    table = Table(
        columns=tuple(line(preview.columns[k], _CELL) for k in chosen),
        rows=tuple(tuple(row[k] for k in chosen) for row in rows),
        note=_left_out(preview, len(rows), len(preview.columns) - len(chosen)),
    )
    return table, note


def _pairs(preview: Preview, k: int) -> tuple[Cell, ...]:
    before = preview.before[k]
    after = preview.after[k] if k < len(preview.after) else before
    width = len(preview.columns)
    return tuple(
        _cell(before[c] if c < len(before) else None, after[c] if c < len(after) else None) for c in range(width)
    )


def _cell(old: str | None, new: str | None) -> Cell:
    if old == new:
        return Cell(_value(old))
    return Cell(f"{_value(old)} -> {_value(new)}", changed=True)


def _value(value: str | None) -> str:
    return "NULL" if value is None else line(value, _CELL) or "''"


def _columns(rows: list[tuple[Cell, ...]], width: int) -> list[int]:
    """The first column (most often the key), then those that change, then the rest, up to five, in table order."""
    changing = [c for c in range(1, width) if any(row[c].changed for row in rows)]
    order = list(dict.fromkeys([0, *changing, *range(width)]))
    return sorted(order[:_MAX_COLUMNS])


def _left_out(preview: Preview, shown: int, columns: int) -> str:
    parts = []
    if preview.rows is not None and preview.rows > shown:
        parts.append(f"first {count(shown, 'row')} of {_rows(preview)}")
    if columns:
        parts.append(f"{count(columns, 'more column')} not shown")
    return ", ".join(parts)


def _why(request: ApprovalRequest) -> str:
    why = line(request.why, _SENTENCE)
    if why.startswith(f'rule "{line(request.rule)}" '):  # policy's own sentences begin so
        return f"R{why[1:]}"
    return f'Rule "{line(request.rule)}"' + (f": {why}" if why else "")


def _quorum(request: ApprovalRequest) -> str:
    who = line(request.reviewers, 60)
    if request.approvals_needed == 1:
        return f"Needs 1 approval from {who}"
    return f"{len(request.approvals)} of {request.approvals_needed} approvals from {who}"


def _footer(request: ApprovalRequest) -> str:
    where = f"session {line(request.session, 40)}" + (f" from {line(request.client, 60)}" if request.client else "")
    return f"Request {line(request.id, 60)} - digest {request.content_digest[:12]} - {where}"


def _confirm(request: ApprovalRequest, risk: str) -> str:
    return f"{title(request)}. High risk: {risk}. {_consequence(request)}"


# --- how it stands, how it ended -------------------------------------------------------------------------------------


def _names(request: ApprovalRequest) -> str:
    return ", ".join(f"{line(each.by.user, 80)} at {at(each.at)}" for each in request.approvals)


def _by(request: ApprovalRequest) -> str:
    if request.approvals:
        return f"Approved by {_names(request)}"
    if request.decided_by is not None:
        when = f" at {at(request.decided_at)}" if request.decided_at is not None else ""
        return f"Approved by {line(request.decided_by.user, 80)}{when}"
    return "Approved"


def _because(request: ApprovalRequest) -> str:
    reason = line(request.reason.strip().rstrip("."), 1000)
    return f": {reason}" if reason else ""


def _pending(request: ApprovalRequest) -> str:
    if not request.approvals:
        return ""
    return f"{len(request.approvals)} of {request.approvals_needed} approvals: {_names(request)}"


def _executed(request: ApprovalRequest) -> str:
    rows = f"{count(request.rows, 'row')}" if request.rows is not None else "done"
    took = f" in {span(request.duration_ms / 1000)}" if request.duration_ms is not None else ""
    ending = {"open": ", in a transaction that is not committed yet", "": ""}.get(
        request.transaction, f", {line(request.transaction, 40)}"
    )
    return f"Executed: {rows}{took}{ending}.{_drift(request)} {_by(request)}."


def _drift(request: ApprovalRequest) -> str:
    seen = request.preview.rows
    if seen is None or request.rows is None or request.preview.kind != "exact" or seen == request.rows:
        return ""
    return f" The preview had counted {seen:,}."


def _failed(request: ApprovalRequest) -> str:
    code = f" with SQLSTATE {line(request.sqlstate, 10)}" if request.sqlstate else ""
    took = f" after {span(request.duration_ms / 1000)}" if request.duration_ms is not None else ""
    return f"Failed{code}{took}{_because(request)}. {_by(request)}."


def _denied(request: ApprovalRequest) -> str:
    who = f" by {line(request.decided_by.user, 80)}" if request.decided_by is not None else ""
    when = f" at {at(request.decided_at)}" if request.decided_at is not None else ""
    return f"Denied{who}{when}{_because(request)}. Nothing ran."


_OUTCOMES: dict[State, Callable[[ApprovalRequest], str]] = {
    State.PENDING: _pending,
    State.APPROVED: lambda r: f"{_by(r)}. It has not run yet.",
    State.RELEASED: lambda r: f"{_by(r)}. It is running now.",
    State.EXECUTED: _executed,
    State.FAILED: _failed,
    State.UNKNOWN: lambda r: (
        f"Unknown: it was sent, and the answer never came{_because(r)}. Check the target. {_by(r)}."
    ),
    State.DENIED: _denied,
    State.EXPIRED: lambda r: f"Expired at {at(r.expires_at)}: nobody decided in time. Nothing ran.",
    State.WITHDRAWN: lambda r: f"Withdrawn{_because(r)}. Nothing ran.",
    State.SUPERSEDED: lambda r: f"Superseded by policy{_because(r)}. Nothing ran.",
    State.UNDELIVERABLE: lambda r: f"Not delivered{_because(r)}. No reviewer could be asked. Nothing ran.",
}


def _outcome(request: ApprovalRequest, now: float) -> str:
    if request.state is State.PENDING and now >= request.expires_at:
        return f"Time is up since {at(request.expires_at)}. Nothing ran."
    return _OUTCOMES[request.state](request)
