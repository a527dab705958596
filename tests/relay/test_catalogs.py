"""Catalogs are loaded once at a time, kept while they are fresh, and reloaded when told; a failure means none."""

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.errors import TargetUnavailable
from gateway.policy.model import Secret, Target
from gateway.relay.catalogs import KEPT_FOR, TRIES, Catalogs
from gateway.relay.side import CatalogLocked
from gateway.sql.catalog import Catalog

TARGET = Target("shop", "test", "db", 5432, "shop", "hoop", Secret(env="X"))


class Loader:
    """Counts loads; waits for `go` when it is cleared; fails when told."""

    def __init__(self) -> None:
        self.loads = 0
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.fails = False
        self.locked = 0  # so many loads to come

    async def __call__(self, _target: Target) -> Catalog:
        self.loads += 1
        locked, self.locked = self.locked > 0, max(0, self.locked - 1)
        self.began.set()
        await self.go.wait()
        if self.fails:
            raise TargetUnavailable("away")
        if locked:
            raise CatalogLocked("locked")
        return Catalog(self.loads, 180000, {}, frozenset(), frozenset())


async def test_a_fresh_catalog_is_kept() -> None:
    load, changed = Loader(), []
    catalogs = Catalogs(load, 60, lambda target, catalog: changed.append((target.name, catalog)))
    first = await catalogs.get(TARGET)
    assert await catalogs.get(TARGET) is first
    assert load.loads == 1
    assert changed == [("shop", first)]


async def test_a_stale_one_is_read_again() -> None:
    load = Loader()
    catalogs = Catalogs(load, -1, lambda *_: None)
    await catalogs.get(TARGET)
    second = await catalogs.get(TARGET)
    assert second is not None
    assert second.version == 2


async def test_who_logs_in_while_it_is_read_again_waits_for_that() -> None:
    """Else the table that was made a moment ago is unknown to the next connection, and its plain read is held."""
    load = Loader()
    catalogs = Catalogs(load, 60, lambda *_: None)
    await catalogs.get(TARGET)
    load.began.clear()
    load.go.clear()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(catalogs.reload(TARGET))
        await load.began.wait()
        login = tasks.create_task(catalogs.get(TARGET))
        load.go.set()
    found = login.result()
    assert found is not None
    assert found.version == 2
    assert load.loads == 2


async def test_callers_that_come_while_it_loads_share_the_next_load() -> None:
    load = Loader()
    load.go.clear()
    catalogs = Catalogs(load, 60, lambda *_: None)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(catalogs.reload(TARGET)) for _ in range(10)]
        await load.began.wait()
        load.go.set()
    assert load.loads == 2, "one that was under way and may be stale, and one for all who came behind it"
    assert {found.version for each in waiting if (found := each.result()) is not None} == {1, 2}


async def test_a_catalog_that_can_not_be_read_is_none() -> None:
    load, changed = Loader(), []
    load.fails = True
    catalogs = Catalogs(load, 60, lambda target, catalog: changed.append((target.name, catalog)))
    assert await catalogs.get(TARGET) is None
    assert changed == [("shop", None)]


async def test_another_login_has_a_catalog_of_its_own() -> None:
    """A schema that only one of the two may use is on the path of that one alone."""
    load = Loader()
    catalogs = Catalogs(load, 60, lambda *_: None)
    first = await catalogs.get(TARGET)
    assert await catalogs.get(replace(TARGET, user="reader")) is not first
    assert load.loads == 2


async def test_whose_catalogs_are_kept_is_known_by_the_target() -> None:
    """Another replica's DDL is told by the target's name alone."""
    catalogs = Catalogs(Loader(), 60, lambda *_: None)
    logins = [TARGET, replace(TARGET, user="reader"), replace(TARGET, name="till")]
    for each in logins:
        await catalogs.get(each)
    assert catalogs.kept("shop") == logins[:2]
    assert catalogs.kept() == logins
    assert catalogs.kept("nowhere") == []


async def test_one_that_is_locked_after_ddl_is_tried_for_again_and_there_is_none_meanwhile() -> None:
    """The old one may be wrong, so nobody has it; who asks for it meanwhile does not wait for all of the tries."""
    load, changed = Loader(), []
    catalogs = Catalogs(load, 60, lambda _target, catalog: changed.append(catalog and catalog.version))
    await catalogs.get(TARGET)
    load.locked = 3
    found = await catalogs.reload(TARGET)
    assert found is not None
    assert changed == [1, None, 5]
    load.locked = 2 * TRIES
    assert await catalogs.reload(TARGET) is None
    assert load.locked == TRIES


async def test_one_that_is_kept_for_a_lock_is_none_when_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    load, changed, now = Loader(), [], 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    catalogs = Catalogs(load, 30, lambda _target, catalog: changed.append(catalog and catalog.version))
    await catalogs.get(TARGET)
    load.locked = 1000
    for _ in range(KEPT_FOR):
        now += 30 + 1e-6
        kept = await catalogs.get(TARGET)
        loads = load.loads
        await catalogs.get(TARGET)
        assert load.loads == loads or kept is None, "it is not tried for at every login"
    assert kept is None
    assert changed == [1, None]


async def test_a_reload_does_not_take_the_old_one_that_a_refresh_has_kept() -> None:
    """A refresh that began behind the DDL found it locked and kept what it had: that is from before."""
    load = Loader()
    catalogs = Catalogs(load, 60, lambda *_: None)
    load.go.clear()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(catalogs.get(TARGET))
        await load.began.wait()
        load.locked = 1 + TRIES
        refresh = tasks.create_task(catalogs._read(TARGET))
        reload = tasks.create_task(catalogs.reload(TARGET))
        load.go.set()
    assert refresh.result().catalog is not None
    assert reload.result() is None
    assert load.locked == 0
