"""Other people's reads while one client sends texts made to crash or stall a parser (enforcement.md 4.1, 19 to 23).

Each bomb is sent over and over by one client while others read; what their reads take is compared with the quiet times
between the bombs. A bomb is answered by whoever refuses it first: the gateway, the parser process, the target.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import Client, Refused
from bench.result import Figure, Result, percentile
from bench.stack import Stack, running

READERS, SECONDS = 4, 3.0
READ = "SELECT name FROM customers WHERE id = 1"
#: A text that only the parser process reads (over 8 kB) and that is a plain read.
BIG = f"SELECT name FROM customers WHERE id IN (1{', 2' * 4_000})"
_SMALL = 8_000  # read on the event loop


def _long(head: str, unit: str, tail: str = "", size: int = _SMALL) -> str:
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


#: Name -> text. Those of 8 kB are read on the event loop, larger ones by the parser process.
BOMBS: Mapping[str, str] = {
    "1+1+1..., 60 kB": "SELECT 1" + "+1" * 30_000,
    "UNION ALL, 360 kB": "SELECT 1" + " UNION ALL SELECT 1" * 20_000,
    "brackets, 40 kB": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "nested comments, 80 kB": "/*" * 20_000 + "*/" * 20_000 + "SELECT 1",
    "IN of 200,000, 400 kB": "SELECT 1 WHERE 1 IN (1" + ",1" * 200_000 + ")",
    "50,000 statements, 450 kB": "SELECT 1;" * 50_000,
    "NOT, 1 MB": "SELECT " + "NOT " * 250_000 + "true",
    "3 MB of blanks": "SELECT 1" + " " * 3_000_000,
    "a reason of blanks, 8 kB": "/* reason:" + " " * _SMALL,
    "1+1+1..., 8 kB": _long("SELECT 1", "+1"),
    "brackets, 8 kB": "SELECT " + "(" * 3_900 + "1" + ")" * 3_900,
    "*, *, *, 8 kB": _long("SELECT *", ",*", " FROM customers a, customers b, customers c"),
    "joins, 8 kB": "SELECT 1 FROM customers a " + " ".join(f"NATURAL JOIN customers b{at}" for at in range(200)),
    "not SQL, 8 kB": _long("SELEC", " (("),
}


@dataclass(slots=True)
class Phase:
    """What happened in one stretch of time: seconds of each read, small and big, and how the bombs were answered."""

    reads: list[float] = field(default_factory=list)
    big: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # reads
    answers: list[str] = field(default_factory=list)
    slowest: float = 0.0


async def measure() -> Result:
    """Quiet, bomb, quiet, bomb ..."""
    async with running() as stack:
        workers = _workers(stack.pid)
        readers = [await stack.client("ann") for _ in range(READERS + 1)]
        for client in readers:
            await client.run(BIG)  # the parser process is there, and the session knows its search_path
        quiet, found = Phase(), dict[str, Phase]()
        for name, text in BOMBS.items():
            _add(quiet, await _phase(stack, readers, None))
            found[name] = await _phase(stack, readers, text)
        alive = await stack.client("ann")
        await alive.run(READ)
        alive.close()
        replaced = len(_workers(stack.pid) - workers)
    rows = [_row("quiet", quiet, quiet), *(_row(name, phase, quiet) for name, phase in found.items())]
    notes = [
        f"{READERS} clients read, each alone: {READ}; one more reads a text of {len(BIG) // 1000} kB",
        f"the gateway lives and answers; parser process at the end: {replaced} that was not there at the start",
    ]
    return Result("bombs", rows, notes)


async def _phase(stack: Stack, readers: list[Client], bomb: str | None) -> Phase:
    phase = Phase()
    bomber = await stack.client("ann") if bomb is not None else None
    until = time.monotonic() + SECONDS
    async with asyncio.TaskGroup() as tasks:
        for client in readers[1:]:
            tasks.create_task(_reading(client, READ, phase, phase.reads, until))
        tasks.create_task(_reading(readers[0], BIG, phase, phase.big, until))
        if bomber is not None and bomb is not None:
            tasks.create_task(_bombing(stack, bomber, bomb, phase, until))
    return phase


async def _reading(client: Client, sql: str, phase: Phase, took: list[float], until: float) -> None:
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            await client.run(sql)
        except Refused as refused:
            phase.refused.append(str(refused))
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.002)  # a person, not a flood: what is measured is the wait, not the throughput


async def _bombing(stack: Stack, client: Client, bomb: str, phase: Phase, until: float) -> None:
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            await client.run(bomb)
            phase.answers.append("ran")
        except Refused as refused:
            phase.answers.append(str(refused)[:60])
        except ConnectionError as gone:
            phase.answers.append(f"closed: {client.refused[:60] or gone}")
            client = await stack.client("ann")
        phase.slowest = max(phase.slowest, time.monotonic() - began)
    client.close()


def _add(quiet: Phase, more: Phase) -> None:
    quiet.reads += more.reads
    quiet.big += more.big
    quiet.refused += more.refused


def _row(name: str, phase: Phase, quiet: Phase) -> dict[str, Figure]:
    p99 = percentile(phase.reads, 99)
    return {
        "what": name,
        "reads": len(phase.reads),
        "p50 ms": round(percentile(phase.reads, 50) * 1000, 1),
        "p99 ms": round(p99 * 1000, 1),
        "x quiet p99": round(p99 / percentile(quiet.reads, 99), 2),
        "max ms": round(max(phase.reads) * 1000, 1),
        "big p50 ms": round(percentile(phase.big, 50) * 1000, 1),
        "big max ms": round(max(phase.big) * 1000, 1),
        "refused": len(phase.refused),
        "bombs": len(phase.answers),
        "slowest s": round(phase.slowest, 2),
        "answered": ", ".join(sorted(set(phase.answers)))[:90],
    }


def _workers(pid: int) -> set[int]:
    """The parser processes under the gateway."""
    children = (Path(each).read_text().split() for each in Path(f"/proc/{pid}/task").glob("*/children"))
    return {
        int(each)
        for line in children
        for each in line
        if b"gateway.relay.parser" in Path(f"/proc/{each}/cmdline").read_bytes()
    }
