"""Percentiles, tables and files of the benchmarks."""

import json
from pathlib import Path

import pytest

from bench.result import Result, percentile, save, spread, table


@pytest.mark.parametrize(
    ("part", "expected"), [(0, 1.0), (1, 1.0), (50, 50.0), (95, 95.0), (99, 99.0), (99.5, 100.0), (100, 100.0)]
)
def test_percentiles_are_values_that_were_measured(part: float, expected: float) -> None:
    assert percentile([float(each) for each in range(100, 0, -1)], part) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_spread_is_in_milliseconds() -> None:
    shown = {"what": "click", "n": 3, "p50 ms": 2.0, "p95 ms": 30.0, "p99 ms": 30.0, "max ms": 30.0}
    assert spread("click", [0.001, 0.002, 0.03]) == shown


def test_a_table_aligns_text_left_and_figures_right() -> None:
    result = Result("some", [{"what": "a", "ms": 1.5}, {"what": "longer", "ms": 10.0, "n": 3}], ["a note"], (0.1, 2.0))
    assert table(result).splitlines() == [
        "some (load average 0.10 before, 2.00 after)",
        "what     ms  n",
        "------  ---  -",
        "a       1.5",
        "longer   10  3",
        "- a note",
    ]


def test_a_result_is_kept_as_json(tmp_path: Path) -> None:
    path = save(Result("some", [{"what": "a", "ms": 1.5}], load=(0.1, 0.2)), tmp_path / "results")
    assert path.name == "some.json"
    kept = json.loads(path.read_text())
    assert kept["rows"] == [{"what": "a", "ms": 1.5}]
    assert kept["load"] == [0.1, 0.2]
