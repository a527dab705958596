"""The short way of pipelines: several statements that end in one Sync, as batches of drivers come. Nobody can tell (test_shortway.py)."""

from collections.abc import Sequence

import pytest

from gateway.session import events as ev
from gateway.session.gate import CLOSE, OPEN
from gateway.session.replies import OPEN_AT, PER_TURN
from gateway.wire.frontend import FLUSH, SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, PARSED, columns, complete, error, ready, row
from tests.session.test_shortway import BEGIN, BEGUN, COMMIT, COMMITTED, Twins, alike, prepared
from tests.session.test_shortway_writes import CLOSED, MASKED, NO_DATA, OPENED, WRITES, began, with_update

READ = "SELECT name FROM customers WHERE id = $1"
WRITE = "UPDATE customers SET name = 'x' WHERE id = 1"
NAMED = columns("name", first=2)
GIVEN = NAMED + row(b"Ann") + complete("SELECT 1")


def step(text: str, *values: bytes, described: bool = True) -> bytes:
    """One that is parsed, bound and executed."""
    return parse("", text) + bind("", "", values) + (describe("P", "") if described else b"") + execute("")


def bound(name: str, value: bytes) -> bytes:
    return bind("", name, [value]) + execute("")


def taken(twins: Twins, data: bytes, *answer: bytes) -> list[ev.Effect]:
    """Behind two times in which it was learnt this takes the short way to its end; what it recorded, sent and showed."""
    found: list[ev.Effect] = []
    for _ in range(3):
        twins.client(data)
        flew = twins.flying
        for chunk in answer:
            twins.target(chunk)
        alike(twins)
    assert flew
    twins.client(data)
    for chunk in answer:
        found += twins.one.session.handle(ev.FromTarget(chunk), twins.one.now)
        twins.two.session.handle(ev.FromTarget(chunk), twins.two.now)
    alike(twins)
    assert {*kinds(found[:-1])} == {ev.RecordAlike}, "its answer too"
    return found


def kinds(effects: Sequence[ev.Effect]) -> list[type]:
    return [type(each) for each in effects]


FIRST = PARSED + BOUND + GIVEN
READS = step(READ, b"1") + step(READ, b"2") + SYNC
READS_ANSWER = FIRST + FIRST + ready()


UPDATED = PARSED + BOUND + NO_DATA + complete("UPDATE 1")
ENDED = PARSED + BOUND + NO_DATA


def test_reads_take_it() -> None:
    assert kinds(taken(Twins(), READS, READS_ANSWER)) == [ev.RecordAlike, ev.RecordAlike, ev.ToClient]


def test_rows_of_an_executemany_take_it_through_the_gate_once() -> None:
    twins = with_update()
    data = b"".join(bound("s", str(number).encode()) for number in range(5)) + SYNC
    answer = (BOUND + complete("UPDATE 1")) * 5 + ready()
    found = taken(twins, data, OPENED, answer, CLOSED)
    assert kinds(found) == [ev.RecordAlike] * 5 + [ev.ToClient]
    assert found[-1] == ev.ToClient(answer)
    effects = twins.one.session.handle(ev.FromClient(data), twins.one.now)
    assert kinds(effects) == [ev.RecordAlike] * 5 + [ev.ToTarget]
    assert effects[-1] == ev.ToTarget(OPEN + data + CLOSE)


@pytest.mark.parametrize("answer", [READS_ANSWER, FIRST + PARSED + BOUND + error("22012") + ready()])
def test_what_is_over_is_not_held(answer: bytes) -> None:
    twins = Twins()
    taken(twins, READS, READS_ANSWER)
    twins.client(READS)
    short = twins.one.session.short
    assert len(short.last.steps) == len(short._gathered.steps) == 2
    twins.target(answer)
    assert not short.last.steps
    assert not short._gathered.steps


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_write_among_reads_takes_it_through_the_gate(at: int) -> None:
    twins, said, given = Twins(WRITES), [step(READ, b"1")] * 2, [FIRST] * 2
    said.insert(at, step(WRITE))
    given.insert(at, PARSED + BOUND + NO_DATA + complete("UPDATE 1"))
    data = b"".join(said) + SYNC
    taken(twins, data, OPENED, b"".join(given) + ready(), CLOSED)
    effects = twins.one.session.handle(ev.FromClient(data), twins.one.now)
    assert effects[-1] == ev.ToTarget(OPEN + data + CLOSE)


def test_the_next_may_come_while_the_gate_is_still_to_be_closed() -> None:
    twins = with_update()
    data, answer = bound("s", b"1") * 2 + SYNC, (BOUND + complete("UPDATE 1")) * 2 + ready()
    taken(twins, data, OPENED, answer, CLOSED)
    twins.client(data)
    twins.target(OPENED)
    twins.target(answer)
    twins.client(data)
    assert twins.flying
    for chunk in (CLOSED, OPENED + answer + CLOSED):
        twins.target(chunk)
    assert not twins.flying
    alike(twins)


def test_in_a_block_they_need_no_gate() -> None:
    twins = began(with_update())
    data = bound("s", b"1") * 2 + step(READ, b"1") + SYNC
    answer = (BOUND + complete("UPDATE 1")) * 2 + PARSED + BOUND + GIVEN + ready("T")
    assert kinds(taken(twins, data, answer)) == [ev.RecordAlike] * 3 + [ev.ToClient]
    twins.client(COMMIT)
    twins.target(COMMITTED)
    alike(twins)


@pytest.mark.parametrize("text", [READ.replace("$1", "1"), WRITE])
@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN READ ONLY", "START TRANSACTION"])
def test_a_block_may_begin_with_it_as_jdbc_does(text: str, begin: str) -> None:
    """A write behind it needs no gate: the block is one that may write, or, as the client has it, one that may not."""
    twins = Twins(WRITES)
    data = step(begin, described=False) + step(text) + SYNC
    head = PARSED + BOUND + complete("START TRANSACTION" if begin.startswith("S") else "BEGIN")
    tail = PARSED + BOUND + (NO_DATA + complete("UPDATE 1") if text == WRITE else GIVEN) + ready("T")
    for number in range(4):
        twins.client(data)
        assert twins.flying or not number
        assert OPEN not in twins.one.to_target()
        twins.target(head + tail)
        alike(twins)
        assert twins.one.session.talk.status == "T"
        twins.client(query("COMMIT"))
        twins.target(COMMITTED)
        alike(twins)
    if not begin.endswith("ONLY"):
        sent = twins.one.session.short.last
        twins.client(data)
        assert sent.sent == data.replace(parse("", begin), parse("", f"{begin} READ WRITE"))


def test_a_block_that_was_parsed_under_a_wish_to_read_only_does_not_begin_with_it() -> None:
    """It takes the session's own default: what is behind it needs the open gate."""
    twins = with_update()
    for wish in ("on", "off"):
        twins.client(query(f"SET default_transaction_read_only = {wish}"))
        twins.target(complete("SET") + ready())
        if wish == "on":
            twins.client(parse("b", "BEGIN") + SYNC)
            twins.target(PARSED + ready())
    data = bind("", "b") + execute("") + bound("s", b"1") + SYNC
    answer = BOUND + complete("BEGIN") + BOUND + complete("UPDATE 1") + ready("T")
    for _ in range(3):
        twins.client(data)
        assert not twins.flying
        twins.target(OPENED + answer)
        twins.client(query("COMMIT"))
        twins.target(complete("COMMIT") + ready())
        twins.target(CLOSED)
        alike(twins)


@pytest.mark.parametrize(("end", "tag"), [("COMMIT", "COMMIT"), ("ROLLBACK", "ROLLBACK"), ("END", "COMMIT")])
def test_a_block_may_end_with_it(end: str, tag: str) -> None:
    twins = Twins(WRITES)
    data = step(WRITE) + step(end, described=False) + SYNC
    answer = PARSED + BOUND + NO_DATA + complete("UPDATE 1") + PARSED + BOUND + complete(tag) + ready()
    for number in range(4):
        twins.client(BEGIN)
        twins.target(BEGUN)
        twins.client(data)
        assert twins.flying or not number
        twins.target(answer)
        assert not twins.flying
        alike(twins)


def test_a_whole_block_takes_it() -> None:
    """What may be quoted of a protected column at its end is forgotten behind that."""
    twins = Twins(MASKED)
    data = step("BEGIN", described=False) + step(WRITE) + step("COMMIT", described=False) + SYNC
    head, tail = PARSED + BOUND + complete("BEGIN"), PARSED + BOUND + complete("COMMIT") + ready()
    taken(twins, data, head + PARSED + BOUND + NO_DATA + complete("UPDATE 1") + tail)


# --- what doesn't -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        step(READ, b"1") + step("COMMIT") + step(READ, b"1") + SYNC,
        step(READ, b"1") + step("BEGIN") + SYNC,
        step(READ, b"1") + step("SAVEPOINT a1") + SYNC,
        step("COMMIT") + step(READ, b"1") + SYNC,
        step(READ, b"1") + step("SELECT evil(1)") + SYNC,
        step(READ, b"1") + step("DELETE FROM customers") + SYNC,
        step(READ, b"1") + bind("", "", [b"1"]) + execute("") + SYNC,
        step(READ, b"1") + parse("n", READ) + bind("", "n", [b"1"]) + execute("") + SYNC,
        step(READ, b"1") + bind("p", "", [b"1"]) + execute("p") + SYNC,
        step(READ, b"1")[: -len(execute(""))] + execute("", 1) + step(READ, b"1") + SYNC,
        step(READ, b"1") + step(READ, b"1") + FLUSH,
        step(READ, b"1") + SYNC + step(READ, b"1") + SYNC,
        step(READ, b"1") + parse("", READ) + SYNC,
        step(READ, b"1") + query(READ.replace("$1", "1")),
        step(READ, b"1") + message(b"B", b"\0\0") + execute("") + SYNC,
        step(READ, b"1") + message(b"B", b"\0") + execute("") + SYNC,
        step(READ, b"1") + b"B\0\0\0\0" + execute("") + SYNC,
        b"B\0\0\0\x04" + execute("") + SYNC,
        b"B\0\0\0\x04" + describe("P", "") + execute("") + SYNC,
        parse("", READ) + b"B\0\0\0\x04" + execute("") + SYNC,
        parse("", READ) + b"B\0\0\0\x05\0" + execute("") + SYNC,
        b"P\0\0\0\0" + step(READ, b"1") + SYNC,
        step(READ, b"1") + b"P\xff\xff\xff\xff" + bind("", "", [b"1"]) + execute("") + SYNC,
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_what_is_more_than_that_takes_the_ordinary_way(data: bytes) -> None:
    twins = Twins()
    taken(twins, READS, READS_ANSWER)
    twins.client(data)
    assert not twins.flying
    alike(twins)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("behind", [step(READ, b"1"), step(WRITE), step("BEGIN"), step("COMMIT")])
def test_what_goes_on_behind_the_end_of_a_block_takes_the_ordinary_way(end: str, behind: bytes) -> None:
    """A write there needs the gate."""
    twins = Twins(WRITES)
    taken(
        twins,
        step("BEGIN") + step(WRITE) + step(end) + SYNC,
        ENDED + complete("BEGIN") + UPDATED + ENDED + complete(end) + ready(),
    )
    taken(twins, READS, READS_ANSWER)
    began(twins)
    twins.client(step(READ, b"1") + step(end) + behind + SYNC)
    assert not twins.flying


def test_unknown_columns_of_a_named_one_are_asked_for_on_the_ordinary_way() -> None:
    twins = Twins(MASKED)
    twins.client(parse("r", READ) + SYNC)
    twins.target(PARSED + ready())
    twins.client(bound("r", b"1") * 2 + SYNC)
    assert not twins.flying


# --- in several chunks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(6, len(READS)))
def test_however_it_is_cut(at: int) -> None:
    twins = Twins()
    taken(twins, READS, READS_ANSWER)
    twins.client(READS[:at])
    assert twins.one.session.short.kept == READS[:at]
    twins.client(READS[at:])
    assert twins.flying
    assert twins.one.session.short.kept == b""
    effects = twins.one.session.handle(ev.FromTarget(READS_ANSWER), twins.one.now)
    assert kinds(effects) == [ev.RecordAlike, ev.RecordAlike, ev.ToClient], "what was learnt is known"
    twins.two.session.handle(ev.FromTarget(READS_ANSWER), twins.two.now)
    alike(twins)


@pytest.mark.parametrize("data", [prepared("s", b"1"), step("UPDATE customers SET name = 'x' WHERE id = 2") + SYNC])
def test_one_alone_that_is_cut_takes_it_too(data: bytes) -> None:
    twins = began(with_update())
    head = BOUND if data.startswith(b"B") else PARSED + BOUND + NO_DATA
    taken(twins, data, head + complete("UPDATE 1") + ready("T"))
    for at in range(6, len(data), 5):
        twins.client(data[:at])
        twins.client(data[at:])
        assert twins.flying
        twins.target(head + complete("UPDATE 1") + ready("T"))
        alike(twins)


@pytest.mark.parametrize(
    "event",
    [
        ev.CancelRequested(),
        ev.Tick(),
        ev.ClientGone(),
        ev.TargetGone(),
        ev.FromClient(FLUSH),
        ev.FromClient(query(WRITE)),
        ev.FromTarget(message(b"N", b"SNOTICE\0MHello\0\0")),
        ev.Ended(ev.Why.DRAINING),
    ],
    ids=lambda event: type(event).__name__,
)
def test_whatever_comes_behind_its_beginning_finds_it_as_if_it_had_taken_the_ordinary_way(event: ev.Event) -> None:
    twins = Twins(WRITES)
    taken(twins, READS, READS_ANSWER)
    beginning = step(READ, b"1") + parse("", READ)
    for part in (beginning[:20], beginning[20:]):
        twins.client(part)
    assert twins.one.session.short.kept
    twins.give(event)
    assert not twins.one.session.short.waits
    alike(twins)


def test_the_answer_of_a_closed_gate_may_come_behind_its_beginning() -> None:
    twins = with_update()
    data, answer = bound("s", b"1") * 2 + SYNC, (BOUND + complete("UPDATE 1")) * 2 + ready()
    taken(twins, data, OPENED, answer, CLOSED)
    for chunks in ((data,), (data[:30], data[30:])):
        twins.client(chunks[0])
        for chunk in chunks[1:]:
            twins.target(CLOSED)
            twins.client(chunk)
        assert twins.flying
        twins.target(OPENED + answer)
    twins.target(CLOSED)
    alike(twins)


def test_a_beginning_that_is_too_long_is_not_kept() -> None:
    twins = with_update()
    value = bound("s", b"1" * 1000)
    count = OPEN_AT // len(value)
    twins.client(value * count)
    assert twins.one.session.short.kept
    twins.client(value)
    assert not twins.one.session.short.kept
    assert not twins.flying
    alike(twins)


def test_a_message_that_is_too_long_is_not_kept() -> None:
    twins = with_update()
    twins.client(bind("", "s", [b"1" * OPEN_AT])[:100])
    assert not twins.one.session.short.kept
    alike(twins)


@pytest.mark.parametrize(
    ("value", "count", "described"),
    [
        (b"1", (PER_TURN - 1) // 2, False),
        (b"1", (PER_TURN - 1) // 3, True),
        (b"1" * 1000, (OPEN_AT - len(SYNC) - 1) // len(bound("s", b"1" * 1000)), False),
    ],
    ids=["messages", "messages with Describe", "bytes"],
)
@pytest.mark.parametrize("kept", [False, True])
def test_as_much_as_the_ordinary_way_takes_in_one_turn(
    value: bytes, count: int, *, described: bool, kept: bool
) -> None:
    twins = with_update()
    taken(twins, bound("s", b"1") * 2 + SYNC, OPENED, (BOUND + complete("UPDATE 1")) * 2 + ready(), CLOSED)
    for more in (0, 1):
        one = bind("", "s", [value]) + (describe("P", "") if described else b"") + execute("")
        data = one * (count + more) + SYNC
        for chunk in [data[:-600], data[-600:]] if kept else [data]:
            twins.client(chunk)
        assert twins.flying is not bool(more)
        twins.give(ev.CancelRequested())  # it is read once more, on the ordinary way
        twins = with_update()


def test_one_alone_of_so_many_bytes_is_met_as_on_the_ordinary_way() -> None:
    """That sends the beginning of them through the gate, before it has seen the end."""
    for more in (0, 1):
        twins = with_update()
        value = b"1" * (OPEN_AT - 1 - len(prepared("s", b"")) + more)
        twins.client(prepared("s", value))
        assert twins.flying is not bool(more)
        twins.target(OPENED + BOUND + error("22P02") + ready() + CLOSED)
        alike(twins)


# --- what comes of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunks",
    [
        [FIRST, FIRST + ready()],
        [FIRST + FIRST, ready()],
        [FIRST[:-3], FIRST[-3:] + FIRST + ready()],
        [FIRST + PARSED + BOUND + error("22012") + ready()],
        [error("26000") + ready()],
        [FIRST + PARSED + BOUND + message(b"N", b"SNOTICE\0MHello\0\0") + GIVEN + ready()],
        [FIRST + ready()],
        [FIRST + FIRST + FIRST + ready()],
        [FIRST + FIRST + ready("T")],
        [FIRST + PARSED + BOUND + NO_DATA + complete("SELECT 0") + ready()],
        [FIRST + PARSED + BOUND + columns("name", first=3) + row(b"Ann") + complete("SELECT 1") + ready()],
        [FIRST + PARSED + BOUND + message(b"I", b"") + ready()],
        [FIRST + BOUND + GIVEN + ready()],
        [FIRST + b"C\0\0\0\0" + ready()],
        [FIRST + PARSED + BOUND + NAMED + message(b"D", b"\0\1\0\0\0\7") + complete("SELECT 1") + ready()],
    ],
    ids=lambda chunks: " ".join(str(len(each)) for each in chunks),
)
def test_any_other_answer_is_met_on_the_ordinary_way(chunks: list[bytes]) -> None:
    twins = Twins(MASKED)
    taken(twins, READS, READS_ANSWER)
    twins.client(READS)
    assert twins.flying
    for chunk in chunks:
        twins.target(chunk)
        assert not twins.flying
    alike(twins)


@pytest.mark.parametrize("described", [True, False])
def test_a_description_that_was_not_asked_for_or_is_missing_is_met_on_the_ordinary_way(*, described: bool) -> None:
    twins = began(with_update())
    update = bind("", "s", [b"1"])

    def said(*, described: bool) -> bytes:
        return update + (describe("P", "") if described else b"") + execute("") + SYNC

    answer = BOUND + (NO_DATA if described else b"") + complete("UPDATE 1") + ready("T")
    taken(twins, said(described=described), answer)
    twins.client(said(described=not described))
    assert twins.flying
    twins.target(answer)  # as to the one before
    alike(twins)


def test_a_row_of_the_last_that_needs_a_mask_is_masked() -> None:
    twins = Twins(MASKED)
    text = "SELECT card_number FROM customers WHERE id = $1"
    data = step(READ, b"1") + step(text, b"1") + SYNC
    head, described = FIRST + PARSED + BOUND, columns("card_number", first=3)
    taken(twins, data, head + described + complete("SELECT 0") + ready())
    twins.client(data)
    assert twins.flying
    twins.one.to_client()
    twins.target(head + described + row(b"4111111111111111") + complete("SELECT 1") + ready())
    assert b"4111" not in twins.one.to_client()
    alike(twins)


def test_each_answer_is_masked_by_itself() -> None:
    twins = Twins(MASKED)
    text = "SELECT card_number FROM customers WHERE id = $1"
    data = step(text, b"1") + step(READ, b"1") + step(text, b"1") + SYNC
    one, read = columns("card_number", first=3), columns("name", first=2)
    head = PARSED + BOUND
    some = one + row(b"4111111111111111") * 2 + complete("SELECT 2")
    answer = head + some + head + read + row(b"4111 1111 1111 1111") + complete("SELECT 1") + head + one
    for _ in range(4):
        twins.client(data)
        flying = twins.flying
        twins.target(answer + complete("SELECT 0") + ready())
    assert flying


@pytest.mark.parametrize(
    "event", [ev.CancelRequested(), ev.Tick(), ev.ClientGone(), ev.TargetGone(), ev.FromClient(SYNC)]
)
def test_whatever_comes_meanwhile_finds_it_as_if_it_had_taken_the_ordinary_way(event: ev.Event) -> None:
    twins = with_update()
    data, answer = bound("s", b"1") * 3 + SYNC, (BOUND + complete("UPDATE 1")) * 3 + ready()
    taken(twins, data, OPENED, answer, CLOSED)
    twins.client(data)
    assert twins.flying
    twins.target(OPENED)
    twins.give(event)
    assert not twins.flying
    alike(twins)


@pytest.mark.parametrize("answered", [True, False])
def test_nothing_of_one_that_is_over_is_kept(*, answered: bool) -> None:
    """A session may be idle for hours behind it."""
    twins = Twins()
    taken(twins, READS, READS_ANSWER)
    twins.client(READS[:50])
    twins.client(READS[50:])
    twins.target(READS_ANSWER if answered else error("22012") + ready())
    short = twins.one.session.short
    kept = [short.kept, short.shown, short.last.data, short.last.sent, short.last.bind, short.last.came]
    kept.append(short._landing.shown)
    assert not any(kept)
    assert not short.last.steps
    assert not short._gathered.steps
    alike(twins)


def test_values_are_recorded_of_each_and_a_placeholder_is_refused() -> None:
    twins = Twins(MASKED)
    text = "UPDATE customers SET name = $1 WHERE id = 1"
    twins.client(parse("w", text) + describe("S", "w") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\1\0\0\0\x19") + NO_DATA + ready())
    data = bound("w", b"a") + bound("w", b"b") + SYNC
    taken(twins, data, OPENED, (BOUND + complete("UPDATE 1")) * 2 + ready(), CLOSED)
    twins.client(bound("w", b"a") + bound("w", b"[redacted]") + SYNC)
    assert not twins.flying
    alike(twins)


def test_what_is_described_as_another_on_the_way_is_looked_at_as_that() -> None:
    """The target describes it for the first, and the others, which nobody has asked about, are the same statement."""
    twins = Twins(MASKED)
    twins.client(parse("s", READ) + describe("S", "s") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\1\0\0\0\x17") + NAMED + ready())
    data = bind("", "s", [b"1"]) + describe("P", "") + execute("") + bound("s", b"2") + SYNC
    rest = row(b"Ann") + complete("SELECT 1") + BOUND + row(b"Ann") + complete("SELECT 1") + ready()
    taken(twins, data, BOUND + NAMED + rest)
    for described in (columns("card_number", first=3), NAMED) * 3:
        twins.client(data)
        assert twins.flying
        twins.target(BOUND + described + rest)
        alike(twins)
