"""From a judged batch to bytes for the target: recorded first, with sure-fails for what is refused, and helpers round it. Pure.

What must not live here: verdicts (draft.py), when a batch may go (intake.py, holding.py), what the helpers are (gate.py).
"""

from collections.abc import Callable, Iterable

from gateway.policy.decide import Answer, Verdict
from gateway.session import events as ev
from gateway.session.gate import CLOSE, GUARD, OPEN, UNGUARD, ends, synchronised, undo
from gateway.session.guard import refused_bind, sure_fail
from gateway.session.names import Prepared
from gateway.session.replies import Batch, Mode, Part, Reply
from gateway.session.rowguard import RowGuard
from gateway.session.state import Conversation, Phase
from gateway.sql.statement import Script
from gateway.wire import frontend

_LONE = Verdict(Answer.DENY, None, "preparing or binding it may run code, and there was no Execute to approve")


class Forwarding:
    """The way to the target of one conversation."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def forward(self, batch: Batch) -> None:
        """Record what the batch runs, then send it, with sure-fails in the place of what is refused."""
        talk = self._talk
        talk.path_stale = talk.path_stale or batch.doubts
        head: list[bytes] = []
        chunks = head  # where the next message goes; behind a guarded Execute it waits for the count
        rows = self._guard_rows(batch)
        opening = not (talk.open_batch or (rows and rows.own)) and talk.gate.needed(
            batch, talk.status if talk.drained else ""
        )
        closed = talk.drained and talk.status == "I" and not (opening or talk.gate.unsure or batch.control)
        for lone, script in _lone(batch, read_only=closed):
            lone.executions = [talk.execution(each, _LONE, None, ()) for each in script.statements]  # to be recorded
        if opening:
            talk.gate.open()
            chunks.append(self._ours(OPEN))
        if rows is not None and rows.own:
            chunks.append(self._ours(rows.before))
        guard = batch.guards and not (talk.drained and talk.status != "T")
        if guard:
            chunks.append(self._ours(GUARD))
        for part in self._not_skipped(batch) if talk.lost else batch.parts:
            reply = part.reply
            if reply is None:
                chunks.append(part.raw)
                continue
            if part.denied is not None:
                reply.denial = part.denied
                chunks.append(sure_fail(reply.kind))
                talk.record_refused(reply)
            elif rows is not None and reply is rows.reply:
                chunks.append(rows.sent)
                chunks = rows.tail if reply.kind == ord("E") else chunks
                talk.record_statements(reply)
            else:
                chunks.append(part.raw)
                talk.record_statements(reply)
            talk.expect(reply)
        last = batch.parts[-1].reply if batch.parts else None
        alone = synchronised(batch) and not (talk.open_batch and last is not None and last.kind != ord("S"))
        talk.mixed = talk.mixed or (not alone and ends(batch) and bool(talk.replies))
        if talk.gate.opened and last is not None and last.kind in b"SQF" and talk.gate.leaves(batch, alone=alone):
            chunks.append(self.closing())
        if guard:
            chunks.append(self._ours(UNGUARD))
        talk.emit(ev.ToTarget(b"".join(head)))

    def _guard_rows(self, batch: Batch) -> RowGuard | None:
        """The row guard of an approved batch. In autocommit there is none for who wishes to read only: it can't write."""
        talk = self._talk
        part = next((each for each in batch.parts if each.allowed is not None), None)
        if part is None or talk.lost:
            return None
        guard = RowGuard(talk, part)
        talk.rowguard = None if guard.own and talk.gate.wish else guard
        return talk.rowguard

    def _ours(self, helper: bytes, then: Callable[[str, bool], None] = lambda _status, _failed: None) -> bytes:
        """A helper of ours on its way to the target; `then` hears the status that it leaves, and whether it failed."""
        self._talk.expect(Reply(ord("Q"), Mode.COLLECT, then=then))
        return helper

    def closing(self) -> bytes:
        gate = self._talk.gate
        opening = gate.openings
        return self._ours(CLOSE, lambda status, failed: gate.closed(status, failed=failed, opening=opening))

    def undo(self, names: Iterable[str], *, in_block: bool) -> None:
        """Take back what a try has left: see gate.undo."""
        self._talk.emit(ev.ToTarget(self._ours(undo(names, in_block=in_block))))

    def _not_skipped(self, batch: Batch) -> list[Part]:
        """The target skips all up to the next Sync: of this batch only that goes, and what was approved has failed."""
        talk = self._talk
        for reply in (part.reply for part in batch.parts if part.reply is not None):
            for execution in reply.executions:
                if execution.request and execution.decided_by:
                    talk.failed[execution.request] = ("", execution)
        last = batch.parts[-1]
        talk.lost = last.reply is None or last.reply.kind != ord("S")
        talk.phase = Phase.SKIPPING if talk.lost else talk.phase
        return [] if talk.lost else [last]

    def sync(self) -> None:
        talk = self._talk
        talk.expect(Reply(ord("S")))
        talk.open_batch = talk.lost = False
        closing = self.closing() if talk.gate.opened and talk.gate.leaves(Batch(), alone=True) else b""
        talk.emit(ev.ToTarget(frontend.SYNC + closing))


def _lone(batch: Batch, *, read_only: bool) -> list[tuple[Reply, Script]]:
    """Refuse each Parse or Bind that runs code and has no Execute of its portal that goes: that is what people saw and
    approved. Returns those without any Execute, with what they would have run; of the others the Execute tells.

    Of a text that can't be read nothing is known: its Parse alone goes where the target keeps it to reading.
    """
    lone = []
    executed: dict[int, Part] = {}
    for each in batch.parts:
        if each.reply is not None and each.reply.kind == ord("E") and each.reply.portal is not None:
            executed[id(each.reply.portal)] = executed[id(each.reply.portal.prepared)] = each
    for part in batch.parts:
        if part.runs is None or part.reply is None:
            continue
        execute = executed.get(id(part.runs))
        unread = isinstance(part.runs, Prepared) and part.runs.script.unparsable is not None
        if execute is None and not (unread and read_only):
            part.denied = refused_bind(part.runs.script.statements)
            lone.append((part.reply, part.runs.script))
        elif execute is not None and execute.denied is not None:
            part.denied = execute.denied
    return lone
