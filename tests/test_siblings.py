"""Workers ask each other over real sockets: all counts in one place, and who does not answer."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.siblings import Siblings, Worker


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's name has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="hoop-", ignore_cleanup_errors=True) as found:
        yield Path(found) / "w"


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def worker(folder: Path, number: int, count: int = 2) -> Siblings:
    folder.mkdir(exist_ok=True)
    return Siblings(Worker(number, count, folder), f"of {number}".encode)


async def test_whoever_is_asked_tells_of_all(folder: Path) -> None:
    one, two = worker(folder, 1), worker(folder, 2)
    await one.start()
    await two.start()
    assert await one.counted() == await two.counted() == {1: "of 1", 2: "of 2"}
    assert await one.silent() == []
    await one.close()
    assert await two.silent() == [1]
    await two.close()
    assert left_in(folder) == []


async def test_one_that_is_started_again_takes_the_place_of_the_one_that_was_killed(folder: Path) -> None:
    one, two = worker(folder, 1), worker(folder, 2)
    await one.start()
    script = f"import socket; socket.socket(socket.AF_UNIX).bind({str(folder / '2')!r})"
    killed = await asyncio.create_subprocess_exec("python3", "-c", script)
    await killed.wait()
    assert await one.silent() == [2]
    await two.start()
    assert await one.silent() == []
    await two.close()
    await one.close()


async def test_one_that_hangs_is_not_waited_for(folder: Path) -> None:
    """Who listens and never answers is as good as down."""
    one = worker(folder, 1)
    await one.start()
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(folder / "2"))
        hung.listen()
        async with asyncio.timeout(20):
            assert await one.counted() == {1: "of 1"}
    (folder / "2").unlink()
    await one.close()
