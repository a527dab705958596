"""A blocking client that keeps every byte: what the corpus of secrets searches is what came over the socket.

    line = Line(port, password, "shop", user="hoop")
    heard = line.ask(query("SELECT 1"), answers=1)
    heard.raw, heard.codes                       the bytes; the SQLSTATE of each error, in order

What must not live here: what a secret is (test_secrets.py).
"""

import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.wire import frontend
from gateway.wire.backend import fields, row_description
from gateway.wire.frontend import message
from gateway.wire.scram import MECHANISM, Scram
from tests.e2e.wire import startup

_WAIT = 15.0


@dataclass(frozen=True, slots=True)
class Heard:
    """The bytes of one answer, its SQLSTATEs, and whether the connection ended in it."""

    raw: bytes
    codes: tuple[str, ...]
    ended: bool = False

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Each whole message: type and body."""
        at = 0
        while len(self.raw) - at >= 5:
            end = at + 1 + int.from_bytes(self.raw[at + 1 : at + 5], "big")
            yield chr(self.raw[at]), self.raw[at + 5 : end]
            at = end


def told(heard: Heard) -> list[tuple[str, bytes]]:
    """The messages, without what differs by itself: the sender's process of a notification, OIDs of tables made just now."""
    return [(kind, _steady(kind, body)) for kind, body in heard.messages()]


def _steady(kind: str, body: bytes) -> bytes:
    if kind == "A":
        return body[4:]
    if kind != "T":
        return body
    columns = [replace(each, table_oid=0) for each in row_description(body)]
    return repr(columns).encode()


class Line:
    """One connection, logged in. `key` is (pid, secret)."""

    def __init__(self, port: int, password: str, database: str, user: str = "hoop") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_WAIT)
        self._pending = b""
        self.key = (0, b"")
        self._log_in(password, {"user": user, "database": database})

    def _log_in(self, password: str, parameters: dict[str, str]) -> None:
        self.send(startup(parameters))
        scram = Scram(password, secrets.token_urlsafe(18))
        while True:
            kind, raw = self._message()
            body = raw[5:]
            if kind == "E":
                raise ConnectionRefusedError(fields(body)["M"])
            if kind == "K":
                self.key = (int.from_bytes(body[:4], "big"), body[4:])
            if kind == "R":
                self._answer(int.from_bytes(body[:4], "big"), body[4:], password, scram)
            if kind == "Z":
                return

    def _answer(self, method: int, data: bytes, password: str, scram: Scram) -> None:
        if method == 3:
            self.send(frontend.password(password))
        elif method == 10:
            self.send(frontend.sasl_initial_response(MECHANISM, scram.first()))
        elif method == 11:
            self.send(frontend.sasl_response(scram.final(data)))

    def send(self, *messages: bytes) -> None:
        self._socket.sendall(b"".join(messages))

    def ask(self, *messages: bytes, answers: int) -> Heard:
        """Send, and read up to the `answers`-th ReadyForQuery. COPY FROM STDIN is ended at once."""
        self.send(*messages)
        raw, codes = bytearray(), list[str]()
        while answers:
            try:
                kind, whole = self._message()
            except ConnectionError:
                return Heard(bytes(raw), tuple(codes), ended=True)
            raw += whole
            answers -= kind == "Z"
            if kind == "E":
                codes.append(fields(whole[5:])["C"])
            if kind == "G":
                self.send(message(b"f", b"the corpus never sends data\0"))
        return Heard(bytes(raw), tuple(codes))

    def until(self, *kinds: str) -> tuple[str, bytes, bytes]:
        """Read up to the first message of these kinds: its type and body, and all bytes that came."""
        raw = b""
        while True:
            kind, whole = self._message()
            raw += whole
            if kind in kinds:
                return kind, whole[5:], raw

    def _message(self) -> tuple[str, bytes]:
        while len(self._pending) < 5 or len(self._pending) < self._length():
            more = self._socket.recv(1 << 16)
            if not more:
                raise ConnectionError("closed")
            self._pending += more
        end = self._length()
        whole, self._pending = self._pending[:end], self._pending[end:]
        return chr(whole[0]), whole

    def _length(self) -> int:
        return 1 + int.from_bytes(self._pending[1:5], "big")

    def close(self) -> None:
        self._socket.close()
