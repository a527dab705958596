"""The page: its guards over HTTP, and a real Chromium that clicks, types and reads what people see."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect
from slack_sdk.web.async_client import AsyncWebClient

from bots.workspace import Workspace

Serve = Callable[[web.Application], Awaitable[TestServer]]
CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's Chromium (apt-get install chromium)")
EVIL = "<img src=x onerror=document.title='owned'> *bold* <!channel> ``` &amp; <https://x.example|y>"


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def button(text: str, action_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action_id, "text": plain(text), **more}


CARD: list[dict[str, Any]] = [
    {"type": "header", "text": plain("DELETE on prod")},
    {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Who*\nann &amp; Bob"}]},
    {
        "type": "rich_text",
        "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": EVIL}]}],
    },
    {"type": "table", "rows": [[{"type": "raw_text", "text": "id"}], [{"type": "raw_text", "text": EVIL}]]},
    {
        "type": "actions",
        "elements": [
            button(
                "Approve",
                "approve",
                style="primary",
                accessibility_label="Approve the DELETE",
                confirm={
                    "title": plain("Sure?"),
                    "text": plain("42 rows"),
                    "confirm": plain("Yes"),
                    "deny": plain("No"),
                },
            ),
            button("Deny", "deny", style="danger"),
        ],
    },
]
MODAL: dict[str, Any] = {
    "type": "modal",
    "title": plain("Deny"),
    "submit": plain("Send"),
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "t", "min_length": 3},
        }
    ],
}


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = Workspace(name="Example Inc")
    workspace.add_person("Ann", "ann@example.com", "Engineer")
    workspace.add_person("Bob", "bob@example.com", "DBA")
    workspace.add_channel("db", ["Ann", "Bob"], topic="Held statements")
    workspace.add_channel("bobs", ["Bob"])
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
def client(workspace: Workspace) -> AsyncWebClient:
    return AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_page_allows_scripts_of_its_own_only(workspace: Workspace, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{workspace.url}/workspace") as response:
        assert "default-src 'none'; script-src 'self'" in response.headers["Content-Security-Policy"]
        text = await response.text()
    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize("name", ["../page.py", "page.py", "..%2fpage.py"])
async def test_only_the_listed_files_are_served(workspace: Workspace, http: aiohttp.ClientSession, name: str) -> None:
    async with http.get(f"{workspace.url}/workspace/static/{name}") as response:
        assert response.status == 404


async def test_another_host_name_is_refused(workspace: Workspace, http: aiohttp.ClientSession) -> None:
    for host in ("evil.example", f"evil.example:{workspace.url.rpartition(':')[2]}"):
        async with http.get(f"{workspace.url}/workspace/state", headers={"Host": host}) as response:
            assert response.status == 403


async def test_an_act_needs_our_header_and_the_right_fields(workspace: Workspace, http: aiohttp.ClientSession) -> None:
    url = f"{workspace.url}/workspace/act/say"
    async with http.post(url, json={"user": "Bob", "channel": "db", "text": "x"}) as response:
        assert response.status == 403
    ours = {"X-Workspace": "1"}
    for body, status in [
        ({"user": "Bob"}, 400),
        ({}, 400),
        ({"user": "Mallory", "channel": "db", "text": "x"}, 409),
        ({"user": "Ann", "channel": "bobs", "text": "x"}, 409),
    ]:
        async with http.post(url, json=body, headers=ours) as response:
            assert response.status == status
    async with http.post(f"{workspace.url}/workspace/act/dance", json={}, headers=ours) as response:
        assert response.status == 404
    assert workspace.messages("db") == []


async def test_a_snapshot_holds_what_one_person_sees(
    workspace: Workspace, client: AsyncWebClient, http: aiohttp.ClientSession
) -> None:
    bob = workspace.state.person("Bob")
    await client.chat_postEphemeral(channel="#db", user=bob.id, text="for Bob only")

    async def seen(who: str) -> tuple[list[str], str]:
        async with http.get(f"{workspace.url}/workspace/state", params={"user": who}) as response:
            body = await response.json()
            return [c["name"] for c in body["channels"] if not c["direct"]], str(body["messages"])

    assert (await seen("Bob"))[0] == ["db", "bobs"]
    assert "for Bob only" in (await seen("Bob"))[1]
    assert (await seen("Ann"))[0] == ["db"]
    assert "for Bob only" not in (await seen("Ann"))[1]


async def test_the_feed_tells_of_a_change(
    workspace: Workspace, client: AsyncWebClient, http: aiohttp.ClientSession
) -> None:
    async with asyncio.timeout(5), http.get(f"{workspace.url}/workspace/feed") as response:
        first = await response.content.readuntil(b"\n\n")
        await client.chat_postMessage(channel="#db", text="x")
        second = await response.content.readuntil(b"\n\n")
    assert int(second.removeprefix(b"data: ")) > int(first.removeprefix(b"data: "))


@pytest.fixture
async def browser_page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        await browser.close()
        assert errors == []


@pytest.mark.chromium
@needs_chromium
async def test_the_card_is_shown_as_text_and_only_as_text(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page
) -> None:
    blocks = [*CARD[:1], {**CARD[1], "fields": [{"type": "mrkdwn", "text": "*Who*\nann &amp; <b>"}]}, *CARD[2:]]
    await client.chat_postMessage(channel="#db", text=EVIL, blocks=blocks)
    await browser_page.goto(workspace.page_url("Bob", "db"))
    await expect(browser_page.get_by_role("heading", name="DELETE on prod")).to_be_visible()
    assert await browser_page.locator("article pre").text_content() == EVIL
    assert await browser_page.locator("article td").text_content() == EVIL
    await expect(browser_page.locator("article strong")).to_have_text("Who")
    await expect(browser_page.locator("article .fields")).to_contain_text("ann &")
    assert await browser_page.locator("article img").count() == 0
    assert "owned" not in await browser_page.title()
    focused = await browser_page.evaluate("document.activeElement.tagName")
    assert focused == "BODY"  # nothing is focused by itself, least of all Approve


@pytest.mark.chromium
@needs_chromium
async def test_a_click_asks_first_says_when_the_app_is_silent_and_follows_an_update(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page
) -> None:
    posted = await client.chat_postMessage(channel="#db", text="a DELETE", blocks=CARD)
    await browser_page.goto(workspace.page_url("Bob", "db"))
    await browser_page.get_by_label("Approve the DELETE").click()
    await expect(browser_page.get_by_role("heading", name="Sure?")).to_be_visible()
    await expect(browser_page.get_by_role("button", name="No", exact=True)).to_be_focused()
    await browser_page.keyboard.press("Escape")
    assert workspace.state.triggers == {}  # nothing was sent
    await browser_page.get_by_label("Approve the DELETE").click()
    await browser_page.get_by_role("button", name="Yes", exact=True).click()
    await expect(browser_page.get_by_role("alert")).to_contain_text("The app did not answer")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "Approved by *Bob*"}}
    await client.chat_update(channel=posted["channel"], ts=posted["ts"], text="approved", blocks=[section])
    await expect(browser_page.locator("article")).to_contain_text("Approved by Bob")
    await expect(browser_page.get_by_label("Approve the DELETE")).to_have_count(0)


@pytest.mark.chromium
@needs_chromium
async def test_a_choice_can_be_made_again(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page, aiohttp_server: Serve
) -> None:
    """A menu keeps nothing chosen, as Slack's."""
    chosen: list[str] = []

    async def take(request: web.Request) -> web.Response:
        payload = json.loads(str((await request.post())["payload"]))
        chosen.append(payload["actions"][0]["selected_option"]["value"])
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/slack/events", take)])
    workspace.events_url = str((await aiohttp_server(app)).make_url("/slack/events"))
    menu = {"type": "overflow", "action_id": "more", "options": [{"text": plain("Ask..."), "value": "ask"}]}
    await client.chat_postMessage(channel="#db", text="x", blocks=[{"type": "actions", "elements": [menu]}])
    await browser_page.goto(workspace.page_url("Bob", "db"))
    more = browser_page.get_by_label("More...")
    for times in (1, 2):
        await more.select_option("ask")
        await expect(more).to_have_value("")
        assert chosen == ["ask"] * times


@pytest.mark.chromium
@needs_chromium
async def test_a_modal_keeps_what_was_typed_when_it_shows_an_error(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page
) -> None:
    await browser_page.goto(workspace.page_url("Bob", "db"))
    await expect(browser_page.get_by_label("View as Ann")).to_be_visible()
    trigger = workspace.state.new_trigger(workspace.state.person("Bob").id)
    await client.views_open(trigger_id=trigger, view=MODAL)
    reason = browser_page.get_by_label("Reason")
    await expect(reason).to_be_focused()
    await reason.fill("no")
    await browser_page.get_by_role("button", name="Send", exact=True).last.click()
    await expect(browser_page.get_by_role("alert")).to_have_text("Enter 3 to 3000 characters.")
    await expect(reason).to_have_value("no")
    await browser_page.keyboard.press("Escape")
    await workspace.wait_for(lambda: not workspace.open_views("Bob"))
    await expect(reason).to_have_count(1)
    await expect(reason).not_to_be_visible()


@pytest.mark.chromium
@needs_chromium
async def test_a_modal_does_not_outlive_its_page(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page
) -> None:
    bob = workspace.state.person("Bob").id
    await client.views_open(trigger_id=workspace.state.new_trigger(bob), view=MODAL)
    await browser_page.goto(workspace.page_url("Bob", "db"))
    await expect(browser_page.get_by_label("View as Ann")).to_be_visible()
    await expect(browser_page.get_by_label("Reason")).to_have_count(0)
    await client.views_open(trigger_id=workspace.state.new_trigger(bob), view=MODAL)
    await expect(browser_page.get_by_label("Reason")).to_be_focused()


@pytest.mark.chromium
@needs_chromium
async def test_people_switch_and_the_outsider_sees_less(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page
) -> None:
    await client.chat_postEphemeral(channel="#db", user=workspace.state.person("Bob").id, text="psst")
    await browser_page.goto(workspace.page_url("Bob", "db"))
    await expect(browser_page.get_by_text("Only visible to you")).to_be_visible()
    await browser_page.get_by_label("View as Ann").click()
    await expect(browser_page.get_by_label("View as Ann")).to_have_attribute("aria-pressed", "true")
    await expect(browser_page.get_by_text("psst")).to_have_count(0)
    await expect(browser_page.get_by_role("button", name="Channel bobs")).to_have_count(0)


@pytest.mark.chromium
@needs_chromium
async def test_the_composer_sends_messages_and_commands_from_the_keyboard(
    workspace: Workspace, browser_page: Page
) -> None:
    await browser_page.goto(workspace.page_url("Bob", "db"))
    box = browser_page.get_by_label("Message or command")
    await box.fill("hello <b>")
    await box.press("Enter")
    await expect(browser_page.locator("article .text")).to_have_text("hello <b>")
    await box.fill("/hoop pending")
    await box.press("Enter")
    await expect(browser_page.locator("article.ephemeral")).to_contain_text(
        '/hoop failed with the error "dispatch_failed"'
    )


@pytest.mark.chromium
@needs_chromium
async def test_a_message_elsewhere_raises_a_toast_and_threads_stand_under_their_parent(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page
) -> None:
    await browser_page.goto(workspace.page_url("Bob", "bobs"))
    await expect(browser_page.get_by_text("Nothing here yet.")).to_be_visible()
    posted = await client.chat_postMessage(channel="#db", text="Ann wants to DELETE 42 rows")
    await client.chat_postMessage(channel="#db", text="a reminder", thread_ts=posted["ts"])
    await browser_page.get_by_role("button", name="Hoop in #db").first.click()
    await expect(browser_page.get_by_role("heading", name="# db")).to_be_visible()
    await expect(browser_page.locator(".thread article")).to_contain_text("a reminder")
    await client.chat_postMessage(channel="#db", text="escalated", thread_ts=posted["ts"], reply_broadcast=True)
    await expect(browser_page.locator("article:not(.thread article)", has_text="escalated")).to_contain_text(
        "for the whole channel"
    )


@pytest.mark.chromium
@needs_chromium
async def test_a_phone_has_the_sidebar_behind_a_button(
    workspace: Workspace, client: AsyncWebClient, browser_page: Page
) -> None:
    await client.chat_postMessage(channel="#db", text="a DELETE", blocks=CARD)
    await browser_page.set_viewport_size({"width": 390, "height": 844})
    await browser_page.goto(workspace.page_url("Bob", "db"))
    await expect(browser_page.get_by_label("Approve the DELETE")).to_be_visible()
    assert await browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await expect(browser_page.get_by_label("View as Ann")).not_to_be_visible()
    await browser_page.get_by_label("Open channels and people").click()
    await browser_page.get_by_label("View as Ann").click()
    await expect(browser_page.get_by_label("View as Ann")).not_to_be_visible()
