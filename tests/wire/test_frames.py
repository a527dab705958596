"""Frames: any split gives the same frames; sizes are refused on the header; garbage raises ProtocolViolation only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.wire import frontend
from gateway.wire.frames import CAPS, KNOWN, Frames

MESSAGES = [
    frontend.query("SELECT 1"),
    frontend.parse("s", "SELECT $1", [23]),
    frontend.bind("", "s", [b"1", None], [0], [1]),
    frontend.describe("P", ""),
    frontend.execute("", 10),
    frontend.SYNC,
    frontend.TERMINATE,
]


def test_whole_messages_come_out_as_they_came_in() -> None:
    found = Frames().feed(b"".join(MESSAGES))
    assert found == [(each[0], each) for each in MESSAGES]


@given(st.lists(st.integers(1, 40), max_size=30))
def test_any_split_gives_the_same_frames(sizes: list[int]) -> None:
    data = b"".join(MESSAGES)
    frames, found, at = Frames(), [], 0
    for size in [*sizes, len(data)]:
        found += frames.feed(data[at : at + size])
        at += size
    assert found == [(each[0], each) for each in MESSAGES]


def test_a_part_of_a_message_is_known_to_be_one() -> None:
    frames = Frames()
    assert not frames.partial
    frames.feed(frontend.SYNC + frontend.SYNC[:3])
    assert frames.partial
    frames.feed(frontend.SYNC[3:])
    assert not frames.partial


def test_every_byte_alone() -> None:
    data = b"".join(MESSAGES)
    frames = Frames()
    found = [frame for at in range(len(data)) for frame in frames.feed(data[at : at + 1])]
    assert found == [(each[0], each) for each in MESSAGES]


@pytest.mark.parametrize("kind", sorted(CAPS))
def test_a_message_over_its_cap_is_refused_on_its_header(kind: int) -> None:
    header = bytes((kind,)) + (CAPS[kind] + 5).to_bytes(4, "big")
    with pytest.raises(ProtocolViolation, match="over the limit"):
        Frames().feed(header)


def test_a_length_that_excludes_itself_is_refused() -> None:
    with pytest.raises(ProtocolViolation, match="invalid message length"):
        Frames().feed(b"Q\0\0\0\x03")


@pytest.mark.parametrize("kind", sorted(set(range(256)) - KNOWN))
def test_an_unknown_type_is_refused(kind: int) -> None:
    with pytest.raises(ProtocolViolation, match="invalid frontend message type"):
        Frames().feed(bytes((kind,)) + b"\0\0\0\x04")


@given(st.binary(max_size=200))
def test_garbage_raises_protocol_violation_and_nothing_else(data: bytes) -> None:
    try:
        frames = Frames().feed(data)
    except ProtocolViolation:
        return
    assert all(len(raw) >= 5 for _, raw in frames)
