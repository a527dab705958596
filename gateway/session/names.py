"""Statement and portal names: one map for the protocol level (Parse, Bind) and the SQL level (PREPARE, DECLARE).

Both levels share PostgreSQL's two name spaces. The map changes only when the target confirms (architecture.md; a refused
Parse must not rename anything: enforcement.md 4.2, 24). What is on its way is counted, so that nobody judges by it early.

Code that people approved, or that a rule allows, may change names behind the map. So it counts such code: a name that was
given before it is doubtful until the target has said what it means now (decision 5). Nothing but the protocol gives and
changes the unnamed ones, so the unnamed statement is never doubtful.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gateway.sql.catalog import Catalog
from gateway.sql.statement import Script
from gateway.wire.backend import Column
from gateway.wire.frontend import Bind

#: PostgreSQL keeps this many bytes of a name (NAMEDATALEN - 1), at the protocol level too and without a word.
KEPT = 63
#: What gives the rows of another name, which may be another statement at the next Bind; and what can't be read.
_ANOTHERS = frozenset({"EXECUTE", "FETCH", "UNKNOWN"})
#: Of a Prepared that code can't change.
NEVER_DOUBTED = sys.maxsize


def kept(name: str) -> str:
    """The name as the target keeps it: two longer ones may be one name to it. A cut inside a character stays a cut."""
    raw = name.encode()
    return name if len(raw) <= KEPT else raw[:KEPT].decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Prepared:
    """A prepared statement: its text as judged, its parameter types, and its columns once they were described.

    `rowless`: it was described as one that gives no rows (NoData).
    `read_under` is what its names were resolved by (Reader.fresh): the target resolves them again at each Bind.
    `shown` is its text in pg_prepared_statements: for PREPARE the whole query string. `since`, `read_as`: see Names.doubts and
    Names.readings.
    """

    sql: str
    script: Script
    types: tuple[int, ...] = ()
    columns: tuple[Column, ...] | None = None
    read_under: Any = None  # what it is compared by: its type is Reader's affair
    shown: str = ""
    from_sql: bool = False
    since: int = 0
    read_as: int = 0
    rowless: bool = False

    @property
    def lasts(self) -> bool:
        """Does a description of it hold at each Bind? PostgreSQL refuses to give other rows, but behind EXECUTE and FETCH: these it
        describes by what the name means at their Parse, and runs what it means at their Bind."""
        return not any(each.tag in _ANOTHERS for each in self.script.statements)

    def again(self, columns: tuple[Column, ...] | None, read_as: int, *, rowless: bool) -> "Prepared":
        """The same text, parsed once more and described as this."""
        who = self.sql, self.script, self.types, columns, self.read_under, self.shown, self.from_sql, self.since
        return Prepared(*who, read_as, rowless)


@dataclass(slots=True)
class Portal:
    """A portal or a cursor. `released`: people approved it, so going on with it asks nobody again.

    `script` is what its names meant when it was bound or declared; a search_path set later changes nothing for it.
    `shown` is its text in pg_cursors; `since`, `read_as`: see Names.doubts and Names.readings; `under`: the catalog by which a
    cursor was declared.
    """

    prepared: Prepared
    script: Script
    bind: Bind | None = None
    columns: tuple[Column, ...] | None = None
    released: bool = False
    shown: str = ""
    since: int = 0
    under: Catalog | None = None
    read_as: int = 0

    @property
    def known_columns(self) -> tuple[Column, ...] | None:
        """The columns of its result, if it or its statement was described."""
        return self.columns or self.prepared.columns


class Space(Enum):
    STATEMENT = "statement"
    PORTAL = "portal"


@dataclass(frozen=True, slots=True)
class Change:
    """Give `name` a new meaning, or none (`value` None). `name` None: all names of the space, but for the unnamed statement,
    which DEALLOCATE ALL and DISCARD ALL leave."""

    space: Space
    name: str | None
    value: Prepared | Portal | None = None


@dataclass(slots=True)
class Names:
    """What each name means to the target, as far as it has confirmed."""

    statements: dict[str, Prepared] = field(default_factory=dict)
    portals: dict[str, Portal] = field(default_factory=dict)
    #: How often code was on its way to the target that may change names; what was given before it is doubtful.
    doubts: int = 0
    asked_at: int = 0  # doubts when the target was last asked
    #: The settings by which constants and values are read: another number whenever they may be others. The target reads a constant
    #: at its Parse or PREPARE, a bound value at its Bind: under other settings the same text would be something else now.
    readings: int = 0
    at_reset: int = 0  # the number that RESET ALL goes back to
    _last: int = 0
    _goes_back: bool = False  # with what is on its way, and nothing else
    _on_the_way: Counter[tuple[Space, str | None]] = field(default_factory=Counter)

    def sent(self, change: Change) -> None:
        """The change is on its way to the target."""
        self._on_the_way[change.space, change.name] += 1

    def dropped(self, change: Change) -> None:
        """The target refused or skipped it."""
        self._on_the_way[change.space, change.name] -= 1

    def confirmed(self, change: Change) -> None:
        """The target did it."""
        self.dropped(change)
        self.apply(change)

    def apply(self, change: Change) -> None:
        names: dict[str, Prepared] | dict[str, Portal]
        names = self.statements if change.space is Space.STATEMENT else self.portals
        if change.name is None:
            unnamed = self.statements.get("") if names is self.statements else None
            names.clear()
            if unnamed is not None:
                self.statements[""] = unnamed
        elif change.value is None:
            names.pop(change.name, None)
        elif isinstance(change.value, Prepared):
            self.statements[change.name] = change.value
        else:
            self.portals[change.name] = change.value

    def query(self) -> None:
        """A simple Query drops the unnamed statement and portal (exec_simple_query)."""
        self.statements.pop("", None)
        self.portals.pop("", None)

    def reread(self, *, goes_back: bool) -> None:
        """Constants may be read otherwise from now on. `goes_back`: once it has run, as RESET ALL leaves it."""
        self._last += 1
        self.readings, self._goes_back = self._last, goes_back

    def answered(self, *, done: bool) -> None:
        """ReadyForQuery: all of what was sent is `done` and outlasts any transaction, or not."""
        if self._goes_back and done:
            self.readings = self.at_reset
        self._goes_back = False

    def greeted(self) -> None:
        """Code may have run at the login: what RESET ALL goes back to is not what was found, and it may have been sent already."""
        self.reread(goes_back=False)
        self._last += 1
        self.at_reset = self._last

    def told(self) -> None:
        """The target says that such a setting is another. Where nobody has set one, code did that ran at the login, or an administrator."""
        if self.readings == self.at_reset and not self._goes_back:
            self.reread(goes_back=False)
            self.at_reset = self.readings

    def uncertain(self, space: Space, name: str) -> bool:
        """True while a change of this name (or of all) is on its way."""
        return self._on_the_way[space, name] > 0 or self._on_the_way[space, None] > 0

    def doubtful(self, meant: Prepared | Portal) -> bool:
        """May it mean something else by now?"""
        return meant.since < self.doubts

    def verified(self, statements: Mapping[str, tuple[str, bool]], portals: Mapping[str, str]) -> None:
        """What the target says each name means (text, and for statements whether by SQL): what differs is forgotten."""
        self.statements = {
            name: each
            for name, each in self.statements.items()
            if not name or statements.get(name) == (each.shown, each.from_sql)
        }
        self.portals = {name: each for name, each in self.portals.items() if portals.get(name) == each.shown}
        known: list[Prepared | Portal] = [*self.statements.values(), *self.portals.values()]
        for each in known:
            each.since = max(each.since, self.doubts)
        self.asked_at = self.doubts

    def transaction_ended(self) -> None:
        """Protocol portals die with their transaction; a cursor may be WITH HOLD and then lives."""
        self.portals = {name: each for name, each in self.portals.items() if each.bind is None}
