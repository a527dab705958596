"""An export reads every page, within its bound, and says what it has left out."""

import csv

import pytest

from bots import exporting
from bots.exporting import Row, exported
from gateway.audit.query import MAX_LIMIT, Query

QUERY = Query((), 0.0, 1e9, limit=3, format="csv", share=True)


@pytest.mark.parametrize(
    ("there", "rows"), [(0, 0), (1, 1), (MAX_LIMIT, MAX_LIMIT), (2 * MAX_LIMIT + 1, 2 * MAX_LIMIT + 1)]
)
async def test_every_page(there: int, rows: int) -> None:
    asked: list[int] = []

    async def seen(query: Query, offset: int) -> tuple[list[Row], int]:
        assert query.limit == MAX_LIMIT
        asked.append(offset)
        return [{"user": f"u{number}"} for number in range(offset, min(there, offset + MAX_LIMIT))], there

    answer, count = await exported(QUERY, seen, "log intact through #12")
    assert answer.file is not None
    assert [each["user"] for each in csv.DictReader(answer.file.content.splitlines())] == [
        f"u{n}" for n in range(there)
    ]
    assert (count, answer.footer, answer.share) == (rows, "log intact through #12", False)
    assert asked == list(range(0, max(there, 1), MAX_LIMIT))


async def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST", 2000)

    async def seen(_query: Query, _offset: int) -> tuple[list[Row], int]:
        return [{"user": "ann"}] * MAX_LIMIT, 5000

    answer, count = await exported(QUERY, seen, "")
    assert count == 2000
    assert answer.lines == (
        "2,000 statements, times in UTC.",
        "There are 5,000: the newest 2,000 are in it; hoop audit export has them all.",
    )
