"""What no mask can stop or trace, through a running gateway: `masking.predicates` and `masking.unresolved` hold it or deny it.

What people let go shows as the policy says all the same.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.wire.backend import data_row
from gateway.wire.frontend import SYNC, bind, describe, execute, parse, query
from tests.e2e.office import Office, open_office
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

SECRET, SHOWN = "4929381332664295", b"**** **** **** 4295"
GUESS = f"SELECT id, card_number FROM wallet WHERE card_number = '{SECRET}'"
#: A condition on the protected column, of every kind -> how its second column shows once it was let go. Each gives one row.
ASKING = {
    GUESS: SHOWN,
    "SELECT id, card_number FROM wallet WHERE card_number LIKE '49293%'": SHOWN,
    "SELECT id, card_number FROM wallet ORDER BY card_number LIMIT 1": SHOWN,
    "SELECT min(id), card_number FROM wallet GROUP BY card_number": SHOWN,
    "SELECT a.id, a.card_number FROM wallet a JOIN wallet b USING (card_number)": SHOWN,
    "SELECT id, card_number FROM wallet WHERE EXISTS (SELECT FROM wallet WHERE card_number > '4')": SHOWN,
    "SELECT id, shown FROM seen WHERE shown > '4'": b"[redacted]",
    "SELECT 1, count(*) FROM wallet WHERE card_number > '4'": b"1",
}
OTHER = ["SELECT id, card_number FROM wallet", "SELECT id, card_number FROM wallet WHERE id < 9 ORDER BY id"]
#: Where their columns come from can't be traced.
UNTRACED = ["SELECT 1, peeked(id) FROM wallet", "SELECT 1, p FROM peeked(1) p"]


def simple(sql: str) -> bytes:
    return query(sql)


def extended(sql: str) -> bytes:
    return parse("", sql) + bind("", "") + describe("P", "") + execute("") + SYNC


WAYS: list[Callable[[str], bytes]] = [simple, extended]


@pytest.fixture
def wallet(stack: Stack) -> Iterator[None]:
    stack.do(
        f"CREATE TABLE wallet AS SELECT 1 AS id, '{SECRET}'::text AS card_number, 'plain'::text AS note;"
        "CREATE VIEW seen AS SELECT id, card_number AS shown FROM wallet; GRANT SELECT ON wallet, seen TO hoop;"
        "CREATE FUNCTION peeked(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT note || '' '' || card_number FROM public.wallet'"
    )
    yield
    stack.do("DROP FUNCTION peeked; DROP VIEW seen; DROP TABLE wallet")


@pytest.fixture
async def office(stack: Stack, wallet: None, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    """`request.param`: a line of the masking section."""
    async with open_office(stack, tmp_path, ("masking:\n", f"masking:\n  {request.param}\n")) as opened:
        yield opened


def choice(line: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("office", [line], indirect=True, ids=[line.replace(": ", "-")])


async def answer(wire: Wire) -> tuple[list[str], bytes]:
    """The lines up to ReadyForQuery, and every byte of the rows."""
    lines, rows = list[str](), b""
    while not lines or not lines[-1].startswith("Z"):
        kind, body = await wire.message()
        if kind == "D":
            rows += b"|".join(each or b"" for each in data_row(body))
        if kind not in "SN":
            lines.append(wire._line(kind, body))
    return lines, rows


# --- predicates -------------------------------------------------------------------------------------------------------


@choice("predicates: hold")
@pytest.mark.parametrize("ask", WAYS)
async def test_a_condition_is_held_and_its_rows_are_masked_all_the_same(
    stack: Stack, office: Office, ask: Callable[[str], bytes]
) -> None:
    for sql, shown in ASKING.items():
        office.wire.send(ask(sql))
        card = await stack.card()
        assert "its conditions read a protected column: public.wallet.card_number" in card.shown
        assert SECRET not in card.shown
        await stack.approve("Bob", card)
        lines, rows = await answer(office.wire)
        assert lines[-1] == "ZI"
        assert rows == b"1|" + shown, sql
        await card.says("Executed")
        finished = stack.entries(kind="finished", request=card.request_id)
        assert [each["predicates"] for each in finished] == [["public.wallet.card_number"]]


@choice("predicates: hold")
async def test_nobody_is_asked_about_other_conditions(stack: Stack, office: Office) -> None:
    for sql in OTHER:
        office.wire.send(query(sql))
        lines, rows = await answer(office.wire)
        assert lines == ["T", "D", "C[SELECT 1]", "ZI"]
        assert rows == b"1|" + SHOWN


@choice("predicates: hold")
async def test_what_reviewers_deny_gives_no_row(stack: Stack, office: Office) -> None:
    office.wire.send(query(GUESS))
    await stack.deny("Bob", await stack.card(), "guessing numbers")
    assert await office.wire.lines() == ["E42501", "ZI"]
    assert "guessing numbers" in str(office.wire.errors[-1])


@choice("predicates: deny")
@pytest.mark.parametrize("ask", WAYS)
async def test_a_condition_is_denied_at_once(office: Office, ask: Callable[[str], bytes]) -> None:
    for sql in ASKING:
        lines = await office.wire.ask(ask(sql))
        assert lines[-2:] == ["E42501", "ZI"], sql
        assert "D" not in lines
        assert "select rows by other columns" in office.wire.errors[-1]["M"]
    for sql in OTHER:
        assert await office.wire.ask(query(sql)) == ["T", "D", "C[SELECT 1]", "ZI"]


@choice("predicates: deny")
async def test_no_other_command_asks_in_its_stead(office: Office) -> None:
    for text in ("DECLARE c CURSOR FOR {}", "COPY ({}) TO STDOUT", "EXPLAIN {}", "PREPARE p AS {}; EXECUTE p"):
        assert await office.wire.ask(query("BEGIN")) == ["C[BEGIN]", "ZT"]
        assert await office.wire.ask(query(text.format(GUESS))) == ["E42501", "ZE"], text
        assert await office.wire.ask(query("ROLLBACK")) == ["C[ROLLBACK]", "ZI"]


# --- unresolved -------------------------------------------------------------------------------------------------------


@choice("unresolved: redact")
@pytest.mark.parametrize("ask", WAYS)
async def test_what_cannot_be_traced_is_redacted(office: Office, ask: Callable[[str], bytes]) -> None:
    for sql in UNTRACED:
        office.wire.send(ask(sql))
        _, rows = await answer(office.wire)
        assert rows == b"1|[redacted]"


@choice("unresolved: hold")
@pytest.mark.parametrize("ask", WAYS)
async def test_what_cannot_be_traced_is_held_and_detectors_look_at_it(
    stack: Stack, office: Office, ask: Callable[[str], bytes]
) -> None:
    for sql in UNTRACED:
        office.wire.send(ask(sql))
        card = await stack.card()
        assert "can't be traced" in card.shown
        await stack.approve("Bob", card)
        lines, rows = await answer(office.wire)
        assert lines[-1] == "ZI"
        assert rows == b"1|plain " + SHOWN


@choice("unresolved: hold")
async def test_what_is_not_approved_does_not_run(stack: Stack, office: Office) -> None:
    asking = asyncio.create_task(office.wire.ask(query(UNTRACED[0])))
    await stack.deny("Bob", await stack.card(), "name the columns")
    assert await asking == ["E42501", "ZI"]
    for sql in OTHER:
        assert await office.wire.ask(query(sql)) == ["T", "D", "C[SELECT 1]", "ZI"]
