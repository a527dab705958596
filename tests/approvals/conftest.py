"""What the tests of desk and outbox share: a store in memory, by a clock that stands still."""

import time

import pytest

from gateway.store.memory import MemoryStore
from tests.fakes.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)
