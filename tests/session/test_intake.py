"""What becomes of a client's messages, by type: batches, Flush, COPY data, Terminate, texts that are none."""

from gateway.session import events as ev
from gateway.wire.backend import fields
from gateway.wire.frontend import FLUSH, SYNC, TERMINATE, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, NOW, PARSED, Playbook, columns, complete, error, parsed, ready, row, split
from tests.session.test_session import DELETE, approve, opened


def test_nothing_is_forwarded_before_the_batch_has_ended() -> None:
    play = Playbook()
    assert play.client(parse("", "SELECT 1"), bind("", "")) == []
    assert play.client(execute("")) == []
    assert play.client(SYNC) == ["record statement", "target P[SELECT 1] B E S"]


def test_an_allowed_batch_opens_at_64_kib() -> None:
    play = Playbook()
    play.client(parse("i", "SELECT $1::text"), SYNC)
    play.target(PARSED, ready())
    lines = play.client(*[bind("", "i", [b"x" * 100]) + execute("") for _ in range(1000)])
    assert any(line.startswith("target") for line in lines)
    assert len(play.to_target()) >= 64 << 10


def test_parse_describe_flush_goes_with_sync_in_the_place_of_flush() -> None:
    play = Playbook()
    assert play.client(parse("s", "SELECT 1"), describe("S", "s"), FLUSH) == ["target P[SELECT 1] D S"]
    assert play.client(bind("", "s"), execute(""), SYNC) == [], "nothing goes behind it before its ReadyForQuery"
    lines = play.target(PARSED, message(b"t", b"\0\0"), columns("a"), ready())
    assert lines == ["client 1 t T", "record statement", "target B E S"]


def test_an_error_behind_such_a_flush_skips_to_the_clients_own_sync() -> None:
    play = Playbook()
    play.client(parse("s", "SELECT nonsense"), describe("S", "s"), FLUSH)
    assert play.target(error("42703"), ready()) == ["client E42703"]
    assert play.client(bind("", "s"), execute("")) == []
    assert play.client(SYNC) == ["target S"]
    assert play.target(ready()) == ["client ZI"]


def test_a_function_call_is_refused() -> None:
    play = Playbook()
    lines = play.client(message(b"F", (1).to_bytes(4, "big") + b"\0\0\0\0\0\0"))
    assert lines[-1] == "target F"
    assert play.target(error("42883"), ready()) == ["client E0A000 ZI"]
    assert fields(split(play.to_client())[0][1])["H"] == "Call the function in a SELECT."


def test_execute_of_an_unknown_portal_is_not_forwarded() -> None:
    play = Playbook()
    play.client(execute("mystery"), SYNC)
    assert b"mystery" not in play.to_target()
    assert play.target(error("34000"), ready()) == ["client E34000 ZI"]


def test_a_flush_behind_a_held_execute_holds_at_once() -> None:
    play = Playbook()
    play.client(parse("", DELETE), bind("", ""), execute(""), FLUSH)
    assert play.is_held
    play.preview()
    opened(play)
    assert approve(play)[-1] == f"target P[{DELETE}] B E H"


def test_a_name_that_is_on_its_way_is_waited_for() -> None:
    play = Playbook()
    play.client(parse("s1", "SELECT 1"), SYNC)
    assert play.client(bind("", "s1"), execute(""), SYNC) == []
    assert play.target(PARSED, ready()) == ["client 1 ZI", "record statement", "target B E S"]


def test_a_reserved_portal_name_ends_the_session() -> None:
    play = Playbook()
    lines = play.client(parse("", "SELECT 1"), bind("\x01hoop refused", ""), SYNC)
    assert lines == ["client E08P01", "record session_ended", "close"]


COPY = "COPY customers FROM STDIN"


def test_copy_from_stdin_is_held_at_the_statement() -> None:
    play = Playbook()
    assert play.client(query(COPY))
    assert play.is_held


def test_copy_data_flows_after_the_release_and_stray_copy_messages_are_dropped() -> None:
    play = Playbook()
    assert play.client(message(b"d", b"stray")) == []
    play.client(query(COPY))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    play.target(parsed(), ready("T"))
    play.target(complete("ROLLBACK"), ready())
    opened(play)
    approve(play)
    assert play.target(message(b"G", b"\0\0\0")) == ["client G"]
    assert play.client(message(b"d", b"1\tx\ty\n"), message(b"c", b"")) == ["target d c"]
    assert "finished REQ1 1 committed" in play.target(complete("COPY 1"), ready())


def test_a_query_inside_copy_ends_the_session() -> None:
    play = Playbook()
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    play.client(query("SELECT 1"))
    play.target(message(b"G", b"\0\0\0"))
    assert play.client(query("SELECT 2"))[-3:] == ["client E08P01", "record session_ended", "close"]


def test_terminate() -> None:
    play = Playbook()
    assert play.client(TERMINATE) == ["record session_ended", "close spare"]


def test_terminate_waits_for_the_answers_to_what_went_before() -> None:
    play = Playbook()
    assert play.client(query("SELECT 1"), TERMINATE)[-1] == "target Q[SELECT 1]"
    lines = play.target(complete("SELECT 1"), ready())
    assert lines[-3:] == ["client C[SELECT 1] ZI", "record session_ended", "close spare"]


def test_an_expired_token_ends_the_session_at_its_next_statement_outside_a_transaction() -> None:
    play = Playbook(status="T")
    play.send(ev.Ended(ev.Why.TOKEN_EXPIRED))
    assert play.client(query("COMMIT"))[-1] == "target Q[COMMIT]"
    play.target(complete("COMMIT"), ready())
    lines = play.client(query("SELECT 1"))
    assert lines == ["client E28000", "record session_ended", "close"]


def test_a_batch_that_was_begun_in_time_does_not_outlive_the_token() -> None:
    """Nothing of it ran, so nothing is lost; else a Parse that waits for its Sync kept the session for ever."""
    play = Playbook()
    play.client(parse("", "SELECT 1"), bind("", ""))
    play.send(ev.Ended(ev.Why.TOKEN_EXPIRED))
    assert play.client(execute(""), SYNC) == ["client E28000", "record session_ended", "close"]


def test_who_always_sends_the_next_before_the_last_was_answered_does_not_outlive_the_token() -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    play.send(ev.Ended(ev.Why.TOKEN_EXPIRED))
    assert play.client(query("SELECT 2")) == []
    assert play.target(complete("SELECT 1"), ready())[-3:] == [
        "client C[SELECT 1] ZI E28000",
        "record session_ended",
        "close",
    ]


def test_a_batch_that_is_under_way_ends_before_the_token_does_it() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), bind("", ""), execute(""), FLUSH)
    play.send(ev.Ended(ev.Why.TOKEN_EXPIRED))
    assert play.client(execute(""), SYNC)[-1] == "target E S"
    play.target(PARSED, BOUND, complete("SELECT 1"), complete("SELECT 0"), ready())
    assert play.client(query("SELECT 1"))[0] == "client E28000"


def test_a_text_that_postgresql_refuses_gets_its_own_syntax_error() -> None:
    play = Playbook()
    assert play.client(query("SELEC 1")) == ["target P[SELEC 1\n;SELECT 1] S"]
    play.target(error("42601", 'near ";"'), ready())
    assert play.target(error("42601", "syntax error"), ready()) == ["record refused", "client E42601 ZI"]


def _sent(play: Playbook, *messages: bytes) -> bytes:
    """What goes to the target; no transcript can show it."""
    play.effects = play.session.handle(ev.FromClient(b"".join(messages)), NOW)
    return play.to_target()


def test_a_query_that_is_not_utf8_is_refused_by_the_target_and_the_session_goes_on() -> None:
    """Nothing of it is forwarded but the bad bytes, so that the target's own error names them."""
    play = Playbook()
    assert _sent(play, message(b"Q", b"DELETE FROM customers; SELECT '\xe4 and more'\0")) == message(b"Q", b"\xe4 an\0")
    assert [each["sqlstate"] for each in play.recorded("refused")] == ["22021"]
    assert play.target(error("22021"), ready()) == ["client E22021 ZI"]
    assert play.client(query("SELECT 1"))[-1] == "target Q[SELECT 1]"


def test_a_statement_that_is_not_utf8_makes_the_target_skip_its_batch() -> None:
    play = Playbook()
    sent = _sent(play, message(b"P", b"\0SELECT '\xff'\0\0\0"), bind("", ""), execute(""), SYNC)
    assert sent.startswith(message(b"P", b"\xff'\0\0\0\0"))
    assert sent.endswith(SYNC)
    assert play.target(error("22021"), ready()) == ["client E22021 ZI"]


def test_a_sync_is_read_behind_a_refused_text_while_search_path_is_not_known() -> None:
    """A Query behind a Flush runs in its transaction, and what was set there falls back with the next error: nobody asks for the
    path before the Sync that ends it."""
    play = Playbook()
    play.client(parse("", "SELECT 1"), bind("", ""), execute(""), FLUSH)
    play.target(PARSED + BOUND + row(b"1") + complete("SELECT 1"))
    play.client(query("SET search_path = other"))
    play.target(complete("SET") + ready("T"))
    play.target(columns("search_path") + row(b"other") + complete("SHOW") + ready("T"))
    play.client(parse("", "SELEC 1"), SYNC)
    refused = error("42601", 'syntax error at or near "SELEC"')
    play.target(error("25P01") + message(b"S", b"search_path\0public\0") + ready())
    for answer in (refused, error("25P01"), refused):
        play.target(answer + ready())
    assert play.to_target().endswith(SYNC), "the client's own"
    play.target(ready())
    assert play.to_client().endswith(ready())
