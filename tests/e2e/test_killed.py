"""Kill -9 between each pair of steps of a held statement, and a new start: card, audit and database tell one story.

A statement is stored, posted, clicked, decided, released, executed, and its card updated. `POINTS` is the table of points
(docs/killed.md says the same in words): at each a real `hoop serve` dies by SIGKILL, is started again on the same
configuration, and has to make everything true: the row's value says how often the statement ran, the audit tells how far it
came and `hoop audit verify` finds its chains whole, the newest card says what the store holds, and a card that nobody knows
of answers a click with the truth. The points are reached by relays before store, target and chat (between.py), which keep
back a message or its answer, and by a row lock; nothing in the product knows of them.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
import pytest

from bots.workspace.state import Message
from tests.e2e.between import Between, Stop
from tests.e2e.site import CHANNEL, ROOT, START, Served, Site, run
from tests.e2e.stack import STEP

ROW = 21
UPDATE = f"UPDATE ledger SET amount = amount + 1 WHERE id = {ROW}"
_COMMIT = b"COMMIT"


def stored(state: str) -> bytes:
    """What goes to the store when a request comes into this state."""
    return f'"state":"{state}"'.encode()


POST, REDRAW = b"/api/chat.postMessage", b"/api/chat.update"
#: The reference by which a card is found again, on its way to the store.
REFERENCE = b'{"channel": "C0'
SENT = b"SET amount = amount"


@dataclass(frozen=True, slots=True)
class Point:
    """One point. The stops are set `at` "the question" or "the click"; all of them have to be reached before the kill.

    `state`: the store's right after the kill ("" for no request), then `end`: after the new start. `ran`: how often.
    `card`: how the newest card begins ("" for none), `cards`: how many there are. `audit`: what is told of the request.
    """

    name: str
    at: str
    state: str
    end: str
    audit: str
    card: str
    store: Stop | None = None
    target: Stop | None = None
    slack: Stop | None = None
    locked: bool = False
    begun: bool = False
    ran: int = 0
    cards: int = 1


_WITHDRAWN = "held, decided withdrawn"
_APPROVED = "held, decided approved"
_UNKNOWN = f"{_APPROVED}, released, statement, finished unknown"
_EXECUTED = f"{_APPROVED}, released, statement, finished executed"

POINTS = (
    # --- stored -----------------------------------------------------------------------------------------------------
    Point(
        "the question is recorded, its transaction has not reached the store",
        *("the question", "", "", "held, voided", ""),
        store=Stop((stored("pending"),)),
        cards=0,
    ),
    Point(
        "it is stored, the store's answer has not come",
        *("the question", "pending", "withdrawn", _WITHDRAWN, "Withdrawn"),
        store=Stop((stored("pending"),), answer=True),
        slack=Stop((POST,)),
    ),
    # --- posted -----------------------------------------------------------------------------------------------------
    Point(
        "the card is on its way to the chat",
        *("the question", "pending", "withdrawn", _WITHDRAWN, "Withdrawn"),
        slack=Stop((POST,)),
    ),
    Point(
        "the card is posted, the chat's answer has not come",
        *("the question", "pending", "withdrawn", _WITHDRAWN, "Withdrawn"),
        slack=Stop((POST,), answer=True),
        cards=2,
    ),
    Point(
        "the card is posted, where it is has not reached the store",
        *("the question", "pending", "withdrawn", _WITHDRAWN, "Withdrawn"),
        store=Stop((REFERENCE,)),
        cards=2,
    ),
    Point(
        "the card is posted and known, nobody has clicked",
        *("the click", "pending", "withdrawn", _WITHDRAWN, "Withdrawn"),
    ),
    # --- clicked ----------------------------------------------------------------------------------------------------
    Point(
        "Approve is clicked, its transaction has not begun",
        *("the click", "pending", "withdrawn", _WITHDRAWN, "Withdrawn"),
        store=Stop((b"BEGIN",)),
    ),
    Point(
        "the approval is recorded, and not stored",
        *("the click", "pending", "withdrawn", f"{_APPROVED}, voided, decided withdrawn", "Withdrawn"),
        store=Stop((stored("approved"),)),
    ),
    Point(
        "the approval is stored, and not committed",
        *("the click", "pending", "withdrawn", f"{_APPROVED}, voided, decided withdrawn", "Withdrawn"),
        store=Stop((stored("approved"), _COMMIT)),
    ),
    # --- decided ----------------------------------------------------------------------------------------------------
    Point(
        "the approval is committed, the store's answer has not come",
        *("the click", "approved", "withdrawn", f"{_APPROVED}, decided withdrawn", "Withdrawn"),
        store=Stop((stored("approved"), _COMMIT), answer=True),
        target=Stop((b"",)),
    ),
    Point(
        "it is approved, what it means is being looked at again",
        *("the click", "approved", "withdrawn", f"{_APPROVED}, decided withdrawn", "Withdrawn"),
        target=Stop((b"",)),
    ),
    Point(
        "the release is recorded, and not committed",
        *("the click", "approved", "withdrawn", f"{_APPROVED}, released, voided, decided withdrawn", "Withdrawn"),
        store=Stop((stored("released"), _COMMIT)),
    ),
    # --- released ---------------------------------------------------------------------------------------------------
    Point(
        "the release is committed, the store's answer has not come",
        *("the click", "released", "unknown", f"{_APPROVED}, released, finished unknown", "Outcome unknown"),
        store=Stop((stored("released"), _COMMIT), answer=True),
    ),
    Point(
        "it is released and has not reached the target",
        *("the click", "released", "unknown", _UNKNOWN, "Outcome unknown"),
        target=Stop((SENT,)),
    ),
    Point(
        "it runs in the target, behind a lock",
        *("the click", "released", "unknown", _UNKNOWN, "Outcome unknown"),
        locked=True,
    ),
    Point(
        "it has run, and its rows are to be counted",
        *("the click", "released", "unknown", _UNKNOWN, "Outcome unknown"),
        target=Stop((SENT,), answer=True),
    ),
    Point(
        "its rows are counted, the COMMIT has not reached the target",
        *("the click", "released", "unknown", _UNKNOWN, "Outcome unknown"),
        target=Stop((SENT, _COMMIT)),
    ),
    Point(
        "it is committed, the target's answer has not come",
        *("the click", "released", "unknown", _UNKNOWN, "Outcome unknown"),
        target=Stop((SENT, _COMMIT), answer=True),
        ran=1,
    ),
    # --- executed ---------------------------------------------------------------------------------------------------
    Point(
        "its end is recorded, and not stored",
        *("the click", "released", "executed", _EXECUTED, "Outcome unknown"),
        store=Stop((stored("executed"),)),
        ran=1,
    ),
    Point(
        "its end is stored, its transaction is open",
        *("the click", "executed", "executed", _EXECUTED, "Outcome unknown"),
        slack=Stop((b"Executed",)),
        begun=True,
    ),
    Point(
        "its end is stored, the card's update is on its way",
        *("the click", "executed", "executed", _EXECUTED, "Executed"),
        slack=Stop((b"Executed",)),
        ran=1,
    ),
    # --- updated ----------------------------------------------------------------------------------------------------
    Point(
        "the card is updated, the chat's answer has not come",
        *("the click", "executed", "executed", _EXECUTED, "Executed"),
        slack=Stop((b"Executed",), answer=True),
        ran=1,
    ),
)


@dataclass(slots=True)
class Street:
    """The site with a relay before each of its servers."""

    site: Site
    store: Between
    target: Between
    slack: Between
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def set(self, point: Point) -> list[Between]:
        """Set the point's stops; returns the relays that have one."""
        pairs = ((self.store, point.store), (self.target, point.target), (self.slack, point.slack))
        for between, stop in pairs:
            if stop is not None:
                between.stop(stop)
        return [between for between, stop in pairs if stop is not None]

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Something whose end nobody will see."""
        self.tasks.append(asyncio.create_task(work))

    def go_on(self) -> None:
        for between in (self.store, self.target, self.slack):
            between.go_on()

    async def close(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for between in (self.store, self.target, self.slack):
            await between.close()

    async def ask(self, sql: str) -> str:
        """What the store holds."""
        return await self.site.postgres.psql(sql, self.site.store_name)

    async def amount(self) -> int:
        return int(await self.site.postgres.psql(f"SELECT amount FROM ledger WHERE id = {ROW}", "served"))

    async def sessions_of(self, login: str, condition: str = "true") -> int:
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{login}' AND {condition}"
        return int(await self.site.postgres.psql(sql, "served"))


@pytest.fixture
async def street(site: Site) -> AsyncIterator[Street]:
    store, target = await Between.before(site.postgres.port), await Between.before(site.postgres.port)
    slack = await Between.before(int(site.workspace.url.rpartition(":")[2]))
    site.environment["HOOP_STORE"] = site.environment["HOOP_STORE"].replace(
        f":{site.postgres.port}/", f":{store.port}/"
    )
    site.environment["SLACK_API_URL"] = f"http://127.0.0.1:{slack.port}/api/"
    policy = site.policies.read_text("utf-8").replace(f"port: {site.postgres.port}", f"port: {target.port}")
    site.policies.write_text(policy, "utf-8")
    await site.postgres.psql(f"UPDATE ledger SET amount = 100 WHERE id = {ROW}", "served")
    made = Street(site, store, target, slack)
    yield made
    await made.close()


async def becomes(asked: Callable[[], Coroutine[Any, Any, object]], wanted: object) -> None:
    """Wait until `asked` answers so. Each question is a process of its own; nothing is notified of the answer."""
    last: object = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STEP):
            while (last := await asked()) != wanted:
                pass
    assert last == wanted


@contextlib.asynccontextmanager
async def row_lock(street: Street, point: Point) -> AsyncIterator[None]:
    """Hold the row that the statement is about, if the point wants it."""
    if not point.locked:
        yield
        return
    async with await psycopg.AsyncConnection.connect(street.site.postgres.dsn("served")) as direct:
        await direct.execute(f"SELECT FROM ledger WHERE id = {ROW} FOR UPDATE")
        yield


async def reach(street: Street, served: Served, point: Point) -> None:
    """Ask, click if the point lies behind the click, and return when the gateway stands at the point."""
    site = street.site
    await (await site.connect(served, "bob")).execute("SELECT 1")
    ann = await site.connect(served, "ann")
    if point.begun:
        await ann.execute("BEGIN")
    stops = street.set(point) if point.at == "the question" else []
    street.begin(ann.execute(UPDATE))
    if point.at == "the click":
        card = await site.card()
        await site.stored_card()
        stops = street.set(point)
        if stops or point.locked:
            street.begin(site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve"))
    async with asyncio.timeout(START):
        for between in stops:
            await between.stopped()
    if point.locked:
        await becomes(lambda: street.sessions_of("served", "wait_event_type = 'Lock'"), 1)
    await becomes(lambda: street.ask("SELECT string_agg(state, ', ') FROM hoop.approval"), point.state)


async def newest_card(street: Street, word: str) -> str:
    """The newest card's text, once it begins with this word."""

    def text() -> str:
        found = [each.text for each in street.site.workspace.messages(CHANNEL)]
        return found[-1] if found and found[-1].startswith(word) else ""

    return await street.site.workspace.wait_for(text, START)


def begins(card: Message, word: str) -> bool:
    return card.text.startswith(word)


async def lost_cards_answer_a_click(street: Street, word: str) -> None:
    """A card whose place is not known still has its buttons: a click on it decides nothing, and draws it anew."""
    for card in street.site.workspace.messages(CHANNEL)[:-1]:
        assert "hoop_approve" in json.dumps(card.blocks)
        assert await street.site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve") == 200
        await street.site.workspace.wait_for(partial(begins, card, word), START)


async def test_after_a_kill_everything_tells_one_story(street: Street, point: Point) -> None:
    site = street.site
    async with site.serving() as first:
        async with row_lock(street, point):
            await reach(street, first, point)
            first.process.kill()
            await first.ended()
        await becomes(lambda: street.sessions_of("served"), 0)
    street.go_on()
    async with site.serving() as second:
        if point.card:
            text = await newest_card(street, point.card)
            assert ("Nothing ran" in text) == (point.end == "withdrawn"), text
            await lost_cards_answer_a_click(street, point.card)
        second.process.terminate()
        assert await second.ended() == 0
    cards = site.workspace.messages(CHANNEL)
    assert [bool(re.search("hoop_(approve|deny)", json.dumps(card.blocks))) for card in cards] == [False] * point.cards
    assert await street.ask("SELECT string_agg(state, ', ') FROM hoop.approval") == point.end
    assert await street.amount() == 100 + point.ran
    told = "SELECT string_agg(kind || coalesce(' ' || outcome, ''), ', ' ORDER BY at, seq) FROM hoop.audit"
    assert await street.ask(f"{told} WHERE request IS NOT NULL AND kind <> 'refused'") == point.audit
    verified = await asyncio.to_thread(run, site.environment, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def table() -> str:
    """POINTS as docs/killed.md shows them."""
    rows = [
        (
            each.name,
            each.state or "nothing",
            each.end or "nothing",
            each.card or "no card",
            "once" if each.ran else "never",
        )
        for each in POINTS
    ]
    head = ("killed when", "store then", "store after the new start", "newest card", "it ran")
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def test_the_page_shows_these_points() -> None:
    page = (ROOT / "docs" / "killed.md").read_text("utf-8")
    assert table() in page, f"docs/killed.md should have:\n{table()}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "point" in metafunc.fixturenames:
        metafunc.parametrize("point", POINTS, ids=[each.name for each in POINTS])
