"""A whole stack on loopback: the gateway in a process of its own (`hoop serve`), all else in this one.

    this process: clients, workspace (chat), issuer      children: gateway, PostgreSQL 18 (target `shop`), another (the store)

So the gateway's memory and CPU are its own, and a reviewer's click comes from outside, as Slack's does. PostgreSQL runs
without fsync as in the demo, unless `settings` say otherwise. The store has a server of its own, elsewhere where all else is on one
CPU, as it would be on another machine; what the gateway spends to reach it is counted. Table `bench_rows` is there to delete from.
"""

import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench import machine
from bench.certificate import Certificate
from bench.client import Client
from bots.workspace.workspace import Workspace
from gateway.demo import sample
from gateway.demo.issuer import DemoIssuer
from gateway.demo.postgres import EmbeddedPostgres
from gateway.policy.model import load
from gateway.relay.target import connect

CHANNEL = "C0BENCH"
ROWS = 100_000
START, STOP = 120.0, 60.0
#: Commit times in the store say when a decision was made, without touching the gateway.
_POSTGRES = {"track_commit_timestamp": "on"}
_TABLE = f"""
CREATE TABLE bench_rows (id integer PRIMARY KEY, note text NOT NULL);
INSERT INTO bench_rows SELECT n, 'row ' || n FROM generate_series(1, {ROWS}) AS n;
GRANT SELECT, DELETE ON bench_rows TO {sample.SHOP_USER};
VACUUM ANALYZE bench_rows;
"""


class NotStarted(Exception):
    """The gateway did not come up; the text is the end of its log."""


@dataclass(slots=True)
class Stack:
    """`running` makes one. `pid` is the gateway's; `store` is a connection of our own to its database."""

    postgres: EmbeddedPostgres
    issuer: DemoIssuer
    workspace: Workspace
    store: Any
    pid: int
    wire: int
    password: str
    policies: Path
    certificate: Certificate

    async def client(self, person: str) -> Client:
        """A client of the gateway, logged in as one of the issuer's people."""
        return await Client.log_in(self.wire, self.issuer.mint(person))

    async def direct(self) -> Client:
        """A client of the target itself, without the gateway."""
        target = load(self.policies.read_text("utf-8")).targets["shop"]
        return Client.adopt((await connect(target, self.password, {"application_name": "bench"})).door)

    async def approve(self, card: int) -> None:
        """Bob clicks Approve on the card that was posted as this number (from 0)."""
        message = self.workspace.messages(CHANNEL)[card]
        status = await self.workspace.click("Bob", CHANNEL, message.ts, "hoop_approve")
        if status != 200:
            raise RuntimeError(f"the click was answered {status}")

    async def cards(self, count: int, within: float = 60.0) -> None:
        """Wait until so many cards are in the channel. Raises TimeoutError."""
        await self.workspace.wait_for(lambda: len(self.workspace.messages(CHANNEL)) >= count, within)


@asynccontextmanager
async def running(
    settings: Mapping[str, str] | None = None,
    command: Sequence[str] = ("-m", "gateway"),
    fill: Callable[[EmbeddedPostgres], Awaitable[None]] | None = None,
    rules: str = "",
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Stack]:
    """Start everything, take it away again. `environment` is the gateway's besides what it needs; `command` goes between the interpreter and `serve`, `fill` makes tables of its own
    before the gateway reads the catalog, `rules` (YAML) stand before those of policies.yaml; with several `workers` `pid` is their supervisor's. Raises NotStarted."""
    base = Path(tempfile.mkdtemp(prefix="hoop-bench-"))
    base.chmod(0o711)  # as root the database runs as another user and must reach its own directory
    try:
        async with _postgres(base / "target", settings) as postgres, _postgres(base / "store", settings) as store:
            machine.elsewhere(store.pid)
            more = {**(environment or {}), "HOOP_WORKERS": str(workers)}
            async with _served(base, postgres, store, command, fill, rules, workers, more) as stack:
                yield stack
    finally:
        shutil.rmtree(base, ignore_errors=True)


@asynccontextmanager
async def _postgres(base: Path, settings: Mapping[str, str] | None) -> AsyncIterator[EmbeddedPostgres]:
    base.mkdir(mode=0o711)
    postgres = await EmbeddedPostgres.start(base, settings={**_POSTGRES, **(settings or {})})
    try:
        yield postgres
    finally:
        await postgres.stop()


@asynccontextmanager
async def _served(
    base: Path,
    postgres: EmbeddedPostgres,
    store_server: EmbeddedPostgres,
    command: Sequence[str],
    fill: Callable[[EmbeddedPostgres], Awaitable[None]] | None,
    rules: str,
    workers: int,
    more: Mapping[str, str],
) -> AsyncIterator[Stack]:
    loaded, stored = await sample.load(postgres), await sample.load(store_server)
    await postgres.psql(_TABLE, sample.SHOP)
    if fill is not None:
        await fill(postgres)
    issuer = await DemoIssuer.start()
    workspace = Workspace(relaxed=True, answer_seconds=30)  # many clicks at once only queue; none is to be lost
    workspace.add_person("Bob", "bob@example.com", "DBA")
    workspace.add_channel("approvals", ["Bob"], channel_id=CHANNEL)
    await workspace.start()
    certificate = Certificate.write(base)
    policies = _policy(base, issuer.url, postgres.port, loaded.shop_password, rules)
    environment = _environment(base, workspace, stored.store_dsn, policies, certificate)
    environment |= more
    with (base / "gateway.log").open("wb") as log:
        gateway = await asyncio.create_subprocess_exec(sys.executable, *command, "serve", env=environment, stderr=log)
    try:
        ports = await _started(gateway, base / "gateway.log", workers)
        workspace.events_url = f"http://127.0.0.1:{ports['http']}/slack/events"
        store = await asyncpg.connect(store_server.dsn(sample.STORE))
        stack = Stack(
            postgres, issuer, workspace, store, gateway.pid, ports["wire"], loaded.shop_password, policies, certificate
        )
        (await stack.client("bob")).close()  # reviewers' groups are those of their last login
        yield stack
        await store.close()
    finally:
        if gateway.returncode is None:
            gateway.terminate()
        async with asyncio.timeout(STOP):
            await gateway.wait()
        await workspace.stop()
        await issuer.close()


def _policy(base: Path, issuer: str, port: int, password: str, rules: str) -> Path:
    secret = base / "shop.password"
    secret.touch(mode=0o600)
    secret.write_text(password, "utf-8")
    template = Path(__file__).with_name("policies.yaml").read_text("utf-8")
    path = base / "policies.yaml"
    text = template.format(issuer=issuer, port=port, password_file=secret, channel=CHANNEL)
    path.write_text(text.replace("rules:\n", f"rules:\n{rules}", 1), "utf-8")
    return path


def _environment(
    base: Path, workspace: Workspace, store: str, policies: Path, certificate: Certificate
) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    return kept | {
        "HOOP_STORE": store,
        "HOOP_AUDIT_KEY": secrets.token_hex(32),
        "HOOP_SECRET": secrets.token_hex(32),
        "HOOP_LISTEN": "127.0.0.1:0",
        "HOOP_HTTP": "127.0.0.1:0",
        "HOOP_INSECURE_LOOPBACK": "1",  # plain text beside TLS
        "HOOP_TLS_CERT": str(certificate.cert),
        "HOOP_TLS_KEY": str(certificate.key),
        "HOOP_POLICIES": str(policies),
        "HOOP_SPOOL": str(base / "spool"),
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
        "SLACK_API_URL": workspace.api_url,
    }


async def _started(gateway: asyncio.subprocess.Process, log: Path, workers: int) -> dict[str, int]:
    """Wait for `gateway.started` of each worker in the log; it says which ports were taken."""
    async with asyncio.timeout(START):
        while gateway.returncode is None:
            started = [line for line in log.read_text("utf-8").splitlines() if '"gateway.started"' in line]
            if len(started) >= workers:
                said = json.loads(started[0])
                return {"wire": said["wire"], "http": said["http"]}
            await asyncio.sleep(0.05)
    raise NotStarted(log.read_text("utf-8")[-2000:])
