"""No chat takes the card: the statement is denied at once, and everybody is told why."""

from gateway.wire.frontend import query
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire


async def test_what_no_chat_takes_is_denied_with_a_hint(stack: Stack) -> None:
    first = stack.ids()
    wire = await Wire.connect(stack.port, stack.token("ann"), application_name="unheard")
    stack.workspace.fail("chat.postMessage", error="is_archived", times=100)
    try:
        lines = await wire.ask(query(f"DELETE FROM ledger WHERE id = {first}"))
    finally:
        stack.workspace.heal()
    assert lines[-1] == "ZI"
    told = wire.errors[-1]
    assert told["C"] == "42501"
    assert "is_archived" in told["M"] + told["D"]
    assert told["H"]
    [request] = {str(each["request"]) for each in stack.entries(kind="decided", outcome="undeliverable")}
    assert (await stack.request(request)).state.value == "undeliverable"
    assert stack.ask("SELECT count(*) FROM ledger WHERE id = %s", first) == [(1,)]
    await wire.close()
