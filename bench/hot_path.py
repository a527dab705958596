"""The path of a statement that nobody holds: `pgbench -S` through the gateway, against direct, a bare relay and pgbouncer.

Everything (server, gateway, pgbench) is on one CPU and the ways take turns, so that ratios hold on a busy machine. CPU is
the relay process's own, by /proc/PID/task/*/schedstat, a transaction. A profile of the gateway is taken apart from it.
"""

import asyncio
import os
import pstats
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import cpu, one_cpu
from bench.result import Figure, Result
from bench.stack import Stack, running
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.sample import SHOP, SHOP_USER

ROUNDS, SECONDS, SCALE = 3, 2, 10
WORKLOADS = (("simple", 1), ("simple", 8), ("prepared", 1), ("prepared", 8))
PROFILED, TOP = 10, 12
_GRANT = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {SHOP_USER};"
_BOUNCER = """[databases]
shop = host=127.0.0.1 port={target} dbname=shop user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = session
server_reset_query = DISCARD ALL
unix_socket_dir =
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the database: a port, a password, and the process in between (None: there is none)."""

    name: str
    port: int
    password: str = field(repr=False)
    pid: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """One pgbench run."""

    tps: float
    latency_us: float
    cpu_us: float


async def measure() -> Result:
    """All ways and workloads, interleaved; then the profile."""
    with one_cpu():
        async with running(fill=_fill) as stack, AsyncExitStack() as others:
            ways = [
                Way("direct", stack.postgres.port, stack.password, None),
                await others.enter_async_context(bare_relay(stack)),
                Way("gateway", stack.wire, stack.issuer.mint("ann", lifetime=3600), stack.pid),
            ]
            notes = ["everything on one CPU; best of the rounds for tps, the median for CPU"]
            if shutil.which("pgbouncer"):
                ways.insert(2, await others.enter_async_context(_pgbouncer(stack)))
            else:
                notes.append("pgbouncer is not installed, so there is no row for it")
            runs = await _interleaved(stack, ways)
    return Result("hot_path", [*_rows(ways, runs)], [*notes, *await _profile()])


async def _fill(postgres: EmbeddedPostgres) -> None:
    place = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", postgres.superuser]
    await _run_pgbench(postgres, ["-i", "-q", "-s", str(SCALE), *place, SHOP], postgres.password)
    await postgres.psql(_GRANT, SHOP)


async def _run_pgbench(postgres: EmbeddedPostgres, arguments: list[str], password: str) -> str:
    pgbench = await asyncio.create_subprocess_exec(
        str(postgres.binaries / "pgbench"),
        *arguments,
        env={"PGPASSWORD": password, "PGSSLMODE": "disable", "PATH": os.defpath, "LC_ALL": "C"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problem = await pgbench.communicate()
    if pgbench.returncode:
        raise RuntimeError(f"pgbench failed: {problem.decode()[-500:]}")
    return out.decode()


async def _select(stack: Stack, way: Way, protocol: str, clients: int, seconds: int) -> Run:
    place = ["-h", "127.0.0.1", "-p", str(way.port), "-U", SHOP_USER]
    options = ["-n", "-S", "-M", protocol, "-c", str(clients), "-j", "1", "-T", str(seconds)]
    before = cpu(way.pid) if way.pid else 0.0
    text = await _run_pgbench(stack.postgres, [*options, *place, SHOP], way.password)
    used = cpu(way.pid) - before if way.pid else 0.0
    count, latency, tps = (float(_found(text, each)) for each in ("processed: ", "latency average = ", "tps = "))
    return Run(tps, latency * 1000, used / count * 1e6)


def _found(text: str, before: str) -> str:
    found = re.search(re.escape(before) + r"([\d.]+)", text)
    if found is None:
        raise RuntimeError(f"pgbench said no {before!r}: {text[-500:]}")
    return found[1]


async def _interleaved(stack: Stack, ways: list[Way]) -> Mapping[tuple[str, str, int], list[Run]]:
    runs: dict[tuple[str, str, int], list[Run]] = {}
    for _ in range(ROUNDS):
        for protocol, clients in WORKLOADS:
            for way in ways:
                run = await _select(stack, way, protocol, clients, SECONDS)
                runs.setdefault((way.name, protocol, clients), []).append(run)
    return runs


def _rows(ways: list[Way], runs: Mapping[tuple[str, str, int], list[Run]]) -> list[dict[str, Figure]]:
    rows = []
    for protocol, clients in WORKLOADS:
        bare = _median([run.cpu_us for run in runs["bare relay", protocol, clients]])
        for way in ways:
            found = runs[way.name, protocol, clients]
            cpus = [run.cpu_us for run in found]
            row: dict[str, Figure] = {
                "what": f"{protocol} c{clients} {way.name}",
                "tps": round(max(run.tps for run in found)),
                "latency us": round(min(run.latency_us for run in found), 1),
            }
            if way.pid:
                row["CPU us a txn"] = round(_median(cpus), 1)
                row["spread"] = f"{min(cpus):.1f}-{max(cpus):.1f}"
                row["x bare relay"] = round(_median(cpus) / bare, 2)
            rows.append(row)
    return rows


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@asynccontextmanager
async def bare_relay(stack: Stack) -> AsyncIterator[Way]:
    """A process of bench.relay in front of the target."""
    port = _free_port()
    async with _process(sys.executable, "-m", "bench.relay", str(port), str(stack.postgres.port)) as pid:
        await _listening(port)
        yield Way("bare relay", port, stack.password, pid)


@asynccontextmanager
async def _pgbouncer(stack: Stack) -> AsyncIterator[Way]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as base:
        Path(base).chmod(0o755)
        config = Path(base) / "pgbouncer.ini"
        config.write_text(
            _BOUNCER.format(target=stack.postgres.port, user=SHOP_USER, password=stack.password, port=port)
        )
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        async with _process("pgbouncer", "-q", *user, str(config)) as pid:
            await _listening(port)
            yield Way("pgbouncer", port, stack.password, pid)


@asynccontextmanager
async def _process(*command: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def _profile() -> list[str]:
    """The ten functions with the most time of their own while pgbench runs."""
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as base:
        file = Path(base) / "profile"
        async with running(command=("-m", "cProfile", "-o", str(file), "-m", "gateway"), fill=_fill) as stack:
            way = Way("gateway", stack.wire, stack.issuer.mint("ann"), stack.pid)
            run = await _select(stack, way, "simple", 8, PROFILED)
        stats = pstats.Stats(str(file))
    transactions = run.tps * PROFILED
    text = ["profile, simple c8, own time in us a transaction (cProfile stretches small functions):"]
    found = sorted(stats.stats.items(), key=lambda each: each[1][2], reverse=True)  # type: ignore[attr-defined]
    for (path, line, name), (_, calls, own, _, _) in found[:TOP]:
        where = f"{Path(path).parent.name}/{Path(path).name}:{line}" if line else "built in"
        text.append(f"  {own / transactions * 1e6:6.1f} us  {calls / transactions:5.1f} calls  {name} ({where})")
    return text
