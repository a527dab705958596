"""One open gateway for all conversations of a run, in a thread of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.differential.conversations import TABLES
from tests.differential.pair import Doors
from tests.e2e.wire import Wire


@pytest.fixture(scope="session")
def doors() -> Iterator[Doors]:
    opened = Doors(TABLES)
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture(autouse=True)
async def close_wires() -> AsyncIterator[None]:
    """Close what a test has opened and, having failed, not closed."""
    yield
    for wire in tuple(Wire.opened):
        await wire.close()
