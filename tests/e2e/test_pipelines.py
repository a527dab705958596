"""Pipelines on the bare wire: what the gateway sends for a denied statement is what PostgreSQL sends for a failing one.

The oracle is the same PostgreSQL, asked directly: the same messages with a statement in the middle that fails by itself.
Only the SQLSTATE of that failure may differ.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.wire.frontend import FLUSH, SYNC, TERMINATE, bind, describe, execute, message, parse, query
from gateway.wire.startup import cancel_request
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire

FAILS = "UPDATE ledger SET amount = amount / (id - id) WHERE id = {}"
HELD = "UPDATE ledger SET amount = amount + 1 WHERE id = {}"
INSERT = "INSERT INTO loaded VALUES ({}, 'x')"
READ = "SELECT id FROM ledger WHERE id = {}"


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    """Through the gateway, as Ann."""
    connected = await Wire.connect(stack.port, stack.token("ann"), application_name="raw")
    yield connected
    await connected.close()


def run(sql: str, *, rows: int = 0, portal: str = "") -> bytes:
    """Parse, Bind, Describe, Execute of one statement."""
    return parse("", sql) + bind(portal, "") + describe("P", portal) + execute(portal, rows)


def denied(native: list[str], sqlstate: str = "22012") -> list[str]:
    """The native lines with the failure's SQLSTATE as a reviewer's no."""
    return [each.replace(f"E{sqlstate}", "E42501") for each in native]


async def test_three_executes_with_the_middle_one_denied(stack: Stack, wire: Wire, direct: Wire) -> None:
    """The first is answered, the second fails, the third is skipped, and the first is rolled back with them."""
    first = stack.ids()
    native = await direct.ask(run(READ.format(first)), run(FAILS.format(first)), run(READ.format(first)), SYNC)
    wire.send(run(READ.format(first)), run(HELD.format(first)), run(READ.format(first)), SYNC)
    card = await stack.card()
    await stack.deny("Bob", card, "not now")
    assert await wire.lines() == denied(native)
    assert wire.errors[0]["C"] == "42501"
    assert not {"P", "F", "L", "R", "W"} & set(wire.errors[0])
    assert await wire.ask(query(READ.format(first))) == ["T", "D", "C[SELECT 1]", "ZI"]
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100,)]


async def test_three_executes_with_the_middle_one_approved(stack: Stack, wire: Wire, direct: Wire) -> None:
    """Approved, the batch goes as it was sent."""
    first = stack.ids()
    native = await direct.ask(run(READ.format(first)), run(HELD.format(first + 1)), run(READ.format(first)), SYNC)
    wire.send(run(READ.format(first)), run(HELD.format(first)), run(READ.format(first)), SYNC)
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == native
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(101,)]


async def test_the_first_two_writes_of_a_batch_are_undone_by_a_denial(stack: Stack, wire: Wire, direct: Wire) -> None:
    """Inside BEGIN, in one batch: the status is E, and ROLLBACK ends it."""
    first = stack.ids()
    native = await direct.ask(run("BEGIN"), run(READ.format(first)), run(FAILS.format(first)), SYNC)
    wire.send(run("BEGIN"), run(READ.format(first)), run(HELD.format(first)), SYNC)
    await stack.deny("Dana", await stack.card(), "not now")
    assert await wire.lines() == denied(native)
    assert native[-1] == "ZE"
    assert await wire.ask(query("ROLLBACK")) == await direct.ask(query("ROLLBACK"))


BLOCKS = {
    "first": b"",
    "behind a read": run(READ.format(1)),
    "behind what is parsed": parse("w", READ.format(1)),
}


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "in its batch"])
@pytest.mark.parametrize("before", BLOCKS)
async def test_a_block_that_begins_in_its_batch_holds_an_approved_write(
    stack: Stack, wire: Wire, direct: Wire, before: str, end: str
) -> None:
    """As JDBC sends it, and wherever BEGIN stands."""
    first = stack.ids()
    ends = run("COMMIT") if end == "in its batch" else b""
    native = await direct.ask(BLOCKS[before], run("BEGIN"), run(HELD.format(first + 1)), ends, SYNC)
    wire.send(BLOCKS[before], run("BEGIN"), run(HELD.format(first)), ends, SYNC)
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == native
    assert native[-1] == ("ZI" if ends else "ZT")
    if not ends:
        assert await wire.ask(query(end)) == await direct.ask(query(end))
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100 + (end != "ROLLBACK"),)]


async def test_two_batches_and_the_first_is_denied(stack: Stack, wire: Wire, direct: Wire) -> None:
    """Each has its Sync: the second runs as if nothing had been."""
    first = stack.ids()
    second = run(READ.format(first + 1)) + SYNC
    native = await direct.ask(run(FAILS.format(first)), SYNC, second, count=2)
    wire.send(run(HELD.format(first)), SYNC, second)
    await stack.deny("Bob", await stack.card(), "not now")
    assert await wire.lines(count=2) == denied(native)


async def test_two_held_batches_in_a_row(stack: Stack, wire: Wire) -> None:
    """Sent together, asked one after the other: the first is denied, the second approved."""
    first = stack.ids()
    wire.send(run(HELD.format(first)), SYNC, run(HELD.format(first + 1)), SYNC)
    await stack.deny("Bob", await stack.card(), "not now")
    assert (await wire.lines())[-2:] == ["E42501", "ZI"]
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["1", "2", "n", "C[UPDATE 1]", "ZI"]
    assert stack.ask("SELECT amount FROM ledger WHERE id IN (%s, %s) ORDER BY id", first, first + 1) == [(100,), (101,)]


async def test_one_card_for_all_held_statements_of_a_batch(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    wire.send(run(HELD.format(first)), run(HELD.format(first + 1)), SYNC)
    card = await stack.card()
    assert "2 statements" in card.text
    await stack.approve("Bob", card)
    assert await wire.lines() == ["1", "2", "n", "C[UPDATE 1]"] * 2 + ["ZI"]


async def test_a_suspended_portal_before_a_denied_one(stack: Stack, wire: Wire, direct: Wire) -> None:
    """max_rows: PortalSuspended, and the denial behind it."""
    first = stack.ids()
    many = f"SELECT id FROM ledger WHERE id >= {first} ORDER BY id LIMIT 10"

    def batch(middle: str) -> bytes:
        portal = parse("many", many) + bind("p", "many") + describe("P", "p") + execute("p", 3)
        return portal + run(middle) + execute("p", 3) + SYNC

    native = await direct.ask(batch(FAILS.format(first)))
    assert native.count("D") == 3
    assert "s" in native
    wire.send(batch(HELD.format(first)))
    await stack.deny("Bob", await stack.card(), "not now")
    assert await wire.lines() == denied(native)


async def test_a_suspended_portal_goes_on_inside_a_transaction(stack: Stack, wire: Wire, direct: Wire) -> None:
    first = stack.ids()
    many = f"SELECT id FROM ledger WHERE id >= {first} ORDER BY id LIMIT 10"
    start = parse("", many) + bind("p", "") + execute("p", 4) + SYNC
    seen = []
    for each in (direct, wire):
        lines = await each.ask(query("BEGIN"))
        lines += await each.ask(start)
        lines += await each.ask(execute("p", 4), SYNC)
        lines += await each.ask(execute("p", 4), SYNC)
        lines += await each.ask(query("COMMIT"))
        seen.append(lines)
    assert seen[1] == seen[0]
    assert seen[0].count("D") == 10


async def test_flush_instead_of_sync(stack: Stack, wire: Wire, direct: Wire) -> None:
    """psycopg's pipeline flushes and waits: a Flush ends the batch for people too."""
    first = stack.ids()
    native = await direct.ask(run(FAILS.format(first)), FLUSH, until="E")
    native += await direct.ask(SYNC)
    wire.send(run(HELD.format(first)), FLUSH)
    await stack.deny("Bob", await stack.card(), "not now")
    lines = await wire.lines(until="E")
    lines += await wire.ask(SYNC)
    assert lines == denied(native)


async def test_flush_and_approve(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    wire.send(run(HELD.format(first)), FLUSH)
    await stack.approve("Bob", await stack.card())
    assert await wire.lines(until="C") == ["1", "2", "n", "C[UPDATE 1]"]
    assert await wire.ask(run(READ.format(first)), SYNC) == ["1", "2", "T", "D", "C[SELECT 1]", "ZI"]
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(101,)]


async def test_preparing_with_flush_leaves_no_lock(stack: Stack, wire: Wire) -> None:
    """asyncpg and postgres.js prepare so; while people think, the target holds nothing."""
    first = stack.ids()
    assert await wire.ask(parse("s1", HELD.format(first)), describe("S", "s1"), FLUSH, until="n") == ["1", "t", "n"]
    wire.send(bind("", "s1"), execute(""), SYNC)
    card = await stack.card()
    locks = stack.ask("SELECT count(*) FROM pg_locks WHERE relation = 'ledger'::regclass AND mode = 'RowExclusiveLock'")
    assert locks == [(0,)]
    await stack.approve("Bob", card)
    assert await wire.lines() == ["2", "C[UPDATE 1]", "ZI"]


async def test_a_string_of_statements_is_one_question(stack: Stack, wire: Wire, direct: Wire) -> None:
    """Denied as a whole, nothing of it ran."""
    first = stack.ids()
    wire.send(query(f"{READ.format(first)}; {HELD.format(first)}; {HELD.format(first + 1)}"))
    await stack.deny("Bob", await stack.card(), "not now")
    assert await wire.lines() == ["E42501", "ZI"]
    wire.send(query(f"{HELD.format(first)}; {HELD.format(first + 1)}"))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["C[UPDATE 1]", "C[UPDATE 1]", "ZI"]
    assert stack.ask("SELECT amount FROM ledger WHERE id IN (%s, %s)", first, first + 1) == [(101,), (101,)]


async def test_a_savepoint_saves_what_was_before_a_denial(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    assert await wire.ask(query("BEGIN")) == ["C[BEGIN]", "ZT"]
    assert await wire.ask(query("SAVEPOINT a")) == ["C[SAVEPOINT]", "ZT"]
    wire.send(query(HELD.format(first)))
    await stack.deny("Bob", await stack.card(), "not now")
    assert await wire.lines() == ["E42501", "ZE"]
    assert await wire.ask(query("ROLLBACK TO a")) == ["C[ROLLBACK]", "ZT"]
    wire.send(query(HELD.format(first)))
    card = await stack.card()
    await stack.approve("Bob", card)
    assert await wire.lines() == ["C[UPDATE 1]", "ZT"]
    await card.says("Executed")
    assert await wire.ask(query("COMMIT")) == ["C[COMMIT]", "ZI"]
    assert await stack.until(lambda: "committed" in card.text)


async def test_a_read_after_an_approved_do(stack: Stack, wire: Wire) -> None:
    """Code may have re-prepared names; a statement that the client prepares afterwards is what it says."""
    first = stack.ids()
    wire.send(query("DO $$ BEGIN END $$"))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["C[DO]", "ZI"]
    wire.send(run(READ.format(first)), SYNC)
    lines = await wire.lines(until="TN")  # a notice says that it is held
    assert "T" in lines, wire.notices


async def test_a_name_that_an_approved_do_gave_to_a_delete_deletes_nothing(stack: Stack, wire: Wire) -> None:
    """The permanent case of decision 5."""
    first = stack.ids()
    assert await wire.ask(parse("s3", READ.format(first)), parse("s4", READ.format(first)), SYNC) == ["1", "1", "ZI"]
    code = f"EXECUTE 'DEALLOCATE s3'; EXECUTE 'PREPARE s3 AS DELETE FROM ledger WHERE id = {first}'"
    wire.send(query(f"DO $$ BEGIN {code}; END $$"))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == ["C[DO]", "ZI"]
    lines = await wire.ask(bind("", "s3"), execute(""), SYNC)
    assert lines[-2:] == ["E34000", "ZI"], "the gateway does not know this s3"
    assert stack.ask(f"SELECT count(*) FROM ledger WHERE id = {first}") == [(1,)]
    assert (await wire.ask(bind("", "s4"), execute(""), SYNC))[-2:] == ["C[SELECT 1]", "ZI"], "s4 is what it was"


# --- COPY -------------------------------------------------------------------------------------------------------------

DATA = message(b"d", b"9001\tfirst\n") + message(b"d", b"9002\tsecond\n")
COPY_DONE = message(b"c", b"")
COPY_IN = "COPY loaded FROM STDIN"


def configures(name: str, value: str) -> bytes:
    return run(f"DO $$ BEGIN PERFORM set_config('{name}', '{value}', false); END $$")


OFF, ON = configures("standard_conforming_strings", "off"), configures("standard_conforming_strings", "on")
#: Two literals, or one and a DELETE.
READ_ANEW = (
    r"WITH a AS (SELECT '\', ' AS x), d AS (DELETE FROM loaded WHERE id = 7 RETURNING 1) SELECT 1 --' AS y) SELECT 1"
)
#: In SJIS the second byte of this letter and the backslash are one character.
IN_SJIS = READ_ANEW.replace(r"'\', '", "E'\u0115\\'")
BEHIND_CODE = {
    "in its batch": [OFF + run(READ_ANEW) + SYNC],
    "behind a flush": [OFF + FLUSH, run(READ_ANEW) + SYNC],
    "as a query": [OFF + FLUSH, query(r"SELECT '\', ' ; DELETE FROM loaded WHERE id = 7; --'") + SYNC],
    "prepared, and set back": [
        query("BEGIN"),
        OFF + parse("t", READ_ANEW) + ON + SYNC,
        bind("", "t") + execute("") + SYNC,
        query("COMMIT"),
    ],
    "by PREPARE, and set back": [
        query("BEGIN"),
        OFF + run(f"PREPARE t AS {READ_ANEW}") + ON + SYNC,
        query("EXECUTE t"),
        query("COMMIT"),
    ],
    "in another encoding": [configures("client_encoding", "SJIS") + run(IN_SJIS) + SYNC],
}


@pytest.mark.parametrize("way", BEHIND_CODE)
async def test_a_text_behind_an_approved_do_may_be_read_otherwise(stack: Stack, wire: Wire, way: str) -> None:
    """The target reports settings with ReadyForQuery only. So people see such a text, or it is refused."""
    stack.do("INSERT INTO loaded VALUES (7, 'stays')")
    try:
        for step in BEHIND_CODE[way]:
            answers = asyncio.create_task(wire.ask(step, until="CZ" if FLUSH in step else "Z"))
            while True:
                looking = asyncio.create_task(stack.card())
                await asyncio.wait([answers, looking], return_when=asyncio.FIRST_COMPLETED)
                if answers.done():
                    looking.cancel()
                    break
                card = looking.result()
                if "DELETE" in card.shown:
                    await stack.deny("Bob", card, "a DELETE")
                else:
                    await stack.approve("Bob", card)
        assert stack.ask("SELECT note FROM loaded WHERE id = 7") == [("stays",)]
    finally:
        stack.do("DELETE FROM loaded WHERE id = 7")


#: A better match for abs('-1'::varchar) than PostgreSQL's own; made by code, so that no DDL was seen.
CREATE = (
    "CREATE FUNCTION public.abs(varchar) RETURNS int LANGUAGE sql AS 'DELETE FROM loaded WHERE id = 7 RETURNING id'"
)
DEFINE = f"SELECT runs($${CREATE}$$)"
CALL = "SELECT abs('-1'::varchar)"
DEFINED = {
    "in its batch": [run(DEFINE) + run(CALL) + SYNC],
    "tried as a read first": [run("SELECT defines()") + run(CALL) + SYNC],
    "in its block": [query("BEGIN"), query(DEFINE), query(CALL), query("COMMIT")],
    "behind a savepoint": [query("BEGIN; SAVEPOINT s"), query(DEFINE), query(CALL), query("COMMIT")],
    "in the next block": [query(DEFINE), query("BEGIN"), query(CALL), query("COMMIT")],
}


@pytest.mark.parametrize("way", DEFINED)
async def test_what_approved_code_has_defined_is_not_judged_by_the_catalog_of_before(
    stack: Stack, wire: Wire, way: str
) -> None:
    stack.do("INSERT INTO loaded VALUES (7, 'stays')")
    stack.do("CREATE FUNCTION runs(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; RETURN 1; END'")
    stack.do(f"CREATE FUNCTION defines() RETURNS int LANGUAGE plpgsql AS $a$ BEGIN {CREATE}; RETURN 1; END $a$")
    await stack.on(stack.reload("shop"))
    try:
        for step in DEFINED[way]:
            answers = asyncio.create_task(wire.ask(step))
            while not answers.done():
                looking = asyncio.create_task(stack.card())
                await asyncio.wait([answers, looking], return_when=asyncio.FIRST_COMPLETED)
                if answers.done():
                    looking.cancel()
                elif "SELECT abs(" in looking.result().shown:
                    await stack.deny("Bob", looking.result(), "who knows what that is")
                else:
                    await stack.approve("Bob", looking.result())
        assert stack.ask("SELECT note FROM loaded WHERE id = 7") == [("stays",)]
        assert wire.errors[0]["M"] == "denied by bob@example.com: who knows what that is"
    finally:
        await wire.close()
        stack.do(
            "DROP FUNCTION IF EXISTS public.abs(varchar); DROP FUNCTION runs, defines; DELETE FROM loaded WHERE id = 7"
        )
        await stack.on(stack.reload("shop"))


def job(sql: str) -> str:
    return f"INSERT INTO jobs VALUES ($${sql}$$)"


BY_TRIGGER = {
    "reads otherwise": [
        run(job("SELECT set_config('standard_conforming_strings', 'off', false)")) + run(READ_ANEW) + SYNC
    ],
    "means another statement": [
        parse("named", "SELECT 1") + SYNC,
        query(job("DEALLOCATE named") + ", ($$PREPARE named AS DELETE FROM loaded WHERE id = 7$$)"),
        query("BEGIN"),
        bind("", "named") + execute("") + SYNC,
        query("COMMIT"),
    ],
    "calls another function": [query("BEGIN"), query(job(CREATE)), query(CALL), query("COMMIT")],
}


@pytest.mark.parametrize("way", BY_TRIGGER)
async def test_what_a_trigger_has_run_counts_as_code(stack: Stack, wire: Wire, way: str) -> None:
    """The INSERT is approved; what runs the text in it is a trigger. What follows is nobody's to see."""
    stack.do(
        "INSERT INTO loaded VALUES (7, 'stays'); CREATE TABLE jobs (sql text); GRANT INSERT, SELECT ON jobs TO hoop"
    )
    stack.do("CREATE FUNCTION run_job() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE NEW.sql; RETURN NEW; END'")
    stack.do("CREATE TRIGGER job AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION run_job()")
    await stack.on(stack.reload("shop"))
    try:
        for step in BY_TRIGGER[way]:
            answers = asyncio.create_task(wire.ask(step))
            while not answers.done():
                looking = asyncio.create_task(stack.card())
                await asyncio.wait([answers, looking], return_when=asyncio.FIRST_COMPLETED)
                if answers.done():
                    looking.cancel()
                elif "INTO jobs" in looking.result().shown and "WITH a" not in looking.result().shown:
                    await stack.approve("Bob", looking.result())
                else:
                    await stack.deny("Bob", looking.result(), "who knows what that is")
        assert stack.ask("SELECT note FROM loaded WHERE id = 7") == [("stays",)]
    finally:
        await wire.close()
        stack.do("DROP FUNCTION IF EXISTS public.abs(varchar); DROP TABLE jobs; DROP FUNCTION run_job")
        stack.do("DELETE FROM loaded WHERE id = 7")
        await stack.on(stack.reload("shop"))


async def test_copy_in_is_held_before_its_first_row(stack: Stack, wire: Wire) -> None:
    """Held at the statement; approved, the rows flow."""
    stack.do("DELETE FROM loaded")
    wire.send(query(COPY_IN))
    await stack.approve("Bob", await stack.card())
    assert await wire.lines(until="G") == ["G"]
    assert await wire.ask(DATA, COPY_DONE) == ["C[COPY 2]", "ZI"]
    assert stack.ask("SELECT note FROM loaded ORDER BY id") == [("first",), ("second",)]


async def test_copy_in_denied(stack: Stack, wire: Wire) -> None:
    """No CopyInResponse ever comes; rows that a client sends all the same are dropped."""
    stack.do("DELETE FROM loaded")
    wire.send(query(COPY_IN), DATA, COPY_DONE)
    await stack.deny("Bob", await stack.card(), "not now")
    assert await wire.lines() == ["E42501", "ZI"]
    assert await wire.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]
    assert stack.ask("SELECT count(*) FROM loaded") == [(0,)]


async def test_copy_in_extended(stack: Stack, wire: Wire) -> None:
    """In the extended protocol, with the Sync before the rows, as libpq sends it, and again behind them."""
    stack.do("DELETE FROM loaded")
    wire.send(parse("", COPY_IN), bind("", ""), execute(""), SYNC)
    await stack.approve("Bob", await stack.card())
    assert await wire.lines(until="G") == ["1", "2", "G"]
    assert await wire.ask(DATA, COPY_DONE, SYNC) == ["C[COPY 2]", "ZI"]


async def test_copy_in_given_up(stack: Stack, wire: Wire, direct: Wire) -> None:
    """CopyFail after the approval: PostgreSQL's own 57014, the card says failed."""
    stack.do("DELETE FROM loaded")
    give_up = DATA + message(b"f", b"changed my mind\0")
    assert await direct.ask(query(COPY_IN), until="G") == ["G"]
    native = await direct.ask(give_up)
    wire.send(query(COPY_IN))
    card = await stack.card()
    await stack.approve("Bob", card)
    assert await wire.lines(until="G") == ["G"]
    assert await wire.ask(give_up) == native
    await card.says("Failed")


async def test_copy_out_is_masked(stack: Stack, wire: Wire) -> None:
    """COPY TO STDOUT reads: nobody is asked, and a card number keeps four digits."""
    ((_, number),) = stack.ask("SELECT id, card_number FROM customers WHERE id = 3")
    lines = await wire.ask(query("COPY (SELECT id, card_number FROM customers WHERE id = 3) TO STDOUT"))
    assert lines == ["H", "d", "c", "C[COPY 1]", "ZI"]
    assert number.encode() not in wire.copied
    assert wire.copied.startswith(b"3\t")


# --- cancel -----------------------------------------------------------------------------------------------------------


async def cancel(stack: Stack, pid: int, secret: bytes) -> bytes:
    """Send a CancelRequest; what comes back up to the end of the stream (PostgreSQL: nothing)."""
    asking = await Wire.open(stack.port)
    asking.send(cancel_request(pid, secret))
    answer = await asking.rest()
    await asking.close()
    return answer


async def test_a_cancel_request_with_a_wrong_key_is_nothing(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    pid, secret = wire.key
    wire.send(query(HELD.format(first)))
    card = await stack.card()
    wrong = bytes(each ^ 0xFF for each in secret)
    for key in ((pid, wrong), (pid + 1, secret), (pid, secret[:-1] + wrong[-1:])):
        assert await cancel(stack, *key) == b""
    assert (await stack.request(card.request_id)).state.value == "pending"
    await stack.approve("Bob", card)
    assert await wire.lines() == ["C[UPDATE 1]", "ZI"]


async def test_a_cancel_request_with_the_right_key(stack: Stack, wire: Wire) -> None:
    first = stack.ids()
    wire.send(query(HELD.format(first)))
    card = await stack.card()
    assert await cancel(stack, *wire.key) == b""
    assert await wire.lines() == ["E57014", "ZI"]
    await card.says("Withdrawn")


async def test_a_running_statement_is_cancelled_on_the_target(stack: Stack, wire: Wire) -> None:
    """Nothing is held: the cancel goes to the target, and the next statement is not hit by it."""
    stack.do("BEGIN; LOCK TABLE loaded IN ACCESS EXCLUSIVE MODE")
    try:
        wire.send(query("SELECT id FROM loaded"))
        waits = "SELECT count(*) FROM pg_locks WHERE relation = 'loaded'::regclass AND NOT granted"
        while stack.ask(waits) == [(0,)]:  # each look is a round trip; the wire's own deadline bounds it
            assert await cancel(stack, 1, b"none") == b""
        await cancel(stack, *wire.key)
        assert await wire.lines() == ["E57014", "ZI"]
    finally:
        stack.do("ROLLBACK")
    assert await wire.ask(query("SELECT 1")) == ["T", "D", "C[SELECT 1]", "ZI"]


async def test_goodbye_while_held(stack: Stack, wire: Wire) -> None:
    """Terminate behind a held statement: withdrawn, nothing ran."""
    first = stack.ids()
    wire.send(query(HELD.format(first)))
    card = await stack.card()
    wire.send(TERMINATE)
    await wire.close()
    await card.says("Withdrawn")
    assert stack.ask("SELECT amount FROM ledger WHERE id = %s", first) == [(100,)]


@pytest.mark.parametrize("extended", [False, True])
async def test_goodbye_behind_a_statement_hears_its_answer_first(
    stack: Stack, wire: Wire, direct: Wire, extended: bool
) -> None:
    """PostgreSQL reads it when it has answered what came before; how an approved statement ended is known, too."""
    sent = [
        (run(HELD.format(row)) + SYNC if extended else query(HELD.format(row) + "; SELECT 1")) + TERMINATE
        for row in (stack.ids(), stack.ids())
    ]
    native = await direct.ask(sent[0], count=2)
    wire.send(sent[1])
    card = await stack.card()
    await stack.approve("Bob", card)
    assert await wire.lines(count=2) == native
    assert native[-2:] == ["ZI", "closed"]
    await card.says("Executed")
    assert next(each["outcome"] for each in stack.entries(kind="finished", request=card.request_id)) == "executed"


@pytest.mark.parametrize("forget", ["DEALLOCATE ALL", "DISCARD ALL"])
async def test_the_unnamed_statement_outlives_what_forgets_all_names(wire: Wire, direct: Wire, forget: str) -> None:
    """PostgreSQL drops the named ones."""
    heard = []
    for at in (direct, wire):
        lines = await at.ask(parse("", "SELECT 7") + SYNC)
        lines += await at.ask(parse("named", forget) + bind("", "named") + execute("") + SYNC)
        lines += await at.ask(bind("", "") + execute("") + SYNC)
        heard.append(lines + await at.ask(bind("", "named") + SYNC))
    assert heard[1] == heard[0]
    assert "C[SELECT 1]" in heard[0]


@pytest.mark.parametrize("extended", [False, True])
async def test_a_copy_that_writes_a_placeholder_fails_as_one_that_the_client_gives_up(
    stack: Stack, wire: Wire, direct: Wire, *, extended: bool
) -> None:
    begun = (parse("", COPY_IN), bind("", ""), execute(""), SYNC) if extended else (query(COPY_IN),)  # as libpq does
    parts = (b"901\tx\n", b"902\t[red", b"acted]\n", b"903\ty\n")
    rows, end = [message(b"d", each) for each in parts], [SYNC] * extended
    native = await direct.ask(*begun, *rows[:1], message(b"f", b"no\0"), *end)
    wire.send(*begun, *rows, message(b"c", b""), *end)
    await stack.approve("Bob", await stack.card())
    assert await wire.lines() == denied(native, "57014")
    assert "stands for a value that was masked" in wire.errors[-1]["M"]
    assert stack.ask("SELECT count(*) FROM loaded WHERE id BETWEEN 901 AND 903") == [(0,)]
