"""masking.predicates and copies: what becomes of a statement whose conditions read a protected column, or that copies one."""

from dataclasses import replace

import pytest

from gateway.identity.claims import Identity
from gateway.policy import oracles
from gateway.policy.decide import Answer, Circumstances, judge
from gateway.policy.model import Policy, load
from gateway.sql.statement import Statement, StatementClass

FILE = """
version: 1
issuers: [{{issuer: "https://issuer.test", audience: hoop}}]
targets: {{shop: {{environment: p, host: h, port: 5432, database: d, user: u, password: {{env: X}}}}}}
reviewers: {{dba: {{groups: [dba], channels: ["slack:C1"]}}, two: {{groups: [dba], approvals: 2, channels: ["slack:C1"]}}}}
rules:
  - {{name: reads go, effect: allow, statements: [read, write]}}
{rules}
masking:
  columns: [{{column: "shop.public.cards.card", mask: redact}}]
  predicates: {choice}
  clear_for: {{groups: [fraud]}}
"""
HOLDS = "  - {name: ddl waits, effect: hold, statements: [ddl], reviewers: dba}\n  - {name: admin waits, effect: hold, statements: [admin], reviewers: two}"
READ = Statement("SELECT", "SELECT", frozenset({StatementClass.READ}), reads=("public.cards",))
COPIES = replace(READ, classes=frozenset({StatementClass.WRITE}), spreads=(("public.cards.card", "public.other.name"),))
ASKS = replace(READ, protected_predicates=("public.cards.id", "public.cards.card"))


def policy(choice: str, rules: str = HOLDS) -> Policy:
    return load(FILE.format(choice=choice, rules=rules))


def verdict(found: Policy, statement: Statement, *groups: str) -> tuple[Answer, str, str]:
    who = Identity(
        subject="1",
        user="ann@example.com",
        email="ann@example.com",
        groups=frozenset(groups),
        issuer="i",
        expires_at=0.0,
    )
    answer = judge(found, who, "shop", statement, Circumstances(0.0))
    return answer.answer, answer.reason, answer.hold.reviewers.name if answer.hold else ""


def test_each_choice() -> None:
    assert verdict(policy("allow"), ASKS)[0] is Answer.ALLOW
    held, why, reviewers = verdict(policy("hold"), ASKS)
    assert (held, reviewers) == (Answer.HOLD, "two")
    assert "public.cards.card" in why
    assert "public.cards.id" not in why
    assert verdict(policy("deny"), ASKS)[0] is Answer.DENY


def test_each_choice_for_a_copy() -> None:
    assert verdict(policy("allow"), COPIES)[0] is Answer.ALLOW
    held, why, reviewers = verdict(policy("allow\n  copies: hold"), COPIES)
    assert (held, reviewers) == (Answer.HOLD, "two")
    assert "public.cards.card into public.other.name" in why
    assert verdict(policy("allow\n  copies: deny"), COPIES)[0] is Answer.DENY


@pytest.mark.parametrize("choice", ["hold", "deny"])
def test_other_conditions_and_those_who_see_clear_are_let_go(choice: str) -> None:
    assert verdict(policy(choice), READ)[0] is Answer.ALLOW
    assert verdict(policy(choice), replace(READ, protected_predicates=("public.cards.id",)))[0] is Answer.ALLOW
    assert verdict(policy(choice), ASKS, "fraud")[0] is Answer.ALLOW


def test_a_hold_of_its_own_keeps_its_reviewers_and_says_both() -> None:
    rules = "  - {name: cards wait, effect: hold, statements: [read], reviewers: dba}\n" + HOLDS
    held, why, reviewers = verdict(policy("hold", rules), ASKS)
    assert (held, reviewers) == (Answer.HOLD, "dba")
    assert "cards wait" in why
    assert "public.cards.card" in why
    assert verdict(policy("deny", rules), ASKS)[0] is Answer.DENY


def test_nobody_to_ask_is_a_refusal() -> None:
    assert verdict(policy("hold", ""), ASKS)[0] is Answer.DENY


def test_a_star_stands_for_any_column_of_its_table() -> None:
    masking = policy("hold").masking
    assert oracles.tested(masking, "shop", replace(READ, protected_predicates=("public.cards.*",))) == (
        "public.cards.*",
    )
    assert (
        oracles.tested(masking, "shop", replace(READ, protected_predicates=("public.other.*", "other.cards.card")))
        == ()
    )
    assert oracles.tested(masking, "else", ASKS) == ()


@pytest.mark.parametrize(("choice", "answer"), [("redact", Answer.ALLOW), ("hold", Answer.HOLD)])
def test_a_result_that_can_not_be_traced_waits_where_policy_says_so(choice: str, answer: Answer) -> None:
    found = load(FILE.format(choice=f"allow\n  unresolved: {choice}", rules=HOLDS))
    assert verdict(found, replace(READ, untraced=True))[0] is answer
    assert verdict(found, READ)[0] is Answer.ALLOW
    assert verdict(found, replace(READ, untraced=True), "fraud")[0] is Answer.ALLOW


def test_what_can_not_be_traced_is_denied_where_nobody_could_be_asked() -> None:
    found = load(FILE.format(choice="allow\n  unresolved: hold", rules=""))
    answer, why, _ = verdict(found, replace(READ, untraced=True))
    assert answer is Answer.DENY
    assert "can't be traced" in why
