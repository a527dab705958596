"""What may be granted of a held batch, and the digest that a use of the grant has to share with it. Pure.

Strict: one INSERT, UPDATE or DELETE whose rows were counted and can be held to a number, whose names and settings were asked
for in the session itself, and round which the batch has nothing but BEGIN and COMMIT. Everything else waits for people
each time: DDL, code that can't be judged, EXECUTE and cursors, MERGE, whole tables, several statements at once.

The digest holds the whole text but for blanks and comments, literals included (they are what the reviewer has read); bound
values unless the rule says `vary: [params]`; who asks which target; what the names mean, the settings, the rule and its terms. So
whatever changes of these ends the use of a grant by itself: nobody has to look for it.

What must not live here: who may grant and revoke (gateway.approvals.granting), when a grant is used (the store).
"""

from collections.abc import Iterator
from dataclasses import replace

from gateway.approvals.grants import Terms
from gateway.approvals.request import ApprovalRequest
from gateway.session.guard import digest
from gateway.session.question import Held, circumstances
from gateway.session.replies import Part
from gateway.session.state import Conversation
from gateway.sql.behind import cascades
from gateway.sql.functions import depends_on_session
from gateway.sql.parse import string_tokens, without_positions
from gateway.sql.statement import Control, Statement, StatementClass

_GRANTED = frozenset({StatementClass.READ, StatementClass.WRITE})
_AROUND = frozenset({Control.BEGIN, Control.COMMIT})


def grantable(talk: Conversation, held: Held, request: ApprovalRequest) -> ApprovalRequest:
    """The request with what may be granted on it, if its rule and what it asks allow anything."""
    grants, rows, found = held.terms.grants, request.preview.rows, held.findings
    if grants is None or held.terms.reviewers.approvals != 1 or held.terms.approve_via != "chat":
        return request
    if held.cap is None or rows is None or found.preview.kind != "exact":
        return request
    asked_inside = found.meaning is not None and bool(found.meaning.settings) and not held.side
    statement, catalog = _alone(held), talk.grounds.catalog
    if statement is None or catalog is None or not asked_inside or talk.open_batch:
        return request
    if cascades(statement, catalog):
        return request  # one row of it may be any number of others, which no guard counts
    most = held.cap if grants.max_rows is None else grants.max_rows
    bound = _digest(talk, held, statement)
    if bound is None or rows > most:
        return request
    return replace(request, grantable=Terms(bound, grants.max_minutes, grants.max_uses, most, grants.vary))


def _alone(held: Held) -> Statement | None:
    """The one statement that is held, if its like may be granted and nothing beside it in the batch does anything."""
    executions = held.executions
    beside = [each for part in held.batch.parts if part.held is None for each in _of(part)]
    if len(executions) != 1 or any(each.control not in _AROUND for each in beside):
        return None
    (execution,) = executions
    statement = execution.statement
    plain = statement.classes <= _GRANTED and statement.where is not False and statement.names is None
    runs_code = statement.reason or statement.guarded or statement.unsettles or statement.configures
    unsure = statement.uncertain or statement.unresolved or statement.temporary
    protected = (
        execution.copies or execution.tested or statement.spreads
    )  # many uses of a condition would tell the value
    if not plain or runs_code or unsure or protected or depends_on_session(statement) or not _read_now(held, statement):
        return None
    return statement


def _read_now(held: Held, statement: Statement) -> bool:
    """Whether its literals and values were read under the settings of now. A literal is at the Parse ('01/02/2024' by DateStyle), a bound
    value at the Bind, and the session may have had others then."""
    (part,) = held.parts
    portal = part.reply.portal if part.reply is not None else None
    if portal is None:
        return True
    bound = any(each is portal for each in held.batch.portals.values())
    parsed = any(each is portal.prepared for each in held.batch.statements.values())
    return bound and (parsed or string_tokens(statement.sql) == ())


def _of(part: Part) -> list[Statement]:
    return [each.statement for each in part.reply.executions] if part.reply is not None else []


def _digest(talk: Conversation, held: Held, statement: Statement) -> str | None:
    """None: the text can't be taken apart here."""
    shape = without_positions(statement.sql)
    if shape is None:
        return None
    who, target = talk.login.identity, talk.login.target
    asked = ("|who", who.issuer, who.subject, "|at", target.name, target.host, target.port)
    return digest(
        talk.login.digest_key, (*asked, "|shape", shape, *_values(held), *circumstances(talk, held), *_rule(held))
    )


def _values(held: Held) -> Iterator[bytes | str | int | None]:
    """Types of parameters, and the values where they may not vary."""
    (part,) = held.parts
    portal = part.reply.portal if part.reply is not None else None
    if portal is None:
        return
    yield "|types"
    yield from portal.prepared.types
    if portal.bind is not None and not (held.terms.grants and held.terms.grants.vary):
        for sequence in (portal.bind.parameter_formats, portal.bind.parameters):
            yield len(sequence)
            yield from sequence


def _rule(held: Held) -> Iterator[str | int | None]:
    """What the rule says of reviewers and grants: another word in it is another grant."""
    reviewers, grants = held.terms.reviewers, held.terms.grants
    yield from ("|groups", *sorted(reviewers.groups), "|users", *sorted(reviewers.users))
    if grants is not None:
        yield from ("|grants", grants.max_minutes, grants.max_uses, grants.max_rows, str(grants.vary))
    yield from ("|how", held.terms.confirm, str(held.terms.require_full_view))
