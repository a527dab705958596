"""`python -m bench [NAME...]`: run measurements (the usual ones without a name), print tables, write bench/results/NAME.json."""

import argparse
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from bench import (
    audit_entry,
    audit_verify,
    bombs,
    click_to_resume,
    connects,
    contents,
    drivers,
    flows,
    goals,
    growth,
    held_1000,
    hot_path,
    machine,
    masking,
    noticed,
    plot,
    sessions,
    streams,
    teams_lag,
    tiers,
    transactions,
    uncompiled,
    verdicts,
    workers,
)
from bench.result import Result, save, table

MEASUREMENTS: dict[str, Callable[[], Coroutine[Any, Any, Result]]] = {
    "transactions": transactions.measure,
    "streams": streams.measure,
    "contents": contents.measure,
    "sessions": sessions.measure,
    "connects": connects.measure,
    "noticed": noticed.measure,
    "uncompiled": uncompiled.measure,
    "verdicts": verdicts.measure,
    "flows": flows.measure,
    "drivers": drivers.measure,
    "audit_entry": audit_entry.measure,
    "audit_verify": audit_verify.measure,
    "click_to_resume": click_to_resume.measure,
    "growth": growth.measure,
    "held_1000": held_1000.measure,
    "hot_path": hot_path.measure,
    "bombs": bombs.measure,
    "tiers": tiers.measure,
    "masking": masking.measure,
    "teams_lag": teams_lag.measure,
    "workers": workers.measure,
}
#: What `make bench` runs, then the table of goals; the others are for whoever works on what they measure.
USUAL = tuple(MEASUREMENTS)[:14]
TABLE = "table"
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run what was named, then the table of goals where it was asked for. Returns 0; a measurement that can't be made raises."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway on this machine.")
    known = [*MEASUREMENTS, TABLE]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default: {', '.join(USUAL)}, {TABLE}"
    )
    names = parser.parse_args().names or [*USUAL, TABLE]
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(known)}")
    results: dict[str, Result] = {}
    for name in dict.fromkeys([*names, *(goals.NEEDED if TABLE in names else ())]):
        if name != TABLE:
            results[name] = _measured(name)
    if TABLE in names:
        _kept(replace(goals.judge(results), load=(machine.load(), machine.load()), machine=machine.facts()))
    if results.keys() & plot.CHARTS.keys():
        _drawn()
    return 0


def _measured(name: str) -> Result:
    before = machine.load()
    result = uvloop.run(MEASUREMENTS[name]())
    return _kept(replace(result, load=(before, machine.load()), machine=machine.facts()))


def _kept(result: Result) -> Result:
    print(table(result))
    print(f"({save(result, RESULTS)})\n", flush=True)
    return result


def _drawn() -> None:
    try:
        print("\n".join(map(str, plot.draw(RESULTS))))
    except ImportError:
        print("matplotlib is MISSING, so nothing was drawn: pip install 'hoop-gate[bench]'")


if __name__ == "__main__":
    sys.exit(main())
