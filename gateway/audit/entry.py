"""One audit entry: which fields exist, their order, and the one canonical JSON text that is hashed. Pure.

The fields are interface.md's (Audit entries); absent fields are left out of the JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

#: Every field an entry may have, in the order people read them. A field that isn't here is a programming error.
FIELDS = (
    "seq", "replica", "at", "kind", "session", "subject", "user", "groups", "agent", "client", "target", "request", "statement",
    "rule", "verdict", "outcome", "tag", "tables", "sql", "parameters", "rows", "sqlstate", "duration_ms", "decided_by", "via",
    "reason", "masked", "policy", "entries", "head", "query", "prev", "hash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A sealed entry. `body` has every field but `hash`; `text` is the canonical JSON line with `hash` last."""

    replica: str
    seq: int
    kind: str
    hash: str
    body: Mapping[str, Value]
    text: str
