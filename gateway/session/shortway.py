"""The short way of plain statements, and of the BEGIN and COMMIT round them: recorded, sent, and their answer looked at in one walk. Pure.

    Query, or (Parse) Bind (Describe) Execute Sync, alone in its chunk, in a session where nothing else is going on
        -> "statement" recorded, the bytes sent
    its whole answer in one chunk: (ParseComplete) (BindComplete) (RowDescription or NoData) rows CommandComplete ReadyForQuery, the status as before
        -> "finished" recorded, the bytes shown

    several of these that end in one Sync (a pipeline) likewise, each with entries of its own
    BEGIN, COMMIT or ROLLBACK, where nothing falls back or comes to light with it: the status is another behind it
    a write outside a block goes through the open gate (gate.py): OPEN and CLOSE round it, whose answers are ours, each a chunk
        or a part of one; CLOSE's may be owed while the next statement comes

It is the ordinary way (session.py) with everything left out that is known to change nothing for a plain one (plain.py), and it
decides nothing. As soon as anything else comes while one is under way - another message, an error, half of an answer, a row
that needs a mask, a cancel, a new policy - what was sent is read once more on the ordinary way, as of the time when it came, and what
that would record and send is compared with what was, and dropped. The session then stands where it would stand without this
module, and goes on with what came. The client has seen nothing of the answer before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.audit.pattern import Pattern, list_value, milliseconds_value, number_value, text_value
from gateway.errors import GatewayError, ProtocolViolation
from gateway.session import events as ev
from gateway.session.gate import CLOSE, OPEN
from gateway.session.names import Portal, Prepared
from gateway.session.plain import Begun, Edge, Found, Plain, PlainReads, Result, common
from gateway.session.replies import OPEN_AT, PER_TURN
from gateway.session.state import Conversation
from gateway.session.stream import Stream
from gateway.session.values import shown_values
from gateway.wire import frontend
from gateway.wire.backend import Column, command_tag, tag_rows
from gateway.wire.walk import int16, int32

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64

_EXECUTES: Final = frontend.execute("")
_DESCRIBES: Final = frontend.describe("P", "") + _EXECUTES
_EXECUTE: Final = _EXECUTES + frontend.SYNC
_DESCRIBE_EXECUTE: Final = _DESCRIBES + frontend.SYNC
_BOUND: Final = b"2\0\0\0\x04"
_PARSED: Final = b"1\0\0\0\x04" + _BOUND
_NO_DATA: Final = b"n\0\0\0\x04"
_READY: Final = {status: b"Z\0\0\0\x05" + status.encode() for status in "IT"}
_T: Final = 0x54
_D: Final = 0x44
_C: Final = 0x43
_COMPLETE: Final = b"C"
_ANSWERS: Final = b"12TnDC"
_Q: Final = 0x51
_S: Final = 0x53
_B: Final = 0x42
_P: Final = 0x50
_UNNAMED: Final = 5  # where the portal's name ends that is none

#: An audit entry: its pattern, and JSON for its holes.
Alike = tuple[Pattern, tuple[bytes, ...]]


class Flight:
    """A plain statement that is under way. `number` and `values` are those of its entry; `at`: when it was sent (Unix seconds).

    `data`: what came; `sent`: what goes to the target. `bind`: its Bind; `parsed`: a Parse of `prepared` stood
    before it; `asked`: a Describe stands in it. `formats`: of its result, as in Bind. `described`: its columns, where its answer has no
    RowDescription. `gated`: it goes through the gate; `behind`: CLOSE was owed when it came. `before`: the answers of ours that come
    before its own, `came`: what has come of them. `steps`: those of a pipeline, in order, of which this is the whole. One object serves
    a session, again and again.
    """

    __slots__ = (
        "asked",
        "at",
        "before",
        "behind",
        "bind",
        "came",
        "data",
        "described",
        "formats",
        "gated",
        "number",
        "parsed",
        "plain",
        "prepared",
        "sent",
        "steps",
        "values",
    )

    def __init__(self) -> None:
        self.data = self.sent = self.before = self.came = b""
        self.gated = self.behind = self.asked = False
        self.at = 0.0
        self.number = 0
        self.bind = b""
        self.parsed = False
        self.plain: Plain
        self.values: tuple[bytes, ...] = ()
        self.formats = b""
        self.described: tuple[Column, ...] | None = None
        self.prepared: Prepared | None = None
        self.steps: Sequence[Flight] = ()

    def is_what(self, effects: list[ev.Effect]) -> bool:
        """Is this what was recorded and sent?"""
        steps = self.steps or (self,)
        sent = effects[-1] if len(effects) == len(steps) + 1 else None
        return isinstance(sent, ev.ToTarget) and sent.data == self.sent and all(map(_fits, steps, effects))


class _Gathered:
    """The statements of a pipeline as far as they have come: `at` is where the next begins, `sent` what goes to the target. `status` and
    `number`: behind them. `size` is in bytes. `parsed`: one of them was; `over`: the last has ended a block."""

    def __init__(self, status: str, number: int) -> None:
        self.at = 0
        self.steps = list[Flight]()
        self.sent = list[bytes]()
        self.status = status
        self.number = number
        self.size, self.messages = len(frontend.SYNC), 1  # its end counts
        self.parsed = self.over = False

    @property
    def fills_a_turn(self) -> bool:
        """Is it so long that the ordinary way would take it in parts?"""
        return self.size >= OPEN_AT or self.messages >= PER_TURN

    def add(self, step: Flight, sent: tuple[bytes, bytes, bytes]) -> None:
        edge = step.plain.edge
        if edge is not None:
            self.status = edge.status
            self.over = edge.status == "I"
        self.steps.append(step)
        self.sent += sent
        self.size += sum(map(len, sent))
        self.messages += 2 + step.parsed + step.asked
        self.number += 1
        self.parsed = self.parsed or step.parsed


def _fits(step: Flight, effect: ev.Effect) -> bool:
    """Is this its first entry?"""
    return isinstance(effect, ev.Record) and step.plain.begun.fits(effect.kind, effect.fields, step.values)


class ShortWay:
    """Of one session. `open`: the next message may take it. `flight`: what has taken it and was not answered yet. `owed`: the target has
    not answered CLOSE yet.

    `last`: what took it last. `shut`: nothing ever takes it. `kept`: the beginning of what may take it, and when its newest part came.
    `send` and `answered` give the entries that are to be recorded before `last.sent` or `shown` go on, one a statement. They give None
    for what has to take the ordinary way, but where `took` says that it was taken: a beginning, or an answer of ours. Of that nothing
    goes on.
    """

    def __init__(self, talk: Conversation, stream: Stream) -> None:
        self._talk = talk
        self._grounds, self._hiding = talk.grounds, talk.hiding
        self._stream, self._answers = stream, stream.answers
        self._reads = PlainReads(talk)
        self._texts = self._reads  # where texts are looked up: in what sessions have in common, if it may
        self._session = text_value(talk.login.session)
        self._until = talk.login.identity.expires_at
        self.last = Flight()
        self.open = self.shut = self.owed = self.took = self._bare = False
        self.flight: Flight | None = None
        self.shown = b""
        self.kept, self.kept_at = b"", 0.0
        self._gathered = _Gathered("", 0)
        self._result: Result | None = None  # of the answer that was looked at last
        self._opened, self._closed = talk.gate.answers

    @property
    def waits(self) -> bool:
        """Is an answer due here, or more of what the client says?"""
        return self.owed or self.flight is not None or bool(self.kept)

    def look(self, *, idle: bool) -> None:
        """The ordinary way has come to a rest. `idle`: nothing of the client's is left to be read."""
        self.open = idle and not self.shut and self._talk.at_rest and self._stream.at_rest
        if self.open:
            self._reads.refresh()
            self._texts = common(self._talk) or self._reads

    def send(self, data: bytes, now: float) -> Sequence[Alike] | None:
        """Take a chunk of the client's, while nothing is under way."""
        talk = self._talk
        self.took = False
        if self.kept:
            data = self.kept + data
        if not self.open or now >= self._until or len(data) < 6:
            return None
        talk.now = now
        flight = self.last
        flight.sent = data
        flight.gated = False
        flight.steps = ()
        kind = data[0]
        end: i64 = 1 + int32(data, 1)
        taken = False
        if kind == _Q:
            taken = end == len(data) and self._query(flight, data)
        elif kind == _B:
            taken = self._execute(flight, data, end, b"")
        elif kind == _P and end + 5 < len(data) and data[end] == _B and not data[_UNNAMED]:
            rest = data[end:]
            taken = self._execute(flight, rest, 1 + int32(rest, 1), data[:end])
        elif kind != _P:
            return None
        if not taken and (kind == _Q or not self._pipeline(flight, data, now)):
            return None
        self.kept = b""
        flight.data, flight.at, self.flight = data, now, flight
        flight.behind, self.owed = self.owed, False
        flight.before = self._closed if flight.behind else b""
        flight.came = b""
        steps = flight.steps
        if talk.status == "I" and (_opens(steps) if steps else flight.plain.writes):
            flight.gated = True
            flight.before += self._opened
            flight.sent = OPEN + flight.sent + CLOSE
        if steps:
            talk.number = steps[-1].number
            return [(each.plain.begun, each.values) for each in steps]
        talk.number = flight.number
        return ((flight.plain.begun, flight.values),)

    def _query(self, flight: Flight, data: bytes) -> bool:
        known = self._texts.query(data)
        if known is None:
            return False
        edge = known.plain.edge
        if edge is not None:
            if not self._may_turn(edge, self._talk.status):
                return False
            flight.sent = edge.sent or data
        flight.number = self._talk.number + 1
        flight.plain, flight.values = known.plain, (self._session, number_value(flight.number), known.sql)
        flight.formats, flight.described, flight.prepared, flight.asked = b"", None, None, False
        return True

    def _may_turn(self, edge: Edge, status: str) -> bool:
        """Is it the edge that is due in this status, and does nothing fall back or become known by it?"""
        talk = self._talk
        due = status != edge.status and talk.gate.settled
        return due and not (talk.path_in_transaction or talk.reread_inside)

    def _execute(self, flight: Flight, data: bytes, end: i64, parse: bytes) -> bool:
        """Take a Bind, which ends at `end`, and what is behind it; `parse` stood before it."""
        if end > len(data):
            return False
        tail = data[end:]
        if tail != _DESCRIBE_EXECUTE and tail != _EXECUTE:  # noqa: PLR1714 - a tuple of both costs more
            return False
        flight.asked = len(tail) == len(_DESCRIBE_EXECUTE)
        talk = self._talk
        written = self._bound(flight, data[:end], parse, talk.status, talk.number + 1)
        if written is None:
            return False
        if written is not parse:
            flight.sent = written + data
        return True

    def _pipeline(self, flight: Flight, data: bytes, now: float) -> bool:
        """Take several that come together and end in one Sync. BEGIN may be the first, COMMIT or ROLLBACK the last."""
        talk = self._talk
        if not self.kept:
            self._gathered = _Gathered(talk.status, talk.number)
        gathered, steps = self._gathered, self._gathered.steps
        whole = self._gather(gathered, data)
        if whole is None or gathered.fills_a_turn or (whole and len(steps) < 2):
            return False
        if not whole:
            if len(data) < OPEN_AT:
                self.kept, self.kept_at, self.took = data, now, True
            return False
        flight.steps, flight.plain, flight.number = steps, steps[0].plain, steps[0].number
        flight.sent = b"".join((*gathered.sent, frontend.SYNC))
        return True

    def _gather(self, gathered: _Gathered, data: bytes) -> bool | None:
        """Take its statements from where it stands: True where it ends in a Sync, False where more of it has to come. None where it has to take
        the ordinary way."""
        end: i64 = len(data)
        at: i64 = gathered.at
        while at < end:
            if data[at] == _S:
                rest = data[at:]
                return True if rest == frontend.SYNC else False if frontend.SYNC.startswith(rest) else None
            bind: i64 = _behind(data, at) if data[at] == _P else at
            if bind < 0 or (at < bind and at + 5 < end and data[at + 5]):
                return None  # it is given a name
            if bind > end:
                return False
            parse = data[at:bind]
            tail: i64 = end + 1 if bind == end else _behind(data, bind) if data[bind] == _B else -1
            if tail < 0:
                return None
            if tail > end:
                return False if not parse or self._is_plain(parse) else None
            said = _DESCRIBES if tail == end or data[tail] == _D else _EXECUTES
            whole = data.startswith(said, tail)
            if not whole and not said.startswith(data[tail:]):
                return None
            step = Flight()
            step.asked = said is _DESCRIBES
            written = self._of_pipeline(gathered, step, parse, data[bind:tail])
            if written is None:
                return None
            if not whole:
                return False
            gathered.add(step, (written, data[bind:tail], said))
            at = gathered.at = tail + len(said)
        return False

    def _is_plain(self, parse: bytes) -> bool:
        """May what it is bound to take this way, whatever is bound?"""
        reads = self._reads
        return reads.parsed(parse, values=False) is not None or reads.parsed(parse, values=True) is not None

    def _of_pipeline(self, gathered: _Gathered, step: Flight, parse: bytes, bind: bytes) -> bytes | None:
        """As `_bound`, behind what was gathered."""
        if gathered.over:
            return None
        if gathered.parsed and not parse and bind[_UNNAMED : _UNNAMED + 2] == b"\0\0":
            return None  # what it is bound to has just come
        written = self._bound(step, bind, parse, gathered.status, gathered.number + 1)
        if written is None:
            return None
        edge = step.plain.edge
        return None if edge is not None and edge.status == "T" and gathered.steps else written

    def _bound(self, flight: Flight, bind: bytes, parse: bytes, status: str, number: int) -> bytes | None:
        """Take a whole Bind in this status, whose Execute, with a Describe or without (`flight.asked`), stands behind it. Returns the Parse that
        goes before it; None where it may not take this way."""
        if bind[_UNNAMED]:
            return None
        end = len(bind)
        at = bind.find(b"\0", _UNNAMED + 1)
        if at < 0:
            return None
        bound = _texts(bind, at + 1, end) or _anything(bind)
        if bound is None:
            return None  # the ordinary way says what is wrong
        parameters, codes, flight.formats = bound
        found = self._named(flight, bind[_UNNAMED + 1 : at], parse, values=bool(parameters))
        if found is None:
            return None
        prepared, known, written = found
        edge = known.plain.edge
        if edge is not None and not self._may_turn(edge, status):
            return None
        flight.bind, flight.parsed = bind, bool(parse)
        flight.number, flight.plain, flight.prepared = number, known.plain, prepared
        flight.values = self._session, number_value(number), known.sql
        if parameters:
            shown = self._shown(flight, bind[at:], parameters, codes)
            if shown is None:
                return None
            flight.values = (*flight.values, shown)
        flight.described = None if flight.asked else prepared.columns
        return written or parse

    def _named(self, flight: Flight, name: bytes, parse: bytes, *, values: bool) -> Found | None:
        """What is bound, where it may take this way."""
        if parse and name:
            return None
        found = self._reads.parsed(parse, values=values) if parse else self._reads.prepared(name, values=values)
        if found is None:
            return None
        prepared, known, _ = found
        if flight.asked or prepared.columns is not None or prepared.rowless:
            return found
        # Nobody has described it: there must be no rows, nor such as the ordinary way would have described.
        return found if (known.plain.writes or known.plain.edge is not None) and not any(flight.formats) else None

    def _shown(
        self, flight: Flight, raw: bytes, parameters: Sequence[bytes | None], codes: tuple[int, ...]
    ) -> bytes | None:
        """The bound values as they are recorded; None where no entry can hold them as they are."""
        assert flight.prepared is not None  # noqa: S101 - the caller's condition
        shown = shown_values(parameters, codes, flight.prepared.types)
        for each in shown:
            if each is not None and "\0" in each:
                return None
        plain, hiding = flight.plain, self._hiding
        if plain.writes and hiding.masked_write((plain.statement,), shown) is not None:
            return None
        if (
            any(codes) or plain.hides or self._grounds.own.suspicious(raw)
        ):  # what is shown of binary values is not what stands there
            return list_value(hiding.told_values(plain.statement, shown))
        return list_value(shown)

    def answered(self, data: bytes, now: float) -> Sequence[Alike] | None:
        """Take a chunk of the target's, while something is under way or owed: its whole answer, as expected."""
        flight, talk = self.flight, self._talk
        self.took = False
        if flight is None:
            if data == self._closed:
                self.owed, self.took = False, True
            return None
        if flight.before:
            data = self._behind_ours(flight, data)
            if not data:
                return None
        edge = flight.plain.edge
        if edge is not None and not flight.steps:
            return self._turned(flight, edge, data, now)
        closed = flight.gated and data.endswith(self._closed)
        if closed:
            data = data[: -len(self._closed)]
        over = self._each(flight, data, now) if flight.steps else self._alone(flight, data, now)
        if over is None:
            return None
        if flight.gated:
            talk.gate.openings += 1
            self.owed = not closed
        self.flight = None
        self.shown = data
        return over

    def _alone(self, flight: Flight, data: bytes, now: float) -> Sequence[Alike] | None:
        """The answer to one."""
        talk = self._talk
        if not data.endswith(_READY[talk.status]):
            return None
        rows = self._walk(flight, data, len(data) - 6)
        if rows is None:
            return None
        self._note(flight, self._result)
        over = flight.plain.bare if self._bare else flight.plain.over
        return ((over, (*flight.values, rows, milliseconds_value(now - flight.at))),)

    def _each(self, flight: Flight, data: bytes, now: float) -> Sequence[Alike] | None:
        """The answers to those of a pipeline: all are looked at before anything is noted."""
        steps = flight.steps
        last = steps[-1].plain.edge or steps[0].plain.edge
        ready = _READY[self._talk.status if last is None else last.status]
        ends = _answers(data, len(data) - len(ready)) if data.endswith(ready) else None
        if ends is None or len(ends) != len(steps):
            return None
        over, results, at = list[Alike](), list[Result | None](), 0
        took = milliseconds_value(now - flight.at)
        for step, end in zip(steps, ends, strict=True):
            edge, answer = step.plain.edge, data[at:end]
            if edge is None:
                rows = self._walk(step, answer, len(answer))
                pattern = step.plain.bare if self._bare else step.plain.over
            else:
                rows = b"0" if answer == _head(step) + edge.tag else None
                pattern, self._result = step.plain.over, None
            if rows is None:
                return None
            over.append((pattern, (*step.values, rows, took)))
            results.append(self._result)
            at = end
        for step, result in zip(steps, results, strict=True):
            if step.plain.edge is None:
                self._note(step, result)
            else:
                self._turn(step, step.plain.edge)
        return over

    def _behind_ours(self, flight: Flight, data: bytes) -> bytes:
        """What comes behind the answers of ours that are due; empty where nothing does yet (`took`), or something else came."""
        came, before = flight.came + data, flight.before
        if before.startswith(came):
            flight.came, self.took = came, True
            if len(came) == len(before):
                flight.before = b""
        return came[len(before) :] if came.startswith(before) else b""

    def _turned(self, flight: Flight, edge: Edge, data: bytes, now: float) -> Sequence[Alike] | None:
        """Has the block begun or ended?"""
        if data != _head(flight) + edge.answer:
            return None
        self.flight = None
        self.shown = data
        self._turn(flight, edge)
        return ((flight.plain.over, (*flight.values, b"0", milliseconds_value(now - flight.at))),)

    def _turn(self, flight: Flight, edge: Edge) -> None:
        """It has."""
        talk = self._talk
        talk.status = edge.status
        self._note(flight, None)
        talk.wrote_settings(flight.plain.statement)
        if edge.status == "I":
            talk.names.transaction_ended()
            self._answers.forget_block()

    def _walk(self, flight: Flight, data: bytes, ready: int) -> bytes | None:
        """The number of rows that the tag says, as JSON; None where a message isn't the one that is due. `_result` and `_bare` are set with it."""
        try:
            return self._walked(flight, data, ready)
        except ProtocolViolation:
            return None  # a row that doesn't fit: the ordinary way says so

    def _walked(self, flight: Flight, data: bytes, ready: i64) -> bytes | None:
        begun = flight.plain.latest
        if (
            begun is None
            or not data.startswith(begun.head)
            or begun.columns is not flight.described
            or begun.formats != flight.formats
        ):
            begun = self._begun(flight, data, ready)
            if begun is None:
                return None
        start: i64 = len(begun.head)
        at: i64 = start
        if at >= ready:
            return None
        while data[at] == _D:
            length = int32(data, at + 1)
            at += 1 + length
            if at >= ready or length < 4:
                return None
        result = begun.result
        if result is None and at > start:
            return None
        self._bare = result is None or (at == start and flight.prepared is not None)  # nothing was shown
        masker = result.masker if result is not None else None
        if masker is not None and at > start:
            run = data[start:at]
            if masker.rows(run) is not run:
                flight.plain.results.clear()  # its masker has counted
                flight.plain.latest = None
                return None
        if data[at] != _C or at + 5 > ready or at + 1 + int32(data, at + 1) != ready:
            return None
        self._result = result
        return _rows(data[at + 5 : ready])

    def _begun(self, flight: Flight, data: bytes, ready: int) -> Begun | None:
        """How this answer begins; None the first time, or where it can't be taken."""
        plain, head = flight.plain, _head(flight)
        if plain.writes and flight.described is None and data.startswith(head + _COMPLETE):
            plain.latest = Begun(head, flight.formats, None, None)
            return plain.latest
        at = 0
        if flight.prepared is not None:
            head = _PARSED if flight.parsed else _BOUND
            if not data.startswith(head):
                return None
            at = len(head)
        if flight.described is not None:
            result = self._reads.undescribed(plain, flight.described, flight.formats)
        elif flight.prepared is not None and not flight.asked:
            return None  # it was described as one without rows
        else:
            start, at = at + 5, _end(data, at)
            if data[start - 5] != _T or at > ready:
                return None
            reads = self._texts if flight.prepared is None else self._reads
            result = reads.described(plain, data[start:at], flight.formats)
        if result is None:
            return None
        plain.latest = Begun(data[:at], flight.formats, flight.described, result)
        return plain.latest

    def _note(self, flight: Flight, result: Result | None) -> None:
        """What the answers would have changed on the ordinary way. `result` None: it gives no rows."""
        talk, prepared = self._talk, flight.prepared
        if talk.status != "I" and flight.plain.edge is None:
            self._answers.ran(protected=flight.plain.protected)
        if prepared is None:
            talk.names.query()
        elif flight.parsed:
            columns, rowless = (None, flight.asked) if result is None else (result.of_statement, False)
            talk.names.statements[""] = prepared = prepared.again(columns, talk.names.readings, rowless=rowless)
        elif flight.asked:  # the table may be another one since the statement was described
            if result is not None:
                prepared.columns = result.of_statement
            prepared.rowless = prepared.columns is None
        if talk.status == "I":
            return
        if prepared is not None:
            talk.names.portals[""] = Portal(
                prepared,
                prepared.script,
                frontend.read_bind(flight.bind),
                result.columns if result is not None and flight.described is None else None,
                shown=prepared.shown,
                since=talk.names.doubts,
                read_as=talk.names.readings,
            )


def _opens(steps: Sequence[Flight]) -> bool:
    """Does a pipeline that begins outside a block go through the gate? Not where it begins one."""
    return steps[0].plain.edge is None and any(each.plain.writes for each in steps)


def _behind(data: bytes, at: i64) -> i64:
    """Where the message at `at` ends, beyond the data where not all of it is there; negative where it is none that is kept."""
    if at + 5 > len(data):
        return len(data) + 1
    length = int32(data, at + 1)
    return at + 1 + length if 6 <= length < OPEN_AT else -1


def _answers(data: bytes, end: i64) -> list[int] | None:
    """Where the answer of each statement of a pipeline ends: behind its CommandComplete. None where other messages come between."""
    found = list[int]()
    at: i64 = 0
    while at < end:
        kind = data[at]
        if at + 5 > end or kind not in _ANSWERS:
            return None
        at += 1 + int32(data, at + 1)
        if kind == _C:
            found.append(at)
    return found if at == end and found and found[-1] == at else None


def _head(flight: Flight) -> bytes:
    """The answer's beginning, where no rows come."""
    if flight.prepared is None:
        return b""
    return (_PARSED if flight.parsed else _BOUND) + (_NO_DATA if flight.asked else b"")


#: What is bound: values, their format codes (none: all are text), and the result formats as they stand there.
_Bound = tuple[Sequence[bytes | None], tuple[int, ...], bytes]


def _texts(data: bytes, at: i64, end: i64) -> _Bound | None:
    """What stands in a Bind from its format codes on, where all values are texts, none of them NULL: a third of read_bind."""
    if at + 2 > end:
        return None
    codes: i64 = at + 2 + 2 * int16(data, at)
    if codes + 2 > end or any(data[at + 2 : codes]):
        return None
    values: list[bytes] = []
    at = codes + 2
    for _ in range(int16(data, codes)):
        start: i64 = at + 4
        if start > end:
            return None
        at = start + int32(data, at)  # of NULL it is beyond any end
        if at > end:
            return None
        values.append(data[start:at])
    if at + 2 > end or end != at + 2 + 2 * int16(data, at):
        return None
    return values, (), data[at + 2 : end]


def _anything(raw: bytes) -> _Bound | None:
    try:
        bind = frontend.read_bind(raw)
    except GatewayError:
        return None
    return bind.parameters, bind.parameter_formats, frontend.formats_written(bind.result_formats)


@lru_cache(maxsize=256)
def _rows(tag: bytes) -> bytes | None:
    """The row count of a CommandComplete's body, as JSON; None where it has none."""
    rows = tag_rows(command_tag(tag))
    return None if rows is None else number_value(rows)


def _end(data: bytes, at: int) -> int:
    """The end of the message at `at`, beyond the data where it says something impossible."""
    length = int.from_bytes(data[at + 1 : at + 5], "big")
    return at + 1 + length if length >= 4 else len(data)
