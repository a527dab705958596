"""`python -m bench [NAME...]`: run measurements (all without a name), print tables, write bench/results/NAME.json."""

import argparse
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from bench import audit_entry, bombs, click_to_resume, held_1000, hot_path, machine, masking, teams_lag, tiers
from bench.result import Result, save, table

MEASUREMENTS: dict[str, Callable[[], Coroutine[Any, Any, Result]]] = {
    "click_to_resume": click_to_resume.measure,
    "held_1000": held_1000.measure,
    "hot_path": hot_path.measure,
    "audit_entry": audit_entry.measure,
    "bombs": bombs.measure,
    "tiers": tiers.measure,
    "masking": masking.measure,
    "teams_lag": teams_lag.measure,
}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run what was named. Returns 0; a measurement that can't be made raises."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; default: all")
    names = parser.parse_args().names or list(MEASUREMENTS)
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    for name in names:
        before = machine.load()
        result = uvloop.run(MEASUREMENTS[name]())
        result = replace(result, load=(before, machine.load()), machine=machine.facts())
        print(table(result))
        print(f"({save(result, RESULTS)})\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
