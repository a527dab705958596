"""What the columns of a query carry: FROM, WITH, set operations, outputs, and RETURNING.

What lives here: SELECT, INSERT, UPDATE, DELETE and MERGE as rows and columns. What must not: expressions
(lineage_expressions.py), views and statements (lineage.py), which says how all of it is meant.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from gateway.sql.catalog import Relation
from gateway.sql.frames import (
    CLOSED,
    NOTHING,
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
    joined,
    relation_columns,
    renamed,
    table_named,
    united,
    whole,
)
from gateway.sql.lineage_expressions import Expressions, is_stored, origin
from gateway.sql.scope import is_star, natural_name
from gateway.sql.tree import Fields, literal, nodes, strings, unwrap, words

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
_SIDES = ("larg", "rarg")


class Queries(Expressions):
    """Follows the columns of queries. Raise TooWideError, or RecursionError when one is nested too deep."""

    def query(self, name: str, fields: Fields, frame: Frame) -> list[Column]:
        """The output columns of a query inside `frame`."""
        return _QUERIES[name](self, fields, frame)

    @abstractmethod
    def behind(self, relation: Relation) -> list[Carried] | None:
        """What a view's columns carry, and generated columns; None where there is no more to say."""

    # --- queries ---

    def _select(self, fields: Fields, outer: Frame) -> list[Column]:
        frame = Frame(outer)
        self._with(fields, frame)
        if fields.get("op", "SETOP_NONE") != "SETOP_NONE":
            left, right = (self._select(fields[side], frame) for side in _SIDES)
            if fields["op"] != "SETOP_UNION" or not fields.get("all"):
                self.tested |= whole((*left, *right))  # which rows are equal
            stored = [a.origin != (0, 0) != b.origin for a, b in zip(left, right, strict=False)]
            both = united(left, right)
            if fields["op"] != "SETOP_UNION":
                both = _compared(both, stored)
            return self._limited(self._in_order(both, fields, stored), fields, frame)
        self._from(fields.get("fromClause"), frame)
        self._condition(fields.get("whereClause"), frame)
        self._condition(fields.get("havingClause"), frame)
        targets = fields.get("targetList") or ()
        for each in fields.get("sortClause") or ():  # with LIMIT it chooses rows as WHERE does
            self._condition(_meant(each["SortBy"]["node"], targets), frame)
        self._grouped_by([*(fields.get("groupClause") or ()), *(fields.get("distinctClause") or ())], targets, frame)
        frame.settle()
        links = len(frame.links)
        for each in fields.get("windowClause") or ():
            frame.windows[each["WindowDef"]["name"]] = self._window(each["WindowDef"], frame)
        rows = fields.get("valuesLists")
        shown = self._values(rows, frame) if rows else self._targets(fields.get("targetList"), frame)
        if len(frame.links) > links:  # a function among the outputs gives rows, or none
            frame.settle()
            shown = self._values(rows, frame) if rows else self._targets(fields.get("targetList"), frame)
        self._chosen_by(fields, shown, frame)
        if rows:
            shown = self._in_order(shown, fields, [])
        return self._limited(shown, fields, frame)

    def _grouped_by(self, nodes: Sequence[Fields], targets: Sequence[Fields], frame: Frame) -> None:
        """Rows that fall into one group, or the first of them, tell of what they are grouped by as those that WHERE chooses.

        Not where that is a stored column: it is compared with nothing but itself.
        """
        for node in nodes:
            kind, inner = unwrap(node) or ("", {})
            if kind == "GroupingSet":
                self._grouped_by(inner.get("content") or (), targets, frame)
            elif kind == "RowExpr":
                self._grouped_by(inner.get("args") or (), targets, frame)
            elif kind:
                meant = node if columns_named((_bare_name(node) or [""])[0], frame) else _meant(node, targets)
                if not is_stored(meant, frame):
                    self._condition(meant, frame)

    def _chosen_by(self, fields: Fields, shown: list[Column], frame: Frame) -> None:
        """GROUP BY, DISTINCT ON and ORDER BY test columns too; an output's name or its place stands for what it carries."""
        if {} in (fields.get("distinctClause") or ()):
            self.tested |= whole(shown)
        nodes = [*(fields.get("groupClause") or ()), *(each for each in fields.get("distinctClause") or () if each)]
        nodes += [each["SortBy"]["node"] for each in fields.get("sortClause") or ()]
        for each in nodes:
            names, place = _bare_name(each), literal(each)
            outputs = [column for column in shown if [column.name] == names]
            if place is not None and place.isdigit():
                outputs = shown[int(place) - 1 : int(place)]
            known = self._saw_unknown
            self.tested |= whole(outputs) if outputs else self._of(each, frame)
            if names:  # it may be an output's
                self._saw_unknown = known

    def _limited(self, shown: list[Column], fields: Fields, frame: Frame) -> list[Column]:
        """LIMIT and OFFSET choose rows by a number: which row it is says what the number was."""
        chosen = NOTHING.union(*(self._together(fields.get(each), frame) for each in ("limitCount", "limitOffset")))
        self.tested |= chosen
        frame.settle()  # it may name columns of the query around
        return [Column(each.name, each.carried | chosen) for each in shown] if chosen else shown

    def _in_order(self, shown: list[Column], fields: Fields, stored: list[bool]) -> list[Column]:
        """ORDER BY of VALUES and set operations, whose rows may be a list of guesses: the first is the one that is right.

        `stored`: whether the output at a place is a stored column in every part: those are guesses of nobody.
        """
        chosen = NOTHING
        for each in fields.get("sortClause") or ():
            names, place = _bare_name(each["SortBy"]["node"]), literal(each["SortBy"]["node"])
            for at, column in enumerate(shown):
                if (column.name is None or [column.name] == names or str(at + 1) == place) and not any(
                    stored[at : at + 1]
                ):
                    chosen |= column.carried
        return [Column(each.name, each.carried | chosen, origin=each.origin) for each in shown] if chosen else shown

    def _values(self, rows: list[Fields], frame: Frame) -> list[Column]:
        found: list[Carried] = []
        for row in rows:
            carried = [self._of(item, frame) for item in row.get("List", {}).get("items") or ()]
            if not found:
                found = carried
            elif len(carried) != len(found):
                every = NOTHING.union(*carried)
                found = [each | every for each in found]
            elif any(carried):
                found = [each | other for each, other in zip(found, carried, strict=True)]
        return [Column(f"column{at}", each) for at, each in enumerate(found, 1)]

    def _insert(self, fields: Fields, outer: Frame) -> list[Column]:
        frame = Frame(outer)
        self._with(fields, frame)
        target = self._relation(fields["relation"], frame, may_be_cte=False)
        given = []
        if "selectStmt" in fields:
            name, query = unwrap(fields["selectStmt"]) or ("", {})
            given = self.query(name, query, frame)
        names = [each["ResTarget"].get("name", "") for each in fields.get("cols") or ()]
        self._listed(target, names, fields.get("selectStmt"))
        self._receive(target, names, given)
        conflict = fields.get("onConflictClause")
        if conflict:
            inner = Frame(frame, [target, Table("excluded", target.columns)])
            self._condition(conflict.get("whereClause"), inner)
            self._assign(target, conflict.get("targetList"), inner)
        frame.tables, frame.shown = [target], target.columns
        return self._returning(fields, target, frame)

    def _listed(self, target: Table, names: list[str], query: object) -> None:
        """The constants of VALUES, each beside the column that it goes to."""
        rows = (unwrap(query) or ("", {}))[1].get("valuesLists") or ()
        places = [_before(target, each) for each in names or [each.name or "" for each in target.columns]]
        for row in rows:
            for carried, item in zip(places, row.get("List", {}).get("items") or (), strict=False):
                self._stand_beside(item, carried)

    def _receive(self, target: Table, names: list[str], given: list[Column]) -> None:
        """What INSERT puts into the target's columns, by position."""
        wanted: list[str | None] = [*names] if names else [each.name for each in target.columns]
        counted = None not in wanted and all(each.name is not None for each in given)
        values = {name: each.carried for name, each in zip(wanted, given, strict=False)}
        for column in target.columns:
            if column.name is None and counted:  # of a table that nobody knows, but these of its columns
                self._write_named(target, column, values)
            else:
                self._write(target, column, values.get(column.name, NOTHING) if counted else whole(given))
        for column in target.filled:
            self._write(target, column, whole(given))

    def _write(self, target: Table, column: Column, carried: Carried) -> None:
        """The column carries this from now on, for RETURNING and for whoever reads it later."""
        if carried:
            places = self._beneath(target, column)
            column.carried |= carried
            column.written = True
            self.copies += [(*place, carried) for place in ((*target.relation, column.name), *places)]

    def _write_named(self, target: Table, column: Column, values: dict[str | None, Carried]) -> None:
        column.carried |= whole_of(values)
        self.copies += [(*target.relation, name, carried) for name, carried in values.items() if carried]

    def _beneath(self, target: Table, column: Column) -> list[tuple[str | None, str | None, str | None]]:
        """The columns that a view shows as this one: they are what is written to."""
        found = self._catalog.relations.get((target.relation[0] or "", target.relation[1])) if self._catalog else None
        if found is None or found.kind != "v":
            return []
        names = (each.split(".") for each in column.carried - CLOSED)
        return [(each[0], each[1], each[2]) if len(each) == 3 else (None, None, each[-1]) for each in names]

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
            self._stand_beside(each["ResTarget"].get("val"), _before(target, name))
            new[name] = new.get(name, NOTHING) | self._of(each["ResTarget"].get("val"), frame)
        for column in target.columns:
            if column.name is None:
                self._write_named(target, column, new)
            else:
                self._write(target, column, new.get(column.name, NOTHING))
        for column in target.filled:
            self._write(target, column, whole_of(new))

    def _returning(self, fields: Fields, target: Table, frame: Frame) -> list[Column]:
        clause = fields.get("returningClause")
        if not clause:
            return []
        behind = self._told_by_code(target)
        for each in target.columns if behind else ():
            each.carried |= behind
        names = ["old", "new"] + [each["ReturningOption"]["value"] for each in clause.get("options") or ()]
        # Behind the others: an alias of that name goes first.
        frame.tables = frame.tables + [Table(name, target.columns) for name in names]
        return self._targets(clause.get("exprs"), frame)

    def _told_by_code(self, target: Table) -> Carried:
        """What the rules and INSTEAD OF triggers of a view may say that it holds now: whatever they read or write."""
        found = self._catalog.relations.get((target.relation[0] or "", target.relation[1])) if self._catalog else None
        if found is None or found.kind != "v" or self._catalog is None:
            return NOTHING
        keys = found.code_reads.union(place for _, place in found.fires)
        concerned = filter(None, map(self._catalog.relations.get, keys))
        return NOTHING.union(*(whole(relation_columns(each, self.behind(each))) for each in concerned))

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
        if not query.get("all"):
            self.tested |= whole(columns)
        columns = self._limited(self._in_order(columns, query, []), query, inner)  # where it doesn't name itself
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
        before = len(self._touched)
        table = make(self, fields, frame) if make else Table("", [Column(None, UNRESOLVED)])
        made_of = self._mixed(self._touched[before:], whole(table.columns), frame)
        self._count(len(table.columns) + len(made_of))
        if made_of:
            kin = [*table.columns, *made_of]
            for each in table.columns:
                each.kin = kin
        frame.tables.append(table)
        return table.columns

    def _join(self, fields: Fields, frame: Frame) -> list[Column]:
        before = len(frame.tables)
        left, right = (self._item(fields[side], frame) for side in _SIDES)
        natural = bool(fields.get("isNatural"))
        using = strings(fields.get("usingClause"))
        self._count((len(left) + len(right)) // 8)  # a look at a name is cheap, but each join looks at all so far
        shown, pairs = joined(left, right, using, natural=natural)
        for each, same in pairs:
            frame.link([each, *same], NOTHING)
            self.tested |= whole(same)
        self._condition(fields.get("quals"), frame)
        if "join_using_alias" in fields:
            frame.tables.append(Table(fields["join_using_alias"]["aliasname"], [each for each, _ in pairs]))
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
            unknown = copied([Column(None, UNRESOLVED)], names)
            return Table(shown, unknown, relation=(schema or None, name))
        columns = relation_columns(found, self.behind(found), doubts_settings=self._doubts_settings)
        made = generated_columns(found, columns)
        filled = made + filled_columns(found, columns)
        written = "" if alias else found.schema
        return Table(shown, renamed(columns, names), written, filled, made, (found.schema, found.name))

    def _subquery(self, fields: Fields, frame: Frame) -> Table:
        inner = frame if fields.get("lateral") else Frame(frame.parent, ctes=frame.ctes, pending=frame.pending)
        name, query = unwrap(fields["subquery"]) or ("", {})
        alias = fields.get("alias", {})
        return derived(
            alias.get("aliasname", ""), copied(self.query(name, query, inner), strings(alias.get("colnames")))
        )

    def _sample(self, fields: Fields, frame: Frame) -> Table:
        chosen = self._of([*(fields.get("args") or ()), fields.get("repeatable")], frame)
        self.tested |= chosen
        name, relation = unwrap(fields["relation"]) or ("", {})
        found = self._relation(relation, frame) if name == "RangeVar" else Table("", [Column(None, UNRESOLVED)])
        for each in found.columns:  # as LIMIT: which rows there are says what the seed was
            each.carried |= chosen
        return found

    def _function_table(self, fields: Fields, frame: Frame) -> Table:
        """Functions in FROM. How many columns one gives is known for few of them, and where it is written down."""
        alias, columns, name = fields.get("alias", {}), list[Column](), ""
        for each in fields.get("functions") or ():
            call, *definition = each["List"]["items"]
            before = len(self._touched)
            carried = self._of(call, frame)
            frame.link(self._mixed(self._touched[before:], carried, frame), carried)
            self.tested |= carried  # how many rows there are says what they are made of
            name = natural_name(call)
            own = [item for item in definition if unwrap(item)]
            listed = own[0]["List"]["items"] if own else fields.get("coldeflist")
            columns += _function_columns(call, carried, listed, alias.get("aliasname") or name)
        if fields.get("ordinality"):
            columns.append(Column("ordinality", NOTHING))
        return derived(alias.get("aliasname") or name, copied(columns, strings(alias.get("colnames"))))

    def _built_table(self, fields: Fields, frame: Frame) -> Table:
        """XMLTABLE and JSON_TABLE: every column comes of the document."""
        before = len(self._touched)
        carried = self._children({key: value for key, value in fields.items() if key != "alias"}, frame)
        frame.link(self._mixed(self._touched[before:], carried, frame), carried)
        self.tested |= carried
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
                found.append(Column(name, self._of(value, frame), origin=origin(value, frame)))
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


def _compared(columns: list[Column], stored: list[bool]) -> list[Column]:
    """INTERSECT and EXCEPT: which rows are left says what all of their columns were compared with, but for stored ones."""
    chosen = whole(columns)
    return [
        each if any(stored[at : at + 1]) else Column(each.name, each.carried | chosen)
        for at, each in enumerate(columns)
    ]


def _bare_name(node: object) -> list[str]:
    """The name that a node is, when it is nothing else."""
    kind, fields = unwrap(node) or ("", {})
    return strings(fields.get("fields")) if kind == "ColumnRef" and not is_star(node) else []


def _meant(node: object, targets: Sequence[Fields]) -> object:
    """What ORDER BY sorts by: an output's name or its place stands for that output's expression (manual, SELECT)."""
    names, place = _bare_name(node), literal(node)
    for at, each in enumerate(targets, 1):
        target = each["ResTarget"]
        if str(at) == place or (names and [target.get("name")] == names):
            return target.get("val")
    return node


def _before(target: Table, name: str) -> Carried:
    """What a column of a table that is written to stands for by itself."""
    return whole(each for each in target.columns if each.name == name)


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
    name, fields = (unwrap(args[0]) if len(args) == 1 else None) or ("", {})
    if name == "A_ArrayExpr":
        return all((unwrap(each) or ("",))[0] == "A_Const" for each in fields.get("elements") or ())
    types = strings(fields["typeName"].get("names")) if name == "TypeCast" else []
    return types[:1] == ["pg_catalog"] or types[-1:] in (["text"], ["uuid"], ["date"], ["json"], ["jsonb"])


def _column_names(columns: list[Fields] | None) -> list[str]:
    """The names of the columns of XMLTABLE or JSON_TABLE, nested ones behind those of their level."""
    found, nested = list[str](), list[str]()
    for _, each in nodes(columns):
        if "columns" in each:
            nested += _column_names(each["columns"])
        else:
            found.append(each.get("colname") or each.get("name", ""))
    return found + nested


# Underscores are no secret inside the module: these are the methods that a node type leads to.
_QUERIES: dict[str, Callable[[Queries, Fields, Frame], list[Column]]] = {
    "SelectStmt": Queries._select,
    "InsertStmt": Queries._insert,
    "UpdateStmt": Queries._update,
    "DeleteStmt": Queries._delete,
    "MergeStmt": Queries._merge,
}
_TABLES: dict[str, Callable[[Queries, Fields, Frame], Table]] = {
    "JsonTable": Queries._built_table,
    "RangeFunction": Queries._function_table,
    "RangeSubselect": Queries._subquery,
    "RangeTableFunc": Queries._built_table,
    "RangeTableSample": Queries._sample,
    "RangeVar": Queries._table,
}
