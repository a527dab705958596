"""The queries of masking.yaml through real drivers, on each PostgreSQL at hand: the bytes on their sockets are searched.

`make test` asks each query through each driver on each server, in one of the driver's ways, in turns. `make drivers` asks everything
in every way and in both databases. `pytest -rP` shows the figures.
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
#: How many queries each driver is asked at least, and of a way's attempts how many run without an error, how many show a secret to
#: who asks the server directly. A way that is refused everything, or is searched in vain, is below.
_ASKED, _RAN, _SHOW = 350, 0.7, 0.5
#: Cases in which asyncpg asks the target for types that it doesn't know. Behind DDL in a transaction no name is certain, so those
#: answers are masked too: it puts a mask back into a setting, and is refused.
_TYPES_MASKED = ("column renamed in a transaction", "columns that change names", "tables that change names")


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
    return [
        each
        for each in BOOK.attempts
        if each.concerns(major) and not each.is_known(major) and way.takes(each) and not _left_out(way, each)
    ]


def _left_out(way: Way, attempt: Attempt) -> bool:
    return way.name == "asyncpg fetch" and attempt.name in _TYPES_MASKED


def _turn(way: Way, major: int) -> list[Attempt]:
    """This way's part on this server: each query goes to each driver, each case to one of them."""
    return [each for each in _attempts(way, major) if way in _chosen(each, major)]


def _chosen(attempt: Attempt, major: int) -> list[Way]:
    turn = BOOK.attempts.index(attempt) + list(SERVERS).index(major)
    fitting = [each for each in WAYS if each.takes(attempt) and not _left_out(each, attempt)]
    drivers = dict.fromkeys("any" if attempt.alone else each.driver for each in fitting)
    groups = [[each for each in fitting if driver in ("any", each.driver)] for driver in drivers]
    return [group[turn % len(group)] for group in groups]


def _ran(answers: Sequence[Answer]) -> int:
    return sum(not each.heard.codes and not each.trouble for each in answers)


def _showing(answers: Sequence[Answer]) -> list[Answer]:
    return [each for each in answers if found_in(each.heard.raw, FORMS)]


def _wrong(direct: Answer, through: Answer) -> str:
    """How the gateway's answer is not the server's, "" for not at all: other errors or counts, or bytes that the driver can't read."""
    if direct.trouble or direct.attempt.refused:
        return ""  # the driver gives up halfway without a gateway, or the refusal is the gateway's own
    if through.trouble or _outline(through) == _outline(direct):
        return through.trouble
    return f"the server answers {_outline(direct)}, the gateway {_outline(through)}"


def _outline(answer: Answer) -> list[bytes]:
    """SQLSTATEs, and tags with their counts, which an oracle may change.

    Which value of a column is the first that can't be cast depends on where earlier writes have put the rows, so any data exception
    (class 22) counts as any other.
    """
    tags = [body for kind, body in answer.heard.messages() if kind == "C" and not answer.attempt.oracle]
    return [b"22" if each.startswith("22") else each.encode() for each in answer.heard.codes] + tags


def _differ(one: Answer, two: Answer) -> bool:
    """Rows may come in another order: what was written before has not always put them in the same places."""
    return not one.attempt.oracle and sorted(told(one.heard)) != sorted(told(two.heard))


async def _ask(vaults: Vaults, way: Way, attempts: Sequence[Attempt], which: int, *, through: bool) -> Recorded:
    async with asyncio.timeout(120):
        return await way.ask(_door(vaults, which, through=through), attempts)


async def _hold_against(vaults: Vaults, way: Way, major: int, attempts: Sequence[Attempt], *, both: bool) -> None:
    """Ask directly and through the gateway, and say in one line what came of it."""
    direct = await _ask(vaults, way, attempts, 0, through=False)
    one = await _ask(vaults, way, attempts, 0, through=True)
    if both:  # both databases are written to as often, so that their rows lie in the same order
        await _ask(vaults, way, attempts, 1, through=False)
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


_each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))


@_each_way
async def test_a_turn_of_each_way(vaults: Vaults, major: int, way: Way) -> None:
    await _hold_against(vaults, way, major, _turn(way, major), both=False)


@pytest.mark.heavy
@_each_way
async def test_everything_in_each_way(vaults: Vaults, major: int, way: Way) -> None:
    await _hold_against(vaults, way, major, _attempts(way, major), both=True)


@pytest.mark.parametrize("major", SERVERS)
def test_each_driver_has_its_turn_with_each_query(major: int) -> None:
    turns = {way: _turn(way, major) for way in WAYS}
    for driver in ("psql", "psycopg", "asyncpg"):
        asked = [each for way in WAYS if way.driver == driver for each in turns[way] if not each.alone]
        assert len(asked) == len(set(map(id, asked))) >= _ASKED
