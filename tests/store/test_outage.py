"""What the log hears of a store that is away."""

import asyncio
import logging

import pytest
from structlog.testing import capture_logs

from gateway.store.outage import Outage, hush


def test_an_outage_is_told_once_a_second_and_how_many_were_left_out() -> None:
    ticks = iter((100.0, 100.5, 100.9, 101.0, 101.5, 102.5))
    outage = Outage(lambda: next(ticks))
    with capture_logs() as said:
        outage.over()
        for _ in range(5):
            outage.met(TimeoutError())
        outage.over()
        outage.over()
        outage.met(ConnectionRefusedError(111, "refused"))
    assert [(each["event"], each.get("problem"), each["left_out"]) for each in said] == [
        ("store.unavailable", "TimeoutError", 0),
        ("store.unavailable", "TimeoutError", 2),
        ("store.back", None, 1),
        ("store.unavailable", "ConnectionRefusedError: [Errno 111] refused", 0),
    ]


class PoolConnectionHolder:
    """As asyncpg's: the name is what is known of a task that nobody waits for."""

    async def release(self) -> None:
        raise TimeoutError


async def test_what_the_pool_is_left_with_is_a_line_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    hush()
    with capture_logs() as said:
        task = asyncio.create_task(PoolConnectionHolder().release())
        await asyncio.wait([task])
        del task  # nobody asks what came of it
        logging.getLogger("asyncpg.pool").warning("retrying", exc_info=TimeoutError())
    assert [(each["event"], each["problem"]) for each in said] == [("store.unavailable", "TimeoutError")]
    assert not caplog.records


@pytest.mark.parametrize(("name", "error"), [("asyncio", TimeoutError()), ("asyncpg.pool", ZeroDivisionError())])
def test_what_is_not_about_the_pool_or_the_server_is_told_whole(
    name: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    hush()
    logging.getLogger(name).warning("a task failed", exc_info=error)
    [record] = caplog.records
    assert record.exc_info is not None
