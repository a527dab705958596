"""Side connections: what is wrong with a login, and a connection that is kept."""

import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import TargetUnavailable
from gateway.policy.model import Secret, Target
from gateway.relay import catalogs as catalogs_module
from gateway.relay import side
from gateway.relay.catalogs import Catalogs
from gateway.relay.side import CatalogLocked, CatalogReader, load_catalog, risks
from gateway.sql.catalog import Catalog


def _target(postgres: EmbeddedPostgres) -> Target:
    where = (postgres.host, postgres.port, "postgres", postgres.superuser)
    return Target("t", "test", *where, Secret(env="X"), sslmode="disable")


async def test_a_wrong_password_is_told_without_it(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(TargetUnavailable) as refused:
        await load_catalog(_target(postgres), "wrong-password")
    assert "wrong-password" not in refused.value.message


async def test_what_asyncpg_fails_with_inside_is_a_failure_too(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may answer what asyncpg does not understand: its own answers are cut short here."""

    def unread(_self: object, _record: object) -> None:
        raise asyncpg.InternalClientError("not understood")

    monkeypatch.setattr(side, "EVERYTHING", "SELECT 1")
    monkeypatch.setattr(asyncpg.connection.Connection, "fetchrow", unread)
    with pytest.raises(TargetUnavailable, match="InternalClientError"):
        await load_catalog(_target(postgres), postgres.password)


# --- what a login may do ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ("", []),
        ("SUPERUSER", ["is a superuser"]),
        ("REPLICATION", ["has REPLICATION"]),
        ("IN ROLE pg_write_server_files, pg_execute_server_program", ["pg_write_server_files", "pg_execute_server_program"]),
    ],
)  # fmt: skip
async def test_a_login_that_may_do_too_much_is_named(postgres: EmbeddedPostgres, rights: str, said: list[str]) -> None:
    await postgres.psql(f"CREATE ROLE risky LOGIN PASSWORD 'secret' {rights}")
    try:
        target = Target("shop", "test", postgres.host, postgres.port, "postgres", "risky", Secret(env="X"), "disable")
        found = await risks(target, "secret")
    finally:
        await postgres.psql("DROP ROLE risky")
    assert len(found) == len(said)
    assert all(word in text and '"risky"' in text for word, text in zip(said, found, strict=True))


# --- reading it again ------------------------------------------------------------------------------------------------------

BACKENDS = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = 'hoop catalog'"


async def test_a_reader_keeps_its_connection_and_makes_a_new_one_when_that_has_ended(
    postgres: EmbeddedPostgres,
) -> None:
    target = _target(postgres)
    reader = CatalogReader()
    try:
        await reader.load(target, postgres.password)
        first = await postgres.psql(BACKENDS)
        await postgres.psql("CREATE TABLE public.made_since (id int)")
        catalog = await reader.load(target, postgres.password)
        assert ("public", "made_since") in catalog.relations
        assert await postgres.psql(BACKENDS) == first
        await postgres.psql(f"SELECT pg_terminate_backend({first}, 5000)")
        assert (await reader.load(target, postgres.password)).relations
        assert await postgres.psql(BACKENDS) != first
        with pytest.raises(TargetUnavailable):
            await reader.load(target, "wrong-password")
    finally:
        await reader.close()
        await postgres.psql("DROP TABLE IF EXISTS public.made_since")


# --- behind somebody's lock ------------------------------------------------------------------------------------------------


@pytest.fixture
async def locker(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncpg.Connection]:
    """A view, and somebody who can lock the table that it reads."""
    monkeypatch.setattr(side, "LOCKED_FOR", 0.05)
    connection = await asyncpg.connect(
        host=postgres.host,
        port=postgres.port,
        user=postgres.superuser,
        password=postgres.password,
        database="postgres",
        ssl=False,
    )
    await connection.execute(
        "CREATE TABLE public.seen (id int); CREATE VIEW public.seeing AS SELECT id FROM public.seen"
    )
    yield connection
    await connection.execute("ROLLBACK; DROP TABLE public.seen CASCADE")
    await connection.close()


LOCK = "BEGIN; LOCK TABLE public.seen IN ACCESS EXCLUSIVE MODE"


async def test_a_lock_is_not_waited_for_for_long_and_told(
    postgres: EmbeddedPostgres, locker: asyncpg.Connection
) -> None:
    """Whether the connection was kept or not, and once alone."""
    target, reader = _target(postgres), CatalogReader()
    try:
        for kept in (False, True):
            if kept:
                await reader.load(target, postgres.password)
            await locker.execute(LOCK)
            with pytest.raises(CatalogLocked, match="locked"):
                await reader.load(target, postgres.password)
            await locker.execute("ROLLBACK")
        assert ("public", "seeing") in (await reader.load(target, postgres.password)).relations
    finally:
        await reader.close()


async def test_the_old_catalog_stays_in_use_while_a_lock_hides_the_new_one_but_not_behind_ddl(
    postgres: EmbeddedPostgres, locker: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, reader, told = _target(postgres), CatalogReader(), list[Catalog | None]()
    catalogs = Catalogs(
        lambda each: reader.load(each, postgres.password), 60, lambda _target, catalog: told.append(catalog)
    )
    now = time.monotonic
    try:
        first = await catalogs.get(target)
        await locker.execute(LOCK)
        monkeypatch.setattr(catalogs_module, "TRIES", 2)
        monkeypatch.setattr(time, "monotonic", lambda: now() + 61)
        assert await catalogs.get(target) is first
        assert told == [first]
        assert await catalogs.reload(target) is None
        assert told == [first, None]
        await locker.execute("ROLLBACK")
        assert (await catalogs.get(target)) is not None, "who has none for a lock's sake tries again at once"
    finally:
        await reader.close()
