"""The verbs that the audit grammar knows: every command tag there is, and their families. Pure.

What lives here: the list, and refusing what is not on it: `verb:delte` would match nothing, and look as if nothing had happened. The
grammar itself (gateway.audit.query) knows no SQL.
"""

import difflib
import re
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from typing import Final

from gateway.audit.query import Filter, Query, QueryError, parse
from gateway.policy.tags import TAGS
from gateway.sql.commands import FIXED, TRANSACTIONS

#: The tag of a text that can't be read; nothing else of it is known.
_UNREADABLE: Final = "UNKNOWN"
_TAGS: Final = {*TAGS, *(tag for tag, _ in FIXED.values()), *(tag for tag, *_ in TRANSACTIONS.values()), _UNREADABLE}
#: Command tags and their first words, in small letters.
VERBS: Final = frozenset(word.lower() for tag in _TAGS for word in (tag, tag.split(" ")[0]))
#: What is listed: families, not each of their members.
FAMILIES: Final = tuple(sorted(each for each in VERBS if " " not in each))


def asked(text: str, now: float, zone: tzinfo = UTC) -> Query:
    """Read a query, as `parse` does. Raises QueryError, also for a verb that no statement has."""
    query = parse(text, now, zone)
    for each in query.filters:
        if each.key == "verb":
            _check(text, each)
    return query


def _check(text: str, verb: Filter) -> None:
    for value in verb.values:
        if any(fnmatchcase(known, value.lower()) for known in VERBS):
            continue
        near = difflib.get_close_matches(value.lower(), VERBS, n=1, cutoff=0.6)
        advice = f"did you mean {near[0]}? " if near else ""
        found = re.search(rf"verb:\S*?{re.escape(value)}", text, re.IGNORECASE)
        position = found.end() - len(value) if found else 0
        raise QueryError(text, position, f"unknown verb {value}: {advice}Verbs are {', '.join(FAMILIES)}")
