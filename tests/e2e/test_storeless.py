"""While the store is away: who comes in, what runs, what is refused, and what a balancer hears."""

import json

import psycopg
import pytest

from tests.e2e.between import Between, Stop
from tests.e2e.site import Site, get

AWAY = "reads and logins go on, nothing is held or released"


@pytest.mark.parametrize("how", ["refuses", "hangs"])
async def test_logins_and_reads_go_on_without_the_store(site: Site, how: str) -> None:
    store = await Between.before(site.postgres.port)
    site.environment["HOOP_STORE"] = site.environment["HOOP_STORE"].replace(str(site.postgres.port), str(store.port))
    async with site.serving() as served:
        if how == "hangs":
            store.stop(Stop(()))
        else:
            await store.close()
        ann = await site.connect(served, "ann")
        assert await (await ann.execute("SELECT count(*) FROM ledger WHERE id = 7")).fetchone() == (1,)
        with pytest.raises(psycopg.errors.CannotConnectNow, match="the gateway's store does not answer"):
            await ann.execute("DELETE FROM ledger WHERE id = 7")
        assert await (await ann.execute("SELECT count(*) FROM ledger WHERE id = 7")).fetchone() == (1,)
        status, ready = await get(served, "/readyz")
        parts = json.loads(ready)
        assert status == 200
        assert parts.pop("store").startswith("degraded; the gateway's store does not answer")
        assert parts == {"spool": "ok", "issuers": "ok"}
        assert AWAY in ready
    await store.close()
