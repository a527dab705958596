"""The life of requests through Teams: `hoop serve` as its own process, a real database and driver, a Teams of the tests.

Nothing of the gateway is replaced: its edge checks the JWTs of the tests' issuer, msal gets its token over TLS, botbuilder
posts to the tests' Bot Connector.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.e2e.site import CHANNEL, START, Served, Site, run
from tests.e2e.stack import STEP
from tests.fakes.teams import APP_ID, PASSWORD, TENANT, Channel, Message, Teams, text_of

BRIEF = """  - {name: updates wait briefly, effect: hold, groups: [engineering], statements: [UPDATE], reviewers: dba,
     timeout: 1s, hold_in_transaction: 1s}
"""


class Team:
    """A site whose reviewers are in Teams."""

    def __init__(self, site: Site, teams: Teams, channel: str = "") -> None:
        self.site = site
        self.teams = teams
        self.ann, self.bob = teams.person("Ann"), teams.person("Bob")
        self.channel: Channel = teams.channel([self.ann, self.bob])
        text = site.policies.read_text("utf-8")
        text = text.replace(f'"slack:{CHANNEL}"', f'"teams:{channel or self.channel.id}"').replace(
            "  - {name: writes,", f"{BRIEF}  - {{name: writes,"
        )
        site.policies.write_text(text, "utf-8")
        for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_API_URL"):
            site.environment[name] = ""
        site.environment |= {
            "TEAMS_APP_ID": APP_ID,
            "TEAMS_APP_PASSWORD": PASSWORD,
            "TEAMS_TENANT_ID": TENANT,
            "TEAMS_OPENID_METADATA_URL": teams.microsoft.metadata_url,
            "TEAMS_LOGIN_URL": teams.microsoft.login_url,
            "REQUESTS_CA_BUNDLE": str(teams.certificate),
        }

    async def open(self, served: Served) -> psycopg.AsyncConnection[object]:
        """Teams knows the way in, the app is in the team, Bob has signed in once; Ann's connection."""
        started = await served.logged("gateway.started")
        self.teams.bot_url = f"http://127.0.0.1:{started['http']}/api/messages"
        assert await self.teams.install(self.channel) == 200
        await (await self.site.connect(served, "bob")).execute("SELECT 1")
        return await self.site.connect(served, "ann")

    async def card(self, number: int) -> Message:
        """The channel's card of this number, from 1."""
        found = await self.teams.wait_for(lambda: self.teams.in_channel(self.channel)[number - 1 :], START)
        return found[0]

    async def says(self, message: Message, word: str) -> str:
        return await self.teams.wait_for(lambda: message.text if word in message.text else "", START)


@pytest_asyncio.fixture
async def team(site: Site, tmp_path: Path) -> AsyncIterator[Team]:
    folder = tmp_path / "teams"
    folder.mkdir()
    teams = await Teams.open(folder)
    yield Team(site, teams)
    await teams.close()


async def test_a_day_in_teams(team: Team) -> None:
    """Approved, denied with a reason, expired, asked about; the record says so, and verifies."""
    teams, bob = team.teams, team.bob
    async with team.site.serving() as served:
        ann = await team.open(served)

        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 91"))
        card = await team.card(1)
        await teams.click(bob, card, "Review")
        assert "You approved it" in text_of(await teams.click(bob, card, "Approve"))
        async with asyncio.timeout(STEP):
            assert (await waiting).rowcount == 1
        assert "Executed: 1 row" in await team.says(card, "committed")
        assert "actions" not in card.seen_by(bob)

        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 92"))
        card = await team.card(2)
        await teams.click(bob, card, "Review")
        await teams.click(bob, card, "Deny", reason="Use the archive job")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="Use the archive job"):
            await waiting
        await team.says(card, "Denied by bob@example.com")

        with pytest.raises(psycopg.errors.QueryCanceled):
            await ann.execute("UPDATE ledger SET amount = 0 WHERE id = 93")
        expired = await team.card(3)
        await team.says(expired, "Expired at")

        request = re.search(r"Request ([0-9A-Z]{10})", card.text)
        assert request is not None
        await teams.say(bob, f"show {request[1]}")
        (answer,) = await teams.wait_for(lambda: teams.in_channel(teams.chat(bob)), START)
        assert "denied by bob@example.com, via teams" in answer.text
        assert "log intact" in answer.text
        served.process.terminate()
        assert await served.ended() == 0
    verified = await asyncio.to_thread(run, team.site.environment, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    asked = await asyncio.to_thread(run, team.site.environment, "audit", "export", "verb:delete", "last:1h")
    entries = [json.loads(line) for line in asked.stdout.splitlines()]
    assert {(each["kind"], each["outcome"], each["decided_by"]) for each in entries} >= {
        ("finished", "executed", "bob@example.com"),
        ("decided", "denied", "bob@example.com"),
    }


async def test_a_request_is_talked_about_in_teams(team: Team) -> None:
    """A question reaches the client that waits, requested changes end its wait, and who asked takes the next one back."""
    teams, bob = team.teams, team.bob
    async with team.site.serving() as served:
        ann = await team.open(served)
        heard: list[str] = []
        ann.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))

        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 95"))
        card = await team.card(1)
        await teams.click(bob, card, "Review")
        await teams.click(bob, card, "Ask a question", reason="Is 95 closed?")
        await team.says(card, "Is 95 closed?")
        await teams.click(bob, card, "Review")
        await teams.click(bob, card, "Request changes", reason="Only after the audit")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="then send it again: Only after the audit"):
            await waiting
        await team.says(card, "Changes requested")
        assert [each for each in heard if each.endswith(": Is 95 closed?")]

        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 95"))
        card = await team.card(2)
        await teams.click(team.ann, card, "Review")
        assert "You withdrew it" in text_of(await teams.click(team.ann, card, "Withdraw"))
        with pytest.raises(psycopg.errors.QueryCanceled, match="withdrawn: by its requester"):
            await waiting
        await team.says(card, "Withdrawn by its requester")
    assert await team.site.ledger(95)


async def test_a_card_of_before_a_restart_is_true_again(team: Team) -> None:
    """kill -9 with a card open: the next start updates it, and its buttons, still in somebody's view, say so."""
    teams, bob = team.teams, team.bob
    async with team.site.serving() as first:
        ann = await team.open(first)
        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 94"))
        card = await team.card(1)
        view = await teams.click(bob, card, "Review")
        await team.site.stored_card()
        first.process.kill()
        with pytest.raises(psycopg.OperationalError):
            await waiting
        await first.ended()
    async with team.site.serving() as second:
        started = await second.logged("gateway.started")
        teams.bot_url = f"http://127.0.0.1:{started['http']}/api/messages"
        await team.says(card, "Withdrawn")
        approve = {key: view["actions"][0][key] for key in ("type", "title", "verb", "data")}
        _, answer = await teams.execute(bob, card, approve)
        assert "It was decided already. Withdrawn" in text_of(answer["value"])
    assert await team.site.ledger(94)


async def test_credentials_that_microsoft_refuses_are_no_traceback(team: Team) -> None:
    team.site.environment["TEAMS_APP_PASSWORD"] = "wrong"
    done = await asyncio.to_thread(run, team.site.environment, "serve")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("hoop serve: Microsoft refuses the Teams settings: the login server")
    assert "invalid_client (AADSTS7000215)" in done.stderr
    assert "Traceback" not in done.stderr
