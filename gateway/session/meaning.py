"""What an approval binds: the exact bytes, and what they mean to the target (enforcement.md, decision 5). Pure.

What can change while people decide is asked for when the question is put and again when its answer is released: which
relations the names are, and settings that give the same text another effect. Settings are asked by SHOW, which takes no
snapshot. What only this session could change, and can't while it is held, goes into the digest as it is known.

What must not live here: when it is asked, and what happens then (holding.py).
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.session.errands import Messages, failure, rows
from gateway.session.names import Portal, Prepared
from gateway.session.replies import Batch, Execution, Reply
from gateway.sql.statement import Statement
from gateway.sql.tree import parts
from gateway.wire.frontend import query, read_execute

#: Whatever else a configuration reload, ALTER ROLE or code may change: who acts, which names are found, which rows and
#: triggers count, and how literals and texts are read and written (PostgreSQL manual, chapter Server Configuration).
SETTINGS = (
    "transaction_isolation",
    "role",
    "session_authorization",
    "search_path",
    "row_security",
    "session_replication_role",
    "transform_null_equals",
    "standard_conforming_strings",
    "array_nulls",
    "xmloption",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "timezone_abbreviations",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "default_text_search_config",
)
#: Those of which the target tells by itself (ParameterStatus), as far as its version does.
REPORTED = frozenset({*SETTINGS, "is_superuser", "server_encoding", "client_encoding"})
_CALL, _OPERATOR, _TYPE, _ALL_OF_SCHEMA = "()", "operator ", "type ", ".*"
_SHOWN = "; ".join(f"SHOW {name}" for name in SETTINGS)


@dataclass(frozen=True, slots=True)
class Meaning:
    """`oids`: "name=oid.digest" of each relation and schema that there is, "name=versions" of each function, operator and type of the user's
    (names_of), in order. `settings`: "name=value"; empty where they were not asked: on a side connection they are another
    session's. `told`: False where the target gave an error instead."""

    oids: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    told: bool = True


Question = Generator[bytes, Messages, Meaning]


def meaning_question(names: Sequence[str], *, aside: bool = False) -> Question:
    """What the names (names_of) and the settings are now."""
    texts = [*([_what_sql(names)] if names else []), *([] if aside else [_SHOWN])]
    answer = (yield query("; ".join(texts))) if texts else []
    found = rows(answer)
    oids = tuple(f"{(row[0] or b'').decode()}={(row[1] or b'').decode()}" for row in found if len(row) == 2)
    return Meaning(oids, _settings([row[0] for row in found if len(row) == 1]), told=failure(answer) is None)


def isolation_question() -> Generator[bytes, Messages, tuple[str, ...]]:
    """The settings alone; SHOW does not fix the snapshot of a transaction."""
    return _settings([row[0] for row in rows((yield query(_SHOWN)))])


def may_be_asked_inside(settings: Sequence[str]) -> bool:
    """Only under READ COMMITTED: elsewhere a question about rows would fix the transaction's snapshot."""
    return "transaction_isolation=read committed" in settings


def _settings(values: Sequence[bytes | None]) -> tuple[str, ...]:
    return tuple(f"{name}={(value or b'').decode()}" for name, value in zip(SETTINGS, values, strict=False))


def _what_sql(names: Sequence[str]) -> str:
    """What each name is, one row each. Under a name of two kinds both are asked for."""
    relations, wanted = _relations_sql(names), []
    for sql, found in (
        (_CALLS, [parts(each.removesuffix(_CALL))[-1] for each in names if each.endswith(_CALL)]),
        (_OPERATORS, [parts(each.removeprefix(_OPERATOR))[-1] for each in names if each.startswith(_OPERATOR)]),
        (_TYPES, [parts(each.removeprefix(_TYPE))[-1] for each in names if each.startswith(_TYPE)]),
        (_SCHEMAS, [each.removesuffix(_ALL_OF_SCHEMA) for each in names if each.endswith(_ALL_OF_SCHEMA)]),
    ):
        if found:
            wanted.append(sql.replace("{names}", _list(sorted({*found}))))
    return " UNION ALL ".join([relations, *wanted]) + " ORDER BY 1"


def _equal(one: str, other: str) -> str:
    return f"{one} OPERATOR(pg_catalog.=) {other}"


def _agg(values: str, order: str) -> str:
    return f"pg_catalog.string_agg(pg_catalog.concat_ws('-', {values}), ',' ORDER BY {order})"


def _of_kind(catalog: str, owner: str, number: int) -> str:
    """Of what belongs to relation f.oid in this catalog (its own OID is `number`): versions, and those of the functions it calls."""
    calls = (
        f"FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON {_equal('p.oid', 'd.refobjid')}"
        f" WHERE {_equal('d.classid', str(number))} AND {_equal('d.objid', 'x.oid')} AND {_equal('d.refclassid', '1255')}"
    )
    of_each = _agg(f"x.oid, x.xmin, (SELECT {_agg('p.oid, p.xmin', 'p.oid')} {calls})", "x.oid")
    return f"(SELECT {of_each} FROM pg_catalog.{catalog} x WHERE {_equal('x.' + owner, 'f.oid')})"


#: What a relation's name may be made to mean by: rules (of a view its query), triggers, row security, defaults, checks.
_KINDS = (
    ("pg_rewrite", "ev_class", 2618),
    ("pg_trigger", "tgrelid", 2620),
    ("pg_policy", "polrelid", 3256),
    ("pg_attrdef", "adrelid", 2604),
    ("pg_constraint", "conrelid", 2606),
)
_MEMBER = ", ".join(
    [
        f"(SELECT pg_catalog.concat(k.relrowsecurity, k.relforcerowsecurity) FROM pg_catalog.pg_class k WHERE {_equal('k.oid', 'f.oid')})",
        *(_of_kind(*each) for each in _KINDS),
    ]
)
_COLUMNS = (
    f"SELECT {_agg('a.attname, a.atttypid', 'a.attnum')} FROM pg_catalog.pg_attribute a"
    f" WHERE {_equal('a.attrelid', 'n.oid')} AND a.attnum OPERATOR(pg_catalog.>) 0"
)
_MEMBERS = f"SELECT {_agg(f'f.oid, {_MEMBER}', 'f.oid')} FROM family f WHERE {_equal('f.root', 'n.oid')}"
#: The relations named, and with each its partitions and children and what a view reads, down to the last.
_RELATIONS = f"""WITH RECURSIVE named AS (
 SELECT c.oid, pg_catalog.concat(s.nspname, '.', c.relname) AS name FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace s ON {_equal("s.oid", "c.relnamespace")}
 WHERE {_equal("pg_catalog.concat(s.nspname, '.', c.relname)", "ANY (ARRAY[{names}]::pg_catalog.text[])")}
 AND {_equal("c.relname", "ANY (ARRAY[{tails}]::pg_catalog.name[])")}
), family(root, oid) AS (SELECT oid, oid FROM named UNION SELECT f.root, m.oid FROM family f, LATERAL (
 SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i WHERE {_equal("i.inhparent", "f.oid")}
 UNION ALL SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON {_equal("d.objid", "r.oid")}
 WHERE {_equal("r.ev_class", "f.oid")} AND {_equal("d.classid", "2618")} AND {_equal("d.refclassid", "1259")}) m)
SELECT n.name, pg_catalog.concat(n.oid, '.', pg_catalog.md5(pg_catalog.concat(({_COLUMNS}), '/', ({_MEMBERS})))) FROM named n"""
_THEIRS = "OPERATOR(pg_catalog.<>) 11"  # not in pg_catalog
_CALLS = f"""SELECT pg_catalog.concat(p.proname, '{_CALL}'), {_agg("p.oid, p.xmin", "p.oid")} FROM pg_catalog.pg_proc p
 WHERE {_equal("p.proname", "ANY (ARRAY[{names}]::pg_catalog.name[])")} AND p.pronamespace {_THEIRS} GROUP BY p.proname"""
_OPERATORS = f"""SELECT pg_catalog.concat('{_OPERATOR}', o.oprname), {_agg("o.oid, o.xmin, p.oid, p.xmin", "o.oid")}
 FROM pg_catalog.pg_operator o LEFT JOIN pg_catalog.pg_proc p ON {_equal("p.oid", "o.oprcode")}
 WHERE {_equal("o.oprname", "ANY (ARRAY[{names}]::pg_catalog.name[])")} AND o.oprnamespace {_THEIRS} GROUP BY o.oprname"""
_CHECKS = (
    f"SELECT {_agg('c.oid, c.xmin', 'c.oid')} FROM pg_catalog.pg_constraint c WHERE {_equal('c.contypid', 't.oid')}"
)
_TYPES = f"""SELECT pg_catalog.concat('{_TYPE}', t.typname), {_agg(f"t.oid, t.xmin, ({_CHECKS})", "t.oid")} FROM pg_catalog.pg_type t
 WHERE {_equal("t.typname", "ANY (ARRAY[{names}]::pg_catalog.name[])")} AND t.typnamespace {_THEIRS} GROUP BY t.typname"""
_SCHEMAS = f"""SELECT pg_catalog.concat(s.nspname, '{_ALL_OF_SCHEMA}'), pg_catalog.concat(s.oid, '.', pg_catalog.md5((
 SELECT {_agg("c.oid, c.relname", "c.oid")} FROM pg_catalog.pg_class c WHERE {_equal("c.relnamespace", "s.oid")})))
 FROM pg_catalog.pg_namespace s WHERE {_equal("s.nspname", "ANY (ARRAY[{names}]::pg_catalog.name[])")}"""


def _relations_sql(names: Sequence[str]) -> str:
    """By whole name. The second condition lets the index on relname find it: a target may have 100,000 relations, and a click
    waits for this. Which dot ends the schema isn't known, so every tail of a name is looked up."""
    tails = sorted({each[at + 1 :] for each in names for at, letter in enumerate(each) if letter == "."})
    return _RELATIONS.replace("{names}", _list(names)).replace("{tails}", _list(tails))


def _list(names: Sequence[str]) -> str:
    return ", ".join("'" + each.replace("'", "''") + "'" for each in names)


def names_of(executions: Sequence[Execution]) -> list[str]:
    """Every relation that one of them touches; what it calls, with "()" behind it; its operators and types, with the word before."""
    return sorted({name for each in executions for name in _names(each.statement)})


def _names(statement: Statement) -> Iterator[str]:
    yield from (*statement.writes, *statement.reads)
    yield from (f"{each}{_CALL}" for each in statement.functions)
    use = statement.names
    for each in (statement, use.body) if use and use.body else (statement,):
        yield from (f"{_OPERATOR}{name}" for name in each.written.operators)
        yield from (f"{_TYPE}{name}" for name in each.written.types)


def difference(before: Meaning, now: Meaning) -> str:
    """Why what was approved does not mean the same any more; "" where it does."""
    if not (before.told and now.told):
        return "what its names mean could not be asked"
    if before.oids != now.oids:
        return _moved(before.oids, now.oids)
    was = dict(each.split("=", 1) for each in before.settings)
    changed = [name for name, _, value in (each.partition("=") for each in now.settings) if was.get(name) != value]
    if changed or len(before.settings) != len(now.settings):
        return f"a setting that it depends on has changed: {', '.join(changed) or 'not all of them could be asked'}"
    return ""


def _moved(before: Sequence[str], now: Sequence[str]) -> str:
    was, new = (dict(each.rsplit("=", 1) for each in found) for found in (before, now))
    changed = [name for name in sorted({*was, *new}) if was.get(name) != new.get(name)]
    if all(was.get(each, "").split(".")[0] == new.get(each, "").split(".")[0] or _is_code(each) for each in changed):
        return f"it was redefined while people decided: {', '.join(changed)}"
    return "a table's name means another table now"


def _is_code(name: str) -> bool:
    return name.endswith(_CALL) or name.startswith((_OPERATOR, _TYPE))


def bytes_of(batch: Batch) -> Iterator[bytes | str | int | None]:
    """All that will be sent, and what its names stand for: texts, parameter types, values and formats of what was prepared
    or bound before, and the bodies behind EXECUTE."""
    for part in batch.parts:
        yield part.raw
    for part in batch.parts:
        reply = part.reply
        if reply is None:
            continue
        if reply.portal is not None:
            yield "|portal"
            yield from _of_portal(reply.portal)
        yield from _bodies(reply)


def content_of(batch: Batch) -> Iterator[bytes | str | int | None]:
    """As `bytes_of`, but without the names that a driver gives its statements and portals, and whatever runs nothing: all
    that runs, in order. Another session may send the same under other names."""
    for part in batch.parts:
        reply = part.reply
        if reply is None or not reply.executions:
            continue
        if reply.portal is None:
            yield "|query"
            yield part.raw
        else:
            yield "|execute"
            yield read_execute(part.raw).max_rows
            yield from _of_portal(reply.portal)
        yield from _bodies(reply)


def _bodies(reply: Reply) -> Iterator[str]:
    """The texts behind EXECUTE."""
    for each in reply.executions:
        body = each.statement.names.body if each.statement.names else None
        if body is not None:
            yield "|body"
            yield body.sql


def _of_portal(portal: Portal) -> Iterator[bytes | str | int | None]:
    yield from _of_prepared(portal.prepared)
    bound = portal.bind
    if bound is not None:
        yield "|bound"
        for sequence in (bound.parameter_formats, bound.parameters, bound.result_formats):
            yield len(sequence)
            yield from sequence


def _of_prepared(prepared: Prepared) -> Iterator[str | int]:
    yield prepared.sql
    yield len(prepared.types)
    yield from prepared.types


def known(reported: Mapping[str, str]) -> tuple[str, ...]:
    """What the target has told of its settings by itself, in order."""
    return tuple(f"{name}={value}" for name, value in sorted(reported.items()))
