"""`/hoop link [CODE | remove]`: binds a chat account to a person at the issuer, by one sign-in in a browser.

What lives here: the two ends of it in chat. What does not: the pages and the sign-in between them (bots.web), whom a linked
account then stands for (gateway.approvals.people).

    chat: /hoop link -> a link, good once, for ten minutes -> browser: sign in, look, confirm -> a code
    chat: /hoop link CODE -> bound

Why the code: a link can be stolen, and it can be sent to somebody. Who opens the link of another would bind that account to
himself; who gets another to open his own would make his account theirs. So the browser only says "I am this person, and I
agree", and the account says "and I am I" with what that browser has shown: the code is good for that account alone.
"""

import json
from collections.abc import Callable

from bots.answers import Answer, Verb, Viewer, Way
from bots.texts import line, moment
from gateway.approvals.request import Person, known_as
from gateway.identity.accounts import Account, as_values
from gateway.identity.login import ticket, typed_code
from gateway.store.signins import SignIns

#: Seconds that a link, and all that comes of it, is good for.
LIFETIME = 600.0

HELP = (
    "/hoop link - sign in once, so that the gateway knows who you are and your groups.",
    "It gives you a link for ten minutes. Sign in there, then type the code that the page shows: /hoop link CODE",
    "/hoop link remove - this account is not linked any more.",
)
NOT_HERE = "Linking is for accounts in Slack and Teams."
NOT_SET_UP = "This gateway has no client at your issuer: its operator has to set HOOP_WEB_CLIENT_ID and its like."
WRONG = (
    "This code is not one for your account, or its time is over. Nothing was linked.",
    "Begin again with /hoop link, and open the link that it gives you yourself.",
)


class Linking:
    """`page` gives the address of a link's page, None where people can't sign in; `key` is that of tickets; `fresh` makes
    secrets; `record` writes an audit entry and raises if it can't; `clock` is Unix seconds."""

    def __init__(
        self,
        store: SignIns,
        *,
        page: Callable[[str], str] | None,
        key: bytes,
        fresh: Callable[[], str],
        record: Callable[..., object],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._page = page
        self._key = key
        self._fresh = fresh
        self._record = record
        self._clock = clock

    def verb(self) -> Verb:
        """The command."""
        return Verb(self.answer, HELP)

    async def answer(self, text: str, viewer: Viewer) -> Answer:
        """Raises StoreUnavailable, and what `record` raises."""
        if viewer.account is None:
            return Answer("Not linked", (NOT_HERE,))
        if text.lower() in ("remove", "off"):
            return await self._remove(viewer.account)
        if self._page is None:
            return Answer("Not linked", (NOT_SET_UP,))
        return (
            await self._bind(text, viewer.account, viewer.person)
            if text
            else await self._begin(viewer.account, self._page)
        )

    async def _begin(self, account: Account, page: Callable[[str], str]) -> Answer:
        secret, until = self._fresh(), self._clock() + LIFETIME
        body = json.dumps({"purpose": "link", "account": as_values(account), "until": until})
        await self._store.put_ticket(ticket(self._key, "link", secret), body, until)
        linked = await self._store.linked(account)
        now = f"Linked to {_called(linked)} now: signing in again renews your groups." if linked else "Not linked yet."
        lines = (
            now,
            f"Sign in before {moment(until)}. The link is good once, and for you alone: give it to nobody.",
            "At its end the page shows a code, or says that all is done. Type the code here: /hoop link CODE",
        )
        return Answer("Link this account", lines, way=Way("Sign in", page(secret)))

    async def _bind(self, text: str, account: Account, taken_for: Person) -> Answer:
        code = typed_code(text)
        kept = await self._store.take_ticket(ticket(self._key, "code", account.key, code)) if code else None
        if kept is None:
            return Answer("Nothing was linked", WRONG)
        who = Person(**json.loads(kept), groups=frozenset(), also=known_as(taken_for))
        about = {"subject": who.subject, "user": who.user, "account": account.key, "via": account.front}
        self._record(kind="linked", **about)
        try:
            await self._store.link(account, who, self._clock())
        except BaseException:
            self._record(kind="unlinked", **about, reason="the link could not be stored")
            raise
        return Answer("Linked", (f"You are {_called(who)} here from now on, at every click.", "/hoop whoami shows it."))

    async def _remove(self, account: Account) -> Answer:
        linked = await self._store.linked(account)
        if linked is None:
            return Answer("Nothing to remove", ("This account is not linked.",))
        about = {"subject": linked.subject, "user": linked.user, "account": account.key, "via": account.front}
        self._record(kind="unlinked", **about)
        await self._store.unlink(account)
        return Answer(
            "No longer linked", (f"You were {_called(linked)}. The gateway goes by your e-mail address again.",)
        )


def _called(person: Person) -> str:
    return f"{line(person.user)} ({line(person.subject)} at {line(person.issuer)})"
