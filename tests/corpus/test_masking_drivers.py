"""The queries of masking.yaml through real drivers, on each PostgreSQL at hand: the bytes on their sockets are searched.

`make test` asks each query in each way on one of the servers, in turns; `make drivers` everything everywhere, in both databases.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.demo.postgres import find_binaries
from tests.corpus.askers import WAYS, Answer, Door, Recorded, Way
from tests.corpus.attempts import Attempt, load
from tests.corpus.forms import forms, found_in
from tests.corpus.line import told
from tests.corpus.test_bypass import SERVERS
from tests.corpus.vaults import DATABASES, Vaults
from tests.e2e.stack import logging_everything

BOOK = load(Path(__file__).with_name("masking.yaml"))
FORMS = frozenset[bytes]().union(*(forms(each) for values in BOOK.secrets.values() for each in values))
#: In these the answers of both databases are compared each time; in the others by `make drivers`.
_COMPARED = ("psql simple", "psycopg binary", "asyncpg fetch")
#: Of the attempts that are asked: how many there are at least, how many run without an error, how many show a secret to who
#: asks the server directly. A way that is refused everything, or searched in vain, is below.
_ASKED, _RAN, _SHOW = 300, 0.75, 0.6
_PARTS = len(SERVERS)


@pytest.fixture(scope="module", params=SERVERS, ids=lambda major: f"pg{major}")
def major(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def vaults(major: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vaults]:
    kind, missing = SERVERS[major]
    binaries = find_binaries(kind)
    if binaries is None or find_binaries() is None:
        pytest.skip(missing)
    log = tmp_path_factory.mktemp("drivers") / "gateway.log"
    with logging_everything(log):
        running = Vaults(log, binaries, BOOK)
        running.start()
        yield running
        running.stop()


def _door(vaults: Vaults, which: int, *, through: bool) -> Door:
    newest = find_binaries()
    assert newest is not None
    port, password = (vaults.port, vaults.token("ann")) if through else vaults.directly
    return Door(port, password, DATABASES[which], which, BOOK, vaults.binaries / "psql", newest / "psql")


def _attempts(way: Way, major: int) -> list[Attempt]:
    return [each for each in BOOK.attempts if each.concerns(major) and not each.is_known(major) and way.takes(each)]


def _turn(way: Way, major: int) -> list[Attempt]:
    """This server's part: over all servers each attempt has its turn."""
    first = (WAYS.index(way) + list(SERVERS).index(major)) % _PARTS
    return [each for each in _attempts(way, major) if BOOK.attempts.index(each) % _PARTS == first]


def _ran(answers: Sequence[Answer]) -> int:
    return sum(not each.heard.codes and not each.trouble for each in answers)


def _showing(answers: Sequence[Answer]) -> list[Answer]:
    return [each for each in answers if found_in(each.heard.raw, FORMS)]


def _wrong(direct: Answer, through: Answer) -> str:
    """How the gateway's answer is not the server's, "" for not at all: another error, or bytes that the driver can't read."""
    if through.heard.codes != direct.heard.codes and not direct.attempt.refused:
        return f"the server answers {direct.heard.codes}, the gateway {through.heard.codes}"
    return through.trouble if not direct.trouble else ""


def _differ(one: Answer, two: Answer) -> bool:
    return not one.attempt.oracle and told(one.heard) != told(two.heard)


async def _ask(vaults: Vaults, way: Way, attempts: Sequence[Attempt], which: int, *, through: bool) -> Recorded:
    async with asyncio.timeout(120):
        return await way.ask(_door(vaults, which, through=through), attempts)


async def _hold_against(vaults: Vaults, way: Way, major: int, attempts: Sequence[Attempt], *, both: bool) -> None:
    """Ask directly and through the gateway, and say in one line what came of it."""
    direct = await _ask(vaults, way, attempts, 0, through=False)
    one = await _ask(vaults, way, attempts, 0, through=True)
    two = await _ask(vaults, way, attempts, 1, through=True) if both else one
    leaks = _showing([*one.answers, *two.answers])
    shown, ran = len(_showing(direct.answers)), _ran(one.answers)
    print(f"PostgreSQL {major}, {way.name}: {len(attempts)} asked, {ran} ran without error, {shown} show a secret directly, "
          f"{len(leaks)} through the gateway")  # fmt: skip
    assert [f"{each.attempt.name}: {found_in(each.heard.raw, FORMS)[:3]}" for each in leaks] == []
    assert found_in(one.raw + two.raw, FORMS) == []
    pairs = zip(direct.answers, one.answers, strict=True)
    assert [f"{each.attempt.name}: {wrong}" for each, other in pairs if (wrong := _wrong(each, other))] == []
    pairs = zip(one.answers, two.answers, strict=True)
    assert [each.attempt.name for each, other in pairs if _differ(each, other)] == []
    assert ran >= _RAN * len(attempts)
    assert shown >= _SHOW * len(attempts)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))
async def test_a_turn_of_each_way(vaults: Vaults, major: int, way: Way) -> None:
    attempts = _turn(way, major)
    assert len(attempts) >= _ASKED * 0.9 / _PARTS
    await _hold_against(vaults, way, major, attempts, both=way.name in _COMPARED)


@pytest.mark.heavy
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))
async def test_everything_in_each_way(vaults: Vaults, major: int, way: Way) -> None:
    attempts = _attempts(way, major)
    assert len(attempts) >= _ASKED - 25 * (major < max(SERVERS))
    await _hold_against(vaults, way, major, attempts, both=True)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))
def test_over_all_servers_each_attempt_has_its_turn(way: Way) -> None:
    newest = max(SERVERS)
    everywhere = [each for each in _attempts(way, newest) if all(each.concerns(major) for major in SERVERS)]
    turns = [each.name for major in SERVERS for each in _turn(way, major)]
    assert {each.name for each in everywhere} <= set(turns)
