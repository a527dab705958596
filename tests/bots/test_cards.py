"""The neutral card: what it says in each state, what it calls risky, what it makes visible."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from bots.cards import Action, card, reminder
from bots.outcomes import Tone
from bots.texts import in_utc, visible
from gateway.approvals.request import Approval, ApprovalRequest, HeldStatement, Preview, Question, State
from tests.bots.samples import ANN, BOB, DELETE, NOW, PLAIN, ROWS, STATES, UPDATE, WILD


def test_the_newest_question_is_on_the_card() -> None:
    asked = tuple(Question(BOB, "slack", NOW + 60, each) for each in ("why?", "why all?"))
    drawn = card(replace(PLAIN, questions=asked), NOW + 70)
    said = [(each.label, in_utc(each.value)) for each in drawn.who]
    assert ("Question", "bob@example.com asked at 10:21:00 UTC (1 question before): why all?") in said
    over = card(replace(STATES[State.DENIED], questions=asked), NOW + 70)
    assert "Question" not in [each.label for each in over.who]


def test_an_approval_that_waits_for_its_use_can_be_withdrawn() -> None:
    waiting = replace(STATES[State.APPROVED], kept=True)
    assert card(waiting, NOW + 70).actions == (Action.FULL_SQL, Action.WITHDRAW)
    assert card(waiting, waiting.expires_at).actions == (Action.FULL_SQL,)
    assert card(STATES[State.APPROVED], NOW + 70).actions == (Action.FULL_SQL,)


def test_a_pending_card_says_it_all_in_two_lines() -> None:
    drawn = card(PLAIN, NOW)
    assert drawn.headline == "DELETE on public.customers in production (shop)"
    assert in_utc(drawn.notice) == (
        "ann@example.com (cursor) wants to DELETE 42 rows from public.customers in production/shop. Expires 10:30:00 UTC."
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
    assert drawn.actions == (Action.APPROVE, Action.DENY, Action.FULL_SQL, Action.ASK, Action.CHANGES, Action.WITHDRAW)
    assert (drawn.risk, drawn.confirm, drawn.outcome) == ("", "", "")


@pytest.mark.parametrize(
    ("tag", "rows", "wants"),
    [
        ("UPDATE", 3, "UPDATE 3 rows of public.customers"),
        ("UPDATE", None, "UPDATE on public.customers"),
        ("INSERT", 1, "INSERT 1 row into public.customers"),
        ("SELECT", None, "SELECT from public.customers"),
        ("TRUNCATE TABLE", 1990, "TRUNCATE TABLE on public.customers (1,990 rows)"),
        ("CREATE INDEX", None, "CREATE INDEX on public.customers"),
        ("DO", None, "run DO (a block of code) on public.customers"),
        ("", None, "run an unreadable statement on public.customers"),
    ],
)
def test_what_is_wanted_is_a_sentence(tag: str, rows: int | None, wants: str) -> None:
    drawn = card(replace(_of(tag=tag), preview=Preview(rows=rows)), NOW)
    assert f"wants to {wants} in production/shop" in drawn.notice


def test_a_copy_of_a_masked_column_is_a_risk() -> None:
    (statement,) = _of(tag="UPDATE").statements
    copies = (("public.customers.card", "public.notes.body"), ("public.customers.card", "public.notes.head"))
    drawn = card(replace(PLAIN, statements=(replace(statement, copies=copies[:1]),)), NOW)
    assert drawn.risk == "copies public.customers.card, which is masked, into public.notes.body, which is not"
    assert drawn.headline.startswith("HIGH RISK")
    drawn = card(replace(PLAIN, statements=(replace(statement, copies=copies),)), NOW)
    assert drawn.risk.endswith("(and 1 other column likewise)")


def test_the_notice_of_what_is_over_says_how_and_what() -> None:
    assert in_utc(card(STATES[State.EXECUTED], NOW + 70).notice) == (
        "Executed: DELETE on public.customers in production (shop), asked by ann@example.com. "
        "42 rows in 12 ms, committed. Approved by bob@example.com at 10:21:00 UTC."
    )


def test_a_rule_is_named_once() -> None:
    why = f'rule "{PLAIN.rule}" asks for 1 approval of dba'
    assert card(replace(PLAIN, why=why), NOW).why == f'Rule "{PLAIN.rule}" asks for 1 approval of dba'


@pytest.mark.parametrize(
    ("state", "headline", "outcome"),
    [
        (State.PENDING, "", ""),
        (State.APPROVED, "Approved", "Approved by bob@example.com at 10:21:00 UTC. It has not run yet."),
        (State.RELEASED, "Running", "Approved by bob@example.com at 10:21:00 UTC. It is running now."),
        (
            State.EXECUTED,
            "Executed",
            "Executed: 42 rows in 12 ms, committed. Approved by bob@example.com at 10:21:00 UTC.",
        ),
        (
            State.FAILED,
            "Failed",
            "Failed after 3 ms: SQLSTATE 23503 (a foreign key is in the way). Approved by bob@example.com at 10:21:00 UTC.",
        ),
        (
            State.UNKNOWN,
            "Outcome unknown",
            (
                "Unknown: it was sent, and the answer never came: target gone. It may have run: check the target. "
                "Approved by bob@example.com at 10:21:00 UTC."
            ),
        ),
        (State.DENIED, "Denied", "Denied by bob@example.com at 10:21:00 UTC: Use the archive job. Nothing ran."),
        (State.EXPIRED, "Expired", "Expired at 10:30:00 UTC: nobody decided in time. Nothing ran."),
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
    assert in_utc(drawn.outcome) == outcome
    assert drawn.headline == (f"{headline}: " if headline else "") + drawn.title
    assert drawn.state is state


@pytest.mark.parametrize(
    ("state", "consequence"),
    [
        (State.PENDING, "42 rows would be deleted (exact count)."),
        (State.APPROVED, "42 rows would be deleted (exact count)."),
        (State.DENIED, "42 rows would have been deleted (exact count)."),
        (State.RELEASED, ""),
        (State.EXECUTED, ""),
    ],
)
def test_the_consequence_keeps_to_the_truth(state: State, consequence: str) -> None:
    assert card(STATES[state], NOW + 70).consequence == consequence


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (replace(PLAIN, row_cap=42), "42 rows would be deleted (exact count). More than that is rolled back."),
        (replace(PLAIN, row_cap=50), "42 rows would be deleted (exact count). More than 50 rows is rolled back."),
        (
            replace(PLAIN, uncapped="it is secret"),
            "42 rows would be deleted (exact count). No row guard: it is secret.",
        ),
        (replace(STATES[State.DENIED], row_cap=42), "42 rows would have been deleted (exact count)."),
        (replace(STATES[State.EXECUTED], uncapped="it is secret"), ""),
    ],
)
def test_the_card_says_whether_the_count_is_guarded(request_: ApprovalRequest, said: str) -> None:
    assert card(request_, NOW + 70).consequence == said


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
    assert in_utc(drawn.outcome) == "Time is up since 10:30:00 UTC. Nothing ran."


def test_what_foreign_keys_pass_on_is_said() -> None:
    passing = replace(PLAIN, statements=(replace(DELETE, passed_on=("public.order_items", "public.orders")),))
    assert card(passing, NOW).consequence.endswith(
        " Foreign keys or triggers also change rows of public.order_items, public.orders: those are not counted."
    )
    names = tuple(f"public.t{number}" for number in range(6))
    many = card(replace(PLAIN, statements=(replace(DELETE, passed_on=names),)), NOW)
    assert "public.t3 and 2 other tables: those" in many.consequence
    assert "Foreign keys" not in card(PLAIN, NOW).consequence


def test_what_is_over_has_no_risk() -> None:
    ended = replace(_of(tag="DROP TABLE", where=None), state=State.DENIED, decided_by=BOB)
    assert card(ended, NOW).risk == ""


UNREADABLE = 'it can\'t be read here: syntax error at or near "RETURNING"'


def test_an_unreadable_text_is_called_so_and_explained_once() -> None:
    why = f'rule "{PLAIN.rule}" asks for 1 approval of dba (opaque: {UNREADABLE})'
    held = HeldStatement("UNKNOWN", "SELECT JSON_FOO(a RETURNING b)", opaque=UNREADABLE)
    drawn = card(replace(PLAIN, statements=(held,), preview=Preview(note=f"no preview: {UNREADABLE}"), why=why), NOW)
    assert drawn.headline == "HIGH RISK: unreadable statement in production (shop)"
    assert "wants to run an unreadable statement in production/shop" in drawn.notice
    assert drawn.statements[0].title == "unreadable statement"
    assert drawn.consequence == "How many rows it touches is not known."
    texts = " ".join((drawn.risk, drawn.why, drawn.consequence, drawn.preview_note))
    assert texts.count("syntax error") == 1
    assert "opaque" not in texts
    assert "UNKNOWN" not in texts


def test_why_there_is_no_count_is_said_with_it() -> None:
    drawn = card(replace(PLAIN, preview=Preview(note="no preview: it took longer than 2 s")), NOW)
    assert drawn.consequence == "How many rows it touches is not known: it took longer than 2 s."
    assert drawn.preview_note == ""
    over = replace(STATES[State.DENIED], preview=Preview(note="no preview: it took longer than 2 s"))
    assert card(over, NOW).consequence == "", "nobody has to weigh it any more"


def test_nothing_is_said_of_rows_where_there_are_none_to_count() -> None:
    held = HeldStatement("CREATE INDEX", "CREATE INDEX ON orders (at)", ("public.orders",))
    note = "no preview for this kind of statement"
    assert card(replace(PLAIN, statements=(held,), preview=Preview(note=note)), NOW).consequence == ""


def test_an_agent_named_as_its_user_is_not_said_twice() -> None:
    drawn = card(replace(PLAIN, agent=PLAIN.requester.user), NOW)
    assert drawn.notice.startswith("ann@example.com wants to DELETE")


def _of(**changes: object) -> ApprovalRequest:
    return replace(PLAIN, statements=(replace(DELETE, **changes),))  # type: ignore[arg-type] # fields by name


@pytest.mark.parametrize(
    ("request_", "risk"),
    [
        (_of(tag="DROP TABLE", where=None), "DROP TABLE takes it away for good"),
        (_of(tag="CREATE INDEX", where=None), "CREATE INDEX changes the schema"),
        (_of(tag="TRUNCATE TABLE", where=None), "TRUNCATE TABLE empties the table"),
        (_of(tag="GRANT", where=None), "GRANT changes who may do what"),
        (_of(tag="ALTER TABLE", where=None), "ALTER TABLE changes the schema"),
        (_of(tag="DO", where=None), "DO (a block of code)"),
        (_of(tag="CALL", where=None), "CALL (a procedure)"),
        (_of(tag="VACUUM", where=None), "VACUUM"),
        (_of(tag="", where=None), "unreadable statement"),
        (
            _of(tag="UNKNOWN", where=None, opaque="it can't be read here: syntax error"),
            ("the gateway can't read this text, the database may, and it could do anything (syntax error)"),
        ),
        (
            _of(tag="SELECT", where=None, opaque="calls public.purge()"),
            "what it does can't be seen from its text: calls public.purge()",
        ),
        (
            _of(where=False, opaque="calls public.purge()"),
            "what it does can't be seen from its text: calls public.purge() and DELETE has no WHERE",
        ),
        (_of(where=False), "DELETE without WHERE"),
        (replace(PLAIN, preview=replace(ROWS, rows=1001)), "more than 1,000 rows"),
        (replace(PLAIN, preview=replace(ROWS, rows=18_240, kind="estimate")), "more than 1,000 rows"),
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


def test_a_quorum_names_who_has_approved() -> None:
    drawn = card(replace(PLAIN, rev=2, approvals_needed=2, approvals=(Approval(BOB, "slack", NOW + 60),)), NOW + 61)
    assert in_utc(drawn.outcome) == "1 of 2 approvals: bob@example.com at 10:21:00 UTC"
    assert drawn.quorum == "1 of 2 approvals from dba"
    assert Action.APPROVE in drawn.actions


@pytest.mark.parametrize(
    ("needed", "given", "says"),
    [
        (1, 0, ". It runs at once. High risk"),
        (2, 0, ". Yours is approval 1 of 2: nothing runs yet. High risk"),
        (2, 1, ". Yours is approval 2 of 2: it runs at once. High risk"),
    ],
)
def test_the_last_question_says_what_comes_of_a_yes(needed: int, given: int, says: str) -> None:
    approvals = (Approval(BOB, "slack", NOW + 60),) * given
    asked = replace(_of(where=False), approvals_needed=needed, approvals=approvals, rev=1 + given)
    assert says in card(asked, NOW + 61).confirm


def test_locks_and_batches_are_told() -> None:
    many = replace(DELETE, executions=5000, parameters=(("1",), ("2",)))
    drawn = card(replace(PLAIN, statements=(many, UPDATE), where_held="in transaction"), NOW)
    assert drawn.where_held == "In a transaction: its locks are held while you decide."
    assert drawn.headline.startswith("2 statements (DELETE, UPDATE) on public.customers")
    assert drawn.statements[0].title == "DELETE (1 of 2), run 5,000 times"
    assert drawn.statements[0].values[-1] == "... 4,998 more value sets, not shown here"


def test_groups_are_counted_when_there_are_many() -> None:
    drawn = card(replace(PLAIN, requester=replace(ANN, groups=frozenset("abcdef"))), NOW)
    assert drawn.who[0].value == "ann@example.com (a, b, c, d and 2 more)"


@settings(max_examples=100, deadline=None)
@given(WILD)
def test_any_request_has_a_card_with_nothing_invisible(request_: ApprovalRequest) -> None:
    drawn = card(request_, NOW + 70)
    lines = [drawn.headline, drawn.notice, drawn.outcome, drawn.consequence, drawn.why, drawn.footer, drawn.confirm]
    for text in lines + [fact.value for fact in drawn.who]:
        assert visible(in_utc(text)) == in_utc(text)
    for statement in drawn.statements:
        assert visible(statement.text, keep="\n\t") == statement.text


def test_a_statement_without_sql_still_has_a_card() -> None:
    assert card(replace(PLAIN, statements=(HeldStatement("DELETE", ""),)), NOW).statements[0].text == ""


def test_a_reminder_says_what_waits_for_whom_until_when() -> None:
    title = "DELETE on public.customers in production (shop)"
    assert in_utc(reminder(PLAIN)) == (
        f"Still waiting for dba: {title}, asked by ann@example.com. After 10:30:00 UTC nothing runs."
    )
    half = replace(PLAIN, approvals=(Approval(BOB, "slack", NOW),), approvals_needed=2)
    assert " 1 of 2 approvals are given. " in reminder(half)
