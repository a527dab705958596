"""A hold from the question to its end: what the request says, what an approval binds, what the waiting client hears."""

from dataclasses import replace

import pytest

from gateway.approvals.request import BY_REQUESTER, Approval, ApprovalRequest, Question, State
from gateway.session import events as ev
from gateway.session.holding import split
from gateway.session.meaning import SETTINGS
from gateway.sql.catalog import Cascade
from gateway.wire.backend import fields
from gateway.wire.frontend import FLUSH, SYNC, bind, describe, execute, message, parse, query
from tests import playbook
from tests.playbook import BOUND, NO_DATA, NOW, PARSED, POLICY, Playbook, columns, complete, error, parsed, ready, row
from tests.session.test_session import BOB, DELETE, approve, held, opened, ruled

TWO = """
  - {name: orders need two, effect: hold, statements: [DELETE], tables: [public.orders], reviewers: both, timeout: 5m}
"""
POLICY_OF_TWO = POLICY.replace("reviewers:\n", "reviewers:\n  both: {groups: [dba, audit], approvals: 2}\n", 1) + TWO


def answer_probe(play: Playbook, relation: bytes, oid: bytes) -> list[str]:
    """BEGIN, the OIDs, what is prepared where it stands alone, a count of one, no sample, ROLLBACK."""
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(relation, oid), complete("SELECT 1"), ready("T"))
    if play.to_target().startswith(b"P"):
        play.target(parsed(), ready("T"))
    play.target(row(b"1"), complete("SELECT 1"), ready("T"))
    play.target(complete("SELECT 0"), ready("T"))
    return play.target(complete("ROLLBACK"), ready())


def noticed(play: Playbook) -> str:
    """The text of the last NoticeResponse to the client."""
    return fields(playbook.split(play.to_client())[-1][1])["M"]


# --- the request -----------------------------------------------------------------------------------------------------------


def test_the_request_says_who_wants_what_where_and_until_when() -> None:
    play = Playbook()
    held(play, query(f"/* reason: asked to be forgotten */ {DELETE}"))
    (request,) = play.requests
    assert (request.requester.user, request.agent, request.client) == ("ann@example.com", "psql", "127.0.0.1")
    assert (request.target, request.environment, request.where_held) == ("shop", "production", "idle")
    assert (request.rule, request.reviewers, request.channels) == ("writes wait", "dba", ("slack:C1",))
    assert request.claimed_reason == "asked to be forgotten"
    assert (request.opened_at, request.expires_at) == (NOW, NOW + 600)


def test_inside_a_transaction_it_waits_no_longer_than_locks_may_be_held() -> None:
    play = Playbook(status="T")
    held(play, query(DELETE), status="T")
    assert play.requests[0].expires_at == NOW + 120
    assert play.requests[0].where_held == "in transaction"


def test_of_several_holds_the_one_that_asks_for_most_counts() -> None:
    play = Playbook(POLICY_OF_TWO)
    batch = [
        each
        for table in ("customers", "orders")
        for each in (parse("", f"DELETE FROM {table}"), bind("", ""), execute(""))
    ]
    play.client(*batch, SYNC)
    answer_probe(play, b"public.customers", b"16400")
    (request,) = play.requests
    assert (request.rule, request.approvals_needed, request.expires_at) == ("orders need two", 2, NOW + 300)
    assert [each.sql for each in request.statements] == ["DELETE FROM customers", "DELETE FROM orders"]


def test_equal_texts_are_one_line_with_the_first_five_value_sets_masked() -> None:
    policy = POLICY + "masking: {detect: [api_key]}\n"
    play = Playbook(policy)
    key = b"sk_live_" + b"abcdefghijkl"
    sql = "DELETE FROM customers WHERE name = $1"
    play.client(
        parse("", sql), *[bind("", "", [each]) + execute("") for each in (b"a", key, b"c", b"d", b"e", b"f")], SYNC
    )
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    play.target(PARSED, message(b"t", b"\0\x01\0\0\0\x19"), NO_DATA, ready("T"))
    play.target(PARSED, BOUND, columns("count"), row(b"1"), complete("SELECT 1"), ready("T"))
    play.target(PARSED, BOUND, columns("id"), complete("SELECT 0"), ready("T"))
    play.target(complete("ROLLBACK"), ready())
    (statement,) = play.requests[0].statements
    assert (statement.executions, statement.relations) == (6, ("public.customers",))
    assert statement.parameters == (("a",), ("[api_key]",), ("c",), ("d",), ("e",))


def test_a_copy_of_a_protected_column_is_named() -> None:
    play = Playbook(POLICY + "masking: {columns: [{column: shop.public.customers.card_number, mask: redact}]}\n")
    play.client(query("UPDATE orders SET customer = card_number FROM customers"))
    answer_probe(play, b"public.orders", b"16500")
    (statement,) = play.requests[0].statements
    assert statement.copies == (("public.customers.card_number", "public.orders.customer"),)


# --- what an approval binds ------------------------------------------------------------------------------------------------


def held_request(
    sql: str = DELETE, status: str = "I", path: tuple[str, ...] = ("public",), **changes: str
) -> tuple[str, str]:
    """(content digest, release digest) of a held statement."""
    play = Playbook(status=status)
    play.session.talk.grounds.search_path = path
    login = play.session.talk.login
    play.session.talk.login = replace(login, **changes)  # type: ignore[arg-type] # texts
    held(play, query(sql), status=status)
    return play.requests[0].content_digest, play.requests[0].release_digest


def test_the_same_statement_again_has_the_same_content_but_no_release_of_its_own() -> None:
    content, release = held_request()
    assert held_request() == (content, release)
    assert held_request(session="s-2") == (content, held_request(session="s-2")[1])
    assert held_request(session="s-2")[1] != release


def test_one_byte_or_another_meaning_of_a_name_is_another_content() -> None:
    content = held_request()[0]
    assert held_request(DELETE + " ")[0] != content
    assert held_request(path=("other", "public"))[0] != content


def test_an_approval_outside_a_transaction_is_none_inside_one() -> None:
    (content, release), (inside, other) = held_request(), held_request(status="T")
    assert content == inside
    assert release != other


# --- what the client hears -------------------------------------------------------------------------------------------------


def test_the_notice_says_which_request_who_decides_and_until_when() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.preview()
    assert play.to_client() == b"", "nothing is held for anybody before it is stored"
    opened(play)
    assert noticed(play) == "held for approval: request REQ1, reviewers dba, until 15:16:40 UTC (600 s)"
    assert ev.WakeAt(NOW + 30) in play.effects
    play.now = NOW + 30.4
    play.send(ev.Tick())
    assert noticed(play).endswith("(570 s)")
    assert ev.WakeAt(NOW + 60.4) in play.effects


def test_the_notice_says_for_which_table_the_rule_is_where_the_statement_names_another() -> None:
    cascade = Cascade(("public", "orders"), ("id",), deletes=True, updates=False)
    known = playbook.catalog()
    customers = replace(known.relations["public", "customers"], cascades=(cascade,))
    knows = replace(known, relations={**known.relations, ("public", "customers"): customers})
    orders = "\n  - {name: orders wait, effect: hold, statements: [DELETE], tables: [public.orders], reviewers: dba}\n"
    play = Playbook(POLICY.replace("rules:", f"rules:{orders}"), knows=knows)
    held(play, query(DELETE))
    said = fields(playbook.split(play.to_client())[-1][1])
    assert said["D"] == "rule: orders wait, for public.orders, which this changes as well"
    assert (
        play.requests[0].why
        == 'rule "orders wait" asks for 1 approval of dba for public.orders, which this changes as well'
    )


def test_what_the_gateway_denies_at_once_was_never_held() -> None:
    """A cool-down: the client hears the denial alone, and the record calls it one."""
    play = Playbook()
    play.client(query(DELETE))
    play.preview()
    again = "denied by the gateway until 12:00:00 UTC: bob denied this 2 times lately"
    lines = play.send(ev.NotOpened("REQ1", "42501", again, "Do as the reviewer says.", State.DENIED.value))
    assert lines == ["record refused", "target Q[\x01]"]
    (refused,) = play.recorded("refused")
    assert (refused["outcome"], refused["reason"]) == ("denied", again)
    assert "request" not in refused, "none was stored"
    assert play.target(error("42601"), ready()) == ["client E42501 ZI"]


def test_that_somebody_broke_the_glass_is_in_the_entries_of_what_ran() -> None:
    play = Playbook()
    held(play, query(DELETE))
    given = (Approval(BOB, "slack", NOW),)
    broken = replace(
        play.requests[0],
        state=State.APPROVED,
        decided_by=BOB,
        decided_via="slack",
        approvals=given,
        broken="prod is down",
    )
    play.send(ev.Ruled(broken))
    play.recheck()
    play.send(ev.Released("REQ1"))
    play.target(complete("DELETE 1"), ready())
    (finished,) = play.recorded("finished")
    assert (finished["break_glass"], finished["via"]) == ("prod is down", "slack")


def test_nobody_is_woken_for_a_statement_that_is_no_longer_held() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.APPROVED))
    assert play.send(ev.Tick()) == []
    assert play.effects == []


def asking(request: ApprovalRequest, *texts: str) -> ApprovalRequest:
    """The stored request, with these questions of Bob's."""
    questions = tuple(Question(BOB, "slack", NOW + 5, each) for each in texts)
    return replace(request, questions=questions, rev=1 + len(texts))


def test_the_client_hears_each_question_of_a_reviewer_once() -> None:
    play = Playbook()
    held(play, query(DELETE))
    request = play.requests[0]
    assert play.send(ev.Ruled(asking(request, "why all?"))) == ["client N"]
    said = fields(playbook.split(play.to_client())[-1][1])
    assert (said["S"], said["C"]) == ("NOTICE", "00000")
    assert said["M"] == "bob@example.com asks about request REQ1: why all?"
    assert play.send(ev.Ruled(asking(request, "why all?"))) == []
    play.send(ev.Ruled(asking(request, "why all?", "really?", "still?")))
    assert noticed(play).endswith("still?")
    play.now = NOW + 31
    play.send(ev.Tick())
    assert noticed(play).startswith("held for approval")
    assert approve(play)[-1] == f"target Q[{DELETE}]"


def test_a_question_waits_for_the_end_of_a_row() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.session.talk.mid_message = True
    assert play.send(ev.Ruled(asking(play.requests[0], "why all?"))) == []
    play.session.talk.mid_message = False
    play.now = NOW + 31
    play.send(ev.Tick())
    assert noticed(play).endswith("why all?")


# --- what the target would refuse ------------------------------------------------------------------------------------------


SURE_FAIL = "target Q[\x01]"


def missing(play: Playbook, status: str = "I") -> list[str]:
    """The target does not find a column when it prepares it; the last lines."""
    if status == "T":
        play.target(row(b"read committed"), complete("SHOW"), ready(status))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    play.target(error("42703", 'column "ide" does not exist'), ready("E"))
    return play.target(complete("ROLLBACK"), ready(status))


def test_a_name_that_is_not_there_bothers_nobody() -> None:
    play = Playbook()
    play.client(query("DELETE FROM customers WHERE ide = 7"))
    assert missing(play) == ["record finished", SURE_FAIL]
    assert play.requests == []
    (entry,) = play.recorded("finished")
    assert (entry["outcome"], entry["sqlstate"], entry["rows"]) == ("failed", "42703", 0)
    assert entry["duration_ms"] == 0
    assert play.target(error("42601"), ready()) == ["client E42703 ZI"]


def test_in_a_block_it_fails_the_block() -> None:
    play = Playbook(status="T")
    play.client(query("DELETE FROM customers WHERE ide = 7"))
    assert missing(play, "T") == ["record finished", SURE_FAIL]
    assert play.requests == []
    assert play.target(error("42601"), ready("E")) == ["client E42703 ZE"]


def test_what_runs_before_it_may_make_the_name() -> None:
    play = Playbook()
    play.client(query("DELETE FROM customers WHERE ide = 7; DELETE FROM customers"))
    missing(play)
    (request,) = play.requests
    assert request.preview.note == 'no preview: column "ide" does not exist'


def test_an_execute_in_front_of_a_query_string_runs_before_it_too() -> None:
    play = Playbook()
    play.client(parse("", "SET search_path = other"), bind("", ""), execute(""), query("DELETE FROM customers"))
    missing(play)
    assert len(play.requests) == 1


@pytest.mark.parametrize("prepared_before", [False, True])
def test_what_was_prepared_with_it_is_refused_and_what_the_target_had_read_is_asked_about(
    prepared_before: bool,
) -> None:
    play = Playbook()
    if prepared_before:
        play.client(parse("d", DELETE), SYNC)
        play.target(PARSED, ready())
    play.client(*([] if prepared_before else [parse("d", DELETE)]), bind("", "d"), execute(""), SYNC)
    missing(play)
    assert len(play.requests) == int(prepared_before)
    assert len(play.recorded("finished")) == int(not prepared_before)


# --- answers that don't fit ------------------------------------------------------------------------------------------------


def test_news_of_another_request_changes_nothing() -> None:
    play = Playbook()
    held(play, query(DELETE))
    other = replace(play.requests[0], id="OTHER", state=State.DENIED)
    assert play.send(ev.Ruled(other)) == []
    assert play.send(ev.NotOpened("OTHER", "57P03", "away")) == []
    assert play.send(ev.NotReleased("OTHER", None, "away")) == []
    assert play.send(ev.Opened("OTHER")) == ["withdraw OTHER"], "stored for nobody"
    assert play.send(ev.Released("OTHER")) == ["unknown OTHER"]
    assert play.session.holding.active


def test_a_first_approval_of_two_releases_nothing() -> None:
    play = Playbook()
    held(play, query(DELETE))
    assert play.send(ruled(play, State.PENDING)) == []


def test_each_approval_of_a_quorum_is_told_to_the_waiting_client_once() -> None:
    play = Playbook()
    held(play, query(DELETE))
    given = (Approval(BOB, "slack", NOW), Approval(replace(BOB, user="carol@example.com\n\x1b[2J"), "teams", NOW))
    for number, told in ((1, "1 of 3 approved by bob@example.com, needs 2 more"), (2, "needs one more")):
        stored = replace(play.requests[0], approvals=given[:number], approvals_needed=3)
        play.send(ev.Ruled(stored))
        text = noticed(play)
        assert text.startswith("request REQ1: ")
        assert text.endswith(told)
        assert text.isprintable()
        assert play.send(ev.Ruled(stored)) == []


def test_a_request_that_could_not_be_stored_is_refused_with_its_text() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.preview()
    play.send(ev.NotOpened("REQ1", "53400", "11 requests are waiting already", "Wait."))
    play.target(error("42601"), ready())
    shown = fields(playbook.split(play.to_client())[0][1])
    assert (shown["C"], shown["M"], shown["H"]) == ("53400", "11 requests are waiting already", "Wait.")


def test_a_release_that_lost_against_another_end_tells_that_end() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.APPROVED))
    play.recheck()
    expired = replace(play.requests[0], state=State.EXPIRED)
    lines = play.send(ev.NotReleased("REQ1", expired, "too late"))
    assert "withdraw REQ1" not in lines
    assert play.target(error("42601"), ready()) == ["client E57014 ZI"]


def test_who_approved_is_recorded_with_what_ran() -> None:
    play = Playbook()
    held(play, query(DELETE))
    given = (Approval(BOB, "slack", NOW),)
    play.send(ev.Ruled(replace(play.requests[0], state=State.APPROVED, approvals=given)))
    play.recheck()
    play.send(ev.Released("REQ1"))
    (entry,) = play.recorded("statement")
    assert (entry["request"], entry["decided_by"], entry["verdict"]) == ("REQ1", "bob@example.com", "hold")


# --- where the questions run -----------------------------------------------------------------------------------------------


def test_a_half_forwarded_batch_is_asked_about_aside_and_the_side_connection_is_closed() -> None:
    play = Playbook()
    play.client(parse("i", "SELECT $1::text"), SYNC)
    play.target(PARSED, ready())
    play.client(*[bind("", "i", [b"x" * 100]) + execute("") for _ in range(1000)])
    assert play.client(parse("", DELETE), bind("", ""), execute(""), SYNC)[-1] == "sideask"
    answers = (
        complete("BEGIN") + complete("SET") * 2 + ready("T"),
        row(b"public.customers", b"16400") + complete("SELECT 1") + ready("T"),
        row(b"4") + complete("SELECT 1") + ready("T"),
        complete("SELECT 0") + ready("T"),
    )
    for answer in answers:
        assert play.send(ev.SideAnswered(answer))[-1] == "sideask"
    assert play.send(ev.SideAnswered(complete("ROLLBACK") + ready())) == ["sideclose", "hold REQ1"]
    shown = play.requests[0].preview
    assert (shown.rows, shown.note) == (4, "seen from a second connection: the batch is half forwarded")
    assert play.requests[0].where_held == "in transaction"


def in_a_block_behind_a_read() -> Playbook:
    """A driver's SELECT through the unnamed portal, which stays open in the block."""
    play = Playbook(status="T")
    play.client(parse("read", "SELECT name FROM customers"), bind("", "read"), describe("P", ""), execute(""), SYNC)
    play.target(PARSED, BOUND, columns("name", first=2), complete("SELECT 0"), ready("T"))
    assert "" in play.session.talk.names.portals
    return play


@pytest.mark.parametrize("batch", [parse("", DELETE) + bind("", "") + execute("") + SYNC, query(DELETE)])
def test_an_open_portal_that_the_batch_replaces_is_in_nobodys_way(batch: bytes) -> None:
    play = in_a_block_behind_a_read()
    assert play.client(batch)[-1] == "target Q[" + "; ".join(f"SHOW {name}" for name in SETTINGS) + "]"
    play.preview("T")
    assert play.requests[0].preview.note == ""
    assert "" not in play.session.talk.names.portals


@pytest.mark.parametrize(
    "batch",
    [
        parse("s", DELETE) + bind("p", "s") + execute("p") + SYNC,
        execute("") + parse("s", DELETE) + bind("", "s") + execute("") + SYNC,
        describe("P", "") + parse("s", DELETE) + bind("", "s") + execute("") + SYNC,
    ],
)
def test_one_that_may_still_be_used_is_left_alone(batch: bytes) -> None:
    play = in_a_block_behind_a_read()
    assert play.client(batch)[-1] == "sideask"
    assert "" in play.session.talk.names.portals


def test_a_late_answer_of_the_side_connection_is_nobodys() -> None:
    play = Playbook()
    assert play.send(ev.SideAnswered(ready())) == []
    held(play, query(DELETE))
    assert play.send(ev.SideAnswered(None, "away")) == []


def test_a_side_connection_that_failed_is_closed_with_the_hold() -> None:
    play = Playbook(status="T")
    play.client(query(DELETE))
    play.target(row(b"repeatable read"), complete("SHOW"), ready("T"))
    play.send(ev.SideAnswered(None, "no connection"))
    opened(play)
    assert play.send(ruled(play, State.DENIED, "no")) == ["sideclose", "target Q[\x01]"]


def test_a_released_batch_goes_as_it_came_with_nothing_left_of_the_hold() -> None:
    play = Playbook()
    batch = (parse("", DELETE), bind("", ""), execute(""), SYNC)
    held(play, *batch)
    approve(play)
    sent = play.to_target()
    play.target(PARSED, BOUND, complete("DELETE 1"))
    assert (sent + play.to_target()).replace(FLUSH, b"") == b"".join(batch), (
        "with the row guard's Flush before the Sync"
    )
    assert not play.session.holding.active
    assert play.session.holding.request_id is None


@pytest.mark.parametrize("data", [b"", ready(), complete("SELECT 1") + ready()])
def test_whole_messages_are_cut_apart(data: bytes) -> None:
    assert b"".join(message(bytes((kind,)), body) for kind, body in split(data)) == data


# --- with keep_for the client may go --------------------------------------------------------------------------------------

KEPT = POLICY.replace("reviewers: dba", "reviewers: dba, keep_for: 15m")
assert KEPT != POLICY


def kept(status: str = "I", policy: str = KEPT) -> tuple[Playbook, ApprovalRequest]:
    """A session whose DELETE waits, and the request as it was stored."""
    play = Playbook(policy, status=status)
    held(play, query(DELETE), status=status)
    opened(play)
    return play, play.requests[0]


def asked(play: Playbook, *messages: bytes, status: str = "I") -> ApprovalRequest:
    """Send it, answer the preview; the request that would be stored."""
    play.client(*messages)
    play.preview(status)
    return play.requests[-1]


def approved(request: ApprovalRequest) -> ApprovalRequest:
    given = (Approval(BOB, "slack", NOW + 5),)
    return replace(request, state=State.APPROVED, approvals=given, decided_by=BOB, rev=2)


def test_the_request_lives_on_and_the_error_names_it() -> None:
    play, request = kept()
    assert (request.kept, request.expires_at) == (True, NOW + 900)
    assert play.send(ev.CancelRequested()) == ["record cancelled", "leave REQ1", "record left", "target Q[\x01]"]
    play.target(error("42601"), ready())
    said = fields(playbook.split(play.to_client())[0][1])
    assert said["C"] == "57014"
    assert said["M"] == "request REQ1 still waits for approval: cancelled by the client"
    assert said["D"] == "reviewers: dba, rule: writes wait; nothing ran"
    assert "send the same statement again, before 15:21:40 UTC" in said["H"]


def test_a_client_that_is_gone_leaves_it_too() -> None:
    play, _ = kept()
    assert play.send(ev.ClientGone())[:2] == ["record left", "leave REQ1"]


def test_so_does_a_token_that_expires_but_not_a_session_that_is_revoked() -> None:
    play, _ = kept()
    assert "leave REQ1" in play.send(ev.Ended(ev.Why.TOKEN_EXPIRED))
    play, _ = kept()
    assert play.send(ev.Ended(ev.Why.REVOKED, "bob")) == [
        "withdraw REQ1",
        "client E57P01",
        "record session_ended",
        "close",
    ]


def test_the_client_waits_no_longer_than_the_rule_says_and_the_request_goes_on() -> None:
    play, _ = kept()
    play.now = NOW + 599
    assert play.send(ev.Tick()) == ["client N"]
    assert ev.WakeAt(NOW + 600) in play.effects
    play.now = NOW + 600
    assert play.send(ev.Tick()) == ["leave REQ1", "record left", "target Q[\x01]"]


def test_a_client_that_gives_up_before_its_request_is_stored_leaves_it_once_it_is() -> None:
    play = Playbook(KEPT)
    asked(play, query(DELETE))
    assert play.send(ev.CancelRequested()) == ["record cancelled"]
    assert opened(play) == ["leave REQ1", "record left", "target Q[\x01]"]


@pytest.mark.parametrize("then", ["I", "T"])
def test_the_same_again_is_released_by_the_content_that_was_approved(then: str) -> None:
    """In another session, inside a transaction or not; once, for the store lets one go."""
    _, request = kept()
    again = Playbook(KEPT, status=then)
    assert asked(again, query(DELETE), status=then).content_digest == request.content_digest
    again.send(ev.Joined("REQ1", replace(approved(request), id="REQ0")))
    assert noticed(again) == "request REQ0 was approved before: it runs now, once"
    assert again.recheck(status=then) == ["release REQ0"]
    (release,) = [each for each in again.effects if isinstance(each, ev.Release)]
    assert release.digest == request.content_digest
    assert release.wire.session == "s-1"
    assert again.send(ev.Released("REQ0")) == ["record statement", f"target Q[{DELETE}]"]
    assert again.recorded("statement")[0]["request"] == "REQ0"


def test_the_row_guard_is_that_of_the_approval() -> None:
    """One row was seen; two are there by now."""
    _, request = kept()
    again = Playbook(KEPT)
    again.client(query(DELETE))
    again.preview(rows=2)
    assert again.requests[0].content_digest == request.content_digest
    again.send(ev.Joined("REQ1", approved(request)))
    again.recheck()
    again.send(ev.Released("REQ1"))
    lines = again.target(complete("DELETE 2"))
    assert "E42501" in " ".join(lines + again.target(ready("I")))


def test_a_retry_that_joins_an_open_request_waits_for_it() -> None:
    _, request = kept()
    again = Playbook(KEPT)
    asked(again, query(DELETE))
    joined = replace(request, id="REQ0", asked=2, rev=2)
    again.send(ev.Joined("REQ1", joined))
    assert noticed(again).startswith("held for approval: request REQ0, ")
    again.send(ev.Ruled(approved(joined)))
    assert again.recheck() == ["release REQ0"]


@pytest.mark.parametrize("waits", ["", "approved"])
def test_one_that_its_requester_withdraws_ends_the_wait(waits: str) -> None:
    """Also between its approval and its release."""
    play, request = kept()
    if waits == "approved":
        play.send(ev.Ruled(approved(request)))
        assert play.recheck() == ["release REQ1"]
    ended = replace(request, state=State.WITHDRAWN, reason=BY_REQUESTER, decided_by=request.requester, rev=3)
    assert play.send(ev.Ruled(ended)) == ["target Q[\x01]"]
    if waits == "approved":
        assert play.send(ev.NotReleased("REQ1", ended, "already decided")) == []
    play.target(error("42601"), ready())
    said = fields(playbook.split(play.to_client())[0][1])
    assert (said["C"], said["M"]) == ("57014", "approval request REQ1 withdrawn: by its requester")


@pytest.mark.parametrize("state", [State.RELEASED, State.EXECUTED, State.FAILED, State.UNKNOWN])
@pytest.mark.parametrize("releasing", [False, True])
def test_who_comes_too_late_for_it_is_told_so(state: State, releasing: bool) -> None:
    play, request = kept()
    used = replace(approved(request), state=state, session="s-2")
    if releasing:
        play.send(ev.Ruled(approved(request)))
        assert play.recheck() == ["release REQ1"]
        assert play.send(ev.Ruled(used)) == [], "the answer to the release counts"
        lines = play.send(ev.NotReleased("REQ1", used, "already decided"))
    else:
        lines = play.send(ev.Ruled(used))
    assert lines == ["leave REQ1", "target Q[\x01]"]
    play.target(error("42601"), ready())
    said = fields(playbook.split(play.to_client())[0][1])
    assert (said["C"], said["M"]) == ("57014", "approval request REQ1 was used already, by another connection")


def test_who_joins_hears_what_was_asked_before() -> None:
    _, request = kept()
    again = Playbook(KEPT)
    asked(again, query(DELETE))
    again.send(ev.Joined("REQ1", replace(asking(request, "why all?"), id="REQ0")))
    assert noticed(again) == "bob@example.com asks about request REQ0: why all?"


def test_who_left_before_it_joined_ends_nothing() -> None:
    _, request = kept()
    again = Playbook(KEPT)
    asked(again, query(DELETE))
    again.send(ev.CancelRequested())
    lines = again.send(ev.Joined("REQ1", replace(approved(request), id="REQ0")))
    assert lines == ["leave REQ0", "record left", "target Q[\x01]"]
    gone = Playbook(KEPT)
    asked(gone, query(DELETE))
    gone.send(ev.ClientGone())
    assert gone.send(ev.Joined("REQ1", replace(approved(request), id="REQ0"))) == ["leave REQ0"]


def test_what_is_half_forwarded_is_not_kept() -> None:
    """Nobody can send the same again."""
    play = Playbook(KEPT)
    many = bind("", "s") + execute("")
    play.client(parse("s", "SELECT name FROM customers"), many * 8000)
    assert play.session.talk.open_batch
    play.client(parse("", DELETE), bind("", ""), execute(""), SYNC)
    while not play.requests:
        play.send(ev.SideAnswered(None, "away"))
    assert not play.requests[0].kept
