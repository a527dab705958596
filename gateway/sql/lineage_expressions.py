"""What the value of an expression carries: columns, operators, functions, casts, subqueries, conditions.

What lives here: one node at a time, inside a Frame. What must not: which tables a query sees (lineage_queries.py), views and
statements (lineage.py), which says how all of it is meant.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from gateway.sql.catalog import Catalog
from gateway.sql.copies import fits
from gateway.sql.frames import (
    CLOSED,
    NOTHING,
    UNKNOWN,
    UNRESOLVED,
    Carried,
    Column,
    Frame,
    Table,
    columns_named,
    is_system,
    table_named,
    whole,
)
from gateway.sql.functions import SAFE, special_class
from gateway.sql.queries import COMMAND_TAGS, GRAMMAR_FUNCTIONS, JSON_FUNCTIONS, NODES, TooWideError
from gateway.sql.scope import is_star
from gateway.sql.settings import holds_any_value
from gateway.sql.statement import StatementClass
from gateway.sql.tree import Fields, children, constants, literal, nodes, strings, unwrap, words

# PostgreSQL's own functions that show what others run; the rest of them is on the special list of functions.py.
_TELLING = words(
    "pg_cursor pg_get_backend_memory_contexts pg_listening_channels pg_prepared_statement pg_stat_get_activity "
    "pg_stat_get_backend_activity"
)
# They tell of settings, as far as those can hold any value: a time zone's name may be made of one.
_OF_SETTINGS = words("pg_show_all_settings timeofday")
_HARMLESS_CLASSES = (StatementClass.HOUSEKEEPING, StatementClass.SESSION, StatementClass.WRITE)

#: What columns carry, the byte offsets of the constants and the numbers of the parameters that stand beside them.
Beside = tuple[Carried, tuple[int, ...], tuple[int, ...]]
#: Where a value is written to (schema, relation, column; None: any) and what it carries.
Copy = tuple[str | None, str | None, str | None, Carried]
#: Functions that put an argument where everybody can read it.
_SHOWN_BY: dict[str, tuple[tuple[str | None, str | None, str | None], ...]] = {
    "setval": ((None, None, None),),  # whatever takes its default from the sequence
    "setseed": (("pg_catalog", "random", "value"),),  # no table: what random() gives is told by its seed
    **{
        f"pg_{each}": (("pg_catalog", "pg_locks", "classid"), ("pg_catalog", "pg_locks", "objid"))
        for each in words(
            "advisory_lock advisory_lock_shared advisory_xact_lock advisory_xact_lock_shared try_advisory_lock "
            "try_advisory_lock_shared try_advisory_xact_lock try_advisory_xact_lock_shared"
        )
    },
}
#: Functions that tell where a sequence stands, or of locks: as if they read these columns.
_AS_IF_READ = {
    **dict.fromkeys(
        ("currval", "lastval", "nextval", "pg_get_sequence_data", "pg_sequence_last_value"),
        frozenset({"pg_catalog.pg_sequence.last_value"}),
    ),
    **dict.fromkeys(words("random random_normal array_sample array_shuffle"), frozenset({"pg_catalog.random.value"})),
    **dict.fromkeys(
        words("col_description obj_description shobj_description"),
        frozenset({"pg_catalog.pg_description.description"}),
    ),
    **dict.fromkeys(
        words(
            "pg_get_constraintdef pg_get_expr pg_get_functiondef pg_get_indexdef pg_get_partition_constraintdef pg_get_ruledef "
            "pg_get_triggerdef pg_get_viewdef"
        ),
        frozenset({"pg_catalog.pg_attrdef.adbin"}),
    ),
    "pg_get_replication_slots": frozenset({"pg_catalog.pg_replication_slots.slot_name"}),
    "pg_show_replication_origin_status": frozenset({"pg_catalog.pg_replication_origin.roname"}),
    "pg_lock_status": frozenset({"pg_catalog.pg_locks.classid", "pg_catalog.pg_locks.objid"}),
}
#: Classes of PostgreSQL's own functions that leave something behind where others can find it: names of slots, statistics,
#: large objects; but for those whose traces are known or masked anyway.
_LEAVING = (StatementClass.WRITE, StatementClass.SESSION, StatementClass.ADMIN)
_TRACED = _SHOWN_BY.keys() | words("nextval pg_notify")
#: They move the place in a large object where the next lowrite() puts its byte: pg_largeobject.pageno tells of it.
_MOVING = words("lo_lseek lo_lseek64 loread")
_MAX_STEPS = 50_000  # columns and names looked at; 8 kB of text can ask for millions
#: Set-returning functions of PostgreSQL's own that make rows of their arguments (pg_proc.dat).
MAKES_ROWS = words(
    "generate_series generate_subscripts unnest regexp_matches regexp_split_to_table string_to_table ts_parse ts_stat "
    "json_array_elements json_array_elements_text json_each json_each_text json_object_keys json_populate_recordset "
    "json_to_recordset jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys "
    "jsonb_path_query jsonb_path_query_tz jsonb_populate_recordset jsonb_to_recordset aclexplode pg_options_to_table"
)
#: What takes numbers, dates and the like only, or gives back what it takes.
_ARITHMETIC = frozenset("+-*/%^")
_OF_NUMBERS = words(
    "abs avg ceil ceiling coalesce div floor greatest least max min mod power round sign sqrt sum trunc"
)
_AROUND = ("agg_filter", "over")  # of a call: they tell of columns even where the arguments don't count


class Expressions(ABC):
    """Follows the columns of one statement. Raise TooWideError, or RecursionError when it is nested too deep."""

    def __init__(
        self,
        catalog: Catalog | None,
        path: tuple[str, ...],
        views: dict[int, list[Carried]],
        depth: int = 0,
        *,
        doubts_settings: bool = False,
    ) -> None:
        self._catalog = catalog
        self._path = path
        self._views = views
        self._depth = depth
        self._doubts_settings = doubts_settings
        self._steps = 0
        self._touched: list[Column] = []
        self._saw_unknown = False
        self.cut = False  # views behind views were too deep to be followed
        self.given: tuple[Carried, ...] = ()  # what the statement's parameters carry
        self.tested: Carried = NOTHING  # what conditions read, grouping and sorting included
        self.beside: list[Beside] = []  # constants and parameters, each with what stands beside them
        self.copies: list[Copy] = []

    @abstractmethod
    def query(self, name: str, fields: Fields, frame: Frame) -> list[Column]:
        """The output columns of a query inside `frame`."""

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
            carried = self._together(node, frame)
            self.tested |= carried
            self._stand_beside(node, carried)
            self._touched = outside

    def _together(self, node: object, frame: Frame) -> Carried:
        """What an expression carries that chooses rows: its columns tell of each other, those inside its subqueries too."""
        before = len(self._touched)
        carried = self._of(node, frame)
        touched = self._touched[before:]
        self._count(len(touched))
        frame.link(touched, carried)
        return carried

    def _mixed(self, touched: list[Column], carried: Carried, frame: Frame) -> list[Column]:
        """Of the columns that a row maker is made of, those that are seen here; none where one table accounts for all of it:
        to_jsonb(c) says nothing new of the other columns of c."""
        wanted, found, mixed = {id(each) for each in touched}, list[Column](), False
        for table in (table for level in frame.levels() for table in level.tables if wanted):
            self._count(len(table.columns) // 8)
            own = [each for each in table.columns if id(each) in wanted]
            mixed = mixed or (bool(own) and not carried - CLOSED <= whole(table.columns))
            found += own
        return found if mixed else []

    def _stand_beside(self, node: object, carried: Carried) -> None:
        """Note the constants and parameters that are compared with, or written to, columns of which `carried` tells."""
        if carried:
            offsets, numbers = constants(node)
            self._count(len(offsets) + len(numbers))
            if offsets or numbers:
                self.beside.append((carried, offsets, numbers))

    # --- expressions ---

    def _of(self, node: object, frame: Frame) -> Carried:
        """What the value of an expression, or of a list of them, carries."""
        found = NOTHING
        for name, fields in nodes(node):
            if name != "A_Const":  # a text may hold thousands
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
            return _made(self._children(fields, frame)) | self._unless(self._is_known(None, function))
        return self._children(fields, frame) | self._unless(name in NODES)

    def _children(self, fields: Fields, frame: Frame) -> Carried:
        found = NOTHING
        for name, inner in children(fields):
            if name != "A_Const":
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
        carried = self._children(fields, frame)
        self._stand_beside(fields, carried)
        return (carried if names[-1] in _ARITHMETIC else _made(carried)) | self._unless(known)

    def _on_parameter(self, fields: Fields, _frame: Frame) -> Carried:
        at = fields.get("number", 0)
        carried = self.given[at - 1] if 0 < at <= len(self.given) else NOTHING
        self._saw_unknown |= bool(carried)
        return carried

    def _on_cast(self, fields: Fields, frame: Frame) -> Carried:
        return _made(self._of(fields.get("arg"), frame)) | self._children(_fields_of(fields, ("typeName",)), frame)

    def _on_case(self, fields: Fields, frame: Frame) -> Carried:
        carried = self._children(fields, frame)
        return _made(carried) if "arg" in fields else carried

    def _on_sublink(self, fields: Fields, frame: Frame) -> Carried:
        if fields.get("subLinkType") == "EXISTS_SUBLINK":
            self._subselect(fields, frame)  # for the conditions inside
            return NOTHING
        return self._of(fields.get("testexpr"), frame) | self._subselect(fields, frame)

    def _subselect(self, fields: Fields, frame: Frame) -> Carried:
        name, query = unwrap(fields["subselect"]) or ("", {})
        return whole(self.query(name, query, frame))

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
            return self._counted(fields, frame) | self._children(_fields_of(fields, _AROUND), frame)
        if known and bare == "current_setting":
            setting = literal((fields.get("args") or [None])[0])
            known = setting is not None and self._is_plain_setting(setting)
        if known and bare == "to_char" and self._doubts_settings:
            pattern = literal((fields.get("args") or [None])[-1])
            known = pattern is not None and "tz" not in pattern.lower()
        before = len(self._touched)
        carried = self._children(_fields_of(fields, ("args", "agg_order", *_AROUND)), frame)
        if known and bare not in _OF_NUMBERS:
            carried = _made(carried)
        if carried and (bare in _MOVING or (special_class(bare) in _LEAVING and bare not in _TRACED)):
            self.copies.append((None, None, None, carried))
        self._spread(bare, carried)
        carried |= self._unless(known)
        if not known and (bare == "current_setting" or special_class(bare) is StatementClass.OPAQUE):
            carried |= CLOSED  # SQL in a string can make a number of anything
        if known:
            carried |= _AS_IF_READ.get(bare, NOTHING)
            self.copies += [(*place, carried) for place in _SHOWN_BY.get(bare, ()) if carried]
        if bare in MAKES_ROWS:
            self.tested |= carried  # how many rows it gives says what its arguments are
            # None at all, and the others don't show either.
            frame.link(self._mixed(self._touched[before:], carried, frame), carried)
        return carried

    def _spread(self, bare: str, given: Carried) -> None:
        """A function of the user's may write what it is given wherever it writes."""
        code = self._catalog.function_writes.get(bare) if self._catalog else None
        if not code or not given or self._catalog is None:
            return
        relations = self._catalog.relations
        kinds = {
            relations[place[0], place[1]].types.get(place[2], "")
            for place in (tuple(each.split(".", 2)) for each in given - CLOSED)
            if len(place) == 3 and place[:2] in relations
        }
        self.copies += [(None, name, None, given) for name in code.creates]
        self.copies += [
            (*key, column, given)
            for key in code.to
            for column in relations[key].columns
            if UNKNOWN in given or fits(relations[key].types.get(column, ""), kinds)
        ]

    def _counted(self, fields: Fields, frame: Frame) -> Carried:
        """How many values there are, or different ones: of a stored column that tells of none of them."""
        args = fields.get("args") or ()
        stored = all(is_stored(each, frame) for each in args)
        distinct = "agg_distinct" in fields
        carried = NOTHING if stored and not distinct else self._of(args, frame)
        self.tested |= carried if distinct else NOTHING
        return NOTHING if stored else carried

    def _on_null_test(self, fields: Fields, frame: Frame) -> Carried:
        """Whether a stored column has a value tells nothing of it; of what is made of one, it may: nullif(card, '4')."""
        arg = fields.get("arg")
        return NOTHING if is_stored(arg, frame) else self._of(arg, frame)

    def _is_plain_setting(self, name: str) -> bool:
        """Is what this setting holds surely no column's value?"""
        if self._doubts_settings and holds_any_value(name):
            return False
        return "." not in name and name.lower() != "application_name"

    def _is_known(self, schema: str | None, bare: str) -> bool:
        """Whether a function is PostgreSQL's own and makes its result of its arguments alone."""
        catalog = self._catalog
        if schema == "information_schema" and bare.startswith("_pg_"):
            return True
        if schema not in (None, "pg_catalog") or bare in _TELLING or (self._doubts_settings and bare in _OF_SETTINGS):
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
        carried = frame.windows.get(fields.get("refname", ""), NOTHING)
        for each in (*(fields.get("partitionClause") or ()), *(fields.get("orderClause") or ())):
            stored = is_stored(each.get("SortBy", {}).get("node", each), frame)
            # Rows come out in the order of a window, as by ORDER BY: what is compared with columns tells of them.
            carried |= self._of(each, frame) if stored else self._together(each, frame)
        return carried | self._children(_fields_of(fields, ("startOffset", "endOffset")), frame)

    def _on_window(self, fields: Fields, frame: Frame) -> Carried:
        return self._window(fields, frame) | frame.windows.get(fields.get("name", ""), NOTHING)

    def _row(self, node: object, frame: Frame) -> Table | None:
        """The table when an expression is its whole row: `c` where no column has that name."""
        name, fields = unwrap(node) or ("", {})
        names = strings(fields.get("fields")) if name == "ColumnRef" and not is_star(node) else []
        if len(names) != 1 or any(each.name is not None for each in columns_named(names[0], frame) or ()):
            return None
        return table_named(names, frame)


def origin(value: object, frame: Frame) -> tuple[int, int]:
    """The column that an output is, when it is nothing but that column's name."""
    columns = _named(value, frame)
    return columns[0].origin if len(columns) == 1 else (0, 0)


def is_stored(value: object, frame: Frame) -> bool:
    """Is it nothing but the name of a relation's column, or of what nothing is known of?"""
    columns = _named(value, frame)
    return bool(columns) and all(
        not each.written and (each.origin != (0, 0) or each.carried <= UNRESOLVED) for each in columns
    )


def _named(value: object, frame: Frame) -> list[Column]:
    kind, fields = unwrap(value) or ("", {})
    names = strings(fields.get("fields")) if kind == "ColumnRef" and not is_star(value) else []
    if len(names) < 2:
        return list(columns_named(names[0], frame) or ()) if names else []
    table = table_named(names[:-1], frame)
    return [each for each in table.columns if each.name == names[-1]] if table else []


def _made(carried: Carried) -> Carried:
    """What is made of this by PostgreSQL's own code: of a text that nobody knows it may be the letters, as numbers."""
    return carried | CLOSED if UNKNOWN in carried else carried


def _fields_of(fields: Fields, names: tuple[str, ...]) -> Fields:
    return {name: fields[name] for name in names if name in fields}


def _nothing(_walk: Expressions, _fields: Fields, _frame: Frame) -> Carried:
    return NOTHING


# Underscores are no secret inside the module: these are the methods that a node type leads to.
_ON: dict[str, Callable[[Expressions, Fields, Frame], Carried]] = {
    "A_Const": _nothing,
    "A_Expr": Expressions._on_operator,
    "A_Indirection": Expressions._on_indirection,
    "CaseExpr": Expressions._on_case,
    "ColumnRef": Expressions._on_column,
    "FuncCall": Expressions._on_function,
    "GroupingFunc": _nothing,
    "JsonArrayQueryConstructor": Expressions._on_array_query,
    "NullTest": Expressions._on_null_test,
    "ParamRef": Expressions._on_parameter,
    "ResTarget": Expressions._children,
    "SubLink": Expressions._on_sublink,
    "TypeCast": Expressions._on_cast,
    "TypeName": Expressions._on_type,
    "WindowDef": Expressions._on_window,
    **dict.fromkeys(COMMAND_TAGS, Expressions._on_query),
}
