"""A write whose table or column isn't there: the target's own error at once, and no card. What only looks absent is held."""

import asyncio

import pytest

from gateway.wire.frontend import SYNC, bind, execute, parse, query
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire


@pytest.fixture
def stack(each_version: Stack) -> Stack:
    return each_version


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
        ("DELETE FROM ledger WHERE id = 1 RETURNING ide", "ide"),
        ("INSERT INTO ledger VALUES (1, 'x', 1) ON CONFLICT (ide) DO NOTHING", "ide"),
        ("MERGE INTO ledger AS l USING ledger AS s ON l.id = s.id WHEN MATCHED THEN UPDATE SET amuont = 1", "amuont"),
        ("EXPLAIN ANALYZE DELETE FROM legder WHERE true", "legder"),
        ("CREATE TABLE made AS SELECT ide FROM ledger", "ide"),
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
        ("WITH ledger AS (SELECT 1 AS one) DELETE FROM ledger WHERE id = -2", ["C[DELETE 0]", "ZI"]),
        ("WITH x AS (SELECT 1 AS one), z AS (SELECT one FROM x), d AS (WITH x AS (SELECT 2 AS two) DELETE FROM ledger USING z, x WHERE id = -two RETURNING 1) SELECT * FROM d", ["T", "C[SELECT 0]", "ZI"]),
        ("INSERT INTO ledger SELECT -3, 'x', 1 FROM ledger WHERE ('n' || id)::regclass = 0", ["E42P01", "ZI"]),
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


async def test_an_error_that_quotes_a_masked_value_is_nobodys_to_see(stack: Stack, wire: Wire) -> None:
    """The preview's count casts it to a table's name, which isn't there."""
    stack.do("INSERT INTO vault VALUES (7077, '4111111111111111', 'topsecret', 'n')")
    sql = "INSERT INTO ledger SELECT -1, 'x', 1 FROM vault WHERE id = 7077 AND api_key::regclass = 0"
    asking = asyncio.create_task(wire.ask(query(sql)))
    card = await stack.card()
    assert wire.errors == []
    assert "topsecret" not in str(await stack.request(card.request_id))
    await stack.deny("Bob", card, "not this one")
    assert (await asking)[-1] == "ZI"
    stack.do("DELETE FROM vault WHERE id = 7077")
    assert "topsecret" not in str(wire.errors)
    assert "topsecret" not in str(stack.entries())


async def test_a_column_that_one_may_write_and_not_read_is_counted_all_the_same(stack: Stack, wire: Wire) -> None:
    stack.do(
        "CREATE TABLE halves (a int, b int); INSERT INTO halves VALUES (1, 1); GRANT UPDATE, SELECT (a) ON halves TO hoop"
    )
    await stack.on(stack.reload("shop"))
    asking = asyncio.create_task(wire.ask(query("UPDATE halves SET b = 1 WHERE a = 1")))
    card = await stack.card()
    assert (await stack.request(card.request_id)).preview.rows == 1
    await stack.approve("Bob", card)
    assert (await asking) == ["C[UPDATE 1]", "ZI"]
    stack.do("DROP TABLE halves")


@pytest.mark.parametrize("name", ["", "d"])
async def test_with_its_parse_in_the_same_batch_it_is_the_same(
    stack: Stack, wire: Wire, direct: Wire, name: str
) -> None:
    asked = len(stack._top())
    batch = parse(name, "DELETE FROM legder WHERE id = $1") + bind("", name, [b"1"]) + execute("") + SYNC
    for block in (b"", query("BEGIN") + parse("kept", "SELECT 1") + SYNC + query("SAVEPOINT s")):
        heard = []
        for at in (direct, wire):
            lines = [await at.ask(each) for each in (query("BEGIN"), query("SAVEPOINT s")) if block]
            lines.append(await at.ask(batch))
            lines += [
                await at.ask(each) for each in (query("ROLLBACK TO s"), query("SELECT 1"), query("COMMIT")) if block
            ]
            heard.append(lines)
        assert heard[1] == heard[0]
    assert len(stack._top()) == asked
    ends = stack.entries(session=stack.entries(kind="finished", sql="DELETE FROM legder WHERE id = $1")[-1]["session"])
    told = [(each["outcome"], each["sqlstate"], each["rows"]) for each in ends if each.get("tag") == "DELETE"]
    assert told == [("failed", "42P01", 0)] * 2


async def test_a_setting_in_front_of_it_counts(stack: Stack, wire: Wire, direct: Wire) -> None:
    """An Execute without a Sync runs before the Query behind it, in one transaction."""
    stack.do(
        "CREATE SCHEMA apart; CREATE TABLE apart.here (id int); GRANT ALL ON SCHEMA apart TO hoop; GRANT ALL ON apart.here TO hoop"
    )
    await stack.on(stack.reload("shop"))
    path = parse("", "SET search_path = apart") + bind("", "") + execute("")
    batch = path + query("DELETE FROM here WHERE true")
    asking = asyncio.create_task(wire.ask(batch))
    await stack.approve("Bob", await stack.card())
    assert await asking == await direct.ask(batch), "since 18 the transaction goes on"
    assert await wire.ask(query("COMMIT")) == await direct.ask(query("COMMIT"))
    assert wire.errors == []
    stack.do("DROP SCHEMA apart CASCADE")


async def test_preparing_it_runs_no_check_of_a_domain(stack: Stack, wire: Wire) -> None:
    """The target meets it where it reads a constant that is written to an array of the domain."""
    stack.do(
        "CREATE FUNCTION noted(int) RETURNS bool LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_lock(4242); RETURN true; END';"
        "CREATE DOMAIN checked AS int CHECK (noted(VALUE)); CREATE TABLE many (d checked[]); GRANT ALL ON many TO hoop"
    )
    await stack.on(stack.reload("shop"))
    for sql in ("INSERT INTO many VALUES ('{5}')", "UPDATE many SET d = '{5}' WHERE true"):
        asking = asyncio.create_task(wire.ask(query(sql)))
        card = await stack.card()
        assert stack.ask("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4242") == []
        await stack.deny("Bob", card, "not this one")
        assert (await asking)[-1] == "ZI"
    stack.do("DROP TABLE many; DROP DOMAIN checked; DROP FUNCTION noted")


async def test_a_parse_is_the_targets_to_refuse(stack: Stack, wire: Wire) -> None:
    assert await wire.ask(parse("", "DELETE FROM legder") + SYNC) == ["E42P01", "ZI"]
