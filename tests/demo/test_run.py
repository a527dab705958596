"""`hoop demo` as its own process: what it prints can be pasted, and nothing stays behind."""

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parents[2]
#: A deadline, not an expectation: it starts in 3 seconds on an idle machine.
WITHIN = 60.0
COMMAND = (sys.executable, "-m", "gateway", "demo", "--port", "0", "--http-port")


@asynccontextmanager
async def demo() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running demo and what it printed when it was up."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "0", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN):
            welcome = await process.stdout.readuntil(b"Ctrl-C\n")
        yield process, welcome.decode()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def mode(path: str) -> int | None:
    """The file's permissions; None where its whole directory is gone."""
    place = Path(path)
    return place.stat().st_mode & 0o777 if place.parent.exists() else None


def append(path: str, text: str) -> None:
    """Edit a file."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_lines_work_and_nothing_is_left(number: signal.Signals) -> None:
    async with demo() as (process, welcome):
        token, place = re.findall(r"PGPASSWORD=(\S+) \\\n\s+\S+ '([^']+)'", welcome)[0]
        async with await psycopg.AsyncConnection.connect(place, password=token) as connection:
            rows = await (await connection.execute("SELECT card_number FROM customers LIMIT 1")).fetchall()
            assert rows[0][0].startswith("**** ")
        file = re.findall(r"^   \. (\S+)$", welcome, re.MULTILINE)[0]
        assert mode(file) == 0o600  # it holds the store's password and the audit key
        for verb in (
            "check",
            "audit verify",
            "doctor",
            "explain --target shop --user ann --group engineering 'SELECT 1'",
        ):
            script = f". {shlex.quote(file)}; {shlex.quote(sys.executable)} -m gateway {verb}"
            done = await asyncio.to_thread(
                subprocess.run, ["/bin/sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN
            )
            assert done.returncode == 0, done.stdout + done.stderr
        process.send_signal(number)
        async with asyncio.timeout(WITHIN):
            assert await process.wait() == 0
        assert mode(file) is None


async def test_a_port_that_is_taken_is_no_riddle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = await asyncio.to_thread(
            subprocess.run, [*COMMAND, port], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN, env=os.environ
        )
    assert done.returncode == 2
    assert port in done.stderr
    assert "Other ports: hoop demo --port" in done.stderr


async def test_a_policy_that_is_edited_is_said_to_be_loaded() -> None:
    async with demo() as (process, welcome):
        assert process.stdout is not None
        append(re.findall(r"The policy is (\S+):", welcome)[0], "\nlimits: {open_requests_per_user: 9}\n")
        async with asyncio.timeout(WITHIN):
            line = await process.stdout.readline()
        assert re.fullmatch(r"The policy was loaded again: 7 rules, version \S+", line.decode().strip())
