"""Conditions on protected columns: what no mask can stop, one bit a statement, so policy says what becomes of them. Pure.

What lives here: which protected columns a statement's WHERE, ON, GROUP BY, HAVING or ORDER BY reads (`masking.columns`), and
what `masking.predicates` makes of its verdict. What must not: how a condition is found (gateway.sql).
"""

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from gateway.policy.model import HoldTerms, Masking, Rule
from gateway.policy.verdicts import Answer, Verdict
from gateway.sql.statement import Statement
from gateway.sql.tree import parts

_HINT = "select rows by other columns, or ask for someone who may see this one"


def tested(masking: Masking, target: str, statement: Statement) -> tuple[str, ...]:
    """The protected columns that the statement's conditions read, as "schema.table.column"; "*" is any column of a table."""
    globs = [each.column for each in masking.columns]
    return tuple(
        dict.fromkeys(
            name
            for name in (".".join(parts(each)) if '"' in each else each for each in statement.protected_predicates)
            if any(_matches(f"{target}.{name}", glob) for glob in globs)
        )
    )


def _matches(name: str, glob: str) -> bool:
    if name.endswith(".*"):
        return fnmatchcase(name[:-2], glob.rpartition(".")[0])
    return fnmatchcase(name, glob)


def guarded(masking: Masking, target: str, statement: Statement, verdict: Verdict, rules: Iterable[Rule]) -> Verdict:
    """The verdict as `masking.predicates` leaves it. `rules` are those of the session: a hold goes to the reviewers of the
    one that asks for most approvals, the first in the file of equals; where none holds anything, it is denied."""
    if masking.predicates == "allow" or verdict.answer is Answer.DENY:
        return verdict
    columns = ", ".join(tested(masking, target, statement))
    if not columns:
        return verdict
    reason = f"its conditions read a protected column: {columns} (masking: predicates: {masking.predicates})"
    held = [each.hold for each in rules if each.hold is not None]
    if masking.predicates == "deny" or not (held or verdict.hold):
        return replace(verdict, answer=Answer.DENY, rule=None, reason=reason, message=_HINT, hold=None)
    terms: HoldTerms = verdict.hold or max(held, key=lambda each: each.reviewers.approvals)
    return replace(verdict, answer=Answer.HOLD, reason=_also(verdict, reason), hold=terms)


def _also(verdict: Verdict, reason: str) -> str:
    return f"{verdict.reason}; {reason}" if verdict.answer is Answer.HOLD else reason
