"""One statement's tree -> a Statement: class, tag, relations, names. The table is in interface.md (Statement classes).

What lives here: utility statements, and what wraps a query (EXPLAIN, PREPARE, DECLARE, COPY, CREATE TABLE AS). Queries
themselves are read by queries.py, plain tables of tags are in commands.py. A statement that no table knows is opaque.

The classes say what the text does if every function, operator, type and relation in it is what it looks like. Whether they
are is resolve()'s question: nothing may be allowed as a read before resolve() has seen it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.sql.commands import ALSO_CALLED, TRANSACTIONS, command
from gateway.sql.queries import COMMAND_TAGS, Walk
from gateway.sql.settings import quoted_schema, setting_class
from gateway.sql.statement import ALL, Control, NameUse, Statement, StatementClass
from gateway.sql.tree import (
    Fields,
    as_public,
    calls,
    children,
    dotted,
    is_temporary,
    key_of,
    literal,
    parameter,
    strings,
    unwrap,
)

UNKNOWN_NAME = "what this name stands for isn't known here"


def read_statement(sql: str, name: str, fields: Fields) -> Statement:
    """Read one statement node. Raise RecursionError when it is nested too deep, LookupError or TypeError on a tree we don't expect."""
    if name in COMMAND_TAGS:
        return _query(sql, name, fields)
    reader = _READERS.get(name)
    return reader(sql, fields) if reader else _utility(sql, name, fields)


def opaque(sql: str, reason: str, tag: str = "") -> Statement:
    """A statement of which nothing is known but that it can't be let through as anything else."""
    return Statement(sql=sql, tag=tag, classes=frozenset({StatementClass.OPAQUE}), reason=reason)


def named(statement: Statement, body: Statement) -> Statement:
    """What EXECUTE, FETCH or MOVE does once its name is known: the body's effects, and those of its own parameters.

    Both have gone through resolve(), the body with the search_path of now. Also for what holds an EXECUTE (CREATE TABLE AS).
    """
    mine, reason = statement.classes, statement.reason.removeprefix(UNKNOWN_NAME).removeprefix("; ")
    if not reason:
        mine = mine - {StatementClass.OPAQUE}
    return replace(
        statement,
        classes=mine | body.classes,
        reads=_both(statement.reads, body.reads),
        writes=_both(statement.writes, body.writes),
        columns=_both(statement.columns, body.columns),
        behind=tuple(dict.fromkeys(statement.behind + body.behind)),
        columns_behind=_both(statement.columns_behind, body.columns_behind),
        functions=_both(statement.functions, body.functions),
        protected_predicates=_both(statement.protected_predicates, body.protected_predicates),
        where=body.where,
        reason="; ".join(each for each in (reason, body.reason) if each),
        settings=statement.settings + body.settings,
        inner_tags=_both(statement.inner_tags, _with_tag(body)),
        unresolved=_both(statement.unresolved, body.unresolved),
        unsettles=statement.unsettles or body.unsettles,
        written=body.written,
        guarded=statement.guarded or body.guarded,
    )


def _both(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(first + second))


def _query(sql: str, name: str, fields: Fields) -> Statement:
    tag = COMMAND_TAGS[name]
    walk = Walk()
    walk.query(name, fields)
    if walk.is_read(tag):
        walk.classes.add(StatementClass.READ)
    into = fields.get("intoClause", {}).get("rel")
    tag = "SELECT INTO" if StatementClass.DDL in walk.classes else tag
    tells = _tells(fields.get("targetList") or ()) if tag == "SELECT" else ()
    return walk.finish(sql, tag, temporary=is_temporary(into), tells=tells)


def _tells(targets: Sequence[Fields]) -> tuple[tuple[int, str | int], ...]:
    """See Statement.tells. A star stands for a number of columns that isn't known here: nothing behind one is told."""
    shown = [(unwrap(each) or ("", {}))[1].get("val", {}) for each in targets]
    found: list[tuple[int, str | int]] = []
    for at, each in enumerate(shown):
        call = calls(each, "current_setting")
        args = (call or {}).get("args") or []
        asked = (parameter(args[0]) or literal(args[0])) if args else None
        if asked is not None:
            found.append((at, asked))
    return tuple((at, asked) for at, asked in found if not _has_star(shown[:at]))


def _has_star(node: object) -> bool:
    """`*`, `t.*` and `(row).*`; inside a call it is one column all the same, which costs no more than that nothing is told."""
    if isinstance(node, list):
        return any(map(_has_star, node))
    return isinstance(node, dict) and ("A_Star" in node or any(map(_has_star, node.values())))


# --- utility statements that only need names ---


def _utility(sql: str, name: str, fields: Fields) -> Statement:
    known = command(name, fields)
    if known is None:
        return opaque(sql, f"{name} isn't known")
    tag, kind = known
    walk = Walk(strict=False)
    for key in _affected(name, fields):
        (walk.reads if name == "LockStmt" else walk.writes)[key] = None
    if name in _WITH_EXPRESSIONS:
        for child, inner in children({k: v for k, v in fields.items() if k not in ("relation", "view")}):
            walk.expression(child, inner)
        walk.where = None
    walk.classes = {kind}
    walk.reasons = []
    walk.inner_tags = [ALSO_CALLED[tag]] if tag in ALSO_CALLED else []
    use = _NAMED.get(name)
    names = NameUse(use[0], fields.get(use[1])) if use else None
    shows = str(fields.get("name", "")).lower() if name == "VariableShowStmt" else None
    temporary = name in _MAKES and any(is_temporary(fields.get(each)) for each in ("relation", "view", "sequence"))
    walk.cascades = name == "TruncateStmt" and fields.get("behavior") == "DROP_CASCADE"
    return walk.finish(sql, tag, names=names, shows=shows, temporary=temporary)


# Their expressions name relations and functions that a reviewer wants to see. They aren't run as a query.
_WITH_EXPRESSIONS = frozenset({"ViewStmt", "IndexStmt", "AlterTableStmt", "CreateStmt", "CreatePolicyStmt", "RuleStmt"})
_LISTS = ("relations", "rels", "objects")
#: Statements about one name: the verb, and the field with it.
_NAMED = {"ClosePortalStmt": ("CLOSE", "portalname"), "ListenStmt": ("LISTEN", "conditionname")}
_MAKES = frozenset({"CreateStmt", "ViewStmt", "CreateSeqStmt"})
_TABLES = frozenset(
    {
        "OBJECT_TABLE",
        "OBJECT_VIEW",
        "OBJECT_MATVIEW",
        "OBJECT_FOREIGN_TABLE",
        "OBJECT_SEQUENCE",
        "OBJECT_INDEX",
    }
)
#: Statements about one `object`, and the field with its type.
_ABOUT_ONE = {
    "AlterExtensionContentsStmt": "objtype",
    "AlterOwnerStmt": "objectType",
    "CommentStmt": "objtype",
    "SecLabelStmt": "objtype",
}
#: Statements about a whole schema, and the field with its name.
_SCHEMAS = {"ImportForeignSchemaStmt": "local_schema", "ReindexStmt": "name", "RenameStmt": "subname"}
_OF_A_TABLE = frozenset({"OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"})


def _affected(name: str, fields: Fields) -> list[str]:
    """Keys of the relations that a utility statement acts on; `schema.*` for a whole schema."""
    found = [
        key_of(fields[each])
        for each in ("relation", "view", "table", "sequence", "typevar", "constrrel")
        if _is_relation(fields, each)
    ]
    for each in [node for field in _LISTS for node in fields.get(field) or ()]:
        kind, inner = unwrap(each) or ("", {})
        if kind == "RangeVar":
            found.append(key_of(inner))
        elif kind == "VacuumRelation" and "relation" in inner:
            found.append(key_of(inner["relation"]))
    if name == "CreateForeignTableStmt":
        found.append(key_of(fields["base"]["relation"]))
    if name == "GrantStmt" and (
        fields.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA" or fields.get("objtype") == "OBJECT_SCHEMA"
    ):
        found += _dropped("OBJECT_SCHEMA", fields.get("objects") or [])
    if name == "DropStmt":
        found += _dropped(str(fields.get("removeType")), fields.get("objects") or [])
    if name in _ABOUT_ONE:
        found += _dropped(str(fields.get(_ABOUT_ONE[name])), [fields.get("object") or {}])
    if _is_about_schema(name, fields):
        found.append(f"{dotted([fields[_SCHEMAS[name]]])}.*")
    return found + _published(fields.get("pubobjects") or [])


def _is_about_schema(name: str, fields: Fields) -> bool:
    of = fields.get("renameType", "OBJECT_SCHEMA"), fields.get("kind", "REINDEX_OBJECT_SCHEMA")
    return name in _SCHEMAS and of == ("OBJECT_SCHEMA", "REINDEX_OBJECT_SCHEMA") and bool(fields.get(_SCHEMAS[name]))


def _published(objects: list[Fields]) -> list[str]:
    """The tables and schemas of a publication."""
    found = [each["PublicationObjSpec"] for each in objects]
    tables = [key_of(each["pubtable"]["relation"]) for each in found if "pubtable" in each]
    return tables + [f"{dotted([each['name']])}.*" for each in found if "name" in each]


def _is_relation(fields: Fields, field: str) -> bool:
    return isinstance(fields.get(field), dict) and "relname" in fields[field]


def _dropped(object_type: str, objects: list[Fields]) -> list[str]:
    found = []
    for each in objects:
        kind, inner = unwrap(each) or ("", {})
        if object_type == "OBJECT_SCHEMA" and kind == "String":
            found.append(f"{dotted([inner.get('sval', '')])}.*")
        parts = strings(inner.get("items")) if kind == "List" else []
        if object_type in _OF_A_TABLE:
            parts = parts[:-1]
        if parts and (object_type in _TABLES or object_type in _OF_A_TABLE):
            found.append(key_of({"schemaname": parts[-2] if len(parts) > 1 else "", "relname": parts[-1]}))
    return found


# --- statements with a reader of their own ---


def _transaction(sql: str, fields: Fields) -> Statement:
    tag, control, kind = TRANSACTIONS.get(fields["kind"], ("", Control.OTHER, StatementClass.OPAQUE))
    return Statement(
        sql=sql,
        tag=tag,
        classes=frozenset({kind}),
        control=control,
        settings=_modes(fields.get("options"), ""),
        chain=bool(fields.get("chain")),
        reason="" if tag else f"{fields['kind']} isn't known",
    )


def _modes(options: list[Fields] | None, prefix: str) -> tuple[tuple[str, str | None], ...]:
    """Transaction modes as settings; booleans come as the integers 0 and 1."""
    found = []
    for each in options or ():
        option = each["DefElem"]
        value = literal(option.get("arg"))
        found.append((prefix + option["defname"], {"0": "off", "1": "on"}.get(value or "", value)))
    return tuple(found)


def _set(sql: str, fields: Fields) -> Statement:
    kind, name = fields["kind"], str(fields.get("name", "")).lower()
    reset = kind in ("VAR_RESET", "VAR_SET_DEFAULT")
    tag = "RESET" if kind.startswith("VAR_RESET") else "SET"
    if kind == "VAR_RESET_ALL":
        return Statement(sql=sql, tag=tag, classes=frozenset({StatementClass.HOUSEKEEPING}), settings=((ALL, None),))
    if kind == "VAR_SET_MULTI":
        return _set_transaction(sql, name, fields)
    values = [literal(each) if "A_Const" in each else None for each in fields.get("args") or ()]
    if name == "search_path":
        values = [None if each is None else quoted_schema(each) for each in values]
    value = ", ".join(each for each in values if each is not None) if values and None not in values else None
    found, reason = setting_class(name, value, reset=reset)
    return Statement(
        sql=sql,
        tag=tag,
        classes=frozenset({found}),
        settings=((name, value),),
        local=bool(fields.get("is_local")),
        reason=reason,
        control=_mode_control(name),
    )


def _mode_control(name: str) -> Control | None:
    return Control.OTHER if name.startswith("transaction_") else None


def _set_transaction(sql: str, name: str, fields: Fields) -> Statement:
    if name == "transaction snapshot":
        return Statement(sql=sql, tag="SET", classes=frozenset({StatementClass.SESSION}), control=Control.OTHER)
    settings = _modes(fields.get("args"), "default_" if name == "session characteristics" else "")
    kind = StatementClass.HOUSEKEEPING if name in ("transaction", "session characteristics") else StatementClass.SESSION
    return Statement(sql=sql, tag="SET", classes=frozenset({kind}), settings=settings, control=Control.OTHER)


def _discard(sql: str, fields: Fields) -> Statement:
    tag = str(fields["target"]).replace("_", " ")
    names = NameUse("DEALLOCATE", None) if tag == "DISCARD ALL" else None
    return Statement(sql=sql, tag=tag, classes=frozenset({StatementClass.HOUSEKEEPING}), names=names)


def _deallocate(sql: str, fields: Fields) -> Statement:
    name = None if fields.get("isall") else fields.get("name")
    return Statement(
        sql=sql,
        tag="DEALLOCATE ALL" if name is None else "DEALLOCATE",
        classes=frozenset({StatementClass.HOUSEKEEPING}),
        names=NameUse("DEALLOCATE", name),
    )


def _prepare(sql: str, fields: Fields) -> Statement:
    """PREPARE runs nothing, so it is a read whatever its body is; the body is judged when the name is used."""
    body = _inner(sql, fields["query"])
    # EXECUTE casts its parameters to these, whether the body uses them or not.
    types = tuple(dotted(strings(each["TypeName"].get("names"))) for each in fields.get("argtypes") or ())
    body = replace(body, written=replace(body.written, types=body.written.types + types))
    return Statement(
        sql=sql, tag="PREPARE", classes=frozenset({StatementClass.READ}), names=NameUse("PREPARE", fields["name"], body)
    )


_CURSOR_OPT_HOLD = 0x0020  # parsenodes.h


def _declare(sql: str, fields: Fields) -> Statement:
    body = _inner(sql, fields["query"])
    return replace(
        body,
        tag="DECLARE CURSOR",
        holdable=bool(fields.get("options", 0) & _CURSOR_OPT_HOLD),
        names=NameUse("DECLARE", fields["portalname"], body),
        inner_tags=_with_tag(body),
    )


def _execute(sql: str, fields: Fields) -> Statement:
    walk = Walk()
    for name, inner in children({"params": fields.get("params")}):
        walk.expression(name, inner)
    walk.reasons.insert(0, UNKNOWN_NAME)
    walk.classes.add(StatementClass.OPAQUE)
    return walk.finish(sql, "EXECUTE", names=NameUse("EXECUTE", fields["name"]))


def _fetch(sql: str, fields: Fields) -> Statement:
    verb = "MOVE" if fields.get("ismove") else "FETCH"
    return replace(opaque(sql, UNKNOWN_NAME, verb), names=NameUse(verb, fields["portalname"]))


def _explain(sql: str, fields: Fields) -> Statement:
    inner = _inner(sql, fields["query"])
    tags = _with_tag(inner)
    if _analyzes(fields.get("options")):
        return replace(inner, tag="EXPLAIN", inner_tags=tags)
    if inner.names is not None and inner.names.verb == "EXECUTE":
        return replace(inner, tag="EXPLAIN")
    # Planned, not run. The planner may still call functions to fold constants: they stay for resolve().
    written = replace(inner.written, reads=inner.written.reads + inner.written.writes, writes=())
    return replace(
        inner,
        tag="EXPLAIN",
        classes=frozenset({StatementClass.READ}) | (inner.classes & {StatementClass.OPAQUE}),
        reads=tuple(dict.fromkeys(inner.reads + inner.writes)),
        writes=(),
        where=None,
        inner_tags=(),
        settings=(),
        names=None,
        written=written,
    )


def _analyzes(options: list[Fields] | None) -> bool:
    """Whether EXPLAIN runs the statement. Any ANALYZE that isn't plainly switched off counts, should there be several."""
    off = {"false", "off", "0"}
    found = [each["DefElem"] for each in options or () if each["DefElem"]["defname"] == "analyze"]
    return any(str(_option(each)).lower() not in off for each in found)


def _option(element: Fields) -> str:
    kind, value = unwrap(element.get("arg")) or ("", {})
    if kind == "Integer":
        return str(value.get("ival", 0))
    if kind == "Boolean":
        return str(value.get("boolval", False))
    return str(value.get("sval", ""))


def _copy(sql: str, fields: Fields) -> Statement:
    walk = Walk()
    incoming = bool(fields.get("is_from"))
    outside = bool(fields.get("is_program") or "filename" in fields)
    name, query = unwrap(fields.get("query")) or ("", {})
    if name:
        if name not in COMMAND_TAGS:
            return opaque(sql, f"{name} inside COPY isn't known", "COPY")
        walk.query(name, query)
        walk.inner_tags += [COMMAND_TAGS[name]] if name != "SelectStmt" else []
        walk.classes.add(StatementClass.READ)
    if "relation" in fields:
        (walk.writes if incoming else walk.reads)[key_of(fields["relation"])] = None
        walk.classes.add(StatementClass.WRITE if incoming else StatementClass.READ)
        if not incoming:
            walk.columns_of(fields["relation"], strings(fields.get("attlist")) or ["*"])
        for child, inner in children({"where": fields.get("whereClause")}):
            walk.expression(child, inner)
    if outside:
        walk.classes.add(StatementClass.ADMIN)
    options = _copy_options(fields.get("options"))
    if any(name == "encoding" and _plain(value) not in ("utf8", "unicode") for name, value in options):
        walk.refuse("COPY in an encoding other than UTF8")
    return walk.finish(
        sql,
        "COPY",
        copies=None if outside else "in" if incoming else "out",
        copy_options=options,
        copy_columns=tuple(strings(fields.get("attlist"))) or (("*",) if "relation" in fields else ()),
    )


def _copy_options(options: list[Fields] | None) -> tuple[tuple[str, str], ...]:
    """Names and values; an option without a value is switched on."""
    elements = [each["DefElem"] for each in options or ()]
    return tuple(
        (each["defname"].lower(), _option(each) if unwrap(each.get("arg")) else "true")
        for each in elements
        if (unwrap(each.get("arg")) or ("",))[0] not in ("List", "A_Star")
    )


def _plain(encoding: str) -> str:
    """An encoding's name without case and punctuation, as PostgreSQL compares it (clean_encoding_name)."""
    return "".join(each for each in encoding.lower() if each.isalnum())


def _create_as(sql: str, fields: Fields) -> Statement:
    inner = _inner(sql, fields["query"])
    key = key_of(fields["into"]["rel"])
    tag = "CREATE MATERIALIZED VIEW" if fields.get("objtype") == "OBJECT_MATVIEW" else "CREATE TABLE AS"
    return replace(
        inner,
        tag=tag,
        temporary=is_temporary(fields["into"]["rel"]),
        classes=inner.classes | {StatementClass.DDL, StatementClass.READ},
        writes=tuple(dict.fromkeys((*inner.writes, as_public(key)))),
        inner_tags=_with_tag(inner),
        written=replace(inner.written, writes=tuple(dict.fromkeys((*inner.written.writes, key)))),
    )


def _do(sql: str, _fields: Fields) -> Statement:
    return opaque(sql, "DO runs code that the gateway can't see through", "DO")


def _call(sql: str, fields: Fields) -> Statement:
    walk = Walk()
    walk.expression("FuncCall", fields["funccall"])
    walk.refuse("CALL runs a procedure that the gateway can't see through")
    return walk.finish(sql, "CALL")


def _create_schema(sql: str, fields: Fields) -> Statement:
    """CREATE SCHEMA holds whole statements (CREATE TABLE, GRANT ...): it does what they do."""
    parts = [_inner(sql, each) for each in fields.get("schemaElts") or ()]
    own = Statement(sql=sql, tag="CREATE SCHEMA", classes=frozenset({StatementClass.DDL}))
    schema = dotted([fields.get("schemaname") or fields.get("authrole", {}).get("rolename", "public")])
    writes = [key for part in parts for key in part.written.writes]
    return replace(
        own,
        classes=own.classes.union(*(part.classes for part in parts)),
        reads=tuple(dict.fromkeys(key for part in parts for key in part.reads)),
        writes=tuple(dict.fromkeys(f"{schema}.{key[2:]}" if key.startswith("?.") else key for key in writes)),
        inner_tags=tuple(dict.fromkeys(part.tag for part in parts)),
    )


def _inner(sql: str, node: object) -> Statement:
    name, fields = unwrap(node) or ("an empty statement", {})
    return read_statement(sql, name, fields)


def _with_tag(inner: Statement) -> tuple[str, ...]:
    return tuple(dict.fromkeys(([] if inner.tag == "SELECT" else [inner.tag]) + list(inner.inner_tags)))


_READERS: dict[str, Callable[[str, Fields], Statement]] = {
    "CallStmt": _call,
    "CopyStmt": _copy,
    "CreateSchemaStmt": _create_schema,
    "CreateTableAsStmt": _create_as,
    "DeallocateStmt": _deallocate,
    "DeclareCursorStmt": _declare,
    "DiscardStmt": _discard,
    "DoStmt": _do,
    "ExecuteStmt": _execute,
    "ExplainStmt": _explain,
    "FetchStmt": _fetch,
    "PrepareStmt": _prepare,
    "TransactionStmt": _transaction,
    "VariableSetStmt": _set,
}
