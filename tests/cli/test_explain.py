"""`hoop explain` as a program: the documented JSON, the text, JSON lines, exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import make
from gateway.cli import explain as module
from gateway.errors import TargetUnavailable
from gateway.policy.model import Policy, Target
from gateway.sql.catalog import Catalog
from gateway.sql.statement import Script

POLICIES = str(Path(__file__).parents[2] / "policies.yaml")
ANN = ("--policies", POLICIES, "--target", "shop", "--user", "ann@example.com", "--group", "engineering")
DELETE = "DELETE FROM customers WHERE id = 1"


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(make(), ["explain", *arguments], input=stdin)


def test_the_json_is_the_documented_one() -> None:
    result = run(*ANN, "--offline", "--json", DELETE)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "verdict": "hold",
        "rule": "writes wait for a DBA",
        "reason": 'rule "writes wait for a DBA" asks for 1 approval of dba',
        "effects": ["write"],
        "reads": ["public.customers"],
        "writes": ["public.customers"],
        "statements": [{"tag": "DELETE", "where": True}],
        "masks": [],
    }


def test_the_text_names_the_rules_tried_and_the_one_that_won() -> None:
    result = run(*ANN, "--offline", DELETE)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == 'HOLD: rule "writes wait for a DBA" asks for 1 approval of dba'
    assert "  writes wait for a DBA (hold): matched" in lines
    assert "  no write without a WHERE (deny): not: where" in lines
    assert lines[-1] == "masks: not known; they depend on the target's catalog"


def test_exit_is_0_whatever_the_verdict_and_the_rule_may_be_null() -> None:
    result = run(*ANN, "--offline", "--json", "GRANT ALL ON customers TO PUBLIC")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["verdict"], answer["rule"]) == (0, "deny", None)
    assert answer["effects"] == ["admin"]


def test_sql_that_does_not_parse_is_opaque_with_the_parser_s_words() -> None:
    answer = json.loads(run(*ANN, "--offline", "--json", "SELEC 1").stdout)
    assert (answer["verdict"], answer["effects"], answer["statements"]) == ("hold", ["opaque"], [])
    assert "syntax error" in answer["reason"]


def test_a_function_that_no_list_knows_is_opaque_offline() -> None:
    answer = json.loads(run(*ANN, "--offline", "--json", "SELECT purge_everything()").stdout)
    assert (answer["verdict"], answer["effects"]) == ("hold", ["read", "opaque"])
    assert "purge_everything() isn't known to be harmless" in answer["reason"]


def test_groups_may_be_repeated() -> None:
    arguments = (
        "--policies",
        POLICIES,
        "--target",
        "shop",
        "--user",
        "x",
        "--offline",
        "--json",
        "SELECT * FROM audit.entries",
    )
    answer = json.loads(run(*arguments, "--group", "engineering", "--group", "agents").stdout)
    assert answer["rule"] == "agents stay out of the audit"


def test_who_cannot_connect_is_told_so() -> None:
    arguments = ("--policies", POLICIES, "--target", "shop", "--user", "eve@example.com", "--offline", "--json")
    answer = json.loads(run(*arguments, "BEGIN").stdout)
    assert (answer["verdict"], answer["reason"]) == ("deny", "no rule lets eve@example.com connect to shop")


def test_json_lines_are_answered_line_by_line() -> None:
    stdin = '{"sql": "SELECT 1"}\n\n{"sql": "DELETE FROM customers"}\n'
    result = run(*ANN, "--offline", "-", stdin=stdin)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["verdict"] for answer in answers] == ["allow", "deny"]
    assert result.exit_code == 0


def test_a_bad_line_gets_an_error_and_the_others_their_answer() -> None:
    result = run(*ANN, "--offline", "-", stdin='nonsense\n{"sql": 1}\n{"sql": "a\\u0000b"}\n{"sql": "SELECT 1"}\n')
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [sorted(answer)[0] for answer in answers] == ["error", "error", "error", "effects"]
    assert result.exit_code == 2


def test_an_unknown_target_is_exit_2_with_the_nearest_name() -> None:
    result = run("--policies", POLICIES, "--target", "shpo", "--user", "x", "--offline", "SELECT 1")
    assert result.exit_code == 2
    assert 'unknown target "shpo"; did you mean "shop"?' in result.stderr


def test_a_bad_policies_file_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("version: 3\n")
    result = run("--policies", str(tmp_path / "p.yaml"), "--target", "shop", "--user", "x", "--offline", "SELECT 1")
    assert result.exit_code == 2
    assert "p.yaml:1: " in result.stderr


def test_a_target_is_required() -> None:
    assert run("--user", "x", "SELECT 1").exit_code == 2


def test_a_missing_password_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_DB_PASSWORD", raising=False)
    result = run(*ANN, DELETE)
    assert result.exit_code == 2
    assert "shop: the environment variable SHOP_DB_PASSWORD is not set; use --offline" in result.stderr


def test_a_target_that_is_away_is_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_target: Target) -> Catalog:
        raise TargetUnavailable("connection refused")

    monkeypatch.setattr(module, "load_catalog", away)
    result = run(*ANN, DELETE)
    assert result.exit_code == 2
    assert "shop: connection refused; use --offline" in result.stderr


def test_masks_are_shown_once_something_explains_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def catalog(_target: Target) -> Catalog:
        return Catalog(1, 180000, {}, frozenset(), frozenset())

    def masks(policy: Policy, _target: str, _script: Script, catalog: Catalog | None) -> list[dict[str, str]]:
        assert catalog is not None
        return [{"column": "card", "source": each.column, "mask": each.mask} for each in policy.masking.columns[:1]]

    monkeypatch.setattr(module, "load_catalog", catalog)
    monkeypatch.setattr(module, "explain_masks", masks)
    expected = {"column": "card", "source": "shop.public.customers.card_number", "mask": "last4"}
    assert json.loads(run(*ANN, "--json", DELETE).stdout)["masks"] == [expected]
    assert run(*ANN, DELETE).stdout.splitlines()[-1] == "mask: card (shop.public.customers.card_number): last4"
