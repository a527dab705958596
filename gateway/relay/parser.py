"""Processes of their own for SQL texts that are too big, or nested too deep, to be read on the event loop.

What lives here: the processes, their deadlines and limits. What SQL means is gateway.sql's business on both ends.

A worker is started anew (never forked, so that it holds none of the gateway's sockets and memory) with an environment that
has no secrets in it. It may be killed at any time: after too much CPU, a deadline, a crash or an answer that makes no sense the
text counts as opaque, with the reason, and a new worker is started before the next text comes.

    gateway                                 worker (python -m gateway.relay.parser)
       |  4 bytes length, text (UTF-8)        |
       | -----------------------------------> |  read(), on a thread with a large stack
       |  4 bytes length, Script (JSON)       |
       | <----------------------------------- |
"""

import asyncio
import resource
import signal
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gateway.sql.effects import opaque
from gateway.sql.parse import claimed_reason, encode, read
from gateway.sql.portable import dump, load
from gateway.sql.statement import Script

MAX_TEXT_BYTES = 1024 * 1024
CPU_SECONDS = 2.0  # of the worker, a text: on a busy machine a harmless text takes longer by the clock
DEADLINE_SECONDS = 20.0  # by the clock
#: Workers: while one is at a text that takes its time, the others' texts go to the next.
WORKERS = 2
START_SECONDS = 30.0  # importing the grammar takes 0.3 s; a machine under load takes longer

MEMORY_BYTES = 2 * 1024**3  # address space: 200,000 constants took 58 MiB as C trees (enforcement.md 4.1, row 23)
STACK_BYTES = 256 * 1024**2
NESTING = 20_000  # Python frames and JSON levels; the large stack carries them
MAX_ANSWER_BYTES = 8 * 1024 * 1024

_READY = b"ready"
_ROOT = str(Path(__file__).resolve().parents[2])  # where the gateway package lies, installed or not


class Parsers:
    """WORKERS parser processes, each started when the ones before it are at work. close() ends them."""

    def __init__(self) -> None:
        self._all = tuple(ParserProcess() for _ in range(WORKERS))
        self._idle: asyncio.LifoQueue[ParserProcess] = asyncio.LifoQueue()
        for each in self._all:
            self._idle.put_nowait(each)

    async def read(self, text: str) -> Script:
        """As ParserProcess.read, by whoever is idle."""
        process = await self._idle.get()
        try:
            return await process.read(text)
        finally:
            self._idle.put_nowait(process)

    async def close(self) -> None:
        for each in self._all:
            await each.close()


class ParserProcess:
    """Reads texts of up to MAX_TEXT_BYTES, one at a time, within `cpu` seconds of the worker's time and `deadline` seconds by
    the clock each. Start is lazy; close() ends it."""

    def __init__(self, *, cpu: float = CPU_SECONDS, deadline: float = DEADLINE_SECONDS) -> None:
        self._cpu = cpu
        self._deadline = deadline
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def read(self, text: str) -> Script:
        """Read a text as gateway.sql.parse.read does; never `too_big`, but opaque where it can't be read in time.

        Raise ProtocolViolation for a NUL or for what can't be UTF-8.
        """
        encoded = encode(text)
        if len(encoded) > MAX_TEXT_BYTES:
            return _given_up(text, f"the text is longer than {MAX_TEXT_BYTES} bytes")
        async with self._turn:
            return await self._ask(text, encoded)

    async def close(self) -> None:
        """End the worker, if there is one. read() may be called again and starts another."""
        async with self._turn:
            await self._stop()

    async def _ask(self, text: str, encoded: bytes) -> Script:
        process = None
        try:
            process = self._process or await self._start()
            async with asyncio.timeout(self._deadline):
                return load(await _exchange(process, encoded), text)
        except TimeoutError:
            reason = f"it couldn't be read within {self._deadline:g} s"
        except EOFError:
            reason = await self._ended(process)
        except (OSError, ValueError, LookupError, TypeError):
            reason = "the parser process failed on it"
        except asyncio.CancelledError:
            await asyncio.shield(self._stop())  # else its answer would be taken for the next text's
            raise
        await self._stop()
        await self._replace()
        return _given_up(text, reason)

    async def _ended(self, process: Process | None) -> str:
        """Why its output ended. It is waited for first: killed when it is dead already, it would be reaped behind asyncio's back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline):
                if process is not None and await process.wait() == -signal.SIGPROF:
                    return f"it couldn't be read within {self._cpu:g} s"
        return "the parser process failed on it"

    async def _replace(self) -> None:
        """Start the next worker while it is this text's sender who waits."""
        try:
            await self._start()
        except (OSError, EOFError):  # TimeoutError is an OSError; the next text tries again
            await self._stop()

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory is no place to import from
            "-m",
            "gateway.relay.parser",
            str(self._cpu),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={"PYTHONPATH": _ROOT},
        )
        self._process = process
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for; this tells mypy
        async with asyncio.timeout(START_SECONDS):
            await process.stdout.readexactly(len(_READY))
        return process

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def _exchange(process: Process, encoded: bytes) -> bytes:
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for; this tells mypy
    assert process.stdout is not None  # noqa: S101 - as above
    process.stdin.write(len(encoded).to_bytes(4) + encoded)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(4))
    if length > MAX_ANSWER_BYTES:
        raise ValueError("the answer is too long")
    return await process.stdout.readexactly(length)


def _given_up(text: str, reason: str) -> Script:
    return Script(text, (opaque(text, reason),), claimed_reason=claimed_reason(text))


# --- the worker's side ---


def answer(text: str) -> bytes:
    """What the worker says about a text: its Script as JSON. Always one that fits MAX_ANSWER_BYTES."""
    script = read(text, max_bytes=MAX_TEXT_BYTES)
    if script.too_big:
        script = _given_up(text, script.facts.get("reason", "it is too big"))
    data = dump(script)
    return data if len(data) <= MAX_ANSWER_BYTES else dump(_given_up(text, "it names too much to be followed"))


def serve(requests: BinaryIO, answers: BinaryIO, cpu: float) -> None:
    """Answer texts until `requests` ends. One that takes more than `cpu` seconds ends the process, by SIGPROF's default."""
    answers.write(_READY)
    answers.flush()
    while header := requests.read(4):
        text = requests.read(int.from_bytes(header)).decode()
        signal.setitimer(signal.ITIMER_PROF, cpu)
        data = answer(text)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(len(data).to_bytes(4) + data)
        answers.flush()


def main() -> None:
    """Set the limits, then serve standard input on a thread whose stack is as large as the nesting that we allow."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold clients' SQL
    sys.setrecursionlimit(NESTING)
    threading.stack_size(STACK_BYTES)
    worker = threading.Thread(target=serve, args=(sys.stdin.buffer, sys.stdout.buffer, float(sys.argv[1])))
    worker.start()
    worker.join()


if __name__ == "__main__":
    main()
