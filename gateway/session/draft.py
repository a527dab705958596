"""The batch that is being read: what the names in it mean, and what each of its messages is judged to be. Pure.

A batch's own names count at once: if the target refuses one of them, it skips what follows. What must not live here: taking
messages (intake.py), sending them (forwarding.py), what a verdict is (judging.py, gateway.policy).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.errors import ProtocolViolation
from gateway.policy.decide import Answer, Verdict
from gateway.session.gate import HELPER, guardable, rewritten
from gateway.session.guard import NO_PORTAL, refused_by_policy
from gateway.session.judging import WRITES
from gateway.session.names import Change, Names, Portal, Prepared, Space
from gateway.session.replies import Batch, Part, Reply
from gateway.session.state import UNDOING, Conversation
from gateway.session.traits import (
    UNREADABLE,
    fires_deferred,
    needs_catalog,
    needs_path,
    opaque,
    redefines,
    resets_all,
    uncertain,
    unsettles,
)
from gateway.session.values import values
from gateway.sql.catalog import Catalog
from gateway.sql.parse import string_tokens
from gateway.sql.settings import misread
from gateway.sql.statement import Script, Statement, StatementClass
from gateway.wire import frontend

#: Names that only the gateway gives.
RESERVED = frozenset({NO_PORTAL, HELPER})
_NOT_TRIED = "it calls code that writes, in a cursor or a portal that goes on: it can't be tried as a read first"
_OF_ROWS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_FETCHES = frozenset({"FETCH", "MOVE"})
_GOES_ON = _FETCHES | {"DECLARE"}
_RESTARTS = "it goes on with a function that this server would begin anew if it were kept to reading"
_REREAD = "code ran before it in the same batch that may have changed how its text is read"
_READ_OTHERWISE = "settings by which its constants or values are read may have changed since they were read"
BEHIND = "code ran before it in the same batch that may have changed what its names mean"
UNGUARDED = "it calls user code beside what writes, or before its end is known: the code can't be kept to reading"


@dataclass(frozen=True, slots=True)
class _Judged:
    """An Execute of a plain statement as it was judged, and all that this rested on."""

    script: Script
    prepared: Prepared
    standing: tuple[object, ...]
    verdict: Verdict


class Draft:
    """See the module. `batch` is set anew by whoever has sent or dropped it. `forgets`: each Execute is judged anew, as if none like it
    had been before."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self.batch = Batch()
        self.forgets = False
        self._judged: _Judged | None = None

    @property
    def begun(self) -> bool:
        """Is a part of a batch here, or something known of one whose beginning was sent?"""
        return self.batch != Batch()

    # --- names --------------------------------------------------------------------------------------------------------

    def note(self, change: Change) -> None:
        """Inside its own batch a change counts at once: if the target refuses it, it skips what follows."""
        names: dict[str, Prepared | None] | dict[str, Portal | None]
        batch = self.batch
        names = batch.statements if change.space is Space.STATEMENT else batch.portals
        if change.name is None:
            known = self._talk.names.statements if change.space is Space.STATEMENT else self._talk.names.portals
            left = {""} if change.space is Space.STATEMENT else set[str]()
            names.update(dict.fromkeys({*known, *names} - left))
        else:
            names[change.name] = change.value  # type: ignore[assignment] # the space says which of the two it is

    def statement(self, name: str) -> Prepared | None:
        batch = self.batch.statements
        return batch[name] if name in batch else self._talk.names.statements.get(name)

    def portal(self, name: str) -> Portal | None:
        batch = self.batch.portals
        return batch[name] if name in batch else self._talk.names.portals.get(name)

    def uncertain(self, space: Space, name: str) -> bool:
        own = self.batch.statements if space is Space.STATEMENT else self.batch.portals
        return name not in own and self._talk.names.uncertain(space, name)

    def names_known(self, script: Script) -> bool:
        """False while a name that the script uses is still on its way to the target."""
        for statement in script.statements:
            use = statement.names
            if use and use.name is not None and use.verb in ("EXECUTE", "FETCH", "MOVE"):
                space = Space.STATEMENT if use.verb == "EXECUTE" else Space.PORTAL
                if self.uncertain(space, use.name):
                    return False
        return True

    # --- judgement ----------------------------------------------------------------------------------------------------

    def running(self, portal: Portal | None) -> Portal | None:
        """The portal, if already its Bind may run code that isn't simply allowed: the planner does, and types of parameters."""
        if portal is None:
            return None
        if not self._talk.judge.runs_at_bind(portal.script):
            return None
        return None if self.allowed(portal.script) else portal

    @property
    def aborted(self) -> bool:
        """Is the transaction known to be aborted where the next message of the batch comes?"""
        talk = self._talk
        return talk.status == "E" and not talk.replies and not self.batch.control and not talk.open_batch

    def allowed(self, script: Script) -> bool:
        return self._talk.judge.verdict(script.statements, self._talk.now).answer is Answer.ALLOW

    def bound(self, prepared: Prepared, bind: frontend.Bind) -> Portal:
        names = self._talk.names
        if names.doubtful(prepared):
            script = _script_of(prepared.script, "its name was given before code ran that may have changed it")
        else:
            script = self.known(self._talk.reader.bound(prepared, bind))
        return Portal(prepared, script, bind, shown=prepared.shown, since=names.doubts, read_as=names.readings)

    def judge(self, script: Script, reply: Reply, portal: Portal | None) -> Verdict:
        """Judge a query string or an Execute, and put its executions into the reply."""
        if portal is None:
            return self._judge_anew(script, reply, None)
        known = self._judged_before(script, portal)
        if known is not None:
            return self._judge_again(known, reply, portal)
        verdict = self._judge_anew(script, reply, portal)
        self._keep(script, reply, portal, verdict)
        return verdict

    def _judge_anew(self, script: Script, reply: Reply, portal: Portal | None) -> Verdict:
        talk = self._talk
        judge = talk.judge
        doubtful = portal is not None and talk.names.doubtful(portal)
        if doubtful:
            script = _script_of(script, "its portal was bound before code ran that may have changed it")
        unknown = any(each.tag == UNREADABLE for each in script.statements)
        statements: list[Statement] = []
        changes: list[tuple[Change, ...]] = []
        for each in script.statements:
            if each.names is not None and each.names.name in RESERVED:
                raise ProtocolViolation("this name is reserved")
            meant = talk.doubted(self._known_one(talk.reader.expand(each, self.batch, talk.names)))
            meant = self._as_read(self._tried(meant, portal), portal)
            statements.append(meant)
            changes.append(tuple(_sql_changes(each, script.sql, self.known, talk.names, talk.grounds.catalog)))
            for change in changes[-1]:
                self.note(change)
            late = fires_deferred(meant) and (talk.lurking or self.batch.doubts)
            self.batch.repaths = self.batch.repaths or talk.moves_path(meant) or late
            self.batch.redefines = self.batch.redefines or redefines(meant) or meant.unsettles or late
            if unsettles(meant) or late:
                self.batch.doubts = True
                talk.names.doubts += 1
            self._rereads(meant, late=late)
        parameters = values(portal) if portal else None
        refused = misread(setting for each in statements for setting in each.settings)
        if rewritten(script, wish=talk.gate.wish) is not None:
            refused = None
        aborted = self.aborted
        if unknown or any(each.control for each in statements):
            self.batch.control = True  # what can't be read may be a ROLLBACK
        alone = len(statements) == 1 and (
            portal is not None or not unknown
        )  # a portal has one statement, whatever it is
        if aborted and alone and statements[0].control is None:
            verdict = Verdict(Answer.ALLOW, None, "the transaction is aborted: the target refuses it itself")
        elif refused is not None:
            verdict = Verdict(Answer.DENY, None, refused[0], message=refused[1], sqlstate="22023")
        elif (masked := talk.hiding.masked_write(statements, parameters)) is not None:
            verdict = masked
        elif portal is not None and portal.released and not doubtful:
            verdict = Verdict(Answer.ALLOW, None, "going on with a portal that was approved")
        else:
            verdict = judge.verdict(statements, talk.now)
        reply.executions = [
            talk.execution(each, verdict, parameters, change) for each, change in zip(statements, changes, strict=True)
        ]
        return verdict

    def _keep(self, script: Script, reply: Reply, portal: Portal, verdict: Verdict) -> None:
        """Remember this for the next row of an executemany, if the statement concerns nothing but its own rows."""
        meant = [each.statement for each in reply.executions]
        if verdict.answer is not Answer.ALLOW or portal.released or meant != [*script.statements] or len(meant) != 1:
            return
        one = meant[0]
        more = one.names or one.control or one.settings or one.guarded or one.unsettles or reply.executions[0].changes
        if not (more or self.forgets) and self._undisturbed and one.tag in _OF_ROWS:
            self._judged = _Judged(script, portal.prepared, self._standing(portal), verdict)

    @property
    def _undisturbed(self) -> bool:
        """Is nothing known of the batch that what follows would be judged by?"""
        batch = self.batch
        flags = batch.repaths or batch.redefines or batch.control or batch.guards
        return not (flags or batch.writes or batch.doubts or batch.rereads)

    def _standing(self, portal: Portal) -> tuple[object, ...]:
        """What a plain statement is judged by, besides its text and its values."""
        talk, names = self._talk, self._talk.names
        of_session = (talk.now, talk.status, talk.judge.stamp, talk.judge.agent, talk.gate.wish, talk.open_batch)
        of_code = (talk.lurking, talk.redefined, talk.temporary_code, len(talk.temporary), talk.path_in_transaction)
        return (*of_session, *of_code, names.doubts, names.readings, portal.since, portal.read_as, portal.released)

    def _judged_before(self, script: Script, portal: Portal) -> _Judged | None:
        known = self._judged
        if known is None or known.script is not script or known.prepared is not portal.prepared:
            return None
        same = self._undisturbed and self._talk.status != "E" and known.standing == self._standing(portal)
        return known if same else None

    def _judge_again(self, known: _Judged, reply: Reply, portal: Portal) -> Verdict:
        """As `judge`, where the values alone can make a difference."""
        talk, statements, parameters = self._talk, known.script.statements, values(portal)
        verdict = talk.hiding.masked_write(statements, parameters) or known.verdict
        reply.executions = [talk.execution(statements[0], verdict, parameters, ())]
        return verdict

    def _tried(self, statement: Statement, portal: Portal | None) -> Statement:
        """Code of the user's that is tried as a read: opaque where that can't be undone, or is going on already."""
        if statement.guarded and (self._talk.open_batch or statement.holdable):
            statement = opaque(statement, UNGUARDED)
        if statement.guarded and self._is_fetched(statement, portal) and self._talk.judge.restarts(statement):
            statement = opaque(statement, _RESTARTS)
        if self._talk.judge.wants_to_write(statement):
            goes_on = statement.names is not None and statement.names.verb in _GOES_ON
            goes_on = goes_on or (portal is not None and not self._bound_here(portal))
            statement = opaque(statement, _NOT_TRIED) if goes_on else statement
            self.batch.writes = self.batch.writes or not goes_on
        self.batch.guards = self.batch.guards or statement.guarded
        return statement

    def _as_read(self, statement: Statement, portal: Portal | None) -> Statement:
        """A write, opaque where the target may have read its constants or values under other settings than those of now: its
        text would tell people of other rows than it changes."""
        if StatementClass.WRITE not in statement.classes:
            return statement
        now, body = self._talk.names.readings, statement.names.body if statement.names else None
        bound = portal is not None and (
            portal.read_as != now or (portal.prepared.read_as != now and _has_texts(statement))
        )
        named = body is not None and self._named_before(statement) and _has_texts(body)
        return opaque(statement, _READ_OTHERWISE) if self.batch.rereads or bound or named else statement

    def _named_before(self, statement: Statement) -> bool:
        """Is it EXECUTE of a name that was given under other settings?"""
        use = statement.names
        found = self.statement(use.name) if use is not None and use.verb == "EXECUTE" and use.name is not None else None
        return found is not None and found.read_as != self._talk.names.readings

    def _rereads(self, statement: Statement, *, late: bool) -> None:
        """Note where constants behind it, or behind the end of its transaction, may be read otherwise."""
        talk = self._talk
        sets = talk.rereads(statement) or late
        falls_back = talk.reread_inside and statement.control in UNDOING
        if sets or falls_back:
            first = talk.drained and not self.batch.parts
            self.batch.rereads = True
            talk.names.reread(goes_back=first and resets_all(statement))
        talk.reread_inside = talk.reread_inside or sets

    def _is_fetched(self, statement: Statement, portal: Portal | None) -> bool:
        """Is it a part of a result, behind which another may come, or before?"""
        fetches = statement.names is not None and statement.names.verb in _FETCHES
        return fetches or (portal is not None and not self._bound_here(portal))

    def _bound_here(self, portal: Portal) -> bool:
        return any(each is portal for each in self.batch.portals.values())

    def as_read(self, script: Script) -> Script:
        """The script as the target will read it: backslashes and encodings by settings that code in this batch may have changed.
        That is reported with ReadyForQuery only."""
        if not self.batch.doubts or (script.sql.isascii() and "\\" not in script.sql):
            return script
        return _script_of(script, _REREAD)

    def known(self, script: Script) -> Script:
        """The script, its statements opaque where this batch or transaction may have changed what they are read by."""
        moved = self.batch.repaths or self.batch.redefines or self._talk.redefined
        if not moved and not any(map(self._talk.judge.has_written, script.statements)):
            return script
        return replace(script, statements=tuple(self._known_one(each) for each in script.statements))

    def _known_one(self, statement: Statement) -> Statement:
        if self.batch.repaths and needs_path(statement):
            return uncertain(statement, "search_path changes in the same batch: which table is meant is not known yet")
        if (self.batch.redefines or self._talk.redefined) and needs_catalog(statement):
            return uncertain(statement, "this transaction has redefined names: what is called is not known yet")
        return opaque(statement, WRITES) if self._talk.judge.has_written(statement) else statement

    def unguard(self, batch: Batch) -> None:
        """User code in this batch can't be run read-only, so it counts as code that may do anything, also to what names mean
        behind it."""
        self._refuse_lone_binds(batch)
        if not batch.guards or guardable(batch):
            return
        batch.guards = False
        behind = False
        for part in batch.parts:
            reply = part.reply
            if reply is None or part.denied is not None:
                continue
            behind = behind or any(each.statement.guarded for each in reply.executions)
            portal = reply.change.value if reply.change else None
            if isinstance(portal, Portal) and (behind or any(each.guarded for each in portal.script.statements)):
                part.runs = None if self.allowed(_unguarded(portal.script)) else portal
            if behind and reply.executions:
                self._judge_unguarded(part, reply)
                batch.holds = batch.holds or part.held is not None
        if behind:
            batch.doubts = True
            self._talk.names.doubts += 1

    def _refuse_lone_binds(self, batch: Batch) -> None:
        """A Bind of code that writes, without its Execute: the planner may run it, and nothing could be tried again."""
        executed = {id(part.reply.portal) for part in batch.parts if part.reply and part.reply.kind == ord("E")}
        for part in batch.parts:
            portal = part.reply.change.value if part.reply and part.reply.change else None
            if isinstance(portal, Portal) and id(portal) not in executed and self._writes(portal):
                part.runs = None if self.allowed(_unguarded(portal.script)) else portal

    def _writes(self, portal: Portal) -> bool:
        return any(map(self._talk.judge.wants_to_write, portal.script.statements))

    def _judge_unguarded(self, part: Part, reply: Reply) -> None:
        for each in reply.executions:
            each.statement = opaque(each.statement, UNGUARDED if each.statement.guarded else BEHIND)
        verdict = self._talk.judge.verdict([each.statement for each in reply.executions], self._talk.now)
        for each in reply.executions:
            each.verdict = verdict
        if reply.portal is not None:
            reply.portal.script = replace(
                reply.portal.script, statements=tuple(each.statement for each in reply.executions)
            )
        part.held, part.denied = stopped(verdict)

    def judge_again(self) -> None:
        """The policy has changed while a batch is being read. What is refused stays so."""
        for part in self.batch.parts:
            reply = part.reply
            if reply is None or not reply.executions or part.denied is not None:
                continue
            if reply.portal is not None and reply.portal.released:
                continue
            verdict = self._talk.judge.verdict([each.statement for each in reply.executions], self._talk.now)
            for each in reply.executions:
                each.verdict = verdict
            part.held, part.denied = stopped(verdict)
        self.batch.holds = any(part.held is not None for part in self.batch.parts)

    def add(self, part: Part, verdict: Verdict) -> None:
        part.held, part.denied = stopped(verdict)
        if part.held is not None and part.reply is not None:  # code that people approve may define names
            self.batch.redefines |= any(
                StatementClass.OPAQUE in each.statement.classes for each in part.reply.executions
            )
        self.batch.add(part)


def _has_texts(statement: Statement) -> bool:
    return string_tokens(statement.sql) != ()


def stopped(verdict: Verdict) -> tuple[Verdict | None, bytes | None]:
    """(held, denied) of a Part."""
    held = verdict if verdict.answer is Answer.HOLD else None
    return held, refused_by_policy(verdict) if verdict.answer is Answer.DENY else None


def _unguarded(script: Script) -> Script:
    return replace(script, statements=tuple(opaque(each, UNGUARDED) for each in script.statements))


def _script_of(script: Script, reason: str) -> Script:
    """A script of one opaque statement in the place of `script`."""
    return Script(script.sql, (Statement(script.sql, UNREADABLE, frozenset({StatementClass.OPAQUE}), reason=reason),))


def _sql_changes(
    statement: Statement, sql: str, known: Callable[[Script], Script], names: Names, catalog: Catalog | None
) -> list[Change]:
    """What a SQL-level statement of the query string `sql` will do to names once it has run; `known` says what a cursor's
    query means here."""
    use = statement.names
    if statement.tag == "DISCARD ALL":
        return [Change(Space.STATEMENT, None), Change(Space.PORTAL, None)]
    if use is None:
        return []
    match use.verb:
        case "PREPARE" | "DECLARE" if use.name is not None and use.body is not None:
            body, since, read_as = Script(use.body.sql, (use.body,)), names.doubts, names.readings
            prepared = Prepared(use.body.sql, body, shown=sql, from_sql=True, since=since, read_as=read_as)
            if use.verb == "PREPARE":
                return [Change(Space.STATEMENT, use.name, prepared)]
            cursor = Portal(prepared, known(prepared.script), shown=sql, since=since, under=catalog)
            return [Change(Space.PORTAL, use.name, cursor)]
        case "DEALLOCATE":
            return [Change(Space.STATEMENT, use.name)]
        case "CLOSE":
            return [Change(Space.PORTAL, use.name)]
    return []
