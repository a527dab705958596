"""Figures of interleaved runs, and their ratios to a baseline of the same round. Pure.

A ratio is taken within each round, where both ran seconds apart, and the median of the rounds is quoted with the least and
the most: so it holds on a machine that others use too.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.result import Figure

#: Way -> one figure a round.
Rounds = Mapping[str, Sequence[float]]


def ratios(found: Rounds, way: str, baseline: str) -> list[float]:
    """Of each round. Empty where the baseline was not measured."""
    return [mine / its for mine, its in zip(found[way], found.get(baseline, ()), strict=False) if its]


def columns(found: Rounds, way: str, unit: str, baselines: Mapping[str, str], digits: int = 1) -> dict[str, Figure]:
    """The median, its spread, and the ratio to each of `baselines` (way -> column)."""
    figures = found[way]
    row: dict[str, Figure] = {
        unit: round(median(figures), digits),
        "spread": f"{min(figures):.{digits}f}-{max(figures):.{digits}f}",
    }
    for name, column in baselines.items():
        if each := ratios(found, way, name):
            row[column] = round(median(each), 2)
            row[f"{column}, spread"] = f"{min(each):.2f}-{max(each):.2f}"
    return row
