"""Which source columns each output column of a result carries. Pure.

Sound before complete: a plain SELECT over tables, joins and built-in functions is resolved; for anything else (subqueries,
CTEs, set operations, views, whole rows, user functions) the column is None, "not known", and the masking policy decides
what unknown means (redact by default). Conditions are not carried: they are oracles, which no mask stops.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pglast.parser import ParseError, parse_sql_json

from gateway.sql.catalog import Catalog, Relation

Sources = frozenset[str] | None
_NONE: frozenset[str] = frozenset()
#: Nodes that an output expression may hold and whose meaning is their children's.
_PLAIN = frozenset(
    [
        "A_Const",
        "A_Expr",
        "BoolExpr",
        "CaseExpr",
        "CaseWhen",
        "CoalesceExpr",
        "MinMaxExpr",
        "TypeCast",
        "TypeName",
        "NullTest",
        "BooleanTest",
        "A_ArrayExpr",
        "SQLValueFunction",
        "ParamRef",
        "String",
        "Integer",
        "Float",
        "Boolean",
        "List",
        "NamedArgExpr",
        "SortBy",
        "WindowDef",
        "CollateClause",
    ]
)
_KEPT = 512


def lineage(sql: str, catalog: Catalog | None, search_path: tuple[str, ...], width: int) -> list[Sources] | None:
    """The sources of each of `width` output columns as "schema.table.column"; None where they are not known."""
    try:
        node = parsed(sql)["stmts"][0]["stmt"]
    except (ParseError, RecursionError, LookupError, ValueError):
        return None
    if "VariableShowStmt" in node:
        return [_NONE] * width
    return select_sources(node, catalog, search_path, width)


def parsed(sql: str) -> Any:
    """The parse tree as JSON, kept for texts that may come again. Raises ParseError, RecursionError, ValueError."""
    return _shape(sql) if len(sql) < _BIG else json.loads(parse_sql_json(sql))


def select_sources(
    node: Any, catalog: Catalog | None, search_path: tuple[str, ...], width: int
) -> list[Sources] | None:
    """The same for the tree of one statement; None where it is no plain SELECT."""
    select = node.get("SelectStmt")
    if select is None or set(select) - _SIMPLE or select.get("op", "SETOP_NONE") != "SETOP_NONE":
        return None
    tables = _tables(select.get("fromClause", []), catalog, search_path)
    if tables is None:
        return None
    outputs: list[Sources] = []
    for target in select.get("targetList", []):
        outputs += _output(target["ResTarget"].get("val", {}), tables, catalog)
    return outputs if len(outputs) == width else None


_BIG = 4096
_SIMPLE = frozenset(
    [
        "targetList",
        "fromClause",
        "whereClause",
        "groupClause",
        "havingClause",
        "sortClause",
        "limitCount",
        "limitOffset",
        "limitOption",
        "op",
        "distinctClause",
        "windowClause",
        "lockingClause",
    ]
)


@lru_cache(maxsize=_KEPT)
def _shape(sql: str) -> Any:
    return json.loads(parse_sql_json(sql))


def _tables(items: list[Any], catalog: Catalog | None, path: tuple[str, ...]) -> list[tuple[str, Relation]] | None:
    """The plain tables of FROM with their aliases, in order; None where something else is there."""
    found: list[tuple[str, Relation]] = []
    for item in items:
        kind, fields = next(iter(item.items()))
        if kind == "JoinExpr" and not {"usingClause", "isNatural", "alias"} & set(fields):
            inner = _tables([fields["larg"], fields["rarg"]], catalog, path)
            if inner is None:
                return None
            found += inner
            continue
        relation = catalog.find(fields.get("schemaname"), fields.get("relname", ""), path) if catalog else None
        if kind != "RangeVar" or relation is None or relation.kind not in "rp" or "colnames" in fields.get("alias", {}):
            return None
        found.append((fields.get("alias", {}).get("aliasname", fields["relname"]), relation))
    return found


def _output(value: Any, tables: list[tuple[str, Relation]], catalog: Catalog | None) -> list[Sources]:
    fields = value.get("ColumnRef", {}).get("fields", [])
    if fields and "A_Star" in fields[-1]:
        names = [each["String"]["sval"] for each in fields[:-1]]
        chosen = tables if not names else [each for each in tables if [each[0]] == names[-1:]]
        return [frozenset({_name(relation, column)}) for _, relation in chosen for column in relation.columns]
    carried: set[str] = set()
    for kind, node in _nodes(value):
        if kind == "ColumnRef":
            source = _column([each.get("String", {}).get("sval", "") for each in node["fields"]], tables)
            if source is None:
                return [None]
            carried.add(source)
        elif kind == "FuncCall":
            name = [each["String"]["sval"] for each in node["funcname"]]
            known = catalog is not None and name[-1] in catalog.safe_functions and name[:-1] in ([], ["pg_catalog"])
            if not known or name[-1].endswith(("_to_xml", "_to_xmlschema", "_to_xml_and_xmlschema")):
                return [None]
        elif kind not in _PLAIN:
            return [None]
    return [frozenset(carried)]


def _nodes(value: Any) -> Iterator[tuple[str, Any]]:
    """Every node of an expression: a dict whose only key begins with a capital is one."""
    if isinstance(value, list):
        for each in value:
            yield from _nodes(each)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key[:1].isupper():
                yield key, inner
            if isinstance(inner, dict | list):
                yield from _nodes(inner)


def _column(names: list[str], tables: list[tuple[str, Relation]]) -> str | None:
    """The one column that a reference means; None where it may be several, a whole row, or a function in disguise."""
    holders = [relation for alias, relation in tables if names[:-1] in ([], [alias]) and names[-1] in relation.columns]
    return _name(holders[0], names[-1]) if len(holders) == 1 and len(names) <= 2 else None


def _name(relation: Relation, column: str) -> str:
    return f"{relation.schema}.{relation.name}.{column}"
