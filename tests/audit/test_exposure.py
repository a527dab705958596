"""Did X expose a secret? Each kind of result is counted, and none is hidden."""

import time

from gateway.audit.entry import Value, together
from gateway.audit.exposure import exposure
from gateway.audit.query import parse
from gateway.store.memory import MemoryStore
from tests.fakes.stores import ListSpool

_AGENT: dict[str, Value] = {"user": "ann@example.com", "agent": "cursor"}


async def answer(*ends: dict[str, Value], question: str = "did cursor expose a secret?") -> list[str]:
    spool, store = ListSpool(), MemoryStore(time.time)
    for each in ends:
        fields: dict[str, Value] = {"outcome": "executed", **_AGENT, **each}
        await store.append(together([spool.record(str(fields.pop("kind", "finished")), **fields)]))
    return await exposure(parse(question, time.time()), store.audit)


def masked(**counts: int) -> list[Value]:
    return [{"column": "c", "detector": name, "count": count} for name, count in counts.items()]


async def test_all_was_masked() -> None:
    assert await answer(
        {"masked": masked(card=3, jwt=1)},
        {"masked": masked(card=2)},
        {"kind": "refused", "outcome": ""},
        {"kind": "decided", "outcome": "denied"},
        {"kind": "decided", "outcome": "approved"},
        {},
    ) == [
        "No secret left the gateway unmasked, as far as protected columns and detectors tell.",
        "Masked: 6 values in 2 results: 5 card, 1 jwt",
        "Shown clear, as policy says (clear_for): 0 results",
        "Not scanned: 0 results",
        "Stopped before it ran: 2 of 5 statements",
    ]


async def test_what_went_out_as_it_is_is_never_hidden() -> None:
    found = await answer(
        {"clear": ["public.cards.card", "public.cards.pin"], "unscanned": "clear_for"}, {"unscanned": "no detectors"}
    )
    assert found[0] == "Not every result was masked: see below what went out as it is."
    assert found[1:4] == [
        "Masked: 0 values in 0 results",
        "Shown clear, as policy says (clear_for): 1 result: public.cards.card, public.cards.pin",
        "Not scanned: 2 results: no detectors, clear_for",
    ]


async def test_one_kind_of_secret_and_one_person() -> None:
    ends: tuple[dict[str, Value], ...] = (
        {"masked": masked(card=3)},
        {"masked": masked(jwt=1)},
        {"agent": "psql", "masked": masked(card=9)},
    )
    assert (await answer(*ends, question="did cursor expose a card?"))[1] == "Masked: 3 values in 1 result: 3 card"
    assert (await answer(*ends, question="did ann expose a card?"))[1] == "Masked: 12 values in 2 results: 12 card"
    assert (await answer(*ends, question="did eve expose a secret?"))[0] == "Nothing ran."
