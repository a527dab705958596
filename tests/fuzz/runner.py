"""Runs fuzz cases by number. A case is made from (seed, number) alone, so a failure is said by the two, and a run goes on
where another stopped.

What must not live here: what a case does. Each is a function that takes a Random, raises for a defect, and returns how many
frames or statements it has tried.
"""

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import FrameType

Case = Callable[[Random], int]

#: Seconds of CPU. The slowest case takes a fraction of one; what takes longer hangs.
LIMIT = 30
#: A run ends at so many failures: more of them tell nothing new.
ENOUGH = 20


class HangError(Exception):
    """A case did not end in time."""


@dataclass(slots=True)
class Failure:
    """`number` makes the case again; `trace` ends with what it has noted of its input."""

    number: int
    trace: str


@dataclass(slots=True)
class Run:
    """`done`: frames or statements. `following`: the number of the first case that was not run."""

    done: int = 0
    following: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)


def run(
    case: Case, seed: int, first: int, count: int, told: Callable[[Run], None], failed: Callable[[Failure], None]
) -> Run:
    """Run cases from number `first` on until `count` frames or statements were tried; `told` hears of it every 10 s."""
    found = Run(following=first)
    began = last = time.monotonic()
    while found.done < count and len(found.failures) < ENOUGH:
        try:
            with _limited():
                found.done += case(Random(f"{seed}:{found.following}"))
        except Exception as error:
            found.failures.append(Failure(found.following, "".join(traceback.format_exception(error))))
            failed(found.failures[-1])
        found.following += 1
        now = time.monotonic()
        found.seconds = now - began
        if now - last >= 10:
            last = now
            told(found)
    return found


@contextmanager
def _limited() -> Iterator[None]:
    def over(_signal: int, _frame: FrameType | None) -> None:
        raise HangError(f"it did not end within {LIMIT} s")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
