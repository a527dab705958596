"""What drivers do beyond the conversation of test_matrix.py: the same directly and through the gateway, to the letter.

Cursors, COPY, pipelines, savepoints, reflection, pools, batches. Whoever waits is approved at once; what is asked for must be
nothing but the writes to `loaded`: no look at the catalog, no housekeeping reaches a reviewer.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from tests.e2e.stack import Stack

ROOT = Path(__file__).parents[2]
WITHIN = 180.0


async def played(port: int, password: str) -> dict[str, str]:
    """What each feature showed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.drivers.features", str(port)),
        cwd=ROOT,
        env={**os.environ, "DRIVER_TOKEN": password},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WITHIN):
        out, _ = await process.communicate()
    return dict(json.loads(line) for line in out.splitlines())


async def approving(stack: Stack) -> None:
    while True:
        await stack.approve("Bob", await stack.card(WITHIN))


def held(stack: Stack) -> dict[tuple[str, int], str]:
    """What was held, by chain and number: each gateway of the stack has a chain of its own."""
    return {(each["replica"], each["seq"]): each["sql"] for each in stack.entries(kind="held")}


async def test_drivers_cannot_tell(stack: Stack) -> None:
    assert stack.demo.postgres is not None
    stack.do("ANALYZE ledger")  # else autovacuum does it between the two, and plans show it
    direct = await played(stack.demo.postgres.port, (stack.demo._base / "shop.password").read_text())
    before = held(stack)
    reviewer = asyncio.create_task(approving(stack))
    through = await played(stack.port, stack.long_token("ann"))
    reviewer.cancel()
    with suppress(asyncio.CancelledError):
        await reviewer
    assert len(direct) >= 20
    assert through == direct
    asked = [sql for entry, sql in held(stack).items() if entry not in before]
    assert [each for each in asked if "loaded" not in each] == []
