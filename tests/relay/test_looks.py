"""Looks at locks: on a real server, with sessions that hold some and sessions that wait."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import asyncpg
import pytest

from gateway.approvals.request import ApprovalRequest
from gateway.approvals.seen import Seen
from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import TargetUnavailable
from gateway.policy.model import Secret, Target
from gateway.relay.looks import Looks
from tests.bots.samples import DELETE, NOW, PLAIN

#: A step that takes longer has failed.
STEP = 20.0
GROUND = """
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY);
CREATE TABLE parts (id int) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF parts FOR VALUES IN (2);
CREATE TABLE parent (id int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE never (id int) WITH (autovacuum_enabled = off);
CREATE TABLE "Odd.name" (id int);
CREATE VIEW shown AS SELECT * FROM customers;
INSERT INTO customers SELECT g, 'x' FROM generate_series(1, 500) g;
INSERT INTO parts SELECT 1 + g % 2 FROM generate_series(1, 40) g;
INSERT INTO never SELECT 1;
INSERT INTO "Odd.name" SELECT 1 FROM generate_series(1, 7);
ANALYZE;
"""
INSIDE = replace(PLAIN, where_held="in transaction", statements=(replace(DELETE, changes="public.customers"),))


@dataclass
class Ground:
    """A database, and connections to it as its owner, who is no superuser."""

    server: EmbeddedPostgres
    target: Target
    open: list[asyncpg.Connection] = field(default_factory=list)

    async def connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            host=self.server.host, port=self.server.port, user="looker", password="secret", database="looking"
        )
        self.open.append(connection)
        return connection

    async def begun(self, *statements: str) -> asyncpg.Connection:
        """A session in a transaction that has run these."""
        connection = await self.connect()
        for each in ("BEGIN", *statements):
            await connection.execute(each)
        return connection

    async def waits(self, sql: str) -> asyncpg.Connection:
        """A session whose statement waits for a lock, by what the server says."""
        connection = await self.connect()
        self.tasks.append(asyncio.create_task(connection.execute(sql)))
        asks = await self.connect()
        async with asyncio.timeout(STEP):
            while not await asks.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", connection.get_server_pid()
            ):
                pass
        return connection

    tasks: list[asyncio.Task[str]] = field(default_factory=list)

    async def close(self) -> None:
        for each in self.open:
            each.terminate()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def ground(postgres: EmbeddedPostgres) -> AsyncIterator[Ground]:
    await postgres.psql("CREATE ROLE looker LOGIN PASSWORD 'secret'")
    await postgres.psql("CREATE DATABASE looking OWNER looker")
    target = Target("shop", "test", postgres.host, postgres.port, "looking", "looker", Secret(env="X"), "disable")
    found = Ground(postgres, target)
    await (await found.connect()).execute(GROUND)
    yield found
    await found.close()
    await postgres.psql("DROP DATABASE looking (FORCE)")
    await postgres.psql("DROP ROLE looker")


async def password(_target: Target) -> str:
    return "secret"


@pytest.fixture
async def looks() -> AsyncIterator[Looks]:
    found = Looks(password, lambda: NOW, within=STEP)
    yield found
    await found.close()


async def seen(looks: Looks, ground: Ground, session: asyncpg.Connection, request: ApprovalRequest = INSIDE) -> Seen:
    found = await looks.look(request, ground.target, session.get_server_pid())
    assert found is not None
    return found


# --- locks -----------------------------------------------------------------------------------------------------------------


async def test_what_a_transaction_has_locked_is_told_the_strongest_first(ground: Ground, looks: Looks) -> None:
    session = await ground.begun(
        "SELECT FROM customers", "UPDATE customers SET name = 'y' WHERE id = 1", "LOCK orders IN SHARE MODE",
        "SELECT FROM parent", 'SELECT FROM "Odd.name"', "CREATE TABLE fresh (id int)", "CREATE TEMP TABLE own (id int)",
    )  # fmt: skip
    found = await seen(looks, ground, session)
    assert found.held == (
        ("public.orders", "SHARE"),
        ("public.customers", "ROW EXCLUSIVE"),
        ('public."Odd.name"', "ACCESS SHARE"),  # its name can end no sentence of the card
    )
    assert (found.more, found.blocked, found.problem, found.at) == (2, 0, "", NOW)
    assert found.open_for is not None
    assert found.open_for >= 0
    assert found.table_rows == 500


async def test_everybody_who_waits_is_counted_also_behind_others(ground: Ground, looks: Looks) -> None:
    """A reader waits for no ROW EXCLUSIVE lock; behind an ALTER TABLE that does it waits all the same."""
    session = await ground.begun("DELETE FROM customers WHERE id = 1")
    assert (await seen(looks, ground, session)).blocked == 0
    await ground.waits("UPDATE customers SET name = 'z' WHERE id = 1")
    assert (await seen(looks, ground, session)).blocked == 1
    await ground.waits("ALTER TABLE customers ADD more text")
    await ground.waits("SELECT count(*) FROM customers")
    assert (await seen(looks, ground, session)).blocked == 3
    idle = await ground.begun()
    assert (await seen(looks, ground, idle)).blocked == 0


async def test_what_the_login_may_not_see_is_not_known(ground: Ground, looks: Looks) -> None:
    session = await ground.begun("DELETE FROM customers WHERE id = 1")
    owner = await asyncpg.connect(ground.server.dsn("looking"))
    ground.open.append(owner)
    await owner.execute("REVOKE EXECUTE ON FUNCTION pg_blocking_pids(int) FROM public")
    found = await seen(looks, ground, session)
    assert (found.blocked, found.problem) == (None, "the gateway's login may not look")
    assert found.held == (("public.customers", "ROW EXCLUSIVE"),)
    assert found.table_rows == 500
    await owner.execute("REVOKE SELECT ON pg_locks FROM public")
    assert (await seen(looks, ground, session)).held is None


async def test_a_transaction_of_another_login_does_not_show_its_age(ground: Ground, looks: Looks) -> None:
    """As after the target's user was changed while sessions were open."""
    session = await asyncpg.connect(ground.server.dsn("looking"))
    ground.open.append(session)
    await session.execute("BEGIN; DELETE FROM customers WHERE id = 1")
    found = await seen(looks, ground, session)
    assert (found.open_for, found.blocked) == (None, 0)
    assert "began" in found.problem


async def test_names_of_the_targets_own_are_not_asked_in_the_place_of_the_catalogs(
    ground: Ground, looks: Looks
) -> None:
    session = await ground.begun("DELETE FROM customers WHERE id = 1")
    await (await ground.connect()).execute(
        "CREATE TABLE pg_locks (pid int, granted bool); ALTER ROLE looker SET search_path = public, pg_catalog"
    )
    assert (await seen(looks, ground, session)).held == (("public.customers", "ROW EXCLUSIVE"),)


# --- how big a table is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("public.customers", 500.0),
        ("public.parts", 40.0),
        ("public.parent", None),  # ONLY may leave the children out
        ("public.child", None),  # it has none
        ('public."Odd.name"', 7.0),
        ("public.never", None),  # no ANALYZE has seen it... and
        ("public.shown", None),
        ("public.gone", None),
        ("", None),
    ],
)
async def test_a_table_is_as_big_as_the_server_thinks(
    ground: Ground, looks: Looks, table: str, rows: float | None
) -> None:
    if table.endswith("never"):
        await (await ground.connect()).execute("DROP TABLE never; CREATE TABLE never AS SELECT 1 AS id")
    request = replace(PLAIN, statements=(replace(DELETE, changes=table),))
    found = await looks.look(request, ground.target, 0)
    assert (found.table_rows if found else None) == rows
    assert found is None or (found.in_transaction, found.held, found.problem) == (False, None, "")


@pytest.mark.parametrize(
    "change",
    [
        {"statements": (replace(DELETE, changes="public.customers"),) * 2},
        {"statements": (replace(DELETE, changes="public.customers", tag="INSERT"),)},
        {"statements": (replace(DELETE, changes="public.customers", opaque="it calls evil()"),)},
        {"preview": replace(PLAIN.preview, rows=None)},
    ],
)
async def test_where_there_is_nothing_to_ask_nobody_connects(change: dict[str, object]) -> None:
    async def never(_target: Target) -> str:
        raise AssertionError

    request = replace(INSIDE, where_held="idle", **change)  # type: ignore[arg-type] # fields of the request
    assert await Looks(never, lambda: NOW).look(request, TARGET, 0) is None


TARGET = Target("shop", "test", "127.0.0.1", 1, "shop", "hoop", Secret(env="X"), "disable")


# --- what goes wrong -------------------------------------------------------------------------------------------------------


async def test_a_target_that_does_not_answer_costs_the_look_alone() -> None:
    met: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _reader, writer: met.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    looks = Looks(password, lambda: NOW, within=0.05)
    async with asyncio.timeout(STEP):
        found = await looks.look(INSIDE, replace(TARGET, port=port), 1)
    for each in met:
        each.close()
    silent.close()
    await silent.wait_closed()
    assert found == Seen(NOW, in_transaction=True, problem="the target did not say within 0.05 s")
    await looks.close()


async def test_no_look_raises() -> None:
    async def refused(_target: Target) -> str:
        raise TargetUnavailable("no password")

    async def broken(_target: Target) -> str:
        raise RuntimeError

    for given, said in ((password, "could not be asked"), (refused, "could not be asked"), (broken, "the look failed")):
        found = await Looks(given, time.time).look(INSIDE, TARGET, 1)
        assert found is not None
        assert said in found.problem
        assert (found.held, found.blocked, found.open_for) == (None, None, None)


async def test_a_connection_is_kept_for_the_next_one_and_replaced_when_it_has_ended(
    ground: Ground, looks: Looks
) -> None:
    session = await ground.begun("DELETE FROM customers WHERE id = 1")
    asks = await ground.connect()
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'hoop locks'"
    found = await asyncio.gather(*(seen(looks, ground, session) for _ in range(5)))
    assert {each.blocked for each in found} == {0}
    (first,) = await asks.fetch(mine)
    await asks.execute("SELECT pg_terminate_backend($1, 5000)".replace("$1", str(first[0])))
    again = await seen(looks, ground, session)
    if again.problem:  # the end of the kept one had not been heard yet: that look went without
        again = await seen(looks, ground, session)
    assert again.problem == ""
    assert [each[0] for each in await asks.fetch(mine)] != [first[0]]
