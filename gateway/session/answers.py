"""What the target's messages say, one handler a type: answers that were owed, names, status, errors, settings. Pure.

What lives here: matching each message with the reply that is owed, and what it changes. What must not: rows
(results.py), cutting the stream into messages (stream.py), sending anything to the target.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.errors import ProtocolViolation, TargetUnavailable
from gateway.masking.diagnostics import may_hold_values, scrub_notification, scrub_parameter
from gateway.session import events as ev
from gateway.session.gate import SETTING
from gateway.session.guard import NO_PORTAL, refused_by_policy
from gateway.session.meaning import REPORTED
from gateway.session.names import Names
from gateway.session.replies import Execution, Mode, Reply
from gateway.session.results import COPY_DATA, DATA_ROW, Results, approved, due
from gateway.session.state import Conversation, Phase
from gateway.session.traits import fires_deferred, is_read_by
from gateway.session.trial import ANY_TIME, READ_ONLY
from gateway.sql.statement import Control
from gateway.wire.backend import (
    command_tag,
    fields,
    parameter_description,
    read_parameter_status,
    row_description,
    tag_rows,
)
from gateway.wire.frontend import message

_COPY_CUT = "the target ended COPY FROM STDIN before its data did"
_JUDGED_AGAIN = "the server says that it writes: judged again"
#: Settings under which the target would read a text otherwise than we did (enforcement.md 4.1, 1 to 3).
_PINNED = {"standard_conforming_strings": ("ON",), "client_encoding": ("UTF8", "UNICODE")}

#: What ends a transaction, and its fate by the tag: a COMMIT of an aborted one is answered ROLLBACK.
_ENDS = frozenset({Control.COMMIT, Control.ROLLBACK, Control.PREPARE})
_FATES = {"ROLLBACK": "rolled back", "PREPARE TRANSACTION": "prepared"}


class Answers:
    """Of one session. `touched`: since the last ReadyForQuery a statement ran that may show protected values;
    `reached`: likewise in this transaction, whose deferred constraints and triggers may quote them."""

    def __init__(self, talk: Conversation, results: Results) -> None:
        self._talk = talk
        self._results = results
        self.touched = self.reached = False

    def ran(self, *, protected: bool) -> None:
        """A statement ran in this transaction that may show protected values."""
        self.reached = self.reached or protected

    def forget_block(self) -> None:
        """The transaction is over, and nothing of it is owed."""
        self.reached = False

    def take(self, kind: int, raw: bytes) -> None:
        """Take one whole message, or a run of whole rows. Raises TargetUnavailable where the target may not say it."""
        if kind == DATA_ROW:
            self._results.rows(raw)
            return
        handle = _HANDLERS.get(kind)
        if handle is None:
            raise TargetUnavailable(f"the target sent an unexpected message of type {chr(kind)}")
        body = raw[5:]
        if kind not in b"NSA" and self._talk.replies and self._talk.replies[0].mode is Mode.COLLECT:
            self._collect(kind, body)
            return
        self._tried(kind, body)
        shown = handle(self, body)
        if shown is not None:
            self._results.show(kind, raw if shown is body else message(bytes((kind,)), shown))

    def _tried(self, kind: int, body: bytes) -> None:
        """Does the first try of reads end here, or does 25006 turn it?"""
        talk = self._talk
        trial = talk.trial
        if trial is None:
            return
        if kind == ord("E") and talk.replies and trial.turns(talk.replies[0], fields(body).get("C", "")):
            return
        if not trial.keeps(kind) and kind not in ANY_TIME:
            talk.let_go()

    def _collect(self, kind: int, body: bytes) -> None:
        talk = self._talk
        head = talk.replies[0]
        head.collected.append((kind, body))
        if kind == ord("Z"):
            talk.replies.popleft()
            failed = any(each == ord("E") for each, _ in head.collected)
            talk.status = _status(body, talk.status, failed=failed or talk.broke)
            if head.then is not None:
                head.then(talk.status, failed)
                talk.quiet()
            else:
                talk.errand_answered(head.collected)

    def _pop(self, what: str, kinds: bytes) -> Reply:
        head = due(self._talk, what)
        if head.kind not in kinds:
            raise TargetUnavailable(f"the target sent {what} in answer to {chr(head.kind)}")
        return self._talk.replies.popleft()

    def _seen(self, head: Reply, body: bytes) -> bytes | None:
        return body if head.mode is Mode.EXPECT else None

    # --- names and descriptions ---------------------------------------------------------------------------------------

    def _parse_complete(self, body: bytes) -> bytes | None:
        return self._named("ParseComplete", b"P", body)

    def _bind_complete(self, body: bytes) -> bytes | None:
        return self._named("BindComplete", b"B", body)

    def _close_complete(self, body: bytes) -> bytes | None:
        return self._named("CloseComplete", b"C", body)

    def _named(self, what: str, kinds: bytes, body: bytes) -> bytes | None:
        head = self._pop(what, kinds)
        if head.change is not None:
            self._talk.names.confirmed(head.change)
        return self._seen(head, body)

    def _parameter_description(self, body: bytes) -> bytes | None:
        head = due(self._talk, "ParameterDescription")
        if head.prepared is not None:
            head.prepared.types = parameter_description(body)
        return self._seen(head, body)

    def _row_description(self, body: bytes) -> bytes | None:
        head = due(self._talk, "RowDescription")
        body = self._talk.hiding.names(body)
        columns = row_description(body)
        if head.kind == ord("D"):
            if head.prepared is not None and head.prepared.lasts:
                head.prepared.columns, head.prepared.rowless = columns, False
            if head.portal is not None:
                head.portal.columns = columns
                # JDBC never describes the statement itself, only the first portal of it
                prepared = head.portal.prepared
                if prepared.lasts:
                    prepared.columns, prepared.rowless = tuple(replace(each, format=0) for each in columns), False
            self._talk.replies.popleft()
        else:
            self._results.plan(head, columns)
        return self._seen(head, body)

    def _no_data(self, body: bytes) -> bytes | None:
        head = self._pop("NoData", b"D")
        prepared = head.prepared or (head.portal and head.portal.prepared)
        if prepared:
            prepared.rowless = prepared.lasts and prepared.columns is None
        return self._seen(head, body)

    # --- ends of statements -------------------------------------------------------------------------------------------

    def _command_complete(self, body: bytes) -> bytes | None:
        talk = self._talk
        head = due(talk, "CommandComplete")
        if talk.phase is Phase.COPY_IN:
            raise TargetUnavailable(_COPY_CUT)
        guard = self._results.guarding(head)
        if guard is not None:
            counts = guard.counted(body)
            if counts is None:
                return None
            body = counts
        tag = command_tag(body)
        execution = head.execution
        if execution is not None:
            self._done(head, execution, tag_rows(tag))
            if execution.statement.control in _ENDS:
                talk.transaction_over(_FATES.get(tag, "committed"))
        self._next(head)
        return guard.told(body) if guard is not None else self._seen(head, body)

    def _empty(self, body: bytes) -> bytes | None:
        head = due(self._talk, "EmptyQueryResponse")
        if head.execution is not None:
            self._done(head, head.execution, 0)
        self._next(head)
        return self._seen(head, body)

    def _suspended(self, body: bytes) -> bytes | None:
        head = self._pop("PortalSuspended", b"E")
        if head.execution is not None:
            self._done(head, head.execution, None)
            if head.portal is not None and head.execution.request:
                head.portal.released = True
        return self._seen(head, body)

    def _next(self, head: Reply) -> None:
        """The statement the target was at is over: an Execute is answered, a query string goes on to its next."""
        if head.kind == ord("E"):
            self._talk.replies.popleft()
        elif head.at < len(head.executions):
            head.at += 1
        self._results.over(head)

    def _done(self, head: Reply, execution: Execution, rows: int | None) -> None:
        talk = self._talk
        self.touched = self.touched or execution.protected
        self.reached = self.reached or execution.protected
        self._results.masked(head, execution)
        talk.finish(execution, rows=rows)
        talk.gate.ran(execution.statement)
        if execution.statement.control is Control.BEGIN:
            self._results.within = "T"
        elif execution.statement.control in _ENDS:
            self._results.within = "T" if execution.statement.chain else "I"
        for change in execution.changes:
            talk.names.confirmed(change)
        execution.changes = ()
        if execution.request:
            execution.rows = rows or 0
            talk.ran.append(execution)

    def _ready(self, body: bytes) -> bytes | None:
        talk = self._talk
        status = _status(body, talk.status, failed=talk.broke)
        if talk.phase is Phase.COPY_IN:
            raise TargetUnavailable(_COPY_CUT)
        guard = self._results.guarding(due(self._talk, "ReadyForQuery"))
        if guard is not None and not guard.ready(status):
            return None
        head = self._pop("ReadyForQuery", b"SQF")
        talk.still_copying()
        self.touched, self._results.within = False, ""
        self.reached = self.reached and status != "I"
        talk.status_is(status)
        if head.mode is Mode.SWALLOW:
            talk.flushed = False
            if talk.broke:
                talk.phase = Phase.SKIPPING
        talk.broke = False
        return self._seen(head, body)

    # --- errors -------------------------------------------------------------------------------------------------------

    def _error(self, body: bytes) -> bytes | None:
        talk = self._talk
        found = fields(body)
        sqlstate = found.get("C", "XX000")
        fatal = "FATAL" in (found.get("V"), found.get("S"))
        talk.target_said_fatal = talk.target_said_fatal or fatal
        talk.trial = None if fatal else talk.trial
        if not talk.replies:
            return talk.hiding.diagnostics(body, protected=False)
        head = talk.replies[0]
        guard = self._results.guarding(head)
        if guard is not None and guard.undoing and not fatal:
            return None
        if talk.phase is Phase.COPY_IN:
            talk.phase = Phase.READY
        if sqlstate == READ_ONLY:
            self._wrote(head)
        execution = head.execution
        denial, mode = head.denial, head.mode
        if head.refusal is not None:
            sqlstate = head.refusal.sqlstate
        protected = talk.grounds.protects and self._may_quote(head, execution)
        if head.stands_for is not None:
            body = body.replace(NO_PORTAL.encode(), head.stands_for.encode())
        if execution is not None and not denial:
            self.touched = self.touched or execution.protected
            self._results.masked(head, execution)
            why = head.refusal.reason if head.refusal else _JUDGED_AGAIN if talk.turned else ""
            talk.finish(execution, sqlstate, 0, why)
            self._drop_changes(execution)
            if execution.request:
                talk.failed[execution.request] = (sqlstate, execution)
            head.at += 1
        self._results.copy = None
        talk.broke = True
        if head.kind in b"QF":
            self._skip(head)
        else:
            self._skip_to_sync()
        self._tell_guard(head)
        talk.still_copying()
        if head.refusal is not None:
            denial = refused_by_policy(head.refusal)
        if denial is not None and not fatal:
            talk.emit(ev.ToClient(denial))
            return None
        shown = talk.hiding.diagnostics(body, protected=protected)
        # The Describe that we put before an Execute fails for it: the target skips the Execute.
        ours = mode is not Mode.EXPECT and head.kind != ord("D")
        return None if ours and not talk.flushed and not fatal else shown

    def _wrote(self, head: Reply) -> None:
        """What was taken for a read and writes, and can't be turned any more, is not taken for one again: else nobody could
        ever approve it. Nor is a cursor's query, which runs on in each FETCH."""
        trial, execution = self._talk.trial, head.execution
        if trial is not None:
            found = trial.writer(head)
        else:
            found = execution.statement if execution is not None and execution.statement.guarded else None
        if found is not None and (not self._talk.turned or found.names is not None):
            self._talk.judge.writes(found)

    def _tell_guard(self, head: Reply) -> None:
        """An error came in answer to `head`: was the guarded statement hit, be it skipped with others?"""
        guard = self._talk.rowguard
        if guard is not None and (guard.reply is head or not any(each is guard.reply for each in self._talk.replies)):
            guard.failed()

    def _may_quote(self, head: Reply, execution: Execution | None) -> bool:
        """Whether an error or notice of this reply could quote a protected value. Of a Parse or Bind its statement is known, too."""
        if execution is not None:
            return execution.protected or (self.reached and fires_deferred(execution.statement))
        meant = head.change.value if head.change else None
        return meant is None or any(self._talk.may_quote(each) for each in meant.script.statements)

    def _drop_changes(self, execution: Execution) -> None:
        for change in execution.changes:
            self._talk.names.dropped(change)
        execution.changes = ()

    def _skip(self, reply: Reply) -> None:
        """The rest of this message's statements will not run."""
        names: Names = self._talk.names
        if reply.change is not None:
            names.dropped(reply.change)
            reply.change = None
        for execution in reply.executions[reply.at :]:
            self._talk.skipped(execution)
            self._drop_changes(execution)
            if execution.request:
                self._talk.failed[execution.request] = ("", execution)
        reply.executions = reply.executions[: reply.at]

    def _skip_to_sync(self) -> None:
        """After an error the target discards messages up to Sync, and so must we."""
        replies = self._talk.replies
        while replies and replies[0].kind != ord("S"):
            self._skip(replies.popleft())
        if not replies:
            # It discards what is still to come, too; nothing of that may be taken for an answer owed.
            talk = self._talk
            talk.lost = talk.open_batch = True
            talk.mixed = False
            if talk.errand is not None and not talk.errand.asked:
                talk.errand = None  # the target would not hear it, and skips what it was about
            if talk.phase is Phase.READY:
                talk.phase = Phase.SKIPPING

    # --- COPY ---------------------------------------------------------------------------------------------------------

    def _copy_in(self, body: bytes) -> bytes | None:
        talk = self._talk
        head = due(talk, "CopyInResponse")
        if head.kind == ord("E"):
            # The Syncs already forwarded behind this Execute are ignored in COPY: the client is owed nothing for them.
            while len(talk.replies) > 1 and talk.replies[1].kind == ord("S"):
                del talk.replies[1]
                talk.open_batch = True
        elif len(talk.replies) > 1:
            raise TargetUnavailable("a message was sent behind COPY FROM STDIN, in the place of its data")
        talk.phase, talk.copying = Phase.COPY_IN, False
        talk.watch = talk.hiding.watch_copy()
        return self._seen(head, body)

    def _copy_out(self, body: bytes) -> bytes | None:
        talk = self._talk
        head = due(talk, "CopyOutResponse")
        statement = head.execution.statement if head.execution else None
        self._results.showing(head.execution)
        self._results.copy = talk.hiding.copier(statement, body, approved=approved(head))
        return self._seen(head, body)

    def _copy_both(self, _body: bytes) -> bytes | None:
        raise TargetUnavailable("the target began a replication stream")

    def _copy_data(self, body: bytes) -> bytes | None:
        head = due(self._talk, "CopyData")
        if head.mode is not Mode.EXPECT:
            return None
        # Nothing comes of a body that ends inside a row: the masker keeps it for the next one.
        return (self._results.copy.data(body) or None) if self._results.copy else body

    def _copy_done(self, body: bytes) -> bytes | None:
        head = due(self._talk, "CopyDone")
        rest = self._results.copy.end() if self._results.copy and head.mode is Mode.EXPECT else b""
        if rest:
            self._results.show(COPY_DATA, message(b"d", rest))
        return self._seen(head, body)

    # --- what comes at any time, or never -----------------------------------------------------------------------------

    def _notice(self, body: bytes) -> bytes | None:
        talk = self._talk
        if talk.replies and talk.replies[0].mode is not Mode.EXPECT:
            return None
        head = talk.replies[0] if talk.replies else None
        protected = talk.grounds.protects and head is not None and self._may_quote(head, head.execution)
        return talk.hiding.diagnostics(body, protected=protected)

    def _notification(self, body: bytes) -> bytes | None:
        talk = self._talk
        return scrub_notification(body, talk.grounds.detectors, talk.channels if talk.grounds.protects else None)

    def _parameter_status(self, body: bytes) -> bytes | None:
        name, value = read_parameter_status(body)
        pinned = _PINNED.get(name)
        if pinned is not None and value.upper() not in pinned:
            raise ProtocolViolation(
                f"{name} was changed to {value}: statements could then be read in two ways", sqlstate="42501"
            )
        self._talk.as_new = False
        if name == "search_path":
            self._talk.path_stale = self._talk.path_moved = True
        if name in REPORTED:
            self._talk.reported[name] = value
        if is_read_by(name):
            self._talk.names.told()
        if name == SETTING:
            if not self._talk.replies or self._talk.replies[0].mode is not Mode.COLLECT:
                self._talk.gate.reported(value)
            return None  # the gate opens and closes; the client's own wish is told when it changes
        doubtful = (self.touched or self._talk.grounds.doubts_settings) and may_hold_values(name, value)
        if doubtful and (name.lower(), value.lower()) not in self._talk.own_settings:
            return None  # a statement may have set it to what it read
        return scrub_parameter(body, self._talk.grounds.detectors)

    def _call_response(self, _body: bytes) -> bytes | None:
        raise TargetUnavailable("the target answered a function call that was not forwarded")


#: What is done with a message, by its type. Behind the class, because no compiled class can name its methods inside it.
_HANDLERS: Mapping[int, Callable[[Answers, bytes], bytes | None]] = {
    ord("1"): Answers._parse_complete,
    ord("2"): Answers._bind_complete,
    ord("3"): Answers._close_complete,
    ord("t"): Answers._parameter_description,
    ord("T"): Answers._row_description,
    ord("n"): Answers._no_data,
    ord("C"): Answers._command_complete,
    ord("I"): Answers._empty,
    ord("s"): Answers._suspended,
    ord("E"): Answers._error,
    ord("Z"): Answers._ready,
    ord("G"): Answers._copy_in,
    ord("H"): Answers._copy_out,
    ord("W"): Answers._copy_both,
    ord("d"): Answers._copy_data,
    ord("c"): Answers._copy_done,
    ord("V"): Answers._call_response,
    ord("N"): Answers._notice,
    ord("A"): Answers._notification,
    ord("S"): Answers._parameter_status,
}


def _status(body: bytes, before: str, *, failed: bool) -> str:
    """The transaction status in a ReadyForQuery; `before`: the last one, `failed`: an error has come since.

    Raises TargetUnavailable for what is none, and for a transaction that failed without an error: whoever believed that
    would let every statement go on as one that the target refuses itself.
    """
    if body not in (b"I", b"T", b"E"):
        raise TargetUnavailable("the target sent a malformed ReadyForQuery")
    if body == b"E" and before != "E" and not failed:
        raise TargetUnavailable("the target says that the transaction failed, and has sent no error")
    return body.decode()
