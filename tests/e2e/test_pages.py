"""The gateway's own pages in a real browser, beside the workspace page; and a broken glass, with a wire that waits."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright

from bots.web.app import CALLBACK
from gateway.demo.run import CHANNEL
from gateway.wire.frontend import query
from tests.e2e.office import Office, open_office
from tests.e2e.stack import STEP, Stack

CHROMIUM = shutil.which("chromium")
in_a_browser = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's Chromium: apt install chromium"),
]
#: The stack's last hold rule, changed.
RULE = "reviewers: dba, timeout: 2m, hold_in_transaction: 1m"


@pytest.fixture
async def browser(stack: Stack) -> AsyncIterator[BrowserContext]:
    """Bob's browser; an error of a page, or what its policy refuses, fails the test."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await chromium.new_context(viewport={"width": 1000, "height": 900})
        context.set_default_timeout(STEP * 1000)
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        yield context
        await chromium.close()
        assert errors == []


async def workspace(browser: BrowserContext, stack: Stack) -> Page:
    page = await browser.new_page()
    await page.goto(stack.workspace.page_url("Bob", "db-approvals"))
    await page.get_by_placeholder("type / for a command").wait_for()  # it knows where it is
    return page


async def signed_in(page: Page, person: str) -> None:
    """At the issuer, whose page it is by now."""
    await page.get_by_role("radio", name=person).check()
    await page.get_by_role("button", name="Sign in").click()


class TestInABrowser:
    pytestmark = in_a_browser

    async def test_link(self, stack: Stack, browser: BrowserContext, artifacts: Path) -> None:
        """Bob types /hoop link, follows the button, signs in, says yes, and types the code where he began."""
        chat = await workspace(browser, stack)
        say = chat.locator("#say")
        await say.fill("/hoop link")
        await say.press("Enter")
        async with browser.expect_page() as opened:
            await chat.get_by_role("button", name="Sign in").last.click()
        page = await opened.value
        await page.get_by_text("Bob (bob@example.com) in Slack").wait_for()
        await page.screenshot(path=artifacts / "link-1-begins.png")
        await page.get_by_role("button", name="Sign in").click()
        await signed_in(page, "bob")
        await page.get_by_text("Is this chat account yours?").first.wait_for()
        await page.screenshot(path=artifacts / "link-2-asks.png")
        await page.get_by_role("button", name="Yes, it is mine").click()
        command = await page.locator(".code").inner_text()
        await page.screenshot(path=artifacts / "link-3-code.png")
        await say.fill(command)
        await say.press("Enter")
        await chat.get_by_text("here from now on, at every click").last.wait_for()
        await chat.screenshot(path=artifacts / "link-4-linked.png")
        [linked] = stack.entries(kind="linked")
        assert (linked["subject"], linked["via"]) == ("person-bob", "slack")
        await say.fill("/hoop link remove")
        await say.press("Enter")
        await chat.get_by_text("No longer linked").last.wait_for()

    async def test_approve(self, stack: Stack, browser: BrowserContext, artifacts: Path, tmp_path: Path) -> None:
        """Approve on the card leads to the page; after a fresh sign-in it shows the statement, and lets it run."""
        first = stack.ids()
        async with open_office(stack, tmp_path, (RULE, f"{RULE}, approve_via: web")) as office:
            know(stack, office)
            office.wire.send(
                query(f"DELETE FROM ledger WHERE id BETWEEN {first} AND {first + 2} AND owner <> '<b>x</b>'")
            )
            card = await stack.card()
            chat = await workspace(browser, stack)
            await chat.get_by_text(card.request_id).last.wait_for()
            await chat.screenshot(path=artifacts / "page-1-card.png")
            async with browser.expect_page() as opened:
                await chat.get_by_role("button", name=re.compile("^Approve: DELETE on public.ledger")).last.click()
            page = await opened.value
            await page.get_by_text(f"Request {card.request_id}").first.wait_for()
            assert "DELETE" not in await page.content()
            await page.get_by_role("button", name="Sign in").click()
            await signed_in(page, "bob")
            await page.get_by_text("owner <> '<b>x</b>'").wait_for()
            await page.screenshot(path=artifacts / "page-2-request.png", full_page=True)
            assert (await stack.request(card.request_id)).state.value == "pending"
            await page.get_by_role("button", name="Approve").click()
            await page.get_by_text("You approved it").wait_for()
            await page.screenshot(path=artifacts / "page-3-approved.png")
            assert await office.wire.lines() == ["C[DELETE 3]", "ZI"]
            await card.says("Executed")
        assert stack.ask("SELECT count(*) FROM ledger WHERE id BETWEEN %s AND %s", first, first + 2) == [(0,)]
        [decided] = stack.entries(request=card.request_id, kind="decided")
        assert (decided["via"], decided["decided_by"]) == ("web", "bob@example.com")

    async def test_deny_on_the_page_of_a_phone(
        self, stack: Stack, browser: BrowserContext, artifacts: Path, tmp_path: Path
    ) -> None:
        async with open_office(stack, tmp_path, (RULE, f"{RULE}, approve_via: web, confirm: typed")) as office:
            know(stack, office)
            office.wire.send(query("DROP TABLE loaded, dues"))
            card = await stack.card()
            page = await browser.new_page()
            await page.set_viewport_size({"width": 390, "height": 800})
            await page.goto((await stack.request(card.request_id)).page)
            await page.get_by_role("button", name="Sign in").click()
            await signed_in(page, "dana")
            await page.get_by_role("button", name="Deny").wait_for()
            await page.screenshot(path=artifacts / "page-4-phone.png", full_page=True)
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, "nothing makes a phone scroll sideways"
            await page.get_by_label("Why you deny it").fill("Not before the release")
            await page.get_by_role("button", name="Deny").click()
            await page.get_by_text("You denied it").wait_for()
            assert await office.wire.lines() == ["E42501", "ZI"]


def know(stack: Stack, office: Office) -> None:
    """The issuer sends back to this gateway, too."""
    stack.demo.issuer.codes.redirect_uris.add(f"http://{stack.host}:{office.gateway.ports.http}{CALLBACK}")


async def test_a_broken_glass_lets_it_run_and_is_told_in_the_channel(stack: Stack, tmp_path: Path) -> None:
    """Two approvals are wanted; Eve of marketing, whom the rule names for emergencies, lets it run alone."""
    row = stack.ids()
    changes = (
        ("dba: {groups: [dba], approvals: 1,", "sos: {groups: [marketing]}\n  dba: {groups: [dba], approvals: 2,"),
        (RULE, f"{RULE}, break_glass: {{reviewers: sos}}"),
    )
    async with open_office(stack, tmp_path, *changes) as office:
        office.wire.send(query(f"UPDATE ledger SET amount = 7 WHERE id = {row}"))
        card = await stack.card()
        assert "in an emergency sos may approve it alone (break glass)" in card.shown
        before = {each.id for each in stack.workspace.open_views("Eve")}
        await stack.on(stack.workspace.click("Eve", CHANNEL, card.ts, "hoop_more", card.option("hoop_glass")))
        view = await stack.until(
            lambda: next(
                (
                    each
                    for each in stack.workspace.open_views("Eve")
                    if each.id not in before and "typed" in str(each.blocks)
                ),
                None,
            )
        )
        assert view is not None
        written = {"reason": "payments are down, nobody answers", "typed": "break glass"}
        answer = await stack.on(stack.workspace.submit(view.id, "Eve", written))
        assert not answer.errors
        assert await office.wire.lines() == ["C[UPDATE 1]", "ZI"]
        await card.says("BREAK GLASS, Executed")
        alarm = await stack.card()
        assert alarm.text.startswith("GLASS BROKEN: UPDATE on public.ledger")
        assert "payments are down, nobody answers" in alarm.shown
        assert "eve@example.com" in alarm.shown
    [decided] = stack.entries(request=card.request_id, kind="decided")
    assert decided["break_glass"] == "payments are down, nobody answers"
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", row) == [(7,)]
