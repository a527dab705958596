"""What a held batch asks of people: the request as it is stored, and the two digests that its approval binds. Pure.

What must not live here: when it is asked, and what comes of it (holding.py); what names mean (meaning.py).
"""

from dataclasses import dataclass, field
from enum import Enum

from gateway.approvals.request import ApprovalRequest, HeldStatement, Person, Preview, Question, State, Wire
from gateway.policy.decide import Verdict
from gateway.policy.model import HoldTerms, Reviewers
from gateway.session import events as ev
from gateway.session.guard import digest
from gateway.session.meaning import Meaning, bytes_of, content_of, known
from gateway.session.probe import Findings
from gateway.session.replies import Batch, Execution, Part
from gateway.session.rowguard import cap
from gateway.session.state import Conversation
from gateway.session.traits import shown_writes
from gateway.sql.alike import alike
from gateway.sql.behind import passed_on
from gateway.sql.catalog import Catalog
from gateway.sql.functions import depends_on_session
from gateway.sql.locks import taken

SHOWN_VALUE_SETS = 5
#: Of so many statements a card can show each; who approves more together has to have their full text open.
SHOWN_STATEMENTS = 5
LONGEST_TYPED = 100
NOBODY = Reviewers("")


class Stage(Enum):
    DRAINING = "draining"  # waiting for the target's answers to what went before
    PROBING = "probing"
    OPENING = "opening"
    WAITING = "waiting"
    RELEASING = "releasing"


@dataclass(slots=True)
class Held:
    """One held batch. `verdict` is the one that asks for most; `parts` are the held messages of `batch`."""

    id: str
    batch: Batch
    verdict: Verdict
    terms: HoldTerms
    began: float
    until: float
    stage: Stage = Stage.DRAINING
    findings: Findings = field(default_factory=lambda: Findings(None, Preview()))
    over: ev.Withdraw | ev.Leave | ev.Supersede | None = (
        None  # how it ends; as soon as there is a stored request to end
    )
    denied: Verdict | None = None  # of a policy that came while it was held
    interrupted: bool = False  # by the client itself: also if it runs by then
    side: bool = False
    settings: tuple[str, ...] | None = None  # asked in the session, where the rest is asked aside
    reported: dict[str, str] = field(default_factory=dict)  # settings, as the target had told them
    cap: int | None = None  # rows that it may change
    kept_until: float | None = None  # its request outlives this wire's waiting
    questions: tuple[Question, ...] = ()  # of reviewers
    progress: str = ""  # of its quorum
    heard: str = ""  # that the client has heard of it last
    told: int = 0  # so many of them the client has heard
    joined: bool = False  # it waits for a request that another wire has opened
    granted: bool = False  # a grant has approved it

    @property
    def parts(self) -> list[Part]:
        return [part for part in self.batch.parts if part.held is not None]

    @property
    def executions(self) -> list[Execution]:
        return [each for part in self.parts if part.reply is not None for each in part.reply.executions]


def request_of(talk: Conversation, held: Held) -> ApprovalRequest:
    """The question as it is stored. What was true when it was asked is kept in `held`, to be compared at its release."""
    who = talk.login.identity
    reviewers = held.terms.reviewers
    held.reported = dict(talk.reported)
    held.cap, uncapped = cap(held.batch, held.findings.preview, held.terms, open_batch=talk.open_batch)
    if held.terms.keep_for is not None and _can_be_sent_again(talk, held):
        held.kept_until = max(held.until, talk.now + held.terms.keep_for)
    wire, statements = wire_of(talk), _statements(held, talk.grounds.catalog)
    glass = held.terms.break_glass or NOBODY
    expires_at = held.until if held.kept_until is None else held.kept_until
    after = reviewers.escalation.delay(expires_at - talk.now) if reviewers.escalation is not None else None
    return ApprovalRequest(
        id=held.id,
        state=State.PENDING,
        requester=Person(who.issuer, who.subject, who.user, who.email, who.groups),
        session=wire.session,
        replica=wire.replica,
        agent=wire.agent,
        client=wire.client,
        claimed_reason=talk.claimed_reason,
        target=talk.login.target.name,
        environment=talk.login.target.environment,
        statements=statements,
        preview=held.findings.preview,
        rule=held.verdict.rule or "",
        why=held.verdict.message or held.verdict.reason,
        reviewers=reviewers.name,
        reviewer_groups=reviewers.groups,
        reviewer_users=reviewers.users,
        approvals_needed=reviewers.approvals,
        channels=reviewers.channels,
        opened_at=talk.now,
        expires_at=expires_at,
        release_digest=release_digest(talk, held),
        content_digest=content_digest(talk, held),
        where_held="idle" if talk.status == "I" and not talk.open_batch else "in transaction",
        row_cap=held.cap,
        uncapped=uncapped,
        kept=held.kept_until is not None,
        to_type=_to_type(held),
        full_view=held.terms.require_full_view or len(statements) > SHOWN_STATEMENTS,
        alike=_alike(talk, held),
        mentions=reviewers.mentions,
        escalate_to=reviewers.escalation.channels if reviewers.escalation is not None and after is not None else (),
        escalate_at=None if after is None else talk.now + after,
        approve_via=held.terms.approve_via,
        glass=glass.name,
        glass_groups=glass.groups,
        glass_users=glass.users,
    )


def _can_be_sent_again(talk: Conversation, held: Held) -> bool:
    """Nobody can send the same as a half forwarded batch, nor as one whose text asks for what its session alone has."""
    return not talk.open_batch and not any(depends_on_session(each.statement) for each in held.executions)


def wire_of(talk: Conversation) -> Wire:
    """This session, as a request names it."""
    login = talk.login
    return Wire(login.session, login.replica, talk.hiding.scrub(talk.judge.agent), login.client)


def release_digest(talk: Conversation, held: Held) -> str:
    """Made when the question is asked and again when its answer is released, from what is true at that moment."""
    state = (talk.status, str(talk.open_batch))
    return digest(
        talk.login.digest_key,
        (held.id, talk.login.session, *state, *bytes_of(held.batch), *circumstances(talk, held)),
    )


def content_digest(talk: Conversation, held: Held) -> str:
    """What is asked, by whom, of whom, and under which circumstances; not in which session. A one-time pass is bound to
    it: whoever asks the same of other reviewers, or under no row guard where there was one, asks something else."""
    who, target, reviewers = talk.login.identity, talk.login.target, held.terms.reviewers
    where = (target.name, target.host, target.port)  # a copy of a database has its OIDs
    asked = (who.issuer, who.subject, *where, *content_of(held.batch), *circumstances(talk, held))
    of_whom = ("|groups", *sorted(reviewers.groups), "|users", *sorted(reviewers.users))
    glass = held.terms.break_glass or NOBODY
    alone = ("|alone", *sorted(glass.groups), "|users", *sorted(glass.users))
    care = (_to_type(held), held.terms.require_full_view, held.cap is not None, held.terms.approve_via)
    return digest(talk.login.digest_key, (*asked, *of_whom, *alone, "|how", reviewers.approvals, *map(str, care)))


def _alike(talk: Conversation, held: Held) -> str:
    """Who asks what shape of which target. What has no shape is alike only to the same text."""
    who = talk.login.identity
    shapes = sorted({alike(each.statement.sql) or each.statement.sql for each in held.executions})
    return digest(talk.login.digest_key, ("|alike", who.issuer, who.subject, talk.login.target.name, *shapes))


def circumstances(talk: Conversation, held: Held) -> list[bytes | str | int | None]:
    """What an approval binds beside the bytes: role, database, search_path, settings, relation OIDs, rule (decision 5)."""
    target = talk.login.target
    meaning = held.findings.meaning or Meaning()
    return [
        "|target",
        target.user,
        target.database,
        "|path",
        *talk.grounds.search_path,
        "|oids",
        *meaning.oids,
        "|settings",
        *meaning.settings,
        *(held.settings or ()),
        "|reported",
        *known(talk.reported),
        "|rule",
        held.verdict.rule or "",
    ]


def _to_type(held: Held) -> str:
    """What a reviewer types to approve a DROP or TRUNCATE (`confirm: typed`): the names that it takes away, or its command
    where they are none or none that one would type."""
    taken = [each.statement for each in held.executions if each.statement.tag.startswith(("DROP", "TRUNCATE"))]
    if held.terms.confirm != "typed" or not taken:
        return ""
    names = ", ".join(sorted({name for each in taken for name in each.writes}))
    return names if 0 < len(names) <= LONGEST_TYPED and names.isprintable() else taken[0].tag


def _statements(held: Held, catalog: Catalog | None) -> tuple[HeldStatement, ...]:
    """What is on the card: equal texts once, with how often and the first value sets."""
    found: dict[str, HeldStatement] = {}
    for part in held.parts:
        for each in part.reply.executions if part.reply else []:
            known, written = found.get(each.sql), shown_writes(each.statement)
            sets = known.parameters if known else ()
            if each.parameters is not None and len(sets) < SHOWN_VALUE_SETS:
                sets = (*sets, each.parameters)
            found[each.sql] = HeldStatement(
                each.statement.tag,
                each.sql,
                tuple(sorted({*written, *each.statement.reads})),
                each.statement.where,
                sets,
                (known.executions if known else 0) + 1,
                opaque=each.statement.reason,
                copies=each.copies,
                fingerprint=each.statement.fingerprint,
                passed_on=passed_on(each.statement, catalog) if catalog else (),
                locks=taken(each.statement),
                changes=written[0] if len(written) == 1 else "",
            )
    return tuple(found.values())
