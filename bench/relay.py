"""A relay that does nothing: `python -m bench.relay PORT TARGET_PORT` copies bytes both ways on uvloop, and prints nothing.

What is left when all that the gateway is for is taken away; the gateway's CPU is quoted against this one's. With the directory of a
spool behind it, it records and does nothing else: an entry like the gateway's for each chunk, written before the chunk goes on,
by the gateway's own spool and turn. Nothing is read, judged, looked at, masked, counted or shipped. With "-" for the directory
it does the same and makes no entry: what recording costs is the difference, for this file is never compiled.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import uvloop

from gateway.audit.entry import Entry, Value
from gateway.audit.pattern import Pattern, list_value, milliseconds_value, number_value, text_value
from gateway.audit.spool import Spool
from gateway.relay.turn import Record, Turn


class Side(asyncio.Protocol):
    """One socket; what it reads goes to the other, or waits in `early` until that is connected."""

    def __init__(self, peer: "Side | None" = None, target: int = 0) -> None:
        self.peer = peer
        self.transport: asyncio.Transport
        self.early = b""
        self._target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.peer is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            _, peer = await asyncio.get_running_loop().create_connection(self._other, "127.0.0.1", self._target)
        except OSError:
            self.transport.close()
            return
        self.peer = peer
        peer.transport.write(self.early)

    def _other(self) -> "Side":
        return Side(self)

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self.early += data
        else:
            self.peer.transport.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.peer is not None:
            self.peer.transport.close()


_SQL = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
_STORY = {
    "issuer": "http://127.0.0.1:34419",
    "subject": "person-ann",
    "user": "ann@example.com",
    "groups": ["engineering"],
    "agent": "pgbench",
    "client": "127.0.0.1",
    "target": "shop",
    "rule": "everybody may read",
    "verdict": "allow",
    "tables": ["public.pgbench_accounts"],
    "columns": ["public.pgbench_accounts.aid", "public.pgbench_accounts.abalance"],
    "fingerprints": ["348bee4e67e86ca6"],
    "policy": "e799b2eb09c2bc31",
}
_HOLES = ("session", "statement", "sql", "parameters")
_BEGUN = Pattern("statement", _STORY, _HOLES)
_OVER = Pattern("finished", _STORY | {"outcome": "executed", "tag": "SELECT"}, (*_HOLES, "rows", "duration_ms"))


class _Nothing:
    """In place of a spool."""

    def record(self, kind: str, **fields: Value) -> Entry:
        raise AssertionError(f"a relay makes entries that are alike, not {kind} {fields}")

    def record_alike(self, pattern: Pattern, values: Sequence[bytes]) -> None:
        pass

    def flush(self) -> None:
        pass


class Recording(Side):
    """Records each chunk that it reads, and sends it at the end of the turn."""

    def __init__(self, spool: Record, turn: Turn, peer: "Recording | None" = None, target: int = 0) -> None:
        super().__init__(peer, target)
        self._spool, self._turn = spool, turn
        self._session, self._sql = text_value("6634034a-3"), text_value(_SQL)
        self._number, self._at = 0, 0.0

    def _other(self) -> Side:
        return Recording(self._spool, self._turn, self)

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self.early += data
            return
        now = time.time()
        self._number += 1
        values = (self._session, number_value(self._number), self._sql, list_value(["530880"]))
        if self._target:
            self._at = now
            self._spool.record_alike(_BEGUN, values)
        else:
            self._spool.record_alike(_OVER, (*values, b"1", milliseconds_value(now - cast(Recording, self.peer)._at)))
        self._turn.add(self.peer.transport.write, print, data)


async def main(port: int, target: int, directory: str = "") -> None:
    """Relay until killed."""
    loop = asyncio.get_running_loop()
    spool = Spool.open(Path(directory), "relay:1:0", b"k" * 32, time.time) if directory not in ("", "-") else None
    turn = Turn(spool or _Nothing(), loop.call_soon)

    def side() -> Side:
        return Recording(spool or _Nothing(), turn, target=target) if directory else Side(target=target)

    server = await loop.create_server(side, "127.0.0.1", port)
    await asyncio.gather(server.serve_forever(), *([spool.run()] if spool else []))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
