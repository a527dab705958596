"""The short way of plain reads: what takes it, and that nobody can tell. tests/fuzz/sessions.py plays whole conversations twice."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.session import events as ev
from gateway.session.gate import Gate
from gateway.session.session import Session
from gateway.session.shortway import _texts
from gateway.wire.backend import notice_response
from gateway.wire.frontend import SYNC, bind, describe, execute, formats_read, message, parse, query, read_bind
from tests.fuzz.standing import stands
from tests.playbook import BOUND, NOW, PARSED, POLICY, Playbook, catalog, columns, complete, error, ready, row, whole

READ = query("SELECT name FROM customers WHERE id = 1")
DESCRIBED = columns("name", first=2)
ANSWER = DESCRIBED + row(b"Ann") + complete("SELECT 1") + ready()
MASKED = POLICY + "masking: {columns: [{column: '*.public.customers.card_number', mask: redact}], detect: [card]}\n"


OPENED, CLOSED = Gate().answers


class Twins:
    """Two sessions that are given the same. The second never takes the short way, and remembers no judgement and no entry."""

    def __init__(self, policy: str = POLICY) -> None:
        self.one, self.two = Playbook(policy), Playbook(policy)
        self.two.session.short.shut = self.two.session.draft.forgets = self.two.session.talk.story.forgets = True
        self.give(ev.Tick())

    @property
    def flying(self) -> bool:
        assert self.two.session.short.flight is None
        return self.one.session.short.flight is not None

    def give(self, event: ev.Event) -> None:
        """Both do, say and record the same."""
        now = self.one.now
        assert _summed(self.one.session, event, now) == _summed(self.two.session, event, now)

    def client(self, data: bytes) -> None:
        self.give(ev.FromClient(data))

    def target(self, data: bytes) -> None:
        self.give(ev.FromTarget(data))

    def known(self, data: bytes, answer: bytes) -> None:
        """The first time everything is learnt: behind this the same data takes the short way to its end."""
        for _ in range(2):
            self.client(data)
            self.target(answer)


def _summed(session: Session, event: ev.Event, now: float) -> tuple[bytes, bytes, list[ev.Effect]]:
    effects = session.handle(event, now)
    said = b"".join(each.data for each in effects if isinstance(each, ev.ToClient))
    sent = b"".join(each.data for each in effects if isinstance(each, ev.ToTarget))
    return said, sent, [whole(each) for each in effects if not isinstance(each, ev.ToClient | ev.ToTarget)]


def prepared(name: str = "s", *values: bytes, formats: tuple[int, ...] = (), described: bool = False) -> bytes:
    return bind("", name, values, (), formats) + (describe("P", "") if described else b"") + execute("") + SYNC


def with_statement(policy: str = POLICY, text: str = "SELECT name FROM customers WHERE id = $1") -> Twins:
    twins = Twins(policy)
    twins.client(parse("s", text) + describe("S", "s") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\1\0\0\0\x17") + DESCRIBED + ready())
    return twins


def test_rows_in_another_format_are_looked_at_in_that() -> None:
    """A card in a binary bigint is none to who takes it for a text."""
    twins = Twins(MASKED)
    twins.client(parse("s", "SELECT id FROM customers") + describe("S", "s") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\0") + columns("id", oid=20) + ready())
    twins.known(prepared("s"), BOUND + row(b"1") + complete("SELECT 1") + ready())
    card = (4000001234567899).to_bytes(8, "big")
    answer = ev.FromTarget(BOUND + row(card) + complete("SELECT 1") + ready())
    for _ in range(3):
        twins.client(prepared("s", formats=(1,)))
        said = b"".join(each.data for each in twins.one.session.handle(answer, NOW) if isinstance(each, ev.ToClient))
        twins.two.session.handle(answer, NOW)
        assert said
        assert card not in said
        alike(twins)


# --- what takes it ----------------------------------------------------------------------------------------------------


def test_a_read_takes_it_and_its_answer_too() -> None:
    twins = Twins()
    twins.known(READ, ANSWER)
    twins.client(READ)
    assert twins.flying
    twins.target(ANSWER)
    assert not twins.flying
    assert twins.one.session.talk.number == twins.two.session.talk.number == 3


def test_other_numbers_are_recorded_as_they_are() -> None:
    twins = Twins()
    twins.known(READ, ANSWER)
    effects = twins.one.session.handle(ev.FromClient(query("  SELECT name FROM customers WHERE id = 98765 ;")), NOW)
    assert twins.flying
    record = whole(effects[0])
    assert isinstance(record, ev.Record)
    assert record.fields["sql"] == "SELECT name FROM customers WHERE id = 98765"


def test_a_card_number_in_the_text_is_masked() -> None:
    twins = Twins(MASKED)
    twins.known(READ, ANSWER)
    twins.client(query("SELECT name FROM customers WHERE id = 4111111111111111"))
    twins.target(ANSWER)


def test_a_number_compared_with_a_protected_column_is_masked() -> None:
    twins = Twins(MASKED)
    for number in (12345, 12346, 12347):
        effects = twins.one.session.handle(
            ev.FromClient(query(f"SELECT name FROM customers WHERE card_number = {number}")), NOW
        )
        assert str(number) not in str(whole(effects[0]))
        twins.one.session.handle(ev.FromTarget(ANSWER), NOW)


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("formats", [(), (0,), (1,), (0, 1)])
def test_a_prepared_statement_takes_it(formats: tuple[int, ...], *, described: bool) -> None:
    twins = with_statement()
    data = prepared("s", b"1", formats=formats, described=described)
    answer = BOUND + (DESCRIBED if described else b"") + row(b"Ann") + complete("SELECT 1") + ready()
    twins.known(data, answer)
    twins.client(prepared("s", b"4111111111111111", formats=formats, described=described))
    assert twins.flying
    twins.target(answer)
    assert not twins.flying


@given(
    st.lists(st.sampled_from([0, 0, 1, 7, 0xFFFF]), max_size=3),
    st.lists(st.none() | st.binary(max_size=6), max_size=4),
    st.lists(st.sampled_from([0, 1]), max_size=3),
    st.binary(max_size=3),
    st.integers(-6, 6),
)
@example(codes=[], values=[None], formats=[], tail=b"", cut=-4)
@example(codes=[], values=[], formats=[], tail=b"", cut=-5)
def test_the_quick_reading_of_a_bind_is_the_whole_one(
    codes: list[int], values: list[bytes | None], formats: list[int], tail: bytes, cut: int
) -> None:
    """Of any bytes, also with some missing or too many: what it takes is what read_bind says, and what read_bind refuses it doesn't take."""
    body = bind("", "s", values, codes, formats)[5:]
    body = body[:cut] if cut < 0 else body + b"\0" * (cut // 3)
    data = message(b"B", body)
    found = _texts(data + tail, 8, len(data))
    try:
        said = read_bind(data)
    except ProtocolViolation:
        assert found is None
        return
    if found is not None:
        assert (tuple(found[0]), formats_read(found[2])) == (said.parameters, said.result_formats)
        assert not any(said.parameter_formats)
    else:
        assert None in said.parameters or any(said.parameter_formats)


def test_in_a_block_the_portal_stays() -> None:
    twins = with_statement()
    twins.client(query("BEGIN"))
    twins.target(complete("BEGIN") + ready("T"))
    answer = BOUND + row(b"Ann") + complete("SELECT 1") + ready("T")
    twins.known(prepared("s", b"1"), answer)
    twins.client(prepared("s", b"2"))
    assert twins.flying
    twins.target(answer)
    twins.client(execute("") + SYNC)
    twins.target(complete("SELECT 0") + ready("T"))


def test_a_query_drops_the_unnamed_statement() -> None:
    twins = Twins()
    twins.client(parse("", "SELECT name FROM customers") + SYNC)
    twins.target(PARSED + ready())
    twins.known(READ, ANSWER)
    twins.client(bind("", "") + execute("") + SYNC)
    assert twins.one.session.talk.names.statements == {}


def test_many_rows_take_it() -> None:
    twins = Twins(MASKED)
    answer = DESCRIBED + row(b"Ann") * 500 + complete("SELECT 500") + ready()
    twins.known(READ, answer)
    twins.client(READ)
    twins.target(answer)
    assert not twins.flying


NOT = {
    "a write": query("DELETE FROM customers WHERE id = 1"),
    "two statements, of which one is code": query("SELECT 1; SELECT reader(2)"),
    "code": query("SELECT reader(1)"),
    "a setting": query("SELECT set_config('search_path', 'a', false)"),
    "told settings": query("SELECT current_setting('default_transaction_read_only')"),
    "SHOW of a setting that is told otherwise": query("SHOW transaction_read_only"),
    "FOR UPDATE": query("SELECT name FROM customers FOR UPDATE"),
    "a reason": query("/* reason: look */ SELECT name FROM customers"),
    "COPY": query("COPY customers TO STDOUT"),
    "EXPLAIN ANALYZE": query("EXPLAIN ANALYZE SELECT name FROM customers"),
    "no text": query(""),
    "not UTF-8": message(b"Q", b"SELECT '\xff'\0"),
    "NUL": message(b"Q", b"SELECT 1\0 + 1\0"),
    "no end": message(b"Q", b"SELECT 1"),
    "two messages": READ + READ,
    "half a message": READ[:-3],
    "a limit of rows": bind("", "s", [b"1"]) + execute("", 1) + SYNC,
    "no Sync": bind("", "s", [b"1"]) + execute(""),
    "a portal": bind("p", "s", [b"1"]) + execute("p") + SYNC,
    "another portal": bind("p", "s", [b"1"]) + execute("") + SYNC,
    "nobody's name": prepared("nobody", b"1"),
    "NUL in a value": prepared("s", b"1\0"),
    "bytes left over": message(b"B", b"\0s\0\0\0\0\0\0\0x") + execute("") + SYNC,
}


@pytest.mark.parametrize("what", NOT)
def test_what_does_not_take_it(what: str) -> None:
    twins = with_statement()
    for _ in range(2):
        twins.client(NOT[what])
        assert not twins.flying
        twins.target(error("42601") + ready())


def test_a_rule_by_the_hour_is_asked_each_time() -> None:
    policy = POLICY.replace(
        "{name: reads, effect: allow,", "{name: reads, effect: allow, hours: {tz: UTC, from: '00:00', to: '23:59'},"
    )
    twins = Twins(policy)
    for _ in range(3):
        twins.client(READ)
        assert not twins.flying
        twins.target(ANSWER)


# --- what ends it -----------------------------------------------------------------------------------------------------

ANSWERS = {
    "an error": error("57014") + ready(),
    "25006": error("25006") + ready(),
    "an error behind rows": DESCRIBED + row(b"Ann") + error("22012") + ready(),
    "a notice": notice_response("hello") + ANSWER,
    "another status": DESCRIBED + row(b"Ann") + complete("SELECT 1") + ready("T"),
    "other columns": columns("name", "id") + row(b"Ann", b"1") + complete("SELECT 1") + ready(),
    "a setting": message(b"S", b"TimeZone\0UTC\0") + ANSWER,
    "a secret": DESCRIBED + row(b"4111 1111 1111 1111") + complete("SELECT 1") + ready(),
    "a name that is a secret": columns("4111111111111111") + row(b"x") + complete("SELECT 1") + ready(),
    "nothing described": row(b"Ann") + complete("SELECT 1") + ready(),
    "BindComplete": BOUND + ANSWER,
    "more behind it": ANSWER + notice_response("late"),
    "two answers": ANSWER + ANSWER,
    "no rows": DESCRIBED + complete("SELECT 0") + ready(),
    "no tag": DESCRIBED + row(b"Ann") + ready(),
    "a description alone": DESCRIBED + ready(),
    "an impossible length": DESCRIBED + b"D\0\0\0\1" + ready(),
    "a length beyond": DESCRIBED + b"D\0\0\x7f\x7f" + ready(),
    "copy": message(b"H", b"\0\0\0") + message(b"d", b"x\n") + message(b"c", b"") + complete("COPY 1") + ready(),
}


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("policy", [POLICY, MASKED], ids=["open", "masked"])
def test_any_other_answer_is_read_on_the_ordinary_way(policy: str, what: str) -> None:
    twins = Twins(policy)
    twins.known(READ, ANSWER)
    twins.client(READ)
    assert twins.flying
    twins.target(ANSWERS[what])
    twins.client(READ)
    twins.target(ANSWER)


@pytest.mark.parametrize("at", range(1, len(ANSWER)))
def test_an_answer_in_two_pieces(at: int) -> None:
    twins = Twins()
    twins.known(READ, ANSWER)
    twins.client(READ)
    twins.target(ANSWER[:at])
    twins.target(ANSWER[at:])
    twins.client(READ)
    assert twins.flying


EVENTS: dict[str, Callable[[], ev.Event]] = {
    "another message": lambda: ev.FromClient(READ),
    "half of one": lambda: ev.FromClient(READ[:7]),
    "goodbye": lambda: ev.FromClient(message(b"X", b"")),
    "a write": lambda: ev.FromClient(query("DELETE FROM customers WHERE id = 1")),
    "a cancel": ev.CancelRequested,
    "a policy": lambda: ev.PolicyChanged(Playbook(MASKED).policy),
    "a catalog": lambda: ev.CatalogChanged(catalog()),
    "no catalog": lambda: ev.CatalogChanged(None),
    "a tick": ev.Tick,
    "the token's end": lambda: ev.Ended(ev.Why.TOKEN_EXPIRED),
    "draining": lambda: ev.Ended(ev.Why.DRAINING),
    "overdue": lambda: ev.Ended(ev.Why.OVERDUE),
    "stopped": lambda: ev.Ended(ev.Why.STOPPED),
    "the client is gone": ev.ClientGone,
    "the target is gone": ev.TargetGone,
}


@pytest.mark.parametrize("what", EVENTS)
def test_any_other_event_is_met_on_the_ordinary_way(what: str) -> None:
    twins = Twins()
    twins.known(READ, ANSWER)
    twins.client(READ)
    assert twins.flying
    twins.give(EVENTS[what]())
    assert not twins.flying
    twins.target(ANSWER)
    twins.client(SYNC)
    twins.target(ready())


# --- what makes it forget ---------------------------------------------------------------------------------------------


def test_a_policy_that_denies_counts_at_once() -> None:
    twins = Twins()
    twins.known(READ, ANSWER)
    twins.give(
        ev.PolicyChanged(
            Playbook(POLICY.replace("effect: allow, statements: [read]", "effect: deny, statements: [read]")).policy
        )
    )
    twins.client(READ)
    assert not twins.flying


def test_a_mask_that_comes_counts_at_once() -> None:
    twins = with_statement()
    answer = BOUND + row(b"4111 1111 1111 1111") + complete("SELECT 1") + ready()
    twins.known(prepared("s", b"1"), answer)
    twins.give(ev.PolicyChanged(Playbook(MASKED).policy))
    twins.client(prepared("s", b"1"))
    said, _, _ = _summed(twins.one.session, ev.FromTarget(answer), NOW)
    assert b"4111" not in said


CARDS = columns("name", "card_number", first=2)
CARD_ROWS = row(b"4000 0012 3456 7899", b"4111111111111111") + row(None, b"1") + row(b"Ann", None)


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        (CARD_ROWS, ["masked", "finished"]),
        (row(b"Ann", b"1") * 3, ["masked", "finished"]),
        (row(b"4111 1111 1111 1111", None), ["masked", "finished"]),
        (row(b"Ann", None), ["finished"]),
        (b"", ["finished"]),
    ],
)
def test_rows_are_masked_on_it_and_recorded_so(rows: bytes, kinds: list[str]) -> None:
    twins = Twins(MASKED)
    data = query("SELECT name, card_number FROM customers WHERE id = 1")
    answer = CARDS + rows + complete("SELECT 3") + ready()
    twins.known(data, answer)
    for _ in range(3):
        twins.client(data)
        assert twins.flying
        effects = twins.one.session.handle(ev.FromTarget(answer), NOW)
        assert [each.pattern.kind for each in effects if isinstance(each, ev.RecordAlike)] == kinds
        twins.one.session.handle(ev.FromClient(data), NOW)  # and as the twin says it
        twins.two.session.handle(ev.FromTarget(answer), NOW)
        twins.two.session.handle(ev.FromClient(data), NOW)
        twins.target(answer)


def test_what_may_put_a_protected_value_into_a_setting_does_not_take_it() -> None:
    twins = Twins(MASKED.replace("[read]", "[read, session]").replace("ddl, session,", "ddl,"))
    for table, takes in (("orders", True), ("customers", False)):
        data = query(f"SELECT set_config('app.x', 'y', false), id FROM {table}")
        answer = columns("set_config", "id") + complete("SELECT 0") + ready()
        for _ in range(3):
            twins.client(data)
            flying = twins.flying
            for chunk in (OPENED, answer, CLOSED):
                twins.target(chunk)
        assert flying is takes
        alike(twins)
    assert twins.one.session.talk.grounds.doubts_settings


def test_prepared_rows_are_masked_on_it_by_their_format() -> None:
    twins = Twins(MASKED)
    twins.client(parse("s", "SELECT name, card_number FROM customers WHERE id = $1") + describe("S", "s") + SYNC)
    twins.target(PARSED + message(b"t", b"\0\1\0\0\0\x17") + CARDS + ready())
    for formats in ((), (1,), (0, 1), ()):
        answer = BOUND + CARD_ROWS + complete("SELECT 3") + ready()
        twins.known(prepared("s", b"1", formats=formats), answer)
        twins.client(prepared("s", b"1", formats=formats))
        assert twins.flying
        twins.target(answer)


def test_what_was_masked_in_an_answer_that_breaks_off_counts_for_no_other() -> None:
    twins = Twins(MASKED)
    data = query("SELECT name, card_number FROM customers WHERE id = 1")
    answer = CARDS + CARD_ROWS + complete("SELECT 3") + ready()
    twins.known(data, answer)
    for broken in (CARDS + CARD_ROWS + error("22012") + ready(), CARDS + CARD_ROWS + row(b"1") + ready()):
        twins.client(data)
        assert twins.flying
        try:
            twins.target(broken)
        except ProtocolViolation:
            return
        twins.known(data, answer)


def test_no_number_of_result_formats_hides_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands behind the last value, and looks like letters where it is absurd: the target refuses that, but it is recorded first."""
    twins = with_statement(MASKED)
    monkeypatch.setattr(twins.one.session.talk.grounds.own, "glances_unquoted", True)
    twins.known(prepared("s", b"1"), BOUND + row(b"Ann") + complete("SELECT 1") + ready())
    twins.client(prepared("s", b"4111111111111111", formats=(0,) * 0x6161))
    twins.target(error("08P01") + ready())


@pytest.mark.parametrize("value", [b"*", b"x"])
def test_a_value_that_looks_like_its_mask_is_recorded_as_masked(value: bytes) -> None:
    """The mask of a "char" is a star; the one row that holds it already goes on as it is."""
    twins = Twins(MASKED)
    data = query("SELECT card_number FROM customers WHERE id = 1")
    answer = columns("card_number", first=3, oid=18) + row(value) + complete("SELECT 1") + ready()
    twins.known(data, answer)
    for _ in range(3):
        twins.client(data)
        assert twins.flying
        effects = twins.one.session.handle(ev.FromTarget(answer), NOW)
        said = [str(whole(each)) for each in effects if isinstance(each, ev.RecordAlike)]
        assert ["'count': 1" in each for each in said] == [True, True]
        twins.one.session.handle(ev.FromClient(data), NOW)
        twins.two.session.handle(ev.FromTarget(answer), NOW)
        twins.two.session.handle(ev.FromClient(data), NOW)
        twins.target(answer)


def test_a_name_with_another_meaning_counts_at_once() -> None:
    twins = with_statement()
    twins.known(prepared("s", b"1"), BOUND + row(b"Ann") + complete("SELECT 1") + ready())
    twins.client(message(b"C", b"Ss\0") + parse("s", "DELETE FROM customers WHERE id = $1") + SYNC)
    twins.target(message(b"3", b"") + PARSED + ready())
    twins.client(prepared("s", b"1"))
    assert not twins.flying


def test_a_name_of_another_read_is_recorded_as_that() -> None:
    twins = with_statement()
    answer = BOUND + row(b"Ann") + complete("SELECT 1") + ready()
    twins.known(prepared("s", b"1"), answer)
    twins.client(
        message(b"C", b"Ss\0") + parse("s", "SELECT name FROM customers WHERE id > $1") + describe("S", "s") + SYNC
    )
    twins.target(message(b"3", b"") + PARSED + message(b"t", b"\0\1\0\0\0\x17") + DESCRIBED + ready())
    for _ in range(3):
        twins.client(prepared("s", b"1"))
        twins.target(answer)


@pytest.mark.parametrize("described", [True, False])
def test_a_result_without_rows_has_shown_nothing(*, described: bool) -> None:
    """Of an Execute the record says why nobody looked at its result only where there was a row to look at."""
    twins = with_statement()
    data = prepared("s", b"1", described=described)
    head = BOUND + (DESCRIBED if described else b"")
    twins.known(data, head + row(b"Ann") + complete("SELECT 1") + ready())
    twins.known(data, head + complete("SELECT 0") + ready())
    alike(twins)


def test_types_that_come_to_light_count_at_once() -> None:
    """A Describe tells that a parameter is of a type that runs user code, behind Binds that didn't know it."""
    twins = Twins()
    twins.give(ev.CatalogChanged(replace(catalog(), user_type_oids=frozenset({99999}))))
    answer = BOUND + row(b"Ann") + complete("SELECT 1") + ready()
    twins.client(
        parse("s", "SELECT name FROM customers WHERE id = $1")
        + bind("", "s", [b"1"])
        + describe("P", "")
        + execute("")
        + SYNC
    )
    twins.target(PARSED + BOUND + DESCRIBED + row(b"Ann") + complete("SELECT 1") + ready())
    twins.known(prepared("s", b"1"), answer)
    twins.client(describe("S", "s") + SYNC)
    twins.target(message(b"t", b"\0\1" + (99999).to_bytes(4, "big")) + DESCRIBED + ready())
    twins.client(prepared("s", b"1"))
    assert twins.one.is_held
    assert twins.two.is_held


def test_a_description_of_the_portal_is_one_of_its_statement() -> None:
    """The table may be another one by now, and what is executed next without a description may need a mask."""
    twins = with_statement(MASKED)
    once = row(b"Ann") + complete("SELECT 1") + ready()
    another = BOUND + columns("name", first=3) + row(None) + complete("SELECT 1") + ready()
    for answer in (another, another, BOUND + DESCRIBED + once, BOUND + DESCRIBED + once, another):
        twins.client(prepared("s", b"1", described=True))
        twins.target(answer)
    assert stands(twins.one.session) == stands(twins.two.session)
    for _ in range(3):
        twins.client(prepared("s", b"1"))
        twins.target(BOUND + once)
        assert b"Ann" not in twins.one.to_client()


def test_a_secret_in_a_column_name_never_takes_it() -> None:
    twins = Twins(MASKED)
    answer = columns("4111111111111111", first=2) + row(b"x") + complete("SELECT 1") + ready()
    for _ in range(3):
        twins.client(READ)
        twins.target(answer)


def test_an_expired_token_ends_it() -> None:
    twins = Twins()
    twins.known(READ, ANSWER)
    twins.one.now = NOW + 3600
    twins.client(READ)
    assert not twins.flying
    assert twins.one.session.talk.phase.value == "closed"


def test_protected_values_may_be_quoted_at_commit() -> None:
    """A deferred trigger speaks of what was reached in the transaction, whichever way that took."""
    twins = Twins(MASKED)
    twins.known(READ, ANSWER)
    twins.client(query("BEGIN"))
    twins.target(complete("BEGIN") + ready("T"))
    twins.client(READ)
    assert twins.flying
    twins.target(ANSWER[:-1] + b"T")
    assert not twins.flying
    twins.client(query("COMMIT"))
    twins.target(error("P0001", "Ann") + ready())
    assert twins.one.session.stream.answers.reached is twins.two.session.stream.answers.reached is False


# --- BEGIN and COMMIT -------------------------------------------------------------------------------------------------

BEGIN, COMMIT, ROLLBACK = (query(each) for each in ("BEGIN", "COMMIT", "ROLLBACK"))
BEGUN, COMMITTED, ROLLED_BACK = (
    complete(tag) + ready(status) for tag, status in (("BEGIN", "T"), ("COMMIT", "I"), ("ROLLBACK", "I"))
)
IN_BLOCK = DESCRIBED + row(b"Ann") + complete("SELECT 1") + ready("T")


def alike(twins: Twins) -> None:
    """Both stand where the next message finds the same."""
    assert stands(twins.one.session) == stands(twins.two.session)


def with_block(policy: str = POLICY) -> Twins:
    """In a block that took the short way, as its end would."""
    twins = Twins(policy)
    for _ in range(2):
        twins.client(BEGIN)
        twins.target(BEGUN)
        twins.client(COMMIT)
        twins.target(COMMITTED)
    twins.client(BEGIN)
    assert twins.flying
    twins.target(BEGUN)
    return twins


def in_block(text: str, *answer: bytes) -> Twins:
    """The same, and this ran in it."""
    twins = with_block()
    twins.client(query(text))
    twins.target(b"".join(answer) + ready("T"))
    return twins


@pytest.mark.parametrize(
    ("end", "answer"), [(COMMIT, COMMITTED), (ROLLBACK, ROLLED_BACK), (query(" end; "), COMMITTED)]
)
def test_a_block_of_reads_takes_it_from_end_to_end(end: bytes, answer: bytes) -> None:
    twins = with_block()
    for _ in range(3):
        for read in range(3):
            twins.client(READ)
            assert twins.flying or not read
            twins.target(IN_BLOCK)
        twins.client(end)
        taken = twins.flying
        twins.target(answer)
        alike(twins)
        assert twins.one.session.talk.status == "I"
        twins.client(BEGIN)
        twins.target(BEGUN)
    assert taken


def test_the_target_is_asked_for_a_block_that_may_write() -> None:
    twins = with_block()
    twins.client(COMMIT)
    twins.target(COMMITTED)
    effects = twins.one.session.handle(ev.FromClient(BEGIN), NOW)
    assert twins.flying
    assert effects[1] == ev.ToTarget(query("BEGIN READ WRITE"))
    record = whole(effects[0])
    assert isinstance(record, ev.Record)
    assert (record.fields["sql"], record.fields["tag"]) == ("BEGIN", "BEGIN")


@pytest.mark.parametrize(
    "text",
    ["COMMIT AND CHAIN", "BEGIN; SELECT 1", "ROLLBACK TO s1"],
)
def test_what_says_more_does_not_take_it(text: str) -> None:
    twins = with_block() if text.startswith(("COMMIT", "ROLLBACK")) else Twins()
    for _ in range(3):
        twins.client(query(text))
        assert not twins.flying
        twins.target(complete(text.partition(";")[0]) + ready("T"))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("BEGIN TRANSACTION READ ONLY", "BEGIN TRANSACTION READ ONLY"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN READ WRITE, ISOLATION LEVEL SERIALIZABLE"),
        ("START TRANSACTION READ WRITE", "START TRANSACTION READ WRITE"),
    ],
)
def test_a_block_that_says_how_it_is_to_be_takes_it(text: str, sent: str) -> None:
    twins = Twins()
    tag = "BEGIN" if text.startswith("BEGIN") else "START TRANSACTION"
    for _ in range(3):
        twins.client(query(text))
        taken = twins.flying
        assert twins.one.session.short.last.sent == query(sent) or not taken
        twins.target(complete(tag) + ready("T"))
        alike(twins)
        twins.client(query("ROLLBACK"))
        twins.target(ROLLED_BACK)
        alike(twins)
    assert taken


def test_an_edge_that_is_not_due_does_not_take_it() -> None:
    twins = with_block()
    twins.client(BEGIN)
    assert not twins.flying
    twins.target(message(b"N", b"SWARNING\0C25001\0Mthere is already a transaction in progress\0\0") + BEGUN)
    twins.client(COMMIT)
    twins.target(COMMITTED)
    twins.client(COMMIT)
    assert not twins.flying
    twins.target(message(b"N", b"SWARNING\0C25P01\0Mthere is no transaction in progress\0\0") + COMMITTED)
    alike(twins)


@pytest.mark.parametrize(
    "text", ["SET search_path = other", "SET DateStyle = 'German'", "SET standard_conforming_strings = off"]
)
def test_what_falls_back_with_a_block_ends_it_the_ordinary_way(text: str) -> None:
    twins = in_block(text, complete("SET"))
    if "search_path" in text:
        twins.target(columns("search_path") + row(b"other") + complete("SHOW") + ready("T"))
    assert twins.one.session.short.open or "strings" in text  # that one is refused
    twins.client(ROLLBACK)
    assert not twins.flying
    twins.target(ROLLED_BACK)
    alike(twins)


def test_a_wish_that_falls_back_is_told() -> None:
    twins = Twins()
    for text, tag, status in (
        ("SET default_transaction_read_only = on", "SET", "I"),
        ("BEGIN", "BEGIN", "T"),
        ("SET default_transaction_read_only = off", "SET", "T"),
    ):
        twins.client(query(text))
        twins.target(complete(tag) + ready(status))
    twins.client(ROLLBACK)
    assert not twins.flying
    twins.target(ROLLED_BACK)
    alike(twins)
    assert twins.one.session.talk.gate.wish


def test_a_commit_that_fails_is_told_and_recorded() -> None:
    twins = with_block()
    twins.client(COMMIT)
    assert twins.flying
    twins.target(error("23503", "violates foreign key constraint") + ready())
    alike(twins)
    twins.client(BEGIN)
    assert twins.flying


def test_what_a_block_leaves_is_forgotten_with_it() -> None:
    """A portal of the block, the unnamed statement, and what an error could quote of what was read."""
    twins = with_block(MASKED)
    protected = query("SELECT card_number FROM customers WHERE id = 1")
    shown = columns("card_number", first=3)
    twins.client(protected)
    twins.target(shown + row(b"redacted") + complete("SELECT 1") + ready("T"))
    twins.client(parse("", "SELECT name FROM customers") + bind("c", "") + execute("c", 1) + SYNC)
    twins.target(PARSED + BOUND + row(b"Ann") + message(b"s", b"") + ready("T"))
    assert twins.one.session.talk.names.portals.keys() == {"c"}
    assert twins.one.session.stream.answers.reached
    twins.client(COMMIT)
    assert twins.flying
    twins.target(COMMITTED)
    alike(twins)
    assert not twins.one.session.talk.names.portals
    twins.client(parse("", "SELECT name FROM customers") + SYNC)
    twins.target(PARSED + ready())
    twins.client(BEGIN)
    assert twins.flying
    twins.target(BEGUN)
    alike(twins)
    assert not twins.one.session.talk.names.statements


def test_a_commit_that_the_target_makes_a_rollback_is_read_the_ordinary_way() -> None:
    twins = with_block()
    twins.client(COMMIT)
    twins.target(complete("ROLLBACK") + ready("I"))
    twins.client(BEGIN)
    twins.target(complete("BEGIN") + ready("E"))
    alike(twins)


# --- Parse, Bind, Describe, Execute and Sync in one breath ----------------------------------------------------------------


def once(
    text: str = "SELECT name FROM customers WHERE id = $1", *values: bytes, name: str = "", bound: str = ""
) -> bytes:
    return parse(name, text) + bind("", bound, values or (b"1",)) + describe("P", "") + execute("") + SYNC


ONCE = PARSED + BOUND + DESCRIBED + row(b"Ann") + complete("SELECT 1")


@pytest.mark.parametrize("status", ["I", "T"])
def test_a_statement_of_one_breath_takes_it(status: str) -> None:
    twins = with_block() if status == "T" else Twins()
    twins.known(once(), ONCE + ready(status))
    twins.client(once("SELECT name FROM customers WHERE id = $1", b"2"))
    assert twins.flying
    twins.target(ONCE + ready(status))
    assert not twins.flying
    alike(twins)
    left = twins.one.session.talk.names
    assert left.statements[""].sql == "SELECT name FROM customers WHERE id = $1"
    assert left.portals.keys() == ({""} if status == "T" else set())
    twins.client(bind("", "", (b"3",)) + describe("P", "") + execute("") + SYNC)
    twins.target(BOUND + DESCRIBED + row(b"Ann") + complete("SELECT 1") + ready(status))
    alike(twins)


@pytest.mark.parametrize(
    "data",
    [
        once(name="s", bound="s"),
        once(bound="s"),
        once(name="s"),
        parse("", "SELECT 1") + bind("", "") + execute("") + SYNC,
        once()[:-5] + describe("P", "") + SYNC,
        once("DELETE FROM customers WHERE id = $1"),
        once("SELECT evil($1)"),
        parse("", "SELECT 1") + b"B\0\0\0\x7f",
    ],
)
def test_another_breath_does_not_take_it(data: bytes) -> None:
    twins = Twins()
    twins.known(once(), ONCE + ready())
    twins.client(data)
    assert not twins.flying


def test_the_unnamed_statement_is_the_last_that_was_parsed() -> None:
    twins = Twins()
    other = "SELECT id FROM customers"
    twins.known(once(), ONCE + ready())
    twins.known(once(other), ONCE + ready())
    twins.client(once())
    effects = [session.handle(ev.FromTarget(ONCE + ready()), NOW) for session in (twins.one.session, twins.two.session)]
    assert [type(each) for each in effects[0]] == [ev.RecordAlike, ev.ToClient]
    alike(twins)
    assert twins.one.session.talk.names.statements[""].sql != other


def test_what_fails_in_one_breath_is_read_the_ordinary_way() -> None:
    twins = Twins()
    twins.known(once(), ONCE + ready())
    twins.client(once())
    assert twins.flying
    twins.target(error("42P01", "relation does not exist") + ready())
    alike(twins)
    twins.client(once())
    twins.target(PARSED + BOUND + error("22012", "division by zero") + ready())
    alike(twins)
    assert twins.one.session.talk.names.statements[""].columns is None


def test_the_same_text_without_values_has_an_entry_of_its_own() -> None:
    twins = Twins()
    twins.known(once("SELECT name FROM customers"), ONCE + ready())
    twins.client(parse("", "SELECT name FROM customers") + bind("", "") + describe("P", "") + execute("") + SYNC)
    twins.target(ONCE + ready())
    alike(twins)


def test_it_stays_as_masked_as_it_was() -> None:
    twins = Twins(MASKED)
    text = "SELECT card_number FROM customers WHERE card_number = $1"
    shown = columns("card_number", first=3)
    for number in (b"4111111111111111", b"123", b"456"):
        effects = twins.one.session.handle(ev.FromClient(once(text, number)), NOW)
        assert number.decode() not in str(whole(effects[0]))
        answer = PARSED + BOUND + shown + row(number) + complete("SELECT 1") + ready()
        said = b"".join(
            each.data for each in twins.one.session.handle(ev.FromTarget(answer), NOW) if isinstance(each, ev.ToClient)
        )
        assert number not in said
