"""`hoop pending` as a program: what waits, how it stands, hostile texts, no store."""

import asyncio
import io
import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from gateway.approvals.request import Approval, ApprovalRequest, State
from gateway.cli import audit, pending
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, NOW, PLAIN
from tests.fakes.stores import fresh, postgres_store

TWO_OF_THREE = replace(PLAIN, approvals=(Approval(BOB, "slack", NOW + 1),), approvals_needed=3)


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    hoop = typer.Typer()
    hoop.command("pending")(pending.pending)
    return CliRunner(env={"COLUMNS": "200", **(env or {})}).invoke(hoop, [*arguments])


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """An empty store behind every DSN; the clock stands at the real now."""
    opened = MemoryStore(time.time)

    async def open_store(dsn: str) -> MemoryStore:
        assert dsn == "postgresql://s"
        return opened

    monkeypatch.setattr(audit, "open_store", open_store)
    monkeypatch.setenv("HOOP_STORE", "postgresql://s")
    return opened


def hold(store: MemoryStore, *requests: ApprovalRequest) -> None:
    async def all_of_them() -> None:
        for each in requests:
            await store.open(each, lambda _: [])

    asyncio.run(all_of_them())


def test_what_waits_and_how_it_stands(store: MemoryStore) -> None:
    waits = fresh(approvals=TWO_OF_THREE.approvals, approvals_needed=2)
    hold(store, waits, fresh(state=State.DENIED, id="denied"))
    result = run()
    assert result.exit_code == 0
    ends = datetime.fromtimestamp(waits.expires_at).astimezone()
    for said in (
        waits.id,
        "DELETE on public.customers in production (shop)",
        ANN.user,
        f"until {ends:%H:%M:%S}",
        "1 of 2",
        "dba",
        f"1 request, times in {ends.tzname()}",
    ):
        assert said in result.stdout
    assert "denied" not in result.stdout


def test_json_says_the_same_for_a_program(store: MemoryStore) -> None:
    waits = fresh(approvals=TWO_OF_THREE.approvals, approvals_needed=3)
    hold(store, waits)
    [said] = json.loads(run("--json").stdout)["pending"]
    assert {name: said[name] for name in ("id", "user", "target", "reviewers", "approvals", "approvals_needed")} == {
        "id": waits.id,
        "user": ANN.user,
        "target": "shop",
        "reviewers": "dba",
        "approvals": [BOB.user],
        "approvals_needed": 3,
    }
    assert said["statements"] == [
        {"tag": "DELETE", "tables": ["public.customers"], "sql": waits.statements[0].sql},
    ]
    assert datetime.fromisoformat(said["expires_at"]) == datetime.fromtimestamp(waits.expires_at, UTC)
    assert said["age_s"] >= 0


def test_nothing_waits(store: MemoryStore) -> None:
    assert run().stdout == "Nothing waits for a decision.\n"
    assert json.loads(run("--json").stdout) == {"pending": []}


def test_one_whose_time_is_up_says_so(store: MemoryStore) -> None:
    """Its gateway is away, so nobody has ended it yet."""
    hold(store, fresh(expires_at=time.time() - 1))
    assert "time is up" in run().stdout


def test_the_table_fits_into_80_columns_and_ids_stay_in_one_piece() -> None:
    long = replace(
        PLAIN, requester=replace(ANN, user="a.rather.long.name@department.example.com"), environment="e" * 40
    )
    out = io.StringIO()
    Console(file=out, width=80, highlight=False).print(pending.listing([long, TWO_OF_THREE], NOW + 5000).table())
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert out.getvalue().count(PLAIN.id) == 2
    assert out.getvalue().count("1 h 23 m") == 2


def test_a_pipe_gets_a_line_a_request(store: MemoryStore) -> None:
    waits = fresh(approvals_needed=2)
    hold(store, waits, fresh())
    lines = run(env={"COLUMNS": "40"}).stdout.splitlines()
    assert lines[0].split() == ["id", "what", "who", "waits", "approvals"]
    assert [each.endswith("0 of 2 dba") for each in lines if waits.id in each] == [True]
    assert lines[-1].startswith("2 requests, times in ")
    assert len(lines) == 4


def test_hostile_text_does_not_reach_the_terminal(store: MemoryStore) -> None:
    [statement] = PLAIN.statements
    hold(store, fresh(agent="\x1b[31mx", statements=(replace(statement, relations=("public.\x1b[2J\u202e",)),)))
    shown = run().stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[U+001B]" in shown


def test_without_a_store_it_is_exit_2(store: MemoryStore) -> None:
    assert "no store" in run(env={"HOOP_STORE": ""}).stderr
    store.away = True
    result = run()
    assert result.exit_code == 2
    assert "does not answer" in result.stderr


def test_against_a_real_store(store_dsn: str) -> None:
    waits = fresh()

    async def ask() -> None:
        async with postgres_store(store_dsn) as opened:
            await opened.open(waits, lambda _: [])

    asyncio.run(ask())
    assert waits.id in run(env={"HOOP_STORE": store_dsn}).stdout
