"""A workspace with our front in it, for the tests of the front and of its parts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.bots.slack.office import Office, Serve


@pytest_asyncio.fixture
async def office(tmp_path: Path, aiohttp_server: Serve) -> AsyncIterator[Office]:
    opened = await Office.open(tmp_path, aiohttp_server)
    yield opened
    await opened.close()
