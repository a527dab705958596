"""What a file promises and the gateway does not do is said, by name; what is enforced is not."""

import pytest

from gateway.policy.model import load
from gateway.policy.unenforced import notes, unasked

FILE = """
version: 1
issuers: [{{issuer: "https://issuer.test", audience: hoop}}]
targets:
  shop: {{environment: p, host: h, port: 5432, database: d, user: u, password: {{env: X}}{target}}}
reviewers: {{dba: {{groups: [dba], channels: ["slack:C1"]}}}}
rules: [{{name: writes wait, effect: hold, statements: [write], reviewers: dba{rule}}}]
masking: {{detect: [card]{masking}}}
"""


def said(rule: str = "", target: str = "", masking: str = "") -> list[str]:
    return notes(load(FILE.format(rule=rule, target=target, masking=masking)))


def test_a_file_that_promises_nothing_more_has_no_notes() -> None:
    assert said() == []
    assert (
        said(
            rule=", approve_via: web, break_glass: {reviewers: dba}, confirm: typed, require_full_view: true, keep_for: 15m, timeout: 5m",
            masking=", predicates: allow",
        )
        == []
    )


def test_reviewers_in_a_chat_that_is_not_set_up_are_named() -> None:
    text = FILE.format(rule="", target="", masking="")
    policy = load(text)
    assert unasked(policy, ["slack"]) == []
    (warning,) = unasked(policy, ["teams"])
    assert warning.startswith('reviewers "dba" are asked in slack, which is not set up: ')
    further = text.replace('["slack:C1"]', '["slack:C1"], escalate: {channels: ["teams:19:x"]}')
    (warning,) = unasked(load(further), ["slack"])
    assert warning.startswith('reviewers "dba" are asked in teams, ')
    assert (
        unasked(load(text.replace("hold, statements", "allow, statements").replace(", reviewers: dba", "")), []) == []
    )


def test_grants_that_are_never_offered_are_named() -> None:
    grants = ", grants: {max_uses: 3}"
    assert said(rule=grants) == []
    text = FILE.format(rule=grants, target="", masking="").replace("groups: [dba]", "groups: [dba], approvals: 2")
    assert notes(load(text)) == ['rule "writes wait": grants are offered only where one approval in chat is enough']
    assert any("grants are offered only" in each for each in said(rule=f"{grants}, approve_via: web"))


def test_what_is_enforced_is_not_listed() -> None:
    assert said(target=", reader: {user: r, password: {env: Y}}") == []
    assert said(masking=", predicates: deny") == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("effect: hold, reviewers: dba, rows: '>100'", "rows is read strictly: it counts as met"),
        ("effect: deny, rows: '>100'", "rows is read strictly: it counts as met"),
        ("effect: allow, rows: '<10'", "rows is read strictly: it counts as not met"),
        ("effect: hold, reviewers: dba, unless: {rows: '<10'}", "unless: rows is read strictly: it counts as not met"),
        ("effect: allow, unless: {rows: '>100'}", "unless: rows is read strictly: it counts as met"),
    ],
)
def test_a_condition_on_rows_is_said_to_be_read_strictly(rule: str, said: str) -> None:
    text = FILE.format(rule="", target="", masking="")
    policy = load(text.replace("rules: [", f"rules: [{{name: n, statements: [write], {rule}}}, "))
    assert notes(policy) == [f'rule "n": {said}, and a preview\'s count loosens nothing']
