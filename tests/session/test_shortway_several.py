"""Several statements in one Query on the short way, and what pools send to take a session back: which take it, and that nobody can tell.

tests/fuzz/sessions.py plays them in any order; here are the forms that are sent, and what chance doesn't meet.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.policy.model import load
from gateway.session import events as ev
from gateway.session.gate import Gate
from gateway.session.session import Session
from gateway.session.state import Conversation
from gateway.sql.shape import statements
from gateway.wire.backend import notice_response
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, NOW, PARSED, POLICY, Playbook, catalog, columns, complete, error, ready, row, whole
from tests.session.test_shortway import DESCRIBED, MASKED, Twins, alike, with_block
from tests.session.test_shortway_writes import CLOSED, NO_DATA, OPENED, WRITES

ONE = "SELECT name FROM customers WHERE id = 1"
TWO = query(f"{ONE}; SELECT name FROM customers WHERE id = 2")
ROWS = DESCRIBED + row(b"Ann") + complete("SELECT 1")
#: What asyncpg sends each time that a connection is given back to its pool, and its answer.
RESET = query("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;")
UNLOCKED = columns("pg_advisory_unlock_all", first=1, oid=2278) + row(b"") + complete("SELECT 1")
TAKEN_BACK = UNLOCKED + complete("CLOSE CURSOR ALL") + complete("UNLISTEN") + complete("RESET") + ready()


def entries(twins: Twins, data: bytes) -> list[tuple[str, object]]:
    """What the first of them records of this: of each the kind and the text."""
    effects = map(whole, twins.one.session.handle(ev.FromClient(data), NOW))
    return [(each.kind, each.fields["sql"]) for each in effects if isinstance(each, ev.Record)]


def takes(twins: Twins, data: bytes, answer: bytes) -> None:
    """It takes the short way to its end, and nobody can tell."""
    twins.client(data)
    assert twins.flying
    twins.target(answer)
    assert not twins.flying
    alike(twins)


# --- what takes it ----------------------------------------------------------------------------------------------------


def test_two_reads_take_it_and_their_answers_too() -> None:
    twins = Twins()
    twins.known(TWO, ROWS * 2 + ready())
    twins.client(TWO)
    assert twins.flying
    twins.target(ROWS * 2 + ready())
    assert not twins.flying
    assert twins.one.session.talk.number == twins.two.session.talk.number == 6
    alike(twins)


def test_each_is_recorded_by_itself() -> None:
    twins = Twins()
    twins.known(TWO, ROWS * 2 + ready())
    said = entries(twins, query(f" {ONE} ;;\n SELECT name FROM customers WHERE id = 98765; "))
    assert said == [("statement", ONE), ("statement", ONE.replace("1", "98765"))]


def test_a_semicolon_in_a_string_parts_nothing() -> None:
    text = "SELECT name FROM customers WHERE name = 'a;b'';'"
    twins = Twins()
    twins.known(query(f"{text}; {ONE}"), ROWS * 2 + ready())
    assert entries(twins, query(f"{text}; {ONE}")) == [("statement", text), ("statement", ONE)]


@pytest.mark.parametrize("policy", [POLICY, MASKED], ids=["open", "masked"])
def test_in_a_block(policy: str) -> None:
    twins = with_block(policy)
    twins.known(TWO, ROWS * 2 + ready("T"))
    takes(twins, TWO, ROWS * 2 + ready("T"))


def test_a_card_is_masked_in_the_rows_of_the_second() -> None:
    twins = Twins(MASKED)
    data = query(f"{ONE}; SELECT card_number FROM customers WHERE id = 2")
    card = columns("card_number", first=3) + row(b"4111111111111111") + complete("SELECT 1")
    for _ in range(3):
        twins.client(data)
        effects = twins.one.session.handle(ev.FromTarget(ROWS + card + ready()), NOW)
        assert twins.two.session.handle(ev.FromTarget(ROWS + card + ready()), NOW)
        said = b"".join(each.data for each in effects if isinstance(each, ev.ToClient))
        assert said.startswith(ROWS)
        assert b"4111111111111111" not in said
        alike(twins)


def test_writes_go_through_the_gate_together() -> None:
    update = "UPDATE customers SET name = 'x' WHERE id = "
    data, answer = query(f"{update}1; {update}2; {ONE}"), complete("UPDATE 1") * 2 + ROWS + ready()
    twins = Twins(WRITES)
    for _ in range(3):
        twins.client(data)
        assert twins.flying
        for chunk in (OPENED, answer, CLOSED):
            twins.target(chunk)
        alike(twins)
    assert not twins.flying


def test_a_write_behind_a_read_goes_through_the_gate_too() -> None:
    twins = Twins(WRITES)
    for _ in range(3):
        twins.client(query(f"{ONE}; UPDATE customers SET name = 'x' WHERE id = 1"))
        assert twins.flying
        for chunk in (OPENED, ROWS + complete("UPDATE 1") + ready(), CLOSED):
            twins.target(chunk)
        alike(twins)


def test_what_the_second_leaves_counts() -> None:
    """The connection is not given on: spare.py."""
    data = query("SHOW timezone; SET statement_timeout = '7s'")
    shown = columns("TimeZone", table=0) + row(b"UTC") + complete("SHOW")
    twins = Twins()
    twins.known(data, shown + complete("SET") + ready())
    for play in (twins.one, twins.two):
        play.session.talk.as_new = True
    twins.client(data)
    assert twins.flying
    twins.target(shown + complete("SET") + ready())
    assert not twins.one.session.talk.as_new
    alike(twins)


def test_settings_of_no_account() -> None:
    data = query("SET statement_timeout = '7s'; SET LOCAL work_mem = '64MB'")
    answer = complete("SET") * 2 + ready()
    twins = Twins()
    twins.known(data, answer)
    takes(twins, data, answer)


# --- what does not ----------------------------------------------------------------------------------------------------

NOT = {
    "one that waits": f"{ONE}; DELETE FROM customers WHERE id = 1",
    "one of another rule": f"SELECT pg_advisory_unlock_all(); {ONE}",
    "a block": f"BEGIN; {ONE}",
    "a block's end": f"{ONE}; COMMIT",
    "a savepoint": f"{ONE}; SAVEPOINT s1",
    "a name that is given up": f"{ONE}; DEALLOCATE s1",
    "a setting of account": f"SET search_path = other; {ONE}",
    "code": f"{ONE}; SELECT reader(1)",
    "one that can't be read": f"{ONE}; SELECT FROM WHERE",
    "a name of housekeeping alone": "UNLISTEN *; DEALLOCATE s1",
    "all names of housekeeping alone": "DEALLOCATE ALL; UNLISTEN *",
    "a savepoint of housekeeping alone": "UNLISTEN *; SAVEPOINT s1",
    "its end": "RELEASE s1; UNLISTEN *",
    "a block of housekeeping alone": "UNLISTEN *; BEGIN",
    "a block's end of housekeeping alone": "COMMIT; UNLISTEN *",
    "a comment": f"{ONE}; SELECT 1 -- ;",
    "a quoted name": f'{ONE}; SELECT name FROM "customers"',
    "a function's body": "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
    "nothing": ";;",
}


@pytest.mark.parametrize("what", NOT)
def test_what_does_not_take_it(what: str) -> None:
    twins = Twins()
    for _ in range(2):
        twins.client(query(NOT[what]))
        assert not twins.flying
        twins.target(error("42601") + ready())


@pytest.mark.parametrize("own", [False, True], ids=["as others know it", "as the session itself knows it"])
def test_a_new_policy_refuses_a_string_that_was_known(*, own: bool) -> None:
    twins = Twins()
    for play in (twins.one, twins.two):
        play.session.talk.role_moved = own
    twins.give(ev.Tick())
    data = query("SELECT name FROM customers; SELECT name FROM customers")
    twins.known(data, ROWS * 2 + ready())
    short = twins.one.session.short
    assert (short._texts is short._reads) is own
    twins.give(
        ev.PolicyChanged(load(POLICY.replace("effect: allow, statements: [read]", "effect: deny, statements: [read]")))
    )
    twins.client(data)
    assert not twins.flying


def test_a_prepared_reset_does_not() -> None:
    twins = Twins()
    for _ in range(3):
        twins.client(parse("", "RESET ALL") + bind("", "") + execute("") + SYNC)
        assert not twins.flying
        twins.target(PARSED + BOUND + complete("RESET") + ready())


def test_a_long_string_is_not_kept_whole() -> None:
    twins = Twins()
    twins.known(query(f"{ONE};" * 20), ROWS * 20 + ready())
    twins.client(query("SELECT name FROM customers;" * 20))
    assert twins.flying
    assert not twins.one.session.short._texts._several


def test_a_write_and_what_takes_back_the_gate_s_setting_do_not() -> None:
    twins = Twins(WRITES)
    for _ in range(2):
        twins.client(query("RESET ALL; CLOSE ALL; UPDATE customers SET name = 'x' WHERE id = 1"))
        assert not twins.flying
        twins.target(error("42601") + ready())


# --- what ends it -----------------------------------------------------------------------------------------------------

ANSWERS = {
    "an error in the first": error("57014") + ready(),
    "an error in the second": ROWS + error("22012") + ready(),
    "an error in its rows": ROWS + DESCRIBED + row(b"Ann") + error("22012") + ready(),
    "one answer": ROWS + ready(),
    "three": ROWS * 3 + ready(),
    "a notice between": ROWS + notice_response("hello") + ROWS + ready(),
    "a setting between": ROWS + message(b"S", b"TimeZone\0UTC\0") + ROWS + ready(),
    "other columns": ROWS + columns("name", "id") + row(b"Ann", b"1") + complete("SELECT 1") + ready(),
    "no rows": (DESCRIBED + complete("SELECT 0")) * 2 + ready(),
    "a secret": ROWS + DESCRIBED + row(b"4111 1111 1111 1111") + complete("SELECT 1") + ready(),
    "another status": ROWS * 2 + ready("T"),
    "an empty query": ROWS + message(b"I", b"") + ready(),
}


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("policy", [POLICY, MASKED], ids=["open", "masked"])
def test_any_other_answer_is_read_on_the_ordinary_way(policy: str, what: str) -> None:
    twins = Twins(policy)
    twins.known(TWO, ROWS * 2 + ready())
    twins.client(TWO)
    assert twins.flying
    twins.target(ANSWERS[what])
    twins.client(TWO)
    twins.target(ROWS * 2 + ready())


@pytest.mark.parametrize("at", range(1, len(ROWS) * 2))
def test_an_answer_in_two_pieces(at: int) -> None:
    twins, answer = Twins(), ROWS * 2 + ready()
    twins.known(TWO, answer)
    twins.client(TWO)
    twins.target(answer[:at])
    twins.target(answer[at:])
    alike(twins)


@pytest.mark.parametrize("event", [ev.CancelRequested(), ev.CatalogChanged(None), ev.ClientGone(), ev.TargetGone()])
def test_any_other_event_is_met_on_the_ordinary_way(event: ev.Event) -> None:
    twins = Twins()
    twins.known(TWO, ROWS * 2 + ready())
    twins.client(TWO)
    assert twins.flying
    twins.give(event)
    assert not twins.flying
    twins.target(ROWS * 2 + ready())


# --- what takes a session back ----------------------------------------------------------------------------------------


def test_what_asyncpg_s_pool_sends_takes_it() -> None:
    twins = Twins(MASKED)
    twins.known(RESET, TAKEN_BACK)
    takes(twins, RESET, TAKEN_BACK)


@pytest.mark.parametrize(
    ("text", "tag"), [("RESET ALL", "RESET"), ("CLOSE ALL;", "CLOSE CURSOR ALL"), ("UNLISTEN *", "UNLISTEN")]
)
def test_each_of_it_by_itself(text: str, tag: str) -> None:
    twins = Twins()
    twins.known(query(text), complete(tag) + ready())
    takes(twins, query(text), complete(tag) + ready())


def test_cursors_that_last_are_closed() -> None:
    twins = Twins()
    twins.known(RESET, TAKEN_BACK)
    twins.client(query("DECLARE c CURSOR WITH HOLD FOR SELECT name FROM customers"))
    twins.target(complete("DECLARE CURSOR") + ready())
    assert "c" in twins.one.session.talk.names.portals
    twins.client(RESET)
    assert twins.flying
    twins.target(TAKEN_BACK)
    assert not twins.one.session.talk.names.portals
    alike(twins)


def test_a_cursor_outlives_unlisten() -> None:
    twins = Twins()
    twins.known(query("UNLISTEN *"), complete("UNLISTEN") + ready())
    twins.client(query("DECLARE c CURSOR WITH HOLD FOR SELECT name FROM customers"))
    twins.target(complete("DECLARE CURSOR") + ready())
    twins.client(query("UNLISTEN *"))
    assert twins.flying
    twins.target(complete("UNLISTEN") + ready())
    assert "c" in twins.one.session.talk.names.portals
    alike(twins)


def test_behind_a_path_that_was_moved_it_is_asked_for() -> None:
    twins = Twins()
    for play in (twins.one, twins.two):
        play.session.talk.path_moved = True
    twins.client(query("RESET ALL"))
    assert twins.one.session.talk.path_stale
    assert twins.two.session.talk.path_stale


CHANGED: dict[str, Callable[[Conversation], None]] = {
    "the path": lambda talk: setattr(talk, "path_moved", True),
    "how constants are read": lambda talk: talk.names.reread(goes_back=False),
    "the wish to read only": lambda talk: setattr(talk.gate, "_initial", True),
}


@pytest.mark.parametrize("what", CHANGED)
def test_where_something_has_changed_it_is_met_on_the_ordinary_way(what: str) -> None:
    twins = Twins()
    twins.known(RESET, TAKEN_BACK)
    for play in (twins.one, twins.two):
        CHANGED[what](play.session.talk)
    twins.client(RESET)
    assert not twins.flying
    twins.target(TAKEN_BACK)


@pytest.mark.parametrize("found", [None, replace(catalog(), greets=True)], ids=["not read", "code runs at each login"])
def test_where_the_login_may_have_changed_something_too(found: object) -> None:
    play = Playbook()
    talk = play.session.talk
    assert not talk.path_moved
    assert talk.names.readings == talk.names.at_reset
    login, policy = talk.login, play.policy
    greeted = Session(login, policy, found, iter(()), Gate(), "I", ("public",)).talk  # type: ignore[arg-type]
    assert greeted.path_moved
    assert greeted.names.readings != greeted.names.at_reset


def test_in_a_block_it_takes_the_ordinary_way() -> None:
    twins = with_block()
    for _ in range(2):
        twins.client(query("RESET ALL"))
        assert not twins.flying
        twins.target(complete("RESET") + ready("T"))


def test_a_prepared_write_goes_on_behind_it() -> None:
    """What a pool's connection has prepared, with a constant in it, is allowed as it was before the connection was given back."""
    text = "INSERT INTO customers (name, id) VALUES ('x', $1)"
    twins = Twins(WRITES)
    twins.client(parse("s", text) + describe("S", "s") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\1\0\0\0\x17") + NO_DATA + ready())
    for _ in range(3):
        twins.client(bind("", "s", [b"1"]) + execute("") + SYNC)
        for chunk in (OPENED, BOUND + complete("INSERT 0 1") + ready(), CLOSED):
            twins.target(chunk)
        twins.client(RESET)
        twins.target(TAKEN_BACK)
        alike(twins)


# --- parting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1", None),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1; ;SELECT 'a;''b';", ["SELECT 1", "SELECT 'a;''b'"]),
        (";", []),
        ("SELECT 'a; b", None),
        ("SELECT 1; SELECT 2 -- x", None),
        ('SELECT 1; SELECT "a;b"', None),
        ("SELECT 1; SELECT $$a;b$$", None),
        ("SELECT 1; SELECT E'a\\';b'", None),
    ],
)
def test_where_a_text_is_parted(text: str, parts: list[str] | None) -> None:
    found = statements(text.encode())
    assert (None if found is None else [each.decode().strip() for each in found]) == parts


# --- SHOW -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [POLICY, MASKED], ids=["open", "masked"])
def test_what_a_setting_is(policy: str) -> None:
    data = query("SHOW TRANSACTION ISOLATION LEVEL")
    answer = columns("transaction_isolation", table=0) + row(b"read committed") + complete("SHOW") + ready()
    twins = Twins(policy)
    twins.known(data, answer)
    takes(twins, data, answer)


def test_what_a_setting_is_asked_as_jdbc_asks() -> None:
    data = parse("", "SHOW TRANSACTION ISOLATION LEVEL") + bind("", "") + describe("P", "") + execute("", 1) + SYNC
    once = data.replace(execute("", 1), execute(""))
    described = columns("transaction_isolation", table=0)
    answer = PARSED + BOUND + described + row(b"read committed") + complete("SHOW") + ready()
    twins = Twins(MASKED)
    twins.known(once, answer)
    twins.client(once)
    assert twins.flying
    twins.target(answer)
    twins.client(data)
    twins.target(answer)
    alike(twins)


def test_a_card_in_a_setting_is_masked() -> None:
    twins = Twins(MASKED)
    answer = columns("search_path", table=0) + row(b"4111111111111111") + complete("SHOW") + ready()
    for _ in range(3):
        twins.client(query("SHOW search_path"))
        said = b"".join(
            each.data for each in twins.one.session.handle(ev.FromTarget(answer), NOW) if isinstance(each, ev.ToClient)
        )
        twins.two.session.handle(ev.FromTarget(answer), NOW)
        assert said
        assert b"4111111111111111" not in said
        alike(twins)
