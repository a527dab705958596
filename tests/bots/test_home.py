"""What concerns one person: which requests they are shown, and that nobody is shown another's."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from bots.answers import Viewer
from bots.home import SHOWN, Home, Item, Part
from bots.texts import in_utc
from gateway.approvals.decisions import Approve, Deny
from gateway.approvals.desk import Desk
from gateway.approvals.grants import Scope, Terms
from gateway.approvals.request import Person
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, CAROL, EVE, NOW, PLAIN
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool

TITLE = "DELETE on public.customers in production (shop)"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW + 60)


@pytest.fixture
def spool() -> ListSpool:
    return ListSpool()


@pytest.fixture
async def desk(clock: Clock, spool: ListSpool) -> AsyncIterator[Desk]:
    desk = Desk(MemoryStore(clock), spool, clock=clock, link_max_age=3600.0)
    yield desk
    await desk.close()


@pytest.fixture
def home(desk: Desk, spool: ListSpool, clock: Clock) -> Home:
    return Home(desk, record=spool.record, clock=clock)


async def seen(home: Home, who: Person) -> dict[str, list[str]]:
    """Heading -> texts, the note last."""
    parts = await home.look(Viewer(who, "slack"))
    return {
        part.title: [in_utc(f"{item.title}: {item.text}") for item in part.items] + ([part.note] if part.note else [])
        for part in parts
    }


async def test_each_sees_what_concerns_them(home: Home, desk: Desk, spool: ListSpool) -> None:
    await desk.open(replace(PLAIN, approvals_needed=2))
    await desk.open(replace(PLAIN, id="BOBS", requester=BOB, opened_at=NOW + 1))
    await desk.open(replace(PLAIN, id="OVER", opened_at=NOW - 60))
    await desk.decide("OVER", None, BOB, Deny("use the job"), "slack")
    await desk.decide(PLAIN.id, None, CAROL, Approve(), "slack")
    assert await seen(home, ANN) == {
        "Waiting for your decision": ["Nothing."],
        "Your requests that wait for a decision": [
            f"{TITLE}: Asked of dba. Expires 10:30:00 UTC. 1 of 2 approvals. Request {PLAIN.id}"
        ],
        "What you may run again without asking": ["None."],
        "Your earlier requests": [
            f"{TITLE}: 25 Nov 10:19 UTC: Denied by bob@example.com at 10:21:00 UTC: use the job. Nothing ran. Request OVER"
        ],
    }
    assert await seen(home, BOB) == {
        "Waiting for your decision": [
            f"{TITLE}: ann@example.com asks. Expires 10:30:00 UTC. 1 of 2 approvals. Request {PLAIN.id}"
        ],
        "Your requests that wait for a decision": [f"{TITLE}: Asked of dba. Expires 10:30:00 UTC. Request BOBS"],
        "What you may run again without asking": ["None."],
        "Your earlier requests": ["None yet."],
    }
    waiting = (await seen(home, CAROL))["Waiting for your decision"]
    assert waiting == [
        f"{TITLE}: bob@example.com asks. Expires 10:30:00 UTC. Request BOBS",
        f"{TITLE}: ann@example.com asks. Expires 10:30:00 UTC. 1 of 2 approvals. Request {PLAIN.id} You approved it.",
    ]
    looked = [entry.body for entry in spool.queued if entry.kind == "audit_read"]
    assert [(each["user"], each["query"], each["rows"], each["via"]) for each in looked] == [
        ("ann@example.com", "home", 2, "slack"),
        ("bob@example.com", "home", 2, "slack"),
        ("carol@example.com", "home", 2, "slack"),
    ]


async def test_nobody_sees_what_is_none_of_their_business(home: Home, desk: Desk) -> None:
    await desk.open(PLAIN)
    await desk.open(replace(PLAIN, id="ENDED"))
    await desk.decide("ENDED", None, BOB, Deny("use the job"), "slack")
    namesake = replace(EVE, subject="sub-ann", issuer="https://elsewhere.example")
    for who in (EVE, namesake):
        parts = await home.look(Viewer(who, "slack"))
        assert [part.items for part in parts] == [(), (), (), ()]


async def test_who_is_known_by_address_only_is_told_why_there_is_nothing(home: Home, desk: Desk) -> None:
    await desk.open(PLAIN)
    unknown = Person("", "", "bob@example.com", "bob@example.com", frozenset())
    told = await seen(home, unknown)
    assert told["Waiting for your decision"][0].startswith("The gateway knows no groups of yours")
    assert told["Your earlier requests"] == ["None yet."]


async def test_what_is_over_does_not_wait_any_more(home: Home, desk: Desk, clock: Clock) -> None:
    await desk.open(PLAIN)
    clock.now = PLAIN.expires_at
    assert (await seen(home, BOB))["Waiting for your decision"] == ["Nothing."]


async def test_what_is_left_out_is_counted(home: Home, desk: Desk) -> None:
    for number in range(SHOWN + 2):
        await desk.open(replace(PLAIN, id=f"R{number}"))
    waiting = (await seen(home, BOB))["Waiting for your decision"]
    assert len(waiting) == SHOWN + 1
    assert waiting[-1] == "2 older requests not shown here."


async def test_there_is_a_place_for_more(desk: Desk, spool: ListSpool, clock: Clock) -> None:
    async def more(viewer: Viewer) -> Sequence[Part]:
        return [Part("More", (Item(viewer.person.user, "until noon"),))]

    home = Home(desk, record=spool.record, clock=clock, further=[more])
    told = await seen(home, ANN)
    assert list(told) == [
        "Waiting for your decision",
        "Your requests that wait for a decision",
        "What you may run again without asking",
        "More",
        "Your earlier requests",
    ]
    assert told["More"] == ["ann@example.com: until noon"]


async def test_a_grant_is_shown_to_who_has_it_alone(home: Home, desk: Desk) -> None:
    await desk.open(replace(PLAIN, grantable=Terms("shape", 60, 5, 100)))
    await desk.decide(PLAIN.id, None, BOB, Approve(scope=Scope(uses=5)), "slack")
    await desk.open(replace(PLAIN, id="USE", grantable=Terms("shape", 60, 5, 100)))
    assert (await seen(home, ANN))["What you may run again without asking"] == [
        (f"{TITLE}: 4 more times, until 11:21:00 UTC, up to 100 rows each time. Used 1 time so far. Request {PLAIN.id}")
    ]
    for who in (BOB, EVE):
        assert (await seen(home, who))["What you may run again without asking"] == ["None."]
