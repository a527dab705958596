"""PostgreSQL's own regression SQL, played by psql to PostgreSQL and through the gateway; the outputs must be the same.

    python -m tests.differential.regress [--keep OUT] DIRECTORY [NAME ...]

DIRECTORY holds PostgreSQL's regress files, `*.sql` (the sdist of pglast has them: `make regress` fetches it; none of them is
part of this repository). Each file gets a fresh database in each of two clusters, made from one in which test_setup.sql ran.
`EXCEPTIONS` lists what must differ, where it begins to, and why. It takes about half an hour: each DDL statement makes the
gateway read the target's catalog again.
"""

import argparse
import asyncio
import difflib
import logging
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway import logs
from gateway.demo import sample
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.run import HOST
from tests.differential.pair import MAKE_OPEN, Open

DATABASE = "regression"
TEMPLATE = "regression_template"
#: A file that takes longer hangs; alter_table takes minutes.
LIMIT = 600.0
#: pg_regress.c, initialize_environment: what expected outputs are made under.
_ENVIRONMENT = {
    "PGTZ": "America/Los_Angeles",
    "PGDATESTYLE": "Postgres, MDY",
    "PGOPTIONS": "-c intervalstyle=postgres_verbose",
    "LC_MESSAGES": "C",
    "PG_ABS_SRCDIR": "/nowhere",
    "PG_ABS_BUILDDIR": "/nowhere",
    "PG_LIBDIR": "/nowhere",
    "PG_DLSUFFIX": ".so",
}


@dataclass(frozen=True)
class ByDesign:
    """A refusal by design: the statement, a part of the first line that differs, and the page that says so."""

    statement: str
    answer: str
    rule: str


_SETTINGS = "interface.md, On the wire: settings under which texts could be read in two ways are refused (22023)"
EXCEPTIONS = {
    "copyencoding": ByDesign("SET client_encoding TO LATIN1", 'client_encoding "latin1" is not supported', _SETTINGS),
    "largeobject": ByDesign(
        r"\lo_unlink, \lo_export (FunctionCall messages)",
        "the function call protocol is not supported",
        "enforcement.md, decision 7: FunctionCall is refused",
    ),
    "plpgsql": ByDesign(
        "SET standard_conforming_strings = off", 'standard_conforming_strings "off" is not supported', _SETTINGS
    ),
    "strings": ByDesign(
        "SET standard_conforming_strings TO off", 'standard_conforming_strings "off" is not supported', _SETTINGS
    ),
}


@dataclass(frozen=True)
class Door:
    """Where psql connects: `owner` is the cluster in which its database is made."""

    owner: EmbeddedPostgres
    port: int
    password: str

    async def fresh(self, template: str = TEMPLATE) -> None:
        await self.owner.psql(
            f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE); CREATE DATABASE {DATABASE} TEMPLATE {template};"
        )

    async def play(self, file: Path) -> bytes:
        """What psql says to this file."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment |= _ENVIRONMENT | {"PGPASSWORD": self.password, "PGAPPNAME": f"pg_regress/{file.stem}"}
        place = f"host={HOST} port={self.port} dbname={DATABASE} user=hoop sslmode=disable"
        words = ["-X", "-a", "-q", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-d", place]
        with file.open("rb") as script, tempfile.TemporaryFile() as output:
            process = await asyncio.create_subprocess_exec(
                self.owner.binaries / "psql",
                *words,
                stdin=script,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                cwd=file.parent,
            )
            try:
                async with asyncio.timeout(LIMIT):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                output.write(b"*** stopped by the time limit\n")
            output.seek(0)
            said = output.read()
        return re.sub(rb"\b%d\b" % self.port, b"PORT", said)


def difference(left: bytes, right: bytes) -> list[str]:
    """The changed lines, with a little of what stands around them."""
    before, after = (each.decode("utf-8", "replace").splitlines() for each in (left, right))
    return list(difflib.unified_diff(before, after, "direct", "gateway", lineterm=""))


async def _set_up(door: Door, directory: Path) -> None:
    await door.owner.psql(f"CREATE DATABASE {DATABASE};")
    await door.play(directory / "test_setup.sql")
    await door.owner.psql(f"ALTER DATABASE {DATABASE} RENAME TO {TEMPLATE};")


@contextmanager
def _reachable() -> Iterator[Path]:
    """A directory for the duration; as root the server runs as another uid and must come in."""
    with tempfile.TemporaryDirectory(prefix="hoop-regress-") as base:
        Path(base).chmod(0o711)
        yield Path(base)


@asynccontextmanager
async def _doors(directory: Path) -> AsyncIterator[tuple[Door, Door]]:
    """PostgreSQL alone, and the gateway with another behind it, both with the template made."""
    through = Open(DATABASE)
    await through.start()
    try:
        with _reachable() as base:
            alone = await EmbeddedPostgres.start(base)
            try:
                loaded = await sample.load(alone)
                await alone.psql(MAKE_OPEN)
                direct = Door(alone, alone.port, loaded.shop_password)
                for door in (direct, Door(through.target, through.target.port, through.password)):
                    await _set_up(door, directory)
                yield direct, Door(through.target, through.port, through.token("ann"))
            finally:
                await alone.stop()
    finally:
        await through.stop()


def _judged(name: str, found: list[str]) -> str:
    """What to print of a file that differs; "" where it differs as EXCEPTIONS says and begins to with that answer."""
    first = next((each[1:] for each in found[2:] if each.startswith("+")), "")
    exception = EXCEPTIONS.get(name)
    if exception is not None and exception.answer in first:
        return ""
    return f"{name}: {sum(each[:1] in '+-' for each in found[2:])} lines differ, first {first!r}"


async def _compare_one(file: Path, doors: tuple[Door, Door], keep: Path) -> str:
    said = []
    for door in doors:
        await door.fresh()
        said.append(await door.play(file))
    found = difference(*said)
    if not found:
        return f"{file.stem}: the same, though it is an exception" if file.stem in EXCEPTIONS else ""
    (keep / f"{file.stem}.diff").write_text("\n".join(found))
    return _judged(file.stem, found)


async def compare(directory: Path, files: list[Path], keep: Path) -> int:
    """Play the files; returns how many differ in a way that no exception explains."""
    wrong = 0
    async with _doors(directory) as doors:
        for file in files:
            problem = await _compare_one(file, doors, keep)
            if problem:
                wrong += 1
                print(problem, flush=True)
    excepted = sorted({each.stem for each in files} & EXCEPTIONS.keys())
    print(f"{len(files)} files, {wrong} differ; exceptions:")
    for name in excepted:
        print(f"  {name}: {EXCEPTIONS[name].statement} - {EXCEPTIONS[name].rule}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument(
        "--keep", type=Path, default=Path("artifacts/regress"), help="where the differences are written"
    )
    arguments = parser.parse_args()
    logs.configure("console", logging.ERROR)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    files = [arguments.directory / f"{name}.sql" for name in arguments.names]
    files = files or sorted(arguments.directory.glob("*.sql"))
    sys.exit(1 if asyncio.run(compare(arguments.directory, files, arguments.keep)) else 0)


if __name__ == "__main__":
    main()
