"""A few seconds of each fuzzer in the ordinary suite; `make fuzz` runs them at length. Also: each oracle can say no."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.session import events as ev
from gateway.wire import frontend
from gateway.wire.frontend import SYNC, bind, execute, parse, query
from tests.fuzz import classifier, frames, logins, sessions
from tests.fuzz.client import Client
from tests.fuzz.runner import Case, Failure, run
from tests.fuzz.standing import differences, stands
from tests.fuzz.target import Target
from tests.playbook import POLICY, Playbook, complete, error, ready

CLASSIFY = classifier.case(None)


@pytest.mark.parametrize(
    ("case", "examples"),
    [(frames.case, 20), (logins.case, 10), (sessions.case, 40), (CLASSIFY, 10)],
    ids=["frames", "logins", "sessions", "classifier"],
)
def test_nothing_is_found(case: Case, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.integers(0, 1 << 32))
    def tried(seed: int) -> None:
        case(Random(seed))  # garbage alone is no frame

    tried()


# --- the oracles ----------------------------------------------------------------------------------------------------------


def world(policy: str = POLICY) -> sessions.World:
    return sessions.World(Random(1), Playbook(policy).session, allowing=False)


def test_a_statement_that_runs_unapproved_is_seen() -> None:
    found = world()
    found.recorded["DELETE FROM customers WHERE id = 111"] += 1
    with pytest.raises(AssertionError, match="nobody approved it"):
        found._perform(
            ev.ToTarget(
                query("SET default_transaction_read_only = off") + query("DELETE FROM customers WHERE id = 111")
            )
        )


def test_a_statement_that_runs_unrecorded_is_seen() -> None:
    found = world()
    found.recorded["SELECT 111"] += 1
    with pytest.raises(AssertionError, match="unrecorded"):
        found._perform(ev.ToTarget(query("SELECT 111") + query("SELECT 111")))


def test_a_function_call_is_seen() -> None:
    with pytest.raises(AssertionError, match="FunctionCall of 7"):
        world()._perform(ev.ToTarget(frontend.message(b"F", b"\0\0\0\7\0\0\0\0\0\0")))


def test_a_gate_that_stays_open_is_seen() -> None:
    found = world()
    found.target.take(query("SET default_transaction_read_only = off"))
    with pytest.raises(AssertionError, match="gate"):
        found.at_rest()


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        ("Q", complete("SELECT 1") + ready() + ready()),
        ("PBES", frontend.message(b"2", b"")),
        ("PBES", error("42601") + frontend.message(b"2", b"")),
        ("ES", frontend.message(b"G", b"") + ready()),
    ],
)
def test_an_answer_out_of_place_is_seen(sent: str, answers: bytes) -> None:
    client = Client()
    client.sent(sent)
    with pytest.raises(AssertionError):
        client.take(answers)


def test_a_name_that_stands_for_something_else_is_seen() -> None:
    one, other = Playbook(), Playbook()
    for each in (one, other):
        each.client(parse("s", "SELECT name FROM customers"), SYNC)
        each.target(frontend.message(b"1", b""), ready())
    assert differences(stands(one.session), stands(other.session)) == {}
    other.session.talk.names.statements["s"].types = (23,)
    assert differences(stands(one.session), stands(other.session)) == {"statement 's'.types": ((), (23,))}
    del one.session.talk.names.statements["s"]
    assert "statement 's'.sql" in differences(stands(one.session), stands(other.session))


def test_an_answer_that_never_comes_is_seen() -> None:
    client = Client()
    client.sent("PBES")
    client.take(frontend.message(b"1", b"") + frontend.message(b"2", b""))
    assert client.settle() == "ES"


def test_the_target_answers_as_postgresql_does() -> None:
    """The parts that the session's rules rest on: implicit transactions, skipping to Sync, COPY that eats a Sync."""
    target = Target()
    answered = target.take(parse("", "SELECT 1") + bind("", "") + execute("") + SYNC)
    assert bytes(kind for kind in answered[:1]) == b"1"
    assert target.take(query("DELETE FROM customers WHERE id = 1"))[:1] == b"E", "read-only"
    assert target.take(bind("", "no such") + query("SELECT 1")).count(b"Z") == 0, "skipped to Sync"
    assert target.take(SYNC).endswith(b"Z\0\0\0\x05I")


def test_a_run_goes_on_where_another_stopped_and_tells_of_a_failure() -> None:
    def third(random: Random) -> int:
        value = random.random()
        if value in unlucky:
            raise ValueError("unlucky")
        return 1

    unlucky = {Random("1:2").random()}
    heard: list[Failure] = []
    found = run(third, 1, 0, 4, lambda _: None, heard.append)
    assert (found.done, found.following, [each.number for each in heard]) == (4, 5, [2])
    again = run(third, 1, 2, 1, lambda _: None, heard.append)
    assert [each.number for each in again.failures] == [2]
