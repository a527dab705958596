"""`/hoop ...` in Slack: the command, its pages, what was typed."""

import json

import pytest

from bots.slack.commanding import as_typed
from gateway.approvals.decisions import Deny
from gateway.approvals.request import State
from tests.bots.samples import BOB, DELETE
from tests.bots.slack.office import Office

ID = "01J9Z3K7Q8"


async def test_a_command_is_answered_in_the_ack(office: Office) -> None:
    await office.hold()
    answer = await office.workspace.command(office.bob, office.channel, "/hoop pending")
    assert answer.body["response_type"] == "ephemeral"
    assert "Pending: 1 request" in office.workspace.ephemerals(office.bob)[-1].text


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("audit rows:&gt;100", "audit rows:>100"),
        ("audit user:<mailto:ann@example.com|ann@example.com>", "audit user:ann@example.com"),
        ("audit who ran \u201cUPDATE customers\u201d", 'audit who ran "UPDATE customers"'),
        ("deny 01K it\u2019s late &amp;lt;", "deny 01K it's late &lt;"),
    ],
)
def test_a_command_is_read_as_it_was_typed(text: str, typed: str) -> None:
    assert as_typed(text) == typed


async def test_a_slow_answer_comes_after_the_ack(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.slack.commanding.COMMAND", 0.0)
    answer = await office.workspace.command(office.bob, office.channel, "/hoop whoami")
    assert not answer.body
    await office.front.settle()
    assert "bob@example.com" in office.workspace.ephemerals(office.bob)[-1].text


async def test_a_store_that_is_away_is_told_to_a_command(office: Office) -> None:
    office.store.away = True
    await office.workspace.command(office.bob, office.channel, "/hoop pending")
    office.store.away = False
    assert "What the card shows counts" in office.workspace.ephemerals(office.bob)[-1].text


async def test_a_share_is_for_all(office: Office) -> None:
    answer = await office.workspace.command(office.bob, office.channel, "/hoop audit last:1h share")
    assert answer.body["response_type"] == "in_channel"


async def test_a_command_decides_as_a_button_does(office: Office) -> None:
    await office.hold()
    await office.workspace.command(office.ann, office.channel, f"/hoop approve {ID}")
    assert "own request" in office.workspace.ephemerals(office.ann)[-1].text
    await office.workspace.command(office.bob, office.channel, f"/hoop deny {ID} not today")
    stored = await office.stored()
    assert (stored.state, stored.reason, stored.decided_via) == (State.DENIED, "not today", "slack")


async def test_pages_are_turned_in_place(office: Office) -> None:
    for number in range(10):
        request = await office.hold(f"01J9Z3K7{number:02d}", statements=(DELETE,))
        await office.desk.decide(request.id, None, BOB, Deny("no thanks"), "slack")
    await office.ship()
    await office.workspace.command(office.bob, office.channel, "/hoop audit last:1h")
    page = office.workspace.ephemerals(office.bob)[-1]
    assert "10 statements, 1 to 8" in page.text
    await office.workspace.click(office.bob, office.channel, page.ts, "hoop_page_next")
    await office.front.settle()
    assert "9 to 10" in office.workspace.ephemerals(office.bob)[-1].text
    assert len(office.workspace.ephemerals(office.bob)) == 1


async def test_an_audit_export_comes_as_a_direct_message(office: Office) -> None:
    office.spool.record(
        "finished", subject=BOB.subject, user=BOB.user, outcome="executed", tag="SELECT", sql="SELECT 1"
    )
    office.spool.flush()
    await office.ship()
    answered = await office.workspace.command(office.bob, office.channel, "/hoop audit")
    assert answered.status == 200
    [answer] = office.workspace.ephemerals(office.bob)
    assert await office.workspace.click(office.bob, office.channel, answer.ts, "hoop_page_export") == 200
    await office.front.settle()
    assert office.workspace.ephemerals(office.bob)[-1].text == "The file is in our direct messages."
    *_, message = office.workspace.direct_messages(office.bob)
    [file] = message.files
    assert b"SELECT 1" in (file.content or b"")
    assert "SELECT 1" not in json.dumps([each.blocks for each in office.workspace.messages(office.channel)])
