"""One read by the messages that drivers send for it: CPU us a read of the process in between.

pgbench knows three ways to send a statement; drivers know more. A breath is what is sent at once, before the next answer is waited for.
One client, one CPU, the ways in turn. Seen on the wire: psycopg, node-postgres, postgres.js, asyncpg; the others are by what
is known of them. What must not live here: pgbench's ways (transactions.py), other statements (flows.py).
"""

import asyncio

from bench import pgbench
from bench.client import Client
from bench.connects import RATIO
from bench.machine import cpu, one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.ways import BOUNCER, GATEWAY, Way, Ways, all_ways
from gateway.wire.frontend import FLUSH, SYNC, bind, close, describe, execute, parse, query

WARM, COUNTED = 500, 6000
_READ = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
_ONE = "SELECT abalance FROM pgbench_accounts WHERE aid = 7"
_E = execute("")

#: What is sent at once, and the type of the message that its answer ends with.
Breath = tuple[bytes, str]


def _given(name: str, end: bytes = SYNC) -> Breath:
    """Parsed and described by itself."""
    return parse(name, _READ) + describe("S", name) + end, "Z" if end == SYNC else "T"


def _used(name: str, *behind: bytes) -> Breath:
    return bind("", name, [b"7"]) + b"".join(behind) + SYNC, "Z"


_FREED: Breath = (close("S", "s1") + SYNC, "Z")
#: Driver -> what it says first, and what it says for each read.
DRIVERS: dict[str, tuple[list[Breath], list[Breath]]] = {
    "psycopg, node-postgres": ([], [(parse("", _READ) + bind("", "", [b"7"]) + describe("P", "") + _E + SYNC, "Z")]),
    "pgx": ([_given("s1")], [_used("s1", describe("P", ""), _E)]),
    "sqlx": ([_given("s1")], [_used("s1", _E, close("P", ""))]),
    "lib/pq": ([], [_given(""), _used("", _E)]),
    "postgres.js, unprepared": ([], [_given("", FLUSH), _used("", _E)]),
    "the same, without values": (
        [],
        [(parse("", _ONE) + describe("S", "") + bind("", "") + _E + SYNC, "Z")],
    ),
    "tokio-postgres": ([], [_given("s1"), _used("s1", _E), _FREED]),
    "asyncpg without its cache": (
        [],
        [_given("", FLUSH), (parse("", _READ) + bind("", "", [b"7"], (), (1,)) + _E + SYNC, "Z")],
    ),
    "Postgrex": ([], [_given("s1", FLUSH), _used("s1", _E, close("S", "s1"))]),
    "PDO": (
        [],
        [(parse("s1", _READ) + SYNC, "Z"), _used("s1", describe("P", ""), _E), (query("DEALLOCATE s1"), "Z")],
    ),
    "PDO with libpq 17": ([], [(parse("s1", _READ) + SYNC, "Z"), _used("s1", describe("P", ""), _E), _FREED]),
}


class _Talker(Client):
    """A client that says breaths and counts nothing but their ends."""

    def __init__(self) -> None:
        super().__init__()
        self._until = 0
        self._said: asyncio.Future[None]
        self._left = b""

    async def say(self, breath: Breath) -> None:
        """Send it and wait for the last message of its answer. Raises ConnectionError."""
        data, kind = breath
        self._until, self._said = ord(kind), asyncio.get_running_loop().create_future()
        self._transport.write(data)
        await self._said

    def data_received(self, data: bytes) -> None:
        data, at = self._left + data, 0
        while len(data) - at >= 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            if data[at] == self._until:
                self._said.set_result(None)
            at = end
        self._left = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._said.done():
            self._said.set_exception(ConnectionError(f"the server went away ({exc or 'closed'})"))


async def measure() -> Result:
    """All drivers, one after the other."""
    with one_cpu():
        async with running(fill=pgbench.fill) as stack, all_ways(stack) as ways:
            rows = [await _both(ways, name) for name in DRIVERS]
    return Result("drivers", rows, ["one client, everything on one CPU, one run each", *ways.missing])


async def _both(ways: Ways, name: str) -> dict[str, Figure]:
    row: dict[str, Figure] = {"what": name}
    for way in ways.of(BOUNCER, GATEWAY):
        row[way.name] = round(await _cost(way, *DRIVERS[name]), 1)
    if BOUNCER in row:
        row[RATIO] = round(float(row[GATEWAY]) / float(row[BOUNCER]), 1)
    return row


async def _cost(way: Way, first: list[Breath], each: list[Breath]) -> float:
    """CPU us a read."""
    assert way.pid is not None
    client = await _Talker.log_in(way.port, way.password)
    for breath in [*first, *each * WARM]:
        await client.say(breath)
    began = cpu(way.pid)
    for breath in each * COUNTED:
        await client.say(breath)
    used = cpu(way.pid) - began
    client.close()
    return used / COUNTED * 1e6
