"""How often somebody may try."""

import pytest

from bots.web.attempts import WINDOW, Attempts, source


def test_too_many_wait_until_the_first_is_a_minute_old() -> None:
    attempts = Attempts(2)
    assert [attempts.wait("a", now) for now in (100.0, 110.0, 120.0)] == [0, 0, 40]
    assert attempts.wait("b", 120.0) == 0, "somebody else is not held up"
    assert attempts.wait("a", 100.0 + WINDOW) == 0
    assert attempts.wait("a", 100.0 + WINDOW) == 10, "those turned away did not count"


def test_only_so_many_keys_are_remembered() -> None:
    attempts = Attempts(1)
    for number in range(5_000):
        assert attempts.wait(str(number), 1.0) == 0
    assert attempts.wait("4999", 1.0) > 0
    assert attempts.wait("0", 1.0) == 0, "forgotten"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("2001:db8:1:3::9", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_a_machine_that_may_choose_among_addresses_is_one(address: str, counted: str) -> None:
    assert source(address) == counted
