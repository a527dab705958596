"""What was read of one text and used for another is what reading that other gives: the Script, its lineage, and where constants are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sql.catalog import Catalog, Relation
from gateway.sql.likeness import likeness
from gateway.sql.lineage import Lineages
from gateway.sql.parse import read
from gateway.sql.resolve import resolve
from gateway.sql.shape import constants, shape_of
from gateway.sql.statement import StatementClass
from tests.playbook import catalog

PATH = ("public",)
#: Statements with holes for constants. Of some of them others of the shape may use what was read, of others not.
TEXTS = [
    "SELECT name FROM customers WHERE name = {}",
    "SELECT name, count(*) FROM customers WHERE name IN ({}, {}) AND id > {} GROUP BY 1 LIMIT {}",
    "SELECT c.name FROM customers c JOIN orders o ON o.customer = c.id AND o.id = {} WHERE c.name LIKE {} ORDER BY {};",
    "SELECT name FROM customers WHERE card_number = {} AND lower(name) = {}",
    "SELECT evil({}) FROM customers WHERE id = {}",
    "SELECT to_jsonb(c)->>{} FROM customers c WHERE c.id = {}",
    "SELECT nextval({}), current_setting({}), set_config({}, {}, false)",
    "SELECT {}, {} FROM customers UNION SELECT name, {} FROM customers WHERE id = {} ORDER BY 1",
    "SELECT name FROM customers WHERE id = {} LIMIT {} OFFSET {}",
    "SELECT name FROM customers WHERE id = - {} AND name = {}::text AND {} = id FOR UPDATE",
    "INSERT INTO customers (id, name, card_number) VALUES ({}, {}, {}), ({}, NULL, {}::text)",
    "INSERT INTO customers VALUES ({}, {}, lower({})) ON CONFLICT (id) DO UPDATE SET name = {} WHERE customers.id = {} RETURNING *",
    "INSERT INTO customers (id, name) SELECT {}, {}",
    "  UPDATE customers SET name = {}, card_number = {} WHERE card_number = {} AND id BETWEEN {} AND {} RETURNING card_number ; ",
    "DELETE FROM customers USING orders WHERE orders.customer = customers.id AND orders.id = {} AND name NOT IN ({}, {})",
    "WITH gone AS (DELETE FROM orders WHERE id = {} RETURNING id) SELECT name FROM customers WHERE id IN (SELECT id FROM gone) AND name = {}",
    "MERGE INTO customers c USING orders o ON c.id = o.id AND o.customer = {} WHEN MATCHED AND c.name = {} THEN UPDATE SET name = {}",
    "PREPARE p AS SELECT name FROM customers WHERE id = {}",
    "EXPLAIN SELECT name FROM customers WHERE id = {}",
]
_WHOLE = st.integers(0, 10**10).map(str)
_DECIMAL = st.tuples(st.integers(0, 10**10), st.integers(0, 99)).map(lambda each: f"{each[0]}.{each[1]}")
_WORDS = st.sampled_from(
    ["customers", "card_number", "role", "'", "''", '"', "--", "/*", "*/", "$$", "$1", ";", "limit 5", "\n", "é", "1"]
)
_STRING = st.lists(_WORDS, max_size=4).map(lambda each: "'" + "".join(each).replace("'", "''") + "'")
_ODD = st.sampled_from(
    ["NULL", "true", "E'a\\'b'", "$$x$$", "U&'x'", "X'1F'", "1e5", "0x1F", "''", "'a'\n'b'", "/* ' */ 1", "'\x01'"]
)
_CONSTANTS = st.one_of(_WHOLE, _DECIMAL, _STRING, _STRING, _ODD)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and the same with other constants: mostly of the same kind."""
    text = draw(st.sampled_from(TEXTS))
    count = text.count("{}")
    one = draw(st.lists(_CONSTANTS, min_size=count, max_size=count))
    kinds = [
        _STRING if each[0] == "'" else _WHOLE if each.isdigit() else _DECIMAL if "." in each else st.just(each)
        for each in one
    ]
    return text.format(*one), text.format(*(draw(st.one_of(kind, kind, kind, _CONSTANTS)) for kind in kinds))


@given(pairs())
def test_it_is_what_the_other_text_says_by_itself(pair: tuple[str, str]) -> None:
    one, other = pair
    known = catalog()
    script = resolve(read(one), known, PATH)
    like = likeness(script)
    if like is None or shape_of(one) != shape_of(other):
        return
    alone = resolve(read(other), known, PATH)
    assert like.of(other) == alone
    [statement] = alone.statements
    together, fresh = Lineages(known, PATH), Lineages(known, PATH)
    together.tested(script.statements[0].sql)
    assert len(together._shapes) == 1
    sql = statement.sql
    assert together.outputs(sql) == fresh.outputs(sql)
    assert together.tested(sql) == fresh.tested(sql)
    assert together.copies(sql) == fresh.copies(sql)
    assert together.heirs(sql) == fresh.heirs(sql)
    assert together.beside(sql) == fresh.beside(sql)
    assert len(together._shapes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name FROM customers WHERE name = 'Ann' AND id = 5;",
        "INSERT INTO customers (id, name) VALUES (1, 'Ann'), (-2, 'Bob')",
        "UPDATE customers SET name = 'x' WHERE id IN (1, 2, 3)",
    ],
)
def test_most_texts_serve_others(text: str) -> None:
    assert likeness(read(text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "PREPARE p AS SELECT name FROM customers WHERE id = 5",
        "EXPLAIN SELECT name FROM customers WHERE id = 5",
        "SELECT 1; SELECT 2",
        "SELECT set_config('a.b', $1, false)",
        "SELECT FROM WHERE",
        "",
        "/* reason: x */ SELECT name FROM customers WHERE id = 5",
        "CREATE VIEW v AS SELECT name FROM customers WHERE id = 5",
    ],
)
def test_some_serve_none(text: str) -> None:
    assert likeness(read(text)) is None


def test_constants_beside_a_column_are_told_where_they_stand() -> None:
    lineages = Lineages(catalog(), PATH)
    one, other = (
        f"UPDATE customers SET card_number = {card}, name = 'x' WHERE id = - {number}"
        for card, number in (("'1'", 5), ("'é22'", 678))
    )
    for text in (one, other):
        found = {
            offset
            for carried, offsets, _ in lineages.beside(text)
            for offset in offsets
            if "public.customers.card_number" in carried
        }
        assert found == {text.encode().index(b"'")}
    [(_, offsets, _)] = lineages.beside(other, lambda carried: carried == {"public.customers.id"})
    assert offsets == (other.encode().index(b"- 678"),)
    assert lineages.beside(other, lambda _: False) == []
    assert constants(other.encode())[-1] == other.encode().index(b"678")


def test_user_types_and_code_are_found_in_each_alike() -> None:
    moved = replace(catalog(), user_types=frozenset({"mood"}))
    script = resolve(read("INSERT INTO customers (name) VALUES ('x'::mood)"), moved, PATH)
    like = likeness(script)
    assert like is not None
    assert StatementClass.OPAQUE in like.of("INSERT INTO customers (name) VALUES ('y'::mood)").statements[0].classes


def test_of_what_it_was_read_under_it_is() -> None:
    """Another catalog, another Script: nothing is kept here."""
    text = "SELECT id FROM customers WHERE id = 1"
    seen: list[Catalog] = [
        catalog(),
        replace(catalog(), relations={("public", "customers"): Relation(1, "public", "customers", "f", {"id": 1})}),
    ]
    found = [likeness(resolve(read(text), each, PATH)) for each in seen]
    assert [each is not None and StatementClass.OPAQUE in each.of(text).statements[0].classes for each in found] == [
        False,
        True,
    ]
