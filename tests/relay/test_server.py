"""The front door without anybody behind it: settings, the end of the greeting. Logging in is in tests/e2e/test_startup.py."""

import asyncio
import itertools
import time
from typing import Any

import pytest

from gateway.errors import SettingRefused
from gateway.identity.issuers import Issuers
from gateway.policy.model import load
from gateway.relay.server import Doors, Server, _request_ids, settings
from gateway.wire.startup import startup_message
from tests.playbook import POLICY

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
