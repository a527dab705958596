"""The states of a request: who may decide, what may follow what, and that nothing else ever happens."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals import request as rules
from gateway.approvals.request import (
    OPEN_STATES,
    TRANSITIONS,
    Approval,
    ApprovalRequest,
    Person,
    Refusal,
    State,
    may_review,
    same_person,
    sqlstate_of,
)
from tests.bots.samples import ANN, BOB, CAROL, DELETE, EVE, ISSUER, NOW, PLAIN, STATES, UPDATE

SOON = NOW + 60
LATE = PLAIN.expires_at
QUORUM = replace(PLAIN, approvals_needed=2)
ONE_OF_TWO = replace(QUORUM, rev=2, approvals=(Approval(BOB, "slack", SOON),))
APPROVED = replace(PLAIN, state=State.APPROVED, rev=2, approvals=(Approval(BOB, "slack", SOON),), decided_by=BOB)


def by_mail(email: str) -> Person:
    """Somebody of whom the chat knows the address only."""
    return Person("", "", email, email, frozenset())


def changed(answer: ApprovalRequest | Refusal) -> ApprovalRequest:
    assert isinstance(answer, ApprovalRequest), answer
    return answer


class TestSamePerson:
    @pytest.mark.parametrize(
        ("expected", "other"),
        [
            (True, ANN),
            (True, replace(ANN, user="renamed", email=None)),
            (True, by_mail("Ann@Example.COM")),
            (True, replace(EVE, email="ANN@example.com")),
            (True, replace(EVE, email=None, user="ann@example.com")),
            (False, EVE),
            (False, by_mail("eve@example.com")),
            (False, replace(ANN, issuer="https://other.example", user="ann", email=None)),
            (False, Person("", "", "", None, frozenset())),
        ],
    )
    def test_by_subject_or_by_any_address(self, expected: bool, other: Person) -> None:
        assert same_person(ANN, other) is expected
        assert same_person(other, ANN) is expected

    def test_nobody_is_not_the_same_as_nobody(self) -> None:
        nobody = Person(ISSUER, "", "", None, frozenset())
        assert not same_person(nobody, nobody)


CONTROL = "first\n\x1b[2Jsecond\u202e\ud800\x00 " + "x" * 2000


class TestSaid:
    def test_one_visible_line_of_what_was_typed(self) -> None:
        kept = rules.said(CONTROL)
        assert kept.startswith("first [2Jsecond x")
        assert kept.isprintable()
        assert len(kept) == rules.LONGEST_SAID

    def test_a_denial_and_changes_are_kept_so(self) -> None:
        assert changed(rules.deny(PLAIN, BOB, "slack", CONTROL, SOON)).reason == rules.said(CONTROL)
        assert changed(rules.ask_changes(PLAIN, BOB, "slack", CONTROL, SOON)).changes == rules.said(CONTROL)


class TestAskChanges:
    def test_it_ends_the_request_like_a_denial_by_any_of_them(self) -> None:
        asked = changed(rules.ask_changes(ONE_OF_TWO, CAROL, "teams", "only 2019", SOON))
        assert (asked.state, asked.changes, asked.reason) == (State.DENIED, "only 2019", "")
        assert (asked.decided_by, asked.decided_via, asked.decided_at) == (CAROL, "teams", SOON)

    @pytest.mark.parametrize(("who", "refusal"), [(ANN, Refusal.OWN_REQUEST), (EVE, Refusal.NOT_A_REVIEWER)])
    def test_nobody_else_may(self, who: Person, refusal: Refusal) -> None:
        assert rules.ask_changes(PLAIN, who, "slack", "only 2019", SOON) is refusal


class TestWithdrawOwn:
    @pytest.mark.parametrize("request_", [PLAIN, ONE_OF_TWO, replace(APPROVED, kept=True)])
    @pytest.mark.parametrize("who", [ANN, by_mail("ANN@example.com")])
    def test_the_requester_may_until_it_is_released(self, request_: ApprovalRequest, who: Person) -> None:
        ended = changed(rules.withdraw_own(request_, who, "slack", SOON))
        assert (ended.state, ended.reason) == (State.WITHDRAWN, rules.BY_REQUESTER)
        assert (ended.decided_by, ended.decided_via, ended.decided_at) == (who, "slack", SOON)

    @pytest.mark.parametrize("who", [BOB, EVE])
    def test_nobody_else_may(self, who: Person) -> None:
        assert rules.withdraw_own(PLAIN, who, "slack", SOON) is Refusal.NOT_YOURS

    def test_what_runs_is_not_taken_back(self) -> None:
        running = changed(rules.release(APPROVED, APPROVED.release_digest, SOON))
        assert rules.withdraw_own(running, ANN, "slack", SOON) is Refusal.ALREADY_DECIDED


class TestAsk:
    def test_the_request_waits_on_and_older_cards_still_count(self) -> None:
        asked = replace(changed(rules.ask(PLAIN, BOB, "slack", CONTROL, SOON)), rev=2)
        (question,) = asked.questions
        assert (asked.state, question.by, question.via, question.at) == (State.PENDING, BOB, "slack", SOON)
        assert question.text == rules.said(CONTROL, rules.LONGEST_QUESTION)
        assert changed(rules.approve(asked, CAROL, "slack", SOON, rev=1)).state is State.APPROVED
        assert rules.approve(replace(asked, rev=3), CAROL, "slack", SOON, rev=1) is Refusal.STALE

    @pytest.mark.parametrize(("who", "refusal"), [(ANN, Refusal.OWN_REQUEST), (EVE, Refusal.NOT_A_REVIEWER)])
    def test_nobody_else_may(self, who: Person, refusal: Refusal) -> None:
        assert rules.ask(PLAIN, who, "slack", "why all?", SOON) is refusal

    def test_there_is_an_end_of_it(self) -> None:
        request = PLAIN
        for _ in range(rules.MOST_QUESTIONS):
            request = changed(rules.ask(request, BOB, "slack", "why all?", SOON))
        assert rules.ask(request, CAROL, "slack", "why all?", SOON) is Refusal.ENOUGH_ASKED


class TestMayReview:
    @pytest.mark.parametrize(
        ("expected", "groups", "users", "person"),
        [
            (True, {"dba"}, set(), BOB),
            (False, {"dba"}, set(), EVE),
            (False, {"DBA"}, set(), BOB),
            (True, set(), {"Bob@Example.com"}, BOB),
            (True, set(), {"bob@example.com"}, by_mail("BOB@example.com")),
            (True, set(), {"robot"}, Person(ISSUER, "s", "robot", None, frozenset())),
            (False, set(), {"bob"}, BOB),
            (False, set(), {""}, Person("", "", "", "", frozenset())),
            (False, set(), set(), BOB),
        ],
    )
    def test_groups_or_users(self, expected: bool, groups: set[str], users: set[str], person: Person) -> None:
        request = replace(PLAIN, reviewer_groups=frozenset(groups), reviewer_users=frozenset(users))
        assert may_review(request, person) is expected


class TestApprove:
    def test_one_is_enough_for_one(self) -> None:
        approved = changed(rules.approve(PLAIN, BOB, "slack", SOON, rev=1))
        assert approved.state is State.APPROVED
        assert (approved.decided_by, approved.decided_via, approved.decided_at) == (BOB, "slack", SOON)
        assert approved.approvals == (Approval(BOB, "slack", SOON),)

    def test_a_quorum_counts_distinct_people(self) -> None:
        first = changed(rules.approve(QUORUM, BOB, "slack", SOON))
        assert (first.state, first.decided_by) == (State.PENDING, None)
        again = rules.approve(first, replace(BOB, subject="second-account"), "teams", SOON)
        assert again is Refusal.ALREADY_COUNTED
        assert changed(rules.approve(first, CAROL, "teams", SOON)).state is State.APPROVED

    @pytest.mark.parametrize(
        ("expected", "request_", "who", "now"),
        [
            (Refusal.OWN_REQUEST, replace(PLAIN, reviewer_groups=frozenset({"engineering"})), ANN, SOON),
            (Refusal.OWN_REQUEST, replace(PLAIN, reviewer_users=frozenset({"ann@example.com"})), by_mail("ANN@example.com"), SOON),
            (Refusal.OWN_REQUEST, STATES[State.DENIED], ANN, SOON),
            (Refusal.NOT_A_REVIEWER, PLAIN, EVE, SOON),
            (Refusal.NOT_A_REVIEWER, STATES[State.DENIED], EVE, LATE),
            (Refusal.EXPIRED, PLAIN, BOB, LATE),
            (Refusal.EXPIRED, PLAIN, BOB, LATE + 1),
            (Refusal.EXPIRED, STATES[State.EXPIRED], BOB, SOON),
            (Refusal.ALREADY_DECIDED, STATES[State.APPROVED], BOB, SOON),
            (Refusal.ALREADY_DECIDED, STATES[State.WITHDRAWN], BOB, LATE),
            (Refusal.ALREADY_COUNTED, ONE_OF_TWO, BOB, SOON),
        ],
    )  # fmt: skip
    def test_refusals(self, expected: Refusal, request_: ApprovalRequest, who: Person, now: float) -> None:
        assert rules.approve(request_, who, "slack", now) is expected

    @pytest.mark.parametrize(
        ("typed", "read", "expected"),
        [
            ("public.customers", True, None),
            (" public.customers\n", True, None),
            ("public.customers", False, Refusal.NOT_READ),
            ("", True, Refusal.NOT_TYPED),
            ("customers", True, Refusal.NOT_TYPED),
            ("PUBLIC.CUSTOMERS", True, Refusal.NOT_TYPED),
            ("public.customers, public.orders", True, Refusal.NOT_TYPED),
        ],
    )
    def test_what_a_rule_wants_typed_and_read(self, typed: str, read: bool, expected: Refusal | None) -> None:
        asked = replace(PLAIN, to_type="public.customers", full_view=True)
        answer = rules.approve(asked, BOB, "slack", SOON, typed=typed, read=read)
        assert (answer if isinstance(answer, Refusal) else None) is expected

    def test_where_nothing_is_to_be_typed_something_typed_is_a_mistake(self) -> None:
        assert rules.approve(PLAIN, BOB, "slack", SOON, typed="no, wait") is Refusal.NOT_TYPED

    def test_an_outsider_hears_nothing_of_what_is_to_be_typed(self) -> None:
        assert rules.approve(replace(PLAIN, to_type="x"), EVE, "slack", SOON) is Refusal.NOT_A_REVIEWER

    def test_a_denial_needs_neither(self) -> None:
        asked = replace(PLAIN, to_type="public.customers", full_view=True)
        assert changed(rules.deny(asked, BOB, "slack", "no", SOON)).state is State.DENIED

    def test_the_last_moment_counts(self) -> None:
        assert changed(rules.approve(PLAIN, BOB, "slack", LATE - 0.001)).state is State.APPROVED

    @pytest.mark.parametrize(
        ("request_", "rev", "passes"),
        [(ONE_OF_TWO, 1, True), (ONE_OF_TWO, 2, True), (ONE_OF_TWO, 3, False), (ONE_OF_TWO, 0, False), (replace(PLAIN, rev=2), 1, False)],
    )  # fmt: skip
    def test_a_card_is_stale_unless_only_approvals_came_since(
        self, request_: ApprovalRequest, rev: int, passes: bool
    ) -> None:
        answer = rules.approve(request_, CAROL, "slack", SOON, rev=rev)
        assert isinstance(answer, ApprovalRequest) if passes else answer is Refusal.STALE


class TestDeny:
    def test_one_reviewer_ends_it_whatever_the_quorum(self) -> None:
        denied = changed(rules.deny(ONE_OF_TWO, CAROL, "slack", "  use the job \n", SOON))
        assert (denied.state, denied.reason, denied.decided_by) == (State.DENIED, "use the job", CAROL)

    @pytest.mark.parametrize(
        ("expected", "request_", "who", "now"),
        [
            (Refusal.OWN_REQUEST, PLAIN, ANN, SOON),
            (Refusal.NOT_A_REVIEWER, PLAIN, EVE, SOON),
            (Refusal.ALREADY_DECIDED, STATES[State.APPROVED], CAROL, SOON),
            (Refusal.EXPIRED, PLAIN, BOB, LATE),
        ],
    )
    def test_denying_is_a_privilege_too(
        self, expected: Refusal, request_: ApprovalRequest, who: Person, now: float
    ) -> None:
        assert rules.deny(request_, who, "slack", "no", now) is expected


class TestEnds:
    @pytest.mark.parametrize("state", sorted(OPEN_STATES, key=str))
    def test_expiry_waits_for_its_time(self, state: State) -> None:
        assert rules.expire(STATES[state], LATE - 0.001) is Refusal.STALE
        expired = changed(rules.expire(STATES[state], LATE))
        assert (expired.state, expired.decided_at) == (State.EXPIRED, LATE)
        assert ("approved" in expired.reason) == (state is State.APPROVED)

    def test_an_end_keeps_who_approved(self) -> None:
        withdrawn = changed(rules.withdraw(STATES[State.APPROVED], "client gone", SOON))
        assert (withdrawn.state, withdrawn.reason) == (State.WITHDRAWN, "client gone")
        assert withdrawn.approvals == STATES[State.APPROVED].approvals

    def test_only_a_pending_request_is_undeliverable(self) -> None:
        assert changed(rules.undeliverable(PLAIN, "not_in_channel", SOON)).state is State.UNDELIVERABLE
        assert rules.undeliverable(STATES[State.APPROVED], "not_in_channel", SOON) is Refusal.ALREADY_DECIDED

    def test_policy_may_still_stop_what_is_approved(self) -> None:
        assert changed(rules.supersede(STATES[State.APPROVED], "denied now", SOON)).state is State.SUPERSEDED

    @pytest.mark.parametrize("state", [state for state in State if state not in OPEN_STATES])
    def test_what_has_ended_or_runs_does_not_end_again(self, state: State) -> None:
        expected = Refusal.EXPIRED if state is State.EXPIRED else Refusal.ALREADY_DECIDED
        for end in (rules.withdraw, rules.supersede, rules.undeliverable):
            assert end(STATES[state], "why", SOON) is expected
        assert rules.expire(STATES[state], LATE) is expected


class TestRelease:
    def test_once_and_only_what_was_approved(self) -> None:
        approved = STATES[State.APPROVED]
        released = changed(rules.release(approved, approved.release_digest, SOON))
        assert (released.state, released.released_at) == (State.RELEASED, SOON)
        assert rules.release(approved, "another digest", SOON) is Refusal.STALE
        assert rules.release(released, approved.release_digest, SOON) is Refusal.ALREADY_DECIDED

    @pytest.mark.parametrize(
        ("expected", "request_", "now"),
        [
            (Refusal.STALE, PLAIN, SOON),
            (Refusal.STALE, ONE_OF_TWO, SOON),
            (Refusal.EXPIRED, STATES[State.APPROVED], LATE),
            (Refusal.EXPIRED, STATES[State.EXPIRED], SOON),
            (Refusal.ALREADY_DECIDED, STATES[State.DENIED], SOON),
        ],
    )
    def test_nothing_else_is_released(self, expected: Refusal, request_: ApprovalRequest, now: float) -> None:
        assert rules.release(request_, request_.release_digest, now) is expected


class TestFinish:
    def test_executed_or_failed_by_the_sqlstate(self) -> None:
        running = STATES[State.RELEASED]
        done = changed(rules.finish(running, SOON, rows=42, sqlstate="", duration_ms=1.5, transaction="open"))
        assert (done.state, done.rows, done.duration_ms, done.finished_at) == (State.EXECUTED, 42, 1.5, SOON)
        failed = changed(
            rules.finish(running, SOON, rows=None, sqlstate="23503", duration_ms=1.5, transaction="rolled back")
        )
        assert (failed.state, failed.sqlstate) == (State.FAILED, "23503")

    def test_an_answer_that_never_came_is_unknown(self) -> None:
        assert changed(rules.unknown(STATES[State.RELEASED], "target gone", SOON)).state is State.UNKNOWN
        assert rules.unknown(STATES[State.APPROVED], "target gone", SOON) is Refusal.ALREADY_DECIDED

    def test_only_what_was_released_finishes(self) -> None:
        for state in set(State) - {State.RELEASED}:
            answer = rules.finish(STATES[state], SOON, rows=1, sqlstate="", duration_ms=1.0, transaction="open")
            assert answer is Refusal.ALREADY_DECIDED

    def test_an_open_transaction_is_settled_once(self) -> None:
        still_open = replace(STATES[State.EXECUTED], transaction="open")
        settled = changed(rules.settle(still_open, "rolled back"))
        assert (settled.state, settled.transaction) == (State.EXECUTED, "rolled back")
        assert rules.settle(settled, "committed") is Refusal.ALREADY_DECIDED
        assert rules.settle(STATES[State.FAILED], "committed") is Refusal.ALREADY_DECIDED


@pytest.mark.parametrize(
    ("expected", "state", "reason"),
    [
        ("42501", State.DENIED, "no"),
        ("57014", State.EXPIRED, ""),
        ("57014", State.WITHDRAWN, "cancelled"),
        ("57014", State.WITHDRAWN, "token expired"),
        ("57P01", State.WITHDRAWN, "target gone"),
        ("57P01", State.WITHDRAWN, "gateway gone (its process ended)"),
        ("42501", State.DENIED, "target gone"),
        ("42501", State.SUPERSEDED, ""),
        ("42501", State.UNDELIVERABLE, ""),
        ("", State.APPROVED, ""),
        ("", State.EXECUTED, ""),
    ],
)
def test_sqlstates_of_outcomes(expected: str, state: State, reason: str) -> None:
    assert sqlstate_of(state, reason) == expected


def test_tags_and_relations_stand_once_each() -> None:
    request = replace(PLAIN, statements=(DELETE, UPDATE, replace(DELETE, relations=("public.orders",))))
    assert rules.tag_of(request) == "DELETE, UPDATE"
    assert rules.relations_of(request) == ["public.customers", "public.orders"]


# Whatever is tried, in whatever order -------------------------------------------------------------------------------

Step = Callable[[ApprovalRequest], ApprovalRequest | Refusal]
PEOPLE = st.sampled_from([ANN, BOB, CAROL, EVE, by_mail("bob@example.com"), by_mail("ann@example.com")])
TIMES = st.floats(NOW - 10, LATE + 10)


def _steps() -> st.SearchStrategy[Step]:
    revs = st.one_of(st.none(), st.integers(0, 4))
    digests = st.sampled_from([PLAIN.release_digest, "other"])
    states = st.sampled_from(["", "23503"])
    ends = st.sampled_from([rules.withdraw, rules.supersede, rules.undeliverable, rules.unknown])
    return st.one_of(
        st.builds(lambda who, now, rev: lambda r: rules.approve(r, who, "slack", now, rev=rev), PEOPLE, TIMES, revs),
        st.builds(lambda who, now: lambda r: rules.deny(r, who, "slack", "no", now), PEOPLE, TIMES),
        st.builds(lambda who, now: lambda r: rules.ask_changes(r, who, "slack", "no", now), PEOPLE, TIMES),
        st.builds(lambda now: lambda r: rules.expire(r, now), TIMES),
        st.builds(lambda end, now: lambda r: end(r, "why", now), ends, TIMES),
        st.builds(lambda digest, now: lambda r: rules.release(r, digest, now), digests, TIMES),
        st.builds(
            lambda sqlstate, now: (
                lambda r: rules.finish(r, now, rows=1, sqlstate=sqlstate, duration_ms=1.0, transaction="open")
            ),
            states,
            TIMES,
        ),
        st.just(lambda r: rules.settle(r, "committed")),
    )


@given(needed=st.integers(1, 3), steps=st.lists(_steps(), max_size=25))
def test_no_interleaving_leaves_the_transitions(needed: int, steps: list[Step]) -> None:
    request = replace(PLAIN, approvals_needed=needed)
    path = [request.state]
    for step in steps:
        answer = step(request)
        if isinstance(answer, Refusal):
            continue
        assert answer.state in TRANSITIONS[request.state]
        assert answer.rev == request.rev, "the store counts"
        assert answer != request
        request = replace(answer, rev=request.rev + 1)
        path.append(request.state)
    assert path.count(State.RELEASED) <= 1
    if State.RELEASED in path:
        assert State.APPROVED in path[: path.index(State.RELEASED)]
    people = [given.by for given in request.approvals]
    assert not any(same_person(person, ANN) or not may_review(request, person) for person in people)
    assert len({person.email for person in people}) == len(people) <= needed


@given(step=_steps(), state=st.sampled_from([state for state in State if not TRANSITIONS[state]]))
def test_a_terminal_state_never_changes(step: Step, state: State) -> None:
    assert isinstance(step(STATES[state]), Refusal)
