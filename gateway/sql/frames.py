"""What an expression sees when a catalog is at hand: tables with their columns in order, and the source columns behind each.

What lives here: values and name lookup for lineage.py. Unlike scope.py, which works without a catalog and reports every
relation that a name may belong to, this one knows which columns a relation has, and in which order. What must not: trees.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.sql.catalog import Relation
from gateway.sql.scope import NO_NAME
from gateway.sql.tree import Fields, words

#: (schema, name) of a relation as far as it is known; a schema that isn't written, of a relation that no catalog has, is None.
Place = tuple[str | None, str]
Carried = frozenset[
    str
]  # "schema.table.column" of each source column; UNKNOWN among them = and what else, nobody knows
UNKNOWN = "?"
NOTHING: Carried = frozenset()
UNRESOLVED: Carried = frozenset({UNKNOWN})
HIDDEN = "!"  # beside UNKNOWN: even a number may be made of a text that nobody knows, as by ascii(substr(f(), 1, 1))
CLOSED: Carried = frozenset({UNKNOWN, HIDDEN})

_OWN = ("pg_catalog", "information_schema")
# Columns of PostgreSQL's own relations that show values of other tables, other people's statements, or secrets.
_STATISTICS = words(
    "most_common_vals histogram_bounds most_common_elems range_bounds_histogram range_length_histogram elem_count_histogram"
)
_REVEALING = {
    "_pg_user_mappings": words("umoptions"),
    "pg_attribute": words("attmissingval"),
    "pg_authid": words("rolpassword"),
    "pg_backend_memory_contexts": words("ident"),
    "pg_cursors": words("statement"),
    "pg_db_role_setting": words("setconfig"),
    "pg_foreign_server": words("srvoptions"),
    "pg_largeobject": words("data"),
    "pg_prepared_statements": words("statement"),
    "pg_roles": words("rolconfig"),
    "pg_shadow": words("passwd useconfig"),
    "pg_stat_activity": words("application_name query"),
    "pg_statistic": words("stavalues1 stavalues2 stavalues3 stavalues4 stavalues5"),
    "pg_statistic_ext_data": words("stxdmcv stxdexpr"),
    "pg_stats": _STATISTICS,
    "pg_stats_ext": words("most_common_vals"),
    "pg_stats_ext_exprs": _STATISTICS,
    "pg_subscription": words("subconninfo"),
    "pg_user": words("useconfig"),
    "pg_user_mapping": words("umoptions"),
    "pg_user_mappings": words("umoptions"),
    "user_mapping_options": words("option_value"),
}
#: Likewise in a session whose settings may hold values.
_OF_SETTINGS = {"pg_settings": words("setting reset_val")}
_SYSTEM_COLUMNS = words("tableoid ctid xmin xmax cmin cmax")


@dataclass(slots=True, eq=False)
class Column:
    """One column of a table or a result. `name` None stands for any number of columns whose names aren't known.

    `kin`: the columns that were derived beside it (VALUES, a function), and those that they are made of: who links one of
    them to a value tells the others.
    `origin`: OID and attnum of the relation's column that it is, untouched, as in RowDescription; zeros for what is made.
    `written`: the statement itself puts what other columns carry there, so that it has a value may tell of them.
    """

    name: str | None
    carried: Carried
    kin: list["Column"] = field(default_factory=list)
    origin: tuple[int, int] = (0, 0)
    written: bool = False


@dataclass(slots=True, eq=False)
class Table:
    """What a qualifier can mean: a relation, or something derived. `schema` is "" unless it may be written in front.

    `filled`: the columns that the target itself fills when a row is written: `generated` ones, and those that triggers set.
    """

    name: str
    columns: list[Column]
    schema: str = ""
    filled: list[Column] = field(default_factory=list)
    generated: list[Column] = field(default_factory=list)
    relation: Place = (None, "")  # of what may be written to


@dataclass(slots=True, eq=False)
class Frame:
    """What one query sees; `parent` is the query around it. `shown`: what `*` stands for, in order."""

    parent: "Frame | None" = None
    tables: list[Table] = field(default_factory=list)
    shown: list[Column] = field(default_factory=list)
    ctes: dict[str, list[Column]] = field(default_factory=dict)
    windows: dict[str, Carried] = field(default_factory=dict)
    links: list[tuple[list[Column], Carried]] = field(default_factory=list)
    pending: dict[str, Fields] = field(default_factory=dict)  # CTEs of WITH RECURSIVE that nobody has named yet

    def link(self, columns: list[Column], carried: Carried) -> None:
        """Note that a condition compares these columns: what one carries tells of the others, and so does `carried`."""
        if len(columns) > 1 or any(each.kin or not carried <= each.carried for each in columns):
            self.links.append((columns, carried))

    def settle(self) -> None:
        """Give what is linked to all that is linked with it.

        A value flows between a link and its columns, and from the link to their kin. The kin are a node of their own: else
        6 kB of compared VALUES took more than a second.
        """
        carried: dict[int, set[str]] = {}
        flows: defaultdict[int, set[int]] = defaultdict(set)
        columns: dict[int, Column] = {}
        for at, (linked, told) in enumerate(self.links):
            link = -1 - at  # compiled, a tuple has no id of its own (gateway/compiled.py)
            carried[link] = set(told - CLOSED)
            for column in linked:
                columns[id(column)] = column
                flows[link].add(id(column))
                flows[id(column)].add(link)
                if column.kin:
                    flows[link].add(id(column.kin))
                    carried[id(column.kin)] = set()
                    flows[id(column.kin)].update(map(id, column.kin))
                    columns.update((id(each), each) for each in column.kin)
        carried |= {node: set(column.carried - CLOSED) for node, column in columns.items()}
        _flow(carried, flows)
        for node, column in columns.items():
            column.carried |= carried[node]

    def levels(self) -> Iterable["Frame"]:
        """This frame, then the one around it, and so on."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent


def _flow(carried: dict[int, set[str]], flows: Mapping[int, set[int]]) -> None:
    """Let every node have what those carry that flow into it."""
    todo = {node for node, values in carried.items() if values}
    while todo:
        told: set[int] = set()
        for node in todo:
            for behind in flows.get(node, ()):
                if not carried[node] <= carried[behind]:
                    carried[behind] |= carried[node]
                    told.add(behind)
        todo = told


def whole(columns: Iterable[Column]) -> Carried:
    """All that these columns carry."""
    return NOTHING.union(*(each.carried for each in columns))


def copied(columns: Iterable[Column], names: list[str] | None = None) -> list[Column]:
    """Columns of their own, renamed by position. Behind a column that stands for many, positions aren't known."""
    found = [Column(each.name, each.carried, origin=each.origin) for each in columns]
    for at, name in enumerate(names or ()):
        if at >= len(found):
            break
        if found[at].name is None:
            rest = whole(found[at:])
            return [*found[:at], *(Column(each, rest) for each in (names or ())[at:]), Column(None, rest)]
        found[at].name = name
    return found


def renamed(columns: list[Column], names: list[str]) -> list[Column]:
    """The same columns under other names, by position: what is found out about one later holds for it."""
    for each, name in zip(columns, names, strict=False):
        each.name = name
    return columns


def derived(name: str, columns: list[Column]) -> Table:
    """A table that has no rows of its own: its columns are kin."""
    for each in columns:
        each.kin = columns
    return Table(name, columns)


def united(left: list[Column], right: list[Column]) -> list[Column]:
    """The columns of a set operation: the left names, what both sides carry, by position where it is known."""
    counted = all(each.name is not None for each in (*left, *right))
    if counted and len(left) == len(right):
        return [Column(a.name, a.carried | b.carried) for a, b in zip(left, right, strict=True)]
    if all(each.name is not None for each in left):
        return [Column(each.name, each.carried | whole(right)) for each in left]
    return [Column(None, whole(left) | whole(right))]


def joined(
    left: list[Column], right: list[Column], using: list[str], *, natural: bool
) -> tuple[list[Column], list[tuple[Column, list[Column]]]]:
    """What `*` stands for over a join: merged columns first (JOIN USING, NATURAL), then the rest of both sides. And each
    merged column with those that it may be of.

    A text of 8 kB can join hundreds of tables: each column is looked at once a join.
    """
    sides: dict[str | None, list[Column]] = {}
    for each in (*left, *right):
        sides.setdefault(each.name, []).append(each)
    unnamed = sides.get(None, [])
    if natural and unnamed:
        both = [*left, *right]
        merged = Column(None, whole(both))
        return [merged], [(merged, both)]
    if natural:
        others = {each.name for each in right}
        using = [each.name for each in left if each.name in others and each.name]
    pairs = [(Column(name, whole(same)), same) for name in using for same in ([*sides.get(name, ()), *unnamed],)]
    taken = set(using)
    return [each for each, _ in pairs] + [each for each in (*left, *right) if each.name not in taken], pairs


def relation_columns(
    relation: Relation, behind: list[Carried] | None, *, doubts_settings: bool = False
) -> list[Column]:
    """The columns of a relation, in order; a partition's are its parents' too. `behind`: what a view's carry besides."""
    known = _REVEALING | _OF_SETTINGS if doubts_settings else _REVEALING
    hidden = known.get(relation.name, frozenset()) if relation.schema in _OWN else frozenset()
    owners = [f"{schema}.{table}." for schema, table in ((relation.schema, relation.name), *relation.parents)]
    found = []
    for at, (name, number) in enumerate(relation.columns.items()):
        carried = frozenset([owner + name for owner in owners])
        if name in relation.fed:
            carried |= relation.fed[name]
        if name in hidden:
            carried |= CLOSED
        found.append(Column(name, carried | behind[at] if behind else carried, origin=(relation.oid, number)))
    return found


def generated_columns(relation: Relation, columns: list[Column]) -> list[Column]:
    """Those of a relation's columns that are generated; `columns` are all of them, in order."""
    if not relation.generated:
        return []
    return [each for each, name in zip(columns, relation.columns, strict=True) if name in relation.generated]


def filled_columns(relation: Relation, columns: list[Column]) -> list[Column]:
    """Those that triggers set when a row is written."""
    if not relation.fed:
        return []
    own = f"{relation.schema}.{relation.name}."
    by_code = {name for name, sources in relation.fed.items() if any(each.startswith(own) for each in sources)}
    return [each for each, name in zip(columns, relation.columns, strict=True) if name in by_code]


def columns_named(name: str, frame: Frame) -> list[Column] | None:
    """The columns that a bare name means: those of the innermost query that has it; None when no query has it.

    A column that has no known name may be meant too, as long as no column is found that has this one.
    """
    maybe: list[Column] = []
    for level in frame.levels():
        every = [each for table in level.tables for each in table.columns]
        found = [each for each in every if each.name == name]
        if found:
            return found + maybe
        maybe += [each for each in every if each.name in (None, NO_NAME)]
    return maybe or None


def table_named(names: list[str], frame: Frame) -> Table | None:
    """The table that a qualifier means: an alias or a relation's name, with its schema or without."""
    for level in frame.levels():
        for table in level.tables:
            if table.name == names[-1] and (len(names) == 1 or table.schema == names[-2]):
                return table
    return None


def is_system(name: str) -> bool:
    """Whether a table has this column without saying so. They tell where a row is, never what is in it."""
    return name in _SYSTEM_COLUMNS
