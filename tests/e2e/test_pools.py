"""A pool of asyncpg's keeps what it prepared, and takes the session back each time that a connection is given back. On a real PostgreSQL."""

from pathlib import Path

import asyncpg

from tests.e2e.office import open_office
from tests.e2e.stack import Stack

ROUNDS = 6
#: By a rule of its own a write goes, and what nobody can read for certain still waits.
WRITES_GO = (
    ("statements: [read]}\n  - {name: reviewers", "statements: [read, write]}\n  - {name: reviewers"),
    ("statements: [write, ddl, admin, session, opaque]", "statements: [ddl, admin, session, opaque]"),
)


async def test_an_allowed_write_with_a_constant_stays_allowed(stack: Stack, tmp_path: Path) -> None:
    """Its constant was read as the connection began, and so it is read behind each RESET ALL of the pool's again."""
    name, ids = "pooled", [stack.ids() for _ in range(ROUNDS)]
    async with open_office(stack, tmp_path, *WRITES_GO) as office:
        pool = await asyncpg.create_pool(
            host=stack.host,
            port=office.gateway.ports.wire,
            user="hoop",
            database="shop",
            password=stack.token("ann"),
            min_size=1,
            max_size=1,
            command_timeout=10,
            server_settings={"application_name": name},
        )
        for row in ids:
            await pool.execute("UPDATE ledger SET owner = 'somebody' WHERE id = $1", row)
            if row == ids[2]:
                await pool.execute("SET timezone = 'Asia/Tokyo'")
            assert await pool.fetchval("SELECT owner FROM ledger WHERE id = $1", row) == "somebody"
        await pool.close()
        await stack.recorded(2 * ROUNDS + 1, kind="finished", agent=name, tag="RESET", outcome="executed")
    counted = {
        tag: len(stack.entries(kind="statement", agent=name, tag=tag)) for tag in ("UPDATE", "RESET", "UNLISTEN")
    }
    assert counted == {"UPDATE": ROUNDS, "RESET": 2 * ROUNDS + 1, "UNLISTEN": 2 * ROUNDS + 1}
    assert not stack.entries(kind="held", agent=name)
