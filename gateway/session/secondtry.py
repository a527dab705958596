"""25006 turned into a judgement: what was taken for reads and writes is judged again, as code that may do anything. Pure.

    reads that call the user's code -> the target keeps them to reading -> their rows; nobody is asked, nothing is held
                                                                       -> 25006 before any of them (trial.py)
    25006 -> (savepoint rolled back, names given by the try dropped) -> judged as opaque -> held, refused, or run as it was sent

The client sees one answer to each of its messages: that of the try that counts. The record has both. What must not live here:
what of an answer is kept back (trial.py), what a verdict is (draft.py, judging.py), how a batch is sent (forwarding.py).
"""

from dataclasses import replace

from gateway.errors import TargetUnavailable
from gateway.policy.decide import Answer, Verdict
from gateway.session.draft import BEHIND, UNGUARDED, stopped
from gateway.session.forwarding import Forwarding
from gateway.session.gate import TRIES
from gateway.session.holding import Holding
from gateway.session.judging import WRITES
from gateway.session.names import Portal, Space
from gateway.session.replies import Batch, Part
from gateway.session.state import Conversation, Phase
from gateway.session.traits import needs_catalog, opaque
from gateway.session.trial import Stage, Trial, reads_only
from gateway.session.values import values as values_of
from gateway.sql.statement import Statement, StatementClass

_GIVEN_UP = Verdict(Answer.DENY, None, "canceling statement due to user request", sqlstate="57014")


class SecondTry:
    """The tries of one session, one at a time: `talk.trial`."""

    def __init__(self, talk: Conversation, forwarding: Forwarding, holding: Holding) -> None:
        self._talk = talk
        self._forwarding = forwarding
        self._holding = holding

    def forward(self, batch: Batch) -> None:
        """Send a batch that may go, as a try if it only reads. User code waits until nothing else is on its way."""
        talk = self._talk
        wished = talk.gate.wish and talk.status == "I"
        if batch.guards or (talk.drained and talk.status == "I" and not wished and reads_only(batch)):
            talk.trial = Trial.of(batch, wished=wished)
            self.advance()
        else:
            self._forwarding.forward(batch)

    def advance(self) -> None:
        """Go on with the try when all that was sent has been answered."""
        talk, trial = self._talk, self._talk.trial
        if trial is None or not talk.drained or talk.errand is not None or talk.phase is Phase.CLOSED:
            return
        if trial.stage is Stage.WAITING:
            if not (talk.gate.unsure and talk.status == "I"):  # else the gate is closed first
                self._begin(trial)
        elif trial.stage is Stage.TURNED:
            self._turn(trial)
        else:
            talk.trial = None

    def seen(self) -> None:
        """The client goes on while a try without user code is on its way: what is read now rests on what that one does."""
        self._talk.let_go()
        self._talk.trial = None

    def interrupted(self) -> None:
        """The client gave the statement up."""
        if self._talk.trial is not None:
            self._talk.trial.interrupted = True

    def _begin(self, trial: Trial) -> None:
        talk = self._talk
        trial.stage = Stage.TRYING
        in_block = trial.batch.guards and talk.status == "T"
        self._forwarding.forward(trial.batch)
        trial.mode = talk.replies[0] if in_block else None

    def _turn(self, trial: Trial) -> None:
        """The target is as it was before the try but for a savepoint and the names of statements: first those."""
        talk = self._talk
        if not trial.undone:
            trial.left = self._left(trial.batch)
        if talk.status == "E" or (trial.left and not trial.undone):
            trial.undone += 1
            if trial.undone > TRIES:
                raise TargetUnavailable("the target does not take back what failed")
            self._forwarding.undo(trial.left, in_block=talk.status == "E")
            return
        talk.trial = None
        batch = self._judged_again(trial)
        if batch.holds:
            self._holding.begin(batch, self._forwarding.forward)
        else:
            self._forwarding.forward(batch)

    def _left(self, batch: Batch) -> list[str]:
        """The statements that the try has named: they outlive the error, and the same Parse would be refused. Its portals don't."""
        names = self._talk.names
        left = []
        for change in (part.reply.change for part in batch.parts if part.reply and part.reply.change):
            known = names.statements if change.space is Space.STATEMENT else names.portals
            if change.name is None or change.value is None or known.get(change.name) is not change.value:
                continue
            if change.space is Space.STATEMENT and not change.name:
                continue  # the unnamed one is parsed anew, or of before
            names.apply(replace(change, value=None))
            if change.space is Space.STATEMENT:
                left.append(change.name)
        return left

    def _judged_again(self, trial: Trial) -> Batch:
        """The same messages: what met 25006 is opaque, and so is other code of the user's, which nothing keeps to reading now."""
        old = trial.batch
        self._talk.names.doubts += 1
        batch = Batch(statements=old.statements, portals=old.portals, binds=old.binds, doubts=True, rereads=old.rereads)
        behind = False  # code that people approve may define names
        for at, part in enumerate(old.parts):
            assert part.reply is not None  # only a Flush has none, and it ends no try  # noqa: S101
            change, executions = trial.saved[at]
            reply = replace(part.reply, change=change, executions=[], at=0, planned=False, masker=None)
            again = Part(part.raw, reply, runs=part.runs)
            if executions:
                verdict = self._judge(trial, at, again, behind=behind)
                again.held, again.denied = stopped(verdict)
                behind = behind or again.held is not None
            batch.add(again)
        _bind_with_execute(batch)
        return batch

    def _judge(self, trial: Trial, at: int, part: Part, *, behind: bool) -> Verdict:
        talk, reply = self._talk, part.reply
        assert reply is not None  # noqa: S101 - a part with executions
        executions = trial.saved[at][1]
        meant = [
            _meant(each.statement, met=trial.culprit == (at, n), behind=behind)
            for n, (each, _) in enumerate(executions)
        ]
        verdict = _GIVEN_UP if trial.interrupted else talk.judge.verdict(meant, talk.now)
        parameters = values_of(reply.portal) if reply.portal else None
        reply.executions = [
            talk.execution(each, verdict, parameters, changes)
            for each, (_, changes) in zip(meant, executions, strict=True)
        ]
        if reply.portal is not None:
            reply.portal.script = replace(
                reply.portal.script, statements=tuple(meant)
            )  # going on with it isn't guarded
        return verdict


def _meant(statement: Statement, *, met: bool, behind: bool) -> Statement:
    if met:
        return opaque(statement, WRITES)
    if behind and needs_catalog(statement):
        return opaque(statement, BEHIND)
    return opaque(statement, UNGUARDED) if statement.guarded else statement


def _bind_with_execute(batch: Batch) -> None:
    """The planner may run the code at Bind already: where its Execute is refused, it is too."""
    runs = {
        id(part.reply.portal)
        for part in batch.parts
        if part.reply and any(StatementClass.OPAQUE in each.statement.classes for each in part.reply.executions)
    }
    for part in batch.parts:
        portal = part.reply.change.value if part.reply and part.reply.change else None
        if isinstance(portal, Portal) and id(portal) in runs:
            part.runs = portal
