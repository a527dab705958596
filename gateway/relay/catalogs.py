"""The catalogs of the targets, kept fresh. Loading one is side.py's; what is done with it is the session's.

One loader a target at a time; an entry older than `catalog_refresh` is reloaded, and at once after DDL that a session saw,
in this process or, told by NOTIFY, in another.
A target whose catalog can't be read has none: sessions then judge names by the static list, everything else is opaque.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from gateway.errors import GatewayError
from gateway.policy.model import Target
from gateway.sql.catalog import Catalog

log = structlog.get_logger()

Load = Callable[[Target], Awaitable[Catalog]]
Key = tuple[str, str]


def key(target: Target) -> Key:
    """A target and a login there: which schemas a name may be found in depends on who looks."""
    return target.name, target.user


class Catalogs:
    """Give each login's Catalog of a target; `changed(target, catalog)` is called for each new one."""

    def __init__(self, load: Load, refresh: float, changed: Callable[[Target, Catalog | None], None]) -> None:
        self._load = load
        self._refresh = refresh
        self._changed = changed
        self._known: dict[Key, tuple[Catalog | None, float]] = {}
        self._targets: dict[Key, Target] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    def kept(self, name: str = "") -> list[Target]:
        """The logins whose catalogs are kept: at this target, or at all."""
        return [each for each in self._targets.values() if name in ("", each.name)]

    async def get(self, target: Target) -> Catalog | None:
        """The catalog, at most `refresh` seconds old. One that is being read is waited for: it may be behind DDL."""
        async with self._locks.setdefault(key(target), asyncio.Lock()):
            pass
        known = self._known.get(key(target))
        if known is None or time.monotonic() - known[1] > self._refresh:
            return await self.reload(target)
        return known[0]

    async def reload(self, target: Target) -> Catalog | None:
        """Read it again now. A call that waited for another's reload begun after it takes that one's result."""
        asked = time.monotonic()
        self._targets[key(target)] = target
        async with self._locks.setdefault(key(target), asyncio.Lock()):
            known = self._known.get(key(target))
            if known is not None and known[1] > asked:
                return known[0]
            began = time.monotonic()
            try:
                catalog: Catalog | None = await self._load(target)
            except GatewayError as error:
                log.warning("catalog.not_loaded", target=target.name, problem=error.message)
                catalog = None
            self._known[key(target)] = (catalog, began)
        self._changed(target, catalog)
        return catalog

    async def run(self, in_use: Callable[[], list[Target]]) -> None:
        """Refresh the catalogs of targets that have sessions, until cancelled."""
        while True:
            await asyncio.sleep(self._refresh)
            for target in in_use():
                await self.reload(target)
