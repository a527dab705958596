"""A gateway as an operator sets it up: `hoop serve` as a process of its own, its environment, its workspace and issuer.

    async with site.serving() as served:     a started process; it is killed with the block, if it still runs
        await served.logged("policy.loaded")     what it has logged, once it is there

Nothing of it is replaced. Waits are for what the process logs, for cards and for its end, never for time to pass.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from bots.workspace.state import Message
from bots.workspace.workspace import Workspace
from gateway.demo.issuer import DemoIssuer
from gateway.demo.postgres import EmbeddedPostgres
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
GRANT SELECT, UPDATE, DELETE ON ledger TO served;
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
    async def serving(self, code: str = "") -> AsyncIterator[Served]:
        """A started gateway that the workspace delivers to; it is ended with the block. `code` runs before it."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"{code}\nfrom gateway.__main__ import main\nmain()", "serve"),
            cwd=ROOT,
            env=self.environment,
            stderr=asyncio.subprocess.PIPE,
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
    """The variables of .env.example, as a shell reads them; its store is one that a test sets."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    pairs = (line.partition("=")[::2] for line in lines if line and not line.startswith("#"))
    return {**dict(pairs), "HOOP_STORE_FILE": ""}


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
