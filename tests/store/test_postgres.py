"""What only a real PostgreSQL does: start at once, hang, die, refuse; and a login that may do little."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from unittest.mock import ANY

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway.approvals import request as rules
from gateway.approvals.granting import cover
from gateway.approvals.request import ApprovalRequest
from gateway.audit import tail
from gateway.audit.chain import Wrong
from gateway.audit.entry import UNREADABLE, together
from gateway.audit.exposure import exposure
from gateway.audit.log import AuditLog, verify
from gateway.audit.query import parse
from gateway.audit.spool import Spool
from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import StoreUnavailable
from gateway.identity.accounts import Account
from gateway.store.port import Ending
from gateway.store.postgres import MAX_CONNECTIONS, PostgresStore, missing_migrations
from gateway.store.queries import load_migrations
from tests.bots.samples import BOB
from tests.fakes.stores import KEY, ListSpool, fresh, postgres_store, until
from tests.store.test_contract import asking, granting


@pytest.fixture
async def store(store_dsn: str) -> AsyncIterator[PostgresStore]:
    async with postgres_store(store_dsn) as store:
        yield store


@pytest.fixture
async def admin(store_dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(store_dsn)
    yield connection
    await connection.close()


async def _end_backends(admin: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Kill every connection of our stores."""
    ended = await admin.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'hoop store'"
        " AND datname = current_database()"
    )
    assert isinstance(ended, int)
    return ended


class TestStart:
    async def test_replicas_that_start_at_once_make_one_schema(self, postgres: EmbeddedPostgres) -> None:
        await postgres.psql("CREATE DATABASE started;")
        stores = await asyncio.gather(*(PostgresStore.connect(postgres.dsn("started")) for _ in range(5)))
        numbers = await postgres.psql("SELECT string_agg(number::text, ',') FROM hoop.migration;", "started")
        assert numbers == ",".join(str(each.number) for each in load_migrations())
        for store in stores:
            await store.close()

    async def test_a_migration_that_is_missing_is_run(self, postgres: EmbeddedPostgres) -> None:
        await postgres.psql("CREATE DATABASE begun;")
        await postgres.psql(
            "CREATE SCHEMA hoop; CREATE TABLE hoop.migration (number int PRIMARY KEY, title text, run_at timestamptz);",
            "begun",
        )
        store = await PostgresStore.connect(postgres.dsn("begun"))
        request = fresh()
        await store.open(request, lambda _: [])
        assert (await store.get(request.id)) == request
        await store.close()

    async def test_an_unreachable_store_says_so_without_its_address(self) -> None:
        with pytest.raises(StoreUnavailable) as caught:
            await PostgresStore.connect("postgresql://hoop:topsecret@127.0.0.1:1/store")
        assert "topsecret" not in caught.value.message + caught.value.hint

    async def test_a_dsn_that_is_none_says_so(self) -> None:
        with pytest.raises(StoreUnavailable, match=r"^HOOP_STORE can't be used: it is no usable DSN$"):
            await PostgresStore.connect("topsecret")

    async def test_tables_without_grants_say_where_the_grants_are(self, postgres: EmbeddedPostgres) -> None:
        """None at all, at the start; and those that were forgotten after an upgrade, at the call that needs them."""
        await postgres.psql("CREATE DATABASE ungranted; CREATE ROLE forgotten LOGIN PASSWORD 'pw';")
        await (await PostgresStore.connect(postgres.dsn("ungranted"))).close()
        dsn = postgres.dsn("ungranted", "forgotten", "pw")
        with pytest.raises(StoreUnavailable, match="has no rights on the store's tables") as refused:
            await PostgresStore.connect(dsn)
        with pytest.raises(StoreUnavailable, match="has no rights on the store's tables"):
            await missing_migrations(dsn)
        assert "docs/deploy.md" in refused.value.hint
        rights = "GRANT USAGE ON SCHEMA hoop TO forgotten; GRANT SELECT ON hoop.migration TO forgotten;"
        await postgres.psql(rights, "ungranted")
        store = await PostgresStore.connect(dsn)
        with pytest.raises(StoreUnavailable, match="lacks rights on a table") as refused:
            await store.heartbeat("gate-1")
        assert "docs/deploy.md" in refused.value.hint
        await store.close()

    async def test_a_login_that_may_not_migrate_says_so(self, postgres: EmbeddedPostgres) -> None:
        await postgres.psql("CREATE DATABASE bare; CREATE ROLE nobody_here LOGIN PASSWORD 'pw';")
        with pytest.raises(StoreUnavailable, match="permission denied"):
            await PostgresStore.connect(postgres.dsn("bare", "nobody_here", "pw"))

    async def test_the_rights_that_the_schema_names_are_enough(self, postgres: EmbeddedPostgres) -> None:
        await postgres.psql("CREATE DATABASE narrow; CREATE ROLE gate LOGIN PASSWORD 'pw';")
        await (await PostgresStore.connect(postgres.dsn("narrow"))).close()
        await postgres.psql(
            "GRANT USAGE ON SCHEMA hoop TO gate; GRANT SELECT ON ALL TABLES IN SCHEMA hoop TO gate;"
            "GRANT INSERT, UPDATE ON hoop.approval, hoop.granted, hoop.outbox, hoop.person, hoop.replica, hoop.chore TO gate;"
            "GRANT INSERT, UPDATE, DELETE ON hoop.conversation, hoop.ticket, hoop.link TO gate;"
            "GRANT INSERT ON hoop.audit, hoop.checkpoint, hoop.ending TO gate;",
            "narrow",
        )
        store = await PostgresStore.connect(postgres.dsn("narrow", "gate", "pw"))
        request, spool = fresh(), ListSpool()
        await store.open(request, lambda _: [spool.record("held")])
        await store.append(together(spool.queued))
        denied = await store.move(request.id, lambda r, now: rules.deny(r, BOB, "slack", "no", now), lambda _: [])
        assert isinstance(denied, ApprovalRequest)
        [post] = await store.due()
        await store.sent(post.id, 2, "ref")
        await store.failed(post.id, "x", 1.0)
        await store.checkpoint("gate-1", 1, "head", "signature")
        await store.saw(BOB, time.time())
        await store.heartbeat("gate-1")
        await store.end_session("s-1", Ending("bob", "why"))
        giver = asking()
        await store.open(giver, lambda _: [])
        await store.move(giver.id, granting, lambda _: [])
        assert await store.use_grant(asking(), cover, lambda _: []) is not None
        await store.put_ticket("x", "{}", time.time() + 60)
        assert await store.take_ticket("x") == "{}"
        account = Account("slack", "/T1", "U1", "Bob")
        await store.link(account, BOB, time.time())
        assert await store.unlink(account)
        await store.close()


class TestTrouble:
    async def test_a_row_that_stays_locked_is_a_store_that_does_not_answer(
        self, store_dsn: str, admin: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        async with postgres_store(store_dsn, timeout=1.5) as store:
            request = fresh()
            await store.open(request, lambda _: [])
            async with admin.transaction():
                await admin.execute("SELECT FROM hoop.approval WHERE id = $1 FOR UPDATE", request.id)
                with pytest.raises(StoreUnavailable):
                    await store.move(request.id, lambda r, now: rules.deny(r, BOB, "slack", "no", now), lambda _: [])
            assert await store.get(request.id) == request

    async def test_killed_connections_are_renewed(
        self, store: PostgresStore, admin: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        request = fresh()
        await store.open(request, lambda _: [])
        assert await _end_backends(admin) >= 1

        async def answers() -> bool:
            try:
                return await store.get(request.id) == request
            except StoreUnavailable:  # the pool may hand out a connection whose end it has not read yet
                return False

        await until(answers)

    async def test_a_transaction_that_loses_its_connection_changes_nothing(
        self, store_dsn: str, store: PostgresStore, admin: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        request = fresh()
        await store.open(request, lambda _: [])
        victim = await PostgresStore.connect(store_dsn)

        async def killed_in_the_middle() -> None:
            async with victim._transaction() as connection:
                await connection.fetch("UPDATE hoop.approval SET rev = 99")
                await admin.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
                await connection.fetch("SELECT 1")

        with pytest.raises(StoreUnavailable):
            await killed_in_the_middle()
        await victim.close()
        assert (await store.revisions([request.id])) == {request.id: 1}

    async def test_after_close_every_call_is_unavailable(self, store_dsn: str) -> None:
        async with postgres_store(store_dsn) as store:
            await store.close()
            for call in (store.get("x"), store.due(), store.heartbeat("gate-1"), store.append(b"")):
                with pytest.raises(StoreUnavailable):
                    await call


async def test_what_the_checks_of_the_schema_refuse_is_unavailable(store: PostgresStore) -> None:
    with pytest.raises(StoreUnavailable):
        await store.open(fresh(rev=0), lambda _: [])


async def test_a_call_that_fails_is_one_line_of_the_log_without_the_row(store: PostgresStore) -> None:
    with capture_logs() as said:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.open(fresh(rev=0), lambda _: [])
        await store.heartbeat("gate-1")
    assert said == [
        {"event": "store.unavailable", "log_level": "warning", "problem": ANY, "left_out": 0},
        {"event": "store.back", "log_level": "info", "left_out": 1},
    ]
    assert said[0]["problem"].startswith(
        'CheckViolationError: new row for relation "approval" violates check constraint'
    )
    assert "DETAIL" not in said[0]["problem"]
    assert "\n" not in said[0]["problem"]


async def test_who_waited_behind_another_sees_the_time_at_which_it_was_let_through(
    store: PostgresStore, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """An approval that waits for the lock until after the expiry comes too late."""
    request = fresh()
    await store.open(request, lambda _: [])
    seen: list[float] = []

    def look(stored: ApprovalRequest, now: float) -> ApprovalRequest:
        seen.append(now)
        return stored

    async with admin.transaction():
        await admin.execute("SELECT FROM hoop.approval WHERE id = $1 FOR UPDATE", request.id)
        waiting = asyncio.create_task(store.move(request.id, look, lambda _: []))

        async def waits() -> bool:
            return bool(await admin.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await until(waits)
        free = await admin.fetchval("SELECT extract(epoch FROM clock_timestamp())::double precision")
    await waiting
    assert seen[0] > free


async def test_calls_that_wait_for_a_connection_are_served_in_turn(store: PostgresStore) -> None:
    """While other calls come and go without a pause, none waits for longer than it takes to serve those before it."""
    async with AsyncExitStack() as all_open:  # connecting takes its time, in which others overtake
        for _ in range(MAX_CONNECTIONS):
            await all_open.enter_async_context(store._connection())
    asked: list[int] = []
    served: list[int] = []

    async def caller() -> None:
        for _ in range(10):
            number = len(asked)
            asked.append(number)
            async with store._connection():
                served.append(number)

    await asyncio.gather(*(caller() for _ in range(3 * MAX_CONNECTIONS)))
    overtaken = max(at - number for at, number in enumerate(served))
    assert overtaken < MAX_CONNECTIONS


_COLUMNS = {
    "at": "at - interval '1 day'",
    "kind": "'checkpoint'",
    "outcome": "'denied'",
    "verdict": "NULL",
    '"user"': "'eve@example.com'",
    "agent": "'psql'",
    "target": "'elsewhere'",
    "tables": "ARRAY['public.harmless']",
    "tag": "'SELECT'",
    "rule": "'another'",
    "request": "'OTHER'",
    "rows": "rows + 1",
    "duration_ms": "0.5",
    "decided_by": "'bob@example.com'",
    "body": 'body || \'{"sql": "SELECT 1"}\'',
    " body": "(body || jsonb_build_object('heads', (repeat('[', 3000) || repeat(']', 3000))::jsonb))",  # nested deeper than is read
}


@pytest.mark.parametrize("column", _COLUMNS)
async def test_verify_sees_a_column_that_was_edited(
    store: PostgresStore, admin: "asyncpg.Connection[asyncpg.Record]", column: str, tmp_path: Path
) -> None:
    """The text is whole and the chain holds, but `/hoop audit` would show something else, or nothing."""
    spool = Spool.open(tmp_path, "gate-1", KEY, time.time)
    for number in range(3):
        spool.record(
            "finished",
            user="ann@example.com",
            agent="cursor",
            target="shop",
            request=f"R{number}",
            tag="DELETE",
            tables=["public.customers"],
            rule="writes",
            rows=7,
            duration_ms=1.0,
            sql="DELETE",
            outcome="executed",
            verdict="hold",
            decided_by="dana@example.com",
        )
    log = AuditLog(spool, store)
    spool.flush()
    await log.checkpoint()
    assert (await verify(store, tmp_path, KEY, grace=0.0)).ok
    await admin.execute(f"UPDATE hoop.audit SET {column} = {_COLUMNS[column]} WHERE seq = 2")
    found = (await verify(store, tmp_path, KEY, grace=0.0)).findings
    assert [(each.seq, each.wrong, each.where) for each in found] == [(2, Wrong.MISFILED, "store")]
    spool.close()


#: What somebody may write into a row in place of its text.
_TEXTS = {
    "no JSON": "'garbage'",
    "nothing": "''",
    "nested too deep": "repeat('[', 100000)",
    "nested too deep, but JSON": """'{"heads":' || repeat('[', 100000) || repeat(']', 100000) || '}'""",
    "a list": "'[]'",
    "a number": "'7'",
    "nobody's": "'{}'",
    "another's": "(SELECT text FROM hoop.audit WHERE seq = 4)",
    "of no time": """replace(text, '"at":"', '"at":"x')""",
}


@pytest.mark.parametrize("text", _TEXTS.values(), ids=_TEXTS)
async def test_a_row_that_is_no_entry_any_more_is_shown_as_that_and_fails_no_question(
    store: PostgresStore, admin: "asyncpg.Connection[asyncpg.Record]", text: str, tmp_path: Path
) -> None:
    spool = Spool.open(tmp_path, "gate-1", KEY, time.time)
    spool.record("session_started", session="s1", user="ann")
    for _ in range(3):
        spool.record("finished", user="ann", session="s1", request="R", rows=7, tag="DELETE", outcome="executed")
    spool.flush()
    log = AuditLog(spool, store)
    await log.checkpoint()
    await store.heartbeat("gate-1")
    await admin.execute(f"UPDATE hoop.audit SET text = {text} WHERE seq IN (1, 3)")
    found, total = await store.audit(parse("user:ann", time.time()))
    assert total == 3
    assert [(each["seq"], each["outcome"], each["tag"]) for each in found] == [
        (4, "executed", "DELETE"),
        (3, UNREADABLE, "gate-1 #3"),
        (2, "executed", "DELETE"),
    ]
    assert parse(f"since:{found[1]['at']}", time.time()).since == pytest.approx(time.time(), abs=60)
    told = await exposure(parse("did ann expose a secret?", time.time()), store.audit)
    assert told[0].startswith("Nobody can say")
    assert told[-1].startswith("Can't be read: 1 of them")
    [session] = await store.sessions(60)
    assert (session["session"], session["outcome"]) == ("s1", UNREADABLE)
    assert len(await store.story("R")) in (2, 3)
    wrong = {each.seq for each in (await verify(store, tmp_path, KEY, grace=0.0)).findings}
    assert {1, 3} <= wrong, "which they are, verify says"
    assert (await tail.look(store, spool, spool.seq)).wrong == 1
    spool.close()
