"""The special list and the safe list don't contradict each other."""

import pytest

from gateway.sql.functions import SAFE, special_class


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
