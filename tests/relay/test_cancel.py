"""Cancel keys: only the right one does something, and only while its session lives."""

from gateway.relay.cancel import CancelKeys


def test_the_right_key_cancels() -> None:
    keys, called = CancelKeys(), []
    pid, secret = keys.give(lambda: called.append(1), 4)
    assert len(secret) == 4
    assert keys.use(pid, secret)
    assert called == [1]


def test_a_wrong_key_does_nothing() -> None:
    keys, called = CancelKeys(), []
    pid, secret = keys.give(lambda: called.append(1), 32)
    assert not keys.use(pid, secret[:-1] + bytes((secret[-1] ^ 1,)))
    assert not keys.use(pid + 1, secret)
    assert not keys.use(pid, b"")
    assert called == []


def test_a_forgotten_key_does_nothing() -> None:
    keys, called = CancelKeys(), []
    pid, secret = keys.give(lambda: called.append(1), 4)
    keys.forget(pid)
    assert not keys.use(pid, secret)
    assert called == []
