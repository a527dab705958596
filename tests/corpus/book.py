"""Reads bypass.yaml into values. The format is described at the top of that file; what is wrong in it is a ValueError.

What must not live here: sockets, servers, what an answer means (ground.py).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.wire import frontend
from gateway.wire.frontend import message

#: What an operator may see of a statement: it ran, its hold's class, or the refusal.
CLASSES = ("opaque", "session", "admin", "ddl", "write")
_WORDS = frozenset({"allow", "deny", "sent", "closed", *CLASSES})
_SQLSTATE = re.compile("[0-9A-Z]{5}")
_CASE_KEYS = frozenset(
    {"name", "from", "since", "until", "known", "as", "startup", "login", "setup", "say", "known_on", "opening"}
)
_NEWEST = 99
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Step:
    """What is sent at once, the verdicts that are right, and the rows it gives ("a|b" each) where that matters.

    `answers`: ReadyForQuery messages to read; none for a step that is only sent.
    """

    verdicts: frozenset[str]
    messages: tuple[bytes, ...]
    answers: int
    shown: str
    gives: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt. `source` is the line of the page it comes from; `known`: why it is not closed yet ("" = it is).

    `login`: the right answers to a login that must fail; `opening`: what is sent in the place of a StartupMessage.
    """

    name: str
    source: str
    steps: tuple[Step, ...]
    since: int = 0
    until: int = _NEWEST
    known: str = ""
    known_on: frozenset[int] = frozenset()
    target: str = "shop"
    startup: tuple[tuple[str, str], ...] = ()
    login: str = ""
    setup: str = ""
    opening: bytes = b""

    def concerns(self, major: int) -> bool:
        return self.since <= major <= self.until


@dataclass(frozen=True, slots=True)
class Book:
    """`world` is run once, before the gateway reads the catalog; `reads` are cases of one step that nobody may hold, and
    `psql` are commands of psql's own that send such reads.
    """

    world: str
    cases: tuple[Case, ...]
    pairs: tuple[Case, ...]
    reads: tuple[Case, ...]
    psql: tuple[str, ...]


def load(path: Path) -> Book:
    """Read the file. Raise ValueError for keys, verdicts or steps that it doesn't know."""
    found = yaml.safe_load(path.read_text("utf-8"))
    cases = [_case(each) for part in found["cases"].values() for each in part]
    pairs = [_case(each) for each in found["pairs"]]
    reads = [_read(group, at, each) for group, each_of in found["reads"].items() for at, each in enumerate(each_of, 1)]
    names = [each.name for each in (*cases, *pairs, *reads)]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise ValueError(f"these names stand twice: {twice}")
    return Book(found["world"], tuple(cases), tuple(pairs), tuple(reads), tuple(found["psql"]))


def _case(found: dict[str, Any]) -> Case:
    name = found.get("name", "?")
    if unknown := found.keys() - _CASE_KEYS:
        raise ValueError(f"{name}: unknown keys {sorted(unknown)}")
    try:
        steps = tuple(_step(each) for each in found.get("say", ()))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return Case(
        name=name,
        source=str(found["from"]),
        steps=steps,
        since=found.get("since", 0),
        until=found.get("until", _NEWEST),
        known=found.get("known", ""),
        known_on=frozenset(found.get("known_on", ())),
        target=found.get("as", "shop"),
        startup=tuple((key, str(value)) for key, value in found.get("startup", {}).items()),
        login=str(found.get("login", "")),
        setup=_repeated(found.get("setup", "")),
        opening=bytes.fromhex(found.get("opening", "")),
    )


def _read(group: str, at: int, found: str | dict[str, Any]) -> Case:
    """A plain read: its text, or {since:, until:, sql:}; `sql` may be a list of protocol messages.

    `or`: an SQLSTATE of the server's own that is right too (one built without XML).
    """
    if not isinstance(found, dict):
        found = {"sql": found}
    step = _step({f"allow or {found['or']}" if "or" in found else "allow": found["sql"]})
    known = found.get("known", "")
    return Case(f"{group} {at}", group, (step,), found.get("since", 0), found.get("until", _NEWEST), known)


def _step(found: dict[Any, Any]) -> Step:
    if not isinstance(found, dict):
        raise ValueError(f"a step is `verdict: what is sent`, not {found!r}")
    rest = dict(found)
    gives = rest.pop("gives", None)
    if len(rest) != 1:
        raise ValueError(f"one verdict a step: {found!r}")
    ((words, sent),) = rest.items()
    verdicts = frozenset(f"{words:05d}" if isinstance(words, int) else each for each in str(words).split(" or "))
    if wrong := {each for each in verdicts if each not in _WORDS and not _SQLSTATE.fullmatch(each)}:
        raise ValueError(f"unknown verdict {sorted(wrong)}")
    if isinstance(sent, str):
        sent = _repeated(sent)
        return Step(verdicts, (frontend.query(sent),), 1, sent[:_SHOWN], _rows(gives))
    messages = tuple(_message(_repeated(str(each))) for each in sent)
    answers = 0 if verdicts == {"sent"} else sum(each[:1] in (b"S", b"Q", b"F") for each in messages)
    return Step(verdicts, messages, answers, " / ".join(map(str, sent))[:_SHOWN], _rows(gives))


def _repeated(text: str) -> str:
    """`<<+1*3000>>` stands for 3000 times `+1`."""
    return re.sub(r"<<(.+?)\*(\d+)>>", lambda found: found[1] * int(found[2]), text)


def _rows(found: object) -> tuple[str, ...] | None:
    return None if found is None else tuple(map(str, found if isinstance(found, list) else [found]))


def _message(line: str) -> bytes:
    """One protocol message from its line."""
    for pattern, build in _LINES:
        if match := pattern.fullmatch(line):
            return build(*("" if each is None else each for each in match.groups()))
    raise ValueError(f"not a protocol message: {line!r}")


def _bind(portal: str, statement: str, given: str) -> bytes:
    return frontend.bind(portal, statement, [each.strip().encode() for each in given.split(",")] if given else [])


def _call(oid: str) -> bytes:
    """FunctionCall without arguments, its result as text."""
    return message(b"F", int(oid).to_bytes(4, "big") + b"\0\0\0\0\0\0")


_LINES: tuple[tuple[re.Pattern[str], Callable[..., bytes]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), build)
    for pattern, build in (
        (r"query (.*)", frontend.query),
        (r"parse (\S*?) ?= (.*)", frontend.parse),
        (r"bind (\S*?) ?= ?([^\s(]*) ?(?:\((.*)\))?", _bind),
        (r"describe ([SP]) ?(\S*)", frontend.describe),
        (r"execute ?(\S*?)(?: max (\d+))?", lambda portal, most: frontend.execute(portal, int(most or 0))),
        (r"close ([SP]) ?(\S*)", frontend.close),
        (r"sync", lambda: frontend.SYNC),
        (r"flush", lambda: frontend.FLUSH),
        (r"call (\d+)", _call),
        (r"copydata (.*)", lambda text: message(b"d", text.encode() + b"\n")),
        (r"copydone", lambda: message(b"c", b"")),
        (r"copyfail", lambda: message(b"f", b"no\0")),
        (r'latin1 "(.*)"', lambda text: message(b"Q", text.encode("latin-1") + b"\0")),
        (r"hex ([0-9a-f ]+)", bytes.fromhex),
    )
)
