"""`hoop serve` as its own process: the environment of .env.example, TLS, a store, signals, kill -9 and a new start.

Nothing of it is replaced. The issuer and the workspace are the demo's, in the test's own loop; the databases are of the
run's embedded PostgreSQL. Waits are for what the process logs, for cards and for its end, never for time to pass.
"""

import asyncio
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from bots.workspace.state import Message
from bots.workspace.workspace import Workspace
from gateway.demo.issuer import DemoIssuer
from gateway.demo.postgres import EmbeddedPostgres
from tests.e2e.certificates import self_signed
from tests.e2e.stack import STEP

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
CHANNEL = "C0APPROVALS"
PASSWORD = secrets.token_urlsafe(24)
#: A process that starts alone takes a second or two; on a busy machine several.
START = 60.0

TARGET = """
\\getenv password SERVED_PASSWORD
CREATE ROLE served LOGIN PASSWORD :'password';
CREATE DATABASE served;
\\connect served
CREATE TABLE ledger (id integer PRIMARY KEY, amount integer NOT NULL);
INSERT INTO ledger SELECT n, 100 FROM generate_series(1, 100) AS n;
GRANT SELECT, DELETE ON ledger TO served;
"""
POLICY = """
version: 1
issuers: [{{issuer: "{issuer}", audience: hoop}}]
targets:
  shop: {{environment: production, host: 127.0.0.1, port: {port}, database: served, sslmode: disable, user: served,
         password: {{env: SHOP_DB_PASSWORD}}}}
reviewers:
  dba: {{groups: [dba], channels: ["slack:{channel}"]}}
rules:
  - {{name: reads go, effect: allow, groups: [engineering, dba], statements: [read]}}
  - {{name: writes, effect: {effect}, groups: [engineering], statements: [write]{reviewers}}}
"""


class Served:
    """A running `hoop serve`: what it has logged so far, and how it ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._over = False
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._news:
                self.lines.append(line.decode().rstrip())
                self._news.notify_all()
        async with self._news:
            self._over = True
            self._news.notify_all()

    def _events(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [each for each in found if each["event"] == name]

    async def logged(self, name: str, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of this name, once it is there."""
        async with asyncio.timeout(START), self._news:
            await self._news.wait_for(lambda: self._over or len(self._events(name)) >= count)
        assert len(self._events(name)) >= count, "\n".join(self.lines)
        return self._events(name)[count - 1]

    async def ended(self) -> int:
        """Its exit code, once it has ended and all that it logged is read."""
        async with asyncio.timeout(STEP):
            await self._reading
            return await self.process.wait()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()


@dataclass
class Site:
    """What an operator has set up: an environment, a policies file, a certificate, a workspace, an issuer."""

    environment: dict[str, str]
    policies: Path
    certificate: Path
    workspace: Workspace
    issuer: DemoIssuer
    postgres: EmbeddedPostgres
    store_name: str
    _connections: list[psycopg.AsyncConnection[Any]] = field(default_factory=list)

    def write_policy(self, effect: str) -> None:
        reviewers = ", reviewers: dba" if effect == "hold" else ""
        text = POLICY.format(
            issuer=self.issuer.url, port=self.postgres.port, channel=CHANNEL, effect=effect, reviewers=reviewers
        )
        self.policies.write_text(text, "utf-8")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        """A started gateway that the workspace delivers to; it is ended with the block."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve"), cwd=ROOT, env=self.environment, stderr=asyncio.subprocess.PIPE
        )
        served = Served(process)
        try:
            started = await served.logged("gateway.started")
            self.workspace.events_url = f"http://{HOST}:{started['http']}/slack/events"
            yield served
        finally:
            await served.stop()

    async def connect(self, served: Served, person: str) -> psycopg.AsyncConnection[Any]:
        started = await served.logged("gateway.started")
        connection = await psycopg.AsyncConnection.connect(
            host=HOST,
            port=started["wire"],
            dbname="shop",
            user="hoop",
            password=self.issuer.mint(person),
            sslmode="verify-full",
            sslrootcert=str(self.certificate),
            autocommit=True,
        )
        self._connections.append(connection)
        return connection

    async def card(self) -> Message:
        return (await self.workspace.wait_for(lambda: self.workspace.messages(CHANNEL), START))[0]

    async def stored_card(self) -> None:
        """Wait until the store knows where the card is; a process killed before that leaves it to be posted again."""
        async with asyncio.timeout(STEP):
            while await self.postgres.psql("SELECT count(ref) FROM hoop.outbox", self.store_name) != "1":
                pass  # each question is a process of its own; nothing is notified of this

    async def card_says(self, word: str) -> str:
        def text() -> str:
            found = self.workspace.messages(CHANNEL)[0].text
            return found if found.startswith(word) else ""

        return await self.workspace.wait_for(text, START)

    async def states(self) -> list[tuple[str, str]]:
        """State and body of each request in the store."""
        rows = await self.postgres.psql("SELECT state, body->>'ended_why' FROM hoop.approval", self.store_name)
        return [(state, why) for state, _, why in (row.partition("|") for row in rows.splitlines())]

    async def ledger(self, row: int) -> bool:
        """Whether this row is still there."""
        return await self.postgres.psql(f"SELECT count(*) FROM ledger WHERE id = {row}", "served") == "1"

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()
        await self.workspace.stop()
        await self.issuer.close()


def example() -> dict[str, str]:
    """The variables of .env.example, as a shell reads them."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    pairs = (line.partition("=")[::2] for line in lines if line and not line.startswith("#"))
    return dict(pairs)


@pytest.fixture(scope="module")
def target(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    asyncio.run(postgres.psql(TARGET, env={"SERVED_PASSWORD": PASSWORD}))
    return postgres


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
async def site(target: EmbeddedPostgres, numbers: Iterator[int], tmp_path: Path) -> AsyncIterator[Site]:
    store = f"served_store_{next(numbers)}"
    await target.psql(f"CREATE DATABASE {store}")
    certificate, key = self_signed(tmp_path)
    workspace = Workspace(relaxed=True, answer_seconds=START)
    workspace.add_person("Ann", "ann@example.com", "Engineer")
    workspace.add_person("Bob", "bob@example.com", "DBA")
    workspace.add_channel("db-approvals", ["Ann", "Bob"], channel_id=CHANNEL)
    await workspace.start()
    (tmp_path / "audit.key").write_text(secrets.token_urlsafe(48))
    ours = {
        "HOOP_LISTEN": f"{HOST}:0",
        "HOOP_HTTP": f"{HOST}:0",
        "HOOP_POLICIES": str(tmp_path / "policies.yaml"),
        "HOOP_STORE": target.dsn(store),
        "HOOP_TLS_CERT": str(certificate),
        "HOOP_TLS_KEY": str(key),
        "HOOP_INSECURE_LOOPBACK": "1",  # for the issuer's http:// on loopback
        "HOOP_SPOOL": str(tmp_path / "spool"),
        "HOOP_AUDIT_KEY_FILE": str(tmp_path / "audit.key"),
        "HOOP_SECRET": secrets.token_urlsafe(48),
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
        "SLACK_API_URL": workspace.api_url,
        "SHOP_DB_PASSWORD": PASSWORD,
    }
    environment = {"PATH": os.environ["PATH"], **example(), **ours}
    issuer = await DemoIssuer.start()
    made = Site(environment, tmp_path / "policies.yaml", certificate, workspace, issuer, target, store)
    made.write_policy("hold")
    yield made
    await made.close()


async def get(served: Served, path: str) -> tuple[int, str]:
    started = await served.logged("gateway.started")
    async with aiohttp.ClientSession() as http, http.get(f"http://{HOST}:{started['http']}{path}") as response:
        return response.status, await response.text()


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb that ends by itself."""
    command = (sys.executable, "-m", "gateway", *words)
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=START
    )


# --- a day in its life --------------------------------------------------------------------------------------------------


async def test_a_delete_is_approved_over_tls_and_the_record_is_whole(site: Site) -> None:
    """Bob's groups are known because he has logged in; here is no directory."""
    async with site.serving() as served:
        await (await site.connect(served, "bob")).execute("SELECT 1")
        ann = await site.connect(served, "ann")
        assert ann.pgconn.ssl_in_use
        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 1"))
        card = await site.card()
        await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
        async with asyncio.timeout(STEP):
            assert (await waiting).rowcount == 1
        assert "committed" in await site.card_says("Executed")
        served.process.terminate()
        assert await served.ended() == 0
    assert not await site.ledger(1)
    verified = await asyncio.to_thread(run, site.environment, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    asked = await asyncio.to_thread(run, site.environment, "audit", "export", "verb:delete", "last:1h")
    entry = json.loads(asked.stdout)
    assert (entry["outcome"], entry["decided_by"], entry["rows"]) == ("executed", "bob@example.com", 1)


async def test_it_answers_probes_and_counts(site: Site) -> None:
    async with site.serving() as served:
        ann = await site.connect(served, "ann")
        await ann.execute("SELECT count(*) FROM ledger")
        assert await get(served, "/healthz") == (200, "ok\n")
        status, ready = await get(served, "/readyz")
        assert (status, json.loads(ready)) == (200, {"store": "ok", "spool": "ok", "issuers": "ok"})
        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 2"))
        await site.card()
        _, metrics = await get(served, "/metrics")
        assert 'hoop_sessions_open{target="shop"} 1.0' in metrics
        assert 'hoop_statements_total{target="shop",verdict="allow"} 1.0' in metrics
        assert 'hoop_held_now{target="shop"} 1.0' in metrics
        await ann.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await waiting


async def test_it_is_not_ready_while_its_issuer_is_away(site: Site) -> None:
    await site.issuer.close()
    async with site.serving() as served:
        status, ready = await get(served, "/readyz")
        assert (status, json.loads(ready)["store"]) == (503, "ok")
        assert (await get(served, "/healthz"))[0] == 200


# --- ends ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_withdraws_what_is_held_and_tells_the_client(site: Site, number: signal.Signals) -> None:
    async with site.serving() as served:
        ann = await site.connect(served, "ann")
        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 3"))
        await site.card()
        served.process.send_signal(number)
        with pytest.raises(psycopg.errors.AdminShutdown, match="the gateway is shutting down") as told:
            await waiting
        assert (told.value.diag.severity_nonlocalized, told.value.sqlstate) == ("FATAL", "57P01")
        assert await served.ended() == 0
        assert (await site.card_says("Withdrawn")).endswith("Nothing ran.")
    assert [state for state, _ in await site.states()] == ["withdrawn"]
    assert await site.ledger(3)


async def test_after_kill_9_the_next_start_withdraws_what_was_held(site: Site) -> None:
    """The new process finds the dead one's spool, and need not wait for its heartbeat to lapse."""
    async with site.serving() as first:
        ann = await site.connect(first, "ann")
        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 4"))
        await site.card()
        await site.stored_card()
        first.process.kill()
        with pytest.raises(psycopg.OperationalError):
            await waiting
        await first.ended()
    assert [state for state, _ in await site.states()] == ["pending"]
    async with site.serving() as second:
        assert [state for state, _ in await site.states()] == ["withdrawn"]
        assert (await site.card_says("Withdrawn")).endswith("Nothing ran.")
        await second.logged("audit.picked_up")
        second.process.terminate()
        assert await second.ended() == 0
    assert await site.ledger(4)
    verified = await asyncio.to_thread(run, site.environment, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


# --- a policy that changes ----------------------------------------------------------------------------------------------


async def test_sighup_refuses_a_broken_policy_and_takes_a_good_one(site: Site) -> None:
    async with site.serving() as served:
        ann = await site.connect(served, "ann")
        site.policies.write_text(site.policies.read_text("utf-8").replace("reads go", "writes"), "utf-8")
        served.process.send_signal(signal.SIGHUP)
        refused = await served.logged("policy.refused")
        assert 'rule "writes": another rule has this name' in refused["problems"][0]
        assert (await ann.execute("SELECT count(*) FROM ledger")).rowcount == 1  # the old one stays
        site.write_policy("deny")
        served.process.send_signal(signal.SIGHUP)
        await served.logged("policy.loaded")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match='rule "writes"'):
            await ann.execute("DELETE FROM ledger WHERE id = 5")
        assert served.process.returncode is None


# --- starts that are refused --------------------------------------------------------------------------------------------


async def test_missing_variables_are_all_named_at_once() -> None:
    done = await asyncio.to_thread(run, {"PATH": os.environ["PATH"]}, "serve")
    assert done.returncode == 2
    named = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert named == ["HOOP_STORE", "HOOP_AUDIT_KEY", "HOOP_SECRET", "HOOP_TLS_CERT"]


async def test_a_bad_policy_is_refused_by_file_and_line(site: Site) -> None:
    site.policies.write_text(site.policies.read_text("utf-8").replace("effect: hold", "effect: wait"), "utf-8")
    done = await asyncio.to_thread(run, site.environment, "serve")
    assert done.returncode == 2
    assert f'{site.policies}:11: rule "writes": effect "wait"' in done.stderr


async def test_a_token_that_slack_refuses_is_no_traceback(site: Site) -> None:
    site.environment["SLACK_BOT_TOKEN"] = "xoxb-revoked"
    done = await asyncio.to_thread(run, site.environment, "serve")
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (
        2,
        ["hoop serve: Slack refuses SLACK_BOT_TOKEN: invalid_auth"],
    )
    assert "Traceback" not in done.stderr


async def test_a_store_that_is_away_is_named_without_its_password(site: Site) -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    site.environment["HOOP_STORE"] = f"postgresql://hoop:{PASSWORD}@{HOST}:{port}/hoop"
    done = await asyncio.to_thread(run, site.environment, "serve")
    assert (done.returncode, done.stderr) == (2, "hoop serve: the gateway's store can't be reached; check HOOP_STORE\n")


async def test_a_port_that_is_taken_is_named(site: Site) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        site.environment["HOOP_LISTEN"] = f"{HOST}:{port}"
        done = await asyncio.to_thread(run, site.environment, "serve")
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
