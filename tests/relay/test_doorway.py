"""The doorway hands out exactly what was asked for, says when the peer is gone, and gives the rest to its successor."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from gateway.relay.doorway import Doorway


class Successor(asyncio.Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.arrived = asyncio.Event()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.arrived.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost.set()


async def pair() -> tuple[Doorway, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    door = Doorway()
    await asyncio.get_running_loop().create_connection(door.protocol, sock=ours)
    return door, theirs


async def test_exactly_what_was_asked_for() -> None:
    door, peer = await pair()
    peer.send(b"abc")
    async with asyncio.timeout(5):
        assert await door.take(2) == b"ab"
        peer.send(b"def")
        assert await door.take(3) == b"cde"
    door.close()
    peer.close()


async def test_a_message_and_an_impossible_length() -> None:
    door, peer = await pair()
    peer.send(b"Z\0\0\0\x05I" + b"X\xff\xff\xff\xff")
    async with asyncio.timeout(5):
        assert await door.message(100) == (ord("Z"), b"Z\0\0\0\x05I")
        with pytest.raises(ValueError, match="impossible"):
            await door.message(100)
    door.close()
    peer.close()


async def test_the_end_of_the_stream_is_an_error() -> None:
    door, peer = await pair()
    peer.send(b"ab")
    peer.close()
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionError):
            await door.take(3)
    door.close()


async def test_the_successor_gets_what_follows_and_the_rest_is_handed_over() -> None:
    door, peer = await pair()
    peer.send(b"startup+more")
    async with asyncio.timeout(5):
        assert await door.take(8) == b"startup+"
        successor = Successor()
        assert door.hand_over(successor) == b"more"
        peer.send(b"later")
        await successor.arrived.wait()
        assert successor.got == b"later"
        peer.close()
        await successor.lost.wait()
    door.close()


def counting(ends: int) -> Callable[[int, bytes], bytes | None]:
    """Answers each message with its length, and the one of this length with nothing more."""
    return lambda _, raw: None if len(raw) == ends else b"%d " % len(raw)


MESSAGES = b"S\0\0\0\x05a" + b"S\0\0\0\x06ab" + b"Z\0\0\0\x04" + b"rest"


@pytest.mark.parametrize("at", range(1, len(MESSAGES) - 4))
async def test_a_conversation_is_answered_message_by_message_however_it_comes(at: int) -> None:
    door, peer = await pair()
    peer.send(MESSAGES[:at])
    async with asyncio.timeout(5):
        talking = asyncio.create_task(door.converse(100, counting(5)))
        for _ in range(3):
            await asyncio.sleep(0)
        peer.send(MESSAGES[at:])
        await talking
        assert peer.recv(100) == b"6 7 "
        assert await door.take(4) == b"rest"
    door.close()
    peer.close()


async def test_what_the_answerer_raises_ends_the_conversation() -> None:
    def refuses(_kind: int, _raw: bytes) -> bytes:
        raise LookupError("no")

    door, peer = await pair()
    peer.send(MESSAGES)
    async with asyncio.timeout(5):
        with pytest.raises(LookupError):
            await door.converse(100, refuses)
        peer.send(b"X\xff\xff\xff\xff")
    door.close()
    peer.close()


@pytest.mark.parametrize(("sent", "error"), [(b"S\0\0\0\x05", ConnectionError), (b"S\0\0\0\x03", ValueError)])
async def test_a_conversation_that_breaks_off(sent: bytes, error: type[Exception]) -> None:
    door, peer = await pair()
    async with asyncio.timeout(5):
        talking = asyncio.create_task(door.converse(100, counting(5)))
        peer.send(sent)
        peer.close()
        with pytest.raises(error):
            await talking
        with pytest.raises(error):
            await door.converse(100, counting(5))
    door.close()


async def sent(peer: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(5):
        await asyncio.get_running_loop().sock_sendall(peer, data)


@pytest.mark.parametrize("size", [1, 3, 900], ids=["in many", "in some", "in one"])
async def test_a_conversation_may_say_more_than_is_kept(size: int) -> None:
    """A login trigger may raise notices without end; and the successor must hear what comes later."""
    door, peer = await pair()
    door._limit = 100
    told: list[int] = []

    def answer(kind: int, raw: bytes) -> bytes | None:
        told.append(len(raw))
        return None if kind == ord("Z") else b""

    talk = asyncio.ensure_future(door.converse(1 << 20, answer))
    for _ in range(900 // size):
        await sent(peer, b"N" + (4 + size).to_bytes(4, "big"))
        await sent(peer, b"x" * size)
    await sent(peer, b"Z\0\0\0\4")
    async with asyncio.timeout(5):
        await talk
        assert sum(told) == 900 + (900 // size + 1) * 5
        successor = Successor()
        assert door.hand_over(successor) == b""
        await sent(peer, b"more")
        await successor.arrived.wait()
    assert successor.got == b"more"
    door.close()
    peer.close()


async def test_what_nobody_waits_for_stops_the_reading_until_somebody_does() -> None:
    door, peer = await pair()
    door._limit = 100
    await sent(peer, b"x" * 101)
    async with asyncio.timeout(5):
        while not door._paused:  # noqa: ASYNC110 # it tells nobody
            await asyncio.sleep(0)
        await sent(peer, b"y" * 200)
        assert await door.take(300) == b"x" * 101 + b"y" * 199
        successor = Successor()
        assert door.hand_over(successor) == b"y"
        await sent(peer, b"z")
        await successor.arrived.wait()
    assert successor.got == b"z"
    door.close()
    peer.close()
