"""The result that is coming from the target: whether its rows pass as they are, what masks them, when they show. Pure.

What lives here: the mask plan of the reply that is at the head, and its rows and COPY data. What must not: where a row
begins and ends (stream.py), all other messages (answers.py), how a value is masked (gateway.masking).
"""

from gateway.errors import TargetUnavailable
from gateway.masking.copy import CopyMasker
from gateway.masking.rows import RowMasker
from gateway.session import events as ev
from gateway.session.replies import Execution, Mode, Reply
from gateway.session.rowguard import RowGuard
from gateway.session.state import Conversation
from gateway.session.telling import Teller, told
from gateway.session.trial import ANY_TIME
from gateway.wire.backend import Column, cut, format_of

#: Types of the messages that hold rows.
DATA_ROW, COPY_DATA = ord("D"), ord("d")


class Results:
    """Of one session. `copy`: the masker of the COPY TO STDOUT at hand. `within`: the transaction status behind a BEGIN
    or COMMIT that no ReadyForQuery has told yet (answers.py says so); a result may tell of it."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self.copy: CopyMasker | None = None
        self.within = ""

    def untouched(self, kind: int) -> bool:
        """May rows pass as they are? Only when the queue's head expects them and plans no mask."""
        if not self._passes_rows():
            return False
        if kind == COPY_DATA:
            return self.copy is None
        head = self._talk.replies[0]
        if not head.planned:
            columns = _described(head)
            if columns is None:
                return False
            self.plan(head, columns)
        return head.masker is None

    def _passes_rows(self) -> bool:
        """Does the queue's head show its rows at once?"""
        replies, trial = self._talk.replies, self._talk.trial
        if trial is not None and trial.keeps_rows:
            return False
        if not replies or replies[0].mode is not Mode.EXPECT or replies[0].kind not in b"EQ":
            return False
        return self.guarding(replies[0]) is None

    def skimming(self, kind: int) -> CopyMasker | RowMasker | None:
        """What looks at these rows, where most of them go on as they are."""
        if not self._passes_rows():
            return None
        masker = self.copy if kind == COPY_DATA else self._talk.replies[0].masker
        return masker if isinstance(masker, CopyMasker | RowMasker) and masker.skims else None

    def plan(self, reply: Reply, columns: tuple[Column, ...]) -> None:
        """Make the mask plan of the result that begins."""
        reply.planned = True
        self.showing(reply.execution)
        statement = reply.execution.statement if reply.execution else None
        bind = reply.portal.bind if reply.portal else None
        formats = bind.result_formats if bind else ()
        shown = tuple(format_of(formats, at, each) for at, each in enumerate(columns))
        talk = self._talk
        masker = talk.hiding.masker(statement, columns, shown, approved=approved(reply))
        status = self.within or talk.status
        telling = told(statement, bind.parameters if bind else (), status, wish=talk.gate.wish)
        reply.masker = Teller(telling, masker) if telling else masker

    def showing(self, execution: Execution | None) -> None:
        """A result begins: note what of it goes out as it is."""
        if execution is not None:
            hiding = self._talk.hiding
            execution.clear, execution.unscanned = hiding.seen_clear(execution.statement), hiding.unscanned

    def rows(self, raw: bytes) -> None:
        """Take whole DataRow messages, behind each other."""
        head = due(self._talk, "DataRow")
        if head.mode is Mode.COLLECT:
            head.collected += [(DATA_ROW, each[5:]) for each in cut(raw)]
        elif head.mode is Mode.EXPECT:
            if not head.planned:
                self.plan(head, _described(head) or _unknown(raw))
            shown = head.masker.rows(raw) if head.masker else raw
            guard = self.guarding(head)
            if guard is not None:
                guard.keep(shown)
            else:
                self.show(DATA_ROW, shown)

    def guarding(self, head: Reply) -> RowGuard | None:
        """The row guard, where it is of this message."""
        guard = self._talk.rowguard
        return guard if guard is not None and guard.reply is head else None

    def masked(self, head: Reply, execution: Execution) -> None:
        """Record what was masked in a result: column, detector or mask, count; never a value."""
        masker, self.copy = self.copy or head.masker, None
        if masker is not None and masker.counts:
            for (column, detector), count in sorted(masker.counts.items()):
                execution.masked.append({"column": column, "detector": detector, "count": count})
            self._talk.record(
                "masked", statement=execution.number, masked=[*execution.masked], request=execution.request
            )

    def show(self, kind: int, raw: bytes) -> None:
        """The client gets this message, now or when the first try that it belongs to counts."""
        trial = self._talk.trial
        if trial is not None and trial.keeps(kind, len(raw)):
            trial.keep(raw)
            return
        if kind not in ANY_TIME:
            self._talk.let_go()
        self._talk.emit(ev.ToClient(raw))

    def over(self, head: Reply) -> None:
        """This result has ended."""
        head.planned, head.masker, self.copy = False, None, None


def due(talk: Conversation, what: str) -> Reply:
    """The reply that the target is at. Raises TargetUnavailable where it sent `what` and owes none."""
    if not talk.replies:
        raise TargetUnavailable(f"the target sent {what} and nothing was asked")
    return talk.replies[0]


def approved(reply: Reply) -> bool:
    """Did people let what gives this result go?"""
    asked = reply.execution is not None and reply.execution.request is not None
    return asked or (reply.portal is not None and reply.portal.released)


def _described(reply: Reply) -> tuple[Column, ...] | None:
    """The columns of an Execute's result, if the client has had them described."""
    return reply.portal.known_columns if reply.portal else None


def _unknown(raw: bytes) -> tuple[Column, ...]:
    """Columns of a result that was never described: as many as the row has, each text of unknown origin."""
    return (Column("?", 0, 0, 25, -1, -1, 0),) * int.from_bytes(raw[5:7], "big")
