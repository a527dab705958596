"""The weekly summary: what is counted, when it is told, and that it is told once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from bots.texts import in_utc
from bots.weekly import Tally, Weekly, answer, tallied, told, week_before
from gateway.approvals.outbox import Below, PermanentFailure, RetryLater
from gateway.approvals.request import Approval, ApprovalRequest, State
from gateway.store.memory import MemoryStore
from gateway.store.port import Store
from tests.bots.samples import BOB, CAROL, PLAIN
from tests.fakes.clock import Clock
from tests.fakes.stores import postgres_store

#: A Monday of the last week that is counted below.
MONDAY = datetime(2025, 11, 24, tzinfo=UTC).timestamp()
NEXT = MONDAY + 7 * 86_400


def approved(name: str, at: float, *took: float, reviewers: str = "dba") -> ApprovalRequest:
    given = tuple(Approval(who, "slack", at + seconds) for who, seconds in zip((BOB, CAROL), took, strict=False))
    return replace(
        PLAIN, id=name, reviewers=reviewers, opened_at=at, expires_at=at + 600, state=State.EXECUTED, approvals=given
    )


def denied(name: str, at: float, took: float) -> ApprovalRequest:
    return replace(approved(name, at), state=State.DENIED, decided_by=BOB, decided_at=at + took)


WEEK = [
    approved("1", MONDAY + 10, 4.9),
    approved("2", MONDAY + 20, 60, 90),
    denied("3", MONDAY + 30, 2),
    approved("4", NEXT - 100, 99),
    approved("5", MONDAY + 50, 5, reviewers="owners"),
    approved("before", MONDAY - 10, 5),
    approved("late", NEXT - 10, 11),
    replace(approved("used", MONDAY + 70, 0.1), under="1"),
    replace(approved("expired", MONDAY + 60), state=State.EXPIRED, decided_at=MONDAY + 660, reviewers="nobody"),
]


@dataclass
class Chat:
    """A front that notes what is said; `trouble` is raised instead, once each."""

    said: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)

    async def post(self, channel: str, request: ApprovalRequest) -> str:
        raise AssertionError((channel, request))

    async def update(self, channel: str, ref: str, request: ApprovalRequest) -> str:
        raise AssertionError((channel, ref, request))

    async def remind(self, ref: str, request: ApprovalRequest, about: Below = Below.WAITING) -> None:
        raise AssertionError((ref, request, about))

    async def alarm(self, channel: str, request: ApprovalRequest) -> str:
        raise AssertionError((channel, request))

    async def say(self, channel: str, text: str) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        self.said.append((channel, text))


@pytest.fixture
def clock() -> Clock:
    return Clock(NEXT + 9 * 3600)


@pytest.fixture
async def store(clock: Clock) -> AsyncIterator[MemoryStore]:
    store = MemoryStore(clock)
    for each in WEEK:
        await store.open(each, lambda _: [])
    yield store
    await store.close()


def channels() -> dict[str, tuple[str, ...]]:
    return {"dba": ("slack:C1", "teams:19:x"), "owners": ("slack:C1",), "idle": ("slack:C2",)}


def test_what_people_decided_is_counted_when_they_did() -> None:
    assert tallied(WEEK, MONDAY, NEXT) == [Tally("dba", 5, 60.0, 4, 1), Tally("owners", 1, 5, 1, 0)]
    assert tallied([], MONDAY, NEXT) == []


def test_the_text() -> None:
    assert told(Tally("dba", 5, 60.0, 4, 1), MONDAY, NEXT) == (
        "Decisions of dba, 24 Nov to 30 Nov: 5 decisions, half of them within 1 m 0 s; 80% approved. "
        "1 approval came within 5 s: was that enough to read it?"
    )
    assert told(Tally("d\u202e", 1, 60.0, 0, 0), MONDAY, NEXT).endswith("; 0% approved. No approval came within 5 s.")
    assert "\u202e" not in told(Tally("d\u202e", 1, 60.0, 0, 0), MONDAY, NEXT)
    assert in_utc(answer([]).lines[0]) == "Nothing was decided."


@pytest.mark.parametrize(
    ("at", "told_of"),
    [(NEXT + 9 * 3600 - 1, False), (NEXT + 9 * 3600, True), (NEXT + 6 * 86_400, True), (NEXT - 1, True)],
)
def test_it_is_told_from_monday_on(at: float, told_of: bool) -> None:
    period = week_before(at)
    assert (period is not None) is told_of
    if at >= NEXT and period is not None:
        assert period == (MONDAY, NEXT)


async def test_each_channel_is_told_once_and_nobody_of_nothing(store: MemoryStore, clock: Clock) -> None:
    chat = Chat()
    weekly = Weekly(store, {"slack": chat}, channels, clock)
    for _ in range(3):
        await weekly.tell()
    assert [(channel, text[:19]) for channel, text in chat.said] == [
        ("C1", "Decisions of dba, 2"),
        ("C1", "Decisions of owners"),
    ]
    await Weekly(store, {"slack": chat}, channels, clock).tell()
    assert len(chat.said) == 2, "a new process knows what was told"
    clock.now += 7 * 86_400
    await weekly.tell()
    assert [text.partition(":")[0] for _, text in chat.said[2:]] == ["Decisions of dba, 01 Dec to 07 Dec"]


async def test_it_is_tried_again_later_unless_there_is_no_hope(store: MemoryStore, clock: Clock) -> None:
    chat = Chat(trouble=[RetryLater(1), PermanentFailure("is_archived")])
    weekly = Weekly(store, {"slack": chat}, channels, clock)
    await weekly.tell()
    await weekly.tell()
    assert chat.said == []
    clock.now += 601
    await weekly.tell()
    assert [text[:19] for _, text in chat.said] == ["Decisions of dba, 2"]


async def test_before_its_time_nothing_is_told(store: MemoryStore, clock: Clock) -> None:
    clock.now = NEXT
    chat = Chat()
    await Weekly(store, {"slack": chat}, channels, clock).tell()
    assert chat.said == []


async def test_the_last_days_for_a_command(store: MemoryStore) -> None:
    weekly = Weekly(store, {}, channels, lambda: NEXT)
    assert await weekly.last_days() == tallied(WEEK, MONDAY, NEXT)


async def test_of_several_replicas_one_tells_it(store_dsn: str) -> None:
    async with postgres_store(store_dsn) as one, postgres_store(store_dsn) as two:
        for each in WEEK:
            await one.open(each, lambda _: [])
        chat = Chat()
        stores: list[Store] = [one, two, one, two]
        await asyncio.gather(
            *(Weekly(each, {"slack": chat}, channels, lambda: NEXT + 40_000).tell() for each in stores)
        )
        assert sorted(text[:19] for _, text in chat.said) == ["Decisions of dba, 2", "Decisions of owners"]
