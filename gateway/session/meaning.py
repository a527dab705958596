"""What an approval binds: the exact bytes, and what they mean to the target (enforcement.md, decision 5). Pure.

What can change while people decide is asked for when the question is put and again when its answer is released: which
relations the names are, and settings that give the same text another effect. Settings are asked by SHOW, which takes no
snapshot. What only this session could change, and can't while it is held, goes into the digest as it is known.

What must not live here: when it is asked, and what happens then (holding.py).
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.session.errands import Messages, rows
from gateway.session.names import Portal, Prepared
from gateway.session.replies import Batch, Execution
from gateway.sql.tree import parts
from gateway.wire.frontend import query

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
_CALL = "()"
_SHOWN = "; ".join(f"SHOW {name}" for name in SETTINGS)


@dataclass(frozen=True, slots=True)
class Meaning:
    """`oids`: "schema.name=oid.digest" of each relation that there is, "name()=versions" of each function, in order. `settings`: "name=value"; empty where they were
    not asked: on a side connection they are another session's."""

    oids: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


Question = Generator[bytes, Messages, Meaning]


def meaning_question(names: Sequence[str], *, aside: bool = False) -> Question:
    """What the names of relations and functions (names_of) and the settings are now."""
    texts = [*([_what_sql(names)] if names else []), *([] if aside else [_SHOWN])]
    found = rows((yield query("; ".join(texts)))) if texts else []
    oids = tuple(f"{(row[0] or b'').decode()}={(row[1] or b'').decode()}" for row in found if len(row) == 2)
    return Meaning(oids, _settings([row[0] for row in found if len(row) == 1]))


def isolation_question() -> Generator[bytes, Messages, tuple[str, ...]]:
    """The settings alone; SHOW does not fix the snapshot of a transaction."""
    return _settings([row[0] for row in rows((yield query(_SHOWN)))])


def may_be_asked_inside(settings: Sequence[str]) -> bool:
    """Only under READ COMMITTED: elsewhere a question about rows would fix the transaction's snapshot."""
    return "transaction_isolation=read committed" in settings


def _settings(values: Sequence[bytes | None]) -> tuple[str, ...]:
    return tuple(f"{name}={(value or b'').decode()}" for name, value in zip(SETTINGS, values, strict=False))


def _what_sql(names: Sequence[str]) -> str:
    """What each name is, under its whole name. A call ends in "()"."""
    relations = [each for each in names if not each.endswith(_CALL)]
    calls = sorted({parts(each.removesuffix(_CALL))[-1] for each in names if each.endswith(_CALL)})
    wanted = [*([_relations_sql(relations)] if relations else []), *([_calls_sql(calls)] if calls else [])]
    return " UNION ALL ".join(wanted) + " ORDER BY 1"


def _relations_sql(relations: Sequence[str]) -> str:
    """The OID, and a digest of what may change under it: columns, a view's query and other rules, triggers.

    By whole name. The second condition lets the index on relname find it: a target may have 100,000 relations, and a click
    waits for this. Which dot ends the schema isn't known, so every tail of a name is looked up.
    """
    tails = sorted({each[at + 1 :] for each in relations for at, letter in enumerate(each) if letter == "."})
    whole = "pg_catalog.concat(n.nspname, '.', c.relname)"
    of_it = "OPERATOR(pg_catalog.=) c.oid"
    columns = f"FROM pg_catalog.pg_attribute a WHERE a.attrelid {of_it} AND a.attnum OPERATOR(pg_catalog.>) 0"
    digested = ", '/', ".join(
        [
            f"(SELECT {_agg('a.attname, a.atttypid', 'a.attnum')} {columns})",
            f"(SELECT {_agg('r.oid, r.xmin', 'r.oid')} FROM pg_catalog.pg_rewrite r WHERE r.ev_class {of_it})",
            f"(SELECT {_agg('t.oid, t.xmin', 't.oid')} FROM pg_catalog.pg_trigger t WHERE t.tgrelid {of_it})",
        ]
    )
    return (
        f"SELECT {whole}, pg_catalog.concat(c.oid, '.', pg_catalog.md5(pg_catalog.concat({digested})))"
        " FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
        f" WHERE {whole} OPERATOR(pg_catalog.=) ANY (ARRAY[{_list(relations)}]::pg_catalog.text[])"
        f" AND c.relname OPERATOR(pg_catalog.=) ANY (ARRAY[{_list(tails)}]::pg_catalog.name[])"
    )


def _calls_sql(names: Sequence[str]) -> str:
    """Each function of the user's of that name, and which version of it."""
    return (
        f"SELECT pg_catalog.concat(p.proname, '{_CALL}'), {_agg('p.oid, p.xmin', 'p.oid')} FROM pg_catalog.pg_proc p"
        f" WHERE p.proname OPERATOR(pg_catalog.=) ANY (ARRAY[{_list(names)}]::pg_catalog.name[])"
        " AND p.pronamespace OPERATOR(pg_catalog.<>) 11 GROUP BY p.proname"
    )


def _agg(values: str, order: str) -> str:
    return f"pg_catalog.string_agg(pg_catalog.concat_ws('-', {values}), ',' ORDER BY {order})"


def _list(names: Sequence[str]) -> str:
    return ", ".join("'" + each.replace("'", "''") + "'" for each in names)


def names_of(executions: Sequence[Execution]) -> list[str]:
    """Every relation that one of them touches, and what it calls, with "()" behind it."""
    found = (each.statement for each in executions)
    return sorted(
        {name for each in found for name in (*each.writes, *each.reads, *(f"{f}{_CALL}" for f in each.functions))}
    )


def difference(before: Meaning, now: Meaning) -> str:
    """Why what was approved does not mean the same any more; "" where it does."""
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
    if all(
        was.get(each, "").split(".")[0] == new.get(each, "").split(".")[0] or each.endswith(_CALL) for each in changed
    ):
        return f"it was redefined while people decided: {', '.join(changed)}"
    return "a table's name means another table now"


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
