"""What a statement does: the table of statements.py, and what a row of it can't say."""

import runpy
from pathlib import Path

import pytest

from gateway.sql.effects import named
from gateway.sql.parse import read
from gateway.sql.statement import Control, Statement, StatementClass

TABLE = runpy.run_path(str(Path(__file__).with_name("statements.py")))["ALL"]


def one(sql: str) -> Statement:
    (statement,) = read(sql).statements
    return statement


def classes(statement: Statement) -> set[str]:
    return {each.value for each in statement.classes}


@pytest.mark.parametrize(("kinds", "tag", "reads", "writes", "where", "sql"), TABLE, ids=[row[-1] for row in TABLE])
def test_statement(kinds: str, tag: str, reads: str, writes: str, where: bool | None, sql: str) -> None:
    found = one(sql)
    assert (classes(found), found.tag) == (set(kinds.split()), tag), found.reason
    assert (set(found.reads), set(found.writes)) == (set(reads.split()), set(writes.split()))
    assert found.where is where
    assert found.sql == sql
    assert bool(found.reason) == ("opaque" in kinds)


def test_the_table_is_large_enough() -> None:
    assert len(TABLE) >= 150


@pytest.mark.parametrize(
    ("sql", "control", "settings"),
    [
        ("BEGIN READ ONLY", Control.BEGIN, (("transaction_read_only", "on"),)),
        (
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
            Control.BEGIN,
            (("transaction_isolation", "serializable"), ("transaction_read_only", "off")),
        ),
        ("COMMIT", Control.COMMIT, ()),
        ("ROLLBACK AND CHAIN", Control.ROLLBACK, ()),
        ("SAVEPOINT a", Control.SAVEPOINT, ()),
        ("RELEASE a", Control.RELEASE, ()),
        ("ROLLBACK TO SAVEPOINT a", Control.ROLLBACK_TO, ()),
        ("PREPARE TRANSACTION 'x'", Control.PREPARE, ()),
        ("COMMIT PREPARED 'x'", Control.OTHER, ()),
        ("SET TRANSACTION READ WRITE", Control.OTHER, (("transaction_read_only", "off"),)),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            Control.OTHER,
            (("default_transaction_read_only", "on"),),
        ),
        ("SET LOCAL transaction_read_only = off", Control.OTHER, (("transaction_read_only", "off"),)),
        ('SET search_path TO app, "My Schema", pg_temp', None, (("search_path", 'app, "My Schema", pg_temp'),)),
        ("SET DateStyle TO ISO, MDY", None, (("datestyle", "iso, mdy"),)),
        ("RESET search_path", None, (("search_path", None),)),
        ("SET TIME ZONE INTERVAL '1' HOUR", None, (("timezone", None),)),
        (
            "SELECT set_config('JIT', 'off', false), set_config('role', $1, true)",
            None,
            (("jit", "off"), ("role", None)),
        ),
    ],
)
def test_control_and_settings(sql: str, control: Control | None, settings: tuple[tuple[str, str | None], ...]) -> None:
    found = one(sql)
    assert found.control is control
    assert found.settings == settings


def test_chain_local_and_show() -> None:
    assert one("COMMIT AND CHAIN").chain
    assert not one("COMMIT AND NO CHAIN").chain
    assert one("SET LOCAL jit = off").local
    assert not one("SET jit = off").local
    assert one("SHOW Transaction_Read_Only").shows == "transaction_read_only"
    assert one("SELECT 1").shows is None


@pytest.mark.parametrize(
    ("sql", "verb", "name"),
    [
        ("PREPARE P AS SELECT 1", "PREPARE", "p"),
        ('EXECUTE "P"', "EXECUTE", "P"),
        ("DEALLOCATE p", "DEALLOCATE", "p"),
        ("DEALLOCATE ALL", "DEALLOCATE", None),
        ("DISCARD ALL", "DEALLOCATE", None),
        ("DECLARE c CURSOR FOR SELECT 1", "DECLARE", "c"),
        ("FETCH ALL IN c", "FETCH", "c"),
        ("MOVE c", "MOVE", "c"),
        ("CLOSE c", "CLOSE", "c"),
        ("CLOSE ALL", "CLOSE", None),
        ("EXPLAIN ANALYZE EXECUTE p", "EXECUTE", "p"),
        ("CREATE TABLE t AS EXECUTE p", "EXECUTE", "p"),
    ],
)
def test_names(sql: str, verb: str, name: str | None) -> None:
    use = one(sql).names
    assert use is not None
    assert (use.verb, use.name) == (verb, name)
    assert (use.body is not None) == (verb in ("PREPARE", "DECLARE"))


def test_a_prepared_delete_is_a_delete_when_it_is_executed() -> None:
    use = one("PREPARE p AS DELETE FROM t").names
    assert use is not None
    assert use.body is not None
    run = named(one("EXECUTE p"), use.body)
    assert (classes(run), run.tag, run.writes, run.where, run.reason) == (
        {"write"},
        "EXECUTE",
        ("public.t",),
        False,
        "",
    )
    assert run.inner_tags == ("DELETE",)


def test_parameters_of_execute_count_too() -> None:
    run = named(one("EXECUTE p(nextval('s'))"), one("SELECT 1"))
    assert classes(run) == {"read", "write"}
    run = named(one("EXECUTE p(query_to_xml('x', true, true, ''))"), one("SELECT 1"))
    assert StatementClass.OPAQUE in run.classes


def test_create_table_as_execute_keeps_its_own_target() -> None:
    run = named(one("CREATE TABLE t AS EXECUTE p"), one("SELECT * FROM s"))
    assert classes(run) == {"ddl", "read"}
    assert (run.reads, run.writes) == (("public.s",), ("public.t",))


@pytest.mark.parametrize(
    ("sql", "inner"),
    [
        ("WITH a AS (DELETE FROM t), b AS (UPDATE t SET x = 1 WHERE y) SELECT 1", ("DELETE", "UPDATE")),
        ("EXPLAIN ANALYZE DELETE FROM t", ("DELETE",)),
        ("EXPLAIN ANALYZE WITH a AS (DELETE FROM t) SELECT 1", ("DELETE",)),
        ("COPY (UPDATE t SET a = 1 RETURNING *) TO STDOUT", ("UPDATE",)),
        ("EXPLAIN DELETE FROM t", ()),
        ("TRUNCATE t", ("TRUNCATE",)),
        ("CREATE SCHEMA s CREATE TABLE t (a int)", ("CREATE TABLE",)),
    ],
)
def test_inner_tags(sql: str, inner: tuple[str, ...]) -> None:
    assert one(sql).inner_tags == inner


@pytest.mark.parametrize(
    ("sql", "copies"),
    [
        ("COPY t FROM STDIN", "in"),
        ("COPY t TO STDOUT", "out"),
        ("COPY (SELECT 1) TO STDOUT", "out"),
        ("COPY t FROM '/x'", None),
        ("COPY t TO PROGRAM 'x'", None),
    ],
)
def test_copy_direction(sql: str, copies: str | None) -> None:
    assert one(sql).copies == copies


def test_a_write_without_where_in_any_part_shows() -> None:
    assert one("WITH a AS (DELETE FROM t), b AS (UPDATE t SET x = 1 WHERE y) SELECT 1").where is False
    assert one("WITH b AS (UPDATE t SET x = 1 WHERE y), a AS (DELETE FROM t) SELECT 1").where is False
    assert one("EXPLAIN DELETE FROM t").where is None


@pytest.mark.parametrize(
    ("sql", "tells", "configures"),
    [
        ("SELECT 1, current_setting('A.b'), current_setting($2, true) FROM t", ((1, "A.b"), (2, 2)), ()),
        ("SELECT lower(current_setting('a')), set_config('a', $3, $4), set_config($1, 'b', false)", (), (3, 1)),
        ("SELECT t.*, current_setting('a') FROM t", (), ()),
        ("SELECT EXISTS (SELECT current_setting('a'))", (), ()),
        ("INSERT INTO t SELECT current_setting('a')", (), ()),
    ],
)
def test_settings_that_a_query_tells_or_takes(
    sql: str, tells: tuple[tuple[int, str | int], ...], configures: tuple[int, ...]
) -> None:
    assert (one(sql).tells, one(sql).configures) == (tells, configures)
