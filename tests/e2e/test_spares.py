"""Who connects again gets the backend of before, if it is as new; and whoever looks at it can't tell. On the newest and the oldest
PostgreSQL."""

import asyncio

import psycopg
import pytest

from gateway.wire.frontend import SYNC, TERMINATE, bind, describe, execute, parse, password, query
from gateway.wire.startup import PROTOCOL_3_0, cancel_request
from tests.e2e.stack import STEP, Stack
from tests.e2e.wire import Wire, startup
from tests.fakes.stores import until

READ = "SELECT count(*) FROM ledger"
#: What a session can see of what others left in its backend, as far as DISCARD ALL is to take it back.
TRACES = """
SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_listening_channels()),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
       current_setting('search_path'), current_setting('default_transaction_read_only'), current_setting('application_name'),
       current_setting('work_mem'), current_setting('TimeZone'), current_setting('client_encoding'), current_user, session_user
"""


async def _quiet(stack: Stack) -> None:
    """Whoever left anything has left by now: what is kept is reset."""

    async def ready() -> bool:
        kept = stack.demo.gateway.server._spares._kept
        return all(each.ready for spares in list(kept.values()) for each in list(spares))

    await until(ready, STEP)


async def _meet(stack: Stack, who: str = "ann", **more: str) -> Wire:
    return await Wire.connect(stack.port, stack.token(who), application_name="spares", **more)


async def _leave(stack: Stack, wire: Wire) -> int:
    """Say goodbye. Returns the backend's pid."""
    ended = len(stack.entries(kind="session_ended"))
    wire.send(TERMINATE)
    await wire.rest()
    await wire.close()
    await stack.recorded(ended + 1, kind="session_ended")
    await _quiet(stack)
    return wire.key[0]


async def _been(stack: Stack, *messages: bytes, who: str = "ann", **more: str) -> int:
    """A whole session that says these, each up to a ReadyForQuery. Returns the backend's pid."""
    wire = await _meet(stack, who, **more)
    for each in messages:
        lines = await wire.ask(each)
        assert not [line for line in lines if line.startswith("E")], wire.errors
    return await _leave(stack, wire)


@pytest.fixture
async def fresh(each_version: Stack) -> Stack:
    """Nothing is kept of former tests."""
    await each_version.forget_spares()
    return each_version


READS = [
    pytest.param((), id="nothing"),
    pytest.param((query(READ),), id="a read"),
    pytest.param((query(READ),) * 3, id="the same again"),
    pytest.param((parse("named", READ) + bind("", "named") + describe("P", "") + execute("") + SYNC,), id="prepared"),
    pytest.param(
        (query("BEGIN"), query(READ), query("SAVEPOINT a"), query("ROLLBACK TO a"), query("COMMIT")), id="block"
    ),
    pytest.param(
        (query("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"), query(READ), query("ROLLBACK")), id="read only"
    ),
    pytest.param((query("SHOW search_path"),), id="SHOW"),
    pytest.param((parse("", READ) + bind("", "") + execute("", 1) + SYNC,), id="suspended"),
]


@pytest.mark.parametrize("messages", READS)
async def test_who_only_reads_gets_its_backend_again_as_new(fresh: Stack, messages: tuple[bytes, ...]) -> None:
    stranger = await _meet(fresh)
    new = await _all(stranger)
    greeted = stranger.status
    await stranger.reset()  # no goodbye: nothing of it is kept
    first = await _been(fresh, *messages)
    again = await _meet(fresh)
    assert again.key[0] == first
    assert again.status == greeted
    assert await _all(again) == new
    assert again.errors == []
    assert await _leave(fresh, again) == first


async def _all(wire: Wire) -> list[tuple[str, bytes]]:
    """What is seen of the backend, message by message."""
    wire.send(query(TRACES))
    found: list[tuple[str, bytes]] = []
    while not found or found[-1][0] != "Z":
        found.append(await wire.message())
    return [each for each in found if each[0] in "DCZ"]


LEAVES = [
    "SET work_mem = '5MB'",
    "SET TimeZone = 'Asia/Tokyo'",
    "SELECT setseed(0.25)",
    "SELECT shop.pg_catalog.setseed(0.25)",
    "PREPARE a AS SELECT 1",
    "BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT",
    "SELECT 1; SELECT set_config('search_path', 'public', false)",
]


@pytest.mark.parametrize("sql", LEAVES)
async def test_who_does_more_does_not(fresh: Stack, sql: str) -> None:
    first = await _been(fresh, query(sql))
    assert await _been(fresh, query(READ)) != first


async def test_who_left_a_block_open_does_not(fresh: Stack) -> None:
    first = await _been(fresh, query("BEGIN"), query(READ))
    assert await _been(fresh) != first


async def test_who_did_not_say_goodbye_does_not(fresh: Stack) -> None:
    wire = await _meet(fresh)
    ended = len(fresh.entries(kind="session_ended"))
    await wire.ask(query(READ))
    await wire.close()
    await fresh.recorded(ended + 1, kind="session_ended")
    assert await _been(fresh) != wire.key[0]


async def test_who_was_cancelled_does_not(fresh: Stack) -> None:
    wire = await _meet(fresh)
    wire.send(query("SELECT pg_sleep(600)"))
    await fresh.recorded(kind="statement", sql="SELECT pg_sleep(600)")
    other = await Wire.open(fresh.port)
    other.send(cancel_request(*wire.key))
    await other.rest()
    assert await wire.lines() == ["T", "E57014", "ZI"]
    assert await _leave(fresh, wire) != (await _meet(fresh)).key[0]


@pytest.mark.parametrize("other", [{"who": "bob"}, {"options": "-c work_mem=3MB"}, {"database": "archive"}])
async def test_nobody_else_does(fresh: Stack, other: dict[str, str]) -> None:
    """Another person, another way to log in, another target: but the first gets it still."""
    messages = () if other.get("who") else (query(READ),)
    token = {"who": "ann"} | other
    if token["who"] == "bob":
        token["database"] = "archive"  # where a reviewer may look
    first = await _been(fresh, query(READ))
    assert await _been(fresh, *messages, **token) != first
    assert await _been(fresh) == first


@pytest.mark.parametrize("minor", [0, 2])
@pytest.mark.parametrize("wish", [{}, {"options": "-c default_transaction_read_only=on"}], ids=["none", "read only"])
async def test_it_is_greeted_as_at_a_login(fresh: Stack, minor: int, wish: dict[str, str]) -> None:
    """Message by message, but for the secret's bytes."""
    _, new = await _greeted(fresh, minor, wish)
    first = await _been(fresh, query(READ))
    pid, again = await _greeted(fresh, minor, wish)
    assert pid == first
    assert again == new


async def _greeted(stack: Stack, minor: int, wish: dict[str, str]) -> tuple[int, list[tuple[str, bytes]]]:
    wire = await Wire.open(stack.port)
    wire.send(startup({"user": "hoop", "database": "shop", "application_name": "spares", **wish}, PROTOCOL_3_0 + minor))
    await wire.message()
    wire.send(password(stack.token("ann")))
    found: list[tuple[str, bytes]] = []
    while not found or found[-1][0] != "Z":
        kind, body = await wire.message()
        found.append((kind, bytes(len(body)) if kind == "K" else body))
    await wire.reset()
    return wire.key[0], found


async def test_a_login_that_fails_for_another_reason_takes_nobodys(fresh: Stack) -> None:
    first = await _been(fresh, query(READ))
    wire = await Wire.open(fresh.port)
    lines = await wire.log_in(fresh.token("ann"), {"user": "hoop", "database": "shop", "options": "-c work_mem=none"})
    assert lines[-2:] == ["E22023", "closed"]
    assert await _been(fresh) == first


async def test_what_is_kept_is_in_nobodys_way(fresh: Stack) -> None:
    """A login that the role's own limit refuses ends what is kept, and comes in then."""
    postgres = fresh.demo.postgres
    assert postgres is not None
    first = await _been(fresh, query(READ))
    busy = fresh.ask("SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'hoop'")[0][0]
    fresh.do(f"ALTER ROLE hoop CONNECTION LIMIT {busy}")
    try:
        assert await _been(fresh, who="ann", options="-c work_mem=3MB") != first
        assert fresh.ask("SELECT 1 FROM pg_stat_activity WHERE pid = %s", first) == []
    finally:
        fresh.do("ALTER ROLE hoop CONNECTION LIMIT -1")


async def test_none_is_kept_where_code_runs_at_each_login(stack: Stack) -> None:
    """Event triggers ON login: from 17 on."""
    await stack.forget_spares()
    other = await _meet(stack, options="-c work_mem=3MB")  # whose target is in use, so that its catalog is read again
    first = await _been(stack)
    stack.do("CREATE FUNCTION greet() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    stack.do("CREATE EVENT TRIGGER greet ON login EXECUTE FUNCTION greet()")
    try:
        await stack.on(stack.reload("shop"))
        assert await _been(stack) != first, "it was kept before the code was there"
        assert await _been(stack) != await _been(stack)
    finally:
        stack.do("DROP EVENT TRIGGER greet")
        stack.do("DROP FUNCTION greet()")
        await _read_again(stack)
    await other.reset()
    assert await _been(stack) == await _been(stack)


async def _read_again(stack: Stack) -> None:
    """The catalog, which a DDL past the gateway does not tell of."""
    wire = await _meet(stack)
    await stack.on(stack.reload("shop"))
    await wire.reset()


async def test_drivers_get_it_too(fresh: Stack) -> None:
    def pid() -> int:
        place = f"host={fresh.host} port={fresh.port} dbname=shop user=hoop sslmode=disable"
        with psycopg.connect(place, password=fresh.token("ann"), autocommit=True) as client:
            assert client.execute(READ).fetchone() is not None
            return client.info.backend_pid

    ended = len(fresh.entries(kind="session_ended"))
    first = await asyncio.to_thread(pid)
    await fresh.recorded(ended + 1, kind="session_ended")
    await _quiet(fresh)
    assert await asyncio.to_thread(pid) == first


async def test_it_is_gone_when_its_time_is_over(fresh: Stack) -> None:
    first = await _been(fresh, query(READ))

    async def gone() -> bool:
        return fresh.ask("SELECT 1 FROM pg_stat_activity WHERE pid = %s", first) == []

    await until(gone, STEP)
