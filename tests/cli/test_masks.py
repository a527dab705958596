"""What explain says of masks is what the wire would do, and what can't be known is said so."""

import pytest

from gateway.cli.masks import Masks, masks_of
from gateway.policy.cases import person
from gateway.policy.model import load
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.parse import read
from gateway.sql.resolve import resolve

POLICY = """
version: 1
issuers: [{issuer: "https://issuer.test", audience: hoop}]
targets:
  shop: {environment: p, host: h, port: 5432, database: d, user: u, password: {env: X}}
  lab: {environment: p, host: h, port: 5432, database: d, user: u, password: {env: X}}
rules: [{name: r, effect: allow, statements: [read, write]}]
masking:
  columns:
    - {column: "shop.public.customers.card_number", mask: last4}
    - {column: "shop.*.*.api_key", mask: redact}
  detect: [card]
  patterns: {order: 'ord_[a-z]+'}
  clear_for: {groups: [fraud]}
"""
COLUMNS = {"id": 1, "name": 2, "card_number": 3, "api_key": 4}
CATALOG = Catalog(
    1,
    180000,
    {
        ("public", "customers"): Relation(16400, "public", "customers", "r", COLUMNS),
        ("public", "cards"): Relation(
            16500, "public", "cards", "v", {"id": 1, "number": 2},
            definition=" SELECT id, card_number AS number FROM public.customers",
        ),
    },
    frozenset({"lower", "reverse", "count"}),
    frozenset({"evil"}),
)  # fmt: skip


def ask(sql: str, *, offline: bool = False, target: str = "shop", group: str = "engineering") -> Masks:
    catalog = None if offline else CATALOG
    script = resolve(read(sql), catalog, ("public",))
    return masks_of(load(POLICY), person("ann", frozenset({group})), target, script, catalog)


def said(masks: Masks) -> list[tuple[str, str, str]]:
    return [(each["column"], each["source"], each["mask"]) for each in masks.found]


CARD, KEY = "public.customers.card_number", "public.customers.api_key"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id, name FROM customers", []),
        ("SELECT * FROM customers", [("card_number", CARD, "last4"), ("api_key", KEY, "redact")]),
        ("SELECT c.card_number AS n FROM customers c", [("n", CARD, "last4")]),
        ("SELECT reverse(card_number) FROM customers", [("reverse", CARD, "redact")]),
        ("SELECT card_number || '' AS card_number FROM customers", [("card_number", CARD, "redact")]),
        ("SELECT n FROM (SELECT card_number AS n FROM customers) t", [("n", CARD, "last4")]),
        ("WITH t AS (SELECT card_number FROM customers) SELECT * FROM t", [("card_number", CARD, "last4")]),
        ("SELECT number FROM cards", [("number", CARD, "redact")]),
        ("SELECT count(*) FROM customers", []),
        ("SELECT evil(name) FROM customers", [("evil", "unresolved", "redact")]),
        ("SELECT a FROM nowhere", [("a", "unresolved", "redact")]),
        ("DELETE FROM customers WHERE id = 1 RETURNING api_key", [("api_key", KEY, "redact")]),
        ("COPY customers (card_number) TO STDOUT", [("card_number", CARD, "last4")]),
        ("COPY customers TO STDOUT", [("card_number", CARD, "last4"), ("api_key", KEY, "redact")]),
        ("COPY (SELECT card_number FROM customers) TO STDOUT", [("card_number", CARD, "redact")]),
        ("SELECT 1; SELECT api_key FROM customers", [("api_key", KEY, "redact")]),
    ],
)
def test_what_the_wire_would_mask(sql: str, expected: list[tuple[str, str, str]]) -> None:
    masks = ask(sql)
    assert said(masks) == expected
    assert masks.unknown == ""
    assert masks.notes == ("what else looks like card, order is masked wherever it stands in a text",)


def test_the_entry_that_masks_is_named() -> None:
    masks = ask("SELECT card_number, api_key, evil(name) FROM customers")
    assert [each["entry"] for each in masks.found] == [
        "shop.public.customers.card_number", "shop.*.*.api_key", "masking: unresolved",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sql", ["DELETE FROM customers", "TRUNCATE customers", "BEGIN", "COPY customers FROM STDIN", ""]
)
def test_without_a_result_there_is_nothing_to_say(sql: str) -> None:
    assert ask(sql) == Masks()
    assert ask(sql, offline=True) == Masks()


@pytest.mark.parametrize("sql", ["SELECT card_number FROM customers", "TABLE customers", "SELECT evil(1)"])
def test_offline_what_a_column_carries_is_not_known(sql: str) -> None:
    masks = ask(sql, offline=True)
    assert masks.found == ()
    assert masks.unknown == (
        "the target's catalog was not read, so what a column carries is not known; "
        "masked are shop.public.customers.card_number (last4), shop.*.*.api_key (redact)"
    )


def test_offline_constants_are_known_all_the_same() -> None:
    assert ask("SELECT 1, 'a'", offline=True).unknown == ""


@pytest.mark.parametrize(
    ("sql", "what"), [("SELEC 1", "the text can't be read"), ("EXECUTE p", "what EXECUTE answers")]
)
def test_what_can_not_be_followed_is_said(sql: str, what: str) -> None:
    masks = ask(sql)
    assert masks.found == ()
    assert masks.unknown.startswith(what)
    assert "on the wire whatever can carry text is redacted" in masks.unknown


def test_another_target_has_no_masks_but_detectors() -> None:
    masks = ask("SELECT card_number FROM customers", target="lab", offline=True)
    assert (masks.found, masks.unknown) == ((), "")
    assert "looks like card" in masks.notes[0]


def test_who_sees_in_clear_is_told_so() -> None:
    assert ask("SELECT * FROM customers", group="fraud") == Masks(
        notes=("ann sees every column in clear (masking: clear_for)",)
    )
