"""The neutral card: what it says in each state, what it calls risky, what it makes visible."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from bots.cards import Action, Cell, Tone, card, literal, span, visible
from gateway.approvals.request import Approval, ApprovalRequest, HeldStatement, Preview, State
from tests.bots.samples import ANN, BOB, DELETE, NOW, PLAIN, ROWS, STATES, UPDATE, WILD


def test_a_pending_card_says_it_all_in_two_lines() -> None:
    drawn = card(PLAIN, NOW)
    assert drawn.headline == "DELETE on public.customers in production (shop)"
    assert drawn.notice == (
        "ann@example.com (cursor) wants to DELETE 42 rows of public.customers in production/shop. Expires 10:30 UTC."
    )
    assert drawn.consequence == "42 rows would be deleted (exact count)."
    assert [(fact.label, fact.value, fact.claimed) for fact in drawn.who] == [
        ("Who", "ann@example.com (engineering)", False),
        ("Agent", "cursor", True),
        ("Reason", "clean up customers that never came back", True),
    ]
    assert drawn.statements[0].values == ("$1 = 2020-01-01",)
    assert drawn.quorum == "Needs 1 approval from dba"
    assert drawn.why == 'Rule "writes wait for a DBA": DELETE is a write on production'
    assert drawn.footer == "Request 01J9Z3K7Q8 - digest 9f2c1d9f2c1d - session 8f31c2 from 10.0.0.7"
    assert drawn.actions == (Action.APPROVE, Action.DENY, Action.FULL_SQL)
    assert (drawn.risk, drawn.confirm, drawn.outcome) == ("", "", "")


def test_a_rule_is_named_once() -> None:
    why = f'rule "{PLAIN.rule}" asks for 1 approval of dba'
    assert card(replace(PLAIN, why=why), NOW).why == f'Rule "{PLAIN.rule}" asks for 1 approval of dba'


@pytest.mark.parametrize(
    ("state", "headline", "outcome"),
    [
        (State.PENDING, "", ""),
        (State.APPROVED, "Approved", "Approved by bob@example.com at 10:21 UTC. It has not run yet."),
        (State.RELEASED, "Running", "Approved by bob@example.com at 10:21 UTC. It is running now."),
        (
            State.EXECUTED,
            "Executed",
            "Executed: 42 rows in 12 ms, committed. Approved by bob@example.com at 10:21 UTC.",
        ),
        (
            State.FAILED,
            "Failed",
            "Failed with SQLSTATE 23503 after 3 ms. Approved by bob@example.com at 10:21 UTC.",
        ),
        (
            State.UNKNOWN,
            "Outcome unknown",
            (
                "Unknown: it was sent, and the answer never came: target gone. Check the target. "
                "Approved by bob@example.com at 10:21 UTC."
            ),
        ),
        (State.DENIED, "Denied", "Denied by bob@example.com at 10:21 UTC: Use the archive job. Nothing ran."),
        (State.EXPIRED, "Expired", "Expired at 10:30 UTC: nobody decided in time. Nothing ran."),
        (State.WITHDRAWN, "Withdrawn", "Withdrawn: the client cancelled. Nothing ran."),
        (State.SUPERSEDED, "Superseded", "Superseded by policy: rule no writes now denies it. Nothing ran."),
        (
            State.UNDELIVERABLE,
            "Not delivered",
            "Not delivered: not_in_channel. No reviewer could be asked. Nothing ran.",
        ),
    ],
)
def test_each_state_tells_how_it_stands(state: State, headline: str, outcome: str) -> None:
    drawn = card(STATES[state], NOW + 70)
    assert drawn.outcome == outcome
    assert drawn.headline == (f"{headline}: " if headline else "") + drawn.title
    assert drawn.state is state


@pytest.mark.parametrize(
    ("state", "consequence"),
    [
        (State.PENDING, "42 rows would be deleted (exact count)."),
        (State.APPROVED, "42 rows would be deleted (exact count)."),
        (State.DENIED, "42 rows would have been deleted (exact count)."),
        (State.EXECUTED, ""),
    ],
)
def test_the_consequence_keeps_to_the_truth(state: State, consequence: str) -> None:
    assert card(STATES[state], NOW + 70).consequence == consequence


def test_an_ended_card_is_short() -> None:
    drawn = card(STATES[State.DENIED], NOW + 70)
    assert (drawn.preview, drawn.where_held, drawn.quorum) == (None, "", "")


def test_there_is_a_sample_of_every_state() -> None:
    assert set(STATES) == set(State)


@pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
def test_only_a_pending_request_can_be_decided(state: State) -> None:
    drawn = card(STATES[state], NOW + 70)
    assert drawn.actions == (Action.FULL_SQL,)
    assert drawn.expires_at is None
    assert drawn.tone is not Tone.ASKING


def test_a_pending_request_past_its_time_has_no_buttons() -> None:
    drawn = card(PLAIN, PLAIN.expires_at)
    assert Action.APPROVE not in drawn.actions
    assert drawn.outcome == "Time is up since 10:30 UTC. Nothing ran."


def _of(**changes: object) -> ApprovalRequest:
    return replace(PLAIN, statements=(replace(DELETE, **changes),))  # type: ignore[arg-type] # fields by name


@pytest.mark.parametrize(
    ("request_", "risk"),
    [
        (_of(tag="DROP TABLE", where=None), "DROP TABLE"),
        (_of(tag="TRUNCATE", where=None), "TRUNCATE"),
        (_of(tag="GRANT", where=None), "GRANT"),
        (_of(tag="ALTER TABLE", where=None), "ALTER TABLE"),
        (_of(tag="DO", where=None), "DO"),
        (_of(tag="CALL", where=None), "CALL"),
        (_of(tag="", where=None), "statement"),
        (
            _of(tag="SELECT", where=None, opaque="calls public.purge()"),
            "its text does not tell what it does: calls public.purge()",
        ),
        (_of(where=False), "DELETE without WHERE"),
        (replace(PLAIN, preview=replace(ROWS, rows=1001)), "1,001 rows"),
        (replace(PLAIN, preview=replace(ROWS, rows=18_240, kind="estimate")), "about 18,240 rows"),
        (replace(PLAIN, preview=replace(ROWS, rows=1000)), ""),
        (_of(tag="INSERT", where=None), ""),
        (_of(tag="LISTEN", where=None), ""),
    ],
)
def test_risk_is_a_word_with_its_reason(request_: ApprovalRequest, risk: str) -> None:
    drawn = card(request_, NOW)
    assert drawn.risk == risk
    assert drawn.headline.startswith("HIGH RISK: ") is bool(risk)
    assert bool(drawn.confirm) is bool(risk)
    assert (drawn.tone is Tone.WARNING) is bool(risk)


def test_the_preview_shows_what_changes() -> None:
    before = (("1", "Ada", "trial", "10", "DE", "x", "2019"),)
    after = (("1", "Ada", "free", "0", "DE", "x", "2019"),)
    columns = ("id", "name", "plan", "credit", "country", "note", "seen")
    preview = Preview(rows=3, columns=columns, before=before, after=after)
    table = card(replace(PLAIN, statements=(UPDATE,), preview=preview), NOW).preview
    assert table is not None
    assert table.columns == ("id", "name", "plan", "credit", "country")
    assert table.rows[0][2:4] == (Cell("trial -> free", changed=True), Cell("10 -> 0", changed=True))
    assert table.note == "first 1 row of 3 rows, 2 more columns not shown"


def test_a_changed_column_far_right_is_shown() -> None:
    columns = tuple("abcdefgh")
    preview = Preview(rows=1, columns=columns, before=(tuple("12345678"),), after=(tuple("12345679"),))
    table = card(replace(PLAIN, statements=(UPDATE,), preview=preview), NOW).preview
    assert table is not None
    assert table.columns == ("a", "b", "c", "d", "h")
    assert table.rows[0][-1] == Cell("8 -> 9", changed=True)


def test_null_and_empty_are_told_apart() -> None:
    preview = replace(ROWS, columns=("a", "b"), before=((None, ""),))
    table = card(replace(PLAIN, preview=preview), NOW).preview
    assert table is not None
    assert table.rows[0] == (Cell("NULL"), Cell("''"))


def test_a_quorum_names_who_has_approved() -> None:
    drawn = card(replace(PLAIN, rev=2, approvals_needed=2, approvals=(Approval(BOB, "slack", NOW + 60),)), NOW + 61)
    assert drawn.outcome == "1 of 2 approvals: bob@example.com at 10:21 UTC"
    assert drawn.quorum == "1 of 2 approvals from dba"
    assert Action.APPROVE in drawn.actions


def test_more_rows_than_the_preview_counted_are_flagged() -> None:
    drawn = card(replace(STATES[State.EXECUTED], rows=45, transaction="open"), NOW + 70)
    assert "45 rows in 12 ms, in a transaction that is not committed yet. The preview had counted 42." in drawn.outcome


def test_locks_and_batches_are_told() -> None:
    many = replace(DELETE, executions=5000, parameters=(("1",), ("2",)))
    drawn = card(replace(PLAIN, statements=(many, UPDATE), where_held="in transaction"), NOW)
    assert drawn.where_held == "In a transaction: its locks are held while you decide."
    assert drawn.headline.startswith("2 statements (DELETE, UPDATE) on public.customers")
    assert drawn.statements[0].title == "DELETE (1 of 2), run 5,000 times"
    assert drawn.statements[0].values[-1] == "... 4,998 more value sets, not shown here"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u202eb", "a[U+202E]b"),
        ("a\u200bb", "a[U+200B]b"),
        ("a\x00b\x1b", "a[U+0000]b[U+001B]"),
        ("a\u00a0b", "a[U+00A0]b"),
        ("a\u3164b\ufe0f", "a[U+3164]b[U+FE0F]"),
        ("Zoë Ünal 日本", "Zoë Ünal 日本"),
        ("a b", "a b"),
    ],
)
def test_what_hides_is_made_visible(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_sql_is_laid_out_without_touching_its_strings() -> None:
    sql = "UPDATE customers SET note = 'moved FROM x WHERE y' WHERE id = 1 AND plan = 'free' RETURNING id"
    assert literal(sql) == (
        "UPDATE customers\nSET note = 'moved FROM x WHERE y'\nWHERE id = 1 AND plan = 'free'\nRETURNING id"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 -- FROM here on, a comment WHERE nothing is what it seems to be at all",
        "DO $x$ BEGIN DELETE FROM customers WHERE id = 1; DELETE FROM orders WHERE id = 1; END $x$",
        "SELECT E'it\\'s FROM' FROM customers WHERE name = 'a very long name indeed, over sixty'",
    ],
)
def test_sql_that_is_not_understood_stays_as_it_is(sql: str) -> None:
    assert literal(sql) == sql


def test_a_tail_can_not_be_pushed_out_of_sight() -> None:
    assert literal("SELECT 1" + "\n" * 50 + "; DROP TABLE t") == "SELECT 1\n[49 empty lines]\n; DROP TABLE t"
    assert literal("SELECT 1" + " " * 500 + "; DROP TABLE t") == "SELECT 1 [500 blanks] ; DROP TABLE t"


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12 ms"), (45, "45 s"), (204, "3 m 24 s"), (7500, "2 h 5 m")])
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_groups_are_counted_when_there_are_many() -> None:
    drawn = card(replace(PLAIN, requester=replace(ANN, groups=frozenset("abcdef"))), NOW)
    assert drawn.who[0].value == "ann@example.com (a, b, c, d and 2 more)"


@settings(max_examples=100, deadline=None)
@given(WILD)
def test_any_request_has_a_card_with_nothing_invisible(request_: ApprovalRequest) -> None:
    drawn = card(request_, NOW + 70)
    lines = [drawn.headline, drawn.notice, drawn.outcome, drawn.consequence, drawn.why, drawn.footer, drawn.confirm]
    for text in lines + [fact.value for fact in drawn.who]:
        assert visible(text) == text
    for statement in drawn.statements:
        assert visible(statement.text, keep="\n\t") == statement.text


def test_a_statement_without_sql_still_has_a_card() -> None:
    assert card(replace(PLAIN, statements=(HeldStatement("DELETE", ""),)), NOW).statements[0].text == ""
