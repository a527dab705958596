"""Canaries: distinctive secrets go through conversations of every kind, then everything that is kept or shown is searched.

Searched: the log of the whole run at DEBUG, the spool, a dump of the store, every message, ephemeral, modal and signed
request of the workspace, its page and the snapshot behind it for each person, what psql got as errors, and what `hoop audit`
prints. Looked for: each secret as it is, in base64 at each of the three offsets, in hex, percent-encoded, and grouped.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp
import pytest

from gateway.demo.run import CHANNEL
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.e2e.stack import STEP, Card, Stack
from tests.e2e.wire import Wire

# Put together here, so that nothing in the repository looks like a secret to a scanner.
PASSWORD = "Zq7" + "canary" + "Pw93xK"
KEY = "sk" + "_live_" + "c4n4ry" + "51f8a09b37d2e64c8a1b5f90e3d7"
OTHER_KEY = "sk" + "_live_" + "0th3rc" + "9e8d7c6b5a4f3e2d1c0b9a8f7e6d"


def _with_check_digit(digits: str) -> str:
    """A card number that passes Luhn (ISO/IEC 7812-1)."""
    doubled = [int(each) * (2 if at % 2 == 0 else 1) for at, each in enumerate(reversed(digits))]
    return digits + str(-sum(each // 10 + each % 10 for each in doubled) % 10)


CARD = _with_check_digit("492918" + "305517264")
OTHER_CARD = _with_check_digit("510510" + "993847261")
SECRETS = {"password": PASSWORD, "key": KEY, "other key": OTHER_KEY, "card": CARD, "other card": OTHER_CARD}


def forms(secret: str) -> Iterator[bytes]:
    """Every way in which a secret could lie about."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield quote(secret, safe="").encode()
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw)
        inner = padded[(offset * 8 + 5) // 6 : len(padded) - 4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))
    if secret.isdigit():
        for separator in (" ", "-"):
            yield separator.join(secret[at : at + 4] for at in range(0, 16, 4)).encode()


def test_forms_find_what_they_are_meant_to() -> None:
    """The search itself is checked: each form is found in text that holds it."""
    for offset in range(3):
        hidden = base64.b64encode(b"x" * offset + KEY.encode() + b"tail")
        assert any(each in hidden for each in forms(KEY))
    assert any(each in KEY.encode().hex().encode() for each in forms(KEY))


@dataclass
class Pile:
    """Where to look: name -> bytes."""

    places: dict[str, bytes] = field(default_factory=dict)

    def found(self, secret: str) -> list[str]:
        wanted = set(forms(secret))
        return sorted(name for name, data in self.places.items() if any(each in data for each in wanted))


# --- the conversations ------------------------------------------------------------------------------------------------


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    connected = await Wire.connect(stack.port, stack.token("cursor"), application_name="canary")
    yield connected
    await connected.close()


async def _approved(stack: Stack, wire: Wire, *messages: bytes) -> tuple[Card, list[str]]:
    wire.send(*messages)
    card = await stack.card()
    await stack.approve("Bob", card)
    lines = await wire.lines()
    await card.says("Executed", "Failed")
    return card, lines


async def _literals(stack: Stack, wire: Wire) -> list[Card]:
    """Roles with passwords, and secrets in the text of statements."""
    cards = []
    for sql in (
        f"CREATE ROLE canary_role LOGIN PASSWORD '{PASSWORD}'",
        f"ALTER ROLE canary_role PASSWORD '{PASSWORD}'",
        f"ALTER USER canary_role WITH ENCRYPTED PASSWORD E'{PASSWORD}'",
        f"INSERT INTO vault VALUES (1, '{CARD}', '{KEY}', 'pay {CARD} with {KEY}')",
        f"UPDATE vault SET note = 'now {OTHER_KEY}' WHERE card_number = '{CARD}'",
        f"/* reason: my key is {KEY} */ UPDATE vault SET note = note || '.' WHERE id = 1",
        f"INSERT INTO vault VALUES (9, '{CARD}', '{KEY}')",  # 23505, its DETAIL has the value
        f"INSERT INTO vault VALUES (NULL, '{OTHER_CARD}', '{OTHER_KEY}')",  # 23502, "Failing row contains"
        "DROP ROLE canary_role",
        f"DO $$ BEGIN RAISE NOTICE 'key %', '{KEY}'; END $$",
    ):
        card, _ = await _approved(stack, wire, query(sql))
        cards.append(card)
    return cards


async def _bound(stack: Stack, wire: Wire) -> list[Card]:
    """The same as bound values, in text and in binary."""
    cards = []
    insert = parse("put", "INSERT INTO vault VALUES ($1, $2, $3, $4)", (23, 25, 25, 25))
    for at, binary in ((2, 0), (3, 1)):
        number = at.to_bytes(4, "big") if binary else str(at).encode()
        values = (number, f"{OTHER_CARD}{'' if at == 2 else ' '}".encode(), OTHER_KEY.encode(), f"note {CARD}".encode())
        messages = (insert if at == 2 else b"") + bind("", "put", values, (binary,))
        card, _ = await _approved(stack, wire, messages, describe("P", ""), execute(""), SYNC)
        cards.append(card)
    delete = parse("", "DELETE FROM vault WHERE api_key = $1 AND card_number = $2", (25, 25))
    wire.send(delete, bind("", "", (KEY.encode(), CARD.encode())), execute(""), SYNC)
    card = await stack.card()
    await stack.deny("Dana", card, "keep it for now")
    assert "E42501" in await wire.lines()
    cast = parse("", "SELECT $1::integer") + bind("", "", (CARD.encode(),)) + execute("")
    assert await wire.ask(cast, SYNC) == ["1", "E22003", "ZI"]
    return [*cards, card]


async def _errors(wire: Wire) -> None:
    """Reads that fail or are refused with a secret in their text or in a value."""
    for sql in (
        "SELECT card_number::integer FROM vault WHERE id = 1",
        "SELECT api_key::date FROM vault WHERE id = 1",
        "SELECT 1 / (id - id) FROM vault",
        f"SELECT '{CARD}'::integer",
        f"SELECT '{KEY}'::date",
        f"SELECT id FROM vault WHERE card_number = '{CARD}'",
        f"SELECT id FROM nowhere WHERE api_key = '{KEY}'",
        f"SELECT id FRM vault WHERE api_key = '{KEY}'",
        f"UPDATE vault SET note = '{KEY}'",  # refused by policy
        f"SET application_name = 'app {KEY}'",
        f"SET hoop.reason = 'because {KEY}'",
    ):
        await wire.ask(query(sql))
    await wire.ask(query("SET application_name = 'canary'; SET hoop.reason = ''"))


async def _copied(stack: Stack, wire: Wire) -> Card:
    wire.send(query("COPY vault FROM STDIN"))
    card = await stack.card()
    await stack.approve("Bob", card)
    assert await wire.lines(until="G") == ["G"]
    rows = f"5\t{CARD}x\t{KEY}\t{OTHER_KEY}\nbad\t{OTHER_CARD}\t{KEY}\tx\n"  # the second fails: 22P02 with a CONTEXT
    assert (await wire.ask(message(b"d", rows.encode()), message(b"c", b"")))[-1] == "ZI"
    await card.says("Failed")
    return card


async def _refused_logins(stack: Stack) -> None:
    """A password that is no token, a good token with a wrong user, and secrets in the other fields."""
    ann = stack.token("ann")
    for password, user, agent in (
        (PASSWORD, "hoop", "psql"),
        (KEY, "hoop", "psql"),
        (ann, "somebody", KEY),
        (ann, KEY, "psql"),
        (ann, "hoop", f"agent {OTHER_KEY}"),
        (ann, "hoop", ann),
    ):
        wire = await Wire.open(stack.port)
        await wire.log_in(password, {"user": user, "database": "shop", "application_name": agent})
        await wire.close()


async def _asked_in_chat(stack: Stack, cards: list[Card]) -> None:
    """What people then look at: the whole SQL, the audit, the request."""
    workspace = stack.workspace
    for card in cards:
        if "hoop_full_sql" in card.shown:
            await stack.on(workspace.click("Bob", CHANNEL, card.ts, "hoop_full_sql"))
        await stack.on(workspace.command("Bob", CHANNEL, f"/hoop show {card.request_id}"))
    before = len(workspace.ephemerals("Bob"))
    await stack.on(workspace.command("Bob", CHANNEL, "/hoop audit user:cursor last:1h"))
    await stack.until(lambda: len(workspace.ephemerals("Bob")) > before)


# --- the search -------------------------------------------------------------------------------------------------------


async def _run(stack: Stack, *command: str, **environment: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(STEP):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out


async def _gather(stack: Stack, wire: Wire) -> Pile:
    settings = stack.demo.gateway.settings
    postgres = stack.demo.postgres
    assert postgres is not None
    pile = Pile()
    pile.places["log"] = stack.log.read_bytes()
    for path in settings.spool.iterdir():
        pile.places[f"spool {path.name}"] = path.read_bytes()
    dump = await _run(stack, str(postgres.binaries / "pg_dump"), "--inserts", settings.store)
    assert b"INSERT INTO" in dump
    pile.places["store"] = dump
    audit = (sys.executable, "-m", "gateway", "audit", "last:1h", "--json")
    pile.places["hoop audit"] = await _run(stack, *audit, HOOP_STORE=settings.store)
    pile.places["errors"] = json.dumps([wire.errors, wire.notices, wire.status]).encode()
    _gather_workspace(stack, pile)
    await _gather_page(stack, pile)
    return pile


def _gather_workspace(stack: Stack, pile: Pile) -> None:
    state = stack.workspace.state
    messages = [*(each for channel in state.channels.values() for each in channel.messages), *state.ephemerals]
    pile.places["messages"] = json.dumps([[each.text, each.blocks, each.metadata] for each in messages]).encode()
    views = [view.body for person in state.people.values() for view in state.open_views(person.id)]
    pile.places["views"] = json.dumps(views).encode()
    pile.places["requests to the bot"] = b"\n".join(repr(each).encode() for each in stack.workspace.sent)


async def _gather_page(stack: Stack, pile: Pile) -> None:
    async with asyncio.timeout(STEP), aiohttp.ClientSession() as http:
        for path in ("/workspace", *(f"/workspace/state?user={who}" for who in ("Ann", "Bob", "Dana", "Eve"))):
            async with http.get(stack.workspace.url + path) as answer:
                assert answer.status == 200
                pile.places[path] = await answer.read()
        for path in ("/healthz", "/readyz", "/metrics"):
            async with http.get(f"http://{stack.host}:{stack.demo.gateway.ports.http}{path}") as answer:
                pile.places[path] = await answer.read()


async def test_no_secret_is_left_anywhere(stack: Stack, wire: Wire, capfd: pytest.CaptureFixture[str]) -> None:
    cards = [*await _bound(stack, wire), await _copied(stack, wire), *await _literals(stack, wire)]
    await _errors(wire)
    await _refused_logins(stack)
    await _asked_in_chat(stack, cards)
    await stack.on(stack.demo.gateway.audit.checkpoint())
    pile = await _gather(stack, wire)
    out, err = capfd.readouterr()
    pile.places["stdout"], pile.places["stderr"] = out.encode(), err.encode()
    assert all(len(data) > 100 for name, data in pile.places.items() if name in ("log", "messages", "errors"))
    leaks = {name: places for name, secret in SECRETS.items() if (places := pile.found(secret))}
    # a token is three parts; the claims and the signature are looked for each by itself
    for token in stack.tokens:
        for part in (token, *token.split(".")[1:]):
            if places := pile.found(part):
                leaks[f"a token's part of {len(part)}"] = places
    assert leaks == {}
