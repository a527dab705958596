"""What people decide by a click, what that makes of a request, and what comes of it. Pure.

What lives here: the decisions, the change that each is, what it is called in the record, and the two answers.
What must not: the rules (request.py, glass.py, granting.py, cooldown.py), storing and recording (moves.py), who decides
(people.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.approvals import glass, granting
from gateway.approvals import request as rules
from gateway.approvals.cooldown import lift
from gateway.approvals.grants import Scope
from gateway.approvals.request import ApprovalRequest, Person, Refusal


@dataclass(frozen=True, slots=True)
class Approve:
    """A click on Approve. `typed` goes with it where a name must be typed; `read`: the full text was shown to who clicks;
    `scope`: its shape may run again so long, or so often."""

    typed: str = ""
    read: bool = False
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """A click on Deny; the reason goes to the client and on the card."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestChanges:
    """A click on Request changes: a denial that says what to change, to the client and on the card."""

    changes: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A reviewer's question, for the client that waits and for the card; it decides nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A click on Withdraw, of the requester alone."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """Take back an approval that nothing has run on."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    """End a grant. What was let through by it and has not been sent to its target ends as well."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """One of the rule's break_glass reviewers approves alone; `typed` and `read` as in Approve."""

    reason: str
    typed: str = ""
    read: bool = False


@dataclass(frozen=True, slots=True)
class Lift:
    """A reviewer ends the cool-down that a denied request has led to."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The change took place; this is what is stored now."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed; `request` is what is stored, None if there is no such request."""

    refusal: Refusal
    request: ApprovalRequest | None


Decision = Approve | Deny | RequestChanges | Ask | Withdraw | Lift | Revoke | RevokeGrant | BreakGlass
#: What a decision is called in the record, where that is not "decided".
_KINDS: dict[type[Decision], str] = {Ask: "asked", Lift: "lifted", RevokeGrant: "revoked"}
Answer = Decided | Refused


def kind_of(decision: Decision) -> str:
    """What its entry is called in the record."""
    return _KINDS.get(type(decision), "decided")


def change(
    decision: Decision,
    request: ApprovalRequest,
    reviewer: Person,
    via: str,
    now: float,
    *,
    rev: int | None,
    link_max_age: float,
    scrub: Callable[[str], str],
) -> ApprovalRequest | Refusal:
    """The request as this decision leaves it. `rev` is the one that the card showed, None where no card was involved;
    `scrub` masks what detectors find in what was typed; `link_max_age` (seconds): how long a grant lasts at most, as
    Desk has it."""

    def typed(text: str) -> str:
        return scrub(rules.said(text))

    match decision:
        case Approve(name, read, scope):
            approved = rules.approve(request, reviewer, via, now, rev=rev, typed=name, read=read)
            if scope is None or isinstance(approved, Refusal):
                return approved
            return granting.give(approved, scope, now, link_max_age)
        case Deny(reason):
            return rules.deny(request, reviewer, via, typed(reason), now)
        case RequestChanges(changes):
            return rules.ask_changes(request, reviewer, via, typed(changes), now)
        case Ask(text):
            return rules.ask(request, reviewer, via, typed(text), now)
        case BreakGlass(reason, name, read):
            return glass.break_glass(request, reviewer, via, typed(reason), now, rev=rev, typed=name, read=read)
        case Withdraw():
            return rules.withdraw_own(request, reviewer, via, now)
        case Lift():
            return lift(request, reviewer, via, now)
        case Revoke(reason):
            return granting.revoke(request, reviewer, via, typed(reason), now)
        case RevokeGrant(reason):
            return granting.revoke_grant(request, reviewer, via, typed(reason), now)
