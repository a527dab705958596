"""The workspace against the real slack_bolt, over signed HTTP and over Socket Mode: the app cannot tell the difference."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bots.workspace import Workspace

CARD: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "DELETE on *prod*"}},
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_preformatted",
                "elements": [{"type": "text", "text": "DELETE FROM t WHERE a < 3 & b"}],
            }
        ],
    },
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "text": {"type": "plain_text", "text": "Approve"},
                "value": "r1",
            },
            {"type": "button", "action_id": "deny", "text": {"type": "plain_text", "text": "Deny"}, "value": "r1"},
        ],
    },
]
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "deny_reason",
    "private_metadata": "r1",
    "title": {"type": "plain_text", "text": "Deny"},
    "submit": {"type": "plain_text", "text": "Deny"},
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Why?"},
            "element": {"type": "plain_text_input", "action_id": "text", "min_length": 3},
        }
    ],
}


@dataclass
class Bot:
    """A real bolt app in front of the workspace, with what its listeners saw."""

    workspace: Workspace
    app: AsyncApp
    client: AsyncWebClient
    clicks: list[dict[str, Any]] = field(default_factory=list)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    stall: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        app = self.app

        @app.action("approve")
        async def approve(ack: Any, body: Any, client: Any, respond: Any) -> None:
            await ack()
            self.clicks.append(body)
            await client.chat_update(
                channel=body["channel"]["id"],
                ts=body["message"]["ts"],
                text="approved",
                blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "Approved by Bob"}}],
            )
            await respond("Noted.")

        @app.action("deny")
        async def deny(ack: Any, body: Any, client: Any) -> None:
            await ack()
            await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

        @app.action("stall")
        async def stall(ack: Any) -> None:
            await self.stall.wait()
            await ack()

        @app.view("deny_reason")
        async def reason(ack: Any, body: Any, view: Any) -> None:
            self.submissions.append(body)
            text = view["state"]["values"]["reason"]["text"]["value"]
            if text == "because":
                await ack(response_action="errors", errors={"reason": "Say more."})
            else:
                await ack()

        @app.command("/hoop")
        async def hoop(ack: Any, command: Any) -> None:
            await ack(f"You said: {command['text']}")

        @app.event("app_home_opened")
        async def home(event: Any, client: Any) -> None:
            self.events.append(event)
            await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": CARD[:1]})


def make_bot(workspace: Workspace) -> Bot:
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    bot = Bot(workspace, AsyncApp(signing_secret=workspace.signing_secret, client=client), client)
    bot.listen()
    return bot


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = Workspace(answer_seconds=1.0)
    bob = workspace.add_person("Bob", "bob@example.com", "DBA", ["dba"])
    eve = workspace.add_person("Eve", "eve@example.com", "Contractor")
    workspace.add_channel("db-approvals", [bob, eve])
    workspace.add_channel("elsewhere", [eve])
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
async def http_bot(workspace: Workspace) -> AsyncIterator[Bot]:
    """The bot behind its own request URL."""
    bot = make_bot(workspace)

    async def events(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await bot.app.async_dispatch(await to_bolt_request(request)))

    app = web.Application()
    app.router.add_post("/slack/events", events)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    workspace.events_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield bot
    bot.stall.set()
    await runner.cleanup()


@pytest.fixture
async def socket_bot(workspace: Workspace) -> AsyncIterator[Bot]:
    """The bot behind a websocket."""
    bot = make_bot(workspace)
    app_client = AsyncWebClient(token=workspace.app_token, base_url=workspace.api_url)
    handler = AsyncSocketModeHandler(bot.app, workspace.app_token, web_client=app_client)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # slack_bolt leaves it unannotated
    await workspace.wait_for(lambda: workspace.sockets == 1)
    yield bot
    await handler.close_async()  # type: ignore[no-untyped-call]  # likewise


@pytest.fixture(params=["http", "socket"])
def bot(request: pytest.FixtureRequest) -> Bot:
    found: Bot = request.getfixturevalue(f"{request.param}_bot")
    return found


async def post_card(bot: Bot) -> str:
    answer = await bot.client.chat_postMessage(channel="#db-approvals", text="a DELETE", blocks=CARD)
    return str(answer["ts"])


async def test_a_click_reaches_the_app_and_its_update_reaches_the_card(bot: Bot) -> None:
    workspace = bot.workspace
    ts = await post_card(bot)
    assert await workspace.click("Bob", "db-approvals", ts, "approve") == 200
    noted = await workspace.wait_for(lambda: workspace.ephemerals("Bob"))
    assert [m.text for m in noted] == ["Noted."]
    assert workspace.ephemerals("Eve") == []
    (card,) = workspace.messages("db-approvals")
    assert card.blocks[0]["text"]["text"] == "Approved by Bob"
    (body,) = bot.clicks
    assert body["actions"][0]["value"] == "r1"
    assert body["user"]["id"] == workspace.state.person("Bob").id
    assert body["container"]["message_ts"] == ts
    assert body["message"]["blocks"][1]["elements"][0]["elements"][0]["text"] == "DELETE FROM t WHERE a &lt; 3 &amp; b"


async def test_a_modal_opens_refuses_and_closes(bot: Bot) -> None:
    workspace = bot.workspace
    ts = await post_card(bot)
    assert await workspace.click("Bob", "db-approvals", ts, "deny") == 200
    (view,) = await workspace.wait_for(lambda: workspace.open_views("Bob"))
    assert (await workspace.submit(view.id, "Bob", {})).errors == {"reason": "Please complete this required field."}
    assert (await workspace.submit(view.id, "Bob", {"reason": "no"})).status == 0
    assert bot.submissions == []
    refused = await workspace.submit(view.id, "Bob", {"reason": "because"})
    assert (refused.status, refused.errors) == (200, {"reason": "Say more."})
    assert (await workspace.submit(view.id, "Bob", {"text": "wrong table"})).status == 200
    assert workspace.open_views("Bob") == []
    assert bot.submissions[-1]["view"]["private_metadata"] == "r1"


async def test_a_command_is_answered_to_its_sender_only(bot: Bot) -> None:
    answer = await bot.workspace.command("Bob", "db-approvals", "/hoop pending all")
    assert answer.body["text"] == "You said: pending all"
    assert [m.text for m in bot.workspace.ephemerals("Bob")] == ["You said: pending all"]
    assert bot.workspace.messages("db-approvals") == []


async def test_the_home_tab_is_published_when_it_is_opened(bot: Bot) -> None:
    assert (await bot.workspace.open_home("Bob")).status == 200
    home = await bot.workspace.wait_for(lambda: bot.workspace.home("Bob"))
    assert home is not None
    assert home.blocks[0]["text"]["text"] == "DELETE on *prod*"
    assert bot.workspace.home("Eve") is None
    assert bot.events[0]["tab"] == "home"


async def test_a_listener_slower_than_the_limit_is_shown_as_no_answer(bot: Bot) -> None:
    workspace = bot.workspace
    button = {"type": "button", "action_id": "stall", "text": {"type": "plain_text", "text": "Stall"}}
    blocks = [{"type": "actions", "elements": [button]}]
    answer = await bot.client.chat_postMessage(channel="#db-approvals", text="x", blocks=blocks)
    assert await workspace.click("Bob", "db-approvals", str(answer["ts"]), "stall") == 0
    assert workspace.messages("db-approvals")[0].warnings == {
        (workspace.state.person("Bob").id, "stall"): "The app did not answer. Try again."
    }
    bot.stall.set()


async def test_an_unknown_action_is_404_and_an_unknown_command_is_told_in_slacks_words(http_bot: Bot) -> None:
    workspace = http_bot.workspace
    button = {"type": "button", "action_id": "nobody", "text": {"type": "plain_text", "text": "?"}}
    answer = await http_bot.client.chat_postMessage(
        channel="#db-approvals", text="x", blocks=[{"type": "actions", "elements": [button]}]
    )
    assert await workspace.click("Bob", "db-approvals", str(answer["ts"]), "nobody") == 404
    assert (await workspace.command("Bob", "db-approvals", "/nope")).status == 404
    assert [m.text for m in workspace.ephemerals("Bob")] == ['/nope failed with the error "dispatch_failed"']


async def test_a_wrong_secret_is_refused_by_bolt(workspace: Workspace, http_bot: Bot) -> None:
    ts = await post_card(http_bot)
    assert await workspace.click("Bob", "db-approvals", ts, "approve") == 200
    genuine = workspace.sent[-1]
    assert (await workspace.replay(genuine)).status == 200
    forged = type(genuine)(genuine.body, {**genuine.headers, "X-Slack-Signature": "v0=" + "0" * 64})
    assert (await workspace.replay(forged)).status == 401


async def test_socket_clients_come_back_after_a_disconnect(socket_bot: Bot) -> None:
    workspace = socket_bot.workspace
    await workspace.disconnect()
    await workspace.wait_for(lambda: workspace.sockets == 0)
    await workspace.wait_for(lambda: workspace.sockets == 1, 20)
    assert (await workspace.command("Bob", "db-approvals", "/hoop help")).body["text"] == "You said: help"


async def test_people_cannot_click_what_they_do_not_see(http_bot: Bot) -> None:
    ts = await post_card(http_bot)
    with pytest.raises(LookupError, match="not in elsewhere"):
        await http_bot.workspace.click("Bob", "elsewhere", ts, "approve")
    with pytest.raises(LookupError, match="there are: approve, deny"):
        await http_bot.workspace.click("Bob", "db-approvals", ts, "launch")
    with pytest.raises(LookupError, match="no person"):
        await http_bot.workspace.click("Mallory", "db-approvals", ts, "approve")
