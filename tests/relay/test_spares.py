"""Connections that are kept: reset, given on to who is the same in everything, and else ended. A peer at a socket pair is the target."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.policy.model import load
from gateway.relay.doorway import Doorway
from gateway.relay.spares import MOST, OLDEST, Spares, Terms
from gateway.relay.target import TargetLink
from gateway.wire.frontend import TERMINATE, message, query
from tests.fakes.stores import until
from tests.playbook import POLICY

RESET = query("DISCARD ALL")
DONE = message(b"C", b"DISCARD ALL\0") + message(b"Z", b"I")
SHOP = load(POLICY).targets["shop"]
TERMS = Terms("https://i", "ann", SHOP, "secret", (("application_name", "psql"),))
LONG = 600.0


class Peer:
    """The target's end of a connection; what it has been sent is read as it comes."""

    def __init__(self, theirs: socket.socket) -> None:
        self._socket = theirs
        self._loop = asyncio.get_running_loop()

    async def hears(self, count: int) -> bytes:
        """So many bytes, fewer only at the end."""
        data = b""
        async with asyncio.timeout(5):
            while len(data) < count and (more := await self._loop.sock_recv(self._socket, count - len(data))):
                data += more
        return data

    async def says(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def rest(self) -> bytes:
        """All up to the end."""
        return await self.hears(1 << 20)

    def close(self) -> None:
        self._socket.close()


_OPENED: list[socket.socket | asyncio.BaseTransport] = []


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """Both ends of all pairs."""
    yield
    for each in _OPENED:
        each.close()
    _OPENED.clear()
    await asyncio.sleep(0)


async def linked(since: float | None = None) -> tuple[TargetLink, Peer]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    door = Doorway()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(door.protocol, sock=ours)
    _OPENED.extend((theirs, transport))
    return TargetLink(door, SHOP, {}, 7, b"key!", since=loop.time() if since is None else since), Peer(theirs)


async def _ready(spares: Spares, terms: Terms) -> None:
    async def ready() -> bool:
        return spares._kept[terms][-1].ready

    await until(ready)


async def kept(spares: Spares, terms: Terms = TERMS) -> tuple[TargetLink, Peer]:
    """One that has been reset."""
    link, peer = await linked()
    spares.keep(terms, link)
    assert await peer.hears(len(RESET)) == RESET
    await peer.says(DONE)
    await _ready(spares, terms)
    return link, peer


async def test_what_was_reset_is_given_on_once() -> None:
    spares = Spares(LONG)
    link, peer = await kept(spares)
    former, timer = link.door, spares._kept[TERMS][0]._timer
    assert spares.take(TERMS) is link
    assert timer is not None
    assert timer.cancelled(), "it would end what is another's then"
    assert spares.take(TERMS) is None
    assert link.door is not former
    link.door.write(b"hello")
    assert await peer.hears(5) == b"hello"
    await peer.says(b"world")
    assert await link.door.take(5) == b"world"
    spares.close()
    link.door.close()
    assert await peer.rest() == b"", "it is its new owner's: nobody else says goodbye to it"


@pytest.mark.parametrize(
    "other",
    [
        replace(TERMS, issuer="https://j"),
        replace(TERMS, subject="bob"),
        replace(TERMS, target=replace(SHOP, user="reader")),
        replace(TERMS, target=replace(SHOP, host="elsewhere")),
        replace(TERMS, password="changed"),
        replace(TERMS, parameters=()),
    ],
    ids=["issuer", "person", "login", "server", "password", "settings"],
)
async def test_who_differs_in_anything_gets_none(other: Terms) -> None:
    spares = Spares(LONG)
    await kept(spares)
    assert spares.take(other) is None
    spares.close()


async def test_one_whose_reset_is_not_over_is_not_given_on() -> None:
    spares = Spares(LONG)
    link, peer = await linked()
    spares.keep(TERMS, link)
    assert spares.take(TERMS) is None
    await peer.says(DONE[:-1])
    await peer.hears(len(RESET))
    assert spares.take(TERMS) is None
    await peer.says(DONE[-1:])
    await _ready(spares, TERMS)
    assert spares.take(TERMS) is link
    link.door.close()


@pytest.mark.parametrize(
    "said",
    [
        message(b"E", b"SERROR\0C57014\0Mcanceled\0\0") + message(b"Z", b"I"),
        message(b"S", b"TimeZone\0UTC\0") + DONE,
        message(b"N", b"SNOTICE\0Mhello\0\0") + DONE,
        DONE[:-1] + b"T",
        DONE + message(b"S", b"TimeZone\0UTC\0"),
        DONE + DONE,
    ],
    ids=["error", "setting", "notice", "in a block", "setting later", "twice"],
)
async def test_one_that_says_anything_else_is_ended(said: bytes) -> None:
    spares = Spares(LONG)
    link, peer = await linked()
    spares.keep(TERMS, link)
    await peer.says(said)
    assert await peer.rest() == RESET + TERMINATE
    assert spares.take(TERMS) is None


async def test_one_that_says_something_while_it_waits_is_ended() -> None:
    spares = Spares(LONG)
    _, peer = await kept(spares)
    await peer.says(message(b"E", b"SFATAL\0C57P01\0Mshutting down\0\0"))
    assert await peer.rest() == TERMINATE
    assert spares.take(TERMS) is None


async def test_one_that_the_target_ends_is_forgotten() -> None:
    spares = Spares(LONG)
    _, peer = await kept(spares)
    peer.close()

    async def forgotten() -> bool:
        return not spares._kept

    await until(forgotten)
    assert spares.take(TERMS) is None


async def test_one_whose_end_has_been_heard_is_not_given_on() -> None:
    """Between the end of the stream and the end of the connection is a turn of the loop."""
    spares = Spares(LONG)
    await kept(spares)
    spares._kept[TERMS][0].eof_received()
    assert spares.take(TERMS) is None
    spares.close()


async def test_one_that_closes_is_not_given_on() -> None:
    spares = Spares(LONG)
    link, _ = await kept(spares)
    transport = spares._kept[TERMS][0].transport
    transport.abort()
    assert spares.take(TERMS) is None
    assert link.door.transport is transport


async def test_none_waits_until_it_is_too_old() -> None:
    spares = Spares(LONG)
    link, peer = await linked(asyncio.get_running_loop().time() - OLDEST + 0.01)
    spares.keep(TERMS, link)
    assert await peer.rest() == RESET + TERMINATE
    assert not spares._kept


async def test_it_is_ended_when_its_time_is_over() -> None:
    spares = Spares(0.001)
    link, peer = await linked()
    spares.keep(TERMS, link)
    assert await peer.rest() == RESET + TERMINATE
    assert not spares._kept


@pytest.mark.parametrize("why", ["none are kept", "too old", "too many", "not reading", "closing"])
async def test_what_is_not_kept_is_ended(why: str) -> None:
    spares = Spares(0 if why == "none are kept" else LONG)
    age = OLDEST + 1 if why == "too old" else 0
    link, peer = await linked(asyncio.get_running_loop().time() - age)
    transport = link.door.transport
    assert transport is not None
    if why == "too many":
        for _ in range(MOST):
            await kept(spares)
    elif why == "not reading":
        transport.pause_reading()
    elif why == "closing":
        transport.close()
    spares.keep(TERMS, link)
    assert await peer.rest() == (b"" if why == "closing" else TERMINATE)
    spares.close()


async def test_who_stops_keeps_none() -> None:
    spares = Spares(LONG)
    _, peer = await kept(spares)
    spares.close()
    assert await peer.rest() == TERMINATE
    link, late = await linked()
    spares.keep(TERMS, link)
    assert await late.rest() == TERMINATE


async def test_room_is_made_on_this_server_and_is_there_once_it_has_let_go() -> None:
    spares = Spares(LONG)
    _, peer = await kept(spares)
    _, same = await kept(spares, replace(TERMS, target=replace(SHOP, name="archive", database="other")))
    elsewhere, _ = await kept(spares, replace(TERMS, target=replace(SHOP, host="elsewhere")))
    making = asyncio.create_task(spares.make_room(SHOP))
    assert await peer.hears(5) == await same.hears(5) == TERMINATE
    peer.close()
    assert spares.take(TERMS) is None
    assert not making.done()
    same.close()
    assert await making
    assert spares.take(replace(TERMS, target=replace(SHOP, host="elsewhere"))) is elsewhere
    assert not await spares.make_room(SHOP)
    elsewhere.door.close()


async def test_who_comes_while_room_is_made_waits_for_it_too() -> None:
    spares = Spares(LONG)
    _, peer = await kept(spares)
    both = [asyncio.create_task(spares.make_room(SHOP)) for _ in range(2)]
    assert await peer.hears(5) == TERMINATE
    assert not any(each.done() for each in both)
    peer.close()
    assert await asyncio.gather(*both) == [True, True]
    assert not await spares.make_room(SHOP)


async def test_a_target_that_does_not_let_go_is_cut_off() -> None:
    spares = Spares(LONG)
    _, peer = await kept(spares)
    transport = spares._kept[TERMS][0].transport
    assert await spares.make_room(SHOP)
    assert transport.is_closing()
    assert await peer.rest() == TERMINATE


async def test_places_of_those_that_have_gone_are_free_again() -> None:
    spares = Spares(LONG)
    for _ in range(MOST):
        _, peer = await kept(spares)
        peer.close()

        async def forgotten() -> bool:
            return not spares._kept

        await until(forgotten)
    for _ in range(MOST):
        await kept(spares)
        assert spares.take(TERMS) is not None
    await kept(spares)
    assert spares.take(TERMS) is not None


async def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(TERMS)
