"""25006 from what went as reads: judged again, as code that may do anything. One answer to each message of the client."""

from dataclasses import replace

import pytest

from gateway.approvals.request import State
from gateway.session import events as ev
from gateway.session.gate import CLOSE, GUARD, OPEN, TRIES, UNGUARD, undo
from gateway.session.judging import WRITES as SAYS
from gateway.session.state import Phase
from gateway.wire.backend import fields
from gateway.wire.frontend import SYNC, bind, close, describe, execute, message, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, columns, complete, error, ready, row, split

CODE = "SELECT reader(1)"
HEAD = columns("reader", table=0)
ALLOWED = POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba", "")
DENIED = POLICY.replace("effect: hold", "effect: deny").replace(", reviewers: dba", "")
WRITES = error("25006", "cannot execute DELETE in a read-only transaction")
SIMPLE = (query(CODE),)
EXTENDED = (parse("", CODE), bind("", ""), describe("P", ""), execute(""), SYNC)
BACK = undo((), in_block=True)


def tried(*messages: bytes, policy: str = POLICY, status: str = "I", mode: bytes = b"off") -> Playbook:
    """The messages were sent as reads, and the target has met 25006 in the last of them (but for a Sync)."""
    play = Playbook(policy, status=status)
    play.gate_shown = True
    play.client(*messages)
    assert play.to_target() == (b"".join(messages) if status == "I" else GUARD + b"".join(messages) + UNGUARD)
    answers = (PARSED, BOUND, HEAD) if len(messages) > 1 else (HEAD,)
    if status == "I":
        play.target(*answers, WRITES, ready())
    else:
        play.target(row(mode), complete("SHOW"), ready("T"), *answers, WRITES, ready("E"), error("25P02"), ready("E"))
    return play


def asked(play: Playbook, status: str = "I") -> None:
    """The hold has looked what it can say, and people are asked."""
    if status == "T":
        answer(play, status, row(b"read committed"), complete("SHOW"), ready("T"))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(complete("SHOW"), ready("T"))
    answer(play, status, complete("ROLLBACK"), ready(status))
    play.send(ev.Opened("REQ1"))


def answer(play: Playbook, status: str, *messages: bytes) -> None:
    """Answer a question; it has dropped the client's unnamed statement, which is then parsed again."""
    play.target(*messages)
    if play.to_target()[:1] == b"P":
        play.target(PARSED, ready(status))


def stands(play: Playbook, *names: bytes, status: str = "I") -> None:
    """The target says what names mean, after code that may have changed them."""
    play.target(row(b"public"), complete("SHOW"), ready(status))
    play.target(*names, complete("SELECT"), ready(status))


def ruled(play: Playbook, state: State) -> None:
    play.send(ev.Ruled(replace(play.requests[0], state=state)))


def released(play: Playbook) -> bytes:
    ruled(play, State.APPROVED)
    answer(play, play.session.talk.status, complete("SHOW"), ready(play.session.talk.status))
    assert play.session.holding.active
    play.send(ev.Released("REQ1"))
    return play.to_target()


@pytest.mark.parametrize("messages", [SIMPLE, EXTENDED])
def test_it_is_held_and_what_is_released_are_the_same_bytes_through_the_gate(messages: tuple[bytes, ...]) -> None:
    play = tried(*messages)
    assert play.session.holding.active
    assert play.is_held
    assert play.to_client() == b"", "of the first try the client has seen nothing"
    asked(play)
    assert play.requests[0].statements[0].opaque == SAYS
    assert released(play) == OPEN + b"".join(messages) + CLOSE
    answers = (PARSED, BOUND, HEAD) if len(messages) > 1 else (HEAD,)
    play.target(ready(), *answers, row(b"1"), complete("SELECT 1"), ready(), ready())
    assert play.to_client() == b"".join(answers) + row(b"1") + complete("SELECT 1") + ready()


def test_the_record_tells_of_both() -> None:
    play = tried(*SIMPLE)
    (finished,) = play.recorded("finished")
    assert (finished["outcome"], finished["sqlstate"], finished["verdict"]) == ("failed", "25006", "allow")
    assert "judged again" in str(finished["reason"])
    asked(play)
    released(play)
    (again,) = play.recorded("statement")
    assert (again["verdict"], again["request"]) == ("hold", "REQ1")
    assert again["statement"] != finished["statement"]


@pytest.mark.parametrize("messages", [SIMPLE, EXTENDED])
def test_in_a_block_the_savepoint_is_rolled_back_first(messages: tuple[bytes, ...]) -> None:
    play = tried(*messages, status="T")
    assert play.to_target() == BACK
    assert play.to_client() == b""
    play.target(ready("T"))
    assert play.session.holding.active
    asked(play, "T")
    assert released(play) == b"".join(messages)
    answers = (PARSED, BOUND, HEAD) if len(messages) > 1 else (HEAD,)
    play.target(*answers, row(b"1"), complete("SELECT 1"), ready("T"))
    assert play.to_client() == b"".join(answers) + row(b"1") + complete("SELECT 1") + ready("T")


@pytest.mark.parametrize(("state", "code"), [(State.DENIED, "42501"), (State.EXPIRED, "57014")])
def test_what_is_not_approved_fails_as_if_it_had_never_been_tried(state: State, code: str) -> None:
    play = tried(*EXTENDED)
    asked(play)
    ruled(play, state)
    assert OPEN not in play.to_target()
    play.target(PARSED, error("26000"), ready())
    assert [kind for kind, _ in split(play.to_client())] == ["1", "E", "Z"]
    assert fields(split(play.to_client())[1][1])["C"] == code


def test_its_bind_is_refused_with_it() -> None:
    """The planner could run the code there already."""
    play = tried(*EXTENDED, policy=DENIED)
    assert bind("", "") not in play.to_target()
    assert execute("") not in play.to_target()


def test_a_rule_may_let_it_run_and_a_rule_may_refuse_it() -> None:
    assert tried(*SIMPLE, policy=ALLOWED).to_target() == OPEN + query(CODE) + CLOSE
    play = tried(*SIMPLE, policy=DENIED)
    play.target(error("42601"), ready())
    assert fields(split(play.to_client())[0][1])["M"].startswith("refused by policy")


def test_the_same_text_is_tried_again_and_need_not_write_this_time() -> None:
    play = tried(*SIMPLE, policy=ALLOWED)
    play.target(ready(), HEAD, row(b"1"), complete("SELECT 1"), ready(), ready())
    stands(play)
    play.client(query(CODE))
    assert play.to_target() == query(CODE)


def test_a_cursor_that_writes_when_it_is_declared_is_held_and_so_is_each_fetch() -> None:
    play = tried(query(f"DECLARE c CURSOR FOR {CODE}"), status="T")
    play.target(ready("T"))
    asked(play, "T")
    released(play)
    play.target(complete("DECLARE CURSOR"), ready("T"))
    stands(play, row(b"p", b"c", f"DECLARE c CURSOR FOR {CODE}".encode(), b""), status="T")
    play.client(query("FETCH c"))
    assert play.session.holding.active


def test_after_a_row_the_error_is_the_clients_and_next_time_people_are_asked() -> None:
    play = Playbook()
    play.client(query(CODE))
    play.target(HEAD, row(b"1"), WRITES, ready())
    assert play.to_client() == HEAD + row(b"1") + WRITES + ready()
    play.client(query(CODE))
    assert play.session.holding.active


def test_going_on_with_a_cursor_is_guarded_and_not_repeated() -> None:
    """The cursor is broken by the error."""
    play = Playbook(status="T")
    play.gate_shown = True
    play.client(query(f"DECLARE c CURSOR FOR {CODE}"))
    play.target(row(b"off"), ready("T"), complete("DECLARE CURSOR"), ready("T"), ready("T"))
    play.client(query("FETCH c"))
    assert play.to_target() == GUARD + query("FETCH c") + UNGUARD
    play.target(row(b"off"), ready("T"), HEAD, WRITES, ready("E"), error("25P02"), ready("E"))
    assert play.to_client() == HEAD + WRITES + ready("E")
    play.client(query("ROLLBACK"))
    play.target(complete("ROLLBACK"), ready())
    play.session.talk.status = "T"
    play.client(query(f"DECLARE c CURSOR FOR {CODE}"))
    assert play.session.holding.active, "now it is known what it does"


def test_going_on_with_a_portal_is_guarded_and_not_repeated() -> None:
    play = Playbook(status="T")
    play.gate_shown = True
    play.client(parse("", CODE), bind("p", ""), execute("p", 1), SYNC)
    play.target(row(b"off"), ready("T"), PARSED, BOUND, row(b"1"), message(b"s", b""), ready("T"), ready("T"))
    play.client(execute("p", 1), SYNC)
    assert play.to_target() == GUARD + execute("p", 1) + SYNC + UNGUARD
    play.target(row(b"off"), ready("T"), WRITES, ready("E"), error("25P02"), ready("E"))
    assert play.to_client() == WRITES + ready("E")


WRITER = "SELECT writer(1)"


def test_code_that_writes_is_held_at_once_where_it_could_not_be_tried_again() -> None:
    play = Playbook(status="T")
    play.client(query(f"DECLARE c CURSOR FOR {WRITER}"))
    assert play.session.holding.active
    play = Playbook(status="T")
    play.client(parse("", WRITER), bind("p", ""), execute("p", 1), SYNC)
    play.target(PARSED, BOUND, row(b"1"), message(b"s", b""), ready("T"))
    assert play.to_client() == PARSED + BOUND + row(b"1") + message(b"s", b"") + ready("T")
    play.client(execute("p", 1), SYNC)
    assert play.session.holding.active, "going on, it can't be started again"


def test_a_lone_bind_of_code_that_writes_is_refused() -> None:
    """The planner may run it."""
    play = Playbook(status="T")
    play.client(parse("", WRITER), bind("p", ""), SYNC)
    assert bind("p", "") not in play.to_target()


def test_rows_of_code_that_writes_wait_and_are_dropped() -> None:
    play = Playbook()
    play.client(query("SELECT writer(id) FROM customers"))
    play.target(HEAD, row(b"1"), row(b"2"))
    play.target(WRITES, ready())
    assert play.session.holding.active
    assert play.is_held
    assert play.to_client() == b""


def test_beside_what_writes_code_may_change_what_the_names_behind_it_mean() -> None:
    play = Playbook()
    play.client(parse("s", "SELECT 1"), SYNC)
    play.target(PARSED, ready())
    insert = "INSERT INTO orders VALUES (1)"
    play.client(parse("", insert), bind("", ""), execute(""), parse("", WRITER), bind("", ""), execute(""))
    play.client(bind("", "s"), execute(""), SYNC)
    held = play.session.holding._held
    assert held is not None
    assert [bool(each.statement.reason) for each in held.executions] == [False, True, True]
    assert play.session.talk.names.doubts


def test_where_the_session_has_temporary_relations_code_that_writes_is_held_at_once() -> None:
    """Writing to those is not refused."""
    play = Playbook()
    play.session.talk.temporary = {"mine"}
    play.client(query(CODE))
    assert not play.session.holding.active
    play.target(HEAD, complete("SELECT 0"), ready())
    play.client(query(WRITER))
    assert play.session.holding.active


def test_code_that_writes_at_bind_is_held_too() -> None:
    play = Playbook()
    play.client(*EXTENDED)
    play.target(PARSED, WRITES, ready())
    assert play.session.holding.active
    assert ready() not in play.to_client()


def test_who_wants_only_to_read_gets_the_error() -> None:
    play = tried(*SIMPLE, status="T", mode=b"on")
    assert play.to_client() == HEAD + WRITES + ready("E")
    play = Playbook()
    play.session.talk.gate.wish = True
    play.client(*SIMPLE)
    play.target(HEAD, WRITES, ready())
    assert play.to_client() == HEAD + WRITES + ready()


def test_the_names_that_the_try_gave_are_taken_back() -> None:
    """A statement outlives the error: the same Parse would be refused."""
    messages = (parse("s", CODE), bind("", "s"), describe("P", ""), execute(""), SYNC)
    play = tried(*messages)
    assert play.to_target() == close("S", "s") + undo((), in_block=False)
    play.target(ready())
    assert play.session.holding.active
    asked(play)
    assert released(play) == OPEN + b"".join(messages) + CLOSE
    play.target(ready(), PARSED, BOUND, HEAD, row(b"1"), complete("SELECT 1"), ready(), ready())
    assert "s" in play.session.talk.names.statements


def test_a_name_of_before_stays() -> None:
    play = Playbook()
    play.client(parse("s", CODE), SYNC)
    play.target(PARSED, ready())
    play.client(bind("", "s"), execute(""), SYNC)
    play.target(BOUND, WRITES, ready())
    assert close("S", "s") not in play.to_target()
    assert "s" in play.session.talk.names.statements


def test_the_other_code_of_the_batch_is_not_kept_to_reading_either_and_people_hear_it() -> None:
    play = Playbook()
    play.client(query(f"SELECT reader(2); {CODE}; SELECT count(*) FROM customers"))
    play.target(HEAD, WRITES, ready())
    held = play.session.holding._held
    assert held is not None
    reasons = [each.statement.reason for each in held.executions]
    assert reasons[0] == SAYS
    assert reasons[1].startswith("it calls user code")
    assert reasons[2] == ""


def test_a_plain_read_that_writes_after_all_is_held() -> None:
    """The catalog is older than the view."""
    play = Playbook()
    play.client(query("SELECT count(*) FROM customers"))
    play.target(HEAD, WRITES, ready())
    assert play.session.holding.active


def test_but_not_when_the_client_went_on() -> None:
    play = Playbook()
    play.client(query("SELECT count(*) FROM customers"), parse("", "SELECT 1"))
    play.target(HEAD, WRITES, ready())
    assert not play.session.holding.active
    assert play.to_client() == HEAD + WRITES + ready()


def test_who_gives_up_meanwhile_hears_so() -> None:
    play = tried(*SIMPLE, status="T")
    play.send(ev.CancelRequested())
    play.target(ready("T"))
    assert not play.session.holding.active
    play.target(error("42601"), ready("E"))
    assert fields(split(play.to_client())[0][1])["C"] == "57014"


def test_a_cancel_that_hits_the_way_back_is_outlived() -> None:
    play = tried(*SIMPLE, status="T")
    play.target(error("57014"), ready("E"))
    assert play.to_target() == BACK
    for _ in range(TRIES):
        play.target(error("57014"), ready("E"))
    assert play.session.talk.phase is Phase.CLOSED


def test_code_runs_when_what_went_before_has_been_answered_and_the_gate_is_shut() -> None:
    play = Playbook(ALLOWED)
    play.gate_shown = True
    play.client(query("INSERT INTO orders VALUES (1)"), query(CODE))
    assert query(CODE) not in play.to_target()
    play.target(ready(), complete("INSERT 0 1"), ready())
    assert query(CODE) not in play.to_target()
    play.target(error("57014"), ready())
    assert play.to_target() == CLOSE
    play.target(ready())
    assert play.to_target() == query(CODE)
    play.client(query("SELECT 1"))
    assert play.to_target() == b"", "what follows waits for its end"


def test_an_approved_portal_goes_on_without_guard() -> None:
    play = tried(parse("", CODE), bind("p", ""), describe("P", "p"), execute("p", 1), SYNC, status="T")
    play.target(ready("T"))
    asked(play, "T")
    released(play)
    play.target(PARSED, BOUND, HEAD, row(b"1"), message(b"s", b""), ready("T"))
    stands(play, row(b"p", b"p", CODE.encode(), b""), status="T")
    play.target(PARSED, ready("T"))
    play.client(execute("p", 1), SYNC)
    assert play.to_target() == execute("p", 1) + SYNC
