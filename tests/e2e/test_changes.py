"""What changes while a statement waits: its client's token, the policy. What the pages promise of both.

At every stage of a hold: test_stages.py. Each row is changed by `amount + 1`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.demo.run import CHANNEL
from gateway.wire.frontend import query
from tests.e2e.office import Office, open_office
from tests.e2e.stack import Card, Stack
from tests.e2e.wire import Wire

UPDATE = "UPDATE ledger SET amount = amount + 1 WHERE id = {}"
#: Enough to log in and be held on a busy machine; the rest of it is waited for.
SHORT = 4


def amount(stack: Stack, row: int) -> int:
    ((found,),) = stack.ask("SELECT amount FROM ledger WHERE id = %s", row)
    return int(found)


async def approved_too_late(stack: Stack, card: Card) -> str:
    """What Bob hears who approves by command; the card has no button any more."""
    assert "hoop_approve" not in card.shown
    await stack.on(stack.workspace.command("Bob", CHANNEL, f"/hoop approve {card.request_id}"))
    told = stack.workspace.ephemerals("Bob")[-1]
    return json.dumps([told.text, told.blocks])


# --- the token --------------------------------------------------------------------------------------------------------


async def test_an_approval_after_the_token_expired_runs_nothing(stack: Stack) -> None:
    """The card, the clicker and the client are told why; so is the one who had the dialog open."""
    row = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann", lifetime=SHORT))
    wire.send(query(UPDATE.format(row)))
    card = await stack.card()
    before = {each.id for each in stack.workspace.open_views("Dana")}
    await stack.on(stack.workspace.click("Dana", CHANNEL, card.ts, "hoop_deny"))
    view = await stack.until(lambda: [each for each in stack.workspace.open_views("Dana") if each.id not in before])
    text = await card.says("Withdrawn")
    assert "Token expired while the statement waited" in text
    assert text.endswith("Nothing ran.")
    assert "token expired" in (await approved_too_late(stack, card)).lower()
    answer = await stack.on(stack.workspace.submit(view[0].id, "Dana", {"reason": "too late at night"}))
    assert "token expired" in json.dumps(answer.errors).lower()
    assert await wire.lines() == ["E57014", "ZI"]
    assert "token expired" in wire.errors[0]["M"]
    assert amount(stack, row) == 100
    [decided] = stack.entries(request=card.request_id, kind="decided")
    assert (decided["outcome"], decided["sqlstate"]) == ("withdrawn", "57014")
    assert stack.entries(request=card.request_id, kind="released") == []
    assert await wire.ask(query("SELECT 1")) == ["E28000", "closed"]
    assert "hoop token" in wire.errors[1]["H"]
    await wire.close()


async def test_an_idle_session_whose_token_has_expired_ends_at_its_next_statement(stack: Stack) -> None:
    wire = await Wire.connect(stack.port, stack.token("ann", lifetime=SHORT))
    await stack.moment(expiry(stack))
    assert await wire.ask(query("SELECT 1")) == ["E28000", "closed"]
    assert wire.errors[0]["S"] == "FATAL"
    await wire.close()


async def test_a_transaction_outlives_its_token_and_gets_no_hold_released(stack: Stack) -> None:
    row = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann", lifetime=SHORT))
    assert await wire.ask(query("BEGIN")) == ["C[BEGIN]", "ZT"]
    await stack.moment(expiry(stack))
    assert await wire.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZT"]
    wire.send(query(UPDATE.format(row)))
    card = await stack.card()
    await stack.approve("Bob", card)
    assert "Token expired" in await card.says("Withdrawn")
    assert await wire.lines() == ["E57014", "ZE"]
    assert await wire.ask(query("ROLLBACK")) == ["C[ROLLBACK]", "ZI"]
    assert await wire.ask(query("SELECT 1")) == ["E28000", "closed"]
    assert amount(stack, row) == 100
    await wire.close()


def expiry(stack: Stack) -> float:
    """When the newest token has expired, by the gateway's clock."""
    return stack.demo.gateway.desk._clock() + SHORT


# --- the policy -------------------------------------------------------------------------------------------------------


DENIAL = ("rules:\n", "rules:\n  - {name: frozen, effect: deny, statements: [UPDATE], message: the books are closed}\n")
OTHERS = ("groups: [dba], approvals", "groups: [auditors], approvals")


@pytest.fixture
async def office(stack: Stack, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(stack, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("signalled", [True, False], ids=["SIGHUP", "the file alone"])
async def test_a_policy_that_denies_what_waits_supersedes_it(stack: Stack, office: Office, signalled: bool) -> None:
    row = stack.ids()
    office.wire.send(query(UPDATE.format(row)))
    card = await stack.card()
    office.write(DENIAL)
    if signalled:
        assert await office.hup()
    text = await card.says("Superseded")
    assert "rule frozen now denies it: the books are closed" in text
    assert text.endswith("Nothing ran.")
    assert "the books are closed" in await approved_too_late(stack, card)
    assert await office.wire.lines() == ["E42501", "ZI"]
    assert "the books are closed" in office.wire.errors[0]["M"]
    assert amount(stack, row) == 100
    [decided] = stack.entries(request=card.request_id, kind="decided")
    assert (decided["outcome"], decided["sqlstate"]) == ("superseded", "42501")
    assert await office.wire.ask(query(UPDATE.format(row))) == ["E42501", "ZI"], "and from now on it is denied at once"


async def test_a_pending_request_keeps_its_reviewers(stack: Stack, office: Office) -> None:
    """The rule it was held by stands; what is held from now on asks the new ones."""
    row = stack.ids()
    office.wire.send(query(UPDATE.format(row)))
    card = await stack.card()
    office.write(OTHERS)
    assert await office.hup()
    await stack.approve("Bob", card)
    assert await office.wire.lines() == ["C[UPDATE 1]", "ZI"]
    await card.says("Executed")
    office.wire.send(query(UPDATE.format(row)))
    second = await stack.card()
    told = len(stack.workspace.ephemerals("Bob"))
    await stack.approve("Bob", second)
    await stack.until(lambda: len(stack.workspace.ephemerals("Bob")) > told)
    assert "not a reviewer" in stack.workspace.ephemerals("Bob")[-1].text
    assert (await stack.request(second.request_id)).state.value == "pending"
    await office.wire.close()
    await second.says("Withdrawn")
    assert amount(stack, row) == 101


async def test_a_pending_request_outlives_a_policy_that_would_let_it_go(stack: Stack, office: Office) -> None:
    """What people were asked stays theirs to decide."""
    row = stack.ids()
    office.wire.send(query(UPDATE.format(row)))
    card = await stack.card()
    office.write(("effect: hold", "effect: allow"))
    path = office.gateway.settings.policies
    terms = re.compile(r"reviewers: dba, timeout: \w+(, (hold_in_transaction|keep_for): \w+|, grants: \{.*?\})?")
    path.write_text(terms.sub("", path.read_text("utf-8")), "utf-8")
    assert await office.hup()
    assert (await stack.request(card.request_id)).state.value == "pending"
    await stack.deny("Bob", card, "still not today")
    assert await office.wire.lines() == ["E42501", "ZI"]
    assert await office.wire.ask(query(UPDATE.format(row))) == ["C[UPDATE 1]", "ZI"]
    assert amount(stack, row) == 101


async def test_a_broken_file_is_refused_and_the_old_policy_goes_on(stack: Stack, office: Office) -> None:
    row = stack.ids()
    office.wire.send(query(UPDATE.format(row)))
    card = await stack.card()
    version = office.gateway.policy.version
    office.write(DENIAL, ("effect: deny", "effect: forbid"))
    assert not await office.hup()
    office.gateway.settings.policies.unlink()
    assert not await office.hup()
    assert office.gateway.policy.version == version
    await stack.approve("Bob", card)
    assert await office.wire.lines() == ["C[UPDATE 1]", "ZI"]
    await card.says("Executed")
    assert amount(stack, row) == 101


async def test_policies_that_come_in_a_row_end_a_request_once(stack: Stack, office: Office) -> None:
    """Denied by the first, let go again by the second, while Bob clicks: one end all the same."""
    for _ in range(4):
        row = stack.ids()
        office.wire.send(query(UPDATE.format(row)))
        card = await stack.card()
        original = office.gateway.settings.policies.read_text("utf-8")

        async def changes(original: str = original) -> None:
            office.write(DENIAL)
            await office.hup()
            office.gateway.settings.policies.write_text(original, "utf-8")
            await office.hup()

        await asyncio.gather(stack.approve("Bob", card), changes(), return_exceptions=True)
        lines = await office.wire.lines()
        text = await card.says("Executed", "Superseded")
        ran = text.startswith("Executed")
        assert lines == (["C[UPDATE 1]", "ZI"] if ran else ["E42501", "ZI"])
        assert amount(stack, row) == 100 + ran
        ends = [each["outcome"] for each in stack.entries(request=card.request_id, kind="decided")]
        assert ends.count("superseded") == (not ran)


# --- what a name means ------------------------------------------------------------------------------------------------

#: What a failed transaction goes on with: read-only if it began anew, unless the client says otherwise.
GOES_ON = [
    "ROLLBACK TO s; DELETE FROM swapped.t WHERE true",
    "ROLLBACK AND CHAIN; DELETE FROM swapped.t WHERE true",
    "ROLLBACK; BEGIN READ WRITE; DELETE FROM swapped.t WHERE true",
]


@pytest.mark.parametrize("sql", GOES_ON)
async def test_a_string_in_a_failed_transaction_means_the_tables_that_people_saw(stack: Stack, sql: str) -> None:
    """Nothing can be asked inside it, so a second connection is."""
    stack.do(
        "CREATE SCHEMA swapped; CREATE TABLE swapped.t AS SELECT 1 AS id; CREATE TABLE swapped.u AS TABLE swapped.t"
    )
    stack.do("GRANT ALL ON SCHEMA swapped TO hoop; GRANT ALL ON ALL TABLES IN SCHEMA swapped TO hoop")
    wire = await Wire.connect(stack.port, stack.token("ann"))
    try:
        await wire.ask(query("BEGIN; SAVEPOINT s"))
        assert await wire.ask(query("SELECT 1/0")) == ["E22012", "ZE"]
        wire.send(query(sql))
        card = await stack.card()
        stack.do("ALTER TABLE swapped.t RENAME TO v; ALTER TABLE swapped.u RENAME TO t")
        await stack.approve("Bob", card)
        assert await wire.lines() == ["E57014", "ZE"]
        assert "a table's name means another table now" in wire.errors[-1]["M"]
    finally:
        await wire.close()
        stack.do("DROP SCHEMA swapped CASCADE")
