"""CSV for people: fields in order, and nothing that a spreadsheet would run."""

import csv
import io

import pytest

from gateway.audit.entry import Value
from gateway.audit.spreadsheet import CSV_FIELDS, as_csv


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), (" \t=1", "' \t=1"), ("\uff1d1", "'\uff1d1"), ("\u3000\uff0b1", "'\u3000\uff0b1"), ("a=1", "a=1"), ("two\nlines", "two\nlines"),
        (-5, "-5"), (None, ""), (["public.a", "public.b"], "public.a public.b"), ([{"column": "a"}], '[{"column": "a"}]'), (True, "True"),
    ],
)  # fmt: skip
def test_cells(value: Value, cell: str) -> None:
    [row] = csv.DictReader(io.StringIO(as_csv([{"reason": value}]), newline=""))
    assert row["reason"] == cell
    assert tuple(row) == CSV_FIELDS


def test_without_a_header() -> None:
    assert as_csv([], header=False) == ""
    assert as_csv([]).strip() == ",".join(CSV_FIELDS)
