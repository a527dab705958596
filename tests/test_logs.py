"""The log: redaction of whatever gets into it, by its own calls and by libraries', in both renderings."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway import logs

JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.c2ln"
SLACK = "xoxb-1234-abcd"
DSN = "postgresql://ann:hunter2@db/shop"


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    """Logging is the process's own: put back what was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Teller:
    """Something whose looks tell a secret."""

    def __repr__(self) -> str:
        return f"<Teller {JWT}>"


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        (f"got {JWT} from ann", JWT),
        (SLACK, SLACK),
        ("xapp-1-A0-77", "xapp-1-A0-77"),
        (f"can't reach {DSN}", "hunter2"),
        ("Authorization: BEARER abc.def", "abc.def"),
        ({"headers": {"Authorization": "abc"}}, "abc"),
        ({"inside": {"deep": [1, (SLACK,)]}}, SLACK),
        (SLACK.encode(), SLACK),
        (ValueError(SLACK), SLACK),
        ({SLACK}, SLACK),
        (Teller(), JWT),
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(value: Any, secret: str) -> None:
    shown = repr(logs.redact(None, "info", {"event": "met", "value": value}))
    assert secret not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize("key", ["token", "SLACK_BOT_TOKEN", "db_password", "client_secret", "store_dsn", "Cookie"])
def test_some_keys_are_never_shown(key: str) -> None:
    assert logs.redact(None, "info", {key: 17, "user": "ann"}) == {key: "[redacted]", "user": "ann"}


def test_what_is_no_secret_stays_as_it_is() -> None:
    event = {"event": "gateway.started", "wire": 6432, "ok": True, "rows": None, "took": 0.5, "url": "http://db:5432/x"}
    assert logs.redact(None, "info", dict(event)) == event


def test_our_own_lines_are_json_with_the_exception_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    try:
        raise ValueError(f"bad {SLACK}")
    except ValueError:
        structlog.get_logger().exception("met.failed", session="s-1")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["session"]) == ("met.failed", "error", "s-1")
    assert "ValueError: bad [redacted]" in found["exception"]


def test_a_librarys_lines_are_redacted_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    try:
        raise ValueError(f"bad {SLACK}")
    except ValueError:
        logging.getLogger("slack_sdk").exception("refused %s", DSN)
    (line,) = capsys.readouterr().err.splitlines()
    assert "hunter2" not in line
    assert SLACK not in line
    assert json.loads(line)["event"] == "refused postgresql://[redacted]@db/shop"


def test_libraries_speak_from_warning_on_unless_everything_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("aiohttp").info("chatter")
    structlog.get_logger().debug("detail")
    structlog.get_logger().info("gateway.started")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "gateway.started" in lines[0]
    logs.configure(level=logging.DEBUG)
    logging.getLogger("aiohttp").info("chatter")
    structlog.get_logger().debug("detail")
    assert [
        word in each for word, each in zip(("chatter", "detail"), capsys.readouterr().err.splitlines(), strict=True)
    ]


def test_where_there_are_several_workers_each_line_has_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", worker=2)
    structlog.get_logger().info("one")
    logging.getLogger("library").warning("two")
    assert [json.loads(line)["worker"] for line in capsys.readouterr().err.splitlines()] == [2, 2]
