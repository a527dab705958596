"""What a text says once its values are known: set_config() by parameters, and current_setting() as an output column.

What lives here: finding those calls in a parse tree, and reading a statement again with bound values in the place of the
parameters of set_config(). Not here: where values come from (gateway.session), what a setting costs (settings.py).
"""

from collections import Counter
from collections.abc import Mapping

from gateway.sql.effects import read_statement
from gateway.sql.parse import tree
from gateway.sql.statement import Statement
from gateway.sql.tree import Fields, calls, constant, parameter

#: Of these types a parameter may be declared: none, and text. Others are cast, and a cast may change the value (bpchar).
PLAIN_TYPES = frozenset({0, 25})


def read_bound(sql: str, values: Mapping[int, str | None]) -> Statement | None:
    """Read a text of one statement with these values (by parameter number) where set_config() takes its name or value.

    A parameter that stands anywhere else too may get another type there, so it stays one. None for a text that can't be
    taken apart here.
    """
    found = tree(sql)
    if found is None:
        return None
    name, fields = found
    taken, every = Counter[int](), Counter[int]()
    _count(fields, taken, every)
    known = {number: value for number, value in values.items() if taken[number] == every[number]}
    try:
        return read_statement(sql, name, _filled(fields, known))
    except (RecursionError, LookupError, TypeError, AttributeError, ValueError):
        return None  # as in parse.py: a tree that isn't known


def _count(node: object, taken: Counter[int], every: Counter[int]) -> None:
    """How often each parameter is taken by set_config(), and how often it stands anywhere."""
    if isinstance(node, list):
        for each in node:
            _count(each, taken, every)
    elif isinstance(node, dict):
        for number in _numbers(node):
            taken[number] += 1
        own = parameter(node)
        if own is not None:
            every[own] += 1
        for each in node.values():
            _count(each, taken, every)


def _numbers(node: Fields) -> list[int]:
    """The parameters that a call of set_config() takes as its name and value."""
    return [number for each in _arguments(node) if (number := parameter(each)) is not None]


def _arguments(node: Fields) -> list[Fields]:
    call = calls(node, "set_config")
    return (call.get("args") or [])[:2] if call else []


def _filled(node: Fields, values: Mapping[int, str | None]) -> Fields:
    """The tree with constants in the place of those parameters."""

    def filled(each: object) -> object:
        if isinstance(each, list):
            return [filled(inner) for inner in each]
        if not isinstance(each, dict):
            return each
        if _numbers(each):
            call = dict(each["FuncCall"])
            call["args"] = [_value(at, values) for at in call["args"][:2]] + call["args"][2:]
            each = {"FuncCall": call}
        return {key: filled(inner) for key, inner in each.items()}

    return {key: filled(value) for key, value in node.items()}


def _value(node: Fields, values: Mapping[int, str | None]) -> Fields:
    number = parameter(node)
    return constant(values[number]) if number is not None and number in values else node
