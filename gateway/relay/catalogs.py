"""The catalogs of the targets, kept fresh. Loading one is side.py's; what is done with it is the session's.

One loader a target at a time; an entry older than `catalog_refresh` is reloaded, and at once after DDL that a session saw,
in this process or, told by NOTIFY, in another.
A target whose catalog can't be read has none: sessions then judge names by the static list, everything else is opaque.
Where only somebody's lock stands in the way, the old one is kept for a while, unless it is known that DDL has changed it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from gateway.errors import GatewayError
from gateway.policy.model import Target
from gateway.relay.side import CatalogLocked
from gateway.sql.catalog import Catalog

log = structlog.get_logger()

Load = Callable[[Target], Awaitable[Catalog]]
Key = tuple[str, str]

#: How often a catalog that DDL has changed is tried for while it is locked: 20 s in all (side.LOCKED_FOR each).
TRIES = 10
#: So many times `catalog_refresh` old may one be that is kept because a newer one is locked.
KEPT_FOR = 4


def key(target: Target) -> Key:
    """A target and a login there: which schemas a name may be found in depends on who looks."""
    return target.name, target.user


@dataclass(frozen=True, slots=True)
class _Known:
    """A catalog, or that there is none. When it was read and when last tried for, by the monotonic clock; `locked`: in vain."""

    catalog: Catalog | None
    read: float
    tried: float
    locked: bool = False


class Catalogs:
    """Give each login's Catalog of a target; `changed(target, catalog)` is called for each new one. `refresh` (seconds) may be changed."""

    def __init__(self, load: Load, refresh: float, changed: Callable[[Target, Catalog | None], None]) -> None:
        self._load = load
        self.refresh = refresh
        self._changed = changed
        self._known: dict[Key, _Known] = {}
        self._targets: dict[Key, Target] = {}
        self._locks: dict[Key, asyncio.Lock] = {}
        self._readers: Counter[Key] = Counter()  # how many read it, or wait to

    def kept(self, name: str = "") -> list[Target]:
        """The logins whose catalogs are kept: at this target, or at all."""
        return [each for each in self._targets.values() if name in ("", each.name)]

    async def get(self, target: Target) -> Catalog | None:
        """The catalog, at most `refresh` seconds old unless a newer one is locked. One that is being read is waited for: it
        may be behind DDL."""
        each = key(target)
        if self._readers[each]:  # else each login would make a lock that nobody holds
            async with self._locks[each]:
                pass
        known = self._known.get(each)
        if known is None or self._is_due(known):
            known = await self._read(target)
        return known.catalog

    async def reload(self, target: Target) -> Catalog | None:
        """Read it again now: DDL has changed it, so there is none while it is locked. A call that waited for another's reload begun
        after it takes that one's result."""
        for _ in range(TRIES):
            known = await self._read(target, outdated=True)
            if not known.locked:
                break
        return known.catalog

    async def run(self, in_use: Callable[[], list[Target]]) -> None:
        """Refresh the catalogs of targets that have sessions, until cancelled."""
        while True:
            await asyncio.sleep(self.refresh)
            for target in in_use():
                await self._read(target)

    def _is_due(self, known: _Known) -> bool:
        """Is it time to try again? Who has none for a lock's sake should not have to do without for long."""
        return time.monotonic() - known.tried > self.refresh or (known.locked and known.catalog is None)

    async def _read(self, target: Target, *, outdated: bool = False) -> _Known:
        """Read it. `outdated`: the one that is known is wrong."""
        asked = time.monotonic()
        each = key(target)
        self._targets[each] = target
        self._readers[each] += 1
        try:
            async with self._locks.setdefault(each, asyncio.Lock()):
                old = self._known.get(each)
                if old is not None and old.tried > asked and not (outdated and old.locked and old.catalog):
                    return old
                new = self._known[each] = await self._tried(target, None if outdated else old)
        finally:
            self._readers[each] -= 1
        if old is None or new.catalog is not old.catalog:
            self._changed(target, new.catalog)
        return new

    async def _tried(self, target: Target, old: _Known | None) -> _Known:
        """What a load comes to. `old`: what may be kept for a while if the new one is locked."""
        began = time.monotonic()
        try:
            return _Known(await self._load(target), began, began)
        except GatewayError as error:
            log.warning("catalog.not_loaded", target=target.name, problem=error.message)
            locked = isinstance(error, CatalogLocked)
        if locked and old is not None and old.catalog and began - old.read <= KEPT_FOR * self.refresh:
            return replace(old, tried=began, locked=True)
        return _Known(None, began, began, locked)
