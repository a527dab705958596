"""What a store can do. A state change is one transaction: compare-and-set, audit entries, outbox, wake-up, or nothing.

`record` callbacks run *inside* the transaction once the compare-and-set has won, and return sealed entries that are
already in the spool: so a loser writes nothing, and nothing is committed that is not in the spool.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.approvals.request import ApprovalRequest, Person, Refusal, State
from gateway.audit.entry import Entry, Value
from gateway.audit.query import Query
from gateway.store.signins import SignIns


@dataclass(frozen=True, slots=True)
class Backlog:
    """Cards that are not shown yet as they should be, and dead letters: those that nobody tries to show any more."""

    waiting: int
    parked: int


@dataclass(frozen=True, slots=True)
class Post:
    """An outbox row: a card of `request` in `channel` ("slack:C1"), at `wanted` rev, shown so far at `sent` rev.

    `ref` is the front's own message reference (JSON text), None until posted. `attempts` counts failures in a row.
    `maybe_posted`: it was posted once by somebody who never heard whether that went well.
    """

    id: int
    request: str
    channel: str
    wanted: int
    sent: int
    ref: str | None
    attempts: int
    created_at: float
    dead: bool = False
    last_error: str = ""
    maybe_posted: bool = False


#: Behind a channel's name: the outbox row is no card but an alarm, told once: somebody has broken the glass.
ALARM = "#alarm"


def alarms_of(before: ApprovalRequest, after: ApprovalRequest) -> list[str]:
    """The channels that a change raises an alarm in: all that have the request's card by then."""
    shown = dict.fromkeys((*after.channels, *(after.escalate_to if after.escalated_at is not None else ())))
    return [f"{each}{ALARM}" for each in shown] if after.broken and not before.broken else []


#: A claimed outbox row is left to its claimer for so long: longer than any front's own time limit.
CLAIM_SECONDS = 30.0

#: What is due later than in so many seconds is no backlog: its time has not come.
SOON = 60.0

#: A request that waits for less than so many seconds in all is not reminded of: its card is new.
REMINDED_FROM = 120.0

#: Entries that are told in the transaction in which their request changes.
STEPS = frozenset({"held", "decided", "released"})


@dataclass(frozen=True, slots=True)
class Standing:
    """A grant in force: the request that it was given on, and how often it was used."""

    giver: ApprovalRequest
    used: int


@dataclass(frozen=True, slots=True)
class Ending:
    """Somebody's order to end a session: who, and why in their words."""

    by: str
    why: str


Change = Callable[[ApprovalRequest, float], ApprovalRequest | Refusal]
Record = Callable[[ApprovalRequest], Sequence[Entry]]
#: The request that has the grant, the one that would use it, and the time -> that one as approved; None: not covered.
Cover = Callable[[ApprovalRequest, ApprovalRequest, float], ApprovalRequest | None]


def cards_of(request: ApprovalRequest) -> Mapping[str, float]:
    """Channel -> seconds from the request's opening until its card there is due."""
    later = 0.0 if request.escalate_at is None else max(0.0, request.escalate_at - request.opened_at)
    at_once = dict.fromkeys(request.channels, 0.0)
    return at_once | {each: later for each in request.escalate_to if each not in at_once}


def is_refused_click(body: Mapping[str, Value]) -> bool:
    """True for the entry of a click that its clicker had no right to: it is about a person and ends no statement."""
    return body.get("kind") == "refused" and "decided_by" in body


class Store(SignIns, Protocol):
    """Raises StoreUnavailable when it can't answer. All times are Unix seconds of the store's own clock."""

    async def open(self, request: ApprovalRequest, record: Record) -> None:
        """Insert a pending request, its 'held' entries and one outbox row a channel, in one transaction. A card of `escalate_to`
        is due at `escalate_at` only, and not reminded of."""

    async def get(self, request_id: str) -> ApprovalRequest | None:
        """The request, or None."""

    async def move(self, request_id: str, change: Change, record: Record) -> ApprovalRequest | Refusal:
        """Apply `change(request, now)` under the row's lock; on a new request value: store it (rev + 1), insert
        `record`'s entries, mark its outbox rows, add those of its alarms (`alarms_of`), and NOTIFY, all in one transaction. A
        Refusal changes nothing.
        A grant that it has now, or that was revoked, is known to `use_grant` from then on."""

    async def find(
        self, *, states: frozenset[State] | None = None, replica: str | None = None, limit: int = 100
    ) -> list[ApprovalRequest]:
        """Requests, newest first."""

    async def pending_of(self, issuer: str, subject: str, session: str) -> tuple[int, int]:
        """How many pending requests this person has, and how many of them were opened by this session."""

    async def denied(self, issuer: str, subject: str, since: float, limit: int = 100) -> list[ApprovalRequest]:
        """What this person was denied and that changed since then (a denial, or its lifting), newest first."""

    async def requests_of(self, issuer: str, subject: str, limit: int = 10) -> list[ApprovalRequest]:
        """The newest requests of this person, in whatever state."""

    async def asked(self, since: float, before: tuple[float, str] | None, limit: int) -> list[ApprovalRequest]:
        """Requests opened since then, newest first; `before` is (opened_at, id) of the last one of the page before."""

    async def claim(self, chore: str, seconds: float) -> bool:
        """True for one caller of all replicas: nobody else is given this chore for so many seconds, nor once it is `done`."""

    async def done(self, chore: str) -> None:
        """It need never be done again."""

    async def use_grant(self, request: ApprovalRequest, cover: Cover, record: Record) -> ApprovalRequest | None:
        """Store a request as approved by a grant of its shape, if one is in force, has a use left, and `cover` says so: the
        use is counted, the request and `record`'s entries inserted, in one transaction. None: nothing is stored. However many
        ask at once, no grant is used more often than it may be."""

    async def grants(self, limit: int = 100) -> list[Standing]:
        """Grants in force and not used up, the one that ends first first."""

    async def approved(self, shape: str) -> int:
        """How many requests of this shape people have approved."""

    async def kept(self, content_digest: str) -> list[str]:
        """Open requests that outlive their clients and ask just this, whose time is not over; the newest first."""

    async def revisions(self, request_ids: Sequence[str]) -> Mapping[str, int]:
        """The stored rev of each of these requests, in one look: the poll that stands behind NOTIFY."""

    async def overdue(self, limit: int = 100) -> list[str]:
        """Pending and approved requests whose time is over by the store's clock, oldest first."""

    async def unreachable(self, after: float) -> list[str]:
        """Pending requests that no card shows: all their outbox rows are dead, or none was posted `after` seconds on,
        counted from its turn where it had to wait for one."""

    async def unsettled(self, replica: str) -> list[ApprovalRequest]:
        """Executed requests of a replica whose transaction was still open when it last told of them."""

    async def due(self, limit: int = 20, claimer: str = "") -> list[Post]:
        """Claim outbox rows whose `wanted` is above `sent` and whose next attempt is due (skip locked, claim 30 s)."""

    async def unclaim(self, claimer: str) -> None:
        """What a dead replica has claimed is due again."""

    async def sent(self, post_id: int, rev: int, ref: str) -> None:
        """The card of `rev` is shown as `ref`; a row that is wanted at a higher rev is due at once."""

    async def failed(self, post_id: int, error: str, retry_in: float | None, *, unposted: bool = False) -> None:
        """Sending failed; try again in so many seconds, or never (None: a dead letter; with the error "" there was nothing to
        say). `unposted`: nothing was posted, for sure."""

    async def postponed(self, post_id: int, seconds: float, *, maybe_posted: bool) -> None:
        """It was not sent: its turn comes in so many seconds. `maybe_posted` is what it was when it was claimed."""

    async def redraw(self, request_id: str) -> None:
        """Show the request's cards once more, dead letters too: somebody says that one is out of date."""

    async def remind(self, limit: int = 20) -> list[Post]:
        """Posted cards of pending requests that have waited for a third, or two, of their time since this was last asked
        of them (not of short ones: REMINDED_FROM). Each is given out once, to one caller; what was missed is not made up for."""

    async def unremind(self, post_id: int) -> None:
        """That reminder was not said, for sure: `remind` gives it out again."""

    async def hurry(self, request_id: str) -> None:
        """The request's cards that nobody has tried to post yet are due now: no other can be shown."""

    async def backlog(self) -> Backlog:
        """How many cards wait, and how many are dead letters."""

    async def parked(self, limit: int = 20) -> list[Post]:
        """Dead letters, newest first. A card that had nothing to say any more is none."""

    async def revive(self, within: float) -> int:
        """Try those dead letters of the last `within` seconds again that somebody could miss; returns how many."""

    async def posts(self, request_id: str) -> list[Post]:
        """The outbox rows of a request."""

    async def append(self, lines: bytes) -> None:
        """Insert audit entries, as a spool's file has them (entry.together); one that is there already (replica, seq) is left alone."""

    async def checkpoint(self, replica: str, seq: int, head: str, signature: str) -> None:
        """Keep a signed (replica, seq, hash)."""

    async def audit(self, query: Query, offset: int = 0) -> tuple[list[Mapping[str, Value]], int]:
        """End entries that match, in the query's order: a page of `query.limit` from `offset`, and how many in all.

        A refused click (kind refused with `decided_by`) ends no statement and is left out. For a row that is no entry any more there is
        one that says so (`entry.unreadable`), so that one row does not fail the question.
        """

    async def chain(self, replica: str, after: int, limit: int) -> list[Mapping[str, Value]]:
        """Entries of one chain in order, seq > after. Raises NO_JSON where one of them is no entry any more."""

    async def steps(self, replica: str, limit: int) -> list[Mapping[str, Value]]:
        """The last entries of one chain whose request changes with them (STEPS), in order, less what can't be read."""

    async def story(self, request_id: str) -> list[Mapping[str, Value]]:
        """Every entry of any chain that names this request, oldest first, less what can't be read."""

    async def altered(self, replica: str, after: int, limit: int) -> list[int]:
        """Of the next entries (as `chain` pages them) those whose columns don't say what their text says: seqs."""

    async def heads(self) -> list[tuple[str, int, str]]:
        """(replica, seq, hash) of the newest entry of every chain, of one moment. Asked every 10 s: no full scan."""

    async def checkpoints(self) -> list[tuple[str, int, str, str]]:
        """(replica, seq, head, signature), oldest first."""

    async def saw(self, person: Person, at: float) -> None:
        """Remember a person's verified identity (reviewer look-up by e-mail)."""

    async def person_by_email(self, email: str, not_before: float) -> Person | None:
        """The person last seen with this verified e-mail, if seen at or after `not_before`."""

    async def person_by_subject(self, issuer: str, subject: str, not_before: float) -> Person | None:
        """The person of this account at this issuer, if seen at or after `not_before`."""

    async def met(self, conversation: str, team: str, service_url: str, at: float) -> None:
        """A Teams conversation ("19:...", and the team it is of, "" for none) is reached by this service URL."""

    async def service_url(self, conversation: str) -> str | None:
        """How a conversation is reached: its own newest service URL, else that of any (a tenant has one), else None."""

    async def parted(self, conversation: str) -> None:
        """The app was taken out of a conversation, or of all of a team's."""

    async def heartbeat(self, replica: str) -> None:
        """This replica lives."""

    async def stopped(self, replica: str) -> None:
        """This replica has stopped, and all that it knew is in the store: it counts as lapsed, and nobody need wait for that."""

    async def lapsed(self, after: float) -> list[str]:
        """Replicas whose heartbeat is older than so many seconds."""

    async def alive(self, within: float) -> list[str]:
        """Replicas with a heartbeat in the last `within` seconds, by name."""

    async def sessions(self, within: float, limit: int = 1000) -> list[Mapping[str, Value]]:
        """The session_started entries of sessions that have not ended, of replicas alive (as above), newest first."""

    async def abandoned(self, after: float) -> list[str]:
        """Lapsed replicas that still hold open, released or unsettled requests."""

    async def unburied(self, replicas: Sequence[str]) -> list[str]:
        """Those of these dead replicas that `buried` was not said of."""

    async def buried(self, replica: str) -> None:
        """All that a dead replica left has been looked after."""

    async def cancel(self, digests: Sequence[str]) -> None:
        """Tell every replica of cancel keys that are not the caller's own, each by its digest."""

    async def outdated(self, replica: str, target: str) -> None:
        """Tell every replica that DDL of this one has changed a target's catalog."""

    async def end_session(self, session: str, ending: Ending) -> None:
        """Order whichever replica has this session to end it; the first order stays."""

    async def endings(self, sessions: Sequence[str]) -> Mapping[str, Ending]:
        """Which of these sessions are to end."""

    async def listen(self, heard: Callable[[str, str], None]) -> None:
        """Call `heard(channel, payload)` for each NOTIFY: ("approval", "<request id> <rev>"), ("outbox", ""),
        ("cancel", digest), ("session", session), ("catalog", "<replica> <target>").

        ("approval", "") says that wake-ups may have been lost (the listening connection was renewed): look at all.
        """

    async def close(self) -> None:
        """Let go of every connection."""
