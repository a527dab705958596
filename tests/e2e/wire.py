"""A raw client: it sends what it is told and shows each message that comes back as a short line.

    wire = await Wire.connect(port, token)
    await wire.ask(query("SELECT 1"))        -> ["T", "D", "C[SELECT 1]", "ZI"]

Notices and ParameterStatus are left out of the lines (`notices` keeps the texts): a server may send them at any time.
"""

import asyncio
import secrets
import socket
import ssl
import struct
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

from gateway.wire import frontend
from gateway.wire.backend import command_tag, fields
from gateway.wire.scram import MECHANISM, Scram
from gateway.wire.startup import PROTOCOL_3_0

_WAIT = 8.0


def startup(parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> bytes:
    """A StartupMessage of any version with any parameters."""
    body = version.to_bytes(4, "big")
    body += b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items()) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


class Closed(Exception):
    """The server closed the connection."""


class Wire:
    """One connection. `key` is (pid, secret); `errors` are the fields of every ErrorResponse so far.

    `opened` are all that were not closed: a fixture closes them, so that a failing test leaves none behind.
    """

    opened: ClassVar[set["Wire"]] = set()

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.key = (0, b"")
        self.errors: list[dict[str, str]] = []
        self.notices: list[str] = []
        self.status: dict[str, str] = {}
        self.copied = b""
        Wire.opened.add(self)

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext | None = None, source: int = 0) -> Self:
        """`source`: the port of ours, 0 for any."""
        local = ("127.0.0.1", source) if source else None
        async with asyncio.timeout(_WAIT):
            return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, local_addr=local))

    @classmethod
    async def connect(
        cls, port: int, password: str, *, user: str = "hoop", database: str = "shop", **more: str
    ) -> Self:
        """Log in, with a cleartext password or by SCRAM, whichever is asked for."""
        wire = await cls.open(port)
        lines = await wire.log_in(password, {"user": user, "database": database, **more})
        assert lines[-1] == "ZI", lines
        return wire

    async def log_in(self, password: str, parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> list[str]:
        """Send a StartupMessage and whatever the server asks for; returns the lines up to ReadyForQuery or the end."""
        self.send(startup(parameters, version))
        scram = Scram(password, secrets.token_urlsafe(18))
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Z"):
            try:
                kind, body = await self.message()
            except Closed:
                return [*lines, "closed"]
            if kind == "R":
                self._answer(int.from_bytes(body[:4], "big"), body[4:], password, scram)
            if kind not in "SN":
                lines.append(self._line(kind, body))
        return lines

    async def answer_authentication(self, password: str) -> None:
        """Send what is asked for, up to AuthenticationOk."""
        scram = Scram(password, secrets.token_urlsafe(18))
        while True:
            kind, body = await self.message()
            assert kind == "R", self.errors
            method = int.from_bytes(body[:4], "big")
            if method == 0:
                return
            self._answer(method, body[4:], password, scram)

    def _answer(self, method: int, data: bytes, password: str, scram: Scram) -> None:
        if method == 3:
            self.send(frontend.password(password))
        elif method == 10:
            self.send(frontend.sasl_initial_response(MECHANISM, scram.first()))
        elif method == 11:
            self.send(frontend.sasl_response(scram.final(data)))

    def send(self, *messages: bytes) -> None:
        self._writer.write(b"".join(messages))

    async def message(self) -> tuple[str, bytes]:
        """The next message: type and body. Raises Closed."""
        try:
            async with asyncio.timeout(_WAIT):
                head = await self._reader.readexactly(5)
                body = await self._reader.readexactly(int.from_bytes(head[1:], "big") - 4)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Closed from None
        kind = chr(head[0])
        self._note(kind, body)
        return kind, body

    def _note(self, kind: str, body: bytes) -> None:
        match kind:
            case "E":
                self.errors.append(fields(body))
            case "N":
                self.notices.append(fields(body)["M"])
            case "K":
                self.key = (int.from_bytes(body[:4], "big"), body[4:])
            case "S":
                name, _, value = body[:-1].decode().partition("\0")
                self.status[name] = value
            case "d":
                self.copied += body

    @staticmethod
    def _line(kind: str, body: bytes) -> str:
        match kind:
            case "C":
                return f"C[{command_tag(body)}]"
            case "E":
                return f"E{fields(body)['C']}"
            case "Z":
                return f"Z{body.decode()}"
        return kind

    async def lines(self, until: Iterable[str] = "Z", count: int = 1) -> list[str]:
        """Read up to the `count`-th message of one of these types; the lines so far, or with "closed" at the end."""
        found: list[str] = []
        left = count
        while left:
            try:
                kind, body = await self.message()
            except Closed:
                return [*found, "closed"]
            if kind not in "SN":
                found.append(self._line(kind, body))
            left -= kind in until
        return found

    async def ask(self, *messages: bytes, until: Iterable[str] = "Z", count: int = 1) -> list[str]:
        """Send, and read up to the `count`-th message of one of these types."""
        self.send(*messages)
        return await self.lines(until, count)

    async def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        async with asyncio.timeout(_WAIT):
            return await self._reader.read()

    async def reset(self) -> None:
        """Close without a farewell (RST), so that our port is free at once."""
        ours = self._writer.get_extra_info("socket")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.close()

    async def close(self) -> None:
        Wire.opened.discard(self)
        self._writer.close()
        try:
            async with asyncio.timeout(_WAIT):
                await self._writer.wait_closed()
        except ConnectionError:
            return
