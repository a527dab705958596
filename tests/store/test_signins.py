"""Tickets and links: the same tests on memory and on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.approvals.request import Person
from gateway.identity.accounts import Account
from gateway.store.memory import MemoryStore
from gateway.store.port import Store
from tests.bots.samples import BOB, CAROL
from tests.fakes.stores import postgres_store

SLACK = Account("slack", "/T1", "U1", "Bob in Slack")


@pytest.fixture(params=["memory", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """Not async: the server's own fixture starts a loop."""
    return "" if request.param == "memory" else str(request.getfixturevalue("store_dsn"))


@pytest.fixture
async def store(kind: str) -> AsyncIterator[Store]:
    if not kind:
        yield MemoryStore(time.time)
        return
    async with postgres_store(kind) as opened:
        yield opened


def bare(person: Person) -> Person:
    return replace(person, groups=frozenset())


class TestTickets:
    async def test_a_ticket_is_there_until_it_is_taken(self, store: Store) -> None:
        await store.put_ticket("a", '{"x": 1}', time.time() + 60)
        assert await store.ticket("a") == '{"x": 1}'
        assert await store.ticket("a") == '{"x": 1}'
        assert await store.take_ticket("a") == '{"x": 1}'
        assert await store.take_ticket("a") is None
        assert await store.ticket("a") is None

    async def test_one_of_many_gets_it(self, store: Store) -> None:
        await store.put_ticket("a", "{}", time.time() + 60)
        got = await asyncio.gather(*(store.take_ticket("a") for _ in range(20)))
        assert sorted(map(str, got)) == [*["None"] * 19, "{}"]

    async def test_one_whose_time_is_over_is_none(self, store: Store) -> None:
        await store.put_ticket("a", "{}", time.time() - 1)
        assert await store.ticket("a") is None
        assert await store.take_ticket("a") is None
        await store.put_ticket("b", '"new"', time.time() + 60)
        assert (await store.ticket("a"), await store.ticket("b")) == (None, '"new"')

    async def test_an_unknown_one(self, store: Store) -> None:
        assert await store.ticket("c") is None
        assert await store.take_ticket("c") is None


class TestLinks:
    async def test_an_account_is_whose_it_was_linked_with_last(self, store: Store) -> None:
        assert await store.linked(SLACK) is None
        await store.link(SLACK, BOB, time.time())
        assert await store.linked(SLACK) == bare(BOB)
        assert await store.accounts_of(BOB.issuer, BOB.subject) == [SLACK.key]
        assert await store.accounts_of("https://other.example", BOB.subject) == []
        await store.link(SLACK, replace(CAROL, email=None), time.time())
        assert await store.linked(SLACK) == replace(bare(CAROL), email=None)

    async def test_whom_an_account_was_taken_for_goes_with_its_link(self, store: Store) -> None:
        await store.link(SLACK, replace(BOB, also=("b@chat.example", "https://i\nsub-2")), time.time())
        assert await store.linked(SLACK) == bare(BOB)
        assert await store.accounts_of(BOB.issuer, BOB.subject) == [SLACK.key, "b@chat.example", "https://i\nsub-2"]
        await store.link(SLACK, BOB, time.time())
        assert await store.accounts_of(BOB.issuer, BOB.subject) == [SLACK.key]

    async def test_an_account_is_its_ids_and_not_its_name(self, store: Store) -> None:
        await store.link(SLACK, BOB, time.time())
        assert await store.linked(replace(SLACK, name="somebody")) == bare(BOB)
        for other in (replace(SLACK, front="teams"), replace(SLACK, place="/T2"), replace(SLACK, user="U2")):
            assert await store.linked(other) is None

    async def test_it_can_be_removed(self, store: Store) -> None:
        await store.link(SLACK, BOB, time.time())
        assert await store.unlink(SLACK)
        assert not await store.unlink(SLACK)
        assert await store.linked(SLACK) is None
