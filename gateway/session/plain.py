"""Plain reads: texts of which all that is to be decided can be worked out once, and used each time they come again. Pure.

A plain read is one SELECT that calls no code of the user's, sets nothing, uses no name of the SQL level, and that a rule
allows whatever the time and the number of rows. Its judgement rests on its text (or its shape, gateway/sql/shape.py), the
policy, the catalog, search_path and the application's name: when one of these changes (Judge.epoch), all is forgotten.

What must not live here: whether the session is in a state in which the short way may be taken (shortway.py).
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from gateway.audit.pattern import Pattern, text_value
from gateway.masking.rows import RowMasker
from gateway.policy.decide import Answer
from gateway.session.gate import rewritten
from gateway.session.judging import CACHED_BYTES
from gateway.session.names import Prepared
from gateway.session.state import Conversation
from gateway.sql.shape import numbers_are_free, shape
from gateway.sql.statement import Script, Statement, StatementClass
from gateway.wire.backend import Column, format_of, row_description

#: Texts, shapes, names and results that are remembered, each; with one more the older half is forgotten.
KEPT = 256
_READ = frozenset({StatementClass.READ})
_HEADER = 5  # bytes of a message before its body
_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Result:
    """What is described: `columns`, and the `masker` of their rows, None where no value can need one."""

    columns: tuple[Column, ...]
    masker: RowMasker | None


@dataclass(frozen=True, slots=True)
class Plain:
    """One plain read. `begun` and `over` are its audit entries, `protected`: an error of it may quote a protected value.

    `results`: what has come so far, by RowDescription (or the columns known before) and result formats.
    """

    statement: Statement
    protected: bool
    begun: Pattern
    over: Pattern
    results: dict[tuple[object, tuple[int, ...]], Result] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """A plain read as it has come: `sql` is its text for the record, as JSON."""

    plain: Plain
    sql: str


@dataclass(frozen=True, slots=True)
class _Form:
    """A plain read of any text of a shape: how many characters stand before and behind the statement itself."""

    plain: Plain
    before: int
    behind: int


class PlainReads:
    """The plain reads that a session has met."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._stamp: object = None
        self._queries: dict[bytes, Known] = {}
        self._forms: dict[bytes, _Form | None] = {}
        self._prepared: dict[str, tuple[Prepared, Known]] = {}

    def refresh(self) -> None:
        """Forget everything if it may be judged otherwise by now."""
        judge = self._talk.judge
        stamp = judge.epoch, judge.agent
        if stamp != self._stamp:
            self._stamp = stamp
            self._queries.clear()
            self._forms.clear()
            self._prepared.clear()

    # --- texts --------------------------------------------------------------------------------------------------------

    def query(self, message: bytes) -> Known | None:
        """What a whole Query message is known as; None where it is no plain read."""
        known = self._queries.get(message)
        if known is not None:
            return known
        text = message[_HEADER:-1]
        if len(text) > CACHED_BYTES or message[-1:] != b"\0" or b"\0" in text:
            return None
        form = shape(text)
        if form is not None:
            found = self._forms[form] if form in self._forms else self._formed(form, text.decode())
            if found is not None:
                sql = text[found.before : len(text) - found.behind].decode()
                return Known(found.plain, text_value(self._talk.judge.scrub(sql)))
        return self._learnt(message, text)

    def _formed(self, form: bytes, text: str) -> _Form | None:
        """What holds for all texts of this shape; None where another number could make a difference."""
        script = self._talk.judge.read(text)
        plain = self._plain(script) if script else None
        found = None
        if plain and numbers_are_free(text) and not self._talk.judge.compares_protected(plain.statement):
            before = text.find(plain.statement.sql)
            found = _Form(plain, before, len(text) - before - len(plain.statement.sql))
        _keep(self._forms, form, found)
        return found

    def _learnt(self, message: bytes, text: bytes) -> Known | None:
        try:
            script = self._talk.judge.read(text.decode())
        except UnicodeDecodeError:
            return None
        plain = self._plain(script) if script else None
        if plain is None:
            return None
        known = Known(plain, text_value(self._talk.judge.told(plain.statement, None)[0]))
        _keep(self._queries, message, known)
        return known

    # --- prepared statements ------------------------------------------------------------------------------------------

    def prepared(self, name: str, *, values: bool) -> tuple[Prepared, Known] | None:
        """The prepared statement of this name, where executing it is a plain read and its columns were described.

        `values`: it is bound with some.
        """
        talk = self._talk
        prepared = talk.names.statements.get(name)
        if prepared is None or prepared.columns is None or talk.names.doubtful(prepared):
            return None
        found = self._prepared.get(name)
        if found is not None and found[0] is prepared and ("parameters" in found[1].plain.begun.holes) is values:
            return found
        script = talk.judge.fresh(prepared)
        catalog = talk.judge.catalog
        plain = self._plain(script, values=values)
        if plain is None or catalog is None or not catalog.user_type_oids.isdisjoint(prepared.types):
            return None
        known = Known(plain, text_value(talk.judge.told(plain.statement, None)[0]))
        _keep(self._prepared, name, (prepared, known))
        return prepared, known

    # --- what they need -----------------------------------------------------------------------------------------------

    def _plain(self, script: Script, *, values: bool = False) -> Plain | None:
        talk = self._talk
        if not is_plain(script):
            return None
        statement = script.statements[0]
        verdict = talk.judge.verdict(script.statements, talk.now)
        if verdict.answer is not Answer.ALLOW or verdict.rests_on or talk.judge.has_written(statement):
            return None
        if talk.judge.copies(statement):  # the session has to remember that
            return None
        number = talk.number
        execution = talk.execution(statement, verdict, ("",) if values else None, ())
        talk.number = number
        execution.clear, execution.unscanned = talk.judge.seen_clear(statement), talk.judge.unscanned
        return Plain(statement, execution.protected, *talk.patterns(execution))

    def described(self, plain: Plain, body: bytes, formats: tuple[int, ...]) -> Result | None:
        """The result that this RowDescription describes; None the first time, when it is learnt."""
        key = body, formats
        result = plain.results.get(key)
        if result is None and self._talk.judge.names(body) is body:
            self._learn_result(plain, key, row_description(body))
        return result

    def undescribed(self, plain: Plain, prepared: Prepared, formats: tuple[int, ...]) -> Result | None:
        """The result of a statement whose columns were described before; None the first time."""
        key = prepared.columns, formats
        result = plain.results.get(key)
        if result is None and prepared.columns is not None:
            self._learn_result(plain, key, prepared.columns)
        return result

    def _learn_result(self, plain: Plain, key: tuple[object, tuple[int, ...]], columns: tuple[Column, ...]) -> None:
        shown = tuple(format_of(key[1], at, each) for at, each in enumerate(columns))
        _keep(plain.results, key, Result(columns, self._talk.judge.masker(plain.statement, columns, shown)))


def is_plain(script: Script) -> bool:
    """Does the text hold one SELECT and nothing that concerns more than its own rows?"""
    if script.unparsable is not None or script.too_big or script.claimed_reason or len(script.statements) != 1:
        return False
    one = script.statements[0]
    if one.tag != "SELECT" or one.classes != _READ or rewritten(script, wish=False) is not None:
        return False
    concerns = (
        *(one.control, one.names, one.copies, one.shows),
        *(one.settings, one.tells, one.configures, one.inner_tags, one.unresolved, one.spreads),
        *(one.guarded, one.temporary, one.unsettles, one.uncertain, one.holdable, one.untraced, one.reason),
    )
    return not any(concerns)


def _keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    if len(known) >= KEPT:
        for old in list(islice(known, KEPT // 2)):
            del known[old]
    known[key] = value
