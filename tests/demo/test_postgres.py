"""The embedded PostgreSQL: starts, refuses a wrong password, listens on loopback only, leaves nothing behind."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from pathlib import Path, PosixPath

import asyncpg
import pytest

from gateway.demo.postgres import EmbeddedPostgres, PostgresError, _status, find_binaries


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hoop-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _left(base: Path) -> list[str]:
    return [str(path) for path in base.glob("**/*")]


def _command_lines() -> bytes:
    return b"\n".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())


async def test_a_session_by_password(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.dsn("postgres"))
    try:
        assert connection.get_server_version().major == 18
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'")
            == 0
        )
    finally:
        await connection.close()


def test_its_pid_is_the_servers(postgres: EmbeddedPostgres) -> None:
    assert Path(f"/proc/{postgres.pid}/comm").read_text() == "postgres\n"


async def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.dsn("postgres", password="wrong"))


async def test_the_password_is_in_no_text(postgres: EmbeddedPostgres) -> None:
    assert postgres.password not in repr(postgres)
    assert postgres.password not in postgres.log.read_text()
    assert postgres.password.encode() not in _command_lines()


def test_a_dsn_quotes_what_must_be(postgres: EmbeddedPostgres) -> None:
    assert postgres.dsn("a/b", "u@x", "p:w") == f"postgresql://u%40x:p%3Aw@127.0.0.1:{postgres.port}/a%2Fb"


async def test_psql_returns_rows_and_raises_at_the_first_error(postgres: EmbeddedPostgres) -> None:
    assert await postgres.psql("SELECT 1, 'a'; SELECT 2") == "1|a\n2"
    assert await postgres.psql("\\getenv name SECRET_NAME\nSELECT :'name'", env={"SECRET_NAME": "x"}) == "x"
    with pytest.raises(PostgresError, match="does not exist"):
        await postgres.psql("SELECT * FROM nowhere")


async def test_settings_files_port_and_stop(base: Path) -> None:
    with pytest.raises(PostgresError, match=r"did not start(.|\n)*no_such_setting"):
        await EmbeddedPostgres.start(base, settings={"no_such_setting": "1"})
    assert _left(base) == []
    server = await EmbeddedPostgres.start(base, settings={"max_connections": "33"}, files={"server.key": b"k"})
    try:
        assert await server.psql("SHOW max_connections") == "33"
        assert await server.psql("SELECT pg_read_file('server.key')") == "k"
        with pytest.raises(PostgresError, match="Address already in use"):
            await EmbeddedPostgres.start(base, port=server.port)
    finally:
        await server.stop()
        await server.stop()
    assert _left(base) == []
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(server.host, server.port)


class _Vanishing(PosixPath):
    """A postmaster.pid that is there when one asks and gone when one reads: what a server refused its port does."""

    def exists(self) -> bool:
        return True


def test_a_pid_file_that_vanishes_while_it_is_looked_at_is_no_status(tmp_path: Path) -> None:
    assert _status(_Vanishing(tmp_path / "postmaster.pid")) == ""
    half = tmp_path / "half"
    half.write_text("1\n2\n")
    assert _status(half) == ""
    whole = tmp_path / "whole"
    whole.write_text("1\n" * 7 + "ready   \n")
    assert _status(whole) == "ready"


_LAUNCH = """
import asyncio, sys
from pathlib import Path, PosixPath
from gateway.demo.postgres import EmbeddedPostgres
server = asyncio.run(EmbeddedPostgres.start(Path(sys.argv[1])))
print(server._server.pid, flush=True)
{then}
"""


@pytest.mark.parametrize("then", ["sys.exit(0)", "sys.stdin.read()"], ids=["exit", "killed"])
async def test_the_server_goes_with_its_launcher(base: Path, then: str) -> None:
    """Exit without stop(), or kill -9: the watchdog sees its pipe close, ends the server and removes the data."""
    command = [sys.executable, "-c", _LAUNCH.format(then=then), str(base)]
    launcher = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    assert launcher.stdout is not None
    async with asyncio.timeout(30):
        ended = os.pidfd_open(int(await launcher.stdout.readline()))
        if then != "sys.exit(0)":
            launcher.send_signal(signal.SIGKILL)
        done = asyncio.Event()
        asyncio.get_running_loop().add_reader(ended, done.set)
        await done.wait()
        await launcher.wait()
    asyncio.get_running_loop().remove_reader(ended)
    os.close(ended)
    assert len(_left(base)) <= 1  # the empty directory itself, where its parent is not ours to change


@pytest.mark.parametrize("kind", ["embedded", "celerp"])
def test_the_wheels_are_found(kind: str) -> None:
    found = find_binaries("embedded" if kind == "embedded" else "celerp")
    assert found is not None
    assert (found / "postgres").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
async def test_an_unreachable_base_is_explained(base: Path) -> None:
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PostgresError, match="o\\+x"):
        await EmbeddedPostgres.start(closed / "below")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
async def test_binaries_in_a_closed_home_are_copied(base: Path) -> None:
    original = find_binaries()
    assert original is not None
    home = base / "home"
    home.mkdir(mode=0o700)
    package = original.parent.parent
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(name), home / name)
    server = await EmbeddedPostgres.start(base, binaries=home / package.name / "pginstall" / "bin")
    try:
        assert await server.psql("SELECT 1") == "1"
    finally:
        await server.stop()
