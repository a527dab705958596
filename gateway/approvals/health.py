"""How a chat takes what it is sent: the last success, what has failed since. Pure; values of one process."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ChatHealth:
    """`last_ok`: Unix seconds of the last card that was shown, None for none yet. `failures`: those since, and the last error."""

    last_ok: float | None = None
    failures: int = 0
    last_error: str = ""

    def shown(self, now: float) -> "ChatHealth":
        """A card was shown."""
        return ChatHealth(now)

    def failed(self, error: str) -> "ChatHealth":
        """A card was not shown."""
        return replace(self, failures=self.failures + 1, last_error=error)
