"""The way in: real slack_bolt and the real SDK against the local workspace: listeners, the edge, the start, Socket Mode."""

import asyncio
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog.testing
from slack_bolt import BoltResponse
from slack_bolt.request.async_request import AsyncBoltRequest

from bots.cards import Action
from bots.slack.app import SlackFront, SlackRefused
from bots.slack.blocks import MORE_ACTION, PAGE_ACTION
from bots.slack.sender import open_client
from bots.workspace import Workspace
from gateway.approvals.request import State
from gateway.store.memory import MemoryStore
from tests.bots.slack.office import Office, Serve
from tests.bots.slack.test_edge import sign

APPROVE = Action.APPROVE.value


# The edge, over a real socket ----------------------------------------------------------------------------------------


async def test_the_edge_never_answers_500(office: Office) -> None:
    url, secret, now = office.workspace.events_url, office.workspace.signing_secret, int(time.time())
    cases: list[tuple[int, bytes, dict[str, str]]] = [
        (401, b"payload=%7B%7D", {}),
        (401, b"payload=%7B%7D", sign(b"payload=%7B%7D", "abc", secret)),
        (401, b"a=b", sign(b"a=b", now - 301, secret)),
        (401, b"a=b", sign(b"a=b", now, "wrong")),
        (400, b"payload=nonsense", sign(b"payload=nonsense", now, secret)),
        (400, b"a=\xff", sign(b"a=\xff", now, secret)),
        (413, b"a=" + b"x" * 1_100_000, {}),
    ]
    async with aiohttp.ClientSession() as session:
        for status, raw, headers in cases:
            async with session.post(url, data=io.BytesIO(raw), headers=headers) as answer:
                assert answer.status == status, raw[:30]


async def test_a_click_that_slack_delivers_twice_counts_once(office: Office) -> None:
    """As over two sockets, or with a retry: the same payload, signed anew, at the same moment."""
    await office.hold(approvals_needed=2)
    await office.workspace.click(office.bob, office.channel, office.card.ts, APPROVE)
    await office.front.settle()
    first = office.workspace.sent[-1]
    again = [
        replace(
            first, headers={**first.headers, **sign(first.body, int(time.time()) + at, office.workspace.signing_secret)}
        )
        for at in (1, 2)
    ]
    answers = await asyncio.gather(*(office.workspace.replay(each) for each in again))
    await office.front.settle()
    assert [each.status for each in answers] == [200, 200]
    assert "counted already" in office.workspace.ephemerals(office.bob)[-1].text
    stored = await office.stored()
    assert (len(stored.approvals), stored.state) == (1, State.PENDING)


async def test_a_click_that_took_too_long_for_slack_counts_and_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack has shown its own error by then; the card and the answer tell what is stored."""
    await office.hold()
    go_on, move = asyncio.Event(), MemoryStore.move

    async def slow(*args: Any) -> Any:
        await go_on.wait()
        return await move(*args)

    monkeypatch.setattr(MemoryStore, "move", slow)
    status = await office.workspace.click(office.bob, office.channel, office.card.ts, APPROVE)
    assert status != 200
    assert (await office.stored()).state is State.PENDING
    monkeypatch.setattr(office.front, "_clock", lambda: time.time() + 4)
    with structlog.testing.capture_logs() as logged:
        go_on.set()
        await office.workspace.wait_for(lambda: office.workspace.ephemerals(office.bob), 20)
    assert "slack.answered_late" in [each["event"] for each in logged]
    assert (await office.stored()).state is State.APPROVED
    assert "You approved it" in office.workspace.ephemerals(office.bob)[-1].text


@pytest.mark.parametrize("name", [*(each.value for each in Action), MORE_ACTION, f"{PAGE_ACTION}_2", "unheard_of"])
async def test_each_click_has_one_listener(office: Office, name: str) -> None:
    """Behind one that takes longer than 3 s bolt asks the next that fits: it would say that nothing was decided."""
    body = {"type": "block_actions", "actions": [{"action_id": name, "block_id": "b", "type": "button"}]}
    asked = AsyncBoltRequest(body=body, mode="socket_mode")
    matches = [
        await each.async_matches(req=asked, resp=BoltResponse(status=200))
        for each in office.front._bolt._async_listeners
    ]
    assert matches.count(True) == 1


async def test_a_replayed_click_is_refused_and_decides_once(office: Office) -> None:
    await office.hold(approvals_needed=2)
    await office.click(office.bob, APPROVE)
    answer = await office.workspace.replay(office.workspace.sent[-1])
    assert answer.status == 401
    assert len((await office.stored()).approvals) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"payload=%7B%7D",
        b"payload=%7B%22type%22%3A%22block_actions%22%7D",
        b"payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A%5B%5D%7D",
        b"payload=%7B%22type%22%3A%22view_submission%22%7D",
        b"command=%2Fhoop",
        b"command=%2Fother&text=x",
        b"hello=1",
        b"",
    ],
)
async def test_odd_but_genuine_payloads_are_no_500(office: Office, payload: bytes) -> None:
    headers = sign(payload, int(time.time()), office.workspace.signing_secret)
    async with (
        aiohttp.ClientSession() as session,
        session.post(office.workspace.events_url, data=payload, headers=headers) as answer,
    ):
        assert answer.status < 500


# Start, Socket Mode --------------------------------------------------------------------------------------------------


async def test_a_refused_token_is_told_at_start(office: Office) -> None:
    client = open_client("xoxb-wrong", office.workspace.api_url)
    front = SlackFront(client, "s", office.desk, office.commands, button_key=b"k", clock=time.time)
    with pytest.raises(SlackRefused, match="SLACK_BOT_TOKEN: invalid_auth"):
        await front.start()
    assert client.session is not None
    await client.session.close()


async def test_slack_being_away_is_no_reason_not_to_start(office: Office) -> None:
    workspace = Workspace()
    await workspace.start()
    client = open_client("xoxb-any", workspace.api_url)
    await workspace.stop()
    front = SlackFront(client, "s", office.desk, office.commands, button_key=b"k", clock=time.time)
    await front.start()
    await front.stop()
    assert client.session is not None
    await client.session.close()


async def test_socket_mode_has_the_same_listeners(tmp_path: Path, aiohttp_server: Serve) -> None:
    office = await Office.open(tmp_path, aiohttp_server, socket=True)
    try:
        await office.workspace.wait_for(lambda: office.workspace.sockets)
        await office.hold()
        said = await office.click(office.bob, APPROVE)
        assert "You approved it" in said
        assert (await office.stored()).state is State.APPROVED
        await office.workspace.command(office.bob, office.channel, "/hoop whoami")
        assert "bob@example.com" in office.workspace.ephemerals(office.bob)[-1].text
    finally:
        await office.close()


async def test_a_clock_that_is_off_is_told_at_start(office: Office) -> None:
    front = SlackFront(
        office.client, "s", office.desk, office.commands, button_key=b"k", clock=lambda: time.time() + 400
    )
    with structlog.testing.capture_logs() as said:
        await front.start()
    [warned] = [each for each in said if each["event"] == "slack.clock_skew"]
    assert warned["clock"].endswith(" s ahead of Slack's")
    assert await front.clock() == warned["clock"]
