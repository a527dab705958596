"""The parse tree as dicts, the way parse_sql_json spells it: {"SelectStmt": {...}}, and some fields without the node's name.

What lives here: how to step through such a tree. It knows no statement and decides nothing.
"""

import re
from collections.abc import Iterable
from typing import Any

Fields = dict[str, Any]  # the fields of one node: JSON, so values of any kind

# Fields whose C type is a concrete struct come without the node's name. A test compares this table with pglast.ast.
UNWRAPPED = {
    "alias": "Alias",
    "arg": "JsonValueExpr",
    "argType": "TypeName",
    "collClause": "CollateClause",
    "constructor": "JsonAggConstructor",
    "context_item": "JsonValueExpr",
    "cycle_clause": "CTECycleClause",
    "expr": "JsonValueExpr",
    "format": "JsonFormat",
    "identitySequence": "RangeVar",
    "infer": "InferClause",
    "join_using_alias": "Alias",
    "larg": "SelectStmt",
    "name": "RangeVar",
    "ofTypename": "TypeName",
    "on_empty": "JsonBehavior",
    "on_error": "JsonBehavior",
    "output": "JsonOutput",
    "over": "WindowDef",
    "partbound": "PartitionBoundSpec",
    "partspec": "PartitionSpec",
    "pathspec": "JsonTablePathSpec",
    "pktable": "RangeVar",
    "rarg": "SelectStmt",
    "rel": "RangeVar",
    "relation": "RangeVar",
    "returning": "JsonReturning",
    "search_clause": "CTESearchClause",
    "typeName": "TypeName",
    "val": "JsonValueExpr",
    "value": "JsonValueExpr",
    "withClause": "WithClause",
}


def words(text: str) -> frozenset[str]:
    """Make a set of the words of a long table."""
    return frozenset(text.split())


def unwrap(value: object) -> tuple[str, Fields] | None:
    """Split a wrapped node into its name and its fields; None for anything else."""
    if isinstance(value, dict) and len(value) == 1:
        for name, fields in value.items():
            if "A" <= name < "[" and isinstance(fields, dict):  # node names begin with a capital, fields don't
                return name, fields
    return None


def children(fields: Fields) -> list[tuple[str, Fields]]:
    """Name and fields of each node directly below; an unwrapped struct that UNWRAPPED doesn't know is called `?field`."""
    found: list[tuple[str, Fields]] = []
    for field, value in fields.items():
        if isinstance(value, dict | list):
            _gather(found, field, value)
    return found


def nodes(value: object) -> list[tuple[str, Fields]]:
    """Name and fields of a wrapped node, or of each of a list of them."""
    found: list[tuple[str, Fields]] = []
    _gather(found, "", value)
    return found


def _gather(found: list[tuple[str, Fields]], field: str, value: object) -> None:
    if isinstance(value, list):
        found += [
            unwrap(each) or (UNWRAPPED.get(field, f"?{field}"), each)
            for each in value
            if isinstance(each, dict) and each
        ]
    elif isinstance(value, dict) and value:
        found.append(unwrap(value) or (UNWRAPPED.get(field, f"?{field}"), value))


def strings(nodes: list[Any] | None) -> list[str]:
    """The texts of a list of String nodes, as in a qualified name."""
    return [each["String"].get("sval", "") for each in nodes or () if "String" in each]


def literal(node: object) -> str | None:
    """The value of an A_Const as text (numbers and booleans too); None for NULL and for what is no constant."""
    constant = (unwrap(node) or ("", {}))[1] if (unwrap(node) or ("",))[0] == "A_Const" else {}
    if "sval" in constant:
        return str(constant["sval"].get("sval", ""))
    if "ival" in constant:
        return str(constant["ival"].get("ival", 0))
    if "fval" in constant:
        return str(constant["fval"].get("fval", ""))
    if "boolval" in constant:
        return "true" if constant["boolval"].get("boolval") else "false"
    return None


def constant(value: str | None) -> Fields:
    """The A_Const of a string, or of NULL."""
    return {"A_Const": {"isnull": True} if value is None else {"sval": {"sval": value}}}


def parameter(node: object) -> int | None:
    """The number of a ParamRef; None for anything else."""
    name, fields = unwrap(node) or ("", {})
    return int(fields.get("number", 0)) if name == "ParamRef" else None


def calls(node: object, function: str) -> Fields | None:
    """The fields of a plain call of this built-in function, as written: bare or in pg_catalog; None for anything else."""
    name, fields = unwrap(node) or ("", {})
    written = strings(fields.get("funcname")) if name == "FuncCall" else []
    return fields if written in ([function], ["pg_catalog", function]) else None


def constants(node: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The byte offsets of the constants below a node, and the numbers of its parameters."""
    offsets, numbers, todo = list[int](), list[int](), [node]
    while todo:
        each = todo.pop()
        if isinstance(each, list):
            todo += each
        elif isinstance(each, dict):
            if "A_Const" in each:
                offsets.append(each["A_Const"].get("location", 0))
            elif "ParamRef" in each:
                numbers.append(each["ParamRef"].get("number", 0))
            else:
                todo += each.values()
    return tuple(offsets), tuple(numbers)


UNQUALIFIED = "?"  # stands for the schema that wasn't written; a schema of that name is quoted
_PLAIN = re.compile(r'[^."?*]+')
_PART = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')


def dotted(names: Iterable[str]) -> str:
    """Join names with dots; a name that would be misread is quoted as PostgreSQL does, so that `"a.b"` is never a.b."""
    return ".".join([each if each.isidentifier() or _PLAIN.fullmatch(each) else _quoted(each) for each in names])


def spelled(column: str) -> str:
    """A column's name as the last part of a dotted one; the star stays a star."""
    return column if column == "*" else dotted([column])


def parts(name: str) -> list[str]:
    """Take a dotted name apart again."""
    if '"' not in name:
        return [each for each in name.split(".") if each]
    return [match[1].replace('""', '"') if match[0].startswith('"') else match[2] for match in _PART.finditer(name)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def key_of(range_var: Fields) -> str:
    """A relation's key: `schema.name` as written, `?.name` when unqualified."""
    schema = range_var.get("schemaname")
    return f"{dotted([schema]) if schema else UNQUALIFIED}.{dotted([range_var.get('relname', '')])}"


def is_temporary(range_var: object) -> bool:
    """Whether a RangeVar names a temporary relation to be made: by TEMP, or by its schema."""
    if not isinstance(range_var, dict):
        return False
    return range_var.get("relpersistence") == "t" or str(range_var.get("schemaname", "")).startswith("pg_temp")


def as_public(key: str) -> str:
    """A key as people read it when no catalog is at hand: `?.name` is public.name."""
    return f"public.{key[2:]}" if key.startswith(f"{UNQUALIFIED}.") else key
