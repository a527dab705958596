"""How far a run goes: whole messages of one kind, by both ways of counting."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import walk
from gateway.wire.frontend import message

Walk = Callable[..., int]
WAYS = pytest.mark.parametrize("run", [walk.by_shifts, walk.by_struct])
D = ord("D")
ROWS = message(b"D", b"\0\0") + message(b"D", b"x" * 300) + message(b"D", b"")


@WAYS
@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (ROWS, len(ROWS)),
        (ROWS + message(b"C", b"SELECT 3\0"), len(ROWS)),
        (ROWS + b"D\0\0\0", len(ROWS)),
        (ROWS + b"D\0\0\0\5", len(ROWS)),
        (ROWS + b"D\0\0\0\3" + ROWS, len(ROWS)),
        (ROWS + b"D\0\0\0\0" + ROWS, len(ROWS)),
        (ROWS + b"D\xff\xff\xff\xff" + ROWS, len(ROWS)),
        (message(b"T", b"") + ROWS, 0),
    ],
)
def test_a_run_ends_before_what_is_cut_of_another_kind_or_impossible(run: Walk, data: bytes, end: int) -> None:
    assert run(data, 0, len(data), D) == end
    assert run(b"before" + data + b"behind", 6, 6 + len(data), D) == 6 + end


@WAYS
def test_each_byte_of_a_length_counts(run: Walk) -> None:
    data = message(b"D", bytes(0x10203)) + message(b"D", bytes(0xFF))
    assert run(data, 0, len(data), D) == len(data)
    assert run(data, 0, len(data) - 1, D) == 5 + 0x10203


@WAYS
def test_the_last_byte_of_each_message_can_be_asked_for(run: Walk) -> None:
    lines = message(b"d", b"one\n") + message(b"d", b"two\n")
    for behind in (b"", message(b"d", b"thr"), message(b"d", b""), message(b"d", b"\n")[:-1]):
        assert run(lines + behind, 0, len(lines + behind), ord("d"), 10) == len(lines)
    assert run(lines, 0, len(lines), ord("d"), ord("x")) == 0


def test_the_message_that_holds_an_offset() -> None:
    ends = [walk.end_of(ROWS, 0), walk.end_of(ROWS, walk.end_of(ROWS, 0)), len(ROWS)]
    begins = [0, *ends[:-1]]
    for offset in range(len(ROWS)):
        assert walk.holding(ROWS, 0, offset) == max(each for each in begins if each <= offset)


@given(st.lists(st.sampled_from([b"D", b"\0", b"\4", b"\5", ROWS, message(b"C", b"x")])).map(b"".join))
def test_both_ways_agree_whatever_comes(data: bytes) -> None:
    for at in range(len(data) + 1):
        for last in (-1, 4):
            assert walk.by_shifts(data, at, len(data), D, last) == walk.by_struct(data, at, len(data), D, last)


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"", 0),
        (ROWS, 0),
        (ROWS + b"D\0\0\0\x64", 96),
        (ROWS + b"D\0\0\0\x64xx", 94),
        (ROWS + b"D\0\0\0", -1),
        (ROWS + b"C\0\0\0\x64", -1),
        (ROWS + message(b"C", b"SELECT 3\0"), -1),
        (ROWS + b"D\0\0\0\3", -1),
        (ROWS + b"D\x40\0\0\0", (1 << 30) - 4),
        (ROWS + b"D\x40\0\0\1", -1),
    ],
)
def test_what_is_left_of_a_cut_message_is_told_where_nothing_else_is_there(data: bytes, left: int) -> None:
    assert walk.left(data, 0, len(data), D) == left
    assert walk.left(b"x" + data, 1, len(data) + 1, D) == left


def test_the_interpreter_has_the_way_that_is_quick_for_it() -> None:
    assert walk.run is (walk.by_struct if hasattr(walk.by_shifts, "__code__") else walk.by_shifts)
