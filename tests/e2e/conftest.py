"""One stack for all end-to-end tests of a run: each test takes rows of its own and leaves no hold behind."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, logging_everything
from tests.e2e.wire import Wire


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    log = tmp_path_factory.mktemp("e2e") / "gateway.log"
    with logging_everything(log):
        running = Stack(log)
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots go; not in the repository."""
    folder = Path("artifacts")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
async def close_wires() -> AsyncIterator[None]:
    """Close what a test has opened and, having failed, not closed."""
    yield
    for wire in tuple(Wire.opened):
        await wire.close()
