"""Which settings a client may change by itself, and what it costs to change another one.

What lives here: the list of interface.md (Statement classes, housekeeping) as a table, and the one function that reads it.
Not here: applying a setting, or the client's wish for an access mode (gateway.session).
"""

import re
from collections.abc import Iterable, Mapping

from gateway.sql.statement import StatementClass
from gateway.sql.tree import words

HOUSEKEEPING_SETTINGS = frozenset(
    {
        "application_name",
        "datestyle",
        "intervalstyle",
        "timezone",
        "extra_float_digits",
        "search_path",
        "statement_timeout",
        "lock_timeout",
        "client_min_messages",
        "work_mem",
        "jit",
        "bytea_output",
        "transaction_isolation",
        "transaction_deferrable",
        "transaction_read_only",
        "default_transaction_isolation",
        "default_transaction_deferrable",
        "default_transaction_read_only",
    }
)
HOUSEKEEPING_PREFIXES = ("enable_", "hoop.")

#: Settings with a few fixed values, or none that a client can choose: whoever sets one to another's value learns a bit.
FIXED_VALUES = words(
    "bytea_output client_encoding client_min_messages datestyle default_transaction_deferrable default_transaction_isolation "
    "default_transaction_read_only escape_string_warning in_hot_standby integer_datetimes intervalstyle is_superuser jit "
    "lc_collate lc_ctype max_identifier_length max_index_keys role server_encoding server_version server_version_num "
    "session_authorization standard_conforming_strings synchronous_commit transaction_deferrable transaction_isolation "
    "transaction_read_only"
)

# Settings that change how the target reads the very bytes that we classify (enforcement.md 4.1, rows 1-3).
READING_SETTINGS = {
    "client_encoding": (frozenset({"utf8", "unicode"}), "the gateway reads UTF8 only"),
    "standard_conforming_strings": (
        frozenset({"on", "true", "yes", "1", "t", "y", "tr", "tru", "ye"}),
        "the gateway reads strings with standard_conforming_strings=on only",
    ),
}
_INSTEAD = {
    "client_encoding": "Set PGCLIENTENCODING=UTF8.",
    "standard_conforming_strings": "Write strings with backslash escapes as E'...'.",
}
_LIMITS = words("statement_timeout lock_timeout idle_in_transaction_session_timeout work_mem jit")
# set_config() of these can't be kept as the client's wish: the call sits inside a query. NULL resets (enforcement.md 1.2).
ACCESS_MODES = frozenset({"transaction_read_only", "default_transaction_read_only"})
# Back to the login itself: drivers' pools do so (Npgsql: SET SESSION AUTHORIZATION DEFAULT).
_LOGIN = frozenset({"role", "session_authorization"})
_ODD = re.compile("[^a-z0-9]")  # PostgreSQL ignores all others in an encoding's name (clean_encoding_name)
_PLAIN_SCHEMA = re.compile("[a-z_][a-z0-9_$]*")
_SCHEMA = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+?))\s*(?:,|$)')


def quoted_schema(name: str) -> str:
    """One element of a search_path value, quoted where reading it back would change it."""
    return name if _PLAIN_SCHEMA.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def schemas(search_path: str) -> tuple[str, ...]:
    """Take a search_path value apart (SplitIdentifierString): quoted names as they are, others in lower case. "$user" stays."""
    found = _SCHEMA.finditer(search_path)
    return tuple(m[1].replace('""', '"') if m[1] is not None else m[2].lower() for m in found)


def encoding_key(name: str) -> str:
    """An encoding's name as PostgreSQL looks it up: UTF_8, 'utf-8' and UTF8 are one."""
    return _ODD.sub("", name.lower())


def becomes_utf8(settings: Mapping[str, str | None]) -> bool:
    """Is this the one setting client_encoding = SQL_ASCII? A client that says so converts nothing; the target is told UTF8."""
    return len(settings) == 1 and encoding_key(settings.get("client_encoding") or "") == "sqlascii"


def misread(settings: Iterable[tuple[str, str | None]]) -> tuple[str, str] | None:
    """The first of these SETs after which the target would read texts otherwise than we do: what to say, and a hint.

    A value that isn't known here (None) is not among them: ParameterStatus tells, if need be.
    """
    for name, value in settings:
        fine, _ = READING_SETTINGS.get(name.lower(), (frozenset(), ""))
        if fine and value is not None and encoding_key(value) not in fine:
            return f'{name.lower()} "{value}" is not supported', _INSTEAD[name.lower()]
    return None


def holds_any_value(name: str) -> bool:
    """Can what a statement reads be put into this setting, and read from it again?"""
    name = name.lower()
    return name not in FIXED_VALUES and not name.startswith("enable_")


def is_applications(name: str) -> bool:
    """Is it a setting that an application has made up (`app.tenant`)? Only its own code goes by it."""
    return "." in name and not name.lower().startswith("hoop.")


def is_of_no_account(name: str) -> bool:
    """Does nothing that the gateway reads, judges or shows rest on this setting? Nor on limits."""
    return is_applications(name) or name.lower() in _LIMITS


def setting_class(name: str, value: str | None, *, reset: bool = False) -> tuple[StatementClass, str]:
    """Say the class of changing setting `name` and, when it is opaque, why.

    `value` is None when it isn't a literal; `reset` means RESET or TO DEFAULT (back to what the gateway chose at startup).
    """
    name = name.lower()
    if name in READING_SETTINGS:
        fine, reason = READING_SETTINGS[name]
        if reset or (value is not None and (encoding_key(value) in fine or becomes_utf8({name: value}))):
            return StatementClass.HOUSEKEEPING, ""
        return StatementClass.OPAQUE, f"{name} can't be changed to this: {reason}"
    if reset and name == "transaction_read_only":
        # Before PostgreSQL 16 this switches a read-only transaction to read-write, even after its first snapshot.
        return StatementClass.SESSION, ""
    if name in _LOGIN and (reset or (name == "role" and value == "none")):
        return StatementClass.HOUSEKEEPING, ""
    if name in HOUSEKEEPING_SETTINGS or name.startswith(HOUSEKEEPING_PREFIXES):
        return StatementClass.HOUSEKEEPING, ""
    return StatementClass.SESSION, ""
