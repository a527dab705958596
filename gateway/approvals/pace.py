"""How often each chat may be asked, and whose turn it is. Pure: the time arrives as an argument, in seconds.

A limit is counted for a method of a platform and, where the platform counts so, for each channel. Who has to wait is given a
turn, in the order of asking; when it has come they go without being counted again. Each replica counts for itself: what all
of them are too fast in, the chat says by 429.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many calls in so many seconds, for each of `windows`; counted for each channel, or for all as one."""

    windows: tuple[tuple[int, float], ...]
    each_channel: bool


#: Teams, "Rate limiting for bots": a bot in one conversation.
_TEAMS = Limit(((7, 1.0), (8, 2.0), (60, 30.0), (1_800, 3_600.0)), each_channel=True)

#: (platform, method) -> its limit. What is not here has none.
LIMITS: Mapping[tuple[str, str], Limit] = {
    # Slack, "Rate limits": a message a second and channel, short bursts are let pass; tier 3 is 50 a minute.
    ("slack", "post"): Limit(((5, 5.0),), each_channel=True),
    ("slack", "update"): Limit(((40, 60.0),), each_channel=False),
    ("teams", "post"): _TEAMS,
    ("teams", "update"): _TEAMS,
}


#: Seconds after which a turn that was not taken is nobody's: another replica has sent the card.
_MISSED = 60.0


class Pace:
    """The turns of one process."""

    def __init__(self, limits: Mapping[tuple[str, str], Limit] = LIMITS) -> None:
        self._limits = limits
        self._taken: dict[tuple[str, str, str], deque[float]] = {}
        self._turns: dict[Hashable, float] = {}

    def wait(self, platform: str, method: str, channel: str, who: Hashable, now: float) -> float:
        """Seconds until `who` (an outbox row, or what is said below its card) may go; 0.0: now, and it is counted."""
        turn = self._turns.get(who)
        if turn is not None:
            if turn <= now:
                del self._turns[who]
            return max(0.0, turn - now)
        limit = self._limits.get((platform, method))
        if limit is None:
            return 0.0
        most = max(count for count, _ in limit.windows)
        key = (platform, method, channel if limit.each_channel else "")
        taken = self._taken.setdefault(key, deque(maxlen=most))
        at = max([now, *(taken[-count] + seconds for count, seconds in limit.windows if len(taken) >= count)])
        taken.append(at)
        if at > now:
            self._turns = {each: turn for each, turn in self._turns.items() if turn > now - _MISSED} | {who: at}
        return at - now
