"""What `hoop audit verify` costs an entry: a spool of ENTRIES read, each hash worked out again, the chain followed.

Without a store: the same is done there once more, page by page, and waits for the database.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench.audit_entry import STATEMENT
from bench.result import Figure, Result
from gateway.audit.log import verify
from gateway.audit.spool import Spool

ROUNDS, ENTRIES = 3, 20_000
_KEY = b"k" * 32


async def measure() -> Result:
    """The best and the worst of the rounds. Raises RuntimeError where the spool does not verify."""
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as base:
        await asyncio.to_thread(_written, Path(base))
        size = sum(each.stat().st_size for each in Path(base).iterdir())
        times = [await _verified(Path(base)) for _ in range(ROUNDS)]
    row: dict[str, Figure] = {
        "what": f"verify a spool of {ENTRIES} entries",
        "us an entry, best": round(min(times) / ENTRIES * 1e6, 2),
        "worst": round(max(times) / ENTRIES * 1e6, 2),
        "entries a second": round(ENTRIES / min(times)),
        "MB/s": round(size / min(times) / 1e6, 1),
    }
    return Result("audit_verify", [row], [f"{ROUNDS} rounds"])


def _written(directory: Path) -> None:
    spool = Spool.open(directory, "bench:1:0", _KEY, time.time)
    for number in range(ENTRIES):
        spool.record("statement", **STATEMENT)
        if number % 100 == 99:
            spool.flush()
            spool.take()
    spool.checkpoint()
    spool.close()


async def _verified(directory: Path) -> float:
    """Seconds."""
    began = time.perf_counter()
    report = await verify(None, directory, _KEY, grace=0)
    took = time.perf_counter() - began
    if not report.ok:
        raise RuntimeError(f"the spool does not verify: {report.findings[:3]}")
    return took
