"""Runs of messages of one kind: how far they go, by their headers alone. Pure, and compiled where there is a compiler (compiled.py).

This is what each row of a big result passes through, so it is written twice: with shifts, which mypyc makes machine
arithmetic (6 ns a row) and which the interpreter is slow at (250 ns), and with a Struct, which is as quick as the interpreter
gets (80 ns). The tests compare them. What must not live here: what messages mean.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # for the compiler alone: nothing needs it at run time
    from mypy_extensions import i64

_HEAD: Final = Struct("!BI")  # kind, and the length, itself included
#: No message of PostgreSQL is longer (MaxAllocSize); a target that says otherwise is broken or malicious.
LONGEST = 1 << 30


def by_shifts(data: bytes, at: i64, size: i64, kind: i64, last: i64 = -1) -> i64:
    """As `run`."""
    before_end: i64 = size - 5
    while at <= before_end and data[at] == kind:
        first: i64 = data[at + 1]
        second: i64 = data[at + 2]
        third: i64 = data[at + 3]
        fourth: i64 = data[at + 4]
        length: i64 = first << 24 | second << 16 | third << 8 | fourth
        end: i64 = at + 1 + length
        if length < 4 or end > size or (last >= 0 and data[end - 1] != last):
            break
        at = end
    return at


def by_struct(data: bytes, at: int, size: int, kind: int, last: int = -1) -> int:
    """As `run`."""
    unpack, before_end = _HEAD.unpack_from, size - 5
    before = at
    while at <= before_end:
        found, length = unpack(data, at)
        if found != kind or length < 4:
            return at
        before = at
        at += 1 + length
        if last >= 0 and at <= size and data[at - 1] != last:
            return before
    return at if at <= size else before


#: run(data, at, size, kind, last): the end of the run of whole messages of this kind that begins at `at`, in data[:size].
#: It ends before a message that is cut, is of another kind, says a length that no message has, or has another `last` byte (-1: any).
run = by_struct if hasattr(by_shifts, "__code__") else by_shifts


def int32(data: bytes, at: i64) -> i64:
    """The unsigned number in the four bytes at `at`: a length word. Raises IndexError where there are fewer."""
    if not _COMPILED:
        return int.from_bytes(_bytes(data, at, 4), "big")
    first: i64 = data[at]
    second: i64 = data[at + 1]
    third: i64 = data[at + 2]
    fourth: i64 = data[at + 3]
    return first << 24 | second << 16 | third << 8 | fourth


def int16(data: bytes, at: i64) -> i64:
    """The same in two bytes: a count."""
    if not _COMPILED:
        return int.from_bytes(_bytes(data, at, 2), "big")
    first: i64 = data[at]
    second: i64 = data[at + 1]
    return first << 8 | second


def _bytes(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise IndexError("index out of range")
    return data[at : at + count]


_COMPILED: Final = not hasattr(by_shifts, "__code__")


def left(data: bytes, at: int, size: int, kind: int) -> int:
    """How many bytes of the last message are still to come, where data[at:size] is of this kind alone; -1 where it isn't,
    or where that can't be told yet."""
    at = run(data, at, size, kind)
    if at == size:
        return 0
    if size - at < _HEAD.size or data[at] != kind:
        return -1
    length: int = _HEAD.unpack_from(data, at)[1]
    return at + 1 + length - size if 4 <= length <= LONGEST else -1


def holding(data: bytes, at: int, offset: int) -> int:
    """Where the message that holds data[offset] begins, in the run of whole messages at `at`."""
    return run(data, at, offset, data[at])


def end_of(data: bytes, at: int) -> int:
    """The offset behind the message at `at`, as its header says."""
    length: int = _HEAD.unpack_from(data, at)[1]
    return at + 1 + length
