"""What every store does: the same tests on memory and on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.approvals import glass
from gateway.approvals import request as rules
from gateway.approvals.granting import cover, give, revoke_grant
from gateway.approvals.grants import Scope, Terms
from gateway.approvals.request import ApprovalRequest, Person, Refusal, State
from gateway.audit.entry import Entry, together
from gateway.audit.query import Owner, Query, parse
from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.memory import MemoryStore
from gateway.store.port import Backlog, Change, Ending, Standing, Store
from tests.bots.samples import ANN, BOB, CAROL, DELETE, EVE, ISSUER, PLAIN, UPDATE, WILD
from tests.fakes.stores import ListSpool, fresh, postgres_store

DEADLINE = 10.0


@asynccontextmanager
async def _memory() -> AsyncIterator[Store]:
    yield MemoryStore(time.time)


@pytest.fixture(params=["memory", "postgres"])
def made(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Store]:
    """Not async: the server's own fixture starts a loop."""
    return _memory() if request.param == "memory" else postgres_store(request.getfixturevalue("store_dsn"))


@pytest.fixture
async def store(made: AbstractAsyncContextManager[Store]) -> AsyncIterator[Store]:
    async with made as store:
        yield store


def nothing(_request: ApprovalRequest) -> Sequence[Entry]:
    return ()


def deny(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
    return rules.deny(request, BOB, "slack", "no", now)


#: Two uses, of three rows each.
TERMS = Terms("shape", 60, 2, 3)


def granting(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
    approved = rules.approve(request, BOB, "slack", now)
    return approved if isinstance(approved, Refusal) else give(approved, Scope(minutes=60), now, 3600.0)


def asking(**changes: object) -> ApprovalRequest:
    """A request of the granted shape that touches a row."""
    return fresh(**{"grantable": TERMS, "preview": replace(PLAIN.preview, rows=1), **changes})


def bump(request: ApprovalRequest, _now: float) -> ApprovalRequest | Refusal:
    return request


class TestRequests:
    async def test_what_was_opened_is_there_whole(self, store: Store) -> None:
        request = fresh(statements=(DELETE, UPDATE))
        await store.open(request, nothing)
        assert await store.get(request.id) == request
        assert await store.get("no-such-request") is None

    async def test_opening_twice_is_refused_and_leaves_the_first(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        with pytest.raises(StoreUnavailable):
            await store.open(replace(request, target="other"), nothing)
        assert await store.get(request.id) == request

    async def test_a_move_counts_the_revision_and_stores_the_change(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        moved = await store.move(request.id, deny, nothing)
        assert isinstance(moved, ApprovalRequest)
        assert (moved.state, moved.rev, moved.reason) == (State.DENIED, 2, "no")
        assert await store.get(request.id) == moved

    async def test_a_refusal_changes_nothing_and_records_nothing(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        recorded: list[ApprovalRequest] = []

        def record(moved: ApprovalRequest) -> Sequence[Entry]:
            recorded.append(moved)
            return ()

        assert await store.move(request.id, lambda _request, _now: Refusal.STALE, record) is Refusal.STALE
        assert await store.get(request.id) == request
        assert recorded == []

    async def test_a_kept_request_is_found_by_what_it_asks_while_it_is_open(self, store: Store) -> None:
        now = time.time()
        first, second = (
            fresh(kept=True, content_digest="c1", opened_at=now + at, expires_at=now + 900) for at in (1, 2)
        )
        late = fresh(kept=True, content_digest="c1", expires_at=now - 1)
        others = [fresh(content_digest="c1", expires_at=now + 900), fresh(kept=True, content_digest="c2")]
        for request in (first, second, late, *others):
            await store.open(request, nothing)
        assert await store.kept("c1") == [second.id, first.id]
        await store.move(second.id, deny, nothing)
        assert await store.kept("c1") == [first.id]
        assert await store.kept("c3") == []

    async def test_a_request_may_move_to_another_replica(self, store: Store) -> None:
        request = fresh(replica="gate-1")
        await store.open(request, nothing)
        await store.move(request.id, lambda each, _now: replace(each, replica="gate-2", session="s-9"), nothing)
        assert await store.find(replica="gate-1") == []
        [found] = await store.find(replica="gate-2")
        assert (found.id, found.session) == (request.id, "s-9")

    async def test_an_unknown_request_is_a_refusal(self, store: Store) -> None:
        assert await store.move("no-such-request", deny, nothing) is Refusal.UNKNOWN_REQUEST

    async def test_a_record_that_fails_takes_the_move_along(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)

        def fails(_request: ApprovalRequest) -> Sequence[Entry]:
            raise GatewayError("the spool is full", sqlstate="53100")

        with pytest.raises(GatewayError, match="the spool is full") as caught:
            await store.move(request.id, deny, fails)
        assert caught.value.sqlstate == "53100"
        assert await store.get(request.id) == request
        assert [(post.wanted, post.sent) for post in await store.posts(request.id)] == [(1, 0)]

    async def test_an_open_whose_record_fails_stores_nothing(self, store: Store) -> None:
        def fails(_request: ApprovalRequest) -> Sequence[Entry]:
            raise GatewayError("the spool is full")

        request = fresh()
        with pytest.raises(GatewayError):
            await store.open(request, fails)
        assert await store.get(request.id) is None
        assert await store.due() == []

    async def test_now_is_the_time_of_the_change(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        seen: list[float] = []

        def look(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
            seen.append(now)
            return request

        before = time.time()
        await store.move(request.id, look, nothing)
        assert before - 1 < seen[0] < time.time() + 1

    async def test_find_by_state_and_replica_newest_first(self, store: Store) -> None:
        first, second, third = (
            fresh(opened_at=at, replica=replica) for at, replica in ((1.0, "a"), (3.0, "a"), (2.0, "b"))
        )
        for each in (first, second, third):
            await store.open(each, nothing)
        await store.move(first.id, deny, nothing)
        assert [each.id for each in await store.find()] == [second.id, third.id, first.id]
        assert [each.id for each in await store.find(limit=1)] == [second.id]
        assert [each.id for each in await store.find(states=frozenset({State.PENDING}))] == [second.id, third.id]
        assert [each.id for each in await store.find(replica="a")] == [second.id, first.id]
        assert await store.find(states=frozenset({State.EXPIRED})) == []

    async def test_pending_requests_of_one_person_are_counted(self, store: Store) -> None:
        mine, other = fresh(), fresh(requester=BOB)
        for each in (mine, fresh(session="another"), fresh(state=State.RELEASED), other):
            await store.open(each, nothing)
        who = mine.requester
        assert await store.pending_of(who.issuer, who.subject, mine.session) == (2, 1)
        await store.move(mine.id, deny, nothing)
        assert await store.pending_of(who.issuer, who.subject, mine.session) == (1, 0)
        assert await store.pending_of(who.issuer, "", mine.session) == (0, 0)

    async def test_what_one_person_asked_and_was_denied(self, store: Store) -> None:
        mine = [fresh(id=f"mine-{k}", opened_at=PLAIN.opened_at + k) for k in range(3)]
        for each in (*mine, fresh(id="other", requester=EVE)):
            await store.open(each, nothing)
        for name in ("mine-2", "mine-1", "other"):
            await store.move(name, deny, nothing)
        now = time.time()
        assert [each.id for each in await store.requests_of(ISSUER, "sub-ann")] == ["mine-2", "mine-1", "mine-0"]
        assert [each.id for each in await store.requests_of(ISSUER, "sub-ann", 1)] == ["mine-2"]
        denied = await store.denied(ISSUER, "sub-ann", now - 60)
        assert [each.id for each in denied] == ["mine-1", "mine-2"]
        assert [each.id for each in await store.denied(ISSUER, "sub-ann", now - 60, 1)] == ["mine-1"]
        assert await store.denied(ISSUER, "sub-ann", now + 60) == []
        assert await store.denied("https://elsewhere.example", "sub-ann", now - 60) == []

    async def test_what_was_asked_is_read_in_pages(self, store: Store) -> None:
        at = PLAIN.opened_at
        times = {"a": at, "b": at + 1.25, "c": at + 1.25, "d": at + 2.5}
        for name, opened_at in times.items():
            await store.open(fresh(id=name, opened_at=opened_at), nothing)
        found, before = [], None
        while page := await store.asked(at + 1, before, 1):
            found += [each.id for each in page]
            before = (page[-1].opened_at, page[-1].id)
        assert found == ["d", "c", "b"]

    async def test_a_chore_is_one_callers(self, store: Store) -> None:
        assert await store.claim("weekly", 60) is True
        assert await store.claim("weekly", 60) is False
        assert await store.claim("another", -1) is True
        assert await store.claim("another", 60) is True, "who had it took too long"
        await store.done("another")
        await store.done("weekly")
        await store.done("never begun")
        for chore in ("weekly", "another", "never begun"):
            assert await store.claim(chore, 60) is False

    async def test_revisions_of_those_asked_for(self, store: Store) -> None:
        one, two = fresh(), fresh()
        await store.open(one, nothing)
        await store.open(two, nothing)
        await store.move(two.id, bump, nothing)
        assert await store.revisions([one.id, two.id, "no-such-request"]) == {one.id: 1, two.id: 2}
        assert await store.revisions([]) == {}

    async def test_overdue_are_open_requests_whose_time_is_over(self, store: Store) -> None:
        now = time.time()
        late, later, waiting, ended = (fresh(expires_at=now + left) for left in (-20, -10, 600, -30))
        for each in (later, late, waiting, ended):
            await store.open(each, nothing)
        await store.move(ended.id, lambda request, now: rules.withdraw(request, "cancelled", now), nothing)
        assert await store.overdue() == [late.id, later.id]
        assert await store.overdue(limit=1) == [late.id]

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(wild=WILD)
    async def test_any_request_survives(self, store: Store, wild: ApprovalRequest) -> None:
        request = replace(wild, id=fresh().id)
        await store.open(request, nothing)
        assert await store.get(request.id) == request


class TestOutbox:
    async def test_one_row_a_channel_and_due_at_once(self, store: Store) -> None:
        request = fresh(channels=("slack:C1", "teams:19:x", "slack:C1"))
        await store.open(request, nothing)
        posts = await store.due()
        assert [(post.request, post.channel, post.wanted, post.sent, post.ref) for post in posts] == [
            (request.id, "slack:C1", 1, 0, None),
            (request.id, "teams:19:x", 1, 0, None),
        ]
        assert await store.posts(request.id) == [replace(post, maybe_posted=True) for post in posts]

    async def test_a_card_of_an_escalation_is_due_later_or_in_a_hurry(self, store: Store) -> None:
        now = time.time()
        request = fresh(channels=("slack:C1", "slack:C2"), escalate_to=("slack:C2", "slack:C3"), escalate_at=now + 400)
        await store.open(request, nothing)
        first = await store.due()
        assert [each.channel for each in first] == ["slack:C1", "slack:C2"]
        assert await store.backlog() == Backlog(2, 0)
        await store.hurry("another")
        assert await store.due() == []
        await store.failed(first[0].id, "away", 300.0)
        await store.hurry(request.id)
        assert [each.channel for each in await store.due()] == ["slack:C3"], "what has failed keeps its time"
        assert await store.backlog() == Backlog(2, 0)

    async def test_a_post_that_was_begun_may_have_gone_well_until_somebody_knows(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        [post] = await store.due()
        assert not post.maybe_posted, "the first to post knows that nobody has"
        await store.failed(post.id, "no answer", 0.0)
        [again] = await store.due()
        assert again.maybe_posted
        await store.failed(post.id, "refused", 0.0, unposted=True)
        [certain] = await store.due()
        assert not certain.maybe_posted
        await store.sent(post.id, 1, "ref")
        [kept] = await store.posts(request.id)
        assert not kept.maybe_posted

    async def test_what_a_dead_replica_was_sending_is_due_again(self, store: Store) -> None:
        request, other = fresh(), fresh()
        await store.open(request, nothing)
        [post] = await store.due(claimer="dead")
        await store.open(other, nothing)
        [mine] = await store.due(claimer="alive")
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await store.listen(lambda channel, payload: heard.put_nowait((channel, payload)))
        await store.unclaim("dead")
        async with asyncio.timeout(DEADLINE):
            assert await heard.get() == ("outbox", "")
        assert [each.id for each in await store.due(claimer="alive")] == [post.id]
        await store.failed(mine.id, "wait", 60.0)
        await store.unclaim("alive")
        assert [each.id for each in await store.due()] == [post.id], "who waits after a failure is claimed by nobody"

    async def test_what_is_claimed_is_not_due_again(self, store: Store) -> None:
        await store.open(fresh(channels=("slack:C1", "slack:C2")), nothing)
        assert len(await store.due(limit=1)) == 1
        assert len(await store.due()) == 1
        assert await store.due() == []

    async def test_what_is_sent_is_done_until_the_request_changes(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        [post] = await store.due()
        await store.sent(post.id, 1, '{"ts": "1.2"}')
        assert await store.due() == []
        await store.move(request.id, deny, nothing)
        [again] = await store.due()
        assert (again.wanted, again.sent, again.ref) == (2, 1, '{"ts": "1.2"}')

    async def test_a_change_while_it_is_being_posted_is_due_right_after(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        [post] = await store.due()
        await store.move(request.id, deny, nothing)
        assert await store.due() == []
        await store.sent(post.id, 1, "ref")
        [again] = await store.due()
        assert (again.wanted, again.sent, again.ref) == (2, 1, "ref")

    async def test_a_card_that_is_out_of_date_is_due_once_more(self, store: Store) -> None:
        request, other = fresh(), fresh()
        for each in (request, other):
            await store.open(each, nothing)
        first, second = await store.due()
        await store.redraw(request.id)
        assert await store.due() == [], "it is being posted just now"
        for post in (first, second):
            await store.sent(post.id, 1, "ref")
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await store.listen(lambda channel, payload: heard.put_nowait((channel, payload)))
        await store.redraw(request.id)
        async with asyncio.timeout(DEADLINE):
            assert await heard.get() == ("outbox", "")
        [again] = await store.due()
        assert (again.request, again.wanted, again.ref) == (request.id, 1, "ref")
        await store.sent(again.id, 1, "ref")
        assert await store.due() == []

    async def test_a_failure_waits_and_a_success_forgets_it(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        [post] = await store.due()
        await store.failed(post.id, "rate limited", 60.0)
        assert await store.due() == []
        [kept] = await store.posts(request.id)
        assert (kept.attempts, kept.last_error, kept.dead) == (1, "rate limited", False)
        await store.failed(post.id, "hiccup", 0.0)
        [again] = await store.due()
        assert again.attempts == 2
        await store.sent(post.id, 1, "ref")
        [kept] = await store.posts(request.id)
        assert (kept.attempts, kept.last_error) == (0, "")

    async def test_a_card_that_waits_for_its_turn_is_no_failure(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        [post] = await store.due()
        await store.postponed(post.id, 60.0, maybe_posted=post.maybe_posted)
        assert await store.due() == []
        assert await store.posts(request.id) == [post]
        assert await store.unreachable(0.0) == [], "not before its turn"
        await store.postponed(post.id, 0.0, maybe_posted=True)
        assert [each.maybe_posted for each in await store.due()] == [True]
        assert await store.unreachable(0.0) == [request.id]
        assert await store.unreachable(60.0) == []

    async def test_dead_letters_are_counted_and_named_newest_first(self, store: Store) -> None:
        requests = [fresh() for _ in range(4)]
        for each in requests:
            await store.open(each, nothing)
        posts = await store.due()
        await store.failed(posts[0].id, "slack:C1: is_archived", None)
        await store.failed(posts[1].id, "slack:C1: not_in_channel", None)
        await store.failed(posts[2].id, "", None)
        assert await store.backlog() == Backlog(waiting=1, parked=2)
        assert [each.last_error for each in await store.parked()] == [
            "slack:C1: not_in_channel",
            "slack:C1: is_archived",
        ]
        assert len(await store.parked(1)) == 1

    async def test_a_dead_letter_that_somebody_could_miss_is_revived(self, store: Store) -> None:
        """Still pending, or hanging in a chat with an old face; not one that nobody has seen and that is over."""
        pending, shown, maybe, unseen = (fresh() for _ in range(4))
        for each in (pending, shown, maybe, unseen):
            await store.open(each, nothing)
        posts = await store.due()
        await store.sent(posts[1].id, 1, "ref")
        for each in (shown, maybe, unseen):
            await store.move(each.id, deny, nothing)
        for post in posts:
            await store.failed(post.id, "token_revoked", None, unposted=post.request != maybe.id)
        assert await store.revive(0.0) == 0, "too old"
        assert await store.revive(60.0) == 3
        assert {post.request for post in await store.due()} == {pending.id, shown.id, maybe.id}
        assert [post.request for post in await store.parked()] == [unseen.id]

    async def test_a_click_on_the_card_of_a_dead_letter_revives_it(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        [post] = await store.due()
        await store.sent(post.id, 1, "ref")
        await store.move(request.id, deny, nothing)
        await store.failed(post.id, "cant_update", None)
        await store.redraw(request.id)
        [again] = await store.due()
        assert (again.id, again.attempts, again.dead, again.wanted) == (post.id, 0, False, 2)

    async def test_a_dead_letter_is_never_due_again(self, store: Store) -> None:
        request = fresh()
        await store.open(request, nothing)
        [post] = await store.due()
        await store.failed(post.id, "not_in_channel", None)
        await store.move(request.id, bump, nothing)
        assert await store.due() == []
        [kept] = await store.posts(request.id)
        assert (kept.dead, kept.last_error) == (True, "not_in_channel")

    async def test_unreachable_when_all_are_dead_or_nothing_was_posted_in_time(self, store: Store) -> None:
        one_dead, all_dead, posted = (fresh(channels=("slack:C1", "slack:C2")) for _ in range(3))
        silent = fresh(channels=())
        for each in (one_dead, all_dead, posted, silent):
            await store.open(each, nothing)
        dead = [(await store.posts(one_dead.id))[0], *await store.posts(all_dead.id), (await store.posts(posted.id))[0]]
        for post in dead:
            await store.failed(post.id, "gone", None)
        await store.sent((await store.posts(posted.id))[1].id, 1, "ref")
        assert await store.unreachable(60.0) == [all_dead.id]
        assert set(await store.unreachable(0.0)) == {one_dead.id, all_dead.id, silent.id}
        await store.move(all_dead.id, deny, nothing)
        assert await store.unreachable(60.0) == []


class TestRecord:
    async def test_the_last_steps_of_a_chain_and_the_story_of_a_request(self, store: Store) -> None:
        one, two = ListSpool("one"), ListSpool("two")
        kinds = [("held", "r1"), ("held", "r2"), ("decided", "r1"), ("statement", "r1")]
        first = [one.record(kind, request=request) for kind, request in kinds]
        await store.append(together([*first, two.record("voided", request="r1")]))
        assert [entry["seq"] for entry in await store.steps("one", 2)] == [2, 3]
        assert await store.steps("nobody", 2) == []
        story = [(entry["replica"], entry["kind"]) for entry in await store.story("r1")]
        assert sorted(story) == [("one", "decided"), ("one", "held"), ("one", "statement"), ("two", "voided")]
        assert [kind for replica, kind in story if replica == "one"] == ["held", "decided", "statement"]

    async def test_entries_come_with_their_move(self, store: Store) -> None:
        request, spool = fresh(), ListSpool()

        def record(moved: ApprovalRequest) -> Sequence[Entry]:
            return [spool.record("decided", outcome=moved.state.value, request=moved.id)]

        await store.open(request, lambda opened: [spool.record("held", request=opened.id)])
        await store.move(request.id, deny, record)
        assert [entry["kind"] for entry in await store.chain("gate-1", 0, 10)] == ["held", "decided"]

    async def test_an_entry_comes_back_as_it_was_sealed(self, store: Store) -> None:
        spool = ListSpool()
        entry = spool.record("statement", sql="SELECT 'ä\n\ud7ff', 1.50", parameters=[["x", None]], duration_ms=0.1)
        await store.append(together([entry]))
        assert await store.chain("gate-1", 0, 10) == [{**entry.body, "hash": entry.hash}]

    async def test_an_entry_that_is_there_is_left_alone(self, store: Store) -> None:
        spool = ListSpool()
        first = spool.record("statement", sql="SELECT 1")
        await store.append(together([first]))
        await store.append(together([first._replace(text=first.text.replace("SELECT 1", "SELECT 2"))]))
        assert [entry["sql"] for entry in await store.chain("gate-1", 0, 10)] == ["SELECT 1"]
        await store.append(b"")

    async def test_a_chain_is_read_in_pages(self, store: Store) -> None:
        spool, other = ListSpool(), ListSpool("gate-2")
        entries = [spool.record("statement", rows=number) for number in range(5)]
        await store.append(together([*reversed(entries), other.record("statement")]))
        assert [entry["seq"] for entry in await store.chain("gate-1", 0, 3)] == [1, 2, 3]
        assert [entry["seq"] for entry in await store.chain("gate-1", 3, 3)] == [4, 5]

    async def test_the_newest_entry_of_every_chain(self, store: Store) -> None:
        assert await store.heads() == []
        chains = [ListSpool("gate-2"), ListSpool("gate-1"), ListSpool("Gate:3")]
        for count, spool in enumerate(chains, start=1):
            await store.append(together([spool.record("statement") for _ in range(count)]))
        assert sorted(await store.heads()) == sorted(
            (spool.replica, count, spool.queued[-1].hash) for count, spool in enumerate(chains, start=1)
        )

    async def test_checkpoints_stay_as_they_were_first(self, store: Store) -> None:
        await store.checkpoint("b", 7, "head-7", "sig-7")
        await store.checkpoint("a", 3, "head-3", "sig-3")
        await store.checkpoint("b", 7, "forged", "forged")
        assert await store.checkpoints() == [("b", 7, "head-7", "sig-7"), ("a", 3, "head-3", "sig-3")]


def _story(spool: ListSpool) -> list[Entry]:
    """Ends of statements of every kind, and entries that end none."""
    ann = {
        "user": "ann@example.com",
        "agent": "cursor",
        "client": "10.0.0.7:5555",
        "target": "shop",
        "session": "8f31c2",
    }
    eve = {"user": "eve@example.com", "agent": "psql 15", "client": "10.0.0.9", "target": "books", "session": "77aa01"}
    customers, orders = ["public.customers"], ["sales.orders", "public.Items"]
    return [
        spool.record("statement", **ann, tag="SELECT", tables=[*customers], sql="SELECT 1"),
        spool.record(
            "finished", **ann, tag="SELECT", tables=[*customers], columns=["public.customers.card_number"],
            outcome="executed", rows=12, duration_ms=1.5, sql="SELECT *\n  FROM Customers", rule="reads",
            masked=[{"column": "card_number", "detector": "card", "count": 12}],
        ),
        spool.record(
            "finished", **eve, tag="SELECT", outcome="executed", rows=3, sql="SELECT card_number FROM customers",
            clear=["public.customers.card_number", "public.customers.pin"], unscanned="clear_for",
        ),
        spool.record(
            "finished", **ann, tag="DELETE", tables=[*customers], outcome="executed", rows=42, duration_ms=412.0,
            sql="DELETE FROM customers", rule="writes wait", request="req-a", decided_by="bob@example.com", verdict="hold",
            fingerprints=["9f2c1d0a"], risk="high",
        ),
        spool.record("finished", **eve, tag="UPDATE", tables=[*orders], outcome="failed", sqlstate="23503", request="req-b"),
        spool.record("decided", **ann, outcome="approved", request="req-a", decided_by="bob@example.com", tag="DELETE"),
        spool.record(
            "decided", **ann, outcome="denied", request="req-c", decided_by="carol@example.com", tag="DROP TABLE, DELETE",
            sql="DROP TABLE customers", tables=[*customers], fingerprints=["0a11", "9f2c1d0a"], risk="high",
        ),
        spool.record("decided", **eve, outcome="expired", request="req-d", tag="DELETE"),
        spool.record("refused", **eve, tag="TRUNCATE", sql="TRUNCATE 100%_sure", rule="no truncate"),
        spool.record("refused", **eve, decided_by="eve@example.com", request="req-a", reason="not a reviewer"),
        spool.record("session_ended", **ann),
        spool.record("refused", **eve, outcome="denied", tag="DELETE", tables=[*orders], passed_on=["public.order_items"]),
        spool.record("refused", client="10.0.0.9", claimed="mallory", target="shop", reason="token expired"),
        spool.record("finished", **ann, tag="DELETE", outcome="executed", request="req-e", break_glass="the shop is down"),
        spool.record("session_started", **ann),
    ]  # fmt: skip


QUERIES = [
    "", "user:ann", "user:ANN@*", "-user:ann", "user:ann,eve", "db:shop", "table:customers", "table:public.*", "-table:customers",
    "table:items", "table:order_items", "-table:order_items", "claimed:mal*", "who:mallory", "break_glass:*down*", "-break_glass:*", "-decision:denied", "column:card_number", "column:customers.*", "-column:*", "verb:delete", "verb:drop", "-verb:select",
    "decision:allowed", "decision:held", "decision:approved", "decision:denied,expired", "-decision:blocked",
    "decision:blocked", "decision:executed", "decision:failed", "decision:unknown", "decision:undeliverable",
    "login:accepted", "login:refused", "login:any", "-login:refused", "login:accepted user:ann", "login:any -ip:10.0.0.7*",
    "login:any decision:blocked", "approver:bob", "-approver:*", "rule:writes*", 'rule:"no truncate"', "session:8f", "app:psql", "app:cursor",
    "ip:10.0.0.7", "ip:10.0.0.*", "id:req-a", "-id:*", "who:cursor", "who:eve,cursor", "-who:cursor", "shown:pin", "shown:*", "-shown:card_number", "unscanned:*", "-unscanned:clear_for",
    "fingerprint:9f2c", "-fingerprint:9f2c1d0a", "fingerprint:0a11,77", "risk:high", "-risk:high",
    "did cursor expose a secret?", "secret:card", "secret:any", "-secret:any", "rows:>12", "rows:<=12",
    "rows:12..50", "-rows:>0", "text:customers", 'text:"* from customers"', 'text:"100%_sure"', "text:10_%", "-text:delete",
    "sort:rows", "sort:duration", "limit:2", "sort:rows limit:3 -verb:truncate", "user:%", "table:customer_", "user:ann verb:delete rows:>1",
]  # fmt: skip


class TestAudit:
    @pytest.mark.parametrize("text", QUERIES)
    async def test_both_stores_answer_as_the_grammar_says(self, store: Store, text: str) -> None:
        """The oracle is `matches`, which the memory store applies to the same entries."""
        entries, oracle = _story(ListSpool()), MemoryStore(time.time)
        await store.append(together(entries))
        await oracle.append(together(entries))
        query = parse(text, time.time())
        assert await store.audit(query) == await oracle.audit(query)

    @pytest.mark.parametrize("name", ["Ann@Example.com", "ann", "%", "ann_example.com"])
    @pytest.mark.parametrize(
        ("issuer", "subject"), [("https://i", "s1"), ("https://i", "s2"), ("https://j", "s1"), ("", "")]
    )
    async def test_an_owners_records(self, store: Store, issuer: str, subject: str, name: str) -> None:
        spool, oracle = ListSpool(), MemoryStore(time.time)
        for whose in (("https://i", "s1"), ("https://j", "s1"), (None, "s1"), (None, None)):
            about = dict(zip(("issuer", "subject"), whose, strict=True))
            entries = [spool.record("finished", user=user, **about) for user in ("ann@example.com", "ann", "eve", None)]
            await store.append(together(entries))
            await oracle.append(together(entries))
        query = replace(parse("limit:99", time.time()), owner=Owner(issuer, subject, name))
        assert await store.audit(query) == await oracle.audit(query)

    async def test_ends_once_each_and_no_refused_click(self, store: Store) -> None:
        await store.append(together(_story(ListSpool())))
        found, total = await store.audit(parse("", time.time()))
        assert total == 10
        assert [entry["seq"] for entry in found] == [14, 13, 12, 9, 8, 7, 5, 4]

    async def test_pages_and_how_many_in_all(self, store: Store) -> None:
        await store.append(together(_story(ListSpool())))
        query = parse("limit:4", time.time())
        assert [entry["seq"] for entry in (await store.audit(query, 0))[0]] == [14, 13, 12, 9]
        found, total = await store.audit(query, 4)
        assert ([entry["seq"] for entry in found], total) == ([8, 7, 5, 4], 10)
        assert await store.audit(query, 99) == ([], 10)

    async def test_since_is_inclusive_and_until_is_not(self, store: Store) -> None:
        spool = ListSpool()
        entry = spool.record("finished", outcome="executed")
        await store.append(together([entry]))
        at = time.mktime(time.strptime(str(entry.body["at"]), "%Y-%m-%dT%H:%M:%S.000000Z")) - time.timezone
        assert (await store.audit(Query((), at, at + 1)))[1] == 1
        assert (await store.audit(Query((), at - 1, at)))[1] == 0


class TestSessions:
    async def test_open_ones_of_living_replicas_newest_first(self, store: Store) -> None:
        spool, gone = ListSpool(), ListSpool("gone")
        begun = [
            spool.record("session_started", session=each, user="ann@example.com") for each in ("s-1", "s-2", "s-3")
        ]
        over = [spool.record("session_ended", session="s-2"), gone.record("session_started", session="s-9")]
        await store.append(together([*begun, *over]))
        assert await store.sessions(60) == []
        await store.heartbeat("gate-1")
        assert [each["session"] for each in await store.sessions(60)] == ["s-3", "s-1"]
        assert [each["session"] for each in await store.sessions(60, limit=1)] == ["s-3"]

    async def test_a_name_used_by_two_replicas_ends_on_one(self, store: Store) -> None:
        one, two = ListSpool(), ListSpool("gate-2")
        for each in (one, two):
            await store.append(together([each.record("session_started", session="s-1")]))
            await store.heartbeat(each.replica)
        await store.append(together([one.record("session_ended", session="s-1")]))
        assert [each["replica"] for each in await store.sessions(60)] == ["gate-2"]

    async def test_who_is_alive(self, store: Store) -> None:
        for each in ("gate-2", "gate-1"):
            await store.heartbeat(each)
        assert await store.alive(60) == ["gate-1", "gate-2"]
        assert await store.alive(-60) == []


class TestPeople:
    async def test_the_newest_sight_of_an_address_in_any_case(self, store: Store) -> None:
        now = time.time()
        await store.saw(replace(BOB, subject="old-account"), now - 100)
        await store.saw(BOB, now - 10)
        assert await store.person_by_email("BOB@Example.com", now - 50) == BOB
        assert await store.person_by_email("bob@example.com", now) is None
        assert await store.person_by_email("nobody@example.com", 0) is None

    async def test_a_later_token_takes_groups_away_and_an_older_one_gives_none_back(self, store: Store) -> None:
        now = time.time()
        await store.saw(BOB, now - 10)
        await store.saw(replace(BOB, groups=frozenset()), now)
        await store.saw(BOB, now - 5)
        found = await store.person_by_email("bob@example.com", 0)
        assert found is not None
        assert found.groups == frozenset()

    async def test_a_person_without_an_address_is_found_by_none(self, store: Store) -> None:
        await store.saw(Person("https://issuer.example", "agent", "agent", None, frozenset()), time.time())
        assert await store.person_by_email("", 0) is None

    async def test_a_person_is_found_by_account_while_the_last_sight_is_fresh(self, store: Store) -> None:
        now = time.time()
        await store.saw(BOB, now - 10)
        assert await store.person_by_subject(BOB.issuer, BOB.subject, now - 50) == BOB
        assert await store.person_by_subject(BOB.issuer, BOB.subject, now) is None
        assert await store.person_by_subject("https://other.example", BOB.subject, 0) is None


class TestConversations:
    async def test_a_conversation_is_reached_as_it_last_said(self, store: Store) -> None:
        assert await store.service_url("19:a@thread.tacv2") is None
        await store.met("19:a@thread.tacv2", "19:team@thread.tacv2", "https://one.example/", 1.0)
        await store.met("19:a@thread.tacv2", "19:team@thread.tacv2", "https://two.example/", 2.0)
        await store.met("19:b@thread.tacv2", "", "https://three.example/", 3.0)
        assert await store.service_url("19:a@thread.tacv2") == "https://two.example/"

    async def test_one_that_never_wrote_is_reached_as_the_newest(self, store: Store) -> None:
        await store.met("19:a@thread.tacv2", "", "https://new.example/", 5.0)
        await store.met("19:b@thread.tacv2", "", "https://old.example/", 1.0)
        assert await store.service_url("19:c@thread.tacv2") == "https://new.example/"

    async def test_a_team_takes_its_channels_along(self, store: Store) -> None:
        await store.met("19:team@thread.tacv2", "19:team@thread.tacv2", "https://one.example/", 1.0)
        await store.met("19:a@thread.tacv2", "19:team@thread.tacv2", "https://one.example/", 1.0)
        await store.met("a:chat", "", "https://two.example/", 1.0)
        await store.parted("19:team@thread.tacv2")
        assert await store.service_url("19:a@thread.tacv2") == "https://two.example/"
        await store.parted("a:chat")
        assert await store.service_url("a:chat") is None


class TestReplicas:
    async def test_a_dead_replica_is_buried_once(self, store: Store) -> None:
        await store.heartbeat("a")
        assert await store.unburied(["a", "never-beat"]) == ["a", "never-beat"]
        await store.buried("a")
        assert await store.unburied(["a", "never-beat"]) == ["never-beat"]

    async def test_what_ran_in_a_transaction_that_is_open_is_unsettled(self, store: Store) -> None:
        def executed(transaction: str) -> Change:
            return lambda request, _now: replace(request, state=State.EXECUTED, transaction=transaction)

        request = fresh(replica="a")
        await store.heartbeat("a")
        await store.open(request, nothing)
        await store.move(request.id, executed("open"), nothing)
        assert [each.id for each in await store.unsettled("a")] == [request.id]
        assert await store.unsettled("b") == []
        assert await store.abandoned(-60.0) == ["a"]
        await store.move(request.id, executed("committed"), nothing)
        assert await store.unsettled("a") == []
        assert await store.abandoned(-60.0) == []

    async def test_a_replica_lapses_until_it_beats_again(self, store: Store) -> None:
        await store.heartbeat("a")
        await store.heartbeat("b")
        assert await store.lapsed(60.0) == []
        assert await store.lapsed(-60.0) == ["a", "b"]
        await store.heartbeat("a")
        assert await store.lapsed(60.0) == []

    async def test_a_replica_that_has_stopped_counts_as_lapsed_at_once(self, store: Store) -> None:
        for each in ("a", "b"):
            await store.heartbeat(each)
        await store.stopped("a")
        await store.stopped("never-beat")
        assert await store.alive(60.0) == ["b"]
        assert await store.lapsed(60.0) == ["a"]

    async def test_a_replica_is_abandoned_while_it_holds_something(self, store: Store) -> None:
        """Its row stays when all is settled: it says that there was a chain."""
        request = fresh(replica="a")
        await store.heartbeat("a")
        await store.heartbeat("b")
        await store.open(request, nothing)
        assert await store.abandoned(60.0) == []
        assert await store.abandoned(-60.0) == ["a"]
        await store.move(request.id, deny, nothing)
        assert await store.abandoned(-60.0) == []
        assert await store.lapsed(-60.0) == ["a", "b"]

    async def test_what_was_released_and_never_ended_is_abandoned_too(self, store: Store) -> None:
        request = fresh(replica="a", state=State.RELEASED)
        await store.heartbeat("a")
        await store.open(request, nothing)
        assert await store.abandoned(-60.0) == ["a"]


class TestWaking:
    async def test_cancel_keys_are_heard_by_all(self, store: Store) -> None:
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await store.listen(lambda channel, payload: heard.put_nowait((channel, payload)))
        await store.cancel(["one", "two"])
        async with asyncio.timeout(DEADLINE):
            assert [await heard.get() for _ in range(2)] == [("cancel", "one"), ("cancel", "two")]

    async def test_a_changed_catalog_is_heard_by_all(self, store: Store) -> None:
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await store.listen(lambda channel, payload: heard.put_nowait((channel, payload)))
        await store.outdated("host:1:0", "shop")
        async with asyncio.timeout(DEADLINE):
            assert await heard.get() == ("catalog", "host:1:0 shop")

    async def test_opens_and_moves_are_heard_by_all_ears(self, store: Store) -> None:
        first: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        second: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await store.listen(lambda channel, payload: first.put_nowait((channel, payload)))
        await store.listen(lambda channel, payload: second.put_nowait((channel, payload)))
        request = fresh()
        await store.open(request, nothing)
        await store.move(request.id, deny, nothing)
        async with asyncio.timeout(DEADLINE):
            for ear in (first, second):
                heard = [await ear.get() for _ in range(4)]
                assert sorted(heard) == [("approval", f"{request.id} {rev}") for rev in (1, 2)] + [("outbox", "")] * 2

    async def test_a_refusal_wakes_nobody(self, store: Store) -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        request, other = fresh(), fresh()
        await store.open(request, nothing)
        await store.open(other, nothing)
        await store.listen(lambda channel, payload: heard.put_nowait(payload) if channel == "approval" else None)
        await store.move(request.id, lambda _request, _now: Refusal.STALE, nothing)
        await store.move(other.id, deny, nothing)
        async with asyncio.timeout(DEADLINE):
            assert await heard.get() == f"{other.id} 2"


async def test_clicks_at_once_have_one_winner(store: Store) -> None:
    request, spool = fresh(), ListSpool()
    await store.open(request, nothing)

    async def click(number: int) -> ApprovalRequest | Refusal:
        who = (BOB, CAROL)[number % 2]
        if number % 3:
            return await store.move(
                request.id,
                lambda request, now: rules.approve(request, who, "slack", now),
                lambda _: [spool.record("decided")],
            )
        return await store.move(
            request.id,
            lambda request, now: rules.deny(request, who, "slack", "no", now),
            lambda _: [spool.record("decided")],
        )

    answers = await asyncio.gather(*(click(number) for number in range(50)))
    assert len([answer for answer in answers if isinstance(answer, ApprovalRequest)]) == 1
    assert answers.count(Refusal.ALREADY_DECIDED) == 49
    assert len(await store.chain("gate-1", 0, 100)) == 1
    assert ANN not in (BOB, CAROL)


class TestGrants:
    async def granted(self, store: Store, **changes: object) -> ApprovalRequest:
        request = asking(**changes)
        await store.open(request, nothing)
        moved = await store.move(request.id, granting, nothing)
        assert isinstance(moved, ApprovalRequest)
        return moved

    async def test_a_use_is_stored_as_approved_and_counted(self, store: Store) -> None:
        giver, spool = await self.granted(store), ListSpool()
        assert await store.grants() == [Standing(giver, 0)]
        asked = asking()
        used = await store.use_grant(asked, cover, lambda each: [spool.record("held", request=each.id)])
        assert used is not None
        assert (used.id, used.state, used.under, used.row_cap) == (asked.id, State.APPROVED, giver.id, 3)
        assert await store.get(asked.id) == used
        assert await store.posts(asked.id) == [], "no card"
        assert [each["request"] for each in await store.story(asked.id)] == [asked.id]
        assert await store.grants() == [Standing(giver, 1)]

    async def test_up_it_covers_nothing(self, store: Store) -> None:
        await self.granted(store)
        uses = [await store.use_grant(asking(), cover, nothing) for _ in range(3)]
        assert [each is not None for each in uses] == [True, True, False]
        assert await store.grants() == []

    async def test_many_at_once_get_no_more_than_its_uses(self, store: Store) -> None:
        await self.granted(store)
        asked = [asking() for _ in range(8)]
        uses = await asyncio.gather(*(store.use_grant(each, cover, nothing) for each in asked))
        assert sum(each is not None for each in uses) == 2
        stored = [await store.get(each.id) for each in asked]
        assert sum(each is not None for each in stored) == 2, "what was not covered is not stored"

    @pytest.mark.parametrize(
        "changes",
        [
            {"grantable": replace(TERMS, shape="other")},
            {"grantable": None},
            {"preview": replace(PLAIN.preview, rows=4)},
            {"requester": CAROL},
        ],
    )
    async def test_what_it_does_not_cover_uses_nothing(self, store: Store, changes: dict[str, object]) -> None:
        giver = await self.granted(store)
        asked = asking(**changes)
        assert await store.use_grant(asked, cover, nothing) is None
        assert await store.get(asked.id) is None
        assert await store.grants() == [Standing(giver, 0)]

    async def test_revoked_it_covers_nothing_from_then_on(self, store: Store) -> None:
        giver = await self.granted(store)
        assert await store.use_grant(asking(), cover, nothing) is not None
        ended = await store.move(giver.id, lambda each, now: revoke_grant(each, BOB, "slack", "", now), nothing)
        assert isinstance(ended, ApprovalRequest)
        assert await store.use_grant(asking(), lambda _giver, each, _now: each, nothing) is None
        assert await store.grants() == []

    async def test_its_time_over_it_covers_nothing(self, store: Store) -> None:
        request = asking()
        await store.open(request, nothing)

        def briefly(each: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
            approved = rules.approve(each, BOB, "slack", now)
            return approved if isinstance(approved, Refusal) else give(approved, Scope(minutes=60), now, 0.0)

        await store.move(request.id, briefly, nothing)
        assert await store.use_grant(asking(), lambda _giver, each, _now: each, nothing) is None
        assert await store.grants() == []

    async def test_a_record_that_fails_takes_the_use_along(self, store: Store) -> None:
        giver = await self.granted(store)

        def fails(_request: ApprovalRequest) -> Sequence[Entry]:
            raise GatewayError("the spool is full", sqlstate="53100")

        with pytest.raises(GatewayError, match="spool"):
            await store.use_grant(asking(), cover, fails)
        assert await store.grants() == [Standing(giver, 0)]

    async def test_people_s_approvals_of_a_shape_are_counted(self, store: Store) -> None:
        await self.granted(store)
        await store.use_grant(asking(), cover, nothing)
        denied = asking()
        await store.open(denied, nothing)
        await store.move(denied.id, deny, nothing)
        assert (await store.approved("shape"), await store.approved("other")) == (1, 0)


class TestEndings:
    async def test_an_order_is_kept_and_heard_and_the_first_stays(self, store: Store) -> None:
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await store.listen(lambda channel, payload: heard.put_nowait((channel, payload)))
        await store.end_session("s-1", Ending("bob", "a runaway agent"))
        await store.end_session("s-1", Ending("carol", ""))
        async with asyncio.timeout(DEADLINE):
            assert await heard.get() == ("session", "s-1")
        assert await store.endings(["s-1", "s-2"]) == {"s-1": Ending("bob", "a runaway agent")}


def break_glass(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
    return glass.break_glass(request, CAROL, "slack", "payments are down", now, typed="break glass")


class TestAlarms:
    async def test_a_broken_glass_adds_an_alarm_a_channel_once(self, store: Store) -> None:
        request = fresh(channels=("slack:C1", "teams:19:a"), glass="dba", glass_groups=frozenset({"dba"}))
        await store.open(request, nothing)
        for post in await store.due():
            await store.sent(post.id, 1, "ref")
        await store.move(request.id, break_glass, nothing)
        await store.move(request.id, lambda each, now: rules.release(each, each.release_digest, now), nothing)
        due = {each.channel: each for each in await store.due()}
        assert set(due) == {"slack:C1", "teams:19:a", "slack:C1#alarm", "teams:19:a#alarm"}
        assert due["slack:C1#alarm"].ref is None

    async def test_one_that_was_refused_adds_none(self, store: Store) -> None:
        request = fresh(channels=("slack:C1",))
        await store.open(request, nothing)
        assert await store.move(request.id, break_glass, nothing) is Refusal.NOT_A_REVIEWER
        assert [each.channel for each in await store.posts(request.id)] == ["slack:C1"]


class TestReminders:
    async def test_a_posted_card_is_given_out_once_a_third(self, store: Store) -> None:
        now = time.time()
        request = fresh(opened_at=now - 250, expires_at=now + 350, channels=("slack:C1",))
        await store.open(request, nothing)
        [post] = await store.due()
        assert await store.remind() == [], "nobody has seen it yet"
        await store.sent(post.id, request.rev, "ref")
        assert [each.ref for each in await store.remind()] == ["ref"]
        assert await store.remind() == []
        await store.unremind(post.id)
        assert [each.id for each in await store.remind()] == [post.id]

    @pytest.mark.parametrize(("waited", "left"), [(100, 500), (450, 150), (590, 10), (600, -1), (80, 30)])
    async def test_what_was_missed_is_not_made_up_for(self, store: Store, waited: int, left: int) -> None:
        now = time.time()
        request = fresh(opened_at=now - waited, expires_at=now + left, channels=("slack:C1", "slack:C2"))
        await store.open(request, nothing)
        for post in await store.due():
            await store.sent(post.id, request.rev, "ref")
        due = waited > 300 and left > 0
        assert [each.channel for each in await store.remind()] == (["slack:C1", "slack:C2"] if due else [])
        assert await store.remind() == []

    async def test_nobody_is_reminded_of_what_is_decided(self, store: Store) -> None:
        now = time.time()
        request = fresh(opened_at=now - 250, expires_at=now + 350, channels=("slack:C1",))
        await store.open(request, nothing)
        [post] = await store.due()
        await store.sent(post.id, request.rev, "ref")
        await store.move(request.id, deny, nothing)
        assert await store.remind() == []

    async def test_two_replicas_remind_once(self, store: Store) -> None:
        now = time.time()
        request = fresh(opened_at=now - 250, expires_at=now + 350, channels=("slack:C1",))
        await store.open(request, nothing)
        [post] = await store.due()
        await store.sent(post.id, request.rev, "ref")
        given = await asyncio.gather(*(store.remind() for _ in range(6)))
        assert sum(map(len, given)) == 1
