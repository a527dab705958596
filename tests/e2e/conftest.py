"""One stack for all end-to-end tests of a run: each test takes rows of its own and leaves no hold behind."""

import asyncio
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bots.workspace.workspace import Workspace
from gateway.demo.issuer import DemoIssuer
from gateway.demo.postgres import EmbeddedPostgres, find_binaries
from tests.e2e.certificates import self_signed
from tests.e2e.safe import Safe, open_safe
from tests.e2e.site import CHANNEL, HOST, PASSWORD, START, TARGET, Site, example
from tests.e2e.stack import Stack, logging_everything
from tests.e2e.wire import Wire

DEBIAN = find_binaries("debian")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    log = tmp_path_factory.mktemp("e2e") / "gateway.log"
    with logging_everything(log):
        running = Stack(log)
        running.start()
        yield running
        running.stop()


@pytest.fixture(
    scope="session",
    params=[
        "18",
        pytest.param(
            "15",
            marks=[
                pytest.mark.pg15,
                pytest.mark.skipif(DEBIAN is None, reason="no PostgreSQL 15 (Debian's package postgresql-15)"),
            ],
        ),
    ],
)
def each_version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on the newest PostgreSQL, then one on the oldest."""
    running = Stack(tmp_path_factory.mktemp("e2e") / "gateway.log", DEBIAN if request.param == "15" else None)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    """Through the gateway, as Ann."""
    connected = await Wire.connect(stack.port, stack.token("ann"))
    yield connected
    await connected.close()


@pytest.fixture
async def direct(stack: Stack) -> AsyncIterator[Wire]:
    """The same target without the gateway."""
    postgres = stack.demo.postgres
    assert postgres is not None
    connected = await Wire.connect(postgres.port, postgres.password, user=postgres.superuser)
    yield connected
    await connected.close()


@pytest.fixture
async def safe(stack: Stack, tmp_path: Path) -> AsyncIterator[Safe]:
    """The stack's gateway by a door that takes TLS only."""
    async with open_safe(stack, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots go; not in the repository."""
    folder = Path("artifacts")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def own_cards(request: pytest.FixtureRequest) -> None:
    """A card that another test left behind, having failed, is not this one's."""
    if "stack" in request.fixturenames:
        request.getfixturevalue("stack").ignore_cards()


@pytest.fixture(autouse=True)
async def close_wires() -> AsyncIterator[None]:
    """Close what a test has opened and, having failed, not closed."""
    yield
    for wire in tuple(Wire.opened):
        await wire.close()


@pytest.fixture(scope="session")
def served_target(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    asyncio.run(postgres.psql(TARGET, env={"SERVED_PASSWORD": PASSWORD}))
    return postgres


@pytest.fixture(scope="session")
def store_numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
async def site(served_target: EmbeddedPostgres, store_numbers: Iterator[int], tmp_path: Path) -> AsyncIterator[Site]:
    store = f"served_store_{next(store_numbers)}"
    await served_target.psql(f"CREATE DATABASE {store}")
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
        "HOOP_STORE": served_target.dsn(store),
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
    made = Site(environment, tmp_path / "policies.yaml", certificate, workspace, issuer, served_target, store)
    made.write_policy("hold")
    yield made
    await made.close()
