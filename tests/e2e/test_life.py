"""The whole life of requests as two reviewers see it, each in a page of their own: over HTTP, then over Socket Mode.

The statements come over the wire, the clicks from a real browser, and slack-bolt is the real one. What the target really
holds is asked of the target.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Browser, Page, async_playwright

from gateway.app import Gateway
from gateway.demo.run import CHANNEL
from gateway.policies import read_policy
from gateway.settings import Address
from gateway.wire.frontend import SYNC, bind, execute, parse, query
from tests.e2e.stack import STEP, Card, Stack
from tests.e2e.wire import Wire

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's Chromium: apt install chromium"),
]

_TABLE = """
CREATE TABLE IF NOT EXISTS accounts (id integer PRIMARY KEY, owner text NOT NULL, card_number text NOT NULL, closed date);
TRUNCATE accounts;
INSERT INTO accounts SELECT n, 'owner ' || n, '4111111111111111', CASE WHEN n <= 1240 THEN date '2019-03-04' + n % 200 END
  FROM generate_series(1, 3000) AS n;
GRANT SELECT, UPDATE, DELETE, TRUNCATE ON accounts TO hoop;
"""
_RULES = """rules:
  - {name: old accounts need two DBAs, effect: hold, tables: [public.accounts], statements: [DELETE], reviewers: owners}
  - {name: these wait briefly, effect: hold, tables: [public.accounts], statements: [UPDATE], applications: [hurried],
     reviewers: dba, timeout: 2s}
  - {name: whole tables need care, effect: hold, tables: [public.accounts], statements: [TRUNCATE, "DROP TABLE"],
     reviewers: dba, confirm: typed, require_full_view: true}
  - {name: updates are kept, effect: hold, tables: [public.accounts], statements: [UPDATE], applications: [patient],
     reviewers: dba, keep_for: 15m}
"""
_REVIEWERS = f"""reviewers:
  owners: {{groups: [dba], approvals: 2, channels: ["slack:{CHANNEL}"]}}
"""
_DELETE = "/* reason: closed before 2020, ticket OPS-4711 */ DELETE FROM accounts WHERE closed < '2020-01-01'"
_UPDATE = "/* reason: a typo in the name */ UPDATE accounts SET owner = $1 WHERE id = $2"


@dataclass(frozen=True)
class Scene:
    """A gateway with rules of its own that hears the workspace by `way` alone, and a browser."""

    stack: Stack
    gateway: Gateway
    browser: Browser
    way: str
    artifacts: Path

    @asynccontextmanager
    async def page(self, who: str, width: int = 1200, height: int = 900) -> AsyncIterator[Page]:
        """The page as somebody sees it in the channel of the cards; a script error fails the test."""
        opened = await self.browser.new_page(
            viewport={"width": width, "height": height}, timezone_id="America/New_York", locale="en-US"
        )
        opened.set_default_timeout(STEP * 1000)
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        await opened.goto(self.stack.workspace.page_url(who, "db-approvals"))
        yield opened
        await opened.close()
        assert errors == []

    async def wire(self, who: str, application: str) -> Wire:
        return await Wire.connect(self.gateway.ports.wire, self.stack.token(who), application_name=application)

    async def shot(self, page: Page, name: str) -> None:
        await page.screenshot(path=self.artifacts / f"life-{self.way}-{name}.png")


@pytest.fixture(params=["http", "socket"])
async def scene(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path, artifacts: Path) -> AsyncIterator[Scene]:
    stack.do(_TABLE)
    demo, workspace = stack.demo, stack.workspace
    policies = tmp_path / "policies.yaml"
    text = demo.gateway.settings.policies.read_text("utf-8")
    policies.write_text(text.replace("rules:\n", _RULES).replace("reviewers:\n", _REVIEWERS), "utf-8")
    here = Address(stack.host, 0)
    assert demo.gateway.settings.slack is not None
    slack = replace(demo.gateway.settings.slack, app_token=workspace.app_token if request.param == "socket" else "")
    settings = replace(demo.gateway.settings, listen=here, http=here, policies=policies, slack=slack)
    gateway = Gateway(settings, read_policy(policies), demo._directory)
    before = workspace.events_url
    await stack.on(gateway.start())
    if request.param == "socket":
        await stack.until(lambda: workspace.sockets)
        workspace.events_url = ""  # nothing can come by HTTP
    else:
        workspace.events_url = f"http://{stack.host}:{gateway.ports.http}/slack/events"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield Scene(stack, gateway, browser, request.param, artifacts)
        await browser.close()
    await stack.on(gateway.stop())
    await stack.until(lambda: not workspace.sockets)
    workspace.events_url = before


async def on_card(page: Page, card: Card, text: str) -> None:
    """Wait until this card says it on this page."""
    await page.locator(f"[data-ts='{card.ts}']").get_by_text(text).first.wait_for()


async def approve(scene: Scene, page: Page, what: str, shot: str = "") -> None:
    """Click Approve of the newest such card and say yes where it asks once more."""
    await page.get_by_role("button", name=f"Approve: {what}").last.click()
    dialog = page.locator("#confirm")
    await dialog.wait_for()
    if shot:
        await scene.shot(page, shot)
    await dialog.locator("button[value=yes]").click()


async def test_approved_by_two_and_run(scene: Scene) -> None:
    """Held, half approved, approved, running, executed; each as both see it."""
    stack = scene.stack
    wire = await scene.wire("cursor", "cursor")
    async with scene.page("Bob") as bob, scene.page("Dana") as dana:
        wire.send(query(_DELETE))
        card = await stack.card()
        await bob.get_by_text(card.request_id).wait_for()
        await scene.shot(bob, "1-held")
        async with scene.page("Dana", 390, 844) as phone:
            await phone.get_by_text(card.request_id).wait_for()
            await scene.shot(phone, "1-held-phone")
        await approve(scene, bob, "DELETE on public.accounts", "2-confirm")
        await bob.get_by_text("1 of 2: it waits for another reviewer").last.wait_for()
        await on_card(dana, card, "1 of 2 approvals: bob@example.com")
        await scene.shot(bob, "3-one-of-two")
        await approve(scene, bob, "DELETE on public.accounts")
        await bob.get_by_text("Your approval was counted already").last.wait_for()
        assert (await stack.request(card.request_id)).state.value == "pending"
        if scene.way == "socket":  # Slack ends sockets now and then; the next click comes by a new one
            await stack.on(stack.workspace.disconnect())
            await stack.until(lambda: stack.workspace.sockets)
        await _second_approval(scene, dana, card)
        assert await wire.lines() == ["C[DELETE 1240]", "ZI"]
        await on_card(dana, card, "Executed: 1,240 rows")
        await scene.shot(dana, "5-executed")
    assert stack.ask("SELECT count(*) FROM accounts") == [(1760,)]
    kinds = [(each["kind"], each.get("decided_by")) for each in stack.entries(request=card.request_id)]
    assert ("decided", "bob@example.com") in kinds
    assert ("decided", "dana@example.com") in kinds


async def _second_approval(scene: Scene, page: Page, card: Card) -> None:
    """The statement meets a lock of somebody else's, so that it can be seen running."""
    postgres = scene.stack.demo.postgres
    assert postgres is not None
    with psycopg.connect(postgres.dsn("shop")) as other:
        other.execute("SELECT FROM accounts WHERE id = 7 FOR UPDATE")
        await approve(scene, page, "DELETE on public.accounts")
        await card.says("Running")
        await on_card(page, card, "It is running now")
        await scene.shot(page, "4-running")


async def test_denied_with_a_reason(scene: Scene) -> None:
    """The modal takes no empty reason; what is written is on the card and in the client's error."""
    stack = scene.stack
    wire = await scene.wire("ann", "psql")
    async with scene.page("Dana") as dana:
        wire.send(parse("", _UPDATE), bind("", "", [b"Zoe Zimmermann", b"2000"]), execute(""), SYNC)
        card = await stack.card()
        await dana.get_by_text(card.request_id).wait_for()
        await scene.shot(dana, "6-to-be-denied")
        await dana.get_by_role("button", name="Deny, with a reason: UPDATE").last.click()
        modal = dana.locator("#modal")
        await modal.locator("textarea").fill("no")
        await modal.get_by_role("button", name="Deny", exact=True).click()
        await modal.get_by_text("Enter 3 to 1000 characters.").wait_for()
        await modal.locator("textarea").fill("Account 2000 is not Zoe's: look up the id first")
        await scene.shot(dana, "7-reason")
        await modal.get_by_role("button", name="Deny", exact=True).click()
        await on_card(dana, card, "Account 2000 is not Zoe's")
        await scene.shot(dana, "8-denied")
    assert await wire.lines() == ["1", "2", "E42501", "ZI"]
    assert "Account 2000 is not Zoe's" in wire.errors[-1]["M"]
    assert stack.ask("SELECT owner FROM accounts WHERE id = 2000") == [("owner 2000",)]


async def test_a_truncate_is_read_in_full_and_its_table_typed(scene: Scene) -> None:
    """Approve stands below the full text, and the name must be typed as it stands there."""
    stack = scene.stack
    wire = await scene.wire("ann", "psql")
    async with scene.page("Bob") as bob:
        wire.send(query("TRUNCATE accounts"))
        card = await stack.card()
        await bob.get_by_text(card.request_id).wait_for()
        await scene.shot(bob, "12-with-care")
        await bob.get_by_role("button", name="Approve: TRUNCATE").last.click()
        modal = bob.locator("#modal")
        await modal.get_by_text("TRUNCATE accounts").wait_for()
        await modal.locator("input").fill("accounts")
        await modal.get_by_role("button", name="Approve", exact=True).click()
        await modal.get_by_text("type exactly: public.accounts").wait_for()
        await scene.shot(bob, "13-mistyped")
        await modal.locator("input").fill("public.accounts")
        await modal.get_by_role("button", name="Approve", exact=True).click()
        assert await wire.lines() == ["C[TRUNCATE TABLE]", "ZI"]
        await on_card(bob, card, "Executed in ")
        await bob.get_by_text("You approved it.").last.wait_for()
        await scene.shot(bob, "14-truncated")
    assert stack.ask("SELECT count(*) FROM accounts") == [(0,)]


async def test_kept_and_asked_again(scene: Scene) -> None:
    """The card says that its client may go, how often it was asked, and what becomes of an approval."""
    stack = scene.stack
    sql = query("UPDATE accounts SET owner = 'kept' WHERE id = 2700")
    async with scene.page("Bob") as bob:
        for asked in range(3):
            wire = await scene.wire("cursor", "patient")
            wire.send(sql)
            if not asked:
                card = await stack.card()
            else:
                await on_card(bob, card, f"x{asked + 1} identical")
            await wire.close()
            await stack.recorded(asked + 1, kind="left", request=card.request_id)
        await scene.shot(bob, "15-kept")
        await bob.get_by_role("button", name="Approve: UPDATE").last.click()
        await on_card(bob, card, "it runs once, when it is sent again before")
        await scene.shot(bob, "16-kept-approved")
        assert await (await scene.wire("cursor", "patient")).ask(sql) == ["C[UPDATE 1]", "ZI"]
        await on_card(bob, card, "Executed: 1 row")


async def test_expired(scene: Scene) -> None:
    """Nobody comes: the buttons go, the card says so, and a click that was under way is answered."""
    stack = scene.stack
    wire = await scene.wire("ann", "hurried")
    async with scene.page("Bob") as bob:
        wire.send(query("UPDATE accounts SET owner = 'nobody' WHERE id = 2500"))
        card = await stack.card()
        await bob.get_by_text(card.request_id).wait_for()
        assert await wire.lines() == ["E57014", "ZI"]
        await card.says("Expired")
        await on_card(bob, card, "nobody decided in time")
        assert await bob.locator(f"[data-ts='{card.ts}']").get_by_role("button", name="Approve").count() == 0
        await scene.shot(bob, "9-expired")
    assert stack.ask("SELECT owner FROM accounts WHERE id = 2500") == [("owner 2500",)]


async def test_the_audit_is_asked_in_chat(scene: Scene) -> None:
    """`/hoop audit` and `/hoop pending`, typed in the page: an answer for the one who asked."""
    stack = scene.stack
    wire = await scene.wire("ann", "psql")
    async with scene.page("Bob") as bob, scene.page("Dana") as dana:
        wire.send(query("UPDATE accounts SET owner = 'somebody' WHERE id = 2600"))
        card = await stack.card()
        await say(bob, "/hoop pending")
        await bob.locator(".ephemeral").get_by_text(card.request_id).last.wait_for()
        await scene.shot(bob, "10-pending")
        await dana.get_by_role("button", name="Approve: UPDATE").last.click()
        assert await wire.lines() == ["C[UPDATE 1]", "ZI"]
        await card.says("Executed")
        await say(bob, "/hoop audit table:accounts last:1h")
        await bob.get_by_text("Audit: ").last.wait_for()
        await bob.get_by_text("log intact through").last.wait_for()
        await scene.shot(bob, "11-audit")
        assert await dana.get_by_text("log intact through").count() == 0, "only who asked sees it"


async def say(page: Page, text: str) -> None:
    await page.locator("#say").fill(text)
    await page.locator("#say").press("Enter")
