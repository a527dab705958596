"""The short way of writes: through the gate, or in a block; and of blocks that Bind and Execute begin. Nobody can tell (test_shortway.py)."""

import pytest

from gateway.session import events as ev
from gateway.session.gate import CLOSE, OPEN, Gate
from gateway.wire.backend import notice_response
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, NOW, PARSED, POLICY, columns, complete, error, ready, row, whole
from tests.session.test_shortway import ANSWER, BEGIN, BEGUN, COMMIT, COMMITTED, DESCRIBED, READ, Twins, alike, prepared

WRITES = POLICY.replace("statements: [read]", "statements: [read, write]").replace("[write, ddl,", "[ddl,")
MASKED = WRITES + "masking: {columns: [{column: '*.public.customers.card_number', mask: redact}], detect: [card]}\n"
OPENED, CLOSED = Gate().answers
UPDATE = query("UPDATE customers SET name = 'x' WHERE id = 1")
DONE = complete("UPDATE 1") + ready()
IN_BLOCK = complete("UPDATE 1") + ready("T")
NO_DATA = message(b"n", b"")
TYPES = message(b"t", b"\0\1\0\0\0\x17")
TEXT = "UPDATE customers SET name = 'x' WHERE id = $1"


def once(text: str, *values: bytes) -> bytes:
    return parse("", text) + bind("", "", values) + describe("P", "") + execute("") + SYNC


def with_update(policy: str = WRITES, *, described: bool = True) -> Twins:
    """A prepared UPDATE; `described`: the target has said that it gives no rows."""
    twins = Twins(policy)
    twins.client(parse("s", TEXT) + (describe("S", "s") if described else b"") + SYNC)
    twins.target(PARSED + (TYPES + NO_DATA if described else b"") + ready())
    return twins


def began(twins: Twins) -> Twins:
    twins.client(BEGIN)
    twins.target(BEGUN)
    return twins


def done(twins: Twins, data: bytes, answer: bytes, times: int = 2) -> None:
    """In autocommit, answered as a server does that sends what it has at each ReadyForQuery."""
    for _ in range(times):
        twins.client(data)
        for chunk in (OPENED, answer, CLOSED):
            twins.target(chunk)
        alike(twins)


def _kinds(twins: Twins, data: bytes) -> list[str]:
    """What the first of them records of this."""
    return [each.kind for each in twins.one.session.handle(ev.FromClient(data), NOW) if isinstance(each, ev.Record)]


# --- in a block -------------------------------------------------------------------------------------------------------

FORMS: dict[str, tuple[bytes, bytes]] = {
    "Query": (UPDATE, b""),
    "once": (once(TEXT, b"1"), PARSED + BOUND + NO_DATA),
    "once, not described": (parse("", TEXT) + bind("", "", [b"1"]) + execute("") + SYNC, PARSED + BOUND),
    "Bind": (prepared("s", b"1"), BOUND),
    "Bind, binary wanted": (prepared("s", b"1", formats=(1,)), BOUND),
    "Bind, Describe": (prepared("s", b"1", described=True), BOUND + NO_DATA),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_write_in_a_block_takes_it(form: str) -> None:
    data, head = FORMS[form]
    twins = began(with_update())
    twins.known(data, head + IN_BLOCK)
    twins.client(data)
    assert twins.flying
    twins.target(head + IN_BLOCK)
    assert not twins.flying
    alike(twins)
    twins.client(COMMIT)
    twins.target(COMMITTED)
    alike(twins)


def test_what_a_description_of_the_portal_says_is_known_of_the_statement() -> None:
    data, head = FORMS["Bind, Describe"]
    twins = began(with_update(described=False))
    for _ in range(2):
        twins.client(data)
        twins.target(head + IN_BLOCK)
        alike(twins)
    twins.client(prepared("s", b"1", formats=(1,)))
    assert twins.flying


def test_what_nobody_has_described_is_when_binary_is_wanted() -> None:
    """Its rows could not be looked at otherwise."""
    twins = began(with_update(described=False))
    for _ in range(2):
        twins.client(prepared("s", b"1", formats=(1,)))
        assert twins.flying
        twins.target(BOUND + NO_DATA + IN_BLOCK)
        alike(twins)
        twins = began(with_update(described=False))


def test_rows_of_returning_are_masked() -> None:
    twins = began(Twins(MASKED))
    data = query("UPDATE customers SET name = 'x' WHERE id = 1 RETURNING card_number")
    head, tail = columns("card_number", first=3), complete("UPDATE 1") + ready("T")
    twins.known(data, head + tail)  # no row: nothing is masked
    twins.client(data)
    assert twins.flying
    twins.target(head + row(b"4111111111111111") + tail)
    assert b"4111" not in twins.one.to_client()
    alike(twins)


@pytest.mark.parametrize("rows", [b"", row(b"Ann")])
def test_returning_is_recorded_as_shown_only_with_rows(rows: bytes) -> None:
    """Nobody looks at results under this policy, and the record says so where one was shown."""
    twins = began(Twins(WRITES))
    twins.client(parse("r", "DELETE FROM customers WHERE id = 1 RETURNING name") + describe("S", "r") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\0") + DESCRIBED + ready("T"))
    for _ in range(3):
        twins.client(prepared("r"))
        twins.target(BOUND + rows + complete("DELETE 1") + ready("T"))
        alike(twins)


def test_rows_that_nobody_announced_are_met_on_the_ordinary_way() -> None:
    twins = began(with_update(MASKED))
    twins.known(prepared("s", b"1"), BOUND + IN_BLOCK)
    twins.client(prepared("s", b"1"))
    assert twins.flying
    twins.target(BOUND + row(b"4111111111111111") + complete("UPDATE 1") + ready("T"))
    assert b"4111" not in twins.one.to_client()


@pytest.mark.parametrize("described", [True, False])
def test_a_placeholder_of_ours_is_refused(*, described: bool) -> None:
    twins = began(with_update(MASKED))
    answer = BOUND + (NO_DATA if described else b"") + IN_BLOCK
    twins.known(prepared("s", b"1", described=described), answer)
    data = prepared("s", b"[redacted]", described=described)
    twins.client(data)
    assert not twins.flying
    twins.target(BOUND + (NO_DATA if described else b"") + error("34000") + ready("E"))
    twins.client(query("ROLLBACK"))
    twins.target(complete("ROLLBACK") + ready())
    assert _kinds(twins, data) == ["refused"]


def test_a_placeholder_in_the_text_is_refused_each_time() -> None:
    twins = began(Twins(MASKED))
    for _ in range(3):
        twins.client(query("UPDATE customers SET name = '[redacted]' WHERE id = 1"))
        assert not twins.flying
        twins.target(error("34000") + ready("E"))
        twins.client(query("ROLLBACK"))
        twins.target(complete("ROLLBACK") + ready())
        began(twins)
    assert _kinds(twins, query("UPDATE customers SET name = '[redacted]' WHERE id = 1")) == ["refused"]


def test_a_placeholder_in_a_text_of_a_known_shape_is_refused() -> None:
    """What was worked out of one text serves others, but each is asked whether it writes a placeholder back."""
    twins = began(Twins(MASKED))
    text = "UPDATE customers SET name = '{}' WHERE id = 1"
    for value in ("Ann", "Bob"):
        twins.known(query(text.format(value)), IN_BLOCK)
    twins.client(query(text.format("Carol")))
    assert twins.flying
    twins.target(IN_BLOCK)
    data = query(text.format("[redacted]"))
    twins.client(data)
    assert not twins.flying
    twins.target(error("34000") + ready("E"))
    twins.client(query("ROLLBACK"))
    twins.target(complete("ROLLBACK") + ready())
    assert _kinds(twins, data) == ["refused"]


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE customers SET name = reader(1) WHERE id = 1",
        "WITH d AS (DELETE FROM customers RETURNING 1) UPDATE orders SET id = 1",
        "UPDATE customers SET name = 'x' WHERE id = 1; SELECT reader(1)",
        "UPDATE nowhere SET name = 'x'",
        "MERGE INTO orders USING customers ON false WHEN MATCHED THEN DELETE",
        "/* reason: because */ DELETE FROM customers WHERE id = 1",
    ],
)
def test_what_concerns_more_does_not_take_it(text: str) -> None:
    twins = began(Twins(MASKED))
    for _ in range(3):
        twins.client(query(text))
        assert not twins.flying
        twins.target(error("42P01") + ready("E"))
        twins.client(query("ROLLBACK"))
        twins.target(complete("ROLLBACK") + ready())
        began(twins)


def test_what_copies_a_protected_column_does_not_take_it() -> None:
    """The session has to remember where it went."""
    twins = began(Twins(MASKED))
    twins.client(query("INSERT INTO orders SELECT card_number FROM customers"))
    assert not twins.flying
    twins.target(complete("INSERT 0 1") + ready("T"))
    alike(twins)
    assert twins.one.session.talk.grounds.copied


def test_a_write_that_is_held_never_takes_it() -> None:
    twins = began(Twins(POLICY))
    twins.client(UPDATE)
    assert twins.one.is_held
    assert twins.two.is_held


def test_constants_read_under_other_settings_are_asked_about() -> None:
    """The target read the prepared text's constants before; under settings of now they would be others."""
    twins = began(with_update())
    twins.known(prepared("s", b"1"), BOUND + IN_BLOCK)
    twins.client(query("SET DateStyle = 'German'"))
    twins.target(complete("SET") + ready("T"))
    twins.client(prepared("s", b"1"))
    assert twins.one.is_held
    assert twins.two.is_held


@pytest.mark.parametrize("status", ["T", "E"])
def test_an_error_is_met_on_the_ordinary_way(status: str) -> None:
    twins = began(Twins(WRITES))
    twins.known(UPDATE, IN_BLOCK)
    twins.client(UPDATE)
    assert twins.flying
    twins.target(error("23505") + ready(status))
    alike(twins)


@pytest.mark.parametrize("block", [True, False])
def test_another_status_behind_it_is_met_on_the_ordinary_way(*, block: bool) -> None:
    twins = Twins(WRITES)
    done(twins, UPDATE, DONE)
    if block:
        began(twins).known(UPDATE, IN_BLOCK)
    twins.client(UPDATE)
    assert twins.flying
    twins.target((OPENED if not block else b"") + complete("UPDATE 1") + ready("I" if block else "T"))
    alike(twins)
    assert twins.one.session.talk.status == ("I" if block else "T")


# --- through the gate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_write_outside_a_block_goes_through_the_gate(form: str) -> None:
    data, head = FORMS[form]
    twins = with_update()
    done(twins, data, head + DONE)
    effects = twins.one.session.handle(ev.FromClient(data), NOW)
    assert twins.one.session.short.flight is not None
    assert effects[1] == ev.ToTarget(OPEN + data + CLOSE)


@pytest.mark.parametrize("chunks", [(OPENED + DONE + CLOSED,), (OPENED, DONE + CLOSED), (OPENED + DONE, CLOSED)])
def test_its_answer_takes_it_too(chunks: tuple[bytes, ...]) -> None:
    """However the server sends it, as long as it is cut behind a ReadyForQuery."""
    twins = Twins(WRITES)
    done(twins, UPDATE, DONE)
    for _ in range(3):  # behind an answer of CLOSE that may be owed
        twins.client(UPDATE)
        effects = [each for chunk in chunks for each in twins.one.session.handle(ev.FromTarget(chunk), NOW)]
        assert [type(each) for each in effects] == [ev.RecordAlike, ev.ToClient]
        for chunk in chunks:
            twins.two.session.handle(ev.FromTarget(chunk), NOW)
        alike(twins)


@pytest.mark.parametrize("behind", [(CLOSED, DONE), (CLOSED + DONE,)])
def test_so_does_the_next_while_the_gate_is_still_to_be_closed(behind: tuple[bytes, ...]) -> None:
    twins = Twins(WRITES)
    twins.known(READ, ANSWER)
    done(twins, UPDATE, DONE)
    twins.client(UPDATE)
    twins.target(OPENED)
    twins.target(DONE)
    twins.client(READ)
    assert twins.flying
    chunks = (*behind[:-1], behind[-1].replace(DONE, ANSWER))
    effects = [each for chunk in chunks for each in twins.one.session.handle(ev.FromTarget(chunk), NOW)]
    assert [type(each) for each in effects] == [ev.RecordAlike, ev.ToClient]


@pytest.mark.parametrize("form", FORMS)
def test_its_answer_may_be_cut_anywhere(form: str) -> None:
    data, head = FORMS[form]
    answer = OPENED + head + DONE + CLOSED
    for cut in range(len(answer) + 1):
        twins = with_update()
        done(twins, data, head + DONE)
        twins.client(data)
        assert twins.flying
        for chunk in filter(None, (answer[:cut], answer[cut:])):
            twins.target(chunk)
        alike(twins)
        assert not twins.one.session.short.waits
        done(twins, data, head + DONE)


def test_the_client_has_its_answer_before_the_gate_is_known_to_be_closed() -> None:
    twins = Twins(WRITES)
    done(twins, UPDATE, DONE)
    twins.client(UPDATE)
    twins.target(OPENED)
    assert twins.flying
    record, said = twins.one.session.handle(ev.FromTarget(DONE), NOW)
    assert said == ev.ToClient(DONE)
    assert isinstance(record, ev.RecordAlike)
    assert record.pattern.kind == "finished"
    assert twins.one.session.short.owed


NEXT: dict[str, tuple[bytes, bytes]] = {
    "a read": (READ, ANSWER),
    "a write": (UPDATE, OPENED + DONE + CLOSED),
    "a block": (BEGIN, BEGUN),
    "another text": (query("SELECT 7"), columns("?column?", first=0) + row(b"7") + complete("SELECT 1") + ready()),
    "a setting": (query("SET work_mem = '1MB'"), complete("SET") + ready()),
    "names": (once(TEXT, b"1"), OPENED + PARSED + BOUND + NO_DATA + DONE + CLOSED),
    "Parse": (parse("t", "SELECT 1") + SYNC, PARSED + ready()),
    "an error": (READ, error("42P01") + ready()),
    "an error through the gate": (UPDATE, OPENED + error("23505") + ready() + CLOSED),
}


@pytest.mark.parametrize("what", NEXT)
def test_the_next_may_come_while_the_gate_is_still_to_be_closed(what: str) -> None:
    """Wherever what the target then says is cut."""
    data, answer = NEXT[what]
    behind = CLOSED + answer
    for cut in range(len(behind) + 1):
        twins = Twins(WRITES)
        for text, said in (
            (READ, (ANSWER,)),
            (UPDATE, (OPENED, DONE, CLOSED)),
            (BEGIN, (BEGUN,)),
            (COMMIT, (COMMITTED,)),
        ):
            for _ in range(2):
                twins.client(text)
                for chunk in said:
                    twins.target(chunk)
        twins.client(UPDATE)
        twins.target(OPENED)
        twins.target(DONE)
        assert twins.one.session.short.owed
        twins.client(data)
        for chunk in filter(None, (behind[:cut], behind[cut:])):
            twins.target(chunk)
        alike(twins)
        assert not twins.one.session.short.waits


EVENTS: dict[str, ev.Event] = {
    "a cancel": ev.CancelRequested(),
    "the clock": ev.Tick(),
    "the client goes": ev.ClientGone(),
    "the target goes": ev.TargetGone(),
    "the end": ev.Ended(ev.Why.DRAINING),
    "the token": ev.Ended(ev.Why.TOKEN_EXPIRED),
}


@pytest.mark.parametrize("what", EVENTS)
@pytest.mark.parametrize("at", range(4))
def test_any_other_event_is_met_on_the_ordinary_way(what: str, at: int) -> None:
    """At each moment of a write: sent, the gate opened, answered, over."""
    twins = Twins(WRITES)
    done(twins, UPDATE, DONE)
    twins.client(UPDATE)
    for chunk in (OPENED, DONE, CLOSED)[:at]:
        twins.target(chunk)
    twins.give(EVENTS[what])
    alike(twins)
    if twins.one.session.talk.phase.value != "closed":
        for chunk in (OPENED, DONE, CLOSED)[at:]:
            twins.target(chunk)
        alike(twins)


def test_who_wishes_to_read_only_opens_no_gate() -> None:
    twins = Twins(WRITES)
    done(twins, UPDATE, DONE)
    twins.client(query("SET default_transaction_read_only = on"))
    wish = message(b"S", b"hoop.default_transaction_read_only\0on\0")
    twins.target(wish + complete("SET") + ready())
    twins.client(UPDATE)
    assert not twins.flying
    twins.target(error("25006") + ready())
    alike(twins)


def test_a_gate_that_does_not_close_keeps_everything_waiting() -> None:
    """CLOSE was hit by a cancel: it is sent again before anything else goes."""
    twins = Twins(WRITES)
    done(twins, UPDATE, DONE)
    twins.client(UPDATE)
    twins.target(OPENED)
    twins.target(DONE)
    twins.target(error("57014") + ready())
    alike(twins)
    assert twins.one.session.talk.gate.unsure
    twins.client(READ)
    assert not twins.flying


def test_a_cancel_between_two_does_not_lose_the_answer() -> None:
    """What had come of the gate's answers when something else happened is read too."""
    twins = Twins(WRITES)
    done(twins, UPDATE, DONE)
    twins.client(UPDATE)
    twins.target(OPENED)
    twins.give(ev.CancelRequested())
    twins.target(error("57014") + ready())
    twins.target(CLOSED)
    alike(twins)
    twins.client(READ)
    twins.target(ANSWER)
    alike(twins)


def test_a_target_that_reports_nothing_is_answered_too() -> None:
    """PostgreSQL 13 does not report the setting."""
    opened, closed = Gate(_reported=False).answers
    assert b"default_transaction_read_only" not in opened + closed
    twins = Twins(WRITES)
    for _ in range(3):
        twins.client(UPDATE)
        for chunk in (opened, DONE, closed):
            twins.target(chunk)
        alike(twins)


# --- blocks by Bind and Execute ---------------------------------------------------------------------------------------


def edge(tag: str, status: str) -> bytes:
    return complete(tag) + ready(status)


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_a_prepared_block_takes_it(*, described: bool, known: bool) -> None:
    """JDBC describes neither the statement nor the portal."""
    twins = Twins(WRITES)
    for name, text in (("b", "BEGIN"), ("c", "COMMIT")):
        twins.client(parse(name, text) + (describe("S", name) if known else b"") + SYNC)
        twins.target(PARSED + ((message(b"t", b"\0\0") + NO_DATA) if known else b"") + ready())
    head = BOUND + (NO_DATA if described else b"")
    taken = []
    for _ in range(3):
        twins.client(prepared("b", described=described))
        taken.append(twins.flying)
        twins.target(head + edge("BEGIN", "T"))
        alike(twins)
        twins.client(READ)
        twins.target(DESCRIBED + row(b"Ann") + complete("SELECT 1") + ready("T"))
        alike(twins)
        twins.client(prepared("c", described=described))
        taken.append(twins.flying)
        twins.target(head + edge("COMMIT", "I"))
        alike(twins)
    assert taken == [True] * 6


def test_a_block_that_is_parsed_each_time_takes_it() -> None:
    twins = Twins(WRITES)
    head = PARSED + BOUND + NO_DATA
    for _ in range(3):
        twins.client(once("BEGIN"))
        assert twins.flying
        assert twins.one.session.short.last.sent == once("BEGIN").replace(
            parse("", "BEGIN"), parse("", "BEGIN READ WRITE")
        )
        twins.target(head + edge("BEGIN", "T"))
        alike(twins)
        twins.client(once("ROLLBACK"))
        assert twins.flying
        twins.target(head + edge("ROLLBACK", "I"))
        alike(twins)


def test_a_block_that_is_parsed_and_not_described_takes_it() -> None:
    twins = Twins(WRITES)
    for _ in range(3):
        for text, status in (("BEGIN", "T"), ("COMMIT", "I")):
            twins.client(parse("", text) + bind("", "") + execute("") + SYNC)
            assert twins.flying
            twins.target(PARSED + BOUND + edge(text, status))
            alike(twins)


@pytest.mark.parametrize("said", [b"", NO_DATA + NO_DATA, columns("x", first=0)])
def test_another_answer_to_it_is_met_on_the_ordinary_way(said: bytes) -> None:
    twins = Twins(WRITES)
    twins.client(once("BEGIN"))
    assert twins.flying
    one, two = (
        each.session.handle(ev.FromTarget(PARSED + BOUND + said + edge("BEGIN", "T")), NOW)
        for each in (twins.one, twins.two)
    )
    assert [*map(whole, one)] == [*map(whole, two)]


@pytest.mark.parametrize("data", [once("BEGIN"), prepared("b")])
def test_a_block_inside_a_block_is_met_on_the_ordinary_way(data: bytes) -> None:
    twins = Twins(WRITES)
    twins.client(parse("b", "BEGIN") + describe("S", "b") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\0") + NO_DATA + ready())
    twins.client(data)
    assert twins.flying
    twins.target((PARSED + BOUND + NO_DATA if data[:1] == b"P" else BOUND) + edge("BEGIN", "T"))
    twins.client(data)
    assert not twins.flying


def test_values_for_a_block_are_met_on_the_ordinary_way() -> None:
    twins = Twins(WRITES)
    twins.client(once("BEGIN", b"1"))
    assert not twins.flying


# --- savepoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["SAVEPOINT", "RELEASE SAVEPOINT", "RELEASE", "savepoint", "Release"])
@pytest.mark.parametrize("name", ["{}_{}", '"{}{}"', '"_{}_{}";', "{}{}_x;"])
def test_a_savepoint_takes_it_whatever_its_name(verb: str, name: str) -> None:
    twins = began(Twins(WRITES))
    tag = complete(verb.partition(" ")[0].upper())
    for number in range(3):
        twins.client(query(f"{verb} {name.format('sa', number)}"))
        assert twins.flying
        twins.target(tag + ready("T"))
        assert not twins.flying
        alike(twins)
        twins.known(UPDATE, IN_BLOCK)
    twins.client(COMMIT)
    twins.target(COMMITTED)
    alike(twins)


@pytest.mark.parametrize(
    "data",
    [once("SAVEPOINT s1"), parse("", "RELEASE s1") + bind("", "") + execute("") + SYNC],
    ids=["described", "not"],
)
def test_so_does_one_that_is_parsed(data: bytes) -> None:
    twins = began(Twins(WRITES))
    described = describe("P", "") in data
    for _ in range(2):
        twins.client(data)
        assert twins.flying
        tag = "SAVEPOINT" if described else "RELEASE"
        twins.target(PARSED + BOUND + (NO_DATA if described else b"") + complete(tag) + ready("T"))
        assert not twins.flying
        alike(twins)


@pytest.mark.parametrize(
    "text",
    [
        "SAVEPOINT current_date",
        "SAVEPOINT select",
        "SAVEPOINT 1a",
        'SAVEPOINT "a',
        "SAVEPOINT a1 b1",
        "SAVEPOINT a1; DELETE FROM customers",
        "ROLLBACK TO a1",
        "/* SAVEPOINT */ RELEASE a1; SAVEPOINT b1",
    ],
)
def test_what_only_looks_like_one_does_not(text: str) -> None:
    twins = began(Twins(WRITES))
    for number in range(3):  # however well the others are known
        twins.known(query(f"SAVEPOINT a{number}"), complete("SAVEPOINT") + ready("T"))
    twins.client(query(text))
    assert not twins.flying
    alike(twins)


@pytest.mark.parametrize(
    "chunks", [[error("3B001") + ready("E")], [complete("SAVEPOINT") + ready("E")], [complete("SAVEPOINT"), ready("T")]]
)
def test_any_other_answer_to_it_is_met_on_the_ordinary_way(chunks: list[bytes]) -> None:
    twins = began(Twins(WRITES))
    twins.known(query("SAVEPOINT a1"), complete("SAVEPOINT") + ready("T"))
    twins.client(query("SAVEPOINT a2"))
    assert twins.flying
    for chunk in chunks:
        twins.target(chunk)
    assert not twins.flying
    alike(twins)


def test_outside_of_a_block_the_target_says_what_is_wrong() -> None:
    twins = Twins(WRITES)
    for _ in range(2):
        twins.client(query("SAVEPOINT a1"))
        twins.target(error("25P01") + ready())
        alike(twins)


# --- reads that lock, and sequences -----------------------------------------------------------------------------------

LOCKS = "SELECT name FROM customers WHERE id = $1 FOR UPDATE"
LOCKED = DESCRIBED + row(b"Ann") + complete("SELECT 1")


@pytest.mark.parametrize("text", [LOCKS.replace("$1", "1"), "SELECT nextval('orders_id')"])
def test_what_locks_rows_or_takes_a_number_goes_through_the_gate(text: str) -> None:
    twins = Twins(WRITES)
    done(twins, query(text), LOCKED + ready(), times=3)
    twins.client(query(text))
    assert twins.flying
    assert twins.one.session.short.last.sent.startswith(OPEN)
    for chunk in (OPENED, LOCKED + ready(), CLOSED):
        twins.target(chunk)
    alike(twins)


def test_rows_that_are_locked_in_a_block_are_masked_there() -> None:
    twins = began(Twins(MASKED))
    data = once("SELECT card_number FROM customers WHERE id = $1 FOR UPDATE SKIP LOCKED", b"1")
    head = PARSED + BOUND + columns("card_number", first=3)
    twins.known(data, head + complete("SELECT 0") + ready("T"))
    twins.client(data)
    assert twins.flying
    twins.one.to_client()
    twins.target(head + row(b"4111111111111111") + complete("SELECT 1") + ready("T"))
    assert b"4111" not in twins.one.to_client()
    assert not twins.flying
    alike(twins)


@pytest.mark.parametrize("rows", [LOCKED.removeprefix(DESCRIBED), complete("SELECT 0")])
def test_whose_rows_nobody_has_described_takes_the_ordinary_way(rows: bytes) -> None:
    twins = began(Twins(WRITES))
    twins.client(parse("l", LOCKS) + SYNC)
    twins.target(PARSED + ready("T"))
    for _ in range(2):
        twins.client(prepared("l", b"1"))
        assert not twins.flying
        twins.target(BOUND + rows + ready("T"))
        alike(twins)


# --- settings that nothing here goes by ---------------------------------------------------------------------------------

SETS = MASKED.replace("[read, write]", "[read, write, session]").replace("ddl, session,", "ddl,")
SET = complete("SET")


@pytest.mark.parametrize("text", ["SET LOCAL app.tenant = '{}'", "SET statement_timeout = '5s'", "RESET app.tenant"])
def test_a_setting_of_an_application_takes_it_in_a_block(text: str) -> None:
    twins = began(Twins(SETS))
    tag = complete(text.split(maxsplit=1)[0])
    twins.known(query(text.format(1)), tag + ready("T"))
    for tenant in (2, 30):
        twins.client(query(text.format(tenant)))
        assert twins.flying
        twins.target(tag + ready("T"))
        alike(twins)
    twins.client(READ)
    twins.target(ANSWER[:-1] + b"T")
    twins.client(COMMIT)
    twins.target(COMMITTED)
    alike(twins)


def test_a_session_s_setting_goes_through_the_gate_outside_a_block() -> None:
    twins = Twins(SETS)
    data = query("SET app.tenant = '7'")
    done(twins, data, SET + ready(), times=3)
    twins.client(data)
    assert twins.flying
    assert twins.one.session.short.last.sent == OPEN + data + CLOSE


def test_set_config_of_a_bound_value_takes_it() -> None:
    twins = began(Twins(SETS))
    text = "SELECT set_config('app.tenant', $1, true)"
    head, described = PARSED + BOUND, columns("set_config")
    twins.known(once(text, b"1"), head + described + row(b"1") + complete("SELECT 1") + ready("T"))
    for value in (b"2", b"4111111111111111"):
        twins.client(once(text, value))
        assert twins.flying
        twins.target(head + described + row(value) + complete("SELECT 1") + ready("T"))
        alike(twins)


@pytest.mark.parametrize("text", ["SET LOCAL app.tenant = '1'", "SET work_mem = '1MB'"])
def test_what_the_target_says_of_a_setting_besides_takes_the_ordinary_way(text: str) -> None:
    twins = Twins(SETS)
    warned = notice_response("no block")
    for _ in range(3):
        twins.client(query(text))
        for chunk in (OPENED, warned + SET + ready(), CLOSED) if "app" in text else (warned + SET + ready(),):
            twins.target(chunk)
        alike(twins)
