"""The target's bytes: however they are split, what is out of place in them, and what each answer changes."""

import pytest

from gateway.session import events as ev
from gateway.wire.backend import fields
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import (
    BOUND,
    NO_DATA,
    PARSED,
    POLICY,
    Playbook,
    columns,
    complete,
    error,
    ready,
    row,
    split,
)
from tests.session.test_session import DELETE, approve

MASKED = POLICY + "masking: {columns: [{column: shop.public.customers.card_number, mask: redact}]}\n"
ROWS = columns("name", "card_number", first=2) + row(b"Ann", b"4000") * 3 + complete("SELECT 3") + ready()
SHOWN = columns("name", "card_number", first=2) + row(b"Ann", b"[redacted]") * 3 + complete("SELECT 3") + ready()


def notice(text: str, kind: bytes = b"N") -> bytes:
    return message(kind, b"SNOTICE\0VNOTICE\0C00000\0M" + text.encode() + b"\0\0")


def parameter(name: str, value: str) -> bytes:
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


def asked(policy: str = POLICY, sql: str = "SELECT name, card_number FROM customers") -> Playbook:
    play = Playbook(policy)
    play.client(query(sql))
    return play


def fatal(play: Playbook) -> str:
    """The text of the FATAL that ended the session."""
    assert ev.Close() in play.effects
    shown = fields(split(play.to_client())[-1][1])
    assert shown["S"] == "FATAL"
    return shown["M"]


# --- chunks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "expected"), [(POLICY, ROWS), (MASKED, SHOWN)], ids=["untouched", "masked"])
def test_any_split_gives_the_same_bytes(policy: str, expected: bytes) -> None:
    for at in range(1, len(ROWS)):
        play = asked(policy)
        play.target(ROWS[:at])
        first = play.to_client()
        play.target(ROWS[at:])
        assert first + play.to_client() == expected, f"split at {at}"


@pytest.mark.parametrize(("policy", "expected"), [(POLICY, ROWS), (MASKED, SHOWN)], ids=["untouched", "masked"])
def test_byte_by_byte(policy: str, expected: bytes) -> None:
    play, got = asked(policy), b""
    for at in range(len(ROWS)):
        play.target(ROWS[at : at + 1])
        got += play.to_client()
    assert got == expected


def test_rows_with_a_card_among_others_go_in_one_piece_and_in_order() -> None:
    """A piece each costs more than the cards; what is cut waits for the rest."""
    play = asked(POLICY + "masking: {detect: [card]}\n", "SELECT name FROM customers")
    plain, dirty, clean = row(b"x" * 40), row(b"card 4000001234567899"), row(b"card **** **** **** 7899")
    head = columns("name", first=2)
    play.target(head, plain, dirty, plain, dirty, plain, dirty[:9])
    sent = [each.data for each in play.effects if isinstance(each, ev.ToClient)]
    assert sent == [head, (plain + clean) * 2 + plain]
    play.target(dirty[9:], complete("SELECT 6"), ready())
    assert play.to_client() == clean + complete("SELECT 6") + ready()


def test_an_untouched_row_goes_on_before_its_end_has_come_and_a_masked_one_waits() -> None:
    head = columns("name", first=2)
    long = row(b"x" * 100)
    play = asked()
    play.target(head + long[:50])
    assert play.to_client() == head + long[:50]
    play = asked(MASKED, "SELECT card_number FROM customers")
    head = columns("card_number", first=3)
    play.target(head + long[:50])
    assert play.to_client() == b"", "until the first row comes, it may be judged again"
    play.target(long[50:])
    assert play.to_client() == head + row(b"[redacted]")


def test_nothing_is_said_inside_a_row_and_all_of_it_at_a_boundary() -> None:
    head, long = columns("name", first=2), row(b"x" * 100)
    for sent, said in ((long[:50], False), (long, True), (long + b"D", True)):
        play = asked()
        play.target(head + sent)
        play.send(ev.TargetGone())
        assert bool(play.to_client()) == said, "a FATAL inside a row would be read as the row's own bytes"
        assert ev.Close() in play.effects


ROWS_ALONE = (row(b"x" * 30) + row(b"y" * 3)) * 4


@pytest.mark.parametrize("width", range(1, 2 * 40))
@pytest.mark.parametrize("end", [b"", complete("SELECT 8") + ready()], ids=["rows", "all"])
def test_chunks_of_rows_alone_pass_whole(width: int, end: bytes) -> None:
    head = columns("name", first=2)
    play, sent, got = asked(), head + row(b"Ann") + ROWS_ALONE + end, b""
    for at in range(0, len(sent), width):
        play.target(sent[at : at + width])
        got += play.to_client()
    assert got == sent


@pytest.mark.parametrize("cut", range(1, len(ROWS_ALONE)))
def test_behind_a_chunk_of_rows_alone_it_is_known_whether_it_ended_inside_one(cut: int) -> None:
    play = asked()
    play.target(columns("name", first=2) + row(b"Ann"))
    play.target(ROWS_ALONE[:cut])
    play.to_client()
    play.send(ev.TargetGone())
    whole = any(len(ROWS_ALONE[:cut]) - at in range(5) for at in ENDS)  # less than a header waits here, and is not said
    assert bool(play.to_client()) == whole


ENDS = [0, *(sum(len(row(b"x" * n)) for n in ([30, 3] * 4)[:k]) for k in range(1, 9))]


def test_an_impossible_length_behind_a_chunk_of_rows_alone_ends_the_session() -> None:
    play = asked()
    play.target(columns("name", first=2) + row(b"Ann"))
    play.target(row(b"Ann"))
    play.target(row(b"Ann") + b"D\xff\xff\xff\xff")
    assert "impossible message length" in fatal(play)


def test_a_message_of_impossible_length_ends_the_session_behind_what_came_whole() -> None:
    play = asked()
    whole = columns("name", first=2) + row(b"Ann")
    play.target(whole + b"D\xff\xff\xff\xff")
    assert "impossible message length" in fatal(play)
    assert play.to_client().startswith(whole)


# --- out of place ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (message(b"x", b""), "unexpected message of type x"),
        (message(b"V", b""), "function call that was not forwarded"),
        (message(b"W", b"\0\0\0"), "replication stream"),
        (PARSED, "ParseComplete in answer to Q"),
        (message(b"s", b""), "PortalSuspended in answer to Q"),
        (complete("SELECT 1") + ready() + complete("SELECT 1"), "CommandComplete and nothing was asked"),
        (complete("SELECT 1") + ready() + ready(), "ReadyForQuery and nothing was asked"),
        (complete("SELECT 1") + ready() + row(b"1"), "DataRow and nothing was asked"),
        (parameter("client_encoding", "LATIN1"), "read in two ways"),
    ],
)
def test_what_the_target_may_not_say_ends_the_session(answer: bytes, what: str) -> None:
    play = asked()
    play.target(answer)
    assert what in fatal(play)
    assert play.client(query("SELECT 1")) == []


def test_what_the_target_says_when_nothing_was_asked_passes_cleaned() -> None:
    play = Playbook()
    play.target(notice("postgres://ann:hunter2@db/x"))
    assert b"hunter2" not in play.to_client()
    note = message(b"A", b"\0\0\0\1jobs\0postgres://ann:hunter2@db/x\0")
    play.target(note)
    assert play.to_client() == message(b"A", b"\0\0\0\1jobs\0postgres://ann:[password]@db/x\0")
    play.target(parameter("application_name", "postgres://ann:hunter2@db/x"))
    assert play.to_client() == parameter("application_name", "postgres://ann:[password]@db/x")


def test_a_fatal_of_the_targets_own_is_the_only_one() -> None:
    play = Playbook()
    assert play.target(message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mgoing\0\0")) == ["client E57P01"]
    assert play.send(ev.TargetGone()) == ["record session_ended", "close"]


def test_nothing_is_taken_from_the_client_behind_the_targets_fatal() -> None:
    play = Playbook()
    play.target(message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mgoing\0\0"))
    assert play.client(query(DELETE)) == []


def test_a_reported_search_path_is_asked_for_before_anything_is_judged_by_it() -> None:
    play = Playbook()
    assert play.target(parameter("search_path", "other")) == ["client S", "target Q[SHOW search_path]"]
    assert play.client(query("SELECT 1")) == []
    assert play.target(row(b"other"), complete("SHOW"), ready()) == ["record statement", "target Q[SELECT 1]"]
    assert play.session.talk.grounds.search_path == ("other",)


@pytest.mark.parametrize(("path", "goes_on"), [(b"public", True), (b"other", False)])
def test_a_search_path_reported_while_a_batch_is_read_is_asked_for_then(path: bytes, goes_on: bool) -> None:
    """A reloaded configuration. What was judged by another path does not go."""
    play = Playbook()
    batch = (parse("", "SELECT 1"), bind("", ""), execute(""), SYNC)
    play.client(batch[0])
    assert play.target(parameter("search_path", path.decode()))[-1] == "target Q[SHOW search_path]"
    play.client(*batch[1:])
    lines = play.target(row(path), complete("SHOW"), ready())
    assert ("target P[SELECT 1] B E S" in lines) == goes_on
    assert ("client E57P03" in lines) != goes_on


# --- what answers change ---------------------------------------------------------------------------------------------------


def test_answers_to_questions_of_ours_are_not_shown_whatever_comes_between() -> None:
    play = Playbook(status="T")
    play.client(query(DELETE))
    assert play.target(notice("seen by nobody"), row(b"read committed"), complete("SHOW")) == []
    assert play.target(ready("T"))[-1].startswith("target Q[SAVEPOINT")


def test_a_suspended_portal_has_no_row_count_and_goes_on() -> None:
    play = Playbook()
    play.client(parse("", "SELECT name FROM customers"), bind("", ""), execute("", 1), SYNC)
    play.target(PARSED, BOUND, row(b"Ann"), message(b"s", b""), ready("T"))
    (entry,) = play.recorded("finished")
    assert entry["rows"] == 0
    assert play.client(execute(""), SYNC) == ["record statement", "target E S"]


def test_an_empty_query_ends_with_no_rows() -> None:
    play = asked(sql="")
    assert play.target(message(b"I", b""), ready()) == ["client I ZI"]


@pytest.mark.parametrize("kind", ["S", "P"])
def test_described_columns_make_the_plan_of_a_later_execute(kind: str) -> None:
    """A card in a binary int8 is one only to who knows its type."""
    play = Playbook(POLICY + "masking: {detect: [card]}\n", status="T")
    play.client(
        parse("s", "SELECT id FROM customers"),
        bind("p", "s", results=(1,)),
        describe(kind, "s" if kind == "S" else "p"),
        SYNC,
    )
    described = message(b"t", b"\0\0") if kind == "S" else b""
    play.target(PARSED, BOUND, described, columns("id", oid=20, binary=kind == "P"), ready("T"))
    play.client(execute("p"), SYNC)
    play.target(row((4000001234567899).to_bytes(8, "big")), complete("SELECT 1"), ready("T"))
    assert row(None) in play.to_client()


@pytest.mark.parametrize("results", [(), (1,)], ids=["text", "binary"])
def test_columns_described_by_a_portal_are_those_of_the_statement(results: tuple[int, ...]) -> None:
    """JDBC describes the portal of a prepared statement once, then binds and executes it without a word."""
    play = Playbook(POLICY + "masking: {detect: [card]}\n")
    play.client(
        parse("s", "SELECT id FROM customers"), bind("", "s", results=(1,)), describe("P", ""), execute(""), SYNC
    )
    play.target(PARSED, BOUND, columns("id", oid=20, binary=True), complete("SELECT 0"), ready())
    play.client(bind("", "s", results=results), execute(""), SYNC)
    card = b"4000001234567899"
    play.target(BOUND, row(int(card).to_bytes(8, "big") if results else card), complete("SELECT 1"), ready())
    assert row(None) in play.to_client()


def test_a_binary_result_that_nobody_described_is_described_to_us() -> None:
    """By its bytes alone a card in an int8 looks like nothing."""
    play = Playbook(POLICY + "masking: {detect: [card]}\n")
    play.client(parse("", "SELECT id FROM customers"), bind("p", "", results=(1,)), execute("p"), SYNC)
    assert describe("P", "p") + execute("p") in play.to_target()
    described = columns("id", oid=20, binary=True)
    play.target(PARSED, BOUND, described, row((4000001234567899).to_bytes(8, "big")), complete("SELECT 1"), ready())
    assert row(None) in play.to_client()
    assert described not in play.to_client()


#: What stands for a statement or cursor of another name: how it is made, read, and made again as something else.
OTHERS = {
    "EXECUTE": ("PREPARE p AS {}", "EXECUTE p", "DEALLOCATE p"),
    "FETCH": ("DECLARE p CURSOR FOR {}", "FETCH p", "CLOSE p"),
}


@pytest.mark.parametrize("verb", OTHERS)
@pytest.mark.parametrize("first", ["NoData", "an integer", "an integer, by the portal"])
@pytest.mark.parametrize("binary", [True, False])
def test_a_description_of_what_gives_anothers_rows_holds_for_no_later_ones(
    verb: str, first: str, *, binary: bool
) -> None:
    """PostgreSQL describes EXECUTE and FETCH by what the name means at their Parse, and runs what it means at their Bind."""
    made, read, dropped = OTHERS[verb]
    play = Playbook(POLICY + "masking: {detect: [card]}\n", status="T")

    def does(text: str) -> None:
        play.client(query(text))
        play.target(complete(text.split(maxsplit=1)[0]), ready("T"))

    none = first == "NoData"
    does(made.format("SELECT length(name) FROM customers"))
    told = NO_DATA if none else columns("length", oid=23)
    if first == "an integer, by the portal":
        play.client(parse("s", read), bind("", "s"), describe("P", ""), execute(""), SYNC)
        play.target(PARSED, BOUND, told, row(b"3"), complete("SELECT 1"), ready("T"))
    else:
        play.client(parse("s", read), describe("S", "s"), SYNC)
        play.target(PARSED, message(b"t", b"\0\0"), told, ready("T"))
    does(dropped)
    does(made.format("SELECT name FROM customers"))
    play.client(bind("", "s", results=(1,) if binary else ()), execute(""), SYNC)
    card = b"4000001234567899"
    if binary:
        assert describe("P", "") + execute("") in play.to_target()
        described, card = columns("name", oid=20, binary=True), int(card).to_bytes(8, "big")
    else:
        described = b""
    play.target(BOUND, described, row(card), complete("SELECT 1"), ready("T"))
    assert play.to_client()
    assert card not in play.to_client()


@pytest.mark.parametrize("verb", OTHERS)
def test_nor_does_one_of_the_statement_in_the_same_batch(verb: str) -> None:
    made, read, _ = OTHERS[verb]
    play = Playbook(POLICY + "masking: {detect: [card]}\n", status="T")
    play.client(parse("s", read), SYNC)
    play.target(PARSED, ready("T"))
    play.client(query(made.format("SELECT name FROM customers")))
    play.target(complete("SELECT"), ready("T"))
    play.client(describe("S", "s"), bind("", "s", results=(1,)), execute(""), SYNC)
    assert describe("P", "") + execute("") in play.to_target()


def test_an_error_of_our_own_describe_is_the_executes() -> None:
    """The target skips the Execute then: without it the client would wait for an answer that never comes."""
    play = Playbook(POLICY + "masking: {detect: [card]}\n", status="T")
    play.client(parse("", "SELECT id FROM customers"), bind("p", "", results=(1,)), SYNC)
    play.target(PARSED, BOUND, ready("T"))
    play.client(execute("p"), SYNC)
    assert play.target(error("34000"), ready("E"))[-1] == "client E34000 ZE"
    (entry,) = play.recorded("finished")
    assert entry["outcome"] == "failed"


def test_a_result_that_was_never_described_is_masked_where_it_may_need_it() -> None:
    play = Playbook(MASKED)
    play.client(parse("", "SELECT card_number FROM customers"), bind("", ""), execute(""), SYNC)
    play.target(PARSED, BOUND, row(b"4000"), complete("SELECT 1"), ready())
    assert b"4000" not in play.to_client()


@pytest.mark.parametrize("at", ["Parse", "Bind"])
@pytest.mark.parametrize(
    ("sql", "expected"),
    [("SELECT 1 / $1::int", "boom"), ("SELECT 1 FROM customers WHERE card_number = $1", "the message is withheld")],
    ids=["harmless", "protected"],
)
def test_an_error_before_execute_is_withheld_only_where_it_could_quote(at: str, sql: str, expected: str) -> None:
    """25P02 comes at Parse, division by zero at Bind: drivers that prepare read PostgreSQL's own words."""
    play = Playbook(MASKED)
    play.client(parse("", sql), bind("", "", (b"0",)), execute(""), SYNC)
    play.target(*([PARSED] if at == "Bind" else []), error("22012"), ready())
    found = next(fields(body) for kind, body in split(play.to_client()) if kind == "E")
    assert found["M"].startswith(expected)


def test_no_data_answers_a_describe() -> None:
    play = Playbook()
    play.client(parse("", "BEGIN"), describe("S", ""), SYNC)
    assert play.target(PARSED, message(b"t", b"\0\0"), NO_DATA, ready()) == ["client 1 t n ZI"]


def test_a_held_portal_that_was_released_goes_on_without_asking_again() -> None:
    play = Playbook()
    sql = "DELETE FROM customers WHERE id = 1 RETURNING name"
    play.client(parse("", sql), bind("", ""), execute("", 1), SYNC)
    play.preview()
    play.send(ev.Opened("REQ1"))
    approve(play)
    assert "client D s" in play.target(PARSED, BOUND, row(b"Ann"), complete("DELETE 1"), ready("T"))
    assert play.client(execute(""), SYNC) == ["record statement", "target E S"]


def test_an_error_makes_the_target_skip_to_the_sync() -> None:
    play = Playbook()
    play.client(parse("a", "SELECT 1"), bind("", "a"), execute(""), parse("b", "SELECT 2"), SYNC)
    play.target(error("42601"), ready())
    (entry,) = play.recorded("finished")
    assert entry["reason"] == "skipped after an error"
    assert play.session.talk.names.statements == {}


# --- COPY ------------------------------------------------------------------------------------------------------------------


def test_syncs_behind_a_copy_in_are_owed_nothing() -> None:
    """PostgreSQL ignores them while it copies: `1 2 G` and no Z (architecture.md, ReplyQueue)."""
    policy = POLICY.replace("statements: [INSERT]", "statements: [write]").replace("[write, ddl", "[ddl")
    play = Playbook(policy)
    play.client(parse("", "COPY customers FROM STDIN"), bind("", ""), execute(""), SYNC)
    copy_in = message(b"G", b"\0\0\0")
    assert play.target(PARSED, BOUND, copy_in) == ["client 1 2 G"]
    assert play.client(message(b"d", b"1\n"), message(b"c", b""), SYNC) == ["target d c S"]
    assert play.target(complete("COPY 1"), ready())[-1] == "client C[COPY 1] ZI"
    assert play.session.talk.drained


# --- a target that lies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"X", b"II"])
def test_a_transaction_status_that_is_none_ends_the_session(body: bytes) -> None:
    play = asked()
    play.target(complete("SELECT 0"), message(b"Z", body))
    assert fatal(play) == "the target sent a malformed ReadyForQuery"


def test_the_same_in_the_answer_to_a_question_of_ours() -> None:
    play = Playbook()
    play.session.talk.path_stale = True
    play.client(query("SELECT 1"))
    play.target(message(b"Z", b""))
    assert fatal(play) == "the target sent a malformed ReadyForQuery"


def test_a_transaction_that_failed_without_an_error_ends_the_session() -> None:
    play = asked()
    play.target(complete("SELECT 0"), message(b"Z", b"E"))
    assert fatal(play) == "the target says that the transaction failed, and has sent no error"


def test_so_it_does_in_the_answer_to_a_question_of_ours() -> None:
    play = Playbook()
    play.session.talk.path_stale = True
    play.client(query("SELECT 1"))
    play.target(message(b"Z", b"E"))
    assert fatal(play) == "the target says that the transaction failed, and has sent no error"


@pytest.mark.parametrize(
    "answer", [row(b"\xff\xfe"), row(), message(b"D", b"")], ids=["not UTF-8", "no column", "no row"]
)
def test_an_answer_to_a_question_of_ours_that_makes_no_sense_ends_the_session(answer: bytes) -> None:
    play = Playbook()
    play.session.talk.path_stale = True
    play.client(query("SELECT 1"))
    play.target(answer, complete("SHOW"), ready())
    assert fatal(play) == "the target's answer to a question of the gateway can't be read"


@pytest.mark.parametrize(
    ("masking", "clear", "unscanned"),
    [
        ("{detect: [card], clear_for: {groups: [eng]}}", None, "clear_for"),
        ("{columns: [{column: '*.*.*.card_number', mask: redact}], detect: [card], clear_for: {groups: [eng]}}", ["public.customers.card_number"], "clear_for"),
        ("{columns: [{column: '*.*.*.pin', mask: redact}], detect: [card], clear_for: {groups: [eng]}}", None, "clear_for"),
        ("{columns: [{column: '*.*.*.card_number', mask: redact}], detect: [card]}", None, None),
        ("{columns: [{column: '*.*.*.card_number', mask: redact}]}", None, "no detectors"),
    ],
)  # fmt: skip
def test_what_goes_out_as_it_is_is_recorded(masking: str, clear: list[str] | None, unscanned: str | None) -> None:
    play = asked(POLICY + f"masking: {masking}\n")
    play.target(ROWS)
    (entry,) = play.recorded("finished")
    assert (entry.get("clear"), entry.get("unscanned")) == (clear, unscanned)


def test_a_statement_without_a_result_shows_nothing() -> None:
    masking = "masking: {columns: [{column: '*.*.*.id', mask: redact}], clear_for: {groups: [eng]}}\n"
    play = asked(POLICY + masking, "SELECT FROM orders")
    play.target(complete("SELECT 1"), ready())
    (entry,) = play.recorded("finished")
    assert not {"clear", "unscanned"} & set(entry)
