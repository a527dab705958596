"""The doorway hands out exactly what was asked for, says when the peer is gone, and gives the rest to its successor."""

import asyncio
import socket

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
    _, door = await asyncio.get_running_loop().create_connection(Doorway, sock=ours)
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
