"""What the target fills by itself, and which columns choose rows. The columns of queries at large: test_lineage.py."""

import pytest

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.lineage import Lineages, lineage

CARD, NAME = "public.cards.card", "public.cards.name"
RELATIONS = (
    Relation(1, "public", "cards", "r", {"id": 1, "card": 2, "name": 3}),
    Relation(2, "public", "made", "r", {"id": 1, "card": 2, "drac": 3}, generated={"drac": "reverse(card)"}),
    Relation(3, "public", "watched", "r", {"id": 1, "shadow": 2}, fed={"shadow": frozenset({"public.watched.id"})}),
    Relation(4, "public", "log", "r", {"no": 1, "entry": 2}, fed={"entry": frozenset({CARD})}),
    Relation(5, "public", "v", "v", {"hidden": 1}, definition="SELECT cards.card AS hidden FROM public.cards"),
)
CATALOG = Catalog(1, 180000, {(each.schema, each.name): each for each in RELATIONS}, frozenset(), frozenset({"mine"}))


def carried(sql: str, width: int = 1) -> list[set[str] | None]:
    found = lineage(sql, CATALOG, ("public",), width)
    assert found is not None
    return [None if each is None else set(each) for each in found]


def copies(sql: str) -> list[tuple[str | None, str | None, frozenset[str]]]:
    """What it writes: table, column, and what that carries."""
    return [(table, column, carries) for _, table, column, carries in Lineages(CATALOG, ("public",)).copies(sql) or ()]


def test_a_generated_column_carries_what_its_expression_reads() -> None:
    assert carried("SELECT drac FROM made") == [{"public.made.drac", "public.made.card"}]
    assert carried("SELECT d FROM made AS m (a, b, d)") == [{"public.made.drac", "public.made.card"}]


def test_what_is_written_comes_back_in_what_the_target_fills() -> None:
    (made,) = carried("INSERT INTO made (card) SELECT card FROM cards RETURNING drac")
    assert made is not None
    assert CARD in made
    (shadow,) = carried("UPDATE watched SET id = c.id FROM cards c WHERE c.card = 'x' RETURNING shadow")
    assert shadow == {"public.watched.shadow", "public.watched.id", "public.cards.id"}


def test_whether_a_column_has_a_value_tells_of_what_is_written_to_it() -> None:
    (found,) = carried("UPDATE watched SET id = nullif(c.card, '4')::int FROM cards c RETURNING watched.id IS NULL")
    assert CARD in (found or ())
    assert carried("UPDATE watched SET id = 1 RETURNING id IS NULL") == [set()]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE fresh (made text DEFAULT mine())",
        "ALTER TABLE fresh ADD COLUMN made text DEFAULT mine()",
        "ALTER TABLE fresh ALTER made SET DEFAULT mine()",
    ],
)
def test_a_default_is_what_its_column_holds_when_it_is_gone(sql: str) -> None:
    assert copies(sql) == [("fresh", "made", frozenset({"?"}))]


def test_a_view_that_is_replaced_may_live_on_in_a_materialized_one() -> None:
    assert copies("CREATE OR REPLACE VIEW w (a) AS SELECT card FROM cards") == [("w", "a", frozenset({CARD}))]


def test_a_place_in_a_large_object_is_told_by_its_pages() -> None:
    ((table, column, carries),) = copies("SELECT lo_lseek64(0, length(card), 0) FROM cards")
    assert (table, column, CARD in carries) == (None, None, True)


def test_a_column_that_code_makes_of_another_carries_it() -> None:
    assert carried("SELECT entry, no FROM log", 2) == [{"public.log.entry", CARD}, {"public.log.no"}]


def test_copy_leaves_generated_columns_out() -> None:
    assert carried("COPY made TO STDOUT", 2) == [{"public.made.id"}, {"public.made.card"}]


@pytest.mark.parametrize(
    ("sql", "tested"),
    [
        ("SELECT id FROM cards WHERE card LIKE '4%'", {CARD}),
        ("SELECT id FROM cards WHERE id = 1 OR (name = 'x' AND NOT card IS NULL)", {"public.cards.id", NAME}),
        ("SELECT id FROM cards ORDER BY card", {CARD}),
        ("SELECT card AS x FROM cards ORDER BY x", {CARD}),
        ("SELECT id, card FROM cards ORDER BY 2", {CARD}),
        ("SELECT count(*) FROM cards GROUP BY left(card, 1)", {CARD}),
        ("SELECT name, count(*) FROM cards GROUP BY ROLLUP (name, card)", {NAME, CARD}),
        ("SELECT left(name, 1) FROM cards GROUP BY left(card, 1), name", {NAME, CARD}),
        ("SELECT max(id) FROM cards HAVING max(card) > '4'", {CARD}),
        ("SELECT DISTINCT ON (card) id FROM cards", {CARD}),
        ("SELECT a.id FROM cards a JOIN cards b USING (card)", {CARD}),
        ("SELECT 1 FROM v WHERE hidden = 'x'", {"public.v.hidden", CARD}),
        ("SELECT 1 FROM (SELECT reverse(card) AS y FROM cards) s WHERE y = 'x'", {CARD}),
        ("WITH c AS (SELECT card AS y FROM cards) SELECT 1 FROM c WHERE y = 'x'", {CARD}),
        ("SELECT EXISTS (SELECT FROM cards WHERE card = 'x')", {CARD}),
        ("SELECT EXISTS (SELECT FROM v WHERE hidden = 'x')", {"public.v.hidden", CARD}),
        ("SELECT count(*) FROM cards, generate_series(1, length(card))", {CARD}),
        ("SELECT count(*) FROM (SELECT regexp_split_to_table(card, '') FROM cards) s", {CARD}),
        ("SELECT count(*) FROM ROWS FROM (generate_series(1, (SELECT length(card) FROM cards))) WITH ORDINALITY", {CARD}),
        ("SELECT count(*) FROM XMLTABLE('/a' PASSING (SELECT card::xml FROM cards) COLUMNS a text) x", {CARD}),
        ("SELECT name FROM cards LIMIT (SELECT length(max(card)) FROM cards)", {CARD}),
        ("SELECT count(*) FROM (SELECT '4' INTERSECT SELECT left(card, 1) FROM cards) s", {CARD}),
        ("SELECT count(*) FROM (SELECT '4' UNION SELECT card FROM cards) s", {CARD}),
        ("SELECT count(*) FROM (SELECT '4' UNION ALL SELECT card FROM cards) s", set()),
        ("WITH RECURSIVE r AS (SELECT '4' UNION SELECT card FROM cards) SELECT count(*) FROM r", {CARD}),
        ("SELECT count(*) FROM (SELECT DISTINCT card FROM cards) s", {CARD}),
        ("SELECT count(DISTINCT card), count(card) FROM cards", {CARD}),
        ("SELECT name FROM log TABLESAMPLE bernoulli ((SELECT length(card) FROM cards)) REPEATABLE (1)", {CARD}),
        ("SELECT 1 WHERE EXISTS (SELECT FROM cards WHERE card = 'x')", {CARD}),
        ("DELETE FROM cards WHERE card = 'x'", {CARD}),
        ("UPDATE cards SET name = 'n' WHERE card = 'x'", {CARD}),
        ("MERGE INTO cards c USING log l ON l.no = c.id WHEN MATCHED AND c.card = 'x' THEN DELETE", {"public.log.no", "public.cards.id", CARD}),
        ("SELECT card FROM cards", set()),
        ("SELECT card, row_number() OVER (ORDER BY card) FROM cards", set()),
    ],
)  # fmt: skip
def test_what_conditions_read(sql: str, tested: set[str]) -> None:
    assert Lineages(CATALOG, ("public",)).tested(sql) == tested


def test_hundreds_of_joins_take_no_minutes() -> None:
    """Each looks once at the columns so far. It was once for each of them: 300 joins of 100 columns took hours."""
    wide = Relation(1, "public", "wide", "r", {"id": 0} | {f"c{at}": at for at in range(1, 100)})
    catalog = Catalog(1, 180000, {("public", "wide"): wide}, frozenset(), frozenset())
    sql = "SELECT 1 FROM wide " + " ".join(f"JOIN wide w{at} USING (id)" for at in range(300))
    assert lineage(sql, catalog, ("public",), 1) is None, "too wide, which is seen in a tenth of a second"
