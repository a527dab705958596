"""Which columns a result is known to have, and what is masked and recorded of it."""

import pytest

from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, NO_DATA, PARSED, POLICY, Playbook, columns, complete, ready, row
from tests.session.test_stream import MASKED, ROWS, asked

#: What stands for a statement or cursor of another name: how it is made, read, and made again as something else.
OTHERS = {
    "EXECUTE": ("PREPARE p AS {}", "EXECUTE p", "DEALLOCATE p"),
    "FETCH": ("DECLARE p CURSOR FOR {}", "FETCH p", "CLOSE p"),
}


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


def test_a_result_that_was_never_described_is_masked_where_it_may_need_it() -> None:
    play = Playbook(MASKED)
    play.client(parse("", "SELECT card_number FROM customers"), bind("", ""), execute(""), SYNC)
    play.target(PARSED, BOUND, row(b"4000"), complete("SELECT 1"), ready())
    assert b"4000" not in play.to_client()


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
