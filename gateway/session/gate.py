"""Who may write: the access mode of the target's session belongs to the gateway (enforcement.md, decision 4). Pure.

The session was started with default_transaction_read_only=on, so a statement that was taken for a read and writes fails on
the target (25006). What is allowed or released and may write goes through an open gate:

    autocommit:  SET ...=off | the client's bytes | SET ...=on      (one write; both answers are ours)
    a block:     BEGIN goes out as BEGIN READ WRITE, unless the client says READ ONLY

A SET is undone when its transaction is rolled back, so behind anything but a plain batch the gate counts as open until it
was closed in state I, and nothing is forwarded before. The client sees none of this: SHOW, SET and ParameterStatus of the
default work on its own wish. A wish for read-only is enforced (the gate stays closed), one for read-write gives nothing.

What must not live here: what may run (the verdicts), sockets, clocks.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.errors import TargetUnavailable
from gateway.session.replies import Batch, Execution, Reply
from gateway.sql.settings import becomes_utf8
from gateway.sql.statement import ALL, Control, Script, Statement, StatementClass
from gateway.wire.frontend import SYNC, bind, close, execute, message, parse

SETTING = "default_transaction_read_only"
OF_NOW = "transaction_read_only"
_HARMLESS = frozenset({StatementClass.READ, StatementClass.HOUSEKEEPING})
#: parse_bool's words (PostgreSQL takes every unambiguous beginning of them too).
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


#: The helpers' statement and portal. No client may use the name: what it gave it to would keep the gate from closing.
HELPER = "hoop_gate"


def _helper(*texts: str) -> bytes:
    """Under a name that lives for this one message group: a simple Query would drop the client's unnamed statement.

    What a helper that failed, or approved code, has left under the name is closed first.
    """
    forget = close("P", HELPER) + close("S", HELPER)
    group = (parse(HELPER, text) + bind(HELPER, HELPER) + execute(HELPER) + forget for text in texts)
    return forget + b"".join(group) + SYNC


OPEN, CLOSE = (_helper(f"SET {SETTING} = {value}") for value in ("off", "on"))


def _answer(value: str, *, reported: bool) -> bytes:
    """What the target says to OPEN or CLOSE outside a block, if nothing is in its way."""
    gone = message(b"3", b"") * 2
    status = message(b"S", f"{SETTING}\0{value}\0".encode()) if reported else b""
    return (
        gone + message(b"1", b"") + message(b"2", b"") + message(b"C", b"SET\0") + gone + status + message(b"Z", b"I")
    )


#: By whether the target reports the setting: the answers to OPEN and to CLOSE.
_ANSWERS = {each: (_answer("off", reported=each), _answer("on", reported=each)) for each in (True, False)}
#: Round user code that only reads as far as its source shows (tier 2); outside a transaction block both fail, and the
#: session's default does it. The block's own mode is asked for, too: where the client wants only to read, 25006 is its answer.
GUARD = _helper("SHOW transaction_read_only", "SAVEPOINT hoop_guard", "SET TRANSACTION READ ONLY")
UNGUARD = _helper("RELEASE SAVEPOINT hoop_guard")


def undo(names: Iterable[str], *, in_block: bool) -> bytes:
    """What a try has left that failed inside the guard: its savepoint, and the names of statements."""
    dropped = b"".join(close("S", name) for name in names)
    return dropped + _helper(*(_BACK if in_block else ()))


_BACK = ("ROLLBACK TO SAVEPOINT hoop_guard", "RELEASE SAVEPOINT hoop_guard")

#: How often CLOSE is sent when it fails: a cancel may hit it once or twice.
TRIES = 10


#: What a block may end by, or be in doubt behind.
_LEAVES = frozenset({Control.COMMIT, Control.ROLLBACK, Control.PREPARE, Control.OTHER})
_ENDS = frozenset({Control.COMMIT, Control.ROLLBACK})


@dataclass(slots=True)
class Gate:
    """`opened`: the batch that goes on now runs through it. `unsure`: it may still be open behind what went before.

    `wish`: the client's own default_transaction_read_only.
    """

    wish: bool = False
    opened: bool = False
    unsure: bool = False
    _initial: bool = False  # the wish at login: RESET goes back to it
    _reported: bool = True
    openings: int = 0  # how often it was opened
    _failures: int = 0  # of CLOSE, in a row
    _told: bool = False
    _before: bool = False  # the wish when the transaction began
    _local: bool = False  # it was changed by SET LOCAL

    @classmethod
    def wishing(cls, *, wish: bool, reported: bool) -> "Gate":
        """At login: what the client asked for in its startup settings, and whether the target reports it (14 and later)."""
        return cls(wish, _initial=wish, _told=wish, _before=wish, _reported=reported)

    @property
    def answers(self) -> tuple[bytes, bytes]:
        """All that the target says to OPEN and to CLOSE outside a block, where both do what they are to."""
        return _ANSWERS[self._reported]

    @property
    def settled(self) -> bool:
        """Is it closed, and the client's wish what it was at login: no end of a transaction changes it?"""
        return not (self.opened or self.unsure or self.wish or self._before or self._local or self._told)

    @property
    def as_at_login(self) -> bool:
        """Is it closed, and has the client never wished to read only: RESET ALL changes nothing?"""
        return self.settled and not self._initial

    def needed(self, batch: Batch, status: str) -> bool:
        """Must it be opened before this batch? `status` "" where it isn't known.

        In a transaction block it would be too late, but for what comes behind its COMMIT in the same batch: the SET lasts with
        the block. Where that has failed, or is rolled back, it can't be opened.
        """
        if self.opened or self.unsure or status == "E":
            return False
        if status == "T":
            return not self.wish and _writes_behind_a_commit(batch)
        if _sets_default(batch):
            return True  # whatever it sets is set back behind it
        if self.wish:
            return False
        if not ends(batch):
            return True  # it goes on before its end is known, and nothing can be put in between later
        return _writes_outside_a_block(batch) or _begins_in_a_string(batch)

    def leaves(self, batch: Batch, *, alone: bool) -> bool:
        """The end of a batch that went through the open gate was sent. True: CLOSE may go right behind it.

        `alone`: see `synchronised`.
        """
        self.opened = False
        plain = alone and not batch.control and not any(each.statement.copies == "in" for each in _executions(batch))
        self.unsure = not plain
        return plain

    def open(self) -> None:
        """OPEN is on its way, in front of a batch."""
        self.opened = True
        self.openings += 1

    def closed(self, status: str, *, failed: bool, opening: int) -> None:
        """CLOSE was answered in this state: in a transaction block it may be undone yet, and it may have been cancelled.

        `opening`: which it was to close. If a later batch has opened it again, this tells nothing; that has its own end.
        Raises TargetUnavailable when it has failed time and again: then nothing more may go through this session.
        """
        if opening != self.openings:
            return
        self.unsure = failed or status != "I"
        self._failures = self._failures + 1 if failed and status == "I" else 0
        if self._failures >= TRIES:
            raise TargetUnavailable("the target does not take its session back to read-only")

    def reported(self, value: str) -> None:
        """The target says what its default is, and it was not a helper that set it."""
        self.unsure = self.unsure or (value != "on" and not self.opened)

    def ran(self, statement: Statement) -> None:
        """A statement of the client is over: was it about its own default?"""
        if statement.tag == "DISCARD ALL":
            self.wish = self._initial
        for name, value in statement.settings:
            if name.lower() in (SETTING, ALL):
                self.wish = self._initial if value is None else read_bool(value) is not False
                self._local = self._local or statement.local

    def status_is(self, status: str, *, rolled_back: bool) -> bytes | None:
        """ReadyForQuery. A wish falls back with its transaction; returns the ParameterStatus body that says it anew."""
        if status != "I":
            return None
        self.wish = self._before if rolled_back or self._local else self.wish
        self._before, self._local = self.wish, False
        if self.wish is self._told or not self._reported:
            return None
        self._told = self.wish
        return f"{SETTING}\0{word(self.wish)}\0".encode()


def may_write(statement: Statement) -> bool:
    """Is it anything beyond a read and housekeeping?"""
    return not statement.classes <= _HARMLESS


def guardable(batch: Batch) -> bool:
    """Can the batch be run read-only as a whole? Not beside a write, not round BEGIN or COMMIT, not before its end, and not
    beside a setting of the access mode, by set_config too (on servers before 16 that works even inside the savepoint)."""
    return (
        ends(batch)
        and synchronised(batch)
        and not batch.control
        and not any(may_write(each.statement) or _sets_mode(each.statement) for each in _executions(batch))
    )


def _sets_mode(statement: Statement) -> bool:
    return any(name.lower() in (SETTING, OF_NOW, ALL) for name, _ in statement.settings)


def synchronised(batch: Batch) -> bool:
    """Does it end in Sync, or is it one query string? After an error in what stands before a Query the target skips that
    too, up to the client's Sync; a helper's own Sync would end the skipping too early."""
    last = batch.parts[-1].reply if batch.parts else None
    return len(batch.parts) == 1 or (last is not None and last.kind == ord("S"))


def ends(batch: Batch) -> bool:
    """Does the batch end with what ReadyForQuery answers?"""
    last = batch.parts[-1].reply if batch.parts else None
    return last is not None and last.kind in b"SQF"


def _executions(batch: Batch) -> Iterator[Execution]:
    for part in batch.parts:
        if part.reply is not None and part.denied is None:
            yield from part.reply.executions


def _writes_behind_a_commit(batch: Batch) -> bool:
    """Also a block: in a string its BEGIN goes unchanged."""
    behind = itertools.dropwhile(lambda each: each.statement.control is not Control.COMMIT, _executions(batch))
    return any(each.statement.control is Control.BEGIN or may_write(each.statement) for each in behind)


def _writes_outside_a_block(batch: Batch) -> bool:
    """A BEGIN in a message of its own, before anything else of its transaction, goes as one of a block that may write (`rewritten`): what
    stands behind it needs no open gate, as JDBC sends it. Only the block's end may be followed by what does."""
    inside, fresh = False, True
    for reply in (each.reply for each in batch.parts if each.reply is not None and each.denied is None):
        fresh = fresh and _takes_no_snapshot(reply)
        for each in reply.executions:
            control = each.statement.control
            if control is Control.BEGIN:
                inside = inside or (fresh and _says_how_it_writes(reply, each.statement))
            elif control in _LEAVES:
                inside = False
                fresh = control in _ENDS and not each.statement.chain
            elif may_write(each.statement) and not inside:
                return True
    return False


def _takes_no_snapshot(reply: Reply) -> bool:
    """Does the target take it without one? Behind the first of a transaction BEGIN READ WRITE fails in it (25001), be it that of a Parse."""
    meant = reply.change.value if reply.change else reply.prepared or reply.portal
    statements = [each.statement for each in reply.executions] or (meant.script.statements if meant else ())
    if reply.kind in b"PBD":
        return bool(statements) and all(each.control is not None for each in statements)
    return all(each.control is not None for each in statements)


def _says_how_it_writes(reply: Reply, begin: Statement) -> bool:
    """Is it one that was rewritten, or that says itself whether it may? One that was parsed under another wish takes the default."""
    prepared = reply.portal.prepared if reply.portal else None
    return OF_NOW in dict(begin.settings) or prepared is None or prepared.shown != prepared.sql


def _begins_in_a_string(batch: Batch) -> bool:
    """A query string of several statements goes unchanged: its BEGIN takes the session's default."""
    return any(
        each.statement.control is Control.BEGIN and part.reply is not None and len(part.reply.executions) > 1
        for part in batch.parts
        for each in (part.reply.executions if part.reply else ())
    )


def _sets_default(batch: Batch) -> bool:
    """It sets the session's own default in a text that was not rewritten: with other things."""
    return any(
        any(name.lower() == SETTING for name, _ in each.statement.settings)
        and (len(each.statement.settings) > 1 or len(part.reply.executions) > 1)
        for part in batch.parts
        if part.reply is not None
        for each in part.reply.executions
    )


def read_bool(value: str) -> bool | None:
    """PostgreSQL's parse_bool; None for what it refuses."""
    text = value.strip().lower()
    found = {meant for word, meant in _WORDS.items() if text and word.startswith(text)} if text != "o" else set()
    return found.pop() if len(found) == 1 else None


def rewritten(script: Script, *, wish: bool) -> str | None:
    """The text that goes to the target in the place of a single statement about the access mode; None: as it is.

    SET client_encoding = SQL_ASCII is another that goes otherwise than it was written: as at startup it becomes UTF8. So is a
    string of transaction control alone, `COMMIT; BEGIN`: inside a block the gate can't be opened for its BEGIN.
    """
    if len(script.statements) != 1:
        texts = [_rewritten(each, wish=wish) for each in script.statements]
        if not any(texts) or any(each.control is None or may_write(each) for each in script.statements):
            return None  # what people are asked about goes as it was written
        # A statement may end in a comment that goes to the end of its line.
        return "\n;".join(text or each.sql for text, each in zip(texts, script.statements, strict=True))
    return _rewritten(script.statements[0], wish=wish)


def _rewritten(statement: Statement, *, wish: bool) -> str | None:
    settings = dict(statement.settings)
    if statement.control is Control.BEGIN and not wish and OF_NOW not in settings:
        return _begin(statement.tag, settings)
    if statement.tag in ("SET", "RESET") and [*settings] == [SETTING]:
        return _wish(statement, settings[SETTING])
    if statement.tag == "SET" and becomes_utf8(settings):
        return f"SET {'LOCAL ' if statement.local else ''}client_encoding = UTF8"
    return None


def _begin(tag: str, settings: dict[str, str | None]) -> str:
    modes = ["READ WRITE"]
    if level := settings.get("transaction_isolation"):
        modes.append(f"ISOLATION LEVEL {level.upper()}")
    if deferrable := settings.get("transaction_deferrable"):
        modes.append("DEFERRABLE" if deferrable == "on" else "NOT DEFERRABLE")
    return f"{tag} {', '.join(modes)}"


def _wish(statement: Statement, value: str | None) -> str | None:
    """The same command on a setting that means nothing to the target: same tag, and it falls back in the same way."""
    if value is not None and read_bool(value) is None:
        return None  # the target's own error
    if statement.tag == "RESET":
        return f"RESET hoop.{SETTING}"
    local = "LOCAL " if statement.local else ""
    return f"SET {local}hoop.{SETTING} = {'DEFAULT' if value is None else word(read_bool(value))}"


def word(value: bool | None) -> str:
    """As PostgreSQL shows it."""
    return "on" if value else "off"
