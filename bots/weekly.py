"""The weekly summary: how long reviewers took, what they approved, and how often within five seconds.

What lives here: counting, words, and when which channel is told. Each summary is posted once, whichever replica does it: the store
keeps who has begun and what is done. Only reviewers as the policy names them are counted, no single person.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Protocol

import structlog

from bots.answers import Answer
from bots.previews import Cell, Table
from bots.texts import count, line, span
from gateway.approvals.outbox import Front, PermanentFailure
from gateway.approvals.request import ApprovalRequest, State
from gateway.errors import StoreUnavailable

log = structlog.get_logger()

WEEK = timedelta(days=7)
#: When the week before is told: on Monday, in UTC.
_TOLD_AT = timedelta(hours=9)
#: An approval within so many seconds was hardly read.
FAST = 5.0
#: Seconds between two looks at whether it is time; and until another replica may try what one has begun.
LOOK_EVERY, CLAIMED = 300.0, 600.0
#: A decision may come so many seconds after its request was opened (the longest `keep_for` is rarely this long).
_WAITED = 86_400.0
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Tally:
    """Decisions of one name of reviewers. `median` is in seconds; `fast` are approvals within FAST."""

    reviewers: str
    decisions: int
    median: float
    approved: int
    fast: int


class Shelf(Protocol):
    """What is needed of the store."""

    async def asked(self, since: float, before: tuple[float, str] | None, limit: int) -> list[ApprovalRequest]: ...

    async def claim(self, chore: str, seconds: float) -> bool: ...

    async def done(self, chore: str) -> None: ...


def decisions_of(request: ApprovalRequest) -> list[tuple[float, bool]]:
    """(when, was it an approval) of each decision that a person made; using a grant is none."""
    found = [] if request.under else [(each.at, True) for each in request.approvals]
    if request.state is State.DENIED and request.decided_at is not None:
        found.append((request.decided_at, False))
    return found


def tallied(requests: Iterable[ApprovalRequest], since: float, until: float) -> list[Tally]:
    """One Tally for each name of reviewers that has decided anything from `since` to `until` (Unix seconds), by name."""
    took: dict[str, list[tuple[float, bool]]] = {}
    for request in requests:
        made = [(at - request.opened_at, yes) for at, yes in decisions_of(request) if since <= at < until]
        took.setdefault(request.reviewers, []).extend(made)
    return [_tally(name, made) for name, made in sorted(took.items()) if made]


def _tally(name: str, made: list[tuple[float, bool]]) -> Tally:
    approved = [seconds for seconds, yes in made if yes]
    fast = sum(seconds < FAST for seconds in approved)
    return Tally(name, len(made), median(max(0.0, seconds) for seconds, _ in made), len(approved), fast)


def told(tally: Tally, since: float, until: float) -> str:
    """The summary as a text."""
    days = " to ".join(f"{datetime.fromtimestamp(at, UTC):%d %b}" for at in (since, until - 1))
    fast = (
        f"{count(tally.fast, 'approval')} came within {FAST:g} s: was that enough to read it?"
        if tally.fast
        else f"No approval came within {FAST:g} s."
    )
    return (
        f"Decisions of {line(tally.reviewers, 60)}, {days}: {count(tally.decisions, 'decision')}, "
        f"half of them within {span(tally.median)}; {_percent(tally)} approved. {fast}"
    )


def answer(tallies: list[Tally]) -> Answer:
    """The same of the last seven days, for a command."""
    if not tallies:
        return Answer("Decisions of the last 7 days", ("Nothing was decided.",))
    rows = tuple(
        tuple(
            map(
                Cell,
                (line(each.reviewers, 60), f"{each.decisions:,}", span(each.median), _percent(each), f"{each.fast:,}"),
            )
        )
        for each in tallies
    )
    columns = ("reviewers", "decisions", "median", "approved", f"under {FAST:g} s")
    return Answer("Decisions of the last 7 days", table=Table(columns, rows))


def _percent(tally: Tally) -> str:
    return f"{round(100 * tally.approved / tally.decisions)}%"


def week_before(now: float) -> tuple[float, float] | None:
    """The last whole week (Monday to Monday, UTC) if it is time to tell of it, else None."""
    today = datetime.fromtimestamp(now, UTC)
    monday = today.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=today.weekday())
    if today < monday + _TOLD_AT:
        return None
    return (monday - WEEK).timestamp(), monday.timestamp()


class Weekly:
    """`channels` gives name of reviewers -> channels, as the policy of now says; `clock` is Unix seconds."""

    def __init__(
        self,
        shelf: Shelf,
        fronts: Mapping[str, Front],
        channels: Callable[[], Mapping[str, tuple[str, ...]]],
        clock: Callable[[], float],
    ) -> None:
        self._shelf = shelf
        self._fronts = fronts
        self._channels = channels
        self._clock = clock

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            try:
                await self.tell()
            except StoreUnavailable:
                log.warning("weekly.store_away")
            await asyncio.sleep(LOOK_EVERY)

    async def last_days(self) -> list[Tally]:
        """Of the last seven days. Raises StoreUnavailable."""
        now = self._clock()
        return await self._tallied(now - WEEK.total_seconds(), now)

    async def tell(self) -> None:
        """Post what is due and has not been posted. Raises StoreUnavailable."""
        period = week_before(self._clock())
        if period is None:
            return
        since, until = period
        tallies: dict[str, Tally] | None = None
        for name, channels in self._channels().items():
            for channel in channels:
                chore = f"weekly {datetime.fromtimestamp(since, UTC):%Y-%m-%d} {name} {channel}"
                if not await self._shelf.claim(chore, CLAIMED):
                    continue
                if tallies is None:
                    tallies = {each.reviewers: each for each in await self._tallied(since, until)}
                if name not in tallies or await self._post(channel, told(tallies[name], since, until)):
                    await self._shelf.done(chore)

    async def _post(self, channel: str, text: str) -> bool:
        """False: it may be tried again."""
        platform, _, place = channel.partition(":")
        front = self._fronts.get(platform)
        if front is None:
            return True
        try:
            await front.say(place, text)
        except PermanentFailure as error:
            log.warning("weekly.not_posted", channel=channel, error=str(error))
        except Exception as error:  # a front may fail in any way
            log.warning("weekly.not_posted", channel=channel, error=type(error).__name__)
            return False
        return True

    async def _tallied(self, since: float, until: float) -> list[Tally]:
        return tallied([each async for each in self._asked(since - _WAITED)], since, until)

    async def _asked(self, since: float) -> AsyncIterator[ApprovalRequest]:
        """In pages, with room for others between them: reading thousands of requests takes a while."""
        before: tuple[float, str] | None = None
        while page := await self._shelf.asked(since, before, _PAGE):
            for each in page:
                yield each
            before = (page[-1].opened_at, page[-1].id)
            await asyncio.sleep(0)
