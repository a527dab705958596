"""The client's side of one conversation: its messages, read one by one into a batch that goes or is held. Pure.

What lives here: one reader a message type, what of COPY FROM STDIN goes on, and how much is read. What must not: what
the names in a message mean and what it is judged to be (draft.py), sending (forwarding.py), holds (holding.py).
"""

from collections import deque
from collections.abc import Callable, Mapping

from gateway.errors import GatewayError, NotUtf8, ProtocolViolation
from gateway.policy.decide import Answer, Verdict
from gateway.session import events as ev
from gateway.session.draft import RESERVED, Draft
from gateway.session.ending import Ending
from gateway.session.errands import Errand, Unreadable, syntax_question
from gateway.session.forwarding import Forwarding
from gateway.session.gate import rewritten
from gateway.session.guard import not_utf8, sure_fail
from gateway.session.holding import Holding
from gateway.session.names import NEVER_DOUBTED, Change, Portal, Prepared, Space, kept
from gateway.session.replies import OPEN_AT, PER_TURN, Batch, Mode, Part, Reply
from gateway.session.secondtry import SecondTry
from gateway.session.state import Conversation, Phase
from gateway.sql.statement import Script
from gateway.wire import frontend
from gateway.wire.backend import error_response
from gateway.wire.frames import Frames

#: Messages of a held batch: each costs about 2 kB here, however small it is, and all are recorded in one turn.
HELD_MESSAGES = 50_000


class Intake:
    """Of one session. `frames` cuts what comes into messages; `inbox`: those that were not taken yet, by type;
    `waiting`: their bytes."""

    def __init__(
        self,
        talk: Conversation,
        draft: Draft,
        forwarding: Forwarding,
        holding: Holding,
        second: SecondTry,
        ending: Ending,
    ) -> None:
        self._talk = talk
        self._draft = draft
        self._forwarding = forwarding
        self._holding = holding
        self._second = second
        self._ending = ending
        self.frames = Frames()
        self.inbox: deque[tuple[int, bytes]] = deque()
        self.waiting = 0
        self.spilled = False  # a part of a batch went out without its end

    @property
    def begun(self) -> bool:
        """Is a message here, or a part of one or of a batch, that was not sent yet?"""
        return bool(self.inbox or self.frames.partial or self._draft.begun)

    def feed(self, data: bytes) -> None:
        """Keep a chunk's messages until they are taken."""
        for frame in self.frames.feed(data):
            self.inbox.append(frame)
            self.waiting += len(frame[1])

    def read_some(self) -> bool:
        """Read messages; True where there may be more for the next turn.

        A turn ends where a part of a batch went out: an error that it meets reaches the client before all of the batch is sent.
        """
        for _ in range(PER_TURN):
            if not self.inbox or self._talk.busy or not self._pull(*self.inbox[0]):
                return False
            if self.spilled:
                self.spilled = False
                return True
        return True

    def _taken(self) -> None:
        self.waiting -= len(self.inbox.popleft()[1])

    def _pull(self, kind: int, raw: bytes) -> bool:
        """Read one message into the batch; False where it must wait (and stays in the inbox)."""
        talk = self._talk
        if talk.trial is not None:
            self._second.seen()
        if talk.phase is Phase.COPY_IN:
            self._taken()
            self._in_copy(kind, raw)
            return True
        if talk.phase is Phase.SKIPPING:
            self._taken()
            if kind == ord("S"):
                talk.phase = Phase.READY
                self._draft.batch = Batch()
                self._forwarding.sync()
            elif kind == ord("X"):
                self._ending.goodbye()
            return True
        if kind in b"QPBDCEF" and self._token_over():
            return False
        try:
            if not _READERS[kind](self, raw):
                return False
        except NotUtf8 as error:
            self._refuse_text(kind, error.found)
        if self._draft.batch.size >= OPEN_AT:
            self._overflow()
        return True

    def _token_over(self) -> bool:
        """A wire whose token has expired ends at its next statement outside a transaction (interface.md), be it one of a batch of
        which nothing has run. True: it must wait until it is known whether it is outside."""
        talk = self._talk
        expired = talk.ending is not None or talk.now >= talk.login.identity.expires_at
        if not expired or talk.open_batch:
            return False
        if talk.replies or talk.status != "I":
            return bool(talk.replies)
        why = talk.ending.value if talk.ending else "token expired"
        raise GatewayError(why, sqlstate="28000", hint="Get a new token with `hoop token` and connect again.")

    def _overflow(self) -> None:
        batch = self._draft.batch
        if not batch.holds:  # else at its end: it walks the whole batch, and this comes with each message of a held one
            self._draft.unguard(batch)
        if not batch.holds:
            self._forwarding.forward(batch)
            self._draft.batch = batch.rest()
            self._talk.open_batch = self.spilled = True
        elif batch.size > self._talk.grounds.policy.limits.max_held_bytes or len(batch.parts) > HELD_MESSAGES:
            self._refuse_oversize(batch)

    # --- readers: one a message type; each returns False to wait ------------------------------------------------------

    def _read_query(self, raw: bytes) -> bool:
        sql = frontend.read_query(raw)
        talk = self._talk
        script = talk.read(sql)
        if script is None:
            return False
        if script.unparsable is not None and sql != talk.accepted:
            return self._ask_syntax(sql, script)
        script = self._draft.as_read(script)
        if not self._draft.names_known(script):
            return False
        self._taken()
        reply = Reply(ord("Q"))
        # A BEGIN inside a block is warned of and nothing more; one that says READ WRITE would be an error in a block that only reads.
        inside = talk.status == "T" and talk.drained and not self._draft.batch.control and len(script.statements) == 1
        verdict = self._draft.judge(script, reply, None)
        text = rewritten(script, wish=talk.gate.wish or inside)
        self._draft.add(Part(raw if text is None else frontend.query(text), reply), verdict)
        self._end_batch()
        return True

    def _read_parse(self, raw: bytes) -> bool:
        parse = frontend.read_parse(raw)
        script = self._talk.read(parse.sql)
        if script is None:
            return False
        if (
            script.unparsable is not None
            and parse.sql != self._talk.accepted
            and not self._draft.batch.parts
            and not self._talk.open_batch
        ):
            return self._ask_target(parse.sql, ord("P"), parse.name)
        script = self._draft.as_read(script)
        self._taken()
        name = kept(parse.name)
        if name in RESERVED:
            raise ProtocolViolation("this statement name is reserved")
        since = self._talk.names.doubts if name else NEVER_DOUBTED
        text = rewritten(script, wish=self._talk.gate.wish)
        if text is not None:
            raw = frontend.parse(parse.name, text, parse.parameter_types)
        read_as = self._talk.names.readings
        meant = Prepared(
            parse.sql,
            script,
            parse.parameter_types,
            read_under=self._talk.grounds.under,
            shown=text or parse.sql,
            since=since,
            read_as=read_as,
        )
        change = Change(Space.STATEMENT, name, meant)
        self._draft.note(change)
        runs = self._talk.judge.runs_at_parse(script) and not self._draft.allowed(script)
        self._draft.batch.add(Part(raw, Reply(ord("P"), change=change), runs=meant if runs else None))
        return True

    def _synchronise(self) -> None:
        """Forward the batch with a Sync of ours behind it, and read on when its ReadyForQuery has come."""
        self._draft.batch.add(Part(frontend.SYNC, Reply(ord("S"), Mode.SWALLOW)))
        self._forwarding.forward(self._draft.batch)
        self._draft.batch = Batch()
        self._talk.flushed = True

    def _read_bind(self, raw: bytes) -> bool:
        bind = frontend.read_bind(raw)
        if bind.portal in RESERVED:
            raise ProtocolViolation("this portal name is reserved")
        if self._draft.uncertain(Space.STATEMENT, kept(bind.statement)):
            return False
        prepared = self._draft.statement(kept(bind.statement))
        if prepared is not None and self._talk.stale(prepared.script):
            return False
        self._taken()
        # A statement that we don't know makes the portal one that can't be executed, should the target know it.
        portal = self._draft.bound(prepared, bind) if prepared else None
        change = Change(Space.PORTAL, kept(bind.portal), portal)
        self._draft.note(change)
        self._draft.batch.add(Part(raw, Reply(ord("B"), change=change), runs=self._draft.running(portal)))
        self._draft.batch.binds = True
        return True

    def _read_describe(self, raw: bytes) -> bool:
        named = frontend.read_named(raw)
        space = Space.STATEMENT if named.kind == "S" else Space.PORTAL
        name = kept(named.name)
        if self._draft.uncertain(space, name):
            return False
        self._taken()
        reply = Reply(ord("D"))
        if space is Space.STATEMENT:
            reply.prepared = self._draft.statement(name)
        else:
            reply.portal = self._draft.portal(name)
            self._draft.batch.binds = True
        self._draft.batch.add(Part(raw, reply))
        return True

    def _read_close(self, raw: bytes) -> bool:
        named = frontend.read_named(raw)
        self._taken()
        change = Change(Space.STATEMENT if named.kind == "S" else Space.PORTAL, kept(named.name))
        self._draft.note(change)
        self._draft.batch.add(Part(raw, Reply(ord("C"), change=change)))
        return True

    def _read_execute(self, raw: bytes) -> bool:
        written = frontend.read_execute(raw).portal
        if self._draft.uncertain(Space.PORTAL, kept(written)):
            return False
        portal = self._draft.portal(kept(written))
        if portal is None:
            return self._refuse_portal(written, raw)
        script = portal.script
        if not self._draft.names_known(script) or self._talk.stale(script):
            return False
        self._taken()
        if not self._draft.aborted and _in_binary_unseen(portal, self._draft.batch):
            described = Reply(ord("D"), Mode.SWALLOW, portal=portal)
            self._draft.batch.add(Part(frontend.describe("P", written), described))
        reply = Reply(ord("E"), portal=portal)
        verdict = self._draft.judge(script, reply, portal)
        self._draft.add(Part(raw, reply), verdict)
        self._draft.batch.binds = True
        return True

    def _refuse_portal(self, name: str, raw: bytes) -> bool:
        """No portal of this name is known: the target is asked for one that no one has (it may know one that we don't)."""
        self._taken()
        self._draft.batch.add(Part(sure_fail(ord("E")), Reply(ord("E"), stands_for=name)))
        self._draft.batch.size += len(raw)  # the name is kept
        self._draft.batch.binds = True
        return True

    def _refuse_text(self, kind: int, found: bytes) -> None:
        """A text that is not UTF-8 can't be judged: the target gets its bad bytes alone, and says so itself."""
        self._taken()
        self._talk.record("refused", reason="a text is not UTF-8", sqlstate="22021")
        self._draft.batch.add(Part(not_utf8(kind, found), Reply(ord("Q" if kind == ord("Q") else "P"))))
        if kind == ord("Q"):
            self._end_batch()

    def _read_sync(self, raw: bytes) -> bool:
        self._taken()
        self._draft.batch.add(Part(raw, Reply(ord("S"))))
        self._end_batch()
        return True

    def _read_flush(self, raw: bytes) -> bool:
        self._taken()
        batch, talk = self._draft.batch, self._talk
        self._draft.unguard(batch)
        if batch.holds:
            batch.add(Part(raw, None))
            self._end_batch()
        elif batch.parts and not batch.binds and not talk.open_batch:
            # Parse, Describe, Close alone: Sync in the place of Flush, so that no lock stays (architecture.md, Flush).
            self._synchronise()
        else:
            batch.add(Part(raw, None))
            self._forwarding.forward(batch)
            self._draft.batch = batch.rest()
            talk.open_batch = True
        return True

    def _read_call(self, raw: bytes) -> bool:
        """FunctionCall runs any function by OID with no text to judge: refused and recorded, never forwarded."""
        self._taken()
        why = "the function call protocol is not supported"
        verdict = Verdict(Answer.DENY, None, why, message="Call the function in a SELECT.", sqlstate="0A000")
        self._draft.add(Part(raw, Reply(ord("F"))), verdict)
        self._end_batch()
        return True

    def _read_terminate(self, _raw: bytes) -> bool:
        """The target reads it when it has answered what came before; without a Sync it may owe that answer for ever."""
        if self._talk.replies and not self._talk.open_batch:
            return False
        self._taken()
        self._ending.goodbye()
        return True

    def _read_stray_copy(self, _raw: bytes) -> bool:
        """Copy messages outside COPY are dropped silently, as PostgreSQL does; those of a COPY on its way wait for it."""
        if any(each.copies_in for each in self._talk.replies):
            return False
        self._taken()
        return True

    def _read_password(self, _raw: bytes) -> bool:
        raise ProtocolViolation("unexpected password message")

    def _in_copy(self, kind: int, raw: bytes) -> None:
        talk = self._talk
        if kind in b"dcfSH":
            if data := self._copied(kind, raw):
                talk.emit(ev.ToTarget(data))
            if kind in b"cf":
                talk.phase, talk.watch = Phase.READY, None
        elif kind == ord("X"):
            self._ending.goodbye()
        else:
            # The target would take it for an error or, if its COPY has just failed, run it unjudged.
            raise ProtocolViolation(f"unexpected message type {chr(kind)} during COPY from stdin")

    def _copied(self, kind: int, raw: bytes) -> bytes:
        """What goes on: with the first placeholder of ours the COPY fails, and nothing more of it does."""
        talk, reply = self._talk, self._talk.replies[0]
        if reply.refusal is not None:
            return b""
        found = ""
        if talk.watch is not None and kind in b"dc":
            found = talk.watch.found(raw[5:]) if kind == ord("d") else talk.watch.end()
        if not found:
            return raw
        reply.refusal = talk.hiding.written_back(found)
        return frontend.copy_fail(reply.refusal.reason)

    # --- texts that our grammar refuses -------------------------------------------------------------------------------

    def _ask_syntax(self, sql: str, script: Script) -> bool:
        """Our grammar refused the text: let the target's parser say so, or hear that it would take it (decision 2)."""
        talk = self._talk
        if self._draft.batch.parts or talk.open_batch:
            self._taken()
            reply = Reply(ord("Q"))
            verdict = self._draft.judge(script, reply, None)
            self._draft.add(Part(frontend.query(sql), reply), verdict)
            self._end_batch()
            return True

        return self._ask_target(sql, ord("Q"), "")

    def _ask_target(self, sql: str, kind: int, name: str) -> bool:
        """Ask before this Query, or Parse under `name`, is taken; what the target refuses is answered and not judged."""
        talk = self._talk
        if not name:
            talk.names.statements.pop("", None)  # PostgreSQL drops it before it reads the text

        def then(refusal: object) -> None:
            if not isinstance(refusal, Unreadable):
                talk.accepted = sql
                return
            self._taken()
            talk.record(
                "refused", sql=talk.hiding.scrub(sql), sqlstate=refusal.sqlstate, reason="the target can't read it"
            )
            if kind == ord("Q"):
                talk.emit(ev.ToClient(refusal.error + refusal.ready))
            else:
                talk.emit(ev.ToClient(refusal.error))
                talk.phase = Phase.SKIPPING  # up to Sync, as the target would

        talk.errand = Errand(syntax_question(sql, talk.hiding, talk.status), then)
        return False

    # --- ending a batch -----------------------------------------------------------------------------------------------

    def _end_batch(self) -> None:
        batch = self._draft.batch
        goes_on = (
            batch.parts[-1].reply is None
        )  # it ends in a Flush: what its statements change counts for what follows
        self._draft.batch = batch.rest() if goes_on else Batch()
        self._draft.unguard(batch)
        if batch.holds:
            self._holding.begin(batch, self._forwarding.forward)
        else:
            self._second.forward(batch)
            if batch.parts[-1].reply is not None and not self._talk.lost:
                self._talk.open_batch = False

    def _refuse_oversize(self, batch: Batch) -> None:
        """Refuse it now and read to its Sync without keeping anything: the target skips all that behind the error."""
        most = self._talk.grounds.policy.limits.max_held_bytes
        text = error_response(
            "54000",
            f"a held batch may have {most} bytes and {HELD_MESSAGES} messages",
            hint="Send fewer rows in one batch.",
        )
        for part in batch.parts:
            if part.held:
                part.held, part.denied = None, text
        self._forwarding.forward(batch)
        self._draft.batch = Batch()
        self._talk.open_batch, self._talk.phase = True, Phase.SKIPPING


#: Who reads a message, by its type. Behind the class, because no compiled class can name its methods inside it.
_READERS: Mapping[int, Callable[[Intake, bytes], bool]] = {
    ord("Q"): Intake._read_query,
    ord("P"): Intake._read_parse,
    ord("B"): Intake._read_bind,
    ord("D"): Intake._read_describe,
    ord("C"): Intake._read_close,
    ord("E"): Intake._read_execute,
    ord("S"): Intake._read_sync,
    ord("H"): Intake._read_flush,
    ord("F"): Intake._read_call,
    ord("X"): Intake._read_terminate,
    ord("d"): Intake._read_stray_copy,
    ord("c"): Intake._read_stray_copy,
    ord("f"): Intake._read_stray_copy,
    ord("p"): Intake._read_password,
}


def _in_binary_unseen(portal: Portal, batch: Batch) -> bool:
    """Will values come in binary, of types that nobody has asked for? Without them a card in an int8 is not seen.

    A Describe before it in its own batch counts: should it fail, the target skips the Execute as well.
    """
    if portal.bind is None or not any(portal.bind.result_formats):
        return False
    if portal.known_columns is not None or portal.prepared.rowless:
        return False
    replies = (each.reply for each in batch.parts if each.reply is not None and each.reply.kind == ord("D"))
    if not portal.prepared.lasts:
        return not any(each.portal is portal for each in replies)
    return not any((each.prepared or (each.portal and each.portal.prepared)) is portal.prepared for each in replies)
