"""Who logged in is remembered in the store, so that a reviewer's groups are known by e-mail.

What must not live here: what a token says (identity), for how long it counts (gateway.approvals.people).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from gateway.approvals.request import Person
from gateway.errors import StoreUnavailable
from gateway.identity.claims import Identity
from gateway.store.port import Store

log = structlog.get_logger()

#: People whose last token is remembered as stored; then all are forgotten and stored once more.
MOST_SEEN = 10_000
#: Seconds that a login waits for a store that hangs.
ANSWERS_WITHIN = 0.5


class Remembering:
    """`background` keeps a task until the gateway stops."""

    def __init__(self, store: Store, background: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._store = store
        self._background = background
        # (issuer, subject) -> as last stored, and as of when
        self._stored: dict[tuple[str, str], tuple[Person, float]] = {}

    async def saw(self, identity: Identity) -> None:
        """Remember who logged in, as of when the token was issued, however late it comes. What the same token said
        before is stored already, or something newer is: pools connect often. The store being away hinders nobody, and
        one that hangs nobody for long."""
        person = Person(identity.issuer, identity.subject, identity.user, identity.email, identity.groups)
        who, at = (identity.issuer, identity.subject), min(time.time(), identity.issued_at or time.time())
        if self._stored.get(who) == (person, at):
            return
        await asyncio.wait({self._background(self._keep(person, at))}, timeout=ANSWERS_WITHIN)

    async def _keep(self, person: Person, at: float) -> None:
        try:
            await self._store.saw(person, at)
        except StoreUnavailable:
            log.warning("person.not_stored")
            return
        if len(self._stored) >= MOST_SEEN:
            self._stored.clear()
        self._stored[person.issuer, person.subject] = person, at
