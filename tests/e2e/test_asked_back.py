"""People talk about what waits, over the wire: changes are requested, a question is asked, who asked takes it back.

What really ran is asked of the target.
"""

import asyncio

import psycopg
import pytest

from gateway.demo.run import CHANNEL
from gateway.wire.frontend import query
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire


async def test_an_agent_corrects_itself_by_the_error(stack: Stack) -> None:
    async with await psycopg.AsyncConnection.connect(
        host=stack.host, port=stack.port, user="hoop", password=stack.token("cursor"), dbname="shop", autocommit=True
    ) as agent:
        asking = asyncio.create_task(agent.execute("DELETE FROM ledger WHERE id IN (1801, 1802)"))
        card = await stack.card()
        await stack.choose("Bob", card, "hoop_changes", "Only 1801:\n1802 is under audit \x1b[2J")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            await asking
        told = refused.value.diag
        assert told.message_primary == "denied by bob@example.com, who requests changes"
        assert (told.message_detail or "").startswith(
            "bob@example.com asks: Only 1801: 1802 is under audit [2J (request "
        )
        assert (told.message_hint or "").endswith(" then send it again: Only 1801: 1802 is under audit [2J")
        assert "Only 1801: 1802 is under audit" in await card.says("Changes requested")
        asking = asyncio.create_task(agent.execute("DELETE FROM ledger WHERE id = 1801"))
        await stack.approve("Bob", await stack.card())
        assert (await asking).rowcount == 1
    assert stack.ask("SELECT id FROM ledger WHERE id IN (1801, 1802)") == [(1802,)]
    (entry,) = stack.entries(kind="decided", request=card.request_id)
    assert (entry["outcome"], entry["decided_by"]) == ("denied", "bob@example.com")
    assert entry["reason"].startswith("changes requested: Only 1801")


async def test_a_question_reaches_the_client_that_waits(stack: Stack) -> None:
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="raw")
    wire.send(query("DELETE FROM ledger WHERE id = 1803"))
    card = await stack.card()
    await stack.choose("Bob", card, "hoop_ask", "Is 4111 1111 1111 1111 theirs?")
    await stack.until(lambda: "Is **** **** **** 1111 theirs?" in card.shown)
    await stack.approve("Bob", card)
    assert await wire.lines() == ["C[DELETE 1]", "ZI"]
    assert wire.notices[-1] == f"bob@example.com asks about request {card.request_id}: Is **** **** **** 1111 theirs?"
    (entry,) = stack.entries(kind="asked", request=card.request_id)
    assert (entry["reason"], entry["decided_by"], entry["via"]) == (
        "Is **** **** **** 1111 theirs?",
        "bob@example.com",
        "slack",
    )


async def test_who_asked_takes_it_back_while_the_client_waits(stack: Stack) -> None:
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="raw")
    wire.send(query("DELETE FROM ledger WHERE id = 1804"))
    card = await stack.card()
    await stack.choose("Bob", card, "hoop_withdraw")
    await stack.choose("Ann", card, "hoop_withdraw")
    assert await wire.lines() == ["E57014", "ZI"]
    assert wire.errors[-1]["M"] == f"approval request {card.request_id} withdrawn: by its requester"
    await card.says("Withdrawn")
    assert await wire.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]
    assert stack.ask("SELECT count(*) FROM ledger WHERE id = 1804") == [(1,)]
    (entry,) = stack.entries(kind="decided", request=card.request_id)
    assert (entry["outcome"], entry["decided_by"]) == ("withdrawn", "ann@example.com")


@pytest.mark.parametrize("way", ["button", "command"])
async def test_a_kept_approval_is_taken_back_though_its_client_is_gone(stack: Stack, way: str) -> None:
    row = {"button": 91, "command": 92}[way]
    text = f"UPDATE kept SET amount = amount + 1 WHERE id = {row}"
    gone = await Wire.connect(stack.port, stack.token("ann"), application_name="raw")
    gone.send(query(text))
    card = await stack.card()
    await gone.close()
    await stack.recorded(kind="left", request=card.request_id)
    await stack.approve("Bob", card)
    await card.says("Approved")
    workspace = stack.workspace
    if way == "button":
        await stack.on(workspace.click("Ann", CHANNEL, card.ts, "hoop_withdraw"))
    else:
        await stack.on(workspace.command("Ann", CHANNEL, f"/hoop withdraw {card.request_id}"))
    await card.says("Withdrawn")
    again = await Wire.connect(stack.port, stack.token("ann"), application_name="raw")
    again.send(query(text))
    anew = await stack.card()
    assert anew.request_id != card.request_id, "the approval is worth nothing any more"
    await stack.deny("Bob", anew, "not this one")
    assert await again.lines() == ["E42501", "ZI"]
    assert stack.ask("SELECT amount FROM kept WHERE id = %s", row) == [(100,)]
