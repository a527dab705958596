"""One session's sockets, over real ones: what goes out in which order, and what happens when a side fails, fills or goes."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from gateway.approvals.decisions import Approve, Decided, Deny
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Refusal, State
from gateway.approvals.seen import Seen
from gateway.errors import GatewayError, StoreUnavailable, TargetUnavailable
from gateway.metrics import Metrics
from gateway.policy.model import Policy, Target, load
from gateway.relay.doorway import Doorway
from gateway.relay.relay import Relay, Shell
from gateway.relay.target import TargetLink
from gateway.relay.turn import Turn
from gateway.session import events as ev
from gateway.session.gate import CLOSE, OPEN, Gate
from gateway.session.grounds import Login
from gateway.session.session import Session
from gateway.session.state import Conversation
from gateway.sql.catalog import Catalog
from gateway.sql.parse import read
from gateway.sql.statement import Script
from gateway.store.memory import MemoryStore
from gateway.store.port import Change, Record
from gateway.wire.backend import fields
from gateway.wire.frontend import TERMINATE, query
from tests.bots.samples import BOB
from tests.fakes.stores import ListSpool
from tests.playbook import (
    ANN,
    BOUND,
    CLOSED,
    PARSED,
    POLICY,
    catalog,
    columns,
    complete,
    error,
    parsed,
    ready,
    row,
    split,
)

DELETE = "DELETE FROM customers WHERE id = 1"
#: A step that takes longer has failed.
STEP = 10.0
#: The preview's questions by their messages, and what they are answered: one row would go.
PREVIEW = (
    ("Q", complete("BEGIN") + complete("SET") * 2 + ready("T")),
    ("Q", row(b"public.customers", b"16400") + complete("SELECT 1") + ready("T")),
    ("PDS", parsed() + ready("T")),
    ("Q", row(b"1") + complete("SELECT 1") + ready("T")),
    ("Q", complete("SELECT 0") + ready("T")),
    ("Q", complete("ROLLBACK") + ready()),
)


READ = query("SELECT name FROM customers WHERE id = 1")
ANSWER = (columns("name", first=2), row(b"Ann"), complete("SELECT 1"), ready())
ALLOWED = "hoop_statements_total"


class Ear:
    """A transport through which one hears each write."""

    def __init__(self, transport: asyncio.Transport, heard: Callable[[], None]) -> None:
        self._transport = transport
        self._heard = heard

    def write(self, data: bytes) -> None:
        self._heard()
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class End:
    """The far end of one of the relay's sockets: what a client, or a target, sends and gets."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._got = b""

    async def send(self, *messages: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, b"".join(messages))

    async def get(self) -> tuple[str, bytes]:
        """The next message; ("", b"") at the end of the stream."""
        async with asyncio.timeout(STEP):
            while len(self._got) < 5 or len(self._got) < 1 + int.from_bytes(self._got[1:5], "big"):
                more = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 16)
                if not more:
                    return "", b""
                self._got += more
        for helper in (OPEN, CLOSE):
            if self._got.startswith(helper):  # the gate's own; the target of these tests takes it as any would
                self._got = self._got[len(helper) :]
                await self.send(PARSED, BOUND, complete("SET"), CLOSED, CLOSED, ready())
                return await self.get()
        end = 1 + int.from_bytes(self._got[1:5], "big")
        ((kind, body),), self._got = split(self._got[:end]), self._got[end:]
        return kind, body

    async def refused(self) -> tuple[str, str]:
        """(SQLSTATE, message) of the next ErrorResponse."""
        while (found := await self.get())[0] != "E":
            assert found[0], "the connection ended without an error"
        shown = fields(found[1])
        return shown["C"], shown["M"]


class Reader:
    """Reads big texts at once; `broken` is raised instead."""

    broken: Exception | None = None

    async def read(self, text: str) -> Script:
        if self.broken is not None:
            raise self.broken
        return read(text)


@dataclass
class Room:
    """A relay, its two far ends, and what stands behind it."""

    policy: Policy = field(default_factory=lambda: load(POLICY))
    lifetime: float = 600.0
    store: MemoryStore = field(default_factory=lambda: MemoryStore(time.time))
    spool: ListSpool = field(default_factory=ListSpool)
    metrics: Metrics = field(default_factory=Metrics)
    parser: Reader = field(default_factory=Reader)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    side_problem: Exception = field(default_factory=lambda: TargetUnavailable("the target is full"))
    reloaded: Catalog | None = field(default_factory=catalog)
    seen: Seen | None = None
    looking: asyncio.Event | None = None
    seen_now: asyncio.Event = field(default_factory=asyncio.Event)
    looked: list[tuple[str, int]] = field(default_factory=list)

    async def open(self, port: int = 1) -> None:
        self.desk = Desk(self.store, self.spool, clock=time.time, link_max_age=3600.0)
        await self.desk.start("gate-1")
        target = replace(self.policy.targets["shop"], host="127.0.0.1", port=port)
        who = replace(ANN, expires_at=time.time() + self.lifetime)
        login = Login("s-1", "gate-1", who, target, "psql", "127.0.0.1", b"m" * 32, b"d" * 32)
        self.session = Session(login, self.policy, catalog(), iter(["REQ1", "REQ2", "REQ3"]), Gate())
        self.session.talk.path_stale = False
        client_door, self.client = await _pair()
        target_door, self.target = await _pair()
        link = TargetLink(target_door, target, {}, 7, b"key!")
        turn = Turn(self.spool, asyncio.get_running_loop().call_soon)
        shell = Shell(self.desk, self.spool, turn, self.parser, self.metrics, self._keep, self._reload, self._look)
        self.relay = Relay(self.session, client_door, link, shell, self._aside, lambda _: self.ended.set())
        self.relay.start(client_door)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _aside(self) -> TargetLink:
        raise self.side_problem

    async def _look(self, request: ApprovalRequest, _target: Target, pid: int) -> Seen | None:
        self.looked.append((request.where_held, pid))
        if self.looking is not None:
            self.looking.set()
            await self.seen_now.wait()
        return self.seen

    async def _reload(self, _target: Target) -> Catalog | None:
        if self.reloaded is None:
            raise RuntimeError("no catalog")
        return self.reloaded

    async def close(self) -> None:
        self.client.sock.close()
        self.target.sock.close()
        async with asyncio.timeout(STEP):
            await self.ended.wait()
            while self.tasks:
                await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.desk.close()

    async def held(self, request: str = "REQ1") -> None:
        """A DELETE that waits."""
        await self.client.send(query(DELETE))
        await self.previewed()
        await self.stored(request, State.PENDING)

    async def previewed(self) -> None:
        """Answer the preview's questions about customers."""
        for kinds, answer in PREVIEW:
            assert "".join([(await self.target.get())[0] for _ in kinds]) == kinds
            await self.target.send(answer)

    async def stored(self, request: str, state: State) -> None:
        async with asyncio.timeout(STEP):
            while (found := await self.store.get(request)) is None or found.state is not state:  # noqa: ASYNC110 # a store tells nobody of a plain get
                await asyncio.sleep(0)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.spool.written]


async def _pair() -> tuple[Doorway, End]:
    """A connection over loopback TCP: our Doorway, and the far end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
    far.setblocking(False)
    near.setblocking(False)
    door = Doorway()
    await asyncio.get_running_loop().create_connection(door.protocol, sock=near)
    return door, End(far)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    await room.open()
    yield room
    await room.close()


# --- order -----------------------------------------------------------------------------------------------------------------


async def test_what_is_forwarded_was_recorded_before(room: Room) -> None:
    await room.client.send(query("SELECT 1"))
    assert (await room.target.get())[0] == "Q"
    assert room.kinds() == ["statement"]
    await room.target.send(columns("x"), row(b"1"), complete("SELECT 1"), ready())
    assert [(await room.client.get())[0] for _ in range(4)] == ["T", "D", "C", "Z"]
    assert room.kinds() == ["statement", "finished"]


async def test_what_can_not_be_recorded_is_not_forwarded(room: Room) -> None:
    room.spool.full = True
    await room.client.send(query("SELECT 1"))
    assert await room.client.refused() == ("53100", "the audit spool is full")
    assert await room.client.get() == ("", b"")
    assert await room.target.get() == ("", b""), "not a byte of it"


async def known(room: Room) -> None:
    """The next of these takes the short way."""
    for _ in range(2):
        await room.client.send(READ)
        await room.target.get()
        await room.target.send(*ANSWER)
        assert [(await room.client.get())[0] for _ in range(4)] == ["T", "D", "C", "Z"]


async def test_what_takes_the_short_way_was_recorded_before(room: Room) -> None:
    await known(room)
    await room.client.send(READ)
    assert await room.target.get() == ("Q", READ[5:])
    assert room.session.short.flight is not None
    assert room.kinds()[-1] == "statement"
    await room.target.send(*ANSWER)
    assert [(await room.client.get())[0] for _ in range(4)] == ["T", "D", "C", "Z"]
    assert room.session.short.flight is None
    assert room.kinds() == ["statement", "finished"] * 3
    assert room.metrics.registry.get_sample_value(ALLOWED, {"target": "shop", "verdict": "allow"}) == 3


@pytest.mark.parametrize("answered", [False, True])
async def test_what_it_can_not_record_goes_nowhere_either(room: Room, *, answered: bool) -> None:
    await known(room)
    if answered:
        await room.client.send(READ)
        await room.target.get()
    room.spool.full = True
    await (room.target.send(*ANSWER) if answered else room.client.send(READ))
    assert await room.client.refused() == ("53100", "the audit spool is full")
    assert await room.client.get() == ("", b"")
    assert await room.target.get() == ("", b""), "not a byte of it"


async def test_a_cancel_in_the_same_turn_comes_behind_it(room: Room) -> None:
    """Else it would find nothing to cancel, and nobody would cancel what comes behind it."""
    await known(room)
    sent: list[str] = []
    target = room.relay._wires.target
    room.relay._wires.target = Ear(target, lambda: sent.append("statement"))  # type: ignore[assignment] # hears what goes by
    room.relay._cancel = lambda: sent.append("cancel")  # type: ignore[method-assign] # the same
    room.relay.from_client(READ)
    assert sent == []
    room.relay.cancel()
    assert sent == ["statement", "cancel"]
    room.relay._wires.target = target


async def test_a_held_statement_runs_when_its_release_is_stored(room: Room) -> None:
    await room.held()
    assert (await room.client.get())[0] == "N"
    await room.desk.decide("REQ1", None, BOB, Approve(), "slack")
    assert (await room.target.get())[0] == "Q", "what its names mean now"
    await room.target.send(row(b"public.customers", b"16400"), complete("SELECT 1"), ready())
    assert (await room.target.get()) == ("Q", b"BEGIN READ WRITE\0"), "the row guard's"
    assert (await room.target.get()) == ("Q", DELETE.encode() + b"\0")
    stored = await room.store.get("REQ1")
    assert stored is not None
    assert stored.state is State.RELEASED
    assert room.kinds()[-2:] == ["released", "statement"]
    await room.target.send(complete("BEGIN"), ready("T"), complete("DELETE 1"), ready("T"))
    assert (await room.target.get()) == ("Q", b"COMMIT\0")
    await room.target.send(complete("COMMIT"), ready())
    await room.stored("REQ1", State.EXECUTED)


# --- locks, and who waits --------------------------------------------------------------------------------------------------


async def test_what_was_seen_of_locks_is_stored_with_the_request(room: Room) -> None:
    room.seen = Seen(time.time(), in_transaction=True, blocked=2)
    await room.held()
    stored = await room.store.get("REQ1")
    assert stored is not None
    assert stored.seen == room.seen
    assert room.looked == [("idle", 7)], "the process that the target named at login"


async def test_a_client_that_goes_during_the_look_leaves_nothing_open(room: Room) -> None:
    room.looking = asyncio.Event()
    await room.client.send(query(DELETE))
    await room.previewed()
    async with asyncio.timeout(STEP):
        await room.looking.wait()
    room.client.sock.close()
    async with asyncio.timeout(STEP):
        await room.ended.wait()
    room.seen_now.set()
    await room.stored("REQ1", State.WITHDRAWN)


async def test_the_card_tells_anew_of_locks_while_people_think(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a third and two thirds of the time, as reminders are; and no more once somebody has decided."""
    later = _Later(asyncio.get_running_loop())
    monkeypatch.setattr(later.loop, "call_later", later.call)
    room.seen = Seen(time.time(), in_transaction=True, blocked=0)
    await room.held()
    async with asyncio.timeout(STEP):
        while len(later.due) < 2:  # noqa: ASYNC110 # nobody tells when a timer is set
            await asyncio.sleep(0)
    first, second = later.due
    assert (round(first[0], -1), round(second[0], -1)) == (200, 400)
    room.seen = Seen(time.time(), in_transaction=True, blocked=3)
    first[1]()
    async with asyncio.timeout(STEP):
        while (found := await room.store.get("REQ1")) is None or found.rev < 2:  # noqa: ASYNC110 # as in `stored`
            await asyncio.sleep(0)
    assert (found.seen, found.looks, found.state) == (room.seen, 1, State.PENDING)
    assert isinstance(await room.desk.decide("REQ1", 1, BOB, Deny("no"), "slack"), Decided)
    looked = len(room.looked)
    await room.target.get()
    await room.target.send(error("42601"), ready())
    assert (await room.client.refused())[0] == "42501"
    second[1]()
    assert len(room.looked) == looked


class _Later:
    """Timers of the coming minutes are noted in the place of being set."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._call_later = loop.call_later
        self.due: list[tuple[float, Callable[[], object]]] = []

    def call(self, delay: float, callback: Callable[..., object], *values: Any, **options: Any) -> asyncio.TimerHandle:
        if getattr(callback, "__name__", "") == "_look_now":
            self.due.append((delay, partial(callback, *values)))
        return self._call_later(delay, callback, *values, **options)


def _counted(room: Room) -> dict[str, float]:
    return {each.name: each.value for metric in room.metrics.registry.collect() for each in metric.samples}


# --- refusals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "whose"), [("open_requests_per_user", "ann@example.com"), ("open_requests_per_session", "this session")]
)
async def test_a_flood_of_requests_is_refused_before_anybody_is_asked(limit: str, whose: str) -> None:
    room = Room(load(POLICY + f"limits: {{{limit}: 1}}\n"))
    await room.open()
    await room.held()
    waiting = await room.store.get("REQ1")
    assert waiting is not None
    await room.desk.withdraw("REQ1", "for the next one")
    await room.target.get()
    await room.target.send(error("42601"), ready())
    await room.desk.open(replace(waiting, id="OTHER"))
    await room.client.send(query(DELETE))
    await room.previewed()
    assert (await room.target.get()) == ("Q", b"\x01\0"), "a sure-fail in its place"
    await room.target.send(error("42601"), ready())
    assert (await room.client.refused())[0] == "57014"
    sqlstate, text = await room.client.refused()
    assert sqlstate == "53400"
    assert text == f"too many requests are waiting already: 1 of {whose}"
    assert await room.store.get("REQ2") is None
    await room.close()


async def test_what_was_denied_twice_is_denied_without_asking_anybody(room: Room) -> None:
    for number in (1, 2):
        await room.held(f"REQ{number}")
        await room.desk.decide(f"REQ{number}", None, BOB, Deny("use the job"), "slack")
        await room.target.get()
        await room.target.send(error("42601"), ready())
        assert (await room.client.refused())[0] == "42501"
    await room.client.send(query(DELETE))
    await room.previewed()
    assert (await room.target.get()) == ("Q", b"\x01\0"), "a sure-fail in its place"
    await room.target.send(error("42601"), ready())
    sqlstate, text = await room.client.refused()
    assert sqlstate == "42501"
    assert text.endswith("bob@example.com denied this 2 times lately")
    assert await room.store.get("REQ3") is None
    assert room.kinds()[-1] == "refused"


async def test_a_store_that_is_away_holds_nothing(room: Room) -> None:
    room.store.away = True
    await room.client.send(query(DELETE))
    await room.previewed()
    assert (await room.target.get()) == ("Q", b"\x01\0")
    await room.target.send(error("42601"), ready())
    assert (await room.client.refused())[0] == "57P03"
    room.store.away = False


async def test_a_release_whose_answer_is_lost_does_not_run_and_its_card_says_so() -> None:
    """The store has committed it and nobody heard: "running" would stay on the card for good."""

    class Silent(MemoryStore):
        async def move(self, request_id: str, change: Change, record: Record) -> ApprovalRequest | Refusal:
            moved = await super().move(request_id, change, record)
            if isinstance(moved, ApprovalRequest) and moved.state is State.RELEASED:
                raise StoreUnavailable("its answer was lost")
            return moved

    room = Room(store=Silent(time.time))
    await room.open()
    await room.held()
    await room.desk.decide("REQ1", None, BOB, Approve(), "slack")
    await room.target.get()
    await room.target.send(row(b"public.customers", b"16400"), complete("SELECT 1"), ready())
    assert (await room.target.get()) == ("Q", b"\x01\0"), "a sure-fail in its place"
    await room.target.send(error("42601"), ready())
    assert (await room.client.refused())[0] == "57P03"
    await room.stored("REQ1", State.FAILED)
    [entry] = [each for each in room.spool.written if each.kind == "finished"]
    assert (entry.body["request"], entry.body["outcome"]) == ("REQ1", "failed")
    assert "nothing was sent" in str(entry.body["reason"])
    await room.close()


async def test_an_error_of_ours_is_told_without_its_text(room: Room) -> None:
    room.parser.broken = RuntimeError("a secret of the inside")
    await room.client.send(query("SELECT '" + "x" * 20_000 + "'"))
    sqlstate, text = await room.client.refused()
    assert (sqlstate, "secret" in text) == ("XX000", False)
    assert await room.target.get() == ("", b"")


@dataclass
class Broken:
    """A session that fails at whatever comes."""

    talk: Conversation

    def at_length(self, _event: ev.Event, _now: float) -> list[ev.Effect]:
        raise LookupError("whatever")

    handle = at_length


async def test_a_session_that_fails_ends_and_withdraws_what_is_held(room: Room) -> None:
    await room.held()
    room.relay._session = Broken(room.session.talk)  # type: ignore[assignment] # whatever is wrong inside: it raises
    await room.target.send(ready())
    sqlstate, text = await room.client.refused()
    assert (sqlstate, text) == ("XX000", "internal error in session s-1")
    await room.stored("REQ1", State.WITHDRAWN)


async def test_a_parser_that_gives_up_says_why(room: Room) -> None:
    room.parser.broken = GatewayError("the statement takes too long to read", sqlstate="54001")
    await room.client.send(query("SELECT '" + "x" * 20_000 + "'"))
    assert await room.client.refused() == ("54001", "the statement takes too long to read")


async def test_nothing_is_said_into_a_row_that_was_cut(room: Room) -> None:
    await room.client.send(query("SELECT 1"))
    await room.target.get()
    long = row(b"x" * 1000)
    await room.target.send(columns("x"), long[:500])
    assert (await room.client.get())[0] == "T"
    room.relay._broken(GatewayError("over"))
    assert await room.client.get() == ("", b"")
    assert b"over" not in room.client._got


async def test_a_catalog_that_can_not_be_read_leaves_the_session_going(room: Room) -> None:
    room.reloaded = None
    room.session.talk.grounds.adopt(load(POLICY.replace("[read]", "[read, ddl]").replace("[write, ddl,", "[write,")))
    await room.client.send(query("ALTER TABLE t ADD c int"), query("SELECT 1"))
    assert (await room.target.get())[0] == "Q"
    await room.target.send(complete("ALTER TABLE"), ready())
    assert await room.target.get() == ("Q", b"SELECT 1\0")
    assert room.session.talk.grounds.catalog is None


# --- ends ------------------------------------------------------------------------------------------------------------------


async def test_a_client_that_goes_while_nothing_is_read_from_it_is_noticed(room: Room) -> None:
    await room.held()
    await room.client.send(query("SELECT '" + "x" * (2 << 20) + "'"))
    async with asyncio.timeout(STEP):
        while not room.session.paused:  # noqa: ASYNC110 # the session tells nobody that it pauses
            await asyncio.sleep(0)
    room.client.sock.close()
    await room.stored("REQ1", State.WITHDRAWN)
    async with asyncio.timeout(STEP):
        await room.ended.wait()


async def test_a_session_ends_when_its_token_does() -> None:
    room = Room(lifetime=0.05)
    await room.open()
    async with asyncio.timeout(STEP):
        while room.session.talk.ending is None:  # noqa: ASYNC110 # nothing shows on an idle wire
            await asyncio.sleep(0)
    await room.client.send(query("SELECT 1"))
    assert (await room.client.refused())[0] == "28000"
    await room.close()


async def test_what_the_session_leaves_is_counted_down(room: Room) -> None:
    assert _counted(room)["hoop_sessions_open"] == 1.0
    forgotten: list[bool] = []
    room.relay.forget_key = lambda: forgotten.append(True)
    room.client.sock.close()
    assert await room.target.get() == ("", b"")
    async with asyncio.timeout(STEP):
        await room.ended.wait()
    assert _counted(room)["hoop_sessions_open"] == 0.0
    assert forgotten == [True]


async def test_a_goodbye_is_handed_on_to_the_target_where_nobody_takes_its_connection(room: Room) -> None:
    await room.client.send(TERMINATE)
    assert await room.target.get() == ("X", b"")
    assert await room.target.get() == ("", b"")
    assert room.ended.is_set()


async def test_a_session_has_ended_whatever_comes_of_its_connection(room: Room) -> None:
    """One that can't be given on leaves nothing behind in the server's books."""
    forgotten: list[bool] = []
    room.relay.forget_key = lambda: forgotten.append(True)

    def fails(link: TargetLink) -> None:
        link.leave()
        raise OSError("no")

    room.relay.give_on = fails
    await room.client.send(TERMINATE)
    assert await room.target.get() == ("X", b"")
    assert room.ended.is_set()
    assert forgotten == [True]
    assert _counted(room)["hoop_sessions_open"] == 0.0


# --- cancel ----------------------------------------------------------------------------------------------------------------


async def test_nothing_is_forwarded_until_the_cancel_has_reached_the_target() -> None:
    """A late cancel would hit the next statement."""
    arrived, close = asyncio.Event(), asyncio.Event()
    asked: list[bytes] = []

    async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readexactly(16))
        arrived.set()
        await close.wait()
        writer.close()

    server = await asyncio.start_server(target, "127.0.0.1", 0)
    room = Room()
    await room.open(server.sockets[0].getsockname()[1])
    await room.client.send(query("SELECT pg_sleep(60)"))
    await room.target.get()
    room.relay.cancel()
    async with asyncio.timeout(STEP):
        await arrived.wait()
    assert asked[0][8:] == (7).to_bytes(4, "big") + b"key!"
    await room.target.send(error("57014"), ready())
    assert (await room.client.refused())[0] == "57014"
    await room.client.send(query("SELECT 1"))
    async with asyncio.timeout(STEP):
        while room.kinds().count("statement") < 2:  # noqa: ASYNC110 # a spool tells nobody
            await asyncio.sleep(0)
    assert room.relay._wires.kept_back
    close.set()
    assert await room.target.get() == ("Q", b"SELECT 1\0")
    server.close()
    await room.close()


@pytest.mark.parametrize(("sent", "cancels"), [(1, 1), (2, 2)])
async def test_a_flood_of_cancels_is_one_for_each_statement(sent: int, cancels: int) -> None:
    """Each is a process to the target, and the last of them could hit the next statement."""
    gone = asyncio.Event()
    asked: list[bytes] = []

    async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readexactly(16))
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(target, "127.0.0.1", 0)
    room = Room()
    await room.open(server.sockets[0].getsockname()[1])
    await room.client.send(query("SELECT pg_sleep(60)"))
    await room.target.get()
    for _ in range(20):
        room.relay.cancel()
    if sent == 2:
        await room.client.send(query("SELECT pg_sleep(61)"))
        async with asyncio.timeout(STEP):
            while not room.relay._wires.kept_back:  # noqa: ASYNC110 # nobody is told
                await asyncio.sleep(0)
        for _ in range(20):
            room.relay.cancel()
    gone.set()
    async with asyncio.timeout(STEP):
        while room.relay._wires.keeps_back:  # noqa: ASYNC110 # nobody is told
            await asyncio.sleep(0)
    assert len(asked) == cancels
    server.close()
    await room.close()


# --- flow control ----------------------------------------------------------------------------------------------------------


async def test_a_client_that_reads_slowly_slows_the_target(room: Room) -> None:
    """No more than the sockets' buffers and asyncio's high-water mark is kept of a result nobody reads."""
    await room.client.send(query("SELECT 1"))
    await room.target.get()
    await room.target.send(columns("x"))
    sending = asyncio.create_task(room.target.send(*[row(b"x" * 65_000)] * 1000))
    paused = room.relay._wires.target
    async with asyncio.timeout(STEP):
        while paused.is_reading():  # noqa: ASYNC110 # a transport tells nobody
            await asyncio.sleep(0)
    assert not sending.done()
    got = 0
    while got < 1000:
        got += (await room.client.get())[0] == "D"
    await sending
    assert paused.is_reading()
