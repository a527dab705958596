"""Where statements take protected values to: columns that they copy them into, settings, tables of their own. Pure.

What lives here: what a write copies where, and what a session remembers of what it has run. What must not: what is
protected (grounds.py), the masks of what was copied (hiding.py), whether a copy may go (gateway.policy).
"""

from gateway.session.grounds import Grounds, Place
from gateway.session.reader import Reader
from gateway.session.traits import may_set
from gateway.sql.behind import passed_on
from gateway.sql.catalog import Spread
from gateway.sql.copies import fits, spread_by
from gateway.sql.frames import UNKNOWN
from gateway.sql.functions import seeds, special_class
from gateway.sql.lineage_expressions import Copy
from gateway.sql.severing import concerned, severs
from gateway.sql.statement import Statement, StatementClass
from gateway.sql.tree import parts

#: A relation, as far as its name is known: schema, name.
Relative = tuple[str | None, str]
#: What puts no value anywhere.
_KEEP = frozenset({StatementClass.HOUSEKEEPING, StatementClass.READ})


class Spreading:
    """Of one session: where its statements take protected values, and what it remembers of that."""

    def __init__(self, grounds: Grounds, reader: Reader) -> None:
        self._grounds = grounds
        self._reader = reader
        # names of tables in this session's DDL, perhaps too short-lived for any catalog
        self._defined: set[str] = set()
        self._heirs: list[tuple[Relative, Relative]] = []  # tables that this session has made of others: child, parent
        self._ran: Statement | None = None
        self._ran_under = self._standing

    @property
    def heirs(self) -> int:
        """How many tables it has made of others."""
        return len(self._heirs)

    @property
    def has_made(self) -> bool:
        """Has the session made relations that no catalog may know?"""
        return bool(self._heirs or self._defined)

    def runs(self, statement: Statement) -> None:
        """It is on its way to the target: note what it may do with protected values that later statements could show."""
        if not self._grounds.protects or (statement is self._ran and self._standing == self._ran_under):
            return
        self._note(statement)
        self._ran, self._ran_under = statement, self._standing  # the next row of an executemany does no more than this

    @property
    def _standing(self) -> tuple[int, int, int, int, bool]:
        """What running a statement may change, and what this rests on."""
        grounds = self._grounds
        return grounds.epoch, len(self._heirs), len(grounds.copied), len(self._defined), grounds.doubts_settings

    def _note(self, statement: Statement) -> None:
        if not self._grounds.doubts_settings and may_set(statement) and self._grounds.touches_protected(statement):
            self._grounds.doubts_settings = True
            self._grounds.read_anew()
        self._heirs += [each for each in self._grounds.lineages.heirs(statement.sql) if each not in self._heirs]
        new = {self._grounds.glob(place) for place, _ in self._copies(statement)}
        if StatementClass.DDL in statement.classes:
            self._defined |= concerned(statement.sql) | self._written_by_triggers(statement)
            # what was copied may be called otherwise by now
            if (new or self._grounds.copied) and severs(statement.sql):
                new |= {self._grounds.glob((None, name, None)) for name in self._defined}
        if new - self._grounds.copied.keys():
            self._grounds.mask_too(new)

    def _written_by_triggers(self, statement: Statement) -> set[str]:
        """The tables that a trigger's function writes to, where the statement makes one."""
        catalog = self._grounds.catalog
        known = catalog.function_writes if catalog and statement.tag == "CREATE TRIGGER" else {}
        called = {parts(each)[-1] for each in statement.functions}
        return {name for each in called & known.keys() for _, name in known[each].to}

    def passed_on(self, statement: Statement) -> tuple[str, ...]:
        """The tables that foreign keys and triggers change with it; of what writes nowhere else nothing has to be worked out."""
        catalog = self._grounds.catalog
        if catalog is None or not any(writes for _, writes in statement.behind):
            return ()
        return passed_on(statement, catalog)

    def copies(self, statement: Statement) -> tuple[tuple[str, str], ...]:
        """The protected columns that it copies into others, as (from, to): "schema.table.column", "*" for what isn't known."""
        found = (
            (source, ".".join("*" if each is None else each for each in place))
            for place, sources in self._copies(statement)
            for source in sources
        )
        return tuple(dict.fromkeys(found))

    def _copies(self, statement: Statement) -> list[tuple[Place, list[str]]]:
        """Each place that it writes protected columns to and that isn't protected itself, with these columns."""
        if not self._grounds.masks:
            return []
        meant = self._reader.meant(statement)
        catalog = self._grounds.catalog
        spread = spread_by(meant or statement, catalog) if catalog else []
        if statement.classes <= _KEEP and not spread and not seeds(statement):
            return []
        given = self._reader.given(statement)
        copies = self._grounds.lineages.copies(meant.sql, given) if meant and given is not None else None
        by_code = [copy for code in spread for copy in self._by_code(code, frozenset())]
        if copies is None:
            copies = self._unfollowed(meant or statement)
            read = self._within_reach(meant or statement)
            by_code += [copy for code in spread for copy in self._by_code(code, read)]
        elif meant is not statement:  # CREATE TABLE ... AS EXECUTE
            copies = [*copies, *(self._grounds.lineages.copies(statement.sql) or ())]
        found = [((s, t, c), self._protected_of(carried, statement)) for s, t, c, carried in copies] + by_code
        for (_, table, column), sources in found:  # it grows: rows of a child show in its parents
            found += [((*parent, column), sources) for (_, child), parent in self._heirs if child == table]
        return [
            (place, sources)
            for place, sources in found
            if sources and not self._grounds.is_protected(".".join("*" if each is None else each for each in place))
        ]

    def _by_code(self, code: Spread, given: frozenset[str]) -> list[tuple[Place, list[str]]]:
        """What code may write of what it reads, and of what it was `given` for all that is known."""
        catalog = self._grounds.catalog
        relations = catalog.relations if catalog else {}
        sources = {name: kind for name, kind in code.reads.items() if self._grounds.is_protected(name)}
        found: list[tuple[Place, list[str]]] = [
            ((None, name, None), sorted({*sources, *given})) for name in code.creates
        ]
        found += [((None, None, None if name == "*" else name), sorted(sources)) for name in code.sets]
        if code.anywhere:
            found.append(((None, None, None), sorted(sources)))
        for key in code.to:
            for column in relations[key].columns:
                kind = relations[key].types.get(column, "")
                held = {name for name, its in sources.items() if fits(kind, (its,))}
                found.append(((*key, column), sorted(held | given)))
        return [(place, carried) for place, carried in found if carried]

    def _read_by(self, statement: Statement) -> set[str]:
        """The relations that it reads, behind views and by functions too."""
        return {*statement.reads, *(name for name, written in statement.behind if not written)}

    def _protected_of(self, carried: frozenset[str], statement: Statement) -> list[str]:
        """The protected columns among these, and if it isn't known what else is carried, all that the statement reads."""
        found = set(filter(self._grounds.is_protected, carried))
        return sorted(found | self._within_reach(statement) if UNKNOWN in carried else found)

    def _within_reach(self, statement: Statement) -> frozenset[str]:
        """The protected columns that it reads; any, where code or a table says nothing of what it holds."""
        grounds = self._grounds
        names = self._read_by(statement)
        read = frozenset(
            f"{name}.{column.rpartition('.')[2]}"
            for name in names
            for column, _ in grounds.masks
            if grounds.covers(name, column)
        )
        hidden = grounds.copied and any(grounds.relation(name) is None for name in names)
        return read.union(grounds.protected()) if hidden or self._runs_what_nobody_reads(statement) else read

    def _runs_what_nobody_reads(self, statement: Statement) -> bool:
        """Is it opaque for more than functions whose words tell what they read?"""
        catalog = self._grounds.catalog
        called = {parts(each)[-1] for each in statement.functions}
        told = (
            catalog is not None
            and bool(called)
            and called.isdisjoint(catalog.user_functions - catalog.contained_functions)
        )
        named = statement.names is None or statement.names.body is not None
        return StatementClass.OPAQUE in statement.classes and not (
            told and named and not any(special_class(each) is StatementClass.OPAQUE for each in called)
        )

    def _unfollowed(self, statement: Statement) -> list[Copy]:
        """Of a text that can't be followed: it may write any protected column that it reads, wherever it writes."""
        read = self._within_reach(statement)
        places = [parts(each)[-2:] for each in statement.writes if read]
        return [(names[0] if len(names) > 1 else None, names[-1], None, read) for names in places]
