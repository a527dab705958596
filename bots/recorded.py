"""One end entry of the record in words: who, what, how many rows, how it ended. Pure; chat and terminal say the same.

What lives here: a row of an answer to `audit`. What does not: which entries are asked for (gateway.audit.query), any layout.
The texts may hold what clients sent: whoever shows them makes them visible first (bots.texts.line).
"""

from collections.abc import Mapping

from bots.outcomes import has_count
from gateway.approvals.granting import VIA_GRANT
from gateway.audit.entry import Value
from gateway.audit.query import LOGINS, is_login

__all__ = ["Row", "also", "decision", "is_login", "rows", "text", "what", "who"]

Row = Mapping[str, Value]


def text(row: Row, key: str) -> str:
    """A field as text; a list's items with commas, "" for what is not there."""
    value = row.get(key)
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value)


def who(row: Row) -> str:
    """Who ran it and by what program; of a login from where, and where no token proved who it is, who the client says it is."""
    if not is_login(row):
        return text(row, "user") + _via(row)
    refused = row.get("kind") == LOGINS["refused"]
    name = text(row, "user") or f"{text(row, 'claimed') or 'nobody named'} (claimed)"
    return f"{name}{'' if refused else _via(row)} from {text(row, 'client') or 'an unknown address'}"


def _via(row: Row) -> str:
    via = row.get("agent") and row.get("agent") != row.get("user")
    return f" (via {text(row, 'agent')})" if via else ""


def what(row: Row) -> str:
    """The command and its tables, and those that it changes besides by foreign keys and triggers."""
    if is_login(row):
        return f"login to {text(row, 'target')}" if row.get("target") else "login"
    return text(row, "tag") + (f" {_tables(row, 'tables')}" if row.get("tables") else "") + also(row)


def also(row: Row) -> str:
    """ ", also order_items": what changes with it; "" for nothing."""
    return f", also {_tables(row, 'passed_on')}" if row.get("passed_on") else ""


def rows(row: Row) -> str:
    """The row count, where the command has one: a 0 of BEGIN means nothing."""
    found = row.get("rows")
    return f"{found:,}" if isinstance(found, int) and (found or has_count(text(row, "tag"))) else ""


def decision(row: Row) -> str:
    """How it ended: who decided, or which rule, or why nobody was asked."""
    by = f" by {text(row, 'decided_by')}" if row.get("decided_by") else ""
    outcome = text(row, "outcome")
    match row.get("kind"):
        case "refused":
            return _refused(row)
        case "session_started":
            return "accepted"
        case "finished":
            code = f" {text(row, 'sqlstate')}" if outcome == "failed" and row.get("sqlstate") else ""
            glass = ", by breaking the glass" if row.get("break_glass") else ""
            how = f"by a grant of {text(row, 'decided_by')}" if row.get("via") == VIA_GRANT else f"approved{by}{glass}"
            return f"{outcome}{code}" + (f", {how}" if by else "")
        case _:
            return f"{outcome}{by}"


def _refused(row: Row) -> str:
    reason = text(row, "reason")
    if is_login(row):
        return f"refused: {reason}" if reason else "refused"
    if text(row, "sqlstate") == "42601":
        return "syntax error"
    if row.get("outcome"):  # people's earlier answer, given again by the gateway; the reason says by whom
        return reason or text(row, "outcome")
    if row.get("rule") and row.get("verdict") != "hold":
        return f'blocked by rule "{text(row, "rule")}"'
    return f"blocked: {reason}" if reason else "blocked"


def _tables(row: Row, key: str) -> str:
    return ", ".join(each.removeprefix("public.") for each in text(row, key).split(", "))
