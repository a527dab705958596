"""Masking columns that no column of a target is called: nothing is masked by them, and it looks as if it were. Pure.

What lives here: the policy's entries against a target's catalog, and what may have been meant. What masks is
gateway.masking.columns; a protection that is named and not built is unenforced.py's. Nothing is refused: a column may
come later.
"""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase, translate

from gateway.policy.document import nearest
from gateway.policy.model import Policy
from gateway.sql.catalog import Relation

_WILD = frozenset("*?[")


def named_at(policy: Policy, target: str) -> list[str]:
    """The masking columns (target.schema.table.column, globs) that are about this target, in order, each once."""
    entries = dict.fromkeys(each.column for each in policy.masking.columns)
    return [each for each in entries if fnmatchcase(target, each.partition(".")[0])]


def unmatched(policy: Policy, target: str, relations: Collection[Relation]) -> dict[str, str]:
    """Those that match no column of `relations`, all of the target's -> `; did you mean "x"?` or the like, or ""."""
    entries = named_at(policy, target)
    if not entries:
        return {}
    columns = {f"{each.schema}.{each.name}.{column}": None for each in relations for column in each.columns}
    return {each: _hint(each, columns) for each in entries if not _matches(each, target, columns)}


def is_pattern(entry: str) -> bool:
    """Whether it may stand for several columns, or for those of several targets."""
    return not _WILD.isdisjoint(entry)


def _matches(entry: str, target: str, columns: Collection[str]) -> bool:
    """As the masks match: case counts, and a * matches dots too."""
    if not is_pattern(entry):
        return entry.removeprefix(f"{target}.") in columns
    glob = re.compile(translate(entry))
    return any(glob.match(f"{target}.{each}") for each in columns)


def _hint(entry: str, columns: Collection[str]) -> str:
    """Near are the table's other columns, and columns of that name elsewhere: all of a big catalog take seconds."""
    wanted = entry.partition(".")[2]
    if is_pattern(wanted):
        return ""
    table, _, column = wanted.lower().rpartition(".")
    return nearest(wanted, [each for each in columns if _ends(each.lower(), table, column)])


def _ends(name: str, table: str, column: str) -> bool:
    return name.startswith(f"{table}.") or name.endswith(f".{column}")
