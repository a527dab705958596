"""The access mode on a real server: a session that may only read but for what was let through, and a client that can't tell."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest

from gateway.session.gate import GUARD, UNGUARD
from gateway.wire.frontend import SYNC, parse, query
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

#: What the target itself says: the one place where a client could look behind the gate.
MODE = "SELECT lower(current_setting('default_transaction_read_only'))"


@pytest.fixture
async def agent(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connected = await asyncpg.connect(
        host="127.0.0.1", port=stack.port, user="hoop", password=stack.token("ann"), database="shop"
    )
    yield connected
    await connected.close()


@pytest.mark.parametrize("text", ["{write}", "BEGIN; {write}; COMMIT", "BEGIN; {write}; ROLLBACK"])
async def test_the_gate_is_closed_behind_what_was_approved(
    stack: Stack, agent: "asyncpg.Connection[asyncpg.Record]", text: str
) -> None:
    first = stack.ids()
    assert await agent.fetchval(MODE) == "on"
    running = asyncio.create_task(agent.execute(text.format(write=f"DELETE FROM ledger WHERE id = {first}")))
    await stack.approve("Bob", await stack.card())
    await running
    kept = "ROLLBACK" in text
    assert stack.ask(f"SELECT count(*) FROM ledger WHERE id = {first}") == [(int(kept),)]
    assert await agent.fetchval(MODE) == "on"


async def test_a_string_that_fails_midway_leaves_it_closed(
    stack: Stack, agent: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    first = stack.ids()
    running = asyncio.create_task(agent.execute(f"DELETE FROM ledger WHERE id = {first}; SELECT 1/0"))
    await stack.approve("Bob", await stack.card())
    with pytest.raises(asyncpg.DivisionByZeroError):
        await running
    assert await agent.fetchval(MODE) == "on"


async def test_a_transaction_of_the_client_writes(stack: Stack, agent: "asyncpg.Connection[asyncpg.Record]") -> None:
    first = stack.ids()
    async with agent.transaction(isolation="serializable"):
        assert await agent.fetchval("SHOW transaction_read_only") == "off"
        running = asyncio.create_task(agent.execute("DELETE FROM ledger WHERE id = $1", first))
        await stack.approve("Bob", await stack.card())
        assert await running == "DELETE 1"
    assert stack.ask(f"SELECT count(*) FROM ledger WHERE id = {first}") == [(0,)]


async def test_what_a_client_sees_and_sets_is_its_own_wish(
    stack: Stack, agent: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for setting in ("default_transaction_read_only", "transaction_read_only"):
        assert await agent.fetchval(f"SHOW {setting}") == "off"
    await agent.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    assert await agent.fetchval("SHOW default_transaction_read_only") == "on"
    running = asyncio.create_task(agent.execute(f"DELETE FROM ledger WHERE id = {stack.ids()}"))
    await stack.approve("Bob", await stack.card())
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await running
    await agent.execute("SET default_transaction_read_only = off")
    assert await agent.fetchval("SHOW default_transaction_read_only") == "off"
    assert await agent.fetchval(MODE) == "on"


@pytest.mark.parametrize("wanted", ["read-write", "any", "primary"])
async def test_libpq_takes_it_for_a_session_that_writes(stack: Stack, wanted: str) -> None:
    async with await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=stack.port, user="hoop", password=stack.token("ann"), dbname="shop",
        target_session_attrs=wanted,
    ) as connection:  # fmt: skip
        assert connection.pgconn.parameter_status(b"default_transaction_read_only") == b"off"


async def test_a_startup_wish_for_read_only_is_kept(stack: Stack) -> None:
    async with await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=stack.port, user="hoop", password=stack.token("ann"), dbname="shop",
        options="-c default_transaction_read_only=on", target_session_attrs="read-only",
    ) as connection:  # fmt: skip
        assert connection.pgconn.parameter_status(b"default_transaction_read_only") == b"on"


async def test_user_code_that_only_reads_asks_nobody(stack: Stack, agent: "asyncpg.Connection[asyncpg.Record]") -> None:
    """In autocommit, in a transaction beside writes, and by every protocol."""
    first = stack.ids()
    made = asyncio.create_task(
        agent.execute(
            "CREATE FUNCTION amount_of(int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM ledger WHERE id = $1'"
        )
    )
    await stack.approve("Bob", await stack.card())
    await made
    assert await agent.fetchval("SELECT amount_of($1)", first) == 1
    async with agent.transaction():
        running = asyncio.create_task(agent.execute("DELETE FROM ledger WHERE id = $1", first))
        await stack.approve("Bob", await stack.card())
        assert await running == "DELETE 1"
        assert await agent.fetchval("SELECT amount_of($1)", first) == 0
        assert (await agent.fetch(f"SELECT amount_of({first})"))[0][0] == 0
        async for row in agent.cursor("SELECT amount_of($1) FROM generate_series(1, 3)", first, prefetch=1):
            assert row[0] == 0
        running = asyncio.create_task(agent.execute("DELETE FROM ledger WHERE id = $1", first + 1))
        await stack.approve("Bob", await stack.card())
        assert await running == "DELETE 1", "the transaction still writes"


async def test_the_guard_keeps_code_to_reading_on_a_real_server(stack: Stack) -> None:
    """The helper's bytes against the target itself: inside a block it may not write, behind it it may again."""
    postgres = stack.demo.postgres
    assert postgres is not None
    wire = await Wire.connect(postgres.port, postgres.password, user=postgres.superuser)
    try:
        await wire.ask(query("BEGIN"))
        assert (await wire.ask(GUARD))[-1] == "ZT"
        assert await wire.ask(query("DELETE FROM ledger WHERE id < 0")) == ["E25006", "ZE"]
        await wire.ask(query("ROLLBACK"))
        await wire.ask(query("BEGIN"))
        await wire.ask(GUARD)
        assert (await wire.ask(query("SELECT 1")))[-1] == "ZT"
        assert (await wire.ask(UNGUARD))[-1] == "ZT"
        assert await wire.ask(query("DELETE FROM ledger WHERE id < 0")) == ["C[DELETE 0]", "ZT"]
        await wire.ask(query("ROLLBACK"))
    finally:
        await wire.close()


async def test_a_guard_that_failed_outside_a_block_leaves_nothing_that_keeps_the_gate_shut(stack: Stack) -> None:
    """Pipelined reads of user code in autocommit: whether they are in a block isn't known when they are sent."""
    first = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann"))
    made = "CREATE FUNCTION guarded_count() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM ledger'"
    making = asyncio.create_task(wire.ask(query(made)))
    await stack.approve("Bob", await stack.card())
    await making
    read = query("SELECT guarded_count()")
    assert await wire.ask(read, read, read, count=3) == ["T", "D", "C[SELECT 1]", "ZI"] * 3
    running = asyncio.create_task(wire.ask(query(f"DELETE FROM ledger WHERE id = {first}")))
    await stack.approve("Bob", await stack.card())
    assert await running == ["C[DELETE 1]", "ZI"]
    assert await wire.ask(query("SELECT 1"), parse("", "SELECT nothing_there"), query("SELECT 2"), SYNC, count=2) == [
        "T", "D", "C[SELECT 1]", "ZI", "E42703", "ZI",
    ]  # fmt: skip


async def test_a_second_begin_is_only_warned_of(stack: Stack, agent: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Also in a block that is to read only, behind its first read."""
    await agent.execute("BEGIN READ ONLY")
    assert await agent.fetchval("SELECT 1") == 1
    await agent.execute("BEGIN")
    assert await agent.fetchval("SHOW transaction_read_only") == "on"
    await agent.execute("COMMIT")
