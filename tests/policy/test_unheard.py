"""Reviewers who can't decide are named; those who can are not."""

from gateway.policy.model import Policy, load
from gateway.policy.unheard import unheard, unknown_groups

FILE = """
version: 1
issuers: [{issuer: "https://issuer.test", audience: hoop}]
targets: {shop: {environment: p, host: h, database: d, user: u, password: {env: X}}}
reviewers: {dba: {groups: [dba], channels: ["slack:C1"]}}
rules: [{name: writes wait, effect: hold, groups: [eng], statements: [write], reviewers: dba}]
"""
QUIET = FILE.replace(', channels: ["slack:C1"]', "")


def made(text: str, rule: str = "") -> Policy:
    return load(text.replace("rules: [", f"rules: [{rule}"))


def test_a_rule_whose_reviewers_have_no_channel_is_named() -> None:
    (said,) = unheard(made(QUIET))
    assert said.startswith('rule "writes wait" asks reviewers "dba", who have no channel: nobody is told')
    assert unheard(made(FILE)) == []
    nobody_asks = QUIET.replace("effect: hold", "effect: allow").replace(", reviewers: dba}]", "}]")
    assert unheard(made(nobody_asks)) == []


def test_reviewers_who_are_asked_later_have_a_channel() -> None:
    assert unheard(made(QUIET.replace("groups: [dba]", 'groups: [dba], escalate: {channels: ["slack:C2"]}'))) == []


def test_a_group_of_reviewers_that_no_rule_lets_connect_is_named() -> None:
    (said,) = unknown_groups(made(FILE))
    assert said.startswith('reviewers "dba": no rule lets group dba connect, and without sign-in pages')
    denied = "{name: no, effect: deny, groups: [dba]}, "
    assert unknown_groups(made(FILE, denied)) == [said]


def test_a_group_that_some_rule_lets_connect_is_not() -> None:
    assert unknown_groups(made(FILE, "{name: read, effect: allow, groups: [dba], statements: [read]}, ")) == []
    assert unknown_groups(made(FILE, "{name: all, effect: allow, statements: [read]}, ")) == []
    assert unknown_groups(made(FILE.replace("groups: [dba]", "users: [bob]"))) == []
