"""An approval request, its states and who may decide it. Pure; the store keeps it, the desk moves it.

The states and their transitions are the only list (architecture.md, Words). A transition is a function
request -> request, applied by the store under a row lock (compare-and-set).
"""

from dataclasses import dataclass
from enum import Enum


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


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts on a request: compared by (issuer, subject), and by e-mail where only that is known."""

    issuer: str
    subject: str
    user: str
    email: str | None
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class HeldStatement:
    """One held statement, already masked: SQL and values are safe to show and to store.

    `parameters`: up to five value sets as text (None = NULL). `executions`: how many in the batch.
    """

    tag: str
    sql: str
    relations: tuple[str, ...] = ()
    where: bool | None = None
    parameters: tuple[tuple[str | None, ...], ...] = ()
    executions: int = 1


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
class ApprovalRequest:
    """The stored question. Times are Unix seconds. Everything here may be shown to a reviewer.

    `rev` grows with each change; a button names the rev it was drawn for. `release_digest` and `content_digest` are
    keyed (HMAC) hex digests (enforcement.md, decision 5). `where_held` is "idle" or "in transaction".
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
    rev: int = 1
    approvals: tuple[Approval, ...] = ()
    decided_by: Person | None = None
    decided_via: str = ""
    decided_at: float | None = None
    reason: str = ""  # the reviewer's on denial; what happened on withdrawal
    released_at: float | None = None
    finished_at: float | None = None
    rows: int | None = None
    sqlstate: str = ""
    duration_ms: float | None = None
    transaction: str = ""  # after execution: "committed", "rolled back", "open"


class Refusal(Enum):
    """Why a click changed nothing."""

    NOT_A_REVIEWER = "not a reviewer"
    OWN_REQUEST = "own request"
    ALREADY_COUNTED = "already counted"
    ALREADY_DECIDED = "already decided"
    EXPIRED = "expired"
    STALE = "stale card"
    UNKNOWN_REQUEST = "unknown request"
