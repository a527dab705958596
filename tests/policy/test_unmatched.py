"""A masking column that no column of the target is called is told, with what may have been meant; one that is there is not."""

import pytest

from gateway.policy.model import Policy, load
from gateway.policy.unmatched import is_pattern, named_at, unmatched
from gateway.sql.catalog import Relation
from tests.playbook import POLICY

RELATIONS = [
    Relation(1, "public", "customers", "r", {"id": 1, "salary": 2, "Mail": 3}),
    Relation(2, "hr", "people", "v", {"id": 1, "iban": 2}),
]


def policy(*columns: str) -> Policy:
    entries = ", ".join(f'{{column: "{each}", mask: redact}}' for each in columns)
    return load(f"{POLICY}masking: {{columns: [{entries}]}}\n")


@pytest.mark.parametrize(
    "column",
    ["shop.public.customers.salary", "*.public.customers.salary", "shop.*.*.iban", "sh?p.hr.people.i*", "*.*.*.Mail"],
)
def test_what_is_there_is_not_told(column: str) -> None:
    assert unmatched(policy(column), "shop", RELATIONS) == {}


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("shop.public.customers.salry", '; did you mean "public.customers.salary"?'),
        ("shop.public.custmers.salary", '; did you mean "public.customers.salary"?'),
        ("shop.public.customers.mail", '; did you mean "public.customers.Mail"?'),
        ("*.hr.poeple.iban", '; did you mean "hr.people.iban"?'),
        ("shop.x.y.z", ""),
        ("shop.public.custmers.*", ""),
    ],
)
def test_what_is_not_is_told_with_what_may_have_been_meant(column: str, hint: str) -> None:
    assert unmatched(policy(column), "shop", RELATIONS) == {column: hint}


def test_another_targets_columns_are_not_looked_for_here() -> None:
    both = policy("shop.public.customers.salry", "*.public.customers.salry")
    assert named_at(both, "crm") == ["*.public.customers.salry"]
    assert list(unmatched(both, "crm", RELATIONS)) == ["*.public.customers.salry"]


def test_each_is_told_once() -> None:
    assert len(unmatched(policy("shop.a.b.c", "shop.a.b.c"), "shop", RELATIONS)) == 1


def test_patterns_are_told_from_names() -> None:
    assert [is_pattern(each) for each in ("shop.a.b.c", "*.a.b.c", "shop.a.b.c?", "shop.a.b.[cd]")] == [
        False, True, True, True,
    ]  # fmt: skip
