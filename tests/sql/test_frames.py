"""What an expression sees with a catalog at hand: columns in order, what each carries, and which of them a name means."""

from gateway.sql.catalog import Relation
from gateway.sql.frames import (
    NOTHING,
    UNKNOWN,
    UNRESOLVED,
    Carried,
    Column,
    Frame,
    Table,
    columns_named,
    copied,
    derived,
    is_system,
    joined,
    relation_columns,
    table_named,
    united,
    whole,
)

CARD: Carried = frozenset({"public.t.card"})
NAME: Carried = frozenset({"public.t.name"})


def card(name: str | None = "card") -> Column:
    return Column(name, CARD)


def named(name: str | None = "name") -> Column:
    return Column(name, NAME)


def told(columns: list[Column] | None) -> list[tuple[str | None, Carried]]:
    return [(each.name, each.carried) for each in columns or []]


# --- a relation's columns --------------------------------------------------------------------------------------------------


def test_a_partitions_columns_are_its_parents_too() -> None:
    part = Relation(1, "public", "part", "r", {"card": 1}, parents=(("public", "t"), ("public", "top")))
    assert told(relation_columns(part, None)) == [
        ("card", frozenset({"public.part.card", "public.t.card", "public.top.card"}))
    ]


def test_a_views_columns_carry_what_stands_behind_them_besides_their_own_name() -> None:
    view = Relation(1, "public", "v", "v", {"a": 1, "b": 2})
    assert told(relation_columns(view, [CARD, NOTHING])) == [
        ("a", CARD | {"public.v.a"}),
        ("b", frozenset({"public.v.b"})),
    ]


def test_catalog_columns_that_show_other_tables_values_are_unresolved() -> None:
    stats = Relation(1, "pg_catalog", "pg_stats", "v", {"attname": 1, "most_common_vals": 2})
    assert [UNKNOWN in each.carried for each in relation_columns(stats, None)] == [False, True]
    own = Relation(2, "public", "pg_stats", "r", {"most_common_vals": 1})
    assert UNKNOWN not in relation_columns(own, None)[0].carried, "a user's table of that name is just a table"


def test_system_columns_tell_nothing() -> None:
    assert is_system("ctid")
    assert not is_system("card")


# --- what a name means -----------------------------------------------------------------------------------------------------


def test_a_bare_name_is_of_the_innermost_query_that_has_it() -> None:
    outer = Frame(tables=[Table("t", [card("x")])])
    inner = Frame(outer, [Table("u", [named("x")])])
    assert told(columns_named("x", inner)) == [("x", NAME)]
    assert told(columns_named("x", Frame(outer, [Table("u", [named("y")])]))) == [("x", CARD)]
    assert columns_named("nowhere", inner) is None


def test_a_column_without_a_known_name_may_be_meant_until_one_is_found() -> None:
    hidden = Frame(tables=[Table("f", [card(None)])])
    assert told(columns_named("x", hidden)) == [(None, CARD)]
    over = Frame(Frame(tables=[Table("t", [named("x")])]), hidden.tables)
    assert told(columns_named("x", over)) == [("x", NAME), (None, CARD)], "the inner one is not ruled out"


def test_a_qualifier_is_a_table_of_the_nearest_level_with_its_schema_if_one_is_written() -> None:
    far, near = Table("t", [card()], "public"), Table("t", [named()])
    frame = Frame(Frame(tables=[far]), [near])
    assert table_named(["t"], frame) is near
    assert table_named(["public", "t"], frame) is far, "an alias has no schema"
    assert table_named(["other", "t"], frame) is None


# --- columns renamed, united, joined ---------------------------------------------------------------------------------------


def test_copies_are_columns_of_their_own() -> None:
    column = card()
    (copy,) = copied([column], ["c"])
    copy.carried |= NAME
    assert told([column]) == [("card", CARD)]
    assert copy.name == "c"


def test_names_behind_a_column_that_stands_for_many_may_be_any_of_the_rest() -> None:
    found = copied([named("a"), card(None), named("b")], ["x", "y", "z"])
    assert told(found) == [("x", NAME), ("y", CARD | NAME), ("z", CARD | NAME), (None, CARD | NAME)]


def test_more_names_than_columns_rename_what_there_is() -> None:
    assert told(copied([card()], ["x", "y"])) == [("x", CARD)]


def test_a_set_operation_unites_by_position_only_where_all_positions_are_known() -> None:
    assert told(united([named("a"), card("b")], [card("c"), named("d")])) == [("a", CARD | NAME), ("b", CARD | NAME)]
    assert told(united([named("a"), named("b")], [card()])) == [("a", CARD | NAME), ("b", CARD | NAME)]
    assert told(united([Column("a", NOTHING), named("b")], [named(None), card()])) == [
        ("a", CARD | NAME),
        ("b", CARD | NAME),
    ]
    assert told(united([named(None)], [card()])) == [(None, CARD | NAME)]


def test_a_join_using_merges_its_columns_in_front() -> None:
    left, right = [named("a"), named("id")], [card("id"), card("b")]
    assert told(joined(left, right, ["id"], natural=False)[0]) == [("id", CARD | NAME), ("a", NAME), ("b", CARD)]
    assert told(joined(left, right, [], natural=False)[0]) == told([*left, *right])


def test_a_natural_join_merges_what_both_sides_have_or_everything_where_names_are_hidden() -> None:
    left, right = [named("a"), named("id")], [card("id")]
    assert told(joined(left, right, [], natural=True)[0]) == [("id", CARD | NAME), ("a", NAME)]
    assert told(joined(left, [card(None)], [], natural=True)[0]) == [(None, CARD | NAME)]


def test_a_merged_column_may_be_one_whose_name_is_not_known() -> None:
    assert told(joined([named("id")], [card(None)], ["id"], natural=False)[0])[0] == ("id", CARD | NAME)


# --- conditions ------------------------------------------------------------------------------------------------------------


def test_what_is_compared_tells_of_each_other_along_the_whole_chain() -> None:
    a, b, c, apart = Column("a", NOTHING), Column("b", NOTHING), card("c"), Column("d", NOTHING)
    frame = Frame()
    frame.link([a, b], NOTHING)
    frame.link([b, c], NOTHING)
    frame.link([apart], CARD)
    frame.settle()
    assert (a.carried, b.carried, apart.carried) == (CARD, CARD, CARD)


def test_a_column_linked_to_a_value_tells_its_kin() -> None:
    one, two = Column("x", NOTHING), Column("y", NOTHING)
    derived("v", [one, two])
    frame = Frame()
    frame.link([one], CARD)
    frame.settle()
    assert two.carried == CARD


def test_what_a_columns_kin_are_told_goes_on_from_them() -> None:
    one, two, other = Column("x", NOTHING), Column("y", NOTHING), Column("z", NOTHING)
    derived("v", [one, two])
    frame = Frame()
    frame.link([two, other], NOTHING)
    frame.link([one], CARD)
    frame.settle()
    assert other.carried == CARD


def test_not_knowing_does_not_spread() -> None:
    a, b = Column("a", UNRESOLVED | CARD), Column("b", NOTHING)
    frame = Frame()
    frame.link([a, b], UNRESOLVED)
    frame.settle()
    assert b.carried == CARD


def test_whole_is_all_of_it() -> None:
    assert whole([]) == NOTHING
    assert whole([card(), named()]) == CARD | NAME
