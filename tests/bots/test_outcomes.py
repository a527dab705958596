"""How a request ends: success is only what ran and stays, and nothing goes stale."""

from dataclasses import replace

import pytest

from bots.outcomes import Tone, lasting, outcome, standing, yours
from bots.texts import in_utc
from gateway.approvals.request import BY_REQUESTER, Approval, ApprovalRequest, HeldStatement, State
from tests.bots.samples import ANN, BOB, CAROL, NOW, PLAIN, STATES

EXECUTED = STATES[State.EXECUTED]
OPEN = replace(EXECUTED, transaction="open")
ROLLED_BACK = replace(EXECUTED, transaction="rolled back")
OVER_THE_CAP = replace(STATES[State.FAILED], sqlstate="42501", rows=53, row_cap=3, transaction="rolled back")


@pytest.mark.parametrize(
    ("request_", "word", "tone"),
    [
        (PLAIN, "", Tone.ASKING),
        (STATES[State.APPROVED], "Approved", Tone.UNDERWAY),
        (STATES[State.RELEASED], "Running", Tone.UNDERWAY),
        (EXECUTED, "Executed", Tone.GOOD),
        (OPEN, "Executed, not committed", Tone.UNDERWAY),
        (ROLLED_BACK, "Rolled back", Tone.OVER),
        (replace(EXECUTED, transaction="partly committed"), "Partly committed", Tone.WARNING),
        (replace(EXECUTED, transaction="prepared"), "Prepared, not committed", Tone.UNDERWAY),
        (replace(EXECUTED, transaction="its end was not seen"), "Outcome unknown", Tone.WARNING),
        (STATES[State.FAILED], "Failed", Tone.BAD),
        (OVER_THE_CAP, "Rolled back", Tone.BAD),
        (STATES[State.UNKNOWN], "Outcome unknown", Tone.WARNING),
        (STATES[State.DENIED], "Denied", Tone.BAD),
        (STATES[State.EXPIRED], "Expired", Tone.OVER),
        (STATES[State.WITHDRAWN], "Withdrawn", Tone.OVER),
        (STATES[State.SUPERSEDED], "Superseded", Tone.OVER),
        (STATES[State.UNDELIVERABLE], "Not delivered", Tone.BAD),
    ],
)
def test_only_what_ran_and_stays_looks_like_success(request_: ApprovalRequest, word: str, tone: Tone) -> None:
    assert standing(request_, NOW + 70) == (word, tone)


def test_who_withdrew_is_said_unless_it_was_the_gateway() -> None:
    own = replace(STATES[State.WITHDRAWN], reason=BY_REQUESTER, decided_by=ANN, decided_at=NOW + 60)
    assert in_utc(outcome(own, NOW + 70)) == "Withdrawn by its requester at 10:21:00 UTC. Nothing ran."
    assert yours(own, ANN, NOW + 70) == "You withdrew it. Nothing ran."


CHANGES = replace(STATES[State.DENIED], reason="", changes="Only rows of 2019.")


def test_requested_changes_are_no_plain_denial() -> None:
    assert standing(CHANGES, NOW + 70) == ("Changes requested", Tone.BAD)
    assert in_utc(outcome(CHANGES, NOW + 70)) == (
        "Changes requested by bob@example.com at 10:21:00 UTC: Only rows of 2019. Nothing ran."
    )
    assert yours(CHANGES, BOB, NOW + 70) == "You requested changes. Nothing ran."


def test_a_pending_request_whose_time_is_up_asks_nobody() -> None:
    assert standing(PLAIN, PLAIN.expires_at) == ("Time is up", Tone.OVER)


def test_what_was_rolled_back_says_that_its_changes_are_gone() -> None:
    assert in_utc(outcome(ROLLED_BACK, NOW + 70)) == (
        "Rolled back: it ran (42 rows in 12 ms), then its transaction was rolled back, and its changes with it. "
        "Approved by bob@example.com at 10:21:00 UTC."
    )


def test_what_the_row_guard_undid_says_both_counts() -> None:
    assert in_utc(outcome(OVER_THE_CAP, NOW + 70)) == (
        "Rolled back: it would have changed 53 rows, and 3 rows had been approved. Nothing has changed. "
        "Approved by bob@example.com at 10:21:00 UTC."
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (replace(EXECUTED, transaction="partly committed"), "one part was committed and another rolled back"),
        (replace(EXECUTED, transaction="prepared"), "it still waits for COMMIT PREPARED"),
        (replace(EXECUTED, transaction="its end was not seen"), "the end of its transaction was not seen"),
        (replace(STATES[State.FAILED], transaction="partly committed"), "One part of it was committed before"),
    ],
)
def test_what_is_half_there_says_so(request_: ApprovalRequest, said: str) -> None:
    assert said in outcome(request_, NOW + 70)
    assert "Approved by bob@example.com" in outcome(request_, NOW + 70)


@pytest.mark.parametrize(
    ("tag", "rows", "text"),
    [
        ("CREATE INDEX", 0, "Executed in 12 ms, committed."),
        ("TRUNCATE TABLE", 0, "Executed in 12 ms, committed."),
        ("DO", 0, "Executed in 12 ms, committed."),
        ("DELETE", 0, "Executed: 0 rows in 12 ms, committed."),
        ("CREATE TABLE AS", 0, "Executed: 0 rows in 12 ms, committed."),
        ("COPY", 3, "Executed: 3 rows in 12 ms, committed."),
        ("UNKNOWN", 3, "Executed: 3 rows in 12 ms, committed."),
    ],
)
def test_rows_are_told_where_the_command_has_a_count(tag: str, rows: int, text: str) -> None:
    held = HeldStatement(tag, "...")
    ran = replace(EXECUTED, statements=(held,), rows=rows, preview=replace(EXECUTED.preview, rows=rows))
    assert outcome(ran, NOW + 70).startswith(text)


def test_more_rows_than_the_preview_counted_are_flagged() -> None:
    told = outcome(replace(OPEN, rows=45), NOW + 70)
    assert "45 rows in 12 ms, in a transaction that is not committed yet. The preview had counted 42." in told


@pytest.mark.parametrize("request_", [STATES[State.APPROVED], STATES[State.RELEASED], OPEN])
def test_what_stands_in_a_chat_for_good_says_nothing_that_passes(request_: ApprovalRequest) -> None:
    wanted = "Approved by bob@example.com at 10:21:00 UTC. The card shows what came of it."
    assert in_utc(lasting(request_, NOW + 70)) == wanted
    assert yours(request_, BOB, NOW + 70) == "You approved it. The card shows what came of it."


def test_the_first_of_two_is_told_that_another_has_to_come() -> None:
    first = replace(PLAIN, approvals_needed=2, approvals=(Approval(BOB, "slack", NOW + 60),))
    assert yours(first, BOB, NOW + 60) == "You approved it, 1 of 2: it waits for another reviewer."


def test_who_denied_it_is_told_so() -> None:
    assert yours(STATES[State.DENIED], CAROL, NOW + 70) == "You denied it. Nothing ran."


def test_an_approved_request_that_expired_was_decided() -> None:
    late = replace(STATES[State.APPROVED], state=State.EXPIRED)
    assert in_utc(outcome(late, NOW + 700)) == (
        "Expired at 10:30:00 UTC: it was approved, and not released in time. Nothing ran."
    )
