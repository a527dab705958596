"""The plan: lineage, the server's own column origin and unknown lineage against the policy's column rules."""

from dataclasses import replace

import pytest

from gateway.masking.columns import ColumnPlan, MaskPlan, plan, with_parents
from gateway.masking.detectors import Detectors
from gateway.sql.catalog import Relation
from gateway.sql.frames import HIDDEN, UNKNOWN
from gateway.wire.backend import Column

CARD = "public.customers.card_number"
HASHED = "public.customers.email"
MASKS = [
    ("shop.public.customers.card_number", "last4"),
    ("shop.public.customers.email", "hash"),
    ("*.*.*.api_key", "redact"),
]
DETECTORS = Detectors.build(["card"], {})


def column(name: str = "c", type_oid: int = 25, table: int = 0, attnum: int = 0, code: int = 0) -> Column:
    return Column(name, table, attnum, type_oid, -1, -1, code)


def planned(
    col: Column,
    sources: frozenset[str] | None,
    *,
    target: str = "shop",
    formats: tuple[int, ...] = (),
    detectors: Detectors | None = DETECTORS,
) -> ColumnPlan:
    names = {7: ("public", "customers", {3: "card_number", 4: "name", 5: "email"})}
    return plan([col], formats, [sources], MASKS, target, names, detectors).columns[0]


def test_lineage_masks() -> None:
    found = planned(column(), frozenset({"public.customers.name", CARD}))
    assert (found.action, found.mask, found.source) == ("mask", "redact", CARD)


def test_the_servers_own_origin_masks_even_where_lineage_says_nothing() -> None:
    assert planned(column(table=7, attnum=3), frozenset()).action == "mask"
    assert planned(column(table=7, attnum=4), frozenset()).action == "scan"


def test_a_mask_of_parts_is_for_the_column_itself_alone() -> None:
    """The last four of left(card_number, 8), of left(card_number, 12) and of reverse(card_number): the whole number."""
    assert planned(column(table=7, attnum=3), frozenset({CARD})).mask == "last4"
    assert planned(column(), frozenset({CARD})).mask == "redact"
    assert planned(column(table=7, attnum=4), frozenset({CARD})).mask == "redact"


def test_a_hash_is_of_the_column_itself_alone() -> None:
    """The hash of substr(email, 1, 1) is among the hashes of single letters, which everybody can ask for."""
    assert planned(column(table=7, attnum=5), frozenset({HASHED})).mask == "hash"
    assert planned(column(), frozenset({HASHED})).mask == "redact"


def test_globs_hold_for_every_target_and_table() -> None:
    assert planned(column(), frozenset({"crm.leads.api_key"}), target="other").mask == "redact"
    assert planned(column(), frozenset({CARD}), target="other").action == "scan"


@pytest.mark.parametrize(
    ("oid", "code", "action"),
    [(25, 0, "mask"), (3802, 1, "mask"), (16999, 1, "mask"), (1009, 0, "mask"), (20, 0, "scan"), (16, 0, "pass")],
)
def test_unknown_lineage_redacts_what_can_carry_text(oid: int, code: int, action: str) -> None:
    found = planned(column(type_oid=oid, code=code), None)
    assert found.action == action
    assert found.source == ("unresolved" if action == "mask" else "")


def test_a_source_that_is_known_counts_beside_what_is_not() -> None:
    assert planned(column(type_oid=20), frozenset({CARD, UNKNOWN})).source == CARD
    assert planned(column(), frozenset({"public.customers.name", UNKNOWN})).source == "unresolved"
    assert planned(column(type_oid=20), frozenset({"public.customers.name", UNKNOWN})).action == "scan"
    assert planned(column(type_oid=20), frozenset({"public.customers.name", UNKNOWN, HIDDEN})).action == "mask"


@pytest.mark.parametrize("oid", [16, 20, 23, 701, 1082, 1700, 2950])
def test_nothing_of_unknown_lineage_stays_where_no_type_is_kept(oid: int) -> None:
    found = plan([column(type_oid=oid)], (), None, MASKS, "shop", {}, DETECTORS, kept=frozenset())
    assert found.columns[0].action == "mask"


def test_unknown_lineage_that_people_let_go_is_scanned() -> None:
    found = plan([column(type_oid=25)], (), None, MASKS, "shop", {}, DETECTORS, redacts=False)
    assert found.columns[0].action == "scan"


def test_unknown_lineage_on_a_target_without_protected_columns_is_scanned() -> None:
    only_shop = [("shop.public.customers.card_number", "last4")]
    found = plan([column()], (), None, only_shop, "other", {}, DETECTORS)
    assert found.columns[0].action == "scan"


@pytest.mark.parametrize("oid", [16, 21, 23, 1114, 1184, 2950, 701])
def test_harmless_types_pass(oid: int) -> None:
    found = plan([column(type_oid=oid)], (), [frozenset()], MASKS, "shop", {}, DETECTORS)
    assert not found.touches


def test_without_detectors_and_masks_everything_passes() -> None:
    assert not plan([column()], (), None, [], "shop", {}, None).touches
    assert not MaskPlan(()).touches


def test_formats_of_bind_win() -> None:
    assert planned(column(), frozenset(), formats=(1,)).format == 1
    assert planned(column(code=1), frozenset()).format == 1


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ValueError, match="3 format codes for 1 columns"):
        plan([column()], (0, 1, 0), None, [], "shop", {}, None)
    with pytest.raises(ValueError, match="lineage of 0 columns"):
        plan([column()], (), [], [], "shop", {}, None)
    with pytest.raises(ValueError, match="mask blur"):
        plan([column()], (), None, [("*.*.*.*", "blur")], "shop", {}, None)


def test_a_mask_of_a_partition_or_a_child_holds_for_its_parents() -> None:
    parts = Relation(1, "public", "parts", "p", {"id": 1, "secret": 2})
    one = Relation(2, "public", "parts_1", "r", {"id": 1, "secret": 2, "own": 3}, parents=(("public", "parts"),))
    masks = (("shop.public.parts_1.secret", "last4"), ("other.public.parts_1.id", "redact"))
    assert with_parents(masks, "shop", [parts, one]) == (*masks, ("shop.public.parts.secret", "last4"))
    odd = replace(one, parents=(("public", "p[a*"),))
    assert with_parents(masks, "shop", [odd])[-1] == ("shop.public.p[[]a[*].secret", "last4")
