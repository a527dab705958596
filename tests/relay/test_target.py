"""Logging in to a real PostgreSQL, with and without TLS, and to servers that are wrong or lie."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import TargetUnavailable
from gateway.policy.model import Secret, Target
from gateway.relay.target import PINNED, Ask, connect, tls_context
from gateway.wire.backend import AUTHENTICATION_CLEARTEXT_PASSWORD, AUTHENTICATION_OK, ready_for_query
from gateway.wire.frontend import message, query


def target(postgres: EmbeddedPostgres) -> Target:
    return Target(
        "t", "test", postgres.host, postgres.port, "postgres", postgres.superuser, Secret(env="X"), sslmode="disable"
    )


async def test_a_login_by_scram(postgres: EmbeddedPostgres) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    link = await connect(target(postgres), postgres.password, {"application_name": "psql"})
    assert before <= link.since <= loop.time()
    assert link.parameters["client_encoding"] == "UTF8"
    assert link.parameters["standard_conforming_strings"] == "on"
    assert link.parameters["application_name"] == "psql"
    assert link.pid
    link.door.write(query("SHOW idle_in_transaction_session_timeout"))
    async with asyncio.timeout(5):
        kinds = [(await link.door.message(1 << 20))[0] for _ in range(4)]
    assert bytes(kinds) == b"TDCZ"
    link.door.close()


async def test_what_is_asked_right_behind_the_login_is_answered(postgres: EmbeddedPostgres) -> None:
    chosen = {"search_path": "a, b"}
    link = await connect(target(postgres), postgres.password, chosen, Ask(query("SHOW search_path")))
    assert bytes(kind for kind, _ in link.answer) == b"TDCZ"
    assert link.answer[1][1] == b"\0\1\0\0\0\4a, b"
    link.door.write(query("SELECT nothing"))
    async with asyncio.timeout(5):
        assert (await link.door.message(1 << 20))[0] == ord("E"), "and no more than that"
    link.door.close()


async def test_what_the_target_reports_by_itself_is_not_asked(postgres: EmbeddedPostgres) -> None:
    chosen = {"search_path": 'a, "B c"', "application_name": "told"}
    link = await connect(
        target(postgres), postgres.password, chosen, Ask(query("SHOW application_name"), "application_name")
    )
    assert link.answer == []
    assert link.parameters["application_name"] == "told"
    newer = int(link.parameters["server_version"].split(".")[0]) >= 18
    assert link.parameters.get("search_path") == ('a, "B c"' if newer else None)
    link.door.write(query("SELECT nothing"))
    async with asyncio.timeout(5):
        assert (await link.door.message(1 << 20))[0] == ord("E"), "and no more than that"
    link.door.close()


async def test_an_error_is_an_answer_too_and_what_is_told_beside_it_is_taken_out(postgres: EmbeddedPostgres) -> None:
    asked = Ask(query("SET application_name = 'told'; DO $$ BEGIN RAISE NOTICE 'hello'; END $$; SELECT nothing"))
    link = await connect(target(postgres), postgres.password, {}, asked)
    assert bytes(kind for kind, _ in link.answer) == b"CCEZ"
    assert [b"hello" in each for each in link.notices] == [True]
    assert link.parameters["application_name"] != "told", "it was undone"
    link.door.close()


async def test_what_is_pinned_can_not_be_chosen(postgres: EmbeddedPostgres) -> None:
    link = await connect(target(postgres), postgres.password, {"standard_conforming_strings": "off"})
    assert link.parameters["standard_conforming_strings"] == PINNED["standard_conforming_strings"]
    link.door.close()


async def test_a_wrong_password_is_the_gateways_trouble_and_names_no_user(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(TargetUnavailable, match="refused the gateway's own login") as refused:
        await connect(target(postgres), "wrong", {})
    assert postgres.superuser not in refused.value.message


async def test_an_unknown_database_keeps_the_servers_sqlstate(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(TargetUnavailable) as refused:
        await connect(replace(target(postgres), database="nowhere"), postgres.password, {})
    assert refused.value.sqlstate == "3D000"


async def test_a_login_trigger_that_writes_is_named(postgres: EmbeddedPostgres) -> None:
    await postgres.psql("CREATE DATABASE watching")
    await postgres.psql(
        "CREATE TABLE logins (who text); CREATE FUNCTION note_login() RETURNS event_trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO logins VALUES (session_user); END';"
        " CREATE EVENT TRIGGER watch ON login EXECUTE FUNCTION note_login();"
        " ALTER EVENT TRIGGER watch ENABLE ALWAYS",
        "watching",
    )
    watching = replace(target(postgres), database="watching")
    with pytest.raises(TargetUnavailable) as refused:
        await connect(watching, postgres.password, {"default_transaction_read_only": "on"})
    assert refused.value.sqlstate == "25006"
    assert "login trigger" in refused.value.hint


async def test_a_target_without_tls_is_refused_where_tls_is_asked_for(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(TargetUnavailable, match="does not offer TLS"):
        await connect(replace(target(postgres), sslmode="require"), postgres.password, {})


async def test_a_target_that_does_not_listen() -> None:
    nowhere = Target("t", "test", "127.0.0.1", 1, "d", "u", Secret(env="X"), sslmode="disable")
    with pytest.raises(TargetUnavailable, match="can't be reached"):
        await connect(nowhere, "p", {})


@asynccontextmanager
async def liar(*answers: bytes) -> AsyncIterator[Target]:
    """A server that answers each message of ours with the next of these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await reader.read(4096):
                break
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Target("liar", "test", "127.0.0.1", port, "d", "u", Secret(env="X"), sslmode="disable")
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answers",
    [
        (AUTHENTICATION_CLEARTEXT_PASSWORD,),
        (AUTHENTICATION_OK + ready_for_query("I"),),
        (message(b"R", (5).to_bytes(4, "big") + b"salt"),),
        (message(b"R", (10).to_bytes(4, "big") + b"SCRAM-SHA-1\0\0"),),
        (message(b"R", (10).to_bytes(4, "big") + b"SCRAM-SHA-256\0\0"), AUTHENTICATION_OK + ready_for_query("I")),
        (b"\xff" * 40,),
        (b"",),
    ],
    ids=["cleartext", "trust", "md5", "other mechanism", "ok without proof", "garbage", "hangs up"],
)
async def test_a_server_that_does_not_prove_itself_never_gets_the_password(answers: tuple[bytes, ...]) -> None:
    async with liar(*answers) as wrong, asyncio.timeout(10):
        with pytest.raises(TargetUnavailable) as refused:
            await connect(wrong, "the-password", {})
    assert "the-password" not in refused.value.message


async def test_a_target_that_asks_for_no_proof_is_refused_with_what_to_do() -> None:
    async with liar(AUTHENTICATION_OK + ready_for_query("I")) as wrong, asyncio.timeout(10):
        with pytest.raises(TargetUnavailable, match="does not offer SCRAM-SHA-256") as refused:
            await connect(wrong, "the-password", {})
    assert refused.value.hint.startswith("Its pg_hba.conf must ask for scram-sha-256")


@pytest.mark.parametrize(
    ("mode", "verify", "name"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_sslmode_is_libpqs(mode: str, verify: ssl.VerifyMode, name: bool) -> None:
    context = tls_context(Target("t", "e", "h", 1, "d", "u", Secret(env="X"), sslmode=mode))
    assert context.verify_mode is verify
    assert context.check_hostname is name
