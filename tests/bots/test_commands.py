"""`/hoop ...` against a real desk, memory store and spool: what is answered, who sees it, what is written down."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bots.commands import REFUSALS, Answer, Commands, Viewer, owner_of
from bots.texts import in_utc
from gateway.approvals.decisions import Approve, Deny, Lift
from gateway.approvals.desk import Desk
from gateway.approvals.request import Person, Refusal, State
from gateway.approvals.risk import is_high
from gateway.audit.entry import Entry, Value
from gateway.audit.spool import Spool
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, CAROL, EVE, NOW, PLAIN, person
from tests.fakes.stores import unshipped

ID = PLAIN.id
AUDITOR = person("olga", "audit")


class Record:
    """A store with entries, a desk over it, and the commands; time stands still at NOW + 60."""

    def __init__(self, spool_at: Path) -> None:
        self.now = NOW
        self.store = MemoryStore(self.clock)
        self.spool = Spool.open(spool_at, "gate-1", b"k" * 32, self.clock)
        self.desk = Desk(self.store, self.spool, clock=self.clock, link_max_age=3600.0)
        self.commands = Commands(
            self.desk,
            self.store.audit,
            record=self.record,
            proof=self.proof,
            auditor=lambda who: "audit" in who.groups,
            cursor_key=b"c" * 32,
            clock=self.clock,
        )
        self.written: list[dict[str, Value]] = []

    def clock(self) -> float:
        return self.now

    async def proof(self) -> str:
        return "log intact through #4,812, head 7c1e0000"

    def record(self, kind: str, **fields: Value) -> Entry:
        self.written.append({"kind": kind, **fields})
        return self.spool.record(kind, **fields)

    async def happened(self, who: Person, kind: str = "finished", **fields: Value) -> None:
        told: dict[str, Value] = {"subject": who.subject, "user": who.user, "target": "shop", **fields}
        self.spool.record(kind, **told)
        self.spool.flush()
        await self.store.append(unshipped(self.spool))

    async def ask(self, text: str, who: Person = BOB, front: str = "slack") -> Answer:
        return await self.commands.answer(text, Viewer(who, front))


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    made = Record(tmp_path)
    yield made
    made.spool.close()


def texts(answer: Answer) -> list[list[str]]:
    assert answer.table is not None
    return [[in_utc(cell.text) for cell in row] for row in answer.table.rows]


# audit ---------------------------------------------------------------------------------------------------------------


async def test_a_row_says_when_who_what_how_many_and_who_decided(record: Record) -> None:
    await record.happened(
        ANN, tag="UPDATE", tables=["public.customers"], rows=18240, outcome="executed", agent="cursor",
        decided_by=BOB.user, request=ID,
    )  # fmt: skip
    answer = await record.ask("audit table:customers verb:update last:7d", AUDITOR)
    assert answer.title == "Audit: 1 statement"
    assert texts(answer) == [
        [
            "25 Nov 10:20 UTC",
            "ann@example.com (via cursor)",
            "UPDATE customers",
            "18,240",
            "executed, approved by bob@example.com",
            ID,
        ]
    ]
    assert answer.footer == "log intact through #4,812, head 7c1e0000"
    assert answer.lines[0].startswith("table:customers verb:update since:2025-11-18T10:20:00Z")


async def test_others_records_are_counted_not_shown(record: Record) -> None:
    await record.happened(ANN, tag="SELECT", outcome="executed")
    for _ in range(3):
        await record.happened(EVE, tag="DELETE", outcome="executed")
    answer = await record.ask("audit", ANN)
    assert [row[1] for row in texts(answer)] == [ANN.user]
    assert "3 hidden: records of others in that time, matching or not" in answer.lines
    everything = await record.ask("audit", AUDITOR)
    assert everything.title == "Audit: 4 statements"
    assert not any("hidden" in line for line in everything.lines)


@pytest.mark.parametrize("asked", ["text:4711", "text:4712", "verb:delete", "verb:drop", "table:salaries", "rows:>1"])
async def test_how_many_of_others_match_is_not_told(record: Record, asked: str) -> None:
    """Asked letter by letter it would tell what their statements say."""
    await record.happened(
        ANN,
        tag="DELETE",
        tables=["public.salaries"],
        rows=3,
        sql="DELETE FROM salaries WHERE id = 4711",
        outcome="executed",
    )
    answer = await record.ask(f"audit {asked}", EVE)
    assert answer.title == "Audit: 0 statements"
    assert answer.lines[1:] == ("1 hidden: records of others in that time, matching or not", "Nothing matches.")


@pytest.mark.parametrize("name", ["*", "ann*", "ann", "ann@example.com"])
async def test_whose_a_record_is_no_name_says(record: Record, name: str) -> None:
    """Not by a glob, not by the part before the @, not by the same name at another issuer, and not by a count either."""
    await record.happened(ANN, tag="SELECT", outcome="executed", issuer=ANN.issuer)
    sly = Person("https://second.example", "sub-sly", name, None, frozenset())
    answer = await record.ask("audit", sly)
    assert answer.table is None
    assert answer.title == "Audit: 0 statements"
    assert "Nothing ran." in (await record.ask(f"audit did {ANN.user} expose a secret", sly)).lines


async def test_asking_for_others_by_name_opens_nothing(record: Record) -> None:
    await record.happened(ANN, tag="SELECT", outcome="executed")
    answer = await record.ask("audit user:ann*", EVE)
    assert answer.table is None
    assert "Nothing matches." in answer.lines


async def test_every_query_is_written_down(record: Record) -> None:
    await record.ask("audit verb:update", AUDITOR)
    await record.ask("pending", BOB)
    assert [(each["kind"], each["user"], each["via"], each["rows"]) for each in record.written] == [
        ("audit_read", AUDITOR.user, "slack", 0),
        ("audit_read", BOB.user, "slack", 0),
    ]
    assert str(record.written[0]["query"]).startswith("verb:update since:")


async def test_nothing_is_shown_if_it_can_not_be_written_down(record: Record) -> None:
    record.commands._record = lambda **_: (_ for _ in ()).throw(OSError("full"))
    with pytest.raises(OSError, match="full"):
        await record.ask("audit", AUDITOR)


async def test_pages_of_eight(record: Record) -> None:
    for number in range(19):
        record.now = NOW + number
        await record.happened(ANN, tag=f"T{number}", outcome="executed")
    first = await record.ask("audit", AUDITOR)
    assert first.title == "Audit: 19 statements, 1 to 8"
    assert [page.label for page in first.pages] == ["Next", "CSV", "Only denied", "Export"]
    second = await record.commands.page(first.pages[0].cursor, Viewer(AUDITOR, "slack"))
    assert second.title == "Audit: 19 statements, 9 to 16"
    assert [page.label for page in second.pages][:2] == ["Prev", "Next"]
    third = await record.commands.page(second.pages[1].cursor, Viewer(AUDITOR, "slack"))
    assert third.title == "Audit: 19 statements, 17 to 19"
    seen = [row[2] for answer in (first, second, third) for row in texts(answer)]
    assert seen == [f"T{number}" for number in range(18, -1, -1)]


async def test_an_answer_leads_to_its_csv_and_to_what_was_denied(record: Record) -> None:
    await record.happened(ANN, tag="SELECT", outcome="executed")
    await record.happened(ANN, "refused", tag="DROP TABLE", rule="no drop")
    await record.happened(ANN, "decided", tag="DELETE", outcome="denied", decided_by=BOB.user)
    viewer = Viewer(AUDITOR, "slack")
    first = await record.ask("audit user:ann", AUDITOR)
    as_csv, denied, _ = [page.cursor for page in first.pages]
    text = await record.commands.page(as_csv, viewer)
    assert text.table is None
    assert len(list(csv.reader(text.code.splitlines()))) == 4
    assert [page.label for page in text.pages] == ["Table", "Only denied", "Export"]
    assert (await record.commands.page(text.pages[0].cursor, viewer)).title == first.title
    narrow = await record.commands.page(denied, viewer)
    assert [row[2] for row in texts(narrow)] == ["DELETE", "DROP TABLE"]
    assert [page.label for page in narrow.pages] == ["CSV", "Export"]
    assert (await record.ask("audit verb:vacuum", AUDITOR)).pages == ()


async def test_the_whole_answer_as_a_file_for_who_asks_it(record: Record) -> None:
    for number in range(12):
        await record.happened(ANN if number % 3 else EVE, tag="=cmd()", outcome="executed", sql=f"SELECT {number}")
    first = await record.ask("audit -table:x limit:3", AUDITOR)
    [cursor] = [page.cursor for page in first.pages if page.label == "Export"]
    for who, rows in ((AUDITOR, 12), (EVE, 4), (BOB, 0)):
        answer = await record.commands.page(cursor, Viewer(who, "slack"))
        assert answer.file is not None
        found = list(csv.DictReader(answer.file.content.splitlines()))
        assert (answer.file.name, len(found)) == ("audit.csv", rows)
        assert {each["tag"] for each in found} <= {"'=cmd()"}
        assert answer.footer == (await record.ask("audit", who)).footer
        assert (answer.table, answer.code, answer.share) == (None, "", False)
        asked = [each for each in record.written if str(each["query"]).startswith("export ")]
        assert (asked[-1]["user"], asked[-1]["rows"]) == (who.user, rows)
    assert all(page.label != "Export" for page in (await record.ask("audit", AUDITOR, front="teams")).pages)


async def test_a_page_shows_what_its_viewer_may_see(record: Record) -> None:
    for _ in range(9):
        await record.happened(ANN, tag="SELECT", outcome="executed")
    first = await record.ask("audit", AUDITOR)
    stolen = await record.commands.page(first.pages[0].cursor, Viewer(EVE, "slack"))
    assert stolen.table is None


@pytest.mark.parametrize("cursor", ["", "x", "x.y", "WyJhIiwgOF0=." + "0" * 32, "\udcff.\udcff"])
async def test_a_forged_cursor_shows_nothing(record: Record, cursor: str) -> None:
    answer = await record.commands.page(cursor, Viewer(AUDITOR, "slack"))
    assert answer.title == "This page is not available"
    assert record.written == []


async def test_a_query_that_can_not_be_read_shows_where(record: Record) -> None:
    answer = await record.ask("audit tabel:customers")
    assert "did you mean table:" in answer.code
    assert "^" in answer.code
    assert record.written == []


async def test_csv_is_no_formula(record: Record) -> None:
    await record.happened(ANN, tag="=cmd()", outcome="executed")
    answer = await record.ask("audit format:csv", AUDITOR)
    (head, row) = csv.reader(answer.code.splitlines())
    assert head[2] == "what"
    assert row[2] == "'=cmd()"
    assert answer.table is None


async def test_json_is_the_record_itself(record: Record) -> None:
    await record.happened(ANN, tag="SELECT", outcome="executed")
    answer = await record.ask("audit format:json", AUDITOR)
    assert json.loads(answer.code)["subject"] == ANN.subject


async def test_the_command_line_gets_as_many_as_it_asks_for(record: Record) -> None:
    for _ in range(12):
        await record.happened(ANN, tag="SELECT", outcome="executed")
    assert len(texts(await record.ask("audit limit:100", AUDITOR, "cli"))) == 12
    assert len(texts(await record.ask("audit limit:100", AUDITOR, "slack"))) == 8


async def test_a_shared_answer_has_no_pages(record: Record) -> None:
    for _ in range(9):
        await record.happened(ANN, tag="SELECT", outcome="executed")
    answer = await record.ask("audit share", AUDITOR)
    assert answer.share
    assert answer.pages == ()


# pending, show -------------------------------------------------------------------------------------------------------


async def test_pending_lists_what_the_viewer_may_see(record: Record) -> None:
    await record.desk.open(PLAIN)
    record.now = NOW + 204
    answer = await record.ask("pending")
    assert texts(answer) == [
        [
            ID,
            "DELETE on public.customers in production (shop)",
            ANN.user,
            "3 m 24 s",
            "10:30:00 UTC",
            "0 of 1",
        ]
    ]
    for_eve = await record.ask("pending", EVE)
    assert for_eve.table is None
    assert for_eve.lines == ("1 hidden: you may not review them", "Nothing waits for a decision.")
    assert len(texts(await record.ask("pending mine", ANN))) == 1
    assert (await record.ask("pending mine", BOB)).table is None


async def test_show_tells_of_escalation_and_lifting(record: Record) -> None:
    await record.desk.open(replace(PLAIN, escalate_to=("slack:C2",), escalate_at=NOW + 60))
    await record.desk.escalate(PLAIN.id)
    await record.desk.decide(PLAIN.id, None, BOB, Deny("no"), "slack")
    await record.desk.decide(PLAIN.id, None, CAROL, Lift(), "teams")
    lines = [in_utc(each) for each in (await record.ask(f"show {PLAIN.id}")).lines]
    assert lines[1].endswith(" escalated: asked in 1 further channel as well")
    assert lines[3].endswith(" lifted by carol@example.com, via teams: it counts towards no cool-down")


async def test_show_tells_the_story(record: Record) -> None:
    await record.desk.open(PLAIN)
    record.now = NOW + 204
    await record.desk.decide(ID, None, BOB, Approve(), "slack")
    await record.desk.release(ID, PLAIN.release_digest)
    await record.desk.finish(ID, 42, "", 12.0, "committed")
    await record.happened(ANN, tag="DELETE", outcome="executed", request=ID, decided_by=BOB.user)
    answer = await record.ask(f"show {ID}")
    assert answer.card is not None
    assert answer.card.state is State.EXECUTED
    assert answer.card.actions == ()
    assert tuple(map(in_utc, answer.lines[:4])) == (
        "25 Nov 10:20 UTC held by rule writes wait for a DBA",
        "25 Nov 10:23 UTC approved by bob@example.com after 3 m 24 s, via slack",
        "25 Nov 10:23 UTC released",
        "25 Nov 10:23 UTC executed",
    )
    assert "executed, approved by bob@example.com: entry #" in answer.lines[-1]


@pytest.mark.parametrize(
    ("fate", "said"), [("committed", "executed"), ("rolled back", "executed, its transaction was rolled back")]
)
async def test_show_tells_what_became_of_the_transaction(record: Record, fate: str, said: str) -> None:
    await record.desk.open(PLAIN)
    await record.desk.decide(ID, None, BOB, Approve(), "slack")
    await record.desk.release(ID, PLAIN.release_digest)
    await record.desk.finish(ID, 42, "", 12.0, fate)
    answer = await record.ask(f"show {ID}")
    assert in_utc(answer.lines[3]) == f"25 Nov 10:20 UTC {said}"


async def test_show_tells_rows_to_those_who_decide(record: Record) -> None:
    await record.store.open(PLAIN, lambda _request: ())
    for who, told in ((ANN, False), (BOB, True), (AUDITOR, True)):
        drawn = (await record.ask(f"show {ID}", who)).card
        assert drawn is not None
        assert (drawn.preview is not None) is told
        assert ("42 rows" in str(drawn)) is told


async def test_show_does_not_tell_strangers_that_it_exists(record: Record) -> None:
    await record.desk.open(PLAIN)
    answer = await record.ask(f"show {ID}", EVE)
    assert answer.title == f"No request {ID} that you may see"
    assert answer.card is None
    assert (await record.ask("show nonsense")).title == "No request nonsense that you may see"


# approve, deny -------------------------------------------------------------------------------------------------------


async def test_approve_and_deny_go_through_the_desk(record: Record) -> None:
    await record.desk.open(PLAIN)
    assert (await record.ask(f"approve {ID}", ANN)).title == "Nothing was decided"
    assert (await record.ask(f"approve {ID}", EVE)).title == "Nothing was decided"
    assert (await record.ask(f"deny {ID}", BOB)).title == "A denial needs a reason"
    assert (await record.ask(f"approve {ID}", BOB)).title == "Decided"
    answer = await record.ask(f"deny {ID} too late", CAROL)
    assert answer.title == "Nothing was decided"
    assert "It was decided already. Approved by bob@example.com" in answer.lines[0]
    assert (await record.ask("approve", BOB)).title == "Which request?"


async def test_approve_is_the_whole_answer_and_goes_round_nothing(record: Record) -> None:
    """docs/slack.md: it asks nothing more whatever the risk; what is to be typed or read in full, or approved on the page, stays so."""
    dropping = replace(PLAIN, statements=(replace(PLAIN.statements[0], tag="DROP TABLE"),))
    assert is_high(dropping)
    demands = (
        replace(dropping, id="typed", to_type="public.orders"),
        replace(dropping, id="read", full_view=True),
        replace(dropping, id="page", approve_via="web"),
    )
    for each in (dropping, *demands):
        await record.desk.open(each)
    assert (await record.ask(f"approve {ID}", BOB)).title == "Decided"
    for each in demands:
        assert (await record.ask(f"approve {each.id}", BOB)).title == "Nothing was decided"
    assert (await record.ask("approve typed public.orders", BOB)).title == "Decided"


async def test_deny_keeps_the_reason(record: Record) -> None:
    await record.desk.open(replace(PLAIN, id="01K"))
    await record.ask("deny 01K use the archive job", BOB)
    stored = await record.desk.show("01K")
    assert stored is not None
    assert (stored.state, stored.reason, stored.decided_via) == (State.DENIED, "use the archive job", "slack")


async def test_withdraw_is_for_who_asked(record: Record) -> None:
    await record.desk.open(replace(PLAIN, kept=True))
    assert (await record.ask("withdraw", ANN)).title == "Which request?"
    answer = await record.ask(f"withdraw {ID}", BOB)
    assert (answer.title, answer.lines) == ("Nothing was decided", (REFUSALS[Refusal.NOT_YOURS],))
    await record.ask(f"approve {ID}", BOB)
    answer = await record.ask(f"withdraw {ID}", ANN)
    assert answer.title == "Done"
    assert answer.lines[0].endswith(": You withdrew it. Nothing ran.")
    story = [in_utc(each) for each in (await record.ask(f"show {ID}", ANN)).lines]
    assert story[2] == "25 Nov 10:20 UTC withdrawn by ann@example.com, via slack"


# whoami, help --------------------------------------------------------------------------------------------------------


async def test_whoami(record: Record) -> None:
    answer = await record.ask("whoami")
    assert answer.title == BOB.user
    assert "Groups: dba" in answer.lines
    unknown = Person("", "", "dan@example.com", "dan@example.com", frozenset())
    assert "no sign-in of dan@example.com" in (await record.ask("whoami", unknown)).lines[0]


@pytest.mark.parametrize("text", ["", "  ", "help"])
async def test_help_lists_every_command(record: Record, text: str) -> None:
    answer = await record.ask(text)
    assert [each.split(" ")[:2] for each in answer.lines] == [["/hoop", verb] for verb in record.commands._verbs]


async def test_help_of_one_command_has_examples(record: Record) -> None:
    answer = await record.ask("help audit")
    examples = [each.removeprefix("/hoop ") for each in answer.lines if each.startswith("/hoop audit ")][1:]
    assert len(examples) >= 5
    for example in examples:
        assert (await record.ask(example, AUDITOR)).title.startswith("Audit: ")


async def test_logins_are_counted_as_logins(record: Record) -> None:
    await record.happened(ANN, "session_started", client="10.0.0.7")
    answer = await record.ask("audit login:any", AUDITOR)
    assert answer.title == "Audit: 1 login"
    assert answer.table is not None


async def test_did_somebody_expose_a_secret(record: Record) -> None:
    await record.happened(
        ANN, outcome="executed", agent="cursor", masked=[{"column": "c", "detector": "card", "count": 14}]
    )
    await record.happened(ANN, outcome="executed", agent="cursor", unscanned="no detectors")
    await record.happened(BOB, "refused", agent="cursor")
    answer = await record.ask("audit did cursor expose a secret last:24h", AUDITOR)
    assert answer.lines[:5] == (
        "Not every result was masked: see below what went out as it is.",
        "Masked: 14 values in 1 result: 14 card",
        "Shown clear, as policy says (clear_for): 0 results",
        "Not scanned: 1 result: no detectors",
        "Stopped before it ran: 1 of 3 statements",
    )
    own = await record.ask("audit did cursor expose a secret last:24h", ANN)
    assert own.lines[4] == "Stopped before it ran: 0 of 2 statements"


async def test_an_unknown_command_names_the_nearest(record: Record) -> None:
    answer = await record.ask("pendign")
    assert answer.title == "Unknown command pendign"
    assert answer.lines[0] == "Did you mean /hoop pending?"
    assert "There are: audit" in (await record.ask("xyzzy")).lines[0]


def test_the_same_subject_of_another_issuer_is_somebody_else() -> None:
    row: dict[str, Value] = {"subject": ANN.subject, "user": ANN.user, "issuer": ANN.issuer}
    assert owner_of(ANN).has(row)
    assert not owner_of(ANN).has({**row, "issuer": "https://second.example"})
    older = {name: value for name, value in row.items() if name != "issuer"}
    assert owner_of(ANN).has(older)
    assert not owner_of(ANN).has({**older, "user": "somebody else"})
