"""Hours over midnight and across clock changes; every condition of the model is in a table."""

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from gateway.policy.conditions import OF_SESSION, OF_UNIT, in_hours
from gateway.policy.model import Conditions, Hours

WORK = Hours("Europe/Berlin", frozenset(range(5)), 8 * 60, 18 * 60)
NIGHT = Hours("UTC", frozenset({4}), 22 * 60, 6 * 60)  # the night of Friday


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("inside", "hours", "utc"),
    [
        (False, WORK, "2026-01-05T06:59"),
        (True, WORK, "2026-01-05T07:00"),
        (True, WORK, "2026-01-05T16:59"),
        (False, WORK, "2026-01-05T17:00"),
        (True, WORK, "2026-07-06T06:00"),  # summer time
        (False, WORK, "2026-01-04T12:00"),  # Sunday
        (True, NIGHT, "2026-01-09T22:00"),
        (True, NIGHT, "2026-01-10T05:59"),
        (False, NIGHT, "2026-01-10T06:00"),
        (False, NIGHT, "2026-01-09T05:00"),  # Thursday's night
        (False, NIGHT, "2026-01-10T23:00"),
    ],
)
def test_hours(inside: bool, hours: Hours, utc: str) -> None:
    assert in_hours(hours, at(utc)) is inside


def test_every_condition_is_asked_by_exactly_one_check() -> None:
    asked = [name for table in (OF_SESSION, OF_UNIT) for names, _ in table.values() for name in names]
    assert sorted(asked) == sorted(field.name for field in fields(Conditions))
