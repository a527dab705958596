"""A write whose table or column isn't there: the target's own error at once, and no card. What only looks absent is held."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.wire.frontend import SYNC, parse, query
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire


@pytest.fixture
def stack(each_version: Stack) -> Stack:
    return each_version


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    connected = await Wire.connect(stack.port, stack.token("ann"))
    yield connected
    await connected.close()


@pytest.fixture
async def direct(stack: Stack) -> AsyncIterator[Wire]:
    """The same target without the gateway."""
    postgres = stack.demo.postgres
    assert postgres is not None
    connected = await Wire.connect(postgres.port, postgres.password, user=postgres.superuser)
    yield connected
    await connected.close()


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("DELETE FROM legder WHERE id = 1", "legder"),
        ("DELETE FROM ledger WHERE ide = 1", "ide"),
        ("DELETE FROM ledger USING nobody WHERE true", "nobody"),
        ("UPDATE ledger SET amuont = 1 WHERE id = 1", "amuont"),
        ("UPDATE ledger SET amount = l.amuont FROM ledger AS l WHERE false", "amuont"),
        ("INSERT INTO ledger (id, onwer) VALUES (1, 'x')", "onwer"),
        ("INSERT INTO legder VALUES (1)", "legder"),
        ("INSERT INTO ledger SELECT ide FROM ledger", "ide"),
        ("INSERT INTO ledger VALUES ((SELECT ide FROM ledger), 'x', 1)", "ide"),
        ("MERGE INTO ledger AS l USING legder ON true WHEN MATCHED THEN DELETE", "legder"),
        ("WITH gone AS (DELETE FROM legder WHERE true RETURNING id) SELECT * FROM gone", "legder"),
    ],
)
async def test_it_is_told_as_postgres_tells_it(
    stack: Stack, wire: Wire, direct: Wire, sql: str, name: str, block: bool
) -> None:
    heard = []
    asked = len(stack._top())
    for at in (direct, wire):
        before = await at.ask(query("BEGIN")) if block else []
        lines = await at.ask(query(sql))
        ended = await at.ask(query("COMMIT")) if block else []
        heard.append([before, lines, ended])
    assert heard[1] == heard[0]
    assert name in wire.errors[-1]["M"]
    assert wire.errors[-1]["D"] == "the target says so; nobody was asked, and nothing ran"
    assert len(stack._top()) == asked
    entry = stack.entries(kind="finished", sql=sql)[-1]
    assert (entry["outcome"], entry["sqlstate"]) == ("failed", wire.errors[-1]["C"])


@pytest.mark.parametrize(
    ("sql", "lines"),
    [
        ("CREATE TABLE brandnew (id int); INSERT INTO brandnew VALUES (1); DROP TABLE brandnew", ["C[CREATE TABLE]", "C[INSERT 0 1]", "C[DROP TABLE]", "ZI"]),
        ("DROP TABLE IF EXISTS nobody", ["N", "C[DROP TABLE]", "ZI"]),
        ("WITH l AS (SELECT 1 AS one) DELETE FROM ledger USING l WHERE ledger.id = -l.one", ["C[DELETE 0]", "ZI"]),
        ("INSERT INTO ledger AS l (id, owner, amount) VALUES (-1, 'x', 1) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount + l.amount", ["C[INSERT 0 1]", "ZI"]),
        ("DELETE FROM ledger WHERE id = -2 RETURNING id + 1 AS later", ["T", "C[DELETE 0]", "ZI"]),
        ("WITH RECURSIVE a AS (INSERT INTO ledger SELECT id, owner FROM b RETURNING id), b AS (DELETE FROM ledger WHERE id = -2 RETURNING *) SELECT * FROM a", ["T", "C[SELECT 0]", "ZI"]),
    ],
)  # fmt: skip
async def test_what_only_looks_absent_is_held_and_runs(stack: Stack, wire: Wire, sql: str, lines: list[str]) -> None:
    asking = asyncio.create_task(wire.ask(query(sql)))
    await stack.approve("Bob", await stack.card())
    assert [each for each in await asking if each != "N"] == [each for each in lines if each != "N"]


async def test_a_table_of_this_session_is_there(stack: Stack, wire: Wire) -> None:
    for sql in ("CREATE TEMP TABLE mine (id int)", "INSERT INTO mine VALUES (1)"):
        asking = asyncio.create_task(wire.ask(query(sql)))
        await stack.approve("Bob", await stack.card())
        assert (await asking)[-1] == "ZI"
    assert wire.errors == []


async def test_a_parse_is_the_targets_to_refuse(stack: Stack, wire: Wire) -> None:
    assert await wire.ask(parse("", "DELETE FROM legder") + SYNC) == ["E42P01", "ZI"]
