"""The port: both stores have all of it. What it means is in test_contract.py."""

import inspect
import time

import pytest

from gateway.store.memory import MemoryStore
from gateway.store.port import Store, is_refused_click
from gateway.store.postgres import PostgresStore


@pytest.mark.parametrize("made", [MemoryStore, PostgresStore])
def test_a_store_has_every_method_with_the_same_parameters(made: type) -> None:
    for name, method in inspect.getmembers(Store, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(made, name)) == inspect.signature(method), name


def test_a_memory_store_is_a_store() -> None:
    store: Store = MemoryStore(time.time)  # checked by mypy
    assert store is not None


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (True, {"kind": "refused", "decided_by": "eve@example.com"}),
        (False, {"kind": "refused"}),
        (False, {"kind": "decided", "decided_by": "bob@example.com"}),
    ],
)
def test_refused_clicks(expected: bool, body: dict[str, str]) -> None:
    assert is_refused_click(body) is expected
