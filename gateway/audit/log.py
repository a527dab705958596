"""The log: copies the spool into the store, signs checkpoints, and verifies spool, store and checkpoints together.

Order: an entry is in the spool first, in the store later. The shipper goes through its own chain without a gap; entries
of held, decided and released may stand in the store before it arrives there, and inserting one again changes nothing.
Every 10 s a checkpoint entry says how far the chain is (`head`), how far the store had confirmed it (`shipped`), and
how far all *other* chains were (`heads`): so the end of a chain, or a whole chain, can't be taken out of the store
without contradicting the chains of the other processes. Its signature also goes to the log output, off this machine.

What the store has confirmed is never shipped twice by a later process: a hole that somebody made stays to be seen.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import structlog

from gateway.audit.chain import Anchor, ChainCheck, Finding, Wrong, checkpoint_holds, keyed, sealed_entry
from gateway.audit.entry import NO_JSON, Entry, Value, together
from gateway.audit.files import is_live, lines, spooled, strangers
from gateway.audit.spool import Shipment, Spool
from gateway.errors import StoreUnavailable
from gateway.store.port import Store

#: How soon an entry is in the store, in seconds; and how long to wait when the store is away.
SHIP_EVERY = 0.1
RETRY_AFTER = 1.0
#: architecture.md, The record.
CHECKPOINT_EVERY = 10.0
#: Entries a store call: some 500 kB.
BATCH = 500
#: How long `verify` waits once for shippers at work: a few of their rounds.
GRACE = 2.0
#: A chain with so many findings is read no further: somebody wrote rows without end.
ENOUGH_FINDINGS = 1000
#: A replica that is silent for so long has shipped what it ever will.
SILENT = 60.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class AuditLog:
    """One process's shipper. `run` until cancelled, then `stop`. Raises SpoolUnwritable: then the process must end."""

    def __init__(self, spool: Spool, store: Store) -> None:
        self.spool = spool
        self.shipped = 0
        self._store = store
        self._buffer: Shipment | None = None
        self._behind = False
        self._named: dict[str, int] = {}
        self._shipping = asyncio.Lock()
        self._signing = asyncio.Lock()
        self._stopped = False
        self._picked_up = False

    async def run(self) -> None:
        """fsync, ship and checkpoint on their intervals; pick up what earlier processes left, if it is not yet."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.spool.run())
            tasks.create_task(self._look_back_until_done())
            tasks.create_task(self._ship_on())
            tasks.create_task(self._checkpoint_on())

    async def stop(self) -> None:
        """Ship what is left and sign the end of the chain. The store may be away: a later process picks it up."""
        if self.spool.broken:
            _log.error("audit.spool_broken", replica=self.spool.replica, seq=self.spool.seq)
        else:
            async with self._signing:
                self._stopped = True  # a checkpoint behind the last one would never be shipped
                await self._sign()

    async def ship(self) -> None:
        """Copy flushed entries to the store, in order. Raises StoreUnavailable; what was not confirmed is kept."""
        async with self._shipping:
            more = True
            while more:
                if self._buffer is None:
                    more = await self._next()
                if self._buffer is not None:
                    await self._store.append(self._buffer.lines)
                    self.shipped = max(self.shipped, self._buffer.seq)
                    self._buffer = None

    async def checkpoint(self) -> None:
        """Write a checkpoint entry, tell the log output, ship it and keep its signature in the store."""
        async with self._signing:
            if not self._stopped:
                await self._sign()

    async def _sign(self) -> None:
        heads: list[Value] = []
        away: StoreUnavailable | None = None
        try:
            await self.ship()
            heads = await self._heads_of_others()
        except StoreUnavailable as error:  # the chain and the log output still get theirs
            away = error
        made = self.spool.checkpoint(heads, self.shipped or None)
        replica, seq, head = made.entry.replica, made.entry.seq, made.entry.hash
        # Not called "signature": logs.redact would hide it.
        _log.info("audit.checkpoint", replica=replica, seq=seq, head=head, signed=made.signature)
        try:
            if away is not None:  # asked again, a store that hangs would hang as long once more
                raise away
            await self.ship()
            await self._store.checkpoint(replica, seq, head, made.signature)
        except StoreUnavailable as error:
            _log.warning("audit.not_shipped", replica=replica, confirmed=self.shipped, seq=seq, error=error.message)

    async def look_back(self) -> None:
        """Try once to pick up what earlier processes left; `run` goes on trying."""
        try:
            count = await self.pick_up()
        except (StoreUnavailable, OSError) as error:
            _log.warning("audit.not_picked_up", error=str(error))
        else:
            self._picked_up = True
            _log.info("audit.picked_up", entries=count)

    async def pick_up(self) -> int:
        """Ship what dead processes of this spool directory left unconfirmed; returns how many entries that were."""
        count = 0
        for replica, odd in (await asyncio.to_thread(strangers, self.spool.directory)).items():
            _log.warning("audit.no_file", replica=replica, named=[path.name for path in odd])
        for replica, files in (await asyncio.to_thread(spooled, self.spool.directory)).items():
            if replica != self.spool.replica and not await asyncio.to_thread(is_live, files):
                count += await self._pick_up_chain(replica, files)
        return count

    async def _pick_up_chain(self, replica: str, files: list[Path]) -> int:
        of_chain = _OfChain(replica, self.spool.key)
        confirmed, newest = await asyncio.to_thread(_confirmed, files, of_chain)
        left = _entries(lines(newest), confirmed, of_chain)
        count = 0
        while batch := await asyncio.to_thread(lambda: list(islice(left, BATCH))):
            await self._store.append(together(batch))
            count += len(batch)
        torn = await asyncio.to_thread(_unrecorded_tear, self.spool.directory, files, of_chain)
        if torn is not None:
            self.spool.record("spool_torn", heads=[torn], reason="a torn line was found at the end of this spool")
            self.spool.flush()
            _log.error("audit.spool_torn", torn=replica, seq=torn["seq"])
        return count

    async def _heads_of_others(self) -> list[Value]:
        """Heads that no checkpoint of this process has named yet."""
        heads: list[Value] = []
        for replica, seq, digest in await self._store.heads():
            if replica != self.spool.replica and self._named.get(replica) != seq:
                self._named[replica] = seq
                heads.append({"replica": replica, "seq": seq, "hash": digest})
        return heads

    async def _next(self) -> bool:
        """Take the next batch: the loop has sessions to serve between two. Where memory did not bear all, what is in the files goes
        first, and some of what was kept meanwhile may go twice. True: there may be more."""
        taken = self.spool.take(BATCH)
        self._behind = self._behind or taken is None
        if self._behind:
            await self._ship_own_files()
        if taken is not None and taken.lines:
            self._buffer = taken
        return taken is None or taken.more

    async def _ship_own_files(self) -> None:
        of_chain = _OfChain(self.spool.replica, self.spool.key)
        left = _entries(self.spool.lines_from(self.shipped + 1), self.shipped, of_chain)
        while batch := await asyncio.to_thread(lambda: list(islice(left, BATCH))):
            await self._store.append(together(batch))
            self.shipped = batch[-1].seq
        self._behind = False

    async def _ship_on(self) -> None:
        while True:
            try:
                await self.ship()
                await asyncio.sleep(SHIP_EVERY)
            except StoreUnavailable as error:
                _log.warning(
                    "audit.not_shipped", replica=self.spool.replica, confirmed=self.shipped, error=error.message
                )
                await asyncio.sleep(RETRY_AFTER)

    async def _checkpoint_on(self) -> None:
        while True:
            await self.checkpoint()
            await asyncio.sleep(CHECKPOINT_EVERY)

    async def _look_back_until_done(self) -> None:
        while not self._picked_up:
            await self.look_back()
            if not self._picked_up:
                await asyncio.sleep(CHECKPOINT_EVERY)


# Reading what others left


class _OfChain:
    """What is believed of a chain's files: lines that were sealed, and for this chain. The rest is left to `verify` to complain of."""

    def __init__(self, replica: str, key: bytes) -> None:
        self.replica = replica
        self._sealed = keyed(key)

    def entry(self, line: str) -> Entry | None:
        """The entry of a line; None for what is none of this chain's."""
        found = sealed_entry(self._sealed, line)
        return found if found is not None and found.replica == self.replica else None


def _entries(found: Iterable[tuple[str, bool]], after: int, of_chain: _OfChain) -> Iterator[Entry]:
    """The whole entries of these lines with seq > after."""
    for line, whole in found:
        entry = of_chain.entry(line) if whole else None
        if entry is not None and entry.seq > after:
            yield entry


def _confirmed(files: list[Path], of_chain: _OfChain) -> tuple[int, list[Path]]:
    """How far the store had confirmed a chain by its newest checkpoint that says so, and the files from there on."""
    for newest in range(len(files) - 1, -1, -1):
        marks = [_shipped_mark(of_chain.entry(line)) for line, _ in lines([files[newest]]) if _CHECKPOINT in line]
        if any(marks):
            first = newest
            while first and not _begins_by(files[first], max(marks), of_chain):
                first -= 1
            return max(marks), files[first:]
    return 0, files


_CHECKPOINT = '"kind":"checkpoint"'


def _begins_by(file: Path, seq: int, of_chain: _OfChain) -> bool:
    """Is the first line of the file an entry up to `seq`?"""
    line, _ = next(lines([file]), ("", False))
    entry = of_chain.entry(line)
    return entry is not None and entry.seq <= seq


def _shipped_mark(entry: Entry | None) -> int:
    mark = entry.body.get("shipped") if entry else None
    return mark if isinstance(mark, int) else 0


def _unrecorded_tear(directory: Path, files: list[Path], of_chain: _OfChain) -> dict[str, Value] | None:
    """The last whole entry before a torn line at a chain's end, unless some chain of this directory has recorded it."""
    last: Entry | None = None
    torn = False
    for line, whole in lines(files):
        torn = not whole
        last = (of_chain.entry(line) if whole else None) or last
    if not torn or last is None:
        return None
    for others in spooled(directory).values():
        if any('"kind":"spool_torn"' in line and f'"{last.replica}"' in line for line, _ in lines(others)):
            return None
    return {"replica": last.replica, "seq": last.seq, "hash": last.hash}


# Verifying


def logged_checkpoints(log: Iterable[str]) -> list[tuple[str, int, str, str]]:
    """The checkpoints among the lines of a JSON log (event audit.checkpoint); other lines are skipped."""
    found = []
    for line in log:
        with contextlib.suppress(*NO_JSON):
            match json.loads(line):
                case {
                    "event": "audit.checkpoint",
                    "replica": str(replica),
                    "seq": int(seq),
                    "head": str(head),
                    "signed": str(signature),
                }:
                    found.append((replica, seq, head, signature))
    return found


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One chain: its last seq in the store and in the spool (None: not looked at there), and what is wrong with it."""

    replica: str
    in_store: int | None
    in_spool: int | None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` saw. `ok` only if every chain is whole and there is at least one."""

    chains: tuple[ChainReport, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for chain in self.chains for finding in chain.findings)

    @property
    def ok(self) -> bool:
        return bool(self.chains) and not self.findings


@dataclass(slots=True)
class _Seen:
    """Everything read, before it is compared. `forged`: checkpoint rows whose signature is not ours. `odd`: what is no file."""

    store: dict[str, ChainCheck] = field(default_factory=dict)
    spool: dict[str, ChainCheck] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    anchors: dict[str, list[Anchor]] = field(default_factory=dict)
    forged: list[Finding] = field(default_factory=list)
    odd: list[Finding] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    torn: set[tuple[str, int]] = field(default_factory=set)


#: What a copy that is behind can look like for a moment while gateways are writing.
_PASSING = frozenset({Wrong.DISAGREE, Wrong.MISSING, Wrong.TORN, Wrong.CUT})


async def verify(
    store: Store | None,
    directory: Path | None,
    key: bytes,
    *,
    host: str = "",
    logged: Sequence[tuple[str, int, str, str]] = (),
    grace: float = GRACE,
) -> Report:
    """Verify all chains of the store and of a spool directory against each other and against every checkpoint.

    `host`: this machine's name as replicas carry it; chains of it, and of every host that has a file in `directory`,
    must be in the spool. `logged`: (replica, seq, head, signature) of checkpoints from the log output, see
    `logged_checkpoints`. `grace`: seconds to wait once for shippers at work, if something looks behind.
    Raises StoreUnavailable, OSError when the directory can't be read.
    """
    report = await _verify_once(store, directory, key, host, logged)
    if grace and report.findings and {finding.wrong for finding in report.findings} <= _PASSING:
        await asyncio.sleep(grace)
        report = await _verify_once(store, directory, key, host, logged)
    return report


async def _verify_once(
    store: Store | None, directory: Path | None, key: bytes, host: str, logged: Sequence[tuple[str, int, str, str]]
) -> Report:
    """The spool is read first, then the store: what the spool's checkpoints vouch for must be in the store by then."""
    seen = _Seen(hosts={host} if host and directory else set())
    _trust_signed(seen, logged, key, "log output")
    if directory is not None:
        await _read_spool(seen, directory, key)
    if store is not None:
        await _read_store(seen, store, key)
    if store is not None and directory is not None:
        await _read_on(seen, directory, key)
    _gather_anchors(seen)
    names = sorted({*seen.store, *seen.spool, *seen.anchors, *seen.silent, *(each.replica for each in seen.odd)})
    return Report(tuple(_compare(seen, name, key, store is not None, directory) for name in names))


async def _read_spool(seen: _Seen, directory: Path, key: bytes) -> None:
    for replica, odd in (await asyncio.to_thread(strangers, directory)).items():
        text = f"{', '.join(path.name for path in odd)} is no file, but named like one of this chain: it was not read"
        seen.odd.append(Finding(replica, 0, Wrong.UNREADABLE, text, "spool"))
    for replica, files in (await asyncio.to_thread(spooled, directory)).items():
        seen.spool[replica] = await asyncio.to_thread(_check_files, replica, files, key)
        seen.hosts.add(_host(replica))


async def _read_on(seen: _Seen, directory: Path, key: bytes) -> None:
    """Chains that were written on while the store was read: read their files again, vouching for no more than before."""
    for replica, files in (await asyncio.to_thread(spooled, directory)).items():
        before, there = seen.spool.get(replica), seen.store.get(replica)
        if there is not None and there.last > (before.last if before else 0):
            again = await asyncio.to_thread(_check_files, replica, files, key)
            again.vouched = before.vouched if before else []
            seen.spool[replica] = again


def _check_files(replica: str, files: list[Path], key: bytes) -> ChainCheck:
    check = ChainCheck(key, replica, "spool")
    for line, whole in lines(files):
        if not whole:
            check.torn_line()
            continue
        try:
            body = json.loads(line)
        except NO_JSON:
            check.unreadable()
        else:
            check.see(body, line) if isinstance(body, dict) else check.unreadable()
    check.end()
    return check


async def _read_store(seen: _Seen, store: Store, key: bytes) -> None:
    """Checkpoint rows before heads, heads before entries: so neither can be ahead of the entries read."""
    _trust_signed(seen, await store.checkpoints(), key, "store")
    seen.silent = await store.lapsed(SILENT)
    for replica, last, head in await store.heads():
        check = seen.store[replica] = await _check_rows(replica, last, store, key)
        check.hold_against([Anchor(replica, last, head, "its own newest row")])


def _trust_signed(seen: _Seen, rows: Sequence[tuple[str, int, str, str]], key: bytes, where: str) -> None:
    for replica, seq, head, signature in rows:
        anchors = seen.anchors.setdefault(replica, [])
        if checkpoint_holds(key, replica, seq, head, signature):
            anchors.append(Anchor(replica, seq, head, f"a signed checkpoint ({where})"))
        else:
            text = "a checkpoint bears a signature that is not ours"
            seen.forged.append(Finding(replica, seq, Wrong.FORGED, text, where))


async def _check_rows(replica: str, last: int, store: Store, key: bytes) -> ChainCheck:
    """Page through a chain up to its head; what was written since may vouch for nothing, it came after the other chains."""
    check = ChainCheck(key, replica, "store")
    after = 0
    misfiled: set[int] = set()
    while after < last and len(check.findings) + len(misfiled) < ENOUGH_FINDINGS:
        rows = await _page(check, store, replica, after)
        if rows == []:
            break
        misfiled.update(await store.altered(replica, after, len(rows) if rows else 1))
        for row in rows or ():
            seq = row.get("seq")
            vouched = len(check.vouched)
            check.see(row)
            if isinstance(seq, int) and seq > last:
                del check.vouched[vouched:]
        final = rows[-1].get("seq") if rows else None
        after = max(after + (len(rows) if rows else 1), final if isinstance(final, int) else 0)
    check.end()
    for seq in sorted(misfiled):
        check.misfiled(seq)
    return check


async def _page(check: ChainCheck, store: Store, replica: str, after: int) -> list[Mapping[str, Value]] | None:
    """The next rows. Where one of them is no JSON any more, what can be read before it, else None: that is a finding."""
    limit = BATCH
    while limit:
        try:
            return await store.chain(replica, after, limit)
        except NO_JSON:
            limit //= 2
    check.unreadable()
    return None


def _gather_anchors(seen: _Seen) -> None:
    """Collect what all checkpoint entries vouch for."""
    for check in (*seen.spool.values(), *seen.store.values()):
        seen.torn |= check.torn
        for anchor in check.vouched:
            seen.anchors.setdefault(anchor.replica, []).append(anchor)


def _compare(seen: _Seen, replica: str, key: bytes, with_store: bool, directory: Path | None) -> ChainReport:
    """Hold the two copies of one chain against each other and against what others vouch for."""
    here = directory is not None and (replica in seen.spool or _host(replica) in seen.hosts or not seen.spool)
    store = seen.store.get(replica) or ChainCheck(key, replica, "store")
    spool = seen.spool.get(replica) or ChainCheck(key, replica, "spool")
    findings = [finding for finding in (*seen.forged, *seen.odd) if finding.replica == replica]
    anchors = seen.anchors.get(replica, [])
    if with_store:
        store.hold_against([*anchors, *spool.vouch(max(spool.shipped, store.shipped), "the spool, as stored,")])
        findings += store.findings or (_behind(store, spool) if here else [])
    if here:
        newest = max(store.hashes, default=0)
        spool.hold_against([*anchors, *store.vouch(newest, "the store")])
        findings += [_looked_in(directory, finding) for finding in spool.findings if not _recorded(finding, seen)]
    if replica in seen.silent and not (store.count or spool.count or findings):
        text = "the whole chain is gone: this process reported to the store, and no entry of it is anywhere"
        findings.append(_looked_in(directory, Finding(replica, 0, Wrong.GONE, text)))
    return ChainReport(
        replica,
        store.last if with_store else None,
        spool.last if here else None,
        tuple(findings),
        tuple(str(finding) for finding in spool.findings if _recorded(finding, seen)),
    )


def _looked_in(directory: Path | None, finding: Finding) -> Finding:
    """Of a chain that is gone: where it was looked for. It is lost here until somebody has found it elsewhere."""
    if finding.wrong is not Wrong.GONE or directory is None:
        return finding
    where = (
        f"nothing of it is in {directory.absolute()}. If its gateway ran with another HOOP_SPOOL, or on another host, it may be "
        "there: verify with that directory (--spool)"
    )
    return replace(finding, text=f"{finding.text}; {where}")


def _behind(store: ChainCheck, spool: ChainCheck) -> list[Finding]:
    """The store lacks entries that it never confirmed."""
    if store.last >= spool.last:
        return []
    text = (
        f"ends at #{store.last} and the spool at #{spool.last}: the rest was not shipped yet "
        "(start a gateway with this spool), or it was cut off"
    )
    return [Finding(store.replica, store.last + 1, Wrong.DISAGREE, text, "store")]


def _recorded(finding: Finding, seen: _Seen) -> bool:
    """True for a torn line that a later process found and recorded in its own chain."""
    return finding.wrong is Wrong.TORN and (finding.replica, finding.seq - 1) in seen.torn


def _host(replica: str) -> str:
    """The host of host:start:worker."""
    return replica.rsplit(":", 2)[0]
