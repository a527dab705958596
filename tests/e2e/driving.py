"""Client processes: how each driver is started, and what it said, a dict a step.

A driver is a row (test_drivers.DRIVERS); psql's output is read into the same words that clients.py uses for the others.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.demo.postgres import find_binaries
from tests.e2e.clients import literal
from tests.e2e.stack import STEP, Stack

Step = list[Any]
Said = dict[str, Any]

PSQL15 = Path("/usr/lib/postgresql/15/bin/psql")
BUNDLED = find_binaries()


@dataclass(frozen=True)
class Driver:
    """A row: `psql` is the program where it is psql; `cancelled` is what the client says of a statement it cancelled."""

    name: str
    psql: Path | None = None
    cancelled: str = "57014"
    changes: int = 1  # rows of ledger that one `change` is about
    counts: bool = True  # the client is told how many rows changed


@dataclass
class Client:
    """A started client: `said` waits for its end and gives what it said, a dict a step."""

    process: asyncio.subprocess.Process
    read: Callable[[str], list[Said]]

    async def said(self, within: float = STEP) -> list[Said]:
        async with asyncio.timeout(within):
            out, err = await self.process.communicate()
        found = self.read(out.decode())
        assert found or self.process.returncode, err.decode()
        return found

    async def killed(self) -> None:
        self.process.kill()
        async with asyncio.timeout(STEP):
            await self.process.wait()


@asynccontextmanager
async def client(stack: Stack, driver: Driver, who: str, *steps: Step) -> AsyncIterator[Client]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"PGPASSWORD": stack.token(who), "WIRE_PORT": str(stack.port)}
    command = _psql_command(stack, driver.psql, steps) if driver.psql else _driver_command(driver, steps)
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Client(process, _psql_said if driver.psql else _json_said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def _driver_command(driver: Driver, steps: tuple[Step, ...]) -> list[str]:
    return [sys.executable, "-m", "tests.e2e.clients", driver.name, json.dumps(steps)]


def _json_said(text: str) -> list[Said]:
    return [json.loads(line) for line in text.splitlines()]


_MARK = "@@said"


def _psql_command(stack: Stack, program: Path, steps: tuple[Step, ...]) -> list[str]:
    place = f"host={stack.host} port={stack.port} dbname=shop user=hoop sslmode=disable application_name=psql"
    words = [str(program), "-XqAt", "-F", "\t", "-d", place]
    for what, *rest in steps:
        words += ["-c", literal(*rest) if rest else what.upper(), "-c", rf"\echo {_MARK} :SQLSTATE :ROW_COUNT"]
    return words


def _psql_said(text: str) -> list[Said]:
    """psql's output, read into what the drivers say."""
    found: list[Said] = []
    rows: list[list[Any]] = []
    for line in text.splitlines():
        if not line.startswith(_MARK):
            rows.append([int(each) if each.isdigit() else each for each in line.split("\t")])
            continue
        _, sqlstate, count = line.split()
        found.append({"error": sqlstate} if sqlstate != "00000" else {"rows": rows, "count": int(count)})
        rows = []
    return found
