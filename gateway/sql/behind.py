"""What a statement touches beside the relations that it names: what stands behind them in the catalog.

What lives here: a view reads its tables, and a write to it goes through to them; a parent is all of its partitions and
children; a foreign key passes deletes and updates on; a function of the user's reads what its source names; a trigger writes
where its source says. A rule that denies or holds a relation is meant for those ways to it too (policy/decide.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.statement import Statement, StatementClass
from gateway.sql.tree import dotted, parts, spelled

_Key = tuple[str, str]
_REMOVES = frozenset({"DELETE", "MERGE"})
_CHANGES = frozenset({"UPDATE", "INSERT", "MERGE"})  # INSERT ... ON CONFLICT DO UPDATE
#: What a command may do to rows. An UPDATE may move one to another partition.
_FIRE = {
    "INSERT": ("INSERT", "UPDATE"),
    "COPY": ("INSERT",),
    "UPDATE": ("UPDATE", "INSERT", "DELETE"),
    "DELETE": ("DELETE",),
    "MERGE": ("INSERT", "UPDATE", "DELETE"),
    "TRUNCATE": ("TRUNCATE",),
}
_ANY = {event for each in _FIRE.values() for event in each}
#: What a foreign key may make of either.
_PASSED_ON = {"DELETE", "UPDATE"}
_SERVERS_OWN = "pg_catalog"
#: Rows of others go through a view; what is done to a table's definition stays there, or goes to its children.
_THROUGH = frozenset({StatementClass.WRITE, StatementClass.OPAQUE})


def with_behind(statement: Statement, catalog: Catalog) -> Statement:
    """The statement, its names resolved, with `behind`, `columns_behind` and `unsettles`."""
    written = _closed(_known(statement.writes, catalog), catalog, through=bool(_THROUGH & statement.classes))
    if StatementClass.WRITE in statement.classes:
        if any(schema == _SERVERS_OWN for schema, _ in written) and StatementClass.OPAQUE not in statement.classes:
            reason = "; ".join(filter(None, (statement.reason, "it writes to the server's own through a view")))
            statement = replace(statement, classes=statement.classes | {StatementClass.OPAQUE}, reason=reason)
        written |= _fired(statement, written, _cascaded(statement, written, catalog), catalog)
    called = [key for name in statement.functions for key in catalog.function_reads.get(parts(name)[-1], ())]
    read = _closed((*_known(statement.reads, catalog), *called), catalog, through=True)
    if any(catalog.relations[key].unsettles for key in written if key in catalog.relations):
        statement = replace(statement, unsettles=True)
    found = {**dict.fromkeys(read, False), **dict.fromkeys(written, True)}
    named = {True: set(statement.writes), False: {*statement.reads, *statement.writes}}
    behind = tuple((name, writes) for key, writes in found.items() if (name := _name(key)) not in named[writes])
    if not behind:
        return statement
    through = (catalog.relations[key] for key in read if key in catalog.relations)
    columns = dict.fromkeys(each for relation in through for each in _read_behind(relation, statement))
    return replace(statement, behind=behind, columns_behind=tuple(columns))


def cascades(statement: Statement, catalog: Catalog) -> bool:
    """Whether a foreign key passes on what it changes: how many rows that is, its CommandComplete does not tell."""
    written = _closed(_known(statement.writes, catalog), catalog, through=True)
    return bool(_cascaded(statement, written, catalog))


def passed_on(statement: Statement, catalog: Catalog) -> tuple[str, ...]:
    """The other relations that foreign keys and triggers make of what it changes: no count of its rows holds theirs."""
    written = _closed(_known(statement.writes, catalog), catalog, through=True)
    keyed = _cascaded(statement, written, catalog)
    found = _fired(statement, written, keyed, catalog)
    return tuple(sorted(_name(key) for key in found if key in keyed or key not in written))


def _known(names: Iterable[str], catalog: Catalog) -> dict[_Key, None]:
    """The keys of those relations that the catalog has."""
    found: dict[_Key, None] = {}
    for name in names:
        *schema, own = parts(name)
        if schema and (schema[-1], own) in catalog.relations:  # a name without a schema isn't in it
            found[schema[-1], own] = None
    return found


def _closed(keys: Iterable[_Key], catalog: Catalog, *, through: bool) -> dict[_Key, None]:
    """Those relations and all behind them; `through` views too."""
    found = dict.fromkeys(keys)
    todo = list(found)
    while todo:
        relation = catalog.relations.get(todo.pop())
        if relation is None:
            continue
        nearer = [*relation.children, *(key for key, _ in relation.shows if through)]
        todo += [key for key in nearer if key not in found]
        found.update(dict.fromkeys(nearer))
    return found


def _cascaded(statement: Statement, written: Iterable[_Key], catalog: Catalog) -> dict[_Key, None]:
    """The tables whose rows change because a foreign key of theirs passes a change on."""
    tags = {statement.tag, *statement.inner_tags}
    found: dict[_Key, None] = {}
    todo = [(key, True) for key in written]
    while todo:
        key, first = todo.pop()
        relation = catalog.relations.get(key)
        for to in _passed_on(relation, statement, tags, first=first) if relation else ():
            if to not in found:
                found[to] = None
                todo.append((to, False))
    return found


def _fired(
    statement: Statement, written: Iterable[_Key], cascaded: Iterable[_Key], catalog: Catalog
) -> dict[_Key, None]:
    """The tables that foreign keys pass changes on to, those that triggers write to, and those that triggers of these write to."""
    events = {event for tag in (statement.tag, *statement.inner_tags) for event in _FIRE.get(tag, ())}
    found = dict.fromkeys(cascaded)
    todo = [*((key, events) for key in written), *((key, events | _PASSED_ON) for key in found)]
    while todo:
        key, happen = todo.pop()
        relation = catalog.relations.get(key)
        for event, to in relation.fires if relation else ():
            if event in happen and to not in found:
                found[to] = None
                todo += [(each, _ANY) for each in _closed([to], catalog, through=True)]
    return found


def _passed_on(relation: Relation, statement: Statement, tags: set[str], *, first: bool) -> Iterator[_Key]:
    """Where changes of this relation's rows go on to. What is behind the first may be deleted or updated."""
    for each in relation.cascades:
        changed = not first or any(_column(relation, name) in statement.columns for name in each.columns)
        deletes = each.deletes and (not first or bool(tags & _REMOVES))
        updates = each.updates and changed and (not first or bool(tags & _CHANGES))
        if deletes or updates or statement.written.cascades:
            yield each.to


def _read_behind(relation: Relation, statement: Statement) -> Iterator[str]:
    """The columns that reading this relation reads elsewhere: a view's own, and in its children those of the same names."""
    for (schema, name), columns in relation.shows:
        yield from (f"{_name((schema, name))}.{spelled(column)}" for column in columns)
    own = f"{_name((relation.schema, relation.name))}."
    columns = tuple(each.removeprefix(own) for each in statement.columns if each.startswith(own))
    for child in relation.children:
        yield from (f"{_name(child)}.{column}" for column in columns)


@lru_cache(maxsize=4096)
def _name(key: _Key) -> str:
    return dotted(key)


def _column(relation: Relation, name: str) -> str:
    return dotted([relation.schema, relation.name, name])
