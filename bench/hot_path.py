"""The path of a statement that nobody holds, for whoever works on it: W1 and W2 against relays and pgbouncer, and a profile.

Everything (server, gateway, pgbench) is on one CPU and the ways take turns. The profile is taken apart from it.
"""

import pstats
import tempfile
from pathlib import Path

from bench import pgbench, ratios
from bench.machine import one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.transactions import options
from bench.ways import BOUNCER, GATEWAY, RECORDER, RELAY, TURNS, Way, all_ways

ROUNDS = 3
WORKLOADS = (("simple", 1), ("simple", 8), ("prepared", 1), ("prepared", 8))
PROFILED, TOP = 10, 12


async def measure() -> Result:
    """All ways and workloads, interleaved; then the profile."""
    rows: list[dict[str, Figure]] = []
    with one_cpu():
        async with running(fill=pgbench.fill) as stack, all_ways(stack) as ways:
            for protocol, clients in WORKLOADS:
                costs: dict[str, list[float]] = {}
                for _ in range(ROUNDS):
                    for way in ways.of(RELAY, TURNS, RECORDER, BOUNCER, GATEWAY):
                        run = await pgbench.steady(way, options(protocol, clients))
                        costs.setdefault(way.name, []).append(run.cpu_us)
                against = {RELAY: "x bare relay", BOUNCER: "x pgbouncer"}
                rows += [
                    {"what": f"{protocol} c{clients} {way}", **ratios.columns(costs, way, "CPU us a txn", against)}
                    for way in costs
                ]
    notes = [f"{ROUNDS} rounds in turn on one CPU, the median", *ways.missing]
    return Result("hot_path", rows, [*notes, *await _profile()])


async def _profile() -> list[str]:
    """The functions with the most time of their own while pgbench runs."""
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as base:
        file = Path(base) / "profile"
        async with running(command=("-m", "cProfile", "-o", str(file), "-m", "gateway"), fill=pgbench.fill) as stack:
            way = Way(GATEWAY, stack.wire, stack.issuer.mint("ann"), stack.pid)
            run = await pgbench.whole(way, [*options("simple", 8), "-T", str(PROFILED)])
        stats = pstats.Stats(str(file))
    transactions = run.tps * PROFILED
    text = ["profile, simple c8, own time in us a transaction (cProfile stretches small functions):"]
    found = sorted(stats.stats.items(), key=lambda each: each[1][2], reverse=True)  # type: ignore[attr-defined]
    for (path, line, name), (_, calls, own, _, _) in found[:TOP]:
        where = f"{Path(path).parent.name}/{Path(path).name}:{line}" if line else "built in"
        text.append(f"  {own / transactions * 1e6:6.1f} us  {calls / transactions:5.1f} calls  {name} ({where})")
    return text
