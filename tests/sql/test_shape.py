"""Which numbers of a text may be others without making a difference: a table, and the judgement itself as the oracle."""

import re
from dataclasses import replace

import pytest

from gateway.sql.parse import read
from gateway.sql.shape import constants_are_free, is_all_numbers, outline, shape
from gateway.sql.statement import Statement

FREE = [
    "SELECT a FROM t WHERE b = 7",
    "SELECT a FROM t WHERE 7 < b",
    "SELECT a FROM t WHERE b <> 1 AND c >= 22 OR NOT d <= 333",
    "SELECT a FROM t WHERE b IN (1, 2, 3)",
    "SELECT a FROM t WHERE b IN (1, c)",
    "SELECT a FROM t WHERE b BETWEEN 1 AND 500000000",
    "SELECT b = 5 FROM t",
    "SELECT t1.a FROM t1 JOIN t2 ON t1.x = 3 WHERE t2.y > 4;",
    "SELECT a FROM t WHERE b = (SELECT max(c) FROM u WHERE d = 9)",
    "SELECT a FROM t",
    "SELECT a FROM t WHERE b = 1.5 AND c = 12345678901",
    "SELECT a FROM t WHERE b = -1 AND c > - 22.5",
    "SELECT a FROM t WHERE b = 'x' AND c NOT IN ('it''s', 'é', '') AND d LIKE '%/*--$$%' AND e ILIKE 'x'",
    "SELECT a FROM t WHERE b = 1 LIMIT 5 OFFSET 10",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (-2, NULL), (3.5, '2026-11-27'::date), (4, DEFAULT)",
    "INSERT INTO t (a, b) VALUES (1, date '2026-11-27') ON CONFLICT (a) DO UPDATE SET b = 'x' WHERE t.a < 7",
    "UPDATE t SET a = 1, b = 'x'::text WHERE c = 'y' AND d BETWEEN 1 AND 2 RETURNING a",
    "UPDATE t SET a = a + 1, b = 2 * c, d = d / 1.5, e = e - -3 WHERE f = 4",
    "DELETE FROM t WHERE a = 'x' AND b > 5",
]
#: The last of each pair is the same text with other numbers: it says something else, or might.
BOUND = [
    ("SELECT 1", "SELECT 2"),
    ("SELECT a FROM t ORDER BY 1", "SELECT a FROM t ORDER BY 2"),
    ("SELECT a FROM t GROUP BY 1", "SELECT a FROM t GROUP BY 2"),
    ("SELECT a FROM t WHERE b = 1 LIMIT\n1", "SELECT a FROM t WHERE b = 1 LIMIT\n100000000"),
    ("SELECT a FROM t OFFSET 3 FETCH FIRST 5 ROWS ONLY", "SELECT a FROM t OFFSET 3 FETCH FIRST 9 ROWS ONLY"),
    ("SELECT to_jsonb(c)->>'name' FROM c", "SELECT to_jsonb(c)->>'card_number' FROM c"),
    ("SELECT a FROM t WHERE b->>'x' = 'y'", "SELECT a FROM t WHERE b->>'z' = 'y'"),
    ("SELECT nextval('a')", "SELECT nextval('b')"),
    ("SELECT a FROM t WHERE b = 'x'::regclass", "SELECT a FROM t WHERE b = 'y'::regclass"),
    ("SELECT a FROM t WHERE b = f('x')", "SELECT a FROM t WHERE b = f('y')"),
    ("SELECT a FROM t WHERE b = 'x'\n'y'", "SELECT a FROM t WHERE b = 'z'\n'y'"),
    ("SELECT a FROM t WHERE b LIKE 'x' ESCAPE '!'", "SELECT a FROM t WHERE b LIKE 'x' ESCAPE '?'"),
    ("SELECT set_config('work_mem', '1', false) FROM t WHERE b = 1", "SELECT set_config('role', '1', false) FROM t WHERE b = 1"),
    ("SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT query_to_xml('SELECT card', true, true, '')"),
    ("INSERT INTO t VALUES ('x' || 'y')", "INSERT INTO t VALUES ('x' || 'z')"),
    ("INSERT INTO t VALUES (f('x'))", "INSERT INTO t VALUES (f('y'))"),
    ("INSERT INTO t SELECT 'x'", "INSERT INTO t SELECT 'y'"),
    ("INSERT INTO t VALUES ('1'::numeric(5, 2))", "INSERT INTO t VALUES ('1'::numeric(9, 2))"),
    ("UPDATE t SET a = b + 1 + 1", "UPDATE t SET a = b + 2 + 1"),
    ("UPDATE t SET a = f(b) + 1", "UPDATE t SET a = f(b) + 2"),
    ("UPDATE t SET a = b - 'x'", "UPDATE t SET a = b - 'y'"),
    ("UPDATE t SET a = b || 1", "UPDATE t SET a = b || 2"),
    ("UPDATE t SET a = b OPERATOR(public.+) 1", "UPDATE t SET a = b OPERATOR(public.+) 2"),
    ("UPDATE t SET (a, b) = (b + 1, 1)", "UPDATE t SET (a, b) = (b + 1, 2)"),
    ("SELECT a + 1 FROM t", "SELECT a + 2 FROM t"),
    ("INSERT INTO t VALUES (1 + 1)", "INSERT INTO t VALUES (1 + 2)"),
    ("SET work_mem = '1'", "SET work_mem = '2'"),
    ("EXECUTE p ('x')", "EXECUTE p ('y')"),
    ("SELECT a FROM t WHERE b = f(1)", "SELECT a FROM t WHERE b = f(2)"),
    ("SELECT a[1] FROM t WHERE b = 1", "SELECT a[2] FROM t WHERE b = 1"),
    ("SELECT a::numeric(10, 2) FROM t WHERE b = 1", "SELECT a::numeric(1, 0) FROM t WHERE b = 1"),
    ("SELECT a::char(1) FROM t WHERE b = 1", "SELECT a::char(20) FROM t WHERE b = 1"),
    ("SELECT a FROM t WHERE b = 1::int8", "SELECT a FROM t WHERE b = 2::int8"),
    ("SELECT a FROM t WHERE 1 = 1", "SELECT a FROM t WHERE 1 = 2"),
    ("SELECT a FROM t WHERE b = 1 + 1", "SELECT a FROM t WHERE b = 1 + 2"),
    ("SELECT a FROM t WHERE (b, c) = (1, 2)", "SELECT a FROM t WHERE (b, c) = (2, 1)"),
    ("SELECT a FROM t WHERE b = ANY (ARRAY[1])", "SELECT a FROM t WHERE b = ANY (ARRAY[2])"),
    ("SELECT a FROM t WHERE b OPERATOR(public.=) 1", "SELECT a FROM t WHERE b OPERATOR(public.=) 2"),
    ("SELECT a FROM t WHERE b @@ 1", "SELECT a FROM t WHERE b @@ 2"),
    ("SELECT a FROM t TABLESAMPLE system (1)", "SELECT a FROM t TABLESAMPLE system (100)"),
    ("SELECT substring(a FROM 1 FOR 4) FROM t WHERE b = 1", "SELECT substring(a FROM 5 FOR 4) FROM t WHERE b = 1"),
    ("SELECT a FROM t WHERE b = 1; DELETE FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 2; DELETE FROM t WHERE b = 1"),
    ("VALUES (1)", "VALUES (2)"),
    ("SELECT sum(a) OVER (ROWS 1 PRECEDING) FROM t WHERE b = 1", "SELECT sum(a) OVER (ROWS 9 PRECEDING) FROM t WHERE b = 1"),
]  # fmt: skip
UNFIT = [
    "SELECT a FROM t WHERE b = E'x'",
    "SELECT a FROM t WHERE b = e'x' AND c = 'y'",
    "SELECT a FROM t WHERE b = U&'x' AND c = 'y'",
    "SELECT a FROM t WHERE b = N'x' AND c = B'1'",
    "SELECT a FROM t WHERE b = X'1F'",
    "SELECT a FROM t WHERE b = 'x\\' AND c = 'y'",
    "SELECT a FROM t WHERE b = 'x' -- it's",
    "SELECT a FROM t WHERE b = 'x' /* ' */ AND c = 'y'",
    "SELECT a FROM t WHERE b = 'x",
    "SELECT a FROM t WHERE b = '\x01' AND c = 'y'",
    "SELECT a FROM t WHERE b = $x$'$x$ AND c = ''",
    "SELECT é FROM t WHERE b = 'x'",
    "SELECT \"a'\" FROM t WHERE b = 'x'",
    'SELECT "a" FROM t WHERE b = 1',
    "SELECT a FROM t WHERE b = $1",
    "SELECT a FROM t WHERE b = $x$1$x$",
    "SELECT a FROM t -- 1",
    "SELECT a /* 1 */ FROM t",
    "SELECT a FROM t WHERE b = E\\1",
    "SELECT é5 FROM t",
]


def _read(text: str) -> list[Statement]:
    return [*read(text).statements]


@pytest.mark.parametrize("text", FREE)
def test_numbers_that_a_column_is_compared_with_are_free(text: str) -> None:
    assert constants_are_free(text)
    other = re.sub(r"(?<![\w.'])(?<!LIMIT )(?<!OFFSET )\d{1,9}(?![\w.])", "987", text).replace("x'", "x''y'")
    assert shape(other.encode()) == shape(text.encode())
    [one], [two] = _read(text), _read(other)
    assert two == replace(one, sql=two.sql)


@pytest.mark.parametrize(("text", "other"), BOUND)
def test_other_numbers_are_not(text: str, other: str) -> None:
    assert shape(text.encode()) == shape(other.encode())
    assert not constants_are_free(text)
    assert not constants_are_free(other)


@pytest.mark.parametrize("text", UNFIT)
def test_some_texts_have_no_shape(text: str) -> None:
    assert shape(text.encode()) is None
    assert not constants_are_free(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t1 WHERE b = 1", "SELECT a FROM t2 WHERE b = 1"),
        ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 1.0"),
        ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 1234567890"),
        ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 0x1"),
        ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 1e1"),
        ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 1_0"),
        ("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b IN (1, 2)"),
        ("SELECT a FROM t WHERE b = 1", "SELECT A FROM t WHERE b = 1"),
        ("SELECT a, b FROM t WHERE b = 1", "SELECT b, a FROM t WHERE b = 1"),
        ("SELECT a FROM t WHERE b = 1 LIMIT 1", "SELECT a FROM t WHERE b = 1 LIMIT 2"),
        ("SELECT a FROM t WHERE b = 1 offset 1", "SELECT a FROM t WHERE b = 1 offset 2"),
        ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = '1'"),
        ("SELECT a FROM t WHERE b = NULL", "SELECT a FROM t WHERE b = 'x'"),
        ("SELECT a FROM t WHERE b = '1'", "SELECT a FROM t WHERE b = '1' OR true"),
    ],
)
def test_these_are_of_two_shapes(one: str, other: str) -> None:
    assert shape(one.encode()) != shape(other.encode())


@pytest.mark.parametrize("text", [*FREE, *(one for one, _ in BOUND), *UNFIT])
def test_texts_of_one_outline_are_of_one_shape(text: str) -> None:
    """Where all digits are numbers: any other digits in their places."""
    raw = text.encode()
    if is_all_numbers(raw):
        for digit in b"123456789":
            other = re.sub(rb"\d", bytes([digit]), raw)
            assert outline(other) == outline(raw)
            assert shape(other) == shape(raw) is not None


@pytest.mark.parametrize(
    "text",
    ["SELECT a FROM t1 WHERE b = 1", "SELECT 1.5", "SELECT 1e5", "SELECT 0x1F", "SELECT 1234567890", "SELECT '1'"],
)
def test_a_digit_that_is_no_number_has_no_outline(text: str) -> None:
    assert not is_all_numbers(text.encode())
