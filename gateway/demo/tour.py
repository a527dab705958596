"""The scripted tour: the whole story of a statement, played with a real psql and real clicks, each step checked.

    a masked SELECT, a held DELETE that is approved, an UPDATE that is denied, a TRUNCATE that expires, the audit, verify

It prints a transcript and returns whether every step held.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from bots.workspace.state import Message
from gateway.audit.log import verify
from gateway.demo.run import CHANNEL, HOST, Demo

Say = Callable[[str], object]
#: A step that takes longer has failed; on a slow machine each takes well under a second but for the one that expires.
STEP = 30.0


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

    async def psql(self, *statements: str, who: str = "cursor") -> asyncio.subprocess.Process:
        """Start psql as this person with these statements; its output is one stream."""
        assert self.demo.postgres is not None  # noqa: S101 - started
        port = self.demo.gateway.ports.wire
        place = f"host={HOST} port={port} dbname=shop user=hoop sslmode=disable application_name={who}"
        commands = [word for each in statements for word in ("-c", each)]
        return await asyncio.create_subprocess_exec(
            str(self.demo.postgres.binaries / "psql"),
            "-X",
            place,
            *commands,
            env={**_environment(), "PGPASSWORD": self.demo.token(who)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def output(self, psql: asyncio.subprocess.Process) -> str:
        async with asyncio.timeout(STEP):
            out, _ = await psql.communicate()
        text = out.decode().rstrip()
        for line in text.splitlines():
            self.say(f"   | {line}")
        return text

    # --- the reviewers' side ------------------------------------------------------------------------------------------

    async def card(self, count: int) -> Message:
        """Wait for the `count`-th card in the channel."""
        workspace = self.demo.workspace
        await workspace.wait_for(lambda: len(workspace.messages(CHANNEL)) >= count, STEP)
        message = workspace.messages(CHANNEL)[count - 1]
        self.say(f"   chat: {message.text}")
        return message

    async def changed(self, ts: str, *words: str) -> str:
        """Wait until the card says one of these words; returns its text."""
        workspace = self.demo.workspace

        def text() -> str:
            message = next(each for each in workspace.messages(CHANNEL) if each.ts == ts)
            return message.text if any(word in message.text.lower() for word in words) else ""

        found = await workspace.wait_for(text, STEP)
        self.say(f"   chat: {found}")
        return found


def _environment() -> dict[str, str]:
    """Ours without what would make psql behave otherwise."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


async def play(demo: Demo, say: Say) -> bool:
    """Play the story; True if every step held."""
    tour = Tour(demo, say)
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
        except (TimeoutError, StopIteration, LookupError) as error:
            tour.check(False, f"{step.__name__.strip('_')} did not finish ({type(error).__name__})")
    say("")
    say("Every step held." if not tour.problems else f"{len(tour.problems)} steps did not hold.")
    return not tour.problems


async def _masked_select(tour: Tour) -> None:
    tour.say("1. The agent `cursor` reads customers. Card numbers and keys are masked on the way.")
    text = await tour.output(await tour.psql("SELECT name, card_number, api_key FROM customers ORDER BY id LIMIT 3"))
    tour.check("(3 rows)" in text, "three rows came")
    tour.check("400000" not in text and "sk_live" not in text, "no card number and no key is in them")


async def _approved_delete(tour: Tour) -> None:
    tour.say("2. It deletes a customer. The statement waits on the wire; Bob, a DBA, sees a card and approves.")
    psql = await tour.psql("/* reason: customer 7 asked to be forgotten */ DELETE FROM customers WHERE id = 7")
    card = await tour.card(1)
    await tour.demo.workspace.click("Bob", CHANNEL, card.ts, "hoop_approve")
    text = await tour.output(psql)
    tour.check("DELETE 1" in text, "the same statement went on and deleted one row")
    card_text = await tour.changed(card.ts, "executed")
    tour.check("committed" in card_text.lower(), "the card says that it was committed")


async def _denied_update(tour: Tour) -> None:
    tour.say("3. It changes prices inside a transaction. Dana denies, with a reason that reaches the agent.")
    psql = await tour.psql(
        "BEGIN", "UPDATE products SET price = 1 WHERE id < 4", "ROLLBACK", "SELECT 'still connected'"
    )
    card = await tour.card(2)
    await tour.demo.workspace.click("Dana", CHANNEL, card.ts, "hoop_deny")
    views = await tour.demo.workspace.wait_for(lambda: tour.demo.workspace.open_views("Dana"), STEP)
    await tour.demo.workspace.submit(views[0].id, "Dana", {"reason": "Prices change in the catalogue service"})
    text = await tour.output(psql)
    tour.check("denied by dana@example.com: Prices change in the catalogue service" in text, "the reason came back")
    tour.check("ROLLBACK" in text and "still connected" in text, "ROLLBACK works and the session lives on")
    await tour.changed(card.ts, "denied")


async def _refused_update(tour: Tour) -> None:
    tour.say("4. It forgets a WHERE. Policy refuses that without asking anybody.")
    text = await tour.output(await tour.psql("UPDATE customers SET city = 'Oslo'"))
    tour.check("add a WHERE clause" in text, "the error says what would pass")


async def _expired_truncate(tour: Tour) -> None:
    tour.say("5. It empties a table, and nobody decides in time: waiting ends in a refusal, never in a release.")
    psql = await tour.psql("TRUNCATE order_items")
    card = await tour.card(3)
    text = await tour.output(psql)
    tour.check("expired" in text, "the statement was refused when the time was over")
    await tour.changed(card.ts, "expired")


async def _asked(tour: Tour) -> None:
    tour.say("6. Later Bob asks in chat what `cursor` did.")
    workspace = tour.demo.workspace
    seen = len(workspace.ephemerals("Bob"))
    await workspace.command("Bob", CHANNEL, "/hoop audit user:cursor last:1h")
    answer = (await workspace.wait_for(lambda: workspace.ephemerals("Bob")[seen:], STEP))[0]
    for line in answer.text.splitlines():
        tour.say(f"   chat: {line}")
    tour.check("DELETE" in str(answer.blocks), "the DELETE is in the answer")


async def _verified(tour: Tour) -> None:
    tour.say("7. Is the record whole? Spool, store and checkpoints are checked against each other.")
    gateway = tour.demo.gateway
    await gateway.audit.checkpoint()
    report = await verify(gateway.store, gateway.settings.spool, gateway.settings.audit_key)
    tour.check(report.ok, f"hoop audit verify: {sum(each.in_store or 0 for each in report.chains)} entries intact")
