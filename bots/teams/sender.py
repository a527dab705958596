"""Posts and updates cards in Teams for the outbox (it implements gateway.approvals.outbox.Front).

What lives here: how a channel is reached, and which of the Bot Connector's errors mean what. What does not: when to try
again (the outbox), what a card looks like (adaptive). A card is always drawn from the stored request.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Protocol, TypeVar

from bots.below import below
from bots.cards import alarm, card
from bots.seals import seal
from bots.teams.adaptive import LADDER, Drawn, alarm_card, base_card, notice_card
from bots.teams.tokens import LoginRefused
from bots.teams.transport import ConnectorError, Sent, Transport
from gateway.approvals.outbox import Below, PermanentFailure, RetryLater, Unreached
from gateway.approvals.request import ApprovalRequest

_ADD = "add the app to the channel's team: Teams admin center, or the package of hoop manifest teams"

#: The connector's error -> what a person has to do. None of them goes away by trying again.
HINTS = {
    "BotDisabledByAdmin": "an administrator has blocked the app: allow it in the Teams admin center",
    "BotNotInConversationRoster": _ADD,
    "BotNotRegistered": "the bot is not registered: check TEAMS_APP_ID and its Azure Bot resource",
    "ConversationBlockedByUser": "the user has blocked the app",
    "ConversationNotFound": "check the channel id in policies.yaml (Get link to channel); it must be in a team with the app",
    "InvalidBotApiHost": "the tenant is in another cloud: check TEAMS_OPENID_METADATA_URL and TEAMS_LOGIN_URL",
    "MessageWritesBlocked": "the app may not write there: name another channel under reviewers in policies.yaml",
    "NotEnoughPermissions": "the app may not write there: name another channel under reviewers in policies.yaml",
}
#: Of these the app is out of the conversation: how it was reached is of no use any more.
_PARTED = frozenset({"BotNotInConversationRoster", "ConversationBlockedByUser"})
#: The message is out of reach: post a new one.
_GONE = frozenset({"ActivityNotFoundInConversation"})
#: Connections that never came about (aiohttp's names).
_UNREACHED = frozenset({"ClientConnectorError", "ClientConnectorDNSError", "ClientConnectorCertificateError"})
#: Unknown refusals that another attempt will not change.
_FINAL = frozenset({400, 403, 404, 405, 410})
_MOST_SECONDS = 30.0  # a hold would not outlast more


T = TypeVar("T")


class References(Protocol):
    """What the store knows of conversations."""

    async def service_url(self, conversation: str) -> str | None: ...

    async def parted(self, conversation: str) -> None: ...


class TeamsUnwellError(Exception):
    """The Bot Connector failed in a way that goes away by itself; the text is its code."""


class TeamsSender:
    """A Front of the outbox; `clock` gives Unix seconds. `ref` is JSON: transport.Sent.

    All methods raise RetryLater (429), PermanentFailure (with a hint for operators), Unreached, TeamsUnwellError, LoginAway and
    IssuerError for what the outbox tries again at its own pace.
    """

    def __init__(
        self, transport: Transport, references: References, button_key: bytes, clock: Callable[[], float]
    ) -> None:
        self._transport = transport
        self._references = references
        self._key = button_key
        self._clock = clock

    async def post(self, channel: str, request: ApprovalRequest) -> str:
        """Post the card."""
        service_url, begin = await self._service_url(channel), self._beginning(channel)
        sent = await self._down_the_ladder(request, channel, lambda drawn: begin(service_url, channel, drawn))
        return json.dumps(asdict(sent))

    async def update(self, channel: str, ref: str, request: ApprovalRequest) -> str:
        """Draw the card anew for everybody; posts a new one if the old is gone."""
        sent = Sent(**json.loads(ref))
        try:
            await self._down_the_ladder(request, channel, lambda drawn: self._transport.update(sent, drawn))
        except _GoneError:
            return await self.post(channel, request)
        return ref

    async def remind(self, ref: str, request: ApprovalRequest, about: Below = Below.WAITING) -> None:
        """Say in the card's thread that it still waits, or what `about` is."""
        sent = Sent(**json.loads(ref))
        try:
            await self._transport.say(sent.service_url, sent.conversation, notice_card(below(request, about)))
        except LoginRefused as error:
            raise PermanentFailure(str(error)) from error
        except ConnectorError as error:
            raise await self._meaning(error, sent.conversation.partition(";")[0]) from error

    async def say(self, channel: str, text: str) -> None:
        """A message of its own in a channel."""
        await self._say(channel, notice_card(text))

    async def alarm(self, channel: str, request: ApprovalRequest) -> str:
        """Say in the channel that the glass is broken: a message of its own, which a thread would hide."""
        return json.dumps(asdict(await self._say(channel, alarm_card(alarm(request)))))

    async def _say(self, channel: str, drawn: Drawn) -> Sent:
        service_url = await self._service_url(channel)
        try:
            return await self._beginning(channel)(service_url, channel, drawn)
        except LoginRefused as error:
            raise PermanentFailure(str(error)) from error
        except ConnectorError as error:
            raise await self._meaning(error, channel) from error

    async def _service_url(self, channel: str) -> str:
        service_url = await self._references.service_url(channel)
        if service_url is None:
            raise PermanentFailure(f"Teams has not said yet how it is reached: {_ADD}")
        return service_url

    def _beginning(self, channel: str) -> Callable[[str, str, Drawn], Awaitable[Sent]]:
        """How a message of its own is begun: a group chat is there already."""
        return self._transport.say if channel.endswith("@thread.v2") else self._transport.post

    async def _down_the_ladder(
        self, request: ApprovalRequest, channel: str, send: Callable[[Drawn], Awaitable[T]]
    ) -> T:
        """Send the biggest card that fits; when the connector says "too big", the next smaller one."""
        step = 0
        while True:
            drawn = base_card(card(request, self._clock()), seal(self._key, request), start=step)
            try:
                return await send(drawn)
            except LoginRefused as error:
                raise PermanentFailure(str(error)) from error
            except ConnectorError as error:
                if error.status != 413:
                    raise await self._meaning(error, channel) from error
                step = drawn.step + 1
                if step == len(LADDER):
                    raise PermanentFailure("Teams refuses even the smallest card: http 413") from error

    async def _meaning(self, error: ConnectorError, channel: str) -> Exception:
        if error.status == 0 and error.code in _UNREACHED:
            return Unreached(f"Teams can't be reached: {error.code}")
        if error.status == 429:
            return RetryLater(min(_MOST_SECONDS, max(1.0, error.retry_after or 1.0)))
        if error.code in _GONE:
            return _GoneError(error.code)
        if error.code in _PARTED:
            await self._references.parted(channel)
        if error.code in HINTS:
            return PermanentFailure(f"{error.code}: {HINTS[error.code]}")
        if error.status in _FINAL:
            return PermanentFailure(f"Teams refuses the card: {error}")
        return TeamsUnwellError(str(error))


class _GoneError(Exception):
    """The posted message can't be updated any more."""
