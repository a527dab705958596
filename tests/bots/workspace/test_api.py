"""The Web API as the real slack_sdk sees it: tokens, scopes, rate limits, faults, response URLs; a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bots.workspace import Workspace
from tests.fakes.clock import Clock

BUTTON = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": "v"}
CARD: list[dict[str, Any]] = [{"type": "actions", "block_id": "b", "elements": [BUTTON]}]


@pytest.fixture
async def workspace(clock: Clock) -> AsyncIterator[Workspace]:
    workspace = Workspace(clock=clock)
    workspace.add_person("Bob", "bob@example.com", "DBA", ["dba"])
    workspace.add_person("Eve", "eve@example.com")
    workspace.add_channel("db", ["Bob"])
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
def client(workspace: Workspace) -> AsyncWebClient:
    return AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url, timeout=5)


def error_of(refusal: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(refusal.value.response["error"])


async def test_auth_test_names_the_app_and_its_scopes(workspace: Workspace, client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert answer["user_id"] == workspace.state.team.bot_user
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth"), ("app", "not_allowed_token_type")]
)
async def test_tokens(workspace: Workspace, token: str, error: str) -> None:
    given = workspace.app_token if token == "app" else token
    client = AsyncWebClient(token=given or None, base_url=workspace.api_url)
    with pytest.raises(SlackApiError) as refusal:
        await client.auth_test()
    assert error_of(refusal) == error


async def test_only_the_app_token_opens_a_connection(workspace: Workspace, client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as refusal:
        await client.apps_connections_open(app_token=workspace.bot_token)
    assert error_of(refusal) == "not_allowed_token_type"
    answer = await client.apps_connections_open(app_token=workspace.app_token)
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(answer["url"]) as socket:
            assert (await socket.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):  # a ticket is good for one connection
            await http.ws_connect(answer["url"])


async def test_a_token_may_come_in_the_form(workspace: Workspace) -> None:
    async with aiohttp.ClientSession() as http:
        form = {"token": workspace.bot_token, "channel": "#db", "text": "hi", "blocks": '[{"type":"divider"}]'}
        async with http.post(f"{workspace.api_url}chat.postMessage", data=form) as response:
            assert (await response.json())["ok"] is True
        form["blocks"] = "[{"
        async with http.post(f"{workspace.api_url}chat.postMessage", data=form) as response:
            assert (await response.json())["error"] == "invalid_blocks_format"
    assert workspace.messages("db")[0].blocks[0]["type"] == "divider"


@pytest.mark.parametrize(("body", "error"), [("{", "invalid_json"), ("[]", "json_not_object")])
async def test_a_body_that_is_no_json_object_is_refused(workspace: Workspace, body: str, error: str) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {workspace.bot_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{workspace.api_url}auth.test", data=body) as r,
    ):
        assert await r.json() == {"ok": False, "error": error}


async def test_a_missing_scope_is_named(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.state.scopes.discard("chat:write")
    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel="#db", text="x")
    assert error_of(refusal) == "missing_scope"
    assert refusal.value.response["needed"] == "chat:write"


async def test_an_unknown_method_says_so(client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as refusal:
        await client.api_call("chat.shout")
    assert error_of(refusal) == "unknown_method"


async def test_a_channel_takes_a_burst_and_then_one_message_a_second(
    workspace: Workspace, client: AsyncWebClient, clock: Clock
) -> None:
    for name in ("#db", "db", workspace.state.channel("db").id, "#db", "#db"):
        await client.chat_postMessage(channel=name, text="x")
    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel="#db", text="x")
    assert error_of(refusal) == "ratelimited"
    assert refusal.value.response.status_code == 429
    assert refusal.value.response.headers["Retry-After"] == "1"
    clock.now += 1
    await client.chat_postMessage(channel="#db", text="x")
    assert len(workspace.messages("db")) == 6


async def test_relaxed_has_no_rate_limits_but_keeps_the_others() -> None:
    workspace = Workspace(relaxed=True)
    workspace.add_channel("db", [])
    await workspace.start()
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    for _ in range(12):
        await client.chat_postMessage(channel="#db", text="x")
    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel="#db", text="x", blocks=[{"type": "marquee"}])
    assert error_of(refusal) == "invalid_blocks"
    await workspace.stop()


async def test_a_switched_on_error_comes_as_often_as_asked(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.fail("chat.postMessage", error="is_archived", times=2)
    for _ in range(2):
        with pytest.raises(SlackApiError) as refusal:
            await client.chat_postMessage(channel="#db", text="x")
        assert error_of(refusal) == "is_archived"
    assert (await client.chat_postMessage(channel="#db", text="x"))["ok"]


async def test_a_switched_on_rate_limit_carries_retry_after(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.fail("users.info", status=429, retry_after=7)
    with pytest.raises(SlackApiError) as refusal:
        await client.users_info(user="U1")
    assert (refusal.value.response.status_code, refusal.value.response.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_broken_slack_answers_html(workspace: Workspace, client: AsyncWebClient, status: int) -> None:
    workspace.fail("*", status=status)
    with pytest.raises(SlackApiError) as refusal:
        await client.auth_test()
    assert refusal.value.response.status_code == status
    assert (await client.auth_test())["ok"]


async def test_a_late_fault_does_the_work_and_loses_the_answer(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.fail("chat.postMessage", status=502, late=True)
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel="#db", text="posted all the same")
    assert [m.text for m in workspace.messages("db")] == ["posted all the same"]


async def test_a_hanging_call_ends_when_the_workspace_stops(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.fail("auth.test", hang=True)
    call = asyncio.create_task(client.auth_test())
    assert (await client.users_lookupByEmail(email="BOB@example.com"))["user"]["real_name"] == "Bob"
    assert not call.done()
    await workspace.stop()
    with pytest.raises((SlackApiError, aiohttp.ClientError)):
        await call


async def test_heal_switches_every_fault_off(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.fail("auth.test", error="token_revoked", times=100)
    workspace.heal()
    assert (await client.auth_test())["ok"]


async def response_url(workspace: Workspace, client: AsyncWebClient) -> tuple[str, str]:
    """Post a card, click it, and return its ts and the click's response_url."""
    answer = await client.chat_postMessage(channel="#db", text="card", blocks=CARD)
    await workspace.click("Bob", "db", answer["ts"], "go")  # nobody listens: the URL is made all the same
    key = next(reversed(workspace.state.response_urls))
    return answer["ts"], f"{workspace.url}/actions/{workspace.state.team.id}/{key}"


async def post(url: str, **body: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        return response.status, await response.text()


async def test_a_response_url_takes_five_answers(workspace: Workspace, client: AsyncWebClient) -> None:
    _, url = await response_url(workspace, client)
    for _ in range(5):
        assert await post(url, text="noted") == (200, "ok")
    status, text = await post(url, text="noted")
    assert (status, "used_url" in text) == (404, True)
    assert len(workspace.ephemerals("Bob")) == 5
    assert workspace.ephemerals("Eve") == []


async def test_a_response_url_ends_after_half_an_hour(
    workspace: Workspace, client: AsyncWebClient, clock: Clock
) -> None:
    _, url = await response_url(workspace, client)
    clock.now += 30 * 60
    assert (await post(url, text="in time"))[0] == 200
    clock.now += 1
    status, text = await post(url, text="late")
    assert (status, "expired_url" in text) == (404, True)


async def test_a_response_url_can_replace_and_delete_the_card(workspace: Workspace, client: AsyncWebClient) -> None:
    ts, url = await response_url(workspace, client)
    assert await post(url, text="done", replace_original=True) == (200, "ok")
    assert [(m.ts, m.text, m.blocks) for m in workspace.messages("db")] == [(ts, "done", [])]
    assert await post(url, delete_original=True) == (200, "ok")
    assert workspace.messages("db") == []


async def test_a_response_url_refuses_what_slack_refuses(workspace: Workspace, client: AsyncWebClient) -> None:
    _, url = await response_url(workspace, client)
    assert await post(url) == (400, "no_text")
    assert await post(url, text="x", blocks=[{"type": "marquee"}]) == (400, "invalid_blocks")
    assert (await post(f"{workspace.url}/actions/T1/unknown", text="x"))[0] == 404
