"""The desk: what is recorded, who is woken, who wins. The races run on a real PostgreSQL."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.approvals.cooldown import CoolDown
from gateway.approvals.decisions import (
    Answer,
    Approve,
    Ask,
    Decided,
    Decision,
    Deny,
    Refused,
    RequestChanges,
    Revoke,
    RevokeGrant,
)
from gateway.approvals.desk import AtMost, Desk
from gateway.approvals.grants import Scope, Terms
from gateway.approvals.request import OPEN_STATES, TRANSITIONS, ApprovalRequest, Person, Refusal, State, Wire
from gateway.audit.entry import Value, together
from gateway.audit.query import parse
from gateway.errors import NotPermitted, StoreUnavailable, TooManyRequests
from gateway.store.memory import MemoryStore
from tests.approvals.desks import DEADLINE, DIGEST, Replica, decided, refused
from tests.bots.samples import ANN, BOB, CAROL, DELETE, EVE, UPDATE
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool, fresh


class TestRecord:
    async def test_a_held_statement_is_recorded_with_all_that_audit_asks_for(
        self, desk: Desk, spool: ListSpool
    ) -> None:
        request = fresh(statements=(DELETE, UPDATE))
        await desk.open(request)
        [entry] = spool.written
        assert entry.body == {
            "seq": 1,
            "replica": "gate-1",
            "at": entry.body["at"],
            "prev": entry.body["prev"],
            "kind": "held",
            "session": "8f31c2",
            "issuer": "https://issuer.example",
            "subject": "sub-ann",
            "user": "ann@example.com",
            "groups": ["engineering"],
            "agent": "cursor",
            "client": "10.0.0.7",
            "target": "shop",
            "request": request.id,
            "rule": "writes wait for a DBA",
            "verdict": "hold",
            "tag": "DELETE, UPDATE",
            "tables": ["public.customers"],
            "sql": f"{DELETE.sql};\n{UPDATE.sql}",
            "parameters": [["2020-01-01"]],
            "rows": 42,
            "reason": "clean up customers that never came back",
        }

    async def test_a_whole_life(self, desk: Desk, spool: ListSpool) -> None:
        request = fresh()
        await desk.open(request)
        assert decided(await desk.decide(request.id, 1, BOB, Approve(), "slack")).state is State.APPROVED
        assert decided(await desk.release(request.id, DIGEST)).state is State.RELEASED
        assert decided(await desk.finish(request.id, 42, "", 12.5, "open")).state is State.EXECUTED
        assert decided(await desk.settle(request.id, "committed")).rev == 5
        assert spool.kinds() == [("held", None), ("decided", "approved"), ("released", None)]
        approval, release = (entry.body for entry in spool.written[1:])
        assert (approval["decided_by"], approval["via"], approval["tag"]) == ("bob@example.com", "slack", "DELETE")
        assert (release["decided_by"], release["via"], release["request"]) == ("bob@example.com", "slack", request.id)

    async def test_a_quorum_records_each_approval_in_its_givers_name(self, desk: Desk, spool: ListSpool) -> None:
        request = fresh(approvals_needed=2)
        await desk.open(request)
        assert decided(await desk.decide(request.id, 1, BOB, Approve(), "slack")).state is State.PENDING
        assert decided(await desk.decide(request.id, 1, CAROL, Approve(), "teams")).state is State.APPROVED
        given = [(entry.body["decided_by"], entry.body["via"], entry.body["reason"]) for entry in spool.written[1:]]
        assert given == [
            ("bob@example.com", "slack", "1 of 2 approvals"),
            ("carol@example.com", "teams", "2 of 2 approvals"),
        ]

    @pytest.mark.parametrize(
        ("end", "outcome", "sqlstate", "reason"),
        [
            (
                lambda desk, id_: desk.decide(id_, 1, BOB, Deny("use the job"), "slack"),
                "denied",
                "42501",
                "use the job",
            ),
            (
                lambda desk, id_: desk.decide(id_, 1, BOB, RequestChanges("only 2019"), "slack"),
                "denied",
                "42501",
                "changes requested: only 2019",
            ),
            (lambda desk, id_: desk.withdraw(id_, "cancelled"), "withdrawn", "57014", "cancelled"),
            (lambda desk, id_: desk.withdraw(id_, "target gone"), "withdrawn", "57P01", "target gone"),
            (lambda desk, id_: desk.supersede(id_, "denied now"), "superseded", "42501", "denied now"),
            (lambda desk, id_: desk.undeliverable(id_, "no card"), "undeliverable", "42501", "no card"),
        ],
    )
    async def test_each_end_is_an_answer_to_audit(
        self,
        desk: Desk,
        store: MemoryStore,
        clock: Clock,
        end: Callable[[Desk, str], Coroutine[object, object, Answer]],
        outcome: str,
        sqlstate: str,
        reason: str,
    ) -> None:
        request = fresh()
        await desk.open(request)
        decided(await end(desk, request.id))
        [entry], total = await store.audit(parse(f"user:ann verb:delete table:customers decision:{outcome}", clock()))
        assert total == 1
        assert (entry["outcome"], entry["sqlstate"], entry["reason"]) == (outcome, sqlstate, reason)
        assert ("decided_by" in entry) == (outcome == "denied")

    @pytest.mark.parametrize("who", [ANN, EVE])
    @pytest.mark.parametrize("decision", [Approve(), Deny("no"), RequestChanges("less")])
    async def test_a_click_without_right_changes_nothing_and_is_recorded(
        self, desk: Desk, store: MemoryStore, spool: ListSpool, clock: Clock, who: Person, decision: Decision
    ) -> None:
        request = fresh()
        await desk.open(request)
        answer = await desk.decide(request.id, 1, who, decision, "slack")
        assert isinstance(answer, Refused)
        assert answer.request == request == await desk.show(request.id)
        entry = spool.written[-1]
        expected: dict[str, Value] = {"kind": "refused", "decided_by": who.user, "via": "slack", "request": request.id}
        assert {name: entry.body[name] for name in expected} == expected
        assert entry.body["reason"] == answer.refusal.value
        await store.append(together(spool.written))
        assert (await store.audit(parse("", clock())))[1] == 0, "it ends no statement"

    async def test_a_button_that_does_not_belong_to_what_is_stored_decides_nothing_and_is_recorded(
        self, desk: Desk, spool: ListSpool
    ) -> None:
        request = fresh()
        await desk.open(request)
        for decision in (Approve(), Deny("no")):
            answer = await desk.decide(
                request.id, 1, BOB, decision, "slack", genuine=lambda held: held.id != request.id
            )
            assert refused(answer) is Refusal.FORGED
            assert spool.written[-1].body["reason"] == "forged button"
        assert await desk.show(request.id) == request

    async def test_a_click_on_an_unknown_request_is_recorded(self, desk: Desk, spool: ListSpool) -> None:
        answer = await desk.decide("x" * 500, 1, BOB, Approve(), "slack")
        assert answer == Refused(Refusal.UNKNOWN_REQUEST, None)
        assert spool.written[-1].body["request"] == "x" * 64

    async def test_a_late_click_is_told_the_truth_and_recorded(self, desk: Desk, spool: ListSpool) -> None:
        request = fresh()
        await desk.open(request)
        denied = decided(await desk.decide(request.id, 1, BOB, Deny("no"), "slack"))
        with capture_logs() as logged:
            for _ in range(4):
                late = await desk.decide(request.id, 1, CAROL, Approve(), "slack")
                assert late == Refused(Refusal.ALREADY_DECIDED, denied)
        assert logged == [], "nobody tried anything"
        assert spool.kinds() == [("held", None), ("decided", "denied"), *[("refused", None)] * 4]
        assert spool.written[-1].body["reason"] == "already decided"
        assert spool.written[-1].body["decided_by"] == CAROL.user


async def test_three_clicks_without_a_right_are_told_to_operators(desk: Desk, spool: ListSpool) -> None:
    request = fresh()
    await desk.open(request)
    with capture_logs() as logged:
        for count in (0, 0, 1, 2):
            await desk.decide(request.id, 1, EVE, Approve(), "slack")
            assert len(logged) == count
    assert [(each["event"], each["user"], each["tries"]) for each in logged] == [
        ("clicks.unauthorised", "eve@example.com", 3),
        ("clicks.unauthorised", "eve@example.com", 4),
    ]
    assert [entry.kind for entry in spool.written[1:]] == ["refused"] * 4


async def test_an_approval_that_is_not_the_last_is_told_of(store: MemoryStore, spool: ListSpool, clock: Clock) -> None:
    counted: list[ApprovalRequest] = []
    desk = Desk(store, spool, clock=clock, link_max_age=3600.0, counted=counted.append)
    request = fresh(approvals_needed=2)
    await desk.open(request)
    await desk.decide(request.id, None, EVE, Approve(), "slack")
    await desk.decide(request.id, None, BOB, Ask("why?"), "slack")
    assert counted == []
    await desk.decide(request.id, None, BOB, Approve(), "slack")
    assert [(each.id, len(each.approvals)) for each in counted] == [(request.id, 1)]
    await desk.decide(request.id, None, CAROL, Approve(), "slack")
    assert len(counted) == 1
    await desk.close()


async def test_an_escalation_is_noted_once_and_makes_no_card_stale(desk: Desk, spool: ListSpool) -> None:
    request = fresh(escalate_to=("slack:C2", "teams:19:x"), escalate_at=time.time() + 60)
    await desk.open(request)
    escalated = await desk.escalate(request.id)
    assert escalated is not None
    assert (escalated.rev, escalated.escalated_at is not None) == (2, True)
    assert await desk.escalate(request.id) is None
    entry = spool.written[-1].body
    assert (entry["kind"], entry["reason"]) == (
        "escalated",
        "nobody had decided: asked in slack:C2, teams:19:x as well",
    )
    assert refused(await desk.decide(request.id, 1, EVE, Approve(), "slack")) is Refusal.NOT_A_REVIEWER
    assert decided(await desk.decide(request.id, 1, BOB, Approve(), "slack")).state is State.APPROVED
    assert await desk.escalate(request.id) is None


class TestCoolDown:
    async def test_the_like_is_denied_without_asking_anybody(self, desk: Desk, store: MemoryStore) -> None:
        await _denied_twice(desk)
        with pytest.raises(
            NotPermitted, match=r"denied by the gateway until .* UTC: bob@example\.com denied this 2 times"
        ):
            await desk.open(fresh(id="third", alike="same"), None, CoolDown())
        assert await store.get("third") is None

    async def test_it_holds_up_nobody_else_and_nothing_else(self, desk: Desk) -> None:
        await _denied_twice(desk)
        for other in (fresh(alike="same", requester=CAROL), fresh(alike="another")):
            assert await desk.open(other, None, CoolDown()) is None
        elsewhere = replace(ANN, issuer="https://other.example")
        assert await desk.open(fresh(alike="same", requester=elsewhere), None, CoolDown()) is None

    async def test_who_waits_for_an_open_request_still_joins_it(self, desk: Desk) -> None:
        kept = fresh(alike="same", kept=True)
        assert await desk.open(kept, None, CoolDown()) is None
        await _denied_twice(desk)
        joined = await desk.open(fresh(alike="same", kept=True), None, CoolDown())
        assert joined is not None
        assert joined.id == kept.id

    async def test_what_a_reviewer_has_granted_since_goes(self, desk: Desk, clock: Clock) -> None:
        giver = fresh(alike="same", grantable=Terms("shape", 60, None, 100))
        assert await desk.open(giver, None, CoolDown()) is None
        await _denied_twice(desk)
        approval = Approve(scope=Scope(minutes=60))
        assert decided(await desk.decide(giver.id, None, BOB, approval, "slack")).grant is not None
        covered = await desk.open(fresh(alike="same", grantable=giver.grantable), None, CoolDown())
        assert covered is not None
        assert covered.under == giver.id

    async def test_it_ends_by_itself(self, desk: Desk, clock: Clock) -> None:
        await _denied_twice(desk)
        clock.now += CoolDown().lasts + 1
        assert await desk.open(fresh(alike="same"), None, CoolDown()) is None


async def _denied_twice(desk: Desk) -> None:
    for _ in range(2):
        request = fresh(alike="same")
        assert await desk.open(request, None, CoolDown()) is None
        await desk.decide(request.id, None, BOB, Deny("use the job"), "slack")


class TestRelease:
    async def test_only_what_was_approved(self, desk: Desk) -> None:
        request = fresh()
        await desk.open(request)
        assert refused(await desk.release(request.id, DIGEST)) is Refusal.STALE
        await desk.decide(request.id, 1, BOB, Approve(), "slack")
        assert refused(await desk.release(request.id, "something else")) is Refusal.STALE
        assert decided(await desk.release(request.id, DIGEST)).state is State.RELEASED
        assert refused(await desk.release(request.id, DIGEST)) is Refusal.ALREADY_DECIDED

    async def test_of_a_quorum_not_when_one_is_no_reviewer_any_more(
        self, desk: Desk, store: MemoryStore, clock: Clock
    ) -> None:
        for gone in (False, True):
            for each in (BOB, CAROL):
                await store.saw(each, clock.now)
            request = fresh(approvals_needed=2)
            await desk.open(request)
            for each in (BOB, CAROL):
                await desk.decide(request.id, None, each, Approve(), "slack")
            if gone:
                await store.saw(replace(BOB, groups=frozenset({"engineering"})), clock.now + 1)
            answer = await desk.release(request.id, DIGEST)
            if not gone:
                assert decided(answer).state is State.RELEASED
                continue
            assert isinstance(answer, Refused)
            assert answer.request is not None
            assert answer.request.state is State.WITHDRAWN
            assert answer.request.reason == "bob@example.com, who approved it, is no reviewer of it any more"

    async def test_not_when_its_time_is_over(self, desk: Desk, clock: Clock) -> None:
        request = fresh()
        await desk.open(request)
        await desk.decide(request.id, 1, BOB, Approve(), "slack")
        clock.now = request.expires_at
        assert refused(await desk.release(request.id, DIGEST)) is Refusal.EXPIRED


class TestReviewer:
    async def test_without_a_directory_the_last_token_counts_while_it_is_fresh(
        self, desk: Desk, store: MemoryStore, clock: Clock
    ) -> None:
        await store.saw(BOB, clock.now)
        assert await desk.reviewer("Bob@example.com") == BOB
        clock.now += 3601.0
        forgotten = await desk.reviewer("bob@example.com")
        assert forgotten == Person("", "", "bob@example.com", "bob@example.com", frozenset())

    async def test_an_account_says_more_than_an_address(self, desk: Desk, store: MemoryStore, clock: Clock) -> None:
        await store.saw(BOB, clock.now)
        await store.saw(CAROL, clock.now)
        accounts = [("https://other.example", CAROL.subject), (CAROL.issuer, CAROL.subject)]
        assert await desk.reviewer("bob@example.com", accounts) == CAROL
        assert await desk.reviewer("bob@example.com", accounts[:1]) == BOB
        clock.now += 3601.0
        forgotten = await desk.reviewer("carol@example.com", accounts)
        assert forgotten == Person("", "", "carol@example.com", "carol@example.com", frozenset())

    async def test_a_directory_has_the_last_word(self, store: MemoryStore, clock: Clock) -> None:
        async def directory(email: str) -> Person | None:
            return CAROL if email == "carol@example.com" else None

        desk = Desk(store, ListSpool(), clock=clock, link_max_age=3600.0, directory=directory)
        await store.saw(BOB, clock.now)
        assert await desk.reviewer("carol@example.com") == CAROL
        left = await desk.reviewer("bob@example.com")
        assert left is not None
        assert left.groups == frozenset()

    async def test_no_address_is_nobody(self, desk: Desk) -> None:
        assert await desk.reviewer("") is None


async def test_pending_is_what_waits(desk: Desk) -> None:
    waiting, ended = fresh(), fresh()
    await desk.open(waiting)
    await desk.open(ended)
    await desk.withdraw(ended.id, "cancelled")
    assert await desk.pending() == [waiting]


# Races, on PostgreSQL -----------------------------------------------------------------------------------------------


def outcomes(replicas: tuple[Replica, Replica]) -> list[Value]:
    return [entry.body["outcome"] for each in replicas for entry in each.spool.written if entry.kind == "decided"]


async def stored_outcomes(replica: Replica) -> list[Value]:
    chains = [await replica.store.chain(name, 0, 1000) for name in ("gate-1", "gate-2")]
    return [entry["outcome"] for chain in chains for entry in chain if entry["kind"] == "decided"]


async def test_fifty_clicks_at_once_are_one_decision(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    request = fresh()
    await one.desk.open(request)

    def click(number: int) -> Coroutine[object, object, Answer]:
        decision = Approve() if number % 3 else Deny("no")
        return replicas[number % 2].desk.decide(request.id, 1, (BOB, CAROL)[number % 5 % 2], decision, "slack")

    async with asyncio.timeout(DEADLINE):
        answers = await asyncio.gather(*(click(number) for number in range(50)))
    [winner] = [answer.request for answer in answers if isinstance(answer, Decided)]
    losers = [answer for answer in answers if isinstance(answer, Refused)]
    assert len(losers) == 49
    assert {answer.refusal for answer in losers} == {Refusal.ALREADY_DECIDED}
    assert all(answer.request == winner for answer in losers), "each is told what was decided and by whom"
    assert outcomes(replicas) == await stored_outcomes(one) == [winner.state.value]
    assert await two.desk.show(request.id) == winner


async def test_fifty_releases_at_once_are_one_release(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    request = fresh()
    await one.desk.open(request)
    await two.desk.decide(request.id, 1, BOB, Approve(), "slack")
    answers = await asyncio.gather(*(replicas[n % 2].desk.release(request.id, DIGEST) for n in range(50)))
    assert Counter(type(answer) for answer in answers) == {Decided: 1, Refused: 49}
    assert [entry.kind for each in replicas for entry in each.spool.written].count("released") == 1


async def test_approval_against_expiry_withdrawal_and_denial_has_one_outcome(replicas: tuple[Replica, Replica]) -> None:
    """Each round starts all of them at the moment at which the request expires."""
    one, two = replicas
    seen = Counter[State]()
    for round_ in range(12):
        request = fresh(expires_at=time.time() + 0.03)
        await one.store.open(request, lambda _: [])
        moves = [
            two.desk.decide(request.id, 1, BOB, Approve(), "slack"),
            one.desk.expire(request.id),
            two.desk.decide(request.id, 1, CAROL, Deny("no"), "slack"),
            one.desk.withdraw(request.id, "client gone"),
        ]
        if round_ % 2:
            while time.time() < request.expires_at:  # no sleep: up to the very moment
                await one.desk.show(request.id)
        first = round_ % len(moves)
        answers = await asyncio.gather(*moves[first:], *moves[:first])
        stored = await one.desk.show(request.id)
        assert stored is not None
        changes = [answer.request.state for answer in answers if isinstance(answer, Decided)]
        # approved may be followed by expired or withdrawn: nothing ran; nothing else follows anything
        assert changes, "somebody wins"
        assert stored.rev == 1 + len(changes)
        ends = [state for state in changes if not TRANSITIONS[state]]
        assert ends == [stored.state] or (ends == [] and stored.state in OPEN_STATES)
        seen[stored.state] += 1
    assert sum(seen.values()) == 12
    assert Counter(outcomes(replicas)) == Counter(await stored_outcomes(one)), "spool and store agree"


async def test_withdrawal_against_release_runs_or_withdraws(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    for _ in range(10):
        request = fresh()
        await one.desk.open(request)
        await two.desk.decide(request.id, 1, BOB, Approve(), "slack")
        answers = await asyncio.gather(one.desk.withdraw(request.id, "cancelled"), two.desk.release(request.id, DIGEST))
        won = [answer.request.state for answer in answers if isinstance(answer, Decided)]
        stored = await one.desk.show(request.id)
        assert stored is not None
        assert won == [stored.state]
        assert stored.state in {State.WITHDRAWN, State.RELEASED}


async def test_two_replicas_expire_once(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    request = fresh(expires_at=time.time() - 1)
    await one.store.open(request, lambda _: [])
    answers = await asyncio.gather(*(each.desk.expire(request.id) for each in replicas for _ in range(5)))
    assert len([answer for answer in answers if isinstance(answer, Decided)]) == 1
    stored = await two.desk.show(request.id)
    assert stored is not None
    assert stored.state is State.EXPIRED
    assert outcomes(replicas) == ["expired"]


async def test_a_quorum_of_two_counts_two_at_once(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    request = replace(fresh(), approvals_needed=2)
    await one.desk.open(request)
    answers = await asyncio.gather(
        *(each.desk.decide(request.id, 1, who, Approve(), "slack") for each in replicas for who in (BOB, CAROL))
    )
    states = sorted(answer.request.state.value for answer in answers if isinstance(answer, Decided))
    assert states == ["approved", "pending"]
    assert {refused(answer) for answer in answers if isinstance(answer, Refused)} <= {
        Refusal.ALREADY_COUNTED,
        Refusal.ALREADY_DECIDED,
    }
    stored = await two.desk.show(request.id)
    assert stored is not None
    assert {given.by for given in stored.approvals} == {BOB, CAROL}


async def test_a_flood_of_one_person_is_stopped_at_the_limit_however_many_come_at_once(
    desk: Desk, store: MemoryStore
) -> None:
    answers = await asyncio.gather(*(desk.open(fresh(), AtMost(3, 100)) for _ in range(10)), return_exceptions=True)
    assert [type(each) for each in answers].count(TooManyRequests) == 7
    assert len(await desk.pending()) == 3
    await desk.open(fresh(requester=BOB), AtMost(3, 100))


async def test_one_session_has_fewer(desk: Desk) -> None:
    await desk.open(fresh(session="a"), AtMost(3, 1))
    with pytest.raises(TooManyRequests, match="too many requests are waiting already: 1 of this session"):
        await desk.open(fresh(session="a"), AtMost(3, 1))
    await desk.open(fresh(session="b"), AtMost(3, 1))


async def test_a_flood_is_told_to_reviewers_once_in_a_while(store: MemoryStore, spool: ListSpool, clock: Clock) -> None:
    told: list[ApprovalRequest] = []
    desk = Desk(store, spool, clock=clock, link_max_age=3600.0, flooded=told.append)
    older, newer = fresh(), fresh(opened_at=clock.now + 1)
    for request in (older, newer):
        await desk.open(request, AtMost(2, 100))
    for expected in (1, 1, 1, 2):
        with pytest.raises(TooManyRequests):
            await desk.open(fresh(), AtMost(2, 100))
        assert len(told) == expected
        clock.now += 250.0
    assert {each.id for each in told} == {newer.id}
    await desk.close()


class TestKept:
    """Requests that outlive their clients: the same person asks the same again."""

    OTHER = Wire("s-2", "gate-2", "psql", "10.0.0.8")

    def again(self, request: ApprovalRequest) -> ApprovalRequest:
        """What another session of the same person would open: all but the content is its own."""
        at = self.OTHER
        return fresh(
            kept=True, content_digest=request.content_digest, release_digest="r2", session=at.session,
            replica=at.replica, agent=at.agent, client=at.client,
        )  # fmt: skip

    async def test_a_storm_of_retries_joins_the_open_card(
        self, desk: Desk, store: MemoryStore, spool: ListSpool
    ) -> None:
        request = fresh(kept=True)
        assert await desk.open(request, at_most=AtMost(1, 1)) is None
        joined_all = [await desk.open(self.again(request), at_most=AtMost(1, 1)) for _ in range(6)]
        assert {each.id for each in joined_all if each is not None} == {request.id}
        stored = joined_all[-1]
        assert stored is not None
        assert (stored.asked, stored.session, stored.replica) == (7, "s-2", "gate-2")
        assert [each.id for each in await desk.pending()] == [request.id]
        assert len(await store.posts(request.id)) == len(request.channels)
        assert spool.kinds() == [("held", None)] + [("joined", None)] * 6
        joined = spool.written[-1].body
        assert (joined["request"], joined["session"], joined["reason"]) == (request.id, "s-2", "asked 7 times")

    async def test_a_click_on_the_card_of_before_the_storm_counts(self, desk: Desk) -> None:
        """It shows the same question."""
        request = fresh(kept=True, approvals_needed=2)
        await desk.open(request)
        await desk.open(self.again(request))
        decided(await desk.decide(request.id, 1, BOB, Approve(), "slack"))
        await desk.open(self.again(request))
        assert decided(await desk.decide(request.id, 1, CAROL, Approve(), "slack")).state is State.APPROVED
        assert refused(await desk.decide(request.id, 9, BOB, Approve(), "slack")) is Refusal.ALREADY_DECIDED

    async def test_an_approval_is_good_for_one_use_and_both_are_recorded(self, desk: Desk, spool: ListSpool) -> None:
        request = fresh(kept=True)
        await desk.open(request)
        decided(await desk.decide(request.id, 1, BOB, Approve(), "slack"))
        stored = await desk.open(self.again(request))
        assert stored is not None
        assert stored.state is State.APPROVED
        used = decided(await desk.release(stored.id, stored.content_digest, self.OTHER))
        assert (used.state, used.session, used.replica) == (State.RELEASED, "s-2", "gate-2")
        assert refused(await desk.release(stored.id, stored.content_digest, self.OTHER)) is Refusal.ALREADY_DECIDED
        assert refused(await desk.release(request.id, request.release_digest)) is Refusal.ALREADY_DECIDED
        assert await desk.open(self.again(request)) is None, "the third try is asked about anew"
        kinds = [("held", None), ("decided", "approved"), ("joined", None), ("released", None), ("held", None)]
        assert spool.kinds() == kinds
        approval, use = spool.written[1].body, spool.written[3].body
        assert (approval["session"], approval["decided_by"]) == ("8f31c2", "bob@example.com")
        assert (use["session"], use["client"], use["decided_by"]) == ("s-2", "10.0.0.8", "bob@example.com")

    @pytest.mark.parametrize("kept", [False, True])
    async def test_only_a_kept_one_goes_by_its_content(self, desk: Desk, kept: bool) -> None:
        request = fresh(kept=kept)
        await desk.open(request)
        decided(await desk.decide(request.id, 1, BOB, Approve(), "slack"))
        answer = await desk.release(request.id, request.content_digest, self.OTHER)
        assert isinstance(answer, Decided) is kept

    async def test_what_is_not_kept_is_never_joined(self, desk: Desk) -> None:
        for _ in range(2):
            assert await desk.open(fresh()) is None
        assert len(await desk.pending()) == 2

    async def test_what_has_ended_is_not_joined(self, desk: Desk, clock: Clock) -> None:
        first = fresh(kept=True)
        await desk.open(first)
        decided(await desk.decide(first.id, 1, BOB, Deny("not today"), "slack"))
        second = self.again(first)
        assert await desk.open(second) is None
        clock.now = second.expires_at
        assert await desk.open(replace(self.again(first), expires_at=clock.now + 900)) is None

    async def test_it_outlives_its_replica_but_not_what_runs_there(self, store: MemoryStore, clock: Clock) -> None:
        desk = Desk(store, ListSpool(), clock=clock, link_max_age=3600.0)
        waiting, running, plain = fresh(kept=True), fresh(kept=True), fresh()
        for request in (waiting, running, plain):
            await desk.open(replace(request, content_digest=request.id))
        decided(await desk.decide(running.id, 1, BOB, Approve(), "slack"))
        decided(await desk.release(running.id, running.id, self.OTHER))
        await desk.start("gate-3", gone=["gate-1", "gate-2"])
        states = [(await store.get(each.id)).state for each in (waiting, running, plain)]  # type: ignore[union-attr]
        assert states == [State.PENDING, State.UNKNOWN, State.WITHDRAWN]
        await desk.close()


class TestGrants:
    TERMS = Terms("shape", 60, 2, 42)

    def asking(self, **changes: object) -> ApprovalRequest:
        return fresh(grantable=self.TERMS, **changes)

    async def granted(self, desk: Desk) -> ApprovalRequest:
        request = self.asking()
        assert await desk.open(request) is None
        return decided(await desk.decide(request.id, 1, BOB, Approve(scope=Scope(minutes=15)), "slack"))

    async def test_a_use_is_open_and_approved_at_once_and_tells_by_whom(self, desk: Desk, spool: ListSpool) -> None:
        giver = await self.granted(desk)
        assert giver.grant is not None
        asked = self.asking()
        covered = await desk.open(asked)
        assert covered is not None
        assert (covered.id, covered.state, covered.under) == (asked.id, State.APPROVED, giver.id)
        running = decided(await desk.release(asked.id, asked.release_digest))
        decided(await desk.finish(running.id, 1, "", 1.0, "committed"))
        told = [entry.body for entry in spool.written if entry.body.get("request") == asked.id]
        assert [each["kind"] for each in told] == ["held", "decided", "released"]
        assert (told[1]["decided_by"], told[1]["via"], told[1]["reason"]) == (
            "bob@example.com",
            "grant",
            f"under grant {giver.id}",
        )
        (given,) = [e.body for e in spool.written if e.body["kind"] == "decided" and e.body["request"] == giver.id]
        assert str(given["reason"]).startswith(f"gives grant {giver.id} until ")
        assert str(given["reason"]).endswith(", at most 2 times, up to 42 rows each")

    async def test_used_up_it_asks_people_again(self, desk: Desk) -> None:
        await self.granted(desk)
        found = [await desk.open(self.asking()) for _ in range(3)]
        assert [each is None for each in found] == [False, False, True]

    async def test_uses_don_t_count_as_waiting(self, desk: Desk) -> None:
        await self.granted(desk)
        assert await desk.open(self.asking(), at_most=AtMost(0, 0)) is not None

    async def test_what_is_not_offered_decides_nothing(self, desk: Desk) -> None:
        request = self.asking()
        await desk.open(request)
        answer = await desk.decide(request.id, 1, BOB, Approve(scope=Scope(minutes=61)), "slack")
        assert refused(answer) is Refusal.NO_GRANT
        assert (await desk.show(request.id)).state is State.PENDING  # type: ignore[union-attr]

    @pytest.mark.parametrize("who", [ANN, EVE])
    async def test_who_may_not_approve_may_not_grant(self, desk: Desk, who: Person) -> None:
        request = self.asking()
        await desk.open(request)
        answer = await desk.decide(request.id, 1, who, Approve(scope=Scope(minutes=15)), "slack")
        assert refused(answer) in {Refusal.OWN_REQUEST, Refusal.NOT_A_REVIEWER}
        assert await desk.grants() == []

    async def test_a_grant_needs_the_name_typed_and_the_text_read_as_well(self, desk: Desk) -> None:
        request = self.asking(full_view=True, to_type="customers")
        await desk.open(request)
        scope = Scope(minutes=15)
        for decision, refusal in (
            (Approve(scope=scope), Refusal.NOT_READ),
            (Approve(scope=scope, read=True), Refusal.NOT_TYPED),
        ):
            assert refused(await desk.decide(request.id, 1, BOB, decision, "slack")) is refusal

    async def test_revoked_it_takes_what_is_not_released_along(self, desk: Desk, spool: ListSpool) -> None:
        giver = await self.granted(desk)
        waiting, running = self.asking(), self.asking()
        heard: list[State] = []
        desk.watch(waiting.id, lambda request: heard.append(request.state))
        for each in (waiting, running):
            assert await desk.open(each) is not None
        decided(await desk.release(running.id, running.release_digest))
        ended = decided(await desk.decide(giver.id, None, CAROL, RevokeGrant("no more"), "teams"))
        assert ended.grant is not None
        assert ended.grant.revoked_by == "carol@example.com"
        assert refused(await desk.release(waiting.id, waiting.release_digest)) is Refusal.ALREADY_DECIDED
        states = [(await desk.show(each.id)).state for each in (waiting, running)]  # type: ignore[union-attr]
        assert states == [State.WITHDRAWN, State.RELEASED]
        assert await desk.open(self.asking()) is None
        await asyncio.sleep(0)
        assert heard == [State.WITHDRAWN]
        entries = [each.body for each in spool.written if each.body["kind"] == "revoked"]
        assert [(e["request"], e["decided_by"], e["via"], e["reason"]) for e in entries] == [
            (giver.id, "carol@example.com", "teams", f"grant {giver.id}: no more")
        ]

    async def test_who_has_no_part_in_it_can_not_revoke_and_that_is_recorded(
        self, desk: Desk, spool: ListSpool
    ) -> None:
        giver = await self.granted(desk)
        assert refused(await desk.decide(giver.id, None, EVE, RevokeGrant(), "slack")) is Refusal.NOT_A_REVIEWER
        assert spool.kinds()[-1] == ("refused", None)
        assert len(await desk.grants()) == 1

    async def test_a_kept_approval_is_revoked_before_its_use(self, desk: Desk) -> None:
        request = fresh(kept=True)
        await desk.open(request)
        assert refused(await desk.decide(request.id, None, BOB, Revoke(), "slack")) is Refusal.NOT_APPROVED
        decided(await desk.decide(request.id, 1, BOB, Approve(), "slack"))
        ended = decided(await desk.decide(request.id, None, CAROL, Revoke("not today"), "slack"))
        assert ended.state is State.WITHDRAWN
        assert refused(await desk.release(request.id, request.content_digest)) is Refusal.ALREADY_DECIDED

    async def test_three_approvals_of_a_shape_are_told_on_the_fourth(self, desk: Desk) -> None:
        for _ in range(3):
            request = self.asking()
            await desk.open(request)
            decided(await desk.decide(request.id, 1, BOB, Approve(), "slack"))
        fourth = self.asking()
        await desk.open(fourth)
        assert (await desk.show(fourth.id)).approved_before == 3  # type: ignore[union-attr]

    async def test_a_use_that_the_store_did_not_confirm_is_voided(
        self, desk: Desk, spool: ListSpool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        giver = await self.granted(desk)
        real = MemoryStore.use_grant

        async def lost(*arguments: object) -> None:
            await real(*arguments)  # type: ignore[arg-type] # the same call, passed on
            raise StoreUnavailable("the answer was lost")

        monkeypatch.setattr(MemoryStore, "use_grant", lost)
        with pytest.raises(StoreUnavailable):
            await desk.open(self.asking())
        assert [kind for kind, _ in spool.kinds()[-3:]] == ["held", "decided", "voided"]
        assert giver.grant is not None
