"""`/hoop revoke ...` and `/hoop grants`: taking back an approval or a grant, ending a session, and which grants there are.

What lives here: who sees which grant, who may end a session, the answers' words. What does not: who may revoke what
(gateway.approvals.granting), how a session ends (gateway.relay.endings). Whoever asks was looked up for this command.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from bots.answers import Answer, Verb, Viewer
from bots.cards import title
from bots.commands import no_groups, told
from bots.previews import Cell, Table
from bots.texts import count, line, moment
from gateway.approvals.decisions import Decided, Refused, Revoke, RevokeGrant
from gateway.approvals.desk import Desk
from gateway.approvals.entries import name_of
from gateway.approvals.request import ApprovalRequest, Person, Refusal, may_review, said, same_person
from gateway.audit.entry import Value
from gateway.errors import StoreUnavailable
from gateway.store.port import Ending, Standing

Row = Mapping[str, Value]

SHOWN = 20
REVOKE_HELP = (
    "/hoop revoke ID | grant ID | session ID [reason] - take back an approval, a grant, or end a session.",
    "/hoop revoke ID - an approved request that has not run yet. For its reviewers; who asked withdraws it.",
    "/hoop revoke grant ID - a shape's grant ends at once. For its reviewers, who gave it and who it was given to.",
    "/hoop revoke session ID - its client is told who and why (57P01), and what runs is cancelled. For reviewers.",
)
GRANTS_HELP = ("/hoop grants - which shapes may run again without a card, until when, and how often they did.",)
_NO_GRANT = {
    Refusal.NO_GRANT: "No grant was given with this request.",
    Refusal.ALREADY_DECIDED: "This grant is over already.",
    Refusal.NOT_A_REVIEWER: "Its reviewers, who gave it and who it was given to may revoke it. Nothing has changed.",
    Refusal.UNKNOWN_REQUEST: "The gateway does not know this grant.",
}
_NO_REVOCATION = {
    Refusal.NOT_A_REVIEWER: "Its reviewers may revoke its approval. Nothing has changed.",
    Refusal.OWN_REQUEST: "This is your own request: /hoop withdraw ID takes it back.",
    Refusal.UNKNOWN_REQUEST: "The gateway does not know this request.",
}


class Revoking:
    """`sessions` gives the session_started entries of what is open; `end` orders its replica to end one; `record` writes an
    audit entry; `auditor` tells who may end sessions."""

    def __init__(
        self,
        desk: Desk,
        sessions: Callable[[], Awaitable[Sequence[Row]]],
        end: Callable[[str, Ending], Awaitable[None]],
        *,
        record: Callable[..., object],
        auditor: Callable[[Person], bool],
        clock: Callable[[], float],
        scrub: Callable[[str], str] = str,
    ) -> None:
        self._desk = desk
        self._sessions = sessions
        self._end = end
        self._record = record
        self._auditor = auditor
        self._clock = clock
        self._scrub = scrub

    def verbs(self) -> dict[str, Verb]:
        """The commands by name."""
        return {"revoke": Verb(self.revoke, REVOKE_HELP), "grants": Verb(self.grants, GRANTS_HELP)}

    # Revoking ------------------------------------------------------------------------------------------------------

    async def revoke(self, text: str, viewer: Viewer) -> Answer:
        """Raises StoreUnavailable, and what `record` raises."""
        words = text.split(maxsplit=2)
        kinds = {"grant": self._grant, "session": self._session}
        if words and words[0].lower() in kinds:
            kind, (which, why) = kinds[words[0].lower()], (*words[1:], "", "")[:2]
        else:
            kind, (which, _, why) = self._approval, text.partition(" ")
        return await kind(which, why.strip(), viewer) if which else Answer("Revoke what?", REVOKE_HELP)

    async def _approval(self, request_id: str, why: str, viewer: Viewer) -> Answer:
        answer = await self._desk.decide(request_id, None, viewer.person, Revoke(why), viewer.front)
        if isinstance(answer, Decided):
            return Answer("Done", (f"{title(answer.request)}: its approval is revoked. Nothing ran.",))
        return Answer("Nothing was revoked", self._refused(answer, _NO_REVOCATION, viewer.person))

    async def _grant(self, request_id: str, why: str, viewer: Viewer) -> Answer:
        answer = await self._desk.decide(request_id, None, viewer.person, RevokeGrant(why), viewer.front)
        if isinstance(answer, Decided):
            asked = f"What {line(answer.request.requester.user, 80)} sends of it waits for people again"
            return Answer("Done", (f"{title(answer.request)}: the grant is over, on every replica. {asked}.",))
        return Answer("Nothing was revoked", self._refused(answer, _NO_GRANT, viewer.person))

    def _refused(self, answer: Refused, texts: Mapping[Refusal, str], person: Person) -> tuple[str, ...]:
        text = texts.get(answer.refusal)
        if text is None:
            return (told(answer, person, self._clock()),)
        return (f"{text} {no_groups(person) if answer.refusal is Refusal.NOT_A_REVIEWER else ''}".rstrip(),)

    async def _session(self, session: str, why: str, viewer: Viewer) -> Answer:
        by = name_of(viewer.person)
        if not self._auditor(viewer.person):
            about = {"session": session[:64], "decided_by": by, "via": viewer.front}
            self._record(kind="refused", **about, reason="not a reviewer: sessions are ended by reviewers")
            text = f"Only reviewers may end a session. {no_groups(viewer.person)}"
            return Answer("Nothing was ended", (text.rstrip(),))
        found = [row for row in await self._sessions() if row.get("session") == session]
        if not found:
            return Answer(f"No open session {line(session, 60)}", ("/hoop sessions lists those that are.",))
        reason = self._scrub(said(why))
        await self._ended(found[0], reason, viewer)
        return Answer(
            "Done", (f"Session {line(session, 60)} of {line(str(found[0].get('user', '')), 80)} is told to end now.",)
        )

    async def _ended(self, row: Row, reason: str, viewer: Viewer) -> None:
        """Written down first: an order that nobody can tell of is not given."""
        by, session = name_of(viewer.person), str(row["session"])
        about = {
            key: row[key] for key in ("session", "subject", "user", "groups", "agent", "client", "target") if key in row
        }
        self._record(kind="revoked", **about, decided_by=by, via=viewer.front, reason=reason or None)
        try:
            await self._end(session, Ending(said(by, 80), reason))
        except StoreUnavailable:
            self._record(kind="voided", session=session, reason="the order to end it was not confirmed by the store")
            raise

    # Looking -------------------------------------------------------------------------------------------------------

    async def grants(self, _text: str, viewer: Viewer) -> Answer:
        """The grants that the viewer gave, has, or may revoke. Raises StoreUnavailable, and what `record` raises."""
        standing = await self._desk.grants()
        seen = [each for each in standing if self._may_see(each.giver, viewer.person)]
        who = viewer.person
        self._record(
            kind="audit_read", subject=who.subject, user=who.user, query="grants", rows=len(seen), via=viewer.front
        )
        hidden = len(standing) - len(seen)
        lines = [f"{hidden:,} hidden: grants of others that you may not see"] if hidden else []
        lines += [] if seen else ["No shape is granted that you may see."]
        lines += [f"{len(seen) - SHOWN:,} later ones not shown here"] if len(seen) > SHOWN else []
        rows = tuple(_row(each) for each in seen[:SHOWN])
        columns = ("id", "what", "who", "given by", "until", "used", "rows each")
        return Answer(
            title=f"Grants: {count(len(seen), 'shape')}",
            lines=tuple(lines),
            table=Table(columns, rows) if rows else None,
            footer="/hoop show ID, /hoop revoke grant ID REASON" if rows else "",
        )

    def _may_see(self, giver: ApprovalRequest, person: Person) -> bool:
        return same_person(giver.requester, person) or may_review(giver, person) or self._auditor(person)


def _row(standing: Standing) -> tuple[Cell, ...]:
    giver, grant = standing.giver, standing.giver.grant
    if grant is None:  # the store gives none out that has no grant
        return ()
    used = f"{standing.used:,}" + ("" if grant.uses is None else f" of {grant.uses:,}")
    by = line(name_of(giver.approvals[-1].by), 60) if giver.approvals else "-"
    texts = (
        line(giver.id, 60),
        title(giver),
        line(giver.requester.user, 60),
        by,
        moment(grant.until, day=True),
        used,
        f"{grant.rows:,}",
    )
    return tuple(Cell(each) for each in texts)
