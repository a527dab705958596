"""The keyed chain: how an entry is sealed to the one before it, and what is wrong with a chain that was touched. Pure.

hash = HMAC-SHA-256(key, prev || canonical entry without its hash), hex. The first `prev` is bound to the replica's name,
so that a chain can't pass for another one. Without the key nobody can make a hash that fits; what can still be done
without it is to take away: the end of a chain or a whole chain. Against that stand anchors: signed checkpoints, and the
heads of other chains that each checkpoint entry names.

What lives here: values in, findings out. Reading spool and store is in log.py.
"""

import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.audit.entry import NO_JSON, Entry, Value, canonical

#: Bytes -> their HMAC-SHA-256 in hex.
Keyed = Callable[[bytes], str]

_HEX = re.compile(r"[0-9a-f]{64}")
#: How each canonical line begins and ends (entry.FIELDS): of one that is sealed this is all that has to be read.
_SEALED_START = re.compile(r'\{"seq":(\d+),"replica":("(?:[^"\\]|\\.)*"),"at":"[^"]*","kind":"(\w+)"')
_HASH, _TEXT, _PREV = (
    66,
    75,
    140,
)  # from the line's end: where the hash begins, where the text ended, where `prev` begins
_unquoted = lru_cache(maxsize=64)(json.loads)


class Wrong(Enum):
    """What can be wrong with a chain."""

    UNREADABLE = "unreadable"
    EDITED = "edited"
    REHASHED = "hashed with another key"
    RENUMBERED = "renumbered"
    OUT_OF_ORDER = "out of order"
    REPEATED = "repeated"
    MISSING = "missing"
    UNLINKED = "not linked to the entry before it"
    CUT = "cut off"
    GONE = "chain gone"
    CONTRADICTED = "not what was vouched for"
    FORGED = "forged checkpoint"
    DISAGREE = "spool and store disagree"
    TORN = "torn line"
    MISFILED = "columns differ from the text"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `seq` is the first entry it is about (0: the chain as a whole); `where`: spool or store."""

    replica: str
    seq: int
    wrong: Wrong
    text: str
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.replica} #{self.seq}" if self.seq else self.replica
        return f"{place}{f' ({self.where})' if self.where else ''}: {self.text}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Someone (`by`, in words) vouches that entry `seq` of `replica` has this hash."""

    replica: str
    seq: int
    hash: str
    by: str


def genesis(key: bytes, replica: str) -> str:
    """The `prev` of a chain's first entry: bound to key and replica. No entry's message starts like this one's."""
    return hmac.digest(key, b"hoop audit genesis\0" + replica.encode(), "sha256").hex()


def keyed(key: bytes) -> Keyed:
    """What seals under this key. The key is worked in once, which is half of what `hmac.digest` costs."""
    fresh = HMAC(key, SHA256())

    def sealed(message: bytes) -> str:
        one = fresh.copy()
        one.update(message)
        return one.finalize().hex()

    return sealed


def seal(key: bytes, prev: str, body: Mapping[str, Value]) -> Entry:
    """Link `body` (without `prev` and `hash`) behind `prev`. Raises ValueError or TypeError as `canonical` does."""
    return link(keyed(key), prev, body)


def link(sealed: Keyed, prev: str, body: Mapping[str, Value]) -> Entry:
    """As `seal`, where the key was worked in before."""
    text = canonical({**body, "prev": prev})
    digest = sealed((prev + text).encode())
    seq = int(body["seq"])  # type: ignore[arg-type]  # a body without a number here is a programming error
    return Entry(str(body["replica"]), seq, str(body["kind"]), digest, f'{text[:-1]},"hash":"{digest}"}}')


def sign_checkpoint(key: bytes, replica: str, seq: int, head: str) -> str:
    """The signature (hex) over "the chain of `replica` stood at `seq` with this hash"."""
    return hmac.digest(key, f"hoop audit checkpoint\0{replica}\0{seq}\0{head}".encode(), "sha256").hex()


def checkpoint_holds(key: bytes, replica: str, seq: int, head: str, signature: str) -> bool:
    """True if the signature is ours."""
    return hmac.compare_digest(sign_checkpoint(key, replica, seq, head).encode(), signature.encode())


def is_sealed(sealed: Keyed, line: str) -> bool:
    """True if this line is, character by character, an entry that was sealed under this key.

    Whether it stands where it belongs is not looked at. What is sealed is canonical: nothing else ever is.
    """
    if line[-_PREV - 8 : -_PREV] != '"prev":"' or line[-_TEXT - 1 : -_HASH] != '","hash":"' or line[-2:] != '"}':
        return False
    try:
        digest = sealed(f"{line[-_PREV : -_TEXT - 1]}{line[:-_TEXT]}}}".encode())
        return hmac.compare_digest(digest.encode(), line[-_HASH:-2].encode())
    except UnicodeEncodeError:  # bytes that were no UTF-8
        return False


def sealed_entry(sealed: Keyed, line: str) -> Entry | None:
    """The entry of a line that `is_sealed`, else None. Nothing of it is read but what stands first: a tenth of reading all."""
    found = _SEALED_START.match(line)
    if found is None or not is_sealed(sealed, line):
        return None
    seq, replica, kind = found.groups()
    return Entry(_unquoted(replica), int(seq), kind, line[-_HASH:-2], line)


def verify_chain(
    key: bytes, replica: str, entries: Iterable[Mapping[str, Value]], anchors: Iterable[Anchor] = ()
) -> list[Finding]:
    """Everything that is wrong with one chain, given in the order in which it is kept."""
    check = ChainCheck(key, replica)
    for body in entries:
        check.see(body)
    check.end()
    check.hold_against(anchors)
    return check.findings


@dataclass(slots=True)
class ChainCheck:
    """Verify one chain entry by entry: `see` each in the order kept, then `end`, then `hold_against` what others vouch for.

    `where`: spool or store. `last`: the newest seq seen. `shipped`: the highest seq that the chain itself says the store
    confirmed. `vouched`: what its checkpoints say of other chains. `torn`: (replica, seq) behind which a torn line was
    seen and recorded. `hashes`: of good entries by seq.
    """

    key: bytes
    replica: str
    where: str = ""
    count: int = 0
    last: int = 0
    shipped: int = 0
    vouched: list[Anchor] = field(default_factory=list)
    torn: set[tuple[str, int]] = field(default_factory=set)
    hashes: dict[int, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _head: str = ""
    _keyed: Keyed = field(init=False)
    _missing: set[int] = field(default_factory=set)
    _bad: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._head = genesis(self.key, self.replica)
        self._keyed = keyed(self.key)

    def see(self, body: Mapping[str, Value], line: str | None = None) -> None:
        """Take the next entry as it was kept, `hash` included; `line` is its text, from which it was read, where that is kept."""
        self.count += 1
        seq, prev, claimed = body.get("seq"), body.get("prev"), body.get("hash")
        if type(seq) is not int or not isinstance(prev, str) or not _is_hash(claimed):
            self.unreadable()
            return
        as_it_was = line is not None and body.get("replica") == self.replica and is_sealed(self._keyed, line)
        sealed = seq if as_it_was else self._sealed_as(body, seq, str(claimed))
        if sealed is None:
            self._distrust(seq, str(claimed))
            return
        self._end_run(at_end=False)
        if sealed != seq:
            self._find(seq, Wrong.RENUMBERED, f"renumbered: it was sealed as #{sealed}")
        elif line is not None and not as_it_was and line != canonical(body):
            self._find(seq, Wrong.EDITED, f"{_span(seq, seq)} edited: its line is not the canonical text")
        self._place(sealed, prev, str(claimed))
        self.hashes[sealed] = bytes.fromhex(str(claimed))
        if body.get("kind") in ("checkpoint", "spool_torn"):
            self._note_heads(body, sealed)

    def unreadable(self) -> None:
        """Take a line that is no JSON object, or no entry."""
        self._find(self.last + 1, Wrong.UNREADABLE, f"what stands behind #{self.last} can't be read as an audit entry")

    def misfiled(self, seq: int) -> None:
        """Take a row whose columns, by which the log is searched, are not what its text says."""
        self._find(seq, Wrong.MISFILED, "its columns were edited: searches show what its text does not say")

    def torn_line(self) -> None:
        """Take a last line without its end: a write that never finished (power loss, full disk), or a cut file."""
        self._find(self.last + 1, Wrong.TORN, f"a torn line stands behind #{self.last}")

    def end(self) -> None:
        """Close the chain: name what is missing, and what was written again up to the end."""
        self._end_run(at_end=True)
        for low, high in _runs(sorted(self._missing)):
            self._find(low, Wrong.MISSING, f"{_span(low, high)} taken out")

    def hold_against(self, anchors: Iterable[Anchor]) -> None:
        """Hold the chain, seen to its end, against what others vouch for."""
        beyond: Anchor | None = None
        for anchor in anchors:
            known = self.hashes.get(anchor.seq)
            if anchor.replica != self.replica:
                continue
            if anchor.seq > self.last:
                beyond = anchor if beyond is None or anchor.seq > beyond.seq else beyond
            elif known is not None and known.hex() != anchor.hash:
                text = f"its hash is not the one that {anchor.by} vouches for"
                self._find(anchor.seq, Wrong.CONTRADICTED, text)
        if beyond is not None and not self.count:
            self._find(0, Wrong.GONE, f"the whole chain is gone; {beyond.by} shows #{beyond.seq}")
        elif beyond is not None:
            text = f"ends at #{self.last}, but {beyond.by} shows #{beyond.seq}: its end was cut off"
            self._find(self.last + 1, Wrong.CUT, text)

    def vouch(self, seq: int, by: str) -> list[Anchor]:
        """Entry `seq` as an anchor for the other copy of this chain; none if it was not seen here."""
        return [Anchor(self.replica, seq, self.hashes[seq].hex(), by)] if seq in self.hashes else []

    def _find(self, seq: int, wrong: Wrong, text: str) -> None:
        self.findings.append(Finding(self.replica, seq, wrong, text, self.where))

    def _sealed_as(self, body: Mapping[str, Value], seq: int, claimed: str) -> int | None:
        """The number under which this entry was sealed: its own, or the one it had before it was renumbered; else None."""
        if body.get("replica") != self.replica:
            return None
        for number in dict.fromkeys((seq, self.last + 1, seq + 1, seq - 1)):
            if _digest(self.key, {**body, "seq": number}) == claimed:
                return number
        return None

    def _place(self, seq: int, prev: str, claimed: str) -> None:
        expected = self.last + 1
        if seq < expected and seq in self._missing:
            self._missing.discard(seq)
            self._find(seq, Wrong.OUT_OF_ORDER, f"stands out of order, behind #{self.last}")
        elif seq < expected:
            self._find(seq, Wrong.REPEATED, f"stands a second time, behind #{self.last}")
        else:
            if seq == expected and prev != self._head:
                self._find(seq, Wrong.UNLINKED, "is not linked to the entry before it")
            self._missing.update(range(expected, seq))
            self._missing.difference_update(self._bad)
            self.last, self._head = seq, claimed

    def _distrust(self, seq: int, claimed: str) -> None:
        """An entry whose hash is not ours: only where it stands is believed, and that only if it fits."""
        self._bad.append(seq)
        if seq == self.last + 1:
            self.last, self._head = seq, claimed

    def _end_run(self, *, at_end: bool) -> None:
        """Name a run of entries whose hashes are not ours. One that reaches the chain's end was hashed again."""
        run, self._bad = self._bad, []
        if not run:
            return
        low, high = min(run), max(run)
        if at_end and 1 < len(run) == self.count:
            text = "no entry was sealed with this key: another HOOP_AUDIT_KEY, or all was written again without it"
            self._find(low, Wrong.REHASHED, text)
        elif at_end and len(run) > 1:
            self._find(low, Wrong.REHASHED, f"{_span(low, high)} hashed again with another key")
        else:
            self._find(low, Wrong.EDITED, f"{_span(low, high)} edited")

    def _note_heads(self, body: Mapping[str, Value], seq: int) -> None:
        """Keep what a checkpoint entry vouches for, or which torn line was seen; its hash is ours, so its shapes are."""
        shipped, heads = body.get("shipped"), body.get("heads")
        self.shipped = max(self.shipped, shipped if isinstance(shipped, int) else 0)
        by = f"{body['kind']} entry {self.replica} #{seq}"
        for head in heads if isinstance(heads, list) else ():
            match head:
                case {"replica": str(replica), "seq": int(number), "hash": str(digest)}:
                    self.vouched.append(Anchor(replica, number, digest, by))
                    if body["kind"] == "spool_torn":
                        self.torn.add((replica, number))


def _digest(key: bytes, body: Mapping[str, Value]) -> str:
    """The hash this entry should have, "" when it has no canonical text (foreign fields, NaN, nested too deep)."""
    bare = {name: value for name, value in body.items() if name != "hash"}
    try:
        return hmac.digest(key, (str(body.get("prev")) + canonical(bare)).encode(), "sha256").hex()
    except (*NO_JSON, TypeError):
        return ""


def _is_hash(value: Value) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _span(low: int, high: int) -> str:
    return f"#{low} was" if low == high else f"#{low} to #{high} were"


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """[1, 2, 3, 7] -> [(1, 3), (7, 7)]; numbers ascending."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
