"""The tests mirror the tree: gateway/a/b.py is tested by tests/a/test_b.py, bots/a/b.py by tests/bots/a/test_b.py.

So a reader finds a module's tests without searching, a module without any is seen, and so are tests whose module is gone.
What the tree holds is compared with what the tests hold, by path; e2e/, bench/, differential/, corpus/ and fuzz/ are about more than one module.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Modules without a test file of their own, each with the reason.
UNTESTED: dict[str, str] = {}

#: Test files without a module of their name, each with the reason.
UNMIRRORED: dict[str, str] = {
    "tests/fakes/test_teams.py": "the fake itself, for what other tests believe of it",
    "tests/identity/test_certified_issuer.py": "the issuer that others wrote; the same test covers token, issuers and claims",
    "tests/masking/test_generated.py": "figures of all detectors on what generated.py makes, through the masking of rows",
    "tests/session/test_bypasses.py": "ways past the gateway that were found; a list of its own, whatever module was at fault",
    "tests/session/test_cursor_at_commit.py": "user code that a COMMIT runs: a conversation of judging and session",
    "tests/session/test_gate_stays_closed.py": "attacks on the gate's helpers: a conversation of gate, state and stream",
    "tests/session/test_path_not_known.py": "a search_path that nobody could say: a conversation of errands, state and session",
    "tests/session/test_names_behind.py": "what code that ran does to names: a conversation of state, errands and session",
    "tests/session/test_read_otherwise.py": "settings between Parse, Bind and Execute: a conversation of draft, names and state",
    "tests/session/test_shortway_pipelines.py": "the short way of several that end in one Sync: a conversation of plain, shortway, gate and stream",
    "tests/session/test_shortway_several.py": "the short way of query strings and of what pools send: a conversation of plain, shortway and stream",
    "tests/session/test_shortway_writes.py": "the short way of writes and of blocks: a conversation of plain, shortway, gate and stream",
    "tests/session/test_untraced.py": "masking.unresolved: hold, a conversation of judging, holding and stream",
    "tests/test_docs.py": "pages against what they tell of: keys, settings, metrics, SQL",
    "tests/store/test_contract.py": "one contract for every store: memory and PostgreSQL",
}

#: Folders whose tests are about more than one module.
ACROSS = ("e2e", "bench", "differential", "corpus", "fuzz")


def test_every_module_has_its_test_file() -> None:
    missing = {module: test for module, test in _modules().items() if not (ROOT / test).exists()}
    assert {module: test for module, test in missing.items() if module not in UNTESTED} == {}


def test_every_test_file_has_its_module() -> None:
    known = set(_modules().values())
    stray = {each for each in _tests() if each not in known}
    assert stray - UNMIRRORED.keys() == set()


def test_the_exceptions_are_still_exceptions() -> None:
    modules, tests = _modules(), _tests()
    assert {each for each in UNTESTED if each not in modules or modules[each] in tests} == set()
    assert {each for each in UNMIRRORED if each not in tests or each in modules.values()} == set()


def test_the_tests_that_pages_name_are_there() -> None:
    named = {
        (page.name, path, test)
        for page in (ROOT / "docs").rglob("*.md")
        for path, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text("utf-8"))
    }
    assert len(named) > 50
    gone = {each for each in named if not _holds(ROOT / each[1], each[2])}
    assert gone == set()


def _holds(file: Path, test: str) -> bool:
    return file.is_file() and re.search(rf"def {test}\(", file.read_text("utf-8")) is not None


def _modules() -> dict[str, str]:
    """Module -> its test file, both as paths from the root. A package's docstring alone is not a module."""
    found = {}
    for base, tests in (("gateway", "tests"), ("bots", "tests/bots")):
        for path in (ROOT / base).rglob("*.py"):
            if path.name != "__init__.py":
                inside = path.relative_to(ROOT / base)
                test = inside.with_name(f"test_{inside.stem.strip('_')}.py")
                found[f"{base}/{inside}"] = f"{tests}/{test}"
    return found


def _tests() -> set[str]:
    tests = ROOT / "tests"
    paths = (each.relative_to(tests) for each in tests.rglob("test_*.py"))
    return {f"tests/{each}" for each in paths if each.parts[0] not in ACROSS and each.name != Path(__file__).name}


@pytest.mark.parametrize("file", [".gitignore", ".dockerignore"])
def test_a_users_secrets_are_neither_committed_nor_sent_to_a_build(file: str) -> None:
    """README: `cp .env.example .env`."""
    assert ".env" in (ROOT / file).read_text("utf-8").splitlines()
