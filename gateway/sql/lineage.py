"""Which source columns each output column of a result carries, in the order of RowDescription.

What lives here: one walk over a statement's tree with the target's catalog at hand. It answers for whole values. The rule:
every column that is written in an output's expression counts, its CASE conditions, FILTER and OVER included (a CASE can
spell a value letter by letter), and so does what a subquery in it hands out. Nothing comes from EXISTS, GROUPING(), NULL
tests of a stored column and count() of one (of what is made of it: nullif(card, '4') IS NULL). What stands outside of an
output (WHERE, ON, GROUP BY, HAVING, ORDER BY, set operations, how many rows a function gives) isn't carried: that is an
oracle. One thing flows through conditions all the same: columns that are compared with each other carry one another's
values, and a derived table (VALUES, a function, a subquery) all at once, or a join would translate a value.
In UPDATE, INSERT and MERGE with RETURNING, a column carries what is assigned to it, and so does what the target makes of it.

What can't be known is None: relations outside the catalog (temporary ones), user functions, operators and casts, SQL in
strings, columns of pg_catalog that show other people's values, texts over 8 kB. What the target itself copies from column
to column is followed as far as copies.py can read it.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.frames import (
    CLOSED,
    NOTHING,
    UNKNOWN,
    UNRESOLVED,
    Carried,
    Column,
    Frame,
    Place,
    Table,
    relation_columns,
    whole,
)
from gateway.sql.lineage_expressions import Beside, Copy
from gateway.sql.lineage_queries import Queries
from gateway.sql.parse import MAX_BYTES, tree
from gateway.sql.queries import COMMAND_TAGS, TooWideError
from gateway.sql.shape import constants, constants_are_free, moved, shape_of
from gateway.sql.tree import Fields, strings, unwrap

_VIEWS_DEEP = 16
_KEPT = 256

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

    An empty set: it carries no column. None for a column, or for the whole result: it can't be known. UNKNOWN among the
    names of a column: and what else, can't be known; HIDDEN: nor may a number of it be told.
    """
    return Lineages(catalog, search_path).of(sql, width)


class Lineages:
    """The lineage of statements under one catalog and search_path; the last few texts and all views are remembered.

    Sessions share one, so nothing that a text leaves behind may change what another is found to carry: views that were read for
    a text that couldn't be followed to its end are read again.
    """

    def __init__(self, catalog: Catalog | None, search_path: tuple[str, ...], *, doubts_settings: bool = False) -> None:
        """`doubts_settings`: a statement of the session may have put values of columns into settings."""
        self._catalog = catalog
        self._path = search_path
        self._doubts_settings = doubts_settings
        self._views: dict[int, list[Carried]] = {}
        self._known: OrderedDict[tuple[str, tuple[Carried, ...]], _Result] = OrderedDict()
        self._shapes: OrderedDict[tuple[bytes, tuple[Carried, ...]], _Result] = OrderedDict()

    def of(self, sql: str, width: int, given: tuple[Carried, ...] = ()) -> Lines | None:
        """As lineage(). `given`: what its parameters carry, nothing where that isn't said."""
        return self._result(sql, given).spread(width)

    def arguments(self, sql: str) -> tuple[Carried, ...] | None:
        """What the arguments of an EXECUTE carry, of EXPLAIN and CREATE TABLE AS too; None where they can't be followed."""
        name, fields = tree(sql) or ("", {})
        while name in ("ExplainStmt", "CreateTableAsStmt"):
            name, fields = unwrap(fields.get("query")) or ("", {})
        walk = Walk(self._catalog, self._path, self._views.copy(), doubts_settings=self._doubts_settings)
        with suppress(*_UNEXPECTED):
            return walk.each_of(fields.get("params") or ()) if name == "ExecuteStmt" else None
        return None

    def outputs(self, sql: str) -> tuple[Output, ...] | None:
        """The statement's columns without asking the target for their number; () has no result, None can't be known."""
        return self._result(sql).outputs

    def tested(self, sql: str) -> frozenset[str]:
        """The "schema.table.column" that the statement's conditions read, views followed; only those that can be known.

        UNKNOWN is among them where the text is too long or too wide to be followed.
        """
        return self._result(sql).tested

    def beside(self, sql: str, concerned: Callable[[Carried], bool] | None = None) -> Sequence[Beside]:
        """The text's constants and parameters that are compared with columns or written to them, as far as can be known.

        `concerned`: of which columns it is asked; None: of all.
        """
        result = self._result(sql)
        found = [each for each in result.beside if concerned is None or concerned(each[0])]
        if not found or result.text in ("", sql):
            return found
        before, now = _places(result.text), _places(sql)  # it was read of another text of the shape
        return [(carried, moved(offsets, before, now), numbers) for carried, offsets, numbers in found]

    def copies(self, sql: str, given: tuple[Carried, ...] = ()) -> Sequence[Copy] | None:
        """What the statement writes, where, and what that carries; None where it can't be followed. `given` as in of()."""
        return self._result(sql, given).copies

    def heirs(self, sql: str) -> Sequence[tuple[Place, Place]]:
        """The tables that the statement makes of others, as (child, parent): the rows of the one show in the other."""
        return self._result(sql).heirs

    def _result(self, sql: str, given: tuple[Carried, ...] = ()) -> "_Result":
        key = sql, given
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._of_its_shape(sql, given)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found

    def _of_its_shape(self, sql: str, given: tuple[Carried, ...]) -> "_Result":
        """What another text of its shape carries, if its constants say nothing; else what is read of it."""
        form = shape_of(sql) if len(sql) <= MAX_BYTES else None
        if form is None:
            return self._read(sql, given)
        known = self._shapes.get((form, given))
        if known is not None:
            self._shapes.move_to_end((form, given))
            return known
        found = self._read(sql, given)
        if constants_are_free(sql):
            found.text = sql
            self._shapes[form, given] = found
            if len(self._shapes) > _KEPT:
                self._shapes.popitem(last=False)
        return found

    def _read(self, sql: str, given: tuple[Carried, ...]) -> "_Result":
        node = tree(sql)
        views = self._views.copy()
        walk = Walk(self._catalog, self._path, views, doubts_settings=self._doubts_settings)
        walk.given = given
        result = None
        with suppress(*_UNEXPECTED):
            result = walk.statement(*node) if node else None
            if not walk.cut:
                self._views = views
        if result is None:
            result, walk.tested = _Result(None), walk.tested | UNRESOLVED
        else:
            walk.tested -= CLOSED
            result.copies = tuple(walk.copies)
        result.tested, result.beside = walk.tested, _gathered(walk.beside)
        return result


#: Too much to follow, and a tree that isn't expected: nothing is known.
_UNEXPECTED = (TooWideError, RecursionError, LookupError, TypeError, AttributeError, ValueError)


class _Result:
    """The columns of a statement's result. `same`: what each carries when their number isn't the expected one."""

    def __init__(self, columns: Sequence[Column] | None, same: Carried = UNRESOLVED) -> None:
        self.outputs = None if columns is None else tuple(map(_output, columns))
        self._columns = None if columns is None else [(each.name is None, each.carried) for each in columns]
        self._same = same
        self.tested: Carried = NOTHING
        self.beside: Sequence[Beside] = ()
        self.copies: Sequence[Copy] | None = None
        self.heirs: Sequence[tuple[Place, Place]] = ()
        self.text = ""  # that it was read of, where others may use it

    def made(self) -> "_Result":
        """The same without origins."""
        if self.outputs is not None:
            self.outputs = tuple(replace(each, origin=(0, 0)) for each in self.outputs)
        return self

    @property
    def carried(self) -> Carried:
        return UNRESOLVED if self._columns is None else NOTHING.union(*(each for _, each in self._columns))

    def spread(self, width: int) -> Lines | None:
        """One set a column; the place of columns of unknown number is what the others leave."""
        if self._columns is None:
            return None
        many = [at for at, (any_number, _) in enumerate(self._columns) if any_number]
        missing = width - len(self._columns) + len(many)
        if missing < 0 or len(many) > 1 or (missing and not many):
            return None if self._same == UNRESOLVED else [self._same] * width
        found: Lines = []
        for any_number, carried in self._columns:
            found += [None if carried == UNRESOLVED else carried] * (missing if any_number else 1)
        return found


def _places(text: str) -> list[int]:
    """Where its constants begin, and where it ends."""
    encoded = text.encode()
    return [*constants(encoded), len(encoded)]


def _gathered(beside: Sequence[Beside]) -> Sequence[Beside]:
    """One entry for each set of columns: hundreds of rows stand beside the same few."""
    found: dict[Carried, tuple[list[int], list[int]]] = {}
    for carried, offsets, numbers in beside:
        known = found.setdefault(carried, ([], []))
        known[0].extend(offsets)
        known[1].extend(numbers)
    return [
        (carried, tuple(dict.fromkeys(offsets)), tuple(dict.fromkeys(numbers)))
        for carried, (offsets, numbers) in found.items()
    ]


def _output(column: Column) -> Output:
    return Output(column.name, column.origin, None if UNKNOWN in column.carried else column.carried)


class Walk(Queries):
    """Follows the columns of one statement, and of the views that it names."""

    def statement(self, name: str, fields: Fields) -> _Result:
        """The result of a statement that has one."""
        if name in COMMAND_TAGS:
            columns = self.query(name, fields, Frame())
            self._make(_into(fields), columns)
            return _Result(columns)
        reader = _STATEMENTS.get(name)
        return reader(self, fields) if reader else _Result(None)

    def each_of(self, values: Sequence[Fields]) -> tuple[Carried, ...]:
        """What each of these expressions carries, which name no columns."""
        return tuple(self._of(each, Frame()) for each in values)

    # --- statements around a query ---

    def _create(self, fields: Fields) -> _Result:
        found = _Result([])
        child, *parents = (
            (each.get("schemaname") or None, each["relname"])
            for each in (fields["relation"], *(each["RangeVar"] for each in fields.get("inhRelations") or ()))
        )
        found.heirs = [(child, each) for each in parents]
        for column in (each["ColumnDef"] for each in fields.get("tableElts") or () if "ColumnDef" in each):
            if "CONSTR_DEFAULT" in (made := _made_by(column)):
                self.copies.append((*child, column["colname"], self._of(made["CONSTR_DEFAULT"], Frame())))
        return found

    def _view(self, fields: Fields) -> _Result:
        """What it was may outlive it in a materialized view that is refreshed meanwhile."""
        name, query = unwrap(fields.get("query")) or ("", {})
        if fields.get("replace"):
            self._make({"rel": fields["view"], "colNames": fields.get("aliases")}, self.query(name, query, Frame()))
        return _Result([])

    def _refresh(self, fields: Fields) -> _Result:
        """It keeps what its query gives now, whatever the views that it reads become later."""
        self._called(fields["relation"])
        return _Result([])

    def _inner(self, fields: Fields) -> _Result:
        name, query = unwrap(fields.get("query")) or ("", {})
        return self.statement(name, query)

    def _create_as(self, fields: Fields) -> _Result:
        """It has no result of its own, and gives a table one."""
        name, query = unwrap(fields.get("query")) or ("", {})
        known = name in COMMAND_TAGS
        self._make(fields["into"], self.query(name, query, Frame()) if known else [Column(None, UNRESOLVED)])
        return _Result(None)

    def _rename(self, fields: Fields) -> _Result:
        """A column, or a whole table, is called otherwise from now on: masks are by names."""
        kind = fields.get("renameType")
        if kind == "OBJECT_COLUMN" and "relation" in fields:
            self._called(fields["relation"], column=(fields["subname"], fields["newname"]))
        elif kind in ("OBJECT_TABLE", "OBJECT_INDEX"):  # ALTER INDEX takes tables too
            self._called(fields["relation"], name=fields["newname"])
        elif kind == "OBJECT_ATTRIBUTE":  # of a type, and in all tables OF that type
            self.copies.append((None, None, fields["newname"], self._all_named(fields["subname"])))
        elif kind == "OBJECT_SCHEMA":
            relations = self._catalog.relations.values() if self._catalog else ()
            self.copies += [
                (fields["newname"], each.name, column, frozenset({f"{each.schema}.{each.name}.{column}"}))
                for each in relations
                if each.schema == fields["subname"]
                for column in each.columns
            ]
        return _Result([])

    def _all_named(self, column: str) -> Carried:
        """What the columns of this name carry, whosever they are."""
        relations = self._catalog.relations.values() if self._catalog else ()
        return frozenset(f"{each.schema}.{each.name}.{column}" for each in relations if column in each.columns)

    def _alter(self, fields: Fields) -> _Result:
        """ALTER TABLE ... ALTER ... TYPE ... USING fills a column with what it says, and so does one that is generated or has a
        default, which stays when it has that no more; a child that leaves its parent takes with it what the parent's columns were."""
        for command in (each["AlterTableCmd"] for each in fields.get("cmds") or ()):
            what, name = command.get("subtype"), command.get("name", "")
            if what == "AT_DropInherit":
                self._called(fields["relation"])
            elif what == "AT_DetachPartition":
                self._called(command["def"]["PartitionCmd"]["name"])
            elif what == "AT_DropExpression":
                self._called(fields["relation"], column=(name, name))
            given = command.get("def", {})
            made = given if what == "AT_ColumnDefault" else _made_of(given.get("ColumnDef", {}))
            if made is not None:
                table = self._relation({**fields["relation"], "alias": {}}, Frame(), may_be_cte=False)
                carried = self._of(made, Frame(tables=[table], shown=table.columns))
                self.copies.append((*table.relation, name or command["def"]["ColumnDef"]["colname"], carried))
        return _Result([])

    def _move(self, fields: Fields) -> _Result:
        """ALTER TABLE ... SET SCHEMA."""
        if fields.get("objectType") == "OBJECT_TABLE":
            self._called(fields["relation"], schema=fields["newschema"])
        return _Result([])

    def _called(
        self,
        relation: Fields,
        *,
        schema: str | None = None,
        name: str | None = None,
        column: tuple[str, str] | None = None,
    ) -> None:
        """Of a table (a view is followed to its tables) the columns carry what they did before."""
        table = self._relation({**relation, "alias": {}}, Frame(), may_be_cte=False)
        known = (
            self._catalog.find(relation.get("schemaname"), relation["relname"], self._path) if self._catalog else None
        )
        if known is None or known.kind not in ("r", "p", "m"):
            return
        old, new = column or (None, None)
        for each in table.columns:
            if old is None or each.name == old:
                self.copies.append((schema or known.schema, name or known.name, new or each.name, each.carried))

    def _make(self, into: Fields | None, columns: Sequence[Column]) -> None:
        """A table is made of these columns; the names in INTO go first."""
        if not into:
            return
        relation = into["rel"]
        place = relation.get("schemaname") or None, relation["relname"]
        names = strings(into.get("colNames"))
        for at, each in enumerate(columns):
            named = names[at] if at < len(names) and None not in (each.name for each in columns[:at]) else each.name
            self.copies.append((*place, named, each.carried))

    def _explain(self, fields: Fields) -> _Result:
        """A plan shows the statement's own constants; user code may have made them of anything, and a setting its costs."""
        name, query = unwrap(fields.get("query")) or ("", {})
        if name in COMMAND_TAGS:
            self.query(name, query, Frame())
        else:
            self.statement(name, query)
        if not any(each["DefElem"]["defname"] == "analyze" for each in fields.get("options") or ()):
            self.copies.clear()  # nothing is written
        if name not in COMMAND_TAGS:
            return _Result(None)
        return _Result([Column("QUERY PLAN", UNRESOLVED if self._saw_unknown or self._doubts_settings else NOTHING)])

    def _call(self, fields: Fields) -> _Result:
        """What a procedure gives back is its own affair."""
        self._of(fields.get("funccall"), Frame())
        return _Result(None)

    def _show(self, fields: Fields) -> _Result:
        """A setting with a dot in its name holds what anybody put there; any may hold what this session has."""
        name = str(fields.get("name", ""))
        if name == "all":
            return _Result([Column("name", NOTHING), Column("setting", CLOSED), Column("description", NOTHING)])
        return _Result([Column(None, NOTHING if self._is_plain_setting(name) else CLOSED)])

    def _copy(self, fields: Fields) -> _Result:
        found = self._copied(fields)
        if "filename" in fields and not fields.get("is_from"):
            self.copies.append((None, None, None, found.carried))  # any COPY and any function may read the file
        return found

    def _copied(self, fields: Fields) -> _Result:
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

    def _generated(self, relation: Relation) -> list[Carried]:
        """What the columns of a table carry that its generated columns are made of."""
        if relation.oid not in self._views:
            columns = relation_columns(relation, None)
            frame = Frame(tables=[Table(relation.name, columns, relation.schema)], shown=columns)
            made = {name: self._of(_expression(text), frame) for name, text in relation.generated.items()}
            self._views[relation.oid] = [made.get(name, NOTHING) for name in relation.columns]
        return self._views[relation.oid]

    def behind(self, relation: Relation) -> list[Carried] | None:
        """What a view's columns carry, read from its query, and generated columns; None where there is no more to say."""
        if relation.generated:
            return self._generated(relation)
        if relation.kind not in ("v", "m") or relation.schema in ("pg_catalog", "information_schema"):
            return None
        if relation.oid not in self._views:
            unknown = [UNRESOLVED] * len(relation.columns)
            self._views[relation.oid] = unknown  # while it is read: a circle of views isn't followed
            node = tree(relation.definition, max_bytes=1 << 20) if self._depth < _VIEWS_DEEP else None
            self.cut = self.cut or self._depth >= _VIEWS_DEEP
            if node is not None:
                # pg_get_viewdef was asked with pg_catalog alone on the path: it names every other schema.
                walk = Walk(
                    self._catalog,
                    ("pg_catalog",),
                    self._views,
                    self._depth + 1,
                    doubts_settings=self._doubts_settings,
                )
                columns = walk.statement(*node).spread(len(relation.columns))
                self._count(walk._steps)
                self.cut = self.cut or walk.cut
                self._views[relation.oid] = [UNRESOLVED if each is None else each for each in columns or unknown]
        return self._views[relation.oid]


def _into(fields: Fields) -> Fields | None:
    """SELECT ... INTO; of a set operation the first part has it."""
    while "larg" in fields:
        fields = fields["larg"]
    return fields.get("intoClause")


def _made_of(column: Fields) -> object:
    """What ALTER TABLE says that a column is made of: behind USING, what it is generated by, or its default."""
    found = _made_by(column)
    return column.get("raw_default") or found.get("CONSTR_GENERATED") or found.get("CONSTR_DEFAULT")


def _made_by(column: Fields) -> dict[str, object]:
    """The expressions in a column's constraints, by their kind."""
    constraints = [each["Constraint"] for each in column.get("constraints") or ()]
    return {str(each.get("contype")): each["raw_expr"] for each in constraints if "raw_expr" in each}


def _expression(text: str) -> object:
    """The tree of an expression; a text that can't be read is a query, of which nothing is known."""
    found = tree(f"SELECT {text}", max_bytes=1 << 20)
    targets = found[1].get("targetList") if found else None
    return targets[0]["ResTarget"]["val"] if targets and len(targets) == 1 else {"SelectStmt": {}}


# Underscores are no secret inside the module: these are the methods that a node type leads to.
_STATEMENTS: dict[str, Callable[[Walk, Fields], _Result]] = {
    "CallStmt": Walk._call,
    "CopyStmt": Walk._copy,
    "CreateStmt": Walk._create,
    "CreateTableAsStmt": Walk._create_as,
    "DeclareCursorStmt": Walk._inner,
    "AlterObjectSchemaStmt": Walk._move,
    "AlterTableStmt": Walk._alter,
    "ExplainStmt": Walk._explain,
    "PrepareStmt": Walk._inner,
    "RefreshMatViewStmt": Walk._refresh,
    "RenameStmt": Walk._rename,
    "VariableShowStmt": Walk._show,
    "ViewStmt": Walk._view,
}
