"""Members: who clicks is asked of Slack each time, and who is no proven member decides nothing."""

import time
from dataclasses import replace

import pytest

from bots.cards import Action
from bots.seals import seal
from bots.slack.members import NO_LOOK_UP
from gateway.approvals.request import State
from gateway.identity.accounts import Account
from tests.bots.samples import CAROL, EVE
from tests.bots.slack.office import BUTTON_KEY, Office

APPROVE = Action.APPROVE.value


@pytest.mark.parametrize(
    ("flag", "value", "text"),
    [
        ("deleted", True, "deactivated"),
        ("is_bot", True, "Bots decide nothing"),
        ("is_restricted", True, "Guests decide nothing"),
        ("is_ultra_restricted", True, "Guests decide nothing"),
        ("is_stranger", True, "other workspaces"),
        ("team_id", "T0OTHER", "other workspaces"),
        ("is_email_confirmed", False, "not confirmed"),
        ("email", "", "no e-mail address"),
    ],
)
async def test_who_is_no_proven_member_decides_nothing(office: Office, flag: str, value: object, text: str) -> None:
    await office.hold()
    setattr(office.bob, flag, value)
    assert text in await office.click(office.bob, APPROVE)
    assert (await office.stored()).state is State.PENDING


async def test_who_clicks_is_asked_each_time(office: Office) -> None:
    await office.hold(approvals_needed=2)
    await office.click(office.bob, APPROVE)
    await office.hold("01J9Z3K7Q9")
    office.bob.deleted = True
    assert "deactivated" in await office.click(office.bob, APPROVE)


async def test_without_a_look_up_nothing_is_decided(office: Office) -> None:
    await office.hold()
    office.workspace.fail("users.info", error="internal_error")
    assert await office.click(office.bob, APPROVE) == NO_LOOK_UP
    office.workspace.fail("users.info", status=502)
    assert await office.click(office.bob, APPROVE) == NO_LOOK_UP
    assert (await office.stored()).state is State.PENDING


async def test_a_linked_account_is_its_person_whatever_its_address(office: Office) -> None:
    """Eve's account is linked with Carol: it approves as Carol, once, and not what Eve's own address asked for."""
    team = office.workspace.state.team
    account = Account("slack", f"/{team.id}", office.eve.id, "")
    await office.store.link(account, CAROL, time.time())
    await office.hold(approvals_needed=2)
    await office.click(office.eve, APPROVE)
    [given] = (await office.stored()).approvals
    assert given.by == replace(CAROL, also=(EVE.email or "",))
    assert "was counted already" in await office.click(office.carol, APPROVE)
    await office.hold("01J9Z3K7Q9", requester=EVE)
    assert "This is your own request" in await office.click(office.eve, APPROVE)
    await office.store.unlink(account)
    assert "You are not a reviewer" in await office.click(office.eve, APPROVE, seal(BUTTON_KEY, await office.stored()))


async def test_a_reviewer_that_the_gateway_has_not_seen_is_told_how(office: Office) -> None:
    await office.hold()
    dan = office.workspace.add_person("Dan", "dan@example.com", groups=["dba"])
    office.channel.members.append(dan.id)
    said = await office.click(dan, APPROVE)
    assert "You are not a reviewer" in said
    assert "hoop token" in said


async def test_a_reviewer_by_e_mail_needs_no_sign_in(office: Office) -> None:
    await office.hold(reviewer_users=frozenset({"dan@example.com"}))
    dan = office.workspace.add_person("Dan", "dan@example.com")
    office.channel.members.append(dan.id)
    await office.click(dan, APPROVE)
    assert (await office.stored()).state is State.APPROVED


async def test_the_first_click_makes_no_auth_test(office: Office) -> None:
    await office.hold()
    office.workspace.fail("auth.test", error="internal_error", times=99)
    await office.click(office.bob, APPROVE)
    assert (await office.stored()).state is State.APPROVED


async def test_a_bot_gets_no_records(office: Office) -> None:
    office.bob.is_bot = True
    await office.workspace.command(office.bob, office.channel, "/hoop audit")
    assert "Bots decide nothing" in office.workspace.ephemerals(office.bob)[-1].text
