"""What the tests of a running gateway share."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bots.workspace import Workspace
from gateway.demo.postgres import EmbeddedPostgres
from tests.running.gateways import policies_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return policies_in(tmp_path)


@pytest.fixture(scope="session")
def store_numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
async def own_store(postgres: EmbeddedPostgres, store_numbers: Iterator[int]) -> str:
    """A store of the test's own, for what counts all that is in it."""
    name = f"running_{next(store_numbers)}"
    await postgres.psql(f"CREATE DATABASE {name};")
    return postgres.dsn(name)


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace()
    await made.start()
    made.add_channel("approvals", [], channel_id="C1")
    yield made
    await made.stop()
