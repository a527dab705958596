"""Real drivers behind a tap: what their sockets get is kept, whatever the driver makes of it.

What must not live here: what a secret is (test_masking.py).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psycopg

#: Texts of the corpus whose first column is text or json: every driver can ask and read them.
QUERIES = (
    "SELECT card FROM vault WHERE id = 2",
    "SELECT reverse(card) FROM vault WHERE id = 2",
    "SELECT row_to_json(v)::text FROM vault v WHERE id = 1",
    "SELECT substr(card, 1, 8) || encode(card::bytea, 'hex') FROM vault WHERE id = 1",
    "SELECT pin::text || amount::text FROM vault WHERE id = 1",
    "WITH c AS (SELECT card AS x FROM vault WHERE id = 1) SELECT upper(x) FROM c",
    "SELECT string_agg(card, '') FROM vault",
    "SELECT drac FROM made",
)
_TIMES = 5

#: (port, token, directory of psql, queries) -> the first value of each answer.
Client = Callable[[int, str, Path | None, Sequence[str]], Awaitable[list[str]]]


class Tap:
    """A relay of bytes to a port; `heard` is all that came back. It ends when its clients have gone."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._serving = set[asyncio.Task[object]]()
        self.heard = bytearray()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator["Tap"]:
        tap = cls(port)
        server = await asyncio.start_server(tap._serve, "127.0.0.1", 0)
        tap.port = server.sockets[0].getsockname()[1]
        async with server:
            yield tap
            await asyncio.gather(*tap._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        back, on = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pass(reader, on), self._pass(back, writer, self.heard))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None = None) -> None:
        try:
            while data := await reader.read(1 << 16):
                if kept is not None:
                    kept += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


def _place(port: int) -> str:
    return f"host=127.0.0.1 port={port} dbname=shop user=hoop sslmode=disable"


def psql_environment(token: str) -> dict[str, str]:
    """This process' environment without what psql would take for settings, and with the password."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return own | {"PGPASSWORD": token, "PGCLIENTENCODING": "UTF8"}


async def psql(port: int, token: str, binaries: Path | None, queries: Sequence[str]) -> list[str]:
    assert binaries is not None
    command = [str(binaries / "psql"), "-X", "-At", "-d", _place(port)]
    command += [word for each in queries for _ in range(_TIMES) for word in ("-c", each)]
    environment = psql_environment(token)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    return told.decode().splitlines()


async def _psycopg(port: int, token: str, queries: Sequence[str], *, binary: bool) -> list[str]:
    place = _place(port)
    async with await psycopg.AsyncConnection.connect(
        place, password=token, autocommit=True, prepare_threshold=2
    ) as own:
        found = []
        for each in queries:
            for _ in range(_TIMES):
                (value,) = (await (await own.cursor(binary=binary).execute(each.encode())).fetchone()) or ("",)
                found.append(str(value))
        return found


async def psycopg_text(port: int, token: str, _binaries: Path | None, queries: Sequence[str]) -> list[str]:
    return await _psycopg(port, token, queries, binary=False)


async def psycopg_binary(port: int, token: str, _binaries: Path | None, queries: Sequence[str]) -> list[str]:
    return await _psycopg(port, token, queries, binary=True)


async def asyncpg_cached(port: int, token: str, _binaries: Path | None, queries: Sequence[str]) -> list[str]:
    own = await asyncpg.connect(host="127.0.0.1", port=port, user="hoop", database="shop", password=token, ssl=False)
    try:
        return [str(await own.fetchval(each)) for each in queries for _ in range(_TIMES)]
    finally:
        await own.close()


CLIENTS: tuple[Client, ...] = (psql, psycopg_text, psycopg_binary, asyncpg_cached)
