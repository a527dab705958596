"""Runs masking.yaml against each PostgreSQL at hand, directly and through the whole gateway. What it says is explained there."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.postgres import find_binaries
from gateway.wire import frontend
from tests.corpus.attempts import Attempt, load
from tests.corpus.drivers import CLIENTS, QUERIES, Client, Tap
from tests.corpus.forms import forms, found_in
from tests.corpus.line import Heard, told
from tests.corpus.test_bypass import SERVERS
from tests.corpus.vaults import Vaults
from tests.e2e.stack import logging_everything

BOOK = load(Path(__file__).with_name("masking.yaml"))
#: Ways in which both databases are asked through the gateway; in the others one is, and only searched.
_COMPARED = ("simple", "binary")
FORMS = frozenset[bytes]().union(*(forms(each) for values in BOOK.secrets.values() for each in values))


@pytest.fixture(scope="module", params=SERVERS, ids=lambda major: f"pg{major}")
def major(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def vaults(major: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vaults]:
    kind, missing = SERVERS[major]
    binaries = find_binaries(kind)
    if binaries is None:
        pytest.skip(missing)
    log = tmp_path_factory.mktemp("masking") / "gateway.log"
    with logging_everything(log):
        running = Vaults(log, binaries, BOOK)
        running.start()
        yield running
        running.stop()


def _ways(attempt: Attempt, major: int) -> list[str]:
    """All ways on the newest server; on the others every third one, in turns, beside the simple query."""
    first, *others = attempt.ways
    turn = (major + BOOK.attempts.index(attempt)) % 3
    return [first, *(others if major == max(SERVERS) else others[turn::3])]


def _wrong(vaults: Vaults, attempt: Attempt, way: str, *, twice: bool) -> str:
    """What shows through the gateway, "" for nothing. `twice`: compare it with what the other database shows."""
    one = vaults.heard(attempt, way, 0, through=True)
    two = vaults.heard(attempt, way, 1, through=True) if twice else one
    if leaked := found_in(one.raw + two.raw, FORMS):
        return f"{way}: {leaked[:3]} in {_differing(one, two)}"
    if not attempt.oracle and told(one) != told(two):
        return f"{way}: the answers differ: {_differing(one, two)}"
    return ""


def _differing(one: Heard, two: Heard) -> str:
    pairs = zip(told(one), told(two), strict=False)
    return str(next(((a[0], a[1][:300], b[1][:300]) for a, b in pairs if a != b), "both"))


def _broken(vaults: Vaults, attempt: Attempt) -> str:
    """Why the attempt proves nothing: it shows nothing without a gateway either, or the gateway just refuses it."""
    one, two = (vaults.heard(attempt, "simple", which, through=False) for which in (0, 1))
    if attempt.refused:
        return ""
    if told(one) == told(two):
        return f"it shows nothing even without a gateway: {one.codes} {one.raw[:300]!r}"
    through = vaults.heard(attempt, "simple", 0, through=True)
    return "" if through.codes == one.codes else f"the gateway answers {through.codes}, the server {one.codes}"


@pytest.mark.parametrize(
    "attempt", [pytest.param(each, id=re.sub(r"[^\w.-]+", "-", each.name)[:80]) for each in BOOK.attempts]
)
def test_attempt(vaults: Vaults, major: int, attempt: Attempt, request: pytest.FixtureRequest) -> None:
    if not attempt.concerns(major):
        return
    if attempt.is_known(major):
        request.applymarker(pytest.mark.xfail(reason=attempt.known, strict=True))
    if attempt.lacks and attempt.lacks in vaults.heard(attempt, "simple", 0, through=False).codes:
        return  # this server was built without it
    assert _broken(vaults, attempt) == ""
    wrong = [text for way in _ways(attempt, major) if (text := _wrong(vaults, attempt, way, twice=way in _COMPARED))]
    assert not wrong, "\n".join([attempt.name, *wrong])


@pytest.mark.parametrize(("source", "sql"), BOOK.held)
def test_what_only_people_can_stop_is_held(vaults: Vaults, source: str, sql: str) -> None:
    """Under a policy that lets reads go and holds the rest; what is held is cancelled, and nothing has shown by then."""
    line = vaults.line("strict", through=True)
    try:
        line.send(frontend.query(sql))
        kind, body, before = line.until("N", "E", "Z")
        assert kind == "N", f"4.4 {source}: it was not held: {before!r}"
        assert b"held for approval" in body
        vaults.cancel(line)
        rest = line.ask(answers=1)
        assert rest.codes == ("57014",)
        assert found_in(before + rest.raw, FORMS) == []
    finally:
        line.close()


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_drivers_are_sent(vaults: Vaults, major: int, client: Client) -> None:
    """The bytes on the sockets of real drivers, whatever they make of them; each asks five times by one statement."""
    async with Tap.to(vaults.port) as tap, asyncio.timeout(60):
        shown = await client(tap.port, vaults.token("ann"), find_binaries(SERVERS[major][0]), QUERIES)
    assert tap.heard.count(b"[redacted]") >= 5 * len(QUERIES)
    assert found_in(bytes(tap.heard), FORMS) == []
    assert all("[redacted]" in each for each in shown), shown
