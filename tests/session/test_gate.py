"""The access mode is the gateway's: writes go through an open gate, and the client sees its own wish (decision 4)."""

import pytest

from gateway.session import events as ev
from gateway.session.gate import CLOSE, GUARD, OPEN, SETTING, UNGUARD, read_bool, rewritten
from gateway.sql.parse import read
from gateway.wire.backend import parameter_status
from gateway.wire.frontend import FLUSH, SYNC, bind, close, describe, execute, message, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, columns, complete, error, ready, row

ALLOWED = POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba", "")
INSERT = "INSERT INTO orders VALUES (1)"


def shown(status: str = "I", policy: str = ALLOWED) -> Playbook:
    play = Playbook(policy, status=status)
    play.gate_shown = True
    return play


def sent(play: Playbook, *messages: bytes) -> bytes:
    play.client(*messages)
    return play.to_target()


READ = "SELECT name FROM customers WHERE id = $1"
ONE = complete("SELECT 1")


@pytest.mark.parametrize("status", ["I", "T"])
@pytest.mark.parametrize(
    ("messages", "answers"),
    [
        ((query("SELECT count(*) FROM customers"),), (columns("count"), row(b"1"), ONE)),
        ((query("SELECT 1; SELECT 2"),), (columns("a"), row(b"1"), ONE, columns("a"), row(b"2"), ONE)),
        (
            (parse("", READ), bind("", "", (b"1",)), describe("P", ""), execute(""), SYNC),
            (PARSED, BOUND, columns("name"), ONE),
        ),
        (
            (parse("", READ), bind("", "", (b"1",)), execute(""), bind("", "", (b"2",)), execute(""), SYNC),
            (PARSED, BOUND, ONE, BOUND, row(b"1"), ONE),
        ),
    ],
)
def test_a_read_costs_no_message(messages: tuple[bytes, ...], answers: tuple[bytes, ...], status: str) -> None:
    """Tier 1: whatever is round it, the target gets the client's own messages and no others, before and behind it too."""
    play = shown(status)
    for _ in range(2):
        assert sent(play, *messages) == b"".join(messages)
        play.target(*answers, ready(status))
        assert play.to_target() == b""


def test_a_prepared_read_costs_no_message() -> None:
    play = shown()
    prepared = parse("s", READ) + describe("S", "s") + SYNC
    assert sent(play, prepared) == prepared
    play.target(PARSED, message(b"t", b"\0\1\0\0\0\x17"), columns("name"), ready())
    assert play.to_target() == b""
    for _ in range(2):
        again = bind("", "s", (b"1",)) + execute("") + SYNC
        assert sent(play, again) == again
        play.target(BOUND, row(b"1"), complete("SELECT 1"), ready())
        assert play.to_target() == b""


def test_a_write_goes_through_the_gate_and_the_client_sees_its_own_answers() -> None:
    play = shown()
    assert sent(play, query(INSERT)) == OPEN + query(INSERT) + CLOSE
    answers = PARSED + BOUND + complete("SET") + parameter_status(SETTING, "off") + ready()
    assert play.target(answers, complete("INSERT 0 1"), ready(), answers) == [
        "record finished",
        "client C[INSERT 0 1] ZI",
    ]
    assert sent(play, query("SELECT 1")) == query("SELECT 1")


def test_an_extended_batch_keeps_the_clients_names() -> None:
    play = shown()
    batch = parse("", INSERT) + bind("", "") + execute("") + SYNC
    assert sent(play, batch) == OPEN + batch + CLOSE
    assert play.session.talk.names.statements == {}, "not confirmed yet"
    play.target(ready(), PARSED, BOUND, complete("INSERT 0 1"), ready(), ready())
    assert sent(play, bind("", ""), execute(""), SYNC) == OPEN + bind("", "") + execute("") + SYNC + CLOSE


@pytest.mark.parametrize(
    ("written", "goes"),
    [
        ("BEGIN", "BEGIN READ WRITE"),
        ("/* BEGIN */ begin work; -- BEGIN", "BEGIN READ WRITE"),
        ("START TRANSACTION ISOLATION LEVEL serializable, DEFERRABLE", "START TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE, DEFERRABLE"),
        ("BEGIN READ ONLY", None),
        ("BEGIN READ WRITE", None),
        ("SET default_transaction_read_only = TRUE", f"SET hoop.{SETTING} = on"),
        ("SET LOCAL default_transaction_read_only = n", f"SET LOCAL hoop.{SETTING} = off"),
        ("SET default_transaction_read_only TO DEFAULT", f"SET hoop.{SETTING} = DEFAULT"),
        ("RESET default_transaction_read_only", f"RESET hoop.{SETTING}"),
        ("SET default_transaction_read_only = banana", None),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", f"SET hoop.{SETTING} = on"),
        ("SET client_encoding TO SQL_ASCII", "SET client_encoding = UTF8"),
        ("SET NAMES 'sql-ascii'", "SET client_encoding = UTF8"),
        ("SET LOCAL client_encoding = sqlascii", "SET LOCAL client_encoding = UTF8"),
        ("SET client_encoding TO LATIN1", None),
        ("SELECT set_config('client_encoding', 'SQL_ASCII', false)", None),
        ("SELECT 1; SET client_encoding TO SQL_ASCII", None),
        ("COMMIT; begin", "COMMIT\n;BEGIN READ WRITE"),
        ("ROLLBACK -- a\n; START TRANSACTION ISOLATION LEVEL serializable;", "ROLLBACK -- a\n;START TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE"),
        ("COMMIT; BEGIN READ ONLY", None),
        ("COMMIT; SELECT 1; BEGIN", None),
        ("PREPARE TRANSACTION 'x'; BEGIN", None),
        ("SELECT 1", None),
    ],
)  # fmt: skip
def test_texts_about_the_access_mode(written: str, goes: str | None) -> None:
    assert rewritten(read(written), wish=False) == goes


def test_a_begin_stays_read_only_for_who_wishes_it() -> None:
    assert rewritten(read("BEGIN"), wish=True) is None


@pytest.mark.parametrize("extended", [False, True])
def test_sql_ascii_becomes_utf8(extended: bool) -> None:
    play, text = shown(), "SET client_encoding TO SQL_ASCII"
    out = sent(play, parse("", text) + bind("", "") + execute("") + SYNC if extended else query(text))
    assert b"SET client_encoding = UTF8" in out
    assert b"ASCII" not in out


@pytest.mark.parametrize(
    "text", ["SELECT set_config('client_encoding', 'SQL_ASCII', false)", "SELECT 1; SET client_encoding TO SQL_ASCII"]
)
def test_sql_ascii_is_refused_where_it_can_not_become_utf8(text: str) -> None:
    assert b"ASCII" not in sent(shown(), query(text))


@pytest.mark.parametrize("extended", [False, True])
def test_inside_a_block_nothing_is_added(extended: bool) -> None:
    play = shown()
    begin = parse("", "BEGIN") + bind("", "") + execute("") + SYNC if extended else query("BEGIN")
    assert b"BEGIN READ WRITE" in sent(play, begin)
    play.target(*([PARSED, BOUND] if extended else []), complete("BEGIN"), ready("T"))
    assert sent(play, query(INSERT)) == query(INSERT)
    play.target(complete("INSERT 0 1"), ready("T"))
    assert sent(play, query("COMMIT")) == query("COMMIT")


def _step(text: str) -> bytes:
    return parse("", text) + bind("", "") + describe("P", "") + execute("")


_BEGUN = parse("b", "BEGIN") + bind("", "b") + execute("")
_READ_PARSED = parse("r", "SELECT 1")


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (b"", _step(INSERT)),
        (b"", _step("SAVEPOINT a") + _step("SELECT 1") + _step(INSERT)),
        (b"", _step("COMMIT") + _BEGUN + _step(INSERT)),
        (parse("c", "COMMIT") + describe("S", "c"), _step(INSERT)),
        (close("S", "r"), _step(INSERT)),
    ],
    ids=lambda each: f"{len(each)} bytes",
)
def test_behind_a_begin_in_its_batch_a_write_needs_no_open_gate(before: bytes, behind: bytes) -> None:
    assert OPEN not in sent(shown(), before + _BEGUN + behind + SYNC)


@pytest.mark.parametrize(
    "before",
    [
        _step("SELECT 1"),
        _step("SET work_mem = '5MB'"),
        _READ_PARSED,
        _READ_PARSED + bind("p", "r"),
        _READ_PARSED + describe("S", "r"),
        parse("", INSERT),
        parse("", READ) + bind("", "", (b"1",)) + execute("", 1),
        describe("S", "unknown"),
        _step("BEGIN") + _step("COMMIT AND CHAIN"),
        _step("BEGIN") + _step("COMMIT") + _step("SELECT 1"),
    ],
    ids=lambda each: f"{len(each)} bytes",
)
def test_behind_one_that_is_not_the_first_of_its_transaction_it_does(before: bytes) -> None:
    """There BEGIN READ WRITE fails where the transaction was begun to read only (25001)."""
    assert sent(shown(), before + _BEGUN + _step(INSERT) + SYNC).startswith(OPEN)


@pytest.mark.parametrize(("text", "opens"), [("BEGIN", True), ("BEGIN READ WRITE", False), ("BEGIN READ ONLY", False)])
def test_behind_one_that_was_parsed_under_a_wish_to_read_only_it_does_too(text: str, *, opens: bool) -> None:
    play = shown()
    for wish, then in (("on", parse("w", text) + describe("S", "w") + SYNC), ("off", b"")):
        sent(play, query(f"SET {SETTING} = {wish}"))
        play.target(complete("SET"), ready())
        if then:
            sent(play, then)
            play.target(PARSED, message(b"t", b"\0\0"), message(b"n", b""), ready())
    assert sent(play, bind("", "w") + execute("") + _step(INSERT) + SYNC).startswith(OPEN) is opens


def test_behind_a_string_with_a_block_of_its_own_the_gate_is_closed_when_the_block_is_over() -> None:
    """A SET is undone when its transaction is rolled back."""
    text = f"BEGIN; {INSERT}"
    play = shown()
    assert sent(play, query(text)) == OPEN + query(text)
    play.target(ready(), complete("BEGIN"), complete("INSERT 0 1"), ready("T"))
    assert sent(play, query("ROLLBACK"), query("SELECT 1")) == query("ROLLBACK"), "what follows waits"
    play.target(complete("ROLLBACK"), ready())
    assert play.to_target() == CLOSE
    play.target(ready())
    assert play.to_target() == query("SELECT 1")


@pytest.mark.parametrize("text", [f"COMMIT; {INSERT}", f"END; BEGIN; {INSERT}; COMMIT", f"SELECT 1; COMMIT; {INSERT}"])
def test_behind_the_end_of_a_block_in_a_string_the_gate_is_open_and_then_closed(text: str) -> None:
    """The SET is made in the block, so it lasts with it; where the COMMIT fails it is undone with it."""
    play = shown()
    sent(play, query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    assert sent(play, query(text)) == OPEN + query(text)
    assert sent(play, query("SELECT 1")) == b"", "what follows waits"
    play.target(PARSED, BOUND, complete("SET"), ready("T"))
    play.target(*(complete(each.split()[0]) for each in text.split("; ")), ready())
    assert play.to_target() == CLOSE
    play.target(ready())
    assert play.to_target() == query("SELECT 1")


@pytest.mark.parametrize("text", [f"{INSERT}; COMMIT", "SELECT 1; COMMIT", f"ROLLBACK; {INSERT}", "COMMIT; SELECT 1"])
def test_inside_a_block_it_stays_closed_where_nothing_behind_its_end_could_write(text: str) -> None:
    play = shown()
    sent(play, query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    assert sent(play, query(text)) == query(text)


def test_a_close_that_was_answered_inside_a_block_is_sent_again_outside() -> None:
    """`control` did not show it: the text is one statement, and code of it ended in another state than it began."""
    play = shown()
    play.client(query(INSERT))
    play.target(ready(), complete("INSERT 0 1"), ready("T"), ready("T"))
    assert sent(play, query("ROLLBACK")) == query("ROLLBACK")
    play.target(complete("ROLLBACK"), ready())
    assert play.to_target() == CLOSE


def test_a_block_that_a_string_begins_is_read_write() -> None:
    assert sent(shown(), query("BEGIN; SELECT 1")) == OPEN + query("BEGIN; SELECT 1")
    assert sent(shown(), query("BEGIN READ ONLY; SELECT 1")).startswith(OPEN), "needless, and does no harm"


def test_a_batch_that_goes_on_before_its_end_is_known_starts_with_the_gate_open() -> None:
    play = shown()
    assert sent(play, parse("", INSERT), bind("", ""), FLUSH) == OPEN + parse("", INSERT) + bind("", "") + FLUSH
    assert sent(play, execute(""), SYNC) == execute("") + SYNC + CLOSE


def test_copy_in_closes_the_gate_behind_the_copy() -> None:
    play = shown()
    assert sent(play, query("COPY orders FROM STDIN")) == OPEN + query("COPY orders FROM STDIN")
    play.target(ready(), message(b"G", b"\0\0\0"))
    assert sent(play, message(b"d", b"1\t2\n"), message(b"c", b"")) == message(b"d", b"1\t2\n") + message(b"c", b"")
    play.target(complete("COPY 1"), ready())
    assert play.to_target() == CLOSE


def test_a_released_statement_goes_through_the_gate_and_a_denied_one_does_not_open_it() -> None:
    play = shown(policy=POLICY.replace("effect: hold", "effect: deny").replace(", reviewers: dba", ""))
    assert OPEN not in sent(play, query("DELETE FROM customers WHERE id = 1"))


def test_the_wish_of_the_client() -> None:
    """What it sets, it sees; read-only is enforced by the target, read-write gives nothing."""
    play = shown()
    assert sent(play, query(f"SET {SETTING} = on")) == query(f"SET hoop.{SETTING} = on")
    play.target(complete("SET"), ready())
    assert play.to_client() == complete("SET") + parameter_status(SETTING, "on") + ready()
    assert sent(play, query(INSERT)) == query(INSERT), "25006"
    play.target(error("25006"), ready())
    assert sent(play, query("BEGIN")) == query("BEGIN")
    play.target(complete("BEGIN"), ready("T"))
    play.client(query(f"SET {SETTING} = off"))
    play.target(complete("SET"), ready("T"))
    play.client(query("ROLLBACK"))
    play.target(complete("ROLLBACK"), ready())
    assert play.session.talk.gate.wish, "it falls back with its transaction"
    play.client(query("RESET ALL"))
    play.target(complete("RESET"), ready())
    assert not play.session.talk.gate.wish


def test_a_wish_in_a_string_with_more_is_set_back_behind_it() -> None:
    text = f"SET {SETTING} = off; SELECT 1"
    play = shown()
    assert sent(play, query(text)) == OPEN + query(text) + CLOSE


@pytest.mark.parametrize(
    ("setting", "status", "told"),
    [(SETTING, "I", b"off"), (SETTING, "T", b"off"), ("transaction_read_only", "I", b"off"), ("transaction_read_only", "T", b"on")],
)  # fmt: skip
def test_show_says_the_wish_where_the_mode_is_ours(setting: str, status: str, told: bytes) -> None:
    play = shown(status)
    play.client(query(f"SHOW {setting}"))
    play.target(columns(setting, table=0), row(b"on"), complete("SHOW"), ready(status))
    assert row(told) in play.to_client()


@pytest.mark.parametrize(
    ("text", "value"),
    [("on", True), ("OFF", False), ("of", False), ("o", None), ("t", True), ("fal", False), ("1", True), ("", None), ("2", None)],
)  # fmt: skip
def test_booleans_are_read_as_postgresql_reads_them(text: str, value: bool | None) -> None:
    assert read_bool(text) is value


def test_the_gate_stays_shut_to_what_was_taken_for_a_read() -> None:
    """A session event between batches changes nothing of it."""
    play = shown()
    play.client(query("SELECT 1"))
    play.target(complete("SELECT 1"), ready())
    play.send(ev.PolicyChanged(play.policy))
    assert not play.session.talk.gate.opened
    assert not play.session.talk.gate.unsure


# --- tier 2: code of the user's that only reads as far as its source shows ---

CODE = "SELECT reader(1)"


def test_outside_a_block_the_sessions_own_default_keeps_code_to_reading() -> None:
    assert sent(shown(), query(CODE)) == query(CODE)


@pytest.mark.parametrize("extended", [False, True])
def test_inside_a_block_code_runs_in_a_savepoint_that_is_read_only(extended: bool) -> None:
    play = shown("T")
    batch = parse("", CODE) + bind("", "") + execute("") + SYNC if extended else query(CODE)
    assert sent(play, batch) == GUARD + batch + UNGUARD
    answers = (
        ready("T"),
        *([PARSED, BOUND] if extended else []),
        row(b"1"),
        complete("SELECT 1"),
        ready("T"),
        ready("T"),
    )
    play.target(*answers)
    assert play.to_client().endswith(row(b"1") + complete("SELECT 1") + ready("T"))


def test_where_the_state_is_not_known_yet_it_waits() -> None:
    play = shown()
    assert sent(play, query("BEGIN"), query(CODE)) == query("BEGIN READ WRITE")
    play.target(complete("BEGIN"), ready("T"))
    assert play.to_target() == GUARD + query(CODE) + UNGUARD


@pytest.mark.parametrize(
    "text",
    [
        f"SET {SETTING} = off; {CODE}",
        f"{CODE}; SET {SETTING} = off",
        f"SET transaction_read_only = off; {CODE}",
        f'SET "Transaction_Read_Only" = off; {CODE}',
        f"SELECT set_config('transaction_read_only', 'off', true); {CODE}",
        "SELECT set_config('transaction_read_only', NULL, true), reader(1)",
    ],
)
def test_beside_a_setting_of_the_access_mode_code_is_opaque(text: str) -> None:
    """The gate is opened for one of the session's default."""
    play = shown(policy=POLICY)
    play.client(query(text))
    assert play.session.holding.active


def test_beside_another_setting_it_is_guarded() -> None:
    text = f"SET work_mem = '8MB'; {CODE}"
    assert sent(shown("T", POLICY), query(text)) == GUARD + query(text) + UNGUARD


def test_a_failure_inside_the_guard_is_the_clients_and_only_that() -> None:
    play = shown("T")
    play.client(query(CODE))
    play.target(PARSED, BOUND, ready("T"), error("22012"), ready("E"), error("25P02"), ready("E"))
    assert play.to_client() == error("22012") + ready("E")


@pytest.mark.parametrize("text", [f"{CODE}; {INSERT}", f"BEGIN; {CODE}", f"{CODE}; COMMIT"])
def test_beside_a_write_or_a_block_code_is_opaque(text: str) -> None:
    play = shown(policy=POLICY)
    play.client(query(text))
    assert play.is_held
    assert text.encode() not in play.to_target()


def test_in_a_batch_with_a_write_code_is_held_with_it() -> None:
    play = shown(policy=POLICY)
    play.client(parse("", CODE), bind("", ""), execute(""), parse("", INSERT), bind("", ""), execute(""), SYNC)
    held = play.session.holding._held
    assert held is not None
    assert [each.statement.tag for part in held.parts if part.reply for each in part.reply.executions] == [
        "SELECT",
        "INSERT",
    ]


def test_before_a_flush_code_is_opaque() -> None:
    play = shown(policy=POLICY)
    play.client(parse("", CODE), bind("", ""), execute(""), FLUSH)
    assert play.session.holding.active


def test_in_an_open_batch_code_is_opaque() -> None:
    play = shown(policy=POLICY)
    play.client(parse("", "SELECT 1"), bind("", ""), FLUSH)
    play.client(parse("", CODE), bind("", ""), execute(""), SYNC)
    assert play.session.holding.active


def test_approved_code_beside_a_write_is_not_kept_to_reading() -> None:
    play = shown("T")
    assert GUARD not in sent(play, query(f"{CODE}; {INSERT}"))


SET_CONFIG = "SELECT set_config($1, $2, false)"
TEXT, BPCHAR = 25, 1042
NOBODY = POLICY.replace("session, opaque", "session").replace(
    "statements: [read]}", "statements: [read]}\n  - {name: no code, effect: deny, statements: [opaque]}"
)


def configured(play: Playbook, *binds: bytes, types: tuple[int, ...] = ()) -> str:
    """Each Bind with its Execute, all of one statement and in one batch: what came of it."""
    play.client(parse("s", SET_CONFIG, types), *(each + execute("") for each in binds), SYNC)
    refused = play.recorded("refused")
    if refused:
        return str(refused[0]["sqlstate"])
    return "goes" if binds[0] in play.to_target() else "waits"


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("types", [(), (TEXT, TEXT), (0, TEXT)])
@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        (b"TimeZone", b"UTC", "goes"),
        (b"hoop.reason", None, "goes"),
        (b"client_encoding", b"utf8", "goes"),
        (b"client_encoding", b"LATIN1", "22023"),
        (b"Standard_Conforming_Strings", b"off", "22023"),
        (b"role", b"admin", "waits"),
        (SETTING.encode(), b"on", "waits"),
        (b"transaction_read_only", None, "waits"),
        (None, b"x", "42501"),
        (b"time\xff", b"UTC", "42501"),
    ],
)
def test_set_config_of_bound_values_is_judged_as_of_literals(
    name: bytes | None, value: bytes | None, found: str, types: tuple[int, ...], form: int
) -> None:
    """Housekeeping needs no rule, other settings are session, what would be misread is refused; else it is opaque."""
    play = Playbook(NOBODY)
    assert configured(play, bind("", "s", (name, value), (form,)), types=types) == found


@pytest.mark.parametrize("types", [(BPCHAR, TEXT), (16385, TEXT), (BPCHAR,)])
@pytest.mark.parametrize("name", [b"jit", b"search_path "])
def test_set_config_of_a_name_that_a_cast_may_change_stays_opaque(types: tuple[int, ...], name: bytes) -> None:
    """As bpchar `search_path ` is cast to `search_path`."""
    assert configured(Playbook(NOBODY), bind("", "s", (name, b"off")), types=types) == "42501"


def test_each_bind_is_judged_by_its_own_values() -> None:
    harmless, other = bind("", "s", (b"jit", b"off")), bind("", "s", (b"role", b"admin"))
    assert configured(Playbook(NOBODY), harmless, harmless) == "goes"
    assert configured(Playbook(NOBODY), harmless, other) == "waits"
    assert configured(Playbook(NOBODY), other, harmless) == "waits"
    play = Playbook(NOBODY)
    play.client(
        parse("s", SET_CONFIG),
        bind("a", "s", (b"role", b"admin")),
        bind("b", "s", (b"jit", b"off")),
        execute("b"),
        SYNC,
    )
    assert execute("b") in play.to_target()


def test_search_path_set_by_bound_values_is_known_to_move() -> None:
    play = Playbook(NOBODY)
    read = parse("", "SELECT id FROM orders") + bind("", "") + execute("")
    play.client(parse("s", SET_CONFIG), bind("", "s", (b"search_path", b"other")) + execute(""), read, SYNC)
    assert play.recorded("refused")[0]["sqlstate"] == "42501"


def test_the_wish_may_be_set_by_bound_values() -> None:
    play = shown(policy=ALLOWED)
    one = parse("", SET_CONFIG) + bind("", "", (SETTING.encode(), b"on")) + execute("") + SYNC
    assert sent(play, one) == OPEN + one + CLOSE
    play.target(ready(), PARSED, BOUND, row(b"on"), complete("SELECT 1"), ready(), ready())
    assert sent(play, query("BEGIN")) == query("BEGIN")


def test_a_begin_inside_a_block_goes_as_it_is() -> None:
    """The target warns of it; READ WRITE would be an error behind a read of a block that is READ ONLY."""
    play = shown()
    assert sent(play, query("BEGIN READ ONLY")) == query("BEGIN READ ONLY")
    play.target(complete("BEGIN"), ready("T"))
    assert sent(play, query("BEGIN")) == query("BEGIN")
    play.target(complete("BEGIN"), ready("T"))
    assert query("COMMIT\n;BEGIN READ WRITE") in sent(play, query("COMMIT; BEGIN")), "behind its end it begins one"


def test_a_begin_behind_an_end_that_was_not_answered_begins_a_block() -> None:
    play = shown()
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    assert sent(play, query("COMMIT"), query("BEGIN")) == query("COMMIT") + query("BEGIN READ WRITE")


def test_a_begin_in_a_batch_behind_an_end_begins_a_block() -> None:
    play = shown()
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    ended = parse("", "COMMIT") + bind("", "") + execute("")
    assert sent(play, ended, query("BEGIN")).endswith(query("BEGIN READ WRITE"))
