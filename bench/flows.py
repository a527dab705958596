"""What applications send beside plain reads and writes, a transaction each: CPU us of the process in between.

Locks and queues, numbers of sequences, settings for row level security, rows with masked columns, what drivers' pools send when a
connection comes back, cursors, code of the user's own. Two clients, the simple protocol, one CPU, the ways in turn.
"""

import tempfile
from pathlib import Path

from bench import pgbench
from bench.connects import RATIO
from bench.machine import one_cpu
from bench.result import Figure, Result
from bench.stack import running
from bench.ways import BOUNCER, GATEWAY, Ways, all_ways
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.sample import SHOP, SHOP_USER

_READ = "SELECT abalance FROM pgbench_accounts WHERE aid = :n;"
#: Kind -> what a transaction sends; :n is another number each time.
FLOWS = {
    "point read": _READ,
    "masked columns": "SELECT id, name, card_number, api_key FROM customers WHERE id = :n;",
    "FOR UPDATE": "BEGIN;\nSELECT abalance FROM pgbench_accounts WHERE aid = :n FOR UPDATE;\nCOMMIT;",
    "SKIP LOCKED": "BEGIN;\nSELECT k FROM bench_kv ORDER BY k LIMIT 1 FOR UPDATE SKIP LOCKED;\nCOMMIT;",
    "nextval": "SELECT nextval('bench_serial_id_seq');",
    "INSERT RETURNING": "INSERT INTO bench_serial (v) VALUES (:n) RETURNING id;",
    "ON CONFLICT": "INSERT INTO bench_kv VALUES (:n, 'a') ON CONFLICT (k) DO UPDATE SET v = excluded.v;",
    "counter": "UPDATE bench_kv SET k = k + 0 WHERE k = :n;",
    "DELETE": "DELETE FROM bench_kv WHERE k = :n;",
    "SET LOCAL": f"BEGIN;\nSET LOCAL app.tenant = ':n';\n{_READ}\nCOMMIT;",
    "set_config": f"BEGIN;\nSELECT set_config('app.tenant', '7', true);\n{_READ}\nCOMMIT;",
    "advisory lock": "BEGIN;\nSELECT pg_advisory_xact_lock(7);\nCOMMIT;",
    "statement_timeout": "SET statement_timeout = '5s';",
    "a pool's reset": "SELECT pg_advisory_unlock_all()\\;\nCLOSE ALL\\;\nUNLISTEN *\\;\nRESET ALL;",
    "SHOW": "SHOW transaction_isolation;",
    "cursor": "BEGIN;\nDECLARE c CURSOR FOR SELECT aid FROM pgbench_accounts WHERE aid < 100;\nFETCH 50 FROM c;\nCLOSE c;\nCOMMIT;",
    "a write in WITH": "WITH x AS (UPDATE bench_kv SET v = 'c' WHERE k = :n RETURNING k) SELECT * FROM x;",
    "a function": "SELECT bench_plus(:n);",
}
_RULES = """  - name: agents may do more
    effect: allow
    groups: [agents]
    statements: [read, write, session, opaque]
"""
_MAKE = """
CREATE TABLE bench_kv (k int PRIMARY KEY, v text);
INSERT INTO bench_kv SELECT n, 'v' FROM generate_series(1, 1000) AS n;
CREATE TABLE bench_serial (id serial PRIMARY KEY, v int);
CREATE FUNCTION bench_plus(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1 + 1';
GRANT ALL ON ALL TABLES IN SCHEMA public TO {user};
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user};
"""


async def measure() -> Result:
    """All flows, one after the other."""
    with one_cpu(), tempfile.TemporaryDirectory(prefix="hoop-bench-") as folder:
        async with running(fill=_fill, rules=_RULES) as stack, all_ways(stack) as ways:
            rows = [await _both(Path(folder), ways, what, script) for what, script in FLOWS.items()]
    return Result("flows", rows, ["two clients, simple protocol, everything on one CPU, one run each", *ways.missing])


async def _both(folder: Path, ways: Ways, what: str, script: str) -> dict[str, Figure]:
    file = folder / "script.sql"
    file.write_text(f"\\set n random(1, 200)\n{script}\n")
    row: dict[str, Figure] = {"what": what}
    for way in ways.of(BOUNCER, GATEWAY):
        run = await pgbench.steady(way, ["-n", "-f", str(file), "-c", "2", "-j", "1"])
        row[way.name] = round(run.cpu_us, 1)
    if BOUNCER in row:
        row[RATIO] = round(float(row[GATEWAY]) / float(row[BOUNCER]), 1)
    return row


async def _fill(postgres: EmbeddedPostgres) -> None:
    await pgbench.fill(postgres)
    await postgres.psql(_MAKE.format(user=SHOP_USER), SHOP)
