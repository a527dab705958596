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
from gateway.session.grounds import Grounds
from gateway.session.hiding import Hiding
from gateway.session.judging import Judge
from gateway.session.meaning import Meaning, meaning_question
from gateway.session.names import Prepared
from gateway.session.replies import Execution
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.preview import PreviewPlan, preview
from gateway.sql.statement import StatementClass
from gateway.wire.backend import Column, data_row, fields, parameter_description, row_description
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
#: After a question that failed: as behind `before`.
_AGAIN = {
    "I": f"ROLLBACK; {_WRAP['I'][0]}",
    "T": f"ROLLBACK TO SAVEPOINT {_GUARD}; SET TRANSACTION READ ONLY; {_LIMIT}",
}
SHOWN_ROWS = 5
_BY_TRIGGERS = "no count: triggers or rules of the view decide what becomes of each row"
_CELL = 200
#: undefined_table, undefined_column (Errors, appendix A). What else it says of the statement may pass: a lock, its time.
_NOT_THERE = frozenset({"42P01", "42703"})
_HARMLESS = frozenset({StatementClass.READ, StatementClass.WRITE, StatementClass.DDL})


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: the held execution, and its prepared statement and values if it has some."""

    execution: Execution
    prepared: Prepared | None = None
    bind: Bind | None = None
    names: tuple[str, ...] = ()  # of relations and functions, of all that is held with it
    unread: bool = False  # the target may be asked to prepare it, and has not yet


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of the target's, its texts as the client may see them."""

    sqlstate: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Findings:
    """`meaning` is compared again at release; None: it could not be asked. `refusal`: the target refuses the statement, without
    running it."""

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
        refusal, types = yield from _read(subject, judge.hiding, "I" if side else status)
        shown = Preview()
        if refusal is None:
            shown = yield from _ask(preview(statement.sql), subject, judge, types)
    else:
        # Its WHERE clause may call anything: nothing of it runs before people said so.
        shown = Preview(note=f"no preview: {statement.reason or 'it calls code that can not be judged'}")
    yield query(after)
    if side and not shown.note:
        shown = replace(shown, note=f"seen from a second connection: {side}")
    return Findings(meaning, shown, refusal)


def _read(
    subject: Subject, hiding: Hiding, status: str
) -> Generator[bytes, Messages, tuple[Refusal | None, tuple[int, ...]]]:
    """Let the target prepare the statement itself, which runs nothing of it and reads no row: does it find what is named, and
    of which types are the parameters?"""
    prepared, bound = subject.prepared, subject.bind is not None and bool(subject.bind.parameters)
    if not (subject.unread or bound):
        return None, ()
    sql, types = (prepared.sql, prepared.types) if prepared else (subject.execution.statement.sql, ())
    answer = yield parse("", sql, types) + describe("S", "") + SYNC
    wrong = _wrong(answer, subject, hiding)
    if wrong is None:
        return None, next((parameter_description(body) for kind, body in answer if kind == ord("t")), ())
    if subject.unread and wrong.get("C") in _NOT_THERE:
        return Refusal(wrong["C"], wrong.get("M", "unknown"), wrong.get("H", "")), ()
    yield query(_AGAIN[status])
    return None, ()


def _ask(
    plan: PreviewPlan, subject: Subject, judge: Judge, types: tuple[int, ...]
) -> Generator[bytes, Messages, Preview]:
    """Count, then sample; the first failure ends it and becomes the note (masked)."""
    shown = Preview(relation=plan.relation, note=plan.note)
    count_sql = _count_of(plan, judge.grounds)
    if count_sql is None and plan.count_sql:
        shown = replace(shown, note=_BY_TRIGGERS)
    if count_sql:
        answer = yield _question(count_sql, subject.bind, types)
        wrong = _wrong(answer, subject, judge.hiding)
        if wrong is not None:
            return replace(shown, note=_why(wrong))
        shown = replace(shown, rows=int(rows(answer)[0][0] or b"0"))
    elif plan.rows is not None:
        shown = replace(shown, rows=plan.rows)
    if plan.sample_sql:
        answer = yield _question(plan.sample_sql, subject.bind, types)
        wrong = _wrong(answer, subject, judge.hiding)
        if wrong is not None:
            return replace(shown, note=_why(wrong))
        shown = _sampled(shown, plan, answer, judge)
    return shown


def _count_of(plan: PreviewPlan, grounds: Grounds) -> str | None:
    """The question for the count; None where none is right: a trigger of a view runs for each row of a join, however often it
    meets the same row, and may do anything else."""
    if plan.place is None or grounds.catalog is None:
        return plan.count_sql
    relation = grounds.catalog.find(*plan.place, grounds.search_path)
    if relation is None or relation.kind != "v":
        return plan.count_sql
    return plan.view_count_sql if _writes_through(relation, grounds.catalog) else None


def _writes_through(view: Relation, catalog: Catalog) -> bool:
    """Does nothing stand between the view, or one below it, and its table: no trigger, and no rule (which calls_user_code is for)?"""
    todo = [view]
    while todo:
        each = todo.pop()
        if each.kind != "v":
            continue
        if each.triggers or each.calls_user_code or not all(key in catalog.relations for key, _ in each.shows):
            return False
        todo += [catalog.relations[key] for key, _ in each.shows]
    return True


def _wrong(answer: Messages, subject: Subject, hiding: Hiding) -> dict[str, str] | None:
    """The first error's fields as the client may see them, or None: an error may quote what stands in a masked column."""
    body = next((body for kind, body in answer if kind == ord("E")), None)
    if body is None:
        return None
    return fields(hiding.diagnostics(body, protected=subject.execution.protected))


def _why(wrong: dict[str, str]) -> str:
    text = "it took longer than 2 s" if wrong.get("C") == "57014" else wrong.get("M", "unknown")
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
    script = judge.reader.read(plan.sample_sql or "")
    statement = script.statements[0] if script and script.statements else None
    stored = _as_stored(columns, changed, plan, judge.grounds)
    masker = judge.hiding.masker(statement, stored, [0] * len(columns), columns)
    found = [_masked(values, masker) for values in rows(answer)[:SHOWN_ROWS]]
    return replace(
        shown,
        columns=_becoming(plan, judge.grounds)[:width] or tuple(names),
        before=tuple(row[:width] for row in found),
        after=tuple(tuple(row[changed.get(at, at)] for at in range(width)) for row in found) if changed else (),
    )


def _as_stored(
    columns: tuple[Column, ...], changed: dict[int, int], plan: PreviewPlan, grounds: Grounds
) -> tuple[Column, ...]:
    """Say of a new value which column it will be in, so that the column's own mask covers it."""
    found = list(columns)
    for old, new in changed.items():
        found[new] = replace(columns[new], table_oid=columns[old].table_oid, attnum=columns[old].attnum)
    relation = _relation(plan, grounds)
    if relation is not None:
        for at, column in enumerate(_becoming(plan, grounds)[: len(found)]):
            found[at] = replace(found[at], table_oid=relation.oid, attnum=relation.columns.get(column, 0))
    return tuple(found)


def _becoming(plan: PreviewPlan, grounds: Grounds) -> tuple[str, ...]:
    """The columns that an INSERT fills, in the order of its values; () for other statements or where it isn't known."""
    if plan.stands_for != ("*",):
        return plan.stands_for
    relation = _relation(plan, grounds)
    return tuple(relation.columns) if relation else ()


def _relation(plan: PreviewPlan, grounds: Grounds) -> Relation | None:
    schema, _, name = plan.relation.rpartition(".")
    if grounds.catalog is None or not plan.stands_for:
        return None
    return grounds.catalog.find(schema or None, name, grounds.search_path)


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
