"""botbuilder's adapter over our pipeline against the Bot Connector of the tests: what arrives, and what each failure becomes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bots.teams.adaptive import notice_card
from bots.teams.transport import ConnectorError, Sent, Transport
from tests.bots.teams.office import Parts
from tests.fakes.teams import APP_ID, Channel, Teams, User

DRAWN = notice_card("held")


class Room:
    def __init__(self, teams: Teams, parts: Parts) -> None:
        self.teams = teams
        self.parts = parts
        self.bob: User = teams.person("Bob", upn="bob@corp.example")
        self.channel: Channel = teams.channel([self.bob])
        self.channel.installed = True

    @property
    def transport(self) -> Transport:
        return self.parts.transport

    async def post(self) -> Sent:
        return await self.transport.post(self.teams.service_url, self.channel.id, DRAWN)


@pytest_asyncio.fixture
async def room(teams: Teams) -> AsyncIterator[Room]:
    made = Room(teams, Parts.of(teams))
    yield made
    await made.parts.close()


async def test_a_card_in_a_channel_is_a_message_of_its_own(room: Room) -> None:
    sent = await room.post()
    (message,) = room.teams.messages
    assert sent == Sent(room.teams.service_url, f"{room.channel.id};messageid={message.id}", message.id)
    assert (message.card, message.activity["summary"]) == (DRAWN.content, "held")


async def test_an_update_is_of_that_message(room: Room) -> None:
    sent = await room.post()
    await room.transport.update(sent, notice_card("executed"))
    (message,) = room.teams.messages
    assert (message.updates, message.text) == (1, "executed")
    assert message.activity["id"] == message.id


async def test_a_thread_and_a_personal_chat(room: Room) -> None:
    sent = await room.post()
    await room.transport.say(room.teams.service_url, sent.conversation, "in the thread *plain*")
    said = await room.transport.whisper(room.teams.service_url, room.bob.id, DRAWN)
    thread, whispered = room.teams.messages[1:]
    assert thread.conversation == sent.conversation
    assert (thread.activity["text"], thread.activity["textFormat"]) == ("in the thread *plain*", "plain")
    assert whispered.channel is room.teams.chat(room.bob)
    assert said.conversation == whispered.channel.id


async def test_a_member_is_asked_afresh(room: Room) -> None:
    for role in ("user", "guest"):
        room.bob.role = role
        member = await room.transport.member(room.teams.service_url, room.channel.team, room.bob.id)
        assert (member.role, member.email, member.user_principal_name) == (role, "bob@example.com", "bob@corp.example")
        assert (member.aad_object_id, member.tenant_id) == (room.bob.aad, room.bob.tenant)
    with pytest.raises(ConnectorError) as refused:
        await room.transport.member(room.teams.service_url, room.channel.team, "29:nobody")
    assert (refused.value.status, refused.value.code) == (404, "MemberNotFoundInConversation")


@pytest.mark.parametrize(
    ("status", "code", "retry_after", "body"),
    [
        (429, "TooManyRequests", 7, None),
        (403, "BotNotInConversationRoster", None, None),
        (413, "MessageSizeTooBig", None, None),
        (412, "PreconditionFailed", None, None),
        (502, "", None, "<html>bad gateway</html>"),
        (500, "", None, ""),
        (503, "", None, '{"error": "text"}'),
        (504, "", None, '{"error": {"code": ["x"]}}'),
        (302, "", None, "moved"),
    ],
)
async def test_every_refusal_says_its_status(
    room: Room, status: int, code: str, retry_after: int | None, body: str | None
) -> None:
    room.teams.fail("create", status, code, retry_after=retry_after, body=body)
    with pytest.raises(ConnectorError) as refused:
        await room.post()
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (status, code, retry_after)


async def test_a_token_that_is_refused_is_not_used_again(room: Room) -> None:
    await room.post()
    room.teams.microsoft.issued.clear()
    with pytest.raises(ConnectorError) as refused:
        await room.post()
    assert refused.value.status == 401
    await room.post()


async def test_a_connector_that_is_away_is_one_error(room: Room) -> None:
    await room.parts.tokens.token()
    with pytest.raises(ConnectorError) as refused:
        await room.transport.post("http://127.0.0.1:1/emea/", room.channel.id, DRAWN)
    assert refused.value.status == 0
    assert str(refused.value) == "ClientConnectorError"


async def test_nothing_comes_in_through_botbuilder(room: Room) -> None:
    with pytest.raises(PermissionError):
        await room.transport._adapter.bot_framework_authentication.authenticate_request(None, "")


async def test_the_bot_is_named_as_teams_names_it(room: Room) -> None:
    assert room.transport._bot.id == f"28:{APP_ID}"
