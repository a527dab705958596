"""Who is behind an account of Slack's, asked afresh at each click: never taken from a cache or from metadata.

What lives here: who we are ourselves, and who can't be relied on to be a member of this workspace with a proven
address. What must not: what they may do (the desk's to say), which link or directory knows them
(gateway.approvals.people).
"""

import asyncio
from collections.abc import Callable

import aiohttp
import structlog
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bots.commands import Viewer
from bots.slack.blocks import Json
from bots.slack.checks import ahead, skew_text
from gateway.approvals.desk import Desk
from gateway.approvals.request import Person
from gateway.identity.accounts import Account

#: Seconds for the one call that says who clicked.
LOOK_UP = 2.0

log = structlog.get_logger()

NO_LOOK_UP = "Slack could not say who you are just now. Nothing was decided: please try again."


class Unproven(Exception):
    """Who clicked can't be said, or is nobody who could review; the text is for them."""


class Members:
    """`clock` gives Unix seconds, `client` is the workspace's."""

    def __init__(self, client: AsyncWebClient, desk: Desk, clock: Callable[[], float]) -> None:
        self._client = client
        self._desk = desk
        self._clock = clock
        self._known: AuthorizeResult | None = None

    async def ourselves(self) -> AuthorizeResult:
        """Who we are, asked once. Raises what the client raises."""
        if self._known is None:
            async with asyncio.timeout(LOOK_UP):
                said = await self._client.auth_test()
            if off := skew_text(ahead(said.headers, self._clock())):
                log.warning("slack.clock_skew", clock=off, hint="set this machine's clock: Slack's clicks are refused")
            self._known = AuthorizeResult.from_auth_test_response(bot_token=self._client.token, auth_test_response=said)
        return self._known

    async def person(self, user_id: str) -> Person:
        """The person behind a Slack user, asked afresh. Raises Unproven with a text for them."""
        return (await self.viewer(user_id)).person

    async def viewer(self, user_id: str) -> Viewer:
        """That person with the account they clicked with. Raises as `person` does."""
        try:
            async with asyncio.timeout(LOOK_UP):
                user: Json = (await self._client.users_info(user=user_id))["user"]
                us = await self.ourselves()
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("slack.users_info_failed", error=type(error).__name__)
            raise Unproven(NO_LOOK_UP) from error
        problem = next((text for test, text in _DISQUALIFIED if test(user, us.team_id)), None)
        if problem is not None:
            raise Unproven(f"{problem} Nothing was decided.")
        email = str(user.get("profile", {}).get("email") or "")
        account = _account(us, user_id, user, email)
        known = await self._desk.reviewer(email, chat=account)
        if known is None:
            raise Unproven(
                "Slack gives no e-mail address for you, so the gateway can't tell who you are. Nothing was decided. "
                "The app needs the scope users:read.email, your profile an address."
            )
        return Viewer(known, "slack", account)


#: Who can't be relied on to be a member of this workspace with a proven e-mail address; the first match is told.
_DISQUALIFIED: tuple[tuple[Callable[[Json, str | None], bool], str], ...] = (
    (lambda user, _: bool(user.get("deleted")), "This account is deactivated."),
    (lambda user, _: bool(user.get("is_bot")), "Bots decide nothing here."),
    (lambda user, _: bool(user.get("is_stranger")), "People of other workspaces decide nothing here."),
    (lambda user, team: user.get("team_id") != team, "People of other workspaces decide nothing here."),
    (lambda user, _: bool(user.get("is_restricted")), "Guests decide nothing here."),
    (lambda user, _: bool(user.get("is_ultra_restricted")), "Guests decide nothing here."),
    (
        lambda user, _: user.get("is_email_confirmed") is not True,
        "Your e-mail address is not confirmed in Slack: confirm it, then try again.",
    ),
)


def _account(us: AuthorizeResult, user_id: str, user: Json, email: str) -> Account:
    """The ids are Slack's own; one of Enterprise Grid is unique within its enterprise."""
    name = " ".join(filter(None, (str(user.get("real_name") or user.get("name") or ""), f"({email})" if email else "")))
    place = f"{us.enterprise_id or ''}/{us.team_id or ''}"
    return Account("slack", place, user_id, f"{name} in Slack ({us.team or us.team_id})")
