"""What stores keep of people's sign-ins: tickets, which are good once, and links between chat accounts and persons.

The port and both of its kinds in one place: they are small, and the rest of a store knows nothing of them. What must not live
here: what a ticket says (bots.web, bots.linking), secrets (a ticket's id is a digest).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from gateway.approvals.request import Person
from gateway.identity.accounts import Account

if TYPE_CHECKING:  # asyncpg's classes are generic in its stubs only
    from asyncpg import Record


class SignIns(Protocol):
    """A part of store.port.Store: raises StoreUnavailable; times are Unix seconds."""

    async def put_ticket(self, ticket: str, body: str, until: float) -> None:
        """Keep JSON text under this id until a moment of the store's clock. An id is used once."""

    async def ticket(self, ticket: str) -> str | None:
        """What is kept under this id, if its time is not over."""

    async def take_ticket(self, ticket: str) -> str | None:
        """The same, and it is gone: of several who ask at once one gets it."""

    async def link(self, account: Account, person: Person, at: float) -> None:
        """This chat account is this person's from now on, whosever it was. `person.also`: whom the chat took it for."""

    async def linked(self, account: Account) -> Person | None:
        """Whose it is, without groups; None for an account that nobody has linked."""

    async def accounts_of(self, issuer: str, subject: str) -> list[str]:
        """The accounts (Account.key) that are linked with this identity, and whom the chats took them for (Person.also)."""

    async def unlink(self, account: Account) -> bool:
        """It is nobody's any more. False: it was nobody's."""


class PostgresSignIns:
    """The part of PostgresStore."""

    if TYPE_CHECKING:

        async def _fetch(self, query: str, *parameters: object) -> "list[Record]": ...

    async def put_ticket(self, ticket: str, body: str, until: float) -> None:
        await self._fetch("ticket_put", ticket, body, until)

    async def ticket(self, ticket: str) -> str | None:
        rows = await self._fetch("ticket_get", ticket)
        return str(rows[0]["body"]) if rows else None

    async def take_ticket(self, ticket: str) -> str | None:
        rows = await self._fetch("ticket_take", ticket)
        return str(rows[0]["body"]) if rows else None

    async def link(self, account: Account, person: Person, at: float) -> None:
        who = (person.issuer, person.subject, person.user, person.email)
        await self._fetch("link_put", account.front, account.place, account.user, *who, at, list(person.also))

    async def linked(self, account: Account) -> Person | None:
        rows = await self._fetch("link_get", account.front, account.place, account.user)
        return Person(**rows[0], groups=frozenset()) if rows else None

    async def accounts_of(self, issuer: str, subject: str) -> list[str]:
        rows = await self._fetch("link_of", issuer, subject)
        return [
            each
            for row in rows
            for each in (Account(row["front"], row["place"], row["account"], "").key, *map(str, row["also"]))
        ]

    async def unlink(self, account: Account) -> bool:
        return bool(await self._fetch("link_remove", account.front, account.place, account.user))


@dataclass(slots=True)
class MemorySignIns:
    """The part of MemoryStore."""

    clock: Callable[[], float]
    away: bool = False
    _tickets: dict[str, tuple[str, float]] = field(default_factory=dict)
    _links: dict[tuple[str, str, str], Person] = field(default_factory=dict)

    if TYPE_CHECKING:

        def _here(self) -> None: ...

    async def put_ticket(self, ticket: str, body: str, until: float) -> None:
        self._here()
        self._tickets = {each: kept for each, kept in self._tickets.items() if kept[1] > self.clock()}
        self._tickets[ticket] = (body, until)

    async def ticket(self, ticket: str) -> str | None:
        self._here()
        body, until = self._tickets.get(ticket, ("", 0.0))
        return body if until > self.clock() else None

    async def take_ticket(self, ticket: str) -> str | None:
        found = await self.ticket(ticket)
        self._tickets.pop(ticket, None)
        return found

    async def link(self, account: Account, person: Person, at: float) -> None:  # noqa: ARG002 - the port's
        self._here()
        self._links[account.front, account.place, account.user] = Person(
            person.issuer, person.subject, person.user, person.email, frozenset(), person.also
        )

    async def linked(self, account: Account) -> Person | None:
        self._here()
        found = self._links.get((account.front, account.place, account.user))
        return None if found is None else replace(found, also=())

    async def accounts_of(self, issuer: str, subject: str) -> list[str]:
        self._here()
        theirs = [each for each in self._links.items() if (each[1].issuer, each[1].subject) == (issuer, subject)]
        return [each for key, person in theirs for each in (Account(*key, "").key, *person.also)]

    async def unlink(self, account: Account) -> bool:
        self._here()
        return self._links.pop((account.front, account.place, account.user), None) is not None
