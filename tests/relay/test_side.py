"""Side connections: what is wrong with a login, and a connection that is kept."""

import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import TargetUnavailable
from gateway.policy.model import Secret, Target
from gateway.relay.side import CatalogReader, load_catalog, risks


def _target(postgres: EmbeddedPostgres) -> Target:
    where = (postgres.host, postgres.port, "postgres", postgres.superuser)
    return Target("t", "test", *where, Secret(env="X"), sslmode="disable")


async def test_a_wrong_password_is_told_without_it(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(TargetUnavailable) as refused:
        await load_catalog(_target(postgres), "wrong-password")
    assert "wrong-password" not in refused.value.message


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
