"""What concerns one person just now: what waits for their decision, what they have asked, how that ended. For a chat's home page.

What lives here: which requests, in which order, in which words. What does not: any chat's layout. Nobody sees anything here but their
own requests and those that they may review, and no SQL: a title says what and where. Each look is recorded, as a command's is.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bots.answers import Viewer
from bots.cards import title
from bots.commands import no_groups
from bots.outcomes import lasting
from bots.texts import count, line, moment
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Person, State, may_review, same_person
from gateway.store.port import Standing

#: Requests of a part that are shown; the rest is counted.
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One request: what it is and how it stands, both literal texts. `request` is what it can be looked at by, None for nothing;
    `grant`: this is about its grant, which can be revoked."""

    title: str
    text: str
    request: ApprovalRequest | None = None
    grant: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A heading, what is below it, and what is said there: `note` for what is left out, or that there is nothing."""

    title: str
    items: tuple[Item, ...]
    note: str = ""


#: Further parts: what somebody else knows of this person.
Further = Callable[[Viewer], Awaitable[Sequence[Part]]]


class Home:
    """`record` writes an audit entry and raises if it can't; `clock` is Unix seconds. `further` come behind what waits."""

    def __init__(
        self,
        desk: Desk,
        *,
        record: Callable[..., object],
        clock: Callable[[], float],
        further: Sequence[Further] = (),
    ) -> None:
        self._desk = desk
        self._record = record
        self._clock = clock
        self._further = further

    async def look(self, viewer: Viewer) -> list[Part]:
        """Everything, the urgent first. Raises StoreUnavailable, and what `record` raises."""
        who, now = viewer.person, self._clock()
        waiting = [each for each in await self._desk.pending(1000) if now < each.expires_at]
        mine = [each for each in waiting if same_person(each.requester, who)]
        theirs = [each for each in waiting if may_review(each, who) and not same_person(each.requester, who)]
        ended = [each for each in await self._desk.asked_by(who, 2 * SHOWN) if each.state is not State.PENDING]
        shown = len(theirs[:SHOWN]) + len(mine[:SHOWN]) + len(ended[:SHOWN])
        self._record(kind="audit_read", subject=who.subject, user=who.user, query="home", rows=shown, via=viewer.front)
        parts = [
            _part(
                "Waiting for your decision", theirs, lambda each: _to_decide(each, who), no_groups(who) or "Nothing."
            ),
            _part("Your requests that wait for a decision", mine, _waits, "Nothing."),
            await self._grants(who),
        ]
        for more in self._further:
            parts += await more(viewer)
        return [
            *parts,
            _part("Your earlier requests", ended[:SHOWN], lambda each: _ended(each, now), "None yet."),
        ]

    async def _grants(self, who: Person) -> Part:
        """What this person may run without asking."""
        theirs = [each for each in await self._desk.grants(1000) if same_person(each.giver.requester, who)]
        more = len(theirs) - SHOWN
        note = f"{count(more, 'other grant')} not shown here: /hoop grants" if more > 0 else ""
        return Part(
            "What you may run again without asking", tuple(map(_of_grant, theirs[:SHOWN])), note if theirs else "None."
        )


def _of_grant(standing: Standing) -> Item:
    giver, grant = standing.giver, standing.giver.grant
    if grant is None:  # the store gives none out that has no grant
        return Item(title(giver), "")
    left = "" if grant.uses is None else f"{count(max(0, grant.uses - standing.used), 'more time')}, "
    used = f"Used {count(standing.used, 'time')} so far" if standing.used else "Not used yet"
    says = f"{left}{'until' if left else 'Until'} {moment(grant.until)}, up to {count(grant.rows, 'row')} each time. {used}. {_named(giver)}"
    return Item(title(giver), says, giver, grant=True)


def _named(request: ApprovalRequest) -> str:
    return f"Request {line(request.id, 60)}"


def _part(
    heading: str, requests: Sequence[ApprovalRequest], text: Callable[[ApprovalRequest], str], nothing: str
) -> Part:
    items = tuple(Item(title(each), text(each), each) for each in requests[:SHOWN])
    more = len(requests) - len(items)
    return Part(
        heading, items, nothing if not items else f"{count(more, 'older request')} not shown here." if more else ""
    )


def _to_decide(request: ApprovalRequest, who: Person) -> str:
    counted = " You approved it." if any(same_person(each.by, who) for each in request.approvals) else ""
    return f"{line(request.requester.user, 80)} asks. {_standing(request)}{counted}"


def _waits(request: ApprovalRequest) -> str:
    return f"Asked of {line(request.reviewers, 60)}. {_standing(request)}"


def _standing(request: ApprovalRequest) -> str:
    given, needed = len(request.approvals), request.approvals_needed
    quorum = f" {given} of {needed} approvals." if needed > 1 else ""
    return f"Expires {moment(request.expires_at)}.{quorum} {_named(request)}"


def _ended(request: ApprovalRequest, now: float) -> str:
    return f"{moment(request.opened_at, day=True)}: {lasting(request, now)} {_named(request)}"
