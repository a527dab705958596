"""No settings but a test's own: what the machine or the run of the tests has set is no part of it."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("HOOP_")]:
        monkeypatch.delenv(name)
