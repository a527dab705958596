"""A held batch, from the HOLD to its release or refusal. Pure; people's answers arrive as events.

    begin -> (target answers what went before) -> probe -> Hold -> Opened -> Ruled(approved) -> recheck -> Release
          -> Released -> the held bytes go; anything else -> sure-fail with the outcome's text

With `keep_for` the client may go and the request stays (Leave). Whoever sends the same again is told Joined instead of
Opened and waits for that one, or, where it was approved meanwhile, goes on as above at once; the store lets one of them run.

The request lives in the store: what happened to it is only believed when it comes back as Ruled, Released or NotReleased.
"""

from collections.abc import Callable, Iterator

from gateway.approvals.quorum import progress
from gateway.approvals.request import ApprovalRequest, Preview, State, said, sqlstate_of
from gateway.approvals.risk import HIGH, is_high
from gateway.policy.decide import Answer, Verdict
from gateway.session import events as ev
from gateway.session.errands import Errand, Messages
from gateway.session.granting import grantable
from gateway.session.guard import left_waiting, refused_by_outcome, refused_by_policy
from gateway.session.meaning import (
    Meaning,
    difference,
    isolation_question,
    known,
    may_be_asked_inside,
    meaning_question,
    names_of,
)
from gateway.session.names import Prepared
from gateway.session.probe import Findings, Refusal, Subject, probe
from gateway.session.question import Held, Stage, content_digest, release_digest, request_of, wire_of
from gateway.session.replies import Batch
from gateway.session.state import Conversation, Phase
from gateway.sql.statement import Script
from gateway.wire.backend import cut, error_response, notice_response

#: Time between NoticeResponses while a client waits (interface.md).
NOTICE_EVERY = 30.0
TOKEN_EXPIRED = "token expired while the statement waited"  # noqa: S105 - not a password
_TARGET_REFUSES = "the target says so; nobody was asked, and nothing ran"
#: Somebody's approval was used: by this wire, where it is releasing, else by another one that asked the same.
_USED = frozenset({State.RELEASED, State.EXECUTED, State.FAILED, State.UNKNOWN})


class Holding:
    """The holds of one session, one at a time."""

    def __init__(self, talk: Conversation, request_ids: Iterator[str]) -> None:
        self._talk = talk
        self._ids = request_ids
        self._held: Held | None = None
        self._forward: Callable[[Batch], None] = lambda _: None
        self._side: Errand | None = None

    @property
    def active(self) -> bool:
        return self._held is not None

    @property
    def request_id(self) -> str | None:
        return self._held.id if self._held else None

    # --- holding ------------------------------------------------------------------------------------------------------

    def begin(self, batch: Batch, forward: Callable[[Batch], None]) -> None:
        """Keep this batch back. `forward` sends it once it was approved, or with its held parts denied."""
        talk = self._talk
        verdicts = [part.held for part in batch.parts if part.held is not None and part.held.hold is not None]
        verdict = max(verdicts, key=lambda each: each.hold.reviewers.approvals if each.hold else 0)
        assert verdict.hold is not None  # a HOLD always carries its terms (policy.decide)  # noqa: S101
        self._forward = forward
        self._held = Held(next(self._ids), batch, verdict, verdict.hold, talk.now, talk.now)
        talk.phase = Phase.HELD

    def advance(self) -> None:
        """Go on when the target has answered all that went before (an open batch can't be waited for)."""
        held, talk = self._held, self._talk
        if held is None or held.stage is not Stage.DRAINING or talk.phase is Phase.CLOSED:
            return
        if not talk.drained and not talk.open_batch:
            return
        held.stage = Stage.PROBING
        in_transaction = talk.status != "I" or talk.open_batch
        wait = min(held.terms.timeout, held.terms.hold_in_transaction) if in_transaction else held.terms.timeout
        held.until = talk.now + wait
        if talk.open_batch:
            self._probe_aside("the batch is half forwarded")
        elif talk.status in "IT" and "" in talk.names.portals and not _replaces_portal(held.batch):
            self._probe_aside("the session has an open portal")
        elif talk.status == "I":
            self._probe_here()
        elif talk.status == "T":
            talk.names.portals.pop("", None)  # our questions drop it, as the batch itself would
            talk.errand = Errand(isolation_question(), self._isolation_known)
        else:
            self._probe_aside("the transaction is aborted")

    def _isolation_known(self, settings: object) -> None:
        assert isinstance(settings, tuple)  # noqa: S101 - isolation_question returns nothing else
        if may_be_asked_inside(settings):
            self._probe_here()
        elif self._held is not None:
            self._held.settings = settings
            self._probe_aside("a preview here would fix the transaction's snapshot")

    def _subject(self) -> Subject:
        held = self._held
        assert held is not None  # noqa: S101 - callers hold
        reply = next(part.reply for part in held.parts if part.reply is not None)
        wanted = [each for each in reply.executions if each.verdict.answer is Answer.HOLD] or reply.executions
        changing = [each for each in wanted if each.statement.writes] or wanted
        portal = reply.portal
        names = tuple(names_of(held.executions))
        prepared = portal.prepared if portal else None
        return Subject(changing[0], prepared, portal.bind if portal else None, names, self._unread(held, prepared))

    def _unread(self, held: Held, prepared: Prepared | None) -> bool:
        """May the target be asked to prepare what it has not read yet? Another session, or what runs before it, may have what
        this one has not; and a constant that is written to an array of a domain meets its CHECK there."""
        if held.side or held.batch.runs != 1 or not (prepared is None or held.batch.prepares(prepared)):
            return False
        return not self._talk.judge.runs_at_bind(Script("", tuple(each.statement for each in held.executions)))

    def _probe_here(self) -> None:
        talk = self._talk
        talk.errand = Errand(probe(self._subject(), talk.judge, talk.status), self._found_any)

    def _probe_aside(self, why: str) -> None:
        held = self._held
        assert held is not None  # noqa: S101 - callers hold
        held.side = True
        self._side = Errand(probe(self._subject(), self._talk.judge, "I", why), self._found_any)
        self._ask_aside()

    def _ask_aside(self) -> None:
        errand = self._side
        if errand is None:
            return
        question = errand.next()
        if question is None:
            self._side = None
            self._talk.emit(ev.SideClose())
            errand.finish()
        else:
            self._talk.emit(ev.SideAsk(question))

    def side_answered(self, data: bytes | None, problem: str) -> None:
        """The side connection's answer to the last question, or why there is none."""
        if self._side is None or self._held is None:
            return
        if data is None and self._held.stage is Stage.RELEASING:
            self._side = None
            self._release(f"what its names mean could not be asked again: {problem}")
        elif data is None:
            self._side = None
            self._found(Findings(None, Preview(note=f"no preview: {problem}")))
        else:
            self._side.answer(split(data))
            self._ask_aside()

    def _found_any(self, findings: object) -> None:
        assert isinstance(findings, Findings)  # noqa: S101 - probe returns nothing else
        self._found(findings)

    def _found(self, findings: Findings) -> None:
        """The preview is there (or why not): store the question."""
        held, talk = self._held, self._talk
        if held is None:
            return
        held.findings = findings
        if held.over is not None and held.denied is None:
            self._refuse_unasked("57014", f"withdrawn before anybody was asked: {held.over.why}", "nothing ran")
            return
        if findings.meaning is not None and not findings.meaning.told:
            self._refuse_unasked("57P03", "the target did not say what its names mean", "nothing ran", "Send it again.")
            return
        verdict = held.denied or self._judged_again(held)
        if verdict is not None and verdict.answer is Answer.DENY:
            for execution in held.executions:
                execution.verdict = verdict
            self._refuse(refused_by_policy(verdict))
            return
        if findings.refusal is not None:
            self._refuse_as_the_target(held, findings.refusal)
            return
        if verdict is not None and verdict.hold is not None:
            ours = held.terms.reviewers.approvals
            if verdict.hold.reviewers.approvals > ours:
                held.verdict, held.terms = verdict, verdict.hold
        held.stage = Stage.OPENING
        request = grantable(talk, held, request_of(talk, held))
        for execution in held.executions:
            execution.request = held.id
            execution.risk = HIGH if is_high(request) else ""
        talk.emit(ev.Hold(request))

    def _judged_again(self, held: Held) -> Verdict | None:
        """Some rules ask for the row count, which is known only now; the answer may only get stricter."""
        rows = held.findings.preview.rows
        if rows is None:
            return None
        return self._talk.judge.verdict([each.statement for each in held.executions], self._talk.now, rows)

    def _notice(self) -> None:
        """Tell the waiting client, and ask to be woken for the next time. Not before the request is stored: a grant may cover
        it, a cool-down refuse it, another one that asks the same stand for it."""
        held, talk = self._held, self._talk
        if held is None:
            return
        if not talk.mid_message:
            left = max(0, round(held.until - talk.now))
            text = (
                f"held for approval: request {held.id}, reviewers {held.terms.reviewers.name},"
                f" until {_clock(held.until)} UTC ({left} s)"
            )
            why = f"rule: {held.verdict.rule}" + (f", {held.verdict.besides}" if held.verdict.besides else "")
            talk.emit(ev.ToClient(notice_response(text, detail=why)))
        self._pass_on()
        talk.renew()  # there is one alarm, and this one is later
        wake = talk.now + NOTICE_EVERY
        until = held.until if held.terms.keep_for is not None and held.until > talk.now else wake
        talk.emit(
            ev.WakeAt(min(wake, until))
        )  # the end of a request is the store's to tell, that of its client's wait ours

    @staticmethod
    def _note(held: Held, request: ApprovalRequest) -> None:
        held.questions, held.progress = request.questions, progress(request)

    def _pass_on(self) -> None:
        """Reviewers' questions and how far a quorum is, each once; behind a row that is half out they wait for the next notice."""
        held, talk = self._held, self._talk
        if held is None or talk.mid_message:
            return
        for each in held.questions[held.told :]:
            text = f"{said(each.by.user, 80)} asks about request {held.id}: {each.text}"
            talk.emit(ev.ToClient(notice_response(text, hint="Answer in chat. The request still waits.")))
        held.told = len(held.questions)
        if held.progress not in ("", held.heard):
            talk.emit(ev.ToClient(notice_response(f"request {held.id}: {held.progress}")))
            held.heard = held.progress

    def tick(self) -> None:
        held = self._held
        if held is None or held.stage is not Stage.WAITING:
            return
        if held.kept_until is not None and self._talk.now >= held.until:
            self._end(held, ev.Leave(held.id, "nobody decided while the client waited"))
        else:
            self._notice()

    # --- answers ------------------------------------------------------------------------------------------------------

    def opened(self, request_id: str) -> None:
        held = self._held
        if held is None or held.id != request_id:
            self._talk.emit(ev.Withdraw(request_id, "the session ended"))
            return
        if held.stage is not Stage.OPENING:
            return  # its approval was heard first
        held.stage = Stage.WAITING
        if held.over is not None:
            self._carry_out(held, held.over)
        else:
            self._notice()

    def joined(self, request_id: str, stored: ApprovalRequest) -> None:
        """A request that asks the same is open already. What reviewers saw of rows then counts, not what is there now."""
        held, talk = self._held, self._talk
        if held is None or held.id != request_id:
            talk.emit(ev.Leave(stored.id, "the session ended"))
            return
        held.id, held.joined, held.stage = stored.id, True, Stage.WAITING
        held.cap, held.kept_until = stored.row_cap, stored.expires_at
        for execution in held.executions:
            execution.request = stored.id
            execution.risk = HIGH if is_high(stored) else ""
        if held.over is not None:  # this wire's end is not the end of what others may wait for
            self._carry_out(held, ev.Leave(stored.id, held.over.why))
        elif stored.state is State.PENDING:
            self._note(held, stored)
            self._notice()
        else:
            talk.emit(ev.ToClient(notice_response(f"request {stored.id} was approved before: it runs now, once")))
            self.ruled(stored)

    def granted(self, stored: ApprovalRequest) -> None:
        """A grant covers it: it goes on as approved, under the grant's own number of rows, and waits for nobody."""
        held, talk = self._held, self._talk
        if held is None or held.id != stored.id:
            talk.emit(ev.Withdraw(stored.id, "the session ended"))
            return
        held.granted, held.kept_until, held.stage = True, None, Stage.WAITING
        if held.over is not None:
            self._carry_out(held, ev.Withdraw(held.id, held.over.why))
            return
        by = said(stored.decided_by.user, 80) if stored.decided_by else "a reviewer"
        text = f"request {stored.id} is approved by grant {stored.under} of {by}"
        talk.emit(
            ev.ToClient(notice_response(text, detail=f"rule: {held.verdict.rule}, at most {stored.row_cap} rows"))
        )
        self.ruled(stored)

    def not_opened(self, event: ev.NotOpened) -> None:
        if self._held is not None and self._held.id == event.request:
            self._refuse_unasked(event.sqlstate, event.message, "nothing ran", event.hint, event.outcome)

    def ruled(self, request: ApprovalRequest) -> None:
        """The stored request changed."""
        held = self._held
        if held is None or held.id != request.id:
            return
        if request.state is State.PENDING:
            self._note(held, request)
            self._pass_on()
            return
        if request.state in _USED:
            if held.stage is not Stage.RELEASING:  # else the answer to Release tells by whom
                self._used(request)
            return
        if request.state is not State.APPROVED:
            self._refuse(refused_by_outcome(request))
            return
        if held.stage in (Stage.OPENING, Stage.WAITING):  # a click on another replica may be heard before Opened
            held.cap = request.row_cap
            for execution in held.executions:
                execution.decided_by = ", ".join(each.by.user for each in request.approvals)
                execution.broken = request.broken
                execution.via = request.decided_via
            self._recheck(held)

    def _recheck(self, held: Held) -> None:
        """Approved: ask again what the names mean, then commit the release."""
        talk = self._talk
        held.stage = Stage.RELEASING
        if self._over(held):
            return
        if held.findings.meaning is None:
            self._release("")
        elif not held.side:
            talk.errand = Errand(meaning_question(names_of(held.executions)), self._meaning_again)
        elif held.settings is not None:
            talk.errand = Errand(isolation_question(), self._settings_again)
        else:
            self._recheck_aside()

    def _settings_again(self, settings: object) -> None:
        held = self._held
        if held is None or held.settings is None:
            return
        assert isinstance(settings, tuple)  # noqa: S101 - isolation_question returns nothing else
        changed = difference(Meaning(settings=held.settings), Meaning(settings=settings))
        if changed:
            self._release(changed)
        else:
            self._recheck_aside()

    def _recheck_aside(self) -> None:
        held = self._held
        if held is not None:
            self._side = Errand(meaning_question(names_of(held.executions), aside=True), self._meaning_again)
            self._ask_aside()

    def _meaning_again(self, now: object) -> None:
        held = self._held
        if held is not None and held.findings.meaning is not None:
            assert isinstance(now, Meaning)  # noqa: S101 - meaning_question returns nothing else
            self._release(difference(held.findings.meaning, now))

    def _release(self, changed: str) -> None:
        """Commit the release, unless something has `changed` of what was approved."""
        held, talk = self._held, self._talk
        if held is None:
            return
        changed = changed or difference(Meaning(settings=known(held.reported)), Meaning(settings=known(talk.reported)))
        if changed:
            self.cancelled(changed)
        if self._over(held):
            return
        bound = content_digest(talk, held) if held.joined else release_digest(talk, held)
        talk.emit(ev.Release(held.id, bound, wire_of(talk)))

    def _over(self, held: Held) -> bool:
        """Has it ended since it was approved? Then that is what becomes of it, and not the release."""
        if self._talk.now >= self._talk.login.identity.expires_at:
            self._stop(TOKEN_EXPIRED)
        if held.over is None:
            return False
        held.stage = Stage.WAITING
        self._carry_out(held, held.over)
        return True

    def released(self, request_id: str) -> None:
        """The release is committed: exactly the held bytes go, once."""
        held = self._held
        if held is None or held.id != request_id:
            self._talk.emit(ev.Unknown(request_id))
            return
        for part in held.parts:
            part.held, part.allowed = None, held.cap
        self._go(held)
        if held.interrupted:
            self._talk.emit(ev.CancelTarget())  # it came too late for the hold: the statement is running now

    def not_released(self, event: ev.NotReleased) -> None:
        held = self._held
        if held is None or held.id != event.id:
            return
        if event.request is not None and event.request.state in _USED:
            self._used(event.request)
        elif event.request is not None and event.request.state not in (State.PENDING, State.APPROVED):
            self._refuse(refused_by_outcome(event.request))
        else:
            self._talk.emit(ev.Withdraw(held.id, event.problem))
            self._refuse(error_response("57P03", event.problem, detail=f"request {held.id}; nothing ran"))

    def _used(self, request: ApprovalRequest) -> None:
        """Another wire that asked the same was faster: an approval is good for one use."""
        self._talk.emit(ev.Leave(request.id, "its approval was used by another connection"))
        self._refuse(refused_by_outcome(request))

    def _refuse_unasked(self, sqlstate: str, why: str, detail: str, hint: str = "", outcome: str = "") -> None:
        """Nobody was asked, so no request tells of it: the audit hears it from here."""
        held = self._held
        if held is not None:
            self._record_unasked(held, sqlstate, why, outcome)
            self._refuse(error_response(sqlstate, why, detail=detail, hint=hint))

    def _refuse_as_the_target(self, held: Held, refusal: Refusal) -> None:
        """It can't be run as it is: nobody need be asked for that."""
        for part in held.parts:
            if part.reply is not None:
                for execution in part.reply.executions:
                    execution.started = self._talk.now
                    self._talk.finish(execution, refusal.sqlstate, 0, f"{refusal.message} ({_TARGET_REFUSES})")
                part.reply.executions = []
        text = error_response(refusal.sqlstate, refusal.message, detail=_TARGET_REFUSES, hint=refusal.hint)
        self._refuse(text)

    def _record_unasked(self, held: Held, sqlstate: str, why: str, outcome: str = "") -> None:
        for part in held.parts:
            for execution in part.reply.executions if part.reply is not None and outcome else ():
                execution.request = None  # surely none was stored, and nobody was told of one
            if part.reply is not None:
                self._talk.record_refused(part.reply, sqlstate, why, outcome)

    def _refuse(self, text: bytes) -> None:
        held = self._held
        if held is None:
            return
        for part in held.parts:
            part.held, part.denied = None, text
        self._go(held)

    def _go(self, held: Held) -> None:
        talk = self._talk
        self._held = None
        self._side = None
        if held.side:
            talk.emit(ev.SideClose())
        if talk.phase is Phase.HELD:
            talk.phase = Phase.READY
        self._forward(held.batch)
        last = held.batch.parts[-1].reply
        talk.open_batch = last is None or talk.lost

    # --- ends that don't wait for people ------------------------------------------------------------------------------

    def interrupted(self) -> None:
        """The client gave the statement up: before the release it is withdrawn, after it the target is asked to stop."""
        if self._held is not None:
            self._held.interrupted = True
            self._stop("cancelled by the client")

    def token_expired(self) -> None:
        """The session may run nothing more."""
        self._stop(TOKEN_EXPIRED)

    def _stop(self, why: str) -> None:
        """This wire waits no longer: with `keep_for` its request goes on without it."""
        held = self._held
        if held is not None and held.kept_until is not None:
            self._end(held, ev.Leave(held.id, why))
        else:
            self.cancelled(why)

    def cancelled(self, why: str) -> None:
        """Nobody may have the statement any more: withdraw, and answer when that is stored."""
        if self._held is not None:
            self._end(self._held, ev.Withdraw(self._held.id, why))

    def _end(self, held: Held, effect: ev.Withdraw | ev.Leave | ev.Supersede) -> None:
        """The first end counts. Before there is a request, and while a release is prepared, it waits for its moment."""
        if held.over is None:
            held.over = effect
            if held.stage is Stage.WAITING:
                self._carry_out(held, effect)

    def _carry_out(self, held: Held, effect: ev.Withdraw | ev.Leave | ev.Supersede) -> None:
        """The store's answer comes back as Ruled; of a request that is left alone there is none."""
        self._talk.emit(effect)
        if isinstance(effect, ev.Leave) and held.kept_until is not None:
            self._talk.record("left", request=held.id, reason=effect.why)
            about = f"reviewers: {held.terms.reviewers.name}, rule: {held.verdict.rule}"
            self._refuse(left_waiting(held.id, effect.why, about, f"{_clock(held.kept_until)} UTC"))

    def withdraw(self, why: str) -> None:
        """The session ends: nobody is left to answer."""
        held, self._held = self._held, None
        if held is not None and held.stage in (Stage.DRAINING, Stage.PROBING):
            self._record_unasked(held, sqlstate_of(State.WITHDRAWN, why), why)
        elif held is not None and held.kept_until is not None and held.stage is not Stage.RELEASING:
            self._talk.record("left", request=held.id, reason=why)
            self._talk.emit(ev.Leave(held.id, why))
        elif held is not None:
            self._talk.emit(ev.Withdraw(held.id, why))

    def revoked(self, why: str) -> None:
        """Somebody ends the session: what it asked for ends with it, also what would outlive it else."""
        if self._held is not None:
            self._held.kept_until = None
        self.withdraw(why)

    def policy_changed(self) -> None:
        """A pending request keeps its rule, unless the new policy denies it now (interface.md, Semantics)."""
        held, talk = self._held, self._talk
        if held is None:
            return
        going = [part.reply for part in held.batch.parts if part.reply is not None and part.denied is None]
        statements = [each.statement for reply in going for each in reply.executions]
        verdict = talk.judge.verdict(statements, talk.now)
        if verdict.answer is Answer.DENY:
            held.denied = verdict
            name = f"rule {verdict.rule}" if verdict.rule else "the new policy"
            self._end(held, ev.Supersede(held.id, f"{name} now denies it: {verdict.message or verdict.reason}"))
        elif held.granted:
            self._end(held, ev.Withdraw(held.id, "the policy has changed since a grant approved it"))


def _replaces_portal(batch: Batch) -> bool:
    """Whether the first message that is about the unnamed portal makes another of it: a Bind, or a Query. Drivers leave that of
    the statement before open, and nobody can go on with it."""
    first = next((part.raw for part in batch.parts if _is_about_unnamed(part.raw)), b"")
    return first[:1] in (b"B", b"Q")


def _is_about_unnamed(raw: bytes) -> bool:
    """Bind and Execute begin with the portal's name, Describe and Close with "P" and that name (protocol, Message Formats)."""
    if raw[:1] in (b"D", b"C"):
        return raw[5:7] == b"P\0"
    return raw[:1] == b"Q" or (raw[:1] in (b"B", b"E") and raw[5:6] == b"\0")


def _clock(at: float) -> str:
    seconds = int(at) % 86400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def split(data: bytes) -> Messages:
    """Cut whole backend messages into (type, body)."""
    return [(each[0], each[5:]) for each in cut(data)]
