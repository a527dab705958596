"""Slack's rate limits as token buckets. Pure: time arrives as an argument, in seconds.

Special case: chat.postMessage and chat.postEphemeral have about one message a second a channel, with short bursts.
Everything else has a tier, counted a method. Source: Slack's "Rate limits" page and the method pages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TIERS: dict[str, int] = {  # calls a minute
    "chat.update": 50,
    "chat.delete": 50,
    "chat.postEphemeral": 100,
    "views.open": 100,
    "views.update": 100,
    "views.push": 100,
    "views.publish": 100,
    "users.info": 100,
    "users.lookupByEmail": 50,
    "usergroups.list": 20,
    "usergroups.users.list": 20,
    "conversations.open": 50,
    "conversations.info": 50,
    "conversations.members": 100,
    "files.getUploadURLExternal": 100,
    "files.completeUploadExternal": 100,
    "apps.connections.open": 50,
}
MESSAGES_A_SECOND = 1.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Rates:
    """The buckets of one workspace."""

    def __init__(self, burst: int) -> None:
        self._burst = burst
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def retry_after(self, method: str, channel: str, now: float) -> int:
        """Take a place for one call; return 0, or the whole seconds after which there is one again (Retry-After)."""
        if method == "chat.postMessage":
            return self._take((method, channel), self._burst, MESSAGES_A_SECOND, now)
        if method in TIERS:
            return self._take((method, ""), TIERS[method], TIERS[method] / 60, now)
        return 0

    def _take(self, key: tuple[str, str], size: float, a_second: float, now: float) -> int:
        bucket = self._buckets.setdefault(key, _Bucket(size, now))
        bucket.left = min(size, bucket.left + (now - bucket.at) * a_second)
        bucket.at = now
        if bucket.left >= 1:
            bucket.left -= 1
            return 0
        return max(1, math.ceil((1 - bucket.left) / a_second))
