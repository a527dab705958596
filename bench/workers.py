"""`hoop serve --workers`: transactions a second through one worker and through as many as there are CPUs, against going direct.

`pgbench -S -M prepared` on all CPUs, where pgbench and the server's own processes take their part, and workloads of which the
gateway's part is larger: 1,000 rows of 100 bytes that detectors look at, and a connection for each query. All ways take turns in each round; a gateway that isn't asked takes 1 % of a CPU. CPU is that of all of a gateway's processes.
"""

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import pgbench, ratios
from bench.machine import cpu, memory
from bench.result import Figure, Result
from bench.stack import Stack, running
from bench.ways import DIRECT, Tls, Way

ROUNDS, SECONDS, CLIENTS = 5, 3, 16
_ROWS = Path(__file__).with_name("workers.sql")
#: pgbench's options, and TLS to the gateway; direct is always plain.
WORKLOADS: dict[str, tuple[tuple[str, ...], Tls]] = {
    "prepared": (("-S", "-M", "prepared"), ""),
    "prepared TLS": (("-S", "-M", "prepared"), "postgres"),
    "1,000 rows": (("-f", str(_ROWS), "-M", "prepared"), ""),
    "connect + 1 query TLS": (("-S", "-C"), "postgres"),
}
ONE = "1 worker"


@dataclass(slots=True)
class _Found:
    """Of each way: transactions a second, and CPU us a transaction of a gateway, one figure a round."""

    tps: dict[str, list[float]] = field(default_factory=dict)
    used: dict[str, list[float]] = field(default_factory=dict)


async def measure() -> Result:
    """In turn: direct, one worker, then as many as there are CPUs."""
    async with AsyncExitStack() as opened:
        one, many = [
            await opened.enter_async_context(running(fill=pgbench.fill, workers=count))
            for count in (1, os.cpu_count() or 2)
        ]
        stacks = {ONE: one, f"{os.cpu_count() or 2} workers": many}
        rows: list[dict[str, Figure]] = []
        for name, (options, tls) in WORKLOADS.items():
            found = _Found()
            for _ in range(ROUNDS):
                await _round(found, stacks, options, tls)
            rows += [_row(f"{name} {way}", way, found) for way in found.tps]
        mib = {
            name: round(sum(memory(pid)["RssAnon"] for pid in _family(each.pid)) / 1024)
            for name, each in stacks.items()
        }
    note = f"{ROUNDS} rounds of {SECONDS} s in turn, c{CLIENTS}, logging in included; the median"
    return Result("workers", rows, [note, *(f"{name}: {each} MiB of its own" for name, each in mib.items())])


async def _round(found: _Found, stacks: dict[str, Stack], workload: tuple[str, ...], tls: Tls) -> None:
    options = ["-n", *workload, "-c", str(CLIENTS), "-j", "2", "-T", str(SECONDS)]
    first = stacks[ONE]
    run = await pgbench.whole(Way(DIRECT, first.postgres.port, first.password), options)
    found.tps.setdefault(DIRECT, []).append(run.tps)
    for name, stack in stacks.items():
        before = _cpu(stack)
        run = await pgbench.whole(Way(name, stack.wire, stack.issuer.mint("ann", lifetime=3600), tls=tls), options)
        found.tps.setdefault(name, []).append(run.tps)
        found.used.setdefault(name, []).append((_cpu(stack) - before) / (run.tps * SECONDS) * 1e6)


def _row(what: str, way: str, found: _Found) -> dict[str, Figure]:
    row: dict[str, Figure] = {
        "what": what,
        **ratios.columns(found.tps, way, "tps", {DIRECT: "x direct", ONE: "x 1 worker"}, 0),
    }
    if way in found.used:
        row["CPU us a txn"] = round(median(found.used[way]))
    return row


def _cpu(stack: Stack) -> float:
    return sum(cpu(pid) for pid in _family(stack.pid))


def _family(pid: int) -> Iterator[int]:
    """A process and its children, those of parser processes too."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))
