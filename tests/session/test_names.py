"""The map of names changes only when the target confirms, and what is on its way is uncertain."""

from gateway.session.names import NEVER_DOUBTED, Change, Names, Portal, Prepared, Space
from gateway.sql.statement import Script
from gateway.wire.frontend import Bind

ONE, TWO = (Prepared(sql, Script(sql, ())) for sql in ("SELECT 1", "SELECT 2"))


def test_a_change_counts_when_it_is_confirmed() -> None:
    names = Names()
    change = Change(Space.STATEMENT, "s", ONE)
    names.sent(change)
    assert names.statements == {}
    assert names.uncertain(Space.STATEMENT, "s")
    names.confirmed(change)
    assert names.statements == {"s": ONE}
    assert not names.uncertain(Space.STATEMENT, "s")


def test_a_refused_change_leaves_the_old_meaning() -> None:
    names = Names(statements={"s": ONE})
    change = Change(Space.STATEMENT, "s", TWO)
    names.sent(change)
    names.dropped(change)
    assert names.statements["s"] is ONE
    assert not names.uncertain(Space.STATEMENT, "s")


def test_forgetting_all_makes_every_name_uncertain_until_it_is_confirmed() -> None:
    names = Names(statements={"a": ONE, "b": TWO})
    change = Change(Space.STATEMENT, None)
    names.sent(change)
    assert names.uncertain(Space.STATEMENT, "a")
    assert not names.uncertain(Space.PORTAL, "a")
    names.confirmed(change)
    assert names.statements == {}


def test_forgetting_all_statements_leaves_the_unnamed_one_as_deallocate_all_does() -> None:
    names = Names(statements={"": ONE, "a": TWO}, portals={"": Portal(ONE, ONE.script)})
    names.apply(Change(Space.STATEMENT, None))
    names.apply(Change(Space.PORTAL, None))
    assert (names.statements, names.portals) == ({"": ONE}, {})


def test_protocol_portals_die_with_the_transaction_and_cursors_stay() -> None:
    bound = Portal(ONE, ONE.script, Bind("p", "s", (), (), ()))
    cursor = Portal(TWO, TWO.script)
    names = Names(portals={"p": bound, "c": cursor})
    names.transaction_ended()
    assert names.portals == {"c": cursor}


def test_what_the_target_shows_otherwise_is_forgotten_and_the_rest_is_beyond_doubt() -> None:
    def prepared(sql: str, *, from_sql: bool = False) -> Prepared:
        return Prepared(sql, Script(sql, ()), shown=sql, from_sql=from_sql)

    unnamed = Prepared("SELECT 0", Script("SELECT 0", ()), since=NEVER_DOUBTED)
    names = Names(
        statements={
            "": unnamed,
            "same": prepared("SELECT 1"),
            "other": prepared("SELECT 2"),
            "now by sql": prepared("SELECT 3"),
            "gone": prepared("SELECT 4"),
        },
        portals={name: Portal(ONE, ONE.script, shown="SELECT 5") for name in ("same", "other", "gone")},
        doubts=2,
    )
    assert not names.doubtful(unnamed)
    assert names.doubtful(names.statements["same"])
    assert names.doubtful(names.portals["same"])
    names.verified(
        {"same": ("SELECT 1", False), "other": ("DELETE FROM t", False), "now by sql": ("SELECT 3", True)},
        {"same": "SELECT 5", "other": "DELETE FROM t"},
    )
    assert [*names.statements] == ["", "same"]
    assert [*names.portals] == ["same"]
    assert not names.doubtful(names.statements["same"])
    assert not names.doubtful(names.portals["same"])
    assert names.asked_at == 2
