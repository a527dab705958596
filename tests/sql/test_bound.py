"""A statement read again with what set_config() is bound with says as much as one with literals."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.sql.bound import read_bound
from gateway.sql.parse import read
from gateway.sql.statement import Statement, StatementClass

Values = Mapping[int, str | None]


def bound(sql: str, values: Values) -> Statement:
    found = read_bound(sql, values)
    assert found is not None
    return found


def one(sql: str) -> Statement:
    return read(sql).statements[0]


@pytest.mark.parametrize(
    ("sql", "values", "literally"),
    [
        ("SELECT set_config($1, 'on', false)", {1: "Jit"}, "SELECT set_config('Jit', 'on', false)"),
        ("SELECT set_config($1, $2, $3)", {1: "role", 2: "admin"}, "SELECT set_config('role', 'admin', $3)"),
        ("SELECT pg_catalog.set_config($1, $1, true)", {1: "jit"}, "SELECT pg_catalog.set_config('jit', 'jit', true)"),
        ("SELECT set_config('client_encoding', $1, true)", {1: "utf-8"}, "SELECT set_config('client_encoding', 'utf-8', true)"),
        ("SELECT set_config($2, $1, true)", {1: None, 2: "search_path"}, "SELECT set_config('search_path', NULL, true)"),
        ("SELECT set_config($1, $2, false) FROM t WHERE f($3)", {1: "x.y", 2: "'; --", 3: "x"}, "SELECT set_config('x.y', '''; --', false) FROM t WHERE f($3)"),
        ("SELECT set_config($1, set_config($2, $3, true), true)", {1: "jit", 2: "role", 3: "a"}, "SELECT set_config('jit', set_config('role', 'a', true), true)"),
    ],
)  # fmt: skip
def test_values_say_as_much_as_literals(sql: str, values: Values, literally: str) -> None:
    found = bound(sql, values)
    assert found.sql == sql
    assert replace(found, sql="", configures=()) == replace(one(literally), sql="", configures=(), fingerprint="")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT set_config($1, 'off', false), $1::bpchar",
        "SELECT set_config($1::bpchar, 'off', false)",
        "SELECT set_config('x' || $1, 'off', false)",
        "SELECT set_config($1, 'off', false) FROM t WHERE name = $1",
        "SELECT set_config(lower($1), 'off', false)",
        "SELECT other.set_config($1, 'off', false), set_config($1, 'off', false)",
    ],
)
def test_a_parameter_that_may_have_another_type_stays_one(sql: str) -> None:
    """Cast to bpchar it would lose its blanks: `search_path ` would be search_path to the target, and not to us."""
    assert bound(sql, {1: "jit"}).classes >= {StatementClass.OPAQUE}


def test_a_value_that_is_not_known_stays_opaque() -> None:
    assert StatementClass.OPAQUE in bound("SELECT set_config($1, $2, false)", {2: "off"}).classes


@pytest.mark.parametrize(
    "sql", ["SELECT 1; SELECT set_config($1, 'on', false)", "SELEC", "SELECT " + "1 + " * 9000 + "1"]
)
def test_other_texts_are_not_read_again(sql: str) -> None:
    assert read_bound(sql, {1: "jit"}) is None
