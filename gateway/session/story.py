"""What the record says of a session: who and where, and of each statement what was judged of it and what came of it. Pure.

A statement that comes again, as the rows of an executemany do, differs from what it was before in its number, values, rows and duration
only; then the entry is made by a pattern (audit/pattern.py), and says the same. What must not live here: when something is recorded
(state.py), what is judged.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from gateway.audit.entry import Value
from gateway.audit.pattern import Pattern, list_value, number_value, text_value
from gateway.identity.claims import Identity
from gateway.masking.diagnostics import scrub_name
from gateway.policy.decide import Answer
from gateway.session import events as ev
from gateway.session.common import LONGEST
from gateway.session.grounds import Login
from gateway.session.judging import Judge
from gateway.session.replies import Execution
from gateway.session.traits import shown_writes
from gateway.sql.statement import Statement

#: Columns named in an entry; a `SELECT *` over a wide join would make entries of many kB.
_COLUMNS_KEPT = 50
#: Statements of which it is kept what is told: some kB each. Drivers that clear a session up send four in turn.
_KEPT = 8
#: Why most sessions end.
GOODBYE = "the client said goodbye"


class Facts:
    """What is told of a statement, as of `stamp`. `uses`: how often it was asked for; `alike`: the patterns of its entries, by what
    else they say."""

    __slots__ = ("alike", "copies", "passed_on", "protected", "sql", "stamp", "statement", "tested", "text", "uses")

    def __init__(self, statement: Statement, judge: Judge) -> None:
        self.statement = statement
        self.stamp = judge.stamp
        self.sql, _ = judge.hiding.told(statement, None)
        self.text = b""  # the same as JSON
        self.tested = judge.grounds.tested(statement)
        self.copies = judge.spreading.copies(statement)
        self.passed_on = judge.spreading.passed_on(statement)
        self.protected = judge.grounds.touches_protected(statement)
        self.uses = 0
        self.alike: dict[tuple[str | None, tuple[str, ...], str, bool], tuple[Pattern, Pattern]] = {}


class Story:
    """Of one session, as `judge` sees it. `forgets`: each entry is put together anew, as if none like it had been before."""

    def __init__(self, login: Login, judge: Judge) -> None:
        self._login = login
        self._judge = judge
        agent = scrub_name(login.agent, judge.grounds.detectors)
        self._who = {"session": login.session, **_who(login.identity, agent, login.client, login.target.name)}
        self._session = text_value(login.session)
        self._facts: dict[int, Facts] = {}  # by the id of the statement, which they keep
        self.forgets = False

    def renamed(self, agent: str) -> None:
        """The client calls itself so from now on."""
        self._who["agent"] = agent
        self._facts.clear()

    def told(self, fields: Mapping[str, Value]) -> dict[str, Value]:
        """The fields of an entry, with who and where, and without those that say nothing."""
        return self._who | {name: value for name, value in fields.items() if value not in (None, "", [])}

    def facts(self, statement: Statement) -> Facts:
        """What is told of a statement that is about to be executed."""
        facts = self._facts.get(id(statement))
        if facts is None or facts.stamp != self._judge.stamp:
            if len(self._facts) >= _KEPT or len(statement.sql) > LONGEST:  # of long ones that is one at most
                self._facts.clear()
            facts = self._facts[id(statement)] = Facts(statement, self._judge)
        facts.uses += 1
        return facts

    def of(self, execution: Execution) -> dict[str, Value]:
        """The fields of one statement."""
        statement = execution.statement
        return {
            "statement": execution.number,
            "tag": statement.tag,
            "tables": [*sorted({*shown_writes(statement), *statement.reads})],
            "passed_on": [*execution.passed_on[:_COLUMNS_KEPT]],
            "columns": [*statement.columns[:_COLUMNS_KEPT]],
            "sql": execution.sql,
            "fingerprints": [statement.fingerprint] if statement.fingerprint else [],
            "risk": execution.risk,
            "parameters": list(execution.parameters) if execution.parameters else None,
            "verdict": execution.verdict.answer.value,
            "rule": execution.verdict.rule,
            "request": execution.request,
            "decided_by": execution.decided_by,
            "via": execution.via,
            "break_glass": execution.broken,
            "masked": [*execution.masked],
            "clear": [*execution.clear],
            "unscanned": execution.unscanned,
            "predicates": [*execution.tested],
            "copies": [{"from": source, "to": to} for source, to in execution.copies[:_COLUMNS_KEPT]],
            "policy": self._judge.grounds.policy.version,
        }

    def patterns(self, execution: Execution) -> tuple[Pattern, Pattern]:
        """The entries "statement" and "finished" of a statement that is repeated and asked for of nobody; the holes are the
        session, its number, text and parameters, and then rows and duration too."""
        holes = ["session", "statement", "sql", *(["parameters"] if execution.parameters else [])]
        story = self.of(execution)
        before = {**story, "clear": [], "unscanned": ""}  # known once its result has begun
        begun = Pattern("statement", _without(self.told(before), holes), holes)
        holes += ["rows", "duration_ms"]
        over = Pattern("finished", _without(self.told({**story, "outcome": "executed"}), holes), holes)
        return begun, over

    def masked_patterns(self, execution: Execution) -> tuple[Pattern, Pattern]:
        """As `patterns`, where something of its result is masked: the entry "masked", whose holes are the session, its number and what was
        masked; and "finished", with that behind its other holes."""
        _, over = self.patterns(execution)
        said = _without(self.told(self.of(execution)), over.holes)
        masked = Pattern("masked", _without(self._who, ["session"]), ["session", "statement", "masked"])
        return masked, Pattern(over.kind, {**said, "outcome": "executed"}, [*over.holes, "masked"])

    def begun(self, execution: Execution, reason: str) -> ev.Effect:
        """Its entry before it goes to the target; `reason` is what the client says."""
        if not reason and (known := self._alike(execution)) is not None:
            pattern, values = known
            return ev.RecordAlike(pattern[0], values)
        return ev.Record("statement", self.told({**self.of(execution), "reason": reason}))

    def over(self, execution: Execution, rows: int | None, took: float, sqlstate: str, reason: str) -> ev.Effect:
        """Its entry once it is answered. `took`: milliseconds."""
        if rows is not None and not (sqlstate or reason) and (known := self._alike(execution)) is not None:
            pattern, values = known
            return ev.RecordAlike(pattern[1], (*values, number_value(rows), repr(took).encode()))
        outcome = "failed" if sqlstate else "executed"
        said = {"rows": rows, "outcome": outcome, "sqlstate": sqlstate, "reason": reason, "duration_ms": took}
        return ev.Record("finished", self.told({**self.of(execution), **said}))

    def goodbye(self) -> ev.Effect:
        """The entry of a session whose client is done: most sessions end so, and alike."""
        login = self._login
        try:
            ended = _goodbye(login.identity, str(self._who["agent"]), login.client, login.target.name)
        except ValueError:  # U+0000 in a name: the spool cleans it
            return ev.Record("session_ended", self.told({"reason": GOODBYE}))
        return ev.RecordAlike(ended, (self._session,))

    def _alike(self, execution: Execution) -> tuple[tuple[Pattern, Pattern], tuple[bytes, ...]] | None:
        """The patterns of its entries and what fills those of the first; None for one that comes for the first time, or that people or
        masks have something to do with."""
        facts = self._facts.get(id(execution.statement))
        if facts is None or facts.uses < 2 or self.forgets:
            return None
        if execution.request is not None or execution.masked or execution.verdict.answer is not Answer.ALLOW:
            return None
        if facts.stamp != self._judge.stamp or execution.sql is not facts.sql:
            return None
        if (
            execution.tested != facts.tested
            or execution.copies != facts.copies
            or execution.passed_on != facts.passed_on
        ):
            return None  # it was told of under another policy or catalog, and its text is the same
        values = _filled(execution.parameters)
        if values is None:
            return None
        key = (execution.verdict.rule, execution.clear, execution.unscanned, bool(execution.parameters))
        patterns = facts.alike.get(key)
        if patterns is None:
            try:
                patterns = facts.alike[key] = self.patterns(execution)
            except ValueError:  # U+0000 in a name: the spool cleans it
                return None
        facts.text = facts.text or text_value(facts.sql)
        return patterns, (self._session, number_value(execution.number), facts.text, *values)


def _filled(parameters: Sequence[str | None] | None) -> tuple[bytes, ...] | None:
    """What fills the hole of the parameters, if there is one; None where no entry can hold them as they are."""
    if not parameters:
        return ()
    try:
        said = list_value(parameters)
    except UnicodeEncodeError:
        return None
    return None if b"\\u0000" in said else (said,)


def _who(identity: Identity, agent: str, client: str, target: str) -> dict[str, Value]:
    return {
        "issuer": identity.issuer,
        "subject": identity.subject,
        "user": identity.user,
        "groups": [*sorted(identity.groups)],
        "agent": agent,
        "client": client,
        "target": target,
    }


@lru_cache(maxsize=256)
def _goodbye(identity: Identity, agent: str, client: str, target: str) -> Pattern:
    """The entry of a session that its client has ended, but for the session."""
    fields = {name: value for name, value in _who(identity, agent, client, target).items() if value not in ("", [])}
    return Pattern("session_ended", {**fields, "reason": GOODBYE}, ["session"])


def _without(fields: Mapping[str, Value], names: Collection[str]) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if name not in names}
