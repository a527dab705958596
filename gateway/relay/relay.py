"""One session's sockets: bytes in, `Session.handle`, effects out, in order. It decides nothing.

    client socket -> Wires -> FromClient -> Session -> effects -> spool, target socket, desk, timers
    target socket -> Wires -> FromTarget -> Session -> effects -> client socket

The spool is flushed before any byte of the same turn reaches the target; if it can't be, the session ends and nothing goes.
What takes the short way never comes here (wires.py).
Callbacks, not streams: measured, streams read message by message cost 3 to 24 times as much (performance.md 0).
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, cast

import structlog

from gateway.approvals.decisions import Answer, Decided, Refused
from gateway.approvals.desk import AtMost, Desk
from gateway.approvals.request import TRANSITIONS, ApprovalRequest, Refusal, State
from gateway.approvals.seen import Seen
from gateway.errors import DeniedAgain, GatewayError, StoreUnavailable
from gateway.metrics import Metrics
from gateway.policy.model import Target
from gateway.relay.doorway import Doorway
from gateway.relay.target import TargetLink
from gateway.relay.turn import Record, Turn
from gateway.relay.wires import ClientSide, TargetSide, Wires
from gateway.session import events as ev
from gateway.session.session import Session
from gateway.sql.catalog import Catalog
from gateway.sql.statement import Script
from gateway.store.port import REMINDED_FROM
from gateway.wire.backend import error_response

log = structlog.get_logger()

#: TCP states in which the peer has gone: seen while we don't read (linux/tcp_states.h: CLOSE_WAIT, CLOSE, LAST_ACK ...).
_TCP_GONE = frozenset({7, 8, 9, 11})
_WATCH_EVERY = 0.5
_WITHDRAW_TRIES = 5
_DAY = 86_400.0
_SIDE_ANSWER = 1 << 24


class Parser(Protocol):
    async def read(self, text: str) -> Script:
        """Read a big text outside this process."""


@dataclass(frozen=True, slots=True)
class Shell:
    """What all relays of a process share. `look` tells what a waiting session does to others on its target (looks.py)."""

    desk: Desk
    spool: Record
    turn: Turn
    parser: Parser
    metrics: Metrics
    keep: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]  # run a task that outlives its session
    reload: Callable[[Target], Awaitable[Catalog | None]]  # read a target's catalog again
    look: Callable[[ApprovalRequest, Target, int], Awaitable[Seen | None]]


class Relay:
    """The shell round one Session."""

    def __init__(
        self,
        session: Session,
        client: Doorway,
        link: TargetLink,
        shell: Shell,
        side: Callable[[], Awaitable[TargetLink]],
        ended: Callable[["Relay"], None],
    ) -> None:
        assert client.transport is not None  # noqa: S101 - both are connected
        assert link.door.transport is not None  # noqa: S101
        self._session = session
        self._link = link
        self._shell = shell
        self._open_side = side
        self._side: TargetLink | None = None
        self._ended = ended
        self.ongoing: Callable[[asyncio.Task[None]], None] = lambda _: None
        self.forget_key: Callable[[], None] = lambda: None
        self.give_on: Callable[[TargetLink], None] = TargetLink.leave  # a connection to the target that is as new
        self._why_paused: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._chores: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._working = False
        self._cancel_again = False  # for what is kept back
        self._unwatch: dict[str, Callable[[], None]] = {}
        self._looks: list[asyncio.TimerHandle] = []  # to come
        self._unsent: set[str] = set()  # their release was asked for, and whether it was stored is not known
        self._expiry = self._expire_in_time()
        self._metrics = shell.metrics
        self._spool, self._turn = shell.spool, shell.turn
        counted = self._metrics.of(link.target.name)
        self._open = counted.sessions_open
        self._open.inc()
        self._judged = counted.judged
        self._allowed = counted.allowed
        self._wires = Wires(
            client.transport,
            link.door.transport,
            session.short,
            shell.spool,
            shell.turn,
            self._allowed,
            self._client_at_length,
            self._target_at_length,
            self._failed,
            self._broken,
        )

    def start(self, client: Doorway) -> None:
        """Take both sockets over from their doorways."""
        target_side = TargetSide(self._wires, partial(self.feed, ev.TargetGone()), self._target_full)
        rest = self._link.door.hand_over(cast(asyncio.Protocol, target_side))
        if rest:
            self.from_target(rest)
        client_side = ClientSide(self._wires, partial(self.feed, ev.ClientGone()), self._client_full)
        rest = client.hand_over(cast(asyncio.Protocol, client_side))
        if rest:
            self.from_client(rest)

    def cancel(self) -> None:
        """A CancelRequest with this session's key has come."""
        self.feed(ev.CancelRequested())

    @property
    def session(self) -> str:
        """Its id."""
        return self._session.talk.login.session

    @property
    def target(self) -> Target:
        """As the session is logged in there."""
        return self._link.target

    @property
    def target_name(self) -> str:
        return self._link.target.name

    # --- events and effects -------------------------------------------------------------------------------------------

    def from_client(self, data: bytes) -> None:
        """Take a chunk of the client's."""
        self._wires.from_client(data)

    def from_target(self, data: bytes) -> None:
        """Take a chunk of the target's."""
        self._wires.from_target(data)

    def _client_at_length(self, data: bytes, now: float) -> None:
        self._perform(self._session.at_length(ev.FromClient(data), now))

    def _target_at_length(self, data: bytes, now: float) -> None:
        self._perform(self._session.at_length(ev.FromTarget(data), now))

    def feed(self, event: ev.Event) -> None:
        """Give the session one event and perform what it says, in order."""
        if self._wires.closed:
            return
        try:
            self._perform(self._session.handle(event, time.time()))
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, GatewayError):
            session = self._session.talk.login.session
            log.error("session.failed", session=session, exc_info=error)
            error = GatewayError(f"internal error in session {session}")
        self._broken(error)

    def _broken(self, error: GatewayError) -> None:
        """Fail closed: nothing more is forwarded; the client hears why; open requests are withdrawn."""
        if self._wires.closed:
            return
        talk = self._session.talk
        if not (talk.mid_message or talk.target_said_fatal):
            self._wires.client.write(error_response(error.sqlstate, error.message, hint=error.hint, severity="FATAL"))
        self._close()
        for request in list(self._unwatch):
            self._chore(partial(self._withdraw, request, "the session failed"))

    def _perform(self, effects: list[ev.Effect]) -> None:  # noqa: PLR0912 - the table of effects, in their order
        to_client: list[bytes] = []
        to_target: list[bytes] = []
        recorded = cancelling = False
        closing: ev.Close | None = None
        for effect in effects:
            match effect:
                case ev.ToClient(data):
                    to_client.append(data)
                case ev.ToTarget(data):
                    to_target.append(data)
                case ev.Record(kind, fields):
                    self._spool.record(kind, **fields)
                    if kind in ("statement", "refused") and (verdict := fields.get("verdict")) in ("allow", "deny"):
                        self._judged[str(verdict)].inc()
                    recorded = True
                case ev.RecordAlike(pattern, values):
                    self._spool.record_alike(pattern, values)
                    if pattern.kind == "statement":
                        self._allowed.count += 1
                    recorded = True
                case ev.Close():
                    closing = effect
                case ev.CancelTarget():
                    cancelling = True
                case _:
                    self._later(effect)
        if recorded or self._turn.waits:  # nothing overtakes what waits for the end of this turn
            self._turn.end()
        if to_target:
            self._wires.send(b"".join(to_target))
        if cancelling:  # behind what it is to cancel, and before what comes next
            self._cancel()
        if to_client:
            self._wires.say(b"".join(to_client) if len(to_client) > 1 else to_client[0])
        if closing is not None:
            self._close(goodbye=closing.goodbye, spare=closing.spare)

    def _later(self, effect: ev.Effect) -> None:  # noqa: PLR0912 - the table of effects
        match effect:
            case ev.Ask(sql):
                self._shell.keep(self._parse(sql))
            case ev.SideAsk(data):
                self._chore(partial(self._ask_aside, data))
            case ev.SideClose():
                self._close_side()
            case ev.Hold(request):
                self._judged["hold"].inc(len(request.statements))
                self._chore(partial(self._hold, request))
            case ev.Release():
                self._chore(partial(self._release, effect))
            case ev.Withdraw(request, why):
                self._chore(partial(self._withdraw, request, why))
            case ev.Leave(request):
                self._chore(partial(self._leave, request))
            case ev.Supersede(request, why):
                self._chore(partial(self._end, request, self._shell.desk.supersede, why))
            case ev.Finished():
                self._chore(partial(self._finish, effect))
            case ev.Unknown(request):
                self._chore(partial(self._tell, partial(self._shell.desk.unknown, request)))
            case ev.Settled(request, transaction):
                self._chore(partial(self._tell, partial(self._shell.desk.settle, request, transaction)))
            case ev.WakeAt(at):
                self._wake(at)
            case ev.PauseClient():
                self._pause("session", paused=True)
            case ev.ResumeClient():
                self._pause("session", paused=False)
            case ev.GoOn():
                asyncio.get_running_loop().call_soon(self.feed, effect)
            case ev.ReloadCatalog():
                self._shell.keep(self._reload())

    def _cancel(self) -> None:
        """One at a time: what the next one is meant for has been cancelled already, or waits here."""
        if self._wires.keeps_back:
            self._cancel_again = bool(self._wires.kept_back)
            return
        self._wires.keeps_back = True
        self._shell.keep(self._cancel_target())

    async def _cancel_target(self) -> None:
        """Nothing is forwarded until the cancel connection is closed: a late cancel would hit the next statement."""
        try:
            await self._link.cancel()
        finally:
            again, self._cancel_again = self._cancel_again, False
            self._wires.let_go()
            if again and not self._wires.closed:
                self._cancel()

    async def _parse(self, sql: str) -> None:
        try:
            script = await self._shell.parser.read(sql)
        except GatewayError as error:
            self._broken(error)
        except Exception:
            log.exception("session.parser_failed", session=self._session.talk.login.session)
            self._broken(GatewayError("internal error while reading a statement"))
        else:
            self.feed(ev.Answered(sql, script))

    async def _reload(self) -> None:
        """The session waits for it: whatever goes wrong it gets an answer, and None judges by the static list."""
        catalog: Catalog | None = None
        try:
            catalog = await self._shell.reload(self._link.target)
        except Exception:
            log.exception("catalog.not_reloaded", target=self._link.target.name)
        self.feed(ev.CatalogReloaded(catalog))

    # --- flow control -------------------------------------------------------------------------------------------------

    def _target_full(self, full: bool) -> None:
        """A side's write buffer is full: stop reading from the other."""
        self._pause("target", paused=full)

    def _client_full(self, full: bool) -> None:
        target = self._wires.target
        if target.is_closing():
            return
        if full:
            target.pause_reading()
        else:
            target.resume_reading()

    def _pause(self, why: str, *, paused: bool) -> None:
        before = bool(self._why_paused)
        (self._why_paused.add if paused else self._why_paused.discard)(why)
        if bool(self._why_paused) == before or self._wires.client.is_closing():
            return
        if paused:
            self._wires.client.pause_reading()
            self._look()
        else:
            self._wires.client.resume_reading()

    def _look(self) -> None:
        """While nothing is read the end of the client shows only in the kernel's state of the socket."""
        if not self._why_paused or self._wires.closed:
            return
        sock = self._wires.client.get_extra_info("socket")
        if sock is not None and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _TCP_GONE:
            self.feed(ev.ClientGone())
            return
        self._watch = asyncio.get_running_loop().call_later(_WATCH_EVERY, self._look)

    def _expire_in_time(self) -> asyncio.TimerHandle:
        """One look a day at most: a timer that is years ahead is more than some loops take."""
        left = self._session.talk.login.identity.expires_at - time.time()
        return asyncio.get_running_loop().call_later(min(max(left, 0), _DAY), self._token_due)

    def _token_due(self) -> None:
        if time.time() < self._session.talk.login.identity.expires_at:
            self._expiry = self._expire_in_time()
        else:
            self.feed(ev.Ended(ev.Why.TOKEN_EXPIRED))

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, at - time.time())
        self._timer = asyncio.get_running_loop().call_later(delay, self.feed, ev.Tick())

    # --- chores: the desk's and the side connection's answers, one after the other ----------------------------------------

    def _chore(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._chores.append(work)
        if not self._working:
            self._working = True
            self.ongoing(self._shell.keep(self._work()))

    async def _work(self) -> None:
        try:
            while self._chores:
                try:
                    await self._chores.popleft()()
                except Exception:
                    session = self._session.talk.login.session
                    log.exception("session.chore_failed", session=session)
                    self._broken(GatewayError(f"internal error in session {session}"))
        finally:
            self._working = False

    async def _hold(self, request: ApprovalRequest) -> None:
        """Watch first, then store: a decision can't slip between."""
        self._metrics.held.labels(self.target_name).inc()
        self._unwatch[request.id] = self._shell.desk.watch(request.id, self._ruled)
        try:
            limits = self._session.talk.grounds.policy.limits
            request = replace(request, seen=await self._seen(request))
            at_most = AtMost(limits.open_requests_per_user, limits.open_requests_per_session)
            stored = await self._shell.desk.open(request, at_most, limits.cool_down)
        except GatewayError as error:
            self._forget(request.id)
            outcome = State.DENIED.value if isinstance(error, DeniedAgain) else ""
            self.feed(ev.NotOpened(request.id, error.sqlstate, error.message, error.hint, outcome))
            if isinstance(error, StoreUnavailable):
                # the store may have taken it all the same, and only its answer was lost: nobody shall decide it
                self._chore(partial(self._withdraw, request.id, "the gateway could not be sure that it was stored"))
        else:
            if stored is None:
                self._look_later(request)
                self.feed(ev.Opened(request.id))
            elif stored.id == request.id:
                if self._wires.closed:  # it is no more what it was left as: nobody can come back for it
                    self._chore(partial(self._withdraw, request.id, "the session ended"))
                self.feed(ev.Granted(stored))
            else:
                self._join(request.id, stored)

    async def _seen(self, request: ApprovalRequest) -> Seen | None:
        return None if self._wires.closed else await self._shell.look(request, self._link.target, self._link.pid)

    def _look_later(self, request: ApprovalRequest) -> None:
        """Locks change while people think: the card tells of them anew when those are reminded of it."""
        wait = request.expires_at - request.opened_at
        if self._wires.closed or request.seen is None or not request.seen.in_transaction or wait < REMINDED_FROM:
            return
        for third in (1, 2):
            due = max(0.0, request.opened_at + third * wait / 3 - time.time())
            timer = asyncio.get_running_loop().call_later(due, self._look_now, request)
            self._looks.append(timer)

    def _look_now(self, request: ApprovalRequest) -> None:
        """Beside the chores: a release waits for no look."""
        if request.id in self._unwatch:
            self._shell.keep(self._look_again(request))

    async def _look_again(self, request: ApprovalRequest) -> None:
        seen = await self._seen(request)
        if seen is not None and request.id in self._unwatch:
            await self._tell(partial(self._shell.desk.look_again, request.id, seen))

    def _join(self, request: str, stored: ApprovalRequest) -> None:
        """Wait for the stored one in the place of ours, which was not stored."""
        self._forget(request)
        if not self._wires.closed:
            self._metrics.held.labels(self.target_name).inc()
            self._unwatch[stored.id] = self._shell.desk.watch(stored.id, self._ruled)
        self.feed(ev.Joined(request, stored))

    async def _leave(self, request: str) -> None:
        """Behind the chore that stores the request; its card goes on without us."""
        self._forget(request)

    def _ruled(self, request: ApprovalRequest) -> None:
        self.feed(ev.Ruled(request))
        if not TRANSITIONS[request.state]:
            self._forget(request.id)

    async def _release(self, effect: ev.Release) -> None:
        request = effect.request
        if self._wires.closed:
            return  # the withdrawal stands behind this
        try:
            answer = await self._shell.desk.release(request, effect.digest, effect.wire)
            if isinstance(answer, Decided):
                if self._wires.closed:
                    await self._not_sent(
                        answer.request, "the session ended before it was sent to the target; nothing ran"
                    )
                self.feed(ev.Released(request))
                return
            why = answer.refusal
            if (
                why is Refusal.EXPIRED
            ):  # too late by the store's clock, before anybody's timer: end it now, so that it is told
                answer = await self._shell.desk.expire(request)
            self.feed(ev.NotReleased(request, answer.request, why.value))
        except GatewayError as error:
            self._unsent.add(request)
            self.feed(ev.NotReleased(request, None, error.message))

    async def _not_sent(self, request: ApprovalRequest, why: str) -> None:
        """It is stored as released, and it is known that nothing was sent, so nothing ran."""
        self._shell.spool.record(
            "finished", session=request.session, request=request.id, outcome="failed", sqlstate="57014", reason=why
        )
        self._shell.spool.flush()
        await self._tell(partial(self._shell.desk.finish, request.id, None, "57014", None, "rolled back"))

    async def _withdraw(self, request: str, why: str) -> None:
        await self._end(request, self._shell.desk.withdraw, why)

    async def _end(self, request: str, end: Callable[[str, str], Awaitable[Answer]], why: str) -> None:
        """The session hears of it as of any other end, by its watch; only where nobody is left to hear it ends here."""
        for attempt in range(_WITHDRAW_TRIES):
            try:
                answer = await end(request, why)
                stored = answer.request if isinstance(answer, Refused) else None
                if stored is not None and stored.state is State.RELEASED:
                    await self._released_all_the_same(stored)
            except StoreUnavailable:
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                break
        else:
            log.error("request.not_withdrawn", request=request)
            self.feed(ev.NotReleased(request, None, "the store is away"))
            self._forget(request)
        if self._wires.closed:
            self._forget(request)

    async def _released_all_the_same(self, request: ApprovalRequest) -> None:
        if request.session != self._session.talk.login.session:
            return  # it outlives its clients, and another of them runs it
        if request.id in self._unsent:
            await self._not_sent(request, "the store's answer to its release was lost; nothing was sent to the target")
        elif self._wires.closed:  # the end of what was sent will not be seen any more
            await self._shell.desk.unknown(request.id)

    async def _finish(self, effect: ev.Finished) -> None:
        desk = self._shell.desk
        await self._tell(
            partial(desk.finish, effect.request, effect.rows, effect.sqlstate, effect.duration_ms, effect.transaction)
        )
        self._forget(effect.request)

    async def _tell(self, work: Callable[[], Awaitable[object]]) -> None:
        """Tell the desk how a request went on; the audit has it already, so a store that is away costs only the card."""
        try:
            await work()
        except StoreUnavailable:
            log.error("request.outcome_not_stored", session=self._session.talk.login.session)

    def _forget(self, request: str) -> None:
        unwatch = self._unwatch.pop(request, None)
        if unwatch is not None:
            for timer in self._looks:
                timer.cancel()
            self._looks.clear()
            self._metrics.held.labels(self.target_name).dec()
            unwatch()

    async def _ask_aside(self, data: bytes) -> None:
        try:
            if self._side is None:
                self._side = await self._open_side()
            if self._wires.closed:
                self._close_side()
                return
            self._side.door.write(data)
            answer = await _to_ready(self._side.door)
        except (GatewayError, OSError, ValueError, TimeoutError) as error:
            text = error.message if isinstance(error, GatewayError) else "the side connection failed"
            self.feed(ev.SideAnswered(None, text))
        else:
            self.feed(ev.SideAnswered(answer))

    def _close_side(self) -> None:
        side, self._side = self._side, None
        if side is not None:
            side.door.close()

    # --- the end ------------------------------------------------------------------------------------------------------

    def _close(self, *, goodbye: bool = False, spare: bool = False) -> None:
        if self._wires.closed:
            return
        self._open.dec()
        for timer in (self._timer, self._watch, self._expiry, *self._looks):
            if timer is not None:
                timer.cancel()
        spare = spare and not self._wires.keeps_back
        self._wires.close(goodbye=goodbye, target=not spare)
        self._close_side()
        self.forget_key()
        self._ended(self)
        if spare:  # last: whatever comes of it, this session has ended
            self.give_on(self._link)


async def _to_ready(door: Doorway) -> bytes:
    """Everything up to and with ReadyForQuery. Raises TimeoutError after 5 s, ValueError over 16 MiB."""
    answer = bytearray()
    async with asyncio.timeout(5):
        while True:
            kind, raw = await door.message(_SIDE_ANSWER)
            answer += raw
            if len(answer) > _SIDE_ANSWER:
                raise ValueError("the answer is too big")
            if kind == ord("Z"):
                return bytes(answer)
