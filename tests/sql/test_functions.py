"""The special list and the safe list don't contradict each other."""

import pytest

from gateway.sql.functions import SAFE, depends_on_session, special_class
from gateway.sql.parse import read


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("housekeeping", "pg_advisory_unlock_shared"),
        ("session", "pg_try_advisory_lock"),
        ("write", "lo_truncate64"),
        ("write", "lo_put"),
        ("admin", "lo_import"),
        ("admin", "pg_ls_waldir"),
        ("admin", "pg_logical_slot_get_changes"),
        ("admin", "pg_create_logical_replication_slot"),
        ("opaque", "lo_get"),
        ("opaque", "dblink_connect"),
        ("opaque", "database_to_xml_and_xmlschema"),
        ("opaque", "crosstab3"),
        (None, "lower"),
        (None, "now"),
    ],
)
def test_special_class(kind: str | None, name: str) -> None:
    found = special_class(name)
    assert (found.value if found else None) == kind


def test_what_is_safe_is_not_special() -> None:
    assert {name for name in SAFE if special_class(name)} == set()


@pytest.mark.parametrize(
    ("sql", "depends"),
    [
        ("DELETE FROM t WHERE id = 1 AND at < now()", False),
        ("INSERT INTO t VALUES (gen_random_uuid(), lower('A'))", False),
        ("DELETE FROM t WHERE id = current_setting('app.row')::int", True),
        ("DELETE FROM t WHERE id = position('x' in pg_catalog.current_query())", True),
        ("DELETE FROM t WHERE id IN (SELECT id FROM u WHERE u.pid = pg_backend_pid())", True),
        ("DELETE FROM t WHERE id IN (SELECT objid FROM pg_catalog.pg_locks)", True),
    ],
)
def test_what_reads_its_own_session(sql: str, depends: bool) -> None:
    (statement,) = read(sql).statements
    assert depends_on_session(statement) is depends
