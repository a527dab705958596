"""Who clicked: members of the tenant by account, address or sign-in name; everybody else is refused, with the reason."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bots.teams.edge import Json
from bots.teams.people import NO_ADDRESS, NO_LOOK_UP, People, Unproven
from gateway.approvals.desk import Desk
from gateway.approvals.request import Person
from gateway.store.memory import MemoryStore
from tests.bots.samples import BOB
from tests.bots.teams.office import Parts
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool
from tests.fakes.teams import TENANT, Channel, Teams, User

ENTRA = f"https://login.microsoftonline.com/{TENANT}/v2.0"


@dataclass
class Door:
    teams: Teams
    store: MemoryStore
    people: People
    clock: Clock
    bob: User
    channel: Channel

    def activity(self, **more: object) -> Json:
        return {**self.teams._activity("message", self.channel, self.bob), **more}

    async def person(self) -> Person:
        return await self.people.person(self.activity())


@pytest_asyncio.fixture
async def door(teams: Teams) -> AsyncIterator[Door]:
    parts = Parts.of(teams)
    clock = Clock()
    store = MemoryStore(clock)
    desk = Desk(store, ListSpool(), clock=clock, link_max_age=3600.0)
    bob = teams.person("Bob")
    yield Door(teams, store, People(parts.transport, desk, TENANT), clock, bob, teams.channel([bob]))
    await parts.close()


async def test_by_address(door: Door) -> None:
    await door.store.saw(BOB, door.clock.now)
    assert await door.person() == BOB


async def test_by_account_where_the_tenant_is_the_issuer(door: Door) -> None:
    """Entra's tokens often have no e-mail; the object id is the same in both, and says more than an address."""
    known = Person(ENTRA, door.bob.aad, "robert@corp.example", None, frozenset({"dba"}))
    await door.store.saw(BOB, door.clock.now)
    await door.store.saw(known, door.clock.now)
    assert await door.person() == known


async def test_by_sign_in_name_where_the_address_is_not_known(door: Door) -> None:
    door.bob.upn, door.bob.email = "bob@example.com", "robert.b@corp.example"
    await door.store.saw(BOB, door.clock.now)
    assert await door.person() == BOB


async def test_whom_nobody_has_seen_has_addresses_and_no_groups(door: Door) -> None:
    door.bob.upn = "bob@corp.example"
    assert await door.person() == Person("", "", "bob@corp.example", "bob@example.com", frozenset())
    await door.store.saw(BOB, door.clock.now - 3601)
    assert (await door.person()).groups == frozenset()


async def test_no_address_is_nobody(door: Door) -> None:
    door.bob.upn = door.bob.email = ""
    with pytest.raises(Unproven, match="no e-mail address"):
        await door.person()
    assert NO_ADDRESS


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"role": "guest"}, "Guests and bots"),
        ({"role": "anonymous"}, "Guests and bots"),
        ({"role": ""}, "Guests and bots"),
        ({"upn": "bob_partner.example#EXT#@corp.example"}, "Guests decide nothing"),
        ({"tenant": "00000000-0000-4000-8000-000000000000"}, "other organisations"),
        ({"tenant": ""}, "other organisations"),
    ],
)
async def test_who_is_no_member_is_refused(door: Door, change: dict[str, str], text: str) -> None:
    await door.store.saw(BOB, door.clock.now)
    for name, value in change.items():
        setattr(door.bob, name, value)
    with pytest.raises(Unproven, match=text):
        await door.person()


@pytest.mark.parametrize(
    "sender",
    [
        None,
        {},
        {"id": "29:nobody", "aadObjectId": "x"},
        {"id": 5, "aadObjectId": "x"},
        {"aadObjectId": "x"},
    ],
)
async def test_an_odd_sender_is_nobody(door: Door, sender: object) -> None:
    await door.store.saw(BOB, door.clock.now)
    with pytest.raises(Unproven, match=NO_LOOK_UP.split(".")[0]):
        await door.people.person(door.activity(**{"from": sender}))


@pytest.mark.parametrize("claimed", ["", "somebody-else"])
async def test_the_roster_has_to_agree_with_the_activity(door: Door, claimed: str) -> None:
    await door.store.saw(BOB, door.clock.now)
    with pytest.raises(Unproven):
        await door.people.person(door.activity(**{"from": {"id": door.bob.id, "aadObjectId": claimed}}))


async def test_each_click_asks_again(door: Door) -> None:
    await door.store.saw(BOB, door.clock.now)
    await door.person()
    door.channel.members.clear()
    with pytest.raises(Unproven):
        await door.person()
    assert door.teams.calls == ["member", "member"]


@pytest.mark.parametrize("status", [403, 429, 500, 502])
async def test_a_look_up_that_fails_is_nobody(door: Door, status: int) -> None:
    await door.store.saw(BOB, door.clock.now)
    door.teams.fail("member", status)
    with pytest.raises(Unproven, match="please try again"):
        await door.person()


async def test_no_token_is_nobody(door: Door) -> None:
    door.teams.microsoft.login.away = True
    with pytest.raises(Unproven, match="please try again"):
        await door.person()


async def test_a_token_that_does_not_come_in_time_is_nobody(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teams shows an error of its own when a click is not answered in time; nothing must be decided behind it."""
    monkeypatch.setattr("bots.teams.people.LOOK_UP", 0.05)
    door.teams.microsoft.login.hang()
    with pytest.raises(Unproven, match="please try again"):
        await door.person()
    door.teams.microsoft.login.go()
