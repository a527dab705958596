"""Reads masking.yaml into values. The format is described at the top of that file; what is wrong in it is a ValueError.

What must not live here: sockets, servers (vaults.py), what counts as a leak (forms.py).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.wire import frontend
from tests.corpus.book import _message

_NEWEST = 99
_QUERY_KEYS = frozenset({"sql", "since", "until", "ways", "lacks", "oracle", "known", "known_on"})
_CASE_KEYS = frozenset({"name", "from", "say", "since", "until", "lacks", "oracle", "known", "known_on", "refused"})
_READS = ("SELECT", "WITH", "VALUES", "TABLE", "(")
_CHANGES = ("INSERT", "UPDATE", "DELETE", "MERGE")

#: What is sent at once, and the number of ReadyForQuery messages that answer it.
Sent = tuple[tuple[bytes, ...], int]
#: A way to ask: from the query's text to what is sent, one after the other.
Way = Callable[[str], list[Sent]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `ways`: name -> what is sent in that way. `oracle`: answers may differ, no secret may show.

    `lacks`: the SQLSTATE of a server that can't do it; `refused`: the gateway's own refusal counts; `known`: why it isn't closed.
    """

    name: str
    source: str
    ways: Mapping[str, list[Sent]]
    since: int = 0
    until: int = _NEWEST
    lacks: str = ""
    oracle: bool = False
    known: str = ""
    known_on: frozenset[int] = frozenset()
    refused: bool = False
    alone: bool = False

    def concerns(self, major: int) -> bool:
        return self.since <= major <= self.until

    def is_known(self, major: int) -> bool:
        return bool(self.known) and (not self.known_on or major in self.known_on)


@dataclass(frozen=True, slots=True)
class Book:
    """`secrets`: name -> its value in either database; `held`: texts that must be held, with the line of the page."""

    secrets: Mapping[str, tuple[str, str]]
    world: str
    rows: str
    attempts: tuple[Attempt, ...]
    held: tuple[tuple[str, str], ...]


def load(path: Path) -> Book:
    """Read the file. Raise ValueError for keys and steps that it doesn't know."""
    found = yaml.safe_load(path.read_text("utf-8"))
    queries = [_query(group, at, each) for group, of in found["queries"].items() for at, each in enumerate(of, 1)]
    attempts = (*queries, *map(_case, found["cases"]))
    names = [each.name for each in attempts]
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise ValueError(f"these names stand twice: {twice}")
    secrets = {name: (str(first), str(second)) for name, (first, second) in found["secrets"].items()}
    return Book(
        secrets, found["world"], found["rows"], attempts, tuple((each["from"], each["sql"]) for each in found["held"])
    )


def filled(text: str, secrets: Mapping[str, tuple[str, str]], which: int) -> str:
    """Put the secrets of one of the databases in the place of their names."""
    return re.sub(r"(?<!:):([a-z]+)\b", lambda name: secrets[name[1]][which] if name[1] in secrets else name[0], text)


def _query(group: str, at: int, found: str | dict[str, Any]) -> Attempt:
    if not isinstance(found, dict):
        found = {"sql": found}
    if unknown := found.keys() - _QUERY_KEYS:
        raise ValueError(f"{group}: unknown keys {sorted(unknown)}")
    sql = found["sql"]
    names = found.get("ways") or list(_ways_of(sql))
    return Attempt(f"{group} {at}: {sql}", group, {each: _WAYS[each](sql) for each in names}, **_common(found))


def _case(found: dict[str, Any]) -> Attempt:
    if unknown := found.keys() - _CASE_KEYS:
        raise ValueError(f"{found.get('name', '?')}: unknown keys {sorted(unknown)}")
    steps = [_step(each) for each in found["say"]]
    refused = bool(found.get("refused"))
    return Attempt(
        found["name"], str(found["from"]), {"simple": steps}, **_common(found), refused=refused, alone=True
    )


def _common(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "since": found.get("since", 0),
        "until": found.get("until", _NEWEST),
        "lacks": found.get("lacks", ""),
        "oracle": bool(found.get("oracle")),
        "known": found.get("known", ""),
        "known_on": frozenset(found.get("known_on", ())),
    }


def _step(found: str | list[str]) -> Sent:
    if isinstance(found, str):
        return (frontend.query(found),), 1
    messages = tuple(map(_message, found))
    return messages, sum(each[:1] in (b"S", b"Q") for each in messages)


# --- the ways to ask --------------------------------------------------------------------------------------------------


def _ways_of(sql: str) -> Iterator[str]:
    if sql.startswith(_READS):
        yield from _WAYS
    elif sql.startswith(_CHANGES):
        yield from ("simple", "text", "binary", "prepared", "copy")
    else:
        yield from ("simple", "text")


def _undone(sql: str, *sent: Sent) -> list[Sent]:
    """What changes rows is taken back, so that the next way meets the same rows."""
    if sql.startswith(_READS) and "INTO" not in sql and " d AS (" not in sql:
        return list(sent)
    return [((frontend.query("BEGIN"),), 1), *sent, ((frontend.query("ROLLBACK"),), 1)]


def _asked(*texts: str) -> tuple[Sent, ...]:
    return tuple(((frontend.query(each),), 1) for each in texts)


def _extended(sql: str, results: tuple[int, ...]) -> list[Sent]:
    """Parse and Describe, then twice Bind and Execute: the second time the client knows the columns already."""
    run = (frontend.bind("", "", results=results), frontend.execute(""), frontend.SYNC)
    first = (frontend.parse("", sql), frontend.describe("S", ""), frontend.SYNC)
    return _undone(sql, (first, 1), (run, 1), (run, 1))


def _pieces(sql: str) -> list[Sent]:
    """A portal that is read row by row, and never described."""
    run = (frontend.parse("", sql), frontend.bind("p", ""), frontend.execute("p", 1), frontend.execute("p", 0))
    return [((*run, frontend.SYNC), 1)]


_WAYS: Mapping[str, Way] = {
    "simple": lambda sql: _undone(sql, *_asked(sql)),
    "text": lambda sql: _extended(sql, ()),
    "binary": lambda sql: _extended(sql, (1,)),
    "pieces": _pieces,
    "prepared": lambda sql: _undone(sql, *_asked(f"PREPARE p AS {sql}", "EXECUTE p", "EXECUTE p", "DEALLOCATE ALL")),
    "cursor": lambda sql: list(
        _asked("BEGIN", f"DECLARE c CURSOR FOR {sql}", "FETCH 1 FROM c", "FETCH ALL FROM c", "ROLLBACK")
    ),
    "binary cursor": lambda sql: list(
        _asked("BEGIN", f"DECLARE c BINARY CURSOR FOR {sql}", "FETCH ALL FROM c", "ROLLBACK")
    ),
    "copy": lambda sql: _undone(sql, *_asked(f"COPY ({sql}) TO STDOUT")),
    "copy csv": lambda sql: list(
        _asked(
            f"COPY ({sql}) TO STDOUT (FORMAT csv, HEADER)",
            f"COPY ({sql}) TO STDOUT (FORMAT csv, FORCE_QUOTE *, QUOTE '9', ESCAPE '3', DELIMITER '|')",
        )
    ),
    "copy binary": lambda sql: list(_asked(f"COPY ({sql}) TO STDOUT (FORMAT binary)")),
}
