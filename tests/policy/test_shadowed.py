"""A hold that can never be the one taken is named; one that may be is not."""

import pytest

from gateway.policy.model import load
from gateway.policy.shadowed import shadowed

FILE = """
version: 1
issuers: [{{issuer: "https://issuer.test", audience: hoop}}]
targets:
  shop: {{environment: p, host: h, port: 5432, database: d, user: u, password: {{env: X}}}}
reviewers:
  dba: {{groups: [dba], channels: ["slack:C1"]}}
  both: {{groups: [dba], approvals: 2, channels: ["slack:C1"]}}
rules:
  - {{name: first, effect: hold, reviewers: {of}, {first}}}
  - {{name: second, effect: hold, reviewers: dba, {second}}}
"""


def said(first: str, second: str, of: str = "dba") -> list[str]:
    return shadowed(load(FILE.format(first=first, second=second, of=of)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("statements: [write]", "statements: [write], approve_via: web"),
        ("statements: [write]", "statements: [DELETE], confirm: typed"),
        (
            "statements: [write, ddl]",
            "statements: [TRUNCATE, UPDATE], tables: [public.x], break_glass: {reviewers: dba}",
        ),
        ("statements: [DROP]", "statements: [DROP TABLE], require_full_view: true"),
        ("groups: [a, b]", "groups: [a], statements: [write], keep_for: 15m"),
        ("tables: [public.x, public.y]", "tables: [public.x], grants: {max_uses: 3}"),
    ],
)
def test_what_stands_behind_an_equal_hold_is_named(first: str, second: str) -> None:
    (note,) = said(first, second)
    assert note.startswith('rule "second": never holds anything')
    assert 'held by "first"' in note


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("statements: [write]", "statements: [write]"),
        ("statements: [write], approve_via: web", "statements: [write]"),
        ("statements: [write]", "statements: [DROP TABLE], approve_via: web"),
        ("statements: [write], tables: [public.x]", "statements: [write], approve_via: web"),
        ("statements: [write], unless: {tables: [public.x]}", "statements: [write], approve_via: web"),
        ("groups: [a], statements: [write]", "statements: [write], approve_via: web"),
        ("statements: [DELETE]", "statements: [write], approve_via: web"),
        ("statements: [write]", "approve_via: web"),
    ],
)
def test_what_may_hold_is_not(first: str, second: str) -> None:
    assert said(first, second) == []


def test_more_approvals_stand_in_front_wherever_they_stand() -> None:
    assert said("statements: [DELETE], approve_via: web", "statements: [write]", of="both") == []
    assert len(said("statements: [write]", "statements: [write], approve_via: web", of="both")) == 1
