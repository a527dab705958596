"""The rules of grants and of taking an approval back: who may, and what becomes of the request. Pure, as request.py is.

    approve with a Scope -> the request carries a Grant -> others of its shape are stored as approved (`cover`)
                                                        -> revoked, out of time or used up: people are asked again

Strict on purpose: a grant is offered only where one approval is enough, and an approver's authority is not asked again
when it is used, so it never lasts longer than a sign-in counts (`longest`).
"""

from dataclasses import replace

from gateway.approvals import request as rules
from gateway.approvals.grants import Grant, Scope, offers
from gateway.approvals.request import ApprovalRequest, Person, Refusal, State, may_review, said, same_person

#: How a use was approved, in the place of a chat's name.
VIA_GRANT = "grant"


def give(approved: ApprovalRequest, scope: Scope, now: float, longest: float) -> ApprovalRequest | Refusal:
    """Let the shape of a request that was just approved run again; `longest` in seconds. NO_GRANT: not what is offered."""
    terms = approved.grantable
    if terms is None or scope not in offers(terms) or approved.state is not State.APPROVED:
        return Refusal.NO_GRANT
    minutes = [each for each in (scope.minutes, terms.max_minutes) if each is not None]
    uses = [each for each in (scope.uses, terms.max_uses) if each is not None]
    until = now + min([longest, *(60.0 * each for each in minutes)])
    grant = Grant(terms.shape, until, min(uses, default=None), terms.max_rows, terms.vary)
    return replace(approved, grant=grant)


def in_force(grant: Grant | None, now: float) -> bool:
    """Whether it may be used, if it is not used up."""
    return grant is not None and grant.revoked_at is None and now < grant.until


def cover(giver: ApprovalRequest, request: ApprovalRequest, now: float) -> ApprovalRequest | None:
    """The pending `request` as approved by the grant on `giver`; None where that does not cover it.

    Its rows must have been counted, and it is held to the grant's own number. It has no card, and no client to outlive.
    """
    grant, terms, rows = giver.grant, request.grantable, request.preview.rows
    if grant is None or not in_force(grant, now) or terms is None or terms.shape != grant.shape:
        return None
    asked, gave = request.requester, giver.requester
    if (asked.issuer, asked.subject) != (gave.issuer, gave.subject) or not giver.approvals:
        return None
    if rows is None or request.preview.kind != "exact" or rows > grant.rows:
        return None
    by = giver.approvals[-1].by
    return replace(
        request,
        state=State.APPROVED,
        approvals=(rules.Approval(by, VIA_GRANT, now),),
        decided_by=by,
        decided_via=VIA_GRANT,
        decided_at=now,
        row_cap=grant.rows,
        channels=(),
        escalate_to=(),
        escalate_at=None,
        kept=False,
        grantable=None,
        under=giver.id,
    )


def revoke_grant(request: ApprovalRequest, person: Person, via: str, why: str, now: float) -> ApprovalRequest | Refusal:
    """End a grant: who gave it, anybody who could have, and who it was given to may."""
    if not (same_person(person, request.requester) or may_review(request, person) or _gave(request, person)):
        return Refusal.NOT_A_REVIEWER
    if request.grant is None:
        return Refusal.NO_GRANT
    if not in_force(request.grant, now):
        return Refusal.ALREADY_DECIDED
    ended = replace(request.grant, revoked_at=now, revoked_by=_name(person), revoked_via=via, why=said(why))
    return replace(request, grant=ended)


def revoke(request: ApprovalRequest, person: Person, via: str, why: str, now: float) -> ApprovalRequest | Refusal:
    """Take back an approval that nothing has run on: any reviewer may; the requester withdraws."""
    if not (may_review(request, person) or _gave(request, person)):
        return Refusal.OWN_REQUEST if same_person(person, request.requester) else Refusal.NOT_A_REVIEWER
    if same_person(person, request.requester):
        return Refusal.OWN_REQUEST
    if request.state is State.PENDING:
        return Refusal.NOT_APPROVED
    text = said(why)
    ended = rules.withdraw(request, f"{rules.REVOKED} {_name(person)}{f': {text}' if text else ''}", now)
    return ended if isinstance(ended, Refusal) else replace(ended, decided_by=person, decided_via=via)


def _gave(request: ApprovalRequest, person: Person) -> bool:
    return any(same_person(person, each.by) for each in request.approvals)


def _name(person: Person) -> str:
    return said(person.user or person.email or person.subject, 80)
