"""Rate limits by value: bursts, refills, and whose bucket is whose."""

from __future__ import annotations

import pytest

from bots.workspace.rates import TIERS, Rates


def test_a_channels_burst_refills_one_a_second() -> None:
    rates = Rates(burst=2)
    assert [rates.retry_after("chat.postMessage", "C1", 0.0) for _ in range(3)] == [0, 0, 1]
    assert rates.retry_after("chat.postMessage", "C2", 0.0) == 0
    assert rates.retry_after("chat.postMessage", "C1", 0.9) == 1
    assert rates.retry_after("chat.postMessage", "C1", 1.0) == 0


def test_a_long_pause_gives_no_more_than_the_burst() -> None:
    rates = Rates(burst=2)
    assert [rates.retry_after("chat.postMessage", "C1", 9999.0) for _ in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("method", sorted(TIERS))
def test_a_method_takes_its_tier_a_minute_over_all_channels(method: str) -> None:
    rates = Rates(burst=1)
    taken = [rates.retry_after(method, f"C{i}", 0.0) for i in range(TIERS[method] + 1)]
    assert taken[:-1] == [0] * TIERS[method]
    assert taken[-1] > 0
    assert rates.retry_after(method, "C1", float(taken[-1])) == 0


def test_a_method_without_a_tier_is_free() -> None:
    assert {Rates(burst=1).retry_after("auth.test", "", 0.0) for _ in range(500)} == {0}
