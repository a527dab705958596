"""What each condition of a rule asks, as one table. Pure.

How to think about it: what a statement touches is known only as far as it could be read. So an *allow* must **surely**
match (every relation, column and function it is given for; what isn't known doesn't match), while a hold or a deny
matches when it **possibly** does (any of them; what isn't known yet counts). `unless` turns this round. `Need` says
which reading is meant.

A condition about the session (who, where, from where) is fixed for a session; one about the statement is asked each
time. `rows` and `hours` come last: only a rule that matches in everything else makes a verdict depend on them.
"""

import ipaddress
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from gateway.identity.claims import Identity
from gateway.policy.model import Conditions, Hours
from gateway.policy.tags import TAGS, covers
from gateway.sql.statement import Statement


class Need(Enum):
    """How sure a match has to be."""

    SURE = "sure"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else a rule may ask: `now` is Unix seconds; `rows` is the preview's count once it is known."""

    now: float
    application: str = ""
    client: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What is fixed for a session. None in `application` or `client`: not known yet, so anything is possible."""

    who: Identity
    target: str
    application: str | None
    client: str | None


@dataclass(slots=True)
class Unit:
    """One thing that a statement does: a class and, where it has any, one of its relations.

    `rests_on` gathers which of rows and hours were asked on the way.
    """

    statement: Statement
    kind: str
    relation: str | None
    at: Circumstances
    rests_on: set[str]


def _who(when: Conditions, session: Session, _need: Need) -> bool:
    return who_matches(when.groups, when.users, session.who)


def who_matches(groups: frozenset[str] | None, users: tuple[str, ...] | None, who: Identity) -> bool:
    """True if a group or a user name fits. E-mail addresses don't differ by case, so users are compared without it."""
    if groups and not groups.isdisjoint(who.groups):
        return True
    names = {name.casefold() for name in (who.user, who.email) if name}
    return any(user.casefold() in names for user in users or ())


def _target(when: Conditions, session: Session, _need: Need) -> bool:
    return when.targets is None or session.target in when.targets


def _application(when: Conditions, session: Session, need: Need) -> bool:
    if session.application is None:
        return need is Need.POSSIBLE
    return any(fnmatchcase(session.application, pattern) for pattern in when.applications or ())


def _network(when: Conditions, session: Session, need: Need) -> bool:
    try:
        address = ipaddress.ip_address(session.client or "")
    except ValueError:
        return need is Need.POSSIBLE
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in ipaddress.ip_network(network) for network in when.client_networks or ())


def _statements(when: Conditions, unit: Unit, need: Need) -> bool:
    if when.classes and unit.kind in when.classes:
        return True
    if not when.tags:
        return False
    tags = (unit.statement.tag, *unit.statement.inner_tags)
    if need is Need.POSSIBLE:
        return any(_named(tag, when.tags) for tag in tags)
    vouching = [tag for tag in tags if unit.kind in _vouches_for(tag)]
    return bool(vouching) and all(_named(tag, when.tags) for tag in vouching)


def _named(tag: str, words: frozenset[str]) -> bool:
    return tag in words or any(covers(word, tag) for word in words)


def _vouches_for(tag: str) -> frozenset[str]:
    """An unlisted tag ("CREATE UNLOGGED ...") vouches for what its family does."""
    while tag and tag not in TAGS:
        tag = tag.rpartition(" ")[0]
    return TAGS.get(tag, frozenset())


def _where(when: Conditions, unit: Unit, _need: Need) -> bool:
    return unit.statement.where is when.where


def _tables(when: Conditions, unit: Unit, need: Need) -> bool:
    if unit.relation is None:
        # SELECT 1 reads no table, so it reads none that the rule does not name; functions could read any
        return need is Need.SURE and unit.kind == "read" and not _own_functions(unit.statement)
    globs = when.tables or ()
    return _any_glob(unit.relation, globs) or (need is Need.POSSIBLE and _star(unit.relation, globs))


def _columns(when: Conditions, unit: Unit, need: Need) -> bool:
    columns, globs = unit.statement.columns, when.columns or ()
    if need is Need.POSSIBLE:
        seen = (*columns, *unit.statement.columns_behind)
        return any(_any_glob(column, globs) or _star(column, globs) for column in seen)
    known = {column.rpartition(".")[0] for column in columns}
    touched = {*unit.statement.reads, *unit.statement.writes}
    return bool(columns) and touched <= known and all(_any_glob(column, globs) for column in columns)


def _star(name: str, globs: tuple[str, ...]) -> bool:
    """True if an unexpanded `schema.table.*` may hold a column of these, or `schema.*` a table."""
    return name.endswith(".*") and any(
        fnmatchcase(name.removesuffix(".*"), pattern.rpartition(".")[0]) for pattern in globs
    )


def _functions(when: Conditions, unit: Unit, need: Need) -> bool:
    globs = when.functions or ()
    if need is Need.POSSIBLE:
        return any(_function(name, globs, "*") for name in unit.statement.functions)
    own = _own_functions(unit.statement)
    return bool(own) and all(_function(name, globs, "public") for name in own)


def _own_functions(statement: Statement) -> tuple[str, ...]:
    return tuple(name for name in statement.functions if not name.startswith("pg_catalog."))


def _function(name: str, globs: tuple[str, ...], schema: str) -> bool:
    """A call is known as it was written: a bare one is taken as of `schema` ("*": of any)."""
    if "." in name:
        return _any_glob(name, globs)
    if schema == "*":
        return any(fnmatchcase(name, pattern.rpartition(".")[2]) for pattern in globs)
    return _any_glob(f"{schema}.{name}", globs)


@lru_cache(maxsize=8192)  # a table of a thousand partitions asks a thousand times
def _any_glob(name: str, globs: tuple[str, ...]) -> bool:
    return name in globs or any(fnmatchcase(name, pattern) for pattern in globs)


_COMPARE: Final[Mapping[str, Callable[[int, int], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
}


def _rows(when: Conditions, unit: Unit, need: Need) -> bool:
    unit.rests_on.add("rows")
    if unit.at.rows is None or when.rows is None:
        return need is Need.POSSIBLE
    sign, bound = when.rows
    return _COMPARE[sign](unit.at.rows, bound)


def _hours(when: Conditions, unit: Unit, _need: Need) -> bool:
    unit.rests_on.add("hours")
    return when.hours is not None and in_hours(when.hours, unit.at.now)


def in_hours(hours: Hours, now: float) -> bool:
    """True if Unix second `now` falls into the hours; a window over midnight belongs to the day it began on."""
    local = datetime.fromtimestamp(now, _zone(hours.tz))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if hours.start < hours.end:
        return day in hours.days and hours.start <= minute < hours.end
    return (day in hours.days and minute >= hours.start) or ((day - 1) % 7 in hours.days and minute < hours.end)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


SessionCheck = Callable[[Conditions, Session, Need], bool]
UnitCheck = Callable[[Conditions, Unit, Need], bool]

#: Condition as people name it -> (the fields of Conditions that ask it, its check); asked once a session.
OF_SESSION: Final[Mapping[str, tuple[tuple[str, ...], SessionCheck]]] = {
    "groups": (("groups", "users"), _who),
    "targets": (("targets",), _target),
    "applications": (("applications",), _application),
    "client_networks": (("client_networks",), _network),
}
#: The same for what is asked of each unit, cheapest first; rows and hours last (see above).
OF_UNIT: Final[Mapping[str, tuple[tuple[str, ...], UnitCheck]]] = {
    "statements": (("classes", "tags"), _statements),
    "where": (("where",), _where),
    "tables": (("tables",), _tables),
    "columns": (("columns",), _columns),
    "functions": (("functions",), _functions),
    "hours": (("hours",), _hours),
    "rows": (("rows",), _rows),
}
#: Those whose answer depends on nothing but the unit's class, the tag and WHERE.
OF_KIND: Final = frozenset({"statements", "where"})


def asked_of_session(when: Conditions) -> tuple[tuple[str, SessionCheck], ...]:
    """Return the session conditions that are set, with their names."""
    return tuple((name, check) for name, (fields, check) in OF_SESSION.items() if _asks(when, fields))


def asked_of_unit(when: Conditions) -> tuple[tuple[str, UnitCheck], ...]:
    """Return the statement conditions that are set, with their names."""
    return tuple((name, check) for name, (fields, check) in OF_UNIT.items() if _asks(when, fields))


def _asks(when: Conditions, fields: tuple[str, ...]) -> bool:
    return any(getattr(when, name) is not None for name in fields)
