"""The supervisor over real processes that are no gateways: who is started when, and again, and what ends the whole.

Each worker is a few lines of Python. Everything it does is one character in a file, so that a test waits for what was done.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog.testing

from gateway.cli.supervisor import Patience, Supervisor, environment, reserved
from gateway.settings import Address
from tests.fakes import stores

#: Nothing is waited for longer than a test allows; who lives for so long begins anew.
SOON = Patience(first=0.01, most=0.02, steady=3600.0, falls=4)
DEADLINE = 30.0

#: Starts, says so, and ends with code 0 on SIGTERM or when the supervisor is gone.
GOOD = """
signal.signal(signal.SIGTERM, lambda *_: (did("t"), os._exit(0)))
signal.signal(signal.SIGHUP, lambda *_: did("h"))
started()
while pair.recv(1):
    pass
did("o")
"""
_SHARED = """
import os, signal, socket, sys
number, descriptor, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
pair = socket.socket(fileno=descriptor)
def did(what):
    with open(f"{folder}/{number}", "a") as file:
        file.write(what)
def started():
    did("s")
    pair.send(b"started")
did(".")
"""


class Crew:
    """A supervisor of workers that each do `script`."""

    def __init__(self, folder: Path, script: str = GOOD, count: int = 2, patience: Patience = SOON) -> None:
        self.folder = folder
        self.count = count
        code = _SHARED + script
        words = (sys.executable, "-S", "-c", code)
        self.supervisor = Supervisor(
            count, lambda number, end: (*words, str(number), str(end), str(folder)), dict(os.environ), patience
        )

    def did(self, number: int) -> str:
        """What this worker has done, in all its lives."""
        file = self.folder / str(number)
        return file.read_text() if file.exists() else ""

    def pid(self, number: int) -> int:
        process = self.supervisor._places[number - 1].process
        assert process is not None
        return process.pid

    def all_up(self) -> bool:
        return all(each.up.is_set() for each in self.supervisor._places)


async def until(there: Callable[[], object]) -> None:
    async def asked() -> bool:
        return bool(there())

    await stores.until(asked, DEADLINE)


async def ended(running: asyncio.Task[int]) -> int:
    async with asyncio.timeout(DEADLINE):
        return await running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_handed_on_and_all_are_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    crew = Crew(tmp_path)
    running = asyncio.create_task(crew.supervisor.run())
    await until(crew.all_up)
    os.kill(os.getpid(), number)
    assert await ended(running) == 0
    assert (crew.did(1), crew.did(2)) == (".st", ".st")


async def test_the_first_starts_alone(tmp_path: Path) -> None:
    """It makes the store's schema and says what is wrong, once."""
    alone = 'open(f"{folder}/alone", "a").write(str(sorted(os.listdir(folder)))) if number == 1 else None'
    crew = Crew(tmp_path, f"{alone}\n{GOOD}", count=3)
    running = asyncio.create_task(crew.supervisor.run())
    await until(crew.all_up)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ended(running) == 0
    assert (tmp_path / "alone").read_text() == "['1', 'alone']"


@pytest.mark.parametrize("who", [1, 2])
async def test_one_that_can_not_start_ends_the_whole_with_its_code(tmp_path: Path, who: int) -> None:
    crew = Crew(tmp_path, f"if number == {who}: os._exit(2)\n{GOOD}")
    assert await ended(asyncio.create_task(crew.supervisor.run())) == 2
    assert (crew.did(1), crew.did(2)) == ((".", "") if who == 1 else (".st", "."))


async def test_one_that_died_is_started_again(tmp_path: Path) -> None:
    crew = Crew(tmp_path)
    running = asyncio.create_task(crew.supervisor.run())
    await until(crew.all_up)
    with structlog.testing.capture_logs() as logged:
        os.kill(crew.pid(2), signal.SIGKILL)
        await until(lambda: crew.did(2) == ".s.s")
    await until(crew.all_up)
    [said] = [each for each in logged if each["event"] == "worker.ended"]
    assert (said["worker"], said["why"], said["served"]) == (2, "killed by SIGKILL", True)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ended(running) == 0
    assert (crew.did(1), crew.did(2)) == (".st", ".s.st")


async def test_workers_that_keep_dying_end_the_whole(tmp_path: Path) -> None:
    crew = Crew(tmp_path, f"if number == 2: started(); os._exit(7)\n{GOOD}")
    assert await ended(asyncio.create_task(crew.supervisor.run())) == 7
    assert crew.did(2).count(".") == SOON.falls
    assert crew.did(1) == ".st", "the other was told"


async def test_one_that_can_not_start_again_takes_no_other_with_it(tmp_path: Path) -> None:
    """A policies file that was spoilt meanwhile: those who run have the old one."""
    once = 'if os.path.exists(f"{folder}/bad") and number == 2: os._exit(2)\n'
    crew = Crew(tmp_path, once + GOOD)
    running = asyncio.create_task(crew.supervisor.run())
    await until(crew.all_up)
    (tmp_path / "bad").touch()
    os.kill(crew.pid(2), signal.SIGKILL)
    await until(lambda: crew.did(2).count(".") > 2 * SOON.falls)
    assert not running.done()
    (tmp_path / "bad").unlink()
    await until(crew.all_up)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ended(running) == 0
    assert crew.did(1) == ".st"


async def test_when_none_serves_and_none_can_start_it_gives_up(tmp_path: Path) -> None:
    bad = 'if os.path.exists(f"{folder}/bad"): os._exit(2)\n'
    crew = Crew(tmp_path, bad + GOOD)
    running = asyncio.create_task(crew.supervisor.run())
    await until(crew.all_up)
    (tmp_path / "bad").touch()
    for number in (1, 2):
        os.kill(crew.pid(number), signal.SIGKILL)
    assert await ended(running) == 2


async def test_sighup_reaches_each_and_one_that_starts_is_told_later(tmp_path: Path) -> None:
    """Before it has started a SIGHUP would kill it."""
    os.mkfifo(tmp_path / "go")
    waits = 'if number == 2: open(f"{folder}/go").read()\n'
    crew = Crew(tmp_path, waits + GOOD)
    running = asyncio.create_task(crew.supervisor.run())
    await until(lambda: crew.did(2) == ".")
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: crew.did(1) == ".sh")
    assert crew.did(2) == "."
    (tmp_path / "go").write_text("")
    await until(lambda: crew.did(2) == ".sh")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ended(running) == 0


async def test_a_signal_while_they_start_is_a_good_end(tmp_path: Path) -> None:
    crew = Crew(tmp_path, "signal.pause()")
    running = asyncio.create_task(crew.supervisor.run())
    await until(lambda: crew.did(1) == ".")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ended(running) == 0
    assert crew.did(2) == ""


async def test_one_that_fails_while_it_drains_is_told_by_the_exit_code(tmp_path: Path) -> None:
    crew = Crew(tmp_path, GOOD.replace("os._exit(0)", "os._exit(1 if number == 2 else 0)"))
    running = asyncio.create_task(crew.supervisor.run())
    await until(crew.all_up)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ended(running) == 1


def test_a_worker_has_our_environment() -> None:
    found = environment({"A": "b", "PYTHONPATH": "/there"})
    assert found["A"] == "b"
    assert found["PYTHONPATH"].endswith(f"{os.pathsep}/there")


# --- ports ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_is_kept_for_those_who_share_it_and_takes_no_connection(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with reserved("HOOP_LISTEN", Address(host, 0)) as kept:
        assert kept.port
        with pytest.raises(ConnectionRefusedError), socket.create_connection((host, kept.port)):
            raise AssertionError
        with (
            socket.create_server((host, kept.port), family=family, reuse_port=True),
            socket.create_server((host, kept.port), family=family, reuse_port=True),
            socket.create_connection((host, kept.port)),
        ):
            pass


def test_a_port_of_somebody_else_is_not_shared() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with (
            pytest.raises(OSError, match=f"on {address}: .* in use; change HOOP_HTTP$"),
            reserved("HOOP_HTTP", address),
        ):
            raise AssertionError


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_kept_is_refused_while_no_worker_listens_yet(host: str) -> None:
    """Two gateways that start at the same moment would share it in silence."""
    with (
        reserved("HOOP_LISTEN", Address("127.0.0.1", 0)) as kept,
        pytest.raises(OSError, match="Address already in use"),
        reserved("HOOP_LISTEN", Address(host, kept.port)),
    ):
        pass


def test_a_port_on_which_connections_of_a_single_process_still_end_can_be_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    with (
        reserved("HOOP_LISTEN", Address("127.0.0.1", port)) as kept,
        socket.create_server((kept.host, port), reuse_port=True),
    ):
        pass
