"""Every end at every stage of a hold: one outcome, and client, audit, card, store and table agree on it.

A stage is stopped where it stands, never timed: the session's backend on the target is stopped as a process (SIGSTOP), a
trigger in the store waits for an advisory lock, a row is locked. Each row is changed by `amount + 1`.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.app import Gateway
from gateway.approvals.request import TRANSITIONS, ApprovalRequest, State
from gateway.policies import read_policy
from gateway.relay import server
from gateway.session.question import Stage
from gateway.settings import Address
from gateway.wire.frontend import query
from gateway.wire.startup import cancel_request
from tests.e2e.stack import STEP, Card, Stack
from tests.e2e.wire import Closed, Wire

UPDATE = "UPDATE ledger SET amount = amount + 1 WHERE id = {}"
STAGES = ("draining", "probing", "opening", "waiting", "rechecking", "releasing", "running")
ENDS = ("cancel", "disconnect", "terminate", "drain", "policy")
#: Nobody is asked yet: there is no request, and the audit has one entry that says why.
UNASKED = ("draining", "probing")
#: What becomes of a request, where the end comes before the release ...
EARLY = {end: State.SUPERSEDED if end == "policy" else State.WITHDRAWN for end in ENDS}
#: ... and where it comes while the release is stored (it is known that nothing was sent) or the statement runs.
LATE: dict[tuple[str, str], frozenset[State]] = {
    ("releasing", "cancel"): frozenset(
        {State.EXECUTED, State.FAILED}
    ),  # the cancel races the statement, as in PostgreSQL
    ("releasing", "disconnect"): frozenset({State.FAILED}),
    ("releasing", "terminate"): frozenset({State.FAILED}),
    ("releasing", "drain"): frozenset({State.FAILED}),
    ("releasing", "policy"): frozenset({State.EXECUTED}),  # what was released before the policy came runs to its end
    ("running", "cancel"): frozenset({State.FAILED}),
    ("running", "disconnect"): frozenset({State.UNKNOWN}),
    ("running", "terminate"): frozenset({State.FAILED}),
    ("running", "drain"): frozenset({State.FAILED}),  # cancelled on the target, which says so
    ("running", "policy"): frozenset({State.EXECUTED}),
}
TITLES = {State.UNKNOWN: "Outcome unknown"}
FATAL = ("terminate", "drain")
#: Put before the rules: the strictest one counts, wherever it stands.
DENIAL = "rules:\n  - {name: frozen, effect: deny, statements: [UPDATE], message: the books are closed}\n"

_TRIGGERS = """
CREATE FUNCTION hoop.stop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext(CASE TG_OP WHEN 'INSERT' THEN 'opening' ELSE 'releasing' END));
    RETURN NEW;
END $$;
CREATE TRIGGER stop_opening BEFORE INSERT ON hoop.approval FOR EACH ROW EXECUTE FUNCTION hoop.stop();
CREATE TRIGGER stop_releasing BEFORE UPDATE ON hoop.approval FOR EACH ROW WHEN (NEW.state = 'released')
    EXECUTE FUNCTION hoop.stop();
"""


@dataclass
class Scene:
    """One wire through a gateway of its own, and the direct connections that stop things."""

    stack: Stack
    gateway: Gateway
    wire: Wire
    store: "psycopg.Connection[Any]"
    row: int
    agent: str

    @property
    def session(self) -> str:
        return next(each.talk.login.session for each in self.gateway.server._relays.values() if self._mine(each))

    def _mine(self, session: Any) -> bool:
        return bool(session.talk.login.agent == self.agent)

    def _stage(self) -> Stage | None:
        held = next((each.holding._held for each in self.gateway.server._relays.values() if self._mine(each)), None)
        return held.stage if held else None

    async def at(self, stage: Stage) -> None:
        async def look() -> None:
            while self._stage() is not stage:  # noqa: ASYNC110 - the session sets no Event
                await asyncio.sleep(0)  # one turn of the gateway's own loop

        await self.stack.on(look())

    async def asked(self, question: Callable[[], list[tuple[Any, ...]]]) -> None:
        """Ask a database until it has an answer."""
        async with asyncio.timeout(STEP):
            while not question():  # noqa: ASYNC110 - what is waited for happens elsewhere and sets no Event
                await asyncio.sleep(0)

    @property
    def backend(self) -> int:
        ((pid,),) = self.stack.ask("SELECT pid FROM pg_stat_activity WHERE application_name = %s", self.agent)
        return int(pid)

    def stored(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.store.execute(sql.encode(), values).fetchall()

    def request_id(self) -> str:
        ((found,),) = self.stored("SELECT id FROM hoop.approval WHERE session = %s", self.known)
        return str(found)

    known: str = ""


@pytest.fixture(scope="module")
def store(stack: Stack) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(stack.demo.gateway.settings.store, autocommit=True) as connection:
        connection.execute(_TRIGGERS)
        yield connection
        connection.execute("DROP FUNCTION hoop.stop() CASCADE")


@pytest.fixture
async def scene(stack: Stack, store: "psycopg.Connection[Any]", tmp_path: Path) -> AsyncIterator[Scene]:
    """The wire is on a replica that may end, with a policy of its own; clicks go to the stack's own gateway."""
    demo = stack.demo
    policies = tmp_path / "policies.yaml"
    policies.write_text(demo.gateway.settings.policies.read_text("utf-8"), "utf-8")
    here = Address(stack.host, 0)
    settings = replace(demo.gateway.settings, listen=here, http=here, policies=policies)
    gateway = Gateway(settings, read_policy(settings.policies), demo._directory, demo.limits)
    await stack.on(gateway.start())
    row = stack.ids()
    agent = f"stage {row}"
    wire = await Wire.connect(gateway.ports.wire, stack.token("ann"), application_name=agent)
    assert (await wire.ask(query("SELECT 1")))[-1] == "ZI"
    made = Scene(stack, gateway, wire, store, row, agent)
    made.known = made.session
    yield made
    await wire.close()
    await stack.on(gateway.stop())


# --- stages -----------------------------------------------------------------------------------------------------------


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def latched(scene: Scene, name: str) -> Iterator[None]:
    """The store's transactions that go through this trigger wait."""
    scene.stored("SELECT pg_advisory_lock(hashtext(%s))", name)
    try:
        yield
    finally:
        scene.stored("SELECT pg_advisory_unlock(hashtext(%s))", name)


def latch_reached(scene: Scene) -> list[tuple[Any, ...]]:
    return scene.stored("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


@asynccontextmanager
async def draining(scene: Scene) -> AsyncIterator[None]:
    with stopped(scene.backend):
        scene.wire.send(query("SELECT 1"), query(UPDATE.format(scene.row)))
        await scene.at(Stage.DRAINING)
        yield


@asynccontextmanager
async def probing(scene: Scene) -> AsyncIterator[None]:
    with stopped(scene.backend):
        scene.wire.send(query(UPDATE.format(scene.row)))
        await scene.at(Stage.PROBING)
        yield


@asynccontextmanager
async def opening(scene: Scene) -> AsyncIterator[None]:
    with latched(scene, "opening"):
        scene.wire.send(query(UPDATE.format(scene.row)))
        await scene.asked(lambda: latch_reached(scene))
        yield


@asynccontextmanager
async def waiting(scene: Scene) -> AsyncIterator[None]:
    scene.wire.send(query(UPDATE.format(scene.row)))
    await scene.at(Stage.WAITING)
    yield


@asynccontextmanager
async def rechecking(scene: Scene) -> AsyncIterator[None]:
    async with waiting(scene):
        card = await scene.stack.card()
        with stopped(scene.backend):
            await scene.stack.approve("Bob", card)
            await scene.at(Stage.RELEASING)
            yield


@asynccontextmanager
async def releasing(scene: Scene) -> AsyncIterator[None]:
    async with waiting(scene):
        card = await scene.stack.card()
        with latched(scene, "releasing"):
            await scene.stack.approve("Bob", card)
            await scene.asked(lambda: latch_reached(scene))
            yield


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[None]:
    async with waiting(scene):
        card = await scene.stack.card()
        scene.stack.do(f"BEGIN; SELECT FROM ledger WHERE id = {scene.row} FOR UPDATE")
        try:
            await scene.stack.approve("Bob", card)
            blocked = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
            await scene.asked(lambda: scene.stack.ask(blocked, scene.agent))
            yield
        finally:
            scene.stack.do("ROLLBACK")


# --- ends -------------------------------------------------------------------------------------------------------------


async def cancel(scene: Scene, stage: str) -> None:
    other = await Wire.open(scene.gateway.ports.wire)
    other.send(cancel_request(*scene.wire.key))
    assert await other.rest() == b""
    await other.close()
    await scene.asked(lambda: entries(scene, "cancelled"))
    if stage == "running":  # it has arrived where the statement waits for its row
        free = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type IS DISTINCT FROM 'Lock'"
        await scene.asked(lambda: scene.stack.ask(free, scene.agent))


async def disconnect(scene: Scene, _stage: str) -> None:
    await scene.wire.close()
    await scene.asked(lambda: entries(scene, "session_ended"))


async def terminate(scene: Scene, stage: str) -> None:
    scene.stack.ask("SELECT pg_terminate_backend(%s)", scene.backend)
    if stage not in ("draining", "probing", "rechecking"):  # a stopped process dies when it goes on
        await scene.asked(lambda: entries(scene, "session_ended"))


async def policy(scene: Scene, _stage: str) -> None:
    """SIGHUP's handler, on the gateway's loop."""

    async def reload() -> bool:
        return scene.gateway.reload()

    path = scene.gateway.settings.policies
    path.write_text(path.read_text("utf-8").replace("rules:\n", DENIAL), "utf-8")
    assert await scene.stack.on(reload())


def entries(scene: Scene, kind: str) -> list[Any]:
    return scene.stack.entries(session=scene.known, kind=kind)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stage", STAGES)
async def test_one_outcome(scene: Scene, stage: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN", 0.1)  # what runs here waits for something that does not come
    stops = (draining, probing, opening, waiting, rechecking, releasing, running)
    ends = {"cancel": cancel, "disconnect": disconnect, "terminate": terminate, "policy": policy}
    stopping: asyncio.Task[None] | None = None
    async with dict(zip(STAGES, stops, strict=True))[stage](scene):
        if end == "drain":
            stopping = asyncio.create_task(scene.stack.on(scene.gateway.stop()))
            await scene.asked(lambda: entries(scene, "session_ended"))
        else:
            await ends[end](scene, stage)
    told = [] if end == "disconnect" else await answer(scene, stage)
    if (stage, end) == ("running", "drain"):
        assert told == ["E57014", "ZI"], "the statement's own end; behind it the session's"
        told = await scene.wire.lines()
    if stopping is not None:
        await stopping
    if stage in UNASKED:
        unasked(scene, end, told)
    else:
        await agreed(scene, stage, end, told)


async def answer(scene: Scene, stage: str) -> list[str]:
    """What the client heard: up to ReadyForQuery (behind the answer to what went before it), or the end."""
    try:
        lines = await scene.wire.lines()
        if stage == "draining" and lines[-1] != "closed":
            assert lines == ["T", "D", "C[SELECT 1]", "ZI"]
            lines = await scene.wire.lines()
    except Closed:
        return ["closed"]
    return lines


def amount(scene: Scene) -> int:
    ((found,),) = scene.stack.ask("SELECT amount FROM ledger WHERE id = %s", scene.row)
    return int(found)


def refusal(end: str, told: list[str]) -> str:
    """The SQLSTATE that the client was told; the one that it would have been told if it is gone."""
    if end == "disconnect":
        return "57014"
    refused = ["E57P01", "closed"] if end in FATAL else ["E42501" if end == "policy" else "E57014", "ZI"]
    assert told[-2:] == refused
    return told[-2][1:]


def unasked(scene: Scene, end: str, told: list[str]) -> None:
    assert amount(scene) == 100
    [refused] = entries(scene, "refused")
    assert refused["sql"] == UPDATE.format(scene.row)
    assert refused["sqlstate"] == refusal(end, told)
    assert scene.stored("SELECT FROM hoop.approval WHERE session = %s", scene.known) == []
    assert not [each for each in entries(scene, "statement") if each["tag"] == "UPDATE"]


async def agreed(scene: Scene, stage: str, end: str, told: list[str]) -> None:
    request, card = await ended(scene)
    state = request.state
    early = state is EARLY[end]
    assert early or state in LATE[stage, end], (state, request.reason)
    if card is not None:
        await card.says(TITLES.get(state, state.value.capitalize()))
    ran = amount(scene) - 100
    assert ran in ((0, 1) if state is State.UNKNOWN else (1,) if state is State.EXECUTED else (0,))
    approved = stage in ("rechecking", "releasing", "running")
    decided = [each["outcome"] for each in scene.stack.entries(request=request.id, kind="decided")]
    assert decided == ["approved"] * approved + [state.value] * early
    released = scene.stack.entries(request=request.id, kind="released")
    assert len(released) == (not early)
    finished = [each["outcome"] for each in scene.stack.entries(request=request.id, kind="finished")]
    assert finished == ([] if early else [state.value])
    if early:
        assert (stage, end) not in LATE
        [void] = scene.stack.entries(request=request.id, outcome=state.value)
        assert void["sqlstate"] == refusal(end, told)
    elif state is State.EXECUTED:
        assert told == ["C[UPDATE 1]", "ZI"]
    elif end != "disconnect":
        refusal(end, told)


async def ended(scene: Scene) -> tuple[ApprovalRequest, Card | None]:
    """The request in its last state, and its card, unless it was over before one could be posted."""
    over = [state.value for state in State if not TRANSITIONS[state] - {state} and state is not State.PENDING]
    last = "SELECT FROM hoop.approval WHERE session = %s AND state = ANY (%s)"
    await scene.asked(lambda: scene.stored(last, scene.known, over))
    request = await scene.stack.request(scene.request_id())
    shown = "SELECT ref FROM hoop.outbox WHERE request = %s AND (dead OR sent >= wanted)"
    await scene.asked(lambda: scene.stored(shown, request.id))
    found = next((each for each in scene.stack._top() if request.id in str(each.blocks)), None)
    if found is None:
        return request, None
    scene.stack._seen.add(found.ts)
    return request, Card(scene.stack, found)
