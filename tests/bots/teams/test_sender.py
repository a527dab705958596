"""Posting and redrawing cards through botbuilder, with each fault that the Bot Connector has for it."""

import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from bots.teams.adaptive import LADDER
from bots.teams.sender import HINTS, TeamsSender, TeamsUnwellError
from gateway.approvals.outbox import Front, PermanentFailure, RetryLater, Unreached
from gateway.approvals.request import State
from gateway.store.memory import MemoryStore
from tests.bots.samples import DELETE, PLAIN, STATES
from tests.bots.teams.office import Parts
from tests.fakes.clock import Clock
from tests.fakes.teams import Channel, Teams

REQUEST = replace(PLAIN, opened_at=time.time(), expires_at=time.time() + 86_400)  # longer than any run of the tests


class Room:
    def __init__(self, teams: Teams, parts: Parts) -> None:
        self.teams = teams
        self.store = MemoryStore(time.time)
        self.channel: Channel = teams.channel([teams.person("Bob")])
        self.channel.installed = True
        self.sender = TeamsSender(parts.transport, self.store, b"k" * 32, time.time)

    async def post(self) -> str:
        return await self.sender.post(self.channel.id, REQUEST)


@pytest_asyncio.fixture
async def room(teams: Teams) -> AsyncIterator[Room]:
    parts = Parts.of(teams)
    made = Room(teams, parts)
    await made.store.met(made.channel.id, made.channel.team, teams.service_url, 1.0)
    yield made
    await parts.close()


async def test_it_is_a_front(room: Room) -> None:
    front: Front = room.sender
    ref = json.loads(await front.post(room.channel.id, REQUEST))
    (message,) = room.teams.messages
    assert ref == {
        "service_url": room.teams.service_url,
        "conversation": f"{room.channel.id};messageid={message.id}",
        "activity": message.id,
    }


async def test_a_card_is_posted_and_redrawn(room: Room) -> None:
    ref = await room.post()
    (message,) = room.teams.messages
    assert message.activity["summary"].startswith("ann@example.com (cursor) wants to DELETE 42 rows")
    assert await room.sender.update(room.channel.id, ref, STATES[State.EXECUTED]) == ref
    assert len(room.teams.messages) == 1
    assert message.text.startswith("✓ Executed: DELETE on public.customers")


async def test_a_reminder_stands_in_the_thread_of_its_card(room: Room) -> None:
    ref = await room.post()
    await room.sender.remind(ref, REQUEST)
    card, said = room.teams.messages
    assert said.conversation == f"{room.channel.id};messageid={card.id}"
    assert said.activity["summary"].startswith("Still waiting for dba: DELETE on public.customers in production (shop)")


async def test_an_alarm_is_a_message_of_its_own(room: Room) -> None:
    broken = replace(STATES[State.APPROVED], broken="payments are down", approvals_needed=2)
    ref = json.loads(await room.sender.alarm(room.channel.id, broken))
    (said,) = room.teams.messages
    assert ref["activity"] == said.id
    assert said.conversation == f"{room.channel.id};messageid={said.id}"
    assert said.activity["summary"].startswith("GLASS BROKEN: DELETE on public.customers")
    assert "payments are down" in said.text
    with pytest.raises(PermanentFailure):
        await room.sender.alarm("19:nowhere@thread.tacv2", broken)


@pytest.mark.parametrize("state", list(State))
async def test_teams_takes_every_state(room: Room, state: State) -> None:
    ref = await room.post()
    assert await room.sender.update(room.channel.id, ref, STATES[state]) == ref


async def test_a_group_chat_is_written_to_where_it_is(room: Room) -> None:
    chat = Channel("19:dbas@thread.v2", "", room.channel.members, installed=True, kind="groupChat")
    room.teams.channels[chat.id] = chat
    ref = json.loads(await room.sender.post(chat.id, REQUEST))
    assert ref["conversation"] == chat.id
    assert room.teams.calls == ["send"]


async def test_where_teams_never_wrote_from_is_said(room: Room) -> None:
    await room.store.parted(room.channel.id)
    with pytest.raises(PermanentFailure, match="add the app"):
        await room.post()
    assert room.teams.calls == []


async def test_rate_limits_say_when(room: Room) -> None:
    for asked, waited in ((7, 7.0), (4000, 30.0), (None, 1.0)):
        room.teams.fail("create", 429, retry_after=asked)
        with pytest.raises(RetryLater) as caught:
            await room.post()
        assert caught.value.seconds == waited


async def test_real_rate_limits_are_met_and_kept(teams: Teams) -> None:
    clock = Clock(1000.0)
    teams._relaxed, teams._clock = False, clock
    parts = Parts.of(teams)
    room = Room(teams, parts)
    await room.store.met(room.channel.id, "", teams.service_url, 1.0)
    for _ in range(7):
        await room.post()
    with pytest.raises(RetryLater) as caught:
        await room.post()
    clock.now += caught.value.seconds + 1
    await room.post()
    await parts.close()


@pytest.mark.parametrize("code", sorted(HINTS))
async def test_what_will_not_go_away_is_permanent_with_a_hint(room: Room, code: str) -> None:
    room.teams.fail("create", 403, code)
    with pytest.raises(PermanentFailure, match=code) as caught:
        await room.post()
    assert HINTS[code] in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_refusals_without_a_known_code_are_permanent(room: Room, status: int) -> None:
    room.teams.fail("create", status, "SomethingNew")
    with pytest.raises(PermanentFailure, match="SomethingNew"):
        await room.post()


async def test_where_the_app_was_taken_out_is_forgotten(room: Room) -> None:
    room.teams.fail("create", 403, "BotNotInConversationRoster")
    with pytest.raises(PermanentFailure):
        await room.post()
    assert await room.store.service_url(room.channel.id) is None


@pytest.mark.parametrize("status", [401, 412, 500, 502, 503, 504])
async def test_what_goes_away_is_tried_again(room: Room, status: int) -> None:
    room.teams.fail("create", status, body="<html>")
    with pytest.raises(TeamsUnwellError, match=f"http {status}"):
        await room.post()
    await room.post()


async def test_a_connector_that_is_not_there_has_shown_nothing(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    await room.store.met(room.channel.id, "", f"http://127.0.0.1:{port}/", 9e9)
    with pytest.raises(Unreached):
        await room.post()


async def test_credentials_that_are_refused_are_permanent(room: Room) -> None:
    room.teams.microsoft.password = "another"
    with pytest.raises(PermanentFailure, match="TEAMS_APP_PASSWORD"):
        await room.post()


async def test_a_card_too_big_is_drawn_smaller(room: Room) -> None:
    room.teams.fail("create", 413, "MessageSizeTooBig", times=2)
    await room.post()
    (message,) = room.teams.messages
    assert not [each for each in message.card["body"] if each["type"] == "Table"]
    assert message.card["actions"]


async def test_the_ladder_ends(room: Room) -> None:
    room.teams.fail("create", 413, "MessageSizeTooBig", times=len(LADDER))
    with pytest.raises(PermanentFailure, match="even the smallest card"):
        await room.post()


async def test_a_card_that_is_gone_is_posted_again(room: Room) -> None:
    ref = await room.post()
    room.teams.messages.clear()
    again = await room.sender.update(room.channel.id, ref, STATES[State.DENIED])
    assert again != ref
    (message,) = room.teams.messages
    assert "Denied" in message.text


async def test_a_megabyte_of_sql_is_posted(room: Room) -> None:
    request = replace(REQUEST, statements=(replace(DELETE, sql="DELETE " + "x, " * 330_000),))
    await room.sender.post(room.channel.id, request)
    assert "hidden, sha256" in room.teams.messages[0].text
