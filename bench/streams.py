"""W3, W4 and W3d: 200,000 rows of 145 bytes by SELECT and by COPY, clean, and with a card in one row of a hundred: CPU s a GB.

Plain and over TLS, everything on one CPU, the ways in turn. The client counts bytes and looks at nothing (bench.drain).
"""

import asyncio
from collections.abc import Mapping, Sequence
from statistics import median

from bench import ratios
from bench.drain import Drain
from bench.machine import cpu, one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.ways import BIG_BOUNCER, BOUNCER, CLEAR, DIRECT, GATEWAY, HAPROXY, Way, all_ways
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.sample import SHOP, SHOP_USER

ROUNDS, ROWS = 3, 200_000
RATIO, TUNED = "x pgbouncer", "x 64 KiB"
_NOTE = "'paid on time and left the house, all is well ' || n % 1000"
_TABLE = f"""
CREATE TABLE bench_{{name}} AS
SELECT n AS id, n % 97 AS qty, 'Ann of ' || n % 5000 AS name, 'ann' || n || '@example.com' AS email, md5(n::text) AS token,
       CASE WHEN {{dirty}} THEN 'card 4111 1111 1111 1111 ok' ELSE {_NOTE} END AS note
  FROM generate_series(1, {ROWS}) AS n;
VACUUM ANALYZE bench_{{name}};
GRANT SELECT ON bench_{{name}} TO {SHOP_USER};
"""
WORKLOADS = {
    "W3": "SELECT * FROM bench_clean",
    "W3d": "SELECT * FROM bench_dirty",
    "W4": "COPY bench_clean TO STDOUT",
}
_ORDER = (DIRECT, BOUNCER, BIG_BOUNCER, HAPROXY, CLEAR, GATEWAY)


async def measure() -> Result:
    """Plain, then TLS."""
    with one_cpu():
        async with running(fill=fill) as stack, all_ways(stack) as ways:
            rows = await interleaved("", ways.of(*_ORDER))
            rows += await interleaved(" TLS", ways.of_tls(*_ORDER))
    notes = [
        f"{ROUNDS} rounds in turn on one CPU, the median",
        "W3d: one row of a hundred holds a card, which the gateway masks; the other ways pass it on",
        *ways.missing,
    ]
    return Result("streams", rows, notes)


def label(name: str, tls: str, way: str) -> str:
    """What a row is called."""
    return f"{name}{tls} {way}"


async def fill(postgres: EmbeddedPostgres) -> None:
    """Make the tables."""
    for name, dirty in (("clean", "false"), ("dirty", "n % 100 = 0")):
        await postgres.psql(_TABLE.format(name=name, dirty=dirty), SHOP)


async def interleaved(
    tls: str, ways: Sequence[Way], workloads: Mapping[str, str] = WORKLOADS
) -> list[dict[str, Figure]]:
    """A row of each workload and way, the ways in turn."""
    drains = {way: await asyncio.to_thread(Drain.connect, way) for way in ways}
    costs: dict[str, dict[str, list[float]]] = {}
    speeds: dict[tuple[str, str], list[float]] = {}
    for drain in drains.values():
        for sql in workloads.values():  # the session works it out, the server's cache is warm
            await asyncio.to_thread(drain.read, sql)
    for _ in range(ROUNDS):
        for name, sql in workloads.items():
            for way, drain in drains.items():
                before = cpu(way.pid) if way.pid else 0.0
                size, seconds = await asyncio.to_thread(drain.read, sql)
                used = cpu(way.pid) - before if way.pid else 0.0
                costs.setdefault(name, {}).setdefault(way.name, []).append(used / size * 1e9)
                speeds.setdefault((name, way.name), []).append(size / seconds / 1e6)
    for drain in drains.values():
        drain.close()
    return [
        _row(label(name, tls, way), found, way, median(speeds[name, way]))
        for name, found in costs.items()
        for way in found
    ]


def _row(what: str, found: dict[str, list[float]], way: str, speed: float) -> dict[str, Figure]:
    row: dict[str, Figure] = {"what": what, "MB/s": round(speed)}
    if way == DIRECT:
        return row
    return row | ratios.columns(found, way, "CPU s a GB", {BOUNCER: RATIO, BIG_BOUNCER: TUNED}, digits=2)
