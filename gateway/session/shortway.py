"""The short way of plain statements, and of the BEGIN and COMMIT round them: recorded, sent, and their answer looked at in one walk. Pure.

    Query, or (Parse) Bind (Describe) Execute Sync, alone in its chunk, in a session where nothing else is going on
        -> "statement" recorded, the bytes sent
    what gives a plain statement a name, or takes one, by itself or round these (naming.py): of that nothing is recorded
    its whole answer in one chunk: (ParseComplete) (BindComplete) (RowDescription or NoData) rows CommandComplete ReadyForQuery, the status as before
        -> "finished" recorded (and "masked" before it, where something was), the bytes shown

    several of these that end in one Sync (a pipeline), or in one Query, likewise, each with entries of its own
    what takes a session back (RESET ALL, CLOSE ALL, UNLISTEN, as pools send it), where nothing has changed
    BEGIN, COMMIT or ROLLBACK, where nothing falls back or comes to light with it: the status is another behind it
    a write outside a block goes through the open gate (gate.py): OPEN and CLOSE round it, whose answers are ours, each a chunk
        or a part of one; CLOSE's may be owed while the next statement comes

It is the ordinary way (session.py) with everything left out that is known to change nothing for a plain one (plain.py), and it
decides nothing. As soon as anything else comes while one is under way - another message, an error, half of an answer,
a cancel, a new policy - what was sent is read once more on the ordinary way, as of the time when it came, and what
that would record and send is compared with what was, and dropped. The session then stands where it would stand without this
module, and goes on with what came. The client has seen nothing of the answer before.

What must not live here: what is under way (flight.py), how its answer is looked at (landing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.audit.pattern import list_value, number_value, text_value
from gateway.errors import GatewayError
from gateway.session.flight import Alike, Flight, Gathered
from gateway.session.gate import CLOSE, OPEN
from gateway.session.landing import Landing
from gateway.session.naming import Naming, asked, closes, deallocated, name_of
from gateway.session.plain import Edge, Found, PlainReads, common
from gateway.session.replies import OPEN_AT
from gateway.session.state import Conversation
from gateway.session.stream import Stream
from gateway.session.values import shown_values
from gateway.wire import frontend
from gateway.wire.walk import int16, int32

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64

_EXECUTES: Final = frontend.execute("")
_DESCRIBES: Final = frontend.describe("P", "") + _EXECUTES
_EXECUTE: Final = _EXECUTES + frontend.SYNC
_DESCRIBE_EXECUTE: Final = _DESCRIBES + frontend.SYNC
_D: Final = 0x44
_Q: Final = 0x51
_S: Final = 0x53
_B: Final = 0x42
_P: Final = 0x50
_C: Final = 0x43
_HEADER: Final = 5
_UNNAMED: Final = 5  # where the portal's name ends that is none


class ShortWay:
    """Of one session. `open`: the next message may take it. `flight`: what has taken it and was not answered yet. `owed`: the target has
    not answered CLOSE yet.

    `last`: what took it last. `shut`: nothing ever takes it. `kept`: the beginning of what may take it, and when its newest part came.
    `send` and `answered` give the entries that are to be recorded before `last.sent` or what `take_answer` gives go on, one a statement. They give None
    for what has to take the ordinary way, but where `took` says that it was taken: a beginning, or an answer of ours. Of that nothing
    goes on.
    """

    def __init__(self, talk: Conversation, stream: Stream) -> None:
        self._talk = talk
        self._grounds, self._hiding = talk.grounds, talk.hiding
        self._stream = stream
        self._reads = PlainReads(talk)
        self._texts = self._reads  # where texts are looked up: in what sessions have in common, if it may
        self._session = text_value(talk.login.session)
        self._until = talk.login.identity.expires_at
        self.last = Flight()
        self.open = self.shut = self.owed = self.took = False
        self.flight: Flight | None = None
        self.shown = b""
        self.kept, self.kept_at = b"", 0.0
        self._gathered = Gathered("", 0)
        self._landing = Landing(talk, self._reads, stream.answers)
        self._opened, self._closed = talk.gate.answers

    @property
    def waits(self) -> bool:
        """Is an answer due here, or more of what the client says?"""
        return self.owed or self.flight is not None or bool(self.kept)

    def look(self, *, idle: bool) -> None:
        """The ordinary way has come to a rest. `idle`: nothing of the client's is left to be read."""
        self._forget()
        self.open = idle and not self.shut and self._talk.at_rest and self._stream.at_rest
        if self.open:
            self._reads.refresh()
            self._texts = self._landing.texts = common(self._talk) or self._reads

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
        flight.begin(data)
        if not self._takes(flight, data, now):
            return None
        self.kept = b""
        flight.data, flight.at, self.flight = data, now, flight
        flight.behind, self.owed = self.owed, False
        flight.before = self._closed if flight.behind else b""
        flight.came = b""
        if flight.bare:
            flight.number = talk.number + 1  # of the next: it has none
            return ()
        steps = flight.steps
        if talk.status == "I" and (flight.opens if steps else flight.plain.writes):
            flight.gated = True
            flight.before += self._opened
            flight.sent = OPEN + flight.sent + CLOSE
        if steps:
            talk.as_new = talk.as_new and not any(each.plain.leaves for each in steps)
            talk.number = steps[-1].number
            return [(each.plain.begun, each.values) for each in steps]
        talk.as_new = talk.as_new and not flight.plain.leaves
        talk.number = flight.number
        return ((flight.plain.begun, flight.values),)

    def _takes(self, flight: Flight, data: bytes, now: float) -> bool:
        """Is it one of what may take this way, as a whole? `flight` says then what."""
        kind = data[0]
        end: i64 = 1 + int32(data, 1)
        if kind == _Q:
            return end == len(data) and self._query(flight, data)
        if kind == _C:
            return self._closes(flight, data)
        if kind == _B:
            return self._execute(flight, data, end, b"") or self._pipeline(flight, data, now)
        if kind != _P:
            return False
        if end + 5 < len(data) and data[end] == _B and not data[_UNNAMED]:
            rest = data[end:]
            taken = self._execute(flight, rest, 1 + int32(rest, 1), data[:end])
        else:
            taken = end < len(data) and self._named_first(flight, data, end)
        return taken or self._pipeline(flight, data, now)

    def _query(self, flight: Flight, data: bytes) -> bool:
        known = self._texts.query(data)
        if known is None:
            return self._several(flight, data)
        if known.plain.resets and not self._may_reset():
            return False
        edge = known.plain.edge
        if edge is not None:
            if not self._may_turn(edge, self._talk.status):
                return False
            flight.sent = edge.sent or data
        if known.plain.statement.names is not None and not known.plain.resets:
            gone = deallocated(data)
            if gone is None:
                return False
            flight.naming = Naming(closes=gone, by_sql=True)
        flight.number = self._talk.number + 1
        flight.plain, flight.values = known.plain, (self._session, number_value(flight.number), known.sql)
        flight.formats, flight.described, flight.prepared, flight.asked = b"", None, None, False
        return True

    def _several(self, flight: Flight, data: bytes) -> bool:
        """Take a Query of several statements."""
        found = self._texts.several(data)
        if found is None or (any(each.plain.resets for each in found) and not self._may_reset()):
            return False
        steps, number = list[Flight](), self._talk.number
        for known in found:
            number += 1
            step = Flight()
            step.number, step.plain, step.values = number, known.plain, (self._session, number_value(number), known.sql)
            steps.append(step)
        flight.stands_for(steps, opens=any(each.plain.writes for each in steps))
        return True

    def _may_reset(self) -> bool:
        """Is it all as it was when the session began, so that what takes that back changes nothing but names of cursors?"""
        talk = self._talk
        moved = talk.path_moved or talk.names.readings != talk.names.at_reset
        return talk.status == "I" and talk.gate.as_at_login and not moved

    def _may_turn(self, edge: Edge, status: str) -> bool:
        """Is it the edge that is due in this status, and does nothing fall back or become known by it?"""
        talk = self._talk
        due = status != edge.status and talk.gate.settled
        return due and not (talk.path_in_transaction or talk.reread_inside)

    def _execute(self, flight: Flight, data: bytes, end: i64, parse: bytes) -> bool:
        """Take a Bind, which ends at `end`, and what is behind it; `parse` stood before it."""
        if end > len(data) or len(parse) + len(data) >= OPEN_AT:
            return False  # of so much the ordinary way sends the beginning before it has seen the end
        tail = data[end:]
        if tail != _DESCRIBE_EXECUTE and tail != _EXECUTE:  # noqa: PLR1714 - a tuple of both costs more
            if not self._gives_up(flight, tail):
                return False
        else:
            flight.asked = len(tail) == len(_DESCRIBE_EXECUTE)
        talk = self._talk
        written = self._bound(flight, data[:end], parse, talk.status, talk.number + 1)
        if written is None:
            return False
        if flight.adds:
            flight.sent = b"".join((written, data[:end], _DESCRIBES, tail[len(_EXECUTES) :]))
        elif written is not parse:
            flight.sent = written + data
        return True

    def _gives_up(self, flight: Flight, tail: bytes) -> bool:
        """Take an Execute, or Describe and Execute, behind which names are closed."""
        flight.asked = tail.startswith(_DESCRIBES)
        said = _DESCRIBES if flight.asked else _EXECUTES
        closed = closes(tail[len(said) :]) if tail.startswith(said) else None
        if closed is None:
            return False
        flight.naming = Naming(closes=closed)
        return True

    def _closes(self, flight: Flight, data: bytes) -> bool:
        """Take what gives names up and does nothing else."""
        closed = closes(data)
        if closed is None:
            return False
        flight.naming, flight.bare = Naming(closes=closed), True
        return True

    def _named_first(self, flight: Flight, data: bytes, end: int) -> bool:
        """Take a Parse that ends at `end`, and is described, executed at once, or left at that."""
        behind = data.find(b"\0", _HEADER, end) + 1
        name = name_of(data[_HEADER : behind - 1]) if behind else None
        if name is None or len(data) >= OPEN_AT:
            return False
        asks = asked(name)
        described = data.startswith(asks, end)
        rest = data[end + len(asks) :] if described else data[end:]
        flushed = rest == frontend.FLUSH
        flight.bare = flushed or rest == frontend.SYNC
        given = self._reads.given(data[behind:end]) if flight.bare or described else None
        if given is None:
            return False
        flight.naming = Naming(given, name, given.named(name, self._talk.names), asked=described, flushed=flushed)
        if flushed:
            flight.sent = data[: -len(rest)] + frontend.SYNC
        return flight.bare or self._bound_at_once(flight, rest)

    def _bound_at_once(self, flight: Flight, rest: bytes) -> bool:
        """Take the Bind and Execute of what was parsed and described just before it."""
        if len(rest) <= _UNNAMED or rest[0] != _B or rest[_UNNAMED]:
            return False
        end: i64 = 1 + int32(rest, 1)
        tail = rest[end:] if end < len(rest) else b""
        flight.asked = tail == _DESCRIBE_EXECUTE
        if not flight.asked and tail != _EXECUTE:
            return False
        talk = self._talk
        return self._bound(flight, rest[:end], b"", talk.status, talk.number + 1) is not None

    def _pipeline(self, flight: Flight, data: bytes, now: float) -> bool:
        """Take several that come together and end in one Sync. BEGIN may be the first, COMMIT or ROLLBACK the last."""
        talk = self._talk
        if not self.kept:
            self._gathered = Gathered(talk.status, talk.number)
        gathered, steps = self._gathered, self._gathered.steps
        whole = self._gather(gathered, data)
        if whole is None or (whole and len(steps) < 2):
            return False
        if not whole:
            if len(data) < OPEN_AT:
                self.kept, self.kept_at, self.took = data, now, True
            return False
        flight.stands_for(steps, opens=gathered.opens)
        flight.sent = b"".join((*gathered.sent, frontend.SYNC))
        return True

    def _gather(self, gathered: Gathered, data: bytes) -> bool | None:
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
                return False if not parse or self._reads.is_plain(parse) else None
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
            if gathered.fills_a_turn:
                return None
            at = gathered.at = tail + len(said)
        return False

    def _of_pipeline(self, gathered: Gathered, step: Flight, parse: bytes, bind: bytes) -> bytes | None:
        """As `_bound`, behind what was gathered."""
        if gathered.over:
            return None
        if gathered.parsed and not parse and bind[_UNNAMED : _UNNAMED + 2] == b"\0\0":
            return None  # what it is bound to has just come
        written = self._bound(step, bind, parse, gathered.status, gathered.number + 1)
        if written is None:
            return None
        edge = step.plain.edge
        if step.plain.mute or (edge is not None and edge.status == "T" and gathered.steps):
            return None  # of control in the middle of a batch the ordinary way knows less
        if edge is not None and edge.text and step.prepared is not None and step.prepared.shown == step.prepared.sql:
            return None  # it was parsed under another wish: what is behind it may need the gate
        return written

    def _bound(self, flight: Flight, bind: bytes, parse: bytes, status: str, number: int) -> bytes | None:
        """Take a whole Bind in this status, whose Execute, with a Describe or without (`flight.asked`), stands behind it. Returns the Parse that
        goes before it; None where it may not take this way."""
        end = len(bind)
        if end <= _UNNAMED or bind[_UNNAMED]:
            return None
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
        if edge is not None and (flight.naming is not None or not self._may_turn(edge, status)):
            return None
        flight.bind, flight.parsed = bind, bool(parse)
        flight.number, flight.plain, flight.prepared = number, known.plain, prepared
        flight.values = self._session, number_value(number), known.sql
        if parameters:
            values = bind[at : end - 2 - len(flight.formats)]  # how many formats come then may look like letters
            shown = self._shown(flight, values, parameters, codes)
            if shown is None:
                return None
            flight.values = (*flight.values, shown)
        flight.described = None if flight.asked else prepared.columns
        return written or parse

    def _named(self, flight: Flight, name: bytes, parse: bytes, *, values: bool) -> Found | None:
        """What is bound, where it may take this way."""
        if parse and name:
            return None
        naming = flight.naming
        if naming is not None and naming.prepared is not None:  # it has just been parsed and described
            meant = naming.prepared
            known_now = self._reads.bindable(meant, values=values) if name == naming.name.encode() else None
            return None if known_now is None else (meant, known_now, b"")
        found = self._reads.parsed(parse, values=values) if parse else self._reads.prepared(name, values=values)
        if found is None:
            return None
        prepared, known, _ = found
        if flight.asked or prepared.columns is not None or prepared.rowless:
            return found
        # Nobody has described it: there must be no rows, or it is described here, as the ordinary way has it, where they may come in binary.
        plain = known.plain
        if any(flight.formats):
            if flight is not self.last or plain.edge is not None:
                return None  # one of a pipeline
            flight.asked = flight.adds = True
            return found
        rowless = plain.mute or plain.edge is not None or (plain.writes and plain.statement.tag != "SELECT")
        return found if rowless else None

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
        flight = self.flight
        self.took = False
        if flight is None:
            if data == self._closed:
                self.owed, self.took = False, True
            return None
        if flight.before:
            data = self._behind_ours(flight, data)
            if not data:
                return None
        if flight.bare:
            return self._over(self._landing.named(flight, data))
        edge = flight.plain.edge
        if edge is not None and not flight.steps:
            return self._over(self._landing.turned(flight, edge, data, now))
        closed = flight.gated and data.endswith(self._closed)
        if closed:
            data = data[: -len(self._closed)]
        landing = self._landing
        over = landing.each(flight, data, now) if flight.steps else landing.alone(flight, data, now)
        if over is not None and flight.gated:
            self._talk.gate.openings += 1
            self.owed = not closed
        return self._over(over)

    def _over(self, over: Sequence[Alike] | None) -> Sequence[Alike] | None:
        """This was the answer, unless there is nothing to be recorded."""
        if over is not None:
            self.flight = None
            self.shown = self._landing.shown
            self._forget()
        self._landing.shown = b""
        return over

    def take_answer(self) -> bytes:
        """What was to be shown, once."""
        shown, self.shown = self.shown, b""
        return shown

    def _forget(self) -> None:
        """What is over needs no memory any more: a session may be idle for hours."""
        if self.flight is None and not self.kept:
            self.last.done()
            if self._gathered.steps:
                self._gathered = Gathered("", 0)

    def _behind_ours(self, flight: Flight, data: bytes) -> bytes:
        """What comes behind the answers of ours that are due; empty where nothing does yet (`took`), or something else came."""
        came, before = flight.came + data, flight.before
        if before.startswith(came):
            flight.came, self.took = came, True
            if len(came) == len(before):
                flight.before = b""
        return came[len(before) :] if came.startswith(before) else b""


def _behind(data: bytes, at: i64) -> i64:
    """Where the message at `at` ends, beyond the data where not all of it is there; negative where it is none that is kept."""
    if at + 5 > len(data):
        return len(data) + 1
    length = int32(data, at + 1)
    return at + 1 + length if 6 <= length < OPEN_AT else -1


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
