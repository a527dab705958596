"""What operators are warned of: what a policy says and nothing enforces, reviewers whom nobody hears, channels in which
others read along, logins that may do too much, masks that mask nothing. Nothing waits for it.

What must not live here: refusing anything (gateway.policy does, and chats.py a channel at the start), `hoop doctor`
(gateway.cli).
"""

import asyncio
import os
from collections.abc import Collection

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.checks import SHARED, shared_channels
from bots.slack.sender import open_client
from gateway.errors import GatewayError
from gateway.policy.model import Policy, Target
from gateway.policy.readers import logins
from gateway.policy.reviewers import asked_in
from gateway.policy.shadowed import shadowed
from gateway.policy.unenforced import notes, unasked
from gateway.policy.unheard import unheard, unknown_groups
from gateway.policy.unmatched import named_at, unmatched
from gateway.relay.credentials import Credentials
from gateway.relay.side import load_catalog, risks
from gateway.settings import Settings, Slack

log = structlog.get_logger()

SHARED_HINT = "Name a channel of your own under reviewers, or list it in SLACK_SHARED_CHANNELS"


class Lookout:
    """`tells`: what is the same of all workers is said by the first of them."""

    def __init__(self, settings: Settings, *, tells: bool) -> None:
        self._settings = settings
        self._tells = tells

    def tell_of_policy(self, policy: Policy) -> None:
        """What it says and nothing enforces, and rules that never count."""
        if not self._tells:
            return
        for note in (*notes(policy), *shadowed(policy)):
            log.warning("policy.not_enforced", note=note)

    def tell_of_chats(self, policy: Policy, chats: Collection[str]) -> None:
        """Reviewers who are asked in a chat that is not set up, or in none, or who are not known."""
        if not self._tells:
            return
        for warning in unasked(policy, chats):
            log.warning("chat.not_configured", warning=warning)
        for warning in unheard(policy):
            log.warning("reviewers.no_channel", warning=warning)
        for warning in unknown_groups(policy) if self._settings.web is None else ():
            log.warning("reviewers.groups_unknown", warning=warning)

    async def tell_of_shared(self, policy: Policy) -> None:
        """A policy that comes later: its cards go there, and operators hear of it."""
        slack = self._settings.slack
        if slack is None or not self._tells:
            return
        client = open_client(slack.bot_token, slack.api_url)
        try:
            for channel in await shared_in(policy, slack, client):
                log.error("slack.shared_channel", channel=channel, problem=SHARED, hint=SHARED_HINT)
        finally:
            if client.session is not None:
                await client.session.close()

    async def tell_of_logins(self, policy: Policy) -> None:
        """Say of each target what its logins should not be able to do, and which masks mask nothing."""
        if not self._tells:
            return
        credentials = Credentials(os.environ)
        for target in policy.targets.values():
            for login in logins(target):
                try:
                    for risk in await risks(login, await credentials.password(login.password)):
                        log.warning("target.risky_login", target=target.name, risk=risk)
                except GatewayError as error:
                    log.warning("target.not_looked_at", target=target.name, login=login.user, problem=_told(error))
            await self._look_for_columns(policy, target, credentials)

    async def _look_for_columns(self, policy: Policy, target: Target, credentials: Credentials) -> None:
        """Warn of masking columns that name this target, and no column of it. Of those for several targets `hoop doctor` tells.

        The catalog is read aside: sessions should not be given one from before they came.
        """
        own = [each for each in named_at(policy, target.name) if each.partition(".")[0] == target.name]
        if not own:
            return
        try:
            catalog = await load_catalog(target, await credentials.password(target.password))
        except GatewayError as error:
            log.warning("masking.columns_not_looked_for", target=target.name, problem=_told(error))
            return
        found = await asyncio.to_thread(unmatched, policy, target.name, catalog.relations.values())
        for column in (each for each in own if each in found):
            hint = f"nothing is masked by it: no column of {target.name} is called that{found[column]}"
            log.warning("masking.no_such_column", target=target.name, column=column, hint=hint)


async def shared_in(policy: Policy, slack: Slack, client: AsyncWebClient) -> list[str]:
    """Of the channels in which somebody is asked, those where others read along and nobody said that they may."""
    asked = {each.removeprefix("slack:") for each in asked_in(policy.reviewers.values(), "slack:")}
    return await shared_channels(client, sorted(asked - slack.shared_channels))


def _told(error: GatewayError) -> str:
    """To operators: what clients are not told of it, or all that they are."""
    detail: str = getattr(error, "detail", "")
    return detail or "; ".join(filter(None, (error.message, error.hint)))
