"""The command line as a whole: help, and the same program as a module."""

import subprocess
import sys

from typer.testing import CliRunner

from gateway.__main__ import VERBS, make


def test_every_verb_has_help() -> None:
    for verb in VERBS:
        result = CliRunner().invoke(make(), [verb, "--help"])
        assert result.exit_code == 0
        assert f" {verb} " in result.stdout


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "check" in done.stdout


def test_an_unknown_verb_is_exit_2() -> None:
    assert CliRunner().invoke(make(), ["chekc"]).exit_code == 2
