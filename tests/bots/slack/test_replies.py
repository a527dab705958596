"""The way out: what a person is told where something failed."""

from bots.cards import Action
from tests.bots.slack.office import Office

APPROVE, DENY = Action.APPROVE.value, Action.DENY.value


async def test_a_modal_that_slack_does_not_open_is_told(office: Office) -> None:
    await office.hold()
    office.workspace.fail("views.open", error="expired_trigger_id")
    assert "please click Deny again" in await office.click(office.bob, DENY)


async def test_a_store_that_is_away_is_told(office: Office) -> None:
    await office.hold()
    office.store.away = True
    said = await office.click(office.bob, APPROVE)
    office.store.away = False
    assert "What the card shows counts" in said
