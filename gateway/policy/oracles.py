"""What no mask can stop or know, so policy says what becomes of it: conditions on protected columns, one bit a statement,
copies of protected columns in others, and results whose origin can't be traced. Pure.

What lives here: which protected columns a statement's WHERE, ON, GROUP BY, HAVING or ORDER BY reads (`masking.columns`), and
what `masking.predicates`, `masking.copies` and `masking.unresolved` make of its verdict. What must not: how a condition or
a copy is found, and what can be traced (gateway.sql).
"""

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from gateway.policy.model import HoldTerms, Masking, Rule
from gateway.policy.verdicts import Answer, Verdict
from gateway.sql.statement import Statement
from gateway.sql.tree import parts

_HINT = "select rows by other columns, or ask for someone who may see this one"
_COPY_HINT = "leave that column out, or have the other one masked too (masking: columns)"
_UNTRACED = (
    "where its columns come from can't be traced: protected values may be among them (masking: unresolved: hold)"
)
_UNTRACED_HINT = "select columns by their names, without code between them and the table"


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
    """The verdict as `masking` leaves it: predicates, copies, unresolved. `rules` are those of the session: a hold goes to
    the reviewers of the one that asks for most approvals, the first in the file of equals; where none holds anything, it is
    denied."""
    wanted, reason, hint = _wanted(masking, target, statement)
    if wanted == "allow" or verdict.answer is Answer.DENY:
        return verdict
    held = [each.hold for each in rules if each.hold is not None]
    if wanted == "deny" or not (held or verdict.hold):
        return replace(verdict, answer=Answer.DENY, rule=None, reason=reason, message=hint, hold=None)
    terms: HoldTerms = verdict.hold or max(held, key=lambda each: each.reviewers.approvals)
    return replace(verdict, answer=Answer.HOLD, reason=_also(verdict, reason), hold=terms)


def _wanted(masking: Masking, target: str, statement: Statement) -> tuple[str, str, str]:
    """What becomes of it (allow, hold, deny), why, and a hint."""
    columns = ", ".join(tested(masking, target, statement)) if masking.predicates != "allow" else ""
    if columns:
        reason = f"its conditions read a protected column: {columns} (masking: predicates: {masking.predicates})"
        return masking.predicates, reason, _HINT
    if statement.spreads and masking.copies != "allow":
        (source, to), *_ = statement.spreads
        reason = f"it copies a protected column: {source} into {to} (masking: copies: {masking.copies})"
        return masking.copies, reason, _COPY_HINT
    if statement.untraced and masking.unresolved == "hold":
        return "hold", _UNTRACED, _UNTRACED_HINT
    return "allow", "", ""


def _also(verdict: Verdict, reason: str) -> str:
    return f"{verdict.reason}; {reason}" if verdict.answer is Answer.HOLD else reason
