"""Sessions that people end: the order comes by NOTIFY, or is found when the listener was away; its replica carries it out.

What lives here: from an order to the session it is for. What does not: who may give one (bots.revoking), what the client is
told (gateway.session).
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

import structlog

from gateway.errors import StoreUnavailable
from gateway.store.port import Ending

log = structlog.get_logger()


class Endings:
    """`sessions` are those of this replica; `orders` asks the store; `end` ends one; `keep` runs a task."""

    def __init__(
        self,
        sessions: Callable[[], Sequence[str]],
        orders: Callable[[Sequence[str]], Awaitable[Mapping[str, Ending]]],
        end: Callable[[str, str], None],
        keep: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        self._sessions = sessions
        self._orders = orders
        self._end = end
        self._keep = keep

    def heard(self, channel: str, payload: str) -> None:
        """The store's ear. An empty payload: something may have been missed, so look at all."""
        if channel == "session":
            ours = [each for each in self._sessions() if payload in ("", each)]
            if ours:
                self._keep(self._look(ours))

    async def _look(self, sessions: Sequence[str]) -> None:
        try:
            orders = await self._orders(sessions)
        except StoreUnavailable:
            log.warning("session.orders_not_read")
            return
        for session, order in orders.items():
            self._end(session, f"{order.by}{f': {order.why}' if order.why else ''}")
