"""`hoop serve --workers`: transactions a second through one worker and through as many as there are CPUs, against going direct.

`pgbench -S -M prepared` on all CPUs: pgbench and the server's own processes take their part, so two workers can't be twice as fast on
two CPUs. All ways take turns in each round; a gateway that isn't asked takes 1 % of a CPU. CPU is that of all of a gateway's processes.
"""

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from bench import pgbench, ratios
from bench.machine import cpu, memory
from bench.result import Figure, Result
from bench.stack import Stack, running
from bench.ways import DIRECT, Way

ROUNDS, SECONDS, CLIENTS = 5, 4, 16
_OPTIONS = ["-n", "-S", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(SECONDS)]


async def measure() -> Result:
    """In turn: direct, one worker, then as many as there are CPUs."""
    counts = (1, os.cpu_count() or 2)
    async with AsyncExitStack() as opened:
        stacks = {
            f"{count} workers" if count > 1 else "1 worker": await opened.enter_async_context(
                running(fill=pgbench.fill, workers=count)
            )
            for count in counts
        }
        first = next(iter(stacks.values()))
        ways = {DIRECT: Way(DIRECT, first.postgres.port, first.password)}
        ways |= {name: Way(name, each.wire, each.issuer.mint("ann", lifetime=3600)) for name, each in stacks.items()}
        tps: dict[str, list[float]] = {name: [] for name in ways}
        used: dict[str, list[float]] = {name: [] for name in stacks}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                before = _cpu(stacks.get(name))
                run = await pgbench.whole(way, _OPTIONS)
                tps[name].append(run.tps)
                if name in used:
                    used[name].append((_cpu(stacks[name]) - before) / (run.tps * SECONDS) * 1e6)
        rows = [_row(name, tps, used, stacks.get(name)) for name in ways]
    return Result(
        "workers", rows, [f"{ROUNDS} rounds of {SECONDS} s in turn, c{CLIENTS}, logging in included; the median"]
    )


def _row(
    name: str, tps: dict[str, list[float]], used: dict[str, list[float]], stack: Stack | None
) -> dict[str, Figure]:
    row: dict[str, Figure] = {
        "what": name,
        **ratios.columns(tps, name, "tps", {DIRECT: "x direct", "1 worker": "x 1 worker"}, 0),
    }
    if stack is not None:
        row["CPU us a txn"] = round(median(used[name]))
        row["MiB"] = round(sum(memory(pid)["RssAnon"] for pid in _family(stack.pid)) / 1024)
    return row


def _cpu(stack: Stack | None) -> float:
    return sum(cpu(pid) for pid in _family(stack.pid)) if stack is not None else 0.0


def _family(pid: int) -> Iterator[int]:
    """A process and its children, those of parser processes too."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))
