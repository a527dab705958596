"""W2 c8 and W3 of a gateway that nothing is compiled of, whatever this one is: what a machine without a compiler has.

The gateway runs from a copy of the package without its compiled files.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gateway
from bench import pgbench, streams, transactions
from bench.machine import one_cpu
from bench.result import Result
from bench.stack import running
from bench.ways import BOUNCER, CLEAR, GATEWAY, all_ways
from gateway.demo.postgres import EmbeddedPostgres

_START = "import runpy, sys; sys.path.insert(0, {folder!r}); runpy.run_module('gateway', run_name='__main__', alter_sys=True)"


async def measure() -> Result:
    """Both beside pgbouncer, on one CPU."""
    with one_cpu(), _sources() as folder:
        async with (
            running(transactions.SETTINGS, command=("-c", _START.format(folder=str(folder))), fill=_fill) as stack,
            all_ways(stack) as ways,
        ):
            rows = await transactions.interleaved("", (("W2", "prepared", 8),), ways.of(BOUNCER, GATEWAY))
            rows += await streams.interleaved("", ways.of(BOUNCER, CLEAR), {"W3": streams.WORKLOADS["W3"]})
    return Result("uncompiled", rows, [f"{transactions.ROUNDS} rounds in turn on one CPU, the median", *ways.missing])


async def _fill(postgres: EmbeddedPostgres) -> None:
    await pgbench.fill(postgres)
    await streams.fill(postgres)


@contextmanager
def _sources() -> Iterator[Path]:
    """A folder with the packages, as text only."""
    root = Path(gateway.__file__).parents[1]
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as folder:
        for package in ("gateway", "bots"):
            shutil.copytree(
                root / package, Path(folder) / package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
            )
        yield Path(folder)
