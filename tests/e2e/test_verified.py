"""The last word of the run: after everything that the other tests did, the record is whole, and says so by itself."""

import asyncio
import json
import os
import sys

from gateway.audit.log import verify
from tests.e2e.stack import STEP, Stack


async def test_verify(stack: Stack) -> None:
    gateway = stack.demo.gateway
    await stack.on(gateway.audit.checkpoint())
    report = await stack.on(verify(gateway.store, gateway.settings.spool, gateway.settings.audit_key))
    assert report.findings == ()
    assert report.ok


async def test_hoop_audit_verify(stack: Stack) -> None:
    """The command, from another process, while the gateway goes on."""
    settings = stack.demo.gateway.settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "audit", "verify", "--json"),
        env={
            **os.environ,
            "HOOP_STORE": settings.store,
            "HOOP_SPOOL": str(settings.spool),
            "HOOP_AUDIT_KEY": settings.audit_key.decode(),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(STEP):
        out, err = await process.communicate()
    assert process.returncode == 0, (out, err)
    assert json.loads(out)["ok"] is True


async def test_every_request_has_ended_and_every_end_is_recorded_once(stack: Stack) -> None:
    """Nothing is left pending but what outlives its client; what the store says of a request is what the entries say."""
    store = stack.demo.gateway.store
    for request in await stack.on(store.find(limit=1000)):
        waits = request.kept and request.state.value in ("pending", "approved")
        assert waits or request.state.value not in ("pending", "approved", "released"), request.id
        kinds = [each["kind"] for each in stack.entries(request=request.id)]
        assert kinds.count("held") == 1
        assert kinds.count("released") == (1 if request.state.value in ("executed", "failed", "unknown") else 0)
