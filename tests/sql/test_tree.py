"""Stepping through trees: names that can't be mistaken for others, and pglast's own word on unwrapped fields."""

import pglast.ast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sql.queries import NODES
from gateway.sql.tree import (
    UNWRAPPED,
    as_public,
    calls,
    children,
    constant,
    dotted,
    key_of,
    literal,
    parameter,
    parts,
    unwrap,
)

# What a query can hold (the C structs behind queries.py); DDL is walked for names only.
IN_QUERIES = [
    *(each for each in NODES if hasattr(pglast.ast, each)),
    *[
        "SelectStmt",
        "InsertStmt",
        "UpdateStmt",
        "DeleteStmt",
        "MergeStmt",
        "CommonTableExpr",
        "OnConflictClause",
        "MergeWhenClause",
        "ResTarget",
    ],
    *[
        "RangeVar",
        "RangeSubselect",
        "RangeFunction",
        "RangeTableFunc",
        "RangeTableSample",
        "JoinExpr",
        "JsonTable",
        "FuncCall",
        "SubLink",
        "TypeCast",
    ],
    *[
        "A_Expr",
        "A_Indirection",
        "CaseExpr",
        "JsonFuncExpr",
        "JsonScalarExpr",
        "JsonSerializeExpr",
        "JsonParseExpr",
        "JsonObjectAgg",
        "JsonArrayAgg",
    ],
    *["JsonObjectConstructor", "JsonArrayConstructor", "JsonArrayQueryConstructor", "MergeSupportFunc"],
]
READ_BY_NAME = {"intoClause", "onConflictClause", "returningClause", "clause"}  # queries.py takes these fields itself


@pytest.mark.parametrize("node", sorted(IN_QUERIES))
def test_every_unwrapped_field_of_a_query_is_known(node: str) -> None:
    for field, info in getattr(pglast.ast, node).__slots__.items():
        struct = info.c_type.removesuffix("*")
        if info.c_type.endswith("*") and struct not in ("Node", "List", "Expr", "char") and hasattr(pglast.ast, struct):
            assert field in UNWRAPPED or field in READ_BY_NAME, f"{node}.{field} is a {struct}"


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3))
def test_dotted_names_come_apart_as_they_were(names: list[str]) -> None:
    assert parts(dotted(names)) == names


def test_names_with_dots_are_no_other_names() -> None:
    assert dotted(["pg_catalog.lower"]) != dotted(["pg_catalog", "lower"])
    assert key_of({"relname": "x", "schemaname": "?"}) != key_of({"relname": "x"})
    assert as_public(key_of({"relname": "x"})) == "public.x"
    assert as_public(key_of({"relname": "x", "schemaname": "?"})) == '"?".x'


def test_unwrap_and_children() -> None:
    assert unwrap({"String": {"sval": "a"}}) == ("String", {"sval": "a"})
    assert unwrap({"ival": {"ival": 1}}) is None
    assert unwrap("String") is None
    found = children({"alias": {"aliasname": "a"}, "strange": {"x": 1}, "list": [{"A_Star": {}}, {}, 1], "n": 2})
    assert [name for name, _ in found] == ["Alias", "?strange", "A_Star"]


@pytest.mark.parametrize(
    ("constant", "value"),
    [
        ({"sval": {"sval": "x"}}, "x"),
        ({"sval": {}}, ""),
        ({"ival": {}}, "0"),
        ({"ival": {"ival": 5}}, "5"),
        ({"fval": {"fval": "1.5"}}, "1.5"),
        ({"boolval": {"boolval": True}}, "true"),
        ({"boolval": {}}, "false"),
        ({"isnull": True}, None),
    ],
)
def test_literal(constant: dict[str, object], value: str | None) -> None:
    assert literal({"A_Const": constant}) == value
    assert literal({"ParamRef": constant}) is None


def test_constants_and_parameters() -> None:
    assert literal(constant("on")) == "on"
    assert literal(constant(None)) is None
    assert parameter({"ParamRef": {"number": 3, "location": 7}}) == 3
    assert parameter(constant("3")) is None


@pytest.mark.parametrize(
    ("written", "found"),
    [(["f"], True), (["pg_catalog", "f"], True), (["other", "f"], False), (["g"], False), ([], False)],
)
def test_calls_of_a_built_in_function(written: list[str], found: bool) -> None:
    call = {"funcname": [{"String": {"sval": each}} for each in written], "args": []}
    assert (calls({"FuncCall": call}, "f") is call) is found
    assert calls({"FuncCall": call, "other": {}}, "f") is None
