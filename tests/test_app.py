"""The composition root: reading and replacing the policy, what a failed start leaves. Running it whole: tests/e2e/test_serve.py."""

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from gateway.app import replica_name
from gateway.approvals.request import Person
from gateway.errors import GatewayError, StoreUnavailable
from gateway.settings import Address
from tests.e2e.certificates import self_signed
from tests.playbook import POLICY
from tests.running.gateways import gateway, policies_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return policies_in(tmp_path)


def test_replicas_have_names_of_their_own() -> None:
    assert replica_name() != replica_name()
    assert replica_name(3).endswith(":3")


async def test_a_store_that_is_away_leaves_nothing_running(file: Path) -> None:
    made = gateway(file, "postgresql://nobody@127.0.0.1:1/x")
    with pytest.raises(StoreUnavailable):
        await made.start()
    assert (made.ports.wire, made.ports.http) == (0, 0)
    assert not made._stops
    assert not made._tasks


async def test_a_key_of_another_certificate_is_told_by_its_variables(
    file: Path, store_dsn: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    cert, _ = self_signed(tmp_path)
    _, key = self_signed(tmp_path / "other")
    made = gateway(file, store_dsn)
    made.settings = replace(made.settings, tls_cert=cert, tls_key=key)
    with pytest.raises(GatewayError, match=r"^certificate and key can't be used \(SSLError\)$") as refused:
        await made.start()
    assert refused.value.hint == "HOOP_TLS_CERT and HOOP_TLS_KEY are PEM files of one certificate"


@pytest.mark.parametrize(("part", "variable"), [("listen", "HOOP_LISTEN"), ("http", "HOOP_HTTP")])
async def test_a_port_that_is_taken_is_told_with_its_variable(
    file: Path, store_dsn: str, part: str, variable: str
) -> None:
    made = gateway(file, store_dsn)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        changes: dict[str, Any] = {part: address}
        made.settings = replace(made.settings, **changes)
        with pytest.raises(OSError, match=f"^can't listen on {address}: Address already in use; change {variable}$"):
            await made.start()


async def test_a_start_that_fails_half_way_takes_back_what_had_started(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made.settings = replace(made.settings, listen=Address("127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            await made.start()
    assert not made._stops
    assert not made._tasks
    with socket.create_server(("127.0.0.1", made.ports.http)):
        pass  # its port is free again


async def test_a_new_policy_counts_once_it_is_good(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    await made.start()
    try:
        first = made.policy
        page = POLICY.replace("opaque], reviewers: dba}", "opaque], reviewers: dba, approve_via: web}")
        for bad in ("version: 2\n", page):  # nobody could sign in there
            file.write_text(bad)  # noqa: ASYNC240 - a test may wait for a disk
            assert not made.reload()
        assert made.policy is made.server.policy is first
        text = POLICY.replace("never drop", "not here") + "limits: {catalog_refresh: 7s}\n"
        file.write_text(text)  # noqa: ASYNC240 - as above
        assert made.reload()
        assert made._catalogs is not None
        assert made._catalogs.refresh == 7
        assert made.policy is made.server.policy
        assert made.policy.version != first.version
        again = made.policy
        with structlog.testing.capture_logs() as said:
            assert made.reload()
        assert [(each["event"], each["version"]) for each in said] == [("policy.unchanged", again.version)]
        assert made.policy is again, "nothing changed, so nothing is replaced"
        assert (await made.monitoring.ready())["store"] == "ok"
    finally:
        await made.stop()
    assert not made._tasks


async def test_a_new_policy_says_how_long_a_sign_in_counts(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    await made.start()
    try:
        bob = Person("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com", frozenset({"dba"}))
        await made.store.saw(bob, time.time() - 7200)
        assert await made.desk.reviewer("bob@example.com") == bob
        file.write_text(POLICY + "limits: {link_max_age: 1h}\n")  # noqa: ASYNC240 - a test may wait for a disk
        assert made.reload()
        found = await made.desk.reviewer("bob@example.com")
        assert found is not None
        assert found.groups == frozenset()
    finally:
        await made.stop()
