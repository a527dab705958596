"""What one statement may change and is shown to write."""

import pytest

from gateway.session.judging import Judge
from gateway.session.traits import moves_path, resets_all, shown_writes
from gateway.sql.parse import read
from tests.judged import (
    masking_judge,
    statement,
)


@pytest.fixture
def judge() -> Judge:
    return masking_judge()


@pytest.mark.parametrize("sql", ["RESET search_path", "SET search_path = a", "SET ROLE x", "DO ''"])
def test_what_may_change_the_search_path(sql: str) -> None:
    """Servers before 18 don't report it: it must be asked for again."""
    assert moves_path(read(sql).statements[0])


@pytest.mark.parametrize("sql", ["RESET ALL", "DISCARD ALL"])
def test_what_takes_everything_back_changes_it_only_where_it_was_changed(sql: str) -> None:
    assert resets_all(read(sql).statements[0])
    assert not moves_path(read(sql).statements[0])


def test_another_reset_does_not() -> None:
    assert not moves_path(read("RESET work_mem").statements[0])
    assert not resets_all(read("RESET work_mem").statements[0])


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TEMP TABLE t (id int)", ("pg_temp.t",)),
        ("CREATE TEMP TABLE customers AS SELECT * FROM orders", ("pg_temp.customers",)),
        ("SELECT * INTO TEMP customers FROM orders", ("pg_temp.customers",)),
        ('CREATE TEMP VIEW "a.b" AS SELECT 1', ('pg_temp."a.b"',)),
        ("CREATE TABLE pg_temp.t (id int)", ("pg_temp.t",)),
        ("CREATE TABLE t (id int)", ("public.t",)),
        ("DELETE FROM customers", ("public.customers",)),
        # nothing that is written beside it is taken for temporary
        (
            "WITH x AS (DELETE FROM customers RETURNING *) SELECT * INTO TEMP t FROM x",
            ("public.customers", "public.t"),
        ),
    ],
)
def test_what_a_statement_makes_for_its_session_alone_is_shown_as_such(
    judge: Judge, sql: str, expected: tuple[str, ...]
) -> None:
    assert shown_writes(statement(judge, sql)) == expected
