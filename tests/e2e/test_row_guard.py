"""The drift guard on real servers, 18 and 15: what a reviewer did not see does not stay, and nothing else looks different."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psycopg
import pytest

from gateway.wire.frontend import SYNC, bind, close, describe, execute, parse, query
from tests.e2e.driving import BUNDLED
from tests.e2e.stack import STEP, Stack
from tests.e2e.wire import Wire


@pytest.fixture
def stack(each_version: Stack) -> Stack:
    return each_version


def simple(sql: str) -> bytes:
    return query(sql)


def extended(sql: str, limit: int = 0) -> bytes:
    return parse("", sql) + bind("", "") + describe("P", "") + execute("", limit) + SYNC


def one_by_one(sql: str) -> bytes:
    """As asyncpg's fetchrow asks, and with the Close that others put behind it."""
    return extended(sql, 1).replace(SYNC, close("P", "") + SYNC)


ASKING: list[Callable[[str], bytes]] = [simple, extended, one_by_one]


def owned(stack: Stack, first: int) -> str:
    """Give three rows one owner; returns the owner."""
    owner = f"drift {first}"
    stack.do(f"UPDATE ledger SET owner = '{owner}' WHERE id BETWEEN {first} AND {first + 2}")
    return owner


def add(stack: Stack, first: int, extra: int) -> None:
    """Give that owner so many rows more: another session does."""
    at = 10_000 + 100 * first
    stack.do(f"INSERT INTO ledger SELECT n, 'drift {first}', 100 FROM generate_series({at + 1}, {at + extra}) AS n")


def left(stack: Stack, owner: str) -> int:
    ((count,),) = stack.ask("SELECT count(*) FROM ledger WHERE owner = %s", owner)
    assert isinstance(count, int)
    return count


# --- more rows than were seen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("returning", ["", " RETURNING id"])
async def test_rows_that_came_while_it_waited_are_not_deleted(
    stack: Stack, wire: Wire, ask: Callable[[str], bytes], block: bool, returning: str
) -> None:
    """3 were approved, and 53 would be deleted."""
    first = stack.ids()
    owner = owned(stack, first)
    sql = f"DELETE FROM ledger WHERE owner = '{owner}'{returning}"
    if block:
        await wire.ask(query("BEGIN"))
    asking = asyncio.create_task(wire.ask(ask(sql)))
    card = await stack.card()
    assert "More than that is rolled back." in card.shown
    add(stack, first, 50)
    await stack.approve("Bob", card)
    lines = await asking
    assert lines[-2:] == ["E42501", "ZE" if block else "ZI"]
    assert "D" not in lines
    assert wire.errors[0]["M"] == "rolled back: 3 rows approved, 53 rows would have changed; nothing has changed"
    assert f"request {card.request_id}, rule: changes wait, approved by bob@example.com" in wire.errors[0]["D"]
    assert "would have changed 53 rows, and 3 rows had been approved" in await card.says("Rolled back")
    request = await stack.request(card.request_id)
    assert (request.state.value, request.rows, request.row_cap) == ("failed", 53, 3)
    (entry,) = stack.entries(kind="finished", request=card.request_id)
    assert entry["reason"] == "rolled back: 3 rows approved, 53 rows would have changed"
    if block:
        assert await wire.ask(query("COMMIT")) == ["C[ROLLBACK]", "ZI"]
    assert left(stack, owner) == 53


async def test_sent_again_it_is_a_new_request_with_the_new_count(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    owner = owned(stack, first)
    sql = query(f"DELETE FROM ledger WHERE owner = '{owner}'")
    asking = asyncio.create_task(wire.ask(sql))
    card = await stack.card()
    add(stack, first, 50)
    await stack.approve("Bob", card)
    await asking
    asking = asyncio.create_task(wire.ask(sql))
    card = await stack.card()
    assert "53 rows would be deleted" in card.shown
    await stack.approve("Bob", card)
    assert await asking == ["C[DELETE 53]", "ZI"]
    assert "committed" in await card.says("Executed")
    assert left(stack, owner) == 0


async def test_what_a_block_did_before_is_kept_by_the_clients_own_savepoint(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    owner = owned(stack, first)
    await wire.ask(query("BEGIN"))
    asking = asyncio.create_task(wire.ask(query(f"UPDATE ledger SET amount = 7 WHERE id = {first}")))
    await stack.approve("Bob", await stack.card())
    assert await asking == ["C[UPDATE 1]", "ZT"]
    await wire.ask(query("SAVEPOINT mine"))
    asking = asyncio.create_task(wire.ask(query(f"UPDATE ledger SET amount = 8 WHERE owner = '{owner}'")))
    card = await stack.card()
    add(stack, first, 1)
    await stack.approve("Bob", card)
    assert await asking == ["E42501", "ZE"]
    assert await wire.ask(query("SELECT 1")) == ["E25P02", "ZE"]
    assert await wire.ask(query("ROLLBACK TO mine")) == ["C[ROLLBACK]", "ZT"]
    assert await wire.ask(query("COMMIT")) == ["C[COMMIT]", "ZI"]
    assert stack.ask("SELECT DISTINCT amount FROM ledger WHERE owner = %s ORDER BY 1", owner) == [(7,), (100,)]


# --- and nothing else looks different ---------------------------------------------------------------------------------

SAME = {
    "delete": "DELETE FROM ledger WHERE owner = '{owner}'",
    "delete none": "DELETE FROM ledger WHERE owner = 'nobody {owner}'",
    "returning": "UPDATE ledger SET amount = 8 WHERE owner = '{owner}' RETURNING id - {first}, amount",
    "insert": "INSERT INTO ledger VALUES ({new}, '{owner}', 1) RETURNING amount",
    "fails": "INSERT INTO ledger VALUES ({first}, 'x', 1)",
    "fails at commit": "INSERT INTO dues VALUES ({first}, {first}), ({first} + 1, {first})",
    "fails at commit, returning": "INSERT INTO dues VALUES ({first}, 1), ({first} + 1, 1) RETURNING owner - owner",
}


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("sql", SAME.values(), ids=[each.replace(" ", "-") for each in SAME])
async def test_the_wire_looks_as_postgres_has_it(
    stack: Stack, wire: Wire, direct: Wire, sql: str, ask: Callable[[str], bytes], block: bool
) -> None:
    heard = []
    for at in (direct, wire):
        first = stack.ids()
        text = sql.format(first=first, owner=owned(stack, first), new=100_000 + first)
        before = await at.ask(query("BEGIN")) if block else []
        asking = asyncio.create_task(at.ask(ask(text)))
        if at is wire:
            await stack.approve("Bob", await stack.card())
        lines = await asking
        after = await at.ask(query("SELECT 1"))
        ended = await at.ask(query("COMMIT")) if block else []
        heard.append([before, lines, after, ended, [(each["C"], each.get("P")) for each in at.errors]])
    assert heard[1] == heard[0]


async def test_the_unnamed_statement_and_portal_stay_as_postgres_has_them(
    stack: Stack, wire: Wire, direct: Wire
) -> None:
    """Behind a query both are gone, behind a batch in a block they are there."""
    for ask, block in ((simple, False), (extended, False), (simple, True), (extended, True)):
        heard = []
        for at in (direct, wire):
            first = stack.ids()
            await at.ask(query("BEGIN" if block else "SELECT 1"))
            await at.ask(parse("kept", "SELECT 1") + SYNC)
            asking = asyncio.create_task(at.ask(ask(f"DELETE FROM ledger WHERE id = {first}")))
            if at is wire:
                await stack.approve("Bob", await stack.card())
            await asking
            lines = await at.ask(bind("", "kept") + execute("") + SYNC)
            lines += await at.ask(parse("", "SELECT 2") + bind("", "") + execute("") + SYNC)
            await at.ask(query("ROLLBACK"))
            await at.ask(query("DEALLOCATE kept"))
            heard.append(lines)
        assert heard[0] == heard[1]


# --- drivers ----------------------------------------------------------------------------------------------------------


async def test_psycopg_gets_its_rows_and_its_error(stack: Stack) -> None:
    first = stack.ids()
    owner = owned(stack, first)
    sql = "UPDATE ledger SET amount = amount + 1 WHERE owner = %s RETURNING id"
    async with await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=stack.port, user="hoop", password=stack.token("ann"), dbname="shop", autocommit=True
    ) as client:
        asking = asyncio.create_task(client.execute(sql, [owner]))
        await stack.approve("Bob", await stack.card())
        assert [row[0] for row in await (await asking).fetchall()] == [first, first + 1, first + 2]
        asking = asyncio.create_task(client.execute(sql, [owner]))
        card = await stack.card()
        add(stack, first, 1)
        await stack.approve("Bob", card)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="3 rows approved, 4 rows would have changed"):
            await asking
        async with client.transaction():
            await client.execute("SELECT 1")
        assert stack.ask("SELECT sum(amount) FROM ledger WHERE owner = %s", owner) == [(403,)]


async def test_asyncpg_fetches_one_row_and_is_told_of_more(stack: Stack) -> None:
    first = stack.ids()
    sql = "DELETE FROM ledger WHERE owner = $1 RETURNING id"
    client = await asyncpg.connect(
        host="127.0.0.1", port=stack.port, user="hoop", password=stack.token("ann"), database="shop"
    )
    try:
        asking = asyncio.create_task(client.fetchval(sql, f"owner {first + 5}"))
        await stack.approve("Bob", await stack.card())
        assert await asking == first + 5
        asking = asyncio.create_task(client.fetchval(sql, f"owner {first + 6}"))
        card = await stack.card()
        stack.do(f"INSERT INTO ledger VALUES ({90_000 + first}, 'owner {first + 6}', 1)")
        await stack.approve("Bob", card)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="1 row approved, 2 rows would have changed"):
            await asking
        async with client.transaction():
            asking = asyncio.create_task(client.fetchval(sql, f"owner {first + 6}"))
            await stack.approve("Bob", await stack.card())
            assert await asking in (first + 6, 90_000 + first)
        assert left(stack, f"owner {first + 6}") == 0
    finally:
        await client.close()


@pytest.mark.skipif(BUNDLED is None, reason="no psql")
async def test_psql_goes_on_behind_a_statement_that_was_rolled_back(stack: Stack, tmp_path: Path) -> None:
    first = stack.ids()
    owner = owned(stack, first)
    assert BUNDLED is not None
    script = tmp_path / "script.sql"
    script.write_text(f"DELETE FROM ledger WHERE owner = '{owner}';\nSELECT 'still here';\n", "utf-8")
    process = await asyncio.create_subprocess_exec(
        str(BUNDLED / "psql"), f"host=127.0.0.1 port={stack.port} user=hoop dbname=shop sslmode=disable",
        "-AtX", "-f", str(script), env={"PGPASSWORD": stack.token("ann")},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    card = await stack.card()
    add(stack, first, 50)
    await stack.approve("Bob", card)
    async with asyncio.timeout(STEP):
        output, _ = await process.communicate()
    text = output.decode()
    assert "ERROR:  rolled back: 3 rows approved, 53 rows would have changed; nothing has changed" in text
    assert "HINT:  The rows have changed since the reviewer saw them." in text
    assert "still here" in text
    assert left(stack, owner) == 53


async def test_an_approval_that_came_to_nothing_is_not_used_later(stack: Stack, wire: Wire) -> None:
    """What stood before the Execute failed, so it was skipped. Its portal is older than the savepoint and still whole."""
    first = stack.ids()
    owner = owned(stack, first)
    await wire.ask(query("BEGIN"))
    await wire.ask(parse("", f"DELETE FROM ledger WHERE owner = '{owner}'") + bind("p", "") + SYNC)
    await wire.ask(query("SAVEPOINT s"))
    asking = asyncio.create_task(wire.ask(parse("", "SELECT nosuch FROM ledger") + execute("p") + SYNC))
    card = await stack.card()
    await stack.approve("Bob", card)
    assert await asking == ["E42703", "ZE"]
    await card.says("Failed")
    assert await wire.ask(query("ROLLBACK TO s")) == ["C[ROLLBACK]", "ZT"]
    add(stack, first, 50)
    asking = asyncio.create_task(wire.ask(execute("p") + SYNC))
    await stack.deny("Bob", await stack.card(), "asked again")
    assert await asking == ["E42501", "ZE"]
    await wire.ask(query("ROLLBACK"))
    assert left(stack, owner) == 53


# --- views ------------------------------------------------------------------------------------------------------------


async def test_a_joined_write_of_a_view_is_counted_and_guarded(stack: Stack, wire: Wire) -> None:
    """A view has no ctid to count by: each of its rows counts once, however many rows of the join it meets."""
    first = stack.ids()
    owned(stack, first)
    name = f"drifting_{first}"
    stack.do(
        f"CREATE VIEW {name} AS SELECT * FROM ledger WHERE id < {first + 2}; GRANT SELECT, UPDATE ON {name} TO hoop"
    )
    await stack.on(stack.reload("shop"))
    try:
        sql = f"UPDATE {name} SET amount = 7 FROM (VALUES ({first}), ({first}), ({first + 1}), ({first + 2})) AS v (n) WHERE v.n = id"
        asking = asyncio.create_task(wire.ask(query(sql)))
        card = await stack.card()
        assert "2 rows would be changed (exact count)" in card.shown
        await stack.approve("Bob", card)
        assert await asking == ["C[UPDATE 2]", "ZI"]
        assert stack.ask("SELECT count(*) FROM ledger WHERE amount = 7 AND id BETWEEN %s AND %s", first, first + 2) == [
            (2,)
        ]
    finally:
        stack.do(f"DROP VIEW {name}")
