"""A statement as policy sees it: class, command tag, relations, functions, WHERE. Values only.

What lives here: the vocabulary. How a parse tree becomes a Statement is in parse.py and effects.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

#: The name that RESET ALL stands under in a statement's settings.
ALL = "all"


class StatementClass(Enum):
    """PostgreSQL's own division where it has one; the table is in interface.md (Statement classes)."""

    __hash__ = object.__hash__  # Enum's own is the interpreter's, and each statement asks a dozen times

    HOUSEKEEPING = "housekeeping"
    READ = "read"
    WRITE = "write"
    DDL = "ddl"
    ADMIN = "admin"
    SESSION = "session"
    OPAQUE = "opaque"


class Control(Enum):
    """What a statement does to the transaction block (PostgreSQL manual, BEGIN, COMMIT, SAVEPOINT...)."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback to"
    PREPARE = "prepare transaction"
    OTHER = "other"  # SET TRANSACTION, COMMIT PREPARED ...


@dataclass(frozen=True, slots=True)
class NameUse:
    """A name used at the SQL level, of a statement or cursor (PREPARE, EXECUTE, DEALLOCATE, DECLARE, FETCH, MOVE, CLOSE), or of
    a channel (LISTEN).

    `verb` is that word in capitals, `name` is folded as PostgreSQL folds it (None = ALL), `body` is the text behind
    PREPARE ... AS or DECLARE ... FOR (judged when the name is used).
    """

    verb: str
    name: str | None
    body: "Statement | None" = None


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """A column as written. `levels`: the relations it may belong to, the innermost query first (keys as in Written).

    `qualified`: written with its relation, so that a name which is no column calls a function (`v.evil` = `evil(v)`).
    """

    column: str
    levels: tuple[tuple[str, ...], ...]
    qualified: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Names as they stand in the text, for resolve(). A relation's key is `schema.name`, or `?.name` when unqualified.

    `operators` and `types`: `schema.name` or bare. `attributes`: names behind a dot whose left side is no relation.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    columns: tuple[ColumnUse, ...] = ()
    predicates: tuple[ColumnUse, ...] = ()
    operators: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    cascades: bool = False  # TRUNCATE ... CASCADE


@dataclass(frozen=True, slots=True)
class Statement:
    """One parsed statement.

    `tag`: the command as people say it and policies name it: "DELETE", "DROP TABLE", "COPY", "SELECT".
    `reads`/`writes`: relations as `schema.name`, an unqualified name as `public.name` unless the catalog says otherwise.
    `columns`: `schema.table.column` referenced, as far as they resolve.
    `behind`: what the catalog says that it touches beside those, as (relation, is it written): the tables of views, partitions
    and children, and what a foreign key cascades to. `columns_behind`: columns that are read there.
    `functions`: `schema.name` or bare `name`, as written.
    `where`: True/False for UPDATE and DELETE (of any part), None where the question has no meaning.
    `reason`: why it is opaque, or "".
    `sql`: its own text, a slice of the string it came in.
    `inner_tags`: data-modifying parts that the tag doesn't name: ("DELETE",) for WITH ... (DELETE ...) SELECT and for
    EXPLAIN ANALYZE DELETE; and other names of the command ("TRUNCATE"). A rule on a command tag has to look at them too.
    `unresolved`: names that the catalog doesn't have; the target will refuse the statement itself.
    `guarded`: it calls code of the user's that only reads as far as its source shows: to be run read-only by the target.
    `temporary`: it makes a temporary relation, which no catalog shows and which stands in front of others of its name.
    `unsettles`: what it writes to may run code that changes what names, settings and texts mean behind it.
    `chain`: COMMIT or ROLLBACK ... AND CHAIN. `local`: SET LOCAL. `shows`: SHOW of this setting, in lower case.
    `tells`: output columns (from 0) of a SELECT that are current_setting() of a literal name or of a parameter's number.
    `configures`: parameters that set_config() takes as a name or value; bound.py reads it again once they are known.
    """

    sql: str
    tag: str
    classes: frozenset[StatementClass]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    behind: tuple[tuple[str, bool], ...] = ()
    columns_behind: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    where: bool | None = None
    reason: str = ""
    control: Control | None = None
    names: NameUse | None = None
    settings: tuple[tuple[str, str | None], ...] = ()  # SET/RESET/set_config: (name, literal value or None)
    copies: str | None = None  # COPY: "in" (FROM STDIN), "out" (TO STDOUT)
    copy_options: tuple[
        tuple[str, str], ...
    ] = ()  # COPY: (option in lower case, its value as written; HEADER alone: "true")
    copy_columns: tuple[str, ...] = ()  # COPY t (a, b): the columns as written; ("*",): all of a table; empty: a query
    protected_predicates: tuple[str, ...] = ()  # columns used in WHERE / ORDER BY / GROUP BY
    inner_tags: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    chain: bool = False
    local: bool = False
    shows: str | None = None
    tells: tuple[tuple[int, str | int], ...] = ()
    configures: tuple[int, ...] = ()
    temporary: bool = False
    guarded: bool = False
    unsettles: bool = False
    uncertain: bool = (
        False  # its names may mean something else than the catalog says: what its columns carry isn't known
    )
    holdable: bool = False  # a cursor WITH HOLD: its query runs at COMMIT, whatever was round its DECLARE
    untraced: bool = False  # what its result carries isn't known, beside protected columns (gateway.session.judging)
    spreads: tuple[tuple[str, str], ...] = ()  # protected columns and where it copies them (gateway.session.spreading)
    fingerprint: str = ""  # libpg_query's: to find its like in the record, never to decide anything
    written: Written = Written()


@dataclass(frozen=True, slots=True)
class Script:
    """A query string, read: its statements in order.

    `unparsable`: PostgreSQL 18's grammar refused it, with its message; then `statements` is empty and the target's own
    parser must be asked. `too_big`: not read at all in this process (over 8 kB or nested too deep for it).
    `claimed_reason`: the leading `/* reason: ... */` comment, or "".
    """

    sql: str
    statements: tuple[Statement, ...]
    unparsable: str | None = None
    too_big: bool = False
    claimed_reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
