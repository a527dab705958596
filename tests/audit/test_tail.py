"""The look at the newest entries: what was written is well, what was changed, moved or taken out is found."""

import json
from pathlib import Path

import pytest

from gateway.audit.spool import Spool
from gateway.audit.tail import NEWEST, Tail, look
from gateway.store.memory import MemoryStore
from tests.fakes.stores import unshipped


async def told(directory: Path, entries: int) -> tuple[MemoryStore, Spool]:
    store = MemoryStore(lambda: 0.0)
    spool = Spool.open(directory, "gate-1", b"k" * 32, lambda: 0.0)
    for number in range(entries):
        spool.record("statement", sql=f"SELECT {number}")
    spool.flush()
    await store.append(unshipped(spool))
    spool.close()
    return store, spool


@pytest.mark.parametrize(("entries", "count"), [(0, 0), (1, 1), (NEWEST + 5, NEWEST)])
async def test_what_was_written_is_well(tmp_path: Path, entries: int, count: int) -> None:
    store, spool = await told(tmp_path, entries)
    assert await look(store, spool, entries) == Tail(count, entries, None)


async def test_an_edited_entry_is_found(tmp_path: Path) -> None:
    store, spool = await told(tmp_path, 9)
    body = json.loads(store._entries["gate-1", 5])
    store._entries["gate-1", 5] = json.dumps({**body, "sql": "SELECT 0"})
    assert (await look(store, spool, 9)).wrong == 5


async def test_an_entry_of_another_place_is_found(tmp_path: Path) -> None:
    store, spool = await told(tmp_path, 9)
    body = json.loads(store._entries["gate-1", 5])
    store._entries["gate-1", 7] = json.dumps(body)
    assert (await look(store, spool, 9)).wrong == 7


@pytest.mark.parametrize("gone", [1, 5, 9])
async def test_an_entry_that_was_taken_out_is_found(tmp_path: Path, gone: int) -> None:
    store, spool = await told(tmp_path, 9)
    del store._entries["gate-1", gone]
    assert (await look(store, spool, 9)).wrong == gone


async def test_what_no_entry_can_hold_is_found(tmp_path: Path) -> None:
    store, spool = await told(tmp_path, 2)
    body = json.loads(store._entries["gate-1", 2])
    store._entries["gate-1", 2] = json.dumps({**body, "rows": float("nan")})
    assert (await look(store, spool, 2)).wrong == 2


@pytest.mark.parametrize("text", ["garbage", "[]", "[" * 100_000])
@pytest.mark.parametrize("which", [1, 5, 9])
async def test_an_entry_that_can_not_be_read_is_found(tmp_path: Path, text: str, which: int) -> None:
    store, spool = await told(tmp_path, 9)
    store._entries["gate-1", which] = text
    assert await look(store, spool, 9) == Tail(which - 1, 9, which)
