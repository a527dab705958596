"""Conversations that PostgreSQL must answer alike with and without the gateway: a row each, its turns in order.

A turn is what the client sends in one segment and how it knows that it has heard all: as many ReadyForQuery as the Query and
Sync messages it sent, unless it says otherwise. Each conversation begins on a fresh connection, with the rows of SETUP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.wire.frontend import FLUSH, SYNC, bind, describe, execute, message, parse, query

SETUP = """
TRUNCATE things, pieces;
INSERT INTO things SELECT n, 'thing ' || n, n * 1.5 FROM generate_series(1, 20) AS n;
"""
TABLES = """
CREATE TABLE things (id integer PRIMARY KEY, name text NOT NULL, amount numeric CHECK (amount >= 0));
CREATE TABLE pieces (id integer REFERENCES things, note text);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE FUNCTION says(words text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'it says %', words USING HINT = 'listen', DETAIL = 'twice';
    RAISE WARNING '%', upper(words);
    RETURN length(words);
END $$;
CREATE FUNCTION adds(which integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'adding %', which;
    IF which > 0 THEN
        INSERT INTO pieces VALUES (which, 'added');
    END IF;
    RETURN (SELECT count(*) FROM pieces);
END $$;
CREATE FUNCTION fails() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'P0042', DETAIL = 'd', HINT = 'h', TABLE = 't', COLUMN = 'c'; END $$;
"""
INT4, INT8, TEXT, NUMERIC = 23, 20, 25, 1700


@dataclass(frozen=True)
class Turn:
    """`until`: the type of the message that is waited for, `count` times. `notify` is done by another session first."""

    send: bytes
    until: str = "Z"
    count: int = 1
    notify: str = ""


@dataclass(frozen=True)
class Conversation:
    name: str
    turns: tuple[Turn, ...]


def turn(*messages: bytes, until: str = "Z", count: int | None = None, notify: str = "") -> Turn:
    sent = b"".join(messages)
    wanted = max(1, _owed(sent)) if until == "Z" else 1
    return Turn(sent, until, wanted if count is None else count, notify)


def _owed(sent: bytes) -> int:
    """ReadyForQuery is owed for each Query and Sync."""
    at = owed = 0
    while at < len(sent):
        owed += sent[at : at + 1] in (b"Q", b"S")
        at += 1 + int.from_bytes(sent[at + 1 : at + 5], "big")
    return owed


def talk(name: str, *turns: bytes | Turn) -> Conversation:
    return Conversation(name, tuple(turn(each) if isinstance(each, bytes) else each for each in turns))


def run(sql: str, *values: bytes | None, rows: int = 0, results: Sequence[int] = ()) -> bytes:
    """Parse, Bind, Describe, Execute of the unnamed statement."""
    return parse("", sql) + bind("", "", values, (), results) + describe("P", "") + execute("", rows)


def queries(*texts: str) -> tuple[bytes, ...]:
    """A Query message a turn."""
    return tuple(query(each) for each in texts)


def data(text: str | bytes) -> bytes:
    return message(b"d", text if isinstance(text, bytes) else text.encode())


COPY_DONE = message(b"c", b"")
BINARY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
SELECT_THINGS = "SELECT id, name, amount FROM things ORDER BY id"
BY_ID = "SELECT name FROM things WHERE id = $1"
CHANGE = "UPDATE things SET name = name || '!' WHERE id = 1"
RANGE = "SELECT id FROM things ORDER BY id LIMIT 10"

_MODES = "SELECT current_setting('transaction_read_only'), pg_catalog.current_setting('DEFAULT_transaction_read_only', false)"
_BOUND_MODES = "SELECT current_setting($1), 2 AS b, current_setting($2)"
_MODE_NAMES = (b"transaction_read_only", b"default_transaction_read_only")

SIMPLE = [
    talk("a query", query("SELECT 1")),
    talk("rows", query(SELECT_THINGS)),
    talk("no rows and no columns", *queries("SELECT", "SELECT FROM things LIMIT 2", "SELECT 1 WHERE false")),
    talk("empty queries", *queries("", ";", " ;; ; ", "-- nothing", "/* nothing */", "SELECT 1;;; SELECT 2;")),
    talk("several statements", query("SELECT 1; SELECT 'a' AS b, 2; INSERT INTO things VALUES (99, 'x', 1); SELECT 3")),
    talk("two queries in one segment", query("SELECT 1") + query("SELECT 2")),
    talk("an error between queries in one segment", query("SELECT 1") + query("SELECT 1/0") + query("SELECT 2")),
    talk(
        "several statements, again and again",
        *[query("SELECT 1; SELECT name FROM things WHERE id = 2; SELECT 'a;b'")] * 4,
        query("SELECT 1; SELECT 1/0; SELECT 'a;b'"),
        *[query("UPDATE things SET name = 'y' WHERE id = 2; SELECT name FROM things WHERE id = 2")] * 3,
        query("UPDATE things SET name = 'z' WHERE id = 2; SELECT 1/0"),
        query("SELECT name FROM things WHERE id = 2"),
    ),
    talk(
        "what a pool sends, again and again",
        *[query("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;")] * 3,
        query("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM things ORDER BY id"),
        query("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"),
        query("FETCH c"),
        query("SET TimeZone = 'Asia/Tokyo'"),
        *[query("SHOW TimeZone")] * 3,
        query("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"),
        *[query("SHOW TimeZone")] * 2,
    ),
    talk("an error in the middle", *queries("SELECT 1; SELECT 1/0; SELECT 3", "SELECT 4")),
    talk(
        "an error rolls the string back",
        *queries("INSERT INTO things VALUES (99, 'x', 1); SELECT 1/0", "SELECT count(*) FROM things"),
    ),
    talk(
        "a string with its own transaction",
        *queries("BEGIN; INSERT INTO things VALUES (98, 'x', 1); COMMIT; SELECT 1/0", "SELECT count(*) FROM things"),
    ),
    talk("a string that leaves a transaction open", *queries("SELECT 1; BEGIN; SELECT 2", "SELECT 3", "COMMIT")),
    talk("a syntax error", *queries("SELEC 1", "SELECT 1 FROM", "SELECT 'a", "SELECT 1; SELEC 2", "SELECT 5")),
    talk("a syntax error in a transaction", *queries("BEGIN", "SELEC 1", "SELECT 1", "ROLLBACK")),
    talk("a syntax error far inside", query("SELECT " + "1 + " * 50 + "FROM things")),
    talk(
        "unknown names", *queries("SELECT nope FROM things", "SELECT * FROM nope", "SELECT nope(1)", "SELECT 1::nope")
    ),
    talk("a string that isn't UTF-8", message(b"Q", b"SELECT '\xff\xfe'\0"), query("SELECT 1")),
    talk("a column that isn't UTF-8", query("SELECT E'\\xff'")),
    talk(
        "write tags",
        *queries(
            "INSERT INTO things VALUES (90, 'a', 1), (91, 'b', 2)",
            "UPDATE things SET amount = 0",
            "DELETE FROM things WHERE id > 89",
            "INSERT INTO things VALUES (95, 'a', 1) RETURNING *, id + 1",
            "WITH gone AS (DELETE FROM things RETURNING id) SELECT count(*) FROM gone",
            "TRUNCATE things, pieces",
        ),
    ),
    talk(
        "constraints",
        *queries(
            "INSERT INTO things VALUES (1, 'a', 1)",
            "INSERT INTO things VALUES (96, NULL, 1)",
            "INSERT INTO things VALUES (97, 'a', -1)",
            "INSERT INTO pieces VALUES (1234, 'x')",
        ),
    ),
    talk(
        "merge",
        query(
            "MERGE INTO things t USING (VALUES (1), (77)) AS s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET"
            " name = 'm' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'n', 1) RETURNING t.id, merge_action()"
        ),
    ),
    talk(
        "tables come and go",
        *queries(
            "CREATE TABLE made (a int, b mood)",
            "INSERT INTO made VALUES (1, 'sad')",
            "SELECT * FROM made",
            "ALTER TABLE made ADD c text DEFAULT 'c'",
            "TABLE made",
            "CREATE INDEX ON made (a)",
            "EXPLAIN (COSTS off) SELECT * FROM made WHERE a = 1",
            "DROP TABLE made",
            "SELECT * FROM made",
        ),
    ),
    talk(
        "a table made and used in one string",
        *queries("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); TABLE t", "DROP TABLE t; TABLE t"),
    ),
    talk(
        "tables made from queries",
        *queries(
            "CREATE TEMP TABLE t AS SELECT 1 AS a",
            "SELECT 2 AS b INTO TEMP u",
            "TABLE t",
            "TABLE u",
            "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off) SELECT 1",
        ),
    ),
    talk(
        "values of many types",
        query(
            "SELECT true, 1::int2, 2::int4, 3::int8, 1.5::float4, 'NaN'::float8, 1e20::numeric, 'a'::char(3), 'b'::name,"
            " '\\x00ff'::bytea, '2026-01-02'::date, '2026-01-02 03:04:05+00'::timestamptz, '1 day'::interval, '{1,NULL}'::int[],"
            " '{\"a\": 1}'::jsonb, '10.0.0.1/8'::inet, 'sad'::mood, (1, 'x'), '[1,2)'::int4range, NULL"
        ),
    ),
    talk("a query behind more than parsing can take here", query("SELECT " + "1 + " * 3000 + "1"), query("SELECT 1")),
    talk("a big query text", query("SELECT length('" + "x" * 300_000 + "')"), query("SELECT 1")),
    talk("a long IN list", query("SELECT count(*) FROM things WHERE id IN (" + ", ".join(map(str, range(5000))) + ")")),
    talk("large rows", query("SELECT n, repeat('x', 1000000) FROM generate_series(1, 4) AS n")),
    talk("many rows", query("SELECT n, 'row ' || n FROM generate_series(1, 20000) AS n")),
    talk("many columns", query("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(800)))),
    talk("an error behind rows", *queries("SELECT 10 / (5000 - n) FROM generate_series(1, 6000) AS n", "SELECT 1")),
    talk(
        "a DO, a CALL",
        *queries(
            "DO $$ BEGIN PERFORM 1; END $$",
            "DO $$ BEGIN RAISE NOTICE 'hi'; END $$",
            "DO $$ BEGIN PERFORM 1/0; END $$",
            "CALL nope()",
            "SELECT 1",
            "DO $$ BEGIN COMMIT; END $$",
            "SELECT 2",
        ),
    ),
    talk("code that prepares", *queries("DO $$ BEGIN EXECUTE 'PREPARE made AS SELECT 7'; END $$", "EXECUTE made")),
    talk(
        "vacuum and friends",
        *queries(
            "VACUUM things",
            "ANALYZE things",
            "BEGIN",
            "VACUUM things",
            "ROLLBACK",
            "CLUSTER things USING things_pkey",
            "REINDEX TABLE things",
            "CHECKPOINT",
            "LOCK things",
        ),
    ),
]

NOTICES = [
    talk(
        "notices from code",
        *queries(
            "SELECT says('hello')",
            "SELECT fails()",
            "SET client_min_messages = error",
            "SELECT says('hello')",
            "SET client_min_messages = debug1",
            "SELECT says('x')",
        ),
    ),
    talk(
        "notices of commands",
        *queries(
            "DROP TABLE IF EXISTS nope",
            "CREATE TABLE IF NOT EXISTS things ()",
            "COMMIT",
            "BEGIN; BEGIN; COMMIT",
            "ROLLBACK",
            "SET LOCAL work_mem = '1MB'",
        ),
    ),
    talk("notices in extended", run("SELECT says('hello')") + SYNC, run("DROP TABLE IF EXISTS nope") + SYNC),
    talk(
        "listen and notify",
        *queries(
            "LISTEN a",
            "NOTIFY a, 'load'",
            "NOTIFY a",
            "SELECT pg_notify('a', 'x')",
            "UNLISTEN a",
            "NOTIFY a",
            "LISTEN b; NOTIFY b, '1'; NOTIFY b, '1'; NOTIFY b, '2'",
        ),
    ),
    talk(
        "notify at commit",
        *queries(
            "LISTEN a", "BEGIN", "NOTIFY a, 'late'", "SELECT 1", "COMMIT", "BEGIN; NOTIFY a; ROLLBACK", "UNLISTEN *"
        ),
    ),
    talk("notify in extended", run("LISTEN a") + SYNC, run("NOTIFY a, 'x'") + SYNC, run("SELECT 1") + SYNC),
    talk(
        "notified while idle",
        query("LISTEN a"),
        turn(until="A", count=1, notify="NOTIFY a, 'from elsewhere'"),
        query("SELECT 1"),
    ),
]

SETTINGS = [
    talk(
        "settings that are reported",
        *queries(
            "SET TimeZone = 'Europe/Oslo'",
            "SET DateStyle = 'German, DMY'",
            "SELECT now()::date IS NULL",
            "SET IntervalStyle = iso_8601",
            "SET application_name = 'other'",
            "SET search_path = pg_catalog, public",
            "RESET ALL",
        ),
    ),
    talk(
        "settings that are not",
        *queries(
            "SET work_mem = '8MB'",
            "SHOW work_mem",
            "SET statement_timeout = '5s'",
            "SHOW statement_timeout",
            "SET extra_float_digits = 0",
            "SELECT 0.1::float8 + 0.2",
            "RESET extra_float_digits",
        ),
    ),
    talk(
        "settings that are refused",
        *queries(
            "SET work_mem = 'much'",
            "SET nope = 1",
            "SET nope.yes = 1",
            "SHOW nope.yes",
            "SHOW nope",
            "SET TimeZone = 'Nowhere/Land'",
        ),
    ),
    talk(
        "settings in a transaction",
        *queries(
            "BEGIN",
            "SET LOCAL TimeZone = 'Asia/Tokyo'",
            "SHOW TimeZone",
            "COMMIT",
            "SHOW TimeZone",
            "BEGIN",
            "SET TimeZone = 'Asia/Tokyo'",
            "ROLLBACK",
            "SHOW TimeZone",
            "BEGIN",
            "SAVEPOINT a",
            "SET TimeZone = 'Asia/Tokyo'",
            "ROLLBACK TO a",
            "SHOW TimeZone",
            "COMMIT",
        ),
    ),
    talk(
        "set_config",
        *queries(
            "SELECT set_config('TimeZone', 'Europe/Oslo', false)",
            "SELECT set_config('work_mem', '9MB', true)",
            "SHOW work_mem",
            "SELECT set_config('Time' || 'Zone', 'UTC', false)",
            "SELECT current_setting('TimeZone')",
            "SELECT current_setting('nope', true)",
        ),
    ),
    talk(
        "the access mode by current_setting",
        *queries(
            f"{_MODES}, 1 AS a",
            "SELECT id, current_setting('Transaction_Read_Only', true) FROM things WHERE id < 3",
            "SELECT current_setting('default_transaction_read_only', NULL), current_setting('nope', true)",
            "EXPLAIN (COSTS off) SELECT current_setting('transaction_read_only')",
            "SHOW ALL",
            "SET default_transaction_read_only = on",
            _MODES,
            "SHOW ALL",
            f"BEGIN READ WRITE; {_MODES}",
            "SHOW ALL",
            "COMMIT",
            f"BEGIN; {_MODES}; COMMIT; {_MODES}",
        ),
        run(_BOUND_MODES, *_MODE_NAMES) + SYNC,
        parse("", _BOUND_MODES) + bind("", "", _MODE_NAMES, (1,), (1,)) + execute("") + SYNC,
        run("BEGIN READ WRITE")
        + run(_BOUND_MODES, *_MODE_NAMES)
        + run("COMMIT")
        + run(_BOUND_MODES, *_MODE_NAMES)
        + SYNC,
    ),
    talk(
        "set_config of bound names",
        run("SELECT set_config($1, $2, false)", b"TimeZone", b"Europe/Oslo") + SYNC,
        run("SELECT set_config($1, $2, $3)", b"work_mem", b"9MB", b"f") + SYNC,
        *queries("SHOW work_mem", "SHOW TimeZone"),
        run("SELECT set_config($1, 'on', false)", b"default_transaction_read_only") + SYNC,
        *queries(_MODES, "BEGIN", "SHOW transaction_read_only", "DELETE FROM pieces", "ROLLBACK"),
        parse("s", "SELECT set_config($1, $2, false)") + SYNC,
        bind("", "s", (b"default_transaction_read_only", b"off"), (1,)) + execute("") + SYNC,
        *queries(_MODES, "BEGIN", "SHOW transaction_read_only", "DELETE FROM pieces", "COMMIT"),
        run("SELECT set_config($1, $2, false)", None, b"x") + SYNC,
    ),
    talk(
        "encodings that are UTF-8",
        *queries("SET client_encoding = 'utf-8'", "SET NAMES 'UTF8'", "SHOW client_encoding", "RESET client_encoding"),
    ),
    talk(
        "quotes as ever",
        *queries("SET standard_conforming_strings = on", r"SELECT 'a\b', E'a\\b'", "RESET standard_conforming_strings"),
    ),
    talk(
        "roles",
        *queries(
            "SET ROLE pg_monitor",
            "SELECT current_user",
            "RESET ROLE",
            "SET SESSION AUTHORIZATION pg_monitor",
            "SELECT session_user",
            "RESET SESSION AUTHORIZATION",
            "SELECT current_user, session_user",
        ),
    ),
    talk(
        "discard",
        *queries(
            "PREPARE p AS SELECT 1",
            "SET TimeZone = 'Asia/Tokyo'",
            "DISCARD ALL",
            "EXECUTE p",
            "SHOW TimeZone",
            "DISCARD PLANS",
            "DISCARD TEMP",
            "DISCARD SEQUENCES",
        ),
    ),
    talk(
        "search_path",
        *queries(
            "CREATE SCHEMA side",
            "CREATE TABLE side.things (id text)",
            "SET search_path = side, public",
            "SELECT * FROM things",
            "SHOW search_path",
            "SET search_path = public",
            "SELECT count(*) FROM things",
            "DROP SCHEMA side CASCADE",
        ),
    ),
    talk(
        "a path set and used in one string",
        *queries("SET search_path = pg_catalog; SELECT count(*) FROM things", "SELECT 1"),
    ),
]

TRANSACTIONS = [
    talk(
        "a write behind the end of a block in one string",
        *queries(
            "BEGIN",
            "SELECT 1; COMMIT; INSERT INTO things VALUES (60, 'x', 1)",
            "BEGIN",
            "END; BEGIN; INSERT INTO things VALUES (61, 'x', 1); COMMIT",
            "SHOW default_transaction_read_only",
            "BEGIN",
            "COMMIT; SELECT 1 / 0; INSERT INTO things VALUES (62, 'x', 1)",
            "SELECT count(*) FROM things",
            "BEGIN",
        ),
        run("COMMIT") + run("INSERT INTO things VALUES (63, 'x', 1)") + SYNC,
        *queries("SELECT count(*) FROM things", "DELETE FROM things WHERE id >= 60"),
    ),
    talk(
        "commit", *queries("BEGIN", "INSERT INTO things VALUES (50, 'x', 1)", "COMMIT", "SELECT count(*) FROM things")
    ),
    talk("rollback", *queries("BEGIN", "DELETE FROM things", "ROLLBACK", "SELECT count(*) FROM things")),
    talk(
        "aborted",
        *queries(
            "BEGIN",
            "SELECT 1/0",
            "SELECT 1",
            "INSERT INTO things VALUES (50, 'x', 1)",
            "BEGIN",
            "SHOW TimeZone",
            "",
            "COMMIT",
            "SELECT 1",
        ),
    ),
    talk(
        "aborted in extended",
        query("BEGIN"),
        run("SELECT 1/0") + SYNC,
        run("SELECT 1") + SYNC,
        parse("a", "SELECT 1") + SYNC,
        run("ROLLBACK") + SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk(
        "savepoints",
        *queries(
            "BEGIN",
            "SAVEPOINT a",
            "INSERT INTO things VALUES (50, 'x', 1)",
            "SELECT 1/0",
            "ROLLBACK TO a",
            "SELECT count(*) FROM things",
            "SAVEPOINT b",
            "RELEASE b",
            "RELEASE nope",
            "ROLLBACK TO a",
            "COMMIT",
        ),
    ),
    talk(
        "chains",
        *queries(
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "COMMIT AND CHAIN",
            "SHOW transaction_isolation",
            "ROLLBACK AND CHAIN",
            "END",
            "COMMIT AND CHAIN",
            "ABORT",
        ),
    ),
    talk(
        "modes",
        *queries(
            "START TRANSACTION READ ONLY",
            "INSERT INTO things VALUES (50, 'x', 1)",
            "ROLLBACK",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE",
            "SHOW transaction_isolation",
            "SHOW transaction_read_only",
            "COMMIT",
            "BEGIN",
            "SET TRANSACTION READ ONLY",
            "DELETE FROM things",
            "ROLLBACK",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SHOW default_transaction_read_only",
            "DELETE FROM pieces",
            "SET default_transaction_read_only = off",
            "DELETE FROM pieces",
            "BEGIN READ WRITE",
            "COMMIT",
        ),
    ),
    talk("deferred constraints", *queries("BEGIN", "SET CONSTRAINTS ALL DEFERRED", "COMMIT")),
    talk("begin in a batch", run("BEGIN") + run("SELECT 1") + SYNC, run("COMMIT") + SYNC),
    talk(
        "begin in a batch behind a read, or what is parsed",
        run("SELECT 1") + run("BEGIN") + run(CHANGE) + SYNC,
        run("COMMIT") + SYNC,
        parse("w", CHANGE) + run("BEGIN") + bind("", "w") + execute("") + run("COMMIT") + SYNC,
        describe("S", "w") + run("BEGIN") + bind("", "w") + execute("") + run("COMMIT") + SYNC,
        run("BEGIN") + run("COMMIT") + run("BEGIN") + run(CHANGE) + run("COMMIT") + run(CHANGE) + SYNC,
        run("BEGIN") + run("COMMIT AND CHAIN") + run(CHANGE) + run("COMMIT") + SYNC,
        query("SELECT name FROM things WHERE id = 1"),
    ),
    talk(
        "begin in a batch, parsed while it was to read only",
        query("SET default_transaction_read_only = on"),
        parse("b", "BEGIN") + SYNC,
        query("SET default_transaction_read_only = off"),
        *[bind("", "b") + execute("") + run(CHANGE) + run("COMMIT") + SYNC] * 3,
        query("SELECT name FROM things WHERE id = 1"),
    ),
    talk(
        "begin and an error in a batch",
        run("BEGIN") + run("SELECT 1/0") + run("SELECT 2") + SYNC,
        run("SELECT 1") + SYNC,
        query("ROLLBACK"),
    ),
    talk(
        "commit in a batch before an error",
        run("INSERT INTO things VALUES (50, 'x', 1)") + run("COMMIT") + run("SELECT 1/0") + SYNC,
        query("SELECT count(*) FROM things"),
    ),
    talk("two-phase", *queries("BEGIN", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "SELECT 1")),
    talk(
        "advisory locks",
        *queries(
            "SELECT pg_advisory_lock(1), pg_try_advisory_lock(2)",
            "SELECT pg_advisory_unlock(1)",
            "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        ),
    ),
    talk("statement timeout", *queries("SET statement_timeout = 50", "SELECT pg_sleep(30)", "SELECT 1")),
]

EXTENDED = [
    talk("unnamed", run("SELECT 1") + SYNC),
    talk("sync alone", SYNC, SYNC + SYNC + SYNC),
    talk("parameters as text", parse("", BY_ID) + bind("", "", (b"3",)) + describe("P", "") + execute("") + SYNC),
    talk(
        "parameters in binary",
        parse("", "SELECT $1::int4 + 1, $2::text, $3", (INT4, TEXT, NUMERIC))
        + bind("", "", (b"\0\0\0\x07", b"x", None), (1, 0, 0), (1, 0, 0))
        + describe("P", "")
        + execute("")
        + SYNC,
    ),
    talk("all results in binary", run(SELECT_THINGS, results=(1,)) + SYNC),
    talk(
        "results in binary that nobody described, in a transaction that failed",
        query("BEGIN"),
        parse("s", SELECT_THINGS) + bind("p", "s", (), (), (1,)) + SYNC,
        query("SELECT 1 / 0"),
        execute("p") + SYNC,
        query("ROLLBACK"),
        execute("p") + SYNC,
    ),
    talk(
        "results in binary that nobody described",
        parse("", SELECT_THINGS) + bind("p", "", (), (), (1,)) + execute("p", 1) + execute("p") + SYNC,
        parse("s", "SELECT 1 / $1::int4") + SYNC,
        bind("", "s", (b"1",), (), (1,)) + execute("") + bind("", "s", (b"0",), (), (1,)) + execute("") + SYNC,
        bind("", "s", (b"2",), (), (1,)) + execute("") + FLUSH + SYNC,
        parse("", "INSERT INTO things (id) VALUES (77)") + bind("", "", (), (), (1,)) + execute("") + SYNC,
    ),
    talk(
        "named",
        parse("s", BY_ID) + describe("S", "s") + SYNC,
        bind("", "s", (b"3",)) + execute("") + SYNC,
        bind("p", "s", (b"4",)) + describe("P", "p") + execute("p") + SYNC,
        message(b"C", b"Ss\0") + SYNC,
        bind("", "s", (b"1",)) + SYNC,
    ),
    talk(
        "the unnamed statement lives on",
        parse("", BY_ID) + SYNC,
        bind("", "", (b"1",)) + execute("") + SYNC,
        bind("", "", (b"2",)) + execute("") + SYNC,
        query("SELECT 1"),
        bind("", "", (b"3",)) + execute("") + SYNC,
    ),
    talk(
        "described before bound",
        parse("", "SELECT $1 || 'x', $2::date") + describe("S", "") + SYNC,
        bind("", "", (b"a", b"2026-01-01")) + describe("P", "") + execute("") + SYNC,
    ),
    talk(
        "no data",
        run("INSERT INTO things VALUES (70, 'x', 1)") + SYNC,
        parse("", "DELETE FROM pieces") + describe("S", "") + SYNC,
    ),
    talk(
        "returning",
        run("INSERT INTO things VALUES (71, 'x', 1), (72, 'y', 2) RETURNING id", rows=1)
        + execute("", 1)
        + execute("", 1)
        + SYNC,
    ),
    talk("an empty statement", run("") + SYNC, run("-- nothing") + SYNC, parse("", "") + describe("S", "") + SYNC),
    talk(
        "an untyped parameter",
        parse("", "SELECT $1") + describe("S", "") + SYNC,
        parse("", "SELECT $1 + 1") + describe("S", "") + SYNC,
        parse("", "SELECT $2::int") + describe("S", "") + SYNC,
    ),
    talk(
        "max_rows",
        query("BEGIN"),
        parse("", RANGE) + bind("p", "") + execute("p", 4) + SYNC,
        execute("p", 4) + SYNC,
        execute("p", 4) + SYNC,
        execute("p", 4) + SYNC,
        message(b"C", b"Pp\0") + SYNC,
        execute("p") + SYNC,
        query("ROLLBACK"),
    ),
    talk(
        "max_rows in one batch",
        parse("", RANGE) + bind("", "") + describe("P", "") + execute("", 3) + execute("", 3) + execute("", 0) + SYNC,
    ),
    talk(
        "a portal dies with its Sync",
        parse("", RANGE) + bind("p", "") + execute("p", 3) + SYNC,
        execute("p", 3) + SYNC,
        query("SELECT 1"),
    ),
    talk(
        "an executed portal again",
        run("SELECT 1") + execute("") + SYNC,
        run("INSERT INTO pieces VALUES (1, 'x')") + execute("") + SYNC,
    ),
    talk(
        "two portals at once",
        query("BEGIN"),
        parse("s", RANGE)
        + bind("a", "s")
        + bind("b", "s")
        + execute("a", 2)
        + execute("b", 3)
        + execute("a", 2)
        + SYNC,
        message(b"C", b"Pa\0") + execute("b", 1) + SYNC,
        query("COMMIT"),
    ),
    talk(
        "close",
        message(b"C", b"Snope\0") + message(b"C", b"Pnope\0") + message(b"C", b"S\0") + SYNC,
        parse("s", "SELECT 1") + message(b"C", b"Ss\0") + parse("s", "SELECT 2") + bind("", "s") + execute("") + SYNC,
    ),
    talk(
        "a query inside an unfinished batch",
        turn(parse("", "SELECT 1") + bind("", "") + query("SELECT 2"), count=1),
        run("SELECT 3") + SYNC,
    ),
    talk("a big parameter", parse("", "SELECT length($1)") + bind("", "", (b"x" * 3_000_000,)) + execute("") + SYNC),
    talk("many parameters", run("SELECT " + "+".join(f"${n}::int" for n in range(1, 2001)), *([b"1"] * 2000)) + SYNC),
    talk(
        "long names",
        parse("n" * 80, "SELECT 1") + SYNC,
        bind("", "n" * 63) + execute("") + SYNC,
        bind("p" * 70, "n" * 90) + execute("p" * 65) + SYNC,
    ),
    talk(
        "a statement text beyond 8 kB",
        parse("", "SELECT length('" + "y" * 20_000 + "')") + bind("", "") + execute("") + SYNC,
    ),
    talk(
        "a plan that changes",
        query("CREATE TEMP TABLE t (a int)"),
        parse("s", "SELECT * FROM t") + describe("S", "s") + SYNC,
        query("ALTER TABLE t ADD b int"),
        bind("", "s") + execute("") + SYNC,
        query("SELECT 1"),
    ),
    talk(
        "a table made in a batch",
        run("CREATE TEMP TABLE t (a int)") + run("INSERT INTO t VALUES (1)") + run("SELECT * FROM t") + SYNC,
    ),
    talk(
        "a path set in a batch",
        run("SET search_path = pg_catalog") + run("SELECT count(*) FROM things") + SYNC,
        run("SHOW search_path") + SYNC,
    ),
    talk(
        "a portal used by SQL",
        query("BEGIN"),
        parse("", RANGE) + bind("p", "") + SYNC,
        query("FETCH 2 FROM p"),
        execute("p", 2) + SYNC,
        query("CLOSE p"),
        query("COMMIT"),
    ),
    talk(
        "a cursor used by the protocol",
        query("BEGIN"),
        query(f"DECLARE c CURSOR FOR {RANGE}"),
        describe("P", "c") + execute("c", 2) + SYNC,
        query("FETCH 1 FROM c"),
        query("COMMIT"),
    ),
]

ERRORS = [
    talk(
        "at Parse", parse("", "SELEC") + bind("", "") + describe("P", "") + execute("") + SYNC, run("SELECT 1") + SYNC
    ),
    talk("at a named Parse", parse("s", "SELECT nope") + describe("S", "s") + SYNC, bind("", "s") + execute("") + SYNC),
    talk(
        "at Parse, twice the name",
        parse("s", "SELECT 1") + SYNC,
        parse("s", "SELECT 2") + SYNC,
        bind("", "s") + execute("") + SYNC,
    ),
    talk("at Parse of two statements", run("SELECT 1; SELECT 2") + SYNC, run("SELECT 1") + SYNC),
    talk(
        "at Parse behind a good one",
        parse("good", "SELECT 1") + parse("bad", "SELEC") + parse("next", "SELECT 2") + SYNC,
        bind("", "good") + execute("") + SYNC,
        bind("", "next") + execute("") + SYNC,
    ),
    talk(
        "at Bind",
        parse("", BY_ID) + bind("", "", (b"x",)) + describe("P", "") + execute("") + SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk("at Bind, too few", parse("", BY_ID) + bind("", "") + execute("") + SYNC),
    talk("at Bind, unknown", bind("", "nope") + execute("") + SYNC, bind("p", "nope") + describe("P", "p") + SYNC),
    talk(
        "at Bind, portal twice",
        query("BEGIN"),
        parse("", "SELECT 1") + bind("p", "") + bind("p", "") + SYNC,
        query("ROLLBACK"),
    ),
    talk(
        "at Bind, formats",
        parse("", "SELECT $1::int, 2") + bind("", "", (b"\0",), (1,), (0, 0)) + SYNC,
        parse("", "SELECT 1") + bind("", "", (), (), (0, 1)) + execute("") + SYNC,
    ),
    talk(
        "at Bind, not UTF-8",
        parse("", "SELECT $1::text") + bind("", "", (b"\xff",)) + execute("") + SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk(
        "at Parse, not UTF-8",
        message(b"P", b"\0SELECT '\xff'\0\0\0") + bind("", "") + execute("") + SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk(
        "at Describe",
        describe("S", "nope") + SYNC,
        describe("P", "nope") + execute("nope") + SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk("at Execute", run("SELECT 1/0") + run("SELECT 2") + SYNC, run("SELECT 1") + SYNC),
    talk(
        "at Execute, unknown",
        execute("nope") + SYNC,
        execute("") + SYNC,
        parse("", "SELECT 1") + bind("", "") + execute("other") + SYNC,
    ),
    talk(
        "at Execute, behind rows",
        run("SELECT 10 / (500 - n) FROM generate_series(1, 600) AS n") + SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk(
        "at Execute, behind a suspension",
        run("SELECT 10 / (5 - n) FROM generate_series(1, 9) AS n", rows=3) + execute("", 3) + SYNC,
    ),
    talk(
        "skipped up to Sync",
        execute("nope") + parse("s", "SELECT 1") + message(b"C", b"Ss\0") + FLUSH + run("SELECT 1") + SYNC,
        run("SELECT 2") + SYNC,
    ),
    talk("a query is skipped, too", turn(execute("nope") + query("SELECT 1") + SYNC, count=1), run("SELECT 2") + SYNC),
    talk("two batches in one segment", run("SELECT 1/0") + SYNC + run("SELECT 1") + SYNC),
    talk(
        "a name of a failed batch",
        parse("s", "SELECT 1") + run("SELECT 1/0") + SYNC + bind("", "s") + execute("") + SYNC,
    ),
    talk(
        "an unnamed statement of a failed batch",
        parse("", "SELECT 1") + SYNC,
        parse("", "SELEC") + SYNC,
        bind("", "") + execute("") + SYNC,
    ),
    talk(
        "write, then an error",
        run("INSERT INTO pieces VALUES (1, 'x')") + run("SELECT 1/0") + SYNC,
        query("SELECT count(*) FROM pieces"),
    ),
]

FLUSHES = [
    talk(
        "a query behind a finished Execute",
        turn(run("INSERT INTO pieces VALUES (1, 'x')") + query("SELECT count(*) FROM pieces"), count=1),
        query("SELECT count(*) FROM pieces"),
    ),
    talk("a query behind a flush", turn(run("SELECT 1") + FLUSH, until="C"), query("SELECT 2"), query("SELECT 3")),
    talk(
        "prepare and flush",
        turn(parse("s", BY_ID) + describe("S", "s") + FLUSH, until="T"),
        bind("", "s", (b"3",)) + execute("") + SYNC,
    ),
    talk(
        "prepare no data and flush",
        turn(parse("s", "DELETE FROM pieces") + describe("S", "s") + FLUSH, until="n"),
        bind("", "s") + execute("") + SYNC,
    ),
    talk("prepare, flush, sync", turn(parse("s", BY_ID) + describe("S", "s") + FLUSH, until="T"), SYNC),
    talk(
        "prepare unnamed and flush",
        turn(parse("", BY_ID) + describe("S", "") + FLUSH, until="T"),
        bind("", "", (b"3",)) + execute("") + SYNC,
    ),
    talk(
        "prepare badly and flush",
        turn(parse("s", "SELECT nope") + describe("S", "s") + FLUSH, until="E"),
        SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk(
        "prepare a syntax error and flush",
        turn(parse("s", "SELEC") + describe("S", "s") + FLUSH, until="E"),
        bind("", "s") + execute("") + SYNC,
        run("SELECT 1") + SYNC,
    ),
    talk(
        "prepare and flush in a transaction",
        query("BEGIN"),
        turn(parse("s", BY_ID) + describe("S", "s") + FLUSH, until="T"),
        bind("", "s", (b"3",)) + execute("") + SYNC,
        turn(parse("", "SELECT nope") + FLUSH, until="E"),
        SYNC,
        query("ROLLBACK"),
    ),
    talk("execute and flush", turn(run("SELECT 1") + FLUSH, until="C"), turn(run("SELECT 2") + FLUSH, until="C"), SYNC),
    talk(
        "bind and flush",
        turn(parse("", RANGE) + bind("", "") + FLUSH, until="2"),
        turn(execute("", 2) + FLUSH, until="s"),
        turn(execute("", 0) + FLUSH, until="C"),
        SYNC,
    ),
    talk(
        "an error and flush",
        turn(run("SELECT 1/0") + FLUSH, until="E"),
        turn(run("SELECT 1") + FLUSH + SYNC),
        run("SELECT 2") + SYNC,
    ),
    talk(
        "write and flush",
        turn(run("INSERT INTO pieces VALUES (1, 'x')") + FLUSH, until="C"),
        turn(run("SELECT count(*) FROM pieces") + FLUSH, until="C"),
        SYNC,
    ),
    talk("flush alone", turn(FLUSH + FLUSH + SYNC), turn(FLUSH + query("SELECT 1"))),
    talk(
        "a statement prepared behind a flush",
        turn(run("SELECT 1") + FLUSH, until="C"),
        turn(parse("s", BY_ID) + describe("S", "s") + FLUSH, until="T"),
        bind("", "s", (b"1",)) + execute("") + SYNC,
    ),
]

PIPELINES = [
    talk("three statements", run("SELECT 1") + run(SELECT_THINGS) + run("SELECT 3") + SYNC),
    talk("three batches in one segment", (run("SELECT 1") + SYNC) * 3),
    talk(
        "a transaction in one segment",
        run("BEGIN") + SYNC + run("INSERT INTO pieces VALUES (1, 'x')") + SYNC + run("COMMIT") + SYNC,
    ),
    talk("queries and batches mixed", query("SELECT 1") + run("SELECT 2") + SYNC + query("SELECT 3") + SYNC),
    talk(
        "executemany",
        parse("s", "INSERT INTO pieces VALUES ($1, $2)")
        + b"".join(bind("", "s", (b"%d" % (n % 20 + 1), b"note")) + execute("") for n in range(3000))
        + SYNC,
        query("SELECT count(*) FROM pieces"),
    ),
    talk(
        "executemany that fails",
        parse("s", "INSERT INTO pieces VALUES ($1, $2)")
        + b"".join(bind("", "s", (b"%d" % (n // 100), b"note" * 20)) + execute("") for n in range(3000))
        + SYNC,
        query("SELECT count(*) FROM pieces"),
    ),
    talk("many batches", b"".join(run(f"SELECT {n}") + SYNC for n in range(300))),
    talk(
        "a batch behind DDL",
        run("CREATE TABLE made (a int)")
        + SYNC
        + run("INSERT INTO made VALUES (1)")
        + SYNC
        + run("SELECT * FROM made")
        + SYNC
        + run("DROP TABLE made")
        + SYNC,
    ),
    talk(
        "a batch behind SET",
        run("SET search_path = pg_catalog, public") + SYNC + run("SELECT count(*) FROM things") + SYNC,
    ),
    talk("a failing string behind a batch", run("SELECT 1") + SYNC + query("SELEC") + run("SELECT 2") + SYNC),
]

NAMES = [
    talk(
        "prepare and execute",
        *queries(
            "PREPARE p (int) AS SELECT name FROM things WHERE id = $1",
            "EXECUTE p (3)",
            "EXECUTE p ('x')",
            "EXECUTE p",
            "PREPARE p AS SELECT 1",
            "DEALLOCATE p",
            "EXECUTE p (3)",
            "DEALLOCATE nope",
            "DEALLOCATE ALL",
        ),
    ),
    talk(
        "prepared by SQL, bound by the protocol",
        query("PREPARE p (int) AS SELECT name FROM things WHERE id = $1"),
        describe("S", "p") + bind("", "p", (b"3",)) + execute("") + SYNC,
        message(b"C", b"Sp\0") + SYNC,
        query("EXECUTE p (1)"),
    ),
    talk(
        "prepared by the protocol, executed by SQL",
        parse("p", BY_ID) + SYNC,
        query("EXECUTE p (3)"),
        query("DEALLOCATE p"),
        bind("", "p", (b"1",)) + SYNC,
    ),
    talk(
        "execute in extended",
        query("PREPARE p AS SELECT 5"),
        run("EXECUTE p") + SYNC,
        run("DEALLOCATE p") + SYNC,
        run("EXECUTE p") + SYNC,
    ),
    talk(
        "explain and create by execute",
        *queries(
            "PREPARE p AS SELECT id FROM things",
            "EXPLAIN (COSTS off) EXECUTE p",
            "CREATE TEMP TABLE t AS EXECUTE p",
            "SELECT count(*) FROM t",
        ),
    ),
    talk(
        "cursors",
        *queries(
            "BEGIN",
            f"DECLARE c SCROLL CURSOR FOR {RANGE}",
            "FETCH c",
            "FETCH 3 FROM c",
            "FETCH BACKWARD 2 FROM c",
            "MOVE FORWARD 2 IN c",
            "FETCH ALL FROM c",
            "CLOSE c",
            "FETCH c",
            "ROLLBACK",
        ),
    ),
    talk(
        "a cursor outside a transaction",
        *queries(
            f"DECLARE c CURSOR FOR {RANGE}",
            "FETCH c",
            f"DECLARE h CURSOR WITH HOLD FOR {RANGE}",
            "FETCH 2 FROM h",
            "FETCH 2 FROM h",
            "CLOSE h",
            "CLOSE nope",
            "CLOSE ALL",
        ),
    ),
    talk(
        "a binary cursor",
        *queries("BEGIN", "DECLARE c BINARY CURSOR FOR SELECT id, name FROM things", "FETCH 2 FROM c", "COMMIT"),
    ),
    talk(
        "where current of",
        *queries(
            "BEGIN",
            "DECLARE c CURSOR FOR SELECT * FROM things FOR UPDATE",
            "FETCH c",
            "UPDATE things SET name = 'y' WHERE CURRENT OF c RETURNING id",
            "COMMIT",
        ),
    ),
    talk(
        "names fold",
        *queries(
            "PREPARE Mixed AS SELECT 1",
            "EXECUTE mixed",
            'EXECUTE "Mixed"',
            'PREPARE "Q" AS SELECT 2',
            'EXECUTE "Q"',
            "EXECUTE q",
        ),
    ),
    talk(
        "a prepared write",
        *queries("PREPARE w AS INSERT INTO pieces VALUES (1, 'x') RETURNING note", "EXECUTE w", "EXECUTE w; EXECUTE w"),
    ),
    talk(
        "a name prepared in a string and used there",
        *queries("PREPARE p AS SELECT 8; EXECUTE p; DEALLOCATE p; EXECUTE p", "SELECT 1"),
    ),
    talk("a prepared statement and a rollback", *queries("BEGIN", "PREPARE p AS SELECT 8", "ROLLBACK", "EXECUTE p")),
]

COPIES = [
    talk(
        "out",
        *queries(
            "COPY things TO STDOUT",
            "COPY (SELECT 1, NULL, 'a b') TO STDOUT (FORMAT csv, HEADER)",
            "COPY pieces TO STDOUT",
            "COPY nope TO STDOUT",
            "COPY (SELECT 1/(5-n) FROM generate_series(1, 9) AS n) TO STDOUT",
            "SELECT 1",
        ),
    ),
    talk("out, binary", query("COPY things TO STDOUT (FORMAT binary)")),
    talk(
        "out, extended",
        run("COPY things TO STDOUT") + SYNC,
        run("COPY (SELECT 1/(5-n) FROM generate_series(1, 9) AS n) TO STDOUT") + SYNC,
    ),
    talk("out, in a string", query("SELECT 1; COPY things TO STDOUT; SELECT 2")),
    talk("out, large", query("COPY (SELECT n, repeat('x', 1000) FROM generate_series(1, 3000) AS n) TO STDOUT")),
    talk(
        "in",
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("1\tone\n") + data("2\ttwo\n") + COPY_DONE),
        query("SELECT * FROM pieces"),
    ),
    talk(
        "in, rows in odd pieces",
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("1\to") + data("ne\n2") + data("") + data("\ttwo\n3\tx") + COPY_DONE),
        query("SELECT * FROM pieces"),
    ),
    talk(
        "in, all in one segment",
        turn(
            query("COPY pieces FROM STDIN") + data("1\tone\n") + COPY_DONE + query("SELECT count(*) FROM pieces"),
            count=2,
        ),
    ),
    talk(
        "in, csv",
        turn(query("COPY pieces FROM STDIN (FORMAT csv, HEADER match)"), until="G"),
        turn(data('id,note\n1,"a ""b"", c"\n') + COPY_DONE),
        query("TABLE pieces"),
    ),
    talk(
        "in, binary",
        turn(query("COPY pieces FROM STDIN (FORMAT binary)"), until="G"),
        turn(data(BINARY_HEAD + b"\0\x02\0\0\0\x04\0\0\0\x05\0\0\0\x01x\xff\xff") + COPY_DONE),
        query("TABLE pieces"),
    ),
    talk(
        "in, given up",
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("1\tone\n") + message(b"f", b"never mind\0")),
        query("TABLE pieces"),
    ),
    talk("in, nothing", turn(query("COPY pieces FROM STDIN"), until="G"), turn(COPY_DONE), query("TABLE pieces")),
    talk(
        "in, a bad row",
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("1\tone\n") + data("x\ty\n") + data("2\tz\n") + COPY_DONE),
        query("TABLE pieces"),
    ),
    talk(
        "in, a bad row far behind",
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("x\ty\n") + data("1\tlong\n" * 1000) * 50 + COPY_DONE),
        query("TABLE pieces"),
    ),
    talk("in, refused", query("COPY nope FROM STDIN"), query("COPY pieces (nope) FROM STDIN"), query("SELECT 1")),
    talk("in, refused, data sent", turn(query("COPY nope FROM STDIN") + data("1\tx\n") + COPY_DONE), query("SELECT 1")),
    talk(
        "in, constraint at the end",
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("12345\tx\n") + COPY_DONE),
        query("SELECT 1"),
    ),
    talk(
        "in, in a string",
        turn(query("SELECT 1; COPY pieces FROM STDIN; SELECT 2"), until="G"),
        turn(data("1\tone\n") + COPY_DONE),
    ),
    talk(
        "in, twice in a string",
        turn(query("COPY pieces FROM STDIN; COPY pieces FROM STDIN"), until="G"),
        turn(data("1\tone\n") + COPY_DONE, until="G"),
        turn(data("2\ttwo\n") + COPY_DONE),
        query("TABLE pieces"),
    ),
    talk(
        "in, in a transaction",
        query("BEGIN"),
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("x\n") + COPY_DONE),
        query("COMMIT"),
    ),
    talk(
        "in, extended",
        turn(parse("", "COPY pieces FROM STDIN") + bind("", "") + execute("") + SYNC, until="G"),
        turn(data("1\tone\n") + COPY_DONE + SYNC),
        query("TABLE pieces"),
    ),
    talk(
        "in, extended, a bad row",
        turn(parse("", "COPY pieces FROM STDIN") + bind("", "") + describe("P", "") + execute("") + SYNC, until="G"),
        turn(data("x\ty\n") + COPY_DONE + SYNC),
        query("SELECT 1"),
    ),
    talk(
        "in, extended, given up",
        turn(parse("", "COPY pieces FROM STDIN") + bind("", "") + execute("") + SYNC, until="G"),
        turn(data("1\ty\n") + message(b"f", b"no\0") + SYNC),
        query("SELECT 1"),
    ),
    talk(
        "in, extended, refused",
        turn(parse("", "COPY nope FROM STDIN") + bind("", "") + execute("") + SYNC),
        query("SELECT 1"),
    ),
    talk(
        "in, extended, flushed",
        turn(parse("", "COPY pieces FROM STDIN") + bind("", "") + execute("") + FLUSH, until="G"),
        turn(data("1\tone\n") + COPY_DONE + SYNC),
        query("TABLE pieces"),
    ),
    talk(
        "in, flush and sync among the rows",
        turn(query("COPY pieces FROM STDIN"), until="G"),
        turn(data("1\tone\n") + FLUSH + SYNC + data("2\ttwo\n") + COPY_DONE, count=1),
        query("TABLE pieces"),
    ),
    talk(
        "in, behind code",
        query("CREATE TEMP TABLE t (a int)"),
        query("CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"),
        query("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.f()"),
        turn(query("COPY t FROM STDIN"), until="G"),
        turn(data("1\n") + COPY_DONE),
        query("TABLE t"),
    ),
    talk(
        "in, behind SET in a string",
        turn(query("SET search_path = public; COPY pieces FROM STDIN"), until="G"),
        turn(data("1\tone\n") + COPY_DONE),
    ),
    talk(
        "in, behind DDL in a string",
        turn(query("CREATE TEMP TABLE t (a int); COPY t FROM STDIN"), until="G"),
        turn(data("1\n") + COPY_DONE),
        query("TABLE t"),
    ),
    talk(
        "stray copy messages",
        turn(data("x") + COPY_DONE + message(b"f", b"no\0") + query("SELECT 1")),
        turn(data("x") + run("SELECT 1") + COPY_DONE + SYNC),
    ),
]

#: Code that writes: tried as a read first, which nobody may notice.
WRITING_CODE = [
    talk("simple", *queries("SELECT adds(0)", "SELECT adds(1)", "SELECT adds(0)", "TABLE pieces")),
    talk("rows before the write", query("SELECT adds(n) FROM generate_series(-2, 2) n"), query("TABLE pieces")),
    talk("several statements", query("SELECT 1; SELECT adds(1); SELECT adds(2)"), query("TABLE pieces")),
    talk("an error behind the write", query("SELECT adds(1), 1 / (adds(2) - 2)"), query("TABLE pieces")),
    talk("an error of the write", query("SELECT adds(99)"), query("TABLE pieces")),
    talk(
        "a block",
        *queries("BEGIN", "SELECT adds(0)", "SELECT adds(1)", "SAVEPOINT s", "SELECT adds(2)", "ROLLBACK TO s"),
        *queries("TABLE pieces", "COMMIT", "TABLE pieces"),
    ),
    talk("a block that fails", *queries("BEGIN", "SELECT adds(99)", "SELECT adds(1)", "ROLLBACK", "TABLE pieces")),
    talk("a block to read", *queries("BEGIN READ ONLY", "SELECT adds(0)", "SELECT adds(1)", "SELECT 1", "ROLLBACK")),
    talk("extended", run("SELECT adds($1)", b"1") + SYNC, run("SELECT adds($1)", b"0") + SYNC, query("TABLE pieces")),
    talk(
        "extended in a block",
        query("BEGIN"),
        run("SELECT adds($1)", b"1") + run("SELECT adds($1)", b"2") + SYNC,
        query("COMMIT"),
        query("TABLE pieces"),
    ),
    talk(
        "named in the same batch",
        parse("s", "SELECT adds($1)") + bind("p", "s", (b"1",)) + describe("P", "p") + execute("p") + SYNC,
        bind("p", "s", (b"2",)) + execute("p") + SYNC,
        parse("s", "SELECT 1") + SYNC,
    ),
    talk(
        "portals",
        query("BEGIN"),
        parse("", "SELECT adds(n) FROM generate_series(0, 3) n") + bind("p", "") + execute("p", 2) + SYNC,
        execute("p", 1) + SYNC,
        execute("p") + SYNC,
        query("COMMIT"),
    ),
    talk(
        "bound before",
        query("BEGIN"),
        parse("", "SELECT adds(1)") + bind("p", "") + SYNC,
        describe("P", "p") + execute("p") + SYNC,
        query("COMMIT"),
    ),
    talk("flushed", turn(run("SELECT adds(1)") + FLUSH, until="C"), SYNC, query("TABLE pieces")),
    talk(
        "cursors",
        *queries("BEGIN", "DECLARE c CURSOR FOR SELECT adds(1)", "FETCH c", "FETCH c", "COMMIT", "TABLE pieces"),
    ),
    talk("copied", *queries("COPY (SELECT adds(1)) TO STDOUT", "COPY (SELECT adds(0)) TO STDOUT", "TABLE pieces")),
    talk("by SQL's names", *queries("PREPARE s AS SELECT adds(1)", "EXECUTE s", "EXECUTE s", "TABLE pieces")),
    talk(
        "pipelined",
        turn(
            *queries(
                "BEGIN", "SELECT adds(1)", "SELECT adds(0)", "COMMIT", "SELECT adds(2)", "SELECT 1", "TABLE pieces"
            )
        ),
        turn(run("SELECT adds(1)") + SYNC + run("SELECT adds(0)") + SYNC + query("TABLE pieces")),
    ),
    talk(
        "beside a write",
        query("INSERT INTO pieces VALUES (3, 'x'); SELECT adds(1)"),
        run("SELECT adds(1)") + run("INSERT INTO pieces VALUES (4, 'y')") + SYNC,
        query("TABLE pieces"),
    ),
]

EVERY = [
    *SIMPLE,
    *NOTICES,
    *SETTINGS,
    *TRANSACTIONS,
    *EXTENDED,
    *ERRORS,
    *FLUSHES,
    *PIPELINES,
    *NAMES,
    *COPIES,
    *WRITING_CODE,
]
