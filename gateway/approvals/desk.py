"""The desk: what people and sessions ask of it: requests are opened, decided, released and finished here, and looked at.

        relay            desk (replica A)           store            desk (replica B)        chat
          | open            |  request+held+outbox    |                    |                   |
          |---------------->|------------------------>|  NOTIFY outbox     |     card          |
          | watch           |                         |------------------->|------------------>|
          |                 |                         |  decided, NOTIFY   |<------- click ----|
          |   heard(...)    |<------------------------|<-------------------|                   |
          |<----------------|  get                    |                    |                   |
          | release(digest) |  released               |                    |                   |

What must not live here: what a change may be (request.py, decisions.py), how it is stored and recorded (moves.py), how those
who wait hear of it (watches.py), and what goes on while nobody asks (upkeep.py, timers.py).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from gateway.approvals import decisions
from gateway.approvals import request as rules
from gateway.approvals.cooldown import CoolDown, Cooling, cooling, denied_again
from gateway.approvals.decisions import Answer, Approve, Decided, Decision, Refused, RevokeGrant
from gateway.approvals.entries import identity_fields, name_of
from gateway.approvals.escalation import escalate
from gateway.approvals.moves import Moves, Spool
from gateway.approvals.people import Directory, People
from gateway.approvals.request import LATE, UNAUTHORISED, ApprovalRequest, Person, Refusal, State, Wire
from gateway.approvals.seen import Seen
from gateway.approvals.tasks import Tasks
from gateway.approvals.timers import Timers
from gateway.approvals.upkeep import Upkeep
from gateway.approvals.watches import Heard, Watches
from gateway.errors import TooManyRequests
from gateway.identity.accounts import Account
from gateway.store.port import Standing, Store

log = structlog.get_logger()

#: Seconds until reviewers are told again that somebody asks for more than may wait.
FLOOD_EVERY = 600.0
#: So many clicks without a right to them are no accident: operators hear of the person.
ALARMING_TRIES = 3


@dataclass(frozen=True, slots=True)
class AtMost:
    """So many requests of one person, and of one session, may wait. A session has several where a rule keeps them."""

    of_person: int
    of_session: int


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
        self._people = People(store, clock=clock, link_max_age=link_max_age, directory=directory)
        self._clock = clock
        self._page = page
        self._on_counted = counted
        self._on_flooded = flooded
        self._scrub = scrub
        self._tries: Counter[tuple[str, str]] = Counter()  # clicks without a right to them
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._tasks = Tasks()
        self._watches = Watches(store, self._tasks)
        self._timers = Timers(clock, self._tasks, self.expire)
        self._moves = Moves(store, spool, self._watches, self._timers, ended)
        self._upkeep = Upkeep(store, spool, self, self._moves, self._watches, self._tasks)

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
        await self._upkeep.start(replica, gone)

    async def close(self) -> None:
        """Stop timers and tasks. What is still pending stays so; the relay withdraws its own holds before."""
        self._timers.close()
        await self._tasks.close()

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
            if request.grantable is not None and (covered := await self._moves.use_grant(request)) is not None:
                return covered
            if cool_down is not None and (on := await self._cooling(request, cool_down)) is not None:
                raise denied_again(on)
            if at_most is not None:
                await self._refuse_flood(request, at_most)
            await self._moves.open(await self._counted(request))
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
            answer = await self._moves.move(request_id, lambda stored, now: rules.join(stored, wire, now), "joined")
            if isinstance(answer, Decided):
                return answer.request
        return None

    async def _cooling(self, request: ApprovalRequest, terms: CoolDown) -> Cooling | None:
        who, now = request.requester, self._clock()
        denied = await self._store.denied(who.issuer, who.subject, now - terms.within - terms.lasts)
        return cooling((each for each in denied if each.alike == request.alike), terms, now)

    async def _counted(self, request: ApprovalRequest) -> ApprovalRequest:
        """With how often people have approved its like: the card proposes a grant then."""
        if request.grantable is None:
            return request
        return replace(request, approved_before=await self._store.approved(request.grantable.shape))

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
            longest = self._people.link_max_age
            return decisions.change(
                decision, request, reviewer, via, now, rev=rev, link_max_age=longest, scrub=self._scrub
            )

        answer = await self._moves.move(request_id, change, decisions.kind_of(decision))
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

    async def withdraw(self, request_id: str, why: str) -> Answer:
        """Nobody waits any more. `why` is shown; TARGET_GONE and GATEWAY_GONE (request.py) make it fatal."""
        return await self._moves.move(request_id, lambda request, now: rules.withdraw(request, why, now), "decided")

    async def expire(self, request_id: str) -> Answer:
        """End a request whose time is over by the store's clock; STALE if it isn't."""
        return await self._moves.move(request_id, rules.expire, "decided")

    async def supersede(self, request_id: str, why: str) -> Answer:
        """The policy of today denies it."""
        return await self._moves.move(request_id, lambda request, now: rules.supersede(request, why, now), "decided")

    async def undeliverable(self, request_id: str, why: str) -> Answer:
        """No reviewer could be shown the card."""
        return await self._moves.move(
            request_id, lambda request, now: rules.undeliverable(request, why, now), "decided"
        )

    async def escalate(self, request_id: str) -> ApprovalRequest | None:
        """It is asked in further channels from now on; None where somebody else said so, or it waits no more."""
        answer = await self._moves.move(request_id, escalate, "escalated")
        return answer.request if isinstance(answer, Decided) else None

    async def look_again(self, request_id: str, seen: Seen) -> Answer:
        """What its locks are now. No entry: it decides nothing."""
        return await self._moves.move(request_id, lambda request, _now: rules.look_again(request, seen), None)

    async def release(self, request_id: str, digest: str, wire: Wire | None = None) -> Answer:
        """Let it run, once: only a Decided that was returned from here does. Committed before it returns.

        `wire` is where it runs, for a request that several may wait for. Of a quorum the first may have approved long ago: who
        is no reviewer any more counts no more, and the request ends.
        """
        if (former := await self._former_reviewer(request_id)) is not None:
            await self.withdraw(request_id, f"{name_of(former)}, who approved it, is no reviewer of it any more")
            return Refused(Refusal.NOT_A_REVIEWER, await self._store.get(request_id))
        return await self._moves.move(
            request_id, lambda request, now: rules.release(request, digest, now, wire), "released"
        )

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

        return await self._moves.move(request_id, change, None)

    async def unknown(self, request_id: str, why: str = "the target's answer never came") -> Answer:
        """The target's answer to a released statement never came."""
        return await self._moves.move(request_id, lambda request, now: rules.unknown(request, why, now), None)

    async def settle(self, request_id: str, transaction: str) -> Answer:
        """The open transaction of an executed request ended: "committed" or "rolled back"."""
        return await self._moves.move(request_id, lambda request, _now: rules.settle(request, transaction), None)

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
        """Have `heard` called after each change, until the function that this returns is called (Watches.watch)."""
        return self._watches.watch(request_id, heard)
