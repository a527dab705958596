"""A statement held in a transaction: the card says what that has locked, and who waits for it, on real servers."""

import asyncio

import asyncpg
import pytest

from gateway.wire.frontend import query
from tests.e2e.stack import STEP, Stack
from tests.e2e.wire import Wire


@pytest.fixture
def stack(each_version: Stack) -> Stack:
    each_version.ignore_cards()
    return each_version


async def test_the_card_says_who_waits_for_the_open_transaction(stack: Stack) -> None:
    first = stack.ids()
    postgres = stack.demo.postgres
    assert postgres is not None
    stack.do("ANALYZE ledger")
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="locker")
    await wire.ask(query("BEGIN"))
    wire.send(query(f"UPDATE ledger SET amount = amount + 1 WHERE id = {first}"))
    card = await stack.card()
    assert "it has locked no table, and nobody waits for it" in card.shown
    assert (await stack.approve("Bob", card)) == 200
    assert "ZT" in await wire.lines()

    other = await asyncpg.connect(postgres.dsn("shop"))
    waiting = asyncio.create_task(other.execute(f"UPDATE ledger SET amount = 0 WHERE id = {first}"))
    async with asyncio.timeout(STEP):
        while not stack.ask(f"SELECT 1 FROM pg_locks WHERE pid = {other.get_server_pid()} AND NOT granted"):  # noqa: ASYNC110 # a server tells nobody who waits
            await asyncio.sleep(0)
    wire.send(query(f"UPDATE ledger SET amount = amount + 1 WHERE id = {first + 1}"))
    card = await stack.card()
    assert "it holds ROW EXCLUSIVE on public.ledger, and 1 other session waits for it" in card.shown
    assert " % of about" in card.shown
    assert "1 other session waits for this transaction already." in card.shown
    request = await stack.request(card.request_id)
    assert request.seen is not None
    assert request.seen.problem == ""
    await stack.deny("Bob", card, "not while others wait")
    assert "ZE" in await wire.lines()
    await wire.ask(query("ROLLBACK"))
    await waiting
    await other.close()
    await wire.close()


async def test_the_card_says_what_others_can_not_do_while_it_runs(stack: Stack) -> None:
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="locker")
    wire.send(query("ALTER TABLE ledger ADD remark text"))
    card = await stack.card()
    assert "While it runs it blocks all reads and writes of public.ledger (ACCESS EXCLUSIVE)." in card.shown
    await stack.deny("Bob", card, "not now")
    await wire.lines()
    await wire.close()
