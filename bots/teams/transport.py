"""The way out to the Bot Connector, and the only file that imports botbuilder: what replaces it replaces this file.

What lives here: posting, answering, updating, looking up members, as botbuilder-core's adapter and turns do it, and its
failures as one exception. What does not: what is sent (bots.teams.adaptive) and when to try again (gateway.approvals.outbox).

botbuilder-python is archived; its successors are microsoft-agents-* and microsoft-teams-apps. Of it are used: the adapter
(CloudAdapterBase), turns, the connector client and the schema. Not used: its way in (bots.teams.edge says why), its tokens
(they block the event loop) and its HTTP (requests in the loop's few threads, without a time limit): a pipeline of our own
sends over aiohttp, asks for the token without blocking, and turns every refusal into a ConnectorError.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from botbuilder.core import CardFactory, TurnContext
from botbuilder.core.bot_adapter import BotAdapter
from botbuilder.core.cloud_adapter_base import CloudAdapterBase
from botbuilder.schema import (
    Activity,
    ActivityTypes,
    ChannelAccount,
    ConversationAccount,
    ConversationParameters,
    ConversationReference,
)
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import BotFrameworkAuthentication, ClaimsIdentity
from botframework.connector.auth.connector_factory import ConnectorFactory
from msrest.pipeline import AsyncHTTPPolicy, AsyncHTTPSender, AsyncPipeline, Request, Response
from msrest.pipeline.universal import RawDeserializer
from msrest.universal_http.async_abc import AsyncClientResponse
from yarl import URL

from bots.teams.adaptive import Drawn
from bots.teams.tokens import Tokens

#: Seconds for one call; botbuilder has no limit.
TIMEOUT = 5.0
CHANNEL = "msteams"
_PLAIN = "plain"

T = TypeVar("T")


class ConnectorError(Exception):
    """The Bot Connector refused a call: HTTP status, its error code ("" if it gave none), seconds of Retry-After.

    Status 0: there was no usable answer.
    """

    def __init__(self, status: int, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"http {status} {code}".strip() if status else code or "no answer")
        self.status = status
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a message is: what it takes to update it."""

    service_url: str
    conversation: str
    activity: str


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of a team or chat as the Bot Connector knows them; "" for what it doesn't say."""

    aad_object_id: str
    email: str
    user_principal_name: str
    tenant_id: str
    role: str


class Transport:
    """Calls to the Bot Connector as one bot of one tenant. Every method raises ConnectorError, and what Tokens raises."""

    def __init__(self, app_id: str, tenant_id: str, tokens: Tokens) -> None:
        self._app_id = app_id
        self._tenant_id = tenant_id
        self._bot = ChannelAccount(id=f"28:{app_id}")
        self._wires = _Wires(tokens)
        self._adapter = _Adapter(_Outgoing(self._wires))

    async def close(self) -> None:
        await self._wires.close()

    async def post(self, service_url: str, channel: str, drawn: Drawn) -> Sent:
        """A new message of its own in a channel ("19:...@thread.tacv2")."""
        data = {"channel": {"id": channel}, "tenant": {"id": self._tenant_id}}
        return await self._begin(service_url, is_group=True, channel_data=data, activity=_card(drawn))

    async def whisper(self, service_url: str, user: str, drawn: Drawn) -> Sent:
        """A message in the personal chat with a user ("29:..."), which is opened if there is none."""
        data = {"tenant": {"id": self._tenant_id}}
        members = [ChannelAccount(id=user)]
        opened = await self._begin(service_url, is_group=False, channel_data=data, members=members)
        return await self.say(service_url, opened.conversation, drawn)

    async def say(self, service_url: str, conversation: str, said: Drawn | str) -> Sent:
        """A message in a conversation: in the thread, if it is one of a channel ("19:...;messageid=1")."""
        activity = (
            Activity(type=ActivityTypes.message, text=said, text_format=_PLAIN)
            if isinstance(said, str)
            else _card(said)
        )

        async def turn(context: TurnContext) -> str:
            answer = await context.send_activity(activity)
            return str(answer.id)

        return Sent(service_url, conversation, await self._turn(service_url, conversation, turn))

    async def update(self, sent: Sent, drawn: Drawn) -> None:
        """Draw a message anew, for everybody."""
        activity = _card(drawn)
        activity.id = sent.activity

        async def turn(context: TurnContext) -> None:
            await context.update_activity(activity)

        await self._turn(sent.service_url, sent.conversation, turn)

    async def member(self, service_url: str, roster: str, user: str) -> Member:
        """A member of a team or chat (`roster` is its id), asked afresh."""

        async def turn(context: TurnContext) -> Member:
            client = context.turn_state[BotAdapter.BOT_CONNECTOR_CLIENT_KEY]
            found = await client.conversations.get_conversation_member(roster, user)
            more = found.additional_properties
            return Member(
                str(found.aad_object_id or more.get("objectId") or ""),
                *(str(more.get(name) or "") for name in ("email", "userPrincipalName", "tenantId", "userRole")),
            )

        return await self._turn(service_url, roster, turn)

    async def _begin(self, service_url: str, **parameters: Any) -> Sent:
        asked = ConversationParameters(bot=self._bot, tenant_id=self._tenant_id, **parameters)
        opened: list[Sent] = []

        async def turn(context: TurnContext) -> None:
            opened.append(Sent(service_url, str(context.activity.conversation.id), str(context.activity.id)))

        await self._adapter.create_conversation(self._app_id, turn, asked, CHANNEL, service_url)
        return opened[0]

    async def _turn(self, service_url: str, conversation: str, act: Callable[[TurnContext], Awaitable[T]]) -> T:
        """One turn of the adapter in a conversation; what `act` returns."""
        reference = ConversationReference(
            bot=self._bot,
            channel_id=CHANNEL,
            service_url=service_url,
            conversation=ConversationAccount(id=conversation, tenant_id=self._tenant_id),
        )
        results: list[T] = []

        async def turn(context: TurnContext) -> None:
            results.append(await act(context))

        await self._adapter.continue_conversation(reference, turn, self._app_id)
        return results[0]


def _card(drawn: Drawn) -> Activity:
    attachment = CardFactory.adaptive_card(drawn.content)
    return Activity(type=ActivityTypes.message, summary=drawn.summary, attachments=[attachment])


# --- what botbuilder is given in the place of its own ------------------------------------------------------------------


class _Adapter(CloudAdapterBase):  # type: ignore[misc] # botbuilder has no types
    """botbuilder's adapter with our way out."""


class _Outgoing(BotFrameworkAuthentication):  # type: ignore[misc] # as above
    """Ways out only: nothing comes in through botbuilder, and nobody signs users in."""

    def __init__(self, wires: "_Wires") -> None:
        self._wires = wires

    def create_connector_factory(self, _claims: ClaimsIdentity) -> ConnectorFactory:
        return self._wires

    async def create_user_token_client(self, _claims: ClaimsIdentity) -> None:
        return None

    async def authenticate_request(self, *_args: Any) -> Any:
        raise PermissionError("nothing comes in through botbuilder")

    async def authenticate_streaming_request(self, *_args: Any) -> Any:
        raise PermissionError("nothing comes in through botbuilder")


class _Wires(ConnectorFactory):  # type: ignore[misc] # as above
    """Connector clients, one a service URL, over one HTTP session. Made in a running loop."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT), cookie_jar=aiohttp.DummyCookieJar()
        )
        self._clients: dict[str, ConnectorClient] = {}

    async def create(self, service_url: str, _audience: str | None = None) -> ConnectorClient:
        if service_url not in self._clients:
            self._clients[service_url] = ConnectorClient(self._tokens, service_url, pipeline_type=self._pipeline)
        return self._clients[service_url]

    def _pipeline(self, config: Any) -> AsyncPipeline:
        return AsyncPipeline([config.user_agent_policy, _Bearer(self._tokens), RawDeserializer()], _Aiohttp(self._http))

    async def close(self) -> None:
        await self._http.close()


class _Bearer(AsyncHTTPPolicy):  # type: ignore[misc] # msrest has no types for us
    """Adds the token; one that the connector refuses is not used again."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self._tokens = tokens

    async def send(self, request: Request, **options: Any) -> Response:
        request.http_request.headers["Authorization"] = f"Bearer {await self._tokens.token()}"
        try:
            return await self.next.send(request, **options)
        except ConnectorError as error:
            if error.status == 401:
                self._tokens.forget()
            raise


class _Aiohttp(AsyncHTTPSender):  # type: ignore[misc] # as above
    """Sends by aiohttp; raises ConnectorError for everything but success."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def __aexit__(self, *_details: object) -> None:
        """The session is _Wires's."""

    async def send(self, request: Request, **_options: Any) -> Response:
        asked = request.http_request
        try:
            async with self._http.request(
                asked.method,
                URL(asked.url, encoded=True),
                headers=asked.headers,
                data=asked.data,
                allow_redirects=False,  # the token is for this host
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectorError(0, type(error).__name__) from error
        if not 200 <= answer.status < 300:
            raise ConnectorError(answer.status, _code(body), _retry_after(answer.headers.get("Retry-After", "")))
        return Response(request, _Answer(asked, answer, body))


class _Answer(AsyncClientResponse):  # type: ignore[misc] # as above
    """A whole answer, as msrest's deserializer reads it."""

    def __init__(self, request: Any, answer: aiohttp.ClientResponse, body: bytes) -> None:
        super().__init__(request, answer)
        self.status_code = answer.status
        self.headers = {name.lower(): value for name, value in answer.headers.items()}
        self.reason = answer.reason
        self._body = body

    def body(self) -> bytes:
        return self._body


def _code(body: bytes) -> str:
    """The connector's error code: {"error": {"code": "ConversationNotFound", ...}}."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = said.get("error") if isinstance(said, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code[:60] if isinstance(code, str) and code.isprintable() else ""


def _retry_after(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
