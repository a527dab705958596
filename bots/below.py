"""What is said below a card, in its thread: that it still waits, that it is asked further, that an approval was counted, that
a flood was stopped. Pure.

What lives here: one sentence or two for each. What does not: when it is said (gateway.approvals.outbox), the card (bots.cards).
"""

from collections.abc import Callable, Mapping

from bots.cards import reminder, title
from bots.texts import count, line, moment
from gateway.approvals.outbox import Below
from gateway.approvals.quorum import progress
from gateway.approvals.request import ApprovalRequest


def below(request: ApprovalRequest, about: Below) -> str:
    """The text, with moments as tokens."""
    return _SAID[about](request)


def _escalated(request: ApprovalRequest) -> str:
    further = f"It is now asked in {count(len(request.escalate_to), 'further channel')} as well."
    return f"Escalated: nobody has decided yet. {further} {reminder(request)}"


def _counted(request: ApprovalRequest) -> str:
    return f"{line(progress(request), 400)}: {title(request)}. After {moment(request.expires_at)} nothing runs."


def _flooded(request: ApprovalRequest) -> str:
    """Once for many: each of them was refused and none has a card."""
    who = line(request.requester.user, 80)
    return (
        f"{who} asks for more than may wait at once, so further statements are refused until some of these are decided. "
        f"None of those ran or will be asked about: /hoop audit user:{who} decision:blocked last:1h"
    )


_SAID: Mapping[Below, Callable[[ApprovalRequest], str]] = {
    Below.WAITING: reminder,
    Below.ESCALATED: _escalated,
    Below.COUNTED: _counted,
    Below.FLOODED: _flooded,
}
