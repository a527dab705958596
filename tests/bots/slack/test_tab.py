"""The home tab in Slack: what it shows to whom, and what its buttons do."""

import json
from typing import Any

import pytest

from bots.seals import seal
from bots.workspace.limits import elements_of
from bots.workspace.state import Person
from gateway.approvals.decisions import Approve
from gateway.approvals.grants import Scope, Terms
from gateway.approvals.request import State
from tests.bots.samples import ANN, BOB, EVE
from tests.bots.slack.office import BUTTON_KEY, Office


async def test_the_home_tab_shows_each_what_concerns_them(office: Office) -> None:
    request = await office.hold()
    for who, buttons in ((office.bob, 1), (office.ann, 1), (office.eve, 0)):
        await _home(office, who)
        assert len(_review_buttons(office, who)) == buttons
        assert (request.id in json.dumps(_home_blocks(office, who))) is (buttons > 0)
        assert "last_seen" not in json.dumps(_home_blocks(office, who)), "no SQL"


async def test_a_request_is_decided_from_the_home_tab(office: Office) -> None:
    request = await office.hold()
    await _home(office, office.bob)
    await _look(office, office.bob)
    view = office.workspace.open_views(office.bob)[-1]
    assert "last_seen" in json.dumps(view.blocks)
    await office.workspace.click_in_view(office.bob, view.id, "hoop_approve")
    await office.front.settle()
    assert (await office.stored(request.id)).state is State.APPROVED
    [told] = office.workspace.open_views(office.bob)[-1].blocks
    assert "You approved it" in told["text"]["text"]
    await _home(office, office.bob)
    assert _review_buttons(office, office.bob) == []


async def test_a_denial_from_the_home_tab_has_its_reason(office: Office) -> None:
    request = await office.hold()
    await _home(office, office.bob)
    await _look(office, office.bob)
    view = office.workspace.open_views(office.bob)[-1]
    await office.workspace.click_in_view(office.bob, view.id, "hoop_deny")
    asked = office.workspace.open_views(office.bob)[-1]
    await office.workspace.submit(asked.id, office.bob, {"reason": "use the job"})
    await office.front.settle()
    assert (await office.stored(request.id)).reason == "use the job"


async def test_a_button_of_another_persons_home_tab_shows_nothing(office: Office) -> None:
    request = await office.hold()
    await office.hold("EVES", requester=EVE)
    await _home(office, office.eve)
    view = office.workspace.home(office.eve)
    assert view is not None
    for forged in (seal(BUTTON_KEY, request), f"{request.id}.1.{'0' * 32}", "nothing"):
        await office.workspace.click_in_view(office.eve, view.id, "hoop_review", forged)
        await office.front.settle()
        [said] = office.workspace.open_views(office.eve)[-1].blocks
        assert said["text"]["text"] == "There is no such request that you may see."


async def test_who_is_no_member_any_more_sees_an_empty_tab(office: Office) -> None:
    await office.hold()
    await _home(office, office.bob)
    office.bob.is_restricted = True
    await _home(office, office.bob)
    [said] = _home_blocks(office, office.bob)
    assert said["text"]["text"].startswith("Guests decide nothing here.")


async def test_a_home_tab_without_its_store_says_so(office: Office) -> None:
    office.store.away = True
    await _home(office, office.bob)
    [said] = _home_blocks(office, office.bob)
    assert "Open this tab again" in said["text"]["text"]


async def test_a_grant_is_ended_from_the_home_tab(office: Office) -> None:
    request = await office.hold(grantable=Terms("shape", 60, 5, 100))
    await office.desk.decide(request.id, None, BOB, Approve(scope=Scope(uses=5)), "slack")
    await _home(office, office.eve)
    eves = office.workspace.home(office.eve)
    assert eves is not None
    with pytest.raises(LookupError):
        await office.workspace.click_in_view(office.eve, eves.id, "hoop_revoke_grant", request.id)
    await _home(office, office.ann)
    view = office.workspace.home(office.ann)
    assert view is not None
    assert await office.workspace.click_in_view(office.ann, view.id, "hoop_revoke_grant") == 200
    await office.front.settle()
    stored = await office.stored(request.id)
    assert stored.grant is not None
    assert stored.grant.revoked_by == ANN.user
    assert office.workspace.direct_messages(office.ann)[-1].text.startswith("Done: DELETE on public.customers")
    assert "hoop_revoke_grant" not in json.dumps(_home_blocks(office, office.ann))


async def _home(office: Office, who: Person) -> None:
    assert (await office.workspace.open_home(who)).status == 200
    await office.front.settle()


async def _look(office: Office, who: Person) -> None:
    view = office.workspace.home(who)
    assert view is not None
    assert await office.workspace.click_in_view(who, view.id, "hoop_review") == 200
    await office.front.settle()


def _home_blocks(office: Office, who: Person) -> list[dict[str, Any]]:
    view = office.workspace.home(who)
    assert view is not None
    return view.blocks


def _review_buttons(office: Office, who: Person) -> list[dict[str, Any]]:
    found = [each for block in _home_blocks(office, who) for each in elements_of(block)]
    return [each for each in found if each["action_id"] == "hoop_review"]
