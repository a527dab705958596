"""Breaking the glass: one of the rule's `break_glass` reviewers approves alone, where the quorum can't be had in time. Pure.

What lives here: who may, what it takes, what becomes of the request. What must not: how loudly it is told (bots.outcomes,
the outbox's alarms). It stands in for the quorum and for nothing else: not for somebody else than the requester, not for the
page where the rule wants the page, nor for reading where the rule wants it read.
"""

from dataclasses import replace

from gateway.approvals.request import (
    Approval,
    ApprovalRequest,
    Person,
    Preview,
    Refusal,
    State,
    is_named,
    may_review,
    over_of,
    said,
    same_person,
    shows_this,
    unready_of,
)

#: What is typed where the rule wants no name typed.
WORDS = "break glass"
LEAST_REASON = 3
FOR_REVIEWERS = "no preview: rows are told to those who decide"


def to_type(request: ApprovalRequest) -> str:
    """What has to be typed to break the glass: the name that an approval would want, too, else WORDS."""
    return request.to_type or WORDS


def may_break(request: ApprovalRequest, person: Person) -> bool:
    """Whether the rule's `break_glass` names one of the person's groups, or them."""
    return bool(request.glass_groups & person.groups) or is_named(person, request.glass_users)


def may_look(request: ApprovalRequest, person: Person) -> bool:
    """Whether the person may decide it in some way, so may read all of it."""
    return may_review(request, person) or may_break(request, person)


def as_seen_by(request: ApprovalRequest, person: Person) -> ApprovalRequest:
    """What the person may see of it, who asked or may look. Rows of the target, and how many there are, are for those who decide:
    else a write that is held would show a table that its requester may not read."""
    return request if may_look(request, person) else replace(request, preview=Preview(note=FOR_REVIEWERS))


def refusal_of(request: ApprovalRequest, person: Person, now: float) -> Refusal | None:
    """Why this person can't break the glass now. Authority comes first, as in request.py."""
    if same_person(person, request.requester):
        return Refusal.OWN_REQUEST
    return over_of(request, now) if may_break(request, person) else Refusal.NOT_A_REVIEWER


def break_glass(
    request: ApprovalRequest,
    person: Person,
    via: str,
    reason: str,
    now: float,
    *,
    rev: int | None = None,
    typed: str = "",
    read: bool = False,
) -> ApprovalRequest | Refusal:
    """Approve it alone. `reason` goes on the card, into the alarm and into the audit log; the rest is as in request.approve."""
    refusal = refusal_of(request, person, now)
    if refusal is not None:
        return refusal
    if not shows_this(request, rev):
        return Refusal.STALE
    unready = unready_of(request, via, read=read)
    if unready is not None:
        return unready
    if typed.strip().casefold() != to_type(request).casefold():
        return Refusal.NOT_TYPED
    why = said(reason)
    if len(why) < LEAST_REASON:
        return Refusal.NO_REASON
    before = tuple(each for each in request.approvals if not same_person(each.by, person))
    return replace(
        request,
        state=State.APPROVED,
        approvals=(*before, Approval(person, via, now)),
        decided_by=person,
        decided_via=via,
        decided_at=now,
        broken=why,
    )
