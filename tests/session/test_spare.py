"""Which sessions leave their connection to the target as good as new, and which don't."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.session import events as ev
from gateway.session.common import Commons
from gateway.session.spare import leaves_nothing
from gateway.sql.catalog import Catalog
from gateway.sql.parse import read
from gateway.sql.statement import NameUse, StatementClass
from gateway.wire.frontend import SYNC, TERMINATE, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, PARSED, Playbook, catalog, columns, complete, error, ready, row
from tests.session.test_session import EVERYTHING_GOES

ENDS = ["target X", "record session_ended", "close"]
SPARE = ["record session_ended", "close spare"]
STATUS = message(b"S", b"TimeZone\0UTC\0")
_UNNAMED = bind("", ""), execute(""), SYNC


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT count(*) FROM orders WHERE id = 7",
        "SELECT random(), pg_backend_pid(), current_setting('search_path')",
        "SHOW search_path",
        "SHOW ALL",
        "BEGIN",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "RELEASE a",
        "ROLLBACK TO a",
    ],
)
def test_what_leaves_nothing(sql: str) -> None:
    assert leaves_nothing(read(sql).statements[0])


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT setseed(0.5)",
        "SELECT pg_catalog.setseed(0.5)",
        'SELECT shop.pg_catalog."setseed"(0.5)',
        "SELECT 1 FROM pg_catalog.setseed(0.5)",
        "SELECT set_config('my.name', 'x', false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT nextval('s')",
        "SELECT lo_get(1)",
        "SELECT f(a) FROM dblink('host=elsewhere', 'SELECT 1') AS (a int)",
        "SET my.name = 'x'",
        "SET seed = 0.5",
        "SET ROLE other",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET CONSTRAINTS ALL DEFERRED",
        "COMMIT PREPARED 'a'",
        "SET work_mem = '1MB'",
        "RESET ALL",
        "PREPARE a AS SELECT 1",
        "EXECUTE a",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "LISTEN c",
        "UNLISTEN *",
        "LOAD 'auto_explain'",
        "DISCARD TEMP",
        "SELECT 1 AS a INTO TEMP t",
        "CREATE TEMP TABLE t (a int)",
        "CREATE TABLE t (a int)",
        "UPDATE orders SET id = 1 WHERE id = 2",
        "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT * FROM gone",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "COPY orders TO STDOUT",
        "LOCK orders",
        "PREPARE TRANSACTION 'a'",
        "DO $$ BEGIN END $$",
        "CALL p()",
    ],
)
def test_what_may_leave_something(sql: str) -> None:
    assert not leaves_nothing(read(sql).statements[0])


@pytest.mark.parametrize(
    "more",
    [
        {"settings": (("work_mem", "1MB"),)},
        {"names": NameUse("FETCH", "c")},
        {"copies": "out"},
        {"configures": (1,)},
        {"inner_tags": ("SELECT",)},
        {"unresolved": ("public.made_since",)},
        {"spreads": (("public.customers.card_number", "*.*.*"),)},
        {"guarded": True},
        {"temporary": True},
        {"unsettles": True},
        {"uncertain": True},
        {"holdable": True},
        {"untraced": True},
        {"reason": "it may be anything"},
        {"classes": frozenset({StatementClass.READ, StatementClass.SESSION})},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_read_of_which_anything_more_is_known_may_leave_something(more: dict[str, Any]) -> None:
    assert not leaves_nothing(replace(read("SELECT 1").statements[0], **more))


def _said(play: Playbook, *messages: bytes) -> list[str]:
    """What the client's goodbye does, behind these messages and the answers that were given."""
    return play.client(*messages, TERMINATE)


def test_a_session_in_which_nothing_ran_is_spare() -> None:
    assert _said(Playbook()) == SPARE


@pytest.mark.parametrize("times", [1, 3])
def test_one_that_only_read_is_spare(times: int) -> None:
    """The third of its kind takes the short way."""
    play = Playbook()
    for number in range(times):
        play.client(query(f"SELECT id FROM public.orders WHERE id = {number}"))
        play.target(complete("SELECT 0"), ready())
    assert _said(play) == SPARE


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("sql", ["SELECT setseed(0.5)", "UPDATE public.orders SET id = 1 WHERE id = 2"])
def test_one_that_did_more_is_not(sql: str, times: int) -> None:
    """The third takes the short way; in a block, where it needs no gate."""
    play = Playbook(EVERYTHING_GOES)
    for said, status in (("BEGIN", "T"), *[(sql, "T")] * times, ("COMMIT", "I")):
        play.client(query(said))
        play.target(complete(f"{said.split()[0]} 1" if said == sql else said), ready(status))
    assert _said(play) == ENDS


@pytest.mark.parametrize("found", [None, replace(catalog(), greets=True)], ids=["not read", "code runs at each login"])
def test_none_is_where_code_may_run_at_each_login(found: Catalog | None) -> None:
    play = Playbook()
    play.send(ev.CatalogChanged(found))
    assert _said(play) == ENDS


def test_one_that_did_more_before_it_read_is_not() -> None:
    play = Playbook()
    for sql in ("SET work_mem = '1MB'", "SELECT 1"):
        play.client(query(sql))
        play.target(complete(sql.split()[0]), ready())
    assert _said(play) == ENDS


def test_one_whose_token_is_over_is_not() -> None:
    play = Playbook()
    play.send(ev.Ended(ev.Why.TOKEN_EXPIRED))
    assert "close spare" not in _said(play)


@pytest.mark.parametrize("sql", ["SELECT setseed(0.5)", "SELECT 1"])
@pytest.mark.parametrize("count", [1, 2], ids=["alone", "together"])
def test_one_that_did_more_in_what_others_have_met_is_not(sql: str, count: int) -> None:
    """Its first of this kind takes the short way, several in a pipeline too, and no statement is looked at there."""
    knows = replace(catalog(), safe_functions=catalog().safe_functions | {"setseed"})
    commons = Commons()
    plays = [Playbook(EVERYTHING_GOES, knows=knows, path=("public",), commons=commons) for _ in range(2)]
    one = parse("", sql) + bind("", "") + describe("P", "") + execute("")
    answer = PARSED + BOUND + columns("x") + row(b"") + complete("SELECT 1")
    for play in plays:
        for times in (1, 1, count):
            play.client(one * times + SYNC)
            play.target(answer * times, ready())
    last = plays[1]
    last.session.talk.as_new = True  # as if it had said no more than the last
    last.client(one * count + SYNC)
    assert last.session.short.flight is not None
    last.target(answer * count, ready())
    assert _said(last) == (ENDS if "setseed" in sql else SPARE)


def test_one_that_left_a_block_open_is_not() -> None:
    play = Playbook()
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    assert _said(play) == ENDS


def test_one_whose_block_has_ended_is() -> None:
    play = Playbook()
    for sql, status in (("BEGIN", "T"), ("SELECT 1", "T"), ("ROLLBACK", "I")):
        play.client(query(sql))
        play.target(complete(sql), ready(status))
    assert _said(play) == SPARE


def test_one_in_which_a_read_failed_is() -> None:
    play = Playbook()
    play.client(query("SELECT 1 / 0"))
    play.target(error("22012"), ready())
    assert _said(play) == SPARE


def test_one_that_was_told_a_setting_is_not() -> None:
    """The next would be greeted with that of before."""
    play = Playbook()
    play.target(STATUS)
    assert _said(play) == ENDS


def test_one_that_was_cancelled_is_not() -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    play.send(ev.CancelRequested())
    play.target(complete("SELECT 1"), ready())
    assert _said(play) == ENDS


def test_one_that_has_prepared_and_run_reads_is() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), *_UNNAMED)
    play.target(PARSED, BOUND, complete("SELECT 1"), ready())
    assert _said(play) == SPARE


def test_a_client_that_says_no_goodbye_leaves_nothing_behind() -> None:
    assert Playbook().send(ev.ClientGone()) == ["record session_ended", "close"]
