"""Many holds in one instant: none is lost, and none is refused because of the gateway's own queue to its store."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gateway.app import Gateway
from gateway.demo.run import CHANNEL
from gateway.policies import read_policy
from gateway.settings import Address
from gateway.wire.frontend import query
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

BURST = 300
#: Three hundred cards are drawn, posted and redrawn on a machine that others use as well.
LONG = 240.0
UPDATE = "UPDATE burst SET amount = amount + 1 WHERE id = {}"


@pytest.fixture(scope="module", autouse=True)
def table(stack: Stack) -> None:
    stack.do("CREATE TABLE burst (id integer PRIMARY KEY, amount integer NOT NULL)")
    stack.do(f"INSERT INTO burst SELECT n, 100 FROM generate_series(1, {BURST}) AS n")
    stack.do("GRANT SELECT, UPDATE ON burst TO hoop")


@pytest.fixture
async def gateway(stack: Stack, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gateway]:
    """One of its own with `open_requests_per_user`: the parameter."""
    demo = stack.demo
    policies = tmp_path / "policies.yaml"
    text = demo.gateway.settings.policies.read_text("utf-8")
    limit = f"open_requests_per_user: {request.param}"
    policies.write_text(text.replace("open_requests_per_user: 50", limit), "utf-8")
    here = Address(stack.host, 0)
    settings = replace(demo.gateway.settings, listen=here, http=here, policies=policies)
    started = Gateway(settings, read_policy(policies), demo._directory, demo.limits)
    await stack.on(started.start())
    yield started
    await stack.on(started.stop(), LONG)
    stack.ignore_cards()  # also where the test failed: the next one must not take them for its own


def asked(stack: Stack, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.demo.gateway.settings.store) as store:
        return store.execute(sql.encode()).fetchall()


async def cards(stack: Stack, saying: str) -> None:
    """Wait until every statement of the burst has a card that says this."""

    def shown() -> bool:
        texts = (each.text for each in stack.workspace.messages(CHANNEL) if "public.burst" in each.text)
        return sum(saying in text for text in texts) == BURST

    await stack.on(stack.workspace.wait_for(shown, LONG), 2 * LONG)


@pytest.mark.parametrize("gateway", [1000], indirect=True)
async def test_three_hundred_holds_at_once(stack: Stack, gateway: Gateway) -> None:
    tokens = [stack.token(who) for who in ("ann", "cursor")]
    wires = [await Wire.connect(gateway.ports.wire, tokens[at % 2]) for at in range(BURST)]
    for at, wire in enumerate(wires, 1):
        wire.send(query(UPDATE.format(at)))
    await cards(stack, "wants to UPDATE")
    await stack.on(gateway.stop(), LONG)
    heard = Counter([tuple(await wire.lines()) for wire in wires])
    assert heard == {("E57P01", "closed"): BURST}
    states = asked(stack, "SELECT state, count(*) FROM hoop.approval WHERE body::text LIKE '%public.burst%' GROUP BY 1")
    assert states == [("withdrawn", BURST)]
    await cards(stack, "Withdrawn")
    assert stack.ask("SELECT DISTINCT amount FROM burst") == [(100,)]
