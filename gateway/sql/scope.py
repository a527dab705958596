"""What a query sees and what it hands out: sources, CTEs, and the columns behind a name.

What lives here: name lookup inside one statement, without a catalog. It reports too much rather than too little: a bare
column may belong to any relation in scope (ColumnUse.levels), a column alias over a star to everything behind the star.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.sql.statement import ColumnUse
from gateway.sql.tree import Fields, key_of, literal, strings, unwrap

Uses = frozenset[ColumnUse]
NOTHING: Uses = frozenset()


@dataclass(slots=True)
class Output:
    """What a query hands out: (name, columns behind it) in order, and the sources that a star passes through."""

    columns: list[tuple[str, Uses]] = field(default_factory=list)
    stars: list["Source"] = field(default_factory=list)
    # Without this memory a chain of CTEs, each naming the last one twice, takes 2**n steps.
    _known: dict[str, Uses] = field(default_factory=dict)

    def everything(self) -> Uses:
        """Every column that any output reads."""
        return self.behind("*")

    def behind(self, name: str) -> Uses:
        """The columns that the output `name` reads; "*" is all of them."""
        if name not in self._known:
            found = [uses for each, uses in self.columns if name in ("*", each)]
            self._known[name] = frozenset().union(*found, *(each.column(name) for each in self.stars))
        return self._known[name]


@dataclass(slots=True)
class Source:
    """One item of FROM: a relation (its key), or something derived with its outputs (None: a function, nothing known)."""

    name: str
    relation: str | None = None
    output: Output | None = None

    def column(self, name: str, *, qualified: bool = False) -> Uses:
        """What `name` reads here; "*" is the whole row. Empty when it is surely not from here."""
        if self.relation is not None:
            return frozenset({ColumnUse(name, ((self.relation,),), qualified)})
        return NOTHING if self.output is None else self.output.behind(name)

    def has(self, name: str) -> bool:
        """Whether something derived names such an output itself, so that `source.name` is a column and calls nothing."""
        return self.output is not None and any(each == name for each, _ in self.output.columns)


@dataclass(slots=True)
class Scope:
    """The sources and CTEs that a query sees; `parent` is the query around it."""

    parent: "Scope | None" = None
    sources: list[Source] = field(default_factory=list)
    ctes: dict[str, Output] = field(default_factory=dict)

    def cte(self, name: str) -> Output | None:
        """The CTE of that name, the innermost first."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.ctes:
                return scope.ctes[name]
            scope = scope.parent
        return None

    def levels(self) -> list[list[Source]]:
        """The sources of this query, then those of the query around it, and so on."""
        found: list[list[Source]] = []
        scope: Scope | None = self
        while scope is not None:
            found.append(scope.sources)
            scope = scope.parent
        return found


def is_star(value: object) -> bool:
    """Whether a target is `*` or `x.*`."""
    name, fields = unwrap(value) or ("", {})
    return name == "ColumnRef" and "A_Star" in fields["fields"][-1]


def starred(column_ref: Fields, scope: Scope) -> list[Source]:
    """The sources that a star goes through."""
    names = strings(column_ref["fields"])
    return [find_source(names, scope)] if names else list(scope.sources)


def find_source(names: list[str], scope: Scope) -> Source:
    """The source that a qualifier means: an alias, or schema.table (a database name in front is dropped)."""
    if len(names) == 1:
        for level in scope.levels():
            for source in level:
                if source.name == names[0]:
                    return source
    return Source(names[-1], key_of({"schemaname": names[-2] if len(names) > 1 else "", "relname": names[-1]}))


def columns_named(name: str, scope: Scope) -> list[ColumnUse]:
    """Every column that a bare name can mean, and the whole row when a source has that name."""
    found: list[ColumnUse] = []
    levels: list[tuple[str, ...]] = []
    for level in scope.levels():
        relations = [s.relation for s in level if s.relation]
        if relations:
            levels.append(tuple(dict.fromkeys(relations)))
        for source in level:
            if source.relation is None:
                found += source.column(name)
            if source.name == name:
                found += source.column("*")
    if levels:
        found.append(ColumnUse(name, tuple(levels)))
    return found


def sort_key(value: object, output: Output) -> Uses:
    """The columns behind an element of ORDER BY or GROUP BY that names an output or its position."""
    name, fields = unwrap(value) or ("", {})
    if name == "ColumnRef":
        names = strings(fields.get("fields"))
        return frozenset().union(*(uses for each, uses in output.columns if [each] == names))
    position = literal(value)
    if name == "A_Const" and position is not None and position.isdigit() and not output.stars:
        place = int(position) - 1
        return output.columns[place][1] if 0 <= place < len(output.columns) else NOTHING
    return output.everything() if name == "A_Const" else NOTHING


def united(left: Output, right: Output) -> Output:
    """The output of a set operation: the left names, the columns of both sides (by position where no star hides it)."""
    if not left.columns:
        return right
    if left.stars or right.stars or len(left.columns) != len(right.columns):
        both = right.everything()
        return Output([(name, uses | both) for name, uses in left.columns], left.stars + right.stars)
    pairs = zip(left.columns, right.columns, strict=True)
    return Output([(name, uses | others) for (name, uses), (_, others) in pairs])


def renamed(output: Output, names: list[str]) -> Output:
    """Column aliases: by position, or everything behind each name when a star hides the positions."""
    if not names:
        return output
    if output.stars or len(names) > len(output.columns):
        everything = output.everything()
        return Output([(name, everything) for name in names], output.stars)
    head = [(name, uses) for name, (_, uses) in zip(names, output.columns, strict=False)]
    return Output(head + output.columns[len(names) :])


NO_NAME = "?column?"
# Nodes that name an output by themselves (FigureColnameInternal in parse_target.c).
_NODE_NAMES = {
    "A_ArrayExpr": "array",
    "CoalesceExpr": "coalesce",
    "GroupingFunc": "grouping",
    "JsonArrayAgg": "json_arrayagg",
    "JsonArrayConstructor": "json_array",
    "JsonArrayQueryConstructor": "json_array",
    "JsonObjectAgg": "json_objectagg",
    "JsonObjectConstructor": "json_object",
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "MergeSupportFunc": "merge_action",
    "RowExpr": "row",
    "XmlSerialize": "xmlserialize",
}
_BY_OPERATION = frozenset({"JsonFuncExpr", "MinMaxExpr", "SQLValueFunction", "XmlExpr"})
_OPERATION_NAMES = {
    "IS_GREATEST": "greatest",
    "IS_LEAST": "least",
    "IS_XMLCONCAT": "xmlconcat",
    "IS_XMLELEMENT": "xmlelement",
    "IS_XMLFOREST": "xmlforest",
    "IS_XMLPARSE": "xmlparse",
    "IS_XMLPI": "xmlpi",
    "IS_XMLROOT": "xmlroot",
    "JSON_EXISTS_OP": "json_exists",
    "JSON_QUERY_OP": "json_query",
    "JSON_VALUE_OP": "json_value",
}


def natural_name(value: object) -> str:
    """The name that PostgreSQL gives an output without AS (FigureColname)."""
    return _figured(value)[0]


def _figured(value: object) -> tuple[str, bool]:
    """The name, and whether it is a strong one: a cast's type only names what has no strong name."""
    name, fields = unwrap(value) or ("", {})
    if name in _NODE_NAMES:
        return _NODE_NAMES[name], True
    if name in _BY_OPERATION:
        operation = str(fields.get("op"))
        return _OPERATION_NAMES.get(operation, operation.removeprefix("SVFOP_").removesuffix("_N").lower()), True
    figure = _FIGURES.get(name)
    return figure(fields) if figure else (NO_NAME, False)


def _last(field: str) -> Callable[[Fields], tuple[str, bool]]:
    def named(fields: Fields) -> tuple[str, bool]:
        names = strings(fields.get(field))
        return (names[-1], True) if names else (NO_NAME, False)

    return named


def _indirection_name(fields: Fields) -> tuple[str, bool]:
    names = strings(fields.get("indirection"))
    return (names[-1], True) if names else _figured(fields.get("arg"))


def _cast_name(fields: Fields) -> tuple[str, bool]:
    name, strong = _figured(fields.get("arg"))
    types = strings(fields["typeName"].get("names"))
    return (name, True) if strong or not types else (types[-1], False)


def _case_name(fields: Fields) -> tuple[str, bool]:
    name, strong = _figured(fields.get("defresult"))
    return (name, True) if strong else ("case", False)


def _sublink_name(fields: Fields) -> tuple[str, bool]:
    kind = fields.get("subLinkType")
    if kind in ("EXISTS_SUBLINK", "ARRAY_SUBLINK"):
        return str(kind).removesuffix("_SUBLINK").lower(), True
    query = (unwrap(fields.get("subselect")) or ("", {}))[1]
    while "larg" in query:
        query = query["larg"]
    targets = query.get("targetList") if kind == "EXPR_SUBLINK" else None
    if not targets:
        return ("column1", True) if kind == "EXPR_SUBLINK" and "valuesLists" in query else (NO_NAME, False)
    first = targets[0]["ResTarget"]
    return (first["name"], True) if "name" in first else _figured(first.get("val"))


def _operator_name(fields: Fields) -> tuple[str, bool]:
    return ("nullif", True) if fields.get("kind") == "AEXPR_NULLIF" else (NO_NAME, False)


_FIGURES: dict[str, Callable[[Fields], tuple[str, bool]]] = {
    "A_Expr": _operator_name,
    "A_Indirection": _indirection_name,
    "CaseExpr": _case_name,
    "CollateClause": lambda fields: _figured(fields.get("arg")),
    "ColumnRef": _last("fields"),
    "FuncCall": _last("funcname"),
    "SubLink": _sublink_name,
    "TypeCast": _cast_name,
}
