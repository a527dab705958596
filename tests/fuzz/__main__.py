"""`python -m tests.fuzz NAME --count N [--seed S] [--first I]`: fuzz until N frames or statements were tried.

A failure is printed with what makes it again (`--seed S --first I --count 1`) and ends the run with status 1.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from tests.fuzz import classifier, frames, logins, reads, sessions
from tests.fuzz.runner import Case, Failure, Run, run

#: Name -> from the directory of further texts to a case, ready while the context is open.
CASES: dict[str, Callable[[Path | None], AbstractContextManager[Case]]] = {
    "frames": lambda _: nullcontext(frames.case),
    "logins": lambda _: nullcontext(logins.case),
    "sessions": lambda _: nullcontext(sessions.case),
    "classifier": lambda texts: nullcontext(classifier.case(texts)),
    "reads": reads.case,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=CASES)
    parser.add_argument("--count", type=int, default=100_000, help="frames or statements to try (default: 100000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case (to go on, or to see one again)")
    parser.add_argument("--texts", type=Path, metavar="DIRECTORY", help="further SQL to begin with: its *.sql files")
    asked = parser.parse_args()
    with CASES[asked.name](asked.texts) as case:
        found = run(case, asked.seed, asked.first, asked.count, partial(_tell, asked.name), partial(_show, asked))
    _tell(asked.name, found)
    return 1 if found.failures else 0


def _tell(name: str, found: Run) -> None:
    print(
        f"{name}: {found.done:,} in {found.seconds:.0f} s, {len(found.failures)} failures; next --first {found.following}",
        flush=True,
    )


def _show(asked: argparse.Namespace, failure: Failure) -> None:
    print(f"\n{asked.name} --seed {asked.seed} --first {failure.number} --count 1\n{failure.trace}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
