"""The rows on a card: what changes, what is left out."""

from dataclasses import replace

from bots.previews import Cell, rows_of, table_of
from gateway.approvals.request import Preview
from tests.bots.samples import ROWS


def test_the_preview_shows_what_changes() -> None:
    before = (("1", "Ada", "trial", "10", "DE", "x", "2019"),)
    after = (("1", "Ada", "free", "0", "DE", "x", "2019"),)
    columns = ("id", "name", "plan", "credit", "country", "note", "seen")
    preview = Preview(rows=3, columns=columns, before=before, after=after)
    table = table_of(preview)
    assert table is not None
    assert table.columns == ("id", "name", "plan", "credit", "country")
    assert table.rows[0][2:4] == (Cell("trial -> free", changed=True), Cell("10 -> 0", changed=True))
    assert table.note == "first 1 row of 3 rows, 2 more columns not shown"


def test_a_changed_column_far_right_is_shown() -> None:
    columns = tuple("abcdefgh")
    preview = Preview(rows=1, columns=columns, before=(tuple("12345678"),), after=(tuple("12345679"),))
    table = table_of(preview)
    assert table is not None
    assert table.columns == ("a", "b", "c", "d", "h")
    assert table.rows[0][-1] == Cell("8 -> 9", changed=True)


def test_null_and_empty_are_told_apart() -> None:
    preview = replace(ROWS, columns=("a", "b"), before=((None, ""),))
    table = table_of(preview)
    assert table is not None
    assert table.rows[0] == (Cell("NULL"), Cell("''"))


def test_without_a_sample_there_is_no_table() -> None:
    assert table_of(Preview(rows=3)) is None


def test_an_estimate_says_so() -> None:
    assert rows_of(Preview(rows=18_240, kind="estimate")) == "about 18,240 rows"
    assert rows_of(ROWS) == "42 rows"
