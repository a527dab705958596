"""User code that is tried as a read and writes: held by the real server's 25006, and what people approve then really runs.

The oracle is the same PostgreSQL, asked directly: the client's side of the conversation is the same, message by message.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import psycopg
import pytest

from gateway.wire.frontend import SYNC, bind, close, describe, execute, parse, query
from gateway.wire.startup import cancel_request
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

#: It writes in one branch only, and says something before.
_CODE = """
CREATE FUNCTION settle(which int, really boolean) RETURNS int LANGUAGE plpgsql AS $$
DECLARE left_over int;
BEGIN
  RAISE NOTICE 'settling %', which;
  SELECT amount INTO left_over FROM ledger WHERE id = which;
  IF really THEN
    UPDATE ledger
       SET amount = amount - 1 WHERE id = which RETURNING amount INTO left_over;
  END IF;
  RETURN left_over;
END $$;
"""


@pytest.fixture(scope="module")
def code(stack: Stack) -> Iterator[None]:
    stack.do(_CODE)
    server = stack.demo.gateway.server
    target = server.policy.targets["shop"]
    asyncio.run(stack.on(server._catalogs.reload(target)))
    yield
    stack.do("DROP FUNCTION settle")


@pytest.fixture
async def wire(stack: Stack, code: None) -> AsyncIterator[Wire]:
    connected = await Wire.connect(stack.port, stack.token("ann"), application_name="raw")
    yield connected
    await connected.close()


def settle(first: int, *, extended: bool, name: str = "") -> bytes:
    sql = f"SELECT settle({first}, true)"
    if not extended:
        return query(sql)
    return parse(name, sql) + bind("", name) + describe("P", "") + execute("") + SYNC


def amount(stack: Stack, first: int) -> int:
    ((found,),) = stack.ask("SELECT amount FROM ledger WHERE id = %s", first)
    return int(found)


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("extended", [False, True])
async def test_held_approved_and_run_once(stack: Stack, wire: Wire, direct: Wire, extended: bool, block: bool) -> None:
    first = stack.ids()
    if block:
        assert await wire.ask(query("BEGIN")) == await direct.ask(query("BEGIN"))
    native = await direct.ask(settle(first + 1, extended=extended))
    wire.send(settle(first, extended=extended))
    card = await stack.card()
    assert "the server says that it writes (25006)" in card.shown
    assert amount(stack, first) == 100, "nothing of the first try is left"
    await stack.approve("Bob", card)
    assert await wire.lines() == native
    assert wire.notices[0].startswith("held for approval"), "what the first try said was dropped"
    (said,) = [each for each in wire.notices if not each.startswith("held for approval")]
    assert said.startswith("the message is withheld"), "once; what code says that could be anything is not shown"
    if block:
        assert await wire.ask(query("COMMIT")) == await direct.ask(query("COMMIT"))
    assert amount(stack, first) == 99
    await card.says("Executed")


async def test_what_only_reads_asks_nobody(stack: Stack, wire: Wire) -> None:
    assert await wire.ask(query(f"SELECT settle({stack.ids()}, false)")) == ["T", "D", "C[SELECT 1]", "ZI"]


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("extended", [False, True])
async def test_denied(stack: Stack, wire: Wire, extended: bool, block: bool) -> None:
    first = stack.ids()
    if block:
        await wire.ask(query("BEGIN"))
    wire.send(settle(first, extended=extended))
    await stack.deny("Bob", await stack.card(), "not now")
    status = "E" if block else "I"
    assert await wire.lines() == [*(["1"] if extended else []), "E42501", f"Z{status}"]
    assert wire.errors[-1]["M"].startswith("denied by bob")
    assert (await wire.ask(query("ROLLBACK")))[-1] == "ZI"
    assert await wire.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]
    assert amount(stack, first) == 100


async def test_nobody_decides_in_time(stack: Stack, code: None) -> None:
    """The rule for this application waits a second."""
    first = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="hurried")
    assert await wire.ask(settle(first, extended=False)) == ["E57014", "ZI"]
    assert "expired" in wire.errors[-1]["M"]
    assert amount(stack, first) == 100
    assert await wire.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]


async def test_the_client_gives_up(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    await wire.ask(query("BEGIN"))
    wire.send(settle(first, extended=True))
    card = await stack.card()
    other = await Wire.open(stack.port)
    other.send(cancel_request(*wire.key))
    await other.rest()
    await other.close()
    assert await wire.lines() == ["1", "E57014", "ZE"]
    await card.says("Withdrawn")


async def test_a_statement_that_was_named_in_the_same_batch(stack: Stack, wire: Wire, direct: Wire) -> None:
    first = stack.ids()
    native = await direct.ask(settle(first + 1, extended=True, name="s"))
    wire.send(settle(first, extended=True, name="s"))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == native == ["1", "2", "T", "D", "C[SELECT 1]", "ZI"]
    again = bind("", "s") + execute("") + SYNC
    native = await direct.ask(again)
    wire.send(again)
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == native
    assert amount(stack, first) == 98
    assert await wire.ask(close("S", "s"), SYNC) == ["3", "ZI"]


async def test_the_clients_own_savepoints_and_work_stay(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    await wire.ask(query("BEGIN"))
    wire.send(query(f"UPDATE ledger SET amount = 50 WHERE id = {first}"))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["C[UPDATE 1]", "ZT"]
    await wire.ask(query("SAVEPOINT mine"))
    wire.send(settle(first, extended=False))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["T", "D", "C[SELECT 1]", "ZT"]
    assert await wire.ask(query("ROLLBACK TO mine")) == ["C[ROLLBACK]", "ZT"]
    assert await wire.ask(query("COMMIT")) == ["C[COMMIT]", "ZI"]
    assert amount(stack, first) == 50, "of ours nothing was in the way: the settling was undone, the update stays"


async def test_rows_before_the_write_are_dropped_with_the_first_try(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    wire.send(query(f"SELECT settle({first}, n > 1) FROM generate_series(1, 2) n"))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["T", "D", "D", "C[SELECT 2]", "ZI"]
    assert amount(stack, first) == 99


async def test_after_more_than_is_kept_the_error_is_passed_on_and_the_next_time_it_is_held(
    stack: Stack, wire: Wire
) -> None:
    """What was seen can't be taken back."""
    first = stack.ids()
    text = f"SELECT settle({first}, n > 5), repeat('x', 100000) FROM generate_series(1, 6) n"
    lines = await wire.ask(query(text))
    assert lines == ["T", *["D"] * (len(lines) - 3), "E25006", "ZI"]
    assert amount(stack, first) == 100
    wire.send(query(text))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["T", *["D"] * 6, "C[SELECT 6]", "ZI"]
    assert amount(stack, first) == 99


async def test_a_cursor_over_it_is_held_before_it_runs(stack: Stack, wire: Wire) -> None:
    """An error would break it, so it can't be tried."""
    first = stack.ids()
    text = f"DECLARE c CURSOR FOR SELECT settle({first}, n > 1) FROM generate_series(1, 2) n"
    await wire.ask(query("BEGIN"))
    for said, answer in ((text, ["C[DECLARE CURSOR]"]), ("FETCH 2 FROM c", ["T", "D", "D", "C[FETCH 2]"])):
        wire.send(query(said))
        await stack.approve("Bob", await stack.card())
        assert await wire.lines() == [*answer, "ZT"]
    await wire.ask(query("COMMIT"))
    assert amount(stack, first) == 99


async def test_a_portal_that_goes_on_is_held_where_it_could_not_be_tried_again(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    await wire.ask(query("BEGIN"))
    text = f"SELECT settle({first}, n > 1) FROM generate_series(1, 2) n"
    assert await wire.ask(parse("", text), bind("p", ""), execute("p", 1), SYNC) == ["1", "2", "D", "s", "ZT"]
    wire.send(execute("p", 1), SYNC)
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["D", "s", "ZT"]
    assert await wire.ask(execute("p", 1), SYNC) == ["C[SELECT 0]", "ZT"], "approved: nobody is asked again"
    await wire.ask(query("COMMIT"))
    assert amount(stack, first) == 99


async def test_a_block_that_only_reads_hears_25006(stack: Stack, wire: Wire, direct: Wire) -> None:
    first = stack.ids()
    for each in (wire, direct):
        await each.ask(query("BEGIN READ ONLY"))
    assert await wire.ask(settle(first, extended=False)) == await direct.ask(settle(first, extended=False))
    assert wire.errors[-1]["C"] == "25006"


async def test_psycopg(stack: Stack, code: None) -> None:
    """By parameters, prepared, in a transaction of its own making."""
    first = stack.ids()
    async with await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=stack.port, user="hoop", password=stack.token("ann"), dbname="shop", prepare_threshold=0
    ) as connection:
        for expected in (99, 98):
            running = asyncio.create_task(connection.execute("SELECT settle(%s, %s)", (first, True)))
            await stack.approve("Bob", await stack.card())
            assert await (await running).fetchone() == (expected,)
        running = asyncio.create_task(connection.execute("SELECT settle(%s, %s)", (first, True)))
        await stack.deny("Bob", await stack.card(), "enough")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await running
        await connection.rollback()
        assert await (await connection.execute("SELECT settle(%s, false)", (first,))).fetchone() == (100,)


@pytest.mark.parametrize("block", [False, True])
async def test_asyncpg(stack: Stack, code: None, block: bool) -> None:
    first = stack.ids()
    connection = await asyncpg.connect(
        host="127.0.0.1", port=stack.port, user="hoop", password=stack.token("ann"), database="shop"
    )
    try:
        transaction = connection.transaction() if block else None
        if transaction:
            await transaction.start()
        for expected in (99, 98):
            running = asyncio.create_task(connection.fetchval("SELECT settle($1, $2)", first, True))
            await stack.approve("Bob", await stack.card())
            assert await running == expected
        if transaction:
            await transaction.commit()
        running = asyncio.create_task(connection.fetchval("SELECT settle($1, $2)", first, True))
        await stack.deny("Bob", await stack.card(), "enough")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await running
        assert await connection.fetchval("SELECT settle($1, $2)", first, False) == 98
    finally:
        await connection.close()


async def test_the_record_tells_of_both_tries(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    wire.send(settle(first, extended=False))
    card = await stack.card()
    await stack.approve("Bob", card)
    await wire.lines()
    await card.says("Executed")
    told = [each for each in stack.entries() if f"settle({first}, true)" in each.get("sql", "")]
    kinds = [(each["kind"], each.get("verdict"), each.get("outcome"), each.get("sqlstate")) for each in told]
    assert kinds[:2] == [("statement", "allow", None, None), ("finished", "allow", "failed", "25006")]
    assert told[1]["reason"] == "the server says that it writes: judged again"
    later = [each for each in told[2:] if each.get("request") == card.request_id]
    assert [each["kind"] for each in later][-2:] == ["statement", "finished"]
    assert later[-1]["outcome"] == "executed"
    assert later[-2]["statement"] != told[0]["statement"]
