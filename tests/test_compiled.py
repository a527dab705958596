"""The modules that can be compiled are there, and what is said of them is so. `make compiled` runs the tests on compiled ones."""

import os
from importlib import import_module

from gateway import compiled


def test_all_are_compiled_or_none_is() -> None:
    assert compiled.in_use() == ([*compiled.MODULES] if os.environ.get("HOOP_COMPILED") else [])


def test_they_exist() -> None:
    assert [import_module(name).__name__ for name in compiled.MODULES] == [*compiled.MODULES]
