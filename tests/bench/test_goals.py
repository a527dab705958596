"""The table of goals: each row is found where its measurement puts it, and judged by its two bounds."""

from dataclasses import replace

import pytest

from bench import goals
from bench.goals import GOALS, judge
from bench.result import Result

GOAL = replace(GOALS[0], goal=1.15, accept=1.35)


@pytest.mark.parametrize(
    ("found", "said"),
    [(1.15, "goal reached"), (1.16, "accepted"), (1.35, "accepted"), (2.7, "MISSED, 2.0 x what is accepted")],
)
def test_a_figure_is_judged_by_both_bounds(found: float, said: str) -> None:
    assert goals.verdict(found, GOAL) == said


def test_what_was_not_measured_is_no_success() -> None:
    assert {row["verdict"] for row in judge({}).rows} == {"not measured"}
    empty = Result(GOAL.measurement, [{"what": GOAL.row}])
    assert judge({GOAL.measurement: empty}).rows[0]["verdict"] == "not measured"


def test_each_goal_finds_its_row() -> None:
    results = {
        name: Result(name, [{"what": goal.row, goal.column: goal.goal} for goal in GOALS if goal.measurement == name])
        for name in goals.NEEDED
    }
    found = judge(results)
    assert [row["verdict"] for row in found.rows] == ["goal reached"] * len(GOALS)


def test_goals_are_stricter_than_what_is_accepted() -> None:
    assert all(goal.goal < goal.accept for goal in GOALS)
