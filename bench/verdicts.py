"""What judging a statement costs, by its kind and by how well it is known: CPU us a statement beyond pgbouncer's for the same.

    first sight      a text and shape that nobody has met       repeated text    the same text again
    repeated shape   the same with another number               prepared         Parse once, then Bind and Execute

One client, one CPU, the ways in turn. What is beyond pgbouncer's is not only the verdict: record, accounting and the
gateway's own way of moving bytes are in it.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench import pgbench
from bench.machine import one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.ways import BOUNCER, GATEWAY, RELAY, Way, all_ways

#: Kind -> statement; {alias} is a name and {n} a number that may change each time.
STATEMENTS: Mapping[str, str] = {
    "point read": "SELECT abalance AS {alias} FROM pgbench_accounts WHERE aid = {n}",
    "join of three": "SELECT a.abalance AS {alias}, b.bbalance, t.tbalance FROM pgbench_accounts a "
    "JOIN pgbench_branches b ON b.bid = a.bid JOIN pgbench_tellers t ON t.tid = b.bid WHERE a.aid = {n}",
    "write": "UPDATE pgbench_accounts AS {alias} SET abalance = 0 WHERE aid = {n}",
    "insert of 100 rows": "INSERT INTO pgbench_history AS {alias} (tid, bid, aid, delta, filler) VALUES (1, 1, {n}, -5, 'a row')"
    + ", (2, 1, {n}, 5.25, 'it''s another')" * 99,
    "housekeeping": "SET application_name = '{alias}{n}'",
}
WRITING = ("write", "insert of 100 rows")
#: How well known -> (protocol, alias, number).
KNOWN: Mapping[str, tuple[str, str, str]] = {
    "first sight": ("simple", "x:n", "1"),
    "repeated shape": ("simple", "x", ":n"),
    "repeated text": ("simple", "x", "1"),
    "prepared": ("prepared", "x", ":n"),
}


async def measure() -> Result:
    """A write goes as the agent that may write, all else as somebody who only reads."""
    with one_cpu(), tempfile.TemporaryDirectory(prefix="hoop-bench-") as folder:
        async with running(fill=pgbench.fill) as stack, all_ways(stack) as ways:
            other = (ways.of(BOUNCER) or ways.of(RELAY))[0]
            rows = []
            for kind, statement in STATEMENTS.items():
                person = "cursor" if kind in WRITING else "ann"
                way = Way(GATEWAY, stack.wire, stack.issuer.mint(person, lifetime=3600), stack.pid)
                row: dict[str, Figure] = {"what": f"{kind}, us"}
                for known in KNOWN:
                    if kind != "housekeeping" or known != "prepared":
                        row[known] = await _beyond(Path(folder), statement, known, way, other)
                rows.append(row)
    notes = [f"CPU us a statement beyond {other.name}'s, one client, everything on one CPU", *ways.missing]
    return Result("verdicts", rows, notes)


async def _beyond(folder: Path, statement: str, known: str, way: Way, other: Way) -> float:
    protocol, alias, number = KNOWN[known]
    script = folder / "script.sql"
    script.write_text(f"\\set n random(1, 1000000)\n{statement.format(alias=alias, n=number)};\n")
    options = ["-n", "-f", str(script), "-M", protocol, "-c", "1", "-j", "1"]
    plain = await pgbench.steady(other, options)
    mine = await pgbench.steady(way, options)
    return round(mine.cpu_us - plain.cpu_us, 1)
