"""MCP servers for PostgreSQL as an agent's configuration starts them: over standard input and output, with a URL.

What comes back for a read, and for a write. docs/drivers.md says it in words.
"""

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import npm
from tests.e2e.safe import Safe
from tests.e2e.stack import Stack

ROOT = Path(__file__).parents[2]
#: A server that starts on a busy machine.
STEP = 60.0


@dataclass
class Server:
    """A started server; `call` is a tool call, its answer's `text` and whether it is an error."""

    process: asyncio.subprocess.Process
    ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self.ids)
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters})
        assert self.process.stdout is not None
        async with asyncio.timeout(STEP):
            while line := await self.process.stdout.readline():
                answer: dict[str, Any] = json.loads(line)
                if answer.get("id") == number:
                    return answer
        assert self.process.stderr is not None
        raise AssertionError((await self.process.stderr.read()).decode())

    def _send(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")

    async def greet(self) -> None:
        client = {"name": "tests", "version": "1"}
        await self.ask("initialize", protocolVersion="2024-11-05", capabilities={}, clientInfo=client)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def call(self, tool: str, sql: str) -> str:
        """The text of the answer, or of the error."""
        answer = await self.ask("tools/call", name=tool, arguments={"sql": sql})
        if "error" in answer:
            return str(answer["error"]["message"])
        return "".join(each["text"] for each in answer["result"]["content"])


@asynccontextmanager
async def serving(*command: str, **environment: str) -> AsyncIterator[Server]:
    pipe = asyncio.subprocess.PIPE
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    process = await asyncio.create_subprocess_exec(
        *command, env={**clean, **environment}, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        server = Server(process)
        await server.greet()
        yield server
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def url(stack: Stack, safe: Safe) -> str:
    token = stack.long_token("cursor")
    return f"postgresql://hoop:{token}@{stack.host}:{safe.port}/shop?sslmode=verify-full&sslrootcert={safe.certificate}"


READ = "SELECT id, card_number FROM customers WHERE id = 11"
DELETE = "DELETE FROM ledger WHERE id = {}"


def masked(stack: Stack) -> str:
    ((card_number,),) = stack.ask("SELECT card_number FROM customers WHERE id = 11")
    return f"**** **** **** {card_number[-4:]}"


def still_there(stack: Stack, row: int) -> bool:
    return stack.ask("SELECT count(*) FROM ledger WHERE id = %s", row) == [(1,)]


async def test_npm_reads_and_cannot_write(stack: Stack, safe: Safe) -> None:
    """@modelcontextprotocol/server-postgres wraps each statement in BEGIN TRANSACTION READ ONLY: even an approved write fails."""
    why = npm.missing("@modelcontextprotocol/server-postgres")
    if why:
        pytest.skip(why)
    first = stack.ids()
    program = npm.NODE / "node_modules/@modelcontextprotocol/server-postgres/dist/index.js"
    async with serving("node", str(program), url(stack, safe)) as server:
        listed = (await server.ask("resources/list"))["result"]["resources"]
        assert "ledger" in {each["uri"].split("/")[3] for each in listed}
        assert json.loads(await server.call("query", READ)) == [{"id": 11, "card_number": masked(stack)}]
        writing = asyncio.create_task(server.call("query", DELETE.format(first)))
        assert await stack.approve("Bob", await stack.card()) == 200
        assert await writing == "cannot execute DELETE in a read-only transaction"
        assert json.loads(await server.call("query", READ)) == [{"id": 11, "card_number": masked(stack)}]
    assert still_there(stack, first)


@pytest.fixture
def postgres_mcp() -> str:
    found = shutil.which("postgres-mcp", path=os.pathsep.join((str(ROOT / ".venv-mcp/bin"), os.environ["PATH"])))
    return found or pytest.skip("needs postgres-mcp, which needs Python 3.12: make .venv-mcp/.ready PYTHON312=...")


@pytest.mark.heavy
async def test_pypi_unrestricted(stack: Stack, safe: Safe, postgres_mcp: str) -> None:
    """postgres-mcp reads and, approved, writes; a denial is the answer of the tool, with who and why."""
    first = stack.ids()
    async with serving(postgres_mcp, "--access-mode=unrestricted", DATABASE_URI=url(stack, safe)) as server:
        assert masked(stack) in await server.call("execute_sql", READ)
        writing = asyncio.create_task(server.call("execute_sql", DELETE.format(first)))
        assert await stack.approve("Bob", await stack.card()) == 200
        assert await writing == "No results"
        assert not still_there(stack, first)
        writing = asyncio.create_task(server.call("execute_sql", DELETE.format(first + 1)))
        await stack.deny("Dana", await stack.card(), "not on a Friday")
        assert (await writing).startswith("Error: denied by dana@example.com: not on a Friday\nDETAIL:")
        assert masked(stack) in await server.call("execute_sql", READ)
    assert still_there(stack, first + 1)


@pytest.mark.heavy
async def test_pypi_restricted(stack: Stack, safe: Safe, postgres_mcp: str) -> None:
    """It refuses a write by itself, so nobody is asked; its own look at the database's health is all reads."""
    first = stack.ids()
    async with serving(postgres_mcp, "--access-mode=restricted", DATABASE_URI=url(stack, safe)) as server:
        assert masked(stack) in await server.call("execute_sql", READ)
        assert "Error validating query" in await server.call("execute_sql", DELETE.format(first))
        health = await server.ask("tools/call", name="analyze_db_health", arguments={"health_type": "all"})
        assert "Connections healthy" in health["result"]["content"][0]["text"]
    assert not [each for each in stack.entries(kind="held", user="cursor") if str(first) in each["sql"]]
    assert still_there(stack, first)
