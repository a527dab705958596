"""`hoop serve` as its own process: the environment of .env.example, TLS, a store, signals, kill -9 and a new start.

Nothing of it is replaced. The issuer and the workspace are the demo's, in the test's own loop; the databases are of the
run's embedded PostgreSQL. Waits are for what the process logs, for cards and for its end, never for time to pass.
"""

import asyncio
import json
import os
import signal
import socket

import psycopg
import pytest

from tests.e2e.site import CHANNEL, HOST, PASSWORD, Site, get, run
from tests.e2e.stack import STEP

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
    assert named == ["HOOP_STORE", "HOOP_AUDIT_KEY", "HOOP_SECRET", "HOOP_TLS_CERT", "HOOP_TLS_KEY"]


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
    said = "hoop serve: the gateway's store can't be reached (connection refused); check HOOP_STORE"
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert PASSWORD not in done.stderr


async def test_a_port_that_is_taken_is_named(site: Site) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        site.environment["HOOP_LISTEN"] = f"{HOST}:{port}"
        done = await asyncio.to_thread(run, site.environment, "serve")
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
