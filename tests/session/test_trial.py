"""What is kept back of a first try of reads, and which of them 25006 may turn."""

import pytest

from gateway.session.trial import MOST, Stage, Trial, reads_only
from gateway.wire.backend import notice_response as notice
from gateway.wire.frontend import SYNC, bind, close, describe, execute, message, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, columns, complete, error, ready, row

CODE = "SELECT reader(1)"
HEAD = columns("reader", table=0)


def tried(*messages: bytes, status: str = "I") -> tuple[Playbook, Trial]:
    play = Playbook(status=status)
    play.gate_shown = True
    play.client(*messages)
    trial = play.session.talk.trial
    assert trial is not None
    return play, trial


def test_what_announces_a_result_waits_for_its_first_row() -> None:
    play, trial = tried(query(CODE))
    play.target(HEAD)
    play.target(notice("working"))
    assert play.to_client() == b""
    play.target(row(b"1"))
    assert play.to_client() == HEAD + notice("working") + row(b"1")
    assert trial.stage is Stage.PASSING


@pytest.mark.parametrize("end", [complete("SELECT 0") + ready(), error("22012") + ready(), error("25006") + ready()])
def test_without_a_row_it_waits_for_the_end(end: bytes) -> None:
    """25006 too, where it can't be repeated: a setting is beside it."""
    play, _ = tried(query(CODE if b"25006" not in end else "SHOW work_mem; SELECT reader(1)"))
    play.target(HEAD)
    assert play.to_client() == b""
    play.target(end)
    assert play.to_client() == HEAD + end
    assert play.session.talk.trial is None


def test_what_belongs_to_no_statement_passes() -> None:
    play, _ = tried(query(CODE))
    told = message(b"S", b"TimeZone\0UTC\0")
    play.target(HEAD, told)
    assert play.to_client() == told


@pytest.mark.parametrize(
    ("messages", "repeatable"),
    [
        ((query(CODE),), True),
        ((query(f"SELECT 1; {CODE}"),), True),
        ((query(f"COPY ({CODE}) TO STDOUT"),), True),
        ((query(f"EXPLAIN ANALYZE {CODE}"),), True),
        ((query(f"DECLARE c CURSOR FOR {CODE}"),), True),
        ((query(f"SHOW work_mem; {CODE}"),), False),
        ((query(f"PREPARE p AS SELECT 1; {CODE}"),), False),
        ((parse("", CODE), bind("", ""), describe("P", ""), execute(""), SYNC), True),
        ((parse("s", CODE), bind("p", "s"), execute("p"), close("P", "p"), SYNC), True),
        ((parse("", CODE), bind("", ""), execute(""), execute("none"), SYNC), False),
    ],
)
def test_what_can_run_again_as_a_whole(messages: tuple[bytes, ...], repeatable: bool) -> None:
    _, trial = tried(*messages, status="T")
    assert trial.repeatable is repeatable


def test_a_portal_of_before_can_not_run_again() -> None:
    play = Playbook(status="T")
    play.client(parse("", CODE), bind("p", ""), SYNC)
    play.target(PARSED, BOUND, ready("T"))
    play.client(execute("p", 1), SYNC)
    assert play.session.talk.trial is not None
    assert not play.session.talk.trial.repeatable


def test_where_code_wants_to_write_the_rows_wait_too() -> None:
    play, trial = tried(query("SELECT writer(id) FROM customers; SELECT 1"))
    play.target(HEAD, row(b"1"), complete("SELECT 1"), HEAD, row(b"2"))
    assert play.to_client() == b""
    play.target(complete("SELECT 1"), ready())
    assert (
        play.to_client() == HEAD + row(b"1") + complete("SELECT 1") + HEAD + row(b"2") + complete("SELECT 1") + ready()
    )
    assert trial.stage is Stage.PASSING


def test_but_no_more_than_a_limit() -> None:
    play, _trial = tried(query("SELECT writer(id) FROM customers"))
    long = row(b"x" * (MOST // 3))
    play.target(long)
    assert play.to_client() == b""
    play.target(long, long, long, long)  # in one run: it would be kept as a whole, however long
    assert play.to_client() == long * 5
    play.target(error("25006"), ready())
    assert play.to_client() == error("25006") + ready()


def test_of_a_read_without_user_code_nothing_waits() -> None:
    play, trial = tried(query("SELECT count(*) FROM customers"))
    assert not trial.blocks
    play.client(query("SELECT 1"))
    assert play.session.talk.trial is None
    play.target(HEAD)
    assert play.to_client() == HEAD


def test_reading() -> None:
    play = Playbook(POLICY)
    play.client(parse("", CODE))
    assert not reads_only(play.session.draft.batch), "nothing is executed"
    play.client(bind("", ""), execute(""))
    assert reads_only(play.session.draft.batch)
