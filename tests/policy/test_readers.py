"""Who logs in as a target's reader: those whom no rule could ever let do more than read, and nobody else."""

import pytest

from gateway.identity.claims import Identity
from gateway.policy.model import Policy, load
from gateway.policy.readers import login_of, logins, only_reads, readers

FILE = """
version: 1
issuers: [{{issuer: "https://issuer.test", audience: hoop}}]
targets:
  shop: {{environment: p, host: h, port: 5432, database: d, user: hoop, password: {{env: X}}, reader: {{user: hoop_reader, password: {{env: Y}}}}}}
  bare: {{environment: p, host: h, port: 5432, database: d, user: hoop, password: {{env: X}}}}
reviewers: {{dba: {{groups: [dba], channels: ["slack:C1"]}}}}
rules:
  - {{name: reads, effect: allow, statements: [read]}}
{rules}
"""
ANN = Identity("https://issuer.test", "1", "ann@example.com", "ann@example.com", frozenset({"eng"}), 0)


def policy(*rules: str) -> Policy:
    return load(FILE.format(rules="\n".join(f"  - {{name: r{at}, {rule}}}" for at, rule in enumerate(rules))))


@pytest.mark.parametrize(
    ("only", "rules"),
    [
        (True, []),
        (True, ["effect: allow, statements: [SELECT, SHOW]"]),
        (True, ["effect: hold, statements: [read], reviewers: dba"]),
        (True, ["effect: allow, statements: [write], groups: [other]"]),
        (True, ["effect: allow, statements: [write], targets: [bare]"]),
        (True, ["effect: deny, statements: [write]"]),
        (True, ["effect: allow, statements: [read, write]", "effect: deny, statements: [write], groups: [eng]"]),
        (True, ["effect: allow, statements: [write, ddl]", "effect: deny, statements: [write]", "effect: deny, statements: [ddl]"]),
        (False, ["effect: allow"]),
        (False, ["effect: allow, statements: [write]"]),
        (False, ["effect: hold, statements: [session], reviewers: dba"]),
        (False, ["effect: hold, statements: [opaque], users: [ANN@example.com], reviewers: dba"]),
        (False, ["effect: allow, statements: [INSERT]"]),
        (False, ["effect: hold, statements: [SELECT], reviewers: dba"]),
        (False, ["effect: allow, statements: [write], tables: [public.nothing]"]),
        (False, ["effect: allow, statements: [write], applications: [psql]"]),
        (False, ["effect: allow, statements: [write]", "effect: deny, statements: [DELETE, UPDATE]"]),
        (False, ["effect: allow, statements: [write]", "effect: deny, statements: [write], where: absent"]),
        (False, ["effect: allow, statements: [write]", "effect: deny, statements: [write], applications: [psql]"]),
        (False, ["effect: allow, statements: [write]", "effect: deny, statements: [write], unless: {applications: [psql]}"]),
        (False, ["effect: allow, statements: [write]", "effect: deny, statements: [write], groups: [other]"]),
    ],
)  # fmt: skip
def test_only_who_could_never_do_more_reads_only(only: bool, rules: list[str]) -> None:
    assert only_reads(policy(*rules), ANN, "shop") is only


def test_a_reader_has_its_own_user_and_password() -> None:
    found = policy()
    shop = found.targets["shop"]
    login = login_of(found, ANN, shop)
    assert (login.user, login.password, login.name) == ("hoop_reader", shop.reader_password, "shop")
    assert login_of(policy("effect: allow, statements: [write]"), ANN, shop) is shop
    assert login_of(found, ANN, found.targets["bare"]) is found.targets["bare"]


def test_the_logins_of_a_target() -> None:
    targets = policy().targets
    assert [each.user for each in logins(targets["shop"])] == ["hoop", "hoop_reader"]
    assert [each.user for each in logins(targets["bare"])] == ["hoop"]


def test_those_that_the_rules_name_are_told_apart() -> None:
    found = policy(
        "effect: allow, statements: [write], groups: [eng]", "effect: deny, groups: [guests], statements: [read]"
    )
    assert readers(found, found.targets["shop"]) == ["anyone with a valid token", "group guests"]
    assert readers(found, found.targets["bare"]) == []
