"""What is asked again and again is answered, masked and recorded as the first time, whatever way it takes. On a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from gateway.wire.frontend import SYNC, bind, describe, execute, parse, query
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
    """All that comes up to ReadyForQuery."""
    wire.send(*messages)
    found = [await wire.message()]
    while found[-1][0] != "Z":
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
