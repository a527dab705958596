"""The front door, byte by byte: who is let in, who is refused and with what words, TLS, protocol versions.

Every refusal of identity, token, user or target is 28000; a setting that isn't on the list 22023 (interface.md).
"""

import asyncio
import ssl
from dataclasses import dataclass

import psycopg
import pytest

from gateway.wire import frontend
from gateway.wire.frontend import query
from gateway.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, cancel_request, ssl_request
from tests.e2e.safe import Safe
from tests.e2e.stack import STEP, Stack
from tests.e2e.wire import Wire, startup

IN = ["R", "R", "K", "ZI"]


@dataclass(frozen=True)
class Knock:
    """A login that is refused: what it sends, what it gets, a word that the message has."""

    name: str
    sqlstate: str
    says: str
    parameters: dict[str, str]
    password: str = "{token}"


def knock(name: str, sqlstate: str, says: str, password: str = "{token}", **parameters: str) -> Knock:
    return Knock(name, sqlstate, says, {"user": "hoop", "database": "shop", **parameters}, password)


REFUSED = [
    knock("wrong user", "28000", 'user "postgres" is not the token\'s user', user="postgres"),
    knock("somebody else's name", "28000", "is not the token's user", user="bob@example.com"),
    knock("unknown target", "28000", "login refused: unknown token, user or target", database="nowhere"),
    knock("the target's other database", "28000", "login refused", database="hoop_store"),
    knock("no token", "28000", "token refused", password="let me in"),
    knock("empty password", "28000", "empty password", password=""),
    knock("half a token", "28000", "token refused", password="{half}"),
    knock("expired token", "28000", "token refused: the token expired at 20", password="{expired}"),
    knock("no grant", "28000", "login refused: unknown token, user or target", password="{eve}"),
    knock("replication", "22023", "replication", replication="database"),
    knock("role by options", "22023", "role", options="-c role=postgres"),
    knock("read-write by options", "22023", "session_authorization", options="-c session_authorization=postgres"),
    knock("a switch by options", "22023", "not supported", options="-d 5"),
    knock("a setting off the list", "22023", "session_replication_role", session_replication_role="replica"),
    knock("quotes as backslashes", "22023", "standard_conforming_strings", standard_conforming_strings="off"),
    knock("another encoding", "22023", "client_encoding", client_encoding="SJIS"),
]


def _password(stack: Stack, template: str) -> str:
    ann = stack.token("ann")
    values = {"token": ann, "half": ann[: len(ann) // 2]}
    if template == "{expired}":
        values["expired"] = stack.token("ann", lifetime=-3600)
    if template == "{eve}":
        values["eve"] = stack.token("eve")
    return template.format(**values)


@pytest.mark.parametrize("knocking", REFUSED, ids=lambda each: each.name.replace(" ", "-"))
async def test_refused(stack: Stack, knocking: Knock) -> None:
    """FATAL with the right SQLSTATE, the connection ends, and the target was never asked to let anybody in."""
    wire = await Wire.open(stack.port)
    password = _password(stack, knocking.password)
    before = _let_in(stack)
    lines = await wire.log_in(password, knocking.parameters)
    assert lines == ["R", f"E{knocking.sqlstate}", "closed"]
    (error,) = wire.errors
    assert error["S"] == "FATAL"
    assert knocking.says in error["M"]
    assert password not in str(error) or not password
    assert _let_in(stack) <= before, "those of former tests may have ended meanwhile"
    await wire.close()


def _let_in(stack: Stack) -> set[int]:
    """Sessions of the target's login, less those that the gateway has for itself: it reads the catalog whenever it likes."""
    sql = "SELECT pid FROM pg_stat_activity WHERE usename = 'hoop' AND application_name NOT LIKE 'hoop %'"
    return {pid for (pid,) in stack.ask(sql)}


async def test_unknown_target_and_no_grant_sound_alike(stack: Stack) -> None:
    """Nobody learns from the refusal which targets there are."""
    heard = []
    for person, database in (("ann", "nowhere"), ("eve", "nowhere"), ("eve", "shop")):
        wire = await Wire.open(stack.port)
        await wire.log_in(stack.token(person), {"user": "hoop", "database": database})
        heard.append(wire.errors[0])
        await wire.close()
    assert heard[0] == heard[1] == heard[2]


@pytest.mark.parametrize("user", ["hoop", "ann@example.com", "ANN@example.com"])
async def test_let_in(stack: Stack, user: str) -> None:
    wire = await Wire.connect(stack.port, stack.token("ann"), user=user, options="-c statement_timeout=5s --jit=off")
    assert await wire.ask(query("SHOW jit")) == ["T", "D", "C[SHOW]", "ZI"]
    await wire.close()


async def test_protocol_3_2_and_its_longer_key(stack: Stack) -> None:
    """3.2 is spoken as asked: a key of more than 4 bytes, which cancels."""
    wire = await Wire.open(stack.port)
    lines = await wire.log_in(stack.token("ann"), {"user": "hoop", "database": "shop"}, PROTOCOL_3_2)
    assert lines == IN
    assert len(wire.key[1]) == 32
    wire.send(query(f"UPDATE ledger SET amount = 1 WHERE id = {stack.ids()}"))
    card = await stack.card()
    asking = await Wire.open(stack.port)
    asking.send(cancel_request(*wire.key))
    assert await asking.rest() == b""
    assert await wire.lines() == ["E57014", "ZI"]
    await card.says("Withdrawn")
    await asking.close()
    await wire.close()


@pytest.mark.parametrize(
    ("version", "more", "agreed", "unknown"),
    [
        (PROTOCOL_3_0 | 9, {}, PROTOCOL_3_2, []),
        (PROTOCOL_3_0, {"_pq_.colour": "green"}, PROTOCOL_3_0, ["_pq_.colour"]),
        (PROTOCOL_3_2, {"_pq_.colour": "green", "_pq_.size": "4"}, PROTOCOL_3_2, ["_pq_.colour", "_pq_.size"]),
    ],
)
async def test_negotiation(stack: Stack, version: int, more: dict[str, str], agreed: int, unknown: list[str]) -> None:
    """NegotiateProtocolVersion is what PostgreSQL 18 sends for the same StartupMessage."""
    postgres = stack.demo.postgres
    assert postgres is not None
    seen = []
    for port, user in ((stack.port, "hoop"), (postgres.port, postgres.superuser)):
        wire = await Wire.open(port)
        wire.send(startup({"user": user, "database": "shop", **more}, version))
        seen.append(await wire.message())
        await wire.close()
    assert seen[0] == seen[1]
    kind, body = seen[0]
    assert kind == "v"
    assert int.from_bytes(body[:4], "big") == agreed
    assert body[8:].split(b"\0")[:-1] == [each.encode() for each in unknown]


@pytest.mark.parametrize(
    ("packet", "sqlstate"),
    [
        (startup({"user": "hoop"}, 2 << 16), "0A000"),
        (startup({"user": "hoop"}, 4 << 16), "0A000"),
        ((3).to_bytes(4, "big"), "08P01"),
        ((0x7FFFFFFF).to_bytes(4, "big") + b"\0\x03\0\0", "08P01"),
        ((16).to_bytes(4, "big") + (3 << 16).to_bytes(4, "big") + b"user\0hoo", "08P01"),
        (startup({"user": "hoop", "pad": "x" * 11_000}), "08P01"),
    ],
    ids=["protocol-2", "protocol-4", "too-short", "two-gigabytes", "no-terminator", "too-long"],
)
async def test_packets_that_are_no_startup(stack: Stack, packet: bytes, sqlstate: str) -> None:
    wire = await Wire.open(stack.port)
    wire.send(packet)
    assert await wire.lines() == [f"E{sqlstate}", "closed"]
    await wire.close()


async def test_a_parameter_given_twice(stack: Stack) -> None:
    body = PROTOCOL_3_0.to_bytes(4, "big") + b"user\0hoop\0database\0shop\0user\0postgres\0\0"
    wire = await Wire.open(stack.port)
    wire.send((len(body) + 4).to_bytes(4, "big") + body)
    assert await wire.lines() == ["E08P01", "closed"]
    await wire.close()


async def test_a_query_in_the_place_of_the_password(stack: Stack) -> None:
    wire = await Wire.open(stack.port)
    wire.send(startup({"user": "hoop", "database": "shop"}), query("SELECT 1"))
    assert await wire.lines() == ["R", "E08P01", "closed"]
    await wire.close()


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
async def test_tls(stack: Stack, safe: Safe, negotiation: str, sslmode: str) -> None:
    """SSLRequest and direct TLS, through a held statement to its end."""
    first = stack.ids()
    place = f"host=127.0.0.1 port={safe.port} dbname=shop user=hoop sslmode={sslmode} sslnegotiation={negotiation}"
    async with (
        asyncio.timeout(STEP),
        await psycopg.AsyncConnection.connect(
            place, sslrootcert=str(safe.certificate), password=stack.token("ann"), autocommit=True
        ) as connection,
    ):
        assert connection.pgconn.ssl_in_use
        waiting = asyncio.create_task(connection.execute(b"DELETE FROM ledger WHERE id = %s", [first]))
        await stack.approve("Bob", await stack.card())
        assert (await waiting).rowcount == 1


async def test_a_gateway_that_stops(stack: Stack, safe: Safe) -> None:
    """57P01 to who waits, the hold withdrawn and told, and nobody is let in any more."""
    context = ssl.create_default_context(cafile=str(safe.certificate))
    context.set_alpn_protocols(["postgresql"])
    wire = await Wire.open(safe.port, context)
    await wire.log_in(stack.token("ann"), {"user": "hoop", "database": "shop"})
    first = stack.ids()
    wire.send(query(f"UPDATE ledger SET amount = 0 WHERE id = {first}"))
    card = await stack.card()
    await stack.on(safe.server.close())
    assert await wire.lines() == ["E57P01", "closed"]
    assert "shutting down" in await card.says("Withdrawn")
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100,)]
    with pytest.raises(ConnectionError):
        await Wire.open(safe.port)


async def test_plain_text_is_refused_before_the_password(stack: Stack, safe: Safe) -> None:
    """Nothing asks for a token where others could read it; the hint says what to do."""
    wire = await Wire.open(safe.port)
    wire.send(startup({"user": "hoop", "database": "shop"}))
    assert await wire.lines() == ["E28000", "closed"]
    assert "sslmode=require" in wire.errors[0]["M"]
    await wire.close()


async def test_bytes_behind_an_ssl_request_are_refused(stack: Stack, safe: Safe) -> None:
    """They would be taken for encrypted ones (CVE-2021-23214)."""
    wire = await Wire.open(safe.port)
    wire.send(ssl_request() + startup({"user": "hoop", "database": "shop"}))
    assert await wire.lines() == ["E08P01", "closed"]
    await wire.close()


async def test_an_ssl_request_inside_tls(stack: Stack, safe: Safe) -> None:
    context = ssl.create_default_context(cafile=str(safe.certificate))
    context.set_alpn_protocols(["postgresql"])
    wire = await Wire.open(safe.port, context)
    wire.send(ssl_request())
    assert await wire.lines() == ["E08P01", "closed"]
    await wire.close()


async def test_direct_tls_without_alpn_is_refused(stack: Stack, safe: Safe) -> None:
    """A browser that was led here must not be taken for a client (manual 55.2.10)."""
    wire = await Wire.open(safe.port, ssl.create_default_context(cafile=str(safe.certificate)))
    wire.send(startup({"user": "hoop", "database": "shop"}))
    assert await wire.lines() == ["closed"]
    await wire.close()


async def test_gss_is_declined_and_plain_text_still_refused(stack: Stack, safe: Safe) -> None:
    wire = await Wire.open(safe.port)
    wire.send((8).to_bytes(4, "big") + (80877104).to_bytes(4, "big"))
    async with asyncio.timeout(STEP):
        assert await wire._reader.readexactly(1) == b"N"
    wire.send(startup({"user": "hoop", "database": "shop"}))
    assert await wire.lines() == ["E28000", "closed"]
    await wire.close()


async def test_no_tls_here(stack: Stack) -> None:
    """A gateway without a certificate answers N, and psql goes on or not as its sslmode says."""
    wire = await Wire.open(stack.port)
    wire.send(ssl_request())
    async with asyncio.timeout(STEP):
        assert await wire._reader.readexactly(1) == b"N"
    assert await wire.log_in(stack.token("ann"), {"user": "hoop", "database": "shop"}) == IN
    wire.send(frontend.TERMINATE)
    assert await wire.rest() == b""
    await wire.close()


async def test_a_token_that_expires_in_the_session(stack: Stack) -> None:
    """It reads while the token lives; a hold of an expired token is withdrawn, and the session ends at its next statement."""
    wire = await Wire.connect(stack.port, stack.token("ann", lifetime=2))
    first = stack.ids()
    wire.send(query(f"UPDATE ledger SET amount = 7 WHERE id = {first}"))
    card = await stack.card()
    assert "token expired" in (await card.says("Withdrawn")).lower()
    assert await wire.lines() == ["E57014", "ZI"]
    assert await wire.ask(query("SELECT 1")) == ["E28000", "closed"]
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100,)]
    await wire.close()
