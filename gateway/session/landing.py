"""How the answer to what took the short way is looked at, and what it leaves behind in the session. Pure.

All of an answer is looked at before anything is noted: where it isn't the one that is due, None is returned, nothing has changed and
the ordinary way takes it. What must not live here: answers to the gateway's own messages, what is shown (shortway.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.audit.entry import Value
from gateway.audit.pattern import milliseconds_value, nested_value, number_value
from gateway.errors import ProtocolViolation
from gateway.masking.fields import Counts
from gateway.session.answers import Answers
from gateway.session.flight import Alike, Flight
from gateway.session.names import Change, Portal, Prepared, Space
from gateway.session.plain import Begun, Edge, PlainReads, Result
from gateway.session.state import Conversation
from gateway.wire import frontend
from gateway.wire.backend import BIND_COMPLETE, NO_DATA, PARSE_COMPLETE, Column, command_tag, end_of, tag_rows
from gateway.wire.walk import int32

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64

_PARSED: Final = PARSE_COMPLETE + BIND_COMPLETE
_READY: Final = {status: b"Z\0\0\0\x05" + status.encode() for status in "IT"}
_CURSORS: Final = Change(Space.PORTAL, None)  # of CLOSE ALL
_T: Final = 0x54
_D: Final = 0x44
_C: Final = 0x43
_COMPLETE: Final = b"C"
_OF_STATEMENTS: Final = b"12TnDC"


class Landing:
    """Of one session. `texts`: where texts are looked up, as what is `reads` unless sessions have them in common."""

    def __init__(self, talk: Conversation, reads: PlainReads, answers: Answers) -> None:
        self._talk = talk
        self._reads = self.texts = reads
        self._answers = answers
        self.shown = b""  # of the answer that was looked at last: what the client gets
        self._bare = False  # nothing was shown of it
        self._masked = b""  # what was masked in it, as its entries say it; empty for nothing
        self._result: Result | None = None

    def turned(self, flight: Flight, edge: Edge, data: bytes, now: float) -> Sequence[Alike] | None:
        """Has the block begun or ended?"""
        if data != _head(flight) + edge.answer:
            return None
        self._turn(flight, edge)
        self.shown = data
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

    def alone(self, flight: Flight, data: bytes, now: float) -> Sequence[Alike] | None:
        """The answer to one."""
        talk, naming = self._talk, flight.naming
        end = _READY[talk.status]
        if naming is None:
            if not data.endswith(end):
                return None
            rows = self._walk(flight, data, len(data) - 6)
            if rows is None:
                return None
        else:
            at, end = naming.of_parse(data, talk.hiding), naming.closed + end
            if at < 0 or len(data) < at + len(end) or not data.endswith(end):
                return None
            if naming.asked and naming.prepared is not None and not flight.asked:
                flight.described = naming.prepared.columns
            rows = self._walk(flight, data[at:], len(data) - len(end) - at)
            if rows is None:
                return None
            self.shown = data[:at] + self.shown
            naming.gives(talk.names)
        if flight.adds:
            self.shown = _undescribed(self.shown, len(_PARSED if flight.parsed else BIND_COMPLETE))
        self._note(flight, self._result)
        if naming is not None:
            naming.takes(talk.names)
        return self._entries(flight, rows, milliseconds_value(now - flight.at))

    def named(self, flight: Flight, data: bytes) -> Sequence[Alike] | None:
        """The answer to what does nothing but give and take names: no entry."""
        talk, naming = self._talk, flight.naming
        ready = _READY[talk.status]
        at = naming.of_parse(data, talk.hiding) if naming is not None else -1
        if naming is None or at < 0 or data[at:] != naming.closed + ready:
            return None
        naming.gives(talk.names)
        naming.takes(talk.names)
        self.shown = data[: -len(ready)] if naming.flushed else data
        return ()

    def _entries(self, flight: Flight, rows: bytes, took: bytes) -> Sequence[Alike]:
        """Those of the answer that was looked at last: what was masked in it comes first."""
        plain = flight.plain
        if self._masked:
            if plain.masks is None:
                plain.masks = self._talk.story.masked_patterns(plain.execution)
            masked, over = plain.masks
            return (
                (masked, (*flight.values[:2], self._masked)),
                (over, (*flight.values, rows, took, self._masked)),
            )
        return ((plain.bare if self._bare else plain.over, (*flight.values, rows, took)),)

    def each(self, flight: Flight, data: bytes, now: float) -> Sequence[Alike] | None:
        """The answers to those of a pipeline: all are looked at before anything is noted."""
        steps = flight.steps
        last = steps[-1].plain.edge or steps[0].plain.edge
        ready = _READY[self._talk.status if last is None else last.status]
        ends = _ends(data, len(data) - len(ready)) if data.endswith(ready) else None
        if ends is None or len(ends) != len(steps):
            return None
        over, results, shown, at = list[Alike](), list[Result | None](), list[bytes](), 0
        described: tuple[Prepared, tuple[Column, ...]] | None = None
        took = milliseconds_value(now - flight.at)
        for step, end in zip(steps, ends, strict=True):
            edge, answer = step.plain.edge, data[at:end]
            if edge is None:
                rows = self._walk(step, answer, len(answer))
            else:
                rows = b"0" if answer == _head(step) + edge.tag else None
                self.shown, self._masked, self._bare, self._result = answer, b"", False, None
            if rows is None:
                return None
            if step.asked and step.prepared is not None and self._result is not None:
                described = step.prepared, self._result.of_statement
            elif described is not None and step.prepared is described[0] and step.described != described[1]:
                return None  # it was looked at as what it was described as before
            over += self._entries(step, rows, took)
            results.append(self._result)
            shown.append(self.shown)
            at = end
        self.shown = b"".join((*shown, ready))
        for step, result in zip(steps, results, strict=True):
            if step.plain.edge is None:
                self._note(step, result)
            else:
                self._turn(step, step.plain.edge)
        return over

    def _walk(self, flight: Flight, data: bytes, ready: int) -> bytes | None:
        """The number of rows that the tag says, as JSON; None where a message isn't the one that is due. What is kept of it is set with it."""
        try:
            return self._walked(flight, data, ready)
        except (ProtocolViolation, UnicodeEncodeError):
            # A row that doesn't fit, or a name that no entry can hold: the ordinary way says so. The masker here has counted.
            flight.plain.results.clear()
            flight.plain.latest = None
            return None

    def _walked(self, flight: Flight, data: bytes, ready: i64) -> bytes | None:
        begun = flight.plain.latest
        if (
            begun is None
            or not data.startswith(begun.head)
            or begun.asked is not flight.asked
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
        self.shown, self._masked = data, b""
        masker = result.masker if result is not None else None
        if masker is not None and at > start:
            run = data[start:at]
            rows_shown = masker.rows(run)
            self._masked = _taken(masker.counts)  # a "char" that is * stays as it is, and counts
            if rows_shown is not run:
                self.shown = b"".join((data[:start], rows_shown, data[at:]))
        if data[at] != _C or at + 5 > ready or at + 1 + int32(data, at + 1) != ready:
            return None
        self._result = result
        rows = _rows(data[at + 5 : ready])
        return b"0" if rows is None and flight.plain.mute else rows

    def _begun(self, flight: Flight, data: bytes, ready: int) -> Begun | None:
        """How this answer begins; None the first time, or where it can't be taken."""
        plain, head = flight.plain, _head(flight)
        if (plain.writes or plain.mute) and flight.described is None and data.startswith(head + _COMPLETE):
            plain.latest = Begun(head, flight.formats, None, None, asked=flight.asked)
            return plain.latest
        at = 0
        if flight.prepared is not None:
            head = _PARSED if flight.parsed else BIND_COMPLETE
            if not data.startswith(head):
                return None
            at = len(head)
        if flight.described is not None:
            result = self._reads.undescribed(plain, flight.described, flight.formats)
        elif flight.prepared is not None and not flight.asked:
            return None  # it was described as one without rows
        else:
            start, at = at + 5, end_of(data, at)
            if data[start - 5] != _T or at > ready:
                return None
            reads = self.texts if flight.prepared is None else self._reads
            result = reads.described(plain, data[start:at], flight.formats)
        if result is None:
            return None
        plain.latest = Begun(data[:at], flight.formats, flight.described, result, asked=flight.asked)
        return plain.latest

    def _note(self, flight: Flight, result: Result | None) -> None:
        """What the answers would have changed on the ordinary way. `result` None: it gives no rows."""
        talk, prepared = self._talk, flight.prepared
        if flight.plain.statement.settings and flight.plain.edge is None:
            talk.wrote_settings(flight.plain.statement)
        if flight.plain.resets and flight.plain.statement.names is not None:
            talk.names.apply(_CURSORS)
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


def _taken(counts: Counts) -> bytes:
    """What was masked, as entries say it, and no longer counted; empty for nothing."""
    if not counts:
        return b""
    said: list[Value] = [
        {"column": column, "detector": detector, "count": count} for (column, detector), count in sorted(counts.items())
    ]
    counts.clear()
    return nested_value(said)


def _ends(data: bytes, end: i64) -> list[int] | None:
    """Where the answer of each statement of a pipeline ends: behind its CommandComplete. None where other messages come between."""
    found = list[int]()
    at: i64 = 0
    while at < end:
        kind = data[at]
        if at + 5 > end or kind not in _OF_STATEMENTS:
            return None
        length = int32(data, at + 1)
        if length < 4:
            return None
        at += 1 + length
        if kind == _C:
            found.append(at)
    return found if at == end and found and found[-1] == at else None


def _head(flight: Flight) -> bytes:
    """The answer's beginning, where no rows come."""
    if flight.prepared is None:
        return b""
    return (_PARSED if flight.parsed else BIND_COMPLETE) + (NO_DATA if flight.asked else b"")


@lru_cache(maxsize=256)
def _rows(tag: bytes) -> bytes | None:
    """The row count of a CommandComplete's body, as JSON; None where it has none."""
    rows = tag_rows(command_tag(tag))
    return None if rows is None else number_value(rows)


def _undescribed(data: bytes, at: int) -> bytes:
    """Without the description at `at`, which the client hasn't asked for."""
    return data[:at] + data[end_of(data, at) :]
