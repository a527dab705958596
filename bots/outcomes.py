"""How a request stands or ended, in words: the word before the headline, the tone of the card, the sentence below it. Pure.

What lives here: one row a state (and, of what ran, one a fate of its transaction). What does not: what was asked
(bots.cards). A mark of success goes only to what ran and stays: a statement whose transaction was rolled back has changed
nothing, one whose transaction is open may yet.
"""

from collections.abc import Callable
from enum import Enum

from bots.texts import count, line, moment, span
from gateway.approvals.request import BY_REQUESTER, REVOKED, ApprovalRequest, Person, State, same_person


class Tone(Enum):
    """How a card feels: chats give it a mark of their own. Words always say the same."""

    ASKING = "asking"
    WARNING = "warning"
    UNDERWAY = "underway"  # decided, and not over
    GOOD = "good"
    BAD = "bad"
    OVER = "over"


#: How it stands (`_stands`) -> the word that the headline starts with, and the tone. Pending ones start with the risk.
_STANDING: dict[str, tuple[str, Tone]] = {
    "pending": ("", Tone.ASKING),
    "time is up": ("Time is up", Tone.OVER),
    "approved": ("Approved", Tone.UNDERWAY),
    "released": ("Running", Tone.UNDERWAY),
    "executed": ("Executed", Tone.GOOD),
    "executed, open": ("Executed, not committed", Tone.UNDERWAY),
    "executed, rolled back": ("Rolled back", Tone.OVER),
    "executed, partly committed": ("Partly committed", Tone.WARNING),
    "executed, prepared": ("Prepared, not committed", Tone.UNDERWAY),
    "executed, its end was not seen": ("Outcome unknown", Tone.WARNING),
    "failed": ("Failed", Tone.BAD),
    "failed, counted": ("Rolled back", Tone.BAD),
    "unknown": ("Outcome unknown", Tone.WARNING),
    "denied": ("Denied", Tone.BAD),
    "denied, changes requested": ("Changes requested", Tone.BAD),
    "expired": ("Expired", Tone.OVER),
    "withdrawn": ("Withdrawn", Tone.OVER),
    "superseded": ("Superseded", Tone.OVER),
    "undeliverable": ("Not delivered", Tone.BAD),
}


def standing(request: ApprovalRequest, now: float) -> tuple[str, Tone]:
    """The headline's word ("" while it is pending) and the tone, at `now` (Unix seconds).

    A broken glass stays in the headline whatever came of it, and no mark of success stands before it.
    """
    word, tone = _STANDING[_stands(request, now)]
    if not request.broken:
        return word, tone
    return f"BREAK GLASS, {word}", tone if tone is Tone.UNDERWAY else Tone.WARNING


def _stands(request: ApprovalRequest, now: float) -> str:
    if request.state is State.PENDING and now >= request.expires_at:
        return "time is up"
    if request.state is State.FAILED and request.rows is not None:
        return "failed, counted"
    if request.state is State.DENIED and request.changes:
        return "denied, changes requested"
    fate = f"executed, {request.transaction}"
    return fate if request.state is State.EXECUTED and fate in _STANDING else request.state.value


def outcome(request: ApprovalRequest, now: float) -> str:
    """The sentence that says how it stands at `now` or ended; "" while nobody has done anything."""
    return _OUTCOMES[_stands(request, now)](request)


def lasting(request: ApprovalRequest, now: float) -> str:
    """As `outcome`, for a text that is not redrawn: what is under way is left to the card to tell."""
    if _STANDING[_stands(request, now)][1] is Tone.UNDERWAY:
        return f"{_by(request)}. The card shows what came of it."
    return outcome(request, now)


def yours(request: ApprovalRequest, reviewer: Person, now: float) -> str:
    """What a reviewer's own decision came to, in words that stay true."""
    if request.state is State.DENIED:
        return f"You {'requested changes' if request.changes else 'denied it'}. Nothing ran."
    if request.state is State.WITHDRAWN and request.reason == BY_REQUESTER:
        return "You withdrew it. Nothing ran."
    if request.state is State.PENDING:
        return (
            f"You approved it, {len(request.approvals)} of {request.approvals_needed}: it waits for another reviewer."
        )
    if request.state is State.WITHDRAWN and request.reason.startswith(REVOKED):
        return "You revoked its approval. Nothing ran."
    if request.broken and same_person(reviewer, request.approvals[-1].by):
        return "You broke the glass: you alone approved it, and its channels are told. The card shows what came of it."
    if any(same_person(reviewer, each.by) for each in request.approvals):
        too = f", and its shape until {moment(request.grant.until)}" if request.grant is not None else ""
        return f"You approved it{too}. The card shows what came of it."
    return lasting(request, now)


# --- sentences -------------------------------------------------------------------------------------------------------


def _names(request: ApprovalRequest) -> str:
    return ", ".join(f"{line(each.by.user, 80)} at {moment(each.at)}" for each in request.approvals)


def _by(request: ApprovalRequest) -> str:
    if request.under and request.decided_by is not None:
        return f"Approved by grant {line(request.under, 60)} of {line(request.decided_by.user, 80)}"
    if request.broken:
        return broken(request)
    if request.approvals:
        return f"Approved by {_names(request)}"
    if request.decided_by is not None:
        return f"Approved by {line(request.decided_by.user, 80)}{_decided_at(request)}"
    return "Approved"


def broken(request: ApprovalRequest) -> str:
    """Who broke the glass, when and why."""
    last, before = request.approvals[-1], len(request.approvals) - 1
    quorum = f"{before} of {request.approvals_needed} approvals were given"
    why = line(request.broken.rstrip("."), 1000)
    return f"Glass broken by {line(last.by.user, 80)} at {moment(last.at)}, alone ({quorum}): {why}"


def _decided_at(request: ApprovalRequest) -> str:
    return f" at {moment(request.decided_at)}" if request.decided_at is not None else ""


def _because(request: ApprovalRequest) -> str:
    reason = line(request.reason.strip().rstrip("."), 1000)
    return f": {reason}" if reason else ""


def _pending(request: ApprovalRequest) -> str:
    if not request.approvals:
        return ""
    return f"{len(request.approvals)} of {request.approvals_needed} approvals: {_names(request)}"


#: The commands whose CommandComplete has a row count (protocol, CommandComplete); of others a 0 means nothing.
_COUNTED = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "MOVE", "FETCH", "COPY", "TABLE", "VALUES", "EXECUTE")
_COUNTED_DDL = ("CREATE TABLE AS", "CREATE MATERIALIZED VIEW", "SELECT INTO")


def has_count(tag: str) -> bool:
    """Whether CommandComplete of this command tells a number of rows."""
    return tag.upper().split(" ")[0] in _COUNTED or tag.upper() in _COUNTED_DDL


def _rows(request: ApprovalRequest) -> str:
    """ "42 rows"; "" where the statements have no row count."""
    counted = any(has_count(each.tag) for each in request.statements)
    return count(request.rows, "row") if request.rows is not None and (request.rows or counted) else ""


def _took(request: ApprovalRequest, word: str) -> str:
    return f" {word} {span(request.duration_ms / 1000)}" if request.duration_ms is not None else ""


def _ran(request: ApprovalRequest) -> str:
    """ "Executed: 42 rows in 12 ms", "Executed in 12 ms"."""
    rows = _rows(request)
    return f"Executed{f': {rows}' if rows else ''}{_took(request, 'in')}"


def _executed(request: ApprovalRequest) -> str:
    ending = f", {line(request.transaction, 40)}" if request.transaction else ""
    return f"{_ran(request)}{ending}.{_drift(request)} {_by(request)}."


def _open(request: ApprovalRequest) -> str:
    return f"{_ran(request)}, in a transaction that is not committed yet.{_drift(request)} {_by(request)}."


def _rolled_back(request: ApprovalRequest) -> str:
    ran = f"{_rows(request)}{_took(request, 'in')}".strip()
    how = f" ({ran})" if ran else ""
    return f"Rolled back: it ran{how}, then its transaction was rolled back, and its changes with it. {_by(request)}."


def _partly(request: ApprovalRequest) -> str:
    return f"{_ran(request)}: one part was committed and another rolled back. Check the target. {_by(request)}."


def _prepared(request: ApprovalRequest) -> str:
    return f"{_ran(request)}, in a prepared transaction: it still waits for COMMIT PREPARED. {_by(request)}."


def _unseen(request: ApprovalRequest) -> str:
    return f"{_ran(request)}, and then the end of its transaction was not seen. Check the target. {_by(request)}."


def _drift(request: ApprovalRequest) -> str:
    seen = request.preview.rows
    if seen is None or not _rows(request) or request.preview.kind != "exact" or seen == request.rows:
        return ""
    return f" The preview had counted {seen:,}."


#: What the frequent errors of held statements are called (PostgreSQL manual, Appendix A).
_CONDITIONS = {
    "22001": "a value is too long",
    "22P02": "a value is not of its column's type",
    "23502": "a value is missing",
    "23503": "a foreign key is in the way",
    "23505": "a value is there already",
    "23514": "a check constraint is in the way",
    "25P02": "an earlier error had ended the transaction",
    "40001": "another transaction was in the way",
    "40P01": "a deadlock",
    "428C9": "a generated column takes no value",
    "42501": "the target grants no right to it",
    "42703": "a column is not there",
    "42P01": "a table is not there",
    "42P07": "a table is there already",
    "54000": "it went past a limit",
    "55P03": "a lock was not to be had",
    "57014": "it was cancelled, or took too long",
}


def _failed(request: ApprovalRequest) -> str:
    meaning = _CONDITIONS.get(request.sqlstate)
    code = f": SQLSTATE {line(request.sqlstate, 10)}{f' ({meaning})' if meaning else ''}" if request.sqlstate else ""
    kept = (
        " One part of it was committed before: check the target." if request.transaction == "partly committed" else ""
    )
    return f"Failed{_took(request, 'after')}{code}{_because(request)}.{kept} {_by(request)}."


def _over_the_cap(request: ApprovalRequest) -> str:
    """Only the row guard counts what failed."""
    cap = "" if request.row_cap is None else f", and {count(request.row_cap, 'row')} had been approved"
    return f"Rolled back: it would have changed {count(request.rows or 0, 'row')}{cap}. Nothing has changed. {_by(request)}."


def _denied(request: ApprovalRequest) -> str:
    who = f" by {line(request.decided_by.user, 80)}" if request.decided_by is not None else ""
    return f"Denied{who}{_decided_at(request)}{_because(request)}. Nothing ran."


def _withdrawn(request: ApprovalRequest) -> str:
    own = request.reason == BY_REQUESTER
    how = f" {BY_REQUESTER}{_decided_at(request)}" if own else _because(request)
    return f"Withdrawn{how}. Nothing ran.{f' {broken(request)}.' if request.broken else ''}"


def _changes_requested(request: ApprovalRequest) -> str:
    who = f" by {line(request.decided_by.user, 80)}" if request.decided_by is not None else ""
    wanted = line(request.changes.rstrip("."), 1000)
    return f"Changes requested{who}{_decided_at(request)}: {wanted}. Nothing ran."


_OUTCOMES: dict[str, Callable[[ApprovalRequest], str]] = {
    "pending": _pending,
    "time is up": lambda r: f"Time is up since {moment(r.expires_at)}. Nothing ran.",
    "approved": lambda r: f"{_by(r)}. {_to_run(r)}",
    "released": lambda r: f"{_by(r)}. It is running now.",
    "executed": _executed,
    "executed, open": _open,
    "executed, rolled back": _rolled_back,
    "executed, partly committed": _partly,
    "executed, prepared": _prepared,
    "executed, its end was not seen": _unseen,
    "failed": _failed,
    "failed, counted": _over_the_cap,
    "unknown": lambda r: (
        f"Unknown: it was sent, and the answer never came{_because(r)}. It may have run: check the target. {_by(r)}."
    ),
    "denied": _denied,
    "denied, changes requested": _changes_requested,
    "expired": lambda r: (
        f"Expired at {moment(r.expires_at)}: {_expiry(r)}. Nothing ran.{f' {broken(r)}.' if r.broken else ''}"
    ),
    "withdrawn": _withdrawn,
    "superseded": lambda r: f"Superseded by policy{_because(r)}. Nothing ran.",
    "undeliverable": lambda r: f"Not delivered{_because(r)}. No reviewer could be asked. Nothing ran.",
}


def _to_run(request: ApprovalRequest) -> str:
    if not request.kept:
        return "It has not run yet."
    return f"It has not run yet: it runs once, when it is sent again before {moment(request.expires_at)}."


def _expiry(request: ApprovalRequest) -> str:
    given, needed = len(request.approvals), request.approvals_needed
    if not given:
        return "nobody decided in time"
    if given < needed and not request.broken:
        return f"only {given} of {needed} approved in time"
    return f"it was approved, and not {'sent again' if request.kept else 'released'} in time"
