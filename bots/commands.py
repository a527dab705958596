"""`/hoop ...` as an Answer, for every front: what is asked, who may see it, what is written down about it.

What lives here: words and order of the answers, paging, who sees whose records. What does not: the query grammar
(gateway.audit.query), decisions (gateway.approvals.decisions), any chat's format. An Answer's texts are literal and safe to
look at, as a Card's.

Who sees what: auditors see every record; anybody else sees their own, and the requests that they may review. The rest is
counted ("3 hidden"), never shown. Each look at the record is itself recorded, before anything is shown.
"""

import csv
import difflib
import io
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from math import ceil, floor

from bots import recorded
from bots.answers import Answer, Page, Verb, Viewer
from bots.cards import card, title
from bots.cursors import EXPORT, cursor, opened
from bots.exporting import exported
from bots.outcomes import broken, lasting, yours
from bots.previews import Cell, Table
from bots.texts import count, line, moment, span, visible
from gateway.approvals.decisions import Approve, Ask, BreakGlass, Decided, Decision, Deny, Refused, Withdraw
from gateway.approvals.desk import Desk
from gateway.approvals.glass import as_seen_by, may_look, to_type
from gateway.approvals.request import BY_REQUESTER, ApprovalRequest, Person, Refusal, State, same_person
from gateway.audit.exposure import exposure
from gateway.audit.query import FILTER_KEYS, TIME_KEYS, Filter, Owner, Query, QueryError, asks_logins, describe, parse
from gateway.audit.spreadsheet import harmless
from gateway.policy.verbs import asked

__all__ = ["HELP", "REFUSALS", "Answer", "Commands", "Page", "Viewer", "no_groups", "owner_of", "told"]

Row = recorded.Row
#: `store.audit`: a page of end entries and how many there are in all.
Audit = Callable[[Query, int], Awaitable[tuple[list[Row], int]]]

#: Rows of a page in a chat.
PAGE = 8
#: Characters of a cell.
_CELL = 120
#: What "Only denied" asks for.
_DENIED = ("denied", "blocked")
#: A button's value holds 2,000 characters in Slack.
_CURSOR = 1_900
_REASON_MIN = 3
#: Fronts that can hand over a file.
_HAND_OVER = frozenset({"slack"})


HELP = {
    "audit": (
        "/hoop audit [filters] - the record of statements; without filters the last 24 hours.",
        f"Filters: {' '.join(f'{each}:' for each in (*FILTER_KEYS, *TIME_KEYS))} (a leading - excludes).",
        "login: asks for logins in the place of statements: accepted, refused or any.",
        "Examples:",
        "/hoop audit table:customers verb:update last:7d",
        "/hoop audit decision:denied,expired last:30d",
        '/hoop audit who ran "UPDATE customers" last:30d',
        "/hoop audit did cursor expose a secret last:24h",
        "/hoop audit login:refused last:7d",
        "/hoop audit rows:>1000 sort:rows limit:5",
        "/hoop audit user:ann@* format:csv share",
    ),
    "pending": ("/hoop pending [mine] - what waits for a decision, with its age, expiry and quorum.",),
    "show": ("/hoop show ID - one request: its card and what has happened to it.",),
    "approve": (
        "/hoop approve ID - as the button does. A request of your own is refused.",
        "/hoop approve ID NAME - where the rule wants the name of the table typed.",
    ),
    "deny": ("/hoop deny ID REASON - as the button does; the requester sees the reason.",),
    "withdraw": ("/hoop withdraw ID - take back a request of your own; nothing runs. Also where its client is gone.",),
    "whoami": ("/hoop whoami - who the gateway takes you for, and your groups.",),
    "help": ("/hoop help [command]",),
}


#: What a refused decision is told; ALREADY_DECIDED and EXPIRED get the request's own outcome line instead.
REFUSALS = {
    Refusal.NOT_A_REVIEWER: "You are not a reviewer of this request, so nothing was decided.",
    Refusal.OWN_REQUEST: "This is your own request: somebody else has to decide it.",
    Refusal.NOT_YOURS: "Only who asked can withdraw it. Nothing has changed.",
    Refusal.ALREADY_COUNTED: "Your approval was counted already.",
    Refusal.ALREADY_DECIDED: "It was decided already.",
    Refusal.EXPIRED: "Its time is up. Nothing ran.",
    Refusal.STALE: "The request has changed since this card was drawn. Look at it again, then decide.",
    Refusal.FORGED: "This button does not belong to what the request holds now. Nothing was decided. Look at the newest card.",
    Refusal.NOT_READ: "It has to be read in full before it is approved: open its full text, Approve is below it. Nothing was decided.",
    Refusal.NOT_TYPED: "That is not what has to be typed. Nothing was decided.",
    Refusal.ENOUGH_ASKED: "It has as many questions as a request may have. Ask in its thread. Nothing was decided.",
    Refusal.NOT_DENIED: "It was not denied, or it is lifted already: nothing holds it up.",
    Refusal.NO_GRANT: "Its shape can't be granted like that. Nothing was decided.",
    Refusal.NOT_APPROVED: "It is not approved yet: /hoop deny ID REASON ends it. Nothing has changed.",
    Refusal.NOT_ON_PAGE: "Its rule wants it approved on the gateway's own page, after a fresh sign-in. Nothing was decided.",
    Refusal.NO_REASON: "Breaking the glass needs a reason. Nothing was decided.",
    Refusal.UNKNOWN_REQUEST: "The gateway does not know this request. Nothing was decided by your click.",
}
_ALL_IS_SAID = frozenset(
    {
        *(Refusal.OWN_REQUEST, Refusal.NOT_YOURS, Refusal.FORGED, Refusal.NOT_READ),
        *(Refusal.NOT_ON_PAGE, Refusal.NO_REASON, Refusal.NOT_DENIED),
    }
)
_ASKED = "Your question is on its card, and the client that waits for it is told. It still waits for a decision."
_NO_GROUPS = (
    "The gateway knows no groups of yours: no sign-in of {email} is fresh enough. "
    "Connect once through the gateway with a new token (hoop token), or sign in with /hoop link where the gateway has it, then try again."
)


def no_groups(person: Person) -> str:
    """Why the gateway knows who somebody is and nothing more, and what to do; "" where it knows their groups."""
    return "" if person.groups else _NO_GROUPS.format(email=line(person.user))


def told(answer: Decided | Refused, reviewer: Person, now: float, decision: Decision | None = None) -> str:
    """The truth after a decision, for the person who made it: what happened, by whom, when."""
    if isinstance(answer, Decided) and isinstance(decision, Ask):
        return f"{title(answer.request)}: {_ASKED}"
    if isinstance(answer, Decided):
        return f"{title(answer.request)}: {yours(answer.request, reviewer, now)}"
    text = REFUSALS[answer.refusal]
    if answer.request is None:
        return text
    if answer.refusal is Refusal.NOT_A_REVIEWER:
        return f"{text} Reviewers: {line(answer.request.reviewers)}. {no_groups(reviewer)}".rstrip()
    if answer.refusal is Refusal.NOT_TYPED:
        wanted = line(to_type(answer.request) if isinstance(decision, BreakGlass) else answer.request.to_type)
        return f"{text} {f'To approve it, type exactly: {wanted}' if wanted else 'To approve it, type nothing more.'}"
    if answer.refusal is Refusal.NOT_ON_PAGE and answer.request.page:
        return f"{text} It is at {answer.request.page}"
    if answer.refusal in _ALL_IS_SAID:
        return text
    outcome = lasting(answer.request, now)
    return f"{text} {outcome}" if outcome else text


class Commands:
    """Answers commands. `record` writes an audit entry (kind and fields of gateway.audit.entry) and raises if it can't;
    `proof` says how far the log is intact and its head; `auditor` tells who sees everything; `clock` is Unix seconds.
    `more` are further commands, by name."""

    def __init__(
        self,
        desk: Desk,
        audit: Audit,
        *,
        record: Callable[..., object],
        proof: Callable[[], Awaitable[str]],
        auditor: Callable[[Person], bool],
        cursor_key: bytes,
        clock: Callable[[], float],
        more: Mapping[str, Verb] | None = None,
    ) -> None:
        self._desk = desk
        self._audit = audit
        self._record = record
        self._proof = proof
        self._auditor = auditor
        self._key = cursor_key
        self._clock = clock
        own = {
            "audit": self._audited,
            "pending": self._pending,
            "show": self._show,
            "approve": self._approve,
            "deny": self._deny,
            "withdraw": self._withdraw,
            "whoami": self._whoami,
        }
        self._verbs: dict[str, Verb] = {
            **{name: Verb(answer, HELP[name]) for name, answer in own.items()},
            **(more or {}),
            "help": Verb(self._help, HELP["help"]),
        }

    async def answer(self, text: str, viewer: Viewer) -> Answer:
        """Answer a command's text (without "/hoop"). Raises StoreUnavailable, and what `record` raises."""
        verb, rest = (*text.split(maxsplit=1), "", "")[:2]
        known = self._verbs.get(verb.lower() or "help")
        return self._unknown(verb) if known is None else await known.answer(rest.strip(), viewer)

    def _unknown(self, word: str) -> Answer:
        """Help with a word that is no command: the nearest one, and what it is for."""
        title = f"Unknown command {line(word, 40)}" if word else "Commands"
        near = difflib.get_close_matches(word.lower(), self._verbs, n=1, cutoff=0.5)
        if near:
            return Answer(title, (f"Did you mean /hoop {near[0]}?", self._verbs[near[0]].help[0]))
        return Answer(title, (f"There are: {', '.join(self._verbs)}.", "/hoop help [command] tells more."))

    async def page(self, at: str, viewer: Viewer) -> Answer:
        """Another page of an audit query; a cursor that isn't ours says so and shows nothing."""
        found = opened(self._key, at)
        if found is None:
            return Answer("This page is not available", ("Ask again: /hoop audit ...",))
        text, offset = found
        query = parse(text, self._clock())
        return await (self._export(query, viewer) if offset == EXPORT else self._listed(query, offset, viewer))

    # The record ----------------------------------------------------------------------------------------------------

    async def _audited(self, text: str, viewer: Viewer) -> Answer:
        try:
            query = asked(text, self._clock())
        except QueryError as error:
            return Answer("This query can't be read", code=visible(str(error), keep="\n"))
        return await self._listed(query, 0, viewer)

    async def _listed(self, query: Query, offset: int, viewer: Viewer) -> Answer:
        size = query.limit if viewer.front == "cli" else min(query.limit, PAGE)
        rows, total = await self._seen(replace(query, limit=size), offset, viewer)
        hidden = await self._hidden(query, viewer)
        self._write_down(describe(query), len(rows), viewer)
        lines = [line(describe(replace(query, since=floor(query.since), until=ceil(query.until))), 400)]
        lines += [f"{hidden:,} hidden: records of others in that time, matching or not"] if hidden else []
        lines = [*(await self._exposure(query, viewer)), *lines] if query.exposure else lines
        more = [] if query.share else [*self._pages(query, offset, size, total), *self._others(query, rows, viewer)]
        return Answer(
            title=f"Audit: {count(total, 'login' if asks_logins(query) else 'statement')}"
            + (f", {_range(offset, rows)}" if total > size else ""),
            lines=tuple(lines if rows else [*lines, "Nothing matches."]),
            table=_table(rows) if rows and query.format == "table" else None,
            code=_FORMATS[query.format](rows) if rows and query.format in _FORMATS else "",
            footer=await self._proof(),
            pages=tuple(more),
            share=query.share,
        )

    async def _export(self, query: Query, viewer: Viewer) -> Answer:
        async def seen(part: Query, offset: int) -> tuple[list[Row], int]:
            return await self._seen(part, offset, viewer)

        answer, rows = await exported(query, seen, await self._proof())
        self._write_down(f"export {describe(query)}", rows, viewer)
        return answer

    async def _exposure(self, query: Query, viewer: Viewer) -> list[str]:
        async def ask(part: Query) -> tuple[list[Row], int]:
            return await self._seen(part, 0, viewer)

        return [line(each, 300) for each in await exposure(query, ask)]

    async def _seen(self, query: Query, offset: int, viewer: Viewer) -> tuple[list[Row], int]:
        """The rows that the viewer may see, and how many there are."""
        owner = None if self._auditor(viewer.person) else owner_of(viewer.person)
        rows, total = await self._audit(replace(query, owner=owner), offset)
        return list(rows), total

    async def _hidden(self, query: Query, viewer: Viewer) -> int:
        """How many are hidden from the viewer, by time alone: how many of others' match would tell, asked often enough, what is
        in them."""
        if self._auditor(viewer.person):
            return 0
        whole = Query((), query.since, query.until, limit=1)
        _, everybodys = await self._audit(whole, 0)
        _, own = await self._audit(replace(whole, owner=owner_of(viewer.person)), 0)
        return max(0, everybodys - own)

    def _write_down(self, query: str, rows: int, viewer: Viewer) -> None:
        who = viewer.person
        self._record(
            kind="audit_read", subject=who.subject, user=who.user, query=query[:2000], rows=rows, via=viewer.front
        )

    def _pages(self, query: Query, offset: int, size: int, total: int) -> list[Page]:
        places = [("Prev", max(0, offset - size))] if offset > 0 else []
        places += [("Next", offset + size)] if offset + size < total else []
        return self._within([Page(label, cursor(self._key, describe(query), place)) for label, place in places])

    def _others(self, query: Query, rows: list[Row], viewer: Viewer) -> list[Page]:
        """The same query as CSV (or as a table again), narrowed to what people or policy denied, and all of it as a file."""
        if not rows:
            return []
        label, form = ("CSV", "csv") if query.format == "table" else ("Table", "table")
        others = [(label, replace(query, format=form))]
        if not any(each.key == "decision" for each in query.filters):
            others += [("Only denied", replace(query, filters=(*query.filters, Filter("decision", _DENIED))))]
        pages = [Page(label, cursor(self._key, describe(other), 0)) for label, other in others]
        pages += [Page("Export", cursor(self._key, describe(query), EXPORT))] if viewer.front in _HAND_OVER else []
        return self._within(pages)

    @staticmethod
    def _within(pages: list[Page]) -> list[Page]:
        return [page for page in pages if len(page.cursor) <= _CURSOR]

    # Requests ------------------------------------------------------------------------------------------------------

    async def _pending(self, text: str, viewer: Viewer) -> Answer:
        now = self._clock()
        waiting = await self._desk.pending()
        seen = [each for each in waiting if self._may_see(each, viewer.person)]
        shown = [each for each in seen if same_person(each.requester, viewer.person)] if text == "mine" else seen
        self._write_down(f"pending {text}".strip(), len(shown), viewer)
        hidden = len(waiting) - len(seen)
        lines = [f"{hidden:,} hidden: you may not review them"] if hidden else []
        lines += [] if shown else ["Nothing waits for a decision."]
        lines += [f"{count(len(shown) - PAGE, 'older request')} not shown here"] if len(shown) > PAGE else []
        rows = tuple(_waiting(each, now) for each in shown[:PAGE])
        return Answer(
            title=f"Pending: {count(len(shown), 'request')}",
            lines=tuple(lines),
            table=Table(("id", "what", "who", "age", "expires", "approvals"), rows) if rows else None,
            footer="/hoop show ID, /hoop approve ID, /hoop deny ID REASON, /hoop withdraw ID" if rows else "",
        )

    async def _show(self, text: str, viewer: Viewer) -> Answer:
        request = await self._desk.show(text) if text else None
        if request is None or not self._may_see(request, viewer.person):
            return Answer(f"No request {line(text, 60)} that you may see", ("/hoop pending lists those that wait.",))
        query = Query((Filter("id", (request.id,)),), 0.0, self._clock() + 60, limit=PAGE)
        rows, _ = await self._audit(query, 0)
        self._write_down(f"show {request.id}", len(rows), viewer)
        shown = request if self._auditor(viewer.person) else as_seen_by(request, viewer.person)
        drawn = replace(card(shown, self._clock()), actions=())
        lines = (*_story(request), *(_proved(row) for row in rows if row.get("request") == request.id))
        return Answer(f"Request {line(request.id, 60)}", lines, drawn, footer=await self._proof())

    def _may_see(self, request: ApprovalRequest, person: Person) -> bool:
        own = same_person(request.requester, person)
        return own or may_look(request, person) or self._auditor(person)

    async def _approve(self, text: str, viewer: Viewer) -> Answer:
        request_id, _, typed = text.partition(" ")
        if not request_id:
            return Answer("Which request?", HELP["approve"])
        return await self._decide(request_id, Approve(typed=typed), viewer)

    async def _deny(self, text: str, viewer: Viewer) -> Answer:
        request_id, _, reason = text.partition(" ")
        if len(reason.strip()) < _REASON_MIN:
            return Answer("A denial needs a reason", HELP["deny"])
        return await self._decide(request_id, Deny(reason.strip()[:1000]), viewer)

    async def _withdraw(self, text: str, viewer: Viewer) -> Answer:
        return await self._decide(text, Withdraw(), viewer) if text else Answer("Which request?", HELP["withdraw"])

    async def _decide(self, request_id: str, decision: Decision, viewer: Viewer) -> Answer:
        answer = await self._desk.decide(request_id, None, viewer.person, decision, viewer.front)
        done = "Done" if isinstance(decision, Withdraw) else "Decided"
        done = done if isinstance(answer, Decided) else "Nothing was decided"
        return Answer(done, (told(answer, viewer.person, self._clock()),))

    # The viewer ----------------------------------------------------------------------------------------------------

    async def _whoami(self, _text: str, viewer: Viewer) -> Answer:
        who = viewer.person
        if not who.subject:
            return Answer(line(who.user), (no_groups(who),))
        groups = ", ".join(line(each, 60) for each in sorted(who.groups)) or "none"
        sees = "every record" if self._auditor(who) else "your own records, and requests that you may review"
        lines = (f"Subject {line(who.subject)} at {line(who.issuer)}", f"Groups: {groups}", f"You see {sees}.")
        return Answer(line(who.user), lines)

    async def _help(self, text: str, _viewer: Viewer) -> Answer:
        topic = text.partition(" ")[0].lower()
        if topic in self._verbs:
            return Answer(f"Help: {topic}", self._verbs[topic].help)
        if topic:
            return self._unknown(topic)
        return Answer("Commands", tuple(verb.help[0] for verb in self._verbs.values()))


# Rows ----------------------------------------------------------------------------------------------------------------


def owner_of(person: Person) -> Owner:
    """Whose records somebody may see who is no auditor."""
    return Owner(person.issuer, person.subject, person.user)


def _range(offset: int, rows: list[Row]) -> str:
    return f"{offset + 1:,} to {offset + len(rows):,}" if rows else "no more"


def _table(rows: list[Row]) -> Table:
    columns = ("time", "who", "what", "rows", "decision", "id")
    return Table(columns, tuple(_shown(row) for row in rows))


def _shown(row: Row) -> tuple[Cell, ...]:
    texts = (line(each, _CELL) or "-" for each in _cells(row))
    return (Cell(_moment(recorded.text(row, "at"))), *map(Cell, texts))


def _cells(row: Row) -> tuple[str, ...]:
    return (
        recorded.who(row),
        recorded.what(row),
        recorded.rows(row),
        recorded.decision(row),
        recorded.text(row, "request"),
    )


def _moment(text: str) -> str:
    try:
        return moment(datetime.fromisoformat(text).timestamp(), day=True)
    except ValueError:
        return line(text, 60)


def _csv(rows: list[Row]) -> str:
    """CSV that no spreadsheet takes for formulas."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("time", "who", "what", "rows", "decision", "id"))
    for row in rows:
        writer.writerow([harmless(cell) for cell in (recorded.text(row, "at"), *_cells(row))])
    return visible(out.getvalue().rstrip("\n"), keep="\n")


def _json(rows: list[Row]) -> str:
    return "\n".join(json.dumps(dict(row)) for row in rows)


_FORMATS: dict[str, Callable[[list[Row]], str]] = {"csv": _csv, "json": _json}


def _waiting(request: ApprovalRequest, now: float) -> tuple[Cell, ...]:
    given = f"{len(request.approvals)} of {request.approvals_needed}"
    texts = (
        line(request.id, 60),  # first: it is what the next command needs, and a narrow window cuts what is last
        title(request),
        line(request.requester.user, 60),
        span(max(0.0, now - request.opened_at)),
        moment(request.expires_at),
        given,
    )
    return tuple(Cell(text) for text in texts)


_ENDED_UNUSED = frozenset({State.DENIED, State.EXPIRED, State.WITHDRAWN, State.SUPERSEDED, State.UNDELIVERABLE})
_FATES = {"open": "is open", "rolled back": "was rolled back"}


def _story(request: ApprovalRequest) -> list[str]:
    """What happened to a request, a line each, from its own times."""
    story = [f"{moment(request.opened_at, day=True)} held by rule {line(request.rule, 80)}"]
    story += [
        f"{moment(each.at, day=True)} {line(each.by.user, 80)} asked, via {line(each.via, 20)}: {line(each.text, 400)}"
        for each in request.questions
    ]
    if request.escalated_at is not None:
        further = count(len(request.escalate_to), "further channel")
        story.append(f"{moment(request.escalated_at, day=True)} escalated: asked in {further} as well")
    for each in request.approvals:
        took = span(max(0.0, each.at - request.opened_at))
        story.append(
            f"{moment(each.at, day=True)} approved by {line(each.by.user, 80)} after {took}, via {line(each.via, 20)}"
        )
    if request.broken:
        story.append(f"{broken(request)}")
    if request.decided_at is not None and request.state in _ENDED_UNUSED:
        person = request.state is State.DENIED or request.reason == BY_REQUESTER
        decided_by = request.decided_by if person else None  # else who approved it before
        by = f" by {line(decided_by.user, 80)}, via {request.decided_via}" if decided_by else ""
        word = "changes requested" if request.changes else request.state.value
        story.append(f"{moment(request.decided_at, day=True)} {word}{by}")
    if request.lifted_at is not None and request.lifted_by is not None:
        by = f"{line(request.lifted_by.user, 80)}, via {line(request.lifted_via, 20)}"
        story.append(f"{moment(request.lifted_at, day=True)} lifted by {by}: it counts towards no cool-down")
    if request.released_at is not None:
        story.append(f"{moment(request.released_at, day=True)} released")
    if request.finished_at is not None:
        fate = f", its transaction {_FATES[request.transaction]}" if request.transaction in _FATES else ""
        story.append(f"{moment(request.finished_at, day=True)} {request.state.value}{fate}")
    return story


def _proved(row: Row) -> str:
    where = f"#{recorded.text(row, 'seq')} of {line(recorded.text(row, 'replica'), 60)}"
    return f"{_moment(recorded.text(row, 'at'))} {recorded.decision(row)}: entry {where}, hash {recorded.text(row, 'hash')[:12]}"
