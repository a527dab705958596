"""The store as plain values in one process: for tests, with the same contract suite as PostgreSQL.

Nothing in here awaits between reading and writing, so each method is one transaction. What it does not have: a second
process, and anything that survives this one.
"""

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.approvals.request import OPEN_STATES, WERE_APPROVED, ApprovalRequest, Person, Refusal, State, is_unsettled
from gateway.audit.entry import Entry, Value, read, readable
from gateway.audit.query import Query, matches, ordered
from gateway.errors import StoreUnavailable
from gateway.store.port import (
    CLAIM_SECONDS,
    REMINDED_FROM,
    SOON,
    STEPS,
    Backlog,
    Change,
    Cover,
    Ending,
    Post,
    Record,
    Standing,
    alarms_of,
    cards_of,
    is_refused_click,
)
from gateway.store.signins import MemorySignIns


@dataclass(slots=True)
class _Row:
    post: Post
    next_at: float
    claimed_by: str | None = None
    turn_at: float = -math.inf
    reminded: int = 0


@dataclass(slots=True)
class _Seen:
    person: Person
    at: float


@dataclass(slots=True)
class MemoryStore(MemorySignIns):
    """A store.port.Store. `away = True` makes every call raise StoreUnavailable, as a lost PostgreSQL does."""

    _requests: dict[str, ApprovalRequest] = field(default_factory=dict)
    _created: dict[str, float] = field(default_factory=dict)
    _outbox: dict[int, _Row] = field(default_factory=dict)
    _entries: dict[tuple[str, int], str] = field(default_factory=dict)
    _checkpoints: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    _persons: dict[tuple[str, str], _Seen] = field(default_factory=dict)
    _met: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    _beats: dict[str, float] = field(default_factory=dict)
    _chores: dict[str, float] = field(default_factory=dict)
    _buried: set[str] = field(default_factory=set)
    _ears: list[Callable[[str, str], None]] = field(default_factory=list)
    _used: dict[str, int] = field(default_factory=dict)
    _endings: dict[str, Ending] = field(default_factory=dict)

    async def open(self, request: ApprovalRequest, record: Record) -> None:
        self._here()
        if request.id in self._requests:
            raise StoreUnavailable(f"request {request.id} is stored already")
        self._insert(record(request))
        self._requests[request.id] = request
        self._created[request.id] = self.clock()
        for channel, later in cards_of(request).items():
            self._add_post(request, channel, later)
        self._notify(request.id, request.rev)

    def _add_post(self, request: ApprovalRequest, channel: str, later: float = 0.0) -> None:
        post_id, now = len(self._outbox) + 1, self.clock()
        post = Post(post_id, request.id, channel, request.rev, 0, None, 0, now)
        self._outbox[post_id] = _Row(post, now + later, reminded=2 if later else 0)

    async def get(self, request_id: str) -> ApprovalRequest | None:
        self._here()
        return self._requests.get(request_id)

    async def move(self, request_id: str, change: Change, record: Record) -> ApprovalRequest | Refusal:
        self._here()
        old = self._requests.get(request_id)
        if old is None:
            return Refusal.UNKNOWN_REQUEST
        changed = change(old, self.clock())
        if isinstance(changed, Refusal):
            return changed
        new = replace(changed, rev=old.rev + 1)
        self._insert(record(new))
        self._requests[request_id] = new
        for row in self._outbox.values():
            if row.post.request == request_id:
                row.post = replace(row.post, wanted=new.rev)
        for channel in alarms_of(old, new):
            self._add_post(new, channel)
        self._notify(request_id, new.rev)
        return new

    async def find(
        self, *, states: frozenset[State] | None = None, replica: str | None = None, limit: int = 100
    ) -> list[ApprovalRequest]:
        self._here()
        found = [
            request
            for request in self._requests.values()
            if (states is None or request.state in states) and (replica is None or request.replica == replica)
        ]
        return sorted(found, key=lambda request: (request.opened_at, request.id), reverse=True)[:limit]

    async def pending_of(self, issuer: str, subject: str, session: str) -> tuple[int, int]:
        self._here()
        pending = [each for each in self._requests.values() if each.state is State.PENDING]
        theirs = [each for each in pending if (each.requester.issuer, each.requester.subject) == (issuer, subject)]
        return len(theirs), sum(each.session == session for each in theirs)

    async def denied(self, issuer: str, subject: str, since: float, limit: int = 100) -> list[ApprovalRequest]:
        mine = await self.requests_of(issuer, subject, len(self._requests))
        changed = [(max(each.decided_at or 0.0, each.lifted_at or 0.0), each) for each in mine]
        late = [(at, each) for at, each in changed if each.state is State.DENIED and at >= since]
        return [each for _, each in sorted(late, key=lambda one: one[0], reverse=True)][:limit]

    async def requests_of(self, issuer: str, subject: str, limit: int = 10) -> list[ApprovalRequest]:
        found = await self.find(limit=len(self._requests))
        return [each for each in found if (each.requester.issuer, each.requester.subject) == (issuer, subject)][:limit]

    async def asked(self, since: float, before: tuple[float, str] | None, limit: int) -> list[ApprovalRequest]:
        found = await self.find(limit=len(self._requests))
        late = [each for each in found if each.opened_at >= since]
        return [each for each in late if before is None or (each.opened_at, each.id) < before][:limit]

    async def claim(self, chore: str, seconds: float) -> bool:
        self._here()
        if self._chores.get(chore, -math.inf) > self.clock():
            return False
        self._chores[chore] = self.clock() + seconds
        return True

    async def done(self, chore: str) -> None:
        self._here()
        self._chores[chore] = math.inf

    async def use_grant(self, request: ApprovalRequest, cover: Cover, record: Record) -> ApprovalRequest | None:
        shape = request.grantable.shape if request.grantable else ""
        standing = [each.giver for each in await self.grants() if each.giver.grant and each.giver.grant.shape == shape]
        covered = cover(standing[0], request, self.clock()) if standing else None
        if covered is not None:
            await self.open(covered, record)
            self._used[standing[0].id] = self._used.get(standing[0].id, 0) + 1
        return covered

    async def grants(self, limit: int = 100) -> list[Standing]:
        self._here()
        found = [
            (grant.until, Standing(each, used))
            for each in self._requests.values()
            if (grant := each.grant) is not None and grant.revoked_at is None and grant.until > self.clock()
            if (used := self._used.get(each.id, 0)) < (math.inf if grant.uses is None else grant.uses)
        ]
        return [standing for _, standing in sorted(found, key=lambda each: (each[0], each[1].giver.id))][:limit]

    async def approved(self, shape: str) -> int:
        self._here()
        return sum(
            each.grantable is not None and each.grantable.shape == shape and each.state in WERE_APPROVED
            for each in self._requests.values()
        )

    async def kept(self, content_digest: str) -> list[str]:
        self._here()
        open_ = [each for each in self._requests.values() if each.kept and each.state in OPEN_STATES]
        same = [each for each in open_ if each.content_digest == content_digest and each.expires_at > self.clock()]
        return [each.id for each in sorted(same, key=lambda each: (each.opened_at, each.id), reverse=True)]

    async def revisions(self, request_ids: Sequence[str]) -> Mapping[str, int]:
        self._here()
        return {each: self._requests[each].rev for each in request_ids if each in self._requests}

    async def overdue(self, limit: int = 100) -> list[str]:
        self._here()
        now = self.clock()
        late = [each for each in self._requests.values() if each.state in OPEN_STATES and each.expires_at <= now]
        return [each.id for each in sorted(late, key=lambda each: each.expires_at)][:limit]

    async def unreachable(self, after: float) -> list[str]:
        self._here()
        pending = [each.id for each in self._requests.values() if each.state is State.PENDING]
        return [each for each in pending if self._unreachable(each, after)]

    async def unsettled(self, replica: str) -> list[ApprovalRequest]:
        self._here()
        return [each for each in self._requests.values() if each.replica == replica and is_unsettled(each)]

    async def due(self, limit: int = 20, claimer: str = "") -> list[Post]:
        self._here()
        now = self.clock()
        rows = [
            row
            for row in self._outbox.values()
            if row.post.wanted > row.post.sent and not row.post.dead and row.next_at <= now
        ]
        claimed = sorted(rows, key=lambda row: (row.next_at, row.post.id))[:limit]
        posts = [row.post for row in claimed]
        for row in claimed:
            row.next_at = now + CLAIM_SECONDS
            row.claimed_by = claimer
            row.post = replace(row.post, maybe_posted=row.post.ref is None)
        return posts

    async def unclaim(self, claimer: str) -> None:
        self._here()
        freed = [row for row in self._outbox.values() if row.claimed_by == claimer]
        for row in freed:
            row.next_at, row.claimed_by = self.clock(), None
        loop = asyncio.get_running_loop()
        for heard in self._ears if freed else ():
            loop.call_soon(heard, "outbox", "")

    async def sent(self, post_id: int, rev: int, ref: str) -> None:
        self._here()
        row = self._outbox[post_id]
        row.post = replace(
            row.post, sent=max(rev, row.post.sent), ref=ref, attempts=0, last_error="", maybe_posted=False
        )
        row.next_at, row.claimed_by = self.clock(), None

    async def failed(self, post_id: int, error: str, retry_in: float | None, *, unposted: bool = False) -> None:
        self._here()
        row = self._outbox[post_id]
        maybe = row.post.maybe_posted and not unposted
        row.post = replace(
            row.post, attempts=row.post.attempts + 1, last_error=error, dead=retry_in is None, maybe_posted=maybe
        )
        row.next_at, row.claimed_by = self.clock() + (retry_in or 0.0), None

    async def postponed(self, post_id: int, seconds: float, *, maybe_posted: bool) -> None:
        self._here()
        row = self._outbox[post_id]
        row.next_at = row.turn_at = self.clock() + seconds
        row.claimed_by = None
        row.post = replace(row.post, maybe_posted=maybe_posted)

    async def remind(self, limit: int = 20) -> list[Post]:
        self._here()
        late = [row for row in self._outbox.values() if row.reminded < self._thirds(row)][:limit]
        for row in late:
            row.reminded = self._thirds(row)
        return [row.post for row in late]

    async def unremind(self, post_id: int) -> None:
        self._here()
        self._outbox[post_id].reminded -= 1

    async def hurry(self, request_id: str) -> None:
        self._here()
        for row in self._outbox.values():
            untried = row.post.ref is None and not row.post.dead and not row.post.attempts and row.claimed_by is None
            if row.post.request == request_id and untried:
                row.next_at = min(row.next_at, self.clock())

    async def backlog(self) -> Backlog:
        now = self.clock()
        rows = [row for row in self._outbox.values() if row.next_at <= now + SOON or row.turn_at > now]
        waiting = sum(row.post.wanted > row.post.sent and not row.post.dead for row in rows)
        return Backlog(waiting, len(await self.parked(len(self._outbox))))

    async def parked(self, limit: int = 20) -> list[Post]:
        self._here()
        return [row.post for row in reversed(self._outbox.values()) if row.post.dead and row.post.last_error][:limit]

    async def revive(self, within: float) -> int:
        now = self.clock()
        missed = [
            self._outbox[post.id]
            for post in await self.parked(len(self._outbox))
            if post.created_at > now - within
            and (post.ref is not None or post.maybe_posted or self._requests[post.request].state is State.PENDING)
        ]
        for row in missed:
            row.post, row.next_at = replace(row.post, dead=False, attempts=0), now
        return len(missed)

    async def redraw(self, request_id: str) -> None:
        self._here()
        loop = asyncio.get_running_loop()
        for row in self._outbox.values():
            post = row.post
            if post.request == request_id and post.ref is not None and (post.sent >= post.wanted or post.dead):
                attempts = 0 if post.dead else post.attempts
                row.post = replace(post, sent=post.wanted - 1, attempts=attempts, dead=False)
                for heard in self._ears:
                    loop.call_soon(heard, "outbox", "")

    async def posts(self, request_id: str) -> list[Post]:
        self._here()
        return [row.post for row in self._outbox.values() if row.post.request == request_id]

    async def append(self, lines: bytes) -> None:
        self._here()
        for text in lines.decode().split("\n")[:-1]:
            said = json.loads(text)
            self._entries.setdefault((said["replica"], said["seq"]), text)

    async def checkpoint(self, replica: str, seq: int, head: str, signature: str) -> None:
        self._here()
        self._checkpoints.setdefault((replica, seq), (head, signature))

    async def audit(self, query: Query, offset: int = 0) -> tuple[list[Mapping[str, Value]], int]:
        self._here()
        bodies = readable(self._entries.values())
        hits = ordered(query, [body for body in bodies if matches(query, body) and not is_refused_click(body)])
        return hits[offset : offset + query.limit], len(hits)

    async def chain(self, replica: str, after: int, limit: int) -> list[Mapping[str, Value]]:
        self._here()
        keys = sorted(key for key in self._entries if key[0] == replica and key[1] > after)[:limit]
        return [read(self._entries[key]) for key in keys]

    async def steps(self, replica: str, limit: int) -> list[Mapping[str, Value]]:
        self._here()
        entries = readable(self._entries[key] for key in sorted(self._entries) if key[0] == replica)
        return [entry for entry in entries if entry["kind"] in STEPS][-limit:]

    async def story(self, request_id: str) -> list[Mapping[str, Value]]:
        self._here()
        bodies = readable(self._entries.values())
        told = [body for body in bodies if body.get("request") == request_id]
        return sorted(told, key=lambda body: (str(body["at"]), str(body["replica"]), str(body["seq"]).zfill(20)))

    async def altered(self, replica: str, after: int, limit: int) -> list[int]:  # noqa: ARG002 - there are no columns
        self._here()
        return []

    async def heads(self) -> list[tuple[str, int, str]]:
        self._here()
        newest = dict(sorted(self._entries))
        return [(replica, seq, json.loads(self._entries[replica, seq])["hash"]) for replica, seq in newest.items()]

    async def checkpoints(self) -> list[tuple[str, int, str, str]]:
        self._here()
        return [(replica, seq, *kept) for (replica, seq), kept in self._checkpoints.items()]

    async def saw(self, person: Person, at: float) -> None:
        self._here()
        seen = self._persons.get((person.issuer, person.subject))
        if seen is None or seen.at <= at:
            self._persons[person.issuer, person.subject] = _Seen(person, at)

    async def person_by_email(self, email: str, not_before: float) -> Person | None:
        self._here()
        known = [
            seen
            for seen in self._persons.values()
            if seen.at >= not_before and (seen.person.email or "").lower() == email.lower() != ""
        ]
        return max(known, key=lambda seen: seen.at).person if known else None

    async def person_by_subject(self, issuer: str, subject: str, not_before: float) -> Person | None:
        self._here()
        seen = self._persons.get((issuer, subject))
        return seen.person if seen is not None and seen.at >= not_before else None

    async def met(self, conversation: str, team: str, service_url: str, at: float) -> None:
        self._here()
        self._met[conversation] = (team, service_url, at)

    async def service_url(self, conversation: str) -> str | None:
        self._here()
        own = self._met.get(conversation)
        if own is not None:
            return own[1]
        return max(self._met.values(), key=lambda each: each[2])[1] if self._met else None

    async def parted(self, conversation: str) -> None:
        self._here()
        self._met = {each: kept for each, kept in self._met.items() if conversation not in (each, kept[0])}

    async def heartbeat(self, replica: str) -> None:
        self._here()
        self._beats[replica] = self.clock()

    async def stopped(self, replica: str) -> None:
        self._here()
        if replica in self._beats:
            self._beats[replica] = float("-inf")

    async def lapsed(self, after: float) -> list[str]:
        self._here()
        return [replica for replica, at in self._beats.items() if at < self.clock() - after]

    async def alive(self, within: float) -> list[str]:
        self._here()
        return sorted(replica for replica, at in self._beats.items() if at >= self.clock() - within)

    async def sessions(self, within: float, limit: int = 1000) -> list[Mapping[str, Value]]:
        alive = await self.alive(within)
        bodies = readable(self._entries.values())
        ended = {(each["replica"], each.get("session")) for each in bodies if each["kind"] == "session_ended"}
        begun = [
            each
            for each in bodies
            if each["kind"] == "session_started"
            and each["replica"] in alive
            and (each["replica"], each["session"]) not in ended
        ]
        newest = sorted(begun, key=lambda each: (str(each["at"]), str(each["seq"]).zfill(20)), reverse=True)
        return newest[:limit]

    async def abandoned(self, after: float) -> list[str]:
        held = {
            each.replica
            for each in self._requests.values()
            if each.state in OPEN_STATES | {State.RELEASED} or is_unsettled(each)
        }
        return [replica for replica in await self.lapsed(after) if replica in held]

    async def unburied(self, replicas: Sequence[str]) -> list[str]:
        self._here()
        return [replica for replica in replicas if replica not in self._buried]

    async def buried(self, replica: str) -> None:
        self._here()
        self._buried.add(replica)

    async def cancel(self, digests: Sequence[str]) -> None:
        self._here()
        loop = asyncio.get_running_loop()
        for heard in self._ears:
            for digest in digests:
                loop.call_soon(heard, "cancel", digest)

    async def outdated(self, replica: str, target: str) -> None:
        self._here()
        loop = asyncio.get_running_loop()
        for heard in self._ears:
            loop.call_soon(heard, "catalog", f"{replica} {target}")

    async def end_session(self, session: str, ending: Ending) -> None:
        self._here()
        self._endings.setdefault(session, ending)
        loop = asyncio.get_running_loop()
        for heard in self._ears:
            loop.call_soon(heard, "session", session)

    async def endings(self, sessions: Sequence[str]) -> Mapping[str, Ending]:
        self._here()
        return {each: self._endings[each] for each in sessions if each in self._endings}

    async def listen(self, heard: Callable[[str, str], None]) -> None:
        self._here()
        self._ears.append(heard)

    async def close(self) -> None:
        self._ears.clear()

    def _here(self) -> None:
        if self.away:
            raise StoreUnavailable("the gateway's store does not answer")

    def _insert(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._entries.setdefault((entry.replica, entry.seq), entry.text)

    def _unreachable(self, request_id: str, after: float) -> bool:
        posts = [row.post for row in self._outbox.values() if row.post.request == request_id]
        if any(post.ref is not None for post in posts):
            return False
        all_dead = bool(posts) and all(post.dead for post in posts)
        rows = [row for row in self._outbox.values() if row.post.request == request_id and not row.post.dead]
        last_turn = max([self._created[request_id], *(row.turn_at for row in rows)])
        return all_dead or last_turn <= self.clock() - after

    def _thirds(self, row: _Row) -> int:
        """How many thirds of its time a posted card's pending request has waited, 2 at most; 0 where nobody is to be told."""
        request, now = self._requests[row.post.request], self.clock()
        whole = request.expires_at - request.opened_at
        over = request.state is not State.PENDING or request.expires_at <= now
        if over or row.post.ref is None or row.post.dead or whole < REMINDED_FROM:
            return 0
        return min(2, int(3 * (now - request.opened_at) / whole))

    def _notify(self, request_id: str, rev: int) -> None:
        loop = asyncio.get_running_loop()
        for heard in self._ears:
            loop.call_soon(heard, "approval", f"{request_id} {rev}")
            loop.call_soon(heard, "outbox", "")
