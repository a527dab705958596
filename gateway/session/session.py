"""One client's conversation with one target, judged. Pure: `handle(event, now)` returns effects in order.

Read it top-down: what happens to a DELETE is `handle` -> `_from_client` -> `_pull` -> `_read_query` or `_read_execute`
(judged: draft.py) -> `_end_batch` -> held (holding.py) or forwarded (forwarding.py); its answer comes back through stream.py.
What was taken for a read and writes comes back too, and is judged again (secondtry.py).

Rules:
- Nothing of a batch is forwarded before it is judged; from the first HOLD on the rest of it is kept (architecture.md).
- A hold waits until the target has answered all that went before, so that its transaction status is known.
- Record comes before the ToTarget it belongs to. Released bytes go only after the release is committed.
- ReadyForQuery is never invented.

What must not live here: sockets, clocks, ids (they arrive), SQL parsing (gateway.sql), who decides (gateway.approvals).
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import assert_never

from gateway.approvals.request import GATEWAY_GONE, SESSION_ENDED, TARGET_GONE
from gateway.errors import GatewayError, NotUtf8, ProtocolViolation
from gateway.policy.decide import Answer, Verdict
from gateway.policy.model import Policy
from gateway.session import events as ev
from gateway.session.common import Commons
from gateway.session.draft import RESERVED, Draft
from gateway.session.errands import Errand, Unreadable, standing_question, syntax_question
from gateway.session.forwarding import Forwarding
from gateway.session.gate import Gate, rewritten
from gateway.session.grounds import Login
from gateway.session.guard import not_utf8, sure_fail
from gateway.session.holding import Holding
from gateway.session.judging import Judge
from gateway.session.names import NEVER_DOUBTED, Change, Names, Portal, Prepared, Space, kept
from gateway.session.replies import Batch, Mode, Part, Reply
from gateway.session.secondtry import SecondTry
from gateway.session.shortway import ShortWay
from gateway.session.state import GOODBYE, Conversation, Phase
from gateway.session.stream import Stream
from gateway.sql.catalog import Catalog
from gateway.sql.statement import Script
from gateway.wire import frontend
from gateway.wire.backend import error_response
from gateway.wire.frames import Frames

#: What is judged goes on when this much has gathered (architecture.md: executemany of 20,000 rows before one Sync).
OPEN_AT = 64 << 10
#: Behind a held or waiting batch this much is read; then the client is paused.
READ_AHEAD = 1 << 20
#: Messages of a held batch: each costs about 2 kB here, however small it is, and all are recorded in one turn.
HELD_MESSAGES = 50_000
_STOPPING = "the gateway is shutting down"
#: Messages taken in one turn of the loop, which all sessions share; GoOn takes the next.
PER_TURN = 500


class Session:
    """See the module. `request_ids` gives a new id for each approval request. `search_path`: what the target has just said; None
    has it asked. `commons`: what the sessions of this process know in common."""

    def __init__(
        self,
        login: Login,
        policy: Policy,
        catalog: Catalog | None,
        request_ids: Iterator[str],
        gate: Gate,
        status: str = "I",
        search_path: tuple[str, ...] | None = None,
        commons: Commons | None = None,
    ) -> None:
        path = ("public",) if search_path is None else search_path
        self.talk = Conversation(login, Judge(login, policy, catalog, path, commons), Names(), gate, status)
        self.talk.path_stale = search_path is None
        self.frames = Frames()
        self.inbox: deque[tuple[int, bytes]] = deque()
        self.waiting = 0  # bytes in the inbox
        self.paused = False
        self.going_on = False  # GoOn is on its way
        self.spilled = False  # a part of a batch went out without its end
        self.draft = Draft(self.talk)
        self.forwarding = Forwarding(self.talk)
        self.stream = Stream(self.talk)
        self.holding = Holding(self.talk, request_ids)
        self.second = SecondTry(self.talk, self.forwarding, self.holding)
        self.short = ShortWay(self.talk, self.stream)
        self.short.look(idle=True)

    @property
    def batch(self) -> Batch:
        """What is being read and was not forwarded yet."""
        return self.draft.batch

    @batch.setter
    def batch(self, batch: Batch) -> None:
        self.draft.batch = batch

    # --- events -------------------------------------------------------------------------------------------------------

    def handle(self, event: ev.Event, now: float) -> list[ev.Effect]:
        """Take one event and return what must be done, in order."""
        short = self.short
        if isinstance(event, ev.FromClient) and short.flight is None:
            if (alike := short.send(event.data, now)) is not None:
                return [ev.RecordAlike(*alike), ev.ToTarget(short.last.sent)]
        elif isinstance(event, ev.FromTarget) and short.waits:
            if (alike := short.answered(event.data, now)) is not None:
                return [ev.RecordAlike(*alike), ev.ToClient(short.shown)]
            if short.took:
                return []
        return self.at_length(event, now)

    def at_length(self, event: ev.Event, now: float) -> list[ev.Effect]:
        """The same, for an event that the short way was asked about already and didn't take."""
        short = self.short
        effects: list[ev.Effect] = []
        if short.waits:
            effects = self._read_again()
        elif isinstance(event, ev.FromTarget) and self.stream.passes(event.data):
            return [ev.ToClient(event.data)]
        effects += self._handle(event, now)
        short.look(idle=not (self.inbox or self.frames.partial or self.going_on or self.paused or self.draft.begun))
        return effects

    def _read_again(self) -> list[ev.Effect]:
        """What took the short way takes the ordinary one, as of when it came: its effects have been performed already. Returns those
        of what has come of its answer, of which nothing went on."""
        short, flight = self.short, self.short.flight
        if short.owed or (flight is not None and flight.behind):
            self.forwarding.closing()  # it was sent
        short.owed, short.flight = False, None
        if flight is None:
            return []
        self.talk.number = flight.number - 1
        again = self._handle(ev.FromClient(flight.data), flight.at)
        if not flight.is_what(again):
            raise GatewayError("a plain statement was not what it was taken for")  # a bug: nothing more goes
        return self._handle(ev.FromTarget(flight.came), flight.at) if flight.came else []

    def _handle(self, event: ev.Event, now: float) -> list[ev.Effect]:  # noqa: PLR0912, PLR0915 - the table of events
        talk = self.talk
        talk.now, talk.effects = now, []
        try:
            match event:
                case ev.FromClient(data):
                    self._from_client(data)
                case ev.FromTarget(data):
                    self.stream.feed(data)
                    if talk.lost:
                        self.holding.cancelled("what went before it in its batch failed")
                case ev.Answered(sql, script):
                    talk.reader.answered(sql, script)
                    talk.asking = False
                case ev.SideAnswered(data, problem):
                    self.holding.side_answered(data, problem)
                case ev.Opened(request):
                    self.holding.opened(request)
                case ev.Joined(request, stored):
                    self.holding.joined(request, stored)
                case ev.Granted(request):
                    self.holding.granted(request)
                case ev.NotOpened():
                    self.holding.not_opened(event)
                case ev.Ruled(request):
                    self.holding.ruled(request)
                case ev.Released(request):
                    self.holding.released(request)
                case ev.NotReleased():
                    self.holding.not_released(event)
                case ev.Tick():
                    self.holding.tick()
                    talk.renew()
                case ev.PolicyChanged(policy):
                    talk.grounds.adopt(policy)
                    self.draft.judge_again()
                    self.holding.policy_changed()
                case ev.CatalogChanged(catalog):
                    talk.grounds.refresh(catalog)
                case ev.CatalogReloaded(catalog):
                    talk.reloaded(catalog)
                case ev.GoOn():
                    self.going_on = False
                case ev.Ended(why, told):
                    self._ended(why, told)
                case ev.ClientGone():
                    self._client_gone()
                case ev.TargetGone():
                    self._target_gone()
                case ev.CancelRequested():
                    self._cancel()
                case _:
                    assert_never(event)
            if talk.ending is not None:
                self._leave_if_idle()
            self._advance()
        except GatewayError as error:
            self._fatal(error)
        return talk.effects

    def _fatal(self, error: GatewayError) -> None:
        """End the session with a FATAL text; a hold is withdrawn first."""
        self.holding.withdraw(error.message)
        self.stream.abandon()
        self.talk.say_fatal(error)
        self._close(error.message)

    def _close(self, reason: str) -> None:
        talk = self.talk
        if talk.phase is not Phase.CLOSED:
            talk.phase = Phase.CLOSED
            talk.renew()  # for others
            if reason is GOODBYE:
                talk.record_goodbye()
            else:
                talk.record("session_ended", reason=reason)
            talk.emit(ev.Close(goodbye=reason is GOODBYE))

    def _ended(self, why: ev.Why, told: str) -> None:
        talk = self.talk
        if talk.phase is Phase.CLOSED:
            return
        talk.ending = why
        match why:
            case ev.Why.REVOKED:
                self._revoked(told)
            case ev.Why.DRAINING:  # `_leave_if_idle` does the rest, now or later
                self.holding.withdraw(f"{GATEWAY_GONE} (it is shutting down)")
            case ev.Why.OVERDUE:
                self._cut_short()
            case ev.Why.STOPPED:
                self._leave()
            case ev.Why.TOKEN_EXPIRED:
                self.holding.token_expired()

    def _cut_short(self) -> None:
        """The gateway waits no longer for what runs: the target is asked to stop it, and its answer is still heard."""
        talk = self.talk
        if not talk.runs:
            return
        talk.record("cancelled", reason=_STOPPING)
        if talk.phase is Phase.COPY_IN:  # a target that waits for data hears no cancel
            talk.emit(ev.ToTarget(frontend.copy_fail(_STOPPING)))
            talk.phase, talk.watch = Phase.READY, None
        talk.emit(ev.CancelTarget())

    def _leave_if_idle(self) -> None:
        """The gateway stops: a session in which nothing runs ends, be it inside a transaction."""
        talk = self.talk
        if talk.draining and not talk.runs and talk.phase is not Phase.CLOSED:
            self._leave()

    def _leave(self) -> None:
        self.holding.withdraw(f"{GATEWAY_GONE} (it is shutting down)")
        self.stream.abandon()
        hint = "Connect again. What waited for a decision did not run."
        self.talk.say_fatal(GatewayError(_STOPPING, sqlstate="57P01", hint=hint))
        self._close(ev.Why.DRAINING.value)

    def _revoked(self, told: str) -> None:
        """Somebody ends it: at once, whatever runs."""
        talk = self.talk
        if talk.runs:
            talk.emit(ev.CancelTarget())  # or the target would run it to its end, with nobody listening
        self.holding.revoked(f"{SESSION_ENDED} {told}")
        self.stream.abandon()
        hint = "What waited for a decision did not run. Talk to them before you connect again."
        talk.say_fatal(GatewayError(f"{SESSION_ENDED} {told}", sqlstate="57P01", hint=hint))
        self._close(f"ended by {told}")

    def _client_gone(self) -> None:
        self.holding.withdraw("the client went away")
        self.stream.abandon()
        self._close("the client went away")

    def _target_gone(self) -> None:
        if self.talk.phase is Phase.CLOSED:
            return
        self.holding.withdraw(f"{TARGET_GONE} (it closed the connection)")
        self.stream.abandon()
        self.talk.say_fatal(GatewayError("the target closed the connection", sqlstate="57P01"))
        self._close("the target went away")

    def _cancel(self) -> None:
        talk = self.talk
        talk.record("cancelled", request=self.holding.request_id)
        self.second.interrupted()
        if talk.runs:
            talk.emit(ev.CancelTarget())
        self.holding.interrupted()  # last: the sure-fail of a hold that ends here needs no cancel

    # --- from the client ----------------------------------------------------------------------------------------------

    def _from_client(self, data: bytes) -> None:
        for frame in self.frames.feed(data):
            self.inbox.append(frame)
            self.waiting += len(frame[1])

    def _advance(self) -> None:
        """Take messages from the inbox until something must be waited for, be it only the others' turn."""
        talk = self.talk
        self._go_on()
        if not self.going_on and self._pull_some():
            self.going_on = True
            talk.emit(ev.GoOn())
        self._go_on()
        full = self.waiting > READ_AHEAD or self.going_on
        if full != self.paused and talk.phase is not Phase.CLOSED:
            self.paused = full
            talk.emit(ev.PauseClient() if full else ev.ResumeClient())

    def _pull_some(self) -> bool:
        """Read messages; True where there may be more for the next turn.

        A turn ends where a part of a batch went out: an error that it meets reaches the client before all of the batch is sent.
        """
        for _ in range(PER_TURN):
            if not self.inbox or self.talk.busy or not self._pull(*self.inbox[0]):
                return False
            if self.spilled:
                self.spilled = False
                return True
        return True

    def _go_on(self) -> None:
        self.second.advance()
        self.holding.advance()
        self._start_errand()

    def _taken(self) -> None:
        self.waiting -= len(self.inbox.popleft()[1])

    def _pull(self, kind: int, raw: bytes) -> bool:
        """Read one message into the batch; False where it must wait (and stays in the inbox)."""
        talk = self.talk
        if talk.trial is not None:
            self.second.seen()
        if talk.phase is Phase.COPY_IN:
            self._taken()
            self._in_copy(kind, raw)
            return True
        if talk.phase is Phase.SKIPPING:
            self._taken()
            if kind == ord("S"):
                talk.phase = Phase.READY
                self.batch = Batch()
                self.forwarding.sync()
            elif kind == ord("X"):
                self._terminate()
            return True
        if kind in b"QPBDCEF" and self._token_over():
            return False
        try:
            if not _READERS[kind](self, raw):
                return False
        except NotUtf8 as error:
            self._refuse_text(kind, error.found)
        if self.batch.size >= OPEN_AT:
            self._overflow()
        return True

    def _token_over(self) -> bool:
        """A wire whose token has expired ends at its next statement outside a transaction (interface.md), be it one of a batch of
        which nothing has run. True: it must wait until it is known whether it is outside."""
        talk = self.talk
        expired = talk.ending is not None or talk.now >= talk.login.identity.expires_at
        if not expired or talk.open_batch:
            return False
        if talk.replies or talk.status != "I":
            return bool(talk.replies)
        why = talk.ending.value if talk.ending else "token expired"
        raise GatewayError(why, sqlstate="28000", hint="Get a new token with `hoop token` and connect again.")

    def _overflow(self) -> None:
        batch = self.batch
        if not batch.holds:  # else at its end: it walks the whole batch, and this comes with each message of a held one
            self.draft.unguard(batch)
        if not batch.holds:
            self.forwarding.forward(batch)
            self.batch = batch.rest()
            self.talk.open_batch = self.spilled = True
        elif batch.size > self.talk.grounds.policy.limits.max_held_bytes or len(batch.parts) > HELD_MESSAGES:
            self._refuse_oversize(batch)

    # --- readers: one a message type; each returns False to wait ------------------------------------------------------

    def _read_query(self, raw: bytes) -> bool:
        sql = frontend.read_query(raw)
        talk = self.talk
        script = talk.read(sql)
        if script is None:
            return False
        if script.unparsable is not None and sql != talk.accepted:
            return self._ask_syntax(sql, script)
        script = self.draft.as_read(script)
        if not self.draft.names_known(script):
            return False
        self._taken()
        reply = Reply(ord("Q"))
        # A BEGIN inside a block is warned of and nothing more; one that says READ WRITE would be an error in a block that only reads.
        inside = talk.status == "T" and talk.drained and not self.batch.control and len(script.statements) == 1
        verdict = self.draft.judge(script, reply, None)
        text = rewritten(script, wish=talk.gate.wish or inside)
        self.draft.add(Part(raw if text is None else frontend.query(text), reply), verdict)
        self._end_batch()
        return True

    def _read_parse(self, raw: bytes) -> bool:
        parse = frontend.read_parse(raw)
        script = self.talk.read(parse.sql)
        if script is None:
            return False
        if (
            script.unparsable is not None
            and parse.sql != self.talk.accepted
            and not self.batch.parts
            and not self.talk.open_batch
        ):
            return self._ask_target(parse.sql, ord("P"), parse.name)
        script = self.draft.as_read(script)
        self._taken()
        name = kept(parse.name)
        if name in RESERVED:
            raise ProtocolViolation("this statement name is reserved")
        since = self.talk.names.doubts if name else NEVER_DOUBTED
        text = rewritten(script, wish=self.talk.gate.wish)
        if text is not None:
            raw = frontend.parse(parse.name, text, parse.parameter_types)
        read_as = self.talk.names.readings
        meant = Prepared(
            parse.sql,
            script,
            parse.parameter_types,
            read_under=self.talk.grounds.under,
            shown=text or parse.sql,
            since=since,
            read_as=read_as,
        )
        change = Change(Space.STATEMENT, name, meant)
        self.draft.note(change)
        runs = self.talk.judge.runs_at_parse(script) and not self.draft.allowed(script)
        self.batch.add(Part(raw, Reply(ord("P"), change=change), runs=meant if runs else None))
        return True

    def _synchronise(self) -> None:
        """Forward the batch with a Sync of ours behind it, and read on when its ReadyForQuery has come."""
        self.batch.add(Part(frontend.SYNC, Reply(ord("S"), Mode.SWALLOW)))
        self.forwarding.forward(self.batch)
        self.batch = Batch()
        self.talk.flushed = True

    def _read_bind(self, raw: bytes) -> bool:
        bind = frontend.read_bind(raw)
        if bind.portal in RESERVED:
            raise ProtocolViolation("this portal name is reserved")
        if self.draft.uncertain(Space.STATEMENT, kept(bind.statement)):
            return False
        prepared = self.draft.statement(kept(bind.statement))
        if prepared is not None and self.talk.stale(prepared.script):
            return False
        self._taken()
        # A statement that we don't know makes the portal one that can't be executed, should the target know it.
        portal = self.draft.bound(prepared, bind) if prepared else None
        change = Change(Space.PORTAL, kept(bind.portal), portal)
        self.draft.note(change)
        self.batch.add(Part(raw, Reply(ord("B"), change=change), runs=self.draft.running(portal)))
        self.batch.binds = True
        return True

    def _read_describe(self, raw: bytes) -> bool:
        named = frontend.read_named(raw)
        space = Space.STATEMENT if named.kind == "S" else Space.PORTAL
        name = kept(named.name)
        if self.draft.uncertain(space, name):
            return False
        self._taken()
        reply = Reply(ord("D"))
        if space is Space.STATEMENT:
            reply.prepared = self.draft.statement(name)
        else:
            reply.portal = self.draft.portal(name)
            self.batch.binds = True
        self.batch.add(Part(raw, reply))
        return True

    def _read_close(self, raw: bytes) -> bool:
        named = frontend.read_named(raw)
        self._taken()
        change = Change(Space.STATEMENT if named.kind == "S" else Space.PORTAL, kept(named.name))
        self.draft.note(change)
        self.batch.add(Part(raw, Reply(ord("C"), change=change)))
        return True

    def _read_execute(self, raw: bytes) -> bool:
        written = frontend.read_execute(raw).portal
        if self.draft.uncertain(Space.PORTAL, kept(written)):
            return False
        portal = self.draft.portal(kept(written))
        if portal is None:
            return self._refuse_portal(written, raw)
        script = portal.script
        if not self.draft.names_known(script) or self.talk.stale(script):
            return False
        self._taken()
        if not self.draft.aborted and _in_binary_unseen(portal, self.batch):
            described = Reply(ord("D"), Mode.SWALLOW, portal=portal)
            self.batch.add(Part(frontend.describe("P", written), described))
        reply = Reply(ord("E"), portal=portal)
        verdict = self.draft.judge(script, reply, portal)
        self.draft.add(Part(raw, reply), verdict)
        self.batch.binds = True
        return True

    def _refuse_portal(self, name: str, raw: bytes) -> bool:
        """No portal of this name is known: the target is asked for one that no one has (it may know one that we don't)."""
        self._taken()
        self.batch.add(Part(sure_fail(ord("E")), Reply(ord("E"), stands_for=name)))
        self.batch.size += len(raw)  # the name is kept
        self.batch.binds = True
        return True

    def _refuse_text(self, kind: int, found: bytes) -> None:
        """A text that is not UTF-8 can't be judged: the target gets its bad bytes alone, and says so itself."""
        self._taken()
        self.talk.record("refused", reason="a text is not UTF-8", sqlstate="22021")
        self.batch.add(Part(not_utf8(kind, found), Reply(ord("Q" if kind == ord("Q") else "P"))))
        if kind == ord("Q"):
            self._end_batch()

    def _read_sync(self, raw: bytes) -> bool:
        self._taken()
        self.batch.add(Part(raw, Reply(ord("S"))))
        self._end_batch()
        return True

    def _read_flush(self, raw: bytes) -> bool:
        self._taken()
        batch, talk = self.batch, self.talk
        self.draft.unguard(batch)
        if batch.holds:
            batch.add(Part(raw, None))
            self._end_batch()
        elif batch.parts and not batch.binds and not talk.open_batch:
            # Parse, Describe, Close alone: Sync in the place of Flush, so that no lock stays (architecture.md, Flush).
            self._synchronise()
        else:
            batch.add(Part(raw, None))
            self.forwarding.forward(batch)
            self.batch = batch.rest()
            talk.open_batch = True
        return True

    def _read_call(self, raw: bytes) -> bool:
        """FunctionCall runs any function by OID with no text to judge: refused and recorded, never forwarded."""
        self._taken()
        why = "the function call protocol is not supported"
        verdict = Verdict(Answer.DENY, None, why, message="Call the function in a SELECT.", sqlstate="0A000")
        self.draft.add(Part(raw, Reply(ord("F"))), verdict)
        self._end_batch()
        return True

    def _read_terminate(self, _raw: bytes) -> bool:
        """The target reads it when it has answered what came before; without a Sync it may owe that answer for ever."""
        if self.talk.replies and not self.talk.open_batch:
            return False
        self._taken()
        self._terminate()
        return True

    def _read_stray_copy(self, _raw: bytes) -> bool:
        """Copy messages outside COPY are dropped silently, as PostgreSQL does; those of a COPY on its way wait for it."""
        if any(each.copies_in for each in self.talk.replies):
            return False
        self._taken()
        return True

    def _read_password(self, _raw: bytes) -> bool:
        raise ProtocolViolation("unexpected password message")

    def _terminate(self) -> None:
        self.stream.abandon()
        self.talk.emit(ev.ToTarget(frontend.TERMINATE))
        self._close(GOODBYE)

    def _in_copy(self, kind: int, raw: bytes) -> None:
        talk = self.talk
        if kind in b"dcfSH":
            if data := self._copied(kind, raw):
                talk.emit(ev.ToTarget(data))
            if kind in b"cf":
                talk.phase, talk.watch = Phase.READY, None
        elif kind == ord("X"):
            self._terminate()
        else:
            # The target would take it for an error or, if its COPY has just failed, run it unjudged.
            raise ProtocolViolation(f"unexpected message type {chr(kind)} during COPY from stdin")

    def _copied(self, kind: int, raw: bytes) -> bytes:
        """What goes on: with the first placeholder of ours the COPY fails, and nothing more of it does."""
        talk, reply = self.talk, self.talk.replies[0]
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
        talk = self.talk
        if self.batch.parts or talk.open_batch:
            self._taken()
            reply = Reply(ord("Q"))
            verdict = self.draft.judge(script, reply, None)
            self.draft.add(Part(frontend.query(sql), reply), verdict)
            self._end_batch()
            return True

        return self._ask_target(sql, ord("Q"), "")

    def _ask_target(self, sql: str, kind: int, name: str) -> bool:
        """Ask before this Query, or Parse under `name`, is taken; what the target refuses is answered and not judged."""
        talk = self.talk
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
        batch = self.batch
        goes_on = (
            batch.parts[-1].reply is None
        )  # it ends in a Flush: what its statements change counts for what follows
        self.batch = batch.rest() if goes_on else Batch()
        self.draft.unguard(batch)
        if batch.holds:
            self.holding.begin(batch, self.forwarding.forward)
        else:
            self.second.forward(batch)
            if batch.parts[-1].reply is not None and not self.talk.lost:
                self.talk.open_batch = False

    def _refuse_oversize(self, batch: Batch) -> None:
        """Refuse it now and read to its Sync without keeping anything: the target skips all that behind the error."""
        text = error_response(
            "54000",
            f"a held batch may have {self.talk.grounds.policy.limits.max_held_bytes} bytes and {HELD_MESSAGES} messages",
            hint="Send fewer rows in one batch.",
        )
        for part in batch.parts:
            if part.held:
                part.held, part.denied = None, text
        self.forwarding.forward(batch)
        self.batch = Batch()
        self.talk.open_batch, self.talk.phase = True, Phase.SKIPPING

    def _start_errand(self) -> None:
        talk = self.talk
        ready = talk.phase is Phase.READY and talk.errand is None and talk.drained
        if ready and talk.gate.unsure and talk.status == "I":
            talk.emit(ev.ToTarget(self.forwarding.closing()))
        elif ready and talk.path_stale and talk.status != "E":
            doubted = talk.names.doubts > talk.names.asked_at
            question = standing_question(talk.login.target.user, names=doubted, roles=talk.role_moved)
            talk.errand = Errand(question, self._stands)
        talk.run_errand()

    def _stands(self, found: object) -> None:
        """What has been read of a batch was judged by the path of before: it can't go on by another, so the session ends."""
        before = self.talk.grounds.search_path
        self.talk.stands(found)
        if self.batch.parts and self.talk.grounds.search_path != before:
            raise GatewayError(
                "search_path was changed on the target while a batch was being read",
                sqlstate="57P03",
                hint="Connect again and send it again: nothing of it ran.",
            )


#: Who reads a message, by its type. Behind the class, because no compiled class can name its methods inside it.
_READERS: Mapping[int, Callable[[Session, bytes], bool]] = {
    ord("Q"): Session._read_query,
    ord("P"): Session._read_parse,
    ord("B"): Session._read_bind,
    ord("D"): Session._read_describe,
    ord("C"): Session._read_close,
    ord("E"): Session._read_execute,
    ord("S"): Session._read_sync,
    ord("H"): Session._read_flush,
    ord("F"): Session._read_call,
    ord("X"): Session._read_terminate,
    ord("d"): Session._read_stray_copy,
    ord("c"): Session._read_stray_copy,
    ord("f"): Session._read_stray_copy,
    ord("p"): Session._read_password,
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
