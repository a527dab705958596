"""How sessions end: what is withdrawn, told and recorded, whoever wants it and whatever runs."""

import pytest

from gateway.approvals.request import State, sqlstate_of
from gateway.session import events as ev
from gateway.wire.backend import fields
from gateway.wire.frontend import FLUSH, SYNC, TERMINATE, bind, execute, message, parse, query
from tests.playbook import BOUND, PARSED, Playbook, complete, error, ready, split
from tests.session.test_session import DELETE, EVERYTHING_GOES, FATAL, approve, held, opened, ruled


def test_a_client_that_goes_away_withdraws_and_closes() -> None:
    play = Playbook()
    held(play, query(DELETE))
    assert play.send(ev.ClientGone()) == ["withdraw REQ1", "record session_ended", "close"]
    assert play.send(ruled(play, State.APPROVED)) == []


def test_a_target_that_goes_away_withdraws_and_says_57p01() -> None:
    play = Playbook()
    held(play, query(DELETE))
    lines = play.send(ev.TargetGone())
    assert lines == ["withdraw REQ1", "client E57P01", "record session_ended", "close"]


def test_draining_withdraws_and_says_57p01() -> None:
    play = Playbook()
    held(play, query(DELETE))
    lines = play.send(ev.Ended(ev.Why.DRAINING))
    assert lines == ["withdraw REQ1", "client E57P01", "record session_ended", "close"]


def test_draining_lets_what_runs_end_and_begins_nothing_more() -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    assert play.send(ev.Ended(ev.Why.DRAINING)) == []
    assert play.client(query("SELECT 3")) == []
    lines = play.target(complete("SELECT 1"), ready())
    assert lines == ["record finished", "client C[SELECT 1] ZI E57P01", "record session_ended", "close"]
    assert play.recorded("finished")[0]["outcome"] == "executed"


def test_draining_ends_a_transaction_in_which_nothing_runs() -> None:
    play = Playbook(status="T")
    assert play.send(ev.Ended(ev.Why.DRAINING)) == ["client E57P01", "record session_ended", "close"]


def test_draining_hears_the_end_of_a_batch_that_has_begun() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), bind("", ""), execute(""), FLUSH)
    play.send(ev.Ended(ev.Why.DRAINING))
    assert play.client(SYNC) == ["target S"]
    assert play.target(PARSED, BOUND, complete("SELECT 1"), ready())[-1] == "close"


def test_what_still_runs_is_cancelled_and_its_end_is_what_the_target_says() -> None:
    play = Playbook()
    held(play, query(DELETE))
    approve(play)
    play.send(ev.Ended(ev.Why.DRAINING))
    assert play.send(ev.Ended(ev.Why.OVERDUE)) == ["record cancelled", "canceltarget"]
    lines = play.target(error("57014"), ready())
    assert "finished REQ1 57014 rolled back" in lines
    assert lines[-3:] == ["client ZI E57P01", "record session_ended", "close"]
    [entry] = play.recorded("finished")
    assert (entry["outcome"], entry["sqlstate"]) == ("failed", "57014")


def test_a_cancel_that_comes_too_late_leaves_it_executed() -> None:
    play = Playbook()
    held(play, query(DELETE))
    approve(play)
    play.send(ev.Ended(ev.Why.DRAINING))
    play.send(ev.Ended(ev.Why.OVERDUE))
    lines = play.target(complete("DELETE 1"), ready())
    assert "finished REQ1 1 committed" in lines
    assert play.recorded("finished")[0]["outcome"] == "executed"


def test_what_does_not_answer_the_cancel_either_has_no_known_end() -> None:
    play = Playbook()
    held(play, query(DELETE))
    approve(play)
    for why in (ev.Why.DRAINING, ev.Why.OVERDUE):
        play.send(ev.Ended(why))
    lines = play.send(ev.Ended(ev.Why.STOPPED))
    assert lines == ["record finished", "unknown REQ1", "client E57P01", "record session_ended", "close"]


def test_a_copy_that_waits_for_its_data_is_failed() -> None:
    play = Playbook(EVERYTHING_GOES)
    play.client(query("COPY customers (id) FROM STDIN"))
    play.target(message(b"G", b"\0\0\1\0\0"))
    assert play.send(ev.Ended(ev.Why.DRAINING)) == []
    assert play.client(message(b"d", b"1\n")) == ["target d"]
    assert play.send(ev.Ended(ev.Why.OVERDUE)) == ["record cancelled", "target f", "canceltarget"]
    assert play.client(message(b"d", b"2\n")) == []
    lines = play.target(error("57014"), ready())
    assert lines == ["record finished", "client E57014 ZI E57P01", "record session_ended", "close"]


def test_what_is_to_be_judged_again_is_not_begun_again_while_it_drains() -> None:
    play = Playbook()
    play.client(query("SELECT writer()"))
    play.send(ev.Ended(ev.Why.DRAINING))
    lines = play.target(error("25006"), ready())
    assert lines[-3:] == ["client E57P01", "record session_ended", "close"]
    assert not play.is_held


@pytest.mark.parametrize(
    "end",
    [
        ev.Ended(ev.Why.DRAINING),
        ev.Ended(ev.Why.STOPPED),
        ev.Ended(ev.Why.REVOKED, "bob"),
        ev.TargetGone(),
        ev.FromTarget(message(b"?", b"")),
    ],
)
def test_behind_a_fatal_of_the_target_the_client_gets_no_other(end: ev.Event) -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    assert play.target(FATAL) == ["record finished", "client E57P01"]
    lines = play.send(end)
    assert lines == ["record session_ended", "close"]


def test_somebody_who_ends_it_is_named_to_the_client_and_in_the_record() -> None:
    play = Playbook()
    held(play, query(DELETE))
    lines = play.send(ev.Ended(ev.Why.REVOKED, "bob@example.com: a runaway agent"))
    assert lines == ["withdraw REQ1", "client E57P01", "record session_ended", "close"]
    (said,) = [fields(body) for kind, body in split(play.to_client()) if kind == "E"]
    assert (said["S"], said["M"]) == ("FATAL", "this session was ended by bob@example.com: a runaway agent")
    assert play.recorded("session_ended")[0]["reason"] == "ended by bob@example.com: a runaway agent"


def test_what_runs_when_it_is_ended_is_cancelled_and_its_end_unknown() -> None:
    play = Playbook()
    held(play, query(DELETE))
    approve(play)
    lines = play.send(ev.Ended(ev.Why.REVOKED, "bob@example.com"))
    assert lines[:3] == ["canceltarget", "record finished", "unknown REQ1"]
    assert lines[-3:] == ["client E57P01", "record session_ended", "close"]
    assert play.send(ev.Ended(ev.Why.REVOKED, "carol@example.com")) == []


def test_terminate_without_a_sync_says_that_the_end_of_what_was_approved_was_not_seen() -> None:
    play = Playbook()
    play.client(parse("", DELETE), bind("", ""), execute(""), FLUSH)
    play.preview()
    opened(play)
    approve(play)
    play.target(PARSED, BOUND, complete("DELETE 1"))
    assert play.client(TERMINATE) == ["unknown REQ1", "target X", "record session_ended", "close"]


@pytest.mark.parametrize(
    ("event", "sqlstate"),
    [
        (ev.TargetGone(), "57P01"),
        (ev.Ended(ev.Why.DRAINING), "57P01"),
        (ev.Ended(ev.Why.REVOKED, "bob"), "57P01"),
        (ev.ClientGone(), "57014"),
    ],
    ids=["target", "gateway", "revoked", "client"],
)
def test_the_reason_of_a_withdrawal_says_what_the_client_was_told(event: ev.Event, sqlstate: str) -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(event)
    [withdrawn] = [each for each in play.effects if isinstance(each, ev.Withdraw)]
    assert sqlstate_of(State.WITHDRAWN, withdrawn.why) == sqlstate


@pytest.mark.parametrize(
    ("event", "sqlstate"),
    [(ev.TargetGone(), "57P01"), (ev.Ended(ev.Why.DRAINING), "57P01"), (ev.ClientGone(), "57014")],
    ids=["target", "gateway", "client"],
)
def test_what_ends_before_anybody_is_asked_is_recorded(event: ev.Event, sqlstate: str) -> None:
    play = Playbook()
    play.client(query(DELETE))
    assert "withdraw REQ1" not in play.send(event)
    [entry] = play.recorded("refused")
    assert (entry["sql"], entry["sqlstate"]) == (DELETE, sqlstate)


def test_what_was_on_its_way_when_it_ended_is_unknown() -> None:
    play = Playbook()
    held(play, query(DELETE))
    approve(play)
    lines = play.send(ev.TargetGone())
    assert lines[:2] == ["record finished", "unknown REQ1"]
    assert play.recorded("finished")[0]["outcome"] == "unknown"
