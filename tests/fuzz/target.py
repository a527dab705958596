"""A PostgreSQL of few words, for fuzzing the session: names, transactions, access mode and COPY as the real one has them; SQL
is known by its first word.

It answers what it is sent and notes each text that it runs (`ran`), so that somebody else can say whether that was allowed.
What must not live here: what may run. Where it differs from a real server, the differential tests are right.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from gateway.session.gate import HELPER
from gateway.wire.backend import error_response
from gateway.wire.frontend import message

SETTING = "default_transaction_read_only"
CARD = "4111111111111111"
_TEXT, _INT4, _INT8, _UNHEARD_OF = 25, 23, 20, 99999
_BINARY = struct.pack("!q", int(CARD))  # as int8
#: Columns of the session's catalog: (table's OID, attnum, type's OID).
_COLUMNS = {
    "card_number": (16400, 3, _TEXT),
    "name": (16400, 2, _TEXT),
    "customer": (16500, 2, _TEXT),
    "id": (16500, 1, _INT8),
    "x": (0, 0, _TEXT),
}
#: What a DO that says "rename" makes of every name.
BEHIND = "DELETE FROM customers WHERE id = 999"
_READS = frozenset({"SELECT", "TABLE", "VALUES", "SHOW", "EXPLAIN", "FETCH", "MOVE", "COPY"})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "TRUNCATE", "CREATE", "DROP", "ALTER"})
_OTHER_TEXT = (
    "BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE SET RESET PREPARE EXECUTE DEALLOCATE DECLARE CLOSE"
    " DISCARD DO CALL LOCK WITH VACUUM FROBNICATE UNLISTEN"
)
_OTHER = frozenset(_OTHER_TEXT.split())
_WORDS = _READS | _WRITES | _OTHER
_ENDING = frozenset({"COMMIT", "END", "ROLLBACK", "ABORT"})


class Refused(Exception):
    """The target says ERROR: SQLSTATE, and the routine that it comes from."""

    def __init__(self, sqlstate: str, routine: str = "") -> None:
        super().__init__(sqlstate)
        self.sqlstate, self.routine = sqlstate, routine


class Broken(Exception):
    """The target says FATAL and hangs up: it was sent what it can't go on from."""


@dataclass(frozen=True, slots=True)
class Statement:
    """`shown` is its text in pg_prepared_statements."""

    text: str
    by_sql: bool
    shown: str


@dataclass(slots=True)
class Portal:
    text: str
    shown: str
    rows: int = 0
    done: bool = False
    begun: bool = False
    held: bool = False  # WITH HOLD


@dataclass(frozen=True, slots=True)
class Save:
    name: str
    read_only: bool
    default: bool


@lru_cache(maxsize=20_000)
def statements(text: str) -> tuple[str, ...] | None:
    """The statements of a text, each with its first word first; None where it can't be read."""
    found = tuple(each.strip() for each in text.split(";") if each.strip())
    return found if all(word(each) in _WORDS for each in found) else None


def word(text: str) -> str:
    """The first word, in capitals. A comment before it is skipped."""
    while text.startswith("/*"):
        text = text.partition("*/")[2].lstrip()
    return text.replace("(", " ", 1).split(None, 1)[0].upper() if text.strip() else ""


@dataclass(slots=True)
class Target:
    """`take` bytes, get answers. `default` is default_transaction_read_only, as a session of the gateway begins.

    `odd`: what it answers to reads of the client's varies by it: no rows, one that has to be masked, parameters of any types.
    """

    status: str = "I"
    odd: Random | None = None
    default: bool = True
    path: str = "public"
    statements: dict[str, "Statement"] = field(default_factory=dict)
    portals: dict[str, Portal] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    types: set[int] = field(default_factory=set)  # of all messages that came
    over: bool = False
    skipping: bool = False
    copying: bool = False
    _simple: list[str] = field(default_factory=list)  # what follows the COPY of a query string
    _string: bool = False  # the COPY is one of a query string
    _begun: bool = False  # an implicit transaction
    _read_only: bool = True
    _told: bool = True  # the default that was reported last
    _before: tuple[bool, str] = (True, "public")
    _saves: list[Save] = field(default_factory=list)
    _out: list[bytes] = field(default_factory=list)
    _rest: bytes = b""
    _source: str = ""  # the query string that runs

    def take(self, data: bytes) -> bytes:
        """Whole and half messages; what is answered to them so far."""
        data, at, self._out = self._rest + data, 0, []
        while not self.over and len(data) - at >= 5:
            kind, length = struct.unpack_from("!cI", data, at)
            if at + 1 + length > len(data):
                break
            self.types.add(kind[0])
            self._message(kind.decode("latin-1"), data[at + 5 : at + 1 + length])
            at += 1 + length
        self._rest = data[at:]
        return b"".join(self._out)

    def _say(self, kind: str, body: bytes = b"") -> None:
        self._out.append(message(kind.encode(), body))

    # --- messages -----------------------------------------------------------------------------------------------------

    def _message(self, kind: str, body: bytes) -> None:
        if kind == "X":
            self.over = True
        elif self.copying:
            self._in_copy(kind, body)
        elif kind == "S":
            self._sync()
        elif self.skipping or kind in "Hdcf":
            return
        else:
            try:
                _MESSAGES[kind](self, body)
            except Refused as refusal:
                self._refuse(refusal, simple=kind in "QF")
            except (Broken, KeyError):
                self._hang_up()

    def _hang_up(self) -> None:
        self.over = True
        self._out.append(error_response("08P01", "unexpected message", severity="FATAL"))

    def _refuse(self, refusal: Refused, *, simple: bool) -> None:
        body = b"SERROR\0VERROR\0C%b\0Mno (%b)\0R%b\0\0" % (
            refusal.sqlstate.encode(),
            refusal.sqlstate.encode(),
            refusal.routine.encode(),
        )
        self._say("E", body)
        self._fail()
        self._simple = []
        if simple:
            self._ready()
        else:
            self.skipping = True

    def _ready(self) -> None:
        if self.status == "I" and self._begun:
            self._end(commit=True)
        if self.default is not self._told:
            self._told = self.default
            self._say("S", SETTING.encode() + b"\0" + (b"on" if self.default else b"off") + b"\0")
        self._say("Z", self.status.encode())

    def _sync(self) -> None:
        self.skipping = False
        self._ready()

    def _in_copy(self, kind: str, body: bytes) -> None:
        if kind in "dSH":
            return
        self.copying = False
        if kind not in "cf":
            self._hang_up()
            return
        try:
            if kind == "f":
                raise Refused("57014")
            self._say("C", b"COPY 1\0")
            if self._string:
                self._string_of(self._simple)
        except Refused as refusal:
            self._refuse(refusal, simple=self._string)

    def _query(self, body: bytes) -> None:
        self.statements.pop("", None)
        self.portals.pop("", None)
        found = statements(_decoded(body[:-1]))
        if found is None:
            raise Refused("42601", "scanner_yyerror")
        if not found:
            self._say("I")
            self._ready()
            return
        self._source = _decoded(body[:-1])
        self._string_of([*found])

    def _string_of(self, found: list[str]) -> None:
        while found:
            text = found.pop(0)
            tag = self._run(text)
            if tag is None:
                self._simple, self._string = found, True
                return
            self._say("C", tag)
        self._ready()

    def _parse(self, body: bytes) -> None:
        name, text = (_decoded(each) for each in body.split(b"\0", 2)[:2])
        if not name:
            self.statements.pop("", None)
        found = statements(text)
        if found is None:
            raise Refused("42601", "scanner_yyerror")
        if len(found) > 1:
            raise Refused("42601", "exec_parse_message")
        self._awake(found[0] if found else "")
        if name and name in self.statements:
            raise Refused("42P05")
        self.statements[name] = Statement(text, by_sql=False, shown=text)
        self._say("1")

    def _bind(self, body: bytes) -> None:
        portal, name = (_decoded(each) for each in body.split(b"\0", 2)[:2])
        if name not in self.statements:
            raise Refused("26000")
        text = self.statements[name].text
        self._awake(text)
        if portal and portal in self.portals:
            raise Refused("42P03")
        self.portals[portal] = Portal(text, text, self._count(text))
        self._say("2")

    def _describe(self, body: bytes) -> None:
        name = _decoded(body[1:-1])
        if body[:1] == b"S":
            if name not in self.statements:
                raise Refused("26000")
            text = self.statements[name].text
            self._awake(text)
            self._say("t", self._parameters())
        else:
            if name not in self.portals:
                raise Refused("34000")
            text = self.portals[name].text
            self._awake(text)
        self._describe_rows(text)

    def _describe_rows(self, text: str) -> None:
        if _returns(text):
            self._say("T", self._columns(text))
        else:
            self._say("n")

    def _close(self, body: bytes) -> None:
        name = _decoded(body[1:-1])
        if body[:1] == b"S":
            self.statements.pop(name, None)
        else:
            self.portals.pop(name, None)
        self._say("3")

    def _execute(self, body: bytes) -> None:
        name, limit = _decoded(body[:-5]), int.from_bytes(body[-4:], "big", signed=True)
        portal = self.portals.get(name)
        if portal is None:
            raise Refused("34000")
        self._awake(portal.text)
        self._source = portal.text
        found = statements(portal.text)
        if not found:
            self._say("I")
            return
        text = found[0]
        if portal.done and not _returns(text):
            raise Refused("55000")
        if not _returns(text):
            portal.done = True
            tag = self._run(text, ours=name == HELPER)
            if tag is None:
                self._string = False
            else:
                self._say("C", tag)
            return
        if not portal.begun:
            portal.begun = True
            self._run(text, rows=False)
        given = portal.rows if limit <= 0 else min(limit, portal.rows)
        for _ in range(given):
            self._say("D", _row(self._value(text)))
        portal.rows -= given
        if portal.rows and limit > 0:
            self._say("s")
        else:
            portal.done = True
            self._say("C", b"SELECT %d\0" % given)

    def _call(self, body: bytes) -> None:
        self.ran.append(f"FunctionCall of {int.from_bytes(body[:4], 'big')}")
        raise Refused("42883")

    # --- SQL ----------------------------------------------------------------------------------------------------------

    def _awake(self, text: str) -> None:
        """In an aborted transaction only its end may be named."""
        if self.status == "E" and word(text) not in _ENDING:
            raise Refused("25P02")
        self._start()

    def _start(self) -> None:
        if self.status == "I" and not self._begun:
            self._begun, self._read_only, self._before = True, self.default, (self.default, self.path)

    def _run(self, text: str, *, ours: bool = False, rows: bool = True) -> bytes | None:
        """Run one statement; its tag, or None where it waits for the data of a COPY. `ours`: a helper of the gateway's."""
        self._awake(text)
        first = word(text)
        if not ours:
            self.ran.append(text)
        if self._read_only and _writes(text):
            raise Refused("25006")
        if "boom" in text:
            raise Refused("22012")
        if first == "FETCH" and text.rsplit(maxsplit=1)[-1] not in self.portals:
            raise Refused("34000")
        if first in _COMMANDS:
            return _COMMANDS[first](self, text)
        if "INTO jobs" in text:
            self._do(text)  # its trigger
        if first == "COPY" and "STDIN" in text:
            self.copying = True
            self._say("G", b"\0\0\0")
            return None
        if first == "COPY":
            self._say("H", b"\0\0\0")
            self._say("d", b"1\n")
            self._say("c")
            return b"COPY 1\0"
        if _returns(text) and rows:
            self._say("T", self._columns(text))
            for row in self._answer(text):
                self._say("D", row)
        return f"{first} 1\0".encode() if first not in ("INSERT",) else b"INSERT 0 1\0"

    def _answer(self, text: str) -> list[bytes]:
        if "search_path" in text:
            return [_row(self.path.encode())]
        if "transaction_isolation" in text:
            return [_row(b"read committed")]
        if "pg_prepared_statements" in text:
            rows = [
                _row(b"s", name.encode(), each.shown.encode(), b"true" if each.by_sql else b"false")
                for name, each in self.statements.items()
                if name
            ]
            return rows + [_row(b"p", name.encode(), each.shown.encode(), b"") for name, each in self.portals.items()]
        if "pg_class" in text:
            return [_row(b"public.customers", b"16400")]
        return [_row(self._value(text))] * self._count(text)

    def _count(self, text: str) -> int:
        none = self.odd is not None and not _asks(text) and self.odd.random() < 0.15
        return 0 if none else _rows(text)

    def _value(self, text: str) -> bytes:
        if self.odd is None or _asks(text):
            return b"1"
        return self.odd.choice((*[b"1"] * 6, CARD.encode(), _BINARY, b"", b"Ann"))

    def _columns(self, text: str) -> bytes:
        """One column with its origin. `odd`: a table may be another one by now."""
        name = _column(text)
        if self.odd is not None and not _asks(text) and self.odd.random() < 0.1:
            name = self.odd.choice((*_COLUMNS,))
        table, number, kind = _COLUMNS[name]
        return b"\0\1" + name.encode() + b"\0" + struct.pack("!IhIhih", table, number, kind, -1, -1, 0)

    def _parameters(self) -> bytes:
        types = self.odd.choices((_INT4, _TEXT, _UNHEARD_OF), k=self.odd.choice((0, 0, 0, 1, 2))) if self.odd else []
        return struct.pack("!H", len(types)) + b"".join(struct.pack("!I", each) for each in types)

    def _end(self, *, commit: bool) -> None:
        if not commit:
            self.default, self.path = self._before
        self._begun, self.status, self._saves = False, "I", []
        self.portals = {name: each for name, each in self.portals.items() if each.held and commit}

    def _fail(self) -> None:
        if self.status == "I":
            if self._begun:
                self._end(commit=False)
            self.portals = {name: each for name, each in self.portals.items() if each.held}
        else:
            self.status = "E"

    # --- commands -----------------------------------------------------------------------------------------------------

    def _begin(self, text: str) -> bytes:
        if self.status == "I":
            self.status, self._begun = "T", False
            words = text.upper()
            self._read_only = "READ ONLY" in words or (self._read_only and "READ WRITE" not in words)
        return b"BEGIN\0"

    def _commit(self, text: str) -> bytes:
        fine = self.status != "E"
        if self.status != "I":
            self._end(commit=fine)
        return b"COMMIT\0" if fine else b"ROLLBACK\0"

    def _rollback(self, text: str) -> bytes:
        words = text.split()
        if "TO" in [each.upper() for each in words]:
            self._back_to(words[-1])
        elif self.status != "I":
            self._end(commit=False)
        return b"ROLLBACK\0"

    def _back_to(self, name: str) -> None:
        at = self._save(name)
        self.status = "T"
        self._read_only, self.default = self._saves[at].read_only, self._saves[at].default
        del self._saves[at + 1 :]

    def _save(self, name: str) -> int:
        found = [at for at, each in enumerate(self._saves) if each.name == name]
        if self.status == "I":
            raise Refused("25P01")
        if not found:
            raise Refused("3B001")
        return found[-1]

    def _savepoint(self, text: str) -> bytes:
        if self.status == "I":
            raise Refused("25P01")
        self._saves.append(Save(text.rsplit(maxsplit=1)[-1], self._read_only, self.default))
        return b"SAVEPOINT\0"

    def _release(self, text: str) -> bytes:
        at = self._save(text.rsplit(maxsplit=1)[-1])
        self._read_only = self._saves[at].read_only
        del self._saves[at:]
        return b"RELEASE\0"

    def _set(self, text: str) -> bytes:
        words = text.upper()
        if "TRANSACTION READ ONLY" in words:
            self._read_only = True
        elif SETTING in text and "hoop." not in text:
            self.default = text.rstrip().endswith("on")
        elif "search_path" in text:
            self.path = text.rpartition("=")[2].strip()
        return b"SET\0"

    def _reset(self, text: str) -> bytes:
        self.path = "public"
        if text.upper().endswith("ALL"):
            self.default = True
        return b"RESET\0"

    def _unlisten(self, text: str) -> bytes:
        return b"UNLISTEN\0"

    def _prepare(self, text: str) -> bytes:
        name = _named(text)
        if name in self.statements:
            raise Refused("42P05")
        self.statements[name] = Statement(text.partition(" AS ")[2], by_sql=True, shown=self._source)
        return b"PREPARE\0"

    def _execute_sql(self, text: str) -> bytes:
        found = self.statements.get(_named(text))
        if found is None:
            raise Refused("26000")
        body = found.text
        self.ran.append(f"{text}: {body}")
        if self._read_only and _writes(body):
            raise Refused("25006")
        return f"{word(body)} 1\0".encode()

    def _deallocate(self, text: str) -> bytes:
        name = _named(text)
        if name.upper() == "ALL":
            self.statements.clear()
        elif self.statements.pop(name, None) is None:
            raise Refused("26000")
        return b"DEALLOCATE\0"

    def _declare(self, text: str) -> bytes:
        name = _named(text)
        held = "WITH HOLD" in text
        if self.status == "I" and not held:
            raise Refused("25P01")
        if name in self.portals:
            raise Refused("42P03")
        self.portals[name] = Portal(text, self._source, 2, held=held)
        return b"DECLARE CURSOR\0"

    def _close_sql(self, text: str) -> bytes:
        if text.upper() == "CLOSE ALL":
            self.portals = {name: each for name, each in self.portals.items() if not name}
            return b"CLOSE CURSOR ALL\0"
        if self.portals.pop(text.rsplit(maxsplit=1)[-1], None) is None:
            raise Refused("34000")
        return b"CLOSE CURSOR\0"

    def _discard(self, text: str) -> bytes:
        if self.status != "I" or self._simple:
            raise Refused("25001")
        self.statements.clear()
        self.portals.clear()
        self.path, self.default = "public", True
        return b"DISCARD ALL\0"

    def _do(self, text: str) -> bytes:
        """Code that changes a name behind everybody's back."""
        if "rename" in text:
            for name in self.statements:
                if name:
                    self.statements[name] = Statement(BEHIND, by_sql=True, shown=BEHIND)
        return b"DO\0"


_MESSAGES: dict[str, Callable[[Target, bytes], None]] = {
    "Q": Target._query,
    "P": Target._parse,
    "B": Target._bind,
    "D": Target._describe,
    "C": Target._close,
    "E": Target._execute,
    "F": Target._call,
}
_COMMANDS: dict[str, Callable[[Target, str], bytes]] = {
    "BEGIN": Target._begin,
    "START": Target._begin,
    "COMMIT": Target._commit,
    "END": Target._commit,
    "ROLLBACK": Target._rollback,
    "ABORT": Target._rollback,
    "SAVEPOINT": Target._savepoint,
    "RELEASE": Target._release,
    "SET": Target._set,
    "RESET": Target._reset,
    "PREPARE": Target._prepare,
    "EXECUTE": Target._execute_sql,
    "DEALLOCATE": Target._deallocate,
    "DECLARE": Target._declare,
    "CLOSE": Target._close_sql,
    "UNLISTEN": Target._unlisten,
    "DISCARD": Target._discard,
    "DO": Target._do,
}


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Refused("22021") from None


def _writes(text: str) -> bool:
    locks = "FOR UPDATE" in text or "nextval" in text
    return word(text) in _WRITES or locks or ("COPY" in text and "STDIN" in text) or "DELETE" in text.partition("(")[2]


def _named(text: str) -> str:
    """The word behind the first."""
    found = text.split(maxsplit=2)[1:2]
    if not found:
        raise Refused("42601", "scanner_yyerror")
    return found[0]


def _returns(text: str) -> bool:
    return word(text) in ("SELECT", "TABLE", "VALUES", "SHOW", "EXPLAIN", "FETCH", "WITH") or "RETURNING" in text


def _rows(text: str) -> int:
    return 3 if "series" in text else 1


def _asks(text: str) -> bool:
    """Is it a question of the gateway's, whose answer has a shape?"""
    return "pg_catalog" in text or text.startswith("SHOW")


def _column(text: str) -> str:
    """The column that the text's select list names first, or another."""
    words = text.replace(",", " ").partition(" FROM ")[0].split()
    return next((each for each in _COLUMNS if each in words), "x")


def _row(*values: bytes) -> bytes:
    return struct.pack("!H", len(values)) + b"".join(struct.pack("!I", len(each)) + each for each in values)
