"""Tasks: kept until they end; who fails is told of, who still runs is cancelled."""

import asyncio

from structlog.testing import capture_logs

from gateway.approvals.tasks import Tasks


async def test_a_failure_is_logged_and_takes_nothing_along() -> None:
    tasks, done = Tasks(), asyncio.Event()

    async def failing() -> None:
        raise ValueError("no")

    async def working() -> None:
        done.set()

    with capture_logs() as logged:
        tasks.spawn(failing())
        tasks.spawn(working())
        await done.wait()
        await tasks.close()
    assert [(each["event"], str(each["exc_info"])) for each in logged] == [("desk.task_failed", "no")]


async def test_what_still_runs_is_cancelled_at_the_close() -> None:
    tasks, ended = Tasks(), asyncio.Event()

    async def lasting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    tasks.spawn(lasting())
    await asyncio.sleep(0)  # it has begun
    with capture_logs() as logged:
        await tasks.close()
    assert ended.is_set()
    assert logged == []
