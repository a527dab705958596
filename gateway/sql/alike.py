"""Whether two statements are alike: the same but for constants (our shape, performance.md 7). Pure.

What lives here: which statements have such a key, and what counts as a constant. What must not: what equal keys may be used for
(nothing is judged or granted by them: a constant may say what a statement does).
libpg_query's fingerprint is no such key: it is equal for DELETE FROM staging.t and DELETE FROM prod.t.
"""

import hashlib
import json
from typing import Any

from gateway.sql.functions import special_class
from gateway.sql.parse import POSITIONS, tree

_SHAPED = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
#: Kinds of constant whose value is left out; true, false and NULL stay.
_VALUES = frozenset({"ival", "fval", "sval", "bsval"})
#: Where constants count: how many rows there may be is no detail.
_KEPT = frozenset({"limitCount", "limitOffset"})


def alike(text: str) -> str | None:
    """A key that is equal for texts which are alike (hex). None for a text that is like no other: DDL and other commands,
    functions of the special list (what they do is in their arguments), and what the parser does not read here."""
    found = tree(text)
    if found is None or found[0] not in _SHAPED or _calls_special(found[1]):
        return None
    shaped = json.dumps([found[0], _without_values(found[1])], separators=(",", ":"))
    return hashlib.blake2b(shaped.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _without_values(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_values(each) for each in node]
    if not isinstance(node, dict):
        return node
    kind = next(iter(_VALUES & node["A_Const"].keys()), None) if isinstance(node.get("A_Const"), dict) else None
    if kind is not None:
        return {"A_Const": kind}
    return {
        key: value if key in _KEPT else _without_values(value) for key, value in node.items() if key not in POSITIONS
    }


def _calls_special(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_calls_special, node))
    if not isinstance(node, dict):
        return False
    call = node.get("FuncCall")
    if isinstance(call, dict):
        name = [each.get("String", {}).get("sval", "") for each in call.get("funcname", [])]
        if name and special_class(name[-1]) is not None:
            return True
    return any(map(_calls_special, node.values()))
