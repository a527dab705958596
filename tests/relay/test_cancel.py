"""Cancel keys: only the right one does something, only while its session lives, and another replica's is passed on."""

import asyncio
from collections.abc import Sequence

from gateway.errors import StoreUnavailable
from gateway.relay.cancel import MOST_WAITING, CancelKeys, Forwarding

KEY = b"k" * 32


def test_the_right_key_cancels() -> None:
    keys, called = CancelKeys(KEY), []
    secret = keys.give(lambda: called.append(1), 7, 4)
    assert len(secret) == 4
    assert keys.use(keys.digest(7, secret))
    assert called == [1]


def test_a_wrong_key_does_nothing() -> None:
    keys, called = CancelKeys(KEY), []
    secret = keys.give(lambda: called.append(1), 7, 32)
    wrong = ((7, secret[:-1] + bytes((secret[-1] ^ 1,))), (8, secret), (7, b""))
    assert not any(keys.use(keys.digest(*each)) for each in wrong)
    assert called == []


def test_a_forgotten_key_does_nothing() -> None:
    keys, called = CancelKeys(KEY), []
    secret = keys.give(lambda: called.append(1), 7, 4)
    keys.forget(7, secret)
    keys.forget(7, secret)
    assert not keys.use(keys.digest(7, secret))
    assert called == []


def test_two_targets_may_have_a_process_of_the_same_pid() -> None:
    keys, called = CancelKeys(KEY), []
    one, other = (keys.give(lambda name=name: called.append(name), 7, 4) for name in ("one", "other"))  # type: ignore[misc]
    assert keys.use(keys.digest(7, other))
    keys.forget(7, other)
    assert keys.use(keys.digest(7, one))
    assert called == ["other", "one"]


def test_replicas_speak_of_a_key_by_the_same_digest_and_others_can_not() -> None:
    one, other, stranger = CancelKeys(KEY), CancelKeys(KEY), CancelKeys(b"x" * 32)
    secret = one.give(lambda: None, 7, 4)
    assert one.use(other.digest(7, secret))
    assert not one.use(stranger.digest(7, secret))


async def test_what_comes_while_the_store_is_asked_goes_with_the_next_question() -> None:
    told: list[list[str]] = []
    answer = asyncio.Event()

    async def tell(digests: Sequence[str]) -> None:
        told.append(list(digests))
        await answer.wait()

    forwarding = Forwarding(tell)
    forwarding.forward("a")
    await asyncio.sleep(0)  # its task begins
    for number in range(MOST_WAITING + 5):
        forwarding.forward(str(number))
    answer.set()
    await forwarding.close()
    assert [len(each) for each in told] == [1, MOST_WAITING], "a flood is dropped"


async def test_a_store_that_is_away_stops_nothing() -> None:
    told: list[str] = []

    async def tell(digests: Sequence[str]) -> None:
        told.extend(digests)
        raise StoreUnavailable("the gateway's store does not answer")

    forwarding = Forwarding(tell)
    for each in ("a", "b"):
        forwarding.forward(each)
        await forwarding.close()
    assert told == ["a", "b"]
