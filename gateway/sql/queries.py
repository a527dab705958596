"""SELECT, INSERT, UPDATE, DELETE and MERGE, read from the tree: relations, columns, functions, and what they do.

What lives here: one walk over a query. It works from an allow-list of node types (NODES and the methods named `_on_...`):
a node that it doesn't know makes the statement opaque, with the node's name as the reason (enforcement.md, decision 2).
Not here: utility statements (effects.py), and what a name means on a target (resolve.py).

Which columns a name means is scope.py's part.
"""

from collections.abc import Callable, Iterable

from gateway.sql.functions import special_class
from gateway.sql.scope import (
    NOTHING,
    Output,
    Scope,
    Source,
    Uses,
    columns_named,
    find_source,
    is_star,
    natural_name,
    renamed,
    sort_key,
    starred,
    united,
)
from gateway.sql.settings import ACCESS_MODES, setting_class
from gateway.sql.statement import ColumnUse, Statement, StatementClass, Written
from gateway.sql.tree import (
    Fields,
    as_public,
    children,
    dotted,
    key_of,
    literal,
    nodes,
    parameter,
    spelled,
    strings,
    unwrap,
    words,
)

_CONSTANT = "A_Const"  # it does nothing, and a text may hold thousands

# Nodes that only hold others: walking into their children says all there is to say.
NODES = words(
    "A_ArrayExpr A_Indices A_Star Alias BitString BoolExpr Boolean BooleanTest CaseWhen CoalesceExpr CollateClause "
    "ColumnDef CTECycleClause CTESearchClause CurrentOfExpr Float GroupingFunc GroupingSet IndexElem InferClause Integer "
    "JsonAggConstructor JsonArgument JsonBehavior JsonFormat JsonIsPredicate JsonKeyValue JsonOutput JsonReturning "
    "JsonTableColumn JsonTablePathSpec JsonValueExpr List LockingClause MinMaxExpr MultiAssignRef NamedArgExpr NullTest "
    "ParamRef RangeTableFuncCol ReturningClause ReturningOption RowExpr SetToDefault SortBy SQLValueFunction String "
    "WindowDef XmlExpr XmlSerialize"
)

# SQL/JSON syntax that PostgreSQL before 16 or 17 reads as a call of an ordinary, shadowable function (enforcement.md, verdict 6).
JSON_FUNCTIONS: dict[str, str | dict[str, str]] = {
    "JsonArrayAgg": "json_arrayagg",
    "JsonArrayConstructor": "json_array",
    "JsonArrayQueryConstructor": "json_array",
    "JsonObjectAgg": "json_objectagg",
    "JsonObjectConstructor": "json_object",
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "MergeSupportFunc": "merge_action",
    "JsonFuncExpr": {"JSON_EXISTS_OP": "json_exists", "JSON_QUERY_OP": "json_query", "JSON_VALUE_OP": "json_value"},
}

# Our grammar writes pg_catalog before it; that of PostgreSQL 15 and older has no such keyword and looks it up by search_path.
_BARE_BEFORE = ("json_object",)

# What the grammar itself calls, and the two built-in sampling methods: PostgreSQL's own unless the catalog knows a user's.
GRAMMAR_FUNCTIONS = words(
    "json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table "
    "json_value merge_action system bernoulli"
)

COMMAND_TAGS = {
    "SelectStmt": "SELECT",
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}

# What the grammar makes of x BETWEEN a AND b: comparisons, with the operators of these names.
_BETWEEN = {
    "AEXPR_BETWEEN": (">=", "<="),
    "AEXPR_NOT_BETWEEN": ("<", ">"),
    "AEXPR_BETWEEN_SYM": (">=", "<="),
    "AEXPR_NOT_BETWEEN_SYM": ("<", ">"),
}

# Columns times the relations that they may belong to; 8 kB of text can otherwise ask for millions.
MAX_FOLLOWED = 50_000
#: A target list can have no more entries (PostgreSQL, MaxTupleAttributeNumber).
MAX_COLUMNS = 1664


class TooWideError(ValueError):
    """The statement names more columns of more relations than is worth following."""


class Walk:
    """Collects what one statement does. Feed it nodes with `query` or `expression`, then ask for `finish`."""

    def __init__(self, *, strict: bool = True) -> None:
        """`strict=False` looks for names only, in DDL that is held for what it is: unknown nodes don't matter there."""
        self.strict = strict
        self.classes: set[StatementClass] = set()
        self.reasons: list[str] = []
        self.reads: dict[str, None] = {}
        self.writes: dict[str, None] = {}
        self.functions: dict[str, None] = {}
        self.settings: list[tuple[str, str | None]] = []
        self.configures: list[int] = []
        self.inner_tags: list[str] = []
        self.where: bool | None = None
        self.cascades = False
        self._columns: dict[ColumnUse, None] = {}
        self._predicates: dict[ColumnUse, None] = {}
        self._operators: dict[str, None] = {}
        self._types: dict[str, None] = {}
        self._attributes: dict[str, None] = {}
        self._sinks: list[set[ColumnUse]] = []
        self._predicate_depth = 0
        self._followed = 0
        self._reads_relations = False
        self._calls_ordinary = False

    # --- what the caller uses ---

    def query(self, name: str, fields: Fields, scope: Scope | None = None) -> Output:
        """Read a query node (a key of COMMAND_TAGS)."""
        return _QUERIES[name](self, fields, scope or Scope())

    def expression(self, name: str, fields: Fields, scope: Scope | None = None) -> None:
        """Read any other node, or a query where the grammar allows one."""
        self._node(name, fields, scope or Scope())

    def columns_of(self, range_var: Fields, names: Iterable[str]) -> None:
        """Note columns of a relation that stands outside a query (COPY)."""
        source = Source("", key_of(range_var))
        for name in names:
            self._touch(source.column(name))

    def refuse(self, reason: str) -> None:
        """Make the statement opaque."""
        self.classes.add(StatementClass.OPAQUE)
        if reason not in self.reasons:
            self.reasons.append(reason)

    def is_read(self, tag: str) -> bool:
        """Whether a query is (also) a read: it has a relation in FROM; a SELECT too when it isn't special calls alone."""
        if self._reads_relations or tag != "SELECT":
            return self._reads_relations
        return self._calls_ordinary or not self.classes

    def finish(self, sql: str, tag: str, **more: object) -> Statement:
        """Build the Statement; `more` are further fields of it."""
        written = Written(
            reads=tuple(self.reads),
            writes=tuple(self.writes),
            columns=tuple(self._columns),
            predicates=tuple(self._predicates),
            operators=tuple(self._operators),
            types=tuple(self._types),
            attributes=tuple(self._attributes),
            cascades=self.cascades,
        )
        return Statement(
            sql=sql,
            tag=tag,
            classes=frozenset(self.classes),
            reads=tuple(map(as_public, self.reads)),
            writes=tuple(map(as_public, self.writes)),
            columns=_spell(self._columns),
            functions=tuple(self.functions),
            where=self.where,
            reason="; ".join(self.reasons),
            settings=tuple(self.settings),
            configures=tuple(self.configures),
            protected_predicates=_spell(self._predicates),
            inner_tags=tuple(self.inner_tags),
            written=written,
            **more,  # type: ignore[arg-type]  # the caller names fields of Statement
        )

    # --- queries ---

    def _select(self, fields: Fields, outer: Scope) -> Output:
        scope = Scope(outer)
        self._with(fields, scope)
        if fields.get("op", "SETOP_NONE") != "SETOP_NONE":
            output = united(self._select(fields["larg"], scope), self._select(fields["rarg"], scope))
        else:
            self._nodes(fields.get("fromClause"), scope)
            self._predicates_of(fields, ("whereClause",), scope)
            output = self._outputs(fields.get("targetList"), scope)
            if "valuesLists" in fields:
                output = united(output, self._values(fields["valuesLists"], scope))
            self._predicates_of(fields, ("havingClause", "windowClause"), scope)
            self._nodes([e for e in fields.get("distinctClause") or () if e], scope, predicate=True)
        self._sorted(fields.get("groupClause"), output, scope)
        self._sorted(fields.get("sortClause"), output, scope)
        for limit in ("limitCount", "limitOffset"):
            self._nodes(fields.get(limit), scope)
        self._lock(fields.get("lockingClause"), scope)
        if "intoClause" in fields:
            self.classes |= {StatementClass.DDL, StatementClass.READ}
            self.writes[key_of(fields["intoClause"]["rel"])] = None
        return output

    def _values(self, rows: list[Fields], scope: Scope) -> Output:
        """All rows together: there may be hundreds, mostly of constants."""
        found: list[Uses] = []
        for row in rows:
            items = row.get("List", {}).get("items") or ()
            read = [NOTHING if _CONSTANT in item else self._collect(item, scope) for item in items]
            if not found:
                found = read
            elif len(read) != len(found):
                every = NOTHING.union(*read)
                found = [each | every for each in found]
            elif any(read):
                found = [each | other for each, other in zip(found, read, strict=True)]
        return Output([(f"column{at}", each) for at, each in enumerate(found, 1)])

    def _insert(self, fields: Fields, outer: Scope) -> Output:
        scope = Scope(outer)
        self._with(fields, scope)
        target = self._target("INSERT", fields, scope)
        for column in fields.get("cols") or ():
            self._touch(target.column(column["ResTarget"].get("name", "")))
            self._nodes(column["ResTarget"].get("indirection"), scope)
        self._nodes(fields.get("selectStmt"), Scope(scope.parent, ctes=scope.ctes))
        conflict = fields.get("onConflictClause")
        if conflict:
            inner = Scope(scope, [target, Source("excluded", target.relation)])
            self._assignments(conflict.get("targetList"), target, inner)
            self._predicates_of(conflict, ("whereClause",), inner)
            for name, infer in children({"infer": conflict.get("infer") or {}}):
                self._node(name, infer, inner)
        return self._returning(fields, scope, target, reads=bool(conflict and conflict.get("targetList")))

    def _update(self, fields: Fields, outer: Scope) -> Output:
        scope = Scope(outer)
        self._with(fields, scope)
        target = self._target("UPDATE", fields, scope)
        self._nodes(fields.get("fromClause"), scope)
        self._assignments(fields.get("targetList"), target, scope)
        self._require_where(fields, scope)
        return self._returning(fields, scope, target, reads=True)

    def _delete(self, fields: Fields, outer: Scope) -> Output:
        scope = Scope(outer)
        self._with(fields, scope)
        target = self._target("DELETE", fields, scope)
        self._nodes(fields.get("usingClause"), scope)
        self._require_where(fields, scope)
        return self._returning(fields, scope, target, reads=True)

    def _merge(self, fields: Fields, outer: Scope) -> Output:
        scope = Scope(outer)
        self._with(fields, scope)
        target = self._target("MERGE", fields, scope)
        self._nodes(fields.get("sourceRelation"), scope)
        self._predicates_of(fields, ("joinCondition",), scope)
        for clause in fields.get("mergeWhenClauses") or ():
            name, when = unwrap(clause) or ("?", {})
            if name != "MergeWhenClause":
                self.refuse(f"{name} inside MERGE isn't known")
            self._predicates_of(when, ("condition",), scope)
            self._assignments(when.get("targetList"), target, scope)
            self._nodes(when.get("values"), scope)
        return self._returning(fields, scope, target, reads=True)

    # --- parts of queries ---

    def _with(self, fields: Fields, scope: Scope) -> None:
        if "withClause" in fields:
            self._on_with(fields["withClause"], scope)

    def _on_with(self, fields: Fields, scope: Scope) -> None:
        ctes = [each["CommonTableExpr"] for each in fields.get("ctes") or ()]
        if fields.get("recursive"):  # then each of them sees all of them
            scope.ctes.update({cte["ctename"]: Output() for cte in ctes})
        for cte in ctes:
            name, query = unwrap(cte["ctequery"]) or ("?", {})
            if name not in COMMAND_TAGS:
                self.refuse(f"{name} inside WITH isn't known")
                continue
            if name != "SelectStmt":
                self.inner_tags.append(COMMAND_TAGS[name])
            inner = Scope(scope)
            output = renamed(self.query(name, query, inner), strings(cte.get("aliascolnames")))
            for clause in ("search_clause", "cycle_clause"):
                output.columns += [
                    (cte[clause][key], NOTHING) for key in cte.get(clause, {}) if key.endswith("_column")
                ]
            scope.ctes[cte["ctename"]] = output

    def _target(self, tag: str, fields: Fields, scope: Scope) -> Source:
        relation = fields["relation"]
        key = key_of(relation)
        self.classes.add(StatementClass.WRITE)
        self.writes[key] = None
        source = Source(relation.get("alias", {}).get("aliasname") or relation.get("relname", ""), key)
        if tag != "INSERT":
            scope.sources.append(source)
        return source

    def _returning(self, fields: Fields, scope: Scope, target: Source, *, reads: bool) -> Output:
        clause = fields.get("returningClause")
        if reads or clause:
            self.reads[target.relation or ""] = None
        if not clause:
            return Output()
        old_and_new = [Source(name, target.relation) for name in ("old", "new")]
        old_and_new += [Source(o["ReturningOption"]["value"], target.relation) for o in clause.get("options") or ()]
        sources = scope.sources if target in scope.sources else [target]
        return self._outputs(clause.get("exprs"), Scope(Scope(scope.parent, old_and_new), sources, scope.ctes))

    def _require_where(self, fields: Fields, scope: Scope) -> None:
        self.where = ("whereClause" in fields) and self.where is not False
        self._predicates_of(fields, ("whereClause",), scope)

    def _assignments(self, targets: list[Fields] | None, target: Source, scope: Scope) -> None:
        for each in targets or ():
            assignment = each["ResTarget"]
            self._touch(target.column(assignment.get("name", "")))
            self._nodes(assignment.get("indirection"), scope)
            self._nodes(assignment.get("val"), scope)

    def _outputs(self, targets: list[Fields] | None, scope: Scope) -> Output:
        output = Output()
        if len(targets or ()) > MAX_COLUMNS:
            raise TooWideError  # before 0.2 s of CPU went into 8 kB of stars
        for each in targets or ():
            target = each["ResTarget"]
            value = target.get("val")
            if is_star(value):
                output.stars += starred(value["ColumnRef"], scope)
            output.columns.append((target.get("name") or natural_name(value), self._collect(value, scope)))
        return output

    def _collect(self, node: object, scope: Scope) -> Uses:
        self._sinks.append(set())
        self._nodes(node, scope)
        found = self._sinks.pop()
        if self._sinks:
            self._sinks[-1].update(found)
        return frozenset(found)

    def _sorted(self, nodes: list[Fields] | None, output: Output, scope: Scope) -> None:
        """ORDER BY and GROUP BY: an output's name or position means the columns behind it."""
        for each in nodes or ():
            name, fields = unwrap(each) or ("?", {})
            value = fields.get("node") if name == "SortBy" else each
            self._touch(sort_key(value, output), predicate=True)
            self._nodes(each, scope, predicate=True)
            if name == "SortBy" and fields.get("useOp"):
                self._operators[dotted(strings(fields["useOp"]))] = None

    def _lock(self, clauses: list[Fields] | None, scope: Scope) -> None:
        for clause in clauses or ():
            self.classes.add(StatementClass.WRITE)
            named = {each["RangeVar"].get("relname") for each in clause["LockingClause"].get("lockedRels") or ()}
            for source in scope.sources:
                if source.relation and (not named or source.name in named):
                    self.writes[source.relation] = None

    def _predicates_of(self, fields: Fields, names: Iterable[str], scope: Scope) -> None:
        for name in names:
            self._nodes(fields.get(name), scope, predicate=True)

    # --- nodes ---

    def _nodes(self, value: object, scope: Scope, *, predicate: bool = False) -> None:
        """Walk a wrapped node, or a list of them."""
        self._predicate_depth += predicate
        for name, fields in nodes(value):
            if name != _CONSTANT:
                self._node(name, fields, scope)
        self._predicate_depth -= predicate

    def _node(self, name: str, fields: Fields, scope: Scope) -> None:
        if name in _QUERIES:
            _QUERIES[name](self, fields, scope)
        elif name in _ON:
            _ON[name](self, fields, scope)
        else:
            self._container(name, fields, scope)

    def _container(self, name: str, fields: Fields, scope: Scope) -> None:
        function = JSON_FUNCTIONS.get(name)
        if isinstance(function, dict):
            function = function.get(str(fields.get("op")))
        if function is not None:
            self.functions[function] = None
        elif self.strict and name not in NODES:
            self.refuse(f"{name.lstrip('?')} isn't known to be harmless")
        for child, inner in children(fields):
            if child != _CONSTANT:
                self._node(child, inner, scope)

    def _on_target(self, fields: Fields, scope: Scope) -> None:
        self._nodes(fields.get("val"), scope)
        self._nodes(fields.get("indirection"), scope)

    def _on_source(self, fields: Fields, scope: Scope) -> None:
        scope.sources.append(self._source(fields, scope))

    def _source(self, fields: Fields, scope: Scope) -> Source:
        """One item of FROM; JOIN adds its two sides to the scope by itself."""
        alias = fields.get("alias", {})
        name = alias.get("aliasname", "")
        names = strings(alias.get("colnames"))
        if "relname" in fields:
            return self._relation(fields, name, names, scope)
        if "rarg" in fields:
            return self._join(fields, name, names, scope)
        if "subquery" in fields:
            inner = Scope(scope if fields.get("lateral") else Scope(scope.parent, ctes=scope.ctes))
            kind, query = unwrap(fields["subquery"]) or ("?", {})
            if kind not in COMMAND_TAGS:
                self.refuse(f"{kind} in FROM isn't known")
                return Source(name)
            return Source(name, output=renamed(self.query(kind, query, inner), names))
        if "method" in fields:
            self._nodes(fields["relation"], scope)
            self.functions[dotted(strings(fields["method"]))] = None
            self._nodes(fields.get("args"), scope)
            self._nodes(fields.get("repeatable"), scope)
            return scope.sources.pop()
        self._calls_ordinary |= "functions" not in fields
        uses = self._derived_from(fields, scope)
        columns = names + [
            c["ColumnDef"].get("colname", "") for c in fields.get("coldeflist") or () if "ColumnDef" in c
        ]
        columns += [inner.get("colname") or inner.get("name", "") for _, inner in nodes(fields.get("columns"))]
        return Source(name, output=Output([(each, uses) for each in (*columns, name) if each]))

    def _derived_from(self, fields: Fields, scope: Scope) -> Uses:
        """A function, XMLTABLE or JSON_TABLE in FROM: its outputs come from whatever its arguments read."""
        self._sinks.append(set())
        if "context_item" in fields:
            self.functions["json_table"] = None
        for name, inner in children({key: value for key, value in fields.items() if key not in ("alias", "functions")}):
            self._node(name, inner, scope)
        for each in fields.get("functions") or ():
            for call in each["List"]["items"]:
                self._nodes(call, scope)
        found = self._sinks.pop()
        if self._sinks:
            self._sinks[-1].update(found)
        return frozenset(found)

    def _relation(self, fields: Fields, alias: str, names: list[str], scope: Scope) -> Source:
        name = fields["relname"]
        self._reads_relations = True
        cte = None if fields.get("schemaname") else scope.cte(name)
        if cte is not None:
            return Source(alias or name, output=renamed(cte, names))
        key = key_of(fields)
        self.reads[key] = None
        source = Source(alias or name, key)
        return Source(source.name, output=renamed(Output(stars=[source]), names)) if names else source

    def _join(self, fields: Fields, alias: str, names: list[str], scope: Scope) -> Source:
        before = len(scope.sources)
        self._nodes(fields.get("larg"), scope)
        self._nodes(fields.get("rarg"), scope)
        sides = scope.sources[before:]
        using = strings(fields.get("usingClause")) or (["*"] if fields.get("isNatural") else [])
        for name in using:
            self._operators["="] = None
            for side in sides:
                self._touch(side.column(name), predicate=True)
        self._predicates_of(fields, ("quals",), scope)
        if "join_using_alias" in fields:
            merged = [(name, frozenset().union(*(side.column(name) for side in sides))) for name in using]
            scope.sources.append(Source(fields["join_using_alias"].get("aliasname", ""), output=Output(merged)))
        if not alias:
            # The sides are in the scope already; the caller appends the last of them again.
            return scope.sources.pop() if len(scope.sources) > before else Source("")
        return Source(alias, output=renamed(Output(stars=sides), names))

    def _on_column(self, fields: Fields, scope: Scope) -> None:
        names = strings(fields.get("fields"))
        if is_star({"ColumnRef": fields}):
            for source in starred(fields, scope):
                self._touch(source.column("*"))
            return
        if len(names) == 1:
            self._touch(columns_named(names[0], scope))
            return
        source = find_source(names[:-1], scope)
        if source.relation is None and not source.has(names[-1]):
            self._attributes[names[-1]] = None
        self._touch(source.column(names[-1], qualified=True))

    def _touch(self, uses: Iterable[ColumnUse], *, predicate: bool = False) -> None:
        uses = tuple(uses)
        self._followed += sum(1 + sum(map(len, use.levels)) for use in uses)
        if self._followed > MAX_FOLLOWED:
            raise TooWideError
        self._columns.update(dict.fromkeys(uses))
        if predicate or self._predicate_depth:
            self._predicates.update(dict.fromkeys(uses))
        if self._sinks:
            self._sinks[-1].update(uses)

    def _on_indirection(self, fields: Fields, scope: Scope) -> None:
        self._attributes.update(dict.fromkeys(strings(fields.get("indirection"))))
        self._nodes(fields.get("arg"), scope)
        self._nodes(fields.get("indirection"), scope)

    def _on_operator(self, fields: Fields, scope: Scope) -> None:
        self._operators[dotted(strings(fields.get("name")))] = None
        self._operators.update(dict.fromkeys(_BETWEEN.get(str(fields.get("kind")), ())))
        self._nodes(fields.get("lexpr"), scope)
        self._nodes(fields.get("rexpr"), scope)

    def _on_case(self, fields: Fields, scope: Scope) -> None:
        if "arg" in fields:
            self._operators["="] = None
        for name, inner in children(fields):
            self._node(name, inner, scope)

    def _on_sublink(self, fields: Fields, scope: Scope) -> None:
        if "testexpr" in fields:
            self._operators[dotted(strings(fields.get("operName"))) or "="] = None
            self._nodes(fields["testexpr"], scope)
        self._nodes(fields.get("subselect"), scope)

    def _on_cast(self, fields: Fields, scope: Scope) -> None:
        self._on_type(fields["typeName"], scope)
        self._nodes(fields.get("arg"), scope)

    def _on_type(self, fields: Fields, scope: Scope) -> None:
        self._types[dotted(strings(fields.get("names")))] = None
        self._nodes(fields.get("typmods"), scope)

    # --- functions ---

    def _on_function(self, fields: Fields, scope: Scope) -> None:
        names = strings(fields.get("funcname"))
        bare = names[-1] if names else ""
        if names == ["pg_catalog", *_BARE_BEFORE]:
            names = names[1:]
        self.functions[dotted(names)] = None
        if bare == "set_config" and names[:-1] in ([], ["pg_catalog"]):
            self._set_config(fields.get("args") or [])
        else:
            self._special(bare, dotted(names))
        for name, inner in children({key: value for key, value in fields.items() if key != "funcname"}):
            self._node(name, inner, scope)

    def _special(self, bare: str, written: str) -> None:
        kind = special_class(bare)
        if kind is None:
            self._calls_ordinary = True
        elif kind is StatementClass.OPAQUE:
            self.refuse(f"{written}() runs or reads what its arguments say")
        else:
            self.classes.add(kind)

    def _set_config(self, args: list[Fields]) -> None:
        self.configures += [number for each in args[:2] if (number := parameter(each)) is not None]
        name = literal(args[0]) if args else None
        if name is None:
            self.refuse("set_config() of a name that is no literal")
            return
        value = literal(args[1]) if len(args) > 1 else None
        if any(not _is_given(each) for each in args[1:2]):
            self.refuse("set_config() to a value that the statement reads from somewhere")
        kind, reason = setting_class(name, value)
        if name.lower() in ACCESS_MODES:
            kind = StatementClass.SESSION
        self.settings.append((name.lower(), value))
        self.classes.add(kind)
        if reason:
            self.refuse(reason)


# Underscores are no secret inside the module: these are the methods that a node type leads to.
_ON: dict[str, Callable[[Walk, Fields, Scope], None]] = {
    "A_Const": lambda _walk, _fields, _scope: None,
    "A_Expr": Walk._on_operator,
    "A_Indirection": Walk._on_indirection,
    "CaseExpr": Walk._on_case,
    "ColumnRef": Walk._on_column,
    "FuncCall": Walk._on_function,
    "JoinExpr": Walk._on_source,
    "JsonTable": Walk._on_source,
    "RangeFunction": Walk._on_source,
    "RangeSubselect": Walk._on_source,
    "RangeTableFunc": Walk._on_source,
    "RangeTableSample": Walk._on_source,
    "RangeVar": Walk._on_source,
    "ResTarget": Walk._on_target,
    "SubLink": Walk._on_sublink,
    "TypeCast": Walk._on_cast,
    "TypeName": Walk._on_type,
    "WithClause": Walk._on_with,
}
_QUERIES: dict[str, Callable[[Walk, Fields, Scope], Output]] = {
    "SelectStmt": Walk._select,
    "InsertStmt": Walk._insert,
    "UpdateStmt": Walk._update,
    "DeleteStmt": Walk._delete,
    "MergeStmt": Walk._merge,
}


def _is_given(node: Fields) -> bool:
    """Whether the client itself gives a value: a constant or a parameter, cast or not."""
    name, fields = unwrap(node) or ("", {})
    return _is_given(fields["arg"]) if name == "TypeCast" else name in ("A_Const", "ParamRef")


def _spell(uses: Iterable[ColumnUse]) -> tuple[str, ...]:
    pairs = ((key, use.column) for use in uses for level in use.levels for key in level)
    return tuple(dict.fromkeys(f"{as_public(key)}.{spelled(column)}" for key, column in pairs))
