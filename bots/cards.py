"""From an approval request to a neutral card: what a reviewer reads, in the order in which it is read. Pure.

What lives here: words, order, risk, which buttons a state has. What does not: how a request ended (bots.outcomes), its rows
(bots.previews), any chat's own format (bots.slack.blocks, bots.teams.adaptive), escaping for a format, limits of a platform.
Every text in a Card is literal and already safe to look at: control, bidi and invisible characters are spelled out; only
moments are tokens, for each chat to say in its reader's time zone (bots.texts). A card is a projection of the stored
request and is made anew each time; nothing is ever read back from a chat message.

The first two lines (headline, notice) must be enough on a lock screen. Nothing is dropped silently: what does not fit
is counted, and the digest says of what.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum

from bots.granting import Offer, choices, sentence
from bots.granting import told as told_of_grants
from bots.locks import blocking, held, share, while_it_runs
from bots.outcomes import Tone, broken, outcome, standing
from bots.previews import Table, rows_of, table_of
from bots.texts import count, line, literal, moment
from gateway.approvals import glass
from gateway.approvals.request import OPEN_STATES, ApprovalRequest, HeldStatement, State
from gateway.approvals.risk import MANY_ROWS, ROW_TAGS, SESSION_TAGS, WHOLE_TABLE

#: What who may break the glass is told before they do, and what they are asked.
ALONE = "Breaking the glass is for emergencies: your approval alone lets it run, without the others that its rule asks for, and its channels are told at once."
WHY_ALONE = "Why it can't wait for the other approvals"


class Action(Enum):
    """What a button does; the value is its action id in every chat."""

    APPROVE = "hoop_approve"
    DENY = "hoop_deny"
    ASK = "hoop_ask"
    CHANGES = "hoop_changes"
    GLASS = "hoop_glass"
    WITHDRAW = "hoop_withdraw"
    GRANT = "hoop_grant"
    FULL_SQL = "hoop_full_sql"


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
class Card:
    """Everything a front needs to draw a request; see the module's docstring.

    `title` is what and where, `headline` puts the state or the risk before it.
    `notice` are whole sentences for notifications and screen readers. `risk` is why it is high, "" if it is not.
    `outcome` is the line that says how it stands or ended ("" while nobody has done anything). `expires_at` is None
    once it no longer matters; so are `preview`, `where_held` and `quorum` empty: an ended card is short. `confirm` is the question
    asked before an approval of high risk; `to_type` what must be typed then; `full_view`: Approve stands below the full text only.
    `mentions` are whom a chat may call ("slack:S1"), while it waits.
    `offers`: what its shape may be granted for, and `granting` what that means.
    `page`: where Approve leads, if that is where it is approved; all these questions are then asked there. `glass`: what must be
    typed to break the glass, "" where nobody may do so in a chat.
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
    to_type: str = ""
    full_view: bool = False
    mentions: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    granting: str = ""
    page: str = ""
    glass: str = ""

    @property
    def is_batch(self) -> bool:
        """Several statements, which are approved together: only by who has them all in full."""
        return len(self.statements) > 1

    @property
    def approve(self) -> str:
        """What the button is called."""
        return f"Approve all {len(self.statements)}" if self.is_batch else "Approve"


_PAST = {"DELETE": "deleted", "UPDATE": "changed", "INSERT": "inserted", "TRUNCATE": "deleted", "SELECT": "returned"}
_SENTENCE = 400
_MAX_GROUPS = 4
_MAX_PASSED_ON = 4


# --- the card --------------------------------------------------------------------------------------------------------


def card(request: ApprovalRequest, now: float) -> Card:
    """Draw `request` as it stands at `now` (Unix seconds). Total: every state and any text gives a card."""
    open_for_clicks = request.state is State.PENDING and now < request.expires_at
    in_chat = open_for_clicks and request.approve_via == "chat"
    risk = "; ".join(_risks(request)) if request.state in OPEN_STATES else ""
    word, tone = standing(request, now)
    told = outcome(request, now)
    return Card(
        request_id=request.id,
        rev=request.rev,
        state=request.state,
        tone=Tone.WARNING if open_for_clicks and risk else tone,
        title=title(request),
        headline=_headline(word or _urgency(request, risk), request),
        notice=_notice(request, word, told),
        risk=risk,
        outcome=told,
        who=_who(request),
        statements=tuple(_sql(each, k, len(request.statements)) for k, each in enumerate(request.statements, 1)),
        consequence=_consequence(request),
        preview=table_of(request.preview) if request.state is State.PENDING else None,
        preview_note=_preview_note(request) if request.state is State.PENDING else "",
        where_held=held(request) if open_for_clicks else "",
        why=_why(request),
        quorum=_quorum(request) if open_for_clicks else "",
        expires_at=request.expires_at if open_for_clicks else None,
        footer=_footer(request),
        actions=_actions(request, now),
        confirm=_confirm(request, risk) if in_chat and risk else "",
        to_type=line(request.to_type, _SENTENCE) if in_chat else "",
        full_view=request.full_view and in_chat,
        page=request.page if open_for_clicks else "",
        glass=line(glass.to_type(request), _SENTENCE) if in_chat and request.glass else "",
        mentions=request.mentions if open_for_clicks else (),
        offers=choices(request) if in_chat else (),
        granting=sentence(request) if in_chat else "",
    )


#: What an open card offers, the frequent first: a chat may put those behind FULL_SQL into a menu.
_ASKING = (Action.APPROVE, Action.DENY, Action.FULL_SQL, Action.ASK, Action.CHANGES, Action.GLASS, Action.WITHDRAW)


def _actions(request: ApprovalRequest, now: float) -> tuple[Action, ...]:
    """An approval that waits for its use can be taken back."""
    if request.state not in OPEN_STATES or now >= request.expires_at:
        return (Action.FULL_SQL,)
    if request.state is State.PENDING:
        here = request.approve_via == "chat"
        offered = _ASKING if request.grantable is None or not here else (*_ASKING, Action.GRANT)
        return tuple(each for each in offered if each is not Action.GLASS or (request.glass and here))
    return (Action.FULL_SQL, Action.WITHDRAW) if request.kept else (Action.FULL_SQL,)


def _urgency(request: ApprovalRequest, risk: str) -> str:
    words = ["HIGH RISK"] if risk else []
    words += ["escalated"] if request.escalated_at is not None and request.state is State.PENDING else []
    return ", ".join(words) if risk else " ".join(words).capitalize()


def _headline(word: str, request: ApprovalRequest) -> str:
    return f"{word}: {title(request)}" if word else title(request)


def title(request: ApprovalRequest) -> str:
    """What and where in a line: "DELETE on public.customers in production (shop)"."""
    where = line(request.target, 60)
    if request.environment:
        where = f"{line(request.environment, 40)} ({where})"
    on = _relations(request.statements)
    return f"{_verb(request.statements)}{f' on {on}' if on else ''} in {where}"


def reminder(request: ApprovalRequest) -> str:
    """What is said below the card of a request that still waits."""
    given = f" {len(request.approvals)} of {request.approvals_needed} approvals are given." if request.approvals else ""
    end = f"After {moment(request.expires_at)} nothing runs."
    return f"Still waiting for {line(request.reviewers, 60)}: {title(request)}, asked by {line(request.requester.user, 80)}.{given} {end}"


def alarm(request: ApprovalRequest) -> str:
    """What a channel is told when somebody breaks the glass."""
    wanted = f"{count(request.approvals_needed, 'approval')} from {line(request.reviewers, 60)}"
    return (
        f"GLASS BROKEN: {title(request)}, asked by {line(request.requester.user, 80)}. {broken(request)}. "
        f"Its rule wants {wanted}. Request {line(request.id, 60)}."
    )


def _verb(statements: tuple[HeldStatement, ...]) -> str:
    tags = list(dict.fromkeys(_tag(each) for each in statements))
    if len(statements) <= 1:
        return tags[0] if tags else UNREADABLE
    return f"{len(statements)} statements ({', '.join(tags[:3])}{', ...' if len(tags) > 3 else ''})"


#: What a text is called of which the gateway knows no command; the session's tag for it is "" or "UNKNOWN".
UNREADABLE = "unreadable statement"
_SAID = {"": UNREADABLE, "UNKNOWN": UNREADABLE, "DO": "DO (a block of code)", "CALL": "CALL (a procedure)"}


def _tag(statement: HeldStatement) -> str:
    tag = line(statement.tag, 40)
    return _SAID.get(tag, tag)


def _relations(statements: tuple[HeldStatement, ...]) -> str:
    names = list(dict.fromkeys(line(name, 63) for each in statements for name in each.relations))
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _notice(request: ApprovalRequest, word: str, told: str) -> str:
    who = line(request.requester.user, 80)
    if word:
        rest = told.removeprefix(f"{word}: ")
        return f"{word}: {title(request)}, asked by {who}. {rest[:1].upper()}{rest[1:]}"
    agent = f" ({line(request.agent, 40)})" if request.agent and request.agent != request.requester.user else ""
    where = f"{line(request.environment, 40)}/" if request.environment else ""
    wants = f"wants to {_wanted(request)} in {where}{line(request.target, 60)}"
    further = "Escalated: " if request.escalated_at is not None else ""
    return f"{further}{who}{agent} {wants}. Expires {moment(request.expires_at)}.{f' {told}.' if told else ''}"


#: Verb -> the word between its rows, or itself, and the relation.
_JOINS = {"INSERT": "into", "SELECT": "from", "DELETE": "from", "MERGE": "into"}


def _wanted(request: ApprovalRequest) -> str:
    """ "DELETE 42 rows from public.customers", "TRUNCATE TABLE public.items (1,990 rows)", "run an unreadable statement"."""
    verb, on = _verb(request.statements), _relations(request.statements)
    rows = rows_of(request.preview) if request.preview.rows is not None else ""
    if verb in _PAST:
        return " ".join(
            part for part in (verb, rows, f"{_JOINS.get(verb, 'of' if rows else 'on')} {on}" if on else "") if part
        )
    article = "run an" if verb == UNREADABLE else "run"
    alone = len(request.statements) == 1 and verb not in _SAID.values()
    return f"{verb if alone else f'{article} {verb}'}{f' on {on}' if on else ''}{f' ({rows})' if rows else ''}"


def _risks(request: ApprovalRequest) -> list[str]:
    found = [reason for each in request.statements for reason in _risk_of(each)]
    rows = request.preview.rows
    if rows is not None and rows > MANY_ROWS:
        found.append(f"more than {MANY_ROWS:,} rows")
    return list(dict.fromkeys(found))


#: First word of a tag -> what makes it a risk, whatever the rows.
_DOES = {
    "ALTER": "changes the schema",
    "CREATE": "changes the schema",
    "DROP": "takes it away for good",
    "GRANT": "changes who may do what",
    "REVOKE": "changes who may do what",
    "TRUNCATE": "empties the table",
}


def _risk_of(statement: HeldStatement) -> list[str]:
    return [*_risk_of_tag(statement), *_risk_of_copies(statement)]


def _risk_of_copies(statement: HeldStatement) -> list[str]:
    """What leaves the masks: one pair of columns, and how many more there are."""
    if not statement.copies:
        return []
    source, to = statement.copies[0]
    more = len(statement.copies) - 1
    told = f"copies {line(source, 120)}, which is masked, into {line(to, 120)}, which is not"
    return [f"{told} (and {count(more, 'other column')} likewise)" if more else told]


def _risk_of_tag(statement: HeldStatement) -> list[str]:
    tag = statement.tag.upper()
    if statement.opaque:
        return [_hidden(statement)]
    if tag in ROW_TAGS:
        return [f"{tag} without WHERE"] if statement.where is False and tag in WHOLE_TABLE else []
    does = _DOES.get(tag.split(" ")[0])
    return [] if tag in SESSION_TAGS else [f"{_tag(statement)} {does}" if does else _tag(statement)]


def _hidden(statement: HeldStatement) -> str:
    """Why nobody can see from the text what it does, in a reviewer's words."""
    why = line(statement.opaque.removeprefix("it can't be read here: "))
    if _tag(statement) == UNREADABLE:
        return f"the gateway can't read this text, the database may, and it could do anything ({why})"
    whole = f" and {statement.tag} has no WHERE" if statement.where is False and statement.tag in WHOLE_TABLE else ""
    return f"what it does can't be seen from its text: {why}{whole}"


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
    if request.questions and request.state is State.PENDING:
        facts.append(Fact("Question", _question(request)))
    if request.asked > 1:
        facts.append(Fact("Asked", f"x{request.asked} identical: an approval lets one of them run, once"))
    if request.escalated_at is not None and request.state is State.PENDING:
        further = count(len(request.escalate_to), "further channel")
        facts.append(
            Fact("Escalated", f"at {moment(request.escalated_at)}: nobody had decided; it is asked in {further}, too")
        )
    if request.kept and request.state is State.PENDING:
        facts.append(
            Fact(
                "Kept",
                f"until {moment(request.expires_at)}, even if its client goes: once approved it then runs when sent again",
            )
        )
    if (grants := told_of_grants(request)) != "":
        facts.append(Fact("Grant", grants))
    return tuple(facts)


def _question(request: ApprovalRequest) -> str:
    """The newest one; the others are in the request's story (/hoop show)."""
    last, before = request.questions[-1], len(request.questions) - 1
    more = f" ({count(before, 'question')} before)" if before else ""
    return f"{line(last.by.user, 80)} asked at {moment(last.at)}{more}: {line(last.text, _SENTENCE)}"


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


def _consequence(request: ApprovalRequest) -> str:
    """What it would do; nothing once it has run, for then the outcome says what it did."""
    if request.state in _HAS_RUN:
        return ""
    still = (_row_guard, _passed_on, while_it_runs, blocking) if request.state in OPEN_STATES else ()
    return " ".join(each for each in (_would(request), *(tell(request) for tell in still)) if each)


def _passed_on(request: ApprovalRequest) -> str:
    """What changes with it, and is in no count."""
    found = [*dict.fromkeys(name for each in request.statements for name in each.passed_on)]
    if not found:
        return ""
    more = f" and {count(len(found) - _MAX_PASSED_ON, 'other table')}" if len(found) > _MAX_PASSED_ON else ""
    names = ", ".join(line(each, 80) for each in found[:_MAX_PASSED_ON])
    return f"Foreign keys or triggers also change rows of {names}{more}: those are not counted."


def _row_guard(request: ApprovalRequest) -> str:
    """What becomes of it if the rows change while you decide."""
    if request.row_cap is None:
        return f"No row guard: {line(request.uncapped, _SENTENCE)}." if request.uncapped else ""
    more = "that" if request.row_cap == request.preview.rows else count(request.row_cap, "row")
    return f"More than {more} is rolled back."


def _would(request: ApprovalRequest) -> str:
    preview = request.preview
    if preview.rows is None:
        unknown = request.state in OPEN_STATES and _touches_rows(request)
        return f"How many rows it touches is not known{_no_count(request)}." if unknown else ""
    how = "the planner's estimate" if preview.kind == "estimate" else "exact count"
    would = "would be" if request.state in OPEN_STATES else "would have been"
    tag = request.statements[0].tag.upper().removesuffix(" TABLE") if len(request.statements) == 1 else ""
    word = _PAST.get(tag, "touched")
    rows = rows_of(preview)
    return f"{rows[0].upper()}{rows[1:]} {would} {word}{share(request)} ({how})."


_HAS_RUN = frozenset({State.RELEASED, State.EXECUTED, State.FAILED, State.UNKNOWN})
_NO_PREVIEW = "no preview: "


def _touches_rows(request: ApprovalRequest) -> bool:
    """Whether a count would tell something: not of CREATE INDEX or GRANT, where there is none to be had."""
    return any(each.opaque or each.tag.upper() in ROW_TAGS or not each.tag for each in request.statements)


def _no_count(request: ApprovalRequest) -> str:
    """Why there is no count, unless the risk says it already."""
    note = request.preview.note
    if not note.startswith(_NO_PREVIEW) or any(each.opaque and each.opaque in note for each in request.statements):
        return ""
    return f": {line(note.removeprefix(_NO_PREVIEW), _SENTENCE)}"


def _preview_note(request: ApprovalRequest) -> str:
    """What is to be said of the rows below them, or instead of them; nothing that the consequence says."""
    preview = request.preview
    said = preview.rows is None and preview.note.startswith(_NO_PREVIEW) and _touches_rows(request)
    return "" if said else line(preview.note, _SENTENCE)


def _why(request: ApprovalRequest) -> str:
    why = request.why
    for each in request.statements:  # policy's own sentence repeats what the risk says
        why = why.removesuffix(f" (opaque: {each.opaque})")
    why = line(why, _SENTENCE)
    if why.startswith(f'rule "{line(request.rule)}" '):  # policy's own sentences begin so
        return f"R{why[1:]}"
    return f'Rule "{line(request.rule)}"' + (f": {why}" if why else "")


def _quorum(request: ApprovalRequest) -> str:
    who = line(request.reviewers, 60)
    one = request.approvals_needed == 1
    needs = "Needs 1 approval" if one else f"{len(request.approvals)} of {request.approvals_needed} approvals"
    page = ", on the gateway's page after a sign-in" if request.approve_via == "web" else ""
    return f"{needs} from {who}{page}{f'; in an emergency {line(request.glass, 60)} may approve it alone (break glass)' if request.glass else ''}"


def _footer(request: ApprovalRequest) -> str:
    where = f"session {line(request.session, 40)}" + (f" from {line(request.client, 60)}" if request.client else "")
    return f"Request {line(request.id, 60)} - digest {request.content_digest[:12]} - {where}"


def _confirm(request: ApprovalRequest, risk: str) -> str:
    """What a click of now does comes first: it is what the sentence behind it is about."""
    return f"{title(request)}. {_click(request)} High risk: {risk}. {_consequence(request)}"


def _click(request: ApprovalRequest) -> str:
    """What comes of one approval more."""
    given, needed = len(request.approvals) + 1, request.approvals_needed
    if given < needed:
        return f"Yours is approval {given} of {needed}: nothing runs yet."
    return f"Yours is approval {given} of {needed}: it runs at once." if needed > 1 else "It runs at once."
