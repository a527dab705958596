"""What masking costs a stream of rows: MB/s and CPU seconds a GB, clean, one row in a hundred dirty, and with a planned column.

    direct        no gateway                        no masking    the gateway, for somebody who may see everything clear
    bare relay    bytes copied, nothing looked at   clean, dirty  the detectors look at every row
                                                    planned       a column is replaced in every row, the rest looked at

All ways take turns on one CPU, so that ratios hold on a busy machine; CPU is that of the process in between. Then one result of
STREAMED bytes, and how far the gateway's memory went meanwhile.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from bench.client import Client
from bench.machine import cpu, forget_peak, memory, one_cpu
from bench.result import Figure, Result, percentile
from bench.stack import Stack, running
from bench.ways import bare_relay
from gateway.demo.sample import SHOP, SHOP_USER
from gateway.policy.model import load
from gateway.relay.target import connect

ROUNDS, ROWS = 5, 60_000
STREAMED = 1 << 30
PATIENCE = 60.0
_LINE = "'order ' || n || ' left the house on time and was signed for by the neighbour; nothing else to say about it, row ' || n"
_TABLE = f"""
CREATE TABLE bench_{{name}} AS
SELECT n AS id, md5(n::text)::uuid AS code, now() AS at, n * 1.5 AS price,
       {_LINE} AS note, {_LINE} AS more, {_LINE} AS rest, CASE WHEN {{dirty}} THEN '4111 1111 1111 1111' ELSE {_LINE} END AS last
  FROM generate_series(1, {ROWS}) AS n;
GRANT SELECT ON bench_{{name}} TO {SHOP_USER};
"""
_TABLES = "".join(
    _TABLE.format(name=name, dirty=dirty)
    for name, dirty in (("clean", "false"), ("dirty", "n % 100 = 0"), ("planned", "false"))
)
_ONE_ROW = "repeat('all is well with this order, nothing to hide; ', 22)"
_BYTES_A_ROW = 22 * 46 + 11
STREAM = f"SELECT {_ONE_ROW} FROM generate_series(1, {STREAMED // _BYTES_A_ROW + 1})"


@dataclass(frozen=True, slots=True)
class Way:
    """A client, the query that it runs, and the process in between (None: there is none)."""

    name: str
    client: Client
    table: str
    pid: int | None

    @property
    def sql(self) -> str:
        return f"SELECT * FROM bench_{self.table}"


@dataclass(frozen=True, slots=True)
class Run:
    """One result, read to its end."""

    size: int  # bytes
    seconds: float
    cpu: float  # seconds

    @property
    def speed(self) -> float:
        """MB/s."""
        return self.size / self.seconds / 1e6

    @property
    def cost(self) -> float:
        """CPU seconds a GB."""
        return self.cpu / self.size * 1e9


async def measure() -> Result:
    """All ways in turn, then the one big result."""
    with one_cpu():
        async with running() as stack, AsyncExitStack() as others:
            await stack.postgres.psql(_TABLES, SHOP)
            relay = await others.enter_async_context(bare_relay(stack))
            assert relay.pid is not None
            ways = [
                Way("direct", await stack.direct(), "clean", None),
                Way("bare relay", await _through(stack, relay.port), "clean", relay.pid),
                Way("no masking", await stack.client("bob"), "clean", stack.pid),
                Way("clean", await stack.client("ann"), "clean", stack.pid),
                Way("1 % dirty", await stack.client("ann"), "dirty", stack.pid),
                Way("planned column", await stack.client("ann"), "planned", stack.pid),
            ]
            await _known(ways[3].client, ways[0].client)
            runs = await _interleaved(ways)
            streamed = await _streamed(stack)
    return Result("masking", _rows(ways, runs), [f"{ROUNDS} rounds, the median; everything on one CPU", streamed])


async def _through(stack: Stack, port: int) -> Client:
    """A client of the target that reaches it at another port."""
    target = replace(load(stack.policies.read_text("utf-8")).targets["shop"], port=port)
    return Client.adopt((await connect(target, stack.password, {"application_name": "bench"})).door)


async def _known(through: Client, direct: Client) -> None:
    """Wait until the gateway has read the catalog with our tables in it: until then it redacts what it can't trace."""
    sql = "SELECT * FROM bench_clean LIMIT 100"
    await direct.read(sql)
    async with asyncio.timeout(PATIENCE):
        while await through.read(sql) and through.received != direct.received:
            await asyncio.sleep(1)


async def _interleaved(ways: list[Way]) -> Mapping[str, list[Run]]:
    runs: dict[str, list[Run]] = {way.name: [] for way in ways}
    for way in ways:
        await way.client.run(way.sql)  # the first one warms the server's cache and the session
    for _ in range(ROUNDS):
        for way in ways:
            runs[way.name].append(await _run(way))
    return runs


async def _run(way: Way) -> Run:
    before = cpu(way.pid) if way.pid else 0.0
    seconds = await way.client.read(way.sql)
    return Run(way.client.received, seconds, cpu(way.pid) - before if way.pid else 0.0)


def _rows(ways: list[Way], runs: Mapping[str, list[Run]]) -> list[dict[str, Figure]]:
    bare = percentile([run.cost for run in runs["no masking"]], 50)
    rows = []
    for way in ways:
        found = runs[way.name]
        costs = [run.cost for run in found]
        row: dict[str, Figure] = {
            "what": way.name,
            "MB": round(found[0].size / 1e6, 1),
            "MB/s": round(percentile([run.speed for run in found], 50)),
        }
        if way.pid:
            row["CPU s a GB"] = round(percentile(costs, 50), 2)
            row["least"], row["most"] = round(min(costs), 2), round(max(costs), 2)
            row["x no masking"] = round(percentile(costs, 50) / bare, 2)
        rows.append(row)
    return rows


async def _streamed(stack: Stack) -> str:
    client = await stack.client("ann")
    await client.run("SELECT 1")
    before = memory(stack.pid)["VmRSS"]
    forget_peak(stack.pid)
    seconds = await client.read(STREAM)
    peak = memory(stack.pid)["VmHWM"]
    return (
        f"a result of {client.received / (1 << 30):.2f} GiB, looked at by the detectors: {client.received / seconds / 1e6:.0f} MB/s, "
        f"the gateway's resident memory went from {before / 1024:.0f} to at most {peak / 1024:.0f} MiB"
    )
