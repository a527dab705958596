"""What a request's audit entries say: held, each decision, released. Pure; field names are those of interface.md.

What must not live here: when an entry is written (moves.py, desk.py), its chain (gateway.audit). SQL and values are masked
already.
"""

from datetime import UTC, datetime

from gateway.approvals import request as rules
from gateway.approvals.request import ApprovalRequest, Person, State
from gateway.approvals.risk import HIGH, is_high
from gateway.audit.entry import Value


def identity_fields(request: ApprovalRequest) -> dict[str, Value]:
    """Who asked, of what, from where."""
    who = request.requester
    return {
        "session": request.session,
        "issuer": who.issuer,
        "subject": who.subject,
        "user": who.user,
        "groups": [*sorted(who.groups)],
        "agent": request.agent,
        "client": request.client,
        "target": request.target,
        "request": request.id,
        "rule": request.rule,
    }


def entry_fields(request: ApprovalRequest, kind: str) -> dict[str, Value]:
    """Everything that the audit grammar asks for, of an entry of this kind: "held", "joined", "asked", "decided",
    "released", "lifted", "escalated", and "revoked", of a grant."""
    sets: list[Value] = [list(values) for held in request.statements for values in held.parameters]
    about: dict[str, Value] = {
        **identity_fields(request),
        "verdict": "hold",
        "tag": rules.tag_of(request),
        "tables": [*rules.relations_of(request)],
        "sql": ";\n".join(held.sql for held in request.statements),
    }
    if sets:
        about["parameters"] = sets
    if passed := rules.passed_on_of(request):
        about["passed_on"] = [*passed]
    if prints := [*dict.fromkeys(held.fingerprint for held in request.statements if held.fingerprint)]:
        about["fingerprints"] = [*prints]
    if is_high(request):
        about["risk"] = HIGH
    if kind == "held":
        return about | {"rows": request.preview.rows, "reason": request.claimed_reason or None}
    if kind == "joined":
        return about | {"reason": f"asked {request.asked} times"}
    if kind == "lifted" and request.lifted_by is not None:
        return about | {
            "decided_by": name_of(request.lifted_by),
            "via": request.lifted_via,
            "reason": "its cool-down is lifted",
        }
    if kind == "escalated":
        return about | {"reason": f"nobody had decided: asked in {', '.join(request.escalate_to)} as well"}
    if kind == "asked":
        question = request.questions[-1]
        return about | {"reason": question.text, "decided_by": name_of(question.by), "via": question.via}
    if kind == "revoked" and request.grant is not None:
        grant = request.grant
        why = f"grant {request.id}{f': {grant.why}' if grant.why else ''}"
        return about | {"reason": why, "decided_by": grant.revoked_by, "via": grant.revoked_via}
    return about | _decision_fields(request)


def _decision_fields(request: ApprovalRequest) -> dict[str, Value]:
    """Who and why. One approval of a quorum is recorded as such, in the name of the one who gave it."""
    if request.state in {State.PENDING, State.APPROVED}:
        given = request.approvals[-1]
        counted = f"{len(request.approvals)} of {request.approvals_needed} approvals"
        return {
            "outcome": "approved",
            "decided_by": name_of(given.by),
            "via": given.via,
            "reason": counted if request.approvals_needed > 1 else _granted(request),
            "break_glass": request.broken or None,
        }
    changes = f"changes requested: {request.changes}" if request.changes else ""
    about: dict[str, Value] = {"reason": request.reason or changes or None, "break_glass": request.broken or None}
    if request.decided_by is not None:
        about |= {"decided_by": name_of(request.decided_by), "via": request.decided_via}
    if request.state is not State.RELEASED:
        about |= {"outcome": request.state.value, "sqlstate": rules.sqlstate_of(request.state, request.reason) or None}
    return about


def _granted(request: ApprovalRequest) -> str | None:
    """What an approval says of grants: that one was used, or which one was given with it."""
    if request.under:
        return f"under grant {request.under}"
    grant = request.grant
    if grant is None:
        return None
    until = datetime.fromtimestamp(grant.until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    most = "" if grant.uses is None else f", at most {grant.uses} times"
    return f"gives grant {request.id} until {until}{most}, up to {grant.rows} rows each"


def name_of(person: Person) -> str:
    """A person as entries call them."""
    return person.user or person.email or person.subject
