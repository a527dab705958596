"""Ratios are taken within a round; a baseline that was not measured gives none."""

from bench.ratios import columns, ratios

FOUND = {"ours": [20.0, 60.0, 33.0], "theirs": [10.0, 20.0, 30.0]}


def test_each_round_has_its_own_baseline() -> None:
    assert ratios(FOUND, "ours", "theirs") == [2.0, 3.0, 1.1]


def test_the_median_stands_beside_the_least_and_the_most() -> None:
    assert columns(FOUND, "ours", "us", {"theirs": "x theirs"}) == {
        "us": 33.0,
        "spread": "20.0-60.0",
        "x theirs": 2.0,
        "x theirs, spread": "1.10-3.00",
    }


def test_without_the_baseline_there_is_no_ratio() -> None:
    assert columns({"ours": [1.0]}, "ours", "us", {"theirs": "x theirs"}) == {"us": 1.0, "spread": "1.0-1.0"}
