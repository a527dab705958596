"""The query that reads a target's catalog: what names mean there, one answer a part, as JSON.

One query over pg_catalog, each name in full, so that nothing on the path can shadow it: twenty queries are twenty round trips, and
whoever does DDL waits for them. What must not live here: connections (side.py), what is made of the answers (catalog_rows.py).
"""

# The columns come as a text in a text: alike ones are read once (_columns). LATERAL goes over pg_attribute by its index;
# grouping all of it costs half as much again.
_RELATIONS = """
SELECT c.oid::pg_catalog.int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind,
       c.reltuples::pg_catalog.float8 AS rows, a.columns
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
       LATERAL (SELECT pg_catalog.json_build_array(
                           coalesce(pg_catalog.array_agg(a.attname ORDER BY a.attnum), '{}'),
                           coalesce(pg_catalog.array_agg(a.attnum ORDER BY a.attnum), '{}'),
                           coalesce(pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum), '{}')
                       )::pg_catalog.text AS columns
                  FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) a
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_(toast|temp)'
"""

# Volatile functions of well-known extensions that only read, or only give another value each time.
_KNOWN = (
    ("pg_stat_statements", "pg_stat_statements pg_stat_statements_info"),
    ("pgcrypto", "gen_random_uuid gen_random_bytes gen_salt"),
    ("pgcrypto", "pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_pub_encrypt pgp_pub_encrypt_bytea"),
    ("uuid-ossp", "uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4"),
)
_VOLATILE = """(p.provolatile = 'v' AND NOT (l.lanname = 'c' AND EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
     WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
       AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND (e.extname, p.proname) IN ({}))))""".format(
    ", ".join(f"('{extension}', '{name}')" for extension, names in _KNOWN for name in names.split())
)
# An aggregate is written in the language of its parts; the text that its state begins with is read as a value of the type.
_AGGREGATES_CODE = """(p.prokind = 'a' AND EXISTS (
    SELECT FROM pg_catalog.pg_aggregate a
     WHERE a.aggfnoid = p.oid AND (
           (a.agginitval IS NOT NULL AND a.aggtranstype >= 16384) OR (a.aggminitval IS NOT NULL AND a.aggmtranstype >= 16384)
           OR EXISTS (
           SELECT FROM pg_catalog.pg_proc part JOIN pg_catalog.pg_language spoken ON spoken.oid = part.prolang
            WHERE part.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
                               a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
              AND (part.provolatile = 'v' OR spoken.lanname NOT IN ('c', 'internal'))))))"""
# What the user's own code is: a function `p` in the language `l`. In C or internal, and not volatile, it is as harmless as a
# built-in one (hstore, citext, vector): only a superuser can make it.
_IS_CODE = f"(p.oid >= 16384 AND ({_VOLATILE} OR l.lanname NOT IN ('c', 'internal') OR {_AGGREGATES_CODE}))"

# From OID 16384 on objects aren't PostgreSQL's own (FirstNormalObjectId), whatever their schema: people can make functions in
# pg_catalog too. provolatile 'v' of any overload, or any overload of the user's, makes a name unsafe: resolution is by name.
_FUNCTIONS = f"""
SELECT p.proname AS name,
       pg_catalog.bool_or(n.nspname = 'pg_catalog') AS builtin,
       pg_catalog.bool_or(p.oid >= 16384) AS foreign_overload,
       pg_catalog.bool_or(p.oid < 16384 AND p.provolatile = 'v') AS builtin_volatile,
       pg_catalog.bool_or({_VOLATILE}) AS volatile
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 GROUP BY p.proname
"""

# What people made: its kind, and every text that can say what it calls. Each on its own line, since one may end in a comment.
_MADE = f"""
SELECT p.oid::pg_catalog.int8 AS oid, p.proname AS name, l.lanname AS language, {_VOLATILE} AS volatile, p.proretset AS sets,
       p.prokind IN ('f', 'a') AND NOT {_AGGREGATES_CODE} AND NOT p.prosecdef AND p.proconfig IS NULL AS plain,
       pg_catalog.concat_ws(E'\\n', p.prosrc, pg_catalog.pg_get_function_sqlbody(p.oid),
                            pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid),
                            (SELECT pg_catalog.concat_ws(' ', a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
                                                         a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
                               FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid = p.oid)) AS text
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE p.oid >= 16384
"""

# Operators of the user's by user code, or by a built-in function that does more than read.
_OPERATORS = f"""
SELECT DISTINCT o.oprname AS name
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE o.oid >= 16384 AND ({_IS_CODE} OR (p.oid < 16384 AND (p.provolatile = 'v' OR l.lanname NOT IN ('c', 'internal'))))
"""

# Domains with a CHECK and the types made of them: a domain over a domain, arrays, ranges, rows. `calls`: the CHECK uses something
# of the user's (a function, an operator, another type). Only what isn't PostgreSQL's own has dependencies: of built-in
# functions the text tells.
_CHECKED = """
WITH RECURSIVE uses (used, maker) AS (
    SELECT d.refobjid, d.objid FROM pg_catalog.pg_depend d
     WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refclassid = d.classid
     UNION ALL
    SELECT a.atttypid, c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
     WHERE a.atttypid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0
), checked (oid, calls, definition, tree) AS (
    SELECT c.contypid, EXISTS (
               SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
                  AND NOT (d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = c.contypid)),
           pg_catalog.pg_get_constraintdef(c.oid), c.conbin::text
      FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_type t ON t.oid = c.contypid
     WHERE t.typnamespace <> 'information_schema'::pg_catalog.regnamespace
     UNION
    SELECT uses.maker, checked.calls, checked.definition, checked.tree FROM checked JOIN uses ON uses.used = checked.oid
)
SELECT t.oid::pg_catalog.int8 AS oid, t.typname AS name, pg_catalog.bool_or(checked.calls) AS calls,
       pg_catalog.array_agg(checked.definition) AS definitions,
       pg_catalog.string_agg(checked.tree, ' ') AS trees
  FROM pg_catalog.pg_type t JOIN checked ON checked.oid = t.oid GROUP BY t.oid, t.typname
"""

# Types with a cast by a function of the user's. `alone`: a value of this type is enough for it; where the other side is a
# type of the user's, that has to be there too.
_CASTS = f"""
SELECT t.typname AS name, t.oid::pg_catalog.int8 AS oid,
       pg_catalog.bool_or(t.oid >= 16384 OR (c.castsource < 16384 AND c.casttarget < 16384)) AS alone,
       pg_catalog.array_agg(DISTINCT p.proname) AS functions
  FROM pg_catalog.pg_cast c
  JOIN pg_catalog.pg_type t ON t.oid IN (c.castsource, c.casttarget)
  JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE {_IS_CODE}
 GROUP BY t.oid, t.typname
"""

# Operator classes with an operator or support function of the user's: ORDER BY, DISTINCT, GREATEST and a search in an index
# call those with no name in the text. And the types that are compared by them: by a default class, by that of a range, or
# by a range's difference, which the planner asks.
_CLASSES = f"""
WITH RECURSIVE code (oid) AS MATERIALIZED (
    SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     WHERE {_IS_CODE}
), classes (oid) AS MATERIALIZED (
    SELECT k.oid FROM pg_catalog.pg_opclass k
     WHERE k.opcfamily IN (
           SELECT a.amprocfamily FROM pg_catalog.pg_amproc a
            WHERE a.oid >= 16384 AND a.amproc::pg_catalog.oid IN (SELECT code.oid FROM code)
            UNION ALL
           SELECT a.amopfamily FROM pg_catalog.pg_amop a JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr
            WHERE a.oid >= 16384 AND o.oprcode::pg_catalog.oid IN (SELECT code.oid FROM code))
)"""
_BY_CLASS = """
    SELECT k.opcintype FROM pg_catalog.pg_opclass k WHERE k.opcdefault AND k.oid IN (SELECT classes.oid FROM classes)
     UNION
    SELECT made.oid
      FROM pg_catalog.pg_range r,  -- rngmultitypid is new in 14
           LATERAL (VALUES (r.rngtypid), ((pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid)) AS made (oid)
     WHERE r.rngsubopc IN (SELECT classes.oid FROM classes)
        OR r.rngsubdiff::pg_catalog.oid IN (SELECT code.oid FROM code)"""
# The types that are made of those in `found`.
_MADE_OF = """
    SELECT made.oid FROM found, LATERAL (
        SELECT t.oid FROM pg_catalog.pg_type t WHERE found.oid IN (t.typelem, t.typbasetype)
         UNION ALL
        SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         WHERE a.atttypid = found.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0) made"""
_COMPARED = f"""{_CLASSES}, first (oid) AS ({_BY_CLASS}
), found (oid) AS (
    SELECT first.oid FROM first UNION {_MADE_OF}
)
SELECT t.oid::pg_catalog.int8 AS oid, t.typname AS name FROM pg_catalog.pg_type t JOIN found ON found.oid = t.oid
"""

# Relations that may run user code with no name in the text: those with a column, or rows, of a type that is compared by it, or
# that has an implicit cast by it, or one to json (to_json() calls it); those with an index or a partition key by such a
# class. Of a cast between a built-in type and another, only the other has to be there.
_IMPLICIT = f"""{_CLASSES}, first (oid) AS (
    SELECT t.oid
      FROM pg_catalog.pg_cast c
      JOIN pg_catalog.pg_type t ON t.oid IN (c.castsource, c.casttarget)
     WHERE (c.castcontext = 'i' OR c.casttarget = 'pg_catalog.json'::pg_catalog.regtype)
       AND c.castfunc IN (SELECT code.oid FROM code)
       AND (t.oid >= 16384 OR (c.castsource < 16384 AND c.casttarget < 16384))
     UNION {_BY_CLASS}
), found (oid) AS (
    SELECT first.oid FROM first UNION {_MADE_OF}
)
SELECT c.oid::pg_catalog.int8 AS relation FROM pg_catalog.pg_class c JOIN found ON found.oid = c.reltype
 UNION
SELECT i.indrelid::pg_catalog.int8 FROM pg_catalog.pg_index i
 WHERE i.indclass::pg_catalog.oid[] OPERATOR(pg_catalog.&&) ARRAY(SELECT classes.oid FROM classes)
 UNION
SELECT p.partrelid::pg_catalog.int8 FROM pg_catalog.pg_partitioned_table p
 WHERE p.partclass::pg_catalog.oid[] OPERATOR(pg_catalog.&&) ARRAY(SELECT classes.oid FROM classes)
"""

# The server's own functions that run text or set something, where an expression at a relation calls them (functions.py).
_RISKY = """
SELECT p.oid::pg_catalog.int8 AS oid, p.proname AS name
  FROM pg_catalog.pg_proc p
 WHERE p.oid < 16384 AND p.provolatile = 'v' AND p.proname ~ '^(set_config|ts_stat|ts_rewrite|lo_.*|loread|.*_to_xml.*)$'
"""
# In the trees of expressions: a function that isn't PostgreSQL's own, or one of those; a type that a value becomes.
_TELLING = f"""(SELECT ':(funcid|opfuncid|resulttype) ([0-9]{{5}}|(' || pg_catalog.string_agg(r.oid::text, '|') || ') )'
                FROM ({_RISKY}) r)"""

# Expressions that the planner looks at whenever it plans a read of their relation. It runs a call with constants only right
# away. Only those that are `_TELLING` are asked for. stxexprs is new in 14.
_PLANNED = f"""
SELECT relation::pg_catalog.int8 AS relation, tree FROM (
    SELECT indrelid, pg_catalog.concat(indexprs::text, indpred::text) FROM pg_catalog.pg_index
     UNION ALL
    SELECT conrelid, conbin::text FROM pg_catalog.pg_constraint WHERE conrelid <> 0 AND contype = 'c'
     UNION ALL
    SELECT stxrelid, pg_catalog.to_jsonb(s) ->> 'stxexprs' FROM pg_catalog.pg_statistic_ext s
     UNION ALL
    SELECT partrelid, partexprs::text FROM pg_catalog.pg_partitioned_table
) each (relation, tree) WHERE tree ~ {_TELLING}
"""
# Where planning an INSERT or UPDATE may run code of the user's before the server refuses it: a default, the column's or its
# domain's, with a call of constants; a constant that becomes a type which runs code: here all that may be one.
_TYPED = """
SELECT DISTINCT a.attrelid::pg_catalog.int8 AS relation, each.type::pg_catalog.int8 AS type
  FROM (SELECT DISTINCT attrelid, atttypid FROM pg_catalog.pg_attribute
         WHERE attnum > 0 AND attrelid >= 16384 AND (atttypid >= 16384 OR atttypid IN (
               SELECT made.oid FROM pg_catalog.pg_cast c, pg_catalog.pg_type made
                WHERE c.oid >= 16384 AND (
                      c.castsource IN (made.oid, made.typelem, made.typbasetype) OR
                      c.casttarget IN (made.oid, made.typelem, made.typbasetype))))) a
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid,
       LATERAL pg_catalog.unnest(ARRAY[t.oid, t.typelem, t.typbasetype]) AS each (type)
 WHERE each.type >= 16384 OR each.type IN (
           SELECT side FROM pg_catalog.pg_cast c, LATERAL pg_catalog.unnest(ARRAY[c.castsource, c.casttarget]) AS side
            WHERE c.oid >= 16384)
"""
_DEFAULTS = f"""
SELECT relation::pg_catalog.int8 AS relation, tree FROM (
    SELECT adrelid, adbin::text FROM pg_catalog.pg_attrdef
     UNION ALL
    SELECT a.attrelid, t.typdefaultbin::text
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND a.attnum > 0
) each (relation, tree) WHERE tree ~ {_TELLING}
"""
_CODE = f"""
SELECT p.oid::pg_catalog.int8 AS oid, l.lanname NOT IN ('c', 'internal') AS folds FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE {_IS_CODE}
"""

# Row policies that a view's owner meets behind it, whoever reads it.
_OWNERS_POLICIES = """
       pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
  JOIN pg_catalog.pg_roles o ON o.oid = v.relowner AND NOT (o.rolsuper OR o.rolbypassrls)
  JOIN pg_catalog.pg_depend u ON u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND u.objid = r.oid
                             AND u.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  JOIN pg_catalog.pg_class t ON t.oid = u.refobjid AND t.relrowsecurity
   AND (t.relforcerowsecurity OR NOT pg_catalog.pg_has_role(v.relowner, t.relowner, 'USAGE'))
  JOIN pg_catalog.pg_policy p ON p.polrelid = t.oid
"""

# What each view's rule depends on: user functions and operators, types, foreign tables, other relations; what a row policy
# depends on counts for its table, or for the view whose owner meets it; and a partition or child for its parent, since reading the parent reads it.
_VIEW_CODE = f"""
WITH code (class, oid) AS MATERIALIZED (
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE {_IS_CODE}
     UNION ALL
    SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid
      FROM pg_catalog.pg_operator o
      JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     WHERE o.oid >= 16384
       AND ({_IS_CODE} OR (p.oid < 16384 AND (p.provolatile = 'v' OR l.lanname NOT IN ('c', 'internal'))))
)
SELECT r.ev_class::pg_catalog.int8 AS view, d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AS relation,
       d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AS type, d.refobjid::pg_catalog.int8 AS used,
       d.refobjsubid AS number
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
 WHERE (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class)
    OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    OR (d.refclassid, d.refobjid) IN (SELECT code.class, code.oid FROM code)
 UNION ALL
SELECT p.polrelid::pg_catalog.int8, false, false, d.refobjid::pg_catalog.int8, NULL
  FROM pg_catalog.pg_policy p
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
 WHERE (d.refclassid, d.refobjid) IN (SELECT code.class, code.oid FROM code)
   AND pg_catalog.row_security_active(p.polrelid)
 UNION ALL
SELECT r.ev_class::pg_catalog.int8, false, false, d.refobjid::pg_catalog.int8, NULL
  FROM {_OWNERS_POLICIES}
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
 WHERE (d.refclassid, d.refobjid) IN (SELECT code.class, code.oid FROM code)
 UNION ALL
SELECT i.inhparent::pg_catalog.int8, true, false, i.inhrelid::pg_catalog.int8, NULL FROM pg_catalog.pg_inherits i
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
  FROM pg_catalog.pg_class c
 WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384
"""

# Row policies, and whether this login meets them itself; a view's owner and code with its owner's rights may meet others. No
# dependency tells which built-in functions they call; their text does.
_POLICIES = f"""
SELECT p.polrelid::pg_catalog.int8 AS relation, pg_catalog.row_security_active(p.polrelid) AS active,
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
                            pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) AS text
  FROM pg_catalog.pg_policy p
 UNION
SELECT v.oid::pg_catalog.int8, true,
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
                            pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
  FROM {_OWNERS_POLICIES}
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
       t.tgtype AS type, t.tgqual::text AS condition, pg_catalog.encode(t.tgargs, 'escape') AS args, t.tgoldtable IS NULL AND t.tgnewtable IS NULL AS by_rows
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
 WHERE NOT t.tgisinternal
 UNION ALL
SELECT r.ev_class::pg_catalog.int8, '', pg_catalog.pg_get_ruledef(r.oid), 0, NULL, '', true
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
 WHERE r.rulename <> '_RETURN' AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace
"""

# Defaults that call code of the user's, the column's own or its domain's, as a trigger would say it.
_FILLING = f"""
SELECT relation::pg_catalog.int8 AS relation, pg_catalog.format('NEW.%I := %s', name, text) AS text FROM (
    SELECT d.adrelid, a.attname, d.adbin::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
      FROM pg_catalog.pg_attrdef d
      JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
     UNION ALL
    SELECT a.attrelid, a.attname, t.typdefaultbin::text, t.typdefault
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND a.attnum > 0
) each (relation, name, tree, text) WHERE tree ~ {_TELLING}
"""

_REFERENCES = """
SELECT f.conrelid::pg_catalog.int8 AS relation, f.confrelid::pg_catalog.int8 AS referred,
       f.confdeltype IN ('c', 'n', 'd') AS deletes, f.confupdtype IN ('c', 'n', 'd') AS updates,
       pg_catalog.array_agg(a.attname ORDER BY k.at) AS columns, pg_catalog.array_agg(b.attname ORDER BY k.at) AS referred_columns
  FROM pg_catalog.pg_constraint f
  CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(f.conkey), pg_catalog.unnest(f.confkey)) WITH ORDINALITY AS k (own, other, at)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.own
  JOIN pg_catalog.pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.other
 WHERE f.contype = 'f' GROUP BY f.oid, f.conrelid, f.confrelid, f.confdeltype, f.confupdtype
"""

# Code that runs at each login (from 17 on).
_GREETING = """
SELECT e.evtname AS name FROM pg_catalog.pg_event_trigger e WHERE e.evtevent = 'login' AND e.evtenabled <> 'D'
"""


PARTS = {
    "relations": _RELATIONS,
    "functions": _FUNCTIONS,
    "made": _MADE,
    "operators": _OPERATORS,
    "checked": _CHECKED,
    "casts": _CASTS,
    "compared": _COMPARED,
    "implicit": _IMPLICIT,
    "planned": _PLANNED,
    "code": _CODE,
    "risky": _RISKY,
    "typed": _TYPED,
    "defaults": _DEFAULTS,
    "view_code": _VIEW_CODE,
    "rules": _RULES,
    "definitions": _DEFINITIONS,
    "policies": _POLICIES,
    "schemas": _SCHEMAS,
    "triggers": _TRIGGERS,
    "parents": _PARENTS,
    "generated": _GENERATED,
    "copying": _COPYING,
    "filling": _FILLING,
    "references": _REFERENCES,
    "greeting": _GREETING,
}
EVERYTHING = "SELECT {}, pg_catalog.to_json(pg_catalog.current_setting('server_version_num')::pg_catalog.int4) AS version".format(
    ", ".join(
        f"(SELECT coalesce(pg_catalog.json_agg(part), '[]') FROM ({query}) part) AS {name}"
        for name, query in PARTS.items()
    )
)
