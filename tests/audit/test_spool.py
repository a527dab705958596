"""The spool on a real disk: what is written, in which order, and that it breaks closed."""

import asyncio
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.chain import checkpoint_holds, verify_chain
from gateway.audit.entry import Value, together
from gateway.audit.files import SpoolUnwritable, is_live, lines, spooled
from gateway.audit.pattern import Pattern, number_value, text_value
from gateway.audit.spool import Shipment, Spool

KEY = b"0123456789abcdef0123456789abcdef"
R = "db-1.example.com:1700000000:0"
ROOT = Path(__file__).parents[2]
AT = 1_700_000_000.25


def opened(directory: Path, replica: str = R) -> Spool:
    return Spool.open(directory, replica, KEY, lambda: AT)


def texts(directory: Path, replica: str = R) -> list[str]:
    return [line for line, _ in lines(spooled(directory)[replica])]


def test_what_a_line_says(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    entry = spool.record("statement", sql="SELECT 1", user="ann", rule=None, groups=["dba"])
    assert texts(tmp_path) == []  # recorded only by flush
    spool.flush()
    assert texts(tmp_path) == [entry.text]
    body = json.loads(entry.text)
    assert {name: body[name] for name in ("seq", "replica", "at", "kind", "user", "groups", "sql")} == {
        "seq": 1,
        "replica": R,
        "at": "2023-11-14T22:13:20.250000Z",
        "kind": "statement",
        "user": "ann",
        "groups": ["dba"],
        "sql": "SELECT 1",
    }
    assert "rule" not in body
    spool.close()


def test_one_write_holds_all_queued_lines_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = opened(tmp_path)
    writes: list[bytes] = []
    real = os.write

    def write(file: int, data: bytes) -> int:
        writes.append(data)
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    for number in range(5):
        spool.record("statement", sql=f"SELECT {number}")
    spool.flush()
    spool.flush()
    assert len(writes) == 1
    assert [json.loads(line)["seq"] for line in texts(tmp_path)] == [1, 2, 3, 4, 5]
    spool.close()


async def test_many_tasks_make_one_true_chain(tmp_path: Path) -> None:
    spool = opened(tmp_path)

    async def session(name: str) -> None:
        for number in range(20):
            spool.record("statement", session=name, sql=f"SELECT {number}")
            await asyncio.sleep(0)
            spool.flush()

    await asyncio.gather(*(session(f"s{number}") for number in range(10)))
    await spool.sync()
    rows = [json.loads(line) for line in texts(tmp_path)]
    assert [row["seq"] for row in rows] == list(range(1, 201))
    assert verify_chain(KEY, R, rows) == []
    spool.close()


def test_files_are_private_and_their_names_hold_any_replica(tmp_path: Path) -> None:
    names = ["a:1:0", "a.000001:1:0", "../up/and away:1:0", "[fe80::1]:1:0", "Zoë:1:0"]
    for name in names:
        spool = opened(tmp_path / "spool", name)
        spool.record("policy_loaded", policy="x")
        spool.close()
    assert sorted(spooled(tmp_path / "spool")) == sorted(names)
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    for files in spooled(tmp_path / "spool").values():
        assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_files_go_round_in_order(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.max_file_bytes = 1000
    for number in range(30):
        spool.record("statement", sql=f"SELECT {number}")
        spool.flush()
    spool.close()
    files = spooled(tmp_path)[R]
    assert len(files) > 5
    assert all(0 < file.stat().st_size <= 1000 for file in files)
    assert verify_chain(KEY, R, [json.loads(line) for line in texts(tmp_path)]) == []
    assert len(texts(tmp_path)) == 30


def test_an_entry_bigger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.max_file_bytes = 1000
    for size in (10, 5000, 10):
        spool.record("statement", sql="x" * size)
        spool.flush()
    spool.close()
    assert len(spooled(tmp_path)[R]) == 3


def test_a_chain_is_never_begun_twice(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(SpoolUnwritable, match="exists already"):
        opened(tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnwritable, match="ENOTDIR"):
        opened(tmp_path / "file" / "spool")


def test_an_empty_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key is empty"):
        Spool.open(tmp_path, R, b"", lambda: AT)


def test_own_and_unknown_fields_are_refused_and_nothing_is_recorded(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for fields in ({"seq": 7}, {"colour": "red"}, {"hash": "x"}):
        with pytest.raises(ValueError, match=r"seq|colour|hash"):
            spool.record("statement", **fields)
    assert spool.record("statement").seq == 1
    spool.close()


def test_text_that_no_store_can_hold_is_recorded_visibly(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    entry = spool.record("statement", sql="a\0b\ud800c", parameters=["\0"])
    spool.flush()
    assert entry.body["sql"] == "a\ufffdb\ufffdc"
    assert json.loads(texts(tmp_path)[0])["parameters"] == ["\ufffd"]
    spool.close()


def test_an_entry_of_a_pattern_is_the_one_that_its_fields_make(tmp_path: Path) -> None:
    fields: dict[str, Value] = {"session": "s", "groups": ["a", "b"], "policy": 3}
    one, two = opened(tmp_path / "one", 'r"1'), opened(tmp_path / "two", 'r"1')
    pattern = Pattern("statement", fields, ["statement", "sql"])
    for spool in (one, two):
        spool.record("session_started", session="s")
    one.record_alike(pattern, (number_value(5), text_value("SELECT 'é'")))
    two.record("statement", **fields, statement=5, sql="SELECT 'é'")
    assert (one.seq, one.head) == (two.seq, two.head)
    for spool in (one, two):
        spool.flush()
    assert one.take() == two.take()
    assert texts(tmp_path / "one", 'r"1') == texts(tmp_path / "two", 'r"1')


def test_a_full_disk_breaks_the_spool_for_good(tmp_path: Path) -> None:
    """In a process of its own whose files may not grow: the write is short, then refused, as on a full disk."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from gateway.audit.spool import Spool
from gateway.audit.files import SpoolUnwritable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool.open(Path({str(tmp_path)!r}), {R!r}, {KEY!r}, lambda: 0.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
said = []
for number in range(6):
    try:
        spool.record("statement", sql="x" * 100)
        spool.flush()
    except SpoolUnwritable as error:
        said.append((number, error.sqlstate))
print(said, spool.broken)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert done.stdout.strip() == "[(2, '53100'), (3, '53100'), (4, '53100'), (5, '53100')] True"
    assert [whole for _, whole in lines(spooled(tmp_path)[R])] == [True, True, False]


async def test_a_failed_fsync_breaks_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = opened(tmp_path)
    spool.record("statement")
    spool.flush()

    def fails(file: int) -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(SpoolUnwritable, match="EIO") as caught:
        await spool.run()
    assert caught.value.sqlstate == "57P03"
    with pytest.raises(SpoolUnwritable):
        spool.record("statement")
    spool.close()


async def test_what_was_synced_leaves_the_page_cache(tmp_path: Path) -> None:
    """On a gateway under load the spool would fill it with what nobody reads."""
    if not _lets_go(tmp_path / "other"):
        pytest.skip("this file system keeps everything in memory")
    spool = opened(tmp_path / "spool")
    spool.record("statement", sql="SELECT 1")
    spool.flush()
    [path] = spooled(tmp_path / "spool")[R]
    assert _is_cached(path)
    await spool.sync()
    assert not _is_cached(path)
    spool.close()


def _lets_go(path: Path) -> bool:
    path.write_bytes(b"x")
    with path.open("rb") as file:
        os.fsync(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return not _is_cached(path)


def _is_cached(path: Path) -> bool:
    """Is the file's first byte in memory? preadv2(2), RWF_NOWAIT."""
    try:
        with path.open("rb") as file:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False


async def test_what_was_written_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = opened(tmp_path)
    synced = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = os.fsync

    lengths: list[int] = []

    def fsync(file: int) -> None:
        real(file)
        lengths.append(os.fstat(file).st_size)
        loop.call_soon_threadsafe(synced.set)

    monkeypatch.setattr(os, "fsync", fsync)
    running = asyncio.create_task(spool.run())
    spool.record("statement")
    spool.flush()
    async with asyncio.timeout(10):
        await synced.wait()
    assert lengths[-1] > 0, "the entry was in the file that was synced"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    spool.close()


def test_a_closed_spool_records_nothing(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.record("statement")
    spool.close()
    assert len(texts(tmp_path)) == 1
    with pytest.raises(SpoolUnwritable, match="closed"):
        spool.record("statement")


def test_checkpoint_names_the_chain_before_it(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    before = spool.record("statement")
    made = spool.checkpoint([{"replica": "b", "seq": 3, "hash": "a" * 64}], shipped=1)
    assert (made.entry.body["entries"], made.entry.body["head"]) == (1, before.hash)
    assert checkpoint_holds(KEY, R, made.entry.seq, made.entry.hash, made.signature)
    assert texts(tmp_path) == [before.text, made.entry.text]
    spool.close()


def test_take_hands_over_what_is_flushed_and_no_more_than_memory_bears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.audit.spool.MAX_WAITING", 3)
    spool = opened(tmp_path)
    first = spool.record("statement")
    assert spool.take() == Shipment(0, b"", more=False)
    spool.flush()
    spool.record("statement")
    assert spool.take() == Shipment(1, together([first]), more=False)
    for _ in range(3):
        spool.record("statement")
    spool.flush()
    assert spool.take() is None
    assert spool.take() == Shipment(5, b"", more=False)
    last = spool.record("statement")
    spool.flush()
    assert spool.take() == Shipment(6, together([last]), more=False)
    spool.close()


def test_take_gives_whole_writes_in_order_up_to_so_many_entries_and_says_whether_there_are_more(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    entries = []
    for count in (2, 2, 1, 9, 1):
        entries += [spool.record("statement") for _ in range(count)]
        spool.flush()
    given = [spool.take(5) for _ in range(4)]
    assert [each and (each.seq, each.more) for each in given] == [(5, True), (14, True), (15, False), (15, False)]
    assert b"".join(each.lines for each in given if each) == together(entries)
    spool.close()


def test_kill_9_after_flush_loses_nothing(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from gateway.audit.spool import Spool
spool = Spool.open(Path({str(tmp_path)!r}), {R!r}, {KEY!r}, lambda: 0.0)
for number in range(100):
    spool.record("statement", sql=f"SELECT {{number}}")
    spool.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60, cwd=ROOT)
    assert done.returncode == -9
    assert verify_chain(KEY, R, [json.loads(line) for line in texts(tmp_path)]) == []
    assert len(texts(tmp_path)) == 100


def test_lines_from_an_entry_on_begin_at_it_or_a_little_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.audit.spool._MARK_EVERY", 4)
    spool = opened(tmp_path)
    spool.max_file_bytes = 3000
    for _ in range(30):
        spool.record("statement", sql="SELECT 'é'")
        spool.flush()
    everything = [json.loads(line)["seq"] for line, _ in spool.lines_from(1)]
    assert everything == list(range(1, 31))
    for seq in range(1, 31):
        found = [json.loads(line)["seq"] for line, _ in spool.lines_from(seq)]
        assert found == everything[found[0] - 1 :]
        assert 0 <= seq - found[0] < 4


def test_a_file_is_not_seen_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that starts at that moment would take this one for dead, and keep it from its own lock by looking."""
    seen: list[list[Path]] = []
    lock = fcntl.flock

    def flock(file: int, how: int) -> None:
        seen.append(spooled(tmp_path).get(R, []))
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    spool = opened(tmp_path)
    spool.max_file_bytes = 100
    for _ in range(2):
        spool.record("statement", sql="SELECT 1")
        spool.flush()
    spool.close()
    assert [len(each) for each in seen] == [0, 1]
    assert len(spooled(tmp_path)[R]) == 2


def test_who_has_listed_the_files_before_a_new_one_was_begun_sees_it_alive(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.max_file_bytes = 100
    spool.record("statement", sql="SELECT 1")
    spool.flush()
    listed = spooled(tmp_path)[R]
    spool.record("statement", sql="SELECT 2")
    spool.flush()
    assert len(spooled(tmp_path)[R]) == 2
    assert is_live(listed)
    spool.close()
    assert not is_live(listed)
