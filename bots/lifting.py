"""`/hoop lift ID`: a reviewer of a denied request ends the cool-down that it has led to.

What lives here: the words. What does not: what a cool-down is (gateway.approvals.cooldown); the desk records it.
"""

from collections.abc import Callable

from bots.answers import Answer, Verb, Viewer
from bots.cards import title
from bots.commands import told
from bots.texts import line
from gateway.approvals.decisions import Decided, Lift
from gateway.approvals.desk import Desk

HELP = (
    "/hoop lift ID - after repeated denials: who asked may ask the same again before the cool-down ends by itself.",
)


class Lifting:
    """`clock` is Unix seconds."""

    def __init__(self, desk: Desk, clock: Callable[[], float]) -> None:
        self._desk = desk
        self._clock = clock

    def verb(self) -> Verb:
        """The command."""
        return Verb(self.answer, HELP)

    async def answer(self, text: str, viewer: Viewer) -> Answer:
        """Lift it, or say why not. Raises StoreUnavailable, and what the spool raises."""
        if not text:
            return Answer("Which request?", HELP)
        answer = await self._desk.decide(text, None, viewer.person, Lift(), viewer.front)
        if isinstance(answer, Decided):
            who = line(answer.request.requester.user, 80)
            return Answer(
                "Lifted", (f"{title(answer.request)}: {who} may ask this again. Each time is asked about anew.",)
            )
        return Answer("Nothing was lifted", (told(answer, viewer.person, self._clock()),))
