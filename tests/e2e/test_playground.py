"""A reviewer in Microsoft's Agents Playground in a real browser, and a driver that waits: approve, deny, expiry, a command."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Page, async_playwright

from tests.e2e.playground import CHANNEL, START, Playground
from tests.e2e.site import Site
from tests.e2e.stack import STEP
from tests.e2e.test_teams import Team
from tests.fakes.microsoft import HOST
from tests.fakes.teams import Teams
from tests.npm import installed

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's Chromium: apt install chromium"),
]


@asynccontextmanager
async def opened(playground: Playground) -> AsyncIterator[Page]:
    """The Playground's page in the channel of the cards. Its fonts are elsewhere and are left out."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(viewport={"width": 1300, "height": 1150})
        page.set_default_timeout(START * 1000)
        await page.route(lambda url: HOST not in url, lambda route: route.abort())
        await page.goto(playground.page, wait_until="commit")
        await page.get_by_text("db-approvals").first.click()
        await page.get_by_text("Start a new post").wait_for()
        yield page
        await browser.close()


async def test_a_day_in_the_playground(site: Site, tmp_path: Path, artifacts: Path) -> None:
    installed("@microsoft/m365agentsplayground")
    folder = tmp_path / "teams"
    folder.mkdir()
    teams = await Teams.open(folder)
    team = Team(site, teams, CHANNEL)
    playground = Playground(teams.microsoft, team.bob, [team.ann])
    try:
        async with site.serving() as served, playground.running(folder):
            started = await served.logged("gateway.started")
            playground.bot_url = f"http://{HOST}:{started['http']}/api/messages"
            await (await site.connect(served, "bob")).execute("SELECT 1")
            ann = await site.connect(served, "ann")
            async with opened(playground) as page:
                await approves(page, ann, artifacts)
                await denies(page, ann, artifacts)
                await lets_expire(page, ann, artifacts)
                await asks(page, artifacts)
    finally:
        await teams.close()
    assert not await site.ledger(81)
    assert await site.ledger(82)


async def approves(page: Page, ann: psycopg.AsyncConnection[object], artifacts: Path) -> None:
    waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 81"))
    await page.get_by_role("button", name="Review").last.click()
    await page.get_by_role("button", name="Approve").last.wait_for()
    await page.screenshot(path=artifacts / "teams-1-review.png")
    await page.get_by_role("button", name="Approve").last.click()
    async with asyncio.timeout(STEP):
        assert (await waiting).rowcount == 1
    await page.get_by_text("Executed: 1 row").last.wait_for()
    await page.screenshot(path=artifacts / "teams-2-executed.png")


async def denies(page: Page, ann: psycopg.AsyncConnection[object], artifacts: Path) -> None:
    waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 82"))
    await page.get_by_role("button", name="Review").last.click()
    await page.locator("textarea").last.fill("Use the archive job")
    await page.screenshot(path=artifacts / "teams-3-reason.png")
    await page.get_by_role("button", name="Deny").last.click()
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="Use the archive job"):
        await waiting
    await page.get_by_text("Denied by bob@example.com").last.wait_for()
    await page.screenshot(path=artifacts / "teams-4-denied.png")


async def lets_expire(page: Page, ann: psycopg.AsyncConnection[object], artifacts: Path) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        await ann.execute("UPDATE ledger SET amount = 0 WHERE id = 83")
    await page.get_by_text("Expired at").last.wait_for()
    await page.screenshot(path=artifacts / "teams-5-expired.png")


async def asks(page: Page, artifacts: Path) -> None:
    await page.get_by_text("Personal Chat", exact=True).first.click()
    await page.get_by_text("Type a message").last.click(
        force=True
    )  # the placeholder lies under the editor that takes the click
    await page.keyboard.type("whoami")
    await page.keyboard.press("Enter")
    await page.get_by_text("Groups: dba").last.wait_for()
    await page.screenshot(path=artifacts / "teams-6-whoami.png")
