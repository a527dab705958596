"""What goes into a Session and what comes out of it. Values only.

Effects come out in the order in which they must be performed; the relay performs one event's effects before it takes the
next event of that session. Nothing here is an `if` about SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gateway.approvals.request import ApprovalRequest, Wire
from gateway.audit.entry import Value
from gateway.audit.pattern import Pattern
from gateway.policy.model import Policy
from gateway.sql.catalog import Catalog
from gateway.sql.statement import Script

# --- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FromClient:
    """A chunk of the client's bytes, however it was split."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FromTarget:
    """A chunk of the target's bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to Ask: the text, read by the parser process."""

    sql: str
    script: Script


@dataclass(frozen=True, slots=True)
class SideAnswered:
    """What the side connection answered to SideAsk, up to its ReadyForQuery; None and the `problem` where it could not."""

    data: bytes | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """The request is stored, with its audit entry and its outbox rows."""

    request: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Not stored: `stored` asks the same, outlived its client, and is open still. This session waits for that one now."""

    request: str
    stored: ApprovalRequest


@dataclass(frozen=True, slots=True)
class Granted:
    """Stored as approved: a grant covers it. It goes on as one that people have approved."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class NotOpened:
    """It could not be stored (or a cap was reached): refuse the batch with this text. `outcome`: "denied", where people had
    denied the like."""

    request: str
    sqlstate: str
    message: str
    hint: str = ""
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Ruled:
    """The stored request changed; its state says what people (or time) decided."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class Released:
    """The release is committed: the held bytes may go."""

    request: str


@dataclass(frozen=True, slots=True)
class NotReleased:
    """The release was refused; `request` is the stored truth if it could be read."""

    id: str
    request: ApprovalRequest | None
    problem: str


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that WakeAt asked for has come."""


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    policy: Policy


@dataclass(frozen=True, slots=True)
class CatalogChanged:
    """What names mean on the target now; None where that can't be read: they are judged by the static list then."""

    catalog: Catalog | None


@dataclass(frozen=True, slots=True)
class CatalogReloaded:
    """The answer to ReloadCatalog, read since. A CatalogChanged meanwhile may have been read before, for somebody else."""

    catalog: Catalog | None


@dataclass(frozen=True, slots=True)
class GoOn:
    """Effect and event: there is more to read; send it back when other sessions have had their turn."""


class Why(Enum):
    """Why the gateway ends a session."""

    TOKEN_EXPIRED = "token expired"  # noqa: S105 - not a password
    REVOKED = "revoked"
    DRAINING = "draining"  # once what runs on the target is answered
    OVERDUE = "overdue"  # what runs is cancelled on the target first
    STOPPED = "stopped"  # whatever runs


@dataclass(frozen=True, slots=True)
class Ended:
    """`told`: who and why in their words, where somebody has ended it (REVOKED)."""

    why: Why
    told: str = ""


@dataclass(frozen=True, slots=True)
class ClientGone:
    """The client's socket is closed."""


@dataclass(frozen=True, slots=True)
class TargetGone:
    """The target's socket is closed."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A CancelRequest with this session's key arrived on another connection."""


Event = (
    FromClient
    | FromTarget
    | Answered
    | SideAnswered
    | Opened
    | Joined
    | Granted
    | NotOpened
    | Ruled
    | Released
    | NotReleased
    | Tick
    | PolicyChanged
    | CatalogChanged
    | CatalogReloaded
    | GoOn
    | Ended
    | ClientGone
    | TargetGone
    | CancelRequested
)

# --- effects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToClient:
    data: bytes


@dataclass(frozen=True, slots=True)
class ToTarget:
    """Bytes for the target. Every Record that came before must be in the kernel's hands first."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """An audit entry for the spool, synchronously."""

    kind: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class RecordAlike:
    """The same, for an entry of a pattern; `values` are JSON for its holes."""

    pattern: Pattern
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Read this text in the parser process (it is too big for this one): Answered follows."""

    sql: str


@dataclass(frozen=True, slots=True)
class SideAsk:
    """Send these messages on a side connection to the same target (opened at the first): SideAnswered follows."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SideClose:
    """The side connection is no longer needed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Store this request and show it to people: Opened, Joined, Granted or NotOpened follows, later Ruled."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class Release:
    """Commit the release of an approved request, to run on this wire: Released or NotReleased follows."""

    request: str
    digest: str
    wire: Wire


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The request is void; nothing is owed to the wire for it."""

    request: str
    why: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Nobody waits here any more; the request goes on. `why` is for the record."""

    request: str
    why: str


@dataclass(frozen=True, slots=True)
class Supersede:
    """The request is void: the policy of now denies it. Its watch tells the wire, as with Withdraw."""

    request: str
    why: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A released request ran to its end. `transaction`: committed, rolled back, open."""

    request: str
    rows: int | None
    sqlstate: str
    duration_ms: float
    transaction: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A released request's end was never seen (the target went away under it)."""

    request: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The transaction that an executed request was part of has ended: "committed" or "rolled back"."""

    request: str
    transaction: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send Tick at this time (Unix seconds); a later WakeAt replaces an earlier one."""

    at: float


@dataclass(frozen=True, slots=True)
class CancelTarget:
    """Send a CancelRequest to the target: it is executing something of this session."""


@dataclass(frozen=True, slots=True)
class PauseClient:
    """Read no more from the client (but watch for its end) until ResumeClient."""


@dataclass(frozen=True, slots=True)
class ResumeClient:
    pass


@dataclass(frozen=True, slots=True)
class ReloadCatalog:
    """DDL ran: the catalog's facts are stale."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close both sides, after what was sent has left. `goodbye`: the client has said that it is done, and reads nothing more.
    `spare`: the target's side is as good as new, and may serve the person's next session (spare.py)."""

    goodbye: bool = False
    spare: bool = False


Effect = (
    ToClient
    | ToTarget
    | Record
    | RecordAlike
    | Ask
    | SideAsk
    | SideClose
    | Hold
    | Release
    | Withdraw
    | Leave
    | Supersede
    | Finished
    | Unknown
    | Settled
    | WakeAt
    | CancelTarget
    | PauseClient
    | ResumeClient
    | ReloadCatalog
    | GoOn
    | Close
)
