"""The short way of plain reads: recorded, sent, and their answer looked at in one walk. Pure.

    Query, or Bind (Describe) Execute Sync of a prepared statement, alone in its chunk, in a session where nothing else is going on
        -> "statement" recorded, the bytes sent
    its whole answer in one chunk: (BindComplete) (RowDescription) rows CommandComplete ReadyForQuery, the status as before
        -> "finished" recorded, the bytes shown

It is the ordinary way (session.py) with everything left out that is known to change nothing for a plain read (plain.py), and it
decides nothing. As soon as anything else comes while one is under way - another message, an error, half of an answer, a row
that needs a mask, a cancel, a new policy - what was sent is read once more on the ordinary way, as of the time when it came, and what
that would record and send is compared with what was, and dropped. The session then stands where it would stand without this
module, and goes on with what came. The client has seen nothing of the answer before.
"""

from dataclasses import dataclass

from gateway.audit.pattern import list_value, number_value
from gateway.errors import GatewayError, ProtocolViolation
from gateway.session import events as ev
from gateway.session.names import Portal, Prepared
from gateway.session.plain import Known, PlainReads, Result
from gateway.session.state import Conversation
from gateway.session.stream import Stream
from gateway.session.values import bound_values
from gateway.wire import frontend
from gateway.wire.backend import command_tag, tag_rows

_EXECUTE = frontend.execute("") + frontend.SYNC
_DESCRIBE_EXECUTE = frontend.describe("P", "") + _EXECUTE
_BOUND = b"2\0\0\0\x04"
_T, _D, _C, _Q, _B = b"TDCQB"


@dataclass(frozen=True, slots=True)
class Flight:
    """A plain read that is under way. `number` and `values` are those of its entry; `at`: when it was sent (Unix seconds).

    `describes`: its RowDescription is a part of its answer.
    """

    data: bytes
    at: float
    known: Known
    number: int
    values: tuple[str, ...]
    describes: bool
    prepared: Prepared | None = None
    bind: frontend.Bind | None = None

    def is_what(self, effects: list[ev.Effect]) -> bool:
        """Is this what was recorded and sent?"""
        match effects:
            case [ev.Record(kind, fields), ev.ToTarget(data)]:
                return data == self.data and self.known.plain.begun.fits(kind, fields, self.values)
        return False


class ShortWay:
    """Of one session. `open`: the next message may take it. `flight`: what has taken it and was not answered yet.

    `shut`: nothing ever takes it.
    """

    def __init__(self, talk: Conversation, stream: Stream) -> None:
        self._talk = talk
        self._stream = stream
        self._reads = PlainReads(talk)
        self.open = self.shut = False
        self.flight: Flight | None = None

    def look(self, *, idle: bool) -> None:
        """The ordinary way has come to a rest. `idle`: nothing of the client's is left to be read."""
        self.open = idle and not self.shut and self._talk.at_rest and self._stream.at_rest
        if self.open:
            self._reads.refresh()

    def send(self, data: bytes, now: float) -> list[ev.Effect] | None:
        """Take a chunk of the client's; None where it has to take the ordinary way."""
        talk = self._talk
        if now >= talk.login.identity.expires_at or len(data) < 6:
            return None
        talk.now = now
        kind, end = data[0], 1 + int.from_bytes(data[1:5], "big")
        if kind == _Q and end == len(data):
            flight = self._query(data, now)
        elif kind == _B:
            flight = self._execute(data, end, now)
        else:
            return None
        if flight is None:
            return None
        talk.number = flight.number
        self.flight = flight
        return [ev.RecordAlike(flight.known.plain.begun, flight.values), ev.ToTarget(data)]

    def _query(self, data: bytes, now: float) -> Flight | None:
        known = self._reads.query(data)
        if known is None:
            return None
        number = self._talk.number + 1
        return Flight(data, now, known, number, (number_value(number), known.sql), describes=True)

    def _execute(self, data: bytes, end: int, now: float) -> Flight | None:
        tail = data[end:]
        if tail not in (_EXECUTE, _DESCRIBE_EXECUTE):
            return None
        try:
            bind = frontend.read_bind(data[:end])
        except GatewayError:
            return None  # the ordinary way says so
        found = self._reads.prepared(bind.statement, values=bool(bind.parameters)) if not bind.portal else None
        if found is None:
            return None
        prepared, known = found
        number = self._talk.number + 1
        values: tuple[str, ...] = (number_value(number), known.sql)
        if bind.parameters:
            shown = bound_values(bind, prepared.types)
            if any(each and "\0" in each for each in shown):
                return None  # no entry can hold it as it is
            values = (*values, list_value(self._talk.judge.told_values(known.plain.statement, shown)))
        describes = len(tail) == len(_DESCRIBE_EXECUTE)
        return Flight(data, now, known, number, values, describes, prepared, bind)

    def answered(self, data: bytes, now: float) -> list[ev.Effect] | None:
        """Take a chunk of the target's; None where it is not just the whole answer, as expected."""
        flight, talk = self.flight, self._talk
        assert flight is not None  # noqa: S101 - asked only then
        ready = len(data) - 6
        if ready < 0 or data[ready:] != b"Z\0\0\0\x05" + talk.status.encode():
            return None
        try:
            rows = self._walk(flight, data, ready)
        except ProtocolViolation:
            return None  # a row that doesn't fit: the ordinary way says so
        if rows is None:
            return None
        self.flight = None
        values = (*flight.values, number_value(rows), number_value(round((now - flight.at) * 1000, 3)))
        return [ev.RecordAlike(flight.known.plain.over, values), ev.ToClient(data)]

    def _walk(self, flight: Flight, data: bytes, ready: int) -> int | None:
        """The number of rows that the tag says; None where a message isn't the one that is due."""
        at = 0
        formats: tuple[int, ...] = ()
        if flight.bind is not None:
            if not data.startswith(_BOUND):
                return None
            at, formats = len(_BOUND), flight.bind.result_formats
        plain = flight.known.plain
        if flight.describes:
            end = _end(data, at)
            if data[at] != _T or end > ready:
                return None
            result = self._reads.described(plain, data[at + 5 : end], formats)
            at = end
        else:
            assert flight.prepared is not None  # a query describes  # noqa: S101
            result = self._reads.undescribed(plain, flight.prepared, formats)
        if result is None:
            return None
        start = at
        while data[at] == _D:
            at = _end(data, at)
            if at >= ready:
                return None
        if result.masker is not None and at > start:
            run = data[start:at]
            if result.masker.rows(run) is not run:
                plain.results.clear()  # its masker has counted
                return None
        if data[at] != _C or _end(data, at) != ready:
            return None
        self._settle(flight, result)
        return tag_rows(command_tag(data[at + 5 : ready]))

    def _settle(self, flight: Flight, result: Result) -> None:
        """What the answers would have changed on the ordinary way."""
        talk = self._talk
        if talk.status == "T":
            self._stream.reached(protected=flight.known.plain.protected)
        if flight.bind is None:
            talk.names.query()
        elif flight.prepared is not None and talk.status == "T":
            prepared, bind = flight.prepared, flight.bind
            columns = result.columns if flight.describes else None
            talk.names.portals[""] = Portal(
                prepared,
                prepared.script,
                bind,
                columns,
                shown=prepared.shown,
                since=talk.names.doubts,
                read_as=talk.names.readings,
            )


def _end(data: bytes, at: int) -> int:
    """The end of the message at `at`, beyond the data where it says something impossible."""
    length = int.from_bytes(data[at + 1 : at + 5], "big")
    return at + 1 + length if length >= 4 else len(data)
