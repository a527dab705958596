"""The target's bytes: however they are split, the same reaches the client; a length that can't be ends the session."""

import pytest

from gateway.session import events as ev
from gateway.wire.backend import fields
from gateway.wire.frontend import query
from tests.playbook import (
    POLICY,
    Playbook,
    columns,
    complete,
    ready,
    row,
    split,
)

MASKED = POLICY + "masking: {columns: [{column: shop.public.customers.card_number, mask: redact}]}\n"
ROWS = columns("name", "card_number", first=2) + row(b"Ann", b"4000") * 3 + complete("SELECT 3") + ready()
SHOWN = columns("name", "card_number", first=2) + row(b"Ann", b"[redacted]") * 3 + complete("SELECT 3") + ready()


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
