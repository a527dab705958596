"""Conversations of one session: batches, holds, denials, pipelines, COPY, names. Each is a transcript."""

from dataclasses import replace

import pytest

from gateway.approvals.request import ApprovalRequest, Person, State
from gateway.policy.model import load
from gateway.session import events as ev
from gateway.wire.backend import fields
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import (
    ANN,
    BOUND,
    NO_DATA,
    NOW,
    PARSED,
    POLICY,
    Playbook,
    columns,
    complete,
    error,
    ready,
    row,
    split,
)

DELETE = "DELETE FROM customers WHERE id = 1"
INSERT = "INSERT INTO customers VALUES (1)"
INSERTS_GO = POLICY.replace("[write, ddl,", "[DELETE, UPDATE, ddl,")
EVERYTHING_GOES = POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba}", "}")
FATAL = message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mgoing\0\0")
BOB = Person("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com", frozenset({"dba"}))


def ruled(play: Playbook, state: State, reason: str = "") -> ev.Ruled:
    """The stored request after somebody decided."""
    request: ApprovalRequest = play.requests[-1]
    return ev.Ruled(replace(request, state=state, decided_by=BOB, reason=reason))


def opened(play: Playbook) -> list[str]:
    return play.send(ev.Opened(play.requests[-1].id))


def held(play: Playbook, *messages: bytes, status: str = "I") -> list[str]:
    """Send a batch that is held, answer its preview, and store the request; returns the lines up to Hold."""
    first = play.client(*messages)
    lines = first + play.preview(status)
    opened(play)
    return lines


def approve(play: Playbook, status: str = "I") -> list[str]:
    play.send(ruled(play, State.APPROVED))
    lines = play.recheck(status)
    assert lines == [f"release {play.requests[-1].id}"]
    return play.send(ev.Released(play.requests[-1].id))


# --- the unheld path ---------------------------------------------------------------------------------------------------


def test_a_read_is_recorded_and_then_forwarded_as_it_came() -> None:
    play = Playbook()
    assert play.client(query("SELECT name FROM customers")) == [
        "record statement",
        "target Q[SELECT name FROM customers]",
    ]
    assert play.target(columns("name", first=2), row(b"Ann"), complete("SELECT 1"), ready()) == [
        "client T D",
        "record finished",
        "client C[SELECT 1] ZI",
    ]
    assert play.recorded("finished")[0]["rows"] == 1


def test_an_extended_batch_goes_as_one() -> None:
    play = Playbook()
    batch = (parse("", "SELECT 1"), bind("", ""), describe("P", ""), execute(""), SYNC)
    assert play.client(*batch) == ["record statement", "target P[SELECT 1] B D E S"]
    assert play.to_target() == b"".join(batch)


# --- denials -----------------------------------------------------------------------------------------------------------


def test_a_denied_query_becomes_a_sure_fail_and_our_text() -> None:
    play = Playbook()
    assert play.client(query("DROP TABLE customers")) == ["record refused", "target Q[\x01]"]
    assert play.target(error("42601"), ready()) == ["client E42501 ZI"]


def test_a_denied_execute_keeps_the_answers_owed_before_it() -> None:
    play = Playbook()
    play.client(parse("", "DROP TABLE customers"), bind("", ""), execute(""), SYNC)
    assert play.target(PARSED, BOUND, error("34000"), ready()) == [
        "client 1 2 E42501 ZI",
    ]


def test_three_executes_with_the_middle_one_denied_are_what_postgresql_sends_for_a_failing_middle_one() -> None:
    play = Playbook()
    texts = ("SELECT 1", "DROP TABLE customers", "SELECT 3")
    batch = [each for sql in texts for each in (parse("", sql), bind("", ""), execute(""))]
    lines = play.client(*batch, SYNC)
    assert lines[-1] == "target P[SELECT 1] B E P[DROP TABLE customers] B E P[SELECT 3] B E S"
    assert play.target(PARSED, BOUND, row(b"1"), complete("SELECT 1"), PARSED, BOUND, error("34000"), ready()) == [
        "client 1 2 D",
        "record finished",
        "client C[SELECT 1] 1 2",
        "record finished",
        "client E42501 ZI",
    ]


# --- holds -------------------------------------------------------------------------------------------------------------


def test_a_held_delete_runs_exactly_once_after_the_release_is_committed() -> None:
    play = Playbook()
    lines = held(play, query(DELETE))
    assert lines[-1] == "hold REQ1"
    assert all(DELETE not in line for line in lines), "nothing of the batch may reach the target"
    assert play.requests[0].preview.rows == 1
    assert play.send(ruled(play, State.APPROVED)) != []
    assert play.recheck() == ["release REQ1"]
    assert play.send(ev.Released("REQ1")) == ["record statement", f"target Q[{DELETE}]"]
    assert play.send(ev.Released("REQ1")) == ["unknown REQ1"], "a second release runs nothing"
    assert play.target(complete("DELETE 1"), ready()) == [
        "record finished",
        "client C[DELETE 1]",
        "finished REQ1 1 committed",
        "client ZI",
    ]


def test_approval_alone_forwards_nothing() -> None:
    play = Playbook()
    held(play, query(DELETE))
    lines = play.send(ruled(play, State.APPROVED)) + play.recheck()
    assert all("DELETE" not in line for line in lines)


@pytest.mark.parametrize(
    ("state", "sqlstate"),
    [
        (State.DENIED, "42501"),
        (State.EXPIRED, "57014"),
        (State.WITHDRAWN, "57014"),
        (State.SUPERSEDED, "42501"),
        (State.UNDELIVERABLE, "42501"),
    ],
)
def test_any_other_end_is_a_sure_fail(state: State, sqlstate: str) -> None:
    play = Playbook()
    held(play, query(DELETE))
    assert play.send(ruled(play, state, "because")) == ["target Q[\x01]"]
    assert play.target(error("42601"), ready()) == [f"client E{sqlstate} ZI"]
    assert play.client(query("SELECT 1")) == ["record statement", "target Q[SELECT 1]"], "the session lives"


def test_a_denied_update_inside_begin_leaves_the_transaction_aborted() -> None:
    play = Playbook()
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    held(play, query("UPDATE customers SET name = 'x' WHERE id = 1"), status="T")
    play.send(ruled(play, State.DENIED, "no"))
    assert play.target(error("42601"), ready("E")) == ["client E42501 ZE"]
    assert play.client(query(DELETE)) == ["record statement", f"target Q[{DELETE}]"], "the target refuses it itself"
    play.target(error("25P02"), ready("E"))
    assert play.client(query("ROLLBACK"))[-1] == "target Q[ROLLBACK]"
    assert play.target(complete("ROLLBACK"), ready())[-1] == "client C[ROLLBACK] ZI"


def test_the_denial_says_who_and_why() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.DENIED, "use the archive"))
    play.target(error("42601"), ready())
    found = fields(split(play.to_client())[0][1])
    assert found["M"] == "denied by bob@example.com: use the archive"
    assert "REQ1" in found["D"]
    assert found["H"]


def test_one_hold_for_a_whole_executemany() -> None:
    play = Playbook()
    sql = "DELETE FROM customers WHERE id = $1"
    pairs = [bind("", "", [str(at).encode()]) + execute("") for at in range(50)]
    play.client(parse("", sql), *pairs, SYNC)
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    play.target(PARSED, message(b"t", b"\0\x01\0\0\0\x17"), NO_DATA, ready("T"))
    play.target(PARSED, BOUND, columns("count"), row(b"1"), complete("SELECT 1"), ready("T"))
    play.target(PARSED, BOUND, columns("id"), complete("SELECT 0"), ready("T"))
    assert play.target(complete("ROLLBACK"), ready()) == ["hold REQ1"]
    statement = play.requests[0].statements[0]
    assert statement.executions == 50
    assert statement.parameters == (("0",), ("1",), ("2",), ("3",), ("4",))


def test_the_hold_waits_for_the_answers_to_what_went_before() -> None:
    play = Playbook()
    lines = play.client(query("BEGIN"), query(DELETE))
    assert lines == ["record statement", "target Q[BEGIN READ WRITE]"]
    assert play.target(complete("BEGIN"), ready("T"))[-1].startswith("target Q[SHOW transaction_isolation;")
    play.preview("T")
    assert play.requests[0].where_held == "in transaction"


def test_repeatable_read_is_previewed_on_a_side_connection() -> None:
    play = Playbook(status="T")
    play.client(query(DELETE))
    lines = play.target(row(b"repeatable read"), complete("SHOW"), ready("T"))
    assert lines == ["sideask"]
    play.send(ev.SideAnswered(None, "no connection"))
    assert "no connection" in play.requests[0].preview.note


def test_cancel_while_held_withdraws_and_answers_57014() -> None:
    play = Playbook()
    held(play, query(DELETE))
    assert play.send(ev.CancelRequested()) == ["record cancelled", "withdraw REQ1"]
    play.send(ruled(play, State.WITHDRAWN, "cancelled by the client"))
    assert play.target(error("42601"), ready()) == ["client E57014 ZI"]


def test_cancel_before_the_request_is_stored_withdraws_it_when_it_is() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.send(ev.CancelRequested())
    lines = play.preview()
    assert "target Q[\x01]" in lines
    assert play.requests == [], "nobody is asked"


def test_a_release_after_the_token_expired_is_withdrawn() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.now = ANN.expires_at + 1
    assert play.send(ruled(play, State.APPROVED)) == ["withdraw REQ1"]


def test_a_table_that_was_swapped_meanwhile_is_not_touched() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.APPROVED))
    assert play.recheck(oid=b"99999") == ["withdraw REQ1"]


def test_a_release_that_is_not_committed_runs_nothing() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.APPROVED))
    play.recheck()
    assert play.send(ev.NotReleased("REQ1", None, "the store is away")) == ["withdraw REQ1", "target Q[\x01]"]
    assert play.target(error("42601"), ready()) == ["client E57P03 ZI"]


def test_while_held_the_client_is_told_every_30_seconds() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.now = NOW + 30
    assert play.send(ev.Tick()) == ["client N"]


def test_a_fatal_in_answer_to_what_was_denied_is_told_as_it_is() -> None:
    play = Playbook()
    play.client(query("DROP TABLE customers"))
    play.target(FATAL)
    assert play.to_client() == FATAL


def test_two_batches_sent_at_once_the_second_waits_behind_the_hold() -> None:
    play = Playbook()
    play.client(query(DELETE), query("SELECT 2"))
    play.preview()
    opened(play)
    play.send(ruled(play, State.DENIED, "no"))
    assert play.target(error("42601"), ready())[:2] == ["client E42501 ZI"]


def test_a_transaction_is_settled_when_it_commits() -> None:
    play = Playbook(status="T")
    held(play, query(DELETE), status="T")
    approve(play, "T")
    assert "finished REQ1 1 open" in play.target(complete("DELETE 1"), ready("T"))
    play.client(query("COMMIT"))
    assert "settled REQ1 committed" in play.target(complete("COMMIT"), ready())


def test_a_held_statement_that_fails_is_told_with_its_sqlstate() -> None:
    play = Playbook()
    held(play, query(DELETE))
    approve(play)
    lines = play.target(error("23503"), ready())
    assert "finished REQ1 23503 rolled back" in lines
    assert "client E23503" in lines


# --- names -------------------------------------------------------------------------------------------------------------


def test_a_refused_parse_renames_nothing() -> None:
    """enforcement.md 4.2, 24: s1 is a DELETE; a second Parse of s1 fails; Execute of s1 must still be held."""
    play = Playbook()
    play.client(parse("s1", DELETE), SYNC)
    play.target(PARSED, ready())
    play.client(parse("s1", "SELECT 1"), SYNC)
    play.target(error("42P05"), ready())
    play.client(bind("", "s1"), execute(""), SYNC)
    assert play.is_held


def test_sql_execute_of_a_protocol_statement_is_judged_by_what_it_is() -> None:
    play = Playbook()
    play.client(parse("s4", DELETE), SYNC)
    play.target(PARSED, ready())
    assert play.client(query("EXECUTE s4"))
    assert play.is_held


def test_what_the_parameters_of_execute_call_is_judged_too() -> None:
    """A harmless statement does not vouch for the functions in its parameters: they run before it does."""
    play = Playbook()
    play.client(parse("s", "SELECT $1::int"), SYNC)
    play.target(PARSED, ready())
    assert play.client(query("EXECUTE s(1)")) == ["record statement", "target Q[EXECUTE s(1)]"]
    play.target(complete("SELECT 1"), ready())
    assert play.client(query("EXECUTE s(evil())"))
    assert play.is_held


def test_protocol_bind_of_a_sql_prepare_is_judged_by_what_it_is() -> None:
    play = Playbook()
    play.client(query(f"PREPARE s2 AS {DELETE}"))
    play.target(complete("PREPARE"), ready())
    assert play.client(bind("", "s2"), execute(""), SYNC)
    assert play.is_held


def test_prepare_and_execute_in_one_string() -> None:
    play = Playbook()
    assert play.client(query(f"PREPARE a AS {DELETE}; EXECUTE a"))
    assert play.is_held


# --- what changes while it is read -------------------------------------------------------------------------------------


def test_a_batch_that_is_being_read_is_judged_by_the_policy_of_its_end() -> None:
    play = Playbook(INSERTS_GO)
    play.client(parse("", INSERT), bind("", ""), execute(""))
    play.send(ev.PolicyChanged(load(POLICY)))
    play.client(SYNC)
    assert play.session.holding.active


def test_a_policy_that_denies_a_part_that_was_not_held_supersedes_what_is() -> None:
    play = Playbook(INSERTS_GO)
    held(play, *(each for sql in (INSERT, DELETE) for each in (parse("", sql), bind("", ""), execute(""))), SYNC)
    denies = INSERTS_GO.replace("effect: allow, statements: [INSERT]", "effect: deny, statements: [INSERT]")
    assert play.send(ev.PolicyChanged(load(denies))) == ["supersede REQ1"]


def test_search_path_is_asked_for_again_after_it_was_set() -> None:
    play = Playbook()
    play.client(query("SET search_path = other"))
    lines = play.target(complete("SET"), ready())
    assert lines[-1] == "target Q[SHOW search_path]"
    assert play.client(query("SELECT 1")) == [], "nothing is judged by a path that is not known"
    assert play.target(row(b'other, "$user"'), complete("SHOW"), ready()) == ["record statement", "target Q[SELECT 1]"]
    assert play.session.talk.grounds.search_path == ("other", "hoop")


def test_a_prepared_statement_is_judged_by_the_search_path_of_its_execution() -> None:
    """enforcement.md 4.2, 34: PostgreSQL resolves the names again at Execute, so the verdict must too."""
    play = Playbook()
    play.client(parse("s", "SELECT id FROM orders"), SYNC)
    play.target(PARSED, ready())
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready())
    play.target(row(b"other"), complete("SHOW"), ready())
    play.client(bind("", "s"), execute(""), SYNC)
    assert play.recorded("statement")[0]["tables"] == ["other.orders"]


def test_a_portal_keeps_the_meaning_it_was_bound_with() -> None:
    """A plan is made at Bind; a search_path that is set behind it changes nothing for that portal."""
    play = Playbook(status="T")
    play.client(parse("s", "SELECT id FROM orders"), bind("p", "s"), SYNC)
    play.target(PARSED, BOUND, ready("T"))
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready("T"))
    play.target(row(b"other"), complete("SHOW"), ready("T"))
    play.client(execute("p"), SYNC)
    assert play.recorded("statement")[0]["tables"] == ["public.orders"]


@pytest.mark.parametrize(
    "first", ["SET search_path = other", "RESET search_path", "SELECT set_config('search_path', 'other', false)"]
)
def test_what_stands_behind_a_search_path_in_one_string_is_not_judged_by_the_old_one(first: str) -> None:
    play = Playbook()
    assert play.client(query(f"{first}; SELECT id FROM orders"))
    assert play.is_held
    assert Playbook().client(query(f"{first}; SELECT id FROM public.orders"))[0] == "record statement"


def test_what_stands_behind_a_search_path_in_one_batch_is_not_judged_by_the_old_one() -> None:
    play = Playbook()
    setting = (parse("", "SET search_path = other"), bind("", ""), execute(""))
    assert play.client(*setting, parse("", "SELECT id FROM orders"), bind("", ""), execute(""), SYNC)
    assert play.is_held


# --- ends while it is held, at each stage ------------------------------------------------------------------------------

_NOW_DENIED = """
version: 1
issuers: [{issuer: "https://issuer.test", audience: hoop}]
targets:
  shop: {environment: production, host: db.test, port: 5432, database: shop, sslmode: disable, user: hoop, password: {env: X}}
rules:
  - {name: reads, effect: allow, statements: [read]}
  - {name: frozen, effect: deny, statements: [write], message: the books are closed}
"""


def test_a_policy_that_denies_what_waits_supersedes_it() -> None:
    play = Playbook()
    held(play, query(DELETE))
    assert play.send(ev.PolicyChanged(load(_NOW_DENIED))) == ["supersede REQ1"]
    play.send(ruled(play, State.SUPERSEDED, "rule frozen now denies it"))
    assert play.target(error("42601"), ready()) == ["client E42501 ZI"]


def test_a_policy_that_denies_it_before_anybody_is_asked() -> None:
    play = Playbook()
    play.client(query(DELETE))
    assert play.send(ev.PolicyChanged(load(_NOW_DENIED))) == []
    assert play.preview() == ["record refused", "target Q[\x01]"]
    [entry] = play.recorded("refused")
    assert (entry["verdict"], entry["rule"], entry["sqlstate"]) == ("deny", "frozen", "42501")
    assert play.requests == []
    assert play.target(error("42601"), ready()) == ["client E42501 ZI"]


@pytest.mark.parametrize(
    ("event", "effect"),
    [
        (ev.PolicyChanged(load(_NOW_DENIED)), "supersede REQ1"),
        (ev.CancelRequested(), "withdraw REQ1"),
        (ev.Ended(ev.Why.TOKEN_EXPIRED), "withdraw REQ1"),
    ],
    ids=["policy", "cancel", "token"],
)
def test_an_end_between_approval_and_release_wins(event: ev.Event, effect: str) -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.APPROVED))
    assert effect not in play.send(event)
    assert play.recheck() == [effect]


@pytest.mark.parametrize(
    ("event", "cancelled"),
    [(ev.CancelRequested(), True), (ev.Ended(ev.Why.TOKEN_EXPIRED), False)],
    ids=["cancel", "token"],
)
def test_a_statement_that_is_released_runs_on_unless_its_client_gives_it_up(event: ev.Event, cancelled: bool) -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.APPROVED))
    play.recheck()
    play.send(event)
    lines = play.send(ev.Released("REQ1"))
    assert lines[:2] == ["record statement", f"target Q[{DELETE}]"]
    assert ("canceltarget" in lines) is cancelled


def test_an_approval_that_is_heard_before_opened_counts() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.preview()
    play.send(ruled(play, State.APPROVED))
    assert opened(play) == []
    assert play.recheck() == ["release REQ1"]


def test_what_is_cancelled_before_anybody_is_asked_is_recorded_as_the_client_was_told() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.send(ev.CancelRequested())
    play.preview()
    [entry] = play.recorded("refused")
    assert entry["sqlstate"] == "57014"
    assert "cancelled by the client" in str(entry["reason"])


def test_what_can_not_be_stored_is_recorded() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.preview()
    assert play.send(ev.NotOpened("REQ1", "57P03", "the store is away")) == ["record refused", "target Q[\x01]"]
    assert play.recorded("refused")[0]["sqlstate"] == "57P03"


# --- COPY behind what the gateway has a question about -----------------------------------------------------------------


def test_rows_flow_while_the_search_path_is_not_known() -> None:
    """The target waits for the rows, so nobody could answer the question before they have come."""
    play = Playbook(EVERYTHING_GOES)
    play.client(query("SET search_path = public; COPY customers FROM STDIN"))
    assert play.target(complete("SET"), message(b"G", b"\0\0\0"))[-1] == "client C[SET] G"
    assert play.client(message(b"d", b"1\tx\ty\n"), message(b"c", b"")) == ["target d c"]


# --- settings the gateway can't work under -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql", ["SET client_encoding = LATIN1", "SET NAMES 'LATIN1'", "SET standard_conforming_strings = off"]
)
def test_a_setting_that_would_be_misread_is_refused_and_the_session_goes_on(sql: str) -> None:
    """By its name and with a hint, whatever the policy says (interface.md, On the wire)."""
    play = Playbook(EVERYTHING_GOES)
    play.client(query(sql))
    assert sql.encode() not in play.to_target()
    assert "client E22023 ZI" in play.target(error("42601"), ready())
    assert fields(split(play.to_client())[0][1])["H"]
