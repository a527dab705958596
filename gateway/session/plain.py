"""Plain statements: texts of which all that is to be decided can be worked out once, and used each time they come again. Pure.

A plain one is one SELECT (FOR UPDATE and nextval too), INSERT, UPDATE or DELETE that calls no code of the user's, uses no name of the SQL level but to give it up,
and that a rule allows whatever the time and the number of rows; or one BEGIN, COMMIT or ROLLBACK, SAVEPOINT or RELEASE, or SET of what the
gateway does not go by, and SHOW. Or several of these in one
text, less what begins, ends or falls back, and among them what pools send to take a session back. The judgement rests on the text
(or its shape, gateway/sql/shape.py), the policy, the catalog, search_path and the application's name: when one of these changes
(Grounds.epoch), all is forgotten.

Sessions that stand alike share those of their texts (`common`): all that they rest on is in the key, and what a session has
done itself keeps it to its own.

What must not live here: whether the session is in a state in which the short way may be taken (shortway.py).
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, TypeVar

from gateway.audit.pattern import Pattern, text_value
from gateway.errors import GatewayError
from gateway.masking.rows import RowMasker
from gateway.policy.decide import Answer
from gateway.session.common import LONGEST, cost
from gateway.session.gate import OF_NOW, SETTING, Gate, may_write, rewritten
from gateway.session.names import NEVER_DOUBTED, Names, Prepared
from gateway.session.naming import Given
from gateway.session.replies import Execution
from gateway.session.spare import MODES, leaves_nothing
from gateway.session.state import Conversation
from gateway.session.traits import may_set
from gateway.sql.settings import is_applications, is_of_no_account
from gateway.sql.shape import constants_are_free, is_all_numbers, outline, shape, statements
from gateway.sql.statement import ALL, Control, Script, Statement, StatementClass
from gateway.wire.backend import Column, format_of, row_description
from gateway.wire.frontend import formats_read, message, query, read_parse
from gateway.wire.frontend import parse as write_parse

#: Texts, shapes, names and results that are remembered, each; with one more the older half is forgotten.
KEPT = 256
#: Query strings of so many bytes and statements are remembered as a whole: others are put together from their statements.
_SHORT, _FEW = 512, 16
#: Columns of all their results, some 200 bytes each; with one more everything is forgotten.
COLUMNS_KEPT = 1 << 15
_HOUSE: Final = frozenset({StatementClass.HOUSEKEEPING})
_CHANGES: Final = frozenset({StatementClass.READ, StatementClass.WRITE})
_SETS: Final = frozenset({StatementClass.SESSION, StatementClass.HOUSEKEEPING})
#: The classes that a plain one of a tag may be of.
_CLASSES: Final = (
    {"SELECT": _CHANGES | _SETS}
    | dict.fromkeys(("INSERT", "UPDATE", "DELETE"), _CHANGES)
    | dict.fromkeys(("SAVEPOINT", "RELEASE", "DEALLOCATE", "SHOW"), _HOUSE)
    | dict.fromkeys(("SET", "RESET"), _SETS)
)
_NONE: Final = frozenset[StatementClass]()
#: Tags that say no number, and are not of control of transactions.
_MUTE: Final = frozenset({"SET", "RESET", "DEALLOCATE", "SHOW", "CLOSE CURSOR ALL", "UNLISTEN"})
#: What takes the session back to how it began, but for what it has prepared.
_RESETS: Final = frozenset({"RESET", "CLOSE CURSOR ALL", "UNLISTEN"})
#: What a plain one may do to its transaction.
_WITHIN: Final = frozenset({None, Control.SAVEPOINT, Control.RELEASE})
#: A Query's text that says no more than that, under a name that is no key word: those with an underscore end in letters.
_OF_NAME: Final = re.compile(
    rb'(SAVEPOINT|RELEASE SAVEPOINT|RELEASE|DEALLOCATE|DEALLOCATE PREPARE) (?:[a-z_]+[0-9][a-z0-9_]*|"[a-z0-9_]+")(;?)\0',
    re.IGNORECASE,
)
#: The transaction status behind what begins or ends a block.
_BEHIND: Final = {Control.BEGIN: "T", Control.COMMIT: "I", Control.ROLLBACK: "I"}
_HEADER: Final = 5  # bytes of a message before its body
_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Result:
    """What is described: `columns`, and the `masker` of their rows, None where no value can need one. `of_statement`: the same columns
    as a description of the statement has them, which knows of no result formats."""

    columns: tuple[Column, ...]
    of_statement: tuple[Column, ...]
    masker: RowMasker | None


class Begun:
    """How an answer began: the bytes before its rows, whether a Describe `asked` for a part of them, the result formats (as in Bind) and the
    columns known before (else None). `result` None: no rows can come."""

    __slots__ = ("asked", "columns", "formats", "head", "result")

    def __init__(
        self, head: bytes, formats: bytes, columns: tuple[Column, ...] | None, result: Result | None, *, asked: bool
    ) -> None:
        self.head = head
        self.asked = asked
        self.formats = formats
        self.columns = columns
        self.result = result


class Edge:
    """The beginning or the end of a transaction block. `status`: behind it. `answer`: all that the target says to a Query of it, `tag` without
    ReadyForQuery. `text`: what goes in its place (gate.py), "" for nothing else; `sent`: as a Query."""

    __slots__ = ("answer", "sent", "status", "tag", "text")

    def __init__(self, status: str, tag: bytes, text: str) -> None:
        self.status = status
        self.tag = tag
        self.answer = tag + message(b"Z", status.encode())
        self.text = text
        self.sent = query(text) if text else b""


@dataclass(slots=True)
class Plain:
    """One plain statement. `begun` and `over` are its audit entries, `bare` is `over` where no result was shown; `protected`: an error of
    it may quote a protected value.

    `hides`: some of its parameters are never shown. `results`: what has come so far, by RowDescription (or the columns known
    before) and result formats; `latest`: how the last answer began. `edge`: it begins or ends a block. `writes`: it changes rows.
    `mute`: its tag says no number. `resets`: it takes something of the session back. `leaves`: something that stays
    (spare.py). `execution`: what its entries are made
    of; `masks`: those of a result of which something was masked, once there was one.
    """

    statement: Statement
    protected: bool
    hides: bool
    begun: Pattern
    over: Pattern
    bare: Pattern
    execution: Execution
    results: dict[tuple[object, bytes], Result] = field(default_factory=dict)
    latest: Begun | None = None
    edge: Edge | None = None
    writes: bool = False
    mute: bool = False
    resets: bool = False
    leaves: bool = False
    masks: tuple[Pattern, Pattern] | None = None


class Known:
    """A plain read as it has come: `sql` is its text for the record, as JSON."""

    __slots__ = ("plain", "sql")

    def __init__(self, plain: Plain, sql: bytes) -> None:
        self.plain = plain
        self.sql = sql


#: A statement that was given a name, as what it is known, and the Parse that goes in the place of its own, b"" for no other.
Found = tuple[Prepared, Known, bytes]


@dataclass(frozen=True, slots=True)
class _Form:
    """A plain read of any text of a shape: how many characters stand before and behind the statement itself."""

    plain: Plain
    before: int
    behind: int


def common(talk: Conversation) -> "PlainReads | None":
    """The plain reads of all sessions that stand as this one does; None where it has done what makes it judge for itself."""
    judge, login = talk.judge, talk.login
    if not judge.like_others or talk.role_moved:
        return None
    who, plains = login.identity, talk.grounds.reading.plains
    key = who.issuer, who.subject, who.user, who.email, who.groups, judge.agent, login.client, login.mask_key
    found: PlainReads | None = plains.get(key)
    if found is None:
        twin = judge.twin()
        found = PlainReads(Conversation(twin.grounds.login, twin, Names(), Gate(), "I"), plains.grew)
        found.refresh()
        plains.put(key, found, cost(""))
    return found


class PlainReads:
    """The plain reads that a session has met, or that sessions have which stand alike. `grew` is told of bytes, as estimated."""

    def __init__(self, talk: Conversation, grew: Callable[[int], None] = lambda _: None) -> None:
        self._talk = talk
        self._grounds, self._hiding = talk.grounds, talk.hiding
        self._grew = grew
        self._stamp: object = None
        self._described = 0  # columns of results
        self._queries: dict[bytes, Known] = {}
        self._forms: dict[bytes, _Form | None] = {}
        self._outlines: dict[bytes, _Form] = {}  # of bodies of Query messages
        self._several: dict[bytes, Sequence[Known]] = {}  # by whole messages that hold no constants
        self._prepared: dict[
            str, tuple[Prepared, tuple[int, ...], Known]
        ] = {}  # with its types, which a Describe may change
        self._parsed: dict[bytes, Found] = {}
        self._given: dict[bytes, Given | None] = {}  # by what stands in a Parse behind the name
        self._bindables: dict[tuple[str, tuple[int, ...], bool], tuple[Script, Known]] = {}

    def refresh(self) -> None:
        """Forget everything if it may be judged otherwise by now."""
        stamp = self._grounds.epoch, self._talk.judge.agent
        if stamp != self._stamp:
            self._stamp = stamp
            self._forget()

    def _forget(self) -> None:
        self._described = 0
        self._queries.clear()
        self._forms.clear()
        self._outlines.clear()
        self._several.clear()
        self._prepared.clear()
        self._parsed.clear()
        self._given.clear()
        self._bindables.clear()

    # --- texts --------------------------------------------------------------------------------------------------------

    def query(self, message: bytes) -> Known | None:
        """What a whole Query message is known as; None where it is no plain read."""
        body = message[_HEADER:]
        form = self._outlines.get(outline(body))
        if form is not None:
            return self._with_its_constants(form, message, len(message) - 1)
        return self._queries.get(message) or self._at_length(message, body)

    def _at_length(self, message: bytes, body: bytes) -> Known | None:
        of_name = _OF_NAME.fullmatch(body)
        if of_name is not None:
            form = self._of_name(of_name)
            return self._with_its_constants(form, message, len(message) - 1) if form is not None else None
        text = body[:-1]
        if len(text) > LONGEST or body[-1:] != b"\0" or b"\0" in text:
            return None
        key = shape(text)
        if key is not None:
            form = self._forms[key] if key in self._forms else self._formed(key, text.decode())
            if form is not None:
                if is_all_numbers(text):
                    _keep(self._outlines, outline(body), form)
                return self._with_its_constants(form, message, len(message) - 1)
        return self._learnt(message, text)

    def _of_name(self, found: re.Match[bytes]) -> _Form | None:
        """What holds for any name of a savepoint, or of a statement that is given up: drivers make up new ones."""
        key = b"\0".join(found.groups(b""))
        if key not in self._forms:
            script = self._talk.reader.read(found[0][:-1].decode())
            plain = self._plain(script) if script is not None else None
            _keep(self._forms, key, _Form(plain, 0, len(found[2])) if plain is not None else None)
        return self._forms[key]

    def _with_its_constants(self, form: _Form, message: bytes, end: int) -> Known | None:
        """What a text of a known shape is known as; None where it writes a placeholder of ours back."""
        hiding = self._hiding
        sql = message[_HEADER + form.before : end - form.behind].decode()
        if form.plain.writes and hiding.writes_back(sql):
            return None
        return Known(form.plain, text_value(hiding.scrub(sql) if self._grounds.own.suspicious(message) else sql))

    def _formed(self, form: bytes, text: str) -> _Form | None:
        """What holds for all texts of this shape; None where another number could make a difference."""
        script = self._talk.reader.read(text)
        plain = self._plain(script) if script else None
        found = None
        if plain and constants_are_free(text) and not self._hiding.compares_protected(plain.statement):
            before = text.find(plain.statement.sql)
            found = _Form(plain, before, len(text) - before - len(plain.statement.sql))
        _keep(self._forms, form, found)
        self._grew(cost(text))
        return found

    def _learnt(self, message: bytes, text: bytes) -> Known | None:
        try:
            script = self._talk.reader.read(text.decode())
        except UnicodeDecodeError:
            return None
        plain = self._plain(script) if script else None
        if plain is None:
            return None
        known = Known(plain, text_value(self._hiding.told(plain.statement, None)[0]))
        _keep(self._queries, message, known)
        self._grew(cost(known.sql))
        return known

    def several(self, message: bytes) -> Sequence[Known] | None:
        """What the statements of a whole Query message of more than one are known as. None where one is not plain, where a block begins,
        ends or falls back in it, where a name is given up, or where they are not all allowed by the same rule: it would be the first that names it."""
        known = self._several.get(message)
        if known is not None:
            return known
        text = message[_HEADER:-1]
        parts = statements(text) if len(text) <= LONGEST and message[-1:] == b"\0" and b"\0" not in text else None
        if parts is None or len(parts) < 2:
            return None
        found = list[Known]()
        for part in parts:
            one = self.query(b"Q%b%b\0" % ((len(part) + 5).to_bytes(4, "big"), part))
            if one is None or one.plain.edge is not None or one.plain.statement.control is not None:
                return None
            if one.plain.statement.names is not None and not one.plain.resets:
                return None
            found.append(one)
        first = found[0].plain.execution.verdict
        if any(each.plain.execution.verdict != first for each in found):
            return None
        if len(text) <= _SHORT and len(found) <= _FEW and shape(text) == text:
            _keep(self._several, message, found)
            self._grew(cost(text))
        return found

    # --- prepared statements ------------------------------------------------------------------------------------------

    def prepared(self, raw: bytes, *, values: bool) -> Found | None:
        """The prepared statement of this name, where executing it is plain. `values`: it is bound with some."""
        talk = self._talk
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            return None
        prepared = talk.names.statements.get(name)
        if prepared is None or talk.names.doubtful(prepared):
            return None
        found = self._prepared.get(name)
        if (
            found is not None
            and found[0] is prepared
            and found[1] is prepared.types
            and ("parameters" in found[2].plain.begun.holes) is values
            and not (found[2].plain.writes and prepared.read_as != talk.names.readings)
        ):
            return prepared, found[2], b""
        known = self.bindable(prepared, values=values)
        if known is None or (known.plain.writes and prepared.read_as != talk.names.readings):
            return None  # the target may have read its constants under other settings than those of now (draft.py)
        _keep(self._prepared, name, (prepared, prepared.types, known))
        return prepared, known, b""

    def is_plain(self, message: bytes) -> bool:
        """May binding what this whole Parse message says be plain, with values or without?"""
        return message in self._parsed or any(self.parsed(message, values=each) for each in (False, True))

    def parsed(self, message: bytes, *, values: bool) -> Found | None:
        """What a whole Parse message of the unnamed statement is known as, where binding it in the same breath is plain."""
        found = self._parsed.get(message)
        if found is not None and ("parameters" in found[1].plain.begun.holes) is values:
            return found
        try:
            parse = read_parse(message)
        except GatewayError:
            return None
        script = self._talk.reader.read(parse.sql) if len(message) <= LONGEST else None
        if script is None:
            return None
        text = rewritten(script, wish=False) or ""
        types, under = parse.parameter_types, self._grounds.under
        prepared = Prepared(parse.sql, script, types, read_under=under, shown=text or parse.sql, since=NEVER_DOUBTED)
        known = self.bindable(prepared, values=values)
        if known is None:
            return None
        found = prepared, known, write_parse("", text, types) if text else b""
        _keep(self._parsed, message, found)
        return found

    def given(self, body: bytes) -> Given | None:
        """What a Parse gives a name to, `body` behind that name, where binding it may be plain, with values or without. Not a BEGIN or its
        like: those are parsed otherwise as the client wishes."""
        if body in self._given:
            return self._given[body]
        try:
            parse = read_parse(message(b"P", b"\0" + body))
        except GatewayError:
            return None
        script = self._talk.reader.read(parse.sql) if len(body) <= LONGEST else None
        if script is None:
            return None
        meant = Prepared(
            parse.sql,
            script,
            parse.parameter_types,
            read_under=self._grounds.under,
            shown=parse.sql,
            since=NEVER_DOUBTED,
        )
        likely = "$" in parse.sql  # what it will be bound with is worked out here once, and the other seldom
        known = (self.bindable(meant, values=each) for each in (likely, not likely))
        found = Given(meant) if any(each is not None and each.plain.edge is None for each in known) else None
        _keep(self._given, body, found)
        return found

    def bindable(self, prepared: Prepared, *, values: bool) -> Known | None:
        """What executing this prepared statement is known as, bound with values or without; None where that isn't plain."""
        key = prepared.sql, prepared.types, values
        before, script = self._bindables.get(key), self._talk.reader.fresh(prepared)
        if before is not None and before[0] is script:
            return before[1]
        known = self._bindable(prepared, script, values=values)
        if known is not None:
            _keep(self._bindables, key, (script, known))
        return known

    def _bindable(self, prepared: Prepared, script: Script, *, values: bool) -> Known | None:
        catalog = self._grounds.catalog
        plain = self._plain(script, values=values)
        if plain is None or catalog is None or (plain.edge is not None and values):
            return None
        if plain.statement.names or plain.resets:
            return None
        if not catalog.user_type_oids.isdisjoint(prepared.types):
            return None
        return Known(plain, text_value(self._hiding.told(plain.statement, None)[0]))

    # --- what they need -----------------------------------------------------------------------------------------------

    def _plain(self, script: Script, *, values: bool = False) -> Plain | None:
        talk = self._talk
        edge = edge_of(script)
        if edge is None and not is_plain(script):
            return None
        statement = script.statements[0]
        verdict = talk.judge.verdict(script.statements, talk.now)
        if verdict.answer is not Answer.ALLOW or verdict.rests_on or talk.judge.has_written(statement):
            return None
        if talk.spreading.copies(statement) or (may_set(statement) and talk.grounds.touches_protected(statement)):
            return None  # the session has to remember that
        writes = edge is None and may_write(statement)
        if writes and talk.hiding.masked_write(script.statements, None) is not None:
            return None
        number = talk.number
        execution = talk.execution(statement, verdict, ("",) if values else None, ())
        talk.number = number
        begun, bare = talk.story.patterns(execution)
        if edge is None:
            execution.clear, execution.unscanned = talk.hiding.seen_clear(statement), talk.hiding.unscanned
        _, over = talk.story.patterns(execution)
        hides = talk.hiding.hides_values(statement)
        mute = edge is None and (statement.control is not None or statement.tag in _MUTE)
        return Plain(
            *(statement, execution.protected, hides, begun, over, bare, execution),
            edge=edge,
            writes=writes,
            mute=mute,
            resets=_resets(statement),
            leaves=not leaves_nothing(statement),
        )

    def described(self, plain: Plain, body: bytes, formats: bytes) -> Result | None:
        """The result that this RowDescription describes; None the first time, when it is learnt. `formats`: as in Bind."""
        key = body, formats
        result = plain.results.get(key)
        if result is None and self._hiding.names(body) is body:
            self._learn_result(plain, key, row_description(body))
        return result

    def undescribed(self, plain: Plain, columns: tuple[Column, ...], formats: bytes) -> Result | None:
        """The result of a statement whose columns were described before; None the first time."""
        key = columns, formats
        result = plain.results.get(key)
        if result is None:
            self._learn_result(plain, key, columns)
        return result

    def _learn_result(self, plain: Plain, key: tuple[object, bytes], columns: tuple[Column, ...]) -> None:
        codes = formats_read(key[1])
        shown = tuple(format_of(codes, at, each) for at, each in enumerate(columns))
        of_statement = tuple(replace(each, format=0) for each in columns)
        masker = self._hiding.masker(plain.statement, columns, shown)
        self._described += len(columns)
        if self._described > COLUMNS_KEPT:
            self._forget()
        _keep(plain.results, key, Result(columns, of_statement, masker))


def is_plain(script: Script) -> bool:
    """Does the text hold one SELECT, INSERT, UPDATE or DELETE and nothing that concerns more than its own rows? Or a savepoint, which the
    next only may fall back to; a name of a statement that is given up; or settings on which nothing rests that is decided here."""
    one = _alone(script)
    if one is not None and _resets(one):
        return True
    if one is None or one.control not in _WITHIN or not one.classes <= _CLASSES.get(one.tag, _NONE):
        return False
    if not all(is_of_no_account(name) for name, _ in one.settings):
        return False
    return rewritten(script, wish=False) is None and not _concerns_more(one)


def edge_of(script: Script) -> Edge | None:
    """What this text is, where it is one BEGIN, COMMIT or ROLLBACK that says no more than how its transaction is to be."""
    one = _alone(script)
    status = _BEHIND.get(one.control) if one is not None and one.control is not None else None
    if one is None or status is None or one.chain or one.classes != _HOUSE:
        return None
    if _concerns_more(one) or not {name for name, _ in one.settings} <= MODES:
        return None
    tag = message(b"C", one.tag.encode() + b"\0")
    return Edge(status, tag, rewritten(script, wish=False) or "")


def _resets(one: Statement) -> bool:
    """RESET ALL, CLOSE ALL or UNLISTEN."""
    if one.classes != _HOUSE or one.tag not in _RESETS:
        return False
    return one.tag != "RESET" or one.settings == ((ALL, None),)


def _alone(script: Script) -> Statement | None:
    """The one statement of a text that says nothing besides."""
    if script.unparsable is not None or script.too_big or script.claimed_reason or len(script.statements) != 1:
        return None
    return script.statements[0]


def _concerns_more(one: Statement) -> bool:
    concerns = (
        *(one.names and one.tag != "DEALLOCATE", one.copies, one.shows and not _shows_as_it_is(one.shows)),
        *(one.tells, one.configures and not one.settings, one.inner_tags, one.unresolved, one.spreads),
        *(one.guarded, one.temporary, one.unsettles, one.uncertain, one.holdable, one.untraced, one.reason),
    )
    return any(concerns)


def _shows_as_it_is(name: str) -> bool:
    """Is what SHOW answers the server's own truth (telling.py), and no application's value?"""
    return name.lower() not in (ALL, SETTING, OF_NOW) and not is_applications(name)


def _keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    if len(known) >= KEPT:
        for old in list(islice(known, KEPT // 2)):
            del known[old]
    known[key] = value
