"""What `/hoop` answers over a running gateway."""

import time
from pathlib import Path

import pytest
import structlog.testing

from bots.answers import Viewer
from bots.workspace import Workspace
from gateway.approvals.request import Person
from tests.running.gateways import gateway, with_slack


async def test_the_further_commands_ask_the_running_gateway(file: Path, own_store: str) -> None:
    made = gateway(file, own_store)
    dba = Viewer(
        Person("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com", frozenset({"dba"})), "slack"
    )
    with structlog.testing.capture_logs() as logged:
        await made.start()
    try:
        [warning] = [each["warning"] for each in logged if each["event"] == "chat.not_configured"]
        assert warning.startswith('reviewers "dba" are asked in slack, which is not set up')
        commands = made.verbs.commands()
        await made.audit.ship()
        status = await commands.answer("status", dba)
        assert status.title.endswith("issuers"), "issuer.test is nowhere"
        assert "Running: " in "".join(status.lines)
        assert made.spool.replica in (await made.verbs._look()).replicas
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


async def test_status_tells_of_a_clock_that_is_off(
    file: Path, store_dsn: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_slack(file, store_dsn, workspace)
    await made.start()
    try:
        assert (await made.verbs._parts())["clock"] == "ok"
        assert made.chats.slack is not None
        monkeypatch.setattr(made.chats.slack, "_clock", lambda: time.time() - 400)
        off = (await made.verbs._parts())["clock"]
        assert off.endswith(" s behind Slack's; set this machine's clock: from 300 s on Slack's clicks are refused")
        await workspace.stop()
        assert "clock" not in await made.verbs._parts(), "nobody told"
    finally:
        await made.stop()
