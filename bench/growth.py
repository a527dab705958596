"""How the gateway's CPU a statement grows: with the statement, the result, connections, rules and the catalog.

Beside each figure stands pgbouncer's for the same statements, where the size is the client's doing. Rules and tables are the gateway's
own affair: there it is a text met before, a first sight and a login, with a gateway of its own for each size.
"""

import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from bench import connects, pgbench
from bench.machine import memory, one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.transactions import SETTINGS, options
from bench.verdicts import KNOWN, STATEMENTS
from bench.ways import BOUNCER, GATEWAY, Way, Ways, all_ways
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.sample import SHOP, SHOP_USER

STATEMENT_BYTES = (100, 1_000, 8_000, 100_000)
RESULT_BYTES = (100, 10_000, 1_000_000)
CONNECTIONS = (1, 16, 64)
RULES = (10, 1_000, 10_000)
TABLES = (100, 1_000, 5_000)
_RULE = """  - name: rule {number}
    effect: deny
    groups: [engineering]
    statements: [write]
    tables: [public.nothing_{number}]
"""
_MAKE = """
SELECT format('CREATE TABLE many_%s (id int PRIMARY KEY, a text, b text, c int, d timestamptz)', n)
  FROM generate_series(1, {tables}) AS n \\gexec
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user};
"""


async def measure() -> Result:
    """One gateway for what the client does, then one for each number of rules and of tables."""
    with one_cpu(), tempfile.TemporaryDirectory(prefix="hoop-bench-") as folder:
        async with running(SETTINGS, fill=pgbench.fill) as stack, all_ways(stack) as ways:
            rows = [await _both(ways, *each) for each in _clients_doing(folder)]
            missing = ways.missing
        for count in RULES:
            rules = "".join(_RULE.format(number=number) for number in range(count))
            rows += [await _alone(folder, f"{count:,} rules", rules, pgbench.fill)]
        for count in TABLES:
            rows += [await _alone(folder, f"{count:,} tables", "", _tables(count))]
    return Result("growth", rows, ["CPU us of the process in between, everything on one CPU, one run each", *missing])


def _clients_doing(folder: str) -> Iterator[tuple[str, Sequence[str], int]]:
    """Name, pgbench's arguments, seconds: one at a time, for they share a script."""
    for size in STATEMENT_BYTES:
        yield f"statement of {size:,} bytes", _scripted(folder, _statement(size)), 3
    for size in RESULT_BYTES:
        yield f"result of {size:,} bytes", _scripted(folder, f"SELECT repeat('x', {size})"), 3
    for clients in CONNECTIONS:
        yield f"{clients} connections", options("prepared", clients), 7 if clients > 16 else 3


def _statement(size: int) -> str:
    """A list of constants as long as that, another one each time."""
    head, tail = "SELECT abalance FROM pgbench_accounts WHERE aid IN (:n", ")"
    return head + ", 1" * ((size - len(head) - len(tail)) // 3) + tail


def _scripted(folder: str, statement: str) -> list[str]:
    script = Path(folder) / "script.sql"
    script.write_text(f"\\set n random(1, 1000000)\n{statement};\n")
    return ["-n", "-f", str(script), "-c", "1", "-j", "1"]


async def _both(ways: Ways, what: str, wanted: Sequence[str], seconds: int) -> dict[str, Figure]:
    row: dict[str, Figure] = {"what": what}
    for way in ways.of(BOUNCER, GATEWAY):
        row[way.name] = round((await pgbench.steady(way, wanted, seconds)).cpu_us, 1)
    if BOUNCER in row:
        row[connects.RATIO] = round(float(row[GATEWAY]) / float(row[BOUNCER]), 1)
    return row


def _tables(count: int) -> Callable[[EmbeddedPostgres], Awaitable[None]]:
    async def fill(postgres: EmbeddedPostgres) -> None:
        await pgbench.fill(postgres)
        await postgres.psql(_MAKE.format(tables=count, user=SHOP_USER), SHOP)

    return fill


async def _alone(
    folder: str, what: str, rules: str, fill: Callable[[EmbeddedPostgres], Awaitable[None]]
) -> dict[str, Figure]:
    async with running(fill=fill, rules=rules) as stack:
        way = Way(GATEWAY, stack.wire, stack.issuer.mint("ann", lifetime=3600), stack.pid, "postgres")
        await pgbench.whole(way, ["-n", "-S", "-t", "5"])  # the catalog is read
        again = await pgbench.steady(way, options("prepared", 1))
        protocol, alias, number = KNOWN["first sight"]
        script = _scripted(folder, STATEMENTS["point read"].format(alias=alias, n=number))
        first = await pgbench.steady(way, [*script, "-M", protocol])
        login = await pgbench.whole(way, ["-n", "-S", "-C", "-c", "1", "-j", "1", "-t", "50"])
        return {
            "what": what,
            GATEWAY: round(again.cpu_us, 1),
            "first sight": round(first.cpu_us),
            "login": round(login.cpu_us),
            "RSS MiB": round(memory(stack.pid)["VmRSS"] / 1024),
        }
