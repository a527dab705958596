"""Real drivers that make the attempts of masking.yaml, behind a tap: for each attempt, what came over the socket.

    answers = await way.ask(door, attempts)      one of WAYS; one Answer an attempt, in order

A way is one driver and one thing that it can do. It asks over one connection, a case of several steps over one of its own.
What must not live here: what a secret is, what an answer should be (test_masking_drivers.py).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import asyncpg
import psycopg

from gateway.wire.backend import data_row, fields
from gateway.wire.frontend import message
from tests.corpus.attempts import Attempt, Book, filled
from tests.corpus.drivers import Tap, psql_environment
from tests.corpus.line import Heard

Connection = TypeVar("Connection")
Psycopg = psycopg.AsyncConnection[Any]
Asyncpg: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

#: What psql asks for before and behind each attempt: it shows on the wire where one ends.
_BEGIN, _END = "here it begins", "here it ends"
_NAMED = ("{} \\parse s", "\\bind_named s \\g", "\\bind_named s \\g", "\\close_prepared s")


@dataclass(frozen=True, slots=True)
class Door:
    """Where to knock and as whom. `which`: of the two databases; `psql`: the server's own, `newest`: the one that knows \\bind_named."""

    port: int
    password: str
    database: str
    which: int
    book: Book
    psql: Path
    newest: Path

    def texts(self, attempt: Attempt) -> list[str]:
        return [filled(each, self.book.secrets, self.which) for each in attempt.texts]


@dataclass(frozen=True, slots=True)
class Answer:
    """`heard`: what came for this attempt. `trouble`: what the driver could not do with it; the server's errors are no trouble."""

    attempt: Attempt
    heard: Heard
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """`fits`: one of these names of attempts.py must be among the attempt's own ways; `cases`: those of several steps too."""

    name: str
    fits: tuple[str, ...]
    ask: Callable[[Door, Sequence[Attempt]], Awaitable["Recorded"]]
    cases: bool = False

    @property
    def driver(self) -> str:
        return self.name.split()[0]

    def takes(self, attempt: Attempt) -> bool:
        if attempt.alone:
            return self.cases and bool(attempt.texts)
        return any(each in attempt.ways for each in self.fits)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answers, and every byte that came, logins included."""

    answers: list[Answer]
    raw: bytes


def _heard(raw: bytes) -> Heard:
    errors = [fields(body)["C"] for kind, body in Heard(raw, ()).messages() if kind == "E"]
    return Heard(raw, tuple(errors))


# --- drivers in this process ------------------------------------------------------------------------------------------

#: Ask one text and read all of the answer.
Ask = Callable[[Connection, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Driver(Generic[Connection]):
    """`undone`: a transaction that is rolled back at its end."""

    connect: Callable[[Door, int], AbstractAsyncContextManager[Connection]]
    undone: Callable[[Connection], AbstractAsyncContextManager[object]]

    def by(self, ask: Ask[Connection], times: int = 1) -> Callable[[Door, Sequence[Attempt]], Awaitable[Recorded]]:
        """Ask `times` times in a row; the steps of a case once."""

        async def asked(door: Door, attempts: Sequence[Attempt]) -> Recorded:
            async with Tap.to(door.port) as tap:
                plain = [each for each in attempts if not each.alone and not each.spreads]
                async with self.connect(door, tap.port) as own:
                    answers = [await self._answer(tap, own, door.texts(each) * times, each, ask) for each in plain]
                for each in attempts:
                    if each.alone or each.spreads:
                        async with self.connect(door, tap.port) as own:
                            texts = door.texts(each) * (1 if each.alone else times)
                            answers.append(await self._answer(tap, own, texts, each, ask))
                return Recorded(answers, bytes(tap.heard))

        return asked

    async def _answer(
        self, tap: Tap, own: Connection, texts: Sequence[str], attempt: Attempt, ask: Ask[Connection]
    ) -> Answer:
        before, troubles = len(tap.heard), list[str]()
        for text in texts:
            try:
                if attempt.leaves:
                    async with self.undone(own):
                        await ask(own, text)
                else:
                    await ask(own, text)
            except Exception as error:  # whatever a driver makes of bytes that it did not expect
                if getattr(error, "sqlstate", None) is None:
                    troubles.append(f"{type(error).__name__}: {error}")
        return Answer(attempt, _heard(bytes(tap.heard[before:])), "; ".join(troubles))


@asynccontextmanager
async def _psycopg(door: Door, port: int) -> AsyncIterator[Psycopg]:
    place = f"host=127.0.0.1 port={port} dbname={door.database} user=hoop sslmode=disable"
    async with await psycopg.AsyncConnection.connect(place, password=door.password, autocommit=True) as own:
        yield own


@asynccontextmanager
async def _asyncpg(door: Door, port: int) -> AsyncIterator[Asyncpg]:
    own = await asyncpg.connect(
        host="127.0.0.1", port=port, user="hoop", database=door.database, password=door.password, ssl=False
    )
    try:
        yield own
    finally:
        await own.close()


@asynccontextmanager
async def _undone(own: Asyncpg) -> AsyncIterator[None]:
    transaction = own.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


_PSYCOPG = Driver(_psycopg, lambda own: own.transaction(force_rollback=True))
_ASYNCPG = Driver(_asyncpg, _undone)


async def _read(cursor: "psycopg.AsyncCursor[Any]") -> None:
    """Every row of every result."""
    more: object = True
    while more:
        if cursor.description is not None:
            await cursor.fetchall()
        more = cursor.nextset()


async def _copied(own: Psycopg, text: str) -> None:
    async with own.cursor().copy(text.encode()) as copy:
        async for _ in copy:
            pass


async def _client_side(own: Psycopg, text: str) -> None:
    """Without parameters that is a simple query."""
    if text.startswith("COPY"):
        return await _copied(own, text)
    return await _read(await psycopg.AsyncClientCursor(own).execute(text.encode()))


def _prepared(*, binary: bool) -> Ask[Psycopg]:
    async def ask(own: Psycopg, text: str) -> None:
        if text.startswith("COPY"):
            return await _copied(own, text)
        return await _read(await own.cursor(binary=binary).execute(text.encode(), prepare=True))

    return ask


def _server_side(*, binary: bool) -> Ask[Psycopg]:
    async def ask(own: Psycopg, text: str) -> None:
        async with own.transaction(force_rollback=True), own.cursor("c", binary=binary) as cursor:
            await cursor.execute(text.encode())
            await cursor.fetchmany(1)
            await cursor.fetchall()

    return ask


def _psycopg_copy(options: str) -> Ask[Psycopg]:
    return lambda own, text: _copied(own, f"COPY ({text}) TO STDOUT {options}")


async def _fetched(own: Asyncpg, text: str) -> None:
    """By a statement of the cache. Several statements, and COPY, go as a simple query."""
    if text.startswith("COPY") or ";" in text:
        await own.execute(text)
    else:
        await own.fetch(text)


async def _portal(own: Asyncpg, text: str) -> None:
    async with _undone(own):
        cursor = await own.cursor(text)
        await cursor.fetch(1)
        await cursor.fetch(1000)


def _asyncpg_copy(form: Literal["csv", "binary"]) -> Ask[Asyncpg]:
    async def ignored(_data: bytes) -> None:
        pass

    async def ask(own: Asyncpg, text: str) -> None:
        await own.copy_from_query(text, output=ignored, format=form)

    return ask


# --- psql -------------------------------------------------------------------------------------------------------------


def _psql(*lines: str, newest: bool = False) -> Callable[[Door, Sequence[Attempt]], Awaitable[Recorded]]:
    """psql reads a script. `lines`: what it says for one text, {} in its place."""

    async def asked(door: Door, attempts: Sequence[Attempt]) -> Recorded:
        async with Tap.to(door.port) as tap:
            place = f"host=127.0.0.1 port={tap.port} dbname={door.database} user=hoop sslmode=disable"
            process = await asyncio.create_subprocess_exec(
                door.newest if newest else door.psql, "-X", "-q", "-A", "-d", place,
                env=psql_environment(door.password),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            script = [line for each in attempts for line in _lines(door, each, lines)]
            try:
                await process.communicate("\n".join(script).encode())
            finally:
                if process.returncode is None:  # the test has given up waiting
                    process.kill()
                    await process.wait()
            slices = list(_parts(bytes(tap.heard)))
            answers = [Answer(*each) for each in zip(attempts, map(_heard, slices), strict=True)]
            return Recorded(answers, bytes(tap.heard))

    return asked


def _lines(door: Door, attempt: Attempt, lines: tuple[str, ...]) -> Iterator[str]:
    if attempt.alone:
        yield "\\c"
    yield f"SELECT '{_BEGIN}';"
    yield from ["BEGIN;"] if attempt.leaves else []
    for text in door.texts(attempt):
        yield from (line.replace("{}", text) for line in lines)
    yield from ["ROLLBACK;"] if attempt.leaves or attempt.alone else []
    yield f"SELECT '{_END}';"


def _parts(raw: bytes) -> Iterator[bytes]:
    """What came between the two marks, for each attempt."""
    part: list[bytes] | None = None
    for kind, body in Heard(raw, ()).messages():
        if kind == "D" and data_row(body) == (_BEGIN.encode(),):
            part = []
        elif kind == "D" and data_row(body) == (_END.encode(),):
            assert part is not None
            yield b"".join(part)
            part = None
        elif part is not None:
            part.append(message(kind.encode(), body))


# --- all of them ------------------------------------------------------------------------------------------------------

_ODD = "(FORMAT csv, FORCE_QUOTE *, QUOTE '9', ESCAPE '3', DELIMITER '|')"
_EXTENDED = ("text", "binary")
_READ = ("cursor", "binary cursor")
_OUT = ("copy", "copy csv", "copy binary")

WAYS: tuple[Way, ...] = (
    Way("psql simple", ("simple",), _psql("{};"), cases=True),
    Way("psql extended", _EXTENDED, _psql("{} \\bind \\g", newest=True)),
    Way("psql prepared", _EXTENDED, _psql(*_NAMED, newest=True)),
    Way("psql cursor", _READ, _psql("BEGIN;", "DECLARE c CURSOR FOR {};", "FETCH 1 FROM c;", "FETCH ALL FROM c;", "ROLLBACK;")),
    Way("psql in pieces", _READ, _psql("\\set FETCH_COUNT 2", "{};")),
    Way("psql copy", _OUT, _psql("\\copy ({}) TO STDOUT")),
    Way("psql copy csv", _OUT, _psql(f"\\copy ({{}}) TO STDOUT {_ODD}")),
    Way("psycopg simple", ("simple",), _PSYCOPG.by(_client_side)),
    Way("psycopg text", _EXTENDED, _PSYCOPG.by(_prepared(binary=False), 2)),
    Way("psycopg binary", _EXTENDED, _PSYCOPG.by(_prepared(binary=True), 2), cases=True),
    Way("psycopg cursor", _READ, _PSYCOPG.by(_server_side(binary=False))),
    Way("psycopg binary cursor", _READ, _PSYCOPG.by(_server_side(binary=True))),
    Way("psycopg copy", _OUT, _PSYCOPG.by(_psycopg_copy(""))),
    Way("psycopg copy binary", _OUT, _PSYCOPG.by(_psycopg_copy("(FORMAT binary)"))),
    Way("asyncpg fetch", _EXTENDED, _ASYNCPG.by(_fetched, 2), cases=True),
    Way("asyncpg cursor", _READ, _ASYNCPG.by(_portal)),
    Way("asyncpg copy csv", _OUT, _ASYNCPG.by(_asyncpg_copy("csv"))),
    Way("asyncpg copy binary", _OUT, _ASYNCPG.by(_asyncpg_copy("binary"))),
)  # fmt: skip
