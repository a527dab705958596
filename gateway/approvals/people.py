"""Who stands behind a chat account or a sign-in, and with which groups now. Asked at each click; nothing is cached.

What lives here: the order of what is believed: a link, the accounts that the chat itself vouches for, the address. Groups are
the issuer's alone: of its directory where one is configured, else of the person's last verified token, up to `link_max_age`
old. What must not: how a chat proves who clicked (each front), what a person may do (request.py).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateway.approvals.request import Person, identity
from gateway.identity.accounts import Account
from gateway.store.port import Store

#: An issuer's directory, asked by address; None for an address that it doesn't know.
Directory = Callable[[str], Awaitable[Person | None]]


class People:
    """`clock` gives Unix seconds, `link_max_age` is in seconds. Every method may raise StoreUnavailable."""

    def __init__(
        self, store: Store, *, clock: Callable[[], float], link_max_age: float, directory: Directory | None
    ) -> None:
        self._store = store
        self._clock = clock
        self.link_max_age = link_max_age
        self._directory = directory

    async def reviewer(
        self, email: str, accounts: Sequence[tuple[str, str]] = (), chat: Account | None = None
    ) -> Person | None:
        """Who clicks, by what the chat vouches for: its own account, which may be linked, and an address; None for no address.

        A link says more than an address: its owner has signed in as that person and said so in the chat. `accounts` are
        (issuer, subject) that the chat vouches for, too (Teams: the Entra object id). Nobody known: a Person with the e-mail
        alone, which matches `users` of reviewers and no group.
        """
        linked = None if chat is None else await self._store.linked(chat)
        chat_key = "" if chat is None else chat.key
        if linked is not None:
            who = await self.now(linked)
            return replace(who, also=_once(*who.also, chat_key, *await self._but_for_the_link(email, accounts)))
        if not email:
            return None
        if self._directory is not None:
            known = await self._directory(email)
        else:
            known = await self._seen_lately(email, accounts)
        found = known or Person(issuer="", subject="", user=email, email=email, groups=frozenset())
        return replace(found, also=_once(*found.also, chat_key, *await self.accounts(found)))

    async def _but_for_the_link(self, email: str, accounts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """Whom the chat takes the account for, as Person.also: a link to a second identity does not hide the first."""
        known = await self._directory(email) if self._directory is not None and email else None
        theirs = [*accounts, *([(known.issuer, known.subject)] if known is not None and known.subject else [])]
        return tuple(dict.fromkeys((*([email] if email else []), *(identity(*each) for each in theirs))))

    async def now(self, person: Person) -> Person:
        """This person with the groups of now: none, where nobody who may say so has said so lately.

        A directory's answer is final: whom it doesn't know has no groups, however fresh an old token of theirs is.
        """
        if self._directory is not None:
            known = await self._directory(person.email) if person.email else None
        else:
            known = await self._store.person_by_subject(person.issuer, person.subject, self._since())
        person = replace(person, also=_once(*person.also, *await self.accounts(person)))
        if known is None:
            return replace(person, groups=frozenset())
        if (known.issuer, known.subject) != (person.issuer, person.subject):  # the address is somebody else's by now
            former = tuple(each for each in (person.email, person.user) if each)
            return replace(
                person, user=person.subject, email=None, groups=frozenset(), also=_once(*person.also, *former)
            )
        return replace(known, also=_once(*known.also, *person.also))

    async def accounts(self, person: Person) -> list[str]:
        """The chat accounts that are linked with this identity: another identity with one of them is the same human."""
        return await self._store.accounts_of(person.issuer, person.subject) if person.subject else []

    async def _seen_lately(self, email: str, accounts: Sequence[tuple[str, str]]) -> Person | None:
        for issuer, subject in accounts:
            known = await self._store.person_by_subject(issuer, subject, self._since())
            if known is not None:
                return known
        return await self._store.person_by_email(email, self._since())

    def _since(self) -> float:
        return self._clock() - self.link_max_age


def _once(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in texts if each))
