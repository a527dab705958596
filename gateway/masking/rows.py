"""Rows: runs of whole DataRow messages, masked by a plan. RowDescription stays as it is.

What lives here: DataRow framing. What must not: what a secret is, which columns are protected.

A run without candidates and without masked columns goes back as the very same object: one RE2 search over the run is all
it costs. Otherwise rows with a candidate are taken apart, the others are copied in whole slices. A candidate is looked for
from row boundary to row boundary, so what one row looks like never hides the next. Two passes: masked columns first, then
the scan over what is left, so that a masked column of cards doesn't make every row a candidate.
"""

from struct import Struct

from gateway.errors import ProtocolViolation
from gateway.masking.columns import ColumnPlan, MaskPlan, plan
from gateway.masking.detectors import Detectors
from gateway.masking.fields import Counts, FieldMasker, Replace, replace_candidates, replace_fields

_LENGTH = Struct("!i")
_HEAD = Struct("!cih")  # DataRow: 'D', length (itself included), number of columns


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
        return self._candidates(run) if self._fields.scanned else run

    def _every(self, run: bytes) -> bytes:
        out, at = [], 0
        while at < len(run):
            end = self._end(run, at)
            out.append(self._row(run, at, end, self._fields.masked) or run[at:end])
            at = end
        return b"".join(out)

    def _candidates(self, run: bytes) -> bytes:
        candidate = self._fields.first(run, 0)
        if candidate < 0:
            return run
        out: list[bytes] = []
        row = copied = 0
        while candidate >= 0:
            row = _row_at(run, row, candidate)
            end = self._end(run, row)
            fields, candidate = replace_candidates(run, row + _HEAD.size, end, self._fields, candidate)
            if fields is not None:
                out += [run[copied:row], self._packed(fields)]
                copied = end
            row = end
        return b"".join((*out, run[copied:])) if out else run

    def _end(self, run: bytes, row: int) -> int:
        """Offset behind the message at `row`, checked."""
        if len(run) - row < _HEAD.size:
            raise ProtocolViolation("the target sent a row that is cut off")
        kind, length, width = _HEAD.unpack_from(run, row)
        end: int = row + 1 + length
        if kind != b"D" or end > len(run) or length < 6 or width != self._width:
            raise ProtocolViolation("the target sent a row that does not fit its description")
        return end

    def _row(self, run: bytes, row: int, end: int, replacers: dict[int, Replace]) -> bytes | None:
        """The message with its fields replaced, None when it stays as it is."""
        fields, behind = replace_fields(run, row + _HEAD.size, end, self._width, replacers)
        if behind != end:
            raise ProtocolViolation("the target sent a row with bytes behind its last field")
        return None if fields is None else self._packed(fields)

    def _packed(self, fields: bytes) -> bytes:
        return _HEAD.pack(b"D", 6 + len(fields), self._width) + fields


def _row_at(run: bytes, row: int, offset: int) -> int:
    """Walk from the row at `row` to the one that holds `offset`: the hot loop of a run with few candidates."""
    unpack = _LENGTH.unpack_from
    last = len(run) - 5
    while row <= last:
        (length,) = unpack(run, row + 1)
        if row + length >= offset or length < 6:
            break
        row += 1 + length
    return row


__all__ = ["ColumnPlan", "MaskPlan", "RowMasker", "plan"]
