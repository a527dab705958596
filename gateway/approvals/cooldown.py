"""The cool-down: what one person was denied again and again is denied by the gateway itself for a while. Pure.

What lives here: when it is on, until when, who may lift it, and what the client is told.
What must not: asking the store (desk.py).
It is bound to who asked (issuer and subject), the target and our shape of what was asked (`alike`): nobody is held up by
what somebody else was denied. Requested changes don't count: they ask for a better statement. What is lifted counts no more,
nor does what was denied before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gateway.approvals.entries import name_of
from gateway.approvals.request import ApprovalRequest, Person, Refusal, State, may_review, same_person
from gateway.errors import DeniedAgain


@dataclass(frozen=True, slots=True)
class CoolDown:
    """`after` so many denials within `within` seconds the next ones take no reviewer's time for `lasts` seconds; 0: never."""

    after: int = 2
    within: float = 1800.0
    lasts: float = 900.0


@dataclass(frozen=True, slots=True)
class Cooling:
    """It is on until `until` (Unix seconds), for these denials, the newest first."""

    until: float
    denied: tuple[ApprovalRequest, ...]


def cooling(denied: Iterable[ApprovalRequest], terms: CoolDown, now: float) -> Cooling | None:
    """Whether what was denied before is denied again at `now`. `denied` is what one person was denied of one kind (`alike`)."""
    if terms.after < 1:
        return None
    counted = []
    for each in sorted(denied, key=_when, reverse=True):
        if each.lifted_by is not None:
            break
        if each.state is State.DENIED and not each.changes:
            counted.append(each)
    counted = counted[: terms.after]
    if len(counted) < terms.after or _when(counted[0]) - _when(counted[-1]) > terms.within:
        return None
    until = _when(counted[0]) + terms.lasts
    return Cooling(until, tuple(counted)) if now < until else None


def _when(request: ApprovalRequest) -> float:
    return request.decided_at or 0.0


def lift(request: ApprovalRequest, reviewer: Person, via: str, now: float) -> ApprovalRequest | Refusal:
    """A reviewer of a denied request lets its requester ask the same again."""
    if same_person(reviewer, request.requester):
        return Refusal.OWN_REQUEST
    if not may_review(request, reviewer):
        return Refusal.NOT_A_REVIEWER
    if request.state is not State.DENIED or request.lifted_by is not None:
        return Refusal.NOT_DENIED
    return replace(request, lifted_by=reviewer, lifted_via=via, lifted_at=now)


def denied_again(on: Cooling) -> DeniedAgain:
    """The refusal: who had denied it, until when it holds, how to go on."""
    newest, until = on.denied[0], f"{datetime.fromtimestamp(on.until, UTC):%H:%M:%S} UTC"
    by = ", ".join(dict.fromkeys(name_of(each.decided_by) for each in on.denied if each.decided_by is not None))
    told = f"Asking for the same with other constants is no help. A reviewer can lift this in chat: /hoop lift {newest.id}."
    return DeniedAgain(
        f"denied by the gateway until {until}: {by} denied this {len(on.denied)} times lately",
        hint=f"Do as the reviewer says: {newest.reason.rstrip('.') or 'no reason was given'}. {told}",
    )
