"""A file's own tests: what passes, what fails and how it says so."""

from gateway.errors import ProtocolViolation
from gateway.policy.cases import person, run
from gateway.policy.model import load
from gateway.sql.parse import read
from gateway.sql.statement import Script

HEAD = """\
version: 1
targets: {shop: {environment: production, host: h, database: shop, user: u, password: {env: P}}}
reviewers: {dba: {groups: [dba]}}
rules:
  - {name: reads, effect: allow, groups: [g], statements: [read]}
  - {name: writes, effect: hold, groups: [g], statements: [write], reviewers: dba}
  - {name: nights, effect: deny, statements: [write], hours: {tz: UTC, from: '20:00', to: '06:00'}}
tests:
"""


def problem(row: str, now: float = 43200.0) -> str:
    (result,) = run(load(HEAD + f"  - {{user: ann, groups: [g], target: shop, {row}}}\n"), read, now)
    return result.problem


def test_a_right_expectation_passes() -> None:
    assert problem("sql: SELECT 1, expect: allow, rule: reads") == ""
    assert problem("sql: DELETE FROM a, expect: hold") == ""
    assert problem("sql: GRANT SELECT ON a TO b, expect: deny") == ""


def test_a_wrong_answer_or_rule_fails_and_says_what_came() -> None:
    assert problem("sql: DELETE FROM a, expect: allow") == (
        'expected allow, got hold: rule "writes" asks for 1 approval of dba'
    )
    assert 'expected allow by "writes", got allow' in problem("sql: SELECT 1, expect: allow, rule: writes")


def test_sql_that_does_not_parse_fails() -> None:
    assert "would not parse" in problem("sql: SELEC 1, expect: deny")


def test_sql_that_cannot_be_read_fails() -> None:
    def refuse(_sql: str) -> Script:
        raise ProtocolViolation("the query holds a NUL character")

    (result,) = run(load(HEAD + "  - {user: a, target: shop, sql: x, expect: deny}\n"), refuse, 0.0)
    assert result.problem == "the SQL can't be read: the query holds a NUL character"
    assert result.verdict is None


def test_a_test_has_its_own_time_or_the_run_s() -> None:
    assert problem("sql: DELETE FROM a, expect: deny, at: 2026-01-05T23:00:00+00:00") == ""
    assert "got hold" in problem("sql: DELETE FROM a, expect: deny")
    assert problem("sql: DELETE FROM a, expect: deny", now=82800.0) == ""


def test_who_may_not_connect_gets_nothing_not_even_housekeeping() -> None:
    def of_stranger(expect: str) -> str:
        row = f"  - {{user: eve, groups: [x], target: shop, sql: BEGIN, expect: {expect}}}\n"
        (result,) = run(load(HEAD + row), read, 0.0)
        return result.problem

    assert "no rule lets this identity connect" in of_stranger("allow")
    assert of_stranger("deny") == ""


def test_a_supposed_person_has_an_e_mail_only_if_the_name_is_one() -> None:
    assert person("ann@example.com", frozenset()).email == "ann@example.com"
    assert person("cursor", frozenset()).email is None
