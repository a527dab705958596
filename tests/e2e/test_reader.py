"""The reader login on real servers: who may only read is another role to the target, and that role can't write."""

import psycopg
import pytest

from gateway.relay.credentials import Credentials
from gateway.relay.side import risks
from tests.e2e.stack import Stack


@pytest.fixture
def stack(each_version: Stack) -> Stack:
    return each_version


async def archive(
    stack: Stack, person: str, options: str | None = None
) -> "psycopg.AsyncConnection[tuple[object, ...]]":
    return await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=stack.port,
        user="hoop",
        password=stack.token(person),
        dbname="archive",
        options=options,
        autocommit=True,
    )


async def asked(connection: "psycopg.AsyncConnection[tuple[object, ...]]", sql: str) -> object:
    row = await (await connection.execute(sql.encode())).fetchone()
    assert row is not None
    return row[0]


async def test_who_may_only_read_is_the_reader(stack: Stack) -> None:
    async with await archive(stack, "bob") as connection:
        assert await asked(connection, "SELECT current_user") == "hoop_reader"
        assert await asked(connection, "SELECT session_user") == "hoop_reader"
        assert await asked(connection, "SELECT amount FROM ledger WHERE id = 1999") == 100
        assert await asked(connection, "SELECT has_table_privilege('ledger', 'INSERT, UPDATE, DELETE')") is False
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="refused by policy"):
            await connection.execute("DELETE FROM ledger WHERE id = 1999")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table brief"):
            await connection.execute("SELECT * FROM brief")
    assert {each["login"] for each in stack.entries(kind="session_started", user="bob@example.com")} == {"hoop_reader"}


async def test_who_may_write_is_not(stack: Stack) -> None:
    async with await archive(stack, "ann") as connection:
        assert await asked(connection, "SELECT current_user") == "hoop"
    assert {
        each["login"] for each in stack.entries(kind="session_started", target="archive", user="ann@example.com")
    } == {"hoop"}


async def test_its_search_path_is_read_as_its_own(stack: Stack) -> None:
    """A schema that a role may not use is passed over on its path, so a rule about its tables must not count there."""
    stack.do(
        "CREATE SCHEMA hidden; CREATE TABLE hidden.ledger AS SELECT 7 AS amount; GRANT USAGE ON SCHEMA hidden TO hoop"
    )
    stack.do("GRANT SELECT ON hidden.ledger TO hoop")
    ((least,),) = stack.ask("SELECT min(amount) FROM public.ledger")
    try:
        for person, found, table in (("bob", int(least), "public.ledger"), ("ann", 7, "hidden.ledger")):
            async with await archive(stack, person) as connection:
                await stack.on(stack.reload("archive"))
                await connection.execute("SET search_path = hidden, public")
                assert await asked(connection, "SELECT min(amount) FROM ledger") == found
            statement = stack.entries(kind="statement", target="archive", user=f"{person}@example.com")[-1]
            assert statement["tables"] == [table]
    finally:
        stack.do("DROP SCHEMA hidden CASCADE")


async def test_a_session_begins_with_the_path_of_its_login(stack: Stack) -> None:
    """Servers from 18 on report it, older ones are asked: names are read by it from the first statement on."""
    stack.do(
        "CREATE SCHEMA hoop; CREATE TABLE hoop.ledger AS SELECT 7 AS amount; GRANT USAGE ON SCHEMA hoop TO hoop;"
        " GRANT SELECT ON hoop.ledger TO hoop"
    )
    try:
        for path, options, found in (
            ('"$user", public', None, "hoop.ledger"),
            ("public", None, "public.ledger"),
            ("public", '-c search_path="$user",public', "hoop.ledger"),
        ):
            stack.do(f"ALTER ROLE hoop SET search_path = {path}")
            await stack.forget_spares()
            async with await archive(stack, "ann", options=options) as connection:
                await stack.on(stack.reload("archive"))
                await asked(connection, "SELECT min(amount) FROM ledger")
            statement = stack.entries(kind="statement", target="archive", user="ann@example.com")[-1]
            assert statement["tables"] == [found]
    finally:
        stack.do("ALTER ROLE hoop RESET search_path; DROP SCHEMA hoop CASCADE")


async def test_an_old_server_without_a_reader_is_named(stack: Stack) -> None:
    """Before 16 code can leave a read-only transaction; a role that may not write is what is left."""
    targets = stack.demo.gateway.policy.targets
    password = await Credentials({}).password(targets["shop"].password)
    ((version,),) = stack.ask("SELECT current_setting('server_version_num')::int")
    assert [each.startswith("the server is older than 16") for each in await risks(targets["shop"], password)] == [
        True
    ] * (version < 160000)
    assert await risks(targets["archive"], password) == []
