"""Names inside one statement: sources, outputs, and what stars hide."""

from gateway.sql.scope import Output, Scope, Source, columns_named, find_source, renamed, sort_key, united
from gateway.sql.statement import ColumnUse

T, U = Source("t", "?.t"), Source("u", "app.u")
CARD = ColumnUse("card", (("?.t",),))
NAME = ColumnUse("name", (("app.u",),))


def test_a_bare_column_may_be_of_any_relation_and_of_the_query_around() -> None:
    inner = Scope(Scope(sources=[U]), [T, T])
    assert columns_named("x", inner) == [ColumnUse("x", (("?.t",), ("app.u",)))]
    assert ColumnUse("*", (("?.t",),)) in columns_named("t", inner)


def test_a_derived_source_is_looked_through_by_name() -> None:
    derived = Source("d", output=Output([("n", frozenset({CARD}))], [U]))
    assert derived.column("n") == {CARD, ColumnUse("n", (("app.u",),))}
    assert derived.has("n")
    assert not derived.has("other")
    assert Source("f").column("x") == frozenset()


def test_a_qualifier_is_an_alias_or_a_relation() -> None:
    scope = Scope(Scope(sources=[T]), [U])
    assert find_source(["t"], scope) is T
    assert find_source(["shop", "app", "x"], scope).relation == "app.x"
    assert find_source(["a.b", "x"], scope).relation == '"a.b".x'
    assert find_source(["nowhere"], scope).relation == "?.nowhere"


def test_set_operations_join_by_position_where_they_can() -> None:
    left, right = Output([("a", frozenset({CARD}))]), Output([("b", frozenset({NAME}))])
    assert united(left, right).columns == [("a", frozenset({CARD, NAME}))]
    starred = united(left, Output([("*", frozenset())], [U]))
    assert ColumnUse("*", (("app.u",),)) in starred.behind("a")


def test_aliases_rename_by_position_or_mean_everything() -> None:
    assert renamed(Output([("a", frozenset({CARD})), ("b", frozenset())]), ["x"]).columns[0] == ("x", frozenset({CARD}))
    assert renamed(Output(stars=[T]), ["x"]).behind("x") >= {ColumnUse("*", (("?.t",),))}


def test_order_by_name_or_position() -> None:
    output = Output([("a", frozenset({CARD})), ("b", frozenset({NAME}))])
    assert sort_key({"A_Const": {"ival": {"ival": 2}}}, output) == {NAME}
    assert sort_key({"A_Const": {"ival": {"ival": 9}}}, output) == frozenset()
    assert sort_key({"ColumnRef": {"fields": [{"String": {"sval": "a"}}]}}, output) == {CARD}
    assert sort_key({"ParamRef": {"number": 1}}, output) == frozenset()
