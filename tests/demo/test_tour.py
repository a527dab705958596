"""The tour as its own process: the transcript is a story in the order in which it happened, and every step holds."""

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.demo import tour as subject
from gateway.demo.run import Demo
from gateway.demo.tour import Tour, play, read_aloud, table_lines

ROOT = Path(__file__).parents[2]
#: A deadline, not an expectation: it takes ten seconds on an idle machine.
WITHIN = 120.0

IN_ORDER = (
    "**** **** **** ",
    "cursor> /* reason: customer 7 asked to be forgotten */ DELETE FROM customers WHERE id = 7;",
    "| NOTICE:  held for approval",
    "#db-approvals: cursor wants to DELETE 1 row from public.customers in production/shop. Expires ",
    "Bob clicks Approve.",
    "| DELETE 1",
    "the same card: Executed: DELETE on public.customers",
    "| ERROR:  denied by dana@example.com: Prices change in the catalogue service",
    "| ERROR:  refused by policy: add a WHERE clause",
    "expired: nobody decided in time",
    "Bob> /hoop audit user:cursor last:1h",
    "TRUNCATE TABLE order_items",
    "executed, approved by bob@example.com",
    "ok: every entry is there and unchanged",
    "Every step held.",
)


async def test_the_story_is_told_in_its_order_and_holds() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "demo", "--tour"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(WITHIN):
        out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, text
    assert "FAILED" not in text
    at = 0
    for words in IN_ORDER:
        assert words in text[at:], f"{words} is missing behind:\n{text[:at]}"
        at = text.index(words, at) + len(words)
    assert "<!date" not in text


def test_a_check_that_does_not_hold_is_a_problem() -> None:
    said: list[str] = []
    tour = Tour(cast("Demo", None), said.append)  # a check asks nothing of the demo
    tour.check(True, "this holds")
    tour.check(False, "this does not")
    assert said == ["   ok: this holds", "   FAILED: this does not"]
    assert tour.problems == ["this does not"]


def test_a_message_is_read_as_people_see_it() -> None:
    assert (
        read_aloud("a &lt; b. Expires <!date^1764066600^{time_secs}|10:30:00 UTC>.") == "a < b. Expires 10:30:00 UTC."
    )


def test_a_table_is_read_in_columns() -> None:
    date = {"type": "date", "timestamp": 1764066600, "format": "{time}", "fallback": "10:30 UTC"}
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [date]}]}
    rows = [
        [{"type": "raw_text", "text": "time"}, {"type": "raw_text", "text": "what"}],
        [rich, {"type": "raw_text", "text": "DELETE"}],
    ]
    assert table_lines([{"type": "section"}, {"type": "table", "rows": rows}]) == [
        "time       what",
        "10:30 UTC  DELETE",
    ]


@pytest.mark.parametrize("error", [TimeoutError, LookupError])
async def test_a_step_that_breaks_is_a_problem_and_the_next_one_is_played(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        name
        for name in vars(subject)
        if name.startswith("_") and not name.startswith("__") and name in play.__code__.co_names
    ]
    assert len(names) == 7
    played: list[str] = []

    def step(name: str) -> Any:
        async def run(_tour: Tour) -> None:
            played.append(name)
            if name == "_approved_delete":
                raise error

        run.__name__ = name
        return run

    for name in names:
        monkeypatch.setattr(subject, name, step(name))
    said: list[str] = []
    assert not await play(cast("Demo", None), said.append)
    assert len(played) == 7
    assert "FAILED: approved_delete did not finish" in "\n".join(said)
    assert said[-1] == "1 checks did not hold."


def test_psql_is_not_led_astray_by_who_runs_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    monkeypatch.setenv("LANG", "C")
    found = subject._environment()
    assert "PGSERVICE" not in found
    assert found["LANG"] == "C"
