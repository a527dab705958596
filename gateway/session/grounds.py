"""What a session judges by: who asks, policy, catalog, search_path, and which columns are protected under them. Pure.

What lives here: all that changes it (a policy, a catalog, a path, what the session has copied), and which relations and
statements touch protected columns. What must not: texts (reader.py), where values are copied to (spreading.py), what is
shown (hiding.py), verdicts (judging.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.identity.claims import Identity
from gateway.masking.columns import literally
from gateway.masking.diagnostics import own
from gateway.policy.decide import sees_clear
from gateway.policy.model import Policy, Target
from gateway.policy.oracles import tested
from gateway.session.common import Commons, Standing
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.frames import UNKNOWN
from gateway.sql.statement import Statement, StatementClass
from gateway.sql.tree import dotted, parts

#: A place that values are written to: schema, relation, column; None is any.
Place = tuple[str | None, str | None, str | None]
#: Columns that a session has copied protected ones to; with more than these everything is masked. fnmatch keeps 256 globs
#: compiled, the policy's own among them.
MAX_COPIED = 128
#: What reads tables again and may tell of their rows: code in an index or in statistics speaks.
_MAINTENANCE = frozenset({"ANALYZE", "CLUSTER", "REINDEX", "VACUUM"})


@dataclass(frozen=True, slots=True)
class Login:
    """Who is connected to what: fixed for the session's life. `mask_key` and `digest_key` are derived secrets."""

    session: str
    replica: str
    identity: Identity
    target: Target
    agent: str
    client: str
    mask_key: bytes
    digest_key: bytes


class Grounds:
    """Of one session. Reader, hiding, spreading and judge look at the same one: what changes here changes for all at once.

    `epoch` goes on whenever a text may be judged, or its result masked, otherwise than before. `reading`: what is known
    of texts under it. `protects`: is any column of the target protected from this person? `clear`: this person sees
    them all. `copied`: masks of columns that this session has copied protected ones to.
    """

    def __init__(
        self,
        login: Login,
        policy: Policy,
        catalog: Catalog | None,
        search_path: tuple[str, ...] = ("public",),
        commons: Commons | None = None,
    ) -> None:
        """`commons`: of the sessions of this process; without them it shares nothing."""
        self.login = login
        self.epoch = 0
        self.policy, self.catalog, self.search_path = policy, catalog, search_path
        self.commons = commons or Commons()
        self.wandered = False  # the search_path changed: a cursor may still read what a name meant before
        self.copied: dict[tuple[str, str], None] = {}
        self.doubts_settings = False  # a statement of this session may have put protected values into settings
        self.read_anew()

    def adopt(self, policy: Policy) -> None:
        """Judge by this policy from now on."""
        self.policy = policy
        self.read_anew()

    def moved(self, search_path: tuple[str, ...]) -> None:
        """Unqualified names resolve by this path from now on."""
        if search_path != self.search_path:
            self.search_path = search_path
            self.wandered = True
            self.read_anew()

    def refresh(self, catalog: Catalog | None) -> None:
        """Know the target by these facts from now on."""
        lost = self._lost(catalog) if self.protects else set[str]()
        self.catalog = catalog
        self._note_copied(lost)
        self.read_anew()

    def read_anew(self) -> None:
        """Texts are read anew: what they mean, or what is protected, has changed."""
        self.epoch += 1
        login = self.login
        clear = sees_clear(self.policy, login.identity)
        copied = tuple(self.copied)
        standing = Standing(login.target.name, login.target.user, self.search_path, clear, copied, self.doubts_settings)
        self.shared = standing.shared
        self.reading = reading = self.commons.reading(self.policy, self.catalog, standing)
        self.detectors, self.protects, self.clear = reading.detectors, reading.protects, clear
        self.own = own(
            reading.detectors
        )  # where it suspects nothing among some bytes, Hiding.scrub changes no text of them
        self.masks, self.tables, self.lineages = reading.masks, reading.tables, reading.lineages

    @property
    def under(self) -> tuple[int | None, tuple[str, ...]]:
        """What names are resolved by now: the catalog's version and search_path."""
        return self.catalog.version if self.catalog else None, self.search_path

    def _lost(self, new: Catalog | None) -> set[str]:
        """Columns that were made of protected ones and aren't any more: a trigger is gone, what it has written isn't."""
        if self.catalog is None or new is None or new is self.catalog:
            return set()
        found = set[str]()
        for key, relation in self.catalog.relations.items():
            now = new.relations.get(key)
            for column, sources in relation.fed.items() if now else ():
                gone = sources - now.fed.get(column, frozenset()) if now else sources
                if any(map(self.is_protected, gone)):
                    found.add(self.glob((*key, column)))
        return found

    def mask_too(self, globs: set[str]) -> None:
        """Mask what these match in this session too."""
        self._note_copied(globs)
        self.read_anew()

    def _note_copied(self, globs: set[str]) -> None:
        """These are to be masked; everything, where that gets too much."""
        if len(self.copied) + len(globs) > MAX_COPIED:
            self.copied.clear()
            globs = {self.glob((None, None, None))}
        self.copied |= dict.fromkeys((each, "redact") for each in sorted(globs))

    def glob(self, place: Place) -> str:
        """The column of a mask for what is written there, as policy would name it."""
        return ".".join(
            (literally(self.login.target.name), *("*" if each is None else literally(each) for each in place))
        )

    @property
    def holds_untraced(self) -> bool:
        """Are people asked where a result can't be traced?"""
        return self.policy.masking.unresolved == "hold"

    def tested(self, statement: Statement) -> tuple[str, ...]:
        """The protected columns that its conditions read: an oracle, which no mask stops and the audit counts."""
        return tested(self.policy.masking, self.login.target.name, statement) if self.protects else ()

    def protected(self) -> Iterator[str]:
        """Each protected column as policy writes it, without the target."""
        target = self.login.target.name
        for each in self.policy.masking.columns:
            of, _, column = each.column.partition(".")
            if fnmatchcase(target, of):
                yield column

    def is_protected(self, source: str) -> bool:
        """Is this column, as "schema.table.column", behind a mask?"""
        return any(fnmatchcase(f"{self.login.target.name}.{source}", glob) for glob, _ in self.masks)

    def relation(self, name: str) -> Relation | None:
        """The relation of a whole name; None where the catalog has none."""
        schema, table = parts(name)[-2:] if "." in name else ("", name)
        return self.catalog.relations.get((schema, table)) if self.catalog else None

    def covers(self, relation: str, column: str) -> bool:
        """Can this mask's column be one of the relation's? A view may show any; a partition shows its parents'."""
        target = self.login.target.name
        known = self.relation(relation)
        if known is None:
            return _matches(target, relation, column)
        if known.kind not in "rp":
            return fnmatchcase(target, column.split(".", 1)[0])
        names = (relation, *(dotted(parent) for parent in known.parents))
        return any(_matches(target, each, column) for each in names) and any(
            fnmatchcase(each, column.rsplit(".", maxsplit=1)[-1]) for each in known.columns
        )

    def touches_protected(self, statement: Statement) -> bool:
        """True where an error text could quote a protected value: the statement's relations hold a masked column."""
        if not self.protects:
            return False
        if statement.guarded or StatementClass.OPAQUE in statement.classes:
            return True  # it may read any table
        names = {*statement.reads, *statement.writes, *(name for name, _ in statement.behind)}
        if statement.tag in _MAINTENANCE and not (names and all(map(self.relation, names))):
            return True  # an index, a schema, the whole database
        if StatementClass.WRITE in statement.classes:
            written = (*statement.writes, *(name for name, writes in statement.behind if writes))
            names.update(dotted(key) for each in map(self.relation, written) if each for key in each.code_reads)
        return any(self.covers(name, column) for name in names for column, _ in self.masks) or any(
            source == UNKNOWN or self.is_protected(source)
            for each in filter(None, map(self.relation, names))
            for sources in each.fed.values()
            for source in sources
        )


def _matches(target: str, relation: str, column: str) -> bool:
    parts = column.split(".")
    wanted = f"{target}.{relation}".split(".")
    return all(fnmatchcase(name, glob) for name, glob in zip(wanted, parts[:3], strict=False))
