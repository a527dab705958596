"""Who logged in is remembered: once for a token, and as of when it was issued."""

import time
from pathlib import Path

import pytest

from gateway.approvals.request import Person
from gateway.errors import StoreUnavailable
from gateway.identity.claims import Identity
from tests.running.gateways import gateway


async def test_an_old_token_brings_no_authority_back(file: Path, store_dsn: str) -> None:
    """Bob was taken out of dba, and signed in since. His token of this morning is good for a login, and tells what was then."""
    made = gateway(file, store_dsn)
    await made.start()
    try:
        now = time.time()
        bob = ("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com")
        for groups, issued_at in ((frozenset[str](), now - 60), (frozenset({"dba"}), now - 7200)):
            await made._remembering.saw(Identity(*bob, groups, now + 3600, issued_at))
        assert await made.desk.reviewer("bob@example.com") == Person(*bob, frozenset())
        await made._remembering.saw(Identity(*bob, frozenset({"dba"}), now + 3600))
        assert await made.desk.reviewer("bob@example.com") == Person(*bob, frozenset({"dba"}))
    finally:
        await made.stop()


async def test_the_same_token_is_stored_once(file: Path, store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool connects often. What another token says is stored each time, and so is what could not be stored before."""
    made = gateway(file, store_dsn)
    await made.start()
    stored: list[frozenset[str]] = []
    saw, away = made.store.saw, [True]

    async def counted(person: Person, at: float) -> None:
        if away.pop() if away else False:
            raise StoreUnavailable("away")
        stored.append(person.groups)
        await saw(person, at)

    monkeypatch.setattr(made.store, "saw", counted)
    try:
        now = time.time()
        bob = ("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com")
        dba, nothing = frozenset({"dba"}), frozenset[str]()
        for groups in (dba, dba, dba, nothing, dba, dba):
            await made._remembering.saw(Identity(*bob, groups, now + 3600, now - 60))
        assert stored == [dba, nothing, dba]
        await made._remembering.saw(Identity(*bob, dba, now + 3600, now - 50))
        assert stored[3:] == [dba]
    finally:
        await made.stop()
