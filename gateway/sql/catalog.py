"""Facts of a target's catalog as values. Loading them is I/O and lives in gateway.relay.side.

One Catalog is a snapshot: it never changes; a new one has another `version`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Relation:
    """One pg_class row. `kind` is relkind: r p v m f S t; `columns` is attname -> attnum in order.

    `calls_user_code`: a view or rule over it reaches a function outside pg_catalog.
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: Mapping[str, int]
    types: Mapping[str, str] = field(default_factory=dict)
    calls_user_code: bool = False
    reltuples: float = -1.0
    view_sources: tuple[tuple[str, tuple[str, ...]], ...] = ()  # view column -> "schema.table.column" it reads
    triggers: tuple[str, ...] = ()
    cascades_to: tuple[str, ...] = ()  # tables whose ON DELETE CASCADE points here
    parents: tuple[tuple[str, str], ...] = ()  # (schema, name) of all that it inherits from or is a partition of
    definition: str = ""  # a view's query, outside pg_catalog and information_schema


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a name means on one target.

    `safe_functions`: built-in names with no overload outside pg_catalog and no volatile overload but those on the
    written list; calling them reads only. `user_functions`: names with any overload outside pg_catalog.
    `contained_functions`: those of them that only read inside a read-only transaction (gateway.sql.contained);
    `writing_functions`: those of these that want to write, which the server then refuses.
    `user_operators`, `user_types`: likewise; `user_type_oids`: those types by OID, as Parse gives them.
    `builtin_functions`: every function name in pg_catalog; with it a name that exists nowhere can be told apart (empty: it can't).
    `schemas`: those that exist and that the gateway's login may use; others on a search_path don't count (empty: not known).
    """

    version: int
    server_version_num: int
    relations: Mapping[tuple[str, str], Relation]
    safe_functions: frozenset[str]
    user_functions: frozenset[str]
    user_operators: frozenset[str] = frozenset()
    user_types: frozenset[str] = frozenset()
    user_type_oids: frozenset[int] = frozenset()
    builtin_functions: frozenset[str] = frozenset()
    schemas: frozenset[str] = frozenset()
    contained_functions: frozenset[str] = frozenset()
    writing_functions: frozenset[str] = frozenset()
    #: OID -> (schema, table, {attnum: column}). Made once a snapshot, which all sessions share: each result asks for it.
    tables: Mapping[int, tuple[str, str, Mapping[int, str]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tables = {
            each.oid: (each.schema, each.name, {number: name for name, number in each.columns.items()})
            for each in self.relations.values()
        }
        object.__setattr__(self, "tables", tables)

    def creates_in(self, search_path: tuple[str, ...]) -> str:
        """The schema of a new relation without one: the first on the path that there is ("$user" often isn't)."""
        there = (each for each in search_path if each in self.schemas or each.startswith("pg_temp"))
        return next(there, search_path[0] if search_path else "public")

    def find(self, schema: str | None, name: str, search_path: tuple[str, ...]) -> Relation | None:
        """Resolve a relation name as PostgreSQL does: the first schema of `search_path` that has it (pg_catalog first,
        unless the path itself says where it comes). A schema that the login may not use is passed over."""
        if schema:
            return self.relations.get((schema, name))
        for each in search_path if "pg_catalog" in search_path else ("pg_catalog", *search_path):
            found = self.relations.get((each, name))
            if found is not None and (each in self.schemas or not self.schemas):
                return found
        return None
