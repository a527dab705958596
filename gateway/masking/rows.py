"""Rows: runs of whole DataRow messages, masked by a plan. RowDescription stays as it is.

What lives here: DataRow framing. What must not: what a secret is, which columns are protected.

A run without candidates and without masked columns goes back as the very same object: one look over the run is all
it costs. Otherwise rows with a candidate are taken apart, the others are copied in whole slices. A candidate is looked for
from row boundary to row boundary, so what one row looks like never hides the next. Two passes: masked columns first, then
the scan over what is left, so that a masked column of cards doesn't make every row a candidate.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from gateway.errors import ProtocolViolation
from gateway.masking.columns import ColumnPlan, MaskPlan, plan
from gateway.masking.detectors import Detectors
from gateway.masking.fields import Change, Counts, FieldMasker, length_at, packed, replace_candidates
from gateway.wire import walk

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64

_HEAD = Struct("!cih")  # DataRow: 'D', length (itself included), number of columns
_START = Struct("!ci")
_DATA_ROW = ord("D")
#: Bytes looked at in one go where binary numbers may be candidates, and each row then is: what is behind them is looked at again
#: from each on, to the next secret, which may be far.
_STRETCH = 1 << 12


class RowMasker:
    """Mask the rows of one result. `counts`: (column name, source or detector) -> values masked so far."""

    def __init__(self, plan: MaskPlan, detectors: Detectors | None, key: bytes) -> None:
        self._fields = FieldMasker(plan.columns, detectors, key)
        self._width = len(plan.columns)
        self._touches = plan.touches

    @property
    def counts(self) -> Counts:
        return self._fields.counts

    def rows(self, run: bytes) -> bytes:
        """Mask `run`: one or more whole DataRow messages back to back.

        Answers the same number of messages with the same number of columns; the very same object when nothing is
        masked. Raises ProtocolViolation when the run isn't what the plan was made for; nothing of it may go on then.
        """
        if not self._touches:
            return run
        if self._fields.masked:
            run = self._every(run)
        changes, _ = self.changes(run, 0, len(run))
        out, at = [], 0
        for row, end, new in changes:
            out += [run[at:row], new]
            at = end
        return b"".join((*out, run[at:])) if out else run

    @property
    def skims(self) -> bool:
        """Are most rows none of its business? Not where a column is masked in each."""
        return not self._fields.masked

    def changes(self, data: bytes, at: int, end: int) -> tuple[list[Change], int]:
        """What the detectors change in the rows data[at:end], and how far it looked: to `end`. Raises as `rows` does."""
        fields = self._fields
        found: list[Change] = []
        while at < end:
            behind = self._stretch(data, at, end) if fields.numbers else end
            suspect = fields.suspect(data, at, behind)
            if suspect < 0:
                at = behind
                continue
            row = walk.holding(data, at, suspect)
            at = self._end(data, row, end)
            new = replace_candidates(data, row + _HEAD.size, at, fields, suspect)
            if new is not None:
                found.append((row, at, self._packed(new)))
        return found, end

    def _stretch(self, data: bytes, at: int, end: int) -> int:
        """Offset behind the rows from `at` on that are looked at in one go: one at least."""
        behind = walk.run(data, at, min(at + _STRETCH, end), _DATA_ROW)
        return behind if behind > at else self._end(data, at, end)

    def _every(self, run: bytes) -> bytes:
        """Each row with its masked columns replaced."""
        out: list[bytes] = []
        tally = [0] * self._width
        at: i64 = 0
        size: i64 = len(run)
        while at < size:
            end: i64 = self._end(run, at, size)
            self._row(run, at, end, out, tally)
            at = end
        for column, times in enumerate(tally):
            if times:
                self._fields.count_masked(column, times)
        return b"".join(out)

    def _end(self, run: bytes, row: int, size: int) -> int:
        """Offset behind the message at `row`, checked."""
        if size - row < _HEAD.size:
            raise ProtocolViolation("the target sent a row that is cut off")
        kind, length, width = _HEAD.unpack_from(run, row)
        end: int = row + 1 + length
        if kind != b"D" or end > size or length < 6 or width != self._width:
            raise ProtocolViolation("the target sent a row that does not fit its description")
        return end

    def _row(self, run: bytes, row: i64, end: i64, out: list[bytes], tally: list[int]) -> None:
        """Append the message's parts, its masked fields replaced; the hot loop of masked columns."""
        fixed, replacers = self._fields.fixed, self._fields.replacers
        head = len(out)
        out.append(b"")
        copied: i64 = row + 5  # the number of columns stays
        at: i64 = row + 7
        grown: i64 = 0
        for i in range(self._width):
            length: i64 = length_at(run, at, end)
            start: i64 = at + 4
            if length < 0:
                at = start
                continue
            at = start + length
            field = fixed[i]
            if not field:
                replace = replacers[i]
                if replace is None:
                    continue
                field = packed(replace(run[start:at]))
            tally[i] += 1
            out.append(run[copied : start - 4])
            out.append(field)
            grown += len(field) - 4 - length
            copied = at
        if at != end:
            raise ProtocolViolation("the target sent a row with bytes behind its last field")
        out[head] = _START.pack(b"D", end - row - 1 + grown)
        out.append(run[copied:end])

    def _packed(self, fields: bytes) -> bytes:
        return _HEAD.pack(b"D", 6 + len(fields), self._width) + fields


__all__ = ["ColumnPlan", "MaskPlan", "RowMasker", "plan"]
