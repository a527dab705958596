"""Turns: as many as each window allows, in the order of asking, counted once each."""

from itertools import count

import pytest

from gateway.approvals.pace import LIMITS, Limit, Pace

NOW = 1000.0


def turns(pace: Pace, platform: str, method: str, channel: str, many: int) -> list[float]:
    """When so many that ask at once may go, in seconds from now."""
    ids = count(1)
    return [round(pace.wait(platform, method, channel, next(ids), NOW), 3) for _ in range(many)]


def test_slack_posts_a_message_a_second_and_channel_after_a_burst() -> None:
    pace = Pace()
    assert turns(pace, "slack", "post", "C1", 12) == [0.0] * 5 + [5.0] * 5 + [10.0] * 2
    assert pace.wait("slack", "post", "C2", 99, NOW) == 0.0, "another channel has turns of its own"
    assert pace.wait("slack", "update", "C1", 100, NOW) == 0.0, "and so has another method"


def test_slack_updates_forty_a_minute_whatever_the_channel() -> None:
    pace = Pace()
    for number in range(40):
        assert pace.wait("slack", "update", f"C{number}", number, NOW) == 0.0
    assert pace.wait("slack", "update", "C99", 99, NOW + 10.0) == 50.0


def test_teams_keeps_to_all_four_windows() -> None:
    many = turns(Pace(), "teams", "post", "19:a", 1900)
    for most, seconds in LIMITS["teams", "post"].windows:
        assert all(many[at + most] >= many[at] + seconds for at in range(len(many) - most)), (most, seconds)
    assert many == sorted(many)


def test_a_turn_that_has_come_is_taken_and_counted_once() -> None:
    pace = Pace({("slack", "post"): Limit(((1, 1.0),), each_channel=True)})
    assert pace.wait("slack", "post", "C1", 1, NOW) == 0.0
    assert pace.wait("slack", "post", "C1", 2, NOW) == 1.0
    assert pace.wait("slack", "post", "C1", 2, NOW + 0.25) == 0.75, "too early: the same turn"
    assert pace.wait("slack", "post", "C1", 2, NOW + 1.0) == 0.0
    assert pace.wait("slack", "post", "C1", 3, NOW + 1.0) == 1.0


@pytest.mark.parametrize("platform", ["irc", ""])
def test_a_chat_without_limits_never_waits(platform: str) -> None:
    assert turns(Pace(), platform, "post", "x", 1000) == [0.0] * 1000


def test_a_turn_that_was_not_taken_is_forgotten() -> None:
    pace = Pace({("slack", "post"): Limit(((1, 1.0),), each_channel=True)})
    for who in (1, 2):
        pace.wait("slack", "post", "C1", who, NOW)
    for who in (3, 4):
        pace.wait("slack", "post", "C1", who, NOW + 100.0)
    assert pace.wait("slack", "post", "C1", 2, NOW + 100.0) == 2.0
