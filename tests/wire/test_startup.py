"""Startup packets: shapes and limits of the protocol chapter (55.2), and the `options` parameter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.wire import startup


def packet(code: int, body: bytes = b"") -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + code.to_bytes(4, "big") + body


def test_a_startup_message_is_read() -> None:
    raw = startup.startup_message({"user": "ann", "database": "shop"})
    assert startup.read(raw) == startup.Startup(0, {"user": "ann", "database": "shop"})


def test_protocol_3_2_is_read_with_its_minor_version() -> None:
    read = startup.read(packet(startup.PROTOCOL_3_2, b"user\0a\0\0"))
    assert isinstance(read, startup.Startup)
    assert read.minor == 2


def test_encryption_requests() -> None:
    assert startup.read(startup.ssl_request()) == startup.Encryption(gss=False)
    assert startup.read(packet(startup.GSSENC_REQUEST)) == startup.Encryption(gss=True)


def test_cancel_with_a_short_and_a_long_key() -> None:
    assert startup.read(startup.cancel_request(7, b"abcd")) == startup.Cancel(7, b"abcd")
    assert startup.read(startup.cancel_request(7, b"k" * 256)) == startup.Cancel(7, b"k" * 256)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (packet(startup.SSL_REQUEST, b"x"), "bytes follow"),
        (packet(startup.CANCEL_REQUEST, b"1234"), "cancel request"),
        (packet(2 << 16, b""), "unsupported frontend protocol"),
        (packet(startup.PROTOCOL_3_0, b"user\0a"), "terminator"),
        (packet(startup.PROTOCOL_3_0, b"user\0a\0user\0b\0\0"), "twice"),
        (packet(startup.PROTOCOL_3_0, b"user\0\0"), "no name or no value"),
        (packet(startup.PROTOCOL_3_0, b"user\0\xff\0\0"), "UTF-8"),
    ],
)
def test_malformed_packets_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ProtocolViolation, match=why):
        startup.read(raw)


@pytest.mark.parametrize("length", [0, 3, 7, 10_001, 0x7FFFFFFF])
def test_impossible_lengths_are_refused(length: int) -> None:
    with pytest.raises(ProtocolViolation, match="length"):
        startup.packet_length(length.to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("-c work_mem=64MB", [("work_mem", "64MB")]),
        ("-cwork_mem=64MB --search-path=a,b", [("work_mem", "64MB"), ("search_path", "a,b")]),
        (r"-c search_path=a\ b", [("search_path", "a b")]),
    ],
)
def test_options(text: str, expected: list[tuple[str, str]]) -> None:
    assert startup.options(text) == expected


@pytest.mark.parametrize("text", ["-c", "-c work_mem", "-e", "--", "-c =x", "work_mem=1"])
def test_an_option_that_is_no_setting_is_refused_by_name(text: str) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        startup.options(text)
    assert refused.value.sqlstate == "22023"


@given(st.binary(min_size=4, max_size=60))
def test_garbage_raises_protocol_violation_and_nothing_else(body: bytes) -> None:
    try:
        assert startup.read(len(body).to_bytes(4, "big") + body) is not None
    except ProtocolViolation as error:
        assert error.message  # noqa: PT017 - either way is right; anything else fails the test
