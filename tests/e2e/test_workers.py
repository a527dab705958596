"""`hoop serve` with two workers, as an operator starts it: real processes on shared ports, a real store, signals and kill -9.

Which worker a connection comes to is the kernel's choice, by the addresses and ports of both ends: so the port of a connection that
came to one leads there again. Who took something is read in the record: each worker writes a chain of its own.
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.audit.files import lines, spooled
from gateway.wire.frontend import query
from gateway.wire.startup import cancel_request
from tests.e2e.site import CHANNEL, HOST, START, Served, Site, get, run
from tests.e2e.stack import STEP
from tests.e2e.wire import Wire
from tests.fakes.stores import until

UPDATE = "UPDATE ledger SET amount = amount + 1 WHERE id = {}"
#: Connections until both workers have had one: with 64 the chance that one has none is 1 in 10^19.
MANY = 64
DDL = """
  - {name: ddl, effect: allow, groups: [engineering], statements: [ddl]}
masking: {columns: [{column: shop.public.ledger.amount, mask: redact}]}
limits: {catalog_refresh: 1h}
"""
_NAMES = itertools.count(1)


@dataclass
class Crew:
    """A started gateway of two workers."""

    site: Site
    served: Served

    def entries(self, **wanted: object) -> list[dict[str, Any]]:
        """Entries of all spools with these fields."""
        chains = spooled(Path(self.site.environment["HOOP_SPOOL"]))
        every = [json.loads(text) for files in chains.values() for text, whole in lines(files) if whole]
        return [each for each in every if all(each.get(name) == value for name, value in wanted.items())]

    async def pids(self) -> dict[int, int]:
        """Worker -> its process, as the supervisor's children are now."""
        parent = self.served.process.pid
        return {int(words[4]): pid for pid, words in _processes() if _parent(pid) == parent and "worker" in words[3]}

    async def connect(self, source: int = 0) -> tuple[Wire, int]:
        """Ann's connection, and the worker that it came to."""
        started = await self.served.logged("gateway.started")
        name = f"conn-{next(_NAMES)}"
        wire = await Wire.open(started["wire"], source=source)
        parameters = {"user": "hoop", "database": "shop", "application_name": name}
        assert (await wire.log_in(self.site.issuer.mint("ann"), parameters))[-1] == "ZI", wire.errors
        [entry] = self.entries(kind="session_started", agent=name)
        return wire, worker_of(entry)

    async def connected(self, worker: int) -> Wire:
        """A connection to this worker."""
        for _ in range(MANY):
            wire, found = await self.connect()
            if found == worker:
                return wire
            await wire.close()
        raise AssertionError(f"no connection came to worker {worker}")

    async def port_to(self, worker: int) -> int:
        """A port of ours, free again, from which a connection comes to this worker."""
        for _ in range(MANY):
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                source = probe.getsockname()[1]
            wire, found = await self.connect(source)
            await wire.reset()
            if found == worker:
                return int(source)
        raise AssertionError(f"no port leads to worker {worker}")

    def has_cards(self, count: int) -> bool:
        return len(self.site.workspace.messages(CHANNEL)) >= count

    def crossed(self) -> bool:
        """Whether a request was decided on the worker that did not hold it."""
        held = {each["request"]: worker_of(each) for each in self.entries(kind="held")}
        return any(worker_of(each) != held[each["request"]] for each in self.entries(kind="decided"))

    async def metrics(self, name: str) -> dict[str, float]:
        """The series of this name, by their labels."""
        _, text = await get(self.served, "/metrics")
        return {labels: float(value) for labels, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)}


async def answered(port: int, path: str) -> tuple[int, str]:
    """What somebody answers: a connection that comes to the one who is stopped waits for ever, so many are made."""

    async def one() -> tuple[int, str]:
        async with aiohttp.ClientSession() as http, http.get(f"http://{HOST}:{port}{path}") as response:
            return response.status, await response.text()

    tries = [asyncio.create_task(one()) for _ in range(MANY)]
    done, rest = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED, timeout=START)
    for each in rest:
        each.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return done.pop().result()


async def row(wire: Wire, sql: str) -> bytes | None:
    """The only value of the only row; None for NULL."""
    wire.send(query(sql))
    value: bytes | None = b"no row"
    while (message := await wire.message())[0] != "Z":
        if message[0] == "D":
            value = None if message[1][2:6] == b"\xff" * 4 else message[1][6:]
    return value


def worker_of(entry: dict[str, Any]) -> int:
    return int(str(entry["replica"]).rpartition(":")[2])


def _processes() -> list[tuple[int, list[str]]]:
    found = []
    for each in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if each.name.isdecimal() and (words := (each / "cmdline").read_text().split("\0"))[3:]:
                found.append((int(each.name), words))
    return found


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


@asynccontextmanager
async def crew(site: Site) -> AsyncIterator[Crew]:
    """Both serve, Bob is known to the store."""
    site.environment["HOOP_WORKERS"] = "2"
    async with site.serving() as served:
        await served.logged("workers.started")
        await (await site.connect(served, "bob")).execute("SELECT 1")
        yield Crew(site, served)


async def ended(served: Served) -> None:
    served.process.terminate()
    assert await served.ended() == 0


async def verified(site: Site) -> None:
    done = await asyncio.to_thread(run, site.environment, "audit", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


async def amount(site: Site, row: int) -> int:
    return int(await site.postgres.psql(f"SELECT amount FROM ledger WHERE id = {row}", "served"))


# --- both serve ---------------------------------------------------------------------------------------------------------


async def test_connections_come_to_both_and_a_scrape_tells_of_all(site: Site) -> None:
    async with crew(site) as it:
        opened = [await it.connect() for _ in range(MANY)]
        here = [worker for _, worker in opened]
        assert {*here} == {1, 2}
        for wire, _ in opened:
            assert (await wire.ask(query("SELECT 1")))[-1] == "ZI"
        per_worker = {f'{{target="shop",worker="{each}"}}': float(here.count(each)) for each in (1, 2)}
        sessions = await it.metrics("hoop_sessions_open")
        assert sum(sessions.values()) == MANY + 1, "Bob is there too"
        assert all(sessions[each] - count in (0, 1) for each, count in per_worker.items())
        statements = await it.metrics("hoop_statements_total")
        assert sum(statements.values()) == MANY + 1
        assert len(await it.metrics("hoop_cards_waiting")) == 1, "the store's own count is there once"
        assert await it.metrics("hoop_worker_up") == {'{worker="1"}': 1.0, '{worker="2"}': 1.0}
        numbers = {json.loads(line).get("worker") for line in it.served.lines if line.startswith("{")}
        assert {1, 2} <= numbers
        await ended(it.served)
    await verified(site)


async def test_a_click_that_the_other_worker_takes_lets_it_go(site: Site) -> None:
    """Clicks come to either: one after the other until one has crossed."""
    async with crew(site) as it:
        asked = 0
        while not it.crossed() and asked < MANY:
            wire, _ = await it.connect()
            wire.send(query(UPDATE.format(31)))
            asked += 1
            await site.workspace.wait_for(partial(it.has_cards, asked), START)
            card = site.workspace.messages(CHANNEL)[asked - 1]
            assert await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve") == 200
            assert await wire.lines() == ["C[UPDATE 1]", "ZI"]
            await wire.close()
        assert it.crossed()
        assert await amount(site, 31) == 100 + asked
        await ended(it.served)
    await verified(site)


async def test_a_cancel_that_comes_to_the_other_worker_finds_its_session(site: Site) -> None:
    async with crew(site) as it:
        wire = await it.connected(1)
        source = await it.port_to(2)
        wire.send(query(UPDATE.format(32)))
        await site.card()
        started = await it.served.logged("gateway.started")
        other = await Wire.open(started["wire"], source=source)
        other.send(cancel_request(*wire.key))
        assert await other.rest() == b""
        assert await wire.lines() == ["E57014", "ZI"]
        assert "Cancelled by the client" in await site.card_says("Withdrawn")
        await ended(it.served)
    assert await amount(site, 32) == 100
    await verified(site)


async def test_what_ddl_on_one_changes_is_masked_by_the_other(site: Site) -> None:
    """Else the mask would follow the old view there until the catalog is read again."""
    site.policies.write_text(site.policies.read_text("utf-8") + DDL, "utf-8")
    await site.postgres.psql("CREATE SCHEMA made; GRANT ALL ON SCHEMA made TO served", "served")
    async with crew(site) as it:
        one, two = await it.connected(1), await it.connected(2)
        view = "CREATE OR REPLACE VIEW made.seen AS SELECT {} AS v FROM ledger WHERE id = 40"
        assert await one.ask(query(view.format("id"))) == ["C[CREATE VIEW]", "ZI"]
        async with asyncio.timeout(STEP):
            while await row(two, "SELECT v FROM made.seen") != b"40":
                pass
            assert await one.ask(query(view.format("amount"))) == ["C[CREATE VIEW]", "ZI"]
            while await row(two, "SELECT v FROM made.seen") == b"100":
                pass
        assert await row(two, "SELECT v FROM made.seen") is None
        assert await row(one, "SELECT v FROM made.seen") is None
        await ended(it.served)


# --- ends and starts ----------------------------------------------------------------------------------------------------


async def test_after_kill_9_of_one_the_other_serves_and_it_comes_back(site: Site) -> None:
    """Its wires end, what it held is withdrawn, its place is taken anew, and nothing of the record is missing."""
    async with crew(site) as it:
        there, here = await it.connected(2), await it.connected(1)
        there.send(query(UPDATE.format(33)))
        await site.card()
        await site.stored_card()
        os.kill((await it.pids())[2], signal.SIGKILL)
        assert await there.lines() == ["closed"]
        assert await here.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]
        died = await it.served.logged("worker.ended")
        assert (died["worker"], died["why"], died["served"]) == (2, "killed by SIGKILL", True)
        assert "Gateway gone" in await site.card_says("Withdrawn")
        await it.served.logged("gateway.started", 3)
        again = await it.connected(2)
        assert await again.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]
        assert len({str(each["replica"]) for each in it.entries(kind="session_started")}) == 3
        await ended(it.served)
    assert [state for state, _ in await site.states()] == ["withdrawn"]
    assert await amount(site, 33) == 100
    await verified(site)


async def test_while_one_is_down_the_rest_is_ready_and_says_so(site: Site) -> None:
    async with crew(site) as it:
        [stopped] = [pid for worker, pid in (await it.pids()).items() if worker == 2]
        os.kill(stopped, signal.SIGSTOP)  # so that it stays down while it is looked at
        try:
            started = await it.served.logged("gateway.started")
            ready: dict[str, str] = {}
            async with asyncio.timeout(30):
                while "workers" not in ready:  # on a slow machine the probe gives up before it is told who is silent
                    ready = json.loads((await answered(started["http"], "/readyz"))[1])
            assert ready["workers"] == "ok; no answer from 2"
            _, text = await answered(started["http"], "/metrics")
            assert 'hoop_worker_up{worker="2"} 0.0' in text
        finally:
            os.kill(stopped, signal.SIGCONT)
        await ended(it.served)


async def test_both_killed_at_once_come_back_and_the_record_is_whole(site: Site) -> None:
    """Both look after both dead: what was held is withdrawn once."""
    async with crew(site) as it:
        for row, worker in ((34, 1), (35, 2)):
            (await it.connected(worker)).send(query(UPDATE.format(row)))
        await site.workspace.wait_for(partial(it.has_cards, 2), START)
        for pid in (await it.pids()).values():
            os.kill(pid, signal.SIGKILL)
        await it.served.logged("gateway.started", 4)
        async with asyncio.timeout(STEP):
            while [state for state, _ in await site.states()] != ["withdrawn", "withdrawn"]:
                pass  # each question is a process of its own
        await ended(it.served)
    assert len(it.entries(kind="decided")) == 2
    await verified(site)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_both(site: Site, number: signal.Signals) -> None:
    async with crew(site) as it:
        wires = [await it.connected(worker) for worker in (1, 2)]
        for row, wire in enumerate(wires, 36):
            wire.send(query(UPDATE.format(row)))
        await site.workspace.wait_for(partial(it.has_cards, 2), START)
        pids = await it.pids()
        it.served.process.send_signal(number)
        assert [await wire.lines() for wire in wires] == [["E57P01", "closed"]] * 2
        assert await it.served.ended() == 0
        assert [each for each in pids.values() if _parent(each)] == []
    assert [state for state, _ in await site.states()] == ["withdrawn"] * 2
    await verified(site)


async def test_without_their_supervisor_the_workers_drain_and_end(site: Site) -> None:
    """They write to the same log as it did, so its end is that of all of them."""
    async with crew(site) as it:
        wire = await it.connected(1)
        wire.send(query(UPDATE.format(38)))
        await site.card()
        pids = await it.pids()
        it.served.process.kill()
        assert await wire.lines() == ["E57P01", "closed"]
        assert await it.served.ended() == -signal.SIGKILL

        async def gone() -> bool:
            return not any(_parent(each) for each in pids.values())

        await until(gone, START)
    assert [state for state, _ in await site.states()] == ["withdrawn"]
    await verified(site)


async def test_sighup_reads_the_policy_again_in_both(site: Site) -> None:
    async with crew(site) as it:
        wires = [await it.connected(worker) for worker in (1, 2)]
        good = site.policies.read_text("utf-8")
        site.policies.write_text(good.replace("reads go", "writes"), "utf-8")
        it.served.process.send_signal(signal.SIGHUP)
        refused = [await it.served.logged("policy.refused", count) for count in (1, 2)]
        assert {each["worker"] for each in refused} == {1, 2}
        site.write_policy("deny")
        it.served.process.send_signal(signal.SIGHUP)
        for count in (1, 2):
            await it.served.logged("policy.loaded", count)
        for wire in wires:
            assert await wire.ask(query("DELETE FROM ledger WHERE id = 5")) == ["E42501", "ZI"]
        await ended(it.served)


# --- starts that are refused --------------------------------------------------------------------------------------------


async def test_what_keeps_it_from_starting_is_told_once_with_its_code(site: Site) -> None:
    site.environment["SLACK_BOT_TOKEN"] = "xoxb-revoked"
    done = await asyncio.to_thread(run, site.environment, "serve", "--workers", "2")
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("hoop serve")]
    assert said == ["hoop serve: Slack refuses SLACK_BOT_TOKEN: invalid_auth"]
    site.policies.write_text("version: 2\n", "utf-8")
    done = await asyncio.to_thread(run, site.environment, "serve", "--workers", "2")
    problems = done.stderr.splitlines()
    assert (done.returncode, len(problems)) == (2, len(set(problems)))
    assert f"{site.policies}:1" in done.stderr


async def test_a_port_that_another_gateway_has_is_not_shared_with_it(site: Site) -> None:
    async with crew(site) as it:
        started = await it.served.logged("gateway.started")
        site.environment["HOOP_LISTEN"] = f"{HOST}:{started['wire']}"
        done = await asyncio.to_thread(run, site.environment, "serve", "--workers", "2")
        assert done.returncode == 2
        assert f"can't listen on {HOST}:{started['wire']}: Address already in use; change HOOP_LISTEN" in done.stderr
        await ended(it.served)
