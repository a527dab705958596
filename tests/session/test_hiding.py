"""What is masked of a result (by lineage, and the origin that the target names), told of a statement, and refused."""

import pytest

from gateway.session.judging import Judge
from gateway.wire.backend import Column
from gateway.wire.frontend import message, query
from tests.judged import (
    CARD,
    CLEAR,
    CUSTOMERS,
    ELSEWHERE,
    LOOSE,
    MASKED,
    NAME,
    REDACTED,
    column,
    masking_judge,
    shown,
    statement,
)
from tests.playbook import Playbook, columns, complete, error, ready


@pytest.fixture
def judge() -> Judge:
    return masking_judge()


@pytest.mark.parametrize(
    ("sql", "described", "expected"),
    [
        ("SELECT name FROM customers", column("name", CUSTOMERS, NAME), CLEAR),
        ("SELECT card_number FROM customers", column("card_number", CUSTOMERS, CARD), REDACTED),
        ("SELECT lower(card_number) FROM customers", column("lower"), REDACTED),
        ("SELECT lower(name) FROM customers", column("lower"), CLEAR),
        ("SELECT 'still connected'", column("?column?"), CLEAR),
        ("SELECT evil(name) FROM customers", column("evil"), REDACTED),
        ("SELECT name FROM customers", column("name", ELSEWHERE, 1), REDACTED),
        ("SELECT customer FROM orders", column("customer", CUSTOMERS, CARD), REDACTED),
        ("SELECT customer FROM orders", column("customer", CUSTOMERS, NAME), REDACTED),
        ("SELECT ctid FROM customers", column("ctid", CUSTOMERS, -1), CLEAR),
        ("SELECT name FROM nowhere", column("name"), REDACTED),
    ],
)
def test_one_column(judge: Judge, sql: str, described: Column, expected: bytes) -> None:
    assert shown(judge, sql, described) == expected


def test_a_preview_may_say_where_a_value_will_be(judge: Judge) -> None:
    described, stored = column("a"), column("a", CUSTOMERS, NAME)
    said = statement(judge, "SELECT 'new' AS a")
    assert judge.hiding.masker(said, [stored], (), [described]) is None
    secret = judge.hiding.masker(said, [column("a", CUSTOMERS, CARD)], (), [described])
    assert secret is not None
    assert secret.rows(CLEAR) == REDACTED


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT id FROM customers WHERE card_number = 'abc'", "SELECT id FROM customers WHERE card_number = '[redacted]'"),
        ("SELECT id FROM customers WHERE id = 4 AND lower(card_number) LIKE 'ab%' AND name = 'x'",
         "SELECT id FROM customers WHERE id = 4 AND lower(card_number) LIKE '[redacted]' AND name = 'x'"),
        ("DELETE FROM customers WHERE card_number IN ('é', E'b', $$c$$, 5)",
         "DELETE FROM customers WHERE card_number IN ('[redacted]', '[redacted]', '[redacted]', '[redacted]')"),
        ("UPDATE customers SET card_number = 'abc', name = 'n' WHERE id = 1",
         "UPDATE customers SET card_number = '[redacted]', name = 'n' WHERE id = 1"),
        ("INSERT INTO customers VALUES (1, 'n', 'abc'), (2, 'm', 'def')",
         "INSERT INTO customers VALUES (1, 'n', '[redacted]'), (2, 'm', '[redacted]')"),
        ("INSERT INTO customers (card_number, id) VALUES ('abc', 1)", "INSERT INTO customers (card_number, id) VALUES ('[redacted]', 1)"),
        ("SELECT CASE WHEN card_number > '45' THEN 1 END FROM customers", "SELECT CASE WHEN card_number > '[redacted]' THEN 1 END FROM customers"),
        ("SELECT name FROM customers WHERE name = 'abc'", "SELECT name FROM customers WHERE name = 'abc'"),
    ],
)  # fmt: skip
def test_constants_beside_a_protected_column_are_not_told(judge: Judge, sql: str, told: str) -> None:
    assert judge.hiding.told(statement(judge, sql), None) == (told, None)


def test_values_beside_a_protected_column_are_not_told(judge: Judge) -> None:
    sql = "UPDATE customers SET card_number = $2, name = $1 WHERE id = $3"
    assert judge.hiding.told(statement(judge, sql), ("n", "abc", None)) == (sql, ("n", "[redacted]", None))


@pytest.mark.parametrize("sql", ["UPDATE customers SET card_number = '[redacted]' WHERE id = 1", "INSERT INTO orders VALUES (1, '**** **** **** 4295')"])  # fmt: skip
def test_a_write_that_holds_a_placeholder_is_refused_with_a_hint(judge: Judge, sql: str) -> None:
    refusal = judge.hiding.masked_write([statement(judge, sql)], None)
    assert refusal is not None
    assert "stands for a value that was masked" in refusal.message


def test_values_are_looked_at_too_and_reads_are_not(judge: Judge) -> None:
    update = statement(judge, "UPDATE customers SET card_number = $1 WHERE id = 1")
    assert judge.hiding.masked_write([update], ("hash:0123456789abcdef",)) is not None
    assert judge.hiding.masked_write([update], ("real",)) is None
    assert judge.hiding.masked_write([statement(judge, "SELECT '[redacted]' FROM customers")], ("[redacted]",)) is None


def test_the_client_is_told_what_was_wrong_with_its_placeholder() -> None:
    play = Playbook(MASKED)
    lines = play.client(query("UPDATE customers SET card_number = '****1234' WHERE id = 1"))
    assert lines[0] == "record refused"
    play.target(error("42601", 'syntax error at or near "\x01"'), ready("I"))
    assert b"****1234, which stands for a value that was masked" in play.to_client()


@pytest.mark.parametrize("name", ["application_name", "search_path", "TimeZone"])
def test_a_setting_that_may_hold_a_protected_value_is_not_reported(name: str) -> None:
    play = Playbook(MASKED)
    said = message(b"S", name.encode() + b"\0secret\0")
    play.client(query("SELECT card_number FROM customers"))
    play.target(columns("card_number"), complete("SELECT 0"), said, ready("I"))
    assert b"secret" not in play.to_client()
    play.client(query("SELECT 1"))
    play.target(columns("x"), complete("SELECT 0"), said, ready("I"))
    assert b"secret" in play.to_client()


def test_an_error_of_opaque_code_is_withheld_and_a_syntax_error_is_not() -> None:
    play = Playbook(LOOSE)
    play.client(query("DO 'x'"))
    play.target(error("22P02", "invalid input: secret"), ready("I"))
    assert b"secret" not in play.to_client()
    assert b"withheld" in play.to_client()
