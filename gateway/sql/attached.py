"""Code that stands at a relation and runs when rows of it are written: triggers, defaults, checks, index expressions.

What lives here: where that code writes to in its turn, and whether it may change what names, settings or texts mean, as a
trigger that executes text does: then the session goes on as behind code that people approved
(gateway.session.traits.unsettles). A pure look at sources, by their words as in contained.py and copies.py, so it says too
much rather than too little, but for what code makes of words at run time. What must not: reading the catalog (gateway.relay).
"""

import re
import string
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.sql.catalog import Relation
from gateway.sql.contained import MAKES_TABLE, READ, TRUSTED, Function, words_of
from gateway.sql.functions import special_class
from gateway.sql.statement import StatementClass
from gateway.sql.tree import words

Key = tuple[str, str]  # schema, relation
#: Words of SQL and PL/pgSQL that give or change names and settings, or run text made at run time. `cursor`: an open one has a name.
_UNSETTLES = words(
    "alter create cursor deallocate discard do drop execute grant import load prepare refcursor reset revoke set set_config"
) | {MAKES_TABLE}
#: OPEN of a variable: its type may be said by %TYPE alone. (`open` itself is a word of many texts.)
_OPENS = re.compile(r"\bopen\s+[\w$]+\s*(?:;|\(|for\b|no\b|scroll\b)", re.IGNORECASE)
_WRITES = words("copy delete insert merge truncate update")
_SERVERS_OWN = "pg_catalog"

_PART = r'(?:(?:u&)?"(?:[^"]|"")+"|[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)'
_NAME = rf"{_PART}(?:\s*\.\s*{_PART}){{0,2}}"
_ITEM = rf"(?:only\b\s*)?\(?\s*{_NAME}"
_TARGETS = re.compile(
    r"\b(?:insert\s+into|merge\s+into|delete\s+from|truncate(?:\s+table\b)?|copy|update"
    r"|(?:alter|drop)\s+(?:table|view|materialized\s+view)(?:\s+if\s+exists)?)(?![\w$])\s*"
    rf"({_ITEM}(?:\s*\)?\s*\*?\s*,\s*{_ITEM})*)",
    re.IGNORECASE,
)
_REMOVES = words("delete drop merge truncate")
_CHANGES = words("insert merge update")
_SETS = re.compile(r"[^;]*?\bset\b((?:(?!\bwhere\b)[^;])*)", re.IGNORECASE)
_NAMES = re.compile(_NAME, re.IGNORECASE)
_PARTS = re.compile(_PART, re.IGNORECASE)
#: What comments may stand in or beside. A string stays: it may be executed.
_TOKEN = re.compile(
    r"(?<![\w$])e'(?:[^'\\]|\\.|'')*'|'[^']*'|\"[^\"]*\"|(?<![\w$])(\$(?:[^\W\d]\w*)?\$).*?\1|--[^\n\r]*|/\*",
    re.DOTALL | re.IGNORECASE,
)
_BRACKET = re.compile(r"/\*|\*/")
_FOLD = {ord(each): each.lower() for each in string.ascii_uppercase}
#: PostgreSQL cuts longer names, in bytes.
_KEPT = 63
#: The commands that fire a trigger, as pg_trigger.tgtype has them.
_EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE", 32: "TRUNCATE"}
EVERY = frozenset(_EVENTS.values())
_ROWS = frozenset({"INSERT", "UPDATE"})


@dataclass(frozen=True, slots=True)
class Attached:
    """Code (names of sources, see `fired`) that runs when these `events` happen to rows of `relation`."""

    relation: Key
    functions: frozenset[str]
    events: frozenset[str] = _ROWS


def events(tgtype: int) -> frozenset[str]:
    """Of a trigger."""
    return frozenset(name for bit, name in _EVENTS.items() if tgtype & bit)


def fired(
    relations: Mapping[Key, Relation], attached: Iterable[Attached], sources: Iterable[Function]
) -> dict[Key, tuple[tuple[str, Key], ...]]:
    """(schema, relation) -> where the code at it writes to, each as (the event that makes it run, schema and relation).

    `sources`: functions, and what else is code where its name is written: views, types, tables with rules and policies.
    """
    texts = _Texts(sources, relations)
    found: defaultdict[Key, dict[tuple[str, Key], None]] = defaultdict(dict)
    for code in attached:
        targets = dict.fromkeys(
            target for name in sorted(texts.reached(code.functions)) for target in texts.targets(name)
        )
        found[code.relation].update(
            dict.fromkeys((event, target) for event in sorted(code.events) for target in targets)
        )
    return {key: tuple(targets) for key, targets in found.items() if targets}


@dataclass(frozen=True, slots=True)
class _Write:
    """A write in a text: its verb, the name as its parts (none: any relation) and the words of the columns that it sets."""

    verb: str
    name: tuple[str, ...]
    changed: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Read:
    """A text, read: the names in it, what it writes to, and whether it opens a cursor."""

    names: frozenset[str]
    writes: tuple[_Write, ...]
    opens: bool


@lru_cache(maxsize=4096)
def _read(text: str) -> _Read:
    """Of what DDL has not touched the text was read before."""
    text = uncommented(text)
    writes = dict.fromkeys(each for found in _TARGETS.finditer(text) for each in _writes(found))
    return _Read(frozenset(map(_folded, set(_PARTS.findall(text)))), tuple(writes), _OPENS.search(text) is not None)


def _writes(found: re.Match[str]) -> Iterator[_Write]:
    verb = found[0].split(maxsplit=1)[0].lower()
    sets = _SETS.match(found.string, found.end()) if verb in _CHANGES else None
    changed = frozenset(map(_folded, _PARTS.findall(sets[1]))) if sets else frozenset[str]()
    if 'u&"' in found[0].lower():  # its letters are written as numbers
        yield _Write(verb, (), changed)
    for name in _NAMES.findall(found[1]):
        yield _Write(verb, tuple(map(_folded, _PARTS.findall(name))), changed)


class _Texts:
    """Sources by name: what each names and what it writes to."""

    def __init__(self, sources: Iterable[Function], relations: Mapping[Key, Relation]) -> None:
        self._relations = relations
        self._read: defaultdict[str, list[_Read]] = defaultdict(list)
        for each in sources:
            self._read[each.name].append(_read(each.text))
        self._targets: dict[str, tuple[Key, ...]] = {}
        self._alike: defaultdict[str, list[Key]] = defaultdict(list)
        for key in relations:
            self._alike[key[1]].append(key)

    def reached(self, names: Iterable[str]) -> set[str]:
        """Those and what they name in their turn."""
        found: set[str] = set()
        todo = [each for each in names if each in self._read]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += (called for each in self._read[name] for called in each.names & self._read.keys())
        return found

    def targets(self, name: str) -> tuple[Key, ...]:
        """The relations that its text writes to. Without a schema it may be any of that name."""
        if name not in self._targets:
            found = (key for each in self._read[name] for write in each.writes for key in self._written(write))
            self._targets[name] = tuple(dict.fromkeys(found))
        return self._targets[name]

    def _written(self, write: _Write) -> Iterator[Key]:
        """What it writes to, and where foreign keys pass that on."""
        schema = write.name[-2:-1]
        alike = self._alike.get(write.name[-1], ()) if write.name else self._relations
        for key in [each for each in alike if schema in ((), each[:1])]:
            yield key
            for each in self._relations[key].cascades:
                deletes = each.deletes and write.verb in _REMOVES
                if deletes or (each.updates and not write.changed.isdisjoint(each.columns)):
                    yield each.to
                    yield from _beyond(each.to, self._relations)


def _beyond(key: Key, relations: Mapping[Key, Relation]) -> Iterator[Key]:
    """All that foreign keys may pass a change on to from there."""
    found, todo = {key}, [key]
    while todo:
        relation = relations.get(todo.pop())
        for each in relation.cascades if relation else ():
            if each.to not in found:
                found.add(each.to)
                todo.append(each.to)
                yield each.to


def _folded(written: str) -> str:
    """A name as the target keeps it: only letters of ASCII are folded, and longer ones are cut."""
    quoted = written.startswith('"')
    name = written[1:-1].replace('""', '"') if quoted else written.translate(_FOLD)
    return name.encode()[:_KEPT].decode(errors="ignore")


def uncommented(text: str) -> str:
    """The text with a blank in the place of each comment."""
    if "--" not in text and "/*" not in text:
        return text
    kept: list[str] = []
    at = 0
    while token := _TOKEN.search(text, at):
        if token[0].startswith(("--", "/*")):
            kept += (text[at : token.start()], " ")
            at = _end_of_comment(text, token.end()) if token[0] == "/*" else token.end()
        else:
            kept.append(text[at : token.end()])
            at = token.end()
    return "".join([*kept, text[at:]])


def _end_of_comment(text: str, at: int) -> int:
    """Where the comment ends whose inside begins at `at`: they nest."""
    depth = 1
    for bracket in _BRACKET.finditer(text, at):
        depth += 1 if bracket[0] == "/*" else -1
        if not depth:
            return bracket.end()
    return len(text)


def unsettled(
    relations: Mapping[Key, Relation],
    attached: Iterable[Attached],
    sources: Iterable[Function],
    operators: Collection[str],
) -> frozenset[Key]:
    """The relations where a write may run such code, by itself or by what that code, a view, a foreign key or a child leads to.

    `sources` as for `fired`.
    """
    sources = list(sources)
    said = _said(sources)
    code = list(attached)
    texts = _Texts(sources, relations)
    servers = _leading({key for key in relations if key[0] == _SERVERS_OWN}, relations)
    names = {name for name, found in said.items() if found is None or _unsettles(found, operators)}
    names |= {name for name in said if not servers.isdisjoint(texts.targets(name))}
    found: frozenset[Key] = frozenset()
    while True:
        called = {each.casefold() for each in names}
        more = {name for name, own in said.items() if own is not None and own & called} - names
        led = _leading({each.relation for each in code if each.functions & names}, relations)
        written = {name.casefold() for _, name in led}
        more |= {name for name, own in said.items() if own is not None and own & _WRITES and own & written} - names
        if not more and led == found:
            return found
        names, found = names | more, led


def _said(sources: Iterable[Function]) -> dict[str, set[str] | None]:
    """What the sources of each name hold; None where that can't be told. Code in C has none that a client's text gets into."""
    overloads: defaultdict[str, list[Function]] = defaultdict(list)
    for each in sources:
        overloads[each.name].append(each)
    readable = READ | TRUSTED
    found = {
        name: words_of(every) if all(each.language in readable for each in every) else None
        for name, every in overloads.items()
    }
    for name, every in overloads.items():
        own = found[name]
        if own is not None and any(_read(each.text).opens for each in every):
            own.add("cursor")
    return found


def _unsettles(found: set[str], operators: Collection[str]) -> bool:
    if found & _UNSETTLES or any(special_class(word) is StatementClass.OPAQUE for word in found):
        return True
    return any(operator in word for operator in operators for word in found)


def _leading(found: set[Key], relations: Mapping[Key, Relation]) -> frozenset[Key]:
    """Those relations and all from which a write goes on to them."""
    above: defaultdict[Key, set[Key]] = defaultdict(set)
    for key, each in relations.items():
        for lower in (*each.children, *(to.to for to in each.cascades), *(shown for shown, _ in each.shows)):
            above[lower].add(key)
    todo = list(found)
    while todo:
        higher = above[todo.pop()] - found
        found |= higher
        todo += higher
    return frozenset(found)
