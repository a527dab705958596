"""One client's conversation with one target, judged. Pure: `handle(event, now)` returns effects in order.

Read it top-down: what happens to a DELETE is `handle` -> `_advance` -> intake.py: `read_some` -> `_pull` ->
`_read_query` or `_read_execute` (judged: draft.py) -> `_end_batch` -> held (holding.py) or forwarded (forwarding.py);
its answer comes back through stream.py, and answers.py says what it changes. What was taken for a read and writes comes
back too, and is judged again (secondtry.py).

Rules:
- Nothing of a batch is forwarded before it is judged; from the first HOLD on the rest of it is kept (architecture.md).
- A hold waits until the target has answered all that went before, so that its transaction status is known.
- Record comes before the ToTarget it belongs to. Released bytes go only after the release is committed.
- ReadyForQuery is never invented.

What lives here: the table of events, and what comes next once one was taken. What must not: sockets, clocks, ids (they
arrive), SQL parsing (gateway.sql), who decides (gateway.approvals), what a message does (intake.py, answers.py).
"""

from collections.abc import Iterator
from typing import assert_never

from gateway.errors import GatewayError
from gateway.policy.model import Policy
from gateway.session import events as ev
from gateway.session.common import Commons
from gateway.session.draft import Draft
from gateway.session.ending import Ending
from gateway.session.errands import Errand, standing_question
from gateway.session.forwarding import Forwarding
from gateway.session.gate import Gate
from gateway.session.grounds import Grounds, Login
from gateway.session.holding import Holding
from gateway.session.intake import Intake
from gateway.session.judging import Judge
from gateway.session.names import Names
from gateway.session.secondtry import SecondTry
from gateway.session.shortway import ShortWay
from gateway.session.state import Conversation, Phase
from gateway.session.stream import Stream
from gateway.sql.catalog import Catalog

#: Behind a held or waiting batch this much is read; then the client is paused.
READ_AHEAD = 1 << 20


class Session:
    """See the module. `request_ids` gives a new id for each approval request. `search_path`: what the target has just
    said; None has it asked. `commons`: what the sessions of this process know in common."""

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
        judge = Judge(Grounds(login, policy, catalog, path, commons))
        self.talk = Conversation(login, judge, Names(), gate, status)
        self.talk.path_stale = search_path is None
        if catalog is None or catalog.greets:
            self.talk.greeted()
        self.paused = False
        self.going_on = False  # GoOn is on its way
        self.draft = Draft(self.talk)
        self.forwarding = Forwarding(self.talk)
        self.stream = Stream(self.talk)
        self.holding = Holding(self.talk, request_ids)
        self.second = SecondTry(self.talk, self.forwarding, self.holding)
        self.ending = Ending(self.talk, self.holding)
        self.intake = Intake(self.talk, self.draft, self.forwarding, self.holding, self.second, self.ending)
        self.short = ShortWay(self.talk, self.stream)
        self.short.look(idle=True)

    def handle(self, event: ev.Event, now: float) -> list[ev.Effect]:
        """Take one event and return what must be done, in order."""
        short = self.short
        if isinstance(event, ev.FromClient) and short.flight is None:
            if (alike := short.send(event.data, now)) is not None:
                return [*(ev.RecordAlike(*each) for each in alike), ev.ToTarget(short.last.sent)]
            if short.took:
                return []
        elif isinstance(event, ev.FromTarget) and short.waits:
            if (alike := short.answered(event.data, now)) is not None:
                return [*(ev.RecordAlike(*each) for each in alike), ev.ToClient(short.take_answer())]
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
        short.look(idle=not (self.intake.begun or self.going_on or self.paused))
        return effects

    def _read_again(self) -> list[ev.Effect]:
        """What took the short way takes the ordinary one, as of when it came: its effects have been performed already. Returns those
        of what has come since and didn't go on: of its answer, or of what the client says."""
        short, flight, kept = self.short, self.short.flight, self.short.kept
        if short.owed or (flight is not None and flight.behind):
            self.forwarding.closing()  # it was sent
        short.owed, short.flight, short.kept = False, None, b""
        if flight is None:
            return self._handle(ev.FromClient(kept), short.kept_at) if kept else []
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
                    self.intake.feed(data)
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
                    talk.refreshed(catalog)
                case ev.CatalogReloaded(catalog):
                    talk.reloaded(catalog)
                case ev.GoOn():
                    self.going_on = False
                case ev.Ended(why, told):
                    self.ending.ended(why, told)
                case ev.ClientGone():
                    self.ending.client_gone()
                case ev.TargetGone():
                    self.ending.target_gone()
                case ev.CancelRequested():
                    self._cancel()
                case _:
                    assert_never(event)
            if talk.ending is not None:
                self.ending.leave_if_idle()
            self._advance()
        except GatewayError as error:
            self.ending.fatal(error)
        return talk.effects

    def _cancel(self) -> None:
        talk = self.talk
        talk.record("cancelled", request=self.holding.request_id)
        talk.as_new = False  # it may hit what comes next
        self.second.interrupted()
        if talk.runs:
            talk.emit(ev.CancelTarget())
        self.holding.interrupted()  # last: the sure-fail of a hold that ends here needs no cancel

    # --- what comes next ----------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take messages from the inbox until something must be waited for, be it only the others' turn."""
        talk = self.talk
        self._go_on()
        if not self.going_on and self.intake.read_some():
            self.going_on = True
            talk.emit(ev.GoOn())
        self._go_on()
        full = self.intake.waiting > READ_AHEAD or self.going_on
        if full != self.paused and talk.phase is not Phase.CLOSED:
            self.paused = full
            talk.emit(ev.PauseClient() if full else ev.ResumeClient())

    def _go_on(self) -> None:
        self.second.advance()
        self.holding.advance()
        self._start_errand()

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
        if self.draft.batch.parts and self.talk.grounds.search_path != before:
            raise GatewayError(
                "search_path was changed on the target while a batch was being read",
                sqlstate="57P03",
                hint="Connect again and send it again: nothing of it ran.",
            )
