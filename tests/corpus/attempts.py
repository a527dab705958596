"""Reads masking.yaml into values. The format is described at the top of that file; what is wrong in it is a ValueError.

What must not live here: sockets, servers (vaults.py), what counts as a leak (forms.py).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.wire import frontend
from tests.corpus.book import _message

_NEWEST = 99
_QUERY_KEYS = frozenset({"sql", "since", "until", "ways", "lacks", "oracle", "known", "known_on", "pad"})
_CASE_KEYS = frozenset({"name", "from", "say", "since", "until", "lacks", "oracle", "known", "known_on", "refused"})
_READS = ("SELECT", "WITH", "VALUES", "TABLE", "(")
_CHANGES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_SPREADS = re.compile(r"\s*DO\b|.*\blo_from_bytea\b", re.IGNORECASE | re.DOTALL)
_LEAVES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|set_config|lo_from_bytea)\b")

#: What is sent at once, and the number of ReadyForQuery messages that answer it.
Sent = tuple[tuple[bytes, ...], int]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `ways`: name -> what is sent in that way; `texts`: its statements, () where a step is no plain text.

    `oracle`: answers may differ, no secret may show.

    `lacks`: the SQLSTATE of a server that can't do it; `refused`: the gateway's own refusal counts; `known`: why it isn't closed.
    """

    name: str
    source: str
    ways: Mapping[str, list[Sent]]
    texts: tuple[str, ...]
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

    @property
    def leaves(self) -> bool:
        """It leaves something behind, so it is to be taken back: the next one must meet the same rows and settings."""
        return not self.alone and any(map(_LEAVES.search, self.texts))

    @property
    def spreads(self) -> bool:
        """It may put protected values anywhere (code, large objects): behind it much is masked in its session, what drivers ask of
        types among it, so it gets a connection of its own."""
        return any(map(_SPREADS.match, self.texts))

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
    sql = found["sql"] + _padding(found)
    ways = {each: _sent(each, sql) for each in found["ways"]} if "ways" in found else ways_of(sql, at)
    return Attempt(f"{group} {at}: {found['sql']}", group, ways, (sql,), **_common(found))


def _padding(found: dict[str, Any]) -> str:
    """A comment that makes the text too long for this process to read; it goes to the parser process."""
    return f" /*{'x' * found['pad']}*/" if "pad" in found else ""


def _case(found: dict[str, Any]) -> Attempt:
    if unknown := found.keys() - _CASE_KEYS:
        raise ValueError(f"{found.get('name', '?')}: unknown keys {sorted(unknown)}")
    steps = [_step(each) for each in found["say"]]
    texts = tuple(found["say"]) if all(isinstance(each, str) for each in found["say"]) else ()
    refused = bool(found.get("refused"))
    ways = {"simple": steps}
    return Attempt(found["name"], str(found["from"]), ways, texts, **_common(found), refused=refused, alone=True)


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


def ways_of(sql: str, at: int) -> dict[str, list[Sent]]:
    """Every way that fits the command. `at` counts the attempts: a few ways are so alike that they take turns."""
    if sql.startswith(_READS):
        turn = at % 3
        names = ("simple", "text", "binary", "binary cursor", ("cursor", "pieces", "prepared")[turn])
        copies = ("copy", "copy csv", "copy binary")
        return {each: _sent(each, sql) for each in (*names, copies[turn])}
    if sql.startswith(_CHANGES):
        return {each: _sent(each, sql) for each in ("simple", "text", "binary", "prepared", "copy")}
    return {each: _sent(each, sql) for each in ("simple", "text")}


def _sent(way: str, sql: str) -> list[Sent]:
    sent = _WAYS[way](sql)
    if _LEAVES.search(sql) is None or "cursor" in way:
        return sent
    # What was prepared outlives a ROLLBACK: the next attempt by PREPARE would run this one's text again, and keep its rows.
    return [*_asked("BEGIN"), *sent, *_asked("ROLLBACK", "DEALLOCATE ALL")]


def _asked(*texts: str) -> list[Sent]:
    return [((frontend.query(each),), 1) for each in texts]


def _extended(sql: str, results: tuple[int, ...]) -> list[Sent]:
    """Parse and Describe, then twice Bind and Execute: the second time the client knows the columns already."""
    run = (frontend.bind("", "", results=results), frontend.execute(""), frontend.SYNC)
    first = (frontend.parse("", sql), frontend.describe("S", ""), frontend.SYNC)
    return [(first, 1), (run, 1), (run, 1)]


def _pieces(sql: str) -> list[Sent]:
    """A portal that is read row by row, and never described."""
    run = (frontend.parse("", sql), frontend.bind("p", ""), frontend.execute("p", 1), frontend.execute("p", 0))
    return [((*run, frontend.SYNC), 1)]


_ODD = "FORMAT csv, FORCE_QUOTE *, QUOTE '9', ESCAPE '3', DELIMITER '|'"
_WAYS: Mapping[str, Callable[[str], list[Sent]]] = {
    "simple": _asked,
    "text": lambda sql: _extended(sql, ()),
    "binary": lambda sql: _extended(sql, (1,)),
    "pieces": _pieces,
    "prepared": lambda sql: _asked(f"PREPARE p AS {sql}", "EXECUTE p", "EXECUTE p", "DEALLOCATE ALL"),
    "cursor": lambda sql: _asked(
        "BEGIN", f"DECLARE c CURSOR FOR {sql}", "FETCH 1 FROM c", "FETCH ALL FROM c", "ROLLBACK"
    ),
    "binary cursor": lambda sql: _asked("BEGIN", f"DECLARE c BINARY CURSOR FOR {sql}", "FETCH ALL FROM c", "ROLLBACK"),
    "copy": lambda sql: _asked(f"COPY ({sql}) TO STDOUT"),
    "copy csv": lambda sql: _asked(f"COPY ({sql}) TO STDOUT (FORMAT csv, HEADER)", f"COPY ({sql}) TO STDOUT ({_ODD})"),
    "copy binary": lambda sql: _asked(f"COPY ({sql}) TO STDOUT (FORMAT binary)"),
}
