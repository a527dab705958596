"""What a card says of locks, of who waits for them, and of how much of its table a statement touches. Pure.

What lives here: words. What does not: what a statement locks (gateway.sql.locks), the look at a target (gateway.relay.looks).
What nobody could see is said to be unknown, never to be nothing.
"""

from collections.abc import Iterable, Sequence

from bots.texts import count, line, moment, span
from gateway.approvals.request import ApprovalRequest
from gateway.approvals.seen import Seen
from gateway.sql.locks import STOPS

_WHERE_HELD = {
    "idle": "Outside a transaction: no locks are held while you decide.",
    "in transaction": "In a transaction: its locks are held while you decide.",
}
_NAMED = 3
#: From here on it is all of the table, as far as anybody knows: what a table holds is an estimate.
_ALL = 0.995


def held(request: ApprovalRequest) -> str:
    """What is locked while people decide: "In a transaction: ... Seen at 10:20:05: it has been open for 4 m 0 s, holds ..."."""
    base = _WHERE_HELD.get(request.where_held, line(request.where_held))
    seen = request.seen
    if seen is None or not seen.in_transaction:
        return base
    why = f" ({line(seen.problem)})" if seen.problem else ""
    return f"{base} Seen at {moment(seen.at)}: {_age(seen)}, {_locks(seen)}, and {_waiting(seen)}{why}."


def _age(seen: Seen) -> str:
    known = seen.open_for is not None
    return (
        f"it has been open for {span(max(0.0, seen.open_for or 0.0))}"
        if known
        else "since when it is open is not known"
    )


def _locks(seen: Seen) -> str:
    if seen.held is None:
        return "what it has locked is not known"
    if not seen.held:
        return "it has locked no table"
    named = [f"{mode} on {line(relation, 80)}" for relation, mode in seen.held]
    return f"it holds {_listed([*named, *([f'{seen.more:,} more'] if seen.more else [])])}"


def _waiting(seen: Seen) -> str:
    if seen.blocked is None:
        return "whether anybody waits for it is not known"
    return f"{_others(seen.blocked)} for it" if seen.blocked else "nobody waits for it"


def _others(number: int) -> str:
    return f"{count(number, 'other session')} {'waits' if number == 1 else 'wait'}"


def blocking(request: ApprovalRequest) -> str:
    """A sentence where others wait already, for whoever reads no further; else ""."""
    blocked = request.seen.blocked if request.seen is not None else None
    return f"{_others(blocked)} for this transaction already." if blocked else ""


def while_it_runs(request: ApprovalRequest) -> str:
    """What others can't do then: "While it runs it blocks all reads and writes of public.orders (ACCESS EXCLUSIVE)."; else ""."""
    found: dict[str, list[str]] = {}
    for mode in STOPS:
        relations = dict.fromkeys(name for each in request.statements for name, taken in each.locks if taken == mode)
        new = [name for name in relations if not any(name in others for others in found.values())]
        if new:
            found[mode] = new
    if not found:
        return ""
    told = [f"{STOPS[mode]} of {_names(relations)} ({mode})" for mode, relations in found.items()]
    when = "While it runs" if request.where_held == "idle" else "From its start to the end of its transaction"
    return f"{when} it blocks {', and '.join(told)}."


def _names(relations: Iterable[str]) -> str:
    names = [line(each, 80) for each in relations]
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return _listed([*names[:_NAMED], *more])


def _listed(texts: Sequence[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def share(request: ApprovalRequest) -> str:
    """ ", 12 % of about 10,000": how much of the table that is; "" where that is not known."""
    rows, table = request.preview.rows, request.seen.table_rows if request.seen is not None else None
    if not rows or table is None or table < 1:
        return ""
    part = rows / table
    if part >= _ALL:
        return ", about all of the table"
    percent = f"{part * 100:.0f} %" if part >= _ONE_PERCENT else "less than 1 %"
    return f", {percent} of about {_rounded(table):,}"


_ONE_PERCENT = 0.01


def _rounded(number: float) -> int:
    """Two digits that count: it is an estimate."""
    whole = round(number)
    return round(whole, 2 - len(str(whole))) if whole >= 100 else whole
