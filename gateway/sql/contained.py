"""User functions that a read may call: their source shows that they only read, and they run inside a read-only transaction.

What lives here: a pure look at what pg_proc says of functions outside pg_catalog (enforcement.md, decision 3b, and
stricter). The words of a source are compared, not its meaning: a word that could lead to more than a read makes the
function unknown, be it only in a comment. Functions in C that are not volatile count like built-in ones: only a superuser
can make them. Loading the facts is gateway.relay.side's.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.sql.functions import special_class
from gateway.sql.tree import words

#: Words of SQL and PL/pgSQL that begin or hold more than a read, give or change names, or run text made at run time.
_DOES_MORE = words(
    """
    alter analyze analyse call checkpoint close cluster comment commit copy create cursor deallocate delete
    discard do drop execute explain fetch grant import insert listen load lock merge move nextval notify open prepare
    reassign refcursor refresh reindex release reset revoke rollback savepoint security set set_config setval share start truncate
    unlisten update vacuum
    """
)
#: PostgreSQL's identifiers: every character beyond ASCII counts as a letter, combining marks and symbols too.
_WORD = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*")
#: It cuts longer names, in bytes: what is written isn't what is called.
_KEPT = 63
#: Operators without an operator sign; which one is meant is looked up by name like any other.
_SPELLED = {
    "between": "<= >=", "case": "=", "distinct": "=", "ilike": "~~*", "in": "=", "like": "~~", "natural": "=",
    "nullif": "=", "similar": "~", "using": "=",
}  # fmt: skip
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_QUOTED = re.compile(r'"([^"]*)"')
_TRUSTED = frozenset({"c", "internal"})
_READ = frozenset({"sql", "plpgsql"})


@dataclass(frozen=True, slots=True)
class Function:
    """One row of pg_proc outside pg_catalog. `text`: source, argument defaults, argument and result types, as SQL.

    `plain`: an ordinary function or aggregate, not SECURITY DEFINER, without settings of its own.
    """

    name: str
    language: str
    volatile: bool
    plain: bool
    text: str


def contained(functions: Iterable[Function], unsafe: Collection[str], operators: Collection[str]) -> frozenset[str]:
    """The names whose every overload only reads, as far as its words tell. Words are compared in lower case, quoted or not.

    `unsafe`: other names that no source may hold: built-in functions that do more than read, relations that run code,
    types with code of the user's. `operators`: the user's own.
    """
    overloads: defaultdict[str, list[Function]] = defaultdict(list)
    for each in functions:
        overloads[each.name].append(each)
    never = {each.casefold() for each in unsafe} | _DOES_MORE
    words_of = {
        name: _words(every)
        for name, every in overloads.items()
        if special_class(name) is None and all(map(_fits, every))
    }
    found = {name for name, words in words_of.items() if words is not None and _harmless(words, never, operators)}
    while True:
        others = {name.casefold() for name in overloads.keys() - found}
        calling = {name for name in found if (words_of[name] or set()) & others}
        if not calling:
            return frozenset(found)
        found -= calling


#: In C and not volatile, and they run SQL or make rows whose types run code.
_NOT_TRUSTED = frozenset({"populate_record"})


def _fits(function: Function) -> bool:
    if not function.plain or function.name in _NOT_TRUSTED:
        return False
    return function.language in _READ or (function.language in _TRUSTED and not function.volatile)


def _words(overloads: Iterable[Function]) -> set[str] | None:
    """All words and operators of the sources; None where a name is written so that it can't be compared."""
    found: set[str] = set()
    for each in overloads:
        if each.language in _TRUSTED:
            continue
        text = each.text.casefold()  # lower() would make a final sigma of some, depending on what stands around it
        if "u&" in text or '""' in text or any(not _WORD.fullmatch(name) for name in _QUOTED.findall(text)):
            return None
        names = set(_WORD.findall(text))
        if any(len(name.encode()) > _KEPT for name in names) or (each.language == "sql" and "into" in names):
            return None  # SELECT ... INTO makes a table, but in PL/pgSQL
        found.update(names, _OPERATOR.findall(text))
        found.update(sign for name in names for sign in _SPELLED.get(name, "").split())
    return found


def _harmless(words: set[str], never: set[str], operators: Collection[str]) -> bool:
    if words & never or any(special_class(word) is not None for word in words):
        return False
    return not any(operator in word for operator in operators for word in words)
