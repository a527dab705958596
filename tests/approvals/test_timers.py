"""Timers: a request ends on time."""

import asyncio

from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Refusal, State
from tests.approvals.desks import DEADLINE, refused
from tests.fakes.clock import Clock
from tests.fakes.stores import fresh


async def test_a_timer_ends_a_request(no_poll: None, desk: Desk, clock: Clock) -> None:
    request, heard = fresh(expires_at=clock.now - 1), asyncio.Queue[ApprovalRequest]()
    desk.watch(request.id, heard.put_nowait)
    await desk.open(request)
    async with asyncio.timeout(DEADLINE):
        assert (await heard.get()).state is State.EXPIRED


async def test_not_before_its_time(desk: Desk) -> None:
    request = fresh()
    await desk.open(request)
    assert refused(await desk.expire(request.id)) is Refusal.STALE
