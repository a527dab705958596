"""Columns whose stored values were made of other columns by the target itself: triggers, rules, foreign keys.

What lives here: from the texts of a target's own code to "this column carries what that one held". Generated columns are
expressions and belong to lineage. What must not: I/O, statements of clients.

Code is read by its words, not by its grammar: a trigger that names a column and writes to a relation is taken to copy the
one into the other. So it says too much rather than too little, but for three things: what code makes of words at run time
(`'ca' || 'rd'`), what it writes by way of a client outside of the database, and a number that it makes of a text.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.sql.catalog import Relation
from gateway.sql.tree import words

Key = tuple[str, str]  # schema, relation
Place = tuple[str, str, str]  # schema, relation, column

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_\x80-\U0010ffff][\w$]*)')
_PASSED_ON = re.compile(r"\breturn\s+(?:new|old)\s*;", re.IGNORECASE)
#: The whole row, and rows by a transition table.
_ROW = re.compile(r"\b(?:new|old)\b(?!\s*\.\s*[\w\"])", re.IGNORECASE)
#: An assignment to a column of the new row, at the beginning of a PL/pgSQL statement or behind INTO.
_SET = re.compile(
    r'(?:(?:^|;|\b(?:begin|then|else|loop))\s*new\s*\.\s*"?([\w$]+)"?\s*:?=)|\binto\s+(?:strict\s+)?new\s*\.\s*"?([\w$]+)',
    re.IGNORECASE,
)
_SET_ROW = re.compile(
    r"(?:(?:^|;|\b(?:begin|then|else|loop))\s*new\s*:?=)|\binto\s+(?:strict\s+)?new\b(?!\s*\.)", re.IGNORECASE
)
_WRITES = re.compile(r"\b(?:insert|update|merge|copy)\b", re.IGNORECASE)
#: A built-in trigger function that makes its first argument of the columns that the others name (manual, 12.4.3).
_SEARCHED = words("tsvector_update_trigger tsvector_update_trigger_column")
#: Types that hold nothing but values of their own kind; every other can hold anything, written out.
_NARROW = re.compile(
    r"(?:smallint|integer|bigint|numeric|real|double precision|boolean|date|time|timestamp|interval|uuid|inet|cidr|macaddr"
    r"|money|oid)\b[^\[]*"
)
_DEEP = 3  # functions that call functions


@dataclass(frozen=True, slots=True)
class Code:
    """What runs when a row of `relation` changes: a trigger's function, or a rule with "" for its name.

    `args` are the trigger's own; `by_rows` is False for a trigger that sees transition tables.
    """

    relation: Key
    text: str
    function: str = ""
    args: tuple[str, ...] = ()
    by_rows: bool = True


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: these columns of `relation` always hold values of those."""

    relation: Key
    columns: tuple[str, ...]
    referred: Key
    referred_columns: tuple[str, ...]


def fed(
    relations: Mapping[Key, Relation],
    code: Iterable[Code],
    references: Iterable[Reference],
    functions: Mapping[str, str],
) -> dict[Key, dict[str, frozenset[str]]]:
    """Say which columns are made of which others: (schema, relation) -> column -> "schema.relation.column" of its sources.

    `functions`: name -> source of the user's functions, for those that a trigger calls.
    """
    found: dict[Place, set[Place]] = defaultdict(set)
    for each in references:
        for column, source in zip(each.columns, each.referred_columns, strict=True):
            found[*each.relation, column].add((*each.referred, source))
    names: dict[str, list[Relation]] = defaultdict(list)
    for relation in relations.values():
        names[relation.name].append(relation)
    for each_code in code:
        if each_code.relation in relations:
            _of_code(each_code, relations[each_code.relation], names, functions, found)
    _follow(found)
    made: dict[Key, dict[str, frozenset[str]]] = defaultdict(dict)
    for (schema, name, column), sources in found.items():
        made[schema, name][column] = frozenset(".".join(each) for each in sources if each != (schema, name, column))
    return dict(made)


def _of_code(
    code: Code,
    relation: Relation,
    names: Mapping[str, list[Relation]],
    functions: Mapping[str, str],
    found: dict[Place, set[Place]],
) -> None:
    own = (relation.schema, relation.name)
    if code.function in _SEARCHED:
        for source in code.args[2:]:
            found[*own, code.args[0]].add((*own, source))
        return
    text = with_called(code.text, functions, [code.function])
    said = _words(text) | set(code.args)
    row = not code.by_rows or _ROW.search(_PASSED_ON.sub("", text)) is not None
    read = [column for column in relation.columns if row or column in said]
    for column in _assigned(text, relation):
        found[*own, column].update((*own, source) for source in read)
    if _WRITES.search(text):
        written = [each for word in said & names.keys() for each in names[word] if (each.schema, each.name) != own]
        for target in written:
            _written(target, relation, read, found)


def _written(target: Relation, source: Relation, read: list[str], found: dict[Place, set[Place]]) -> None:
    for column in target.columns:
        kind = target.types.get(column, "")
        narrow = _NARROW.fullmatch(kind) is not None
        fits = [each for each in read if not narrow or source.types.get(each) == kind]
        if fits:
            found[target.schema, target.name, column].update((source.schema, source.name, each) for each in fits)


def with_called(text: str, functions: Mapping[str, str], own: Iterable[str]) -> str:
    """The code and that of the user's functions it names, but for its `own`. Without comments."""
    text, known = _COMMENT.sub(" ", text), {*own}
    for _ in range(_DEEP):
        called = (_words(text) & functions.keys()) - known
        if not called:
            break
        known |= called
        text += "\n" + "\n".join(_COMMENT.sub(" ", functions[each]) for each in sorted(called))
    return text


def _words(text: str) -> set[str]:
    return {each[1].replace('""', '"') if each[1] else each[2].lower() for each in _WORD.finditer(text)}


def _assigned(text: str, relation: Relation) -> Iterable[str]:
    """The columns of the new row that a trigger sets."""
    if _SET_ROW.search(text):
        return relation.columns
    folded = {(one or other).lower() for one, other in _SET.findall(text)}
    return [each for each in relation.columns if each.lower() in folded]


def _follow(found: dict[Place, set[Place]]) -> None:
    """What was copied into a column is copied on from there."""
    todo = set(found)
    while todo:
        place = todo.pop()
        more = set().union(*(found[each] for each in found[place] if each in found))
        if not more <= found[place]:
            found[place] |= more
            todo |= {each for each, sources in found.items() if place in sources}
