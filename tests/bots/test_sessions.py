"""`/hoop sessions`: who sees whom, filters, what is written down. The store is the memory one, fed as a gateway feeds it."""

from typing import Any

import pytest

from bots.answers import Answer, Viewer
from bots.sessions import SHOWN, Sessions
from bots.texts import in_utc
from gateway.approvals.request import Person
from gateway.audit.entry import Value, together
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, EVE, NOW, PLAIN, person
from tests.fakes.stores import ListSpool

AUDITOR = person("olga", "audit")


class Lobby:
    """Sessions of a living replica, and what was recorded of those who asked."""

    def __init__(self) -> None:
        self.store = MemoryStore(lambda: NOW)
        self.spool = ListSpool()
        self.written: list[dict[str, Any]] = []
        self.sessions = Sessions(
            lambda: self.store.sessions(15.0),
            self.store.find,
            record=lambda **fields: self.written.append(fields),
            auditor=lambda who: "audit" in who.groups,
            clock=lambda: NOW,
        )

    async def comes(self, who: Person, session: str, **fields: Value) -> None:
        told: dict[str, Value] = {
            "subject": who.subject,
            "user": who.user,
            "target": "shop",
            "session": session,
            **fields,
        }
        await self.store.append(together([self.spool.record("session_started", **told)]))

    async def ask(self, text: str, who: Person) -> Answer:
        return await self.sessions.answer(text, Viewer(who, "slack"))


@pytest.fixture
async def lobby() -> Lobby:
    made = Lobby()
    await made.store.heartbeat(made.spool.replica)
    await made.comes(ANN, PLAIN.session, agent="cursor", client="10.0.0.7")
    await made.comes(EVE, "77aa01", agent="psql 15", client="10.0.0.9")
    await made.comes(EVE, "77aa02", agent="<!channel> \u202e")
    return made


def rows(answer: Answer) -> list[list[str]]:
    return [] if answer.table is None else [[in_utc(cell.text) for cell in row] for row in answer.table.rows]


async def test_everybody_sees_their_own_and_auditors_all(lobby: Lobby) -> None:
    await lobby.store.open(PLAIN, lambda _request: ())
    own = await lobby.ask("", ANN)
    assert own.title == "Sessions: 1 open session"
    assert own.lines == ("2 hidden: sessions of others, matching or not",)
    assert rows(own) == [["8f31c2", "ann@example.com (via cursor)", "shop", rows(own)[0][3], PLAIN.id]]
    for asked in ("user:eve* ip:10.0.0.9", "user:nobody"):
        assert (await lobby.ask(asked, ANN)).lines[0] == own.lines[0], "what others' look like is not told by a count"
    everything = await lobby.ask("", AUDITOR)
    assert [row[0] for row in rows(everything)] == ["77aa02", "77aa01", "8f31c2"]
    assert rows(everything)[0][1] == "eve@example.com (via <!channel> [U+202E])"
    assert rows(everything)[0][4] == "-"


async def test_a_name_like_somebody_elses_opens_nothing(lobby: Lobby) -> None:
    sly = Person("https://issuer.example", "sub-sly", ANN.user, ANN.email, frozenset())
    answer = await lobby.ask("user:ann", sly)
    assert answer.table is None
    assert answer.lines[-1] == "No session that you may see matches."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user:eve", ["77aa02", "77aa01"]),
        ("-user:eve", ["8f31c2"]),
        ("app:psql", ["77aa01"]),
        ("ip:10.0.0.7", ["8f31c2"]),
        ("session:77 db:shop", ["77aa02", "77aa01"]),
        ("db:books", []),
    ],
)
async def test_filters_are_those_of_the_record(lobby: Lobby, text: str, found: list[str]) -> None:
    assert [row[0] for row in rows(await lobby.ask(text, AUDITOR))] == found


@pytest.mark.parametrize("text", ["rows:>1", "decision:held", "nonsense:1"])
async def test_a_filter_that_says_nothing_of_sessions_is_told(lobby: Lobby, text: str) -> None:
    answer = await lobby.ask(text, AUDITOR)
    assert answer.table is None
    assert "user:" in " ".join(answer.lines) or "^" in answer.code
    assert lobby.written == []


async def test_each_look_is_written_down_and_long_lists_are_cut(lobby: Lobby) -> None:
    for number in range(SHOWN):
        await lobby.comes(BOB, f"b-{number}")
    answer = await lobby.ask("", AUDITOR)
    assert len(rows(answer)) == SHOWN
    assert answer.lines == ("3 older not shown here: narrow it with user: or db:",)
    assert lobby.written == [
        {"kind": "audit_read", "subject": AUDITOR.subject, "user": AUDITOR.user, "query": "sessions", "rows": 23, "via": "slack"}
    ]  # fmt: skip
