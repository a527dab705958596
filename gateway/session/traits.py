"""What can be said of one statement by itself: what running it may change, what its meaning rests on. Pure functions.

What lives here: predicates of a statement, and the statement as one of which nothing is known for certain. What must
not: what a catalog or a policy says of it (grounds.py, judging.py), what its text means (gateway.sql).
"""

from dataclasses import replace

from gateway.sql.settings import is_of_no_account
from gateway.sql.statement import ALL, Control, Statement, StatementClass
from gateway.sql.tree import UNQUALIFIED, dotted, parts

#: The tag of what can't be read: nothing is known of it, not even whether it ends a transaction.
UNREADABLE = "UNKNOWN"
#: Settings by which constants and bound values are read (PostgreSQL manual, Locale and Formatting; array_nulls, xmloption ...).
_READ_BY = frozenset(
    {
        "datestyle",
        "intervalstyle",
        "timezone",
        "timezone_abbreviations",
        "lc_monetary",
        "default_text_search_config",
        "xmloption",
        "array_nulls",
        "transform_null_equals",
    }
)
#: DDL that gives no function, operator, type or view another meaning: what follows in its transaction reads as before.
_PLAIN_DDL = frozenset(
    [
        "CREATE TABLE",
        "CREATE TABLE AS",
        "SELECT INTO",
        "CREATE INDEX",
        "DROP INDEX",
        "ALTER INDEX",
        "COMMENT",
        "CREATE SEQUENCE",
        "ALTER SEQUENCE",
        "DROP SEQUENCE",
        "DROP TABLE",
        "REFRESH MATERIALIZED VIEW",
        "GRANT",
        "REVOKE",
        "VACUUM",
        "ANALYZE",
        "REINDEX",
        "CLUSTER",
        "CHECKPOINT",
    ]
)
_ANY_CODE = frozenset({"DO", "CALL"})
_ROLES = frozenset({"role", "session_authorization"})
_FINISHING = frozenset({Control.COMMIT, Control.PREPARE})

#: What changes settings inside a query.
_SETS = frozenset({"set_config"})

_SETTINGS = "pg_catalog.pg_settings"


def opaque(statement: Statement, reason: str) -> Statement:
    """The statement as one whose meaning is not known; what is known of it stays, so that rules about that still match."""
    return replace(statement, classes=statement.classes | {StatementClass.OPAQUE}, reason=reason, guarded=False)


def uncertain(statement: Statement, reason: str) -> Statement:
    """Opaque, and its names may mean other things by now: what its columns carry can't be known either."""
    return replace(opaque(statement, reason), uncertain=True)


def unreadable(sql: str, why: str) -> Statement:
    """A text that our grammar refuses. The target may take it: an older one has functions where ours has keywords."""
    return Statement(sql, UNREADABLE, frozenset({StatementClass.OPAQUE}), reason=f"it can't be read here: {why}")


def text_of(statement: Statement) -> str:
    """What it runs: behind EXECUTE and FETCH that is the text that was given the name."""
    body = statement.names.body if statement.names else None
    return (body or statement).sql


def changes_catalog(statement: Statement) -> bool:
    """May running it change what the catalog says?"""
    return bool(statement.classes & {StatementClass.DDL, StatementClass.ADMIN}) or statement.tag in _ANY_CODE


def redefines(statement: Statement) -> bool:
    """May running it change what a name that is judged by the catalog does?"""
    return changes_catalog(statement) and statement.tag not in _PLAIN_DDL


def needs_catalog(statement: Statement) -> bool:
    """Does judging it rest on what names mean?"""
    written = statement.written
    return bool(statement.functions or statement.reads or statement.writes or written.operators or written.types)


def needs_path(statement: Statement) -> bool:
    """Is a relation written without its schema, so that search_path says which one it is?"""
    written = statement.written
    return any(key.startswith(f"{UNQUALIFIED}.") for key in (*written.reads, *written.writes))


def without_catalog(statement: Statement) -> Statement:
    """Opaque if it names anything, inside PREPARE and DECLARE too; drivers' housekeeping goes on."""
    use = statement.names
    if use is not None and use.body is not None:
        statement = replace(statement, names=replace(use, body=without_catalog(use.body)))
    if not needs_catalog(statement) or statement.classes <= {StatementClass.HOUSEKEEPING}:
        return statement
    return opaque(statement, "the target's catalog can't be read: what its names run is not known")


def unqualified(statement: Statement) -> set[str]:
    """The relations that are written without a schema, or with that of temporary ones."""
    found = (parts(key) for key in (*statement.written.reads, *statement.written.writes))
    return {names[-1] for names in found if names[0] == UNQUALIFIED or names[0].startswith("pg_temp")}


def shown_writes(statement: Statement) -> tuple[str, ...]:
    """What it writes, as people are shown it: a relation that it makes for its session alone is of pg_temp. It is judged by the name
    that it stands in front of, so that no rule or mask is got around by TEMP."""
    made = statement.writes
    if not statement.temporary or len(made) != 1:  # beside another its name isn't known for certain
        return made
    return (dotted(["pg_temp", parts(made[0])[-1]]),)


def unsettles(statement: Statement) -> bool:
    """May running it change names, settings and definitions that its text doesn't name? What is behind it is then in doubt."""
    return statement.unsettles or StatementClass.OPAQUE in statement.classes


def fires_deferred(statement: Statement) -> bool:
    """Do constraints and triggers run in it that statements before it have put off?"""
    return statement.control in _FINISHING or statement.tag == "SET CONSTRAINTS"


def moves_role(statement: Statement) -> bool:
    """May running it change the current role?"""
    return unsettles(statement) or any(name.lower() in _ROLES for name, _ in statement.settings)


def moves_path(statement: Statement) -> bool:
    """May running it change search_path from whatever it is? By name, or by code that can't be seen through."""
    return moves_role(statement) or any(name.lower() == "search_path" for name, _ in statement.settings)


def resets_all(statement: Statement) -> bool:
    """Does it take every setting back to what it was when the target's session began?"""
    return statement.tag == "DISCARD ALL" or any(name.lower() == ALL for name, _ in statement.settings)


def is_read_by(setting: str) -> bool:
    """Are constants and bound values read by it?"""
    return setting.lower() in _READ_BY


def sets_reading(statement: Statement) -> bool:
    """Does it change a setting by which constants are read, by its name? With all of them: `resets_all`."""
    return any(is_read_by(name) for name, _ in statement.settings)


def sets_nothing_of_account(statement: Statement) -> bool:
    """Does it set no more than what the gateway doesn't go by, whatever it is bound to? Not where a name is not known."""
    names = [name for name, _ in statement.settings]
    return bool(names) and not statement.reason and all(map(is_of_no_account, names))


def may_set(statement: Statement) -> bool:
    """May it put what it reads into a setting?"""
    opaque, writes = StatementClass.OPAQUE in statement.classes, _SETTINGS in statement.writes
    return opaque or writes or not _SETS.isdisjoint(parts(each)[-1] for each in statement.functions)
