"""`/hoop policy explain` and `show` against a real policy: the verdict, whose rules are shown, on which target."""

from dataclasses import replace

import pytest

from bots.answers import Answer, Viewer
from bots.explaining import Explaining, split
from gateway.approvals.request import Person
from gateway.policy.model import Target, load
from gateway.sql.catalog import Cascade, Catalog
from tests.bots.samples import NOW, person
from tests.playbook import catalog

POLICY = """
version: 1
issuers: [{issuer: "https://issuer.example", audience: hoop}]
targets:
  shop: {environment: production, host: db.test, port: 5432, database: shop, sslmode: disable, user: hoop, password: {env: X}}
  books: {environment: staging, host: db.test, port: 5432, database: books, sslmode: disable, user: hoop, password: {env: X}}
  vault: {environment: production, host: db.test, port: 5432, database: vault, sslmode: disable, user: hoop, password: {env: X}}
reviewers:
  dba: {groups: [dba], users: [olga@example.com], channels: ["slack:C1"]}
rules:
  - {name: reads, effect: allow, groups: [engineering, support], targets: [shop, books], statements: [read]}
  - {name: writes wait, effect: hold, groups: [engineering], targets: [shop, books], statements: [write, ddl], reviewers: dba}
  - {name: no drop, effect: deny, groups: [engineering], targets: [shop], statements: ["DROP TABLE"], message: never drop, hours: {tz: Europe/Berlin, days: mon-fri, from: "08:00", to: "18:00"}}
  - {name: many wait, effect: hold, groups: [engineering], targets: [shop, books], statements: [UPDATE], rows: ">1000", reviewers: dba}
  - {name: the vault, effect: allow, users: [olga@example.com], targets: [vault]}
  - {name: support reads shop, effect: allow, groups: [support], targets: [shop], statements: [read]}
"""

ANN, SUE, OLGA = person("ann", "engineering"), person("sue", "support"), person("olga", "audit")


async def known(_target: Target) -> Catalog | None:
    return catalog()


async def unknown(_target: Target) -> Catalog | None:
    return None


async def ask(text: str, who: Person = ANN, *, offline: bool = False) -> Answer:
    explaining = Explaining(
        lambda: load(POLICY),
        unknown if offline else known,
        auditor=lambda one: "audit" in one.groups,
        clock=lambda: NOW,
    )
    return await explaining.answer(text, Viewer(who, "slack"))


async def test_a_hold_says_why_and_who_would_be_asked() -> None:
    answer = await ask("explain DELETE FROM orders WHERE id = 7 on shop")
    assert answer.title == 'Held by rule "writes wait"'
    assert answer.lines == (
        "For ann@example.com on shop (production)",
        'Why: rule "writes wait" asks for 1 approval of dba',
        "Waits for 1 approval of dba (group dba or olga@example.com), asked in slack:C1, at most 10 min",
        "Classes: write",
        "Reads: public.orders",
        "Writes: public.orders",
    )
    assert answer.code == "DELETE FROM orders WHERE id = 7"
    assert answer.footer == "A dry run: nothing of it was sent to the database."


async def test_a_denial_is_told_as_the_client_would_be() -> None:
    answer = await ask("explain drop table orders on shop")
    assert answer.title == 'Denied by rule "no drop"'
    assert "You would be told: never drop" in answer.lines
    assert "A rule asks for the hour: at another time the answer may differ." in answer.lines


async def test_what_no_rule_allows_is_denied() -> None:
    answer = await ask("explain DELETE FROM orders", SUE)
    assert answer.title == "On which target?"
    assert (await ask("explain DELETE FROM orders on shop", SUE)).title.startswith("Denied: ")
    assert (await ask("explain BEGIN on shop", SUE)).title == "Allowed: housekeeping"


async def test_several_statements_each_have_a_row() -> None:
    answer = await ask("explain SELECT 1; UPDATE orders SET id = 1 on shop")
    assert answer.title == 'Held by rule "writes wait"'
    assert answer.table is not None
    assert [[cell.text for cell in row] for row in answer.table.rows] == [
        ["1", "SELECT", "read", 'allowed by "reads"'],
        ["2", "UPDATE", "write", 'held by "writes wait"'],
    ]
    assert any("the strict answer" in each for each in answer.lines)


@pytest.mark.parametrize("target", ["vault", "nowhere"])
async def test_a_target_that_is_not_theirs_and_one_that_is_not_there_get_one_text(target: str) -> None:
    answer = await ask(f"explain SELECT 1 on {target}")
    assert answer.title == f"No target {target} that you may use"
    assert answer.lines[0] == "You may use: shop, books."


async def test_the_only_target_need_not_be_named() -> None:
    assert (await ask("explain SELECT 1", OLGA)).lines[0] == "For olga@example.com on vault (production)"


async def test_somebody_without_groups_is_told_why() -> None:
    stranger = Person("", "", "dan@example.com", "dan@example.com", frozenset())
    answer = await ask("explain SELECT 1", stranger)
    assert answer.title == "You may use no target"
    assert "no sign-in of dan@example.com" in answer.lines[0]
    assert (await ask("explain SELECT 1 on shop", person("dba", "dba"))).lines == (
        "No rule lets you connect to any, so each statement of yours is refused at login.",
    )


async def test_tables_that_foreign_keys_change_are_listed() -> None:
    async def cascading(_target: Target) -> Catalog | None:
        there = catalog()
        orders = there.relations["public", "orders"]
        passes = Cascade(("public", "customers"), ("id",), deletes=True, updates=False)
        return replace(there, relations={**there.relations, ("public", "orders"): replace(orders, cascades=(passes,))})

    explaining = Explaining(lambda: load(POLICY), cascading, auditor=lambda _: False, clock=lambda: NOW)
    answer = await explaining.answer("explain DELETE FROM orders WHERE id = 7 on shop", Viewer(ANN, "slack"))
    assert "Changed too, by foreign keys or triggers: public.customers" in answer.lines


async def test_without_a_catalog_it_says_so() -> None:
    assert (
        "The target's catalog could not be read: this goes by the text alone."
        in (await ask("explain SELECT 1 on shop", offline=True)).lines
    )


async def test_a_text_that_is_no_sql() -> None:
    answer = await ask("explain SELEC 1 on shop")
    assert "It can't be parsed here: the database's own parser would be asked first." in answer.lines
    for text in ("explain SELECT 'a\0' on shop", "explain SELECT 'a\0'"):
        assert (await ask(text)).title == "This can't be explained"


async def test_sql_of_several_lines() -> None:
    answer = await ask("explain\nDELETE\nFROM orders\non shop")
    assert (answer.title, answer.code) == ('Held by rule "writes wait"', "DELETE\nFROM orders")


async def test_sql_is_shown_as_it_is_and_cut() -> None:
    assert (await ask("explain SELECT '\u202e<!channel>' on shop")).code == "SELECT '[U+202E]<!channel>'"
    assert len((await ask(f"explain SELECT '{'x' * 5000}' on shop")).code) < 1300


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1 on shop", ("SELECT 1", "shop")),
        ("SELECT 1 ON shop ", ("SELECT 1", "shop")),
        ("SELECT * FROM a JOIN b ON shop", ("SELECT * FROM a JOIN b ON shop", "")),
        ("SELECT * FROM a JOIN b ON true on shop", ("SELECT * FROM a JOIN b ON true", "shop")),
        ("SELECT 1", ("SELECT 1", "")),
    ],
)
def test_the_target_stands_behind_the_sql(text: str, parts: tuple[str, str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize("text", ["", "explain", "explain  ", "nonsense"])
async def test_anything_else_gets_help(text: str) -> None:
    assert (await ask(text)).lines[0].startswith("/hoop policy explain SQL [on TARGET]")


async def test_rules_are_shown_to_those_whom_they_concern() -> None:
    async def names(who: Person) -> list[str]:
        table = (await ask("show", who)).table
        return [] if table is None else [row[0].text for row in table.rows]

    assert await names(ANN) == ["reads", "writes wait", "no drop", "many wait"]
    assert await names(SUE) == ["reads", "support reads shop"]
    assert len(await names(OLGA)) == 6
    assert await names(person("dan")) == []
    assert (await ask("show the vault", ANN)).title == "No rule the vault that may concern you"
    assert (await ask('show "the vault"', OLGA)).title == 'Rule "the vault": allow'
    assert (await ask("show raeds", ANN)).lines == ('Did you mean "reads"?',)


async def test_whom_else_a_rule_is_about_is_for_auditors() -> None:
    assert (await ask("show reads", ANN)).lines == ("targets: books, shop", "classes: read")
    assert (await ask("show reads", OLGA)).lines[0] == "groups: engineering, support"
    assert (await ask("show no drop", ANN)).lines == (
        "targets: shop",
        "tags: DROP TABLE",
        "hours: mon, tue, wed, thu, fri from 08:00 to 18:00 Europe/Berlin",
        "The client is told: never drop",
    )
    assert (await ask("show many wait", ANN)).lines[2] == "rows: >1000"
