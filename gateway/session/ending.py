"""How a session ends: what waits is withdrawn, what runs is told as far as it was seen, the client hears why. Pure.

What lives here: every end, whoever wants it. What must not: what makes one end (session.py), a token that is over
(intake.py), the texts and records of a hold (holding.py).
"""

from gateway.approvals.request import GATEWAY_GONE, SESSION_ENDED, TARGET_GONE
from gateway.errors import GatewayError
from gateway.session import events as ev
from gateway.session.holding import Holding
from gateway.session.state import Conversation, Phase
from gateway.session.story import GOODBYE
from gateway.wire import frontend

_STOPPING = "the gateway is shutting down"


class Ending:
    """Of one session."""

    def __init__(self, talk: Conversation, holding: Holding) -> None:
        self._talk = talk
        self._holding = holding

    def fatal(self, error: GatewayError) -> None:
        """End the session with a FATAL text; a hold is withdrawn first."""
        self._holding.withdraw(error.message)
        self._abandon()
        self._talk.say_fatal(error)
        self._close(error.message)

    def ended(self, why: ev.Why, told: str) -> None:
        """Somebody or something wants it to end; `told`: who, as the client is told."""
        talk = self._talk
        if talk.phase is Phase.CLOSED:
            return
        talk.ending = why
        match why:
            case ev.Why.REVOKED:
                self._revoked(told)
            case ev.Why.DRAINING:  # `leave_if_idle` does the rest, now or later
                self._holding.withdraw(f"{GATEWAY_GONE} (it is shutting down)")
            case ev.Why.OVERDUE:
                self._cut_short()
            case ev.Why.STOPPED:
                self._leave()
            case ev.Why.TOKEN_EXPIRED:
                self._holding.token_expired()

    def leave_if_idle(self) -> None:
        """The gateway stops: a session in which nothing runs ends, be it inside a transaction."""
        talk = self._talk
        if talk.draining and not talk.runs and talk.phase is not Phase.CLOSED:
            self._leave()

    def client_gone(self) -> None:
        """The client has closed its connection."""
        self._holding.withdraw("the client went away")
        self._abandon()
        self._close("the client went away")

    def target_gone(self) -> None:
        """The target has closed its connection."""
        if self._talk.phase is Phase.CLOSED:
            return
        self._holding.withdraw(f"{TARGET_GONE} (it closed the connection)")
        self._abandon()
        self._talk.say_fatal(GatewayError("the target closed the connection", sqlstate="57P01"))
        self._close("the target went away")

    def goodbye(self) -> None:
        """The client is done (Terminate)."""
        spare = self._talk.is_spare
        self._abandon()
        if not spare:
            self._talk.emit(ev.ToTarget(frontend.TERMINATE))
        self._close(GOODBYE, spare=spare)

    def _cut_short(self) -> None:
        """The gateway waits no longer for what runs: the target is asked to stop it, and its answer is still heard."""
        talk = self._talk
        if not talk.runs:
            return
        talk.record("cancelled", reason=_STOPPING)
        if talk.phase is Phase.COPY_IN:  # a target that waits for data hears no cancel
            talk.emit(ev.ToTarget(frontend.copy_fail(_STOPPING)))
            talk.phase, talk.watch = Phase.READY, None
        talk.emit(ev.CancelTarget())

    def _leave(self) -> None:
        self._holding.withdraw(f"{GATEWAY_GONE} (it is shutting down)")
        self._abandon()
        hint = "Connect again. What waited for a decision did not run."
        self._talk.say_fatal(GatewayError(_STOPPING, sqlstate="57P01", hint=hint))
        self._close(ev.Why.DRAINING.value)

    def _revoked(self, told: str) -> None:
        """Somebody ends it: at once, whatever runs."""
        talk = self._talk
        if talk.runs:
            talk.emit(ev.CancelTarget())  # or the target would run it to its end, with nobody listening
        self._holding.revoked(f"{SESSION_ENDED} {told}")
        self._abandon()
        hint = "What waited for a decision did not run. Talk to them before you connect again."
        talk.say_fatal(GatewayError(f"{SESSION_ENDED} {told}", sqlstate="57P01", hint=hint))
        self._close(f"ended by {told}")

    def _abandon(self) -> None:
        """The conversation ends here: say of everything on its way that its end was not seen."""
        talk = self._talk
        in_flight = False
        for reply in talk.replies:
            for execution in reply.executions[reply.at :]:
                in_flight = True
                talk.record("finished", statement=execution.number, request=execution.request, outcome="unknown")
                if execution.request:
                    talk.emit(ev.Unknown(execution.request))
            reply.executions = []
        talk.broken_off(in_flight=in_flight)

    def _close(self, reason: str, *, spare: bool = False) -> None:
        talk = self._talk
        if talk.phase is not Phase.CLOSED:
            talk.phase = Phase.CLOSED
            talk.renew()  # for others
            if reason is GOODBYE:
                talk.emit(talk.story.goodbye())
            else:
                talk.record("session_ended", reason=reason)
            talk.emit(ev.Close(goodbye=reason is GOODBYE, spare=spare))
