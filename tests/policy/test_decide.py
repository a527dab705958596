"""The judgement as tables: the expected answer first. SQL is read by the real reader, without a catalog."""

from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.claims import Identity
from gateway.policy.decide import (
    Answer,
    Circumstances,
    Verdict,
    judge,
    judge_explained,
    judge_script,
    may_connect,
    rules_for,
    sees_clear,
)
from gateway.policy.model import Policy, load
from gateway.sql.parse import read
from gateway.sql.statement import Script, Statement, StatementClass

HEAD = """\
version: 1
targets:
  shop: {environment: production, host: h, database: shop, user: u, password: {env: P}}
  lab: {environment: test, host: h, database: lab, user: u, password: {env: P}}
reviewers:
  dba: {groups: [dba]}
  two: {groups: [dba], approvals: 2}
  also two: {groups: [sre], approvals: 2}
rules:
"""
PAGE = """\
  - {name: reads, effect: allow, groups: [engineering, agents], targets: [shop], statements: [read]}
  - name: writes
    effect: hold
    groups: [engineering, agents]
    targets: [shop]
    statements: [write, ddl, session, opaque]
    reviewers: dba
  - {name: no where, effect: deny, statements: [UPDATE, DELETE], where: absent, message: add a WHERE clause}
"""
NOON = 1767610800.0  # Monday 2026-01-05 12:00 in Berlin


def policy(rules: str) -> Policy:
    return load(HEAD + dedent(rules))


def person(*groups: str, user: str = "ann@example.com", email: str | None = None) -> Identity:
    return Identity("https://i", "sub-1", user, email, frozenset(groups), 2e9)


ANN = person("engineering")


def ask(rules: str, sql: str, who: Identity = ANN, target: str = "shop", **at: object) -> Verdict:
    circumstances = Circumstances(**{"now": NOON, **at})  # type: ignore[arg-type] # a test's own keywords
    return judge_script(policy(rules), who, target, read(sql), circumstances)


@pytest.mark.parametrize(
    ("answer", "rule", "sql"),
    [
        ("allow", "reads", "SELECT * FROM customers"),
        ("allow", "reads", "SELECT 1"),
        ("allow", None, "BEGIN"),
        ("allow", None, ""),
        ("allow", None, "SET application_name = 'x'"),
        ("allow", "reads", "BEGIN; SELECT 1; COMMIT"),
        ("hold", "writes", "DELETE FROM customers WHERE id = 1"),
        ("hold", "writes", "INSERT INTO a VALUES (1)"),
        ("hold", "writes", "INSERT INTO a SELECT * FROM b"),
        ("hold", "writes", "SELECT 1; DROP TABLE a"),
        ("hold", "writes", "SELECT * FROM a FOR UPDATE"),
        ("hold", "writes", "WITH d AS (DELETE FROM a WHERE x = 1 RETURNING *) SELECT * FROM d"),
        ("hold", "writes", "EXPLAIN ANALYZE DELETE FROM a WHERE x = 1"),
        ("hold", "writes", "DO $$ BEGIN END $$"),
        ("hold", "writes", "CREATE TABLE a AS SELECT * FROM b"),
        ("deny", "no where", "DELETE FROM customers"),
        ("deny", "no where", "SELECT 1; DELETE FROM customers"),
        ("deny", "no where", "WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d"),
        ("deny", "no where", "EXPLAIN ANALYZE UPDATE a SET x = 1"),
        ("deny", "no where", "WITH d AS (DELETE FROM a RETURNING *) UPDATE b SET x = 1 WHERE y = 2"),
        ("deny", None, "GRANT SELECT ON a TO b"),
        ("deny", None, "VACUUM a"),
        ("deny", None, "SELECT 1; GRANT SELECT ON a TO b"),
    ],
)
def test_the_example_of_the_documentation(answer: str, rule: str | None, sql: str) -> None:
    verdict = ask(PAGE, sql)
    assert (verdict.answer.value, verdict.rule) == (answer, rule)
    assert verdict.reason
    assert (verdict.hold is not None) == (answer == "hold")


def test_a_verdict_carries_the_rule_s_message_and_terms() -> None:
    assert ask(PAGE, "DELETE FROM a").message == "add a WHERE clause"
    held = ask(PAGE, "DELETE FROM a WHERE x = 1")
    assert held.hold is not None
    assert held.hold.reviewers.name == "dba"


@pytest.mark.parametrize(
    ("answer", "who", "target"),
    [
        ("allow", person("agents"), "shop"),
        ("deny", person("agents"), "lab"),
        ("deny", person("sales"), "shop"),
        ("deny", person(), "shop"),
    ],
)
def test_who_and_where(answer: str, who: Identity, target: str) -> None:
    assert ask(PAGE, "SELECT * FROM a", who, target).answer.value == answer


ORDERS = [
    "  - {name: allow, effect: allow, statements: [write]}\n",
    "  - {name: hold, effect: hold, statements: [write], reviewers: dba}\n",
    "  - {name: deny, effect: deny, statements: [DELETE]}\n",
]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_strictest_wins_whatever_the_order(order: tuple[int, ...]) -> None:
    rules = "".join(ORDERS[index] for index in order)
    assert ask(rules, "DELETE FROM a WHERE x = 1").rule == "deny"
    assert ask(rules, "INSERT INTO a VALUES (1)").rule == "hold"


def test_of_several_holds_the_most_approvals_then_the_first_in_the_file() -> None:
    rules = """\
      - {name: one, effect: hold, statements: [write], reviewers: dba}
      - {name: also, effect: hold, statements: [write], reviewers: also two}
      - {name: two, effect: hold, statements: [write], reviewers: two}
    """
    assert ask(rules, "INSERT INTO a VALUES (1)").rule == "also"
    several = dedent(rules) + "- {name: last, effect: hold, statements: [ddl], reviewers: two}\n"
    assert ask(several, "DROP TABLE a; INSERT INTO a VALUES (1)").rule == "also"


def test_a_tag_of_an_allow_vouches_for_no_more_than_it_says() -> None:
    rules = "  - {name: r, effect: allow, statements: [SELECT, INSERT]}\n"
    assert ask(rules, "SELECT * FROM a").answer is Answer.ALLOW
    assert ask(rules, "INSERT INTO a SELECT * FROM b").answer is Answer.ALLOW
    assert ask(rules, "WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d").answer is Answer.DENY
    assert ask(rules, "WITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d").answer is Answer.DENY
    assert ask(rules, "SELECT * FROM a FOR UPDATE").answer is Answer.DENY
    assert ask(rules, "COPY a FROM STDIN").answer is Answer.DENY
    opaque = Statement("", "SELECT", frozenset({StatementClass.READ, StatementClass.OPAQUE}), reason="f() is not known")
    assert judge(policy(rules), ANN, "shop", opaque, Circumstances(NOON)).answer is Answer.DENY


def test_a_tag_s_family() -> None:
    rules = "  - {name: r, effect: allow, statements: [DROP, TRUNCATE]}\n"
    for sql in ("DROP TABLE a", "DROP ROLE a", "TRUNCATE a"):
        assert ask(rules, sql).answer is Answer.ALLOW
    assert ask(rules, "ALTER TABLE a ADD x int").answer is Answer.DENY


def test_every_class_needs_its_own_permission() -> None:
    rules = "  - {name: r, effect: allow, statements: [ddl]}\n"
    assert ask(rules, "CREATE TABLE a (x int)").answer is Answer.ALLOW
    assert ask(rules, "CREATE TABLE a AS SELECT * FROM b").answer is Answer.DENY


def test_reading_beside_a_write_needs_the_right_to_read() -> None:
    rules = """\
      - {name: w, effect: allow, statements: [write]}
      - {name: r, effect: allow, statements: [read], tables: [a, b]}
    """
    assert ask(rules, "DELETE FROM a USING b WHERE a.x = b.x").answer is Answer.ALLOW
    assert ask(rules, "DELETE FROM a USING secrets WHERE a.x = secrets.x").answer is Answer.DENY
    assert ask(rules, "DELETE FROM a WHERE x = 1").answer is Answer.ALLOW


def test_an_allow_by_table_needs_all_of_them_a_deny_any() -> None:
    rules = """\
      - {name: open, effect: allow, statements: [read], tables: [a, "log.*"]}
      - {name: b too, effect: allow, statements: [read], tables: [b]}
      - {name: not hidden, effect: deny, tables: ["*.hidden"]}
    """
    assert ask(rules, "SELECT * FROM a").rule == "open"
    assert ask(rules, "SELECT * FROM a, log.x").rule == "open"
    assert ask(rules, "SELECT * FROM a JOIN b USING (x)").answer is Answer.ALLOW
    assert ask(rules, "SELECT * FROM a, c").answer is Answer.DENY
    assert ask(rules, "SELECT * FROM a, log.hidden").rule == "not hidden"
    assert ask(rules, "SELECT 1").answer is Answer.ALLOW
    assert ask(rules, "SELECT f()").answer is Answer.DENY
    assert ask(rules, "SELECT pg_catalog.version()").answer is Answer.ALLOW


def test_a_table_with_an_odd_name_is_named_in_quotes() -> None:
    rules = """\
      - {name: r, effect: allow}
      - {name: d, effect: deny, tables: ['"order items"', 'app."a.b"', Orders]}
    """
    for sql in ('SELECT * FROM "order items"', 'SELECT * FROM app."a.b"', 'SELECT * FROM "Orders"'):
        assert ask(rules, sql).rule == "d"
    assert ask(rules, "SELECT * FROM orders").rule == "r"


def test_a_whole_schema_holds_each_of_its_tables() -> None:
    rules = """\
      - {name: r, effect: allow, statements: [ddl, admin]}
      - {name: d, effect: deny, tables: ["prod.t*"]}
    """
    for sql in ("DROP SCHEMA prod CASCADE", "ALTER SCHEMA prod RENAME TO x", "GRANT ALL ON SCHEMA prod TO x"):
        assert ask(rules, sql).rule == "d"
    assert ask(rules, "DROP SCHEMA other CASCADE").rule == "r"
    assert ask('  - {name: r, effect: allow, statements: [ddl], tables: ["prod.t"]}\n', "DROP SCHEMA prod").rule is None


def test_what_stands_behind_a_name_is_held_and_denied_and_asks_for_no_allow() -> None:
    rules = policy("""\
      - {name: open, effect: allow, tables: ["staging.*"]}
      - {name: other writes, effect: hold, statements: [write], unless: {tables: ["staging.*"]}, reviewers: dba}
      - {name: vault, effect: deny, tables: ["vault.*"]}
      - {name: cards, effect: deny, columns: [prod.t.card]}
    """)
    at = Circumstances(NOON)

    def asked(*behind: tuple[str, bool], columns: tuple[str, ...] = (), writes: bool = False) -> str | None:
        kinds = frozenset({StatementClass.WRITE if writes else StatementClass.READ})
        named = {"writes" if writes else "reads": ("staging.v",)}
        statement = Statement("", "SELECT", kinds, behind=behind, columns_behind=columns, **named)  # type: ignore[arg-type] # fields by name
        return judge(rules, ANN, "shop", statement, at).rule

    assert asked(("prod.t", False)) == "open"
    assert asked(("vault.t", False)) == "vault"
    assert asked(("prod.t", False), columns=("prod.t.card",)) == "cards"
    assert asked(("prod.t", False), columns=("prod.t.name",)) == "open"
    assert asked(("staging.t", True), writes=True) == "open"
    assert asked(("prod.t", True), writes=True) == "other writes"
    assert asked(("vault.t", True), writes=True) == "vault"


def test_a_rule_that_is_about_what_stands_behind_a_name_says_so() -> None:
    rules = policy("""\
      - {name: vault, effect: hold, tables: ["vault.*"], reviewers: dba}
      - {name: writes, effect: hold, statements: [write], reviewers: dba}
      - {name: ledger, effect: deny, tables: [ledger.t]}
    """)

    def asked(*behind: tuple[str, bool], own: str = "staging.t") -> Verdict:
        statement = Statement("", "DELETE", frozenset({StatementClass.WRITE}), writes=(own,), behind=behind)
        return judge(rules, ANN, "shop", statement, Circumstances(NOON))

    found = asked(("vault.t", True))
    assert found.besides == "for vault.t, which this changes as well"
    assert found.reason == f'rule "vault" asks for 1 approval of dba {found.besides}'
    assert asked(*((f"vault.{n}", True) for n in range(5))).besides.startswith(
        "for vault.0, vault.1, vault.2 and 2 more,"
    )
    assert asked(("vault.t", False)).besides == "for vault.t, which this reads as well"
    assert asked(("vault.t", True), own="vault.u").besides == "", "it names such a table itself"
    assert asked(("other.t", True)).besides == ""
    assert asked(("ledger.t", True)).reason == 'rule "ledger" denies it for ledger.t, which this changes as well'


def test_opaque_names_no_tables_so_no_allow_by_table_covers_it() -> None:
    rules = '  - {name: scratch, effect: allow, statements: [opaque], tables: ["scratch.*"]}\n'
    verdict = ask(rules, "DO $$ BEGIN END $$")
    assert verdict.answer is Answer.DENY
    assert "DO runs code" in verdict.reason


def test_columns() -> None:
    deny = "  - {name: r, effect: allow}\n  - {name: cards, effect: deny, columns: [public.customers.card]}\n"
    assert ask(deny, "SELECT card FROM customers").rule == "cards"
    assert ask(deny, "SELECT name FROM customers WHERE card = '1'").rule == "cards"
    assert ask(deny, "SELECT * FROM customers").rule == "cards"
    assert ask(deny, "SELECT name FROM customers").rule == "r"
    allow = "  - {name: names, effect: allow, statements: [read], columns: [public.customers.name]}\n"
    assert ask(allow, "SELECT name FROM customers").rule == "names"
    assert ask(allow, "SELECT name, card FROM customers").rule is None
    assert ask(allow, "SELECT * FROM customers").rule is None
    assert ask(allow, "SELECT c.name FROM customers c, secrets").rule is None


def test_functions() -> None:
    deny = "  - {name: r, effect: allow}\n  - {name: f, effect: deny, functions: [lo_unlink, app.purge]}\n"
    for sql in ("SELECT lo_unlink(1)", "SELECT pg_catalog.lo_unlink(1)", "SELECT app.purge()", "SELECT purge()"):
        assert ask(deny, sql).rule == "f"
    assert ask(deny, "SELECT other.purge()").rule == "r"
    allow = "  - {name: f, effect: allow, statements: [read], functions: [public.report]}\n"
    assert ask(allow, "SELECT report()").rule == "f"
    assert ask(allow, "SELECT public.report()").rule == "f"
    assert ask(allow, "SELECT evil.report()").rule is None
    assert ask(allow, "SELECT report(), evil()").rule is None
    assert ask(allow, "SELECT 1").rule is None


ROWS = """\
  - {name: small, effect: allow, statements: [write]}
  - {name: big, effect: hold, statements: [write], rows: ">100", reviewers: dba}
"""


@pytest.mark.parametrize(("answer", "rows"), [("allow", 100), ("hold", 101), ("hold", None)])
def test_rows_unknown_are_read_strictly_and_the_verdict_says_so(answer: str, rows: int | None) -> None:
    verdict = ask(ROWS, "DELETE FROM a WHERE x = 1", rows=rows)
    assert verdict.answer.value == answer
    assert verdict.rests_on == {"rows"}
    assert ask(ROWS, "BEGIN").rests_on == frozenset()


def test_an_allow_by_rows_waits_for_the_count() -> None:
    rules = '  - {name: few, effect: allow, statements: [write], rows: "<10"}\n'
    assert ask(rules, "DELETE FROM a WHERE x = 1").answer is Answer.DENY
    assert ask(rules, "DELETE FROM a WHERE x = 1").rests_on == {"rows"}
    assert ask(rules, "DELETE FROM a WHERE x = 1", rows=9).answer is Answer.ALLOW


_BOUNDS = st.sampled_from(["<10", "<=10", "=10", ">=10", ">10"])
_RULE = st.builds(
    lambda effect, where, bound: (
        f"effect: {effect}, statements: [write], {where % bound}" + (", reviewers: dba" if effect == "hold" else "")
    ),
    st.sampled_from(["allow", "hold", "deny"]),
    st.sampled_from(["rows: '%s'", "unless: {rows: '%s'}"]),
    _BOUNDS,
)
_STRICTNESS = [Answer.ALLOW, Answer.HOLD, Answer.DENY]


@settings(max_examples=60, deadline=None)
@given(st.lists(_RULE, min_size=1, max_size=4), st.sampled_from([0, 9, 10, 11, 10**6]))
def test_without_a_count_only_no_rule_at_all_is_stricter_with_one(rules: list[str], rows: int) -> None:
    """What was judged without a count is the strictest that any rule could say once there is one."""
    text = "".join(f"  - {{name: r{k}, {rule}}}\n" for k, rule in enumerate(rules))
    unknown, known = ask(text, "DELETE FROM a WHERE x = 1"), ask(text, "DELETE FROM a WHERE x = 1", rows=rows)
    assert unknown.rests_on == {"rows"}
    assert _STRICTNESS.index(unknown.answer) >= _STRICTNESS.index(known.answer) or known.rule is None


def test_a_hold_that_the_count_takes_away_leaves_no_rule() -> None:
    rules = '  - {name: big, effect: hold, statements: [write], rows: ">100", reviewers: dba}\n'
    assert ask(rules, "DELETE FROM a WHERE x = 1").answer is Answer.HOLD
    assert ask(rules, "DELETE FROM a WHERE x = 1", rows=5).answer is Answer.DENY


def test_hours() -> None:
    rules = "  - {name: r, effect: allow, hours: {tz: Europe/Berlin, days: mon-fri, from: '08:00', to: '18:00'}}\n"
    assert ask(rules, "SELECT 1").answer is Answer.ALLOW
    assert ask(rules, "SELECT 1", now=NOON + 6 * 3600).answer is Answer.DENY
    assert ask(rules, "SELECT 1", now=NOON + 5 * 86400).answer is Answer.DENY
    assert ask(rules, "SELECT 1").rests_on == {"hours"}


def test_applications_and_networks() -> None:
    rules = """\
      - {name: r, effect: allow, applications: ["psql*"], client_networks: [10.0.0.0/8, "2001:db8::/32"]}
    """
    assert ask(rules, "SELECT 1", application="psql 15", client="10.1.2.3").answer is Answer.ALLOW
    assert ask(rules, "SELECT 1", application="psql", client="::ffff:10.1.2.3").answer is Answer.ALLOW
    assert ask(rules, "SELECT 1", application="psql", client="2001:db8::1").answer is Answer.ALLOW
    assert ask(rules, "SELECT 1", application="dbeaver", client="10.1.2.3").answer is Answer.DENY
    assert ask(rules, "SELECT 1", application="psql", client="192.0.2.1").answer is Answer.DENY
    assert ask(rules, "SELECT 1", application="psql", client="").answer is Answer.DENY


def test_a_deny_by_network_holds_where_the_address_is_not_known() -> None:
    rules = "  - {name: r, effect: allow}\n  - {name: d, effect: deny, client_networks: [192.0.2.0/24]}\n"
    assert ask(rules, "SELECT 1", client="").rule == "d"
    assert ask(rules, "SELECT 1", client="10.0.0.1").rule == "r"


def test_unless_of_a_deny_must_surely_hold_and_of_an_allow_possibly() -> None:
    deny = (
        "  - {name: r, effect: allow}\n  - {name: d, effect: deny, statements: [write], unless: {tables: [scratch]}}\n"
    )
    assert ask(deny, "INSERT INTO scratch VALUES (1)").rule == "r"
    assert ask(deny, "INSERT INTO a VALUES (1)").rule == "d"
    assert ask(deny, "WITH i AS (INSERT INTO scratch VALUES (1)) INSERT INTO a VALUES (1)").rule == "d"
    allow = "  - {name: r, effect: allow, unless: {functions: [app.purge]}}\n"
    assert ask(allow, "SELECT purge(), now()").answer is Answer.DENY
    assert ask(allow, "SELECT now()").answer is Answer.ALLOW


def test_unless_of_a_deny_by_column_needs_every_column() -> None:
    rules = """\
      - {name: r, effect: allow}
      - {name: d, effect: deny, tables: [a], unless: {columns: [public.a.x]}}
    """
    assert ask(rules, "SELECT x FROM a").rule == "r"
    assert ask(rules, "SELECT x, y FROM a").rule == "d"


def test_what_is_hidden_in_a_with_is_looked_at_each_time() -> None:
    found = policy("  - {name: r, effect: allow}\n  - {name: d, effect: deny, statements: [INSERT]}\n")
    sqls = ("SELECT * FROM a FOR UPDATE", "WITH i AS (INSERT INTO a VALUES (1)) SELECT * FROM b")
    assert [judge_script(found, ANN, "shop", read(sql), Circumstances(NOON)).rule for sql in sqls] == ["r", "d"]


def test_a_table_read_beside_a_write_need_not_be_writable() -> None:
    rules = """\
      - {name: w, effect: allow, statements: [write], tables: [a]}
      - {name: r, effect: allow, statements: [read], tables: [a, b]}
    """
    assert ask(rules, "DELETE FROM a USING b WHERE a.x = b.x").answer is Answer.ALLOW
    assert ask(rules, "DELETE FROM b USING a WHERE a.x = b.x").answer is Answer.DENY


def test_of_several_statements_the_hold_with_most_approvals_speaks() -> None:
    rules = """\
      - {name: one, effect: hold, statements: [write], reviewers: dba}
      - {name: two, effect: hold, statements: [ddl], reviewers: two}
    """
    assert ask(rules, "INSERT INTO a VALUES (1); DROP TABLE a").rule == "two"
    assert ask(rules, "DROP TABLE a; INSERT INTO a VALUES (1)").rule == "two"


def test_unless_may_ask_who_and_when() -> None:
    rules = """\
      - {name: r, effect: allow}
      - {name: night, effect: deny, statements: [write], unless: {groups: [oncall]}}
      - {name: off, effect: deny, statements: [read], unless: {hours: {tz: UTC, from: '08:00', to: '18:00'}}}
    """
    assert ask(rules, "INSERT INTO a VALUES (1)").rule == "night"
    assert ask(rules, "INSERT INTO a VALUES (1)", person("oncall")).rule == "r"
    assert ask(rules, "SELECT 1").rule == "r"
    assert ask(rules, "SELECT 1", now=NOON + 12 * 3600).rule == "off"


def test_users_are_compared_without_case_and_by_e_mail_too() -> None:
    rules = "  - {name: r, effect: allow, users: [Ann@Example.com], groups: [dba]}\n"
    assert ask(rules, "SELECT 1", person(user="ann@example.com")).answer is Answer.ALLOW
    assert ask(rules, "SELECT 1", person(user="a", email="ANN@example.com")).answer is Answer.ALLOW
    assert ask(rules, "SELECT 1", person("dba", user="b")).answer is Answer.ALLOW
    assert ask(rules, "SELECT 1", person(user="b")).answer is Answer.DENY


def test_what_was_not_read_is_opaque() -> None:
    big = Script("...", (), too_big=True, facts={"reason": "the text is longer than 8192 bytes"})
    verdict = judge_script(policy(PAGE), ANN, "shop", big, Circumstances(NOON))
    assert (verdict.answer, verdict.rule) == (Answer.HOLD, "writes")
    assert "longer than 8192" in verdict.reason
    only_reads = policy("  - {name: r, effect: allow, statements: [read]}\n")
    verdict = judge_script(only_reads, ANN, "shop", read("selec"), Circumstances(NOON))
    assert verdict.answer is Answer.DENY
    assert "syntax error" in verdict.reason


def test_a_statement_without_classes_is_opaque() -> None:
    verdict = judge(
        policy("  - {name: r, effect: allow, statements: [read]}\n"),
        ANN,
        "shop",
        Statement("", "X", frozenset()),
        Circumstances(NOON),
    )
    assert verdict.answer is Answer.DENY


def test_may_connect() -> None:
    found = policy(
        """\
      - {name: r, effect: allow, groups: [engineering], targets: [shop], hours: {tz: UTC, from: '08:00', to: '18:00'}}
      - {name: w, effect: hold, groups: [agents], targets: {environment: test}, reviewers: dba}
      - {name: n, effect: allow, groups: [ops], client_networks: [10.0.0.0/8], applications: [psql]}
      - {name: x, effect: allow, groups: [left], unless: {groups: [left]}}
      - {name: d, effect: deny, groups: [sales]}
    """
    )
    assert may_connect(found, ANN, "shop")
    assert not may_connect(found, ANN, "lab")
    assert not may_connect(found, ANN, "nowhere")
    assert not may_connect(policy("  - {name: r, effect: allow}\n"), ANN, "nowhere")
    assert may_connect(found, person("agents"), "lab")
    assert may_connect(found, person("ops"), "lab")
    assert not may_connect(found, person("left"), "shop")
    assert not may_connect(found, person("sales"), "shop")


def test_sees_clear() -> None:
    found = load(HEAD + PAGE + "masking: {clear_for: {groups: [fraud], users: [eve@example.com]}}\n")
    assert sees_clear(found, person("fraud"))
    assert sees_clear(found, person(user="eve@example.com"))
    assert not sees_clear(found, ANN)
    assert not sees_clear(policy(PAGE), person("fraud"))


def test_rules_for_a_session_are_those_that_can_match() -> None:
    names = [rule.name for rule in rules_for(policy(PAGE), person("sales"), "shop", "psql", "10.0.0.1")]
    assert names == ["no where"]


def test_two_policies_are_never_mixed_up() -> None:
    allow, deny = policy("  - {name: r, effect: allow}\n"), policy("  - {name: r, effect: deny}\n")
    statement = read("SELECT 1").statements[0]
    answers = [judge(each, ANN, "shop", statement, Circumstances(NOON)).answer for each in (allow, deny, allow)]
    assert answers == [Answer.ALLOW, Answer.DENY, Answer.ALLOW]


def test_explained_says_of_each_rule_what_it_missed() -> None:
    statement = read("DELETE FROM a WHERE x = 1").statements[0]
    found = judge_explained(policy(PAGE), ANN, "shop", statement, Circumstances(NOON))
    assert found.answer is Answer.HOLD
    assert found.tried == (
        "reads (allow): not: statements",
        "writes (hold): matched",
        "no where (deny): not: where",
    )
    assert (
        judge_explained(policy(PAGE), person("sales"), "shop", statement, Circumstances(NOON))
        .tried[0]
        .endswith("not: groups")
    )
