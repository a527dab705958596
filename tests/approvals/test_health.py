"""What is remembered of a chat."""

from gateway.approvals.health import ChatHealth


def test_a_success_forgets_failures() -> None:
    failing = ChatHealth().failed("is_archived").failed("ratelimited")
    assert failing == ChatHealth(None, 2, "ratelimited")
    assert failing.shown(7.0) == ChatHealth(7.0)
    assert ChatHealth(7.0).failed("x") == ChatHealth(7.0, 1, "x")


def test_it_is_away_once_it_has_failed_for_as_long_as_a_card_is_tried() -> None:
    health = ChatHealth()
    for at in (100.0, 101.0, 119.0):
        health = health.failed("502", at)
        assert not health.is_away(20.0)
    assert health.failed("not_in_channel").is_away(20.0) is False, "an answer is no sign of being away"
    away = health.failed("502", 120.0)
    assert away.is_away(20.0)
    assert not away.shown(121.0).is_away(20.0)


def test_two_failures_with_a_long_pause_between_are_two_stories() -> None:
    health = ChatHealth().failed("502", 100.0).failed("502", 101.0).failed("502", 125.0)
    assert health.is_away(20.0)
    assert not health.failed("502", 200.0).is_away(20.0)
