"""What a dead replica left behind, read off its audit entries. Pure; upkeep.py makes the store and the log say so.

An entry is in the spool before what it tells of is in the store. So a process that dies in between leaves two kinds of
untruth: a step that its log tells and that was never taken (`took_effect`), and an end that its log tells and that the
store doesn't know (`end_told`). What must not live here: where entries come from, what is written of it (upkeep.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.approvals.entries import name_of
from gateway.approvals.request import ApprovalRequest
from gateway.audit.entry import Value

#: How the end of a transaction is called that nobody was there to see.
UNSEEN = "its end was not seen"


@dataclass(frozen=True, slots=True)
class End:
    """What the target answered, as `Desk.finish` takes it."""

    rows: int | None
    sqlstate: str
    duration_ms: float | None
    transaction: str


def took_effect(step: Mapping[str, Value], request: ApprovalRequest | None) -> bool:
    """Whether the change that this entry (store.port.STEPS) tells of was stored, as the request shows."""
    if request is None or step["kind"] == "held":
        return request is not None
    if step["kind"] == "released":
        return request.released_at is not None
    if step.get("outcome") == "approved":
        return step.get("decided_by") in {name_of(given.by) for given in request.approvals}
    return step.get("outcome") == request.state.value  # an end: there is only one


def voids(voided: Mapping[str, Value], entry: Mapping[str, Value]) -> bool:
    """Whether a voided entry names this one: "#3, #4: ..." by numbers of its own chain, "REPLICA #3: ..." of another."""
    named, number = str(voided.get("reason", "")).partition(": ")[0], f"#{entry['seq']}"
    if voided["replica"] == entry["replica"]:
        return number in named.split(", ")
    return named == f"{entry['replica']} {number}"


def end_told(request: ApprovalRequest, story: Iterable[Mapping[str, Value]]) -> End | None:
    """How a released request ended, if each of its executions has an end in the log; else None: nobody knows.

    How its transaction went is in no entry: what had run was UNSEEN from there on; a target rolls back what has failed.
    """
    ends = [entry for entry in story if entry.get("kind") == "finished"]
    outcomes = {entry.get("outcome") for entry in ends}
    if len(ends) < sum(held.executions for held in request.statements) or len(outcomes) != 1:
        return None
    duration = _number(ends[0], "duration_ms")
    if outcomes == {"executed"}:
        return End(sum(int(_number(entry, "rows") or 0) for entry in ends), "", duration, UNSEEN)
    if outcomes == {"failed"}:
        codes = [code for entry in ends if isinstance(code := entry.get("sqlstate"), str) and code]
        return End(None, codes[0] if codes else "25P02", duration, "rolled back")
    return None


def _number(entry: Mapping[str, Value], name: str) -> float | None:
    value = entry.get(name)
    return value if isinstance(value, int | float) else None
