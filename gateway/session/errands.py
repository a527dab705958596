"""Questions of the gateway's own to the target, between two batches of the client: a generator of messages each.

An errand yields messages that end in one ReadyForQuery, is sent back what was answered, and returns a value. It runs only
when nothing is owed to the client; the answers are collected, never shown. The same generators run on a side connection.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.errors import TargetUnavailable
from gateway.session.hiding import Hiding
from gateway.wire.backend import data_row, fields
from gateway.wire.frontend import SYNC, message, parse, query

_UNREADABLE = "the target's answer to a question of the gateway can't be read"
Messages = list[tuple[int, bytes]]
Questions = Generator[bytes, Messages, object]


class Errand:
    """A running generator. `then` gets its return value."""

    def __init__(self, questions: Questions, then: Callable[[object], None]) -> None:
        self._questions = questions
        self._then = then
        self._answer: Messages | None = None
        self._value: object = None
        self.asked = False
        self.repaired = False
        self.waiting = False
        self._over = False

    def next(self) -> bytes | None:
        """The next question, or None when it is done. Raises TargetUnavailable for an answer that makes no sense."""
        if self._over:
            return None
        try:
            question = next(self._questions) if self._answer is None else self._questions.send(self._answer)
        except StopIteration as stop:
            self._value, self._over = stop.value, True
            return None
        except (ValueError, LookupError, TypeError) as error:
            raise TargetUnavailable(_UNREADABLE) from error
        self.asked = True
        return question

    def answer(self, messages: Messages) -> None:
        self.waiting = False
        self._answer = messages

    def finish(self) -> None:
        self._then(self._value)


def rows(messages: Messages) -> list[tuple[bytes | None, ...]]:
    """All rows of an answer."""
    return [data_row(body) for kind, body in messages if kind == ord("D")]


def failure(messages: Messages) -> dict[str, str] | None:
    """The first error's fields, or None."""
    return next((fields(body) for kind, body in messages if kind == ord("E")), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a session's names mean: search_path (`$user` replaced) and, where it was asked for, statements (name -> text,
    by SQL?), portals (name -> text), temporary relations, and whether this transaction has defined code. None: the target
    did not say."""

    search_path: tuple[str, ...]
    statements: Mapping[str, tuple[str, bool]] | None = None
    portals: Mapping[str, str] = field(default_factory=dict)
    temporary: frozenset[str] = frozenset()
    redefined: bool = False


#: A relation that was there before the transaction: renamed, or with other triggers, rules, columns or rows.
_NOT_NEW = """ AND d.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) d.oid
       AND a.attnum OPERATOR(pg_catalog.=) -6 AND pg_catalog.age(a.xmin) OPERATOR(pg_catalog.<=)
           pg_catalog.age(pg_catalog.xid(pg_catalog.pg_current_xact_id_if_assigned())))"""
_NAMES = """SELECT 's', name, statement, from_sql::text FROM pg_catalog.pg_prepared_statements
 UNION ALL SELECT 'p', name, statement, '' FROM pg_catalog.pg_cursors
 UNION ALL SELECT 't', relname, '', '' FROM pg_catalog.pg_class
 WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
 UNION ALL SELECT 'd', '', '', '' WHERE """ + " OR ".join(
    f"EXISTS (SELECT FROM pg_catalog.{each} d WHERE pg_catalog.age(d.xmin) OPERATOR(pg_catalog.<=)"
    f" pg_catalog.age(pg_catalog.xid(pg_catalog.pg_current_xact_id_if_assigned())){where})"
    for each, where in (
        *((each, "") for each in ("pg_proc", "pg_operator", "pg_cast", "pg_rewrite", "pg_policy")),
        ("pg_type", " AND d.typtype OPERATOR(pg_catalog.=) 'd'"),
        ("pg_class", _NOT_NEW),
        ("pg_namespace", ""),
    )
)


_ROLES = "SHOW role; SHOW session_authorization"


PATH = "search_path"
#: What asks for it; SHOW takes no snapshot.
ASK_PATH = query(f"SHOW {PATH}")


def told_path(messages: Messages, role: str) -> tuple[str, ...] | None:
    """What was answered to ASK_PATH, `role` standing for "$user"; None where the target did not say. Raises TargetUnavailable."""
    try:
        shown = rows(messages)
        return schemas((shown[0][0] or b"").decode(), role) if shown else None
    except (ValueError, LookupError) as error:
        raise TargetUnavailable(_UNREADABLE) from error


def standing_question(role: str, *, names: bool, roles: bool = False) -> Questions:
    """Ask for search_path and, with `names`, for what code may have changed behind our back; returns a Standing or None.

    `role` is what "$user" stands for, unless `roles` says that another may have been set.
    """
    shown = yield ASK_PATH
    if roles and any(b"$user" in (each or b"") for each, *_ in rows(shown)):
        (chosen, *_), (authorised, *_) = rows((yield query(_ROLES)))
        role = (authorised if chosen == b"none" else chosen or b"").decode()  # type: ignore[union-attr] # SHOW has a value
    path = told_path(shown, role)
    if path is None:
        return None
    answer = (yield query(_NAMES)) if names else []
    if not names or failure(answer) is not None:
        return Standing(path)
    found = [tuple((each or b"").decode("utf-8", "surrogateescape") for each in row) for row in rows(answer)]
    return Standing(
        path,
        {row[1]: (row[2], row[3] == "true") for row in found if row[0] == "s"},
        {row[1]: row[2] for row in found if row[0] == "p"},
        frozenset(row[1] for row in found if row[0] == "t"),
        any(row[0] == "d" for row in found),
    )


@lru_cache(maxsize=64)
def schemas(text: str, role: str) -> tuple[str, ...]:
    """Split a search_path as SHOW and ParameterStatus have it (names, quoted where needed, separated by commas), `role` standing for "$user"."""
    names: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            name = ""
            while end < len(text):
                if text[end] == '"':
                    if text[end + 1 : end + 2] != '"':
                        break
                    end += 1
                name += text[end]
                end += 1
            at = end + 1
            names.append(role if name == "$user" else name)
        elif text[at] in ", ":
            at += 1
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            names.append(text[at:end].strip(" "))
            at = end
    return tuple(name for name in names if name)


#: Behind a text it makes two statements of it: the target reads both and then refuses to prepare them, before it looks at
#: what they mean. Preparing the text alone could run code: a constant cast to an array of a domain meets its CHECK there.
_SECOND = "\n;SELECT 1"
#: The routine that refuses two (ErrorResponse, field R); any other has not got past reading.
_TOO_MANY = "exec_parse_message"
_ASIDE = ("SAVEPOINT hoop_reading", "ROLLBACK TO SAVEPOINT hoop_reading; RELEASE SAVEPOINT hoop_reading")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What the target says of a text that it can't read: whole messages, as the client may see them."""

    sqlstate: str
    error: bytes
    ready: bytes


def _misspelt(read: dict[str, str] | None) -> bool:
    """Is it the parser that refused? After a cancel or a timeout nothing is known: the text alone must not be prepared."""
    return read is not None and read.get("C") == "42601"


def syntax_question(sql: str, hiding: Hiding, status: str) -> Questions:
    """Let the target's own parser read a text; returns None if it takes it, else an Unreadable."""
    if status == "T":
        yield query(_ASIDE[0])
    answer = yield parse("", sql + _SECOND) + SYNC
    read = failure(answer)
    taken = read is None or read.get("R") == _TOO_MANY
    if status == "T" and (taken or _misspelt(read)):
        yield query(_ASIDE[1])
    if taken:
        return None
    if _misspelt(read):
        answer = yield parse("", sql) + SYNC  # once more, for the words and the place of the text alone
    told = failure(answer)
    if told is None:
        return None
    said = {kind: body for kind, body in answer if kind in b"EZ"}
    error = message(b"E", hiding.diagnostics(said[ord("E")], protected=False))
    return Unreadable(told.get("C", "XX000"), error, message(b"Z", said[ord("Z")]))
