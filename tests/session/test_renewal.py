"""What goes on and what waits while the catalog is read again behind a session's own DDL."""

from dataclasses import replace

import pytest

from gateway.approvals.request import State
from gateway.session import events as ev
from gateway.session.renewal import SOON
from gateway.sql.catalog import Relation
from gateway.wire.frontend import SYNC, bind, execute, message, parse, query
from tests.playbook import NOW, PARSED, POLICY, Playbook, catalog, columns, complete, ready, row
from tests.session.test_session import DELETE, held, opened, ruled

_DDL_RUNS = (
    POLICY.replace("[read]", "[read, ddl]")
    .replace("[write, ddl, session", "[write, session")
    .replace("DROP TABLE", "DROP VIEW")
)


def behind(ddl: str) -> Playbook:
    """A session whose DDL has just ended, and added something."""
    play = Playbook(_DDL_RUNS)
    play.client(query(ddl))
    assert "reloadcatalog" not in play.target(complete("CREATE TABLE"), ready())
    return play


def goes_on(play: Playbook, sql: str) -> bool:
    return play.client(query(sql)) not in ([], ["reloadcatalog"])


def asks(play: Playbook, *messages: bytes) -> bool:
    """It waits, and has the catalog read."""
    return play.client(*messages) == ["reloadcatalog"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "BEGIN",
        "SHOW search_path",
        "SELECT $1::int[]",
        "SELECT lower(name) FROM customers",
        "INSERT INTO orders VALUES (1)",
        "CREATE TABLE child_2 () INHERITS (orders)",
        "CREATE INDEX ON orders (id)",
    ],
)
def test_what_uses_no_changed_name_goes_on(sql: str) -> None:
    assert goes_on(behind("CREATE TABLE child_1 (id int) INHERITS (customers_of_old)"), sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM child_1",
        "SELECT * FROM other.child_1",
        "INSERT INTO child_1 VALUES (1)",
        "SELECT 1; SELECT 2 FROM child_1",
        "SELECT '(1)'::child_1",
        "SELECT child_1('(1)')",
        "SELECT (x.y).child_1 FROM customers x",
        "SELECT * FROM child_1_id_seq",  # not known to the catalog: the DDL may have made it too
        "CREATE TABLE child_2 () INHERITS (child_1)",
        "SELECT * FROM base",  # its new child's masks may be its own
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DO 'BEGIN END'",
    ],
)
def test_what_uses_one_waits_until_the_catalog_was_read(sql: str) -> None:
    play = behind("CREATE TABLE child_1 (id serial) INHERITS (base)")
    assert asks(play, query(sql))
    assert play.send(ev.CatalogReloaded(catalog())) != []


@pytest.mark.parametrize(
    ("ddl", "tag"),
    [
        ("DROP TABLE child_1 CASCADE", "DROP TABLE"),
        ("ALTER TABLE child_1 ADD c int", "ALTER TABLE"),
        ("CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
        ("CREATE TEMP TABLE child_1 (id int)", "CREATE TABLE"),
        ("CREATE TABLE child_1 AS SELECT 1", "SELECT 1"),
    ],
)
def test_other_ddl_stops_everything(ddl: str, tag: str) -> None:
    play = Playbook(_DDL_RUNS)
    play.client(query(ddl))
    assert "reloadcatalog" in play.target(complete(tag), ready())
    assert not goes_on(play, "SELECT 1")


def test_more_children_of_one_table_go_on() -> None:
    play = behind("CREATE TABLE child_1 () INHERITS (orders)")
    assert goes_on(play, "CREATE TABLE child_2 () INHERITS (orders)")


def test_an_index_on_a_new_table_waits() -> None:
    """Which table of that name is meant isn't known yet."""
    assert not goes_on(behind("CREATE TABLE other.orders (id int)"), "CREATE INDEX ON orders (id)")


def test_each_reading_is_waited_for() -> None:
    """The first one was begun before the second table was there."""
    play = behind("CREATE TABLE a (id int)")
    assert asks(play, query("SELECT 1 FROM a"))
    play.send(ev.CatalogReloaded(catalog()))
    play.target(complete("SELECT 0"), ready())
    play.client(query("CREATE TABLE b (id int)"))
    play.target(complete("CREATE TABLE"), ready())
    assert play.send(ev.Tick()) == ["reloadcatalog"]
    play.client(query("CREATE TABLE c (id int)"))
    play.target(complete("CREATE TABLE"), ready())
    assert asks(play, query("SELECT 1 FROM c"))
    assert play.send(ev.CatalogReloaded(catalog())) == []
    assert play.send(ev.CatalogReloaded(catalog()))[-1] == "target Q[SELECT 1 FROM c]"


def test_a_reading_begun_inside_a_transaction_of_more_ddl_doesn_t_settle_it() -> None:
    play = behind("CREATE TABLE a (id int)")
    assert play.send(ev.Tick()) == ["reloadcatalog"]
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    play.client(query("CREATE TABLE b (id int)"))
    play.target(complete("CREATE TABLE"), ready("T"))
    play.send(ev.CatalogReloaded(catalog()))
    play.client(query("COMMIT"))
    play.target(complete("COMMIT"), ready())
    assert asks(play, query("SELECT 1 FROM b"))


def test_nobody_needs_it_so_it_is_read_once_soon() -> None:
    play = behind("CREATE TABLE a (id int)")
    assert ev.WakeAt(NOW + SOON) in play.effects
    play.client(query("CREATE TABLE b (id int)"))
    play.target(complete("CREATE TABLE"), ready())
    assert not [each for each in play.effects if isinstance(each, ev.WakeAt)]
    assert play.send(ev.Tick()) == ["reloadcatalog"]
    assert play.send(ev.Tick()) == []


def test_it_is_read_for_others_when_the_session_ends() -> None:
    assert "reloadcatalog" in behind("CREATE TABLE a (id int)").client(message(b"X", b""))
    assert "reloadcatalog" in behind("CREATE TABLE a (id int)").send(ev.ClientGone())


def test_code_behind_it_makes_everything_wait_at_its_own_end() -> None:
    play = behind("CREATE TABLE a (id int)")
    play.client(query("DROP TABLE orders"), query("SELECT 1"))
    assert "reloadcatalog" in play.target(complete("DROP TABLE"), ready())
    assert play.session.talk.busy
    assert play.send(ev.CatalogReloaded(catalog()))[-1] == "target Q[SELECT 1]"


def test_a_hold_has_the_alarm_for_itself() -> None:
    play = behind("CREATE TABLE a (id int)")
    held(play, query(DELETE))
    assert ev.ReloadCatalog() in play.effects


def test_what_a_bind_means_waits_too() -> None:
    play = Playbook(_DDL_RUNS)
    play.client(parse("s", "SELECT 1 FROM a"), SYNC)
    play.target(PARSED, ready())
    play.client(query("CREATE TABLE a (id int)"))
    play.target(complete("CREATE TABLE"), ready())
    assert asks(play, bind("", "s"), execute(""), SYNC)
    known = catalog()
    made = replace(
        known, relations={**known.relations, ("public", "a"): Relation(16700, "public", "a", "r", {"id": 1})}
    )
    play.send(ev.CatalogReloaded(made))
    assert bind("", "s") in play.to_target()


def test_a_long_text_waits_and_the_parser_process_is_asked_once() -> None:
    play = behind("CREATE TABLE a (id int)")
    long = f"SELECT 1{' + 1' * 4000}"
    assert asks(play, query(long))
    play.send(ev.CatalogReloaded(catalog()))
    assert [each for each in play.effects if isinstance(each, ev.Ask)] == [ev.Ask(long)]


def test_code_that_people_approved_stops_everything() -> None:
    """It may have defined anything, and no name of that stands in its text."""
    play = Playbook()
    play.client(query("SELECT evil()"))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(complete("SELECT 0"), ready("T"))
    play.target(complete("ROLLBACK"), ready())
    opened(play)
    play.send(ruled(play, State.APPROVED))
    play.target(complete("SELECT 0"), ready())
    play.send(ev.Released("REQ1"))
    assert "reloadcatalog" in play.target(columns("evil"), row(b"1"), complete("SELECT 1"), ready())
    assert play.session.talk.renewal.stops_all
    play.reload()
    assert not play.session.talk.renewal.stops_all
