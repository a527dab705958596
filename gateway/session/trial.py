"""The first try of a batch that went as reads: what of its answer is kept back, and whether 25006 may still be turned. Pure.

The target keeps the batch to reading: in autocommit by the session's default, in a block by a savepoint (gate.py). As long as
the client has had nothing of the answer, it can be started again. So what comes before the first row waits here; where code
holds a write, the rows do too, up to a limit.
What is done about it is secondtry.py's. What must not live here: effects, verdicts.
"""

from dataclasses import dataclass, field
from enum import Enum

from gateway.session.errands import rows
from gateway.session.names import Change, Portal
from gateway.session.replies import Batch, Execution, Reply
from gateway.sql.statement import Statement, StatementClass

#: read_only_sql_transaction (errcodes.txt).
READ_ONLY = "25006"
#: What comes before a result: RowDescription, notices, CopyOutResponse, and the answers to Parse, Bind, Close, Describe.
_BEFORE = frozenset(b"TNH123tn")
#: A result, and its end.
_RESULT = frozenset(b"DdcCsI")
#: Bytes that are kept back at most.
MOST = 256 << 10
#: Not of the statement at hand: they pass.
ANY_TIME = frozenset(b"SA")
_DATA_ROW = ord("D")
_REPEATABLE = frozenset({None, "EXECUTE", "DECLARE"})


class Stage(Enum):
    WAITING = "waiting"  # for the answers to what went before: only then is it known whether a block is open
    TRYING = "trying"
    PASSING = "passing"  # the client has had a part of the answer
    TURNED = "turned"


@dataclass(slots=True)
class Trial:
    """`wished`: the client itself wants this read-only, so 25006 is its answer. `saved`: of each part what its answers use up."""

    batch: Batch
    wished: bool
    repeatable: bool
    saved: list[tuple[Change | None, list[tuple[Execution, tuple[Change, ...]]]]]
    stage: Stage = Stage.WAITING
    kept: list[bytes] = field(default_factory=list)
    size: int = 0
    mode: Reply | None = None  # in a block: what the target says of the block's own access mode
    culprit: tuple[int, int] | None = None  # the part and the statement in it that met 25006
    interrupted: bool = False  # by the client
    left: list[str] = field(default_factory=list)  # the statements that it has named
    undone: int = 0  # how often the target was asked to take back what it has left

    @classmethod
    def of(cls, batch: Batch, *, wished: bool) -> "Trial":
        saved = [
            (part.reply.change, [(each, each.changes) for each in part.reply.executions]) if part.reply else (None, [])
            for part in batch.parts
        ]
        return cls(batch, wished, _repeatable(batch), saved)

    @property
    def blocks(self) -> bool:
        """May nothing else go to the target meanwhile?"""
        return self.batch.guards or self.stage is Stage.TURNED

    def keeps(self, kind: int, size: int = 0) -> bool:
        """Is a message of this kind, or a run of rows of this size, kept back for now? All is, once it is clear that the client will not see this try."""
        if kind in ANY_TIME:
            return False
        if self.stage is Stage.TURNED:
            return True
        waits = kind in _BEFORE or (self.batch.writes and kind in _RESULT)
        return self.stage is Stage.TRYING and waits and self.size + size < MOST

    @property
    def keeps_rows(self) -> bool:
        return self.batch.writes and self.keeps(_DATA_ROW)

    def keep(self, raw: bytes) -> None:
        if self.stage is not Stage.TURNED:
            self.kept.append(raw)
            self.size += len(raw)

    def turns(self, head: Reply, sqlstate: str) -> bool:
        """An error came for `head`: is the batch to be judged again?"""
        if self.stage is Stage.TRYING and sqlstate == READ_ONLY and self.repeatable and not self.by_wish:
            self.culprit = self._found(head)
        if self.culprit is not None:
            self.stage = Stage.TURNED
            self.kept.clear()
        return self.culprit is not None

    def writer(self, head: Reply) -> Statement | None:
        """Which statement wants to write, as 25006 in answer to `head` says; None where that is the client's own doing."""
        found = None if self.by_wish else self._found(head)
        return self.saved[found[0]][1][found[1]][0].statement if found else None

    @property
    def by_wish(self) -> bool:
        """Is it the client that wants only to read?"""
        shown = rows(self.mode.collected) if self.mode else []
        return self.wished or any(each == (b"on",) for each in shown)

    def _found(self, head: Reply) -> tuple[int, int] | None:
        """Which statement `head` is about: the planner may run code at Bind already, then it is the portal's."""
        portal = head.change.value if head.kind == ord("B") and head.change else None
        for at, part in enumerate(self.batch.parts):
            if part.reply is head and head.execution is not None:
                return at, head.at
            if (
                isinstance(portal, Portal)
                and part.reply is not None
                and part.reply.portal is portal
                and self.saved[at][1]
            ):
                return at, 0
        return None


def reads_only(batch: Batch) -> bool:
    """Is there something in it to execute, and all of it reads?"""
    found = [each.statement for part in batch.parts if part.reply for each in part.reply.executions]
    return bool(found) and all(each.classes == _READ for each in found)


_READ = frozenset({StatementClass.READ})


def _repeatable(batch: Batch) -> bool:
    """Would all of it run again as if for the first time? A cursor or portal of before has moved, or broken, with the error."""
    bound = {id(part.reply.change.value) for part in batch.parts if part.reply and part.reply.change}
    for part in batch.parts:
        reply = part.reply
        if reply is None or part.denied is not None or reply.stands_for is not None:
            return False
        if reply.kind == ord("E") and id(reply.portal) not in bound:
            return False
        if not all(_again(each.statement) for each in reply.executions):
            return False
    return reads_only(batch)


def _again(statement: Statement) -> bool:
    return (statement.names.verb if statement.names else None) in _REPEATABLE and not statement.settings
