"""A Script as JSON and back, for the way between this process and the parser process.

JSON and not pickle: the other end has read hostile text with C code, so what it answers is data and must never be code.
"""

import json
from dataclasses import asdict, fields
from typing import Any

from gateway.sql.statement import ColumnUse, Control, NameUse, Script, Statement, StatementClass, Written

_EMPTY = Statement(sql="", tag="", classes=frozenset())
_FIELDS = tuple(each.name for each in fields(Statement))


def dump(script: Script) -> bytes:
    """Encode; fields with their default value are left out."""
    return json.dumps(
        {
            "statements": [_statement(each) for each in script.statements],
            "unparsable": script.unparsable,
            "too_big": script.too_big,
            "claimed_reason": script.claimed_reason,
            "facts": dict(script.facts),
        }
    ).encode()


def load(data: bytes, text: str) -> Script:
    """Decode the Script of `text`. Raise ValueError, LookupError or TypeError on anything that dump() didn't write."""
    found = json.loads(data)
    return Script(
        sql=text,
        statements=tuple(_as_statement(each) for each in found["statements"]),
        unparsable=found["unparsable"],
        too_big=found["too_big"],
        claimed_reason=found["claimed_reason"],
        facts=found["facts"],
    )


def _statement(statement: Statement) -> dict[str, Any]:
    found = {name: value for name in _FIELDS if (value := getattr(statement, name)) != getattr(_EMPTY, name)}
    found["classes"] = sorted(each.value for each in statement.classes)
    if statement.control is not None:
        found["control"] = statement.control.value
    if statement.names is not None:
        body = statement.names.body
        found["names"] = [statement.names.verb, statement.names.name, None if body is None else _statement(body)]
    if "written" in found:
        found["written"] = asdict(statement.written)
    return found


def _as_statement(found: dict[str, Any]) -> Statement:
    known: dict[str, Any] = {key: _frozen(value) for key, value in found.items()}
    known["classes"] = frozenset(StatementClass(each) for each in found["classes"])
    if "control" in found:
        known["control"] = Control(found["control"])
    if "names" in found:
        verb, name, body = found["names"]
        known["names"] = NameUse(verb, name, None if body is None else _as_statement(body))
    if "written" in found:
        known["written"] = _as_written(found["written"])
    return Statement(**{"sql": "", "tag": "", **known})


def _as_written(found: dict[str, Any]) -> Written:
    known: dict[str, Any] = {key: _frozen(value) for key, value in found.items()}
    for key in ("columns", "predicates"):
        known[key] = tuple(
            ColumnUse(each["column"], tuple(tuple(level) for level in each["levels"]), each["qualified"])
            for each in found[key]
        )
    return Written(**known)


def _frozen(value: Any) -> Any:
    """Lists as tuples, however deep."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
