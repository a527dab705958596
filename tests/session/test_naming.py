"""Names that are given and given up on the short way: which messages take it, and that nobody can tell.

tests/fuzz/sessions.py plays them in any order; here are the forms that drivers send, and what chance doesn't meet.
"""

from collections.abc import Sequence

import pytest

from gateway.session import events as ev
from gateway.session.draft import RESERVED
from gateway.session.gate import Gate
from gateway.session.naming import closes, deallocated, name_of
from gateway.session.plain import COLUMNS_KEPT, PlainReads
from gateway.session.replies import OPEN_AT, PER_TURN
from gateway.wire.backend import notice_response
from gateway.wire.frontend import FLUSH, SYNC, bind, close, describe, execute, message, parse, query
from tests.playbook import BOUND, NOW, PARSED, POLICY, columns, complete, error, ready, row
from tests.session.test_shortway import MASKED, Twins, alike, with_block

TEXT = "SELECT name FROM customers WHERE id = $1"
TYPES = message(b"t", b"\0\1\0\0\0\x17")
DESCRIBED = columns("name", first=2)
CLOSED = message(b"3", b"")
NO_DATA = message(b"n", b"")
ROWS = row(b"Ann") + complete("SELECT 1")
USED = bind("", "s1", [b"1"]) + execute("")
GIVEN = parse("s1", TEXT) + describe("S", "s1")
ANSWERED = PARSED + TYPES + DESCRIBED

#: What is said at once, and its whole answer.
Said = tuple[bytes, bytes]
FREED: Said = (close("S", "s1") + SYNC, CLOSED + ready())
FORMS: dict[str, Sequence[Said]] = {
    "tokio-postgres": [(GIVEN + SYNC, ANSWERED + ready()), (USED + SYNC, BOUND + ROWS + ready()), FREED],
    "lib/pq": [
        (parse("", TEXT) + describe("S", "") + SYNC, ANSWERED + ready()),
        (bind("", "", [b"1"]) + execute("") + SYNC, BOUND + ROWS + ready()),
    ],
    "asyncpg": [(GIVEN + FLUSH, ANSWERED + ready()), (USED + SYNC, BOUND + ROWS + ready()), FREED],
    "Postgrex": [
        (GIVEN + FLUSH, ANSWERED + ready()),
        (USED + close("S", "s1") + SYNC, BOUND + ROWS + CLOSED + ready()),
    ],
    "sqlx": [
        (GIVEN + SYNC, ANSWERED + ready()),
        (USED + close("P", "") + SYNC, BOUND + ROWS + CLOSED + ready()),
        (USED + close("P", "") + close("S", "s1") + SYNC, BOUND + ROWS + CLOSED * 2 + ready()),
    ],
    "postgres.js": [
        (
            parse("", TEXT) + describe("S", "") + bind("", "", [b"1"]) + execute("") + SYNC,
            ANSWERED + BOUND + ROWS + ready(),
        )
    ],
    "described twice": [
        (
            parse("", TEXT) + describe("S", "") + bind("", "", [b"1"]) + describe("P", "") + execute("") + SYNC,
            ANSWERED + BOUND + DESCRIBED + ROWS + ready(),
        )
    ],
    "PDO": [
        (parse("s1", TEXT) + SYNC, PARSED + ready()),
        (bind("", "s1", [b"1"]) + describe("P", "") + execute("") + SYNC, BOUND + DESCRIBED + ROWS + ready()),
        (query("DEALLOCATE s1"), complete("DEALLOCATE") + ready()),
    ],
    "asyncpg without its cache": [
        (parse("", TEXT) + describe("S", "") + FLUSH, ANSWERED + ready()),
        (
            parse("", TEXT) + bind("", "", [b"1"], (), (1,)) + execute("") + SYNC,
            PARSED + BOUND + columns("name", first=2, binary=True) + ROWS + ready(),
        ),
    ],
    "nobody described it": [
        (parse("s1", TEXT) + SYNC, PARSED + ready()),
        (
            bind("", "s1", [b"1"], (), (1,)) + execute("") + close("S", "s1") + SYNC,
            BOUND + columns("name", first=2, binary=True) + ROWS + CLOSED + ready(),
        ),
    ],
    "a write, described at once": [
        (
            parse("", "SET statement_timeout = '5s'") + describe("S", "") + bind("", "") + execute("") + SYNC,
            PARSED + message(b"t", b"\0\0") + NO_DATA + BOUND + complete("SET") + ready(),
        )
    ],
}


def lands(twins: Twins, answer: bytes) -> None:
    """The whole answer is taken on the short way by the one, and both show the same."""
    short = twins.one.session.short
    entries = short.answered(answer, NOW)
    assert entries is not None
    shown = short.take_answer()
    other = twins.two.session.handle(ev.FromTarget(answer), NOW)
    assert shown == b"".join(each.data for each in other if isinstance(each, ev.ToClient))
    assert len(entries) == sum(isinstance(each, ev.Record | ev.RecordAlike) for each in other)
    twins.one.session.short.look(idle=True)
    alike(twins)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("status", ["I", "T"])
def test_what_drivers_send_takes_it_to_its_end(name: str, status: str) -> None:
    twins = with_block() if status == "T" else Twins()
    forms = [(data, answer.replace(ready(), ready(status))) for data, answer in FORMS[name]]
    for _ in range(2):  # the first time everything is learnt
        for data, answer in forms:
            twins.client(data)
            twins.target(answer)
    for data, answer in forms:
        twins.client(data)
        assert twins.flying, data
        lands(twins, answer)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("status", ["I", "T"])
def test_an_answer_that_is_another_is_taken_on_the_ordinary_way(name: str, status: str) -> None:
    """An error, a notice, a half, a lie, a cancel: both do the same, and stand alike behind it."""
    forms = [(data, answer.replace(ready(), ready(status))) for data, answer in FORMS[name]]
    for at, (data, answer) in enumerate(forms):
        half = len(answer) // 2
        failed = error("42P05") + ready("E" if status == "T" else "I")
        others: list[list[bytes]] = [
            [failed],
            [PARSED + failed],
            [notice_response("so") + answer],
            [answer[:half], answer[half:]],
            [answer[:-6], answer[-6:]],
            [answer.replace(b"name\0", b"eman\0")],
        ]
        for chunks in others:
            twins = with_block() if status == "T" else Twins()
            for before in [*forms * 2, *forms[:at]]:
                twins.client(before[0])
                twins.target(before[1])
            twins.client(data)
            for chunk in chunks:
                twins.target(chunk)
            assert not twins.flying
            alike(twins)


def test_a_description_that_nobody_has_asked_for_is_not_shown() -> None:
    """It says of what type the rows in binary are, which nothing else does."""
    twins = Twins(MASKED)
    said = parse("", TEXT) + bind("", "", [b"1"], (), (1,)) + execute("") + SYNC
    answer = (
        PARSED
        + BOUND
        + columns("name", first=2, binary=True)
        + row(b"4000001234567899")
        + complete("SELECT 1")
        + ready()
    )
    for _ in range(2):
        twins.client(said)
        twins.target(answer)
    effects = twins.one.session.handle(ev.FromClient(said), NOW)
    assert twins.one.session.short.flight is not None
    sent = b"".join(each.data for each in effects if isinstance(each, ev.ToTarget))
    assert sent == said.replace(execute(""), describe("P", "") + execute(""))
    shown = b"".join(
        each.data for each in twins.one.session.handle(ev.FromTarget(answer), NOW) if isinstance(each, ev.ToClient)
    )
    assert shown.startswith(PARSED + BOUND + b"D")
    assert b"4000001234567899" not in shown


def test_a_flush_shows_no_ready_for_query() -> None:
    twins = Twins()
    for _ in range(2):
        twins.client(GIVEN + FLUSH)
        twins.target(ANSWERED + ready())
        twins.client(close("S", "s1") + SYNC)
        twins.target(CLOSED + ready())
    effects = twins.one.session.handle(ev.FromClient(GIVEN + FLUSH), NOW)
    assert twins.one.session.short.flight is not None
    assert effects == [ev.ToTarget(GIVEN + SYNC)]
    assert twins.one.session.handle(ev.FromTarget(ANSWERED + ready()), NOW) == [ev.ToClient(ANSWERED)]


LONG = "n" * 63


@pytest.mark.parametrize(
    "data",
    [
        *(parse(each, TEXT) + describe("S", each) + SYNC for each in sorted(RESERVED)),
        parse(LONG + "n", TEXT) + SYNC,
        parse("s1", TEXT) + describe("S", "s2") + SYNC,
        parse("s1", TEXT) + describe("P", "s1") + SYNC,
        parse("s1", TEXT) + bind("", "s1", [b"1"]) + execute("") + SYNC,
        GIVEN + bind("", "s2", [b"1"]) + execute("") + SYNC,
        GIVEN + bind("p", "s1", [b"1"]) + execute("p") + SYNC,
        GIVEN + bind("", "s1", [b"1"]) + execute("", 5) + SYNC,
        GIVEN + USED + FLUSH,
        GIVEN + USED + close("S", "s1") + SYNC,
        GIVEN + GIVEN + SYNC,
        GIVEN + SYNC + SYNC,
        GIVEN[:-3] + SYNC,
        parse("s1", "BEGIN") + SYNC,
        parse("s1", "SELECT evil($1)") + SYNC,
        parse("s1", "DELETE FROM customers WHERE id = $1") + SYNC,
        parse("s1", "SELECT 1; SELECT 2") + SYNC,
        parse("s1", "nonsense") + SYNC,
        parse("s1", "DEALLOCATE s2") + SYNC,
        parse("s1", TEXT)[:-2] + b"\0\1" + SYNC,
        close("S", "hoop_gate") + SYNC,
        close("S", LONG + "n") + SYNC,
        close("S", "a") + execute("") + SYNC,
        close("S", "a") + FLUSH,
        close("S", "a")[:-1] + b"x" + SYNC,
        close("S", "a") + SYNC + SYNC,
        message(b"C", b"X\0") + SYNC,
        message(b"C", b"S\xff\0") + SYNC,
        query("DEALLOCATE ALL"),
        query('DEALLOCATE "hoop_gate"'),
        query(f'DEALLOCATE "{LONG}n1"'),
        query("DEALLOCATE /* so */ s1"),
    ],
)
def test_what_is_anything_else_does_not_take_it(data: bytes) -> None:
    twins = Twins()
    for _ in range(2):
        for said, answer in FORMS["PDO"]:
            twins.client(said)
            twins.target(answer)
    twins.client(data)
    assert not twins.flying


def test_a_name_of_63_bytes_is_kept_as_it_is() -> None:
    twins = Twins()
    for _ in range(3):
        twins.client(parse(LONG, TEXT) + SYNC)
        twins.target(PARSED + ready())
        twins.client(close("S", LONG) + SYNC)
        assert twins.flying
        twins.target(CLOSED + ready())
        alike(twins)


def test_a_card_in_a_columns_name_is_not_shown() -> None:
    """Nobody can give a column such a name on purpose and have the gateway pass it on."""
    twins = Twins(MASKED)
    named = PARSED + TYPES + columns("4000001234567899") + ready()
    for _ in range(3):
        twins.client(GIVEN + SYNC)
        said = twins.one.session.handle(ev.FromTarget(named), NOW)
        twins.two.session.handle(ev.FromTarget(named), NOW)
        shown = b"".join(each.data for each in said if isinstance(each, ev.ToClient))
        assert shown
        assert b"4000001234567899" not in shown
        alike(twins)


def test_what_was_parsed_under_another_meaning_is_judged_anew() -> None:
    """The same text and types, and its names mean something else."""
    twins = Twins()
    reads = PlainReads(twins.one.session.talk)
    given = reads.given(parse("", TEXT)[6:])
    assert given is not None
    meant = given.named("s1", twins.one.session.talk.names)
    known = reads.bindable(meant, values=True)
    assert known is not None
    assert reads.bindable(meant, values=True) is known
    other = twins.one.session.talk.reader.read("SELECT evil($1)")
    assert other is not None
    meant.script = other
    assert reads.bindable(meant, values=True) is None


@pytest.mark.parametrize("count", [PER_TURN - 2, PER_TURN - 1, PER_TURN, PER_TURN + 1])
@pytest.mark.parametrize("before", [(b"", b""), (USED, BOUND + ROWS)])
def test_names_are_given_up_by_many_messages(before: Said, count: int) -> None:
    """So many have a turn's end among them on the ordinary way: should they be read once more, the session must not end for it."""
    twins = Twins()
    for said, answer in [*FORMS["tokio-postgres"], *FORMS["tokio-postgres"][:2]]:
        twins.client(said)
        twins.target(answer)
    answer = before[1] + CLOSED * count + ready()
    twins.client(before[0] + close("S", "x") * count + SYNC)
    while twins.two.session.going_on:
        twins.give(ev.GoOn())
    twins.target(answer[:9])
    twins.target(answer[9:])
    alike(twins)


def test_long_messages_are_not_kept() -> None:
    """They would be for the life of the process, each with its names."""
    long = close("S", "x") * 1000 + SYNC
    for found in (closes(long), name_of(b"x" * 64), deallocated(query(f'DEALLOCATE "{"x" * 3000}"'))):
        assert found is None


def test_a_session_keeps_no_long_descriptions() -> None:
    twins = Twins()
    wide = columns(*(f"column_{at}" for at in range(300)), first=2)
    reads = twins.one.session.short._reads
    for _ in range(3):
        twins.client(close("S", "s1") + SYNC)
        twins.target(CLOSED + ready())
        twins.client(GIVEN + SYNC)
        twins.target(PARSED + TYPES + wide + ready())
        alike(twins)
    given = reads.given(parse("", TEXT)[6:])
    assert given is not None
    assert given.latest is None


def test_what_is_kept_of_results_has_an_end() -> None:
    """Hundreds of texts with a thousand columns each, in a session that is idle behind that."""
    twins = Twins()
    reads = twins.one.session.short._reads
    wide = columns(*(f"c{at}" for at in range(1000)), first=2)
    for number in range(COLUMNS_KEPT // 1000 + 3):
        text = f"SELECT name FROM customers WHERE id = {number}"
        said = parse("", text) + bind("", "") + describe("P", "") + execute("") + SYNC
        for _ in range(3):
            twins.client(said)
            twins.target(PARSED + BOUND + wide + complete("SELECT 0") + ready())
        kept = [known.plain.results.values() for _, known in reads._bindables.values()]
        assert sum(len(each.columns) for results in kept for each in results) <= COLUMNS_KEPT
    assert len(reads._bindables) < 5, "it began anew"


def test_a_malformed_row_description_ends_it_as_on_the_ordinary_way() -> None:
    """What looks like a card in it has its names looked at one by one, which fails."""
    twins = Twins(MASKED)
    said, answer = FORMS["postgres.js"][0]
    for _ in range(2):
        twins.client(said)
        twins.target(answer)
    twins.client(said)
    assert twins.flying
    cut = message(b"T", b"\0\1" + b"4000001234567899" + b"x" * 19)  # no name ends in it
    twins.target(answer.replace(DESCRIBED, cut))
    alike(twins)


def test_the_same_text_with_other_types_is_another() -> None:
    twins = Twins()
    for types, oid in [((25,), 25), ((), 23)] * 3:
        answer = PARSED + message(b"t", b"\0\1" + oid.to_bytes(4, "big")) + DESCRIBED + ready()
        twins.client(parse("", TEXT, types) + describe("S", "") + SYNC)
        twins.target(answer)
        twins.client(parse("", TEXT, types) + SYNC)
        twins.target(PARSED + ready())
        assert twins.one.session.talk.names.statements[""].types == types
        alike(twins)


@pytest.mark.parametrize("spare", [-200, 0, 1, 200])
def test_what_is_sent_in_parts_does_not_take_it(spare: int) -> None:
    """Of so much the ordinary way sends the beginning before it has seen the end."""
    twins = Twins()
    answer = FORMS["postgres.js"][0][1]
    given = parse("", TEXT) + describe("S", "")
    rest = OPEN_AT - len(given + bind("", "", [b""]) + execute("") + SYNC)
    for size in (1, 1, rest - spare):
        twins.client(given + bind("", "", [b"1" * size]) + execute("") + SYNC)
        twins.target(answer[:9])
        twins.target(answer[9:])
        alike(twins)


def test_a_name_is_given_up_while_the_gate_is_not_closed_yet() -> None:
    twins = Twins(POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba}", "}"))
    opened, shut = Gate().answers
    write = query("INSERT INTO orders VALUES (1)")
    for _ in range(2):
        twins.client(write)
        twins.target(opened + complete("INSERT 0 1") + ready() + shut)
    twins.client(write)
    assert twins.flying
    twins.target(opened + complete("INSERT 0 1") + ready())
    twins.client(close("S", "s1") + SYNC)
    assert twins.flying
    twins.target(shut)
    lands(twins, CLOSED + ready())


def test_a_block_begins_beside_no_name_that_is_given_up() -> None:
    """Else its answer would pass that says nothing of the name."""
    begins = parse("", "BEGIN") + bind("", "") + execute("") + close("P", "") + SYNC
    twins = Twins()
    for closed in (CLOSED, CLOSED, b""):
        twins.client(begins)
        assert not twins.flying
        twins.target(PARSED + BOUND + complete("BEGIN") + closed + ready("T"))
        twins.client(query("ROLLBACK"))
        twins.target(complete("ROLLBACK") + ready())


def test_names_of_messages() -> None:
    assert name_of(b"s1") == "s1"
    assert name_of(b"\xff") is None
    assert closes(close("S", "a") + close("P", "") + SYNC) == closes(close("S", "a") + close("P", "") + SYNC)
    assert closes(SYNC) == ()
    assert closes(close("S", "a")) is None
    for text, name in (
        ("DEALLOCATE a1", "a1"),
        ("deallocate prepare A1;", "a1"),
        ('DEALLOCATE "A1"', "A1"),
        ('DEALLOCATE "a1"', "a1"),
    ):
        found = deallocated(query(text))
        assert (found and found[0].name) == name
