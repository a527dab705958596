"""The short way of plain statements, and of the BEGIN and COMMIT round them: recorded, sent, and their answer looked at in one walk. Pure.

    Query, or (Parse) Bind (Describe) Execute Sync, alone in its chunk, in a session where nothing else is going on
        -> "statement" recorded, the bytes sent
    its whole answer in one chunk: (ParseComplete) (BindComplete) (RowDescription or NoData) rows CommandComplete ReadyForQuery, the status as before
        -> "finished" recorded, the bytes shown

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
from gateway.session.state import Conversation
from gateway.session.stream import Stream
from gateway.session.values import shown_values
from gateway.wire import frontend
from gateway.wire.backend import Column, command_tag, tag_rows
from gateway.wire.walk import int16, int32

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64

_EXECUTE: Final = frontend.execute("") + frontend.SYNC
_DESCRIBE_EXECUTE: Final = frontend.describe("P", "") + _EXECUTE
_BOUND: Final = b"2\0\0\0\x04"
_PARSED: Final = b"1\0\0\0\x04" + _BOUND
_NO_DATA: Final = b"n\0\0\0\x04"
_READY: Final = {status: b"Z\0\0\0\x05" + status.encode() for status in "IT"}
_T: Final = 0x54
_D: Final = 0x44
_C: Final = 0x43
_COMPLETE: Final = b"C"
_Q: Final = 0x51
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
    before its own, `came`: what has come of them. One object serves a session, again and again.
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

    def is_what(self, effects: list[ev.Effect]) -> bool:
        """Is this what was recorded and sent?"""
        if len(effects) != 2:
            return False
        record, sent = effects
        if not isinstance(record, ev.Record) or not isinstance(sent, ev.ToTarget) or sent.data != self.sent:
            return False
        return self.plain.begun.fits(record.kind, record.fields, self.values)


class ShortWay:
    """Of one session. `open`: the next message may take it. `flight`: what has taken it and was not answered yet. `owed`: the target has
    not answered CLOSE yet.

    `last`: what took it last. `shut`: nothing ever takes it. `send` and `answered` give the entry that is to be recorded before
    `last.sent` or `shown` go on. They give None for what has to take the ordinary way, but where `took` says that an answer of ours was taken: of that
    nothing goes on.
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
        self._opened, self._closed = talk.gate.answers

    @property
    def waits(self) -> bool:
        """Is an answer due here?"""
        return self.owed or self.flight is not None

    def look(self, *, idle: bool) -> None:
        """The ordinary way has come to a rest. `idle`: nothing of the client's is left to be read."""
        self.open = idle and not self.shut and self._talk.at_rest and self._stream.at_rest
        if self.open:
            self._reads.refresh()
            self._texts = common(self._talk) or self._reads

    def send(self, data: bytes, now: float) -> Alike | None:
        """Take a chunk of the client's, while nothing is under way."""
        talk = self._talk
        if not self.open or now >= self._until or len(data) < 6:
            return None
        talk.now = now
        flight = self.last
        flight.sent = data
        flight.gated = False
        kind = data[0]
        end: i64 = 1 + int32(data, 1)
        if kind == _Q and end == len(data):
            taken = self._query(flight, data)
        elif kind == _B:
            taken = self._execute(flight, data, end, b"")
        elif kind == _P and end + 5 < len(data) and data[end] == _B and not data[_UNNAMED]:
            rest = data[end:]
            taken = self._execute(flight, rest, 1 + int32(rest, 1), data[:end])
        else:
            return None
        if not taken:
            return None
        flight.data, flight.at, self.flight = data, now, flight
        flight.behind, self.owed = self.owed, False
        flight.before = self._closed if flight.behind else b""
        flight.came = b""
        if flight.plain.writes and talk.status == "I":
            flight.gated = True
            flight.before += self._opened
            flight.sent = OPEN + flight.sent + CLOSE
        talk.number = flight.number
        return flight.plain.begun, flight.values

    def _query(self, flight: Flight, data: bytes) -> bool:
        known = self._texts.query(data)
        if known is None:
            return False
        edge = known.plain.edge
        if edge is not None:
            if not self._may_turn(edge):
                return False
            flight.sent = edge.sent or data
        flight.number = self._talk.number + 1
        flight.plain, flight.values = known.plain, (self._session, number_value(flight.number), known.sql)
        flight.formats, flight.described, flight.prepared, flight.asked = b"", None, None, False
        return True

    def _may_turn(self, edge: Edge) -> bool:
        """Is it the edge that is due, and does nothing fall back or become known by it?"""
        talk = self._talk
        due = talk.status != edge.status and talk.gate.settled
        return due and not (talk.path_in_transaction or talk.reread_inside)

    def _execute(self, flight: Flight, data: bytes, end: i64, parse: bytes) -> bool:
        """Take a Bind, which ends at `end`, and what is behind it; `parse` stood before it."""
        if end > len(data):
            return False
        tail = data[end:]
        if (tail != _DESCRIBE_EXECUTE and tail != _EXECUTE) or data[_UNNAMED]:  # noqa: PLR1714 - a tuple of both costs more
            return False
        at = data.find(b"\0", _UNNAMED + 1, end)
        if at < 0:
            return False
        bound = _texts(data, at + 1, end) or _anything(data[:end])
        if bound is None:
            return False  # the ordinary way says what is wrong
        parameters, codes, flight.formats = bound
        flight.asked = len(tail) == len(_DESCRIBE_EXECUTE)
        found = self._named(flight, data[_UNNAMED + 1 : at], parse, values=bool(parameters))
        if found is None:
            return False
        prepared, known, written = found
        if written:
            flight.sent = written + data
        flight.bind, flight.parsed = data[:end], bool(parse)
        flight.number, flight.plain, flight.prepared = self._talk.number + 1, known.plain, prepared
        flight.values = self._session, number_value(flight.number), known.sql
        if parameters:
            shown = self._shown(flight, data[at:end], parameters, codes)
            if shown is None:
                return False
            flight.values = (*flight.values, shown)
        flight.described = None if flight.asked else prepared.columns
        return True

    def _named(self, flight: Flight, name: bytes, parse: bytes, *, values: bool) -> Found | None:
        """What is bound, where it may take this way."""
        if parse and name:
            return None
        found = self._reads.parsed(parse, values=values) if parse else self._reads.prepared(name, values=values)
        if found is None:
            return None
        prepared, known, _ = found
        edge = known.plain.edge
        if edge is not None and not self._may_turn(edge):
            return None
        if flight.asked or prepared.columns is not None or prepared.rowless:
            return found
        # Nobody has described it: there must be no rows, nor such as the ordinary way would have described.
        return found if (known.plain.writes or edge is not None) and not any(flight.formats) else None

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

    def answered(self, data: bytes, now: float) -> Alike | None:
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
        if edge is not None:
            return self._turned(flight, edge, data, now)
        closed = flight.gated and data.endswith(self._closed)
        if closed:
            data = data[: -len(self._closed)]
        if not data.endswith(_READY[talk.status]):
            return None
        try:
            rows = self._walk(flight, data, len(data) - 6)
        except ProtocolViolation:
            return None  # a row that doesn't fit: the ordinary way says so
        if rows is None:
            return None
        if flight.gated:
            talk.gate.openings += 1
            self.owed = not closed
        self.flight = None
        self.shown = data
        over = flight.plain.bare if self._bare else flight.plain.over
        return over, (*flight.values, rows, milliseconds_value(now - flight.at))

    def _behind_ours(self, flight: Flight, data: bytes) -> bytes:
        """What comes behind the answers of ours that are due; empty where nothing does yet (`took`), or something else came."""
        came, before = flight.came + data, flight.before
        if before.startswith(came):
            flight.came, self.took = came, True
            if len(came) == len(before):
                flight.before = b""
        return came[len(before) :] if came.startswith(before) else b""

    def _turned(self, flight: Flight, edge: Edge, data: bytes, now: float) -> Alike | None:
        """Has the block begun or ended?"""
        talk = self._talk
        if data != _head(flight) + edge.answer:
            return None
        self.flight = None
        self.shown = data
        talk.status = edge.status
        self._note(flight, None)
        talk.wrote_settings(flight.plain.statement)
        if edge.status == "I":
            talk.names.transaction_ended()
            self._answers.forget_block()
        return flight.plain.over, (*flight.values, b"0", milliseconds_value(now - flight.at))

    def _walk(self, flight: Flight, data: bytes, ready: i64) -> bytes | None:
        """The number of rows that the tag says, as JSON; None where a message isn't the one that is due."""
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
        rows = _rows(data[at + 5 : ready])
        if rows is not None:
            if self._talk.status != "I":
                self._answers.ran(protected=flight.plain.protected)
            self._note(flight, result)
        return rows

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
