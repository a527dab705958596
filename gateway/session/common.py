"""What the sessions of a process know in common: texts as they were read, and the plain reads among them. Pure.

Reading, resolving and following a text costs a millisecond, and judging it rests on few things. So sessions that agree in all
of these share what was found:

    Reading    policy, catalog (both by identity, so a new one shares nothing), target, login there, search_path, and whether masks
               are lifted: what a text means, what its columns carry, what is protected in it
    PlainReads beside these the person with groups and address, the application's name, the client's address (plain.py)

What a session has done itself is in none of them: temporary relations, a role that was set, copied columns, texts that met 25006,
hours, rows and grants stay with the session (grounds.py asks `Reading` for one of its own as soon as it differs). A verdict is
never kept here: plain.py keeps those that rest on nothing else.

All is bounded by estimated bytes: what nobody asked for in a whole generation is forgotten. Texts over 8 kB, which are read in
another process, aren't kept.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.masking.columns import TableNames, with_parents
from gateway.masking.detectors import Detectors
from gateway.policy.model import Policy
from gateway.sql.catalog import Catalog
from gateway.sql.likeness import Likeness
from gateway.sql.lineage import Lineages
from gateway.sql.statement import Script

#: Bytes of a text that is kept.
LONGEST = 8192
#: Estimated bytes of what a shared Reading keeps of texts and of plain reads, and of what a session's own keeps.
SHARED, OWN = 8 << 20, 1 << 20
#: Readings: a target has one a login, search_path and kind of person. With one more the one that was used last is let go.
READINGS = 64
#: Bytes of all of them, as estimated.
MOST = 128 << 20

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


def cost(text: str | bytes) -> int:
    """Bytes that what is known of a text takes, by estimate: measured 3 to 9 kB for short ones."""
    return 4096 + 16 * len(text)


class Generations(Generic[_K, _V]):
    """A mapping of at most `most` bytes. When the younger half is full it becomes the older one, which is forgotten."""

    __slots__ = ("_half", "_old", "_size", "_young")

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._young: dict[_K, tuple[_V, int]] = {}
        self._old: dict[_K, tuple[_V, int]] = {}
        self._size = 0

    @property
    def most(self) -> int:
        """Bytes that it may take now: those of the younger half, and as much again if there is an older one."""
        return self._size + (self._half if self._old else 0)

    def get(self, key: _K) -> _V | None:
        """What is known under this key; asked for, it lives on."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is None:
                return None
            self.put(key, *found)
        return found[0]

    def put(self, key: _K, value: _V, size: int) -> None:
        """Know it from now on; `size` in bytes."""
        self._young[key] = value, size
        self.grew(size)

    def grew(self, size: int) -> None:
        """Something among the younger ones takes as many bytes more."""
        self._size += size
        if self._size > self._half:
            self._young, self._old, self._size = {}, self._young, 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What a Reading is made for. `login`: the role there; `copied`: masks of columns that a session has copied protected ones to.

    `doubts_settings`: a statement of the session may have put protected values into settings.
    """

    target: str
    login: str
    search_path: tuple[str, ...]
    clear: bool
    copied: tuple[tuple[str, str], ...] = ()
    doubts_settings: bool = False

    @property
    def shared(self) -> bool:
        """Has the session done nothing that makes it read otherwise than others?"""
        return not self.copied and not self.doubts_settings


class Reading:
    """What is known of texts under one policy and catalog. `beside`: see Hiding; `plains`: plain reads by who asks (plain.py)."""

    __slots__ = (
        "beside",
        "catalog",
        "clear",
        "detectors",
        "likes",
        "lineages",
        "masks",
        "plains",
        "policy",
        "protects",
        "tables",
        "texts",
    )

    def __init__(self, policy: Policy, catalog: Catalog | None, standing: Standing) -> None:
        self.policy, self.catalog, self.clear = policy, catalog, standing.clear
        masking, target = policy.masking, standing.target
        self.detectors = Detectors.build(masking.detect, masking.patterns)
        masks = [(each.column, each.mask) for each in masking.columns] + [*standing.copied]
        self.masks = with_parents(masks, target, catalog.relations.values() if catalog else ())
        self.protects = not self.clear and any(
            column.split(".", 1)[0] in ("*", target) or "*" in column.split(".", 1)[0] for column, _ in self.masks
        )
        self.tables: TableNames = catalog.tables if catalog is not None else {}
        self.lineages = Lineages(catalog, standing.search_path, doubts_settings=standing.doubts_settings)
        most = SHARED if standing.shared else OWN
        self.texts: Generations[str, Script] = Generations(most)
        self.likes: Generations[bytes, Likeness] = Generations(most)
        self.beside: Generations[str, tuple[set[int], set[int]]] = Generations(most)
        self.plains: Generations[Hashable, Any] = Generations(most)

    @property
    def most(self) -> int:
        """Bytes that it may take now, as estimated."""
        return self.texts.most + self.likes.most + self.beside.most + self.plains.most


class Commons:
    """The Readings of a process."""

    def __init__(self) -> None:
        self._known: OrderedDict[Standing, Reading] = OrderedDict()

    def reading(self, policy: Policy, catalog: Catalog | None, standing: Standing) -> Reading:
        """The one of this standing; a new one where it is the session's own, or where policy or catalog are others than before."""
        if not standing.shared:
            return Reading(policy, catalog, standing)
        found = self._known.pop(standing, None)
        if found is None or found.policy is not policy or found.catalog is not catalog:
            found = Reading(policy, catalog, standing)
            self._make_room(found, standing)
        self._known[standing] = found
        return found

    def _make_room(self, new: Reading, standing: Standing) -> None:
        """Let go what rests on another policy, or on another catalog of this login: those are over, and a catalog is large."""
        login = standing.target, standing.login
        for each, known in [*self._known.items()]:
            same = known.catalog is new.catalog or (each.target, each.login) != login
            if known.policy is not new.policy or not same:
                del self._known[each]
        while len(self._known) >= READINGS or sum(each.most for each in self._known.values()) > MOST:
            self._known.popitem(last=False)
