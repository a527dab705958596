"""An approval request, its states and who may decide it. Pure; the store keeps it, the desk moves it.

The states and their transitions are the only list (architecture.md, Words). A transition is a function
request -> request or Refusal, applied by the store under a row lock (compare-and-set). It never touches `rev`: the
store counts. How a request is written down is in stored.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from gateway.approvals.grants import Grant, Terms
from gateway.approvals.seen import Seen


class State(Enum):
    PENDING = "pending"
    APPROVED = "approved"
    RELEASED = "released"
    EXECUTED = "executed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    UNDELIVERABLE = "undeliverable"


#: What may follow what. An approved request can still be withdrawn or expire until it is released.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {
            State.PENDING,  # one more approval of a quorum
            State.APPROVED,
            State.DENIED,
            State.EXPIRED,
            State.WITHDRAWN,
            State.SUPERSEDED,
            State.UNDELIVERABLE,
        }
    ),
    State.APPROVED: frozenset({State.RELEASED, State.WITHDRAWN, State.EXPIRED, State.SUPERSEDED}),
    State.RELEASED: frozenset({State.EXECUTED, State.FAILED, State.UNKNOWN}),
    State.EXECUTED: frozenset({State.EXECUTED}),  # its transaction was still open; now committed or rolled back
    State.FAILED: frozenset(),
    State.UNKNOWN: frozenset(),
    State.DENIED: frozenset(),
    State.EXPIRED: frozenset(),
    State.WITHDRAWN: frozenset(),
    State.SUPERSEDED: frozenset(),
    State.UNDELIVERABLE: frozenset(),
}

#: Nothing has run yet and something may still run: a wire waits, a person may click.
OPEN_STATES = frozenset({State.PENDING, State.APPROVED})

#: People's approval of it was used, or may yet be.
WERE_APPROVED = frozenset({State.APPROVED, State.RELEASED, State.EXECUTED, State.FAILED, State.UNKNOWN})

#: Withdrawals that take the client's connection along (FATAL 57P01); `reason` starts with one of these.
TARGET_GONE = "target gone"
GATEWAY_GONE = "gateway gone"

#: The reason of a withdrawal by the requester, who is `decided_by` then.
BY_REQUESTER = "by its requester"
#: What is said of a session that somebody has ended, and of what it held.
SESSION_ENDED = "this session was ended by"
#: What the reason of a withdrawal by a reviewer begins with, who is `decided_by` then.
REVOKED = "its approval was revoked by"

#: The SQLSTATE of an outcome that the client is told; architecture.md, Words. A missing state has none.
_SQLSTATES: dict[State, str] = {
    State.DENIED: "42501",
    State.EXPIRED: "57014",
    State.WITHDRAWN: "57014",
    State.SUPERSEDED: "42501",
    State.UNDELIVERABLE: "42501",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts on a request: compared by (issuer, subject), and by e-mail where only that is known.

    `also`: addresses of the chat account that they clicked with, `identity` of whom the chat takes it for, where it is
    linked to another identity, and all chat accounts (Account.key) that are theirs. They tell one human from another and give no
    right; who it is does not depend on them, so they count for nothing in ==.
    """

    issuer: str
    subject: str
    user: str
    email: str | None
    groups: frozenset[str]
    also: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class HeldStatement:
    """One held statement, already masked: SQL and values are safe to show and to store.

    `parameters`: up to five value sets as text (None = NULL). `executions`: how many in the batch. `opaque`: why its
    text does not tell what it does (Statement.reason), "" if it does. `copies`: masked columns that it copies into others, which
    aren't masked: (from, to). `fingerprint`: libpg_query's. `passed_on`: relations that foreign keys and triggers change with it.
    `locks`: what it locks while it runs so that others can't write, or read: (relation, mode). `changes`: the one relation that
    its rows are of, "" for none or several.
    """

    tag: str
    sql: str
    relations: tuple[str, ...] = ()
    where: bool | None = None
    parameters: tuple[tuple[str | None, ...], ...] = ()
    executions: int = 1
    opaque: str = ""
    copies: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""
    passed_on: tuple[str, ...] = ()
    locks: tuple[tuple[str, str], ...] = ()
    changes: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """Masked sample of the rows a held statement would touch.

    `rows` (None: not known) with `kind` "exact" or "estimate"; `columns` and `before`/`after` are up to five rows of
    masked text (`after` only for UPDATE; the same columns). `note` says why something is missing or where it ran.
    """

    rows: int | None = None
    kind: str = "exact"
    columns: tuple[str, ...] = ()
    before: tuple[tuple[str | None, ...], ...] = ()
    after: tuple[tuple[str | None, ...], ...] = ()
    relation: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    by: Person
    via: str  # slack, teams, web
    at: float


@dataclass(frozen=True, slots=True)
class Question:
    """What a reviewer wants to know before deciding; `text` is `said`."""

    by: Person
    via: str
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Wire:
    """A client's connection that asks: `agent` is its application_name (claimed), `client` its address."""

    session: str
    replica: str
    agent: str
    client: str


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The stored question. Times are Unix seconds. Everything here may be shown to a reviewer.

    `rev` grows with each change; a button names the rev it was drawn for. `release_digest` and `content_digest` are
    keyed (HMAC) hex digests (enforcement.md, decision 5). `where_held` is "idle" or "in transaction". `row_cap`: if it
    changes more rows it is rolled back; None: no such guard, and `uncapped` says why where rows may change at all.
    `alike` is a keyed digest of who asks what shape of which target: equal where constants alone differ.
    `mentions` ("slack:S1") are named on its cards, and from `escalate_at` on the channels `escalate_to` show it, too: neither
    says anything about who may decide. `kept`: it outlives its client (`keep_for`), and whoever sends the same again joins it; then `asked` counts how often
    it was asked, and session, replica, agent and client are those of the wire that asked last or runs it. `to_type`: what a
    reviewer must type to approve it, "" for nothing; `full_view`: nobody approves it who has not had its full text open.
    `grantable`: what may be granted with its approval, None for nothing; `grant`: what was. `under`: the request with the grant
    that approved this one. `approved_before`: how often people have approved others of its shape.
    `approve_via`: "web", where only the page (`page`, its address) approves. `glass`: who may approve it alone, by breaking
    the glass (glass.py), "" for nobody; `broken`: why somebody did. `seen`: locks and who waits for them, as of the last look,
    None where nobody looked; `looks`: how often anybody has looked again.
    """

    id: str
    state: State
    requester: Person
    session: str
    replica: str
    agent: str  # application_name, claimed
    client: str  # address
    claimed_reason: str
    target: str
    environment: str
    statements: tuple[HeldStatement, ...]
    preview: Preview
    rule: str
    why: str
    reviewers: str
    reviewer_groups: frozenset[str]
    reviewer_users: frozenset[str]
    approvals_needed: int
    channels: tuple[str, ...]
    opened_at: float
    expires_at: float
    release_digest: str
    content_digest: str
    where_held: str = "idle"
    row_cap: int | None = None
    uncapped: str = ""
    kept: bool = False
    asked: int = 1
    to_type: str = ""
    full_view: bool = False
    alike: str = ""
    mentions: tuple[str, ...] = ()
    escalate_to: tuple[str, ...] = ()
    escalate_at: float | None = None
    approve_via: str = "chat"
    page: str = ""
    glass: str = ""
    glass_groups: frozenset[str] = frozenset()
    glass_users: frozenset[str] = frozenset()
    rev: int = 1
    approvals: tuple[Approval, ...] = ()
    questions: tuple[Question, ...] = ()
    decided_by: Person | None = None
    decided_via: str = ""
    decided_at: float | None = None
    reason: str = ""  # the reviewer's on denial; what happened on withdrawal
    changes: str = ""  # a denial that says instead what would have to be changed
    broken: str = ""
    released_at: float | None = None
    finished_at: float | None = None
    rows: int | None = None
    sqlstate: str = ""
    duration_ms: float | None = None
    transaction: str = ""  # after execution: "committed", "rolled back", "open"
    escalated_at: float | None = None
    lifted_by: Person | None = None  # a denial that counts no more towards a cool-down
    lifted_via: str = ""
    lifted_at: float | None = None
    grantable: Terms | None = None
    grant: Grant | None = None
    under: str = ""
    approved_before: int = 0
    seen: Seen | None = None
    looks: int = 0


class Refusal(Enum):
    """Why a click, or a move of the gateway's own, changed nothing."""

    NOT_A_REVIEWER = "not a reviewer"
    OWN_REQUEST = "own request"
    NOT_YOURS = "not the requester"
    ALREADY_COUNTED = "already counted"
    ALREADY_DECIDED = "already decided"
    EXPIRED = "expired"
    STALE = "stale card"
    UNKNOWN_REQUEST = "unknown request"
    FORGED = "forged button"
    NOT_READ = "not read in full"
    NOT_TYPED = "not typed"
    ENOUGH_ASKED = "enough questions"
    NOT_DENIED = "not denied, or lifted already"
    NO_GRANT = "no such grant"
    NOT_APPROVED = "not approved yet"
    NOT_ON_PAGE = "not on its page"
    NO_REASON = "no reason given"


#: Clicks of people who had no right to click, or not with that button.
UNAUTHORISED = frozenset({Refusal.NOT_A_REVIEWER, Refusal.OWN_REQUEST, Refusal.NOT_YOURS, Refusal.FORGED})

#: Clicks of people who had the right, too late or once more.
LATE = frozenset({Refusal.ALREADY_COUNTED, Refusal.ALREADY_DECIDED, Refusal.EXPIRED, Refusal.STALE})


# Who ---------------------------------------------------------------------------------------------------------------


def same_person(one: Person, other: Person) -> bool:
    """True if both are one human: the same (issuer, subject), or an e-mail address in common (any case).

    An address in common counts even where both subjects are known and differ: a second account of the requester, or an
    agent that carries its owner's address, must not approve.
    """
    if one.subject and (one.issuer, one.subject) == (other.issuer, other.subject):
        return True
    theirs, others = ({*_addresses(each), *map(str.casefold, each.also)} for each in (one, other))
    known = identity(one.issuer, one.subject) in other.also or identity(other.issuer, other.subject) in one.also
    return known or bool(theirs & others)


def identity(issuer: str, subject: str) -> str:
    """An issuer's account as one text, for `Person.also`."""
    return f"{issuer}\n{subject}"


def known_as(person: Person) -> tuple[str, ...]:
    """Everything that tells this person from another human, for `Person.also`."""
    theirs = [identity(person.issuer, person.subject)] if person.subject else []
    return tuple(dict.fromkeys((*person.also, *sorted(_addresses(person)), *theirs)))


def may_review(request: ApprovalRequest, person: Person) -> bool:
    """True if the request's reviewers name one of the person's groups, or their user name or e-mail (any case)."""
    if request.reviewer_groups & person.groups:
        return True
    return is_named(person, request.reviewer_users)


def is_named(person: Person, users: Iterable[str]) -> bool:
    """True if one of these users is the person's user name or e-mail (any case)."""
    names = {person.user.casefold()} | _addresses(person)
    return any(user.casefold() in names for user in users if user)


def _addresses(person: Person) -> set[str]:
    """The e-mail addresses that a person is known by; preferred_username often is one."""
    return {text.casefold() for text in (person.email, person.user) if text and "@" in text}


# What people type --------------------------------------------------------------------------------------------------

#: Characters of a text that somebody typed about a request, and of a question, which a terminal shows in passing.
LONGEST_SAID, LONGEST_QUESTION = 1000, 300
#: So many questions a request may have: more are a conversation, for which chat has threads.
MOST_QUESTIONS = 10


def said(text: str, limit: int = LONGEST_SAID) -> str:
    """What somebody typed, as it is kept and told: one line, without what can't be seen (control, bidi ...)."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())[:limit].rstrip()


# Decisions of people -----------------------------------------------------------------------------------------------


def approve(
    request: ApprovalRequest,
    reviewer: Person,
    via: str,
    now: float,
    *,
    rev: int | None = None,
    typed: str = "",
    read: bool = False,
) -> ApprovalRequest | Refusal:
    """Count one approval; the last one of the quorum makes the request APPROVED.

    `rev` is the revision that the reviewer's card showed. Revisions that only added an approval, a reviewer's question, an
    escalation, a look at locks, or one who asks the same, show the same, so they are no reason to turn a reviewer away while the card is being redrawn. `typed` is what
    the reviewer has typed, `read` whether the chat has shown them the full text.
    """
    refusal = refusal_of(request, reviewer, now)
    if refusal is not None:
        return refusal
    if any(same_person(reviewer, given.by) for given in request.approvals):
        return Refusal.ALREADY_COUNTED
    if not shows_this(request, rev):
        return Refusal.STALE
    unready = unready_of(request, via, read=read)
    if unready is not None:
        return unready
    if typed.strip() != request.to_type:
        return Refusal.NOT_TYPED
    approvals = (*request.approvals, Approval(reviewer, via, now))
    if len(approvals) < request.approvals_needed:
        return replace(request, approvals=approvals)
    return replace(
        request, state=State.APPROVED, approvals=approvals, decided_by=reviewer, decided_via=via, decided_at=now
    )


def shows_this(request: ApprovalRequest, rev: int | None) -> bool:
    """Whether a card of this revision shows what the request holds now, but for who waits; None: no card was involved."""
    same = request.rev - len(request.approvals) - len(request.questions) - (request.asked - 1)
    same -= (request.escalated_at is not None) + request.looks
    return rev is None or same <= rev <= request.rev


def unready_of(request: ApprovalRequest, via: str, *, read: bool) -> Refusal | None:
    """Why nobody approves it here, or before they have read it."""
    if request.approve_via == "web" and via != "web":
        return Refusal.NOT_ON_PAGE
    return Refusal.NOT_READ if request.full_view and not read else None


def deny(request: ApprovalRequest, reviewer: Person, via: str, reason: str, now: float) -> ApprovalRequest | Refusal:
    """End the request: one reviewer is enough, whatever the quorum and whatever revision they saw."""
    refusal = refusal_of(request, reviewer, now)
    if refusal is not None:
        return refusal
    return replace(
        request, state=State.DENIED, decided_by=reviewer, decided_via=via, decided_at=now, reason=said(reason)
    )


def ask_changes(
    request: ApprovalRequest, reviewer: Person, via: str, changes: str, now: float
) -> ApprovalRequest | Refusal:
    """A denial that tells the requester what to change; the same people may, and it ends the request as well."""
    denied = deny(request, reviewer, via, "", now)
    return denied if isinstance(denied, Refusal) else replace(denied, changes=said(changes))


def ask(request: ApprovalRequest, reviewer: Person, via: str, text: str, now: float) -> ApprovalRequest | Refusal:
    """A question of one who may decide; the request waits on."""
    refusal = refusal_of(request, reviewer, now)
    if refusal is not None:
        return refusal
    if len(request.questions) >= MOST_QUESTIONS:
        return Refusal.ENOUGH_ASKED
    question = Question(reviewer, via, now, said(text, LONGEST_QUESTION))
    return replace(request, questions=(*request.questions, question))


def withdraw_own(request: ApprovalRequest, person: Person, via: str, now: float) -> ApprovalRequest | Refusal:
    """The requester takes it back, whether a client waits for it or not; approved, too, as long as it is not released."""
    if not same_person(person, request.requester):
        return Refusal.NOT_YOURS
    ended = withdraw(request, BY_REQUESTER, now)
    return ended if isinstance(ended, Refusal) else replace(ended, decided_by=person, decided_via=via)


def refusal_of(request: ApprovalRequest, reviewer: Person, now: float) -> Refusal | None:
    """Why this person can't decide this request now. Authority comes first: an outsider learns nothing of the state."""
    if same_person(reviewer, request.requester):
        return Refusal.OWN_REQUEST
    if not may_review(request, reviewer):
        return Refusal.NOT_A_REVIEWER
    return over_of(request, now)


def over_of(request: ApprovalRequest, now: float) -> Refusal | None:
    """Why nobody can decide it now."""
    if request.state is State.EXPIRED:
        return Refusal.EXPIRED
    if request.state is not State.PENDING:
        return Refusal.ALREADY_DECIDED
    return Refusal.EXPIRED if now >= request.expires_at else None


# Ends without a person ---------------------------------------------------------------------------------------------


def expire(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
    """End a request whose time is over. STALE if it is not over yet by the clock that decides (the store's)."""
    if State.EXPIRED in TRANSITIONS[request.state] and now < request.expires_at:
        return Refusal.STALE
    reason = "nobody decided in time" if request.state is State.PENDING else "approved, but not released in time"
    return _end(request, State.EXPIRED, reason, now)


def withdraw(request: ApprovalRequest, why: str, now: float) -> ApprovalRequest | Refusal:
    """End a request that nobody waits for any more: cancelled, client gone, target gone, gateway gone ..."""
    return _end(request, State.WITHDRAWN, why, now)


def supersede(request: ApprovalRequest, why: str, now: float) -> ApprovalRequest | Refusal:
    """End a request that the policy of today denies."""
    return _end(request, State.SUPERSEDED, why, now)


def undeliverable(request: ApprovalRequest, why: str, now: float) -> ApprovalRequest | Refusal:
    """End a pending request that no reviewer could be shown."""
    return _end(request, State.UNDELIVERABLE, why, now)


def _end(request: ApprovalRequest, state: State, reason: str, now: float) -> ApprovalRequest | Refusal:
    if state not in TRANSITIONS[request.state]:
        return Refusal.EXPIRED if request.state is State.EXPIRED else Refusal.ALREADY_DECIDED
    return replace(request, state=state, reason=reason, decided_at=now)


def look_again(request: ApprovalRequest, seen: Seen) -> ApprovalRequest | Refusal:
    """Note what its locks are now, while people may still decide."""
    if request.state is not State.PENDING:
        return Refusal.ALREADY_DECIDED
    return replace(request, seen=seen, looks=request.looks + 1)


# A request that outlives its client --------------------------------------------------------------------------------


def join(request: ApprovalRequest, wire: Wire, now: float) -> ApprovalRequest | Refusal:
    """One more wire asks what this kept request asks, or comes to use its approval. Callers have compared the content."""
    if not request.kept or request.state not in OPEN_STATES:
        return Refusal.ALREADY_DECIDED
    if now >= request.expires_at:
        return Refusal.EXPIRED
    return _of(replace(request, asked=request.asked + 1), wire)


def _of(request: ApprovalRequest, wire: Wire) -> ApprovalRequest:
    return replace(request, session=wire.session, replica=wire.replica, agent=wire.agent, client=wire.client)


# Release and what came of it ---------------------------------------------------------------------------------------


def release(request: ApprovalRequest, digest: str, now: float, wire: Wire | None = None) -> ApprovalRequest | Refusal:
    """Let an approved request run, once. STALE: not approved, or what would run is not what was approved.

    A kept one also goes by its content digest: another session may have sent the same. `wire` is where it runs.
    """
    if request.state is State.EXPIRED:
        return Refusal.EXPIRED
    if request.state is State.PENDING:
        return Refusal.STALE
    if request.state is not State.APPROVED:
        return Refusal.ALREADY_DECIDED
    if now >= request.expires_at:
        return Refusal.EXPIRED
    if digest != request.release_digest and not (request.kept and digest == request.content_digest):
        return Refusal.STALE
    return replace(_of(request, wire) if wire is not None else request, state=State.RELEASED, released_at=now)


def finish(
    request: ApprovalRequest,
    now: float,
    *,
    rows: int | None,
    sqlstate: str,
    duration_ms: float | None,
    transaction: str,
) -> ApprovalRequest | Refusal:
    """Note what the target answered: an empty `sqlstate` is EXECUTED, any other FAILED."""
    if request.state is not State.RELEASED:
        return Refusal.ALREADY_DECIDED
    return replace(
        request,
        state=State.FAILED if sqlstate else State.EXECUTED,
        rows=rows,
        sqlstate=sqlstate,
        duration_ms=duration_ms,
        transaction=transaction,
        finished_at=now,
    )


def unknown(request: ApprovalRequest, why: str, now: float) -> ApprovalRequest | Refusal:
    """Note that a released statement's answer never came: it may have run."""
    if request.state is not State.RELEASED:
        return Refusal.ALREADY_DECIDED
    return replace(request, state=State.UNKNOWN, reason=why, finished_at=now)


def settle(request: ApprovalRequest, transaction: str) -> ApprovalRequest | Refusal:
    """Note how the open transaction of an executed request ended: "committed" or "rolled back"."""
    if not is_unsettled(request):
        return Refusal.ALREADY_DECIDED
    return replace(request, transaction=transaction)


def is_unsettled(request: ApprovalRequest) -> bool:
    """Whether it has run in a transaction whose end is still to come."""
    return request.state is State.EXECUTED and request.transaction == "open"


# What others ask ---------------------------------------------------------------------------------------------------


def sqlstate_of(state: State, reason: str) -> str:
    """The SQLSTATE that the waiting client gets for an outcome; "" for a state that is no refusal."""
    if state is State.WITHDRAWN and is_fatal(reason):
        return "57P01"
    return _SQLSTATES.get(state, "")


def is_fatal(reason: str) -> bool:
    """True if a withdrawal for this reason ends the client's connection as well."""
    return reason.startswith((TARGET_GONE, GATEWAY_GONE, SESSION_ENDED))


def tag_of(request: ApprovalRequest) -> str:
    """The command tags of the held statements, each once, in order: "DELETE", or "DELETE, UPDATE"."""
    return ", ".join(_once([held.tag for held in request.statements]))


def relations_of(request: ApprovalRequest) -> list[str]:
    """The relations of the held statements, each once, in order."""
    return _once([relation for held in request.statements for relation in held.relations])


def passed_on_of(request: ApprovalRequest) -> list[str]:
    """The relations that foreign keys and triggers change with it, each once."""
    return _once([relation for held in request.statements for relation in held.passed_on])


def _once(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))
