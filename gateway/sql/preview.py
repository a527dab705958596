"""From a held statement to bounded SELECTs: how many rows it would touch, and up to five of them. Pure.

A tree is built from the statement's own parts (relation, USING/FROM, WHERE, WITH) and printed; nothing is executed here.
Parameters keep their numbers. What can't be shown has a note that says why. Whether it is safe to run the SELECT (the WHERE
clause may call anything) is the caller's to judge by the statement's classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pglast import ast, enums, parse_sql
from pglast.parser import ParseError
from pglast.stream import RawStream

from gateway.sql.parse import tree

SAMPLE = 5


@dataclass(frozen=True, slots=True)
class PreviewPlan:
    """What to ask. `relation` is as written. `count_sql` gives one bigint; `rows` is the count where it needs no asking.

    `view_count_sql`: the same count where the relation, `place` (schema or None, name), is a view: it has no ctid.
    `sample_sql` gives at most five rows: the relation's columns, then for UPDATE one more column for each name in
    `changes`, its new value. `stands_for`: the relation's columns that the sample's columns will become (INSERT); ("*",): all, in their order.
    """

    relation: str = ""
    count_sql: str | None = None
    rows: int | None = None
    sample_sql: str | None = None
    changes: tuple[str, ...] = ()
    stands_for: tuple[str, ...] = ()
    note: str = ""
    view_count_sql: str | None = None
    place: tuple[str | None, str] | None = None


def preview(sql: str) -> PreviewPlan:
    """Plan the preview of one statement. Never raises: a text that can't be read has a note.

    parse_sql crashes on texts nested too deep (enforcement.md 4.1, rows 19-20), so `tree` reads them first.
    """
    if tree(sql) is None:
        return PreviewPlan(note="no preview: the statement is too long, nested too deep or can't be read")
    try:
        node = parse_sql(sql)[0].stmt
        return _plan(node)
    except (ParseError, LookupError, RecursionError, NotImplementedError, AttributeError, TypeError, ValueError):
        # pglast's printers raise what they like on nodes that they don't know.
        return PreviewPlan(note="no preview: the statement can't be taken apart")


def _plan(node: Any) -> PreviewPlan:
    if isinstance(node, ast.PrepareStmt | ast.ExplainStmt | ast.DeclareCursorStmt):
        return _plan(node.query)
    if isinstance(node, ast.SelectStmt):
        inner = _modifying_cte(node)
        if inner is None:
            return PreviewPlan()
        plan = _plan(inner)
        return replace(plan, note=plan.note or "the first data-modifying part of WITH is shown")
    make = _MAKERS.get(type(node))
    return make(node) if make else PreviewPlan(note="no preview for this kind of statement")


def _modifying_cte(node: Any) -> Any:
    """The first data-modifying CTE, with its own CTEs and the plain ones that it sees: those in front of it. Raises ValueError
    where a name would mean another of them, told side by side."""
    ctes: tuple[Any, ...] = node.withClause.ctes if node.withClause else ()
    for at, each in enumerate(ctes):
        inner = each.ctequery
        if isinstance(inner, ast.DeleteStmt | ast.UpdateStmt | ast.InsertStmt | ast.MergeStmt):
            recursive = node.withClause.recursive
            seen: tuple[Any, ...] = tuple(
                e for e in (ctes if recursive else ctes[:at]) if isinstance(e.ctequery, ast.SelectStmt)
            )
            own: Any = inner.withClause
            if own:
                if seen and (recursive != own.recursive or {e.ctename for e in own.ctes} & {e.ctename for e in seen}):
                    raise ValueError(own)
                seen, recursive = (*seen, *own.ctes), own.recursive
            if seen:
                inner.withClause = ast.WithClause(ctes=seen, recursive=recursive)
            return inner
    return None


# --- building and printing ------------------------------------------------------------------------------------------------


def _text(node: Any) -> str:
    printed: str = RawStream()(node)
    return printed


def _name(relation: Any) -> str:
    return ".".join(each for each in (relation.schemaname, relation.relname) if each)


def _label(relation: Any) -> str:
    label: str = relation.alias.aliasname if relation.alias else relation.relname
    return label


def _column(*names: str) -> ast.ColumnRef:
    return ast.ColumnRef(fields=tuple(ast.String(sval=each) for each in names))


def _star(relation: Any) -> ast.ResTarget:
    return ast.ResTarget(val=ast.ColumnRef(fields=(ast.String(sval=_label(relation)), ast.A_Star())))


def _number(value: int) -> ast.A_Const:
    return ast.A_Const(isnull=False, val=ast.Integer(ival=value))


def _select(targets: tuple[Any, ...], tables: tuple[Any, ...], where: Any, ctes: Any, *, limit: bool) -> Any:
    return ast.SelectStmt(
        targetList=targets,
        fromClause=tables,
        whereClause=where,
        withClause=ctes,
        limitCount=_number(SAMPLE) if limit else None,
        limitOption=enums.LimitOption.LIMIT_OPTION_COUNT if limit else enums.LimitOption.LIMIT_OPTION_DEFAULT,
        op=enums.SetOperation.SETOP_NONE,
        all=False,
        groupDistinct=False,
    )


def _count(argument: Any = None) -> ast.ResTarget:
    call = ast.FuncCall(
        funcname=(ast.String(sval="pg_catalog"), ast.String(sval="count")),
        args=(argument,) if argument is not None else None,
        agg_star=argument is None,
        agg_distinct=argument is not None,
        agg_within_group=False,
        func_variadic=False,
        funcformat=enums.CoercionForm.COERCE_EXPLICIT_CALL,
    )
    return ast.ResTarget(val=call)


def _touched(relation: Any, others: tuple[Any, ...], where: Any, ctes: Any, extra: tuple[Any, ...] = ()) -> PreviewPlan:
    """Count and sample of the rows of `relation`. A join may meet a row twice, and a row is changed once: by its ctid. A view's
    rows are its table's (where it can be written through, and no trigger or rule does that): counted if any of the others fits."""
    if isinstance(where, ast.CurrentOfExpr):
        return PreviewPlan(_name(relation), rows=1, note="no preview: WHERE CURRENT OF names the cursor's row")
    if ctes and not relation.schemaname and relation.relname in {each.ctename for each in ctes.ctes}:
        return PreviewPlan(_name(relation), note="no preview: a part of WITH has the table's name")
    tables = (relation, *others)
    counted, view, place = _count(), None, None
    if others:
        place = relation.schemaname, relation.relname
        view = _text(_select((counted,), (relation,), _exists(others, where), ctes, limit=False))
        row = (_column(_label(relation), "tableoid"), _column(_label(relation), "ctid"))
        counted = _count(ast.RowExpr(args=row, row_format=enums.CoercionForm.COERCE_EXPLICIT_CALL))
    count = _select((counted,), tables, where, ctes, limit=False)
    sample = _select((_star(relation), *extra), tables, where, ctes, limit=True)
    return PreviewPlan(_name(relation), _text(count), sample_sql=_text(sample), view_count_sql=view, place=place)


def _exists(tables: tuple[Any, ...], where: Any) -> Any:
    """A column that is in a table here and in the relation outside would be ambiguous in the statement itself: it fails."""
    fitting = _select((ast.ResTarget(val=_number(1)),), tables, where, None, limit=False)
    return ast.SubLink(subLinkType=enums.SubLinkType.EXISTS_SUBLINK, subLinkId=0, subselect=fitting)


# --- by statement ----------------------------------------------------------------------------------------------------------


def _delete(node: Any) -> PreviewPlan:
    return _touched(node.relation, node.usingClause or (), node.whereClause, node.withClause)


def _update(node: Any) -> PreviewPlan:
    news, changes = [], []
    for target in node.targetList:
        if isinstance(target.val, ast.MultiAssignRef | ast.SetToDefault) or target.indirection:
            continue
        news.append(ast.ResTarget(name=target.name, val=target.val))
        changes.append(target.name)
    plan = _touched(node.relation, node.fromClause or (), node.whereClause, node.withClause, tuple(news))
    left_out = len(node.targetList) - len(changes)
    note = plan.note or (f"{left_out} of the new values can't be shown" if left_out else "")
    return replace(plan, changes=tuple(changes), note=note)


def _merge(node: Any) -> PreviewPlan:
    plan = _touched(node.relation, (node.sourceRelation,), node.joinCondition, node.withClause)
    return replace(plan, note=plan.note or "rows of the target that match; rows to be inserted are not counted")


def _insert(node: Any) -> PreviewPlan:
    query, name = node.selectStmt, _name(node.relation)
    columns = tuple(each.name for each in node.cols or ()) or ("*",)
    if query is None:
        return PreviewPlan(name, rows=1, note="one row of defaults")
    if query.valuesLists:
        shown = query.valuesLists[:SAMPLE]
        if any(isinstance(value, ast.SetToDefault) for row in shown for value in row):
            return PreviewPlan(name, rows=len(query.valuesLists), note="no sample: it has DEFAULT values")
        few = ast.SelectStmt(
            valuesLists=shown,
            withClause=node.withClause,
            op=enums.SetOperation.SETOP_NONE,
            limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT,
            all=False,
            groupDistinct=False,
        )
        return PreviewPlan(name, rows=len(query.valuesLists), sample_sql=_text(few), stands_for=columns)
    derived = ast.RangeSubselect(subquery=query, alias=ast.Alias(aliasname="held"), lateral=False)
    count = _select((_count(),), (derived,), None, node.withClause, limit=False)
    everything = ast.ResTarget(val=ast.ColumnRef(fields=(ast.A_Star(),)))
    sample = _select((everything,), (derived,), None, node.withClause, limit=True)
    return PreviewPlan(name, _text(count), sample_sql=_text(sample), stands_for=columns)


def _emptied(relations: list[Any]) -> PreviewPlan:
    """All rows of the relations: TRUNCATE and DROP TABLE."""
    counts = [_text(_select((_count(),), (each,), None, None, limit=False)) for each in relations]
    first = relations[0]
    sample = _text(_select((_star(first),), (first,), None, None, limit=True))
    count = counts[0] if len(counts) == 1 else "SELECT " + " + ".join(f"({each})" for each in counts)
    note = "" if len(counts) == 1 else f"rows of {len(counts)} tables; the sample is of the first"
    return PreviewPlan(_name(first), count, sample_sql=sample, note=note)


def _truncate(node: Any) -> PreviewPlan:
    return _emptied(list(node.relations))


def _drop(node: Any) -> PreviewPlan:
    if node.removeType != enums.ObjectType.OBJECT_TABLE:
        return PreviewPlan(note="no preview: it drops no table")
    return _emptied([_range(each) for each in node.objects])


def _range(names: Any) -> ast.RangeVar:
    words = [each.sval for each in names]
    schema = words[-2] if len(words) > 1 else None
    return ast.RangeVar(schemaname=schema, relname=words[-1], inh=True, relpersistence="p")


def _copy(node: Any) -> PreviewPlan:
    if node.relation is None or not node.is_from:
        return PreviewPlan()
    columns = ", ".join(each.sval for each in node.attlist or ()) or "all columns"
    return PreviewPlan(_name(node.relation), note=f"COPY brings its rows later; columns: {columns}")


_MAKERS: dict[type, Callable[[Any], PreviewPlan]] = {
    ast.DeleteStmt: _delete,
    ast.UpdateStmt: _update,
    ast.MergeStmt: _merge,
    ast.InsertStmt: _insert,
    ast.TruncateStmt: _truncate,
    ast.DropStmt: _drop,
    ast.CopyStmt: _copy,
}
