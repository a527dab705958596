"""What a held statement would touch: the questions of the preview, asked read-only and time-limited, as an errand.

The questions run in the held session's own connection when that is idle or READ COMMITTED (so that they see its
search_path, role and uncommitted rows), else on a side connection, and the preview says so. Nothing stays behind: they run
in a transaction or savepoint that is rolled back. Source: enforcement.md 5, L4.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace

from gateway.approvals.request import Preview
from gateway.masking.rows import RowMasker
from gateway.session.errands import Messages, failure, rows
from gateway.session.judging import Judge
from gateway.session.meaning import Meaning, meaning_question
from gateway.session.names import Prepared
from gateway.session.replies import Execution
from gateway.sql.catalog import Relation
from gateway.sql.preview import PreviewPlan, preview
from gateway.sql.statement import StatementClass
from gateway.wire.backend import Column, data_row, parameter_description, row_description
from gateway.wire.frontend import SYNC, Bind, bind, describe, execute, message, parse, query

_GUARD = "hoop_probe"
_LIMIT = "SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '500ms'"
#: How the questions are wrapped, by transaction status: (before, after).
_WRAP = {
    "I": (f"BEGIN READ ONLY; {_LIMIT}", "ROLLBACK"),
    "T": (
        f"SAVEPOINT {_GUARD}; SET TRANSACTION READ ONLY; {_LIMIT}",
        f"ROLLBACK TO SAVEPOINT {_GUARD}; RELEASE SAVEPOINT {_GUARD}",
    ),
}
SHOWN_ROWS = 5
_CELL = 200
_COMPLETE = ord("C")


#: undefined_table, undefined_column: of no other error is it sure that the statement has it too (Errors, appendix A).
_NOT_THERE = frozenset({"42P01", "42703"})
_HARMLESS = frozenset({StatementClass.READ, StatementClass.WRITE, StatementClass.DDL})


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: the held execution, and its prepared statement and values if it has some."""

    execution: Execution
    prepared: Prepared | None = None
    bind: Bind | None = None
    names: tuple[str, ...] = ()  # of relations and functions, of all that is held with it


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of the target's. `message` and `hint` are scrubbed."""

    sqlstate: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Findings:
    """`meaning` is compared again at release; None: it could not be asked. `refusal`: the target would refuse the statement."""

    meaning: Meaning | None
    preview: Preview
    refusal: Refusal | None = None


Probe = Generator[bytes, Messages, Findings]


def probe(subject: Subject, judge: Judge, status: str, side: str = "") -> Probe:
    """Ask for OIDs, settings, count and sample. `side` says why it runs on a side connection ("" = in the session itself)."""
    statement = subject.execution.statement
    before, after = _WRAP["I" if side else status]
    answer = yield query(before)
    wrong = failure(answer)
    if wrong is not None:
        yield query(after)
        return Findings(None, Preview(note=f"no preview: {wrong.get('M', 'the target refused to begin')}"))
    meaning = yield from meaning_question(subject.names, aside=bool(side))
    refusal = None
    if statement.classes <= _HARMLESS:
        shown, refusal = yield from _ask(preview(statement.sql), subject, judge)
    else:
        # Its WHERE clause may call anything: nothing of it runs before people said so.
        shown = Preview(note=f"no preview: {statement.reason or 'it calls code that can not be judged'}")
    yield query(after)
    if side and not shown.note:
        shown = replace(shown, note=f"seen from a second connection: {side}")
    return Findings(meaning, shown, refusal)


def _ask(
    plan: PreviewPlan, subject: Subject, judge: Judge
) -> Generator[bytes, Messages, tuple[Preview, Refusal | None]]:
    """Count, then sample; the first failure ends it and becomes the note (masked)."""
    shown = Preview(relation=plan.relation, note=plan.note)
    types: tuple[int, ...] = ()
    if subject.prepared is not None and subject.bind is not None and subject.bind.parameters:
        answer = yield parse("", subject.prepared.sql, subject.prepared.types) + describe("S", "") + SYNC
        types = next((parameter_description(body) for kind, body in answer if kind == ord("t")), ())
    targets = plan.targets_sql if subject.prepared is None else None  # else the target has read it itself, at Parse
    before, behind = (targets, None) if plan.reads_target else (None, targets)
    if plan.count_sql:
        answer = yield _question(_joined(before, plan.count_sql), subject.bind, types)
        wrong = failure(answer)
        if wrong is not None:
            its_own = behind or (before and not _completed(answer))
            return replace(shown, note=_why(wrong, judge)), _refusal(wrong, judge) if its_own else None
        shown = replace(shown, rows=int(rows(answer)[0][0] or b"0"))
    elif plan.rows is not None:
        shown = replace(shown, rows=plan.rows)
    asked = _joined(plan.sample_sql, behind)
    if not asked:
        return shown, None
    answer = yield _question(asked, subject.bind, types)
    wrong = failure(answer)
    if plan.sample_sql and wrong is not None and not _completed(answer):
        return replace(shown, note=_why(wrong, judge)), _refusal(wrong, judge) if behind else None
    if plan.sample_sql:
        shown = _sampled(shown, plan, answer, judge)
    return shown, _refusal(wrong, judge) if wrong is not None else None


def _joined(*questions: str | None) -> str:
    return "; ".join(each for each in questions if each)


def _completed(answer: Messages) -> bool:
    """Did the first of its questions come to its end?"""
    return any(kind == _COMPLETE for kind, _ in answer)


def _refusal(wrong: dict[str, str], judge: Judge) -> Refusal | None:
    if wrong.get("C") not in _NOT_THERE:
        return None
    return Refusal(wrong["C"], judge.scrub(wrong.get("M", "unknown")), judge.scrub(wrong.get("H", "")))


def _why(wrong: dict[str, str], judge: Judge) -> str:
    code = wrong.get("C", "")
    text = "it took longer than 2 s" if code == "57014" else judge.scrub(wrong.get("M", "unknown"))
    return f"no preview: {text}"


def _question(sql: str, values: Bind | None, types: tuple[int, ...]) -> bytes:
    """As a query string, or with the held statement's own values and types; results as text either way."""
    if values is None or not values.parameters:
        return query(sql)
    given = bind("", "", values.parameters, values.parameter_formats, (0,))
    return parse("", sql, types) + given + describe("P", "") + execute("", 0) + SYNC


def _sampled(shown: Preview, plan: PreviewPlan, answer: Messages, judge: Judge) -> Preview:
    """Mask the sample by the same code as any result, and split it into before and after."""
    columns = next((row_description(body) for kind, body in answer if kind == ord("T")), ())
    width = len(columns) - len(plan.changes)
    names = [each.name for each in columns[:width]]
    changed = {names.index(name): width + at for at, name in enumerate(plan.changes) if name in names}
    script = judge.read(plan.sample_sql or "")
    statement = script.statements[0] if script and script.statements else None
    masker = judge.masker(statement, _as_stored(columns, changed, plan, judge), [0] * len(columns), columns)
    found = [_masked(values, masker) for values in rows(answer)[:SHOWN_ROWS]]
    return replace(
        shown,
        columns=_becoming(plan, judge)[:width] or tuple(names),
        before=tuple(row[:width] for row in found),
        after=tuple(tuple(row[changed.get(at, at)] for at in range(width)) for row in found) if changed else (),
    )


def _as_stored(
    columns: tuple[Column, ...], changed: dict[int, int], plan: PreviewPlan, judge: Judge
) -> tuple[Column, ...]:
    """Say of a new value which column it will be in, so that the column's own mask covers it."""
    found = list(columns)
    for old, new in changed.items():
        found[new] = replace(columns[new], table_oid=columns[old].table_oid, attnum=columns[old].attnum)
    relation = _relation(plan, judge)
    if relation is not None:
        for at, column in enumerate(_becoming(plan, judge)[: len(found)]):
            found[at] = replace(found[at], table_oid=relation.oid, attnum=relation.columns.get(column, 0))
    return tuple(found)


def _becoming(plan: PreviewPlan, judge: Judge) -> tuple[str, ...]:
    """The columns that an INSERT fills, in the order of its values; () for other statements or where it isn't known."""
    if plan.stands_for != ("*",):
        return plan.stands_for
    relation = _relation(plan, judge)
    return tuple(relation.columns) if relation else ()


def _relation(plan: PreviewPlan, judge: Judge) -> Relation | None:
    schema, _, name = plan.relation.rpartition(".")
    if judge.catalog is None or not plan.stands_for:
        return None
    return judge.catalog.find(schema or None, name, judge.search_path)


def _masked(values: tuple[bytes | None, ...], masker: RowMasker | None) -> tuple[str | None, ...]:
    if masker is not None:
        cells = b"".join(
            b"\xff\xff\xff\xff" if each is None else len(each).to_bytes(4, "big") + each for each in values
        )
        raw = masker.rows(message(b"D", len(values).to_bytes(2, "big") + cells))
        values = data_row(raw[5:])
    return tuple(None if each is None else _cell(each) for each in values)


def _cell(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return text if len(text) <= _CELL else f"{text[:_CELL]}... ({len(text)} characters)"
