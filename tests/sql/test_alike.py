"""Which texts are the same but for their constants, and which only look so."""

import pytest

from gateway.sql.alike import alike

DELETE = "DELETE FROM customers WHERE id = 7 AND name = 'x'"


@pytest.mark.parametrize(
    "other",
    [
        "DELETE FROM customers WHERE id = 8 AND name = 'y'",
        "delete  from customers\nwhere id=9 and name = E'z' -- again",
        "/* reason: tidy up */ DELETE FROM customers WHERE id = 7 AND name = $$x$$",
    ],
)
def test_constants_and_layout_are_left_out(other: str) -> None:
    assert alike(other) == alike(DELETE) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DELETE FROM prod.t WHERE a = 1", "DELETE FROM staging.t WHERE a = 1"),
        ("DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE a IN (1)"),
        ("DELETE FROM t WHERE a IN (1)", "DELETE FROM t WHERE a IN (1, 2)"),
        ("DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE b = 1"),
        ("DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE a = '1'"),
        ("DELETE FROM t WHERE a = 1", "DELETE FROM t"),
        ("DELETE FROM t WHERE true", "DELETE FROM t WHERE false"),
        ("SELECT id, name FROM t", "SELECT name, id FROM t"),
        ("SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 100"),
        ("UPDATE t SET a = 1", "UPDATE t SET a = NULL"),
        ("DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE a = $1"),
    ],
)
def test_everything_else_stays(one: str, other: str) -> None:
    assert alike(one) is not None
    assert alike(one) != alike(other)


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE t",
        "TRUNCATE t",
        "DO $$ BEGIN END $$",
        "SELECT nextval('a')",
        "INSERT INTO t VALUES (pg_catalog.setval('a', 1))",
        "DELETE FROM t; DELETE FROM t",
        "DELETE FROM",
        "",
        f"SELECT '{'x' * 9000}'",
    ],
)
def test_what_has_none(text: str) -> None:
    assert alike(text) is None
