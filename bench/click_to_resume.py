"""How long from a reviewer's click until the held statement's answer reaches the client. Goal: p50 <= 15 ms, p99 <= 50 ms.

    click --signed POST--> bot --users.info--> chat, --decide--> store | wire wakes, asks again what names mean,
    commits the release | the held bytes go to the target | first byte of CommandComplete at the client

The clock starts when the click's payload is built and its request is about to go out, in this process, where client and
chat live too. When the decision and the release were committed is read from the store (pg_xact_commit_timestamp) afterwards. The same DELETE
without a hold, through the gateway and direct, is measured in turn with it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.client import Client
from bench.result import Figure, Result, percentile, spread
from bench.stack import Stack, running

SAMPLES = 300
WARM = 10
#: Seconds in which the last card's update and the audit log's shipping end: a person clicks later than that.
PAUSE = 0.2
GOALS = {50: 0.015, 99: 0.050}
_COMMITS = """
SELECT request, kind, extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::double precision AS at
  FROM hoop.audit WHERE kind IN ('decided', 'released') AND request IS NOT NULL GROUP BY request, kind
"""
#: Name -> settings of the PostgreSQL that is target and store.
SETUPS: Mapping[str, Mapping[str, str]] = {
    "": {},
    "durable store, ": {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"},
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One click: seconds on the wall clock but for `took`."""

    request: str
    clicked_at: float
    first_at: float
    took: float


async def measure() -> Result:
    """Both setups, one after the other."""
    rows: list[Mapping[str, Figure]] = []
    notes: list[str] = []
    for name, settings in SETUPS.items():
        async with running(settings) as stack:
            found, times = await _measure(stack, name)
        rows += found
        if not name:
            notes += [
                f"goal p{part} <= {goal * 1000:.0f} ms: {'met' if percentile(times, part) <= goal else 'MISSED'}"
                for part, goal in GOALS.items()
            ]
    return Result("click_to_resume", rows, notes)


async def _measure(stack: Stack, name: str) -> tuple[list[Mapping[str, Figure]], list[float]]:
    held, unheld, direct = await stack.client("ann"), await stack.client("cursor"), await stack.direct()
    samples: list[Sample] = []
    baseline: dict[str, list[float]] = {"gateway": [], "direct": []}
    for number in range(WARM + SAMPLES):
        samples.append(await _click(stack, held, number))
        await asyncio.sleep(PAUSE)
        baseline["gateway"].append(await unheld.run(_delete(3 * number + 1)))
        baseline["direct"].append(await direct.run(_delete(3 * number + 2)))
    samples = samples[WARM:]
    times = [each.took for each in samples]
    rows: list[Mapping[str, Figure]] = [spread(f"{name}click to first byte", times)]
    rows += [spread(f"{name}  {stage}", found) for stage, found in (await _stages(stack, samples)).items()]
    rows += [spread(f"{name}same DELETE unheld, {way}", found[WARM:]) for way, found in baseline.items()]
    for client in (held, unheld, direct):
        client.close()
    return rows, times


def _delete(row: int) -> str:
    return f"DELETE FROM bench_rows WHERE id = {row + 1}"


async def _click(stack: Stack, client: Client, number: int) -> Sample:
    client.send(_delete(3 * number))
    request = await client.held()
    await stack.cards(number + 1)
    await asyncio.sleep(PAUSE)
    clicking = asyncio.create_task(stack.approve(number))
    if await client.answer() != "DELETE 1":
        raise RuntimeError(f"request {request}: the held DELETE deleted no row")
    took = client.first - stack.workspace.sent[-1].at
    await clicking
    return Sample(request, client.first_at - took, client.first_at, took)


async def _stages(stack: Stack, samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Where the time went, by the store's commits. The audit log reaches the store within 0.1 s."""
    commits = {(row["request"], row["kind"]): row["at"] for row in await stack.store.fetch(_COMMITS)}
    found: dict[str, list[float]] = {
        "click to decision committed": [],
        "decision committed to first byte": [],
        "of which: decision to release committed": [],
        "of which: release committed to first byte": [],
    }
    for each in samples:
        decided, released = commits[each.request, "decided"], commits[each.request, "released"]
        stages = (decided - each.clicked_at, each.first_at - decided, released - decided, each.first_at - released)
        for values, value in zip(found.values(), stages, strict=True):
            values.append(value)
    return found
