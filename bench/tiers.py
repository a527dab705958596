"""What it costs that the target keeps a statement to reading, or lets it write: each way against a plain read of the same run.

    tier 1    built-in names only: forwarded as it came
    tier 2    it calls a function of the user's that only reads as far as its source shows: read-only by the session's
              default, in a transaction block by a savepoint round it (enforcement.md, decision 3)
    gated     it may write: the session's default is switched for it and back (decision 4)

The messages that reach the target are counted by a relay between the two, apart from the times.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.client import Client, Refused
from bench.relay import Side
from bench.result import Figure, Result, percentile
from bench.stack import Stack, running
from gateway.demo import sample

ROUNDS, EACH = 40, 10
PATIENCE = 60.0
_MADE = f"""
CREATE FUNCTION shown_name(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM public.customers WHERE id = $1';
GRANT SELECT, UPDATE ON bench_rows TO {sample.SHOP_USER};
"""
PLAIN = "tier 1"


@dataclass(frozen=True, slots=True)
class Way:
    """A statement and who says it; `inside`: in a transaction block."""

    name: str
    person: str
    sql: str
    inside: bool = False


WAYS = (
    Way(PLAIN, "ann", "SELECT name FROM customers WHERE id = 1"),
    Way("tier 2", "ann", "SELECT shown_name(1)"),
    Way("gated write", "cursor", "UPDATE bench_rows SET note = note WHERE id = 1"),
    Way("tier 1 in a block", "ann", "SELECT name FROM customers WHERE id = 1", inside=True),
    Way("tier 2 in a block", "ann", "SELECT shown_name(1)", inside=True),
    Way("write in a block", "cursor", "UPDATE bench_rows SET note = note WHERE id = 1", inside=True),
)


async def measure() -> Result:
    """Times of all ways in turn, then what each sends to the target."""
    async with running() as stack:
        await stack.postgres.psql(_MADE, sample.SHOP)
        await _known(stack)
        through, direct = await _times(stack)
        sent = await _messages(stack)
    plain = percentile(through[PLAIN], 50)
    rows: list[Mapping[str, Figure]] = [
        {
            "what": way.name,
            "n": len(through[way.name]),
            "p50 ms": round(percentile(through[way.name], 50) * 1000, 2),
            "p99 ms": round(percentile(through[way.name], 99) * 1000, 2),
            "x plain read": round(percentile(through[way.name], 50) / plain, 2),
            "direct p50 ms": round(percentile(direct[way.name], 50) * 1000, 2),
            "messages to the target": sent[way.name],
        }
        for way in WAYS
    ]
    return Result(
        "tiers", rows, ["simple protocol, one client at a time, the ways in turn; a client sends one message each"]
    )


async def _known(stack: Stack) -> None:
    """Wait until the gateway has read the catalog with our function in it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            client = await stack.client("ann")
            try:
                await client.run(WAYS[1].sql)
            except Refused:
                await asyncio.sleep(1)
            else:
                return
            finally:
                client.close()


async def _times(stack: Stack) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each way, through the gateway and direct."""
    clients = {way.name: await stack.client(way.person) for way in WAYS}
    direct = await stack.direct()
    through: dict[str, list[float]] = {way.name: [] for way in WAYS}
    bare: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            through[way.name] += await _run(clients[way.name], way)
            bare[way.name] += await _run(direct, way)
    return through, bare


async def _run(client: Client, way: Way) -> list[float]:
    if way.inside:
        await client.run("BEGIN")
    took = [await client.run(way.sql) for _ in range(EACH)]
    if way.inside:
        await client.run("COMMIT")
    return took


# --- messages ---------------------------------------------------------------------------------------------------------


class Counted(Side):
    """The gateway's side of the relay: counts the messages that it sends."""

    count = 0  # of all of them: one statement runs at a time
    _rest = b""
    _begun = False

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 5:
            end = (
                int.from_bytes(self._rest[:4], "big") if not self._begun else 1 + int.from_bytes(self._rest[1:5], "big")
            )
            if end > len(self._rest):
                break
            self._rest, self._begun = self._rest[end:], True
            Counted.count += 1
        super().data_received(data)


async def _messages(stack: Stack) -> dict[str, int]:
    """Messages to the target for one statement of each way."""
    found = {}
    async with _counting(stack):
        for way in WAYS:
            client = await stack.client(way.person)
            if way.inside:
                await client.run("BEGIN")
            await client.run(way.sql)  # the session asks for its search_path once
            before = Counted.count
            await client.run(way.sql)
            if not way.inside:
                await client.run(WAYS[0].sql)  # one message; behind the write's own helpers
            found[way.name] = Counted.count - before - (not way.inside)
            client.close()
    return found


@asynccontextmanager
async def _counting(stack: Stack) -> AsyncIterator[None]:
    """Put the relay between: sessions that begin behind this go through it."""
    port = stack.postgres.port
    server = await asyncio.get_running_loop().create_server(lambda: Counted(target=port), "127.0.0.1", 0)
    here = server.sockets[0].getsockname()[1]
    stack.policies.write_text(stack.policies.read_text("utf-8").replace(f"port: {port}", f"port: {here}"), "utf-8")
    os.kill(stack.pid, signal.SIGHUP)
    try:
        async with asyncio.timeout(PATIENCE):
            while not Counted.count:
                (await stack.client("ann")).close()
        yield
    finally:
        server.close()
