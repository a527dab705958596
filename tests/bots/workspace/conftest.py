"""What the workspace's tests share: time that stands still."""

import pytest

from tests.fakes.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
