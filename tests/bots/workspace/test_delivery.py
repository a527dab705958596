"""How requests go out: a known signature, every way an app can fail to answer, retries of events, envelopes and acks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.signature import Clock, SignatureVerifier

from bots.workspace import Workspace
from bots.workspace.delivery import sign

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def test_the_signature_of_slacks_own_example() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
        b".803a0bc887a14d10d2c447fce8b6703c"
    )
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert sign("8f742231b10e8888abcd99yyyzzz85a5", 1531420618, body) == expected


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = Workspace(answer_seconds=0.3)
    workspace.add_person("Bob", "bob@example.com")
    workspace.add_channel("db", ["Bob"])
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
async def app(workspace: Workspace) -> AsyncIterator[list[Answering]]:
    """An app that answers with the functions put into the list, first to last; the last one stays."""
    answers: list[Answering] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)

    server = web.Application()
    server.router.add_post("/slack/events", handle)
    runner = web.AppRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    workspace.events_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield answers
    await runner.cleanup()


def text(body: str, status: int = 200) -> Answering:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    return answer


def data(body: Any) -> Answering:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body)

    return answer


async def silence(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def redirect(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere")


async def test_a_command_is_a_signed_form(workspace: Workspace, app: list[Answering]) -> None:
    seen: dict[str, Any] = {}

    async def take(request: web.Request) -> web.Response:
        raw = await request.read()
        clock = Clock()
        clock.now = lambda: float(request.headers["X-Slack-Request-Timestamp"])  # type: ignore[method-assign]  # the verifier's own seam
        headers = dict(request.headers.items())
        seen["valid"] = SignatureVerifier(workspace.signing_secret, clock).is_valid_request(raw, headers)
        seen.update(await request.post())
        return web.Response()

    app.append(take)
    answer = await workspace.command("Bob", "db", "/hoop  audit table:customers ")
    assert (answer.status, answer.body, answer.error) == (200, {}, "")
    assert (seen["valid"], seen["command"], seen["text"]) == (True, "/hoop", "audit table:customers")
    assert seen["user_id"] == workspace.state.person("Bob").id
    assert workspace.ephemerals("Bob") == []


@pytest.mark.parametrize(
    ("answering", "status", "error"),
    [
        (text("no", 500), 500, "dispatch_failed"),
        (text("no", 401), 401, "dispatch_failed"),
        (redirect, 302, "dispatch_failed"),
        (silence, 0, "operation_timeout"),
        (data({"blocks": [{"type": "marquee"}]}), 200, "invalid_blocks"),
    ],
    ids=["500", "401", "redirect", "silence", "bad blocks"],
)
async def test_an_app_that_fails_is_told_in_slacks_words(
    workspace: Workspace, app: list[Answering], answering: Answering, status: int, error: str
) -> None:
    app.append(answering)
    answer = await workspace.command("Bob", "db", "/hoop help")
    assert (answer.status, answer.error) == (status, error)
    assert [m.text for m in workspace.ephemerals("Bob")] == [f'/hoop failed with the error "{error}"']


async def test_an_app_that_is_not_there_is_told_too(workspace: Workspace) -> None:
    assert (await workspace.command("Bob", "db", "/hoop help")).error == "dispatch_failed"
    workspace.events_url = "http://127.0.0.1:1/slack/events"
    assert (await workspace.command("Bob", "db", "/hoop help")).error == "dispatch_failed"


async def test_an_answer_may_be_for_the_channel(workspace: Workspace, app: list[Answering]) -> None:
    app.append(data({"response_type": "in_channel", "text": "for all"}))
    await workspace.command("Bob", "db", "/hoop help")
    assert [m.text for m in workspace.messages("db")] == ["for all"]
    assert workspace.ephemerals("Bob") == []


async def test_a_failed_event_is_sent_once_more_with_retry_headers(workspace: Workspace, app: list[Answering]) -> None:
    app.extend([text("no", 500), text("")])
    assert (await workspace.open_home("Bob")).status == 200
    first, second = workspace.sent
    assert first.body == second.body
    assert "X-Slack-Retry-Num" not in first.headers
    assert (second.headers["X-Slack-Retry-Num"], second.headers["X-Slack-Retry-Reason"]) == ("1", "http_error")
    assert json.loads(first.body)["event"]["type"] == "app_home_opened"


@pytest.fixture
async def socket(workspace: Workspace) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {workspace.app_token}"}) as http:
        async with http.post(f"{workspace.api_url}apps.connections.open") as response:
            url = (await response.json())["url"]
        async with http.ws_connect(url) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            yield socket


async def test_an_envelope_is_answered_by_its_ack(
    workspace: Workspace, socket: aiohttp.ClientWebSocketResponse
) -> None:
    command = asyncio.create_task(workspace.command("Bob", "db", "/hoop help"))
    envelope = await socket.receive_json()
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("slash_commands", True)
    await socket.send_str("not json")
    await socket.send_json({"envelope_id": "another"})
    await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "hi"}})
    assert (await command).body == {"text": "hi"}


async def test_an_envelope_without_an_ack_times_out(
    workspace: Workspace, socket: aiohttp.ClientWebSocketResponse
) -> None:
    answer = await workspace.command("Bob", "db", "/hoop help")
    assert (answer.status, answer.error) == (0, "operation_timeout")


async def test_a_closed_socket_is_not_used_again(workspace: Workspace, socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.close()
    await workspace.wait_for(lambda: workspace.sockets == 0)
    assert (await workspace.command("Bob", "db", "/hoop help")).error == "dispatch_failed"
