"""The parser process: big texts and bombs. A deadline of the tests' own is only there so that a hang fails."""

import asyncio
import io
import signal
from collections.abc import AsyncIterator

import pytest

from gateway.errors import ProtocolViolation
from gateway.relay.parser import MAX_TEXT_BYTES, ParserProcess, Parsers, serve
from gateway.sql.parse import read
from gateway.sql.portable import load
from gateway.sql.statement import Script, StatementClass


@pytest.fixture
async def worker() -> AsyncIterator[ParserProcess]:
    parser = ParserProcess(
        cpu=30, deadline=60
    )  # the machine that runs tests may be slow; what the deadline does has its own test
    yield parser
    await parser.close()


def is_opaque(script: Script) -> str:
    (statement,) = script.statements
    assert statement.classes == {StatementClass.OPAQUE}
    assert statement.reason
    assert not script.too_big
    return statement.reason


async def test_a_big_text_is_read_as_a_small_one_would(worker: ParserProcess) -> None:
    text = "/* reason: load */ INSERT INTO t VALUES " + ", ".join(f"({n}, 'ü')" for n in range(2000))
    assert await worker.read(text) == read(text, max_bytes=len(text) * 2)
    script = await worker.read(text)
    assert (script.claimed_reason, script.statements[0].tag) == ("load", "INSERT")


async def test_what_is_too_deep_for_the_loop_is_read_here(worker: ParserProcess) -> None:
    text = "SELECT 1" + "+1" * 2000
    assert read(text).too_big
    (statement,) = (await worker.read(text)).statements
    assert statement.classes == {StatementClass.READ}


async def test_a_syntax_error_stays_one(worker: ParserProcess) -> None:
    assert (await worker.read("SELEC" + " " * 9000)).unparsable


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("deep", "SELECT 1" + "+1" * 30_000),
        ("deep", " UNION ALL ".join(["SELECT 1"] * 20_000)),
        ("comments", "/*" * 20_000 + "*/" * 20_000 + "SELECT 1"),
        ("deep", "SELECT " + "(" * 20_000 + "1" + ")" * 20_000),
        ("statements", "SELECT 1;" * 50_000),
        ("longer", "SELECT '" + "x" * MAX_TEXT_BYTES + "'"),
    ],
    ids=["plus", "union", "comments", "parentheses", "statements", "bytes"],
)
async def test_bombs(worker: ParserProcess, reason: str, text: str) -> None:
    assert reason in is_opaque(await worker.read(text))
    assert (await worker.read("SELECT 1")).statements[0].tag == "SELECT"


async def test_a_list_of_200_000_constants_is_read_or_given_up(worker: ParserProcess) -> None:
    script = await worker.read("DELETE FROM t WHERE a IN (" + ",".join(["1234"] * 200_000) + ")")
    (statement,) = script.statements
    assert statement.classes in ({StatementClass.WRITE}, {StatementClass.OPAQUE})


@pytest.mark.parametrize("text", ["SELECT 1\0", "SELECT '\ud800'"])
async def test_what_postgresql_never_takes(worker: ParserProcess, text: str) -> None:
    with pytest.raises(ProtocolViolation):
        await worker.read(text)


async def test_texts_take_turns(worker: ParserProcess) -> None:
    scripts = await asyncio.gather(*(worker.read(f"SELECT * FROM t{n}") for n in range(20)))
    assert [script.statements[0].reads for script in scripts] == [(f"public.t{n}",) for n in range(20)]


async def test_the_deadline_gives_up_and_the_next_text_is_read() -> None:
    parser = ParserProcess(deadline=0.0)
    try:
        assert "within 0 s" in is_opaque(await parser.read("SELECT 1"))
        parser._deadline = 60
        assert (await parser.read("SELECT 1")).statements[0].tag == "SELECT"
    finally:
        await parser.close()


async def test_a_text_that_takes_too_much_cpu_ends_the_worker_and_the_next_is_there_already() -> None:
    parser = ParserProcess(cpu=0.001, deadline=60)
    try:
        assert "within 0.001 s" in is_opaque(await parser.read("SELECT 1" + ", 1" * 200_000))
        assert parser._process is not None
        assert parser._process.returncode is None
    finally:
        await parser.close()


async def test_a_text_that_takes_its_time_keeps_nobody_waiting() -> None:
    """Not a matter of time: the first worker is stopped in the middle of its text, and the second text is read all the same."""
    parsers = Parsers()
    try:
        await parsers.read("SELECT 1")
        first = parsers._all[-1]._process
        assert first is not None
        first.send_signal(signal.SIGSTOP)
        slow = asyncio.create_task(parsers.read("SELECT * FROM slow"))
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            assert (await parsers.read("SELECT * FROM quick")).statements[0].reads == ("public.quick",)
        first.send_signal(signal.SIGCONT)
        assert (await slow).statements[0].reads == ("public.slow",)
    finally:
        await parsers.close()


async def test_a_worker_that_died_is_replaced() -> None:
    parser = ParserProcess(deadline=60)
    try:
        await parser.read("SELECT 1")
        process = parser._process
        assert process is not None
        process.kill()
        await process.wait()
        assert "failed" in is_opaque(await parser.read("SELECT 1"))
        assert (await parser.read("SELECT 1")).statements[0].tag == "SELECT"
    finally:
        await parser.close()


async def test_a_reader_that_goes_away_takes_no_answer_of_others() -> None:
    parser = ParserProcess(deadline=60)
    try:
        first = asyncio.create_task(parser.read("SELECT * FROM first" + " " * 500_000))
        second = asyncio.create_task(parser.read("SELECT * FROM second"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).statements[0].reads == ("public.second",)
    finally:
        await parser.close()


async def test_close_may_come_twice_and_before_any_text() -> None:
    parser = ParserProcess()
    await parser.close()
    await parser.close()
    assert parser._process is None, "nothing was started for it"


async def test_serve_answers_until_its_input_ends() -> None:
    text = b"SELECT 1"
    answers = io.BytesIO()
    serve(io.BytesIO((len(text).to_bytes(4) + text) * 2), answers, 60.0)
    data = answers.getvalue().removeprefix(b"ready")
    length = int.from_bytes(data[:4])
    assert load(data[4 : 4 + length], "SELECT 1") == read("SELECT 1")
    assert data == data[: 4 + length] * 2
