"""Fixtures that several rooms share; what only one room needs lives next to its tests."""

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway.demo.postgres import EmbeddedPostgres

# How fast examples are made says something of the machine alone.
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL 18 for the whole run. Make databases and roles of your own in it; leave the others alone."""
    with tempfile.TemporaryDirectory(prefix="hoop-tests-") as base:
        Path(base).chmod(0o711)  # as root the server runs as another uid; pytest's own directories are 0700
        server = asyncio.run(EmbeddedPostgres.start(Path(base)))
        yield server
        asyncio.run(server.stop())


@pytest.fixture(scope="session")
def store_dsn(postgres: EmbeddedPostgres) -> str:
    """An empty database for the gateway's store; its schema is made by the first who connects."""
    asyncio.run(postgres.psql("CREATE DATABASE store;"))
    return postgres.dsn("store")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests (`make test`), those of a file stay together, in the corpus those of a server, and all
    of e2e, whose files share one stack."""
    for item in items:
        given = getattr(item, "callspec", None)
        server = given.params.get("major", "") if given else ""
        room = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(room if room == "e2e" else f"{room}/{item.path.name} {server}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last lines name what was skipped and why; with HOOP_NO_SKIPS set that is a failure (see pytest_sessionfinish)."""
    reasons = Counter(str(each.longrepr[2]) for each in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"not run: {count} - {reason}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """CI installs everything, so a skip there is a hole."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and os.environ.get("HOOP_NO_SKIPS") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
