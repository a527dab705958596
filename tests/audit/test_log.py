"""The log over a real spool and the memory store: shipping, picking up, and every tampering that must not pass."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from gateway.audit.chain import Wrong, seal, sign_checkpoint
from gateway.audit.entry import Entry, Value, together
from gateway.audit.files import spooled
from gateway.audit.log import AuditLog, Report, logged_checkpoints, verify
from gateway.audit.spool import Spool
from gateway.errors import StoreUnavailable
from gateway.logs import redact
from gateway.store.memory import MemoryStore

KEY = b"0123456789abcdef0123456789abcdef"
WRONG = b"another key that is long enough.."
A, B = "one:1700000000:0", "one:1700000000:1"
FAR = "two:1700000000:0"


@dataclass
class Installation:
    """Two processes of host `one` and one of host `two`, each with its spool, and their store."""

    folder: Path
    store: MemoryStore
    now: float = 1_700_000_000.0
    logs: dict[str, AuditLog] = field(default_factory=dict)

    def start(self, replica: str) -> AuditLog:
        folder = self.folder / replica.rsplit(":", 2)[0]
        self.logs[replica] = AuditLog(Spool.open(folder, replica, KEY, lambda: self.now), self.store)
        return self.logs[replica]

    def statements(self, replica: str, count: int = 10) -> list[Entry]:
        spool = self.logs[replica].spool
        entries = [spool.record("statement", sql=f"SELECT {number}", user="ann") for number in range(count)]
        spool.flush()
        return entries

    async def verify(self, key: bytes = KEY, *, grace: float = 0.0, **more: Any) -> Report:
        return await verify(self.store, self.folder / "one", key, grace=grace, **more)

    def file(self, replica: str) -> Path:
        return spooled(self.folder / replica.rsplit(":", 2)[0])[replica][-1]

    def drop_from_spool(self, replica: str) -> None:
        for file in spooled(self.folder / replica.rsplit(":", 2)[0])[replica]:
            file.unlink()

    def drop_from_store(self, replica: str, *, from_seq: int = 1, with_checkpoints: bool = True) -> None:
        entries, checkpoints = self.store._entries, self.store._checkpoints
        for key in [key for key in entries if key[0] == replica and key[1] >= from_seq]:
            del entries[key]
        for key in [key for key in checkpoints if key[0] == replica and key[1] >= from_seq and with_checkpoints]:
            del checkpoints[key]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, MemoryStore(lambda: made.now))
    yield made
    for log in made.logs.values():
        log.spool.close()


async def busy(site: Installation) -> Installation:
    """Three chains, each of 10 statements, a checkpoint, 10 statements and the checkpoint of its stop."""
    for replica in (A, B, FAR):
        site.start(replica)
    for _ in range(2):
        for replica, log in site.logs.items():
            site.statements(replica)
            await log.checkpoint()
    return site


def what(report: Report) -> set[tuple[str, int, Wrong, str]]:
    return {(finding.replica, finding.seq, finding.wrong, finding.where) for finding in report.findings}


async def test_a_true_log_passes(site: Installation) -> None:
    report = await (await busy(site)).verify(host="one")
    assert report.ok, [str(finding) for finding in report.findings]
    assert [(chain.replica, chain.in_store, chain.in_spool) for chain in report.chains] == [
        (A, 22, 22),
        (B, 22, 22),
        (FAR, 22, None),  # its spool is on the other host
    ]
    assert (await verify(site.store, None, KEY)).ok
    assert (await verify(None, site.folder / "one", KEY)).ok


async def test_an_empty_log_is_no_proof(site: Installation, tmp_path: Path) -> None:
    assert not (await verify(site.store, tmp_path, KEY)).ok


async def test_ten_thousand_entries(site: Installation) -> None:
    site.start(A)
    site.statements(A, 10_000)
    await site.logs[A].checkpoint()
    report = await site.verify()
    assert report.ok
    assert report.chains[0].in_store == 10_001
    key = (A, 7_777)
    site.store._entries[key] = site.store._entries[key].replace("SELECT", "DELETE")
    assert what(await site.verify()) == {(A, 7_777, Wrong.EDITED, "store")}


def rewrite(site: Installation, change: Callable[[dict[str, Any]], None], seq: int = 5) -> None:
    row = json.loads(site.store._entries[A, seq])
    change(row)
    site.store._entries[A, seq] = json.dumps(row)


def edit(site: Installation) -> None:
    rewrite(site, lambda row: row.update(sql="SELECT 'harmless'"))


def edit_last(site: Installation) -> None:
    rewrite(site, lambda row: row.update(head="a" * 64), seq=22)


def delete(site: Installation) -> None:
    del site.store._entries[A, 5]


def no_json(site: Installation) -> None:
    site.store._entries[A, 5] = "garbage"


def swap(site: Installation) -> None:
    entries = site.store._entries
    entries[A, 5], entries[A, 6] = entries[A, 6], entries[A, 5]


def renumber(site: Installation) -> None:
    rewrite(site, lambda row: row.update(seq=6))


def renumber_far(site: Installation) -> None:
    rewrite(site, lambda row: row.update(seq=10**15))


def rehash_from(site: Installation, key: bytes, seq: int) -> None:
    """Edit #seq, hash it and all later ones again with `key`, sign the checkpoint rows again."""
    head = json.loads(site.store._entries[A, seq])["prev"]
    for number in range(seq, 23):
        row = json.loads(site.store._entries[A, number])
        body = {name: value for name, value in row.items() if name not in ("prev", "hash")}
        entry = seal(key, head, {**body, "user": "bob"} if number == seq else body)
        site.store._entries[A, number] = entry.text
        head = entry.hash
        if (A, number) in site.store._checkpoints:
            site.store._checkpoints[A, number] = (head, sign_checkpoint(key, A, number, head))


def rehash(site: Installation) -> None:
    rehash_from(site, WRONG, 5)


def rehash_with_the_key(site: Installation) -> None:
    """Not even the key helps against the spool and the other chains."""
    rehash_from(site, KEY, 5)


def cut(site: Installation) -> None:
    site.drop_from_store(A, from_seq=15)


def cut_last(site: Installation) -> None:
    site.drop_from_store(A, from_seq=22)


def cut_without_rows(site: Installation) -> None:
    site.drop_from_store(A, from_seq=15, with_checkpoints=False)


def drop(site: Installation) -> None:
    site.drop_from_store(A)


def forge_checkpoint(site: Installation) -> None:
    site.store._checkpoints[A, 22] = ("a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("touch", "expected"),
    [
        (edit, {(A, 5, Wrong.EDITED, "store")}),
        (edit_last, {(A, 22, Wrong.EDITED, "store")}),
        (delete, {(A, 5, Wrong.MISSING, "store")}),
        (no_json, {(A, 5, Wrong.UNREADABLE, "store"), (A, 5, Wrong.MISSING, "store")}),
        (swap, {(A, 5, Wrong.OUT_OF_ORDER, "store")}),
        (renumber, {(A, 6, Wrong.RENUMBERED, "store")}),
        (renumber_far, {(A, 10**15, Wrong.RENUMBERED, "store")}),
        (rehash, {(A, 5, Wrong.REHASHED, "store"), (A, 11, Wrong.FORGED, "store"), (A, 22, Wrong.FORGED, "store")}),
        (
            rehash_with_the_key,
            {(A, 11, Wrong.CONTRADICTED, where) for where in ("spool", "store")}
            | {(A, 22, Wrong.CONTRADICTED, where) for where in ("spool", "store")}
            | {(A, 21, Wrong.CONTRADICTED, "store")},
        ),
        (cut, {(A, 15, Wrong.CUT, "store")}),
        (cut_last, {(A, 22, Wrong.CUT, "store")}),
        (cut_without_rows, {(A, 15, Wrong.CUT, "store")}),
        (drop, {(A, 0, Wrong.GONE, "store")}),
        (forge_checkpoint, {(A, 22, Wrong.FORGED, "store")}),
    ],
)
async def test_a_touched_store_does_not_pass(
    site: Installation,
    touch: Callable[[Installation], None],
    expected: set[tuple[str, int, Wrong, str]],
) -> None:
    await busy(site)
    touch(site)
    assert what(await site.verify(host="one")) == expected


@pytest.mark.parametrize("touch", [edit, delete, swap, renumber, rehash, cut, drop])
async def test_the_store_alone_shows_it_too(site: Installation, touch: Callable[[Installation], None]) -> None:
    await busy(site)
    touch(site)
    assert (await verify(site.store, None, KEY, grace=0)).findings


def line_edit(path: Path) -> None:
    path.write_text(path.read_text().replace("SELECT 4", "SELECT 5", 1))


def line_space(path: Path) -> None:
    path.write_text(path.read_text().replace('"user":"ann"', '"user": "ann"', 1))


def line_delete(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:4] + lines[5:]))


def line_swap(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], lines[5], lines[4], *lines[6:]]))


def line_deep(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], deep(lines[4]), *lines[5:]]))


def deep(line: str, kind: str = "statement") -> str:
    """The same, but nested deeper than any reader goes."""
    return line.replace('"kind":"statement"', f'"kind":"{kind}","heads":{"[" * 100_000}{"]" * 100_000}')


def line_huge(path: Path) -> None:
    path.write_text(path.read_text().replace('"seq":5,', f'"seq":{"9" * 4300},', 1))


def line_cut(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))


def line_torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("touch", "expected"),
    [
        (line_edit, {(A, 5, Wrong.EDITED, "spool")}),
        (line_space, {(A, 1, Wrong.EDITED, "spool")}),
        (line_delete, {(A, 5, Wrong.MISSING, "spool")}),
        (line_swap, {(A, 5, Wrong.OUT_OF_ORDER, "spool")}),
        (line_deep, {(A, 5, Wrong.UNREADABLE, "spool"), (A, 5, Wrong.MISSING, "spool")}),
        (line_huge, {(A, int("9" * 4300), Wrong.RENUMBERED, "spool")}),
        (line_cut, {(A, 20, Wrong.CUT, "spool")}),
        (line_torn, {(A, 22, Wrong.TORN, "spool"), (A, 22, Wrong.CUT, "spool")}),
        (Path.unlink, {(A, 0, Wrong.GONE, "spool")}),
    ],
)
async def test_a_touched_spool_does_not_pass(
    site: Installation, touch: Callable[[Path], None], expected: set[tuple[str, int, Wrong, str]]
) -> None:
    await busy(site)
    touch(site.file(A))
    assert what(await site.verify()) == expected


async def test_an_emptied_spool_does_not_pass(site: Installation) -> None:
    await busy(site)
    for replica in (A, B):
        site.drop_from_spool(replica)
    assert (A, 0, Wrong.GONE, "spool") in what(await site.verify())


async def test_a_chain_of_another_spool_directory_is_a_finding_that_says_where_it_was_looked_for(
    site: Installation, tmp_path: Path
) -> None:
    """It may be there, or it may be gone: who asks is told what would tell."""
    await busy(site)
    (tmp_path / "elsewhere").mkdir()
    report = await verify(site.store, tmp_path / "elsewhere", KEY, host="one")
    assert what(report) == {(each, 0, Wrong.GONE, "spool") for each in (A, B, FAR)}
    for finding in report.findings:
        assert f"nothing of it is in {tmp_path / 'elsewhere'}" in finding.text
        assert "another HOOP_SPOOL" in finding.text
        assert "another host" in finding.text


async def test_the_other_chains_remember_one_that_was_dropped_everywhere(site: Installation) -> None:
    await busy(site)
    site.drop_from_store(A)
    site.drop_from_spool(A)
    report = await site.verify()
    assert what(report) == {(A, 0, Wrong.GONE, "store"), (A, 0, Wrong.GONE, "spool")}
    assert f"checkpoint entry {B} #22 shows #22" in str(report.findings[0])


async def test_the_other_chains_remember_an_end_that_was_cut_everywhere(site: Installation) -> None:
    await busy(site)
    site.drop_from_store(A, from_seq=15)
    file = site.file(A)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:14]))
    assert what(await site.verify()) == {(A, 15, Wrong.CUT, "store"), (A, 15, Wrong.CUT, "spool")}


async def test_the_log_output_remembers_a_lone_chain(site: Installation) -> None:
    site.start(A)
    site.statements(A)
    with capture_logs() as logs:
        await site.logs[A].checkpoint()
    site.drop_from_store(A, from_seq=5)
    file = site.file(A)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:4]))
    assert (await site.verify()).ok  # nothing that is left says otherwise; that is why the log output matters
    logged = logged_checkpoints(["no json", "[1]", *(json.dumps(redact(None, "info", line)) for line in logs)])
    assert what(await site.verify(logged=logged)) == {(A, 5, Wrong.CUT, "store"), (A, 5, Wrong.CUT, "spool")}


async def test_a_process_that_only_its_heartbeat_remembers(site: Installation) -> None:
    await busy(site)
    await site.store.heartbeat("three:1700000000:0")
    site.now += 30
    assert (await site.verify()).ok  # it may still be about to ship
    site.now += 60
    assert what(await site.verify()) == {("three:1700000000:0", 0, Wrong.GONE, "")}


async def test_the_wrong_key_passes_nothing(site: Installation) -> None:
    await busy(site)
    wrong = what(await site.verify(key=WRONG))
    assert {(replica, 1, Wrong.REHASHED, "store") for replica in (A, B, FAR)} <= wrong
    assert (A, 11, Wrong.FORGED, "store") in wrong


# Shipping


async def test_ships_in_order_and_takes_entries_that_are_there_already(site: Installation) -> None:
    site.start(A)
    entries = site.statements(A, 1200)
    await site.store.append(together([entries[600]]))  # a held statement's entry, stored with its request
    await site.logs[A].ship()
    assert site.logs[A].shipped == 1200
    assert [row["seq"] for row in await site.store.chain(A, 0, 5000)] == list(range(1, 1201))


async def test_nothing_is_shipped_that_is_not_in_the_spool(site: Installation) -> None:
    log = site.start(A)
    log.spool.record("statement")
    await log.ship()
    assert await site.store.heads() == []


async def test_a_store_that_was_away_gets_everything_later(site: Installation) -> None:
    log = site.start(A)
    site.store.away = True
    site.statements(A)
    with pytest.raises(StoreUnavailable):
        await log.ship()
    await log.checkpoint()  # goes to the spool and to the log output all the same
    site.store.away = False
    assert (await verify(site.store, None, KEY)).chains == ()
    await log.ship()
    assert (await site.verify()).ok


async def test_what_is_not_stored_is_said(site: Installation) -> None:
    log = site.start(A)
    site.statements(A)
    assert what(await site.verify()) == {(A, 1, Wrong.DISAGREE, "store")}
    await log.ship()
    site.statements(A)
    assert what(await site.verify()) == {(A, 11, Wrong.DISAGREE, "store")}


async def test_more_than_memory_bears_is_read_back_from_the_files(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.audit.spool.MAX_WAITING", 5)
    log = site.start(A)
    log.spool.max_file_bytes = 1000
    for count in (3, 30, 3, 4):
        site.statements(A, count)
    await log.checkpoint()
    assert log.shipped == 41
    assert (await site.verify()).ok


async def test_a_later_process_picks_up_what_a_dead_one_left(site: Installation) -> None:
    dead = site.start(A)
    site.statements(A)
    await dead.checkpoint()
    entries = site.statements(A)
    await site.store.append(
        together([entries[-1]])
    )  # a hole before it: only the shipper's own mark says how far it came
    dead.spool.close()
    assert (await verify(site.store, None, KEY, grace=0)).findings
    heir = site.start(B)
    assert await heir.pick_up() == 11
    await heir.checkpoint()
    assert (await site.verify()).ok
    assert site.store._entries[A, entries[3].seq] == entries[3].text


async def test_a_live_process_ships_for_itself(site: Installation) -> None:
    site.start(A)
    site.statements(A)
    assert await site.start(B).pick_up() == 0


async def test_a_hole_in_what_the_store_had_confirmed_is_never_filled(site: Installation) -> None:
    dead = site.start(A)
    site.statements(A)
    await dead.checkpoint()
    await dead.checkpoint()
    dead.spool.close()
    site.drop_from_store(A, from_seq=5)
    heir = site.start(B)
    await heir.pick_up()
    assert (A, 5, Wrong.MISSING, "store") in what(await site.verify())


async def test_lines_that_are_not_sealed_are_not_shipped(site: Installation) -> None:
    dead = site.start(A)
    site.statements(A)
    dead.spool.close()
    line_edit(site.file(A))
    assert await site.start(B).pick_up() == 9


async def test_a_line_of_another_chain_moves_nobodys_mark(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sealed, and its number is far beyond ours: were it taken for one of ours, nothing before it would be shipped."""
    monkeypatch.setattr("gateway.audit.spool.MAX_WAITING", 5)
    log, other = site.start(A), site.start(B)
    site.statements(B, 100)
    site.statements(A, 10)
    with site.file(A).open("a") as file:
        file.write(site.file(B).read_text().splitlines(keepends=True)[-1])
    await log.ship()
    assert log.shipped == 10
    other.spool.close()
    site.statements(A, 3)
    await log.ship()
    assert [row["seq"] for row in await site.store.chain(A, 0, 99)] == [*range(1, 14)]


def forged_mark(line: str, kind: str = "checkpoint") -> str:
    return line.replace('"kind":"statement"', f'"kind":"{kind}"').replace('"sql":', '"shipped":10,"sql":')


@pytest.mark.parametrize("spoilt", [forged_mark, lambda line: deep(line, "checkpoint")], ids=["forged", "nested deep"])
async def test_a_forged_mark_keeps_nothing_from_being_picked_up(
    site: Installation, spoilt: Callable[[str], str]
) -> None:
    dead = site.start(A)
    site.statements(A)
    dead.spool.close()
    with site.file(A).open("a") as file:
        file.write(spoilt(site.file(A).read_text().splitlines(keepends=True)[-1]))
    assert await site.start(B).pick_up() == 10


async def test_a_spoilt_beginning_of_a_file_keeps_nothing_of_those_before_it(site: Installation) -> None:
    dead = site.start(A)
    site.statements(A)
    await dead.checkpoint()
    for _ in range(2):
        dead.spool.max_file_bytes = 1
        site.statements(A)
    dead.spool.max_file_bytes = 1 << 20
    dead.spool.checkpoint(None, dead.shipped)
    dead.spool.close()
    newest = site.file(A)
    newest.write_text("{}" + newest.read_text()[2:])
    assert await site.start(B).pick_up() == 20


async def test_what_was_not_sealed_is_not_vouched_for_before_a_torn_line(site: Installation) -> None:
    dead = site.start(A)
    last = site.statements(A, 3)[-1]
    dead.spool.close()
    with site.file(A).open("a") as file:
        file.write(last.text.replace('"seq":3', '"seq":9') + "\n" + deep(last.text) + '\n{"seq":4,"repl')
    heir = site.start(B)
    await heir.pick_up()
    [torn] = [row for row in await stored(site, heir) if row["kind"] == "spool_torn"]
    assert torn["heads"] == [{"replica": A, "seq": 3, "hash": last.hash}]


async def stored(site: Installation, log: AuditLog) -> Sequence[Mapping[str, Value]]:
    await log.ship()
    return await site.store.chain(log.spool.replica, 0, 99)


async def test_a_torn_line_is_recorded_once_by_a_later_process(site: Installation) -> None:
    dead = site.start(A)
    site.statements(A, 3)
    dead.spool.close()
    with site.file(A).open("a") as file:
        file.write('{"seq":4,"repl')
    assert what(await site.verify()) >= {(A, 4, Wrong.TORN, "spool")}
    heir = site.start(B)
    assert await heir.pick_up() == 3
    assert await site.start("one:1700000001:0").pick_up() == 3
    for log in list(site.logs.values())[1:]:
        await log.checkpoint()
    report = await site.verify()
    assert report.ok
    assert report.chains[0].notes == (f"{A} #4 (spool): a torn line stands behind #3",)
    assert [row["kind"] for row in await site.store.chain("one:1700000001:0", 0, 9)] == ["checkpoint"]


async def test_run_picks_up_ships_and_stops(site: Installation) -> None:
    shipped = asyncio.Event()

    class Heard(MemoryStore):
        async def append(self, lines: bytes) -> None:
            await super().append(lines)
            if b'"kind":"statement"' in lines:
                shipped.set()

    site.store = Heard(lambda: site.now)
    log = site.start(A)
    running = asyncio.create_task(log.run())
    site.statements(A)
    async with asyncio.timeout(10):
        await shipped.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    site.statements(A)
    await log.stop()
    assert (await site.verify()).ok
    last: dict[str, Value] = dict((await site.store.chain(A, 0, 99))[-1])
    assert last["kind"] == "checkpoint"
    assert (await site.store.checkpoints())[-1][1] == last["seq"]


async def test_verify_waits_once_for_a_shipper_at_work(site: Installation) -> None:
    looks: list[None] = []

    class ShipsAtTheSecondLook(MemoryStore):
        async def heads(self) -> list[tuple[str, int, str]]:
            looks.append(None)
            if len(looks) == 2:
                await log.ship()
            return await super().heads()

    site.store = ShipsAtTheSecondLook(lambda: site.now)
    log = site.start(A)
    site.statements(A)
    assert (await site.verify(grace=0.001)).ok
    assert len(looks) == 2


@pytest.mark.parametrize(
    "text",
    ["garbage", '{"seq":3,"hash":""}', deep('{"seq":3,"kind":"statement"}')],
    ids=["garbage", "no entry", "deep"],
)
async def test_a_row_put_in_far_away_ends_the_reading(
    site: Installation, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counted(MemoryStore):
        async def heads(self) -> list[tuple[str, int, str]]:
            return [(A, 10**15, "")]

    monkeypatch.setattr("gateway.audit.log.ENOUGH_FINDINGS", 20)
    site.store = Counted(lambda: site.now)
    site.start(A)
    site.statements(A)
    await site.logs[A].ship()
    site.store._entries[A, 10**15] = text
    async with asyncio.timeout(30):
        assert any(finding.wrong is Wrong.UNREADABLE for finding in (await site.verify()).findings)


async def test_nothing_is_written_behind_the_checkpoint_of_the_stop(site: Installation) -> None:
    """The store closes next: a checkpoint on its interval would stay in the spool, and verify would miss it in the store."""
    log = site.start(A)
    site.statements(A)
    await log.stop()
    last = log.spool.seq
    await log.checkpoint()
    assert (log.spool.seq, log.shipped) == (last, last)
    assert (await site.verify(host="one")).ok


# --- what is no file -------------------------------------------------------------------------------------------------------

GHOST = "one:1600000000:0"  # sorts before all others


def haunted(site: Installation) -> None:
    """A directory where chain A would go on, a FIFO and a link to nowhere in place of a chain."""
    of_a = site.file(A)
    of_a.with_name(of_a.name.replace(".000000.", ".000001.")).mkdir()
    os.mkfifo(of_a.with_name(f"{quote(GHOST, safe='')}.000000.jsonl"))
    of_a.with_name(f"{quote(GHOST, safe='')}.000001.jsonl").symlink_to("nowhere")


async def test_what_is_no_file_but_named_like_one_is_complained_of(site: Installation) -> None:
    haunted(await busy(site))
    async with asyncio.timeout(5):
        report = await site.verify()
    assert what(report) == {(A, 0, Wrong.UNREADABLE, "spool"), (GHOST, 0, Wrong.UNREADABLE, "spool")}
    told = {finding.replica: finding.text for finding in report.findings}
    assert ".000001.jsonl is no file" in told[A]
    assert told[GHOST].count(".jsonl") == 2
    assert {chain.replica: chain.in_spool for chain in report.chains}[A] == 22, "the rest of the chain is read"


async def test_what_is_no_file_does_not_stop_the_others_from_being_picked_up(site: Installation) -> None:
    site.start(A)
    site.statements(A)
    site.logs[A].spool.close()
    haunted(site)
    with capture_logs() as told:
        async with asyncio.timeout(5):
            assert await site.start(B).pick_up() == 10
    assert [(each["log_level"], each["replica"], len(each["named"])) for each in told] == [
        ("warning", GHOST, 2),
        ("warning", A, 1),
    ]
