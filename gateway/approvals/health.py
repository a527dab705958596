"""How a chat takes what it is sent: the last success, what has failed since, whether it is away. Pure; values of one process."""

from dataclasses import dataclass, replace

#: Seconds for which a card that nobody sees is tried, until its request is undeliverable.
PATIENCE = 20.0
#: Seconds without an attempt after which a failure says nothing of the ones before it.
FORGOTTEN = 60.0
#: Failures of the chat itself until it may count as away.
AWAY_FROM = 3


@dataclass(frozen=True, slots=True)
class ChatHealth:
    """`last_ok`: Unix seconds of the last card that was shown, None for none yet. `failures`: those since, and the last error.

    `away`: how many of them, without a longer pause between two, were the chat's own (it could not be reached, gave an error
    of its servers, did not answer), from the first at `away_from` to the last at `away_at`.
    """

    last_ok: float | None = None
    failures: int = 0
    last_error: str = ""
    away: int = 0
    away_from: float = 0.0
    away_at: float = 0.0

    def shown(self, now: float) -> "ChatHealth":
        """A card was shown."""
        return ChatHealth(now)

    def failed(self, error: str, away_at: float | None = None) -> "ChatHealth":
        """A card was not shown; `away_at` where that was the chat's own failure, and no answer of it to this card."""
        failed = replace(self, failures=self.failures + 1, last_error=error)
        if away_at is None:
            return failed
        if not self.away or away_at - self.away_at > FORGOTTEN:
            return replace(failed, away=1, away_from=away_at, away_at=away_at)
        return replace(failed, away=self.away + 1, away_at=away_at)

    def is_away(self, patience: float = PATIENCE) -> bool:
        """It has failed for `patience` seconds, as long as one card is tried: who comes now need not find out anew."""
        return self.away >= AWAY_FROM and self.away_at - self.away_from >= patience
