"""A PostgreSQL client on a bare transport: simple queries, the time of the first byte of an answer, and nothing else.

It costs a few microseconds a message, so that what is measured is the gateway. `adopt` takes over a connection that somebody
else has logged in.
"""

import asyncio
import socket
import time
from typing import Self

from bench.certificate import trusting
from bench.login import Login, Refused, said
from gateway.relay.doorway import Doorway
from gateway.wire import frontend, startup
from gateway.wire.backend import command_tag, fields

_MAX_LOGIN = 1 << 20

__all__ = ["Client", "Refused"]


class Client(asyncio.Protocol):
    """`send` a statement, await `answer`. `first` is when its answer's first byte came (time.monotonic), `first_at` the
    same by the wall clock; NoticeResponse and ParameterStatus are not an answer, a hold's notice sets `held`."""

    def __init__(self) -> None:
        self.first = self.first_at = 0.0
        self.request = ""
        self.received = 0  # bytes since the last send
        self._buffer = b""
        self._tag = ""
        self._error = ""
        self._answered: asyncio.Future[str] | None = None
        self._held: asyncio.Future[str] | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def log_in(cls, port: int, password: str, tls: str = "") -> Self:
        """Connect to 127.0.0.1 as `hoop`; `tls` as in bench.ways.Way. Raises Refused, OSError."""
        door = await _dial(port, tls)
        door.write(startup.startup_message({"user": "hoop", "database": "shop", "application_name": "bench"}))
        login = Login(password)
        while not login.ready:
            answer = login.answer(*await door.message(_MAX_LOGIN))
            if answer:
                door.write(answer)
        return cls.adopt(door)

    @classmethod
    def adopt(cls, door: Doorway) -> Self:
        """Go on with a connection that is logged in and idle."""
        client = cls()
        assert door.transport is not None
        client._transport = door.transport
        door.hand_over(client)
        return client

    def send(self, sql: str) -> None:
        """Send a query string. The answer to the one before must have come."""
        loop = asyncio.get_running_loop()
        self.first = self.first_at = 0.0
        self._tag = self._error = self.request = ""
        self.received = 0
        self._answered, self._held = loop.create_future(), loop.create_future()
        self._answered.add_done_callback(lambda done: done.exception())  # nobody need ask for it
        self._transport.write(frontend.query(sql))

    async def answer(self) -> str:
        """The command tag of the last statement, at ReadyForQuery. Raises Refused, ConnectionError."""
        assert self._answered is not None
        return await self._answered

    async def held(self) -> str:
        """The id of the request that the statement waits for."""
        assert self._held is not None
        return await self._held

    @property
    def refused(self) -> str:
        """The error that the last statement ended with, "" if there is none (yet)."""
        return self._error

    async def run(self, sql: str) -> float:
        """Send and wait; returns seconds from the send to the answer's first byte. Raises Refused, ConnectionError."""
        began = time.monotonic()
        self.send(sql)
        await self.answer()
        return self.first - began

    async def read(self, sql: str) -> float:
        """Send and read all of the answer; returns the seconds that took. Raises Refused, ConnectionError."""
        began = time.monotonic()
        self.send(sql)
        await self.answer()
        return time.monotonic() - began

    def close(self) -> None:
        self._transport.close()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        now, now_at = time.monotonic(), time.time()
        self.received += len(data)
        data = self._buffer + data if self._buffer else data
        at = 0
        while len(data) - at >= 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            kind = data[at]
            if not self.first and kind not in b"NSA":
                self.first, self.first_at = now, now_at
            if kind not in b"TD":
                self._message(kind, data[at + 5 : end])
            at = end
        self._buffer = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(f"the server went away ({exc or self._error or 'closed'})"))

    def _message(self, kind: int, body: bytes) -> None:
        match chr(kind):
            case "C":
                self._tag = command_tag(body)
            case "E":
                self._error = said(body)
            case "N":
                self._notice(fields(body).get("M", ""))
            case "Z":
                self._ready()

    def _notice(self, text: str) -> None:
        words = text.partition("request ")[2]
        if words and self._held is not None and not self._held.done():
            self.request = words.partition(",")[0]
            self._held.set_result(self.request)

    def _ready(self) -> None:
        if self._answered is None or self._answered.done():
            return
        if self._error:
            self._answered.set_exception(Refused(self._error))
        else:
            self._answered.set_result(self._tag)


async def _dial(port: int, tls: str) -> Doorway:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    if tls == "postgres":
        await loop.sock_sendall(sock, startup.ssl_request())
        if await loop.sock_recv(sock, 1) != b"S":
            raise Refused("no TLS is offered")
    context, name = (_TRUSTING, "127.0.0.1") if tls else (None, None)
    door = Doorway()
    await loop.create_connection(door.protocol, sock=sock, ssl=context, server_hostname=name)
    return door


_TRUSTING = trusting()
