"""`hoop explain` as a program: the documented JSON, the text, JSON lines, exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import make
from gateway.cli import explain as module
from gateway.errors import TargetUnavailable
from gateway.policy.model import Target
from gateway.sql.catalog import Cascade, Catalog, Relation

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


def test_tables_that_foreign_keys_change_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def catalog(_target: Target) -> Catalog:
        cascade = Cascade(("public", "orders"), ("id",), deletes=True, updates=False)
        names = {"customers": (cascade,), "orders": ()}
        relations = {
            ("public", name): Relation(oid, "public", name, "r", {"id": 1}, cascades=cascades)
            for oid, (name, cascades) in enumerate(names.items(), 16400)
        }
        return Catalog(1, 180000, relations, frozenset(), frozenset())

    monkeypatch.setattr(module, "load_catalog", catalog)
    assert json.loads(run(*ANN, "--json", DELETE).stdout)["passed_on"] == ["public.orders"]
    assert "changed too, by foreign keys or triggers: public.orders" in run(*ANN, DELETE).stdout


def test_the_text_names_the_rules_tried_and_the_one_that_won() -> None:
    result = run(*ANN, "--offline", DELETE)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == 'HOLD: rule "writes wait for a DBA" asks for 1 approval of dba'
    assert "  writes wait for a DBA (hold): matched" in lines
    assert "  no write without a WHERE (deny): not: where" in lines
    assert lines[1] == "waits for: 1 of group dba, asked in slack:C0123456789, at most 10 min"


def test_where_a_request_would_be_asked_later_is_named(tmp_path: Path) -> None:
    """Also that the example's reviewers may have what policies.yaml does not show."""
    text = (
        Path(POLICIES)
        .read_text("utf-8")
        .replace("channels: [", "escalate: {after: 5m, channels: [slack:C2]}, channels: [", 1)
    )
    file = tmp_path / "policies.yaml"
    file.write_text(text, "utf-8")
    result = run(*ANN, "--policies", str(file), "--offline", DELETE)
    assert "asked in slack:C0123456789 (later in slack:C2 too)" in result.stdout.splitlines()[1]


def test_housekeeping_is_asked_of_no_rule() -> None:
    lines = run(*ANN, "--offline", "BEGIN").stdout.splitlines()
    assert lines[0] == "ALLOW: housekeeping"
    assert [each for each in lines if "matched" in each] == []
    assert "  writes wait for a DBA (hold): not asked: housekeeping needs no rule" in lines


def test_a_group_that_no_rule_names_is_pointed_out() -> None:
    lines = run(*ANN[:-1], "enginering", "--offline", "SELECT 1").stdout.splitlines()
    assert lines[0].startswith("DENY: ")
    assert 'note: no rule names the group "enginering"; did you mean "engineering"?' in lines
    assert not any("no rule names" in each for each in run(*ANN, "--offline", "SELECT 1").stdout.splitlines())


def test_no_group_at_all_is_pointed_out() -> None:
    lines = run(*ANN[:-2], "--offline", "SELECT 1").stdout.splitlines()
    assert "note: no --group was given; rules name agents, dba, engineering" in lines


def test_a_text_that_does_not_parse_says_what_the_wire_does_with_it() -> None:
    assert "target's own parser is asked first" in run(*ANN, "--offline", "SELEC 1").stdout
    assert "parser is asked" not in run(*ANN, "--offline", "SELECT 1").stdout


def test_a_rule_about_rows_is_said_to_be_read_strictly(tmp_path: Path) -> None:
    text = Path(POLICIES).read_text("utf-8").replace("rules:\n", f"rules:\n{BIG}", 1)
    (tmp_path / "p.yaml").write_text(text)
    lines = run("--policies", str(tmp_path / "p.yaml"), *ANN[2:], "--offline", DELETE).stdout.splitlines()
    assert lines[0] == 'HOLD: rule "big ones wait for two" asks for 2 approvals of two dbas'
    assert "  big ones wait for two (hold): matched (their number is not known)" in lines
    assert "  few go (allow): not: rows (their number is not known)" in lines
    assert any("this is the strict answer" in each for each in lines)


BIG = """
  - {name: big ones wait for two, effect: hold, statements: [DELETE], rows: '>1000', reviewers: two dbas}
  - {name: few go, effect: allow, statements: [DELETE], rows: '<5'}
"""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's catalog: public.customers with two columns that the policy masks."""

    async def catalog(_target: Target) -> Catalog:
        columns = {"id": 1, "card_number": 2, "api_key": 3}
        return Catalog(
            1,
            180000,
            {("public", "customers"): Relation(16400, "public", "customers", "r", columns)},
            frozenset(),
            frozenset(),
        )

    monkeypatch.setattr(module, "load_catalog", catalog)


@pytest.mark.usefixtures("shop")
def test_masks_are_listed_with_their_source_and_entry() -> None:
    result = run(*ANN, "--json", "SELECT card_number FROM customers")
    assert json.loads(result.stdout)["masks"] == [
        {
            "column": "card_number",
            "source": "public.customers.card_number",
            "mask": "last4",
            "entry": "shop.public.customers.card_number",
        }
    ]
    lines = run(*ANN, "SELECT card_number FROM customers").stdout.splitlines()
    entry = "shop.public.customers.card_number"
    assert f"mask: card_number (public.customers.card_number): last4, by {entry}" in lines
    assert lines[-1].startswith("masks: what else looks like card, api_key")


@pytest.mark.usefixtures("shop")
def test_a_masking_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    text = Path(POLICIES).read_text("utf-8").replace("public.customers.card_number", "public.customers.card_numbr", 1)
    (tmp_path / "p.yaml").write_text(text)
    asked = (*ANN[2:], "SELECT id FROM customers")
    note = "note: nothing is masked by shop.public.customers.card_numbr: no column of shop is called that"
    lines = run("--policies", str(tmp_path / "p.yaml"), *asked).stdout.splitlines()
    assert f'{note}; did you mean "public.customers.card_number"?' in lines
    for well in (("--policies", POLICIES), ("--policies", str(tmp_path / "p.yaml"), "--offline")):
        assert "nothing is masked" not in run(*well, *asked).stdout


def test_offline_says_that_masks_are_not_known() -> None:
    answer = json.loads(run(*ANN, "--offline", "--json", "SELECT card_number FROM customers").stdout)
    assert answer["masks"] == []
    assert answer["masks_unknown"].startswith("the target's catalog was not read")
    lines = run(*ANN, "--offline", "SELECT card_number FROM customers").stdout.splitlines()
    assert any(each.startswith("masks: not known: the target's catalog was not read") for each in lines)


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
