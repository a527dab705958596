"""Grants in words: what a reviewer may choose, what that would let through, and what was given. Pure.

What lives here: sentences and the values of the choices. What does not: who may grant and revoke (gateway.approvals.granting),
the commands (bots.revoking), any chat's format.
"""

import re
from dataclasses import dataclass

from bots.texts import count, line, moment
from gateway.approvals.grants import Grant, Scope, offers
from gateway.approvals.request import ApprovalRequest, State

#: From so many approvals of its like on the card proposes a grant.
PROPOSED_FROM = 3
_CHOICE = re.compile(r"([1-9][0-9]{0,5})([mx])")


@dataclass(frozen=True, slots=True)
class Offer:
    """One choice: `value` goes round through a chat, `label` is what people read."""

    value: str
    label: str


def choices(request: ApprovalRequest) -> tuple[Offer, ...]:
    """What may be granted on it, the smaller first; empty where nothing may. The most uses within the most minutes are one choice,
    whichever is said first."""
    terms = request.grantable
    if terms is None:
        return ()
    most = f", at most {count(terms.max_uses, 'use')}" if terms.max_uses is not None else ""
    within = f", within {count(terms.max_minutes, 'minute')}" if terms.max_minutes is not None else ""
    return tuple(
        Offer(f"{each.minutes}m", f"{count(each.minutes, 'minute')}{most}")
        if each.minutes is not None
        else Offer(f"{each.uses}x", f"{count(each.uses or 0, 'use')}{within}")
        for each in offers(terms)
        if each.minutes is None or each.minutes != terms.max_minutes or terms.max_uses is None
    )


def scope_of(value: str) -> Scope | None:
    """The choice behind an Offer's value; None for anything else. Whether it is on offer is asked where it is decided."""
    found = _CHOICE.fullmatch(value)
    if found is None:
        return None
    number = int(found[1])
    return Scope(minutes=number) if found[2] == "m" else Scope(uses=number)


def sentence(request: ApprovalRequest) -> str:
    """What a grant would let through, for who is about to give one; "" where none may be given."""
    terms = request.grantable
    if terms is None:
        return ""
    bound = any(values for each in request.statements for values in each.parameters)
    values = (" with any bound values" if terms.vary else " with the same values") if bound else ""
    who, where = line(request.requester.user, 80), line(request.target, 60)
    return (
        f"It runs now, and {who} may then run it on {where} again without asking: the same text{values}, up to"
        f" {count(terms.max_rows, 'row')} each time. If its tables, their triggers, settings, login or rule change, people are"
        f" asked again. /hoop revoke grant {line(request.id, 60)} ends it."
    )


def told(request: ApprovalRequest) -> str:
    """What a card says of grants: the one given on it, the one it ran under, or that one might be given; "" for nothing."""
    if request.under:
        return f"it was approved by grant {line(request.under, 60)}: nobody was asked"
    if request.grant is not None:
        return given(request.grant, request.id)
    proposed = request.grantable is not None and request.approved_before >= PROPOSED_FROM
    if proposed and request.state is State.PENDING:
        return (
            f"people have approved its like {request.approved_before:,} times: you may approve this shape for a while"
        )
    return ""


def given(grant: Grant, request_id: str) -> str:
    """How long and how often, or who has revoked it. How often it was used changes: /hoop grants says so."""
    if grant.revoked_at is not None:
        why = f": {line(grant.why, 400)}" if grant.why else ""
        return f"this shape was granted; {line(grant.revoked_by, 80)} revoked that at {moment(grant.revoked_at)}{why}"
    most = f", at most {count(grant.uses, 'use')}" if grant.uses is not None else ""
    return (
        f"this shape may run again until {moment(grant.until)}{most}, up to {count(grant.rows, 'row')} each."
        f" /hoop revoke grant {line(request_id, 60)} ends that"
    )
