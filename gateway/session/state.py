"""What the parts of one session share: who, names, transaction status, replies owed, effects so far. No decisions.

intake.py reads the client, stream.py the target, holding.py waits for people; all three change this and nothing else.
"""

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from gateway.audit.entry import Value
from gateway.audit.pattern import milliseconds
from gateway.errors import GatewayError
from gateway.masking.placeholders import CopyWatch
from gateway.policy.decide import Verdict
from gateway.session import events as ev
from gateway.session.errands import Errand, Standing
from gateway.session.gate import Gate
from gateway.session.grounds import Login
from gateway.session.judging import Judge
from gateway.session.names import Change, Names
from gateway.session.renewal import SOON, Renewal
from gateway.session.replies import Execution, Mode, Reply
from gateway.session.spare import leaves_nothing
from gateway.session.story import Story
from gateway.session.traits import (
    changes_catalog,
    moves_path,
    moves_role,
    opaque,
    redefines,
    resets_all,
    sets_reading,
    uncertain,
    unqualified,
    unsettles,
)
from gateway.session.trial import Stage, Trial
from gateway.sql.catalog import Catalog
from gateway.sql.parse import MAX_BYTES
from gateway.sql.statement import Control, Script, Statement, StatementClass
from gateway.wire.backend import fatal
from gateway.wire.frontend import SYNC, message, parse

if TYPE_CHECKING:  # it works on the conversation
    from gateway.session.rowguard import RowGuard

#: Characters kept of what a client says of itself.
_TEXT_SHOWN = 1000
#: Settings of the client's own that are remembered, by name and value.
_SETTINGS_KEPT = 256
#: Channels likewise; the name of one more is redacted where anything is.
_CHANNELS_KEPT = 1024
#: What acts by the meaning of the names in it.
_ACTS = frozenset({StatementClass.READ, StatementClass.WRITE})
#: A setting falls back with its transaction or savepoint; a SET LOCAL with the COMMIT too.
UNDOING = frozenset({Control.COMMIT, Control.ROLLBACK, Control.ROLLBACK_TO, Control.PREPARE})


#: What leaves nothing behind that a COMMIT or ROLLBACK would decide on.
_KEEPS = frozenset({StatementClass.READ, StatementClass.HOUSEKEEPING})
_OPEN = "open"
_DRAINING = frozenset({ev.Why.DRAINING, ev.Why.OVERDUE})


class Phase(Enum):
    READY = "ready"
    HELD = "held"
    SKIPPING = "skipping"  # to the client's Sync: the target has already been synchronised by us
    COPY_IN = "copy in"
    CLOSED = "closed"


class Conversation:
    """One session's shared state. `status` is I, T or E from the last ReadyForQuery."""

    def __init__(self, login: Login, judge: Judge, names: Names, gate: Gate, status: str) -> None:
        self.login = login
        self.judge = judge
        self.grounds, self.reader = judge.grounds, judge.reader
        self.spreading, self.hiding = judge.spreading, judge.hiding
        self.names = names
        self.gate = gate
        self.status = status
        self.phase = Phase.READY
        self.replies: deque[Reply] = deque()
        self.effects: list[ev.Effect] = []
        self.now = 0.0
        self.open_batch = False  # something was forwarded since the last Sync, without a Sync
        self.lost = False  # an error came and no Sync is on its way: the target skips all up to the next one
        self.mixed = (
            False  # a Query went out behind messages without a Sync: it may be skipped, up to the client's Sync
        )
        self.watch: CopyWatch | None = None  # looks at the data of the COPY FROM STDIN at hand
        self.copying = False  # a COPY FROM STDIN is on its way: what comes next from the client may be its data
        self.temporary: set[str] = set()  # relations of this session's own; no catalog shows them
        self.temporary_code = False  # among them are some whose reading runs more than a read
        self.flushed = False  # waiting for the ReadyForQuery of a Sync that we put in the place of a Flush
        self.asking = False  # waiting for the parser process
        self.errand: Errand | None = None
        self.trial: Trial | None = None  # what went as reads and may have to be judged again
        self.rowguard: RowGuard | None = None  # an approved statement runs under a cap of rows
        self.accepted = ""  # the text that our grammar refuses and the target has just said it takes
        self.changing = False  # something that may change the catalog is on its way
        self.changed = False  # it ran in a transaction that is still open: read the catalog again when that has ended
        self.redefined = False  # and names may mean something in this transaction that no catalog we could read says
        self.lurking = False  # code ran in this transaction that may have left more to its end, in deferred triggers
        self.renewal = Renewal()  # what waits for the catalog
        self.ending: ev.Why | None = None
        self.path_stale = True  # search_path is not known (any more): ask the target before judging by it
        self.path_in_transaction = False
        self.path_moved = False  # something may have changed it since the session began
        self.reread_inside = False  # a setting by which constants are read may fall back with the transaction
        self.role_moved = False  # SET ROLE: "$user" on the path may stand for another now
        self.target_said_fatal = False
        #: Settings that give a text its meaning, as the target says (ParameterStatus).
        self.reported: dict[str, str] = {}
        self.channels: set[bytes] = set()  # those that the client itself has named in LISTEN
        #: Settings as the client itself has written them, in lower case: it may be told of these.
        self.own_settings = {("application_name", login.agent.lower())}
        self.claimed_reason = ""  # of the statement at hand; without secrets, as all that is kept or shown
        self._session_reason = ""  # SET hoop.reason: stands where a statement says nothing itself
        self.ended_as = ""  # how the first transaction ended since the last ReadyForQuery, if one did
        self.broke = False  # an error was answered since the last ReadyForQuery
        self.mid_message = False  # the client has had a part of a row: nothing of ours may go out now
        self.ran: list[Execution] = []  # approved and executed since the last ReadyForQuery
        self.failed: dict[str, tuple[str, Execution]] = {}  # approved and failed: request -> (SQLSTATE, which)
        self.unsettled: list[str] = []  # executed requests whose transaction is still open
        self.as_new = True  # nothing has come to the target that DISCARD ALL may not take back
        self.number = 0  # of the last statement
        self.story = Story(login, judge)

    # --- what can happen now ------------------------------------------------------------------------------------------

    @property
    def drained(self) -> bool:
        """Nothing is owed and the target is synchronised: its transaction status is known and we may ask it things."""
        return not self.replies and not self.open_batch

    @property
    def runs(self) -> bool:
        """Is the target at something of the client's?"""
        return not self.target_said_fatal and any(each.mode is not Mode.COLLECT for each in self.replies)

    @property
    def draining(self) -> bool:
        """Does the session end as soon as nothing runs?"""
        return self.ending in _DRAINING

    @property
    def turned(self) -> bool:
        """Has the try at hand failed for writing, so that it is judged again?"""
        return self.trial is not None and self.trial.stage is Stage.TURNED

    @property
    def busy(self) -> bool:
        """True while no client message may be read. The rows of a COPY are not judged: the target waits for nothing else."""
        return self.phase is not Phase.COPY_IN and (
            self.phase in (Phase.HELD, Phase.CLOSED)
            or (self.ending is not None and self.draining and not self.open_batch)
            or self.target_said_fatal  # its connection ends; nothing that came since will be answered
            or self.errand is not None
            or self.rowguard is not None
            or self.asking
            or self.flushed
            or self.renewal.stops_all
            or (self.changing and not self.open_batch)
            or self.copying
            or self.mixed
            or self._gate_unsure
            or (self.trial is not None and self.trial.blocks)
            or self._path_unsure
        )

    @property
    def _path_unsure(self) -> bool:
        """It has to be asked for first. Nothing is judged up to a Sync, nor where the transaction has failed."""
        judges = self.phase is not Phase.SKIPPING and (self.status != "E" or bool(self.replies))
        return self.path_stale and not self.open_batch and judges

    @property
    def _gate_unsure(self) -> bool:
        """It has to be closed first, or it has to be known first whether we are still in a transaction."""
        waits = self.status == "I" or bool(self.replies)
        return self.gate.unsure and self.phase is Phase.READY and not self.open_batch and waits

    @property
    def at_rest(self) -> bool:
        """Is nothing going on, owed, in doubt or remembered that could make a plain read anything but a plain read?"""
        return not (
            self.phase is not Phase.READY
            or self.status == "E"
            or self.replies
            or self.busy
            or self.open_batch
            or self.lost
            or self.changed
            or self.redefined
            or self.lurking
            or self.renewal.under_way
            or self.trial is not None
            or self.ending is not None
            or (self.path_in_transaction and self.status == "I")
            or self.temporary
            or self.temporary_code
            or self.claimed_reason
            or self._session_reason
            or self.ended_as
            or self.broke
            or self.mid_message
            or self.ran
            or self.failed
            or self.unsettled
            or self.gate.opened
            or self.gate.unsure
            or self.gate.wish
        )

    @property
    def is_spare(self) -> bool:
        """May its connection to the target serve another session, once it is reset?"""
        catalog = self.grounds.catalog
        greets = catalog is None or catalog.greets  # code runs at each login, or may: each session is owed it
        return self.as_new and self.status == "I" and self.at_rest and not greets

    def still_copying(self) -> None:
        """Something was answered: is a COPY FROM STDIN still on its way? It may be one of a later batch."""
        self.copying = self.copying and any(each.copies_in for each in self.replies)

    # --- effects ------------------------------------------------------------------------------------------------------

    def emit(self, effect: ev.Effect) -> None:
        self.effects.append(effect)

    def let_go(self) -> None:
        """What was kept back of a first try goes to the client: it is the one that counts."""
        trial = self.trial
        if trial is not None and trial.stage is Stage.TRYING:
            trial.stage = Stage.PASSING
            if trial.kept:
                self.emit(ev.ToClient(b"".join(trial.kept)))
                trial.kept.clear()
            if not trial.blocks:
                self.trial = None

    def say_fatal(self, error: GatewayError) -> None:
        """Tell the client why its session ends, unless the target has; inside a row it would be read as a part of that row."""
        if not (self.mid_message or self.target_said_fatal) and self.phase is not Phase.CLOSED:
            self.emit(ev.ToClient(fatal(error)))

    def record(self, kind: str, **fields: Value) -> None:
        """Put an audit entry among the effects, with who and where."""
        self.emit(ev.Record(kind, self.story.told(fields)))

    def read(self, sql: str) -> Script | None:
        """Read a text; None where the parser process was asked and has not answered, or where it waits for the catalog."""
        if self.renewal.under_way and len(sql) > MAX_BYTES:  # else the parser process would be asked anew each time
            self.renew()
            return None
        script = self.reader.read(sql)
        if script is not None and self.stale(script):
            return None
        if script is None:
            self.asking = True
            self.emit(ev.Ask(sql))
        else:
            self.claimed_reason = self.hiding.scrub(script.claimed_reason) or self._session_reason
        return script

    def stale(self, script: Script) -> bool:
        """Does it wait for the catalog, which this session has changed?"""
        waits = self.renewal.stops(script, self.grounds.catalog, self.grounds.search_path)
        if waits:
            self.renew()
        return waits

    def renew(self) -> None:
        """Have the catalog read, if that was put off."""
        if self.renewal.owed:
            self.renewal.asked()
            self.emit(ev.ReloadCatalog())

    # --- executions ---------------------------------------------------------------------------------------------------

    def execution(
        self,
        statement: Statement,
        verdict: Verdict,
        parameters: tuple[str | None, ...] | None,
        changes: tuple[Change, ...],
    ) -> Execution:
        """Number a statement of the client and mask what will be told about it."""
        self.number += 1
        facts = self.story.facts(statement)
        return Execution(
            self.number,
            statement,
            verdict,
            facts.sql,
            None if parameters is None else self.hiding.told_values(statement, parameters),
            changes=changes,
            tested=facts.tested,
            copies=facts.copies,
            passed_on=facts.passed_on,
            protected=facts.protected or self._may_quote_temporary(statement),
        )

    def may_quote(self, statement: Statement) -> bool:
        """Whether an error of this statement could quote a protected value."""
        return self.grounds.touches_protected(statement) or self._may_quote_temporary(statement)

    def _may_quote_temporary(self, statement: Statement) -> bool:
        return self.grounds.protects and bool(self.temporary & unqualified(statement))

    def record_statements(self, reply: Reply) -> None:
        """Record what is about to be forwarded, and start its clock."""
        for each in reply.executions:
            each.started = self.now
            self.emit(self.story.begun(each, self.claimed_reason))

    def record_refused(self, reply: Reply, sqlstate: str = "", reason: str = "", outcome: str = "") -> None:
        """Record what policy refused, or what never came to a decision (then why, and what people had decided of its like);
        a request's end is recorded by the desk, if it was stored."""
        for each in reply.executions:
            if each.request is None or sqlstate:
                story = {**self.story.of(each), "sqlstate": sqlstate or each.verdict.sqlstate, "outcome": outcome}
                self.record("refused", **story, reason=reason or each.verdict.reason)
        reply.executions = []

    def finish(self, execution: Execution, sqlstate: str = "", rows: int | None = None, reason: str = "") -> None:
        """Record the end of one statement."""
        took = milliseconds(self.now - execution.started)
        self.emit(self.story.over(execution, execution.rows if rows is None else rows, took, sqlstate, reason))

    def skipped(self, execution: Execution) -> None:
        """Record that an earlier error made the target skip it: it did not run."""
        self.record("finished", **self.story.of(execution), outcome="failed", reason="skipped after an error")

    # --- replies ------------------------------------------------------------------------------------------------------

    def expect(self, reply: Reply) -> None:
        """One more message is on its way to the target."""
        self.replies.append(reply)
        if reply.kind == ord("Q") and reply.mode is Mode.EXPECT:
            self.names.query()
        if reply.change is not None:
            self.names.sent(reply.change)
        for execution in reply.executions:
            for change in execution.changes:
                self.names.sent(change)
            self._watch(execution.statement)
            self.lurking = self.lurking or unsettles(execution.statement)
            code = execution.request and StatementClass.OPAQUE in execution.statement.classes
            if code or execution.statement.unsettles:
                self.changing = self.changed = True  # it may have defined what no catalog shows yet
                self.renewal.ran_code()
            self.copying = self.copying or execution.statement.copies == "in"

    def moves_path(self, statement: Statement) -> bool:
        """May it change search_path, be it by taking back what its transaction or the session did to it?"""
        back = (self.path_in_transaction and statement.control in UNDOING) or (
            self.path_moved and resets_all(statement)
        )
        return back or moves_path(statement)

    def rereads(self, statement: Statement) -> bool:
        """May it change a setting by which constants are read? RESET ALL where one may have been changed before: pools send it each time
        that a connection is given back, and what was prepared before goes on meaning what it did."""
        moved = self.names.readings != self.names.at_reset
        return sets_reading(statement) or unsettles(statement) or (moved and resets_all(statement))

    def doubted(self, statement: Statement) -> Statement:
        """The statement, opaque where it uses a temporary relation that stands for another, or that may run code."""
        if self.temporary and self.judge.wants_to_write(statement):
            return opaque(
                statement, "code that it calls writes, and the server lets it where the relation is temporary"
            )
        names = self.temporary & unqualified(statement)
        if not names or not statement.classes & _ACTS:
            return statement
        catalog, path = self.grounds.catalog, self.grounds.search_path
        if self.temporary_code or any(catalog and catalog.find(None, name, path) for name in names):
            return uncertain(
                statement, "it uses a temporary relation in the place of another, or one that may run code"
            )
        return statement

    def _path_is_temporary(self) -> bool:
        """CREATE TABLE without TEMP makes a temporary one where pg_temp stands first on the path."""
        return any(each.startswith("pg_temp") for each in self.grounds.search_path)

    def _watch(self, statement: Statement) -> None:
        """Note what this statement may change behind our back once it runs."""
        self.as_new = self.as_new and leaves_nothing(statement)
        self.spreading.runs(statement)
        use = statement.names
        if use is not None and use.verb == "LISTEN" and use.name and len(self.channels) < _CHANNELS_KEPT:
            self.channels.add(use.name.encode())
        if statement.temporary or (StatementClass.DDL in statement.classes and self._path_is_temporary()):
            self.temporary |= unqualified(statement)
            self.temporary_code = self.temporary_code or statement.tag.endswith("VIEW")
        elif self.temporary and StatementClass.DDL in statement.classes and redefines(statement):
            self.temporary |= unqualified(statement)
            self.temporary_code = True
        if changes_catalog(statement):
            self.changing = self.changed = True
            self.redefined = self.redefined or redefines(statement)
            self.renewal.ran(statement)
        if moves_role(statement):
            self.role_moved = self.path_stale = self.path_in_transaction = True
        if self.moves_path(statement):
            self.path_stale = self.path_in_transaction = True
        self.path_moved = self.path_moved or moves_path(statement)
        self.wrote_settings(statement)

    def wrote_settings(self, statement: Statement) -> None:
        """Note what the client itself has set by it."""
        for name, value in statement.settings:
            if value is not None and "." not in name and len(self.own_settings) < _SETTINGS_KEPT:
                self.own_settings.add((name.lower(), value.lower()))
            if name.lower() == "application_name" and value is not None:
                self.judge.agent = value[:_TEXT_SHOWN]
                self.story.renamed(self.hiding.scrub(self.judge.agent))
            elif name.lower() == "hoop.reason":
                self._session_reason = self.hiding.scrub((value or "")[:_TEXT_SHOWN])
                self.claimed_reason = self._session_reason

    def status_is(self, status: str) -> None:
        """ReadyForQuery: tell how approved statements ended, and forget what died with the transaction."""
        self.status = status
        self.quiet()
        ended = status == "I"
        self.names.answered(done=ended and not self.broke)
        if ended and not self.replies:
            self.lurking = False
        if ended:
            self.transaction_over("rolled back" if self.broke else "committed")
        wish = self.gate.status_is(status, rolled_back=self.ended_as == "rolled back")
        if wish is not None:
            self.emit(ev.ToClient(message(b"S", wish)))
        self.ended_as = ""
        for request, executions in _by_request(self.ran).items():
            if request not in self.failed:
                rows = sum(each.rows for each in executions)
                fate = _fate(executions)
                self.emit(ev.Finished(request, rows, "", self._took(executions[0]), fate))
                if fate == _OPEN:
                    self.unsettled.append(request)
        self._tell_failed()
        self.ran, self.failed = [], {}
        if ended:
            self.path_stale = self.path_stale or self.path_in_transaction
            self.path_in_transaction = self.reread_inside = False
            self.names.transaction_ended()

    def quiet(self) -> None:
        """If nothing is owed any more: what was to change the catalog has, and outside a transaction it can be read again."""
        if self.replies:
            return
        self.changing = self.mixed = False
        if self.changed and self.status == "I":
            self.changed = self.redefined = False
            if self.renewal.waits and not self.renewal.owed:
                self.emit(ev.WakeAt(self.now + SOON))
            self.renewal.owed = True
            if not self.renewal.waits:
                self.renew()

    def reloaded(self, catalog: Catalog | None) -> None:
        """The catalog has been read since what changed it was over."""
        self.refreshed(catalog)
        self.renewal.answered(settled=not self.changed)

    def refreshed(self, catalog: Catalog | None) -> None:
        """The catalog was read anew. It may be the first to say that code runs at each login."""
        before = self.grounds.catalog
        self.grounds.refresh(catalog)
        if catalog is not None and catalog.greets and not (before is not None and before.greets):
            self.greeted()

    def greeted(self) -> None:
        """Code may have run at the login: RESET ALL takes back more than what was found."""
        self.path_moved = True
        self.names.greeted()

    def transaction_over(self, fate: str) -> None:
        """A transaction has ended, be it in the middle of a query string: what ran in it is "committed" or "rolled back"."""
        self.ended_as = self.ended_as or fate
        for each in self.ran:
            each.fate = each.fate or fate
        for request in self.unsettled:
            self.emit(ev.Settled(request, fate))
        self.unsettled = []

    def _tell_failed(self) -> None:
        """A request that failed is rolled back, but for what its own COMMIT has made last."""
        ran = _by_request(self.ran)
        for request, (sqlstate, execution) in self.failed.items():
            kept = any(each.fate == "committed" for each in _changing(ran.get(request, [])))
            fate = "partly committed" if kept else "rolled back"
            # rows of a failed one: the row guard has counted them
            self.emit(ev.Finished(request, execution.rows or None, sqlstate or "25P02", self._took(execution), fate))

    def broken_off(self, *, in_flight: bool) -> None:
        """The target's connection ends before its next ReadyForQuery: tell how approved statements ended, as far as seen.

        The target rolls an open transaction back, unless what is `in_flight` ended it first.
        """
        for request in _by_request(self.ran):
            if request and request not in self.failed:
                self.emit(ev.Unknown(request))
        self._tell_failed()
        for request in self.unsettled:
            self.emit(ev.Settled(request, "its end was not seen" if in_flight else "rolled back"))
        self.ran, self.failed, self.unsettled = [], {}, []

    def _took(self, execution: Execution) -> float:
        return milliseconds(self.now - execution.started)

    # --- errands ------------------------------------------------------------------------------------------------------

    def run_errand(self) -> None:
        """Send the errand's next question, if there is one and the target is ready for it."""
        errand = self.errand
        if errand is None or errand.waiting or not self.drained or self.phase is Phase.CLOSED:
            return
        question = errand.next()
        if question is None:
            unnamed = self.names.statements.get("")
            if unnamed is not None and errand.asked and not errand.repaired and self.status != "E":
                # A simple Query drops the unnamed statement; the client may still bind it.
                errand.repaired = True
                question = parse("", unnamed.shown, unnamed.types) + SYNC
            else:
                self.errand = None
                errand.finish()
                return
        errand.waiting = True
        self.expect(Reply(ord("Q"), Mode.COLLECT))
        self.emit(ev.ToTarget(question))

    def stands(self, found: object) -> None:
        """The target has said what names mean now."""
        if not isinstance(found, Standing):
            return  # it failed (a cancel, a short statement_timeout): nothing is judged by the old path, we ask again
        self.path_stale = False
        self.grounds.moved(found.search_path)
        if found.redefined and self.status == "T":
            self.changed = self.redefined = True
            self.renewal.ran_code()
        if found.statements is not None:
            self.names.verified(found.statements, found.portals)
            self.temporary_code = self.temporary_code or not found.temporary <= self.temporary
            self.temporary |= found.temporary

    def errand_answered(self, messages: list[tuple[int, bytes]]) -> None:
        """The target has answered the errand's question, up to ReadyForQuery."""
        if self.errand is not None:
            self.errand.answer(messages)
            self.run_errand()


def _by_request(executions: list[Execution]) -> dict[str, list[Execution]]:
    grouped: dict[str, list[Execution]] = {}
    for each in executions:
        grouped.setdefault(each.request or "", []).append(each)
    return grouped


def _changing(executions: list[Execution]) -> list[Execution]:
    """Those whose fate matters: a read behind a ROLLBACK makes nothing last."""
    return [each for each in executions if not each.statement.classes <= _KEEPS]


def _fate(executions: list[Execution]) -> str:
    fates = {each.fate or _OPEN for each in _changing(executions) or executions}
    if len(fates) == 1:
        return fates.pop()
    return "partly committed" if "committed" in fates else _OPEN
