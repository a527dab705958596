"""Columns whose stored values were made of other columns by the target itself: triggers, rules, defaults, foreign keys.

What lives here: from the texts of a target's own code to "this column carries what that one held". Generated columns are
expressions and belong to lineage. What must not: I/O, statements of clients.

Code is read by its words, not by its grammar: a trigger that names columns, of its own relation or of another, and sets a
column of the new row or writes to a relation is taken to copy the ones into the other. So it says too much rather than
too little, but for three things: what code makes of words at run time (`'ca' || 'rd'`), what it writes by way of a client
outside of the database, and a number that it makes of a text and writes to another relation.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.sql.attached import uncommented
from gateway.sql.catalog import Relation
from gateway.sql.tree import words

Key = tuple[str, str]  # schema, relation
Place = tuple[str, str, str]  # schema, relation, column
Found = dict[Place, set[Place]]  # column -> what it is made of

_WORD = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_\x80-\U0010ffff][\w$]*)')
_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_PLACE = rf"{_NAME}(?:\s*\.\s*{_NAME}|\s*\[[^\]]*\])*"  # with fields of composites and subscripts
_NEW = rf'"?\bnew\b"?\s*\.\s*({_NAME})(?:\s*\.\s*{_NAME}|\s*\[[^\]]*\])*'  # a column of the new row
_WHOLE_NEW = r'"?\bnew\b"?(?!\s*\.)'
_BEGINS = r"(?:^|;|>>|\b(?:begin|then|else|loop))\s*"  # what stands before a PL/pgSQL statement
_SET = re.compile(rf"(?:{_BEGINS}{_NEW}\s*=)|(?:{_NEW}\s*:=)", re.IGNORECASE)
#: Places that a statement fills: behind INTO they are a list, in GET DIAGNOSTICS and CALL they may stand anywhere.
_FILLED = re.compile(
    rf"\binto\s+(?:strict\s+)?({_PLACE}(?:\s*,\s*{_PLACE})*)"
    r"|\b(?:for|foreach)\s+([^;]*?)\s+(?:in|slice)\b|\b(?:diagnostics|call)\b([^;]*)",
    re.IGNORECASE,
)
_SET_COLUMN = re.compile(_NEW, re.IGNORECASE)
_SET_ROW = re.compile(
    rf"(?:{_BEGINS}{_WHOLE_NEW}\s*=)|{_WHOLE_NEW}\s*:=|\b(?:into\s+(?:strict\s+)?|for\s+){_WHOLE_NEW}"
    rf"|\bcall\b[^;]*{_WHOLE_NEW}",
    re.IGNORECASE,
)
_ALIAS = re.compile(rf'({_NAME})\s+alias\s+for\s+"?new\b"?', re.IGNORECASE)
_RETURNED = re.compile(r"\breturn\b(?!\s+(?:query|next)\b)", re.IGNORECASE)
#: The row goes on as it is. Whatever else is returned becomes the new row.
_PASSED_ON = re.compile(
    r"\breturn\b(?:\s|\b(?:new|old|null|coalesce|case|when|then|else|end|tg_op)\b|'[^']*'|[=(),])+;", re.IGNORECASE
)
#: The whole row, and rows by a transition table.
_ROW = re.compile(r"\b(?:new|old)\b(?!\"?\s*\.\s*[\w\"])", re.IGNORECASE)
#: All columns of what is read: neither count(*) nor a product, which something stands behind.
_STAR = re.compile(r"[^(\s*/]\s*\*\s*(?:[,;)'\"$]|\b(?:from|into)\b|$)", re.IGNORECASE)
_FROM = rf"\b(?:from|join|only|into|update|using)\s+(?:{_NAME}\s*\.\s*)?"
_NO_ALIAS = words(
    "as on using where set join left right inner full cross natural order group limit into for values select returning when loop"
)
_WRITES = re.compile(r"\b(?:insert|update|merge|copy)\b", re.IGNORECASE)
#: The same words where they write nothing: TG_OP = 'INSERT', FOR UPDATE, ON CONFLICT DO UPDATE SET, a rule's ON UPDATE TO.
_NO_WRITE = re.compile(
    r"'(?:insert|update)'|\b(?:for|key|on|then)\s+(?:insert|update)\b(?:\s+to\b)?|\bdo\s+update\s+set\b", re.IGNORECASE
)
_WRITTEN = re.compile(
    rf"\b(?:insert\s+into|merge\s+into|update|copy)\s+(?:only\s+)?(?:{_NAME}\s*\.\s*)*({_NAME})(?!['\w$]|\s*\.)",
    re.IGNORECASE,
)
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
    """What runs when a row of `relation` changes: a trigger's function, or a rule or a default with "" for its name.

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
    found: Found = defaultdict(set)
    for each in references:
        for column, source in zip(each.columns, each.referred_columns, strict=True):
            found[*each.relation, column].add((*each.referred, source))
    names: dict[str, list[Relation]] = defaultdict(list)
    for relation in relations.values():
        names[relation.name].append(relation)
    for each_code in code:
        if each_code.relation in relations:
            _of_code(each_code, relations, names, functions, found)
    _follow(found)
    while _inherit(relations, found):
        _follow(found)
    made: dict[Key, dict[str, frozenset[str]]] = defaultdict(dict)
    for (schema, name, column), sources in found.items():
        made[schema, name][column] = frozenset(".".join(each) for each in sources if each != (schema, name, column))
    return dict(made)


def _of_code(
    code: Code,
    relations: Mapping[Key, Relation],
    names: Mapping[str, list[Relation]],
    functions: Mapping[str, str],
    found: Found,
) -> None:
    relation, own = relations[code.relation], code.relation
    if code.function in _SEARCHED:
        for source in code.args[2:]:
            found[*own, code.args[0]].add((*own, source))
        return
    text = _without_aliases(with_called(code.text, functions, [code.function]))
    said = _words(text) | set(code.args)
    row = not code.by_rows or _ROW.search(_PASSED_ON.sub("", text)) is not None
    read = {(*own, column): relation.types.get(column, "") for column in relation.columns if row or column in said}
    named = [each for word in said & names.keys() for each in names[word]]
    for each in named:
        dynamic = each.name in code.args
        if each is not relation and (dynamic or _is_read(each.name, text)):
            every = dynamic or _all_of(each.name, text)
            read |= _sources(each, [name for name in each.columns if every or name in said], relations)
    for column in _assigned(uncommented(code.text), text, relation):
        found[*own, column].update(read)
    if _WRITES.search(text):
        for target in _targets(text, names, named):
            itself = target is relation or re.search(rf"{_FROM}{_quoted(target.name)}", text, re.IGNORECASE)
            _written(target, read if itself else _but_of(target, read), relations, found)


def _sources(relation: Relation, columns: Iterable[str], relations: Mapping[Key, Relation]) -> dict[Place, str]:
    """These columns with their types, and what stands behind them: parents, generated columns, the tables of a view."""
    found = dict[Place, str]()
    for each, names in _shown(relation, tuple(columns), relations):
        for column in names:
            made = _words(each.generated.get(column, ""))
            kind = each.types.get(column, "")
            for name in (column, *(name for name in each.columns if name in made)):
                found |= {(*key, name): kind for key in ((each.schema, each.name), *each.parents)}
    return found


def _shown(
    relation: Relation, columns: tuple[str, ...], relations: Mapping[Key, Relation]
) -> list[tuple[Relation, tuple[str, ...]]]:
    """The relation with these columns, and if it is a view all that it shows of others."""
    found = [(relation, columns)] if columns else []
    for each, _ in found:  # it grows
        if each.kind in ("v", "m"):
            shown = [(relations[key], names) for key, names in each.shows if key in relations]
            found += [new for new in shown if new not in found]
    return found


def _but_of(relation: Relation, read: Mapping[Place, str]) -> dict[Place, str]:
    return {place: kind for place, kind in read.items() if place[:2] != (relation.schema, relation.name)}


def _written(target: Relation, read: Mapping[Place, str], relations: Mapping[Key, Relation], found: Found) -> None:
    """What was read goes into every column that can hold it; by way of a view, into those that it shows."""
    for each, columns in _shown(target, tuple(target.columns), relations):
        for column in columns:
            kind = each.types.get(column, "")
            narrow = _NARROW.fullmatch(kind) is not None
            place = each.schema, each.name, column
            fits = {source for source, its in read.items() if (not narrow or its == kind) and source != place}
            if fits:
                found[place].update(fits)


def with_called(text: str, functions: Mapping[str, str], own: Iterable[str]) -> str:
    """The code and that of the user's functions it names, but for its `own`. Without comments."""
    text, known = uncommented(text), {*own}
    for _ in range(_DEEP):
        called = (_words(text) & functions.keys()) - known
        if not called:
            break
        known |= called
        text += "\n" + "\n".join(uncommented(functions[each]) for each in sorted(called))
    return text


def _words(text: str) -> set[str]:
    return {each[1].replace('""', '"') if each[1] else each[2].lower() for each in _WORD.finditer(text)}


def _without_aliases(text: str) -> str:
    """The same with NEW for the names that DECLARE gives it."""
    aliases = _ALIAS.findall(text)
    text = _ALIAS.sub(" ", text)
    for alias in aliases:
        text = re.sub(_quoted(_bare(alias)), "new", text, flags=re.IGNORECASE)
    return text


def _assigned(own: str, text: str, relation: Relation) -> Iterable[str]:
    """The columns of the new row that a trigger sets; `text` is its `own` with that of the functions it calls."""
    if _SET_ROW.search(text) or len(_RETURNED.findall(own)) > len(_PASSED_ON.findall(own)):
        return relation.columns
    set_ = [one or other for one, other in _SET.findall(text)]
    set_ += [name for each in _FILLED.findall(text) for name in _SET_COLUMN.findall(" ".join(each))]
    folded = {_bare(each).lower() for each in set_}
    return [each for each in relation.columns if each.lower() in folded]


def _is_read(name: str, text: str) -> bool:
    """Whether code names a relation not only to insert into it."""
    own = _quoted(name)
    inserted = re.findall(rf"\binsert\s+into\s+(?:{_NAME}\s*\.\s*)?{own}", text, re.IGNORECASE)
    return len(re.findall(own, text, re.IGNORECASE)) > len(inserted)


def _all_of(name: str, text: str) -> bool:
    """Whether code may read every column of a relation: by a star, or as a row, under its own name or an alias."""
    if _STAR.search(text):
        return True
    own = _quoted(name)
    if _alone(own, text) > len(re.findall(rf"{_FROM}{own}(?!\s*\.)", text, re.IGNORECASE)):
        return True
    found = re.findall(rf"{_FROM}{own}\s+(?:as\s+)?({_NAME})", text, re.IGNORECASE)
    aliases = [_bare(each).lower() for each in found if each.lower() not in _NO_ALIAS]
    return any(_alone(_quoted(each), text) > aliases.count(each) for each in set(aliases))


def _quoted(name: str) -> str:
    """A pattern for a name, with quotes or without."""
    return rf'"?(?<![\w$]){re.escape(name.replace(chr(34), chr(34) * 2))}(?![\w$])"?'


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _alone(pattern: str, text: str) -> int:
    """How often a name stands for itself, and not before a dot."""
    return len(re.findall(rf"{pattern}(?!\s*\.)", text, re.IGNORECASE))


def _targets(text: str, names: Mapping[str, list[Relation]], named: list[Relation]) -> list[Relation]:
    """The relations that code writes to; where it doesn't say, every one that it names."""
    text = _NO_WRITE.sub(" ", text)
    said = [_bare(each) if each.startswith('"') else each.lower() for each in _WRITTEN.findall(text)]
    if len(said) < len(_WRITES.findall(text)) or not all(each in names for each in said):
        return named
    return [each for each in named if each.name in said]


def _inherit(relations: Mapping[Key, Relation], found: Found) -> bool:
    """Rows of a child show in its parents, and the other way round. Say whether that told anything new."""
    told = False
    for key, relation in relations.items():
        for place in ((*parent, column) for parent in relation.parents for column in relation.columns):
            own = (*key, place[2])
            if place in found or own in found:
                above = found[place] | {each for source in found[own] for each in _topmost(source, relations)}
                told = told or above != found[place] or not above <= found[own]
                found[place], found[own] = above, found[own] | above
    return told


def _topmost(place: Place, relations: Mapping[Key, Relation]) -> list[Place]:
    """The column in the tables that inherit from none: a thousand partitions with one trigger would name a thousand others.

    A mask of a partition is spread to its parents, so theirs stand for it.
    """
    relation = relations.get(place[:2])
    above = [relations[each] for each in (relation.parents if relation else ()) if each in relations]
    return [(each.schema, each.name, place[2]) for each in above if not each.parents and place[2] in each.columns] or [
        place
    ]


def _follow(found: Found) -> None:
    """What was copied into a column is copied on from there."""
    todo = set(found)
    while todo:
        place = todo.pop()
        more = set().union(*(found[each] for each in found[place] if each in found))
        if not more <= found[place]:
            found[place] |= more
            todo |= {each for each, sources in found.items() if place in sources}
