"""PostgreSQL's own regression SQL, played by psql to PostgreSQL and through the gateway; the outputs must be the same.

    python -m tests.differential.regress DIRECTORY [--keep OUT] [NAME ...]

DIRECTORY holds PostgreSQL's regress files, `*.sql` (the sdist of pglast has them: `make regress` fetches it; none of them is
part of this repository). Each file gets a fresh database in each of two clusters, made from one in which test_setup.sql ran.
A file that differs is played once more directly: lines that differ between the two direct runs, too, say nothing.
`EXCEPTIONS` lists what may differ, and why.
"""

import argparse
import asyncio
import difflib
import logging
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from gateway import logs
from gateway.demo import sample
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.run import HOST
from tests.differential.pair import MAKE_OPEN, Open

DATABASE = "regression"
TEMPLATE = "regression_template"
#: A file that takes longer hangs; the slowest takes a few seconds.
LIMIT = 120.0
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
class Door:
    """Where psql connects: `owner` is the cluster in which its database is made."""

    name: str
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
        return said.replace(str(self.port).encode(), b"PORT")


def difference(left: bytes, right: bytes) -> list[str]:
    """The changed lines, with a little of what stands around them."""
    lines = [each.decode("utf-8", "replace").splitlines() for each in (left, right)]
    return list(difflib.unified_diff(*lines, "direct", "gateway", n=3, lineterm=""))


async def _set_up(door: Door, directory: Path) -> None:
    await door.owner.psql(f"CREATE DATABASE {DATABASE};")
    await door.play(directory / "test_setup.sql")
    await door.owner.psql(f"ALTER DATABASE {DATABASE} RENAME TO {TEMPLATE};")


async def compare(directory: Path, names: list[str], keep: Path) -> int:
    files = sorted(directory.glob("*.sql")) if not names else [directory / f"{name}.sql" for name in names]
    differing = 0
    took = [0.0, 0.0]
    async with asyncio.timeout(3600):
        through = Open(DATABASE)
        await through.start()
        base = Path(tempfile.mkdtemp(prefix="hoop-regress-"))
        base.chmod(0o711)
        alone = await EmbeddedPostgres.start(base)
        try:
            loaded = await sample.load(alone)
            await alone.psql(MAKE_OPEN)
            direct = Door("direct", alone, alone.port, loaded.shop_password)
            behind = Door("behind", through.target, through.target.port, through.password)
            gateway = Door("gateway", through.target, through.port, through.token("ann"))
            for door in (direct, behind):
                await _set_up(door, directory)
            for file in files:
                said = []
                for at, door in enumerate((direct, gateway)):
                    await door.fresh()
                    began = time.monotonic()
                    said.append(await door.play(file))
                    took[at] += time.monotonic() - began
                found = difference(*said)
                if found:
                    await direct.fresh()
                    noise = difference(said[0], await direct.play(file))
                    differing += 1
                    (keep / f"{file.stem}.diff").write_text("\n".join(found))
                    changed = sum(each[:1] in "+-" for each in found) - 2
                    print(
                        f"{file.stem}: {changed} lines differ" + (f" ({len(noise)} noise)" if noise else ""), flush=True
                    )
        finally:
            await through.stop()
            await alone.stop()
    print(f"{len(files)} files, {differing} differ; direct {took[0]:.0f} s, gateway {took[1]:.0f} s")
    return differing


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, default=LIMIT)
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--keep", type=Path, default=Path("artifacts/regress"))
    arguments = parser.parse_args()
    logs.configure("console", logging.ERROR)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    sys.exit(1 if asyncio.run(compare(arguments.directory, arguments.names, arguments.keep)) else 0)


if __name__ == "__main__":
    main()
