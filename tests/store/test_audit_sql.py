"""The SQL of an audit query: values are parameters, whatever they look like. What it finds is in test_contract.py."""

import time

import pytest

from gateway.audit.query import FILTER_KEYS, Filter, Query
from gateway.store.audit_sql import select

EVIL = "x'; DROP TABLE hoop.audit; --"


@pytest.mark.parametrize("key", sorted(set(FILTER_KEYS) - {"decision", "login", "rows"}))
@pytest.mark.parametrize("negated", [False, True])
def test_no_value_becomes_sql(key: str, negated: bool) -> None:
    page, count, parameters = select(Query((Filter(key, (EVIL, "y"), negated),), 0.0, time.time()), 0)
    assert "DROP" not in page + count
    assert "drop table hoop.audit" in str(parameters).lower()


def test_count_and_page_take_the_same_parameters() -> None:
    filters = (Filter("decision", ("held", "denied")), Filter("rows", (">3", "7")), Filter("text", ("a", "b")))
    page, count, parameters = select(Query(filters, 1.0, 2.0, limit=5, sort="rows"), 10)
    for sql in (page, count):
        assert f"${len(parameters)}::" in sql
        assert f"${len(parameters) + 1}" not in sql
    assert page.endswith("LIMIT 5 OFFSET 10")
