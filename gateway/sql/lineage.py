"""Which source columns each output column of a result carries, in the order of RowDescription.

What lives here: one walk over a statement's tree with the target's catalog at hand. It answers for whole values. The rule:
every column that is written in an output's expression counts, its CASE conditions, FILTER and OVER included (a CASE can
spell a value letter by letter), and so does what a subquery in it hands out. Nothing comes from NULL tests, EXISTS, count()
of anything, GROUPING(). What stands outside of an output (WHERE, ON, GROUP BY, HAVING, ORDER BY) isn't carried: that is an
oracle, one bit at a time. One thing flows through conditions all the same: columns that are compared with each other carry
one another's values, and a derived table (VALUES, a function, a subquery) all at once, or a join would translate a value.
In UPDATE, INSERT and MERGE with RETURNING, a column carries what is assigned to it, and so does what the target makes of it.

What can't be known is None: relations outside the catalog (temporary ones), user functions, operators and casts, SQL in
strings, columns of pg_catalog that show other people's values, texts over 8 kB. What the target itself copies from column
to column is followed as far as copies.py can read it.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.frames import (
    NOTHING,
    UNKNOWN,
    UNRESOLVED,
    Carried,
    Column,
    Frame,
    Table,
    columns_named,
    copied,
    derived,
    filled_columns,
    generated_columns,
    is_system,
    joined,
    relation_columns,
    renamed,
    table_named,
    united,
    whole,
)
from gateway.sql.functions import SAFE, special_class
from gateway.sql.parse import tree
from gateway.sql.queries import COMMAND_TAGS, GRAMMAR_FUNCTIONS, JSON_FUNCTIONS, NODES, TooWideError
from gateway.sql.scope import is_star, natural_name
from gateway.sql.statement import StatementClass
from gateway.sql.tree import Fields, children, literal, strings, unwrap, words

# Functions in FROM that give exactly one column, and those whose columns have names of their own (pg_proc.dat).
_ONE_COLUMN = words(
    "generate_series generate_subscripts json_array_elements json_array_elements_text json_object_keys "
    "jsonb_array_elements jsonb_array_elements_text jsonb_object_keys jsonb_path_query regexp_matches "
    "regexp_split_to_table string_to_table"
)
_NAMED_COLUMNS = {
    **{name: ["key", "value"] for name in ("json_each", "json_each_text", "jsonb_each", "jsonb_each_text")},
    "aclexplode": ["grantor", "grantee", "privilege_type", "is_grantable"],
    "pg_options_to_table": ["option_name", "option_value"],
}
# PostgreSQL's own functions that show what others run; the rest of them is on the special list of functions.py.
_TELLING = words("pg_stat_get_activity pg_stat_get_backend_activity")
_HARMLESS_CLASSES = (StatementClass.HOUSEKEEPING, StatementClass.SESSION, StatementClass.WRITE)

_VIEWS_DEEP = 16
_MAX_STEPS = 50_000  # columns and names looked at; 8 kB of text can ask for millions
_KEPT = 256
_SIDES = ("larg", "rarg")
_AROUND = ("agg_filter", "over")  # of a call: they tell of columns even where the arguments don't count

Lines = list[frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class Output:
    """One column of a result. `name` None stands for any number of columns; `carried` None: it can't be known.

    `origin`: OID and attnum of the relation's column that it is, untouched, as in RowDescription; zeros for what is made.
    """

    name: str | None
    origin: tuple[int, int]
    carried: frozenset[str] | None


def lineage(sql: str, catalog: Catalog | None, search_path: tuple[str, ...], width: int) -> Lines | None:
    """Say for each of the `width` columns of the statement's result which "schema.table.column" it carries.

    An empty set: it carries no column. None for a column, or for the whole result: it can't be known.
    """
    return Lineages(catalog, search_path).of(sql, width)


class Lineages:
    """The lineage of statements under one catalog and search_path; the last few texts and all views are remembered."""

    def __init__(self, catalog: Catalog | None, search_path: tuple[str, ...]) -> None:
        self._catalog = catalog
        self._path = search_path
        self._views: dict[int, list[Carried]] = {}
        self._known: OrderedDict[str, _Result] = OrderedDict()

    def of(self, sql: str, width: int) -> Lines | None:
        """As lineage()."""
        return self._result(sql).spread(width)

    def outputs(self, sql: str) -> tuple[Output, ...] | None:
        """The statement's columns without asking the target for their number; () has no result, None can't be known."""
        return self._result(sql).outputs

    def _result(self, sql: str) -> "_Result":
        found = self._known.get(sql)
        if found is None:
            found = self._known[sql] = self._read(sql)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(sql)
        return found

    def _read(self, sql: str) -> "_Result":
        node = tree(sql)
        walk = Walk(self._catalog, self._path, self._views)
        try:
            return _Result(None) if node is None else walk.statement(*node)
        except (TooWideError, RecursionError):
            return _Result(None)
        except (LookupError, TypeError, AttributeError, ValueError):
            return _Result(None)  # a tree that isn't expected: nothing is known


class _Result:
    """The columns of a statement's result. `same`: what each carries when their number isn't the expected one."""

    def __init__(self, columns: Sequence[Column] | None, same: Carried = UNRESOLVED) -> None:
        self.outputs = None if columns is None else tuple(map(_output, columns))
        self._columns = None if columns is None else [(each.name is None, each.carried) for each in columns]
        self._same = same

    def made(self) -> "_Result":
        """The same without origins."""
        if self.outputs is not None:
            self.outputs = tuple(replace(each, origin=(0, 0)) for each in self.outputs)
        return self

    def spread(self, width: int) -> Lines | None:
        """One set a column; the place of columns of unknown number is what the others leave."""
        if self._columns is None:
            return None
        many = [at for at, (any_number, _) in enumerate(self._columns) if any_number]
        missing = width - len(self._columns) + len(many)
        if missing < 0 or len(many) > 1 or (missing and not many):
            return None if UNKNOWN in self._same else [self._same] * width
        found: Lines = []
        for any_number, carried in self._columns:
            found += [None if UNKNOWN in carried else carried] * (missing if any_number else 1)
        return found


def _output(column: Column) -> Output:
    return Output(column.name, column.origin, None if UNKNOWN in column.carried else column.carried)


class Walk:
    """Follows the columns of one statement. Raise TooWideError, or RecursionError when it is nested too deep."""

    def __init__(
        self, catalog: Catalog | None, path: tuple[str, ...], views: dict[int, list[Carried]], depth: int = 0
    ) -> None:
        self._catalog = catalog
        self._path = path
        self._views = views
        self._depth = depth
        self._steps = 0
        self._touched: list[Column] = []
        self._saw_unknown = False

    def statement(self, name: str, fields: Fields) -> _Result:
        """The result of a statement that has one."""
        if name in COMMAND_TAGS:
            return _Result(self.query(name, fields, Frame()))
        reader = _STATEMENTS.get(name)
        return reader(self, fields) if reader else _Result(None)

    def query(self, name: str, fields: Fields, frame: Frame) -> list[Column]:
        """The output columns of a query inside `frame`."""
        return _QUERIES[name](self, fields, frame)

    # --- statements around a query ---

    def _inner(self, fields: Fields) -> _Result:
        name, query = unwrap(fields.get("query")) or ("", {})
        return self.statement(name, query)

    def _explain(self, fields: Fields) -> _Result:
        """A plan shows the statement's own constants; user code may have made them of anything."""
        name, query = unwrap(fields.get("query")) or ("", {})
        if name not in COMMAND_TAGS:
            return _Result(None)
        self.query(name, query, Frame())
        return _Result([Column("QUERY PLAN", UNRESOLVED if self._saw_unknown else NOTHING)])

    def _show(self, fields: Fields) -> _Result:
        """A setting with a dot in its name holds what anybody put there."""
        name = str(fields.get("name", ""))
        if name == "all":
            return _Result([Column("name", NOTHING), Column("setting", UNRESOLVED), Column("description", NOTHING)])
        return _Result([Column(None, UNRESOLVED if "." in name or name == "application_name" else NOTHING)])

    def _copy(self, fields: Fields) -> _Result:
        if "query" in fields:
            return self._inner(fields).made()  # CopyOutResponse names no origin
        table = self._relation(fields["relation"], Frame())
        columns = table.columns
        names = strings(fields.get("attlist"))
        if not names:
            stored = [each for each in columns if each not in table.generated]  # COPY leaves the others out
            return _Result(stored, whole(columns))
        found = {each.name: each for each in columns}
        rest = found.get(None, Column("", UNRESOLVED))
        listed = [(each, found.get(each, rest)) for each in names]
        return _Result([Column(name, each.carried, origin=each.origin) for name, each in listed])

    # --- queries ---

    def _select(self, fields: Fields, outer: Frame) -> list[Column]:
        frame = Frame(outer)
        self._with(fields, frame)
        if fields.get("op", "SETOP_NONE") != "SETOP_NONE":
            left, right = (self._select(fields[side], frame) for side in _SIDES)
            return self._limited(united(left, right), fields, frame)
        self._from(fields.get("fromClause"), frame)
        self._condition(fields.get("whereClause"), frame)
        self._condition(fields.get("havingClause"), frame)
        for each in fields.get("sortClause") or ():  # with LIMIT it chooses rows as WHERE does
            self._condition(each.get("SortBy", {}).get("node"), frame)
        frame.settle()
        for each in fields.get("windowClause") or ():
            frame.windows[each["WindowDef"]["name"]] = self._window(each["WindowDef"], frame)
        rows = fields.get("valuesLists")
        shown = self._values(rows, frame) if rows else self._targets(fields.get("targetList"), frame)
        return self._limited(shown, fields, frame)

    def _limited(self, shown: list[Column], fields: Fields, frame: Frame) -> list[Column]:
        """LIMIT and OFFSET choose rows by a number: which row it is says what the number was."""
        chosen = NOTHING.union(*(self._of(fields.get(each), frame) for each in ("limitCount", "limitOffset")))
        return [Column(each.name, each.carried | chosen) for each in shown] if chosen else shown

    def _values(self, rows: list[Fields], frame: Frame) -> list[Column]:
        found: list[Column] = []
        for row in rows:
            items = row.get("List", {}).get("items") or ()
            columns = [Column(f"column{at}", self._of(item, frame)) for at, item in enumerate(items, 1)]
            found = united(found, columns) if found else columns
        return found

    def _insert(self, fields: Fields, outer: Frame) -> list[Column]:
        frame = Frame(outer)
        self._with(fields, frame)
        target = self._relation(fields["relation"], frame, may_be_cte=False)
        given = []
        if "selectStmt" in fields:
            name, query = unwrap(fields["selectStmt"]) or ("", {})
            given = self.query(name, query, frame)
        names = [each["ResTarget"].get("name", "") for each in fields.get("cols") or ()]
        self._receive(target, names, given)
        conflict = fields.get("onConflictClause")
        if conflict:
            inner = Frame(frame, [target, Table("excluded", target.columns)])
            self._condition(conflict.get("whereClause"), inner)
            self._assign(target, conflict.get("targetList"), inner)
        frame.tables, frame.shown = [target], target.columns
        return self._returning(fields, target, frame)

    def _receive(self, target: Table, names: list[str], given: list[Column]) -> None:
        """What INSERT puts into the target's columns, by position."""
        wanted: list[str | None] = [*names] if names else [each.name for each in target.columns]
        counted = None not in wanted and all(each.name is not None for each in given)
        values = {name: each.carried for name, each in zip(wanted, given, strict=False)}
        for column in target.columns:
            column.carried |= values.get(column.name, NOTHING) if counted else whole(given)
        for column in target.filled:
            column.carried |= whole(given)

    def _update(self, fields: Fields, outer: Frame) -> list[Column]:
        frame = Frame(outer)
        self._with(fields, frame)
        target = self._relation(fields["relation"], frame, may_be_cte=False)
        frame.tables, frame.shown = [target], list(target.columns)
        self._from(fields.get("fromClause"), frame)
        self._condition(fields.get("whereClause"), frame)
        frame.settle()
        self._assign(target, fields.get("targetList"), frame)
        return self._returning(fields, target, frame)

    def _delete(self, fields: Fields, outer: Frame) -> list[Column]:
        frame = Frame(outer)
        self._with(fields, frame)
        target = self._relation(fields["relation"], frame, may_be_cte=False)
        frame.tables, frame.shown = [target], list(target.columns)
        self._from(fields.get("usingClause"), frame)
        self._condition(fields.get("whereClause"), frame)
        frame.settle()
        return self._returning(fields, target, frame)

    def _merge(self, fields: Fields, outer: Frame) -> list[Column]:
        """RETURNING * has the source's columns first, then the target's (manual, MERGE)."""
        frame = Frame(outer)
        self._with(fields, frame)
        target = self._relation(fields["relation"], frame, may_be_cte=False)
        self._from([fields["sourceRelation"]], frame)
        frame.tables.append(target)
        frame.shown += target.columns
        self._condition(fields.get("joinCondition"), frame)
        whens = [each["MergeWhenClause"] for each in fields.get("mergeWhenClauses") or ()]
        for when in whens:
            self._condition(when.get("condition"), frame)
        frame.settle()
        for when in whens:
            if when.get("commandType") == "CMD_INSERT":
                names = [each["ResTarget"].get("name", "") for each in when.get("targetList") or ()]
                values = [Column("", self._of(each, frame)) for each in when.get("values") or ()]
                self._receive(target, names, values)
            else:
                self._assign(target, when.get("targetList"), frame)
        return self._returning(fields, target, frame)

    def _assign(self, target: Table, assignments: list[Fields] | None, frame: Frame) -> None:
        new: dict[str | None, Carried] = {}
        for each in assignments or ():
            name = each["ResTarget"].get("name", "")
            new[name] = new.get(name, NOTHING) | self._of(each["ResTarget"].get("val"), frame)
        for column in target.columns:
            column.carried |= whole_of(new) if column.name is None else new.get(column.name, NOTHING)
        for column in target.filled:
            column.carried |= whole_of(new)

    def _returning(self, fields: Fields, target: Table, frame: Frame) -> list[Column]:
        clause = fields.get("returningClause")
        if not clause:
            return []
        names = ["old", "new"] + [each["ReturningOption"]["value"] for each in clause.get("options") or ()]
        # Behind the others: an alias of that name goes first.
        frame.tables = frame.tables + [Table(name, target.columns) for name in names]
        return self._targets(clause.get("exprs"), frame)

    # --- WITH ---

    def _with(self, fields: Fields, frame: Frame) -> None:
        clause = fields.get("withClause")
        if not clause:
            return
        ctes = [each["CommonTableExpr"] for each in clause.get("ctes") or ()]
        if clause.get("recursive"):  # each sees all of them, in any order
            frame.pending.update({cte["ctename"]: cte for cte in ctes})
            return
        for cte in ctes:
            name, query = unwrap(cte["ctequery"]) or ("", {})
            frame.ctes[cte["ctename"]] = copied(self.query(name, query, frame), strings(cte.get("aliascolnames")))

    def _cte(self, name: str, frame: Frame) -> list[Column] | None:
        for level in frame.levels():
            if name in level.pending:
                self._recursive(level.pending.pop(name), level)
            if name in level.ctes:
                return level.ctes[name]
        return None

    def _recursive(self, cte: Fields, frame: Frame) -> None:
        """A CTE of WITH RECURSIVE: its first part, then the second over and over until nothing is added."""
        own, names = cte["ctename"], strings(cte.get("aliascolnames"))
        frame = Frame(frame.parent, ctes=frame.ctes, pending=frame.pending)  # it doesn't see who names it
        kind, query = unwrap(cte["ctequery"]) or ("", {})
        frame.ctes[own] = [Column(None, UNRESOLVED)]
        if kind != "SelectStmt" or query.get("op") != "SETOP_UNION":
            frame.ctes[own] = self._marked(copied(self.query(kind, query, frame), names), cte)
            return
        inner = Frame(frame)
        self._with(query, inner)
        columns = copied(self._select(query["larg"], inner), names)
        before = None
        while before != [each.carried for each in columns]:
            before = [each.carried for each in columns]
            frame.ctes[own] = self._marked(columns, cte)
            columns = united(columns, self._select(query["rarg"], inner))
        frame.ctes[own] = self._marked(columns, cte)

    def _marked(self, columns: list[Column], cte: Fields) -> list[Column]:
        """SEARCH and CYCLE add columns: rows of the searched ones, and a mark."""
        search, cycle, everything = cte.get("search_clause", {}), cte.get("cycle_clause", {}), whole(columns)
        more = [(search.get("search_seq_column"), everything)]
        more += [(cycle.get("cycle_mark_column"), everything), (cycle.get("cycle_path_column"), everything)]
        return columns + [Column(name, carried) for name, carried in more if name]

    # --- FROM ---

    def _from(self, items: list[Fields] | None, frame: Frame) -> None:
        for each in items or ():
            frame.shown = frame.shown + self._item(each, frame)

    def _item(self, node: Fields, frame: Frame) -> list[Column]:
        """One item of FROM: put its tables into the frame, give the columns that `*` shows of it."""
        name, fields = unwrap(node) or ("", {})
        if name == "JoinExpr":
            return self._join(fields, frame)
        make = _TABLES.get(name)
        table = make(self, fields, frame) if make else Table("", [Column(None, UNRESOLVED)])
        self._count(len(table.columns))
        frame.tables.append(table)
        return table.columns

    def _join(self, fields: Fields, frame: Frame) -> list[Column]:
        before = len(frame.tables)
        left, right = (self._item(fields[side], frame) for side in _SIDES)
        natural = bool(fields.get("isNatural"))
        using = strings(fields.get("usingClause"))
        shown = joined(left, right, using, natural=natural)
        merged = [each for each in shown if each not in left and each not in right]
        for each in merged:
            same = [other for other in (*left, *right) if other.name in (each.name, None)]
            frame.link([each, *same], NOTHING)
        self._condition(fields.get("quals"), frame)
        if "join_using_alias" in fields:
            frame.tables.append(Table(fields["join_using_alias"]["aliasname"], merged))
        alias = fields.get("alias")
        if not alias:
            return shown
        frame.settle()
        del frame.tables[before:]
        table = Table(alias["aliasname"], copied(shown, strings(alias.get("colnames"))))
        frame.tables.append(table)
        return table.columns

    def _table(self, fields: Fields, frame: Frame) -> Table:
        return self._relation(fields, frame)

    def _relation(self, fields: Fields, frame: Frame, *, may_be_cte: bool = True) -> Table:
        """A relation or a CTE, under its alias or its own name."""
        name, schema, alias = fields["relname"], fields.get("schemaname"), fields.get("alias", {})
        shown, names = alias.get("aliasname") or name, strings(alias.get("colnames"))
        known = self._cte(name, frame) if may_be_cte and not schema else None
        if known is not None:
            self._count(len(known))
            return derived(shown, copied(known, names))
        found = self._catalog.find(schema, name, self._path) if self._catalog else None
        if found is None:
            return Table(shown, copied([Column(None, UNRESOLVED)], names))
        columns = relation_columns(found, self._behind(found))
        made = generated_columns(found, columns)
        filled = made + filled_columns(found, columns)
        return Table(shown, renamed(columns, names), "" if alias else found.schema, filled, made)

    def _generated(self, relation: Relation) -> list[Carried]:
        """What the columns of a table carry that its generated columns are made of."""
        if relation.oid not in self._views:
            columns = relation_columns(relation, None)
            frame = Frame(tables=[Table(relation.name, columns, relation.schema)], shown=columns)
            made = {name: self._of(_expression(text), frame) for name, text in relation.generated.items()}
            self._views[relation.oid] = [made.get(name, NOTHING) for name in relation.columns]
        return self._views[relation.oid]

    def _behind(self, relation: Relation) -> list[Carried] | None:
        """What a view's columns carry, read from its query, and generated columns; None where there is no more to say."""
        if relation.generated:
            return self._generated(relation)
        if relation.kind not in ("v", "m") or relation.schema in ("pg_catalog", "information_schema"):
            return None
        if relation.oid not in self._views:
            unknown = [UNRESOLVED] * len(relation.columns)
            self._views[relation.oid] = unknown  # while it is read: a circle of views isn't followed
            node = tree(relation.definition, max_bytes=1 << 20) if self._depth < _VIEWS_DEEP else None
            if node is not None:
                # pg_get_viewdef was asked with pg_catalog alone on the path: it names every other schema.
                walk = Walk(self._catalog, ("pg_catalog",), self._views, self._depth + 1)
                columns = walk.statement(*node).spread(len(relation.columns))
                self._count(walk._steps)
                self._views[relation.oid] = [UNRESOLVED if each is None else each for each in columns or unknown]
        return self._views[relation.oid]

    def _subquery(self, fields: Fields, frame: Frame) -> Table:
        inner = frame if fields.get("lateral") else Frame(frame.parent, ctes=frame.ctes, pending=frame.pending)
        name, query = unwrap(fields["subquery"]) or ("", {})
        alias = fields.get("alias", {})
        return derived(
            alias.get("aliasname", ""), copied(self.query(name, query, inner), strings(alias.get("colnames")))
        )

    def _sample(self, fields: Fields, frame: Frame) -> Table:
        name, relation = unwrap(fields["relation"]) or ("", {})
        return self._relation(relation, frame) if name == "RangeVar" else Table("", [Column(None, UNRESOLVED)])

    def _function_table(self, fields: Fields, frame: Frame) -> Table:
        """Functions in FROM. How many columns one gives is known for few of them, and where it is written down."""
        alias, columns, name = fields.get("alias", {}), list[Column](), ""
        for each in fields.get("functions") or ():
            call, *definition = each["List"]["items"]
            carried = self._of(call, frame)
            name = natural_name(call)
            own = [item for item in definition if unwrap(item)]
            listed = own[0]["List"]["items"] if own else fields.get("coldeflist")
            columns += _function_columns(call, carried, listed, alias.get("aliasname") or name)
        if fields.get("ordinality"):
            columns.append(Column("ordinality", NOTHING))
        return derived(alias.get("aliasname") or name, copied(columns, strings(alias.get("colnames"))))

    def _built_table(self, fields: Fields, frame: Frame) -> Table:
        """XMLTABLE and JSON_TABLE: every column comes of the document."""
        carried = self._children({key: value for key, value in fields.items() if key != "alias"}, frame)
        alias = fields.get("alias", {})
        columns = [Column(name, carried) for name in _column_names(fields.get("columns"))]
        return derived(alias.get("aliasname", ""), copied(columns, strings(alias.get("colnames"))))

    # --- outputs ---

    def _targets(self, targets: list[Fields] | None, frame: Frame) -> list[Column]:
        found: list[Column] = []
        for each in targets or ():
            target = each["ResTarget"]
            value = target.get("val")
            stars = self._star(value, frame)
            if stars is None:
                name = target.get("name") or natural_name(value)
                found.append(Column(name, self._of(value, frame), origin=_origin(value, frame)))
            else:
                found += copied(stars)
            self._count(len(stars or ()) + 1)
        return found

    def _star(self, value: object, frame: Frame) -> list[Column] | None:
        """What a target that is a star stands for; None when it is none."""
        if is_star(value):
            names = strings((unwrap(value) or ("", {}))[1]["fields"])
            if not names:
                return frame.shown
            table = table_named(names, frame)
            return table.columns if table else [Column(None, UNRESOLVED)]
        name, fields = unwrap(value) or ("", {})
        steps = fields.get("indirection") if name == "A_Indirection" else None
        if not steps or "A_Star" not in steps[-1]:
            return None
        row = self._row(fields.get("arg"), frame) if len(steps) == 1 else None
        return row.columns if row else [Column(None, self._of(value, frame))]

    def _row(self, node: object, frame: Frame) -> Table | None:
        """The table when an expression is its whole row: `c` where no column has that name."""
        name, fields = unwrap(node) or ("", {})
        names = strings(fields.get("fields")) if name == "ColumnRef" and not is_star(node) else []
        if len(names) != 1 or any(each.name is not None for each in columns_named(names[0], frame) or ()):
            return None
        return table_named(names, frame)

    # --- conditions ---

    def _condition(self, node: object, frame: Frame) -> None:
        """WHERE, ON, HAVING: nothing is carried but between the columns that one comparison names."""
        name, fields = unwrap(node) or ("", {})
        if name == "BoolExpr":
            for each in fields.get("args") or ():
                self._condition(each, frame)
        elif name == "SubLink" and fields.get("subLinkType") == "EXISTS_SUBLINK":
            self._subselect(fields, frame)  # for the comparisons inside
        elif name:
            outside, self._touched = self._touched, []
            carried = self._of(node, frame)
            frame.link(self._touched, carried)
            self._touched = outside

    # --- expressions ---

    def _of(self, node: object, frame: Frame) -> Carried:
        """What the value of an expression, or of a list of them, carries."""
        found = NOTHING
        for name, fields in children({"": node}):
            found |= self._node(name, fields, frame)
        return found

    def _node(self, name: str, fields: Fields, frame: Frame) -> Carried:
        handle = _ON.get(name)
        if handle:
            return handle(self, fields, frame)
        function = JSON_FUNCTIONS.get(name)
        if isinstance(function, dict):
            function = function.get(str(fields.get("op")))
        if function is not None:
            return self._children(fields, frame) | self._unless(self._is_known(None, function))
        return self._children(fields, frame) | self._unless(name in NODES)

    def _children(self, fields: Fields, frame: Frame) -> Carried:
        found = NOTHING
        for name, inner in children(fields):
            found |= self._node(name, inner, frame)
        return found

    def _unless(self, known: bool) -> Carried:
        """Nothing more where it is known what runs, else that it isn't."""
        self._saw_unknown |= not known
        return NOTHING if known else UNRESOLVED

    def _on_column(self, fields: Fields, frame: Frame) -> Carried:
        names = strings(fields.get("fields"))
        if is_star({"ColumnRef": fields}):  # ROW(c.*), to_jsonb(c.*)
            table = table_named(names, frame) if names else None
            return self._touch(table.columns if table else frame.shown)
        if len(names) == 1:
            return self._bare(names[0], frame)
        table = table_named(names[:-1], frame)
        if table is None:
            return self._unless(False)
        return self._attribute(names[-1], table)

    def _bare(self, name: str, frame: Frame) -> Carried:
        found = columns_named(name, frame)
        if found is not None and any(each.name == name for each in found):
            return self._touch(found)
        table = table_named([name], frame)
        if table is not None:
            return self._touch([*table.columns, *(found or ())])
        if found is not None:
            return self._touch(found)
        return NOTHING if is_system(name) else self._unless(False)

    def _attribute(self, name: str, table: Table) -> Carried:
        """`t.name`: a column, or else the call name(t), which a user may have written."""
        found = [each for each in table.columns if each.name == name]
        if found:
            return self._touch(found)
        if is_system(name):
            return NOTHING
        hidden = any(each.name is None for each in table.columns)  # then it may well be a column
        known = not self._is_users(name) if hidden else self._is_known(None, name)
        return self._touch(table.columns) | self._unless(known)

    def _touch(self, columns: list[Column]) -> Carried:
        self._count(len(columns))
        self._touched += columns
        return whole(columns) if len(columns) != 1 else columns[0].carried

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MAX_STEPS:
            raise TooWideError

    def _on_indirection(self, fields: Fields, frame: Frame) -> Carried:
        steps = fields.get("indirection") or []
        names = strings(steps)
        known = not any(map(self._is_users, names))
        row = self._row(fields.get("arg"), frame)
        if row is not None and names and any(each.name == names[0] for each in row.columns):
            value = self._attribute(names[0], row)
        else:
            value = self._of(fields.get("arg"), frame)
        return value | self._of(steps, frame) | self._unless(known)

    def _on_operator(self, fields: Fields, frame: Frame) -> Carried:
        names = strings(fields.get("name"))
        users = self._catalog.user_operators if self._catalog else frozenset[str]()
        known = names[:-1] == ["pg_catalog"] or (len(names) == 1 and names[0] not in users)
        return self._children(fields, frame) | self._unless(known)

    def _on_sublink(self, fields: Fields, frame: Frame) -> Carried:
        if fields.get("subLinkType") == "EXISTS_SUBLINK":
            return NOTHING
        return self._of(fields.get("testexpr"), frame) | self._subselect(fields, frame)

    def _subselect(self, fields: Fields, frame: Frame) -> Carried:
        name, query = unwrap(fields["subselect"]) or ("", {})
        outside, self._touched = self._touched, []
        found = whole(self.query(name, query, frame))
        self._touched = outside
        return found

    def _on_query(self, _fields: Fields, _frame: Frame) -> Carried:
        return self._unless(False)

    def _on_type(self, fields: Fields, _frame: Frame) -> Carried:
        names = strings(fields.get("names"))
        user = self._catalog is not None and names[:-1] != ["pg_catalog"] and names[-1] in self._catalog.user_types
        return self._unless(not user)

    def _on_array_query(self, fields: Fields, frame: Frame) -> Carried:
        name, query = unwrap(fields["query"]) or ("", {})
        return whole(self.query(name, query, frame)) | self._unless(self._is_known(None, "json_array"))

    # --- functions ---

    def _on_function(self, fields: Fields, frame: Frame) -> Carried:
        names = strings(fields.get("funcname"))
        schema, bare = names[-2] if len(names) > 1 else None, names[-1]
        known = self._is_known(schema, bare)
        if known and bare == "count":
            return self._children(_fields_of(fields, _AROUND), frame)
        if known and bare == "current_setting":
            setting = literal((fields.get("args") or [None])[0])
            known = setting is not None and "." not in setting and setting.lower() != "application_name"
        return self._children(_fields_of(fields, ("args", "agg_order", *_AROUND)), frame) | self._unless(known)

    def _is_known(self, schema: str | None, bare: str) -> bool:
        """Whether a function is PostgreSQL's own and makes its result of its arguments alone."""
        catalog = self._catalog
        if schema == "information_schema" and bare.startswith("_pg_"):
            return True
        if schema not in (None, "pg_catalog") or bare in _TELLING:
            return False
        if schema is None and self._is_users(bare):
            return False
        kind = special_class(bare)
        if kind is not None:
            return kind in _HARMLESS_CLASSES
        safe = catalog.safe_functions if catalog is not None else frozenset[str]()
        return bare in safe or bare in SAFE or bare in GRAMMAR_FUNCTIONS or bare == "set_config"

    def _is_users(self, bare: str) -> bool:
        return self._catalog is not None and bare in self._catalog.user_functions

    def _window(self, fields: Fields, frame: Frame) -> Carried:
        """PARTITION BY and ORDER BY of a window, and of the window that it is made from."""
        base = frame.windows.get(fields.get("refname", ""), NOTHING)
        return base | self._children(fields, frame)

    def _on_window(self, fields: Fields, frame: Frame) -> Carried:
        return self._window(fields, frame) | frame.windows.get(fields.get("name", ""), NOTHING)


def _origin(value: object, frame: Frame) -> tuple[int, int]:
    """The column that an output is, when it is nothing but that column's name."""
    kind, fields = unwrap(value) or ("", {})
    names = strings(fields.get("fields")) if kind == "ColumnRef" and not is_star(value) else []
    if len(names) < 2:
        columns = columns_named(names[0], frame) if names else None
    else:
        table = table_named(names[:-1], frame)
        columns = [each for each in table.columns if each.name == names[-1]] if table else None
    return columns[0].origin if columns and len(columns) == 1 else (0, 0)


def _fields_of(fields: Fields, names: tuple[str, ...]) -> Fields:
    return {name: fields[name] for name in names if name in fields}


def whole_of(values: dict[str | None, Carried]) -> Carried:
    """All that is assigned."""
    return NOTHING.union(*values.values())


def _function_columns(call: Fields, carried: Carried, listed: list[Fields] | None, name: str) -> list[Column]:
    """The columns of one function in FROM; `listed` are written behind it, `name` is what a single one is called."""
    kind, fields = unwrap(call) or ("", {})
    names = strings(fields.get("funcname"))
    if listed:
        return [Column(each["ColumnDef"].get("colname", ""), carried) for each in listed]
    if kind == "SQLValueFunction" or (names and names[-1] in _ONE_COLUMN):
        return [Column(name, carried)]
    if names and names[-1] == "unnest" and _of_scalars(fields.get("args") or []):
        return [Column(name, carried)]
    known = _NAMED_COLUMNS.get(names[-1]) if names else None
    return [Column(each, carried) for each in known] if known else [Column(None, carried)]


def _of_scalars(args: list[Fields]) -> bool:
    """Whether the one argument of unnest() is surely no array of rows."""
    name, fields = unwrap(args[0]) if len(args) == 1 and unwrap(args[0]) else ("", {})  # type: ignore[misc]
    if name == "A_ArrayExpr":
        return all((unwrap(each) or ("",))[0] == "A_Const" for each in fields.get("elements") or ())
    types = strings(fields["typeName"].get("names")) if name == "TypeCast" else []
    return types[:1] == ["pg_catalog"] or types[-1:] in (["text"], ["uuid"], ["date"], ["json"], ["jsonb"])


def _expression(text: str) -> object:
    """The tree of an expression; a text that can't be read is a query, of which nothing is known."""
    found = tree(f"SELECT {text}", max_bytes=1 << 20)
    targets = found[1].get("targetList") if found else None
    return targets[0]["ResTarget"]["val"] if targets and len(targets) == 1 else {"SelectStmt": {}}


def _column_names(columns: list[Fields] | None) -> list[str]:
    """The names of the columns of XMLTABLE or JSON_TABLE, nested ones behind those of their level."""
    found, nested = list[str](), list[str]()
    for _, each in children({"": columns}):
        if "columns" in each:
            nested += _column_names(each["columns"])
        else:
            found.append(each.get("colname") or each.get("name", ""))
    return found + nested


def _nothing(_walk: Walk, _fields: Fields, _frame: Frame) -> Carried:
    return NOTHING


# Underscores are no secret inside the module: these are the methods that a node type leads to.
_ON: dict[str, Callable[[Walk, Fields, Frame], Carried]] = {
    "A_Const": _nothing,
    "A_Expr": Walk._on_operator,
    "A_Indirection": Walk._on_indirection,
    "CaseExpr": Walk._children,
    "ColumnRef": Walk._on_column,
    "FuncCall": Walk._on_function,
    "GroupingFunc": _nothing,
    "JsonArrayQueryConstructor": Walk._on_array_query,
    "NullTest": _nothing,
    "ResTarget": Walk._children,
    "SubLink": Walk._on_sublink,
    "TypeCast": Walk._children,
    "TypeName": Walk._on_type,
    "WindowDef": Walk._on_window,
    **dict.fromkeys(COMMAND_TAGS, Walk._on_query),
}
_QUERIES: dict[str, Callable[[Walk, Fields, Frame], list[Column]]] = {
    "SelectStmt": Walk._select,
    "InsertStmt": Walk._insert,
    "UpdateStmt": Walk._update,
    "DeleteStmt": Walk._delete,
    "MergeStmt": Walk._merge,
}
_STATEMENTS: dict[str, Callable[[Walk, Fields], _Result]] = {
    "CopyStmt": Walk._copy,
    "DeclareCursorStmt": Walk._inner,
    "ExplainStmt": Walk._explain,
    "PrepareStmt": Walk._inner,
    "VariableShowStmt": Walk._show,
}
_TABLES: dict[str, Callable[[Walk, Fields, Frame], Table]] = {
    "JsonTable": Walk._built_table,
    "RangeFunction": Walk._function_table,
    "RangeSubselect": Walk._subquery,
    "RangeTableFunc": Walk._built_table,
    "RangeTableSample": Walk._sample,
    "RangeVar": Walk._table,
}
