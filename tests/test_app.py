"""The composition root: reading and replacing the policy, what a failed start leaves. Running it whole: tests/e2e/test_serve.py."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog.testing

from bots.answers import Viewer
from bots.workspace import Workspace
from gateway.app import Gateway, replica_name
from gateway.approvals.request import Person
from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import ChatRefused, GatewayError, StoreUnavailable
from gateway.identity.accounts import Account
from gateway.identity.claims import Identity
from gateway.policies import read_policy
from gateway.policy.model import load
from gateway.settings import Address, Settings, Slack, Web
from tests.e2e.certificates import self_signed
from tests.playbook import POLICY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policies.yaml"
    path.write_text(POLICY)
    return path


def gateway(file: Path, store: str) -> Gateway:
    settings = Settings(
        store,
        b"a" * 32,
        b"s" * 32,
        Address("127.0.0.1", 0),
        Address("127.0.0.1", 0),
        policies=file,
        insecure_loopback=True,
        spool=file.parent / "spool",
    )
    return Gateway(settings, read_policy(file))


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


async def test_a_login_without_its_password_is_warned_of_with_the_variable(
    file: Path, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("X", raising=False)
    made = gateway(file, store_dsn)
    with structlog.testing.capture_logs() as said:
        await made._look_at_logins()
    assert [each["problem"] for each in said if each["event"] == "target.not_looked_at"] == [
        "the environment variable X is not set"
    ]


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
        assert (await made._ready())["store"] == "ok"
    finally:
        await made.stop()
    assert not made._tasks


async def test_a_renewed_certificate_is_taken_with_the_policy(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    cert, key = self_signed(file.parent)
    made.settings = replace(made.settings, tls_cert=cert, tls_key=key)
    await made.start()
    try:
        with structlog.testing.capture_logs() as said:
            made.reload()
            self_signed(file.parent)
            made.reload()
            key.write_text("no key")
            made.reload()
        told = [each["event"] for each in said if each["event"].startswith("certificate.")]
        assert told == ["certificate.renewed", "certificate.refused"]
    finally:
        await made.stop()


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


async def test_an_old_token_brings_no_authority_back(file: Path, store_dsn: str) -> None:
    """Bob was taken out of dba, and signed in since. His token of this morning is good for a login, and tells what was then."""
    made = gateway(file, store_dsn)
    await made.start()
    try:
        now = time.time()
        bob = ("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com")
        for groups, issued_at in ((frozenset[str](), now - 60), (frozenset({"dba"}), now - 7200)):
            await made._saw(Identity(*bob, groups, now + 3600, issued_at))
        assert await made.desk.reviewer("bob@example.com") == Person(*bob, frozenset())
        await made._saw(Identity(*bob, frozenset({"dba"}), now + 3600))
        assert await made.desk.reviewer("bob@example.com") == Person(*bob, frozenset({"dba"}))
    finally:
        await made.stop()


async def test_the_same_token_is_stored_once(file: Path, store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool connects often. What another token says is stored each time, and so is what could not be stored before."""
    made = gateway(file, store_dsn)
    await made.start()
    stored: list[frozenset[str]] = []
    saw, away = made.store.saw, [True]

    async def counted(person: Person, at: float) -> None:
        if away.pop() if away else False:
            raise StoreUnavailable("away")
        stored.append(person.groups)
        await saw(person, at)

    monkeypatch.setattr(made.store, "saw", counted)
    try:
        now = time.time()
        bob = ("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com")
        dba, nothing = frozenset({"dba"}), frozenset[str]()
        for groups in (dba, dba, dba, nothing, dba, dba):
            await made._saw(Identity(*bob, groups, now + 3600, now - 60))
        assert stored == [dba, nothing, dba]
        await made._saw(Identity(*bob, dba, now + 3600, now - 50))
        assert stored[3:] == [dba]
    finally:
        await made.stop()


async def test_a_store_that_hangs_keeps_nobody_waiting(
    file: Path, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = gateway(file, store_dsn)
    await made.start()
    answers, questions, alive = asyncio.Event(), 0, made.store.alive

    async def hanging(within: float) -> list[str]:
        nonlocal questions
        questions += 1
        await answers.wait()
        return await alive(within)

    async def never(_person: Person, _at: float) -> None:
        await answers.wait()

    monkeypatch.setattr("gateway.app.ANSWERS_WITHIN", 0)
    monkeypatch.setattr(made.store, "alive", hanging)
    monkeypatch.setattr(made.store, "saw", never)
    try:
        await made._saw(Identity("https://issuer.test", "bob-1", "bob", None, frozenset(), time.time() + 3600))
        for _ in range(3):
            assert (await made._ready())["store"].startswith("degraded; the gateway's store does not answer within")
        assert questions == 1
        answers.set()
        monkeypatch.setattr("gateway.app.ANSWERS_WITHIN", None)
        assert (await made._ready())["store"] == "ok"
    finally:
        answers.set()
        await made.stop()


async def test_its_pages_are_where_browsers_reach_it(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    made.settings = replace(made.settings, web=Web("hoop-web", "secret"))
    await made.start()
    try:
        account = Account("slack", "/T1", "U1", "Bob")
        bob = Viewer(Person("https://issuer.test", "bob-1", "bob", None, frozenset()), "slack", account)
        way = (await made._commands().answer("link", bob)).way
        assert way is not None
        assert way.url.startswith(f"http://127.0.0.1:{made.ports.http}/link/")
        async with aiohttp.ClientSession() as browser, browser.get(way.url) as response:
            assert response.status == 200
            assert "Link a chat account" in await response.text()
        made.settings = replace(made.settings, public_url="https://gate.example.com/hoop/")
        way = (await made._commands().answer("link", bob)).way
        assert way is not None
        assert way.url.startswith("https://gate.example.com/hoop/link/")
    finally:
        await made.stop()


async def test_reviewers_who_can_not_decide_are_warned_of_at_start(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    quiet = POLICY.replace(', channels: ["slack:C1"]', "").replace("effect: hold,", "effect: hold, groups: [eng],")
    made.policy = load(quiet.replace("effect: allow,", "effect: allow, groups: [eng],"))
    events = ("reviewers.no_channel", "reviewers.groups_unknown")
    with structlog.testing.capture_logs() as logged:
        await made.start()
    try:
        assert [each["event"] for each in logged if each["event"] in events] == list(events)
        made.settings = replace(made.settings, web=Web("hoop-web", "secret"))
        with structlog.testing.capture_logs() as logged:
            made._warn_of_chats()
        assert [each["event"] for each in logged] == ["reviewers.no_channel"]
    finally:
        await made.stop()


async def test_the_further_commands_ask_the_running_gateway(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    dba = Viewer(
        Person("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com", frozenset({"dba"})), "slack"
    )
    with structlog.testing.capture_logs() as logged:
        await made.start()
    try:
        [warning] = [each["warning"] for each in logged if each["event"] == "chat.not_configured"]
        assert warning.startswith('reviewers "dba" are asked in slack, which is not set up')
        commands = made._commands()
        await made.audit.ship()
        status = await commands.answer("status", dba)
        assert status.title.endswith("issuers"), "issuer.test is nowhere; the store is that of all tests"
        assert "Running: " in "".join(status.lines)
        assert made.spool.replica in (await made._look()).replicas
        assert "are intact" in status.lines[-1]
        assert (await commands.answer("status week", dba)).lines == ("Nothing was decided.",)
        explained = await commands.answer("policy explain DELETE FROM orders", dba)
        assert explained.title == 'Held by rule "writes wait"'
        made.spool.record("session_started", session="s-1", subject="ann-1", user="ann@example.com", target="shop")
        made.spool.flush()
        await made.audit.ship()
        sessions = await commands.answer("sessions", dba)
        assert sessions.title == "Sessions: 1 open session"
    finally:
        await made.stop()


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace()
    await made.start()
    made.add_channel("approvals", [], channel_id="C1")
    yield made
    await made.stop()


def with_slack(file: Path, store: str, workspace: Workspace, *shared: str) -> Gateway:
    made = gateway(file, store)
    slack = Slack(workspace.bot_token, "sign", "", workspace.api_url, frozenset(shared))
    made.settings = replace(made.settings, slack=slack)
    return made


async def test_a_channel_that_others_read_along_in_keeps_it_from_starting(
    file: Path, store_dsn: str, workspace: Workspace
) -> None:
    workspace.state.channels["C1"].is_ext_shared = True
    made = with_slack(file, store_dsn, workspace)
    with pytest.raises(ChatRefused, match=r"C1: it is shared with another organisation.*SLACK_SHARED_CHANNELS"):
        await made.start()
    assert not made._stops
    allowed = with_slack(file, store_dsn, workspace, "C1")
    await allowed.start()
    await allowed.stop()


async def test_a_later_policy_with_such_a_channel_is_told_to_operators(
    file: Path, store_dsn: str, workspace: Workspace
) -> None:
    made = with_slack(file, store_dsn, workspace)
    await made.start()
    workspace.add_channel("partners", [], channel_id="C2").is_ext_shared = True
    try:
        with structlog.testing.capture_logs() as said:
            file.write_text(POLICY.replace("slack:C1", "slack:C2"))  # noqa: ASYNC240 - a test may wait for a disk
            assert made.reload()
            await asyncio.gather(*(each for each in made._tasks if "_warn_of_shared" in repr(each)))
        assert [each["channel"] for each in said if each["event"] == "slack.shared_channel"] == ["C2"]
    finally:
        await made.stop()


async def test_masking_columns_that_are_not_there_are_told_at_start_and_of_a_new_policy(
    file: Path, store_dsn: str, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await postgres.psql("CREATE ROLE clerk LOGIN PASSWORD 'secret'; CREATE DATABASE clerk;")
    await postgres.psql("CREATE TABLE customers (id int, salary int);", "clerk")
    monkeypatch.setenv("X", "secret")
    text = POLICY.replace(
        "host: db.test, port: 5432, database: shop", f"host: 127.0.0.1, port: {postgres.port}, database: clerk"
    )

    def write(*columns: str) -> None:
        entries = ", ".join(f'{{column: "{each}", mask: redact}}' for each in columns)
        file.write_text(text.replace("user: hoop", "user: clerk") + f"masking: {{columns: [{entries}]}}\n")

    async def told(made: Gateway) -> list[tuple[str, str]]:
        await asyncio.gather(*(each for each in made._tasks if "_look_at_logins" in repr(each)))
        return [(each["target"], each["column"]) for each in said if each["event"] == "masking.no_such_column"]

    write("shop.public.customers.salry", "shop.public.customers.salary", "*.public.customers.iban")
    made = gateway(file, store_dsn)
    try:
        with structlog.testing.capture_logs() as said:
            await made.start()
            assert await told(made) == [("shop", "shop.public.customers.salry")]
            [hint] = [each["hint"] for each in said if each["event"] == "masking.no_such_column"]
            assert hint.endswith('no column of shop is called that; did you mean "public.customers.salary"?')
            said.clear()
            write("shop.public.customers.salary", "shop.public.customer.*")
            assert made.reload()
            assert await told(made) == [("shop", "shop.public.customer.*")]
            said.clear()
            monkeypatch.setenv("X", "s3cret-wrong")
            write("shop.public.customers.sal")
            assert made.reload()
            assert await told(made) == [], "what could not be looked at is not called missing"
            assert "masking.columns_not_looked_for" in [each["event"] for each in said]
    finally:
        await made.stop()
        await postgres.psql("DROP DATABASE clerk; DROP ROLE clerk;")


async def test_status_tells_of_a_clock_that_is_off(
    file: Path, store_dsn: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_slack(file, store_dsn, workspace)
    await made.start()
    try:
        assert (await made._parts())["clock"] == "ok"
        assert made._slack is not None
        monkeypatch.setattr(made._slack, "_clock", lambda: time.time() - 400)
        off = (await made._parts())["clock"]
        assert off.endswith(" s behind Slack's; set this machine's clock: from 300 s on Slack's clicks are refused")
        await workspace.stop()
        assert "clock" not in await made._parts(), "nobody told"
    finally:
        await made.stop()
