"""Backend messages: fields, columns, rows and tags as the protocol chapter has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import AuthenticationFailed, ProtocolViolation
from gateway.wire import backend
from gateway.wire.frontend import message


def test_an_error_has_both_severities_and_no_place_in_the_client_text() -> None:
    raw = backend.error_response("42501", "no", detail="why", hint="do this")
    assert raw[:1] == b"E"
    assert backend.fields(raw[5:]) == {"S": "ERROR", "V": "ERROR", "C": "42501", "M": "no", "D": "why", "H": "do this"}


def test_a_nul_can_not_smuggle_a_field_into_an_error() -> None:
    raw = backend.error_response("42501", "no\0Cxxxxx")
    assert backend.fields(raw[5:])["C"] == "42501"


def test_fatal_carries_sqlstate_and_hint() -> None:
    raw = backend.fatal(AuthenticationFailed("refused", hint="hoop token"))
    assert backend.fields(raw[5:])["C"] == "28000"
    assert backend.fields(raw[5:])["S"] == "FATAL"


def test_row_description() -> None:
    body = b"\0\x01id\0" + bytes.fromhex("00004000 0001 00000017 0004 ffffffff 0000")
    assert backend.row_description(body) == (backend.Column("id", 0x4000, 1, 23, 4, -1, 0),)


@given(st.binary(max_size=80))
def test_a_malformed_row_description_is_a_protocol_violation(body: bytes) -> None:
    try:
        assert isinstance(backend.row_description(body), tuple)
    except ProtocolViolation as error:
        assert "RowDescription" in error.message  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("tag", "rows"), [("DELETE 42", 42), ("INSERT 0 3", 3), ("SELECT 5", 5), ("BEGIN", None), ("COPY 7", 7), ("", None)]
)
def test_rows_of_a_tag(tag: str, rows: int | None) -> None:
    assert backend.tag_rows(tag) == rows


def test_data_row() -> None:
    assert backend.data_row(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff") == (b"a", None)


def test_negotiate_protocol_version_names_what_is_unknown() -> None:
    raw = backend.negotiate_protocol_version(196610, ["_pq_.x"])
    assert raw == message(b"v", (196610).to_bytes(4, "big") + b"\0\0\0\x01_pq_.x\0")


def test_parameter_status_round_trip() -> None:
    assert backend.read_parameter_status(backend.parameter_status("a", "b")[5:]) == ("a", "b")


@given(st.lists(st.tuples(st.sampled_from([b"D", b"C", b"Z"]), st.binary(max_size=9))))
def test_messages_are_cut_where_they_end(messages: list[tuple[bytes, bytes]]) -> None:
    whole = [message(kind, body) for kind, body in messages]
    assert backend.cut(b"".join(whole)) == whole


@pytest.mark.parametrize("length", [0, 3, 2**31])
def test_an_impossible_length_ends_beyond_the_data(length: int) -> None:
    data = b"D" + length.to_bytes(4, "big") + b"abc"
    assert backend.end_of(data, 0) > len(data)
    assert backend.cut(data) == [data]
