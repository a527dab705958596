"""Which statements must wait until the catalog has been read again behind this session's own DDL. Pure.

DDL that adds something and changes no name but those in it holds up only what uses one of these: a migration of 1,000
CREATE TABLE neither waits for 1,000 readings nor causes them. After all other DDL everything waits. What must not live here: reading the
catalog (gateway.relay), what a statement means (reader.py).
"""

from collections.abc import Iterable

from gateway.session.traits import needs_catalog
from gateway.sql.catalog import Catalog
from gateway.sql.statement import Script, Statement, StatementClass
from gateway.sql.tree import UNQUALIFIED, parts

#: Seconds after which the catalog is read though this session doesn't need it: others may.
SOON = 0.2
#: Command tags of such DDL. DROP is not among them: by CASCADE it takes what it doesn't name.
_ADDS = frozenset(
    {
        "CREATE TABLE",
        "CREATE INDEX",
        "CREATE SEQUENCE",
        "COMMENT",
        "VACUUM",
        "ANALYZE",
        "REINDEX",
        "CLUSTER",
        "CHECKPOINT",
    }
)


class Renewal:
    """`ran` for each statement that may change the catalog, `asked` and `answered` for each reading of it.

    `owed`: DDL that only adds has run and no reading was asked for yet. It is when a statement needs it, or `SOON`.
    """

    def __init__(self) -> None:
        self.owed = False
        self._readings = 0  # asked for and not answered; the last one was begun behind all that ran
        self._names: set[str] = set()  # what the DDL names, without schemas
        self._made: set[str] = set()  # those of them that it makes: they may stand for another from now on
        self._everything = False

    def ran(self, statement: Statement) -> None:
        """It is on its way and may change what the catalog says."""
        self._names |= _names(statement)
        self._made |= _bare(statement.written.writes)
        self._everything = self._everything or statement.tag not in _ADDS or statement.temporary

    def ran_code(self) -> None:
        """Code has run, or is on its way, that may change anything of the catalog."""
        self._everything = True

    @property
    def waits(self) -> bool:
        """May the reading wait until somebody needs it?"""
        return not self._everything

    def asked(self) -> None:
        self._readings += 1
        self.owed = False

    def answered(self, *, settled: bool) -> None:
        """A reading was answered. `settled`: nothing that ran still waits for one to be asked for."""
        self._readings = max(self._readings - 1, 0)
        if settled and not self.under_way:
            self._names.clear()
            self._made.clear()
            self._everything = False

    @property
    def under_way(self) -> bool:
        """Has something run that no catalog we know shows?"""
        return self.owed or self._readings > 0

    @property
    def stops_all(self) -> bool:
        """Must everything wait?"""
        return self._readings > 0 and self._everything

    def stops(self, script: Script, catalog: Catalog | None, search_path: tuple[str, ...]) -> bool:
        """Must this text wait?"""
        return self.under_way and not all(self._is_clear_of(each, catalog, search_path) for each in script.statements)

    def _is_clear_of(self, statement: Statement, catalog: Catalog | None, search_path: tuple[str, ...]) -> bool:
        if statement.names is not None or StatementClass.OPAQUE in statement.classes:
            return False
        if not needs_catalog(statement):
            return True
        adds, written = statement.tag in _ADDS, statement.written
        # A table's name is its row type's too, and that of a cast to it: t(x), x.t.
        used = _names(statement) | _bare((*written.types, *statement.functions, *written.attributes))
        if catalog is None or not used.isdisjoint(self._made if adds else self._names):
            return False
        # A relation that the catalog doesn't know may be one that the DDL made beside those that it names (serial).
        known = written.reads if adds else (*written.reads, *written.writes)
        return all(_found(each, catalog, search_path) for each in known)


def _names(statement: Statement) -> set[str]:
    return _bare((*statement.written.reads, *statement.written.writes))


def _bare(keys: Iterable[str]) -> set[str]:
    return {parts(each)[-1] for each in keys}


def _found(key: str, catalog: Catalog, search_path: tuple[str, ...]) -> bool:
    schema, name = parts(key)[-2:]
    return catalog.find(None if schema == UNQUALIFIED else schema, name, search_path) is not None
