"""Cancel keys: only the right one does something, only while its session lives, and another replica's is passed on."""

import asyncio
from collections.abc import Sequence

from gateway.errors import StoreUnavailable
from gateway.relay.cancel import MOST_WAITING, CancelKeys, Forwarding

KEY = b"k" * 32


def test_the_right_key_cancels() -> None:
    keys, called = CancelKeys(KEY), []
    pid, secret = keys.give(lambda: called.append(1), 4)
    assert len(secret) == 4
    assert keys.use(keys.digest(pid, secret))
    assert called == [1]


def test_a_wrong_key_does_nothing() -> None:
    keys, called = CancelKeys(KEY), []
    pid, secret = keys.give(lambda: called.append(1), 32)
    wrong = ((pid, secret[:-1] + bytes((secret[-1] ^ 1,))), (pid + 1, secret), (pid, b""))
    assert not any(keys.use(keys.digest(*each)) for each in wrong)
    assert called == []


def test_a_forgotten_key_does_nothing() -> None:
    keys, called = CancelKeys(KEY), []
    pid, secret = keys.give(lambda: called.append(1), 4)
    keys.forget(pid)
    keys.forget(pid)
    assert not keys.use(keys.digest(pid, secret))
    assert called == []


def test_replicas_speak_of_a_key_by_the_same_digest_and_others_can_not() -> None:
    one, other, stranger = CancelKeys(KEY), CancelKeys(KEY), CancelKeys(b"x" * 32)
    pid, secret = one.give(lambda: None, 4)
    assert one.use(other.digest(pid, secret))
    assert not one.use(stranger.digest(pid, secret))


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
