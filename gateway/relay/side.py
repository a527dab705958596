"""Side connections to a target by asyncpg: reading its catalog, and the doctor's look. Never the client's statements.

One Catalog is read by a handful of queries over pg_catalog, each name in full, so that nothing on the path can shadow it.
"""

import asyncio
import itertools
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncpg

from gateway.errors import TargetUnavailable
from gateway.policy.model import Target
from gateway.relay.target import tls_context
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.contained import Function, contained
from gateway.sql.copies import Code, Reference, fed
from gateway.sql.functions import SAFE, special_class

DEADLINE = 20.0
_versions = itertools.count(1)
_CALL = re.compile(r'(?:"([^"]+)"|([A-Za-z_][A-Za-z0-9_$]*))\s*\(')
_NODE = re.compile(r"\{(\w+)([^{}]*)|\}")
_CALLED = re.compile(r":(?:funcid|opfuncid) (\d+)")

_RELATIONS = """
SELECT c.oid::pg_catalog.int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind,
       c.reltuples::pg_catalog.float8 AS rows,
       coalesce(pg_catalog.array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attnum > 0), '{}') AS columns,
       coalesce(pg_catalog.array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE a.attnum > 0), '{}') AS numbers,
       coalesce(pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
                FILTER (WHERE a.attnum > 0), '{}') AS types
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_(toast|temp)'
 GROUP BY c.oid, n.nspname, c.relname, c.relkind, c.reltuples
"""

# provolatile 'v' of any overload, or any overload outside pg_catalog, makes a name unsafe: resolution is by name only.
_FUNCTIONS = """
SELECT p.proname AS name,
       pg_catalog.bool_or(n.nspname = 'pg_catalog') AS builtin,
       pg_catalog.bool_or(n.nspname <> 'pg_catalog') AS foreign_overload,
       pg_catalog.bool_or(n.nspname = 'pg_catalog' AND p.provolatile = 'v') AS builtin_volatile,
       pg_catalog.bool_or(p.provolatile = 'v') AS volatile
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 GROUP BY p.proname
"""

# What people made: its kind, and every text that can say what it calls.
_MADE = """
SELECT p.proname AS name, l.lanname AS language, p.provolatile = 'v' AS volatile,
       p.prokind = 'f' AND NOT p.prosecdef AND p.proconfig IS NULL AS plain,
       pg_catalog.concat_ws(' ', p.prosrc, pg_catalog.pg_get_function_sqlbody(p.oid),
                            pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid)) AS text
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
"""

# Operators by C or internal code that is not volatile (hstore, citext, vector) are as harmless as built-in ones: only a
# superuser can make them. All others are user code.
_OPERATORS = """
SELECT DISTINCT o.oprname AS name
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE n.nspname <> 'pg_catalog' AND (p.provolatile = 'v' OR l.lanname NOT IN ('c', 'internal'))
"""

# Domains with a CHECK and the types made of them: a domain over a domain, arrays, ranges, rows. `calls`: the CHECK calls
# user code. From OID 16384 on objects aren't PostgreSQL's own (FirstNormalObjectId), and only those have dependencies.
_CHECKED = """
WITH RECURSIVE uses (used, maker) AS (
    SELECT d.refobjid, d.objid FROM pg_catalog.pg_depend d
     WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refclassid = d.classid
     UNION ALL
    SELECT a.atttypid, c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
     WHERE a.atttypid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0
), checked (oid, calls) AS (
    SELECT c.contypid, EXISTS (
               SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
                  AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass))
      FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_type t ON t.oid = c.contypid
     WHERE t.typnamespace <> 'information_schema'::pg_catalog.regnamespace
     UNION
    SELECT uses.maker, checked.calls FROM checked JOIN uses ON uses.used = checked.oid
)
SELECT t.oid::pg_catalog.int8 AS oid, t.typname AS name, pg_catalog.bool_or(checked.calls) AS calls
  FROM pg_catalog.pg_type t JOIN checked ON checked.oid = t.oid GROUP BY t.oid, t.typname
"""

# Types with a cast by a function of the user's.
_CASTS = """
SELECT DISTINCT t.typname AS name, t.oid::pg_catalog.int8 AS oid
  FROM pg_catalog.pg_cast c
  JOIN pg_catalog.pg_type t ON t.oid IN (c.castsource, c.casttarget)
  JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
   AND (p.provolatile = 'v' OR l.lanname NOT IN ('c', 'internal'))
"""

# Relations with a column, or rows, of a type with an implicit cast by user code: reading them may run it with no name in the
# text. Of a cast between a built-in type and another, only the other has to be there.
_IMPLICIT = """
WITH RECURSIVE cast_types (oid) AS (
    SELECT t.oid
      FROM pg_catalog.pg_cast c
      JOIN pg_catalog.pg_type t ON t.oid IN (c.castsource, c.casttarget)
      JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     WHERE c.castcontext = 'i' AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
       AND (p.provolatile = 'v' OR l.lanname NOT IN ('c', 'internal'))
       AND (t.oid >= 16384 OR (c.castsource < 16384 AND c.casttarget < 16384))
     UNION
    SELECT made.oid FROM cast_types, LATERAL (
        SELECT t.oid FROM pg_catalog.pg_type t WHERE cast_types.oid IN (t.typelem, t.typbasetype)
         UNION ALL
        SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         WHERE a.atttypid = cast_types.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0) made
)
SELECT c.oid::pg_catalog.int8 AS relation FROM pg_catalog.pg_class c JOIN cast_types ON cast_types.oid = c.reltype
"""

# Expressions that the planner looks at whenever it plans a read of their relation. It runs a call with constants only right
# away. Only those with a function from OID 10000 on are asked for. stxexprs is new in 14.
_PLANNED = """
SELECT relation::pg_catalog.int8 AS relation, tree FROM (
    SELECT indrelid, pg_catalog.concat(indexprs::text, indpred::text) FROM pg_catalog.pg_index
     UNION ALL
    SELECT conrelid, conbin::text FROM pg_catalog.pg_constraint WHERE conrelid <> 0 AND contype = 'c'
     UNION ALL
    SELECT stxrelid, pg_catalog.to_jsonb(s) ->> 'stxexprs' FROM pg_catalog.pg_statistic_ext s
     UNION ALL
    SELECT partrelid, partexprs::text FROM pg_catalog.pg_partitioned_table
) each (relation, tree) WHERE tree ~ ':(funcid|opfuncid) [0-9]{5}'
"""
_CODE = """
SELECT p.oid::pg_catalog.int8 AS oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
   AND (p.provolatile = 'v' OR l.lanname NOT IN ('c', 'internal'))
"""

# What each view's rule depends on: user functions and operators, types, foreign tables, other relations; what a row policy
# depends on counts for its table; and a partition or child for its parent, since reading the parent reads it.
_VIEW_CODE = """
SELECT r.ev_class::pg_catalog.int8 AS view, d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AS relation,
       d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AS type, d.refobjid::pg_catalog.int8 AS used
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
  JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
  LEFT JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid
  LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
 WHERE (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class)
    OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    OR (p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace AND p.oid >= 16384)
    OR o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace
 UNION ALL
SELECT p.polrelid::pg_catalog.int8, false, false, d.refobjid::pg_catalog.int8
  FROM pg_catalog.pg_policy p
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
 WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
   AND pg_catalog.row_security_active(p.polrelid)
 UNION ALL
SELECT i.inhparent::pg_catalog.int8, true, false, i.inhrelid::pg_catalog.int8 FROM pg_catalog.pg_inherits i
"""

# Tables with a rule of their own (not views): a plain SELECT or INSERT may then do something else. pg_settings has some for
# UPDATE; writing the server's own is opaque anyway (resolve.py).
_RULES = """
SELECT DISTINCT r.ev_class::pg_catalog.int8 AS relation
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
 WHERE r.rulename <> '_RETURN' AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace
"""

_DEFINITIONS = """
SELECT c.oid::pg_catalog.int8 AS oid, pg_catalog.pg_get_viewdef(c.oid) AS definition
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""

_SCHEMAS = """
SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE pg_catalog.has_schema_privilege(oid, 'USAGE')
"""

_TRIGGERS = """
SELECT t.tgrelid::pg_catalog.int8 AS relation, pg_catalog.array_agg(t.tgname ORDER BY t.tgname) AS names
  FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal GROUP BY t.tgrelid
"""

# A partition and a child table show rows of their parents; the parents of parents too.
_PARENTS = """
WITH RECURSIVE up (child, parent) AS (
    SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
    UNION SELECT up.child, i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.parent)
SELECT up.child::pg_catalog.int8 AS relation, pg_catalog.array_agg(ARRAY[n.nspname::text, c.relname::text]) AS names
  FROM up JOIN pg_catalog.pg_class c ON c.oid = up.parent JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f') GROUP BY up.child
"""

_GENERATED = """
SELECT d.adrelid::pg_catalog.int8 AS relation, a.attname AS column, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
  FROM pg_catalog.pg_attrdef d
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
 WHERE a.attgenerated <> ''
"""

# Code that may copy values when a row is written: triggers and rules. The trees of triggers' arguments end each with a NUL.
_COPYING = """
SELECT t.tgrelid::pg_catalog.int8 AS relation, p.proname AS function, p.prosrc AS text,
       pg_catalog.encode(t.tgargs, 'escape') AS args, t.tgoldtable IS NULL AND t.tgnewtable IS NULL AS by_rows
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
 WHERE NOT t.tgisinternal
 UNION ALL
SELECT r.ev_class::pg_catalog.int8, '', pg_catalog.pg_get_ruledef(r.oid), '', true
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
 WHERE r.rulename <> '_RETURN' AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace
"""

_REFERENCES = """
SELECT f.conrelid::pg_catalog.int8 AS relation, f.confrelid::pg_catalog.int8 AS referred,
       pg_catalog.array_agg(a.attname ORDER BY k.at) AS columns, pg_catalog.array_agg(b.attname ORDER BY k.at) AS referred_columns
  FROM pg_catalog.pg_constraint f
  CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(f.conkey), pg_catalog.unnest(f.confkey)) WITH ORDINALITY AS k (own, other, at)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.own
  JOIN pg_catalog.pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.other
 WHERE f.contype = 'f' GROUP BY f.oid, f.conrelid, f.confrelid
"""

_CASCADES = """
SELECT f.confrelid::pg_catalog.int8 AS relation,
       pg_catalog.array_agg(n.nspname || '.' || c.relname ORDER BY 1) AS names
  FROM pg_catalog.pg_constraint f
  JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE f.contype = 'f' AND f.confdeltype = 'c' GROUP BY f.confrelid
"""


async def load_catalog(target: Target, password: str) -> Catalog:
    """Read what names mean on this target. Raises TargetUnavailable."""
    try:
        async with asyncio.timeout(DEADLINE):
            connection = await asyncpg.connect(
                host=target.host,
                port=target.port,
                user=target.user,
                password=password,
                database=target.database,
                ssl=False if target.sslmode == "disable" else tls_context(target),
                server_settings={"application_name": "hoop catalog", "search_path": "pg_catalog"},
            )
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    return await _read(connection)
            finally:
                await connection.close()
    except TimeoutError:
        raise TargetUnavailable(f"the catalog of target {target.name} could not be read in {DEADLINE:.0f} s") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        text = f"the catalog of target {target.name} can't be read ({type(error).__name__})"
        raise TargetUnavailable(text) from error


async def _read(connection: Any) -> Catalog:
    functions = await connection.fetch(_FUNCTIONS)
    user = frozenset(each["name"] for each in functions if each["foreign_overload"])
    safe = frozenset(
        each["name"]
        for each in functions
        if not each["foreign_overload"] and (not each["volatile"] or each["name"] in SAFE)
    )
    unsafe = frozenset(each["name"] for each in functions if each["volatile"] and each["name"] not in SAFE)
    checked = await connection.fetch(_CHECKED)
    relations = await _relations(connection, {each["oid"] for each in checked if each["calls"]}, unsafe)
    typed = [*checked, *await connection.fetch(_CASTS)]
    types = {each["name"] for each in typed}
    operators = frozenset(each["name"] for each in await connection.fetch(_OPERATORS))
    made = [Function(**each) for each in await connection.fetch(_MADE)]
    relations = await _fed(connection, relations, made)
    # A harmless overload of the user's makes a built-in that does more than read no better.
    builtin = frozenset(each["name"] for each in functions if each["builtin_volatile"] and each["name"] not in SAFE)
    risky = {*builtin, *types, *(each.name for each in relations if each.calls_user_code)}
    return Catalog(
        version=next(_versions),
        server_version_num=int(await connection.fetchval("SHOW server_version_num")),
        relations={(each.schema, each.name): each for each in relations},
        safe_functions=safe,
        builtin_functions=frozenset(each["name"] for each in functions if each["builtin"]),
        user_functions=user,
        contained_functions=contained(made, risky, operators) - builtin,
        user_operators=operators,
        user_types=frozenset(types),
        user_type_oids=frozenset(each["oid"] for each in typed),
        schemas=frozenset(each["name"] for each in await connection.fetch(_SCHEMAS)),
    )


async def _relations(connection: Any, calling_types: set[int], unsafe: frozenset[str]) -> list[Relation]:
    rows = await connection.fetch(_RELATIONS)
    kinds = {each["oid"]: each["kind"] for each in rows}
    definitions = {each["oid"]: each["definition"] for each in await connection.fetch(_DEFINITIONS)}
    uses = [each for each in await connection.fetch(_VIEW_CODE) if not each["type"] or each["used"] in calling_types]
    found = {oid for oid, text in definitions.items() if _calls_unsafe(text, unsafe)}
    for unnamed in (_RULES, _IMPLICIT):
        found |= {each["relation"] for each in await connection.fetch(unnamed)}
    code = {each["oid"] for each in await connection.fetch(_CODE)}
    found |= {each["relation"] for each in await connection.fetch(_PLANNED) if _folds(each["tree"], code)}
    suspicious = _suspicious(uses, kinds, found)
    triggers = {each["relation"]: tuple(each["names"]) for each in await connection.fetch(_TRIGGERS)}
    cascades = {each["relation"]: tuple(each["names"]) for each in await connection.fetch(_CASCADES)}
    parents = {
        each["relation"]: tuple((schema, name) for schema, name in each["names"])
        for each in await connection.fetch(_PARENTS)
    }
    generated: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for each in await connection.fetch(_GENERATED):
        generated[each["relation"]][each["column"]] = each["expression"]
    return [
        Relation(
            oid=each["oid"],
            schema=each["schema"],
            name=each["name"],
            kind=each["kind"],
            columns=dict(zip(each["columns"], each["numbers"], strict=True)),
            types=dict(zip(each["columns"], each["types"], strict=True)),
            calls_user_code=each["oid"] in suspicious,
            reltuples=each["rows"],
            triggers=triggers.get(each["oid"], ()),
            cascades_to=cascades.get(each["oid"], ()),
            parents=parents.get(each["oid"], ()),
            definition=definitions.get(each["oid"], ""),
            generated=generated.get(each["oid"], {}),
        )
        for each in rows
    ]


async def _fed(connection: Any, relations: list[Relation], functions: list[Function]) -> list[Relation]:
    """The relations with what their columns are made of by the target's own code."""
    named = {each.oid: (each.schema, each.name) for each in relations}
    code = [
        Code(named[each["relation"]], each["text"], each["function"], _args(each["args"]), each["by_rows"])
        for each in await connection.fetch(_COPYING)
        if each["relation"] in named
    ]
    references = [
        Reference(
            named[each["relation"]], tuple(each["columns"]), named[each["referred"]], tuple(each["referred_columns"])
        )
        for each in await connection.fetch(_REFERENCES)
        if each["relation"] in named and each["referred"] in named
    ]
    texts: dict[str, str] = {}
    for each in functions:
        texts[each.name] = f"{texts.get(each.name, '')}\n{each.text}"
    found = fed({(each.schema, each.name): each for each in relations}, code, references, texts)
    return [
        replace(each, fed=found[each.schema, each.name]) if (each.schema, each.name) in found else each
        for each in relations
    ]


def _args(escaped: str) -> tuple[str, ...]:
    return tuple(each for each in escaped.split("\\000") if each)


def _calls_unsafe(definition: str, unsafe: frozenset[str]) -> bool:
    """May a view's query call a built-in function that does more than read? No dependency tells; its text does.

    A call is printed as name(...). A name inside a string counts too: rarely wrong, and never the dangerous way.
    """
    names = {each[0] or each[1] for each in _CALL.findall(definition)}
    return any(each in unsafe or special_class(each) is not None for each in names)


def _folds(tree: str, code: set[int]) -> bool:
    """Does an expression call one of these functions with nothing of a row in its arguments? `tree` as pg_node_tree prints it."""
    around: list[tuple[bool, bool]] = []  # of each node that is open: it is such a call, it reads a column
    for node in _NODE.finditer(tree):
        if node[1]:
            called = _CALLED.search(node[2])
            around.append((called is not None and int(called[1]) in code, node[1] == "VAR"))
        elif around:
            calls, reads = around.pop()
            if calls and not reads:
                return True
            if around and reads:
                around[-1] = (around[-1][0], True)
    return False


def _suspicious(uses: list[Mapping[str, Any]], kinds: Mapping[int, str], known: set[int]) -> set[int]:
    """Relations whose reading reaches user code or a foreign table, directly or through others, and the `known` ones."""
    above: defaultdict[int, set[int]] = defaultdict(set)
    found: set[int] = {oid for oid, kind in kinds.items() if kind == "f"} | known
    for each in uses:
        if each["relation"]:
            above[each["used"]].add(each["view"])
        else:
            found.add(each["view"])
    todo = list(found)
    while todo:
        for view in above[todo.pop()] - found:
            found.add(view)
            todo.append(view)
    return found
