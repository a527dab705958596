"""W1 and W2: `pgbench -S`, simple and prepared, 1, 8 and 64 clients, plain and over TLS: CPU of the process in between a transaction.

Besides, plain and with 8 clients: "once", the same SELECT parsed anew each time (Parse, Bind, Describe, Execute, Sync, as many drivers
send it); "block", one between BEGIN and COMMIT; "write", an UPDATE by itself; "change", an UPDATE and a SELECT in a block; "begins", the
same where BEGIN comes with the UPDATE, as JDBC sends it; "savepoint", an UPDATE between SAVEPOINT and RELEASE in a block; "batch", ten
UPDATEs that end in one Sync.

Server, ways and pgbench are on one CPU, and the ways take turns. The gateway is as shipped: full judgement, audit to the
spool, the detectors on.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench import pgbench, ratios
from bench.machine import one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.ways import BIG_BOUNCER, BOUNCER, DIRECT, GATEWAY, HAPROXY, Way, all_ways

ROUNDS = 3
#: Scripts beside this file, and the protocol that each is sent by.
_SCRIPTS = {
    "block": ("block.sql", "simple"),
    "write": ("write.sql", "prepared"),
    "write, simple": ("write.sql", "simple"),
    "change": ("change.sql", "prepared"),
    "change, simple": ("change.sql", "simple"),
    "change once": ("change.sql", "extended"),
    "begins": ("begins.sql", "prepared"),
    "savepoint": ("savepoint.sql", "simple"),
    "batch": ("batch.sql", "prepared"),
}
PLAIN = (
    ("W1", "simple", 1),
    ("W1", "simple", 8),
    ("W2", "prepared", 1),
    ("W2", "prepared", 8),
    ("W2", "prepared", 64),
    ("once", "extended", 8),
    *((name, name, 8) for name in _SCRIPTS),
)
TLS = (("W1", "simple", 8), ("W2", "prepared", 1), ("W2", "prepared", 8))
#: So many clients take a while on one CPU until each has met its statement.
_SECONDS, _ROUNDS = {64: 7}, {64: 1}
RATIO = "x pgbouncer"
SETTINGS = {"max_connections": "600"}  # poolers keep theirs


async def measure() -> Result:
    """Plain, then TLS; each round runs all ways of a workload before the next."""
    with one_cpu():
        async with running(SETTINGS, fill=pgbench.fill) as stack, all_ways(stack) as ways:
            rows = await interleaved("", PLAIN, ways.of(BOUNCER, BIG_BOUNCER, HAPROXY, GATEWAY))
            rows += await interleaved(" TLS", TLS, ways.of_tls(BOUNCER, HAPROXY, GATEWAY))
            rows += await _direct(ways.of(DIRECT)[0])
    notes = [
        f"{ROUNDS} rounds in turn on one CPU, one second each behind a first one; the median; c64 is one round",
        *ways.missing,
    ]
    return Result("transactions", rows, notes)


def label(name: str, clients: int, tls: str, way: str) -> str:
    """What a row is called."""
    return f"{name} c{clients}{tls} {way}"


async def interleaved(tls: str, workloads: Sequence[tuple[str, str, int]], ways: list[Way]) -> list[dict[str, Figure]]:
    """A row of each workload (name, protocol, clients) and way, the ways in turn."""
    runs: dict[tuple[str, int], dict[str, list[pgbench.Run]]] = {}
    for number in range(ROUNDS):
        for name, protocol, clients in workloads:
            for way in ways if number < _ROUNDS.get(clients, ROUNDS) else ():
                run = await pgbench.steady(way, options(protocol, clients), _SECONDS.get(clients, 3))
                runs.setdefault((name, clients), {}).setdefault(way.name, []).append(run)
    return [
        _row(label(name, clients, tls, way), found, way) for (name, clients), found in runs.items() for way in found
    ]


def _row(what: str, found: dict[str, list[pgbench.Run]], way: str) -> dict[str, Figure]:
    costs = {name: [run.cpu_us for run in runs] for name, runs in found.items()}
    tps = round(median(run.tps for run in found[way]))
    return {"what": what, "tps": tps, **ratios.columns(costs, way, "CPU us a txn", {BOUNCER: RATIO})}


async def _direct(way: Way) -> list[dict[str, Figure]]:
    """What the server does without anything in between: transactions a second only."""
    rows: list[dict[str, Figure]] = []
    for name, protocol, clients in PLAIN:
        run = await pgbench.steady(way, options(protocol, clients))
        rows.append({"what": label(name, clients, "", DIRECT), "tps": round(run.tps)})
    return rows


def options(protocol: str, clients: int) -> list[str]:
    """pgbench's arguments for a workload; `protocol`: of the SELECT, or one of the scripts."""
    found = _SCRIPTS.get(protocol)
    how = ["-S", "-M", protocol] if found is None else ["-M", found[1], "-f", str(Path(__file__).with_name(found[0]))]
    return ["-n", *how, "-c", str(clients), "-j", "1"]
