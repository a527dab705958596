"""How often somebody may try."""

from bots.web.attempts import WINDOW, Attempts


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
