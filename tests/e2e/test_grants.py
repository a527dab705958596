"""Grants on a real target: a shape runs again without a card, and nothing else does.

What ran is asked of the target: `shapes.amount` counts the times.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psycopg
import pytest

from gateway.app import Gateway
from gateway.wire.frontend import SYNC, bind, execute, parse, query
from tests.e2e.office import open_office
from tests.e2e.stack import STEP, Card, Stack
from tests.e2e.wire import Wire
from tests.fakes.stores import until

_IDS = itertools.count(10, 10)
TEXT = "UPDATE shapes SET amount = amount + 1 WHERE id = $1"


@pytest.fixture
def row() -> int:
    """The first of ten rows of this test's own."""
    return next(_IDS)


@pytest.fixture(autouse=True)
async def no_grants_left(stack: Stack) -> AsyncIterator[None]:
    """What one test has granted covers nothing of another's."""
    yield
    for each in await stack.on(stack.demo.gateway.desk.grants()):
        await stack.command("Bob", f"revoke grant {each.giver.id}")


async def wire(stack: Stack, application: str = "raw", port: int = 0, who: str = "ann") -> Wire:
    return await Wire.connect(port or stack.port, stack.token(who), application_name=application)


def update(*ids: int, text: str = TEXT) -> bytes:
    """In the extended protocol, with one bound value."""
    (first,) = ids
    return parse("", text) + bind("", "", [str(first).encode()]) + execute("") + SYNC


def times(stack: Stack, row: int) -> int:
    ((found,),) = stack.ask("SELECT amount - 100 FROM shapes WHERE id = %s", row)
    return int(found)


OK = ["1", "2", "C[UPDATE 1]", "ZI"]


async def granted(stack: Stack, asking: Wire, sent: bytes, scope: str = "3x") -> Card:
    """Have Bob approve this with a grant; returns its card."""
    asking.send(sent)
    card = await stack.card()
    await stack.grant("Bob", card, scope)
    assert any(line.startswith("C[") for line in await asking.lines())
    return card


@dataclass(frozen=True, slots=True)
class Asked:
    """A card, and what it showed at first."""

    card: Card
    shown: str


async def asks_anew(stack: Stack, asking: Wire, sent: bytes) -> Asked:
    """It is no use of a grant: a card comes, and is denied. Returns it as it was when it came."""
    asking.send(sent)
    card = await stack.card()
    came = Asked(card, card.shown)
    await stack.deny("Bob", card, "not covered")
    assert "E42501" in await asking.lines()
    return came


async def test_a_shape_runs_again_with_other_values_until_its_uses_are_up(stack: Stack, row: int) -> None:
    asking = await wire(stack)
    card = await granted(stack, asking, update(row))
    assert "this shape may run again until" in await stack.until(
        lambda: card.shown if "may run again" in card.shown else ""
    )
    other = await wire(stack)
    for number, each in enumerate((row + 1, row + 1, row + 2)):
        used = asking if number % 2 else other
        assert await used.ask(update(each)) == OK
        assert f"approved by grant {card.request_id} of bob@example.com" in used.notices[-1]
    assert [times(stack, row + each) for each in range(3)] == [1, 2, 1]
    await asks_anew(stack, asking, update(row + 3))
    uses = stack.entries(kind="decided", reason=f"under grant {card.request_id}")
    assert [(each["decided_by"], each["via"], each["outcome"]) for each in uses] == [
        ("bob@example.com", "grant", "approved")
    ] * 3
    for use in uses:
        told = [entry["kind"] for entry in stack.entries(request=use["request"])]
        assert told == ["held", "decided", "released", "statement", "finished"]
    (given,) = stack.entries(kind="decided", request=card.request_id)
    assert given["reason"].startswith(f"gives grant {card.request_id} until ")


async def test_drivers_use_it(stack: Stack, row: int) -> None:
    """asyncpg prepares; psycopg begins a transaction."""
    place = f"postgresql://hoop@{stack.host}:{stack.port}/shop"
    first = await asyncpg.connect(place, password=stack.token("ann"))
    running = asyncio.create_task(first.execute(TEXT, row))
    await stack.grant("Bob", await stack.card(), "15m")
    assert await running == "UPDATE 1"
    assert await first.execute(TEXT, row + 1) == "UPDATE 1"
    async with first.transaction():
        assert await first.execute(TEXT, row + 1) == "UPDATE 1"
    await first.close()
    assert (times(stack, row), times(stack, row + 1)) == (1, 2)
    async with await psycopg.AsyncConnection.connect(
        host=stack.host, port=stack.port, user="hoop", password=stack.token("ann"), dbname="shop"
    ) as asking:
        sql = "DELETE FROM shapes WHERE id = %s"
        asked = asyncio.create_task(asking.execute(sql, (row + 8,)))
        await stack.grant("Bob", await stack.card(), "3x")
        assert (await asked).rowcount == 1
        async with asyncio.timeout(STEP):
            assert (await asking.execute(sql, (row + 9,))).rowcount == 1
        await asking.rollback()
    assert times(stack, row + 9) == 0


async def test_without_vary_the_values_are_bound_too(stack: Stack, row: int) -> None:
    asking = await wire(stack, "literal")
    await granted(stack, asking, update(row), "4x")
    assert await asking.ask(update(row)) == OK
    await asks_anew(stack, asking, update(row + 1))
    assert await asking.ask(update(row)) == OK
    assert (times(stack, row), times(stack, row + 1)) == (3, 0)


async def test_literals_never_vary_but_blanks_and_comments_do(stack: Stack, row: int) -> None:
    asking = await wire(stack)
    text = "UPDATE shapes SET amount = amount + 1 WHERE id = {}"
    await granted(stack, asking, query(text.format(row)))
    await asks_anew(stack, asking, query(text.format(row + 1)))
    again = f"/* reason: once more */ UPDATE  shapes\nSET amount = amount + 1 WHERE id = {row};"
    assert await asking.ask(query(again)) == ["C[UPDATE 1]", "ZI"]
    assert (times(stack, row), times(stack, row + 1)) == (2, 0)


@pytest.mark.parametrize("who", ["cursor", "ann on the archive"])
async def test_another_person_or_target_asks_anew(stack: Stack, row: int, who: str) -> None:
    asking = await wire(stack)
    await granted(stack, asking, update(row))
    name, _, place = who.partition(" on the ")
    other = await Wire.connect(stack.port, stack.token(name), database=place or "shop", application_name="raw")
    await asks_anew(stack, other, update(row))
    assert times(stack, row) == 1


async def test_more_rows_than_the_rule_grants_ask_anew(stack: Stack, row: int) -> None:
    """Four are counted, and three are granted: each use is held to three, also where rows come after it was counted."""
    text = "UPDATE shapes SET amount = amount + 1 WHERE owner = $1"
    for each in range(6):
        stack.do(f"UPDATE shapes SET owner = 'many {row}' WHERE id = {row + each}" if each < 4 else "SELECT 1")
    asking = await wire(stack)

    def of(owner: str) -> bytes:
        return parse("", text) + bind("", "", [owner.encode()]) + execute("") + SYNC

    await granted(stack, asking, of(f"owner {row + 7}"))
    card = await asks_anew(stack, asking, of(f"many {row}"))
    assert "4 rows would be changed" in card.shown
    assert "hoop_grant" not in card.shown, "what the rule's number does not allow is not offered"
    stack.do(f"UPDATE shapes SET owner = 'other' WHERE id = {row + 3}")
    assert await asking.ask(of(f"many {row}")) == ["1", "2", "C[UPDATE 3]", "ZI"]


async def test_rows_that_come_behind_the_count_are_rolled_back(stack: Stack, row: int) -> None:
    """Three are counted; a lock keeps the released statement waiting while another session makes it four."""
    owner = f"drift {row}"
    sent = query(f"UPDATE shapes SET amount = amount + 1 WHERE owner = '{owner}'")
    asking = await wire(stack)
    card = await granted(stack, asking, sent)
    stack.do(f"UPDATE shapes SET owner = '{owner}' WHERE id BETWEEN {row} AND {row + 2}")
    stack.do("BEGIN")
    stack.do("LOCK TABLE shapes IN SHARE ROW EXCLUSIVE MODE")
    asking.send(sent)
    await _until(lambda: bool(stack.entries(kind="decided", reason=f"under grant {card.request_id}")))
    (use,) = stack.entries(kind="decided", reason=f"under grant {card.request_id}")
    await stack.recorded(kind="released", request=use["request"])
    stack.do(f"UPDATE shapes SET owner = '{owner}' WHERE id = {row + 3}")
    stack.do("COMMIT")
    assert (await asking.lines())[-2:] == ["E42501", "ZI"]
    assert asking.errors[-1]["M"] == "rolled back: 3 rows approved, 4 rows would have changed; nothing has changed"
    assert stack.ask("SELECT max(amount) FROM shapes WHERE owner = %s", owner) == [(100,)]


RENAMED = ("ALTER TABLE shapes RENAME TO shapes_away", "ALTER TABLE shapes_away RENAME TO shapes")
_ANEW = """CREATE TABLE shapes (LIKE shapes_away); INSERT INTO shapes SELECT * FROM shapes_away;
GRANT SELECT, INSERT, UPDATE, DELETE ON shapes TO hoop"""
_NOTED = "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
CHANGES: dict[str, tuple[str, str]] = {
    "a trigger": (
        f"{_NOTED}; CREATE TRIGGER noted BEFORE UPDATE ON shapes FOR EACH ROW EXECUTE FUNCTION noted()",
        "DROP TRIGGER noted ON shapes; DROP FUNCTION noted()",
    ),
    "a check": (
        "ALTER TABLE shapes ADD CONSTRAINT positive CHECK (amount > 0)",
        "ALTER TABLE shapes DROP CONSTRAINT positive",
    ),
    "another table of its name": (
        f"{RENAMED[0]}; {_ANEW}",
        f"DROP TABLE shapes; {RENAMED[1]}",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_defined_anew_asks_anew(stack: Stack, row: int, change: str) -> None:
    asking = await wire(stack)
    await granted(stack, asking, update(row))
    do, undo = CHANGES[change]
    stack.do(do)
    try:
        await asks_anew(stack, asking, update(row))
        await asks_anew(stack, await wire(stack), update(row))
    finally:
        stack.do(undo)
    assert times(stack, row) == 1


async def test_a_replaced_view_asks_anew(stack: Stack, row: int) -> None:
    name = f"shown_{row}"
    stack.do(f"CREATE VIEW {name} AS SELECT * FROM shapes WHERE id < 500; GRANT SELECT, UPDATE ON {name} TO hoop")
    asking = await wire(stack)
    await stack.on(stack.reload("shop"))
    try:
        sent = update(row, text=TEXT.replace("shapes", name))
        await granted(stack, asking, sent)
        assert await asking.ask(sent) == OK
        stack.do(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM shapes WHERE id > 0")
        await asks_anew(stack, asking, sent)
        assert times(stack, row) == 2
    finally:
        stack.do(f"DROP VIEW {name}")


SETTINGS = ["SET search_path = pg_temp, public", "SET DateStyle = 'German'", "SET TimeZone = 'Asia/Tokyo'"]


@pytest.mark.parametrize("setting", SETTINGS)
async def test_another_setting_asks_anew(stack: Stack, row: int, setting: str) -> None:
    asking = await wire(stack)
    await granted(stack, asking, update(row))
    assert await asking.ask(query(setting)) == ["C[SET]", "ZI"]
    await asks_anew(stack, asking, update(row))
    assert times(stack, row) == 1


async def test_what_was_prepared_under_another_setting_asks_anew(stack: Stack, row: int) -> None:
    """Its text is the one that was granted, and to the target its literal is another day."""
    stack.do("ALTER TABLE shapes ADD COLUMN IF NOT EXISTS day date")
    stack.do(
        f"UPDATE shapes SET day = '2024-01-02' WHERE id = {row}; UPDATE shapes SET day = '2024-02-01' WHERE id = {row + 1}"
    )
    text = f"UPDATE shapes SET amount = amount + 1 WHERE day = '01/02/2024' AND id / 10 * 10 = {row}"
    asking = await wire(stack)
    await stack.on(stack.reload("shop"))
    await granted(stack, asking, parse("", text) + bind("", "") + execute("") + SYNC)
    assert await asking.ask(query("SET DateStyle = 'ISO, DMY'")) == ["C[SET]", "ZI"]
    assert await asking.ask(parse("s", text) + SYNC) == ["1", "ZI"]
    assert await asking.ask(query("RESET DateStyle")) == ["C[RESET]", "ZI"]
    await asks_anew(stack, asking, bind("", "s") + execute("") + SYNC)
    assert await asking.ask(parse("", text) + bind("", "") + execute("") + SYNC) == OK
    assert (times(stack, row), times(stack, row + 1)) == (2, 0)


async def test_a_temporary_table_in_front_of_it_asks_anew(stack: Stack, row: int) -> None:
    asking = await wire(stack)
    await granted(stack, asking, update(row))
    asking.send(query("CREATE TEMP TABLE shapes (id integer, owner text, amount integer)"))
    await stack.approve("Bob", await stack.card())
    assert await asking.lines() == ["C[CREATE TABLE]", "ZI"]
    card = await asks_anew(stack, asking, update(row))
    assert "hoop_grant" not in card.shown
    assert times(stack, row) == 1


async def test_it_is_never_offered_where_a_foreign_key_passes_it_on(stack: Stack, row: int) -> None:
    """One row of it may be any number of others."""
    name = f"parts_{row}"
    stack.do(f"CREATE TABLE {name} (of integer REFERENCES shapes ON DELETE CASCADE)")
    try:
        asking = await wire(stack)
        await stack.on(stack.reload("shop"))
        card = await asks_anew(stack, asking, update(row, text="DELETE FROM shapes WHERE id = $1"))
        assert "hoop_grant" not in card.shown
        await granted(stack, asking, update(row))  # its key does not change
    finally:
        stack.do(f"DROP TABLE {name}")


NEVER: dict[str, list[tuple[bytes, list[str] | None]]] = {
    "execute": [
        (query("PREPARE u(int) AS UPDATE shapes SET amount = 0 WHERE id = $1"), ["C[PREPARE]", "ZI"]),
        (query("EXECUTE u(1)"), None),
    ],
    "do": [(query("DO $$BEGIN UPDATE shapes SET amount = 0 WHERE id = 1; END$$"), None)],
    "two statements": [
        (query("UPDATE shapes SET amount = 0 WHERE id = 1; UPDATE shapes SET amount = 0 WHERE id = 2"), None)
    ],
    "two executions": [
        (
            parse("", TEXT) + (bind("", "", [b"1"]) + execute("")) + (bind("", "", [b"2"]) + execute("")) + SYNC,
            None,
        )
    ],
    "data-modifying WITH": [
        (query("WITH gone AS (DELETE FROM shapes WHERE id = 1 RETURNING *) SELECT * FROM gone"), None)
    ],
    "ddl": [(query("ALTER TABLE shapes ADD COLUMN more int"), None)],
    "truncate": [(query("TRUNCATE shapes"), None)],
    "merge": [
        (
            query(
                "MERGE INTO shapes s USING (VALUES (1)) v(id) ON s.id = v.id WHEN MATCHED THEN UPDATE SET amount = 0"
            ),
            None,
        )
    ],
    "a cursor's row": [
        (query("BEGIN"), ["C[BEGIN]", "ZT"]),
        (query("DECLARE c CURSOR FOR SELECT * FROM shapes WHERE id = 1 FOR UPDATE"), None),
    ],
    "by its own comment": [
        (query("UPDATE shapes SET amount = 0 WHERE id = position('x' in current_query()) /* x */"), None)
    ],
    "behind a setting": [
        (parse("", "SET search_path = public") + bind("", "") + execute("") + update(1), None),
    ],
}


@pytest.mark.parametrize("what", NEVER)
async def test_it_is_never_offered(stack: Stack, what: str) -> None:
    asking = await wire(stack)
    for sent, lines in NEVER[what]:
        if lines is not None:
            assert await asking.ask(sent) == lines
            continue
        asking.send(sent)
        card = await stack.card()
        assert "hoop_grant" not in card.shown
        await stack.deny("Bob", card, "not this")
        assert "E42501" in await asking.lines()


async def test_revoked_it_is_over_at_once_on_every_replica(stack: Stack, row: int, tmp_path: Path) -> None:
    asking = await wire(stack)
    card = await granted(stack, asking, update(row))
    async with open_office(stack, tmp_path) as office:
        assert await office.wire.ask(update(row)) == OK
        assert card.request_id in await stack.command("Ann", "grants")
        answer = await stack.command("Bob", f"revoke grant {card.request_id} the audit asks for it")
        assert "the grant is over" in answer
        asked = asyncio.create_task(office.wire.ask(update(row)))
        anew = await stack.card()
        await stack.deny("Bob", anew, "not this")
        assert "E42501" in await asked
    await asks_anew(stack, asking, update(row))
    assert times(stack, row) == 2
    assert "revoked that at" in await stack.until(lambda: card.shown if "revoked that" in card.shown else "")
    (entry,) = stack.entries(kind="revoked", request=card.request_id)
    assert (entry["decided_by"], entry["via"]) == ("bob@example.com", "slack")
    assert entry["reason"] == f"grant {card.request_id}: the audit asks for it"
    assert "This grant is over already" in await stack.command("Bob", f"revoke grant {card.request_id}")


async def test_two_at_once_with_one_use_left(stack: Stack, row: int, tmp_path: Path) -> None:
    """Two replicas: one gets the use, the other a card."""
    asking = await wire(stack)
    await granted(stack, asking, update(row))
    assert await asking.ask(update(row)) == OK
    assert await asking.ask(update(row)) == OK
    async with open_office(stack, tmp_path) as office:
        both = [asyncio.create_task(each.ask(update(row))) for each in (asking, office.wire)]
        card = await stack.card()
        done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        (first,) = done
        assert first.result() == OK
        await stack.deny("Bob", card, "enough")
        (second,) = waiting
        assert "E42501" in await second
    assert times(stack, row) == 4


CHANGED_RULES = {
    "its grants are gone": (
        "grants: {max_minutes: 60, max_uses: 3, max_rows: 3, vary: [params]}",
        "keep_for: 15m",
    ),
    "its number is another": ("max_uses: 3, max_rows: 3", "max_uses: 3, max_rows: 2"),
    "it is gone": ("name: shapes may be granted", "name: shapes may be granted, unless: {tables: [public.shapes]}"),
    "it needs two": ("dba: {groups: [dba], approvals: 1", "dba: {groups: [dba], approvals: 2"),
}


@pytest.mark.parametrize("change", CHANGED_RULES)
async def test_another_policy_ends_its_use(stack: Stack, row: int, tmp_path: Path, change: str) -> None:
    async with open_office(stack, tmp_path) as office:
        await granted(stack, office.wire, update(row))
        assert await office.wire.ask(update(row)) == OK
        office.write(CHANGED_RULES[change])
        assert await office.hup()
        asked = asyncio.create_task(office.wire.ask(update(row)))
        await stack.deny("Bob", await stack.card(), "not by this policy")
        assert "E42501" in await asked
    assert times(stack, row) == 2


async def test_it_ends_in_time(stack: Stack, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant never lasts longer than a sign-in counts: here that is a second."""
    asking = await wire(stack)
    gateway: Gateway = stack.demo.gateway
    monkeypatch.setattr(gateway.desk._people, "link_max_age", 1.0)
    card = await granted(stack, asking, update(row), "15m")
    grant = (await stack.request(card.request_id)).grant
    assert grant is not None
    await stack.moment(grant.until)
    await asks_anew(stack, asking, update(row))
    assert times(stack, row) == 1


async def test_the_requester_can_not_grant_it_and_may_end_it(stack: Stack, row: int) -> None:
    asking = await wire(stack)
    card = await granted(stack, asking, update(row))
    assert "the grant is over" in await stack.command("Ann", f"revoke grant {card.request_id}")
    await asks_anew(stack, asking, update(row))


# --- other revocations ------------------------------------------------------------------------------------------------


async def test_a_kept_approval_is_revoked_before_it_is_used(stack: Stack) -> None:
    sent = query("UPDATE kept SET amount = amount + 1 WHERE id = 99")
    gone = await wire(stack)
    gone.send(sent)
    card = await stack.card()
    await gone.close()
    await stack.recorded(kind="left", request=card.request_id)
    assert "It is not approved yet" in await stack.command("Bob", f"revoke {card.request_id}")
    await stack.approve("Bob", card)
    await card.says("Approved")
    assert "This is your own request" in await stack.command("Ann", f"revoke {card.request_id}")
    answer = await stack.command("Bob", f"revoke {card.request_id} changed my mind")
    assert "its approval is revoked" in answer
    text = await card.says("Withdrawn")
    assert "its approval was revoked by bob@example.com: changed my mind" in text.lower()
    await asks_anew(stack, await wire(stack), sent)
    (entry,) = stack.entries(kind="decided", outcome="withdrawn", request=card.request_id)
    assert (entry["decided_by"], entry["via"]) == ("bob@example.com", "slack")


async def test_a_session_is_ended_on_another_replica(stack: Stack, row: int, tmp_path: Path) -> None:
    async with open_office(stack, tmp_path) as office:
        office.wire.send(update(row))
        card = await stack.card()
        session = (await stack.request(card.request_id)).session
        assert "Only reviewers may end a session" in await stack.command("Ann", f"revoke session {session}")
        assert "No open session" in await stack.command("Bob", "revoke session nonsense-1")
        assert "is told to end now" in await stack.command("Bob", f"revoke session {session} a runaway agent")
        assert await office.wire.lines() == ["E57P01", "closed"]
        assert office.wire.errors[-1]["M"] == "this session was ended by bob@example.com: a runaway agent"
    await card.says("Withdrawn")
    assert times(stack, row) == 0
    (entry,) = stack.entries(kind="revoked", session=session)
    assert (entry["decided_by"], entry["user"], entry["reason"]) == (
        "bob@example.com",
        "ann@example.com",
        "a runaway agent",
    )
    await stack.recorded(kind="session_ended", session=session)
    (ended,) = stack.entries(kind="session_ended", session=session)
    assert ended["reason"] == "ended by bob@example.com: a runaway agent"


async def test_what_runs_in_an_ended_session_is_cancelled(stack: Stack) -> None:
    running = await wire(stack, "sleeper")
    running.send(query("SELECT pg_sleep(600)"))
    await stack.recorded(kind="session_started", agent="sleeper")
    (entry,) = stack.entries(kind="session_started", agent="sleeper")
    session = entry["session"]

    def sleeping() -> bool:
        there = "SELECT FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(600)%%' AND pid <> pg_backend_pid()"
        return bool(stack.ask(there))

    await _until(sleeping)

    async def ended() -> bool:
        """Its beginning may still be on its way to the store."""
        return "is told to end" in await stack.command("Bob", f"revoke session {session}")

    await until(ended, STEP)
    assert await running.lines() == ["E57P01", "closed"]
    await _until(lambda: not sleeping())


async def _until(holds: Callable[[], bool]) -> None:
    async def there() -> bool:
        return holds()

    await until(there, STEP)
