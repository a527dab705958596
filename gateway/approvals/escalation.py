"""Escalation: after a while a request that still waits is also asked about in further channels. Pure.

What lives here: when, and what it changes of a request. What must not: who may decide. A channel shows a card and gives nobody a
right; reviewers stay those that the rule has named, whoever reads along.
"""

from dataclasses import dataclass, replace

from gateway.approvals.request import ApprovalRequest, Refusal, State


@dataclass(frozen=True, slots=True)
class Escalation:
    """Where it is asked further, after `seconds`, or after this `share` of the time that it may wait."""

    channels: tuple[str, ...]
    share: float = 2 / 3
    seconds: float | None = None

    def delay(self, whole: float) -> float | None:
        """Seconds from its opening on, for a request that waits for `whole` seconds in all; None: its time is over before."""
        wait = self.seconds if self.seconds is not None else self.share * whole
        return wait if 0 < wait < whole else None


def escalate(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
    """Note that it is asked further, once."""
    if request.state is not State.PENDING or request.escalated_at is not None:
        return Refusal.ALREADY_DECIDED
    if now >= request.expires_at:
        return Refusal.EXPIRED
    return replace(request, escalated_at=now)
