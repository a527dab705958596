"""`/hoop status`: well, not well, the store away; names for auditors only."""

from collections.abc import Mapping
from types import MappingProxyType

from bots.answers import Answer, Viewer
from bots.status import Look, Status
from bots.texts import in_utc
from bots.weekly import Tally
from gateway.approvals.health import ChatHealth
from gateway.approvals.request import Person
from gateway.errors import StoreUnavailable
from gateway.store.port import Backlog, Post
from tests.bots.samples import ANN, NOW, PLAIN, person

AUDITOR = person("olga", "audit")
WELL = {"store": "ok", "spool": "ok", "issuers": "ok"}
QUIET = Look(("host-a:1:0", "host-b:1:0"), (), Backlog(0, 0), ())
LOST = Post(
    7, PLAIN.id, "slack:C1", 1, 0, None, 3, NOW, dead=True, last_error="slack:C1: channel_not_found: invite @hoop"
)
BUSY = Look(("host-a:1:0",), (PLAIN,), Backlog(2, 1), (LOST,))


async def ask(
    look: Look | None,
    who: Person = ANN,
    parts: Mapping[str, str] = WELL,
    proof: tuple[str, bool] = ("Audit log: whole", True),
    text: str = "",
    chats: Mapping[str, ChatHealth | None] = MappingProxyType({}),
) -> Answer:
    async def given() -> Look:
        if look is None:
            raise StoreUnavailable("away")
        return look

    async def told() -> Mapping[str, str]:
        return parts

    async def proved() -> tuple[str, bool]:
        return proof

    async def week() -> list[Tally]:
        return [Tally("dba", 4, 75.0, 3, 1)]

    status = Status(
        told, given, proved, week, lambda: chats, auditor=lambda one: "audit" in one.groups, clock=lambda: NOW + 250
    )
    return await status.answer(text, Viewer(who, "slack"))


async def test_all_is_well() -> None:
    answer = await ask(QUIET)
    assert answer.title == "Status: all is well"
    assert answer.lines == (
        "Store: ok",
        "Spool: ok",
        "Issuers: ok",
        "Running: 2 replicas",
        "Waiting for a decision: nothing",
        "Cards: all are shown as they should be",
        "Audit log: whole",
    )


async def test_what_waits_and_what_was_lost() -> None:
    answer = await ask(BUSY, AUDITOR)
    assert answer.title == "Status: look at cards"
    assert answer.lines[3:] == (
        "Running: 1 replica: host-a:1:0",
        "Waiting for a decision: 1 request, the oldest for 4 m 10 s",
        "Cards: 2 to be shown or redrawn, 1 card given up",
        f"Given up: {PLAIN.id}, slack:C1: channel_not_found: invite @hoop",
        "Audit log: whole",
    )


async def test_names_of_machines_and_requests_are_for_auditors() -> None:
    text = "\n".join((await ask(BUSY)).lines)
    assert "1 card given up" in text
    assert not any(each in text for each in (PLAIN.id, "host-a", "slack:C1"))


async def test_troubles_are_in_the_title() -> None:
    answer = await ask(
        QUIET, parts={**WELL, "issuers": "keys of https://issuer.example can't be had"}, proof=("x", False)
    )
    assert answer.title == "Status: look at audit log, issuers"
    assert "Issuers: keys of https://issuer.example can't be had" in answer.lines


async def test_a_store_that_is_away_is_an_answer() -> None:
    answer = await ask(None, parts={**WELL, "store": "the gateway's store does not answer"})
    assert answer.title == "Status: look at store"
    assert answer.lines[-1] == "The rest is in the store, which does not answer."


async def test_how_reviewers_decided_lately() -> None:
    answer = await ask(None, text="week")
    assert answer.title == "Decisions of the last 7 days"
    assert answer.table is not None
    assert [cell.text for cell in answer.table.rows[0]] == ["dba", "4", "1 m 15 s", "75%", "1"]
    assert (await ask(None, text="month")).title == "Which status?"


async def test_how_chats_take_what_they_are_sent() -> None:
    chats = {"slack": ChatHealth(NOW, 2, "slack:C1: is_archived"), "teams": None, "other": ChatHealth(NOW)}
    answer = await ask(QUIET, AUDITOR, chats=chats)
    assert answer.title == "Status: look at slack"
    assert [in_utc(each) for each in answer.lines[3:6]] == [
        "Slack: last card sent 25 Nov 10:20 UTC, 2 failures since, the last: slack:C1: is_archived",
        "Teams: set up, nothing sent from here yet",
        "Other: last card sent 25 Nov 10:20 UTC",
    ]
    assert "is_archived" not in "".join((await ask(QUIET, chats=chats)).lines)
    never = await ask(QUIET, chats={"slack": ChatHealth(None, 1, "x")})
    assert never.lines[3] == "Slack: no card sent from here yet, 1 failure since"


async def test_a_chat_that_is_away_is_called_so() -> None:
    away = ChatHealth()
    for at in (NOW, NOW + 10, NOW + 20):
        away = away.failed("no route", at)
    answer = await ask(QUIET, chats={"slack": away})
    assert answer.title == "Status: look at slack"
    assert answer.lines[3].endswith(
        "3 failures since; it seems to be away, so a new card is tried once and not for long"
    )
