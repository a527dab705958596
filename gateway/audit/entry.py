"""One audit entry: which fields exist, their order, and the one canonical JSON text that is hashed. Pure.

The fields are interface.md's (Audit entries); absent fields are left out of the JSON. What lives here: the text of an
entry. How entries are linked and sealed is in chain.py, where they are written in spool.py.

Canonical text: top-level fields in the order of FIELDS, nested objects with sorted keys, no spaces, characters as they
are (UTF-8), no NaN. It survives a round trip through jsonb, which keeps neither order nor U+0000.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from json.encoder import encode_basestring as _quoted
from typing import NamedTuple

#: What reading or writing JSON raises: somebody may nest it deeper than can be read.
NO_JSON = (ValueError, RecursionError)

#: The outcome of what stands in an answer for a row whose text is no entry.
UNREADABLE = "unreadable"

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

#: Every field an entry may have, in the order people read them. A field that isn't here is a programming error.
#: `statement`: the number, within its session, of the statement that an entry belongs to.
#: `login`: the role that a session has on its target.
#: `claimed`: who a client that was refused its login says it is. `passed_on`: tables that foreign keys and triggers change too.
#: `predicates`: the protected columns that a statement's conditions read: an oracle that no mask stops.
#: `fingerprints`: libpg_query's, of each statement: equal for texts that differ in constants, and for some others too.
#: `risk`: "high", of what was held.
#: `copies`: protected columns that a write copies into others, which no mask covers in other sessions.
#: `break_glass`: why somebody approved it alone. `account`: the chat account of a link (Account.key).
#: `entries`, `head`: a checkpoint's own chain before it. `heads`: the newest (replica, seq, hash) of other chains that
#: a checkpoint vouches for. `shipped`: all entries up to this seq were confirmed by the store.
FIELDS = (
    "seq", "replica", "at", "kind", "session", "issuer", "subject", "user", "groups", "agent", "client", "target", "login", "claimed", "request", "statement",
    "rule", "verdict", "outcome", "tag", "tables", "passed_on", "columns", "sql", "fingerprints", "parameters", "risk", "rows", "sqlstate", "duration_ms",
    "decided_by", "via", "reason", "break_glass", "account", "masked", "clear", "unscanned", "predicates", "copies", "policy", "entries", "head", "heads", "shipped", "query", "prev", "hash",
)  # fmt: skip

_RANK = {name: rank for rank, name in enumerate(FIELDS)}
_PREFIX = {name: f'"{name}":' for name in FIELDS}
_nested = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


class Entry(NamedTuple):
    """A sealed entry: `text` is the canonical JSON line with `hash` last. A tuple, because two are made a statement."""

    replica: str
    seq: int
    kind: str
    hash: str
    text: str

    @property
    def body(self) -> Mapping[str, Value]:
        """Every field but `hash`, read from the text: hardly any entry is ever asked for it."""
        return {name: value for name, value in json.loads(self.text).items() if name != "hash"}


def together(entries: Iterable[Entry]) -> bytes:
    """Their lines as a spool has them: UTF-8, each with its line end."""
    return "".join([f"{entry.text}\n" for entry in entries]).encode()


def nested(value: Value) -> str:
    """The one JSON text of a field's value that is no text, number or list of texts. Raises as `canonical` does for such a value."""
    return _nested(value)


def canonical(body: Mapping[str, Value]) -> str:
    """The one JSON text of `body`, no line end.

    Raises ValueError for a field that is not in FIELDS, for NaN and infinities, and for U+0000 in a text (see `clean`);
    TypeError for what is no JSON value.
    """
    try:
        names = sorted(body, key=_RANK.__getitem__)
    except KeyError as unknown:
        raise ValueError(f"not a field of an audit entry: {unknown}") from None
    parts = []
    for name in names:  # built by hand: this runs twice a statement, and is half as long as json.dumps
        value = body[name]
        if type(value) is str:
            parts.append(_PREFIX[name] + _quoted(value))
        elif type(value) is int:
            parts.append(f"{_PREFIX[name]}{value}")
        elif type(value) is list and all(type(item) is str for item in value):
            parts.append(f"{_PREFIX[name]}[{','.join(map(_quoted, value))}]")  # type: ignore[arg-type]  # all are str
        else:
            parts.append(_PREFIX[name] + _nested(value))
    text = "{" + ",".join(parts) + "}"
    if "\\u0000" in text and _has_nul(dict(body)):
        raise ValueError("U+0000 in an audit entry: no jsonb can hold it")
    return text


def read(text: str) -> Mapping[str, Value]:
    """The fields of an entry's text. Raises NO_JSON, for what is no object too."""
    said = json.loads(text)
    if not isinstance(said, dict):
        raise ValueError("no entry")  # noqa: TRY004 - one of NO_JSON
    return said


def readable(texts: Iterable[str]) -> list[Mapping[str, Value]]:
    """The entries of these texts, less those that are none: `hoop audit verify` complains of them."""
    found = []
    for text in texts:
        with suppress(*NO_JSON):
            found.append(read(text))
    return found


def unreadable(replica: str, seq: int, at: str, kind: str) -> dict[str, Value]:
    """What an answer shows for a row whose text is no entry: somebody has changed it, and `hoop audit verify` says so too."""
    return {
        "seq": seq,
        "replica": replica,
        "at": at,
        "kind": kind,
        "user": f"({UNREADABLE})",
        "outcome": UNREADABLE,
        "tag": f"{replica} #{seq}",
        "reason": "this row of the store is no entry of the log: see hoop audit verify",
    }


def clean(value: Value) -> Value:
    """The same value without U+0000 and lone surrogates, each shown as U+FFFD: neither can be stored as UTF-8 in jsonb."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {name: clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    return value


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(inner) for key, inner in value.items())
    return isinstance(value, list | tuple) and any(_has_nul(inner) for inner in value)
