"""policies.yaml: the documented file reads into the documented values; every mistake is named with its line."""

from pathlib import Path
from textwrap import dedent

import pytest

from gateway.approvals.cooldown import CoolDown
from gateway.errors import PolicyError
from gateway.policy.model import GrantTerms, Hours, Policy, Reviewers, RuleEffect, Secret, load

BASE = """\
version: 1
issuers:
  - {issuer: "https://login.example.com", audience: hoop}
targets:
  shop:
    environment: production
    host: db.example.com
    database: shop
    user: hoop
    password: {env: SHOP_DB_PASSWORD}
reviewers:
  dba: {groups: [dba]}
"""


def rules(text: str) -> str:
    return BASE + "rules:\n" + dedent(text)


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(text, "p.yaml")
    return caught.value.problems


FULL_RULE = """\
  - name: everything
    effect: hold
    groups: [engineering]
    users: [ann@example.com]
    targets: {environment: production}
    statements: [read, DELETE, "DROP TABLE"]
    where: present
    reviewers: dba
    tables: [orders, "audit.*"]
    columns: [public.customers.card_number]
    functions: [public.refresh, lo_unlink]
    rows: ">1000"
    applications: ["psql*"]
    client_networks: [10.0.0.0/8, "2001:db8::/32"]
    hours: {tz: Europe/Berlin, days: fri-mon, from: '08:00', to: 18:00}
    unless: {users: [bob@example.com], tables: [scratch]}
    message: ask first
    timeout: 1h30m
    hold_in_transaction: 30s
    max_rows_over_preview: 5
    approve_via: web
    require_full_view: true
    keep_for: 15m
    confirm: typed
    grants: {max_minutes: 60, max_uses: 20, max_rows: 100, vary: [params]}
    break_glass: {reviewers: dba}
"""


def test_every_condition_and_hold_key_is_read() -> None:
    (rule,) = load(rules(FULL_RULE)).rules
    when, hold = rule.when, rule.hold
    assert (rule.name, rule.effect, rule.message, rule.line) == ("everything", RuleEffect.HOLD, "ask first", 14)
    assert when.groups == frozenset({"engineering"})
    assert when.users == ("ann@example.com",)
    assert when.targets == frozenset({"shop"})
    assert when.classes == frozenset({"read"})
    assert when.tags == frozenset({"DELETE", "DROP TABLE"})
    assert when.where is True
    assert when.tables == ("public.orders", "audit.*")
    assert when.columns == ("public.customers.card_number",)
    assert when.functions == ("public.refresh", "*.lo_unlink")
    assert when.rows == (">", 1000)
    assert when.applications == ("psql*",)
    assert when.client_networks == ("10.0.0.0/8", "2001:db8::/32")
    assert when.hours == Hours("Europe/Berlin", frozenset({4, 5, 6, 0}), 480, 1080)
    assert rule.unless is not None
    assert rule.unless.users == ("bob@example.com",)
    assert rule.unless.tables == ("public.scratch",)
    assert hold is not None
    assert hold.reviewers == Reviewers("dba", groups=frozenset({"dba"}))
    assert (hold.timeout, hold.hold_in_transaction, hold.keep_for) == (5400, 30, 900)
    assert (hold.max_rows_over_preview, hold.approve_via, hold.require_full_view) == (5, "web", True)
    assert (hold.confirm, hold.break_glass) == ("typed", hold.reviewers)
    assert hold.grants == GrantTerms(max_minutes=60, max_uses=20, max_rows=100, vary=True)


def test_a_hold_has_the_documented_defaults() -> None:
    (rule,) = load(rules("  - {name: w, effect: hold, statements: [write], reviewers: dba}\n")).rules
    assert rule.hold is not None
    assert (rule.hold.timeout, rule.hold.hold_in_transaction) == (600, 120)
    assert (rule.hold.approve_via, rule.hold.confirm, rule.hold.require_full_view) == ("chat", "click", False)
    assert (rule.hold.keep_for, rule.hold.grants, rule.hold.break_glass) == (None, None, None)
    assert rule.hold.max_rows_over_preview is None


def test_masking_limits_and_tests_are_read() -> None:
    policy = load(
        rules("  - {name: r, effect: allow, statements: [read]}\n")
        + dedent(r"""
        masking:
          columns: [{column: "shop.public.customers.card_number", mask: last4}, {column: "*.*.*.api_key", mask: redact}]
          detect: [card, jwt]
          patterns: {order_token: 'ord_[A-Za-z0-9]{24}'}
          predicates: hold
          copies: deny
          unresolved: hold
          clear_for: {groups: [fraud], users: [ann@example.com]}
        limits: {max_held_bytes: 1MiB, open_requests_per_session: 1, catalog_refresh: 5s, link_max_age: 1h, cool_down_after: 3,
          cool_down_within: 1h, cool_down: 5m}
        tests:
          - {user: a, groups: [g], target: shop, sql: SELECT 1, expect: allow, rule: r, at: 2026-01-05T12:00:00+01:00, client: 10.0.0.1, rows: 3}
        """)
    )
    assert [(each.column, each.mask) for each in policy.masking.columns] == [
        ("shop.public.customers.card_number", "last4"),
        ("*.*.*.api_key", "redact"),
    ]
    assert policy.masking.detect == ("card", "jwt")
    assert policy.masking.patterns == {"order_token": "ord_[A-Za-z0-9]{24}"}
    assert (policy.masking.predicates, policy.masking.copies, policy.masking.unresolved) == ("hold", "deny", "hold")
    assert policy.masking.clear_for_groups == frozenset({"fraud"})
    assert policy.masking.clear_for_users == ("ann@example.com",)
    assert (policy.limits.max_held_bytes, policy.limits.open_requests_per_session) == (1024 * 1024, 1)
    assert (policy.limits.open_requests_per_user, policy.limits.catalog_refresh) == (10, 5)
    assert policy.limits.cool_down == CoolDown(3, 3600, 300)
    assert load(BASE).limits.cool_down == CoolDown(2, 1800, 900)
    (test,) = policy.tests
    assert (test.rule, test.at, test.client, test.rows) == ("r", 1767610800.0, "10.0.0.1", 3)


@pytest.mark.parametrize(
    ("password", "secret"),
    [
        ("{env: P}", Secret(env="P")),
        ("{file: /run/p}", Secret(file="/run/p")),
        ("{entra: {client_id: abc}}", Secret(entra="abc")),
    ],
)
def test_a_secret_is_named_by_its_place(password: str, secret: Secret) -> None:
    assert load(BASE.replace("{env: SHOP_DB_PASSWORD}", password)).targets["shop"].password == secret


def test_a_password_in_the_file_is_refused_and_not_repeated() -> None:
    (problem,) = problems(BASE.replace("{env: SHOP_DB_PASSWORD}", "canary-secret"))
    assert problem.startswith("p.yaml:10: ")
    assert "{env: NAME}" in problem
    assert "canary" not in problem


ONE_MISTAKE = [
    # the rule's own line is 14; the expected line, then a part of the message
    ("- {name: r, effect: allow, mesage: x}", 14, 'unknown key "mesage"; did you mean "message"?'),
    ("- {name: r, effect: alow}", 14, 'effect "alow": unknown; did you mean "allow"?'),
    ("- {name: r}", 14, '"effect" is missing'),
    ("- {effect: allow}", 14, '"name" is missing'),
    ("- {name: r, effect: allow, targets: [shpo]}", 14, 'did you mean "shop"?'),
    ("- {name: r, effect: allow, targets: {environment: prod}}", 14, 'did you mean "production"?'),
    ("- {name: r, effect: allow, targets: []}", 14, "targets is empty"),
    ("- {name: r, effect: allow, groups: []}", 14, "groups is empty"),
    ("- {name: r, effect: allow, statements: [reed]}", 14, 'did you mean "read"?'),
    ("- {name: r, effect: allow, statements: [DELEET]}", 14, 'did you mean "DELETE"?'),
    ("- {name: r, effect: allow, statements: [delete]}", 14, 'did you mean "DELETE"?'),
    ("- {name: r, effect: allow, statements: [housekeeping]}", 14, "housekeeping needs no rule"),
    ("- {name: r, effect: deny, statements: [read], where: absent}", 14, "where asks about UPDATE and DELETE"),
    ("- {name: r, effect: deny, where: missing}", 14, "where"),
    ("- {name: r, effect: hold}", 14, "a hold needs reviewers (known: dba)"),
    ("- {name: r, effect: hold, reviewers: bda}", 14, 'did you mean "dba"?'),
    ("- {name: r, effect: hold, reviewers: dba, timeout: soon}", 14, "a duration looks like"),
    ("- {name: r, effect: hold, reviewers: dba, timeout: 0s}", 14, "more than nothing"),
    ("- {name: r, effect: hold, reviewers: dba, timeout: 10}", 14, "a duration looks like"),
    ("- {name: r, effect: hold, reviewers: dba, approve_via: mail}", 14, "approve_via"),
    ("- {name: r, effect: hold, reviewers: dba, require_full_view: maybe}", 14, "true or false"),
    ("- {name: r, effect: hold, reviewers: dba, break_glass: {reviewers: sre}}", 14, "unknown"),
    ("- {name: r, effect: hold, reviewers: dba, grants: {max_rows: 1}}", 14, "a grant ends"),
    ("- {name: r, effect: hold, reviewers: dba, grants: {max_uses: 1, vary: [tables]}}", 14, "params"),
    ("- {name: r, effect: allow, timeout: 10m}", 14, '"timeout" belongs to a hold'),
    ("- {name: r, effect: allow, reviewers: dba}", 14, '"reviewers" belongs to a hold'),
    ("- {name: r, effect: deny, client_networks: [10.0.0.1/8]}", 14, "CIDR"),
    ("- {name: r, effect: deny, hours: {tz: Europe/Belrin, from: '08:00', to: '18:00'}}", 14, "unknown time zone"),
    ("- {name: r, effect: deny, hours: {tz: ../../etc/passwd, from: '08:00', to: '18:00'}}", 14, "unknown time zone"),
    ("- {name: r, effect: deny, hours: {tz: UTC, days: mo-fr, from: '08:00', to: '18:00'}}", 14, "mon-fri"),
    ("- {name: r, effect: deny, hours: {tz: UTC, from: '8', to: '18:00'}}", 14, "a time looks like"),
    ("- {name: r, effect: deny, hours: {tz: UTC, from: '08:00', to: '24:01'}}", 14, "a time looks like"),
    ("- {name: r, effect: deny, hours: {tz: UTC, from: '08:00', to: '08:00'}}", 14, "the same"),
    ("- {name: r, effect: deny, tables: [a.b.c]}", 14, "schema.name"),
    ("- {name: r, effect: deny, tables: ['a.']}", 14, "schema.name"),
    ("- {name: r, effect: deny, tables: ['a.[bc]']}", 14, "schema.name"),
    ("- {name: r, effect: deny, columns: [customers.card]}", 14, "schema.table.column"),
    ("- {name: r, effect: deny, rows: many}", 14, "rows looks like"),
    ("- {name: r, effect: deny, unless: {}}", 14, "unless is empty"),
    ("- {name: r, effect: deny, unless: {grops: [x]}}", 14, 'did you mean "groups"?'),
    ("- {name: r, effect: deny, name: s}", 14, "stands here twice"),
    ("- just words", 14, "keys and values"),
    ("- {name: r, effect: deny, message: [a]}", 14, "must be a word"),
    ("- {name: r, effect: deny, message: !!python/object:os.system x}", 14, "must be a word"),
]


@pytest.mark.parametrize(("rule", "line", "part"), ONE_MISTAKE)
def test_each_mistake_in_a_rule_is_one_problem_with_its_line(rule: str, line: int, part: str) -> None:
    (problem,) = problems(rules(f"  {rule}\n"))
    assert problem.startswith(f"p.yaml:{line}: ")
    assert part in problem


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("version: 1", "version: 2", "version"),
        ("version: 1\n", "", '"version" is missing'),
        ("https://login", "http://login", "https://"),
        ("audience: hoop", "audiense: hoop", 'did you mean "audience"?'),
        ("host: db.example.com", "hots: db.example.com", 'did you mean "host"?'),
        ("database: shop", "sslmode: verify", 'did you mean "verify'),
        ("database: shop", "port: 70000", "from 1 to 65535"),
        ("{env: SHOP_DB_PASSWORD}", "{env: A, file: B}", "exactly one"),
        ("{env: SHOP_DB_PASSWORD}", "{vault: A}", "unknown key"),
        ("{groups: [dba]}", "{approvals: 2}", "nobody can decide"),
        ("{groups: [dba]}", "{users: [a@x, A@X], approvals: 2}", "2 approvals are wanted"),
        ("{groups: [dba]}", "{groups: [dba], channels: [C012]}", "slack:C0123456789"),
        ("{groups: [dba]}", "{groups: [dba], approvals: 0}", "from 1 to 100"),
    ],
)
def test_mistakes_elsewhere(old: str, new: str, part: str) -> None:
    assert old in BASE
    assert any(part in problem for problem in problems(BASE.replace(old, new)))


@pytest.mark.parametrize(
    ("section", "part"),
    [
        ("masking: {detect: [cards]}", 'did you mean "card"?'),
        ("masking: {columns: [{column: shop.public.customers.card, mask: last5}]}", 'did you mean "last4"?'),
        (
            "masking: {columns: [{column: shpo.public.customers.card, mask: hash}]}",
            'no target "shpo"; did you mean "shop"?',
        ),
        ("masking: {columns: [{column: customers.card, mask: hash}]}", "target.schema.table.column"),
        ("masking: {patterns: {x: '(?=a)b'}}", "RE2 can't read it"),
        ("masking: {patterns: {x: 'a*'}}", "empty text"),
        ("masking: {patterns: {card: 'abc'}}", "name of a detector"),
        ("masking: {predicates: mask}", "predicates"),
        ("masking: {clear_for: {}}", "clear_for is empty"),
        ("limits: {max_held_bytes: 16M}", "16MiB"),
        ("limits: {max_held_byte: 16MiB}", 'did you mean "max_held_bytes"?'),
        ("tests: [{user: a, target: shop, sql: x, expect: held}]", "expect"),
        ("tests: [{user: a, target: shop, sql: x, expect: allow, rule: r}]", "rule"),
        ("tests: [{user: a, target: shop, sql: x, expect: allow, at: 2026-01-05}]", "a time with its zone"),
        ("tests: {user: a}", "must be a list"),
    ],
)
def test_mistakes_in_the_other_sections(section: str, part: str) -> None:
    (problem, *more) = problems(BASE + section + "\n")
    assert part in problem
    assert problem.startswith("p.yaml:13: ")
    assert [each for each in more if "is missing" not in each] == []


def test_all_problems_are_reported_at_once_in_the_order_of_lines() -> None:
    found = problems(rules("  - {name: r, effect: alow}\n  - {name: r, effect: hold}\n") + "limit: {}\n")
    assert [problem.split(":")[1] for problem in found] == ["14", "15", "15", "16"]
    assert "another rule has this name (line 14)" in "".join(found)


def test_a_user_whose_only_reviewer_they_are_is_found() -> None:
    alone = BASE.replace("{groups: [dba]}", "{users: [Bob@example.com]}")
    (problem,) = problems(alone + "rules: [{name: r, effect: hold, users: [bob@example.com], reviewers: dba}]\n")
    assert "can't approve their own" in problem
    load(alone + "rules: [{name: r, effect: hold, users: [ann@example.com], reviewers: dba}]\n")
    load(alone + "rules: [{name: r, effect: hold, reviewers: dba}]\n")


def test_the_version_is_the_text_s() -> None:
    def version(text: str) -> str:
        policy: Policy = load(text)
        return policy.version

    assert version(BASE) == version(BASE)
    assert version(BASE) != version(BASE + "# changed\n")


def test_the_example_at_the_root_is_right() -> None:
    text = Path(__file__).parents[2].joinpath("policies.yaml").read_text()
    assert len(load(text).rules) == 5


def test_words_that_yaml_would_guess_at_stay_words() -> None:
    (rule,) = load(rules("  - {name: 2026-01-01, effect: deny, groups: [no, on, 007], message: yes}\n")).rules
    assert (rule.name, rule.message) == ("2026-01-01", "yes")
    assert rule.when.groups == frozenset({"no", "on", "007"})
