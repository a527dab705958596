"""`hoop audit` as a program: which command is meant, output, exit codes, hostile texts."""

import asyncio
import csv
import io
import json
import re
import time
from datetime import datetime
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from gateway.audit.entry import Value
from gateway.audit.log import AuditLog
from gateway.audit.query import FILTER_KEYS, Query, parse
from gateway.audit.spool import Spool
from gateway.cli import audit
from gateway.cli.audit import listing
from gateway.store.memory import MemoryStore
from tests.fakes.stores import postgres_store

KEY = "0123456789abcdef0123456789abcdef"
R = "one:1700000000:0"


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    hoop = typer.Typer()
    hoop.add_typer(audit.app, name="audit")
    hoop.command("other")(lambda: None)
    settings = {"HOOP_AUDIT_KEY": KEY, "COLUMNS": "200", **(env or {})}
    return CliRunner(env=settings).invoke(hoop, ["audit", *arguments])


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryStore:
    """A store with an audit log behind every DSN; its spool is tmp_path/spool; the clock stands at the real now."""
    opened = MemoryStore(time.time)
    spool = Spool.open(tmp_path / "spool", R, KEY.encode(), time.time)
    fill(spool)

    async def ship() -> None:
        await AuditLog(spool, opened).stop()

    asyncio.run(ship())
    spool.close()

    async def open_store(dsn: str) -> MemoryStore:
        assert dsn == "postgresql://s"
        return opened

    monkeypatch.setattr(audit, "open_store", open_store)
    monkeypatch.setenv("HOOP_STORE", "postgresql://s")
    monkeypatch.chdir(tmp_path)
    return opened


def fill(spool: Spool) -> None:
    def end(kind: str = "finished", **fields: Value) -> None:
        spool.record(kind, **{"user": "ann@example.com", "target": "shop", "tag": "DELETE", **fields})

    end(
        outcome="executed",
        sql="DELETE FROM customers\n WHERE id = 1",
        rows=1,
        request="01JA",
        decided_by="bob@example.com",
    )
    end("decided", outcome="denied", sql="DELETE FROM customers", request="01JB", decided_by="bob@example.com")
    end("refused", user="cursor", sql="UPDATE \x1b[31mx\u202e [bold]y[/bold]", tag="UPDATE", tables=["public.x"])
    end(user="eve", sql="=HYPERLINK('x')", tag="SELECT", rows=-1, outcome="executed", agent="  @sum", reason="+1")
    spool.flush()


def test_words_are_a_query(store: MemoryStore) -> None:
    result = run("user:ann", "verb:delete")
    assert result.exit_code == 0
    assert "user:ann verb:delete since:" in result.stdout
    assert "2 of 2" in result.stdout
    assert "DELETE FROM customers" in result.stdout
    assert "bob@example.com" in result.stdout


def test_the_table_says_its_zone(store: MemoryStore) -> None:
    zone = datetime.now().astimezone().tzname()
    assert f"4 of 4 statements, times in {zone}" in " ".join(run().stdout.split())


def test_the_table_fits_into_80_columns_and_ids_stay_in_one_piece(store: MemoryStore) -> None:
    entry: dict[str, Value] = {
        "at": "2026-11-26T08:50:01.000000Z",
        "kind": "decided",
        "outcome": "superseded",
        "user": "a.rather.long.name@department.example.com",
        "target": "a-target-with-a-name\n",
        "tag": "DELETE",
        "sql": "DELETE FROM a_table_with_a_long_name WHERE a_column_with_a_long_name = 1 AND b = 2",
        "rows": 18_240_111,
        "request": "01J9Z3K7Q8",
        "decided_by": "somebody.else@department.example.com",
    }
    out = io.StringIO()
    Console(file=out, width=80, highlight=False).print(listing(Query((), 0, 1), [entry] * 2, 2).table())
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("01J9Z3K7Q8" in each for each in lines) == 2
    assert sum("2026-11-26" in each for each in lines) == 2
    assert sum("18,240,111" in each for each in lines) == 2


def test_logins_are_shown_as_logins() -> None:
    refused: dict[str, Value] = {
        "at": "2026-11-26T08:50:01.000000Z",
        "kind": "refused",
        "claimed": "mallory",
        "client": "10.0.0.7",
        "target": "shop",
        "reason": "token expired",
    }
    shown = listing(parse("login:refused", time.time()), [refused], 1)
    assert shown.rows[0][1:] == ("mallory (claimed) from 10.0.0.7", "login to shop", "", "refused: token expired")
    assert shown.caption.startswith("1 of 1 login, times in ")


def test_a_pipe_gets_a_line_an_entry(store: MemoryStore) -> None:
    lines = run(env={"COLUMNS": "40"}).stdout.splitlines()
    assert lines[0].startswith("since:")
    assert lines[1].split() == ["time", "who", "statement", "rows", "decision"]
    assert [each[-len("denied by bob@example.com") :] for each in lines if "01JB" in each] == [
        "denied by bob@example.com"
    ]
    assert lines[-1].startswith("4 of 4 statements, times in ")
    assert len(lines) == 7


def test_a_pipe_gets_sentences_whole(store: MemoryStore) -> None:
    assert len(run("user:" + "nobody" * 30, env={"COLUMNS": "40"}).stdout.splitlines()) == 1


def test_a_verb_that_no_statement_has_is_refused_with_the_list(store: MemoryStore) -> None:
    result = run("verb:delte")
    assert result.exit_code == 2
    assert "unknown verb delte: did you mean delete? Verbs are alter, " in result.stderr
    assert "truncate" in result.stderr


def test_nothing_found_is_a_sentence(store: MemoryStore) -> None:
    result = run("user:nobody")
    assert result.exit_code == 0
    assert re.fullmatch(r"Nothing matches user:nobody since:\S{19}Z until:\S{19}Z\n", result.stdout)


def test_who_asks_for_what_was_held_hears_where_what_waits_is(store: MemoryStore) -> None:
    assert "hoop pending" in run("decision:held").stdout
    assert "hoop pending" in run("decision:held", "user:nobody").stdout
    for other in (("decision:denied",), ("-decision:held",), ()):
        assert "hoop pending" not in run(*other).stdout
    assert "hoop pending" in run("--help").stdout


def test_no_words_are_the_last_day(store: MemoryStore) -> None:
    assert "4 of 4" in run().stdout


def test_negated_words_are_no_options(store: MemoryStore) -> None:
    assert "2 of 2" in run("-user:ann").stdout
    assert json.loads(run("--json", "-user:ann", "-decision:blocked").stdout)["total"] == 1


def test_json(store: MemoryStore) -> None:
    answer = json.loads(run("decision:denied", "--json").stdout)
    assert (answer["total"], [entry["request"] for entry in answer["entries"]]) == (1, ["01JB"])
    assert answer["query"].startswith("decision:denied since:")
    assert json.loads(run("decision:denied format:json").stdout)["entries"] == answer["entries"]


def test_hostile_text_does_not_reach_the_terminal(store: MemoryStore) -> None:
    shown = run("user:cursor").stdout
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown
    assert r"\x1b[31mx\u202e [bold]y[/bold]" in shown


def test_the_shells_quotes_are_put_back(store: MemoryStore) -> None:
    assert "2 of 2" in run("user:ann", "text:DELETE FROM customers").stdout
    assert "2 of 2" in run("user:ann", "delete from customers").stdout
    assert "2 of 2" in run('user:ann text:"delete from customers"').stdout
    assert "1 of 1" in run("who", "ran", "DELETE FROM customers WHERE", "last:1d").stdout
    assert audit.as_text(["-text:a b", 'x "y z"']) == '-text:"a b" x "y z"'


def test_a_bad_query_shows_where(store: MemoryStore) -> None:
    result = run("usr:ann")
    assert result.exit_code == 2
    assert "did you mean user:" in result.stderr
    assert "\n  usr:ann\n  ^\n" in result.stderr


def test_help_names_the_commands_and_the_grammar(store: MemoryStore) -> None:
    assert re.search(r"verify.*export|export.*verify", run("--help").stdout, re.DOTALL)
    assert "ask" not in re.findall(r"^\W*(\w+)  ", run("--help").stdout, re.MULTILINE)
    assert "--spool" in run("verify", "--help").stdout
    said = " ".join(run("--help").stdout.replace("│", " ").split())
    assert f"Filters: {' '.join(FILTER_KEYS)}." in said
    assert {"who", "shown", "unscanned"} < set(FILTER_KEYS)


def test_csv_is_safe_for_a_spreadsheet(store: MemoryStore) -> None:
    for arguments in (("export", "--format", "csv", "user:eve"), ("user:eve", "format:csv")):
        (row,) = csv.DictReader(io.StringIO(run(*arguments).stdout))
        assert row["sql"] == "'=HYPERLINK('x')"
        assert row["agent"] == "'  @sum"
        assert row["reason"] == "'+1"
        assert row["rows"] == "-1"  # a number, not a text
        assert row["tables"] == ""


def test_export_writes_all_pages(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_LIMIT", 2)
    lines = [json.loads(line) for line in run("export").stdout.splitlines()]
    assert sorted(line["seq"] for line in lines) == [1, 2, 3, 4]
    assert all("hash" in line for line in lines)
    assert len(run("export", "--format", "csv").stdout.splitlines()) == 6  # a header, and one value holds a line end
    assert run("export", "limit:3").exit_code == 2


def test_verify_says_a_line_a_chain(store: MemoryStore, tmp_path: Path) -> None:
    result = run("verify", "--spool", str(tmp_path / "spool"))
    assert result.exit_code == 0, result.stdout
    assert result.stdout == f"ok    {R}  store #5, spool #5\nthe log is intact: 1 chain, 5 entries\n"


def test_verify_finds_the_spool_by_itself_and_exits_1(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "GRACE", 0.0)
    store._entries[R, 2] = store._entries[R, 2].replace("denied", "expired")
    result = run("verify")
    assert result.exit_code == 1
    assert f"WRONG {R}  store #5, spool #5\n        {R} #2 (store): #2 was edited\n" in result.stdout
    assert result.stdout.endswith("the log is NOT intact: 1 finding\n")
    said = json.loads(run("verify", "--json").stdout)
    assert said["ok"] is False
    assert said["chains"][0]["findings"] == [
        {"replica": R, "seq": 2, "wrong": "edited", "text": "#2 was edited", "where": "store"}
    ]


def test_verify_takes_checkpoints_of_the_log_output(store: MemoryStore, tmp_path: Path) -> None:
    ((replica, seq, head, signature),) = asyncio.run(store.checkpoints())
    line = {"event": "audit.checkpoint", "replica": replica, "seq": seq, "head": head, "signed": signature}
    (tmp_path / "log").write_text(json.dumps(line) + "\nnot json\n")
    assert run("verify", "--log", str(tmp_path / "log")).exit_code == 0
    (tmp_path / "log").write_text(json.dumps(line | {"seq": 9}))
    assert "a signature that is not ours" in run("verify", "--log", str(tmp_path / "log")).stdout


def test_verify_of_nothing_is_a_finding(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("verify", "--spool", str(tmp_path / "empty"), env={"HOOP_STORE": ""})
    assert result.exit_code == 1
    assert "no chain at all" in result.stdout


def test_the_key_may_be_in_a_file(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    assert run("verify", env={"HOOP_AUDIT_KEY": "", "HOOP_AUDIT_KEY_FILE": str(tmp_path / "key")}).exit_code == 0
    (tmp_path / "key").write_text("another key")
    assert run("verify", "--key-file", str(tmp_path / "key"), env={"HOOP_AUDIT_KEY": ""}).exit_code == 1


def test_the_dsn_may_be_in_a_file(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://s\n")
    assert run(env={"HOOP_STORE": "", "HOOP_STORE_FILE": str(tmp_path / "dsn")}).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["verify"], {"HOOP_AUDIT_KEY": ""}, "the audit key is missing"),
        (["verify"], {"HOOP_AUDIT_KEY": "", "HOOP_AUDIT_KEY_FILE": "nowhere"}, "nowhere can't be read"),
        (["verify", "--spool", "nowhere"], {}, "nowhere can't be read"),
        (["verify", "--log", "nowhere"], {}, "nowhere can't be read"),
        (["user:ann"], {"HOOP_STORE": ""}, "no store"),
        (["user:ann"], {"HOOP_STORE": "", "HOOP_STORE_FILE": "nowhere"}, "nowhere can't be read"),
        (["export", "--format", "xml"], {}, "xml"),
    ],
)
def test_what_is_missing_is_exit_2(store: MemoryStore, arguments: list[str], env: dict[str, str], words: str) -> None:
    result = run(*arguments, env=env)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_store_that_is_away_is_exit_2(store: MemoryStore) -> None:
    store.away = True
    result = run("user:ann")
    assert result.exit_code == 2
    assert "does not answer" in result.stderr


def test_against_a_real_store(store_dsn: str, tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool", R, KEY.encode(), time.time)
    fill(spool)

    async def ship() -> None:
        async with postgres_store(store_dsn) as opened:
            await AuditLog(spool, opened).stop()

    asyncio.run(ship())
    spool.close()
    env = {"HOOP_STORE": store_dsn, "HOOP_SPOOL": str(tmp_path / "spool")}
    verified = run("verify", env=env)
    assert verified.exit_code == 0, verified.stdout
    assert "2 of 2" in run("user:ann", env=env).stdout
    assert len(run("export", env=env).stdout.splitlines()) == 4
