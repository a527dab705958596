"""User functions that a read may call: they run inside a read-only transaction, and their source holds nothing that one allows.

What lives here: a pure look at what pg_proc says of functions outside pg_catalog (enforcement.md, decision 3b, and
stricter). The words of a source are compared, not its meaning: a word that could lead to more than a read makes the
function unknown, be it only in a comment. Functions in C that are not volatile count like built-in ones: only a superuser
can make them. Loading the facts is gateway.relay.side's.

There are two kinds. The first only read. The others may write, but only in ways that the server refuses in a read-only
transaction (25006, enforcement.md 1.1); then people are asked (gateway.session.secondtry). Of those none may have an
exception handler, it would swallow the 25006, and what is written to must not run code before the server refuses.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
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
#: Those of them that a read-only transaction refuses with 25006, whatever stands behind them (corpus: "25006 and held").
_REFUSED = words("create delete drop insert merge nextval setval share truncate update")
_SEQUENCES = frozenset({"nextval", "setval"})  # built-in; of that name users have no function here (special_class)
#: Not a word: SELECT ... INTO in a SQL function makes a table, in PL/pgSQL it fills a variable.
MAKES_TABLE = "select into"
#: PostgreSQL's identifiers: every character beyond ASCII counts as a letter, combining marks and symbols too.
_WORD = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*")
_LETTER = r"[\w$\x80-\U0010ffff]"
_GAP = r"[ \t\n\r\f]+"  # what is space to PostgreSQL: not what else is to Unicode
_NAME = r'(?!(?:then|else|loop|begin|atomic)\b)[a-z_"\x80-\U0010ffff][\w".\x80-\U0010ffff]*'
#: UPDATE ... SET: nothing that ends a comment, a string or a statement fits in between, so this SET is no statement.
_SETS = re.compile(
    rf"(?<!{_LETTER})update(?:{_GAP}only)?(?:{_GAP}{_NAME}(?:{_GAP}as)?(?:{_GAP}{_NAME})?)?{_GAP}set(?!{_LETTER})",
    re.ASCII,
)
#: ON CONFLICT DO ...: the statement DO has a text behind it, or LANGUAGE.
_DOES = re.compile(rf"(?<!{_LETTER})do{_GAP}(?=(?:nothing|update)(?!{_LETTER}))", re.ASCII)
#: It cuts longer names, in bytes: what is written isn't what is called.
_KEPT = 63
#: Operators without an operator sign; which one is meant is looked up by name like any other.
_SPELLED = {
    "between": "<= >=", "case": "=", "distinct": "=", "ilike": "~~*", "in": "=", "like": "~~", "natural": "=",
    "nullif": "=", "similar": "~", "using": "=",
}  # fmt: skip
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_QUOTED = re.compile(r'"([^"]*)"')
TRUSTED = frozenset({"c", "internal"})
READ = frozenset({"sql", "plpgsql"})


@dataclass(frozen=True, slots=True)
class Function:
    """One row of pg_proc outside pg_catalog. `text`: source, argument defaults, argument and result types, as SQL; `oid`: 0 if not
    given; `sets`: it returns a set.

    `plain`: an ordinary function or aggregate, not SECURITY DEFINER, without settings of its own.
    """

    name: str
    language: str
    volatile: bool
    plain: bool
    text: str
    oid: int = 0
    sets: bool = False


def contained(functions: Iterable[Function], unsafe: Collection[str], operators: Collection[str]) -> frozenset[str]:
    """The names whose every overload only reads, as far as its words tell. Words are compared in lower case, quoted or not.

    `unsafe`: other names that no source may hold: built-in functions that do more than read, relations that run code,
    types with code of the user's. `operators`: the user's own.
    """
    never = {each.casefold() for each in unsafe} | _DOES_MORE | {MAKES_TABLE}
    return _closed(functions, lambda found: _harmless(found, never, operators))


def refused(
    functions: Iterable[Function], unsafe: Collection[str], operators: Collection[str], targets: Collection[str]
) -> frozenset[str]:
    """The names whose every overload reads, and writes only what the server refuses in a read-only transaction, with an error
    that reaches the client. They call only each other.

    `targets`: relations where planning a write may already run code of the user's: defaults, and types of columns.
    """
    names = {each.casefold() for each in (*unsafe, *targets)} - _SEQUENCES
    forgiven = _REFUSED - names
    never = names | (_DOES_MORE - forgiven)
    return _closed(functions, lambda found: not found >= _HANDLER and _harmless(found - forgiven, never, operators))


#: EXCEPTION WHEN would catch the 25006. (RAISE EXCEPTION beside a CASE WHEN counts as one.)
_HANDLER = frozenset({"exception", "when"})


def _closed(functions: Iterable[Function], fine: Callable[[set[str]], bool]) -> frozenset[str]:
    """The names whose sources are all `fine` and hold no name of a function that isn't."""
    overloads: defaultdict[str, list[Function]] = defaultdict(list)
    for each in functions:
        overloads[each.name].append(each)
    said = {
        name: words_of(every)
        for name, every in overloads.items()
        if special_class(name) is None and all(map(_fits, every))
    }
    found = {name for name, words in said.items() if words is not None and fine(words)}
    while True:
        others = {name.casefold() for name in overloads.keys() - found}
        calling = {name for name in found if (said[name] or set()) & others}
        if not calling:
            return frozenset(found)
        found -= calling


def named_in(
    functions: Iterable[Function], relations: Iterable[tuple[str, str]]
) -> dict[str, frozenset[tuple[str, str]]]:
    """The relations (schema, name) whose names are in the sources of each function and of what it calls, which it may read.

    By words, so too many rather than too few: of relations of one name those whose schema is a word too, else all of them.
    """
    said: defaultdict[str, set[str]] = defaultdict(set)
    for each in functions:
        if each.language not in TRUSTED:
            said[each.name] |= set(_WORD.findall(each.text.casefold()))
    alike: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for schema, name in relations:
        alike[name.casefold()].append((schema, name))
    found = {
        name: frozenset(key for word in words if word in alike for key in _meant(alike[word], words))
        for name, words in said.items()
    }
    callees = {name: words & found.keys() - {name} for name, words in said.items()}
    while True:
        more = {name: found[name].union(*(found[each] for each in called)) for name, called in callees.items()}
        if more == found:
            return {name: keys for name, keys in found.items() if keys}
        found = more


def _meant(keys: list[tuple[str, str]], words: set[str]) -> list[tuple[str, str]]:
    return [key for key in keys if key[0].casefold() in words] or keys


#: In C and not volatile, and they run SQL or make rows whose types run code.
_NOT_TRUSTED = frozenset({"populate_record"})


def _fits(function: Function) -> bool:
    if not function.plain or function.name in _NOT_TRUSTED:
        return False
    return function.language in READ or (function.language in TRUSTED and not function.volatile)


def words_of(overloads: Iterable[Function]) -> set[str] | None:
    """All words and operators of the sources; None where a name is written so that it can't be compared."""
    found: set[str] = set()
    for each in overloads:
        if each.language in TRUSTED:
            continue
        text = each.text.casefold()  # lower() would make a final sigma of some, depending on what stands around it
        if "u&" in text or '""' in text or any(not _WORD.fullmatch(name) for name in _QUOTED.findall(text)):
            return None
        names = set(_WORD.findall(_without_sets(text)))
        if any(len(name.encode()) > _KEPT for name in names):
            return None
        if each.language == "sql" and "into" in names:
            found.add(MAKES_TABLE)
        found.update(names, _OPERATOR.findall(text.replace("!=", "<>")))  # what the scanner makes of it
        found.update(sign for name in names for sign in _SPELLED.get(name, "").split())
    return found


def _without_sets(text: str) -> str:
    """The text without the SET of UPDATE and the DO of ON CONFLICT, which are no statements."""

    def kept(match: re.Match[str]) -> str:
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        return match[0] if "--" in before else match[0][: -len("set")]  # a comment may end in between

    return _DOES.sub("", _SETS.sub(kept, text))


def _harmless(words: set[str], never: set[str], operators: Collection[str]) -> bool:
    if words & never or any(special_class(word) is not None for word in words):
        return False
    return not any(operator in word for operator in operators for word in words)
