"""From who clicked in Teams to a Person, asked afresh each time: never from a cache, never from what the click says of itself.

What lives here: who can be relied on to be a member of the tenant, and which accounts and addresses name them. What does
not: what they may do (the issuer's groups, gateway.approvals.desk). Teams and Entra ID share one object id, so where the
policy's issuer is the bot's own tenant and its subject is `oid`, the account itself is known; else the address is.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from bots.answers import Viewer
from bots.teams.edge import Json, at
from bots.teams.tokens import LOGIN_URL, LoginAway, LoginRefused
from bots.teams.transport import ConnectorError, Member, Transport
from gateway.approvals.desk import Desk
from gateway.approvals.request import Person
from gateway.identity.accounts import Account
from gateway.identity.documents import IssuerError

log = structlog.get_logger()

#: Seconds for the roster, and where ours has ended for a new token: Teams shows its own error after 5.
LOOK_UP = 4.0
NO_LOOK_UP = "Teams could not say who you are just now. Nothing was decided: please try again."
NO_ADDRESS = (
    "Teams gives no e-mail address for you, so the gateway can't tell who you are. Nothing was decided. "
    "Your account in Entra ID needs one."
)


class Unproven(Exception):
    """Who clicked can't be said, or is nobody who could review; the text is for them."""


class People:
    """Looks people up in the roster of the conversation that they clicked in."""

    def __init__(self, transport: Transport, desk: Desk, tenant_id: str, login_url: str = "") -> None:
        self._transport = transport
        self._desk = desk
        self._tenant_id = tenant_id.casefold()
        login = (login_url or LOGIN_URL).rstrip("/")
        self._issuers = (f"{login}/{tenant_id}/v2.0", f"https://sts.windows.net/{tenant_id}/")

    async def person(self, activity: Json) -> Person:
        """The person behind an accepted activity. Raises Unproven, StoreUnavailable."""
        return (await self.viewer(activity)).person

    async def viewer(self, activity: Json) -> Viewer:
        """The same, with their account. Raises Unproven, StoreUnavailable."""
        member = await self._member(activity)
        claimed = str(at(activity, "from", "aadObjectId") or "").casefold()
        if not claimed or claimed != member.aad_object_id.casefold():
            raise Unproven(NO_LOOK_UP)
        problem = next((text for test, text in _DISQUALIFIED if test(member, self._tenant_id)), None)
        if problem is not None:
            raise Unproven(f"{problem} Nothing was decided.")
        account = Account("teams", self._tenant_id, claimed, f"{member.user_principal_name or member.email} in Teams")
        return Viewer(await self._known(member, account), "teams", account)

    async def _member(self, activity: Json) -> Member:
        user = at(activity, "from", "id")
        roster = at(activity, "channelData", "team", "id") or at(activity, "conversation", "id")
        if not isinstance(user, str) or not isinstance(roster, str):
            raise Unproven(NO_LOOK_UP)
        try:
            async with asyncio.timeout(LOOK_UP):
                return await self._transport.member(activity["serviceUrl"], roster.partition(";")[0], user)
        except (ConnectorError, LoginAway, LoginRefused, IssuerError, TimeoutError) as error:
            log.warning("teams.member_failed", error=str(error) or type(error).__name__)
            raise Unproven(NO_LOOK_UP) from error

    async def _known(self, member: Member, account: Account) -> Person:
        """By link, by account, by address, by sign-in name; at the end a Person whom only the addresses name."""
        addresses = list(dict.fromkeys(filter(None, (member.email, member.user_principal_name))))
        accounts = [(issuer, member.aad_object_id) for issuer in self._issuers]
        found: Person | None = None
        for address in addresses:
            found = await self._desk.reviewer(address, accounts, account)
            if found is not None and found.subject:
                return replace(found, also=tuple(dict.fromkeys((*addresses, *found.also)))) if found.also else found
        if found is None:
            raise Unproven(NO_ADDRESS)
        return replace(found, user=addresses[-1], email=addresses[0])  # both, or one could approve the other's request


#: Who can't be relied on to be a member of this tenant; the first match is told.
_DISQUALIFIED: tuple[tuple[Callable[[Member, str], bool], str], ...] = (
    (
        lambda member, tenant: member.tenant_id.casefold() != tenant,
        "People of other organisations decide nothing here.",
    ),
    (lambda member, _: "#ext#" in member.user_principal_name.casefold(), "Guests decide nothing here."),
    (lambda member, _: member.role != "user", "Guests and bots decide nothing here."),
)
