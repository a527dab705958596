"""Which DDL ends what tells of stored values, and whom it concerns."""

import pytest

from gateway.sql.severing import concerned, severs


@pytest.mark.parametrize(
    ("sql", "severed"),
    [
        ("CREATE TABLE t AS SELECT card FROM vault", False),
        ("CREATE INDEX ON t (a)", False),
        ("ALTER TABLE t ADD COLUMN a int, ADD PRIMARY KEY (a), ALTER a SET DEFAULT 1", False),
        ("DROP TABLE t", False),
        ("CREATE VIEW v AS SELECT 1", False),
        ("DROP TABLE t CASCADE", True),
        ("DROP TRIGGER g ON t", True),
        ("DROP VIEW v", True),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", True),
        ("ALTER TABLE t RENAME TO u", True),
        ("ALTER TABLE t RENAME COLUMN a TO b", True),
        ("ALTER TABLE t ADD COLUMN a int, DROP CONSTRAINT k", True),
        ("ALTER TABLE t ALTER a DROP DEFAULT", True),
        ("ALTER TABLE t DETACH PARTITION p", True),
        ("ALTER DOMAIN d DROP DEFAULT", True),
        ("ALTER SCHEMA s RENAME TO r", True),
        ("what is this", True),
    ],
)
def test_what_may_end_what_tells_of_values(sql: str, *, severed: bool) -> None:
    assert severs(sql) is severed


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("ALTER TABLE s.t RENAME TO u", {"t", "u"}),
        ("ALTER TABLE t DETACH PARTITION p", {"t", "p"}),
        ("CREATE VIEW v AS SELECT a FROM t", {"v", "t"}),
        ("CREATE TABLE f (a int REFERENCES p)", {"f", "p"}),
        ("what is this", set()),
    ],
)
def test_whom_it_concerns(sql: str, names: set[str]) -> None:
    assert concerned(sql) == names
