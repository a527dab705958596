"""Functions that can't be fetched from twice with a savepoint in between, as the guard has one round each FETCH. Pure.

Before PostgreSQL 18 a set-returning function in SQL that stands in a select list begins anew when it is asked for its next row
behind a savepoint that was released: rows would come twice. In FROM its rows are made at once. What lives here: which functions
those are, and whether a query calls one so. What must not: what becomes of such a FETCH (gateway.session.draft).
"""

from collections.abc import Collection, Iterator
from functools import lru_cache

from gateway.sql.contained import Function
from gateway.sql.parse import tree
from gateway.sql.tree import Fields, children, strings

_MENDED = 180000
_FROM = "RangeFunction"
_CALL = "FuncCall"


def restarts(function: Function, server_version_num: int) -> bool:
    """Does it begin anew on this server?"""
    return server_version_num < _MENDED and function.language == "sql" and function.sets


def calls_beside_from(text: str, names: Collection[str]) -> bool:
    """Does a query call one of these functions (names without schema) elsewhere than in FROM? True where it can't be read."""
    called = _beside_from(text)
    return called is None or not called.isdisjoint(names)


@lru_cache(maxsize=256)
def _beside_from(text: str) -> frozenset[str] | None:
    found = tree(text)
    return None if found is None else frozenset(_calls(*found))


def _calls(name: str, fields: Fields) -> Iterator[str]:
    if name == _CALL:
        yield strings(fields.get("funcname"))[-1]
    for each in children(fields) if name != _FROM else ():
        yield from _calls(*each)
