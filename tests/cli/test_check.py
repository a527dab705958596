"""`hoop check` as a program: output, exit codes, JSON."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import make

ROOT = Path(__file__).parents[2]
GOOD = """\
version: 1
targets: {shop: {environment: production, host: h, database: shop, user: u, password: {env: P}}}
rules:
  - {name: reads, effect: allow, statements: [read]}
tests:
  - {user: ann, target: shop, sql: SELECT 1, expect: allow, rule: reads}
"""


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(make(), ["check", *arguments], env=env)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_exit_0(file: Path) -> None:
    result = run(str(file))
    assert result.exit_code == 0
    assert result.stdout == f"{file}: 1 rule, 1 target; 1 of 1 tests pass\n"


def test_the_example_at_the_root_passes_its_own_tests() -> None:
    result = run(str(ROOT / "policies.yaml"))
    assert result.exit_code == 0
    assert "12 of 12 tests pass" in result.stdout


def test_an_error_in_the_file_is_exit_1_with_its_line(file: Path) -> None:
    file.write_text(GOOD.replace("effect", "efect"))
    result = run(str(file))
    assert result.exit_code == 1
    assert f'{file}:4: rule 1: unknown key "efect"; did you mean "effect"?' in result.stderr
    assert f"2 problems in {file}" in result.stderr
    assert result.stdout == ""


def test_a_failing_test_is_exit_1_with_its_line(file: Path) -> None:
    file.write_text(GOOD.replace("expect: allow", "expect: deny"))
    result = run(str(file))
    assert result.exit_code == 1
    assert f'{file}:6: SELECT 1: expected deny by "reads", got allow' in result.stderr
    assert "0 of 1 tests pass" in result.stdout


REVIEWED = GOOD.replace(
    "rules:",
    "reviewers: {dba: {groups: [dba]}}\nrules:\n  - {name: waits, effect: hold, groups: [eng], statements: [write], reviewers: dba}",
).replace("name: reads, effect: allow,", "name: reads, effect: allow, groups: [eng],")


def test_reviewers_who_can_not_decide_are_noted(file: Path) -> None:
    file.write_text(REVIEWED.partition("tests:")[0])
    result = run(str(file))
    assert result.exit_code == 0
    assert f'{file}: note: rule "waits" asks reviewers "dba", who have no channel: ' in result.stderr
    assert f'{file}: note: reviewers "dba": no rule lets group dba connect, ' in result.stderr
    assert len(json.loads(run(str(file), "--json").stdout)["notes"]) == 2


def test_a_reader_login_that_nobody_uses_is_no_mistake(file: Path) -> None:
    reader = GOOD.replace("password: {env: P}}", "password: {env: P}, reader: {user: r, password: {env: R}}}")
    file.write_text(reader.replace("statements: [read]", "statements: [read, write]"))
    said = run(str(file)).stdout
    assert 'target "shop": its reader login is not used, because every rule\'s people may do more than read' in said
    file.write_text(reader)
    assert 'target "shop": reader login for anyone with a valid token' in run(str(file)).stdout


@pytest.mark.parametrize("content", [None, b"version: \xff"])
def test_a_file_that_cannot_be_read_is_exit_2(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "missing.yaml"
    if content:
        path.write_bytes(content)
    result = run(str(path))
    assert result.exit_code == 2
    assert f"{path} can't be read" in result.stderr


def test_the_tests_see_unknown_functions_as_opaque(file: Path) -> None:
    file.write_text(GOOD.replace("SELECT 1", "SELECT purge_everything()"))
    result = run(str(file))
    assert result.exit_code == 1
    assert "isn't known to be harmless" in result.stderr


def test_bad_usage_is_exit_2() -> None:
    assert run("--jsn").exit_code == 2


def test_json_of_a_good_file(file: Path) -> None:
    result = run(str(file), "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], answer["problems"]) == (0, True, [])
    assert answer["tests"] == [
        {
            "line": 6,
            "sql": "SELECT 1",
            "expect": "allow",
            "verdict": "allow",
            "rule": "reads",
            "passed": True,
            "problem": "",
        }
    ]


def test_json_of_a_bad_file(file: Path) -> None:
    file.write_text(GOOD.replace("version: 1", "version: 2"))
    result = run(str(file), "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"]) == (1, False)
    assert answer["problems"][0].startswith(f"{file}:1: ")


def test_the_file_s_name_can_come_from_the_environment(file: Path) -> None:
    assert run(env={"HOOP_POLICIES": str(file)}).exit_code == 0
