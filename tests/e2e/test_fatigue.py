"""Reviewers' time, with `hoop serve` as its own process: repeated denials, a second channel, two approvals, the home tab."""

import asyncio
import re

import psycopg
import pytest

from bots.workspace.state import Message
from tests.e2e.site import CHANNEL, START, Site
from tests.e2e.stack import STEP

SECOND = "C0SECOND00"


async def nth_card(site: Site, number: int, channel: str = CHANNEL) -> Message:
    """The `number`-th card of a channel, from 1."""

    def cards() -> list[Message]:
        found = [each for each in site.workspace.messages(channel) if not each.thread_ts]
        return found if len(found) >= number else []

    return (await site.workspace.wait_for(cards, START))[number - 1]


async def said_in(site: Site, channel: str, start: str) -> None:
    """Wait until a message of this channel begins so."""
    await site.workspace.wait_for(
        lambda: [m for m in site.workspace.messages(channel) if m.text.startswith(start)], START
    )


async def denied(site: Site, ann: psycopg.AsyncConnection[object], row: int, number: int) -> str:
    """Ann asks to delete a row, Bob denies it; returns the request's id."""
    waiting = asyncio.create_task(ann.execute(f"DELETE FROM ledger WHERE id = {row}".encode()))
    card = await nth_card(site, number)
    await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_deny")
    view = (await site.workspace.wait_for(lambda: site.workspace.open_views("Bob"), STEP))[-1]
    await site.workspace.submit(view.id, "Bob", {"reason": "use the archive job"})
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="use the archive job"):
        await waiting
    return str(card.metadata["event_payload"]["id"])


async def test_after_two_denials_the_gateway_denies_by_itself_until_a_reviewer_lifts_it(site: Site) -> None:
    async with site.serving() as served:
        await (await site.connect(served, "bob")).execute("SELECT 1")
        ann = await site.connect(served, "ann")
        await denied(site, ann, 41, 1)
        newest = await denied(site, ann, 42, 2)
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as told:
            await ann.execute("DELETE FROM ledger WHERE id = 43")
        assert re.match(r"denied by the gateway until \S+ UTC: bob@example\.com denied this 2 times", str(told.value))
        assert "use the archive job" in str(told.value.diag.message_hint)
        assert f"/hoop lift {newest}" in str(told.value.diag.message_hint)
        other = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id > 99"))
        card = await nth_card(site, 3)
        await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
        assert (await other).rowcount == 1
        refused = await site.workspace.command("Ann", CHANNEL, f"/hoop lift {newest}")
        assert "Nothing was lifted" in refused.body["text"]
        lifted = await site.workspace.command("Bob", CHANNEL, f"/hoop lift {newest}")
        assert lifted.body["text"].startswith("Lifted")
        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 43"))
        card = await nth_card(site, 4)
        await site.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
        async with asyncio.timeout(STEP):
            assert (await waiting).rowcount == 1
        assert len(site.workspace.messages(CHANNEL)) == 4
    assert await site.ledger(42)


async def test_a_request_goes_on_to_a_second_channel_and_two_approve_it(site: Site) -> None:
    workspace = site.workspace
    for name in ("Dana", "Eve"):
        workspace.add_person(name, f"{name.lower()}@example.com", groups=["dbas"])
        workspace.state.channel(CHANNEL).members.append(workspace.state.person(name).id)
    workspace.add_channel("second", ["Bob", "Dana", "Eve"], channel_id=SECOND)
    [group] = workspace.state.groups
    text = site.policies.read_text("utf-8").replace(
        f'channels: ["slack:{CHANNEL}"]',
        f'channels: ["slack:{CHANNEL}"], approvals: 2, mention: slack:{group}, escalate: {{after: 1s, channels: ["slack:{SECOND}"]}}',
    )
    site.policies.write_text(text, "utf-8")
    async with site.serving() as served:
        for name in ("bob", "dana"):
            await (await site.connect(served, name)).execute("SELECT 1")
        ann = await site.connect(served, "ann")
        notices: list[str] = []
        ann.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
        waiting = asyncio.create_task(ann.execute("DELETE FROM ledger WHERE id = 51"))
        first, second = await nth_card(site, 1), await nth_card(site, 1, SECOND)
        assert {"type": "usergroup", "usergroup_id": group} in first.blocks[1]["elements"][0]["elements"]
        said = await workspace.wait_for(lambda: [each for each in workspace.messages(CHANNEL) if each.broadcast], START)
        assert "Escalated: nobody has decided yet." in said[0].text
        assert said[0].thread_ts == first.ts
        await workspace.click("Eve", SECOND, second.ts, "hoop_approve")
        await workspace.wait_for(lambda: [e for e in workspace.ephemerals("Eve") if "not a reviewer" in e.text], STEP)
        await workspace.click("Bob", SECOND, second.ts, "hoop_approve")
        for channel in (CHANNEL, SECOND):
            await said_in(site, channel, "1 of 2 approved by bob")
        await workspace.open_home("Dana")
        home = await workspace.wait_for(lambda: workspace.home("Dana"), STEP)
        assert home is not None
        await workspace.click_in_view("Dana", home.id, "hoop_review")
        view = await workspace.wait_for(
            lambda: next((v for v in workspace.open_views("Dana") if "ledger" in str(v.blocks)), None), STEP
        )
        assert view is not None
        await workspace.click_in_view("Dana", view.id, "hoop_approve")
        async with asyncio.timeout(STEP):
            assert (await waiting).rowcount == 1
        for channel in (CHANNEL, SECOND):
            await said_in(site, channel, "Executed")
    assert any(each.endswith("1 of 2 approved by bob@example.com, needs one more") for each in notices), notices
    assert not await site.ledger(51)
