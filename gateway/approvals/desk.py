"""The desk: where requests are opened, decided, released and finished, and where those who wait hear of it.

Every change is one `store.move`: compare-and-set, audit entries and wake-up in one transaction, or nothing. What a change
may be is said in request.py; nothing here decides. A wire that waits is woken by NOTIFY and reads the row before it
believes anything; a look at all watched rows each second stands behind it.

        relay            desk (replica A)           store            desk (replica B)        chat
          | open            |  request+held+outbox    |                    |                   |
          |---------------->|------------------------>|  NOTIFY outbox     |     card          |
          | watch           |                         |------------------->|------------------>|
          |                 |                         |  decided, NOTIFY   |<------- click ----|
          |   heard(...)    |<------------------------|<-------------------|                   |
          |<----------------|  get                    |                    |                   |
          | release(digest) |  released               |                    |                   |

When a transaction fails after its entries were written to the spool, the next entry voids them, so that the log is true.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from gateway.approvals import glass, granting
from gateway.approvals import request as rules
from gateway.approvals.aftermath import UNSEEN, end_told, took_effect, voids
from gateway.approvals.cooldown import CoolDown, Cooling, cooling, denied_again, lift
from gateway.approvals.entries import entry_fields, identity_fields, name_of
from gateway.approvals.escalation import escalate
from gateway.approvals.grants import Scope
from gateway.approvals.people import Directory, People
from gateway.approvals.request import (
    GATEWAY_GONE,
    LATE,
    OPEN_STATES,
    UNAUTHORISED,
    ApprovalRequest,
    Person,
    Refusal,
    State,
    Wire,
)
from gateway.approvals.seen import Seen
from gateway.audit.entry import Entry, Value
from gateway.errors import GatewayError, StoreUnavailable, TooManyRequests
from gateway.identity.accounts import Account
from gateway.store.port import Change, Standing, Store

#: Seconds: the poll behind NOTIFY; a replica's sign of life; how long without one until others take it for dead.
POLL_EVERY = 1.0
BEAT_EVERY = 5.0
LAPSE = 15.0
#: Of a dead replica's steps so many are held against the store: what was under way when it died is among the last ones, ten
#: transactions at most.
LAST_STEPS = 300

#: Seconds until reviewers are told again that somebody asks for more than may wait.
FLOOD_EVERY = 600.0
#: So many clicks without a right to them are no accident: operators hear of the person.
ALARMING_TRIES = 3

log = structlog.get_logger()


class Spool(Protocol):
    """What the desk needs of gateway.audit.spool."""

    def record(self, kind: str, **fields: Value) -> Entry: ...

    def flush(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Approve:
    """A click on Approve. `typed` goes with it where a name must be typed; `read`: the full text was shown to who clicks;
    `scope`: its shape may run again so long, or so often."""

    typed: str = ""
    read: bool = False
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """A click on Deny; the reason goes to the client and on the card."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestChanges:
    """A click on Request changes: a denial that says what to change, to the client and on the card."""

    changes: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A reviewer's question, for the client that waits and for the card; it decides nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A click on Withdraw, of the requester alone."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """Take back an approval that nothing has run on."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    """End a grant. What was let through by it and has not been sent to its target ends as well."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """One of the rule's break_glass reviewers approves alone; `typed` and `read` as in Approve."""

    reason: str
    typed: str = ""
    read: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """The change took place; this is what is stored now."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed; `request` is what is stored, None if there is no such request."""

    refusal: Refusal
    request: ApprovalRequest | None


@dataclass(frozen=True, slots=True)
class Lift:
    """A reviewer ends the cool-down that a denied request has led to."""


Decision = Approve | Deny | RequestChanges | Ask | Withdraw | Lift | Revoke | RevokeGrant | BreakGlass
#: What a decision is called in the record, where that is not "decided".
_KINDS: dict[type[Decision], str] = {Ask: "asked", Lift: "lifted", RevokeGrant: "revoked"}
Answer = Decided | Refused
Heard = Callable[[ApprovalRequest], None]


@dataclass(frozen=True, slots=True)
class AtMost:
    """So many requests of one person, and of one session, may wait. A session has several where a rule keeps them."""

    of_person: int
    of_session: int


@dataclass(slots=True)
class _Watch:
    """Who waits for one request, and the newest rev that they were told. A request is opened at rev 1."""

    told: int = 1
    ears: list[Heard] = field(default_factory=list)


class Desk:
    """Moves requests. Every method may raise StoreUnavailable, and what the spool raises: then nothing may run."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        *,
        clock: Callable[[], float],
        link_max_age: float,
        directory: Directory | None = None,
        ended: Callable[[State], object] = lambda _state: None,
        counted: Callable[[ApprovalRequest], object] = lambda _request: None,
        flooded: Callable[[ApprovalRequest], object] = lambda _request: None,
        scrub: Callable[[str], str] = str,
        page: Callable[[str], str] = lambda _id: "",
    ) -> None:
        """`page` gives the address of the page on which a request is approved, where its rule wants that. `ended` hears of each request that this desk decided or ended, for who counts; `counted` of each
        approval that this desk counted and that needs another; `flooded` of the newest open request of whom it refused
        further ones, once in FLOOD_EVERY; `scrub` masks what detectors find
        in a text that somebody typed."""
        self._store = store
        self._spool = spool
        self._clock = clock
        self._people = People(store, clock=clock, link_max_age=link_max_age, directory=directory)
        self._page = page
        self._ended = ended
        self._on_counted = counted
        self._on_flooded = flooded
        self._scrub = scrub
        self._watches: dict[str, _Watch] = {}
        self._moving: Counter[str] = Counter()
        self._tries: Counter[tuple[str, str]] = Counter()  # clicks without a right to them
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    # Life ----------------------------------------------------------------------------------------------------------

    def use(self, link_max_age: float) -> None:
        """Take what a new policy says of how long a sign-in counts (seconds): from the next click on."""
        self._people.link_max_age = link_max_age

    async def start(self, replica: str, gone: Iterable[str] = ()) -> None:
        """Listen, give signs of life as `replica`, and look after what others left behind.

        `gone` names replicas that are known to be dead: former runs whose spool this process found, and whose entries are
        in the store by now. Their requests are withdrawn before this returns; those of other dead replicas once their
        heartbeat has lapsed.
        """
        await self._store.heartbeat(replica)
        await self._store.listen(self._on_notify)
        for former in await self._store.unburied([each for each in gone if each != replica]):
            await self._void_steps(former)
            await self._bury(former)
            await self._store.buried(former)
        self._spawn(self._poll())
        self._spawn(self._beat(replica))

    async def close(self) -> None:
        """Stop timers and tasks. What is still pending stays so; the relay withdraws its own holds before."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Requests ------------------------------------------------------------------------------------------------------

    async def open(
        self, request: ApprovalRequest, at_most: AtMost | None = None, cool_down: CoolDown | None = None
    ) -> ApprovalRequest | None:
        """Store a pending request, its `held` entry and its cards to send, in one transaction.

        Returns None; or, for one that outlives its client, the stored request that asks the same and is open still:
        then nothing is stored but that somebody joined it. (Two replicas at once may open one each: each is decided by
        people, and each is good for one use.) Or, where a grant covers it, itself as it was stored: approved, no card.
        Raises TooManyRequests where the requester, or the session, has `at_most` waiting already: a flood of cards is how one slips
        through unread. Raises DeniedAgain where the like was denied again and again (cooldown.py). One person's requests are
        opened one after the other, so that none is counted too late.
        """
        who = request.requester
        request = replace(request, requester=replace(who, also=(*who.also, *await self._people.accounts(who))))
        if request.approve_via == "web":
            request = replace(request, page=request.page or self._page(request.id))
        async with self._turns.setdefault((who.issuer, who.subject), asyncio.Lock()):
            if request.kept and (joined := await self._join(request)) is not None:
                return joined
            if request.grantable is not None and (covered := await self._use_grant(request)) is not None:
                self._arm(covered.id, covered.expires_at)
                return covered
            if cool_down is not None and (on := await self._cooling(request, cool_down)) is not None:
                raise denied_again(on)
            if at_most is not None:
                await self._refuse_flood(request, at_most)
            await self._open(await self._counted(request))
        self._arm(request.id, request.expires_at)
        return None

    async def _refuse_flood(self, request: ApprovalRequest, at_most: AtMost) -> None:
        who = request.requester
        theirs, here = await self._store.pending_of(who.issuer, who.subject, request.session)
        if theirs < at_most.of_person and here < at_most.of_session:
            return
        await self._tell_of_flood(who)
        counted = f"{theirs} of {who.user}" if theirs >= at_most.of_person else f"{here} of this session"
        raise TooManyRequests(
            f"too many requests are waiting already: {counted}",
            hint="Wait until they are decided, or withdraw one: Ctrl-C in its client, in chat /hoop withdraw ID.",
        )

    async def _tell_of_flood(self, who: Person) -> None:
        """Reviewers hear of it once, below the newest card, whichever replica refuses what comes next."""
        if await self._store.claim(f"flood of {who.issuer} {who.subject}", FLOOD_EVERY):
            newest = await self._store.requests_of(who.issuer, who.subject)
            for request in [each for each in newest if each.state is State.PENDING][:1]:
                self._on_flooded(request)

    async def _join(self, request: ApprovalRequest) -> ApprovalRequest | None:
        wire = Wire(request.session, request.replica, request.agent, request.client)
        for request_id in await self._store.kept(request.content_digest):
            answer = await self._move(request_id, lambda stored, now: rules.join(stored, wire, now), "joined")
            if isinstance(answer, Decided):
                return answer.request
        return None

    async def _cooling(self, request: ApprovalRequest, terms: CoolDown) -> Cooling | None:
        who, now = request.requester, self._clock()
        denied = await self._store.denied(who.issuer, who.subject, now - terms.within - terms.lasts)
        return cooling((each for each in denied if each.alike == request.alike), terms, now)

    async def _use_grant(self, request: ApprovalRequest) -> ApprovalRequest | None:
        """Two entries tell of it: what was held, and by whose grant it may run."""
        spooled: list[Entry] = []

        def record(covered: ApprovalRequest) -> list[Entry]:
            self._record(spooled, "held", covered)
            return self._record(spooled, "decided", covered)

        try:
            return await self._store.use_grant(request, granting.cover, record)
        except BaseException as error:
            self._void(request.id, spooled, error)
            raise

    async def _counted(self, request: ApprovalRequest) -> ApprovalRequest:
        """With how often people have approved its like: the card proposes a grant then."""
        if request.grantable is None:
            return request
        return replace(request, approved_before=await self._store.approved(request.grantable.shape))

    async def _open(self, request: ApprovalRequest) -> None:
        spooled: list[Entry] = []
        try:
            await self._store.open(request, partial(self._record, spooled, "held"))
        except BaseException as error:
            self._void(request.id, spooled, error)
            raise

    async def decide(
        self,
        request_id: str,
        rev: int | None,
        reviewer: Person,
        decision: Decision,
        via: str,
        *,
        genuine: Callable[[ApprovalRequest], bool] = lambda _request: True,
    ) -> Answer:
        """A click. `rev` is the one that the card showed, None where no card was involved; `genuine` tells whether what
        was clicked belongs to the request as it is now, else FORGED."""

        def change(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
            if not genuine(request):
                return Refusal.FORGED
            match decision:
                case Approve(typed, read, scope):
                    approved = rules.approve(request, reviewer, via, now, rev=rev, typed=typed, read=read)
                    if scope is None or isinstance(approved, Refusal):
                        return approved
                    return granting.give(approved, scope, now, self._people.link_max_age)
                case Deny(reason):
                    return rules.deny(request, reviewer, via, self._typed(reason), now)
                case RequestChanges(changes):
                    return rules.ask_changes(request, reviewer, via, self._typed(changes), now)
                case Ask(text):
                    return rules.ask(request, reviewer, via, self._typed(text), now)
                case BreakGlass(reason, typed, read):
                    return glass.break_glass(
                        request, reviewer, via, self._typed(reason), now, rev=rev, typed=typed, read=read
                    )
                case Withdraw():
                    return rules.withdraw_own(request, reviewer, via, now)
                case Lift():
                    return lift(request, reviewer, via, now)
                case Revoke(reason):
                    return granting.revoke(request, reviewer, via, self._typed(reason), now)
                case RevokeGrant(reason):
                    return granting.revoke_grant(request, reviewer, via, self._typed(reason), now)

        answer = await self._move(request_id, change, _KINDS.get(type(decision), "decided"))
        if isinstance(answer, Decided) and isinstance(decision, Approve) and answer.request.state is State.PENDING:
            self._on_counted(answer.request)
        if isinstance(decision, RevokeGrant) and isinstance(answer, Decided):
            await self._end_uses(answer.request)
        if isinstance(answer, Refused) and answer.refusal in UNAUTHORISED | LATE | {Refusal.UNKNOWN_REQUEST}:
            self._record_click(request_id, answer, reviewer, via)
        return answer

    async def _end_uses(self, giver: ApprovalRequest) -> None:
        """No new use can begin now. What one let through and is not released yet ends here, or was released before."""
        for request in await self._store.find(states=frozenset({State.APPROVED}), limit=1000):
            if request.under == giver.id and giver.grant is not None:
                await self.withdraw(request.id, f"its grant was revoked by {giver.grant.revoked_by}")

    def _typed(self, text: str) -> str:
        return self._scrub(rules.said(text))

    async def withdraw(self, request_id: str, why: str) -> Answer:
        """Nobody waits any more. `why` is shown; TARGET_GONE and GATEWAY_GONE (request.py) make it fatal."""
        return await self._move(request_id, lambda request, now: rules.withdraw(request, why, now), "decided")

    async def expire(self, request_id: str) -> Answer:
        """End a request whose time is over by the store's clock; STALE if it isn't."""
        return await self._move(request_id, rules.expire, "decided")

    async def supersede(self, request_id: str, why: str) -> Answer:
        """The policy of today denies it."""
        return await self._move(request_id, lambda request, now: rules.supersede(request, why, now), "decided")

    async def undeliverable(self, request_id: str, why: str) -> Answer:
        """No reviewer could be shown the card."""
        return await self._move(request_id, lambda request, now: rules.undeliverable(request, why, now), "decided")

    async def escalate(self, request_id: str) -> ApprovalRequest | None:
        """It is asked in further channels from now on; None where somebody else said so, or it waits no more."""
        answer = await self._move(request_id, escalate, "escalated")
        return answer.request if isinstance(answer, Decided) else None

    async def look_again(self, request_id: str, seen: Seen) -> Answer:
        """What its locks are now. No entry: it decides nothing."""
        return await self._move(request_id, lambda request, _now: rules.look_again(request, seen), None)

    async def release(self, request_id: str, digest: str, wire: Wire | None = None) -> Answer:
        """Let it run, once: only a Decided that was returned from here does. Committed before it returns.

        `wire` is where it runs, for a request that several may wait for. Of a quorum the first may have approved long ago: who
        is no reviewer any more counts no more, and the request ends.
        """
        if (former := await self._former_reviewer(request_id)) is not None:
            await self.withdraw(request_id, f"{name_of(former)}, who approved it, is no reviewer of it any more")
            return Refused(Refusal.NOT_A_REVIEWER, await self._store.get(request_id))
        return await self._move(request_id, lambda request, now: rules.release(request, digest, now, wire), "released")

    async def _former_reviewer(self, request_id: str) -> Person | None:
        request = await self._store.get(request_id)
        if request is None or request.state is not State.APPROVED or request.approvals_needed == 1 or request.broken:
            return None
        for given in request.approvals:
            if not rules.may_review(request, await self._people.now(given.by)):
                return given.by
        return None

    async def finish(
        self, request_id: str, rows: int | None, sqlstate: str, duration_ms: float | None, transaction: str
    ) -> Answer:
        """What the target answered; `transaction` is "committed", "rolled back" or "open". Entry: the Session's."""

        def change(request: ApprovalRequest, now: float) -> ApprovalRequest | Refusal:
            return rules.finish(
                request, now, rows=rows, sqlstate=sqlstate, duration_ms=duration_ms, transaction=transaction
            )

        return await self._move(request_id, change, None)

    async def unknown(self, request_id: str, why: str = "the target's answer never came") -> Answer:
        """The target's answer to a released statement never came."""
        return await self._move(request_id, lambda request, now: rules.unknown(request, why, now), None)

    async def settle(self, request_id: str, transaction: str) -> Answer:
        """The open transaction of an executed request ended: "committed" or "rolled back"."""
        return await self._move(request_id, lambda request, _now: rules.settle(request, transaction), None)

    # Looking -------------------------------------------------------------------------------------------------------

    async def show(self, request_id: str) -> ApprovalRequest | None:
        """The request, or None."""
        return await self._store.get(request_id)

    async def redraw(self, request_id: str) -> list[str]:
        """Have the outbox show the request's cards once more; returns their references. One writer a card: an update of
        anybody else's could arrive behind a newer one."""
        await self._store.redraw(request_id)
        return [post.ref for post in await self._store.posts(request_id) if post.ref is not None]

    async def pending(self, limit: int = 100) -> list[ApprovalRequest]:
        """What waits for a decision, newest first."""
        return await self._store.find(states=frozenset({State.PENDING}), limit=limit)

    async def asked_by(self, person: Person, limit: int = 10) -> list[ApprovalRequest]:
        """The newest requests of one account; none where only an address is known of somebody."""
        return await self._store.requests_of(person.issuer, person.subject, limit) if person.subject else []

    async def grants(self, limit: int = 100) -> list[Standing]:
        """The grants in force, the one that ends first first."""
        return await self._store.grants(limit)

    async def find(
        self, *, states: frozenset[State] | None = None, replica: str | None = None, limit: int = 100
    ) -> list[ApprovalRequest]:
        """Requests, newest first."""
        return await self._store.find(states=states, replica=replica, limit=limit)

    async def reviewer(
        self, email: str, accounts: Sequence[tuple[str, str]] = (), chat: Account | None = None
    ) -> Person | None:
        """Who clicks, by what the chat vouches for (People.reviewer)."""
        return await self._people.reviewer(email, accounts, chat)

    async def person(self, signed_in: Person) -> Person:
        """Who has signed in, with the groups of now (People.now)."""
        return await self._people.now(signed_in)

    def watch(self, request_id: str, heard: Heard) -> Callable[[], None]:
        """Call `heard` with the newest stored request after each change, in order; changes close together may be told as
        one. Returns the function that ends it. `heard` must not raise and runs on the loop, never inside a call here."""
        watch = self._watches.setdefault(request_id, _Watch())
        watch.ears.append(heard)
        self._spawn(self._confirm(request_id))

        def unwatch() -> None:
            if heard in watch.ears:
                watch.ears.remove(heard)
            if not watch.ears and self._watches.get(request_id) is watch:
                del self._watches[request_id]

        return unwatch

    # Moving --------------------------------------------------------------------------------------------------------

    async def _move(self, request_id: str, change: Change, kind: str | None) -> Answer:
        spooled: list[Entry] = []
        self._moving[request_id] += 1
        try:
            moved = await self._store.move(request_id, change, partial(self._record, spooled, kind))
        except BaseException as error:
            self._void(request_id, spooled, error)
            if isinstance(error, StoreUnavailable) and request_id in self._watches:
                self._spawn(self._confirm(request_id))
            raise
        finally:
            self._moving[request_id] -= 1
            self._moving += Counter()  # drops what is at zero
        if isinstance(moved, Refusal):
            stored = await self._store.get(request_id)
            if stored is not None:
                self._tell(stored)
            return Refused(moved, stored)
        if moved.state not in OPEN_STATES:
            self._disarm(request_id)
        if kind == "decided" and moved.state is not State.PENDING:
            self._ended(moved.state)
        self._tell(moved)
        return Decided(moved)

    def _record(self, spooled: list[Entry], kind: str | None, request: ApprovalRequest) -> list[Entry]:
        """Runs inside the store's transaction once the change has won."""
        if kind is not None:
            spooled.append(self._spool.record(kind, **entry_fields(request, kind)))
            self._spool.flush()
        return spooled

    def _record_click(self, request_id: str, answer: Refused, reviewer: Person, via: str) -> None:
        about = {} if answer.request is None else identity_fields(answer.request)
        about |= {"request": request_id[:64], "decided_by": name_of(reviewer), "via": via}
        if answer.refusal not in LATE:
            self._note_try(reviewer, via)
        self._spool.record("refused", **about, reason=answer.refusal.value)
        self._spool.flush()

    def _note_try(self, reviewer: Person, via: str) -> None:
        who = (reviewer.issuer, reviewer.subject or reviewer.user)
        self._tries[who] += 1
        if self._tries[who] >= ALARMING_TRIES:
            log.warning("clicks.unauthorised", user=name_of(reviewer), tries=self._tries[who], via=via)

    def _void(self, request_id: str, spooled: list[Entry], error: BaseException) -> None:
        """Say in the log that the entries just written never took effect. A broken spool says so to everybody itself."""
        if not spooled:
            return
        numbers = ", ".join(f"#{entry.seq}" for entry in spooled)
        reason = f"{numbers}: not confirmed by the store ({type(error).__name__}); what the store holds counts"
        with contextlib.suppress(GatewayError):
            self._spool.record("voided", request=request_id, reason=reason)
            self._spool.flush()

    # Waking --------------------------------------------------------------------------------------------------------

    def _tell(self, request: ApprovalRequest) -> None:
        watch = self._watches.get(request.id)
        if watch is None or request.rev <= watch.told:
            return
        watch.told = request.rev
        loop = asyncio.get_running_loop()
        for heard in tuple(watch.ears):
            loop.call_soon(self._say, watch, heard, request)

    @staticmethod
    def _say(watch: _Watch, heard: Heard, request: ApprovalRequest) -> None:
        if heard in watch.ears:  # not if it was unsubscribed meanwhile
            heard(request)

    def _on_notify(self, channel: str, payload: str) -> None:
        if channel != "approval":
            return
        if not payload:
            self._spawn(self._look())
            return
        request_id, _, rev = payload.partition(" ")
        watch = self._watches.get(request_id)
        if watch is not None and not self._moving[request_id] and rev != str(watch.told):
            self._spawn(self._confirm(request_id))  # our own move tells what came of it, without a read

    async def _confirm(self, request_id: str) -> None:
        """Read the row before anybody believes a wake-up. The store being away is the poll's business."""
        with contextlib.suppress(StoreUnavailable):
            request = await self._store.get(request_id)
            if request is not None:
                self._tell(request)

    async def _look(self) -> None:
        """One look at all watched rows; read those that have changed."""
        watched = list(self._watches)
        if not watched:
            return
        for request_id, rev in (await self._store.revisions(watched)).items():
            watch = self._watches.get(request_id)
            if watch is not None and rev > watch.told:
                await self._confirm(request_id)

    # Time ----------------------------------------------------------------------------------------------------------

    def _arm(self, request_id: str, expires_at: float) -> None:
        delay = max(0.0, expires_at - self._clock())
        loop = asyncio.get_running_loop()
        self._timers[request_id] = loop.call_later(delay, self._on_timer, request_id)

    def _disarm(self, request_id: str) -> None:
        timer = self._timers.pop(request_id, None)
        if timer is not None:
            timer.cancel()

    def _on_timer(self, request_id: str) -> None:
        self._timers.pop(request_id, None)
        self._spawn(self._expire_due(request_id))

    async def _expire_due(self, request_id: str) -> None:
        """The store's clock decides; where it is behind ours, or away, the poll's `overdue` ends the request."""
        with contextlib.suppress(StoreUnavailable):
            await self.expire(request_id)

    async def _poll(self) -> None:
        """Each second: what NOTIFY lost, and what nobody's timer ended. Any replica may; the row lock picks one."""
        while True:
            await asyncio.sleep(POLL_EVERY)
            with contextlib.suppress(StoreUnavailable):
                await self._look()
                for request_id in await self._store.overdue():
                    await self.expire(request_id)

    async def _beat(self, replica: str) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY)
            with contextlib.suppress(StoreUnavailable):
                await self._store.heartbeat(replica)
                for dead in await self._store.abandoned(LAPSE):
                    if dead != replica:
                        await self._bury(dead)

    async def _bury(self, replica: str) -> None:
        """End what a dead replica held: nothing of it can run any more, except what already runs (then: unknown).

        What outlives its client outlives its gateway, too.
        """
        why = f"{GATEWAY_GONE} (its process ended)"
        await self._store.unclaim(replica)
        for request in await self._store.find(states=OPEN_STATES, replica=replica, limit=1000):
            if not request.kept:
                await self.withdraw(request.id, why)
        for request in await self._store.find(states=frozenset({State.RELEASED}), replica=replica, limit=1000):
            await self._end_as_told(request, why)
        for request in await self._store.unsettled(replica):
            await self.settle(request.id, UNSEEN)

    async def _end_as_told(self, request: ApprovalRequest, why: str) -> None:
        """What it let run ended as its log says. Where that says nothing the end is unknown, and the log says so now."""
        end = end_told(request, await self._store.story(request.id))
        if end is not None:
            await self.finish(request.id, end.rows, end.sqlstate, end.duration_ms, end.transaction)
            return
        await self._move(request.id, lambda stored, now: rules.unknown(stored, why, now), "finished")

    async def _void_steps(self, replica: str) -> None:
        """Say of the last steps in a dead replica's log which ones were never stored: it died before it could."""
        for entry in await self._store.steps(replica, LAST_STEPS):
            if took_effect(entry, await self._store.get(str(entry["request"]))):
                continue
            number = f"{replica} #{entry['seq']}"
            told = [each for each in await self._store.story(str(entry["request"])) if each["kind"] == "voided"]
            if not any(voids(each, entry) for each in told):
                reason = f"{number}: its process ended before the store confirmed it; what the store holds counts"
                self._spool.record("voided", request=str(entry["request"]), reason=reason)
                self._spool.flush()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("desk.task_failed", exc_info=task.exception())
