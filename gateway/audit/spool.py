"""The spool: one process's chain as lines of JSON in append-only files. What is in here happened; the store is a copy.

*Recorded* means that one write(2) handed the line to the kernel: it survives kill -9 of the process. An fsync every
50 ms bounds what a power loss takes. A write that fails, or writes only a part, breaks the spool for good (fail
closed): the chain in memory has gone on and the file has not, so nothing may be forwarded by this process any more.

Files are `REPLICA.000000.jsonl`, `REPLICA.000001.jsonl` ..., the name percent-encoded. Nothing here deletes or repairs a
file. One process writes one chain, from one thread; `run` moves only the fsync to another.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple, Self, cast
from urllib.parse import quote

from gateway.audit.chain import genesis, keyed, link, sign_checkpoint
from gateway.audit.entry import Entry, Value, canonical, clean
from gateway.audit.files import SpoolUnwritable, lines
from gateway.audit.pattern import OF_SPOOL, Pattern

#: A new file is begun when the next write would pass this: big enough to be few, small enough to copy away.
MAX_FILE_BYTES = 64 * 1024 * 1024
#: architecture.md, The record: what a power loss may take.
FSYNC_EVERY = 0.05
#: Entries kept in memory for the shipper; when the store is away for longer, it reads them from the files.
MAX_WAITING = 20_000
#: So many entries apart the place of one is remembered, so that no file is read from its beginning for its end.
_MARK_EVERY = 1000

_OWN_FIELDS: Final = frozenset(OF_SPOOL)
_DIGEST: Final = 64  # characters of a hash


class Shipment(NamedTuple):
    """Lines that were flushed, as they stand in the file; `seq` is the last one's. `more`: others wait behind them."""

    seq: int
    lines: bytes
    more: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint entry and the signature over (its replica, its seq, its hash)."""

    entry: Entry
    signature: str


class Spool:
    """Seal entries and append them. `open` makes one; then `record`, `flush` before what was recorded is forwarded."""

    def __init__(self, directory: Path, replica: str, key: bytes, clock: Callable[[], float]) -> None:
        self.directory = directory
        self.replica = replica
        self.key = key
        self.max_file_bytes = MAX_FILE_BYTES
        self.seq = 0
        self.head = genesis(key, replica)
        self._sealed = keyed(key)
        self._clock = clock
        self._named = f',{canonical({"replica": replica})[1:-1]},"at":"'.encode()
        self._queued: list[bytes] = []
        self._waiting: list[tuple[int, bytes]] | None = []  # of each write the last seq and its lines
        self._taken = 0  # the last entry that `take` gave
        self._second = -1  # of the newest entry
        self._until_second = b""
        self._part = 0
        self._size = 0
        self._marks: list[tuple[int, int, int]] = []  # seq, and the file and offset at which its line begins
        self._unsynced = False
        self._broken: SpoolUnwritable | None = None
        self._former = -1  # the file before this one
        self._file = self._begin_file()

    @classmethod
    def open(cls, directory: Path, replica: str, key: bytes, clock: Callable[[], float]) -> Self:
        """Begin the chain of `replica`; `clock` gives Unix seconds. Raises SpoolUnwritable, also when that chain exists."""
        if not key:
            raise ValueError("the audit key is empty")
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(directory, replica, key, clock)
        except FileExistsError as error:
            raise SpoolUnwritable(
                "the audit spool can't be opened: a chain of this process name exists already",
                hint="each start of a process needs a name of its own",
            ) from error
        except OSError as error:
            raise _unwritable(error) from error

    def record(self, kind: str, **fields: Value) -> Entry:
        """Seal the next entry and queue its line for `flush`; fields that are None are left out.

        Raises SpoolUnwritable once the spool is broken, ValueError for a field that no entry has.
        """
        if self._broken is not None:
            raise self._broken
        if not _OWN_FIELDS.isdisjoint(fields):
            raise ValueError(f"the spool itself fills in {', '.join(sorted(_OWN_FIELDS & set(fields)))}")
        body: dict[str, Value] = {
            "seq": self.seq + 1,
            "replica": self.replica,
            "at": self._now().decode(),
            "kind": kind,
        }
        body |= {name: value for name, value in fields.items() if value is not None}
        entry = self._seal(body)
        self.seq, self.head = entry.seq, entry.hash
        self._queued.append(f"{entry.text}\n".encode())
        return entry

    def record_alike(self, pattern: Pattern, values: Sequence[bytes]) -> None:
        """As `record`, for an entry of a pattern; `values` are JSON for its holes. Raises SpoolUnwritable."""
        if self._broken is not None:
            raise self._broken
        seq, prev = self.seq + 1, self.head.encode()
        said = (
            prev,
            b'{"seq":',
            b"%d" % seq,
            self._named,
            self._now(),
            b'","kind":',
            pattern.text(values),
            b',"prev":"',
            prev,
            b'"}',
        )
        message = b"".join(said)
        digest = self._sealed(message)
        line = b"".join((message[_DIGEST:-1], b',"hash":"', digest.encode(), b'"}\n'))
        self.seq, self.head = seq, digest
        self._queued.append(line)

    def flush(self) -> None:
        """Hand all queued lines to the kernel in one write. Raises SpoolUnwritable, from then on always."""
        if self._broken is not None:
            raise self._broken
        if not self._queued:
            return
        data = b"".join(self._queued)
        try:
            if self._size and self._size + len(data) > self.max_file_bytes:
                self._next_file()
            first = self.seq - len(self._queued) + 1
            if not self._marks or first >= self._marks[-1][0] + _MARK_EVERY:
                self._marks.append((first, self._part, self._size))
            _write_all(self._file, data)
        except OSError as error:
            self._broken = _unwritable(error)
            raise self._broken from error
        self._size += len(data)
        self._unsynced = True
        self._queued = []
        self._hand_over(data)

    def checkpoint(self, heads: list[Value] | None = None, shipped: int | None = None) -> Checkpoint:
        """Record (and flush) an entry that names the chain so far, and sign it.

        `heads`: the newest {replica, seq, hash} of other chains. `shipped`: what the store has confirmed of this one.
        """
        entry = self.record("checkpoint", entries=self.seq, head=self.head, heads=heads or None, shipped=shipped)
        self.flush()
        return Checkpoint(entry, sign_checkpoint(self.key, self.replica, entry.seq, entry.hash))

    def take(self, most: int = MAX_WAITING) -> Shipment | None:
        """The oldest flushed entries that were not taken yet, up to `most` but a whole write at least, for the shipper.

        None: there were too many, read them from the files.
        """
        if self._waiting is None:
            self._waiting, self._taken = [], self.seq - len(self._queued)
            return None
        count = max(1, bisect_right(self._waiting, self._taken + most, key=itemgetter(0)))
        taken = self._waiting[:count]
        del self._waiting[:count]
        if taken:
            self._taken = taken[-1][0]
        return Shipment(self._taken, b"".join([data for _, data in taken]), bool(self._waiting))

    def lines_from(self, seq: int) -> Iterator[tuple[str, bool]]:
        """What `lines` gives of this chain's own files, from `seq` or a little before it on."""
        _, part, offset = self._marks[max(0, bisect_right(self._marks, seq, key=itemgetter(0)) - 1)]
        return lines([self._path(each) for each in range(part, self._part + 1)], offset)

    async def run(self) -> None:
        """fsync every 50 ms while there is something to sync, until cancelled. Raises SpoolUnwritable when it fails."""
        while True:
            await asyncio.sleep(FSYNC_EVERY)
            await self.sync()

    async def sync(self) -> None:
        """fsync what was written, in a thread. A failed fsync breaks the spool: the kernel may have dropped the pages."""
        if not self._unsynced or self._broken is not None:
            return
        self._unsynced = False
        try:
            await asyncio.to_thread(_sync_and_let_go, os.dup(self._file))
        except OSError as error:
            self._broken = _unwritable(error)
            raise self._broken from error

    @property
    def broken(self) -> bool:
        """True once a write or an fsync failed: readiness is lost until a new process starts."""
        return self._broken is not None

    def close(self) -> None:
        """Flush, fsync and close; a broken spool is only closed, a closed one left alone."""
        if self._file < 0:
            return
        with contextlib.suppress(SpoolUnwritable):
            self.flush()
            os.fsync(self._file)
        os.close(self._file)
        self._let_go_of_former()
        self._file = -1
        self._broken = SpoolUnwritable("the audit spool is closed")

    def _now(self) -> bytes:
        """The time in UTC, to the microsecond."""
        micros = int(self._clock() * 1_000_000)
        second = micros // 1_000_000
        if second != self._second:
            self._second, self._until_second = second, datetime.fromtimestamp(second, UTC).isoformat()[:-6].encode()
        return b"%b.%06dZ" % (self._until_second, micros % 1_000_000)

    def _seal(self, body: dict[str, Value]) -> Entry:
        try:
            return link(self._sealed, self.head, body)
        except ValueError:  # U+0000 or a lone surrogate in a client's text: record it, visibly replaced
            return link(self._sealed, self.head, cast(dict[str, Value], clean(body)))

    def _hand_over(self, data: bytes) -> None:
        if self._waiting is not None:
            self._waiting.append((self.seq, data))
            if self.seq - self._taken > MAX_WAITING:
                self._waiting = None

    def _begin_file(self) -> int:
        path = self._path(self._part)
        if path.exists():
            raise FileExistsError(errno.EEXIST, "a chain of this name exists", str(path))
        new = path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # while this process lives: see `is_live`
        new.rename(path)  # not seen before it is locked: another process that starts would take it for a dead one's
        folder = os.open(self.directory, os.O_RDONLY)
        _fsync_and_close(folder)  # or a power loss could take the file's name
        return file

    def _path(self, part: int) -> Path:
        return self.directory / f"{_file_name(self.replica)}.{part:06d}.jsonl"

    def _next_file(self) -> None:
        os.fsync(self._file)
        self._let_go_of_former()
        self._former = self._file  # and its lock: who has listed the files a moment ago looks at this one
        self._part += 1
        self._size = 0
        self._file = self._begin_file()

    def _let_go_of_former(self) -> None:
        if self._former >= 0:
            os.close(self._former)
        self._former = -1


def _file_name(replica: str) -> str:
    return quote(replica, safe="")


def _write_all(file: int, data: bytes) -> None:
    """One write(2), or OSError: a short one on a regular file means that the disk is full."""
    if os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, "only a part was written")


def _fsync_and_close(file: int) -> None:
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sync_and_let_go(file: int) -> None:
    """fsync, and give the pages back: nobody reads them soon, and lines that always get pages of their own cost a quarter more
    (docs/performance.md, the spool)."""
    try:
        os.fsync(file)
        with contextlib.suppress(OSError):  # a file system that can't do it
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def _unwritable(error: OSError) -> SpoolUnwritable:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return SpoolUnwritable(
        f"the audit spool can't be written ({errno.errorcode.get(error.errno or 0, 'I/O error')}), so nothing is forwarded",
        hint="free space or mend the disk of HOOP_SPOOL, then restart the gateway",
        sqlstate="53100" if full else None,
    )
