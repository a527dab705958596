"""A reviewer at the workspace page in a real browser, and a real psql that waits for the click."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.e2e.driving import BUNDLED, Driver, client
from tests.e2e.stack import STEP, Stack

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's Chromium: apt install chromium"),
]

PSQL = Driver("psql 18", psql=BUNDLED / "psql" if BUNDLED else None)


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    """The page as Bob sees it, in the channel of the cards; a script error fails the test."""
    for view in stack.workspace.open_views("Bob"):
        await stack.on(stack.workspace.close(view.id, "Bob"))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = await browser.new_page(viewport={"width": 1200, "height": 900}, timezone_id="America/New_York")
        opened.set_default_timeout(STEP * 1000)
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        await opened.goto(stack.workspace.page_url("Bob", "db-approvals"))
        yield opened
        await browser.close()
        assert errors == []


async def shot(page: Page, artifacts: Path, name: str) -> None:
    await page.screenshot(path=artifacts / f"{name}.png")


async def test_approve(stack: Stack, page: Page, artifacts: Path) -> None:
    """Bob reads a card of a DELETE with bound rows below it and approves; psql goes on and the card says so."""
    sql = "DELETE FROM customers WHERE id IN ({}, {}, {})"
    async with client(stack, PSQL, "cursor", ["change", sql, [31, 32, 33]]) as running:
        card = await stack.card()
        await page.get_by_text(card.request_id).wait_for()
        await shot(page, artifacts, "approve-1-card")
        await page.get_by_role("button", name="Approve: DELETE on public.customers").last.click()
        (said,) = await running.said()
    assert said["count"] == 3
    assert stack.ask("SELECT count(*) FROM customers WHERE id BETWEEN 31 AND 33") == [(0,)]
    await card.says("Executed")
    await page.get_by_text("Executed: 3 rows").last.wait_for()
    await page.get_by_text("You approved it. The card shows what came of it.").last.wait_for()
    await shot(page, artifacts, "approve-2-outcome")
    assert "UTC" not in await page.locator("#log").inner_text(), "every time is in the reader's own zone"


async def test_approve_of_high_risk_asks_once_more(stack: Stack, page: Page, artifacts: Path) -> None:
    """DDL has a confirm dialog; No leaves the statement waiting, Yes lets it run."""
    async with client(stack, PSQL, "ann", ["change", "CREATE TABLE coupons (code text PRIMARY KEY)"]) as running:
        card = await stack.card()
        await page.get_by_text(card.request_id).wait_for()
        assert "public.coupons" in card.text
        await shot(page, artifacts, "risk-1-card")
        approve = page.get_by_role("button", name="Approve: CREATE TABLE").last
        dialog = page.locator("#confirm")
        await approve.click()
        await dialog.wait_for()
        await shot(page, artifacts, "risk-2-confirm")
        await dialog.get_by_role("button").first.click()
        assert (await stack.request(card.request_id)).state.value == "pending"
        await approve.click()
        await dialog.locator("button[value=yes]").click()
        (said,) = await running.said()
    assert "error" not in said, said
    await card.says("Executed")
    await page.get_by_text("Executed in ").last.wait_for()
    await shot(page, artifacts, "risk-3-outcome")


async def test_deny_with_a_reason(stack: Stack, page: Page, artifacts: Path) -> None:
    """Bob writes why; psql gets it as the error's text, and the card shows it."""
    sql = "/* reason: prices of the spring sale */ UPDATE products SET price = price * {} WHERE stock < {}"
    async with client(stack, PSQL, "cursor", ["change", sql, [2, 100]]) as running:
        card = await stack.card()
        await page.get_by_text(card.request_id).wait_for()
        await shot(page, artifacts, "deny-1-card")
        await page.get_by_role("button", name="Deny, with a reason: UPDATE").last.click()
        modal = page.locator("#modal")
        await modal.locator("textarea").fill("The sale starts on Monday")
        await shot(page, artifacts, "deny-2-reason")
        await modal.get_by_role("button", name="Deny", exact=True).click()
        (said,) = await running.said()
    assert said["error"] == "42501"
    await card.says("Denied")
    await page.get_by_text("The sale starts on Monday").last.wait_for()
    await shot(page, artifacts, "deny-3-outcome")
    assert stack.ask("SELECT count(*) FROM products WHERE price > 370") == [(0,)]


async def test_full_sql(stack: Stack, page: Page, artifacts: Path) -> None:
    """A long statement: what the card cuts is one click away."""
    ids = ", ".join(str(stack.ids()) for _ in range(3)) + ", " + ", ".join(str(900_000 + at) for at in range(600))
    async with client(
        stack, PSQL, "ann", ["change", f"UPDATE ledger SET owner = 'nobody' WHERE id IN ({ids})"]
    ) as running:
        card = await stack.card()
        await page.get_by_text(card.request_id).wait_for()
        await shot(page, artifacts, "long-1-card")
        await page.get_by_role("button", name="Full SQL").last.click()
        await page.locator("#modal").get_by_text("900599").last.wait_for()
        await shot(page, artifacts, "long-2-full-sql")
        await running.killed()
        await card.says("Withdrawn")


async def test_a_statement_that_waited_in_a_transaction(stack: Stack, page: Page, artifacts: Path) -> None:
    """The card says that locks are held meanwhile, then that the transaction is still open, then how it ended."""
    first = stack.ids()
    steps = (
        ["begin"],
        ["change", "UPDATE ledger SET amount = 0 WHERE id = {}", [first]],
        ["change", "UPDATE ledger SET amount = 50 WHERE id BETWEEN {} AND {}", [first, first + 7]],
        ["rollback"],
    )
    async with client(stack, PSQL, "ann", *steps) as running:
        await stack.approve("Dana", await stack.card())
        card = await stack.card()
        await page.get_by_text(card.request_id).wait_for()
        await shot(page, artifacts, "transaction-1-card")
        await page.get_by_role("button", name="Approve: UPDATE on public.ledger").last.click()
        said = await running.said()
    assert said[2]["count"] == 8
    await stack.until(lambda: "rolled back" in card.text)
    await page.get_by_text("Rolled back: UPDATE on public.ledger").last.wait_for()
    await shot(page, artifacts, "transaction-2-rolled-back")


async def test_approve_a_shape(stack: Stack, page: Page, artifacts: Path) -> None:
    """From the menu a dialog with the whole text; what is chosen there lets the next one run without a card."""
    sql = "UPDATE shapes SET amount = amount + 1 WHERE id = {}"
    async with client(stack, PSQL, "ann", ["change", sql, [901]]) as running:
        card = await stack.card()
        await page.get_by_text(card.request_id).wait_for()
        await page.locator("select").last.select_option(label="Approve this shape...")
        modal = page.locator("#modal")
        await modal.get_by_text("may then run it on shop again without asking").wait_for()
        await modal.locator("select").select_option("15m")
        await shot(page, artifacts, "shape-1-dialog")
        await modal.get_by_role("button", name="Approve", exact=True).click()
        (said,) = await running.said()
    assert said["count"] == 1
    await page.get_by_text("this shape may run again until").last.wait_for()
    await shot(page, artifacts, "shape-2-outcome")
    async with client(stack, PSQL, "ann", ["change", sql, [901]]) as running:
        (said,) = await running.said()
    assert said["count"] == 1
    await stack.command("Bob", f"revoke grant {card.request_id} enough")
    await page.get_by_text("revoked that at").last.wait_for()
    await shot(page, artifacts, "shape-3-revoked")
