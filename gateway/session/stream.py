"""Walking the target's byte stream: headers first, then untouched runs in one slice (architecture.md, Server chunks).

What lives here: where messages begin and end, and what passes as it came. DataRow and CopyData that need no mask pass
as slices, an incomplete one included; everything else is handled whole. What must not: which rows pass (results.py),
what the other messages say (answers.py), sending anything to the target.
"""

from gateway.errors import TargetUnavailable
from gateway.masking.fields import Change
from gateway.session import events as ev
from gateway.session.answers import Answers
from gateway.session.results import COPY_DATA, DATA_ROW, Results
from gateway.session.state import Conversation
from gateway.wire.walk import LONGEST, left, run

#: Bytes that cost more to copy than a row costs that is looked at by itself.
_MUCH = 1 << 16


class Stream:
    """The target's side of one conversation."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self.results = Results(talk)
        self.answers = Answers(talk, self.results)
        self._tail: list[bytes] = []
        self._held = 0
        self._wanted = 5
        self._passing = 0  # bytes of an untouched row that are still to come
        self._passed = 0  # the kind of message that the last chunk ended with, where it passed as it was
        self._parts: list[bytes | memoryview] = []  # of this chunk, up to its last changed row: they go in one piece

    @property
    def at_rest(self) -> bool:
        """Is it between two whole answers?"""
        return not (self._tail or self._passing or self.results.copy or self.answers.touched or self.results.within)

    def passes(self, data: bytes) -> bool:
        """Is this chunk nothing but rows that go on as they are, behind such ones? Then it can be written at once: nothing else
        changes by it."""
        kind, size = self._passed, len(data)
        if not kind or self._talk.trial is not None or not self.results.untouched(kind):
            return False
        passing = self._passing - size
        if passing < 0:
            passing = left(data, self._passing, size, kind)
            if passing < 0:
                return False
        self._passing = passing
        self._talk.mid_message = passing > 0
        return True

    def feed(self, data: bytes) -> None:
        """Take a chunk; what may go to the client is emitted as ToClient, in order."""
        talk, at = self._talk, 0
        if self._tail:
            self._tail.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return
            behind = self._held - self._wanted
            if (
                self._wanted > 5 and behind > _MUCH
            ):  # the message that was cut, by itself, so that the rest need not be copied
                at = len(data) - behind
                self._tail[-1] = data[:at]
                whole, self._tail = b"".join(self._tail), []
                self._feed(whole, 0)
            else:
                data, self._tail = b"".join(self._tail), []
        self._feed(data, at)
        if talk.errand is not None and not talk.replies:
            talk.run_errand()

    def _feed(self, data: bytes, at: int) -> None:
        """Take data[at:], which begins where a message does, or inside one that passes."""
        start, size, passed = at, len(data), 0
        if self._passing:
            passed = self._passed
            at = min(at + self._passing, size)
            self._passing -= at - start
        while size - at >= 5:
            kind = data[at]
            length = int.from_bytes(data[at + 1 : at + 5], "big")
            if not 4 <= length <= LONGEST:
                self._flush(data, start, at)
                raise TargetUnavailable("the target broke the protocol: impossible message length")
            end = at + 1 + length
            if kind in (DATA_ROW, COPY_DATA) and self.results.untouched(kind):
                self._passing = max(0, end - size)
                at, passed = (run(data, end, size, kind) if end < size else size), kind
                continue
            if kind in (DATA_ROW, COPY_DATA) and end <= size and (masker := self.results.skimming(kind)) is not None:
                changes, behind = masker.changes(data, at, run(data, at, size, kind))
                start = self._changed(data, start, changes)
                if behind > at:
                    at = behind
                    continue
            if end > size:
                self._wanted = end - at
                break
            if kind == DATA_ROW:
                end = run(data, at, size, kind)
            self._flush(data, start, at)
            self.answers.take(kind, data[at:end])
            at = start = end
            passed = 0
        else:
            self._wanted = 5
        self._flush(data, start, at)
        self._held = size - at
        if self._held:
            self._tail = [data[at:]]
        self._passed = 0 if self._held else passed
        self._talk.mid_message = self._passing > 0

    def _changed(self, data: bytes, start: int, changes: list[Change]) -> int:
        """Keep data[start:] up to the last of these changes, and with them, for `_flush`; answers where it goes on."""
        view = memoryview(data)
        for row, behind, new in changes:
            self._parts += (view[start:row], new)
            start = behind
        return start

    def _flush(self, data: bytes, start: int, end: int) -> None:
        """Send the run that ends here, at the end of a message or (feed's last) wherever the chunk ends."""
        self._talk.mid_message = False
        if self._parts:  # views and one join: a slice of each run of rows and then their join would copy all twice
            parts, self._parts = self._parts, []
            sent = b"".join((*parts, memoryview(data)[start:end]))
        else:
            sent = data if end - start == len(data) else data[start:end]
        if sent:
            self._talk.let_go()
            self._talk.emit(ev.ToClient(sent))
