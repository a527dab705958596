"""Expressions without a server: what reveals nothing, and what can't be known. Against PostgreSQL itself: test_lineage.py."""

import pytest

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.frames import UNKNOWN
from gateway.sql.lineage import lineage

CARDS = Relation(1, "public", "cards", "r", {"id": 1, "card": 2})
CATALOG = Catalog(
    1, 180000, {("public", "cards"): CARDS}, frozenset(), frozenset({"mine"}), user_types=frozenset({"odd"})
)


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
