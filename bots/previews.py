"""The rows that a held statement would touch, as a small table of what changes. Pure.

What lives here: which columns and rows are shown, "old -> new", what is left out. What does not: asking for them
(gateway.session.probe) and masking, which happened before.
"""

from dataclasses import dataclass

from bots.texts import count, line
from gateway.approvals.request import Preview

_MAX_COLUMNS = 5
_MAX_ROWS = 5
_CELL = 48


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell; `changed` ones read "old -> new"."""

    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of the same width. `note` says what is left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


_KINDS = {"exact": "", "estimate": "about "}


def rows_of(preview: Preview) -> str:
    """ "42 rows", "about 18,240 rows"."""
    return f"{_KINDS.get(preview.kind, '')}{count(preview.rows or 0, 'row')}"


def table_of(preview: Preview) -> Table | None:
    """The sample as a table, None where there is none: up to five rows, and the five columns that tell most."""
    if not preview.columns or not preview.before:
        return None
    rows = [_pairs(preview, k) for k in range(min(len(preview.before), _MAX_ROWS))]
    chosen = _columns(rows, len(preview.columns))
    return Table(
        columns=tuple(line(preview.columns[k], _CELL) for k in chosen),
        rows=tuple(tuple(row[k] for k in chosen) for row in rows),
        note=_left_out(preview, len(rows), len(preview.columns) - len(chosen)),
    )


def _pairs(preview: Preview, k: int) -> tuple[Cell, ...]:
    before = preview.before[k]
    after = preview.after[k] if k < len(preview.after) else before
    width = len(preview.columns)
    return tuple(
        _cell(before[c] if c < len(before) else None, after[c] if c < len(after) else None) for c in range(width)
    )


def _cell(old: str | None, new: str | None) -> Cell:
    if old == new:
        return Cell(_value(old))
    return Cell(f"{_value(old)} -> {_value(new)}", changed=True)


def _value(value: str | None) -> str:
    return "NULL" if value is None else line(value, _CELL) or "''"


def _columns(rows: list[tuple[Cell, ...]], width: int) -> list[int]:
    """The first column (most often the key), then those that change, then the rest, up to five, in table order."""
    changing = [c for c in range(1, width) if any(row[c].changed for row in rows)]
    order = list(dict.fromkeys([0, *changing, *range(width)]))
    return sorted(order[:_MAX_COLUMNS])


def _left_out(preview: Preview, shown: int, columns: int) -> str:
    parts = []
    if preview.rows is not None and preview.rows > shown:
        parts.append(f"first {count(shown, 'row')} of {rows_of(preview)}")
    if columns:
        parts.append(f"{count(columns, 'more column')} not shown")
    return ", ".join(parts)


def as_text(table: Table) -> str:
    """The rows as literal text, for surfaces that take no tables."""
    lines = [" | ".join(each or " " for each in table.columns)]
    lines += [" | ".join(cell.text for cell in row) for row in table.rows]
    return "\n".join([*lines, *([table.note] if table.note else [])])
