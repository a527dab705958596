"""The table of goals: what each figure should be, what is accepted, what was measured, and what to say of it.

`python -m bench table` runs what is needed and prints it. Ratios are to stock pgbouncer in the same run. Pure but for `measure`,
which `bench.__main__` gives the results.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bench import connects, noticed, sessions, streams, transactions
from bench.machine import build
from bench.result import Figure, Result
from bench.ways import CLEAR, GATEWAY

Results = Mapping[str, Result]


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a figure stands (measurement, row, column), and two bounds: the best to hope for, and the least that is accepted."""

    what: str
    measurement: str
    row: str
    column: str
    goal: float
    accept: float


def _transactions(what: str, row: str, goal: float, accept: float) -> Goal:
    return Goal(what, "transactions", row, transactions.RATIO, goal, accept)


def _streams(what: str, row: str, goal: float, accept: float) -> Goal:
    return Goal(what, "streams", row, streams.RATIO, goal, accept)


_W, _S = transactions.label, streams.label
GOALS = (
    _transactions("W1 c8, x CPU a transaction", _W("W1", 8, "", GATEWAY), 1.15, 1.35),
    _transactions("W2 c8, x CPU a transaction", _W("W2", 8, "", GATEWAY), 1.15, 1.35),
    _transactions("W1 c8 TLS, x CPU a transaction", _W("W1", 8, " TLS", GATEWAY), 1.05, 1.25),
    _transactions("W2 c8 TLS, x CPU a transaction", _W("W2", 8, " TLS", GATEWAY), 1.05, 1.25),
    _transactions("W2 c1, x CPU a transaction", _W("W2", 1, "", GATEWAY), 1.0, 1.2),
    _streams("W3, detectors off, x CPU a GB", _S("W3", "", CLEAR), 0.8, 0.9),
    _streams("W4, detectors off, x CPU a GB", _S("W4", "", CLEAR), 0.8, 0.9),
    _streams("W3 TLS, detectors off, x CPU a GB", _S("W3", " TLS", CLEAR), 0.5, 0.65),
    _streams("W4 TLS, detectors off, x CPU a GB", _S("W4", " TLS", CLEAR), 0.5, 0.65),
    _streams("W3 clean, detectors on, x CPU a GB", _S("W3", "", GATEWAY), 1.3, 1.8),
    _streams("W3 1 % dirty, detectors on, x CPU a GB", _S("W3d", "", GATEWAY), 1.6, 2.2),
    Goal("W1 c8 not pinned, % lost", "noticed", noticed.label("W1", 8, "", GATEWAY), noticed.LOST, 30, 45),
    Goal("W2 c8 not pinned, % lost", "noticed", noticed.label("W2", 8, "", GATEWAY), noticed.LOST, 30, 45),
    Goal(
        "added p50 a query, c1 pinned, us", "noticed", noticed.label("W2", 1, " pinned", GATEWAY), noticed.ADDED, 40, 70
    ),
    Goal("idle session, TLS, KiB", "sessions", f"{sessions.IDLE} {GATEWAY}", sessions.KIB, 50, 64),
    Goal("held session, TLS, KiB", "sessions", f"{sessions.HELD} {GATEWAY}", sessions.KIB, 80, 120),
    Goal("uncompiled: W2 c8", "uncompiled", _W("W2", 8, "", GATEWAY), transactions.RATIO, 1.4, 1.6),
    Goal("uncompiled: W3, detectors off", "uncompiled", _S("W3", "", CLEAR), streams.RATIO, 1.1, 1.4),
    Goal("connect + 1 query TLS, x CPU", "connects", connects.label(" TLS", GATEWAY), connects.RATIO, 1.5, 2.5),
)
NEEDED = tuple(dict.fromkeys(goal.measurement for goal in GOALS))


def judge(results: Results) -> Result:
    """Every goal against the results of this run."""
    running = build()
    rows = [_judged(goal, results) for goal in GOALS]
    notes = [f"ratios to stock pgbouncer of the same run; this gateway is {running}"]
    if running != "compiled":
        notes.append("goals but for the rows `uncompiled` are meant for the compiled one")
    return Result("table", rows, notes)


def _judged(goal: Goal, results: Results) -> dict[str, Figure]:
    row: dict[str, Figure] = {"what": goal.what, "goal": f"<= {goal.goal:g}", "accept": f"<= {goal.accept:g}"}
    found = _found(goal, results)
    if found is None:
        return row | {"measured": "-", "verdict": "not measured"}
    return row | {"measured": f"{found:g}", "verdict": verdict(found, goal)}


def _found(goal: Goal, results: Results) -> float | None:
    rows = results[goal.measurement].rows if goal.measurement in results else ()
    figures = [row.get(goal.column) for row in rows if row["what"] == goal.row]
    return float(figures[0]) if figures and figures[0] is not None else None


def verdict(found: float, goal: Goal) -> str:
    """Reached, accepted or missed."""
    if found <= goal.goal:
        return "goal reached"
    return "accepted" if found <= goal.accept else f"MISSED, {found / goal.accept:.1f} x what is accepted"
