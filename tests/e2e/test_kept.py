"""A request that outlives its client (`keep_for`): the client goes, a reviewer approves, the same statement passes once.

What ran is asked of the target: `kept.amount` counts the times.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import asyncpg
import psycopg
import pytest

from gateway.app import Gateway
from gateway.policies import read_policy
from gateway.settings import Address
from gateway.wire.frontend import SYNC, bind, execute, parse, query
from gateway.wire.startup import cancel_request
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

_IDS = itertools.count(1)
_TEXT = "UPDATE kept SET amount = amount + 1 WHERE id = $1"


@pytest.fixture
def row() -> Iterator[int]:
    """A row of this test's own."""
    return iter([next(_IDS)])


async def wire(stack: Stack, application: str = "raw", port: int = 0, who: str = "ann") -> Wire:
    return await Wire.connect(port or stack.port, stack.token(who), application_name=application)


def update(row: int) -> bytes:
    return query(f"UPDATE kept SET amount = amount + 1 WHERE id = {row}")


def times(stack: Stack, row: int) -> int:
    ((found,),) = stack.ask("SELECT amount - 100 FROM kept WHERE id = %s", row)
    return int(found)


async def passes(stack: Stack, row: int, port: int = 0) -> None:
    assert await (await wire(stack, port=port)).ask(update(row)) == ["C[UPDATE 1]", "ZI"]


@pytest.fixture
async def other(stack: Stack) -> AsyncIterator[Gateway]:
    """Another replica."""
    here = Address(stack.host, 0)
    settings = replace(stack.demo.gateway.settings, listen=here, http=here)
    started = Gateway(settings, read_policy(settings.policies), stack.demo._directory)
    await stack.on(started.start())
    yield started
    await stack.on(started.stop())


async def test_the_client_disconnects_and_comes_again_on_another_replica(
    stack: Stack, other: Gateway, row: Iterator[int]
) -> None:
    first = next(row)
    gone = await wire(stack)
    gone.send(update(first))
    card = await stack.card()
    assert "even if its client goes" in card.shown
    await gone.close()
    await stack.recorded(kind="left", request=card.request_id)
    await stack.approve("Bob", card)
    text = await card.says("Approved")
    assert "it runs once, when it is sent again before" in text
    assert times(stack, first) == 0, "nothing runs by itself"
    await passes(stack, first, other.ports.wire)
    assert times(stack, first) == 1
    await card.says("Executed")
    third = await wire(stack)
    third.send(update(first))
    anew = await stack.card()
    assert anew.request_id != card.request_id
    await stack.deny("Bob", anew, "once is enough")
    assert await third.lines() == ["E42501", "ZI"]
    assert times(stack, first) == 1
    chains = sorted(stack.entries(request=card.request_id), key=lambda each: str(each["at"]))  # of two replicas
    told = [(each["kind"], each.get("session"), each.get("decided_by")) for each in chains]
    first_session = told[0][1]
    assert [kind for kind, *_ in told] == ["held", "left", "decided", "joined", "released", "statement", "finished"]
    assert told[2] == ("decided", first_session, "bob@example.com")
    assert told[4][1] == told[6][1] != first_session, "the use is recorded where it was"
    assert told[4][2] == "bob@example.com"


async def test_a_cancelled_one_is_told_what_to_do(stack: Stack, row: Iterator[int]) -> None:
    first = next(row)
    asking = await wire(stack)
    asking.send(update(first))
    card = await stack.card()
    canceller = await Wire.open(stack.port)
    canceller.send(cancel_request(*asking.key))
    await canceller.rest()
    assert await asking.lines() == ["E57014", "ZI"]
    told = asking.errors[-1]
    assert told["M"] == f"request {card.request_id} still waits for approval: cancelled by the client"
    assert "send the same statement again" in told["H"]
    assert await asking.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]
    await stack.approve("Bob", card)
    await card.says("Approved")
    assert await asking.ask(update(first)) == ["C[UPDATE 1]", "ZI"]
    assert asking.notices[-1] == f"request {card.request_id} was approved before: it runs now, once"
    assert times(stack, first) == 1


async def test_a_storm_of_retries_joins_the_open_card(stack: Stack, row: Iterator[int]) -> None:
    """Its client waits a second each time."""
    first = next(row)
    asking = await wire(stack, "hurried")
    for _ in range(3):
        assert await asking.ask(update(first)) == ["E57014", "ZI"]
    card = await stack.card()
    assert {each["M"].split()[1] for each in asking.errors} == {card.request_id}
    await stack.until(lambda: "x3 identical" in card.shown)
    await stack.approve("Bob", card)
    await card.says("Approved")
    assert await asking.ask(update(first)) == ["C[UPDATE 1]", "ZI"]
    assert times(stack, first) == 1


async def test_of_many_that_wait_at_once_one_runs(stack: Stack, row: Iterator[int]) -> None:
    first = next(row)
    wires = [await wire(stack) for _ in range(5)]
    for each in wires:
        each.send(update(first))
    card = await stack.card()
    await stack.until(lambda: "x5 identical" in card.shown)
    await stack.approve("Bob", card)
    heard = sorted([tuple(await each.lines()) for each in wires])
    assert heard == [("C[UPDATE 1]", "ZI"), *[("E57014", "ZI")] * 4]
    assert times(stack, first) == 1
    await card.says("Executed")


async def test_asyncpg_gives_up_by_itself(stack: Stack, row: Iterator[int]) -> None:
    """A timeout of its own; another connection numbers its statements anew, after having prepared others."""
    first = next(row)
    place = f"postgresql://hoop@{stack.host}:{stack.port}/shop"
    asking = await asyncpg.connect(place, password=stack.token("ann"))
    with pytest.raises(TimeoutError):
        await asking.execute(_TEXT, first, timeout=1.0)
    card = await stack.card()
    await asking.close()
    await stack.approve("Bob", card)
    await card.says("Approved")
    again = await asyncpg.connect(place, password=stack.token("ann"))
    assert await again.fetchval("SELECT $1::int", 7) == 7
    assert await again.execute(_TEXT, first) == "UPDATE 1"
    other = asyncio.create_task(again.execute(_TEXT, first + 50))
    await stack.deny("Bob", await stack.card(), "another value is another question")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await other
    await again.close()
    assert times(stack, first) == 1


async def test_psycopg_in_its_transaction(stack: Stack, row: Iterator[int]) -> None:
    first = next(row)
    for attempt in range(2):
        async with await psycopg.AsyncConnection.connect(
            host=stack.host, port=stack.port, user="hoop", password=stack.token("ann"), dbname="shop"
        ) as asking:
            running = asyncio.create_task(asking.execute("UPDATE kept SET amount = amount + 1 WHERE id = %s", (first,)))
            if attempt:
                assert (await running).rowcount == 1
                continue
            card = await stack.card()
            await asking.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled, match=f"request {card.request_id} still waits"):
                await running
            await asking.rollback()
            await stack.approve("Bob", card)
            await card.says("Approved")
    assert times(stack, first) == 1


@pytest.mark.parametrize("who", ["cursor", "ann"])
async def test_somebody_else_or_another_text_asks_anew(stack: Stack, row: Iterator[int], who: str) -> None:
    first = next(row)
    gone = await wire(stack)
    gone.send(update(first))
    card = await stack.card()
    await gone.close()
    await stack.recorded(kind="left", request=card.request_id)
    await stack.approve("Bob", card)
    await card.says("Approved")
    asking = await wire(stack, who=who)
    if who == "cursor":
        asking.send(update(first))
    else:  # the same in the extended protocol is not the same bytes
        asking.send(parse("", _TEXT.replace("$1", str(first))), bind("", ""), execute(""), SYNC)
    await stack.deny("Bob", await stack.card(), "not this one")
    assert (await asking.lines())[-2:] == ["E42501", "ZI"]
    assert times(stack, first) == 0
    await passes(stack, first)


async def test_what_was_redefined_meanwhile_is_asked_about_anew(stack: Stack, row: Iterator[int]) -> None:
    first = next(row)
    gone = await wire(stack)
    gone.send(update(first))
    card = await stack.card()
    await gone.close()
    await stack.recorded(kind="left", request=card.request_id)
    await stack.approve("Bob", card)
    await card.says("Approved")
    stack.do("ALTER TABLE kept ADD CONSTRAINT positive CHECK (amount > 0)")
    try:
        asking = await wire(stack)
        asking.send(update(first))
        anew = await stack.card()
        await stack.deny("Bob", anew, "look at it first")
        assert await asking.lines() == ["E42501", "ZI"]
    finally:
        stack.do("ALTER TABLE kept DROP CONSTRAINT positive")
    assert times(stack, first) == 0
