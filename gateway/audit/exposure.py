"""The answer to "did X expose a secret?": what was masked, what policy showed clear, what nobody looked at, what never ran.

Pure: `ask` arrives as an argument. What must not live here: how a question is read (query.py), how an answer is drawn.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from gateway.audit.entry import UNREADABLE, Value
from gateway.audit.query import MAX_LIMIT, Filter, Query

Row = Mapping[str, Value]
Ask = Callable[[Query], Awaitable[tuple[Sequence[Row], int]]]

_KINDS_SHOWN = 6
#: What a statement that never ran ended with.
_STOPPED = ("blocked", "denied", "expired", "withdrawn", "superseded", "undeliverable")


async def exposure(query: Query, ask: Ask) -> list[str]:
    """The lines of the answer to a question (`query.exposure`): a sentence of judgement, then each count, none left out.

    `ask` gives the first rows and the total of a query, as the store's `audit`.
    """
    secret = [each for each in query.filters if each.key == "secret"]
    about = tuple(each for each in query.filters if each.key != "secret")

    async def asked(*more: Filter) -> tuple[Sequence[Row], int]:
        return await ask(replace(query, filters=(*about, *more), limit=MAX_LIMIT, sort="time"))

    masked, results = await asked(*secret)
    shown, clear = await asked(Filter("shown", ("*",)))
    passed, unscanned = await asked(Filter("unscanned", ("*",)))
    _, stopped = await asked(Filter("decision", _STOPPED))
    rows, statements = await asked()
    lost = sum(row.get("outcome") == UNREADABLE for row in rows)
    return [
        _judgement(clear, unscanned, statements, lost),
        _masked(masked, results),
        f"Shown clear, as policy says (clear_for): {_results(clear)}{_listed(_items(shown, 'clear'))}",
        f"Not scanned: {_results(unscanned)}{_listed(_items(passed, 'unscanned'))}",
        f"Stopped before it ran: {stopped:,} of {_statements(statements)}",
        *([f"Can't be read: {lost:,} of them; hoop audit verify says what is wrong"] if lost else []),
    ]


def _judgement(clear: int, unscanned: int, statements: int, lost: int) -> str:
    if not statements:
        return "Nothing ran."
    if lost:
        return "Nobody can say: the record was tampered with, see below."
    if clear or unscanned:
        return "Not every result was masked: see below what went out as it is."
    return "No secret left the gateway unmasked, as far as protected columns and detectors tell."


def _masked(rows: Sequence[Row], results: int) -> str:
    kinds: Counter[str] = Counter()
    for row in rows:
        for each in _list(row, "masked"):
            count = each.get("count") if isinstance(each, dict) else None
            if isinstance(each, dict) and isinstance(count, int):
                kinds[str(each.get("detector"))] += count
    more = f" (counted: the newest {len(rows):,})" if results > len(rows) else ""
    said = _listed([f"{count:,} {kind}" for kind, count in kinds.most_common()])
    return f"Masked: {kinds.total():,} values in {_results(results)}{more}{said}"


def _items(rows: Sequence[Row], key: str) -> list[str]:
    found: Counter[str] = Counter()
    for row in rows:
        value = row.get(key)
        found.update(str(each) for each in (value if isinstance(value, list) else [value]))
    return [name for name, _ in found.most_common()]


def _list(row: Row, key: str) -> list[Value]:
    value = row.get(key)
    return value if isinstance(value, list) else []


def _listed(items: Sequence[str]) -> str:
    if not items:
        return ""
    more = f", {len(items) - _KINDS_SHOWN} more" if len(items) > _KINDS_SHOWN else ""
    return f": {', '.join(items[:_KINDS_SHOWN])}{more}"


def _results(count: int) -> str:
    return f"{count:,} result{'' if count == 1 else 's'}"


def _statements(count: int) -> str:
    return f"{count:,} statement{'' if count == 1 else 's'}"
