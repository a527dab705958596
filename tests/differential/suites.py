"""The drivers' own test suites, run against PostgreSQL and through the gateway: what passes directly must pass through.

    python -m tests.differential.suites [--keep OUT] [--server KIND] SUITE DIRECTORY [PYTEST ARGUMENT ...]

DIRECTORY is the driver's unpacked sdist or a checkout of it (`make suites` fetches sdists; psycopg's has no tests). None of
it is part of this repository. The tests are copied away from the driver's source, so that the installed driver is tested, in
an environment of its own below OUT. `EXCEPTIONS` lists what fails through the gateway alone, by design: with which answer,
to which statement, by which rule. docs/suites.md has the figures.
"""

import argparse
import asyncio
import logging
import os
import shutil
import sys
import venv
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

from gateway import logs
from gateway.demo.issuer import Account
from gateway.demo.postgres import find_binaries
from gateway.demo.run import HOST
from tests.differential.pair import Open
from tests.differential.regress import ByDesign

#: The suites log in by this name, which pg8000's has written into it, and want a superuser.
LOGIN = "postgres"
#: Databases that the suites connect to, beside the one of that name; some are made by a test itself.
DATABASES = (LOGIN, "testdb", "asyncpg_intro_test", "pg8000_scram_sha_256")
#: A test that takes longer hangs, in seconds; asyncpg's creates 1,000 tables.
LIMIT = 300


@dataclass(frozen=True)
class Suite:
    """What a driver's tests need: packages beside pytest, the files to copy, pytest's arguments, and SQL to begin with.

    `dsn` is the variable that says where to connect, if it isn't libpq's own ones.
    """

    packages: tuple[str, ...]
    files: tuple[str, ...]
    arguments: tuple[str, ...]
    begin: str = ""
    dsn: str = ""


SUITES = {
    "asyncpg": Suite(
        ("asyncpg==0.32.0", "uvloop", "distro"),
        ("tests", "pyproject.toml"),
        ("tests",),
    ),
    "psycopg": Suite(
        ("psycopg[binary]==3.3.9", "psycopg-pool", "anyio", "pproxy", "dnspython", "numpy", "shapely"),
        ("tests", "tools", "pyproject.toml"),
        (
            "tests",
            "-m",
            "not (slow or timing or gevent or dns)",
            "--ignore=tests/pool",  # the pool's own threads, hours of sleeps
            "--ignore=tests/crdb",
            "--ignore=tests/test_typing.py",  # these two run mypy
            "--ignore=tests/test_module.py",
        ),
        dsn="PSYCOPG_TEST_DSN",
    ),
    "pg8000": Suite(
        ("pg8000==1.31.6", "pytest-mock", "pytest-benchmark", "pytz"),
        ("test", "README.md"),
        ("--benchmark-disable", "test"),
        "CREATE EXTENSION hstore",
    ),
}

_LOGIN = (
    "interface.md, On the wire: identity comes from the token alone; every refusal of token, user or target is 28000"
)
_NO_TARGET = ByDesign("a login to a database that is no target", "login refused: unknown token, user or target", _LOGIN)
_PASSWORD = ByDesign("a login with a password that is no token", "token refused", _LOGIN)
_LEFT = ByDesign("CREATE ROLE boltzmann, which a refused test has left", 'role "boltzmann" already exists', _LOGIN)
_ENCODING = ByDesign(
    "SET client_encoding TO LATIN1 (and others), PGCLIENTENCODING",
    "client_encoding",
    "interface.md, On the wire: 22023",
)
_ASCII = ByDesign(
    "SET client_encoding TO sql_ascii: the tests expect undecoded bytes",
    "AssertionError: assert ",
    "interface.md, On the wire: SQL_ASCII becomes UTF8 on the target",
)
_BOUND_ENCODING = ByDesign(
    "SELECT set_config($1, $2, false) with client_encoding and LATIN1, SQL_ASCII",
    "client_encoding",
    "interface.md, On the wire: 22023",
)
_STRINGS = ByDesign(
    "SET standard_conforming_strings TO off", "standard_conforming_strings", "enforcement.md, 4.1 row 1: pinned on"
)
#: libpq's own tests look at a status only.
_EITHER = ByDesign("SET client_encoding or standard_conforming_strings", "FATAL_ERROR", "as for the others")
_NO_SYNC = ByDesign(
    "writes in a pipeline that is never ended by Sync or Flush",
    "Timeout",
    "architecture.md, The Session: a batch goes on at its Sync, its Flush or with 64 KiB, when it was judged",
)

#: By suite: each refusal by design and how the names of its tests begin.
EXCEPTIONS: Mapping[str, tuple[tuple[ByDesign, tuple[str, ...]], ...]] = {
    "asyncpg": (),
    "psycopg": (
        (
            _ENCODING,
            (
                "tests.test_column::test_name_encode[",
                "tests.test_connection_info::test_encoding_env_var[eu",
                "tests.test_connection_info::test_set_encoding_unsupported",
                "tests.test_cursor_client::test_mogrify_",
                "tests.test_cursor_client_async::test_mogrify_",
                "tests.test_cursor_common::test_query_",
                "tests.test_cursor_common_async::test_query_",
                "tests.test_errors::test_diag_encoding[",
                "tests.test_errors::test_error_encoding[",
                "tests.test_sql.",
                "tests.types.",
            ),
        ),
        (_BOUND_ENCODING, ("tests.test_connection_info::test_normalize_encoding[", "tests.test_typeinfo::test_fetch")),
        (_ASCII, ("tests.types.test_string::test_load_ascii[", "tests.types.test_string::test_text_array_ascii[")),
        (_BOUND_ENCODING, ("tests.types.test_hstore::test_register_conn",)),
        (_STRINGS, ("tests.test_sql::test_quote_", "tests.types.test_string::test_quote_1")),
        (
            _EITHER,
            (
                "tests.pq.test_escaping::",
                "tests.pq.test_misc::test_error_message_encoding",
                "tests.pq.test_pgconn::test_encoding",
            ),
        ),
        (_PASSWORD, ("tests.pq.test_pgconn::test_change_password",)),
        (_NO_SYNC, ("tests.test_generators::test_pipeline_communicate_uniqviol",)),
    ),
    "pg8000": ((_NO_TARGET, ("test.",)), (_PASSWORD, ("test.",)), (_LEFT, ("test.",))),
}


@dataclass(frozen=True)
class Door:
    """Where a suite connects."""

    name: str
    port: int
    password: str

    def environment(self, dsn: str) -> dict[str, str]:
        """The process's own, with variables that lead through this door and no others of libpq's."""
        place = {"host": HOST, "port": str(self.port), "user": LOGIN, "password": self.password}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTHON", "VIRTUAL"))}
        if dsn:
            return kept | {dsn: " ".join(f"{key}={value}" for key, value in (place | {"dbname": LOGIN}).items())}
        return kept | {f"PG{key.upper()}": value for key, value in (place | {"database": LOGIN}).items()}


@dataclass(frozen=True)
class Result:
    """How a test ended: passed, skipped, xfailed, failed or error; and the text of its failure."""

    outcome: str
    text: str = ""

    @property
    def bad(self) -> bool:
        return self.outcome in {"failed", "error"}


def read_results(report: Path) -> dict[str, Result]:
    """The results of a JUnit report by test; of several entries for a test (its teardown, subtests) a bad one wins."""
    results: dict[str, Result] = {}
    for case in Xml.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        result = _result(case)
        before = results.get(name)
        if before is not None and before.bad and result.bad:
            result = Result(before.outcome, before.text + result.text)
        if before is None or result.bad:
            results[name] = result
    return results


def _result(case: Xml.Element) -> Result:
    for tag, outcome in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            expected = found.get("type") == "pytest.xfail"
            return Result("xfailed" if expected else outcome, f"{found.get('message', '')}\n{found.text or ''}")
    return Result("passed")


@dataclass(frozen=True)
class Place:
    """A suite, copied, with an environment of its own."""

    suite: Suite
    directory: Path
    python: Path

    @classmethod
    async def make(cls, suite: Suite, source: Path, keep: Path) -> "Place":
        directory, environment = keep / "suite", keep / "environment"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for each in suite.files:
            copy = shutil.copytree if (source / each).is_dir() else shutil.copy
            copy(source / each, directory / each)
        if "pyproject.toml" not in suite.files:
            (directory / "pytest.ini").write_text("[pytest]\n", "utf-8")  # else pytest reads this repository's settings
        python = environment / "bin" / "python"
        if not python.exists():
            await asyncio.to_thread(venv.create, environment, with_pip=True)
        made = cls(suite, directory, python.absolute())
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        if code := await made.run(*pip, "pytest", "pytest-timeout", *suite.packages):
            raise SystemExit(f"pip ended with {code}")
        return made

    async def run(self, *words: str, environment: Mapping[str, str] | None = None, log: Path | None = None) -> int:
        """Run Python with these arguments in the suite's directory; returns its exit code."""
        with (log or Path(os.devnull)).open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                self.python,
                *words,
                cwd=self.directory,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output if log else None,
                stderr=asyncio.subprocess.STDOUT if log else None,
            )
            return await process.wait()

    async def test(self, door: Door, keep: Path, extra: list[str]) -> dict[str, Result]:
        """Run the suite through a door. Raises FileNotFoundError where pytest did not come to its report."""
        report = (keep / f"{door.name}.xml").absolute()
        report.unlink(missing_ok=True)
        options = ("-m", "pytest", "-ra", "-q", f"--timeout={LIMIT}", f"--junit-xml={report}")
        words = (*options, *self.suite.arguments, *extra)
        await self.run(*words, environment=door.environment(self.suite.dsn), log=keep / f"{door.name}.log")
        return read_results(report)


@asynccontextmanager
async def open_doors(binaries: Path | None, begin: str) -> AsyncIterator[tuple[Door, Door]]:
    """Two servers of one kind: one alone, the other behind an open gateway. On both `begin` is done first."""
    async with _opened(binaries) as alone, _opened(binaries) as through:
        for each in (alone, through):
            await each.target.psql(begin)
        token = through.issuer.mint(Account(LOGIN, "person-postgres", LOGIN, None, ()), lifetime=12 * 3600)
        yield Door("direct", alone.target.port, alone.password), Door("gateway", through.port, token)


@asynccontextmanager
async def _opened(binaries: Path | None) -> AsyncIterator[Open]:
    opened = Open(*DATABASES, binaries=binaries, login=LOGIN)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


def by_design(suite: str, test: str, result: Result) -> ByDesign | None:
    """The refusal by design that explains this failure through the gateway."""
    for refusal, names in EXCEPTIONS[suite]:
        if test.startswith(names) and refusal.answer in result.text:
            return refusal
    return None


def differences(suite: str, direct: Mapping[str, Result], gateway: Mapping[str, Result]) -> dict[str, ByDesign | str]:
    """By test, what ended otherwise through the gateway than directly: why that is by design, or both outcomes."""
    found: dict[str, ByDesign | str] = {}
    for name in sorted(direct.keys() | gateway.keys()):
        left, right = direct.get(name, Result("absent")), gateway.get(name, Result("absent"))
        if left.outcome == right.outcome or (left.bad and right.bad):
            continue
        first = (right.text or left.text).strip().partition("\n")[0]
        unexplained = f"direct {left.outcome}, gateway {right.outcome}: {first}"
        found[name] = by_design(suite, name, right) or unexplained
    return found


def summary(results: Mapping[str, Result]) -> str:
    """Counts by outcome."""
    counts = Counter(each.outcome for each in results.values())
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))


async def compare(name: str, source: Path, keep: Path, binaries: Path | None, extra: list[str]) -> int:
    """Run one suite at both doors; returns how many tests differ in a way that no exception explains."""
    suite = SUITES[name]
    place = await Place.make(suite, source, keep)
    columns = []
    async with open_doors(binaries, suite.begin) as doors:
        for door in doors:
            columns.append(await place.test(door, keep, extra))
            print(f"{name}, {door.name}: {summary(columns[-1])}", flush=True)
    found = differences(name, *columns)
    explained = {test: why for test, why in found.items() if isinstance(why, ByDesign)}
    for test, why in explained.items():
        print(f"{test}: {why.statement} - {why.rule}")
    for test, outcomes in found.items():
        if test not in explained:
            print(f"{test}: {outcomes}")
    print(f"{len(explained)} by design, {len(found) - len(explained)} others differ")
    return len(found) - len(explained)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("directory", type=Path)
    parser.add_argument(
        "--keep", type=Path, default=Path("artifacts/suites"), help="where reports and logs are written"
    )
    parser.add_argument("--server", choices=("embedded", "celerp", "debian"), default="embedded", help="18, 17, 15")
    arguments, extra = parser.parse_known_args()
    logs.configure("console", logging.ERROR)
    keep = arguments.keep / arguments.suite
    keep.mkdir(parents=True, exist_ok=True)
    binaries = find_binaries(arguments.server)
    sys.exit(1 if asyncio.run(compare(arguments.suite, arguments.directory, keep, binaries, extra)) else 0)


if __name__ == "__main__":
    main()
