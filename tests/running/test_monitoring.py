"""Monitoring: what probes are told. What http.py makes of it: tests/test_http.py."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.approvals.request import Person
from gateway.identity.claims import Identity
from tests.running.gateways import gateway


async def test_a_store_that_hangs_keeps_nobody_waiting(
    file: Path, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = gateway(file, store_dsn)
    await made.start()
    answers, questions, alive = asyncio.Event(), 0, made.store.alive

    async def hanging(within: float) -> list[str]:
        nonlocal questions
        questions += 1
        await answers.wait()
        return await alive(within)

    async def never(_person: Person, _at: float) -> None:
        await answers.wait()

    for part in ("monitoring", "remembering"):
        monkeypatch.setattr(f"gateway.running.{part}.ANSWERS_WITHIN", 0)
    monkeypatch.setattr(made.store, "alive", hanging)
    monkeypatch.setattr(made.store, "saw", never)
    try:
        await made._remembering.saw(
            Identity("https://issuer.test", "bob-1", "bob", None, frozenset(), time.time() + 3600)
        )
        for _ in range(3):
            assert (await made.monitoring.ready())["store"].startswith(
                "degraded; the gateway's store does not answer within"
            )
        assert questions == 1
        answers.set()
        monkeypatch.setattr("gateway.running.monitoring.ANSWERS_WITHIN", None)
        assert (await made.monitoring.ready())["store"] == "ok"
    finally:
        answers.set()
        await made.stop()
