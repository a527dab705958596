"""What a chunk of the client's does to names beside executing something, where it takes the short way. Pure.

    Parse (Describe) Sync | Flush                a text is given a name, and described: lib/pq, tokio-postgres, asyncpg ... before each use of it
    Parse Describe Bind (Describe) Execute Sync  all at once (postgres.js, where no value needs a type)
    ... Execute Close Sync, Close Sync           names are given up; DEALLOCATE of one, which is a statement like others, does the same

Nothing of it runs, so nothing of it is recorded. A text is given here only if binding and executing it may be plain; with any other the
ordinary way is taken (intake.py), which also says what is wrong with a name. What must not live here: who may take the short way, and
when (shortway.py); what a name means (names.py).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gateway.errors import GatewayError
from gateway.session.draft import RESERVED
from gateway.session.hiding import Hiding
from gateway.session.names import KEPT, NEVER_DOUBTED, Change, Names, Prepared, Space
from gateway.wire.backend import (
    CLOSE_COMPLETE,
    NO_DATA,
    PARSE_COMPLETE,
    Column,
    end_of,
    parameter_description,
    row_description,
)
from gateway.wire.frontend import SYNC, describe, read_named

_HEADER: Final = 5
#: What gives up names and is longer takes the ordinary way: it has a turn's messages (replies.PER_TURN) and costs memory. Bytes.
_LONGEST_CLOSES: Final = 2048
#: A longer description is read anew each time: a session that is idle would keep it.
_LONGEST_KEPT: Final = 4096
_DEALLOCATE: Final = re.compile(rb'DEALLOCATE (?:PREPARE )?(?:([a-z0-9_]+)|"([a-z0-9_]+)");?\0', re.IGNORECASE)


class Described:
    """What the target has said of a statement: `answer` as it came, from ParameterDescription on; the types of its parameters; its columns,
    None for NoData."""

    __slots__ = ("answer", "columns", "types")

    def __init__(self, answer: bytes, types: tuple[int, ...], columns: tuple[Column, ...] | None) -> None:
        self.answer = answer
        self.types = types
        self.columns = columns


class Given:
    """A text that may be given names, with the types that come with it: `meant` is what such a name means. `latest`: its last description."""

    __slots__ = ("latest", "meant")

    def __init__(self, meant: Prepared) -> None:
        self.meant = meant
        self.latest: Described | None = None

    def named(self, name: str, names: Names) -> Prepared:
        """What this name means once the target has parsed it."""
        meant, since = self.meant, names.doubts if name else NEVER_DOUBTED
        return Prepared(
            *(meant.sql, meant.script, meant.types),
            read_under=meant.read_under,
            shown=meant.shown,
            since=since,
            read_as=names.readings,
        )


class Naming:
    """Of one chunk. `given` is what it parses, which then is `prepared` under `name`; `asked`: it is described. `closes`: the names that it
    gives up behind all else, by messages that are answered with `closed`, or `by_sql`. `flushed`: a Sync of ours stands in the place of its
    Flush."""

    __slots__ = ("asked", "closed", "closes", "flushed", "given", "name", "prepared")

    def __init__(
        self,
        given: Given | None = None,
        name: str = "",
        prepared: Prepared | None = None,
        closes: Sequence[Change] = (),
        *,
        asked: bool = False,
        flushed: bool = False,
        by_sql: bool = False,
    ) -> None:
        self.given = given
        self.name = name
        self.prepared = prepared
        self.closes = closes
        self.closed = b"" if by_sql else CLOSE_COMPLETE * len(closes)
        self.asked = asked
        self.flushed = flushed

    def of_parse(self, data: bytes, hiding: Hiding) -> int:
        """The bytes of an answer that belong to its Parse and Describe; -1 where these are not what is due. `prepared` is then what was
        described."""
        given, prepared = self.given, self.prepared
        if given is None or prepared is None:
            return 0
        if not data.startswith(PARSE_COMPLETE):
            return -1
        if not self.asked:
            return len(PARSE_COMPLETE)
        found = given.latest
        if found is None or not data.startswith(found.answer, len(PARSE_COMPLETE)):
            found = _described(data, len(PARSE_COMPLETE), hiding)
            if found is None:
                return -1
            given.latest = found if len(found.answer) <= _LONGEST_KEPT else None
        prepared.types = found.types
        prepared.columns, prepared.rowless = found.columns, found.columns is None
        return len(PARSE_COMPLETE) + len(found.answer)

    def gives(self, names: Names) -> None:
        """The target has parsed it."""
        if self.prepared is not None:
            names.statements[self.name] = self.prepared

    def takes(self, names: Names) -> None:
        """The target has closed what it closes."""
        for each in self.closes:
            names.apply(each)


def _described(data: bytes, at: int, hiding: Hiding) -> Described | None:
    """The description of a statement at `at`; None where it is none, not all of it has come, or the client may not see it as it is."""
    types = end_of(data, at)
    end = end_of(data, types)
    if not types < end <= len(data) or data[at : at + 1] != b"t":
        return None
    body = data[types + _HEADER : end]
    rowless = data[types:end] == NO_DATA
    if not rowless and data[types : types + 1] != b"T":
        return None
    try:
        if not rowless and hiding.names(body) is not body:
            return None
        columns = None if rowless else row_description(body)
        return Described(data[at:end], parameter_description(data[at + _HEADER : types]), columns)
    except GatewayError:
        return None


def name_of(raw: bytes) -> str | None:
    """The name, if the target keeps it as it is and it is none of ours."""
    return _name_of(raw) if len(raw) <= KEPT else None


@lru_cache(maxsize=256)
def _name_of(raw: bytes) -> str | None:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return None
    return name if name not in RESERVED else None


@lru_cache(maxsize=256)
def asked(name: str) -> bytes:
    """The Describe of a statement."""
    return describe("S", name)


def deallocated(message: bytes) -> tuple[Change, ...] | None:
    """What a DEALLOCATE of one name gives up, as a Query; None where the text says it otherwise."""
    return _deallocated(message) if len(message) <= _LONGEST_CLOSES else None


@lru_cache(maxsize=256)
def _deallocated(message: bytes) -> tuple[Change, ...] | None:
    found = _DEALLOCATE.fullmatch(message, _HEADER)
    name = name_of(found[2] or found[1].lower()) if found is not None else None
    return None if name is None else (Change(Space.STATEMENT, name),)


def closes(data: bytes) -> tuple[Change, ...] | None:
    """What is given up by these messages, of which a Sync is the last; None where they are others, or too many."""
    return _closes(data) if len(data) <= _LONGEST_CLOSES else None


@lru_cache(maxsize=256)
def _closes(data: bytes) -> tuple[Change, ...] | None:
    found, at = list[Change](), 0
    while data[at:] != SYNC:
        end = end_of(data, at)
        if data[at : at + 1] != b"C" or end > len(data):
            return None
        try:
            named = read_named(data[at:end])
        except GatewayError:
            return None
        name = name_of(named.name.encode())
        if name is None:
            return None
        found.append(Change(Space.STATEMENT if named.kind == "S" else Space.PORTAL, name))
        at = end
    return tuple(found)
