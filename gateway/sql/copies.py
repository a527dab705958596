"""Columns whose stored values were made of other columns by the target itself: triggers, rules, defaults, foreign keys.

What lives here: from the texts of a target's own code to "this column carries what that one held". Generated columns are
expressions and belong to lineage. What must not: I/O, statements of clients.

Code is read by its words, not by its grammar: a trigger that names columns, of its own relation or of another, and sets a
column of the new row or writes to a relation is taken to copy the ones into the other. So it says too much rather than
too little, but for three things: what code makes of words at run time (`'ca' || 'rd'`), what it writes by way of a client
outside of the database, and a number that it makes of a text and writes to another relation.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.sql.attached import uncommented
from gateway.sql.catalog import Catalog, Relation, Spread
from gateway.sql.frames import CLOSED
from gateway.sql.parse import MAX_BYTES
from gateway.sql.statement import Statement
from gateway.sql.tree import parts, words

Key = tuple[str, str]  # schema, relation
Place = tuple[str, str, str]  # schema, relation, column
Found = dict[Place, set[Place]]  # column -> what it is made of

#: Words with quotes or without, and what is no such word but stands in quotes. A lone quote in a string hides no word.
_WORD = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$]*")
_QUOTED = re.compile(r'"((?![a-z_][a-z0-9_$]*")(?:[^"]|""){1,130})"')
_NAME = r'(?:"(?:[^"]|""){1,130}"|[\w$]+)'
_PLACE = rf"{_NAME}(?:\s*\.\s*{_NAME}|\s*\[[^\]]*\])*"  # with fields of composites and subscripts
_NEW = rf'"?\bnew\b"?\s*\.\s*({_NAME})(?:\s*\.\s*{_NAME}|\s*\[[^\]]*\])*'  # a column of the new row
_WHOLE_NEW = r'"?\bnew\b"?(?!\s*\.)'
_BEGINS = r"(?:^|;|>>|\b(?:begin|then|else|loop))\s*"  # what stands before a PL/pgSQL statement
_SET = re.compile(rf"(?:{_BEGINS}{_NEW}\s*=)|(?:{_NEW}\s*:=)", re.IGNORECASE)
#: Places that a statement fills: behind INTO they are a list, in GET DIAGNOSTICS and CALL they may stand anywhere.
_FILLED = re.compile(
    rf"\binto\s+(?:strict\s+)?({_PLACE}(?:\s*,\s*{_PLACE})*)"
    r"|\b(?:for|foreach)\s+([^;]{0,500}?)\s+(?:in|slice)\b|\b(?:diagnostics|call)\b([^;]*)",
    re.IGNORECASE,
)
_SET_COLUMN = re.compile(_NEW, re.IGNORECASE)
_SET_ROW = re.compile(
    rf"(?:{_BEGINS}{_WHOLE_NEW}\s*=)|{_WHOLE_NEW}\s*:=|\b(?:into\s+(?:strict\s+)?|for\s+){_WHOLE_NEW}"
    rf"|\bcall\b[^;]{{0,500}}?{_WHOLE_NEW}",
    re.IGNORECASE,
)
_ALIAS = re.compile(rf'(?<![\w$])({_NAME})\s+alias\s+for\s+"?new\b"?', re.IGNORECASE)
_RETURNED = re.compile(r"\breturn\b(?!\s+(?:query|next)\b)", re.IGNORECASE)
#: The row goes on as it is. Whatever else is returned becomes the new row.
_PASSED_ON = re.compile(
    r"\breturn\b(?:\s|\b(?:new|old|null|coalesce|case|when|then|else|end|tg_op)\b|'[^']*'|[=(),])+;", re.IGNORECASE
)
#: The whole row, and rows by a transition table.
_ROW = re.compile(r"\b(?:new|old)\b(?!\"?\s*\.\s*[\w\"])", re.IGNORECASE)
#: All columns of what is read: neither count(*) nor a product, which something stands behind.
_STAR = re.compile(r"[^(\s*/]\s*\*\s*(?:[,;)'\"$]|\b(?:from|into)\b|$)", re.IGNORECASE)
_END = r"(?![\w$\"]|\s*\.)"  # of the last part of a name
_ALONE = re.compile(rf"(?<![\w$]){_WORD.pattern}(?![\w$]|\"?\s*\.)")
_QUOTED_ALONE = re.compile(rf"{_QUOTED.pattern}(?!\s*\.)")
_FROM = re.compile(
    rf"\b(?:from|join|only|into|update|using)\s+(?:{_NAME}\s*\.\s*)?({_NAME}){_END}(?=(?:\s+(?:as\s+)?({_NAME}))?)",
    re.IGNORECASE,
)
_INSERTED = re.compile(rf"\binsert\s+into\s+(?:{_NAME}\s*\.\s*)?({_NAME}){_END}", re.IGNORECASE)
_NO_ALIAS = words(
    "as on using where set join left right inner full cross natural order group limit into for values select returning when loop"
)
_WRITES = re.compile(r"\b(?:insert|update|merge|copy)\b", re.IGNORECASE)
#: The same words where they name nothing to write to: TG_OP = 'INSERT', FOR UPDATE, a rule's ON UPDATE TO, and behind ON
#: CONFLICT and WHEN MATCHED, whose target is said before.
_NO_WRITE = re.compile(
    r"'(?:insert|update)'|\b(?:for|key)\s+update\b|\bon\s+(?:insert|update)\s+to\b"
    r"|\b(?:do|then)\s+update\s+set\b|\bthen\s+insert\b(?!\s+into\b)",
    re.IGNORECASE,
)
_CREATES = re.compile(
    rf"\bcreate\s+(?:(?:global|local|temp|temporary|unlogged)\s+)*table\s+(?:if\s+not\s+exists\s+)?(?:{_NAME}\s*\.\s*)?({_NAME})",
    re.IGNORECASE,
)
#: DDL that gives what was written another name, or ends what tells where it came from.
_SEVERS = re.compile(
    r"\b(?:rename|no\s+inherit|set\s+schema|detach\s+partition|disable\s+trigger)\b|\bdrop\s+(?:constraint|trigger|view|rule|expression|default)\b",
    re.IGNORECASE,
)
_TRIGGERS = re.compile(r"\breturns\s+trigger\b", re.IGNORECASE)
_EXECUTES = re.compile(r"\bexecute\b(?!\s+(?:function|procedure)\b)", re.IGNORECASE)
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
#: Sources of one column. With more than these nobody looks for which: tables that all copy from each other would have them all.
_MANY = 1000
#: Statements whose text is code that runs later.
_DEFINING = frozenset({"CREATE FUNCTION", "CREATE PROCEDURE", "CREATE RULE"})
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
    names = _by_name(relations)
    for each_code in code:
        if each_code.relation in relations:
            _of_code(each_code, relations, names, functions, found)
    _follow(found)
    while _inherit(relations, found):
        _follow(found)
    dotted = {place: ".".join(place) for place in {*found}.union(*found.values())}  # once a name: they are shared
    made: dict[Key, dict[str, frozenset[str]]] = defaultdict(dict)
    for (schema, name, column), sources in found.items():
        sources.discard((schema, name, column))
        made[schema, name][column] = CLOSED if len(sources) > _MANY else frozenset(dotted[each] for each in sources)
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
    said = _said(text)
    words = said.words.keys() | set(code.args)
    row = not code.by_rows or _ROW.search(_PASSED_ON.sub("", text)) is not None
    read = {(*own, column): relation.types.get(column, "") for column in relation.columns if row or column in words}
    named = [each for word in words & names.keys() for each in names[word]]
    read |= _read(said, words, code.args, [each for each in named if each is not relation], relations)
    for column in _assigned(uncommented(code.text), text, relation):
        found[*own, column].update(read)
    for target in _targets(text, names, named):
        itself = target is relation or said.reads_from(target.name)
        _written(target, read if itself else _but_of(target, read), relations, found)


def spread(
    texts: Mapping[str, str], relations: Mapping[Key, Relation], functions: Mapping[str, str]
) -> dict[str, Spread]:
    """Say of each of these texts, by name, what it writes, with the functions that it calls; of none that writes nothing."""
    names = _by_name(relations)
    whole = {name: with_called(text, functions, [name]) for name, text in texts.items()}
    found = {
        name: _spread(text, names, relations)
        for name, text in whole.items()
        if any(each.search(text) for each in (_WRITES, _CREATES, _EXECUTES, _SEVERS))
    }
    return {name: each for name, each in found.items() if each.to or each.creates or (each.anywhere and each.reads)}


def _spread(text: str, names: Mapping[str, list[Relation]], relations: Mapping[Key, Relation]) -> Spread:
    said, words = _said(text), _words(text)
    named = [each for word in words & names.keys() for each in names[word]]
    read = {".".join(place): kind for place, kind in _read(said, words, (), named, relations).items()}
    targets = [
        shown for each in _targets(text, names, named) for shown, _ in _shown(each, tuple(each.columns), relations)
    ]
    creates = frozenset(_folded(each) for each in _CREATES.findall(text))
    to = frozenset((each.schema, each.name) for each in targets)
    anywhere = any(each.search(text) for each in (_EXECUTES, _SEVERS))
    return Spread(to, read, creates, anywhere)


def spread_by(statement: Statement, catalog: Catalog) -> list[Spread]:
    """What the functions of the user's write that a statement calls, and the code of DO."""
    called = {parts(each)[-1] for each in statement.functions}
    found: list[Spread] = []
    if len(statement.sql) > MAX_BYTES:
        return [_of_long(statement, catalog.relations)] if statement.tag in {"DO", *_DEFINING} else []
    if statement.tag == "DO":
        called |= _words(statement.sql)
        found += spread({"": statement.sql}, catalog.relations, {}).values()
    if statement.tag in _DEFINING:
        found.append(_defined(uncommented(statement.sql), catalog.relations))
    return [*found, *(catalog.function_writes[each] for each in sorted(called & catalog.function_writes.keys()))]


def _of_long(statement: Statement, relations: Mapping[Key, Relation]) -> Spread:
    """Of a text that takes long to read: it writes what it names into whatever it names, and DO anywhere."""
    said = {each.lower() for each in _WORD.findall(statement.sql)}
    named = {key: each for key, each in relations.items() if each.name.lower() in said}
    read = {
        ".".join((*key, column)): each.types.get(column, "")
        for key, each in named.items()
        for column in each.columns
        if column.lower() in said
    }
    return Spread(frozenset(named), read, frozenset(), anywhere=statement.tag == "DO")


def _defined(text: str, relations: Mapping[Key, Relation]) -> Spread:
    """What code is going to write that a statement defines: it may run in the same transaction, and be gone behind it."""
    found = _spread(text, _by_name(relations), relations)
    columns = set[str]()
    if _TRIGGERS.search(text):
        columns = {"*"} if _sets_row(text, text) else _set_columns(text)
    return replace(found, anywhere=False, sets=frozenset(columns))


def fits(kind: str, kinds: Collection[str]) -> bool:
    """Whether a column of a type may hold a value of one of these types, written out or as it is."""
    return _NARROW.fullmatch(kind) is None or kind in kinds


def _by_name(relations: Mapping[Key, Relation]) -> dict[str, list[Relation]]:
    names: dict[str, list[Relation]] = defaultdict(list)
    for relation in relations.values():
        names[relation.name].append(relation)
    return names


def _read(
    said: "_Said",
    words: Set[str],
    args: Collection[str],
    named: Iterable[Relation],
    relations: Mapping[Key, Relation],
) -> dict[Place, str]:
    """The columns of these relations that code may read, with their types."""
    found = dict[Place, str]()
    for each in named:
        dynamic = each.name in args
        if dynamic or said.is_read(each.name):
            every = dynamic or said.all_of(each.name)
            found |= _sources(each, [name for name in each.columns if every or name in words], relations)
    return found


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


def _but_of(target: Relation, read: Mapping[Place, str]) -> dict[Place, str]:
    return {place: kind for place, kind in read.items() if place[:2] != (target.schema, target.name)}


def _written(target: Relation, read: Mapping[Place, str], relations: Mapping[Key, Relation], found: Found) -> None:
    """What was read goes into every column that can hold it; by way of a view, into those that it shows."""
    for each, columns in _shown(target, tuple(target.columns), relations):
        for column in columns:
            kind, place = each.types.get(column, ""), (each.schema, each.name, column)
            sources = {source for source, its in read.items() if fits(kind, (its,)) and source != place}
            if sources:
                found[place].update(sources)


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


def _words(text: str) -> Set[str]:
    return _said(text).words.keys()


def _without_aliases(text: str) -> str:
    """The same with NEW for the names that DECLARE gives it."""
    aliases = _ALIAS.findall(text)
    text = _ALIAS.sub(" ", text)
    for alias in aliases:
        text = re.sub(rf'"?(?<![\w$]){re.escape(_bare(alias))}(?![\w$])"?', "new", text, flags=re.IGNORECASE)
    return text


def _assigned(own: str, text: str, relation: Relation) -> Iterable[str]:
    """The columns of the new row that a trigger sets; `text` is its `own` with that of the functions it calls."""
    if _sets_row(own, text):
        return relation.columns
    named = _set_columns(text)
    return [each for each in relation.columns if each.lower() in named]


def _sets_row(own: str, text: str) -> bool:
    return bool(_SET_ROW.search(text)) or len(_RETURNED.findall(own)) > len(_PASSED_ON.findall(own))


def _set_columns(text: str) -> set[str]:
    """The names, in lower case, of the columns of NEW that a text sets."""
    named = [one or other for one, other in _SET.findall(text)]
    named += [name for each in _FILLED.findall(text) for name in _SET_COLUMN.findall(" ".join(each))]
    return {_bare(each).lower() for each in named}


@dataclass(frozen=True, slots=True)
class _Said:
    """How often a text says each name: anywhere (`words`), not before a dot (`alone`), behind INSERT INTO (`inserted`), behind
    FROM and the like (`taken`); `aliases`: the names that follow those. `star`: it may read every column of something."""

    words: Counter[str]
    alone: Counter[str]
    inserted: Counter[str]
    taken: Counter[str]
    aliases: tuple[tuple[str, str], ...]
    star: bool

    def is_read(self, name: str) -> bool:
        """Whether a relation is named not only to insert into it."""
        return self.words[name] > self.inserted[name]

    def reads_from(self, name: str) -> bool:
        """Whether it may also be read where it is written to."""
        return self.taken[name] > self.inserted[name]

    def all_of(self, name: str) -> bool:
        """Whether every column of a relation may be read: by a star, or as a row, under its own name or an alias."""
        if self.star or self.alone[name] > self.taken[name]:
            return True
        aliases = Counter(alias for of, alias in self.aliases if of == name)
        return any(self.alone[each] > count for each, count in aliases.items())


@lru_cache(maxsize=2048)
def _said(text: str) -> _Said:
    """Of what DDL has not touched the text was read before."""
    taken = [(_folded(name), _folded(alias)) for name, alias in _FROM.findall(text)]
    return _Said(
        _counted(_WORD.findall(text), _QUOTED.findall(text)),
        _counted(_ALONE.findall(text), _QUOTED_ALONE.findall(text)),
        Counter(map(_folded, _INSERTED.findall(text))),
        Counter(name for name, _ in taken),
        tuple((name, alias) for name, alias in taken if alias and alias not in _NO_ALIAS),
        _STAR.search(text) is not None,
    )


def _counted(bare: Iterable[str], quoted: Iterable[str]) -> Counter[str]:
    return Counter(each.lower() for each in bare) + Counter(each.replace('""', '"') for each in quoted)


def _folded(name: str) -> str:
    return _bare(name) if name.startswith('"') else name.lower()


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _targets(text: str, names: Mapping[str, list[Relation]], named: list[Relation]) -> list[Relation]:
    """The relations that code writes to; where it doesn't say, every one that it names."""
    if not _WRITES.search(text):
        return []
    text = _NO_WRITE.sub(" ", text)
    said = [_folded(each) for each in _WRITTEN.findall(text)]
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
    users: dict[Place, set[Place]] = defaultdict(set)
    for place, sources in found.items():
        for source in sources & found.keys():
            users[source].add(place)
    todo = {*users}
    while todo:
        source = todo.pop()
        for place in users[source]:
            if len(found[place]) <= _MANY and not found[source] <= found[place]:
                found[place] |= found[source]
                todo.add(place)
