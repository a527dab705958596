"""Frontend messages: what is written is read back; what is malformed raises ProtocolViolation and nothing else."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.wire import frontend

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(TEXT, TEXT, st.lists(st.integers(0, 2**32 - 1), max_size=5))
def test_parse_round_trip(name: str, sql: str, types: list[int]) -> None:
    assert frontend.read_parse(frontend.parse(name, sql, types)) == frontend.Parse(name, sql, tuple(types))


@given(TEXT, TEXT, st.lists(st.none() | st.binary(max_size=20), max_size=5))
def test_bind_round_trip(portal: str, statement: str, values: list[bytes | None]) -> None:
    read = frontend.read_bind(frontend.bind(portal, statement, values, [1], [0, 1]))
    assert read == frontend.Bind(portal, statement, (1,), tuple(values), (0, 1))


def test_many_parameters_are_counted_unsigned() -> None:
    assert len(frontend.read_bind(frontend.bind("", "", [b""] * 65535)).parameters) == 65535


def test_execute_describe_close_query() -> None:
    assert frontend.read_execute(frontend.execute("c", 7)) == frontend.Execute("c", 7)
    assert frontend.read_named(frontend.describe("S", "x")) == frontend.Named("S", "x")
    assert frontend.read_query(frontend.query("SELECT 'é'")) == "SELECT 'é'"
    assert frontend.read_password(frontend.password("t")) == "t"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (frontend.message(b"Q", b"SELECT 1"), "terminator"),
        (frontend.message(b"Q", b"SELECT 1\0; DROP TABLE t\0"), "left over"),
        (frontend.message(b"Q", b"\xff\xfe\0"), "invalid byte sequence"),
        (frontend.message(b"Q", b"\xc0\x80\0"), "invalid byte sequence"),
    ],
)
def test_a_malformed_query_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ProtocolViolation, match=why):
        frontend.read_query(raw)


def test_a_value_longer_than_the_message_is_refused() -> None:
    body = b"\0\0\0\0\0\x01\x00\x00\x00\xffab"
    with pytest.raises(ProtocolViolation, match="longer than the message"):
        frontend.read_bind(frontend.message(b"B", body))


def test_describe_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ProtocolViolation, match="unknown kind"):
        frontend.read_named(frontend.message(b"D", b"Xname\0"))


@given(
    st.sampled_from(
        [frontend.read_parse, frontend.read_bind, frontend.read_execute, frontend.read_named, frontend.read_query]
    ),
    st.binary(max_size=60),
)
def test_garbage_raises_protocol_violation_and_nothing_else(read: Callable[[bytes], object], body: bytes) -> None:
    try:
        assert read(frontend.message(b"B", body)) is not None
    except ProtocolViolation as error:
        assert error.message  # noqa: PT017 - either way is right; anything else fails the test
