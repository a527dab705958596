"""What one audit entry costs: sealed (canonical JSON, HMAC-SHA-256) and handed to the kernel, against its bare write(2).

A statement is two entries (statement, finished); entries of one turn of the loop share a write.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.result import Figure, Result
from gateway.audit.entry import Value
from gateway.audit.spool import Spool

ROUNDS, ENTRIES = 5, 10_000
STATEMENT: Mapping[str, Value] = {
    "session": "8f31c2aa-17",
    "subject": "person-ann",
    "user": "ann@example.com",
    "groups": ["engineering"],
    "agent": "psql",
    "client": "10.0.0.7",
    "target": "shop",
    "statement": 12,
    "verdict": "allow",
    "rule": "everybody may read",
    "tag": "SELECT",
    "tables": ["public.customers"],
    "sql": "SELECT name, city FROM customers WHERE id = 4711",
}


async def measure() -> Result:
    """Each way in a directory of its own; the spread is over rounds."""
    rows = await asyncio.to_thread(_rows)
    return Result(
        "audit_entry", rows, [f"{ROUNDS} rounds of {ENTRIES} entries, without fsync (the gateway's is in a thread)"]
    )


def _rows() -> list[Mapping[str, Figure]]:
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as base:
        spool = Spool.open(Path(base), "bench:1:0", b"k" * 32, time.time)
        line = (spool.record("statement", **STATEMENT).text + "\n").encode()
        with (Path(base) / "bare").open("ab", buffering=0) as bare:
            ways: dict[str, Callable[[], None]] = {
                "record and flush each": lambda: _recorded(spool, 1),
                "record, flush every 10": lambda: _recorded(spool, 10),
                "bare write(2) of the same bytes": lambda: _written(bare.fileno(), line),
            }
            found = {name: [_timed(way) for _ in range(ROUNDS)] for name, way in ways.items()}
        spool.close()
    baseline = min(found["bare write(2) of the same bytes"])
    return [
        {
            "what": name,
            "us an entry, best": round(min(times), 2),
            "worst": round(max(times), 2),
            "x bare write": round(min(times) / baseline, 1),
            "bytes": len(line),
        }
        for name, times in found.items()
    ]


def _timed(way: Callable[[], None]) -> float:
    """Microseconds an entry."""
    began = time.perf_counter()
    way()
    return (time.perf_counter() - began) / ENTRIES * 1e6


def _recorded(spool: Spool, together: int) -> None:
    for _ in range(ENTRIES // together):
        for _ in range(together):
            spool.record("statement", **STATEMENT)
        spool.flush()
    spool.take()


def _written(file: int, line: bytes) -> None:
    for _ in range(ENTRIES):
        os.write(file, line)
