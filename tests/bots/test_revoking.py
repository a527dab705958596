"""`/hoop revoke` and `/hoop grants` on a real desk over the memory store: who may, what is said, what is written down."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bots.answers import Answer, Viewer
from bots.revoking import GRANTS_HELP, REVOKE_HELP, Revoking
from gateway.approvals.decisions import Approve, Decided
from gateway.approvals.desk import Desk
from gateway.approvals.grants import Scope
from gateway.approvals.request import ApprovalRequest, Person, State
from gateway.audit.entry import together
from gateway.errors import StoreUnavailable
from gateway.store.memory import MemoryStore
from gateway.store.port import Ending
from tests.bots.samples import ANN, BOB, CAROL, EVE, TERMS, person
from tests.fakes.stores import ListSpool, fresh

NOBODY = Person("", "", "bob@example.com", "bob@example.com", frozenset())


class Office:
    """A desk, and the commands over it."""

    def __init__(self) -> None:
        self.store = MemoryStore(time.time)
        self.spool = ListSpool()
        self.desk = Desk(self.store, self.spool, clock=time.time, link_max_age=3600.0)
        self.written: list[dict[str, Any]] = []
        self.revoking = Revoking(
            self.desk,
            lambda: self.store.sessions(15.0),
            self.store.end_session,
            record=lambda **fields: self.written.append(fields),
            auditor=lambda who: "dba" in who.groups,
            clock=time.time,
            scrub=lambda text: text.replace("secret", "[masked]"),
        )

    async def ask(self, verb: str, who: Person, text: str = "") -> Answer:
        return await self.revoking.verbs()[verb].answer(text, Viewer(who, "slack"))

    async def revoke(self, who: Person, text: str) -> str:
        answer = await self.ask("revoke", who, text)
        return f"{answer.title}: {' '.join(answer.lines)}"

    async def approved(self, scope: Scope | None = None, **changes: object) -> ApprovalRequest:
        request = fresh(grantable=TERMS, **changes)
        await self.desk.open(request)
        answer = await self.desk.decide(request.id, 1, BOB, Approve(scope=scope), "slack")
        assert isinstance(answer, Decided)
        return answer.request


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    await made.desk.start("gate-1")
    yield made
    await made.desk.close()


@pytest.mark.parametrize("text", ["", "grant", "session", "  "])
async def test_it_asks_what_is_meant(office: Office, text: str) -> None:
    answer = await office.ask("revoke", BOB, text.strip())
    assert (answer.title, answer.lines) == ("Revoke what?", REVOKE_HELP)
    assert len(REVOKE_HELP) + len(GRANTS_HELP) == 5


async def test_a_grant_is_revoked_with_a_reason(office: Office) -> None:
    giver = await office.approved(Scope(minutes=15))
    assert "the grant is over, on every replica" in await office.revoke(CAROL, f"grant {giver.id} the secret is out")
    stored = await office.desk.show(giver.id)
    assert stored is not None
    assert stored.grant is not None
    assert stored.grant.why == "the secret is out"
    assert "This grant is over already" in await office.revoke(CAROL, f"grant {giver.id}")


@pytest.mark.parametrize(
    ("who", "kind", "said"),
    [
        (EVE, "grant {}", "Its reviewers, who gave it and who it was given to may revoke it"),
        (BOB, "grant nonsense", "does not know this grant"),
        (EVE, "{}", "Its reviewers may revoke its approval"),
        (ANN, "{}", "This is your own request"),
        (BOB, "nonsense", "does not know this request"),
    ],
)
async def test_who_may_not_is_told_why(office: Office, who: Person, kind: str, said: str) -> None:
    giver = await office.approved(Scope(minutes=15))
    text = await office.revoke(who, kind.format(giver.id))
    assert text.startswith("Nothing was revoked: ")
    assert said in text


async def test_an_approval_is_taken_back_until_it_has_run(office: Office) -> None:
    kept = await office.approved(kept=True)
    assert "its approval is revoked. Nothing ran." in await office.revoke(CAROL, f"{kept.id} not today")
    assert (await office.desk.show(kept.id)).state is State.WITHDRAWN  # type: ignore[union-attr]
    ran = await office.approved()
    await office.desk.release(ran.id, ran.release_digest)
    assert "It was decided already" in await office.revoke(CAROL, ran.id)
    waiting = fresh()
    await office.desk.open(waiting)
    assert "It is not approved yet" in await office.revoke(CAROL, waiting.id)
    assert "No grant was given" in await office.revoke(CAROL, f"grant {ran.id}")


async def test_grants_are_listed_for_whom_they_concern(office: Office) -> None:
    giver = await office.approved(Scope(uses=5))
    await office.desk.open(fresh(grantable=TERMS))
    for who in (ANN, BOB):
        answer = await office.ask("grants", who)
        assert answer.title == "Grants: 1 shape"
        assert answer.table is not None
        ((which, what, whose, by, _until, used, rows),) = [[cell.text for cell in row] for row in answer.table.rows]
        assert (which, whose, by, used, rows) == (giver.id, "ann@example.com", "bob@example.com", "1 of 5", "100")
        assert what == "DELETE on public.customers in production (shop)"
    other = await office.ask("grants", person("dan", "sales"))
    assert (other.title, other.table) == ("Grants: 0 shapes", None)
    assert other.lines[0] == "1 hidden: grants of others that you may not see"
    assert [(each["kind"], each["query"], each["rows"]) for each in office.written] == [
        ("audit_read", "grants", 1),
        ("audit_read", "grants", 1),
        ("audit_read", "grants", 0),
    ]


class TestSessions:
    async def begun(self, office: Office) -> None:
        await office.store.heartbeat(office.spool.replica)
        who = {"subject": ANN.subject, "user": ANN.user, "target": "shop", "agent": "cursor"}
        await office.store.append(together([office.spool.record("session_started", session="a1-7", **who)]))

    async def test_a_reviewer_ends_one(self, office: Office) -> None:
        await self.begun(office)
        assert "is told to end now" in await office.revoke(BOB, "session a1-7 a secret runaway")
        assert await office.store.endings(["a1-7"]) == {"a1-7": Ending("bob@example.com", "a [masked] runaway")}
        (entry,) = office.written
        assert (entry["kind"], entry["session"], entry["user"]) == ("revoked", "a1-7", "ann@example.com")
        assert (entry["decided_by"], entry["via"], entry["reason"]) == (
            "bob@example.com",
            "slack",
            "a [masked] runaway",
        )

    @pytest.mark.parametrize("who", [ANN, EVE, NOBODY])
    async def test_others_may_not_and_that_is_recorded(self, office: Office, who: Person) -> None:
        await self.begun(office)
        text = await office.revoke(who, "session a1-7")
        assert "Only reviewers may end a session." in text
        assert ("hoop token" in text) is (who is NOBODY)
        assert await office.store.endings(["a1-7"]) == {}
        (entry,) = office.written
        assert (entry["kind"], entry["session"], entry["decided_by"]) == ("refused", "a1-7", who.user)

    async def test_one_that_is_not_open_is_told(self, office: Office) -> None:
        await self.begun(office)
        assert (await office.revoke(BOB, "session b2")).startswith("No open session b2")
        assert office.written == []

    async def test_an_order_that_the_store_did_not_confirm_is_voided(self, office: Office) -> None:
        await self.begun(office)

        async def away(_session: str, _ending: Ending) -> None:
            raise StoreUnavailable("away")

        office.revoking._end = away
        with pytest.raises(StoreUnavailable):
            await office.revoke(BOB, "session a1-7")
        assert [each["kind"] for each in office.written] == ["revoked", "voided"]


async def test_a_grant_of_a_revoked_reviewer_is_not_theirs_to_see(office: Office) -> None:
    await office.approved(Scope(uses=5))
    left = replace(BOB, groups=frozenset())
    assert (await office.ask("grants", left)).table is None
