"""What operators are warned of, at the start and of a later policy."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing

from bots.workspace import Workspace
from gateway.app import Gateway
from gateway.demo.postgres import EmbeddedPostgres
from gateway.policy.model import load
from gateway.running.lookout import Lookout
from gateway.settings import Web
from tests.playbook import POLICY
from tests.running.gateways import gateway, with_slack


async def test_a_login_without_its_password_is_warned_of_with_the_variable(
    file: Path, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("X", raising=False)
    made = gateway(file, store_dsn)
    with structlog.testing.capture_logs() as said:
        await Lookout(made.settings, tells=True).tell_of_logins(made.policy)
    assert [each["problem"] for each in said if each["event"] == "target.not_looked_at"] == [
        "the environment variable X is not set"
    ]


async def test_reviewers_who_can_not_decide_are_warned_of_at_start(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    quiet = POLICY.replace(', channels: ["slack:C1"]', "").replace("effect: hold,", "effect: hold, groups: [eng],")
    made.policy = load(quiet.replace("effect: allow,", "effect: allow, groups: [eng],"))
    events = ("reviewers.no_channel", "reviewers.groups_unknown")
    with structlog.testing.capture_logs() as logged:
        await made.start()
    try:
        assert [each["event"] for each in logged if each["event"] in events] == list(events)
        with_pages = replace(made.settings, web=Web("hoop-web", "secret"))
        with structlog.testing.capture_logs() as logged:
            Lookout(with_pages, tells=True).tell_of_chats(made.policy, made.chats.fronts)
        assert [each["event"] for each in logged] == ["reviewers.no_channel"]
    finally:
        await made.stop()


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
            await asyncio.gather(*(each for each in made._tasks if "tell_of_shared" in repr(each)))
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
        await asyncio.gather(*(each for each in made._tasks if "tell_of_logins" in repr(each)))
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
