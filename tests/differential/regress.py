"""PostgreSQL's own regression SQL, played by psql to PostgreSQL and through the gateway; the outputs must be the same.

    python -m tests.differential.regress [--keep OUT] [--lanes N] [--limit SECONDS] [--left] [--server KIND] DIRECTORY [NAME ...]

DIRECTORY holds PostgreSQL's regress files, `*.sql` (the sdist of pglast has them: `make regress` fetches it; none of them is
part of this repository). Each file gets a fresh database in each of two clusters, made from one in which test_setup.sql ran.
A lane is a process with both clusters and a gateway of its own. Where the outputs differ the file is played to PostgreSQL a
second time: lines that differ there too (OIDs, times) prove nothing, all others count. OUT gets each difference and a line
for each file in verdicts.jsonl; `--left` plays only what has no good line there yet.
`EXCEPTIONS` lists what must differ, where it begins to, and why; without those statements the file must be the same.
"""

import argparse
import asyncio
import difflib
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing import Process, Queue
from pathlib import Path
from typing import get_args

from gateway import logs
from gateway.demo import sample
from gateway.demo.postgres import EmbeddedPostgres, Kind, find_binaries
from gateway.demo.run import HOST
from tests.differential.pair import MAKE_OPEN, Open

DATABASE = "regression"
TEMPLATE = "regression_template"
VERDICTS = "verdicts.jsonl"
STOPPED = b"*** stopped by the time limit\n"
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
    """A refusal by design: the statement, a part of the first line that differs, and the page that says so.

    `cut`: what to take out of the file, as a regular expression of whole lines. Without it the outputs must be the same.
    """

    statement: str
    answer: str
    rule: str
    cut: str = ""


_SETTINGS = "interface.md, On the wire: settings under which texts could be read in two ways are refused (22023)"
_STRINGS = "SET standard_conforming_strings = off", 'standard_conforming_strings "off" is not supported', _SETTINGS
_OFF = r"set standard_conforming_strings (=|to) off;"
EXCEPTIONS = {
    "copyencoding": ByDesign(
        "SET client_encoding TO LATIN1",
        'client_encoding "latin1" is not supported',
        _SETTINGS,
        cut=r"SET client_encoding TO (LATIN1|EUC_JP);",
    ),
    "event_trigger_login": ByDesign(
        "a login trigger that writes",
        "cannot execute INSERT in a read-only transaction",
        "enforcement.md, decision 3: the target's session is started with default_transaction_read_only=on",
        cut=r"  INSERT INTO user_logins .*;",
    ),
    "largeobject": ByDesign(
        r"\lo_unlink, \lo_import, \lo_export (FunctionCall messages)",
        "the function call protocol is not supported",
        "enforcement.md, decision 7: FunctionCall is refused",
        cut=r"\\lo_(unlink|import|export) .*",
    ),
    "plpgsql": ByDesign(*_STRINGS, cut=_OFF),
    # The texts that are written for `off` would not end under `on`.
    "strings": ByDesign(*_STRINGS, cut=_OFF + r"|select 'a\\\\bcd' .*"),
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

    async def play(self, file: Path, limit: float) -> bytes:
        """What psql says to this file; STOPPED at the end if it did not end within `limit` seconds."""
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
                async with asyncio.timeout(limit):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                output.seek(0, os.SEEK_END)
                output.write(STOPPED)
            output.seek(0)
            said = output.read()
        return re.sub(rb"\b%d\b" % self.port, b"PORT", said)


def _lines(said: bytes) -> list[str]:
    return said.decode("utf-8", "replace").splitlines()


def difference(left: bytes, right: bytes) -> list[str]:
    """The changed lines, with a little of what stands around them."""
    return list(difflib.unified_diff(_lines(left), _lines(right), "direct", "gateway", lineterm=""))


def moves(direct: bytes, again: bytes, gateway: bytes) -> bool:
    """Does the gateway's output differ only where two runs without it differ as well?"""
    return _changed(direct, gateway) <= _changed(direct, again)


def _changed(left: bytes, right: bytes) -> set[int]:
    """Which lines of `left` are others in `right`; a line that came in counts as a change of the one before it."""
    match = difflib.SequenceMatcher(None, _lines(left), _lines(right), autojunk=False)
    return {
        line
        for what, begin, end, *_ in match.get_opcodes()
        if what != "equal"
        for line in range(min(begin, end - 1), end)
    }


async def _set_up(door: Door, directory: Path) -> None:
    await door.owner.psql(f"CREATE DATABASE {DATABASE};")
    await door.play(directory / "test_setup.sql", 60.0)
    await door.owner.psql(f"ALTER DATABASE {DATABASE} RENAME TO {TEMPLATE};")


@contextmanager
def _reachable() -> Iterator[Path]:
    """A directory for the duration; as root the server runs as another uid and must come in."""
    with tempfile.TemporaryDirectory(prefix="hoop-regress-") as base:
        Path(base).chmod(0o711)
        yield Path(base)


@dataclass(frozen=True)
class Run:
    """What one call was asked for. `directory` holds the files, `keep` gets the verdicts; `limit` in seconds a file."""

    directory: Path
    keep: Path
    limit: float
    lanes: int
    binaries: Path


@asynccontextmanager
async def _doors(run: Run) -> AsyncIterator[tuple[Door, Door]]:
    """PostgreSQL alone, and the gateway with another behind it, both with the template made."""
    through = Open(DATABASE, binaries=run.binaries)
    await through.start()
    try:
        with _reachable() as base:
            alone = await EmbeddedPostgres.start(base, binaries=run.binaries)
            try:
                loaded = await sample.load(alone)
                await alone.psql(MAKE_OPEN)
                direct = Door(alone, alone.port, loaded.shop_password)
                for door in (direct, Door(through.target, through.target.port, through.password)):
                    await _set_up(door, run.directory)
                yield direct, Door(through.target, through.port, through.token("ann"))
            finally:
                await alone.stop()
    finally:
        await through.stop()


@dataclass(frozen=True)
class Verdict:
    """What one file showed. `found`: same; moves (as between two direct runs); excepted; differs; stopped (no end in time)."""

    name: str
    found: str
    lines: int = 0
    first: str = ""
    seconds: tuple[float, ...] = ()

    @property
    def good(self) -> bool:
        return self.found in {"same", "moves", "excepted"}


def judged(name: str, found: list[str]) -> Verdict:
    """Of a file that differs: as EXCEPTIONS says, or otherwise?"""
    first = next((each[1:] for each in found[2:] if each.startswith("+")), "")
    exception = EXCEPTIONS.get(name)
    what = "excepted" if exception is not None and exception.answer in first else "differs"
    return Verdict(name, what, sum(each[:1] in "+-" for each in found[2:]), first)


async def _played(door: Door, file: Path, limit: float) -> tuple[bytes, float]:
    began = time.monotonic()
    await door.fresh()
    return await door.play(file, limit), round(time.monotonic() - began, 1)


async def _compare_one(file: Path, doors: tuple[Door, Door], run: Run) -> Verdict:
    verdict = await _compared(file, doors, run)
    if file.stem not in EXCEPTIONS or verdict.found in {"differs", "stopped"}:
        return verdict
    if verdict.found != "excepted":
        return replace(verdict, found="differs", first="the same, though it is an exception")
    with _cut(file) as rest:
        found = await _compared(rest, doors, run)
    return verdict if found.found in {"same", "moves"} else replace(found, found="differs")


@contextmanager
def _cut(file: Path) -> Iterator[Path]:
    """The file without what its exception is about, under the same name."""
    with tempfile.TemporaryDirectory() as place:
        rest = Path(place, file.name)
        rest.write_bytes(without(EXCEPTIONS[file.stem].cut, file.read_bytes()))
        yield rest


def without(cut: str, script: bytes) -> bytes:
    """The script without the lines that are `cut`."""
    return re.sub(rb"(?mi)^(%s)\n" % cut.encode(), b"", script)


async def _compared(file: Path, doors: tuple[Door, Door], run: Run) -> Verdict:
    played = [await _played(door, file, run.limit) for door in doors]
    (direct, gateway), seconds = (each[0] for each in played), tuple(each[1] for each in played)
    path = run.keep / f"{file.stem}.diff"
    path.unlink(missing_ok=True)
    if direct == gateway:
        return Verdict(file.stem, "same", seconds=seconds)
    if STOPPED in direct + gateway:
        return Verdict(file.stem, "stopped", seconds=seconds)
    found = difference(direct, gateway)
    path.write_text("\n".join(found))
    verdict = replace(judged(file.stem, found), seconds=seconds)
    again, _ = await _played(doors[0], file, run.limit)
    return replace(verdict, found="moves") if moves(direct, again, gateway) else verdict


async def _lane(files: "Queue[Path | None]", verdicts: "Queue[Verdict | None]", run: Run) -> None:
    async with _doors(run) as doors:
        while (file := files.get()) is not None:  # never waits: all of them are there
            verdicts.put(await _compare_one(file, doors, run))


def _run_lane(files: "Queue[Path | None]", verdicts: "Queue[Verdict | None]", run: Run) -> None:
    """A lane's process: plays files until there is none left. Its last word is None, however it ends."""
    logs.configure("console", logging.ERROR)
    try:
        asyncio.run(_lane(files, verdicts, run))
    finally:
        verdicts.put(None)


def _ended(verdicts: "Queue[Verdict | None]", lanes: int) -> Iterator[Verdict]:
    while lanes:
        verdict = verdicts.get()
        if verdict is None:
            lanes -= 1
        else:
            yield verdict


def compare(files: list[Path], run: Run) -> list[Verdict]:
    """Play the files; what they showed, in the order in which they ended."""
    todo: Queue[Path | None] = Queue()
    verdicts: Queue[Verdict | None] = Queue()
    for file in [*files, *[None] * run.lanes]:
        todo.put(file)
    running = [Process(target=_run_lane, args=(todo, verdicts, run)) for _ in range(run.lanes)]
    for lane in running:
        lane.start()
    found = []
    with (run.keep / VERDICTS).open("a", encoding="utf-8") as kept:
        for each in _ended(verdicts, run.lanes):
            found.append(each)
            print(f"{each.name}: {each.found} {each.seconds} {each.lines or ''} {each.first}", flush=True)
            print(json.dumps(asdict(each)), file=kept, flush=True)
    for lane in running:
        lane.join()
    return found


def _good(keep: Path) -> set[str]:
    """The files whose last verdict in `keep` is a good one."""
    path = keep / VERDICTS
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    last = {each["name"]: Verdict(**each) for each in map(json.loads, lines)}
    return {name for name, verdict in last.items() if verdict.good}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--keep", type=Path, default=Path("artifacts/regress"), help="where the verdicts are written")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which a file counts as hanging")
    parser.add_argument("--left", action="store_true", help="only files without a good verdict in KEEP")
    parser.add_argument("--server", choices=get_args(Kind), default="embedded", help="18, 17 or Debian's 15")
    given = parser.parse_args()
    binaries = find_binaries(given.server)
    if binaries is None:
        parser.error(f"the server {given.server} is not installed")
    given.keep.mkdir(parents=True, exist_ok=True)
    files = [given.directory / f"{name}.sql" for name in given.names] or sorted(given.directory.glob("*.sql"))
    done = _good(given.keep) if given.left else set()
    files = [each for each in files if each.stem not in done]
    found = compare(files, Run(given.directory, given.keep, given.limit, given.lanes, binaries))
    counts = Counter(each.found for each in found)
    print(f"{len(found)} of {len(files)} files:", ", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(0 if len(found) == len(files) and all(each.good for each in found) else 1)


if __name__ == "__main__":
    main()
