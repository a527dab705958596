"""`/hoop status`: is the gateway well, and what waits? For everybody; names of machines and of lost cards for auditors.

What lives here: the words. What does not: how a part is looked at (whoever makes a Status hands that in). Nothing is
recorded: no record is shown.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bots.answers import Answer, Verb, Viewer
from bots.texts import count, line, moment, span
from bots.weekly import Tally
from bots.weekly import answer as weekly
from gateway.approvals.health import ChatHealth
from gateway.approvals.request import ApprovalRequest, Person
from gateway.errors import StoreUnavailable
from gateway.store.port import Backlog, Post

HELP = (
    "/hoop status - is the gateway well, and what waits?",
    "/hoop status week - how reviewers decided in the last seven days: how many, how fast, how much they approved.",
)
OK = "ok"
#: Lost cards, and replicas, that are named.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What the store says of all replicas at one moment."""

    replicas: tuple[str, ...]
    pending: tuple[ApprovalRequest, ...]
    backlog: Backlog
    parked: tuple[Post, ...]


class Status:
    """`parts` tells of each dependency "ok" or what is wrong; `look` asks the store; `proof` says how the log stands: a sentence,
    and whether it is well; `week` how reviewers decided in the last days; `chats` how each
    chat that is set up takes what this process sends, None where it was sent nothing yet; `clock` is Unix seconds."""

    def __init__(
        self,
        parts: Callable[[], Awaitable[Mapping[str, str]]],
        look: Callable[[], Awaitable[Look]],
        proof: Callable[[], Awaitable[tuple[str, bool]]],
        week: Callable[[], Awaitable[list[Tally]]],
        chats: Callable[[], Mapping[str, ChatHealth | None]],
        *,
        auditor: Callable[[Person], bool],
        clock: Callable[[], float],
    ) -> None:
        self._parts = parts
        self._look = look
        self._proof = proof
        self._week = week
        self._chats = chats
        self._auditor = auditor
        self._clock = clock

    def verb(self) -> Verb:
        """The command."""
        return Verb(self.answer, HELP)

    async def answer(self, text: str, viewer: Viewer) -> Answer:
        """A line a part. A store that is away is an answer, too, but not for `week` (StoreUnavailable)."""
        if text:
            return weekly(await self._week()) if text.lower() == "week" else Answer("Which status?", HELP)
        parts = await self._parts()
        troubles = [name for name, state in parts.items() if state != OK]
        lines = [f"{name.capitalize()}: {line(state, 200)}" for name, state in parts.items()]
        chats, full = self._chats(), self._auditor(viewer.person)
        lines += [_chat(name, health, full) for name, health in chats.items()]
        troubles += [name for name, health in chats.items() if health is not None and health.failures]
        try:
            look, (proof, whole) = await self._look(), await self._proof()
        except StoreUnavailable:
            return Answer(_title({"store", *troubles}), (*lines, "The rest is in the store, which does not answer."))
        lines += [_replicas(look, full), _pending(look, self._clock())]
        lines += [_cards(look), *(_lost(look.parked) if full else ()), proof]
        troubles += ["cards"] if look.backlog.parked else []
        troubles += [] if whole else ["audit log"]
        return Answer(_title(set(troubles)), tuple(lines))


def _title(troubles: set[str]) -> str:
    return f"Status: look at {', '.join(sorted(troubles))}" if troubles else "Status: all is well"


def _replicas(look: Look, full: bool) -> str:
    names = f": {', '.join(line(each, 60) for each in look.replicas[:_NAMED])}" if full and look.replicas else ""
    more = f" and {len(look.replicas) - _NAMED} more" if full and len(look.replicas) > _NAMED else ""
    return f"Running: {count(len(look.replicas), 'replica')}{names}{more}"


def _pending(look: Look, now: float) -> str:
    if not look.pending:
        return "Waiting for a decision: nothing"
    oldest = span(max(0.0, now - min(each.opened_at for each in look.pending)))
    return f"Waiting for a decision: {count(len(look.pending), 'request')}, the oldest for {oldest}"


def _chat(name: str, health: ChatHealth | None, full: bool) -> str:
    """Errors name channels, so they are for auditors."""
    if health is None:
        return f"{name.capitalize()}: set up, nothing sent from here yet"
    last = (
        "no card sent from here yet" if health.last_ok is None else f"last card sent {moment(health.last_ok, day=True)}"
    )
    if not health.failures:
        return f"{name.capitalize()}: {last}"
    error = f", the last: {line(health.last_error, 200)}" if full else ""
    away = "; it seems to be away, so a new card is tried once and not for long" if health.is_away() else ""
    return f"{name.capitalize()}: {last}, {count(health.failures, 'failure')} since{error}{away}"


def _cards(look: Look) -> str:
    waiting, lost = look.backlog.waiting, look.backlog.parked
    if not (waiting or lost):
        return "Cards: all are shown as they should be"
    due = f"{waiting:,} to be shown or redrawn" if waiting else "none waits"
    return f"Cards: {due}, {count(lost, 'card')} given up" if lost else f"Cards: {due}"


def _lost(parked: tuple[Post, ...]) -> list[str]:
    named = [f"Given up: {each.request}, {line(each.last_error, 200)}" for each in parked]
    return named[:_NAMED]
