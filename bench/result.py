"""What a measurement gives: rows of figures, shown as a table and kept as JSON. Pure but for `save`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

Figure = float | int | str


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement: `rows` share their keys, the first of which names the row. `notes` are sentences.

    `load` is the machine's load average (1 minute) before and after: figures of a busy machine are worth little.
    """

    name: str
    rows: Sequence[Mapping[str, Figure]]
    notes: Sequence[str] = ()
    load: tuple[float, float] = (0.0, 0.0)
    machine: Mapping[str, Figure] = field(default_factory=dict)


def percentile(values: Sequence[float], part: float) -> float:
    """The nearest-rank percentile; `part` is 0 to 100. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    rank = -(-len(ranked) * part // 100)  # the ceiling
    return ranked[max(0, int(rank) - 1)]


def spread(name: str, seconds: Sequence[float]) -> dict[str, Figure]:
    """A row of milliseconds: how many, the percentiles, the worst."""
    shown = {f"p{part}": percentile(seconds, part) for part in (50, 95, 99)} | {"max": max(seconds)}
    return {"what": name, "n": len(seconds), **{f"{key} ms": round(value * 1000, 2) for key, value in shown.items()}}


def table(result: Result) -> str:
    """The rows under their keys, text to the left, figures to the right."""
    keys = list(dict.fromkeys(key for row in result.rows for key in row))
    cells = [keys, *([_text(row.get(key, "")) for key in keys] for row in result.rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(keys))]
    left = [all(isinstance(row.get(key, ""), str) for row in result.rows) for key in keys]
    lines = [
        "  ".join(
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(line, widths, left, strict=True)
        )
        for line in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    head = f"{result.name} (load average {result.load[0]:.2f} before, {result.load[1]:.2f} after)"
    return "\n".join([head, *(line.rstrip() for line in lines), *(f"- {note}" for note in result.notes)])


def save(result: Result, directory: Path) -> Path:
    """Write NAME.json over the last run's. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{result.name}.json"
    path.write_text(json.dumps(asdict(result), indent=2) + "\n", "utf-8")
    return path


def _text(value: Figure) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
