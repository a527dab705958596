"""A client that reads results as fast as it can: a blocking socket that counts bytes up to ReadyForQuery and looks at nothing.

So that the client is not the limit: rows are not even split. Use it in a thread.
"""

import socket
import time
from typing import Self

from bench.certificate import trusting
from bench.login import Login, Refused, said
from bench.ways import Way
from gateway.demo.sample import SHOP, SHOP_USER
from gateway.wire import frontend, startup

_BUFFER = 1 << 18
_READY = b"Z\0\0\0\5I"
PATIENCE = 120.0


class Drain:
    """One logged-in connection, over TLS where the way says so."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray(_BUFFER)

    @classmethod
    def connect(cls, way: Way) -> Self:
        """Dial and log in. Raises OSError, Refused."""
        sock = socket.create_connection(("127.0.0.1", way.port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if way.tls == "postgres":
            sock.sendall(startup.ssl_request())
            if sock.recv(1) != b"S":
                raise Refused(f"{way.name} offers no TLS")
        if way.tls:
            sock = trusting().wrap_socket(sock, server_hostname="127.0.0.1")
        sock.sendall(
            startup.startup_message({"user": SHOP_USER, "database": SHOP, "application_name": "bench"}),
        )
        login, waiting = Login(way.password), b""
        while not login.ready:
            more = sock.recv(_BUFFER)
            if not more:
                raise ConnectionError(f"{way.name} closed the connection during login")
            waiting += more
            while len(waiting) >= 5 and len(waiting) >= (end := 1 + int.from_bytes(waiting[1:5], "big")):
                sock.sendall(login.answer(waiting[0], waiting[:end]))
                waiting = waiting[end:]
        return cls(sock)

    def read(self, sql: str) -> tuple[int, float]:
        """Bytes of the answer, and the seconds that it took. Raises Refused where nothing but an error came."""
        began = time.monotonic()
        self._sock.sendall(frontend.query(sql))
        size, first, last = 0, b"", b""
        with memoryview(self._buffer) as view:
            while last != _READY:
                count = self._sock.recv_into(self._buffer)
                if not count:
                    raise ConnectionError("the server went away")
                size += count
                first = first or bytes(view[:count][:4096])
                last = bytes(view[count - 6 : count]) if count >= 6 else (last + bytes(view[:count]))[-6:]
        if first.startswith(b"E"):
            raise Refused(said(first[5:]))
        return size, time.monotonic() - began

    def close(self) -> None:
        self._sock.close()
