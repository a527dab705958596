"""Command tags that a rule's `statements` may name, and what an *allow* by that tag vouches for.

What lives here: one table. A hold or deny rule's tag matches the statement whatever else it does. An allow rule's tag
vouches only for what the word plainly says: `statements: [SELECT]` must not let `WITH d AS (DELETE ...) SELECT` or a
SELECT of an unknown function pass, because those do more than a SELECT says.

Source of the words: PostgreSQL's src/include/tcop/cmdtaglist.h, grouped by the statement classes of this project.
A family word ("DROP") stands for every tag that starts with it ("DROP TABLE").
"""

from collections.abc import Mapping


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


_OBJECTS = _words(
    "ACCESS METHOD,AGGREGATE,CAST,COLLATION,CONVERSION,DATABASE,DOMAIN,EVENT TRIGGER,EXTENSION,FOREIGN DATA WRAPPER,"
    "FOREIGN TABLE,FUNCTION,INDEX,LANGUAGE,MATERIALIZED VIEW,OPERATOR,OPERATOR CLASS,OPERATOR FAMILY,POLICY,PROCEDURE,"
    "PUBLICATION,ROLE,ROUTINE,RULE,SCHEMA,SEQUENCE,SERVER,STATISTICS,SUBSCRIPTION,TABLE,TABLESPACE,"
    "TEXT SEARCH CONFIGURATION,TEXT SEARCH DICTIONARY,TEXT SEARCH PARSER,TEXT SEARCH TEMPLATE,TRANSFORM,TRIGGER,TYPE,"
    "USER,GROUP,USER MAPPING,VIEW"
)

_OTHER: Mapping[str, str] = {
    "read": "SELECT,TABLE,VALUES,EXPLAIN,DECLARE CURSOR,FETCH,MOVE,EXECUTE,PREPARE,SHOW",
    "read write": "INSERT,UPDATE,DELETE,MERGE,COPY",
    "write": "TRUNCATE,TRUNCATE TABLE,SELECT FOR UPDATE,SELECT FOR NO KEY UPDATE,SELECT FOR SHARE,SELECT FOR KEY SHARE",
    "read ddl": "CREATE TABLE AS,SELECT INTO,REFRESH MATERIALIZED VIEW,CREATE VIEW,CREATE MATERIALIZED VIEW",
    "ddl": "COMMENT,IMPORT FOREIGN SCHEMA,ALTER LARGE OBJECT",
    "ddl admin": "CREATE,ALTER,DROP",
    "admin": "GRANT,REVOKE,GRANT ROLE,REVOKE ROLE,VACUUM,ANALYZE,CLUSTER,REINDEX,ALTER SYSTEM,CHECKPOINT,LOAD,"
    "REASSIGN OWNED,DROP OWNED,SECURITY LABEL,ALTER DEFAULT PRIVILEGES",
    "session": "LISTEN,NOTIFY,UNLISTEN,LOCK,LOCK TABLE,SET,RESET,SET ROLE,SET SESSION AUTHORIZATION,SET CONSTRAINTS,"
    "SET TRANSACTION,PREPARE TRANSACTION,COMMIT PREPARED,ROLLBACK PREPARED,DISCARD,DISCARD ALL,DEALLOCATE,"
    "DEALLOCATE ALL,CLOSE,CLOSE CURSOR,CLOSE CURSOR ALL",
    "opaque": "DO,CALL",
}


def _table() -> dict[str, frozenset[str]]:
    tags: dict[str, frozenset[str]] = {}
    for verb in ("CREATE", "ALTER", "DROP"):
        for thing in _OBJECTS:
            tags[f"{verb} {thing}"] = frozenset({"ddl", "admin"})
    for classes, words in _OTHER.items():
        tags.update(dict.fromkeys(_words(words), frozenset(classes.split())))
    return tags


#: Tag -> the classes that an allow rule naming it vouches for.
TAGS: Mapping[str, frozenset[str]] = _table()


def covers(named: str, tag: str) -> bool:
    """True if the word in a rule stands for this statement's tag: the same, or a family of it."""
    return tag == named or tag.startswith(named + " ")
