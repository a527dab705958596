"""A connection and its first query: CPU of the process in between. For the gateway: TLS, the token, policy, catalog, its own login
at the target (SCRAM), the record; keys and catalog are warm, and the token is one that has come before, as from a pool.

`pgbench -C`: each transaction is a connection of its own, of the same person. pgbouncer keeps its connections to the server and gives them
on; so does the gateway where the session before has left nothing behind (docs/adr/0003-spare-connections.md). "anew": where it has, so
that the gateway logs in at the target (measured by HOOP_TARGET_KEEP=0).
"""

from bench import pgbench, ratios
from bench.machine import one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.ways import BOUNCER, DIRECT, GATEWAY, HAPROXY, Way, all_ways

ROUNDS, SECONDS = 3, 2
ANEW = {"HOOP_TARGET_KEEP": "0"}
RATIO = "x pgbouncer"
_OPTIONS = ["-n", "-S", "-C", "-c", "1", "-j", "1", "-T", str(SECONDS)]


async def measure() -> Result:
    """Plain and over TLS, the ways in turn."""
    with one_cpu():
        async with running(fill=pgbench.fill) as stack, all_ways(stack) as ways:
            plain = await _interleaved(ways.of(DIRECT, BOUNCER, HAPROXY, GATEWAY))
            tls = await _interleaved(ways.of_tls(BOUNCER, HAPROXY, GATEWAY))
        async with running(fill=pgbench.fill, environment=ANEW) as stack, all_ways(stack) as ways:
            new = await _interleaved(ways.of(BOUNCER, GATEWAY))
            new_tls = await _interleaved(ways.of_tls(BOUNCER, GATEWAY))
    rows = [_row(way, plain, "") for way in plain] + [_row(way, tls, " TLS") for way in tls]
    rows += [_row(GATEWAY, new, " anew"), _row(GATEWAY, new_tls, " anew, TLS")]
    return Result("connects", rows, [f"{ROUNDS} rounds of {SECONDS} s in turn on one CPU, the median", *ways.missing])


def label(tls: str, way: str) -> str:
    """What a row is called."""
    return f"connect + 1 query{tls} {way}"


async def _interleaved(ways: list[Way]) -> dict[str, list[pgbench.Run]]:
    runs: dict[str, list[pgbench.Run]] = {}
    for way in ways:
        await pgbench.whole(way, [*_OPTIONS[:-2], "-t", "20"])
    for _ in range(ROUNDS):
        for way in ways:
            runs.setdefault(way.name, []).append(await pgbench.whole(way, _OPTIONS))
    return runs


def _row(way: str, runs: dict[str, list[pgbench.Run]], tls: str) -> dict[str, Figure]:
    row: dict[str, Figure] = {"what": label(tls, way), "a second": round(max(run.tps for run in runs[way]))}
    if way == DIRECT:
        return row
    costs = {name: [run.cpu_us / 1000 for run in found] for name, found in runs.items()}
    return row | ratios.columns(costs, way, "CPU ms", {BOUNCER: RATIO}, digits=2)
