"""What the parts of a session share: what is told of an execution's end, what blocks reading, values as people see them."""

import pytest

from gateway.errors import GatewayError
from gateway.session import events as ev
from gateway.session.state import Phase
from gateway.wire.backend import fields
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, NOW, PARSED, POLICY, Playbook, catalog, complete, error, ready, row, split
from tests.session.test_session import DELETE, approve, held

# --- how an approved statement ended ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "answers", "told"),
    [
        (DELETE, ["DELETE 1"], "finished REQ1 1 committed"),
        (f"{DELETE}; ROLLBACK; SELECT 1", ["DELETE 1", "ROLLBACK", "SELECT 0"], "finished REQ1 1 rolled back"),
        (f"BEGIN; {DELETE}; ROLLBACK", ["BEGIN", "DELETE 1", "ROLLBACK"], "finished REQ1 1 rolled back"),
        (f"BEGIN; {DELETE}; COMMIT; SELECT 1", ["BEGIN", "DELETE 1", "COMMIT", "SELECT 0"], "finished REQ1 1 committed"),
        (f"{DELETE}; COMMIT; SELECT 1/0", ["DELETE 1", "COMMIT", ""], "finished REQ1 22012 partly committed"),
        (f"{DELETE}; SELECT 1/0", ["DELETE 1", ""], "finished REQ1 22012 rolled back"),
        (f"{DELETE}; ROLLBACK; SELECT 1/0", ["DELETE 1", "ROLLBACK", ""], "finished REQ1 22012 rolled back"),
        (f"{DELETE}; COMMIT; {DELETE}; ROLLBACK", ["DELETE 1", "COMMIT", "DELETE 1", "ROLLBACK"], "finished REQ1 2 partly committed"),
    ],
)  # fmt: skip
def test_an_end_is_told_as_it_was_whatever_follows_in_the_string(sql: str, answers: list[str], told: str) -> None:
    play = Playbook()
    held(play, query(sql))
    approve(play)
    lines = play.target(*(complete(tag) if tag else error("22012") for tag in answers), ready())
    assert [line for line in lines if line.startswith(("finished", "settled"))] == [told]


@pytest.mark.parametrize(
    ("sql", "tags", "fate"),
    [
        ("COMMIT", ["COMMIT"], "committed"),
        ("COMMIT", ["ROLLBACK"], "rolled back"),
        ("ROLLBACK", ["ROLLBACK"], "rolled back"),
        ("ROLLBACK; SELECT 1", ["ROLLBACK", "SELECT 1"], "rolled back"),
        ("COMMIT; SELECT 1/0", ["COMMIT", ""], "committed"),
        ("COMMIT", [""], "rolled back"),
    ],
)
def test_an_open_transaction_is_settled_by_what_ends_it(sql: str, tags: list[str], fate: str) -> None:
    play = Playbook(status="T")
    held(play, query(DELETE), status="T")
    approve(play, "T")
    assert "finished REQ1 1 open" in play.target(complete("DELETE 1"), ready("T"))
    play.client(query(sql))
    lines = play.target(*(complete(tag) if tag else error("22012") for tag in tags), ready())
    assert [line for line in lines if line.startswith("settled")] == [f"settled REQ1 {fate}"]


def test_going_back_to_a_savepoint_settles_nothing() -> None:
    play = Playbook(status="T")
    held(play, query(DELETE), status="T")
    approve(play, "T")
    play.target(complete("DELETE 1"), ready("T"))
    play.client(query("ROLLBACK TO s"))
    assert not [line for line in play.target(complete("ROLLBACK"), ready("T")) if line.startswith("settled")]


def test_prepared_for_later_is_neither_committed_nor_rolled_back() -> None:
    play = Playbook(POLICY.replace("session, opaque]", "opaque]").replace("[read]", "[read, session]"), status="T")
    held(play, query(DELETE), status="T")
    approve(play, "T")
    play.target(complete("DELETE 1"), ready("T"))
    play.client(query("PREPARE TRANSACTION 'later'"))
    assert "settled REQ1 prepared" in play.target(complete("PREPARE TRANSACTION"), ready())


def test_a_target_that_goes_leaves_an_open_transaction_rolled_back_unless_its_end_was_on_its_way() -> None:
    for sql, fate in ((None, "rolled back"), ("COMMIT", "its end was not seen")):
        play = Playbook(status="T")
        held(play, query(DELETE), status="T")
        approve(play, "T")
        play.target(complete("DELETE 1"), ready("T"))
        if sql:
            play.client(query(sql))
        assert f"settled REQ1 {fate}" in play.send(ev.TargetGone())


# --- entries ---------------------------------------------------------------------------------------------------------------


def test_entries_say_who_and_leave_out_what_is_empty() -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    (entry,) = play.recorded("statement")
    assert (entry["user"], entry["client"], entry["target"]) == ("ann@example.com", "127.0.0.1", "shop")
    assert (entry["groups"], entry["agent"], entry["verdict"]) == (["eng"], "psql", "allow")
    assert not {"parameters", "request", "masked", "tables", "decided_by"} & entry.keys()


def test_numbers_count_the_sessions_statements_and_time_is_of_each() -> None:
    play = Playbook()
    play.client(query("SELECT 1; SELECT 2"))
    assert [each["statement"] for each in play.recorded("statement")] == [1, 2]
    play.now = NOW + 0.25
    play.target(complete("SELECT 1"))
    assert play.recorded("finished")[0]["duration_ms"] == 250.0


def test_the_agent_is_who_it_says_it_is_now_without_secrets() -> None:
    play = Playbook()
    play.client(query("SET application_name = 'postgres://ann:hunter2@db/x'"))
    play.target(complete("SET"), ready())
    play.client(query("SELECT 1"))
    assert "hunter2" not in str(play.recorded("statement"))
    play.client(query("SET application_name = 'cursor'"))
    play.target(complete("SELECT 1"), ready(), complete("SET"), ready())
    play.client(query("SELECT 1"))
    assert play.recorded("statement")[0]["agent"] == "cursor"


def test_a_claimed_reason_stands_until_a_statement_says_its_own() -> None:
    play = Playbook()
    play.client(query("SET hoop.reason = 'tidying'"))
    play.target(complete("SET"), ready())
    for sql, reason in (
        ("SELECT 1", "tidying"),
        ("/* reason: counting */ SELECT 1", "counting"),
        ("SELECT 2", "tidying"),
    ):
        play.client(query(sql))
        assert play.recorded("statement")[0]["reason"] == reason
        play.target(complete("SELECT 1"), ready())


def test_what_an_error_made_the_target_skip_is_recorded_as_failed() -> None:
    play = Playbook()
    play.client(query("SELECT 1/0; SELECT 2"))
    play.target(error("22012"), ready())
    first, second = play.recorded("finished")
    assert (first["sqlstate"], first["outcome"]) == ("22012", "failed")
    assert (second["sql"], second["outcome"], second["reason"]) == ("SELECT 2", "failed", "skipped after an error")


# --- when the next message may be read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", list(Phase))
def test_held_and_closed_sessions_read_nothing(phase: Phase) -> None:
    talk = Playbook().session.talk
    talk.phase = phase
    assert talk.busy == (phase in (Phase.HELD, Phase.CLOSED))


def test_an_unknown_search_path_blocks_unless_it_can_not_be_asked_for() -> None:
    talk = Playbook().session.talk
    talk.path_stale = True
    assert talk.busy
    talk.status = "E"
    assert not talk.busy, "an aborted transaction answers no question; only its end can help"
    talk.status, talk.open_batch = "T", True
    assert not talk.busy, "the end of the batch must be read first"


def test_ddl_blocks_until_its_end_is_known_and_the_catalog_is_read_again() -> None:
    play = Playbook(POLICY.replace("[read]", "[read, ddl]").replace("[write, ddl, session", "[write, session"))
    play.client(query("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"), query("SELECT 1"))
    assert "reloadcatalog" in play.target(complete("CREATE FUNCTION"), ready())
    assert play.session.talk.busy
    assert play.send(ev.CatalogReloaded(catalog()))[-1] == "target Q[SELECT 1]"


# --- the end ---------------------------------------------------------------------------------------------------------------


def test_why_a_session_ends_is_not_said_inside_a_row() -> None:
    talk = Playbook().session.talk
    talk.say_fatal(GatewayError("over", sqlstate="57P01"))
    (effect,) = talk.effects
    assert isinstance(effect, ev.ToClient)
    shown = fields(split(effect.data)[0][1])
    assert (shown["S"], shown["C"]) == ("FATAL", "57P01")
    talk.mid_message = True
    talk.say_fatal(GatewayError("over"))
    assert len(talk.effects) == 1


# --- errands ---------------------------------------------------------------------------------------------------------------


def test_the_unnamed_statement_that_a_question_of_ours_drops_is_parsed_again() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), SYNC)
    play.target(PARSED, ready())
    play.session.talk.path_stale = True
    assert play.client(bind("", ""), execute(""), SYNC) == ["target Q[SHOW search_path]"]
    assert play.target(row(b"public"), complete("SHOW"), ready()) == ["target P[SELECT 1] S"]
    assert play.target(PARSED, ready()) == ["record statement", "target B E S"]
    assert play.target(BOUND, complete("SELECT 1"), ready())[0] == "client 2"


# --- what blocks reading ---------------------------------------------------------------------------------------------------


def test_a_copy_is_still_on_its_way_when_an_earlier_batch_is_answered() -> None:
    """What comes behind it would be taken for messages, and is its data."""
    play = Playbook(POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba", ""))
    play.client(query("INSERT INTO orders VALUES (1)"), query("COPY orders FROM STDIN"))
    play.target(complete("INSERT 0 1"), ready())
    assert play.client(query("SELECT 1")) == [], "it waits for the COPY"
    assert "client E08P01" in play.target(message(b"G", b"\0\0\0")), "as PostgreSQL: a Query in the place of data"


def test_a_question_that_waits_behind_a_batch_dies_with_it() -> None:
    """The target skips what the question was about; asked after the client's Sync it would ask for nobody."""
    play = Playbook()
    play.client(describe("P", "nobody's"), query("SELECT 1"), query("FROBNICATE 1"))
    assert play.target(error("34000")) == ["record finished", "client E34000"]
    assert play.client(SYNC, query("SELECT 2")) == ["target S", "record statement", "target Q[SELECT 2]"]


# --- what is told of a statement ---------------------------------------------------------------------------------------------


def test_what_is_told_of_a_statement_follows_the_policy() -> None:
    """It is worked out once for all rows of an executemany; a mask that comes in between counts at once."""
    play = Playbook()
    play.session.short.shut = True
    play.client(parse("s", "SELECT name FROM customers WHERE card_number = 77"), SYNC)
    play.target(PARSED, ready())
    said = []
    for _ in range(2):
        play.client(bind("", "s"), execute(""), SYNC)
        said.append(str(play.effects[0]))
        play.target(BOUND, complete("SELECT 0"), ready())
        masked = POLICY + "masking: {columns: [{column: '*.public.customers.card_number', mask: redact}]}\n"
        play.send(ev.PolicyChanged(Playbook(masked).policy))
    assert ["77" in each for each in said] == [True, False]


# --- at rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phase", Phase.HELD),
        ("status", "E"),
        ("replies", [object()]),
        ("open_batch", True),
        ("lost", True),
        ("changed", True),
        ("redefined", True),
        ("lurking", True),
        ("path_stale", True),
        ("path_in_transaction", True),
        ("ending", ev.Why.TOKEN_EXPIRED),
        ("temporary", {"t"}),
        ("temporary_code", True),
        ("claimed_reason", "why"),
        ("_session_reason", "why"),
        ("ended_as", "committed"),
        ("broke", True),
        ("mid_message", True),
        ("ran", [object()]),
        ("failed", {"R": object()}),
        ("unsettled", ["R"]),
        ("gate.opened", True),
        ("gate.unsure", True),
        ("gate.wish", True),
        ("renewal.owed", True),
    ],
)
def test_what_a_session_remembers_keeps_plain_statements_from_the_short_way(name: str, value: object) -> None:
    """Each of these changes how the next statement is judged, sent or recorded."""
    talk = Playbook().session.talk
    assert talk.at_rest
    whole, _, part = name.rpartition(".")
    setattr(getattr(talk, whole) if whole else talk, part, value)
    assert not talk.at_rest
