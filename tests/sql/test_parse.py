"""Reading a query string: slices, sizes, refusals; whatever the text, nothing unexpected is raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.sql.parse import MAX_BYTES, MAX_STATEMENTS, check_nesting, comment_depth, read, tree, without_positions
from gateway.sql.statement import Script, StatementClass


def test_statements_are_slices_of_their_own_text() -> None:
    script = read("SELECT 'é€😀' ;; -- tail\n DELETE FROM ü WHERE x = 'ß'; ")
    assert [each.sql for each in script.statements] == ["SELECT 'é€😀'", "DELETE FROM ü WHERE x = 'ß'"]
    assert script.statements[1].writes == ("public.ü",)


@pytest.mark.parametrize("text", ["", " ;; ", "-- nothing", "/* nothing */"])
def test_empty(text: str) -> None:
    assert read(text) == Script(text, ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/* reason: tidy up */ SELECT 1", "tidy up"),
        ("\n /*reason:a\nb*/SELECT 1", "a\nb"),
        ("/* Reason: x */", "x"),
        ("/* reason: x */ SELEC", "x"),
        ("SELECT 1 /* reason: late */", ""),
        ("/* no */ /* reason: late */ SELECT 1", ""),
        ("SELECT 1", ""),
        ("/*/ reason: x */ SELECT 1", ""),
        ("/* reason:", ""),
        pytest.param("/* reason:" + " " * 8_000, "", id="blanks: matching them by pattern took minutes"),
    ],
)
def test_claimed_reason(text: str, reason: str) -> None:
    assert read(text).claimed_reason == reason


@pytest.mark.parametrize(
    "text", ["SELEC 1", "SELECT 1; DELETE FORM t", "SELECT 'open", "SELECT system_user()", "SELECT E'\\udb99⫓u0061'"]
)
def test_unparsable(text: str) -> None:
    script = read(text)
    assert script.unparsable
    assert script.statements == ()


@pytest.mark.parametrize("text", ["SELECT 1\0; DELETE FROM t", "\0", "SELECT '\ud800'"])
def test_what_postgresql_never_takes(text: str) -> None:
    with pytest.raises(ProtocolViolation):
        read(text)


def test_long_texts_are_not_read_here() -> None:
    text = "SELECT '" + "é" * (MAX_BYTES // 2) + "'"
    script = read(text)
    assert script.too_big
    assert script.statements == ()
    assert "longer" in script.facts["reason"]
    assert read(text, max_bytes=10 * MAX_BYTES).statements[0].tag == "SELECT"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1" + "+1" * 4000,
        "SELECT " + "NOT " * 1500 + "true",
        "SELECT " + "ARRAY[" * 800 + "1" + "]" * 800,
        "SELECT " + "(SELECT " * 500 + "1" + ")" * 500,
    ],
)
def test_deep_nesting_never_crashes(text: str) -> None:
    script = read(text)
    assert script.too_big
    assert "deep" in script.facts["reason"]


def test_no_tree_is_nested_deeper_than_the_limit() -> None:
    """Compiled, who walks it would overflow the stack and not be told so."""
    flat: object = {"a": [{"b": 1}] * 5_000}
    deep: object = {"a": [{"b": [{"c": []}]}]}
    check_nesting(flat, 4)
    with pytest.raises(RecursionError):
        check_nesting(flat, 3)
    check_nesting(deep, 6)
    with pytest.raises(RecursionError):
        check_nesting(deep, 5)


def test_the_tree_of_a_text_is_parsed_once() -> None:
    for text in ("SELECT a FROM t WHERE b = 5;", "SELECT a FROM t WHERE b = 6"):
        [statement] = read(text).statements
        assert tree(text) is tree(text) is tree(statement.sql)


def test_a_statement_that_does_not_begin_its_text_has_a_tree_of_its_own() -> None:
    """Offsets in it are counted from its own beginning."""
    [statement] = read("  SELECT a FROM t WHERE b = 5").statements
    name, fields = tree(statement.sql) or ("", {})
    assert (name, fields["fromClause"][0]["RangeVar"]["location"]) == ("SelectStmt", 14)
    read("SELECT 1; SELECT 2")
    assert tree("SELECT 1; SELECT 2") is None


def test_nested_comments_are_counted_before_they_are_scanned() -> None:
    (found,) = read("/*" * 101 + "*/" * 101 + "SELECT 1").statements
    assert found.classes == {StatementClass.OPAQUE}
    assert "comments" in found.reason
    (found,) = read("/*" * 100 + "*/" * 100 + "SELECT 1").statements
    assert found.tag == "SELECT"


def test_comment_depth() -> None:
    assert [comment_depth(each) for each in ("", "/**/", "/*/*", "/*/**/*/", "*/*/ /*", "'/*' /*")] == [
        0,
        1,
        2,
        2,
        1,
        2,
    ]


def test_a_statements_own_text_keeps_what_is_no_blank_to_postgresql() -> None:
    first, second = read("SET x = off\u00a0 ; SELECT a\u2028\n").statements
    assert (first.sql, second.sql) == ("SET x = off\u00a0", "SELECT a\u2028")


def test_many_statements_are_one_opaque_one() -> None:
    (found,) = read("END;" * (MAX_STATEMENTS + 1), max_bytes=20_000).statements
    assert found.classes == {StatementClass.OPAQUE}
    assert len(read("END;" * MAX_STATEMENTS).statements) == MAX_STATEMENTS


def test_a_carriage_return_ends_a_comment() -> None:
    assert [each.tag for each in read("-- x\r; DELETE FROM t").statements] == ["DELETE"]


PIECES = st.sampled_from(
    [
        "SELECT",
        "INSERT",
        "INTO",
        "UPDATE",
        "DELETE",
        "FROM",
        "WHERE",
        "t",
        "a.b",
        "*",
        "1",
        "'x'",
        "(",
        ")",
        ",",
        ";",
        "=",
        "+",
        "::",
        "int",
        "WITH",
        "AS",
        "VALUES",
        "SET",
        "JOIN",
        "ON",
        "USING",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "ARRAY[1]",
        "f(",
        ")",
        "OVER",
        "(",
        "ORDER",
        "BY",
        "GROUP",
        "LIMIT",
        "UNION",
        "ALL",
        "$1",
        "--",
        "/*",
        "*/",
        '"',
        "'",
        "$$",
        "E'\\'",
        "EXPLAIN",
        "ANALYZE",
        "COPY",
        "TO",
        "STDOUT",
        "DROP",
        "TABLE",
        "ALTER",
        "CREATE",
        "VIEW",
        "EXECUTE",
        "PREPARE",
        "DECLARE",
        "CURSOR",
        "FOR",
        "FETCH",
        "BEGIN",
        "COMMIT",
        "RETURNING",
        "MERGE",
        "JSON_QUERY(",
        "\n",
        "é",
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=25).map(" ".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        script = read(text)
    except ProtocolViolation:
        return
    assert not (script.statements and (script.unparsable or script.too_big))
    for each in script.statements:
        assert each.classes
        assert each.sql in text
        assert bool(each.reason) == (StatementClass.OPAQUE in each.classes)


def test_texts_that_differ_in_blanks_and_comments_alone_are_one() -> None:
    text = "DELETE FROM a.t WHERE id = 1 AND name = 'x'"
    same = [text, f"{text};", f"/* why */ {text} -- so", text.replace(" ", "\n "), text.lower().replace("'x'", "E'x'")]
    assert len({without_positions(each) for each in same}) == 1
    others = [
        text.replace("1", "2"),
        text.replace("1", "'1'"),
        text.replace("a.t", "b.t"),
        text.replace("a.t", "t"),
        text.replace("= 1", "IN (1)"),
        text.replace("AND", "OR"),
        text.replace("DELETE FROM a.t", "UPDATE a.t SET id = 1"),
        f"{text} RETURNING id",
    ]
    assert len({without_positions(each) for each in [text, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "DELETE FROM t; DELETE FROM t",
        "DELETE FRM t",
        "SELECT " + "(" * 20_000,
        "DELETE\0",
        "/*" * 200,
        "x" * 9_000,
    ],
)
def test_what_is_not_one_statement_has_no_tree(text: str) -> None:
    assert without_positions(text) is None
