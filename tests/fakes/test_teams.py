"""The Teams of the tests is as strict as the real one, and signs as it does."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.fakes.clock import Clock
from tests.fakes.teams import CARD, Channel, Json, Message, Teams, User, text_of


def message(text: str = "hello", version: str = "1.5") -> Json:
    card = {"type": "AdaptiveCard", "version": version, "body": [{"type": "TextBlock", "text": text}]}
    return {"type": "message", "attachments": [{"contentType": CARD, "content": card}]}


class Room:
    """A channel, and a bot with a token."""

    def __init__(self, teams: Teams) -> None:
        self.teams = teams
        self.bob: User = teams.person("Bob")
        self.channel: Channel = teams.channel([self.bob])
        self.channel.installed = True
        teams.microsoft.issued.add("good")

    async def call(self, method: str, path: str, body: object = None, token: str = "good") -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.teams.service_url}v3/conversations{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def send(self, body: object) -> tuple[int, Json]:
        return await self.call("POST", f"/{self.channel.id}/activities", body)


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    teams = await Teams.open(tmp_path)
    yield Room(teams)
    await teams.close()


async def test_only_its_own_tokens_count(room: Room) -> None:
    status, said = await room.call("POST", "", {}, token="forged")
    assert (status, said["error"]["code"]) == (401, "Unauthorized")


async def test_a_message_is_posted_updated_and_seen(room: Room) -> None:
    assert (await room.send(message()))[0] == 201
    (posted,) = room.teams.messages
    posted.views[room.bob.id] = {"body": []}
    status, _ = await room.call("PUT", f"/{room.channel.id}/activities/{posted.id}", message("again"))
    assert (status, posted.text, posted.updates, posted.views) == (200, "again", 1, {})


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/19:nowhere/activities/1", "ConversationNotFound"),
        ("/19:approvals@thread.tacv2/activities/1", "ActivityNotFoundInConversation"),
    ],
)
async def test_what_is_not_there_is_404(room: Room, path: str, code: str) -> None:
    status, said = await room.call("PUT", path, message())
    assert (status, said["error"]["code"]) == (404, code)


async def test_where_the_app_is_not_it_may_not_write(room: Room) -> None:
    room.channel.installed = False
    status, said = await room.send(message())
    assert (status, said["error"]["code"]) == (403, "BotNotInConversationRoster")
    asked = {
        "bot": {"id": "28:11111111-2222-4333-8444-555555555555"},
        "isGroup": False,
        "members": [{"id": room.bob.id}],
    }
    assert (await room.call("POST", "", asked))[0] == 403


async def test_sizes_are_counted_as_utf_16(room: Room) -> None:
    assert (await room.send(message("x" * 50_000)))[0] == 201
    assert (await room.send(message("x" * 51_200)))[0] == 413


@pytest.mark.parametrize(
    "body", [{"type": "message"}, {"type": "event", "text": "x"}, message(version="1.6"), message(version="2.0")]
)
async def test_what_teams_does_not_take_is_400(room: Room, body: Json) -> None:
    assert (await room.send(body))[0] == 400


async def test_a_conversation_takes_seven_messages_a_second(tmp_path: Path) -> None:
    clock = Clock(1000.0)
    teams = await Teams.open(tmp_path, relaxed=False, clock=clock)
    room = Room(teams)
    assert [(await room.send(message()))[0] for _ in range(8)] == [201] * 7 + [429]
    clock.now += 1.5
    assert [(await room.send(message()))[0] for _ in range(2)] == [201, 429]
    await teams.close()


async def test_a_planned_failure_comes_as_often_as_planned(room: Room) -> None:
    room.teams.fail("send", 502, times=2, body="<html>")
    headers = {"Authorization": "Bearer good"}
    url = f"{room.teams.service_url}v3/conversations/{room.channel.id}/activities"
    async with aiohttp.ClientSession() as http:
        answers = [(await http.post(url, json=message(), headers=headers)).status for _ in range(3)]
    assert answers == [502, 502, 201]


async def test_what_it_signs_its_keys_verify(room: Room) -> None:
    microsoft = room.teams.microsoft
    async with aiohttp.ClientSession() as http:
        metadata = await (await http.get(microsoft.metadata_url)).json()
        keys = await (await http.get(metadata["jwks_uri"])).json()
    claims = jwt.decode(microsoft.sign(room.teams.service_url), KeySet.import_key_set(keys)).claims
    assert (claims["iss"], claims["serviceurl"]) == (metadata["issuer"], room.teams.service_url)
    assert claims["exp"] > time.time()
    assert keys["keys"][0]["endorsements"] == ["msteams", "webchat"]


async def test_a_button_that_is_not_shown_can_not_be_clicked(room: Room) -> None:
    await room.send(message())
    posted: Message = room.teams.messages[0]
    with pytest.raises(AssertionError, match="Bob sees"):
        await room.teams.click(room.bob, posted, "Approve")


def test_the_text_of_a_card() -> None:
    code = {"type": "CodeBlock", "codeSnippet": "SELECT 1", "fallback": {"type": "RichTextBlock", "inlines": []}}
    line = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "a"}, {"type": "TextRun", "text": "b"}]}
    table = {"type": "Table", "rows": [{"type": "TableRow", "cells": [{"type": "TableCell", "items": [line]}]}]}
    assert text_of(json.loads(json.dumps({"body": [code, line, table]}))) == "SELECT 1\nab\nab"
