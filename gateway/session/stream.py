"""Walking the target's byte stream: headers first, then untouched runs in one slice (architecture.md, Server chunks).

What lives here: matching each backend message with the reply that is owed, masks on the way, and what the target's answers
say about names, status and executions. Nothing is sent to the target from here.

DataRow and CopyData that need no mask pass as slices, an incomplete one included; everything else is handled whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.errors import ProtocolViolation, TargetUnavailable
from gateway.masking.copy import CopyMasker
from gateway.masking.diagnostics import may_hold_values, scrub_notification, scrub_parameter
from gateway.masking.fields import Change
from gateway.masking.rows import RowMasker
from gateway.session import events as ev
from gateway.session.gate import SETTING
from gateway.session.guard import NO_PORTAL, refused_by_policy
from gateway.session.meaning import REPORTED
from gateway.session.names import Names
from gateway.session.replies import Execution, Mode, Reply
from gateway.session.rowguard import RowGuard
from gateway.session.state import Conversation, Phase
from gateway.session.telling import Teller, told
from gateway.session.traits import fires_deferred
from gateway.session.trial import ANY_TIME, READ_ONLY
from gateway.sql.statement import Control
from gateway.wire.backend import (
    Column,
    command_tag,
    fields,
    format_of,
    parameter_description,
    read_parameter_status,
    row_description,
    tag_rows,
)
from gateway.wire.frontend import message
from gateway.wire.walk import LONGEST, left, run

_COPY_CUT = "the target ended COPY FROM STDIN before its data did"
_JUDGED_AGAIN = "the server says that it writes: judged again"
_D, _COPY_DATA = ord("D"), ord("d")
#: Bytes that cost more to copy than a row costs that is looked at by itself.
_MUCH = 1 << 16
#: Settings under which the target would read a text otherwise than we did (enforcement.md 4.1, 1 to 3).
_PINNED = {"standard_conforming_strings": ("ON",), "client_encoding": ("UTF8", "UNICODE")}

#: What ends a transaction, and its fate by the tag: a COMMIT of an aborted one is answered ROLLBACK.
_ENDS = frozenset({Control.COMMIT, Control.ROLLBACK, Control.PREPARE})
_FATES = {"ROLLBACK": "rolled back", "PREPARE TRANSACTION": "prepared"}


class Stream:
    """The target's side of one conversation."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._tail: list[bytes] = []
        self._held = 0
        self._wanted = 5
        self._passing = 0  # bytes of an untouched row that are still to come
        self._passed = 0  # the kind of message that the last chunk ended with, where it passed as it was
        self._copy: CopyMasker | None = None
        self._parts: list[bytes | memoryview] = []  # of this chunk, up to its last changed row: they go in one piece
        self._touched = False  # since the last ReadyForQuery a statement ran that may show protected values
        self._reached = False  # likewise in this transaction: its deferred constraints and triggers may quote them
        self._within = ""  # the transaction status behind a BEGIN or COMMIT that no ReadyForQuery has told yet

    @property
    def at_rest(self) -> bool:
        """Is it between two whole answers?"""
        return not (self._tail or self._passing or self._copy or self._touched or self._within)

    def reached(self, *, protected: bool) -> None:
        """A statement ran in this transaction that may show protected values."""
        self._reached = self._reached or protected

    def forget_block(self) -> None:
        """The transaction is over, and nothing of it is owed."""
        self._reached = False

    def passes(self, data: bytes) -> bool:
        """Is this chunk nothing but rows that go on as they are, behind such ones? Then it can be written at once: nothing else
        changes by it."""
        kind, size = self._passed, len(data)
        if not kind or self._talk.trial is not None or not self._untouched(kind):
            return False
        passing = self._passing - size
        if passing < 0:
            passing = left(data, self._passing, size, kind)
            if passing < 0:
                return False
        self._passing = passing
        self._talk.mid_message = passing > 0
        return True

    def feed(self, data: bytes) -> None:
        """Take a chunk; what may go to the client is emitted as ToClient, in order."""
        talk, at = self._talk, 0
        if self._tail:
            self._tail.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return
            behind = self._held - self._wanted
            if (
                self._wanted > 5 and behind > _MUCH
            ):  # the message that was cut, by itself, so that the rest need not be copied
                at = len(data) - behind
                self._tail[-1] = data[:at]
                whole, self._tail = b"".join(self._tail), []
                self._feed(whole, 0)
            else:
                data, self._tail = b"".join(self._tail), []
        self._feed(data, at)
        if talk.errand is not None and not talk.replies:
            talk.run_errand()

    def _feed(self, data: bytes, at: int) -> None:
        """Take data[at:], which begins where a message does, or inside one that passes."""
        start, size, passed = at, len(data), 0
        if self._passing:
            passed = self._passed
            at = min(at + self._passing, size)
            self._passing -= at - start
        while size - at >= 5:
            kind = data[at]
            length = int.from_bytes(data[at + 1 : at + 5], "big")
            if not 4 <= length <= LONGEST:
                self._flush(data, start, at)
                raise TargetUnavailable("the target broke the protocol: impossible message length")
            end = at + 1 + length
            if kind in (_D, _COPY_DATA) and self._untouched(kind):
                self._passing = max(0, end - size)
                at, passed = (run(data, end, size, kind) if end < size else size), kind
                continue
            if kind in (_D, _COPY_DATA) and end <= size and (masker := self._skimming(kind)) is not None:
                changes, behind = masker.changes(data, at, run(data, at, size, kind))
                start = self._changed(data, start, changes)
                if behind > at:
                    at = behind
                    continue
            if end > size:
                self._wanted = end - at
                break
            if kind == _D:
                end = run(data, at, size, kind)
            self._flush(data, start, at)
            self._message(kind, data[at:end])
            at = start = end
            passed = 0
        else:
            self._wanted = 5
        self._flush(data, start, at)
        self._held = size - at
        if self._held:
            self._tail = [data[at:]]
        self._passed = 0 if self._held else passed
        self._talk.mid_message = self._passing > 0

    def _flush(self, data: bytes, start: int, end: int) -> None:
        """Send the run that ends here, at the end of a message or (feed's last) wherever the chunk ends."""
        self._talk.mid_message = False
        if self._parts:  # views and one join: a slice of each run of rows and then their join would copy all twice
            parts, self._parts = self._parts, []
            sent = b"".join((*parts, memoryview(data)[start:end]))
        else:
            sent = data if end - start == len(data) else data[start:end]
        if sent:
            self._talk.let_go()
            self._talk.emit(ev.ToClient(sent))

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _untouched(self, kind: int) -> bool:
        """May rows pass as they are? Only when the queue's head expects them and plans no mask."""
        if not self._passes_rows():
            return False
        if kind == _COPY_DATA:
            return self._copy is None
        head = self._talk.replies[0]
        if not head.planned:
            columns = _described(head)
            if columns is None:
                return False
            self._plan(head, columns)
        return head.masker is None

    def _passes_rows(self) -> bool:
        """Does the queue's head show its rows at once?"""
        replies, trial = self._talk.replies, self._talk.trial
        if trial is not None and trial.keeps_rows:
            return False
        if not replies or replies[0].mode is not Mode.EXPECT or replies[0].kind not in b"EQ":
            return False
        return self._guarding(replies[0]) is None

    def _skimming(self, kind: int) -> CopyMasker | RowMasker | None:
        """What looks at these rows, where most of them go on as they are."""
        if not self._passes_rows():
            return None
        masker = self._copy if kind == _COPY_DATA else self._talk.replies[0].masker
        return masker if isinstance(masker, CopyMasker | RowMasker) and masker.skims else None

    def _changed(self, data: bytes, start: int, changes: list[Change]) -> int:
        """Keep data[start:] up to the last of these changes, and with them, for `_flush`; answers where it goes on."""
        view = memoryview(data)
        for row, behind, new in changes:
            self._parts += (view[start:row], new)
            start = behind
        return start

    def _plan(self, reply: Reply, columns: tuple[Column, ...]) -> None:
        """Make the mask plan of the result that begins."""
        reply.planned = True
        self._showing(reply.execution)
        statement = reply.execution.statement if reply.execution else None
        bind = reply.portal.bind if reply.portal else None
        formats = bind.result_formats if bind else ()
        shown = tuple(format_of(formats, at, each) for at, each in enumerate(columns))
        talk = self._talk
        masker = talk.hiding.masker(statement, columns, shown, approved=_approved(reply))
        status = self._within or talk.status
        telling = told(statement, bind.parameters if bind else (), status, wish=talk.gate.wish)
        reply.masker = Teller(telling, masker) if telling else masker

    def _showing(self, execution: Execution | None) -> None:
        """A result begins: note what of it goes out as it is."""
        if execution is not None:
            hiding = self._talk.hiding
            execution.clear, execution.unscanned = hiding.seen_clear(execution.statement), hiding.unscanned

    def _rows(self, raw: bytes) -> None:
        head = self._head("DataRow")
        if head.mode is Mode.COLLECT:
            at = 0
            while at < len(raw):
                end = at + 1 + int.from_bytes(raw[at + 1 : at + 5], "big")
                head.collected.append((_D, raw[at + 5 : end]))
                at = end
        elif head.mode is Mode.EXPECT:
            if not head.planned:
                self._plan(head, _described(head) or _unknown(raw))
            shown = head.masker.rows(raw) if head.masker else raw
            guard = self._guarding(head)
            if guard is not None:
                guard.keep(shown)
            else:
                self._show(_D, shown)

    def _guarding(self, head: Reply) -> RowGuard | None:
        """The row guard, where it is of this message."""
        guard = self._talk.rowguard
        return guard if guard is not None and guard.reply is head else None

    # --- messages -----------------------------------------------------------------------------------------------------

    def _message(self, kind: int, raw: bytes) -> None:
        if kind == _D:
            self._rows(raw)
            return
        handle = _TABLE.get(kind)
        if handle is None:
            raise TargetUnavailable(f"the target sent an unexpected message of type {chr(kind)}")
        body = raw[5:]
        if kind not in b"NSA" and self._talk.replies and self._talk.replies[0].mode is Mode.COLLECT:
            self._collect(kind, body)
            return
        self._tried(kind, body)
        shown = handle(self, body)
        if shown is not None:
            self._show(kind, raw if shown is body else message(bytes((kind,)), shown))

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

    def _show(self, kind: int, raw: bytes) -> None:
        trial = self._talk.trial
        if trial is not None and trial.keeps(kind, len(raw)):
            trial.keep(raw)
            return
        if kind not in ANY_TIME:
            self._talk.let_go()
        self._talk.emit(ev.ToClient(raw))

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

    def _head(self, what: str) -> Reply:
        if not self._talk.replies:
            raise TargetUnavailable(f"the target sent {what} and nothing was asked")
        return self._talk.replies[0]

    def _pop(self, what: str, kinds: bytes) -> Reply:
        head = self._head(what)
        if head.kind not in kinds:
            raise TargetUnavailable(f"the target sent {what} in answer to {chr(head.kind)}")
        return self._talk.replies.popleft()

    def _seen(self, head: Reply, body: bytes) -> bytes | None:
        return body if head.mode is Mode.EXPECT else None

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
        head = self._head("ParameterDescription")
        if head.prepared is not None:
            head.prepared.types = parameter_description(body)
        return self._seen(head, body)

    def _row_description(self, body: bytes) -> bytes | None:
        head = self._head("RowDescription")
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
            self._plan(head, columns)
        return self._seen(head, body)

    def _no_data(self, body: bytes) -> bytes | None:
        head = self._pop("NoData", b"D")
        prepared = head.prepared or (head.portal and head.portal.prepared)
        if prepared:
            prepared.rowless = prepared.lasts and prepared.columns is None
        return self._seen(head, body)

    def _command_complete(self, body: bytes) -> bytes | None:
        talk = self._talk
        head = self._head("CommandComplete")
        if talk.phase is Phase.COPY_IN:
            raise TargetUnavailable(_COPY_CUT)
        guard = self._guarding(head)
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
        head = self._head("EmptyQueryResponse")
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
        head.planned, head.masker, self._copy = False, None, None

    def _done(self, head: Reply, execution: Execution, rows: int | None) -> None:
        talk = self._talk
        self._touched = self._touched or execution.protected
        self._reached = self._reached or execution.protected
        self._masked(head, execution)
        talk.finish(execution, rows=rows)
        talk.gate.ran(execution.statement)
        if execution.statement.control is Control.BEGIN:
            self._within = "T"
        elif execution.statement.control in _ENDS:
            self._within = "T" if execution.statement.chain else "I"
        for change in execution.changes:
            talk.names.confirmed(change)
        execution.changes = ()
        if execution.request:
            execution.rows = rows or 0
            talk.ran.append(execution)

    def _masked(self, head: Reply, execution: Execution) -> None:
        """Record what was masked in a result: column, detector or mask, count; never a value."""
        masker, self._copy = self._copy or head.masker, None
        if masker is not None and masker.counts:
            for (column, detector), count in sorted(masker.counts.items()):
                execution.masked.append({"column": column, "detector": detector, "count": count})
            self._talk.record(
                "masked", statement=execution.number, masked=[*execution.masked], request=execution.request
            )

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
        guard = self._guarding(head)
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
            self._touched = self._touched or execution.protected
            self._masked(head, execution)
            why = head.refusal.reason if head.refusal else _JUDGED_AGAIN if talk.turned else ""
            talk.finish(execution, sqlstate, 0, why)
            self._drop_changes(execution)
            if execution.request:
                talk.failed[execution.request] = (sqlstate, execution)
            head.at += 1
        self._copy = None
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
            return execution.protected or (self._reached and fires_deferred(execution.statement))
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

    def _ready(self, body: bytes) -> bytes | None:
        talk = self._talk
        status = _status(body, talk.status, failed=talk.broke)
        if talk.phase is Phase.COPY_IN:
            raise TargetUnavailable(_COPY_CUT)
        guard = self._guarding(self._head("ReadyForQuery"))
        if guard is not None and not guard.ready(status):
            return None
        head = self._pop("ReadyForQuery", b"SQF")
        talk.still_copying()
        self._touched, self._within = False, ""
        self._reached = self._reached and status != "I"
        talk.status_is(status)
        if head.mode is Mode.SWALLOW:
            talk.flushed = False
            if talk.broke:
                talk.phase = Phase.SKIPPING
        talk.broke = False
        return self._seen(head, body)

    def _copy_in(self, body: bytes) -> bytes | None:
        talk = self._talk
        head = self._head("CopyInResponse")
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
        head = self._head("CopyOutResponse")
        statement = head.execution.statement if head.execution else None
        self._showing(head.execution)
        self._copy = talk.hiding.copier(statement, body, approved=_approved(head))
        return self._seen(head, body)

    def _copy_both(self, _body: bytes) -> bytes | None:
        raise TargetUnavailable("the target began a replication stream")

    def _copy_data(self, body: bytes) -> bytes | None:
        head = self._head("CopyData")
        if head.mode is not Mode.EXPECT:
            return None
        # Nothing comes of a body that ends inside a row: the masker keeps it for the next one.
        return (self._copy.data(body) or None) if self._copy else body

    def _copy_done(self, body: bytes) -> bytes | None:
        head = self._head("CopyDone")
        rest = self._copy.end() if self._copy and head.mode is Mode.EXPECT else b""
        if rest:
            self._show(_COPY_DATA, message(b"d", rest))
        return self._seen(head, body)

    def _call_response(self, _body: bytes) -> bytes | None:
        raise TargetUnavailable("the target answered a function call that was not forwarded")

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
        if name == "search_path":
            self._talk.path_stale = True
        if name in REPORTED:
            self._talk.reported[name] = value
        if name == SETTING:
            if not self._talk.replies or self._talk.replies[0].mode is not Mode.COLLECT:
                self._talk.gate.reported(value)
            return None  # the gate opens and closes; the client's own wish is told when it changes
        doubtful = (self._touched or self._talk.grounds.doubts_settings) and may_hold_values(name, value)
        if doubtful and (name.lower(), value.lower()) not in self._talk.own_settings:
            return None  # a statement may have set it to what it read
        return scrub_parameter(body, self._talk.grounds.detectors)


#: What is done with a message, by its type. Behind the class, because no compiled class can name its methods inside it.
_TABLE: Mapping[int, Callable[[Stream, bytes], bytes | None]] = {
    ord("1"): Stream._parse_complete,
    ord("2"): Stream._bind_complete,
    ord("3"): Stream._close_complete,
    ord("t"): Stream._parameter_description,
    ord("T"): Stream._row_description,
    ord("n"): Stream._no_data,
    ord("C"): Stream._command_complete,
    ord("I"): Stream._empty,
    ord("s"): Stream._suspended,
    ord("E"): Stream._error,
    ord("Z"): Stream._ready,
    ord("G"): Stream._copy_in,
    ord("H"): Stream._copy_out,
    ord("W"): Stream._copy_both,
    ord("d"): Stream._copy_data,
    ord("c"): Stream._copy_done,
    ord("V"): Stream._call_response,
    ord("N"): Stream._notice,
    ord("A"): Stream._notification,
    ord("S"): Stream._parameter_status,
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


def _approved(reply: Reply) -> bool:
    """Did people let what gives this result go?"""
    asked = reply.execution is not None and reply.execution.request is not None
    return asked or (reply.portal is not None and reply.portal.released)


def _described(reply: Reply) -> tuple[Column, ...] | None:
    """The columns of an Execute's result, if the client has had them described."""
    return reply.portal.known_columns if reply.portal else None


def _unknown(raw: bytes) -> tuple[Column, ...]:
    """Columns of a result that was never described: as many as the row has, each text of unknown origin."""
    return (Column("?", 0, 0, 25, -1, -1, 0),) * int.from_bytes(raw[5:7], "big")
