"""The login: the same words of welcome as PostgreSQL's, and no matter how the bytes arrive."""

import pytest

from gateway.wire.frontend import SYNC, password, query
from tests.differential.conversations import run
from tests.differential.pair import Doors
from tests.differential.test_conversations import said
from tests.e2e.wire import Wire, startup

OPTIONS = [
    {},
    {"application_name": "psql"},
    {"DateStyle": "German, DMY", "TimeZone": "Asia/Tokyo", "extra_float_digits": "2"},
    {"options": "-c search_path=pg_catalog -c IntervalStyle=iso_8601 --work-mem=9MB"},
    {"client_encoding": "utf-8"},
    {"default_transaction_isolation": "serializable"},
]
TRIGGER = """
CREATE FUNCTION greets() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'good morning'; RAISE WARNING 'mind the gap'; END $$;
CREATE EVENT TRIGGER greets ON login EXECUTE FUNCTION greets();
"""
BATCH = run("SELECT id, name FROM things WHERE id < 3") + SYNC + query("SELECT 1; SELECT 2")


async def _welcome(wire: Wire, secret: str, parameters: dict[str, str]) -> list[tuple[str, object]]:
    """What is said behind the authentication, keys left out; settings in any order."""
    heard: list[tuple[str, object]] = []
    wire.send(startup({"user": "hoop", "database": "shop", **parameters}))
    await wire.answer_authentication(secret)
    while not heard or heard[-1][0] != "Z":
        kind, body = await wire.message()
        heard.append(said(kind, b"" if kind == "K" else body))
    return sorted(each for each in heard if each[0] == "S") + [each for each in heard if each[0] != "S"]


async def _both(doors: Doors, parameters: dict[str, str]) -> list[list[tuple[str, object]]]:
    heard = []
    for port, secret in ((doors.open.target.port, doors.open.password), (doors.open.port, doors.token)):
        wire = await Wire.open(port)
        heard.append(await _welcome(wire, secret, parameters))
        await wire.close()
    return heard


@pytest.mark.parametrize("parameters", OPTIONS, ids=lambda each: "-".join(each) or "none")
async def test_the_same_welcome(doors: Doors, parameters: dict[str, str]) -> None:
    direct, gateway = await _both(doors, parameters)
    assert gateway == direct


async def test_what_the_target_says_at_login_is_passed_on(doors: Doors) -> None:
    doors.do(TRIGGER)
    try:
        direct, gateway = await _both(doors, {})
    finally:
        doors.do("DROP EVENT TRIGGER greets; DROP FUNCTION greets()")
    assert [kind for kind, _ in direct].count("N") == 2
    assert gateway == direct


async def test_the_pid_of_the_key_is_the_one_of_the_server_process(doors: Doors) -> None:
    """Drivers know their own notifications by it, and end a session by giving it to pg_terminate_backend()."""
    for connect in (doors.direct, doors.gateway):
        wire = await connect()
        await wire.ask(query("LISTEN own"))
        wire.send(query("SELECT pg_notify('own', pg_backend_pid()::text)"))
        found: list[tuple[str, bytes]] = []
        while not found or found[-1][0] != "Z":
            found.append(await wire.message())
        told = next(body for kind, body in found if kind == "A")
        assert (int.from_bytes(told[:4], "big"), told[4:-1]) == (wire.key[0], b"own\0%d" % wire.key[0])


class _Bell:
    """A second connection: when it has its answer, the gateway has read all that was sent before on another.

    Loopback delivers when it is sent, and one loop reads both.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def ring(self) -> None:
        assert await self._wire.ask(SYNC) == ["ZI"]


@pytest.fixture
async def bell(doors: Doors) -> _Bell:
    return _Bell(await doors.gateway())


async def test_a_batch_cut_anywhere(doors: Doors, bell: _Bell) -> None:
    direct = await doors.direct()
    expected = await direct.ask(BATCH, count=2)
    wire = await doors.gateway()
    for at in range(1, len(BATCH)):
        wire.send(BATCH[:at])
        await bell.ring()
        assert await wire.ask(BATCH[at:], count=2) == expected, at


async def test_a_startup_cut_anywhere(doors: Doors, bell: _Bell) -> None:
    packet = startup({"user": "hoop", "database": "shop", "application_name": "cut"})
    for at in range(1, len(packet)):
        wire = await Wire.open(doors.open.port)
        wire.send(packet[:at])
        await bell.ring()
        wire.send(packet[at:])
        assert (await wire.message())[0] == "R", at
        await wire.close()


async def test_a_password_cut_anywhere(doors: Doors, bell: _Bell) -> None:
    """Its head at every byte, its middle, and its last byte apart."""
    packet = startup({"user": "hoop", "database": "shop"})
    secret = password(doors.token)
    for at in (*range(1, 8), len(secret) // 2, len(secret) - 1):
        wire = await Wire.open(doors.open.port)
        wire.send(packet + secret[:at])
        await bell.ring()
        wire.send(secret[at:] + query("SELECT 1"))
        assert (await wire.lines(count=2))[-4:] == ["T", "D", "C[SELECT 1]", "ZI"], at
        await wire.close()
