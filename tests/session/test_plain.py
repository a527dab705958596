"""Which texts are plain reads, and how many of them are remembered. What is done with them: test_shortway.py."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.session.plain import KEPT, PlainReads, is_plain
from gateway.sql.parse import MAX_BYTES, read
from gateway.sql.statement import Control, StatementClass
from gateway.wire.frontend import query
from tests.playbook import POLICY, Playbook


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SELECT a FROM t WHERE b = 'x'",
        "WITH q AS (SELECT 1) SELECT * FROM q",
        "SELECT a FROM t;",
        "VALUES (1)",
        "SELECT a FROM t FOR UPDATE",
        "SELECT a FROM t WHERE b = 1 ORDER BY c LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
        "SELECT nextval('s')",
        "SELECT pg_advisory_xact_lock(1)",
        "SET LOCAL app.tenant = '7'",
        "SET work_mem = 1",
        "RESET statement_timeout",
        "SELECT set_config('app.tenant', $1, true)",
        "SHOW transaction_isolation",
        "show server_version",
        "RESET ALL",
        "CLOSE ALL;",
        "UNLISTEN *",
        "unlisten c",
    ],
)
def test_a_select_is_plain(text: str) -> None:
    assert is_plain(read(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1; SELECT 2",
        "SHOW transaction_read_only",
        "SHOW Default_Transaction_Read_Only",
        "SHOW ALL",
        "SHOW app.tenant",
        "BEGIN",
        "SET application_name = 'x'",
        "SET LOCAL search_path = a",
        "SET default_transaction_read_only = on",
        "SET hoop.reason = 'x'",
        "RESET search_path",
        "CLOSE c",
        "DISCARD ALL",
        "SELECT set_config('search_path', 'a', false)",
        "SELECT set_config($1, 'a', false)",
        "SELECT current_setting('work_mem')",
        "SELECT a INTO b FROM t",
        "WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d",
        "EXPLAIN SELECT 1",
        "COPY t TO STDOUT",
        "DECLARE c CURSOR FOR SELECT 1",
        "EXECUTE p",
        "/* reason: x */ SELECT 1",
        "SELECT FROM WHERE",
        "SELECT '" + "x" * MAX_BYTES + "'",
    ],
)
def test_other_texts_are_not(text: str) -> None:
    assert not is_plain(read(text))


@pytest.mark.parametrize(
    "more",
    [
        {"unsettles": True},
        {"guarded": True},
        {"uncertain": True},
        {"temporary": True},
        {"unresolved": ("t",)},
        {"inner_tags": ("DELETE",)},
        {"settings": (("search_path", "x"),)},
        {"configures": (1,)},
        {"settings": (("app.tenant", "x"), ("role", "y")), "configures": (1,)},
        {"spreads": (("a", "b"),)},
        {"untraced": True},
        {"control": Control.BEGIN},
        {"classes": frozenset({StatementClass.WRITE, StatementClass.OPAQUE})},
        {"classes": frozenset({StatementClass.WRITE, StatementClass.DDL})},
    ],
    ids=", ".join,
)
def test_nor_is_a_write_that_concerns_more_than_its_own_rows(more: dict[str, Any]) -> None:
    script = read("UPDATE t SET a = 1")
    assert is_plain(script)
    assert not is_plain(replace(script, statements=(replace(script.statements[0], **more),)))


def reads(policy: str = POLICY) -> PlainReads:
    found = PlainReads(Playbook(policy).session.talk)
    found.refresh()
    return found


def test_a_text_is_known_again() -> None:
    known = reads()
    message = query("SELECT name FROM customers WHERE lower(name) = 'ann'")
    assert known.query(message) is known.query(message) is not None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SELECT name FROM customers WHERE id = {}", ("1", "20")),
        ("SELECT name FROM customers WHERE name = {} LIMIT 5", ("'Ann'", "'Zoë; DROP TABLE -- x'")),
        ("SELECT name FROM customers WHERE name IN ({}, 'x')" + " " * 6000, ("'Ann'", "'O''Neill'")),
    ],
)
def test_texts_of_one_shape_are_one(text: str, values: tuple[str, str]) -> None:
    known = reads()
    texts = tuple(text.format(value) for value in values)
    one, two = (known.query(query(each)) for each in texts)
    assert one is not None
    assert two is not None
    assert one.plain is two.plain
    assert (one.sql, two.sql) == tuple(json.dumps(each.strip(), ensure_ascii=False).encode() for each in texts)


def test_the_constants_of_each_text_are_looked_at() -> None:
    """A text of a known shape may hold a secret where the first held none."""
    known = reads(POLICY + "masking: {detect: [card]}\n")
    for value in ("Ann", "4111 1111 1111 1111"):
        found = known.query(query(f"SELECT name FROM customers WHERE name = '{value}'"))
        assert found is not None
        assert (b"Ann" in found.sql) is (value == "Ann")
        assert b"4111 1111" not in found.sql


def test_a_string_that_is_no_text_is_not_known() -> None:
    known = reads()
    assert known.query(query("SELECT name FROM customers WHERE name = 'Ann'")) is not None
    assert known.query(query("SELECT name FROM customers WHERE name = 'A??'").replace(b"??", b"\xc3\x28")) is None


def test_a_shape_that_is_not_free_is_told_apart() -> None:
    known = reads()
    one, two = (known.query(query(f"SELECT name FROM customers ORDER BY {number}")) for number in (1, 2))
    assert one is not None
    assert two is not None
    assert one.plain is not two.plain


@pytest.mark.parametrize("text", ["SELECT name FROM customers WHERE name = '{}'", "SELECT x{} FROM customers"])
def test_only_so_many_are_remembered(text: str) -> None:
    known = reads()
    for number in range(3 * KEPT):
        known.query(query(text.format(number)))
    assert len(known._queries) <= KEPT
    assert len(known._forms) <= KEPT


def test_what_no_rule_allows_is_not_known() -> None:
    assert (
        reads(POLICY.replace("effect: allow, statements: [read]", "effect: deny, statements: [read]")).query(
            query("SELECT name FROM customers")
        )
        is None
    )


def test_another_application_is_judged_anew() -> None:
    known = reads()
    message = query("SELECT name FROM customers")
    before = known.query(message)
    known._talk.judge.agent = "another"
    known.refresh()
    assert known.query(message) is not before
