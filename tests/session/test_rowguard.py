"""The drift guard: more rows than the reviewer saw are rolled back, and nothing else looks any different."""

from collections.abc import Sequence

import pytest

from gateway.approvals.request import State
from gateway.session import events as ev
from gateway.session.guard import sure_fail
from gateway.session.rowguard import REFUSED
from gateway.wire.backend import fields, notice_response
from gateway.wire.frontend import FLUSH, SYNC, bind, close, execute, message, parse, query
from tests import playbook
from tests.playbook import BOUND, CLOSED, PARSED, POLICY, Playbook, columns, complete, error, parsed, ready, row
from tests.session.test_session import DELETE, approve, opened, ruled

RETURNING = f"{DELETE} RETURNING name"
EXTENDED = (parse("", DELETE), bind("", ""), execute(""))
SUSPENDED = message(b"s", b"")


def released(
    *messages: bytes, status: str = "I", rows: int = 3, over: int | None = None, most: str = "16MiB"
) -> Playbook:
    """A statement of which the reviewer saw `rows`, approved and sent; what the gate does is left out."""
    terms = f", max_rows_over_preview: {over}}}" if over is not None else "}"
    policy = POLICY.replace("reviewers: dba}", f"reviewers: dba{terms}", 1)
    play = Playbook(f"{policy}limits: {{max_held_bytes: {most}}}\n", status=status)
    play.client(*messages)
    play.preview(status, rows)
    opened(play)
    approve(play, status)
    play.rows_shown = True
    return play


def said(lines: list[str]) -> list[str]:
    """What went to either side."""
    return [line for line in lines if line.startswith(("client", "target"))]


def refusal(play: Playbook) -> dict[str, str]:
    return next(fields(body) for kind, body in playbook.split(play.to_client()) if kind == "E")


# --- a query in autocommit --------------------------------------------------------------------------------------------


def in_autocommit() -> Playbook:
    return released(query(DELETE))


def test_a_query_in_autocommit_runs_in_a_transaction_of_ours_and_ends_with_its_commit() -> None:
    play = Playbook()
    play.rows_shown = True
    play.client(query(DELETE))
    play.preview(rows=3)
    opened(play)
    assert approve(play) == ["record statement", f"target Q[BEGIN READ WRITE] Q[{DELETE}]"]
    assert play.target(complete("DELETE 3"), ready("T")) == ["target Q[COMMIT]"]
    assert play.target(complete("COMMIT"), ready()) == [
        "record finished",
        "client C[DELETE 3]",
        "finished REQ1 3 committed",
        "client ZI",
    ]


def test_its_excess_is_rolled_back_and_the_client_told_why() -> None:
    play = in_autocommit()
    lines = play.target(complete("DELETE 53"), ready("T"))
    assert lines == ["record finished", f"client E{REFUSED}", "target Q[ROLLBACK]"]
    told = refusal(play)
    assert told["M"] == "rolled back: 3 rows approved, 53 rows would have changed; nothing has changed"
    assert told["D"].startswith("request REQ1, rule: writes wait, approved by")
    assert "a new request" in told["H"]
    (entry,) = play.recorded("finished")
    assert (entry["outcome"], entry["sqlstate"], entry["rows"]) == ("failed", REFUSED, 53)
    assert entry["reason"] == "rolled back: 3 rows approved, 53 rows would have changed"
    assert play.target(complete("ROLLBACK"), ready()) == ["finished REQ1 42501 rolled back", "client ZI"]


def test_what_was_counted_goes_with_the_end_of_the_request() -> None:
    play = in_autocommit()
    play.target(complete("DELETE 53"), ready("T"), complete("ROLLBACK"), ready())
    (finished,) = [each for each in play.effects if isinstance(each, ev.Finished)]
    assert (finished.rows, finished.sqlstate, finished.transaction) == (53, REFUSED, "rolled back")


def test_a_constraint_that_fails_at_commit_is_the_statements_error() -> None:
    play = in_autocommit()
    play.target(complete("DELETE 3"), ready("T"))
    assert play.target(error("23503"), ready()) == [
        "record finished",
        "client E23503",
        "finished REQ1 23503 rolled back",
        "client ZI",
    ]


def test_its_rows_come_before_such_an_error_as_postgres_has_them() -> None:
    play = released(query(RETURNING))
    play.target(columns("name"), row(b"Ann"), complete("DELETE 1"), ready("T"))
    assert said(play.target(error("23503"), ready())) == ["client D E23503", "client ZI"]


def test_a_statement_that_fails_is_told_as_it_would_be_and_its_transaction_is_ended() -> None:
    play = in_autocommit()
    assert play.target(error("22012"), ready("E")) == ["record finished", "client E22012", "target Q[ROLLBACK]"]
    assert play.target(complete("ROLLBACK"), ready()) == ["finished REQ1 22012 rolled back", "client ZI"]


def test_a_cancel_that_hits_our_commit_or_rollback_leaves_nothing_open() -> None:
    play = in_autocommit()
    play.target(complete("DELETE 3"), ready("T"))
    assert play.target(error("57014"), ready("E")) == ["record finished", "client E57014", "target Q[ROLLBACK]"]
    assert play.target(error("57014"), ready("E")) == ["target Q[ROLLBACK]"]
    assert play.target(complete("ROLLBACK"), ready())[-1] == "client ZI"


def test_a_target_that_never_ends_the_transaction_ends_the_session() -> None:
    play = in_autocommit()
    play.target(error("22012"), ready("E"))
    for _ in range(9):
        assert play.target(error("57014"), ready("E")) == ["target Q[ROLLBACK]"]
    assert "close" in play.target(error("57014"), ready("E"))


def test_where_our_begin_was_cancelled_the_answer_is_passed_on() -> None:
    """Outside a transaction the session's default keeps it to reading; a temporary table of its own is still written."""
    play = released(query(DELETE))
    assert said(play.target(error("25006"), ready())) == ["client E25006", "client ZI"]
    play = released(query(DELETE))
    assert play.target(complete("DELETE 3"), ready()) == ["target Q[COMMIT]"]


def test_rows_wait_for_the_commit() -> None:
    play = released(query(RETURNING))
    assert play.target(columns("name"), row(b"Ann"), row(b"Bob"), complete("DELETE 2"), ready("T")) == [
        "client T",
        "target Q[COMMIT]",
    ]
    assert said(play.target(complete("COMMIT"), ready())) == ["client D D C[DELETE 2]", "client ZI"]


def test_rows_that_nobody_approved_are_not_shown() -> None:
    play = released(query(RETURNING), rows=1)
    lines = play.target(columns("name"), row(b"Ann"), row(b"Bob"), complete("DELETE 2"), ready("T"))
    assert lines == ["client T", "record finished", f"client E{REFUSED}", "target Q[ROLLBACK]"]


def test_notices_come_as_they_are_said() -> None:
    play = released(query(RETURNING))
    assert play.target(columns("name"), notice_response("deleted"), row(b"Ann")) == ["client T N"]


def test_what_follows_waits_for_the_end() -> None:
    play = in_autocommit()
    assert play.client(query("SELECT 1")) == []
    play.target(complete("DELETE 3"), ready("T"))
    assert play.target(complete("COMMIT"), ready())[-2:] == ["record statement", "target Q[SELECT 1]"]


def test_a_target_that_goes_leaves_the_end_unknown() -> None:
    play = in_autocommit()
    play.target(complete("DELETE 3"), ready("T"))
    assert "unknown REQ1" in play.send(ev.TargetGone())


def test_a_targets_fatal_is_heard_while_it_is_rolled_back() -> None:
    play = in_autocommit()
    play.target(complete("DELETE 53"), ready("T"))
    gone = message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
    assert play.target(gone) == ["client E57P01"]


def test_who_wishes_to_read_only_gets_the_targets_own_refusal() -> None:
    play = Playbook()
    play.rows_shown = True
    play.session.talk.gate.wish = True
    play.client(query(DELETE))
    play.preview()
    opened(play)
    assert approve(play) == ["record statement", f"target Q[{DELETE}]"]


# --- a query in the client's block ------------------------------------------------------------------------------------


def test_in_a_block_nothing_is_added_where_the_count_is_right() -> None:
    play = released(query(RETURNING), status="T")
    assert play.target(columns("name"), row(b"Ann"), complete("DELETE 1"), ready("T")) == [
        "client T",
        "record finished",
        "client D C[DELETE 1]",
        "finished REQ1 1 open",
        "client ZT",
    ]


def test_its_excess_leaves_the_block_as_a_failed_statement_does() -> None:
    play = released(query(DELETE), status="T")
    lines = play.target(complete("DELETE 53"), ready("T"))
    assert lines == ["record finished", f"client E{REFUSED}", "target Q[\x01]"]
    assert play.target(error("42601"), ready("E")) == ["finished REQ1 42501 rolled back", "client ZE"]


def test_an_error_in_a_block_is_passed_on() -> None:
    play = released(query(DELETE), status="T")
    assert play.target(error("22012"), ready("E")) == [
        "record finished",
        "client E22012",
        "finished REQ1 22012 rolled back",
        "client ZE",
    ]


# --- an extended batch ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["I", "T"])
def test_the_sync_of_a_batch_waits_for_the_count(status: str) -> None:
    play = Playbook(status=status)
    play.client(*EXTENDED, SYNC)
    play.preview(status, rows=3)
    opened(play)
    approve(play, status)
    assert play.to_target() == b"".join((*EXTENDED, FLUSH))
    assert play.target(PARSED, BOUND, complete("DELETE 3")) == [
        "client 1 2",
        "record finished",
        "target S",
        "client C[DELETE 3]",
    ]
    assert play.target(ready(status))[-1] == f"client Z{status}"


@pytest.mark.parametrize("status", ["I", "T"])
def test_a_batch_whose_count_is_too_high_fails_before_its_sync(status: str) -> None:
    play = released(*EXTENDED, close("P", ""), SYNC, status=status)
    assert play.target(PARSED, BOUND, complete("DELETE 53")) == ["client 1 2", "record finished", "target E C S"]
    assert play.to_target().startswith(sure_fail(ord("E")))
    after = "E" if status == "T" else "I"
    assert play.target(error("34000"), ready(after)) == [
        f"client E{REFUSED}",
        "finished REQ1 42501 rolled back",
        f"client Z{after}",
    ]
    assert play.session.talk.rowguard is None


def test_what_stands_behind_the_execute_goes_once_it_is_counted() -> None:
    play = released(*EXTENDED, close("P", ""), SYNC)
    assert "target C S" in play.target(PARSED, BOUND, complete("DELETE 3"))
    assert play.target(CLOSED, ready()) == ["client 3", "finished REQ1 3 committed", "client ZI"]


def test_a_batch_that_ends_in_a_flush_fails_up_to_the_clients_sync() -> None:
    play = released(*EXTENDED, FLUSH)
    play.target(PARSED, BOUND, complete("DELETE 53"))
    assert play.target(error("34000")) == [f"client E{REFUSED}"]
    assert play.client(execute(""), SYNC) == ["target S"]
    assert play.target(ready())[-1] == "client ZI"


def test_a_batch_that_fails_before_its_execute_gets_its_sync() -> None:
    play = released(*EXTENDED, SYNC)
    lines = play.target(error("42601"))
    assert "target S" in lines
    assert "client E42601" in lines
    assert play.target(ready()) == ["finished REQ1 25P02 rolled back", "client ZI"]


def test_a_constraint_that_fails_at_sync_comes_behind_the_tag_as_postgres_has_it() -> None:
    play = released(*EXTENDED, SYNC)
    assert play.target(PARSED, BOUND, complete("DELETE 3"))[-1] == "client C[DELETE 3]"
    assert said(play.target(error("23503"), ready())) == ["client E23503", "client ZI"]


def limited(limit: int, *rows: bytes, status: str = "I") -> tuple[Playbook, list[str]]:
    play = released(parse("", RETURNING), bind("", ""), execute("", limit), SYNC, status=status)
    return play, play.target(PARSED, BOUND, *map(row, rows), complete(f"DELETE {len(rows)}"))


def test_a_limit_of_rows_hides_no_count() -> None:
    """asyncpg's fetchrow asks for one row; the target, asked so, would not tell how many there are."""
    play, lines = limited(1, b"Ann", b"Bob", b"Cid", b"Dan")
    assert lines == ["client 1 2", "record finished", "target E S"]
    play, lines = limited(1, b"Ann")
    assert lines == ["client 1 2", "record finished", "client D s", "target S"]
    assert play.to_client().endswith(row(b"Ann") + SUSPENDED)


def test_fewer_rows_than_the_limit_end_the_result() -> None:
    _, lines = limited(5, b"Ann")
    assert lines == ["client 1 2", "record finished", "client D", "target S", "client C[DELETE 1]"]


def test_rows_behind_the_limit_are_not_lost_without_a_word() -> None:
    """In a block a client could go on with the portal; the target has given everything already."""
    play, lines = limited(1, b"Ann", b"Bob", status="T")
    assert "client D s" in lines
    play.target(ready("T"))
    play.client(execute("", 1), SYNC)
    assert sure_fail(ord("E")) in play.to_target()
    play, _ = limited(2, b"Ann", b"Bob", status="T")
    play.target(ready("T"))
    assert play.client(execute("", 1), SYNC) == ["record statement", "target E S"]


def test_too_many_bytes_of_rows_are_rolled_back_too() -> None:
    play = released(query(RETURNING), most="1kB")
    big = row(b"x" * 900)
    lines = play.target(columns("name"), big, big, complete("DELETE 2"), ready("T"))
    assert lines[1:3] == ["record finished", "client E54000"]


# --- the cap ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("over", "count", "ends"), [(50, 53, "COMMIT"), (50, 54, "ROLLBACK"), (0, 4, "ROLLBACK")])
def test_a_rule_may_allow_some_more(over: int, count: int, ends: str) -> None:
    play = released(query(DELETE), over=over)
    assert play.requests[0].row_cap == 3 + over
    assert play.target(complete(f"DELETE {count}"), ready("T"))[-1] == f"target Q[{ends}]"


def asked(*messages: bytes, rows: int | None = 3, status: str = "I") -> tuple[int | None, str]:
    play = Playbook(status=status)
    play.client(*messages)
    while not play.requests:
        question = play.to_target()
        if b"pg_class" in question:
            answer = row(b"public.customers", b"16400") + complete("SELECT 1")
        elif question.startswith(b"P"):
            answer = parsed()
        elif rows is None and b"count(" in question:
            answer = error("57014")
        else:
            answer = row(str(rows).encode()) + complete("SELECT 1") if b"count(" in question else complete("SELECT 0")
        play.target(answer, ready("I" if question == query("ROLLBACK") else "T"))
    return play.requests[0].row_cap, play.requests[0].uncapped


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([query(f"{DELETE}; {DELETE}")], "several statements are held as one"),
        ([*EXTENDED, execute(""), SYNC], "several statements are held as one"),
        ([query("TRUNCATE customers")], "TRUNCATE TABLE does not tell how many rows it changes"),
        ([query("CALL evil()")], "CALL does not tell how many rows it changes"),
        ([query("DO 'BEGIN END'")], "DO does not tell how many rows it changes"),
        ([query("COPY customers FROM STDIN")], "COPY does not tell how many rows it changes"),
        ([query(f"WITH gone AS ({DELETE} RETURNING id) SELECT * FROM gone")], "SELECT does not tell how many rows it changes"),
        ([query(f"WITH gone AS ({DELETE} RETURNING id) DELETE FROM orders USING gone")], "DELETE does not tell how many rows it changes"),
        ([query("MERGE INTO customers USING orders ON true WHEN MATCHED THEN DELETE")], "MERGE does not tell how many rows it changes"),
        ([query(f"EXPLAIN ANALYZE {DELETE}")], "EXPLAIN does not tell how many rows it changes"),
        ([parse("r", "SELECT 1"), query(DELETE)], "it stands behind messages without a Sync"),
        ([query("CREATE TABLE new (id int)")], ""),
    ],
)  # fmt: skip
def test_what_has_no_cap_says_why(messages: Sequence[bytes], why: str) -> None:
    assert asked(*messages) == (None, why)


def test_without_a_count_there_is_no_cap() -> None:
    assert asked(query(DELETE), rows=None) == (None, "the rows could not be counted")


def test_one_held_execute_among_others_is_capped() -> None:
    read = (parse("r", "SELECT 1"), bind("", "r"), execute(""))
    play = released(*read, *EXTENDED, *read[1:], SYNC)
    play.target(PARSED, BOUND, row(b"1"), complete("SELECT 1"), PARSED, BOUND)
    assert play.target(complete("DELETE 53"))[-1] == "target E B E S"
    lines = play.target(error("34000"), ready())
    assert said(lines) == [f"client E{REFUSED}", "client ZI"]
    assert "finished REQ1 42501 rolled back" in lines


def test_an_error_of_the_batch_before_does_not_end_the_guard() -> None:
    """A held batch that is half forwarded may stand behind another whose answers have not come yet."""
    play = Playbook()
    play.rows_shown = True
    play.client(parse("i", "SELECT $1::text"), SYNC)
    play.target(PARSED, ready())
    play.client(parse("", "SELECT 1/0"), bind("", ""), execute(""), SYNC)
    play.client(*[bind("", "i", [b"x" * 100]) + execute("") for _ in range(1000)])
    play.client(*EXTENDED, SYNC)
    for answer in (ready("T"), row(b"public.customers", b"16400"), row(b"3"), complete("SELECT 0"), ready()):
        play.send(ev.SideAnswered(answer + ready("T")))
    opened(play)
    play.send(ruled(play, State.APPROVED))
    play.send(ev.SideAnswered(row(b"public.customers", b"16400") + ready()))
    play.send(ev.Released("REQ1"))
    assert play.to_target().endswith(b"".join((*EXTENDED, FLUSH)))
    assert play.target(error("22012"), ready())[-1] == "client E22012 ZI"
    assert play.to_target() == b"", "the Sync still waits for the count"
    assert play.session.talk.rowguard is not None
