"""`/hoop lift ID`: who may, what it says, what is written down."""

import time
from collections.abc import AsyncIterator

import pytest

from bots.answers import Viewer
from bots.lifting import Lifting
from gateway.approvals.cooldown import CoolDown
from gateway.approvals.decisions import Deny
from gateway.approvals.desk import Desk
from gateway.errors import NotPermitted
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, EVE
from tests.fakes.stores import ListSpool, fresh

TERMS = CoolDown()


@pytest.fixture
def spool() -> ListSpool:
    return ListSpool()


@pytest.fixture
async def desk(spool: ListSpool) -> AsyncIterator[Desk]:
    desk = Desk(MemoryStore(time.time), spool, clock=time.time, link_max_age=3600.0)
    yield desk
    await desk.close()


async def test_a_reviewer_lifts_it_and_it_is_asked_about_again(desk: Desk, spool: ListSpool) -> None:
    verb = Lifting(desk, lambda: 0.0).verb()
    names = []
    for _ in range(2):
        request = fresh(alike="same")
        names.append(request.id)
        assert await desk.open(request, None, TERMS) is None
        await desk.decide(request.id, None, BOB, Deny("use the job"), "slack")
    with pytest.raises(NotPermitted, match="denied by the gateway"):
        await desk.open(fresh(alike="same"), None, TERMS)
    for person, told in (
        (ANN, "This is your own request: somebody else has to decide it."),
        (EVE, "You are not a reviewer of this request, so nothing was decided. Reviewers: dba."),
    ):
        answer = await verb.answer(names[1], Viewer(person, "slack"))
        assert (answer.title, answer.lines) == ("Nothing was lifted", (told,))
    answer = await verb.answer(names[1], Viewer(BOB, "slack"))
    assert answer.title == "Lifted"
    assert answer.lines[0].endswith("ann@example.com may ask this again. Each time is asked about anew.")
    entry = spool.written[-1].body
    assert (entry["kind"], entry["decided_by"], entry["request"]) == ("lifted", "bob@example.com", names[1])
    assert await desk.open(fresh(alike="same"), None, TERMS) is None
    again = await verb.answer(names[1], Viewer(BOB, "slack"))
    assert again.lines == ("It was not denied, or it is lifted already: nothing holds it up.",)


async def test_what_is_asked_for_is_told(desk: Desk) -> None:
    verb = Lifting(desk, lambda: 0.0).verb()
    assert (await verb.answer("", Viewer(BOB, "slack"))).title == "Which request?"
    unknown = await verb.answer("nothing", Viewer(BOB, "slack"))
    assert unknown.lines == ("The gateway does not know this request. Nothing was decided by your click.",)
