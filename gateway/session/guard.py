"""Refusing a held message without losing step: messages that are bound to fail, and the texts put in their place.

A denial replaces the held message by one that the target must refuse, and rewrites the ErrorResponse; ReadyForQuery is
always the target's own, so client and target agree on I, T and E (enforcement.md 2). Here also: the two digests.
"""

import hashlib
import hmac
from collections.abc import Iterable

from gateway.approvals.request import ApprovalRequest, State
from gateway.policy.decide import Verdict
from gateway.sql.statement import Statement
from gateway.wire.backend import error_response
from gateway.wire.frontend import bind, execute, message, parse, query

#: No client can make a portal of this name: names reach the target through us, and this one is refused at Bind.
NO_PORTAL = "\x01hoop refused"
_BAD_EXECUTE = execute(NO_PORTAL)
_BAD_QUERY = query("\x01")
#: OID 1 is no function; two zero counts and a text result follow.
_BAD_CALL = message(b"F", (1).to_bytes(4, "big") + b"\0\0\0\0\0\0")
#: Nor a statement of this name.
_BAD_BIND = bind("", NO_PORTAL)
#: Under a name of ours: a refused unnamed Parse would take the client's unnamed statement along.
_BAD_PARSE = parse(NO_PORTAL, "\x01")
_BAD = {ord("P"): _BAD_PARSE, ord("B"): _BAD_BIND, ord("E"): _BAD_EXECUTE, ord("Q"): _BAD_QUERY, ord("F"): _BAD_CALL}


def sure_fail(kind: int) -> bytes:
    """A message of this type (Q, P, B, E or F) that the target is bound to refuse in every transaction status."""
    return _BAD[kind]


def not_utf8(kind: int, found: bytes) -> bytes:
    """A message with nothing in it but these bytes, which are not UTF-8: the target refuses it in its own words."""
    return message(b"Q", found + b"\0") if kind == ord("Q") else message(b"P", found + b"\0\0\0\0")


def refused_by_policy(verdict: Verdict) -> bytes:
    """The ErrorResponse for a DENY. Each text stands in it once: clients show all three, one below the other."""
    if verdict.sqlstate != "42501":
        return error_response(verdict.sqlstate, verdict.reason, hint=verdict.message)
    return error_response(
        "42501",
        f"refused by policy: {verdict.message or verdict.reason}",
        detail=f"{verdict.reason}; nothing ran" if verdict.message else "nothing ran",
        hint="Do as the message says, then send it again."
        if verdict.message
        else "Ask for a rule in policies.yaml that covers this statement.",
    )


def refused_bind(statements: Iterable[Statement]) -> bytes:
    """The ErrorResponse for a Bind that would run code which nobody has approved."""
    why = "; ".join(each.reason for each in statements if each.reason)
    return error_response(
        "42501",
        "refused by policy: preparing or binding this statement may run code before it is executed",
        detail=why or "a type of its parameters or of a column that it writes has a check",
        hint="Send it as a simple query, or Parse, Bind and Execute in one batch with one Sync behind them.",
    )


def refused_by_outcome(request: ApprovalRequest) -> bytes:
    """The ErrorResponse for a request that ended without a release: message first, DETAIL who and why, HINT what next."""
    if request.changes:
        return _changes_requested(request)
    by = request.decided_by.user if request.decided_by else "the gateway"
    name = f"request {request.id}"
    why = request.reason or "no reason given"
    texts: dict[State, tuple[str, str, str, str]] = {
        State.DENIED: (
            "42501",
            f"denied by {by}: {why}",
            f"{name}, rule: {request.rule}; nothing ran",
            "Change the statement as the reviewer asks, or talk to them.",
        ),
        State.EXPIRED: (
            "57014",
            f"approval {name} expired: nobody decided in time",
            f"reviewers: {request.reviewers}, rule: {request.rule}; nothing ran",
            "Send the statement again when a reviewer is at hand.",
        ),
        State.WITHDRAWN: ("57014", f"approval {name} withdrawn: {why}", "nothing ran", ""),
        State.SUPERSEDED: ("42501", f"approval {name} is void: {why}", "nothing ran", "Send the statement again."),
        **dict.fromkeys(
            (State.RELEASED, State.EXECUTED, State.FAILED, State.UNKNOWN),
            (
                "57014",
                f"approval {name} was used already, by another connection",
                "an approval is good for one use; nothing ran here",
                "Send the statement again: it is then asked about anew.",
            ),
        ),
        State.UNDELIVERABLE: (
            "42501",
            f"approval {name} reached nobody: {why}",
            f"reviewers: {request.reviewers}; nothing ran",
            "Tell whoever runs the gateway; `hoop doctor` says what is wrong with chat.",
        ),
    }
    sqlstate, text, detail, hint = texts.get(
        request.state, ("42501", f"approval {name} ended as {request.state.value}", "nothing ran", "")
    )
    return error_response(sqlstate, text, detail=detail, hint=hint)


def _changes_requested(request: ApprovalRequest) -> bytes:
    """The text is in DETAIL and in HINT: clients show one or the other, and an agent goes by what it is shown."""
    by = request.decided_by.user if request.decided_by else "a reviewer"
    return error_response(
        "42501",
        f"denied by {by}, who requests changes",
        detail=f"{by} asks: {request.changes} (request {request.id}, rule: {request.rule}; nothing ran)",
        hint=f"Change the statement as asked, then send it again: {request.changes}",
    )


def left_waiting(request_id: str, why: str, about: str, until: str) -> bytes:
    """The ErrorResponse for a client that waits no longer, where its request goes on."""
    return error_response(
        "57014",
        f"request {request_id} still waits for approval: {why}",
        detail=f"{about}; nothing ran",
        hint=f"Once it is approved send the same statement again, before {until}: it then runs, once.",
    )


def digest(key: bytes, parts: Iterable[bytes | str | int | None]) -> str:
    """A keyed digest over a sequence of values, each with its length, so that no two sequences read alike (hex)."""
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        if part is None:
            mac.update(b"-")
            continue
        raw = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        mac.update(len(raw).to_bytes(8, "big") + raw)
    return mac.hexdigest()
