"""What a user notices: transactions a second lost against going direct (8 clients, both CPUs), and the latency added to a query
of one connection (p50).

One client is measured pinned as well: on two CPUs its wake-ups cross from one to the other or don't, so that the same binary
takes two figures.
"""

from collections.abc import Sequence
from statistics import median

from bench import pgbench
from bench.machine import one_cpu
from bench.result import Figure, Result, percentile
from bench.stack import running
from bench.transactions import options
from bench.ways import BOUNCER, DIRECT, GATEWAY, HAPROXY, all_ways

ROUNDS, SECONDS = 3, 2
LOST, ADDED = "lost %", "added p50 us"
#: Kept on one CPU or not: name, protocol, clients.
WORKLOADS = {
    "": (("W1", "simple", 8), ("W2", "prepared", 8), ("W2", "prepared", 1)),
    " pinned": (("W2", "prepared", 1),),
}


async def measure() -> Result:
    """All in turn. The pinned rows have a stack of their own: children stay where they were started."""
    free, missing = await _measured("")
    with one_cpu():
        pinned, _ = await _measured(" pinned")
    return Result("noticed", [*free, *pinned], [f"{ROUNDS} rounds of {SECONDS} s in turn, the median", *missing])


async def _measured(where: str) -> tuple[list[dict[str, Figure]], Sequence[str]]:
    rows: list[dict[str, Figure]] = []
    async with running(fill=pgbench.fill) as stack, all_ways(stack) as ways:
        for name, protocol, clients in WORKLOADS[where]:
            runs: dict[str, list[pgbench.Run]] = {}
            for _ in range(ROUNDS):
                for way in ways.of(DIRECT, BOUNCER, HAPROXY, GATEWAY):
                    wanted = [*options(protocol, clients), "-T", str(SECONDS)]
                    runs.setdefault(way.name, []).append(await pgbench.whole(way, wanted, latencies=True))
            rows += [_row(label(name, clients, where, way), runs, way) for way in runs]
    return rows, ways.missing


def label(name: str, clients: int, where: str, way: str) -> str:
    """What a row is called."""
    return f"{name} c{clients}{where} {way}"


def _row(what: str, runs: dict[str, list[pgbench.Run]], way: str) -> dict[str, Figure]:
    tps, p50 = median(run.tps for run in runs[way]), _p(runs[way], 50)
    row: dict[str, Figure] = {"what": what, "tps": round(tps), "p50 us": p50, "p99 us": _p(runs[way], 99)}
    if way == DIRECT:
        return row
    lost = [1 - mine.tps / its.tps for mine, its in zip(runs[way], runs[DIRECT], strict=True)]
    row[LOST] = round(median(lost) * 100, 1)
    row["spread"] = f"{min(lost) * 100:.0f}-{max(lost) * 100:.0f}"
    row[ADDED] = round(p50 - _p(runs[DIRECT], 50), 1)
    return row


def _p(runs: list[pgbench.Run], part: float) -> float:
    """The median of the rounds' percentiles, us."""
    return median(percentile(run.latencies, part) for run in runs)
