"""Verbs of the audit grammar: what no statement can have is refused, not searched for."""

import pytest

from gateway.audit.query import Filter, QueryError
from gateway.policy.verbs import FAMILIES, VERBS, asked
from gateway.sql.parse import read


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1", "INSERT INTO t VALUES (1)", "DELETE FROM t", "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE",
        "TRUNCATE t", "DROP TABLE t", "CREATE INDEX ON t (a)", "ALTER TABLE t ADD b int", "VACUUM t", "BEGIN", "COMMIT", "SAVEPOINT s",
        "ROLLBACK TO s", "SET a = b", "SHOW a", "COPY t TO STDOUT", "CALL f()", "DO $$ $$", "GRANT a TO b", "FETCH c", "EXPLAIN SELECT 1",
        "REFRESH MATERIALIZED VIEW v", "LISTEN a", "PREPARE a AS SELECT 1", "EXECUTE a", "DECLARE c CURSOR FOR SELECT 1", "DISCARD ALL",
        "CREATE TABLE t AS SELECT 1", "SELECT 1 INTO t", "REINDEX TABLE t", "COMMENT ON TABLE t IS 'x'", "CREATE ROLE r", "VALUES (1)",
    ],
)  # fmt: skip
def test_every_tag_that_a_statement_gets_is_a_verb(sql: str) -> None:
    [statement] = read(sql).statements
    assert statement.tag.lower() in VERBS


@pytest.mark.parametrize("text", ["delete", "DELETE,update", "drop", '"drop table"', "dr*", "unknown", "*"])
def test_verbs_families_and_globs(text: str) -> None:
    assert asked(f"verb:{text} last:7d", 1e9).filters[0].key == "verb"


def test_other_queries_are_as_they_were() -> None:
    assert asked("user:ann -verb:select", 1e9).filters == (Filter("user", ("ann",)), Filter("verb", ("select",), True))


@pytest.mark.parametrize(
    ("text", "position", "part"),
    [
        ("user:ann verb:delte", 14, "unknown verb delte: did you mean delete? Verbs are alter, analyze, begin, "),
        ("verb:delete,xyzzy", 12, "unknown verb xyzzy: Verbs are alter, "),
        ("-verb:zz*", 6, "unknown verb zz*: Verbs are alter, "),
    ],
)
def test_what_is_no_verb_is_refused_with_the_list(text: str, position: int, part: str) -> None:
    with pytest.raises(QueryError) as caught:
        asked(text, 1e9)
    assert (caught.value.position, caught.value.message[: len(part)]) == (position, part)
    assert all(each in caught.value.message for each in FAMILIES)
