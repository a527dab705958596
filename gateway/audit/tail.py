"""The newest entries of this process's chain, as the store holds them: are they ours, whole, and in order?

A look that costs little and can be asked for in a chat. What it does not see: other chains, and what is older. That is
`hoop audit verify` (log.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.audit.chain import seal
from gateway.audit.entry import NO_JSON, Value
from gateway.audit.spool import Spool
from gateway.store.port import Store

#: Entries that are looked at: one call of the store, a few milliseconds of hashing.
NEWEST = 200


@dataclass(frozen=True, slots=True)
class Tail:
    """`count` entries up to `last` were looked at; `wrong` is the first one that is not as it was written, or None."""

    count: int
    last: int
    wrong: int | None


async def look(store: Store, spool: Spool, shipped: int) -> Tail:
    """Look at the newest entries up to `shipped`, which the store has confirmed. Raises StoreUnavailable."""
    after = max(0, shipped - NEWEST)
    bodies = await _readable(store, spool.replica, after, shipped - after)
    before = ""
    for expected, body in enumerate(bodies, after + 1):
        if body.get("seq") != expected or before not in ("", body.get("prev")) or not _is_ours(spool.key, body):
            return Tail(len(bodies), shipped, expected)
        before = str(body["hash"])
    missing = None if len(bodies) == shipped - after else after + len(bodies) + 1
    return Tail(len(bodies), shipped, missing)


async def _readable(store: Store, replica: str, after: int, limit: int) -> list[Mapping[str, Value]]:
    """The next entries; where one of them can't be read, those before it."""
    try:
        return await store.chain(replica, after, limit)
    except NO_JSON:
        half = limit // 2
    if not half:
        return []
    first = await _readable(store, replica, after, half)
    return first if len(first) < half else first + await _readable(store, replica, after + half, limit - half)


def _is_ours(key: bytes, body: Mapping[str, Value]) -> bool:
    told = {name: value for name, value in body.items() if name not in ("prev", "hash")}
    try:
        return seal(key, str(body.get("prev")), told).hash == body.get("hash")
    except (*NO_JSON, TypeError):  # somebody wrote what no entry can hold
        return False
