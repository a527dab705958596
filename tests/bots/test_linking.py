"""/hoop link in chat; what happens in the browser between is in tests/bots/web."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bots.answers import Viewer
from bots.linking import HELP, LIFETIME, Linking
from gateway.errors import GatewayError, StoreUnavailable
from gateway.identity.accounts import Account
from gateway.identity.login import ticket
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB
from tests.fakes.clock import Clock

KEY = b"k" * 32
SLACK = Account("slack", "/T1", "U1", "Bob in Slack")
VIEWER = Viewer(ANN, "slack", SLACK)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def recorded() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def linking(store: MemoryStore, clock: Clock, recorded: list[dict[str, Any]]) -> Linking:
    return made(store, clock, lambda **fields: recorded.append(fields))


def made(store: MemoryStore, clock: Clock, record: Callable[..., object], *, page: bool = True) -> Linking:
    return Linking(
        store,
        page=(lambda secret: f"https://gate.example.com/link/{secret}") if page else None,
        key=KEY,
        fresh=lambda: "a-secret",
        record=record,
        clock=clock,
    )


async def a_code(store: MemoryStore, clock: Clock, code: str = "8F3K-2M9Q", account: Account = SLACK) -> str:
    kept = {"issuer": BOB.issuer, "subject": BOB.subject, "user": BOB.user, "email": BOB.email}
    await store.put_ticket(ticket(KEY, "code", account.key, code), json.dumps(kept), clock() + 60)
    return code


async def test_it_begins_with_a_link(linking: Linking, store: MemoryStore, clock: Clock) -> None:
    answer = await linking.answer("", VIEWER)
    assert answer.way is not None
    assert answer.way.url == "https://gate.example.com/link/a-secret"
    assert answer.lines[0] == "Not linked yet."
    assert not answer.share
    kept = json.loads(await store.ticket(ticket(KEY, "link", "a-secret")) or "")
    assert kept["account"] == {"front": "slack", "place": "/T1", "user": "U1", "name": "Bob in Slack"}
    assert kept["until"] == clock() + LIFETIME
    clock.now += LIFETIME
    assert await store.ticket(ticket(KEY, "link", "a-secret")) is None


async def test_it_says_whose_the_account_is(linking: Linking, store: MemoryStore) -> None:
    await store.link(SLACK, BOB, 0.0)
    assert f"Linked to {BOB.user} ({BOB.subject} at {BOB.issuer}) now" in (await linking.answer("", VIEWER)).lines[0]


async def test_a_code_binds_and_is_recorded(
    linking: Linking, store: MemoryStore, clock: Clock, recorded: list[dict[str, Any]]
) -> None:
    answer = await linking.answer(await a_code(store, clock), VIEWER)
    assert answer.title == "Linked"
    linked = await store.linked(SLACK)
    assert linked is not None
    assert (linked.issuer, linked.subject, linked.email) == (BOB.issuer, BOB.subject, BOB.email)
    assert recorded == [
        {"kind": "linked", "subject": BOB.subject, "user": BOB.user, "account": "slack:/T1:U1", "via": "slack"}
    ]


@pytest.mark.parametrize("text", ["0000-0000", "what?", "remov", "<b>"])
async def test_another_text_binds_nothing(linking: Linking, store: MemoryStore, clock: Clock, text: str) -> None:
    await a_code(store, clock)
    assert (await linking.answer(text, VIEWER)).title == "Nothing was linked"
    assert await store.linked(SLACK) is None


async def test_what_is_not_recorded_is_not_bound(store: MemoryStore, clock: Clock) -> None:
    def full(**_fields: object) -> None:
        raise GatewayError("the audit spool is full", sqlstate="53100")

    await store.link(SLACK, BOB, 0.0)
    broken = made(store, clock, full)
    with pytest.raises(GatewayError):
        await broken.answer("remove", VIEWER)
    assert await store.linked(SLACK) is not None
    await store.unlink(SLACK)
    with pytest.raises(GatewayError):
        await broken.answer(await a_code(store, clock), VIEWER)
    assert await store.linked(SLACK) is None


async def test_what_could_not_be_stored_is_recorded_as_such(
    linking: Linking, store: MemoryStore, clock: Clock, recorded: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_anything: object) -> None:
        raise StoreUnavailable("the gateway's store does not answer")

    monkeypatch.setattr(MemoryStore, "link", away)
    with pytest.raises(StoreUnavailable):
        await linking.answer(await a_code(store, clock), VIEWER)
    assert [each["kind"] for each in recorded] == ["linked", "unlinked"]


async def test_where_nobody_can_sign_in(store: MemoryStore, clock: Clock) -> None:
    unset = made(store, clock, lambda **_fields: None, page=False)
    assert "HOOP_WEB_CLIENT_ID" in (await unset.answer("", VIEWER)).lines[0]
    await store.link(SLACK, BOB, 0.0)
    assert (await unset.answer("remove", VIEWER)).title == "No longer linked"


async def test_a_terminal_has_no_account(linking: Linking) -> None:
    answer = await linking.answer("", Viewer(ANN, "cli"))
    assert answer.way is None
    assert "Slack and Teams" in answer.lines[0]


def test_its_help(linking: Linking) -> None:
    assert linking.verb().help == HELP
