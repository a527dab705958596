"""The outbox: what the store wants shown in chat is sent from here, once per revision, until it is shown or hopeless.

A card is a projection: whatever was missed, the newest revision is what gets sent. A row is claimed for 30 s, so another
replica takes over when this one dies while sending; at worst a card is posted twice, and both know the same request. A card
whose post was begun and never confirmed may hang there with its buttons: then the request's end is posted all the same.
Decisions never wait for anything in here.

    NOTIFY outbox / each second -> due() -> one task a row -> front.post or front.update -> sent() | failed()
                                         -> unreachable() -> undeliverable(request)
                                         -> remind() -> front.remind(), below the card
A card of a channel that a request is escalated to is a row that is due later; when it comes, `escalate` says so in the request,
and the threads of its other cards are told.
A chat that has failed for as long as a card is tried counts as away (health.py): a card that comes then is tried once, and what no
other chat shows is undeliverable at once.
An alarm (ALARM behind its channel) is a row like a card's, shown once by front.alarm().
A request that changed while its card was being posted is due again the moment `sent` is stored. A chat that takes so many
at once only (pace.py) gets them in turns. What is hopeless is parked: a dead letter, which the log and /metrics tell of, and
which is tried again by the next process, or when somebody clicks on its card.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from enum import Enum
from typing import Protocol

import structlog

from gateway.approvals.health import PATIENCE, ChatHealth
from gateway.approvals.pace import LIMITS, Limit, Pace
from gateway.approvals.request import ApprovalRequest, State
from gateway.audit.entry import clean
from gateway.errors import StoreUnavailable
from gateway.store.port import ALARM, CLAIM_SECONDS, Backlog, Post, Store

#: Seconds. A front's own limit is 5 s a call and it may make a few; the claim must outlive it.
SEND_TIMEOUT = CLAIM_SECONDS - 10.0
POLL_EVERY = 1.0
#: A change seldom comes alone (approved, released, executed within 20 ms): one update shows them all, which Slack's limit
#: on updates rewards, and drawing cards never stands in the way of the wire that the same click lets go.
GATHER = 0.05
BACKOFF_MOST = 30.0
FLUSH_WITHIN = 5.0
#: Failures of a first post until a request is asked at once where it would be asked later: after about 3 s, so that it is well
#: within the time after which it is given up.
HURRY_AFTER = 2
#: Failures in a row until a card is given up: about 20 minutes.
MAX_ATTEMPTS = 45
#: Dead letters of so many seconds are tried again by a new process: what they failed of may have been put right.
REVIVED = 86_400.0
COUNT_EVERY = 10.0
#: By default an escalation and the second reminder are due at once: one of them is enough.
SAID_LATELY = 60.0

log = structlog.get_logger()


class RetryLater(Exception):
    """The chat says when to come back (429, Retry-After): not before `seconds` are over."""

    def __init__(self, seconds: float, message: str = "rate limited") -> None:
        super().__init__(message)
        self.seconds = seconds


class Unreached(Exception):
    """The chat could not be reached: whatever else is unknown, it has shown nothing."""


class PermanentFailure(Exception):
    """The chat will never take this card (channel gone, not a member, token revoked); the text goes to operators."""


class Below(Enum):
    """What is said in the thread of a card."""

    WAITING = "it still waits"
    ESCALATED = "it is asked in further channels"  # told to the whole channel where a chat can
    COUNTED = "an approval was counted, and it needs another"
    FLOODED = "further requests of the same person are refused, because too many wait"  # told to the whole channel, too


class Front(Protocol):
    """One chat platform. `channel` is without the platform's name ("C1" of "slack:C1")."""

    async def post(self, channel: str, request: ApprovalRequest) -> str:
        """Post the card; returns the reference (JSON text) by which it is updated.

        Raises RetryLater, PermanentFailure, Unreached where nothing was posted; after any other error it may have been.
        """

    async def update(self, channel: str, ref: str, request: ApprovalRequest) -> str:
        """Draw the card anew; returns the reference from now on (another one if it had to be posted again)."""

    async def remind(self, ref: str, request: ApprovalRequest, about: Below = Below.WAITING) -> None:
        """Say below the card that the request still waits, or what `about` is. Raises as `post`."""

    async def say(self, channel: str, text: str) -> None:
        """A message of its own in a channel; moments in it are tokens. Raises as `post`."""

    async def alarm(self, channel: str, request: ApprovalRequest) -> str:
        """Say in the channel itself that somebody has broken the glass; returns the message's reference. Raises as `post`."""


class Outbox:
    """`start` it after the desk, `close` it before the store. `undeliverable` and `escalate` are the desk's."""

    def __init__(
        self,
        store: Store,
        fronts: Mapping[str, Front],
        clock: Callable[[], float],
        *,
        undeliverable: Callable[[str, str], Awaitable[object]],
        escalate: Callable[[str], Awaitable[ApprovalRequest | None]],
        replica: str = "",
        give_up_after: float = PATIENCE,
        limits: Mapping[tuple[str, str], Limit] = LIMITS,
        counted: Callable[[Backlog], object] = lambda _backlog: None,
        noted: Callable[[str, ChatHealth], object] = lambda _chat, _health: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._fronts = fronts
        self._clock = clock
        self._undeliverable = undeliverable
        self._escalate = escalate
        self._replica = replica
        self._give_up_after = give_up_after
        self._pace = Pace(limits)
        self._counted = counted
        self._noted = noted
        self.health: dict[str, ChatHealth] = {}  # chat -> how it takes what this process sends
        self._jitter = jitter
        self._wake = asyncio.Event()
        self._gathering: asyncio.TimerHandle | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Begin to send, former dead letters too. Raises StoreUnavailable when it can't listen."""
        await self._store.listen(self._on_notify)
        if revived := await self._store.revive(REVIVED):
            log.info("outbox.revived", cards=revived)
        self._loop_task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop, after one more round for what is due now; at most 5 s. What is left over another replica sends."""
        if self._gathering is not None:
            self._gathering.cancel()
        self._closing = True
        self._wake.set()
        try:
            async with asyncio.timeout(FLUSH_WITHIN):
                if (
                    self._loop_task is not None
                ):  # not cancelled: a claim that it has just made would stay unsent for 30 s
                    await self._loop_task
                while await self.send_due() or self._sending:
                    await asyncio.gather(*self._sending)
        except (TimeoutError, StoreUnavailable) as error:
            log.warning("outbox.not_flushed", reason=type(error).__name__)
        for task in tuple(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _on_notify(self, channel: str, _payload: str) -> None:
        if channel == "outbox" and self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHER, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._wake.set()

    async def _run(self) -> None:
        next_look = next_count = self._clock()
        while not self._closing:
            self._wake.clear()
            try:
                await self.send_due()
                if self._clock() >= next_look:
                    next_look = self._clock() + POLL_EVERY
                    await self.give_up()
                    await self.remind()
                if self._clock() >= next_count:
                    next_count = self._clock() + COUNT_EVERY
                    self._counted(await self._store.backlog())
            except StoreUnavailable:
                log.warning("outbox.store_away")
            except Exception:
                log.exception("outbox.round_failed")
            try:
                async with asyncio.timeout(POLL_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def send_due(self) -> int:
        """Claim what is due and begin to send it, each card in a task of its own; returns how many."""
        posts = await self._store.due(claimer=self._replica)
        for post in posts:
            self._begin(self._send(post))
        return len(posts)

    async def remind(self) -> None:
        """Begin to say of each request that has waited for one more third of its time that it still waits."""
        for post in await self._store.remind():
            self._begin(self._remind(post))

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _remind(self, post: Post) -> None:
        """Say it once: again only where it is certain that nothing was said."""
        try:
            said = await self._say_below(post)
        except (RetryLater, Unreached):
            said = False
        except StoreUnavailable:
            return
        except Exception as error:
            log.warning("outbox.not_reminded", request=post.request, error=type(error).__name__)
            return
        if not said:
            with contextlib.suppress(StoreUnavailable):
                await self._store.unremind(post.id)

    async def _say_below(self, post: Post) -> bool:
        """False: it is not its turn yet."""
        platform, _, channel = post.channel.partition(":")
        request, front = await self._store.get(post.request), self._fronts.get(platform)
        if request is None or request.state is not State.PENDING or front is None or post.ref is None:
            return True
        if request.escalated_at is not None and self._clock() - request.escalated_at < SAID_LATELY:
            return True  # the escalation said so as well
        if self._pace.wait(platform, "post", channel, -post.id, self._clock()):  # not the turn of the card itself
            return False
        async with asyncio.timeout(SEND_TIMEOUT):
            await front.remind(post.ref, request)
        return True

    async def give_up(self) -> None:
        """End the pending requests that no reviewer can see. Nothing that is posted somewhere is touched."""
        hopeless = await self._store.unreachable(self._give_up_after)
        if any(health.is_away(self._give_up_after) for health in self.health.values()):
            hopeless += [each for each in await self._store.unreachable(0.0) if await self._meets_nobody(each)]
        for request_id in dict.fromkeys(hopeless):
            errors = {post.last_error for post in await self._store.posts(request_id) if post.last_error}
            why = "the card could not be posted" + (f" ({'; '.join(sorted(errors))})" if errors else "")
            await self._undeliverable(request_id, why)

    async def _meets_nobody(self, request_id: str) -> bool:
        """The circuit breaker: each of its cards has been tried, in a chat that has been away for longer than a card is tried."""
        posts = [post for post in await self._store.posts(request_id) if not post.dead]
        return all(post.attempts and self._is_away(post.channel) for post in posts)

    def _is_away(self, channel: str) -> bool:
        health = self.health.get(channel.partition(":")[0])
        return health is not None and health.is_away(self._give_up_after)

    async def _send(self, post: Post) -> None:
        try:
            await self._send_once(post)
        except StoreUnavailable:
            log.warning("outbox.store_away", request=post.request)  # the claim runs out and the row is due again
        finally:
            self._wake.set()  # it may have changed meanwhile, or its death may end the request

    async def _send_once(self, post: Post) -> None:
        if post.channel.endswith(ALARM) and post.ref is not None:
            await self._store.sent(post.id, post.wanted, post.ref)  # what was told stays as it was told
            return
        request = await self._asked(post)
        if request is None or (_is_late(post, request) and not post.channel.endswith(ALARM)):
            await self._store.failed(post.id, "", None, unposted=True)  # nobody saw it, so there is nothing to correct
            return
        if seconds := self._turn(post):
            await self._store.postponed(post.id, seconds, maybe_posted=post.maybe_posted)
            asyncio.get_running_loop().call_later(seconds, self._wake.set)
            return
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                ref = await self._show(post, request)
        except PermanentFailure as error:
            await self._failed(post, error, None)
        except RetryLater as error:
            await self._failed(post, error, error.seconds)
        except Exception as error:  # a front may fail in any way; the card is tried again
            await self._failed(post, error, self._backoff(post.attempts))
        else:
            self._note(post, "")
            await self._store.sent(post.id, request.rev, ref)

    async def _asked(self, post: Post) -> ApprovalRequest | None:
        """The request of a card; an escalation is noted in it, and told where it was asked before, once."""
        request = await self._store.get(post.request)
        if request is None or request.escalated_at is not None or post.channel not in request.escalate_to:
            return request
        escalated = await self._escalate(request.id)
        if escalated is None:
            return await self._store.get(request.id)
        self.tell(escalated, Below.ESCALATED)
        return escalated

    def tell(self, request: ApprovalRequest, about: Below) -> None:
        """Begin to say something below each card of a request, once: it is lost where the chat does not take it."""
        self._begin(self._tell_all(request, about))

    async def _tell_all(self, request: ApprovalRequest, about: Below) -> None:
        with contextlib.suppress(StoreUnavailable):
            for post in await self._store.posts(request.id):
                new = about is Below.ESCALATED and post.channel in request.escalate_to
                if post.ref is not None and not post.dead and not new:
                    self._begin(self._tell(post, request, about))

    async def _tell(self, post: Post, request: ApprovalRequest, about: Below) -> None:
        platform, _, channel = post.channel.partition(":")
        front = self._fronts.get(platform)
        if front is None or post.ref is None:
            return
        try:
            who = (post.id, about, request.rev)
            await asyncio.sleep(self._pace.wait(platform, "post", channel, who, self._clock()))
            async with asyncio.timeout(SEND_TIMEOUT):
                await front.remind(post.ref, request, about)
        except Exception as error:  # a front may fail in any way; the card itself says the same
            log.warning("outbox.not_told", request=post.request, about=about.value, error=type(error).__name__)

    def _turn(self, post: Post) -> float:
        """Seconds until the chat may be asked again; the newest revision of then is what goes."""
        platform, _, channel = post.channel.removesuffix(ALARM).partition(":")
        return self._pace.wait(platform, "post" if post.ref is None else "update", channel, post.id, self._clock())

    async def _show(self, post: Post, request: ApprovalRequest) -> str:
        platform, _, channel = post.channel.partition(":")
        front = self._fronts.get(platform)
        if front is None:
            raise PermanentFailure(f"{platform} is not configured")
        if channel.endswith(ALARM):
            return await front.alarm(channel.removesuffix(ALARM), request)
        if post.ref is None:
            return await front.post(channel, request)
        return await front.update(channel, post.ref, request)

    def _note(self, post: Post, error: str, *, away: bool = False) -> None:
        chat, now = post.channel.partition(":")[0], self._clock()
        known = self.health.get(chat, ChatHealth())
        self.health[chat] = known.failed(error, now if away else None) if error else known.shown(now)
        self._noted(chat, self.health[chat])

    async def _failed(self, post: Post, error: Exception, retry_in: float | None) -> None:
        hopeless = post.attempts + 1 >= MAX_ATTEMPTS
        text = str(clean(f"{post.channel}: {error or type(error).__name__}"))[:200]
        if hopeless or retry_in is None:
            log.error(
                "outbox.parked", request=post.request, channel=post.channel, error=text, attempts=post.attempts + 1
            )
        else:
            log.warning("outbox.failed", request=post.request, channel=post.channel, error=text, retry_in=retry_in)
        self._note(post, text, away=not isinstance(error, RetryLater | PermanentFailure))
        unposted = isinstance(error, RetryLater | PermanentFailure | Unreached) and not post.maybe_posted
        await self._store.failed(post.id, text, None if hopeless else retry_in, unposted=unposted)
        tried_enough = hopeless or retry_in is None or post.attempts >= HURRY_AFTER or self._is_away(post.channel)
        if post.ref is None and tried_enough:
            await self._store.hurry(post.request)  # where it would have been asked later it may be asked now

    def _backoff(self, attempts: int) -> float:
        """1, 2, 4 ... 30 s, each less up to half of it: many cards that failed together don't come back together."""
        return min(BACKOFF_MOST, 2.0**attempts) * (1.0 - self._jitter() / 2)


def _is_late(post: Post, request: ApprovalRequest) -> bool:
    """A card that nobody has seen, of a request that is over."""
    return post.ref is None and request.state is not State.PENDING and not post.maybe_posted
