"""1,000 sessions that hold a DELETE at once: the gateway's memory a session, idle and held, and the time to store the cards.

The clients (raw sockets) and the chat are in this process, the gateway in its own. In the end all are approved by clicks,
and nothing may be left: no request open, no row undeleted.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping

from bench.client import Client
from bench.machine import allow_files, cpu, memory
from bench.result import Figure, Result
from bench.stack import Stack, running

SESSIONS = 1000
#: At once. Statements wait for the one before to be stored: a burst of 1,000 queues for the store's 10 connections, and
#: what waits there longer than 5 s is refused (57P03).
LOGINS, STATEMENTS, CLICKS = 20, 50, 10
DEADLINE = 150.0
_SETTINGS = {"max_connections": str(SESSIONS + 200)}
_OPEN = "SELECT count(*) FROM hoop.approval WHERE state IN ('pending', 'approved', 'released')"
_CARDS = "SELECT count(*) FROM hoop.outbox"
_EXECUTED = "SELECT count(*) FROM hoop.approval WHERE state = 'executed'"


async def measure() -> Result:
    """Log in, hold, approve, look for what is left. Raises TimeoutError, RuntimeError if anything is left held."""
    allow_files(4 * SESSIONS)
    async with running(_SETTINGS) as stack, asyncio.timeout(DEADLINE):
        return await _measure(stack)


async def _measure(stack: Stack) -> Result:
    rows: list[Mapping[str, Figure]] = []
    (await stack.client("ann")).close()  # catalog, keys and policy are loaded before the first look
    last = _Look(stack.pid)

    def row(what: str, each: int = SESSIONS) -> None:
        nonlocal last
        look = _Look(stack.pid)
        rows.append(look.since(last, what, each))
        last = look

    clients: list[Client] = []

    async def log_in() -> None:
        client = await stack.client("ann")
        await client.run("SELECT 1")
        clients.append(client)

    await _limited((log_in() for _ in range(SESSIONS)), LOGINS)
    row("sessions idle after one SELECT")
    for number, client in enumerate(clients):
        client.send(f"DELETE FROM bench_rows WHERE id = {number + 1}")
        await _until(stack, _CARDS, number + 1 - STATEMENTS, clients)
    await _until(stack, _CARDS, SESSIONS, clients)
    row("held, card in the outbox")
    await stack.cards(SESSIONS, DEADLINE)
    row("card posted to the chat")
    await _limited((stack.approve(number) for number in range(SESSIONS)), CLICKS)
    answers = await asyncio.gather(*(client.answer() for client in clients))
    row("approved by a click, executed")
    await _until(stack, _EXECUTED, SESSIONS, clients)
    left = await stack.store.fetchval(_OPEN)
    if left or set(answers) != {"DELETE 1"}:
        raise RuntimeError(f"{left} requests are still open, answers {set(answers)}")
    for client in clients:
        client.close()
    return Result("held_1000", rows, ["nothing is left open: every request executed, every DELETE deleted its row"])


class _Look:
    """The gateway's memory and CPU at a moment."""

    def __init__(self, pid: int) -> None:
        self.at = time.monotonic()
        self.memory = memory(pid)
        self.cpu = cpu(pid)

    def since(self, before: "_Look", what: str, each: int) -> dict[str, Figure]:
        grown = self.memory["VmRSS"] - before.memory["VmRSS"]
        seconds = self.at - before.at
        return {
            "what": what,
            "s": round(seconds, 2),
            "a second": round(each / seconds),
            "gateway CPU ms each": round((self.cpu - before.cpu) / each * 1000, 2),
            "RSS MiB": round(self.memory["VmRSS"] / 1024, 1),
            "KiB more each": round(grown / each, 1),
        }


async def _limited(work: Iterable[Awaitable[None]], at_once: int) -> None:
    """Run all, so many at once."""
    waiting = iter(work)

    async def worker() -> None:
        for each in waiting:
            await each

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())


async def _until(stack: Stack, count: str, wanted: int, clients: Iterable[Client]) -> None:
    while await stack.store.fetchval(count) < wanted:
        refused = [each.refused for each in clients if each.refused]
        if refused:
            raise RuntimeError(f"{len(refused)} statements were refused, the first by: {refused[0]}")
        await asyncio.sleep(0.02)
