"""An audit query's whole result as a file of CSV, for whoever asks it.

What lives here: reading it page by page, within a bound. What does not: who sees what (bots.commands hands that in), which fields a
spreadsheet gets (gateway.audit.spreadsheet), how a chat hands over a file (each front).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bots.answers import Answer, File
from bots.texts import count
from gateway.audit.entry import Value
from gateway.audit.query import MAX_LIMIT, Query
from gateway.audit.spreadsheet import as_csv

Row = Mapping[str, Value]
#: A page of rows that the viewer may see, from an offset: the rows, and how many there are of everybody's that match.
Seen = Callable[[Query, int], Awaitable[tuple[list[Row], int]]]

#: Rows of a file: about 10 MB. `hoop audit export` has no bound.
MOST = 20_000


async def exported(query: Query, seen: Seen, proof: str) -> tuple[Answer, int]:
    """The file and how many rows it has. Raises StoreUnavailable."""
    whole, rows, offset, total = replace(query, limit=MAX_LIMIT), list[Row](), 0, 1
    while offset < min(total, MOST):
        page, total = await seen(whole, offset)
        rows += page
        offset += MAX_LIMIT
    lines = [f"{count(len(rows), 'statement')}, times in UTC."]
    lines += (
        [f"There are {total:,}: the newest {MOST:,} are in it; hoop audit export has them all."] if total > MOST else []
    )
    text = await asyncio.to_thread(as_csv, rows)  # a second or two for 20,000 rows: wires must not stand still
    return Answer("Audit export", tuple(lines), footer=proof, file=File("audit.csv", text)), len(rows)
