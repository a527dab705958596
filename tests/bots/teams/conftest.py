"""A fake Teams, and an office with our front, for this room's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.bots.teams.office import Office, Serve, trusting
from tests.fakes.teams import Teams


@pytest_asyncio.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Teams]:
    opened = await Teams.open(tmp_path)
    with trusting(opened.certificate):
        yield opened
    await opened.close()


@pytest_asyncio.fixture
async def office(tmp_path: Path, aiohttp_server: Serve) -> AsyncIterator[Office]:
    with trusting(tmp_path / "cert.pem"):
        opened = await Office.open(tmp_path, aiohttp_server)
        yield opened
        await opened.close()
