"""A list in a terminal and in a pipe."""

import io
import sys

import pytest
from rich.console import Console

from gateway.cli.listing import Listing, show

MADE = Listing(
    ("id", "what", "rows"), [("a" * 10, "one\ntwo", "7"), ("b", "", "12")], "2 rows", whole=((0, 10),), numbers=(2,)
)


def test_a_pipe_gets_a_line_a_row_in_step() -> None:
    assert MADE.lines() == [
        "id          what     rows",
        "aaaaaaaaaa  one two     7",
        "b                      12",
        "2 rows",
    ]


def test_a_terminal_gets_a_table_that_fits() -> None:
    out = io.StringIO()
    Console(file=out, width=24, highlight=False).print(MADE.table())
    assert max(map(len, out.getvalue().splitlines())) <= 24
    assert "aaaaaaaaaa" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_which_of_them_goes_by_where_it_is_printed(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show(MADE)
    assert (capsys.readouterr().out.splitlines() == MADE.lines()) is not terminal
