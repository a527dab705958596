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
_SHOWN = "; ".join(f"SHOW {name}" for name in SETTINGS)


@dataclass(frozen=True, slots=True)
class Meaning:
    """`oids`: "schema.name=oid" of each relation that there is, in order. `settings`: "name=value"; empty where they were
    not asked: on a side connection they are another session's."""

    oids: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


Question = Generator[bytes, Messages, Meaning]


def meaning_question(relations: Sequence[str], *, aside: bool = False) -> Question:
    """What the relation names and the settings are now."""
    texts = [*([_oid_sql(relations)] if relations else []), *([] if aside else [_SHOWN])]
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


def _oid_sql(relations: Sequence[str]) -> str:
    """By whole name. The second condition lets the index on relname find it: a target may have 100,000 relations, and a
    click waits for this. Which dot ends the schema isn't known, so every tail of a name is looked up."""
    tails = sorted({each[at + 1 :] for each in relations for at, letter in enumerate(each) if letter == "."})
    names, tail_names = (", ".join("'" + each.replace("'", "''") + "'" for each in part) for part in (relations, tails))
    return (
        "SELECT n.nspname || '.' || c.relname, c.oid FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
        f" WHERE (n.nspname || '.' || c.relname) OPERATOR(pg_catalog.=) ANY (ARRAY[{names}]::text[])"
        f" AND c.relname OPERATOR(pg_catalog.=) ANY (ARRAY[{tail_names}]::pg_catalog.name[]) ORDER BY 1"
    )


def relations_of(executions: Sequence[Execution]) -> list[str]:
    """Every relation that one of them touches."""
    return sorted({name for each in executions for name in (*each.statement.writes, *each.statement.reads)})


def difference(before: Meaning, now: Meaning) -> str:
    """Why what was approved does not mean the same any more; "" where it does."""
    if before.oids != now.oids:
        return "a table's name means another table now"
    was = dict(each.split("=", 1) for each in before.settings)
    changed = [name for name, _, value in (each.partition("=") for each in now.settings) if was.get(name) != value]
    if changed or len(before.settings) != len(now.settings):
        return f"a setting that it depends on has changed: {', '.join(changed) or 'not all of them could be asked'}"
    return ""


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
