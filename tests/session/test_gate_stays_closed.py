"""What a client or a cancel could do to the gate's own helpers: it is never taken for closed when it is open."""

import pytest

from gateway.session import events as ev
from gateway.session.gate import CLOSE, HELPER, OPEN, TRIES, UNGUARD
from gateway.session.state import Phase
from gateway.wire.backend import parameter_status
from gateway.wire.frontend import FLUSH, SYNC, bind, describe, execute, message, parse, query
from tests.playbook import POLICY, Playbook, complete, error, ready

ALLOWED = POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba", "")
INSERT = "INSERT INTO orders VALUES (1)"
SETTING = "default_transaction_read_only"


def shown(status: str = "I") -> Playbook:
    play = Playbook(ALLOWED, status=status)
    play.gate_shown = True
    return play


def test_a_close_that_failed_is_sent_again_before_anything_else() -> None:
    """A cancel, a statement_timeout of 1 ms: the state behind the failed helper is I as well."""
    play = shown()
    play.client(query(INSERT))
    play.target(ready(), complete("INSERT 0 1"), ready())
    play.target(error("57014"), ready())
    assert play.to_target() == CLOSE
    play.client(query("SELECT 1"))
    assert play.to_target() == b"", "it waits"
    play.target(ready())
    assert play.to_target() == query("SELECT 1")


def test_a_batch_that_is_being_read_is_not_waited_for() -> None:
    """What is left of it stands behind the gate in the inbox."""
    play = shown()
    play.client(query(INSERT))
    play.target(ready(), complete("INSERT 0 1"), ready())
    play.client(parse("", "SELECT 1"))
    play.target(error("57014"), ready())
    assert play.to_target() == CLOSE
    rest = (bind("", ""), execute(""), SYNC)
    play.client(*rest)
    play.target(ready())
    assert play.to_target() == b"".join((parse("", "SELECT 1"), *rest))


def test_a_target_that_never_closes_it_is_left() -> None:
    play = shown()
    play.client(query(INSERT))
    play.target(ready(), complete("INSERT 0 1"), ready())
    for _ in range(TRIES - 1):
        play.target(error("42501"), ready())
        assert play.to_target() == CLOSE
    assert "client E08006" in play.target(error("42501"), ready())
    assert play.session.talk.phase is Phase.CLOSED


@pytest.mark.parametrize(
    "messages",
    [
        (parse(HELPER, "SELECT 1"), SYNC),
        (parse("", "SELECT 1"), bind(HELPER, ""), SYNC),
        (query(f"PREPARE {HELPER} AS SELECT 1"),),
        (query(f"DECLARE {HELPER} CURSOR WITH HOLD FOR SELECT 1"),),
        (query(f"EXECUTE {HELPER}"),),
    ],
)
def test_the_helpers_name_is_reserved(messages: tuple[bytes, ...]) -> None:
    play = shown()
    play.client(*messages)
    assert b"".join(messages)[:20] not in play.to_target()
    assert play.session.talk.phase is Phase.CLOSED


def test_a_cancel_is_not_for_the_helpers() -> None:
    """The client has had all its answers; only the helper would be hit."""
    play = shown()
    play.client(query(INSERT))
    play.target(ready(), complete("INSERT 0 1"), ready())
    assert play.send(ev.CancelRequested()) == ["record cancelled"]


def test_a_default_that_code_switched_off_in_a_block_is_set_back() -> None:
    play = shown("T")
    play.client(query("UPDATE pg_settings SET setting = 'off'"))
    play.target(complete("UPDATE 1"), parameter_status(SETTING, "off"), ready("T"))
    play.client(query("COMMIT"))
    play.target(complete("COMMIT"), ready())
    assert play.to_target() == CLOSE


def test_a_query_behind_unsynchronised_messages_may_be_skipped_so_nothing_with_a_sync_of_ours_follows() -> None:
    play = shown()
    play.client(parse("", "SELECT nonsense"), query(INSERT))
    assert play.to_target() == OPEN + parse("", "SELECT nonsense") + query(INSERT)
    play.target(ready(), error("42703"))
    assert play.session.talk.phase is Phase.SKIPPING
    play.client(SYNC, query("SELECT 1"))
    play.target(ready())
    assert play.to_target() == CLOSE


def test_the_same_in_an_open_batch() -> None:
    play = shown()
    play.client(parse("", "SELECT nonsense"), bind("", ""), FLUSH)
    play.client(query(INSERT))
    assert play.to_target() == query(INSERT)
    play.target(ready(), error("42703"))
    assert play.session.talk.phase is Phase.SKIPPING


def test_nothing_follows_a_query_that_may_be_skipped_before_it_was_answered() -> None:
    """The Sync of a helper in front of what follows would end the skipping: what the client takes for skipped would run."""
    play = shown()
    play.client(describe("P", "nobody's"), query("SELECT 1"))
    play.client(query(INSERT))
    assert play.to_target() == b"", "it waits"
    play.target(error("34000"))
    assert play.session.talk.phase is Phase.SKIPPING
    play.client(SYNC)
    assert play.to_target() == SYNC


def test_what_waited_behind_a_query_that_was_not_skipped_goes_on() -> None:
    play = shown()
    play.client(describe("P", "c"), query("SELECT 1"), query(INSERT))
    play.target(message(b"n", b""), complete("SELECT 1"), ready())
    assert play.to_target() == OPEN + query(INSERT) + CLOSE


def test_the_close_of_an_earlier_batch_tells_nothing_of_a_later_opening() -> None:
    """Both are on their way at once; the second holds a BEGIN, so its own end must be awaited."""
    play = shown()
    play.client(query(INSERT))
    play.client(parse("", "BEGIN"), bind("", ""), FLUSH)
    play.client(execute(""), SYNC)
    play.target(ready(), complete("INSERT 0 1"), ready(), ready())  # OPEN, INSERT, CLOSE
    play.target(ready(), error("42P03"), ready())  # OPEN, and the batch fails before its BEGIN
    assert play.to_target() == CLOSE, "it was open for that batch, and nothing has closed it"


def test_code_behind_unsynchronised_messages_is_not_guarded() -> None:
    play = Playbook(POLICY, status="T")
    play.gate_shown = True
    play.client(parse("", "SELECT nonsense"), query("SELECT reader()"))
    assert UNGUARD not in play.to_target()
    assert query("SELECT reader()") not in play.to_target(), "it is held"


def test_a_refused_setting_stays_refused_beside_code_that_can_not_be_guarded() -> None:
    play = Playbook(ALLOWED, status="T")
    assert play.client(query("SELECT reader(); SET client_encoding = 'LATIN1'; COMMIT"))[0] == "record refused"
