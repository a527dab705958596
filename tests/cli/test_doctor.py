"""`hoop doctor` as a program: what it prints, its exit code, that each part is looked at whatever the others say."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import make
from gateway.cli import doctor as module
from gateway.cli.surroundings import Finding, State, ok, problem
from gateway.demo.issuer import DemoIssuer
from gateway.demo.postgres import EmbeddedPostgres
from tests.e2e.certificates import self_signed
from tests.fakes.stores import postgres_store
from tests.playbook import POLICY

KEYS = {"HOOP_AUDIT_KEY": "audit-s3cret" * 4, "HOOP_SECRET": "other-s3cret" * 4}
LOOPBACK = {"HOOP_LISTEN": "127.0.0.1:0", "HOOP_INSECURE_LOOPBACK": "1"}
AWAY = {"HOOP_STORE": "postgresql://hoop:store-s3cret@127.0.0.1:1/x", **KEYS, **LOOPBACK}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but a test's own, no files but its own, and the logs as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.logs.configure", lambda *_: None)
    for name in ("SLACK_BOT_TOKEN", "TEAMS_APP_ID"):
        monkeypatch.delenv(name, raising=False)


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(make(("doctor",)), ["doctor", *words], env=environment)


def write(text: str, issuer: str = "http://127.0.0.1:1", port: int = 1) -> None:
    changed = text.replace("https://issuer.test", issuer).replace(
        "host: db.test, port: 5432", f"host: 127.0.0.1, port: {port}"
    )
    Path("policies.yaml").write_text(changed)


def test_settings_that_can_not_be_read_hide_nothing_else() -> None:
    write(POLICY)
    done = run()
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("problem  settings: HOOP_STORE: missing")
    assert any(each.startswith("ok       policy: policies.yaml is valid: 4 rules, 1 target") for each in lines)
    assert "note     store, chats: not looked at: the settings come first" in lines
    assert any(
        each.startswith("problem  target shop as hoop: the environment variable X is not set ->") for each in lines
    )


def test_a_variable_that_nothing_reads_is_noted() -> None:
    write(POLICY.replace("env: X", "env: HOOP_SHOP_PASSWORD"))
    lines = run(HOOP_SPOL="/x", HOOP_SHOP_PASSWORD="s", **AWAY).stdout.splitlines()
    assert lines[0] == "ok       settings: all are readable"
    assert "note     settings: HOOP_SPOL: no such setting; did you mean HOOP_SPOOL?" in lines
    assert sum("no such setting" in each for each in lines) == 1


def test_masked_columns_are_looked_for() -> None:
    write(f'{POLICY}masking: {{columns: [{{column: "shop.public.customers.salry", mask: redact}}]}}\n')
    assert "note     masking: the columns of shop were not looked at: " in run(X="secret", **AWAY).stdout


def test_a_policy_that_is_none_is_named_by_its_line() -> None:
    Path("policies.yaml").write_text("version: 2\n")
    done = run(**AWAY)
    assert done.exit_code == 1
    assert "problem  policy: policies.yaml:1" in done.stdout
    assert "problem  store: the gateway's store can't be reached" in done.stdout
    assert "note     issuers, targets: not looked at: the policies file comes first" in done.stdout


def test_no_secret_is_printed() -> None:
    write(POLICY)
    for words in ((), ("--json",)):
        assert (
            "s3cret"
            not in run(
                *words,
                X="target-s3cret",
                SLACK_BOT_TOKEN="xoxb-s3cret",
                SLACK_SIGNING_SECRET="s3cret",
                SLACK_API_URL="http://127.0.0.1:1",
                **AWAY,
            ).output
        )


def test_reviewers_without_a_channel_are_a_problem() -> None:
    write(POLICY.replace(', channels: ["slack:C1"]', ""))
    done = run(**AWAY)
    assert 'problem  policy: rule "writes wait" asks reviewers "dba", who have no channel: ' in done.stdout
    assert "-> give them `channels` in the policies file" in done.stdout


def test_reviewers_whose_groups_nobody_can_know_are_noted_where_there_are_no_pages() -> None:
    write(
        POLICY.replace("effect: allow,", "effect: allow, groups: [eng],").replace(
            "effect: hold,", "effect: hold, groups: [eng],"
        )
    )
    assert 'note     web: reviewers "dba": no rule lets group dba connect, ' in run(**AWAY).stdout
    client = {"HOOP_WEB_CLIENT_ID": "hoop-web", "HOOP_WEB_CLIENT_SECRET": "s", "HOOP_PUBLIC_URL": "https://gate.test"}
    assert "no rule lets group dba connect" not in run(**AWAY, **client).stdout
    write(POLICY)
    assert "no rule lets group dba connect" not in run(**AWAY).stdout


async def test_everything_well(postgres: EmbeddedPostgres, store_dsn: str) -> None:
    await postgres.psql("CREATE ROLE wellness LOGIN PASSWORD 'secret'; CREATE DATABASE wellness;")
    issuer = await DemoIssuer.start()
    write(
        POLICY.replace("effect: hold,", "effect: allow,")
        .replace(", reviewers: dba}", "}")
        .replace(', channels: ["slack:C1"]', "")
        .replace("user: hoop", "user: wellness")
        .replace("database: shop", "database: wellness"),
        issuer.url,
        postgres.port,
    )
    try:
        async with postgres_store(store_dsn):
            done = await asyncio.to_thread(run, "--json", **{**AWAY, "HOOP_STORE": store_dsn, "X": "secret"})
    finally:
        await issuer.close()
        await postgres.psql("DROP DATABASE wellness; DROP ROLE wellness;")
    said = json.loads(done.stdout)
    assert [each for each in said["findings"] if each["state"] == "problem"] == []
    assert done.exit_code == 0
    assert said["ok"]
    assert [each["part"] for each in said["findings"]] == [
        "settings", "policy", "tls", "spool", "workers", "compiled", "store", "replicas", "cards", f"issuer {issuer.url}", "target shop as wellness",
    ]  # fmt: skip


def test_a_certificate_is_read_with_its_key(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    write(POLICY)
    tls = {**AWAY, "HOOP_INSECURE_LOOPBACK": "0", "HOOP_TLS_CERT": str(cert), "HOOP_TLS_KEY": str(key)}
    assert "ok       tls: the certificate is good until " in run(**tls).stdout, "half of its two hours is left"
    key.write_text("no key")
    assert "problem  tls: certificate and key can't be used (SSLError)" in run(**tls).stdout


@pytest.mark.parametrize(
    ("since", "left", "said"),
    [
        (30, 60, "ok       tls: the certificate is good until "),
        (61, 29, "ok       tls: the certificate is good until "),
        (365, 13, "problem  tls: the certificate is good until "),
        (4, 3, "ok       tls: the certificate is good until "),
        (5, 2, "problem  tls: the certificate is good until "),
        (5, -1, "problem  tls: the certificate ended on "),
    ],
)
def test_a_certificate_is_renewed_by_its_own_lifetime(since: int, left: int, said: str, tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, timedelta(days=since), timedelta(days=left))
    write(POLICY)
    done = run(**{**AWAY, "HOOP_INSECURE_LOOPBACK": "0", "HOOP_TLS_CERT": str(cert), "HOOP_TLS_KEY": str(key)}).stdout
    [line] = [each for each in done.splitlines() if " tls: " in each]
    assert line.startswith(said)
    assert "start the gateway again" not in line
    assert line.endswith("within 2 s") == said.startswith("problem")


WEB_RULE = POLICY.replace("opaque], reviewers: dba}", "opaque], reviewers: dba, approve_via: web}")


def test_a_rule_that_its_page_approves_needs_a_client() -> None:
    write(WEB_RULE)
    assert 'problem  web: rule "writes wait": approve_via: web needs HOOP_WEB_CLIENT_ID' in run(**AWAY).stdout


async def test_where_people_sign_in() -> None:
    issuer = await DemoIssuer.start()
    write(WEB_RULE, issuer.url)
    client = {"HOOP_WEB_CLIENT_ID": "hoop-web", "HOOP_WEB_CLIENT_SECRET": "web-s3cret"}
    set_up = {**AWAY, **client, "HOOP_PUBLIC_URL": "https://gate.example.com/"}
    try:
        said = (await asyncio.to_thread(run, **set_up)).stdout
        assert f"ok       web: people sign in at {issuer.url}; its client hoop-web must know" in said
        assert "https://gate.example.com/login/callback" in said
        assert "s3cret" not in said
        write(WEB_RULE, "http://127.0.0.1:1")
        assert "problem  web: http://127.0.0.1:1" in (await asyncio.to_thread(run, **set_up)).stdout
    finally:
        await issuer.close()


def test_a_line_each_and_a_sentence() -> None:
    found = [ok("store", "reached"), Finding("tls", State.NOTE, "none"), problem("slack", "no\nscope \u202e", "add it")]
    assert module.as_lines(found).splitlines() == [
        "ok       store: reached",
        "note     tls: none",
        "problem  slack: no scope [U+202E] -> add it",
        "1 problem",
    ]
    assert module.as_lines(found[:2]).splitlines()[-1] == "all is well"


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (
            "1",
            "note     workers: 1 worker, 2 CPUs; up to 11 connections to the store; HOOP_WORKERS=2 would use all of them",
        ),
        ("2", "ok       workers: 2 workers, 2 CPUs; up to 22 connections to the store"),
        (
            "3",
            "note     workers: 3 workers, 2 CPUs; up to 33 connections to the store; more workers than CPUs gain nothing",
        ),
    ],
)
def test_workers_are_held_against_the_machine(monkeypatch: pytest.MonkeyPatch, workers: str, said: str) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    write(POLICY)
    assert said in run(HOOP_WORKERS=workers, **AWAY).stdout.splitlines()
