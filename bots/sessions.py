"""`/hoop sessions [filters]`: who is connected now, and what holds them up. Auditors see all, anybody else their own.

What lives here: which sessions are shown, and how. What does not: which are open (the store, by the record of all replicas).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from bots.answers import Answer, Verb, Viewer
from bots.commands import owner_of
from bots.previews import Cell, Table
from bots.texts import count, line, moment, visible
from gateway.approvals.request import ApprovalRequest, Person
from gateway.audit.entry import Value
from gateway.audit.query import QueryError, admits, parse

Row = Mapping[str, Value]

#: Filters of the audit grammar that say something about a session.
KEYS = ("user", "who", "app", "db", "ip", "session")
SHOWN = 20
HELP = (
    "/hoop sessions [filters] - who is connected now.",
    "Filters: user: app: db: ip: session: (a leading - excludes).",
    "Example: /hoop sessions user:ann@* db:shop",
    "/hoop revoke session ID [reason] ends one (reviewers).",
)


class Sessions:
    """`open_` gives the session_started entries of what is open, newest first; `pending` the requests that wait."""

    def __init__(
        self,
        open_: Callable[[], Awaitable[Sequence[Row]]],
        pending: Callable[[], Awaitable[list[ApprovalRequest]]],
        *,
        record: Callable[..., object],
        auditor: Callable[[Person], bool],
        clock: Callable[[], float],
    ) -> None:
        self._open = open_
        self._pending = pending
        self._record = record
        self._auditor = auditor
        self._clock = clock

    def verb(self) -> Verb:
        """The command."""
        return Verb(self.answer, HELP)

    async def answer(self, text: str, viewer: Viewer) -> Answer:
        """The sessions that match and that the viewer may see. Raises StoreUnavailable, and what `record` raises."""
        try:
            query = parse(text, self._clock())
        except QueryError as error:
            return Answer("These filters can't be read", code=visible(str(error), keep="\n"))
        other = [each.key for each in query.filters if each.key not in KEYS]
        if other:
            return Answer(f"Sessions have no {line(other[0], 20)}:", HELP[1:])
        who = viewer.person
        rows, owner = await self._open(), owner_of(who)
        theirs = [row for row in rows if self._auditor(who) or owner.has(row)]
        seen = [row for row in theirs if admits(query, row)]
        self._record(
            kind="audit_read",
            subject=who.subject,
            user=who.user,
            query=f"sessions {text}".strip()[:2000],
            rows=len(seen),
            via=viewer.front,
        )
        return _drawn(seen, len(rows) - len(theirs), await self._pending())


def _drawn(seen: list[Row], hidden: int, pending: list[ApprovalRequest]) -> Answer:
    lines = [f"{hidden:,} hidden: sessions of others, matching or not"] if hidden else []
    lines += [f"{len(seen) - SHOWN:,} older not shown here: narrow it with user: or db:"] if len(seen) > SHOWN else []
    lines += [] if seen else ["No session that you may see matches."]
    held = {(each.replica, each.session): each.id for each in pending}
    rows = tuple(_row(row, held) for row in seen[:SHOWN])
    return Answer(
        title=f"Sessions: {count(len(seen), 'open session')}",
        lines=tuple(lines),
        table=Table(("session", "who", "target", "since", "waits for"), rows) if rows else None,
    )


def _row(row: Row, held: Mapping[tuple[str, str], str]) -> tuple[Cell, ...]:
    session, agent = str(row.get("session")), row.get("agent")
    via = f" (via {agent})" if agent and agent != row.get("user") else ""
    texts = (
        session,
        f"{row.get('user', '')}{via}",
        str(row.get("target", "")),
        moment(datetime.fromisoformat(str(row["at"])).timestamp(), day=True),
        held.get((str(row.get("replica")), session), "-"),
    )
    return tuple(Cell(text if column == 3 else line(text, 60)) for column, text in enumerate(texts))
