"""Expressions without a server: what reveals nothing, and what can't be known. Against PostgreSQL itself: test_lineage.py."""

from dataclasses import replace

import pytest

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.frames import HIDDEN, UNKNOWN
from gateway.sql.lineage import Lineages, Lines, lineage

CARDS = Relation(1, "public", "cards", "r", {"id": 1, "card": 2})
CATALOG = Catalog(
    1, 180000, {("public", "cards"): CARDS}, frozenset(), frozenset({"mine"}), user_types=frozenset({"odd"})
)


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW search_path",
        "SELECT current_setting('work_mem')",
        "SELECT s.setting FROM pg_settings s",
        "SELECT timeofday()",
        "SELECT to_char(now(), 'HH24 TZ')",
        "EXPLAIN (SETTINGS) SELECT 1",
    ],
)
def test_what_tells_of_a_setting_is_doubted_where_settings_are(sql: str) -> None:
    settings = Relation(2, "pg_catalog", "pg_settings", "v", {"name": 1, "setting": 2})
    catalog = replace(CATALOG, relations={("pg_catalog", "pg_settings"): settings})
    plain, doubting = (Lineages(catalog, ("public",), doubts_settings=each) for each in (False, True))
    assert _is_known(plain.of(sql, 1))
    assert not _is_known(doubting.of(sql, 1))


def _is_known(found: Lines | None) -> bool:
    return found is not None and all(each is not None and UNKNOWN not in each for each in found)


@pytest.mark.parametrize(
    ("expression", "hidden"),
    [
        ("mine(card)", False),
        ("mine(card) + 1", False),
        ("coalesce(mine(card), 0)", False),
        ("ascii(mine(card))", True),
        ("length(mine(card)) + 1", True),
        ("mine(card)::int", True),
        ("mine(card) > 'x'", True),
        ("CASE mine(card) WHEN 'x' THEN 1 END", True),
        ("CASE WHEN mine(card) LIKE 'x' THEN 1 END", True),
        ("(SELECT ascii(x) FROM (SELECT mine(card) AS x) s)", True),
    ],
)
def test_numbers_that_may_be_the_letters_of_an_unknown_text(expression: str, hidden: bool) -> None:
    catalog = replace(CATALOG, safe_functions=frozenset({"ascii", "length"}))
    (found,) = lineage(f"SELECT {expression} FROM cards", catalog, ("public",), 1) or [None]
    assert UNKNOWN in (found or ())
    assert (HIDDEN in (found or ())) == hidden


def test_settings_of_a_few_fixed_values_are_told_all_the_same() -> None:
    doubting = Lineages(CATALOG, ("public",), doubts_settings=True)
    for sql in ("SHOW transaction_isolation", "SELECT current_setting('DateStyle')", "SELECT to_char(1, '9')"):
        assert doubting.of(sql, 1) == [frozenset()]


@pytest.mark.parametrize(
    ("expression", "carries"),
    [
        ("count(card)", False),
        ("card IS NULL", False),
        ("EXISTS (SELECT card FROM cards)", False),
        ("nullif(card, 'x') IS NULL", True),
        ("count(nullif(card, 'x'))", True),
        ("count(CASE WHEN card = 'x' THEN 1 END)", True),
        ("(SELECT bool_and(s.x IS NULL) FROM (SELECT nullif(card, 'x') AS x) s)", True),
        ("(SELECT bool_and(s.card IS NULL) FROM (SELECT cards.*) s)", False),
        ("count(*) FILTER (WHERE card = 'x')", True),
        ("length(card)", True),
        ("CASE WHEN card = 'x' THEN 1 ELSE 2 END", True),
        ("(SELECT max(card) FROM cards)", True),
        ("ARRAY[id::text, card]", True),
        ("mine(card)", None),
        ("card::odd", None),
        ("card OPERATOR(public.=) 'x'", None),
        ("current_setting('my.own')", None),
        ("query_to_xml('SELECT 1', true, true, '')", None),
    ],
)
def test_what_an_expression_carries(expression: str, carries: bool | None) -> None:
    (found,) = lineage(f"SELECT {expression} FROM cards", CATALOG, ("public",), 1) or [None]
    assert (None if found is None or UNKNOWN in found else "public.cards.card" in found) == carries
