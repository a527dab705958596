"""The command line as a whole: help, the same program as a module, and what a verb does not import."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import __main__, compiled
from gateway.__main__ import VERBS, make

VERSION = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]["version"]

#: Libraries that take a tenth of a second or more, and who may ask for them.
HEAVY = {"aiohttp", "asyncpg", "slack_bolt", "pglast", "joserfc", "re2", "structlog", "uvloop"}


def test_every_verb_has_help() -> None:
    for verb in VERBS:
        result = CliRunner().invoke(make(), [verb, "--help"])
        assert result.exit_code == 0
        assert f" {verb} " in result.stdout


def test_the_line_of_a_verb_is_its_own_first_words() -> None:
    for verb, says in VERBS.items():
        own = " ".join(CliRunner().invoke(make(), [verb, "--help"]).stdout.split())
        assert says.removesuffix(".") in own


def test_a_verb_that_was_not_asked_for_is_listed_all_the_same() -> None:
    shown = CliRunner().invoke(make(("check",)), ["--help"]).stdout
    assert all(f" {verb} " in shown for verb in VERBS)


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "check" in done.stdout


@pytest.mark.parametrize("installed", [True, False])
def test_the_version_and_whether_it_is_compiled(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that nobody installed has a version as well."""

    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    if not installed:
        monkeypatch.setattr(__main__, "version", unknown)
    built = "compiled" if compiled.in_use() else "not compiled"
    result = CliRunner().invoke(make(()), ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"hoop-gate {VERSION} ({built})\n")


def test_an_unknown_verb_is_exit_2() -> None:
    for app in (make(), make(("chekc",))):
        assert CliRunner().invoke(app, ["chekc"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["token", "--help"], {"aiohttp"}),
        (["check", "--help"], {"pglast", "re2"}),
        (["manifest", "slack", "--help"], set()),
    ],
)
def test_a_verb_imports_only_what_it_uses(words: list[str], allowed: set[str]) -> None:
    script = (
        "import sys\nfrom gateway.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('\\nimported', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60, check=True
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert imported & HEAVY <= allowed
