"""What the target may not say, and what each of its answers changes."""

import pytest

from gateway.session import events as ev
from gateway.session.state import Phase
from gateway.wire.backend import fields
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, NO_DATA, PARSED, POLICY, Playbook, complete, error, ready, row, split
from tests.session.test_session import DELETE, approve
from tests.session.test_stream import MASKED, asked, fatal


def notice(text: str, kind: bytes = b"N") -> bytes:
    return message(kind, b"SNOTICE\0VNOTICE\0C00000\0M" + text.encode() + b"\0\0")


def parameter(name: str, value: str) -> bytes:
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (message(b"x", b""), "unexpected message of type x"),
        (message(b"V", b""), "function call that was not forwarded"),
        (message(b"W", b"\0\0\0"), "replication stream"),
        (PARSED, "ParseComplete in answer to Q"),
        (message(b"s", b""), "PortalSuspended in answer to Q"),
        (complete("SELECT 1") + ready() + complete("SELECT 1"), "CommandComplete and nothing was asked"),
        (complete("SELECT 1") + ready() + ready(), "ReadyForQuery and nothing was asked"),
        (complete("SELECT 1") + ready() + row(b"1"), "DataRow and nothing was asked"),
        (parameter("client_encoding", "LATIN1"), "read in two ways"),
    ],
)
def test_what_the_target_may_not_say_ends_the_session(answer: bytes, what: str) -> None:
    play = asked()
    play.target(answer)
    assert what in fatal(play)
    assert play.client(query("SELECT 1")) == []


def test_what_the_target_says_when_nothing_was_asked_passes_cleaned() -> None:
    play = Playbook()
    play.target(notice("postgres://ann:hunter2@db/x"))
    assert b"hunter2" not in play.to_client()
    note = message(b"A", b"\0\0\0\1jobs\0postgres://ann:hunter2@db/x\0")
    play.target(note)
    assert play.to_client() == message(b"A", b"\0\0\0\1jobs\0postgres://ann:[password]@db/x\0")
    play.target(parameter("application_name", "postgres://ann:hunter2@db/x"))
    assert play.to_client() == parameter("application_name", "postgres://ann:[password]@db/x")


def test_a_fatal_of_the_targets_own_is_the_only_one() -> None:
    play = Playbook()
    assert play.target(message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mgoing\0\0")) == ["client E57P01"]
    assert play.send(ev.TargetGone()) == ["record session_ended", "close"]


def test_nothing_is_taken_from_the_client_behind_the_targets_fatal() -> None:
    play = Playbook()
    play.target(message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mgoing\0\0"))
    assert play.client(query(DELETE)) == []


def test_a_reported_search_path_is_asked_for_before_anything_is_judged_by_it() -> None:
    play = Playbook()
    assert play.target(parameter("search_path", "other")) == ["client S", "target Q[SHOW search_path]"]
    assert play.client(query("SELECT 1")) == []
    assert play.target(row(b"other"), complete("SHOW"), ready()) == ["record statement", "target Q[SELECT 1]"]
    assert play.session.talk.grounds.search_path == ("other",)


@pytest.mark.parametrize(("path", "goes_on"), [(b"public", True), (b"other", False)])
def test_a_search_path_reported_while_a_batch_is_read_is_asked_for_then(path: bytes, goes_on: bool) -> None:
    """A reloaded configuration. What was judged by another path does not go."""
    play = Playbook()
    batch = (parse("", "SELECT 1"), bind("", ""), execute(""), SYNC)
    play.client(batch[0])
    assert play.target(parameter("search_path", path.decode()))[-1] == "target Q[SHOW search_path]"
    play.client(*batch[1:])
    lines = play.target(row(path), complete("SHOW"), ready())
    assert ("target P[SELECT 1] B E S" in lines) == goes_on
    assert ("client E57P03" in lines) != goes_on


def test_answers_to_questions_of_ours_are_not_shown_whatever_comes_between() -> None:
    play = Playbook(status="T")
    play.client(query(DELETE))
    assert play.target(notice("seen by nobody"), row(b"read committed"), complete("SHOW")) == []
    assert play.target(ready("T"))[-1].startswith("target Q[SAVEPOINT")


def test_a_suspended_portal_has_no_row_count_and_goes_on() -> None:
    play = Playbook()
    play.client(parse("", "SELECT name FROM customers"), bind("", ""), execute("", 1), SYNC)
    play.target(PARSED, BOUND, row(b"Ann"), message(b"s", b""), ready("T"))
    (entry,) = play.recorded("finished")
    assert entry["rows"] == 0
    assert play.client(execute(""), SYNC) == ["record statement", "target E S"]


def test_an_empty_query_ends_with_no_rows() -> None:
    play = asked(sql="")
    assert play.target(message(b"I", b""), ready()) == ["client I ZI"]


def test_an_error_of_our_own_describe_is_the_executes() -> None:
    """The target skips the Execute then: without it the client would wait for an answer that never comes."""
    play = Playbook(POLICY + "masking: {detect: [card]}\n", status="T")
    play.client(parse("", "SELECT id FROM customers"), bind("p", "", results=(1,)), SYNC)
    play.target(PARSED, BOUND, ready("T"))
    play.client(execute("p"), SYNC)
    assert play.target(error("34000"), ready("E"))[-1] == "client E34000 ZE"
    (entry,) = play.recorded("finished")
    assert entry["outcome"] == "failed"


@pytest.mark.parametrize("at", ["Parse", "Bind"])
@pytest.mark.parametrize(
    ("sql", "expected"),
    [("SELECT 1 / $1::int", "boom"), ("SELECT 1 FROM customers WHERE card_number = $1", "the message is withheld")],
    ids=["harmless", "protected"],
)
def test_an_error_before_execute_is_withheld_only_where_it_could_quote(at: str, sql: str, expected: str) -> None:
    """25P02 comes at Parse, division by zero at Bind: drivers that prepare read PostgreSQL's own words."""
    play = Playbook(MASKED)
    play.client(parse("", sql), bind("", "", (b"0",)), execute(""), SYNC)
    play.target(*([PARSED] if at == "Bind" else []), error("22012"), ready())
    found = next(fields(body) for kind, body in split(play.to_client()) if kind == "E")
    assert found["M"].startswith(expected)


def test_no_data_answers_a_describe() -> None:
    play = Playbook()
    play.client(parse("", "BEGIN"), describe("S", ""), SYNC)
    assert play.target(PARSED, message(b"t", b"\0\0"), NO_DATA, ready()) == ["client 1 t n ZI"]


def test_a_held_portal_that_was_released_goes_on_without_asking_again() -> None:
    play = Playbook()
    sql = "DELETE FROM customers WHERE id = 1 RETURNING name"
    play.client(parse("", sql), bind("", ""), execute("", 1), SYNC)
    play.preview()
    play.send(ev.Opened("REQ1"))
    approve(play)
    assert "client D s" in play.target(PARSED, BOUND, row(b"Ann"), complete("DELETE 1"), ready("T"))
    assert play.client(execute(""), SYNC) == ["record statement", "target E S"]


def test_an_error_makes_the_target_skip_to_the_sync() -> None:
    play = Playbook()
    play.client(parse("a", "SELECT 1"), bind("", "a"), execute(""), parse("b", "SELECT 2"), SYNC)
    play.target(error("42601"), ready())
    (entry,) = play.recorded("finished")
    assert entry["reason"] == "skipped after an error"
    assert play.session.talk.names.statements == {}


def test_syncs_behind_a_copy_in_are_owed_nothing() -> None:
    """PostgreSQL ignores them while it copies: `1 2 G` and no Z (architecture.md, ReplyQueue)."""
    policy = POLICY.replace("statements: [INSERT]", "statements: [write]").replace("[write, ddl", "[ddl")
    play = Playbook(policy)
    play.client(parse("", "COPY customers FROM STDIN"), bind("", ""), execute(""), SYNC)
    copy_in = message(b"G", b"\0\0\0")
    assert play.target(PARSED, BOUND, copy_in) == ["client 1 2 G"]
    assert play.client(message(b"d", b"1\n"), message(b"c", b""), SYNC) == ["target d c S"]
    assert play.target(complete("COPY 1"), ready())[-1] == "client C[COPY 1] ZI"
    assert play.session.talk.drained


@pytest.mark.parametrize("body", [b"", b"X", b"II"])
def test_a_transaction_status_that_is_none_ends_the_session(body: bytes) -> None:
    play = asked()
    play.target(complete("SELECT 0"), message(b"Z", body))
    assert fatal(play) == "the target sent a malformed ReadyForQuery"


def test_the_same_in_the_answer_to_a_question_of_ours() -> None:
    play = Playbook()
    play.session.talk.path_stale = True
    play.client(query("SELECT 1"))
    play.target(message(b"Z", b""))
    assert fatal(play) == "the target sent a malformed ReadyForQuery"


def test_a_transaction_that_failed_without_an_error_ends_the_session() -> None:
    play = asked()
    play.target(complete("SELECT 0"), message(b"Z", b"E"))
    assert fatal(play) == "the target says that the transaction failed, and has sent no error"


def test_so_it_does_in_the_answer_to_a_question_of_ours() -> None:
    play = Playbook()
    play.session.talk.path_stale = True
    play.client(query("SELECT 1"))
    play.target(message(b"Z", b"E"))
    assert fatal(play) == "the target says that the transaction failed, and has sent no error"


@pytest.mark.parametrize(
    "answer", [row(b"\xff\xfe"), row(), message(b"D", b"")], ids=["not UTF-8", "no column", "no row"]
)
def test_an_answer_to_a_question_of_ours_that_makes_no_sense_ends_the_session(answer: bytes) -> None:
    play = Playbook()
    play.session.talk.path_stale = True
    play.client(query("SELECT 1"))
    play.target(answer, complete("SHOW"), ready())
    assert fatal(play) == "the target's answer to a question of the gateway can't be read"


@pytest.mark.parametrize("end", [complete("COPY 1"), ready()])
def test_a_target_that_ends_a_copy_before_its_data_does_ends_the_session(end: bytes) -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    play.target(message(b"G", b"\0\0\0"))
    assert play.target(end)[-1] == "close"
    assert play.session.talk.phase is Phase.CLOSED


def test_standard_conforming_strings_off_ends_the_session() -> None:
    play = Playbook()
    lines = play.target(message(b"S", b"standard_conforming_strings\0off\0"))
    assert lines[-1] == "close"
