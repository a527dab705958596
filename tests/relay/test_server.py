"""The front door without anybody behind it: settings, the end of the greeting. Logging in is in tests/e2e/test_startup.py."""

import asyncio
import itertools
import json
import resource
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.audit.spool import Spool
from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import SettingRefused
from gateway.identity.claims import Identity, TokenRefused
from gateway.identity.issuers import Issuers
from gateway.metrics import Metrics
from gateway.policy.model import Target, load
from gateway.relay import server as server_module
from gateway.relay.catalogs import Catalogs
from gateway.relay.relay import Relay, Shell
from gateway.relay.server import Doors, Farewell, Server, _request_ids, settings
from gateway.relay.spares import Spares, Terms
from gateway.relay.turn import Turn
from gateway.sql.catalog import Catalog
from gateway.wire.backend import ready_for_query
from gateway.wire.frontend import TERMINATE, password, query
from gateway.wire.startup import startup_message
from tests.playbook import ANN, POLICY, catalog, complete, error, ready
from tests.relay.test_relay import STEP, Room
from tests.relay.test_spares import kept

NOBODY: Any = None  # behind the door: none of these clients gets that far


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"user": "ann", "database": "shop", "_pq_.x": "1"}, {}),
        ({"application_name": "psql", "DateStyle": "ISO"}, {"application_name": "psql", "DateStyle": "ISO"}),
        ({"options": "-c statement_timeout=5s --work_mem=4MB"}, {"statement_timeout": "5s", "work_mem": "4MB"}),
        ({"client_encoding": "'utf-8'"}, {}),
        ({"client_encoding": "utf_8"}, {}),
        ({"client_encoding": "SQL_ASCII"}, {}),
        ({"Default_Transaction_Read_Only": "on"}, {"default_transaction_read_only": "on"}),
    ],
)
def test_settings_that_may_be_chosen(given: dict[str, str], expected: dict[str, str]) -> None:
    assert settings(given) == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"replication": "database"}, "replication"),
        ({"session_preload_libraries": "x"}, "session_preload_libraries"),
        ({"options": "-c role=postgres"}, "role"),
        ({"client_encoding": "LATIN1"}, "LATIN1"),
        ({"default_transaction_read_only": "perhaps"}, "default_transaction_read_only"),
    ],
)
def test_a_setting_that_may_not_is_refused_by_its_name(given: dict[str, str], named: str) -> None:
    with pytest.raises(SettingRefused, match=named) as refused:
        settings(given)
    assert refused.value.sqlstate == "22023"


def test_request_ids_are_short_sort_by_time_and_never_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    some = list(itertools.islice(_request_ids(), 500))
    assert len(set(some)) == 500
    assert {len(each) for each in some} == {10}
    assert not set("".join(some)) & set("ILOU"), "letters that are read as others"
    heads = []
    for hours in (0, 1, 31, 32, 1023, 1024, 1_000_000):
        monkeypatch.setattr(time, "time", lambda now=hours << 10: now)
        heads.append(next(_request_ids())[:4])
    assert heads == sorted(set(heads))


@pytest.mark.parametrize("said", [b"", startup_message({"user": "hoop", "database": "shop"})], ids=["silent", "asked"])
async def test_who_is_at_the_door_when_the_gateway_stops_is_let_go(said: bytes) -> None:
    issuers = Issuers([])
    doors = Doors(None, True, "gate-1", b"m" * 32, b"d" * 32, b"c" * 32)
    server = Server(doors, load(POLICY), issuers, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.listen("127.0.0.1", 0))
    writer.write(said)
    async with asyncio.timeout(10):
        if said:
            assert await reader.readexactly(1) == b"R", "the password is asked for"
        else:
            while not server._meetings:  # noqa: ASYNC110 # an accepted socket tells nobody
                await asyncio.sleep(0)
        await server.close()
        await reader.read()
    assert reader.at_eof()
    writer.close()
    await issuers.close()


async def test_who_comes_as_the_gateway_stops_is_let_go() -> None:
    """Before a word was said to them."""
    issuers = Issuers([])
    doors = Doors(None, True, "gate-1", b"m" * 32, b"d" * 32, b"c" * 32)
    server = Server(doors, load(POLICY), issuers, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)
    port = server.listen("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"\0")
        assert server._listening is not None
        while not server._meetings:
            server._accept(server._listening)
        await server.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(ConnectionResetError):  # nobody has read its byte
            client.recv(1)
    await issuers.close()


# --- the end ------------------------------------------------------------------------------------------------------------


async def _seated(port: int = 1) -> tuple[Server, Room]:
    """A server with one session."""
    doors = Doors(None, True, "gate-1", b"m" * 32, b"d" * 32, b"c" * 32)
    server = Server(doors, load(POLICY), NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)
    room = Room()
    await room.open(port)
    left = room.relay._ended

    def ended(relay: Relay) -> None:
        server._ended(relay)
        left(relay)

    room.relay._ended = ended
    server._relays[room.relay] = room.session
    return server, room


async def _running(room: Room) -> None:
    await room.client.send(query("SELECT pg_sleep(60)"))
    await room.target.get()


async def test_a_session_in_which_nothing_runs_ends_at_once() -> None:
    server, room = await _seated()
    assert await server.close() == Farewell(ended=1)
    assert (await room.client.refused())[0] == "57P01"
    await room.close()


async def test_what_runs_comes_to_its_end_while_the_gateway_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "DRAIN", STEP)
    server, room = await _seated()
    await _running(room)
    closing = asyncio.create_task(server.close())
    await room.target.send(complete("SELECT 1"), ready())
    assert await closing == Farewell(drained=1)
    assert [(await room.client.get())[0] for _ in range(3)] == ["C", "Z", "E"]
    await room.close()


async def test_what_takes_longer_is_cancelled_and_its_answer_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "DRAIN", 0)
    monkeypatch.setattr(server_module, "CANCELLED", STEP)
    asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set_result(await reader.readexactly(16))
        writer.close()

    listening = await asyncio.start_server(target, "127.0.0.1", 0)
    server, room = await _seated(listening.sockets[0].getsockname()[1])
    await _running(room)
    closing = asyncio.create_task(server.close())
    assert (await asked)[8:] == (7).to_bytes(4, "big") + b"key!"
    await room.target.send(error("57014"), ready())
    assert await closing == Farewell(cancelled=1)
    assert [(await room.client.refused())[0] for _ in range(2)] == ["57014", "57P01"]
    [finished] = [each.body for each in room.spool.written if each.kind == "finished"]
    assert (finished["outcome"], finished["sqlstate"]) == ("failed", "57014")
    listening.close()
    await room.close()


async def test_what_does_not_answer_either_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "DRAIN", 0)
    monkeypatch.setattr(server_module, "CANCELLED", 0)
    server, room = await _seated()
    await _running(room)
    assert await server.close() == Farewell(unknown=1)
    assert (await room.client.refused())[0] == "57P01"
    [finished] = [each.body for each in room.spool.written if each.kind == "finished"]
    assert finished["outcome"] == "unknown"
    await room.close()


class _Vouching:
    """An issuer that refuses one token; of all others, one names groups."""

    async def verify(self, token: str) -> Identity:
        if token == "bad":
            raise TokenRefused("its signature is not the issuer's")
        groups = frozenset({"engineering"}) if token == "good" else frozenset[str]()
        return Identity("https://issuer.test", "ann-1", "Ann", "ann@example.com", groups, 2e9)


REFUSED = "login refused: unknown token, user or target"
KEY = "AKIA" + "IOSFODNN7" + "ABCDEFG"


@pytest.mark.parametrize(
    ("says", "token", "known"),
    [
        pytest.param(
            {"user": "ann", "database": "shop", "application_name": "psql"},
            "bad",
            {"claimed": "ann", "target": "shop", "agent": "psql", "reason": "its signature is not the issuer's"},
            id="no token proves it: only what it claims",
        ),
        pytest.param(
            {"user": "bob", "database": "shop"},
            "good",
            {
                "claimed": "bob",
                "target": "shop",
                "user": "Ann",
                "subject": "ann-1",
                "reason": 'user "bob" is not the token\'s user',
            },
            id="a token of somebody else: whose it is, too",
        ),
        pytest.param(
            {"user": "hoop", "database": "nowhere"},
            "good",
            {"claimed": "hoop", "target": "nowhere", "user": "Ann", "subject": "ann-1", "reason": REFUSED},
            id="a target that is not there",
        ),
        pytest.param(
            {"user": "hoop", "database": "nowhere"},
            "without groups",
            {
                "claimed": "hoop",
                "target": "nowhere",
                "user": "Ann",
                "subject": "ann-1",
                "reason": f"{REFUSED}; the token names no groups",
            },
            id="no groups, so that no rule by groups matches",
        ),
        pytest.param(
            {"user": "ann", "database": "d" * 300, "application_name": f"agent {KEY}"},
            "bad",
            {
                "claimed": "ann",
                "target": "d" * 256,
                "agent": "agent [api_key]",
                "reason": "its signature is not the issuer's",
            },
            id="a secret, and more than is kept",
        ),
    ],
)
async def test_who_is_turned_away_is_recorded(
    says: dict[str, str], token: str, known: dict[str, str], tmp_path: Path
) -> None:
    spool = Spool.open(tmp_path, "gate-1", b"a" * 32, time.time)
    shell = Shell(NOBODY, spool, Turn(spool, NOBODY), NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)
    doors = Doors(None, True, "gate-1", b"m" * 32, b"d" * 32, b"c" * 32)
    issuers: Any = _Vouching()
    server = Server(
        doors, load(POLICY + "masking: {detect: [api_key]}\n"), issuers, shell, NOBODY, NOBODY, NOBODY, NOBODY
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.listen("127.0.0.1", 0))
    writer.write(startup_message(says) + password(token))
    with capture_logs() as logged:
        async with asyncio.timeout(10):
            said = (await reader.read()).decode("latin-1")
            await server.close()
    writer.close()
    spool.close()
    [file] = tmp_path.iterdir()  # noqa: ASYNC240 - a test may wait for a disk
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    [entry] = [each for each in entries if each["kind"] == "refused"]
    assert "28000" in said
    assert ("names no groups" in said) == (token == "without groups")
    assert entry["sqlstate"] == "28000"
    assert entry["client"] == "127.0.0.1"
    told = {name: entry[name] for name in ("claimed", "target", "agent", "user", "subject", "reason") if name in entry}
    assert told == known
    assert KEY not in json.dumps(entry)
    [line] = [each for each in logged if each["event"] == "client.refused"]
    assert line.items() >= {**known, "client": "127.0.0.1", "sqlstate": "28000"}.items()
    assert KEY not in str(line)


async def test_a_session_begins_by_the_catalog_of_the_moment_it_begins(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """DDL of another session, while this one logs in at the target, is told to those that are there: to this one nobody would."""
    policy = load(
        POLICY.replace("db.test", postgres.host)
        .replace("5432", str(postgres.port))
        .replace("shop, ssl", "postgres, ssl")
    )
    target = replace(policy.targets["shop"], user=postgres.superuser)
    policy = replace(policy, targets={"shop": target})
    versions = itertools.count(1)

    async def read(_: Target) -> Catalog:
        return replace(catalog(), version=next(versions))

    async def password_of(*_: object) -> str:
        return postgres.password

    async def saw(_: Identity) -> None:
        await catalogs.reload(target)

    spool = Spool.open(tmp_path, "gate-1", b"a" * 32, time.time)
    turn = Turn(spool, asyncio.get_running_loop().call_soon)
    shell = Shell(NOBODY, spool, turn, NOBODY, Metrics(), NOBODY, NOBODY, NOBODY)
    doors = Doors(None, True, "gate-1", b"m" * 32, b"d" * 32, b"c" * 32)
    issuers: Any = _Vouching()
    catalogs = Catalogs(read, 3600, lambda *told: server.catalog_changed(*told))  # noqa: PLW0108 - made below
    server = Server(doors, policy, issuers, shell, catalogs, password_of, saw, NOBODY)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.listen("127.0.0.1", 0))
    writer.write(startup_message({"user": "ann@example.com", "database": "shop"}) + password("good"))
    async with asyncio.timeout(10):
        await reader.readuntil(ready_for_query("I"))
        [session] = server._relays.values()
        known = session.talk.grounds.catalog
        await server.close()
    assert known is await catalogs.get(target)
    writer.close()
    spool.close()


async def test_a_kept_connection_is_asked_for_by_all_that_a_login_rests_on() -> None:
    """Two issuers may give the same subject to two people."""
    shop = load(POLICY).targets["shop"]
    settings = (("application_name", "psql"), ("default_transaction_read_only", "on"))
    terms = Terms(ANN.issuer, ANN.subject, shop, "secret", settings)
    spares = Spares(600)
    link, peer = await kept(spares, terms)
    _, strangers = await kept(spares, replace(terms, issuer="https://other.test"))

    async def read(_: Target) -> Catalog:
        return catalog()

    async def password_of(*_: object) -> str:
        return "secret"

    doors = Doors(None, True, "gate-1", b"m" * 32, b"d" * 32, b"c" * 32)
    catalogs = Catalogs(read, 3600, lambda *_: None)
    server = Server(doors, load(POLICY), NOBODY, NOBODY, catalogs, password_of, NOBODY, NOBODY, spares)
    assert await server._reach(ANN, shop, {"application_name": "psql"}) == (link, terms)
    assert spares.take(terms) is None
    await server.close()
    assert await strangers.rest() == TERMINATE, "what is kept ends with the gateway"
    link.door.close()
    assert await peer.rest() == b"", "and what was given on does not"
    peer.close()
    strangers.close()


async def test_without_a_file_descriptor_left_clients_wait_until_there_is_one() -> None:
    issuers = Issuers([])
    doors = Doors(None, True, "gate-1", b"m" * 32, b"d" * 32, b"c" * 32)
    server = Server(doors, load(POLICY), issuers, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)
    port = server.listen("127.0.0.1", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        client.send(startup_message({"user": "hoop", "database": "shop"}))
        async with asyncio.timeout(10):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
                while server._pause is None:  # noqa: ASYNC110 # it tells nobody
                    await asyncio.sleep(0)
                assert not server._meetings
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b"R", "the password is asked for"
    await server.close()
    await issuers.close()
