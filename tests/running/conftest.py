"""What the tests of a running gateway share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.workspace import Workspace
from tests.running.gateways import policies_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return policies_in(tmp_path)


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace()
    await made.start()
    made.add_channel("approvals", [], channel_id="C1")
    yield made
    await made.stop()
