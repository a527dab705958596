"""Code that stands at a relation and runs when rows of it are written: triggers, defaults, checks, index expressions.

What lives here: where that code writes to in its turn, and whether it may change what names, settings or texts mean, as a
trigger that executes text does: then the session goes on as behind code that people approved
(gateway.session.judging.unsettles). A pure look at sources, by their words as in contained.py and copies.py, so it says too
much rather than too little, but for what code makes of words at run time. What must not: reading the catalog (gateway.relay).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gateway.sql.catalog import Relation
from gateway.sql.contained import MAKES_TABLE, READ, TRUSTED, Function, words_of
from gateway.sql.copies import with_called
from gateway.sql.functions import special_class
from gateway.sql.statement import StatementClass
from gateway.sql.tree import words

Key = tuple[str, str]  # schema, relation
#: Words of SQL and PL/pgSQL that give or change names and settings, or run text made at run time. `cursor`: an open one has a name.
_UNSETTLES = words(
    "alter create cursor deallocate discard do drop execute import load prepare refcursor reset set set_config"
) | {MAKES_TABLE}
_WRITES = words("copy delete insert merge truncate update")


_NAME = r'(?:"((?:[^"]|"")+)"|([A-Za-z_\x80-\U0010ffff][\w$]*))'
_TARGET = re.compile(
    rf"\b(?:insert\s+into|merge\s+into|delete\s+from|truncate(?:\s+table)?|copy|update)\s+(?:only\s+)?{_NAME}(?:\s*\.\s*{_NAME})?",
    re.IGNORECASE,
)
#: The commands that fire a trigger, as pg_trigger.tgtype has them.
_EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE", 32: "TRUNCATE"}
_ROWS = frozenset({"INSERT", "UPDATE"})


@dataclass(frozen=True, slots=True)
class Attached:
    """Functions (by name) that run when these `events` happen to rows of `relation`."""

    relation: Key
    functions: frozenset[str]
    events: frozenset[str] = _ROWS


def events(tgtype: int) -> frozenset[str]:
    """Of a trigger."""
    return frozenset(name for bit, name in _EVENTS.items() if tgtype & bit)


def fired(
    relations: Mapping[Key, Relation], attached: Iterable[Attached], functions: Iterable[Function]
) -> dict[Key, tuple[tuple[str, Key], ...]]:
    """(schema, relation) -> where the code at it writes to, each as (the event that makes it run, schema and relation).

    Without a schema it may be any relation of that name.
    """
    texts: defaultdict[str, str] = defaultdict(str)
    for each in functions:
        texts[each.name] += f"\n{each.text}"
    alike: defaultdict[str, list[Key]] = defaultdict(list)
    for key in relations:
        alike[key[1]].append(key)
    found: defaultdict[Key, dict[tuple[str, Key], None]] = defaultdict(dict)
    for code in attached:
        own = "\n".join(texts.get(name, "") for name in sorted(code.functions))
        for target in _targets(with_called(own, texts, code.functions), alike):
            found[code.relation].update(dict.fromkeys((event, target) for event in sorted(code.events)))
    return {key: tuple(targets) for key, targets in found.items()}


def _targets(text: str, alike: Mapping[str, list[Key]]) -> Iterable[Key]:
    for quoted, bare, second_quoted, second_bare in _TARGET.findall(text):
        names = [_folded(quoted, bare), _folded(second_quoted, second_bare)]
        schema, name = names if names[1] else ("", names[0])
        yield from (key for key in alike.get(name, ()) if schema in ("", key[0]))


def _folded(quoted: str, bare: str) -> str:
    return quoted.replace('""', '"') or bare.lower()


def unsettled(
    relations: Mapping[Key, Relation],
    attached: Iterable[Attached],
    functions: Iterable[Function],
    operators: Collection[str],
) -> frozenset[Key]:
    """The relations where a write may run such code, by itself or by what that code, a view, a foreign key or a child leads to."""
    said = _said(functions)
    code = list(attached)
    names = {name for name, found in said.items() if found is None or _unsettles(found, operators)}
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


def _said(functions: Iterable[Function]) -> dict[str, set[str] | None]:
    """What the sources of each name hold; None where that can't be told. Code in C has none that a client's text gets into."""
    overloads: defaultdict[str, list[Function]] = defaultdict(list)
    for each in functions:
        overloads[each.name].append(each)
    readable = READ | TRUSTED
    return {
        name: words_of(every) if all(each.language in readable for each in every) else None
        for name, every in overloads.items()
    }


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
