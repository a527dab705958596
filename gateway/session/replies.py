"""What the client is still owed, in request order: the reply queue, and the batch that fills it.

A Reply stands for one frontend message that went to the target. Without the queue a denied Execute would send its
ErrorResponse before the ParseComplete and BindComplete still owed (architecture.md, ReplyQueue).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from gateway.audit.entry import Value
from gateway.masking.fields import Counts
from gateway.policy.decide import Verdict
from gateway.session.names import Change, Portal, Prepared
from gateway.sql.statement import Statement

#: What is judged of a batch goes on when this much of it has gathered (architecture.md: executemany of 20,000 rows before one Sync).
OPEN_AT = 64 << 10
#: Messages taken in one turn of the loop, which all sessions share; GoOn takes the next.
PER_TURN = 500


class Masker(Protocol):
    """What a result's rows pass through: masking.rows.RowMasker, telling.Teller."""

    @property
    def counts(self) -> Counts: ...

    def rows(self, run: bytes) -> bytes: ...


class Mode(Enum):
    EXPECT = "expect"  # the target's answer goes to the client
    SWALLOW = "swallow"  # an answer to something of ours: nobody sees it
    COLLECT = "collect"  # an answer that the session itself reads


@dataclass(slots=True)
class Execution:
    """One statement of the client on its way through the target. `number` counts the session's statements from 1."""

    number: int
    statement: Statement
    verdict: Verdict
    sql: str  # masked
    parameters: tuple[str | None, ...] | None  # masked
    request: str | None = None
    decided_by: str = ""
    masked: list[Value] = field(default_factory=list)
    started: float = 0.0
    rows: int = 0
    changes: tuple[Change, ...] = ()
    protected: bool = False
    tested: tuple[str, ...] = ()  # protected columns that its conditions read
    copies: tuple[tuple[str, str], ...] = ()  # protected columns that it copies into others: (from, to)
    clear: tuple[str, ...] = ()  # protected columns that its result showed, as policy says
    unscanned: str = ""  # why no detector looked at its result
    risk: str = ""  # of the request that it was held for
    broken: str = ""  # why somebody broke the glass for it
    via: str = ""  # where people approved it: a chat, the page, or a grant
    passed_on: tuple[str, ...] = ()  # tables that foreign keys and triggers change too
    fate: str = ""  # of its transaction, once that has ended: "committed", "rolled back"


@dataclass(slots=True)
class Reply:
    """`kind` is the frontend message's type byte. `denial`: the ErrorResponse to send in the place of the target's.

    `refusal`: likewise, where we made the target fail in the middle of it: a COPY whose data we refuse.
    `stands_for`: the portal's name that the client sent, where the target was asked for one that no one has.
    """

    kind: int
    mode: Mode = Mode.EXPECT
    change: Change | None = None
    executions: list[Execution] = field(default_factory=list)
    at: int = 0
    denial: bytes | None = None
    refusal: Verdict | None = None
    stands_for: str | None = None
    prepared: Prepared | None = None
    portal: Portal | None = None
    masker: Masker | None = None
    planned: bool = False
    collected: list[tuple[int, bytes]] = field(default_factory=list)
    #: Of a COLLECT that is no errand's: hears the transaction status behind it, and whether there was an error.
    then: Callable[[str, bool], None] | None = None

    @property
    def copies_in(self) -> bool:
        """Is it a COPY FROM STDIN that the target has not begun yet?"""
        return any(each.statement.copies == "in" for each in self.executions[self.at :])

    @property
    def execution(self) -> Execution | None:
        """The statement that the target is at, in a query string or an Execute."""
        return self.executions[self.at] if self.at < len(self.executions) else None


@dataclass(slots=True)
class Part:
    """One frontend message of a batch, judged. `held` and `denied` are set by its verdict; both None means it may go."""

    raw: bytes
    reply: Reply | None
    held: Verdict | None = None
    denied: bytes | None = None  # the ErrorResponse
    #: A Parse or Bind that runs code by itself: it may go only with an Execute of this that may.
    runs: Portal | Prepared | None = None
    allowed: int | None = None  # rows that it may change; set once it was approved (rowguard.py)


@dataclass(slots=True)
class Batch:
    """What was read since the last Sync, Flush, Query or forwarding. Its own names come before the confirmed ones."""

    parts: list[Part] = field(default_factory=list)
    size: int = 0
    statements: dict[str, Prepared | None] = field(default_factory=dict)
    portals: dict[str, Portal | None] = field(default_factory=dict)
    repaths: bool = False  # it may change search_path: unqualified names behind that are not known yet
    redefines: bool = False  # it may redefine functions, views ...: the catalog's word no longer counts behind that
    control: bool = False  # it holds BEGIN, COMMIT ...: the transaction status inside it is unknown
    binds: bool = False  # it binds or executes something
    holds: bool = False  # a part was added that must be held
    guards: bool = False  # it calls user code that has to run read-only
    writes: bool = False  # among that is code that wants to write
    doubts: bool = False  # it runs code that may change names
    rereads: bool = False  # it may change how constants and values behind it are read

    def add(self, part: Part) -> None:
        self.parts.append(part)
        self.size += len(part.raw)
        self.holds = self.holds or part.held is not None

    @property
    def runs(self) -> int:
        """How many statements run with it."""
        return sum(len(each.reply.executions) for each in self.parts if each.reply is not None)

    def prepares(self, prepared: Prepared) -> bool:
        """Is the Parse of it among these?"""
        changes = (each.reply.change for each in self.parts if each.reply is not None)
        return any(each is not None and each.value is prepared for each in changes)

    def rest(self) -> "Batch":
        """What follows of the same batch once this much was forwarded: its names and what is known of it go on."""
        return Batch(
            statements=self.statements,
            portals=self.portals,
            repaths=self.repaths,
            redefines=self.redefines,
            control=self.control,
            doubts=self.doubts,
            rereads=self.rereads,
        )
