"""The same conversation with PostgreSQL and through the gateway: the same messages, field by field.

Left out of the comparison are pids and the OIDs of what a conversation itself made.
"""

import pytest

from gateway.wire.backend import fields
from tests.differential.conversations import EVERY, SETUP, Conversation, Turn
from tests.differential.pair import Doors
from tests.e2e.wire import Closed, Wire

#: FirstNormalObjectId: what is above was made by somebody, each time anew.
_OWN = 16384
Heard = list[tuple[str, object]]


def _columns(body: bytes) -> list[tuple[bytes, int, int, int, bytes]]:
    """RowDescription, OIDs of users' objects as 1."""
    at, found = 2, []
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.index(b"\0", at)
        table, kind = (int.from_bytes(body[end + 1 + of : end + 5 + of], "big") for of in (0, 6))
        number = int.from_bytes(body[end + 5 : end + 7], "big")
        found.append((body[at:end], min(table, _OWN), number, min(kind, _OWN), body[end + 11 : end + 19]))
        at = end + 19
    assert at == len(body)
    return found


def said(kind: str, body: bytes) -> tuple[str, object]:
    """A message in a form that can be compared."""
    match kind:
        case "T":
            return kind, _columns(body)
        case "E" | "N":
            return kind, fields(body)
        case "A":
            return kind, body[4:]
    return kind, body


async def _listen(wire: Wire, turn: Turn) -> Heard:
    heard: Heard = []
    left = turn.count
    while left:
        try:
            kind, body = await wire.message()
        except Closed:
            return [*heard, ("closed", None)]
        heard.append(said(kind, body))
        left -= kind == turn.until
    return heard


async def _hold(wire: Wire, conversation: Conversation, doors: Doors) -> list[Heard]:
    heard = []
    for turn in conversation.turns:
        if turn.notify:
            doors.do(turn.notify)
        wire.send(turn.send)
        heard.append(await _listen(wire, turn))
        if heard[-1][-1][0] == "closed":
            break
    return heard


async def _both(doors: Doors, conversation: Conversation) -> list[list[Heard]]:
    """What PostgreSQL said and what the gateway said, a list a turn."""
    heard = []
    for connect in (doors.direct, doors.gateway):
        doors.do(SETUP)
        wire = await connect()
        heard.append(await _hold(wire, conversation, doors))
        await wire.close()
    return heard


def _named(conversation: Conversation) -> str:
    return conversation.name.replace(" ", "-")


@pytest.mark.parametrize("conversation", EVERY, ids=_named)
async def test_the_same_answers(doors: Doors, conversation: Conversation) -> None:
    direct, gateway = await _both(doors, conversation)
    for at, (expected, got) in enumerate(zip(direct, gateway, strict=True)):
        assert got == expected, f"turn {at}"
