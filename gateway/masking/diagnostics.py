"""Texts on the way to a client, a card or the audit: error and notice fields, payloads, settings, SQL.

What lives here: which fields of ErrorResponse and NoticeResponse are cleaned, dropped or replaced (manual, 55.8 Error and
Notice Message Fields). What must not: framing of messages, decisions about statements.

An error text can carry values that no column rule sees: `invalid input syntax for type integer: "4111..."`, `Key (c)=(...)
already exists`, `Failing row contains (...)`, RAISE NOTICE. So every text is searched; and when the statement touches a
protected column, the text is replaced whole and only the SQLSTATE stays. What the parser says of a name in the client's own
text (`column "nme" does not exist`) quotes no value and stays: people and agents mend their statements by it. Names of
schemas, tables, columns, types and constraints stay too, unless code raised them: RAISE USING takes any value for a name.
"""

from collections.abc import Collection
from functools import lru_cache

from gateway.errors import ProtocolViolation
from gateway.masking.detectors import Detectors
from gateway.masking.masks import REDACTED
from gateway.masking.rules import OWN_TEXTS

#: What a client sees instead of a message that may quote a protected value.
WITHHELD = "the message is withheld: this statement may show a protected column (SQLSTATE {sqlstate})"
_REDACTED = REDACTED.encode()
_BEHIND_NAME = 19  # bytes of a RowDescription field from its name's NUL on
_FIXED = frozenset(
    b"SVCPpLsF"
)  # severity, SQLSTATE, positions, line: never a value. F, L, R name PostgreSQL's own source
_DROPPED = frozenset(b"DHWqpP")  # detail, hint, context, internal query and the positions that belong to the texts

_NAME = 64  # characters of what a client calls itself: nothing longer is remembered

#: PostgreSQL's sources that complain of words, names and types in a statement before it runs (field F of the error).
_OF_NAMES = frozenset({b"scan.l", b"gram.y", b"parse_relation.c", b"parse_func.c", b"parse_oper.c"})
#: Schema, table, column, type, constraint.
_NAMES = frozenset(b"stcdn")
#: PostgreSQL's routines (field R) behind RAISE and plpy.error(): code says what SQLSTATE and level they have.
_RAISES = frozenset({b"exec_stmt_raise", b"PLy_output", b"PLy_elog_impl"})
_ERRORS = frozenset({b"ERROR", b"FATAL", b"PANIC"})
#: A statement that a function made at run time, perhaps of values, comes with its text or a context: the client's own has none.
_OF_INNER = frozenset(b"qW")


def fields_of(body: bytes) -> list[tuple[int, bytes]]:
    """Read the fields of an ErrorResponse or NoticeResponse body: (type byte, text). Raises ProtocolViolation."""
    fields, at = [], 0
    while at < len(body) and body[at]:
        end = body.find(b"\0", at + 1)
        if end < 0:
            break
        fields.append((body[at], body[at + 1 : end]))
        at = end + 1
    if at != len(body) - 1 or body[at]:
        raise ProtocolViolation("the target sent an error or notice whose fields do not end")
    return fields


def scrub_fields(body: bytes, detectors: Detectors, touches_protected: bool) -> bytes:
    """Clean the body of an ErrorResponse or NoticeResponse.

    Every text is searched for secrets and passwords. With `touches_protected` the message becomes a general sentence with
    the SQLSTATE, and detail, hint, context and internal query are dropped, unless the parser complains of a name in the
    client's own text. Raises ProtocolViolation for a malformed body.
    """
    fields = fields_of(body)
    touches_protected = touches_protected and not _is_of_a_name(fields)
    by_code = any(kind in _OF_INNER for kind, _ in fields)
    sqlstate = next((text.decode("ascii", "replace") for kind, text in fields if kind == ord("C")), "XX000")
    if touches_protected and dict(fields).get(ord("R")) in _RAISES:
        fields = _without_choices(fields)
        sqlstate = dict(fields)[ord("C")].decode()
    out = []
    for kind, text in fields:
        shown = text
        if touches_protected and (kind in _DROPPED or (by_code and kind in _NAMES)):
            continue
        if touches_protected and kind == ord("M"):
            shown = WITHHELD.format(sqlstate=sqlstate).encode()
        elif kind not in _FIXED:
            shown = _clean(text, detectors)
        out.append(bytes((kind,)) + shown + b"\0")
    return b"".join((*out, b"\0"))


def _without_choices(fields: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """As if code had raised it without saying how: its level and SQLSTATE may be made of a value, five letters at a time."""
    is_error = dict(fields).get(ord("V")) in _ERRORS
    chosen = {ord("C"): b"P0001"} if is_error else dict(zip(b"SVC", (b"NOTICE", b"NOTICE", b"00000"), strict=True))
    return [(kind, chosen.get(kind, text)) for kind, text in fields]


def _is_of_a_name(fields: list[tuple[int, bytes]]) -> bool:
    inner = any(kind in _OF_INNER for kind, _ in fields)
    return not inner and any(kind == ord("F") and text in _OF_NAMES for kind, text in fields)


def scrub_notification(body: bytes, detectors: Detectors, heard: Collection[bytes] | None = None) -> bytes:
    """Clean a NotificationResponse body: int32 process, channel, payload. Raises ProtocolViolation for a malformed one.

    `heard`: on a target with protected columns, the channels that the client has named itself. Nobody can tell what the
    sender has put into any other name, and into a payload: they are redacted whole.
    """
    channel, payload = _strings(body[4:], 2)
    if heard is None:
        shown = _clean(channel, detectors), _clean(payload, detectors)
    else:
        shown = channel if channel in heard else _REDACTED, payload and _REDACTED
    return body[:4] + b"\0".join((*shown, b""))


def scrub_names(body: bytes, detectors: Detectors) -> bytes:
    """Clean the column names in the body of a RowDescription: code may have made one of a value.

    Answers the very same object where no name holds a secret, after one look over the whole body. Raises ProtocolViolation
    for a malformed one.
    """
    if not detectors.names or not detectors.suspicious(body):
        return body
    out, at = [body[:2]], 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.find(b"\0", at)
        if end < 0 or end + _BEHIND_NAME >= len(body) + 1:
            raise ProtocolViolation("the target sent a malformed RowDescription")
        out += [detectors.clean(body[at:end])[0], body[end : end + _BEHIND_NAME]]
        at = end + _BEHIND_NAME
    cleaned = b"".join((*out, body[at:]))
    return body if cleaned == body else cleaned


def may_hold_values(name: str, value: str) -> bool:
    """Whether a setting that is reported to clients can hold any text or number.

    A POSIX time zone may be called anything, with a slash too, but PostgreSQL tells its name in capitals (pg_tzset).
    """
    if name == "TimeZone":
        return value not in ("UTC", "GMT") and ("/" not in value or value == value.upper() or "<" in value)
    return name in ("application_name", "search_path", "scram_iterations")


def scrub_parameter(body: bytes, detectors: Detectors) -> bytes:
    """Clean a ParameterStatus body: name, value (application_name can be set to anything). Raises ProtocolViolation."""
    name, value = _strings(body, 2)
    return name + b"\0" + _clean(value, detectors) + b"\0"


def scrub_sql(text: str, detectors: Detectors) -> str:
    """Make a SQL text (or any other of a client) fit for cards, audit and logs: passwords, connection strings and what the policy detects are replaced."""
    return own(detectors).scrub(text)[0]


def scrub_name(text: str, detectors: Detectors) -> str:
    """The same of what a client calls itself, which it says at each login; what is long isn't remembered."""
    return _scrubbed_name(text, detectors) if len(text) <= _NAME else scrub_sql(text, detectors)


@lru_cache(maxsize=256)
def _scrubbed_name(text: str, detectors: Detectors) -> str:
    return scrub_sql(text, detectors)


def _clean(text: bytes, detectors: Detectors) -> bytes:
    return own(detectors).clean(text)[0]


@lru_cache(maxsize=8)
def own(detectors: Detectors) -> Detectors:
    """The policy's detectors and those that our own texts always get: what `scrub_sql` and the like look for."""
    return detectors.also(OWN_TEXTS)


def _strings(body: bytes, count: int) -> list[bytes]:
    parts = body.split(b"\0")
    if len(parts) != count + 1 or parts[-1]:
        raise ProtocolViolation("the target sent a message whose texts do not end")
    return parts[:count]
