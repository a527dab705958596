"""What is asked again and again is answered, masked and recorded as the first time, whatever way it takes. On a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from gateway.wire.frontend import FLUSH, SYNC, bind, close, describe, execute, parse, query
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

TIMES = 6
CARDS = "SELECT id, card_number, name, api_key FROM customers WHERE id BETWEEN 3 AND 5 ORDER BY id"
FORMS: dict[str, tuple[bytes, ...]] = {
    "Query": (query(CARDS),),
    "once": (parse("", CARDS), bind("", ""), describe("P", ""), execute(""), SYNC),
    "prepared": (bind("", "s"), execute(""), SYNC),
    "binary": (bind("", "s", (), (), (1,)), execute(""), SYNC),
    "pipeline": (*((bind("", "s"), execute("")) * 3), SYNC),
}


@pytest.fixture
async def wire(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    """Through the gateway, as Ann; the test's name is the application's."""
    connected = await Wire.connect(stack.port, stack.token("ann"), application_name=request.node.name)
    yield connected
    await connected.close()


async def answer(wire: Wire, *messages: bytes) -> list[tuple[str, bytes]]:
    """All that comes up to ReadyForQuery, or of a description that was flushed up to its end."""
    wire.send(*messages)
    found = [await wire.message()]
    while found[-1][0] != ("T" if messages[-1] == FLUSH else "Z"):
        found.append(await wire.message())
    return [each for each in found if each[0] not in "SN"]


@pytest.mark.parametrize("form", FORMS)
async def test_masked_rows(stack: Stack, wire: Wire, request: pytest.FixtureRequest, form: str) -> None:
    shown = [
        value
        for row in stack.ask("SELECT card_number, api_key FROM customers WHERE id BETWEEN 3 AND 5")
        for value in row
    ]
    await answer(wire, parse("s", CARDS), describe("S", "s"), SYNC)
    answers = [await answer(wire, *FORMS[form]) for _ in range(TIMES)]
    assert answers == [answers[0]] * TIMES
    assert not [each for each in shown if each.encode() in b"".join(body for _, body in answers[0])]
    runs = TIMES * (3 if form == "pipeline" else 1)
    counts = [{"column": "api_key", "count": 3, "detector": "public.customers.api_key"},
              {"column": "card_number", "count": 3, "detector": "public.customers.card_number"}]  # fmt: skip
    await stack.recorded(runs, kind="finished", agent=request.node.name, masked=counts)
    assert len(stack.entries(kind="masked", agent=request.node.name, masked=counts)) == runs
    assert len(stack.entries(kind="statement", agent=request.node.name)) == runs


_USED = bind("", ""), execute("")
#: What drivers say for one read that keep no statement, a breath each.
BREATHS: dict[str, tuple[tuple[bytes, ...], ...]] = {
    "lib/pq": ((parse("", CARDS), describe("S", ""), SYNC), (*_USED, SYNC)),
    "postgres.js": ((parse("", CARDS), describe("S", ""), FLUSH), (*_USED, SYNC)),
    "all at once": ((parse("", CARDS), describe("S", ""), *_USED, SYNC),),
    "asyncpg": (
        (parse("", CARDS), describe("S", ""), FLUSH),
        (parse("", CARDS), bind("", "", (), (), (1,)), execute(""), SYNC),
    ),
    "Postgrex": (
        (parse("d1", CARDS), describe("S", "d1"), FLUSH),
        (bind("", "d1", (), (), (1,)), execute(""), close("S", "d1"), SYNC),
    ),
    "PDO": (
        (parse("d1", CARDS), SYNC),
        (bind("", "d1"), describe("P", ""), execute(""), SYNC),
        (query("DEALLOCATE d1"),),
    ),
}


@pytest.mark.parametrize("driver", BREATHS)
async def test_masked_rows_of_what_is_given_a_name_each_time(
    stack: Stack, wire: Wire, request: pytest.FixtureRequest, driver: str
) -> None:
    shown = [
        value
        for row in stack.ask("SELECT card_number, api_key FROM customers WHERE id BETWEEN 3 AND 5")
        for value in row
    ]
    answers = [[await answer(wire, *breath) for breath in BREATHS[driver]] for _ in range(TIMES)]
    assert answers == [answers[0]] * TIMES
    rows = [body for breath in answers[0] for kind, body in breath if kind == "D"]
    assert len(rows) == 3
    assert not [each for each in shown if each.encode() in b"".join(rows)]
    assert b"E" not in b"".join(kind.encode() for breath in answers[0] for kind, _ in breath)
    found = {"agent": request.node.name, "sql": CARDS}
    await stack.recorded(TIMES, kind="finished", outcome="executed", **found)
    assert len(stack.entries(kind="masked", agent=request.node.name)) == TIMES
    assert len(stack.entries(kind="statement", **found)) == TIMES


MADE = "DROP TABLE IF EXISTS again; CREATE TABLE again ({} text, id int); INSERT INTO again VALUES ('{}', 1); GRANT SELECT ON again TO hoop"


async def test_rows_of_a_table_that_was_made_anew(stack: Stack, wire: Wire) -> None:
    """What was learnt of a text is not believed of other columns than it was learnt of."""
    stack.do(MADE.format("plain", "open"))
    await stack.on(stack.reload("shop"))
    text = query("SELECT * FROM again")
    for _ in range(TIMES):
        assert b"open" in b"".join(body for _, body in await answer(wire, text))
    stack.do(MADE.format("card_number", "not 4 cards"))
    for _ in range(TIMES):
        answered = b"".join(body for _, body in await answer(wire, text))
        assert b"card_number" in answered
        assert b"not 4 cards" not in answered
    stack.do("DROP TABLE again")
