"""The outbox: the newest revision gets shown, whatever the chat does; what nobody can see is ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
import structlog

from gateway.approvals import glass
from gateway.approvals import request as rules
from gateway.approvals.escalation import escalate
from gateway.approvals.health import ChatHealth
from gateway.approvals.outbox import MAX_ATTEMPTS, Below, Front, Outbox, PermanentFailure, RetryLater, Unreached
from gateway.approvals.pace import LIMITS, Limit
from gateway.approvals.request import ApprovalRequest, State
from gateway.store.memory import MemoryStore
from gateway.store.port import Backlog, Post, Store
from tests.bots.samples import BOB
from tests.fakes.clock import Clock
from tests.fakes.stores import fresh, postgres_store, until

DEADLINE = 15.0


@dataclass
class Chat:
    """A front that notes what it shows: (channel, ref, state, rev). `trouble` is raised instead, once each; while `gate`
    is closed a card is under way."""

    shown: list[tuple[str, str | None, State, int]] = field(default_factory=list)
    told: list[tuple[str, Below]] = field(default_factory=list)
    reminded: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def post(self, channel: str, request: ApprovalRequest) -> str:
        return await self._show(channel, None, request)

    async def update(self, channel: str, ref: str, request: ApprovalRequest) -> str:
        return await self._show(channel, ref, request)

    async def remind(self, ref: str, request: ApprovalRequest, about: Below = Below.WAITING) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        if about is not Below.WAITING:
            self.told.append((ref, about))
            return
        self.reminded.append((ref, request.id))

    async def say(self, channel: str, text: str) -> None:
        raise AssertionError((channel, text))

    async def alarm(self, channel: str, request: ApprovalRequest) -> str:
        return await self._show(f"alarm in {channel}", None, request)

    async def _show(self, channel: str, ref: str | None, request: ApprovalRequest) -> str:
        await self.gate.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        self.shown.append((channel, ref, request.state, request.rev))
        return ref or f"ref-{len(self.shown)}"


@pytest.fixture
def chat() -> Chat:
    return Chat()


@pytest.fixture
def ended() -> list[tuple[str, str]]:
    return []


def made(
    store: Store,
    chat: Chat,
    clock: Callable[[], float],
    ended: list[tuple[str, str]],
    limits: Mapping[tuple[str, str], Limit] = LIMITS,
    counted: Callable[[Backlog], object] = lambda _backlog: None,
    more: Mapping[str, Front] = MappingProxyType({}),
) -> Outbox:
    async def undeliverable(request_id: str, why: str) -> None:
        ended.append((request_id, why))
        await store.move(request_id, lambda request, now: rules.undeliverable(request, why, now), lambda _: [])

    async def escalated(request_id: str) -> ApprovalRequest | None:
        moved = await store.move(request_id, escalate, lambda _: [])
        return moved if isinstance(moved, ApprovalRequest) else None

    return Outbox(
        store,
        {"slack": chat, **more},
        clock,
        undeliverable=undeliverable,
        escalate=escalated,
        jitter=lambda: 0.0,
        limits=limits,
        counted=counted,
    )


@pytest.fixture
async def outbox(store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]) -> AsyncIterator[Outbox]:
    """Not started: a test makes its rounds itself."""
    outbox = made(store, chat, clock, ended)
    yield outbox
    chat.gate.set()
    await outbox.close()


async def rounds(outbox: Outbox) -> int:
    """Send until nothing is due; returns how many were sent."""
    count = 0
    while number := await outbox.send_due():
        count += number
        await asyncio.gather(*outbox._sending)
    return count


async def opened(store: Store, *channels: str) -> ApprovalRequest:
    request = fresh(channels=channels or ("slack:C1",))
    await store.open(request, lambda _: [])
    return request


async def deny(store: Store, request: ApprovalRequest) -> None:
    await store.move(request.id, lambda stored, now: rules.deny(stored, BOB, "slack", "no", now), lambda _: [])


async def only_post(store: Store, request: ApprovalRequest) -> Post:
    [post] = await store.posts(request.id)
    return post


class TestSending:
    async def test_a_card_in_each_channel_then_updates_in_place(
        self, outbox: Outbox, store: MemoryStore, chat: Chat
    ) -> None:
        request = await opened(store, "slack:C1", "slack:C2")
        assert await rounds(outbox) == 2
        await deny(store, request)
        assert await rounds(outbox) == 2
        assert chat.shown == [
            ("C1", None, State.PENDING, 1),
            ("C2", None, State.PENDING, 1),
            ("C1", "ref-1", State.DENIED, 2),
            ("C2", "ref-2", State.DENIED, 2),
        ]
        assert await rounds(outbox) == 0

    async def test_only_the_newest_revision_is_sent(self, outbox: Outbox, store: MemoryStore, chat: Chat) -> None:
        request = await opened(store)
        await rounds(outbox)
        for _ in range(3):
            await store.move(request.id, lambda stored, _now: stored, lambda _: [])
        await rounds(outbox)
        assert [rev for *_, rev in chat.shown] == [1, 4]

    async def test_a_change_while_posting_is_shown_right_after(
        self, outbox: Outbox, store: MemoryStore, chat: Chat
    ) -> None:
        request = await opened(store)
        chat.gate.clear()
        assert await outbox.send_due() == 1
        await asyncio.gather(asyncio.get_running_loop().create_task(deny(store, request)))
        chat.gate.set()
        await asyncio.gather(*outbox._sending)
        await rounds(outbox)
        assert chat.shown[-1] == ("C1", "ref-1", State.DENIED, 2)
        assert (await only_post(store, request)).sent == 2

    async def test_what_ended_before_it_was_posted_is_not_posted(
        self, outbox: Outbox, store: MemoryStore, chat: Chat
    ) -> None:
        request = await opened(store)
        await deny(store, request)
        await rounds(outbox)
        assert chat.shown == []
        assert (await only_post(store, request)).dead

    async def test_what_may_have_been_posted_gets_its_end_posted(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock
    ) -> None:
        """The answer was lost: a card may hang there with its buttons, and nobody knows where."""
        request = await opened(store)
        chat.trouble = [TimeoutError()]
        await rounds(outbox)
        await deny(store, request)
        clock.now += 31.0
        await rounds(outbox)
        assert chat.shown == [("C1", None, State.DENIED, 2)]

    @pytest.mark.parametrize("error", [Unreached("no route"), RetryLater(1.0)])
    async def test_what_was_certainly_not_posted_is_not_posted_when_it_is_over(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock, error: Exception
    ) -> None:
        request = await opened(store)
        chat.trouble = [error]
        await rounds(outbox)
        await deny(store, request)
        clock.now += 31.0
        await rounds(outbox)
        assert chat.shown == []
        assert (await only_post(store, request)).dead


class TestTrouble:
    async def test_backoff_doubles_up_to_thirty_seconds(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock
    ) -> None:
        request = await opened(store)
        for seconds in (1, 2, 4, 8, 16, 30, 30):
            chat.trouble = [ConnectionError("no route")]
            assert await rounds(outbox) == 1
            clock.now += seconds - 0.01
            assert await rounds(outbox) == 0, f"not before {seconds} s"
            clock.now += 0.02
        assert (await only_post(store, request)).last_error == "slack:C1: no route"
        assert await rounds(outbox) == 1
        assert [channel for channel, *_ in chat.shown] == ["C1"]

    async def test_jitter_takes_up_to_half_away(self, store: MemoryStore, chat: Chat, clock: Clock) -> None:
        async def never(_id: str, _why: str) -> None:
            raise AssertionError

        async def nobody(_id: str) -> None:
            raise AssertionError

        outbox = Outbox(store, {"slack": chat}, clock, undeliverable=never, escalate=nobody, jitter=lambda: 1.0)
        await opened(store)
        chat.trouble = [TimeoutError()]
        await rounds(outbox)
        clock.now += 0.51
        assert await rounds(outbox) == 1

    async def test_the_chat_says_when_to_come_back(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock
    ) -> None:
        await opened(store)
        chat.trouble = [RetryLater(42.0)]
        await rounds(outbox)
        clock.now += 41.9
        assert await rounds(outbox) == 0
        clock.now += 0.2
        assert await rounds(outbox) == 1

    @pytest.mark.parametrize("channel", ["teams:19:x", "nowhere"])
    async def test_a_front_that_is_not_there_is_a_dead_letter(
        self, outbox: Outbox, store: MemoryStore, channel: str
    ) -> None:
        request = await opened(store, channel)
        await rounds(outbox)
        post = await only_post(store, request)
        assert (post.dead, post.last_error) == (True, f"{channel}: {channel.partition(':')[0]} is not configured")

    async def test_it_gives_up_in_the_end(self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock) -> None:
        request = await opened(store)
        chat.trouble = [ConnectionError("no route") for _ in range(MAX_ATTEMPTS + 5)]
        for _ in range(MAX_ATTEMPTS + 5):
            clock.now += 31.0
            await rounds(outbox)
        post = await only_post(store, request)
        assert (post.dead, post.attempts) == (True, MAX_ATTEMPTS)

    async def test_an_unprintable_error_is_stored(self, outbox: Outbox, store: MemoryStore, chat: Chat) -> None:
        request = await opened(store)
        chat.trouble = [ConnectionError("\0\ud800" + "x" * 5000)]
        await rounds(outbox)
        error = (await only_post(store, request)).last_error
        assert error.startswith("slack:C1: \ufffd\ufffdxxx")
        assert len(error) == 200

    async def test_a_store_that_is_away_costs_nothing_but_time(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock
    ) -> None:
        request = await opened(store)
        chat.gate.clear()
        await outbox.send_due()
        store.away = True
        chat.gate.set()
        await asyncio.gather(*outbox._sending)
        store.away = False
        clock.now += 31.0
        await rounds(outbox)
        assert (await only_post(store, request)).sent == 1


class TestTurns:
    async def test_more_cards_at_once_than_the_chat_takes_wait_for_their_turn(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        """Twelve in one channel of Slack's: five at once, then five seconds later the next ones; no attempt is counted."""
        requests = [await opened(store) for _ in range(12)]
        await rounds(outbox)
        assert len(chat.shown) == 5
        clock.now += 4.9
        await rounds(outbox)
        assert len(chat.shown) == 5
        clock.now += 0.2
        await rounds(outbox)
        assert len(chat.shown) == 10
        clock.now += 5.0
        await rounds(outbox)
        assert len(chat.shown) == 12
        assert {(await only_post(store, each)).attempts for each in requests} == {0}

    async def test_who_waits_for_a_turn_is_not_undeliverable(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        for _ in range(40):
            await opened(store)
        for _ in range(8):
            await rounds(outbox)
            await outbox.give_up()
            clock.now += 5.0
        assert len(chat.shown) == 40
        assert ended == []

    async def test_updates_that_wait_are_sent_as_one(
        self, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        limits = {("slack", "update"): Limit(((1, 30.0),), each_channel=False)}
        outbox = made(store, chat, clock, ended, limits)
        request = await opened(store)
        await rounds(outbox)
        for _ in range(3):
            await store.move(request.id, lambda stored, _now: stored, lambda _: [])
            await rounds(outbox)
            clock.now += 1.0
        assert [rev for *_, rev in chat.shown] == [1, 2]
        clock.now += 30.0
        await rounds(outbox)
        assert [rev for *_, rev in chat.shown] == [1, 2, 4], "the newest one; what lay between is never sent"

    async def test_another_channel_does_not_wait(self, outbox: Outbox, store: MemoryStore, chat: Chat) -> None:
        for _ in range(9):
            await opened(store, "slack:C1")
        await opened(store, "slack:C2")
        await rounds(outbox)
        assert [channel for channel, *_ in chat.shown] == ["C1"] * 5 + ["C2"]


class TestDeadLetters:
    async def test_one_is_logged_counted_and_tried_again_by_the_next_process(
        self, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        outbox = made(store, chat, clock, ended)
        request = await opened(store)
        await rounds(outbox)
        await deny(store, request)
        chat.trouble = [PermanentFailure("token_revoked: check SLACK_BOT_TOKEN")]
        with structlog.testing.capture_logs() as logs:
            await rounds(outbox)
        [told] = [each for each in logs if each["event"] == "outbox.parked"]
        assert (told["log_level"], told["request"], told["channel"]) == ("error", request.id, "slack:C1")
        assert told["error"] == "slack:C1: token_revoked: check SLACK_BOT_TOKEN"
        clock.now += 3600.0
        await rounds(outbox)
        assert [rev for *_, rev in chat.shown] == [1]
        backlogs: list[Backlog] = []
        after = made(store, chat, clock, ended, counted=backlogs.append)
        assert await store.backlog() == Backlog(waiting=0, parked=1)
        await after.start()

        async def shown() -> bool:
            return len(chat.shown) == 2

        await until(shown)
        await after.close()
        assert chat.shown[-1] == ("C1", "ref-1", State.DENIED, 2)
        assert backlogs
        assert await store.backlog() == Backlog(waiting=0, parked=0)


class TestUndeliverable:
    async def test_when_every_channel_refuses(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, ended: list[tuple[str, str]]
    ) -> None:
        request = await opened(store, "slack:C1", "slack:C2")
        chat.trouble = [PermanentFailure("not_in_channel")]
        await rounds(outbox)
        await outbox.give_up()
        assert ended == [], "the other channel has it"
        lost = await opened(store, "slack:C3", "teams:x")
        chat.trouble = [PermanentFailure("is_archived")]
        await rounds(outbox)
        await outbox.give_up()
        [(ended_id, why)] = ended
        assert ended_id == lost.id != request.id
        assert why == "the card could not be posted (slack:C3: is_archived; teams:x: teams is not configured)"
        await outbox.give_up()
        assert len(ended) == 1

    async def test_when_nothing_was_posted_in_twenty_seconds(
        self, outbox: Outbox, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        request = await opened(store)
        chat.trouble = [ConnectionError("no route") for _ in range(9)]
        await rounds(outbox)
        clock.now += 19.9
        await outbox.give_up()
        assert ended == []
        clock.now += 0.2
        await outbox.give_up()
        assert ended == [(request.id, "the card could not be posted (slack:C1: no route)")]

    async def test_while_a_chat_is_away_a_new_card_is_tried_once(
        self, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        teams = Chat()
        outbox = made(store, chat, clock, ended, more={"teams": teams})
        first = await opened(store)
        chat.trouble = [ConnectionError("no route") for _ in range(30)]
        for _ in range(7):
            await rounds(outbox)
            clock.now += 4.0
        await outbox.give_up()
        second, both = await opened(store), await opened(store, "slack:C1", "teams:1")
        await outbox.give_up()
        assert [each for each, _ in ended] == [first.id], "not before it was tried"
        teams.trouble = [RetryLater(1.0)]
        await rounds(outbox)
        await outbox.give_up()
        assert [each for each, _ in ended] == [first.id, second.id], "Teams is not away, and will take it"
        chat.trouble = []
        third = await opened(store)
        clock.now += 2.0
        await rounds(outbox)
        await outbox.give_up()
        assert len(ended) == 2
        assert (await only_post(store, third)).ref is not None
        assert all(post.ref for post in await store.posts(both.id) if post.channel == "teams:1")
        await outbox.close()


class TestRunning:
    async def test_a_wake_up_sends_and_close_ends_it(
        self, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        outbox = made(store, chat, clock, ended)
        await outbox.start()
        request = await opened(store)

        async def shown() -> bool:
            return (await only_post(store, request)).sent == 1

        await until(shown)
        await deny(store, request)
        await outbox.close()
        assert [rev for *_, rev in chat.shown] == [1, 2], "what was due is sent before it closes"

    async def test_an_unreachable_request_is_ended_by_itself(
        self, store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
    ) -> None:
        outbox = made(store, chat, clock, ended)
        await outbox.start()
        request = await opened(store, "teams:x")

        async def is_ended() -> bool:
            clock.now += 0.1
            return bool(ended)

        await until(is_ended)
        stored = await store.get(request.id)
        assert stored is not None
        assert stored.state is State.UNDELIVERABLE
        await outbox.close()

    async def test_close_does_not_wait_for_ever(
        self,
        store: MemoryStore,
        chat: Chat,
        clock: Clock,
        ended: list[tuple[str, str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("gateway.approvals.outbox.FLUSH_WITHIN", 0.05)
        outbox = made(store, chat, clock, ended)
        await outbox.start()
        chat.gate.clear()
        await opened(store)
        async with asyncio.timeout(DEADLINE):
            await outbox.close()
        assert chat.shown == []

    async def test_two_replicas_post_each_card_once(self, store_dsn: str) -> None:
        async with postgres_store(store_dsn) as one, postgres_store(store_dsn) as two:
            chat, ended = Chat(), list[tuple[str, str]]()
            outboxes = [made(store, chat, time.time, ended, {}) for store in (one, two)]
            for outbox in outboxes:
                await outbox.start()
            requests = [await opened((one, two)[number % 2]) for number in range(20)]

            async def all_shown() -> bool:
                return len(chat.shown) >= len(requests)

            await until(all_shown)
            for outbox in outboxes:
                await outbox.close()
            assert len(chat.shown) == len(requests)
            assert {post.sent for request in requests for post in await one.posts(request.id)} == {1}


# Alarms --------------------------------------------------------------------------------------------------------------


async def break_glass(store: Store, request: ApprovalRequest) -> None:
    def change(stored: ApprovalRequest, now: float) -> ApprovalRequest | rules.Refusal:
        return glass.break_glass(stored, BOB, "slack", "payments are down", now, typed="break glass")

    assert isinstance(await store.move(request.id, change, lambda _: []), ApprovalRequest)


@pytest.fixture
async def breakable(store: MemoryStore) -> ApprovalRequest:
    request = fresh(channels=("slack:C1",), glass="dba", glass_groups=frozenset({"dba"}))
    await store.open(request, lambda _: [])
    return request


async def test_a_broken_glass_is_told_once_in_the_channel(
    outbox: Outbox, store: MemoryStore, chat: Chat, breakable: ApprovalRequest
) -> None:
    await rounds(outbox)
    await break_glass(store, breakable)
    await rounds(outbox)
    assert ("alarm in C1", None, State.APPROVED, 2) in chat.shown
    await store.move(breakable.id, lambda each, now: rules.release(each, each.release_digest, now), lambda _: [])
    await store.redraw(breakable.id)
    await rounds(outbox)
    assert [each for each, *_ in chat.shown if each.startswith("alarm")] == ["alarm in C1"]
    assert ("C1", "ref-1", State.RELEASED, 3) in chat.shown


async def test_an_alarm_is_told_even_if_it_is_over_by_then(
    outbox: Outbox, store: MemoryStore, chat: Chat, breakable: ApprovalRequest
) -> None:
    """The chat was away meanwhile; nobody saw the card either, and nobody needs it now."""
    await break_glass(store, breakable)
    await store.move(breakable.id, lambda each, now: rules.release(each, each.release_digest, now), lambda _: [])
    await rounds(outbox)
    assert [each for each, *_ in chat.shown] == ["alarm in C1"]


async def test_an_alarm_is_tried_again(
    outbox: Outbox, store: MemoryStore, chat: Chat, breakable: ApprovalRequest, clock: Clock
) -> None:
    await rounds(outbox)
    await break_glass(store, breakable)
    chat.trouble = [Unreached(), Unreached()]
    await rounds(outbox)
    clock.now += 5
    await rounds(outbox)
    assert ("alarm in C1", None, State.APPROVED, 2) in chat.shown


# Reminders -----------------------------------------------------------------------------------------------------------


async def waiting(store: MemoryStore, outbox: Outbox, clock: Clock) -> ApprovalRequest:
    """A posted request of ten minutes that has waited for four."""
    request = fresh(opened_at=clock.now, expires_at=clock.now + 600, channels=("slack:C1",))
    await store.open(request, lambda _: [])
    await rounds(outbox)
    clock.now += 240
    return request


async def remind(outbox: Outbox) -> None:
    await outbox.remind()
    await asyncio.gather(*outbox._sending)


async def test_a_request_that_waits_is_said_again_at_each_third(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock
) -> None:
    request = await waiting(store, outbox, clock)
    for expected in (1, 1, 1):
        await remind(outbox)
        assert chat.reminded == [("ref-1", request.id)] * expected
    clock.now += 200
    for _ in range(3):
        await remind(outbox)
        assert len(chat.reminded) == 2


@pytest.mark.parametrize(
    ("trouble", "said"), [(RetryLater(1), 1), (Unreached(), 1), (OSError(), 0), (PermanentFailure(), 0)]
)
async def test_a_reminder_is_said_again_only_where_it_was_not_said_for_sure(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock, trouble: Exception, said: int
) -> None:
    await waiting(store, outbox, clock)
    chat.trouble = [trouble]
    for _ in range(3):
        await remind(outbox)
    assert len(chat.reminded) == said


async def test_a_new_process_says_what_is_due_and_nothing_twice(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
) -> None:
    await waiting(store, outbox, clock)
    later = made(store, chat, clock, ended)
    await remind(later)
    await remind(outbox)
    assert len(chat.reminded) == 1


async def test_a_reminder_waits_for_its_turn(
    store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
) -> None:
    slow = made(store, chat, clock, ended, limits={("slack", "post"): Limit(((1, 300.0),), each_channel=True)})
    await waiting(store, slow, clock)
    await remind(slow)
    assert chat.reminded == []
    clock.now += 61
    await remind(slow)
    assert len(chat.reminded) == 1


# Escalation ----------------------------------------------------------------------------------------------------------


async def escalating(store: MemoryStore, clock: Clock) -> ApprovalRequest:
    """A request of ten minutes that is asked in C2, too, after 400 s."""
    request = fresh(
        opened_at=clock.now,
        expires_at=clock.now + 600,
        channels=("slack:C1",),
        escalate_to=("slack:C2",),
        escalate_at=clock.now + 400,
    )
    await store.open(request, lambda _: [])
    return request


async def test_a_card_goes_to_the_further_channel_when_its_time_has_come(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock
) -> None:
    request = await escalating(store, clock)
    await rounds(outbox)
    clock.now += 399
    await rounds(outbox)
    assert [channel for channel, *_ in chat.shown] == ["C1"]
    assert await store.backlog() == Backlog(1, 0), "it is due within a minute"
    clock.now += 1
    await rounds(outbox)
    await rounds(outbox)
    assert [(channel, rev) for channel, _, _, rev in chat.shown] == [("C1", 1), ("C2", 2), ("C1", 2)]
    assert chat.told == [("ref-1", Below.ESCALATED)]
    stored = await store.get(request.id)
    assert stored is not None
    assert stored.escalated_at == clock.now
    await remind(outbox)
    assert chat.reminded == [], "it has just been said that it still waits"


async def test_both_cards_are_kept_true(store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock) -> None:
    request = await escalating(store, clock)
    await rounds(outbox)
    clock.now += 400
    await rounds(outbox)
    await store.move(request.id, lambda stored, now: rules.deny(stored, BOB, "slack", "no", now), lambda _: [])
    await rounds(outbox)
    assert {(channel, state) for channel, _, state, _ in chat.shown[-2:]} == {
        ("C1", State.DENIED),
        ("C2", State.DENIED),
    }


async def test_what_is_decided_before_is_not_escalated(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock
) -> None:
    request = await escalating(store, clock)
    await rounds(outbox)
    await store.move(request.id, lambda stored, now: rules.deny(stored, BOB, "slack", "no", now), lambda _: [])
    clock.now += 400
    await rounds(outbox)
    assert [channel for channel, *_ in chat.shown] == ["C1", "C1"]
    assert chat.told == []
    assert await store.backlog() == Backlog(0, 0)


async def test_where_the_first_channel_is_gone_the_further_one_is_asked_at_once(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
) -> None:
    await escalating(store, clock)
    chat.trouble = [PermanentFailure("is_archived")]
    await rounds(outbox)
    await rounds(outbox)
    assert [channel for channel, *_ in chat.shown] == ["C2"]
    clock.now += 30
    await outbox.give_up()
    assert ended == []


async def test_where_the_first_chat_is_away_the_further_channel_is_asked_after_a_few_tries(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock
) -> None:
    await escalating(store, clock)
    for failures in range(3):
        assert [channel for channel, *_ in chat.shown] == [], failures
        chat.trouble = [Unreached()]
        await rounds(outbox)
        clock.now += 2.0**failures
    chat.trouble = []
    await rounds(outbox)
    assert {channel for channel, *_ in chat.shown} == {"C1", "C2"}


async def test_what_a_chat_does_not_take_below_a_card_is_lost(
    store: MemoryStore, outbox: Outbox, chat: Chat, clock: Clock
) -> None:
    request = await waiting(store, outbox, clock)
    chat.trouble = [PermanentFailure("gone")]
    for expected in ([], [("ref-1", Below.COUNTED)]):
        outbox.tell(request, Below.COUNTED)
        while outbox._sending:
            await asyncio.gather(*outbox._sending)
        assert chat.told == expected


async def test_how_the_chat_takes_what_it_is_sent(
    store: MemoryStore, chat: Chat, clock: Clock, ended: list[tuple[str, str]]
) -> None:
    outbox = made(store, chat, clock, ended)
    await opened(store)
    chat.trouble = [TimeoutError("slow"), TimeoutError("slow")]
    for failures in (1, 2):
        await rounds(outbox)
        slack = outbox.health["slack"]
        assert (slack.last_ok, slack.failures, slack.last_error) == (None, failures, "slack:C1: slow")
        clock.now += 60
    await rounds(outbox)
    assert outbox.health == {"slack": ChatHealth(clock.now)}
    await outbox.close()
