"""What commands are made of: a further command is answered, listed, helped with and found when its name is mistyped."""

from bots.answers import Answer, Verb, Viewer
from bots.commands import Commands
from gateway.approvals.desk import Desk
from gateway.store.memory import MemoryStore
from tests.bots.samples import BOB, NOW
from tests.fakes.stores import ListSpool


async def weigh(text: str, viewer: Viewer) -> Answer:
    return Answer(f"{viewer.person.user} weighs {text}")


def commands() -> Commands:
    store = MemoryStore(lambda: NOW)
    desk = Desk(store, ListSpool(), clock=lambda: NOW, link_max_age=60.0)

    async def proof() -> str:
        return ""

    return Commands(
        desk, store.audit, record=print, proof=proof, auditor=lambda _: False, cursor_key=b"c" * 32, clock=lambda: NOW,
        more={"weigh": Verb(weigh, ("/hoop weigh THING - how heavy.", "Example: /hoop weigh it"))},
    )  # fmt: skip


async def test_a_further_command_is_a_command_like_any_other() -> None:
    made, viewer = commands(), Viewer(BOB, "slack")
    assert (await made.answer("weigh  the cat", viewer)).title == f"{BOB.user} weighs the cat"
    assert (await made.answer("WEIGH\nit", viewer)).title == f"{BOB.user} weighs it"
    assert (await made.answer("help weigh", viewer)).lines[1] == "Example: /hoop weigh it"
    assert "/hoop weigh THING - how heavy." in (await made.answer("help", viewer)).lines
    mistyped = await made.answer("wiegh it", viewer)
    assert mistyped.title == "Unknown command wiegh"
    assert mistyped.lines == ("Did you mean /hoop weigh?", "/hoop weigh THING - how heavy.")
