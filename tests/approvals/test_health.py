"""What is remembered of a chat."""

from gateway.approvals.health import ChatHealth


def test_a_success_forgets_failures() -> None:
    failing = ChatHealth().failed("is_archived").failed("ratelimited")
    assert failing == ChatHealth(None, 2, "ratelimited")
    assert failing.shown(7.0) == ChatHealth(7.0)
    assert ChatHealth(7.0).failed("x") == ChatHealth(7.0, 1, "x")
