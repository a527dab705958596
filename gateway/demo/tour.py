"""The scripted tour: the whole story of a statement, played with a real psql and real clicks, each step checked.

    a masked SELECT, a held DELETE that is approved, an UPDATE that is denied, a TRUNCATE that expires, the audit, verify

It prints a transcript, each line when it happens, and returns whether every step held.
"""

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from bots.workspace.state import Message
from gateway.audit.log import verify
from gateway.demo.run import CHANNEL, HOST, Demo

Say = Callable[[str], object]
#: A step that takes longer has failed; on a slow machine each takes well under a second but for the one that expires.
STEP = 30.0
#: The tour's demo lets a TRUNCATE wait so long: one is to expire while people look on.
TRUNCATE_TIMEOUT = "4s"

INTRODUCTION = (
    "The cast: cursor, an AI agent with a psql; Bob and Dana, two DBAs in chat; the gateway in between.",
    "Lines with | are psql's output, #db-approvals is the channel where the cards are.",
)


@dataclass(slots=True)
class Psql:
    """A running psql whose lines are told as they come."""

    process: asyncio.subprocess.Process
    say: Say
    lines: list[str] = field(default_factory=list)

    async def until(self, words: str) -> None:
        """Listen until a line holds these words, or to the end."""
        async with asyncio.timeout(STEP):
            while await self._next() and words not in self.lines[-1]:
                pass

    async def output(self) -> str:
        """Listen to the end; all that it said."""
        async with asyncio.timeout(STEP):
            while await self._next():
                pass
            await self.process.wait()
        return "\n".join(self.lines)

    async def _next(self) -> bool:
        assert self.process.stdout is not None  # noqa: S101 - piped
        heard = await self.process.stdout.readline()
        if heard.strip():
            self.say(f"   | {heard.decode().rstrip()}")
        self.lines.append(heard.decode().rstrip())
        return bool(heard)


@dataclass(slots=True)
class Tour:
    """What has been seen so far; `problems` are the steps that did not hold."""

    demo: Demo
    say: Say
    problems: list[str] = field(default_factory=list)

    def check(self, holds: bool, what: str) -> None:
        self.say(f"   {'ok' if holds else 'FAILED'}: {what}")
        if not holds:
            self.problems.append(what)

    # --- the agent's side ---------------------------------------------------------------------------------------------

    async def psql(self, *statements: str, who: str = "cursor") -> Psql:
        """Start psql as this person with these statements; its output is one stream."""
        assert self.demo.postgres is not None  # noqa: S101 - started
        port = self.demo.gateway.ports.wire
        place = f"host={HOST} port={port} dbname=shop user=hoop sslmode=disable application_name={who}"
        for each in statements:
            self.say(f"   {who}> {each};")
        commands = [word for each in statements for word in ("-c", each)]
        process = await asyncio.create_subprocess_exec(
            str(self.demo.postgres.binaries / "psql"),
            "-X",
            place,
            *commands,
            env={**_environment(), "PGPASSWORD": self.demo.token(who)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return Psql(process, self.say)

    async def held(self, psql: Psql, card: int) -> Message:
        """Wait until psql is told that its statement waits, and for the `card`-th card in the channel."""
        await psql.until("DETAIL:  rule:")
        workspace = self.demo.workspace
        await workspace.wait_for(lambda: len(workspace.messages(CHANNEL)) >= card, STEP)
        message = workspace.messages(CHANNEL)[card - 1]
        self.say(f"   #db-approvals: {read_aloud(message.text)}")
        return message

    # --- the reviewers' side ------------------------------------------------------------------------------------------

    async def changed(self, ts: str, *words: str) -> str:
        """Wait until the card says one of these words; returns its text."""
        workspace = self.demo.workspace

        def text() -> str:
            message = next(each for each in workspace.messages(CHANNEL) if each.ts == ts)
            return message.text if any(word in message.text.lower() for word in words) else ""

        found = read_aloud(await workspace.wait_for(text, STEP))
        self.say(f"   #db-approvals, the same card: {found}")
        return found


def _environment() -> dict[str, str]:
    """Ours without what would make psql behave otherwise."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def read_aloud(text: str) -> str:
    """A message's text as people see it: dates by their fallback, which is in UTC."""
    return unescape(re.sub(r"<!date\^[^|>]*\|([^>]*)>", r"\1", text))


def table_lines(blocks: list[dict[str, Any]]) -> list[str]:
    """The rows of a message's table, in columns."""
    table = next(each["rows"] for each in blocks if each["type"] == "table")
    rows = [[_cell(cell) for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _cell(cell: dict[str, Any]) -> str:
    if cell["type"] == "raw_text":
        return str(cell["text"])
    return "".join(run.get("text") or run.get("fallback", "") for part in cell["elements"] for run in part["elements"])


async def play(demo: Demo, say: Say) -> bool:
    """Play the story; True if every step held."""
    tour = Tour(demo, say)
    for line in INTRODUCTION:
        say(line)
    for step in (
        _masked_select,
        _approved_delete,
        _denied_update,
        _refused_update,
        _expired_truncate,
        _asked,
        _verified,
    ):
        say("")
        try:
            await step(tour)
        except (TimeoutError, LookupError) as error:
            tour.check(False, f"{step.__name__.strip('_')} did not finish ({type(error).__name__})")
    say("")
    say("Every step held." if not tour.problems else f"{len(tour.problems)} checks did not hold.")
    return not tour.problems


async def _masked_select(tour: Tour) -> None:
    tour.say("1. The agent reads customers. Card numbers and keys are masked on the way.")
    text = await (await tour.psql("SELECT name, card_number, api_key FROM customers ORDER BY id LIMIT 3")).output()
    tour.check("(3 rows)" in text, "three rows came")
    tour.check("400000" not in text and "sk_live" not in text, "no card number and no key is in them")


async def _approved_delete(tour: Tour) -> None:
    tour.say("2. It deletes a customer. The statement waits on the wire until Bob, who sees its row, approves.")
    psql = await tour.psql("/* reason: customer 7 asked to be forgotten */ DELETE FROM customers WHERE id = 7")
    card = await tour.held(psql, 1)
    tour.say("   Bob clicks Approve.")
    await tour.demo.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
    text = await psql.output()
    tour.check("DELETE 1" in text, "the same statement went on and deleted one row")
    card_text = await tour.changed(card.ts, "executed")
    tour.check("committed" in card_text.lower(), "the card says that it was committed")


async def _denied_update(tour: Tour) -> None:
    tour.say("3. It changes prices inside a transaction. Dana denies, with a reason that reaches the agent.")
    psql = await tour.psql(
        "BEGIN", "UPDATE products SET price = 1 WHERE id < 4", "ROLLBACK", "SELECT 'still connected' AS session"
    )
    card = await tour.held(psql, 2)
    tour.say("   Dana clicks Deny and writes: Prices change in the catalogue service")
    await tour.demo.workspace.click("Dana", CHANNEL, card.ts, "hoop_deny")
    views = await tour.demo.workspace.wait_for(lambda: tour.demo.workspace.open_views("Dana"), STEP)
    await tour.demo.workspace.submit(views[0].id, "Dana", {"reason": "Prices change in the catalogue service"})
    text = await psql.output()
    tour.check("denied by dana@example.com: Prices change in the catalogue service" in text, "the reason came back")
    tour.check("ROLLBACK" in text and "still connected" in text, "ROLLBACK works and the session lives on")
    await tour.changed(card.ts, "denied")


async def _refused_update(tour: Tour) -> None:
    tour.say("4. It forgets a WHERE. Policy refuses that without asking anybody.")
    text = await (await tour.psql("UPDATE customers SET city = 'Oslo'")).output()
    tour.check("add a WHERE clause" in text, "the error says what would pass")


async def _expired_truncate(tour: Tour) -> None:
    tour.say("5. It empties a table, and nobody decides in time (4 s here). The wait ends in a refusal.")
    psql = await tour.psql("TRUNCATE order_items")
    card = await tour.held(psql, 3)
    tour.say("   Nobody clicks.")
    text = await psql.output()
    tour.check("expired" in text, "the statement was refused when the time was over")
    await tour.changed(card.ts, "expired")


async def _asked(tour: Tour) -> None:
    tour.say("6. Later Bob asks in chat what the agent did.")
    workspace = tour.demo.workspace
    seen = len(workspace.ephemerals("Bob"))
    tour.say("   Bob> /hoop audit user:cursor last:1h")
    await workspace.command("Bob", CHANNEL, "/hoop audit user:cursor last:1h")
    answer = (await workspace.wait_for(lambda: workspace.ephemerals("Bob")[seen:], STEP))[0]
    rows = table_lines(answer.blocks)
    tour.say(f"   to Bob alone: {read_aloud(answer.text)}")
    for line in rows:
        tour.say(f"   {line}")
    for words in ("executed, approved by bob@example.com", "denied by dana@example.com", "expired", "blocked by rule"):
        tour.check(any(words in row for row in rows), f"the answer says: {words}")


async def _verified(tour: Tour) -> None:
    tour.say("7. Is the record whole? Spool, store and checkpoints are checked against each other.")
    gateway = tour.demo.gateway
    await gateway.audit.checkpoint()
    report = await verify(gateway.store, gateway.settings.spool, gateway.settings.audit_key)
    for finding in report.findings:
        tour.say(f"   {finding}")
    tour.check(report.ok, f"every entry is there and unchanged: {sum(each.in_store or 0 for each in report.chains)}")
