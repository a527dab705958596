"""What the names of a statement mean on one target: relations get their schema, and what isn't provably harmless is opaque.

What lives here: a pure function from a Script and a Catalog to a Script. With a catalog, a function, operator, type or
relation passes when the catalog says that it reads only (enforcement.md, decisions 2 and 3). Without one (offline), only
the names on our own lists do. A name that the catalog doesn't have stays as it is: the target refuses it itself;
`unresolved` says so. READ stays beside OPAQUE: a rule about reading a table holds for what can't be seen through too.

DDL that only names functions (CREATE VIEW, DEFAULT ...) doesn't become opaque: it is held for what it is.
"""

from collections.abc import Iterable
from dataclasses import replace

from gateway.sql.behind import with_behind
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.functions import SAFE, SAFE_TYPES, special_class
from gateway.sql.queries import GRAMMAR_FUNCTIONS
from gateway.sql.statement import ColumnUse, NameUse, Script, Statement, StatementClass
from gateway.sql.tree import UNQUALIFIED, dotted, parts, spelled

# All but DDL alone. `SELECT pg_advisory_unlock(1 @@ 2)` is housekeeping by what it calls; the operator may be anything.
_RUNS = frozenset(StatementClass) - {StatementClass.DDL}
# They make a row of the type that their first argument has, named or not.
_POPULATE = frozenset(
    {"json_populate_record", "jsonb_populate_record", "json_populate_recordset", "jsonb_populate_recordset"}
)


def resolve(script: Script, catalog: Catalog | None, search_path: tuple[str, ...]) -> Script:
    """Judge every statement's names by the target's `catalog`; `search_path` is the effective one, without "$user"."""
    return replace(
        script, statements=tuple(resolve_statement(each, catalog, search_path) for each in script.statements)
    )


def resolve_statement(statement: Statement, catalog: Catalog | None, search_path: tuple[str, ...]) -> Statement:
    """The same for one statement, and for the body behind its name (PREPARE, DECLARE)."""
    names = statement.names
    if names is not None and names.body is not None:
        names = replace(names, body=resolve_statement(names.body, catalog, search_path))
    if catalog is None:
        problems = _offline(statement)
        return replace(_with_problems(statement, problems), names=names)
    lookup = _Lookup(catalog, search_path, statement)
    problems = lookup.problems()
    if names is not None and names.body is not None and names.verb == "PREPARE":
        problems += _Lookup(catalog, search_path, names.body).types()
    return with_behind(_with_problems(lookup.meant(names), problems), catalog)


def _with_problems(statement: Statement, problems: Iterable[str]) -> Statement:
    if not statement.classes & _RUNS:
        return statement
    reasons = [*([statement.reason] if statement.reason else []), *dict.fromkeys(problems)]
    if not reasons:
        return statement
    return replace(statement, classes=statement.classes | {StatementClass.OPAQUE}, reason="; ".join(reasons))


def _offline(statement: Statement) -> list[str]:
    """What our own lists don't know to be harmless."""
    found = []
    for name in statement.functions:
        schema, bare = _schema_and_name(name)
        if schema not in (None, "pg_catalog") or not (_judged(bare) or bare in SAFE):
            found.append(f"{name}() isn't known to be harmless without the target's catalog")
    for name in statement.written.types:
        schema, bare = _schema_and_name(name)
        if schema != "pg_catalog" and not (schema is None and bare in SAFE_TYPES):
            found.append(f"the type {name} isn't known to be harmless without the target's catalog")
    found += [f"the operator {name} may be user code" for name in statement.written.operators if _foreign_schema(name)]
    return found


def _judged(bare: str) -> bool:
    """Whether read() gave this call its class already, or the grammar itself is what calls it."""
    return bare == "set_config" or special_class(bare) is not None or bare in GRAMMAR_FUNCTIONS


def _schema_and_name(name: str) -> tuple[str | None, str]:
    found = parts(name)
    return (found[-2] if len(found) > 1 else None), found[-1]


def _foreign_schema(name: str) -> bool:
    """Whether an operator is written OPERATOR(schema.op) with a schema other than pg_catalog."""
    schema, _, _ = name.rpartition(".")
    return schema not in ("", "pg_catalog")


class _Lookup:
    __slots__ = ("catalog", "found", "path", "statement")

    def __init__(self, catalog: Catalog, path: tuple[str, ...], statement: Statement) -> None:
        self.catalog = catalog
        self.path = path
        self.statement = statement
        self.found: dict[str, Relation | None] = {}  # by key: each is asked for many times

    # --- names as they are on the target ---

    def meant(self, names: NameUse | None) -> Statement:
        """The statement with the names that its own stand for; `names` is what its body means."""
        written = self.statement.written
        return replace(
            self.statement,
            names=names,
            unresolved=self.unresolved(),
            guarded=self.guarded(),
            reads=tuple(dict.fromkeys(map(self._name, written.reads))) if written.reads else self.statement.reads,
            writes=tuple(dict.fromkeys(map(self._name, written.writes))) if written.writes else self.statement.writes,
            columns=self._columns(written.columns),
            protected_predicates=self._columns(written.predicates),
        )

    def unresolved(self) -> tuple[str, ...]:
        written = self.statement.written
        keys = written.reads if self._creates() else written.reads + written.writes
        missing = [self._name(key) for key in keys if not key.endswith(".*") and self._find(key) is None]
        missing += [name for name in self.statement.functions if self._is_nowhere(name)]
        return tuple(dict.fromkeys(missing))

    def _creates(self) -> bool:
        return StatementClass.DDL in self.statement.classes

    def _find(self, key: str) -> Relation | None:
        if key not in self.found:
            schema, name = _relation_parts(key)
            self.found[key] = self.catalog.find(schema, name, self.path)
        return self.found[key]

    def _name(self, key: str) -> str:
        if key.endswith(".*"):
            return key
        found = self._find(key)
        if found is not None:
            return dotted([found.schema, found.name])
        schema, name = _relation_parts(key)
        if schema is None and self._creates():
            schema = self.catalog.creates_in(self.path)
        return dotted([schema or "public", name])

    def _columns(self, uses: tuple[ColumnUse, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for use in uses for name in self._column(use)))

    def _column(self, use: ColumnUse) -> list[str]:
        """The columns that a use can mean: those of the innermost level that has it."""
        found: list[str] = []
        for level in use.levels:
            certain = False
            for key in level:
                relation = self._find(key)
                if relation is None:
                    found.append(f"{self._name(key)}.{spelled(use.column)}")
                elif use.column in relation.columns:
                    found += _columns_of(relation, [use.column])
                    certain = True
                elif use.column == "*" or use.qualified:  # `c.row_to_json` reads the whole row
                    found += _columns_of(relation, relation.columns)
                    certain = True
            if certain:
                break
        return found

    # --- what isn't provably harmless ---

    def problems(self) -> list[str]:
        written = self.statement.written
        found = [text for name in self.statement.functions if (text := self._function(name))]
        found += [f"the operator {op} may be user code" for op in written.operators if self._is_user_operator(op)]
        found += self.types()
        calls = [*written.attributes, *(use.column for use in written.columns if self._calls(use))]
        found += [f".{name} may call the function {name}()" for name in calls if name in self.catalog.user_functions]
        found += [
            f"{name} is the server's own" for name in map(self._name, written.writes) if name.startswith("pg_catalog.")
        ]
        found += [text for key in dict.fromkeys(written.reads + written.writes) if (text := self._relation(key))]
        return found

    def guarded(self) -> bool:
        """Whether it runs user code that passes because the server keeps it to reading."""
        if not self.statement.classes & _RUNS:
            return False
        names = {_schema_and_name(name)[1] for name in self.statement.functions}
        return bool(names & self.catalog.contained_functions)

    def types(self) -> list[str]:
        """Casts that may run user code. Of a constant to an array or row over a domain already parsing does (coerce_type)."""
        written = self.statement.written
        return [f"a cast to {name} may run user code" for name in written.types if self._is_user_type(name)]

    def _function(self, name: str) -> str:
        schema, bare = _schema_and_name(name)
        if bare in _POPULATE and self._rows_run_code():
            return f"{name}() may make a row whose types run user code"
        if schema == "pg_catalog":
            fine = _judged(bare) or bare in SAFE or bare in self.catalog.safe_functions
            return "" if fine else f"{name}() isn't known to be harmless"
        if schema == "information_schema" and bare in self.catalog.safe_functions:
            return ""  # PostgreSQL's own, _pg_expandarray and others; JDBC's metadata queries call them
        if bare in self.catalog.contained_functions and bare not in self.catalog.user_types:
            return ""  # a type of its name could be what is called: f(x) is a cast too
        if bare in self.catalog.user_functions:
            return f"{name}() is user code"
        if bare in self.catalog.user_types:
            return f"a cast to {name} may run user code"
        if schema is None and (_judged(bare) or bare in SAFE or bare in self.catalog.safe_functions):
            return ""
        if self._is_nowhere(name):
            return f"{name}() isn't in the target's catalog"
        return f"{name}() isn't known to be harmless"

    def _rows_run_code(self) -> bool:
        found = [self._find(key) for key in self.statement.written.reads]
        return any(each is not None and each.name in self.catalog.user_types for each in found)

    def _is_nowhere(self, name: str) -> bool:
        schema, bare = _schema_and_name(name)
        catalog = self.catalog
        # Not their union: that would copy thousands of names for each call in a text.
        known = (catalog.builtin_functions, catalog.safe_functions, catalog.user_functions, catalog.user_types)
        if not catalog.builtin_functions or schema == "pg_catalog":
            return False
        return not (any(bare in each for each in known) or _judged(bare))

    def _is_user_operator(self, name: str) -> bool:
        return _foreign_schema(name) or name in self.catalog.user_operators

    def _is_user_type(self, name: str) -> bool:
        schema, bare = _schema_and_name(name)
        return schema != "pg_catalog" and bare in self.catalog.user_types

    def _calls(self, use: ColumnUse) -> bool:
        """Whether `relation.name` isn't a column of that relation, and so may be a call."""
        relations = [self._find(key) for level in use.levels for key in level]
        return use.qualified and any(each is None or use.column not in each.columns for each in relations)

    def _relation(self, key: str) -> str:
        found = self._find(key)
        if found is None:
            return ""
        if found.kind == "f":
            return f"{self._name(key)} is a foreign table: what happens on its server isn't seen here"
        return f"{self._name(key)} runs user code" if found.calls_user_code else ""


def _columns_of(relation: Relation, columns: Iterable[str]) -> list[str]:
    return [dotted([relation.schema, relation.name, column]) for column in columns]


def _relation_parts(key: str) -> tuple[str | None, str]:
    schema, name = parts(key)
    return (None if key.startswith(f"{UNQUALIFIED}.") else schema), name
