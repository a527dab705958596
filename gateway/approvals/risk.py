"""Which requests are high risk: what can't be undone by its rows, or what nobody can see through. Pure.

Cards say why in words (bots.cards); a test holds both against each other. What must not live here: words, what follows from it.
"""

from gateway.approvals.request import ApprovalRequest, HeldStatement

#: The audit's word for it.
HIGH = "high"
#: Tags whose effect is bounded by their rows; every other tag (DDL, roles, DO, CALL, what we can't read) is high risk.
ROW_TAGS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "TABLE", "VALUES", "EXPLAIN"})
#: Tags that touch neither schema nor rows.
SESSION_TAGS = frozenset({"LISTEN", "NOTIFY", "LOCK", "LOCK TABLE", "SET", "RESET"})
#: Without WHERE these change the whole table.
WHOLE_TABLE = frozenset({"UPDATE", "DELETE"})
MANY_ROWS = 1000


def is_high(request: ApprovalRequest) -> bool:
    """Is any of its statements, or the number of its rows, a high risk?"""
    rows = request.preview.rows
    return (rows is not None and rows > MANY_ROWS) or any(map(_is_high, request.statements))


def _is_high(statement: HeldStatement) -> bool:
    tag = statement.tag.upper()
    if statement.opaque or statement.copies:
        return True
    if tag in ROW_TAGS:
        return statement.where is False and tag in WHOLE_TABLE
    return tag not in SESSION_TAGS
