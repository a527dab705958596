"""Every driver plays every story through the whole gateway: a new driver is one row of `DRIVERS`.

A story is what a client does and what it must see, what the card says, what the database holds afterwards. Clients are
processes of their own (driving.py), so that they can be interrupted and killed while they wait.
"""

import signal

import pytest

from tests.e2e.driving import BUNDLED, PSQL15, Driver, client
from tests.e2e.stack import PROMPT, Stack

DRIVERS = [
    pytest.param(
        Driver("psql 15", psql=PSQL15),
        marks=[
            pytest.mark.psql15,
            pytest.mark.skipif(not PSQL15.exists(), reason="needs Debian's psql: apt install postgresql-client-15"),
        ],
    ),
    Driver("psql 18", psql=BUNDLED / "psql" if BUNDLED else None),
    Driver("psycopg-sync"),
    Driver("psycopg-async"),
    Driver("psycopg-pipeline"),
    Driver("asyncpg-simple", cancelled="CancelledError"),
    Driver("asyncpg-prepared", cancelled="CancelledError"),
    Driver("asyncpg-transaction", cancelled="CancelledError"),
    Driver("asyncpg-executemany", cancelled="CancelledError", changes=2, counts=False),
]


@pytest.fixture(params=DRIVERS, ids=lambda each: each.name.replace(" ", ""))
def driver(request: pytest.FixtureRequest) -> Driver:
    found: Driver = request.param
    return found


# --- stories ----------------------------------------------------------------------------------------------------------


def amounts(stack: Stack, driver: Driver, first: int) -> list[int]:
    """The amounts of the rows that a `change` beginning at this id is about, those that are still there."""
    found = stack.ask("SELECT amount FROM ledger WHERE id >= %s AND id < %s ORDER BY id", first, first + driver.changes)
    return [amount for (amount,) in found]


def untouched(driver: Driver) -> list[int]:
    return [100] * driver.changes


UPDATE = "UPDATE ledger SET amount = amount + 1 WHERE id = {}"
DELETE = "DELETE FROM ledger WHERE id = {}"
READ = "SELECT id FROM ledger WHERE id = {}"


async def test_masked_select(stack: Stack, driver: Driver) -> None:
    """Card numbers keep four digits, keys nothing, an id everything; no value is whole anywhere."""
    columns = "id, card_number, api_key"
    async with client(
        stack, driver, "ann", ["read", f"SELECT {columns} FROM customers WHERE id = {{}}", [11]]
    ) as running:
        (said,) = await running.said()
    ((_, card_number, _),) = stack.ask("SELECT id, card_number, api_key FROM customers WHERE id = 11")
    assert said["rows"] == [[11, f"**** **** **** {card_number[-4:]}", "[redacted]"]]


async def test_approved_delete(stack: Stack, driver: Driver) -> None:
    """A click later the same statement goes on: the right rows are gone, the client hears how many, so does the card."""
    first = stack.ids()
    async with client(stack, driver, "cursor", ["change", DELETE, [first]], ["read", READ, [first + 5]]) as running:
        card = await stack.card()
        assert amounts(stack, driver, first) == untouched(driver)
        assert await stack.approve("Bob", card) == 200
        changed, read = await running.said()
    assert "error" not in changed, changed
    assert changed["count"] == (1 if driver.counts else None)
    assert read["rows"] == [[first + 5]]
    assert stack.ask("SELECT count(*) FROM ledger WHERE id BETWEEN %s AND %s", first, first + 9) == [
        (10 - driver.changes,)
    ]
    text = await card.says("Executed")
    assert f"{driver.changes} row" in text
    assert "Approved by bob@example.com" in text
    request = await stack.request(card.request_id)
    assert (request.state.value, request.rows) == ("executed", driver.changes)
    kinds = [each["kind"] for each in stack.entries(request=request.id)]
    executions = ["statement"] * driver.changes + ["finished"] * driver.changes
    assert sorted(kinds) == sorted(["held", "decided", "released", *executions])


async def test_denied_update_in_a_transaction(stack: Stack, driver: Driver) -> None:
    """42501; the transaction is aborted as after any error; ROLLBACK works and the session lives and reads."""
    first = stack.ids()
    steps = (
        ["begin"],
        ["change", UPDATE, [first]],
        ["read", READ, [first]],
        ["rollback"],
        ["read", READ, [first]],
    )
    async with client(stack, driver, "ann", *steps) as running:
        card = await stack.card()
        await stack.deny("Dana", card, "not on a Friday")
        begun, changed, aborted, ended, read = await running.said()
    assert "error" not in begun
    assert changed["error"] == "42501"
    if driver.psql is None:
        assert "denied by dana@example.com: not on a Friday" in changed["message"]
    assert aborted["error"] == "25P02"
    assert "error" not in ended, ended
    assert read["rows"] == [[first]]
    assert amounts(stack, driver, first) == untouched(driver)
    text = await card.says("Denied")
    assert "not on a Friday" in text


async def test_expired_hold(stack: Stack, driver: Driver) -> None:
    """Nobody decides: 57014, the card says so, nothing ran, the session reads on."""
    first = stack.brief_ids()
    update = "UPDATE brief SET amount = amount + 1 WHERE id = {}"
    read = "SELECT id FROM brief WHERE id = {}"
    async with client(stack, driver, "ann", ["change", update, [first]], ["read", read, [first]]) as running:
        card = await stack.card()
        changed, after = await running.said()
    assert changed["error"] == "57014"
    assert after["rows"] == [[first]]
    await card.says("Expired")
    assert stack.ask("SELECT amount FROM brief WHERE id BETWEEN %s AND %s", first, first + 1) == [(100,), (100,)]


async def test_cancel_while_held(stack: Stack, driver: Driver) -> None:
    """Ctrl-C: the client is free at once, the card says withdrawn, a late click changes nothing."""
    first = stack.ids()
    async with client(stack, driver, "ann", ["change", UPDATE, [first]], ["read", READ, [first]]) as running:
        card = await stack.card()
        running.process.send_signal(signal.SIGINT)
        changed, read = await running.said(PROMPT)
    assert changed["error"] == driver.cancelled
    # psql prints no rows any more once Ctrl-C was pressed in a row of -c commands; it still counts them
    assert read["count"] == 1 if driver.psql else read["rows"] == [[first]]
    await card.says("Withdrawn")
    assert (await stack.request(card.request_id)).state.value == "withdrawn"
    assert amounts(stack, driver, first) == untouched(driver)


async def test_kill_while_held(stack: Stack, driver: Driver) -> None:
    """kill -9 of the client: withdrawn, and nothing runs."""
    first = stack.ids()
    async with client(stack, driver, "cursor", ["change", UPDATE, [first]]) as running:
        card = await stack.card()
        await running.killed()
        await card.says("Withdrawn")
    assert (await stack.request(card.request_id)).state.value == "withdrawn"
    assert amounts(stack, driver, first) == untouched(driver)
    assert not stack.entries(request=card.request_id, kind="released")


async def test_time_limit_of_the_driver(stack: Stack) -> None:
    """asyncpg's `timeout=` sends a CancelRequest: withdrawn, and the session goes on."""
    first = stack.ids()
    driver = Driver("asyncpg-timeout")
    async with client(stack, driver, "ann", ["change", UPDATE, [first]], ["read", READ, [first]]) as running:
        card = await stack.card()
        changed, read = await running.said()
        await card.says("Withdrawn")
    assert changed["error"] == "TimeoutError"
    assert read["rows"] == [[first]]
    assert amounts(stack, driver, first) == untouched(driver)
