"""How often somebody may try within a minute. Pure; the clock arrives as an argument.

What lives here: counting, per address or person. What must not: what is counted and what is said (app.py). Each replica counts for
itself, and a proxy in front of it is one address, so the limits are far above what a person does.
"""

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address
from math import ceil

WINDOW = 60.0
#: So many keys are remembered; of more the one that was silent longest is forgotten.
_KEYS = 4_096


def source(address: str) -> str:
    """What counts as one address: of IPv6 its network of 64 bits, which is what one machine has to choose from."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


class Attempts:
    """At most `most` attempts of one key within WINDOW seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, key: str, now: float) -> int:
        """Count an attempt: 0, or how many seconds to wait. One that is turned away does not count."""
        times = self._seen.setdefault(key, deque())
        self._seen.move_to_end(key)
        while len(self._seen) > _KEYS:
            self._seen.popitem(last=False)
        while times and now - times[0] >= WINDOW:
            times.popleft()
        if len(times) >= self._most:
            return max(1, ceil(WINDOW - (now - times[0])))
        times.append(now)
        return 0
