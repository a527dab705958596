"""W5: what a session over TLS takes of memory, idle after one query and held, beside pgbouncer and haproxy.

Resident memory of the process in between, grown over so many sessions more, behind some that warm its caches. Kernel
buffers are not in it. Each session of the gateway has a connection of its own to the target, as a pooler's session has.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

from bench.client import Client
from bench.machine import allow_files, cpu, memory
from bench.result import Figure, Result
from bench.stack import Stack, running
from bench.ways import BOUNCER, GATEWAY, HAPROXY, Way, all_ways

SESSIONS, WARM, LOGINS, STATEMENTS = 300, 30, 10, 30
IDLE_SECONDS = 3.0
_SETTINGS = {"max_connections": str(3 * (SESSIONS + WARM) + 100)}
_CARDS = "SELECT count(*) FROM hoop.outbox"
IDLE, HELD, KIB = "idle, TLS", "held, TLS", "KiB a session"


async def measure() -> Result:
    """Each way's sessions, open at the same time; then all of the gateway's hold a DELETE. Plain ones of the gateway last."""
    allow_files(8 * SESSIONS)
    rows: list[dict[str, Figure]] = []
    async with running(_SETTINGS) as stack, all_ways(stack) as ways:
        held: list[Client] = []
        person = stack.issuer.mint("ann", lifetime=3600)  # whose DELETE is held
        own = [replace(way, password=person) for way in (*ways.of_tls(GATEWAY), *ways.of(GATEWAY))]
        for way in [*ways.of_tls(BOUNCER, HAPROXY), *own]:
            row, clients = await _idle(way)
            rows.append(row)
            if way.name == GATEWAY and way.tls:
                held, rows = clients, [*rows, await _held(stack, way, clients, float(row[KIB]))]
            for client in clients:
                client.close()
        del held
    return Result("sessions", rows, [f"{SESSIONS} sessions behind {WARM} others; resident memory", *ways.missing])


async def _idle(way: Way) -> tuple[dict[str, Figure], list[Client]]:
    assert way.pid is not None
    clients: list[Client] = []

    async def one() -> None:
        client = await Client.log_in(way.port, way.password, way.tls)
        await client.run("SELECT name FROM customers WHERE id = 1")
        clients.append(client)

    await _limited(WARM, one)
    base, used = memory(way.pid)["VmRSS"], cpu(way.pid)
    await _limited(SESSIONS, one)
    grown, used = memory(way.pid)["VmRSS"] - base, cpu(way.pid) - used
    quiet = cpu(way.pid)
    await asyncio.sleep(IDLE_SECONDS)
    quiet = cpu(way.pid) - quiet
    return {
        "what": f"{IDLE if way.tls else 'idle, plain'} {way.name}",
        "base MiB": round(base / 1024, 1),
        KIB: round(grown / SESSIONS, 1),
        "CPU ms to connect": round(used / SESSIONS * 1000, 2),
        "idle CPU %": round(quiet / IDLE_SECONDS * 100, 2),
    }, clients


async def _held(stack: Stack, way: Way, clients: list[Client], idle: float) -> dict[str, Figure]:
    """Every session, the warming ones too, holds a DELETE of its own; what that adds to an idle one."""
    assert way.pid is not None
    base, used = memory(way.pid)["VmRSS"], cpu(way.pid)
    for number, client in enumerate(clients):
        client.send(f"DELETE FROM bench_rows WHERE id = {number + 1}")
        while await stack.store.fetchval(_CARDS) < number + 1 - STATEMENTS:
            await asyncio.sleep(0.02)
    while await stack.store.fetchval(_CARDS) < len(clients):
        await asyncio.sleep(0.02)
    grown, used = memory(way.pid)["VmRSS"] - base, cpu(way.pid) - used
    return {
        "what": f"{HELD} {way.name}",
        "base MiB": round(base / 1024, 1),
        KIB: round(idle + grown / len(clients), 1),
        "CPU ms to hold": round(used / len(clients) * 1000, 2),
    }


async def _limited(count: int, one: Callable[[], Coroutine[None, None, None]]) -> None:
    """So many times, some at once."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await one()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(LOGINS):
            tasks.create_task(worker())
