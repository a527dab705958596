"""Two bar charts of the saved results, as SVG and PNG: CPU a transaction and CPU a GB, in multiples of stock pgbouncer's.

`python -m bench.plot [FOLDER]` draws what FOLDER (default bench/results) holds. matplotlib is in the extra `bench`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import streams, transactions
from bench.ways import BIG_BOUNCER, BOUNCER, CLEAR, GATEWAY, HAPROXY

RESULTS = Path(__file__).parent / "results"
_COLOURS = {
    BOUNCER: "#9aa5b1",
    BIG_BOUNCER: "#cbd2d9",
    HAPROXY: "#7b8794",
    CLEAR: "#5fb3a1",
    GATEWAY: "#1f7a8c",
}
_W, _S = transactions.label, streams.label
#: Measurement -> (title, column, group -> row of each way).
CHARTS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "transactions": (
        "CPU a transaction",
        transactions.RATIO,
        {
            "simple,\n8 clients": lambda way: _W("W1", 8, "", way),
            "prepared,\n8 clients": lambda way: _W("W2", 8, "", way),
            "prepared,\n1 client": lambda way: _W("W2", 1, "", way),
            "prepared, 8,\nTLS": lambda way: _W("W2", 8, " TLS", way),
            "UPDATE,\n8 clients": lambda way: _W("write", 8, "", way),
            "UPDATE and SELECT\nin a block, 8": lambda way: _W("change", 8, "", way),
        },
    ),
    "streams": (
        "CPU a GB of rows",
        streams.RATIO,
        {
            "SELECT": lambda way: _S("W3", "", way),
            "SELECT,\n1 % dirty": lambda way: _S("W3d", "", way),
            "COPY": lambda way: _S("W4", "", way),
            "SELECT,\nTLS": lambda way: _S("W3", " TLS", way),
        },
    ),
}


def draw(folder: Path) -> list[Path]:
    """Draw each measurement that `folder` holds; returns the files. Raises ImportError without matplotlib."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "hoop"  # the same figures give the same file
    return [path for name in CHARTS if (folder / f"{name}.json").exists() for path in _chart(folder, name)]


def _chart(folder: Path, name: str) -> list[Path]:
    from matplotlib import pyplot  # noqa: PLC0415

    title, column, groups = CHARTS[name]
    rows = {row["what"]: row for row in json.loads((folder / f"{name}.json").read_text("utf-8"))["rows"]}
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    found = {way: [_ratio(rows, at(way), column) for at in groups.values()] for way in _COLOURS}
    _bars(axes, {way: each for way, each in found.items() if any(each)})
    axes.set_xticks(range(len(groups)), list(groups))
    axes.axhline(1, color="#3e4c59", linewidth=0.8)
    axes.set_ylabel("x stock pgbouncer")
    axes.set_title(f"{title}, in multiples of stock pgbouncer (less is better)", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=len(_COLOURS), loc="upper center", bbox_to_anchor=(0.5, -0.18))
    paths = [folder / f"{name}.{kind}" for kind in ("svg", "png")]
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=120)
    pyplot.close(figure)
    return paths


def _bars(axes: Any, found: Mapping[str, Sequence[float]]) -> None:
    width = 0.8 / len(found)
    for number, (way, ratios) in enumerate(found.items()):
        places = [group - 0.4 + (number + 0.5) * width for group in range(len(ratios))]
        bars = axes.bar(places, ratios, width * 0.92, label=way, color=_COLOURS[way])
        axes.bar_label(bars, [f"{each:.1f}" if each else "" for each in ratios], fontsize=7, padding=1)


def _ratio(rows: Mapping[str, Mapping[str, Any]], what: str, column: str) -> float:
    return float(rows.get(what, {}).get(column, 0))


if __name__ == "__main__":
    for drawn in draw(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS):
        print(drawn)
