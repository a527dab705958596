"""The grammar of `/hoop audit ...` and `hoop audit ...` (one parser for every front). Pure; the clock arrives as an argument.

A query answers with *end entries*: each statement appears once, as `finished` (executed, failed, unknown), `refused`
(by policy, it never ran) or `decided` with an outcome other than approved (denied, expired, withdrawn ...).
"""

from dataclasses import dataclass

#: The kinds of entry that end a statement's story.
END_KINDS = ("finished", "refused", "decided")


@dataclass(frozen=True, slots=True)
class Filter:
    """`key` of the grammar (user, table, verb, decision ...), any of `values` (globs in user and table), or none of them."""

    key: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query; times are Unix seconds, `until` exclusive. `sort`: time, rows, duration. `format`: table, csv, json."""

    filters: tuple[Filter, ...]
    since: float
    until: float
    limit: int = 8
    sort: str = "time"
    format: str = "table"
    share: bool = False
